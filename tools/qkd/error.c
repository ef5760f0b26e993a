// SPDX-License-Identifier: GPL-2.0-only
/* Errors: one line each, on stderr. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "qkd.h"

int usage_error(const char *format, ...)
{
	va_list ap;

	fputs("Error: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputs(".\n", stderr);
	return EXIT_USAGE;
}

/* What to do about it, where that is not plain from the message. */
static const char *hint(int err, const char *text, const char *attribute)
{
	switch (-err) {
	case EPERM:
		return *text ? "" : " CAP_NET_ADMIN is needed.";
	case EACCES:
		if (!*attribute)
			return " Be root or a member of the group qkd.";
		break;
	case ENODEV:
		if (!strcmp(attribute, "ifindex"))
			return " Devices are listed by: ip link show.";
		if (!*attribute)
			break;
		return " Links are listed by: qkd link show.";
	case EOPNOTSUPP:
		if (!strcmp(attribute, "type"))
			return " Emulated links need: modprobe qkd_emu.";
		break;
	case ENOKEY:
		if (!strcmp(attribute, "secret"))
			break;
		return " Supply is shown by: qkd -s link show.";
	case ESTALE:
		return " Both ends must be in the same generation.";
	}
	return "";
}

/* Ends a sentence that may have its full stop already. */
static void print_line(const char *kind, const char *text,
		       const char *attribute, const char *hint_text)
{
	size_t length = strlen(text);

	while (length && (text[length - 1] == '.' || text[length - 1] == '\n'))
		length--;
	fprintf(stderr, "%s: %.*s", kind, (int)length, text);
	if (*attribute)
		fprintf(stderr, " (attribute: %s)", attribute);
	fprintf(stderr, ".%s\n", hint_text);
}

int kernel_error(const struct qkd_ctx *ctx, int err)
{
	const char *attribute = qkd_error_attribute(ctx);
	const char *text = qkd_error_text(ctx);

	if (err == -EINTR)
		text = "Dump was interrupted and may be inconsistent";
	print_line("Error", *text ? text : strerror(-err), attribute,
		   hint(err, text, attribute));
	return EXIT_REFUSED;
}

/* Errno's of the node, which has no room for words. */
static const struct {
	int err;
	const char *text;
} node_errors[] = {
	{ EACCES, "The link's export mask does not let this key out" },
	{ EAGAIN, "The link has not enough key now" },
	{ EALREADY, "The key was taken already" },
	{ EBADSLT, "The handle has gone" },
	{ EINVAL, "Malformed key ID" },
	{ EKEYEXPIRED, "The key was wiped meanwhile" },
	{ EKEYREJECTED,
	  "The key ID is of another context, class, direction or link, or damaged" },
	{ EMSGSIZE, "The key ID is of a key of another size" },
	{ ENETDOWN, "The link is not up" },
	{ ENODATA, "The key ID is ahead of supply" },
	{ ENODEV, "The link is gone" },
	{ ENOENT, "The key is lost or too old" },
	{ ENOKEY, "The link has not enough key" },
	{ ESTALE, "The key ID is of another generation" },
};

int node_error(int err)
{
	const char *text = strerror(-err);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(node_errors); i++)
		if (node_errors[i].err == -err)
			text = node_errors[i].text;
	print_line("Error", text, "", "");
	return EXIT_REFUSED;
}

/* A success may come with a warning. */
void warn_if_said(const struct qkd_ctx *ctx)
{
	if (*qkd_error_text(ctx))
		print_line("Warning", qkd_error_text(ctx),
			   qkd_error_attribute(ctx), "");
}

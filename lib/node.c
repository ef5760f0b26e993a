// SPDX-License-Identifier: LGPL-2.1-or-later
/* The link's character device: where key bytes come and go. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static int say(struct qkd_ctx *ctx, int err, const char *text)
{
	snprintf(ctx->text, sizeof(ctx->text), "%s", text);
	return err;
}

int qkd_node_open(struct qkd_ctx *ctx, struct qkd_ref ref, int flags)
{
	struct qkd_link link;
	struct stat st;
	char path[32];
	int fd, err;

	err = qkd_link_get(ctx, ref, &link);
	if (err)
		return err;
	if (!link.node)
		return say(ctx, -ENXIO, "the link has no character device");

	snprintf(path, sizeof(path), "/dev/qkd%u", link.index);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0) {
		err = -errno;
		snprintf(ctx->text, sizeof(ctx->text), "cannot open %s: %s",
			 path, strerror(errno));
		return err;
	}
	if (fstat(fd, &st) || !S_ISCHR(st.st_mode)) {
		close(fd);
		return say(ctx, -ENOTTY, "the node is no character device");
	}
	return fd;
}

int qkd_node_read(int fd, struct qkd_key_record *record, size_t size)
{
	ssize_t n;

	n = read(fd, record, sizeof(*record) + size);
	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*record) + size ? 0 : -EIO;
}

int qkd_node_claim(int fd, const uint8_t id[QKD_KEY_ID_LEN], uint32_t want,
		   const struct qkd_context *context, void *key, size_t *size)
{
	struct qkd_ioc_claim claim = {
		.size = want,
		.room = *size > UINT32_MAX ? UINT32_MAX : *size,
		.key = (uintptr_t)key,
	};

	if (want > UINT16_MAX)
		return -EINVAL;
	memcpy(claim.id, id, QKD_KEY_ID_LEN);
	if (context) {
		if (context->length > QKD_CONTEXT_LEN ||
		    context->type > UINT8_MAX)
			return -EINVAL;
		claim.context_type = context->type;
		claim.context_len = context->length;
		if (context->length)
			memcpy(claim.context, context->data, context->length);
	}
	if (ioctl(fd, QKD_IOC_CLAIM, &claim))
		return -errno;
	*size = claim.size;
	return 0;
}

int qkd_node_fetch(int fd, uint32_t handle, void *key, size_t *size)
{
	struct qkd_ioc_key fetch = {
		.handle = handle,
		.size = *size > UINT32_MAX ? UINT32_MAX : *size,
		.key = (uintptr_t)key,
	};

	if (ioctl(fd, QKD_IOC_KEY, &fetch))
		return -errno;
	*size = fetch.size;
	return 0;
}

static int write_record(int fd, const struct qkd_supply_record *record,
			size_t size)
{
	ssize_t n;

	n = write(fd, record, size);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

/* The record must be one piece, so the bytes are copied: into locked memory,
 * which is wiped before it is given back.
 */
int qkd_node_supply(int fd, const struct qkd_block *block, const void *bytes,
		    const uint8_t s[QKD_TAG_LEN])
{
	size_t size = sizeof(struct qkd_supply_record) + block->length +
		      (s ? QKD_TAG_LEN : 0);
	struct qkd_supply_record *record;
	int err;

	if (block->label > UINT16_MAX || block->stream > UINT8_MAX ||
	    block->length > QKD_SUPPLY_LEN_MAX)
		return -EINVAL;
	record = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (record == MAP_FAILED)
		return -ENOMEM;
	/* Short of lockable memory it may be swapped, never dumped. */
	(void)mlock(record, size);
	(void)madvise(record, size, MADV_DONTDUMP);

	record->generation = block->label;
	record->stream = block->stream;
	record->length = block->length;
	record->offset = block->offset;
	memcpy(record->bytes, bytes, block->length);
	if (s)
		memcpy(record->bytes + block->length, s, QKD_TAG_LEN);
	err = write_record(fd, record, size);

	explicit_bzero(record, size);
	munmap(record, size);
	return err;
}

int qkd_node_gap(int fd, uint32_t label, enum qkd_stream stream,
		 uint64_t offset)
{
	struct qkd_supply_record record = {
		.generation = label,
		.stream = stream,
		.flags = QKD_SUPPLY_GAP,
		.offset = offset,
	};

	if (label > UINT16_MAX)
		return -EINVAL;
	return write_record(fd, &record, sizeof(record));
}

int qkd_node_report(int fd, uint32_t qber, uint64_t skr, uint32_t flags)
{
	struct qkd_ioc_report report = {
		.qber = qber,
		.flags = flags,
		.skr = skr,
	};

	return ioctl(fd, QKD_IOC_REPORT, &report) ? -errno : 0;
}

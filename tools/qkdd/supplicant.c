// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control socket of a wpa_supplicant that runs MKA for one macsec device.
 * A CAK is one network of it, number 0; the network's id_str keeps what qkdd has
 * to know of it when it starts anew: the key ID, and when it was given.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "qkdd.h"

#define ANSWER_LEN 4096
#define ANSWER_MS 200

/* Answers come to an address that the kernel has made up. */
static int dial(const char *control)
{
	static const struct timeval patience = { 0, ANSWER_MS * 1000 };
	struct sockaddr_un own = { .sun_family = AF_UNIX };
	struct sockaddr_un there = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	strncpy(there.sun_path, control, sizeof(there.sun_path) - 1);
	if (bind(fd, (struct sockaddr *)&own, sizeof(own.sun_family)) ||
	    connect(fd, (struct sockaddr *)&there, sizeof(there)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
		       sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
		       sizeof(patience))) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static int ask(int fd, const char *command, char answer[ANSWER_LEN])
{
	ssize_t n = send(fd, command, strlen(command), 0);

	if (n >= 0)
		n = recv(fd, answer, ANSWER_LEN - 1, 0);
	if (n < 0)
		return -errno;
	answer[n] = '\0';
	return 0;
}

/* A command whose answer is known. */
static int tell(int fd, const char *command, const char *expected)
{
	char answer[ANSWER_LEN];
	int err = ask(fd, command, answer);

	return err ? err : strcmp(answer, expected) ? -EREMOTEIO : 0;
}

/* No branch and no table: the bytes may be key. */
static char digit(unsigned int nibble)
{
	return '0' + nibble + (((9U - nibble) >> 8) & ('a' - '0' - 10));
}

static void hex(char *text, const uint8_t *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		*text++ = digit(bytes[i] >> 4);
		*text++ = digit(bytes[i] & 15);
	}
	*text = '\0';
}

/* "KEY-ID MS", as set() has written it */
static bool read_id(const char *text, struct cak *cak)
{
	char id[QKD_KEY_ID_TEXT_LEN + 1];

	return sscanf(text, "\"%36s %" SCNd64 "\"", id, &cak->set_at) == 2 &&
	       !qkd_key_id_parse(id, cak->key_id);
}

static bool is_secured(const char *status, const struct cak *cak)
{
	char line[sizeof("\nckn=\n") + 2 * CKN_LEN] = "\nckn=";
	uint8_t ckn[CKN_LEN];

	cak_ckn(cak->key_id, ckn);
	hex(line + strlen(line), ckn, sizeof(ckn));
	strcat(line, "\n");
	return strstr(status, line) && strstr(status, "\nSecured=Yes\n");
}

/**
 * supplicant_read - which CAK it has, and what has become of it
 * @control: path of its socket
 * @cak: out; a network that is not ours counts as none
 *
 * Return: 0 or a negative errno, and @cak stays as it is.
 */
int supplicant_read(const char *control, struct cak *cak)
{
	char id[ANSWER_LEN], status[ANSWER_LEN];
	int fd = dial(control), err;

	if (fd < 0)
		return fd;
	err = ask(fd, "GET_NETWORK 0 id_str", id) ?: ask(fd, "STATUS", status);
	close(fd);
	if (err)
		return err;
	cak->here = read_id(id, cak);
	if (!cak->here)
		memset(cak, 0, sizeof(*cak));
	cak->secured = cak->here && is_secured(status, cak);
	return 0;
}

/* Its only network, without a CAK. */
static int make_network(int fd)
{
	static const char *const commands[] = {
		"SET_NETWORK 0 key_mgmt NONE",
		"SET_NETWORK 0 eapol_flags 0",
	};
	size_t i;
	int err;

	err = tell(fd, "REMOVE_NETWORK all", "OK\n");
	err = err ? err : tell(fd, "ADD_NETWORK", "0\n");
	for (i = 0; i < ARRAY_SIZE(commands) && !err; i++)
		err = tell(fd, commands[i], "OK\n");
	return err;
}

/*
 * A network that is removed leaves its KaY, which goes on under the CAK; that ends
 * only when another network is taken, such as one without MACsec.
 */
static int clear(int fd)
{
	int err = make_network(fd);

	err = err ? err : tell(fd, "SET_NETWORK 0 macsec_policy 0", "OK\n");
	return err ? err : tell(fd, "SELECT_NETWORK 0", "OK\n");
}

static int set(int fd, unsigned int port, bool alice,
	       const uint8_t key_id[QKD_KEY_ID_LEN], const uint8_t cak[CAK_LEN])
{
	char id[QKD_KEY_ID_TEXT_LEN + 1], text[160], digits[2 * CKN_LEN + 1];
	uint8_t ckn[CKN_LEN];
	int err;

	err = make_network(fd);
	if (err)
		return err;
	err = tell(fd, "SET_NETWORK 0 macsec_policy 1", "OK\n");
	snprintf(text, sizeof(text), "SET_NETWORK 0 mka_priority %u",
		 alice ? 16 : 32);
	err = err ? err : tell(fd, text, "OK\n");
	snprintf(text, sizeof(text), "SET_NETWORK 0 macsec_port %u", port);
	err = err ? err : tell(fd, text, "OK\n");
	snprintf(text, sizeof(text), "SET_NETWORK 0 id_str \"%s %" PRId64 "\"",
		 qkd_key_id_format(key_id, id), now_ms());
	err = err ? err : tell(fd, text, "OK\n");
	cak_ckn(key_id, ckn);
	hex(digits, ckn, sizeof(ckn));
	snprintf(text, sizeof(text), "SET_NETWORK 0 mka_ckn %s", digits);
	err = err ? err : tell(fd, text, "OK\n");
	if (err)
		return err;
	strcpy(text, "SET_NETWORK 0 mka_cak ");
	hex(text + strlen(text), cak, CAK_LEN);
	err = tell(fd, text, "OK\n");
	explicit_bzero(text, sizeof(text));
	return err ? err : tell(fd, "SELECT_NETWORK 0", "OK\n");
}

/**
 * supplicant_set - give it a CAK in place of the one that it has
 * @control: path of its socket
 * @port: number in the SCI
 * @alice: this end is to be MKA's key server
 * @key_id: of the CAK
 * @cak: the caller wipes it
 *
 * Return: 0 or a negative errno; then it may have none.
 */
int supplicant_set(const char *control, unsigned int port, bool alice,
		   const uint8_t key_id[QKD_KEY_ID_LEN],
		   const uint8_t cak[CAK_LEN])
{
	int fd = dial(control), err;

	if (fd < 0)
		return fd;
	err = set(fd, port, alice, key_id, cak);
	if (err)
		clear(fd);
	close(fd);
	return err;
}

/**
 * supplicant_clear - take its CAK away
 * @control: path of its socket
 *
 * Return: 0 or a negative errno.
 */
int supplicant_clear(const char *control)
{
	int fd = dial(control), err;

	if (fd < 0)
		return fd;
	err = clear(fd);
	close(fd);
	return err;
}

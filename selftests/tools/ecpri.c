// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames as fronthaul has them, numbered: eCPRI over Ethernet, ethertype 0xAEFE,
 * at a fixed rate.
 *
 *	ecpri send DEVICE ADDRESS BYTES RATE FRAMES
 *		so many frames of so many bytes, RATE a second (0: no pause)
 *	ecpri receive DEVICE FRAMES
 *		until the last of so many has come, or none for 3 seconds; or
 *		with FRAMES 0, until SIGTERM
 *
 * Both print one line of JSON: what was sent, and how long it took; what came,
 * how much is missing, came late or twice, and the longest pause in between.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ETH_P_ECPRI 0xaefe
#define FRAME_MAX 9216
#define IDLE_MS 3000
#define BUFFER (8 << 20)

/* Message type 0, IQ data (eCPRI specification 2.0, 3.1.3 and 3.2.4.1) */
struct frame {
	struct ether_header eth;
	uint8_t revision;
	uint8_t type;
	uint16_t size; /* of what follows */
	uint16_t pc_id;
	uint16_t seq_id;
	uint64_t number;
	uint8_t iq[];
} __attribute__((packed));

static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	(void)signal;
	stop = 1;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int open_device(const char *device, int protocol)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = if_nametoindex(device),
	};
	int fd = socket(AF_PACKET, SOCK_RAW, 0), size = BUFFER;

	if (!to.sll_ifindex)
		err(1, "%s", device);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		err(1, "packet socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

static void own_address(int fd, const char *device, uint8_t *address)
{
	struct ifreq ifr = {};

	strncpy(ifr.ifr_name, device, sizeof(ifr.ifr_name) - 1);
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		err(1, "%s", device);
	memcpy(address, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
}

static void sleep_until(double when)
{
	struct timespec ts = { .tv_sec = when };

	ts.tv_nsec = (when - ts.tv_sec) * 1e9;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) ==
	       EINTR)
		;
}

static void send_frames(const char *device, const char *address, size_t bytes,
			double rate, uint64_t frames)
{
	const struct ether_addr *to = ether_aton(address);
	static uint8_t buffer[FRAME_MAX];
	struct frame *frame = (struct frame *)buffer;
	uint64_t n, failed = 0;
	double start;
	int fd;

	if (!to || bytes < sizeof(*frame) || bytes > FRAME_MAX)
		errx(2, "an Ethernet address and %zu to %d bytes are needed",
		     sizeof(*frame), FRAME_MAX);
	fd = open_device(device, 0);
	memcpy(frame->eth.ether_dhost, to, ETH_ALEN);
	own_address(fd, device, frame->eth.ether_shost);
	frame->eth.ether_type = htons(ETH_P_ECPRI);
	frame->revision = 1 << 4;
	frame->size = htons(bytes - offsetof(struct frame, pc_id));
	start = now();
	for (n = 0; n < frames && !stop; n++) {
		frame->seq_id = htons((n & 0xff) << 8 | 0x80);
		frame->number = htobe64(n);
		failed += send(fd, frame, bytes, 0) < 0;
		if (rate > 0)
			sleep_until(start + (n + 1) / rate);
	}
	printf("{\"frames\": %llu, \"failed\": %llu, \"seconds\": %.3f}\n",
	       (unsigned long long)n, (unsigned long long)failed,
	       now() - start);
}

/* Returns whether a frame came. */
static int next(int fd, uint64_t *number)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	static uint8_t buffer[FRAME_MAX];
	struct frame *frame = (struct frame *)buffer;
	ssize_t size = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	if (size < 0 && poll(&pfd, 1, IDLE_MS) > 0)
		size = recv(fd, buffer, sizeof(buffer), 0);
	if (size < (ssize_t)sizeof(*frame) ||
	    frame->eth.ether_type != htons(ETH_P_ECPRI))
		return 0;
	*number = be64toh(frame->number);
	return 1;
}

static void receive_frames(const char *device, uint64_t frames)
{
	uint64_t number, came = 0, late = 0, top = 0;
	int fd = open_device(device, ETH_P_ECPRI);
	double last = 0, gap = 0, start = 0, when;

	while (!stop) {
		if (!next(fd, &number)) {
			if (came && frames)
				break;
			continue;
		}
		when = now();
		if (!came++)
			start = when;
		else if (when - last > gap)
			gap = when - last;
		last = when;
		if (came > 1 && number <= top)
			late++;
		else
			top = number;
		if (frames && number + 1 == frames)
			break;
	}
	if (!frames)
		frames = came ? top + 1 : 0;
	printf("{\"frames\": %llu, \"missing\": %lld, \"late\": %llu, \"gap_us\": %.0f, \"seconds\": %.3f}\n",
	       (unsigned long long)came, (long long)(frames - came),
	       (unsigned long long)late, gap * 1e6, last - start);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_term };

	sigaction(SIGTERM, &action, NULL);
	if (argc == 7 && !strcmp(argv[1], "send"))
		send_frames(argv[2], argv[3], strtoul(argv[4], NULL, 10),
			    strtod(argv[5], NULL), strtoull(argv[6], NULL, 10));
	else if (argc == 4 && !strcmp(argv[1], "receive"))
		receive_frames(argv[2], strtoull(argv[3], NULL, 10));
	else
		errx(2,
		     "usage: ecpri { send DEVICE ADDRESS BYTES RATE FRAMES | receive DEVICE FRAMES }");
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/qkdN: read, write, poll, ioctls, and what happens to all of them when
 * the link goes away.
 *
 * Keys are read from an emulated pair whose ends are both in this namespace;
 * supply goes into a pair of "user" links that this program feeds itself.
 * cpus: 2
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <openssl/rand.h>
#include <openssl/sha.h>

#include <qkd/qkd.h>
#include "kselftest_harness.h"

#define ID QKD_KEY_ID_LEN
#define RATE 20000000

enum { ALICE, BOB, ENDS };

static const char *const emu_names[ENDS] = { "cdev0", "cdev1" };
static const char *const user_names[ENDS] = { "cuser0", "cuser1" };

static int sys_errno(ssize_t ret)
{
	return ret < 0 ? -errno : 0;
}

static int short_poll(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 200) < 0 ? -errno : p.revents;
}

static int wait_poll(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, 20000) < 0 ? -errno : p.revents;
}

/* Also of who is not there any more. */
static bool sleeps(pid_t tid)
{
	char path[32], line[256], *at = NULL;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	stat = fopen(path, "r");
	if (!stat)
		return true;
	if (fgets(line, sizeof(line), stat))
		at = strrchr(line, ')');
	fclose(stat);
	return at && at[1] && at[2] == 'S';
}

/* Waits until that process or thread of ours sleeps in the kernel, 20 s at most. */
static void let_it_sleep(const pid_t *tid)
{
	int i;

	for (i = 0; i < 2000; i++) {
		pid_t its = __atomic_load_n(tid, __ATOMIC_ACQUIRE);

		if (its && sleeps(its))
			return;
		usleep(10000);
	}
}

static void no_handler(int sig)
{
}

static void interruptible(int sig)
{
	struct sigaction sa = { .sa_handler = no_handler };

	sigaction(sig, &sa, NULL); /* without SA_RESTART */
}

/* A call that blocks, made by a thread. */
struct call {
	pthread_t thread;
	pid_t tid;
	int fd;
	bool write;
	void *buf;
	size_t size;
	ssize_t ret;
	int err;
};

static void *make_call(void *arg)
{
	struct call *call = arg;

	__atomic_store_n(&call->tid, gettid(), __ATOMIC_RELEASE);
	call->ret = call->write ? write(call->fd, call->buf, call->size) :
				  read(call->fd, call->buf, call->size);
	call->err = call->ret < 0 ? errno : 0;
	return NULL;
}

static int start_call(struct call *call)
{
	int err;

	call->tid = 0;
	err = pthread_create(&call->thread, NULL, make_call, call);
	if (!err)
		let_it_sleep(&call->tid);
	return err;
}

static void end_call(struct call *call)
{
	pthread_join(call->thread, NULL);
}

static uint64_t key_taken(struct qkd_ctx *ctx, const char *name)
{
	struct qkd_link link;
	uint32_t i;

	if (qkd_link_get(ctx, qkd_by_name(name), &link))
		return ~0ULL;
	for (i = 0; i < link.nstats; i++)
		if (link.stat[i].dir == QKD_DIR_OUT && link.stat[i].stream & 1)
			return link.stat[i].taken;
	return ~0ULL;
}

static uint64_t burnt(struct qkd_ctx *ctx, const char *name)
{
	struct qkd_link link;

	return qkd_link_get(ctx, qkd_by_name(name), &link) ? ~0ULL :
							     link.refused.burnt;
}

/*
 * Keys of an emulated pair
 */

FIXTURE(key)
{
	struct qkd_ctx *ctx;
	int fd[ENDS];
};

static int set_stopped(struct qkd_ctx *ctx, bool stopped)
{
	struct qkd_link set = { .has = QKD_HAS(QKD_A_LINK_EMU) };

	set.emu.has = QKD_HAS(QKD_A_EMU_STOPPED);
	set.emu.stopped = stopped;
	return qkd_link_set(ctx, qkd_by_name(emu_names[ALICE]), &set);
}

static int add_emu(struct qkd_ctx *ctx, uint32_t export)
{
	struct qkd_link link = {
		.has = QKD_HAS(QKD_A_LINK_EMU) | QKD_HAS(QKD_A_LINK_EXPORT) |
		       QKD_HAS(QKD_A_LINK_PAD_CAPACITY) |
		       QKD_HAS(QKD_A_LINK_KEY_CAPACITY) |
		       QKD_HAS(QKD_A_LINK_TYPE) | QKD_HAS(QKD_A_LINK_NAME),
		.export_ = export,
		.pad_capacity = 4096,
		.key_capacity = 16384,
	};

	strcpy(link.name, emu_names[ALICE]);
	strcpy(link.type, "emu");
	link.emu.has = QKD_HAS(QKD_A_EMU_RATE) | QKD_HAS(QKD_A_EMU_PEER_NAME);
	link.emu.rate = RATE;
	strcpy(link.emu.peer_name, emu_names[BOB]);
	return qkd_link_new(ctx, &link, NULL);
}

/* Take keys until there are none, with supply stopped. */
static int drain(struct qkd_ctx *ctx, int fd)
{
	unsigned char buf[ID + 32];
	ssize_t n;
	int err;

	err = set_stopped(ctx, true);
	if (err)
		return err;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	do {
		n = read(fd, buf, sizeof(buf));
	} while (n > 0);
	return errno == EAGAIN ? 0 : -errno;
}

FIXTURE_SETUP(key)
{
	int i;

	ASSERT_EQ(0, qkd_open(&self->ctx));
	/* a test before that ended early */
	qkd_link_del(self->ctx, qkd_by_name(emu_names[ALICE]));
	ASSERT_EQ(0, add_emu(self->ctx,
			     QKD_EXPORT_MASK_CONTROL | QKD_EXPORT_MASK_EXPORT))
	{
		TH_LOG("%s", qkd_error_text(self->ctx));
	}
	for (i = 0; i < ENDS; i++) {
		self->fd[i] = qkd_node_open(
			self->ctx, qkd_by_name(emu_names[i]), O_RDONLY);
		ASSERT_LE(0, self->fd[i]);
		ASSERT_EQ(POLLIN, wait_poll(self->fd[i], POLLIN));
	}
}

FIXTURE_TEARDOWN(key)
{
	int i;

	for (i = 0; i < ENDS; i++)
		close(self->fd[i]);
	qkd_link_del(self->ctx, qkd_by_name(emu_names[ALICE]));
	qkd_close(self->ctx);
}

TEST_F(key, sizes)
{
	unsigned char buf[ID + QKD_KEY_SIZE_MAX + 1], key[QKD_KEY_SIZE_MAX];
	static const size_t bad[] = { 0, 1, ID - 1, ID, sizeof(buf), 4096 };
	static const size_t good[] = { 1,  16, 31,   32,
				       33, 64, 1000, QKD_KEY_SIZE_MAX };
	uint64_t taken = key_taken(self->ctx, emu_names[ALICE]);
	char *big = calloc(1, 4096);
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		EXPECT_EQ(-1, read(self->fd[ALICE], big, bad[i]));
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(taken, key_taken(self->ctx, emu_names[ALICE]));
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		EXPECT_EQ((ssize_t)(ID + good[i]),
			  read(self->fd[ALICE], buf, ID + good[i]));
		n = sizeof(key);
		EXPECT_EQ(0, qkd_node_claim(self->fd[BOB], buf, good[i], NULL,
					    key, &n));
		EXPECT_EQ(good[i], n);
		EXPECT_EQ(0, memcmp(buf + ID, key, n));
		taken += (good[i] + 31) / 32 * 32;
	}
	EXPECT_EQ(taken, key_taken(self->ctx, emu_names[ALICE]));
	free(big);
}

TEST_F(key, id_fields)
{
	unsigned char a[ID + 48], b[ID + 32];
	struct qkd_key_id id;

	ASSERT_EQ((ssize_t)sizeof(a), read(self->fd[ALICE], a, sizeof(a)));
	ASSERT_EQ(0, qkd_key_id_fields(a, &id));
	EXPECT_EQ(QKD_CLASS_EXPORT, id.class_);
	EXPECT_EQ(QKD_STREAM_A2B_KEY, id.stream);
	EXPECT_EQ(2, id.units);
	ASSERT_EQ((ssize_t)sizeof(b), read(self->fd[BOB], b, sizeof(b)));
	ASSERT_EQ(0, qkd_key_id_fields(b, &id));
	EXPECT_EQ(QKD_STREAM_B2A_KEY, id.stream);
	EXPECT_EQ(1, id.units);
}

TEST_F(key, claim_once)
{
	unsigned char buf[ID + 32], key[32];
	size_t n = sizeof(key);

	ASSERT_EQ((ssize_t)sizeof(buf),
		  read(self->fd[ALICE], buf, sizeof(buf)));
	/* all that the units give */
	EXPECT_EQ(0, qkd_node_claim(self->fd[BOB], buf, 0, NULL, key, &n));
	EXPECT_EQ(0, memcmp(buf + ID, key, 32));
	n = sizeof(key);
	EXPECT_EQ(-EALREADY,
		  qkd_node_claim(self->fd[BOB], buf, 0, NULL, key, &n));
	/* the end that allocated cannot claim its own */
	EXPECT_EQ(-EKEYREJECTED,
		  qkd_node_claim(self->fd[ALICE], buf, 0, NULL, key, &n));
}

/* What is not the peer's key is refused, and takes nothing. */
TEST_F(key, claim_refusals)
{
	struct qkd_context other = { .type = QKD_CONTEXT_TYPE_SAE,
				     .length = 3,
				     .data = "sae" };
	struct qkd_context unknown = { .type = 200 };
	unsigned char buf[ID + 32], id[ID], key[64];
	size_t n;
	int bit, err;

	ASSERT_EQ((ssize_t)sizeof(buf),
		  read(self->fd[ALICE], buf, sizeof(buf)));
	for (bit = 0; bit < 8 * ID; bit++) {
		memcpy(id, buf, ID);
		id[bit / 8] ^= 1 << bit % 8;
		n = sizeof(key);
		err = qkd_node_claim(self->fd[BOB], id, 0, NULL, key, &n);
		EXPECT_GT(0, err)
		{
			TH_LOG("bit %d", bit);
		}
	}
	n = sizeof(key);
	EXPECT_EQ(-EKEYREJECTED,
		  qkd_node_claim(self->fd[BOB], buf, 0, &other, key, &n));
	EXPECT_EQ(-EINVAL,
		  qkd_node_claim(self->fd[BOB], buf, 0, &unknown, key, &n));
	EXPECT_EQ(-EMSGSIZE,
		  qkd_node_claim(self->fd[BOB], buf, 64, NULL, key, &n));
	EXPECT_EQ(-EINVAL,
		  qkd_node_claim(self->fd[BOB], buf, 2017, NULL, key, &n));
	n = 31;
	EXPECT_EQ(-EMSGSIZE,
		  qkd_node_claim(self->fd[BOB], buf, 0, NULL, key, &n));
	n = 32;
	EXPECT_EQ(-EFAULT,
		  qkd_node_claim(self->fd[BOB], buf, 0, NULL, (void *)8, &n));
	EXPECT_EQ(0, qkd_node_claim(self->fd[BOB], buf, 0, NULL, key, &n));
	EXPECT_EQ(0, memcmp(buf + ID, key, 32));
}

TEST_F(key, bad_pointer_costs_no_key)
{
	uint64_t taken = key_taken(self->ctx, emu_names[ALICE]);
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, mprotect(page + 4096, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, sys_errno(read(self->fd[ALICE], (void *)8, 48)));
	EXPECT_EQ(-EFAULT, sys_errno(read(self->fd[ALICE], page + 4096, 48)));
	EXPECT_EQ(-EFAULT, sys_errno(read(self->fd[ALICE], page + 4090, 48)));
	EXPECT_EQ(taken, key_taken(self->ctx, emu_names[ALICE]));
	EXPECT_EQ(0, burnt(self->ctx, emu_names[ALICE]));
	munmap(page, 8192);
}

/* The buffer goes while the reader waits: the key is burnt and counted. */
TEST_F(key, burnt)
{
	struct call call = { .fd = self->fd[ALICE], .size = 48 };
	uint64_t taken;

	call.buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, call.buf);
	ASSERT_EQ(0, drain(self->ctx, self->fd[ALICE]));
	fcntl(self->fd[ALICE], F_SETFL, 0);
	taken = key_taken(self->ctx, emu_names[ALICE]);
	ASSERT_EQ(0, start_call(&call));
	ASSERT_EQ(0, munmap(call.buf, 4096));
	ASSERT_EQ(0, set_stopped(self->ctx, false));
	end_call(&call);
	EXPECT_EQ(EFAULT, call.err);
	EXPECT_EQ(1, burnt(self->ctx, emu_names[ALICE]));
	EXPECT_EQ(taken + 32, key_taken(self->ctx, emu_names[ALICE]));
}

TEST_F(key, waits_for_key)
{
	unsigned char buf[48];
	struct call call = { .fd = self->fd[ALICE],
			     .buf = buf,
			     .size = sizeof(buf) };

	ASSERT_EQ(0, drain(self->ctx, self->fd[ALICE]));
	EXPECT_EQ(0, short_poll(self->fd[ALICE], POLLIN));
	EXPECT_EQ(-EAGAIN, sys_errno(read(self->fd[ALICE], buf, sizeof(buf))));
	fcntl(self->fd[ALICE], F_SETFL, 0);
	ASSERT_EQ(0, start_call(&call));
	ASSERT_EQ(0, set_stopped(self->ctx, false));
	end_call(&call);
	EXPECT_EQ((ssize_t)sizeof(buf), call.ret);
	EXPECT_EQ(POLLIN, wait_poll(self->fd[ALICE], POLLIN));
}

TEST_F(key, signal_ends_the_wait)
{
	unsigned char buf[48];
	struct call call = { .fd = self->fd[ALICE],
			     .buf = buf,
			     .size = sizeof(buf) };
	uint64_t taken;

	interruptible(SIGUSR1);
	ASSERT_EQ(0, drain(self->ctx, self->fd[ALICE]));
	taken = key_taken(self->ctx, emu_names[ALICE]);
	fcntl(self->fd[ALICE], F_SETFL, 0);
	ASSERT_EQ(0, start_call(&call));
	pthread_kill(call.thread, SIGUSR1);
	end_call(&call);
	EXPECT_EQ(EINTR, call.err);
	EXPECT_EQ(taken, key_taken(self->ctx, emu_names[ALICE]));
}

/* A link that is down has no key now, but may have later. */
TEST_F(key, link_down)
{
	struct qkd_link set = { .has = QKD_HAS(QKD_A_LINK_ADMIN) };
	unsigned char buf[48];
	struct call call = { .fd = self->fd[ALICE],
			     .buf = buf,
			     .size = sizeof(buf) };

	set.admin = QKD_ADMIN_DOWN;
	ASSERT_EQ(0,
		  qkd_link_set(self->ctx, qkd_by_name(emu_names[ALICE]), &set));
	EXPECT_EQ(0, short_poll(self->fd[ALICE], POLLIN));
	ASSERT_EQ(0, start_call(&call));
	set.admin = QKD_ADMIN_UP;
	ASSERT_EQ(0,
		  qkd_link_set(self->ctx, qkd_by_name(emu_names[ALICE]), &set));
	end_call(&call);
	EXPECT_EQ((ssize_t)sizeof(buf), call.ret);
}

TEST_F(key, handles)
{
	struct qkd_ref ref = qkd_by_name(emu_names[ALICE]);
	struct qkd_ref peer = qkd_by_name(emu_names[BOB]);
	unsigned char a[64], b[64];
	struct qkd_key key, peek;
	uint32_t count = 1;
	size_t n = sizeof(a);

	ASSERT_EQ(0, qkd_key_get(self->ctx, ref, QKD_CLASS_CONTROL, 40, NULL,
				 &key, &count));
	n = 39;
	EXPECT_EQ(-EMSGSIZE,
		  qkd_node_fetch(self->fd[ALICE], key.handle, a, &n));
	n = sizeof(a);
	EXPECT_EQ(-EFAULT,
		  qkd_node_fetch(self->fd[ALICE], key.handle, (void *)8, &n));
	EXPECT_EQ(0, qkd_node_fetch(self->fd[ALICE], key.handle, a, &n));
	EXPECT_EQ(40, n);
	EXPECT_EQ(-EBADSLT, qkd_node_fetch(self->fd[ALICE], key.handle, a, &n));
	/* a peeked key may be read more than once, until it is committed */
	ASSERT_EQ(0, qkd_key_peek(self->ctx, peer, key.id, 40, NULL, &peek));
	n = sizeof(b);
	EXPECT_EQ(0, qkd_node_fetch(self->fd[BOB], peek.handle, b, &n));
	EXPECT_EQ(0, memcmp(a, b, 40));
	EXPECT_EQ(0, qkd_node_fetch(self->fd[BOB], peek.handle, b, &n));
	EXPECT_EQ(0, qkd_key_commit(self->ctx, peer, peek.handle));
	EXPECT_EQ(-EBADSLT, qkd_node_fetch(self->fd[BOB], 0, b, &n));
	EXPECT_EQ(-EBADSLT, qkd_node_fetch(self->fd[BOB], ~0u, b, &n));
	/* class rekey stays in the kernel, whatever the mask */
	count = 1;
	EXPECT_EQ(-EACCES, qkd_key_get(self->ctx, ref, QKD_CLASS_REKEY, 32,
				       NULL, &key, &count));
}

/* A call that fails leaves the buffer as it was. */
TEST_F(key, failure_writes_nothing)
{
	unsigned char buf[ID + 32], zero[ID] = {};
	size_t n = 32;

	memset(buf, 0xa5, sizeof(buf));
	ASSERT_EQ(0, drain(self->ctx, self->fd[ALICE]));
	EXPECT_EQ(-EAGAIN, sys_errno(read(self->fd[ALICE], buf, sizeof(buf))));
	EXPECT_EQ(-EINVAL,
		  qkd_node_claim(self->fd[BOB], zero, 0, NULL, buf, &n));
	EXPECT_EQ(-EBADSLT, qkd_node_fetch(self->fd[ALICE], 0, buf, &n));
	for (n = 0; n < sizeof(buf); n++)
		EXPECT_EQ(0xa5, buf[n]);
}

/* Without the export bits nothing leaves, and that takes nothing. */
TEST_F(key, export_mask)
{
	struct qkd_link set = { .has = QKD_HAS(QKD_A_LINK_EXPORT) };
	unsigned char buf[48], key[32];
	struct qkd_key got;
	uint32_t count = 1;
	uint64_t taken;
	size_t n = sizeof(key);

	ASSERT_EQ((ssize_t)sizeof(buf),
		  read(self->fd[ALICE], buf, sizeof(buf)));
	ASSERT_EQ(0, qkd_key_get(self->ctx, qkd_by_name(emu_names[ALICE]),
				 QKD_CLASS_CONTROL, 32, NULL, &got, &count));
	ASSERT_EQ(0,
		  qkd_link_set(self->ctx, qkd_by_name(emu_names[ALICE]), &set));
	ASSERT_EQ(0,
		  qkd_link_set(self->ctx, qkd_by_name(emu_names[BOB]), &set));
	taken = key_taken(self->ctx, emu_names[ALICE]);
	EXPECT_EQ(-EACCES, sys_errno(read(self->fd[ALICE], buf, sizeof(buf))));
	EXPECT_EQ(0, short_poll(self->fd[ALICE], POLLIN));
	EXPECT_EQ(-EACCES,
		  qkd_node_claim(self->fd[BOB], buf, 0, NULL, key, &n));
	EXPECT_EQ(-EACCES,
		  qkd_node_fetch(self->fd[ALICE], got.handle, key, &n));
	EXPECT_EQ(taken, key_taken(self->ctx, emu_names[ALICE]));
}

#define READERS 4
#define PER_READER 100

struct many {
	pthread_t thread;
	int fd;
	unsigned char id[PER_READER][ID];
	int failed;
};

static void *read_many(void *arg)
{
	struct many *many = arg;
	unsigned char buf[ID + 32];
	int i;

	for (i = 0; i < PER_READER; i++) {
		if (read(many->fd, buf, sizeof(buf)) != sizeof(buf))
			many->failed++;
		memcpy(many->id[i], buf, ID);
	}
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, ID);
}

/* No two readers get the same key. */
TEST_F(key, many_readers)
{
	struct many *many = calloc(READERS, sizeof(*many));
	unsigned char(*id)[ID] = calloc(READERS * PER_READER, ID);
	int i, n = READERS * PER_READER;

	for (i = 0; i < READERS; i++) {
		many[i].fd = self->fd[ALICE];
		ASSERT_EQ(0, pthread_create(&many[i].thread, NULL, read_many,
					    &many[i]));
	}
	for (i = 0; i < READERS; i++) {
		pthread_join(many[i].thread, NULL);
		EXPECT_EQ(0, many[i].failed);
		memcpy(id[i * PER_READER], many[i].id, sizeof(many[i].id));
	}
	qsort(id, n, ID, compare_ids);
	for (i = 1; i < n; i++)
		ASSERT_NE(0, memcmp(id[i - 1], id[i], ID));
	TH_LOG("%d keys by %d readers", n, READERS);
	free(id);
	free(many);
}

TEST_F(key, calls_that_it_has_not)
{
	unsigned char buf[64];
	int fd, pipes[2];

	EXPECT_EQ(-ESPIPE, sys_errno(lseek(self->fd[ALICE], 0, SEEK_SET)));
	EXPECT_EQ(-ESPIPE, sys_errno(pread(self->fd[ALICE], buf, 48, 0)));
	EXPECT_EQ(-ENOTTY, sys_errno(ioctl(self->fd[ALICE], TCGETS, buf)));
	EXPECT_EQ(-ENOTTY,
		  sys_errno(ioctl(self->fd[ALICE], _IO(QKD_IOC_MAGIC, 0x60))));
	EXPECT_EQ(-EFAULT, sys_errno(ioctl(self->fd[ALICE], QKD_IOC_CLAIM, 8)));
	EXPECT_EQ(-EFAULT, sys_errno(ioctl(self->fd[ALICE], QKD_IOC_KEY, 8)));
	EXPECT_EQ(MAP_FAILED,
		  mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd[ALICE], 0));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-EINVAL, sys_errno(splice(self->fd[ALICE], NULL, pipes[1],
					    NULL, 48, 0)));
	fd = qkd_node_open(self->ctx, qkd_by_name(emu_names[ALICE]), O_WRONLY);
	EXPECT_EQ(-EOPNOTSUPP, fd);
	fd = qkd_node_open(self->ctx, qkd_by_name(emu_names[ALICE]), O_RDWR);
	EXPECT_EQ(-EOPNOTSUPP, fd);
	EXPECT_EQ(-EBADF, sys_errno(write(self->fd[ALICE], buf, 16)));
	close(pipes[0]);
	close(pipes[1]);
}

TEST_F(key, node)
{
	struct stat st, link_st;
	char path[32];

	ASSERT_EQ(0, fstat(self->fd[ALICE], &st));
	EXPECT_EQ(0600 | S_IFCHR, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	snprintf(path, sizeof(path), "/dev/qkd%u", minor(st.st_rdev));
	ASSERT_EQ(0, stat(path, &link_st));
	EXPECT_EQ(st.st_ino, link_st.st_ino);
	EXPECT_EQ(0, qkd_link_del(self->ctx, qkd_by_name(emu_names[ALICE])));
	EXPECT_EQ(-1, stat(path, &link_st));
	/* a node that somebody made opens nothing either */
	ASSERT_EQ(0, mknod("/tmp/qkd-node", S_IFCHR | 0600, st.st_rdev));
	EXPECT_EQ(-ENODEV, sys_errno(open("/tmp/qkd-node", O_RDONLY)));
	unlink("/tmp/qkd-node");
}

TEST_F(key, unprivileged)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		char path[32];
		struct stat st;

		if (fstat(self->fd[ALICE], &st) || setuid(65534))
			_exit(1);
		snprintf(path, sizeof(path), "/dev/qkd%u", minor(st.st_rdev));
		_exit(open(path, O_RDONLY) < 0 && errno == EACCES ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* The link goes while files are open and a reader waits. */
TEST_F(key, link_goes)
{
	unsigned char buf[48], key[32];
	struct call call = { .fd = self->fd[ALICE],
			     .buf = buf,
			     .size = sizeof(buf) };
	size_t n = sizeof(key);
	int i;

	ASSERT_EQ(0, drain(self->ctx, self->fd[ALICE]));
	fcntl(self->fd[ALICE], F_SETFL, 0);
	ASSERT_EQ(0, start_call(&call));
	/* the other end's deletion deletes this one too */
	ASSERT_EQ(0, qkd_link_del(self->ctx, qkd_by_name(emu_names[BOB])));
	end_call(&call);
	EXPECT_EQ(ENODEV, call.err);
	for (i = 0; i < ENDS; i++) {
		EXPECT_EQ(POLLHUP | POLLERR, wait_poll(self->fd[i], POLLIN));
		EXPECT_EQ(-ENODEV,
			  sys_errno(read(self->fd[i], buf, sizeof(buf))));
		EXPECT_EQ(-ENODEV,
			  qkd_node_claim(self->fd[i], buf, 0, NULL, key, &n));
		EXPECT_EQ(-ENODEV, qkd_node_fetch(self->fd[i], 1, key, &n));
	}
	/* a new link of the same name and number is another one */
	ASSERT_EQ(0, add_emu(self->ctx, QKD_EXPORT_MASK_EXPORT));
	EXPECT_EQ(-ENODEV, sys_errno(read(self->fd[ALICE], buf, sizeof(buf))));
}

TEST_F(key, poller_hears_of_the_end)
{
	struct pollfd p = { .fd = self->fd[ALICE], .events = POLLIN };
	pid_t pid;

	ASSERT_EQ(0, drain(self->ctx, self->fd[ALICE]));
	pid = fork();
	if (!pid) {
		struct qkd_ctx *ctx;

		pid = getppid();
		let_it_sleep(&pid);
		_exit(qkd_open(&ctx) ||
		      qkd_link_del(ctx, qkd_by_name(emu_names[ALICE])));
	}
	EXPECT_EQ(1, poll(&p, 1, 20000));
	EXPECT_EQ(POLLHUP | POLLERR, p.revents);
	waitpid(pid, NULL, 0);
}

/* There is one /dev for all: a user namespace's links have no node. */
TEST(user_namespace)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct qkd_link link;
		struct qkd_ctx *ctx;

		if (unshare(CLONE_NEWUSER | CLONE_NEWNET) || qkd_open(&ctx))
			_exit(1);
		if (add_emu(ctx, QKD_EXPORT_MASK_EXPORT) != -EPERM)
			_exit(2);
		if (add_emu(ctx, 0))
			_exit(3);
		if (qkd_link_get(ctx, qkd_by_name(emu_names[ALICE]), &link) ||
		    link.node)
			_exit(4);
		_exit(qkd_node_open(ctx, qkd_by_name(emu_names[ALICE]),
				    O_RDONLY) == -ENXIO ?
			      0 :
			      5);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
}

/*
 * Supply of a pair of user links
 */

#define CAPACITY 4096
#define BLOCK 1024
#define RACE 5 /* seconds of it */

FIXTURE(supply)
{
	struct qkd_ctx *ctx;
	int fd[ENDS];
	uint32_t label;
	uint64_t next[4];
	unsigned char bytes[BLOCK + QKD_TAG_LEN];
};

static int add_user(struct qkd_ctx *ctx, int end)
{
	struct qkd_link link = {
		.has = QKD_HAS(QKD_A_LINK_ROLE) | QKD_HAS(QKD_A_LINK_ID) |
		       QKD_HAS(QKD_A_LINK_PEER_ID) | QKD_HAS(QKD_A_LINK_NAME) |
		       QKD_HAS(QKD_A_LINK_TYPE) | QKD_HAS(QKD_A_LINK_EXPORT) |
		       QKD_HAS(QKD_A_LINK_PAD_CAPACITY) |
		       QKD_HAS(QKD_A_LINK_KEY_CAPACITY) |
		       QKD_HAS(QKD_A_LINK_RESERVE_CONTROL) |
		       QKD_HAS(QKD_A_LINK_RESERVE_REKEY),
		.role = end == ALICE ? QKD_ROLE_ALICE : QKD_ROLE_BOB,
		.export_ = QKD_EXPORT_MASK_EXPORT,
		.pad_capacity = CAPACITY,
		.key_capacity = CAPACITY,
	};

	strcpy(link.name, user_names[end]);
	strcpy(link.type, "user");
	strcpy(link.id, end == ALICE ? "site a" : "site b");
	strcpy(link.peer_id, end == ALICE ? "site b" : "site a");
	return qkd_link_new(ctx, &link, NULL);
}

static int begin_user(struct qkd_ctx *ctx, uint32_t label)
{
	struct qkd_gen gen = {
		.has = QKD_HAS(QKD_A_GEN_LABEL) | QKD_HAS(QKD_A_GEN_PEER_ROLE) |
		       QKD_HAS(QKD_A_GEN_GENERATION) | QKD_HAS(QKD_A_GEN_HASH) |
		       QKD_HAS(QKD_A_GEN_PAD_CAPACITY) |
		       QKD_HAS(QKD_A_GEN_KEY_CAPACITY),
		.label = label,
		.pad_capacity = CAPACITY,
		.key_capacity = CAPACITY,
	};
	struct qkd_link link;
	int end, err;

	RAND_bytes(gen.generation, sizeof(gen.generation));
	for (end = 0; end < ENDS; end++) {
		err = qkd_link_get(ctx, qkd_by_name(user_names[end]), &link);
		if (err)
			return err;
		memcpy(gen.hash, link.hash, sizeof(gen.hash));
		gen.peer_role = end == ALICE ? QKD_ROLE_BOB : QKD_ROLE_ALICE;
		err = qkd_gen_begin(ctx, qkd_by_name(user_names[end]), &gen);
		if (err)
			return err;
	}
	for (end = 0; end < ENDS; end++) {
		err = qkd_gen_open(ctx, qkd_by_name(user_names[end]), label,
				   gen.generation);
		if (err)
			return err;
	}
	return 0;
}

FIXTURE_SETUP(supply)
{
	int end;

	ASSERT_EQ(0, qkd_open(&self->ctx));
	RAND_bytes(self->bytes, sizeof(self->bytes));
	self->label = 7;
	for (end = 0; end < ENDS; end++) {
		qkd_link_del(self->ctx, qkd_by_name(user_names[end]));
		ASSERT_EQ(0, add_user(self->ctx, end))
		{
			TH_LOG("%s", qkd_error_text(self->ctx));
		}
		self->fd[end] = qkd_node_open(self->ctx,
					      qkd_by_name(user_names[end]),
					      O_RDWR | O_NONBLOCK);
		ASSERT_LE(0, self->fd[end]);
	}
	ASSERT_EQ(0, begin_user(self->ctx, self->label))
	{
		TH_LOG("%s", qkd_error_text(self->ctx));
	}
}

FIXTURE_TEARDOWN(supply)
{
	int end;

	for (end = 0; end < ENDS; end++) {
		close(self->fd[end]);
		qkd_link_del(self->ctx, qkd_by_name(user_names[end]));
	}
	qkd_close(self->ctx);
}

static struct qkd_block next_block(FIXTURE_DATA(supply) * self, uint32_t stream)
{
	return (struct qkd_block){
		.label = self->label,
		.stream = stream,
		.offset = self->next[stream],
		.length = BLOCK,
	};
}

/* One block of an a2b stream, supplied at both ends and confirmed. */
static int feed(FIXTURE_DATA(supply) * self, uint32_t stream, bool flip,
		enum qkd_verdict *verdict)
{
	struct qkd_block block = next_block(self, stream);
	const unsigned char *s = self->bytes + BLOCK;
	unsigned char tag[QKD_TAG_LEN];
	int err;

	err = qkd_node_supply(self->fd[BOB], &block, self->bytes, s);
	if (err)
		return err;
	self->bytes[100] ^= flip;
	err = qkd_node_supply(self->fd[ALICE], &block, self->bytes, s);
	self->bytes[100] ^= flip;
	if (err)
		return err;
	self->next[stream] += BLOCK;
	err = qkd_block_tag(self->ctx, qkd_by_name(user_names[BOB]), &block,
			    tag);
	if (err)
		return err;
	err = qkd_block_check(self->ctx, qkd_by_name(user_names[ALICE]), &block,
			      tag, verdict);
	if (err)
		return err;
	return qkd_block_settle(self->ctx, qkd_by_name(user_names[BOB]), &block,
				*verdict);
}

static struct qkd_stat stat_of(FIXTURE_DATA(supply) * self, int end,
			       uint32_t stream)
{
	struct qkd_link link;
	uint32_t i;

	qkd_link_get(self->ctx, qkd_by_name(user_names[end]), &link);
	for (i = 0; i < link.nstats; i++)
		if (link.stat[i].stream == stream)
			return link.stat[i];
	return (struct qkd_stat){};
}

TEST_F(supply, feeds_both_ends)
{
	unsigned char buf[ID + 32], key[32];
	enum qkd_verdict verdict;
	size_t n = sizeof(key);
	struct qkd_stat st;

	EXPECT_EQ(-EAGAIN, sys_errno(read(self->fd[ALICE], buf, sizeof(buf))));
	ASSERT_EQ(0, feed(self, QKD_STREAM_A2B_KEY, false, &verdict))
	{
		TH_LOG("%s", qkd_error_text(self->ctx));
	}
	EXPECT_EQ(QKD_VERDICT_EQUAL, verdict);
	ASSERT_EQ(0, feed(self, QKD_STREAM_A2B_PAD, false, &verdict));
	EXPECT_EQ(QKD_VERDICT_EQUAL, verdict);
	ASSERT_EQ((ssize_t)sizeof(buf),
		  read(self->fd[ALICE], buf, sizeof(buf)));
	EXPECT_EQ(0, qkd_node_claim(self->fd[BOB], buf, 0, NULL, key, &n));
	EXPECT_EQ(0, memcmp(buf + ID, key, 32));
	st = stat_of(self, BOB, QKD_STREAM_A2B_KEY);
	EXPECT_EQ(BLOCK, st.supplied);
	EXPECT_EQ(32, st.taken);
	EXPECT_EQ(0, st.pending);
	EXPECT_EQ(BLOCK - 64, st.live);
}

/* What is not confirmed gives no key; what differs never will. */
TEST_F(supply, mismatch)
{
	unsigned char buf[ID + 32];
	enum qkd_verdict verdict;
	struct qkd_block block = next_block(self, QKD_STREAM_A2B_KEY);

	ASSERT_EQ(0, qkd_node_supply(self->fd[ALICE], &block, self->bytes,
				     self->bytes + BLOCK));
	EXPECT_EQ(-EAGAIN, sys_errno(read(self->fd[ALICE], buf, sizeof(buf))));
	EXPECT_EQ(BLOCK, stat_of(self, ALICE, QKD_STREAM_A2B_KEY).pending);
	ASSERT_EQ(0, feed(self, QKD_STREAM_A2B_PAD, false, &verdict));
	ASSERT_EQ(0, feed(self, QKD_STREAM_A2B_PAD, true, &verdict));
	EXPECT_EQ(QKD_VERDICT_MISMATCH, verdict);
	EXPECT_EQ(BLOCK, stat_of(self, ALICE, QKD_STREAM_A2B_PAD).lost);
	EXPECT_EQ(BLOCK, stat_of(self, BOB, QKD_STREAM_A2B_PAD).lost);
	EXPECT_EQ(BLOCK - 16, stat_of(self, ALICE, QKD_STREAM_A2B_PAD).live);
	EXPECT_EQ(BLOCK - 16, stat_of(self, BOB, QKD_STREAM_A2B_PAD).live);
}

struct record {
	struct qkd_supply_record head;
	unsigned char bytes[QKD_SUPPLY_LEN_MAX + 64];
};

/* Each wrong field is refused, and nothing is supplied. */
TEST_F(supply, bad_records)
{
	static const struct {
		const char *what;
		struct qkd_supply_record head;
		size_t extra;
		int err;
	} cases[] = {
		{ "stream 4", { 7, 4, 0, 1024, 0 }, 1040, EINVAL },
		{ "stream 255", { 7, 255, 0, 1024, 0 }, 1040, EINVAL },
		{ "flag 2", { 7, 1, 2, 1024, 0 }, 1040, EINVAL },
		{ "flag 128", { 7, 1, 128, 1024, 0 }, 1040, EINVAL },
		{ "no bytes", { 7, 1, 0, 0, 0 }, 16, EINVAL },
		{ "nothing at all", { 7, 1, 0, 0, 0 }, 0, EINVAL },
		{ "length no unit", { 7, 1, 0, 1040, 0 }, 1056, EINVAL },
		{ "length no granule", { 7, 0, 0, 1032, 0 }, 1048, EINVAL },
		{ "length above 64 KiB", { 7, 0, 0, 65552, 0 }, 65568, EINVAL },
		{ "length huge", { 7, 0, 0, 0xfffffff0, 0 }, 1040, EINVAL },
		{ "too few bytes", { 7, 1, 0, 1024, 0 }, 1039, EINVAL },
		{ "too many bytes", { 7, 1, 0, 1024, 0 }, 1041, EINVAL },
		{ "no s", { 7, 1, 0, 1024, 0 }, 1024, EINVAL },
		{ "offset no unit", { 7, 1, 0, 1024, 16 }, 1040, EINVAL },
		{ "gap with bytes",
		  { 7, 1, QKD_SUPPLY_GAP, 1024, 0 },
		  1040,
		  EINVAL },
		{ "gap and bytes",
		  { 7, 1, QKD_SUPPLY_GAP, 0, 1024 },
		  16,
		  EINVAL },
		{ "gap, offset no unit",
		  { 7, 1, QKD_SUPPLY_GAP, 0, 8 },
		  0,
		  EINVAL },
		{ "next generation", { 8, 1, 0, 1024, 0 }, 1040, ESTALE },
		{ "last generation", { 6, 1, 0, 1024, 0 }, 1040, ESTALE },
		{ "no generation", { 0, 1, 0, 1024, 0 }, 1040, ESTALE },
		{ "gap, other generation",
		  { 8, 1, QKD_SUPPLY_GAP, 0, 1024 },
		  0,
		  ESTALE },
		{ "not the next offset", { 7, 1, 0, 1024, 1024 }, 1040, ERANGE },
		{ "far away", { 7, 1, 0, 1024, 1ULL << 63 }, 1040, ERANGE },
		{ "over capacity", { 7, 1, 0, 8192, 0 }, 8208, EAGAIN },
		{ "across a segment", { 7, 1, 0, 65536, 32 }, 65552, ERANGE },
	};
	struct record *rec = calloc(1, sizeof(*rec));
	struct qkd_stat st;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		rec->head = cases[i].head;
		errno = 0;
		EXPECT_EQ(-1, write(self->fd[ALICE], rec,
				    sizeof(rec->head) + cases[i].extra));
		EXPECT_EQ(cases[i].err, errno)
		{
			TH_LOG("%s", cases[i].what);
		}
	}
	for (i = 0; i < sizeof(rec->head); i++)
		EXPECT_EQ(-EINVAL, sys_errno(write(self->fd[ALICE], rec, i)));
	EXPECT_EQ(-EFAULT, sys_errno(write(self->fd[ALICE], (void *)8, 1040)));
	st = stat_of(self, ALICE, QKD_STREAM_A2B_KEY);
	EXPECT_EQ(0, st.supplied);
	EXPECT_EQ(0, st.lost);
	free(rec);
}

/* The end of the record is not readable: nothing is supplied. */
TEST_F(supply, bad_pointer)
{
	struct qkd_supply_record *rec;
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t size = sizeof(*rec) + BLOCK + QKD_TAG_LEN;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + 4096, 4096));
	rec = (void *)(page + 4096 - size + 16);
	*rec = (struct qkd_supply_record){ .generation = 7,
					   .stream = 1,
					   .length = BLOCK };
	EXPECT_EQ(-EFAULT, sys_errno(write(self->fd[ALICE], rec, size)));
	EXPECT_EQ(0, stat_of(self, ALICE, QKD_STREAM_A2B_KEY).supplied);
	munmap(page, 4096);
}

TEST_F(supply, exclusive)
{
	struct qkd_ref ref = qkd_by_name(user_names[ALICE]);
	int fd;

	EXPECT_EQ(-EBUSY, qkd_node_open(self->ctx, ref, O_RDWR));
	EXPECT_EQ(-EBUSY, qkd_node_open(self->ctx, ref, O_WRONLY));
	fd = qkd_node_open(self->ctx, ref, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, sys_errno(write(fd, self->bytes, 16)));
	close(fd);
	close(self->fd[ALICE]);
	self->fd[ALICE] = qkd_node_open(self->ctx, ref, O_WRONLY);
	ASSERT_LE(0, self->fd[ALICE]);
	/* what comes out of an ioctl is key, as with read() */
	EXPECT_EQ(-EBADF, sys_errno(ioctl(self->fd[ALICE], QKD_IOC_KEY, 8)));
}

static struct qkd_link alice_link(FIXTURE_DATA(supply) * self)
{
	struct qkd_link link = {};

	qkd_link_get(self->ctx, qkd_by_name(user_names[ALICE]), &link);
	return link;
}

static int on_event(const struct qkd_event *event, void *arg)
{
	if (!strcmp(event->link_name, user_names[ALICE]) &&
	    (event->type == QKD_EVENT_TYPE_QBER_ALARM ||
	     event->type == QKD_EVENT_TYPE_QBER_CLEAR ||
	     event->type == QKD_EVENT_TYPE_SUPPLY_ALARM ||
	     event->type == QKD_EVENT_TYPE_SUPPLY_CLEAR))
		*(struct qkd_event *)arg = *event;
	return 0;
}

/* The last event of alice's link that is about an alarm, or all 0. */
static struct qkd_event last_alarm(struct qkd_monitor *monitor)
{
	struct qkd_event last = {};

	while (short_poll(qkd_monitor_fd(monitor), POLLIN) == POLLIN)
		if (qkd_monitor_read(monitor, on_event, &last))
			break;
	return last;
}

static uint32_t alarm_event(struct qkd_monitor *monitor)
{
	return last_alarm(monitor).type;
}

/* What a supplier measures is shown; its alarm is told once, and ends no generation. */
TEST_F(supply, report)
{
	struct qkd_ref ref = qkd_by_name(user_names[ALICE]);
	struct qkd_ioc_report wrong = { .flags = 8 };
	struct qkd_monitor *monitor;
	struct qkd_link link;
	int fd;

	ASSERT_EQ(0, qkd_monitor_open(&monitor));
	EXPECT_EQ(0, qkd_node_report(self->fd[ALICE], 12345, 6789, 0));
	link = alice_link(self);
	EXPECT_EQ(12345, link.qber);
	EXPECT_EQ(6789, link.skr);
	EXPECT_EQ(0, alarm_event(monitor));

	EXPECT_EQ(0, qkd_node_report(self->fd[ALICE], 250000, 0,
				     QKD_REPORT_ALARM));
	EXPECT_EQ(QKD_EVENT_TYPE_QBER_ALARM, alarm_event(monitor));
	EXPECT_EQ(0, qkd_node_report(self->fd[ALICE], 240000, 0,
				     QKD_REPORT_ALARM));
	EXPECT_EQ(0, alarm_event(monitor));
	link = alice_link(self);
	EXPECT_EQ(QKD_REASON_QBER, link.reason);
	EXPECT_EQ(QKD_STATE_UP, link.state);
	EXPECT_EQ(self->label, link.label);

	/* the supplier goes, the alarm does not; another one ends it */
	close(self->fd[ALICE]);
	link = alice_link(self);
	EXPECT_EQ(QKD_REASON_QBER, link.reason);
	EXPECT_EQ(240000, link.qber);
	self->fd[ALICE] = qkd_node_open(self->ctx, ref, O_WRONLY);
	ASSERT_LE(0, self->fd[ALICE]);
	EXPECT_EQ(0, qkd_node_report(self->fd[ALICE], 20000, 1000, 0));
	EXPECT_EQ(QKD_EVENT_TYPE_QBER_CLEAR, alarm_event(monitor));
	EXPECT_EQ(QKD_REASON_NONE, alice_link(self).reason);
	close(self->fd[ALICE]);
	EXPECT_EQ(0, alice_link(self).qber);
	EXPECT_EQ(0, alice_link(self).skr);

	fd = qkd_node_open(self->ctx, ref, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBADF, qkd_node_report(fd, 0, 0, 0));
	close(fd);
	self->fd[ALICE] = qkd_node_open(self->ctx, ref, O_WRONLY);
	EXPECT_EQ(-EINVAL, qkd_node_report(self->fd[ALICE], 1000001, 0, 0));
	EXPECT_EQ(-EINVAL,
		  sys_errno(ioctl(self->fd[ALICE], QKD_IOC_REPORT, &wrong)));
	EXPECT_EQ(-EFAULT,
		  sys_errno(ioctl(self->fd[ALICE], QKD_IOC_REPORT, 8)));
	qkd_monitor_close(monitor);
}

/* Alarms that are not the QBER's have an event and reasons of their own. */
TEST_F(supply, report_no_key)
{
	struct qkd_monitor *monitor;
	struct qkd_event event;
	size_t i;
	static const struct {
		uint32_t flags, event, reason;
	} steps[] = {
		{ QKD_REPORT_NO_KEY, QKD_EVENT_TYPE_SUPPLY_ALARM,
		  QKD_REASON_NO_KEY },
		{ QKD_REPORT_NO_KEY, 0, QKD_REASON_NO_KEY },
		{ QKD_REPORT_AUTH_LOW, QKD_EVENT_TYPE_SUPPLY_ALARM,
		  QKD_REASON_AUTH_LOW },
		{ QKD_REPORT_AUTH_LOW | QKD_REPORT_ALARM,
		  QKD_EVENT_TYPE_QBER_ALARM, QKD_REASON_AUTH_LOW },
		{ QKD_REPORT_ALARM, QKD_EVENT_TYPE_SUPPLY_CLEAR,
		  QKD_REASON_QBER },
		{ QKD_REPORT_NO_KEY, QKD_EVENT_TYPE_SUPPLY_ALARM,
		  QKD_REASON_NO_KEY },
		{ 0, QKD_EVENT_TYPE_SUPPLY_CLEAR, QKD_REASON_NONE },
	};

	ASSERT_EQ(0, qkd_monitor_open(&monitor));
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		EXPECT_EQ(0, qkd_node_report(self->fd[ALICE], 20000, 0,
					     steps[i].flags));
		event = last_alarm(monitor);
		EXPECT_EQ(steps[i].event, event.type);
		if (event.type)
			EXPECT_EQ(steps[i].reason, event.reason);
		EXPECT_EQ(steps[i].reason, alice_link(self).reason);
		EXPECT_EQ(QKD_STATE_UP, alice_link(self).state);
	}
	qkd_monitor_close(monitor);
}

/* A supplier that reports, alarm and all, until it cannot; the error. */
static void *report_on(void *arg)
{
	long err = 0, i;

	for (i = 0; !err; i++)
		err = qkd_node_report(*(int *)arg, i % 2 * 250000, i,
				      i % 2 ? QKD_REPORT_ALARM : 0);
	return (void *)err;
}

TEST_F(supply, link_deleted_in_report)
{
	struct qkd_ref ref = qkd_by_name(user_names[ALICE]);
	time_t end = time(NULL) + RACE;
	pthread_t thread;
	void *err;

	while (time(NULL) < end) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, report_on,
					    &self->fd[ALICE]));
		usleep(rand() % 3000);
		EXPECT_EQ(0, qkd_link_del(self->ctx, ref));
		pthread_join(thread, &err);
		EXPECT_EQ(-ENODEV, (long)err);
		close(self->fd[ALICE]);
		ASSERT_EQ(0, add_user(self->ctx, ALICE));
		self->fd[ALICE] = qkd_node_open(self->ctx, ref, O_WRONLY);
		ASSERT_LE(0, self->fd[ALICE]);
	}
}

/* A user link's node, in a network namespace that nothing else keeps. */
static int node_of_its_own(void)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd = -1;
	struct qkd_ctx *ctx;

	if (home < 0 || unshare(CLONE_NEWNET))
		return -1;
	if (!qkd_open(&ctx)) {
		if (!add_user(ctx, ALICE))
			fd = qkd_node_open(ctx, qkd_by_name(user_names[ALICE]),
					   O_WRONLY);
		qkd_close(ctx);
	}
	if (setns(home, CLONE_NEWNET))
		exit(1);
	close(home);
	return fd;
}

TEST(namespace_ends_in_report)
{
	time_t end = time(NULL) + RACE;
	int fd;

	while (time(NULL) < end) {
		fd = node_of_its_own();
		ASSERT_LE(0, fd);
		EXPECT_EQ(-ENODEV, (long)report_on(&fd));
		close(fd);
	}
}

static int fill(FIXTURE_DATA(supply) * self, uint32_t stream)
{
	enum qkd_verdict verdict;
	int i, err = 0;

	for (i = 0; i < CAPACITY / BLOCK && !err; i++)
		err = feed(self, stream, false, &verdict);
	return err;
}

TEST_F(supply, room)
{
	unsigned char buf[ID + 1024];
	struct qkd_block block;
	int i;

	EXPECT_EQ(POLLOUT, short_poll(self->fd[ALICE], POLLOUT));
	ASSERT_EQ(0, fill(self, QKD_STREAM_A2B_PAD));
	EXPECT_EQ(POLLOUT, short_poll(self->fd[ALICE], POLLOUT));
	ASSERT_EQ(0, fill(self, QKD_STREAM_A2B_KEY));
	block = next_block(self, QKD_STREAM_A2B_KEY);
	EXPECT_EQ(-EAGAIN, qkd_node_supply(self->fd[ALICE], &block, self->bytes,
					   self->bytes + BLOCK));
	/* a head takes no room, so 32 bytes of key and 16 of pad are left */
	EXPECT_EQ(CAPACITY, stat_of(self, ALICE, QKD_STREAM_A2B_KEY).supplied);
	for (i = 0; i < 2; i++)
		ASSERT_EQ((ssize_t)sizeof(buf),
			  read(self->fd[ALICE], buf, sizeof(buf)));
	EXPECT_EQ(POLLOUT, short_poll(self->fd[ALICE], POLLOUT));
	EXPECT_EQ(0, qkd_node_supply(self->fd[ALICE], &block, self->bytes,
				     self->bytes + BLOCK));
}

/* A write() that waits goes on when somebody takes key. */
TEST_F(supply, waits_for_room)
{
	size_t size = sizeof(struct qkd_supply_record) + BLOCK + QKD_TAG_LEN;
	struct qkd_supply_record *rec = calloc(1, size);
	struct call call = {
		.fd = self->fd[ALICE], .write = true, .buf = rec, .size = size
	};
	unsigned char buf[ID + 1024];

	ASSERT_EQ(0, fill(self, QKD_STREAM_A2B_KEY));
	*rec = (struct qkd_supply_record){
		.generation = 7,
		.stream = 1,
		.length = BLOCK,
		.offset = CAPACITY,
	};
	interruptible(SIGUSR1);
	fcntl(self->fd[ALICE], F_SETFL, 0);
	ASSERT_EQ(0, start_call(&call));
	pthread_kill(call.thread, SIGUSR1);
	end_call(&call);
	EXPECT_EQ(EINTR, call.err);
	EXPECT_EQ(CAPACITY, stat_of(self, ALICE, QKD_STREAM_A2B_KEY).supplied);
	ASSERT_EQ(0, start_call(&call));
	ASSERT_EQ((ssize_t)sizeof(buf),
		  read(self->fd[ALICE], buf, sizeof(buf)));
	end_call(&call);
	EXPECT_EQ((ssize_t)size, call.ret);
	EXPECT_EQ(CAPACITY + BLOCK,
		  stat_of(self, ALICE, QKD_STREAM_A2B_KEY).supplied);
	free(rec);
}

/* The generation, then the link, go while a write() waits. */
TEST_F(supply, ends_while_waiting)
{
	size_t size = sizeof(struct qkd_supply_record) + BLOCK + QKD_TAG_LEN;
	struct qkd_supply_record *rec = calloc(1, size);
	struct qkd_ref ref = qkd_by_name(user_names[ALICE]);
	struct call call = {
		.fd = self->fd[ALICE], .write = true, .buf = rec, .size = size
	};

	ASSERT_EQ(0, fill(self, QKD_STREAM_A2B_KEY));
	*rec = (struct qkd_supply_record){
		.generation = 7,
		.stream = 1,
		.length = BLOCK,
		.offset = CAPACITY,
	};
	fcntl(self->fd[ALICE], F_SETFL, 0);
	ASSERT_EQ(0, start_call(&call));
	ASSERT_EQ(0, qkd_gen_end(self->ctx, ref, 7, QKD_REASON_PEER));
	end_call(&call);
	EXPECT_EQ(ENETDOWN, call.err);
	EXPECT_EQ(-ENETDOWN, sys_errno(write(self->fd[ALICE], rec, size)));

	/* all was wiped; the next generation begins at offset 0 */
	self->label = 8;
	memset(self->next, 0, sizeof(self->next));
	ASSERT_EQ(0, begin_user(self->ctx, self->label));
	EXPECT_EQ(-ESTALE, sys_errno(write(self->fd[ALICE], rec, size)));
	fcntl(self->fd[ALICE], F_SETFL, O_NONBLOCK);
	ASSERT_EQ(0, fill(self, QKD_STREAM_A2B_KEY));
	fcntl(self->fd[ALICE], F_SETFL, 0);
	rec->generation = 8;
	ASSERT_EQ(0, start_call(&call));
	ASSERT_EQ(0, qkd_link_del(self->ctx, ref));
	end_call(&call);
	EXPECT_EQ(ENODEV, call.err);
	EXPECT_EQ(-ENODEV, sys_errno(write(self->fd[ALICE], rec, size)));
	EXPECT_EQ(POLLHUP | POLLERR, wait_poll(self->fd[ALICE], POLLOUT));
	free(rec);
}

/* A stretch that both ends give up. */
TEST_F(supply, gap)
{
	enum qkd_verdict verdict;
	int end;

	ASSERT_EQ(0, feed(self, QKD_STREAM_A2B_KEY, false, &verdict));
	for (end = 0; end < ENDS; end++)
		EXPECT_EQ(0, qkd_node_gap(self->fd[end], 7, QKD_STREAM_A2B_KEY,
					  4 * BLOCK));
	/* never back, and not to where it is */
	EXPECT_GT(0,
		  qkd_node_gap(self->fd[ALICE], 7, QKD_STREAM_A2B_KEY, BLOCK));
	self->next[QKD_STREAM_A2B_KEY] = 4 * BLOCK;
	ASSERT_EQ(0, feed(self, QKD_STREAM_A2B_KEY, false, &verdict));
	for (end = 0; end < ENDS; end++) {
		struct qkd_stat st = stat_of(self, end, QKD_STREAM_A2B_KEY);

		EXPECT_EQ(5 * BLOCK, st.supplied);
		EXPECT_EQ(3 * BLOCK, st.lost);
		EXPECT_EQ(32, st.head);
		EXPECT_EQ(2 * BLOCK - 32, st.live);
	}
}

/* A gap over a segment's head gives up the whole segment, at both ends. */
TEST_F(supply, gap_over_a_head)
{
	enum qkd_verdict verdict;
	int end;

	for (end = 0; end < ENDS; end++)
		EXPECT_EQ(0, qkd_node_gap(self->fd[end], 7, QKD_STREAM_A2B_KEY,
					  BLOCK));
	self->next[QKD_STREAM_A2B_KEY] = BLOCK;
	EXPECT_EQ(-ERANGE, feed(self, QKD_STREAM_A2B_KEY, false, &verdict));
	self->next[QKD_STREAM_A2B_KEY] = 65536;
	EXPECT_EQ(0, feed(self, QKD_STREAM_A2B_KEY, false, &verdict));
	for (end = 0; end < ENDS; end++)
		EXPECT_EQ(65536, stat_of(self, end, QKD_STREAM_A2B_KEY).lost);
}

TEST_HARNESS_MAIN

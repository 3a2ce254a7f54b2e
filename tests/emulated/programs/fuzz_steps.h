/* SPDX-License-Identifier: MIT */
/* The steps of fuzz.c: what can be done to the device, its file and its mapping, and what is counted. */
#ifndef FUZZ_STEPS_H
#define FUZZ_STEPS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz_calls.h"

#define DEVICE		"/dev/capture0"
#define FD		200		/* the shared file has this number whenever it is opened anew */
#define PAGE		4096
#define ERRORS		134

enum { OTHER = CALLS, OPEN = CALLS, REOPEN, MMAP, REMAP, READ, POLL, SEND, SPLICE, FILE_CALL, FORK, KINDS };

static const char *const others[] = {
	"open", "reopen", "mmap", "remap", "read", "poll", "send", "splice", "file", "fork"
};

static atomic_uint counts[KINDS][ERRORS];
static atomic_uint wrongs;
static int tcp[2], ends[2];

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list arguments;

	if (atomic_fetch_add(&wrongs, 1) >= 20)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static long record(unsigned int kind, long result)
{
	unsigned int error = result < 0 ? errno : 0;

	atomic_fetch_add(&counts[kind][error < ERRORS ? error : ERRORS - 1], 1);
	return result;
}

static void a_call(struct worker *w)
{
	static unsigned int total;
	unsigned char argument[sizeof(struct capture_ring_batch)];
	const struct call *call = calls;
	uint32_t at;
	int refuse;

	if (!total)
		for (size_t i = 0; i < CALLS; i++)
			total += calls[i].weight;
	for (at = below(w, total); at >= call->weight; call++)
		at -= call->weight;
	refuse = make_argument(w, call, argument);
	if (once_in(w, 200)) {
		record(call - calls, ioctl(FD, call->request, bad_address(w)));
		return;
	}
	if (once_in(w, 300)) {	/* a number that is almost right */
		record(call - calls, ioctl(FD, call->request ^ 1u << below(w, 32), argument));
		return;
	}
	if (record(call - calls, ioctl(FD, call->request, argument)))
		return;
	if (refuse)
		wrong("%s: a reserved field that is not zero was accepted", call->name);
	if (call->request == CAPTURE_RING_IOC_DEQUEUE) {
		struct capture_ring_batch *batch = (void *)argument;

		if (!batch->count || batch->count > CAPTURE_RING_BATCH)
			wrong("DEQUEUE: %u blocks", batch->count);
		for (uint32_t i = 0; i < batch->count && w->nr_held < HELD; i++)
			w->held[w->nr_held++] = batch->block[i].index;
	}
}

static void an_open(struct worker *w)
{
	int fd = record(OPEN, open(DEVICE, once_in(w, 4) ? O_RDONLY : O_RDWR | O_NONBLOCK));

	if (fd >= 0)
		close(fd);
}

static void unmap(struct worker *w)
{
	if (w->ring)
		munmap(w->ring, w->ring_bytes);
	w->ring = NULL;
}

/* The file's last close may be in the middle of another thread's call, or that of a mapping. */
static void a_reopen(struct worker *w)
{
	struct capture_ring_setup small = { .block_bytes = 65536, .blocks = 4 };	/* the device tree's takes long to map */
	int fd;

	if (!once_in(w, 4))
		unmap(w);	/* it keeps the file */
	close(FD);
	w->nr_held = 0;
	fd = record(REOPEN, open(DEVICE, O_RDWR | O_CLOEXEC | (once_in(w, 4) ? 0 : O_NONBLOCK)));
	if (fd < 0)
		return;
	if (once_in(w, 4))
		small.flags = CAPTURE_RING_SETUP_USER;
	if (!once_in(w, 16))
		ioctl(fd, CAPTURE_RING_IOC_SETUP, &small);
	if (fd != FD) {
		dup3(fd, FD, O_CLOEXEC);
		close(fd);
	}
}

static void a_mmap(struct worker *w)
{
	struct capture_ring_info info = { .map_bytes = 65536 };
	int protection = PROT_READ, flags = MAP_SHARED;
	off_t offset = 0;
	char *memory;

	unmap(w);
	ioctl(FD, CAPTURE_RING_IOC_INFO, &info);
	if (once_in(w, 6)) {
		offset = CAPTURE_RING_STATUS_OFFSET;
		info.map_bytes = 4096;
	}
	if (once_in(w, 10))
		info.map_bytes = edge(w) & 0x3ffffff;
	if (once_in(w, 10))
		protection = below(w, 8);
	if (once_in(w, 10))
		flags = MAP_PRIVATE;
	if (once_in(w, 10))
		offset = edge(w) & ~4095u;
	memory = mmap(NULL, info.map_bytes, protection, flags | (once_in(w, 3) ? MAP_POPULATE : 0), FD, offset);
	record(MMAP, memory == MAP_FAILED ? -1 : 0);
	if (memory == MAP_FAILED)
		return;
	if (flags == MAP_PRIVATE || protection & (PROT_WRITE | PROT_EXEC))
		wrong("mmap: flags %#x, protection %#x accepted", flags, protection);
	w->ring = memory;
	w->ring_bytes = info.map_bytes;
}

static void a_remap(struct worker *w)
{
	static const int advice[] = { MADV_NORMAL, MADV_DONTNEED, MADV_DOFORK, MADV_DONTFORK, MADV_WILLNEED, MADV_REMOVE,
				      MADV_HUGEPAGE, MADV_MERGEABLE, MADV_DODUMP, MADV_POPULATE_READ, MADV_POPULATE_WRITE,
				      MADV_FREE, MADV_COLD, MADV_PAGEOUT };
	size_t offset;
	char *memory;

	if (!w->ring)
		return;
	offset = below(w, w->ring_bytes / 4096 + 1) * 4096;
	switch (below(w, 6)) {
	case 0:
		/* what is behind the mapping is another thread's */
		record(REMAP, munmap(w->ring + offset, w->ring_bytes - offset));
		w->ring_bytes = offset;
		if (!offset)
			w->ring = NULL;
		break;
	case 1:
		memory = mremap(w->ring, w->ring_bytes, w->ring_bytes + below(w, 3) * 4096, MREMAP_MAYMOVE);
		if (record(REMAP, memory == MAP_FAILED ? -1 : 0) == 0)
			w->ring = memory;
		break;
	case 2:
		if (!record(REMAP, mprotect(w->ring, w->ring_bytes, PROT_READ | PROT_WRITE)))
			wrong("mprotect: the mapping can be written");
		break;
	case 3:
		record(REMAP, mlock(w->ring, w->ring_bytes));
		munlock(w->ring, w->ring_bytes);
		break;
	default:
		/* DOFORK would undo what the fork's check looks at: the kernel allows it, and the driver cannot help it */
		record(REMAP, madvise(w->ring, w->ring_bytes, advice[below(w, sizeof(advice) / sizeof(*advice))]));
		madvise(w->ring, w->ring_bytes, MADV_DONTFORK);
		break;
	}
}

static void a_read(struct worker *w)
{
	static char memory[65536];
	char *to = once_in(w, 8) ? (char *)bad_address(w) : memory;
	struct iovec parts[2] = { { memory, below(w, 5000) }, { to, below(w, 60000) } };

	if (once_in(w, 4))
		record(READ, readv(FD, parts, 2));
	else
		record(READ, read(FD, to, to == memory ? below(w, sizeof(memory)) : edge(w) & 0xfffff));
}

static void a_poll(struct worker *w)
{
	struct pollfd wait = { .fd = FD, .events = once_in(w, 8) ? random32(w) : POLLIN };

	record(POLL, poll(&wait, 1, below(w, 4)));
}

static void drain(int fd)
{
	static char waste[65536];

	while (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
}

static void a_send(struct worker *w)
{
	size_t offset = w->ring_bytes ? below(w, w->ring_bytes) : 0, bytes = below(w, once_in(w, 16) ? 200000 : 20000);
	char control[256];
	struct msghdr message = { .msg_control = control, .msg_controllen = sizeof(control) };

	if (w->ring)
		record(SEND, send(tcp[0], w->ring + offset, bytes, MSG_DONTWAIT | MSG_NOSIGNAL |
				  (once_in(w, 4) ? 0 : MSG_ZEROCOPY)));
	if (once_in(w, 3))
		drain(tcp[1]);
	recvmsg(tcp[0], &message, MSG_ERRQUEUE | MSG_DONTWAIT);
}

static void a_splice(struct worker *w)
{
	static char waste[65536];
	struct iovec from = { w->ring, 65536 };
	int zero;

	switch (below(w, 4)) {
	case 0:
		record(SPLICE, splice(FD, NULL, ends[1], NULL, 65536, SPLICE_F_NONBLOCK));
		break;
	case 1:
		zero = open("/dev/null", O_WRONLY);
		record(SPLICE, sendfile(zero, FD, NULL, 65536));
		close(zero);
		break;
	default:	/* the pipe holds the pages for a while */
		if (w->ring)
			record(SPLICE, vmsplice(ends[1], &from, 1, SPLICE_F_NONBLOCK));
	}
	if (once_in(w, 8))
		while (read(ends[0], waste, sizeof(waste)) > 0)
			;
}

static void a_file_call(struct worker *w)
{
	switch (below(w, 5)) {
	case 0:
		record(FILE_CALL, lseek(FD, below(w, 100), SEEK_SET));
		break;
	case 1:
		record(FILE_CALL, fcntl(FD, F_SETFL, once_in(w, 4) ? 0 : O_NONBLOCK));
		break;
	case 2:
		record(FILE_CALL, write(FD, "x", 1));
		break;
	case 3:
		record(FILE_CALL, fsync(FD));
		break;
	default:	/* memory that is registered, or being filled, goes away; in one call, for others map, too */
		record(FILE_CALL, mmap(w->area[0], AREA_BYTES, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	}
}

static void a_fork(struct worker *w)
{
	unsigned char resident;
	int status = 0, run = once_in(w, 3);
	pid_t child = record(FORK, fork());

	if (!child) {
		struct capture_ring_statistics statistics;

		if (w->ring && (!mincore(w->ring, 1, &resident) || errno != ENOMEM))
			_exit(9);
		ioctl(FD, CAPTURE_RING_IOC_STATISTICS, &statistics);
		if (run)
			execl("/bin/true", "true", NULL);
		_exit(0);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		wrong("fork: the child ended with %#x: it has the mapping", status);
}

static const struct step {
	void (*run)(struct worker *w);
	unsigned int weight;
} steps[] = {
	{ a_call, 1590 }, { an_open, 10 }, { a_reopen, 4 }, { a_mmap, 60 }, { a_remap, 60 }, { a_read, 90 },
	{ a_poll, 40 }, { a_send, 50 }, { a_splice, 50 }, { a_file_call, 45 }, { a_fork, 1 },
};

#define STEP_WEIGHTS	2000

#endif

// SPDX-License-Identifier: MIT
/*
 * The device goes away in the middle of everything, and comes back:
 *
 *	unplug DEVICE		e.g. ff200000.capture
 *
 * With the ring mapped, a capture running, a block's pages in a pipe and a thread waiting in DEQUEUE, the device is unbound
 * from its driver; what must still work, and how the rest must fail, is checked; then it is bound again, and captures.
 * Prints "ok", or what was not as docs/driver.md says, and exits with 1.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "capture_ring.h"

#define DRIVER	"/sys/bus/platform/drivers/capture-ring/"
#define BYTES	65536
#define BLOCKS	4

static int device, waiter_error = -1;

#define must(condition) do { if (!(condition)) fail(#condition); } while (0)

static void fail(const char *what)
{
	fprintf(stderr, "not so: %s (%s)\n", what, strerror(errno));
	exit(1);
}

static void tell(const char *file, const char *word)
{
	int fd = open(file, O_WRONLY);

	must(fd >= 0 && write(fd, word, strlen(word)) == (ssize_t)strlen(word));
	close(fd);
}

/* Takes all blocks and gives none back, so that it waits in the end. */
static void *waiter(void *unused)
{
	struct capture_ring_batch batch;

	(void)unused;
	do {
		memset(&batch, 0, sizeof(batch));
		batch.count = 1;
	} while (!ioctl(device, CAPTURE_RING_IOC_DEQUEUE, &batch));
	waiter_error = errno;
	return NULL;
}

static void begin(void)
{
	struct capture_ring_setup setup = { .block_bytes = BYTES, .blocks = BLOCKS };
	struct capture_ring_start start = { .rate = 0 };

	device = open("/dev/capture0", O_RDWR);
	must(device >= 0);
	must(!ioctl(device, CAPTURE_RING_IOC_SETUP, &setup));
	must(!ioctl(device, CAPTURE_RING_IOC_START, &start));
}

static int statistics(struct capture_ring_statistics *s)
{
	return ioctl(device, CAPTURE_RING_IOC_STATISTICS, s);
}

static void comes_back(void)
{
	struct capture_ring_batch batch = { .count = 1 };

	begin();
	must(!ioctl(device, CAPTURE_RING_IOC_DEQUEUE, &batch));
	must(batch.block[0].sequence == 0 && batch.block[0].bytes == BYTES);
	close(device);
}

int main(int argc, char **argv)
{
	struct capture_ring_statistics s;
	struct iovec first = { .iov_len = BYTES };
	struct pollfd wait = { .events = POLLIN };
	static uint32_t words[BYTES / 4];
	pthread_t thread;
	uint32_t *ring;
	int ends[2], i;

	if (argc != 2) {
		fprintf(stderr, "usage: unplug DEVICE\n");
		return 2;
	}
	begin();
	ring = mmap(NULL, BLOCKS * BYTES, PROT_READ, MAP_SHARED, device, 0);
	must(ring != MAP_FAILED);
	must(!pthread_create(&thread, NULL, waiter, NULL));
	do {
		must(!statistics(&s));
	} while (s.blocks_user < BLOCKS);
	first.iov_base = ring;
	must(!pipe(ends) && vmsplice(ends[1], &first, 1, 0) == BYTES);

	tell(DRIVER "unbind", argv[1]);
	must(!pthread_join(thread, NULL));
	must(waiter_error == ENODEV);
	must(statistics(&s) && errno == ENODEV);
	must(read(device, words, sizeof(words)) < 0 && errno == ENODEV);
	wait.fd = device;
	must(poll(&wait, 1, 0) == 1 && (wait.revents & (POLLERR | POLLHUP)) == (POLLERR | POLLHUP));
	must(open("/dev/capture0", O_RDWR) < 0);
	for (i = 0; i < BLOCKS * BYTES / 4; i++)
		must(ring[i] == (uint32_t)i);
	must(!munmap(ring, BLOCKS * BYTES) && !close(device));
	must(read(ends[0], words, sizeof(words)) == (ssize_t)sizeof(words));
	for (i = 0; i < BYTES / 4; i++)
		must(words[i] == (uint32_t)i);

	tell(DRIVER "bind", argv[1]);
	comes_back();
	printf("ok\n");
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * Failures in the middle of each call: the first, the second, ... allocation or copy between kernel and user space that a
 * call makes fails (/proc/thread-self/fail-nth, Documentation/fault-injection), until it makes no more of them. Behind each
 * failure the device must capture as before. Needs a kernel with CONFIG_FAILSLAB, _FAIL_PAGE_ALLOC, _FAULT_INJECTION_USERCOPY.
 *
 * Prints a line for each call, "<call> injected=<n> failed=<n>": how many failures there were, and how often the call said
 * so; exit status 1 when the device was no good after one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture_ring.h"

#define BYTES		131072
#define BLOCKS		4
#define NTH_MOST	400

static int device, nth;
static char *buffer;

static void die(const char *what, const char *when)
{
	fprintf(stderr, "%s, behind a failure in %s: %s\n", what, when, strerror(errno));
	exit(1);
}

static int setup(unsigned int flags, unsigned int bytes)
{
	struct capture_ring_setup wanted = { .block_bytes = bytes, .blocks = BLOCKS, .flags = flags };

	return ioctl(device, CAPTURE_RING_IOC_SETUP, &wanted);
}

static int start(void)
{
	struct capture_ring_start wanted = { .flags = CAPTURE_RING_START_LIMIT, .blocks = 3 };

	return ioctl(device, CAPTURE_RING_IOC_START, &wanted);
}

static int batch_call(unsigned long request)
{
	struct capture_ring_batch batch = { .count = 1 };

	return ioctl(device, request, &batch);
}

static int user_call(unsigned long request, unsigned int flags)
{
	struct capture_ring_user user = { .address = (unsigned long)buffer, .bytes = BYTES, .flags = flags };

	return ioctl(device, request, &user);
}

static int map(size_t bytes, off_t offset)
{
	void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, device, offset);

	if (memory == MAP_FAILED)
		return -1;
	return munmap(memory, bytes);
}

/* preparations: the state that a call needs */
static int nothing(void) { return 0; }
static int small(void) { return setup(0, BYTES); }
static int started(void) { return small() || start(); }
static int taken(void) { return started() || batch_call(CAPTURE_RING_IOC_DEQUEUE); }
static int user(void) { return setup(CAPTURE_RING_SETUP_USER, 0); }
static int registered(void) { return user() || user_call(CAPTURE_RING_IOC_REGISTER, 0); }

/* calls */
static int c_open(void) { close(device); device = open("/dev/capture0", O_RDWR); return device < 0 ? -1 : 0; }
static int c_setup(void) { return setup(CAPTURE_RING_SETUP_TAI, 3 * 1048576); }
static int c_setup_user(void) { return user(); }
static int c_map(void) { return map(BYTES * BLOCKS, 0); }
static int c_map_status(void) { return map(4096, CAPTURE_RING_STATUS_OFFSET); }
static int c_start(void) { return start(); }
static int c_dequeue(void) { return batch_call(CAPTURE_RING_IOC_DEQUEUE); }
static int c_enqueue(void) { return batch_call(CAPTURE_RING_IOC_ENQUEUE); }
static int c_read(void) { return read(device, buffer, BYTES + 100) > 0 ? 0 : -1; }
static int c_stop(void) { return ioctl(device, CAPTURE_RING_IOC_STOP); }
static int c_register(void) { return user_call(CAPTURE_RING_IOC_REGISTER, 0); }
static int c_register_once(void) { return user_call(CAPTURE_RING_IOC_REGISTER, CAPTURE_RING_USER_ONCE); }
static int c_unregister(void) { return user_call(CAPTURE_RING_IOC_UNREGISTER, 0); }

static int c_end(void)
{
	struct capture_ring_end end = { .mode = CAPTURE_RING_END_DRAIN };

	return ioctl(device, CAPTURE_RING_IOC_END, &end);
}

static int c_info(void)
{
	struct capture_ring_info info;

	return ioctl(device, CAPTURE_RING_IOC_INFO, &info);
}

static const struct {
	const char *name;
	int (*prepare)(void), (*run)(void);
} calls[] = {
	{ "open", nothing, c_open }, { "INFO", nothing, c_info }, { "SETUP", small, c_setup },
	{ "SETUP_USER", small, c_setup_user }, { "mmap", small, c_map }, { "mmap_status", small, c_map_status },
	{ "START", small, c_start }, { "DEQUEUE", started, c_dequeue }, { "ENQUEUE", taken, c_enqueue },
	{ "read", started, c_read }, { "STOP", started, c_stop }, { "END", started, c_end },
	{ "REGISTER", user, c_register }, { "REGISTER_ONCE", user, c_register_once },
	{ "UNREGISTER", registered, c_unregister },
};

static void tell(int number)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%d", number);

	while (pwrite(nth, text, length, 0) != length) {
		if (errno != EFAULT) {	/* the failure may be that of this very write; then it is spent */
			perror("fail-nth");
			exit(2);
		}
	}
}

/* How many more until the failure; 0: it has been. When it is this very read that fails, it has not been in the call. */
static int told(void)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) < 0) {
		if (errno == EFAULT)
			return 1;
		perror("fail-nth");
		exit(2);
	}
	return atoi(text);
}

static void captures(const char *when)
{
	if (device >= 0)
		close(device);
	device = open("/dev/capture0", O_RDWR);
	if (device < 0 || taken())
		die("no capture", when);
	close(device);
}

static void try(unsigned int call)
{
	int number, left, result, injected = 0, failed = 0;

	for (number = 1; number < NTH_MOST; number++) {
		device = open("/dev/capture0", O_RDWR);
		if (device < 0 || calls[call].prepare())
			die("preparation", calls[call].name);
		tell(number);
		result = calls[call].run();
		left = told();
		tell(0);
		captures(calls[call].name);
		if (left)
			break;
		injected++;
		failed += !!result;
	}
	printf("%s injected=%d failed=%d\n", calls[call].name, injected, failed);
	fflush(stdout);
	if (!left && number < NTH_MOST)
		die("it", calls[call].name);
}

int main(void)
{
	unsigned int call;

	nth = open("/proc/thread-self/fail-nth", O_RDWR);
	if (nth < 0) {
		perror("fail-nth");
		return 2;
	}
	buffer = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	for (call = 0; call < sizeof(calls) / sizeof(*calls); call++)
		try(call);
	return 0;
}

// SPDX-License-Identifier: MIT
/*
 * What can be done with the memory that a driver has mapped, one line a mapping, for the test's table:
 *
 *	mappings HOST PORT FILE
 *
 * Prints "<mapping> flags=<of smaps> <way>=<ok or the error's name> ...". Each way takes the mapping's first MiB. send and
 * MSG_ZEROCOPY make a connection of their own to HOST:PORT, and wait for the other side to close it. FILE, written with
 * O_DIRECT and compared with the mapping, is to be on a disk. "copied" is what the kernel said of the zero-copy sends.
 * Needs the module mapping-controls and the driver capture-ring, with nobody else on it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "capture_ring.h"
#include "mapping-controls.h"

#define BYTES		CONTROLS_BYTES
#define PIPE_BYTES	65536
#define PAGE		4096

static struct sockaddr_in peer = { .sin_family = AF_INET };
static const char *file;
static int controls;

static int failed(void)
{
	return errno ? errno : EIO;
}

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static int connected(void)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);

	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) ||
	    connect(s, (struct sockaddr *)&peer, sizeof(peer)))
		die("connection");
	return s;
}

/* Wait until the kernel has let go of `calls` zero-copy sends; returns how many of them it copied after all. */
static unsigned int completions(int s, unsigned int calls)
{
	unsigned int done = 0, copied = 0;

	while (done < calls) {
		char control[256], byte;
		struct iovec none = { &byte, 1 };
		struct msghdr message = { .msg_iov = &none, .msg_iovlen = 1, .msg_control = control,
					  .msg_controllen = sizeof(control) };
		struct pollfd wait = { .fd = s };
		struct sock_extended_err *error;

		if (poll(&wait, 1, 30000) <= 0 || recvmsg(s, &message, MSG_ERRQUEUE) < 0)
			die("completion");
		error = (void *)CMSG_DATA(CMSG_FIRSTHDR(&message));
		done += error->ee_data - error->ee_info + 1;
		if (error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
			copied += error->ee_data - error->ee_info + 1;
	}
	return copied;
}

static int send_all(const char *memory, int flags, unsigned int *copied)
{
	int s = connected(), error = 0;
	unsigned int calls = 0;
	size_t sent = 0;
	char byte;

	while (sent < BYTES && !error) {
		ssize_t n = send(s, memory + sent, BYTES - sent, flags);

		if (n < 0)
			error = failed();
		else
			sent += n, calls++;
	}
	*copied = flags & MSG_ZEROCOPY ? completions(s, calls) : 0;
	shutdown(s, SHUT_WR);
	if (!error && read(s, &byte, 1) != 0)
		die("peer");
	close(s);
	return error;
}

static int direct(const char *memory)
{
	int error = 0, fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	char *copy = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fd < 0 || copy == MAP_FAILED)
		die(file);
	errno = 0;
	if (pwrite(fd, memory, BYTES, 0) != BYTES)
		error = failed();
	else if (pread(fd, copy, BYTES, 0) != BYTES || memcmp(copy, memory, BYTES))
		error = EBADMSG;
	munmap(copy, BYTES);
	close(fd);
	unlink(file);
	return error;
}

static int splice_pages(const char *memory)
{
	struct iovec from = { (void *)memory, PIPE_BYTES };
	static char copy[PIPE_BYTES];
	int error = 0, ends[2];

	if (pipe(ends))
		die("pipe");
	errno = 0;
	if (vmsplice(ends[1], &from, 1, 0) != PIPE_BYTES)
		error = failed();
	else if (read(ends[0], copy, PIPE_BYTES) != PIPE_BYTES || memcmp(copy, memory, PIPE_BYTES))
		error = EBADMSG;
	close(ends[0]);
	close(ends[1]);
	return error;
}

static int by_another(const char *memory)
{
	static char copy[PAGE];
	struct iovec to = { copy, PAGE }, from = { (void *)memory, PAGE };

	errno = 0;
	if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != PAGE)
		return failed();
	return memcmp(copy, memory, PAGE) ? EBADMSG : 0;
}

static int pin(const char *memory)
{
	struct controls_pin request = { .address = (uintptr_t)memory, .pages = BYTES / PAGE };

	if (ioctl(controls, CONTROLS_IOC_PIN, &request))
		return failed();
	return request.pinned == BYTES / PAGE ? 0 : EIO;
}

/* VmFlags of /proc/self/smaps: "io", "pf" (no struct page) and "mm" (struct pages in a driver's mapping) tell. */
static void print_flags(const char *memory)
{
	char line[256], start[32];
	int here = 0;
	FILE *maps = fopen("/proc/self/smaps", "r");

	snprintf(start, sizeof(start), "%08lx-", (unsigned long)memory);
	while (maps && fgets(line, sizeof(line), maps)) {
		here |= !strncmp(line, start, strlen(start));
		if (here && !strncmp(line, "VmFlags:", 8)) {
			printf(" flags=");
			for (char *flag = strtok(line + 8, " \n"); flag; flag = strtok(NULL, " \n"))
				printf("%s,", flag);
			break;
		}
	}
	if (maps)
		fclose(maps);
}

static void show(const char *way, int error)
{
	printf(" %s=%s", way, error ? strerrorname_np(error) : "ok");
}

static void table(const char *name, const char *memory)
{
	unsigned int copied;

	printf("%s", name);
	print_flags(memory);
	show("send", send_all(memory, 0, &copied));
	show("zerocopy", send_all(memory, MSG_ZEROCOPY, &copied));
	printf(" copied=%u", copied);
	show("odirect", direct(memory));
	show("vmsplice", splice_pages(memory));
	show("process_vm_readv", by_another(memory));
	show("pin", pin(memory));
	printf("\n");
	fflush(stdout);
}

static const char *capture_block(void)
{
	struct capture_ring_start start = { .rate = 0 };
	struct capture_ring_batch batch = { .count = 1 };
	struct capture_ring_info info;
	int fd = open("/dev/capture0", O_RDWR);
	char *ring;

	if (fd < 0 || ioctl(fd, CAPTURE_RING_IOC_INFO, &info))
		die("/dev/capture0");
	ring = mmap(NULL, info.map_bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED || ioctl(fd, CAPTURE_RING_IOC_START, &start) ||
	    ioctl(fd, CAPTURE_RING_IOC_DEQUEUE, &batch) || ioctl(fd, CAPTURE_RING_IOC_STOP))
		die("capture");
	return ring + (size_t)batch.block[0].index * info.block_bytes;
}

int main(int argc, char **argv)
{
	static const char *const names[CONTROLS_KINDS] = {
		"vm_insert_pages", "remap_pfn_range", "dma_mmap_coherent", "dma_mmap_noncontiguous"
	};
	__u32 pieces = 64;
	int kind;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1)
		die("usage: mappings HOST PORT FILE");
	peer.sin_port = htons(atoi(argv[2]));
	file = argv[3];
	controls = open("/dev/mapping-controls", O_RDWR);
	if (controls < 0)
		die("/dev/mapping-controls");
	for (kind = 0; kind < CONTROLS_KINDS; kind++) {
		char *memory = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, controls, (off_t)kind * CONTROLS_STRIDE);

		if (memory == MAP_FAILED)
			die(names[kind]);
		table(names[kind], memory);
		munmap(memory, BYTES);
	}
	table("capture-ring", capture_block());
	if (ioctl(controls, CONTROLS_IOC_COHERENT, &pieces))
		die("coherent");
	printf("dma_alloc_coherent pieces=%u\n", pieces);
	return 0;
}

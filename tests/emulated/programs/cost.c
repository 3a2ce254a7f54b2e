// SPDX-License-Identifier: MIT
/*
 * A capture in one of several ways, for the counting of instructions:
 *
 *	cost WAY BLOCKS BLOCK_BYTES HOST PORT
 *
 * Everything is prepared, then the program connects to HOST:PORT and waits for one byte; from there to the end of the
 * connection it captures BLOCKS blocks, as fast as the DMA takes them, and does with them what WAY says:
 *
 *	read		read() into memory and send() from there
 *	copy		the ring mapped, memcpy() out of it and send()
 *	send		the ring mapped, send() from it
 *	zerocopy	the ring mapped, send(MSG_ZEROCOPY) from it; a block goes back when its completion has come
 *	forward		the same, and the driver leaves the caches alone (CAPTURE_RING_SETUP_FORWARD_ONLY)
 *	none		blocks are dequeued and enqueued, nothing is sent
 *	bare		the same, caches left alone: what the driver itself costs
 *	network		nothing is captured: send(MSG_ZEROCOPY) of memory that stays as it is, what the network itself costs
 *	network-copy	the same with send(): the difference is a copy into the kernel
 *
 * It ends when the peer has closed, so that nobody counts what the end of a program costs. Prints "blocks=<n> sends=<n> copied=<n>": copied are zero-copy sends that the kernel has copied after all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture_ring.h"

#define RING_BLOCKS	16
#define MOST_IN_FLIGHT	12

static int device, peer;
static unsigned int blocks, block_bytes, sends, copied;
static char *ring, *memory;
static unsigned int in_flight[RING_BLOCKS], oldest, nr_in_flight;	/* blocks by send, in order */

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_all(const char *from, size_t bytes, int flags)
{
	while (bytes) {
		ssize_t n = send(peer, from, bytes, flags);

		if (n < 0)
			die("send");
		from += n;
		bytes -= n;
		sends++;
	}
}

static void enqueue(const unsigned int *indexes, unsigned int count)
{
	static struct capture_ring_batch batch;	/* not made anew: that would be counted */

	batch.count = count;
	for (unsigned int i = 0; i < count; i++)
		batch.block[i].index = indexes[i];
	if (count && ioctl(device, CAPTURE_RING_IOC_ENQUEUE, &batch))
		die("ENQUEUE");
}

static unsigned int dequeue(unsigned int *indexes)
{
	static struct capture_ring_batch batch;

	batch.count = CAPTURE_RING_BATCH;
	if (ioctl(device, CAPTURE_RING_IOC_DEQUEUE, &batch))
		die("DEQUEUE");
	for (unsigned int i = 0; i < batch.count; i++)
		indexes[i] = batch.block[i].index;
	return batch.count;
}

/* Blocks whose completions are there; waits until at most `most` are in flight. Returns their number. */
static unsigned int completions(unsigned int most, unsigned int *back)
{
	unsigned int count = 0;

	for (;;) {
		char control[128];
		struct msghdr message = { .msg_control = control, .msg_controllen = sizeof(control) };
		struct pollfd wait = { .fd = peer };
		struct sock_extended_err *error;

		if (recvmsg(peer, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
			if (nr_in_flight <= most)
				break;
			if (poll(&wait, 1, -1) < 0)
				die("poll");
			continue;
		}
		error = (void *)CMSG_DATA(CMSG_FIRSTHDR(&message));
		for (unsigned int id = error->ee_info; id != error->ee_data + 1; id++) {
			back[count++] = in_flight[oldest++ % RING_BLOCKS];
			nr_in_flight--;
			copied += !!(error->ee_code & SO_EE_CODE_ZEROCOPY_COPIED);
		}
	}
	return count;
}

static void reap(unsigned int most)
{
	unsigned int back[RING_BLOCKS];

	enqueue(back, completions(most, back));
}

static void zero_copy(void)
{
	unsigned int indexes[CAPTURE_RING_BATCH], done = 0, count, i;

	while (done < blocks) {
		count = dequeue(indexes);
		for (i = 0; i < count; i++, done++) {
			unsigned int before = sends;

			in_flight[(oldest + nr_in_flight++) % RING_BLOCKS] = indexes[i];
			send_all(ring + (size_t)indexes[i] * block_bytes, block_bytes, MSG_ZEROCOPY);
			if (sends != before + 1)
				die("a block was not sent by one call");
		}
		reap(MOST_IN_FLIGHT);
	}
	reap(0);
}

static void mapped(int copy, int sending)
{
	unsigned int indexes[CAPTURE_RING_BATCH], done = 0, count, i;

	while (done < blocks) {
		count = dequeue(indexes);
		for (i = 0; i < count && sending; i++) {
			const char *from = ring + (size_t)indexes[i] * block_bytes;

			send_all(copy ? memcpy(memory, from, block_bytes) : from, block_bytes, 0);
		}
		enqueue(indexes, count);
		done += count;
	}
}

static void by_read(void)
{
	for (size_t left = (size_t)blocks * block_bytes; left;) {
		ssize_t n = read(device, memory, block_bytes);

		if (n <= 0)
			die("read");
		send_all(memory, n, 0);
		left -= n;
	}
}

static void prepare(int forward)
{
	struct capture_ring_setup setup = { .block_bytes = block_bytes, .blocks = RING_BLOCKS,
					    .flags = forward ? CAPTURE_RING_SETUP_FORWARD_ONLY : 0 };

	device = open("/dev/capture0", O_RDWR);
	if (device < 0 || ioctl(device, CAPTURE_RING_IOC_SETUP, &setup))
		die("/dev/capture0");
	ring = mmap(NULL, setup.map_bytes, PROT_READ, MAP_SHARED, device, 0);
	memory = mmap(NULL, block_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ring == MAP_FAILED || memory == MAP_FAILED)
		die("mmap");
}

/* Without a capture: as many blocks, from the ring as it is. */
static void still(int copying)
{
	unsigned int back[RING_BLOCKS];

	for (unsigned int i = 0; i < blocks; i++) {
		nr_in_flight += !copying;
		send_all(ring + (size_t)(i % RING_BLOCKS) * block_bytes, block_bytes, copying ? 0 : MSG_ZEROCOPY);
		completions(MOST_IN_FLIGHT, back);
	}
	completions(0, back);
}

static void connect_to(const char *host, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	int one = 1;
	char go;

	peer = socket(AF_INET, SOCK_STREAM, 0);
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || connect(peer, (void *)&to, sizeof(to)) ||
	    setsockopt(peer, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) || read(peer, &go, 1) != 1)
		die("connection");
}

int main(int argc, char **argv)
{
	static const char *const ways[] = {
		"read", "copy", "send", "zerocopy", "forward", "none", "bare", "network", "network-copy"
	};
	struct capture_ring_start start = { .flags = CAPTURE_RING_START_LIMIT };
	unsigned int way = 0, count = sizeof(ways) / sizeof(*ways);
	char end;

	while (argc == 6 && way < count && strcmp(argv[1], ways[way]))
		way++;
	if (argc != 6 || way == count || !(blocks = atoi(argv[2])) || !(block_bytes = atoi(argv[3]))) {
		fprintf(stderr, "usage: cost read|copy|send|zerocopy|forward|none|bare|network|network-copy BLOCKS BLOCK_BYTES"
			" HOST PORT\n");
		return 2;
	}
	start.blocks = blocks;
	prepare(way == 4 || way == 6);
	connect_to(argv[4], argv[5]);
	if (way < 7 && ioctl(device, CAPTURE_RING_IOC_START, &start))
		die("START");
	if (way >= 7)
		still(way == 8);
	else if (!way)
		by_read();
	else if (way == 3 || way == 4)
		zero_copy();
	else
		mapped(way == 1, way < 5);
	shutdown(peer, SHUT_WR);
	while (read(peer, &end, 1) > 0)
		;
	printf("blocks=%u sends=%u copied=%u\n", blocks, sends, copied);
	return 0;
}

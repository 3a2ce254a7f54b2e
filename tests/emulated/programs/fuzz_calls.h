/* SPDX-License-Identifier: MIT */
/*
 * The driver's ioctls for fuzz.c: a table with a builder for each. Most of what a builder makes is valid, or nearly so;
 * what is wrong throughout never gets behind the first check. A call that is added to capture_ring.h needs a line here:
 * tests/unit/test_fuzz_calls.py compares.
 */
#ifndef FUZZ_CALLS_H
#define FUZZ_CALLS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "capture_ring.h"

#define AREAS		8
#define AREA_BYTES	(1u << 20)
#define HELD		64

struct worker {
	uint64_t random;
	unsigned int index;
	uint32_t held[HELD];		/* blocks that this worker has dequeued, as far as it knows */
	unsigned int nr_held;
	void *area[AREAS];		/* memory to register; some of it no good */
	char *ring;			/* a mapping, or NULL */
	size_t ring_bytes;
};

static inline uint32_t random32(struct worker *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random >> 16;
}

static inline uint32_t below(struct worker *w, uint32_t limit)
{
	return random32(w) % limit;
}

/* One time in `n`. */
static inline int once_in(struct worker *w, uint32_t n)
{
	return !below(w, n);
}

/* Numbers at which code goes wrong. */
static inline uint32_t edge(struct worker *w)
{
	switch (below(w, 8)) {
	case 0:
		return 0;
	case 1:
		return below(w, 20);
	case 2:
		return 1u << below(w, 32);
	case 3:
		return (1u << below(w, 32)) - 1;
	case 4:
		return below(w, 1024) * 4096;
	case 5:
		return -below(w, 3);
	case 6:
		return 65536 + below(w, 3) - 1;
	default:
		return random32(w);
	}
}

/* Where nothing may be written: the kernel must refuse it, and this program live on. */
static inline uintptr_t bad_address(struct worker *w)
{
	switch (below(w, 5)) {
	case 0:
		return below(w, 4096);
	case 1:
		return (uintptr_t)w->area[4] + below(w, AREA_BYTES);	/* read-only */
	case 2:
		return (uintptr_t)w->area[0] + AREA_BYTES - 1 - below(w, 64);	/* ends in a page that is not there */
	case 3:
		return (uintptr_t)w->area[7] - below(w, 8192);
	default:
		return 0xc0000000u + random32(w) / 4;
	}
}

static inline uint32_t a_block(struct worker *w)
{
	return w->nr_held && !once_in(w, 8) ? w->held[below(w, w->nr_held)] : below(w, 20);
}

static void make_start(struct worker *w, void *to)
{
	struct capture_ring_start *start = to;

	start->pattern = below(w, 4);
	start->rate = once_in(w, 50) ? 0 : 100000 << below(w, 8);
	if (once_in(w, 3)) {
		start->flags = CAPTURE_RING_START_LIMIT;
		start->blocks = 1 + below(w, 12);
	}
}

static void make_dequeue(struct worker *w, void *to)
{
	((struct capture_ring_batch *)to)->count = 1 + below(w, CAPTURE_RING_BATCH);
}

static void make_enqueue(struct worker *w, void *to)
{
	struct capture_ring_batch *batch = to;
	unsigned int i;

	batch->count = w->nr_held && !once_in(w, 8) ? 1 + below(w, w->nr_held) : 1 + below(w, 4);
	if (batch->count > CAPTURE_RING_BATCH)
		batch->count = CAPTURE_RING_BATCH;
	for (i = 0; i < batch->count; i++)
		batch->block[i].index = w->nr_held ? w->held[--w->nr_held] : below(w, 20);
}

static void make_setup(struct worker *w, void *to)
{
	static const uint32_t bytes[] = { 65536, 65536, 69632, 131072, 65536, 0, 262144, 1048576, 1052672, 3145728 };
	static const uint32_t blocks[] = { 2, 2, 3, 4, 5, 8, 0, 16, 16, 33 };
	struct capture_ring_setup *setup = to;
	uint32_t choice = once_in(w, 16) ? 10 : 6;	/* a large ring takes the checkers' kernel long to make */

	setup->block_bytes = once_in(w, 500) ? 16777216 : bytes[below(w, choice)];
	setup->blocks = once_in(w, 500) ? 1024 : blocks[below(w, choice)];
	setup->overflow = below(w, 3);
	setup->flags = once_in(w, 3) ? below(w, 8) : 0;
}

static void make_end(struct worker *w, void *to)
{
	((struct capture_ring_end *)to)->mode = below(w, 2);
}

static void make_sync(struct worker *w, void *to)
{
	struct capture_ring_sync *sync = to;

	sync->index = a_block(w);
	sync->direction = below(w, 2);
	sync->offset = below(w, 65536);
	sync->bytes = 1 + below(w, 65536);
}

static void make_register(struct worker *w, void *to)
{
	struct capture_ring_user *user = to;

	user->address = (uintptr_t)w->area[below(w, AREAS)];
	user->address += below(w, 8) * (once_in(w, 8) ? 4 : 4096);
	user->bytes = (1 + below(w, 40)) * (once_in(w, 4) ? 64 : 4096);
	user->flags = once_in(w, 2) ? CAPTURE_RING_USER_ONCE : 0;
}

static void make_unregister(struct worker *w, void *to)
{
	((struct capture_ring_user *)to)->index = once_in(w, 2) ? a_block(w) : below(w, 8);
}

#define RESERVED(type)	offsetof(struct type, reserved), sizeof(((struct type *)0)->reserved)

static const struct call {
	const char *name;
	unsigned int request;
	unsigned int weight;
	void (*make)(struct worker *w, void *to);
	size_t reserved, reserved_bytes;	/* must be zero, or the call fails; 0: nothing is read */
} calls[] = {
	{ "INFO", CAPTURE_RING_IOC_INFO, 2, NULL, 0, 0 },
	{ "START", CAPTURE_RING_IOC_START, 12, make_start, RESERVED(capture_ring_start) },
	{ "STOP", CAPTURE_RING_IOC_STOP, 4, NULL, 0, 0 },
	{ "DEQUEUE", CAPTURE_RING_IOC_DEQUEUE, 30, make_dequeue, RESERVED(capture_ring_batch) },
	{ "ENQUEUE", CAPTURE_RING_IOC_ENQUEUE, 30, make_enqueue, RESERVED(capture_ring_batch) },
	{ "STATISTICS", CAPTURE_RING_IOC_STATISTICS, 2, NULL, 0, 0 },
	{ "SETUP", CAPTURE_RING_IOC_SETUP, 4, make_setup, RESERVED(capture_ring_setup) },
	{ "END", CAPTURE_RING_IOC_END, 4, make_end, RESERVED(capture_ring_end) },
	{ "SYNC", CAPTURE_RING_IOC_SYNC, 6, make_sync, RESERVED(capture_ring_sync) },
	{ "REGISTER", CAPTURE_RING_IOC_REGISTER, 12, make_register, RESERVED(capture_ring_user) },
	{ "UNREGISTER", CAPTURE_RING_IOC_UNREGISTER, 4, make_unregister, 0, 0 },
};

#define CALLS	(sizeof(calls) / sizeof(calls[0]))

/* Fill the call's structure at `to`. Returns whether the driver must refuse it. */
static int make_argument(struct worker *w, const struct call *call, unsigned char *to)
{
	size_t size = _IOC_SIZE(call->request), i;

	memset(to, 0, size);
	if (once_in(w, 12)) {
		for (i = 0; i + 4 <= size; i += 4) {
			uint32_t word = edge(w);

			memcpy(to + i, &word, 4);
		}
		/* the DMA would write into this program */
		if (call->make == make_register)
			((struct capture_ring_user *)to)->address = bad_address(w);
		return 0;
	}
	if (call->make)
		call->make(w, to);
	if (!call->reserved_bytes || !once_in(w, 16))
		return 0;
	to[call->reserved + below(w, call->reserved_bytes)] = 1 + below(w, 255);
	return 1;
}

#endif

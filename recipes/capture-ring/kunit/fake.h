/* SPDX-License-Identifier: GPL-2.0-only */
/* A device and a DMA engine that exist in memory only, for the tests. */
#ifndef CAPTURE_KUNIT_FAKE_H
#define CAPTURE_KUNIT_FAKE_H

#include <kunit/test.h>

#include "dma.h"
#include "ring.h"

#define FAKE_BYTES	65536U
#define FAKE_BLOCKS	6U
#define FAKE_DEPTH	4U

/**
 * struct fake - a ring with an engine that fills nothing by itself
 * @dma: the provider; takes up to FAKE_DEPTH blocks
 * @ring: the ring, FAKE_BLOCKS of FAKE_BYTES
 * @queued: blocks that the engine has
 * @order: their indexes since the start, in order
 * @nr_order: number of @order
 * @batch: for one dequeue; too large for the stack
 * @other: for another one
 */
struct fake {
	struct capture_dma dma;
	struct capture_ring ring;
	unsigned int queued;
	u32 order[64];
	unsigned int nr_order;
	struct capture_ring_batch batch;
	struct capture_ring_batch other;
};

struct device *fake_device(struct kunit *test);
struct fake *fake_ring(struct kunit *test);
void fake_fill(struct fake *fake, u32 bytes, u32 flags, u32 gaps, u64 lost_total);

#endif /* CAPTURE_KUNIT_FAKE_H */

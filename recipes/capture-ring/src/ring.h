/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ring: who owns which block, in what order blocks were filled, and what was lost on the way.
 *
 *   FREE -> HARDWARE -> DONE -> USER -> FREE        a capture
 *           HARDWARE -> FREE                        stop: what is not filled to its end is dropped
 *                       DONE -> FREE                the next start, or the last close
 *                               USER -> FREE        the last close
 *
 * The ring knows neither registers nor files. @lock guards states, lists and counters; it is never taken in hard
 * interrupt context. Caches are synchronised outside of it: while a block is in no list nobody else touches it.
 */
#ifndef CAPTURE_RING_H
#define CAPTURE_RING_H

#include <linux/spinlock.h>
#include <linux/wait.h>

#include "block.h"

struct capture_dma;

/**
 * struct capture_ring - all blocks and their order
 * @dev: the device whose DMA writes the blocks
 * @dma: the provider that is fed with FREE blocks
 * @block_bytes: size of a block
 * @nr_blocks: number of @blocks
 * @max_chunks: most chunks a block may have
 * @blocks: the blocks, in the order of the mapping
 * @lock: guards what follows, and @blocks' states
 * @list: blocks by state, oldest first; that of CAPTURE_USER stays empty
 * @count: number of blocks by state
 * @running: a capture runs
 * @gone: the device was unbound; nothing may touch it any more
 * @counters: since the start of the capture; the number of blocks by state is filled in when it is read
 * @wait: woken when a block is DONE, and when @running or @gone changes
 */
struct capture_ring {
	struct device *dev;
	struct capture_dma *dma;
	u32 block_bytes;
	u32 nr_blocks;
	unsigned int max_chunks;
	struct capture_block *blocks;

	spinlock_t lock;	/* guards all that follows, and the blocks' states */
	struct list_head list[CAPTURE_STATES];
	u32 count[CAPTURE_STATES];
	bool running;
	bool gone;
	struct capture_ring_statistics counters;
	wait_queue_head_t wait;
};

void capture_ring_init(struct capture_ring *ring, struct device *dev);
int capture_ring_alloc(struct capture_ring *ring, u32 block_bytes, u32 nr_blocks, unsigned int max_chunks);

void capture_ring_set_running(struct capture_ring *ring, bool running);
void capture_ring_set_gone(struct capture_ring *ring);
void capture_ring_reset(struct capture_ring *ring);
void capture_ring_recover(struct capture_ring *ring);
void capture_ring_reclaim(struct capture_ring *ring);
int capture_ring_renew(struct capture_ring *ring);

void capture_ring_feed(struct capture_ring *ring);
struct capture_block *capture_ring_oldest(struct capture_ring *ring);
void capture_ring_complete(struct capture_ring *ring, u32 bytes, u32 flags, u64 lost_total);

bool capture_ring_readable(struct capture_ring *ring);
u32 capture_ring_dequeue(struct capture_ring *ring, struct capture_ring_batch *batch, u32 most);
void capture_ring_requeue(struct capture_ring *ring, const struct capture_ring_batch *batch);
int capture_ring_enqueue(struct capture_ring *ring, const struct capture_ring_batch *batch);
void capture_ring_statistics(struct capture_ring *ring, struct capture_ring_statistics *statistics);

#endif /* CAPTURE_RING_H */

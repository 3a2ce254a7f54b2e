// SPDX-License-Identifier: GPL-2.0-only
/* The state machine of the blocks: what changes hands between device, driver and user space; see ring.h. */
#include <linux/device.h>

#include "dma.h"
#include "ring.h"
#include "trace.h"

/**
 * capture_ring_readable() - whether a dequeue would return blocks
 * @ring: the ring
 */
bool capture_ring_readable(struct capture_ring *ring)
{
	bool readable;

	spin_lock(&ring->lock);
	readable = !list_empty(&ring->list[CAPTURE_DONE]);
	spin_unlock(&ring->lock);
	return readable;
}

/* From the CPU's hands to the device's. */
static bool for_device(struct capture_ring *ring, struct capture_block *block)
{
	if (block->unmapped) {
		block->synced = false;
		return !capture_block_map(ring->dev, block);
	}
	/* user space may have written to a buffer of its own at any time; nobody can write to ours */
	if (block->synced || block->user)
		capture_block_for_device(ring->dev, block);
	return true;
}

/**
 * capture_ring_prepare() - hand a block from the CPU to the device
 * @ring: the ring
 * @block: the block, in no list
 *
 * Return: whether the DMA may have it.
 */
bool capture_ring_prepare(struct capture_ring *ring, struct capture_block *block)
{
	bool usable;

	if (block->state == CAPTURE_USER)
		trace_capture_block_given_back(&block->filled);
	usable = for_device(ring, block);
	if (!usable)
		dev_err(ring->dev, "block %u cannot be mapped for the DMA again and is out of use until the next SETUP\n",
			block->filled.index);
	return usable;
}

/**
 * capture_ring_free_block() - the block may be filled again
 * @ring: the ring
 * @block: the block, in no list
 */
void capture_ring_free_block(struct capture_ring *ring, struct capture_block *block)
{
	bool usable = capture_ring_prepare(ring, block);

	capture_ring_lock(ring);
	capture_ring_put(ring, block, usable ? CAPTURE_FREE : CAPTURE_NONE);
	capture_ring_unlock(ring);
}

/**
 * capture_ring_dequeue() - hand filled blocks to user space, oldest first
 * @ring: the ring; the caller keeps the device from being unbound
 * @batch: where they are described
 * @most: most blocks to hand over
 *
 * Return: number of blocks.
 */
u32 capture_ring_dequeue(struct capture_ring *ring, struct capture_ring_batch *batch, u32 most)
{
	struct capture_block *block;
	u32 i;

	batch->count = 0;
	capture_ring_lock(ring);
	while (batch->count < most && (block = capture_ring_first(ring, CAPTURE_DONE))) {
		list_del_init(&block->node);
		capture_ring_put(ring, block, CAPTURE_USER);
		batch->block[batch->count++] = block->filled;
		trace_capture_block_taken(&block->filled);
	}
	capture_ring_unlock(ring);
	for (i = 0; i < batch->count && !(ring->flags & CAPTURE_RING_SETUP_FORWARD_ONLY); i++)
		capture_block_for_cpu(ring->dev, &ring->blocks[batch->block[i].index]);
	return batch->count;
}

/**
 * capture_ring_requeue() - undo a dequeue that user space could not be told of
 * @ring: the ring
 * @batch: what capture_ring_dequeue() made
 */
void capture_ring_requeue(struct capture_ring *ring, const struct capture_ring_batch *batch)
{
	u32 i = batch->count;

	capture_ring_lock(ring);
	while (!ring->gone && i--) {
		struct capture_block *block = &ring->blocks[batch->block[i].index];

		if (block->state != CAPTURE_USER)
			continue;
		capture_ring_put(ring, block, CAPTURE_DONE);
		list_move(&block->node, &ring->list[CAPTURE_DONE]);
	}
	capture_ring_unlock(ring);
}

static bool batch_is_owned(struct capture_ring *ring, const struct capture_ring_batch *batch)
{
	u32 i, other, index;

	for (i = 0; i < batch->count; i++) {
		index = batch->block[i].index;
		if (index >= ring->nr_blocks || ring->blocks[index].state != CAPTURE_USER)
			return false;
		for (other = 0; other < i; other++)
			if (batch->block[other].index == index)
				return false;
	}
	return true;
}

/**
 * capture_ring_enqueue() - take blocks back from user space and feed the DMA
 * @ring: the ring; the caller sees to it that there is one enqueue at a time
 * @batch: the blocks; only their index is read
 *
 * Return: 0, or -EINVAL when one of them does not exist, is not user space's, or is named twice; none has changed then.
 */
int capture_ring_enqueue(struct capture_ring *ring, const struct capture_ring_batch *batch)
{
	u32 i, usable = 0;
	bool owned;

	BUILD_BUG_ON(CAPTURE_RING_BATCH > 32);
	spin_lock(&ring->lock);
	owned = batch_is_owned(ring, batch);
	spin_unlock(&ring->lock);
	if (!owned)
		return -EINVAL;
	for (i = 0; i < batch->count; i++)
		if (capture_ring_prepare(ring, &ring->blocks[batch->block[i].index]))
			usable |= BIT(i);
	capture_ring_lock(ring);
	for (i = 0; i < batch->count; i++)
		capture_ring_put(ring, &ring->blocks[batch->block[i].index],
				 usable & BIT(i) ? CAPTURE_FREE : CAPTURE_NONE);
	capture_ring_feed_locked(ring);
	capture_ring_unlock(ring);
	return 0;
}

/**
 * capture_ring_sync() - hand a part of a block between CPU and device, on user space's word
 * @ring: the ring; the caller keeps blocks from being enqueued meanwhile
 * @sync: which part, and to whom
 *
 * Return: 0, or -EINVAL: not user space's, or no such part.
 */
int capture_ring_sync(struct capture_ring *ring, const struct capture_ring_sync *sync)
{
	struct capture_block *block;

	if (sync->index >= ring->nr_blocks)
		return -EINVAL;
	block = &ring->blocks[sync->index];
	if (block->state != CAPTURE_USER || !sync->bytes || sync->offset >= block->bytes ||
	    sync->bytes > block->bytes - sync->offset)
		return -EINVAL;
	/* without forward-only, or after data had to be moved, the whole block is the CPU's until it is enqueued */
	if (block->synced)
		return 0;
	if (sync->direction == CAPTURE_RING_SYNC_FOR_CPU)
		capture_block_range_for_cpu(ring->dev, block, sync->offset, sync->bytes);
	else
		capture_block_range_for_device(ring->dev, block, sync->offset, sync->bytes);
	return 0;
}

/**
 * capture_ring_statistics() - the counters, and how many blocks are in which state
 * @ring: the ring
 * @statistics: filled in; bytes_lost is that of overwritten blocks
 */
void capture_ring_statistics(struct capture_ring *ring, struct capture_ring_statistics *statistics)
{
	spin_lock(&ring->lock);
	*statistics = ring->counters;
	statistics->bytes_lost = ring->overwritten_bytes;
	statistics->blocks_free = ring->count[CAPTURE_FREE];
	statistics->blocks_hardware = ring->count[CAPTURE_HARDWARE];
	statistics->blocks_done = ring->count[CAPTURE_DONE];
	statistics->blocks_user = ring->count[CAPTURE_USER];
	spin_unlock(&ring->lock);
}

/**
 * capture_ring_recovered() - count a lost interrupt
 * @ring: the ring
 */
void capture_ring_recovered(struct capture_ring *ring)
{
	capture_ring_lock(ring);
	ring->counters.recovered++;
	capture_ring_unlock(ring);
}

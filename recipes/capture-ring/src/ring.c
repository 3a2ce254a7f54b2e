// SPDX-License-Identifier: GPL-2.0-only
/* The state machine of the blocks; see ring.h. */
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "dma.h"
#include "ring.h"

/* The block is in no list. */
static void ring_put(struct capture_ring *ring, struct capture_block *block, enum capture_state state)
{
	lockdep_assert_held(&ring->lock);
	ring->count[block->state]--;
	ring->count[state]++;
	block->state = state;
	if (state != CAPTURE_USER)
		list_add_tail(&block->node, &ring->list[state]);
}

static struct capture_block *ring_first(struct capture_ring *ring, enum capture_state state)
{
	lockdep_assert_held(&ring->lock);
	return list_first_entry_or_null(&ring->list[state], struct capture_block, node);
}

/* Oldest block of a state, out of its list; the state itself changes when it is put somewhere. */
static struct capture_block *ring_take(struct capture_ring *ring, enum capture_state state)
{
	struct capture_block *block;

	spin_lock(&ring->lock);
	block = ring_first(ring, state);
	if (block)
		list_del_init(&block->node);
	spin_unlock(&ring->lock);
	return block;
}

/* From the CPU's hands to the device's. */
static void ring_free_block(struct capture_ring *ring, struct capture_block *block)
{
	capture_block_sync_for_device(ring->dev, block);
	spin_lock(&ring->lock);
	ring_put(ring, block, CAPTURE_FREE);
	spin_unlock(&ring->lock);
}

/**
 * capture_ring_init() - make a ring without blocks
 * @ring: zeroed memory
 * @dev: the device whose DMA writes the blocks
 */
void capture_ring_init(struct capture_ring *ring, struct device *dev)
{
	enum capture_state state;

	ring->dev = dev;
	spin_lock_init(&ring->lock);
	init_waitqueue_head(&ring->wait);
	for (state = 0; state < CAPTURE_STATES; state++)
		INIT_LIST_HEAD(&ring->list[state]);
}

static void ring_free(void *data)
{
	struct capture_ring *ring = data;
	u32 i;

	for (i = 0; i < ring->nr_blocks; i++) {
		/* a DMA that could not be stopped may still write: losing the memory is the lesser evil */
		if (ring->blocks[i].state == CAPTURE_HARDWARE)
			continue;
		capture_block_free(ring->dev, &ring->blocks[i]);
	}
	kvfree(ring->blocks);
	ring->blocks = NULL;
}

/**
 * capture_ring_alloc() - give the ring its blocks; they are freed when the device is unbound
 * @ring: ring without blocks
 * @block_bytes: size of a block, a multiple of the page size
 * @nr_blocks: number of blocks
 * @max_chunks: most chunks that the DMA can take for one block
 *
 * Return: 0, or -ENOMEM.
 */
int capture_ring_alloc(struct capture_ring *ring, u32 block_bytes, u32 nr_blocks, unsigned int max_chunks)
{
	u32 i;
	int ret;

	ring->block_bytes = block_bytes;
	ring->max_chunks = max_chunks;
	ring->blocks = kvcalloc(nr_blocks, sizeof(*ring->blocks), GFP_KERNEL);
	if (!ring->blocks)
		return -ENOMEM;
	ring->nr_blocks = nr_blocks;
	for (i = 0; i < nr_blocks; i++) {
		struct capture_block *block = &ring->blocks[i];

		block->filled.index = i;
		ret = capture_block_alloc(ring->dev, block, block_bytes, max_chunks);
		if (ret) {
			ring_free(ring);
			return ret;
		}
		list_add_tail(&block->node, &ring->list[CAPTURE_FREE]);
	}
	ring->count[CAPTURE_FREE] = nr_blocks;
	return devm_add_action_or_reset(ring->dev, ring_free, ring);
}

/**
 * capture_ring_set_running() - note that a capture begins or ends, and tell who waits
 * @ring: the ring
 * @running: whether a capture runs from now on
 */
void capture_ring_set_running(struct capture_ring *ring, bool running)
{
	spin_lock(&ring->lock);
	ring->running = running;
	spin_unlock(&ring->lock);
	wake_up_interruptible_all(&ring->wait);
}

/**
 * capture_ring_set_gone() - note that the device is being unbound, and tell who waits
 * @ring: the ring
 */
void capture_ring_set_gone(struct capture_ring *ring)
{
	spin_lock(&ring->lock);
	ring->gone = true;
	spin_unlock(&ring->lock);
	wake_up_interruptible_all(&ring->wait);
}

/**
 * capture_ring_reset() - begin anew: blocks that nobody dequeued are FREE again, all counters are zero
 * @ring: the ring; no capture runs
 */
void capture_ring_reset(struct capture_ring *ring)
{
	struct capture_block *block;

	while ((block = ring_take(ring, CAPTURE_DONE)))
		ring_free_block(ring, block);
	spin_lock(&ring->lock);
	memset(&ring->counters, 0, sizeof(ring->counters));
	spin_unlock(&ring->lock);
}

/**
 * capture_ring_recover() - take back what the DMA has not filled
 * @ring: the ring; its DMA is known to be quiet
 */
void capture_ring_recover(struct capture_ring *ring)
{
	struct capture_block *block;

	spin_lock(&ring->lock);
	while ((block = ring_first(ring, CAPTURE_HARDWARE))) {
		/* no sync: the CPU has not had it since it was FREE */
		list_del_init(&block->node);
		ring_put(ring, block, CAPTURE_FREE);
	}
	spin_unlock(&ring->lock);
}

/**
 * capture_ring_reclaim() - take back what the last owner of the device left behind
 * @ring: the ring; no capture runs, no file is open
 */
void capture_ring_reclaim(struct capture_ring *ring)
{
	u32 i;

	capture_ring_reset(ring);
	for (i = 0; i < ring->nr_blocks; i++)
		if (ring->blocks[i].state == CAPTURE_USER)
			ring_free_block(ring, &ring->blocks[i]);
}

/**
 * capture_ring_renew() - give new memory to blocks whose pages somebody still reads
 * @ring: the ring; all its blocks are FREE and none is mapped
 *
 * A socket may retransmit from a page long after its owner has closed the device: the next owner must not write there.
 *
 * Return: 0, or -ENOMEM; a later call goes on from there.
 */
int capture_ring_renew(struct capture_ring *ring)
{
	u32 i;
	int ret;

	for (i = 0; i < ring->nr_blocks; i++) {
		if (!capture_block_referenced(&ring->blocks[i]))
			continue;
		ret = capture_block_renew(ring->dev, &ring->blocks[i], ring->block_bytes, ring->max_chunks);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * capture_ring_feed() - give the DMA all FREE blocks for which it has room
 * @ring: the ring; does nothing while no capture runs
 */
void capture_ring_feed(struct capture_ring *ring)
{
	struct capture_block *block;

	spin_lock(&ring->lock);
	while (ring->running) {
		block = ring_first(ring, CAPTURE_FREE);
		if (!block || !ring->dma->ops->queue(ring->dma, block))
			break;
		list_del_init(&block->node);
		ring_put(ring, block, CAPTURE_HARDWARE);
	}
	spin_unlock(&ring->lock);
}

/**
 * capture_ring_oldest() - the block that the DMA fills first
 * @ring: the ring
 *
 * Return: the block, or NULL when the DMA has none.
 */
struct capture_block *capture_ring_oldest(struct capture_ring *ring)
{
	struct capture_block *block;

	spin_lock(&ring->lock);
	block = ring_first(ring, CAPTURE_HARDWARE);
	spin_unlock(&ring->lock);
	return block;
}

/**
 * capture_ring_complete() - the DMA has filled its oldest block
 * @ring: the ring
 * @bytes: number of bytes written
 * @flags: CAPTURE_RING_BLOCK_*
 * @lost_total: bytes that the source has lost since the start of the capture
 *
 * The provider calls it, in process context, one call at a time.
 */
void capture_ring_complete(struct capture_ring *ring, u32 bytes, u32 flags, u64 lost_total)
{
	struct capture_ring_statistics *counters = &ring->counters;
	struct capture_block *block = ring_take(ring, CAPTURE_HARDWARE);
	struct capture_ring_block *filled;

	if (WARN_ON_ONCE(!block))
		return;
	filled = &block->filled;
	filled->time_ns = ktime_get_ns();
	filled->bytes = bytes;
	filled->flags = flags;
	capture_block_sync_for_cpu(ring->dev, block);

	spin_lock(&ring->lock);
	filled->sequence = counters->blocks_filled++;
	filled->lost_bytes = 0;
	counters->bytes_filled += bytes;
	if (flags & CAPTURE_RING_BLOCK_ERROR)
		counters->errors++;
	if (flags & CAPTURE_RING_BLOCK_GAP) {
		/* here bytes_lost is what blocks have reported so far */
		filled->lost_bytes = lost_total - counters->bytes_lost;
		counters->bytes_lost = lost_total;
		counters->gaps++;
	}
	ring_put(ring, block, CAPTURE_DONE);
	spin_unlock(&ring->lock);
	wake_up_interruptible(&ring->wait);
}

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

/**
 * capture_ring_dequeue() - hand filled blocks to user space, oldest first
 * @ring: the ring
 * @batch: where they are described
 * @most: most blocks to hand over
 *
 * Return: number of blocks, 0 also when the device is gone.
 */
u32 capture_ring_dequeue(struct capture_ring *ring, struct capture_ring_batch *batch, u32 most)
{
	struct capture_block *block;
	u32 count = 0;

	spin_lock(&ring->lock);
	while (!ring->gone && count < most) {
		block = ring_first(ring, CAPTURE_DONE);
		if (!block)
			break;
		list_del_init(&block->node);
		ring_put(ring, block, CAPTURE_USER);
		batch->block[count++] = block->filled;
	}
	spin_unlock(&ring->lock);
	batch->count = count;
	return count;
}

/**
 * capture_ring_requeue() - undo a dequeue that user space could not be told of
 * @ring: the ring
 * @batch: what capture_ring_dequeue() made
 */
void capture_ring_requeue(struct capture_ring *ring, const struct capture_ring_batch *batch)
{
	u32 i = batch->count;

	spin_lock(&ring->lock);
	while (!ring->gone && i--) {
		struct capture_block *block = &ring->blocks[batch->block[i].index];

		if (block->state != CAPTURE_USER)
			continue;
		ring_put(ring, block, CAPTURE_DONE);
		list_move(&block->node, &ring->list[CAPTURE_DONE]);
	}
	spin_unlock(&ring->lock);
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
	bool owned;
	u32 i;

	spin_lock(&ring->lock);
	owned = batch_is_owned(ring, batch);
	spin_unlock(&ring->lock);
	if (!owned)
		return -EINVAL;
	for (i = 0; i < batch->count; i++)
		ring_free_block(ring, &ring->blocks[batch->block[i].index]);
	capture_ring_feed(ring);
	return 0;
}

/**
 * capture_ring_statistics() - the counters, and how many blocks are in which state
 * @ring: the ring
 * @statistics: filled in; bytes_lost is what blocks have reported so far
 */
void capture_ring_statistics(struct capture_ring *ring, struct capture_ring_statistics *statistics)
{
	spin_lock(&ring->lock);
	*statistics = ring->counters;
	statistics->blocks_free = ring->count[CAPTURE_FREE];
	statistics->blocks_hardware = ring->count[CAPTURE_HARDWARE];
	statistics->blocks_done = ring->count[CAPTURE_DONE];
	statistics->blocks_user = ring->count[CAPTURE_USER];
	spin_unlock(&ring->lock);
}

// SPDX-License-Identifier: GPL-2.0-only
/* The ring's memory: its own blocks, and places for buffers of user space; see ring.h. */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "ring.h"
#include "user.h"

/**
 * capture_ring_init() - make a ring without blocks
 * @ring: zeroed memory
 * @dev: the device whose DMA writes the blocks
 *
 * Return: 0 or -ENOMEM.
 */
int capture_ring_init(struct capture_ring *ring, struct device *dev)
{
	enum capture_state state;

	ring->status = (void *)get_zeroed_page(GFP_KERNEL);
	if (!ring->status)
		return -ENOMEM;
	ring->status->abi = CAPTURE_RING_ABI;
	ring->dev = dev;
	spin_lock_init(&ring->lock);
	init_waitqueue_head(&ring->wait);
	xa_init(&ring->taken);
	for (state = 0; state < CAPTURE_STATES; state++)
		INIT_LIST_HEAD(&ring->list[state]);
	return 0;
}

/**
 * capture_ring_destroy() - the counterpart of capture_ring_init(); a mapping of the status page keeps that page
 * @ring: ring without blocks
 */
void capture_ring_destroy(struct capture_ring *ring)
{
	xa_destroy(&ring->taken);
	if (ring->status)
		put_page(virt_to_page(ring->status));
}

/**
 * capture_ring_free() - drop all blocks
 * @ring: the ring; no capture runs, user space has none, the caller keeps others away
 */
void capture_ring_free(struct capture_ring *ring)
{
	struct capture_block *blocks = ring->blocks;
	u32 i, nr_blocks = ring->nr_blocks;
	enum capture_state state;

	capture_ring_lock(ring);
	ring->blocks = NULL;
	ring->nr_blocks = 0;
	for (state = 0; state < CAPTURE_STATES; state++) {
		INIT_LIST_HEAD(&ring->list[state]);
		ring->count[state] = 0;
	}
	capture_ring_unlock(ring);
	for (i = 0; i < nr_blocks; i++) {
		/* a DMA that could not be stopped may still write: losing the memory is the lesser evil */
		if (blocks[i].state == CAPTURE_HARDWARE)
			continue;
		if (blocks[i].user) {
			struct capture_user *user = blocks[i].user;

			capture_user_unmap(ring->dev, &blocks[i]);
			capture_user_disclaim(&ring->taken, user);
			capture_user_unpin(user);
		} else {
			capture_block_free(ring->dev, &blocks[i]);
		}
	}
	kvfree(blocks);
}

static int block_fill(struct capture_ring *ring, struct capture_block *block, u32 bytes)
{
	struct page *page;

	if (!ring->region.page)
		return capture_block_alloc(ring->dev, block, bytes);
	page = capture_region_take(&ring->region, (u64)block->filled.index * bytes, bytes);
	return page ? capture_block_place(ring->dev, block, bytes, page) : -ENOMEM;
}

static int ring_fill(struct capture_ring *ring, u32 block_bytes, u32 nr_blocks)
{
	u32 i;
	int ret;

	for (i = 0; i < nr_blocks; i++) {
		struct capture_block *block = &ring->blocks[i];

		ret = block_fill(ring, block, block_bytes);
		if (ret)
			return ret;
		capture_ring_lock(ring);
		capture_ring_put(ring, block, CAPTURE_FREE);
		capture_ring_unlock(ring);
	}
	return 0;
}

/**
 * capture_ring_alloc() - give the ring its blocks
 * @ring: ring without blocks; has none when this fails
 * @block_bytes: size of a block, a multiple of the page size
 * @nr_blocks: number of blocks
 * @flags: CAPTURE_RING_SETUP_*; with CAPTURE_RING_SETUP_USER there are only places for them
 *
 * Return: 0, or -ENOMEM.
 */
int capture_ring_alloc(struct capture_ring *ring, u32 block_bytes, u32 nr_blocks, u32 flags)
{
	struct capture_block *blocks = kvcalloc(nr_blocks, sizeof(*blocks), GFP_KERNEL);
	u32 i;
	int ret;

	if (!blocks)
		return -ENOMEM;
	for (i = 0; i < nr_blocks; i++) {
		INIT_LIST_HEAD(&blocks[i].node);
		blocks[i].filled.index = i;
		blocks[i].state = CAPTURE_NONE;
	}
	ring->block_bytes = block_bytes;
	capture_ring_lock(ring);
	ring->blocks = blocks;
	ring->nr_blocks = nr_blocks;
	ring->count[CAPTURE_NONE] = nr_blocks;
	capture_ring_unlock(ring);
	if (flags & CAPTURE_RING_SETUP_USER)
		return 0;
	ret = ring_fill(ring, block_bytes, nr_blocks);
	if (ret)
		capture_ring_free(ring);
	return ret;
}

/**
 * capture_ring_renew() - give new memory to blocks whose pages somebody still reads
 * @ring: the ring; all its blocks are FREE and none is mapped
 *
 * A socket may retransmit from a page long after its owner has closed the device: the next owner must not write there.
 *
 * Return: 0, or -ENOMEM; a later call goes on from there. For memory that is set aside there is no other.
 */
int capture_ring_renew(struct capture_ring *ring)
{
	u32 i;
	int ret;

	for (i = 0; i < ring->nr_blocks; i++) {
		if (!capture_block_referenced(&ring->blocks[i]))
			continue;
		ret = ring->blocks[i].reserved ? -ENOMEM : capture_block_renew(ring->dev, &ring->blocks[i]);
		if (ret)
			return ret;
	}
	return 0;
}

/**
 * capture_ring_is_held() - whether memory that is set aside for the ring could not be taken again at once
 * @ring: the ring; none of its blocks is mapped
 */
bool capture_ring_is_held(const struct capture_ring *ring)
{
	u32 i;

	for (i = 0; i < ring->nr_blocks; i++)
		if (ring->blocks[i].reserved && capture_block_referenced(&ring->blocks[i]))
			return true;
	return false;
}

/**
 * capture_ring_attach() - take a pinned buffer of user space into the ring
 * @ring: the ring, with CAPTURE_RING_SETUP_USER; the caller sees to it that there is one such call at a time
 * @user: the buffer; still the caller's when this fails
 * @bytes: its length
 * @queue: it may be filled at once, else it is as if it were dequeued
 *
 * Return: its index; -ENOSPC: all places are taken; -EEXIST: so is a page of it; or -ENOMEM.
 */
int capture_ring_attach(struct capture_ring *ring, struct capture_user *user, u32 bytes, bool queue)
{
	struct capture_block *block;
	u32 index;
	int ret;

	for (index = 0; index < ring->nr_blocks; index++)
		if (ring->blocks[index].state == CAPTURE_NONE)
			break;
	if (index == ring->nr_blocks)
		return -ENOSPC;
	block = &ring->blocks[index];
	block->bytes = bytes;
	block->synced = false;
	ret = capture_user_claim(&ring->taken, user);
	if (ret)
		return ret;
	ret = capture_user_map(ring->dev, user, block);
	if (ret) {
		capture_user_disclaim(&ring->taken, user);
		return ret;
	}
	capture_ring_lock(ring);
	capture_ring_put(ring, block, queue ? CAPTURE_FREE : CAPTURE_USER);
	capture_ring_unlock(ring);
	return index;
}

/**
 * capture_ring_detach() - let a buffer of user space go
 * @ring: the ring; the caller sees to it that there is one such call at a time
 * @index: the buffer
 *
 * Return: the buffer, for the caller to unpin, or NULL: there is none, or it is the DMA's, or waits for dequeue.
 */
struct capture_user *capture_ring_detach(struct capture_ring *ring, u32 index)
{
	struct capture_block *block;
	struct capture_user *user;
	bool ours;

	if (index >= ring->nr_blocks || !ring->blocks[index].user)
		return NULL;
	block = &ring->blocks[index];
	capture_ring_lock(ring);
	ours = block->state == CAPTURE_USER || block->state == CAPTURE_FREE;
	if (ours) {
		list_del_init(&block->node);
		capture_ring_put(ring, block, CAPTURE_NONE);
	}
	capture_ring_unlock(ring);
	if (!ours)
		return NULL;
	user = block->user;
	capture_user_unmap(ring->dev, block);
	capture_user_disclaim(&ring->taken, user);
	return user;
}

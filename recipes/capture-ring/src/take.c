// SPDX-License-Identifier: GPL-2.0-only
/* Taking data: waiting, dequeue, and buffers of user space. None needs the lock, each takes it for itself. */
#include <linux/fs.h>

#include "capture.h"
#include "user.h"

/* Also over when there is nothing to wait for. */
static bool wait_is_over(struct capture_ring *ring)
{
	return READ_ONCE(ring->gone) || !READ_ONCE(ring->running) || READ_ONCE(ring->due) ||
	       capture_ring_readable(ring);
}

/**
 * capture_reap_due() - complete what the interrupt has left to who waits for a block
 * @capture: the device, locked
 */
void capture_reap_due(struct capture *capture)
{
	if (READ_ONCE(capture->ring.due))
		capture->dma->ops->reap(capture->dma);
}

/**
 * capture_wait() - wait for a filled block
 * @capture: the device
 * @nonblock: do not
 *
 * Return: 0: there is one, or was; -EAGAIN: @nonblock; -ENODATA: no capture runs, and none left; -ENODEV; -ERESTARTSYS.
 */
int capture_wait(struct capture *capture, bool nonblock)
{
	struct capture_ring *ring = &capture->ring;
	int ret;

	if (!nonblock) {
		ret = wait_event_interruptible(ring->wait, wait_is_over(ring));
		if (ret)
			return ret;
	}
	/* the lock: a stop that is under way may still complete blocks */
	ret = capture_lock(capture);
	if (ret)
		return ret;
	capture_reap_due(capture);
	if (!capture_ring_readable(ring)) {
		if (!ring->running)
			ret = -ENODATA;
		else if (nonblock)
			ret = -EAGAIN;
	}
	capture_unlock(capture);
	return ret;
}

/**
 * capture_dequeue() - take filled blocks, oldest first
 * @capture: the device
 * @batch: in: most blocks to take; out: the blocks
 * @nonblock: do not wait for one
 *
 * Return: 0, or an error of capture_wait(), or -EBUSY: this capture is read with read().
 */
int capture_dequeue(struct capture *capture, struct capture_ring_batch *batch, bool nonblock)
{
	u32 most = batch->count, count = 0;
	int ret;

	for (;;) {
		ret = capture_lock(capture);
		if (ret)
			return ret;
		capture_reap_due(capture);
		if (capture->way == CAPTURE_WAY_STREAM)
			ret = -EBUSY;
		else
			count = capture_ring_dequeue(&capture->ring, batch, most);
		if (count)
			capture->way = CAPTURE_WAY_BLOCKS;
		capture_unlock(capture);
		if (ret || count)
			return ret;
		ret = capture_wait(capture, nonblock);
		if (ret)
			return ret;
	}
}

/**
 * capture_dequeued() - user space knows of dequeued blocks: let go of those that were pinned for one transfer
 * @capture: the device
 * @batch: the blocks
 */
void capture_dequeued(struct capture *capture, const struct capture_ring_batch *batch)
{
	struct capture_ring *ring = &capture->ring;
	struct capture_user *user;
	u32 i, index;

	if (!(READ_ONCE(ring->flags) & CAPTURE_RING_SETUP_USER) || capture_lock(capture))
		return;
	for (i = 0; i < batch->count; i++) {
		index = batch->block[i].index;
		if (index >= ring->nr_blocks || !ring->blocks[index].user || !ring->blocks[index].user->once)
			continue;
		user = capture_ring_detach(ring, index);
		if (user)
			capture_user_unpin(user);
	}
	capture_unlock(capture);
}

/**
 * capture_register() - pin a buffer of user space and take it into the ring
 * @capture: the device
 * @wanted: in: the buffer, checked by the caller; out: its index
 *
 * Return: 0; -EINVAL: the ring is not for buffers of user space; -ENOSPC: full; or an error of capture_user_pin().
 */
int capture_register(struct capture *capture, struct capture_ring_user *wanted)
{
	bool once = wanted->flags & CAPTURE_RING_USER_ONCE;
	struct capture_ring *ring = &capture->ring;
	struct capture_user *user;
	int ret;

	/* the lock may not be held while memory is pinned: the device that is named in messages must be */
	ret = capture_lock(capture);
	if (ret)
		return ret;
	ret = ring->flags & CAPTURE_RING_SETUP_USER ? 0 : -EINVAL;
	get_device(ring->dev);
	capture_unlock(capture);
	user = ret ? ERR_PTR(ret) : capture_user_pin(ring->dev, wanted->address, wanted->bytes, once);
	put_device(ring->dev);
	if (IS_ERR(user))
		return PTR_ERR(user);
	ret = capture_lock(capture);
	if (!ret) {
		ret = ring->flags & CAPTURE_RING_SETUP_USER ? 0 : -EINVAL;
		if (!ret)
			ret = capture_ring_attach(ring, user, wanted->bytes, once);
		if (ret >= 0 && once)
			capture_ring_feed(ring);
		capture_unlock(capture);
	}
	if (ret < 0) {
		capture_user_unpin(user);
		return ret;
	}
	wanted->index = ret;
	return 0;
}

/**
 * capture_unregister() - let go of a buffer of user space
 * @capture: the device
 * @index: the buffer
 *
 * Return: 0, -EINVAL: there is none, or the DMA has it, or it waits for dequeue.
 */
int capture_unregister(struct capture *capture, u32 index)
{
	struct capture_user *user;
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	user = capture_ring_detach(&capture->ring, index);
	capture_unlock(capture);
	if (!user)
		return -EINVAL;
	capture_user_unpin(user);
	return 0;
}

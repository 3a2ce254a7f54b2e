// SPDX-License-Identifier: GPL-2.0-only
/* What the device does as a whole: start, stop, change of owner, unplug. All but capture_complete() need the lock. */
#include <linux/device.h>
#include <linux/slab.h>

#include "capture.h"

/**
 * capture_create() - make a capture device that knows nothing yet but its platform device
 * @dev: the platform device
 *
 * Return: the device with one reference, or NULL.
 */
struct capture *capture_create(struct device *dev)
{
	struct capture *capture = kzalloc(sizeof(*capture), GFP_KERNEL);

	if (!capture)
		return NULL;
	kref_init(&capture->kref);
	mutex_init(&capture->lock);
	capture->dev = dev;
	capture_ring_init(&capture->ring, dev);
	return capture;
}

static void capture_free(struct kref *kref)
{
	struct capture *capture = container_of(kref, struct capture, kref);

	mutex_destroy(&capture->lock);
	kfree(capture);
}

/**
 * capture_put() - drop a reference
 * @capture: the device; gone when this was the last one
 */
void capture_put(struct capture *capture)
{
	kref_put(&capture->kref, capture_free);
}

/**
 * capture_lock() - keep the device from being unbound
 * @capture: the device
 *
 * Return: 0, or -ENODEV when it is unbound already; the lock is not held then.
 */
int capture_lock(struct capture *capture)
{
	mutex_lock(&capture->lock);
	if (!capture->ring.gone)
		return 0;
	mutex_unlock(&capture->lock);
	return -ENODEV;
}

/**
 * capture_unlock() - the counterpart of capture_lock()
 * @capture: the device
 */
void capture_unlock(struct capture *capture)
{
	mutex_unlock(&capture->lock);
}

/**
 * capture_start() - begin a capture
 * @capture: the device
 * @start: pattern and rate, checked by the caller
 *
 * Return: 0, -EBUSY: one runs already, -EIO: the DMA hangs, or another error of the hardware.
 */
int capture_start(struct capture *capture, const struct capture_ring_start *start)
{
	int ret;

	if (capture->ring.running)
		return -EBUSY;
	if (capture->stuck)
		return -EIO;
	capture_ring_reset(&capture->ring);
	ret = capture->dma->ops->start(capture->dma);
	if (ret)
		return ret;
	/* the DMA has no descriptor yet, so it takes nothing that the FIFO still holds from the capture before */
	ret = capture_source_prepare(&capture->source, start);
	if (ret) {
		capture->dma->ops->stop(capture->dma);
		return ret;
	}
	capture_ring_set_running(&capture->ring, true);
	capture_ring_feed(&capture->ring);
	capture_source_run(&capture->source, true);
	return 0;
}

/**
 * capture_stop() - end a capture; filled blocks can still be dequeued, a block filled in part is dropped
 * @capture: the device; harmless when no capture runs
 *
 * Return: 0, or -EIO: the DMA does not stop, its blocks are out of use for good.
 */
int capture_stop(struct capture *capture)
{
	int ret;

	if (!capture->ring.running)
		return 0;
	capture_source_run(&capture->source, false);
	capture_ring_set_running(&capture->ring, false);
	ret = capture->dma->ops->stop(capture->dma);
	if (ret) {
		capture->stuck = true;
		dev_err(capture->dev, "the DMA does not stop (%d): its blocks are out of use until the board is reset\n",
			ret);
		return -EIO;
	}
	capture_ring_recover(&capture->ring);
	/* again: blocks may have become DONE on the way */
	wake_up_interruptible_all(&capture->ring.wait);
	return 0;
}

/**
 * capture_complete() - the provider reports its oldest block as filled
 * @capture: the device
 * @bytes: bytes written
 * @flags: CAPTURE_RING_BLOCK_*
 */
void capture_complete(struct capture *capture, u32 bytes, u32 flags)
{
	u64 lost = flags & CAPTURE_RING_BLOCK_GAP ? capture_source_lost(&capture->source) : 0;

	capture_ring_complete(&capture->ring, bytes, flags, lost);
}

/**
 * capture_acquire() - become the owner
 * @capture: the device
 *
 * Return: 0, -EBUSY: there is an owner, -EIO: the DMA hangs, -ENOMEM: pages that a socket or a disk still reads could
 * not be replaced.
 */
int capture_acquire(struct capture *capture)
{
	int ret;

	if (capture->opened)
		return -EBUSY;
	if (capture->stuck)
		return -EIO;
	ret = capture_ring_renew(&capture->ring);
	if (ret)
		return ret;
	capture->opened = true;
	kref_get(&capture->kref);
	return 0;
}

/**
 * capture_release() - the owner goes, and leaves all blocks FREE
 * @capture: the device
 */
void capture_release(struct capture *capture)
{
	capture_stop(capture);
	capture_ring_reclaim(&capture->ring);
	capture->opened = false;
}

/**
 * capture_unplug() - the device is about to be unbound: stop, and let every call fail from now on
 * @capture: the device
 */
void capture_unplug(struct capture *capture)
{
	capture_stop(capture);
	capture_ring_set_gone(&capture->ring);
}

// SPDX-License-Identifier: GPL-2.0-only
/* What the device does as a whole: start, stop, drain, abort, watch. All but capture_complete() need the lock. */
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/slab.h>

#include "capture.h"

#define WATCH_MS	20
#define DRAIN_STEP_US	100
#define DRAIN_STEPS	1000	/* without progress */

static void watch(struct work_struct *work);
static void end_by_itself(struct work_struct *work);

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
	mutex_init(&capture->stream.lock);
	INIT_DELAYED_WORK(&capture->watch, watch);
	INIT_WORK(&capture->end, end_by_itself);
	capture->dev = dev;
	if (!capture_ring_init(&capture->ring, dev))
		return capture;
	kfree(capture);
	return NULL;
}

static void capture_free(struct kref *kref)
{
	struct capture *capture = container_of(kref, struct capture, kref);

	capture_ring_destroy(&capture->ring);
	mutex_destroy(&capture->stream.lock);
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
	if (capture->ring.gone) {
		mutex_unlock(&capture->lock);
		return -ENODEV;
	}
	return 0;
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
 * @start: what user space wants, checked by the caller
 *
 * Return: 0, -EBUSY: one runs already, -ENOMEM: no ring, -EIO: the DMA hangs, or another error of the hardware.
 */
int capture_start(struct capture *capture, const struct capture_ring_start *start)
{
	struct capture_ring *ring = &capture->ring;
	int ret;

	if (ring->running)
		return -EBUSY;
	if (capture->stuck)
		return -EIO;
	if (!ring->nr_blocks)
		return -ENOMEM;
	capture_stream_reset(capture);
	capture_ring_reset(ring);
	ret = capture->dma->ops->start(capture->dma);
	if (ret)
		return ret;
	/* the DMA has no descriptor yet, so it takes nothing that the FIFO still holds from the capture before */
	ret = capture_source_prepare(&capture->source, start);
	if (ret) {
		capture->dma->ops->stop(capture->dma);
		return ret;
	}
	capture->way = CAPTURE_WAY_OPEN;
	capture->warned = false;
	capture->loss_ends = 0;
	capture_ring_begin(ring, start->flags & CAPTURE_RING_START_LIMIT ? start->blocks : 0);
	capture_ring_feed(ring);
	capture_source_run(&capture->source, true);
	schedule_delayed_work(&capture->watch, msecs_to_jiffies(WATCH_MS));
	return 0;
}

static int stop_dma(struct capture *capture)
{
	int ret = capture->dma->ops->stop(capture->dma);

	if (!ret)
		return 0;
	capture->stuck = true;
	capture_ring_set_state(&capture->ring, CAPTURE_RING_STATE_FAILED);
	dev_err(capture->dev,
		"the DMA does not stop (%d): its blocks are out of use, reset the board or load the fabric again\n",
		ret);
	return -EIO;
}

/**
 * capture_stop() - end a capture; filled blocks can still be dequeued, a block filled in part is dropped
 * @capture: the device; harmless when no capture runs
 *
 * Return: 0, or -EIO: the DMA does not stop, its blocks are out of use for good.
 */
int capture_stop(struct capture *capture)
{
	struct capture_ring *ring = &capture->ring;
	int ret;

	if (!ring->running)
		return 0;
	capture_source_run(&capture->source, false);
	capture_ring_end(ring, CAPTURE_RING_STATE_STOPPED);
	ret = stop_dma(capture);
	if (ret)
		return ret;
	capture_ring_recover(ring);
	/* again: blocks may have become DONE on the way */
	wake_up_interruptible_all(&ring->wait);
	return 0;
}

/* There is no block that the DMA has or could get: nothing is taken until user space gives one back. */
static bool is_starved(struct capture_ring *ring)
{
	bool starved;

	capture_ring_lock(ring);
	starved = !ring->count[CAPTURE_HARDWARE] && !ring->count[CAPTURE_FREE] &&
		  !(ring->count[CAPTURE_DONE] && ring->overflow == CAPTURE_RING_OVERFLOW_OVERWRITE_OLDEST);
	capture_ring_unlock(ring);
	return starved;
}

/* Let the DMA take what the FIFO holds, as long as it takes something. Return: what is left. */
static u32 empty_fifo(struct capture *capture)
{
	u32 level, last = U32_MAX;
	int steps = 0;

	for (;;) {
		bool starved = is_starved(&capture->ring);

		level = capture_source_level(&capture->source);
		if (!level || starved || (level == last && ++steps > DRAIN_STEPS))
			return level;
		if (level != last)
			steps = 0;
		last = level;
		usleep_range(DRAIN_STEP_US, 2 * DRAIN_STEP_US);
	}
}

/* The block holds @bytes; chunks that the DMA has done may have ended early, with a hole behind them. */
static u32 close_up_part(struct capture *capture, struct capture_block *block, u32 bytes)
{
	const struct capture_dma_part *known = &capture->dma->part;
	unsigned int i;

	block->chunks[known->chunk].filled = bytes - known->bytes;
	for (i = known->chunk + 1; i < block->nr_chunks; i++)
		block->chunks[i].filled = 0;
	return capture_block_close_up(capture->ring.dev, block) ? CAPTURE_RING_BLOCK_ERROR : 0;
}

/*
 * The DMA is quiet, and what it took of the source is in memory: what no full block accounts for is in the oldest
 * block. So are losses that no block has reported, if they are not right behind it, and maybe such as were counted when
 * a block reported one before them.
 */
static u64 deliver_part(struct capture *capture, u64 taken)
{
	const struct capture_dma_part *known = &capture->dma->part;
	struct capture_ring *ring = &capture->ring;
	struct capture_block *block = capture_ring_oldest(ring);
	u64 part = taken - ring->counters.bytes_filled, lost = capture_source_lost(&capture->source);
	bool gap = lost != ring->source_lost || capture->loss_ends > ring->counters.bytes_filled;
	u32 flags = CAPTURE_RING_BLOCK_SHORT | known->flags | (gap ? CAPTURE_RING_BLOCK_GAP : 0);

	if (!block || ring->ending || !part || part >= block->bytes || part < known->bytes)
		return 0;
	flags |= close_up_part(capture, block, part);
	capture_ring_complete(ring, part, flags, max_t(u32, known->gaps, gap), lost);
	return part;
}

/**
 * capture_drain() - end a capture, and deliver all that the source has produced
 * @capture: the device; harmless when no capture runs
 * @end: filled in: what became of the last bytes
 *
 * Return: 0; -EOPNOTSUPP: the provider can't tell what it has written of a block; -EIO: the DMA does not stop.
 */
int capture_drain(struct capture *capture, struct capture_ring_end *end)
{
	struct capture_ring *ring = &capture->ring;
	u64 taken;
	int ret;

	if (!capture->dma->stops_anywhere)
		return -EOPNOTSUPP;
	if (!ring->running)
		return 0;
	capture_source_run(&capture->source, false);
	end->left = empty_fifo(capture);
	taken = capture_source_produced(&capture->source) - capture_source_lost(&capture->source) - end->left;
	ret = stop_dma(capture);
	if (!ret)
		end->bytes = deliver_part(capture, taken);
	capture_ring_end(ring, CAPTURE_RING_STATE_STOPPED);
	if (!ret)
		capture_ring_recover(ring);
	wake_up_interruptible_all(&ring->wait);
	return ret;
}

/**
 * capture_abort() - end a capture, and drop what was not dequeued
 * @capture: the device; harmless when no capture runs
 *
 * Return: 0, or -EIO: the DMA does not stop.
 */
int capture_abort(struct capture *capture)
{
	int ret = capture_stop(capture);

	capture_stream_reset(capture);
	capture_ring_drop(&capture->ring);
	return ret;
}

/* A capture that is over by itself (policy "stop", last block of a window) is stopped where waiting is allowed. */
static void end_by_itself(struct work_struct *work)
{
	struct capture *capture = container_of(work, struct capture, end);

	if (capture_lock(capture))
		return;
	if (capture->ring.running && capture->ring.ending)
		capture_stop(capture);
	capture_unlock(capture);
}

/* No block for the DMA, and the source has begun to drop: policy "stop" ends it here, no block would tell. */
static bool has_run_dry(struct capture *capture)
{
	struct capture_ring *ring = &capture->ring;
	bool dry;

	if (ring->overflow != CAPTURE_RING_OVERFLOW_STOP || !capture_source_lost(&capture->source))
		return false;
	capture_ring_lock(ring);
	dry = ring->running && !ring->ending && !ring->count[CAPTURE_HARDWARE];
	if (dry) {
		ring->ending = true;
		ring->state = CAPTURE_RING_STATE_OVERFLOW;
	}
	capture_ring_unlock(ring);
	return dry;
}

static void watch(struct work_struct *work)
{
	struct capture *capture = container_of(work, struct capture, watch.work);

	if (!READ_ONCE(capture->ring.running))
		return;
	if (capture->dma->ops->check(capture->dma)) {
		capture_ring_recovered(&capture->ring);
		if (!capture->warned)
			dev_warn(capture->dev,
				 "an interrupt of the DMA was lost; its blocks were found by looking, no data are lost. If it goes on, check the interrupt in the device tree and the fabric\n");
		capture->warned = true;
		capture_ring_feed(&capture->ring);
	}
	if (has_run_dry(capture))
		schedule_work(&capture->end);
	schedule_delayed_work(&capture->watch, msecs_to_jiffies(WATCH_MS));
}

/**
 * capture_complete_lost() - the provider reports its oldest block as filled, and knows what was lost
 * @capture: the device
 * @bytes: bytes written
 * @flags: CAPTURE_RING_BLOCK_*
 * @gaps: number of gaps in it, as far as the hardware tells them apart
 * @lost: with CAPTURE_RING_BLOCK_GAP: bytes that the source has lost since the start, this gap's included
 */
void capture_complete_lost(struct capture *capture, u32 bytes, u32 flags, u32 gaps, u64 lost)
{
	capture_ring_complete(&capture->ring, bytes, flags, gaps, lost);
	if (READ_ONCE(capture->ring.ending) && READ_ONCE(capture->ring.running))
		schedule_work(&capture->end);
}

/**
 * capture_complete() - the provider reports its oldest block as filled, and leaves it to the source what was lost
 * @capture: the device
 * @bytes: bytes written
 * @flags: CAPTURE_RING_BLOCK_*
 * @gaps: number of gaps in it, as far as the hardware tells them apart
 */
void capture_complete(struct capture *capture, u32 bytes, u32 flags, u32 gaps)
{
	u64 lost = 0;

	if (flags & CAPTURE_RING_BLOCK_GAP) {
		lost = capture_source_lost(&capture->source);
		/* read behind it: what was lost and counted lies no further */
		capture->loss_ends = capture_source_produced(&capture->source) - lost;
	}
	capture_complete_lost(capture, bytes, flags, gaps, lost);
}

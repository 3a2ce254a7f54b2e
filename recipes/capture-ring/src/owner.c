// SPDX-License-Identifier: GPL-2.0-only
/* The device and its owner: what one may wish for, and how it changes hands. All need the lock. */
#include <linux/device.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/sizes.h>

#include "capture.h"

static unsigned int max_ring_mib = 512;
module_param(max_ring_mib, uint, 0644);
MODULE_PARM_DESC(max_ring_mib, "Largest ring that SETUP grants, in MiB (default 512)");

/**
 * capture_size_is_valid() - whether a ring may be of that size
 * @block_bytes: bytes in a block
 * @blocks: number of blocks
 */
bool capture_size_is_valid(u32 block_bytes, u32 blocks)
{
	return block_bytes >= CAPTURE_RING_BLOCK_BYTES_MIN && block_bytes <= CAPTURE_RING_BLOCK_BYTES_MAX &&
	       PAGE_ALIGNED(block_bytes) && blocks >= CAPTURE_RING_BLOCKS_MIN && blocks <= CAPTURE_RING_BLOCKS_MAX;
}

/* The ring as it is wanted; what was there is gone. */
static int replace(struct capture *capture, u32 block_bytes, u32 blocks, u32 flags)
{
	capture_ring_free(&capture->ring);
	return capture_ring_alloc(&capture->ring, block_bytes, blocks, flags);
}

static bool is_shaped(const struct capture_ring *ring, u32 block_bytes, u32 blocks, u32 flags)
{
	return ring->nr_blocks == blocks && ring->block_bytes == block_bytes &&
	       !((ring->flags ^ flags) & CAPTURE_RING_SETUP_USER);
}

static bool has_buffers(const struct capture_ring *ring)
{
	return (ring->flags & CAPTURE_RING_SETUP_USER) && ring->count[CAPTURE_NONE] != ring->nr_blocks;
}

/* Memory for both is not there: the old ring goes first, and comes back when the new one cannot be had. */
static int reshape(struct capture *capture, const struct capture_ring_setup *setup)
{
	struct capture_ring *ring = &capture->ring;
	u32 block_bytes = ring->block_bytes, blocks = ring->nr_blocks, flags = ring->flags;
	int ret;

	if (atomic_read(&capture->mappings) || has_buffers(ring) || capture_ring_is_held(ring))
		return -EBUSY;
	if (!(setup->flags & CAPTURE_RING_SETUP_USER) &&
	    (u64)setup->block_bytes * setup->blocks > min_t(u64, (u64)max_ring_mib * SZ_1M, CAPTURE_RING_STATUS_OFFSET))
		return -E2BIG;
	ret = replace(capture, setup->block_bytes, setup->blocks, setup->flags);
	if (!ret)
		return 0;
	dev_notice(capture->dev, "no memory for %u blocks of %u bytes: take fewer or smaller ones\n", setup->blocks,
		   setup->block_bytes);
	if (blocks && capture_ring_alloc(ring, block_bytes, blocks, flags))
		dev_err(capture->dev, "no memory for the ring as it was, either: SETUP a smaller one\n");
	return ret;
}

/**
 * capture_setup() - give the owner the ring that it wants
 * @capture: the device
 * @setup: checked by the caller, sizes filled in
 *
 * Return: 0, -EBUSY: in use; -E2BIG: too large; -ENOMEM: not there, the ring is the one before; -EIO: the DMA hangs.
 */
int capture_setup(struct capture *capture, const struct capture_ring_setup *setup)
{
	struct capture_ring *ring = &capture->ring;
	int ret;

	if (ring->running)
		return -EBUSY;
	if (capture->stuck)
		return -EIO;
	capture_stream_reset(capture);
	if (ring->count[CAPTURE_USER])
		return -EBUSY;
	capture_ring_reset(ring);
	if (!is_shaped(ring, setup->block_bytes, setup->blocks, setup->flags)) {
		ret = reshape(capture, setup);
		if (ret)
			return ret;
	}
	capture->way = CAPTURE_WAY_OPEN;
	ring->overflow = setup->overflow;
	ring->flags = setup->flags;
	capture_ring_set_state(ring, CAPTURE_RING_STATE_IDLE);
	return 0;
}

static int default_ring(struct capture *capture)
{
	struct capture_ring *ring = &capture->ring;
	int ret;

	if (is_shaped(ring, capture->block_bytes, capture->blocks, 0))
		ret = capture_ring_renew(ring);
	else
		ret = replace(capture, capture->block_bytes, capture->blocks, 0);
	ring->overflow = CAPTURE_RING_OVERFLOW_DROP_NEWEST;
	ring->flags = 0;
	return ret;
}

/**
 * capture_acquire() - become the owner
 * @capture: the device
 *
 * Return: 0, -EBUSY: there is an owner, -EIO: the DMA hangs, -ENOMEM: no memory for the ring of the device tree, or
 * pages that a socket or a disk still reads could not be replaced.
 */
int capture_acquire(struct capture *capture)
{
	int ret;

	if (capture->opened)
		return -EBUSY;
	if (capture->stuck)
		return -EIO;
	ret = default_ring(capture);
	if (ret)
		return ret;
	capture_ring_set_state(&capture->ring, CAPTURE_RING_STATE_IDLE);
	capture->way = CAPTURE_WAY_OPEN;
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
	capture_stream_reset(capture);
	if (capture->ring.flags & CAPTURE_RING_SETUP_USER)
		capture_ring_free(&capture->ring);
	else
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
	capture_stream_reset(capture);
	capture_ring_set_gone(&capture->ring);
}

/**
 * capture_unplugged() - behind capture_unplug(): wait for what may still run; without the lock
 * @capture: the device
 */
void capture_unplugged(struct capture *capture)
{
	cancel_delayed_work_sync(&capture->watch);
	cancel_work_sync(&capture->end);
}

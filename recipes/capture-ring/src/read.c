// SPDX-License-Identifier: GPL-2.0-only
/*
 * read(): the capture as a stream of bytes, copied.
 *
 * Copybreak. A block that was filled can be made the CPU's in two ways. Synchronise what is copied, copy, synchronise
 * it back: the block stays mapped for the DMA. Or end its mapping, copy, map it again when all of it is read. The first
 * costs by the byte that is read, the second by the block, so there is a length from which on the second is cheaper:
 *
 *	sync_for_cpu(n) + copy(n) + sync_for_device(n)  >?<  unmap(block) + map(block) + copy(n)
 *
 * The module's parameter copybreak sets it in bytes; 0 measures both sides when the device is bound.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/uio.h>

#include "capture.h"
#include "trace.h"

static unsigned int copybreak;
module_param(copybreak, uint, 0644);
MODULE_PARM_DESC(copybreak, "Shorter reads synchronise what they copy, longer ones unmap the block (bytes; 0: measure)");

/**
 * capture_copybreak() - measure at which length unmapping and mapping a block costs as much as synchronising twice
 * @capture: the device; no capture runs, there are blocks
 *
 * Return: the length in bytes.
 */
u32 capture_copybreak(struct capture *capture)
{
	struct capture_block *block = &capture->ring.blocks[0];
	struct device *dev = capture->ring.dev;
	ktime_t begin = ktime_get();
	u64 by_sync, by_map;

	capture_block_range_for_cpu(dev, block, 0, PAGE_SIZE);
	capture_block_range_for_device(dev, block, 0, PAGE_SIZE);
	by_sync = max_t(u64, ktime_to_ns(ktime_sub(ktime_get(), begin)), 1);
	begin = ktime_get();
	capture_block_unmap(dev, block);
	if (capture_block_map(dev, block))
		return U32_MAX;
	by_map = ktime_to_ns(ktime_sub(ktime_get(), begin));
	return min_t(u64, div64_u64(by_map * PAGE_SIZE, by_sync), block->bytes);
}

/**
 * capture_stream_reset() - forget where read() was; with the lock
 * @capture: the device
 */
void capture_stream_reset(struct capture *capture)
{
	struct capture_block *block = capture->stream.block;

	capture->stream.block = NULL;
	capture->stream.told = false;
	if (block)
		capture_ring_free_block(&capture->ring, block);
}

static void next_block(struct capture *capture)
{
	capture_stream_reset(capture);
	capture_ring_feed(&capture->ring);
}

/* What stands before the first byte of the oldest block. Return: 0 or the error that read() reports, once. */
static int obstacle(struct capture *capture, bool begun)
{
	struct capture_ring *ring = &capture->ring;
	struct capture_block *block;
	u32 flags = 0;

	spin_lock(&ring->lock);
	block = capture_ring_first(ring, CAPTURE_DONE);
	if (block)
		flags = block->filled.flags;
	spin_unlock(&ring->lock);
	if ((flags & CAPTURE_RING_BLOCK_GAP) && !capture->stream.told) {
		/* short of a gap first; it is told when it stands at the beginning of a read */
		capture->stream.told = !begun;
		return -EOVERFLOW;
	}
	return flags & CAPTURE_RING_BLOCK_ERROR ? -EIO : 0;
}

static void begin_block(struct capture *capture, size_t wanted)
{
	struct capture_ring *ring = &capture->ring;
	struct capture_stream *stream = &capture->stream;
	struct capture_block *block;

	capture_ring_lock(ring);
	block = capture_ring_first(ring, CAPTURE_DONE);
	if (block) {
		list_del_init(&block->node);
		capture_ring_put(ring, block, CAPTURE_USER);
		trace_capture_block_taken(&block->filled);
	}
	capture_ring_unlock(ring);
	stream->block = block;
	stream->offset = 0;
	stream->told = false;
	if (!block)
		return;
	capture->way = CAPTURE_WAY_STREAM;
	if (!block->synced && wanted >= min(stream->copybreak, block->filled.bytes))
		capture_block_unmap(ring->dev, block);
}

static void hold(struct page *page, u32 within, u32 bytes)
{
	u32 i;

	for (i = 0; i < PFN_UP(within + bytes); i++)
		get_page(page + i);
}

static void let_go(struct page *page, u32 within, u32 bytes)
{
	u32 i;

	for (i = 0; i < PFN_UP(within + bytes); i++)
		put_page(page + i);
}

/* Locked. Return: length of the piece at @page + @within that is the CPU's now, 0: no data, or an error. */
static int take_piece(struct capture *capture, size_t wanted, bool begun, struct page **page, u32 *within)
{
	struct capture_ring *ring = &capture->ring;
	struct capture_stream *stream = &capture->stream;
	u32 part;
	int ret;

	if (capture->way == CAPTURE_WAY_BLOCKS || (ring->flags & CAPTURE_RING_SETUP_USER))
		return -EBUSY;
	while (!stream->block) {
		ret = obstacle(capture, begun);
		if (ret && (ret != -EIO || begun))
			return ret;
		begin_block(capture, wanted);
		if (!stream->block)
			return ring->state == CAPTURE_RING_STATE_IDLE ? -ENODATA : 0;
		if (ret || !stream->block->filled.bytes)
			next_block(capture);
		if (ret)
			return ret;
	}
	part = capture_block_find(stream->block, stream->offset, page, within);
	part = min_t(size_t, min(part, stream->block->filled.bytes - stream->offset), wanted);
	if (!stream->block->synced && !stream->block->unmapped)
		capture_block_range_for_cpu(ring->dev, stream->block, stream->offset, part);
	hold(*page, *within, part);
	return part;
}

/* Locked; the block may be another one, or gone, when the capture was started anew meanwhile. */
static void give_back_piece(struct capture *capture, struct capture_block *block, u32 offset, u32 part, u32 copied)
{
	struct capture_stream *stream = &capture->stream;

	if (!block || stream->block != block || stream->offset != offset)
		return;
	if (!block->synced && !block->unmapped)
		capture_block_range_for_device(capture->ring.dev, block, offset, part);
	stream->offset += copied;
	if (stream->offset == block->filled.bytes)
		next_block(capture);
}

/* Return: bytes copied, 0: none there, or an error. */
static ssize_t read_piece(struct capture *capture, struct iov_iter *to, bool begun)
{
	struct capture_block *block;
	struct page *page;
	u32 within, offset;
	size_t copied;
	int ret, part;

	ret = capture_lock(capture);
	if (ret)
		return ret;
	part = take_piece(capture, iov_iter_count(to), begun, &page, &within);
	block = capture->stream.block;
	offset = capture->stream.offset;
	capture_unlock(capture);
	if (part <= 0)
		return part;
	/* without the lock: user memory may have to be paged in; the pages are held, even if the device goes away */
	copied = copy_to_iter(page_address(page) + within, part, to);
	let_go(page, within, part);
	if (!capture_lock(capture)) {
		give_back_piece(capture, block, offset, part, copied);
		capture_unlock(capture);
	}
	return copied ? copied : -EFAULT;
}

static ssize_t read_some(struct capture *capture, struct iov_iter *to, bool nonblock)
{
	ssize_t ret, done = 0;

	while (iov_iter_count(to)) {
		ret = read_piece(capture, to, done > 0);
		if (ret > 0) {
			done += ret;
			continue;
		}
		if (ret || done)
			return done ? done : ret;
		ret = capture_wait(capture, nonblock);
		if (ret)
			return ret == -ENODATA ? 0 : ret;
	}
	return done;
}

/**
 * capture_read_iter() - the file's read
 * @iocb: the read
 * @to: where to
 *
 * Return: bytes, 0: the capture has ended, or an error of the UAPI header.
 */
ssize_t capture_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct capture *capture = iocb->ki_filp->private_data;
	bool nonblock = (iocb->ki_filp->f_flags & O_NONBLOCK) || (iocb->ki_flags & IOCB_NOWAIT);
	ssize_t ret;

	if (nonblock) {
		if (!mutex_trylock(&capture->stream.lock))
			return -EAGAIN;
	} else if (mutex_lock_interruptible(&capture->stream.lock)) {
		return -ERESTARTSYS;
	}
	capture->stream.copybreak = copybreak ? copybreak : capture->stream.copybreak;
	ret = read_some(capture, to, nonblock);
	mutex_unlock(&capture->stream.lock);
	return ret;
}

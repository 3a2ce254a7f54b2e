// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls; include/uapi/capture_ring.h is their manual. Bad input is refused before anything changes. */
#include <linux/fs.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "capture.h"

static int ioctl_info(struct capture *capture, void __user *to)
{
	struct capture_ring *ring = &capture->ring;
	struct capture_ring_info info = { .abi = CAPTURE_RING_ABI };
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	info.fabric_id = capture->source.fabric_id;
	info.block_bytes = ring->block_bytes;
	info.blocks = ring->nr_blocks;
	info.map_bytes = (u64)ring->nr_blocks * ring->block_bytes;
	info.source_fifo_bytes = capture_source_fifo_bytes(&capture->source);
	capture_unlock(capture);
	return copy_to_user(to, &info, sizeof(info)) ? -EFAULT : 0;
}

static int ioctl_start(struct capture *capture, const void __user *from)
{
	struct capture_ring_start start;
	int ret;

	if (copy_from_user(&start, from, sizeof(start)))
		return -EFAULT;
	if (start.flags || memchr_inv(start.reserved, 0, sizeof(start.reserved)) || !capture_source_accepts(&start))
		return -EINVAL;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	ret = capture_start(capture, &start);
	capture_unlock(capture);
	return ret;
}

static int ioctl_stop(struct capture *capture)
{
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	ret = capture_stop(capture);
	capture_unlock(capture);
	return ret;
}

static int batch_from_user(struct capture_ring_batch *batch, const void __user *from)
{
	if (copy_from_user(batch, from, sizeof(*batch)))
		return -EFAULT;
	if (!batch->count || batch->count > CAPTURE_RING_BATCH || batch->flags || batch->reserved)
		return -EINVAL;
	return 0;
}

/* Also over when there is nothing to wait for. */
static bool wait_is_over(struct capture_ring *ring)
{
	return READ_ONCE(ring->gone) || !READ_ONCE(ring->running) || capture_ring_readable(ring);
}

static int dequeue(struct capture *capture, struct capture_ring_batch *batch, bool nonblock)
{
	struct capture_ring *ring = &capture->ring;
	u32 most = batch->count;
	bool over = false;
	int ret;

	for (;;) {
		if (READ_ONCE(ring->gone))
			return -ENODEV;
		if (capture_ring_dequeue(ring, batch, most))
			return 0;
		if (nonblock)
			return -EAGAIN;
		if (over)
			return -ENODATA;
		ret = wait_event_interruptible(ring->wait, wait_is_over(ring));
		if (ret)
			return ret;
		over = !READ_ONCE(ring->running);
		if (over) {
			/* a stop that is under way may complete blocks: look once more behind it */
			mutex_lock(&capture->lock);
			mutex_unlock(&capture->lock);
		}
	}
}

static int ioctl_dequeue(struct capture *capture, void __user *user, bool nonblock)
{
	struct capture_ring_batch batch;
	int ret = batch_from_user(&batch, user);

	if (ret)
		return ret;
	memset(batch.block, 0, sizeof(batch.block));
	ret = dequeue(capture, &batch, nonblock);
	if (ret)
		return ret;
	if (!copy_to_user(user, &batch, sizeof(batch)))
		return 0;
	capture_ring_requeue(&capture->ring, &batch);
	return -EFAULT;
}

static int ioctl_enqueue(struct capture *capture, const void __user *from)
{
	struct capture_ring_batch batch;
	int ret = batch_from_user(&batch, from);

	if (ret)
		return ret;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	ret = capture_ring_enqueue(&capture->ring, &batch);
	capture_unlock(capture);
	return ret;
}

static int ioctl_statistics(struct capture *capture, void __user *to)
{
	struct capture_ring_statistics statistics;
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	capture_ring_statistics(&capture->ring, &statistics);
	/* more than the blocks have reported so far, if losses are not behind us yet */
	statistics.bytes_lost = capture_source_lost(&capture->source);
	capture_unlock(capture);
	return copy_to_user(to, &statistics, sizeof(statistics)) ? -EFAULT : 0;
}

/**
 * capture_ioctl() - the file's ioctl
 * @file: open file of a capture device
 * @command: CAPTURE_RING_IOC_*
 * @argument: address of the command's structure
 *
 * Return: 0 or an error; -ENOTTY: no such command.
 */
long capture_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct capture *capture = file->private_data;
	void __user *user = (void __user *)argument;

	switch (command) {
	case CAPTURE_RING_IOC_INFO:
		return ioctl_info(capture, user);
	case CAPTURE_RING_IOC_START:
		return ioctl_start(capture, user);
	case CAPTURE_RING_IOC_STOP:
		return ioctl_stop(capture);
	case CAPTURE_RING_IOC_DEQUEUE:
		return ioctl_dequeue(capture, user, file->f_flags & O_NONBLOCK);
	case CAPTURE_RING_IOC_ENQUEUE:
		return ioctl_enqueue(capture, user);
	case CAPTURE_RING_IOC_STATISTICS:
		return ioctl_statistics(capture, user);
	default:
		return -ENOTTY;
	}
}

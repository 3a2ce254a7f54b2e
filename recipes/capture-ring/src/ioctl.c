// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls; include/uapi/capture_ring.h is their manual. Bad input is refused before anything changes. */
#include <linux/fs.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "capture.h"
#include "compat.h"
#include "user.h"

#define SETUP_FLAGS	(CAPTURE_RING_SETUP_FORWARD_ONLY | CAPTURE_RING_SETUP_TAI | CAPTURE_RING_SETUP_USER)

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
	info.map_bytes = ring->flags & CAPTURE_RING_SETUP_USER ? 0 : (u64)ring->nr_blocks * ring->block_bytes;
	info.alignment = capture_user_alignment();
	if (capture->coherent)
		info.flags |= CAPTURE_RING_INFO_COHERENT;
	info.source_fifo_bytes = capture_source_fifo_bytes(&capture->source);
	capture_unlock(capture);
	return copy_to_user(to, &info, sizeof(info)) ? -EFAULT : 0;
}

static bool start_is_valid(const struct capture_ring_start *start)
{
	bool limited = start->flags & CAPTURE_RING_START_LIMIT;

	return !(start->flags & ~CAPTURE_RING_START_LIMIT) && limited == !!start->blocks &&
	       !memchr_inv(start->reserved, 0, sizeof(start->reserved)) && capture_source_accepts(start);
}

static int ioctl_start(struct capture *capture, const void __user *from)
{
	struct capture_ring_start start;
	int ret;

	if (copy_from_user(&start, from, sizeof(start)))
		return -EFAULT;
	if (!start_is_valid(&start))
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

static int ioctl_end(struct capture *capture, void __user *user)
{
	struct capture_ring_end end;
	int ret;

	if (copy_from_user(&end, user, sizeof(end)))
		return -EFAULT;
	if (end.mode > CAPTURE_RING_END_ABORT || end.flags || memchr_inv(end.reserved, 0, sizeof(end.reserved)))
		return -EINVAL;
	end.bytes = 0;
	end.left = 0;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	ret = end.mode == CAPTURE_RING_END_DRAIN ? capture_drain(capture, &end) : capture_abort(capture);
	capture_unlock(capture);
	if (!ret && copy_to_user(user, &end, sizeof(end)))
		ret = -EFAULT;
	return ret;
}

/* The device tree's sizes for those that are not given. */
static bool setup_is_valid(struct capture *capture, struct capture_ring_setup *setup)
{
	if (!setup->block_bytes)
		setup->block_bytes = capture->block_bytes;
	if (!setup->blocks)
		setup->blocks = capture->blocks;
	return capture_size_is_valid(setup->block_bytes, setup->blocks) &&
	       setup->overflow <= CAPTURE_RING_OVERFLOW_OVERWRITE_OLDEST && !(setup->flags & ~SETUP_FLAGS) &&
	       !memchr_inv(setup->reserved, 0, sizeof(setup->reserved));
}

static int ioctl_setup(struct capture *capture, void __user *user)
{
	struct capture_ring_setup setup;
	int ret;

	if (copy_from_user(&setup, user, sizeof(setup)))
		return -EFAULT;
	if (!setup_is_valid(capture, &setup))
		return -EINVAL;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	ret = capture_setup(capture, &setup);
	capture_unlock(capture);
	setup.map_bytes = setup.flags & CAPTURE_RING_SETUP_USER ? 0 : (u64)setup.blocks * setup.block_bytes;
	if (!ret && copy_to_user(user, &setup, sizeof(setup)))
		ret = -EFAULT;
	return ret;
}

static int ioctl_sync(struct capture *capture, const void __user *from)
{
	struct capture_ring_sync sync;
	int ret;

	if (copy_from_user(&sync, from, sizeof(sync)))
		return -EFAULT;
	if (sync.direction > CAPTURE_RING_SYNC_FOR_DEVICE || memchr_inv(sync.reserved, 0, sizeof(sync.reserved)))
		return -EINVAL;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	/* the block that read() is at is nobody else's, and may be out of its mapping */
	ret = capture->way == CAPTURE_WAY_STREAM ? -EINVAL : capture_ring_sync(&capture->ring, &sync);
	capture_unlock(capture);
	return ret;
}

static int ioctl_register(struct capture *capture, void __user *to)
{
	u32 alignment = capture_user_alignment();
	struct capture_ring_user user;
	int ret;

	if (copy_from_user(&user, to, sizeof(user)))
		return -EFAULT;
	if ((user.flags & ~CAPTURE_RING_USER_ONCE) || memchr_inv(user.reserved, 0, sizeof(user.reserved)) ||
	    !user.bytes || user.bytes > CAPTURE_RING_BLOCK_BYTES_MAX || ((user.address | user.bytes) & (alignment - 1)))
		return -EINVAL;
	ret = capture_register(capture, &user);
	if (!ret && copy_to_user(to, &user, sizeof(user)))
		ret = -EFAULT;	/* the index was lost; the buffer goes with the next close */
	return ret;
}

static int ioctl_unregister(struct capture *capture, const void __user *from)
{
	struct capture_ring_user user;

	if (copy_from_user(&user, from, sizeof(user)))
		return -EFAULT;
	if (memchr_inv(user.reserved, 0, sizeof(user.reserved)))
		return -EINVAL;
	return capture_unregister(capture, user.index);
}

/* Of a batch only those blocks are copied that count: mostly few, and all of them are many bytes. */
static size_t batch_bytes(u32 count)
{
	return offsetof(struct capture_ring_batch, block) + count * sizeof(struct capture_ring_block);
}

/* Without its blocks. */
static int batch_from_user(struct capture_ring_batch *batch, const void __user *from)
{
	if (copy_from_user(batch, from, batch_bytes(0)))
		return -EFAULT;
	if (!batch->count || batch->count > CAPTURE_RING_BATCH || batch->flags || batch->reserved)
		return -EINVAL;
	return 0;
}

static int ioctl_dequeue(struct capture *capture, void __user *user, bool nonblock)
{
	struct capture_ring_batch batch __uninitialized;
	int ret = batch_from_user(&batch, user);

	if (ret)
		return ret;
	ret = capture_dequeue(capture, &batch, nonblock);
	if (ret)
		return ret;
	if (!copy_to_user(user, &batch, batch_bytes(batch.count))) {
		capture_dequeued(capture, &batch);
		return 0;
	}
	capture_ring_requeue(&capture->ring, &batch);
	return -EFAULT;
}

static int ioctl_enqueue(struct capture *capture, const void __user *from)
{
	struct capture_ring_batch batch __uninitialized;
	int ret = batch_from_user(&batch, from);

	if (ret)
		return ret;
	if (copy_from_user(batch.block, from + batch_bytes(0), batch_bytes(batch.count) - batch_bytes(0)))
		return -EFAULT;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	ret = capture->way == CAPTURE_WAY_STREAM ? -EBUSY : capture_ring_enqueue(&capture->ring, &batch);
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
	statistics.bytes_lost += capture_source_lost(&capture->source);
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
	case CAPTURE_RING_IOC_SETUP:
		return ioctl_setup(capture, user);
	case CAPTURE_RING_IOC_END:
		return ioctl_end(capture, user);
	case CAPTURE_RING_IOC_SYNC:
		return ioctl_sync(capture, user);
	case CAPTURE_RING_IOC_REGISTER:
		return ioctl_register(capture, user);
	case CAPTURE_RING_IOC_UNREGISTER:
		return ioctl_unregister(capture, user);
	default:
		return -ENOTTY;
	}
}

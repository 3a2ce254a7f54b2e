// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/capture<n>: open, close, poll; see read.c, mmap.c and ioctl.c for the rest.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/poll.h>

#include "capture.h"

static DEFINE_IDA(capture_numbers);

static int capture_open(struct inode *inode, struct file *file)
{
	struct capture *capture = container_of(file->private_data, struct capture, misc);
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	ret = capture_acquire(capture);
	capture_unlock(capture);
	if (ret)
		return ret;
	file->private_data = capture;
	return nonseekable_open(inode, file);
}

static int capture_close(struct inode *inode, struct file *file)
{
	struct capture *capture = file->private_data;

	if (!capture_lock(capture)) {
		capture_release(capture);
		capture_unlock(capture);
	}
	capture_put(capture);
	return 0;
}

static __poll_t capture_poll(struct file *file, poll_table *table)
{
	struct capture *capture = file->private_data;

	poll_wait(file, &capture->ring.wait, table);
	if (READ_ONCE(capture->ring.due) && !capture_lock(capture)) {
		capture_reap_due(capture);
		capture_unlock(capture);
	}
	if (READ_ONCE(capture->ring.gone))
		return EPOLLERR | EPOLLHUP;
	/* the end is only for read() an event, which says so by returning nothing */
	if (READ_ONCE(capture->way) == CAPTURE_WAY_STREAM &&
	    (READ_ONCE(capture->stream.block) || !READ_ONCE(capture->ring.running)))
		return EPOLLIN | EPOLLRDNORM;
	return capture_ring_readable(&capture->ring) ? EPOLLIN | EPOLLRDNORM : 0;
}

static const struct file_operations capture_file_operations = {
	.owner = THIS_MODULE,
	.open = capture_open,
	.release = capture_close,
	.read_iter = capture_read_iter,
	.poll = capture_poll,
	.mmap = capture_mmap,
	.unlocked_ioctl = capture_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static void chrdev_unregister(void *data)
{
	struct capture *capture = data;

	/* no open() is under way behind this, but files may be open */
	misc_deregister(&capture->misc);
	ida_free(&capture_numbers, capture->number);
	mutex_lock(&capture->lock);
	capture_unplug(capture);
	mutex_unlock(&capture->lock);
	capture_unplugged(capture);
}

/**
 * capture_chrdev_register() - let user space see the device; undone first when the device is unbound
 * @capture: the device, ready for use
 *
 * Return: 0 or an error.
 */
int capture_chrdev_register(struct capture *capture)
{
	int ret;

	capture->number = ida_alloc(&capture_numbers, GFP_KERNEL);
	if (capture->number < 0)
		return capture->number;
	snprintf(capture->name, sizeof(capture->name), "capture%d", capture->number);
	capture->misc.minor = MISC_DYNAMIC_MINOR;
	capture->misc.name = capture->name;
	capture->misc.fops = &capture_file_operations;
	capture->misc.parent = capture->dev;
	capture->misc.mode = 0660;
	ret = misc_register(&capture->misc);
	if (ret) {
		ida_free(&capture_numbers, capture->number);
		return ret;
	}
	return devm_add_action_or_reset(capture->dev, chrdev_unregister, capture);
}

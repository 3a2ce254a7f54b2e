/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One capture device: the ring, the DMA that fills it, the source that feeds the DMA, and the file that is opened.
 *
 * Life: everything that touches hardware is released when the device is unbound (devm, in reverse order); struct
 * capture itself lives until the last file is closed. After the unbinding every call returns -ENODEV; mappings stay.
 *
 * Locks, outermost first: mmap_lock, @lock, the provider's, the ring's. So user memory is not touched under @lock.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>

#include "dma.h"
#include "ring.h"
#include "source.h"

/**
 * struct capture - one capture device
 * @kref: the device's, and that of each open file
 * @dev: the platform device; only while it is bound
 * @misc: /dev/capture<number>
 * @number: 0, 1, ...
 * @name: "capture<number>"
 * @lock: serialises open, close, start, stop, enqueue, mmap and the unbinding; guards @opened and @stuck
 * @opened: there is an owner
 * @stuck: the DMA could not be stopped
 * @ring: the blocks
 * @source: what produces data
 * @dma: what fills the blocks
 */
struct capture {
	struct kref kref;
	struct device *dev;
	struct miscdevice misc;
	int number;
	char name[24];
	struct mutex lock;	/* serialises all that changes the device */
	bool opened;
	bool stuck;
	struct capture_ring ring;
	struct capture_source source;
	struct capture_dma *dma;
};

struct capture *capture_create(struct device *dev);
void capture_put(struct capture *capture);

int capture_lock(struct capture *capture);
void capture_unlock(struct capture *capture);
int capture_start(struct capture *capture, const struct capture_ring_start *start);
int capture_stop(struct capture *capture);
void capture_complete(struct capture *capture, u32 bytes, u32 flags);
int capture_acquire(struct capture *capture);
void capture_release(struct capture *capture);
void capture_unplug(struct capture *capture);

int capture_chrdev_register(struct capture *capture);
long capture_ioctl(struct file *file, unsigned int command, unsigned long argument);

#endif /* CAPTURE_H */

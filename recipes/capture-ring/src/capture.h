/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One capture device: the ring, the DMA that fills it, the source that feeds the DMA, and the file that is opened.
 *
 * Life: everything that touches hardware is released when the device is unbound (devm, in reverse order); struct
 * capture itself lives until the last file is closed. After the unbinding every call returns -ENODEV; mappings stay.
 *
 * Locks, outermost first: mmap_lock, @lock, the provider's, the ring's; and read()'s outside of @lock. So user memory
 * is not touched, and not pinned, under @lock.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "dma.h"
#include "ring.h"
#include "source.h"

struct kiocb;
struct iov_iter;

/**
 * enum capture_way - how a capture's data are taken; the first call decides
 * @CAPTURE_WAY_OPEN: not at all yet
 * @CAPTURE_WAY_BLOCKS: by DEQUEUE
 * @CAPTURE_WAY_STREAM: by read()
 */
enum capture_way {
	CAPTURE_WAY_OPEN,
	CAPTURE_WAY_BLOCKS,
	CAPTURE_WAY_STREAM
};

/**
 * struct capture_stream - where read() is
 * @lock: one reader at a time; outside of the device's lock
 * @block: the block that is being read, CAPTURE_USER, or NULL
 * @offset: its first byte that was not read
 * @told: the gap in front of the next block has been reported
 * @copybreak: reads that are shorter synchronise what they copy, longer ones take the block out of its mapping
 */
struct capture_stream {
	struct mutex lock;	/* one reader */
	struct capture_block *block;
	u32 offset;
	bool told;
	u32 copybreak;
};

/**
 * struct capture - one capture device
 * @kref: the device's, and that of each open file
 * @dev: the platform device; only while it is bound
 * @misc: /dev/capture<number>
 * @number: 0, 1, ...
 * @name: "capture<number>"
 * @lock: serialises all that changes the device: open, close, start, stop, hand-overs, mmap and the unbinding
 * @opened: there is an owner
 * @stuck: the DMA could not be stopped
 * @coherent: the CPU sees what the DMA writes without being told
 * @way: how the capture's data are taken
 * @block_bytes: what the device tree says
 * @blocks: what the device tree says
 * @mappings: mappings of the ring
 * @ring: the blocks
 * @stream: where read() is
 * @source: what produces data
 * @dma: what fills the blocks
 * @watch: looks for lost interrupts while a capture runs
 * @end: ends a capture that has reached its end by itself
 * @warned: a lost interrupt of this capture was logged
 * @loss_ends: bytes of the stream in front of which all losses lie that blocks have reported
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
	bool coherent;
	enum capture_way way;
	u32 block_bytes;
	u32 blocks;
	atomic_t mappings;
	struct capture_ring ring;
	struct capture_stream stream;
	struct capture_source source;
	struct capture_dma *dma;
	struct delayed_work watch;
	struct work_struct end;
	bool warned;
	u64 loss_ends;
};

struct capture *capture_create(struct device *dev);
void capture_put(struct capture *capture);

int capture_lock(struct capture *capture);
void capture_unlock(struct capture *capture);
int capture_start(struct capture *capture, const struct capture_ring_start *start);
int capture_stop(struct capture *capture);
int capture_drain(struct capture *capture, struct capture_ring_end *end);
int capture_abort(struct capture *capture);
void capture_complete(struct capture *capture, u32 bytes, u32 flags, u32 gaps);
void capture_complete_lost(struct capture *capture, u32 bytes, u32 flags, u32 gaps, u64 lost);

/* owners and their wishes: owner.c */
bool capture_size_is_valid(u32 block_bytes, u32 blocks);
int capture_setup(struct capture *capture, const struct capture_ring_setup *setup);
int capture_acquire(struct capture *capture);
void capture_release(struct capture *capture);
void capture_unplug(struct capture *capture);
void capture_unplugged(struct capture *capture);

/* taking data: take.c, read.c */
void capture_reap_due(struct capture *capture);
int capture_wait(struct capture *capture, bool nonblock);
int capture_dequeue(struct capture *capture, struct capture_ring_batch *batch, bool nonblock);
void capture_dequeued(struct capture *capture, const struct capture_ring_batch *batch);
int capture_register(struct capture *capture, struct capture_ring_user *user);
int capture_unregister(struct capture *capture, u32 index);
void capture_stream_reset(struct capture *capture);
u32 capture_copybreak(struct capture *capture);
ssize_t capture_read_iter(struct kiocb *iocb, struct iov_iter *to);

int capture_chrdev_register(struct capture *capture);
long capture_ioctl(struct file *file, unsigned int command, unsigned long argument);
int capture_mmap(struct file *file, struct vm_area_struct *vma);

#endif /* CAPTURE_H */

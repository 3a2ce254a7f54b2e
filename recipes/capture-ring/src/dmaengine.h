/* SPDX-License-Identifier: GPL-2.0-only */
/* A dmaengine channel as a provider: what dmaengine.c, which uses it, and dmaengine_create.c share. */
#ifndef CAPTURE_DMAENGINE_H
#define CAPTURE_DMAENGINE_H

#include <linux/dmaengine.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "capture.h"
#include "loss.h"

#define QUEUED_MAX	16

/**
 * struct transfer - one transaction
 * @chunk: where it goes
 * @bytes: its length
 * @left: of it, what the engine says that it did not write
 * @failed: the engine reports an error
 * @ends: it is the last one of its chunk
 */
struct transfer {
	struct capture_chunk *chunk;
	u32 bytes;
	u32 left;
	bool failed;
	bool ends;
};

/**
 * struct engine - the channel
 * @dma: base
 * @channel: the channel
 * @most: transactions that it is given at a time
 * @piece_max: bytes in a transaction, at the most
 * @short_alone: transactions shorter than SHORT_BYTES never wait behind another
 * @work: looks at completed transactions
 * @idle: woken when one is completed
 * @reap_lock: guards what only @work and a stop look at: @loss and what follows it
 * @loss: gaps that no block has reported
 * @chunk: chunks of the oldest block that are filled
 * @bytes: bytes in them
 * @flags: CAPTURE_RING_BLOCK_* of them
 * @lock: guards what follows; taken in the tasklet, and inside of the ring's lock
 * @transfers: the transactions on their way, in a ring
 * @issued: number given to the engine
 * @done: number completed
 * @reaped: number looked at
 * @rest: block whose pieces were not all given to the engine; guarded by the ring's lock
 * @rest_chunk: the first chunk of which something is left
 * @rest_offset: what of that chunk was given
 */
struct engine {
	struct capture_dma dma;
	struct dma_chan *channel;
	u32 most;
	u32 piece_max;
	bool short_alone;
	struct work_struct work;
	wait_queue_head_t idle;
	struct mutex reap_lock;	/* guards what follows */
	struct capture_loss loss;
	unsigned int chunk;
	u32 bytes;
	u32 flags;
	spinlock_t lock;	/* guards what follows */
	struct transfer transfers[QUEUED_MAX];
	unsigned int issued;
	unsigned int done;
	unsigned int reaped;
	struct capture_block *rest;
	unsigned int rest_chunk;
	u32 rest_offset;
};

extern const struct capture_dma_ops capture_engine_ops;
void capture_engine_work(struct work_struct *work);

#endif /* CAPTURE_DMAENGINE_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ring: who owns which block, in what order blocks were filled, and what was lost on the way.
 *
 *   FREE -> HARDWARE -> DONE -> USER -> FREE        a capture
 *           HARDWARE -> FREE                        stop: what is not filled to its end is dropped
 *           HARDWARE <- DONE                        overflow policy "overwrite oldest"
 *                       DONE -> FREE                the next start, abort, or the last close
 *                               USER -> FREE        the last close
 *   NONE -> USER, USER -> NONE, FREE -> NONE        a buffer of user space comes and goes
 *
 * The ring knows neither registers nor files. @lock guards states, lists and counters; it is never taken in hard
 * interrupt context. Caches are synchronised outside of it: while a block is in no list nobody else touches it.
 */
#ifndef CAPTURE_RING_H
#define CAPTURE_RING_H

#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "block.h"
#include "region.h"

struct capture_dma;

/**
 * struct capture_ring - all blocks and their order
 * @dev: the device whose DMA writes the blocks
 * @dma: the provider that is fed with FREE blocks
 * @region: memory that is set aside for its blocks, if any
 * @status: the page that user space may map
 * @block_bytes: size of a block
 * @nr_blocks: number of @blocks
 * @overflow: CAPTURE_RING_OVERFLOW_*
 * @flags: CAPTURE_RING_SETUP_*
 * @blocks: the blocks, in the order of the mapping
 * @taken: pages of user space that are mapped for the DMA
 * @due: the interrupt has left completions to who waits for a block: he reaps them before he looks for one
 * @lock: guards what follows, and @blocks' states
 * @list: blocks by state, oldest first; those of CAPTURE_USER and CAPTURE_NONE stay empty
 * @count: number of blocks by state
 * @running: a capture runs
 * @ending: it ends by itself: nothing is fed or delivered any more
 * @gone: the device was unbound; nothing may touch it any more
 * @state: CAPTURE_RING_STATE_*
 * @limit: number of blocks to fill, 0: no limit
 * @fed: number of blocks given to the DMA
 * @source_lost: bytes lost in the source that blocks have reported
 * @overwritten_bytes: bytes in blocks that were overwritten
 * @carry_bytes: bytes lost that the next block has to report
 * @carry_gaps: gaps they are made of
 * @counters: since the start of the capture; what else is in it is filled in when it is read
 * @wait: woken when a block is DONE, and when @running or @gone changes
 */
struct capture_ring {
	struct device *dev;
	struct capture_dma *dma;
	struct capture_region region;
	struct capture_ring_status *status;
	u32 block_bytes;
	u32 nr_blocks;
	u32 overflow;
	u32 flags;
	struct capture_block *blocks;
	struct xarray taken;
	bool due;

	spinlock_t lock;	/* guards all that follows, and the blocks' states */
	struct list_head list[CAPTURE_STATES];
	u32 count[CAPTURE_STATES];
	bool running;
	bool ending;
	bool gone;
	u32 state;
	u64 limit;
	u64 fed;
	u64 source_lost;
	u64 overwritten_bytes;
	u64 carry_bytes;
	u32 carry_gaps;
	struct capture_ring_statistics counters;
	wait_queue_head_t wait;
};

/* memory: ring_memory.c */
int capture_ring_init(struct capture_ring *ring, struct device *dev);
void capture_ring_destroy(struct capture_ring *ring);
int capture_ring_alloc(struct capture_ring *ring, u32 block_bytes, u32 nr_blocks, u32 flags);
void capture_ring_free(struct capture_ring *ring);
int capture_ring_renew(struct capture_ring *ring);
bool capture_ring_is_held(const struct capture_ring *ring);
int capture_ring_attach(struct capture_ring *ring, struct capture_user *user, u32 bytes, bool queue);
struct capture_user *capture_ring_detach(struct capture_ring *ring, u32 index);

/* states: ring.c */
void capture_ring_lock(struct capture_ring *ring) __acquires(&ring->lock);
void capture_ring_unlock(struct capture_ring *ring) __releases(&ring->lock);
void capture_ring_put(struct capture_ring *ring, struct capture_block *block, enum capture_state state);
struct capture_block *capture_ring_first(struct capture_ring *ring, enum capture_state state);
bool capture_ring_prepare(struct capture_ring *ring, struct capture_block *block);
void capture_ring_free_block(struct capture_ring *ring, struct capture_block *block);

void capture_ring_begin(struct capture_ring *ring, u64 limit);
void capture_ring_end(struct capture_ring *ring, u32 state);
void capture_ring_set_state(struct capture_ring *ring, u32 state);
void capture_ring_set_gone(struct capture_ring *ring);
void capture_ring_drop(struct capture_ring *ring);
void capture_ring_reset(struct capture_ring *ring);
void capture_ring_recover(struct capture_ring *ring);
void capture_ring_reclaim(struct capture_ring *ring);

void capture_ring_feed(struct capture_ring *ring);
void capture_ring_feed_locked(struct capture_ring *ring);
struct capture_block *capture_ring_oldest(struct capture_ring *ring);
void capture_ring_complete(struct capture_ring *ring, u32 bytes, u32 flags, u32 gaps, u64 lost_total);

/* hand-over to user space: handover.c */
bool capture_ring_readable(struct capture_ring *ring);
u32 capture_ring_dequeue(struct capture_ring *ring, struct capture_ring_batch *batch, u32 most);
void capture_ring_requeue(struct capture_ring *ring, const struct capture_ring_batch *batch);
int capture_ring_enqueue(struct capture_ring *ring, const struct capture_ring_batch *batch);
int capture_ring_sync(struct capture_ring *ring, const struct capture_ring_sync *sync);
void capture_ring_recovered(struct capture_ring *ring);
void capture_ring_statistics(struct capture_ring *ring, struct capture_ring_statistics *statistics);

#endif /* CAPTURE_RING_H */

// SPDX-License-Identifier: GPL-2.0-only
/* The state machine of the blocks: what happens between the driver and the DMA; see ring.h. */
#include <linux/device.h>
#include <linux/ktime.h>
#include <linux/mm.h>

#include "dma.h"
#include "ring.h"
#define CREATE_TRACE_POINTS
#include "trace.h"
#include "user.h"

/* blocks that the DMA keeps under "overwrite oldest", so that it never waits for a hand-over */
#define HARDWARE_RESERVE	2U

void capture_ring_lock(struct capture_ring *ring) __acquires(&ring->lock)
{
	spin_lock(&ring->lock);
}

/* The status page's reader sees an odd version, or two that differ, when it reads in between. */
static void publish(struct capture_ring *ring)
{
	struct capture_ring_status *status = ring->status;

	WRITE_ONCE(status->version, status->version + 1);
	smp_wmb();	/* odd version before what it covers */
	status->state = ring->state;
	status->sequence = ring->counters.blocks_filled;
	status->blocks_overwritten = ring->counters.blocks_overwritten;
	status->bytes_lost = ring->source_lost + ring->overwritten_bytes;
	status->blocks_free = ring->count[CAPTURE_FREE];
	status->blocks_hardware = ring->count[CAPTURE_HARDWARE];
	status->blocks_done = ring->count[CAPTURE_DONE];
	status->blocks_user = ring->count[CAPTURE_USER];
	smp_wmb();	/* all of it before the even version */
	WRITE_ONCE(status->version, status->version + 1);
}

void capture_ring_unlock(struct capture_ring *ring) __releases(&ring->lock)
{
	publish(ring);
	spin_unlock(&ring->lock);
}

/**
 * capture_ring_put() - give a block to another owner
 * @ring: the ring, locked
 * @block: the block, in no list
 * @state: whose it is from now on
 */
void capture_ring_put(struct capture_ring *ring, struct capture_block *block, enum capture_state state)
{
	lockdep_assert_held(&ring->lock);
	ring->count[block->state]--;
	ring->count[state]++;
	block->state = state;
	if (state < CAPTURE_USER)
		list_add_tail(&block->node, &ring->list[state]);
}

/**
 * capture_ring_first() - the oldest block of a state
 * @ring: the ring, locked
 * @state: the state
 *
 * Return: the block, still in its list, or NULL.
 */
struct capture_block *capture_ring_first(struct capture_ring *ring, enum capture_state state)
{
	lockdep_assert_held(&ring->lock);
	return list_first_entry_or_null(&ring->list[state], struct capture_block, node);
}

static void ring_move(struct capture_ring *ring, struct capture_block *block, enum capture_state state)
{
	list_del_init(&block->node);
	capture_ring_put(ring, block, state);
}

/**
 * capture_ring_begin() - note that a capture begins, and when
 * @ring: the ring, reset
 * @limit: number of blocks to fill, 0: no limit
 */
void capture_ring_begin(struct capture_ring *ring, u64 limit)
{
	capture_ring_lock(ring);
	ring->limit = limit;
	ring->fed = 0;
	ring->ending = false;
	ring->running = true;
	ring->state = CAPTURE_RING_STATE_RUNNING;
	ring->status->start_monotonic_ns = ktime_get_ns();
	ring->status->start_tai_ns = ktime_get_clocktai_ns();
	trace_capture_state(ring->state, 0);
	capture_ring_unlock(ring);
}

/**
 * capture_ring_end() - note that a capture has ended, and tell who waits
 * @ring: the ring
 * @state: why, CAPTURE_RING_STATE_*; a reason that was noted before stays
 */
void capture_ring_end(struct capture_ring *ring, u32 state)
{
	capture_ring_lock(ring);
	ring->running = false;
	if (ring->state == CAPTURE_RING_STATE_RUNNING)
		ring->state = state;
	trace_capture_state(ring->state, ring->counters.blocks_filled);
	capture_ring_unlock(ring);
	wake_up_interruptible_all(&ring->wait);
}

void capture_ring_set_state(struct capture_ring *ring, u32 state)
{
	capture_ring_lock(ring);
	ring->state = state;
	capture_ring_unlock(ring);
}

/**
 * capture_ring_set_gone() - note that the device is being unbound, and tell who waits
 * @ring: the ring
 */
void capture_ring_set_gone(struct capture_ring *ring)
{
	capture_ring_lock(ring);
	ring->gone = true;
	ring->state = CAPTURE_RING_STATE_GONE;
	capture_ring_unlock(ring);
	wake_up_interruptible_all(&ring->wait);
}

/**
 * capture_ring_drop() - forget filled blocks
 * @ring: the ring; no capture runs
 */
void capture_ring_drop(struct capture_ring *ring)
{
	struct capture_block *block;

	for (;;) {
		capture_ring_lock(ring);
		block = capture_ring_first(ring, CAPTURE_DONE);
		if (block)
			list_del_init(&block->node);
		capture_ring_unlock(ring);
		if (!block)
			break;
		capture_ring_free_block(ring, block);
	}
}

/**
 * capture_ring_reset() - forget filled blocks and counters
 * @ring: the ring; no capture runs
 */
void capture_ring_reset(struct capture_ring *ring)
{
	capture_ring_drop(ring);
	capture_ring_lock(ring);
	memset(&ring->counters, 0, sizeof(ring->counters));
	ring->source_lost = 0;
	ring->overwritten_bytes = 0;
	ring->carry_bytes = 0;
	ring->carry_gaps = 0;
	capture_ring_unlock(ring);
}

/**
 * capture_ring_recover() - take back what the DMA has not filled
 * @ring: the ring; the DMA is known to be quiet
 */
void capture_ring_recover(struct capture_ring *ring)
{
	struct capture_block *block;

	capture_ring_lock(ring);
	/* no sync: the CPU has not had it since it was FREE */
	while ((block = capture_ring_first(ring, CAPTURE_HARDWARE)))
		ring_move(ring, block, CAPTURE_FREE);
	capture_ring_unlock(ring);
}

/**
 * capture_ring_reclaim() - take back what the last owner of the device left behind
 * @ring: the ring; no capture runs, no file is open
 */
void capture_ring_reclaim(struct capture_ring *ring)
{
	u32 i;

	capture_ring_reset(ring);
	for (i = 0; i < ring->nr_blocks; i++)
		if (ring->blocks[i].state == CAPTURE_USER)
			capture_ring_free_block(ring, &ring->blocks[i]);
}

/* What an overwritten block held, and what it would have reported, is reported by the one behind it. */
static void overwrite(struct capture_ring *ring, struct capture_block *block)
{
	struct capture_ring_block *lost = &block->filled, *next;
	struct capture_block *behind;

	behind = capture_ring_first(ring, CAPTURE_DONE);
	trace_capture_block_overwritten(lost);
	ring->counters.blocks_overwritten++;
	ring->overwritten_bytes += lost->bytes;
	if (!behind) {
		ring->carry_bytes += lost->lost_bytes + lost->bytes;
		ring->carry_gaps += max(lost->gaps, 1U);
		return;
	}
	next = &behind->filled;
	next->lost_bytes += lost->lost_bytes + lost->bytes;
	/* blocks that were overwritten in a row are one gap, together with those that they report */
	next->gaps += max(lost->gaps, 1U);
	next->flags |= CAPTURE_RING_BLOCK_GAP;
}

static bool may_overwrite(struct capture_ring *ring)
{
	return ring->overflow == CAPTURE_RING_OVERFLOW_OVERWRITE_OLDEST &&
	       ring->count[CAPTURE_HARDWARE] < min(HARDWARE_RESERVE, ring->nr_blocks / 2);
}

static struct capture_block *next_to_fill(struct capture_ring *ring)
{
	struct capture_block *block = capture_ring_first(ring, CAPTURE_FREE);

	if (!block && may_overwrite(ring))
		block = capture_ring_first(ring, CAPTURE_DONE);
	return block;
}

/* Return: false when there is no block, or no room for one. */
static bool feed_one(struct capture_ring *ring)
{
	struct capture_block *block = next_to_fill(ring);
	bool overwritten;

	if (!block || !ring->dma->ops->queue(ring->dma, block))
		return false;
	overwritten = block->state == CAPTURE_DONE;
	if (block->user)
		block->user->written = true;
	/* an overwritten one was not the CPU's, unless its data had to be moved: no dirty line may outlive that */
	if (block->synced)
		capture_block_for_device(ring->dev, block);
	ring_move(ring, block, CAPTURE_HARDWARE);
	if (overwritten)
		overwrite(ring, block);
	ring->fed++;
	return true;
}

/**
 * capture_ring_feed_locked() - give the DMA all blocks for which it has room
 * @ring: the ring, locked; does nothing while no capture runs
 */
void capture_ring_feed_locked(struct capture_ring *ring)
{
	lockdep_assert_held(&ring->lock);
	while (ring->running && !ring->ending && ring->dma->ops->push(ring->dma)) {
		if (ring->limit && ring->fed == ring->limit)
			break;
		if (!feed_one(ring))
			break;
	}
}

/**
 * capture_ring_feed() - give the DMA all blocks for which it has room
 * @ring: the ring; does nothing while no capture runs
 */
void capture_ring_feed(struct capture_ring *ring)
{
	capture_ring_lock(ring);
	capture_ring_feed_locked(ring);
	capture_ring_unlock(ring);
}

/**
 * capture_ring_oldest() - the block that the DMA fills first
 * @ring: the ring
 *
 * Return: the block, or NULL when the DMA has none.
 */
struct capture_block *capture_ring_oldest(struct capture_ring *ring)
{
	struct capture_block *block;

	spin_lock(&ring->lock);	/* nothing changes that the status page shows */
	block = capture_ring_first(ring, CAPTURE_HARDWARE);
	spin_unlock(&ring->lock);
	return block;
}

/* With a gap: all that was lost and not reported. Locked. */
static void report_loss(struct capture_ring *ring, struct capture_ring_block *filled, u32 gaps, u64 lost_total)
{
	filled->lost_bytes = ring->carry_bytes;
	filled->gaps = ring->carry_gaps;
	ring->carry_bytes = 0;
	ring->carry_gaps = 0;
	if (filled->flags & CAPTURE_RING_BLOCK_GAP) {
		filled->lost_bytes += lost_total - ring->source_lost;
		filled->gaps += gaps;
		ring->source_lost = lost_total;
		ring->counters.gaps++;
	}
	if (filled->gaps)
		filled->flags |= CAPTURE_RING_BLOCK_GAP;
}

/* Whether this was the last block; locked. */
static bool is_last(struct capture_ring *ring, u32 flags)
{
	if (ring->limit && ring->counters.blocks_filled == ring->limit)
		ring->state = CAPTURE_RING_STATE_COMPLETE;
	else if (ring->overflow == CAPTURE_RING_OVERFLOW_STOP && (flags & CAPTURE_RING_BLOCK_GAP))
		ring->state = CAPTURE_RING_STATE_OVERFLOW;
	else
		return false;
	return true;
}

/**
 * capture_ring_complete() - the DMA has filled its oldest block
 * @ring: the ring
 * @bytes: number of bytes written
 * @flags: CAPTURE_RING_BLOCK_*
 * @gaps: number of gaps in it, as far as the hardware tells them apart
 * @lost_total: bytes that the source has lost since the start of the capture
 *
 * The provider calls it, in process context, one call at a time. Behind the last block of a capture @ending is set:
 * what the DMA still fills is not delivered.
 */
void capture_ring_complete(struct capture_ring *ring, u32 bytes, u32 flags, u32 gaps, u64 lost_total)
{
	struct capture_block *block;
	struct capture_ring_block *filled;

	capture_ring_lock(ring);
	block = capture_ring_first(ring, CAPTURE_HARDWARE);
	if (WARN_ON_ONCE(!block) || ring->ending) {
		if (block)
			ring_move(ring, block, CAPTURE_FREE);
		capture_ring_unlock(ring);
		return;
	}
	filled = &block->filled;
	filled->time_ns = ring->flags & CAPTURE_RING_SETUP_TAI ? ktime_get_clocktai_ns() : ktime_get_ns();
	filled->bytes = bytes;
	filled->flags = flags;
	filled->sequence = ring->counters.blocks_filled++;
	ring->counters.bytes_filled += bytes;
	if (flags & CAPTURE_RING_BLOCK_ERROR)
		ring->counters.errors++;
	report_loss(ring, filled, gaps, lost_total);
	trace_capture_block_filled(filled);
	ring_move(ring, block, CAPTURE_DONE);
	ring->ending = is_last(ring, flags);
	capture_ring_unlock(ring);
	wake_up_interruptible(&ring->wait);
}

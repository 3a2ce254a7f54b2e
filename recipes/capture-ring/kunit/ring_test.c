// SPDX-License-Identifier: GPL-2.0-only
/* The state machine of the blocks: who owns which, in what order, and what was lost on the way. */
#include <linux/string.h>

#include "fake.h"
#include "suites.h"

static void expect_counts(struct kunit *test, struct fake *fake, u32 idle, u32 hardware, u32 done, u32 user)
{
	struct capture_ring_statistics now;

	capture_ring_statistics(&fake->ring, &now);
	KUNIT_EXPECT_EQ(test, now.blocks_free, idle);
	KUNIT_EXPECT_EQ(test, now.blocks_hardware, hardware);
	KUNIT_EXPECT_EQ(test, now.blocks_done, done);
	KUNIT_EXPECT_EQ(test, now.blocks_user, user);
}

static void fill(struct fake *fake, unsigned int blocks)
{
	while (blocks--)
		fake_fill(fake, FAKE_BYTES, 0, 0, 0);
}

static void fed_up_to_the_depth_in_order(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	u32 i;

	capture_ring_feed(&fake->ring);
	expect_counts(test, fake, FAKE_BLOCKS - FAKE_DEPTH, FAKE_DEPTH, 0, 0);
	for (i = 0; i < FAKE_DEPTH; i++)
		KUNIT_EXPECT_EQ(test, fake->order[i], i);
	KUNIT_EXPECT_EQ(test, capture_ring_oldest(&fake->ring)->filled.index, 0);
}

static void block_goes_round(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch;

	capture_ring_feed(&fake->ring);
	KUNIT_EXPECT_FALSE(test, capture_ring_readable(&fake->ring));
	fill(fake, 2);
	KUNIT_EXPECT_TRUE(test, capture_ring_readable(&fake->ring));
	expect_counts(test, fake, 2, 2, 2, 0);
	KUNIT_EXPECT_EQ(test, capture_ring_dequeue(&fake->ring, batch, 16), 2);
	KUNIT_EXPECT_EQ(test, batch->block[1].sequence, 1);
	KUNIT_EXPECT_EQ(test, batch->block[1].bytes, FAKE_BYTES);
	expect_counts(test, fake, 2, 2, 0, 2);
	KUNIT_EXPECT_EQ(test, capture_ring_enqueue(&fake->ring, batch), 0);
	/* behind those that were free before */
	expect_counts(test, fake, 2, 4, 0, 0);
	KUNIT_EXPECT_EQ(test, fake->order[FAKE_DEPTH], 4);
	KUNIT_EXPECT_EQ(test, fake->order[FAKE_DEPTH + 1], 5);
}

static void enqueue_takes_all_or_nothing(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch, *wrong = &fake->other;

	capture_ring_feed(&fake->ring);
	fill(fake, 2);
	capture_ring_dequeue(&fake->ring, batch, 16);
	*wrong = *batch;
	wrong->block[1].index = FAKE_BLOCKS;
	KUNIT_EXPECT_EQ(test, capture_ring_enqueue(&fake->ring, wrong), -EINVAL);
	wrong->block[1].index = wrong->block[0].index;
	KUNIT_EXPECT_EQ(test, capture_ring_enqueue(&fake->ring, wrong), -EINVAL);
	wrong->block[1].index = 3;	/* the DMA's */
	KUNIT_EXPECT_EQ(test, capture_ring_enqueue(&fake->ring, wrong), -EINVAL);
	expect_counts(test, fake, 2, 2, 0, 2);
	KUNIT_EXPECT_EQ(test, capture_ring_enqueue(&fake->ring, batch), 0);
	KUNIT_EXPECT_EQ(test, capture_ring_enqueue(&fake->ring, batch), -EINVAL);
}

static void dequeue_that_was_not_told_is_undone(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch, *again = &fake->other;

	capture_ring_feed(&fake->ring);
	fill(fake, 3);
	capture_ring_dequeue(&fake->ring, batch, 2);
	capture_ring_requeue(&fake->ring, batch);
	KUNIT_EXPECT_EQ(test, capture_ring_dequeue(&fake->ring, again, 16), 3);
	KUNIT_EXPECT_EQ(test, again->block[0].sequence, 0);
	KUNIT_EXPECT_EQ(test, again->block[1].sequence, 1);
	KUNIT_EXPECT_EQ(test, again->block[2].sequence, 2);
}

static void loss_is_reported_once(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch;

	capture_ring_feed(&fake->ring);
	fake_fill(fake, FAKE_BYTES, CAPTURE_RING_BLOCK_GAP, 1, 100);
	fake_fill(fake, FAKE_BYTES, 0, 0, 0);
	fake_fill(fake, FAKE_BYTES, CAPTURE_RING_BLOCK_GAP, 2, 130);
	capture_ring_dequeue(&fake->ring, batch, 16);
	KUNIT_EXPECT_EQ(test, batch->block[0].lost_bytes, 100);
	KUNIT_EXPECT_EQ(test, batch->block[1].lost_bytes, 0);
	KUNIT_EXPECT_EQ(test, batch->block[1].flags, 0);
	KUNIT_EXPECT_EQ(test, batch->block[2].lost_bytes, 30);
	KUNIT_EXPECT_EQ(test, batch->block[2].gaps, 2);
}

static void overwritten_blocks_are_reported_by_the_next_one(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch;
	u64 position = 0;
	u32 i, taken;

	fake->ring.overflow = CAPTURE_RING_OVERFLOW_OVERWRITE_OLDEST;
	for (i = 0; i < 20; i++) {
		capture_ring_feed(&fake->ring);
		fill(fake, 1);
	}
	taken = capture_ring_dequeue(&fake->ring, batch, 16);
	KUNIT_ASSERT_GT(test, taken, 0);
	KUNIT_EXPECT_GT(test, fake->ring.counters.blocks_overwritten, 0);
	for (i = 0; i < taken; i++) {
		position += batch->block[i].lost_bytes;
		KUNIT_EXPECT_EQ(test, position, batch->block[i].sequence * FAKE_BYTES);
		KUNIT_EXPECT_EQ(test, !!batch->block[i].gaps, !!batch->block[i].lost_bytes);
		position += batch->block[i].bytes;
	}
	KUNIT_EXPECT_EQ(test, position, 20 * FAKE_BYTES);
}

/* What user space has is never overwritten, and not even a part of it is fed. */
static void dequeued_blocks_are_safe(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch;
	u32 i, held;

	fake->ring.overflow = CAPTURE_RING_OVERFLOW_OVERWRITE_OLDEST;
	capture_ring_feed(&fake->ring);
	fill(fake, 3);
	capture_ring_dequeue(&fake->ring, batch, 16);
	held = BIT(batch->block[0].index) | BIT(batch->block[1].index) | BIT(batch->block[2].index);
	fake->nr_order = 0;
	for (i = 0; i < 20; i++) {
		capture_ring_feed(&fake->ring);
		fill(fake, 1);
	}
	for (i = 0; i < fake->nr_order; i++)
		KUNIT_EXPECT_FALSE(test, held & BIT(fake->order[i]));
}

static void window_ends_behind_its_last_block(struct kunit *test)
{
	struct fake *fake = fake_ring(test);

	capture_ring_begin(&fake->ring, 3);
	capture_ring_feed(&fake->ring);
	KUNIT_EXPECT_EQ(test, fake->nr_order, 3);
	fill(fake, 3);
	KUNIT_EXPECT_TRUE(test, fake->ring.ending);
	KUNIT_EXPECT_EQ(test, fake->ring.state, CAPTURE_RING_STATE_COMPLETE);
	capture_ring_feed(&fake->ring);
	KUNIT_EXPECT_EQ(test, fake->nr_order, 3);
}

static void gap_ends_a_capture_that_is_to_stop_there(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch;

	fake->ring.overflow = CAPTURE_RING_OVERFLOW_STOP;
	capture_ring_feed(&fake->ring);
	fake_fill(fake, FAKE_BYTES, CAPTURE_RING_BLOCK_GAP, 1, 8);
	KUNIT_EXPECT_EQ(test, fake->ring.state, CAPTURE_RING_STATE_OVERFLOW);
	fill(fake, 1);	/* is not delivered any more */
	KUNIT_EXPECT_EQ(test, capture_ring_dequeue(&fake->ring, batch, 16), 1);
}

static void stop_takes_back_what_is_not_filled(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_batch *batch = &fake->batch;

	capture_ring_feed(&fake->ring);
	fill(fake, 2);
	capture_ring_dequeue(&fake->ring, batch, 1);
	capture_ring_end(&fake->ring, CAPTURE_RING_STATE_STOPPED);
	capture_ring_recover(&fake->ring);
	expect_counts(test, fake, FAKE_BLOCKS - 2, 0, 1, 1);
	capture_ring_drop(&fake->ring);
	expect_counts(test, fake, FAKE_BLOCKS - 1, 0, 0, 1);
	capture_ring_reclaim(&fake->ring);
	expect_counts(test, fake, FAKE_BLOCKS, 0, 0, 0);
}

static void status_page_says_the_same(struct kunit *test)
{
	struct fake *fake = fake_ring(test);
	struct capture_ring_status *status = fake->ring.status;

	capture_ring_feed(&fake->ring);
	fill(fake, 2);
	KUNIT_EXPECT_EQ(test, status->version & 1, 0);
	KUNIT_EXPECT_EQ(test, status->sequence, 2);
	KUNIT_EXPECT_EQ(test, status->blocks_free, 2);
	KUNIT_EXPECT_EQ(test, status->blocks_hardware, 2);
	KUNIT_EXPECT_EQ(test, status->blocks_done, 2);
}

static struct kunit_case ring_cases[] = {
	KUNIT_CASE(fed_up_to_the_depth_in_order),
	KUNIT_CASE(block_goes_round),
	KUNIT_CASE(enqueue_takes_all_or_nothing),
	KUNIT_CASE(dequeue_that_was_not_told_is_undone),
	KUNIT_CASE(loss_is_reported_once),
	KUNIT_CASE(overwritten_blocks_are_reported_by_the_next_one),
	KUNIT_CASE(dequeued_blocks_are_safe),
	KUNIT_CASE(window_ends_behind_its_last_block),
	KUNIT_CASE(gap_ends_a_capture_that_is_to_stop_there),
	KUNIT_CASE(stop_takes_back_what_is_not_filled),
	KUNIT_CASE(status_page_says_the_same),
	{}
};

struct kunit_suite capture_ring_suite = { .name = "capture-ring", .test_cases = ring_cases };

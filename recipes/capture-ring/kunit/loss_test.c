// SPDX-License-Identifier: GPL-2.0-only
/* Where a gap is: never reported too late, and exactly when the DMA stood still. */
#include <kunit/test.h>

#include "loss.h"
#include "suites.h"

#define FIFO	1000

static void sample(struct capture_loss *loss, u64 produced, u32 level, u64 lost)
{
	struct capture_loss_sample now = { .produced = produced, .level = level, .lost = lost, .fifo = FIFO };

	capture_loss_sample(loss, &now);
}

static void nothing_lost_is_no_gap(struct kunit *test)
{
	struct capture_loss loss = {};

	sample(&loss, 5000, 400, 0);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, U64_MAX), 0);
	KUNIT_EXPECT_EQ(test, loss.reported, 0);
}

/* No block for the DMA since byte 4600: its FIFO filled up to 5600, what came then was lost. */
static void gap_of_a_dma_that_stood_still_is_exact(struct kunit *test)
{
	struct capture_loss loss = {};

	sample(&loss, 5000, 400, 0);
	sample(&loss, 9600, FIFO, 4000);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 5600), 0);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 5604), 1);
	KUNIT_EXPECT_EQ(test, loss.reported, 4000);
}

static void gap_is_never_later_than_it_may_be(struct kunit *test)
{
	struct capture_loss loss = {};

	sample(&loss, 5000, 400, 0);
	/* the DMA took 3000 meanwhile; the gap was between 5600 and 8400 */
	sample(&loss, 8500, 800, 100);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 5600), 0);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 5601), 1);
}

static void gap_lies_within_what_was_accepted(struct kunit *test)
{
	struct capture_loss loss = {};

	/* dropped although there was room, as only a test can do */
	sample(&loss, 300, 100, 0);
	sample(&loss, 400, 150, 40);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 360), 0);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 361), 1);
	KUNIT_EXPECT_EQ(test, loss.reported, 40);
}

static void gaps_are_reported_one_after_the_other(struct kunit *test)
{
	struct capture_loss loss = {};

	sample(&loss, 1000, 0, 0);
	sample(&loss, 3000, FIFO, 1000);
	sample(&loss, 5000, 0, 1000);
	sample(&loss, 8000, FIFO, 3000);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 4000), 1);
	KUNIT_EXPECT_EQ(test, loss.reported, 1000);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 4000), 0);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 9000), 1);
	KUNIT_EXPECT_EQ(test, loss.reported, 3000);
}

static void gap_of_which_two_samples_tell_is_one(struct kunit *test)
{
	struct capture_loss loss = {};

	sample(&loss, 5000, 400, 0);
	sample(&loss, 9600, FIFO, 4000);
	sample(&loss, 9700, FIFO, 4100);
	sample(&loss, 9700, FIFO, 4100);
	sample(&loss, 9800, FIFO, 4204);	/* lost went on by a word after produced was read */
	sample(&loss, 9900, FIFO, 4300);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, 5604), 1);
	KUNIT_EXPECT_EQ(test, loss.reported, 4300);
	/* and what is lost behind more data is another one */
	sample(&loss, 15600, FIFO, 4300);
	sample(&loss, 15700, FIFO, 4400);
	KUNIT_EXPECT_EQ(test, capture_loss_report(&loss, U64_MAX), 1);
	KUNIT_EXPECT_EQ(test, loss.reported, 4400);
}

static void more_gaps_than_places_lose_no_byte(struct kunit *test)
{
	struct capture_loss loss = {};
	unsigned int i, gaps = CAPTURE_LOSS_POINTS + 5;

	for (i = 1; i <= gaps; i++)
		sample(&loss, i * 5000, FIFO, i * 7);
	KUNIT_EXPECT_EQ(test, loss.nr, CAPTURE_LOSS_POINTS);
	capture_loss_report(&loss, U64_MAX);
	KUNIT_EXPECT_EQ(test, loss.reported, gaps * 7);
	KUNIT_EXPECT_EQ(test, loss.nr, 0);
}

static struct kunit_case loss_cases[] = {
	KUNIT_CASE(nothing_lost_is_no_gap),
	KUNIT_CASE(gap_of_a_dma_that_stood_still_is_exact),
	KUNIT_CASE(gap_is_never_later_than_it_may_be),
	KUNIT_CASE(gap_lies_within_what_was_accepted),
	KUNIT_CASE(gaps_are_reported_one_after_the_other),
	KUNIT_CASE(gap_of_which_two_samples_tell_is_one),
	KUNIT_CASE(more_gaps_than_places_lose_no_byte),
	{}
};

struct kunit_suite capture_loss_suite = { .name = "capture-loss", .test_cases = loss_cases };

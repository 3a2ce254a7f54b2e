// SPDX-License-Identifier: GPL-2.0-only
/* Where data were lost, from samples; see loss.h. */
#include <linux/minmax.h>
#include <linux/string.h>

#include "loss.h"

static void add_gap(struct capture_loss *loss, u64 at, u64 bytes)
{
	/* no room, which needs many gaps in one block: the last one reports more, and earlier than it should */
	unsigned int place = min_t(unsigned int, loss->nr, CAPTURE_LOSS_POINTS - 1);

	if (place == loss->nr) {
		loss->at[place] = at;
		loss->bytes[place] = bytes;
		loss->nr++;
	} else {
		loss->bytes[place] += bytes;
	}
}

/**
 * capture_loss_sample() - look whether something was lost since the sample before
 * @loss: what is known so far; all zero when the capture begins
 * @sample: the source's counters
 */
void capture_loss_sample(struct capture_loss *loss, const struct capture_loss_sample *sample)
{
	u64 accepted = sample->produced - sample->lost, lost = sample->lost - loss->lost;
	bool goes_on = loss->open && (s64)(accepted - loss->accepted) < CAPTURE_LOSS_APART;

	if (lost && goes_on && loss->nr)
		loss->bytes[loss->nr - 1] += lost;
	else if (lost)
		add_gap(loss, min(max(loss->accepted, loss->taken + sample->fifo), accepted), lost);
	loss->open = lost || goes_on;
	loss->accepted = accepted;
	loss->taken = accepted - min_t(u64, sample->level, accepted);
	loss->lost = sample->lost;
}

/**
 * capture_loss_report() - the gaps in front of a byte of the stream
 * @loss: what is known so far; they are forgotten, and what they lost is added to @reported
 * @delivered: number of bytes in front of it; a gap right there belongs to what comes next
 *
 * Return: number of gaps.
 */
u32 capture_loss_report(struct capture_loss *loss, u64 delivered)
{
	u32 gaps = 0;

	while (gaps < loss->nr && loss->at[gaps] < delivered)
		loss->reported += loss->bytes[gaps++];
	loss->nr -= gaps;
	memmove(loss->at, loss->at + gaps, loss->nr * sizeof(*loss->at));
	memmove(loss->bytes, loss->bytes + gaps, loss->nr * sizeof(*loss->bytes));
	return gaps;
}

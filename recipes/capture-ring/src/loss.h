/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where data were lost, for a DMA engine that does not tell: from samples of the source's counters.
 *
 * The source loses data only while its FIFO is full. What was in the FIFO then is delivered before the gap, so a gap's
 * place among the delivered bytes is known from two samples: not before what had been accepted at the first one, and
 * not before what had been taken then and a whole FIFO behind it. When the DMA stood still meanwhile, because no block
 * was free, that is exact; else the gap is reported too early, by what the DMA took between two samples, never too
 * late. Nothing here touches hardware.
 */
#ifndef CAPTURE_LOSS_H
#define CAPTURE_LOSS_H

#include <linux/types.h>

#define CAPTURE_LOSS_POINTS	16
#define CAPTURE_LOSS_APART	256	/* bytes: the counters, which run on while read, may say that fewer came */

/**
 * struct capture_loss_sample - the source's counters at one moment
 * @produced: bytes generated, lost ones included; read first
 * @level: bytes in the FIFO; read second
 * @lost: bytes lost; read last: so the sums below are lower bounds
 * @fifo: the FIFO's depth in bytes
 */
struct capture_loss_sample {
	u64 produced;
	u32 level;
	u64 lost;
	u32 fifo;
};

/**
 * struct capture_loss - gaps that no block has reported
 * @accepted: bytes that had gone into the FIFO at the last sample
 * @taken: bytes that the DMA had taken out of it
 * @lost: bytes lost until then
 * @reported: bytes lost that were reported
 * @open: nothing has gone into the FIFO since the last of it
 * @nr: number of gaps
 * @at: how many bytes are delivered before each of them
 * @bytes: what was lost there
 */
struct capture_loss {
	u64 accepted;
	u64 taken;
	u64 lost;
	u64 reported;
	bool open;
	unsigned int nr;
	u64 at[CAPTURE_LOSS_POINTS];
	u64 bytes[CAPTURE_LOSS_POINTS];
};

void capture_loss_sample(struct capture_loss *loss, const struct capture_loss_sample *sample);
u32 capture_loss_report(struct capture_loss *loss, u64 delivered);

#endif /* CAPTURE_LOSS_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/* The fabric's identity and its capture source; registers: docs/interfaces.md, "Fabric registers". */
#ifndef CAPTURE_SOURCE_H
#define CAPTURE_SOURCE_H

#include <linux/spinlock.h>
#include <linux/types.h>

#include "uapi/capture_ring.h"

struct capture_loss_sample;
struct platform_device;
struct seq_file;

/**
 * struct capture_source - the source's registers
 * @registers: the window
 * @latch: guards a pair of reads: reading a low word latches the high one
 * @fabric_id: what sysid reports
 * @mute: gaps are told by the counters only, not by the stream's error bit, which would stop the DMA
 */
struct capture_source {
	void __iomem *registers;
	spinlock_t latch;	/* keeps a low and a high read together */
	u32 fabric_id;
	bool mute;
};

int capture_source_init(struct capture_source *source, struct platform_device *pdev);
bool capture_source_accepts(const struct capture_ring_start *start);
int capture_source_prepare(struct capture_source *source, const struct capture_ring_start *start);
void capture_source_run(struct capture_source *source, bool run);
void capture_source_flood(struct capture_source *source);
void capture_source_sample(struct capture_source *source, struct capture_loss_sample *sample);
u64 capture_source_lost(struct capture_source *source);
u64 capture_source_produced(struct capture_source *source);
u32 capture_source_level(struct capture_source *source);
u32 capture_source_fifo_bytes(struct capture_source *source);
void capture_source_show(struct capture_source *source, struct seq_file *file);

#endif /* CAPTURE_SOURCE_H */

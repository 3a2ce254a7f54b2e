/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the driver needs of a DMA engine: the provider's contract. Providers: msgdma.c, dmaengine.c.
 *
 * A provider fills blocks in the order in which they were queued and calls capture_complete() for each, in process
 * context and one call at a time. While a capture runs it also calls capture_ring_feed() when it has room again.
 */
#ifndef CAPTURE_DMA_H
#define CAPTURE_DMA_H

#include <linux/types.h>

struct capture;
struct capture_block;
struct capture_dma;
struct device;
struct seq_file;

/**
 * struct capture_dma_ops - a provider
 * @connect: take the interrupt, or whatever completions come by; the ring has its blocks. Return: 0 or an error
 * @start: make the engine ready for blocks; it has none. Return: 0 or an error, nothing runs then
 * @stop: complete what is filled to its end, then make sure that the engine writes no more. Return: 0, or an error when
 *        that is not sure: its blocks must then never be used again. Harmless when nothing runs
 * @queue: give the engine a block; called with the ring's lock held. Return: false when there is no room
 * @push: give the engine the rest of a block that did not fit as a whole; called with the ring's lock held. Return:
 *        false when there is still a rest
 * @check: look for completions whose interrupt was lost, and complete them. Return: whether there were some
 * @reap: complete what the ring's @due tells of, and feed; only for providers that set it
 * @show: show registers in debugfs
 */
struct capture_dma_ops {
	int (*connect)(struct capture_dma *dma);
	int (*start)(struct capture_dma *dma);
	int (*stop)(struct capture_dma *dma);
	bool (*queue)(struct capture_dma *dma, struct capture_block *block);
	bool (*push)(struct capture_dma *dma);
	bool (*check)(struct capture_dma *dma);
	void (*reap)(struct capture_dma *dma);
	void (*show)(struct capture_dma *dma, struct seq_file *file);
};

/**
 * struct capture_dma_part - what a provider knows of the block in whose middle it was stopped
 * @chunk: the first chunk that is not done; of those before it @filled is set
 * @bytes: bytes in those before it
 * @flags: CAPTURE_RING_BLOCK_* of those before it
 * @gaps: gaps in those before it
 */
struct capture_dma_part {
	unsigned int chunk;
	u32 bytes;
	u32 flags;
	u32 gaps;
};

/**
 * struct capture_dma - a provider's instance, embedded in its own structure
 * @ops: the provider
 * @capture: whom it works for
 * @device: the device that masters the bus: blocks are mapped for it
 * @stops_anywhere: a stop in the middle of a block leaves what is filled, up to the last word
 * @part: with @stops_anywhere: what the last stop has left in the oldest block
 */
struct capture_dma {
	const struct capture_dma_ops *ops;
	struct capture *capture;
	struct device *device;
	bool stops_anywhere;
	struct capture_dma_part part;
};

struct capture_dma *capture_msgdma_create(struct capture *capture);
struct capture_dma *capture_dmaengine_create(struct capture *capture);

#endif /* CAPTURE_DMA_H */

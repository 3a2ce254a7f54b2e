/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the driver needs of a DMA engine: the provider's contract. Providers: msgdma.c.
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

/**
 * struct capture_dma_ops - a provider
 * @start: make the engine ready for blocks; it has none. Return: 0 or an error, nothing runs then
 * @stop: complete what is filled to its end, then make sure that the engine writes no more. Return: 0, or an error when
 *        that is not sure: its blocks must then never be used again. Harmless when nothing runs
 * @queue: give the engine a block; called with the ring's lock held. Return: false when there is no room
 */
struct capture_dma_ops {
	int (*start)(struct capture_dma *dma);
	int (*stop)(struct capture_dma *dma);
	bool (*queue)(struct capture_dma *dma, const struct capture_block *block);
};

/**
 * struct capture_dma - a provider's instance, embedded in its own structure
 * @ops: the provider
 * @capture: whom it works for
 * @max_chunks: most chunks of one block that it takes
 */
struct capture_dma {
	const struct capture_dma_ops *ops;
	struct capture *capture;
	unsigned int max_chunks;
};

struct capture_dma *capture_msgdma_create(struct capture *capture);
int capture_msgdma_connect(struct capture_dma *dma);

#endif /* CAPTURE_DMA_H */

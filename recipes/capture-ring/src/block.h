/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A block: one DMA buffer of the ring, made of compound pages ("chunks"), mapped for the DMA as long as they live.
 *
 * Any number of pages will do: chunks of up to 1 MiB are put together, smaller ones where memory is fragmented. Chunks
 * are given back by dropping our reference, never by force: a socket or a disk that still reads them keeps them alive.
 */
#ifndef CAPTURE_BLOCK_H
#define CAPTURE_BLOCK_H

#include <linux/list.h>
#include <linux/types.h>

#include "uapi/capture_ring.h"

struct device;
struct page;

/**
 * enum capture_state - who owns a block
 * @CAPTURE_FREE: the driver; the device side of the mapping owns the caches
 * @CAPTURE_HARDWARE: the DMA may write it at any time
 * @CAPTURE_DONE: filled, waits for dequeue; the CPU may read it
 * @CAPTURE_USER: user space, until it enqueues the block
 * @CAPTURE_STATES: number of states
 */
enum capture_state {
	CAPTURE_FREE,
	CAPTURE_HARDWARE,
	CAPTURE_DONE,
	CAPTURE_USER,
	CAPTURE_STATES
};

struct capture_chunk {
	struct page *page;
	dma_addr_t dma;
	u32 bytes;
};

/**
 * struct capture_block - one block
 * @node: in the ring's list of its state; in none while user space owns it
 * @state: who owns it, guarded by the ring's lock
 * @nr_chunks: number of @chunks
 * @chunks: its memory, in the order of the mapping
 * @filled: what dequeue reports; @filled.index never changes
 */
struct capture_block {
	struct list_head node;
	enum capture_state state;
	unsigned int nr_chunks;
	struct capture_chunk *chunks;
	struct capture_ring_block filled;
};

int capture_block_alloc(struct device *dev, struct capture_block *block, u32 bytes, unsigned int max_chunks);
void capture_block_free(struct device *dev, struct capture_block *block);
int capture_block_renew(struct device *dev, struct capture_block *block, u32 bytes, unsigned int max_chunks);
bool capture_block_referenced(const struct capture_block *block);
unsigned int capture_block_pages(const struct capture_block *block, struct page **pages);
void capture_block_sync_for_cpu(struct device *dev, const struct capture_block *block);
void capture_block_sync_for_device(struct device *dev, const struct capture_block *block);

#endif /* CAPTURE_BLOCK_H */

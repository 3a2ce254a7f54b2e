/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A block: one DMA buffer, in chunks, mapped for the DMA as long as it lives.
 *
 * The ring's blocks are made of single pages, in chunks of neighbours. Any number of pages will do: chunks of up to
 * 1 MiB are put together, smaller ones where memory is fragmented. Pages are given back by dropping our reference,
 * never by force: a socket or a disk that still reads them keeps them alive. A block may be memory of user space
 * instead; see user.h.
 */
#ifndef CAPTURE_BLOCK_H
#define CAPTURE_BLOCK_H

#include <linux/list.h>
#include <linux/types.h>

#include "uapi/capture_ring.h"

struct capture_user;
struct device;
struct page;

/**
 * enum capture_state - who owns a block
 * @CAPTURE_FREE: the driver; the device side of the mapping owns the caches
 * @CAPTURE_HARDWARE: the DMA may write it at any time
 * @CAPTURE_DONE: filled, waits for dequeue
 * @CAPTURE_USER: user space, until it enqueues the block, or read(), until it has read it; the CPU may read it
 * @CAPTURE_NONE: nobody, it has no memory: the place of a buffer that user space may register
 * @CAPTURE_STATES: number of states
 */
enum capture_state {
	CAPTURE_FREE,
	CAPTURE_HARDWARE,
	CAPTURE_DONE,
	CAPTURE_USER,
	CAPTURE_NONE,
	CAPTURE_STATES
};

/**
 * struct capture_chunk - memory that is contiguous for the DMA
 * @page: its first page; NULL in user space's memory
 * @dma: address for the DMA
 * @bytes: length
 * @filled: bytes that the DMA has written, of the latest transfer
 */
struct capture_chunk {
	struct page *page;
	dma_addr_t dma;
	u32 bytes;
	u32 filled;
};

/**
 * struct capture_block - one block
 * @node: in the ring's list of its state; in none while it is CAPTURE_USER or CAPTURE_NONE
 * @state: who owns it, guarded by the ring's lock
 * @synced: the CPU side of the mapping owns the caches
 * @unmapped: read() has taken it out of its mapping
 * @reserved: its memory is set aside for the ring and is never freed
 * @bytes: size
 * @nr_chunks: number of @chunks
 * @chunks: its memory, in the order of the mapping
 * @user: user space's memory; NULL: memory of our own
 * @filled: what dequeue reports; @filled.index never changes
 */
struct capture_block {
	struct list_head node;
	enum capture_state state;
	bool synced;
	bool unmapped;
	bool reserved;
	u32 bytes;
	unsigned int nr_chunks;
	struct capture_chunk *chunks;
	struct capture_user *user;
	struct capture_ring_block filled;
};

int capture_block_alloc(struct device *dev, struct capture_block *block, u32 bytes);
int capture_block_place(struct device *dev, struct capture_block *block, u32 bytes, struct page *page);
void capture_block_free(struct device *dev, struct capture_block *block);
int capture_block_renew(struct device *dev, struct capture_block *block);
bool capture_block_referenced(const struct capture_block *block);
unsigned int capture_block_pages(const struct capture_block *block, struct page **pages);
u32 capture_block_find(const struct capture_block *block, u32 offset, struct page **page, u32 *within);

void capture_block_unmap(struct device *dev, struct capture_block *block);
int capture_block_map(struct device *dev, struct capture_block *block);
void capture_block_for_cpu(struct device *dev, struct capture_block *block);
void capture_block_for_device(struct device *dev, struct capture_block *block);
void capture_block_range_for_cpu(struct device *dev, const struct capture_block *block, u32 offset, u32 bytes);
void capture_block_range_for_device(struct device *dev, const struct capture_block *block, u32 offset, u32 bytes);
int capture_block_close_up(struct device *dev, struct capture_block *block);

#endif /* CAPTURE_BLOCK_H */

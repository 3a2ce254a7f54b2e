// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of the blocks; see block.h.
 *
 * Compound pages (__GFP_COMP), because vm_insert_pages() wants them so and because the network stack then merges a
 * whole chunk into one fragment. Low memory only, not movable: the DMA's address is 32 bits, and a page in CMA could
 * not be pinned by a socket or a disk for long.
 */
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "block.h"

#define CHUNK_ORDER_MAX	8U

static struct page *chunk_pages(unsigned int *order)
{
	struct page *page;

	for (;;) {
		gfp_t gfp = GFP_KERNEL | __GFP_COMP | __GFP_ZERO | __GFP_NOWARN;

		if (*order)
			gfp |= __GFP_RETRY_MAYFAIL;
		page = alloc_pages(gfp, *order);
		if (page || !*order)
			return page;
		--*order;
	}
}

static int chunk_alloc(struct device *dev, struct capture_chunk *chunk, unsigned int *order)
{
	chunk->page = chunk_pages(order);
	if (!chunk->page)
		return -ENOMEM;
	chunk->bytes = PAGE_SIZE << *order;
	chunk->dma = dma_map_page(dev, chunk->page, 0, chunk->bytes, DMA_FROM_DEVICE);
	if (dma_mapping_error(dev, chunk->dma)) {
		put_page(chunk->page);
		return -ENOMEM;
	}
	return 0;
}

/**
 * capture_block_alloc() - give a block zeroed memory that is mapped for the DMA
 * @dev: the device whose DMA writes it
 * @block: block without memory; keeps none when this fails
 * @bytes: size, a multiple of the page size
 * @max_chunks: most chunks that the DMA can take for one block
 *
 * Return: 0, or -ENOMEM: too little memory, or too fragmented for @max_chunks.
 */
int capture_block_alloc(struct device *dev, struct capture_block *block, u32 bytes, unsigned int max_chunks)
{
	unsigned int pages = bytes >> PAGE_SHIFT, order = CHUNK_ORDER_MAX;
	struct capture_chunk *fitted;

	block->nr_chunks = 0;
	block->chunks = kcalloc(min(pages, max_chunks), sizeof(*block->chunks), GFP_KERNEL);
	if (!block->chunks)
		return -ENOMEM;
	while (pages) {
		order = min_t(unsigned int, order, ilog2(pages));
		if (block->nr_chunks == max_chunks ||
		    chunk_alloc(dev, &block->chunks[block->nr_chunks], &order)) {
			capture_block_free(dev, block);
			return -ENOMEM;
		}
		block->nr_chunks++;
		pages -= 1U << order;
	}
	/* one chunk is the rule, room for hundreds the exception; a failure to shrink costs nothing but that room */
	fitted = krealloc(block->chunks, block->nr_chunks * sizeof(*fitted), GFP_KERNEL);
	if (fitted)
		block->chunks = fitted;
	return 0;
}

/**
 * capture_block_free() - end the DMA mapping and drop the driver's reference to the pages
 * @dev: the device whose DMA wrote it
 * @block: block that the DMA does not own; may be without memory
 *
 * Pages that user space has mapped, or that a socket or a disk reads, stay until their last user is done.
 */
void capture_block_free(struct device *dev, struct capture_block *block)
{
	while (block->nr_chunks) {
		struct capture_chunk *chunk = &block->chunks[--block->nr_chunks];

		dma_unmap_page(dev, chunk->dma, chunk->bytes, DMA_FROM_DEVICE);
		put_page(chunk->page);
	}
	kfree(block->chunks);
	block->chunks = NULL;
}

/**
 * capture_block_renew() - exchange a block's memory for new, zeroed memory
 * @dev: the device whose DMA writes it
 * @block: block that is FREE and that nobody has mapped
 * @bytes: its size
 * @max_chunks: as for capture_block_alloc()
 *
 * Return: 0, or -ENOMEM, the block then keeps its memory.
 */
int capture_block_renew(struct device *dev, struct capture_block *block, u32 bytes, unsigned int max_chunks)
{
	struct capture_block new = {};
	int ret = capture_block_alloc(dev, &new, bytes, max_chunks);

	if (ret)
		return ret;
	swap(block->nr_chunks, new.nr_chunks);
	swap(block->chunks, new.chunks);
	capture_block_free(dev, &new);
	return 0;
}

/**
 * capture_block_referenced() - whether somebody besides the driver holds the block's pages
 * @block: a block that nobody has mapped: each mapped page is a reference, too
 */
bool capture_block_referenced(const struct capture_block *block)
{
	unsigned int i;

	for (i = 0; i < block->nr_chunks; i++)
		if (page_ref_count(block->chunks[i].page) > 1)
			return true;
	return false;
}

/**
 * capture_block_pages() - list a block's pages for a mapping
 * @block: the block
 * @pages: room for all of them
 *
 * Return: their number.
 */
unsigned int capture_block_pages(const struct capture_block *block, struct page **pages)
{
	unsigned int i, page, count = 0;

	for (i = 0; i < block->nr_chunks; i++)
		for (page = 0; page < block->chunks[i].bytes >> PAGE_SHIFT; page++)
			pages[count++] = block->chunks[i].page + page;
	return count;
}

/* Needed on both ways, also when "nobody wrote": a Cortex-A9 fills its caches by speculation. */
void capture_block_sync_for_cpu(struct device *dev, const struct capture_block *block)
{
	unsigned int i;

	for (i = 0; i < block->nr_chunks; i++)
		dma_sync_single_for_cpu(dev, block->chunks[i].dma, block->chunks[i].bytes, DMA_FROM_DEVICE);
}

void capture_block_sync_for_device(struct device *dev, const struct capture_block *block)
{
	unsigned int i;

	for (i = 0; i < block->nr_chunks; i++)
		dma_sync_single_for_device(dev, block->chunks[i].dma, block->chunks[i].bytes, DMA_FROM_DEVICE);
}

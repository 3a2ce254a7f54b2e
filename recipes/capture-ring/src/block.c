// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of the blocks; see block.h.
 *
 * Chunks of many pages, split into pages that are counted one by one (split_page()). Not compound pages, though a
 * socket takes one of them as one fragment: without CONFIG_TRANSPARENT_HUGEPAGE, which a 32-bit ARM never has,
 * madvise(MADV_COLD) on a part of a compound page does not return (6.12's stub of split_folio() says that it has split
 * it). Low memory only, not movable: the DMA's address is 32 bits, and a page in CMA could not be pinned by a socket or
 * a disk for long. Never at the price of killing a process (__GFP_RETRY_MAYFAIL).
 */
#include <linux/dma-mapping.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "block.h"
#include "user.h"

#define CHUNK_ORDER_MAX	8U

static struct page *chunk_pages(unsigned int *order)
{
	struct page *page;

	for (;;) {
		page = alloc_pages(GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL, *order);
		if (page && *order)
			split_page(page, *order);
		if (page || !*order)
			return page;
		--*order;
	}
}

/* Each page stays until the last of its users is done with it. */
static void chunk_put(const struct capture_chunk *chunk)
{
	unsigned int i;

	for (i = 0; i < chunk->bytes >> PAGE_SHIFT; i++)
		put_page(chunk->page + i);
}

static bool chunk_referenced(const struct capture_chunk *chunk)
{
	unsigned int i;

	for (i = 0; i < chunk->bytes >> PAGE_SHIFT; i++)
		if (page_ref_count(chunk->page + i) > 1)
			return true;
	return false;
}

static int chunk_map(struct device *dev, struct capture_chunk *chunk)
{
	chunk->dma = dma_map_page(dev, chunk->page, 0, chunk->bytes, DMA_FROM_DEVICE);
	return dma_mapping_error(dev, chunk->dma) ? -ENOMEM : 0;
}

static int chunk_alloc(struct device *dev, struct capture_chunk *chunk, unsigned int *order)
{
	int ret;

	chunk->page = chunk_pages(order);
	if (!chunk->page)
		return -ENOMEM;
	chunk->bytes = PAGE_SIZE << *order;
	ret = chunk_map(dev, chunk);
	if (ret)
		chunk_put(chunk);
	return ret;
}

/* One chunk is the rule, room for thousands the exception; a failure to shrink costs nothing but that room. */
static void chunks_fit(struct capture_block *block)
{
	struct capture_chunk *fitted = kvmalloc_array(block->nr_chunks, sizeof(*fitted), GFP_KERNEL);

	if (!fitted)
		return;
	memcpy(fitted, block->chunks, block->nr_chunks * sizeof(*fitted));
	kvfree(block->chunks);
	block->chunks = fitted;
}

/**
 * capture_block_alloc() - give a block zeroed memory that is mapped for the DMA
 * @dev: the device whose DMA writes it
 * @block: block without memory; keeps none when this fails
 * @bytes: size, a multiple of the page size
 *
 * Return: 0 or -ENOMEM.
 */
int capture_block_alloc(struct device *dev, struct capture_block *block, u32 bytes)
{
	unsigned int pages = bytes >> PAGE_SHIFT, order = CHUNK_ORDER_MAX;
	int ret;

	block->nr_chunks = 0;
	block->bytes = bytes;
	block->chunks = kvcalloc(pages, sizeof(*block->chunks), GFP_KERNEL);
	if (!block->chunks)
		return -ENOMEM;
	while (pages) {
		order = min_t(unsigned int, order, ilog2(pages));
		ret = chunk_alloc(dev, &block->chunks[block->nr_chunks], &order);
		if (ret) {
			capture_block_free(dev, block);
			return ret;
		}
		block->nr_chunks++;
		pages -= 1U << order;
	}
	chunks_fit(block);
	return 0;
}

/**
 * capture_block_place() - give a block memory that is set aside, and map that for the DMA
 * @dev: the device whose DMA writes it
 * @block: block without memory; keeps none when this fails
 * @bytes: size, a multiple of the page size
 * @page: its first page, of so many in a row
 *
 * Return: 0 or -ENOMEM.
 */
int capture_block_place(struct device *dev, struct capture_block *block, u32 bytes, struct page *page)
{
	struct capture_chunk *chunk = kvzalloc(sizeof(*chunk), GFP_KERNEL);

	if (!chunk)
		return -ENOMEM;
	chunk->page = page;
	chunk->bytes = bytes;
	if (chunk_map(dev, chunk)) {
		kvfree(chunk);
		return -ENOMEM;
	}
	block->bytes = bytes;
	block->chunks = chunk;
	block->nr_chunks = 1;
	block->reserved = true;
	return 0;
}

/**
 * capture_block_free() - end the DMA mapping and drop the driver's reference to the pages
 * @dev: the device whose DMA wrote it
 * @block: block of the ring that the DMA does not own; may be without memory
 *
 * Pages that user space has mapped, or that a socket or a disk reads, stay until their last user is done.
 */
void capture_block_free(struct device *dev, struct capture_block *block)
{
	if (!block->unmapped)
		capture_block_unmap(dev, block);
	for (; block->nr_chunks; block->nr_chunks--)
		if (!block->reserved)
			chunk_put(&block->chunks[block->nr_chunks - 1]);
	kvfree(block->chunks);
	block->chunks = NULL;
	block->unmapped = false;
}

/**
 * capture_block_renew() - exchange a block's memory for new, zeroed memory
 * @dev: the device whose DMA writes it
 * @block: block of the ring that is FREE and that nobody has mapped
 *
 * Return: 0, or -ENOMEM, the block then keeps its memory.
 */
int capture_block_renew(struct device *dev, struct capture_block *block)
{
	struct capture_block new = {};
	int ret = capture_block_alloc(dev, &new, block->bytes);

	if (ret)
		return ret;
	swap(block->nr_chunks, new.nr_chunks);
	swap(block->chunks, new.chunks);
	capture_block_free(dev, &new);
	return 0;
}

/**
 * capture_block_referenced() - whether somebody besides the driver holds the block's pages
 * @block: a block of the ring that nobody has mapped: each mapped page is a reference, too
 */
bool capture_block_referenced(const struct capture_block *block)
{
	unsigned int i;

	for (i = 0; i < block->nr_chunks; i++)
		if (chunk_referenced(&block->chunks[i]))
			return true;
	return false;
}

/**
 * capture_block_pages() - list a block's pages for a mapping
 * @block: block of the ring
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

/**
 * capture_block_find() - the page behind an offset
 * @block: block of the ring
 * @offset: offset into it, less than its size
 * @page: set to the page
 * @within: set to the offset into that page
 *
 * Return: bytes from there to the chunk's end.
 */
u32 capture_block_find(const struct capture_block *block, u32 offset, struct page **page, u32 *within)
{
	const struct capture_chunk *chunk = block->chunks;

	while (offset >= chunk->bytes) {
		offset -= chunk->bytes;
		chunk++;
	}
	*page = chunk->page + (offset >> PAGE_SHIFT);
	*within = offset_in_page(offset);
	return chunk->bytes - offset;
}

/**
 * capture_block_unmap() - end the DMA mapping: the CPU owns the memory as if there were no DMA
 * @dev: the device whose DMA wrote it
 * @block: block of the ring that the DMA does not own
 */
void capture_block_unmap(struct device *dev, struct capture_block *block)
{
	unsigned int i;

	for (i = 0; i < block->nr_chunks; i++)
		dma_unmap_page(dev, block->chunks[i].dma, block->chunks[i].bytes, DMA_FROM_DEVICE);
	block->unmapped = true;
}

/**
 * capture_block_map() - the counterpart of capture_block_unmap()
 * @dev: the device whose DMA writes it
 * @block: block of the ring that is not mapped
 *
 * Return: 0, or -ENOMEM; it is not mapped then.
 */
int capture_block_map(struct device *dev, struct capture_block *block)
{
	unsigned int i;

	for (i = 0; i < block->nr_chunks; i++) {
		if (!chunk_map(dev, &block->chunks[i]))
			continue;
		while (i--)
			dma_unmap_page(dev, block->chunks[i].dma, block->chunks[i].bytes, DMA_FROM_DEVICE);
		return -ENOMEM;
	}
	block->unmapped = false;
	return 0;
}

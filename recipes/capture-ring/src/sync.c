// SPDX-License-Identifier: GPL-2.0-only
/*
 * Caches: whose side of the mapping owns a block.
 *
 * Synchronising is needed on both ways, also when "nobody wrote": a Cortex-A9 fills its caches by speculation. It costs
 * a pass over all lines of the range, so it is done once and late: when a block is handed to user space, not when it is
 * filled (an overwritten one never pays), and for read() only for the part that is copied.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "block.h"
#include "user.h"

/**
 * capture_block_for_cpu() - the CPU will read the block; nothing to do when it is its already
 * @dev: the device whose DMA wrote it
 * @block: block that the DMA does not own
 */
void capture_block_for_cpu(struct device *dev, struct capture_block *block)
{
	if (block->synced || block->unmapped)
		return;
	if (block->user)
		dma_sync_sgtable_for_cpu(dev, &block->user->table, DMA_FROM_DEVICE);
	else
		capture_block_range_for_cpu(dev, block, 0, block->bytes);
	block->synced = true;
}

/**
 * capture_block_for_device() - the DMA will write the block
 * @dev: the device
 * @block: block that the DMA does not own, mapped
 */
void capture_block_for_device(struct device *dev, struct capture_block *block)
{
	if (block->user)
		dma_sync_sgtable_for_device(dev, &block->user->table, DMA_FROM_DEVICE);
	else
		capture_block_range_for_device(dev, block, 0, block->bytes);
	block->synced = false;
}

typedef void (*sync_fn)(struct device *dev, dma_addr_t address, unsigned long offset, size_t bytes,
			enum dma_data_direction direction);

static void sync_range(struct device *dev, const struct capture_block *block, u32 offset, u32 bytes, sync_fn sync)
{
	const struct capture_chunk *chunk;

	for (chunk = block->chunks; bytes; chunk++) {
		u32 part;

		if (offset >= chunk->bytes) {
			offset -= chunk->bytes;
			continue;
		}
		part = min(bytes, chunk->bytes - offset);
		sync(dev, chunk->dma, offset, part, DMA_FROM_DEVICE);
		bytes -= part;
		offset = 0;
	}
}

static void for_cpu(struct device *dev, dma_addr_t address, unsigned long offset, size_t bytes,
		    enum dma_data_direction direction)
{
	dma_sync_single_range_for_cpu(dev, address, offset, bytes, direction);
}

static void for_device(struct device *dev, dma_addr_t address, unsigned long offset, size_t bytes,
		       enum dma_data_direction direction)
{
	dma_sync_single_range_for_device(dev, address, offset, bytes, direction);
}

/**
 * capture_block_range_for_cpu() - the CPU will read a part of the block
 * @dev: the device whose DMA wrote it
 * @block: block that the DMA does not own; of user space's memory all is synchronised
 * @offset: first byte
 * @bytes: length; the range lies in the block
 */
void capture_block_range_for_cpu(struct device *dev, const struct capture_block *block, u32 offset, u32 bytes)
{
	if (block->user)
		dma_sync_sgtable_for_cpu(dev, &block->user->table, DMA_FROM_DEVICE);
	else
		sync_range(dev, block, offset, bytes, for_cpu);
}

/**
 * capture_block_range_for_device() - the CPU is done with a part of the block
 * @dev: the device
 * @block: as for capture_block_range_for_cpu()
 * @offset: first byte
 * @bytes: length
 */
void capture_block_range_for_device(struct device *dev, const struct capture_block *block, u32 offset, u32 bytes)
{
	if (block->user)
		dma_sync_sgtable_for_device(dev, &block->user->table, DMA_FROM_DEVICE);
	else
		sync_range(dev, block, offset, bytes, for_device);
}

/* A page at the most, from one offset of the block to a lower one. */
static void move_some(struct capture_block *block, void *bounce, u32 from, u32 to, u32 bytes)
{
	struct page *page;
	u32 within;

	if (block->user) {
		struct sg_table *table = &block->user->table;

		sg_pcopy_to_buffer(table->sgl, table->orig_nents, bounce, bytes, from);
		sg_pcopy_from_buffer(table->sgl, table->orig_nents, bounce, bytes, to);
		return;
	}
	capture_block_find(block, from, &page, &within);
	memcpy(bounce, page_address(page) + within, bytes);
	capture_block_find(block, to, &page, &within);
	memcpy(page_address(page) + within, bounce, bytes);
}

static u32 run_at(const struct capture_block *block, u32 offset)
{
	struct page *page;
	u32 within;

	return block->user ? PAGE_SIZE : capture_block_find(block, offset, &page, &within);
}

/**
 * capture_block_close_up() - move data together when the DMA ended a chunk early and went on in the next one
 * @dev: the device whose DMA wrote it
 * @block: block that was filled, with @filled of its chunks set
 *
 * Costs nothing when only the last chunks are short.
 *
 * Return: 0, or -ENOMEM: data behind the first hole are not where they belong.
 */
int capture_block_close_up(struct device *dev, struct capture_block *block)
{
	u32 from = 0, to = 0, left, part;
	void *bounce = NULL;
	unsigned int i;

	for (i = 0; i < block->nr_chunks; from += block->chunks[i++].bytes) {
		left = block->chunks[i].filled;
		if (from != to && left && !bounce) {
			bounce = (void *)__get_free_page(GFP_KERNEL);
			if (!bounce)
				return -ENOMEM;
			capture_block_for_cpu(dev, block);
		}
		if (from == to) {
			to += left;
			continue;
		}
		for (; left; left -= part, to += part) {
			u32 at = from + block->chunks[i].filled - left;

			part = min3(left, run_at(block, to), run_at(block, at));
			part = min_t(u32, part, PAGE_SIZE);
			move_some(block, bounce, at, to, part);
		}
	}
	free_page((unsigned long)bounce);
	return 0;
}

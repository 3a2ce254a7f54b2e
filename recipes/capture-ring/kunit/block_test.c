// SPDX-License-Identifier: GPL-2.0-only
/* Memory of a block: any number of pages, in chunks; data behind a hole are moved together. */
#include <linux/mm.h>
#include <linux/string.h>

#include "fake.h"
#include "suites.h"

#define ODD_BYTES	(5 * 262144 + 4096)	/* 1.25 MiB and a page: no power of two */

struct owned {
	struct device *dev;
	struct capture_block block;
};

static void release(void *data)
{
	struct owned *owned = data;

	capture_block_free(owned->dev, &owned->block);
}

static struct capture_block *block_of(struct kunit *test, u32 bytes)
{
	struct owned *owned = kunit_kzalloc(test, sizeof(*owned), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, owned);
	owned->dev = fake_device(test);
	KUNIT_ASSERT_EQ(test, capture_block_alloc(owned->dev, &owned->block, bytes), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, release, owned), 0);
	return &owned->block;
}

static struct device *device_of(struct capture_block *block)
{
	return container_of(block, struct owned, block)->dev;
}

static void chunks_make_up_the_block(struct kunit *test)
{
	struct capture_block *block = block_of(test, ODD_BYTES);
	u32 i, bytes = 0;

	for (i = 0; i < block->nr_chunks; i++)
		bytes += block->chunks[i].bytes;
	KUNIT_EXPECT_EQ(test, bytes, ODD_BYTES);
	KUNIT_EXPECT_GT(test, block->nr_chunks, 1);
}

static void each_page_is_counted_for_itself_and_zero(struct kunit *test)
{
	struct capture_block *block = block_of(test, ODD_BYTES);
	struct page **pages = kunit_kcalloc(test, ODD_BYTES >> PAGE_SHIFT, sizeof(*pages), GFP_KERNEL);
	unsigned int i, nr_pages;

	KUNIT_ASSERT_NOT_NULL(test, pages);
	nr_pages = capture_block_pages(block, pages);
	KUNIT_ASSERT_EQ(test, nr_pages, ODD_BYTES >> PAGE_SHIFT);
	for (i = 0; i < nr_pages; i++) {
		KUNIT_EXPECT_EQ(test, page_ref_count(pages[i]), 1);
		KUNIT_EXPECT_FALSE(test, PageCompound(pages[i]));
		KUNIT_EXPECT_NULL(test, memchr_inv(page_address(pages[i]), 0, PAGE_SIZE));
	}
	KUNIT_EXPECT_FALSE(test, capture_block_referenced(block));
	get_page(pages[nr_pages - 1]);
	KUNIT_EXPECT_TRUE(test, capture_block_referenced(block));
	put_page(pages[nr_pages - 1]);
}

static void renewed_block_leaves_its_pages_to_who_holds_them(struct kunit *test)
{
	struct capture_block *block = block_of(test, FAKE_BYTES);
	struct page *page = block->chunks[0].page;

	get_page(page);
	KUNIT_EXPECT_EQ(test, capture_block_renew(device_of(block), block), 0);
	KUNIT_EXPECT_PTR_NE(test, block->chunks[0].page, page);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	put_page(page);
}

static u8 *byte_at(struct capture_block *block, u32 offset)
{
	struct page *page;
	u32 within;

	capture_block_find(block, offset, &page, &within);
	return (u8 *)page_address(page) + within;
}

/* As when the DMA ends each chunk early, and goes on in the next one. */
static void holes_are_closed_up(struct kunit *test)
{
	struct capture_block *block = block_of(test, ODD_BYTES);
	u32 i, offset, begin = 0, position = 0, wrong = 0;

	for (i = 0; i < block->nr_chunks; begin += block->chunks[i++].bytes) {
		struct capture_chunk *chunk = &block->chunks[i];

		chunk->filled = chunk->bytes - 100 * (i + 1);
		for (offset = 0; offset < chunk->filled; offset++)
			*byte_at(block, begin + offset) = position++ % 251;
	}
	KUNIT_EXPECT_EQ(test, capture_block_close_up(device_of(block), block), 0);
	for (offset = 0; offset < position; offset++)
		wrong += *byte_at(block, offset) != offset % 251;
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void memory_that_is_set_aside_is_never_freed(struct kunit *test)
{
	struct capture_region region = { .bytes = FAKE_BYTES };
	struct device *dev = fake_device(test);
	struct capture_block block = {};
	unsigned int order = get_order(FAKE_BYTES), i;

	region.page = alloc_pages(GFP_KERNEL, order);
	KUNIT_ASSERT_NOT_NULL(test, region.page);
	split_page(region.page, order);
	memset(page_address(region.page), 0xaa, FAKE_BYTES);
	KUNIT_EXPECT_NULL(test, capture_region_take(&region, PAGE_SIZE, FAKE_BYTES));
	get_page(region.page + 3);	/* somebody reads it */
	KUNIT_EXPECT_NULL(test, capture_region_take(&region, 0, FAKE_BYTES));
	put_page(region.page + 3);
	KUNIT_EXPECT_PTR_EQ(test, capture_region_take(&region, 0, FAKE_BYTES), region.page);
	KUNIT_EXPECT_NULL(test, memchr_inv(page_address(region.page), 0, FAKE_BYTES));
	KUNIT_EXPECT_EQ(test, capture_block_place(dev, &block, FAKE_BYTES, region.page), 0);
	KUNIT_EXPECT_EQ(test, block.nr_chunks, 1);
	capture_block_free(dev, &block);
	for (i = 0; i < FAKE_BYTES >> PAGE_SHIFT; i++) {
		KUNIT_EXPECT_EQ(test, page_ref_count(region.page + i), 1);
		__free_page(region.page + i);
	}
}

static struct kunit_case block_cases[] = {
	KUNIT_CASE(chunks_make_up_the_block),
	KUNIT_CASE(each_page_is_counted_for_itself_and_zero),
	KUNIT_CASE(renewed_block_leaves_its_pages_to_who_holds_them),
	KUNIT_CASE(holes_are_closed_up),
	KUNIT_CASE(memory_that_is_set_aside_is_never_freed),
	{}
};

struct kunit_suite capture_block_suite = { .name = "capture-block", .test_cases = block_cases };

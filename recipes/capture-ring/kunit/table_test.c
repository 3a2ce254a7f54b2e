// SPDX-License-Identifier: GPL-2.0-only
/* The scatter-gather builder: neighbours together, the offset into the first page, a part of the last one. */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "block.h"
#include "fake.h"
#include "suites.h"
#include "user.h"

#define PAGES	8

struct buffer {
	struct device *dev;
	struct capture_user user;
	struct page *memory;
	struct page *pages[PAGES];
};

static void release(void *data)
{
	struct buffer *buffer = data;
	int i;

	sg_free_table(&buffer->user.table);
	for (i = 0; i < PAGES; i++)
		__free_page(buffer->memory + i);
}

/* Pages in a row, but for those that @order puts elsewhere. */
static struct buffer *buffer_of(struct kunit *test, const u8 order[PAGES], u32 offset, u32 bytes)
{
	struct buffer *buffer = kunit_kzalloc(test, sizeof(*buffer), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, buffer);
	buffer->dev = fake_device(test);
	buffer->memory = alloc_pages(GFP_KERNEL, get_order(PAGES * PAGE_SIZE));
	KUNIT_ASSERT_NOT_NULL(test, buffer->memory);
	split_page(buffer->memory, get_order(PAGES * PAGE_SIZE));
	for (i = 0; i < PAGES; i++)
		buffer->pages[i] = buffer->memory + order[i];
	buffer->user.pages = buffer->pages;
	buffer->user.nr_pages = PAGES;
	KUNIT_ASSERT_EQ(test, capture_user_table(buffer->dev, &buffer->user, offset, bytes), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, release, buffer), 0);
	return buffer;
}

static void expect_entry(struct kunit *test, struct buffer *buffer, unsigned int entry, u32 page, u32 offset, u32 bytes)
{
	struct scatterlist *list = buffer->user.table.sgl;

	while (entry--)
		list = sg_next(list);
	KUNIT_EXPECT_PTR_EQ(test, sg_page(list), buffer->memory + page);
	KUNIT_EXPECT_EQ(test, list->offset, offset);
	KUNIT_EXPECT_EQ(test, list->length, bytes);
}

static void neighbours_are_one_entry(struct kunit *test)
{
	static const u8 in_a_row[PAGES] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct buffer *buffer = buffer_of(test, in_a_row, 64, PAGES * PAGE_SIZE - 128);

	KUNIT_EXPECT_EQ(test, buffer->user.table.nents, 1);
	expect_entry(test, buffer, 0, 0, 64, PAGES * PAGE_SIZE - 128);
}

static void others_are_not(struct kunit *test)
{
	static const u8 torn[PAGES] = { 4, 5, 6, 7, 2, 3, 0, 1 };
	struct buffer *buffer = buffer_of(test, torn, 256, PAGES * PAGE_SIZE - 256 - 512);

	KUNIT_ASSERT_EQ(test, buffer->user.table.nents, 3);
	expect_entry(test, buffer, 0, 4, 256, 4 * PAGE_SIZE - 256);
	expect_entry(test, buffer, 1, 2, 0, 2 * PAGE_SIZE);
	expect_entry(test, buffer, 2, 0, 0, 2 * PAGE_SIZE - 512);
}

static void backwards_is_a_page_each(struct kunit *test)
{
	static const u8 backwards[PAGES] = { 7, 6, 5, 4, 3, 2, 1, 0 };
	struct buffer *buffer = buffer_of(test, backwards, 0, PAGES * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, buffer->user.table.nents, PAGES);
}

static void chunks_are_the_entries(struct kunit *test)
{
	static const u8 torn[PAGES] = { 4, 5, 6, 7, 2, 3, 0, 1 };
	struct buffer *buffer = buffer_of(test, torn, 256, PAGES * PAGE_SIZE - 256);
	struct capture_block block = { .bytes = PAGES * PAGE_SIZE - 256 };
	u32 i, bytes = 0;

	KUNIT_ASSERT_EQ(test, capture_user_map(buffer->dev, &buffer->user, &block), 0);
	KUNIT_EXPECT_EQ(test, block.nr_chunks, 3);
	for (i = 0; i < block.nr_chunks; i++)
		bytes += block.chunks[i].bytes;
	KUNIT_EXPECT_EQ(test, bytes, block.bytes);
	KUNIT_EXPECT_EQ(test, block.chunks[0].dma, page_to_phys(buffer->memory + 4) + 256);
	capture_user_unmap(buffer->dev, &block);
	KUNIT_EXPECT_NULL(test, block.user);
}

static struct kunit_case table_cases[] = {
	KUNIT_CASE(neighbours_are_one_entry),
	KUNIT_CASE(others_are_not),
	KUNIT_CASE(backwards_is_a_page_each),
	KUNIT_CASE(chunks_are_the_entries),
	{}
};

struct kunit_suite capture_table_suite = { .name = "capture-table", .test_cases = table_cases };

// SPDX-License-Identifier: GPL-2.0-only
/* What the tests have instead of hardware; see fake.h. */
#include <linux/dma-mapping.h>
#include <linux/platform_device.h>

#include "fake.h"

static void unregister(void *data)
{
	platform_device_unregister(data);
}

/* A device that may do DMA with 32 bits; gone behind the test. */
struct device *fake_device(struct kunit *test)
{
	struct platform_device *pdev = platform_device_register_simple("capture-kunit", PLATFORM_DEVID_AUTO, NULL, 0);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, pdev);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, unregister, pdev), 0);
	KUNIT_ASSERT_EQ(test, dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32)), 0);
	return &pdev->dev;
}

static bool fake_queue(struct capture_dma *dma, struct capture_block *block)
{
	struct fake *fake = container_of(dma, struct fake, dma);

	if (fake->queued == FAKE_DEPTH)
		return false;
	fake->queued++;
	fake->order[fake->nr_order++ % ARRAY_SIZE(fake->order)] = block->filled.index;
	return true;
}

static bool fake_push(struct capture_dma *dma)
{
	return true;
}

static const struct capture_dma_ops fake_ops = { .queue = fake_queue, .push = fake_push };

static void free_ring(void *data)
{
	struct fake *fake = data;

	capture_ring_recover(&fake->ring);
	capture_ring_free(&fake->ring);
	capture_ring_destroy(&fake->ring);
}

/* A ring that runs, all its blocks FREE; gone behind the test. */
struct fake *fake_ring(struct kunit *test)
{
	struct device *dev = fake_device(test);
	struct fake *fake = kunit_kzalloc(test, sizeof(*fake), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, fake);
	fake->dma.ops = &fake_ops;
	KUNIT_ASSERT_EQ(test, capture_ring_init(&fake->ring, dev), 0);
	fake->ring.dma = &fake->dma;
	KUNIT_ASSERT_EQ(test, capture_ring_alloc(&fake->ring, FAKE_BYTES, FAKE_BLOCKS, 0), 0);
	KUNIT_ASSERT_EQ(test, kunit_add_action_or_reset(test, free_ring, fake), 0);
	capture_ring_begin(&fake->ring, 0);
	return fake;
}

/* The engine has filled its oldest block. */
void fake_fill(struct fake *fake, u32 bytes, u32 flags, u32 gaps, u64 lost_total)
{
	fake->queued--;
	capture_ring_complete(&fake->ring, bytes, flags, gaps, lost_total);
}

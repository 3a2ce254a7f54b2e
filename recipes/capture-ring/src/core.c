// SPDX-License-Identifier: GPL-2.0-only
/*
 * capture-ring: the FPGA's DMA fills a ring of blocks, user space maps it once and passes the blocks on without a copy.
 *
 * Binding to the device. Order matters, because it is undone backwards: file, interrupt, blocks, registers, memory.
 */
#include <linux/dma-mapping.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/sizes.h>

#include "capture.h"

#define BLOCK_BYTES_MIN	SZ_64K
#define BLOCK_BYTES_MAX	SZ_16M
#define BLOCKS_MIN	2
#define BLOCKS_MAX	1024

static void put_action(void *data)
{
	capture_put(data);
}

static int probe_ring(struct capture *capture)
{
	struct device *dev = capture->dev;
	u32 bytes, blocks;
	int ret;

	ret = device_property_read_u32(dev, "cyclone-capture,block-bytes", &bytes);
	if (!ret)
		ret = device_property_read_u32(dev, "cyclone-capture,blocks", &blocks);
	if (ret)
		return dev_err_probe(dev, ret, "no size of the ring in the device tree\n");
	if (bytes < BLOCK_BYTES_MIN || bytes > BLOCK_BYTES_MAX || !PAGE_ALIGNED(bytes))
		return dev_err_probe(dev, -EINVAL, "block-bytes %u is not valid (valid: %u to %u, multiple of %lu)\n",
				     bytes, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX, PAGE_SIZE);
	if (blocks < BLOCKS_MIN || blocks > BLOCKS_MAX)
		return dev_err_probe(dev, -EINVAL, "blocks %u is not valid (valid: %u to %u)\n",
				     blocks, BLOCKS_MIN, BLOCKS_MAX);
	ret = capture_ring_alloc(&capture->ring, bytes, blocks, capture->dma->max_chunks);
	if (ret)	/* not dev_err_probe(): it keeps silent about -ENOMEM */
		dev_err(dev, "no memory for %u blocks of %u bytes: take fewer, or load the driver earlier\n",
			blocks, bytes);
	return ret;
}

static int probe_hardware(struct capture *capture, struct platform_device *pdev)
{
	int ret = capture_source_init(&capture->source, pdev);

	if (ret)
		return ret;
	capture->dma = capture_msgdma_create(capture);
	if (IS_ERR(capture->dma))
		return PTR_ERR(capture->dma);
	capture->ring.dma = capture->dma;
	ret = probe_ring(capture);
	if (ret)
		return ret;
	ret = capture_msgdma_connect(capture->dma);
	if (ret)
		return dev_err_probe(&pdev->dev, ret, "no interrupt of the mSGDMA\n");
	return 0;
}

static int capture_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct capture *capture;
	int ret;

	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32));
	if (ret)
		return dev_err_probe(dev, ret, "no DMA with 32 bits\n");
	capture = capture_create(dev);
	if (!capture)
		return -ENOMEM;
	ret = devm_add_action_or_reset(dev, put_action, capture);
	if (ret)
		return ret;
	ret = probe_hardware(capture, pdev);
	if (ret)
		return ret;
	ret = capture_chrdev_register(capture);
	if (ret)
		return dev_err_probe(dev, ret, "no device node\n");
	dev_info(dev, "%s: fabric %#x, %u blocks of %u bytes\n", capture->name, capture->source.fabric_id,
		 capture->ring.nr_blocks, capture->ring.block_bytes);
	return 0;
}

static const struct of_device_id capture_of_match[] = {
	{ .compatible = "cyclone-capture,capture-ring" },
	{}
};
MODULE_DEVICE_TABLE(of, capture_of_match);

static struct platform_driver capture_driver = {
	.probe = capture_probe,
	.driver = {
		.name = "capture-ring",
		.of_match_table = capture_of_match,
	},
};
module_platform_driver(capture_driver);

MODULE_DESCRIPTION("Ring of DMA blocks that user space passes on without a copy");
MODULE_LICENSE("GPL");

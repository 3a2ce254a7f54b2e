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

#include "capture.h"
#include "debug.h"

static void put_action(void *data)
{
	capture_put(data);
}

static void free_action(void *data)
{
	capture_ring_free(data);
}

static int read_sizes(struct capture *capture)
{
	struct device *dev = capture->dev;
	int ret;

	ret = device_property_read_u32(dev, "cyclone-capture,block-bytes", &capture->block_bytes);
	if (!ret)
		ret = device_property_read_u32(dev, "cyclone-capture,blocks", &capture->blocks);
	if (ret)
		return dev_err_probe(dev, ret, "no size of the ring in the device tree\n");
	if (!capture_size_is_valid(capture->block_bytes, capture->blocks))
		return dev_err_probe(dev, -EINVAL,
				     "%u blocks of %u bytes are not valid (valid: %u to %u of %u to %u bytes, a multiple of %lu)\n",
				     capture->blocks, capture->block_bytes, CAPTURE_RING_BLOCKS_MIN,
				     CAPTURE_RING_BLOCKS_MAX, CAPTURE_RING_BLOCK_BYTES_MIN,
				     CAPTURE_RING_BLOCK_BYTES_MAX, PAGE_SIZE);
	return 0;
}

static int probe_ring(struct capture *capture)
{
	struct device *dev = capture->dev;
	int ret = read_sizes(capture);

	if (ret)
		return ret;
	ret = capture_region_init(&capture->ring.region, dev);
	if (ret)
		return ret;
	ret = devm_add_action(dev, free_action, &capture->ring);
	if (ret)
		return ret;
	ret = capture_ring_alloc(&capture->ring, capture->block_bytes, capture->blocks, 0);
	if (ret) {	/* not dev_err_probe(): it keeps silent about -ENOMEM */
		dev_err(dev, "no memory for %u blocks of %u bytes: take fewer, or load the driver earlier\n",
			capture->blocks, capture->block_bytes);
		return ret;
	}
	capture->coherent = !dma_need_sync(capture->ring.dev, capture->ring.blocks[0].chunks[0].dma);
	capture->stream.copybreak = capture_copybreak(capture);
	return 0;
}

static int probe_hardware(struct capture *capture, struct platform_device *pdev)
{
	int ret = capture_source_init(&capture->source, pdev);

	if (ret)
		return ret;
	if (device_property_present(capture->dev, "dmas"))
		capture->dma = capture_dmaengine_create(capture);
	else
		capture->dma = capture_msgdma_create(capture);
	if (IS_ERR(capture->dma))
		return PTR_ERR(capture->dma);
	capture->ring.dma = capture->dma;
	capture->ring.dev = capture->dma->device;
	ret = probe_ring(capture);
	if (ret)
		return ret;
	return capture->dma->ops->connect(capture->dma);
}

static int capture_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	struct capture *capture;
	int ret;

	ret = dma_set_mask_and_coherent(dev, DMA_BIT_MASK(32));
	if (ret)
		return dev_err_probe(dev, ret, "no DMA with 32 bits\n");
	dma_set_max_seg_size(dev, CAPTURE_RING_BLOCK_BYTES_MAX);
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
	ret = capture_debug_create(capture);
	if (ret)
		return ret;
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

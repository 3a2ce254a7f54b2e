// SPDX-License-Identifier: GPL-2.0-only
/* A dmaengine channel as a provider: how it is found, and what its driver can bear; see dmaengine.c. */
#include <linux/device.h>
#include <linux/dma-mapping.h>
#include <linux/property.h>
#include <linux/slab.h>

#include "dmaengine.h"

#define CHANNEL		"capture"
#define QUEUED_DEFAULT	2

static void release_action(void *data)
{
	dma_release_channel(data);
}

/* What the engine's driver can bear: its name is the only sign of its faults. */
static int find_limits(struct engine *engine, struct device *dev)
{
	struct device *supplier = engine->channel->device->dev;
	bool altera = supplier->driver && !strcmp(supplier->driver->name, "altera-msgdma");

	engine->most = QUEUED_DEFAULT;
	device_property_read_u32(dev, "cyclone-capture,queued", &engine->most);
	if (!engine->most || engine->most > QUEUED_MAX)
		return dev_err_probe(dev, -EINVAL, "cyclone-capture,queued %u is not valid (valid: 1 to %u)\n",
				     engine->most, QUEUED_MAX);
	if (altera && engine->most > QUEUED_DEFAULT) {
		dev_notice(dev, "altera-msgdma loses transactions when more than %u are queued: %u it is\n",
			   QUEUED_DEFAULT, QUEUED_DEFAULT);
		engine->most = QUEUED_DEFAULT;
	}
	engine->short_alone = altera;
	/* it declares no limit, which then counts as 64 KiB, and has none */
	engine->piece_max = altera ? CAPTURE_RING_BLOCK_BYTES_MAX : dma_get_max_seg_size(supplier);
	return 0;
}

/**
 * capture_dmaengine_create() - get the channel
 * @capture: whom it works for
 *
 * Return: the provider, freed when the device is unbound, or an error pointer.
 */
struct capture_dma *capture_dmaengine_create(struct capture *capture)
{
	struct device *dev = capture->dev;
	struct dma_slave_config config = {
		.direction = DMA_DEV_TO_MEM, .src_addr_width = DMA_SLAVE_BUSWIDTH_4_BYTES, .src_maxburst = 1,
	};
	struct engine *engine;
	int ret;

	engine = devm_kzalloc(dev, sizeof(*engine), GFP_KERNEL);
	if (!engine)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&engine->lock);
	mutex_init(&engine->reap_lock);
	init_waitqueue_head(&engine->idle);
	INIT_WORK(&engine->work, capture_engine_work);
	engine->channel = dma_request_chan(dev, CHANNEL);
	if (IS_ERR(engine->channel))
		return ERR_PTR(dev_err_probe(dev, PTR_ERR(engine->channel), "no DMA channel \"" CHANNEL "\"\n"));
	ret = devm_add_action_or_reset(dev, release_action, engine->channel);
	if (!ret)
		ret = dmaengine_slave_config(engine->channel, &config);
	if (ret)
		return ERR_PTR(dev_err_probe(dev, ret, "the DMA channel cannot be set up\n"));
	ret = find_limits(engine, dev);
	if (ret)
		return ERR_PTR(ret);
	/* an error on the stream stops altera-msgdma for good, and no engine's driver says which error it was */
	capture->source.mute = true;
	engine->dma.ops = &capture_engine_ops;
	engine->dma.capture = capture;
	engine->dma.device = engine->channel->device->dev;
	return &engine->dma;
}

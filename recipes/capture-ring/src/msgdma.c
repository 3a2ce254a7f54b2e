// SPDX-License-Identifier: GPL-2.0-only
/*
 * Provider: the mSGDMA's dispatcher, programmed directly (Embedded Peripherals IP User Guide, "Modular Scatter-Gather
 * DMA Core"; extended descriptors, stream to memory).
 *
 * The dmaengine driver of mainline, altera-msgdma, keeps only one descriptor in the hardware, throws the responses away
 * and cannot be stopped. Here the descriptor FIFO is kept full: one descriptor a chunk, the last one of a block
 * interrupts. Each response tells length and error of its descriptor, in order. Descriptors on their way never
 * outnumber the FIFO's depth, so the response FIFO, which is at least as deep, cannot overflow either.
 */
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/regmap.h>

#include "capture.h"
#include "debug.h"
#include "msgdma.h"

static struct msgdma *to_msgdma(struct capture_dma *dma)
{
	return container_of(dma, struct msgdma, dma);
}

static void write_descriptor(struct msgdma *msgdma, const struct capture_chunk *chunk, u32 control)
{
	void __iomem *to = msgdma->descriptor;

	writel_relaxed(0, to + DESCRIPTOR_READ_LOW);
	writel_relaxed(lower_32_bits(chunk->dma), to + DESCRIPTOR_WRITE_LOW);
	writel_relaxed(chunk->bytes, to + DESCRIPTOR_LENGTH);
	writel_relaxed(0, to + DESCRIPTOR_BURST);
	writel_relaxed(STRIDE_WRITE_ONE, to + DESCRIPTOR_STRIDE);
	writel_relaxed(0, to + DESCRIPTOR_READ_HIGH);
	writel_relaxed(upper_32_bits(chunk->dma), to + DESCRIPTOR_WRITE_HIGH);
	/* not relaxed: whatever was done to the memory before is done before the DMA may write it */
	writel(control | DESCRIPTOR_GO, to + DESCRIPTOR_CONTROL);
}

/* A long block interrupts on its way, too, so that the FIFO is filled up in time. */
static u32 interrupt_at(const struct msgdma *msgdma, const struct capture_block *block, unsigned int chunk)
{
	return chunk + 1 == block->nr_chunks || !((chunk + 1) % (msgdma->depth / 2)) ? DESCRIPTOR_IRQ : 0;
}

static bool msgdma_push(struct capture_dma *dma)
{
	struct msgdma *msgdma = to_msgdma(dma);
	struct capture_block *block = msgdma->rest;

	for (; block && msgdma->in_flight < msgdma->depth; msgdma->in_flight++) {
		unsigned int chunk = msgdma->rest_chunk++;

		write_descriptor(msgdma, &block->chunks[chunk], interrupt_at(msgdma, block, chunk));
		if (msgdma->rest_chunk == block->nr_chunks)
			block = NULL;
	}
	msgdma->rest = block;
	return !block;
}

static bool msgdma_queue(struct capture_dma *dma, struct capture_block *block)
{
	struct msgdma *msgdma = to_msgdma(dma);

	if (msgdma->in_flight == msgdma->depth)
		return false;
	msgdma->rest = block;
	msgdma->rest_chunk = 0;
	msgdma_push(dma);
	return true;
}

static void next_block(struct msgdma *msgdma)
{
	msgdma->chunk = 0;
	msgdma->bytes = 0;
	msgdma->flags = 0;
	msgdma->gaps = 0;
}

static void msgdma_forget(struct msgdma *msgdma)
{
	struct capture_ring *ring = &msgdma->dma.capture->ring;

	lockdep_assert_held(&msgdma->reap_lock);
	next_block(msgdma);
	WRITE_ONCE(ring->due, false);
	msgdma->waiting = false;
	spin_lock(&ring->lock);
	msgdma->in_flight = 0;
	msgdma->rest = NULL;
	spin_unlock(&ring->lock);
}

static void complete_block(struct msgdma *msgdma, struct capture_block *block)
{
	struct capture *capture = msgdma->dma.capture;

	if (msgdma->bytes < block->bytes) {
		msgdma->flags |= CAPTURE_RING_BLOCK_SHORT;
		if (capture_block_close_up(capture->ring.dev, block))
			msgdma->flags |= CAPTURE_RING_BLOCK_ERROR;
	}
	capture_complete(capture, msgdma->bytes, msgdma->flags, msgdma->gaps);
	next_block(msgdma);
}

/* One descriptor is done; when it was the last one of its block, the block is. Return: whether it was. */
static bool msgdma_response(struct msgdma *msgdma, u32 bytes, u32 status)
{
	struct capture *capture = msgdma->dma.capture;
	struct capture_block *block = capture_ring_oldest(&capture->ring);
	struct capture_chunk *chunk;

	if (!block) {
		dev_err_ratelimited(capture->dev, "a response without a descriptor (status %#x): is the fabric ours?\n",
				    status);
		return false;
	}
	spin_lock(&capture->ring.lock);
	msgdma->in_flight--;
	spin_unlock(&capture->ring.lock);

	chunk = &block->chunks[msgdma->chunk];
	if (status & RESPONSE_GAP) {
		msgdma->flags |= CAPTURE_RING_BLOCK_GAP;
		msgdma->gaps++;
	}
	if ((status & RESPONSE_FAILED) || bytes > chunk->bytes)
		msgdma->flags |= CAPTURE_RING_BLOCK_ERROR;
	chunk->filled = min(bytes, chunk->bytes);
	msgdma->bytes += chunk->filled;
	if (++msgdma->chunk < block->nr_chunks)
		return false;
	complete_block(msgdma, block);
	return true;
}

static u32 responses(const struct msgdma *msgdma)
{
	return readl(msgdma->csr + CSR_RESPONSE_LEVEL) & RESPONSE_LEVEL_MASK;
}

/* Return: whether a block was completed. */
static bool msgdma_reap(struct msgdma *msgdma)
{
	bool some = false;

	lockdep_assert_held(&msgdma->reap_lock);
	WRITE_ONCE(msgdma->dma.capture->ring.due, false);
	while (responses(msgdma)) {
		u32 bytes = readl(msgdma->response + RESPONSE_BYTES);

		some |= msgdma_response(msgdma, bytes, readl(msgdma->response + RESPONSE_STATUS));
	}
	return some;
}

/* Complete what there is, and fill up the FIFO. */
static void msgdma_serve(struct capture_dma *dma)
{
	struct msgdma *msgdma = to_msgdma(dma);

	mutex_lock(&msgdma->reap_lock);
	msgdma_reap(msgdma);
	mutex_unlock(&msgdma->reap_lock);
	capture_ring_feed(&dma->capture->ring);
}

/*
 * Responses that wait while no interrupt comes, from one look to the next, may have lost theirs: they have if the last
 * one of a block is among them. The others' descriptors do not interrupt.
 */
static bool msgdma_check(struct capture_dma *dma)
{
	struct msgdma *msgdma = to_msgdma(dma);
	unsigned int interrupts = READ_ONCE(msgdma->interrupts);
	bool recovered = false, waiting;

	/* who waited for a block was killed before he could look */
	if (READ_ONCE(dma->capture->ring.due))
		msgdma_serve(dma);
	mutex_lock(&msgdma->reap_lock);
	waiting = responses(msgdma);
	if (waiting && msgdma->waiting && msgdma->seen == interrupts) {
		writel(STATUS_IRQ, msgdma->csr + CSR_STATUS);
		recovered = msgdma_reap(msgdma);
	}
	msgdma->waiting = waiting;
	msgdma->seen = interrupts;
	mutex_unlock(&msgdma->reap_lock);
	return recovered;
}

/*
 * Who waits for a block is woken at once and reaps for himself: a change of tasks less than by way of the thread, which
 * is for when nobody waits, or much has piled up and the FIFO should be filled soon.
 */
static bool leave_to_waiter(struct msgdma *msgdma)
{
	struct capture_ring *ring = &msgdma->dma.capture->ring;

	if (responses(msgdma) > msgdma->depth / 4)
		return false;
	WRITE_ONCE(ring->due, true);
	/* with a barrier: he looks for @due behind his name on the list */
	if (!wq_has_sleeper(&ring->wait))
		return false;
	wake_up_interruptible(&ring->wait);
	return true;
}

static irqreturn_t msgdma_interrupt(int irq, void *data)
{
	struct msgdma *msgdma = data;

	if (!(readl(msgdma->csr + CSR_STATUS) & STATUS_IRQ))
		return IRQ_NONE;
	/* before the responses are read: one that comes meanwhile interrupts again */
	writel(STATUS_IRQ, msgdma->csr + CSR_STATUS);
	msgdma->interrupts++;
	return leave_to_waiter(msgdma) ? IRQ_HANDLED : IRQ_WAKE_THREAD;
}

static irqreturn_t msgdma_thread(int irq, void *data)
{
	struct msgdma *msgdma = data;

	msgdma_serve(&msgdma->dma);
	return IRQ_HANDLED;
}

static int msgdma_reset(struct msgdma *msgdma)
{
	u32 status;
	int ret;

	writel(CONTROL_RESET, msgdma->csr + CSR_CONTROL);
	ret = readl_poll_timeout(msgdma->csr + CSR_STATUS, status, !(status & STATUS_RESETTING), 10, QUIET_TIMEOUT_US);
	if (!ret)
		writel(STATUS_IRQ, msgdma->csr + CSR_STATUS);
	return ret;
}

static int msgdma_start(struct capture_dma *dma)
{
	struct msgdma *msgdma = to_msgdma(dma);
	int ret = msgdma_reset(msgdma);

	if (ret)
		return ret;
	mutex_lock(&msgdma->reap_lock);
	msgdma_forget(msgdma);
	mutex_unlock(&msgdma->reap_lock);
	writel(CONTROL_IRQ_ENABLE, msgdma->csr + CSR_CONTROL);
	return 0;
}

static int msgdma_stop(struct capture_dma *dma)
{
	struct msgdma *msgdma = to_msgdma(dma);
	u32 status;
	int ret;

	mutex_lock(&msgdma->reap_lock);
	/* stop first, so that no burst is cut and what is complete can be read; the reset decides in any case */
	writel(CONTROL_STOP, msgdma->csr + CSR_CONTROL);
	ret = readl_poll_timeout(msgdma->csr + CSR_STATUS, status, status & STATUS_STOPPED, 10, QUIET_TIMEOUT_US);
	if (ret)
		dev_warn(dma->capture->dev, "the mSGDMA does not stop (status %#x), resetting it\n", status);
	msgdma_reap(msgdma);
	dma->part = (struct capture_dma_part){
		.chunk = msgdma->chunk, .bytes = msgdma->bytes, .flags = msgdma->flags, .gaps = msgdma->gaps
	};
	ret = msgdma_reset(msgdma);
	if (!ret)
		msgdma_forget(msgdma);
	mutex_unlock(&msgdma->reap_lock);
	return ret;
}

static int msgdma_map(struct msgdma *msgdma, struct platform_device *pdev)
{
	msgdma->csr = devm_platform_ioremap_resource_byname(pdev, "csr");
	if (IS_ERR(msgdma->csr))
		return PTR_ERR(msgdma->csr);
	msgdma->descriptor = devm_platform_ioremap_resource_byname(pdev, "descriptor");
	if (IS_ERR(msgdma->descriptor))
		return PTR_ERR(msgdma->descriptor);
	msgdma->response = devm_platform_ioremap_resource_byname(pdev, "response");
	return PTR_ERR_OR_ZERO(msgdma->response);
}

/* The interrupt is released before the ring is freed. */
static int msgdma_connect(struct capture_dma *dma)
{
	struct device *dev = dma->capture->dev;
	int irq = platform_get_irq(to_platform_device(dev), 0);
	int ret = irq;

	if (irq > 0)
		ret = devm_request_threaded_irq(dev, irq, msgdma_interrupt, msgdma_thread, 0, dev_name(dev),
						to_msgdma(dma));
	return ret < 0 ? dev_err_probe(dev, ret, "no interrupt of the mSGDMA\n") : 0;
}

/* regmap's view of them; the driver itself reads and writes without it */
static const struct regmap_config csr_config = {
	.name = "csr", .reg_bits = 32, .val_bits = 32, .reg_stride = 4, .max_register = CSR_RESPONSE_LEVEL,
};

static const struct capture_register csr_registers[] = {
	{ "status", CSR_STATUS },
	{ "control", CSR_CONTROL },
	{ "descriptor_fill_level", CSR_LEVEL },
	{ "response_fill_level", CSR_RESPONSE_LEVEL },
	{}
};

static void msgdma_show(struct capture_dma *dma, struct seq_file *file)
{
	capture_show_registers(file, "msgdma", to_msgdma(dma)->csr, csr_registers);
}

static const struct capture_dma_ops msgdma_ops = {
	.connect = msgdma_connect,
	.start = msgdma_start,
	.stop = msgdma_stop,
	.queue = msgdma_queue,
	.push = msgdma_push,
	.check = msgdma_check,
	.reap = msgdma_serve,
	.show = msgdma_show,
};

/**
 * capture_msgdma_create() - find the mSGDMA's registers and make it quiet
 * @capture: whom it works for
 *
 * Return: the provider, freed when the device is unbound, or an error pointer.
 */
struct capture_dma *capture_msgdma_create(struct capture *capture)
{
	struct device *dev = capture->dev;
	struct msgdma *msgdma;
	int ret;

	msgdma = devm_kzalloc(dev, sizeof(*msgdma), GFP_KERNEL);
	if (!msgdma)
		return ERR_PTR(-ENOMEM);
	mutex_init(&msgdma->reap_lock);
	ret = device_property_read_u32(dev, "cyclone-capture,descriptor-depth", &msgdma->depth);
	if (ret)
		return ERR_PTR(dev_err_probe(dev, ret, "no cyclone-capture,descriptor-depth in the device tree\n"));
	if (msgdma->depth < DEPTH_MIN || msgdma->depth > DEPTH_MAX)
		return ERR_PTR(dev_err_probe(dev, -EINVAL, "descriptor-depth %u is not valid (valid: %u to %u)\n",
					     msgdma->depth, DEPTH_MIN, DEPTH_MAX));
	ret = msgdma_map(msgdma, to_platform_device(dev));
	if (ret)
		return ERR_PTR(dev_err_probe(dev, ret, "no registers of the mSGDMA\n"));
	ret = msgdma_reset(msgdma);
	if (ret)
		return ERR_PTR(dev_err_probe(dev, ret, "the mSGDMA does not come out of reset\n"));
	ret = capture_debug_regmap(dev, msgdma->csr, &csr_config);
	if (ret)
		return ERR_PTR(ret);
	msgdma->dma.ops = &msgdma_ops;
	msgdma->dma.capture = capture;
	msgdma->dma.device = dev;
	msgdma->dma.stops_anywhere = true;
	return &msgdma->dma;
}

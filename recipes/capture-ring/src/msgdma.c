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

#include "capture.h"
#include "debug.h"

/* dispatcher: control and status */
#define CSR_STATUS		0x00
#define   STATUS_STOPPED	BIT(5)
#define   STATUS_RESETTING	BIT(6)
#define   STATUS_IRQ		BIT(9)	/* write one to clear */
#define CSR_CONTROL		0x04
#define   CONTROL_STOP		BIT(0)
#define   CONTROL_RESET		BIT(1)
#define   CONTROL_IRQ_ENABLE	BIT(4)
#define CSR_LEVEL		0x08
#define CSR_RESPONSE_LEVEL	0x0c
#define   RESPONSE_LEVEL_MASK	GENMASK(15, 0)

/* extended descriptor */
#define DESCRIPTOR_READ_LOW	0x00
#define DESCRIPTOR_WRITE_LOW	0x04
#define DESCRIPTOR_LENGTH	0x08
#define DESCRIPTOR_BURST	0x0c
#define DESCRIPTOR_STRIDE	0x10
#define   STRIDE_WRITE_ONE	BIT(16)
#define DESCRIPTOR_READ_HIGH	0x14
#define DESCRIPTOR_WRITE_HIGH	0x18
#define DESCRIPTOR_CONTROL	0x1c
#define   DESCRIPTOR_IRQ	BIT(14)	/* interrupt when the transfer is complete */
#define   DESCRIPTOR_GO		BIT(31)

/* response */
#define RESPONSE_BYTES		0x00
#define RESPONSE_STATUS		0x04	/* reading it takes the response out of the FIFO */
#define   RESPONSE_GAP		BIT(0)	/* the stream's error bit 0: data was lost before a word of this transfer */
#define   RESPONSE_FAILED	GENMASK(7, 1)	/* the other error bits; early ends show in the bytes */

#define DEPTH_MIN		8
#define DEPTH_MAX		1024
#define QUIET_TIMEOUT_US	100000

/**
 * struct msgdma - the dispatcher
 * @dma: base
 * @csr: control and status registers
 * @descriptor: where a descriptor is written
 * @response: where responses are read
 * @depth: descriptors that the FIFO holds
 * @in_flight: descriptors written whose response was not read, guarded by the ring's lock
 * @rest: block whose descriptors did not all fit, guarded by the ring's lock
 * @rest_chunk: first chunk of it that has no descriptor yet
 * @interrupts: interrupts taken
 * @seen: interrupts when the watch last found responses waiting
 * @waiting: it found some
 * @reap_lock: guards the response FIFO and what follows
 * @chunk: chunks of the oldest block that are filled
 * @bytes: bytes in them
 * @flags: CAPTURE_RING_BLOCK_* of them
 * @gaps: chunks with a gap among them
 */
struct msgdma {
	struct capture_dma dma;
	void __iomem *csr;
	void __iomem *descriptor;
	void __iomem *response;
	u32 depth;
	u32 in_flight;
	struct capture_block *rest;
	unsigned int rest_chunk;
	unsigned int interrupts;
	unsigned int seen;
	bool waiting;
	struct mutex reap_lock;	/* one reader of the response FIFO */
	unsigned int chunk;
	u32 bytes;
	u32 flags;
	u32 gaps;
};

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

/* Return: whether a block was completed. */
static bool msgdma_reap(struct msgdma *msgdma)
{
	bool some = false;

	lockdep_assert_held(&msgdma->reap_lock);
	while (readl(msgdma->csr + CSR_RESPONSE_LEVEL) & RESPONSE_LEVEL_MASK) {
		u32 bytes = readl(msgdma->response + RESPONSE_BYTES);

		some |= msgdma_response(msgdma, bytes, readl(msgdma->response + RESPONSE_STATUS));
	}
	return some;
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

	mutex_lock(&msgdma->reap_lock);
	waiting = readl(msgdma->csr + CSR_RESPONSE_LEVEL) & RESPONSE_LEVEL_MASK;
	if (waiting && msgdma->waiting && msgdma->seen == interrupts) {
		writel(STATUS_IRQ, msgdma->csr + CSR_STATUS);
		recovered = msgdma_reap(msgdma);
	}
	msgdma->waiting = waiting;
	msgdma->seen = interrupts;
	mutex_unlock(&msgdma->reap_lock);
	return recovered;
}

static irqreturn_t msgdma_interrupt(int irq, void *data)
{
	struct msgdma *msgdma = data;

	if (!(readl(msgdma->csr + CSR_STATUS) & STATUS_IRQ))
		return IRQ_NONE;
	/* before the responses are read: one that comes meanwhile interrupts again */
	writel(STATUS_IRQ, msgdma->csr + CSR_STATUS);
	msgdma->interrupts++;
	return IRQ_WAKE_THREAD;
}

static irqreturn_t msgdma_thread(int irq, void *data)
{
	struct msgdma *msgdma = data;

	mutex_lock(&msgdma->reap_lock);
	msgdma_reap(msgdma);
	mutex_unlock(&msgdma->reap_lock);
	capture_ring_feed(&msgdma->dma.capture->ring);
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
	msgdma->dma.ops = &msgdma_ops;
	msgdma->dma.capture = capture;
	msgdma->dma.device = dev;
	msgdma->dma.stops_anywhere = true;
	return &msgdma->dma;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * A dmaengine slave client for the tests of mainline's altera-msgdma on the emulated board; not for a product.
 *
 * At load, `queued` transactions of one page each are submitted and issued, one after the other and faster than the
 * DMA's interrupt is handled: on CPU 0, to which it goes, with interrupts off. A second is given to them; then one more
 * is queued. Each writes a page of its own from a page of its own. What happened is in the read-only parameters `first`
 * and `last`, one character a transaction:
 *
 *	C	callback came and data is there
 *	c	callback came, no data
 *	D	data without callback
 *	-	neither
 */
#include <linux/dma-mapping.h>
#include <linux/dmaengine.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/wait.h>

#define MOST	8
#define PATIENCE	HZ

static unsigned int queued = 2;
module_param(queued, uint, 0444);
MODULE_PARM_DESC(queued, "transactions that are queued at once, 1 to 7");

static char first[MOST + 1], last[MOST + 1];
module_param_string(first, first, sizeof(first), 0444);
MODULE_PARM_DESC(first, "what has happened a second after the queued ones were issued");
module_param_string(last, last, sizeof(last), 0444);
MODULE_PARM_DESC(last, "what has happened a second after one more was issued");

static struct dma_chan *channel;
static u8 *from, *to;
static dma_addr_t from_dma, to_dma;
static bool called[MOST];
static atomic_t calls = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(waiting);

static bool is_msgdma(struct dma_chan *candidate, void *unused)
{
	struct device *dev = candidate->device->dev;

	return dev->driver && !strcmp(dev->driver->name, "altera-msgdma");
}

static void note_call(void *data)
{
	*(bool *)data = true;
	atomic_inc(&calls);
	wake_up(&waiting);
}

static int issue(unsigned int n)
{
	struct dma_slave_config config = {
		.direction = DMA_DEV_TO_MEM,
		.src_addr = from_dma + n * PAGE_SIZE,
		.src_addr_width = DMA_SLAVE_BUSWIDTH_4_BYTES,
	};
	struct dma_async_tx_descriptor *tx;
	int ret = dmaengine_slave_config(channel, &config);

	if (ret)
		return ret;
	tx = dmaengine_prep_slave_single(channel, to_dma + n * PAGE_SIZE, PAGE_SIZE, DMA_DEV_TO_MEM,
					 DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!tx)
		return -ENOMEM;
	tx->callback = note_call;
	tx->callback_param = &called[n];
	ret = dma_submit_error(dmaengine_submit(tx));
	if (!ret)
		dma_async_issue_pending(channel);
	return ret;
}

static void issue_queued(void *result)
{
	int *ret = result;
	unsigned int n;

	*ret = 0;
	for (n = 0; n < queued && !*ret; n++)
		*ret = issue(n);
}

static void report(char *text, unsigned int count)
{
	unsigned int n;

	for (n = 0; n < count; n++) {
		bool there = !memcmp(to + n * PAGE_SIZE, from + n * PAGE_SIZE, PAGE_SIZE);

		text[n] = called[n] ? (there ? 'C' : 'c') : (there ? 'D' : '-');
	}
}

static int run(void)
{
	unsigned int n;
	int result, ret;

	for (n = 0; n < MOST; n++)
		memset(from + n * PAGE_SIZE, 0x10 + n, PAGE_SIZE);
	ret = smp_call_function_single(0, issue_queued, &result, 1);
	if (ret || result)
		return ret ?: result;
	wait_event_timeout(waiting, atomic_read(&calls) == queued, PATIENCE);
	report(first, queued + 1);
	ret = issue(queued);
	if (ret)
		return ret;
	wait_event_timeout(waiting, atomic_read(&calls) == queued + 1, PATIENCE);
	report(last, queued + 1);
	return 0;
}

static void release(void)
{
	struct device *dev = channel->device->dev;

	if (from)
		dma_free_coherent(dev, MOST * PAGE_SIZE, from, from_dma);
	if (to)
		dma_free_coherent(dev, MOST * PAGE_SIZE, to, to_dma);
	dma_release_channel(channel);
}

static int __init slave_order_init(void)
{
	dma_cap_mask_t mask;
	struct device *dev;
	int ret = -ENOMEM;

	if (!queued || queued >= MOST)
		return -EINVAL;
	dma_cap_zero(mask);
	dma_cap_set(DMA_SLAVE, mask);
	channel = dma_request_channel(mask, is_msgdma, NULL);
	if (!channel)
		return -ENODEV;
	dev = channel->device->dev;
	from = dma_alloc_coherent(dev, MOST * PAGE_SIZE, &from_dma, GFP_KERNEL);
	to = dma_alloc_coherent(dev, MOST * PAGE_SIZE, &to_dma, GFP_KERNEL);
	if (from && to)
		ret = run();
	if (ret)
		release();
	return ret;
}

static void __exit slave_order_exit(void)
{
	release();
}

module_init(slave_order_init);
module_exit(slave_order_exit);
MODULE_DESCRIPTION("Order of callbacks and data of mainline's altera-msgdma");
MODULE_LICENSE("GPL");

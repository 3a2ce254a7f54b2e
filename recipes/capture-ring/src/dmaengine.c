// SPDX-License-Identifier: GPL-2.0-only
/*
 * Provider: a slave channel of any dmaengine driver; "dmas" and "dma-names" in the device tree say which.
 *
 * Each piece of memory that is contiguous is a transaction of its own, and no more of them are queued at a time than
 * every driver can bear, two: mainline's altera-msgdma starts only the first of those that wait, and counts the
 * responses of several descriptors as so many transactions. It also clears the interrupt behind the start of the next
 * one: if that has ended by then, nobody hears of it, and it stands still. So a short one never waits behind another.
 * The channel reports a transaction in a tasklet; what becomes of it is decided in process context.
 *
 * Not used: cyclic transfers. They want the ring in one piece, and go on into blocks that user space still has.
 */
#include <linux/device.h>
#include <linux/dmaengine.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "dmaengine.h"

#define SHORT_BYTES	65536U	/* takes longer than an interrupt handler, at any speed that the memory has */
#define STEP_MS		20
#define STEPS		10	/* without progress */

static struct engine *to_engine(struct capture_dma *dma)
{
	return container_of(dma, struct engine, dma);
}

/* In a tasklet, or wherever the engine's driver likes; transactions complete in the order in which they were given. */
static void transfer_done(void *data, const struct dmaengine_result *result)
{
	struct engine *engine = data;
	struct transfer *transfer;
	unsigned long flags;

	spin_lock_irqsave(&engine->lock, flags);
	if (engine->done != engine->issued) {
		transfer = &engine->transfers[engine->done++ % QUEUED_MAX];
		transfer->left = min(result->residue, transfer->bytes);
		transfer->failed = result->result != DMA_TRANS_NOERROR;
	}
	spin_unlock_irqrestore(&engine->lock, flags);
	wake_up(&engine->idle);
	queue_work(system_highpri_wq, &engine->work);
}

/* Return: false when the engine's driver has no descriptor for it. */
static bool issue(struct engine *engine, struct capture_chunk *chunk, u32 offset, u32 bytes)
{
	struct dma_async_tx_descriptor *descriptor;
	unsigned long flags;

	descriptor = dmaengine_prep_slave_single(engine->channel, chunk->dma + offset, bytes, DMA_DEV_TO_MEM,
						 DMA_PREP_INTERRUPT | DMA_CTRL_ACK);
	if (!descriptor)
		return false;
	descriptor->callback_result = transfer_done;
	descriptor->callback_param = engine;
	if (!offset)
		chunk->filled = 0;
	spin_lock_irqsave(&engine->lock, flags);
	engine->transfers[engine->issued++ % QUEUED_MAX] = (struct transfer){
		.chunk = chunk, .bytes = bytes, .ends = offset + bytes == chunk->bytes
	};
	spin_unlock_irqrestore(&engine->lock, flags);
	if (dma_submit_error(dmaengine_submit(descriptor))) {
		spin_lock_irqsave(&engine->lock, flags);
		engine->issued--;
		spin_unlock_irqrestore(&engine->lock, flags);
		return false;
	}
	/* each for itself: of several that are issued together altera-msgdma starts one */
	dma_async_issue_pending(engine->channel);
	return true;
}

static unsigned int outstanding(struct engine *engine)
{
	return READ_ONCE(engine->issued) - READ_ONCE(engine->done);
}

/* Those whose end was not looked at yet have their place, too. */
static bool has_room(struct engine *engine)
{
	return READ_ONCE(engine->issued) - READ_ONCE(engine->reaped) < engine->most;
}

static bool engine_push(struct capture_dma *dma)
{
	struct engine *engine = to_engine(dma);
	struct capture_block *block = engine->rest;

	while (block && has_room(engine)) {
		struct capture_chunk *chunk = &block->chunks[engine->rest_chunk];
		u32 bytes = min(chunk->bytes - engine->rest_offset, engine->piece_max);

		if (engine->short_alone && bytes < SHORT_BYTES && outstanding(engine))
			break;
		if (!issue(engine, chunk, engine->rest_offset, bytes))
			break;
		engine->rest_offset += bytes;
		if (engine->rest_offset < chunk->bytes)
			continue;
		engine->rest_offset = 0;
		if (++engine->rest_chunk == block->nr_chunks)
			block = NULL;
	}
	engine->rest = block;
	return !block;
}

static bool engine_queue(struct capture_dma *dma, struct capture_block *block)
{
	struct engine *engine = to_engine(dma);

	if (!has_room(engine))
		return false;
	engine->rest = block;
	engine->rest_chunk = 0;
	engine->rest_offset = 0;
	engine_push(dma);
	return true;
}

static void look_for_losses(struct engine *engine)
{
	struct capture_loss_sample sample;

	capture_source_sample(&engine->dma.capture->source, &sample);
	capture_loss_sample(&engine->loss, &sample);
}

static void complete_block(struct engine *engine, struct capture_block *block)
{
	struct capture *capture = engine->dma.capture;
	u32 gaps;

	if (engine->bytes < block->bytes) {
		engine->flags |= CAPTURE_RING_BLOCK_SHORT;
		if (capture_block_close_up(capture->ring.dev, block))
			engine->flags |= CAPTURE_RING_BLOCK_ERROR;
	}
	look_for_losses(engine);
	gaps = capture_loss_report(&engine->loss, capture->ring.counters.bytes_filled + engine->bytes);
	if (gaps)
		engine->flags |= CAPTURE_RING_BLOCK_GAP;
	capture_complete_lost(capture, engine->bytes, engine->flags, gaps, engine->loss.reported);
	engine->chunk = 0;
	engine->bytes = 0;
	engine->flags = 0;
}

static void transfer_reaped(struct engine *engine, const struct transfer *transfer)
{
	struct capture_block *block = capture_ring_oldest(&engine->dma.capture->ring);
	u32 bytes = transfer->bytes - transfer->left;

	if (WARN_ON_ONCE(!block))
		return;
	/* what lies behind a hole within a chunk cannot be told from it any more */
	if (transfer->failed || (transfer->left && !transfer->ends))
		engine->flags |= CAPTURE_RING_BLOCK_ERROR;
	transfer->chunk->filled += bytes;
	engine->bytes += bytes;
	if (transfer->ends && ++engine->chunk == block->nr_chunks)
		complete_block(engine, block);
}

static bool next_done(struct engine *engine, struct transfer *transfer)
{
	bool some;

	spin_lock_irq(&engine->lock);
	some = engine->reaped != engine->done;
	if (some)
		*transfer = engine->transfers[engine->reaped++ % QUEUED_MAX];
	spin_unlock_irq(&engine->lock);
	return some;
}

static void reap(struct engine *engine)
{
	struct transfer transfer;

	lockdep_assert_held(&engine->reap_lock);
	while (next_done(engine, &transfer))
		transfer_reaped(engine, &transfer);
}

/**
 * capture_engine_work() - look at completed transactions, and feed
 * @work: the engine's
 */
void capture_engine_work(struct work_struct *work)
{
	struct engine *engine = container_of(work, struct engine, work);

	mutex_lock(&engine->reap_lock);
	reap(engine);
	mutex_unlock(&engine->reap_lock);
	capture_ring_feed(&engine->dma.capture->ring);
}

/* Lost interrupts are the engine's own affair. But gaps are the better placed the more often is looked for them. */
static bool engine_check(struct capture_dma *dma)
{
	struct engine *engine = to_engine(dma);

	mutex_lock(&engine->reap_lock);
	look_for_losses(engine);
	mutex_unlock(&engine->reap_lock);
	/* again, if the engine's driver had no descriptor before, and nothing is on its way that would feed it */
	if (!outstanding(engine))
		capture_ring_feed(&dma->capture->ring);
	return false;
}

static void forget(struct engine *engine)
{
	struct capture_ring *ring = &engine->dma.capture->ring;

	lockdep_assert_held(&engine->reap_lock);
	engine->chunk = 0;
	engine->bytes = 0;
	engine->flags = 0;
	memset(&engine->loss, 0, sizeof(engine->loss));
	spin_lock(&ring->lock);
	spin_lock_irq(&engine->lock);
	engine->done = engine->issued;
	engine->reaped = engine->issued;
	engine->rest = NULL;
	spin_unlock_irq(&engine->lock);
	spin_unlock(&ring->lock);
}

static int engine_start(struct capture_dma *dma)
{
	struct engine *engine = to_engine(dma);

	mutex_lock(&engine->reap_lock);
	forget(engine);
	mutex_unlock(&engine->reap_lock);
	return 0;
}

/* For a driver that cannot end a transaction: let the source fill those that are on their way, whatever with. */
static int fill_up(struct engine *engine)
{
	struct capture_source *source = &engine->dma.capture->source;
	unsigned int left, steps = 0;
	u64 produced, before = 0;

	capture_source_flood(source);
	while ((left = outstanding(engine)) && steps < STEPS) {
		wait_event_timeout(engine->idle, outstanding(engine) != left, msecs_to_jiffies(STEP_MS));
		produced = capture_source_produced(source);
		steps = produced == before ? steps + 1 : 0;
		before = produced;
	}
	capture_source_run(source, false);
	return left ? -ETIMEDOUT : 0;
}

static int engine_stop(struct capture_dma *dma)
{
	struct engine *engine = to_engine(dma);
	int ret = 0;

	mutex_lock(&engine->reap_lock);
	reap(engine);
	if (outstanding(engine)) {
		ret = dmaengine_terminate_sync(engine->channel);
		if (ret)
			ret = fill_up(engine);
	}
	/* in any case: an end that comes later is nobody's */
	forget(engine);
	mutex_unlock(&engine->reap_lock);
	return ret;
}

static void disconnect_action(void *data)
{
	struct engine *engine = data;

	cancel_work_sync(&engine->work);
}

static int engine_connect(struct capture_dma *dma)
{
	return devm_add_action(dma->capture->dev, disconnect_action, to_engine(dma));
}

static void engine_show(struct capture_dma *dma, struct seq_file *file)
{
	struct engine *engine = to_engine(dma);

	seq_printf(file, "dmaengine\t%s\tqueued_at_most\t%u\n", dma_chan_name(engine->channel), engine->most);
	seq_printf(file, "dmaengine\t%s\tqueued\t%u\n", dma_chan_name(engine->channel), outstanding(engine));
}

const struct capture_dma_ops capture_engine_ops = {
	.connect = engine_connect,
	.start = engine_start,
	.stop = engine_stop,
	.queue = engine_queue,
	.push = engine_push,
	.check = engine_check,
	.show = engine_show,
};

// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: /sys/kernel/debug/capture<n>/statistics and registers, for people to look at.
 *
 * Registers are shown by name, offset and value, without addresses. What a read would change (a response is taken out
 * of its FIFO, a low word latches its high one) is not among them, or is read as the driver reads it.
 */
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/io.h>
#include <linux/seq_file.h>

#include "capture.h"
#include "debug.h"

static const char * const state_names[] = {
	"idle", "running", "stopped", "overflow: stopped", "complete: stopped", "failed", "gone"
};

static const char * const overflow_names[] = { "drop newest", "stop", "overwrite oldest" };

static void show_ring(struct seq_file *file, const struct capture_ring *ring)
{
	unsigned int chunks = 0, most = 0;
	u32 i;

	for (i = 0; i < ring->nr_blocks; i++) {
		chunks += ring->blocks[i].nr_chunks;
		most = max(most, ring->blocks[i].nr_chunks);
	}
	seq_printf(file, "state\t%s\n", state_names[ring->state]);
	seq_printf(file, "blocks\t%u\nblock_bytes\t%u\n", ring->nr_blocks, ring->block_bytes);
	seq_printf(file, "chunks\t%u\nchunks_of_a_block\t%u\n", chunks, most);
	seq_printf(file, "overflow\t%s\n", overflow_names[ring->overflow]);
	seq_printf(file, "forward_only\t%u\ntai\t%u\nbuffers_of_user_space\t%u\n",
		   !!(ring->flags & CAPTURE_RING_SETUP_FORWARD_ONLY), !!(ring->flags & CAPTURE_RING_SETUP_TAI),
		   !!(ring->flags & CAPTURE_RING_SETUP_USER));
}

static void show_counters(struct seq_file *file, const struct capture_ring_statistics *counters)
{
	seq_printf(file, "blocks_filled\t%llu\nbytes_filled\t%llu\n", counters->blocks_filled, counters->bytes_filled);
	seq_printf(file, "bytes_lost\t%llu\ngaps\t%llu\n", counters->bytes_lost, counters->gaps);
	seq_printf(file, "errors\t%llu\n", counters->errors);
	seq_printf(file, "blocks_overwritten\t%llu\n", counters->blocks_overwritten);
	seq_printf(file, "interrupts_lost\t%u\n", counters->recovered);
	seq_printf(file, "blocks_free\t%u\nblocks_hardware\t%u\n", counters->blocks_free, counters->blocks_hardware);
	seq_printf(file, "blocks_done\t%u\nblocks_user\t%u\n", counters->blocks_done, counters->blocks_user);
}

static int statistics_show(struct seq_file *file, void *unused)
{
	struct capture *capture = file->private;
	struct capture_ring_statistics counters;
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	capture_ring_statistics(&capture->ring, &counters);
	counters.bytes_lost += capture_source_lost(&capture->source);
	show_ring(file, &capture->ring);
	show_counters(file, &counters);
	seq_printf(file, "coherent\t%u\nreserved_memory\t%llu\n", capture->coherent, capture->ring.region.bytes);
	seq_printf(file, "copybreak\t%u\n", capture->stream.copybreak);
	capture_unlock(capture);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(statistics);

static int registers_show(struct seq_file *file, void *unused)
{
	struct capture *capture = file->private;
	int ret = capture_lock(capture);

	if (ret)
		return ret;
	capture_source_show(&capture->source, file);
	capture->dma->ops->show(capture->dma, file);
	capture_unlock(capture);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(registers);

/**
 * capture_show_registers() - a part of a register window, for people
 * @file: where to
 * @window: the window's name
 * @registers: where it is
 * @table: names and offsets, up to one without a name
 */
void capture_show_registers(struct seq_file *file, const char *window, const void __iomem *registers,
			    const struct capture_register *table)
{
	for (; table->name; table++)
		seq_printf(file, "%s\t%#04x\t%s\t%#010x\n", window, table->offset, table->name,
			   readl(registers + table->offset));
}

/**
 * capture_debug_regmap() - show a register window in regmap's part of debugfs, too, until the device is unbound
 * @dev: the platform device
 * @registers: where it is
 * @config: its name, and how much of it may be read without harm
 *
 * Return: 0, also on a kernel that has no such view, or an error.
 */
int capture_debug_regmap(struct device *dev, void __iomem *registers, const struct regmap_config *config)
{
	if (!IS_ENABLED(CONFIG_DEBUG_FS) || !IS_REACHABLE(CONFIG_REGMAP_MMIO))
		return 0;
	return PTR_ERR_OR_ZERO(devm_regmap_init_mmio(dev, registers, config));
}

static void remove_action(void *data)
{
	debugfs_remove_recursive(data);
}

/**
 * capture_debug_create() - make the files; they go first when the device is unbound
 * @capture: the device, registered
 *
 * Return: 0, also without debugfs, or -ENOMEM.
 */
int capture_debug_create(struct capture *capture)
{
	struct dentry *folder = debugfs_create_dir(capture->name, NULL);

	debugfs_create_file("statistics", 0400, folder, capture, &statistics_fops);
	debugfs_create_file("registers", 0400, folder, capture, &registers_fops);
	return devm_add_action_or_reset(capture->dev, remove_action, folder);
}

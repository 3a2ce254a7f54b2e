// SPDX-License-Identifier: GPL-2.0-only
/* The capture source in the fabric; see source.h. */
#include <linux/io.h>
#include <linux/iopoll.h>
#include <linux/platform_device.h>
#include <linux/property.h>
#include <linux/regmap.h>
#include <linux/seq_file.h>

#include "debug.h"
#include "loss.h"
#include "source.h"

#define SYSID_ID		0x00
#define SYSID_TIME		0x04	/* of its making, seconds since 1970 */

#define SOURCE_CONTROL		0x00
#define   CONTROL_RUN		BIT(0)
#define   CONTROL_CLEAR		BIT(1)	/* clears itself; RUN must be 0 */
#define   CONTROL_MUTE		BIT(2)	/* a gap is no error on the stream */
#define SOURCE_STATUS		0x04
#define SOURCE_PATTERN		0x08
#define SOURCE_RATE		0x0c	/* bytes a second; 0: no limit */
#define SOURCE_FIFO_BYTES	0x10
#define SOURCE_FIFO_LEVEL	0x14
#define SOURCE_LOST		0x18	/* 64 bits: reading the low word latches the high one */
#define SOURCE_PRODUCED		0x20	/* likewise */

#define CLEAR_TIMEOUT_US	10000

/* regmap's view of them; the driver itself reads and writes without it */
static const struct regmap_config sysid_config = {
	.name = "sysid", .reg_bits = 32, .val_bits = 32, .reg_stride = 4, .max_register = SYSID_TIME,
};

/* up to the counters: reading their low words would change what the driver reads */
static const struct regmap_config source_config = {
	.name = "source", .reg_bits = 32, .val_bits = 32, .reg_stride = 4, .max_register = SOURCE_FIFO_LEVEL,
};

/* The check that keeps a driver away from a fabric that it does not know. */
static int check_identity(struct capture_source *source, struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	void __iomem *sysid;
	u32 wanted;
	int ret;

	ret = device_property_read_u32(dev, "cyclone-capture,fabric-id", &wanted);
	if (ret)
		return dev_err_probe(dev, ret, "no cyclone-capture,fabric-id in the device tree\n");
	sysid = devm_platform_ioremap_resource_byname(pdev, "sysid");
	if (IS_ERR(sysid))
		return dev_err_probe(dev, PTR_ERR(sysid), "no registers of the sysid\n");
	source->fabric_id = readl(sysid + SYSID_ID);
	if (source->fabric_id != wanted)
		return dev_err_probe(dev, -ENODEV,
				     "the FPGA says fabric %#x, the device tree %#x: load the bitstream that belongs to this image\n",
				     source->fabric_id, wanted);
	return capture_debug_regmap(dev, sysid, &sysid_config);
}

/**
 * capture_source_init() - check the fabric's identity, find the source, stop it
 * @source: zeroed memory
 * @pdev: the device
 *
 * Return: 0, or an error that was explained in the kernel's log.
 */
int capture_source_init(struct capture_source *source, struct platform_device *pdev)
{
	int ret = check_identity(source, pdev);

	if (ret)
		return ret;
	spin_lock_init(&source->latch);
	source->registers = devm_platform_ioremap_resource_byname(pdev, "source");
	if (IS_ERR(source->registers))
		return dev_err_probe(&pdev->dev, PTR_ERR(source->registers), "no registers of the source\n");
	capture_source_run(source, false);
	return capture_debug_regmap(&pdev->dev, source->registers, &source_config);
}

/**
 * capture_source_accepts() - whether the source can do what user space wants
 * @start: pattern and rate
 */
bool capture_source_accepts(const struct capture_ring_start *start)
{
	return start->pattern <= CAPTURE_RING_PATTERN_SAMPLES && start->rate <= U32_MAX;
}

/**
 * capture_source_prepare() - empty the source's FIFO, set its counters to zero, set pattern and rate
 * @source: the source, not running
 * @start: pattern and rate
 *
 * Return: 0 or -ETIMEDOUT.
 */
int capture_source_prepare(struct capture_source *source, const struct capture_ring_start *start)
{
	u32 control;
	int ret;

	writel(CONTROL_CLEAR, source->registers + SOURCE_CONTROL);
	ret = readl_poll_timeout(source->registers + SOURCE_CONTROL, control, !(control & CONTROL_CLEAR), 1,
				 CLEAR_TIMEOUT_US);
	if (ret)
		return ret;
	writel(start->pattern, source->registers + SOURCE_PATTERN);
	writel(start->rate, source->registers + SOURCE_RATE);
	return 0;
}

/**
 * capture_source_run() - let the source produce data, or stop it
 * @source: the source
 * @run: which of both
 */
void capture_source_run(struct capture_source *source, bool run)
{
	writel((run ? CONTROL_RUN : 0) | (source->mute ? CONTROL_MUTE : 0), source->registers + SOURCE_CONTROL);
}

/**
 * capture_source_flood() - let the source produce as fast as the DMA takes it, until it is stopped
 * @source: the source, stopped; rate and counters are those of no capture from now on
 */
void capture_source_flood(struct capture_source *source)
{
	writel(0, source->registers + SOURCE_RATE);
	capture_source_run(source, true);
}

static u64 read_pair(struct capture_source *source, unsigned int offset)
{
	u64 value;

	spin_lock(&source->latch);
	value = readl(source->registers + offset);
	value |= (u64)readl(source->registers + offset + 4) << 32;
	spin_unlock(&source->latch);
	return value;
}

/**
 * capture_source_lost() - bytes that the source has dropped since it was prepared
 * @source: the source
 */
u64 capture_source_lost(struct capture_source *source)
{
	return read_pair(source, SOURCE_LOST);
}

/**
 * capture_source_produced() - bytes that the source has produced since it was prepared, dropped ones included
 * @source: the source
 */
u64 capture_source_produced(struct capture_source *source)
{
	return read_pair(source, SOURCE_PRODUCED);
}

/**
 * capture_source_level() - bytes in the source's FIFO
 * @source: the source
 */
u32 capture_source_level(struct capture_source *source)
{
	return readl(source->registers + SOURCE_FIFO_LEVEL);
}

/**
 * capture_source_fifo_bytes() - depth of the source's FIFO
 * @source: the source
 */
u32 capture_source_fifo_bytes(struct capture_source *source)
{
	return readl(source->registers + SOURCE_FIFO_BYTES);
}

/**
 * capture_source_sample() - the source's counters, in the order that loss.h wants
 * @source: the source
 * @sample: filled in
 */
void capture_source_sample(struct capture_source *source, struct capture_loss_sample *sample)
{
	sample->produced = capture_source_produced(source);
	sample->level = capture_source_level(source);
	sample->lost = capture_source_lost(source);
	sample->fifo = capture_source_fifo_bytes(source);
}

static const struct capture_register source_registers[] = {
	{ "control", SOURCE_CONTROL },
	{ "status", SOURCE_STATUS },
	{ "pattern", SOURCE_PATTERN },
	{ "rate", SOURCE_RATE },
	{ "fifo_bytes", SOURCE_FIFO_BYTES },
	{ "fifo_level", SOURCE_FIFO_LEVEL },
	{}
};

/**
 * capture_source_show() - the source's registers, for people
 * @source: the source
 * @file: where to
 */
void capture_source_show(struct capture_source *source, struct seq_file *file)
{
	capture_show_registers(file, "source", source->registers, source_registers);
	seq_printf(file, "source\t%#04x\tlost\t%llu\n", SOURCE_LOST, capture_source_lost(source));
	seq_printf(file, "source\t%#04x\tproduced\t%llu\n", SOURCE_PRODUCED, capture_source_produced(source));
}

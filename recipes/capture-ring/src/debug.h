/* SPDX-License-Identifier: GPL-2.0-only */
/* What is shown in debugfs; see debug.c. */
#ifndef CAPTURE_DEBUG_H
#define CAPTURE_DEBUG_H

#include <linux/regmap.h>
#include <linux/types.h>

struct capture;
struct device;
struct seq_file;

/**
 * struct capture_register - a register that may be read without harm
 * @name: as the manual calls it; NULL ends a table
 * @offset: in its window
 */
struct capture_register {
	const char *name;
	u32 offset;
};

void capture_show_registers(struct seq_file *file, const char *window, const void __iomem *registers,
			    const struct capture_register *table);
int capture_debug_regmap(struct device *dev, void __iomem *registers, const struct regmap_config *config);
int capture_debug_create(struct capture *capture);

#endif /* CAPTURE_DEBUG_H */

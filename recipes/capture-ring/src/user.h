/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that user space brought along, pinned and mapped for the DMA, as a block.
 *
 * Pages are pinned for writing and for long, with FOLL_LONGTERM; "once" pins them for one transfer instead, which is
 * the only way to memory of a file that is written back: there a pin for long is refused (by the kernel, since 6.5;
 * by us, always). Pages that the DMA has written are marked dirty when they are let go of, in process context.
 */
#ifndef CAPTURE_USER_H
#define CAPTURE_USER_H

#include <linux/scatterlist.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct capture_block;
struct device;
struct user_struct;

/**
 * struct capture_user - a pinned buffer
 * @account: whose RLIMIT_MEMLOCK it counts for
 * @pages: its pages
 * @nr_pages: number of @pages
 * @table: neighbours among @pages put together
 * @written: the DMA has written it
 * @once: pinned for one transfer
 */
struct capture_user {
	struct user_struct *account;
	struct page **pages;
	unsigned long nr_pages;
	struct sg_table table;
	bool written;
	bool once;
};

u32 capture_user_alignment(void);
struct capture_user *capture_user_pin(struct device *dev, u64 address, u32 bytes, bool once);
int capture_user_claim(struct xarray *taken, struct capture_user *user);
void capture_user_disclaim(struct xarray *taken, const struct capture_user *user);
int capture_user_table(struct device *dev, struct capture_user *user, u32 offset, u32 bytes);
int capture_user_map(struct device *dev, struct capture_user *user, struct capture_block *block);
void capture_user_unmap(struct device *dev, struct capture_block *block);
void capture_user_unpin(struct capture_user *user);

#endif /* CAPTURE_USER_H */

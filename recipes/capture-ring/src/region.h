/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that the device tree sets aside for the ring ("memory-region"): always there, in one piece, of no other use.
 *
 * It must be ordinary reserved memory: with "no-map" it has no pages, a "shared-dma-pool" is for dma_alloc_coherent(),
 * and a reusable one (CMA) cannot be pinned for long, nor may its pages outlive the driver's use of them. The kernel
 * never frees such pages, so neither does the driver: those that a socket or a disk still reads are not taken again.
 */
#ifndef CAPTURE_REGION_H
#define CAPTURE_REGION_H

#include <linux/types.h>

struct device;
struct page;

/**
 * struct capture_region - memory for the ring
 * @page: its first page; NULL: there is none, the ring is made of any free pages
 * @bytes: its size
 */
struct capture_region {
	struct page *page;
	u64 bytes;
};

int capture_region_init(struct capture_region *region, struct device *dev);
struct page *capture_region_take(const struct capture_region *region, u64 offset, u32 bytes);

#endif /* CAPTURE_REGION_H */

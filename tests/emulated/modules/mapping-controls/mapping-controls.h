/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * /dev/mapping-controls, for tests: the ways in which drivers give a DMA buffer to user space.
 *
 * mmap with offset kind * CONTROLS_STRIDE and length CONTROLS_BYTES maps the buffer of that kind. Its word i is
 * i * CONTROLS_FACTOR + kind. The ioctls take what they name and return 0 or an error, as usual.
 */
#ifndef MAPPING_CONTROLS_H
#define MAPPING_CONTROLS_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CONTROLS_BYTES	1048576
#define CONTROLS_STRIDE	16777216
#define CONTROLS_FACTOR	2654435761u

#define CONTROLS_INSERT_PAGES	0	/* alloc_pages(__GFP_COMP), vm_insert_pages: as capture-ring does */
#define CONTROLS_REMAP_PFN	1	/* the same memory, remap_pfn_range */
#define CONTROLS_COHERENT	2	/* dma_alloc_coherent, dma_mmap_coherent */
#define CONTROLS_NONCONTIGUOUS	3	/* dma_alloc_noncontiguous, dma_mmap_noncontiguous: no IOMMU here */
#define CONTROLS_KINDS		4

/**
 * struct controls_pin - try to pin a range of the caller's memory for reading, and let go of it
 * @address: page-aligned
 * @pages: number of pages, 1 to 256
 * @pinned: out: number of pages that could be pinned
 */
struct controls_pin {
	__u64 address;
	__u32 pages;
	__u32 pinned;
};

#define CONTROLS_IOC_PIN	_IOWR('K', 1, struct controls_pin)
/* out: how many pieces of CONTROLS_BYTES dma_alloc_coherent gives at once, up to the number that is passed in */
#define CONTROLS_IOC_COHERENT	_IOWR('K', 2, __u32)

#endif

// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmap(): the ring, and the status page.
 *
 * The mapping has ordinary pages in it, neither VM_IO nor VM_PFNMAP: so send(MSG_ZEROCOPY), O_DIRECT, vmsplice() and
 * pin_user_pages() work on it. It is cached, read-only and shared. It holds its pages, after an unbinding too.
 */
#include <linux/fs.h>
#include <linux/mm.h>

#include "capture.h"
#include "compat.h"

static void ring_area_open(struct vm_area_struct *area)
{
	struct capture *capture = area->vm_private_data;

	atomic_inc(&capture->mappings);
}

static void ring_area_close(struct vm_area_struct *area)
{
	struct capture *capture = area->vm_private_data;

	atomic_dec(&capture->mappings);
}

/* the area holds the file, and the file the device */
static const struct vm_operations_struct ring_area_operations = {
	.open = ring_area_open,
	.close = ring_area_close,
};

static int map_blocks(struct capture_ring *ring, struct vm_area_struct *area)
{
	unsigned long address = area->vm_start, left;
	struct page **pages;
	int ret = 0;
	u32 i;

	pages = kvmalloc_array(ring->block_bytes >> PAGE_SHIFT, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < ring->nr_blocks && !ret; i++) {
		left = capture_block_pages(&ring->blocks[i], pages);
		ret = vm_insert_pages(area, address, pages, &left);
		address += ring->block_bytes;
	}
	kvfree(pages);
	return ret;
}

static int map_ring(struct capture *capture, struct vm_area_struct *area)
{
	struct capture_ring *ring = &capture->ring;
	int ret;

	if ((ring->flags & CAPTURE_RING_SETUP_USER) || !ring->nr_blocks ||
	    area->vm_end - area->vm_start != (u64)ring->nr_blocks * ring->block_bytes)
		return -EINVAL;
	ret = map_blocks(ring, area);
	if (ret)
		return ret;
	area->vm_private_data = capture;
	area->vm_ops = &ring_area_operations;
	atomic_inc(&capture->mappings);
	return 0;
}

static int map_status(struct capture *capture, struct vm_area_struct *area)
{
	if (area->vm_end - area->vm_start != PAGE_SIZE)
		return -EINVAL;
	return vm_insert_page(area, area->vm_start, virt_to_page(capture->ring.status));
}

/**
 * capture_mmap() - the file's mmap
 * @file: open file of a capture device
 * @area: what is to be mapped where
 *
 * Return: 0 or an error of the UAPI header.
 */
int capture_mmap(struct file *file, struct vm_area_struct *area)
{
	struct capture *capture = file->private_data;
	int ret;

	if (!(area->vm_flags & VM_SHARED) || (area->vm_flags & (VM_WRITE | VM_EXEC)))
		return -EACCES;
	ret = capture_lock(capture);
	if (ret)
		return ret;
	/* VM_DONTCOPY: a forked child has no part in the ownership of the blocks */
	capture_vm_flags(area, VM_DONTEXPAND | VM_DONTDUMP | VM_DONTCOPY, VM_MAYWRITE | VM_MAYEXEC);
	if (!area->vm_pgoff)
		ret = map_ring(capture, area);
	else if (area->vm_pgoff == CAPTURE_RING_STATUS_OFFSET >> PAGE_SHIFT)
		ret = map_status(capture, area);
	else
		ret = -EINVAL;
	capture_unlock(capture);
	return ret;
}

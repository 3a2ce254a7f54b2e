// SPDX-License-Identifier: GPL-2.0-only
/*
 * Controls for the tests of capture-ring's mapping; see mapping-controls.h. Not for a product: the remap_pfn_range and
 * coherent buffers show what fails, and why capture-ring is not made that way.
 */
#include <linux/dma-mapping.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mapping-controls.h"

#define ORDER		(get_order(CONTROLS_BYTES))
#define PAGES		(CONTROLS_BYTES >> PAGE_SHIFT)
#define COHERENT_MOST	1024U

static struct platform_device *device;
static struct page *ordinary;
static void *coherent;
static dma_addr_t coherent_address;
static struct sg_table *noncontiguous;

static void fill(u32 *words, u32 kind)
{
	u32 i;

	for (i = 0; i < CONTROLS_BYTES / sizeof(*words); i++)
		words[i] = i * CONTROLS_FACTOR + kind;
}

static int insert_pages(struct vm_area_struct *vma)
{
	unsigned long left = PAGES, i;
	struct page **pages;
	int ret;

	fill(page_address(ordinary), CONTROLS_INSERT_PAGES);
	pages = kmalloc_array(PAGES, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < PAGES; i++)
		pages[i] = ordinary + i;
	ret = vm_insert_pages(vma, vma->vm_start, pages, &left);
	kfree(pages);
	return ret;
}

static int map_noncontiguous(struct vm_area_struct *vma)
{
	void *address = dma_vmap_noncontiguous(&device->dev, CONTROLS_BYTES, noncontiguous);

	if (!address)
		return -ENOMEM;
	fill(address, CONTROLS_NONCONTIGUOUS);
	dma_vunmap_noncontiguous(&device->dev, address);
	return dma_mmap_noncontiguous(&device->dev, vma, CONTROLS_BYTES, noncontiguous);
}

static int controls_mmap(struct file *file, struct vm_area_struct *vma)
{
	unsigned long offset = vma->vm_pgoff << PAGE_SHIFT;

	if (offset % CONTROLS_STRIDE || vma->vm_end - vma->vm_start != CONTROLS_BYTES)
		return -EINVAL;
	vma->vm_pgoff = 0;
	switch (offset / CONTROLS_STRIDE) {
	case CONTROLS_INSERT_PAGES:
		return insert_pages(vma);
	case CONTROLS_REMAP_PFN:
		fill(page_address(ordinary), CONTROLS_REMAP_PFN);
		return remap_pfn_range(vma, vma->vm_start, page_to_pfn(ordinary), CONTROLS_BYTES, vma->vm_page_prot);
	case CONTROLS_COHERENT:
		fill(coherent, CONTROLS_COHERENT);
		return dma_mmap_coherent(&device->dev, vma, coherent, coherent_address, CONTROLS_BYTES);
	case CONTROLS_NONCONTIGUOUS:
		return map_noncontiguous(vma);
	}
	return -EINVAL;
}

static int pin(struct controls_pin *request)
{
	struct page **pages;
	int ret;

	if (!request->pages || request->pages > PAGES)
		return -EINVAL;
	pages = kmalloc_array(request->pages, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	ret = pin_user_pages_fast(request->address, request->pages, 0, pages);
	if (ret > 0)
		unpin_user_pages(pages, ret);
	kfree(pages);
	request->pinned = max(ret, 0);
	return min(ret, 0);
}

static int count_coherent(u32 *number)
{
	u32 most = min(*number, COHERENT_MOST), i;
	struct { void *memory; dma_addr_t address; } *got;

	got = kvcalloc(most, sizeof(*got), GFP_KERNEL);
	if (!got)
		return -ENOMEM;
	for (*number = 0; *number < most; ++*number) {
		got[*number].memory = dma_alloc_coherent(&device->dev, CONTROLS_BYTES, &got[*number].address,
							 GFP_KERNEL | __GFP_NOWARN);
		if (!got[*number].memory)
			break;
	}
	for (i = 0; i < *number; i++)
		dma_free_coherent(&device->dev, CONTROLS_BYTES, got[i].memory, got[i].address);
	kvfree(got);
	return 0;
}

static long controls_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *from = (void __user *)argument;
	struct controls_pin request;
	u32 number;
	int ret;

	switch (command) {
	case CONTROLS_IOC_PIN:
		if (copy_from_user(&request, from, sizeof(request)))
			return -EFAULT;
		ret = pin(&request);
		return ret ?: copy_to_user(from, &request, sizeof(request)) ? -EFAULT : 0;
	case CONTROLS_IOC_COHERENT:
		if (get_user(number, (u32 __user *)from))
			return -EFAULT;
		ret = count_coherent(&number);
		return ret ?: put_user(number, (u32 __user *)from);
	}
	return -ENOTTY;
}

static const struct file_operations controls_operations = {
	.owner = THIS_MODULE,
	.mmap = controls_mmap,
	.unlocked_ioctl = controls_ioctl,
};

static struct miscdevice misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mapping-controls",
	.fops = &controls_operations,
	.mode = 0666,
};

static void controls_free(void)
{
	if (noncontiguous)
		dma_free_noncontiguous(&device->dev, CONTROLS_BYTES, noncontiguous, DMA_FROM_DEVICE);
	if (coherent)
		dma_free_coherent(&device->dev, CONTROLS_BYTES, coherent, coherent_address);
	if (ordinary)
		__free_pages(ordinary, ORDER);
	platform_device_unregister(device);
}

static int __init controls_init(void)
{
	int ret = -ENOMEM;

	device = platform_device_register_simple("mapping-controls", PLATFORM_DEVID_NONE, NULL, 0);
	if (IS_ERR(device))
		return PTR_ERR(device);
	ordinary = alloc_pages(GFP_KERNEL | __GFP_COMP, ORDER);
	if (!dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(32))) {
		dma_set_max_seg_size(&device->dev, CONTROLS_BYTES); /* else 64 KiB, which a segment would exceed */
		coherent = dma_alloc_coherent(&device->dev, CONTROLS_BYTES, &coherent_address, GFP_KERNEL);
		noncontiguous = dma_alloc_noncontiguous(&device->dev, CONTROLS_BYTES, DMA_FROM_DEVICE, GFP_KERNEL, 0);
	}
	if (ordinary && coherent && noncontiguous)
		ret = misc_register(&misc);
	if (ret)
		controls_free();
	return ret;
}

static void __exit controls_exit(void)
{
	misc_deregister(&misc);
	controls_free();
}

module_init(controls_init);
module_exit(controls_exit);
MODULE_DESCRIPTION("Controls for the tests of capture-ring's mapping");
MODULE_LICENSE("GPL");

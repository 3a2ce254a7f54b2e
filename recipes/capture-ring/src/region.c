// SPDX-License-Identifier: GPL-2.0-only
/* Memory set aside for the ring; see region.h. */
#include <linux/device.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>

#include "region.h"

static bool has_pages(phys_addr_t begin, phys_addr_t bytes)
{
	unsigned long last = PHYS_PFN(begin + bytes - 1);

	return pfn_valid(PHYS_PFN(begin)) && pfn_valid(last) && !PageHighMem(pfn_to_page(last));
}

static int check_node(struct device *dev, const struct device_node *node, const struct reserved_mem *memory)
{
	if (!memory)
		return dev_err_probe(dev, -EINVAL, "memory-region: no such memory was reserved at boot\n");
	if (of_property_read_bool(node, "no-map") || of_device_is_compatible(node, "shared-dma-pool"))
		return dev_err_probe(dev, -EINVAL,
				     "memory-region: a pool, or memory without pages (valid: without no-map, and not compatible with shared-dma-pool)\n");
	if (!PAGE_ALIGNED(memory->base) || !PAGE_ALIGNED(memory->size) || !has_pages(memory->base, memory->size))
		return dev_err_probe(dev, -EINVAL, "memory-region: not in low memory (valid: whole pages in there)\n");
	return 0;
}

/**
 * capture_region_init() - find the memory that the device tree sets aside
 * @region: filled in; without a page when there is none
 * @dev: the platform device
 *
 * Return: 0, or -EINVAL: it is of no use, as the kernel's log explains.
 */
int capture_region_init(struct capture_region *region, struct device *dev)
{
	struct device_node *node = of_parse_phandle(dev->of_node, "memory-region", 0);
	struct reserved_mem *memory;
	int ret;

	if (!node)
		return 0;
	memory = of_reserved_mem_lookup(node);
	ret = check_node(dev, node, memory);
	of_node_put(node);
	if (ret)
		return ret;
	region->page = pfn_to_page(PHYS_PFN(memory->base));
	region->bytes = memory->size;
	return 0;
}

/**
 * capture_region_take() - zeroed memory of a region
 * @region: the region
 * @offset: where in it, a multiple of the page size; the caller takes nothing twice
 * @bytes: length, likewise
 *
 * Return: the first page, or NULL: there is no such part, or somebody still reads it.
 */
struct page *capture_region_take(const struct capture_region *region, u64 offset, u32 bytes)
{
	struct page *page = region->page + (offset >> PAGE_SHIFT);
	u32 i;

	if (offset + bytes > region->bytes)
		return NULL;
	for (i = 0; i < bytes >> PAGE_SHIFT; i++)
		if (page_ref_count(page + i) > 1)
			return NULL;
	for (i = 0; i < bytes >> PAGE_SHIFT; i++)
		clear_highpage(page + i);
	return page;
}

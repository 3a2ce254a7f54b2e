// SPDX-License-Identifier: GPL-2.0-only
/* Memory of user space for the DMA; see user.h. */
#include <linux/backing-dev.h>
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "block.h"
#include "compat.h"
#include "user.h"

/**
 * capture_user_alignment() - what address and length must be a multiple of
 *
 * The DMA writes behind the caches, which then forget whole lines: a line that is shared with something else would lose
 * what the CPU wrote there.
 */
u32 capture_user_alignment(void)
{
	return max(dma_get_cache_alignment(), 4);
}

/* Locked; @vma is where @address is, or behind it, or NULL. */
static int check_area(struct device *dev, struct vm_area_struct *vma, unsigned long address, bool once)
{
	if (!vma || vma->vm_start > address || !(vma->vm_flags & VM_WRITE))
		return -EFAULT;
	if (vma->vm_flags & (VM_IO | VM_PFNMAP)) {
		dev_notice_ratelimited(dev,
				       "a buffer of user space is a mapping of a device (VM_IO or VM_PFNMAP), not memory: bring malloc()ed memory, or take the ring\n");
		return -EINVAL;
	}
	if (once || !(vma->vm_flags & VM_SHARED) || !vma->vm_file || !mapping_can_writeback(vma->vm_file->f_mapping))
		return 0;
	dev_notice_ratelimited(dev,
			       "a buffer of user space is a shared mapping of a file on a disk: its pages can't be held for long without losing data when they are written back; register it with CAPTURE_RING_USER_ONCE for each transfer, or write the file from the ring with O_DIRECT\n");
	return -EOPNOTSUPP;
}

static int check_areas(struct device *dev, unsigned long address, unsigned long bytes, bool once)
{
	struct mm_struct *mm = current->mm;
	unsigned long at = address;
	int ret = 0;

	mmap_read_lock(mm);
	while (!ret && at < address + bytes) {
		struct vm_area_struct *vma = find_vma(mm, at);

		ret = check_area(dev, vma, at, once);
		if (!ret)
			at = vma->vm_end;
	}
	mmap_read_unlock(mm);
	return ret;
}

/*
 * Pinned pages count for the user's RLIMIT_MEMLOCK, in the same counter as those of MSG_ZEROCOPY. (mm->locked_vm would
 * need mmap_lock, which may not be taken where buffers are let go of.)
 */
static int account(struct capture_user *user)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	user->account = get_uid(current_user());
	if (atomic_long_add_return(user->nr_pages, &user->account->locked_vm) <= limit || capable(CAP_IPC_LOCK))
		return 0;
	atomic_long_sub(user->nr_pages, &user->account->locked_vm);
	free_uid(user->account);
	user->account = NULL;
	return -ENOMEM;
}

static void user_free(struct capture_user *user)
{
	if (user->account) {
		atomic_long_sub(user->nr_pages, &user->account->locked_vm);
		free_uid(user->account);
	}
	kvfree(user->pages);
	kfree(user);
}

static int pin(struct capture_user *user, unsigned long address)
{
	unsigned int flags = FOLL_WRITE | (user->once ? 0 : FOLL_LONGTERM);
	unsigned long done = 0;
	int ret;

	while (done < user->nr_pages) {
		ret = pin_user_pages_fast(address + (done << PAGE_SHIFT), user->nr_pages - done, flags,
					  user->pages + done);
		if (ret <= 0) {
			unpin_user_pages(user->pages, done);
			return ret ? ret : -EFAULT;
		}
		done += ret;
	}
	return 0;
}

/**
 * capture_user_table() - put neighbouring pages of a buffer together
 * @dev: the device whose DMA will write them
 * @user: the buffer; its table is made of its pages
 * @offset: where in the first page it begins
 * @bytes: its length
 *
 * Return: 0 or -ENOMEM.
 */
int capture_user_table(struct device *dev, struct capture_user *user, u32 offset, u32 bytes)
{
	return sg_alloc_table_from_pages_segment(&user->table, user->pages, user->nr_pages, offset, bytes,
						 dma_get_max_seg_size(dev), GFP_KERNEL);
}

static int make_table(struct device *dev, struct capture_user *user, unsigned long address, u32 bytes)
{
	int ret;

	ret = pin(user, address & PAGE_MASK);
	if (ret)
		return ret;
	/* the offset is what PAGE_MASK masks out, not what it leaves */
	ret = capture_user_table(dev, user, offset_in_page(address), bytes);
	if (ret)
		unpin_user_pages(user->pages, user->nr_pages);
	return ret;
}

/**
 * capture_user_pin() - pin a part of the calling process's memory
 * @dev: the device whose DMA will write it
 * @address: its first byte, a multiple of capture_user_alignment()
 * @bytes: its length, likewise, not 0
 * @once: for one transfer
 *
 * Takes mmap_lock. Return: the buffer, or an error pointer: -EFAULT: not mapped, or not writable; -EINVAL: not memory;
 * -EOPNOTSUPP: of a file that is written back, and not @once; -ENOMEM: RLIMIT_MEMLOCK, or no memory.
 */
struct capture_user *capture_user_pin(struct device *dev, u64 address, u32 bytes, bool once)
{
	struct capture_user *user;
	int ret;

	if (address != (unsigned long)address || (unsigned long)address + bytes < bytes)
		return ERR_PTR(-EFAULT);
	ret = check_areas(dev, address, bytes, once);
	if (ret)
		return ERR_PTR(ret);
	user = kzalloc(sizeof(*user), GFP_KERNEL);
	if (!user)
		return ERR_PTR(-ENOMEM);
	user->once = once;
	user->nr_pages = DIV_ROUND_UP(offset_in_page(address) + bytes, PAGE_SIZE);
	user->pages = kvcalloc(user->nr_pages, sizeof(*user->pages), GFP_KERNEL);
	ret = user->pages ? account(user) : -ENOMEM;
	if (!ret)
		ret = make_table(dev, user, address, bytes);
	if (!ret)
		return user;
	user_free(user);
	return ERR_PTR(ret);
}

static void disclaim(struct xarray *taken, const struct capture_user *user, unsigned long nr_pages)
{
	while (nr_pages--)
		xa_erase(taken, page_to_pfn(user->pages[nr_pages]));
}

/**
 * capture_user_claim() - see to it that each page is mapped for the DMA once only
 * @taken: the pages of all buffers
 * @user: the buffer
 *
 * Two mappings of a page at once are against the rules of the DMA interface: each would synchronise the other's lines.
 *
 * Return: 0; -EEXIST: a page is in a buffer already, or in this one twice; or -ENOMEM.
 */
int capture_user_claim(struct xarray *taken, struct capture_user *user)
{
	unsigned long i;
	int ret;

	for (i = 0; i < user->nr_pages; i++) {
		ret = xa_insert(taken, page_to_pfn(user->pages[i]), user, GFP_KERNEL);
		if (!ret)
			continue;
		disclaim(taken, user, i);
		return ret == -EBUSY ? -EEXIST : ret;
	}
	return 0;
}

/**
 * capture_user_disclaim() - the counterpart of capture_user_claim()
 * @taken: the pages of all buffers
 * @user: the buffer
 */
void capture_user_disclaim(struct xarray *taken, const struct capture_user *user)
{
	disclaim(taken, user, user->nr_pages);
}

/**
 * capture_user_map() - map a pinned buffer for the DMA and make a block of it
 * @dev: the device whose DMA will write it
 * @user: the buffer
 * @block: block without memory
 *
 * Return: 0 or -ENOMEM.
 */
int capture_user_map(struct device *dev, struct capture_user *user, struct capture_block *block)
{
	struct scatterlist *entry;
	int i;

	if (dma_map_sgtable(dev, &user->table, DMA_FROM_DEVICE, 0))
		return -ENOMEM;
	block->chunks = kvcalloc(user->table.nents, sizeof(*block->chunks), GFP_KERNEL);
	if (!block->chunks) {
		dma_unmap_sgtable(dev, &user->table, DMA_FROM_DEVICE, 0);
		return -ENOMEM;
	}
	block->nr_chunks = user->table.nents;
	for_each_sgtable_dma_sg(&user->table, entry, i) {
		block->chunks[i].dma = sg_dma_address(entry);
		block->chunks[i].bytes = sg_dma_len(entry);
	}
	block->user = user;
	return 0;
}

/**
 * capture_user_unmap() - the counterpart of capture_user_map()
 * @dev: the device whose DMA wrote it
 * @block: block that the DMA does not own
 */
void capture_user_unmap(struct device *dev, struct capture_block *block)
{
	/* synchronised already: then user space may have written since, and lines must not be forgotten once more */
	dma_unmap_sgtable(dev, &block->user->table, DMA_FROM_DEVICE, block->synced ? DMA_ATTR_SKIP_CPU_SYNC : 0);
	kvfree(block->chunks);
	block->chunks = NULL;
	block->nr_chunks = 0;
	block->user = NULL;
}

/**
 * capture_user_unpin() - let go of a buffer that is not mapped for the DMA; written pages become dirty
 * @user: the buffer, freed
 *
 * Process context: it waits for page locks.
 */
void capture_user_unpin(struct capture_user *user)
{
	unpin_user_pages_dirty_lock(user->pages, user->nr_pages, user->written);
	sg_free_table(&user->table);
	user_free(user);
}

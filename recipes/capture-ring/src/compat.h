/* SPDX-License-Identifier: GPL-2.0-only */
/* The one place for differences between kernels; the driver is written for 6.12 and built from 6.1 on. */
#ifndef CAPTURE_COMPAT_H
#define CAPTURE_COMPAT_H

#include <linux/compiler.h>
#include <linux/mm.h>
#include <linux/version.h>

/* since 6.12: a variable that CONFIG_INIT_STACK_ALL_ZERO need not clear */
#ifndef __uninitialized
#define __uninitialized
#endif

/* vm_flags may only be changed through helpers since 6.3 (commit bc292ab00f6c) */
static inline void capture_vm_flags(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_mod(vma, set, clear);
#else
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
#endif
}

#endif /* CAPTURE_COMPAT_H */

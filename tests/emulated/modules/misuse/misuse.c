// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mistakes that drivers make, one at a time, so that a test can see the kernel's checkers report them:
 *
 *	insmod misuse.ko mistake=use_after_free|leak|dma|sleep|deadlock
 *
 * Loading it fails (ENODEV), so that nothing has to be unloaded.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#define BYTES	200

static char *mistake = "";
module_param(mistake, charp, 0444);
MODULE_PARM_DESC(mistake, "use_after_free, leak, dma, sleep or deadlock");

static DEFINE_SPINLOCK(one);
static DEFINE_SPINLOCK(other);

static void use_after_free(void)
{
	char *memory = kmalloc(BYTES, GFP_KERNEL);

	if (!memory)
		return;
	OPTIMIZER_HIDE_VAR(memory);
	kfree(memory);
	pr_info("misuse: %d\n", READ_ONCE(*memory));
}

static void leak(void)
{
	char *memory = kmalloc(BYTES, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
	pr_info("misuse: %d bytes are lost\n", memory ? BYTES : 0);
}

/* An error that is not looked at is reported when the mapping ends. */
static void dma(void)
{
	struct platform_device *device = platform_device_register_simple("misuse", PLATFORM_DEVID_NONE, NULL, 0);
	char *memory = kmalloc(BYTES, GFP_KERNEL);
	dma_addr_t address;

	if (!IS_ERR(device) && memory && !dma_coerce_mask_and_coherent(&device->dev, DMA_BIT_MASK(32))) {
		address = dma_map_single(&device->dev, memory, BYTES, DMA_FROM_DEVICE);
		dma_unmap_single(&device->dev, address, BYTES, DMA_FROM_DEVICE);
	}
	kfree(memory);
	if (!IS_ERR(device))
		platform_device_unregister(device);
}

static void sleep(void)
{
	spin_lock(&one);
	usleep_range(1000, 2000);
	spin_unlock(&one);
}

static void deadlock(void)
{
	spin_lock(&one);
	spin_lock(&other);
	spin_unlock(&other);
	spin_unlock(&one);
	spin_lock(&other);
	spin_lock(&one);
	spin_unlock(&one);
	spin_unlock(&other);
}

static const struct {
	const char *name;
	void (*make)(void);
} mistakes[] = {
	{ "use_after_free", use_after_free }, { "leak", leak }, { "dma", dma }, { "sleep", sleep },
	{ "deadlock", deadlock },
};

static int __init misuse_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mistakes); i++)
		if (!strcmp(mistake, mistakes[i].name))
			mistakes[i].make();
	return -ENODEV;
}

module_init(misuse_init);
MODULE_DESCRIPTION("Mistakes for the tests of the kernel's checkers");
MODULE_LICENSE("GPL");

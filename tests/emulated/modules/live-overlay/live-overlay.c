// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device tree overlay on a running kernel, which has no other way in for it:
 *
 *	insmod live-overlay.ko path=FILE	applies it
 *	rmmod live-overlay			takes it away again, and with it the devices that it brought
 */
#include <linux/kernel_read_file.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/vmalloc.h>

static char *path = "";
module_param(path, charp, 0444);
MODULE_PARM_DESC(path, "the overlay, as dtc makes it");

static int changes;

static int __init overlay_init(void)
{
	void *blob = NULL;
	int ret = kernel_read_file_from_path(path, 0, &blob, INT_MAX, NULL, READING_UNKNOWN);

	if (ret < 0)
		return ret;
	/* what it needs of the blob it copies */
	ret = of_overlay_fdt_apply(blob, ret, &changes, NULL);
	vfree(blob);
	if (ret)	/* in part, perhaps */
		of_overlay_remove(&changes);
	return ret;
}
module_init(overlay_init);

static void __exit overlay_exit(void)
{
	of_overlay_remove(&changes);
}
module_exit(overlay_exit);

MODULE_DESCRIPTION("A device tree overlay on a running kernel");
MODULE_LICENSE("GPL");

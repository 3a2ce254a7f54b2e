// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs all suites when the module is loaded; the kernel's log has the results (KTAP).
 *
 * fail=1 adds a test that fails, so that it is known what that looks like.
 *
 * Not kunit_test_suites(): that needs a kernel whose module loader was built with KUnit, and the release's was not.
 */
#include <linux/module.h>

#include "suites.h"

static bool fail;
module_param(fail, bool, 0444);
MODULE_PARM_DESC(fail, "Run a test that fails, too");

static void one_is_two(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, 1, 2);
}

static struct kunit_case failing_cases[] = { KUNIT_CASE(one_is_two), {} };

static struct kunit_suite failing_suite = { .name = "capture-failing", .test_cases = failing_cases };

static struct kunit_suite *suites[] = {
	&capture_block_suite, &capture_loss_suite, &capture_ring_suite, &capture_table_suite, &failing_suite
};

static int nr_suites(void)
{
	return ARRAY_SIZE(suites) - !fail;
}

static int __init suites_init(void)
{
	return __kunit_test_suites_init(suites, nr_suites());
}
module_init(suites_init);

static void __exit suites_exit(void)
{
	__kunit_test_suites_exit(suites, nr_suites());
}
module_exit(suites_exit);

MODULE_DESCRIPTION("KUnit tests of capture-ring");
MODULE_LICENSE("GPL");

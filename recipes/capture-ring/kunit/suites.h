/* SPDX-License-Identifier: GPL-2.0-only */
/* The suites; suites.c runs them. */
#ifndef CAPTURE_KUNIT_SUITES_H
#define CAPTURE_KUNIT_SUITES_H

#include <kunit/test.h>

extern struct kunit_suite capture_block_suite;
extern struct kunit_suite capture_loss_suite;
extern struct kunit_suite capture_ring_suite;
extern struct kunit_suite capture_table_suite;

#endif /* CAPTURE_KUNIT_SUITES_H */

/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's harness for selftests of parsers and of programs that speak TLS: an
 * emulated machine that shares its host may take its time.
 */
#ifndef SLOW_HARNESS_H
#define SLOW_HARNESS_H

#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wclobbered"
#include "kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300

#endif

/*
 * h2o_guard: overrides of functions inside libh2o that close the holes of the Debian build (2.2.5,
 * unmaintained upstream). libh2o calls its own functions through its procedure linkage table, so a
 * definition in the executable comes first; each override calls the real one, but for the encoder
 * of answers' heads, which replaces it (h2o_guard_hpack.c).
 *
 * What is guarded against, and where: the table in h2o_guard.c. A build in which an override is not
 * in effect (a static h2o, -Bsymbolic, a hidden symbol) must never serve: h2o_guard_check.
 */
#pragma once

#include "base/err.h"
#include "base/status.h"

struct http_loop;

/* Finds the real functions. Once per process, before any loop exists. STATUS_DENIED: one is
 * missing. */
MUST_CHECK enum status h2o_guard_init(struct err *err);
/* Sends requests to itself over a socket pair, on the loop's thread before it serves, and proves
 * that every override was called. STATUS_DENIED otherwise. */
MUST_CHECK enum status h2o_guard_check(struct http_loop *loop);
/* Names of the overrides that were never called, for the message. */
const char *h2o_guard_missing(void);

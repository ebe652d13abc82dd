/*
 * fault: failures on purpose, for tests.
 *
 * The countdown is always compiled in (one load an operation) and nothing outside a test arms it:
 * every operation under a transaction that could fail counts down, and the one that reaches zero
 * fails with the armed status.
 *
 *     for (unsigned n = 1;; n++) {
 *         fault_arm(n, STATUS_IO);
 *         run_the_scenario();
 *         if (!fault_disarm())
 *             break;  // it passed untouched: every place has failed once
 *     }
 *
 * Fault points are named places where the process can be killed as by kill -9; they exist only
 * where the build has -Dfaults=true, and act on the environment: POSTERN_FAULT_POINT=name kills the
 * process at its first passage, name:3 at the third. POSTERN_FAULT_TIGHT_MAP=1 opens stores with a
 * map that is full soon, so that it has to grow.
 */
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>

/* The nth operation from now (1: the next) fails. `status` is a fault. */
void fault_arm(unsigned nth, enum status status);
/* Did it fire? Nothing is armed afterwards. */
bool fault_disarm(void);
/* Called by the operations: STATUS_OK, or the armed fault. */
enum status fault_here(void);

#ifdef POSTERN_FAULTS
void fault_point(const char *name);
/* The size of a store's map: `wanted`, or, if told so, `tight`. */
size_t fault_map_bytes(size_t wanted, size_t tight);
#else
static inline void fault_point(const char *name)
{
    (void)name;
}
static inline size_t fault_map_bytes(size_t wanted, size_t tight)
{
    (void)tight;
    return wanted;
}
#endif

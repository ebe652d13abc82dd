/*
 * limiter: two sliding windows per API key, exact: no span of a window's length ever holds more
 * requests than its limit, and a request is refused only if it would (contract section 3).
 *
 * Each window keeps a log of when its requests came. Up to LIMITER_EXACT requests in a window the
 * log has one entry a millisecond; above that, one entry for each 1/LIMITER_EXACT of the window, so
 * that memory stays bounded for any limit: a request then counts until the end of its slice (4 ms
 * of a minute, 220 ms of an hour), never shorter than it should. At the default limits a key takes
 * under 10 KiB, at most 260 KiB.
 *
 * Times come from the caller: Unix milliseconds on a clock that does not step while the process
 * runs. What happened before a start is read from the store when a key is first used.
 *
 * Threads: any; a lock for each of 64 groups of keys.
 */
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define LIMITER_EXACT 16384

enum limiter_window { WINDOW_MINUTE, WINDOW_HOUR, WINDOW_COUNT };
extern const int64_t WINDOW_MS[WINDOW_COUNT];
extern const char *const WINDOW_NAME[WINDOW_COUNT]; /* "minute", "hour" */

struct limits {
    uint32_t max[WINDOW_COUNT]; /* requests in a window; at least 1 */
};

struct window_verdict {
    uint32_t limit;
    uint32_t remaining;  /* after this request */
    int64_t reset_at_ms; /* from when one more is allowed than now; now, if the window is empty */
    bool is_violated;    /* this window refused the request */
};
struct limiter_verdict {
    bool is_admitted;
    int64_t at_ms;          /* the time the request counts for, not before earlier ones */
    int64_t retry_after_ms; /* refused: how long until a request gets through */
    struct window_verdict windows[WINDOW_COUNT];
};

struct limiter;
/* Reads a key's counted requests of the last hour: calls `add` for each, oldest first. */
typedef enum status limiter_load(void *context, uint32_t key, int64_t since_ms,
                                 void (*add)(void *adder, int64_t at_ms, uint32_t count),
                                 void *adder);

/* NULL: no memory. `load` may be NULL. */
struct limiter *limiter_new(limiter_load *load, void *context);
void limiter_free(struct limiter *limiter);
/* Decide and, when admitted, count. Faults: STATUS_NO_MEMORY, or what `load` answered. */
MUST_CHECK enum status limiter_admit(struct limiter *limiter, uint32_t key,
                                     const struct limits *limits, int64_t now_ms,
                                     struct limiter_verdict *ret_verdict);
/* Forget keys that no window counts any more. Now and then. */
void limiter_sweep(struct limiter *limiter, int64_t now_ms);
/* The time under which a counted request is stored: at_ms, or the end of its slice where the hour
 * is sliced, so that the rows of a key stay few. */
int64_t limiter_row_ms(const struct limits *limits, int64_t at_ms);

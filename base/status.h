/*
 * status: what a function says about how it went.
 *
 * 0 is fine. Positive values are outcomes that the direct caller handles. Negative values are
 * faults that go up unchanged until the layer that decides (refuse, retry, exit) logs them once.
 * A code exists only if some caller acts on it.
 */
#pragma once

enum status {
    STATUS_OK = 0,

    /* Outcomes: the direct caller handles them. */
    STATUS_NOT_FOUND = 1,
    STATUS_EXISTS = 2,
    STATUS_INVALID = 3, /* input is malformed or violates a rule */
    STATUS_DENIED = 4,
    STATUS_LIMIT = 5,    /* a bound was reached: queue full, budget used up, buffer too small */
    STATUS_MISMATCH = 6, /* a precondition or an earlier fingerprint differs */
    STATUS_END = 7,      /* an iteration has no more items */

    /* Faults: they go up unchanged. */
    STATUS_IO = -1,
    STATUS_NO_SPACE = -2,
    STATUS_CORRUPT = -3, /* a stored row does not decode */
    STATUS_NO_MEMORY = -4,
    STATUS_MAP_FULL = -5, /* the store's map must grow; only the store's owner sees it */
    STATUS_VERSION = -6,  /* the store has a newer format */
    STATUS_BUSY = -7,     /* another process holds what is needed */
};

#define MUST_CHECK __attribute__((warn_unused_result))

static inline int status_is_fault(enum status s)
{
    return s < 0;
}

/* A deliberate drop, with its reason beside it: a cast to void does not silence MUST_CHECK. */
static inline void status_drop(enum status s)
{
    (void)s;
}

/* A few words for logs and messages: "not found", "no space left". Static storage. */
const char *status_text(enum status s);

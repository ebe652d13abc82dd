/*
 * target: what delivery keeps in memory of one enabled endpoint: where to, how to sign, how much
 * may be in flight, and where in its due queue the last look ended. A few hundred bytes; the stored
 * row is much larger.
 *
 * Thread: the loop's.
 */
#pragma once

#include "ingest/deliver/dialects.h"
#include "ingest/deliver/schedule.h"
#include "ingest/deliver/window.h"
#include "storage/endpoints.h"
#include "storage/vault.h"

struct target {
    uint32_t number;
    struct uuid id;
    bool is_live; /* enabled, and its secrets could be opened */
    char *url;
    char *header_lines, *masked_lines; /* its own headers; for the log, values as "***" */
    char *secrets[2];
    size_t secret_count;
    struct dialect dialect;
    char dialect_header[64];
    uint32_t retry_s[ENDPOINT_RETRIES_MAX];
    size_t retry_count;  /* 0: the server's schedule */
    uint32_t timeout_ms; /* 0: the server's */

    struct window window;
    uint32_t transfers; /* sent or waiting for their outcome to be stored */
    size_t bytes_in_flight;
    bool is_crowded; /* one waited in vain for another's connection: no more waiting for a while */

    bool has_due;                /* there may be something due that is not in flight */
    int64_t next_due_ms;         /* when not: the next one; INT64_MAX: none */
    struct delivery after;       /* where the last look at the queue ended; zero: at its start */
    struct delivery after_fresh; /* the same for looks at those not tried yet */
};

/* A target without in-flight state. NULL: no memory. */
struct target *target_new(uint32_t number);
void target_free(struct target *target); /* wipes secrets; NULL allowed */

/* Take over the endpoint as stored; state in flight stays. STATUS_MISMATCH, STATUS_CORRUPT: its
 * secrets cannot be opened (it is not live then); STATUS_INVALID: its dialect is unknown. */
MUST_CHECK enum status target_set(struct target *target, const struct endpoint *endpoint,
                                  const struct vault *vault, struct err *err);

/* What one attempt says about itself. */
struct dress {
    const char *user_agent;
    const char *delivery; /* "dlv_…" */
    struct bytes event;
    int64_t timestamp_s;
    uint16_t retry;
    struct bytes body;
};
/* Append the attempt's header lines (contract section 4): as they are sent, and as they are logged.
 */
void target_put_headers(const struct target *target, const struct dress *dress, struct buf *sent,
                        struct buf *logged);

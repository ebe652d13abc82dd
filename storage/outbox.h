/*
 * outbox: delivery's memory. What is to be delivered to whom, when it is due, what was tried.
 *
 * Tables: `deliveries` (id -> event, endpoint, state, …), `due` (endpoint, due time, delivery), the
 * queue that the delivery loop reads per endpoint; `lanes` (endpoint, record, delivery), the order
 * in which one record's deliveries to one endpoint go out: only the first of a lane has a `due`
 * row, the next gets one when it is gone; `attempts` (delivery, number -> log).
 *
 * Nothing is leased in the store: what is in flight is known to the delivery loop alone, its `due`
 * row stays until the outcome is committed, and a crash means that the attempt is made again.
 */
#pragma once

#include "storage/store.h"

#define DELIVERY_ID_PREFIX "dlv"

enum delivery_state { DELIVERY_PENDING = 1, DELIVERY_DELIVERED = 2, DELIVERY_FAILED = 3 };
const char *delivery_state_text(enum delivery_state state);

struct delivery {
    struct uuid id;
    uint64_t sequence; /* of the event */
    uint32_t endpoint; /* number */
    struct uuid record; /* its lane; zero: a lane of its own */
    enum delivery_state state;
    uint16_t attempt_count;   /* made so far, all of them */
    uint16_t retry_count;     /* since it was last (re)started: X-Webhook-Retry and the schedule */
    uint16_t last_status;     /* HTTP status of the last attempt; 0: none came */
    int64_t created_ms;
    int64_t due_ms;      /* of the next attempt, while pending and first in its lane */
    int64_t finished_ms; /* 0: pending */
};

/* The response body kept per attempt. */
#define ATTEMPT_BODY_MAX 4096

struct attempt {
    struct uuid delivery;
    uint16_t number;        /* from 1 */
    int64_t at_ms;          /* start */
    uint32_t duration_ms;
    uint16_t http_status;   /* 0: none came */
    uint8_t payload_hash[32];  /* SHA-256 of the body sent */
    struct bytes url;
    struct bytes address;          /* the address connected to; empty: none */
    struct bytes error;            /* "connection refused"; empty: none */
    struct bytes request_headers;  /* as sent, secrets masked, lines with CRLF */
    struct bytes response_body;    /* the first ATTEMPT_BODY_MAX bytes */
};

/* Creates a pending delivery, due at `due_ms` unless its lane has an earlier pending one.
 * Sticky faults only. */
struct uuid outbox_enqueue(struct txn *txn, uint32_t endpoint, uint64_t sequence,
                           const struct uuid *record, int64_t due_ms);

/* Deliveries of one endpoint in order of due time. `after` is the last one seen (its due_ms and id;
 * zero: from the start). STATUS_END: none due at or before `until_ms`. A reader can scan past those
 * it has in flight. */
MUST_CHECK enum status outbox_due_next(struct txn *txn, uint32_t endpoint, int64_t until_ms,
                                       struct delivery *inout_after, struct delivery *ret_delivery);
/* When the endpoint's first delivery after `after_ms` is due; INT64_MAX: none. */
int64_t outbox_next_due_ms(struct txn *txn, uint32_t endpoint, int64_t after_ms);

enum attempt_outcome { ATTEMPT_DELIVERED, ATTEMPT_RETRY, ATTEMPT_FAILED };
/* Log the attempt and move the delivery on: done, due again at `retry_at_ms`, or failed for good;
 * in the first and last case the next of its lane becomes due now. STATUS_NOT_FOUND: the delivery is
 * no longer pending (erased, endpoint deleted); nothing happens. */
MUST_CHECK enum status outbox_finish(struct txn *txn, const struct attempt *attempt,
                                     enum attempt_outcome outcome, int64_t retry_at_ms);
/* A failed or delivered delivery becomes pending again, at the end of its lane, due now, its
 * schedule started anew; a pending one becomes due now. */
MUST_CHECK enum status outbox_retry(struct txn *txn, const struct uuid *delivery);
/* Fails every pending delivery of an endpoint, at most `rows_max` here; true: there may be more. */
bool outbox_fail_endpoint(struct txn *txn, uint32_t endpoint, const char *reason,
                          uint32_t rows_max);
/* Did the endpoint ever take this event? For `replay --missing`. */
bool outbox_has_delivered(struct txn *txn, uint32_t endpoint, uint64_t sequence);

MUST_CHECK enum status delivery_find(struct txn *txn, const struct uuid *id,
                                     struct delivery *ret_delivery);
/* Newest first, those created in [since, until); 0: open. STATUS_END. `before` is the last one seen,
 * zero at the start, and is updated. */
MUST_CHECK enum status delivery_page_next(struct txn *txn, int64_t since_ms, int64_t until_ms,
                                          struct uuid *inout_before,
                                          struct delivery *ret_delivery);
/* Attempt `number` of a delivery; views live until the transaction ends. STATUS_NOT_FOUND. */
MUST_CHECK enum status attempt_at(struct txn *txn, const struct uuid *delivery, uint16_t number,
                                  struct attempt *ret_attempt);
/* The pending delivery that was created first; STATUS_NOT_FOUND: none pending. Walks endpoints, not
 * deliveries. */
MUST_CHECK enum status outbox_oldest_pending(struct txn *txn, struct delivery *ret_delivery);
uint64_t outbox_pending_count(struct txn *txn, uint32_t endpoint);

/* Retention: drop finished deliveries (and their attempts) finished before `before_ms`, looking at
 * no more than `rows_max` rows; true: there may be more. */
bool outbox_prune(struct txn *txn, int64_t before_ms, uint32_t rows_max);
/* Erasure: forget response bodies of attempts that delivered the record's events, and cancel what
 * is pending of it. */
MUST_CHECK enum status outbox_erase_record(struct txn *txn, const struct uuid *record);

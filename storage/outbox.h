/*
 * outbox: delivery's memory. What is to be delivered to whom, when it is due, what was tried.
 *
 * Tables: `deliveries` (id -> event, endpoint, state, …); `lanes` (endpoint, record, place), the
 * order in which one record's deliveries to one endpoint go out; `due` (endpoint, due time,
 * delivery), the queue that the delivery loop reads per endpoint: only the first of a lane has a
 * row there, the next gets one when it is gone; `pending` (endpoint, place), who waits longest;
 * `event_deliveries` (sequence, endpoint, delivery); `attempts` (delivery, number -> log);
 * `delivered`, a bit for each event that an endpoint took, kept for good.
 *
 * Nothing is leased in the store: what is in flight is known to the delivery loop alone, its `due`
 * row stays until the outcome is committed, and a crash means that the attempt is made again.
 */
#pragma once

#include "storage/store.h"

#define DELIVERY_ID_PREFIX "dlv"

#define DELIVERY_REASON_MAX 63

enum delivery_state { DELIVERY_PENDING = 1, DELIVERY_DELIVERED = 2, DELIVERY_FAILED = 3 };
const char *delivery_state_text(enum delivery_state state);

struct delivery {
    struct uuid id;
    uint64_t sequence;  /* of the event */
    uint32_t endpoint;  /* number */
    struct uuid record; /* its lane; zero: a lane of its own */
    struct uuid place;  /* in its lane: its id; after outbox_retry a later one */
    enum delivery_state state;
    uint16_t attempt_count; /* made so far, all of them: X-Webhook-Retry of the next */
    uint16_t retry_count;   /* since it was last (re)started: the place in the schedule */
    uint16_t last_status;   /* HTTP status of the last attempt; 0: none came */
    int64_t created_ms;     /* the id's time */
    int64_t due_ms;         /* of the next attempt, while pending and first in its lane */
    int64_t finished_ms;    /* 0: pending */
    char reason[DELIVERY_REASON_MAX + 1]; /* why it failed other than by its attempts; else "" */
};

/* The response body kept per attempt. */
#define ATTEMPT_BODY_MAX 4096

struct attempt {
    struct uuid delivery;
    uint16_t number; /* from 1; given when it is logged */
    int64_t at_ms;   /* start */
    uint32_t duration_ms;
    uint16_t http_status;     /* 0: none came */
    uint8_t payload_hash[32]; /* SHA-256 of the body sent */
    struct bytes url;
    struct bytes address;         /* the address connected to; empty: none */
    struct bytes error;           /* "connection refused"; empty: none */
    struct bytes request_headers; /* as sent, secrets masked, lines with CRLF */
    struct bytes response_body;   /* the first ATTEMPT_BODY_MAX bytes */
};

/* Has the write transaction created any delivery? */
bool outbox_has_enqueued(const struct txn *txn);
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
/* Log the attempt as the delivery's next one (its `number` is not looked at) and move the delivery
 * on: done, due again at `retry_at_ms`, or failed for good; in the first and last case the next of
 * its lane becomes due now. STATUS_NOT_FOUND: the delivery is no longer pending (erased, endpoint
 * deleted); nothing happens. */
MUST_CHECK enum status outbox_finish(struct txn *txn, const struct attempt *attempt,
                                     enum attempt_outcome outcome, int64_t retry_at_ms);
/* A failed or delivered delivery becomes pending again, at the end of its lane, its schedule
 * started anew; the first of its lane is due now, as is a pending one. STATUS_NOT_FOUND: no such
 * delivery; STATUS_DENIED: its endpoint was deleted. */
MUST_CHECK enum status outbox_retry(struct txn *txn, const struct uuid *delivery);
/* Fails every pending delivery of an endpoint, longest waiting first, at most `rows_max` here;
 * true: there are more. */
bool outbox_fail_endpoint(struct txn *txn, uint32_t endpoint, const char *reason,
                          uint32_t rows_max);
/* What waits for a later time becomes due now, at most `rows_max` here; true: there are more. */
bool outbox_hasten_endpoint(struct txn *txn, uint32_t endpoint, uint32_t rows_max);
/* Did the endpoint ever take this event? For `replay --missing`; also long after the delivery's row
 * was dropped. */
bool outbox_has_delivered(struct txn *txn, uint32_t endpoint, uint64_t sequence);

MUST_CHECK enum status delivery_find(struct txn *txn, const struct uuid *id,
                                     struct delivery *ret_delivery);
/* Newest first, those created in [since, until); 0: open. STATUS_END. `before` is the last one
 * seen, zero at the start, and is updated. */
MUST_CHECK enum status delivery_page_next(struct txn *txn, int64_t since_ms, int64_t until_ms,
                                          struct uuid *inout_before, struct delivery *ret_delivery);
/* Deliveries of one event, by endpoint and age. `inout_after` is the last one seen, zero at the
 * start, and is updated. STATUS_END. */
MUST_CHECK enum status event_delivery_next(struct txn *txn, uint64_t sequence,
                                           struct delivery *inout_after);
/* Attempt `number` of a delivery; views live until the transaction ends. STATUS_NOT_FOUND. */
MUST_CHECK enum status attempt_at(struct txn *txn, const struct uuid *delivery, uint16_t number,
                                  struct attempt *ret_attempt);
/* The pending delivery that waits longest (since it was created, or retried by hand: `place`
 * tells); STATUS_NOT_FOUND: none pending. Walks endpoints, not deliveries. */
MUST_CHECK enum status outbox_oldest_pending(struct txn *txn, struct delivery *ret_delivery);
uint64_t outbox_pending_count(struct txn *txn, uint32_t endpoint);

/* Retention: drop finished deliveries (and their attempts) finished before `before_ms`, looking at
 * no more than `rows_max` rows; true: there may be more. Goes round: each call goes on where the
 * last one stopped. Also finishes what endpoint_delete left to do. */
bool outbox_prune(struct txn *txn, int64_t before_ms, uint32_t rows_max);
/* Erasure: forget response bodies of attempts that delivered the record's events, and fail what is
 * pending of it ("record erased"). Before or after record_erase. STATUS_NOT_FOUND: no such record.
 */
MUST_CHECK enum status outbox_erase_record(struct txn *txn, const struct uuid *record);
/* The same for one event; how many deliveries and attempts were gone over. Sticky faults only. */
uint32_t outbox_erase_event(struct txn *txn, uint64_t sequence);

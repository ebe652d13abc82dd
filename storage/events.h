/*
 * events: the store's one gap-free sequence of facts. An event about a record names its revision
 * and carries no copy of the content; its body is rendered from there (schemas/change.h). Others
 * (delivery.failed, endpoint.disabled, webhook.test, report.*) carry their `data` themselves.
 *
 * Ids are UUIDv7 in the order of the sequence, so an id is found by bisection, without an index.
 */
#pragma once

#include "storage/store.h"

struct event {
    uint64_t sequence; /* from 1 */
    struct uuid id;
    int64_t time_ms;
    struct bytes name;  /* "workorder.created" */
    uint16_t type;      /* record type; 0: not about a record */
    struct uuid record; /* zero: not about a record */
    uint32_t revision;
    bool is_update;           /* the body has "previous" */
    struct bytes each_member; /* an `each` event: the array's name … */
    uint32_t element;         /* … and the index in it */
    struct bytes data;        /* canonical JSON, for events that are not about a record */
};

/* Gives it the next sequence number and an id (both written to `event`). Sticky faults only. */
void event_append(struct txn *txn, struct event *event);
MUST_CHECK enum status event_at(struct txn *txn, uint64_t sequence, struct event *ret_event);
MUST_CHECK enum status event_find(struct txn *txn, const struct uuid *id, struct event *ret_event);
uint64_t event_last_sequence(struct txn *txn); /* 0: none yet */
/* Sequence of the first event at or after the time; last + 1 where there is none. Bisection. */
uint64_t event_sequence_since(struct txn *txn, int64_t since_ms);
/* Blank the inline data of an event, in place, for erasure. */
MUST_CHECK enum status event_erase_data(struct txn *txn, uint64_t sequence);

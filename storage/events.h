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

#define EVENTS_AT_ONCE_MAX 2048

/* Gives each the next sequence number and an id (both written to `events`). They are of one change:
 * the first one's time, type, record and revision are those of all. Only an event that comes alone
 * has `data`. At most EVENTS_AT_ONCE_MAX. Sticky faults only. */
void events_append(struct txn *txn, struct event *events, size_t count);
void event_append(struct txn *txn, struct event *event); /* one */
/* The last event of the change that raised this one. For going over all of a change's. */
MUST_CHECK enum status event_last_at(struct txn *txn, uint64_t sequence, uint64_t *ret_last);
MUST_CHECK enum status event_at(struct txn *txn, uint64_t sequence, struct event *ret_event);
MUST_CHECK enum status event_find(struct txn *txn, const struct uuid *id, struct event *ret_event);
uint64_t event_last_sequence(struct txn *txn); /* 0: none yet */
/* Sequence of the first event at or after the time; last + 1 where there is none. Bisection. */
uint64_t event_sequence_since(struct txn *txn, int64_t since_ms);
/* Blank the inline data of an event, in place, for erasure. */
MUST_CHECK enum status event_erase_data(struct txn *txn, uint64_t sequence);

/*
 * retention: records of a type go when their current revision is older than the operator wants to
 * keep them. What goes is what `records erase` takes: the content and the key, from revisions,
 * events and attempts; that the record existed stays. Nothing is raised: it is no change of
 * business, and the sender knows nothing of it.
 *
 * Threads: the writer's. The walk lies in memory alone; after a restart it begins at the first
 * record again.
 */
#pragma once

#include "storage/store.h"

struct retention {
    uint16_t type;
    int64_t keep_ms;
    uint64_t erased; /* records, so far; the caller may begin anew */
    /* Private; zero at the start. */
    struct uuid after;       /* the last record that was passed; zero: none */
    uint32_t number;         /* revision of the next one that is to be erased next; 0: not begun */
    bool has_left;           /* some were passed and are kept for now */
    struct uuid before_left; /* the record before the first of them */
    int64_t left_since_ms;   /* the oldest current revision of them */
    int64_t turned_at_ms;    /* when the walk went back to them last */
};

/* Work that a step of some milliseconds does: records looked at, deliveries and attempts emptied,
 * and revisions erased, which weigh RETENTION_ERASE_WEIGHT each. */
#define RETENTION_ERASE_WEIGHT 8

/* Go on from where the walk stands, for `work_max`; true: there is more to do at once. The walk
 * has moved only if the transaction is committed: step a copy. Sticky faults only. */
bool retention_step(struct txn *txn, struct retention *walk, uint32_t work_max);

/*
 * writer: the one thread that owns the store's write transaction, and group commit.
 *
 * It takes everything that is queued, runs each work's `apply` in one transaction, commits once
 * (one fsync), then calls each `done`. The fsync of one group gathers the next; a lone request
 * never waits for company. Whatever writes goes through here: records, attempts, counted requests,
 * rejections, retention.
 *
 * What can fail: a fault sticks to the transaction, the commit fails, and every work of the group
 * is told so; nothing of it is stored. A full map is grown and the group run again; a group that
 * met damaged data or ran out of memory is run again in halves, so that one work does not fail the
 * others. So `apply` may run more than once, must start from the beginning each time, and need not
 * run at all before `done` is called with a fault.
 */
#pragma once

#include "base/clock.h"
#include "storage/store.h"

struct writer;

/* One owner at a time: the submitter until writer_submit, the writer until `done` is called. */
struct work {
    struct work *next; /* private */
    void (*apply)(struct work *work, struct txn *txn);
    void (*done)(struct work *work, enum status status); /* on the writer's thread */
};

struct writer_options {
    struct store *store;
    const struct clock *clock;
    uint32_t queue_max; /* works waiting; 0: 8192 */
    uint32_t group_max; /* works in one transaction; 0: 1024 */
    /* Of more than a group's works only as many wait as are stored in this time; 0: 0.5 s. */
    uint64_t wait_us_max;
    /* After each commit, on the writer's thread. NULL allowed. */
    void (*committed)(void *context, uint64_t last_sequence, bool has_deliveries);
    void *context;
};

MUST_CHECK enum status writer_start(const struct writer_options *options,
                                    struct writer **ret_writer);
/* Any thread. STATUS_LIMIT: too many wait, or stopping; the work stays the caller's. */
MUST_CHECK enum status writer_submit(struct writer *writer, struct work *work);
/* Commits what is queued, ends the thread and frees the writer. NULL allowed. */
void writer_stop(struct writer *writer);

struct writer_stats {
    uint64_t groups, works, failed_groups;
    uint64_t commit_us_total;
    uint32_t queued;
};
void writer_stats(const struct writer *writer, struct writer_stats *ret_stats);

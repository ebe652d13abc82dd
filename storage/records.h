/*
 * records: revisions of records, found by id, by record key, and newest first by type.
 *
 * Tables: `revisions` (record id, revision -> content), `record_keys` (type, record key -> id of
 * the live record), `records_by_type` (type, block of time). The current revision is the last one;
 * there is no head row to keep in step. A deletion is a revision with the last content, and takes
 * the record key out of `record_keys`. Content is the sender's bytes, untouched.
 */
#pragma once

#include "base/action.h"
#include "storage/store.h"

struct revision {
    struct uuid record;
    uint32_t number; /* from 1 */
    uint16_t type;
    enum record_action action;
    bool is_erased;       /* content was erased on request; body and key are empty */
    int64_t received_ms;  /* Unix */
    uint32_t api_key;     /* number of the sender's API key; 0: the operator */
    uint64_t first_event; /* sequence of its first event */
    uint16_t event_count;
    struct bytes key;  /* record key; empty: none */
    struct bytes body; /* JSON text as received (a merge's result in canonical form) */
};

/* Is the record, whose current revision this is, there for senders? */
static inline bool record_is_live(const struct revision *current)
{
    return current->action != ACTION_DELETED && !current->is_erased;
}

/* Views live until the transaction ends. STATUS_NOT_FOUND. */
MUST_CHECK enum status record_find_by_key(struct txn *txn, uint16_t type, struct bytes key,
                                          struct uuid *ret_record);
/* The current one; also of a deleted or erased record: see record_is_live. */
MUST_CHECK enum status record_current(struct txn *txn, const struct uuid *record,
                                      struct revision *ret_revision);
MUST_CHECK enum status record_revision(struct txn *txn, const struct uuid *record, uint32_t number,
                                       struct revision *ret_revision);

/* Write one revision and its index rows. `number` 1 appends a new record; a later one must follow
 * the current one. `previous_key` is the current revision's key where it differs or the record is
 * deleted, so that its index row goes. Sticky faults only. */
void record_put(struct txn *txn, const struct revision *revision, struct bytes previous_key);

/* Newest record first (by creation). Start: zero value with the query filled in. */
struct record_page {
    uint16_t type;
    int64_t since_ms;   /* created at or after; 0: all */
    int64_t until_ms;   /* created before; 0: all */
    struct uuid before; /* continue before this record; zero: from the newest */
    bool has_deleted;   /* include deleted and erased records */
    uint32_t skip_max;  /* pass over so many records in all, then STATUS_LIMIT; 0: any */
    uint32_t skipped;   /* private */
    void *iterator;     /* private; record_page_end frees */
};
/* STATUS_END after the last one. STATUS_LIMIT: see skip_max; `before` tells how far it came, and
 * the next call goes on. The views live until the next call. */
MUST_CHECK enum status record_page_next(struct txn *txn, struct record_page *page,
                                        struct revision *ret_revision);
void record_page_end(struct record_page *page);
/* The type's oldest record after that one (zero: of all), live or not. STATUS_END. */
MUST_CHECK enum status record_next(struct txn *txn, uint16_t type, const struct uuid *after,
                                   struct uuid *ret_record);
uint64_t record_count(struct txn *txn, uint16_t type); /* live and deleted; walks no rows */

/* Remove content of every revision of the record: overwritten before it is dropped, so that no copy
 * of it stays in a page. Returns the number of revisions through `ret_count`. */
MUST_CHECK enum status record_erase(struct txn *txn, const struct uuid *record,
                                    uint32_t *ret_count);
/* The same for one revision, to erase a long history in portions: the newest first, so that the
 * record is gone with the first portion, and has been done when revision 1 is erased. */
MUST_CHECK enum status record_erase_revision(struct txn *txn, const struct uuid *record,
                                             uint32_t number);

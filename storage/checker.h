/*
 * checker: what the parts of `store check` share; private to check.c, check_records.c and
 * check_outbox.c, and to backup.c. The list of invariants stands in docs/data-format.md.
 *
 * Each table has one function that sees its rows in order. It says what is wrong with the row, and
 * with what the row refers to; what refers to the row is seen from the other table.
 *
 * To add an invariant: say it there, check it in its table's function, break it in
 * tests/unit/storage/test_check.c.
 */
#pragma once

#include "storage/check.h"
#include "storage/outbox_rows.h"
#include "storage/records_private.h"
#include "storage/table.h"

struct type_count {
    uint64_t records, counter; /* found, and what the counter says */
};

struct checker {
    struct txn *txn;
    enum status fault; /* what ends the check: not damage, but that it cannot be looked at */
    enum table table;  /* being gone over */
    struct check_report *report;
    uint64_t done, all;
    void (*problem)(void *context, const char *text);
    void (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;

    struct type_count *types; /* UINT16_MAX + 1, by record type */
    uint64_t unreadable_records;
    struct uuid last_id; /* the latest that was seen anywhere */
    uint64_t states[DELIVERY_FAILED + 1];

    /* Where the walk over a table stands; cleared between tables. */
    struct {
        struct uuid id;      /* record, or delivery, of the row before */
        uint32_t number;     /* revision, or attempt, of the row before */
        uint16_t type;       /* revisions: of the row before */
        bool is_deleted;     /* revisions: the row before was a deletion */
        bool has_group;      /* some row was seen */
        uint32_t group;      /* endpoint being counted … */
        uint64_t group_rows; /* … so far */
        uint64_t sequence;   /* events: the last of the row before … */
        bool is_damaged;     /* … unless it could not be read */
        uint8_t lane[LANE_PREFIX_BYTES];
    } at;
};

/* A reader all of whose pages have been looked at, so that LMDB cannot be led astray by one.
 * STATUS_CORRUPT: `err` says which is damaged. STATUS_BUSY: commits come too fast to look. */
MUST_CHECK enum status checked_read(struct store *store, struct txn **ret_txn, struct err *err);

/* One finding: the table's name is put before it. */
void check_say(struct checker *checker, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* As table_get, for asking whether there is such a row. Damage counts as there: it is said where
 * the row's own table is gone over. `ret_row` may be NULL. */
bool check_has(struct checker *checker, enum table table, struct bytes key);
/* Notes what ends the check; true: the row could be read. Damage is left to its own table. */
bool check_read(struct checker *checker, enum status status);
void check_id(struct checker *checker, const uint8_t id[UUID_BYTES]);
/* Counts pending deliveries by their endpoint; where it ends the count must be the counter's. */
void check_group(struct checker *checker, uint32_t group);
void check_group_end(struct checker *checker);

/* A row, damaged where it is empty (which has been said); and the table's end. */
void check_revision(struct checker *checker, struct bytes key, struct bytes row);
void check_revisions_end(struct checker *checker);
void check_record_key(struct checker *checker, struct bytes key, struct bytes row);
void check_record_by_type(struct checker *checker, struct bytes key, struct bytes row);
void check_event(struct checker *checker, struct bytes key, struct bytes row);

void check_endpoint(struct checker *checker, struct bytes key, struct bytes row);
void check_endpoint_note(struct checker *checker, struct bytes key, struct bytes row);
void check_delivery(struct checker *checker, struct bytes key, struct bytes row);
void check_event_delivery(struct checker *checker, struct bytes key, struct bytes row);
void check_pending(struct checker *checker, struct bytes key, struct bytes row);
void check_pending_end(struct checker *checker);
void check_lane(struct checker *checker, struct bytes key, struct bytes row);
void check_due(struct checker *checker, struct bytes key, struct bytes row);
void check_delivered(struct checker *checker, struct bytes key, struct bytes row);
void check_attempt(struct checker *checker, struct bytes key, struct bytes row);
void check_attempts_end(struct checker *checker);

/*
 * table: sticky operations on the store's named tables, for the modules of storage/ only.
 * Everything that touches a row goes through here: LMDB's codes become statuses in one place, rows
 * get their check and lose it again (storage/format.h), and faults can be injected
 * (storage/fault.h).
 *
 * Sticky: after the first fault of a transaction each operation does nothing and answers that
 * fault. A corrupt row sticks to a write transaction (nothing is decided on damaged data) and not
 * to a reader (a checker goes on).
 *
 * Views: what table_get answers lives until the transaction ends, also in a write transaction
 * (there it is a copy). What a table_cursor shows lives until the next call on that cursor or the
 * next write. Keys and rows that are put may be views of either kind.
 *
 * Threads: as the transaction.
 */
#pragma once

#include "storage/format.h"
#include "storage/store.h"

/* STATUS_NOT_FOUND; STATUS_CORRUPT where the check fails. `ret_row` begins with its version byte.
 */
MUST_CHECK enum status table_get(struct txn *txn, enum table table, struct bytes key,
                                 struct bytes *ret_row);
/* Insert or replace. */
void table_put(struct txn *txn, enum table table, struct bytes key, struct bytes row);
/* As table_put, the row being the concatenation of the parts. */
void table_put_parts(struct txn *txn, enum table table, struct bytes key, const struct bytes *parts,
                     size_t count);
/* As table_put_parts, quick and dense where the key lies after every other one of the table. */
void table_append_parts(struct txn *txn, enum table table, struct bytes key,
                        const struct bytes *parts, size_t count);
/* As table_put of a row of a struct buf: a failed buffer is the transaction's fault. */
void table_put_buf(struct txn *txn, enum table table, struct bytes key, const struct buf *row);
/* STATUS_NOT_FOUND is an outcome, nothing sticks. */
enum status table_delete(struct txn *txn, enum table table, struct bytes key);
/* Rows in the table; walks nothing. */
uint64_t table_rows(struct txn *txn, enum table table);

/*
 * A cursor over one table in the order of keys. Any number of them, in reads and writes; closed
 * before the transaction ends.
 *
 *     CLEANUP(table_cursor_close) struct table_cursor c = {0};
 *     for (s = table_cursor_open(&c, txn, TABLE_DUE, from); s == STATUS_OK;
 *          s = table_cursor_next(&c))
 *         … c.key, c.row …
 *     return s == STATUS_END ? STATUS_OK : s;
 *
 * Each movement answers STATUS_OK, STATUS_END (no such row; the place is then undefined, seek
 * again), or a fault. On STATUS_CORRUPT the key is valid, the row is empty and the cursor may move
 * on.
 */
struct MDB_cursor;
struct table_cursor {
    struct txn *txn;
    struct MDB_cursor *lmdb; /* private */
    enum table table;
    struct bytes key;
    struct bytes row;
};
/* Opens, and goes to the first row at or after `from` (empty: the first of all). */
MUST_CHECK enum status table_cursor_open(struct table_cursor *cursor, struct txn *txn,
                                         enum table table, struct bytes from);
/* Opens, and goes to the last row before `until` (empty: the last of all). */
MUST_CHECK enum status table_cursor_open_before(struct table_cursor *cursor, struct txn *txn,
                                                enum table table, struct bytes until);
MUST_CHECK enum status table_cursor_seek(struct table_cursor *cursor, struct bytes from);
MUST_CHECK enum status table_cursor_seek_before(struct table_cursor *cursor, struct bytes until);
MUST_CHECK enum status table_cursor_next(struct table_cursor *cursor);
MUST_CHECK enum status table_cursor_previous(struct table_cursor *cursor);
/* Remove the row at the cursor; table_cursor_next then goes to the one after it. */
MUST_CHECK enum status table_cursor_delete(struct table_cursor *cursor);
/* Zero value and repeated closing allowed. */
void table_cursor_close(struct table_cursor *cursor);

/* Does a key begin with this? For ranges. */
bool key_has_prefix(struct bytes key, struct bytes prefix);

/* Note a fault found by a caller (a row that does not decode, no memory); answers `status`.
 * Outcomes pass through and do not stick. */
enum status txn_fault(struct txn *txn, enum status status);
/* For functions that answer a number and no status: the number was made up, for this reason. A
 * fault sticks; damage is told by txn_status in a reader too, which otherwise goes on. */
void txn_doubt(struct txn *txn, enum status status);
/* A copy of the view that lives until the transaction ends; the view itself in a reader. Empty: no
 * memory, which sticks. */
struct bytes txn_keep(struct txn *txn, struct bytes view);
bool txn_is_write(const struct txn *txn);
/* Are all pages of the reader's snapshot what they should be? Reads the file past LMDB, which would
 * follow a damaged page anywhere. STATUS_CORRUPT: `err` says which page. STATUS_MISMATCH: the
 * snapshot is no longer among the last two commits; begin again with a new reader. */
MUST_CHECK enum status txn_check_pages(struct txn *txn, struct err *err);

/* The next number of a kind that is never reused, from 1, kept in `meta` ("next_endpoint"). 0: a
 * fault stuck. */
uint32_t txn_next_number(struct txn *txn, const char *meta_name);

/* Counters of many, beside the fixed ones of store.h (which are COUNTERS_STORE). Changes are
 * gathered and written at commit. */
enum counter_group {
    COUNTERS_STORE = 0,            /* by enum counter */
    COUNTERS_RECORDS = 1,          /* by record type: records, live and deleted */
    COUNTERS_ENDPOINT_PENDING = 2, /* by endpoint number */
    COUNTERS_KEY_ACCEPTED = 3,     /* by API key number: see api_key_count */
    COUNTERS_KEY_REFUSED = 4,      /* the same */
};
uint64_t counter_group_get(struct txn *txn, enum counter_group group, uint32_t index);
void counter_group_add(struct txn *txn, enum counter_group group, uint32_t index, int64_t delta);

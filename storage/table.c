/*
 * table: LMDB behind sticky statuses.
 *
 * A write transaction keeps one cursor a table for its gets, puts and deletes: consecutive keys
 * then cost no descent from the root, and appends go straight to the last page. Iterating callers
 * have cursors of their own (struct table_cursor).
 *
 * Rows are put together in a buffer of the transaction and copied into the page from there, rather
 * than reserved and filled in place: a part may be a view into the very page that the insertion
 * shifts.
 */
#include "storage/txn.h"

#include "base/must.h"
#include "storage/fault.h"

#include <errno.h>

enum status status_of_lmdb(int code)
{
    switch (code) {
    case 0:
        return STATUS_OK;
    case MDB_NOTFOUND:
        return STATUS_NOT_FOUND;
    case MDB_KEYEXIST:
        return STATUS_EXISTS;
    case MDB_MAP_FULL:
        return STATUS_MAP_FULL;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STATUS_NO_SPACE;
    case ENOMEM:
    case MDB_TXN_FULL: /* LMDB's list of dirty pages is full: the transaction is too large */
        return STATUS_NO_MEMORY;
    case MDB_PAGE_NOTFOUND:
    case MDB_CORRUPTED:
    case MDB_INVALID:
    case MDB_CURSOR_FULL:
    case MDB_PAGE_FULL:
    case MDB_INCOMPATIBLE:
        return STATUS_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return STATUS_VERSION;
    case MDB_READERS_FULL:
        return STATUS_BUSY;
    default: /* the system's, MDB_PANIC, MDB_BAD_TXN */
        return STATUS_IO;
    }
}

int commit_lmdb(MDB_txn *txn)
{
    errno = 0;
    int rc = mdb_txn_commit(txn);
    return rc == EIO && errno != EIO ? ENOSPC : rc;
}

bool key_has_prefix(struct bytes key, struct bytes prefix)
{
    return key.len >= prefix.len && memcmp(key.data, prefix.data, prefix.len) == 0;
}

static inline MDB_val val_of(struct bytes view)
{
    return (MDB_val){.mv_size = view.len, .mv_data = (void *)(uintptr_t)view.data};
}

static inline struct bytes bytes_of_val(MDB_val val)
{
    return bytes_of(val.mv_data, val.mv_size);
}

/* Before each operation: what stuck, or a fault on purpose. */
static enum status operation_begin(struct txn *txn)
{
    enum status s;

    if (txn->status != STATUS_OK)
        return txn->status;
    s = fault_here();
    return s == STATUS_OK ? s : txn_fault(txn, s);
}

/* The writer's own cursor of the table; NULL: a fault stuck. */
static MDB_cursor *kept_cursor(struct txn *txn, enum table table)
{
    if (txn->cursors[table] == NULL) {
        int rc = mdb_cursor_open(txn->lmdb, txn->store->dbis[table], &txn->cursors[table]);

        if (rc != 0) {
            txn->cursors[table] = NULL;
            txn_fail(txn, status_of_lmdb(rc));
        }
    }
    return txn->cursors[table];
}

/* Take the check off a stored row, or STATUS_CORRUPT. */
static enum status row_open(struct bytes key, MDB_val stored, struct bytes *ret_row)
{
    struct bytes row = bytes_of_val(stored);

    *ret_row = bytes_of(NULL, 0);
    if (row.len <= ROW_CHECK_BYTES)
        return STATUS_CORRUPT;
    row.len -= ROW_CHECK_BYTES;
    if (get_be32(row.data + row.len) != row_check(key, row))
        return STATUS_CORRUPT;
    *ret_row = row;
    return STATUS_OK;
}

static bool key_fits(struct bytes key)
{
    return key.len > 0 && key.len <= TABLE_KEY_MAX;
}

enum status table_get(struct txn *txn, enum table table, struct bytes key, struct bytes *ret_row)
{
    MDB_val k = val_of(key), stored;
    MDB_cursor *kept = NULL;
    enum status s = operation_begin(txn);
    int rc;

    *ret_row = bytes_of(NULL, 0);
    must(key_fits(key));
    if (s != STATUS_OK)
        return s;
    if (txn->is_write && (kept = kept_cursor(txn, table)) == NULL)
        return txn->status;
    if (kept != NULL)
        rc = mdb_cursor_get(kept, &k, &stored, MDB_SET);
    else
        rc = mdb_get(txn->lmdb, txn->store->dbis[table], &k, &stored);
    s = status_of_lmdb(rc);
    if (s == STATUS_OK)
        s = row_open(key, stored, ret_row);
    if (s == STATUS_OK && txn->is_write) {
        *ret_row = txn_keep(txn, *ret_row);
        s = txn->status;
    }
    return txn_fault(txn, s);
}

/* ---- putting ---- */

static enum status row_build(struct txn *txn, struct bytes key, const struct bytes *parts,
                             size_t count)
{
    buf_clear(&txn->row);
    for (size_t i = 0; i < count; i++)
        buf_put_bytes(&txn->row, parts[i]);
    buf_put_u32(&txn->row, row_check(key, buf_bytes(&txn->row)));
    return txn->row.status == STATUS_OK ? STATUS_OK : STATUS_NO_MEMORY;
}

static int cursor_put(MDB_cursor *cursor, struct bytes key, struct bytes row, unsigned flags)
{
    MDB_val k = val_of(key), v = val_of(row);

    return mdb_cursor_put(cursor, &k, &v, flags);
}

static void put_parts(struct txn *txn, enum table table, struct bytes key,
                      const struct bytes *parts, size_t count, unsigned flags)
{
    uint8_t key_copy[TABLE_KEY_MAX]; /* the key too may be a view into the page */
    MDB_cursor *cursor;
    int rc;

    must(txn->is_write && key_fits(key));
    if (operation_begin(txn) != STATUS_OK)
        return;
    memcpy(key_copy, key.data, key.len);
    key.data = key_copy;
    if (txn_fault(txn, row_build(txn, key, parts, count)) != STATUS_OK ||
        (cursor = kept_cursor(txn, table)) == NULL)
        return;
    txn->bytes += txn->row.len;
    rc = cursor_put(cursor, key, buf_bytes(&txn->row), flags);
    if (rc == MDB_KEYEXIST && flags == MDB_APPEND) /* not the last key after all */
        rc = cursor_put(cursor, key, buf_bytes(&txn->row), 0);
    if (rc != 0)
        txn_fail(txn, status_of_lmdb(rc));
}

void table_put(struct txn *txn, enum table table, struct bytes key, struct bytes row)
{
    put_parts(txn, table, key, &row, 1, 0);
}

void table_put_parts(struct txn *txn, enum table table, struct bytes key, const struct bytes *parts,
                     size_t count)
{
    put_parts(txn, table, key, parts, count, 0);
}

void table_append_parts(struct txn *txn, enum table table, struct bytes key,
                        const struct bytes *parts, size_t count)
{
    put_parts(txn, table, key, parts, count, MDB_APPEND);
}

void table_put_buf(struct txn *txn, enum table table, struct bytes key, const struct buf *row)
{
    if (row->status != STATUS_OK) {
        txn_fail(txn, STATUS_NO_MEMORY);
        return;
    }
    table_put(txn, table, key, buf_bytes(row));
}

enum status table_delete(struct txn *txn, enum table table, struct bytes key)
{
    MDB_val k = val_of(key);
    MDB_cursor *cursor;
    enum status s = operation_begin(txn);
    int rc;

    must(txn->is_write && key_fits(key));
    if (s != STATUS_OK)
        return s;
    if ((cursor = kept_cursor(txn, table)) == NULL)
        return txn->status;
    rc = mdb_cursor_get(cursor, &k, NULL, MDB_SET);
    if (rc == 0)
        rc = mdb_cursor_del(cursor, 0);
    return txn_fault(txn, status_of_lmdb(rc));
}

uint64_t table_rows(struct txn *txn, enum table table)
{
    MDB_stat stat;
    int rc;

    if (operation_begin(txn) != STATUS_OK)
        return 0;
    rc = mdb_stat(txn->lmdb, txn->store->dbis[table], &stat);
    if (rc != 0)
        txn_fail(txn, status_of_lmdb(rc));
    return rc == 0 ? stat.ms_entries : 0;
}

/* ---- cursors ---- */

static enum status cursor_show(struct table_cursor *cursor, int rc, MDB_val key, MDB_val row)
{
    cursor->key = cursor->row = bytes_of(NULL, 0);
    if (rc == MDB_NOTFOUND)
        return STATUS_END;
    if (rc != 0)
        return txn_fault(cursor->txn, status_of_lmdb(rc));
    cursor->key = bytes_of_val(key);
    return txn_fault(cursor->txn, row_open(cursor->key, row, &cursor->row));
}

static enum status cursor_move(struct table_cursor *cursor, MDB_cursor_op op)
{
    MDB_val key = {0}, row = {0};
    enum status s = operation_begin(cursor->txn);
    int rc;

    if (s != STATUS_OK)
        return s;
    rc = mdb_cursor_get(cursor->lmdb, &key, &row, op);
    return cursor_show(cursor, rc, key, row);
}

static enum status cursor_attach(struct table_cursor *cursor, struct txn *txn, enum table table)
{
    enum status s = operation_begin(txn);

    *cursor = (struct table_cursor){.txn = txn, .table = table};
    if (s != STATUS_OK)
        return s;
    return txn_fault(
        txn, status_of_lmdb(mdb_cursor_open(txn->lmdb, txn->store->dbis[table], &cursor->lmdb)));
}

enum status table_cursor_open(struct table_cursor *cursor, struct txn *txn, enum table table,
                              struct bytes from)
{
    enum status s = cursor_attach(cursor, txn, table);

    return s == STATUS_OK ? table_cursor_seek(cursor, from) : s;
}

enum status table_cursor_open_before(struct table_cursor *cursor, struct txn *txn, enum table table,
                                     struct bytes until)
{
    enum status s = cursor_attach(cursor, txn, table);

    return s == STATUS_OK ? table_cursor_seek_before(cursor, until) : s;
}

enum status table_cursor_seek(struct table_cursor *cursor, struct bytes from)
{
    MDB_val key = val_of(from), row = {0};
    enum status s = operation_begin(cursor->txn);
    int rc;

    if (s != STATUS_OK)
        return s;
    if (from.len == 0)
        return cursor_move(cursor, MDB_FIRST);
    rc = mdb_cursor_get(cursor->lmdb, &key, &row, MDB_SET_RANGE);
    return cursor_show(cursor, rc, key, row);
}

enum status table_cursor_seek_before(struct table_cursor *cursor, struct bytes until)
{
    MDB_val key = val_of(until), row = {0};
    enum status s = operation_begin(cursor->txn);
    int rc;

    if (s != STATUS_OK)
        return s;
    if (until.len == 0)
        return cursor_move(cursor, MDB_LAST);
    rc = mdb_cursor_get(cursor->lmdb, &key, &row, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return cursor_move(cursor, MDB_LAST);
    if (rc != 0)
        return cursor_show(cursor, rc, key, row);
    return cursor_move(cursor, MDB_PREV);
}

enum status table_cursor_next(struct table_cursor *cursor)
{
    return cursor_move(cursor, MDB_NEXT);
}

enum status table_cursor_previous(struct table_cursor *cursor)
{
    return cursor_move(cursor, MDB_PREV);
}

enum status table_cursor_delete(struct table_cursor *cursor)
{
    enum status s = operation_begin(cursor->txn);

    cursor->key = cursor->row = bytes_of(NULL, 0);
    if (s != STATUS_OK)
        return s;
    return txn_fault(cursor->txn, status_of_lmdb(mdb_cursor_del(cursor->lmdb, 0)));
}

void table_cursor_close(struct table_cursor *cursor)
{
    if (cursor->lmdb != NULL)
        mdb_cursor_close(cursor->lmdb);
    *cursor = (struct table_cursor){0};
}

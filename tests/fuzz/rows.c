/*
 * Fuzz target: rows that are wrong under a right check, as only a fault of our own could write
 * them, several at once. The input is a list of edits to the rows of a small whole store: which row
 * (u8), what is done (u8), and what that takes:
 *
 *   0 a byte of the fields changes         place u8, bits u8
 *   1 a byte of the key changes            place u8, bits u8
 *   2 the row gets other fields            length u8, bytes
 *   3 the row gets the fields of another   which u8
 *   4 the fields end early                 bytes left out u8
 *   5 the fields go on                     length u8, bytes
 *   6 the row is gone
 *   7 a byte changes, its check does not   place u8, bits u8
 *
 * What must hold: every reader, every writer and the check come to an end, with an answer or with
 * "damaged".
 */
#include "tests/unit/storage/stored_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct stored_rows rows;

static void ignore_problem(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void end(void)
{
    void *t = rows.t;

    (void)temporary_store_teardown(&t); /* a folder that stays harms nobody */
}

static void begin_once(void)
{
    void *t;

    if (rows.count != 0)
        return;
    must(temporary_store_setup(&t) == 0 && atexit(end) == 0);
    stored_rows_make(&rows, t);
}

static void flip(struct cursor *in, uint8_t *bytes, size_t len)
{
    size_t place = cursor_u8(in);
    uint8_t bits = cursor_u8(in);

    bytes[place % len] ^= bits;
}

/* What the edit says in place of the row; false: nothing. */
static bool edit_row(struct cursor *in, uint8_t what, struct stored_row *row, size_t *ret_len)
{
    size_t len = row->len - ROW_CHECK_BYTES, room = sizeof row->value - ROW_CHECK_BYTES;
    struct bytes more = {0};

    switch (what) {
    case 0:
        flip(in, row->value, len);
        break;
    case 1:
        flip(in, row->key, row->key_len);
        break;
    case 2:
        len = 0; /* and as the next */
        __attribute__((fallthrough));
    case 5:
        more = cursor_take(in, cursor_u8(in));
        break;
    case 3: {
        const struct stored_row *other = &rows.all[cursor_u8(in) % rows.count];
        len = 0;
        more = bytes_of(other->value, other->len - ROW_CHECK_BYTES);
        break;
    }
    default:
        len -= cursor_u8(in) % (len + 1);
        break;
    }
    if (in->is_bad || more.len > room - len)
        return false;
    if (more.len > 0)
        memcpy(row->value + len, more.data, more.len);
    *ret_len = len + more.len;
    return true;
}

static void edit_one(struct txn *txn, struct cursor *in)
{
    const struct stored_row *row = &rows.all[cursor_u8(in) % rows.count];
    uint8_t what = cursor_u8(in) % 8;
    struct stored_row bad = *row;
    MDB_val key = stored_val(stored_key(row));
    size_t len;

    if (what == 6) {
        (void)mdb_del(txn->lmdb, txn->store->dbis[row->table], &key, NULL); /* if it is there */
        return;
    }
    if (what == 7) {
        flip(in, bad.value, bad.len);
        (void)stored_row_put(txn, row, stored_key(row), stored_value(&bad));
        return;
    }
    if (edit_row(in, what, &bad, &len))
        (void)stored_row_put(txn, row, stored_key(&bad),
                             stored_check_put(stored_key(&bad), bad.value, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cursor in = cursor_of(bytes_of(data, len));
    struct check_report report;
    struct txn *txn;

    begin_once();
    txn = stored_begin(rows.t);
    while (!in.is_bad && cursor_left(&in) >= 2)
        edit_one(txn, &in);
    stored_commit(txn);
    (void)stored_rows_read(&rows);
    must(store_check(rows.t->store, ignore_problem, NULL, NULL, &report) == STATUS_OK);
    (void)stored_rows_change(&rows, true);
    (void)stored_rows_read(&rows);
    must(store_check(rows.t->store, ignore_problem, NULL, NULL, &report) == STATUS_OK);
    stored_rows_put_back(&rows);
    return 0;
}

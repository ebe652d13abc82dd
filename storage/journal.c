/*
 * journal: two tables of the same shape: rows by id, so by age; a bound on rows that pushes the
 * oldest out; read from the newest.
 *
 * Texts come from strangers (a route is what somebody asked for): they are cut where they are
 * stored, at the start of a UTF-8 sequence, and escaping is the matter of whoever shows them.
 */
#include "storage/journal.h"

#include "base/cleanup.h"
#include "storage/table.h"

#define REJECTION_VERSION 1
#define AUDIT_VERSION 1
#define METHOD_MAX 16
#define ROUTE_MAX 256
#define REASON_MAX 512
#define AUDIT_TEXT_MAX 256
#define AUDIT_DETAIL_MAX 4096
/* A bound that was lowered is reached step by step: no single row pays for thousands. */
#define PUSHED_OUT_MAX 2

static void put_cut(struct buf *row, struct bytes text, size_t max)
{
    size_t len = text.len;

    if (len > max) {
        len = max;
        while (len > 0 && (text.data[len] & 0xc0) == 0x80) /* within a sequence */
            len--;
    }
    buf_put_sized(row, bytes_of(text.data, len));
}

/* ---- what both have in common ---- */

/* Room for one more. Only as many rows go as the bound asks for. */
static void push_out(struct txn *txn, enum table table, uint64_t rows_max)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint64_t rows = table_rows(txn, table);
    enum status s;

    if (rows < rows_max)
        return;
    s = table_cursor_open(&c, txn, table, (struct bytes){0});
    for (unsigned i = 0; s == STATUS_OK && i < PUSHED_OUT_MAX && rows >= rows_max; i++, rows--) {
        s = table_cursor_delete(&c);
        if (s == STATUS_OK)
            s = table_cursor_next(&c);
    }
}

static void append(struct txn *txn, enum table table, const struct uuid *id, struct buf *row)
{
    struct bytes bytes = buf_bytes(row);

    if (row->status != STATUS_OK)
        txn_fail(txn, STATUS_NO_MEMORY);
    else
        table_append_parts(txn, table, bytes_of(id->bytes, UUID_BYTES), &bytes, 1);
}

/* The row before `inout_before`, not older than `since_ms`. */
static enum status page_next(struct txn *txn, enum table table, int64_t since_ms,
                             struct uuid *inout_before, struct bytes *ret_row)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct uuid since = uuid_first_at(since_ms > 0 ? since_ms : 0);
    struct bytes until =
        uuid_is_zero(inout_before) ? bytes_of(NULL, 0) : bytes_of(inout_before->bytes, UUID_BYTES);
    enum status s = table_cursor_open_before(&c, txn, table, until);

    if (s != STATUS_OK && s != STATUS_CORRUPT)
        return s;
    if (c.key.len != UUID_BYTES)
        return txn_fault(txn, STATUS_CORRUPT);
    if (since_ms > 0 && memcmp(c.key.data, since.bytes, UUID_BYTES) < 0)
        return STATUS_END;
    /* The place moves on before the row is read: a damaged one is met once. */
    memcpy(inout_before->bytes, c.key.data, UUID_BYTES);
    *ret_row = txn_keep(txn, c.row);
    return s == STATUS_OK ? txn_status(txn) : s;
}

/* ---- rejections ---- */

void rejection_add_within(struct txn *txn, struct rejection *rejection, uint64_t rows_max)
{
    CLEANUP(buf_fini) struct buf row = {0};

    push_out(txn, TABLE_REJECTIONS, rows_max);
    rejection->id = txn_uuid(txn);
    buf_put_u8(&row, REJECTION_VERSION);
    buf_put_u64(&row, (uint64_t)rejection->at_ms);
    buf_put_u32(&row, rejection->api_key);
    buf_put_u16(&row, rejection->http_status);
    buf_put(&row, rejection->address.bytes, sizeof rejection->address.bytes);
    put_cut(&row, rejection->method, METHOD_MAX);
    put_cut(&row, rejection->route, ROUTE_MAX);
    put_cut(&row, rejection->reason, REASON_MAX);
    append(txn, TABLE_REJECTIONS, &rejection->id, &row);
    counter_add(txn, COUNTER_REJECTIONS, 1);
}

void rejection_add(struct txn *txn, struct rejection *rejection)
{
    rejection_add_within(txn, rejection, REJECTIONS_ROWS_MAX);
}

enum status rejection_decode(struct bytes key, struct bytes row, struct rejection *ret_rejection)
{
    struct rejection r = {0};
    struct bytes address;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, REJECTION_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != UUID_BYTES)
        return STATUS_CORRUPT;
    memcpy(r.id.bytes, key.data, UUID_BYTES);
    r.at_ms = (int64_t)cursor_u64(&c);
    r.api_key = cursor_u32(&c);
    r.http_status = cursor_u16(&c);
    address = cursor_take(&c, sizeof r.address.bytes);
    r.method = cursor_sized(&c);
    r.route = cursor_sized(&c);
    r.reason = cursor_sized(&c);
    if (cursor_finish(&c) != STATUS_OK)
        return STATUS_CORRUPT;
    memcpy(r.address.bytes, address.data, address.len);
    *ret_rejection = r;
    return STATUS_OK;
}

enum status rejection_page_next(struct txn *txn, int64_t since_ms, struct uuid *inout_before,
                                struct rejection *ret_rejection)
{
    struct bytes row;
    enum status s = page_next(txn, TABLE_REJECTIONS, since_ms, inout_before, &row);

    if (s != STATUS_OK)
        return s;
    return txn_fault(
        txn, rejection_decode(bytes_of(inout_before->bytes, UUID_BYTES), row, ret_rejection));
}

bool rejections_prune(struct txn *txn, uint32_t rows_max)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    int64_t before_ms = txn_now_ms(txn) - REJECTIONS_KEEP_MS;
    struct uuid before = uuid_first_at(before_ms > 0 ? before_ms : 0);
    enum status s = table_cursor_open(&c, txn, TABLE_REJECTIONS, (struct bytes){0});

    while (s == STATUS_OK && bytes_compare(c.key, bytes_of(before.bytes, UUID_BYTES)) < 0) {
        if (rows_max-- == 0)
            return true;
        s = table_cursor_delete(&c);
        if (s == STATUS_OK)
            s = table_cursor_next(&c);
    }
    return false;
}

/* ---- audit ---- */

void audit_add_within(struct txn *txn, struct audit_entry *entry, uint64_t rows_max)
{
    CLEANUP(buf_fini) struct buf row = {0};

    push_out(txn, TABLE_AUDIT, rows_max);
    entry->id = txn_uuid(txn);
    buf_put_u8(&row, AUDIT_VERSION);
    buf_put_u64(&row, (uint64_t)entry->at_ms);
    put_cut(&row, entry->who, AUDIT_TEXT_MAX);
    put_cut(&row, entry->origin, AUDIT_TEXT_MAX);
    put_cut(&row, entry->act, AUDIT_TEXT_MAX);
    put_cut(&row, entry->object, AUDIT_TEXT_MAX);
    put_cut(&row, entry->detail, AUDIT_DETAIL_MAX);
    append(txn, TABLE_AUDIT, &entry->id, &row);
}

void audit_add(struct txn *txn, struct audit_entry *entry)
{
    audit_add_within(txn, entry, AUDIT_ROWS_MAX);
}

enum status audit_decode(struct bytes key, struct bytes row, struct audit_entry *ret_entry)
{
    struct audit_entry e = {0};
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, AUDIT_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != UUID_BYTES)
        return STATUS_CORRUPT;
    memcpy(e.id.bytes, key.data, UUID_BYTES);
    e.at_ms = (int64_t)cursor_u64(&c);
    e.who = cursor_sized(&c);
    e.origin = cursor_sized(&c);
    e.act = cursor_sized(&c);
    e.object = cursor_sized(&c);
    e.detail = cursor_sized(&c);
    if (cursor_finish(&c) != STATUS_OK)
        return STATUS_CORRUPT;
    *ret_entry = e;
    return STATUS_OK;
}

enum status audit_page_next(struct txn *txn, int64_t since_ms, struct uuid *inout_before,
                            struct audit_entry *ret_entry)
{
    struct bytes row;
    enum status s = page_next(txn, TABLE_AUDIT, since_ms, inout_before, &row);

    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, audit_decode(bytes_of(inout_before->bytes, UUID_BYTES), row, ret_entry));
}

/*
 * usage: when each API key's requests of the last hour came: (key number, time) -> count. Requests
 * of one millisecond share a row; a transaction gathers them, and writes them at its commit.
 *
 * Pruning skips from key to key: each key's old rows lie at the front of its range.
 */
#include "base/cleanup.h"
#include "base/must.h"
#include "storage/api_keys.h"
#include "storage/txn.h"

#define USAGE_VERSION 1
#define USAGE_KEY_BYTES 12

static struct bytes usage_key(uint32_t number, int64_t at_ms, uint8_t out[USAGE_KEY_BYTES])
{
    put_be32(out, number);
    put_be64(out + 4, at_ms > 0 ? (uint64_t)at_ms : 0);
    return bytes_of(out, USAGE_KEY_BYTES);
}

static enum status usage_decode(struct bytes key, struct bytes row, uint32_t *ret_number,
                                int64_t *ret_at_ms, uint32_t *ret_count)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, USAGE_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != USAGE_KEY_BYTES)
        return STATUS_CORRUPT;
    *ret_number = get_be32(key.data);
    *ret_at_ms = (int64_t)get_be64(key.data + 4);
    *ret_count = cursor_u32(&c);
    return cursor_finish(&c);
}

static void usage_write(struct txn *txn, uint32_t key_number, int64_t at_ms, uint32_t count)
{
    uint8_t key_bytes[USAGE_KEY_BYTES], row[5] = {USAGE_VERSION};
    struct bytes key = usage_key(key_number, at_ms, key_bytes), stored;
    uint32_t number, before = 0;
    int64_t time_ms;
    enum status s = table_get(txn, TABLE_USAGE, key, &stored);

    if (s == STATUS_OK)
        s = txn_fault(txn, usage_decode(key, stored, &number, &time_ms, &before));
    if (s != STATUS_OK && s != STATUS_NOT_FOUND)
        return;
    put_be32(row + 1, before > UINT32_MAX - count ? UINT32_MAX : before + count);
    table_put(txn, TABLE_USAGE, key, bytes_of(row, sizeof(row)));
}

void txn_write_usage(struct txn *txn)
{
    for (unsigned i = 0; i < txn->usage_count; i++)
        usage_write(txn, txn->usages[i].key_number, txn->usages[i].at_ms, txn->usages[i].count);
    txn->usage_count = 0;
}

void usage_add(struct txn *txn, uint32_t key_number, int64_t at_ms, uint32_t count)
{
    must(txn->is_write);
    for (unsigned i = 0; i < txn->usage_count; i++) {
        struct usage_delta *d = &txn->usages[i];

        if (d->key_number == key_number && d->at_ms == at_ms && d->count <= UINT32_MAX - count) {
            d->count += count;
            return;
        }
    }
    if (txn->usage_count == USAGE_DELTAS_MAX)
        txn_write_usage(txn);
    txn->usages[txn->usage_count++] = (struct usage_delta){key_number, count, at_ms};
}

enum status usage_each(struct txn *txn, uint32_t key_number, int64_t since_ms,
                       void (*each)(void *context, int64_t at_ms, uint32_t count), void *context)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t from[USAGE_KEY_BYTES];
    enum status s;

    for (s = table_cursor_open(&c, txn, TABLE_USAGE, usage_key(key_number, since_ms + 1, from));
         s == STATUS_OK; s = table_cursor_next(&c)) {
        uint32_t number, count;
        int64_t at_ms;

        s = txn_fault(txn, usage_decode(c.key, c.row, &number, &at_ms, &count));
        if (s != STATUS_OK)
            return s;
        if (number != key_number)
            return STATUS_OK;
        each(context, at_ms, count);
    }
    return s == STATUS_END ? STATUS_OK : s;
}

/* One row: drop it, or go on to the next key. STATUS_END: all done. */
static enum status prune_one(struct table_cursor *c, int64_t before_ms)
{
    uint8_t next[USAGE_KEY_BYTES];
    uint32_t number;
    enum status s;

    if (c->key.len != USAGE_KEY_BYTES)
        return txn_fault(c->txn, STATUS_CORRUPT);
    number = get_be32(c->key.data);
    if ((int64_t)get_be64(c->key.data + 4) < before_ms) {
        s = table_cursor_delete(c);
        return s == STATUS_OK ? table_cursor_next(c) : s;
    }
    if (number == UINT32_MAX)
        return STATUS_END;
    return table_cursor_seek(c, usage_key(number + 1, 0, next));
}

bool usage_prune(struct txn *txn, int64_t before_ms, uint32_t rows_max)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s = table_cursor_open(&c, txn, TABLE_USAGE, bytes_of(NULL, 0));

    for (uint32_t i = 0; s == STATUS_OK && i < rows_max; i++)
        s = prune_one(&c, before_ms);
    return s == STATUS_OK;
}

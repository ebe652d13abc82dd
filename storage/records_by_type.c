/*
 * records of a type, newest first or oldest first: `records_by_type` says in which blocks of 64 ms
 * the type has any; within a block the walk goes through `revisions`, which has all types' records
 * in the order of their ids, and passes over those of the others.
 *
 * So a new record seldom changes the index: a page less to write for most commits. The price is
 * paid by a listing where many types' records come together: it passes over what came in the same
 * 64 ms.
 *
 * A record's revisions are neighbours, the current one last. Walking back, the row before a
 * record's revision 1 is the current one of the record before; a long history is passed by a seek.
 */
#include "storage/records_private.h"

#include "base/cleanup.h"
#include "storage/txn.h"

#include <stdlib.h>

#define INDEX_VERSION 2
#define BLOCK_SHIFT 6 /* of a time in milliseconds */

uint64_t record_block(const struct uuid *record)
{
    return (uint64_t)uuid_time_ms(record) >> BLOCK_SHIFT;
}

struct bytes block_key(uint16_t type, uint64_t block, uint8_t out[BLOCK_KEY_BYTES])
{
    put_be16(out, type);
    put_be64(out + 2, block);
    return bytes_of(out, BLOCK_KEY_BYTES);
}

int64_t block_first_ms(uint64_t block)
{
    return (int64_t)(block << BLOCK_SHIFT);
}

/* The key says all. */
enum status block_decode(struct bytes row)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, INDEX_VERSION, &version, &c);

    if (s == STATUS_OK && version != INDEX_VERSION)
        return STATUS_CORRUPT;
    return s == STATUS_OK ? cursor_finish(&c) : s;
}

static struct uuid block_first(uint64_t block)
{
    return uuid_first_at(block_first_ms(block));
}

/* ---- noting ---- */

/* A transaction remembers the last few, so that a group of records looks once for each. */
static bool is_noted(const struct txn *txn, uint16_t type, uint64_t block)
{
    for (unsigned i = 0; i < NOTED_BLOCKS_MAX; i++)
        if (txn->noted[i].block == block && txn->noted[i].type == type)
            return true;
    return false;
}

void record_note_block(struct txn *txn, uint16_t type, const struct uuid *record)
{
    static const uint8_t version = INDEX_VERSION;
    uint64_t block = record_block(record);
    uint8_t key_bytes[BLOCK_KEY_BYTES];
    struct bytes key = block_key(type, block, key_bytes), row;

    if (is_noted(txn, type, block))
        return;
    if (table_get(txn, TABLE_RECORDS_BY_TYPE, key, &row) == STATUS_NOT_FOUND)
        table_put(txn, TABLE_RECORDS_BY_TYPE, key, bytes_of(&version, 1));
    txn->noted[txn->noted_next++ % NOTED_BLOCKS_MAX] = (struct noted_block){block, type};
}

/* ---- newest first ---- */

struct page_iterator {
    struct table_cursor index;
    struct table_cursor revisions; /* on the row looked at last */
    bool has_begun;
    bool is_in_block;
    uint64_t block;
};

/* Where the page begins: before `before`, and before `until_ms`. */
static struct uuid page_bound(const struct record_page *page)
{
    struct uuid bound;

    memset(bound.bytes, 0xff, UUID_BYTES);
    if (page->until_ms > 0)
        bound = uuid_first_at(page->until_ms);
    if (!uuid_is_zero(&page->before) && uuid_compare(&page->before, &bound) < 0)
        bound = page->before;
    return bound;
}

static enum status block_before(struct txn *txn, struct record_page *page, struct page_iterator *it)
{
    struct uuid bound = page_bound(page);
    uint8_t key[BLOCK_KEY_BYTES];
    enum status s;

    if (it->has_begun)
        s = table_cursor_previous(&it->index);
    else
        s = table_cursor_open_before(&it->index, txn, TABLE_RECORDS_BY_TYPE,
                                     block_key(page->type, record_block(&bound) + 1, key));
    it->has_begun = true;
    if (s != STATUS_OK)
        return txn_fault(txn, s);
    if (it->index.key.len != BLOCK_KEY_BYTES)
        return txn_fault(txn, STATUS_CORRUPT);
    if (get_be16(it->index.key.data) != page->type)
        return STATUS_END;
    it->block = get_be64(it->index.key.data + 2);
    return STATUS_OK;
}

static enum status seek_before(struct txn *txn, struct page_iterator *it, const struct uuid *record)
{
    uint8_t bytes[REVISION_KEY_BYTES];
    struct bytes key = revision_key(record, 0, bytes);

    if (it->revisions.lmdb == NULL)
        return table_cursor_open_before(&it->revisions, txn, TABLE_REVISIONS, key);
    return table_cursor_seek_before(&it->revisions, key);
}

/* To the current revision of the record before the one looked at last, whatever its type. */
static enum status step_back(struct txn *txn, struct page_iterator *it)
{
    struct uuid record;

    memcpy(record.bytes, it->revisions.key.data, UUID_BYTES);
    if (get_be32(it->revisions.key.data + UUID_BYTES) > 1)
        return seek_before(txn, it, &record);
    return table_cursor_previous(&it->revisions);
}

/* To the next record of the block, or of an earlier block. */
static enum status page_move(struct txn *txn, struct record_page *page, struct page_iterator *it)
{
    for (;;) {
        struct uuid bound = page_bound(page), end, record;
        enum status s;

        if (it->is_in_block) {
            s = step_back(txn, it);
        } else {
            s = block_before(txn, page, it);
            if (s != STATUS_OK)
                return s;
            it->is_in_block = true;
            end = block_first(it->block + 1);
            s = seek_before(txn, it, uuid_compare(&end, &bound) < 0 ? &end : &bound);
        }
        if (s == STATUS_CORRUPT || (s == STATUS_OK && it->revisions.key.len != REVISION_KEY_BYTES))
            return txn_fault(txn, STATUS_CORRUPT);
        if (s != STATUS_OK && s != STATUS_END)
            return s;
        if (s == STATUS_OK) {
            memcpy(record.bytes, it->revisions.key.data, UUID_BYTES);
            if (record_block(&record) >= it->block)
                return STATUS_OK;
        }
        it->is_in_block = false;
    }
}

static enum status page_try(struct txn *txn, struct record_page *page, struct page_iterator *it,
                            struct revision *ret_revision)
{
    struct uuid since = uuid_first_at(page->since_ms);
    enum status s = page_move(txn, page, it);

    if (s == STATUS_OK)
        s = txn_fault(txn, revision_decode(it->revisions.key, it->revisions.row, ret_revision));
    if (s != STATUS_OK)
        return s;
    if (page->since_ms > 0 && uuid_compare(&ret_revision->record, &since) < 0)
        return STATUS_END;
    page->before = ret_revision->record;
    return STATUS_OK;
}

enum status record_page_next(struct txn *txn, struct record_page *page,
                             struct revision *ret_revision)
{
    struct page_iterator *it = page->iterator;

    if (it == NULL)
        it = page->iterator = calloc(1, sizeof(*it));
    if (it == NULL)
        return txn_fault(txn, STATUS_NO_MEMORY);
    for (;;) {
        enum status s = page_try(txn, page, it, ret_revision);

        if (s != STATUS_OK)
            return s;
        if (ret_revision->type == page->type && (page->has_deleted || record_is_live(ret_revision)))
            return STATUS_OK;
        if (page->skip_max > 0 && ++page->skipped > page->skip_max) {
            page->skipped = 0;
            return STATUS_LIMIT;
        }
    }
}

void record_page_end(struct record_page *page)
{
    struct page_iterator *it = page->iterator;

    page->iterator = NULL;
    if (it == NULL)
        return;
    table_cursor_close(&it->index);
    table_cursor_close(&it->revisions);
    free(it);
}

/* ---- oldest first ---- */

/* The block's oldest record of the type after `after`. STATUS_NOT_FOUND: it has none. */
static enum status first_in_block(struct txn *txn, uint16_t type, uint64_t block,
                                  const struct uuid *after, struct uuid *ret_record)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct uuid first = block_first(block);
    uint8_t key[REVISION_KEY_BYTES];
    struct revision revision;
    enum status s;

    for (s = table_cursor_open(&c, txn, TABLE_REVISIONS,
                               uuid_compare(after, &first) < 0
                                   ? revision_key(&first, 0, key)
                                   : revision_key(after, UINT32_MAX, key));
         s == STATUS_OK;
         s = table_cursor_seek(&c, revision_key(&revision.record, UINT32_MAX, key))) {
        s = txn_fault(txn, revision_decode(c.key, c.row, &revision));
        if (s != STATUS_OK)
            return s;
        if (record_block(&revision.record) != block)
            return STATUS_NOT_FOUND;
        if (revision.type == type) {
            *ret_record = revision.record;
            return STATUS_OK;
        }
    }
    return s == STATUS_END ? STATUS_NOT_FOUND : txn_fault(txn, s);
}

enum status record_next(struct txn *txn, uint16_t type, const struct uuid *after,
                        struct uuid *ret_record)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t key[BLOCK_KEY_BYTES];
    enum status s;

    for (s = table_cursor_open(&c, txn, TABLE_RECORDS_BY_TYPE,
                               block_key(type, record_block(after), key));
         s == STATUS_OK; s = table_cursor_next(&c)) {
        if (c.key.len != BLOCK_KEY_BYTES)
            return txn_fault(txn, STATUS_CORRUPT);
        if (get_be16(c.key.data) != type)
            return STATUS_END;
        s = first_in_block(txn, type, get_be64(c.key.data + 2), after, ret_record);
        if (s != STATUS_NOT_FOUND)
            return s;
    }
    return txn_fault(txn, s);
}

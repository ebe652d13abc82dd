/*
 * records: a revision is one row under (record, number); record ids and numbers grow, so new
 * records append at the end of the table and a record's revisions are neighbours. The current
 * revision is the last row of its record: one seek.
 */
#include "storage/records_private.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/must.h"

#include <stdlib.h>

#define REVISIONS_VERSION 1
#define INDEX_VERSION 1
#define REVISION_HEAD_BYTES 31 /* up to the length of the record key */
#define REVISION_ERASED 0x01
/* A longer record key is found by its beginning and its hash; no plain one has that length. */
#define PLAIN_KEY_MAX 400
#define LONG_KEY_BYTES (PLAIN_KEY_MAX + SHA256_BYTES)

struct bytes revision_key(const struct uuid *record, uint32_t number,
                          uint8_t out[REVISION_KEY_BYTES])
{
    memcpy(out, record->bytes, UUID_BYTES);
    put_be32(out + UUID_BYTES, number);
    return bytes_of(out, REVISION_KEY_BYTES);
}

static struct bytes record_key_key(uint16_t type, struct bytes key, uint8_t out[2 + LONG_KEY_BYTES])
{
    put_be16(out, type);
    if (key.len <= PLAIN_KEY_MAX) {
        memcpy(out + 2, key.data, key.len);
        return bytes_of(out, 2 + key.len);
    }
    memcpy(out + 2, key.data, PLAIN_KEY_MAX);
    sha256(key, out + 2 + PLAIN_KEY_MAX);
    return bytes_of(out, 2 + LONG_KEY_BYTES);
}

/* ---- rows ---- */

enum status revision_decode(struct bytes key, struct bytes row, struct revision *ret)
{
    struct cursor c;
    uint8_t version, flags;
    enum status s = row_begin(row, REVISIONS_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != REVISION_KEY_BYTES)
        return STATUS_CORRUPT;
    memcpy(ret->record.bytes, key.data, UUID_BYTES);
    ret->number = get_be32(key.data + UUID_BYTES);
    flags = cursor_u8(&c);
    ret->action = (enum record_action)cursor_u8(&c);
    ret->type = cursor_u16(&c);
    ret->received_ms = (int64_t)cursor_u64(&c);
    ret->api_key = cursor_u32(&c);
    ret->first_event = cursor_u64(&c);
    ret->event_count = cursor_u16(&c);
    ret->key = cursor_sized(&c);
    ret->body = cursor_take(&c, cursor_left(&c));
    ret->is_erased = (flags & REVISION_ERASED) != 0;
    if (cursor_finish(&c) != STATUS_OK || (flags & ~REVISION_ERASED) != 0 ||
        ret->action < ACTION_CREATED || ret->action > ACTION_DELETED || ret->number == 0)
        return STATUS_CORRUPT;
    return STATUS_OK;
}

static void revision_encode(const struct revision *revision, uint8_t out[REVISION_HEAD_BYTES])
{
    out[0] = REVISIONS_VERSION;
    out[1] = revision->is_erased ? REVISION_ERASED : 0;
    out[2] = (uint8_t)revision->action;
    put_be16(out + 3, revision->type);
    put_be64(out + 5, (uint64_t)revision->received_ms);
    put_be32(out + 13, revision->api_key);
    put_be64(out + 17, revision->first_event);
    put_be16(out + 25, revision->event_count);
    put_be32(out + 27, (uint32_t)revision->key.len);
}

static void revision_write(struct txn *txn, const struct revision *revision)
{
    uint8_t head[REVISION_HEAD_BYTES] = {0}, key_bytes[REVISION_KEY_BYTES];
    struct bytes parts[] = {bytes_of(head, sizeof(head)), revision->key, revision->body};
    struct bytes key = revision_key(&revision->record, revision->number, key_bytes);

    revision_encode(revision, head);
    if (revision->number == 1 && !revision->is_erased)
        table_append_parts(txn, TABLE_REVISIONS, key, parts, 3);
    else
        table_put_parts(txn, TABLE_REVISIONS, key, parts, 3);
}

/* ---- finding ---- */

enum status record_find_by_key(struct txn *txn, uint16_t type, struct bytes key,
                               struct uuid *ret_record)
{
    uint8_t stored_key[2 + LONG_KEY_BYTES], version;
    struct bytes row, id;
    struct cursor c;
    enum status s;

    if (key.len == 0)
        return STATUS_NOT_FOUND;
    s = table_get(txn, TABLE_RECORD_KEYS, record_key_key(type, key, stored_key), &row);
    if (s == STATUS_OK)
        s = row_begin(row, INDEX_VERSION, &version, &c);
    if (s != STATUS_OK)
        return txn_fault(txn, s);
    id = cursor_take(&c, UUID_BYTES);
    s = cursor_finish(&c);
    if (s == STATUS_OK)
        memcpy(ret_record->bytes, id.data, UUID_BYTES);
    return txn_fault(txn, s);
}

enum status record_current(struct txn *txn, const struct uuid *record,
                           struct revision *ret_revision)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t key[REVISION_KEY_BYTES];
    enum status s =
        table_cursor_open_before(&c, txn, TABLE_REVISIONS, revision_key(record, UINT32_MAX, key));

    if (s == STATUS_END ||
        (s == STATUS_OK && !key_has_prefix(c.key, bytes_of(record->bytes, UUID_BYTES))))
        return STATUS_NOT_FOUND;
    if (s == STATUS_OK)
        s = txn_fault(txn, revision_decode(c.key, c.row, ret_revision));
    if (s != STATUS_OK)
        return s;
    ret_revision->key = txn_keep(txn, ret_revision->key);
    ret_revision->body = txn_keep(txn, ret_revision->body);
    return txn_status(txn);
}

enum status record_revision(struct txn *txn, const struct uuid *record, uint32_t number,
                            struct revision *ret_revision)
{
    uint8_t key[REVISION_KEY_BYTES];
    struct bytes row;
    enum status s = table_get(txn, TABLE_REVISIONS, revision_key(record, number, key), &row);

    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, revision_decode(bytes_of(key, sizeof(key)), row, ret_revision));
}

uint64_t record_count(struct txn *txn, uint16_t type)
{
    return counter_group_get(txn, COUNTERS_RECORDS, type);
}

/* ---- writing ---- */

/* Only the record's own index row: the key may have gone to another record since. */
static void forget_key(struct txn *txn, const struct revision *revision, struct bytes key)
{
    uint8_t stored_key[2 + LONG_KEY_BYTES];
    struct uuid holder;

    if (record_find_by_key(txn, revision->type, key, &holder) == STATUS_OK &&
        uuid_compare(&holder, &revision->record) == 0)
        (void)table_delete(txn, TABLE_RECORD_KEYS, /* faults stick */
                           record_key_key(revision->type, key, stored_key));
}

static void remember_key(struct txn *txn, const struct revision *revision)
{
    static const uint8_t version = INDEX_VERSION;
    uint8_t stored_key[2 + LONG_KEY_BYTES];
    struct bytes parts[] = {bytes_of(&version, 1), bytes_of(revision->record.bytes, UUID_BYTES)};
    struct uuid holder;

    if (revision->key.len == 0)
        return;
    /* An update seldom changes the key: look first, it dirties no page. */
    if (revision->number > 1 &&
        record_find_by_key(txn, revision->type, revision->key, &holder) == STATUS_OK &&
        uuid_compare(&holder, &revision->record) == 0)
        return;
    table_put_parts(txn, TABLE_RECORD_KEYS,
                    record_key_key(revision->type, revision->key, stored_key), parts, 2);
}

void record_put(struct txn *txn, const struct revision *revision, struct bytes previous_key)
{
    must(revision->number > 0 && revision->number < UINT32_MAX);
    if (previous_key.len > 0)
        forget_key(txn, revision, previous_key);
    if (revision->action == ACTION_DELETED)
        forget_key(txn, revision, revision->key);
    else
        remember_key(txn, revision);
    revision_write(txn, revision);
    if (revision->number == 1) {
        record_note_block(txn, revision->type, &revision->record);
        counter_group_add(txn, COUNTERS_RECORDS, revision->type, 1);
    }
    counter_add(txn, COUNTER_ACCEPTED, 1);
}

/* ---- erasure ---- */

/* Zeros of the same length first: LMDB writes them over the content in the page, so that what is
 * left unused there when the row shrinks is zeros. */
static enum status revision_erase(struct txn *txn, struct revision *revision)
{
    CLEANUP(freep) uint8_t *zeros = calloc(1, revision->key.len + revision->body.len + 1);

    if (zeros == NULL)
        return txn_fault(txn, STATUS_NO_MEMORY);
    forget_key(txn, revision, revision->key);
    revision->is_erased = true;
    revision->key.data = zeros;
    revision->body.data = zeros;
    revision_write(txn, revision);
    revision->key = revision->body = bytes_of(NULL, 0);
    revision_write(txn, revision);
    return txn_status(txn);
}

enum status record_erase_revision(struct txn *txn, const struct uuid *record, uint32_t number)
{
    struct revision revision;
    enum status s = record_revision(txn, record, number, &revision);

    return s == STATUS_OK && !revision.is_erased ? revision_erase(txn, &revision) : s;
}

enum status record_erase(struct txn *txn, const struct uuid *record, uint32_t *ret_count)
{
    enum status s = STATUS_OK;

    *ret_count = 0;
    for (uint32_t number = 1; s == STATUS_OK; number++) {
        s = record_erase_revision(txn, record, number);
        if (s == STATUS_NOT_FOUND)
            return number > 1 ? STATUS_OK : s;
        *ret_count = number;
    }
    return s;
}

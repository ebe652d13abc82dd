/*
 * idempotency: rows under (bucket, API key, hash of the name); a bucket is two hours of their
 * creation. A look-up goes through the buckets that exist and can still be alive, a dozen seeks at
 * most; buckets that lie ahead of a clock that was set back count as alive.
 *
 * A reader has no clock of its own in the transaction, so it goes by the system's.
 */
#include "storage/idempotency.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/table.h"

#define IDEMPOTENCY_VERSION 1
#define BUCKET_MS (2 * HOUR_MS)
#define NAME_KEY_BYTES (4 + 4 + SHA256_BYTES)

static uint32_t bucket_of(int64_t at_ms)
{
    return at_ms > 0 ? (uint32_t)(at_ms / BUCKET_MS) : 0;
}

/* Answers made at or before this are forgotten. */
static int64_t expired_ms(struct txn *txn)
{
    int64_t now_ms = txn_is_write(txn) ? txn_now_ms(txn) : clock_wall_ms(&SYSTEM_CLOCK);

    return now_ms - IDEMPOTENCY_KEEP_MS;
}

static struct bytes name_key(uint32_t bucket, uint32_t key_number,
                             const uint8_t name_hash[SHA256_BYTES], uint8_t out[NAME_KEY_BYTES])
{
    put_be32(out, bucket);
    put_be32(out + 4, key_number);
    memcpy(out + 8, name_hash, SHA256_BYTES);
    return bytes_of(out, NAME_KEY_BYTES);
}

static enum status answer_decode(struct bytes row, struct idempotent_answer *ret)
{
    struct bytes fingerprint;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, IDEMPOTENCY_VERSION, &version, &c);

    if (s != STATUS_OK)
        return s;
    fingerprint = cursor_take(&c, SHA256_BYTES);
    ret->http_status = cursor_u16(&c);
    ret->at_ms = (int64_t)cursor_u64(&c);
    ret->content_type = cursor_sized(&c);
    ret->etag = cursor_sized(&c);
    ret->body = cursor_take(&c, cursor_left(&c));
    s = cursor_finish(&c);
    if (s == STATUS_OK)
        memcpy(ret->fingerprint, fingerprint.data, SHA256_BYTES);
    return s;
}

/* Is the row at the cursor a live answer of that name? STATUS_NOT_FOUND: none in this bucket, and
 * *inout_bucket is the next to look at. STATUS_END: there is no next. */
static enum status look_here(struct table_cursor *c, struct bytes wanted, int64_t expired,
                             uint32_t *inout_bucket, struct idempotent_answer *ret_answer)
{
    uint32_t bucket;

    if (c->key.len != NAME_KEY_BYTES)
        return STATUS_CORRUPT;
    bucket = get_be32(c->key.data);
    if (bytes_equal(c->key, wanted)) {
        enum status s = answer_decode(txn_keep(c->txn, c->row), ret_answer);

        if (s != STATUS_OK || ret_answer->at_ms > expired)
            return s;
    }
    if (bucket > *inout_bucket) {
        *inout_bucket = bucket; /* the wanted bucket is empty from there on; this one follows */
        return STATUS_NOT_FOUND;
    }
    *inout_bucket = bucket + 1;
    return bucket < UINT32_MAX ? STATUS_NOT_FOUND : STATUS_END;
}

enum status idempotency_find(struct txn *txn, uint32_t key_number,
                             const uint8_t name_hash[SHA256_BYTES],
                             struct idempotent_answer *ret_answer)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t key_bytes[NAME_KEY_BYTES];
    int64_t expired = expired_ms(txn);
    uint32_t bucket = bucket_of(expired);
    struct bytes key = name_key(bucket, key_number, name_hash, key_bytes);
    enum status s = table_cursor_open(&c, txn, TABLE_IDEMPOTENCY, key);

    while (s == STATUS_OK) {
        s = look_here(&c, key, expired, &bucket, ret_answer);
        if (s != STATUS_NOT_FOUND)
            break;
        key = name_key(bucket, key_number, name_hash, key_bytes);
        s = table_cursor_seek(&c, key);
    }
    return s == STATUS_END ? STATUS_NOT_FOUND : txn_fault(txn, s);
}

void idempotency_put(struct txn *txn, uint32_t key_number, const uint8_t name_hash[SHA256_BYTES],
                     const struct idempotent_answer *answer)
{
    uint8_t key[NAME_KEY_BYTES], head[1 + SHA256_BYTES + 2 + 8 + 4], etag_len[4];
    uint8_t *at = head;

    *at++ = IDEMPOTENCY_VERSION;
    memcpy(at, answer->fingerprint, SHA256_BYTES);
    put_be16(at += SHA256_BYTES, answer->http_status);
    put_be64(at += 2, (uint64_t)answer->at_ms);
    put_be32(at + 8, (uint32_t)answer->content_type.len);
    put_be32(etag_len, (uint32_t)answer->etag.len);
    table_put_parts(
        txn, TABLE_IDEMPOTENCY, name_key(bucket_of(answer->at_ms), key_number, name_hash, key),
        (struct bytes[]){bytes_of(head, sizeof(head)), answer->content_type,
                         bytes_of(etag_len, sizeof(etag_len)), answer->etag, answer->body},
        5);
}

bool idempotency_prune(struct txn *txn, uint32_t rows_max)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint32_t first_live = bucket_of(expired_ms(txn));
    enum status s = table_cursor_open(&c, txn, TABLE_IDEMPOTENCY, bytes_of(NULL, 0));

    for (uint32_t i = 0; s == STATUS_OK && i < rows_max; i++) {
        if (c.key.len >= 4 && get_be32(c.key.data) >= first_live)
            return false;
        s = table_cursor_delete(&c);
        if (s == STATUS_OK)
            s = table_cursor_next(&c);
    }
    return s == STATUS_OK;
}

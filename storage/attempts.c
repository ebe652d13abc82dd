/*
 * attempts: the log of what was tried. Rows are cut to bounds where they are written, so that no
 * endpoint can fill the store with one answer.
 */
#include "storage/outbox_rows.h"

#include "base/cleanup.h"

#define ATTEMPT_VERSION 1
#define ERROR_MAX 512
#define ADDRESS_MAX 64
#define URL_MAX 2048
#define HEADERS_MAX 16384

static struct bytes cut(struct bytes view, size_t max)
{
    return bytes_of(view.data, view.len < max ? view.len : max);
}

void attempt_put(struct txn *txn, const struct attempt *attempt, uint16_t number)
{
    CLEANUP(buf_fini) struct buf row = {0};
    uint8_t key[ATTEMPT_KEY_BYTES];

    buf_put_u8(&row, ATTEMPT_VERSION);
    buf_put_u64(&row, (uint64_t)attempt->at_ms);
    buf_put_u32(&row, attempt->duration_ms);
    buf_put_u16(&row, attempt->http_status);
    buf_put(&row, attempt->payload_hash, sizeof attempt->payload_hash);
    buf_put_sized(&row, cut(attempt->url, URL_MAX));
    buf_put_sized(&row, cut(attempt->address, ADDRESS_MAX));
    buf_put_sized(&row, cut(attempt->error, ERROR_MAX));
    buf_put_sized(&row, cut(attempt->request_headers, HEADERS_MAX));
    buf_put_sized(&row, cut(attempt->response_body, ATTEMPT_BODY_MAX));
    attempt_key(&attempt->delivery, number, key);
    table_put_buf(txn, TABLE_ATTEMPTS, bytes_of(key, sizeof key), &row);
}

enum status attempt_decode(struct bytes key, struct bytes row, struct attempt *ret_attempt)
{
    struct attempt a = {0};
    struct bytes hash;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, ATTEMPT_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != ATTEMPT_KEY_BYTES)
        return STATUS_CORRUPT;
    memcpy(a.delivery.bytes, key.data, UUID_BYTES);
    a.number = get_be16(key.data + UUID_BYTES);
    a.at_ms = (int64_t)cursor_u64(&c);
    a.duration_ms = cursor_u32(&c);
    a.http_status = cursor_u16(&c);
    hash = cursor_take(&c, sizeof a.payload_hash);
    a.url = cursor_sized(&c);
    a.address = cursor_sized(&c);
    a.error = cursor_sized(&c);
    a.request_headers = cursor_sized(&c);
    a.response_body = cursor_sized(&c);
    if (cursor_finish(&c) != STATUS_OK)
        return STATUS_CORRUPT;
    memcpy(a.payload_hash, hash.data, hash.len);
    *ret_attempt = a;
    return STATUS_OK;
}

enum status attempt_at(struct txn *txn, const struct uuid *delivery, uint16_t number,
                       struct attempt *ret_attempt)
{
    uint8_t key[ATTEMPT_KEY_BYTES];
    struct bytes row;
    enum status s;

    attempt_key(delivery, number, key);
    s = table_get(txn, TABLE_ATTEMPTS, bytes_of(key, sizeof key), &row);
    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, attempt_decode(bytes_of(key, sizeof key), row, ret_attempt));
}

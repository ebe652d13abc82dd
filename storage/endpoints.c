/*
 * endpoints: rows by number. Ids are looked for by going over the rows: an installation has some
 * tens of endpoints and asks by id only on an operator's command.
 *
 * What delivery notes after each attempt (last success, failing since) lies in a small row of its
 * own
 * (`endpoint_notes`), so that it does not rewrite kilobytes of headers and secrets.
 *
 * To change the row, start in storage/format.h; the fields are listed twice, in encode and decode.
 */
#include "storage/endpoints.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "storage/outbox.h"
#include "storage/outbox_rows.h"
#include "storage/table.h"

#define ENDPOINT_VERSION 1
#define NOTES_VERSION 1
#define ENDPOINT_KEY_BYTES 4
/* Rows that endpoint_delete changes itself; more would hold up the writer. */
#define DELETE_ROWS_MAX 10000

const char *endpoint_state_text(enum endpoint_state state)
{
    switch (state) {
    case ENDPOINT_ENABLED:
        return "enabled";
    case ENDPOINT_DISABLED:
        return "disabled";
    case ENDPOINT_DELETED:
        return "deleted";
    }
    return "unknown";
}

/* ---- secrets ---- */

#define SECRET_ROW_BYTES (9 + UUID_BYTES + 1)

static struct bytes secret_row(const struct endpoint *endpoint, unsigned slot,
                               uint8_t out[SECRET_ROW_BYTES])
{
    memcpy(out, "endpoint ", 9);
    memcpy(out + 9, endpoint->id.bytes, UUID_BYTES);
    out[9 + UUID_BYTES] = (uint8_t)slot;
    return bytes_of(out, SECRET_ROW_BYTES);
}

enum status endpoint_secret_seal(const struct vault *vault, struct endpoint *endpoint,
                                 unsigned slot, struct bytes secret)
{
    CLEANUP(buf_fini) struct buf sealed = {.limit = ENDPOINT_SEALED_MAX};
    uint8_t row[SECRET_ROW_BYTES];

    must(slot < 2 && !uuid_is_zero(&endpoint->id));
    if (secret.len > ENDPOINT_SEALED_MAX)
        return STATUS_LIMIT;
    vault_seal(vault, secret_row(endpoint, slot, row), secret, &sealed);
    if (sealed.status != STATUS_OK)
        return sealed.status;
    endpoint->secrets[slot].len = (uint16_t)sealed.len;
    memcpy(endpoint->secrets[slot].data, sealed.data, sealed.len);
    return STATUS_OK;
}

enum status endpoint_secret_unseal(const struct vault *vault, const struct endpoint *endpoint,
                                   unsigned slot, struct buf *ret_secret)
{
    uint8_t row[SECRET_ROW_BYTES];

    must(slot < 2);
    return vault_unseal(vault, secret_row(endpoint, slot, row),
                        bytes_of(endpoint->secrets[slot].data, endpoint->secrets[slot].len),
                        ret_secret);
}

/* ---- rows ---- */

/* At most `room` - 1 characters: the array is the caller's own, terminated or full. */
static void put_text(struct buf *row, const char *text, size_t room)
{
    buf_put_sized(row, bytes_of(text, strnlen(text, room - 1)));
}

static void encode(struct buf *row, const struct endpoint *e)
{
    must(e->pattern_count <= ENDPOINT_PATTERNS_MAX && e->secret_count <= 2 &&
         e->retry_count <= ENDPOINT_RETRIES_MAX && e->header_count <= ENDPOINT_HEADERS_MAX);
    buf_put_u8(row, ENDPOINT_VERSION);
    buf_put(row, e->id.bytes, UUID_BYTES);
    buf_put_u8(row, (uint8_t)e->state);
    buf_put_u64(row, (uint64_t)e->created_ms);
    put_text(row, e->url, sizeof e->url);
    put_text(row, e->description, sizeof e->description);
    put_text(row, e->disabled_reason, sizeof e->disabled_reason);
    buf_put_u8(row, e->pattern_count);
    for (unsigned i = 0; i < e->pattern_count; i++)
        put_text(row, e->patterns[i], sizeof e->patterns[i]);
    buf_put_u8(row, e->secret_count);
    for (unsigned i = 0; i < e->secret_count; i++)
        buf_put_sized(row, bytes_of(e->secrets[i].data, e->secrets[i].len));
    buf_put_u8(row, e->retry_count);
    for (unsigned i = 0; i < e->retry_count; i++)
        buf_put_u32(row, e->retry_s[i]);
    buf_put_u32(row, e->timeout_ms);
    buf_put_u16(row, e->window_max);
    buf_put_u32(row, e->rate_per_s);
    put_text(row, e->signature, sizeof e->signature);
    put_text(row, e->signature_header, sizeof e->signature_header);
    put_text(row, e->signature_encoding, sizeof e->signature_encoding);
    put_text(row, e->signature_content, sizeof e->signature_content);
    buf_put_u8(row, e->header_count);
    for (unsigned i = 0; i < e->header_count; i++) {
        put_text(row, e->headers[i].name, sizeof e->headers[i].name);
        put_text(row, e->headers[i].value, sizeof e->headers[i].value);
    }
}

static void take_into(struct cursor *c, void *out, size_t room)
{
    struct bytes view = cursor_sized(c);

    if (view.len > room)
        c->is_bad = true;
    else if (view.len > 0)
        memcpy(out, view.data, view.len);
}

/* `out` is zero before: the text ends with a NUL because it leaves one. */
static void take_text(struct cursor *c, char *out, size_t room)
{
    take_into(c, out, room - 1);
}

static uint8_t take_count(struct cursor *c, uint8_t max)
{
    uint8_t count = cursor_u8(c);

    if (count <= max)
        return count;
    c->is_bad = true;
    return 0;
}

static void take_lists(struct cursor *c, struct endpoint *e)
{
    e->pattern_count = take_count(c, ENDPOINT_PATTERNS_MAX);
    for (unsigned i = 0; i < e->pattern_count; i++)
        take_text(c, e->patterns[i], sizeof e->patterns[i]);
    e->secret_count = take_count(c, 2);
    for (unsigned i = 0; i < e->secret_count; i++) {
        const uint8_t *len_at = c->at;
        take_into(c, e->secrets[i].data, sizeof e->secrets[i].data);
        e->secrets[i].len = c->is_bad ? 0 : (uint16_t)get_be32(len_at);
    }
    e->retry_count = take_count(c, ENDPOINT_RETRIES_MAX);
    for (unsigned i = 0; i < e->retry_count; i++)
        e->retry_s[i] = cursor_u32(c);
}

static enum status decode(struct bytes key, struct bytes row, struct endpoint *e)
{
    struct bytes id;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, ENDPOINT_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != ENDPOINT_KEY_BYTES)
        return STATUS_CORRUPT;
    *e = (struct endpoint){.number = get_be32(key.data)};
    id = cursor_take(&c, UUID_BYTES);
    e->state = cursor_u8(&c);
    e->created_ms = (int64_t)cursor_u64(&c);
    take_text(&c, e->url, sizeof e->url);
    take_text(&c, e->description, sizeof e->description);
    take_text(&c, e->disabled_reason, sizeof e->disabled_reason);
    take_lists(&c, e);
    e->timeout_ms = cursor_u32(&c);
    e->window_max = cursor_u16(&c);
    e->rate_per_s = cursor_u32(&c);
    take_text(&c, e->signature, sizeof e->signature);
    take_text(&c, e->signature_header, sizeof e->signature_header);
    take_text(&c, e->signature_encoding, sizeof e->signature_encoding);
    take_text(&c, e->signature_content, sizeof e->signature_content);
    e->header_count = take_count(&c, ENDPOINT_HEADERS_MAX);
    for (unsigned i = 0; i < e->header_count; i++) {
        take_text(&c, e->headers[i].name, sizeof e->headers[i].name);
        take_text(&c, e->headers[i].value, sizeof e->headers[i].value);
    }
    if (cursor_finish(&c) != STATUS_OK || e->number == 0 || e->state < ENDPOINT_ENABLED ||
        e->state > ENDPOINT_DELETED)
        return STATUS_CORRUPT;
    memcpy(e->id.bytes, id.data, UUID_BYTES);
    return STATUS_OK;
}

/* ---- notes ---- */

struct notes {
    int64_t last_success_ms, failing_since_ms;
};

static void notes_put(struct txn *txn, uint32_t number, const struct notes *notes)
{
    uint8_t key[ENDPOINT_KEY_BYTES], row[1 + 2 * 8] = {NOTES_VERSION};

    put_be32(key, number);
    put_be64(row + 1, (uint64_t)notes->last_success_ms);
    put_be64(row + 9, (uint64_t)notes->failing_since_ms);
    table_put(txn, TABLE_ENDPOINT_NOTES, bytes_of(key, sizeof key), bytes_of(row, sizeof row));
}

enum status endpoint_notes_decode(struct bytes row, int64_t *ret_last_success_ms,
                                  int64_t *ret_failing_since_ms)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, NOTES_VERSION, &version, &c);

    if (s != STATUS_OK)
        return s;
    *ret_last_success_ms = (int64_t)cursor_u64(&c);
    *ret_failing_since_ms = (int64_t)cursor_u64(&c);
    return cursor_finish(&c);
}

static enum status notes_get(struct txn *txn, uint32_t number, struct notes *ret_notes)
{
    uint8_t key[ENDPOINT_KEY_BYTES];
    struct bytes row;
    enum status s;

    put_be32(key, number);
    s = table_get(txn, TABLE_ENDPOINT_NOTES, bytes_of(key, sizeof key), &row);
    if (s != STATUS_OK)
        return s;
    return txn_fault(
        txn, endpoint_notes_decode(row, &ret_notes->last_success_ms, &ret_notes->failing_since_ms));
}

void endpoint_note(struct txn *txn, uint32_t number, bool is_success, int64_t at_ms)
{
    struct notes notes = {0};

    if (notes_get(txn, number, &notes) != STATUS_OK)
        return; /* deleted, or a fault that sticks */
    if (is_success) {
        notes.last_success_ms = at_ms > notes.last_success_ms ? at_ms : notes.last_success_ms;
        notes.failing_since_ms = 0;
    } else if (notes.failing_since_ms == 0) {
        notes.failing_since_ms = at_ms;
    } else {
        return;
    }
    notes_put(txn, number, &notes);
}

/* ---- the table ---- */

static void put_row(struct txn *txn, const struct endpoint *endpoint)
{
    CLEANUP(buf_fini) struct buf row = {0};
    uint8_t key[ENDPOINT_KEY_BYTES];

    put_be32(key, endpoint->number);
    encode(&row, endpoint);
    table_put_buf(txn, TABLE_ENDPOINTS, bytes_of(key, sizeof key), &row);
    txn_bump_generation(txn);
}

void endpoint_put(struct txn *txn, struct endpoint *endpoint)
{
    if (endpoint->number == 0) {
        endpoint->number = txn_next_number(txn, "next_endpoint");
        endpoint->created_ms = txn_now_ms(txn);
        if (uuid_is_zero(&endpoint->id))
            endpoint->id = txn_uuid(txn);
    }
    put_row(txn, endpoint);
    notes_put(txn, endpoint->number,
              &(struct notes){endpoint->last_success_ms, endpoint->failing_since_ms});
}

enum status endpoint_decode(struct txn *txn, struct bytes key, struct bytes row,
                            struct endpoint *ret_endpoint)
{
    struct notes notes = {0};
    enum status s = txn_fault(txn, decode(key, row, ret_endpoint));

    if (s != STATUS_OK || ret_endpoint->state == ENDPOINT_DELETED)
        return s;
    s = notes_get(txn, ret_endpoint->number, &notes);
    if (s == STATUS_NOT_FOUND)
        return txn_fault(txn, STATUS_CORRUPT);
    ret_endpoint->last_success_ms = notes.last_success_ms;
    ret_endpoint->failing_since_ms = notes.failing_since_ms;
    return s;
}

enum status endpoint_at(struct txn *txn, uint32_t number, struct endpoint *ret_endpoint)
{
    uint8_t key[ENDPOINT_KEY_BYTES];
    struct bytes row;
    enum status s;

    put_be32(key, number);
    s = table_get(txn, TABLE_ENDPOINTS, bytes_of(key, sizeof key), &row);
    return s == STATUS_OK ? endpoint_decode(txn, bytes_of(key, sizeof key), row, ret_endpoint) : s;
}

enum status endpoint_next(struct txn *txn, uint32_t *number, struct endpoint *ret_endpoint)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t key[ENDPOINT_KEY_BYTES];
    enum status s;

    if (*number == UINT32_MAX)
        return STATUS_END;
    put_be32(key, *number + 1);
    for (s = table_cursor_open(&c, txn, TABLE_ENDPOINTS, bytes_of(key, sizeof key));
         s == STATUS_OK || s == STATUS_CORRUPT; s = table_cursor_next(&c)) {
        if (c.key.len != ENDPOINT_KEY_BYTES)
            return txn_fault(txn, STATUS_CORRUPT);
        /* The place moves on before the row is read: a damaged one is met once. */
        *number = get_be32(c.key.data);
        if (s == STATUS_OK)
            s = endpoint_decode(txn, c.key, c.row, ret_endpoint);
        if (s != STATUS_OK || ret_endpoint->state != ENDPOINT_DELETED)
            return s;
    }
    return s;
}

enum status endpoint_find(struct txn *txn, const struct uuid *id, struct endpoint *ret_endpoint)
{
    uint32_t number = 0;
    enum status s;

    while ((s = endpoint_next(txn, &number, ret_endpoint)) == STATUS_OK)
        if (uuid_compare(&ret_endpoint->id, id) == 0)
            return STATUS_OK;
    return s == STATUS_END ? STATUS_NOT_FOUND : s;
}

enum status endpoint_delete(struct txn *txn, const struct uuid *id)
{
    struct endpoint endpoint;
    uint8_t key[ENDPOINT_KEY_BYTES];
    enum status s = endpoint_find(txn, id, &endpoint);

    if (s != STATUS_OK)
        return s;
    put_row(txn, &(struct endpoint){.number = endpoint.number,
                                    .id = endpoint.id,
                                    .state = ENDPOINT_DELETED,
                                    .created_ms = endpoint.created_ms});
    put_be32(key, endpoint.number);
    (void)table_delete(txn, TABLE_ENDPOINT_NOTES, bytes_of(key, sizeof key)); /* faults stick */
    (void)outbox_fail_endpoint(txn, endpoint.number, "endpoint deleted", DELETE_ROWS_MAX);
    return txn_status(txn);
}

/* Drop the memory of what a deleted endpoint took: nobody can ask any more. */
static bool drop_delivered(struct txn *txn, uint32_t number, uint32_t rows_max)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t prefix[ENDPOINT_KEY_BYTES];
    enum status s;

    put_be32(prefix, number);
    for (s = table_cursor_open(&c, txn, TABLE_DELIVERED, bytes_of(prefix, sizeof prefix));
         s == STATUS_OK && key_has_prefix(c.key, bytes_of(prefix, sizeof prefix));
         s = table_cursor_next(&c)) {
        if (rows_max-- == 0)
            return true;
        if (table_cursor_delete(&c) != STATUS_OK)
            return false;
    }
    return false;
}

bool endpoints_sweep(struct txn *txn, uint32_t rows_max)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s;

    for (s = table_cursor_open(&c, txn, TABLE_ENDPOINTS, (struct bytes){0}); s == STATUS_OK;
         s = table_cursor_next(&c)) {
        struct endpoint endpoint;
        s = txn_fault(txn, decode(c.key, c.row, &endpoint));
        if (s != STATUS_OK)
            return false;
        if (endpoint.state == ENDPOINT_DELETED &&
            (outbox_fail_endpoint(txn, endpoint.number, "endpoint deleted", rows_max) ||
             drop_delivered(txn, endpoint.number, rows_max)))
            return true;
    }
    return false;
}

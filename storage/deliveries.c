/*
 * deliveries: looking at them, remembering for good which were taken, dropping and erasing them.
 *
 * `delivered` has a bit an event and endpoint, 1,024 to a row, because "did it ever take this?"
 * must be answered long after the delivery was dropped, and a row each would be kept for ever. The
 * index from events to deliveries lives as long as the deliveries do.
 *
 * Retention goes over `deliveries` in the order of age. Old ones that are still pending would be
 * looked at again and again, so the place where a call stopped is kept (`meta`, "prune_place") and
 * the next goes on there; at the end it begins anew.
 */
#include "storage/outbox_rows.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "storage/endpoints.h"
#include "storage/records.h"

#define PLACE_VERSION 1
#define DELIVERED_VERSION 1

const char *delivery_state_text(enum delivery_state state)
{
    switch (state) {
    case DELIVERY_PENDING:
        return "pending";
    case DELIVERY_DELIVERED:
        return "delivered";
    case DELIVERY_FAILED:
        return "failed";
    }
    return "unknown";
}

enum status delivery_find(struct txn *txn, const struct uuid *id, struct delivery *ret_delivery)
{
    struct bytes row;
    enum status s = table_get(txn, TABLE_DELIVERIES, delivery_key(id), &row);

    return s == STATUS_OK ? txn_fault(txn, delivery_decode(delivery_key(id), row, ret_delivery))
                          : s;
}

enum status delivery_page_next(struct txn *txn, int64_t since_ms, int64_t until_ms,
                               struct uuid *inout_before, struct delivery *ret_delivery)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct uuid until = *inout_before, since = uuid_first_at(since_ms > 0 ? since_ms : 0);
    struct uuid limit = uuid_first_at(until_ms > 0 ? until_ms : 0);
    bool is_open = uuid_is_zero(&until) && until_ms <= 0;
    enum status s;

    if (until_ms > 0 && (uuid_is_zero(&until) || uuid_compare(&limit, &until) < 0))
        until = limit;
    s = table_cursor_open_before(&c, txn, TABLE_DELIVERIES,
                                 is_open ? bytes_of(NULL, 0) : delivery_key(&until));
    if (s != STATUS_OK && s != STATUS_CORRUPT)
        return s;
    if (c.key.len != DELIVERY_KEY_BYTES)
        return txn_fault(txn, STATUS_CORRUPT);
    if (since_ms > 0 && memcmp(c.key.data, since.bytes, UUID_BYTES) < 0)
        return STATUS_END;
    /* The place moves on before the row is read: a damaged one is met once. */
    memcpy(inout_before->bytes, c.key.data, UUID_BYTES);
    if (s == STATUS_OK)
        s = txn_fault(txn, delivery_decode(delivery_key(inout_before), c.row, ret_delivery));
    return s;
}

enum status event_delivery_next(struct txn *txn, uint64_t sequence, struct delivery *inout_after)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t from[EVENT_DELIVERY_KEY_BYTES];
    uint32_t endpoint;
    struct uuid id;
    enum status s;

    inout_after->sequence = sequence;
    event_delivery_key(inout_after, from);
    s = table_cursor_open(&c, txn, TABLE_EVENT_DELIVERIES, bytes_of(from, sizeof from));
    if (s == STATUS_OK && bytes_equal(c.key, bytes_of(from, sizeof from)))
        s = table_cursor_next(&c);
    if (s == STATUS_OK && !key_has_prefix(c.key, bytes_of(from, 8)))
        s = STATUS_END;
    if (s != STATUS_OK)
        return s;
    if (c.key.len != EVENT_DELIVERY_KEY_BYTES)
        return txn_fault(txn, STATUS_CORRUPT);
    memcpy(id.bytes, c.key.data + 12, UUID_BYTES);
    endpoint = get_be32(c.key.data + 8);
    s = delivery_find(txn, &id, inout_after);
    if (s == STATUS_NOT_FOUND || (s == STATUS_OK && (inout_after->sequence != sequence ||
                                                     inout_after->endpoint != endpoint)))
        return txn_fault(txn, STATUS_CORRUPT); /* going on from there might never end */
    return s;
}

/* ---- what was taken ---- */

enum status delivered_decode(struct bytes row, struct bytes *ret_bits)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, DELIVERED_VERSION, &version, &c);

    if (s != STATUS_OK)
        return s;
    *ret_bits = cursor_take(&c, DELIVERED_BLOCK_BYTES);
    return cursor_finish(&c);
}

static enum status delivered_get(struct txn *txn, struct bytes key, struct bytes *ret_bits)
{
    struct bytes row;
    enum status s = table_get(txn, TABLE_DELIVERED, key, &row);

    return s == STATUS_OK ? txn_fault(txn, delivered_decode(row, ret_bits)) : s;
}

static uint8_t delivered_mask(uint64_t sequence)
{
    return (uint8_t)(0x80 >> sequence % 8);
}

static size_t delivered_index(uint64_t sequence)
{
    return sequence % DELIVERED_BLOCK_BITS / 8;
}

void delivered_mark(struct txn *txn, uint32_t endpoint, uint64_t sequence)
{
    uint8_t key[DELIVERED_KEY_BYTES], row[1 + DELIVERED_BLOCK_BYTES] = {DELIVERED_VERSION};
    uint8_t *byte = &row[1 + delivered_index(sequence)];
    struct bytes bits;

    delivered_key(endpoint, sequence, key);
    if (delivered_get(txn, bytes_of(key, sizeof key), &bits) == STATUS_OK)
        memcpy(row + 1, bits.data, bits.len);
    if (*byte & delivered_mask(sequence))
        return;
    *byte |= delivered_mask(sequence);
    table_put(txn, TABLE_DELIVERED, bytes_of(key, sizeof key), bytes_of(row, sizeof row));
}

bool outbox_has_delivered(struct txn *txn, uint32_t endpoint, uint64_t sequence)
{
    uint8_t key[DELIVERED_KEY_BYTES];
    struct bytes bits;
    enum status s;

    delivered_key(endpoint, sequence, key);
    s = delivered_get(txn, bytes_of(key, sizeof key), &bits);
    if (s == STATUS_OK)
        return bits.data != NULL &&
               (bits.data[delivered_index(sequence)] & delivered_mask(sequence));
    txn_doubt(txn, s);
    return false;
}

/* ---- retention ---- */

static const char PRUNE_PLACE[] = "prune_place";

/* Zero: from the start. */
static struct uuid prune_place_get(struct txn *txn)
{
    struct uuid place = {0};
    struct bytes row, id;
    struct cursor c;
    uint8_t version;
    enum status s = table_get(txn, TABLE_META, bytes_of_str(PRUNE_PLACE), &row);

    if (s == STATUS_OK)
        s = row_begin(row, PLACE_VERSION, &version, &c);
    if (s != STATUS_OK) {
        (void)txn_fault(txn, s); /* sticks; none kept yet is zero */
        return place;
    }
    id = cursor_take(&c, UUID_BYTES);
    if (txn_fault(txn, cursor_finish(&c)) == STATUS_OK)
        memcpy(place.bytes, id.data, UUID_BYTES);
    return place;
}

static void prune_place_put(struct txn *txn, const struct uuid *place)
{
    static const uint8_t version = PLACE_VERSION;
    struct bytes parts[2] = {bytes_of(&version, 1), delivery_key(place)};

    table_put_parts(txn, TABLE_META, bytes_of_str(PRUNE_PLACE), parts, 2);
}

/* Everything of the delivery but the bit in `delivered`. */
static void drop(struct txn *txn, const struct delivery *delivery)
{
    uint8_t event_key[EVENT_DELIVERY_KEY_BYTES], key[ATTEMPT_KEY_BYTES];

    for (uint32_t number = 1; number <= delivery->attempt_count; number++) {
        attempt_key(&delivery->id, (uint16_t)number, key);
        (void)table_delete(txn, TABLE_ATTEMPTS, bytes_of(key, sizeof key)); /* faults stick */
    }
    event_delivery_key(delivery, event_key);
    (void)table_delete(txn, TABLE_EVENT_DELIVERIES, bytes_of(event_key, sizeof event_key));
    counter_add(txn, delivery_counter(delivery->state), -1);
}

/* From the place on. STATUS_OK: `rows_max` were looked at and the place has moved; STATUS_END. */
static enum status prune_from(struct txn *txn, int64_t before_ms, uint32_t rows_max,
                              struct uuid *inout_place)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct delivery d;
    uint32_t rows = 0;
    enum status s;

    for (s = table_cursor_open(&c, txn, TABLE_DELIVERIES, delivery_key(inout_place));
         s == STATUS_OK; s = table_cursor_next(&c)) {
        s = txn_fault(txn, delivery_decode(c.key, c.row, &d));
        if (s != STATUS_OK)
            return s;
        *inout_place = d.id;
        if (d.created_ms >= before_ms)
            return STATUS_END; /* nor can any later one have finished before */
        if (rows++ == rows_max)
            return STATUS_OK;
        if (d.state == DELIVERY_PENDING || d.finished_ms >= before_ms)
            continue;
        drop(txn, &d);
        s = table_cursor_delete(&c);
        if (s != STATUS_OK)
            return s;
    }
    return s;
}

bool outbox_prune(struct txn *txn, int64_t before_ms, uint32_t rows_max)
{
    struct uuid start, place;
    enum status s;

    must(rows_max > 0);
    if (endpoints_sweep(txn, rows_max))
        return true;
    place = start = prune_place_get(txn);
    s = prune_from(txn, before_ms, rows_max, &place);
    if (s == STATUS_END)
        place = (struct uuid){0};
    if (uuid_compare(&place, &start) != 0)
        prune_place_put(txn, &place);
    return s == STATUS_OK && txn_status(txn) == STATUS_OK;
}

/* ---- erasure ---- */

/* The body's bytes are written over before they are let go, so that they do not stay in the page.
 */
static void erase_response(struct txn *txn, const struct uuid *delivery, uint16_t number)
{
    static const uint8_t zeros[ATTEMPT_BODY_MAX];
    struct attempt attempt;

    if (attempt_at(txn, delivery, number, &attempt) != STATUS_OK || attempt.response_body.len == 0)
        return;
    attempt.response_body = bytes_of(zeros, attempt.response_body.len);
    attempt_put(txn, &attempt, number);
    attempt.response_body = (struct bytes){0};
    attempt_put(txn, &attempt, number);
}

uint32_t outbox_erase_event(struct txn *txn, uint64_t sequence)
{
    struct delivery d = {0};
    uint32_t rows = 0;

    while (event_delivery_next(txn, sequence, &d) == STATUS_OK) {
        for (uint32_t number = 1; number <= d.attempt_count; number++)
            erase_response(txn, &d.id, (uint16_t)number);
        if (d.state == DELIVERY_PENDING)
            delivery_conclude(txn, &d, DELIVERY_FAILED, "record erased");
        rows += 1 + d.attempt_count;
    }
    return rows;
}

enum status outbox_erase_record(struct txn *txn, const struct uuid *record)
{
    struct revision revision;
    enum status s = record_current(txn, record, &revision);

    for (uint32_t number = revision.number; s == STATUS_OK && number > 0; number--) {
        s = record_revision(txn, record, number, &revision);
        if (s == STATUS_NOT_FOUND) /* a gap */
            s = txn_fault(txn, STATUS_CORRUPT);
        for (unsigned i = 0; s == STATUS_OK && i < revision.event_count; i++)
            (void)outbox_erase_event(txn, revision.first_event + i); /* all, however many */
    }
    return s == STATUS_OK ? txn_status(txn) : s;
}

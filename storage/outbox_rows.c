/*
 * outbox_rows: fixed-size rows are put together on the stack. To change one: storage/format.h.
 */
#include "storage/outbox_rows.h"

#define DELIVERY_VERSION 1
#define NAME_VERSION 1
#define MARK_VERSION 1

struct bytes delivery_key(const struct uuid *id)
{
    return bytes_of(id->bytes, UUID_BYTES);
}

void pending_key(const struct delivery *delivery, uint8_t key[PENDING_KEY_BYTES])
{
    put_be32(key, delivery->endpoint);
    memcpy(key + 4, delivery->place.bytes, UUID_BYTES);
}

void lane_key(const struct delivery *delivery, uint8_t key[LANE_KEY_BYTES])
{
    const struct uuid *lane = uuid_is_zero(&delivery->record) ? &delivery->id : &delivery->record;

    put_be32(key, delivery->endpoint);
    memcpy(key + 4, lane->bytes, UUID_BYTES);
    memcpy(key + LANE_PREFIX_BYTES, delivery->place.bytes, UUID_BYTES);
}

void due_key(const struct delivery *delivery, uint8_t key[DUE_KEY_BYTES])
{
    put_be32(key, delivery->endpoint);
    put_be64(key + 4, delivery->due_ms > 0 ? (uint64_t)delivery->due_ms : 0);
    memcpy(key + 12, delivery->id.bytes, UUID_BYTES);
}

void event_delivery_key(const struct delivery *delivery, uint8_t key[EVENT_DELIVERY_KEY_BYTES])
{
    put_be64(key, delivery->sequence);
    put_be32(key + 8, delivery->endpoint);
    memcpy(key + 12, delivery->id.bytes, UUID_BYTES);
}

void attempt_key(const struct uuid *delivery, uint16_t number, uint8_t key[ATTEMPT_KEY_BYTES])
{
    memcpy(key, delivery->bytes, UUID_BYTES);
    put_be16(key + UUID_BYTES, number);
}

void delivered_key(uint32_t endpoint, uint64_t sequence, uint8_t key[DELIVERED_KEY_BYTES])
{
    put_be32(key, endpoint);
    put_be64(key + 4, sequence / DELIVERED_BLOCK_BITS);
}

#define DELIVERY_FIXED_BYTES (1 + 8 + 4 + 2 * UUID_BYTES + 1 + 3 * 2 + 2 * 8 + 1)

void delivery_put(struct txn *txn, const struct delivery *delivery, bool is_new)
{
    uint8_t row[DELIVERY_FIXED_BYTES];
    size_t reason_len = strnlen(delivery->reason, sizeof delivery->reason);
    struct bytes parts[2] = {bytes_of(row, sizeof row), bytes_of(delivery->reason, reason_len)};

    row[0] = DELIVERY_VERSION;
    put_be64(row + 1, delivery->sequence);
    put_be32(row + 9, delivery->endpoint);
    memcpy(row + 13, delivery->record.bytes, UUID_BYTES);
    memcpy(row + 29, delivery->place.bytes, UUID_BYTES);
    row[45] = (uint8_t)delivery->state;
    put_be16(row + 46, delivery->attempt_count);
    put_be16(row + 48, delivery->retry_count);
    put_be16(row + 50, delivery->last_status);
    put_be64(row + 52, (uint64_t)delivery->due_ms);
    put_be64(row + 60, (uint64_t)delivery->finished_ms);
    row[68] = (uint8_t)reason_len;
    if (is_new)
        table_append_parts(txn, TABLE_DELIVERIES, delivery_key(&delivery->id), parts, 2);
    else
        table_put_parts(txn, TABLE_DELIVERIES, delivery_key(&delivery->id), parts, 2);
}

static bool is_state(enum delivery_state state)
{
    return state == DELIVERY_PENDING || state == DELIVERY_DELIVERED || state == DELIVERY_FAILED;
}

enum status delivery_decode(struct bytes key, struct bytes row, struct delivery *ret_delivery)
{
    struct delivery d = {0};
    struct bytes record, place, reason;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, DELIVERY_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != DELIVERY_KEY_BYTES)
        return STATUS_CORRUPT;
    d.sequence = cursor_u64(&c);
    d.endpoint = cursor_u32(&c);
    record = cursor_take(&c, UUID_BYTES);
    place = cursor_take(&c, UUID_BYTES);
    d.state = cursor_u8(&c);
    d.attempt_count = cursor_u16(&c);
    d.retry_count = cursor_u16(&c);
    d.last_status = cursor_u16(&c);
    d.due_ms = (int64_t)cursor_u64(&c);
    d.finished_ms = (int64_t)cursor_u64(&c);
    reason = cursor_take(&c, cursor_u8(&c));
    if (cursor_finish(&c) != STATUS_OK || !is_state(d.state) || reason.len >= sizeof d.reason ||
        d.due_ms < 0)
        return STATUS_CORRUPT;
    memcpy(d.id.bytes, key.data, UUID_BYTES);
    memcpy(d.record.bytes, record.data, UUID_BYTES);
    memcpy(d.place.bytes, place.data, UUID_BYTES);
    memcpy(d.reason, reason.data, reason.len);
    d.created_ms = uuid_time_ms(&d.id);
    *ret_delivery = d;
    return STATUS_OK;
}

void delivery_name_put(struct txn *txn, enum table table, struct bytes key, const struct uuid *id)
{
    static const uint8_t version = NAME_VERSION;

    table_put_parts(txn, table, key, (struct bytes[]){bytes_of(&version, 1), delivery_key(id)}, 2);
}

enum status delivery_name_decode(struct bytes row, struct uuid *ret_id)
{
    struct bytes id;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, NAME_VERSION, &version, &c);

    if (s != STATUS_OK)
        return s;
    id = cursor_take(&c, UUID_BYTES);
    s = cursor_finish(&c);
    if (s == STATUS_OK)
        memcpy(ret_id->bytes, id.data, UUID_BYTES);
    return s;
}

void mark_put(struct txn *txn, enum table table, struct bytes key)
{
    static const uint8_t version = MARK_VERSION;
    struct bytes row = bytes_of(&version, 1);

    if (table == TABLE_EVENT_DELIVERIES)
        table_append_parts(txn, table, key, &row, 1); /* the newest event's, but for replays */
    else
        table_put(txn, table, key, row);
}

enum status mark_decode(struct bytes row)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, MARK_VERSION, &version, &c);

    return s == STATUS_OK ? cursor_finish(&c) : s;
}

enum counter delivery_counter(enum delivery_state state)
{
    switch (state) {
    case DELIVERY_PENDING:
        return COUNTER_DELIVERIES_PENDING;
    case DELIVERY_DELIVERED:
        return COUNTER_DELIVERIES_DELIVERED;
    case DELIVERY_FAILED:
        break;
    }
    return COUNTER_DELIVERIES_FAILED;
}

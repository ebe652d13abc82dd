/*
 * outbox: the queue. A pending delivery has a row in `lanes` and in `pending`; the first of its
 * lane has one in `due` as well. Everything below keeps that so, in three movements:
 *
 *   enter     into its lane, and into `due` if nothing is before it
 *   due       later or sooner, if it has a `due` row; else only noted
 *   conclude  out of all three; the next of the lane enters `due`
 *
 * A delivery's `due` row is found by its own due_ms, so whether deleting it finds one answers "is
 * it the first?" without a look at the lane.
 *
 * The loop that delivers reads `due` alone, from the front of one endpoint's range to now: what is
 * not due costs nothing, however much it is.
 */
#include "storage/outbox.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "storage/endpoints.h"
#include "storage/outbox_rows.h"
#include "storage/txn.h"

static enum status pending_first(struct txn *txn, struct bytes prefix, enum table table,
                                 struct uuid *ret_id)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s = table_cursor_open(&c, txn, table, prefix);

    if (s == STATUS_END || (s == STATUS_OK && !key_has_prefix(c.key, prefix)))
        return STATUS_NOT_FOUND;
    return s == STATUS_OK ? txn_fault(txn, delivery_name_decode(c.row, ret_id)) : s;
}

/* The first of the lane that this delivery is or was in. STATUS_NOT_FOUND: the lane is empty. */
static enum status lane_first(struct txn *txn, const struct delivery *delivery, struct uuid *ret_id)
{
    uint8_t key[LANE_KEY_BYTES];

    lane_key(delivery, key);
    return pending_first(txn, bytes_of(key, LANE_PREFIX_BYTES), TABLE_LANES, ret_id);
}

static void due_put(struct txn *txn, struct delivery *delivery, int64_t due_ms)
{
    uint8_t key[DUE_KEY_BYTES];

    delivery->due_ms = due_ms > 0 ? due_ms : 0;
    due_key(delivery, key);
    mark_put(txn, TABLE_DUE, bytes_of(key, sizeof key));
}

/* True: it had a row, so it was the first of its lane. */
static bool due_delete(struct txn *txn, const struct delivery *delivery)
{
    uint8_t key[DUE_KEY_BYTES];

    due_key(delivery, key);
    return table_delete(txn, TABLE_DUE, bytes_of(key, sizeof key)) == STATUS_OK;
}

static void enter(struct txn *txn, struct delivery *delivery, int64_t due_ms)
{
    uint8_t lane[LANE_KEY_BYTES], pending[PENDING_KEY_BYTES];
    struct uuid first;
    bool is_alone = uuid_is_zero(&delivery->record);

    if (is_alone || lane_first(txn, delivery, &first) == STATUS_NOT_FOUND)
        due_put(txn, delivery, due_ms);
    lane_key(delivery, lane);
    pending_key(delivery, pending);
    delivery_name_put(txn, TABLE_LANES, bytes_of(lane, sizeof lane), &delivery->id);
    delivery_name_put(txn, TABLE_PENDING, bytes_of(pending, sizeof pending), &delivery->id);
    delivery->state = DELIVERY_PENDING;
    counter_add(txn, COUNTER_DELIVERIES_PENDING, 1);
    counter_group_add(txn, COUNTERS_ENDPOINT_PENDING, delivery->endpoint, 1);
}

bool outbox_has_enqueued(const struct txn *txn)
{
    return txn->has_enqueued;
}

struct uuid outbox_enqueue(struct txn *txn, uint32_t endpoint, uint64_t sequence,
                           const struct uuid *record, int64_t due_ms)
{
    struct delivery d = {.id = txn_uuid(txn),
                         .sequence = sequence,
                         .endpoint = endpoint,
                         .record = *record,
                         .due_ms = due_ms > 0 ? due_ms : 0};
    uint8_t key[EVENT_DELIVERY_KEY_BYTES];

    d.place = d.id;
    txn->has_enqueued = true;
    enter(txn, &d, due_ms);
    delivery_put(txn, &d, true);
    event_delivery_key(&d, key);
    mark_put(txn, TABLE_EVENT_DELIVERIES, bytes_of(key, sizeof key));
    return d.id;
}

/* What a row of `lanes`, `pending` or `due` names must be there, and pending. */
static enum status pending_find(struct txn *txn, const struct uuid *id,
                                struct delivery *ret_delivery)
{
    enum status s = delivery_find(txn, id, ret_delivery);

    if (s == STATUS_NOT_FOUND || (s == STATUS_OK && ret_delivery->state != DELIVERY_PENDING))
        return txn_fault(txn, STATUS_CORRUPT);
    return s;
}

static void next_of_lane(struct txn *txn, const struct delivery *gone)
{
    struct delivery next;
    struct uuid id;

    if (uuid_is_zero(&gone->record) || lane_first(txn, gone, &id) != STATUS_OK ||
        pending_find(txn, &id, &next) != STATUS_OK)
        return;
    due_put(txn, &next, txn_now_ms(txn));
    delivery_put(txn, &next, false);
}

/* A row that must be there; its absence is damage. */
static void delete_expected(struct txn *txn, enum table table, struct bytes key)
{
    if (table_delete(txn, table, key) == STATUS_NOT_FOUND)
        txn_fail(txn, STATUS_CORRUPT);
}

void delivery_conclude(struct txn *txn, struct delivery *delivery, enum delivery_state state,
                       const char *reason)
{
    uint8_t lane[LANE_KEY_BYTES], pending[PENDING_KEY_BYTES];
    bool was_first = due_delete(txn, delivery);

    must(strlen(reason) < sizeof delivery->reason);
    lane_key(delivery, lane);
    pending_key(delivery, pending);
    delete_expected(txn, TABLE_LANES, bytes_of(lane, sizeof lane));
    delete_expected(txn, TABLE_PENDING, bytes_of(pending, sizeof pending));
    if (was_first)
        next_of_lane(txn, delivery);
    delivery->state = state;
    delivery->finished_ms = txn_now_ms(txn);
    strcpy(delivery->reason, reason);
    delivery_put(txn, delivery, false);
    if (state == DELIVERY_DELIVERED)
        delivered_mark(txn, delivery->endpoint, delivery->sequence);
    counter_add(txn, COUNTER_DELIVERIES_PENDING, -1);
    counter_add(txn, delivery_counter(state), 1);
    counter_group_add(txn, COUNTERS_ENDPOINT_PENDING, delivery->endpoint, -1);
}

static void postpone(struct txn *txn, struct delivery *delivery, int64_t due_ms)
{
    if (due_delete(txn, delivery))
        due_put(txn, delivery, due_ms);
    delivery_put(txn, delivery, false);
}

static uint16_t one_more(uint16_t count)
{
    return count < UINT16_MAX ? (uint16_t)(count + 1) : count;
}

enum status outbox_finish(struct txn *txn, const struct attempt *attempt,
                          enum attempt_outcome outcome, int64_t retry_at_ms)
{
    struct delivery d;
    enum status s = delivery_find(txn, &attempt->delivery, &d);

    if (s != STATUS_OK)
        return s;
    if (d.state != DELIVERY_PENDING)
        return STATUS_NOT_FOUND;
    /* Retried by hand 65,535 times: the last log row is written over, nothing breaks. */
    d.attempt_count = one_more(d.attempt_count);
    d.last_status = attempt->http_status;
    attempt_put(txn, attempt, d.attempt_count);
    counter_add(txn, COUNTER_ATTEMPTS, 1);
    switch (outcome) {
    case ATTEMPT_DELIVERED:
        delivery_conclude(txn, &d, DELIVERY_DELIVERED, "");
        break;
    case ATTEMPT_FAILED:
        delivery_conclude(txn, &d, DELIVERY_FAILED, "");
        break;
    case ATTEMPT_RETRY:
        d.retry_count = one_more(d.retry_count);
        postpone(txn, &d, retry_at_ms);
        break;
    }
    return txn_status(txn);
}

static enum status restart(struct txn *txn, struct delivery *delivery)
{
    struct endpoint endpoint;
    enum status s = endpoint_at(txn, delivery->endpoint, &endpoint);

    if (s == STATUS_NOT_FOUND || (s == STATUS_OK && endpoint.state == ENDPOINT_DELETED))
        return STATUS_DENIED;
    if (s != STATUS_OK)
        return s;
    counter_add(txn, delivery_counter(delivery->state), -1);
    delivery->place = txn_uuid(txn);
    delivery->retry_count = 0;
    delivery->finished_ms = 0;
    delivery->due_ms = txn_now_ms(txn);
    delivery->reason[0] = '\0';
    enter(txn, delivery, delivery->due_ms);
    delivery_put(txn, delivery, false);
    return txn_status(txn);
}

enum status outbox_retry(struct txn *txn, const struct uuid *delivery)
{
    struct delivery d;
    enum status s = delivery_find(txn, delivery, &d);

    if (s != STATUS_OK)
        return s;
    if (d.state != DELIVERY_PENDING)
        return restart(txn, &d);
    postpone(txn, &d, txn_now_ms(txn));
    return txn_status(txn);
}

bool outbox_fail_endpoint(struct txn *txn, uint32_t endpoint, const char *reason, uint32_t rows_max)
{
    uint8_t prefix[4];
    struct delivery d;
    struct uuid id;
    enum status s;

    put_be32(prefix, endpoint);
    for (uint32_t rows = 0;; rows++) {
        s = pending_first(txn, bytes_of(prefix, sizeof prefix), TABLE_PENDING, &id);
        if (s != STATUS_OK || rows == rows_max)
            return s == STATUS_OK;
        if (pending_find(txn, &id, &d) != STATUS_OK)
            return false;
        delivery_conclude(txn, &d, DELIVERY_FAILED, reason);
    }
}

/* ---- what is due ---- */

static int64_t due_key_ms(struct bytes key)
{
    return (int64_t)get_be64(key.data + 4);
}

/* The first `due` row of the endpoint behind `after`'s. STATUS_END. */
static enum status due_seek(struct table_cursor *cursor, struct txn *txn,
                            const struct delivery *after)
{
    uint8_t key[DUE_KEY_BYTES];
    enum status s;

    due_key(after, key);
    s = table_cursor_open(cursor, txn, TABLE_DUE, bytes_of(key, sizeof key));
    if (s == STATUS_OK && bytes_equal(cursor->key, bytes_of(key, sizeof key)))
        s = table_cursor_next(cursor);
    if (s != STATUS_OK)
        return s;
    if (cursor->key.len != DUE_KEY_BYTES)
        return txn_fault(txn, STATUS_CORRUPT);
    return key_has_prefix(cursor->key, bytes_of(key, 4)) ? STATUS_OK : STATUS_END;
}

enum status outbox_due_next(struct txn *txn, uint32_t endpoint, int64_t until_ms,
                            struct delivery *inout_after, struct delivery *ret_delivery)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct uuid id;
    enum status s;

    inout_after->endpoint = endpoint;
    s = due_seek(&c, txn, inout_after);
    if (s != STATUS_OK)
        return s;
    if (due_key_ms(c.key) > until_ms)
        return STATUS_END;
    /* The place moves on before the delivery is read: one that is damaged is met once. */
    inout_after->due_ms = due_key_ms(c.key);
    memcpy(id.bytes, c.key.data + 12, UUID_BYTES);
    inout_after->id = id;
    return pending_find(txn, &id, ret_delivery);
}

/* The endpoint's first delivery that is due later than now. */
static enum status due_later(struct txn *txn, uint32_t endpoint, struct delivery *ret_delivery)
{
    struct delivery after = {.endpoint = endpoint, .due_ms = txn_now_ms(txn)};

    memset(after.id.bytes, 0xff, UUID_BYTES); /* behind each of that millisecond */
    return outbox_due_next(txn, endpoint, INT64_MAX, &after, ret_delivery);
}

bool outbox_hasten_endpoint(struct txn *txn, uint32_t endpoint, uint32_t rows_max)
{
    struct delivery d;

    for (uint32_t rows = 0; due_later(txn, endpoint, &d) == STATUS_OK; rows++) {
        if (rows == rows_max)
            return true;
        postpone(txn, &d, txn_now_ms(txn));
    }
    return false;
}

int64_t outbox_next_due_ms(struct txn *txn, uint32_t endpoint, int64_t after_ms)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct delivery after = {.endpoint = endpoint, .due_ms = after_ms};
    enum status s;

    if (after_ms == INT64_MAX)
        return INT64_MAX;
    memset(after.id.bytes, 0xff, UUID_BYTES); /* behind each of that millisecond */
    s = due_seek(&c, txn, &after);
    if (s == STATUS_OK)
        return due_key_ms(c.key);
    txn_doubt(txn, s);
    return INT64_MAX;
}

uint64_t outbox_pending_count(struct txn *txn, uint32_t endpoint)
{
    return counter_group_get(txn, COUNTERS_ENDPOINT_PENDING, endpoint);
}

/* One step an endpoint: its first row, then to the range of the next. */
enum status outbox_oldest_pending(struct txn *txn, struct delivery *ret_delivery)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct bytes oldest = {0};
    struct uuid id;
    uint8_t next[4];
    enum status s = table_cursor_open(&c, txn, TABLE_PENDING, (struct bytes){0});

    while (s == STATUS_OK) {
        if (c.key.len != PENDING_KEY_BYTES)
            return txn_fault(txn, STATUS_CORRUPT);
        struct bytes place = bytes_of(c.key.data + 4, UUID_BYTES);
        if (oldest.len == 0 || bytes_compare(place, oldest) < 0) {
            oldest = txn_keep(txn, place);
            s = txn_fault(txn, delivery_name_decode(c.row, &id));
        }
        uint32_t endpoint = get_be32(c.key.data);
        if (s != STATUS_OK || endpoint == UINT32_MAX)
            break;
        put_be32(next, endpoint + 1);
        s = table_cursor_seek(&c, bytes_of(next, sizeof next));
    }
    if (s != STATUS_OK && s != STATUS_END)
        return s;
    return oldest.len == 0 ? STATUS_NOT_FOUND : pending_find(txn, &id, ret_delivery);
}

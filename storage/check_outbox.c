/*
 * check_outbox: endpoints, deliveries and the tables that order them. Every pending delivery is in
 * `pending` and in its lane; the first of a lane, and no other, is in `due`.
 */
#include "storage/checker.h"
#include "storage/events.h"

#include <stdio.h>

static struct uuid uuid_at(const uint8_t *bytes)
{
    struct uuid uuid;

    memcpy(uuid.bytes, bytes, UUID_BYTES);
    return uuid;
}

static const char *delivery_text(const struct uuid *id, char out[TYPEID_TEXT_BYTES])
{
    typeid_format(DELIVERY_ID_PREFIX, id, out);
    return out;
}

/* ---- endpoints ---- */

void check_endpoint(struct checker *checker, struct bytes key, struct bytes row)
{
    uint32_t number = get_be32(key.data);
    struct endpoint endpoint;

    if (row.len == 0)
        return;
    if (!check_read(checker, endpoint_at(checker->txn, number, &endpoint))) {
        check_say(checker, "number %u: does not decode, or has no row in endpoint_notes", number);
        return;
    }
    check_id(checker, endpoint.id.bytes);
    for (unsigned i = 0; i < endpoint.pattern_count; i++)
        if (event_pattern_check(bytes_of_str(endpoint.patterns[i])) != STATUS_OK)
            check_say(checker, "number %u: \"%s\" is no pattern of events", number,
                      endpoint.patterns[i]);
}

void check_endpoint_note(struct checker *checker, struct bytes key, struct bytes row)
{
    uint32_t number = get_be32(key.data);
    struct endpoint endpoint;
    int64_t success_ms, failing_ms;
    enum status s = endpoint_at(checker->txn, number, &endpoint);

    if (row.len > 0 && endpoint_notes_decode(row, &success_ms, &failing_ms) != STATUS_OK)
        check_say(checker, "number %u: does not decode", number);
    if (s == STATUS_NOT_FOUND || (check_read(checker, s) && endpoint.state == ENDPOINT_DELETED))
        check_say(checker, "number %u: there is no such endpoint", number);
}

/* ---- deliveries ---- */

static void check_its_event(struct checker *checker, const struct delivery *delivery,
                            const char *text)
{
    struct event event;
    enum status s = event_at(checker->txn, delivery->sequence, &event);

    if (s == STATUS_NOT_FOUND)
        check_say(checker, "%s: event %ju does not exist", text, (uintmax_t)delivery->sequence);
    else if (check_read(checker, s) && !uuid_is_zero(&delivery->record) &&
             uuid_compare(&event.record, &delivery->record) != 0)
        check_say(checker, "%s: event %ju is about another record", text,
                  (uintmax_t)delivery->sequence);
}

static void check_its_endpoint(struct checker *checker, const struct delivery *delivery,
                               const char *text)
{
    struct endpoint endpoint;
    enum status s = endpoint_at(checker->txn, delivery->endpoint, &endpoint);

    if (s == STATUS_NOT_FOUND)
        check_say(checker, "%s: endpoint %u does not exist", text, delivery->endpoint);
    else if (check_read(checker, s) && delivery->state == DELIVERY_DELIVERED &&
             endpoint.state != ENDPOINT_DELETED &&
             !outbox_has_delivered(checker->txn, delivery->endpoint, delivery->sequence))
        check_say(checker, "%s: is delivered, and not noted in `delivered`", text);
}

static void check_its_rows(struct checker *checker, const struct delivery *delivery,
                           const char *text)
{
    uint8_t lane[LANE_KEY_BYTES], pending[PENDING_KEY_BYTES], event[EVENT_DELIVERY_KEY_BYTES];
    uint8_t attempt[ATTEMPT_KEY_BYTES];

    event_delivery_key(delivery, event);
    if (!check_has(checker, TABLE_EVENT_DELIVERIES, bytes_of(event, sizeof event)))
        check_say(checker, "%s: has no row in event_deliveries", text);
    attempt_key(&delivery->id, 1, attempt);
    if (delivery->attempt_count > 0 &&
        !check_has(checker, TABLE_ATTEMPTS, bytes_of(attempt, sizeof attempt)))
        check_say(checker, "%s: attempt 1 is missing", text);
    if (delivery->state != DELIVERY_PENDING)
        return;
    lane_key(delivery, lane);
    if (!check_has(checker, TABLE_LANES, bytes_of(lane, sizeof lane)))
        check_say(checker, "%s: is pending and has no row in lanes", text);
    pending_key(delivery, pending);
    if (!check_has(checker, TABLE_PENDING, bytes_of(pending, sizeof pending)))
        check_say(checker, "%s: is pending and has no row in pending", text);
}

void check_delivery(struct checker *checker, struct bytes key, struct bytes row)
{
    char text[TYPEID_TEXT_BYTES];
    struct delivery delivery;
    struct uuid id = uuid_at(key.data);

    checker->report->deliveries++;
    check_id(checker, key.data);
    delivery_text(&id, text);
    if (row.len == 0)
        return;
    if (delivery_decode(key, row, &delivery) != STATUS_OK) {
        check_say(checker, "%s: does not decode", text);
        return;
    }
    checker->states[delivery.state]++;
    check_id(checker, delivery.place.bytes);
    if ((delivery.state == DELIVERY_PENDING) != (delivery.finished_ms == 0))
        check_say(checker, "%s: is %s and has%s finished", text,
                  delivery_state_text(delivery.state), delivery.finished_ms == 0 ? " not" : "");
    check_its_event(checker, &delivery, text);
    check_its_endpoint(checker, &delivery, text);
    check_its_rows(checker, &delivery, text);
}

/* The delivery that a row names; false: said, or its own table says it. */
static bool find_named(struct checker *checker, const struct uuid *id, bool is_pending,
                       struct delivery *ret_delivery)
{
    char text[TYPEID_TEXT_BYTES];
    enum status s = delivery_find(checker->txn, id, ret_delivery);

    delivery_text(id, text);
    if (s == STATUS_NOT_FOUND)
        check_say(checker, "%s: does not exist", text);
    if (!check_read(checker, s))
        return false;
    if (is_pending && ret_delivery->state != DELIVERY_PENDING) {
        check_say(checker, "%s: is %s", text, delivery_state_text(ret_delivery->state));
        return false;
    }
    return true;
}

static void say_misplaced(struct checker *checker, const struct uuid *id)
{
    char text[TYPEID_TEXT_BYTES];

    check_say(checker, "%s: has a row that is not in its place", delivery_text(id, text));
}

void check_event_delivery(struct checker *checker, struct bytes key, struct bytes row)
{
    uint8_t expected[EVENT_DELIVERY_KEY_BYTES];
    struct uuid id = uuid_at(key.data + 12);
    struct delivery delivery;

    if (row.len > 0 && mark_decode(row) != STATUS_OK)
        check_say(checker, "event %ju: does not decode", (uintmax_t)get_be64(key.data));
    if (!find_named(checker, &id, false, &delivery))
        return;
    event_delivery_key(&delivery, expected);
    if (!bytes_equal(key, bytes_of(expected, sizeof expected)))
        say_misplaced(checker, &id);
}

/* ---- what is pending ---- */

/* Of a row of `pending` or `lanes`. */
static bool find_waiting(struct checker *checker, struct bytes row, struct delivery *ret_delivery)
{
    struct uuid id;

    if (row.len == 0)
        return false;
    if (delivery_name_decode(row, &id) != STATUS_OK) {
        check_say(checker, "a row does not decode");
        return false;
    }
    return find_named(checker, &id, true, ret_delivery);
}

void check_pending(struct checker *checker, struct bytes key, struct bytes row)
{
    uint8_t expected[PENDING_KEY_BYTES];
    struct delivery delivery;

    check_group(checker, get_be32(key.data));
    if (!find_waiting(checker, row, &delivery))
        return;
    pending_key(&delivery, expected);
    if (!bytes_equal(key, bytes_of(expected, sizeof expected)))
        say_misplaced(checker, &delivery.id);
}

void check_pending_end(struct checker *checker)
{
    check_group_end(checker);
}

void check_lane(struct checker *checker, struct bytes key, struct bytes row)
{
    uint8_t expected[LANE_KEY_BYTES], due[DUE_KEY_BYTES];
    bool is_first = memcmp(key.data, checker->at.lane, LANE_PREFIX_BYTES) != 0;
    char text[TYPEID_TEXT_BYTES];
    struct delivery delivery;
    bool is_due;

    memcpy(checker->at.lane, key.data, LANE_PREFIX_BYTES);
    if (!find_waiting(checker, row, &delivery))
        return;
    lane_key(&delivery, expected);
    if (!bytes_equal(key, bytes_of(expected, sizeof expected)))
        say_misplaced(checker, &delivery.id);
    due_key(&delivery, due);
    is_due = check_has(checker, TABLE_DUE, bytes_of(due, sizeof due));
    delivery_text(&delivery.id, text);
    if (is_first && !is_due)
        check_say(checker, "%s: is the first of its lane and has no row in due", text);
    if (!is_first && is_due)
        check_say(checker, "%s: is not the first of its lane and has a row in due", text);
}

void check_due(struct checker *checker, struct bytes key, struct bytes row)
{
    uint8_t expected[DUE_KEY_BYTES];
    struct uuid id = uuid_at(key.data + 12);
    struct delivery delivery;
    char text[TYPEID_TEXT_BYTES];

    if (row.len > 0 && mark_decode(row) != STATUS_OK)
        check_say(checker, "%s: does not decode", delivery_text(&id, text));
    if (!find_named(checker, &id, true, &delivery))
        return;
    due_key(&delivery, expected);
    if (!bytes_equal(key, bytes_of(expected, sizeof expected)))
        say_misplaced(checker, &id);
}

/* ---- what was taken, what was tried ---- */

void check_delivered(struct checker *checker, struct bytes key, struct bytes row)
{
    uint32_t endpoint = get_be32(key.data);
    uint64_t first = get_be64(key.data + 4) * DELIVERED_BLOCK_BITS;
    uint64_t last = event_last_sequence(checker->txn);
    struct bytes bits;

    if (!check_has(checker, TABLE_ENDPOINTS, bytes_of(key.data, 4)))
        check_say(checker, "endpoint %u: does not exist", endpoint);
    if (row.len == 0)
        return;
    if (delivered_decode(row, &bits) != STATUS_OK) {
        check_say(checker, "endpoint %u: events from %ju: does not decode", endpoint,
                  (uintmax_t)first);
        return;
    }
    for (unsigned i = 0; i < DELIVERED_BLOCK_BITS; i++) {
        bool is_set = bits.data[i / 8] & 0x80 >> i % 8;
        if (is_set && (first + i == 0 || first + i > last))
            check_say(checker, "endpoint %u: took event %ju, which does not exist", endpoint,
                      (uintmax_t)(first + i));
    }
}

/* The delivery whose attempts end with the row before. */
static void check_attempt_count(struct checker *checker)
{
    char text[TYPEID_TEXT_BYTES];
    struct delivery delivery;

    if (uuid_is_zero(&checker->at.id) ||
        !check_read(checker, delivery_find(checker->txn, &checker->at.id, &delivery)))
        return;
    if (delivery.attempt_count != checker->at.number)
        check_say(checker, "%s: has %u attempts logged, and counts %u",
                  delivery_text(&delivery.id, text), checker->at.number, delivery.attempt_count);
}

void check_attempts_end(struct checker *checker)
{
    check_attempt_count(checker);
}

void check_attempt(struct checker *checker, struct bytes key, struct bytes row)
{
    struct uuid id = uuid_at(key.data);
    uint16_t number = get_be16(key.data + UUID_BYTES);
    bool is_same = uuid_compare(&id, &checker->at.id) == 0;
    uint32_t expected = is_same ? checker->at.number + 1 : 1;
    char text[TYPEID_TEXT_BYTES];
    struct attempt attempt;

    checker->report->attempts++;
    delivery_text(&id, text);
    if (!is_same) {
        check_attempt_count(checker);
        if (!check_has(checker, TABLE_DELIVERIES, delivery_key(&id)))
            check_say(checker, "%s: does not exist", text);
    }
    if (number != expected)
        check_say(checker, "%s: attempt %u is missing", text, expected);
    checker->at.id = id;
    checker->at.number = number;
    if (row.len > 0 && attempt_decode(key, row, &attempt) != STATUS_OK)
        check_say(checker, "%s: attempt %u: does not decode", text, number);
}

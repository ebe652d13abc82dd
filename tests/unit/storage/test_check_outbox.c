/* check: each invariant of deliveries and what orders them, broken on purpose, is named with its
 * place. */
#include "checked_store.h"

/* ---- deliveries ---- */

static void a_delivery_of_an_endpoint_that_never_was_is_found(void **state)
{
    BREAKING(txn, w);
    struct uuid id = outbox_enqueue(txn, 77, 1, &w.live, T0);

    commit(txn);
    assert_found_of(t, "deliveries: %s: endpoint 77 does not exist", "dlv", &id);
}

static void a_delivery_in_another_records_lane_is_found(void **state)
{
    BREAKING(txn, w);
    struct uuid id = outbox_enqueue(txn, w.endpoint, 1, &w.keyless, T0);

    commit(txn);
    assert_found_of(t, "deliveries: %s: event 1 is about another record", "dlv", &id);
}

static void a_pending_delivery_that_has_finished_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.first);

    d.finished_ms = T0;
    delivery_put(txn, &d, false);
    commit(txn);
    assert_found_of(t, "deliveries: %s: is pending and has finished", "dlv", &w.first);
}

static void a_finished_delivery_that_has_not_finished_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.failed);

    d.finished_ms = 0;
    delivery_put(txn, &d, false);
    commit(txn);
    assert_found_of(t, "deliveries: %s: is failed and has not finished", "dlv", &w.failed);
}

static void a_delivery_that_was_taken_and_not_noted_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[DELIVERED_KEY_BYTES];

    delivered_key(w.endpoint, 1, key);
    drop(txn, TABLE_DELIVERED, key, sizeof key);
    commit(txn);
    assert_found_of(t, "deliveries: %s: is delivered, and not noted in `delivered`", "dlv",
                    &w.taken);
}

static void a_note_of_an_event_that_does_not_exist_is_found(void **state)
{
    BREAKING(txn, w);

    delivered_mark(txn, w.endpoint, 50);
    delivered_mark(txn, 88, 1);
    commit(txn);
    assert_found(t, "delivered: endpoint 1: took event 50, which does not exist");
    assert_found(t, "delivered: endpoint 88: does not exist");
}

static void a_delivery_that_its_event_does_not_lead_to_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.taken);
    uint8_t key[EVENT_DELIVERY_KEY_BYTES];

    event_delivery_key(&d, key);
    drop(txn, TABLE_EVENT_DELIVERIES, key, sizeof key);
    commit(txn);
    assert_found_of(t, "deliveries: %s: has no row in event_deliveries", "dlv", &w.taken);
}

static void an_events_row_of_no_delivery_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.taken);
    uint8_t key[EVENT_DELIVERY_KEY_BYTES];

    d.id = txn_uuid(txn);
    event_delivery_key(&d, key);
    mark_put(txn, TABLE_EVENT_DELIVERIES, bytes_of(key, sizeof key));
    commit(txn);
    assert_found_of(t, "event_deliveries: %s: does not exist", "dlv", &d.id);
}

static void an_events_row_in_the_wrong_place_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.taken);
    uint8_t key[EVENT_DELIVERY_KEY_BYTES];

    d.sequence = 4;
    event_delivery_key(&d, key);
    mark_put(txn, TABLE_EVENT_DELIVERIES, bytes_of(key, sizeof key));
    commit(txn);
    assert_found_of(t, "event_deliveries: %s: has a row that is not in its place", "dlv", &w.taken);
}

/* ---- what is pending ---- */

static void a_pending_delivery_outside_pending_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.first);
    uint8_t key[PENDING_KEY_BYTES];

    pending_key(&d, key);
    drop(txn, TABLE_PENDING, key, sizeof key);
    commit(txn);
    assert_found_of(t, "deliveries: %s: is pending and has no row in pending", "dlv", &w.first);
    assert_found(t, "pending: endpoint 1: has 1 rows, its counter says 2");
}

static void a_pending_delivery_outside_its_lane_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.second);
    uint8_t key[LANE_KEY_BYTES];

    lane_key(&d, key);
    drop(txn, TABLE_LANES, key, sizeof key);
    commit(txn);
    assert_found_of(t, "deliveries: %s: is pending and has no row in lanes", "dlv", &w.second);
}

static void a_row_of_pending_in_the_wrong_place_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.first);
    uint8_t key[PENDING_KEY_BYTES];

    d.place = txn_uuid(txn);
    pending_key(&d, key);
    delivery_name_put(txn, TABLE_PENDING, bytes_of(key, sizeof key), &d.id);
    commit(txn);
    assert_found_of(t, "pending: %s: has a row that is not in its place", "dlv", &w.first);
}

static void a_finished_delivery_in_pending_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.failed);
    uint8_t key[PENDING_KEY_BYTES];

    pending_key(&d, key);
    delivery_name_put(txn, TABLE_PENDING, bytes_of(key, sizeof key), &d.id);
    commit(txn);
    assert_found_of(t, "pending: %s: is failed", "dlv", &w.failed);
}

static void a_finished_delivery_in_a_lane_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.failed);
    uint8_t key[LANE_KEY_BYTES];

    lane_key(&d, key);
    delivery_name_put(txn, TABLE_LANES, bytes_of(key, sizeof key), &d.id);
    commit(txn);
    assert_found_of(t, "lanes: %s: is failed", "dlv", &w.failed);
}

static void a_delivery_in_two_lanes_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.first);
    uint8_t key[LANE_KEY_BYTES];

    d.record = w.keyless;
    lane_key(&d, key);
    delivery_name_put(txn, TABLE_LANES, bytes_of(key, sizeof key), &d.id);
    commit(txn);
    assert_found_of(t, "lanes: %s: has a row that is not in its place", "dlv", &w.first);
}

static void the_first_of_a_lane_that_is_not_due_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.first);
    uint8_t key[DUE_KEY_BYTES];

    due_key(&d, key);
    drop(txn, TABLE_DUE, key, sizeof key);
    commit(txn);
    assert_found_of(t, "lanes: %s: is the first of its lane and has no row in due", "dlv",
                    &w.first);
}

static void a_later_one_of_a_lane_that_is_due_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.second);
    uint8_t key[DUE_KEY_BYTES];

    due_key(&d, key);
    mark_put(txn, TABLE_DUE, bytes_of(key, sizeof key));
    commit(txn);
    assert_found_of(t, "lanes: %s: is not the first of its lane and has a row in due", "dlv",
                    &w.second);
}

static void a_due_row_at_another_time_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.first);
    uint8_t key[DUE_KEY_BYTES];

    d.due_ms++;
    due_key(&d, key);
    mark_put(txn, TABLE_DUE, bytes_of(key, sizeof key));
    commit(txn);
    assert_found_of(t, "due: %s: has a row that is not in its place", "dlv", &w.first);
}

static void a_due_row_of_a_finished_delivery_is_found(void **state)
{
    BREAKING(txn, w);
    struct delivery d = delivery_of(txn, &w.taken);
    uint8_t key[DUE_KEY_BYTES];

    due_key(&d, key);
    mark_put(txn, TABLE_DUE, bytes_of(key, sizeof key));
    commit(txn);
    assert_found_of(t, "due: %s: is delivered", "dlv", &w.taken);
}

static void a_due_row_of_no_delivery_is_found(void **state)
{
    BREAKING(txn, w);

    drop(txn, TABLE_DELIVERIES, w.first.bytes, UUID_BYTES);
    commit(txn);
    assert_found_of(t, "due: %s: does not exist", "dlv", &w.first);
    assert_found_of(t, "lanes: %s: does not exist", "dlv", &w.first);
    assert_found_of(t, "pending: %s: does not exist", "dlv", &w.first);
    assert_found(t, "counters: pending: 1 are there, the counter says 2");
}

/* ---- attempts ---- */

static void drop_attempt(struct txn *txn, const struct uuid *delivery, uint16_t number)
{
    uint8_t key[ATTEMPT_KEY_BYTES];

    attempt_key(delivery, number, key);
    drop(txn, TABLE_ATTEMPTS, key, sizeof key);
}

static void a_missing_first_attempt_is_found(void **state)
{
    BREAKING(txn, w);

    drop_attempt(txn, &w.taken, 1);
    commit(txn);
    assert_found_of(t, "attempts: %s: attempt 1 is missing", "dlv", &w.taken);
    assert_found_of(t, "deliveries: %s: attempt 1 is missing", "dlv", &w.taken);
}

static void a_missing_last_attempt_is_found(void **state)
{
    BREAKING(txn, w);

    drop_attempt(txn, &w.taken, 2);
    commit(txn);
    assert_found_of(t, "attempts: %s: has 1 attempts logged, and counts 2", "dlv", &w.taken);
}

static void an_attempt_of_no_delivery_is_found(void **state)
{
    BREAKING(txn, w);
    struct uuid none = txn_uuid(txn);
    struct attempt attempt = attempt_of(&none, 200);

    (void)w;
    attempt_put(txn, &attempt, 1);
    commit(txn);
    assert_found_of(t, "attempts: %s: does not exist", "dlv", &none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(a_delivery_of_an_endpoint_that_never_was_is_found),
        ON_STORE(a_delivery_in_another_records_lane_is_found),
        ON_STORE(a_pending_delivery_that_has_finished_is_found),
        ON_STORE(a_finished_delivery_that_has_not_finished_is_found),
        ON_STORE(a_delivery_that_was_taken_and_not_noted_is_found),
        ON_STORE(a_note_of_an_event_that_does_not_exist_is_found),
        ON_STORE(a_delivery_that_its_event_does_not_lead_to_is_found),
        ON_STORE(an_events_row_of_no_delivery_is_found),
        ON_STORE(an_events_row_in_the_wrong_place_is_found),
        ON_STORE(a_pending_delivery_outside_pending_is_found),
        ON_STORE(a_pending_delivery_outside_its_lane_is_found),
        ON_STORE(a_row_of_pending_in_the_wrong_place_is_found),
        ON_STORE(a_finished_delivery_in_pending_is_found),
        ON_STORE(a_finished_delivery_in_a_lane_is_found),
        ON_STORE(a_delivery_in_two_lanes_is_found),
        ON_STORE(the_first_of_a_lane_that_is_not_due_is_found),
        ON_STORE(a_later_one_of_a_lane_that_is_due_is_found),
        ON_STORE(a_due_row_at_another_time_is_found),
        ON_STORE(a_due_row_of_a_finished_delivery_is_found),
        ON_STORE(a_due_row_of_no_delivery_is_found),
        ON_STORE(a_missing_first_attempt_is_found),
        ON_STORE(a_missing_last_attempt_is_found),
        ON_STORE(an_attempt_of_no_delivery_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

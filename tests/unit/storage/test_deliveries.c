/* deliveries: pages, an event's deliveries, the memory of what was taken, retention, erasure. */
#include "storage/fault.h"
#include "temporary_store.h"

static void assert_page(struct txn *txn, int64_t since_ms, int64_t until_ms,
                        const struct uuid *expected, size_t count)
{
    struct uuid before = {{0}};
    struct delivery d;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(delivery_page_next(txn, since_ms, until_ms, &before, &d), STATUS_OK);
        assert_memory_equal(&d.id, &expected[i], sizeof d.id);
        assert_memory_equal(&before, &d.id, sizeof before);
    }
    assert_int_equal(delivery_page_next(txn, since_ms, until_ms, &before, &d), STATUS_END);
}

static struct uuid enqueue_at(struct temporary_store *t, int64_t now_ms, uint64_t sequence)
{
    struct txn *txn;
    struct uuid id;

    t->now_ms = now_ms;
    txn = begin_write(t);
    id = outbox_enqueue(txn, 1, sequence, &NO_RECORD, now_ms);
    commit(txn);
    return id;
}

static void pages_come_newest_first_and_within_their_times(void **state)
{
    struct temporary_store *t = *state;
    struct uuid first = enqueue_at(t, T0, 1);
    struct uuid second = enqueue_at(t, T0 + 10, 2);
    struct uuid third = enqueue_at(t, T0 + 20, 3);
    struct uuid all[3] = {third, second, first};
    struct txn *txn = begin_read(t);

    assert_page(txn, 0, 0, all, 3);
    assert_page(txn, T0 + 10, 0, all, 2);
    assert_page(txn, T0 + 11, 0, all, 1);
    assert_page(txn, T0 + 21, 0, NULL, 0);
    assert_page(txn, 0, T0 + 20, &all[1], 2);
    assert_page(txn, T0 + 1, T0 + 20, &second, 1);
    txn_abort(txn);
}

static void a_damaged_delivery_is_met_once_by_a_page(void **state)
{
    struct temporary_store *t = *state;
    struct uuid first = enqueue_at(t, T0, 1), damaged = enqueue_at(t, T0 + 1, 2);
    struct uuid before = {{0}};
    struct delivery d;
    struct txn *txn = begin_write(t);

    table_put(txn, TABLE_DELIVERIES, bytes_of(damaged.bytes, UUID_BYTES), bytes_of("\x01", 1));
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(delivery_page_next(txn, 0, 0, &before, &d), STATUS_CORRUPT);
    assert_int_equal(delivery_page_next(txn, 0, 0, &before, &d), STATUS_OK);
    assert_memory_equal(&d.id, &first, sizeof first);
    assert_int_equal(delivery_page_next(txn, 0, 0, &before, &d), STATUS_END);
    txn_abort(txn);
}

static void an_events_deliveries_are_found_by_its_sequence(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid on_two = outbox_enqueue(txn, 2, 5, &NO_RECORD, T0);
    struct uuid on_one = outbox_enqueue(txn, 1, 5, &NO_RECORD, T0);
    struct uuid replayed = outbox_enqueue(txn, 1, 5, &NO_RECORD, T0);
    struct uuid expected[3] = {on_one, replayed, on_two};
    struct delivery d = {0};

    (void)outbox_enqueue(txn, 1, 4, &NO_RECORD, T0);
    (void)outbox_enqueue(txn, 1, 6, &NO_RECORD, T0);
    commit(txn);
    txn = begin_read(t);
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_int_equal(event_delivery_next(txn, 5, &d), STATUS_OK);
        assert_memory_equal(&d.id, &expected[i], sizeof d.id);
    }
    assert_int_equal(event_delivery_next(txn, 5, &d), STATUS_END);
    d = (struct delivery){0};
    assert_int_equal(event_delivery_next(txn, 7, &d), STATUS_END);
    txn_abort(txn);
}

/* ---- what was taken ---- */

static void what_was_taken_is_known_by_endpoint_and_event(void **state)
{
    static const uint64_t taken[] = {1, 7, 8, 1023, 1024, 1025, 5000, UINT64_C(1) << 40};
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);

    for (size_t i = 0; i < COUNT(taken); i++) {
        struct uuid id = outbox_enqueue(txn, 3, taken[i], &NO_RECORD, T0);
        assert_false(outbox_has_delivered(txn, 3, taken[i]));
        finish(txn, &id, ATTEMPT_DELIVERED, 0);
    }
    commit(txn);
    txn = begin_read(t);
    for (size_t i = 0; i < COUNT(taken); i++) {
        assert_true(outbox_has_delivered(txn, 3, taken[i]));
        assert_false(outbox_has_delivered(txn, 2, taken[i]));
        assert_false(outbox_has_delivered(txn, 4, taken[i]));
    }
    assert_false(outbox_has_delivered(txn, 3, 2));
    assert_false(outbox_has_delivered(txn, 3, 1026));
    txn_abort(txn);
}

static void what_failed_was_not_taken(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);

    finish(txn, &id, ATTEMPT_FAILED, 0);
    assert_false(outbox_has_delivered(txn, 1, 1));
    commit(txn);
}

/* ---- retention ---- */

/* All that lies there of a delivery, over the tables. */
static uint64_t rows_of_outbox(struct txn *txn)
{
    return table_rows(txn, TABLE_DELIVERIES) + table_rows(txn, TABLE_EVENT_DELIVERIES) +
           table_rows(txn, TABLE_ATTEMPTS);
}

static void old_finished_deliveries_are_dropped_with_all_that_is_theirs(void **state)
{
    struct temporary_store *t = *state;
    struct uuid old = enqueue_at(t, T0, 1), pending = enqueue_at(t, T0, 2);
    struct uuid late = enqueue_at(t, T0, 3), fresh = enqueue_at(t, T0 + DAY_MS, 4);
    struct txn *txn;
    struct delivery d;

    t->now_ms = T0 + 1;
    txn = begin_write(t);
    finish(txn, &old, ATTEMPT_RETRY, T0);
    finish(txn, &old, ATTEMPT_DELIVERED, 0);
    commit(txn);
    t->now_ms = T0 + DAY_MS;
    txn = begin_write(t);
    finish(txn, &late, ATTEMPT_FAILED, 0);
    finish(txn, &fresh, ATTEMPT_DELIVERED, 0);
    assert_int_equal(rows_of_outbox(txn), 4 + 4 + 4);
    assert_false(outbox_prune(txn, T0 + DAY_MS, 100));
    assert_int_equal(rows_of_outbox(txn), 3 + 3 + 2);
    assert_int_equal(delivery_find(txn, &old, &d), STATUS_NOT_FOUND);
    assert_int_equal(delivery_find(txn, &pending, &d), STATUS_OK);
    assert_int_equal(delivery_find(txn, &late, &d), STATUS_OK);
    assert_int_equal(delivery_find(txn, &fresh, &d), STATUS_OK);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_DELIVERED), 1);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 4); /* ever */
    assert_true(outbox_has_delivered(txn, 1, 1));            /* for good */
    commit(txn);
}

static void retention_goes_on_where_it_stopped_and_comes_round(void **state)
{
    struct temporary_store *t = *state;
    struct uuid ids[10];
    struct txn *txn;

    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = enqueue_at(t, T0 + (int64_t)i, i + 1);
    txn = begin_write(t);
    for (size_t i = 5; i < COUNT(ids); i++) /* the older half stays pending */
        finish(txn, &ids[i], ATTEMPT_DELIVERED, 0);
    commit(txn);
    t->now_ms = T0 + DAY_MS;
    for (unsigned step = 0; step < 3; step++) { /* 3 pending; 2 and 1 dropped; 3 dropped */
        static const uint64_t left[] = {10, 9, 6};
        txn = begin_write(t);
        assert_true(outbox_prune(txn, T0 + DAY_MS, 3));
        assert_int_equal(table_rows(txn, TABLE_DELIVERIES), left[step]);
        commit(txn);
    }
    txn = begin_write(t);
    assert_false(outbox_prune(txn, T0 + DAY_MS, 3));
    assert_int_equal(table_rows(txn, TABLE_DELIVERIES), 5);
    finish(txn, &ids[0], ATTEMPT_DELIVERED, 0);
    commit(txn);
    t->now_ms += DAY_MS;
    txn = begin_write(t);
    assert_true(outbox_prune(txn, T0 + 2 * DAY_MS, 3)); /* from the start again */
    assert_int_equal(table_rows(txn, TABLE_DELIVERIES), 4);
    commit(txn);
}

static void retention_that_finds_nothing_changes_nothing(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn;
    uint64_t meta_rows;

    (void)enqueue_at(t, T0, 1);
    txn = begin_write(t);
    meta_rows = table_rows(txn, TABLE_META);
    assert_false(outbox_prune(txn, T0, 100));
    assert_false(outbox_prune(txn, T0 + DAY_MS, 100));
    assert_int_equal(table_rows(txn, TABLE_META), meta_rows);
    commit(txn);
}

/* ---- erasure ---- */

static void erasing_a_record_forgets_responses_and_ends_what_waits(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record, other, done, waiting[2], others;
    struct attempt attempt;
    uint64_t sequence = add_record(txn, &record, "WO-1", "{}");

    done = outbox_enqueue(txn, 1, sequence, &record, T0);
    finish(txn, &done, ATTEMPT_RETRY, T0);
    finish(txn, &done, ATTEMPT_DELIVERED, 0);
    sequence = add_revision(txn, &record, 2, "WO-1", "{\"a\":1}");
    waiting[0] = outbox_enqueue(txn, 1, sequence, &record, T0);
    waiting[1] = outbox_enqueue(txn, 2, sequence, &record, T0);
    finish(txn, &waiting[0], ATTEMPT_RETRY, T0);
    others = outbox_enqueue(txn, 1, add_record(txn, &other, "WO-2", "{}"), &other, T0);
    finish(txn, &others, ATTEMPT_RETRY, T0);

    assert_int_equal(outbox_erase_record(txn, &record), STATUS_OK);
    for (uint16_t number = 1; number <= 2; number++) {
        assert_int_equal(attempt_at(txn, &done, number, &attempt), STATUS_OK);
        assert_int_equal(attempt.response_body.len, 0);
        assert_true(attempt.request_headers.len > 0);
    }
    for (size_t i = 0; i < COUNT(waiting); i++) {
        assert_int_equal(delivery_of(txn, &waiting[i]).state, DELIVERY_FAILED);
        assert_string_equal(delivery_of(txn, &waiting[i]).reason, "record erased");
    }
    assert_int_equal(attempt_at(txn, &others, 1, &attempt), STATUS_OK);
    assert_true(attempt.response_body.len > 0);
    assert_int_equal(delivery_of(txn, &others).state, DELIVERY_PENDING);
    assert_int_equal(outbox_erase_record(txn, &record), STATUS_OK); /* again: the same */
    assert_int_equal(outbox_erase_record(txn, &done), STATUS_NOT_FOUND);
    commit(txn);
}

static void erasure_and_retention_fail_whole_at_any_place(void **state)
{
    struct temporary_store *t = *state;
    struct uuid record, id;
    struct txn *txn = begin_write(t);
    bool has_fired = true;

    id = outbox_enqueue(txn, 1, add_record(txn, &record, "WO-1", "{}"), &record, T0);
    finish(txn, &id, ATTEMPT_RETRY, T0);
    commit(txn);
    t->now_ms = T0 + DAY_MS;
    for (unsigned nth = 1; has_fired; nth++) {
        enum status s;
        fault_arm(nth, STATUS_IO);
        s = txn_write(t->store, t->now_ms, nth, &txn);
        if (s == STATUS_OK) {
            s = outbox_erase_record(txn, &record);
            (void)outbox_prune(txn, t->now_ms + 1, 10);
            s = txn_commit(txn);
        }
        has_fired = fault_disarm();
        assert_int_equal(s, has_fired ? STATUS_IO : STATUS_OK);
        txn = begin_read(t);
        assert_int_equal(table_rows(txn, TABLE_DELIVERIES), has_fired ? 1 : 0);
        assert_int_equal(table_rows(txn, TABLE_ATTEMPTS), has_fired ? 1 : 0);
        txn_abort(txn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(pages_come_newest_first_and_within_their_times),
        ON_STORE(a_damaged_delivery_is_met_once_by_a_page),
        ON_STORE(an_events_deliveries_are_found_by_its_sequence),
        ON_STORE(what_was_taken_is_known_by_endpoint_and_event),
        ON_STORE(what_failed_was_not_taken),
        ON_STORE(old_finished_deliveries_are_dropped_with_all_that_is_theirs),
        ON_STORE(retention_goes_on_where_it_stopped_and_comes_round),
        ON_STORE(retention_that_finds_nothing_changes_nothing),
        ON_STORE(erasing_a_record_forgets_responses_and_ends_what_waits),
        ON_STORE(erasure_and_retention_fail_whole_at_any_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* outbox: order within a lane, what is due when, outcomes, retries by hand, bounds, and faults. */
#include "storage/fault.h"
#include "temporary_store.h"

static void assert_due(struct txn *txn, uint32_t endpoint, int64_t until_ms,
                       const struct uuid *expected, size_t count)
{
    struct delivery after = {0}, delivery;

    for (size_t i = 0; i < count; i++) {
        assert_int_equal(outbox_due_next(txn, endpoint, until_ms, &after, &delivery), STATUS_OK);
        assert_memory_equal(&delivery.id, &expected[i], sizeof expected[i]);
    }
    assert_int_equal(outbox_due_next(txn, endpoint, until_ms, &after, &delivery), STATUS_END);
}

static void an_enqueued_delivery_is_due_at_its_time(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record;
    uint64_t sequence = add_record(txn, &record, "A", "{}");
    struct uuid id = outbox_enqueue(txn, 7, sequence, &record, T0 + 10);
    struct delivery d;

    commit(txn);
    txn = begin_read(t);
    assert_due(txn, 7, T0 + 9, NULL, 0);
    assert_due(txn, 7, T0 + 10, &id, 1);
    assert_due(txn, 8, INT64_MAX, NULL, 0);
    assert_due(txn, 6, INT64_MAX, NULL, 0);
    d = delivery_of(txn, &id);
    assert_int_equal(d.sequence, sequence);
    assert_int_equal(d.endpoint, 7);
    assert_memory_equal(&d.record, &record, sizeof record);
    assert_int_equal(d.state, DELIVERY_PENDING);
    assert_int_equal(d.attempt_count, 0);
    assert_int_equal(d.created_ms, T0);
    assert_int_equal(d.due_ms, T0 + 10);
    assert_int_equal(d.finished_ms, 0);
    assert_string_equal(d.reason, "");
    txn_abort(txn);
}

static void one_records_deliveries_wait_for_each_other(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record = txn_uuid(txn);
    struct uuid ids[3];

    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = outbox_enqueue(txn, 1, i + 1, &record, T0);
    for (size_t i = 0; i < COUNT(ids); i++) {
        assert_due(txn, 1, INT64_MAX, &ids[i], 1);
        finish(txn, &ids[i], i == 1 ? ATTEMPT_FAILED : ATTEMPT_DELIVERED, 0);
    }
    assert_due(txn, 1, INT64_MAX, NULL, 0);
    commit(txn);
}

static void a_retry_holds_back_its_lane(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record = txn_uuid(txn);
    struct uuid first = outbox_enqueue(txn, 1, 1, &record, T0);
    struct uuid second = outbox_enqueue(txn, 1, 2, &record, T0);
    struct delivery d;

    finish(txn, &first, ATTEMPT_RETRY, T0 + MINUTE_MS);
    assert_due(txn, 1, T0 + MINUTE_MS - 1, NULL, 0);
    assert_due(txn, 1, T0 + MINUTE_MS, &first, 1);
    d = delivery_of(txn, &first);
    assert_int_equal(d.state, DELIVERY_PENDING);
    assert_int_equal(d.attempt_count, 1);
    assert_int_equal(d.retry_count, 1);
    assert_int_equal(d.last_status, 500);
    finish(txn, &first, ATTEMPT_DELIVERED, 0);
    assert_due(txn, 1, T0, &second, 1);
    commit(txn);
}

static void records_and_endpoints_do_not_wait_for_each_other(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid a = txn_uuid(txn), b = txn_uuid(txn);
    struct uuid first[2] = {outbox_enqueue(txn, 1, 1, &a, T0), outbox_enqueue(txn, 1, 2, &b, T0)};
    struct uuid second[2] = {outbox_enqueue(txn, 2, 1, &a, T0), outbox_enqueue(txn, 2, 2, &b, T0)};

    assert_due(txn, 1, T0, first, 2);
    assert_due(txn, 2, T0, second, 2);
    commit(txn);
}

static void deliveries_of_no_record_do_not_wait(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid ids[2] = {outbox_enqueue(txn, 1, 1, &NO_RECORD, T0),
                          outbox_enqueue(txn, 1, 2, &NO_RECORD, T0)};

    assert_due(txn, 1, T0, ids, 2);
    finish(txn, &ids[0], ATTEMPT_DELIVERED, 0);
    assert_due(txn, 1, T0, &ids[1], 1);
    commit(txn);
}

static void what_is_due_comes_by_time_and_a_reader_skips_what_it_has(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid late = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0 + 5);
    struct uuid early = outbox_enqueue(txn, 1, 2, &NO_RECORD, T0 + 3);
    struct uuid order[2] = {early, late};

    assert_due(txn, 1, T0 + 5, order, 2);
    assert_int_equal(outbox_next_due_ms(txn, 1, 0), T0 + 3);
    assert_int_equal(outbox_next_due_ms(txn, 1, T0 + 3), T0 + 5);
    assert_int_equal(outbox_next_due_ms(txn, 1, T0 + 5), INT64_MAX);
    assert_int_equal(outbox_next_due_ms(txn, 1, INT64_MAX), INT64_MAX);
    assert_int_equal(outbox_next_due_ms(txn, 2, 0), INT64_MAX);
    commit(txn);
}

static void a_finished_delivery_takes_no_second_outcome(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);
    struct attempt attempt = attempt_of(&id, 200), stored;
    struct attempt unknown = attempt_of(&NO_RECORD, 200);

    finish(txn, &id, ATTEMPT_DELIVERED, 0);
    assert_int_equal(outbox_finish(txn, &attempt, ATTEMPT_FAILED, 0), STATUS_NOT_FOUND);
    assert_int_equal(outbox_finish(txn, &unknown, ATTEMPT_FAILED, 0), STATUS_NOT_FOUND);
    assert_int_equal(delivery_of(txn, &id).state, DELIVERY_DELIVERED);
    assert_int_equal(delivery_of(txn, &id).finished_ms, T0);
    assert_int_equal(attempt_at(txn, &id, 2, &stored), STATUS_NOT_FOUND);
    commit(txn);
}

static void every_attempt_is_logged_in_full(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);
    struct attempt attempt = attempt_of(&id, 0), stored;

    attempt.error = bytes_of_str("connection refused");
    attempt.payload_hash[31] = 9;
    attempt.number = 77; /* not looked at */
    assert_int_equal(outbox_finish(txn, &attempt, ATTEMPT_RETRY, T0 + 1), STATUS_OK);
    finish(txn, &id, ATTEMPT_DELIVERED, 0);
    commit(txn);

    txn = begin_read(t);
    assert_int_equal(attempt_at(txn, &id, 1, &stored), STATUS_OK);
    assert_memory_equal(&stored.delivery, &id, sizeof id);
    assert_int_equal(stored.number, 1);
    assert_int_equal(stored.at_ms, T0);
    assert_int_equal(stored.duration_ms, 12);
    assert_int_equal(stored.http_status, 0);
    assert_int_equal(stored.payload_hash[31], 9);
    assert_true(bytes_equal(stored.url, attempt.url));
    assert_true(bytes_equal(stored.address, attempt.address));
    assert_true(bytes_equal(stored.error, attempt.error));
    assert_true(bytes_equal(stored.request_headers, attempt.request_headers));
    assert_true(bytes_equal(stored.response_body, attempt.response_body));
    assert_int_equal(attempt_at(txn, &id, 2, &stored), STATUS_OK);
    assert_int_equal(stored.http_status, 200);
    assert_int_equal(attempt_at(txn, &id, 3, &stored), STATUS_NOT_FOUND);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 2);
    txn_abort(txn);
}

static void a_response_body_is_cut_to_its_bound(void **state)
{
    static const uint8_t large[ATTEMPT_BODY_MAX + 1];
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);
    struct attempt attempt = attempt_of(&id, 200), stored;

    attempt.response_body = bytes_of(large, sizeof large);
    assert_int_equal(outbox_finish(txn, &attempt, ATTEMPT_DELIVERED, 0), STATUS_OK);
    assert_int_equal(attempt_at(txn, &id, 1, &stored), STATUS_OK);
    assert_int_equal(stored.response_body.len, ATTEMPT_BODY_MAX);
    commit(txn);
}

static void a_failed_delivery_retried_by_hand_goes_to_the_end_of_its_lane(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    uint32_t endpoint = add_endpoint(txn, NULL);
    struct uuid record = txn_uuid(txn);
    struct uuid first = outbox_enqueue(txn, endpoint, 1, &record, T0);
    struct uuid second = outbox_enqueue(txn, endpoint, 2, &record, T0);
    struct delivery d;

    finish(txn, &first, ATTEMPT_RETRY, T0);
    finish(txn, &first, ATTEMPT_FAILED, 0);
    assert_int_equal(outbox_retry(txn, &first), STATUS_OK);
    assert_due(txn, endpoint, INT64_MAX, &second, 1);
    d = delivery_of(txn, &first);
    assert_int_equal(d.state, DELIVERY_PENDING);
    assert_int_equal(d.attempt_count, 2);
    assert_int_equal(d.retry_count, 0);
    assert_int_equal(d.finished_ms, 0);
    assert_true(uuid_compare(&d.place, &second) > 0);
    finish(txn, &second, ATTEMPT_DELIVERED, 0);
    assert_due(txn, endpoint, T0, &first, 1);
    finish(txn, &first, ATTEMPT_DELIVERED, 0);
    assert_int_equal(delivery_of(txn, &first).attempt_count, 3);
    assert_int_equal(outbox_pending_count(txn, endpoint), 0);
    commit(txn);
}

static void a_delivered_delivery_can_be_sent_again(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    uint32_t endpoint = add_endpoint(txn, NULL);
    struct uuid id = outbox_enqueue(txn, endpoint, 1, &NO_RECORD, T0);

    finish(txn, &id, ATTEMPT_DELIVERED, 0);
    assert_int_equal(outbox_retry(txn, &id), STATUS_OK);
    assert_due(txn, endpoint, T0, &id, 1);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_DELIVERED), 0);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_PENDING), 1);
    assert_true(outbox_has_delivered(txn, endpoint, 1));
    commit(txn);
}

static void a_pending_delivery_retried_by_hand_is_due_now(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record = txn_uuid(txn);
    struct uuid first = outbox_enqueue(txn, 1, 1, &record, T0);
    struct uuid second = outbox_enqueue(txn, 1, 2, &record, T0);

    finish(txn, &first, ATTEMPT_RETRY, T0 + DAY_MS);
    assert_int_equal(outbox_retry(txn, &second), STATUS_OK); /* waits for the first all the same */
    assert_due(txn, 1, T0, NULL, 0);
    assert_int_equal(outbox_retry(txn, &first), STATUS_OK);
    assert_due(txn, 1, T0, &first, 1);
    assert_int_equal(delivery_of(txn, &first).retry_count, 1);
    assert_int_equal(outbox_retry(txn, &NO_RECORD), STATUS_NOT_FOUND);
    commit(txn);
}

/* Cancelled and retried by hand while the attempt was on its way. */
static void an_outcome_of_one_that_is_not_first_any_more_disturbs_nobody(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    uint32_t endpoint = add_endpoint(txn, NULL);
    struct uuid record = txn_uuid(txn);
    struct uuid first = outbox_enqueue(txn, endpoint, 1, &record, T0);
    struct uuid second = outbox_enqueue(txn, endpoint, 2, &record, T0);

    finish(txn, &first, ATTEMPT_FAILED, 0);
    assert_int_equal(outbox_retry(txn, &first), STATUS_OK);
    finish(txn, &first, ATTEMPT_RETRY, T0 + 5);
    assert_due(txn, endpoint, INT64_MAX, &second, 1);
    finish(txn, &first, ATTEMPT_DELIVERED, 0);
    assert_due(txn, endpoint, INT64_MAX, &second, 1);
    finish(txn, &second, ATTEMPT_DELIVERED, 0);
    assert_due(txn, endpoint, INT64_MAX, NULL, 0);
    commit(txn);
}

static void failing_an_endpoint_ends_what_is_pending_step_by_step(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record = txn_uuid(txn);
    struct uuid ids[5], other = outbox_enqueue(txn, 2, 1, &record, T0);

    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = outbox_enqueue(txn, 1, i + 1, i < 3 ? &record : &NO_RECORD, T0);
    assert_true(outbox_fail_endpoint(txn, 1, "endpoint deleted", 2));
    assert_int_equal(outbox_pending_count(txn, 1), 3);
    assert_due(txn, 1, T0, &ids[2], 3); /* the lane's next, and the two of no record */
    assert_true(outbox_fail_endpoint(txn, 1, "endpoint deleted", 2));
    assert_false(outbox_fail_endpoint(txn, 1, "endpoint deleted", 2));
    assert_int_equal(outbox_pending_count(txn, 1), 0);
    assert_due(txn, 1, INT64_MAX, NULL, 0);
    assert_due(txn, 2, T0, &other, 1);
    for (size_t i = 0; i < COUNT(ids); i++) {
        assert_int_equal(delivery_of(txn, &ids[i]).state, DELIVERY_FAILED);
        assert_string_equal(delivery_of(txn, &ids[i]).reason, "endpoint deleted");
    }
    commit(txn);
}

static void what_waits_for_an_endpoint_is_hastened_in_steps(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid record = txn_uuid(txn), ids[4];

    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = outbox_enqueue(txn, 1, i + 1, &NO_RECORD, T0 + (int64_t)i * DAY_MS);
    struct uuid first = outbox_enqueue(txn, 1, 5, &record, T0);
    (void)outbox_enqueue(txn, 1, 6, &record, T0);
    finish(txn, &first, ATTEMPT_RETRY, T0 + HOUR_MS);
    struct uuid other = outbox_enqueue(txn, 2, 7, &NO_RECORD, T0 + HOUR_MS);
    assert_true(outbox_hasten_endpoint(txn, 1, 2));
    assert_false(outbox_hasten_endpoint(txn, 1, 2));
    assert_false(outbox_hasten_endpoint(txn, 1, 0));
    assert_due(txn, 1, T0, (struct uuid[]){ids[0], ids[1], ids[2], ids[3], first}, 5);
    assert_int_equal(delivery_of(txn, &first).retry_count, 1);
    assert_due(txn, 2, T0 + HOUR_MS - 1, NULL, 0);
    assert_due(txn, 2, T0 + HOUR_MS, &other, 1);
    commit(txn);
}

static void counters_tell_the_states(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid ids[3];

    for (size_t i = 0; i < COUNT(ids); i++)
        ids[i] = outbox_enqueue(txn, 1 + (i == 2), i + 1, &NO_RECORD, T0);
    finish(txn, &ids[0], ATTEMPT_DELIVERED, 0);
    finish(txn, &ids[1], ATTEMPT_FAILED, 0);
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_PENDING), 1);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_DELIVERED), 1);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_FAILED), 1);
    assert_int_equal(outbox_pending_count(txn, 1), 0);
    assert_int_equal(outbox_pending_count(txn, 2), 1);
    txn_abort(txn);
}

static void the_oldest_pending_is_found_over_all_endpoints(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid oldest, second;
    struct delivery d;

    assert_int_equal(outbox_oldest_pending(txn, &d), STATUS_NOT_FOUND);
    oldest = outbox_enqueue(txn, UINT32_MAX, 1, &NO_RECORD, T0 + DAY_MS);
    second = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);
    (void)outbox_enqueue(txn, 5, 1, &NO_RECORD, T0);
    (void)outbox_enqueue(txn, 1, 2, &NO_RECORD, T0);
    assert_int_equal(outbox_oldest_pending(txn, &d), STATUS_OK);
    assert_memory_equal(&d.id, &oldest, sizeof oldest);
    finish(txn, &oldest, ATTEMPT_DELIVERED, 0);
    assert_int_equal(outbox_oldest_pending(txn, &d), STATUS_OK);
    assert_memory_equal(&d.id, &second, sizeof second);
    commit(txn);
}

static void a_damaged_due_row_is_met_once_by_a_reader(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid gone = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);
    struct uuid whole = outbox_enqueue(txn, 1, 2, &NO_RECORD, T0);
    struct delivery after = {0}, d;

    assert_int_equal(table_delete(txn, TABLE_DELIVERIES, bytes_of(gone.bytes, UUID_BYTES)),
                     STATUS_OK);
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(outbox_due_next(txn, 1, T0, &after, &d), STATUS_CORRUPT);
    assert_int_equal(outbox_due_next(txn, 1, T0, &after, &d), STATUS_OK);
    assert_memory_equal(&d.id, &whole, sizeof whole);
    assert_int_equal(outbox_due_next(txn, 1, T0, &after, &d), STATUS_END);
    txn_abort(txn);
}

static void waiting_deliveries_survive_a_restart(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = outbox_enqueue(txn, 1, 1, &NO_RECORD, T0);

    commit(txn);
    store_close(t->store);
    temporary_store_open(t);
    txn = begin_read(t);
    assert_due(txn, 1, T0, &id, 1);
    txn_abort(txn);
}

/* Whatever fails, wherever: nothing of the transaction is stored, and the commit says so. */
static void a_fault_at_any_place_leaves_nothing_behind(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    uint32_t endpoint = add_endpoint(txn, NULL);
    struct uuid record = txn_uuid(txn);
    struct uuid first = outbox_enqueue(txn, endpoint, 1, &record, T0);
    struct uuid second = outbox_enqueue(txn, endpoint, 2, &record, T0);
    struct attempt attempt = attempt_of(&first, 200);
    bool has_fired = true;

    commit(txn);
    for (unsigned nth = 1; has_fired; nth++) {
        enum status s;
        fault_arm(nth, STATUS_IO);
        s = txn_write(t->store, T0 + 1, nth, &txn);
        if (s == STATUS_OK) {
            s = outbox_finish(txn, &attempt, ATTEMPT_DELIVERED, 0);
            s = outbox_retry(txn, &first); /* each goes on, as if it did not look */
            (void)outbox_enqueue(txn, endpoint, 3, &record, T0);
            (void)outbox_fail_endpoint(txn, endpoint, "test", 10);
            s = txn_commit(txn);
        }
        has_fired = fault_disarm();
        assert_int_equal(s, has_fired ? STATUS_IO : STATUS_OK);
        txn = begin_read(t);
        if (has_fired) {
            assert_due(txn, endpoint, INT64_MAX, &first, 1);
            assert_int_equal(outbox_pending_count(txn, endpoint), 2);
        } else {
            assert_due(txn, endpoint, INT64_MAX, NULL, 0);
            assert_int_equal(delivery_of(txn, &second).state, DELIVERY_FAILED);
            assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_FAILED), 3);
        }
        txn_abort(txn);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(an_enqueued_delivery_is_due_at_its_time),
        ON_STORE(one_records_deliveries_wait_for_each_other),
        ON_STORE(a_retry_holds_back_its_lane),
        ON_STORE(records_and_endpoints_do_not_wait_for_each_other),
        ON_STORE(deliveries_of_no_record_do_not_wait),
        ON_STORE(what_is_due_comes_by_time_and_a_reader_skips_what_it_has),
        ON_STORE(a_finished_delivery_takes_no_second_outcome),
        ON_STORE(every_attempt_is_logged_in_full),
        ON_STORE(a_response_body_is_cut_to_its_bound),
        ON_STORE(a_failed_delivery_retried_by_hand_goes_to_the_end_of_its_lane),
        ON_STORE(a_delivered_delivery_can_be_sent_again),
        ON_STORE(a_pending_delivery_retried_by_hand_is_due_now),
        ON_STORE(an_outcome_of_one_that_is_not_first_any_more_disturbs_nobody),
        ON_STORE(failing_an_endpoint_ends_what_is_pending_step_by_step),
        ON_STORE(what_waits_for_an_endpoint_is_hastened_in_steps),
        ON_STORE(counters_tell_the_states),
        ON_STORE(the_oldest_pending_is_found_over_all_endpoints),
        ON_STORE(a_damaged_due_row_is_met_once_by_a_reader),
        ON_STORE(waiting_deliveries_survive_a_restart),
        ON_STORE(a_fault_at_any_place_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

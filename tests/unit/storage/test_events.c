/* events: the gap-free sequence, bisection by id and time, erasure. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/events.h"

static void append(struct txn *txn, const char *name, const char *data)
{
    struct event event = {
        .time_ms = txn_now_ms(txn), .name = bytes_of_str(name), .data = bytes_of_str(data)};

    event_append(txn, &event);
}

static void an_event_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct event put = {.time_ms = 77,
                        .name = bytes_of_str("employee.assigned"),
                        .type = 3,
                        .record = txn_uuid(txn),
                        .revision = 9,
                        .is_update = true,
                        .each_member = bytes_of_str("assignments"),
                        .element = 4},
                 got;

    event_append(txn, &put);
    assert_int_equal(put.sequence, 1);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(event_at(txn, 1, &got), STATUS_OK);
    assert_int_equal(got.sequence, 1);
    assert_int_equal(uuid_compare(&got.id, &put.id), 0);
    assert_int_equal(got.time_ms, 77);
    assert_bytes_equal(got.name, "employee.assigned");
    assert_int_equal(got.type, 3);
    assert_int_equal(uuid_compare(&got.record, &put.record), 0);
    assert_int_equal(got.revision, 9);
    assert_true(got.is_update);
    assert_bytes_equal(got.each_member, "assignments");
    assert_int_equal(got.element, 4);
    assert_int_equal(got.data.len, 0);
    txn_abort(txn);
}

static void append_change(struct txn *txn, struct event *events, size_t count)
{
    static const char *const NAMES[] = {"a.created", "a.assigned", "a.done"};

    memset(events, 0, count * sizeof(*events));
    for (size_t i = 0; i < count; i++)
        events[i] = (struct event){.time_ms = txn_now_ms(txn),
                                   .name = bytes_of_str(NAMES[i % 3]),
                                   .type = 1,
                                   .record = uuid_first_at(5),
                                   .revision = (uint32_t)count,
                                   .each_member = bytes_of_str(i % 3 == 1 ? "people" : ""),
                                   .element = (uint32_t)(i % 3 == 1 ? i : 0)};
    events_append(txn, events, count);
}

/* Each of each change, by its number and by its id, and none beyond the last. */
static void the_events_of_a_change_come_back_one_by_one(void **state)
{
    static const size_t COUNTS[] = {1, 2, 3, 1, 1000, EVENTS_AT_ONCE_MAX, 1};
    static struct event put[EVENTS_AT_ONCE_MAX];
    struct fixture *f = *state;
    uint64_t sequence = 0;
    struct txn *txn;
    struct event got;

    for (size_t c = 0; c < sizeof(COUNTS) / sizeof(COUNTS[0]); c++) {
        txn = fixture_write(f);
        append_change(txn, put, COUNTS[c]);
        assert_int_equal(event_last_sequence(txn), sequence + COUNTS[c]);
        fixture_commit(txn);
        if (c % 2)
            fixture_reopen(f);
        txn = fixture_read(f);
        for (size_t i = 0; i < COUNTS[c]; i++) {
            assert_int_equal(put[i].sequence, ++sequence);
            assert_int_equal(event_at(txn, sequence, &got), STATUS_OK);
            assert_int_equal(got.sequence, sequence);
            assert_int_equal(uuid_compare(&got.id, &put[i].id), 0);
            assert_true(bytes_equal(got.name, put[i].name));
            assert_true(bytes_equal(got.each_member, put[i].each_member));
            assert_int_equal(got.element, put[i].element);
            assert_int_equal(got.revision, COUNTS[c]);
            assert_int_equal(event_find(txn, &put[i].id, &got), STATUS_OK);
            assert_int_equal(got.sequence, sequence);
        }
        assert_int_equal(event_at(txn, sequence + 1, &got), STATUS_NOT_FOUND);
        assert_int_equal(event_last_sequence(txn), sequence);
        txn_abort(txn);
    }
}

static void the_sequence_has_no_gap_whatever_was_aborted(void **state)
{
    struct fixture *f = *state;
    uint64_t expected = 0;

    for (int i = 0; i < 20; i++) {
        struct txn *txn = fixture_write(f), *child;

        assert_int_equal(event_last_sequence(txn), expected);
        append(txn, "a", "{}");
        assert_int_equal(txn_nest(txn, &child), STATUS_OK);
        append(child, "b", "{}");
        assert_int_equal(event_last_sequence(child), expected + 2);
        if (i % 2)
            txn_abort(child);
        else
            fixture_commit(child);
        append(txn, "c", "{}");
        if (i % 3 == 0) {
            txn_abort(txn);
        } else {
            fixture_commit(txn);
            expected += i % 2 ? 2 : 3;
        }
        if (i % 5 == 0)
            fixture_reopen(f);
    }
    {
        struct txn *txn = fixture_read(f);
        struct event event;

        assert_int_equal(event_last_sequence(txn), expected);
        for (uint64_t n = 1; n <= expected; n++)
            assert_int_equal(event_at(txn, n, &event), STATUS_OK);
        assert_int_equal(event_at(txn, expected + 1, &event), STATUS_NOT_FOUND);
        assert_int_equal(event_at(txn, 0, &event), STATUS_NOT_FOUND);
        txn_abort(txn);
    }
}

static void an_event_is_found_by_its_id(void **state)
{
    struct fixture *f = *state;
    struct event event, found;
    struct uuid none;
    struct txn *txn;

    for (int i = 0; i < 30; i++) {
        txn = fixture_write(f);
        for (int k = 0; k < 5; k++)
            append(txn, "x", "{}");
        fixture_commit(txn);
    }
    txn = fixture_write(f);
    for (uint64_t n = 1; n <= 150; n++) {
        assert_int_equal(event_at(txn, n, &event), STATUS_OK);
        assert_int_equal(event_find(txn, &event.id, &found), STATUS_OK);
        assert_int_equal(found.sequence, n);
    }
    none = txn_uuid(txn);
    assert_int_equal(event_find(txn, &none, &found), STATUS_NOT_FOUND);
    none = uuid_first_at(1);
    assert_int_equal(event_find(txn, &none, &found), STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void a_time_is_found_by_bisection(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_read(f);

    assert_int_equal(event_sequence_since(txn, 5), 1);
    txn_abort(txn);
    for (int i = 0; i < 10; i++) {
        f->now_ms = 10000 + 100 * i;
        txn = fixture_write(f);
        append(txn, "x", "{}");
        append(txn, "x", "{}");
        fixture_commit(txn);
    }
    txn = fixture_read(f);
    assert_int_equal(event_sequence_since(txn, 0), 1);
    assert_int_equal(event_sequence_since(txn, 10000), 1);
    assert_int_equal(event_sequence_since(txn, 10001), 3);
    assert_int_equal(event_sequence_since(txn, 10500), 11);
    assert_int_equal(event_sequence_since(txn, 10901), 21);
    txn_abort(txn);
}

static void erased_data_is_an_empty_object(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct event event;

    append(txn, "delivery.failed", "{\"secret\":\"SECRET\"}");
    fixture_commit(txn);
    txn = fixture_write(f);
    assert_int_equal(event_erase_data(txn, 1), STATUS_OK);
    assert_int_equal(event_erase_data(txn, 2), STATUS_NOT_FOUND);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(event_at(txn, 1, &event), STATUS_OK);
    assert_bytes_equal(event.data, "{}");
    assert_bytes_equal(event.name, "delivery.failed");
    txn_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_event_comes_back_as_it_was_put),
        STORE_TEST(the_events_of_a_change_come_back_one_by_one),
        STORE_TEST(the_sequence_has_no_gap_whatever_was_aborted),
        STORE_TEST(an_event_is_found_by_its_id),
        STORE_TEST(a_time_is_found_by_bisection),
        STORE_TEST(erased_data_is_an_empty_object),
    };

    return cmocka_run_group_tests_name("storage/events", tests, NULL, NULL);
}

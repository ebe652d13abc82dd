/* reports: schedules are arithmetic, rows come back. */
#include "storage/reports.h"
#include "temporary_store.h"

static int64_t time_of(const char *text)
{
    int64_t ms;

    assert_int_equal(time_parse(bytes_of_str(text), &ms), STATUS_OK);
    return ms;
}

static void the_next_time_is_the_first_one_after(void **state)
{
    static const struct {
        enum report_every every;
        uint16_t at_minute;
        const char *after, *due;
    } cases[] = {
        {REPORT_HOURLY, 15, "2026-11-20T13:14:59Z", "2026-11-20T13:15:00Z"},
        {REPORT_HOURLY, 15, "2026-11-20T13:15:00Z", "2026-11-20T14:15:00Z"},
        {REPORT_HOURLY, 60 * 7 + 15, "2026-11-20T13:15:00Z", "2026-11-20T14:15:00Z"},
        {REPORT_DAILY, 60 * 7, "2026-11-20T06:59:59Z", "2026-11-20T07:00:00Z"},
        {REPORT_DAILY, 60 * 7, "2026-11-20T07:00:00Z", "2026-11-21T07:00:00Z"},
        {REPORT_DAILY, 0, "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"},
        /* 2026-11-20 is a Friday */
        {REPORT_WEEKLY, 60 * 7, "2026-11-20T12:00:00Z", "2026-11-23T07:00:00Z"},
        {REPORT_WEEKLY, 60 * 7, "2026-11-23T06:59:00Z", "2026-11-23T07:00:00Z"},
        {REPORT_WEEKLY, 60 * 7, "2026-11-23T07:00:00Z", "2026-11-30T07:00:00Z"},
        {REPORT_WEEKLY, 0, "1970-01-01T00:00:00Z", "1970-01-05T00:00:00Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct report report = {.every = cases[i].every, .at_minute = cases[i].at_minute};
        assert_int_equal(report_due_after(&report, time_of(cases[i].after)), time_of(cases[i].due));
    }
}

static void the_words_are_hour_day_and_week(void **state)
{
    enum report_every every;

    (void)state;
    assert_int_equal(report_every_parse(bytes_of_str("week"), &every), STATUS_OK);
    assert_int_equal(every, REPORT_WEEKLY);
    assert_string_equal(report_every_text(REPORT_HOURLY), "hour");
    assert_int_equal(report_every_parse(bytes_of_str("month"), &every), STATUS_INVALID);
    assert_int_equal(report_every_parse(bytes_of_str(""), &every), STATUS_INVALID);
}

static void a_report_comes_back_as_it_was_put(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct report sent = {.every = REPORT_DAILY, .at_minute = 420, .type_count = REPORT_TYPES_MAX};
    struct report got;
    uint64_t generation = txn_generation(txn);

    for (unsigned i = 0; i < REPORT_TYPES_MAX; i++)
        memset(sent.types[i], 't', TYPE_NAME_MAX);
    report_put(txn, &sent);
    assert_int_not_equal(txn_generation(txn), generation);
    commit(txn);
    assert_int_equal(sent.created_ms, T0);
    assert_int_equal(sent.next_due_ms, report_due_after(&sent, T0));
    txn = begin_read(t);
    assert_int_equal(report_find(txn, &sent.id, &got), STATUS_OK);
    assert_memory_equal(&got, &sent, sizeof got);
    assert_int_equal(report_find(txn, &NO_RECORD, &got), STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void reports_come_oldest_first_until_deleted(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct report one = {.every = REPORT_HOURLY}, two = {.every = REPORT_WEEKLY}, got;
    struct uuid after = {{0}};

    report_put(txn, &one);
    report_put(txn, &two);
    assert_int_equal(report_next(txn, &after, &got), STATUS_OK);
    assert_memory_equal(&got.id, &one.id, sizeof got.id);
    assert_int_equal(report_delete(txn, &one.id), STATUS_OK); /* the place holds all the same */
    assert_int_equal(report_next(txn, &after, &got), STATUS_OK);
    assert_memory_equal(&got.id, &two.id, sizeof got.id);
    assert_int_equal(report_next(txn, &after, &got), STATUS_END);
    assert_int_equal(report_delete(txn, &one.id), STATUS_NOT_FOUND);
    commit(txn);
}

static void postponing_is_no_change_for_others(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct report report = {.every = REPORT_HOURLY}, got;
    uint64_t generation;

    report_put(txn, &report);
    commit(txn);
    txn = begin_write(t);
    generation = txn_generation(txn);
    assert_int_equal(report_postpone(txn, &report.id, T0 + 5), STATUS_OK);
    assert_int_equal(report_postpone(txn, &NO_RECORD, T0 + 5), STATUS_NOT_FOUND);
    assert_int_equal(txn_generation(txn), generation);
    assert_int_equal(report_find(txn, &report.id, &got), STATUS_OK);
    assert_int_equal(got.next_due_ms, T0 + 5);
    commit(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_time_is_the_first_one_after),
        cmocka_unit_test(the_words_are_hour_day_and_week),
        ON_STORE(a_report_comes_back_as_it_was_put),
        ON_STORE(reports_come_oldest_first_until_deleted),
        ON_STORE(postponing_is_no_change_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

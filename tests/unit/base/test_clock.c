/* clock: RFC 3339 both ways, durations, and a clock that moves only when told. */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void times_are_formatted_in_utc_with_milliseconds(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {INT64_C(1763643600000), "2025-11-20T13:00:00.000Z"},
        {INT64_C(951782400000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(951868799999), "2000-02-29T23:59:59.999Z"},
        {INT64_C(4107542400000), "2100-03-01T00:00:00.000Z"},
        {INT64_C(1735689599999), "2024-12-31T23:59:59.999Z"},
        {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
        {INT64_C(253402300800000), "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {-1, "1970-01-01T00:00:00.000Z"},
        {INT64_MIN, "1970-01-01T00:00:00.000Z"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[TIME_TEXT_BYTES];
        time_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void every_day_of_four_centuries_comes_back(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 146097; day++) {
        char text[TIME_TEXT_BYTES];
        int64_t back;
        time_format(day * DAY_MS + 12345, text);
        assert_int_equal(time_parse(bytes_of_str(text), &back), STATUS_OK);
        assert_true(back == day * DAY_MS + 12345);
    }
}

static void rfc_3339_is_read_with_any_offset(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1985-04-12T23:20:50.52Z", INT64_C(482196050520)},
        {"1996-12-19T16:39:57-08:00", INT64_C(851042397000)},
        {"1990-12-31T23:59:60Z", INT64_C(662688000000)},
        {"1990-12-31T15:59:60-08:00", INT64_C(662688000000)},
        {"1990-12-31T23:59:60.9Z", INT64_C(662688000000)},
        {"1937-01-01T12:00:27.87+00:20", INT64_C(-1041337172130)},
        {"2026-11-20t13:00:00z", INT64_C(1795179600000)},
        {"2026-11-20T13:00:00.9999999999999999Z", INT64_C(1795179600999)},
        {"2026-11-20T13:00:00.0001Z", INT64_C(1795179600000)},
        {"2026-11-20T00:30:00+13:45", INT64_C(1795085100000)},
        {"2026-11-20T13:00:00-00:00", INT64_C(1795179600000)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000)},
        {"0000-02-29T00:00:00Z", INT64_C(-62162121600000)},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = 7;
        assert_int_equal(time_parse(bytes_of_str(rows[i].text), &ms), STATUS_OK);
        assert_true(ms == rows[i].ms);
    }
}

static void what_is_no_rfc_3339_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "2026",
        "2026-11-20",
        "2026-11-20T13:00:00",
        "2026-11-20 13:00:00Z",
        "2026-11-20T13:00Z",
        "2026-11-20T13:00:00.Z",
        "2026-11-20T13:00:00,5Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-11-00T00:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T13:60:00Z",
        "2026-11-20T13:00:61Z",
        "2026-11-20T13:00:60Z",
        "2026-11-20T23:59:60+01:00",
        "2026-11-20T13:00:00+24:00",
        "2026-11-20T13:00:00+01:60",
        "2026-11-20T13:00:00+0100",
        "2026-11-20T13:00:00+01",
        "2026-11-20T13:00:00ZZ",
        "2026-11-20T13:00:00Z ",
        " 2026-11-20T13:00:00Z",
        "2026-1-20T13:00:00Z",
        "+2026-11-20T13:00:00Z",
        "2026-11-20T-1:00:00Z",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t ms;
        assert_int_equal(time_parse(bytes_of_str(texts[i]), &ms), STATUS_INVALID);
    }
}

static void durations_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"250ms", 250},         {"30s", 30000},
        {"5m", 300000},         {"2h", 7200000},
        {"7d", 7 * 86400000LL}, {"2w", 14 * 86400000LL},
        {"001s", 1000},         {"106751991167d", 106751991167LL * 86400000LL},
    };
    static const char *const wrong[] = {"",
                                        "0s",
                                        "-1s",
                                        "1",
                                        "s",
                                        "1 s",
                                        "1.5h",
                                        "1S",
                                        "1hh",
                                        "1h ",
                                        "+1s",
                                        "1y",
                                        "ms",
                                        "9223372036854775807s",
                                        "99999999999999999999ms"};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t ms = 0;
        assert_int_equal(duration_parse(bytes_of_str(rows[i].text), &ms), STATUS_OK);
        assert_true(ms == rows[i].ms);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        int64_t ms;
        assert_int_equal(duration_parse(bytes_of_str(wrong[i]), &ms), STATUS_INVALID);
    }
}

static void durations_are_written_as_short_as_exactness_allows(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {{120000, "2m"},         {90000, "90s"},  {1500, "1500ms"},         {86400000, "1d"},
                {7 * 86400000LL, "1w"}, {7200000, "2h"}, {30 * 86400000LL, "30d"}, {0, "0ms"}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[24];
        duration_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void since_takes_a_time_or_an_age(void **state)
{
    int64_t ms;

    (void)state;
    assert_int_equal(time_or_age_parse(bytes_of_str("15m"), 1000000, &ms), STATUS_OK);
    assert_int_equal(ms, 100000);
    assert_int_equal(time_or_age_parse(bytes_of_str("1970-01-01T00:00:01Z"), 5, &ms), STATUS_OK);
    assert_int_equal(ms, 1000);
    assert_int_equal(time_or_age_parse(bytes_of_str("yesterday"), 5, &ms), STATUS_INVALID);
}

static void a_manual_clock_moves_only_when_told(void **state)
{
    struct manual_clock manual = {.wall_ms = 5000, .monotonic_ms = 10};
    struct clock clock = manual_clock_view(&manual);

    (void)state;
    assert_int_equal(clock_wall_ms(&clock), 5000);
    manual_clock_advance(&manual, DAY_MS);
    assert_int_equal(clock_wall_ms(&clock), 5000 + DAY_MS);
    assert_int_equal(clock_monotonic_ms(&clock), 10 + DAY_MS);
}

static void the_system_clock_is_of_this_century(void **state)
{
    int64_t before = clock_monotonic_ms(&SYSTEM_CLOCK);

    (void)state;
    assert_true(clock_wall_ms(&SYSTEM_CLOCK) > INT64_C(1577836800000));
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_formatted_in_utc_with_milliseconds),
        cmocka_unit_test(every_day_of_four_centuries_comes_back),
        cmocka_unit_test(rfc_3339_is_read_with_any_offset),
        cmocka_unit_test(what_is_no_rfc_3339_is_refused),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(durations_are_written_as_short_as_exactness_allows),
        cmocka_unit_test(since_takes_a_time_or_an_age),
        cmocka_unit_test(a_manual_clock_moves_only_when_told),
        cmocka_unit_test(the_system_clock_is_of_this_century),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

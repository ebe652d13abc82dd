/* schedule: every retry decision, jitter within its bounds, Retry-After, and clocks that step. */
#include "ingest/deliver/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint32_t DEFAULT_RETRY_S[] = {60, 300, 1800, 7200};
static const struct schedule DEFAULT = {DEFAULT_RETRY_S, 4};
#define NOW INT64_C(1763643600000)

static struct decision decide(uint16_t retry_count, uint16_t http_status, int64_t retry_after_ms,
                              uint64_t seed)
{
    struct prng prng;
    prng_seed(&prng, seed);
    struct answer answer = {http_status, retry_after_ms};
    return schedule_decide(&DEFAULT, retry_count, answer, NOW, &prng);
}

static void every_2xx_is_a_success_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= 999; status++) {
        enum attempt_outcome outcome = decide(0, (uint16_t)status, RETRY_AFTER_NONE, 1).outcome;
        assert_int_equal(outcome == ATTEMPT_DELIVERED, status >= 200 && status <= 299);
        assert_int_equal(outcome == ATTEMPT_FAILED, status == 410);
    }
}

static void only_410_says_that_the_endpoint_is_gone(void **state)
{
    (void)state;
    for (unsigned status = 0; status <= 999; status++)
        assert_int_equal(decide(4, (uint16_t)status, RETRY_AFTER_NONE, 1).is_endpoint_gone,
                         status == 410);
}

static void waits_follow_the_schedule_within_a_tenth(void **state)
{
    (void)state;
    for (uint16_t retry = 0; retry < 4; retry++) {
        int64_t exact = (int64_t)DEFAULT_RETRY_S[retry] * 1000, least = INT64_MAX, most = 0;
        for (uint64_t seed = 0; seed < 2000; seed++) {
            struct decision decision = decide(retry, 500, RETRY_AFTER_NONE, seed);
            assert_int_equal(decision.outcome, ATTEMPT_RETRY);
            int64_t wait = decision.retry_at_ms - NOW;
            least = wait < least ? wait : least;
            most = wait > most ? wait : most;
        }
        assert_true(least >= exact - exact / 10 && least < exact - exact / 11);
        assert_true(most <= exact + exact / 10 && most > exact + exact / 11);
    }
}

static void the_fifth_failure_is_the_last(void **state)
{
    (void)state;
    assert_int_equal(decide(3, 500, RETRY_AFTER_NONE, 1).outcome, ATTEMPT_RETRY);
    assert_int_equal(decide(4, 500, RETRY_AFTER_NONE, 1).outcome, ATTEMPT_FAILED);
    assert_int_equal(decide(UINT16_MAX, 0, RETRY_AFTER_NONE, 1).outcome, ATTEMPT_FAILED);
}

static void an_empty_schedule_has_one_attempt(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 1);
    struct schedule none = {NULL, 0};
    assert_int_equal(schedule_decide(&none, 0, (struct answer){0, -1}, NOW, &prng).outcome,
                     ATTEMPT_FAILED);
}

static void retry_after_makes_the_wait_longer_on_429_and_503_only(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++) {
        static const uint16_t ASKING[] = {429, 503};
        for (size_t i = 0; i < 2; i++) {
            int64_t wait = decide(0, ASKING[i], HOUR_MS, seed).retry_at_ms - NOW;
            assert_true(wait >= HOUR_MS && wait <= HOUR_MS + MINUTE_MS);
        }
        int64_t wait = decide(0, 500, HOUR_MS, seed).retry_at_ms - NOW;
        assert_true(wait <= 66 * SECOND_MS);
    }
}

static void retry_after_does_not_make_the_wait_shorter(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 500; seed++)
        assert_true(decide(0, 503, SECOND_MS, seed).retry_at_ms - NOW >= 54 * SECOND_MS);
}

static void retry_after_is_honoured_up_to_24_hours(void **state)
{
    (void)state;
    assert_int_equal(decide(0, 503, 24 * HOUR_MS, 3).retry_at_ms - NOW, 24 * HOUR_MS);
    assert_int_equal(decide(0, 503, 25 * HOUR_MS, 3).retry_at_ms - NOW, 24 * HOUR_MS);
    assert_int_equal(decide(0, 503, INT64_MAX, 3).retry_at_ms - NOW, 24 * HOUR_MS);
}

static void retry_after_is_read_as_seconds_or_as_any_http_date(void **state)
{
    (void)state;
    const int64_t now = INT64_C(784111777000); /* Sun, 06 Nov 1994 08:49:37 GMT */
    static const struct {
        const char *text;
        int64_t ms;
    } CASES[] = {
        {"0", 0},
        {"120", 120000},
        {" 7\t", 7000},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60000},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60000},
        {"Sun Nov  6 08:50:37 1994", 60000},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sat, 05 Nov 1994 08:49:37 GMT", 0},
        {"", RETRY_AFTER_NONE},
        {"soon", RETRY_AFTER_NONE},
        {"1.5", RETRY_AFTER_NONE},
        {"-1", RETRY_AFTER_NONE},
        {"12 minutes", RETRY_AFTER_NONE},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(retry_after_parse(bytes_of_str(CASES[i].text), now), CASES[i].ms);
    assert_true(retry_after_parse(bytes_of_str("99999999999999999999999999"), now) >
                RETRY_AFTER_MAX_MS);
}

static void an_endpoint_is_given_up_after_five_days_without_success(void **state)
{
    (void)state;
    assert_false(schedule_is_given_up(0, 0, NOW));
    assert_false(schedule_is_given_up(NOW - 5 * DAY_MS + 1, 0, NOW));
    assert_true(schedule_is_given_up(NOW - 5 * DAY_MS, 0, NOW));
}

static void a_stepped_clock_gives_an_endpoint_five_new_days(void **state)
{
    (void)state;
    int64_t since_1970 = 1000; /* noted before the clock was set */
    assert_true(schedule_is_given_up(since_1970, 0, NOW));
    assert_false(schedule_is_given_up(since_1970, NOW - HOUR_MS, NOW));
    assert_true(schedule_is_given_up(since_1970, NOW - HOUR_MS, NOW + 5 * DAY_MS));
}

static void the_due_clock_follows_the_wall_clock(void **state)
{
    (void)state;
    struct manual_clock manual = {.wall_ms = NOW, .monotonic_ms = 5};
    struct clock clock = manual_clock_view(&manual);
    struct due_clock due = {0};
    assert_int_equal(due_clock_now(&due, &clock), NOW);
    manual_clock_advance(&manual, 1234);
    assert_int_equal(due_clock_now(&due, &clock), NOW + 1234);
    assert_int_equal(due.stepped_at_ms, 0);
}

static void the_due_clock_goes_on_when_the_wall_clock_is_set_back(void **state)
{
    (void)state;
    struct manual_clock manual = {.wall_ms = NOW, .monotonic_ms = 5};
    struct clock clock = manual_clock_view(&manual);
    struct due_clock due = {0};
    assert_int_equal(due_clock_now(&due, &clock), NOW);
    manual.wall_ms -= HOUR_MS;
    manual_clock_advance(&manual, 100);
    assert_int_equal(due_clock_now(&due, &clock), NOW + 100);
    assert_int_equal(due.stepped_at_ms, NOW - HOUR_MS + 100);
    manual_clock_advance(&manual, 900);
    assert_int_equal(due_clock_now(&due, &clock), NOW + 1000);
}

static void the_due_clock_jumps_ahead_with_the_wall_clock(void **state)
{
    (void)state;
    struct manual_clock manual = {.wall_ms = 7000, .monotonic_ms = 5}; /* 1970: not set yet */
    struct clock clock = manual_clock_view(&manual);
    struct due_clock due = {0};
    assert_int_equal(due_clock_now(&due, &clock), 7000);
    manual.wall_ms = NOW;
    manual.monotonic_ms += 10;
    assert_int_equal(due_clock_now(&due, &clock), NOW);
    assert_int_equal(due.stepped_at_ms, NOW);
}

static void slewing_is_not_a_step(void **state)
{
    (void)state;
    struct manual_clock manual = {.wall_ms = NOW, .monotonic_ms = 5};
    struct clock clock = manual_clock_view(&manual);
    struct due_clock due = {0};
    (void)due_clock_now(&due, &clock);
    manual.wall_ms += 3 * SECOND_MS;
    manual.monotonic_ms += 2 * SECOND_MS;
    (void)due_clock_now(&due, &clock);
    assert_int_equal(due.stepped_at_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_2xx_is_a_success_and_nothing_else),
        cmocka_unit_test(only_410_says_that_the_endpoint_is_gone),
        cmocka_unit_test(waits_follow_the_schedule_within_a_tenth),
        cmocka_unit_test(the_fifth_failure_is_the_last),
        cmocka_unit_test(an_empty_schedule_has_one_attempt),
        cmocka_unit_test(retry_after_makes_the_wait_longer_on_429_and_503_only),
        cmocka_unit_test(retry_after_does_not_make_the_wait_shorter),
        cmocka_unit_test(retry_after_is_honoured_up_to_24_hours),
        cmocka_unit_test(retry_after_is_read_as_seconds_or_as_any_http_date),
        cmocka_unit_test(an_endpoint_is_given_up_after_five_days_without_success),
        cmocka_unit_test(a_stepped_clock_gives_an_endpoint_five_new_days),
        cmocka_unit_test(the_due_clock_follows_the_wall_clock),
        cmocka_unit_test(the_due_clock_goes_on_when_the_wall_clock_is_set_back),
        cmocka_unit_test(the_due_clock_jumps_ahead_with_the_wall_clock),
        cmocka_unit_test(slewing_is_not_a_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The two sliding windows: exactness, what the headers say, what is read back, and memory bounds.
 */
#include "base/random.h"
#include "ingest/limiter.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define START INT64_C(1700000000000)

static const struct limits DEFAULTS = {{50, 1000}};

static struct limiter_verdict admit(struct limiter *limiter, const struct limits *limits,
                                    int64_t now_ms)
{
    struct limiter_verdict verdict;
    assert_int_equal(limiter_admit(limiter, 7, limits, now_ms, &verdict), STATUS_OK);
    return verdict;
}

static void the_fifty_first_request_of_a_minute_is_refused(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    for (int i = 0; i < 50; i++) {
        struct limiter_verdict verdict = admit(limiter, &DEFAULTS, START + i);
        assert_true(verdict.is_admitted);
        assert_int_equal(verdict.windows[WINDOW_MINUTE].remaining, 49 - i);
        assert_int_equal(verdict.windows[WINDOW_HOUR].remaining, 999 - i);
    }
    struct limiter_verdict verdict = admit(limiter, &DEFAULTS, START + 50);
    assert_false(verdict.is_admitted);
    assert_true(verdict.windows[WINDOW_MINUTE].is_violated);
    assert_false(verdict.windows[WINDOW_HOUR].is_violated);
    assert_int_equal(verdict.windows[WINDOW_MINUTE].remaining, 0);
    limiter_free(limiter);
}

static void a_client_that_waits_retry_after_gets_through(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    for (int i = 0; i < 50; i++)
        assert_true(admit(limiter, &DEFAULTS, START + i * 10).is_admitted);
    int64_t now = START + 1000;
    struct limiter_verdict refused = admit(limiter, &DEFAULTS, now);
    assert_false(refused.is_admitted);
    assert_false(admit(limiter, &DEFAULTS, now + refused.retry_after_ms - 1).is_admitted);
    assert_true(admit(limiter, &DEFAULTS, now + refused.retry_after_ms).is_admitted);
    limiter_free(limiter);
}

static void a_refused_request_does_not_count(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    for (int i = 0; i < 50; i++)
        assert_true(admit(limiter, &DEFAULTS, START).is_admitted);
    for (int i = 0; i < 500; i++)
        assert_false(admit(limiter, &DEFAULTS, START + 1 + i).is_admitted);
    for (int i = 0; i < 50; i++)
        assert_true(admit(limiter, &DEFAULTS, START + 60000).is_admitted);
    assert_false(admit(limiter, &DEFAULTS, START + 60000).is_admitted);
    limiter_free(limiter);
}

/* The property itself, against a plain list of admitted times. */
static void no_span_ever_holds_more_and_none_is_refused_without_need(void **state)
{
    (void)state;
    struct limits limits = {{20, 60}};
    struct limiter *limiter = limiter_new(NULL, NULL);
    struct prng prng;
    prng_seed(&prng, 42);
    int64_t *times = calloc(20000, sizeof *times);
    size_t count = 0;
    int64_t now = START;
    for (int i = 0; i < 20000; i++) {
        now += (int64_t)prng_below(&prng, prng_below(&prng, 50) == 0 ? 200000 : 3000);
        size_t in_minute = 0, in_hour = 0;
        for (size_t j = 0; j < count; j++) {
            in_minute += times[j] > now - WINDOW_MS[WINDOW_MINUTE];
            in_hour += times[j] > now - WINDOW_MS[WINDOW_HOUR];
        }
        bool is_admitted = admit(limiter, &limits, now).is_admitted;
        assert_int_equal(is_admitted, in_minute < 20 && in_hour < 60);
        if (is_admitted)
            times[count++] = now;
    }
    assert_true(count > 1000);
    free(times);
    limiter_free(limiter);
}

static void reset_is_when_one_more_is_allowed_than_now(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    admit(limiter, &DEFAULTS, START);
    struct limiter_verdict verdict = admit(limiter, &DEFAULTS, START + 5000);
    assert_int_equal(verdict.windows[WINDOW_MINUTE].remaining, 48);
    assert_int_equal(verdict.windows[WINDOW_MINUTE].reset_at_ms, START + 60000);
    assert_int_equal(verdict.windows[WINDOW_HOUR].reset_at_ms, START + 3600000);
    limiter_free(limiter);
}

struct stored {
    int64_t at_ms;
    uint32_t count;
};

static enum status load_stored(void *context, uint32_t key, int64_t since_ms,
                               void (*add)(void *adder, int64_t at_ms, uint32_t count), void *adder)
{
    assert_int_equal(key, 7);
    for (const struct stored *at = context; at->count > 0; at++) {
        if (at->at_ms >= since_ms)
            add(adder, at->at_ms, at->count);
    }
    return STATUS_OK;
}

static void counts_go_on_where_the_store_left_them(void **state)
{
    (void)state;
    struct stored stored[] = {
        {START - 3700000, 400}, {START - 1800000, 900}, {START - 30000, 49}, {0, 0}};
    struct limiter *limiter = limiter_new(load_stored, stored);
    struct limiter_verdict verdict = admit(limiter, &DEFAULTS, START);
    assert_true(verdict.is_admitted);
    assert_int_equal(verdict.windows[WINDOW_MINUTE].remaining, 0);
    assert_int_equal(verdict.windows[WINDOW_HOUR].remaining, 50);
    verdict = admit(limiter, &DEFAULTS, START + 1);
    assert_false(verdict.is_admitted);
    assert_int_equal(verdict.retry_after_ms, 29999);
    limiter_free(limiter);
}

static void rows_from_a_clock_that_was_ahead_count_as_now(void **state)
{
    (void)state;
    struct stored stored[] = {{START + 86400000, 50}, {0, 0}};
    struct limiter *limiter = limiter_new(load_stored, stored);
    assert_false(admit(limiter, &DEFAULTS, START).is_admitted);
    assert_true(admit(limiter, &DEFAULTS, START + 60000).is_admitted);
    limiter_free(limiter);
}

static void a_raised_limit_counts_at_once(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    for (int i = 0; i < 50; i++)
        admit(limiter, &DEFAULTS, START);
    assert_false(admit(limiter, &DEFAULTS, START).is_admitted);
    struct limits raised = {{60, 1000}};
    assert_true(admit(limiter, &raised, START).is_admitted);
    struct limits lowered = {{10, 1000}};
    struct limiter_verdict verdict = admit(limiter, &lowered, START + 1);
    assert_false(verdict.is_admitted);
    assert_int_equal(verdict.windows[WINDOW_MINUTE].remaining, 0);
    limiter_free(limiter);
}

/* Slices make a huge limit cost bounded memory and err only towards refusing. */
static void a_huge_limit_is_never_exceeded(void **state)
{
    (void)state;
    struct limits limits = {{100000, 1000000}};
    struct limiter *limiter = limiter_new(NULL, NULL);
    uint64_t admitted = 0;
    for (int64_t ms = 0; ms < 60000; ms++) {
        for (int i = 0; i < 3; i++)
            admitted += admit(limiter, &limits, START + ms).is_admitted;
    }
    assert_int_equal(admitted, 100000);
    struct limiter_verdict refused = admit(limiter, &limits, START + 60000);
    assert_true(!refused.is_admitted || refused.windows[WINDOW_MINUTE].remaining < 100000);
    assert_true(admit(limiter, &limits, START + 60000 + 5).is_admitted);
    limiter_free(limiter);
}

/* What the heap gave for one key whose windows are full. Sanitizers have a heap of their own, which
 * tells nothing here. */
static void a_key_at_the_default_limits_takes_at_most_16_kib(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 1000; i++)
        assert_true(admit(limiter, &DEFAULTS, START + i * INT64_C(3000)).is_admitted);
    assert_false(admit(limiter, &DEFAULTS, START + 3000000).is_admitted);
    assert_in_range(mallinfo2().uordblks - before, 0, 16 * 1024);
    limiter_free(limiter);
}

static void rows_are_sliced_only_for_huge_limits(void **state)
{
    (void)state;
    assert_int_equal(limiter_row_ms(&DEFAULTS, START + 1), START + 1);
    struct limits huge = {{100000, 10000000}};
    int64_t row = limiter_row_ms(&huge, START + 1);
    assert_true(row >= START + 1 && row < START + 1 + 220);
}

static void forgotten_keys_are_only_those_that_no_window_counts(void **state)
{
    (void)state;
    struct limiter *limiter = limiter_new(NULL, NULL);
    for (int i = 0; i < 50; i++)
        admit(limiter, &DEFAULTS, START);
    limiter_sweep(limiter, START + 3599999);
    assert_int_equal(admit(limiter, &DEFAULTS, START + 3599999).windows[WINDOW_HOUR].remaining,
                     949);
    limiter_sweep(limiter, START + 3 * 3600000);
    assert_int_equal(admit(limiter, &DEFAULTS, START + 3 * 3600000).windows[WINDOW_HOUR].remaining,
                     999);
    limiter_free(limiter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fifty_first_request_of_a_minute_is_refused),
        cmocka_unit_test(a_client_that_waits_retry_after_gets_through),
        cmocka_unit_test(a_refused_request_does_not_count),
        cmocka_unit_test(no_span_ever_holds_more_and_none_is_refused_without_need),
        cmocka_unit_test(reset_is_when_one_more_is_allowed_than_now),
        cmocka_unit_test(counts_go_on_where_the_store_left_them),
        cmocka_unit_test(rows_from_a_clock_that_was_ahead_count_as_now),
        cmocka_unit_test(a_raised_limit_counts_at_once),
        cmocka_unit_test(a_huge_limit_is_never_exceeded),
        cmocka_unit_test(a_key_at_the_default_limits_takes_at_most_16_kib),
        cmocka_unit_test(rows_are_sliced_only_for_huge_limits),
        cmocka_unit_test(forgotten_keys_are_only_those_that_no_window_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* window: growth, shrinking, cooling and rates, in transcripts of sent and done. */
#include "ingest/deliver/window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Send as many as there is room for; returns how many. */
static unsigned fill(struct window *window, int64_t now_ms)
{
    unsigned sent = 0;
    int64_t wait_ms;
    while (window_has_room(window, now_ms, &wait_ms)) {
        (void)window_sent(window, false, now_ms);
        sent++;
    }
    return sent;
}

/* The same with deliveries that were tried before. */
static unsigned fill_with_retries(struct window *window, int64_t now_ms)
{
    unsigned sent = 0;
    int64_t wait_ms;
    while (window_has_room(window, now_ms, &wait_ms) && window_takes_retry(window)) {
        (void)window_sent(window, true, now_ms);
        sent++;
    }
    return sent;
}

/* All that are in flight end. */
static void drain(struct window *window, enum window_result result, int64_t now_ms)
{
    uint64_t last = window->sent_count;
    while (window->in_flight) {
        bool is_retry = window->retries_in_flight > 0;
        window_done(window, (struct window_ticket){last, is_retry}, result, now_ms);
    }
}

static void try_one(struct window *window, enum window_result result, int64_t now_ms)
{
    window_done(window, window_sent(window, false, now_ms), result, now_ms);
}

static void grow(struct window *window)
{
    for (int i = 0; i < 5; i++) {
        fill(window, 0);
        drain(window, WINDOW_SUCCESS, 0);
    }
}

static void it_grows_with_success_up_to_its_maximum(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    static const unsigned SENT[] = {4, 8, 16, 16, 16, 16};
    for (size_t i = 0; i < sizeof SENT / sizeof SENT[0]; i++) {
        assert_int_equal(fill(&window, 0), SENT[i]);
        drain(&window, WINDOW_SUCCESS, 0);
    }
}

static void it_is_never_larger_than_set(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 1, 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fill(&window, 0), 1);
        drain(&window, WINDOW_SUCCESS, 0);
    }
    window_set(&window, 3, 0);
    for (int i = 0; i < 5; i++) {
        fill(&window, 0);
        drain(&window, WINDOW_SUCCESS, 0);
    }
    assert_int_equal(fill(&window, 0), 3);
}

static void failures_halve_it_and_a_quarter_remains(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 64, 0);
    for (int i = 0; i < 10; i++)
        grow(&window);
    static const unsigned SIZES[] = {32, 16, 16, 16};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        try_one(&window, WINDOW_FAILURE, 0);
        assert_int_equal(window.size, SIZES[i]);
    }
    window_set(&window, 2, 0);
    try_one(&window, WINDOW_FAILURE, 0);
    assert_int_equal(window.size, 2);
}

static void what_failed_together_halves_it_once(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    grow(&window);
    struct window_ticket tickets[6];
    for (size_t i = 0; i < 6; i++)
        tickets[i] = window_sent(&window, false, 0);
    for (size_t i = 0; i < 6; i++)
        window_done(&window, tickets[i], WINDOW_FAILURE, 1000);
    assert_int_equal(window.size, 8);
    try_one(&window, WINDOW_FAILURE, 2000);
    assert_int_equal(window.size, 4);
}

static void while_others_succeed_half_of_it_remains(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    grow(&window);
    for (int i = 0; i < 10; i++) {
        try_one(&window, WINDOW_SUCCESS, 0);
        try_one(&window, WINDOW_FAILURE, 0);
        assert_int_equal(window.size, 8);
    }
}

static void silence_shrinks_it_unless_others_succeed(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    grow(&window);
    for (int i = 0; i < 10; i++) {
        try_one(&window, WINDOW_SUCCESS, 0);
        try_one(&window, WINDOW_SILENCE, 0);
        assert_int_equal(window.size, 16);
    }
    window_done(&window, window_sent(&window, true, 0), WINDOW_SILENCE, 0);
    assert_int_equal(window.size, 16);
    try_one(&window, WINDOW_SILENCE, 0);
    assert_int_equal(window.size, 8);
}

static void retries_get_half_of_it(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    assert_int_equal(fill_with_retries(&window, 0), 2);
    assert_int_equal(fill(&window, 0), 2);
    drain(&window, WINDOW_SUCCESS, 0);
    grow(&window);
    assert_int_equal(fill_with_retries(&window, 0), 8);
    assert_int_equal(fill(&window, 0), 8);
    drain(&window, WINDOW_SUCCESS, 0);
    window_set(&window, 1, 0);
    assert_int_equal(fill_with_retries(&window, 0), 1);
    assert_int_equal(fill(&window, 0), 0);
}

static void a_cooling_one_takes_a_fresh_probe_beside_a_retry(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    for (int i = 0; i < WINDOW_COOLING_FAILURES; i++)
        try_one(&window, WINDOW_FAILURE, 0);
    assert_int_equal(fill_with_retries(&window, 1000), 1);
    assert_int_equal(fill(&window, 1000), 1);
    drain(&window, WINDOW_FAILURE, 1000);
    assert_int_equal(fill(&window, 2000), 1);
    assert_int_equal(fill_with_retries(&window, 2000), 0);
}

static void neutral_answers_change_nothing(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    for (int i = 0; i < 100; i++) {
        try_one(&window, WINDOW_NEUTRAL, 0);
    }
    assert_int_equal(window.size, WINDOW_START);
    assert_int_equal(window.failures, 0);
}

static void failures_in_a_row_cool_it_down_with_growing_pauses(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    int64_t now_ms = 0, wait_ms = 0;
    for (int i = 0; i < WINDOW_COOLING_FAILURES; i++) {
        assert_false(window_is_cooling(&window));
        assert_true(window_has_room(&window, now_ms, &wait_ms));
        try_one(&window, WINDOW_FAILURE, now_ms);
    }
    assert_true(window_is_cooling(&window));
    for (int64_t probe = 1; probe <= 200; probe++) {
        int64_t pause = probe * WINDOW_PAUSE_STEP_MS;
        pause = pause < WINDOW_PAUSE_MAX_MS ? pause : WINDOW_PAUSE_MAX_MS;
        assert_false(window_has_room(&window, now_ms, &wait_ms));
        assert_int_equal(wait_ms, pause);
        now_ms += pause;
        assert_int_equal(fill(&window, now_ms), 1);
        assert_false(window_has_room(&window, now_ms, &wait_ms));
        assert_int_equal(wait_ms, -1);
        drain(&window, WINDOW_FAILURE, now_ms);
    }
}

static void one_success_ends_the_cooling(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 0);
    for (int i = 0; i < 100; i++) {
        try_one(&window, WINDOW_FAILURE, 0);
    }
    try_one(&window, WINDOW_SUCCESS, 5000);
    assert_false(window_is_cooling(&window));
    assert_int_equal(fill(&window, 5000), WINDOW_START + 1);
}

static void a_rate_is_kept_over_any_second(void **state)
{
    (void)state;
    static const uint32_t RATES[] = {1, 3, 10, 100, 1000, 5000};
    for (size_t i = 0; i < sizeof RATES / sizeof RATES[0]; i++) {
        struct window window;
        window_init(&window, 1000, RATES[i]);
        unsigned sent = 0;
        for (int64_t now_ms = 1000000; now_ms < 1010000; now_ms++) {
            sent += fill(&window, now_ms);
            drain(&window, WINDOW_SUCCESS, now_ms);
        }
        assert_in_range(sent, RATES[i] * 10, RATES[i] * 10 + RATES[i] / 10 + 1);
    }
}

static void a_rate_says_how_long_to_wait(void **state)
{
    (void)state;
    struct window window;
    window_init(&window, 0, 2);
    int64_t wait_ms;
    assert_true(window_has_room(&window, 1000, &wait_ms));
    (void)window_sent(&window, false, 1000);
    assert_false(window_has_room(&window, 1000, &wait_ms));
    assert_int_equal(wait_ms, 500);
    assert_false(window_has_room(&window, 1499, &wait_ms));
    assert_int_equal(wait_ms, 1);
    assert_true(window_has_room(&window, 1500, &wait_ms));
}

static void an_answer_says_whether_the_endpoint_is_in_trouble(void **state)
{
    (void)state;
    static const struct {
        uint16_t http_status;
        enum window_result result;
    } CASES[] = {
        {0, WINDOW_SILENCE},   {200, WINDOW_SUCCESS}, {204, WINDOW_SUCCESS}, {301, WINDOW_NEUTRAL},
        {400, WINDOW_NEUTRAL}, {404, WINDOW_NEUTRAL}, {408, WINDOW_FAILURE}, {410, WINDOW_NEUTRAL},
        {425, WINDOW_FAILURE}, {429, WINDOW_FAILURE}, {500, WINDOW_FAILURE}, {503, WINDOW_FAILURE},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(window_result_of(CASES[i].http_status), CASES[i].result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_with_success_up_to_its_maximum),
        cmocka_unit_test(it_is_never_larger_than_set),
        cmocka_unit_test(failures_halve_it_and_a_quarter_remains),
        cmocka_unit_test(what_failed_together_halves_it_once),
        cmocka_unit_test(while_others_succeed_half_of_it_remains),
        cmocka_unit_test(silence_shrinks_it_unless_others_succeed),
        cmocka_unit_test(retries_get_half_of_it),
        cmocka_unit_test(a_cooling_one_takes_a_fresh_probe_beside_a_retry),
        cmocka_unit_test(neutral_answers_change_nothing),
        cmocka_unit_test(failures_in_a_row_cool_it_down_with_growing_pauses),
        cmocka_unit_test(one_success_ends_the_cooling),
        cmocka_unit_test(a_rate_is_kept_over_any_second),
        cmocka_unit_test(a_rate_says_how_long_to_wait),
        cmocka_unit_test(an_answer_says_whether_the_endpoint_is_in_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

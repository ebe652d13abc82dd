/*
 * Design: additive growth, multiplicative decrease, as in Postfix's queue manager and in TCP: a
 * good receiver reaches its maximum within a few round trips, a bad one costs one slot.
 *
 * Attempts that failed together shrink the window together; the floor of one keeps that harmless.
 * The pauses of a cooling endpoint are short on purpose: they bound what a dead endpoint costs the
 * store and the processor, while the schedule alone says when a delivery is tried again.
 *
 * The rate is a virtual clock (GCRA): each attempt costs 1/rate seconds, and a tenth of a second's
 * worth may be sent at once, as timers count in milliseconds.
 */
#include "ingest/deliver/window.h"

#define SECOND_US INT64_C(1000000)
#define RATE_BURST_US (SECOND_US / 10)

void window_set(struct window *window, uint16_t max, uint32_t rate_per_s)
{
    window->max = max ? max : WINDOW_MAX_DEFAULT;
    window->rate_per_s = rate_per_s;
    if (window->size > window->max)
        window->size = window->max;
}

void window_init(struct window *window, uint16_t max, uint32_t rate_per_s)
{
    *window = (struct window){.size = WINDOW_START};
    window_set(window, max, rate_per_s);
}

bool window_is_cooling(const struct window *window)
{
    return window->failures >= WINDOW_COOLING_FAILURES;
}

static int64_t rate_wait_ms(const struct window *window, int64_t now_ms)
{
    if (!window->rate_per_s)
        return 0;
    int64_t cost_us = SECOND_US / window->rate_per_s;
    int64_t burst_us = cost_us > RATE_BURST_US ? cost_us : RATE_BURST_US;
    int64_t over_us = window->rate_debt_us + cost_us - (now_ms * 1000 + burst_us);
    return over_us > 0 ? (over_us + 999) / 1000 : 0;
}

bool window_has_room(const struct window *window, int64_t now_ms, int64_t *ret_wait_ms)
{
    uint32_t size = window_is_cooling(window) ? 1 : window->size;
    if (window->in_flight >= size) {
        *ret_wait_ms = -1;
        return false;
    }
    int64_t pause_ms = window->resume_at_ms - now_ms;
    int64_t rate_ms = rate_wait_ms(window, now_ms);
    *ret_wait_ms = pause_ms > rate_ms ? pause_ms : rate_ms;
    return *ret_wait_ms <= 0;
}

void window_sent(struct window *window, int64_t now_ms)
{
    window->in_flight++;
    if (!window->rate_per_s)
        return;
    int64_t now_us = now_ms * 1000;
    if (window->rate_debt_us < now_us)
        window->rate_debt_us = now_us;
    window->rate_debt_us += SECOND_US / window->rate_per_s;
}

enum window_result window_result_of(uint16_t http_status)
{
    if (http_status >= 200 && http_status <= 299)
        return WINDOW_SUCCESS;
    bool is_trouble = http_status == 0 || http_status == 408 || http_status == 425 ||
                      http_status == 429 || http_status >= 500;
    return is_trouble ? WINDOW_FAILURE : WINDOW_NEUTRAL;
}

void window_done(struct window *window, enum window_result result, int64_t now_ms)
{
    if (window->in_flight)
        window->in_flight--;
    if (result == WINDOW_NEUTRAL)
        return;
    if (result == WINDOW_SUCCESS) {
        window->failures = 0;
        window->resume_at_ms = 0;
        if (window->size < window->max)
            window->size++;
        return;
    }
    if (window->failures < UINT32_MAX)
        window->failures++;
    window->size = window->size > 1 ? window->size / 2 : 1;
    if (!window_is_cooling(window))
        return;
    int64_t pause =
        (int64_t)(window->failures - WINDOW_COOLING_FAILURES + 1) * WINDOW_PAUSE_STEP_MS;
    window->resume_at_ms = now_ms + (pause < WINDOW_PAUSE_MAX_MS ? pause : WINDOW_PAUSE_MAX_MS);
}

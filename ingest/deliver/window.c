/*
 * Design: additive growth, multiplicative decrease, as in Postfix's queue manager and in TCP: a
 * good receiver reaches its maximum within a few round trips, a bad one soon costs one slot.
 *
 * As in TCP, what was already in flight when the window shrank does not shrink it again: a few
 * records on which a receiver hangs time out together, and are no reason to close it for all.
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

static bool is_full(const struct window *window)
{
    if (!window_is_cooling(window))
        return window->in_flight >= window->size;
    return window->in_flight >= window->max || window->in_flight > window->retries_in_flight;
}

bool window_has_room(const struct window *window, int64_t now_ms, int64_t *ret_wait_ms)
{
    if (is_full(window)) {
        *ret_wait_ms = -1;
        return false;
    }
    int64_t pause_ms = window->resume_at_ms - now_ms;
    int64_t rate_ms = rate_wait_ms(window, now_ms);
    *ret_wait_ms = pause_ms > rate_ms ? pause_ms : rate_ms;
    return *ret_wait_ms <= 0;
}

bool window_takes_retry(const struct window *window)
{
    uint32_t most = window_is_cooling(window) || window->size < 2 ? 1 : window->size / 2;
    return window->retries_in_flight < most;
}

static void charge_rate(struct window *window, int64_t now_ms)
{
    int64_t now_us = now_ms * 1000;
    if (window->rate_debt_us < now_us)
        window->rate_debt_us = now_us;
    window->rate_debt_us += SECOND_US / window->rate_per_s;
}

struct window_ticket window_sent(struct window *window, bool is_retry, int64_t now_ms)
{
    window->in_flight++;
    window->retries_in_flight += is_retry;
    if (window->rate_per_s)
        charge_rate(window, now_ms);
    return (struct window_ticket){++window->sent_count, is_retry};
}

enum window_result window_result_of(uint16_t http_status)
{
    if (http_status >= 200 && http_status <= 299)
        return WINDOW_SUCCESS;
    if (http_status == 0)
        return WINDOW_SILENCE;
    bool is_trouble =
        http_status == 408 || http_status == 425 || http_status == 429 || http_status >= 500;
    return is_trouble ? WINDOW_FAILURE : WINDOW_NEUTRAL;
}

/* Once for all that were in flight together. */
static void shrink(struct window *window, struct window_ticket ticket, bool is_silence)
{
    if (ticket.number <= window->shrunk_at)
        return;
    uint16_t floor = window->max / (window->has_success ? 2 : 4);
    if (floor < WINDOW_FLOOR)
        floor = WINDOW_FLOOR;
    if (is_silence && (window->has_success || ticket.is_retry))
        floor = window->max;
    window->shrunk_at = window->sent_count;
    window->has_success = false;
    if (window->size > floor)
        window->size = window->size / 2 > floor ? window->size / 2 : floor;
}

static void take_success(struct window *window)
{
    window->failures = 0;
    window->resume_at_ms = 0;
    window->has_success = true;
    if (window->size < window->max)
        window->size++;
}

static void take_failure(struct window *window, struct window_ticket ticket, bool is_silence,
                         int64_t now_ms)
{
    if (window->failures < UINT32_MAX)
        window->failures++;
    shrink(window, ticket, is_silence);
    if (!window_is_cooling(window))
        return;
    int64_t pause =
        (int64_t)(window->failures - WINDOW_COOLING_FAILURES + 1) * WINDOW_PAUSE_STEP_MS;
    window->resume_at_ms = now_ms + (pause < WINDOW_PAUSE_MAX_MS ? pause : WINDOW_PAUSE_MAX_MS);
}

void window_done(struct window *window, struct window_ticket ticket, enum window_result result,
                 int64_t now_ms)
{
    if (window->in_flight)
        window->in_flight--;
    if (ticket.is_retry && window->retries_in_flight)
        window->retries_in_flight--;
    if (result == WINDOW_SUCCESS)
        take_success(window);
    else if (result != WINDOW_NEUTRAL)
        take_failure(window, ticket, result == WINDOW_SILENCE, now_ms);
}

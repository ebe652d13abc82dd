/*
 * Design: three questions about an answer, in order. Is it a success (2xx)? Does it say that nobody
 * will ever listen again (410)? Is there a try left in the schedule?
 *
 * Retry-After can only make the wait longer: the schedule gives a receiver hours to come back, and
 * a "Retry-After: 1" sent five times would use all tries up in as many seconds.
 *
 * Every wait is spread by ±10 %, so that what failed together does not come back together; a
 * Retry-After by up to +10 %, as it must not be cut short.
 */
#include "ingest/deliver/schedule.h"

#include "base/cleanup.h"

#include <curl/curl.h>

#define STEP_MS MINUTE_MS

enum { HTTP_GONE = 410, HTTP_TOO_MANY = 429, HTTP_UNAVAILABLE = 503 };

/* Uniform in delay ± a tenth. */
static int64_t spread(int64_t delay_ms, struct prng *prng)
{
    int64_t tenth = delay_ms / 10;
    return delay_ms - tenth + (int64_t)prng_below(prng, (uint64_t)(2 * tenth + 1));
}

static int64_t wait_ms(int64_t delay_ms, struct answer answer, struct prng *prng)
{
    int64_t wait = spread(delay_ms, prng);
    if (answer.http_status != HTTP_TOO_MANY && answer.http_status != HTTP_UNAVAILABLE)
        return wait;
    int64_t asked = answer.retry_after_ms;
    if (asked > RETRY_AFTER_MAX_MS)
        asked = RETRY_AFTER_MAX_MS;
    if (asked <= wait)
        return wait;
    /* Never more than a minute later than asked for, and never above the bound. */
    int64_t most = asked / 10 < MINUTE_MS ? asked / 10 : MINUTE_MS;
    int64_t later = asked + (int64_t)prng_below(prng, (uint64_t)most + 1);
    return later < RETRY_AFTER_MAX_MS ? later : RETRY_AFTER_MAX_MS;
}

struct decision schedule_decide(const struct schedule *schedule, uint16_t retry_count,
                                struct answer answer, int64_t now_ms, struct prng *prng)
{
    if (answer.http_status >= 200 && answer.http_status <= 299)
        return (struct decision){.outcome = ATTEMPT_DELIVERED};
    if (answer.http_status == HTTP_GONE)
        return (struct decision){.outcome = ATTEMPT_FAILED, .is_endpoint_gone = true};
    if (retry_count >= schedule->retry_count)
        return (struct decision){.outcome = ATTEMPT_FAILED};
    int64_t delay_ms = (int64_t)schedule->retry_s[retry_count] * SECOND_MS;
    return (struct decision){.outcome = ATTEMPT_RETRY,
                             .retry_at_ms = now_ms + wait_ms(delay_ms, answer, prng)};
}

bool schedule_is_given_up(int64_t failing_since_ms, int64_t trusted_from_ms, int64_t now_ms)
{
    if (failing_since_ms == 0)
        return false;
    int64_t from_ms = failing_since_ms > trusted_from_ms ? failing_since_ms : trusted_from_ms;
    return now_ms - from_ms >= FAILING_MAX_MS;
}

static int64_t seconds_parse(struct bytes digits)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return RETRY_AFTER_NONE;
        if (seconds < INT32_MAX) /* far above the bound already; further digits change nothing */
            seconds = seconds * 10 + (digits.data[i] - '0');
    }
    return seconds * SECOND_MS;
}

int64_t retry_after_parse(struct bytes value, int64_t now_ms)
{
    while (value.len && (value.data[0] == ' ' || value.data[0] == '\t'))
        value = bytes_of(value.data + 1, value.len - 1);
    while (value.len && strchr(" \t\r\n", value.data[value.len - 1]))
        value.len--;
    if (value.len == 0 || value.len > 64)
        return RETRY_AFTER_NONE;
    if (value.data[0] >= '0' && value.data[0] <= '9')
        return seconds_parse(value);
    CLEANUP(freep) char *text = bytes_dup_str(value);
    time_t at = text ? curl_getdate(text, NULL) : -1; /* all three formats of RFC 9110 5.6.7 */
    if (at == -1)
        return RETRY_AFTER_NONE;
    int64_t wait = (int64_t)at * SECOND_MS - now_ms;
    return wait > 0 ? wait : 0;
}

int64_t due_clock_now(struct due_clock *due, const struct clock *clock)
{
    int64_t wall = clock_wall_ms(clock);
    int64_t monotonic = clock_monotonic_ms(clock);
    int64_t offset = wall - monotonic;
    bool is_first = due->wall_ms == 0;
    if (!is_first && (offset - due->offset_ms > STEP_MS || due->offset_ms - offset > STEP_MS))
        due->stepped_at_ms = wall;
    int64_t steady = is_first ? wall : due->wall_ms + (monotonic - due->monotonic_ms);
    due->wall_ms = wall > steady ? wall : steady;
    due->monotonic_ms = monotonic;
    due->offset_ms = offset;
    return due->wall_ms;
}

/*
 * clock: time comes in from outside, so that five days are tested in a millisecond.
 *
 * Wall time is Unix milliseconds (int64_t …_ms); monotonic time is for intervals and never steps.
 */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

struct clock {
    int64_t (*wall_ms)(void *context);
    int64_t (*monotonic_ms)(void *context);
    void *context;
};

/* CLOCK_REALTIME and CLOCK_BOOTTIME. */
extern const struct clock SYSTEM_CLOCK;

static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->context);
}
static inline int64_t clock_monotonic_ms(const struct clock *c)
{
    return c->monotonic_ms(c->context);
}

/* Microseconds on CLOCK_MONOTONIC, to tell how long something of ours took; decides nothing. */
int64_t stopwatch_us(void);

/* A clock that moves only when told. */
struct manual_clock {
    int64_t wall_ms;
    int64_t monotonic_ms;
};
struct clock manual_clock_view(struct manual_clock *manual); /* borrows */
void manual_clock_advance(struct manual_clock *manual, int64_t ms);

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

#define TIME_TEXT_BYTES 25 /* "2026-11-20T13:00:00.000Z" and the terminator */
/* RFC 3339 in UTC with milliseconds. Years 1970 to 9999; others are clamped. */
void time_format(int64_t unix_ms, char ret_text[TIME_TEXT_BYTES]);
/* RFC 3339 date-time with any offset. STATUS_INVALID otherwise. */
MUST_CHECK enum status time_parse(struct bytes text, int64_t *ret_unix_ms);
/* "250ms" "30s" "5m" "2h" "7d" "2w": a positive whole number and a unit. STATUS_INVALID otherwise.
 */
MUST_CHECK enum status duration_parse(struct bytes text, int64_t *ret_ms);
/* The shortest of the above that is exact: 120000 -> "2m". `out` holds at least 24 bytes. */
void duration_format(int64_t ms, char out[24]);
/* What --since takes: RFC 3339, or an age before now_ms. */
MUST_CHECK enum status time_or_age_parse(struct bytes text, int64_t now_ms, int64_t *ret_unix_ms);

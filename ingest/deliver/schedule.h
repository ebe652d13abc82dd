/*
 * schedule: what becomes of a delivery after an attempt, and when the next one is. Pure: time and
 * chance come in from outside.
 */
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "storage/outbox.h"

#define RETRY_AFTER_MAX_MS (24 * HOUR_MS)
#define FAILING_MAX_MS (5 * DAY_MS)
#define RETRY_AFTER_NONE INT64_C(-1)

struct schedule {
    const uint32_t *retry_s; /* seconds after the first, second, … failure */
    size_t retry_count;      /* the failure after the last of them is the final one */
};

/* How an attempt ended. */
struct answer {
    uint16_t http_status;   /* 0: none came */
    int64_t retry_after_ms; /* from its end; RETRY_AFTER_NONE */
};

struct decision {
    enum attempt_outcome outcome;
    int64_t retry_at_ms;   /* ATTEMPT_RETRY only */
    bool is_endpoint_gone; /* 410: disable it now */
};

/* `retry_count` is the number of failures before this one since the delivery was (re)started. */
struct decision schedule_decide(const struct schedule *schedule, uint16_t retry_count,
                                struct answer answer, int64_t now_ms, struct prng *prng);

/* Has the endpoint failed for long enough to be disabled? `trusted_from_ms`: when the wall clock
 * was last set; times before it cannot be compared with now. */
bool schedule_is_given_up(int64_t failing_since_ms, int64_t trusted_from_ms, int64_t now_ms);

/* Value of Retry-After (RFC 9110 section 10.2.3), seconds or a date, as milliseconds from now;
 * RETRY_AFTER_NONE if malformed or absent. */
int64_t retry_after_parse(struct bytes value, int64_t now_ms);

/*
 * Wall time that does not go back while the program runs: times at which deliveries are due are
 * compared with it, so that a clock set back by an hour does not hold everything up for an hour.
 */
struct due_clock {
    int64_t wall_ms, monotonic_ms; /* as of the last look; zero value: none yet */
    int64_t stepped_at_ms;         /* wall time after the last step of more than a minute; 0 */
    int64_t offset_ms;             /* last wall - monotonic seen, to notice steps */
};
int64_t due_clock_now(struct due_clock *due, const struct clock *clock);

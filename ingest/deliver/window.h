/*
 * window: how many attempts may be in flight to one endpoint now, and how fast they may follow.
 * Pure.
 *
 * Grows by one with each success, halves with failures of the endpoint itself (no connection, no
 * answer in time, 408, 425, 429, 5xx): once for all that were sent together, not below half of its
 * maximum while others succeed and not below a quarter else. Silence while others succeed leaves it
 * as it is, and so does that about a delivery tried before: the slots that hang are missed already.
 * Other answers, such as 400, say something about one delivery and nothing about the endpoint: they
 * change nothing. After WINDOW_COOLING_FAILURES failures in a row the endpoint is cooling: single
 * probes, with pauses that grow to a second. The first success ends that.
 *
 * Deliveries that were tried before get at most half of it, so that records which a receiver chokes
 * on leave room for all others. While it is cooling, a delivery that was not tried yet may go
 * beside a probe that was.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_MAX_DEFAULT 16
#define WINDOW_START 4
#define WINDOW_FLOOR 4
#define WINDOW_COOLING_FAILURES 16
#define WINDOW_PAUSE_STEP_MS 10
#define WINDOW_PAUSE_MAX_MS 1000

struct window {
    uint16_t size, max;
    uint32_t in_flight;
    uint32_t retries_in_flight; /* of these, tried before */
    uint64_t sent_count;
    uint64_t shrunk_at;   /* sent_count then */
    bool has_success;     /* since then */
    uint32_t failures;    /* in a row */
    int64_t resume_at_ms; /* monotonic; cooling: no probe before */
    uint32_t rate_per_s;  /* 0: none */
    int64_t rate_debt_us; /* monotonic microseconds at which the rate is used up to */
};

/* 0: the default, no rate. */
void window_init(struct window *window, uint16_t max, uint32_t rate_per_s);
/* Another maximum or rate for a window in use. */
void window_set(struct window *window, uint16_t max, uint32_t rate_per_s);
bool window_is_cooling(const struct window *window);
/* May one more be sent? If not, `ret_wait_ms` says how long time alone would take to change that;
 * -1: it waits for one in flight. */
bool window_has_room(const struct window *window, int64_t now_ms, int64_t *ret_wait_ms);
/* There is room: also for a delivery that was tried before? If not, it waits for one in flight. */
bool window_takes_retry(const struct window *window);

/* One that is in flight. */
struct window_ticket {
    uint64_t number; /* sent as the how manieth */
    bool is_retry;
};
struct window_ticket window_sent(struct window *window, bool is_retry, int64_t now_ms);

enum window_result { WINDOW_SUCCESS, WINDOW_FAILURE, WINDOW_SILENCE, WINDOW_NEUTRAL };
/* What an answer says about the endpoint; 0: none came. */
enum window_result window_result_of(uint16_t http_status);
void window_done(struct window *window, struct window_ticket ticket, enum window_result result,
                 int64_t now_ms);

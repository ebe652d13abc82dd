/*
 * events_api: GET /api/events for receivers that would rather pull: events in sequence, without a
 * gap, and with `wait` an answer that is held until there is one.
 *
 * A waiting request costs its memory and nothing else: it is looked at when something was committed
 * and when its time is up. Thread: a loop's own requests on that loop.
 */
#pragma once

#include "ingest/call.h"

#define EVENTS_LIMIT_DEFAULT 100
#define EVENTS_LIMIT_MAX 1000
#define EVENTS_WAIT_MAX_MS (60 * 1000)
#define EVENTS_WAITING_MAX 4096 /* a loop; beyond it a request is answered at once */

void events_read(struct call *call, const struct http_request *request);
/* Something was committed: answer whoever waited for it. On the loop. */
void events_wake(struct app_loop *loop);
/* Answer those whose time is up, all of them when draining. On the loop, with each tick. */
void events_expire(struct app_loop *loop);

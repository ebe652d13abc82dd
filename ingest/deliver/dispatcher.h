/*
 * dispatcher: decides what is sent when. It knows the live endpoints and their windows, picks what
 * is due from the outbox, renders and signs it, hands it to the HTTP client, and gives outcomes to
 * the writer. No thread, no socket and no clock of its own: those come in from outside.
 *
 * Threads: one, the loop's. Only the writer's `done` comes from elsewhere; it leaves the batch in a
 * list and calls `notify`.
 */
#pragma once

#include "ingest/deliver/http_client.h"
#include "ingest/deliver/schedule.h"
#include "ingest/writer.h"
#include "storage/endpoints.h"
#include "storage/vault.h"

#include <stdatomic.h>

struct dispatcher;

struct dispatcher_options {
    struct store *store;
    const struct vault *vault;
    const struct clock *clock;
    struct http_client *client;
    struct subscriptions *subscriptions; /* used on the writer's thread only */
    /* As writer_submit. */
    enum status (*submit)(void *context, struct work *work);
    /* Any thread: have dispatcher_pass called soon. */
    void (*notify)(void *context);
    void *context;
    const char *user_agent;
    uint64_t seed; /* of the jitter */
};

/* Settings that can change. */
struct dispatcher_settings {
    uint32_t timeout_ms;
    uint32_t retry_s[ENDPOINT_RETRIES_MAX];
    size_t retry_count;
};

/* Read by other threads. */
struct dispatcher_counts {
    atomic_uint_fast64_t attempts, delivered, failed_attempts;
    atomic_uint_fast32_t in_flight, endpoints, cooling_endpoints;
};

MUST_CHECK enum status dispatcher_new(const struct dispatcher_options *options,
                                      const struct dispatcher_settings *settings,
                                      struct dispatcher **ret_dispatcher);
/* It is idle. NULL allowed. */
void dispatcher_free(struct dispatcher *dispatcher);
void dispatcher_set(struct dispatcher *dispatcher, const struct dispatcher_settings *settings);

/* Take in what was settled, send what is due. `is_woken`: the store may have changed. Returns the
 * monotonic time at which it wants to be called again, whatever happens. */
int64_t dispatcher_pass(struct dispatcher *dispatcher, bool is_woken);
/* An attempt ended since the last pass: call it again now. */
bool dispatcher_has_news(const struct dispatcher *dispatcher);

/* Begin nothing any more. */
void dispatcher_stop(struct dispatcher *dispatcher);
/* Nothing is under way: neither at receivers nor at the writer. */
bool dispatcher_is_idle(const struct dispatcher *dispatcher);
/* Forget the attempts that have no answer yet; they are still due. What is at the writer remains.
 */
void dispatcher_cancel(struct dispatcher *dispatcher);

const struct dispatcher_counts *dispatcher_counts(const struct dispatcher *dispatcher);

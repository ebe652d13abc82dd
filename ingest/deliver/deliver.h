/*
 * deliver: delivery's hands. One thread (libuv + libcurl multi) that takes what is due from
 * storage/outbox, sends it, and gives every outcome to the writer.
 *
 * Per endpoint a window of requests in flight; endpoints never wait for each other; memory is
 * bounded by endpoints and windows, whatever the backlog. A crash loses nothing: what was in flight
 * is still due.
 */
#pragma once

#include "base/address.h"
#include "base/clock.h"
#include "ingest/writer.h"
#include "storage/endpoints.h"
#include "storage/vault.h"

struct deliver;

struct deliver_options {
    struct store *store;
    struct writer *writer;
    struct subscriptions *subscriptions; /* the writer's thread's; used there only */
    const struct vault *vault;
    const struct clock *clock;
    const char *user_agent;   /* "Postern/0.1.0" */
    const struct cidr *allow; /* exceptions of the address guard; copied */
    size_t allow_count;
    bool is_http_allowed;
    const char *ca_file; /* NULL: the system's */
    uint32_t timeout_ms;
    const uint32_t *retry_s; /* the schedule of endpoints that have none; copied */
    size_t retry_count;
};

MUST_CHECK enum status deliver_start(const struct deliver_options *options,
                                     struct deliver **ret_deliver, struct err *err);
/* Something may be due. Any thread; cheap when repeated. */
void deliver_wake(struct deliver *deliver);
/* Settings that can change while running; any thread. */
void deliver_reload(struct deliver *deliver, const struct deliver_options *options);
/* Lets attempts in flight end, at most `drain_ms` (the others are still due at the next start), and
 * ends the thread. Before writer_stop. Afterwards deliver_wake does nothing: the writer may still
 * call it. NULL allowed. */
void deliver_stop(struct deliver *deliver, uint32_t drain_ms);
/* After deliver_stop, and when nobody can call deliver_wake any more: after writer_stop. NULL
 * allowed. */
void deliver_free(struct deliver *deliver);

struct deliver_stats {
    uint64_t attempts, delivered, failed_attempts;
    uint32_t in_flight, endpoints, cooling_endpoints;
};
void deliver_stats(const struct deliver *deliver, struct deliver_stats *ret_stats);

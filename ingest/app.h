/*
 * app: what the handlers share, and what each loop has for itself.
 *
 * Shared parts are immutable, atomic, or locked inside. A loop's own part (scratch memory,
 * references to the current keyring and catalog, counters, tally) is touched by its thread alone;
 * other threads read its counters.
 */
#pragma once

#include "base/clock.h"
#include "ingest/apply.h"
#include "ingest/authenticate.h"
#include "ingest/catalog.h"
#include "ingest/deliver/deliver.h"
#include "ingest/http.h"
#include "ingest/limiter.h"
#include "ingest/metrics.h"
#include "ingest/writer.h"
#include "storage/events.h"

#include <pthread.h>
#include <stdatomic.h>

#define LOOPS_MAX 64

struct tally;
struct waiting_call;

struct app_loop {
    struct app *app;
    struct http_loop *http;
    struct keyring *keyring; /* own references, swapped by the tick */
    struct catalog *catalog;
    unsigned seen_version;
    struct json_doc doc, other_doc;
    struct schema_run *run;
    struct buf body, scratch, fields;
    struct change_event *changes;
    struct uuid last_request_id;
    struct prng prng;
    struct tally *tally;
    struct loop_metrics metrics;
    struct waiting_call *waiting; /* long polls, see events_api.c */
    size_t waiting_count;
    /* Touched by the writer's thread too: who is to be woken after a commit. */
    atomic_bool has_waiting, is_wake_posted;
    struct http_message wake;
    atomic_bool is_started;
    atomic_bool is_news_posted; /* a newer keyring or catalog is to be taken */
    struct http_message news;
};

struct app {
    struct store *store;
    struct writer *writer;
    struct deliver *deliver;
    struct applier *applier; /* the writer thread's */
    const struct clock *clock;
    struct limiter *limiter;
    struct auth_throttle *throttle;
    const char *version;
    size_t max_body;
    atomic_uint limit_minute, limit_hour;
    int64_t epoch_wall_ms, epoch_monotonic_ms; /* app_now_ms does not step while running */
    int64_t started_wall_ms;

    /* The newest of what loops hold references to; replaced under the lock, then the version. */
    pthread_mutex_t swap_lock;
    pthread_mutex_t refresh_lock; /* one refresh at a time */
    struct keyring *keyring;
    struct catalog *catalog;
    atomic_uint version_number;

    atomic_bool is_draining;
    atomic_bool is_store_full; /* a commit failed for lack of space; until the probe finds some */
    unsigned loop_count;
    struct app_loop loops[LOOPS_MAX];
    struct http_server *server; /* for its statistics; NULL until it runs */

    /* Written with each commit and each request: behind the loops, so that these do not wait for
     * the cache line that their first members would share with it. */
    atomic_ullong last_sequence;   /* newest committed event */
    atomic_size_t submitted_bytes; /* memory of submissions under way */
};

/* Fill a zeroed struct whose store, clock, catalog and settings stand in it already: keyring,
 * limiter, applier and locks. */
MUST_CHECK enum status app_init(struct app *app, struct subscriptions *subscriptions,
                                struct err *err);
void app_fini(struct app *app);

/* Wall time that does not step while the process runs. Windows are counted in it. */
int64_t app_now_ms(const struct app *app);
/* Take over a new catalog (the reference is given). Any thread. */
void app_set_catalog(struct app *app, struct catalog *catalog);
/* See what the tool changed: API keys (by the store's generation) and new events. Any thread;
 * several times a second. */
MUST_CHECK enum status app_refresh(struct app *app);
/* The store's generation as of the last refresh: who changed an administrative row? Any thread. */
uint64_t app_generation(struct app *app);
/* A loop was shown a key that it does not know: look whether the store knows it by now, so that a
 * new key works at once. True: the loop has a newer keyring. */
bool app_loop_refresh(struct app_loop *loop);
/* The writer's hook: wakes delivery and the long polls. */
void app_committed(void *context, uint64_t last_sequence, bool has_deliveries);

/* For http_server_options. `context` is the app. */
void app_loop_start(void *context, struct http_loop *http);
void app_loop_tick(void *context, struct http_loop *http);
void app_handle(void *context, struct http_exchange *exchange, const struct http_request *request);

/*
 * Keyring and catalog are replaced under a lock, a version number goes up, and each loop is sent a
 * message to take references to the new ones (its next tick would do so too). So a change by the
 * tool is in force well within a second, and a request never waits for a lock.
 */
#include "ingest/app.h"

#include "base/log.h"
#include "base/must.h"
#include "ingest/events_api.h"
#include "ingest/tally.h"

#include <stdlib.h>

int64_t app_now_ms(const struct app *app)
{
    return app->epoch_wall_ms + clock_monotonic_ms(app->clock) - app->epoch_monotonic_ms;
}

/* limiter_load: the store's rows of one key. */
static enum status load_usage(void *context, uint32_t key, int64_t since_ms,
                              void (*add)(void *adder, int64_t at_ms, uint32_t count), void *adder)
{
    struct app *app = context;
    struct txn *txn = NULL;
    enum status s = txn_read(app->store, &txn);
    if (s != STATUS_OK)
        return s;
    s = usage_each(txn, key, since_ms, add, adder);
    txn_abort(txn);
    return s;
}

enum status app_init(struct app *app, struct subscriptions *subscriptions, struct err *err)
{
    pthread_mutex_init(&app->swap_lock, NULL);
    pthread_mutex_init(&app->refresh_lock, NULL);
    app->epoch_wall_ms = app->started_wall_ms = clock_wall_ms(app->clock);
    app->epoch_monotonic_ms = clock_monotonic_ms(app->clock);
    app->limiter = limiter_new(load_usage, app);
    app->throttle = auth_throttle_new();
    app->applier = applier_new(subscriptions);
    if (!app->limiter || !app->throttle || !app->applier) {
        err_set(err, "start: %s", status_text(STATUS_NO_MEMORY));
        return STATUS_NO_MEMORY;
    }
    struct txn *txn = NULL;
    enum status s = txn_read(app->store, &txn);
    if (s == STATUS_OK) {
        s = keyring_load(txn, &app->keyring);
        atomic_store(&app->last_sequence, event_last_sequence(txn));
        txn_abort(txn);
    }
    if (s != STATUS_OK)
        err_set(err, "read the API keys: %s", status_text(s));
    atomic_store(&app->version_number, 1);
    return s;
}

static void loop_fini(struct app_loop *loop)
{
    keyring_unref(loop->keyring);
    catalog_unref(loop->catalog);
    json_doc_fini(&loop->doc);
    json_doc_fini(&loop->other_doc);
    schema_run_free(loop->run);
    buf_fini(&loop->body);
    buf_fini(&loop->scratch);
    buf_fini(&loop->fields);
    free(loop->changes);
    tally_free(loop->tally);
}

void app_fini(struct app *app)
{
    for (unsigned i = 0; i < app->loop_count; i++)
        loop_fini(&app->loops[i]);
    keyring_unref(app->keyring);
    catalog_unref(app->catalog);
    limiter_free(app->limiter);
    auth_throttle_free(app->throttle);
    applier_free(app->applier);
    pthread_mutex_destroy(&app->swap_lock);
    pthread_mutex_destroy(&app->refresh_lock);
}

static void take_newest(struct app_loop *loop)
{
    struct app *app = loop->app;
    unsigned version = atomic_load(&app->version_number);
    if (version == loop->seen_version)
        return;
    struct keyring *old_keyring = loop->keyring;
    struct catalog *old_catalog = loop->catalog;
    pthread_mutex_lock(&app->swap_lock);
    loop->keyring = keyring_ref(app->keyring);
    loop->catalog = catalog_ref(app->catalog);
    pthread_mutex_unlock(&app->swap_lock);
    loop->seen_version = version;
    keyring_unref(old_keyring);
    catalog_unref(old_catalog);
}

static void run_news(struct http_message *message)
{
    struct app_loop *loop =
        (struct app_loop *)((uint8_t *)message - offsetof(struct app_loop, news));
    atomic_store(&loop->is_news_posted, false);
    take_newest(loop);
}

/* There is a newer keyring or catalog: let each loop take it now, not with its next tick. */
static void announce(struct app *app)
{
    atomic_fetch_add(&app->version_number, 1);
    for (unsigned i = 0; i < app->loop_count; i++) {
        struct app_loop *loop = &app->loops[i];
        if (atomic_load(&loop->is_started) && !atomic_exchange(&loop->is_news_posted, true))
            http_loop_post(loop->http, &loop->news);
    }
}

void app_set_catalog(struct app *app, struct catalog *catalog)
{
    pthread_mutex_lock(&app->swap_lock);
    struct catalog *old = app->catalog;
    app->catalog = catalog;
    pthread_mutex_unlock(&app->swap_lock);
    announce(app);
    catalog_unref(old);
}

static enum status refresh(struct app *app)
{
    struct txn *txn = NULL;
    enum status s = txn_read(app->store, &txn);
    if (s != STATUS_OK)
        return s;
    struct keyring *fresh = NULL;
    uint64_t last_sequence = event_last_sequence(txn);
    uint64_t generation = txn_generation(txn);
    enum status believed = txn_status(txn);
    /* Where nobody can tell whether the keys changed, they are read: a revoked one must not go on.
     */
    if (believed != STATUS_OK || generation != keyring_generation(app->keyring))
        s = keyring_load(txn, &fresh);
    txn_abort(txn);
    if (believed == STATUS_OK && last_sequence != atomic_load(&app->last_sequence))
        app_committed(app, last_sequence, true);
    if (s != STATUS_OK || !fresh)
        return s;
    pthread_mutex_lock(&app->swap_lock);
    struct keyring *old = app->keyring;
    app->keyring = fresh;
    pthread_mutex_unlock(&app->swap_lock);
    announce(app);
    keyring_unref(old);
    return believed;
}

enum status app_refresh(struct app *app)
{
    pthread_mutex_lock(&app->refresh_lock);
    enum status s = refresh(app);
    pthread_mutex_unlock(&app->refresh_lock);
    return s;
}

uint64_t app_generation(struct app *app)
{
    pthread_mutex_lock(&app->swap_lock);
    uint64_t generation = keyring_generation(app->keyring);
    pthread_mutex_unlock(&app->swap_lock);
    return generation;
}

bool app_loop_refresh(struct app_loop *loop)
{
    unsigned seen = loop->seen_version;
    if (app_refresh(loop->app) == STATUS_OK) /* else the timer will say so */
        take_newest(loop);
    return loop->seen_version != seen;
}

static void run_wake(struct http_message *message)
{
    struct app_loop *loop =
        (struct app_loop *)((uint8_t *)message - offsetof(struct app_loop, wake));
    atomic_store(&loop->is_wake_posted, false);
    events_wake(loop);
}

void app_committed(void *context, uint64_t last_sequence, bool has_deliveries)
{
    struct app *app = context;
    if (atomic_exchange(&app->last_sequence, last_sequence) == last_sequence)
        return;
    if (app->deliver && has_deliveries)
        deliver_wake(app->deliver);
    for (unsigned i = 0; i < app->loop_count; i++) {
        struct app_loop *loop = &app->loops[i];
        if (atomic_load(&loop->has_waiting) && !atomic_exchange(&loop->is_wake_posted, true))
            http_loop_post(loop->http, &loop->wake);
    }
}

void app_loop_start(void *context, struct http_loop *http)
{
    struct app *app = context;
    struct app_loop *loop = &app->loops[http_loop_index(http)];
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    prng_seed(&loop->prng, seed);
    loop->app = app;
    loop->http = http;
    loop->wake.run = run_wake;
    loop->news.run = run_news;
    loop->run = schema_run_new();
    loop->tally = tally_new();
    loop->changes = calloc(CHANGES_CAPACITY, sizeof *loop->changes);
    must(loop->run && loop->tally && loop->changes); /* at start, before anyone is served */
    take_newest(loop);
    atomic_store(&loop->is_started, true);
}

void app_loop_tick(void *context, struct http_loop *http)
{
    struct app *app = context;
    struct app_loop *loop = &app->loops[http_loop_index(http)];
    take_newest(loop);
    events_expire(loop);
    tally_flush(loop->tally, app->writer, app_now_ms(app), atomic_load(&app->is_draining));
}

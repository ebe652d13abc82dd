/*
 * Design: a thread with one libuv loop. Four things wake it: a socket or timer of the HTTP client,
 * the dispatcher's own timer, an async message (a commit, a settled batch, new settings, stop).
 * After each of them, before the loop sleeps again, `before_sleep` runs a pass of the dispatcher if
 * there is a reason for one.
 *
 * Ending: no attempt begins any more; when all are answered and stored, or when the time to drain
 * is up and the rest is forgotten (it is still due), the handles are closed and the loop ends by
 * itself. Batches at the writer are always waited for: they hold memory of this thread.
 */
#include "ingest/deliver/deliver.h"

#include "base/log.h"
#include "base/must.h"
#include "base/random.h"
#include "base/thread.h"
#include "ingest/deliver/dispatcher.h"

#include <stdlib.h>
#include <uv.h>

#define TIMEOUT_MS_DEFAULT 30000

struct deliver {
    struct store *store;
    struct writer *writer;
    const struct clock *clock;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t async;
    uv_prepare_t before_sleep;
    uv_timer_t timer;
    struct http_client *client;
    struct dispatcher *dispatcher;
    bool is_pass_due, is_woken;

    atomic_bool has_commit; /* deliver_wake was called */
    pthread_mutex_t lock;   /* of the following, written by other threads */
    struct settings_copy {
        struct dispatcher_settings dispatcher;
        struct http_client_options client;
        struct cidr *allow;
        char *ca_file;
        bool is_new;
    } settings;
    bool is_stop_asked;
    bool is_closed; /* nobody can be woken any more */
    uint32_t drain_ms;

    bool is_stopping;
    int64_t drain_until_ms;
};

static void settings_fini(struct settings_copy *settings)
{
    free(settings->allow);
    free(settings->ca_file);
    *settings = (struct settings_copy){0};
}

static enum status settings_copy(const struct deliver_options *options,
                                 struct settings_copy *ret_settings)
{
    struct settings_copy copy = {.is_new = true};
    copy.allow = calloc(options->allow_count + 1, sizeof *copy.allow);
    copy.ca_file = options->ca_file ? strdup(options->ca_file) : NULL;
    if (!copy.allow || (options->ca_file && !copy.ca_file)) {
        settings_fini(&copy);
        return STATUS_NO_MEMORY;
    }
    if (options->allow_count)
        memcpy(copy.allow, options->allow, options->allow_count * sizeof *copy.allow);
    copy.client = (struct http_client_options){.clock = options->clock,
                                               .allow = copy.allow,
                                               .allow_count = options->allow_count,
                                               .is_http_allowed = options->is_http_allowed,
                                               .ca_file = copy.ca_file};
    size_t count = options->retry_count;
    count = count < ENDPOINT_RETRIES_MAX ? count : ENDPOINT_RETRIES_MAX;
    copy.dispatcher.timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS_DEFAULT;
    copy.dispatcher.retry_count = count;
    if (count)
        memcpy(copy.dispatcher.retry_s, options->retry_s, count * sizeof(uint32_t));
    *ret_settings = copy;
    return STATUS_OK;
}

/* On the loop */

static void on_timer(uv_timer_t *timer)
{
    struct deliver *deliver = timer->data;
    deliver->is_pass_due = true;
}

static void take_settings(struct deliver *deliver)
{
    struct settings_copy *settings = &deliver->settings;
    if (!settings->is_new)
        return;
    dispatcher_set(deliver->dispatcher, &settings->dispatcher);
    if (http_client_set(deliver->client, &settings->client) != STATUS_OK)
        log_error("reload: delivery's settings stay as they were: no memory");
    settings_fini(settings);
}

static void begin_stop(struct deliver *deliver, int64_t now_ms)
{
    if (!deliver->is_stop_asked || deliver->is_stopping)
        return;
    deliver->is_stopping = true;
    deliver->drain_until_ms = now_ms + deliver->drain_ms;
    dispatcher_stop(deliver->dispatcher);
}

static void on_async(uv_async_t *async)
{
    struct deliver *deliver = async->data;
    pthread_mutex_lock(&deliver->lock);
    take_settings(deliver);
    begin_stop(deliver, clock_monotonic_ms(deliver->clock));
    pthread_mutex_unlock(&deliver->lock);
    deliver->is_woken |= atomic_exchange(&deliver->has_commit, false);
    deliver->is_pass_due = true;
}

static void close_all(struct deliver *deliver)
{
    pthread_mutex_lock(&deliver->lock);
    deliver->is_closed = true;
    pthread_mutex_unlock(&deliver->lock);
    http_client_free(deliver->client);
    uv_close((uv_handle_t *)&deliver->async, NULL);
    uv_close((uv_handle_t *)&deliver->before_sleep, NULL);
    uv_close((uv_handle_t *)&deliver->timer, NULL);
}

static void before_sleep(uv_prepare_t *prepare)
{
    struct deliver *deliver = prepare->data;
    if (!deliver->is_pass_due && !dispatcher_has_news(deliver->dispatcher))
        return;
    bool is_woken = deliver->is_woken;
    deliver->is_pass_due = deliver->is_woken = false;
    int64_t next_ms = dispatcher_pass(deliver->dispatcher, is_woken);

    int64_t now_ms = clock_monotonic_ms(deliver->clock);
    if (deliver->is_stopping) {
        if (now_ms >= deliver->drain_until_ms)
            dispatcher_cancel(deliver->dispatcher);
        else if (deliver->drain_until_ms < next_ms)
            next_ms = deliver->drain_until_ms;
        if (dispatcher_is_idle(deliver->dispatcher)) {
            close_all(deliver);
            return;
        }
    }
    uv_update_time(&deliver->loop);
    uint64_t wait_ms = next_ms > now_ms ? (uint64_t)(next_ms - now_ms) : 0;
    (void)uv_timer_start(&deliver->timer, on_timer, wait_ms, 0); /* fails only without callback */
}

static void *run(void *context)
{
    struct deliver *deliver = context;
    (void)pthread_setname_np(pthread_self(), "deliver"); /* for people who look at threads */
    (void)uv_run(&deliver->loop, UV_RUN_DEFAULT);        /* until close_all */
    return NULL;
}

static enum status submit(void *context, struct work *work)
{
    struct deliver *deliver = context;
    return writer_submit(deliver->writer, work);
}

static void notify(void *context)
{
    struct deliver *deliver = context;
    pthread_mutex_lock(&deliver->lock);
    if (!deliver->is_closed)
        (void)uv_async_send(&deliver->async); /* fails only on a handle of another kind */
    pthread_mutex_unlock(&deliver->lock);
}

/* From outside */

static void handles_init(struct deliver *deliver)
{
    must(uv_async_init(&deliver->loop, &deliver->async, on_async) == 0);
    must(uv_prepare_init(&deliver->loop, &deliver->before_sleep) == 0);
    must(uv_timer_init(&deliver->loop, &deliver->timer) == 0);
    deliver->async.data = deliver->before_sleep.data = deliver->timer.data = deliver;
    must(uv_prepare_start(&deliver->before_sleep, before_sleep) == 0);
}

static enum status parts_new(struct deliver *deliver, const struct deliver_options *options)
{
    struct settings_copy settings;
    enum status status = settings_copy(options, &settings);
    if (status != STATUS_OK)
        return status;
    status = http_client_new(&deliver->loop, &settings.client, &deliver->client);
    if (status == STATUS_OK) {
        struct dispatcher_options parts = {.store = options->store,
                                           .vault = options->vault,
                                           .clock = options->clock,
                                           .client = deliver->client,
                                           .subscriptions = options->subscriptions,
                                           .submit = submit,
                                           .notify = notify,
                                           .context = deliver,
                                           .user_agent = options->user_agent};
        random_bytes(&parts.seed, sizeof parts.seed);
        status = dispatcher_new(&parts, &settings.dispatcher, &deliver->dispatcher);
    }
    settings_fini(&settings);
    return status;
}

/* Ends what has no thread yet. */
static void undo(struct deliver *deliver)
{
    close_all(deliver);
    (void)uv_run(&deliver->loop, UV_RUN_DEFAULT); /* until all handles are closed */
    must(uv_loop_close(&deliver->loop) == 0);
    deliver_free(deliver);
}

enum status deliver_start(const struct deliver_options *options, struct deliver **ret_deliver,
                          struct err *err)
{
    struct deliver *deliver = calloc(1, sizeof *deliver);
    if (!deliver || uv_loop_init(&deliver->loop) != 0) {
        free(deliver);
        err_set(err, "delivery could not start: no memory or no descriptors");
        return STATUS_NO_MEMORY;
    }
    deliver->store = options->store;
    deliver->writer = options->writer;
    deliver->clock = options->clock;
    deliver->is_pass_due = deliver->is_woken = true;
    must(pthread_mutex_init(&deliver->lock, NULL) == 0);
    handles_init(deliver);
    enum status status = parts_new(deliver, options);
    if (status == STATUS_OK && thread_start(&deliver->thread, run, deliver) != 0)
        status = STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        err_set(err, "delivery could not start: %s", status_text(status));
        undo(deliver);
        return status;
    }
    *ret_deliver = deliver;
    return STATUS_OK;
}

void deliver_wake(struct deliver *deliver)
{
    if (!atomic_exchange(&deliver->has_commit, true))
        notify(deliver);
}

void deliver_reload(struct deliver *deliver, const struct deliver_options *options)
{
    struct settings_copy settings;
    if (settings_copy(options, &settings) != STATUS_OK)
        return; /* the old ones stay */
    pthread_mutex_lock(&deliver->lock);
    settings_fini(&deliver->settings);
    deliver->settings = settings;
    pthread_mutex_unlock(&deliver->lock);
    notify(deliver);
}

void deliver_stop(struct deliver *deliver, uint32_t drain_ms)
{
    if (!deliver)
        return;
    pthread_mutex_lock(&deliver->lock);
    deliver->is_stop_asked = true;
    deliver->drain_ms = drain_ms;
    pthread_mutex_unlock(&deliver->lock);
    notify(deliver);
    pthread_join(deliver->thread, NULL);
    must(uv_loop_close(&deliver->loop) == 0);
}

void deliver_free(struct deliver *deliver)
{
    if (!deliver)
        return;
    dispatcher_free(deliver->dispatcher);
    settings_fini(&deliver->settings);
    pthread_mutex_destroy(&deliver->lock);
    free(deliver);
}

void deliver_stats(const struct deliver *deliver, struct deliver_stats *ret_stats)
{
    const struct dispatcher_counts *counts = dispatcher_counts(deliver->dispatcher);
    *ret_stats = (struct deliver_stats){
        .attempts = atomic_load(&counts->attempts),
        .delivered = atomic_load(&counts->delivered),
        .failed_attempts = atomic_load(&counts->failed_attempts),
        .in_flight = (uint32_t)atomic_load(&counts->in_flight),
        .endpoints = (uint32_t)atomic_load(&counts->endpoints),
        .cooling_endpoints = (uint32_t)atomic_load(&counts->cooling_endpoints),
    };
}

/*
 * world: everything around a dispatcher, in the test's hands: a store in a directory of its own, a
 * clock that moves when told, receivers that answer as written down, and a writer that commits at
 * once, or refuses. What was sent is kept as a transcript, so that a day of retries is a few lines
 * of text and a few milliseconds.
 */
#pragma once

#include "base/cleanup.h"
#include "base/must.h"
#include "ingest/deliver/dispatcher.h"
#include "ingest/deliver/signature.h"
#include "ingest/raise.h"
#include "storage/data_dir.h"
#include "storage/outbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START_MS INT64_C(1763643600000)
#define RECEIVERS_MAX 64
#define POSTS_MAX 1024
#define SENDS_MAX 4096
#define ENDLESS INT64_MAX

/* One endpoint's receiver. */
struct receiver {
    uint32_t endpoint; /* number */
    struct uuid id;
    const char *name;         /* in the transcript */
    const uint16_t *statuses; /* answers in order, the last one for ever; NULL: 200 */
    int64_t latency_ms;       /* ENDLESS: until the timeout */
    const char *hangs_on;     /* an event on which it hangs; NULL: none */
    int64_t retry_after_ms;
    unsigned sends;
};

struct send {
    int64_t at_ms;  /* since the start of the world */
    char label[96]; /* "receiver event retry" */
};

struct world {
    char dir[64];
    struct store *store;
    struct vault *vault;
    struct subscriptions *subscriptions;
    struct manual_clock manual;
    struct clock clock;
    struct http_client client;
    struct dispatcher *dispatcher;
    struct dispatcher_settings settings;
    uint64_t seed;
    struct receiver receivers[RECEIVERS_MAX];
    size_t receiver_count;
    struct waiting {
        struct post *post;
        int64_t answer_at_ms; /* monotonic */
        uint16_t status;
        int64_t retry_after_ms;
    } waiting[POSTS_MAX];
    size_t waiting_count, waiting_most;
    struct send sends[SENDS_MAX];
    size_t send_count;
    char last_headers[4096];
    struct buf last_body;
    unsigned shortages; /* so many posts are not sent, for lack of descriptors */
    unsigned crowded;   /* so many wait for another's connection until their time is over */
    bool is_last_new;   /* the last post asked for a connection of its own */
    bool is_store_full, is_writer_busy, is_notified, has_commit;
};

static struct world *the_world; /* the client's and the writer's callbacks need it */

static inline struct txn *world_write(struct world *w)
{
    struct txn *txn;
    assert_int_equal(txn_write(w->store, w->manual.wall_ms, ++w->seed, &txn), STATUS_OK);
    return txn;
}

static inline void world_commit(struct txn *txn)
{
    assert_int_equal(txn_commit(txn), STATUS_OK);
}

static inline struct txn *world_read(struct world *w)
{
    struct txn *txn;
    assert_int_equal(txn_read(w->store, &txn), STATUS_OK);
    return txn;
}

/* The fake client */

static inline void header_value(const struct post *post, const char *name, char *out, size_t size)
{
    char text[4096];
    must(post->headers.len < sizeof text);
    memcpy(text, post->headers.data, post->headers.len);
    text[post->headers.len] = '\0';
    const char *at = strstr(text, name);
    out[0] = '\0';
    if (at)
        snprintf(out, size, "%.*s", (int)strcspn(at + strlen(name), "\r"), at + strlen(name));
}

static inline struct receiver *receiver_of(struct world *w, const char *url)
{
    unsigned index;
    must(sscanf(url, "https://receiver-%u.example/", &index) == 1);
    return &w->receivers[index];
}

static inline enum status fake_send(struct http_client *client, struct post *post)
{
    (void)client;
    struct world *w = the_world;
    struct receiver *receiver = receiver_of(w, post->url);
    must(w->waiting_count < POSTS_MAX && w->send_count < SENDS_MAX);
    char event[64], retry[8];
    header_value(post, "X-Webhook-Event: ", event, sizeof event);
    header_value(post, "X-Webhook-Retry: ", retry, sizeof retry);
    struct send *send = &w->sends[w->send_count++];
    send->at_ms = w->manual.monotonic_ms;
    snprintf(send->label, sizeof send->label, "%s %s %s", receiver->name, event, retry);
    snprintf(w->last_headers, sizeof w->last_headers, "%.*s", BYTES_ARG(post->headers));
    w->is_last_new = post->is_new_connection;
    buf_clear(&w->last_body);
    buf_put_bytes(&w->last_body, post->body);

    struct waiting *waiting = &w->waiting[w->waiting_count++];
    w->waiting_most = w->waiting_count > w->waiting_most ? w->waiting_count : w->waiting_most;
    waiting->post = post;
    bool is_hanging = receiver->latency_ms == ENDLESS ||
                      (receiver->hangs_on && strcmp(receiver->hangs_on, event) == 0);
    waiting->answer_at_ms =
        w->manual.monotonic_ms + (is_hanging ? (int64_t)post->timeout_ms : receiver->latency_ms);
    waiting->status = is_hanging ? 0 : receiver->statuses ? *receiver->statuses : 200;
    waiting->retry_after_ms = receiver->retry_after_ms;
    if (receiver->statuses && receiver->statuses[1])
        receiver->statuses++;
    receiver->sends++;
    post->response_bytes = 0;
    post->address[0] = post->error[0] = '\0';
    return STATUS_OK;
}

static inline void fake_cancel(struct http_client *client, struct post *post)
{
    (void)client;
    struct world *w = the_world;
    size_t i = 0;
    while (w->waiting[i].post != post)
        i++;
    w->waiting[i] = w->waiting[--w->waiting_count];
}

static inline void answer(struct world *w, size_t i)
{
    struct waiting waiting = w->waiting[i];
    w->waiting_count--;
    memmove(&w->waiting[i], &w->waiting[i + 1], (w->waiting_count - i) * sizeof waiting);
    waiting.post->is_unsent = w->shortages > 0;
    w->shortages -= waiting.post->is_unsent;
    waiting.post->is_crowded_out = w->crowded > 0;
    w->crowded -= waiting.post->is_crowded_out;
    waiting.post->http_status = waiting.status;
    waiting.post->retry_after_ms = waiting.retry_after_ms;
    if (!waiting.status)
        strcpy(waiting.post->error, "no answer in time");
    waiting.post->done(waiting.post);
}

static inline int64_t next_answer_ms(const struct world *w)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < w->waiting_count; i++)
        next = w->waiting[i].answer_at_ms < next ? w->waiting[i].answer_at_ms : next;
    return next;
}

/* In the order in which they were sent. */
static inline void answer_due(struct world *w)
{
    for (size_t i = 0; i < w->waiting_count;)
        if (w->waiting[i].answer_at_ms <= w->manual.monotonic_ms)
            answer(w, i);
        else
            i++;
}

/* The writer, at once */

static inline enum status fake_submit(void *context, struct work *work)
{
    struct world *w = context;
    if (w->is_writer_busy)
        return STATUS_LIMIT;
    struct txn *txn;
    enum status status = txn_write(w->store, w->manual.wall_ms, ++w->seed, &txn);
    if (status == STATUS_OK) {
        work->apply(work, txn);
        status = STATUS_NO_SPACE;
        if (w->is_store_full)
            txn_abort(txn);
        else
            status = txn_commit(txn);
    }
    work->done(work, status);
    w->has_commit |= status == STATUS_OK;
    return STATUS_OK;
}

static inline void fake_notify(void *context)
{
    struct world *w = context;
    w->is_notified = true;
}

/* Life */

static inline void world_begin_dispatching(struct world *w)
{
    struct dispatcher_options options = {.store = w->store,
                                         .vault = w->vault,
                                         .clock = &w->clock,
                                         .client = &w->client,
                                         .subscriptions = w->subscriptions,
                                         .submit = fake_submit,
                                         .notify = fake_notify,
                                         .context = w,
                                         .user_agent = "Postern/test",
                                         .seed = 7};
    assert_int_equal(dispatcher_new(&options, &w->settings, &w->dispatcher), STATUS_OK);
}

static inline void world_end_dispatching(struct world *w)
{
    dispatcher_stop(w->dispatcher);
    w->is_store_full = w->is_writer_busy = false;
    for (int i = 0; i < 10 && !dispatcher_is_idle(w->dispatcher); i++) {
        (void)dispatcher_pass(w->dispatcher, false);
        dispatcher_cancel(w->dispatcher);
        manual_clock_advance(&w->manual, 10 * SECOND_MS);
    }
    dispatcher_free(w->dispatcher);
    w->dispatcher = NULL;
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct err err = {0};
    char key_path[96];
    must(w != NULL);
    the_world = w;
    strcpy(w->dir, "/tmp/postern-test-XXXXXX");
    must(mkdtemp(w->dir) != NULL);
    snprintf(key_path, sizeof key_path, "%s/master.key", w->dir);
    struct store_options options = {.dir = w->dir, .mode = STORE_SERVE, .map_bytes = 64 << 20};
    if (store_open(&options, &w->store, &err) != STATUS_OK ||
        vault_open(key_path, true, &w->vault, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    w->subscriptions = subscriptions_new();
    w->manual = (struct manual_clock){.wall_ms = START_MS, .monotonic_ms = 0};
    w->clock = manual_clock_view(&w->manual);
    w->client = (struct http_client){fake_send, fake_cancel};
    w->settings = (struct dispatcher_settings){
        .timeout_ms = 30000, .retry_s = {60, 300, 1800, 7200}, .retry_count = 4};
    world_begin_dispatching(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    struct err err = {0};
    char path[96];
    if (w->dispatcher)
        world_end_dispatching(w);
    subscriptions_free(w->subscriptions);
    store_close(w->store);
    vault_free(w->vault);
    buf_fini(&w->last_body);
    snprintf(path, sizeof path, "%s/store", w->dir);
    if (dir_remove(path, &err) != STATUS_OK || dir_remove(w->dir, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    free(w);
    return 0;
}

#define IN_WORLD(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

/* What a test says */

#define SECRET_ONE "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define SECRET_TWO "whsec_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="

/* An endpoint to which nothing is enqueued by itself unless `pattern` says so. `change` may be
 * NULL. */
static inline struct receiver *add_receiver(struct world *w, const char *name, const char *pattern,
                                            void (*change)(struct world *w,
                                                           struct endpoint *endpoint))
{
    must(w->receiver_count < RECEIVERS_MAX);
    struct receiver *receiver = &w->receivers[w->receiver_count];
    struct txn *txn = world_write(w);
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    must(endpoint != NULL);
    endpoint->id = txn_uuid(txn);
    endpoint->state = ENDPOINT_ENABLED;
    snprintf(endpoint->url, sizeof endpoint->url, "https://receiver-%zu.example/",
             w->receiver_count++);
    endpoint->pattern_count = 1;
    strcpy(endpoint->patterns[0], pattern ? pattern : "none.of.them");
    endpoint->secret_count = 1;
    assert_int_equal(endpoint_secret_seal(w->vault, endpoint, 0, bytes_of_str(SECRET_ONE)),
                     STATUS_OK);
    if (change)
        change(w, endpoint);
    endpoint_put(txn, endpoint);
    *receiver = (struct receiver){.endpoint = endpoint->number,
                                  .id = endpoint->id,
                                  .name = name,
                                  .retry_after_ms = RETRY_AFTER_NONE};
    free(endpoint);
    world_commit(txn);
    return receiver;
}

static inline struct uuid enqueue_in(struct world *w, struct txn *txn,
                                     const struct receiver *receiver, const char *name,
                                     const struct uuid *lane)
{
    (void)w;
    static const struct uuid NO_LANE;
    struct event event = {
        .time_ms = txn_now_ms(txn), .name = bytes_of_str(name), .data = bytes_of_str("{\"n\":1}")};
    event_append(txn, &event);
    return outbox_enqueue(txn, receiver->endpoint, event.sequence, lane ? lane : &NO_LANE,
                          txn_now_ms(txn));
}

/* An event of that name and its delivery to one receiver; `lane` is a record's, or NULL. */
static inline struct uuid enqueue(struct world *w, const struct receiver *receiver,
                                  const char *name, const struct uuid *lane)
{
    struct txn *txn = world_write(w);
    struct uuid delivery = enqueue_in(w, txn, receiver, name, lane);
    world_commit(txn);
    return delivery;
}

static inline struct delivery delivery_now(struct world *w, const struct uuid *id)
{
    struct delivery delivery;
    struct txn *txn = world_read(w);
    assert_int_equal(delivery_find(txn, id, &delivery), STATUS_OK);
    txn_abort(txn);
    return delivery;
}

static inline void endpoint_now(struct world *w, const struct receiver *receiver,
                                struct endpoint *ret_endpoint)
{
    struct txn *txn = world_read(w);
    assert_int_equal(endpoint_at(txn, receiver->endpoint, ret_endpoint), STATUS_OK);
    txn_abort(txn);
}

/* When the store has something due next, in monotonic milliseconds. */
static inline int64_t next_due_in_store_ms(struct world *w)
{
    int64_t next = INT64_MAX;
    struct txn *txn = world_read(w);
    for (size_t i = 0; i < w->receiver_count; i++) {
        int64_t due = outbox_next_due_ms(txn, w->receivers[i].endpoint, w->manual.wall_ms);
        next = due < next ? due : next;
    }
    txn_abort(txn);
    return next == INT64_MAX ? next : next - w->manual.wall_ms + w->manual.monotonic_ms;
}

/* Pass until nothing happens without time going by; when to pass again. */
static inline int64_t settle(struct world *w, bool is_woken)
{
    int64_t next_ms;
    do {
        w->is_notified = false;
        next_ms = dispatcher_pass(w->dispatcher, is_woken);
        is_woken = w->has_commit;
        w->has_commit = false;
    } while (is_woken || w->is_notified || dispatcher_has_news(w->dispatcher));
    return next_ms;
}

/* Let time go by. Passes that would only be looks at quiet queues are left out. */
static inline void run_for(struct world *w, int64_t duration_ms)
{
    int64_t end_ms = w->manual.monotonic_ms + duration_ms;
    int64_t next_ms = settle(w, true);
    for (;;) {
        if (next_ms >= w->manual.monotonic_ms + 500) {
            int64_t due_ms = next_due_in_store_ms(w);
            next_ms = due_ms > next_ms ? due_ms : next_ms;
        }
        int64_t at_ms = next_answer_ms(w) < next_ms ? next_answer_ms(w) : next_ms;
        if (at_ms > end_ms)
            break;
        if (at_ms > w->manual.monotonic_ms)
            manual_clock_advance(&w->manual, at_ms - w->manual.monotonic_ms);
        answer_due(w);
        next_ms = settle(w, false);
    }
    manual_clock_advance(&w->manual, end_ms - w->manual.monotonic_ms);
}

/* What was sent so far, a line each, then forgotten. */
#define assert_sent(w, ...)                                                                        \
    do {                                                                                           \
        const char *lines_[] = {__VA_ARGS__};                                                      \
        size_t count_ = sizeof lines_ / sizeof lines_[0];                                          \
        for (size_t i_ = 0; i_ < count_ && i_ < (w)->send_count; i_++)                             \
            assert_string_equal((w)->sends[i_].label, lines_[i_]);                                 \
        assert_int_equal((w)->send_count, count_);                                                 \
        (w)->send_count = 0;                                                                       \
    } while (0)

static inline size_t event_count(struct world *w, const char *name)
{
    struct txn *txn = world_read(w);
    struct event event;
    size_t count = 0;
    for (uint64_t s = 1; s <= event_last_sequence(txn); s++) {
        assert_int_equal(event_at(txn, s, &event), STATUS_OK);
        count += bytes_equal_str(event.name, name);
    }
    txn_abort(txn);
    return count;
}

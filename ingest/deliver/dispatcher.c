/*
 * Happy path of a pass: what the writer has stored is taken off the table of flights; new outcomes
 * go to the writer as one batch; each live endpoint with room in its window and something due gets
 * its next deliveries sent. One read transaction a pass. dispatcher_pass says when time alone will
 * make the next one useful; everything else that does (an answer, a stored batch, a commit) brings
 * its own call.
 *
 * Looking into the due queues: `has_due` remembers that an endpoint has more than its window takes,
 * `next_due_ms` when something comes up, and a commit or half a second makes all of them worth a
 * look, which also finds what a tool changed. With very many endpoints the looks keep a distance
 * from each other, so that they never take more than a part of a core. Where one look at a queue
 * ended the next goes on (`after`), and at the end begins again, until a whole look found nothing.
 * When a window takes no more that were tried before, a second place (`after_fresh`) moves past
 * those; what was not tried yet is due since it came in, so from the end it goes back only a
 * little.
 *
 * What can fail: an answer is an outcome like any other. A batch that the writer could not store
 * (disk full) is handed in again with growing pauses; as transfers wait for that, nothing new is
 * sent beyond UNSETTLED_MAX, so a full disk does not turn into endless repetition. If the store
 * cannot be read, the pass is tried again a second later.
 *
 * Isolation: an endpoint uses what its window allows. The last quarter of all slots is kept for
 * endpoints that use none, and cooling endpoints get none once half of them are taken.
 */
#include "ingest/deliver/dispatcher.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/must.h"
#include "ingest/deliver/batch.h"
#include "ingest/deliver/flight.h"
#include "ingest/render.h"
#include "storage/fault.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SENDING_MAX 512               /* attempts at receivers, all endpoints */
#define UNSETTLED_MAX 2048            /* and those whose outcome is not stored yet */
#define BODY_BYTES_MAX (128U << 20)   /* bodies held, all endpoints */
#define ENDPOINT_BYTES_MAX (4U << 20) /* bodies held, one endpoint; one body may be larger */
#define LOOK_MS 500                   /* a look at every queue at least so often */
#define LOOKS_PER_MS 100              /* with more endpoints, looks keep a distance */
#define PASSED_MAX 1000               /* rows that one look for untried ones passes over */
#define FRESH_BACK_MS (5 * SECOND_MS) /* a row is seen in the store by then */
#define SHORT_PAUSE_MS SECOND_MS      /* after the store could not be read, or memory was short */
#define STORE_PAUSE_MS 100            /* after a batch was not stored; doubles up to … */
#define STORE_PAUSE_MAX_MS (5 * SECOND_MS)

struct dispatcher {
    struct dispatcher_options options;
    struct dispatcher_settings settings;
    char *user_agent;
    struct prng prng;
    struct due_clock due_clock;
    struct dispatcher_counts counts;
    bool is_stopping, has_news;

    struct target **targets; /* ascending by number */
    size_t target_count, target_capacity;
    size_t first_target; /* where the next pass begins, for fairness */
    uint64_t generation;
    bool has_generation;

    struct flight flight;
    uint32_t sending;
    size_t body_bytes;
    struct renderer renderer;
    int64_t send_at_ms;   /* not before: we were short of memory or descriptors */
    int64_t last_look_ms; /* at every queue */
    bool is_look_wanted;  /* the store changed since */

    struct transfer *outcomes; /* answered, not at the writer yet */
    uint32_t batches;          /* at the writer */
    int64_t submit_at_ms;      /* not before: the store refused */
    int64_t store_pause_ms;
    pthread_mutex_t lock;
    struct batch *settled; /* under the lock: came back from the writer */
};

/* Targets: the live endpoints as of the store's generation. */

static struct target *target_of(struct dispatcher *d, uint32_t number)
{
    size_t low = 0, high = d->target_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (d->targets[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_found = low < d->target_count && d->targets[low]->number == number;
    return is_found ? d->targets[low] : NULL;
}

static struct target *target_add(struct dispatcher *d, uint32_t number)
{
    if (d->target_count == d->target_capacity) {
        size_t capacity = d->target_capacity ? d->target_capacity * 2 : 16;
        struct target **grown = realloc(d->targets, capacity * sizeof(struct target *));
        if (!grown)
            return NULL;
        d->targets = grown;
        d->target_capacity = capacity;
    }
    struct target *target = target_new(number);
    if (!target)
        return NULL;
    size_t at = d->target_count++; /* mostly the highest number: nothing moves */
    for (; at > 0 && d->targets[at - 1]->number > number; at--)
        d->targets[at] = d->targets[at - 1];
    d->targets[at] = target;
    return target;
}

static void log_endpoint(enum log_level level, const char *message, const struct uuid *id,
                         const char *reason)
{
    char text[TYPEID_TEXT_BYTES];
    typeid_format(ENDPOINT_ID_PREFIX, id, text);
    log_at(level, message, LOG_STR("endpoint", text), LOG_STR("reason", reason));
}

static enum status take_endpoint(struct dispatcher *d, const struct endpoint *endpoint)
{
    struct target *target = target_of(d, endpoint->number);
    if (!target && endpoint->state != ENDPOINT_ENABLED)
        return STATUS_OK;
    bool was_live = target && target->is_live;
    if (!target && !(target = target_add(d, endpoint->number)))
        return STATUS_NO_MEMORY;
    struct err err = {0};
    enum status status = target_set(target, endpoint, d->options.vault, &err);
    if (status == STATUS_NO_MEMORY)
        return status;
    if (status != STATUS_OK)
        log_endpoint(LOG_ERROR, "deliveries to an endpoint are held back", &endpoint->id, err.text);
    if (was_live && endpoint->state == ENDPOINT_DISABLED)
        log_endpoint(LOG_WARN, "endpoint disabled", &endpoint->id, endpoint->disabled_reason);
    return STATUS_OK;
}

static void drop_dead_targets(struct dispatcher *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->target_count; i++) {
        struct target *target = d->targets[i];
        if (target->is_live || target->transfers)
            d->targets[kept++] = target;
        else
            target_free(target);
    }
    d->target_count = kept;
}

static enum status refresh_targets(struct dispatcher *d, struct txn *txn)
{
    uint64_t generation = txn_generation(txn);
    if (d->has_generation && generation == d->generation)
        return STATUS_OK;
    CLEANUP(freep) struct endpoint *endpoint = malloc(sizeof *endpoint);
    if (!endpoint)
        return STATUS_NO_MEMORY;
    d->has_generation = false; /* until all of it was read */
    for (size_t i = 0; i < d->target_count; i++)
        d->targets[i]->is_live = false; /* a deleted one does not come up below */
    uint32_t number = 0;
    enum status status;
    while ((status = endpoint_next(txn, &number, endpoint)) == STATUS_OK) {
        status = take_endpoint(d, endpoint);
        if (status != STATUS_OK)
            return status;
    }
    if (status != STATUS_END)
        return status;
    drop_dead_targets(d);
    d->generation = generation;
    d->has_generation = true;
    d->last_look_ms = INT64_MIN / 2;
    atomic_store(&d->counts.endpoints, (uint_fast32_t)d->target_count);
    return STATUS_OK;
}

/* Outcomes: from the client to the writer and back. */

static struct schedule schedule_of(const struct dispatcher *d, const struct target *target)
{
    if (target->retry_count)
        return (struct schedule){target->retry_s, target->retry_count};
    return (struct schedule){d->settings.retry_s, d->settings.retry_count};
}

static void add_outcome(struct dispatcher *d, struct transfer *transfer)
{
    transfer->next = d->outcomes;
    d->outcomes = transfer;
    d->has_news = true;
}

/* The receiver's part is over: its slot and the body's memory are free. */
static void leave_sending(struct dispatcher *d, struct transfer *transfer)
{
    transfer->is_sending = false;
    d->sending--;
    d->body_bytes -= transfer->body_bytes;
    transfer->target->bytes_in_flight -= transfer->body_bytes;
    buf_fini(&transfer->body);
    atomic_store(&d->counts.in_flight, d->sending);
}

static void forget_transfer(struct dispatcher *d, struct transfer *transfer)
{
    flight_remove(&d->flight, transfer);
    transfer->target->transfers--;
    transfer->target->has_due = true; /* it, or the next of its lane */
    transfer_free(transfer);
}

/* We are short of something ourselves: it costs the delivery no try, and nothing begins for a
 * while. */
static void on_unsent(struct dispatcher *d, struct transfer *transfer, int64_t now_ms)
{
    if (now_ms >= d->send_at_ms)
        log_error("deliveries wait: not enough memory or descriptors");
    d->send_at_ms = now_ms + SHORT_PAUSE_MS;
    window_done(&transfer->target->window, transfer->ticket, WINDOW_NEUTRAL, now_ms);
    forget_transfer(d, transfer);
    d->has_news = true;
}

/* Another post's connection to the same host did not come about in time: nothing was sent, so it
 * costs no try. The next ones open connections of their own. */
static void on_crowded_out(struct dispatcher *d, struct transfer *transfer, int64_t now_ms)
{
    transfer->target->is_crowded = true;
    window_done(&transfer->target->window, transfer->ticket, WINDOW_NEUTRAL, now_ms);
    forget_transfer(d, transfer);
    d->has_news = true;
}

static void on_answer(struct post *post)
{
    struct transfer *transfer = post->context;
    struct dispatcher *d = transfer->dispatcher;
    struct target *target = transfer->target;
    int64_t now_ms = clock_monotonic_ms(d->options.clock);
    transfer->duration_ms = (uint32_t)(now_ms - transfer->started_monotonic_ms);
    fault_point("attempt_answered");
    leave_sending(d, transfer);
    if (post->is_unsent) {
        on_unsent(d, transfer, now_ms);
        return;
    }
    if (post->is_crowded_out) {
        on_crowded_out(d, transfer, now_ms);
        return;
    }
    window_done(&target->window, transfer->ticket, window_result_of(post->http_status), now_ms);

    struct answer answer = {post->http_status, post->retry_after_ms};
    struct schedule schedule = schedule_of(d, target);
    transfer->decision = schedule_decide(&schedule, transfer->delivery.retry_count, answer,
                                         due_clock_now(&d->due_clock, d->options.clock), &d->prng);
    bool is_success = transfer->decision.outcome == ATTEMPT_DELIVERED;
    target->is_crowded &= !is_success;
    atomic_fetch_add(&d->counts.attempts, 1);
    atomic_fetch_add(is_success ? &d->counts.delivered : &d->counts.failed_attempts, 1);
    add_outcome(d, transfer);
}

static void on_settled(struct batch *batch)
{
    struct dispatcher *d = batch->transfers->dispatcher;
    pthread_mutex_lock(&d->lock);
    batch->next = d->settled;
    d->settled = batch;
    /* Within the lock: once it is free, the loop may take the batch and end. */
    d->options.notify(d->options.context);
    pthread_mutex_unlock(&d->lock);
}

/* Not stored: hand its transfers in again after a pause. */
static void take_back(struct dispatcher *d, struct batch *batch, int64_t now_ms)
{
    if (d->store_pause_ms == 0)
        log_error("outcomes of deliveries could not be stored, trying again",
                  LOG_STR("reason", status_text(batch->status)));
    int64_t pause_ms = d->store_pause_ms ? d->store_pause_ms * 2 : STORE_PAUSE_MS;
    d->store_pause_ms = pause_ms < STORE_PAUSE_MAX_MS ? pause_ms : STORE_PAUSE_MAX_MS;
    d->submit_at_ms = now_ms + d->store_pause_ms;
    while (batch->transfers) {
        struct transfer *transfer = batch->transfers;
        batch->transfers = transfer->next;
        if (d->is_stopping)
            forget_transfer(d, transfer); /* still due at the next start */
        else
            add_outcome(d, transfer);
    }
}

static void take_settled(struct dispatcher *d, int64_t now_ms)
{
    pthread_mutex_lock(&d->lock);
    struct batch *batch = d->settled;
    d->settled = NULL;
    pthread_mutex_unlock(&d->lock);
    while (batch) {
        struct batch *next = batch->next;
        d->batches--;
        if (batch->status != STATUS_OK)
            take_back(d, batch, now_ms);
        else
            d->store_pause_ms = 0;
        while (batch->transfers) {
            struct transfer *transfer = batch->transfers;
            batch->transfers = transfer->next;
            forget_transfer(d, transfer);
        }
        free(batch);
        batch = next;
    }
}

static void submit_outcomes(struct dispatcher *d, int64_t now_ms)
{
    if (!d->outcomes || now_ms < d->submit_at_ms)
        return;
    struct batch *batch = malloc(sizeof *batch);
    if (!batch) {
        d->submit_at_ms = now_ms + STORE_PAUSE_MS;
        return;
    }
    batch_init(batch, d->options.subscriptions, d->due_clock.stepped_at_ms, on_settled);
    batch->transfers = d->outcomes;
    if (d->options.submit(d->options.context, &batch->work) != STATUS_OK) {
        free(batch); /* its queue is full: that is over soon */
        d->submit_at_ms = now_ms + STORE_PAUSE_MS / 10;
        return;
    }
    d->outcomes = NULL;
    d->batches++;
}

/* Sending */

static bool has_slot(const struct dispatcher *d, const struct target *target)
{
    if (d->flight.count >= UNSETTLED_MAX || d->body_bytes >= BODY_BYTES_MAX)
        return false;
    if (target->bytes_in_flight >= ENDPOINT_BYTES_MAX)
        return false;
    if (window_is_cooling(&target->window))
        return d->sending < SENDING_MAX / 2;
    return d->sending < (target->window.in_flight ? SENDING_MAX / 4 * 3 : SENDING_MAX);
}

static enum status fill_transfer(struct dispatcher *d, struct txn *txn, struct transfer *transfer)
{
    const struct target *target = transfer->target;
    struct event event;
    enum status status = event_at(txn, transfer->delivery.sequence, &event);
    if (status == STATUS_OK)
        status = render_event(&d->renderer, txn, &event, &transfer->body);
    if (status != STATUS_OK)
        return status;
    char id[TYPEID_TEXT_BYTES];
    typeid_format(DELIVERY_ID_PREFIX, &transfer->delivery.id, id);
    struct dress dress = {.user_agent = d->user_agent,
                          .delivery = id,
                          .event = event.name,
                          .timestamp_s = transfer->started_wall_ms / SECOND_MS,
                          .retry = transfer->delivery.attempt_count,
                          .body = buf_bytes(&transfer->body)};
    target_put_headers(target, &dress, &transfer->sent_headers, &transfer->logged_headers);
    sha256(dress.body, transfer->payload_hash);
    bool is_fine =
        transfer->sent_headers.status == STATUS_OK && transfer->logged_headers.status == STATUS_OK;
    return is_fine ? STATUS_OK : STATUS_NO_MEMORY;
}

static struct transfer *transfer_new(struct dispatcher *d, struct target *target,
                                     const struct delivery *delivery)
{
    struct transfer *transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return NULL;
    transfer->dispatcher = d;
    transfer->target = target;
    transfer->delivery = *delivery;
    transfer->started_wall_ms = clock_wall_ms(d->options.clock);
    transfer->started_monotonic_ms = clock_monotonic_ms(d->options.clock);
    transfer->url = strdup(target->url);
    if (!transfer->url) {
        transfer_free(transfer);
        return NULL;
    }
    return transfer;
}

static void enter_flight(struct dispatcher *d, struct transfer *transfer)
{
    flight_add(&d->flight, transfer);
    transfer->target->transfers++;
}

/* What there was to say is gone or damaged: the delivery ends here, without a word to the receiver.
 */
static void fail_locally(struct dispatcher *d, struct transfer *transfer, enum status status)
{
    char id[TYPEID_TEXT_BYTES];
    typeid_format(DELIVERY_ID_PREFIX, &transfer->delivery.id, id);
    bool is_erased = status == STATUS_NOT_FOUND;
    snprintf(transfer->post.error, sizeof transfer->post.error, "%s",
             is_erased ? "the content was erased" : "the stored event cannot be read");
    if (!is_erased)
        log_error("a delivery's event cannot be rendered", LOG_STR("delivery", id),
                  LOG_STR("reason", status_text(status)));
    transfer->is_local = true;
    transfer->decision = (struct decision){.outcome = ATTEMPT_FAILED};
    enter_flight(d, transfer);
    add_outcome(d, transfer);
}

static bool is_retry(const struct delivery *delivery)
{
    return delivery->attempt_count > 0;
}

static enum status post_transfer(struct dispatcher *d, struct transfer *transfer)
{
    struct target *target = transfer->target;
    uint32_t timeout_ms = target->timeout_ms ? target->timeout_ms : d->settings.timeout_ms;
    transfer->post.url = transfer->url;
    transfer->post.headers = buf_bytes(&transfer->sent_headers);
    transfer->post.body = buf_bytes(&transfer->body);
    transfer->post.timeout_ms = timeout_ms;
    transfer->post.is_new_connection = target->is_crowded || window_is_cooling(&target->window);
    transfer->post.done = on_answer;
    transfer->post.context = transfer;
    fault_point("attempt_due");
    enum status status = d->options.client->send(d->options.client, &transfer->post);
    if (status != STATUS_OK)
        return status;
    transfer->is_sending = true;
    transfer->body_bytes = transfer->body.len;
    d->sending++;
    d->body_bytes += transfer->body_bytes;
    target->bytes_in_flight += transfer->body_bytes;
    transfer->ticket =
        window_sent(&target->window, is_retry(&transfer->delivery), transfer->started_monotonic_ms);
    enter_flight(d, transfer);
    atomic_store(&d->counts.in_flight, d->sending);
    return STATUS_OK;
}

/* STATUS_NO_MEMORY and other faults of the store: nothing happened, it is still due. */
static enum status begin_transfer(struct dispatcher *d, struct txn *txn, struct target *target,
                                  const struct delivery *delivery)
{
    struct transfer *transfer = transfer_new(d, target, delivery);
    if (!transfer)
        return STATUS_NO_MEMORY;
    enum status status = fill_transfer(d, txn, transfer);
    if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) {
        fail_locally(d, transfer, status);
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = post_transfer(d, transfer);
    if (status != STATUS_OK)
        transfer_free(transfer);
    return status;
}

static void note_queue_end(struct txn *txn, struct target *target, int64_t due_now_ms)
{
    target->has_due = false;
    target->next_due_ms = outbox_next_due_ms(txn, target->number, due_now_ms);
}

/* The endpoint's next due delivery that is not under way. STATUS_END: none; `next_due_ms` is set.
 */
static enum status next_delivery(struct dispatcher *d, struct txn *txn, struct target *target,
                                 int64_t due_now_ms, struct delivery *ret_delivery)
{
    bool is_from_start = target->after.endpoint == 0;
    for (;;) {
        enum status status =
            outbox_due_next(txn, target->number, due_now_ms, &target->after, ret_delivery);
        if (status == STATUS_OK) {
            target->after = *ret_delivery;
            if (!flight_has(&d->flight, &ret_delivery->id))
                return STATUS_OK;
            continue;
        }
        target->after = (struct delivery){0};
        if (status != STATUS_END)
            return status;
        if (is_from_start) {
            note_queue_end(txn, target, due_now_ms);
            return STATUS_END;
        }
        is_from_start = true; /* something may have come in before where the last look ended */
    }
}

/* The same, passing over those that were tried before; one of these ends soon, and has_due is set
 * then. STATUS_LIMIT: not at the end yet. */
static enum status next_fresh_delivery(struct dispatcher *d, struct txn *txn, struct target *target,
                                       int64_t due_now_ms, struct delivery *ret_delivery)
{
    for (int passed = 0; passed < PASSED_MAX; passed++) {
        enum status status =
            outbox_due_next(txn, target->number, due_now_ms, &target->after_fresh, ret_delivery);
        if (status != STATUS_OK) {
            target->after_fresh = (struct delivery){.due_ms = due_now_ms - FRESH_BACK_MS};
            if (status == STATUS_END)
                note_queue_end(txn, target, due_now_ms);
            return status;
        }
        target->after_fresh = *ret_delivery;
        if (!is_retry(ret_delivery) && !flight_has(&d->flight, &ret_delivery->id))
            return STATUS_OK;
    }
    return STATUS_LIMIT;
}

/* Sends what the window takes. Returns the milliseconds after which time alone lets it send more;
 * -1: time does not help. */
static int64_t serve(struct dispatcher *d, struct txn *txn, struct target *target, int64_t now_ms,
                     int64_t due_now_ms, enum status *ret_status)
{
    int64_t wait_ms = -1;
    while (target->has_due && window_has_room(&target->window, now_ms, &wait_ms)) {
        struct delivery delivery;
        wait_ms = -1;
        if (!has_slot(d, target))
            return -1; /* an answer or a stored batch makes room */
        enum status status = window_takes_retry(&target->window)
                                 ? next_delivery(d, txn, target, due_now_ms, &delivery)
                                 : next_fresh_delivery(d, txn, target, due_now_ms, &delivery);
        if (status == STATUS_LIMIT)
            return 0; /* after the others had their turn */
        if (status == STATUS_OK)
            status = begin_transfer(d, txn, target, &delivery);
        if (status == STATUS_END)
            break;
        if (status != STATUS_OK) {
            *ret_status = status;
            return -1;
        }
    }
    if (target->has_due)
        return wait_ms;
    return target->next_due_ms == INT64_MAX ? -1 : target->next_due_ms - due_now_ms;
}

/* When every queue is looked at again. */
static int64_t next_look_ms(const struct dispatcher *d)
{
    int64_t distance_ms = (int64_t)(d->target_count / LOOKS_PER_MS);
    if (!d->is_look_wanted || distance_ms > LOOK_MS)
        distance_ms = LOOK_MS;
    return d->last_look_ms + distance_ms;
}

static void look_at_all(struct dispatcher *d, int64_t now_ms)
{
    for (size_t i = 0; i < d->target_count; i++)
        d->targets[i]->has_due = true;
    d->last_look_ms = now_ms;
    d->is_look_wanted = false;
}

/* Serves every target once, a different one first each time. Returns how long to wait at most. */
static int64_t serve_all(struct dispatcher *d, struct txn *txn, int64_t now_ms, int64_t due_now_ms,
                         enum status *ret_status)
{
    int64_t wait_ms = next_look_ms(d) - now_ms;
    uint32_t cooling = 0;
    for (size_t i = 0; i < d->target_count && *ret_status == STATUS_OK; i++) {
        struct target *target = d->targets[(d->first_target + i) % d->target_count];
        if (!target->is_live)
            continue;
        cooling += window_is_cooling(&target->window);
        if (target->next_due_ms <= due_now_ms)
            target->has_due = true;
        int64_t own_ms = serve(d, txn, target, now_ms, due_now_ms, ret_status);
        if (own_ms >= 0 && own_ms < wait_ms)
            wait_ms = own_ms;
    }
    if (d->target_count)
        d->first_target = (d->first_target + 1) % d->target_count;
    atomic_store(&d->counts.cooling_endpoints, cooling);
    return wait_ms;
}

/* Returns how long to wait at most. */
static int64_t send_due(struct dispatcher *d, int64_t now_ms)
{
    struct txn *txn;
    enum status status = txn_read(d->options.store, &txn);
    int64_t wait_ms = SHORT_PAUSE_MS;
    if (status == STATUS_OK) {
        status = refresh_targets(d, txn);
        if (now_ms >= next_look_ms(d))
            look_at_all(d, now_ms);
        int64_t due_now_ms = due_clock_now(&d->due_clock, d->options.clock);
        if (status == STATUS_OK)
            wait_ms = serve_all(d, txn, now_ms, due_now_ms, &status);
        if (status == STATUS_OK)
            status = txn_status(txn); /* functions without a status of their own */
        txn_abort(txn);
    }
    if (status == STATUS_OK)
        return wait_ms;
    log_error("what is due for delivery could not be sent", LOG_STR("reason", status_text(status)));
    d->send_at_ms = now_ms + SHORT_PAUSE_MS;
    return SHORT_PAUSE_MS;
}

int64_t dispatcher_pass(struct dispatcher *d, bool is_woken)
{
    int64_t now_ms = clock_monotonic_ms(d->options.clock);
    d->has_news = false;
    take_settled(d, now_ms);
    int64_t wait_ms = LOOK_MS;
    d->is_look_wanted |= is_woken;
    if (!d->is_stopping)
        wait_ms = now_ms < d->send_at_ms ? d->send_at_ms - now_ms : send_due(d, now_ms);
    submit_outcomes(d, now_ms);
    if (d->outcomes && d->submit_at_ms - now_ms < wait_ms)
        wait_ms = d->submit_at_ms - now_ms;
    return now_ms + (wait_ms > 0 ? wait_ms : 0);
}

/* The rest */

bool dispatcher_has_news(const struct dispatcher *d)
{
    return d->has_news;
}

const struct dispatcher_counts *dispatcher_counts(const struct dispatcher *d)
{
    return &d->counts;
}

void dispatcher_set(struct dispatcher *d, const struct dispatcher_settings *settings)
{
    d->settings = *settings;
}

void dispatcher_stop(struct dispatcher *d)
{
    d->is_stopping = true;
}

bool dispatcher_is_idle(const struct dispatcher *d)
{
    return d->flight.count == 0;
}

void dispatcher_cancel(struct dispatcher *d)
{
    for (size_t i = 0; i < FLIGHT_BUCKETS; i++) {
        struct transfer *next;
        for (struct transfer *t = d->flight.buckets[i]; t; t = next) {
            next = t->bucket_next;
            if (!t->is_sending)
                continue;
            d->options.client->cancel(d->options.client, &t->post);
            leave_sending(d, t);
            window_done(&t->target->window, t->ticket, WINDOW_NEUTRAL, 0);
            forget_transfer(d, t);
        }
    }
}

enum status dispatcher_new(const struct dispatcher_options *options,
                           const struct dispatcher_settings *settings,
                           struct dispatcher **ret_dispatcher)
{
    struct dispatcher *d = calloc(1, sizeof *d);
    if (!d)
        return STATUS_NO_MEMORY;
    d->options = *options;
    d->settings = *settings;
    d->user_agent = strdup(options->user_agent);
    if (!d->user_agent) {
        free(d);
        return STATUS_NO_MEMORY;
    }
    d->last_look_ms = INT64_MIN / 2;
    prng_seed(&d->prng, options->seed);
    must(pthread_mutex_init(&d->lock, NULL) == 0);
    *ret_dispatcher = d;
    return STATUS_OK;
}

void dispatcher_free(struct dispatcher *d)
{
    if (!d)
        return;
    must(dispatcher_is_idle(d));
    for (size_t i = 0; i < d->target_count; i++)
        target_free(d->targets[i]);
    free(d->targets);
    free(d->user_agent);
    renderer_fini(&d->renderer);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

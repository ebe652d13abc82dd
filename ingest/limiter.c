/*
 * A key's state is two logs: rings of (time, count) in rising order, with the sum of the counts. A
 * request first drops what has left the window, then is admitted if both sums are below their
 * limits, and is then added to both. Dropping is amortised: each entry is dropped once.
 *
 * A window is the half-open span of its length that ends now, in milliseconds: a request at t
 * counts until t + window, and at that very millisecond no more.
 *
 * Limits that an operator changes take effect with the next request: logs are kept, rings grow.
 */
#include "ingest/limiter.h"

#include "base/must.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const int64_t WINDOW_MS[WINDOW_COUNT] = {60 * 1000, 3600 * 1000};
const char *const WINDOW_NAME[WINDOW_COUNT] = {"minute", "hour"};

#define SHARDS 64
#define SLACK_MS 1000 /* more than any slice: an entry may lie that far in the future */

struct window_log {
    int64_t *at_ms; /* ring; parallel to count */
    uint32_t *count;
    uint32_t capacity; /* 0 or a power of two */
    uint32_t head;     /* index of the oldest entry */
    uint32_t used;     /* entries */
    uint64_t sum;      /* of the counts */
};

struct key_state {
    uint32_t key;
    int64_t last_ms;
    struct window_log logs[WINDOW_COUNT];
    struct key_state *next; /* in its shard */
};

struct shard {
    pthread_mutex_t lock;
    struct key_state *keys;
};

struct limiter {
    limiter_load *load;
    void *context;
    struct shard shards[SHARDS];
};

static int64_t slice_ms(enum limiter_window window, uint32_t limit)
{
    if (limit <= LIMITER_EXACT)
        return 1;
    return (WINDOW_MS[window] + LIMITER_EXACT - 1) / LIMITER_EXACT;
}

/* The end of the slice that at_ms lies in; with slices of 1 ms the time itself. */
static int64_t slice_end(int64_t at_ms, int64_t slice)
{
    return (at_ms + slice - 1) / slice * slice;
}

int64_t limiter_row_ms(const struct limits *limits, int64_t at_ms)
{
    return slice_end(at_ms, slice_ms(WINDOW_HOUR, limits->max[WINDOW_HOUR]));
}

static void log_drop(struct window_log *log, int64_t until_ms)
{
    while (log->used > 0 && log->at_ms[log->head] <= until_ms) {
        log->sum -= log->count[log->head];
        log->head = (log->head + 1) & (log->capacity - 1);
        log->used--;
    }
}

static enum status log_grow(struct window_log *log)
{
    uint32_t capacity = log->capacity ? log->capacity * 2 : 16;
    int64_t *at_ms = malloc(capacity * sizeof *at_ms);
    uint32_t *count = malloc(capacity * sizeof *count);
    if (!at_ms || !count) {
        free(at_ms);
        free(count);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < log->used; i++) {
        uint32_t from = (log->head + i) & (log->capacity - 1);
        at_ms[i] = log->at_ms[from];
        count[i] = log->count[from];
    }
    free(log->at_ms);
    free(log->count);
    log->at_ms = at_ms;
    log->count = count;
    log->capacity = capacity;
    log->head = 0;
    return STATUS_OK;
}

static enum status log_add(struct window_log *log, int64_t at_ms, uint32_t count)
{
    if (log->used > 0) {
        uint32_t newest = (log->head + log->used - 1) & (log->capacity - 1);
        if (log->at_ms[newest] >= at_ms) {
            log->count[newest] += count;
            log->sum += count;
            return STATUS_OK;
        }
    }
    if (log->used == log->capacity) {
        enum status s = log_grow(log);
        if (s != STATUS_OK)
            return s;
    }
    uint32_t at = (log->head + log->used) & (log->capacity - 1);
    log->at_ms[at] = at_ms;
    log->count[at] = count;
    log->used++;
    log->sum += count;
    return STATUS_OK;
}

/* When does the log hold at most `allowed` requests? The time at which enough have left. */
static int64_t log_room_at(const struct window_log *log, uint64_t allowed, int64_t window_ms,
                           int64_t now_ms)
{
    uint64_t sum = log->sum;
    int64_t at = now_ms;
    for (uint32_t i = 0; i < log->used && sum > allowed; i++) {
        uint32_t entry = (log->head + i) & (log->capacity - 1);
        sum -= log->count[entry];
        at = log->at_ms[entry] + window_ms;
    }
    return at;
}

static void key_free(struct key_state *state)
{
    for (size_t w = 0; w < WINDOW_COUNT; w++) {
        free(state->logs[w].at_ms);
        free(state->logs[w].count);
    }
    free(state);
}

struct loading {
    struct key_state *state;
    const struct limits *limits;
    int64_t now_ms;
    enum status status;
};

static void load_one(void *adder, int64_t at_ms, uint32_t count)
{
    struct loading *loading = adder;
    if (at_ms > loading->now_ms)
        at_ms = loading->now_ms; /* the wall clock was ahead before the start */
    for (size_t w = 0; w < WINDOW_COUNT && loading->status == STATUS_OK; w++) {
        if (at_ms <= loading->now_ms - WINDOW_MS[w])
            continue;
        int64_t slice = slice_ms((enum limiter_window)w, loading->limits->max[w]);
        loading->status = log_add(&loading->state->logs[w], slice_end(at_ms, slice), count);
    }
    if (at_ms > loading->state->last_ms)
        loading->state->last_ms = at_ms;
}

static enum status key_find(struct limiter *limiter, struct shard *shard, uint32_t key,
                            const struct limits *limits, int64_t now_ms,
                            struct key_state **ret_state)
{
    for (struct key_state *state = shard->keys; state; state = state->next) {
        if (state->key == key) {
            *ret_state = state;
            return STATUS_OK;
        }
    }
    struct key_state *state = calloc(1, sizeof *state);
    if (!state)
        return STATUS_NO_MEMORY;
    state->key = key;
    struct loading loading = {state, limits, now_ms, STATUS_OK};
    if (limiter->load) {
        enum status s = limiter->load(limiter->context, key, now_ms - WINDOW_MS[WINDOW_HOUR],
                                      load_one, &loading);
        if (s != STATUS_OK)
            loading.status = s;
    }
    if (loading.status != STATUS_OK) {
        key_free(state);
        return loading.status;
    }
    state->next = shard->keys;
    shard->keys = state;
    *ret_state = state;
    return STATUS_OK;
}

static void verdict_fill(const struct key_state *state, const struct limits *limits, int64_t now_ms,
                         struct limiter_verdict *verdict)
{
    for (size_t w = 0; w < WINDOW_COUNT; w++) {
        const struct window_log *log = &state->logs[w];
        struct window_verdict *window = &verdict->windows[w];
        uint64_t limit = limits->max[w];
        window->limit = limits->max[w];
        window->remaining = log->sum < limit ? (uint32_t)(limit - log->sum) : 0;
        /* One more than now: one entry fewer, or as many fewer as a lowered limit wants. */
        uint64_t fewer = log->sum > limit ? limit - 1 : log->sum ? log->sum - 1 : 0;
        window->reset_at_ms = log_room_at(log, fewer, WINDOW_MS[w], now_ms);
    }
}

enum status limiter_admit(struct limiter *limiter, uint32_t key, const struct limits *limits,
                          int64_t now_ms, struct limiter_verdict *ret_verdict)
{
    struct shard *shard = &limiter->shards[key % SHARDS];
    pthread_mutex_lock(&shard->lock);
    struct key_state *state = NULL;
    enum status s = key_find(limiter, shard, key, limits, now_ms, &state);
    if (s != STATUS_OK)
        goto out;
    if (now_ms < state->last_ms)
        now_ms = state->last_ms; /* loops read the clock before they take the lock */
    state->last_ms = now_ms;

    *ret_verdict = (struct limiter_verdict){.is_admitted = true, .at_ms = now_ms};
    for (size_t w = 0; w < WINDOW_COUNT; w++) {
        log_drop(&state->logs[w], now_ms - WINDOW_MS[w]);
        if (state->logs[w].sum >= limits->max[w]) {
            ret_verdict->is_admitted = false;
            ret_verdict->windows[w].is_violated = true;
            int64_t room_at =
                log_room_at(&state->logs[w], limits->max[w] - 1, WINDOW_MS[w], now_ms);
            if (room_at - now_ms > ret_verdict->retry_after_ms)
                ret_verdict->retry_after_ms = room_at - now_ms;
        }
    }
    for (size_t w = 0; w < WINDOW_COUNT && ret_verdict->is_admitted && s == STATUS_OK; w++) {
        int64_t slice = slice_ms((enum limiter_window)w, limits->max[w]);
        s = log_add(&state->logs[w], slice_end(now_ms, slice), 1);
    }
    verdict_fill(state, limits, now_ms, ret_verdict);
out:
    pthread_mutex_unlock(&shard->lock);
    return s;
}

void limiter_sweep(struct limiter *limiter, int64_t now_ms)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &limiter->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (struct key_state **at = &shard->keys; *at;) {
            struct key_state *state = *at;
            if (state->last_ms < now_ms - WINDOW_MS[WINDOW_HOUR] - SLACK_MS) {
                *at = state->next;
                key_free(state);
            } else {
                at = &state->next;
            }
        }
        pthread_mutex_unlock(&shard->lock);
    }
}

struct limiter *limiter_new(limiter_load *load, void *context)
{
    struct limiter *limiter = calloc(1, sizeof *limiter);
    if (!limiter)
        return NULL;
    limiter->load = load;
    limiter->context = context;
    for (size_t i = 0; i < SHARDS; i++)
        must(pthread_mutex_init(&limiter->shards[i].lock, NULL) == 0);
    return limiter;
}

void limiter_free(struct limiter *limiter)
{
    if (!limiter)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        while (limiter->shards[i].keys) {
            struct key_state *state = limiter->shards[i].keys;
            limiter->shards[i].keys = state->next;
            key_free(state);
        }
        pthread_mutex_destroy(&limiter->shards[i].lock);
    }
    free(limiter);
}

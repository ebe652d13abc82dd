/*
 * A request reads on from `after` until its limit, READ_BYTES, or SCAN_MAX events were looked at,
 * whichever comes first; `nextAfter` says where to go on, also when nothing matched. Found nothing
 * and asked to wait, it joins the loop's list with the place it has read up to, so that each commit
 * costs a waiting request only the new events.
 *
 * An erased record's events keep their place in the sequence, with "data": null.
 */
#include "ingest/events_api.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "ingest/read.h"
#include "ingest/render.h"

#include <stdlib.h>

#define READ_BYTES (4u << 20)
#define SCAN_MAX 20000

/* What one request wants, and how far it has read. */
struct query {
    uint64_t after;
    uint64_t limit;
    int64_t wait_ms;
    char pattern[ENDPOINT_PATTERN_MAX + 1]; /* "": every event */
};

struct waiting_call {
    struct call call;
    struct query query;
    int64_t deadline_ms;               /* app_now_ms */
    struct waiting_call *next, **link; /* the pointer that points here */
};

static void put_erased(const struct event *event, struct buf *out)
{
    char time[TIME_TEXT_BYTES];
    time_format(event->time_ms, time);
    buf_put_str(out, "{\"id\":\"");
    typeid_put(out, "evt", &event->id);
    buf_put_str(out, "\",\"event\":");
    json_put_string(out, event->name);
    buf_printf(out, ",\"timestamp\":\"%s\",\"sequence\":", time);
    buf_put_decimal(out, event->sequence);
    buf_put_str(out, ",\"data\":null}");
}

static enum status put_event(struct renderer *renderer, struct txn *txn, const struct event *event,
                             bool is_first, struct buf *out)
{
    if (!is_first)
        buf_put_char(out, ',');
    enum status s = render_event(renderer, txn, event, out);
    if (s == STATUS_NOT_FOUND) {
        put_erased(event, out);
        s = out->status;
    }
    return s;
}

/* Read on; query->after moves. `out` gets the events, `ret_count` says how many. */
static enum status read_on(struct txn *txn, struct query *query, struct buf *out,
                           uint64_t *ret_count)
{
    CLEANUP(renderer_fini) struct renderer renderer = {0};
    uint64_t last = event_last_sequence(txn);
    *ret_count = 0;
    for (size_t scanned = 0; query->after < last && *ret_count < query->limit &&
                             scanned < SCAN_MAX && out->len < READ_BYTES;
         scanned++) {
        struct event event;
        enum status s = event_at(txn, query->after + 1, &event);
        if (s != STATUS_OK)
            return s == STATUS_NOT_FOUND ? STATUS_CORRUPT : s;
        query->after++;
        if (query->pattern[0] && !event_pattern_matches(query->pattern, event.name))
            continue;
        s = put_event(&renderer, txn, &event, *ret_count == 0, out);
        if (s != STATUS_OK)
            return s;
        ++*ret_count;
    }
    return out->status;
}

static void answer(struct call *call, const struct query *query, uint64_t last_sequence)
{
    struct buf *out = &call->loop->body;
    buf_put_str(out, "],\"nextAfter\":");
    buf_put_decimal(out, query->after);
    buf_put_str(out, ",\"lastSequence\":");
    buf_put_decimal(out, last_sequence);
    buf_put_char(out, '}');
    call_answer(call, 200, bytes_of_str("application/json"), buf_bytes(out), NULL);
}

static void begin(struct app_loop *loop)
{
    buf_clear(&loop->body);
    buf_put_str(&loop->body, "{\"data\":[");
}

/* The answer if there is something to say, or nothing to wait for. True: answered. */
static bool try_answer(struct call *call, struct query *query, struct txn *txn, bool must_answer)
{
    uint64_t count;
    begin(call->loop);
    enum status s = read_on(txn, query, &call->loop->body, &count);
    uint64_t last = event_last_sequence(txn);
    if (s == STATUS_OK)
        s = txn_status(txn); /* of the last sequence */
    if (s != STATUS_OK) {
        call_unavailable(call, s);
        return true;
    }
    if (count == 0 && !must_answer && query->after == last)
        return false;
    answer(call, query, last);
    return true;
}

static void unlink_waiting(struct waiting_call *waiting)
{
    *waiting->link = waiting->next;
    if (waiting->next)
        waiting->next->link = waiting->link;
    struct app_loop *loop = waiting->call.loop;
    loop->waiting_count--;
    atomic_store(&loop->has_waiting, loop->waiting_count > 0);
}

static void waiting_gone(void *context)
{
    struct waiting_call *waiting = context;
    unlink_waiting(waiting);
    begin(waiting->call.loop);
    answer(&waiting->call, &waiting->query, waiting->query.after);
    free(waiting);
}

/* False: no room or no memory. */
static bool wait_for_more(struct call *call, const struct query *query)
{
    struct app_loop *loop = call->loop;
    if (loop->waiting_count >= EVENTS_WAITING_MAX || atomic_load(&loop->app->is_draining))
        return false;
    struct waiting_call *waiting = malloc(sizeof *waiting);
    if (!waiting)
        return false;
    *waiting = (struct waiting_call){.call = *call,
                                     .query = *query,
                                     .deadline_ms = app_now_ms(loop->app) + query->wait_ms,
                                     .next = loop->waiting,
                                     .link = &loop->waiting};
    if (loop->waiting)
        loop->waiting->link = &waiting->next;
    loop->waiting = waiting;
    loop->waiting_count++;
    atomic_store(&loop->has_waiting, true);
    http_exchange_on_gone(call->exchange, waiting_gone, waiting);
    /* A commit between our reading and has_waiting woke nobody. */
    if (atomic_load(&loop->app->last_sequence) > query->after &&
        !atomic_exchange(&loop->is_wake_posted, true))
        http_loop_post(loop->http, &loop->wake);
    return true;
}

/* False: answered. */
static bool read_query(struct call *call, struct bytes text, struct query *ret_query)
{
    static const char *const KNOWN[] = {"after", "limit", "type", "wait"};
    *ret_query = (struct query){0};
    if (!query_is_known(call, text, KNOWN, 4))
        return false;
    if (query_number(text, "after", 0, INT64_MAX, &ret_query->after) != STATUS_OK) {
        refuse_query(call, "after", "a sequence number, 0 for the beginning");
        return false;
    }
    if (query_number(text, "limit", EVENTS_LIMIT_DEFAULT, EVENTS_LIMIT_MAX, &ret_query->limit) !=
            STATUS_OK ||
        ret_query->limit == 0) {
        refuse_query(call, "limit", "a whole number from 1 to 1000");
        return false;
    }
    CLEANUP(buf_fini) struct buf pattern = {0};
    if (percent_decode(&pattern, query_find(text, "type")) != STATUS_OK ||
        pattern.len > ENDPOINT_PATTERN_MAX ||
        (pattern.len > 0 && event_pattern_check(buf_bytes(&pattern)) != STATUS_OK)) {
        refuse_query(call, "type", "an event type such as workorder.created, workorder.* or *");
        return false;
    }
    memcpy(ret_query->pattern, pattern.data ? (const char *)pattern.data : "", pattern.len);
    struct bytes wait = query_find(text, "wait");
    bool is_no_wait = bytes_equal_str(wait, "0") || bytes_equal_str(wait, "0s");
    if (wait.data && !is_no_wait &&
        (duration_parse(wait, &ret_query->wait_ms) != STATUS_OK ||
         ret_query->wait_ms > EVENTS_WAIT_MAX_MS)) {
        refuse_query(call, "wait", "a duration of at most 60s, such as 30s");
        return false;
    }
    return true;
}

void events_read(struct call *call, const struct http_request *request)
{
    struct query query;
    if (!read_query(call, request->query, &query))
        return;
    struct txn *txn = NULL;
    enum status s = txn_read(call->loop->app->store, &txn);
    if (s != STATUS_OK) {
        call_unavailable(call, s);
        return;
    }
    bool is_answered = try_answer(call, &query, txn, query.wait_ms == 0);
    if (!is_answered && !wait_for_more(call, &query))
        (void)try_answer(call, &query, txn, true); /* always answers */
    txn_abort(txn);
}

void events_wake(struct app_loop *loop)
{
    if (!loop->waiting)
        return;
    struct txn *txn = NULL;
    if (txn_read(loop->app->store, &txn) != STATUS_OK)
        return; /* the next commit or the deadline tries again */
    for (struct waiting_call *waiting = loop->waiting, *next; waiting; waiting = next) {
        next = waiting->next;
        if (!try_answer(&waiting->call, &waiting->query, txn, false))
            continue;
        unlink_waiting(waiting);
        free(waiting);
    }
    txn_abort(txn);
}

void events_expire(struct app_loop *loop)
{
    int64_t now_ms = app_now_ms(loop->app);
    bool is_draining = atomic_load(&loop->app->is_draining);
    for (struct waiting_call *waiting = loop->waiting, *next; waiting; waiting = next) {
        next = waiting->next;
        if (!is_draining && waiting->deadline_ms > now_ms)
            continue;
        unlink_waiting(waiting);
        begin(loop);
        answer(&waiting->call, &waiting->query, waiting->query.after);
        free(waiting);
    }
}

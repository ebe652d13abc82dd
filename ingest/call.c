/*
 * Every answer goes out here, so that each carries the request id and, for an authenticated sender,
 * what its windows say; and so that each is counted once.
 *
 * An authenticated request that stores nothing is handed to the tally, which writes its row of the
 * window within a second. One that stores has had its row written in the same transaction.
 */
#include "ingest/call.h"

#include "ingest/tally.h"

#include <stdio.h>

#define FIELDS_MAX (10 + CALL_FIELDS_MAX)

void call_extra_add(struct call_extra *extra, const char *name, struct bytes value)
{
    if (extra->count < CALL_FIELDS_MAX)
        extra->fields[extra->count++] = (struct http_field){name, value};
}

static int64_t seconds_until(int64_t at_ms, int64_t now_ms)
{
    return at_ms > now_ms ? (at_ms - now_ms + 999) / 1000 : 0;
}

static enum limiter_window tightest(const struct limiter_verdict *verdict)
{
    const struct window_verdict *w = verdict->windows;
    return w[WINDOW_HOUR].remaining < w[WINDOW_MINUTE].remaining ? WINDOW_HOUR : WINDOW_MINUTE;
}

/* Values are written one after the other into loop->fields; offsets become views at the end, since
 * the buffer may move while it grows. */
struct field_writer {
    struct buf *text;
    struct http_field *fields;
    size_t starts[FIELDS_MAX + 1];
    size_t count;
};

static void field_begin(struct field_writer *writer, const char *name)
{
    writer->fields[writer->count].name = name;
    writer->starts[writer->count++] = writer->text->len;
}

static void fields_finish(struct field_writer *writer)
{
    writer->starts[writer->count] = writer->text->len;
    for (size_t i = 0; i < writer->count; i++)
        writer->fields[i].value = bytes_of(writer->text->data + writer->starts[i],
                                           writer->starts[i + 1] - writer->starts[i]);
}

static void put_rate_fields(const struct call *call, struct field_writer *writer)
{
    const struct limiter_verdict *verdict = &call->verdict;
    const struct window_verdict *least = &verdict->windows[tightest(verdict)];
    int64_t reset_ms = call->started_ms + (least->reset_at_ms - verdict->at_ms);
    struct buf *text = writer->text;

    field_begin(writer, "x-ratelimit-limit");
    buf_put_decimal(text, least->limit);
    field_begin(writer, "x-ratelimit-remaining");
    buf_put_decimal(text, least->remaining);
    field_begin(writer, "x-ratelimit-reset");
    buf_put_decimal(text, (uint64_t)((reset_ms + 999) / 1000));

    field_begin(writer, "ratelimit-policy");
    for (size_t w = 0; w < WINDOW_COUNT; w++) {
        buf_put_str(text, w ? ", \"" : "\"");
        buf_put_str(text, WINDOW_NAME[w]);
        buf_put_str(text, "\";q=");
        buf_put_decimal(text, verdict->windows[w].limit);
        buf_put_str(text, ";w=");
        buf_put_decimal(text, (uint64_t)(WINDOW_MS[w] / 1000));
    }
    field_begin(writer, "ratelimit");
    for (size_t w = 0; w < WINDOW_COUNT; w++) {
        const struct window_verdict *window = &verdict->windows[w];
        buf_put_str(text, w ? ", \"" : "\"");
        buf_put_str(text, WINDOW_NAME[w]);
        buf_put_str(text, "\";r=");
        buf_put_decimal(text, window->remaining);
        buf_put_str(text, ";t=");
        buf_put_decimal(text, (uint64_t)seconds_until(window->reset_at_ms, verdict->at_ms));
    }
}

static void count_answer(struct call *call, int status)
{
    struct loop_metrics *metrics = &call->loop->metrics;
    metric_add(&metrics->requests[status >= 100 && status < 600 ? status / 100 : 0], 1);
    metric_latency(metrics, stopwatch_us() - call->started_us);
    if (call->is_authenticated && !call->is_counted && call->verdict.is_admitted)
        tally_request(call->loop->tally, call->api_key,
                      limiter_row_ms(&call->limits, call->verdict.at_ms));
}

void call_answer(struct call *call, int status, struct bytes content_type, struct bytes body,
                 const struct call_extra *extra)
{
    struct http_field fields[FIELDS_MAX];
    struct field_writer writer = {.text = &call->loop->fields, .fields = fields};
    buf_clear(writer.text);
    field_begin(&writer, "content-type");
    buf_put_bytes(writer.text, content_type);
    field_begin(&writer, "x-request-id");
    buf_put_str(writer.text, call->request_id);
    if (call->method[0] != 'P') { /* answers to POST and PATCH are not cached anyway */
        field_begin(&writer, "cache-control");
        buf_put_str(writer.text, "no-store");
    }
    if (call->is_authenticated)
        put_rate_fields(call, &writer);
    fields_finish(&writer);
    size_t count = writer.count;
    for (size_t i = 0; extra && i < extra->count; i++)
        fields[count++] = extra->fields[i];

    struct http_answer answer = {
        .status = status, .fields = fields, .field_count = count, .body = body};
    count_answer(call, status);
    http_answer(call->exchange, &answer);
    call->exchange = NULL;
}

void call_note_refusal(struct call *call, const struct refusal *refusal)
{
    const struct problem_kind *kind = &PROBLEMS[refusal->problem];
    char reason[512];
    snprintf(reason, sizeof reason, "/problems/%s: %s", kind->slug,
             refusal->logged ? refusal->logged : refusal->detail);
    tally_reject(call->loop->tally, &(struct tally_rejection){
                                        .at_ms = call->started_ms,
                                        .api_key = call->api_key,
                                        .http_status = kind->status,
                                        .peer = &call->peer,
                                        .method = call->method,
                                        .route = call->route,
                                        .reason = reason,
                                    });
    metric_add(&call->loop->metrics.problems[refusal->problem], 1);
}

void call_refuse(struct call *call, const struct refusal *refusal, const struct call_extra *extra)
{
    struct buf body = {0};
    problem_open(&body, refusal->problem, call->request_id, refusal->detail);
    buf_put_bytes(&body, refusal->more_members);
    problem_close(&body);
    call_note_refusal(call, refusal);
    call_answer(call, PROBLEMS[refusal->problem].status, bytes_of_str("application/problem+json"),
                buf_bytes(&body), extra);
    buf_fini(&body);
}

void call_refuse_plain(struct call *call, enum problem problem, const char *detail)
{
    struct refusal refusal = {.problem = problem, .detail = detail};
    call_refuse(call, &refusal, NULL);
}

void call_unavailable(struct call *call, enum status why)
{
    const char *detail = "the server is busy: too many requests are waiting";
    const char *retry_after = "1";
    if (atomic_load(&call->loop->app->is_draining)) {
        detail = "the server is shutting down";
        retry_after = "5";
    } else if (why == STATUS_NO_SPACE) {
        detail = "the server's disk is full";
        retry_after = "30";
    } else if (status_is_fault(why)) {
        detail = "the store did not take it";
        retry_after = "10";
    }
    struct call_extra extra = {0};
    call_extra_add(&extra, "retry-after", bytes_of_str(retry_after));
    struct refusal refusal = {.problem = PROBLEM_UNAVAILABLE, .detail = detail};
    call_refuse(call, &refusal, &extra);
}

/*
 * The happy path: copy the body into an arena that also holds everything else about the request;
 * accept it (ingest/accept.h); queue it; and, when the writer says that its group is on disk,
 * answer on the loop that the request came from.
 *
 * What can fail: too many waiting or too much memory under way is a 503 before anything is stored;
 * a fault of the store is a 503 after nothing was stored; a PATCH that lost a race is merged and
 * queued again. A client that goes away changes nothing: the record stays, the answer is dropped.
 */
#include "ingest/receive.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/must.h"
#include "ingest/accept.h"
#include "ingest/precondition.h"
#include "ingest/reply.h"
#include "ingest/tally.h"
#include "storage/fault.h"

#define SUBMITTED_BYTES_MAX (128u << 20) /* two transactions: what waits is stored soon */
#define PATCH_TRIES_MAX 16

/* One writing request under way. Lies in its own arena. */
struct pending {
    struct work work; /* first: the writer's view */
    struct http_message message;
    struct call call;
    struct submission submission;
    struct bytes patch; /* to merge again when it lost a race */
    unsigned tries;
    size_t held_bytes;  /* counted in app->submitted_bytes */
    enum status status; /* the commit's */
};

static struct pending *pending_of(struct http_message *message)
{
    return (struct pending *)((uint8_t *)message - offsetof(struct pending, message));
}

static void pending_free(struct pending *pending)
{
    atomic_fetch_sub(&pending->call.loop->app->submitted_bytes, pending->held_bytes);
    catalog_unref(pending->submission.catalog);
    arena_free(pending->submission.arena);
}

static void queue(struct pending *pending);

/* The PATCH lost a race: the record has another revision by now. Counted already. */
static void try_again(struct pending *pending)
{
    struct item *item = &pending->submission.items[0];
    if (++pending->tries >= PATCH_TRIES_MAX) {
        call_unavailable(&pending->call, STATUS_LIMIT);
        pending_free(pending);
        return;
    }
    pending->submission.usage_ms = 0;
    enum status s = accept_patch(pending->call.loop, &pending->submission, pending->patch, item);
    if (s != STATUS_OK || item->is_refused_before) {
        if (s != STATUS_OK)
            call_unavailable(&pending->call, s);
        else
            call_refuse(&pending->call, &item->refusal, NULL);
        pending_free(pending);
        return;
    }
    queue(pending);
}

static void count_items(struct pending *pending)
{
    struct submission *submission = &pending->submission;
    struct loop_metrics *metrics = &pending->call.loop->metrics;
    uint32_t accepted = 0;
    for (size_t i = 0; i < submission->item_count; i++) {
        const struct item *item = &submission->items[i];
        metric_add(&metrics->accepted, item->result == ITEM_STORED);
        metric_add(&metrics->unchanged, item->result == ITEM_UNCHANGED);
        accepted += item->result == ITEM_STORED || item->result == ITEM_UNCHANGED;
        if (item->result == ITEM_REFUSED) {
            metric_add(&metrics->refused_items, 1);
            call_note_refusal(&pending->call, &item->refusal);
        }
    }
    metric_add(&metrics->batches, submission->is_batch);
    tally_accept(pending->call.loop->tally, pending->call.api_key, accepted);
}

static void answer(struct pending *pending)
{
    struct submission *submission = &pending->submission;
    struct call *call = &pending->call;
    if (submission->answer == ANSWER_MISMATCH) {
        call_refuse_plain(call, PROBLEM_IDEMPOTENCY_MISMATCH,
                          "this Idempotency-Key was used with another request");
        return;
    }
    struct rendered rendered = submission->rendered;
    struct call_extra extra = {0};
    if (submission->answer == ANSWER_REPLAYED) {
        call_extra_add(&extra, "idempotent-replayed", bytes_of_str("true"));
        metric_add(&call->loop->metrics.replayed, 1);
    } else {
        count_items(pending);
        if (submission->answer == ANSWER_FROM_ITEMS) {
            reply_render(submission, &call->loop->body, &rendered);
            /* It is stored: 503 would be a lie. As h2o does where it gets no memory: the connection
             * breaks, and nobody was told anything. */
            must(call->loop->body.status == STATUS_OK);
        }
    }
    if (rendered.etag.len > 0)
        call_extra_add(&extra, "etag", rendered.etag);
    if (submission->is_strict)
        call_extra_add(&extra, "preference-applied", bytes_of_str("handling=strict"));
    call_answer(call, rendered.status, rendered.content_type, rendered.body, &extra);
}

/* The same request was answered before: with that answer again, or a refusal if it is another one.
 * True: answered, and the pending request is gone. Duplicates in flight are found by the writer. */
static bool answer_seen(struct pending *pending)
{
    struct txn *txn = NULL;
    if (!pending->submission.has_idempotency_key ||
        txn_read(pending->call.loop->app->store, &txn) != STATUS_OK)
        return false; /* the writer looks too */
    bool is_seen = replay_submission(&pending->submission, txn);
    enum status s = txn_status(txn);
    txn_abort(txn);
    if (!is_seen)
        return false;
    if (s != STATUS_OK)
        call_unavailable(&pending->call, s);
    else
        answer(pending);
    pending_free(pending);
    return true;
}

/* On the loop again. */
static void finish(struct http_message *message)
{
    struct pending *pending = pending_of(message);
    struct submission *submission = &pending->submission;
    fault_point("answer_due");
    if (pending->status != STATUS_OK) {
        call_unavailable(&pending->call, pending->status);
    } else {
        pending->call.is_counted = true;
        if (submission->answer == ANSWER_FROM_ITEMS && submission->items[0].result == ITEM_STALE) {
            try_again(pending);
            return;
        }
        answer(pending);
    }
    pending_free(pending);
}

static void work_apply(struct work *work, struct txn *txn)
{
    struct pending *pending = (struct pending *)work;
    apply_submission(pending->call.loop->app->applier, &pending->submission, txn);
}

static void work_done(struct work *work, enum status status)
{
    struct pending *pending = (struct pending *)work;
    struct app *app = pending->call.loop->app;
    pending->status = status;
    if (status != STATUS_OK)
        applier_forget(app->applier);
    if (status == STATUS_NO_SPACE) /* until the probe finds room: a small commit alone may fit */
        atomic_store_explicit(&app->is_store_full, true, memory_order_relaxed);
    http_loop_post(pending->call.loop->http, &pending->message);
}

static void queue(struct pending *pending)
{
    pending->work.apply = work_apply;
    pending->work.done = work_done;
    pending->message.run = finish;
    enum status s = writer_submit(pending->call.loop->app->writer, &pending->work);
    if (s == STATUS_OK)
        return;
    call_unavailable(&pending->call, s);
    pending_free(pending);
}

/* The body's copy and one arena for all; NULL: answered with 503. */
static struct pending *pending_new(struct call *call, const struct catalog_type *type,
                                   struct bytes body, size_t item_count, struct bytes *ret_body)
{
    struct app *app = call->loop->app;
    size_t held = body.len + item_count * sizeof(struct item) + sizeof(struct pending);
    if (atomic_fetch_add(&app->submitted_bytes, held) + held > SUBMITTED_BYTES_MAX) {
        atomic_fetch_sub(&app->submitted_bytes, held);
        call_unavailable(call, STATUS_LIMIT);
        return NULL;
    }
    struct arena *arena = arena_new(held + 1024);
    struct pending *pending = arena ? arena_take(arena, sizeof *pending) : NULL;
    struct item *items = pending ? arena_take(arena, item_count * sizeof(struct item)) : NULL;
    *ret_body = items ? arena_copy(arena, body) : (struct bytes){0};
    if (!ret_body->data) {
        arena_free(arena);
        atomic_fetch_sub(&app->submitted_bytes, held);
        call_unavailable(call, STATUS_NO_MEMORY);
        return NULL;
    }
    pending->call = *call;
    pending->held_bytes = held;
    pending->submission.arena = arena;
    pending->submission.items = items;
    pending->submission.item_count = item_count;
    pending->submission.catalog = catalog_ref(call->loop->catalog);
    pending->submission.type = type;
    pending->submission.api_key = call->api_key;
    pending->submission.usage_ms = limiter_row_ms(&call->limits, call->verdict.at_ms);
    memcpy(pending->submission.request_id, call->request_id, sizeof call->request_id);
    return pending;
}

static bool read_idempotency(struct call *call, const struct http_request *request,
                             struct submission *submission)
{
    struct bytes header = http_header(request, "idempotency-key");
    if (!header.data)
        return true;
    struct bytes key;
    if (idempotency_key_parse(header, &call->loop->scratch, &key) != STATUS_OK) {
        call_refuse_plain(call, PROBLEM_INVALID_REQUEST,
                          "Idempotency-Key must be 1 to 255 printable ASCII characters, bare or in "
                          "double quotes");
        return false;
    }
    submission->has_idempotency_key = true;
    sha256(key, submission->idempotency_name);
    struct bytes parts[] = {
        request->method,
        request->path,
        http_header(request, "content-type"),
        http_header(request, "if-match"),
        http_header(request, "if-none-match"),
        http_header(request, "prefer"),
        request->body,
    };
    sha256_parts(parts, sizeof parts / sizeof parts[0], submission->fingerprint);
    return true;
}

/* What the headers ask for; false: answered. */
static bool read_headers(struct call *call, const struct http_request *request,
                         struct submission *submission)
{
    if (precondition_parse(http_header(request, "if-match"), http_header(request, "if-none-match"),
                           &submission->precondition) != STATUS_OK) {
        call_refuse_plain(call, PROBLEM_INVALID_REQUEST,
                          "If-Match must be * or a list of entity tags such as \"3\"; "
                          "If-None-Match must be *");
        return false;
    }
    if (submission->is_batch &&
        (submission->precondition.has_tags || submission->precondition.is_any)) {
        call_refuse_plain(call, PROBLEM_INVALID_REQUEST,
                          "If-Match makes no sense for a batch: a line has no revision of its own");
        return false;
    }
    submission->is_strict =
        submission->is_batch && prefer_is_strict(http_header(request, "prefer"));
    return read_idempotency(call, request, submission);
}

/* PATCH and DELETE: an id of the type, or else a record key. */
static bool read_target(struct call *call, const struct route *route, struct submission *submission)
{
    struct item *item = &submission->items[0];
    CLEANUP(buf_fini) struct buf decoded = {0};
    if (percent_decode(&decoded, route->target) != STATUS_OK) {
        call_refuse_plain(call, PROBLEM_INVALID_REQUEST, "the path has a broken percent escape");
        return false;
    }
    if (typeid_parse(buf_bytes(&decoded), submission->type->type->id_prefix, &item->id) ==
        STATUS_OK) {
        item->has_id = true;
        return true;
    }
    if (decoded.len > 0 && decoded.len <= RECORD_KEY_BYTES_MAX)
        item->target = arena_copy(submission->arena, buf_bytes(&decoded));
    if (!item->target.data) {
        call_refuse_plain(call, PROBLEM_NOT_FOUND, "there is no such record");
        return false;
    }
    return true;
}

static size_t count_lines(struct bytes body)
{
    size_t lines = 0;
    for (const uint8_t *at = body.data, *end = at + body.len; at < end;) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        lines++;
        at = newline ? newline + 1 : end;
    }
    return lines;
}

/* Each line is accepted or refused by itself; an empty line is a refused one. */
static enum status accept_lines(struct call *call, struct submission *submission, struct bytes body)
{
    const uint8_t *at = body.data, *end = at + body.len;
    for (size_t i = 0; i < submission->item_count; i++) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = newline ? (size_t)(newline - at) : (size_t)(end - at);
        struct item *item = &submission->items[i];
        item->line = (uint32_t)(i + 1);
        enum status s = accept_body(call->loop, submission, bytes_of(at, len), item);
        if (s != STATUS_OK)
            return s;
        at += len + 1;
    }
    return STATUS_OK;
}

/* Blank lines at the end say nothing: many writers of lines leave one. */
static struct bytes without_blank_end(struct bytes body)
{
    while (body.len > 0 && memchr(" \t\r\n", body.data[body.len - 1], 4))
        body.len--;
    return body;
}

static void receive_batch(struct call *call, const struct http_request *request,
                          const struct catalog_type *type)
{
    struct bytes content = without_blank_end(request->body);
    size_t lines = count_lines(content);
    if (lines == 0 || lines > BATCH_LINES_MAX) {
        call_refuse_plain(call, lines ? PROBLEM_TOO_LARGE : PROBLEM_INVALID_REQUEST,
                          lines ? "a batch has at most 1000 lines" : "the batch is empty");
        return;
    }
    struct bytes body;
    struct pending *pending = pending_new(call, type, content, lines, &body);
    if (!pending)
        return;
    pending->submission.kind = SUBMIT_POST;
    pending->submission.is_batch = true;
    bool is_readable = read_headers(call, request, &pending->submission);
    if (is_readable && answer_seen(pending))
        return;
    enum status s = is_readable ? accept_lines(call, &pending->submission, body) : STATUS_OK;
    if (is_readable && s == STATUS_OK) {
        queue(pending);
        return;
    }
    if (s != STATUS_OK)
        call_unavailable(&pending->call, s);
    pending_free(pending);
}

static enum status accept_single(struct call *call, struct pending *pending, struct bytes body)
{
    struct submission *submission = &pending->submission;
    switch (submission->kind) {
    case SUBMIT_POST:
        return accept_body(call->loop, submission, body, &submission->items[0]);
    case SUBMIT_PATCH:
        pending->patch = body;
        return accept_patch(call->loop, submission, body, &submission->items[0]);
    case SUBMIT_DELETE:
        break;
    }
    return STATUS_OK;
}

static void receive_single(struct call *call, const struct http_request *request,
                           const struct route *route, const struct catalog_type *type,
                           enum submission_kind kind)
{
    struct bytes body;
    struct pending *pending = pending_new(call, type, request->body, 1, &body);
    if (!pending)
        return;
    struct submission *submission = &pending->submission;
    submission->kind = kind;
    bool is_readable = read_headers(call, request, submission) &&
                       (kind == SUBMIT_POST || read_target(call, route, submission));
    if (is_readable && answer_seen(pending))
        return;
    enum status s = is_readable ? accept_single(call, pending, body) : STATUS_OK;
    const struct item *item = &submission->items[0];
    if (is_readable && s == STATUS_OK && !item->is_refused_before) {
        queue(pending);
        return;
    }
    if (s != STATUS_OK)
        call_unavailable(&pending->call, s);
    else if (is_readable)
        call_refuse(&pending->call, &item->refusal, NULL);
    pending_free(pending);
}

static bool content_is_fine(struct call *call, const struct http_request *request,
                            const struct route *route, enum content_kind *ret_kind)
{
    struct bytes encoding = http_header(request, "content-encoding");
    *ret_kind = content_kind_of(http_header(request, "content-type"));
    bool is_batch_route = route->kind == ROUTE_COLLECTION;
    const char *wanted = NULL;
    if (encoding.len > 0 && !bytes_equal_str(encoding, "identity"))
        wanted = "the body must not be compressed (Content-Encoding)";
    else if (*ret_kind == CONTENT_OTHER)
        wanted = is_batch_route ? "Content-Type must be application/json, another type ending in "
                                  "+json, or application/x-ndjson for a batch"
                                : "Content-Type must be application/merge-patch+json, "
                                  "application/json, or another type ending in +json";
    else if (*ret_kind == CONTENT_NDJSON && !is_batch_route)
        wanted = "a batch (application/x-ndjson) can only be POSTed to a record type's path";
    if (!wanted)
        return true;
    call_refuse_plain(call, PROBLEM_UNSUPPORTED_MEDIA_TYPE, wanted);
    return false;
}

void receive(struct call *call, const struct http_request *request, const struct route *route,
             const struct catalog_type *type)
{
    metric_add(&call->loop->metrics.body_bytes, request->body.len);
    if (bytes_equal_str(request->method, "DELETE")) {
        receive_single(call, request, route, type, SUBMIT_DELETE);
        return;
    }
    enum content_kind kind;
    if (!content_is_fine(call, request, route, &kind))
        return;
    if (kind == CONTENT_NDJSON)
        receive_batch(call, request, type);
    else
        receive_single(call, request, route, type,
                       route->kind == ROUTE_RECORD ? SUBMIT_PATCH : SUBMIT_POST);
}

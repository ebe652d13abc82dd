/*
 * A request's way through: h2o has the whole body and calls http_on_request; that fills a struct
 * http_request and calls the handler with a new exchange; the handler calls http_answer, now or
 * later.
 *
 * Who knows whom: h2o's request disposes of a struct request (its memory pool calls request_dispose
 * exactly once, for every end a request can have); the exchange is ours and points at the request
 * as long as that lives. If the request goes first, the client is gone: the exchange is told, and
 * http_answer only frees it.
 */
#include "ingest/http_private.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

#define SPARES_MAX 1024

void streams_forget(struct streams *streams, const struct request *request)
{
    for (uint32_t i = 0; i < streams->count; i++) {
        if (streams->requests[i] != request)
            continue;
        streams->count--;
        streams->ids[i] = streams->ids[streams->count];
        streams->requests[i] = streams->requests[streams->count];
        return;
    }
}

static void request_finished(struct request *request)
{
    struct connection *connection = request->connection;
    connection->progress_ms = connection->loop->now_ms;
    connection->extended_until_ms = 0;
    connection->cheap_cost = 0;
    connection->completed++;
}

static void exchange_detach(struct http_exchange *exchange)
{
    exchange->request->connection->exchanges--;
    exchange->request = NULL;
    if (exchange->gone != NULL) {
        void (*gone)(void *) = exchange->gone;
        exchange->gone = NULL;
        gone(exchange->gone_context);
    }
}

static void request_dispose(void *data)
{
    struct request *request = data;
    struct connection *connection = request->connection;

    connection_release(connection, request->held_bytes);
    if (connection->streams != NULL)
        streams_forget(connection->streams, request);
    if (connection->http1_req == request->req)
        connection->http1_req = NULL;
    if (request->is_answered && !request->is_reset)
        request_finished(request);
    if (request->exchange != NULL)
        exchange_detach(request->exchange);
}

struct request *request_new(struct connection *connection, h2o_req_t *req)
{
    struct request *request = h2o_mem_alloc_shared(&req->pool, sizeof *request, request_dispose);
    *request = (struct request){.connection = connection, .req = req};
    req->overrides = (h2o_req_overrides_t *)request;
    return request;
}

/* --- exchanges --- */

static struct http_exchange *exchange_new(struct request *request)
{
    struct http_loop *loop = request->connection->loop;
    struct http_exchange *exchange = loop->spares;
    if (exchange != NULL) {
        loop->spares = exchange->next_spare;
        loop->spare_count--;
    } else {
        exchange = h2o_mem_alloc(sizeof *exchange);
    }
    *exchange = (struct http_exchange){.loop = loop, .request = request};
    request->exchange = exchange;
    request->connection->exchanges++;
    loop->inflight++;
    atomic_store_explicit(&loop->inflight_now, loop->inflight, memory_order_relaxed);
    return exchange;
}

static void exchange_free(struct http_exchange *exchange)
{
    struct http_loop *loop = exchange->loop;
    loop->inflight--;
    atomic_store_explicit(&loop->inflight_now, loop->inflight, memory_order_relaxed);
    if (loop->spare_count == SPARES_MAX) {
        free(exchange);
        return;
    }
    exchange->next_spare = loop->spares;
    loop->spares = exchange;
    loop->spare_count++;
}

struct http_loop *http_exchange_loop(const struct http_exchange *exchange)
{
    return exchange->loop;
}

bool http_exchange_is_gone(const struct http_exchange *exchange)
{
    return exchange->request == NULL;
}

void http_exchange_on_gone(struct http_exchange *exchange, void (*gone)(void *context),
                           void *context)
{
    exchange->gone = gone;
    exchange->gone_context = context;
}

/* --- answers --- */

const char *status_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } REASONS[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {207, "Multi-Status"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++)
        if (REASONS[i].status == status)
            return REASONS[i].reason;
    return "Unknown";
}

/* RFC 9110 section 5.5: what would end the field, or split it. */
static bool is_sendable(const char *text, size_t len)
{
    return !memchr(text, '\r', len) && !memchr(text, '\n', len) && !memchr(text, '\0', len);
}

/* One piece of memory for what all of them need. A field that cannot be sent is left out. */
static void add_fields(h2o_req_t *req, const struct http_field *fields, size_t count)
{
    h2o_headers_t *headers = &req->res.headers;
    size_t text_bytes = 0;
    for (size_t i = 0; i < count; i++)
        text_bytes += fields[i].value.len;
    h2o_iovec_t *names = h2o_mem_alloc_pool(&req->pool, count * sizeof *names + text_bytes);
    char *text = (char *)(names + count), *end = text;
    for (size_t i = 0; i < count; i++) {
        if (fields[i].value.len != 0)
            end = mempcpy(end, fields[i].value.data, fields[i].value.len);
    }
    bool are_sendable = is_sendable(text, text_bytes);
    h2o_vector_reserve(&req->pool, headers, headers->size + count);
    for (size_t i = 0; i < count; i++) {
        h2o_iovec_t value = h2o_iovec_init(text, fields[i].value.len);
        text += value.len;
        if (!are_sendable && !is_sendable(value.base, value.len))
            continue;
        names[i] = h2o_iovec_init(fields[i].name, strlen(fields[i].name));
        headers->entries[headers->size++] = (h2o_header_t){.name = &names[i], .value = value};
    }
}

/* h2o_send_inline, but without an empty buffer: h2o would need another turn of the loop for it. */
static void send_body(h2o_req_t *req, struct bytes body)
{
    static h2o_generator_t generator; /* nothing to proceed or to stop */
    h2o_start_response(req, &generator);
    if (body.len == 0 || h2o_memis(req->input.method.base, req->input.method.len, "HEAD", 4)) {
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    h2o_iovec_t copy = h2o_strdup(&req->pool, (const char *)body.data, body.len);
    h2o_send(req, &copy, 1, H2O_SEND_STATE_FINAL);
}

static void request_send(struct request *request, const struct http_answer *answer)
{
    h2o_req_t *req = request->req;
    struct connection *connection = request->connection;

    request->is_answered = true;
    req->res.status = answer->status;
    req->res.reason = status_reason(answer->status);
    if (answer->status != 204 && answer->status != 304)
        req->res.content_length = answer->body.len;
    add_fields(req, answer->fields, answer->field_count);
    if (request->is_cut || connection->loop->drain_since_ms != 0)
        req->http1_is_persistent = 0;
    if (request->is_cut && !connection->is_http2)
        connection->is_lingering = true;
    send_body(req, answer->body);
}

void http_answer(struct http_exchange *exchange, const struct http_answer *answer)
{
    struct request *request = exchange->request;
    exchange_free(exchange);
    if (request == NULL)
        return;
    request->exchange = NULL;
    request->connection->exchanges--;
    request_send(request, answer);
}

/* A body that came in one piece with its head was never seen growing. */
static bool hold_rest(struct request *request)
{
    size_t len = request->req->entity.len;
    if (len <= request->held_bytes)
        return true;
    if (!connection_hold(request->connection, len - request->held_bytes))
        return false;
    request->held_bytes = len;
    return true;
}

/* HTTP/1 has one request at a time, whose state is the connection's until now. */
static struct request *request_of_http1(struct connection *connection, h2o_req_t *req)
{
    struct request *request = request_new(connection, req);
    request->refusal = connection->http1_refusal;
    request->is_cut = request->refusal != REFUSAL_NONE;
    request->held_bytes = connection->http1_held_bytes;
    connection->http1_refusal = REFUSAL_NONE;
    connection->http1_held_bytes = 0;
    connection->http1_req = NULL;
    if (request->refusal == REFUSAL_NONE && !hold_rest(request))
        request->refusal = REFUSAL_OVER_BUDGET;
    return request;
}

void request_send_problem(h2o_req_t *req, int status, const char *detail)
{
    char body[512];
    int len = snprintf(
        body, sizeof body,
        "{\"type\":\"/problems/invalid-request\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}",
        status_reason(status), status, detail);
    struct request *request = (struct request *)req->overrides;
    if (request == NULL)
        request = request_of_http1(connection_of_req(req), req);
    const struct http_field field = {"content-type", bytes_of_str("application/problem+json")};
    request_send(request, &(struct http_answer){.status = status,
                                                .fields = &field,
                                                .field_count = 1,
                                                .body = bytes_of(body, (size_t)len)});
}

/* --- requests --- */

static struct bytes bytes_of_iovec(h2o_iovec_t iovec)
{
    return bytes_of(iovec.base, iovec.len);
}

/* White space around a value is no part of it (RFC 9110 section 5.5); h2o drops what is before. */
static struct bytes without_trailing_space(struct bytes value)
{
    while (value.len > 0 && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t'))
        value.len--;
    return value;
}

struct bytes http_header_of(const struct http_request *request, struct bytes lower_name)
{
    const h2o_req_t *req = request->impl;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        if (bytes_equal(bytes_of_iovec(*header->name), lower_name))
            return without_trailing_space(bytes_of_iovec(header->value));
    }
    if (bytes_equal_str(lower_name, "host"))
        return bytes_of_iovec(req->input.authority);
    return (struct bytes){NULL, 0};
}

/* "http://host/path" (a request in absolute form, RFC 9112 section 3.2.2) -> "/path" */
static struct bytes origin_form(struct bytes target)
{
    static const char *const SCHEMES[] = {"http://", "https://"};
    for (size_t i = 0; i < 2; i++) {
        size_t len = strlen(SCHEMES[i]);
        if (target.len <= len || memcmp(target.data, SCHEMES[i], len) != 0)
            continue;
        const uint8_t *slash = memchr(target.data + len, '/', target.len - len);
        if (slash == NULL)
            return bytes_of_str("/");
        return bytes_of(slash, target.len - (size_t)(slash - target.data));
    }
    return target;
}

static void split_target(struct http_request *out, struct bytes target)
{
    target = origin_form(target);
    const uint8_t *question = target.len ? memchr(target.data, '?', target.len) : NULL;
    out->path = target;
    if (question == NULL)
        return;
    out->path.len = (size_t)(question - target.data);
    out->query = bytes_of(question + 1, target.len - out->path.len - 1);
}

static void hand_over(struct request *request)
{
    h2o_req_t *req = request->req;
    struct connection *connection = request->connection;
    struct http_server *server = connection->loop->server;
    struct http_request out = {
        .listener = connection->listener->kind,
        .method = bytes_of_iovec(req->input.method),
        .is_too_large = request->refusal == REFUSAL_TOO_LARGE,
        .is_over_budget = request->refusal == REFUSAL_OVER_BUDGET,
        .is_http2 = connection->is_http2,
        .peer = connection->peer,
        .peer_port = connection->peer_port,
        .impl = req,
    };
    if (request->refusal == REFUSAL_NONE)
        out.body = bytes_of_iovec(req->entity);
    split_target(&out, bytes_of_iovec(req->input.path));
    server->options.handle(server->options.context, exchange_new(request), &out);
}

int http_on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    (void)handler;
    struct request *request = (struct request *)req->overrides;
    if (request == NULL)
        request = request_of_http1(connection_of_req(req), req);
    struct connection *connection = request->connection;

    connection->has_spoken = true; /* also a head that was refused */
    if (connection->is_check) {
        request_send(request, &(struct http_answer){.status = 204});
        return 0;
    }
    count_one(&connection->loop->requests_ever);
    switch (request->refusal) {
    case REFUSAL_BAD_REQUEST:
        request_send_problem(req, 400, "the request is not well-formed HTTP");
        break;
    case REFUSAL_HEAD_TOO_LARGE:
        request_send_problem(req, 431, "the request head is over 32 KB or 100 fields");
        break;
    case REFUSAL_NONE:
    case REFUSAL_TOO_LARGE:
    case REFUSAL_OVER_BUDGET:
        hand_over(request);
        break;
    }
    return 0;
}

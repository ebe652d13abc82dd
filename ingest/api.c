/*
 * api: the spine: route -> authenticate -> limit -> the resource's own handler. Each step either
 * answers or hands on.
 *
 * Order matters: nobody without a valid key learns which types exist (401 before 404), and whatever
 * a valid key asks counts against its windows, so that probing is limited too.
 *
 * To add a resource: a kind in route.h, its row in route.c, a case in dispatch().
 */
#include "ingest/admin.h"
#include "ingest/app.h"
#include "ingest/events_api.h"
#include "ingest/read.h"
#include "ingest/receive.h"
#include "ingest/tally.h"

#include <stdio.h>

static void copy_text(char *out, size_t capacity, struct bytes text)
{
    size_t len = text.len < capacity - 1 ? text.len : capacity - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? (char)text.data[i] : '?';
    out[len] = '\0';
}

static struct call call_of(struct app_loop *loop, struct http_exchange *exchange,
                           const struct http_request *request)
{
    struct call call = {
        .loop = loop,
        .exchange = exchange,
        .started_us = stopwatch_us(),
        .started_ms = clock_wall_ms(loop->app->clock),
        .peer = request->peer,
    };
    struct uuid id = uuid_next(&loop->last_request_id, call.started_ms, &loop->prng);
    typeid_format("req", &id, call.request_id);
    copy_text(call.method, sizeof call.method, request->method);
    copy_text(call.route, sizeof call.route, request->path);
    return call;
}

static void refuse_credentials(struct call *call)
{
    int64_t wait_ms =
        auth_throttle_fail(call->loop->app->throttle, &call->peer, app_now_ms(call->loop->app));
    struct call_extra extra = {0};
    if (wait_ms == 0) {
        call_extra_add(&extra, "www-authenticate",
                       bytes_of_str("Bearer realm=\"postern\", Basic realm=\"postern\", "
                                    "ApiKey realm=\"postern\", header=\"X-API-Key\""));
        struct refusal refusal = {
            .problem = PROBLEM_UNAUTHORIZED,
            .detail = "a valid API key is needed: X-API-Key, Authorization: Bearer, or Basic"};
        call_refuse(call, &refusal, &extra);
        return;
    }
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(wait_ms + 999) / 1000);
    call_extra_add(&extra, "retry-after", bytes_of_str(seconds));
    struct refusal refusal = {
        .problem = PROBLEM_RATE_LIMITED,
        .detail = "too many requests without a valid API key from this address",
        .more_members = bytes_of_str(",\"violated-policies\":[\"authentication\"]")};
    call_refuse(call, &refusal, &extra);
}

static void refuse_over_limit(struct call *call)
{
    const struct limiter_verdict *verdict = &call->verdict;
    char members[64] = ",\"violated-policies\":[";
    const char *comma = "";
    for (size_t w = 0; w < WINDOW_COUNT; w++) {
        if (!verdict->windows[w].is_violated)
            continue;
        size_t at = strlen(members);
        snprintf(members + at, sizeof members - at, "%s\"%s\"", comma, WINDOW_NAME[w]);
        comma = ",";
    }
    strcat(members, "]");
    int64_t seconds = (verdict->retry_after_ms + 999) / 1000;
    char retry_after[24], detail[96];
    snprintf(retry_after, sizeof retry_after, "%lld", (long long)(seconds > 0 ? seconds : 1));
    snprintf(detail, sizeof detail,
             "the API key's limit is used up; the next request may come in "
             "%s s",
             retry_after);
    struct call_extra extra = {0};
    call_extra_add(&extra, "retry-after", bytes_of_str(retry_after));
    struct refusal refusal = {.problem = PROBLEM_RATE_LIMITED,
                              .detail = detail,
                              .more_members = bytes_of_str(members),
                              .logged = "the API key's limit is used up"};
    call_refuse(call, &refusal, &extra);
}

/* NULL: answered. */
static const struct sender *identify(struct call *call, const struct http_request *request)
{
    struct app *app = call->loop->app;
    struct credentials credentials = {http_header(request, "x-api-key"),
                                      http_header(request, "authorization")};
    const struct sender *sender = authenticate(call->loop->keyring, &credentials, call->started_ms);
    bool has_any = credentials.x_api_key.len > 0 || credentials.authorization.len > 0;
    if (!sender && has_any && app_loop_refresh(call->loop))
        sender = authenticate(call->loop->keyring, &credentials, call->started_ms);
    if (!sender) {
        refuse_credentials(call);
        return NULL;
    }
    call->api_key = sender->number;
    call->limits.max[WINDOW_MINUTE] =
        sender->limit_minute ? sender->limit_minute : atomic_load(&app->limit_minute);
    call->limits.max[WINDOW_HOUR] =
        sender->limit_hour ? sender->limit_hour : atomic_load(&app->limit_hour);
    enum status s =
        limiter_admit(app->limiter, sender->number, &call->limits, app_now_ms(app), &call->verdict);
    if (s != STATUS_OK) {
        call_unavailable(call, s);
        return NULL;
    }
    call->is_authenticated = true;
    tally_used(call->loop->tally, sender->number, call->started_ms);
    if (!call->verdict.is_admitted) {
        refuse_over_limit(call);
        return NULL;
    }
    if (!sender_allows_address(sender, &call->peer)) {
        call_refuse_plain(call, PROBLEM_FORBIDDEN,
                          "the API key does not allow requests from this address");
        return NULL;
    }
    return sender;
}

static void refuse_method(struct call *call, const char *methods)
{
    struct call_extra extra = {0};
    call_extra_add(&extra, "allow", bytes_of_str(methods));
    char detail[96];
    snprintf(detail, sizeof detail, "this path has the methods %s", methods);
    struct refusal refusal = {.problem = PROBLEM_METHOD_NOT_ALLOWED, .detail = detail};
    call_refuse(call, &refusal, &extra);
}

/* True: the key has the scope. False: answered. */
static bool has_scope(struct call *call, const struct sender *sender, const char *noun,
                      const char *verb)
{
    if (api_key_grants(sender->key, noun, verb))
        return true;
    char detail[160], members[160];
    snprintf(detail, sizeof detail, "the API key lacks the scope %s:%s", noun, verb);
    snprintf(members, sizeof members, ",\"scope\":\"%s:%s\"", noun, verb);
    struct refusal refusal = {
        .problem = PROBLEM_FORBIDDEN, .detail = detail, .more_members = bytes_of_str(members)};
    call_refuse(call, &refusal, NULL);
    return false;
}

/* The body could not be kept. True: answered. */
static bool refuse_body(struct call *call, const struct http_request *request)
{
    if (request->is_over_budget) {
        call_unavailable(call, STATUS_LIMIT);
        return true;
    }
    if (!request->is_too_large && request->body.len <= call->loop->app->max_body)
        return false;
    char detail[96];
    snprintf(detail, sizeof detail, "the body is over the limit of %zu bytes",
             call->loop->app->max_body);
    call_refuse_plain(call, PROBLEM_TOO_LARGE, detail);
    return true;
}

/* The documentation; any valid key may read it. */
static void serve_documentation(struct call *call, const struct route *route)
{
    const struct catalog_type *type = catalog_find(call->loop->catalog, route->type);
    if (route->kind == ROUTE_OPENAPI)
        call_answer(call, 200, bytes_of_str("application/json"),
                    catalog_openapi(call->loop->catalog), NULL);
    else if (type)
        call_answer(call, 200, bytes_of_str("application/schema+json"),
                    bytes_of(type->type->text, type->type->text_bytes), NULL);
    else
        call_refuse_plain(call, PROBLEM_NOT_FOUND, "there is no such record type");
}

static void dispatch(struct call *call, const struct sender *sender,
                     const struct http_request *request, const struct route *route)
{
    bool is_read =
        bytes_equal_str(request->method, "GET") || bytes_equal_str(request->method, "HEAD");
    if (route->kind == ROUTE_EVENTS) {
        if (has_scope(call, sender, "events", "read"))
            events_read(call, request);
        return;
    }
    const struct catalog_type *type = catalog_find(call->loop->catalog, route->type);
    if (!type) {
        call_refuse_plain(call, PROBLEM_NOT_FOUND, "there is no such record type");
        return;
    }
    if (!route_has_method(route->kind, request->method)) {
        refuse_method(call, route_methods(route->kind));
        return;
    }
    if (type->type->is_read_only && !is_read) {
        refuse_method(call, "GET, HEAD");
        return;
    }
    if (!has_scope(call, sender, type->type->name, is_read ? "read" : "write") ||
        refuse_body(call, request))
        return;
    if (!is_read)
        receive(call, request, route, type);
    else if (route->kind == ROUTE_RECORD)
        read_record(call, request, route, type);
    else
        read_page(call, request, type);
}

static void serve_problems(struct call *call, const struct route *route)
{
    struct buf page = {0};
    if (problem_page(route->target, &page) == STATUS_OK)
        call_answer(call, 200, bytes_of_str("text/plain; charset=utf-8"), buf_bytes(&page), NULL);
    else
        call_refuse_plain(call, PROBLEM_NOT_FOUND, "there is no such problem type");
    buf_fini(&page);
}

/* What needs no key. True: answered. */
static bool serve_open(struct call *call, const struct http_request *request,
                       const struct route *route)
{
    switch (route->kind) {
    case ROUTE_COLLECTION:
    case ROUTE_RECORD:
    case ROUTE_EVENTS:
    case ROUTE_OPENAPI:
    case ROUTE_SCHEMA:
    case ROUTE_API_OTHER:
        return false;
    case ROUTE_NONE:
        call_refuse_plain(call, PROBLEM_NOT_FOUND, "there is nothing at this path");
        return true;
    default:
        break;
    }
    if (!route_has_method(route->kind, request->method))
        refuse_method(call, route_methods(route->kind));
    else if (route->kind == ROUTE_PROBLEMS)
        serve_problems(call, route);
    else if (route->kind == ROUTE_ROOT)
        call_answer(
            call, 200, bytes_of_str("text/plain; charset=utf-8"),
            bytes_of_str("Postern takes records at /api/webhook/{type}. With an API key, "
                         "/api/openapi.json documents them; /problems documents refusals.\n"),
            NULL);
    else
        admin_serve(call, route->kind);
    return true;
}

void app_handle(void *context, struct http_exchange *exchange, const struct http_request *request)
{
    struct app *app = context;
    struct app_loop *loop = &app->loops[http_loop_index(http_exchange_loop(exchange))];
    struct call call = call_of(loop, exchange, request);
    struct route route = route_of(request->path, request->listener == HTTP_ADMIN);
    if (serve_open(&call, request, &route))
        return;
    const struct sender *sender = identify(&call, request);
    if (!sender)
        return;
    bool is_typed = route.kind == ROUTE_COLLECTION || route.kind == ROUTE_RECORD;
    if (route.kind == ROUTE_API_OTHER)
        call_refuse_plain(&call, PROBLEM_NOT_FOUND, "there is nothing at this path");
    else if (!is_typed && !route_has_method(route.kind, request->method))
        refuse_method(&call, route_methods(route.kind));
    else if (route.kind == ROUTE_OPENAPI || route.kind == ROUTE_SCHEMA)
        serve_documentation(&call, &route);
    else
        dispatch(&call, sender, request, &route);
}

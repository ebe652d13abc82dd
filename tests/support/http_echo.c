/*
 * http_echo: the HTTP layer with nothing behind it, for tests that attack it or load it.
 *
 *     http_echo [--tls CERT KEY] [--threads N] [--body-max N] [--inflight-max N] [--connections N]
 *               [--header-ms N] [--progress-ms N] [--drain-ms N] [--admin ADDRESS]
 *               [--tls-listen ADDRESS]
 *
 * Listens on free ports of 127.0.0.1, unless told otherwise after --tls, and prints one line of
 * JSON when it serves:
 * {"pid":…,"cleartext":"http://…","tls":"https://…","admin":"http://…"}. Makes the pair CERT, KEY
 * if it is not there. SIGHUP reloads the pair and prints "reloaded" or "not reloaded"; SIGTERM
 * drains and exits 0.
 *
 *     GET  /hello             "hello"
 *     any  /echo              the request: method, path, query, peer, version, some headers
 *     POST /body              the body
 *     any  /delay?MS          as /echo, MS milliseconds later, from another thread
 *     GET  /hold              answers when POST /release comes; counts if the client goes
 *     GET  /big?BYTES         so many bytes
 *     GET  /stats             http_server_stats, gone holds, delayed answers given, memory
 * A body over the limit is answered 413, over the budget 503.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/must.h"
#include "ingest/http.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct held {
    struct held *next;
    struct http_exchange *exchange;
};

/* A delayed answer: with the timer's thread until it is due, then a message to its loop. */
struct delayed {
    struct http_message message;
    struct delayed *next;
    struct http_exchange *exchange;
    struct http_loop *loop;
    int64_t due_ms;
    char *text;
};

static struct http_server *server;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct delayed *waiting; /* under lock */
static _Atomic uint64_t gone_count, delayed_count;
static __thread struct held *held; /* per loop */

/* --- answers --- */

static void answer(struct http_exchange *exchange, int status, const char *type, struct bytes body)
{
    const struct http_field fields[] = {{"content-type", bytes_of_str(type)},
                                        {"retry-after", bytes_of_str("1")}};
    http_answer(exchange, &(struct http_answer){.status = status,
                                                .fields = fields,
                                                .field_count = status == 503 ? 2 : 1,
                                                .body = body});
}

static void put_member(struct buf *out, const char *name, struct bytes value)
{
    buf_printf(out, ",\"%s\":", name);
    if (value.data == NULL) {
        buf_put_str(out, "null");
        return;
    }
    buf_put_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < ' ' || value.data[i] > '~' || value.data[i] == '"' ||
            value.data[i] == '\\')
            buf_printf(out, "\\u%04x", value.data[i]);
        else
            buf_put_char(out, (char)value.data[i]);
    }
    buf_put_char(out, '"');
}

static void put_request(struct buf *out, const struct http_request *request)
{
    char peer[ADDRESS_TEXT_BYTES];
    address_format(&request->peer, peer);
    buf_printf(out, "{\"listener\":%d,\"http2\":%s,\"port\":%u,\"bytes\":%zu",
               (int)request->listener, request->is_http2 ? "true" : "false", request->peer_port,
               request->body.len);
    put_member(out, "peer", bytes_of_str(peer));
    put_member(out, "method", request->method);
    put_member(out, "path", request->path);
    put_member(out, "query", request->query);
    put_member(out, "host", http_header(request, "host"));
    put_member(out, "x-test", http_header(request, "x-test"));
    put_member(out, "x-trailer", http_header(request, "x-trailer"));
    buf_put_char(out, '}');
}

static uint64_t memory_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    fclose(file);
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void answer_stats(struct http_exchange *exchange)
{
    struct http_server_stats s;
    CLEANUP(buf_fini) struct buf out = {0};
    http_server_stats(server, &s);
    buf_printf(&out,
               "{\"connections_now\":%" PRIu64 ",\"connections_ever\":%" PRIu64
               ",\"requests_ever\":%" PRIu64 ",\"refused_connections\":%" PRIu64
               ",\"guard_closed\":%" PRIu64 ",\"slow_closed\":%" PRIu64,
               s.connections_now, s.connections_ever, s.requests_ever, s.refused_connections,
               s.guard_closed, s.slow_closed);
    buf_printf(&out,
               ",\"inflight_requests\":%" PRIu64 ",\"inflight_bytes\":%" PRIu64 ",\"gone\":%" PRIu64
               ",\"delayed\":%" PRIu64 ",\"memory\":%" PRIu64 "}",
               s.inflight_requests, s.inflight_bytes, gone_count, delayed_count, memory_bytes());
    answer(exchange, 200, "application/json", buf_bytes(&out));
}

static uint64_t number_of(struct bytes text)
{
    uint64_t number = 0;
    for (size_t i = 0; i < text.len && text.data[i] >= '0' && text.data[i] <= '9'; i++)
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    return number;
}

static void answer_big(struct http_exchange *exchange, uint64_t bytes)
{
    CLEANUP(buf_fini) struct buf out = {0};
    if (bytes > 64u << 20 || buf_reserve(&out, bytes) != STATUS_OK) {
        answer(exchange, 400, "text/plain", bytes_of_str("too big"));
        return;
    }
    memset(out.data, 'x', bytes);
    out.len = bytes;
    answer(exchange, 200, "application/octet-stream", buf_bytes(&out));
}

/* --- later --- */

static void run_delayed(struct http_message *message)
{
    struct delayed *delayed = (struct delayed *)message; /* the first member */
    atomic_fetch_add(&delayed_count, 1);
    answer(delayed->exchange, 200, "application/json", bytes_of_str(delayed->text));
    free(delayed->text);
    free(delayed);
}

static void *timer_run(void *context)
{
    (void)context;
    for (;;) {
        int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
        pthread_mutex_lock(&lock);
        for (struct delayed **at = &waiting; *at != NULL;) {
            struct delayed *delayed = *at;
            if (now_ms < delayed->due_ms) {
                at = &delayed->next;
                continue;
            }
            *at = delayed->next;
            http_loop_post(delayed->loop, &delayed->message);
        }
        pthread_mutex_unlock(&lock);
        usleep(1000);
    }
    return NULL;
}

static void delay(struct http_exchange *exchange, const struct http_request *request)
{
    struct buf text = {0};
    put_request(&text, request);
    (void)buf_str(&text);
    struct delayed *delayed = calloc(1, sizeof *delayed);
    must(delayed != NULL);
    delayed->message.run = run_delayed;
    delayed->exchange = exchange;
    delayed->loop = http_exchange_loop(exchange);
    delayed->due_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + (int64_t)number_of(request->query);
    delayed->text = (char *)text.data;
    pthread_mutex_lock(&lock);
    delayed->next = waiting;
    waiting = delayed;
    pthread_mutex_unlock(&lock);
}

static void on_gone(void *context)
{
    struct held *mine = context;
    for (struct held **at = &held; *at != NULL; at = &(*at)->next) {
        if (*at != mine)
            continue;
        *at = mine->next;
        break;
    }
    atomic_fetch_add(&gone_count, 1);
    must(http_exchange_is_gone(mine->exchange));
    answer(mine->exchange, 200, "text/plain", bytes_of_str("nobody hears this"));
    free(mine);
}

static void hold(struct http_exchange *exchange)
{
    struct held *mine = malloc(sizeof *mine);
    must(mine != NULL);
    *mine = (struct held){held, exchange};
    held = mine;
    http_exchange_on_gone(exchange, on_gone, mine);
}

static void release(void)
{
    while (held != NULL) {
        struct held *first = held;
        held = first->next;
        answer(first->exchange, 200, "text/plain", bytes_of_str("released"));
        free(first);
    }
}

/* --- the handler --- */

static void handle(void *context, struct http_exchange *exchange,
                   const struct http_request *request)
{
    (void)context;
    CLEANUP(buf_fini) struct buf out = {0};
    if (request->is_too_large) {
        answer(exchange, 413, "application/problem+json", bytes_of_str("{\"status\":413}"));
    } else if (request->is_over_budget) {
        answer(exchange, 503, "application/problem+json", bytes_of_str("{\"status\":503}"));
    } else if (bytes_equal_str(request->path, "/hello")) {
        answer(exchange, 200, "text/plain", bytes_of_str("hello"));
    } else if (bytes_equal_str(request->path, "/body")) {
        answer(exchange, 200, "application/octet-stream", request->body);
    } else if (bytes_equal_str(request->path, "/echo")) {
        put_request(&out, request);
        answer(exchange, 200, "application/json", buf_bytes(&out));
    } else if (bytes_equal_str(request->path, "/delay")) {
        delay(exchange, request);
    } else if (bytes_equal_str(request->path, "/hold")) {
        hold(exchange);
    } else if (bytes_equal_str(request->path, "/release")) {
        release();
        answer(exchange, 204, "text/plain", bytes_of_str(""));
    } else if (bytes_equal_str(request->path, "/big")) {
        answer_big(exchange, number_of(request->query));
    } else if (bytes_equal_str(request->path, "/stats")) {
        answer_stats(exchange);
    } else {
        answer(exchange, 404, "text/plain", bytes_of_str("not here\n"));
    }
}

/* --- the program --- */

struct arguments {
    struct http_server_options options;
    struct http_listen listeners[3];
    uint32_t drain_ms;
    size_t tls_index, admin_index;
};

static void read_arguments(struct arguments *a, int argc, char **argv)
{
    struct http_server_options *o = &a->options;
    a->listeners[o->listener_count++] = (struct http_listen){HTTP_CLEARTEXT, "127.0.0.1:0"};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        unsigned long number = strtoul(value, NULL, 10);
        if (strcmp(name, "--tls") == 0 && i + 2 < argc) {
            o->tls_cert = value;
            o->tls_key = argv[i + 2];
            a->tls_index = o->listener_count;
            a->listeners[o->listener_count++] = (struct http_listen){HTTP_TLS, "127.0.0.1:0"};
            i++;
        } else if (strcmp(name, "--admin") == 0) {
            a->admin_index = o->listener_count;
            a->listeners[o->listener_count++] = (struct http_listen){HTTP_ADMIN, value};
        } else if (strcmp(name, "--tls-listen") == 0) {
            a->listeners[a->tls_index].address = value;
        } else if (strcmp(name, "--threads") == 0) {
            o->threads = (unsigned)number;
        } else if (strcmp(name, "--body-max") == 0) {
            o->body_bytes_max = number;
        } else if (strcmp(name, "--inflight-max") == 0) {
            o->inflight_bytes_max = number;
        } else if (strcmp(name, "--connections") == 0) {
            o->connections_max = number;
        } else if (strcmp(name, "--header-ms") == 0) {
            o->header_timeout_ms = (uint32_t)number;
        } else if (strcmp(name, "--progress-ms") == 0) {
            o->progress_timeout_ms = (uint32_t)number;
        } else if (strcmp(name, "--drain-ms") == 0) {
            a->drain_ms = (uint32_t)number;
        } else {
            fprintf(stderr, "http_echo: what is %s?\n", name);
            exit(2);
        }
    }
    o->listeners = a->listeners;
}

static void announce(const struct arguments *a)
{
    printf("{\"pid\":%d,\"cleartext\":\"%s\"", getpid(), http_server_url(server, 0));
    if (a->tls_index != 0)
        printf(",\"tls\":\"%s\"", http_server_url(server, a->tls_index));
    if (a->admin_index != 0)
        printf(",\"admin\":\"%s\"", http_server_url(server, a->admin_index));
    printf("}\n");
    fflush(stdout);
}

static void serve(const struct arguments *a, const sigset_t *signals)
{
    for (;;) {
        int number = 0;
        struct err err = {0};
        sigwait(signals, &number);
        if (number != SIGHUP)
            return;
        enum status status =
            http_server_reload_tls(server, a->options.tls_cert, a->options.tls_key, &err);
        if (status == STATUS_OK)
            printf("reloaded\n");
        else
            printf("not reloaded: %s\n", err.text);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct arguments a = {.options = {.threads = 2, .body_bytes_max = 1 << 20, .handle = handle},
                          .drain_ms = 5000};
    struct err err = {0};
    pthread_t timer;
    sigset_t signals;
    read_arguments(&a, argc, argv);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (a.options.tls_cert != NULL && access(a.options.tls_cert, R_OK) != 0 &&
        tls_make_self_signed(a.options.tls_cert, a.options.tls_key, &err) != STATUS_OK) {
        fprintf(stderr, "http_echo: %s\n", err.text);
        return 1;
    }
    if (http_server_start(&a.options, &server, &err) != STATUS_OK) {
        fprintf(stderr, "http_echo: %s\n", err.text);
        return 1;
    }
    must(pthread_create(&timer, NULL, timer_run, NULL) == 0);
    announce(&a);
    serve(&a, &signals);
    http_server_stop(server, a.drain_ms);
    return 0;
}

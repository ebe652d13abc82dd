/*
 * A loop: one thread with its own h2o context, made and used on that thread alone (h2o keeps free
 * lists per thread and points into them).
 *
 * Each turn h2o polls, reads, calls handlers and writes; between turns the tick (about every 100
 * ms) looks after what h2o does not: paused listeners, slow clients, lingering sockets, old
 * certificates, the drain, and the application's own tick.
 *
 * The inbox is a stack of messages with one atomic head. Whoever finds it empty writes the eventfd,
 * so a burst costs one wake-up; the loop takes the whole stack at once and runs it oldest first.
 */
#include "ingest/http_private.h"

#include "base/must.h"
#include "ingest/h2o_guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#define TICK_MS 100
#define SCAN_MS 500

/* --- messages --- */

void http_loop_post(struct http_loop *loop, struct http_message *message)
{
    struct http_message *head = atomic_load_explicit(&loop->inbox, memory_order_relaxed);
    do {
        message->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->inbox, &head, message,
                                                    memory_order_release, memory_order_relaxed));
    if (head == NULL)
        (void)eventfd_write(loop->wake_fd, 1); /* cannot fail: the counter is far from full */
}

static void run_messages(struct http_loop *loop)
{
    struct http_message *newest =
        atomic_exchange_explicit(&loop->inbox, NULL, memory_order_acquire);
    struct http_message *oldest = NULL;
    while (newest != NULL) {
        struct http_message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct http_message *next = oldest->next; /* run() may free the message */
        oldest->run(oldest);
        oldest = next;
    }
}

static void on_wake(h2o_socket_t *sock, const char *err)
{
    struct http_loop *loop = sock->data;
    eventfd_t count;
    must(err == NULL);
    (void)eventfd_read(loop->wake_fd, &count); /* before the inbox, so that no message is missed */
    run_messages(loop);
}

unsigned http_loop_index(const struct http_loop *loop)
{
    return loop->index;
}

/* --- certificates --- */

/* h2o keeps a bare pointer to the context between accept and the first byte of the handshake, so
 * the old one outlives the longest handshake. */
static void retire_tls(struct http_loop *loop, SSL_CTX *context)
{
    struct retired_tls *retired = h2o_mem_alloc(sizeof *retired);
    *retired = (struct retired_tls){
        .next = loop->retired,
        .context = context,
        .free_at_ms = clock_monotonic_ms(&SYSTEM_CLOCK) +
                      2 * (int64_t)loop->server->options.header_timeout_ms + SECOND_MS,
    };
    loop->retired = retired;
}

void http_loop_swap_tls(struct http_loop *loop, SSL_CTX *context)
{
    for (size_t i = 0; i < loop->server->listener_count; i++) {
        struct accept_point *point = &loop->points[i];
        if (point->listener->kind != HTTP_TLS)
            continue;
        retire_tls(loop, point->accept_ctx.ssl_ctx);
        SSL_CTX_up_ref(context);
        point->accept_ctx.ssl_ctx = context;
    }
}

static void retired_tick(struct http_loop *loop, int64_t now_ms)
{
    struct retired_tls **at = &loop->retired;
    while (*at != NULL) {
        struct retired_tls *retired = *at;
        if (now_ms < retired->free_at_ms) {
            at = &retired->next;
            continue;
        }
        *at = retired->next;
        SSL_CTX_free(retired->context);
        free(retired);
    }
}

/* --- the thread --- */

static void loop_init(struct http_loop *loop)
{
    struct http_server *server = loop->server;
    h2o_context_init(&loop->ctx, h2o_evloop_create(), &server->config);
    h2o_linklist_init_anchor(&loop->connections);
    loop->now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    loop->wake = h2o_evloop_socket_create(loop->ctx.loop, loop->wake_fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->wake->data = loop;
    for (size_t i = 0; i < server->listener_count; i++) {
        const struct http_listener *listener = &server->listeners[i];
        loop->points[i] = (struct accept_point){
            .loop = loop,
            .listener = listener,
            .accept_ctx = {.ctx = &loop->ctx, .hosts = server->config.hosts},
        };
        if (listener->kind == HTTP_TLS) {
            SSL_CTX_up_ref(server->tls);
            loop->points[i].accept_ctx.ssl_ctx = server->tls;
        }
    }
}

static void loop_serve(struct http_loop *loop)
{
    h2o_socket_read_start(loop->wake, on_wake);
    for (size_t i = 0; i < loop->server->listener_count; i++)
        accept_point_start(&loop->points[i]);
}

/* Those that were paused try again; still at the cap, they pause again. */
static void resume_listeners(struct http_loop *loop)
{
    for (size_t i = 0; i < loop->server->listener_count; i++)
        accept_point_resume(&loop->points[i]);
}

static void loop_tick(struct http_loop *loop)
{
    const struct http_server_options *options = &loop->server->options;
    int64_t now_ms = loop->now_ms;
    loop->next_tick_ms = now_ms + TICK_MS;
    if (loop->drain_since_ms == 0)
        resume_listeners(loop);
    lingers_tick(loop, now_ms);
    retired_tick(loop, now_ms);
    if (now_ms >= loop->next_scan_ms) {
        loop->next_scan_ms = now_ms + SCAN_MS;
        connections_scan(loop, now_ms);
    }
    if (options->loop_tick != NULL)
        options->loop_tick(options->context, loop);
    if (loop->drain_since_ms != 0)
        http_drain_tick(loop, now_ms);
}

void *http_loop_run(void *argument)
{
    struct http_loop *loop = argument;
    struct http_server *server = loop->server;
    char name[16];
    snprintf(name, sizeof name, "http-%u", loop->index);
    (void)pthread_setname_np(pthread_self(), name); /* for people who look at threads */

    loop_init(loop);
    loop->start_status = loop->index == 0 ? h2o_guard_check(loop) : STATUS_OK;
    pthread_barrier_wait(&server->gate); /* the statuses can be read */
    pthread_barrier_wait(&server->gate); /* is_refused is decided */
    if (server->is_refused)
        return NULL;
    if (server->options.loop_start != NULL)
        server->options.loop_start(server->options.context, loop);
    loop_serve(loop);
    while (!loop->is_done) {
        loop->now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
        if (loop->now_ms >= loop->next_tick_ms)
            loop_tick(loop);
        (void)h2o_evloop_run(loop->ctx.loop, TICK_MS); /* -1: a signal interrupted the poll */
    }
    return NULL;
}

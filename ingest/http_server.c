/*
 * The server: starts the loops, reloads the certificate, ends the loops.
 *
 * Start, in order, each step undone if a later one fails: settings' defaults, certificate, guard,
 * listeners (so that a port in use is reported by this call), h2o's configuration, threads. The
 * loops set themselves up and meet this thread at a gate; loop 0 has by then run the guard's
 * self-check. Only if that passed do they go on to accept.
 *
 * Stop never frees what another thread may still post to; see http_server_stop in http.h. A stopped
 * server stays reachable from a list, so that a leak checker tells it from a leak.
 *
 * Files: http_listener.c accepts, http_connection.c closes what stands still, http_exchange.c is
 * the way of a request, http_drain.c the graceful end, h2o_guard*.c what keeps h2o from harm.
 */
#include "ingest/http_private.h"

#include "base/random.h"
#include "base/thread.h"
#include "ingest/h2o_guard.h"
#include "ingest/tls.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

#define DESCRIPTORS_KEPT_MIN 64
#define CONNECTIONS_MAX 16384 /* unless told: some 50 KB each, if TLS */

static struct http_server *stopped_servers;

/* --- options --- */

/* A quarter of the descriptors stays for the store, deliveries and logs. */
static size_t default_connections_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 > CONNECTIONS_MAX)
        return CONNECTIONS_MAX;
    size_t kept = limit.rlim_cur / 4;
    if (kept < DESCRIPTORS_KEPT_MIN)
        kept = DESCRIPTORS_KEPT_MIN;
    return limit.rlim_cur > kept + 16 ? limit.rlim_cur - kept : 16;
}

static void apply_options(struct http_server *server, const struct http_server_options *options)
{
    struct http_server_options *o = &server->options;
    *o = *options;
    o->listeners = NULL;
    o->tls_cert = o->tls_key = NULL;
    if (o->inflight_bytes_max == 0)
        o->inflight_bytes_max = (size_t)256 << 20;
    if (o->connections_max == 0)
        o->connections_max = default_connections_max();
    if (o->header_timeout_ms == 0)
        o->header_timeout_ms = 10 * SECOND_MS;
    if (o->progress_timeout_ms == 0)
        o->progress_timeout_ms = MINUTE_MS;
    server->thread_count = o->threads ? o->threads : 1;
    server->connection_held_bytes_max = o->inflight_bytes_max / 8;
    if (server->connection_held_bytes_max < 2 * o->body_bytes_max)
        server->connection_held_bytes_max = 2 * o->body_bytes_max;
    server->address_connections_max = (uint32_t)(o->connections_max / 4 + 1);
    random_bytes(server->address_seed, sizeof server->address_seed);
    pthread_mutex_init(&server->tls_lock, NULL);
}

static void configure_h2o(struct http_server *server)
{
    const struct http_server_options *o = &server->options;
    h2o_globalconf_t *config = &server->config;
    h2o_config_init(config);
    config->server_name = h2o_iovec_init(H2O_STRLIT("Postern"));
    /* Ours comes first, with a 413 from the handler; h2o's, one byte further, is never met. */
    config->max_request_entity_size = o->body_bytes_max + 1;
    config->handshake_timeout = o->header_timeout_ms;
    /* Head and body of a slow but moving upload together; connections_scan is stricter. */
    config->http1.req_timeout = (uint64_t)o->progress_timeout_ms * 10;
    config->http1.upgrade_to_http2 = 1; /* prior knowledge; the guard refuses Upgrade */
    config->http2.idle_timeout = (uint64_t)o->progress_timeout_ms * 10;
    h2o_hostconf_t *host =
        h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(&host->fallback_path, sizeof(h2o_handler_t))->on_req = http_on_request;
    host->fallback_path.error_log.emit_request_errors = 0;
    h2o_socket_buffer_mmap_settings.threshold = SIZE_MAX; /* bodies never go to files in /tmp */
}

/* --- start --- */

static bool has_tls_listener(const struct http_server_options *options)
{
    for (size_t i = 0; i < options->listener_count; i++)
        if (options->listeners[i].kind == HTTP_TLS)
            return true;
    return false;
}

static enum status open_listeners(struct http_server *server,
                                  const struct http_server_options *options, struct err *err)
{
    server->listeners = calloc(options->listener_count + 1, sizeof *server->listeners);
    if (server->listeners == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < options->listener_count; i++) {
        server->listener_count++;
        enum status status =
            listener_open(&server->listeners[i], &options->listeners[i], server->thread_count, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status make_loops(struct http_server *server)
{
    server->loops = calloc(server->thread_count, sizeof *server->loops);
    if (server->loops == NULL)
        return STATUS_NO_MEMORY;
    for (unsigned i = 0; i < server->thread_count; i++) {
        struct http_loop *loop = &server->loops[i];
        loop->server = server;
        loop->index = i;
        loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        loop->points = calloc(server->listener_count + 1, sizeof *loop->points);
        if (loop->wake_fd < 0 || loop->points == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status run_loops(struct http_server *server, struct err *err)
{
    pthread_barrier_init(&server->gate, NULL, server->thread_count + 1);
    for (unsigned i = 0; i < server->thread_count; i++) {
        struct http_loop *loop = &server->loops[i];
        if (thread_start(&loop->thread, http_loop_run, loop) != 0)
            h2o_fatal("cannot start a thread"); /* the others wait at the gate for good */
    }
    pthread_barrier_wait(&server->gate);
    enum status status = server->loops[0].start_status;
    server->is_refused = status != STATUS_OK;
    pthread_barrier_wait(&server->gate);
    if (!server->is_refused)
        return STATUS_OK;
    for (unsigned i = 0; i < server->thread_count; i++)
        pthread_join(server->loops[i].thread, NULL);
    err_set(err, "the HTTP library's guard is not in effect (%s); not serving",
            h2o_guard_missing());
    return status;
}

static enum status server_start(struct http_server *server,
                                const struct http_server_options *options, struct err *err)
{
    enum status status = STATUS_OK;
    if (has_tls_listener(options)) {
        if (options->tls_cert == NULL || options->tls_key == NULL) {
            err_set(err, "a TLS listener needs a certificate and a key");
            return STATUS_INVALID;
        }
        status = tls_context_new(options->tls_cert, options->tls_key, &server->tls, err);
    }
    if (status == STATUS_OK)
        status = h2o_guard_init(err);
    if (status == STATUS_OK)
        status = open_listeners(server, options, err);
    if (status == STATUS_OK)
        status = make_loops(server);
    if (status != STATUS_OK)
        return status;
    configure_h2o(server);
    return run_loops(server, err);
}

/* The threads are not running, or never were. */
static void server_close(struct http_server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        listener_fini(&server->listeners[i], server->thread_count);
    if (server->tls != NULL)
        SSL_CTX_free(server->tls);
    server->tls = NULL;
    server->next_stopped = stopped_servers;
    stopped_servers = server;
}

enum status http_server_start(const struct http_server_options *options,
                              struct http_server **ret_server, struct err *err)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return STATUS_NO_MEMORY;
    signal(SIGPIPE, SIG_IGN); /* a client that left is an error of write, not of the process */
    apply_options(server, options);
    *ret_server = server; /* before the loops run: the first request may ask it for statistics */
    enum status status = server_start(server, options, err);
    if (status != STATUS_OK) {
        *ret_server = NULL;
        server_close(server);
    }
    return status;
}

const char *http_server_url(const struct http_server *server, size_t listener)
{
    return listener < server->listener_count ? server->listeners[listener].url : NULL;
}

/* --- reload --- */

struct tls_swap {
    struct http_message message;
    struct http_loop *loop;
    SSL_CTX *context;
};

static void run_tls_swap(struct http_message *message)
{
    struct tls_swap *swap = H2O_STRUCT_FROM_MEMBER(struct tls_swap, message, message);
    http_loop_swap_tls(swap->loop, swap->context);
    SSL_CTX_free(swap->context);
    free(swap);
}

enum status http_server_reload_tls(struct http_server *server, const char *cert, const char *key,
                                   struct err *err)
{
    SSL_CTX *context = NULL;
    if (server->tls == NULL)
        return STATUS_OK; /* no TLS listener, nothing to do */
    enum status status = tls_context_new(cert, key, &context, err);
    if (status != STATUS_OK)
        return status;
    pthread_mutex_lock(&server->tls_lock);
    for (unsigned i = 0; i < server->thread_count; i++) {
        struct tls_swap *swap = h2o_mem_alloc(sizeof *swap);
        *swap = (struct tls_swap){{.run = run_tls_swap}, &server->loops[i], context};
        SSL_CTX_up_ref(context);
        http_loop_post(&server->loops[i], &swap->message);
    }
    SSL_CTX_free(server->tls);
    server->tls = context;
    pthread_mutex_unlock(&server->tls_lock);
    return STATUS_OK;
}

/* --- stop --- */

static void run_drain(struct http_message *message)
{
    http_drain_start(H2O_STRUCT_FROM_MEMBER(struct http_loop, drain_message, message));
}

void http_server_stop(struct http_server *server, uint32_t drain_ms)
{
    atomic_store(&server->drain_ms, drain_ms);
    for (unsigned i = 0; i < server->thread_count; i++) {
        server->loops[i].drain_message.run = run_drain;
        http_loop_post(&server->loops[i], &server->loops[i].drain_message);
    }
    for (unsigned i = 0; i < server->thread_count; i++)
        pthread_join(server->loops[i].thread, NULL);
    server_close(server);
}

/* --- statistics --- */

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void http_server_stats(const struct http_server *server, struct http_server_stats *ret_stats)
{
    *ret_stats = (struct http_server_stats){
        .connections_now = read_counter(&server->connections_now),
        .inflight_bytes = read_counter(&server->inflight_bytes),
    };
    for (unsigned i = 0; i < server->thread_count; i++) {
        const struct http_loop *loop = &server->loops[i];
        ret_stats->connections_ever += read_counter(&loop->connections_ever);
        ret_stats->requests_ever += read_counter(&loop->requests_ever);
        ret_stats->refused_connections += read_counter(&loop->refused_connections);
        ret_stats->guard_closed += read_counter(&loop->guard_closed);
        ret_stats->slow_closed += read_counter(&loop->slow_closed);
        ret_stats->inflight_requests += read_counter(&loop->inflight_now);
    }
}

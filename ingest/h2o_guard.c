/*
 * The guard's table and self-check, and the overrides at the level of sockets.
 *
 * what a client could do                                where it is stopped
 *   abort the process: window changes after a stream's      h2o_http2_stream_send_pending_data,
 *     end (h2o PR 1951)                                       h2o_http2_stream_reset
 *   hang a loop: CONTINUATION after our GOAWAY              h2o_http2_decode_frame
 *   header bombs, endless CONTINUATION                      h2o_hpack_parse_headers, …decode_frame
 *   rapid reset, made-you-reset                             h2o_http2_stream_reset
 *   floods of PING, SETTINGS, empty DATA, PRIORITY, …       h2o_http2_decode_frame (a cost each)
 *   write to our log: frames of unknown types               h2o_http2_decode_frame
 *   bodies over the limit or the budget: an answer, not     h2o_http2_decode_frame,
 *     REFUSED_STREAM ("safe to send again")                   h2o_hpack_parse_headers,
 *                                                             phr_parse_request, h2o_socket_…
 *   request smuggling: doubtful HTTP/1 heads, chunks        phr_parse_request, phr_decode_chunked
 *   Upgrade: h2c                                            h2o_http2_handle_upgrade
 *   fill memory with trailers that look like headers        h2o_hpack_parse_headers
 *
 * Clients that stand still are http_connection.c's.
 *
 * To add an override: its name in GUARD_OVERRIDES, its definition in one of the h2o_guard_*.c, and
 * something in the self-check's conversations that calls it.
 */
#include "ingest/h2o_guard_private.h"

#include "base/cleanup.h"
#include "base/must.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

void *guard_real[GUARD_COUNT];
_Atomic bool guard_was_called[GUARD_COUNT];
__thread struct connection *guard_current;

static const char *const NAMES[GUARD_COUNT] = {
#define X(name) #name,
    GUARD_OVERRIDES(X)
#undef X
};

/* Naming them here makes the linker take their files out of the static library: that libh2o refers
 * to them is not enough. */
static void *const OURS[GUARD_COUNT] = {
#define X(name) (void *)&name,
    GUARD_OVERRIDES(X)
#undef X
};

/* Once: the loops of another server of this process may be reading the table. */
static void look_up(void)
{
    for (int i = 0; i < GUARD_COUNT; i++)
        guard_real[i] = dlsym(RTLD_NEXT, NAMES[i]);
}

enum status h2o_guard_init(struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    must(pthread_once(&once, look_up) == 0);
    for (int i = 0; i < GUARD_COUNT; i++) {
        if (guard_real[i] != NULL && guard_real[i] != OURS[i])
            continue;
        err_set(err, "the HTTP library has no function %s; not serving", NAMES[i]);
        return STATUS_DENIED;
    }
    return STATUS_OK;
}

#if defined(__has_feature)
#define HAS_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#else
#define HAS_ADDRESS_SANITIZER 0
#endif
#if HAS_ADDRESS_SANITIZER
/* h2o keeps free lists per thread and has no way to empty them when the thread ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "print_suppressions=0";
}
#endif

/* --- sockets --- */

void guard_http1_cut(struct connection *connection, enum refusal why)
{
    h2o_req_t *req = connection->http1_req;
    h2o_socket_read_stop(connection->sock);
    connection->http1_refusal = why;
    h2o_process_request(req);
}

/* Counts what an HTTP/1 body has grown to; false: more than may be held. */
static bool http1_body_fits(struct connection *connection)
{
    size_t size = connection->sock->input->size;
    if (size <= connection->http1_held_bytes)
        return true;
    if (!connection_hold(connection, size - connection->http1_held_bytes))
        return false;
    connection->http1_held_bytes = size;
    return true;
}

static void on_read(h2o_socket_t *sock, const char *err)
{
    struct connection *connection = connection_of_socket(sock);
    struct connection *before = guard_current;
    guard_current = connection;
    if (err == NULL && connection->http1_req != NULL && !http1_body_fits(connection))
        guard_http1_cut(connection, REFUSAL_OVER_BUDGET);
    else
        connection->read_cb(sock, err); /* may free the connection */
    guard_current = before;
}

void h2o_socket_read_start(h2o_socket_t *sock, h2o_socket_cb cb)
{
    struct connection *connection = connection_of_socket(sock);
    if (connection != NULL) {
        connection->read_cb = cb;
        cb = on_read;
    }
    GUARD_REAL(h2o_socket_read_start)(sock, cb);
}

void h2o_socket_close(h2o_socket_t *sock)
{
    struct connection *connection = connection_of_socket(sock);
    if (connection != NULL && !connection->is_closing) {
        connection->is_closing = true;
        connection->http1_req = NULL;
        if (connection->is_lingering)
            connection_linger(connection);
    }
    GUARD_REAL(h2o_socket_close)(sock);
}

/* --- the self-check --- */

static const char CHECK_HTTP1[] =
    "GET / HTTP/1.1\r\nHost: check\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\n"
    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    "POST / HTTP/1.1\r\nHost: check\r\nTransfer-Encoding: chunked\r\n\r\n"
    "1\r\nx\r\n0\r\n\r\n"
    "POST / HTTP/1.1\r\nHost: check\r\nExpect: nothing\r\n"
    "Content-Length: 0\r\n\r\n";

#define HEADERS_OF(id, flags) "\0\0\x06\x01" flags "\0\0\0" id "\x82\x86\x84\x41\x01x"
static const char CHECK_HTTP2[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                  "\0\0\0\x04\0\0\0\0\0" /* SETTINGS */
    HEADERS_OF("\x01", "\x05")                           /* a whole request */
    HEADERS_OF("\x03", "\x04")                           /* one without its body … */
    "\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08"                 /* … reset */
    "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";            /* GOAWAY */

/* Says something to ourselves and lets the loop run until the end comes or the time is over. */
static void converse(struct http_loop *loop, const void *words, size_t len)
{
    static const struct http_listener NOWHERE = {.kind = HTTP_ADMIN};
    int ends[2];
    char heard[4096];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return;
    CLEANUP(closep) int client = ends[0];
    h2o_socket_t *sock =
        h2o_evloop_socket_create(loop->ctx.loop, ends[1], H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    struct connection *connection = connection_new(loop, &NOWHERE, sock);
    h2o_accept_ctx_t accept = {.ctx = &loop->ctx, .hosts = loop->server->config.hosts};
    if (connection == NULL || write(client, words, len) != (ssize_t)len)
        return;
    connection->is_check = true;
    atomic_fetch_add(&loop->server->connections_now, 1);
    atomic_fetch_add(&loop->connection_count, 1);
    h2o_accept(&accept, sock);
    for (int turn = 0; turn < 200 && loop->connection_count != 0; turn++) {
        (void)h2o_evloop_run(loop->ctx.loop, 5);
        if (turn == 4)
            (void)shutdown(client, SHUT_WR); /* by now everything has been said and heard */
        while (read(client, heard, sizeof heard) > 0) {
        }
    }
}

const char *h2o_guard_missing(void)
{
    static char text[512];
    size_t len = 0;
    for (int i = 0; i < GUARD_COUNT && len < sizeof text; i++)
        if (!guard_was_called[i])
            len +=
                (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? ", " : "", NAMES[i]);
    return len ? text : "a conversation with itself did not end";
}

enum status h2o_guard_check(struct http_loop *loop)
{
    uint64_t ever = atomic_load(&loop->connections_ever);
    for (int i = 0; i < GUARD_COUNT; i++)
        guard_was_called[i] = false;
    converse(loop, CHECK_HTTP1, sizeof CHECK_HTTP1 - 1);
    converse(loop, CHECK_HTTP2, sizeof CHECK_HTTP2 - 1);
    lingers_tick(loop, INT64_MAX);
    atomic_store(&loop->connections_ever, ever);
    for (int i = 0; i < GUARD_COUNT; i++)
        if (!guard_was_called[i])
            return STATUS_DENIED;
    return loop->connection_count == 0 ? STATUS_OK : STATUS_DENIED;
}

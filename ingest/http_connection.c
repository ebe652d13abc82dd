/*
 * Connections as this side of h2o sees them, and the rules by which one is closed.
 *
 * h2o's own timers are not enough: HTTP/1's runs over head and body together and is re-armed per
 * request only, HTTP/2's is re-armed by any byte and stands still while a request is answered, and
 * nothing at all watches a client that does not read. So each loop looks at its connections twice a
 * second (connections_scan) and closes those that
 *   - did not get as far as a complete first request head (or TLS handshake) in header_timeout,
 *   - took longer than that for a later head, counted from its first byte,
 *   - finished no request for progress_timeout while none of theirs was being answered by us. A
 *     transfer that moves at MOVING_BYTES_PER_S or more is let go on, ten times at most.
 * HTTP/2 clients are sent a GOAWAY first, and are closed a second later if that did not end it.
 *
 * "Close" is shutdown(2): h2o then sees the end of its input and goes its own, tested way. Nothing
 * here frees a connection; the socket's on_close does.
 */
#include "ingest/http_private.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h> /* the C library's tcp_info ends before the byte counts */
#include <stdlib.h>

#define MOVING_BYTES_PER_S 4096
#define EXTENSIONS_MAX 10
#define GOAWAY_GRACE_MS 1000
#define LINGER_MS 2000
#define LINGER_BYTES_MAX (16u << 20)

static void connection_on_close(void *data)
{
    struct connection *connection = data;
    struct http_loop *loop = connection->loop;
    struct http_server *server = loop->server;

    must(connection->exchanges == 0);
    connection_release(connection, connection->http1_held_bytes);
    if (connection->is_counted_by_address)
        address_load_drop(server, &connection->peer);
    h2o_linklist_unlink(&connection->link);
    connection_count_out(loop);
    free(connection->streams);
    free(connection);
}

struct connection *connection_of_socket(const h2o_socket_t *sock)
{
    return sock->on_close.cb == connection_on_close ? sock->on_close.data : NULL;
}

struct connection *connection_new(struct http_loop *loop, const struct http_listener *listener,
                                  h2o_socket_t *sock)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->loop = loop;
    connection->listener = listener;
    connection->sock = sock;
    connection->progress_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    sock->on_close.cb = connection_on_close;
    sock->on_close.data = connection;
    h2o_linklist_insert(&loop->connections, &connection->link);
    count_one(&loop->connections_ever);
    return connection;
}

void connection_shut(struct connection *connection)
{
    (void)shutdown(h2o_socket_get_fd(connection->sock), SHUT_RDWR); /* a dead one is as good */
}

void connection_condemn(struct connection *connection)
{
    if (connection->is_condemned)
        return;
    connection->is_condemned = true;
    count_one(&connection->loop->guard_closed);
    connection_shut(connection);
}

/* --- the budget of bytes in flight --- */

bool connection_could_hold(const struct connection *connection, size_t bytes)
{
    struct http_server *server = connection->loop->server;
    uint64_t total = atomic_load_explicit(&server->inflight_bytes, memory_order_relaxed);
    return bytes <= server->options.inflight_bytes_max &&
           total <= server->options.inflight_bytes_max - bytes &&
           connection->held_bytes + bytes <= server->connection_held_bytes_max;
}

bool connection_hold(struct connection *connection, size_t bytes)
{
    if (!connection_could_hold(connection, bytes))
        return false;
    atomic_fetch_add_explicit(&connection->loop->server->inflight_bytes, bytes,
                              memory_order_relaxed);
    connection->held_bytes += bytes;
    return true;
}

void connection_release(struct connection *connection, size_t bytes)
{
    must(connection->held_bytes >= bytes);
    if (bytes == 0)
        return;
    atomic_fetch_sub_explicit(&connection->loop->server->inflight_bytes, bytes,
                              memory_order_relaxed);
    connection->held_bytes -= bytes;
}

/* --- those that stand still --- */

/* Is the client in the middle of sending a request head, or has it not begun one? HTTP/2 heads are
 * small and have no state here; its progress rule covers them. */
static bool head_is_late(struct connection *connection, int64_t now_ms, int64_t limit_ms)
{
    if (!connection->has_spoken)
        return now_ms - connection->progress_ms > limit_ms;
    if (connection->is_http2 || connection->http1_req != NULL || connection->sock->input == NULL ||
        connection->sock->input->size == 0) {
        connection->head_since_ms = 0;
        return false;
    }
    if (connection->head_since_ms == 0)
        connection->head_since_ms = now_ms;
    return now_ms - connection->head_since_ms > limit_ms;
}

/* Did enough bytes of bodies or answers move since the last look? */
static bool transfer_is_moving(struct connection *connection, int64_t now_ms, int64_t limit_ms)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    if (now_ms - connection->progress_ms > limit_ms * EXTENSIONS_MAX ||
        getsockopt(h2o_socket_get_fd(connection->sock), IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    uint64_t moved = info.tcpi_bytes_acked + info.tcpi_bytes_received;
    uint64_t since = moved - connection->bytes_seen;
    connection->bytes_seen = moved;
    connection->extended_until_ms = now_ms + limit_ms;
    return since >= (uint64_t)limit_ms * MOVING_BYTES_PER_S / 1000;
}

static bool has_transfer(const struct connection *connection)
{
    if (connection->is_http2)
        return connection->streams != NULL && connection->streams->count != 0;
    return connection->http1_req != NULL || h2o_socket_is_writing(connection->sock);
}

static void close_idle(struct connection *connection, int64_t now_ms)
{
    if (connection->is_http2 && connection->goaway_ms == 0 && connection->has_spoken &&
        !connection->is_closing) {
        connection->goaway_ms = (uint64_t)now_ms;
        http2_last_goaway(connection);
        return;
    }
    if (connection->is_http2 && now_ms - (int64_t)connection->goaway_ms < GOAWAY_GRACE_MS)
        return;
    count_one(&connection->loop->slow_closed);
    connection_shut(connection);
}

static void connection_scan(struct connection *connection, int64_t now_ms)
{
    const struct http_server_options *options = &connection->loop->server->options;
    if (connection->is_condemned) {
        connection_shut(connection); /* again: something of h2o's may have been waiting to write */
        return;
    }
    if (connection->exchanges != 0) {
        connection->progress_ms = now_ms;
        return;
    }
    if (head_is_late(connection, now_ms, options->header_timeout_ms)) {
        count_one(&connection->loop->slow_closed);
        connection_shut(connection);
        return;
    }
    if (now_ms - connection->progress_ms <= options->progress_timeout_ms ||
        now_ms <= connection->extended_until_ms)
        return;
    if (has_transfer(connection) &&
        transfer_is_moving(connection, now_ms, options->progress_timeout_ms))
        return;
    close_idle(connection, now_ms);
}

void connections_scan(struct http_loop *loop, int64_t now_ms)
{
    /* http2_last_goaway only queues a write, so nothing is unlinked while walking. */
    for (h2o_linklist_t *node = loop->connections.next; node != &loop->connections;
         node = node->next)
        connection_scan(H2O_STRUCT_FROM_MEMBER(struct connection, link, node), now_ms);
}

/* --- lingering --- */

void connection_linger(struct connection *connection)
{
    struct http_loop *loop = connection->loop;
    connection->is_lingering = false;
    if (loop->linger_count == LINGERS_MAX)
        return;
    int fd = fcntl(h2o_socket_get_fd(connection->sock), F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return;
    loop->lingers[loop->linger_count++] =
        (struct lingering){fd, clock_monotonic_ms(&SYSTEM_CLOCK) + LINGER_MS, 0};
    atomic_fetch_add(&loop->server->connections_now, 1);
}

/* True when there is nothing more to wait for. */
static bool linger_read(struct lingering *linger)
{
    static __thread char waste[65536];
    for (;;) {
        ssize_t n = recv(linger->fd, waste, sizeof waste, MSG_DONTWAIT);
        if (n < 0)
            return errno != EAGAIN && errno != EINTR;
        linger->bytes += (uint64_t)n;
        if (n == 0 || linger->bytes > LINGER_BYTES_MAX)
            return true;
    }
}

void lingers_tick(struct http_loop *loop, int64_t now_ms)
{
    for (size_t i = 0; i < loop->linger_count;) {
        struct lingering *linger = &loop->lingers[i];
        (void)shutdown(linger->fd, SHUT_WR); /* by now h2o has written what it had */
        if (!linger_read(linger) && now_ms < linger->until_ms) {
            i++;
            continue;
        }
        close(linger->fd);
        atomic_fetch_sub(&loop->server->connections_now, 1);
        *linger = loop->lingers[--loop->linger_count];
    }
}

/*
 * Accepting: the kernel hands a connection to one loop's listener by a hash, which may give all
 * connections of a client to one loop. So the loop that accepts it passes it on to the one that has
 * the fewest: those few connections over which most requests come are spread evenly.
 *
 * Two caps. One on all connections, below the limit of descriptors: at the cap, or when accept
 * finds no descriptor, the listener is not polled until the next tick, so that nothing spins and
 * clients wait in the kernel's queue. And one per address on TLS listeners, so that one client
 * cannot take all; behind a cleartext listener stands a proxy, and loopback is trusted not to.
 */
#include "ingest/http_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#define ACCEPTS_AT_ONCE 32
#define ADMIN_EXTRA 32 /* over the cap: whoever looks after a full server must get in */

/* --- connections per address --- */

static _Atomic uint32_t *address_bucket(struct http_server *server, const struct address *address)
{
    uint64_t high, low;
    memcpy(&high, address->bytes, 8);
    memcpy(&low, address->bytes + 8, 8);
    if (!address_is_v4(address))
        low = 0; /* one customer has a /64 */
    uint64_t x = (high ^ server->address_seed[0]) * UINT64_C(0x9e3779b97f4a7c15);
    x ^= x >> 32;
    x = (x ^ low ^ server->address_seed[1]) * UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return &server->address_connections[(x >> 40) % ADDRESS_BUCKETS];
}

void address_load_drop(struct http_server *server, const struct address *address)
{
    atomic_fetch_sub(address_bucket(server, address), 1);
}

static bool address_is_loopback(const struct address *address)
{
    static const uint8_t V6_LOOPBACK[16] = {[15] = 1};
    return (address_is_v4(address) && address->bytes[12] == 127) ||
           memcmp(address->bytes, V6_LOOPBACK, 16) == 0;
}

/* --- who it is --- */

/* False: the client has left already. Nothing is assumed about who it was. */
static bool learn_peer(struct connection *connection)
{
    struct sockaddr_storage peer;
    static const struct address LOOPBACK = {{[10] = 0xff, 0xff, 127, 0, 0, 1}};
    if (connection->listener->is_unix) {
        connection->peer = LOOPBACK;
        return true;
    }
    return h2o_socket_getpeername(connection->sock, (struct sockaddr *)&peer) != 0 &&
           address_of_sockaddr((struct sockaddr *)&peer, &connection->peer,
                               &connection->peer_port) == STATUS_OK;
}

/* False: one address has its share. */
static bool address_load_add(struct connection *connection)
{
    struct http_server *server = connection->loop->server;
    if (connection->listener->kind != HTTP_TLS || address_is_loopback(&connection->peer))
        return true;
    connection->is_counted_by_address = true;
    uint32_t before = atomic_fetch_add(address_bucket(server, &connection->peer), 1);
    return before < server->address_connections_max;
}

static void accept_point_pause(struct accept_point *point)
{
    if (point->is_paused)
        return;
    point->is_paused = true;
    h2o_socket_read_stop(point->sock);
}

/* --- one connection --- */

/* The descriptor is taken; it and its loop are counted. */
static void connection_begin(struct accept_point *point, int fd)
{
    struct http_loop *loop = point->loop;
    h2o_socket_t *sock =
        h2o_evloop_socket_create(loop->ctx.loop, fd, H2O_SOCKET_FLAG_IS_ACCEPTED_CONNECTION);
    struct connection *connection = connection_new(loop, point->listener, sock);
    if (connection == NULL) {
        h2o_socket_close(sock);
        connection_count_out(loop);
        return;
    }
    if (!learn_peer(connection)) {
        h2o_socket_close(sock);
        return;
    }
    if (!address_load_add(connection)) {
        count_one(&loop->refused_connections);
        h2o_socket_close(sock);
        return;
    }
    h2o_accept(&point->accept_ctx, sock);
}

/* --- which loop --- */

/* A connection on its way to another loop. */
struct arrival {
    struct http_message message; /* first */
    struct accept_point *point;  /* that loop's */
    int fd;
};

static void arrive(struct http_message *message)
{
    struct arrival *arrival = (struct arrival *)message;
    connection_begin(arrival->point, arrival->fd);
    free(arrival);
}

/* The one with the fewest, this one where several have. What is on its way counts already. */
static struct http_loop *idlest_loop(struct http_loop *here)
{
    struct http_server *server = here->server;
    struct http_loop *idlest = here;
    uint32_t least = atomic_load(&here->connection_count);
    for (unsigned i = 0; i < server->thread_count; i++) {
        uint32_t count = atomic_load(&server->loops[i].connection_count);
        if (count < least) {
            least = count;
            idlest = &server->loops[i];
        }
    }
    return idlest;
}

static void connection_place(struct accept_point *point, int fd)
{
    struct http_loop *here = point->loop;
    bool is_bound = point->listener->kind == HTTP_ADMIN || here->drain_since_ms != 0;
    struct http_loop *loop = is_bound ? here : idlest_loop(here);
    struct arrival *arrival = loop != here ? malloc(sizeof *arrival) : NULL;
    if (arrival == NULL) {
        atomic_fetch_add(&here->connection_count, 1);
        connection_begin(point, fd);
        return;
    }
    atomic_fetch_add(&loop->connection_count, 1);
    *arrival = (struct arrival){
        .message.run = arrive, .point = &loop->points[point - here->points], .fd = fd};
    http_loop_post(loop, &arrival->message);
}

/* --- accepting --- */

/* False: no more for now. */
static bool accept_one(struct accept_point *point)
{
    struct http_server *server = point->loop->server;
    size_t cap =
        server->options.connections_max + (point->listener->kind == HTTP_ADMIN ? ADMIN_EXTRA : 0);
    if (atomic_fetch_add(&server->connections_now, 1) >= cap) {
        atomic_fetch_sub(&server->connections_now, 1);
        accept_point_pause(point);
        return false;
    }
    int fd = accept4(h2o_socket_get_fd(point->sock), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            accept_point_pause(point);
        atomic_fetch_sub(&server->connections_now, 1);
        return false;
    }
    if (!point->listener->is_unix)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* gone: as good */
    connection_place(point, fd);
    return true;
}

static void on_acceptable(h2o_socket_t *sock, const char *err)
{
    struct accept_point *point = sock->data;
    if (err != NULL)
        return;
    for (int i = 0; i < ACCEPTS_AT_ONCE && accept_one(point); i++) {
    }
}

void accept_point_start(struct accept_point *point)
{
    int fd = point->listener->fds[point->loop->index];
    if (fd < 0)
        return;
    point->sock = h2o_evloop_socket_create(point->loop->ctx.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    point->sock->data = point;
    h2o_socket_read_start(point->sock, on_acceptable);
}

void accept_point_resume(struct accept_point *point)
{
    if (point->sock == NULL || !point->is_paused)
        return;
    point->is_paused = false;
    h2o_socket_read_start(point->sock, on_acceptable);
}

void accept_point_stop(struct accept_point *point)
{
    if (point->sock == NULL)
        return;
    for (int i = 0; i < LISTEN_BACKLOG && accept_one(point); i++) {
    }
    h2o_socket_close(point->sock);
    point->listener->fds[point->loop->index] = -1;
    point->sock = NULL;
}

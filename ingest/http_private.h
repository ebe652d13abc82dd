/*
 * http_private: what http_*.c and h2o_guard*.c share: the loop, the connection and the request as
 * this side of h2o sees them. Nothing outside of those files includes this.
 *
 * Whose thread: a loop and all that hangs on it belongs to the loop's thread; other threads touch
 * only the members marked _Atomic and http_loop_post.
 *
 * Lives: a connection from accept until its socket is disposed; a request from its head until h2o
 * clears its memory pool, before the connection in any case; an exchange from the call of the
 * handler until http_answer, which may be after both.
 */
#pragma once

#include "base/clock.h"
#include "ingest/http.h"

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>
#include <stdatomic.h>

#define HEAD_BYTES_MAX 32768
#define HEAD_FIELDS_MAX 100
#define STREAMS_MAX 128 /* h2o allows 100 at once, and one more while it refuses it */

/* Why a request is not given to the handler as it is. */
enum refusal {
    REFUSAL_NONE,
    REFUSAL_TOO_LARGE,      /* the handler answers, is_too_large */
    REFUSAL_OVER_BUDGET,    /* the handler answers, is_over_budget */
    REFUSAL_BAD_REQUEST,    /* answered here: 400 */
    REFUSAL_HEAD_TOO_LARGE, /* answered here: 431 */
};

struct connection;

/* One request; in h2o's pool of the request, which disposes of it. Over HTTP/2 it is found by
 * req->overrides (a member that only h2o's proxy uses, which is not in use here). */
struct request {
    struct connection *connection;
    h2o_req_t *req;
    struct http_exchange *exchange; /* NULL: not yet handed over, or answered */
    size_t held_bytes;              /* of its body, counted in the budget */
    uint32_t stream_id;
    enum refusal refusal;
    bool is_cut; /* the client may go on sending a body that nobody wants */
    bool is_answered;
    bool is_reset;
};

struct http_exchange {
    struct http_loop *loop;
    struct request *request; /* NULL: the client is gone */
    void (*gone)(void *context);
    void *gone_context;
    struct http_exchange *next_spare;
};

/* What the dynamic table that we encode with holds (h2o_guard_hpack.c). */
#define REPEATED_FIELDS 8
struct head_table {
    uint8_t places[REPEATED_FIELDS]; /* 0: not there; otherwise it was the so manieth to go in */
    uint8_t count;
};

/* What only an HTTP/2 connection needs. */
struct streams {
    struct head_table head_table;
    uint32_t count; /* of those open: until all of the answer is in h2o's buffers */
    uint32_t ids[STREAMS_MAX];
    struct request *requests[STREAMS_MAX];
    uint32_t cut_ids[STREAMS_MAX]; /* ring: streams whose body is thrown away */
    uint32_t cut_next;
    uint64_t thrown_bytes; /* DATA on those */
    uint64_t thrown_allowance;
    uint32_t head_stream_id; /* of a HEADERS frame that is to be continued */
    uint32_t continuations;
};

enum drain_stage { DRAIN_NOT, DRAIN_ANNOUNCED, DRAIN_LAST };

struct connection {
    h2o_linklist_t link; /* http_loop.connections */
    struct http_loop *loop;
    const struct http_listener *listener;
    h2o_socket_t *sock;
    h2o_socket_cb read_cb; /* h2o's; ours stands in the socket */
    struct address peer;
    uint16_t peer_port;
    bool is_counted_by_address;
    bool has_spoken; /* a request's head was complete */
    bool is_http2;
    bool is_condemned;     /* the guard's decision: closed at the next occasion */
    bool is_lingering;     /* when h2o closes it, what the client still sends is read for a while */
    bool is_closing;       /* h2o has closed it; what is left is TLS's farewell */
    bool is_check;         /* the self-check's */
    uint32_t exchanges;    /* handed over and not answered */
    int64_t progress_ms;   /* when accepted, or the last request finished */
    int64_t head_since_ms; /* HTTP/1: bytes of an incomplete head were first seen; 0: none */
    int64_t extended_until_ms; /* a slow but moving transfer: how often is bounded */
    uint64_t bytes_seen;       /* TCP's count of bytes moved when that was decided */
    uint64_t goaway_ms;        /* HTTP/2: when a farewell for idleness was sent; 0: not */
    uint64_t completed, resets;
    uint32_t cheap_cost; /* of frames since a request finished */
    enum drain_stage drain_stage;
    size_t held_bytes; /* of all its bodies */
    /* HTTP/1 */
    h2o_req_t *http1_req; /* whose body is being read; NULL: none */
    size_t http1_held_bytes;
    enum refusal http1_refusal;
    struct streams *streams; /* HTTP/2 */
};

struct http_listener {
    enum http_listener_kind kind;
    bool is_unix;
    char *unix_path;
    char url[128];
    int *fds; /* one a loop; -1: not there */
};

/* One listener on one loop. */
struct accept_point {
    struct http_loop *loop;
    const struct http_listener *listener;
    h2o_socket_t *sock; /* NULL: closed */
    h2o_accept_ctx_t accept_ctx;
    bool is_paused;
};

/* A socket that is read for some time after our last byte, so that the client gets to see the
 * answer instead of a reset (RFC 9112 section 9.6). */
struct lingering {
    int fd;
    int64_t until_ms;
    uint64_t bytes;
};
#define LINGERS_MAX 256

struct retired_tls {
    struct retired_tls *next;
    SSL_CTX *context;
    int64_t free_at_ms;
};

struct http_loop {
    struct http_server *server;
    unsigned index;
    pthread_t thread;
    h2o_context_t ctx;
    _Atomic(struct http_message *) inbox; /* newest first */
    int wake_fd;
    h2o_socket_t *wake;
    struct accept_point *points;
    h2o_linklist_t connections;
    struct http_exchange *spares;
    unsigned spare_count;
    struct lingering lingers[LINGERS_MAX];
    size_t linger_count;
    struct retired_tls *retired;
    int64_t now_ms; /* of the last turn */
    int64_t next_tick_ms, next_scan_ms;
    int64_t drain_since_ms, drain_until_ms; /* 0: not draining */
    bool is_done;
    struct http_message drain_message;
    _Atomic uint32_t connection_count; /* with those that are on their way to this loop */
    uint32_t inflight;
    enum status start_status;
    /* Written by the loop, read by http_server_stats. */
    _Atomic uint64_t connections_ever, requests_ever, refused_connections, guard_closed,
        slow_closed, inflight_now;
};

#define ADDRESS_BUCKETS 16384

struct http_server {
    struct http_server_options options; /* pointers to listeners and files are cleared */
    struct http_listener *listeners;
    size_t listener_count;
    struct http_loop *loops;
    unsigned thread_count;
    h2o_globalconf_t config;
    pthread_mutex_t tls_lock; /* of `tls` among callers of reload */
    SSL_CTX *tls;
    pthread_barrier_t gate;
    bool is_refused; /* between the gate's two rounds: the loops shall not serve */
    _Atomic uint32_t drain_ms;
    _Atomic uint64_t connections_now, inflight_bytes;
    size_t connection_held_bytes_max;
    uint32_t address_connections_max;
    uint64_t address_seed[2];
    _Atomic uint32_t address_connections[ADDRESS_BUCKETS]; /* by hash; collisions add up */
    struct http_server *next_stopped;
};

static inline void count_one(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed); /* one writer */
}

static inline h2o_conn_t *h2o_connection_of(const struct connection *connection)
{
    return connection->sock->data;
}
/* The connection behind a socket; NULL for sockets that are not clients'. */
struct connection *connection_of_socket(const h2o_socket_t *sock);
static inline struct connection *connection_of_req(const h2o_req_t *req)
{
    return connection_of_socket(req->conn->callbacks->get_socket(req->conn));
}

/* http_connection.c */
/* A connection of this loop, or on its way to it, is counted in connection_count and in the
 * server's connections_now. */
static inline void connection_count_out(struct http_loop *loop)
{
    atomic_fetch_sub(&loop->connection_count, 1);
    atomic_fetch_sub(&loop->server->connections_now, 1);
}
/* It is counted already; its end counts it out. NULL: no memory. */
struct connection *connection_new(struct http_loop *loop, const struct http_listener *listener,
                                  h2o_socket_t *sock);
/* Close hard, soon: h2o sees an end of input and goes its own way. Never frees at once. */
void connection_shut(struct connection *connection);
/* The guard has seen enough: counted, closed. */
void connection_condemn(struct connection *connection);
/* May `bytes` more of bodies be held? Counts them if so. */
bool connection_hold(struct connection *connection, size_t bytes);
void connection_release(struct connection *connection, size_t bytes);
/* Would a body of that length fit now? Counts nothing: what a client only announces is free. */
bool connection_could_hold(const struct connection *connection, size_t bytes);
/* The loop's periodic look for those that stand still. */
void connections_scan(struct http_loop *loop, int64_t now_ms);
/* About to be closed by h2o: keep the descriptor for a while if the client may still be sending. */
void connection_linger(struct connection *connection);
void lingers_tick(struct http_loop *loop, int64_t now_ms);

/* http_exchange.c */
int http_on_request(h2o_handler_t *handler, h2o_req_t *req);
void streams_forget(struct streams *streams, const struct request *request);
struct request *request_new(struct connection *connection, h2o_req_t *req);
/* A problem document made here, for what the handler does not get to see. */
void request_send_problem(h2o_req_t *req, int status, const char *detail);
const char *status_reason(int status);

/* http_listener.c */
#define LISTEN_BACKLOG 4096
enum status listener_open(struct http_listener *listener, const struct http_listen *listen,
                          unsigned threads, struct err *err);
void listener_fini(struct http_listener *listener, unsigned threads);

/* http_accept.c */
void accept_point_start(struct accept_point *point);
/* Accept what is waiting, then close: a closed SO_REUSEPORT socket resets what it had queued. */
void accept_point_stop(struct accept_point *point);
void accept_point_resume(struct accept_point *point);
void address_load_drop(struct http_server *server, const struct address *address);

/* http_loop.c */
void *http_loop_run(void *loop);
void http_loop_swap_tls(struct http_loop *loop, SSL_CTX *context);

/* http_drain.c */
void http_drain_start(struct http_loop *loop);
void http_drain_tick(struct http_loop *loop, int64_t now_ms);
/* The client is told, HTTP/2: no more than has been taken, then the connection ends by itself. */
void http2_last_goaway(struct connection *connection);

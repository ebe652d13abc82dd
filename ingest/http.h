/*
 * http: the narrow waist between HTTP and everything else: a request in, an answer out, the client
 * gone. Behind it stands h2o today (ingest/http_*.c, ingest/h2o_guard*.c); another library would
 * replace those and nothing else.
 *
 * Loops: one thread each, every listener on each loop (SO_REUSEPORT), the admin listener on loop 0
 * alone. A handler runs on the loop of its connection, never blocks, and answers now or later, on
 * the same loop, exactly once per exchange. To come back to a loop from another thread:
 * http_loop_post.
 *
 * If the client goes away before the answer, the exchange lives on: http_answer is then a no-op
 * that frees it. Work that was begun is never undone. Over HTTP/1 a client that leaves while it
 * waits is noticed only when the answer is written.
 *
 * Answered below the handler, as problem documents (/problems/invalid-request): what is not HTTP
 * (400), an unknown expectation (417), a request head over 32 KB or 100 fields (431).
 */
#pragma once

#include "base/address.h"
#include "base/err.h"

struct http_server;
struct http_loop;
struct http_exchange;

enum http_listener_kind { HTTP_TLS, HTTP_CLEARTEXT, HTTP_ADMIN };

/* All views live until the handler returns; copy what is needed longer. */
struct http_request {
    enum http_listener_kind listener;
    struct bytes method;
    struct bytes path;  /* as sent, percent escapes and all, without the query */
    struct bytes query; /* without '?'; empty: none */
    struct bytes body;
    bool is_too_large;   /* the body is over the limit and was not kept: answer 413 */
    bool is_over_budget; /* too many bytes in flight, the body was not kept: answer 503 */
    bool is_http2;
    struct address peer; /* 127.0.0.1 for a client of a Unix socket */
    uint16_t peer_port;
    const void *impl;
};

/* Value of a header by its lower-case name; the first one, {NULL,0} if absent. Only fields that
 * came before the body (no trailers). "host" answers the authority. */
struct bytes http_header_of(const struct http_request *request, struct bytes lower_name);
static inline struct bytes http_header(const struct http_request *request, const char *lower_name)
{
    return http_header_of(request, bytes_of_str(lower_name));
}

struct http_field {
    const char *name;   /* lower case; lives as long as the program */
    struct bytes value; /* a field whose value has CR, LF or NUL is left out */
};
struct http_answer {
    int status;
    const struct http_field *fields;
    size_t field_count;
    struct bytes body; /* it and the fields' values are copied; content-length is added */
};
/* Send the answer and free the exchange. On the exchange's loop. A HEAD request's body is dropped.
 */
void http_answer(struct http_exchange *exchange, const struct http_answer *answer);
struct http_loop *http_exchange_loop(const struct http_exchange *exchange);
/* The client went away (as far as is known). Any time on the loop. */
bool http_exchange_is_gone(const struct http_exchange *exchange);
/* Called once if the client goes away before the answer; then http_answer must still be called
 * (from there or later). For waiting requests that hold no work. */
void http_exchange_on_gone(struct http_exchange *exchange, void (*gone)(void *context),
                           void *context);

/* Run `run(message)` on the loop's thread, in the order of posting. Any thread. The message is the
 * caller's again when `run` was called. After http_server_stop messages are not run any more. */
struct http_message {
    struct http_message *next; /* private */
    void (*run)(struct http_message *message);
};
void http_loop_post(struct http_loop *loop, struct http_message *message);
unsigned http_loop_index(const struct http_loop *loop); /* 0 … threads-1 */

struct http_listen {
    enum http_listener_kind kind;
    const char *address; /* "127.0.0.1:0", or for admin also a Unix socket's path */
};

struct http_server_options {
    const struct http_listen *listeners;
    size_t listener_count;
    unsigned threads;               /* at least 1 */
    const char *tls_cert, *tls_key; /* PEM files; needed with a TLS listener */
    size_t body_bytes_max;
    size_t inflight_bytes_max;  /* bodies held, all connections; 0: 256 MiB. One connection: 1/8 */
    size_t connections_max;     /* 0: from RLIMIT_NOFILE. One address of a TLS listener: 1/4 */
    uint32_t header_timeout_ms; /* 0: 10 s: TLS handshake, and a request's head once begun */
    uint32_t progress_timeout_ms; /* 0: 60 s: no request finished and none of ours being answered */
    void *context;
    void (*handle)(void *context, struct http_exchange *exchange,
                   const struct http_request *request);
    /* On each loop's thread: before it serves, and about every 100 ms. NULL allowed. */
    void (*loop_start)(void *context, struct http_loop *loop);
    void (*loop_tick)(void *context, struct http_loop *loop);
};

/* Binds, runs the guard's self-check and starts the loops. Ignores SIGPIPE. STATUS_INVALID
 * (address, certificate), STATUS_BUSY (address in use), STATUS_IO, STATUS_DENIED (no permission, or
 * the guard is not in effect); `err` says which listener or file. */
MUST_CHECK enum status http_server_start(const struct http_server_options *options,
                                         struct http_server **ret_server, struct err *err);
/* What listener i is really bound to: "https://127.0.0.1:40123", "http://…", "unix:/path". */
const char *http_server_url(const struct http_server *server, size_t listener);
/* New certificate for new connections; on any failure the old one stays. */
MUST_CHECK enum status http_server_reload_tls(struct http_server *server, const char *cert,
                                              const char *key, struct err *err);
/* Graceful end: stop listening, GOAWAY, let requests in flight be answered, at most `drain_ms`;
 * then end the loops' threads. The server's memory stays (statistics, late http_loop_post), and so
 * does that of answers still owed. */
void http_server_stop(struct http_server *server, uint32_t drain_ms);

struct http_server_stats {
    uint64_t connections_now, connections_ever, requests_ever;
    uint64_t refused_connections, guard_closed, slow_closed;
    uint64_t inflight_requests, inflight_bytes;
};
void http_server_stats(const struct http_server *server, struct http_server_stats *ret_stats);

/* Make a self-signed P-256 certificate and key for localhost, the host's name and loopback
 * addresses, valid for ten years; files by rename, the key with mode 0600. Their folder is made if
 * it is missing. */
MUST_CHECK enum status tls_make_self_signed(const char *cert_path, const char *key_path,
                                            struct err *err);

/*
 * The end of a loop, in order: accept what waits in the listeners' queues and close them; answer
 * what is in flight and tell clients to go; close those that do not; stop.
 *
 * HTTP/2: GOAWAY with the highest stream id at once ("make no new requests here"), and the one that
 * names the last stream taken when the connection has none open, at least LAST_GOAWAY_MS later so
 * that what was under way has arrived. h2o's own graceful shutdown would send that second one after
 * a second in any case, and drop every upload that is not complete by then; ours waits for uploads
 * until shortly before the deadline, and then refuses them (REFUSED_STREAM: safe to send again).
 * HTTP/1: answers say "connection: close"; those that are silent are closed after IDLE_GRACE_MS,
 * which leaves time for the request that was on its way when the client could not know yet.
 */
#include "ingest/http_private.h"

#define LAST_GOAWAY_MS 1000
#define IDLE_GRACE_MS 1000
#define AFTER_DEADLINE_MS 500

static h2o_http2_conn_t *http2_of(const struct connection *connection)
{
    if (!connection->is_http2 || connection->is_closing)
        return NULL;
    return (h2o_http2_conn_t *)h2o_connection_of(connection);
}

void http2_last_goaway(struct connection *connection)
{
    h2o_http2_conn_t *conn = http2_of(connection);
    if (conn == NULL || conn->state != H2O_HTTP2_CONN_STATE_OPEN)
        return;
    h2o_http2_encode_goaway_frame(&conn->_write.buf, conn->pull_stream_ids.max_open, 0,
                                  (h2o_iovec_t){NULL, 0});
    h2o_http2_conn_request_write(conn);
    conn->state = H2O_HTTP2_CONN_STATE_HALF_CLOSED;
}

static void http2_announce(struct connection *connection)
{
    h2o_http2_conn_t *conn = http2_of(connection);
    if (conn == NULL || conn->state != H2O_HTTP2_CONN_STATE_OPEN)
        return;
    h2o_http2_encode_goaway_frame(&conn->_write.buf, INT32_MAX, 0,
                                  h2o_iovec_init(H2O_STRLIT("shutting down")));
    h2o_http2_conn_request_write(conn);
}

/* Uploads that are not complete: tell the client that nothing was taken. */
static void http2_refuse_uploads(struct connection *connection)
{
    h2o_http2_conn_t *conn = http2_of(connection);
    struct streams *streams = connection->streams;
    for (uint32_t i = streams->count; i-- > 0;) {
        h2o_http2_stream_t *stream =
            H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, streams->requests[i]->req);
        if (stream->state > H2O_HTTP2_STREAM_STATE_RECV_BODY)
            continue;
        h2o_http2__encode_rst_stream_frame(&conn->_write.buf, stream->stream_id,
                                           -H2O_HTTP2_ERROR_REFUSED_STREAM);
        h2o_http2_conn_request_write(conn);
        h2o_http2_stream_close(conn, stream); /* takes it out of `streams` */
    }
}

/* h2o closes right after the write that holds the last GOAWAY, sent or not: nothing else may be in
 * it. */
static bool http2_is_busy(const struct connection *connection)
{
    return (connection->streams != NULL && connection->streams->count != 0) ||
           http2_of(connection)->_write.buf_in_flight != NULL ||
           h2o_socket_is_writing(connection->sock);
}

static void drain_http2(struct connection *connection, int64_t now_ms)
{
    const struct http_loop *loop = connection->loop;
    int64_t span_ms = loop->drain_until_ms - loop->drain_since_ms;
    bool is_late = now_ms >= loop->drain_until_ms - (span_ms < 4000 ? span_ms / 4 : SECOND_MS);

    if (connection->drain_stage == DRAIN_NOT) {
        connection->drain_stage = DRAIN_ANNOUNCED;
        http2_announce(connection);
    }
    if (connection->drain_stage == DRAIN_LAST || http2_of(connection) == NULL)
        return;
    if (!is_late && (now_ms - loop->drain_since_ms < LAST_GOAWAY_MS || http2_is_busy(connection)))
        return;
    connection->drain_stage = DRAIN_LAST;
    if (connection->streams != NULL)
        http2_refuse_uploads(connection);
    http2_last_goaway(connection);
}

static void drain_http1(struct connection *connection, int64_t now_ms)
{
    if (connection->exchanges == 0 && connection->http1_req == NULL &&
        !h2o_socket_is_writing(connection->sock) &&
        now_ms - connection->loop->drain_since_ms >= IDLE_GRACE_MS)
        connection_shut(connection);
}

void http_drain_start(struct http_loop *loop)
{
    loop->drain_since_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    loop->drain_until_ms = loop->drain_since_ms + atomic_load(&loop->server->drain_ms);
    for (size_t i = 0; i < loop->server->listener_count; i++)
        accept_point_stop(&loop->points[i]);
    loop->ctx.shutdown_requested = 1; /* HTTP/1: no keep-alive from here on */
    loop->next_tick_ms = 0;
}

void http_drain_tick(struct http_loop *loop, int64_t now_ms)
{
    bool is_over = now_ms >= loop->drain_until_ms;
    h2o_linklist_t *next;
    for (h2o_linklist_t *node = loop->connections.next; node != &loop->connections; node = next) {
        struct connection *connection = H2O_STRUCT_FROM_MEMBER(struct connection, link, node);
        next = node->next;
        if (is_over)
            connection_shut(connection);
        else if (connection->is_http2)
            drain_http2(connection, now_ms);
        else
            drain_http1(connection, now_ms);
    }
    if (loop->connection_count == 0 && loop->linger_count == 0 && (loop->inflight == 0 || is_over))
        loop->is_done = true;
    if (now_ms >= loop->drain_until_ms + AFTER_DEADLINE_MS)
        loop->is_done = true;
}

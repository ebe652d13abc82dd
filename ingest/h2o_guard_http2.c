/*
 * HTTP/2: what a frame may do to a connection, decided before h2o acts on it.
 *
 * Cost. Each frame that brings no request forward costs something, and a finished request pays all
 * debts. Whoever owes more than CHEAP_COST_MAX gets ENHANCE_YOUR_CALM. The limit is far above what
 * honest clients do and is reached within a fraction of a second by any flood.
 *
 * Bodies that nobody wants (over the limit, over the budget). The stream's input ends there for
 * h2o, so the handler is called and the client sees 413 or 503; DATA that still arrives is thrown
 * away here, only counted for the connection's window; when the answer is out, RST_STREAM(NO_ERROR)
 * tells the client to stop (RFC 9113 section 8.1). Left to itself h2o would send REFUSED_STREAM,
 * which means "safe to send again".
 *
 * PRIORITY is deprecated (RFC 9113 section 5.3): its form is checked and it is dropped here, so
 * h2o's scheduler never has a tree to get wrong.
 */
#include "ingest/h2o_guard_private.h"

#define CHEAP_COST_MAX 100000
#define SMALL_DATA_BYTES 32
#define RESETS_FREE 200
#define CONTINUATIONS_MAX 64
#define HEAD_BLOCK_BYTES_MAX 65536
#define HEAD_BLOCK_FIELDS_MAX 256
#define OUTPUT_BYTES ((size_t)24 * 1024)
#define THROWN_BYTES_FREE (UINT64_C(64) << 20)
#define THROWN_BYTES_PER_STREAM (UINT64_C(16) << 20) /* the window h2o gives each */

enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
};

/* --- streams --- */

static struct request *stream_find(const struct streams *streams, uint32_t id)
{
    for (uint32_t i = streams->count; i-- > 0;) /* the newest is the likeliest */
        if (streams->ids[i] == id)
            return streams->requests[i];
    return NULL;
}

static bool stream_is_cut(const struct streams *streams, uint32_t id)
{
    for (uint32_t i = 0; i < STREAMS_MAX; i++)
        if (streams->cut_ids[i] == id)
            return true;
    return false;
}

static h2o_http2_stream_t *stream_of(struct request *request)
{
    return H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, request->req);
}

static void stream_cut(struct streams *streams, struct request *request)
{
    request->is_cut = true;
    streams->cut_ids[streams->cut_next++ % STREAMS_MAX] = request->stream_id;
    streams->thrown_allowance += THROWN_BYTES_PER_STREAM;
}

void h2o_http2_accept(h2o_accept_ctx_t *ctx, h2o_socket_t *sock, struct timeval connected_at)
{
    struct connection *connection = connection_of_socket(sock);
    struct connection *before = guard_current;
    connection->is_http2 = true;
    connection->streams = h2o_mem_alloc(sizeof *connection->streams);
    memset(connection->streams, 0, sizeof *connection->streams);
    connection->streams->thrown_allowance = THROWN_BYTES_FREE;
    guard_current = connection; /* the preface may have come with more */
    GUARD_REAL(h2o_http2_accept)(ctx, sock, connected_at);
    guard_current = before;
}

/* --- header blocks --- */

/* An HPACK integer (RFC 7541 section 5.1) at *at; false: it does not end in time. */
static bool hpack_int(const uint8_t **at, const uint8_t *end, unsigned prefix_bits, uint32_t *ret)
{
    uint32_t mask = (1u << prefix_bits) - 1;
    uint32_t value = *(*at)++ & mask;
    if (value == mask) {
        uint8_t byte;
        unsigned shift = 0;
        do {
            if (*at == end || shift > 21)
                return false;
            byte = *(*at)++;
            value += (uint32_t)(byte & 127) << shift;
            shift += 7;
        } while (byte & 128);
    }
    *ret = value;
    return true;
}

static bool hpack_skip_string(const uint8_t **at, const uint8_t *end)
{
    uint32_t len;
    if (*at == end || !hpack_int(at, end, 7, &len) || len > (size_t)(end - *at))
        return false;
    *at += len;
    return true;
}

/* False: the block is malformed from here on; h2o will find the same. */
static bool hpack_skip_field(const uint8_t **at, const uint8_t *end)
{
    uint32_t index;
    uint8_t first = **at;
    if (first & 0x80)
        return hpack_int(at, end, 7, &index);
    if ((first & 0xe0) == 0x20)
        return hpack_int(at, end, 5, &index); /* table size; counted as a field */
    if (!hpack_int(at, end, first & 0x40 ? 6 : 4, &index))
        return false;
    return (index != 0 || hpack_skip_string(at, end)) && hpack_skip_string(at, end);
}

/* h2o would first make a list of whatever a small block expands to. */
static bool header_block_is_bomb(const uint8_t *src, size_t len)
{
    const uint8_t *end = src + len;
    if (len > HEAD_BLOCK_BYTES_MAX)
        return true;
    for (unsigned fields = 0; src != end; fields++) {
        if (fields == HEAD_BLOCK_FIELDS_MAX)
            return true;
        if (!hpack_skip_field(&src, end))
            return false;
    }
    return false;
}

static bool head_is_too_large(const h2o_req_t *req)
{
    size_t bytes = req->input.path.len + req->input.authority.len + req->input.method.len;
    for (size_t i = 0; i < req->headers.size; i++)
        bytes += req->headers.entries[i].name->len + req->headers.entries[i].value.len + 32;
    return req->headers.size > HEAD_FIELDS_MAX || bytes > HEAD_BYTES_MAX;
}

/* h2o takes any bytes for :method and :path. */
static bool target_is_acceptable(const h2o_req_t *req)
{
    const h2o_iovec_t *path = &req->input.path, *method = &req->input.method;
    return is_visible_ascii(path->base, path->len) &&
           (path->base[0] == '/' || h2o_memis(path->base, path->len, "*", 1)) &&
           is_visible_ascii(method->base, method->len);
}

static enum refusal refusal_of(const struct connection *connection, h2o_req_t *req,
                               size_t content_length)
{
    if (req->input.path.base == NULL || req->input.method.base == NULL)
        return REFUSAL_NONE; /* h2o resets the stream */
    if (head_is_too_large(req))
        return REFUSAL_HEAD_TOO_LARGE;
    if (!target_is_acceptable(req)) {
        req->input.path = h2o_iovec_init(H2O_STRLIT("/"));
        return REFUSAL_BAD_REQUEST;
    }
    if (content_length == SIZE_MAX)
        return REFUSAL_NONE;
    if (content_length > connection->loop->server->options.body_bytes_max)
        return REFUSAL_TOO_LARGE;
    return connection_could_hold(connection, content_length) ? REFUSAL_NONE : REFUSAL_OVER_BUDGET;
}

static bool waits_for_continue(const h2o_req_t *req)
{
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        if (h2o_memis(header->name->base, header->name->len, H2O_STRLIT("expect")) &&
            h2o_lcstris(header->value.base, header->value.len, H2O_STRLIT("100-continue")))
            return true;
    }
    return false;
}

/* The head of a request has arrived: from here on it is ours to account for. */
static void request_begin(struct connection *connection, h2o_req_t *req, bool has_invalid_chars,
                          size_t *content_length)
{
    struct streams *streams = connection->streams;
    h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, req);
    struct request *request = request_new(connection, req);

    request->stream_id = stream->stream_id;
    streams->ids[streams->count] = stream->stream_id;
    streams->requests[streams->count++] = request;
    request->refusal =
        has_invalid_chars ? REFUSAL_BAD_REQUEST : refusal_of(connection, req, *content_length);
    if (stream->_req_body == NULL) /* END_STREAM was set */
        return;
    if (request->refusal == REFUSAL_NONE) {
        if (waits_for_continue(req))
            guard_http2_continue(H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, super, req->conn),
                                 stream->stream_id);
        return;
    }
    h2o_buffer_dispose(&stream->_req_body); /* as if END_STREAM had been set: run it now */
    *content_length = SIZE_MAX;
    stream_cut(streams, request);
}

int h2o_hpack_parse_headers(h2o_req_t *req, h2o_hpack_header_table_t *table, const uint8_t *src,
                            size_t len, int *pseudo_headers, size_t *content_length,
                            h2o_cache_digests_t **digests, const char **err_desc)
{
    struct connection *connection = connection_of_req(req);
    (void)digests; /* cache-digest was never finished; h2o would decode it */
    if (header_block_is_bomb(src, len) || connection->streams->count == STREAMS_MAX)
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    size_t fields_before = req->headers.size;
    int ret = GUARD_REAL(h2o_hpack_parse_headers)(req, table, src, len, pseudo_headers,
                                                  content_length, NULL, err_desc);
    if (pseudo_headers == NULL)
        req->headers.size = fields_before; /* trailers are no headers */
    else if (ret == 0 || ret == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR)
        request_begin(connection, req, ret != 0, content_length);
    return ret;
}

/* --- frames --- */

/* An acknowledgement of SETTINGS has no effect at all. */
static void frame_drop(h2o_http2_frame_t *frame)
{
    frame->type = FRAME_SETTINGS;
    frame->flags = H2O_HTTP2_FRAME_FLAG_ACK;
    frame->stream_id = 0;
    frame->length = 0;
}

static void window_consume(h2o_http2_conn_t *conn, size_t bytes)
{
    ssize_t full = H2O_HTTP2_SETTINGS_HOST.initial_window_size;
    conn->_input_window._avail -= (ssize_t)bytes;
    if (conn->_input_window._avail * 2 >= full || conn->state >= H2O_HTTP2_CONN_STATE_IS_CLOSING)
        return;
    h2o_http2_encode_window_update_frame(&conn->_write.buf, 0,
                                         (int32_t)(full - conn->_input_window._avail));
    conn->_input_window._avail = full;
    h2o_http2_conn_request_write(conn);
}

static int data_throw_away(struct connection *connection, h2o_http2_conn_t *conn,
                           h2o_http2_frame_t *frame)
{
    struct streams *streams = connection->streams;
    streams->thrown_bytes += frame->length;
    if (streams->thrown_bytes > streams->thrown_allowance)
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    window_consume(conn, frame->length);
    frame_drop(frame);
    return 0;
}

static size_t data_payload_len(const h2o_http2_frame_t *frame)
{
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_PADDED) == 0)
        return frame->length;
    if (frame->length == 0 || frame->length < 1u + frame->payload[0])
        return 0; /* h2o refuses it */
    return frame->length - 1 - frame->payload[0];
}

/* h2o sees the end of the stream's input in place of this frame. */
static void data_cut(struct connection *connection, h2o_http2_conn_t *conn, struct request *request,
                     h2o_http2_frame_t *frame, enum refusal why)
{
    h2o_http2_stream_t *stream = stream_of(request);
    request->refusal = why;
    stream->_expected_content_length = SIZE_MAX;
    /* Now, not when it is answered: or the bodies beside it, of which a client sends a piece each
     * in turn, would all be refused for what this one holds. */
    h2o_buffer_dispose(&stream->_req_body);
    h2o_buffer_init(&stream->_req_body, &h2o_socket_buffer_prototype);
    connection_release(connection, request->held_bytes);
    request->held_bytes = 0;
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) == 0)
        stream_cut(connection->streams, request);
    window_consume(conn, frame->length);
    frame->flags = H2O_HTTP2_FRAME_FLAG_END_STREAM;
    frame->length = 0;
}

static int on_data(struct connection *connection, h2o_http2_conn_t *conn, h2o_http2_frame_t *frame)
{
    if (frame->stream_id == 0)
        return H2O_HTTP2_ERROR_PROTOCOL;
    struct request *request = stream_find(connection->streams, frame->stream_id);
    if (request == NULL || request->is_cut) {
        if (stream_is_cut(connection->streams, frame->stream_id))
            return data_throw_away(connection, conn, frame);
        connection->cheap_cost += 10; /* each is answered with RST_STREAM */
        return 0;
    }
    h2o_http2_stream_t *stream = stream_of(request);
    if (stream->state != H2O_HTTP2_STREAM_STATE_RECV_BODY)
        return 0;
    size_t len = data_payload_len(frame);
    if (len < SMALL_DATA_BYTES && (frame->flags & H2O_HTTP2_FRAME_FLAG_END_STREAM) == 0)
        connection->cheap_cost++;
    if (stream->_req_body->size + len > connection->loop->server->options.body_bytes_max) {
        data_cut(connection, conn, request, frame, REFUSAL_TOO_LARGE);
    } else if (!connection_hold(connection, len)) {
        data_cut(connection, conn, request, frame, REFUSAL_OVER_BUDGET);
    } else {
        request->held_bytes += len;
    }
    return 0;
}

static void on_headers(struct connection *connection, h2o_http2_frame_t *frame)
{
    size_t at = (frame->flags & H2O_HTTP2_FRAME_FLAG_PADDED) != 0;
    connection->streams->head_stream_id = frame->stream_id;
    connection->streams->continuations = 0;
    if ((frame->flags & H2O_HTTP2_FRAME_FLAG_PRIORITY) != 0 && frame->length >= at + 5)
        memcpy((uint8_t *)frame->payload + at, "\0\0\0\0\x0f", 5); /* no parent, usual weight */
}

static int on_priority(h2o_http2_frame_t *frame)
{
    if (frame->stream_id == 0)
        return H2O_HTTP2_ERROR_PROTOCOL;
    if (frame->length != 5)
        return H2O_HTTP2_ERROR_FRAME_SIZE;
    frame_drop(frame);
    return 0;
}

static int on_continuation(struct connection *connection, h2o_http2_conn_t *conn,
                           const h2o_http2_frame_t *frame)
{
    struct streams *streams = connection->streams;
    if (conn->_headers_unparsed == NULL)
        return 0; /* h2o refuses it */
    /* After our GOAWAY h2o would look at this frame for ever without taking it. */
    if (conn->state >= H2O_HTTP2_CONN_STATE_HALF_CLOSED ||
        frame->stream_id != streams->head_stream_id)
        return H2O_HTTP2_ERROR_PROTOCOL;
    if (++streams->continuations > CONTINUATIONS_MAX ||
        conn->_headers_unparsed->size + frame->length > HEAD_BLOCK_BYTES_MAX)
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    return 0;
}

/* A stream whose last byte is in our buffers needs no window, and h2o asserts that it gets none. */
static void on_window_update(struct connection *connection, const h2o_http2_conn_t *conn,
                             h2o_http2_frame_t *frame)
{
    if (frame->stream_id != 0 && frame->length == 4 &&
        frame->stream_id <= conn->pull_stream_ids.max_open &&
        stream_find(connection->streams, frame->stream_id) == NULL)
        frame_drop(frame);
}

static int on_frame(struct connection *connection, h2o_http2_conn_t *conn, h2o_http2_frame_t *frame)
{
    static const uint8_t COSTS[] = {0, 0, 1, 1, 10, 1, 2, 1, 1, 1};
    if (connection->is_condemned)
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    connection->has_spoken = true; /* the preface is complete */
    connection->cheap_cost += frame->type < sizeof COSTS ? COSTS[frame->type] : 1;
    if (connection->cheap_cost > CHEAP_COST_MAX) {
        count_one(&connection->loop->guard_closed);
        return H2O_HTTP2_ERROR_ENHANCE_YOUR_CALM;
    }
    if (frame->type == FRAME_CONTINUATION)
        return on_continuation(connection, conn, frame);
    if (conn->_headers_unparsed != NULL)
        return 0; /* only CONTINUATION may follow; h2o refuses anything else */
    switch (frame->type) {
    case FRAME_DATA:
        return on_data(connection, conn, frame);
    case FRAME_HEADERS:
        on_headers(connection, frame);
        return 0;
    case FRAME_WINDOW_UPDATE:
        on_window_update(connection, conn, frame);
        return 0;
    case FRAME_PRIORITY:
        return on_priority(frame);
    case FRAME_RST_STREAM:
    case FRAME_SETTINGS:
    case FRAME_PUSH_PROMISE:
    case FRAME_PING:
    case FRAME_GOAWAY:
        return 0;
    default: /* types that h2o would write about to standard error */
        frame_drop(frame);
        return 0;
    }
}

/* h2o begins each write with a buffer of 80 KB: a thousand clients that wait for a small answer had
 * one each. The size stands in a prototype of each thread's, to which every buffer leads: an empty
 * one is a part of it. What has to be larger still grows. */
static void output_limit(const h2o_http2_conn_t *conn)
{
    h2o_buffer_t *buffer = conn->_write.buf;
    h2o_buffer_prototype_t *prototype =
        buffer->_prototype != NULL
            ? buffer->_prototype
            : H2O_STRUCT_FROM_MEMBER(h2o_buffer_prototype_t, _initial_buf, buffer);
    prototype->_initial_buf.capacity = OUTPUT_BYTES;
}

ssize_t h2o_http2_decode_frame(h2o_http2_frame_t *frame, const uint8_t *src, size_t len,
                               const h2o_http2_settings_t *host_settings, const char **err_desc)
{
    ssize_t ret = GUARD_REAL(h2o_http2_decode_frame)(frame, src, len, host_settings, err_desc);
    if (ret < 0)
        return ret;
    struct connection *connection = guard_current;
    if (connection == NULL || connection->streams == NULL)
        return H2O_HTTP2_ERROR_INTERNAL; /* read by a way that is not guarded */
    h2o_http2_conn_t *conn = (h2o_http2_conn_t *)h2o_connection_of(connection);
    output_limit(conn);
    int error = on_frame(connection, conn, frame);
    return error != 0 ? error : ret;
}

/* --- the ends of streams --- */

/* Later changes of this window then fail in h2o, harmlessly, where it would otherwise assert that
 * the stream is not queued any more. */
static void window_seal(h2o_http2_stream_t *stream)
{
    stream->output_window._avail = (ssize_t)1 << 40;
}

void h2o_http2_stream_send_pending_data(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    GUARD_REAL(h2o_http2_stream_send_pending_data)(conn, stream);
    if (stream->state != H2O_HTTP2_STREAM_STATE_END_STREAM)
        return;
    window_seal(stream);
    streams_forget(connection_of_socket(conn->sock)->streams,
                   (struct request *)stream->req.overrides);
}

void h2o_http2_stream_proceed(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    struct request *request = (struct request *)stream->req.overrides;
    if (request != NULL && request->is_cut && stream->state == H2O_HTTP2_STREAM_STATE_END_STREAM) {
        h2o_http2__encode_rst_stream_frame(&conn->_write.buf, stream->stream_id, 0 /* NO_ERROR */);
        h2o_http2_conn_request_write(conn);
    }
    GUARD_REAL(h2o_http2_stream_proceed)(conn, stream);
}

void h2o_http2_stream_reset(h2o_http2_conn_t *conn, h2o_http2_stream_t *stream)
{
    struct connection *connection = connection_of_socket(conn->sock);
    struct request *request = (struct request *)stream->req.overrides;
    if (request != NULL)
        request->is_reset = true;
    streams_forget(connection->streams, request);
    if (h2o_linklist_is_linked(&stream->_refs.link))
        window_seal(stream);
    GUARD_REAL(h2o_http2_stream_reset)(conn, stream);
    if (++connection->resets > RESETS_FREE + connection->completed)
        connection_condemn(connection);
}

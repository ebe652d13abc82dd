/* HTTP/2 by nghttp2, prior knowledge or ALPN; many streams on a connection. */
#include "load.h"

#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#define OUT_CHUNK 65536

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    (void)context;
    struct stream *stream = source->ptr;
    size_t left = stream->body_len - stream->body_at;
    size_t len = left < length ? left : length;
    memcpy(out, stream->body + stream->body_at, len);
    stream->body_at += len;
    if (stream->body_at == stream->body_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

static nghttp2_nv header(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value),
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static void submit(struct stream *stream)
{
    nghttp2_nv headers[6] = {
        header(":method", options.is_post ? "POST" : "GET"),
        header(":scheme", options.is_tls ? "https" : "http"),
        header(":authority", "localhost"),
        header(":path", options.path),
    };
    size_t count = 4;
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_body};
    if (options.is_post)
        headers[count++] = header("content-type", options.content_type);
    if (options.key)
        headers[count++] = header("x-api-key", options.key);
    stream->body_at = 0;
    if (nghttp2_submit_request(stream->connection->session, NULL, headers, count,
                               options.is_post ? &provider : NULL, stream) < 0)
        die("nghttp2_submit_request");
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    (void)flags;
    (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream && name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3)
        stream->status = atoi((const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *context)
{
    (void)flags;
    (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream)
        complain(stream->status, (const char *)data, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream)
        finished(stream, error == 0 && stream->status == 200);
    return 0;
}

static void start(struct connection *connection)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_option *option;
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1); /* what is measured are the servers */
    nghttp2_session_client_new2(&session, callbacks, connection, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    connection->session = session;
}

static void gather(struct connection *connection)
{
    while (connection->out_len < OUT_CHUNK) {
        const uint8_t *data;
        ssize_t len = nghttp2_session_mem_send(connection->session, &data);
        if (len <= 0)
            break;
        out_append(connection, data, (size_t)len);
    }
}

static bool receive(struct connection *connection, const uint8_t *data, size_t len)
{
    return nghttp2_session_mem_recv(connection->session, data, len) >= 0;
}

const struct protocol PROTOCOL_H2 = {
    .start = start, .submit = submit, .gather = gather, .receive = receive};

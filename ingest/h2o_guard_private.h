/*
 * h2o_guard_private: the table of overrides, shared by the files that define them.
 */
#pragma once

#include "ingest/h2o_guard.h"
#include "ingest/http_private.h"

/* Every override: X(name of the function in libh2o). */
#define GUARD_OVERRIDES(X)                                                                         \
    X(h2o_socket_read_start)                                                                       \
    X(h2o_socket_close)                                                                            \
    X(h2o_send_error_generic)                                                                      \
    X(phr_parse_request)                                                                           \
    X(phr_decode_chunked)                                                                          \
    X(h2o_http2_accept)                                                                            \
    X(h2o_http2_handle_upgrade)                                                                    \
    X(h2o_http2_decode_frame)                                                                      \
    X(h2o_hpack_parse_headers)                                                                     \
    X(h2o_hpack_flatten_response)                                                                  \
    X(h2o_http2_stream_send_pending_data)                                                          \
    X(h2o_http2_stream_proceed)                                                                    \
    X(h2o_http2_stream_reset)

enum guard_override {
#define X(name) GUARD_##name,
    GUARD_OVERRIDES(X)
#undef X
        GUARD_COUNT
};

extern void *guard_real[GUARD_COUNT];
extern _Atomic bool guard_was_called[GUARD_COUNT];

static inline void guard_mark(enum guard_override which)
{
    /* Read first: the line then stays shared between the loops' caches. */
    if (!atomic_load_explicit(&guard_was_called[which], memory_order_relaxed))
        atomic_store_explicit(&guard_was_called[which], true, memory_order_relaxed);
}

/* The real function, with the type of the override; marks the override as called. */
#define GUARD_REAL(name) (guard_mark(GUARD_##name), (__typeof__(&(name)))guard_real[GUARD_##name])

/* The connection whose input is being read now; h2o's frame decoder is not told. */
extern __thread struct connection *guard_current;

/* Of a method or a target; an empty one is none. */
static inline bool is_visible_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)text[i] <= ' ' || (uint8_t)text[i] >= 127)
            return false;
    return len != 0;
}

/* Of picohttpparser, inside libh2o; its header is not installed. */
struct phr_header {
    const char *name; /* NULL: the line goes on with the value before it (obs-fold) */
    size_t name_len;
    const char *value;
    size_t value_len;
};
struct phr_chunked_decoder {
    size_t bytes_left_in_chunk;
    char consume_trailer;
    char _hex_count;
    char _state;
};
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len,
                      const char **path, size_t *path_len, int *minor_version,
                      struct phr_header *headers, size_t *num_headers, size_t last_len);
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz);

/* RFC 9110 section 10.1.1: who asks whether to send the body is told. h2o does so in HTTP/1 only.
 */
void guard_http2_continue(struct st_h2o_http2_conn_t *conn, uint32_t stream_id);

/* A body that is read piece by piece has grown over what may be held: stop reading, hand the
 * request over without it. */
void guard_http1_cut(struct connection *connection, enum refusal why);

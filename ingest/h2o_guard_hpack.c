/*
 * The head of an HTTP/2 answer, final or 100 Continue, in place of h2o's encoder, without Huffman
 * coding (RFC 7541).
 *
 * h2o puts each field in its dynamic table. Ours differ from answer to answer (request id, rate
 * limits, entity tag), so that it compares each with all that went before, copies it and throws an
 * older one out: a tenth of a loop's time (docs/performance.md). So only what every answer has goes
 * there, once a connection, with the first answer: two whole fields, and the names of others
 * (REPEATED). Nothing is ever evicted, and the places stay what they are.
 *
 * h2o also never looks at the client's SETTINGS_HEADER_TABLE_SIZE. A client that wants less than
 * 4,096 bytes gets no table at all.
 */
#include "ingest/h2o_guard_private.h"

#include "base/bytes.h"

#include <h2o/http2_internal.h>

#define FRAME_HEADER_BYTES H2O_HTTP2_FRAME_HEADER_SIZE
#define TABLE_SIZE_ZERO 0x20 /* "dynamic table size update" to nothing, section 6.3 */
#define INT_BYTES_MAX 6      /* a prefix, and 32 bits in groups of seven */
#define FIELD_BYTES_MAX (1 + 2 * INT_BYTES_MAX) /* beside the name and the value */
#define OWN_BYTES_MAX 128 /* size update, status, date, content-length, and server's name */

/* Of entries of the dynamic table. */
#define PLACE_FIRST 62 /* section 2.3.3 */
#define NAME_BYTES_MAX 32
#define VALUE_BYTES_MAX 256

/* Of the static table, appendix A. */
enum static_index {
    STATIC_NONE = 0,
    STATIC_STATUS = 8, /* the entry of 200 */
    STATIC_CONTENT_LENGTH = 28,
    STATIC_CONTENT_TYPE = 31,
    STATIC_DATE = 33,
    STATIC_ETAG = 34,
    STATIC_SERVER = 54,
};

#define TEXT(text) (const uint8_t *)(text), sizeof(text) - 1

/* What stands in every answer, and goes in the table: a field, or its name alone. */
static const struct repeated {
    enum static_index index;  /* of the name */
    struct bytes name, value; /* no value: it differs */
} REPEATED[] = {
    {STATIC_SERVER, {TEXT("server")}, {TEXT("Postern")}},
    {STATIC_CONTENT_TYPE, {TEXT("content-type")}, {TEXT("application/json")}},
    {STATIC_NONE, {TEXT("x-request-id")}, {0}},
    {STATIC_NONE, {TEXT("x-ratelimit-limit")}, {0}},
    {STATIC_NONE, {TEXT("x-ratelimit-remaining")}, {0}},
    {STATIC_NONE, {TEXT("x-ratelimit-reset")}, {0}},
    {STATIC_NONE, {TEXT("ratelimit-policy")}, {0}},
    {STATIC_NONE, {TEXT("ratelimit")}, {0}},
};
_Static_assert(sizeof REPEATED / sizeof REPEATED[0] == REPEATED_FIELDS, "a place for each");
/* An entry counts 32 bytes beside its text (section 4.1). */
_Static_assert((NAME_BYTES_MAX + VALUE_BYTES_MAX + 32) * REPEATED_FIELDS <= 4096,
               "all of them fit in the table, so that none is evicted");

/* Section 5.1; `prefix` is the largest number that the first byte holds, all ones. */
static uint8_t *put_int(uint8_t *at, uint8_t flags, uint8_t prefix, size_t value)
{
    if (value < prefix) {
        *at++ = flags | (uint8_t)value;
        return at;
    }
    *at++ = flags | prefix;
    for (value -= prefix; value >= 0x80; value >>= 7)
        *at++ = 0x80 | (value & 0x7f);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_text(uint8_t *at, struct bytes text)
{
    at = put_int(at, 0, 0x7f, text.len);
    bytes_copy(at, text);
    return at + text.len;
}

/* `index` of the name, 0: it stands here. */
static uint8_t *put_literal(uint8_t *at, uint8_t flags, uint8_t prefix, size_t index,
                            struct bytes name, struct bytes value)
{
    at = put_int(at, flags, prefix, index);
    if (index == 0)
        at = put_text(at, name);
    return put_text(at, value);
}

/* Without indexing (section 6.2.2). */
static uint8_t *put_field(uint8_t *at, size_t index, struct bytes name, struct bytes value)
{
    return put_literal(at, 0, 0x0f, index, name, value);
}

static const struct repeated *find_repeated(struct bytes name)
{
    for (size_t i = 0; i < REPEATED_FIELDS; i++)
        if (bytes_equal(REPEATED[i].name, name))
            return &REPEATED[i];
    return NULL;
}

static bool can_repeat(const struct repeated *field, struct bytes value)
{
    return field->value.len == 0 ? value.len <= VALUE_BYTES_MAX : bytes_equal(field->value, value);
}

/* The first time with incremental indexing (section 6.2.1); the newest entry then has the first
 * place. */
static uint8_t *put_repeated(uint8_t *at, struct head_table *table, const struct repeated *field,
                             struct bytes value)
{
    uint8_t *place = &table->places[field - REPEATED];
    if (*place == 0) {
        *place = ++table->count;
        return put_literal(at, 0x40, 0x3f, field->index, field->name, value);
    }
    size_t index = (size_t)PLACE_FIRST + table->count - *place;
    if (field->value.len > 0)
        return put_int(at, 0x80, 0x7f, index);
    return put_field(at, index, field->name, value);
}

/* `table` NULL: the client wants none. */
static uint8_t *put_any_field(uint8_t *at, struct head_table *table, struct bytes name,
                              struct bytes value)
{
    const struct repeated *field = find_repeated(name);
    if (field == NULL)
        return put_field(at, bytes_equal_str(name, "etag") ? STATIC_ETAG : STATIC_NONE, name,
                         value);
    if (table == NULL || !can_repeat(field, value))
        return put_field(at, field->index, name, value);
    return put_repeated(at, table, field, value);
}

/* A client that makes its table smaller is to be told, with the next block (section 4.2). */
static uint8_t *put_table_size(uint8_t *at, const h2o_http2_conn_t *conn,
                               h2o_hpack_header_table_t *table)
{
    if (conn->peer_settings.header_table_size >= table->hpack_capacity)
        return at;
    table->hpack_capacity = 0;
    *at++ = TABLE_SIZE_ZERO;
    return at;
}

/* A value of digits. */
static uint8_t *put_number(uint8_t *at, enum static_index index, uint64_t number)
{
    uint8_t room[20];
    struct buf digits = {.data = room, .capacity = sizeof room};
    buf_put_decimal(&digits, number);
    return put_field(at, index, (struct bytes){0}, buf_bytes(&digits));
}

static uint8_t *put_status(uint8_t *at, int status)
{
    if (status != 200)
        return put_number(at, STATIC_STATUS, (uint64_t)status);
    *at++ = 0x80 | STATIC_STATUS;
    return at;
}

static size_t head_bytes_max(const h2o_res_t *res, const h2o_iovec_t *server_name)
{
    size_t bytes = OWN_BYTES_MAX + server_name->len;
    for (size_t i = 0; i < res->headers.size; i++)
        bytes +=
            FIELD_BYTES_MAX + res->headers.entries[i].name->len + res->headers.entries[i].value.len;
    return bytes;
}

static void put_frame_header(uint8_t *at, size_t len, uint8_t type, uint8_t flags, uint32_t stream)
{
    at[0] = (uint8_t)(len >> 16);
    put_be16(at + 1, (uint16_t)len);
    at[3] = type;
    at[4] = flags;
    put_be32(at + 5, stream);
}

/* The block of `len` bytes stands at `at`, behind room for one frame's header: cut it into frames,
 * moving what follows each cut. Answers where the last one ends. */
static uint8_t *put_frames(uint8_t *at, size_t len, size_t frame_max, uint32_t stream)
{
    uint8_t type = H2O_HTTP2_FRAME_TYPE_HEADERS;
    while (len > frame_max) {
        put_frame_header(at - FRAME_HEADER_BYTES, frame_max, type, 0, stream);
        type = H2O_HTTP2_FRAME_TYPE_CONTINUATION;
        at += frame_max;
        len -= frame_max;
        memmove(at + FRAME_HEADER_BYTES, at, len);
        at += FRAME_HEADER_BYTES;
    }
    put_frame_header(at - FRAME_HEADER_BYTES, len, type, H2O_HTTP2_FRAME_FLAG_END_HEADERS, stream);
    return at + len;
}

void h2o_hpack_flatten_response(h2o_buffer_t **buf, h2o_hpack_header_table_t *table,
                                uint32_t stream_id, size_t max_frame_size, h2o_res_t *res,
                                h2o_timestamp_t *ts, const h2o_iovec_t *server_name,
                                size_t content_length)
{
    h2o_http2_conn_t *conn = H2O_STRUCT_FROM_MEMBER(h2o_http2_conn_t, _output_header_table, table);
    struct streams *streams = connection_of_socket(conn->sock)->streams;
    size_t room = head_bytes_max(res, server_name);
    guard_mark(GUARD_h2o_hpack_flatten_response);
    h2o_buffer_reserve(buf, room + (room / max_frame_size + 1) * FRAME_HEADER_BYTES);
    uint8_t *block = (uint8_t *)(*buf)->bytes + (*buf)->size + FRAME_HEADER_BYTES, *at = block;

    at = put_table_size(at, conn, table);
    at = put_status(at, res->status);
    struct head_table *names = table->hpack_capacity > 0 ? &streams->head_table : NULL;
    at = put_any_field(at, names, bytes_of_str("server"),
                       bytes_of(server_name->base, server_name->len));
    at = put_field(at, STATIC_DATE, (struct bytes){0},
                   bytes_of(ts->str->rfc1123, H2O_TIMESTR_RFC1123_LEN));
    for (size_t i = 0; i < res->headers.size; i++) {
        const h2o_header_t *header = &res->headers.entries[i];
        at = put_any_field(at, names, bytes_of(header->name->base, header->name->len),
                           bytes_of(header->value.base, header->value.len));
    }
    if (content_length != SIZE_MAX)
        at = put_number(at, STATIC_CONTENT_LENGTH, content_length);
    at = put_frames(block, (size_t)(at - block), max_frame_size, stream_id);
    (*buf)->size = (size_t)(at - (uint8_t *)(*buf)->bytes);
}

void guard_http2_continue(h2o_http2_conn_t *conn, uint32_t stream_id)
{
    h2o_buffer_t **buf = &conn->_write.buf;
    h2o_buffer_reserve(buf, FRAME_HEADER_BYTES + OWN_BYTES_MAX);
    uint8_t *block = (uint8_t *)(*buf)->bytes + (*buf)->size + FRAME_HEADER_BYTES, *at = block;

    at = put_table_size(at, conn, &conn->_output_header_table);
    at = put_status(at, 100);
    at = put_frames(block, (size_t)(at - block), OWN_BYTES_MAX, stream_id);
    (*buf)->size = (size_t)(at - (uint8_t *)(*buf)->bytes);
    h2o_http2_conn_request_write(conn);
}

/*
 * A decoder of the chunked coding in place of picohttpparser's, which takes "0x5" for 0, a bare LF
 * for a line's end and extensions without end. Here: RFC 9112 section 7.1 to the letter, sizes of
 * at most 8 digits, and at most OVERHEAD_BYTES_MAX of extensions and trailers in a body. Both are
 * thrown away.
 *
 * The state must live in h2o's struct phr_chunked_decoder. `bytes_left_in_chunk` holds two numbers:
 * below the chunk's size, above how much of extensions and trailers there was.
 */
#include "ingest/h2o_guard_private.h"

#define SIZE_DIGITS_MAX 8
#define OVERHEAD_BYTES_MAX 8192
#define SIZE_MASK UINT64_C(0xffffffff)
#define OVERHEAD_ONE (SIZE_MASK + 1)

enum chunk_state {
    CHUNK_SIZE, /* h2o clears the struct: the first */
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER_START,
    CHUNK_TRAILER,
    CHUNK_TRAILER_LF,
    CHUNK_END_LF,
    CHUNK_END,
    CHUNK_BAD,
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_text(char c)
{
    return c == '\t' || ((uint8_t)c >= ' ' && c != 127);
}

static enum chunk_state on_size(struct phr_chunked_decoder *decoder, char c)
{
    int digit = hex_value(c);
    if (digit < 0) {
        if (decoder->_hex_count == 0)
            return CHUNK_BAD;
        return c == '\r'                           ? CHUNK_SIZE_LF
               : c == ';' || c == ' ' || c == '\t' ? CHUNK_EXTENSION
                                                   : CHUNK_BAD;
    }
    if (++decoder->_hex_count > SIZE_DIGITS_MAX)
        return CHUNK_BAD;
    decoder->bytes_left_in_chunk =
        (decoder->bytes_left_in_chunk & ~SIZE_MASK) |
        ((decoder->bytes_left_in_chunk & SIZE_MASK) << 4 | (unsigned)digit);
    return CHUNK_SIZE;
}

/* Inside an extension or a trailer: on, at the line's end to `at_end`. */
static enum chunk_state on_text(struct phr_chunked_decoder *decoder, char c, enum chunk_state same,
                                enum chunk_state at_end)
{
    decoder->bytes_left_in_chunk += OVERHEAD_ONE;
    if (decoder->bytes_left_in_chunk / OVERHEAD_ONE > OVERHEAD_BYTES_MAX)
        return CHUNK_BAD;
    return c == '\r' ? at_end : is_text(c) ? same : CHUNK_BAD;
}

static enum chunk_state on_size_end(struct phr_chunked_decoder *decoder)
{
    decoder->_hex_count = 0;
    return (decoder->bytes_left_in_chunk & SIZE_MASK) == 0 ? CHUNK_TRAILER_START : CHUNK_DATA;
}

/* One byte that is not data. */
static enum chunk_state step(struct phr_chunked_decoder *decoder, char c)
{
    switch ((enum chunk_state)decoder->_state) {
    case CHUNK_SIZE:
        return on_size(decoder, c);
    case CHUNK_EXTENSION:
        return on_text(decoder, c, CHUNK_EXTENSION, CHUNK_SIZE_LF);
    case CHUNK_SIZE_LF:
        return c == '\n' ? on_size_end(decoder) : CHUNK_BAD;
    case CHUNK_DATA_CR:
        return c == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
    case CHUNK_DATA_LF:
        return c == '\n' ? CHUNK_SIZE : CHUNK_BAD;
    case CHUNK_TRAILER_START:
        return c == '\r' ? CHUNK_END_LF : on_text(decoder, c, CHUNK_TRAILER, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER:
        return on_text(decoder, c, CHUNK_TRAILER, CHUNK_TRAILER_LF);
    case CHUNK_TRAILER_LF:
        return c == '\n' ? CHUNK_TRAILER_START : CHUNK_BAD;
    case CHUNK_END_LF:
        return c == '\n' ? CHUNK_END : CHUNK_BAD;
    default:
        return CHUNK_BAD;
    }
}

/* In place: *bufsz becomes how much data there was. -1: broken, -2: goes on, else how many bytes
 * after the body there are, behind the data. */
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz)
{
    size_t at = 0, end = *bufsz, data_len = 0;
    guard_mark(GUARD_phr_decode_chunked);
    while (at < end && decoder->_state != CHUNK_END && decoder->_state != CHUNK_BAD) {
        if (decoder->_state != CHUNK_DATA) {
            decoder->_state = (char)step(decoder, buf[at++]);
            continue;
        }
        size_t left = decoder->bytes_left_in_chunk & SIZE_MASK;
        size_t len = left < end - at ? left : end - at;
        memmove(buf + data_len, buf + at, len);
        data_len += len;
        at += len;
        decoder->bytes_left_in_chunk -= len;
        if (len == left)
            decoder->_state = CHUNK_DATA_CR;
    }
    *bufsz = data_len;
    if (decoder->_state == CHUNK_BAD)
        return -1;
    if (decoder->_state != CHUNK_END)
        return -2;
    memmove(buf + data_len, buf + at, end - at);
    return (ssize_t)(end - at);
}

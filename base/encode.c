/*
 * encode: decoders append to the buffer only when the whole text is right: on STATUS_INVALID its
 * length is what it was.
 */
#include "base/encode.h"

#include "base/must.h"

#include <zlib.h>

const char BASE62[63] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char BASE64[65] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0 … 15, or -1. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

void hex_encode(struct buf *out, struct bytes in)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < in.len; i++) {
        const char pair[2] = {digits[in.data[i] >> 4], digits[in.data[i] & 15]};
        buf_put(out, pair, sizeof pair);
    }
}

enum status hex_decode(struct buf *out, struct bytes text)
{
    size_t start = out->len;

    if (text.len % 2)
        return STATUS_INVALID;
    for (size_t i = 0; i < text.len; i += 2) {
        int high = hex_value(text.data[i]);
        int low = hex_value(text.data[i + 1]);
        if (high < 0 || low < 0) {
            out->len = start;
            return STATUS_INVALID;
        }
        buf_put_u8(out, (uint8_t)(high << 4 | low));
    }
    return out->status;
}

void base64_encode(struct buf *out, struct bytes in)
{
    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        uint32_t group = (uint32_t)in.data[i] << 16;
        char quad[4];

        if (left > 1)
            group |= (uint32_t)in.data[i + 1] << 8;
        if (left > 2)
            group |= in.data[i + 2];
        quad[0] = BASE64[group >> 18];
        quad[1] = BASE64[group >> 12 & 63];
        quad[2] = left > 1 ? BASE64[group >> 6 & 63] : '=';
        quad[3] = left > 2 ? BASE64[group & 63] : '=';
        buf_put(out, quad, sizeof quad);
    }
}

/* 0 … 63, or -1. */
static int base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == '/' ? 63 : -1;
}

/* Four characters of which the last `padding` are '='. */
static enum status base64_decode_quad(struct buf *out, const uint8_t *quad, unsigned padding)
{
    uint32_t group = 0;
    uint8_t bytes[3];

    for (unsigned i = 0; i < 4; i++) {
        int value = i < 4 - padding ? base64_value(quad[i]) : 0;
        if (value < 0)
            return STATUS_INVALID;
        group = group << 6 | (uint32_t)value;
    }
    /* Bits that no byte takes must be zero, else two texts would mean the same bytes. */
    if (group & ((1U << (8 * padding)) - 1))
        return STATUS_INVALID;
    bytes[0] = (uint8_t)(group >> 16);
    bytes[1] = (uint8_t)(group >> 8);
    bytes[2] = (uint8_t)group;
    buf_put(out, bytes, 3 - padding);
    return STATUS_OK;
}

enum status base64_decode(struct buf *out, struct bytes text)
{
    size_t start = out->len;

    if (text.len % 4)
        return STATUS_INVALID;
    for (size_t i = 0; i < text.len; i += 4) {
        const uint8_t *quad = text.data + i;
        unsigned padding = 0;

        if (i + 4 == text.len && quad[3] == '=')
            padding = quad[2] == '=' ? 2 : 1;
        if (base64_decode_quad(out, quad, padding) != STATUS_OK) {
            out->len = start;
            return STATUS_INVALID;
        }
    }
    return out->status;
}

void base62_encode(struct buf *out, uint64_t value, unsigned digits)
{
    char text[64];

    must(digits <= sizeof text);
    for (unsigned i = digits; i > 0; i--) {
        text[i - 1] = BASE62[value % 62];
        value /= 62;
    }
    buf_put(out, text, digits);
}

uint32_t crc32_of(struct bytes in)
{
    return (uint32_t)crc32_z(0, in.data, in.len);
}

enum status percent_decode(struct buf *out, struct bytes text)
{
    size_t start = out->len;

    for (size_t i = 0; i < text.len; i++) {
        int high, low;

        if (text.data[i] != '%') {
            buf_put_u8(out, text.data[i]);
            continue;
        }
        high = i + 2 < text.len ? hex_value(text.data[i + 1]) : -1;
        low = i + 2 < text.len ? hex_value(text.data[i + 2]) : -1;
        if (high < 0 || low < 0 || (high | low) == 0) {
            out->len = start;
            return STATUS_INVALID;
        }
        buf_put_u8(out, (uint8_t)(high << 4 | low));
        i += 2;
    }
    return out->status;
}

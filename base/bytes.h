/*
 * bytes: borrowed views, a growable buffer to write into, a bounds-checked cursor to read foreign
 * bytes with. The stored formats and every rendered answer go through these.
 *
 * Integers in stored keys are big-endian (they sort); in stored values too, so that there is one
 * way only.
 */
#pragma once

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A borrowed view. Not terminated. {NULL, 0} is the empty view. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}
static inline struct bytes bytes_of_str(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text ? strlen(text) : 0};
}
/* Most names and values have 8 to 16 bytes: two words that may overlap, where a call would cost
 * more. */
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    uint64_t first[2], last[2];

    if (a.len != b.len)
        return false;
    if (a.len < sizeof(first[0]) || a.len > sizeof(first))
        return a.len == 0 || memcmp(a.data, b.data, a.len) == 0;
    memcpy(&first[0], a.data, sizeof(first[0]));
    memcpy(&first[1], b.data, sizeof(first[1]));
    memcpy(&last[0], a.data + a.len - sizeof(last[0]), sizeof(last[0]));
    memcpy(&last[1], b.data + b.len - sizeof(last[1]), sizeof(last[1]));
    return first[0] == first[1] && last[0] == last[1];
}
/* memcpy of a view. Most are short: from 4 to 16 bytes go as two words that may overlap. */
static inline void bytes_copy(uint8_t *out, struct bytes view)
{
    uint64_t words[2];
    uint32_t halves[2];

    if (view.len < sizeof(halves[0]) || view.len > sizeof(words)) {
        memcpy(out, view.data, view.len);
    } else if (view.len >= sizeof(words[0])) {
        memcpy(&words[0], view.data, sizeof(words[0]));
        memcpy(&words[1], view.data + view.len - sizeof(words[1]), sizeof(words[1]));
        memcpy(out, &words[0], sizeof(words[0]));
        memcpy(out + view.len - sizeof(words[1]), &words[1], sizeof(words[1]));
    } else {
        memcpy(&halves[0], view.data, sizeof(halves[0]));
        memcpy(&halves[1], view.data + view.len - sizeof(halves[1]), sizeof(halves[1]));
        memcpy(out, &halves[0], sizeof(halves[0]));
        memcpy(out + view.len - sizeof(halves[1]), &halves[1], sizeof(halves[1]));
    }
}
static inline bool bytes_equal_str(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_str(text));
}
/* As memcmp, a shorter prefix first. */
int bytes_compare(struct bytes a, struct bytes b);
/* A terminated heap copy; the caller frees. NULL: no memory. */
char *bytes_dup_str(struct bytes view);

/* printf("%.*s", BYTES_ARG(view)) */
#define BYTES_ARG(view) (int)(view).len, (const char *)(view).data

/* Big-endian in place, for fixed-size keys. */
static inline void put_be16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void put_be32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}
static inline void put_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

/*
 * Growable buffer. Zero value is empty and valid. Writing is sticky: after the first failure
 * (no memory, or more than `limit` bytes) each write does nothing and `status` says why; check it
 * once at the end. `data` is not terminated unless buf_str() was called.
 */
struct buf {
    uint8_t *data;
    size_t len;
    size_t capacity;
    size_t limit; /* 0: 1 GiB */
    enum status status;
};

void buf_fini(struct buf *buf);  /* frees; zero value again; NULL allowed */
void buf_clear(struct buf *buf); /* len 0, status fine, memory kept */
enum status buf_reserve(struct buf *buf, size_t more);
void buf_put_growing(struct buf *buf, const void *data, size_t len); /* buf_put's other half */
/* With room and no limit, putting is a copy: inline, since answers are built of many small pieces.
 */
static inline bool buf_is_copy(const struct buf *buf, size_t len)
{
    return buf->status == STATUS_OK && !buf->limit && len <= buf->capacity - buf->len && len != 0;
}
static inline void buf_put(struct buf *buf, const void *data, size_t len)
{
    if (!buf_is_copy(buf, len)) {
        buf_put_growing(buf, data, len);
        return;
    }
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}
static inline void buf_put_bytes(struct buf *buf, struct bytes view)
{
    if (!buf_is_copy(buf, view.len)) {
        buf_put_growing(buf, view.data, view.len);
        return;
    }
    bytes_copy(buf->data + buf->len, view);
    buf->len += view.len;
}
static inline void buf_put_str(struct buf *buf, const char *text)
{
    buf_put(buf, text, strlen(text));
}
static inline void buf_put_char(struct buf *buf, char c)
{
    buf_put(buf, &c, 1);
}
static inline void buf_put_u8(struct buf *buf, uint8_t v)
{
    buf_put(buf, &v, sizeof(v));
}
/* Big-endian, as the next two. */
static inline void buf_put_u16(struct buf *buf, uint16_t v)
{
    uint8_t bytes[sizeof(v)];

    put_be16(bytes, v);
    buf_put(buf, bytes, sizeof(bytes));
}
static inline void buf_put_u32(struct buf *buf, uint32_t v)
{
    uint8_t bytes[sizeof(v)];

    put_be32(bytes, v);
    buf_put(buf, bytes, sizeof(bytes));
}
static inline void buf_put_u64(struct buf *buf, uint64_t v)
{
    uint8_t bytes[sizeof(v)];

    put_be64(bytes, v);
    buf_put(buf, bytes, sizeof(bytes));
}
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_put_decimal(struct buf *buf, uint64_t v);
/* u32 length and the bytes. */
void buf_put_sized(struct buf *buf, struct bytes view);
struct bytes buf_bytes(const struct buf *buf);
/* Terminates (the terminator is not counted) and returns the text; "" where that fails. */
const char *buf_str(struct buf *buf);
/* Ownership of the memory goes to the caller (free); the buffer is empty afterwards. */
uint8_t *buf_take(struct buf *buf, size_t *ret_len);

/*
 * Bounds-checked reader of foreign bytes. Sticky: a read past the end sets `is_bad` and answers 0
 * or an empty view; check once at the end. Views borrow from the bytes read.
 */
struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

struct cursor cursor_of(struct bytes view);
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
struct bytes cursor_take(struct cursor *c, size_t len);
struct bytes cursor_sized(struct cursor *c); /* the pair of buf_put_sized */
static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}
/* Fine when nothing went wrong and everything was read, else STATUS_CORRUPT. */
MUST_CHECK enum status cursor_finish(const struct cursor *c);

/* The pairs of put_be16 and its like. */
static inline uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t get_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}
static inline uint64_t get_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

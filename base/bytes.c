/*
 * bytes: buffers grow by doubling. Both the buffer and the cursor are sticky, so that a row is
 * written or read as one straight list of fields with a single check at its end.
 */
#include "base/bytes.h"

#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LIMIT_DEFAULT ((size_t)1 << 30)
#define CAPACITY_MIN 256

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

char *bytes_dup_str(struct bytes view)
{
    char *copy = malloc(view.len + 1);

    if (copy == NULL)
        return NULL;
    if (view.len)
        memcpy(copy, view.data, view.len);
    copy[view.len] = '\0';
    return copy;
}

void buf_fini(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = (struct buf){0};
}

void buf_clear(struct buf *buf)
{
    buf->len = 0;
    buf->status = STATUS_OK;
}

static size_t buf_limit(const struct buf *buf)
{
    return buf->limit ? buf->limit : LIMIT_DEFAULT;
}

static enum status buf_grow(struct buf *buf, size_t capacity_needed)
{
    size_t capacity = buf->capacity ? buf->capacity : CAPACITY_MIN;
    uint8_t *data;

    if (capacity_needed <= buf->capacity)
        return STATUS_OK;
    while (capacity < capacity_needed)
        capacity *= 2; /* cannot overflow: what is needed is far below half the address space */
    data = realloc(buf->data, capacity);
    if (data == NULL)
        return buf->status = STATUS_NO_MEMORY;
    buf->data = data;
    buf->capacity = capacity;
    return STATUS_OK;
}

enum status buf_reserve(struct buf *buf, size_t more)
{
    size_t limit = buf_limit(buf);

    if (buf->status != STATUS_OK)
        return buf->status;
    if (buf->len > limit || more > limit - buf->len || limit > SIZE_MAX / 4)
        return buf->status = STATUS_LIMIT;
    return buf_grow(buf, buf->len + more);
}

void buf_put_growing(struct buf *buf, const void *data, size_t len)
{
    if (len == 0 || buf_reserve(buf, len) != STATUS_OK)
        return;
    memcpy(buf->data + buf->len, data, len);
    buf->len += len;
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments, again;
    int len;

    if (buf->status != STATUS_OK)
        return;
    va_start(arguments, format);
    va_copy(again, arguments);
    len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    must(len >= 0);
    /* One more byte for the terminator that vsnprintf insists on. */
    if (buf_reserve(buf, (size_t)len) == STATUS_OK &&
        buf_grow(buf, buf->len + (size_t)len + 1) == STATUS_OK) {
        vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void buf_put_decimal(struct buf *buf, uint64_t v)
{
    static const char PAIRS[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    char digits[20];
    char *at = digits + sizeof digits;

    for (; v >= 100; v /= 100)
        memcpy(at -= 2, PAIRS + 2 * (v % 100), 2);
    if (v >= 10)
        memcpy(at -= 2, PAIRS + 2 * v, 2);
    else
        *--at = (char)('0' + v);
    buf_put_bytes(buf, bytes_of(at, (size_t)(digits + sizeof digits - at)));
}

void buf_put_sized(struct buf *buf, struct bytes view)
{
    if (view.len > UINT32_MAX) {
        if (buf->status == STATUS_OK)
            buf->status = STATUS_LIMIT;
        return;
    }
    buf_put_u32(buf, (uint32_t)view.len);
    buf_put_bytes(buf, view);
}

struct bytes buf_bytes(const struct buf *buf)
{
    return (struct bytes){buf->data, buf->len};
}

const char *buf_str(struct buf *buf)
{
    /* The terminator may go one byte over the limit: it is no content. */
    if (buf->status != STATUS_OK || buf_grow(buf, buf->len + 1) != STATUS_OK)
        return "";
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}

uint8_t *buf_take(struct buf *buf, size_t *ret_len)
{
    uint8_t *data = buf->data;

    if (ret_len)
        *ret_len = buf->len;
    *buf = (struct buf){.limit = buf->limit};
    return data;
}

struct cursor cursor_of(struct bytes view)
{
    /* Never NULL: pointer arithmetic on it is defined. */
    static const uint8_t nothing;
    const uint8_t *at = view.data ? view.data : &nothing;

    return (struct cursor){at, at + view.len, false};
}

struct bytes cursor_take(struct cursor *c, size_t len)
{
    struct bytes view;

    if (c->is_bad || len > cursor_left(c)) {
        c->is_bad = true;
        return (struct bytes){0};
    }
    view = bytes_of(c->at, len);
    c->at += len;
    return view;
}

uint8_t cursor_u8(struct cursor *c)
{
    struct bytes view = cursor_take(c, 1);

    return view.data ? view.data[0] : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
    struct bytes view = cursor_take(c, 2);

    return view.data ? get_be16(view.data) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
    struct bytes view = cursor_take(c, 4);

    return view.data ? get_be32(view.data) : 0;
}

uint64_t cursor_u64(struct cursor *c)
{
    struct bytes view = cursor_take(c, 8);

    return view.data ? get_be64(view.data) : 0;
}

struct bytes cursor_sized(struct cursor *c)
{
    uint32_t len = cursor_u32(c);

    return cursor_take(c, len);
}

enum status cursor_finish(const struct cursor *c)
{
    return c->is_bad || c->at != c->end ? STATUS_CORRUPT : STATUS_OK;
}

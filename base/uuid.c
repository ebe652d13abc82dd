/*
 * uuid: 48 bits of milliseconds, 4 of version, 12 random, 2 of variant, 62 random. The 74 random
 * bits are handled as one number of two halves (`high` 12 bits, `low` 62) that only grows within a
 * millisecond. When it would overflow, the id takes the next millisecond instead: ids run ahead of
 * the clock rather than out of order.
 */
#include "base/uuid.h"

#include "base/must.h"

#define TIME_MAX_MS ((INT64_C(1) << 48) - 1)
#define HIGH_MASK UINT64_C(0xfff)
#define LOW_MASK ((UINT64_C(1) << 62) - 1)
#define STEP_BITS 32 /* how far two ids of one millisecond are apart at most */

static const char CROCKFORD[33] = "0123456789abcdefghjkmnpqrstvwxyz";

bool uuid_is_zero(const struct uuid *uuid)
{
    static const struct uuid zero;

    return uuid_compare(uuid, &zero) == 0;
}

static struct uuid uuid_compose(int64_t time_ms, uint64_t high, uint64_t low)
{
    struct uuid uuid = {0};

    put_be64(uuid.bytes, (uint64_t)time_ms << 16 | UINT64_C(7) << 12 | high);
    put_be64(uuid.bytes + 8, UINT64_C(2) << 62 | low);
    return uuid;
}

static struct uuid uuid_fresh(int64_t time_ms, struct prng *prng)
{
    /* The top bit starts at zero: room to grow, as RFC 9562 section 6.2 advises. */
    uint64_t high = prng_next(prng) & (HIGH_MASK >> 1);

    return uuid_compose(time_ms, high, prng_next(prng) & LOW_MASK);
}

static struct uuid uuid_after(const struct uuid *last, struct prng *prng)
{
    uint64_t high = get_be64(last->bytes) & HIGH_MASK;
    uint64_t low = get_be64(last->bytes + 8) & LOW_MASK;
    int64_t time_ms = uuid_time_ms(last);

    low += 1 + (prng_next(prng) >> (64 - STEP_BITS));
    high += low >> 62;
    low &= LOW_MASK;
    if (high <= HIGH_MASK)
        return uuid_compose(time_ms, high, low);
    must(time_ms < TIME_MAX_MS);
    return uuid_fresh(time_ms + 1, prng);
}

struct uuid uuid_next(struct uuid *last, int64_t now_ms, struct prng *prng)
{
    if (now_ms < 0)
        now_ms = 0;
    if (now_ms > TIME_MAX_MS)
        now_ms = TIME_MAX_MS;
    if (now_ms > uuid_time_ms(last) || uuid_is_zero(last))
        *last = uuid_fresh(now_ms, prng);
    else
        *last = uuid_after(last, prng);
    return *last;
}

int64_t uuid_time_ms(const struct uuid *uuid)
{
    return (int64_t)(get_be64(uuid->bytes) >> 16);
}

struct uuid uuid_first_at(int64_t unix_ms)
{
    if (unix_ms < 0)
        unix_ms = 0;
    if (unix_ms > TIME_MAX_MS)
        unix_ms = TIME_MAX_MS;
    return uuid_compose(unix_ms, 0, 0);
}

static void put_digits(uint64_t value, char *out, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        out[i] = CROCKFORD[value & 31];
        value >>= 5;
    }
}

/* 26 characters of 5 bits are 130: the first takes the top 3 bits alone. In words, from the end: 60
 * bits, the 4 above them with 56, and the top 8. */
static void suffix_format(const struct uuid *uuid, char *out)
{
    uint64_t high = get_be64(uuid->bytes), low = get_be64(uuid->bytes + 8);

    put_digits(low, out + 14, 12);
    put_digits(high << 4 | low >> 60, out + 2, 12);
    put_digits(high >> 56, out, 2);
}

/* Answers how long it is. */
static size_t format(const char *prefix, const struct uuid *uuid, char *out)
{
    size_t len = strlen(prefix);

    must(len <= TYPEID_PREFIX_MAX);
    bytes_copy((uint8_t *)out, bytes_of(prefix, len));
    if (len)
        out[len++] = '_';
    suffix_format(uuid, out + len);
    return len + TYPEID_SUFFIX_CHARS;
}

void typeid_format(const char *prefix, const struct uuid *uuid, char *out)
{
    out[format(prefix, uuid, out)] = '\0';
}

void typeid_put(struct buf *out, const char *prefix, const struct uuid *uuid)
{
    char text[TYPEID_TEXT_BYTES];

    buf_put(out, text, format(prefix, uuid, text));
}

static enum status suffix_parse(const uint8_t *text, struct uuid *ret_uuid)
{
    unsigned __int128 value = 0;

    if (text[0] > '7') /* would not fit 128 bits */
        return STATUS_INVALID;
    for (int i = 0; i < TYPEID_SUFFIX_CHARS; i++) {
        const char *digit = text[i] ? strchr(CROCKFORD, text[i]) : NULL;
        if (digit == NULL)
            return STATUS_INVALID;
        value = value << 5 | (unsigned)(digit - CROCKFORD);
    }
    put_be64(ret_uuid->bytes, (uint64_t)(value >> 64));
    put_be64(ret_uuid->bytes + 8, (uint64_t)value);
    return STATUS_OK;
}

enum status typeid_parse(struct bytes text, const char *prefix, struct uuid *ret_uuid)
{
    size_t len = strlen(prefix);
    size_t start = len ? len + 1 : 0;

    if (text.len != start + TYPEID_SUFFIX_CHARS)
        return STATUS_INVALID;
    if (len && (memcmp(text.data, prefix, len) != 0 || text.data[len] != '_'))
        return STATUS_INVALID;
    return suffix_parse(text.data + start, ret_uuid);
}

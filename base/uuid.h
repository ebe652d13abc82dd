/*
 * uuid: UUIDv7 (RFC 9562 section 5.7), made monotonic, and the TypeIDs that users see:
 * prefix, '_', 26 characters of Crockford base32 (typeid 0.3).
 *
 * Not here: who remembers the last one over a restart; the store's writer does.
 */
#pragma once

#include "base/bytes.h"
#include "base/random.h"

#define UUID_BYTES 16
#define TYPEID_SUFFIX_CHARS 26
#define TYPEID_PREFIX_MAX 63
#define TYPEID_TEXT_BYTES (TYPEID_PREFIX_MAX + 1 + TYPEID_SUFFIX_CHARS + 1)

struct uuid {
    uint8_t bytes[UUID_BYTES];
};

static inline int uuid_compare(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, UUID_BYTES);
}
bool uuid_is_zero(const struct uuid *uuid);

/* The next UUIDv7 after `last` at `now_ms`: later in order than `last` even if the clock stands
 * still or went back (RFC 9562 section 6.2, method 2: the random part grows by a random step).
 * Writes it to both `last` and the result. */
struct uuid uuid_next(struct uuid *last, int64_t now_ms, struct prng *prng);
int64_t uuid_time_ms(const struct uuid *uuid);
/* The smallest UUIDv7 of that millisecond, to seek with. */
struct uuid uuid_first_at(int64_t unix_ms);

/* "prefix_01jd…"; `out` of TYPEID_TEXT_BYTES. An empty prefix gives the suffix alone. */
void typeid_format(const char *prefix, const struct uuid *uuid, char *out);
void typeid_put(struct buf *out, const char *prefix, const struct uuid *uuid);
/* Accepts exactly `prefix`, '_' and a canonical lower-case suffix. STATUS_INVALID otherwise. */
MUST_CHECK enum status typeid_parse(struct bytes text, const char *prefix, struct uuid *ret_uuid);

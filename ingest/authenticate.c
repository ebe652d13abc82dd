/*
 * A key is found by the digest of what was sent, if that has a key's length. X-API-Key wins over
 * Authorization: a request that says two things is judged by the first alone, so that a stray proxy
 * credential does no harm.
 *
 * The throttle is a table of buckets picked by a keyed hash of the address. Two addresses in one
 * bucket share its budget; that only delays the words of a refusal, since a valid key never asks.
 */
#include "ingest/authenticate.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/random.h"

#include <pthread.h>
#include <strings.h>

#define AUTHORIZATION_MAX 512

static bool has_scheme(struct bytes value, const char *scheme, struct bytes *ret_rest)
{
    size_t len = strlen(scheme);
    if (value.len <= len || strncasecmp((const char *)value.data, scheme, len) != 0 ||
        value.data[len] != ' ')
        return false;
    while (len < value.len && value.data[len] == ' ')
        len++;
    *ret_rest = bytes_of(value.data + len, value.len - len);
    return true;
}

static const struct sender *find(const struct keyring *keyring, struct bytes key)
{
    return key.len == API_KEY_TEXT_CHARS ? keyring_find(keyring, key) : NULL;
}

static const struct sender *find_basic(const struct keyring *keyring, struct bytes encoded)
{
    CLEANUP(buf_fini) struct buf text = {.limit = AUTHORIZATION_MAX};
    if (base64_decode(&text, encoded) != STATUS_OK || text.status != STATUS_OK)
        return NULL;
    struct bytes pair = buf_bytes(&text);
    const uint8_t *colon = pair.len ? memchr(pair.data, ':', pair.len) : NULL;
    if (!colon)
        return NULL;
    struct bytes user = bytes_of(pair.data, (size_t)(colon - pair.data));
    struct bytes password = bytes_of(colon + 1, pair.len - user.len - 1);
    const struct sender *sender = find(keyring, password);
    struct uuid id;
    if (sender && (typeid_parse(user, API_KEY_ID_PREFIX, &id) != STATUS_OK ||
                   uuid_compare(&id, &sender->id) != 0))
        sender = NULL;
    secret_wipe(text.data, text.len);
    return sender;
}

static bool counts_now(const struct sender *sender, int64_t now_ms)
{
    if (!sender->is_enabled || (sender->expires_ms && now_ms >= sender->expires_ms))
        return false;
    return !sender->is_old_secret || now_ms < sender->old_expires_ms;
}

const struct sender *authenticate(const struct keyring *keyring,
                                  const struct credentials *credentials, int64_t now_ms)
{
    const struct sender *sender = NULL;
    struct bytes rest;
    if (credentials->x_api_key.data)
        sender = find(keyring, credentials->x_api_key);
    else if (credentials->authorization.len > AUTHORIZATION_MAX)
        sender = NULL;
    else if (has_scheme(credentials->authorization, "bearer", &rest))
        sender = find(keyring, rest);
    else if (has_scheme(credentials->authorization, "basic", &rest))
        sender = find_basic(keyring, rest);
    return sender && counts_now(sender, now_ms) ? sender : NULL;
}

bool sender_allows_address(const struct sender *sender, const struct address *peer)
{
    return sender->key->cidr_count == 0 ||
           cidr_list_contains(sender->key->cidrs, sender->key->cidr_count, peer);
}

#define THROTTLE_BUCKETS 8192

struct auth_throttle {
    pthread_mutex_t lock;
    uint8_t hash_key[16];
    struct {
        int64_t window_start_ms;
        uint32_t failures;
    } buckets[THROTTLE_BUCKETS];
};

struct auth_throttle *auth_throttle_new(void)
{
    struct auth_throttle *throttle = calloc(1, sizeof *throttle);
    if (throttle) {
        random_bytes(throttle->hash_key, sizeof throttle->hash_key);
        pthread_mutex_init(&throttle->lock, NULL);
    }
    return throttle;
}

void auth_throttle_free(struct auth_throttle *throttle)
{
    if (throttle)
        pthread_mutex_destroy(&throttle->lock);
    free(throttle);
}

int64_t auth_throttle_fail(struct auth_throttle *throttle, const struct address *peer,
                           int64_t now_ms)
{
    size_t significant = address_is_v4(peer) ? 16 : 8;
    struct bytes parts[] = {bytes_of(throttle->hash_key, sizeof throttle->hash_key),
                            bytes_of(peer->bytes, significant)};
    uint8_t digest[SHA256_BYTES];
    sha256_parts(parts, 2, digest);
    size_t bucket = get_be16(digest) % THROTTLE_BUCKETS;

    pthread_mutex_lock(&throttle->lock);
    int64_t start = throttle->buckets[bucket].window_start_ms;
    if (now_ms - start >= 60 * 1000 || now_ms < start) {
        throttle->buckets[bucket].window_start_ms = start = now_ms;
        throttle->buckets[bucket].failures = 0;
    }
    bool is_over = ++throttle->buckets[bucket].failures > AUTH_FAILURES_PER_MINUTE;
    pthread_mutex_unlock(&throttle->lock);
    return is_over ? start + 60 * 1000 - now_ms : 0;
}

/*
 * Design: the MACs run over parts that are never put together into one buffer. Verification reports
 * what a person can act on: malformed (look at how you read the header), bad (look at the secret,
 * or at how you got the body), too old (look at the clock, or it is a replay).
 */
#include "ingest/deliver/signature.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/must.h"
#include "base/random.h"

#include <stdio.h>

#define SECRET_PREFIX "whsec_"
#define SECRET_PREFIX_CHARS 6
#define SECRET_BYTES 32
#define SECRET_BYTES_MIN 24
#define SECRET_BYTES_MAX 64
#define SECRET_CHARS_MAX (SECRET_PREFIX_CHARS + (SECRET_BYTES_MAX + 2) / 3 * 4)
#define VERSION_PREFIX "v1,"

static void secret_buf_fini(struct buf *buf)
{
    if (buf->data)
        secret_wipe(buf->data, buf->capacity);
    buf_fini(buf);
}

void webhook_secret_generate(char ret_text[WEBHOOK_SECRET_CHARS + 1])
{
    uint8_t key[SECRET_BYTES];
    random_bytes(key, sizeof key);
    CLEANUP(secret_buf_fini) struct buf text = {0};
    buf_put_str(&text, SECRET_PREFIX);
    base64_encode(&text, bytes_of(key, sizeof key));
    must(text.status == STATUS_OK && text.len == WEBHOOK_SECRET_CHARS);
    memcpy(ret_text, text.data, text.len);
    ret_text[text.len] = '\0';
    secret_wipe(key, sizeof key);
}

/* The decoded bytes; STATUS_INVALID as webhook_secret_check. */
static enum status secret_decode(struct bytes secret, struct buf *ret_key)
{
    if (secret.len <= SECRET_PREFIX_CHARS || secret.len > SECRET_CHARS_MAX ||
        memcmp(secret.data, SECRET_PREFIX, SECRET_PREFIX_CHARS) != 0)
        return STATUS_INVALID;
    struct bytes text =
        bytes_of(secret.data + SECRET_PREFIX_CHARS, secret.len - SECRET_PREFIX_CHARS);
    /* Room beforehand, so that growing leaves no copy of the key behind. */
    if (buf_reserve(ret_key, SECRET_CHARS_MAX) != STATUS_OK)
        return ret_key->status;
    enum status status = base64_decode(ret_key, text);
    if (status != STATUS_OK)
        return status;
    bool is_fit = ret_key->len >= SECRET_BYTES_MIN && ret_key->len <= SECRET_BYTES_MAX;
    return is_fit ? STATUS_OK : STATUS_INVALID;
}

enum status webhook_secret_check(struct bytes secret)
{
    CLEANUP(secret_buf_fini) struct buf key = {0};
    return secret_decode(secret, &key);
}

static struct bytes timestamp_text(int64_t timestamp_s, char out[24])
{
    int len = snprintf(out, 24, "%lld", (long long)timestamp_s);
    return bytes_of(out, (size_t)len);
}

static void hex_of(const uint8_t mac[SHA256_BYTES], char ret_hex[65])
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret_hex[2 * i] = DIGITS[mac[i] >> 4];
        ret_hex[2 * i + 1] = DIGITS[mac[i] & 15];
    }
    ret_hex[2 * SHA256_BYTES] = '\0';
}

void signature_postern(struct bytes secret, int64_t timestamp_s, struct bytes body,
                       char ret_hex[65])
{
    char digits[24];
    struct bytes parts[] = {timestamp_text(timestamp_s, digits), bytes_of(".", 1), body};
    uint8_t mac[SHA256_BYTES];
    hmac_sha256(secret, parts, 3, mac);
    hex_of(mac, ret_hex);
}

/* STATUS_INVALID: no well-formed secret. */
static enum status standard_mac(struct bytes secret, struct bytes id, int64_t timestamp_s,
                                struct bytes body, uint8_t ret_mac[SHA256_BYTES])
{
    CLEANUP(secret_buf_fini) struct buf key = {0};
    enum status status = secret_decode(secret, &key);
    if (status != STATUS_OK)
        return status;
    char digits[24];
    struct bytes dot = bytes_of(".", 1);
    struct bytes parts[] = {id, dot, timestamp_text(timestamp_s, digits), dot, body};
    hmac_sha256(buf_bytes(&key), parts, 5, ret_mac);
    return STATUS_OK;
}

void signature_standard(const struct bytes *secrets, size_t secret_count, struct bytes id,
                        int64_t timestamp_s, struct bytes body, struct buf *out)
{
    bool is_first = true;
    for (size_t i = 0; i < secret_count; i++) {
        uint8_t mac[SHA256_BYTES];
        if (standard_mac(secrets[i], id, timestamp_s, body, mac) != STATUS_OK)
            continue; /* such a secret is refused when it is set; the other one still signs */
        buf_put_str(out, is_first ? VERSION_PREFIX : " " VERSION_PREFIX);
        base64_encode(out, bytes_of(mac, sizeof mac));
        is_first = false;
    }
}

static bool is_within(int64_t timestamp_s, int64_t now_s, int64_t tolerance_s)
{
    int64_t age_s;
    if (__builtin_sub_overflow(now_s, timestamp_s, &age_s))
        return false;
    return age_s <= tolerance_s && age_s >= -tolerance_s;
}

enum signature_verdict signature_verify(struct bytes secret, int64_t timestamp_s, int64_t now_s,
                                        int64_t tolerance_s, struct bytes body,
                                        struct bytes signature_hex)
{
    CLEANUP(buf_fini) struct buf given = {0};
    if (hex_decode(&given, signature_hex) != STATUS_OK || given.len != SHA256_BYTES)
        return SIGNATURE_MALFORMED;
    char digits[24];
    struct bytes parts[] = {timestamp_text(timestamp_s, digits), bytes_of(".", 1), body};
    uint8_t mac[SHA256_BYTES];
    hmac_sha256(secret, parts, 3, mac);
    if (!secret_equal(bytes_of(mac, sizeof mac), buf_bytes(&given)))
        return SIGNATURE_BAD;
    return is_within(timestamp_s, now_s, tolerance_s) ? SIGNATURE_GOOD : SIGNATURE_TOO_OLD;
}

/* The next space-separated item of the list; false: none left. */
static bool list_next(struct bytes *inout_list, struct bytes *ret_item)
{
    struct bytes list = *inout_list;
    while (list.len && list.data[0] == ' ')
        list = bytes_of(list.data + 1, list.len - 1);
    if (!list.len)
        return false;
    const uint8_t *space = memchr(list.data, ' ', list.len);
    size_t len = space ? (size_t)(space - list.data) : list.len;
    *ret_item = bytes_of(list.data, len);
    *inout_list = bytes_of(list.data + len, list.len - len);
    return true;
}

enum signature_verdict signature_standard_verify(struct bytes secret, struct bytes id,
                                                 int64_t timestamp_s, int64_t now_s,
                                                 int64_t tolerance_s, struct bytes body,
                                                 struct bytes signatures)
{
    uint8_t mac[SHA256_BYTES];
    if (standard_mac(secret, id, timestamp_s, body, mac) != STATUS_OK)
        return SIGNATURE_MALFORMED;
    enum signature_verdict verdict = SIGNATURE_MALFORMED;
    struct bytes item;
    while (list_next(&signatures, &item)) {
        const size_t prefix = strlen(VERSION_PREFIX);
        if (item.len < prefix || memcmp(item.data, VERSION_PREFIX, prefix) != 0)
            continue; /* another version, such as an asymmetric one */
        CLEANUP(buf_fini) struct buf given = {0};
        if (base64_decode(&given, bytes_of(item.data + prefix, item.len - prefix)) != STATUS_OK ||
            given.len != SHA256_BYTES)
            continue;
        if (secret_equal(bytes_of(mac, sizeof mac), buf_bytes(&given)))
            return is_within(timestamp_s, now_s, tolerance_s) ? SIGNATURE_GOOD : SIGNATURE_TOO_OLD;
        verdict = SIGNATURE_BAD;
    }
    return verdict;
}

/*
 * Design: one row per system. A dialect is an extra: it never takes the contract's headers away, so
 * that an endpoint with a wrong dialect can still be verified by the documented ones.
 */
#include "ingest/deliver/dialects.h"

#include "base/digest.h"
#include "base/encode.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

static const struct dialect DIALECTS[] = {
    {.name = "standard",
     .header = "",
     .lead = "",
     .content_lead = "",
     .separator = '.',
     .content = DIALECT_TIMESTAMP_BODY},
    {.name = "github", .header = "X-Hub-Signature-256", .lead = "sha256=", .content_lead = ""},
    {.name = "shopify",
     .header = "X-Shopify-Hmac-Sha256",
     .lead = "",
     .content_lead = "",
     .encoding = DIALECT_BASE64},
    {.name = "slack",
     .header = "X-Slack-Signature",
     .lead = "v0=",
     .content_lead = "v0:",
     .separator = ':',
     .content = DIALECT_TIMESTAMP_BODY,
     .timestamp_header = "X-Slack-Request-Timestamp"},
    {.name = "stripe",
     .header = "Stripe-Signature",
     .timestamp_lead = "t=",
     .lead = "v1=",
     .content_lead = "",
     .separator = '.',
     .content = DIALECT_TIMESTAMP_BODY,
     .has_each_secret = true},
};

static const char *const ENCODINGS[] = {[DIALECT_HEX] = "hex", [DIALECT_BASE64] = "base64"};
static const char *const CONTENTS[] = {[DIALECT_BODY] = "body",
                                       [DIALECT_TIMESTAMP_BODY] = "timestamp.body",
                                       [DIALECT_ID_TIMESTAMP_BODY] = "id.timestamp.body"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

const struct dialect *dialect_row(size_t i)
{
    return i < COUNT_OF(DIALECTS) ? &DIALECTS[i] : NULL;
}

static const struct dialect *dialect_find(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(DIALECTS); i++)
        if (strcmp(DIALECTS[i].name, *name ? name : "standard") == 0)
            return &DIALECTS[i];
    return NULL;
}

/* Index of the text; count: none such. */
static size_t index_of(const char *const *texts, size_t count, const char *text)
{
    size_t i = 0;
    while (i < count && strcmp(texts[i], text) != 0)
        i++;
    return i;
}

enum status dialect_resolve(const char *name, const char *header, const char *encoding,
                            const char *content, struct dialect *ret_dialect, struct err *err)
{
    const struct dialect *row = dialect_find(name);
    if (!row) {
        err_set(err, "there is no signature dialect \"%s\"", name);
        return STATUS_INVALID;
    }
    struct dialect dialect = *row;
    if (*header) {
        if (delivery_header_check(header, "", err) != STATUS_OK)
            return STATUS_INVALID;
        dialect.header = header;
    }
    if (*encoding) {
        size_t i = index_of(ENCODINGS, COUNT_OF(ENCODINGS), encoding);
        if (i == COUNT_OF(ENCODINGS)) {
            err_set(err, "a signature is encoded as hex or base64, not \"%s\"", encoding);
            return STATUS_INVALID;
        }
        dialect.encoding = (enum dialect_encoding)i;
    }
    if (*content) {
        size_t i = index_of(CONTENTS, COUNT_OF(CONTENTS), content);
        if (i == COUNT_OF(CONTENTS)) {
            err_set(err, "what is signed is body, timestamp.body or id.timestamp.body, not \"%s\"",
                    content);
            return STATUS_INVALID;
        }
        dialect.content = (enum dialect_content)i;
        dialect.separator = dialect.separator ? dialect.separator : '.';
    }
    *ret_dialect = dialect;
    return STATUS_OK;
}

static void put_mac(const struct dialect *dialect, struct bytes secret, struct bytes id,
                    struct bytes timestamp, struct bytes body, struct buf *out)
{
    struct bytes separator = bytes_of(&dialect->separator, 1);
    struct bytes parts[6];
    size_t count = 0;
    parts[count++] = bytes_of_str(dialect->content_lead);
    if (dialect->content == DIALECT_ID_TIMESTAMP_BODY) {
        parts[count++] = id;
        parts[count++] = separator;
    }
    if (dialect->content != DIALECT_BODY) {
        parts[count++] = timestamp;
        parts[count++] = separator;
    }
    parts[count++] = body;
    uint8_t mac[SHA256_BYTES];
    hmac_sha256(secret, parts, count, mac);
    if (dialect->encoding == DIALECT_BASE64)
        base64_encode(out, bytes_of(mac, sizeof mac));
    else
        hex_encode(out, bytes_of(mac, sizeof mac));
}

void dialect_put(const struct dialect *dialect, const struct bytes *secrets, size_t secret_count,
                 struct bytes id, int64_t timestamp_s, struct bytes body, struct buf *out)
{
    if (!*dialect->header || secret_count == 0)
        return;
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)timestamp_s);
    struct bytes timestamp = bytes_of(digits, (size_t)len);

    buf_put_str(out, dialect->header);
    buf_put_str(out, ": ");
    bool has_more = false;
    if (dialect->timestamp_lead) {
        buf_put_str(out, dialect->timestamp_lead);
        buf_put_bytes(out, timestamp);
        has_more = true;
    }
    size_t count = dialect->has_each_secret ? secret_count : 1;
    for (size_t i = 0; i < count; i++) {
        buf_put_str(out, has_more ? "," : "");
        buf_put_str(out, dialect->lead);
        put_mac(dialect, secrets[i], id, timestamp, body, out);
        has_more = true;
    }
    buf_put_str(out, "\r\n");
    if (dialect->timestamp_header) {
        buf_put_str(out, dialect->timestamp_header);
        buf_put_str(out, ": ");
        buf_put_bytes(out, timestamp);
        buf_put_str(out, "\r\n");
    }
}

/* Those that HTTP's framing needs (RFC 9110, 9113 section 8.2.2), and those of contract section 4.
 */
static const char *const RESERVED[] = {
    "Connection",   "Content-Encoding", "Content-Length",
    "Content-Type", "Expect",           "Host",
    "Keep-Alive",   "Proxy-Connection", "TE",
    "Trailer",      "Upgrade",          "Transfer-Encoding",
    "User-Agent",   "HTTP2-Settings",
};
static const char *const RESERVED_LEADS[] = {"X-Webhook-", "webhook-", "Proxy-"};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(RESERVED); i++)
        if (strcasecmp(name, RESERVED[i]) == 0)
            return true;
    for (size_t i = 0; i < COUNT_OF(RESERVED_LEADS); i++)
        if (strncasecmp(name, RESERVED_LEADS[i], strlen(RESERVED_LEADS[i])) == 0)
            return true;
    return false;
}

enum status delivery_header_check(const char *name, const char *value, struct err *err)
{
    static const char SYMBOLS[] = "!#$%&'*+-.^_`|~"; /* tchar, RFC 9110 section 5.6.2 */
    bool is_token = *name != '\0';
    for (const char *c = name; *c; c++)
        is_token = is_token && ((unsigned char)*c < 0x80) &&
                   (isalnum((unsigned char)*c) || strchr(SYMBOLS, *c));
    if (!is_token) {
        err_set(err, "\"%s\" is not a header name", name);
        return STATUS_INVALID;
    }
    if (is_reserved(name)) {
        err_set(err, "the header %s is set by Postern itself", name);
        return STATUS_INVALID;
    }
    for (const char *c = value; *c; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f) {
            err_set(err, "the value of the header %s has a control character", name);
            return STATUS_INVALID;
        }
    return STATUS_OK;
}

/*
 * verify: the signature of one delivery, for people who write receivers. A wrong one is compared
 * with what the usual mistakes would give, and the mistake is named.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "ingest/deliver/signature.h"
#include "schemas/json.h"
#include "schemas/json_write.h"
#include "tools/commands.h"
#include "tools/input.h"

#include <stdio.h>

/* A timestamp above this is none in seconds: the year 5138. */
#define MILLISECONDS_FROM INT64_C(99999999999)

struct verification {
    struct bytes secret, id, signature, body;
    int64_t timestamp_s, now_s, tolerance_s;
};

static bool is_standard(const struct verification *v)
{
    return v->signature.len > 3 && !memcmp(v->signature.data, "v1,", 3);
}

static enum signature_verdict verdict_of(const struct verification *v)
{
    if (is_standard(v))
        return signature_standard_verify(v->secret, v->id, v->timestamp_s, v->now_s, v->tolerance_s,
                                         v->body, v->signature);
    return signature_verify(v->secret, v->timestamp_s, v->now_s, v->tolerance_s, v->body,
                            v->signature);
}

static bool is_good_with_body(const struct verification *v, struct bytes body)
{
    struct verification other = *v;
    other.body = body;
    return verdict_of(&other) == SIGNATURE_GOOD;
}

static bool is_good_decoded(const struct verification *v)
{
    CLEANUP(buf_fini) struct buf key = {0};
    CLEANUP(buf_fini) struct buf hex = {0};
    uint8_t mac[SHA256_BYTES];
    char timestamp[24];
    snprintf(timestamp, sizeof(timestamp), "%lld.", (long long)v->timestamp_s);
    if (v->secret.len < 6 ||
        base64_decode(&key, bytes_of(v->secret.data + 6, v->secret.len - 6)) != STATUS_OK)
        return false;
    struct bytes parts[] = {bytes_of_str(timestamp), v->body};
    hmac_sha256(buf_bytes(&key), parts, 2, mac);
    hex_encode(&hex, bytes_of(mac, sizeof(mac)));
    return secret_equal(buf_bytes(&hex), v->signature);
}

static bool is_good_without_timestamp(const struct verification *v)
{
    CLEANUP(buf_fini) struct buf hex = {0};
    uint8_t mac[SHA256_BYTES];
    hmac_sha256(v->secret, &v->body, 1, mac);
    hex_encode(&hex, bytes_of(mac, sizeof(mac)));
    return secret_equal(buf_bytes(&hex), v->signature);
}

static struct bytes without_ends(struct bytes text, const char *ends, bool has_start)
{
    while (text.len && strchr(ends, text.data[text.len - 1]))
        text.len--;
    while (has_start && text.len && strchr(ends, text.data[0]))
        text = bytes_of(text.data + 1, text.len - 1);
    return text;
}

static bool is_good_with_secret(const struct verification *v, struct bytes secret)
{
    struct verification other = *v;
    other.secret = secret;
    return verdict_of(&other) == SIGNATURE_GOOD;
}

static bool is_good_at(const struct verification *v, int64_t timestamp_s)
{
    struct verification other = *v;
    other.timestamp_s = other.now_s = timestamp_s;
    return verdict_of(&other) == SIGNATURE_GOOD;
}

static bool is_good_with_line_break(const struct verification *v, const char *line_break)
{
    CLEANUP(buf_fini) struct buf longer = {0};
    buf_put_bytes(&longer, v->body);
    buf_put_str(&longer, line_break);
    return is_good_with_body(v, buf_bytes(&longer));
}

/* As Postern writes JSON: with no white space between. */
static bool is_good_compact(const struct verification *v)
{
    CLEANUP(buf_fini) struct buf compact = {0};
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    struct json_fault fault;
    if (json_scan(&doc, v->body, &fault) != STATUS_OK)
        return false;
    json_write(&doc, json_root(&doc), &compact);
    return is_good_with_body(v, buf_bytes(&compact));
}

static const char *body_mistake(const struct verification *v)
{
    struct bytes shorter = without_ends(v->body, "\r\n", false);
    if (shorter.len != v->body.len && is_good_with_body(v, shorter))
        return "it is the signature of the file without its line break at the end: save the body "
               "as it came";
    if (is_good_with_line_break(v, "\n") || is_good_with_line_break(v, "\r\n"))
        return "it is the signature of the file with a line break at its end: save the body as it "
               "came";
    if (is_good_compact(v))
        return "secret and timestamp are right, the body was reformatted: sign the bytes as they "
               "came, not the parsed and rewritten JSON";
    return NULL;
}

static const char *likely_mistake(const struct verification *v)
{
    struct bytes trimmed = without_ends(v->secret, " \t\r\n\"'", true);
    if (trimmed.len != v->secret.len && is_good_with_secret(v, trimmed))
        return "body and timestamp are right, the secret has white space or quotes around it";
    if (webhook_secret_check(v->secret) != STATUS_OK)
        return "the secret is not whsec_ and base64, as `postern endpoints create` printed it";
    if (v->timestamp_s > MILLISECONDS_FROM && is_good_at(v, v->timestamp_s / 1000))
        return "secret and body are right, the timestamp is in milliseconds: it is Unix seconds";
    const char *mistake = body_mistake(v);
    if (mistake)
        return mistake;
    if (!is_standard(v) && is_good_decoded(v))
        return "it was made with the decoded secret: X-Webhook-Signature is keyed with the "
               "secret's characters as they stand, whsec_ and all";
    if (!is_standard(v) && is_good_without_timestamp(v))
        return "it was made over the body alone: what is signed is \"<timestamp>.<body>\"";
    return is_standard(v)
               ? "secret, id, timestamp and body must be exactly those of the delivery"
               : "secret, timestamp and body must be exactly those of the delivery, byte for byte";
}

static const char *reason_of(const struct verification *v, enum signature_verdict verdict)
{
    switch (verdict) {
    case SIGNATURE_GOOD:
        return NULL;
    case SIGNATURE_BAD:
        return likely_mistake(v);
    case SIGNATURE_TOO_OLD:
        return "the timestamp is further from now than --tolerance";
    case SIGNATURE_MALFORMED:
        break;
    }
    struct bytes trimmed = without_ends(v->secret, " \t\r\n\"'", true);
    if (trimmed.len != v->secret.len && is_good_with_secret(v, trimmed))
        return likely_mistake(v);
    return "X-Webhook-Signature is 64 hex digits, webhook-signature is v1, and base64; the secret "
           "is whsec_ and base64";
}

static int say_verdict(struct tool *tool, const struct verification *v)
{
    static const char *const WORDS[] = {
        [SIGNATURE_GOOD] = "good",
        [SIGNATURE_BAD] = "bad",
        [SIGNATURE_TOO_OLD] = "too old",
        [SIGNATURE_MALFORMED] = "malformed",
    };
    static const char *const COMPLAINTS[] = {
        [SIGNATURE_BAD] = "the signature does not match: ",
        [SIGNATURE_TOO_OLD] = "",
        [SIGNATURE_MALFORMED] = "the signature is malformed: ",
    };
    enum signature_verdict verdict = verdict_of(v);
    const char *reason = reason_of(v, verdict);
    int64_t seconds = v->timestamp_s;
    if (seconds > MILLISECONDS_FROM)
        seconds /= 1000;
    output_item_begin(tool->out);
    output_str(tool->out, "signature", WORDS[verdict]);
    output_str(tool->out, "kind", is_standard(v) ? "webhook-signature" : "X-Webhook-Signature");
    output_time(tool->out, "timestamp", seconds < MILLISECONDS_FROM ? seconds * SECOND_MS : 0);
    output_number(tool->out, "ageSeconds", tool->now_ms / SECOND_MS - seconds);
    output_str(tool->out, "reason", reason);
    output_item_end(tool->out);
    return verdict == SIGNATURE_GOOD ? DONE : complain("%s%s", COMPLAINTS[verdict], reason);
}

int verify_command(struct tool *tool, const struct args *args)
{
    CLEANUP(buf_fini) struct buf file = {0};
    struct verification v = {
        .secret = bytes_of_str(args_text(args, "secret")),
        .id = bytes_of_str(args_text(args, "id")),
        .signature = bytes_of_str(args_text(args, "signature")),
        .timestamp_s = args_number(args, "timestamp", 0),
        .now_s = tool->now_ms / SECOND_MS,
    };
    v.tolerance_s = args_number(args, "tolerance", 0) / SECOND_MS;
    if (!args_has(args, "tolerance"))
        v.now_s = v.timestamp_s; /* a delivery may be looked at long after it came */
    if (is_standard(&v) && !v.id.len)
        return complain_usage(args, "webhook-signature covers the webhook-id too: --id ID");
    if (input_read(args_argument(args, 0), &file) != DONE)
        return FAILED;
    v.body = buf_bytes(&file);
    return say_verdict(tool, &v);
}

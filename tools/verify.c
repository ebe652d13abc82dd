/*
 * verify: the signature of one delivery, for people who write receivers. A wrong one is compared
 * with what the usual mistakes would give, and the mistake is named.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/encode.h"
#include "ingest/deliver/signature.h"
#include "tools/commands.h"
#include "tools/input.h"

#include <stdio.h>

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

static const char *likely_mistake(const struct verification *v, const struct buf *file)
{
    struct bytes shorter = v->body;
    if (webhook_secret_check(v->secret) != STATUS_OK)
        return "the secret is not whsec_ and base64, as `postern endpoints create` printed it";
    while (shorter.len &&
           (shorter.data[shorter.len - 1] == '\n' || shorter.data[shorter.len - 1] == '\r'))
        shorter.len--;
    if (shorter.len != file->len && is_good_with_body(v, shorter))
        return "it is the signature of the file without its line break at the end: save the body "
               "as it came";
    if (!is_standard(v) && is_good_decoded(v))
        return "it was made with the decoded secret: X-Webhook-Signature is keyed with the "
               "secret's characters as they stand, whsec_ and all";
    if (!is_standard(v) && is_good_without_timestamp(v))
        return "it was made over the body alone: what is signed is \"<timestamp>.<body>\"";
    return is_standard(v)
               ? "secret, id, timestamp and body must be exactly those of the delivery"
               : "secret, timestamp and body must be exactly those of the delivery, byte for byte";
}

static int say_verdict(struct tool *tool, const struct verification *v, const struct buf *file)
{
    static const char *const WORDS[] = {
        [SIGNATURE_GOOD] = "good",
        [SIGNATURE_BAD] = "bad",
        [SIGNATURE_TOO_OLD] = "too old",
        [SIGNATURE_MALFORMED] = "malformed",
    };
    enum signature_verdict verdict = verdict_of(v);
    output_item_begin(tool->out);
    output_str(tool->out, "signature", WORDS[verdict]);
    output_str(tool->out, "kind", is_standard(v) ? "webhook-signature" : "X-Webhook-Signature");
    output_item_end(tool->out);
    switch (verdict) {
    case SIGNATURE_GOOD:
        return DONE;
    case SIGNATURE_BAD:
        return complain("the signature does not match: %s", likely_mistake(v, file));
    case SIGNATURE_TOO_OLD:
        return complain("the timestamp is further from now than --tolerance");
    case SIGNATURE_MALFORMED:
        break;
    }
    return complain("the signature is malformed: X-Webhook-Signature is 64 hex digits, "
                    "webhook-signature is v1, and base64; the secret is whsec_ and base64");
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
    return say_verdict(tool, &v, &file);
}

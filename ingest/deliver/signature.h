/*
 * signature: how a delivery is signed and dressed, as data: one table of dialects (contract section
 * 4, and what receivers written for other systems expect). Pure.
 *
 * X-Webhook-Signature: hex HMAC-SHA256(secret's characters as they stand, "<timestamp>.<body>").
 * Standard Webhooks: "v1," base64 HMAC-SHA256(decoded secret, "<id>.<timestamp>.<body>").
 */
#pragma once

#include "base/bytes.h"

#define WEBHOOK_SECRET_CHARS 50 /* "whsec_" and base64 of 32 bytes */

/* "whsec_…" of 32 random bytes. */
void webhook_secret_generate(char ret_text[WEBHOOK_SECRET_CHARS + 1]);
/* STATUS_INVALID: not "whsec_" and base64 of 24 to 64 bytes. */
MUST_CHECK enum status webhook_secret_check(struct bytes secret);

/* 64 hex characters and a terminator. */
void signature_postern(struct bytes secret, int64_t timestamp_s, struct bytes body,
                       char ret_hex[65]);
/* One "v1,…" per secret, separated by spaces, appended. */
void signature_standard(const struct bytes *secrets, size_t secret_count, struct bytes id,
                        int64_t timestamp_s, struct bytes body, struct buf *out);

/* What is wrong with a received signature, for `postern verify` and `postern listen`. */
enum signature_verdict { SIGNATURE_GOOD, SIGNATURE_BAD, SIGNATURE_TOO_OLD, SIGNATURE_MALFORMED };
enum signature_verdict signature_verify(struct bytes secret, int64_t timestamp_s, int64_t now_s,
                                        int64_t tolerance_s, struct bytes body,
                                        struct bytes signature_hex);
enum signature_verdict signature_standard_verify(struct bytes secret, struct bytes id,
                                                 int64_t timestamp_s, int64_t now_s,
                                                 int64_t tolerance_s, struct bytes body,
                                                 struct bytes signatures);

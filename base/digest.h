/*
 * digest: SHA-256 and HMAC-SHA256 (OpenSSL), constant-time comparison, and memory that is wiped.
 */
#pragma once

#include "base/bytes.h"

#define SHA256_BYTES 32

void sha256(struct bytes in, uint8_t ret_digest[SHA256_BYTES]);
/* Over the concatenation of `count` parts, each preceded by its u64 length (no ambiguity). */
void sha256_parts(const struct bytes *parts, size_t count, uint8_t ret_digest[SHA256_BYTES]);
/* Over the plain concatenation of `count` parts. */
void hmac_sha256(struct bytes key, const struct bytes *parts, size_t count,
                 uint8_t ret_mac[SHA256_BYTES]);

/* Equal length and content; time depends on the length alone. */
bool secret_equal(struct bytes a, struct bytes b);
/* Not optimised away. */
void secret_wipe(void *data, size_t len);

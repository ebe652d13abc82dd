/*
 * idempotency: what was answered to a request with an Idempotency-Key, for 24 hours per API key.
 *
 * The keys are random, so rows lie in buckets of two hours of their creation: inserts touch one
 * small tree range, and expiry drops whole buckets. A look-up asks each live bucket.
 */
#pragma once

#include "base/digest.h"
#include "storage/store.h"

#define IDEMPOTENCY_KEEP_MS (24 * 60 * 60 * INT64_C(1000))

struct idempotent_answer {
    uint8_t fingerprint[SHA256_BYTES]; /* of method, path, precondition and body */
    uint16_t http_status;
    int64_t at_ms;
    struct bytes content_type;
    struct bytes etag; /* empty: none */
    struct bytes body; /* view; lives until the transaction ends */
};

/* STATUS_NOT_FOUND: not used in the last 24 hours. */
MUST_CHECK enum status idempotency_find(struct txn *txn, uint32_t key_number,
                                        const uint8_t name_hash[SHA256_BYTES],
                                        struct idempotent_answer *ret_answer);
void idempotency_put(struct txn *txn, uint32_t key_number, const uint8_t name_hash[SHA256_BYTES],
                     const struct idempotent_answer *answer);
/* Drop expired buckets, at most `rows_max` rows; true: there may be more. */
bool idempotency_prune(struct txn *txn, uint32_t rows_max);

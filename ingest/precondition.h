/*
 * precondition: what request headers ask for beside the body: If-Match, If-None-Match,
 * Idempotency-Key, Prefer, and the content type. Pure.
 */
#pragma once

#include "ingest/submission.h"

/* If-Match and If-None-Match (RFC 9110 sections 13.1.1 and 13.1.2; for writes only "*" makes sense
 * of the latter). Weak and foreign tags never match. STATUS_INVALID: malformed. */
MUST_CHECK enum status precondition_parse(struct bytes if_match, struct bytes if_none_match,
                                          struct precondition *ret_precondition);

/* Does it hold for a record with that current revision? 0: there is no record. */
bool precondition_allows(const struct precondition *precondition, uint32_t revision);

#define IDEMPOTENCY_KEY_MAX 255
/* The key, bare or as a structured field string (draft-ietf-httpapi-idempotency-key-header).
 * Borrows from the header, unless it has escapes: then from `scratch`. STATUS_INVALID: empty, too
 * long, or other than printable ASCII. */
MUST_CHECK enum status idempotency_key_parse(struct bytes header, struct buf *scratch,
                                             struct bytes *ret_key);

/* Does Prefer (RFC 7240) say handling=strict? */
bool prefer_is_strict(struct bytes prefer);

enum content_kind { CONTENT_OTHER, CONTENT_JSON, CONTENT_NDJSON };
/* application/json, any +json, application/x-ndjson; parameters are ignored, a charset other than
 * UTF-8 is not. */
enum content_kind content_kind_of(struct bytes content_type);

/*
 * dialects: how other systems sign their webhooks, as data. An endpoint whose receiver was written
 * for one of them gets that header as well; the headers of contract section 4 are always sent.
 * Pure. To add a dialect, add its row in dialects.c.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

enum dialect_encoding { DIALECT_HEX, DIALECT_BASE64 };
enum dialect_content { DIALECT_BODY, DIALECT_TIMESTAMP_BODY, DIALECT_ID_TIMESTAMP_BODY };

struct dialect {
    const char *name;   /* what an endpoint's `signature` says */
    const char *header; /* "" adds nothing: the contract's own headers say it all */
    /* Header value: `timestamp_lead` and the timestamp if set, then `lead` and the MAC. */
    const char *timestamp_lead; /* "t=" or NULL */
    const char *lead;           /* "sha256=" */
    const char *content_lead;   /* signed before everything else: "v0:" */
    char separator;             /* between the parts that are signed */
    enum dialect_encoding encoding;
    enum dialect_content content;
    const char *timestamp_header; /* one more header with the timestamp, or NULL */
    bool has_each_secret;         /* one MAC per live secret, separated by commas; else the first */
};

/* The row of that name ("" is "standard") with what the endpoint sets itself laid over it; empty
 * texts change nothing. `encoding` is "hex" or "base64", `content` is "body", "timestamp.body" or
 * "id.timestamp.body". The result borrows `header`. STATUS_INVALID. */
MUST_CHECK enum status dialect_resolve(const char *name, const char *header, const char *encoding,
                                       const char *content, struct dialect *ret_dialect,
                                       struct err *err);

/* Append the dialect's header lines, each "Name: value\r\n"; nothing for "standard". The key is the
 * secret's characters as they stand. */
void dialect_put(const struct dialect *dialect, const struct bytes *secrets, size_t secret_count,
                 struct bytes id, int64_t timestamp_s, struct bytes body, struct buf *out);

/* Row i for help and documentation; NULL: no more. */
const struct dialect *dialect_row(size_t i);

/* May an endpoint set this header itself? A token, none of those that Postern or HTTP needs, and a
 * value without control characters. STATUS_INVALID; `err` says why. */
MUST_CHECK enum status delivery_header_check(const char *name, const char *value, struct err *err);

/*
 * encode: bytes to text and back: hex, base64 (RFC 4648 section 4, padded), base62, CRC-32.
 */
#pragma once

#include "base/bytes.h"

void hex_encode(struct buf *out, struct bytes in); /* lower case */
/* Accepts both cases. STATUS_INVALID: odd length or another character. */
MUST_CHECK enum status hex_decode(struct buf *out, struct bytes text);

void base64_encode(struct buf *out, struct bytes in);
/* Strict: padding required, no white space, no stray bits. STATUS_INVALID otherwise. */
MUST_CHECK enum status base64_decode(struct buf *out, struct bytes text);

/* `digits` base62 characters (0-9A-Za-z) of value, most significant first, zero padded. */
void base62_encode(struct buf *out, uint64_t value, unsigned digits);
extern const char BASE62[63];

/* CRC-32 (ISO-HDLC, as zlib and Ethernet). */
uint32_t crc32_of(struct bytes in);

/* RFC 3986 percent-decoding of a path segment or query value ('+' stays '+').
 * STATUS_INVALID: a broken escape or an encoded NUL. */
MUST_CHECK enum status percent_decode(struct buf *out, struct bytes text);

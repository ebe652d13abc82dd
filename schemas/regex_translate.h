/*
 * regex_translate: an ECMA-262 pattern (with the `u` flag) in PCRE2's syntax. Used by regex.c only.
 *
 * Accepted beyond the `u` grammar, because schemas in the field have it and the meaning is plain:
 * an escaped ASCII punctuation mark anywhere (\- \@), and a '-' next to a class escape ([\w-.]).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

/* Append the translation. STATUS_INVALID: not a pattern, the message says why and where. */
MUST_CHECK enum status regex_translate(struct bytes pattern, struct buf *out, struct err *err);

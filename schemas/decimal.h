/*
 * decimal: JSON numbers by value, from their digits: exact where a double is not.
 *
 * Numbers here are the text of a JSON number, already known to be well-formed. No allocation;
 * work is linear in the digits; exponents beyond int32 are clamped (nothing a document can hold
 * within a double's range comes near).
 */
#pragma once

#include "base/bytes.h"

/* -1, 0, 1. 1.0 equals 1e0 equals 1. */
int decimal_compare(struct bytes a, struct bytes b);
/* Mathematically an integer: 1.0 and 1e3 are. */
bool decimal_is_integer(struct bytes number);
/* Is `number` a multiple of `divisor` (greater than zero), exactly? */
bool decimal_is_multiple(struct bytes number, struct bytes divisor);
/* Does some double have exactly this shortest form; that is, does a parse to double and
 * re-serialisation keep the value that the digits name? False for 9007199254740993. */
bool decimal_fits_double(struct bytes number);
/* Non-negative integer value for array sizes and the like; UINT64_MAX where larger. False: negative
 * or no integer. */
bool decimal_to_u64(struct bytes number, uint64_t *ret_value);

/*
 * decimal: JSON numbers by value, from their digits: exact where a double is not.
 *
 * Numbers here are the text of a JSON number, already known to be well-formed. No allocation;
 * work is linear in the digits; exponents beyond int32 are clamped (nothing a document can hold
 * within a double's range comes near). Any thread.
 */
#pragma once

#include "base/bytes.h"

/* A number is ±0.d1d2d3… × 10^point, and neither the first digit nor the last is 0. */
struct decimal {
    const uint8_t *first, *end; /* the significant digits in the text, a '.' among them perhaps */
    size_t digit_count;         /* 0: the number is zero, and nothing else here is set */
    int64_t point;
    bool is_negative;
};
struct decimal decimal_of(struct bytes number);

/* -1, 0, 1. 1.0 equals 1e0 equals 1. */
int decimal_compare(struct bytes a, struct bytes b);

/* A number that many are compared with. Mostly both are short, and two words are compared. */
struct decimal_limit {
    struct bytes text;  /* borrowed */
    bool is_short;      /* at most nine digits before the point and behind it, and no exponent */
    int64_t billionths; /* of a short one: the exact value */
};
struct decimal_limit decimal_limit_of(struct bytes number);
/* As decimal_compare. */
int decimal_compare_limit(struct bytes number, const struct decimal_limit *limit);

/* Mathematically an integer: 1.0 and 1e3 are. */
bool decimal_is_integer(struct bytes number);
/* Is `number` a multiple of `divisor` (greater than zero), exactly? A divisor of more than 2,000
 * significant digits divides nothing but zero. */
bool decimal_is_multiple(struct bytes number, struct bytes divisor);
/* Does the nearest double (round to even) exist, that is, is it finite? True for 1e-400. */
bool decimal_is_in_range(struct bytes number);
/* Non-negative integer value for array sizes and the like; UINT64_MAX where larger. False: negative
 * or no integer. */
bool decimal_to_u64(struct bytes number, uint64_t *ret_value);

/* --- decimal_double.c ------------------------------------------------------------------------ */

/* Does some double have exactly this shortest form; that is, does a parse to double and
 * re-serialisation keep the value that the digits name? False for 9007199254740993. */
bool decimal_fits_double(struct bytes number);

/* The fewest digits that read back as the same double, and of these the nearest to it: what
 * ECMA-262's Number::toString writes. The same form as struct decimal. */
#define DOUBLE_DIGITS_MAX 17
struct double_digits {
    char digits[DOUBLE_DIGITS_MAX];
    int count; /* 0: zero */
    int point;
    bool is_negative;
};
/* `value` is finite. */
struct double_digits double_digits_of(double value);
/* The digits of a number that fits a double; false where it does not. */
bool decimal_to_double_digits(struct bytes number, struct double_digits *ret_digits);

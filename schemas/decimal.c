/*
 * A number is its sign, its significant digits (no zeros at either end) and the power of ten of the
 * first one; zero has no digits. Comparing two is comparing that. The digits stay in the text: a
 * `struct decimal` only knows where they lie, around a decimal point that is passed over.
 */
#include "schemas/decimal.h"

#include <stdio.h>
#include <stdlib.h>

struct decimal {
    const uint8_t *first, *end; /* from the first to behind the last significant digit */
    size_t digits;              /* significant ones */
    int64_t point;              /* value is 0.d1d2d3… times ten to this */
    bool is_negative;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static int64_t read_exponent(const uint8_t *at, const uint8_t *end)
{
    bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t exponent = 0;
    for (; at < end && exponent < INT32_MAX; at++)
        exponent = exponent * 10 + (*at - '0');
    return is_negative ? -exponent : exponent;
}

static struct decimal decimal_of(struct bytes number)
{
    struct decimal d = {0};
    const uint8_t *at = number.data, *end = number.data + number.len;
    if (at < end && *at == '-') {
        d.is_negative = true;
        at++;
    }
    const uint8_t *mantissa_end = at;
    while (mantissa_end < end && (is_digit(*mantissa_end) || *mantissa_end == '.'))
        mantissa_end++;
    int64_t integer_digits = 0; /* from the first significant digit to the point; may be negative */
    bool is_behind_point = false;
    size_t zeros = 0; /* zeros seen since the last non-zero digit */
    for (; at < mantissa_end; at++) {
        if (*at == '.') {
            is_behind_point = true;
            continue;
        }
        if (*at == '0' && d.digits == 0) {
            integer_digits -= is_behind_point;
            continue;
        }
        integer_digits += !is_behind_point;
        if (d.digits == 0)
            d.first = at;
        if (*at == '0') {
            zeros++;
            continue;
        }
        d.digits += zeros + 1;
        zeros = 0;
        d.end = at + 1;
    }
    if (d.digits == 0)
        return (struct decimal){0};
    d.point = integer_digits;
    if (mantissa_end < end)
        d.point += read_exponent(mantissa_end + 1, end);
    return d;
}

/* The digits one after the other; '0' for ever behind the last. */
struct digit_reader {
    const uint8_t *at, *end;
};

static uint8_t next_digit(struct digit_reader *reader)
{
    if (reader->at < reader->end && *reader->at == '.')
        reader->at++;
    return reader->at < reader->end ? *reader->at++ : '0';
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b)
{
    if (a->digits == 0 || b->digits == 0)
        return (a->digits != 0) - (b->digits != 0);
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    struct digit_reader x = {a->first, a->end}, y = {b->first, b->end};
    size_t digits = a->digits > b->digits ? a->digits : b->digits;
    for (size_t i = 0; i < digits; i++) {
        int order = (int)next_digit(&x) - (int)next_digit(&y);
        if (order != 0)
            return order < 0 ? -1 : 1;
    }
    return 0;
}

int decimal_compare(struct bytes a, struct bytes b)
{
    struct decimal x = decimal_of(a), y = decimal_of(b);
    if (x.is_negative != y.is_negative)
        return x.is_negative ? -1 : 1;
    int order = compare_magnitude(&x, &y);
    return x.is_negative ? -order : order;
}

bool decimal_is_integer(struct bytes number)
{
    struct decimal d = decimal_of(number);
    return d.digits == 0 || d.point >= (int64_t)d.digits;
}

/*
 * Both as whole numbers times a common power of ten: is the first a multiple of the second? The
 * divisor's digits may be many, so the remainder is kept as decimal digits of its own: schoolbook
 * long division by repeated subtraction, at most nine a digit. Bounded: operands of more than
 * DIVISION_DIGITS_MAX digits in all are not multiples of each other in any honest schema.
 */
#define DIVISION_DIGITS_MAX 4096

/* remainder[0..len) >= divisor[0..len)? Both most significant first. */
static bool is_at_least(const uint8_t *remainder, const uint8_t *divisor, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (remainder[i] != divisor[i])
            return remainder[i] > divisor[i];
    }
    return true;
}

static void subtract(uint8_t *remainder, const uint8_t *divisor, size_t len)
{
    int borrow = 0;
    for (size_t i = len; i-- > 0;) {
        int digit = remainder[i] - divisor[i] - borrow;
        borrow = digit < 0;
        remainder[i] = (uint8_t)(digit + (borrow ? 10 : 0));
    }
}

/* Does the divisor's digit string divide digits(number) followed by `zeros` zeros? */
static bool divides(const struct decimal *number, size_t zeros, const struct decimal *divisor,
                    uint8_t *memory)
{
    size_t len = divisor->digits + 1; /* one more: the remainder before it is reduced */
    uint8_t *by = memory, *remainder = memory + len;
    struct digit_reader reader = {divisor->first, divisor->end};
    by[0] = 0;
    for (size_t i = 1; i < len; i++)
        by[i] = (uint8_t)(next_digit(&reader) - '0');
    memset(remainder, 0, len);
    reader = (struct digit_reader){number->first, number->end};
    for (size_t i = 0; i < number->digits + zeros; i++) {
        memmove(remainder, remainder + 1, len - 1);
        remainder[len - 1] = (uint8_t)(next_digit(&reader) - '0');
        while (is_at_least(remainder, by, len))
            subtract(remainder, by, len);
    }
    for (size_t i = 0; i < len; i++) {
        if (remainder[i] != 0)
            return false;
    }
    return true;
}

bool decimal_is_multiple(struct bytes number, struct bytes divisor)
{
    struct decimal n = decimal_of(number), d = decimal_of(divisor);
    if (n.digits == 0)
        return true;
    if (d.digits == 0)
        return false;
    /* n = N·10^a, d = D·10^b with whole N, D that do not end in zero. */
    int64_t a = n.point - (int64_t)n.digits, b = d.point - (int64_t)d.digits;
    int64_t zeros = a - b;
    if (zeros < 0) {
        /* N would have to supply factors of ten: it ends in no zero, so D·10^k divides N only if
         * the digits say so; N·10^a / (D·10^b) is whole only if 10^(b-a) divides N, which it
         * cannot. */
        return false;
    }
    if (zeros > DIVISION_DIGITS_MAX || n.digits > DIVISION_DIGITS_MAX ||
        d.digits > DIVISION_DIGITS_MAX / 2)
        return false;
    uint8_t memory[DIVISION_DIGITS_MAX + 2];
    return divides(&n, (size_t)zeros, &d, memory);
}

#define DOUBLE_DIGITS_SURE 15 /* that many digits always survive a double */
#define DOUBLE_TEXT_MAX 800   /* more digits than any double has */

bool decimal_fits_double(struct bytes number)
{
    struct decimal d = decimal_of(number);
    if (d.digits == 0)
        return true;
    if (d.digits <= DOUBLE_DIGITS_SURE && d.point > -290 && d.point < 300)
        return true;
    char text[DOUBLE_TEXT_MAX + 1];
    if (number.len > DOUBLE_TEXT_MAX)
        return false;
    memcpy(text, number.data, number.len);
    text[number.len] = '\0';
    double value = strtod(text, NULL);
    /* The shortest digits that read back as the same double, as JavaScript prints them. */
    for (int precision = 1; precision <= 17; precision++) {
        char shortest[40];
        int len = snprintf(shortest, sizeof shortest, "%.*e", precision - 1, value);
        if (strtod(shortest, NULL) == value)
            return decimal_compare(number, bytes_of(shortest, (size_t)len)) == 0;
    }
    return false;
}

bool decimal_to_u64(struct bytes number, uint64_t *ret_value)
{
    struct decimal d = decimal_of(number);
    *ret_value = 0;
    if (d.digits == 0)
        return true;
    if (d.is_negative || d.point < (int64_t)d.digits)
        return false;
    struct digit_reader reader = {d.first, d.end};
    for (int64_t i = 0; i < d.point; i++) {
        uint64_t digit = (uint64_t)(next_digit(&reader) - '0');
        if (i >= 20 || __builtin_mul_overflow(*ret_value, 10, ret_value) ||
            __builtin_add_overflow(*ret_value, digit, ret_value)) {
            *ret_value = UINT64_MAX;
            return true;
        }
    }
    return true;
}

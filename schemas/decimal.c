/*
 * Design: a number's digits stay where they are in the text; struct decimal says where the
 * significant ones lie and what they are worth, and a digit reader walks them, passing over the
 * point. Comparing two numbers is comparing sign, point and digits.
 *
 * Multiples: with the powers of ten taken out, both are whole numbers without zeros at the end, so
 * long division tells. It is done in machine words where the divisor fits, in decimal digits where
 * it does not. How much work that is depends on the divisor, which is the schema's: a number with
 * more digits behind the point than the divisor is no multiple at once.
 */
#include "schemas/decimal.h"

#include "base/must.h"

#define U64_DIGITS 20      /* of UINT64_MAX */
#define WORD_DIGITS_MAX 18 /* a divisor of so many leaves room for one more digit in 64 bits */
#define BILLIONTH_DIGITS 9
#define LONG_DIGITS_MAX 2000
#define EXPONENT_MAX INT32_MAX

/* 2^1024 - 2^970, an integer: halfway between the largest double and what would be the next. */
static const char DOUBLE_BOUND[] =
    "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664901797"
    "75872070963302864166928879109465555478519404026306574886715058206819089020007083836762738548"
    "45817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711"
    "559699508093042880177904174497792";
#define DOUBLE_BOUND_DIGITS (sizeof DOUBLE_BOUND - 1)

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* What stands behind an 'e'. */
static int64_t exponent_of(const uint8_t *at, const uint8_t *end)
{
    bool is_negative = at < end && *at == '-';
    int64_t exponent = 0;

    if (at < end && !is_digit(*at))
        at++;
    for (; at < end && exponent < EXPONENT_MAX; at++)
        exponent = exponent * 10 + (*at - '0');
    return is_negative ? -exponent : exponent;
}

struct decimal decimal_of(struct bytes number)
{
    const uint8_t *at = number.data, *end = at + number.len;
    struct decimal d = {0};
    bool is_behind_point = false;
    size_t zeros = 0; /* since the last digit that is none */

    d.is_negative = at < end && *at == '-';
    at += d.is_negative;
    for (; at < end && (is_digit(*at) || *at == '.'); at++) {
        if (*at == '.') {
            is_behind_point = true;
        } else if (*at == '0' && d.digit_count == 0) {
            d.point -= is_behind_point;
        } else {
            d.point += !is_behind_point;
            if (*at == '0') {
                zeros++;
                continue;
            }
            d.first = d.digit_count ? d.first : at;
            d.end = at + 1;
            d.digit_count += zeros + 1;
            zeros = 0;
        }
    }
    if (d.digit_count == 0)
        return (struct decimal){0};
    if (at < end)
        d.point += exponent_of(at + 1, end);
    return d;
}

/* The digits one by one, then zeros for ever. */
struct digit_reader {
    const uint8_t *at, *end;
};

static struct digit_reader reader_of(const struct decimal *d)
{
    return (struct digit_reader){d->first, d->end};
}

static uint8_t next_digit(struct digit_reader *reader)
{
    if (reader->at == reader->end)
        return 0;
    if (*reader->at == '.')
        reader->at++; /* never the last: a significant digit is */
    return (uint8_t)(*reader->at++ - '0');
}

static int compare_magnitudes(const struct decimal *a, const struct decimal *b)
{
    struct digit_reader x = reader_of(a), y = reader_of(b);
    size_t count = a->digit_count > b->digit_count ? a->digit_count : b->digit_count;

    if (a->digit_count == 0 || b->digit_count == 0)
        return (a->digit_count != 0) - (b->digit_count != 0);
    if (a->point != b->point)
        return a->point < b->point ? -1 : 1;
    for (size_t i = 0; i < count; i++) {
        int order = next_digit(&x) - next_digit(&y);

        if (order)
            return order < 0 ? -1 : 1;
    }
    return 0;
}

int decimal_compare(struct bytes a, struct bytes b)
{
    struct decimal x = decimal_of(a), y = decimal_of(b);
    int order;

    if (x.is_negative != y.is_negative)
        return x.is_negative ? -1 : 1;
    order = compare_magnitudes(&x, &y);
    return x.is_negative ? -order : order;
}

/* A number without exponent and with few digits is whole in billionths, and fits a word. */
static inline bool in_billionths(struct bytes number, int64_t *ret_value)
{
    static const int64_t POWERS[] = {1,      10,      100,      1000,      10000,
                                     100000, 1000000, 10000000, 100000000, 1000000000};
    size_t first = number.data[0] == '-', point = number.len, whole_digits, fraction_digits;
    int64_t value = 0;

    if (number.len > WORD_DIGITS_MAX)
        return false;
    for (size_t i = first; i < number.len; i++) {
        if (is_digit(number.data[i]))
            value = value * 10 + (number.data[i] - '0');
        else if (number.data[i] == '.')
            point = i;
        else
            return false;
    }
    whole_digits = point - first;
    fraction_digits = point < number.len ? number.len - point - 1 : 0;
    if (whole_digits > BILLIONTH_DIGITS || fraction_digits > BILLIONTH_DIGITS)
        return false;
    value *= POWERS[BILLIONTH_DIGITS - fraction_digits];
    *ret_value = first ? -value : value;
    return true;
}

struct decimal_limit decimal_limit_of(struct bytes number)
{
    struct decimal_limit limit = {.text = number};

    limit.is_short = in_billionths(number, &limit.billionths);
    return limit;
}

int decimal_compare_limit(struct bytes number, const struct decimal_limit *limit)
{
    int64_t value;

    if (limit->is_short && in_billionths(number, &value))
        return (value > limit->billionths) - (value < limit->billionths);
    return decimal_compare(number, limit->text);
}

bool decimal_is_integer(struct bytes number)
{
    struct decimal d = decimal_of(number);

    return d.digit_count == 0 || d.point >= (int64_t)d.digit_count;
}

bool decimal_is_in_range(struct bytes number)
{
    const uint8_t *bound_digits = (const uint8_t *)DOUBLE_BOUND;
    struct decimal d = decimal_of(number);
    struct decimal bound = {.first = bound_digits,
                            .end = bound_digits + DOUBLE_BOUND_DIGITS,
                            .digit_count = DOUBLE_BOUND_DIGITS,
                            .point = DOUBLE_BOUND_DIGITS};

    return d.point < bound.point || compare_magnitudes(&d, &bound) < 0;
}

bool decimal_to_u64(struct bytes number, uint64_t *ret_value)
{
    struct decimal d = decimal_of(number);
    struct digit_reader reader = reader_of(&d);
    uint64_t value = 0;

    *ret_value = 0;
    if (d.digit_count == 0)
        return true;
    if (d.is_negative || d.point < (int64_t)d.digit_count)
        return false;
    *ret_value = UINT64_MAX;
    if (d.point > U64_DIGITS)
        return true;
    for (int64_t i = 0; i < d.point; i++) {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, next_digit(&reader), &value))
            return true;
    }
    *ret_value = value;
    return true;
}

/* Does the divisor divide the number's digits with so many zeros behind them? */
static bool divides_in_words(const struct decimal *number, size_t zeros,
                             const struct decimal *divisor)
{
    struct digit_reader digits = reader_of(number), by_digits = reader_of(divisor);
    uint64_t by = 0, remainder = 0;

    for (size_t i = 0; i < divisor->digit_count; i++)
        by = by * 10 + next_digit(&by_digits);
    must(by > 0); /* it has significant digits */
    for (size_t i = 0; i < number->digit_count + zeros; i++)
        remainder = (remainder * 10 + next_digit(&digits)) % by;
    return remainder == 0;
}

/* Subtract if that leaves nothing negative. Digits, most significant first. */
static bool subtract(uint8_t *remainder, const uint8_t *by, size_t len)
{
    int borrow = 0;

    if (memcmp(remainder, by, len) < 0)
        return false;
    for (size_t i = len; i-- > 0;) {
        int digit = remainder[i] - by[i] - borrow;

        borrow = digit < 0;
        remainder[i] = (uint8_t)(digit + 10 * borrow);
    }
    return true;
}

static bool divides_in_digits(const struct decimal *number, size_t zeros,
                              const struct decimal *divisor)
{
    struct digit_reader digits = reader_of(number), by_digits = reader_of(divisor);
    size_t len = divisor->digit_count + 1; /* a remainder with one more digit drawn down */
    uint8_t by[LONG_DIGITS_MAX + 1] = {0}, remainder[LONG_DIGITS_MAX + 1] = {0};
    bool is_zero = true;

    for (size_t i = 1; i < len; i++)
        by[i] = next_digit(&by_digits);
    for (size_t i = 0; i < number->digit_count + zeros; i++) {
        memmove(remainder, remainder + 1, len - 1);
        remainder[len - 1] = next_digit(&digits);
        while (subtract(remainder, by, len))
            ;
    }
    for (size_t i = 0; i < len; i++)
        is_zero = is_zero && remainder[i] == 0;
    return is_zero;
}

bool decimal_is_multiple(struct bytes number, struct bytes divisor)
{
    struct decimal n = decimal_of(number), d = decimal_of(divisor);
    int64_t zeros;

    if (n.digit_count == 0)
        return true;
    if (d.digit_count == 0)
        return false;
    /* The last digits' powers of ten. What is left of the number ends in no zero, so no power of
     * ten divides it. */
    zeros = (n.point - (int64_t)n.digit_count) - (d.point - (int64_t)d.digit_count);
    if (zeros < 0)
        return false;
    /* Zeros supply twos and fives. The divisor has fewer of either than four for each digit. */
    if (zeros > (int64_t)d.digit_count * 4)
        zeros = (int64_t)d.digit_count * 4;
    if (d.digit_count <= WORD_DIGITS_MAX)
        return divides_in_words(&n, (size_t)zeros, &d);
    return d.digit_count <= LONG_DIGITS_MAX && divides_in_digits(&n, (size_t)zeros, &d);
}

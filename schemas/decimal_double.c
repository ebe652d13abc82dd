/*
 * Design: of at most 15 significant digits, every number comes back from a double as it was, and so
 * the digits are already what JavaScript would write: no conversion is made. That is nearly all
 * numbers of a business. For 16 and 17 digits the double is made and its shortest form looked for;
 * more than 17 digits never are one.
 *
 * The C library does the rounding (it is exact in both directions). Its decimal point depends on
 * the locale, so none is given to it: "123e-5" for 0.00123; and the one it writes is skipped.
 */
#include "schemas/decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SURE_DIGITS 15 /* DBL_DIG */
#define SURE_POINT 300 /* … of numbers that are not near the ends of the range */
#define POINT_MAX 400  /* beyond these ends */

/* The double nearest to 0.digits × 10^point. `point` is within ±POINT_MAX. */
static double read_back(const char *digits, int count, int64_t point)
{
    char text[DOUBLE_DIGITS_MAX + 8], *at = text;
    int exponent = (int)point - count;
    unsigned magnitude = exponent < 0 ? (unsigned)-exponent : (unsigned)exponent;

    memcpy(at, digits, (size_t)count); /* by hand: printf would take longer than strtod */
    at += count;
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    *at++ = (char)('0' + magnitude / 100);
    *at++ = (char)('0' + magnitude / 10 % 10);
    *at++ = (char)('0' + magnitude % 10);
    *at = '\0';
    return strtod(text, NULL);
}

static void strip_zeros(struct double_digits *d)
{
    while (d->count > 1 && d->digits[d->count - 1] == '0')
        d->count--;
}

/* The nearest number of `count` digits, be it the same double or not. */
static struct double_digits rounded(double value, int count)
{
    struct double_digits d = {.count = count};
    char text[DOUBLE_DIGITS_MAX + 16];
    const char *exponent;

    snprintf(text, sizeof text, "%.*e", count - 1, value);
    d.digits[0] = text[0];
    for (int i = 1; i < count; i++)
        d.digits[i] = text[i + 1]; /* text[1] is the decimal point */
    exponent = strchr(text, 'e');
    d.point = atoi(exponent + 1) + 1;
    return d;
}

/* One up in the last place. */
static struct double_digits next_above(struct double_digits d)
{
    int i = d.count - 1;

    for (; i >= 0 && d.digits[i] == '9'; i--)
        d.digits[i] = '0';
    if (i >= 0) {
        d.digits[i]++;
    } else {
        d.digits[0] = '1';
        d.point++;
    }
    return d;
}

/* Powers of two have more room above them than below: the nearest number of so many digits may lie
 * below and belong to the neighbour, while one above would do. */
static bool is_power_of_two(double value)
{
    int exponent;

    return frexp(value, &exponent) == 0.5;
}

static bool is_same_double(const struct double_digits *d, double value)
{
    return read_back(d->digits, d->count, d->point) == value;
}

struct double_digits double_digits_of(double value)
{
    double magnitude = fabs(value);
    /* Where 15 digits are sure, a shorter form would be them, with zeros at the end. */
    int count = magnitude < 1e-300 ? 1 : SURE_DIGITS;
    struct double_digits d = {0};

    if (magnitude == 0)
        return d;
    for (; count <= DOUBLE_DIGITS_MAX; count++) {
        d = rounded(magnitude, count);
        if (is_same_double(&d, magnitude))
            break;
        if (is_power_of_two(magnitude)) {
            d = next_above(d);
            if (is_same_double(&d, magnitude))
                break;
        }
    }
    strip_zeros(&d);
    d.is_negative = value < 0;
    return d;
}

/* Of a decimal with at most DOUBLE_DIGITS_MAX digits. */
static struct double_digits copy_digits(const struct decimal *decimal)
{
    struct double_digits d = {.point = (int)decimal->point, .is_negative = decimal->is_negative};

    for (const uint8_t *at = decimal->first; at < decimal->end; at++) {
        if (*at != '.')
            d.digits[d.count++] = (char)*at;
    }
    return d;
}

bool decimal_to_double_digits(struct bytes number, struct double_digits *ret_digits)
{
    struct decimal decimal = decimal_of(number);
    struct double_digits shortest;
    double value;

    *ret_digits = (struct double_digits){0};
    if (decimal.digit_count == 0)
        return true;
    if (decimal.digit_count > DOUBLE_DIGITS_MAX || llabs(decimal.point) > POINT_MAX)
        return false;
    *ret_digits = copy_digits(&decimal);
    if (decimal.digit_count <= SURE_DIGITS && llabs(decimal.point) < SURE_POINT)
        return true;
    value = read_back(ret_digits->digits, ret_digits->count, decimal.point);
    if (!isfinite(value) || value == 0)
        return false;
    shortest = double_digits_of(value);
    return shortest.count == ret_digits->count && shortest.point == ret_digits->point &&
           memcmp(shortest.digits, ret_digits->digits, (size_t)shortest.count) == 0;
}

bool decimal_fits_double(struct bytes number)
{
    struct double_digits digits;

    return decimal_to_double_digits(number, &digits);
}

/*
 * clock: calendar arithmetic is done here on the proleptic Gregorian calendar, not by libc: gmtime
 * and timegm know time zones, locales and a global state, all of which a stored time must not.
 */
#include "base/clock.h"

#include "base/must.h"

#include <stdio.h>
#include <time.h>

#define YEAR_9999_LAST_MS INT64_C(253402300799999)

static int64_t clock_read_ms(clockid_t id)
{
    struct timespec now;

    must(clock_gettime(id, &now) == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(void *context)
{
    (void)context;
    return clock_read_ms(CLOCK_REALTIME);
}

static int64_t system_monotonic_ms(void *context)
{
    (void)context;
    /* Not CLOCK_MONOTONIC: a retry that is due after a suspend is due. */
    return clock_read_ms(CLOCK_BOOTTIME);
}

const struct clock SYSTEM_CLOCK = {system_wall_ms, system_monotonic_ms, NULL};

static int64_t manual_wall_ms(void *context)
{
    return ((const struct manual_clock *)context)->wall_ms;
}

static int64_t manual_monotonic_ms(void *context)
{
    return ((const struct manual_clock *)context)->monotonic_ms;
}

struct clock manual_clock_view(struct manual_clock *manual)
{
    return (struct clock){manual_wall_ms, manual_monotonic_ms, manual};
}

void manual_clock_advance(struct manual_clock *manual, int64_t ms)
{
    manual->wall_ms += ms;
    manual->monotonic_ms += ms;
}

/*
 * Days since 1970-01-01. Years are counted from March, so that the leap day comes last and the
 * days before a month are (153 * m + 2) / 5.
 */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * m + 2) / 5 + day - 1;

    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* The inverse, for days from 1970 on. */
static void date_of_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    int64_t shifted = days + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t m = (5 * day_of_year + 2) / 153;

    *ret_day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
    *ret_month = (int)(m < 10 ? m + 3 : m - 9);
    *ret_year = (int)(era * 400 + year_of_era + (*ret_month <= 2));
}

int64_t stopwatch_us(void)
{
    struct timespec now;

    must(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

/* `digits` decimal digits of a value that has no more. */
static void put_digits(char *at, int value, int digits)
{
    for (int i = digits; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
}

void time_format(int64_t unix_ms, char ret_text[TIME_TEXT_BYTES])
{
    int year, month, day;

    if (unix_ms < 0)
        unix_ms = 0;
    if (unix_ms > YEAR_9999_LAST_MS)
        unix_ms = YEAR_9999_LAST_MS;
    date_of_days(unix_ms / DAY_MS, &year, &month, &day);
    int in_day_ms = (int)(unix_ms % DAY_MS);
    /* By hand: it stands in every answer. */
    memcpy(ret_text, "0000-00-00T00:00:00.000Z", TIME_TEXT_BYTES);
    put_digits(ret_text, year, 4);
    put_digits(ret_text + 5, month, 2);
    put_digits(ret_text + 8, day, 2);
    put_digits(ret_text + 11, in_day_ms / 3600000, 2);
    put_digits(ret_text + 14, in_day_ms / 60000 % 60, 2);
    put_digits(ret_text + 17, in_day_ms / 1000 % 60, 2);
    put_digits(ret_text + 20, in_day_ms % 1000, 3);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Exactly `digits` decimal digits; anything else makes the cursor bad. */
static int take_digits(struct cursor *c, unsigned digits)
{
    int value = 0;

    while (digits--) {
        uint8_t digit = cursor_u8(c);
        if (!is_digit(digit))
            c->is_bad = true;
        else
            value = value * 10 + (digit - '0');
    }
    return value;
}

static void take_char(struct cursor *c, char expected)
{
    uint8_t got = cursor_u8(c);

    /* RFC 3339 section 5.6: T and Z may be lower case. */
    if (got != (uint8_t)expected && !(expected == 'T' && got == 't'))
        c->is_bad = true;
}

/* ".123456" -> 123. More digits than milliseconds are cut, never rounded up into the next second.
 */
static int take_fraction_ms(struct cursor *c)
{
    int weight = 100;
    int ms = 0;

    if (cursor_left(c) == 0 || *c->at != '.')
        return 0;
    c->at++;
    if (cursor_left(c) == 0 || !is_digit(*c->at))
        c->is_bad = true;
    while (!c->is_bad && cursor_left(c) && is_digit(*c->at)) {
        ms += (*c->at - '0') * weight;
        weight /= 10;
        c->at++;
    }
    return ms;
}

/* "Z" or "+02:00", in minutes east of UTC. */
static int take_offset_minutes(struct cursor *c)
{
    uint8_t sign = cursor_u8(c);
    int hours, minutes;

    if (sign == 'Z' || sign == 'z')
        return 0;
    if (sign != '+' && sign != '-')
        c->is_bad = true;
    hours = take_digits(c, 2);
    take_char(c, ':');
    minutes = take_digits(c, 2);
    if (hours > 23 || minutes > 59)
        c->is_bad = true;
    return sign == '-' ? -(hours * 60 + minutes) : hours * 60 + minutes;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && is_leap ? 29 : days[month - 1];
}

enum status time_parse(struct bytes text, int64_t *ret_unix_ms)
{
    struct cursor c = cursor_of(text);
    int year, month, day, hour, minute, second, ms, offset;
    int64_t minutes_utc;

    year = take_digits(&c, 4);
    take_char(&c, '-');
    month = take_digits(&c, 2);
    take_char(&c, '-');
    day = take_digits(&c, 2);
    take_char(&c, 'T');
    hour = take_digits(&c, 2);
    take_char(&c, ':');
    minute = take_digits(&c, 2);
    take_char(&c, ':');
    second = take_digits(&c, 2);
    ms = take_fraction_ms(&c);
    offset = take_offset_minutes(&c);

    if (cursor_finish(&c) != STATUS_OK || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
        return STATUS_INVALID;
    minutes_utc = days_of_date(year, month, day) * 1440 + (int64_t)hour * 60 + minute - offset;
    /* A leap second comes only at the end of a UTC day; Unix time gives it the next day's first. */
    if (second == 60 && ((minutes_utc % 1440) + 1440) % 1440 != 1439)
        return STATUS_INVALID;
    *ret_unix_ms = minutes_utc * MINUTE_MS + second * SECOND_MS + (second == 60 ? 0 : ms);
    return STATUS_OK;
}

/* Largest first, so that the first that divides is the shortest. */
static const struct duration_unit {
    const char *name;
    int64_t ms;
} DURATION_UNITS[] = {
    {"w", 7 * DAY_MS}, {"d", DAY_MS}, {"h", HOUR_MS}, {"m", MINUTE_MS}, {"s", SECOND_MS}, {"ms", 1},
};
#define DURATION_UNIT_COUNT (sizeof DURATION_UNITS / sizeof DURATION_UNITS[0])

enum status duration_parse(struct bytes text, int64_t *ret_ms)
{
    int64_t number = 0;
    size_t at = 0;

    for (; at < text.len && is_digit(text.data[at]); at++) {
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, text.data[at] - '0', &number))
            return STATUS_INVALID;
    }
    if (number == 0)
        return STATUS_INVALID;
    for (size_t i = 0; i < DURATION_UNIT_COUNT; i++) {
        if (bytes_equal_str(bytes_of(text.data + at, text.len - at), DURATION_UNITS[i].name))
            return __builtin_mul_overflow(number, DURATION_UNITS[i].ms, ret_ms) ? STATUS_INVALID
                                                                                : STATUS_OK;
    }
    return STATUS_INVALID;
}

void duration_format(int64_t ms, char out[24])
{
    size_t i = 0;

    while (i + 1 < DURATION_UNIT_COUNT && (ms == 0 || ms % DURATION_UNITS[i].ms != 0))
        i++;
    snprintf(out, 24, "%lld%s", (long long)(ms / DURATION_UNITS[i].ms), DURATION_UNITS[i].name);
}

enum status time_or_age_parse(struct bytes text, int64_t now_ms, int64_t *ret_unix_ms)
{
    int64_t age_ms;

    if (duration_parse(text, &age_ms) == STATUS_OK)
        return __builtin_sub_overflow(now_ms, age_ms, ret_unix_ms) ? STATUS_INVALID : STATUS_OK;
    return time_parse(text, ret_unix_ms);
}

/*
 * Dates and times as RFC 3339 writes them. A leap second is accepted where one can be: at 23:59:60
 * UTC, whatever the offset. Fractions may have any number of digits.
 */
#include "schemas/format_kinds.h"

/* A reader that goes bad and stays bad. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool is_bad;
};

static struct reader reader_of(struct bytes text)
{
    return (struct reader){text.data, text.data + text.len, false};
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline unsigned take_digits(struct reader *r, unsigned count)
{
    unsigned value = 0;
    if ((size_t)(r->end - r->at) < count) {
        r->is_bad = true;
        return 0;
    }
    for (unsigned i = 0; i < count; i++, r->at++) {
        r->is_bad |= !is_digit(*r->at);
        value = value * 10 + (*r->at - '0');
    }
    return value;
}

static void take(struct reader *r, char c)
{
    if (r->at < r->end && *r->at == (uint8_t)c)
        r->at++;
    else
        r->is_bad = true;
}

static bool take_either(struct reader *r, char a, char b)
{
    if (r->at == r->end || (*r->at != (uint8_t)a && *r->at != (uint8_t)b))
        return false;
    r->at++;
    return true;
}

static bool is_done(const struct reader *r)
{
    return !r->is_bad && r->at == r->end;
}

static unsigned days_in(unsigned year, unsigned month)
{
    static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && is_leap ? 29 : DAYS[month - 1];
}

static void take_date(struct reader *r)
{
    unsigned year = take_digits(r, 4);
    take(r, '-');
    unsigned month = take_digits(r, 2);
    take(r, '-');
    unsigned day = take_digits(r, 2);
    if (!r->is_bad)
        r->is_bad = month < 1 || month > 12 || day < 1 || day > days_in(year, month);
}

/* Minutes east of UTC. */
static int take_offset(struct reader *r)
{
    if (take_either(r, 'Z', 'z'))
        return 0;
    bool is_west = r->at < r->end && *r->at == '-';
    if (!take_either(r, '+', '-')) {
        r->is_bad = true;
        return 0;
    }
    unsigned hours = take_digits(r, 2);
    take(r, ':');
    unsigned minutes = take_digits(r, 2);
    r->is_bad |= hours > 23 || minutes > 59;
    int offset = (int)(hours * 60 + minutes);
    return is_west ? -offset : offset;
}

static void take_time(struct reader *r)
{
    unsigned hour = take_digits(r, 2);
    take(r, ':');
    unsigned minute = take_digits(r, 2);
    take(r, ':');
    unsigned second = take_digits(r, 2);
    if (take_either(r, '.', '.')) {
        const uint8_t *first = r->at;
        while (r->at < r->end && is_digit(*r->at))
            r->at++;
        r->is_bad |= r->at == first;
    }
    int offset = take_offset(r);
    if (r->is_bad)
        return;
    int utc = (int)(hour * 60 + minute) - offset;
    bool is_last_minute = (utc + 2 * 1440) % 1440 == 1439;
    r->is_bad = hour > 23 || minute > 59 || second > 60 || (second == 60 && !is_last_minute);
}

bool is_date_time(struct bytes text)
{
    struct reader r = reader_of(text);
    take_date(&r);
    if (!take_either(&r, 'T', 't'))
        return false;
    take_time(&r);
    return is_done(&r);
}

bool is_date(struct bytes text)
{
    struct reader r = reader_of(text);
    take_date(&r);
    return is_done(&r);
}

bool is_time(struct bytes text)
{
    struct reader r = reader_of(text);
    take_time(&r);
    return is_done(&r);
}

/* One or more of the units in their order, without gaps between the first and the last ("P1Y2D" is
 * none, by appendix A's grammar). */
static bool take_units(struct reader *r, const char *units)
{
    const char *next = NULL;
    while (r->at < r->end && is_digit(*r->at)) {
        while (r->at < r->end && is_digit(*r->at))
            r->at++;
        const char *unit = r->at < r->end && *r->at ? strchr(units, *r->at) : NULL;
        if (!unit || (next && unit != next))
            return false;
        next = unit + 1;
        r->at++;
    }
    return next != NULL;
}

bool is_duration(struct bytes text)
{
    struct reader r = reader_of(text);
    take(&r, 'P');
    if (r.is_bad)
        return false;
    if (text.data[text.len - 1] == 'W')
        return take_units(&r, "W") && is_done(&r);
    bool has_date = r.at < r.end && *r.at != 'T';
    if (has_date && !take_units(&r, "YMD"))
        return false;
    if (take_either(&r, 'T', 'T'))
        return take_units(&r, "HMS") && is_done(&r);
    return has_date && is_done(&r);
}

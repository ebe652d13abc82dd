/*
 * The pieces of JSON text: strings with the mandatory escapes, numbers as JavaScript lays them out.
 * The digits of numbers come from schemas/decimal.h; here they get their point and exponent.
 */
#include "schemas/decimal.h"
#include "schemas/json_private.h"
#include "schemas/json_write.h"

#define PLAIN_LENGTH_MAX 15 /* characters of a number that may be canonical at first sight */

/* --- Strings --------------------------------------------------------------------------------- */

static bool must_escape(uint8_t c)
{
    return c < ' ' || c == '"' || c == '\\';
}

static void put_escape(struct buf *out, uint8_t c)
{
    static const char HEX[] = "0123456789abcdef";
    static const char SHORT[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };

    if (c >= ' ')
        buf_put(out, (const char[]){'\\', (char)c}, 2);
    else if (SHORT[c])
        buf_put(out, (const char[]){'\\', SHORT[c]}, 2);
    else
        buf_put(out, (const char[]){'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]}, 6);
}

void json_put_string(struct buf *out, struct bytes utf8)
{
    size_t from = 0;

    buf_put_char(out, '"');
    for (size_t i = 0; i < utf8.len; i++) {
        if (!must_escape(utf8.data[i]))
            continue;
        buf_put(out, utf8.data + from, i - from);
        put_escape(out, utf8.data[i]);
        from = i + 1;
    }
    if (from < utf8.len)
        buf_put_bytes(out, bytes_of(utf8.data + from, utf8.len - from));
    buf_put_char(out, '"');
}

void json_put_str(struct buf *out, const char *utf8)
{
    json_put_string(out, bytes_of_str(utf8));
}

/* Escapes where none is needed go, and the others get their one form. */
void json_put_escaped(struct buf *out, struct bytes raw)
{
    const uint8_t *at = raw.data, *end = at + raw.len;

    buf_put_char(out, '"');
    while (at < end) {
        const uint8_t *backslash = memchr(at, '\\', (size_t)(end - at));
        uint8_t utf8[4];
        size_t len;

        buf_put(out, at, (size_t)((backslash ? backslash : end) - at));
        if (!backslash)
            break;
        at = backslash + json_resolve_escape(backslash, utf8, &len);
        if (must_escape(utf8[0]))
            put_escape(out, utf8[0]);
        else
            buf_put(out, utf8, len);
    }
    buf_put_char(out, '"');
}

/* --- Numbers --------------------------------------------------------------------------------- */

static size_t put_exponent(char *text, int exponent)
{
    unsigned magnitude = exponent < 0 ? (unsigned)-exponent : (unsigned)exponent;
    size_t len = 0;

    text[len++] = 'e';
    text[len++] = exponent < 0 ? '-' : '+';
    if (magnitude >= 100)
        text[len++] = (char)('0' + magnitude / 100);
    if (magnitude >= 10)
        text[len++] = (char)('0' + magnitude / 10 % 10);
    text[len++] = (char)('0' + magnitude % 10);
    return len;
}

/* Number::toString (ECMA-262 section 6.1.6.1.20), steps 6 to 12; n and k as there. */
static size_t layout(const struct double_digits *d, char *text)
{
    int n = d->point, k = d->count;
    size_t len = 0;

    if (n > -6 && n <= 0) {
        memcpy(text, "0.00000", (size_t)(2 - n));
        memcpy(text + 2 - n, d->digits, (size_t)k);
        return (size_t)(2 - n + k);
    }
    if (n > 0 && n <= 21 && k <= n) {
        memcpy(text, d->digits, (size_t)k);
        memset(text + k, '0', (size_t)(n - k));
        return (size_t)n;
    }
    /* The point goes behind the first n digits, or with an exponent behind the first one. */
    len = n > 0 && n <= 21 ? (size_t)n : 1;
    memcpy(text, d->digits, len);
    if ((size_t)k > len) {
        text[len] = '.';
        memcpy(text + len + 1, d->digits + len, (size_t)k - len);
    }
    if (n > 0 && n <= 21)
        return (size_t)k + 1;
    len = (size_t)k + (k > 1);
    return len + put_exponent(text + len, n - 1);
}

static size_t format(const struct double_digits *d, char text[NUMBER_TEXT_MAX])
{
    if (d->count == 0) {
        text[0] = '0';
        return 1;
    }
    text[0] = '-';
    return d->is_negative + layout(d, text + d->is_negative);
}

/* Most numbers: few digits, no exponent, no zero where JavaScript would not write one. */
static bool is_plain(struct bytes number)
{
    const uint8_t *first = number.data + (number.data[0] == '-');
    const uint8_t *last = number.data + number.len - 1;
    bool has_point = false;

    if (number.len > PLAIN_LENGTH_MAX)
        return false;
    for (const uint8_t *at = first; at <= last; at++) {
        if (*at > '9')
            return false; /* an exponent */
        has_point = has_point || *at == '.';
    }
    /* -0 is not written so, and 0.0… perhaps with an exponent. */
    if (*first == '0' && (first == last ? number.len > 1 : first[2] == '0'))
        return false;
    return !has_point || *last != '0';
}

size_t json_format_number(struct bytes number, char text[NUMBER_TEXT_MAX])
{
    struct double_digits digits;

    if (is_plain(number) || !decimal_to_double_digits(number, &digits))
        return 0;
    return format(&digits, text);
}

void json_put_number(struct buf *out, struct bytes number_text)
{
    char text[NUMBER_TEXT_MAX];
    size_t len = json_format_number(number_text, text);

    if (len)
        buf_put(out, text, len);
    else
        buf_put_bytes(out, number_text);
}

void json_put_double(struct buf *out, double value)
{
    struct double_digits digits = double_digits_of(value);
    char text[NUMBER_TEXT_MAX];

    buf_put(out, text, format(&digits, text));
}

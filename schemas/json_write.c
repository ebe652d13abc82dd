/*
 * Design: the tree is walked once and written as it is met; a string without escapes is copied as
 * the sender wrote it, because what must be escaped has been. Recursion is bounded by
 * JSON_DEPTH_MAX.
 *
 * Only objects with integer-like names need sorting: these names are gathered and sorted first, and
 * an object without any (nearly all) pays one look at the first byte of each name.
 *
 * Failures (memory, the buffer's limit) stick to the buffer.
 */
#include "schemas/json_write.h"

#include "base/cleanup.h"
#include "schemas/decimal.h"
#include "schemas/json_private.h"

#define NUMBER_TEXT_MAX 40   /* of the canonical form: sign, 17 digits, point, zeros, exponent */
#define PLAIN_INTEGER_MAX 15 /* digits of an integer that is canonical as it stands */
#define INDEX_DIGITS_MAX 10

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
        buf_put(out, utf8.data + from, utf8.len - from);
    buf_put_char(out, '"');
}

void json_put_str(struct buf *out, const char *utf8)
{
    json_put_string(out, bytes_of_str(utf8));
}

/* The escapes that the sender chose give way to the mandatory ones. */
static void write_escaped(struct bytes raw, struct buf *out)
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

static void write_string(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    if (doc->nodes[node].flags & JSON_HAS_ESCAPES)
        write_escaped(json_raw(doc, node), out);
    else
        buf_put_bytes(out, json_text(doc, node));
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
static size_t layout(const struct double_digits *d, char text[NUMBER_TEXT_MAX])
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

static void put_digits(struct buf *out, const struct double_digits *d)
{
    char text[NUMBER_TEXT_MAX];

    if (d->count == 0) {
        buf_put_char(out, '0');
        return;
    }
    if (d->is_negative)
        buf_put_char(out, '-');
    buf_put(out, text, layout(d, text));
}

void json_put_double(struct buf *out, double value)
{
    struct double_digits digits = double_digits_of(value);

    put_digits(out, &digits);
}

void json_put_number(struct buf *out, struct bytes number_text)
{
    struct double_digits digits;

    if (decimal_to_double_digits(number_text, &digits))
        put_digits(out, &digits);
    else
        buf_put_bytes(out, number_text);
}

static void write_number(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    struct bytes raw = json_raw(doc, node);

    if (doc->nodes[node].flags & JSON_IS_INTEGER && raw.len <= PLAIN_INTEGER_MAX &&
        !bytes_equal_str(raw, "-0"))
        buf_put_bytes(out, raw);
    else
        json_put_number(out, raw);
}

/* --- Containers ------------------------------------------------------------------------------ */

/* A member whose name is an array index in JavaScript's eyes. */
struct indexed {
    uint32_t index;
    uint32_t name;
};

/* "0" … "4294967294", without leading zeros. */
static bool is_index(struct bytes name, uint32_t *ret_index)
{
    uint64_t value = 0;

    if (name.len == 0 || name.len > INDEX_DIGITS_MAX || (name.len > 1 && name.data[0] == '0'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < '0' || name.data[i] > '9')
            return false;
        value = value * 10 + (name.data[i] - '0');
    }
    *ret_index = (uint32_t)value;
    return value < UINT32_MAX;
}

static bool name_is_index(const struct json_doc *doc, uint32_t name, uint32_t *ret_index)
{
    CLEANUP(buf_fini) struct buf scratch = {0};
    uint8_t first = doc->nodes[name].len ? json_raw(doc, name).data[0] : 0;

    if (first != '\\' && (first < '0' || first > '9'))
        return false;
    return is_index(json_string(doc, name, &scratch), ret_index);
}

static int compare_indexed(const void *a, const void *b)
{
    uint32_t x = ((const struct indexed *)a)->index, y = ((const struct indexed *)b)->index;

    return (x > y) - (x < y);
}

/* The integer-like members in ascending order; NULL: there are none, or no memory. */
static struct indexed *sort_indexed(const struct json_doc *doc, uint32_t object, size_t *ret_count,
                                    struct buf *out)
{
    struct indexed *sorted;
    uint32_t index;
    size_t count = 0;

    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i))
        count += name_is_index(doc, i, &index);
    *ret_count = 0;
    if (count == 0)
        return NULL;
    sorted = calloc(count, sizeof *sorted);
    if (!sorted) {
        out->status = STATUS_NO_MEMORY;
        return NULL;
    }
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        if (name_is_index(doc, i, &index))
            sorted[(*ret_count)++] = (struct indexed){index, i};
    }
    qsort(sorted, *ret_count, sizeof *sorted, compare_indexed);
    return sorted;
}

static void write_member(const struct json_doc *doc, uint32_t name, bool is_first, struct buf *out)
{
    if (!is_first)
        buf_put_char(out, ',');
    write_string(doc, name, out);
    buf_put_char(out, ':');
    json_write(doc, name + 1, out);
}

/* `id`: NULL, or what becomes the first ordinary member instead of any "id" that there is. */
static void write_object(const struct json_doc *doc, uint32_t object, const char *id,
                         struct buf *out)
{
    size_t count, written = 0;
    CLEANUP(freep) struct indexed *indexed = sort_indexed(doc, object, &count, out);
    uint32_t index;

    buf_put_char(out, '{');
    for (size_t i = 0; i < count; i++)
        write_member(doc, indexed[i].name, written++ == 0, out);
    if (id) {
        buf_put_str(out, written++ ? ",\"id\":" : "\"id\":");
        json_put_str(out, id);
    }
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        if ((indexed && name_is_index(doc, i, &index)) ||
            (id && json_string_equals(doc, i, bytes_of_str("id"))))
            continue;
        write_member(doc, i, written++ == 0, out);
    }
    buf_put_char(out, '}');
}

static void write_array(const struct json_doc *doc, uint32_t array, struct buf *out)
{
    char before = '[';

    for (uint32_t i = json_first(doc, array); i != JSON_NONE; i = json_after(doc, array, i)) {
        buf_put_char(out, before);
        json_write(doc, i, out);
        before = ',';
    }
    buf_put_str(out, before == '[' ? "[]" : "]");
}

void json_write(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    switch (json_kind_of(doc, node)) {
    case JSON_OBJECT:
        write_object(doc, node, NULL, out);
        break;
    case JSON_ARRAY:
        write_array(doc, node, out);
        break;
    case JSON_STRING:
        write_string(doc, node, out);
        break;
    case JSON_NUMBER:
        write_number(doc, node, out);
        break;
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        buf_put_bytes(out, json_raw(doc, node));
        break;
    }
}

void json_write_record(const struct json_doc *doc, uint32_t object, const char *id, struct buf *out)
{
    write_object(doc, object, id, out);
}

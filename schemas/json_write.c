/*
 * The canonical form. Objects whose names are all ordinary are written in one pass; integer-like
 * names, which JavaScript moves to the front in ascending order, are gathered first, and only
 * objects that have any pay for it.
 *
 * Numbers: digits that a double surely holds are formatted from the text alone. Others go through
 * strtod and the shortest digits that read back the same (the definition in ECMA-262's
 * Number::toString). If those are not the value that was written, the sender's digits stay.
 */
#include "schemas/json_write.h"

#include "schemas/decimal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SURE_DIGITS 15
#define DIGITS_MAX 17
#define NUMBER_TEXT_MAX 800

static const char HEX[] = "0123456789abcdef";

static void put_escaped(struct buf *out, uint8_t c)
{
    switch (c) {
    case '"':
        buf_put_str(out, "\\\"");
        break;
    case '\\':
        buf_put_str(out, "\\\\");
        break;
    case '\b':
        buf_put_str(out, "\\b");
        break;
    case '\f':
        buf_put_str(out, "\\f");
        break;
    case '\n':
        buf_put_str(out, "\\n");
        break;
    case '\r':
        buf_put_str(out, "\\r");
        break;
    case '\t':
        buf_put_str(out, "\\t");
        break;
    default:
        buf_put(out, (const char[]){'\\', 'u', '0', '0', HEX[c >> 4], HEX[c & 15]}, 6);
    }
}

void json_put_string(struct buf *out, struct bytes utf8)
{
    buf_put_char(out, '"');
    size_t plain = 0;
    for (size_t i = 0; i < utf8.len; i++) {
        uint8_t c = utf8.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_put(out, utf8.data + plain, i - plain);
        put_escaped(out, c);
        plain = i + 1;
    }
    if (plain < utf8.len)
        buf_put(out, utf8.data + plain, utf8.len - plain);
    buf_put_char(out, '"');
}

void json_put_str(struct buf *out, const char *utf8)
{
    json_put_string(out, bytes_of_str(utf8));
}

/* Significant digits and the place of the point: 0.d1d2… times ten to `point`. */
struct shape {
    bool is_negative;
    char digits[DIGITS_MAX + 1];
    int count;
    int point;
};

/* As Number::toString lays them out, with n = point and k = count. */
static void put_shape(struct buf *out, const struct shape *shape)
{
    int n = shape->point, k = shape->count;
    if (k == 0) {
        buf_put_char(out, '0');
        return;
    }
    if (shape->is_negative)
        buf_put_char(out, '-');
    if (n > 21 || n <= -6) {
        buf_put_char(out, shape->digits[0]);
        if (k > 1) {
            buf_put_char(out, '.');
            buf_put(out, shape->digits + 1, (size_t)(k - 1));
        }
        buf_printf(out, "e%c%d", n > 0 ? '+' : '-', abs(n - 1));
        return;
    }
    if (n <= 0) {
        buf_put_str(out, "0.");
        for (int i = n; i < 0; i++)
            buf_put_char(out, '0');
        buf_put(out, shape->digits, (size_t)k);
        return;
    }
    buf_put(out, shape->digits, (size_t)(k < n ? k : n));
    for (int i = k; i < n; i++)
        buf_put_char(out, '0');
    if (k > n) {
        buf_put_char(out, '.');
        buf_put(out, shape->digits + n, (size_t)(k - n));
    }
}

static void strip_zeros(struct shape *shape)
{
    while (shape->count > 0 && shape->digits[shape->count - 1] == '0')
        shape->count--;
}

static int read_exponent(const uint8_t *at, const uint8_t *end)
{
    bool is_negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int exponent = 0;
    for (; at < end && exponent < 100000; at++)
        exponent = exponent * 10 + (*at - '0');
    return is_negative ? -exponent : exponent;
}

/* From the text's own digits; false: too many for a double to hold for sure. */
static bool shape_of_text(struct bytes number, struct shape *ret)
{
    const uint8_t *at = number.data, *end = at + number.len;
    *ret = (struct shape){0};
    if (at < end && *at == '-') {
        ret->is_negative = true;
        at++;
    }
    bool is_behind_point = false;
    int zeros = 0;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            is_behind_point = true;
        } else if (*at == '0' && ret->count == 0) {
            ret->point -= is_behind_point;
        } else {
            ret->point += !is_behind_point;
            if (*at == '0') {
                zeros++;
                continue;
            }
            if (ret->count + zeros + 1 > SURE_DIGITS)
                return false;
            while (zeros > 0) {
                ret->digits[ret->count++] = '0';
                zeros--;
            }
            ret->digits[ret->count++] = (char)*at;
        }
    }
    if (at < end)
        ret->point += read_exponent(at + 1, end);
    return ret->point > -290 && ret->point < 300;
}

/* The shortest digits that read back as the same double, closest to it among those. */
static void shape_of_double(double value, struct shape *ret)
{
    *ret = (struct shape){.is_negative = signbit(value) != 0};
    if (value == 0)
        return;
    char text[40];
    for (int precision = SURE_DIGITS; precision <= DIGITS_MAX; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, fabs(value));
        if (strtod(text, NULL) == fabs(value))
            break;
    }
    const char *exponent = strchr(text, 'e');
    for (const char *at = text; at < exponent; at++) {
        if (*at != '.')
            ret->digits[ret->count++] = *at;
    }
    ret->point = atoi(exponent + 1) + 1;
    strip_zeros(ret);
}

void json_put_double(struct buf *out, double value)
{
    struct shape shape;
    shape_of_double(value, &shape);
    put_shape(out, &shape);
}

void json_put_number(struct buf *out, struct bytes number_text)
{
    struct shape shape;
    if (shape_of_text(number_text, &shape)) {
        strip_zeros(&shape);
        put_shape(out, &shape);
        return;
    }
    char text[NUMBER_TEXT_MAX + 1];
    if (number_text.len > NUMBER_TEXT_MAX || !decimal_fits_double(number_text)) {
        buf_put_bytes(out, number_text);
        return;
    }
    memcpy(text, number_text.data, number_text.len);
    text[number_text.len] = '\0';
    json_put_double(out, strtod(text, NULL));
}

/* "0" … "4294967294", without leading zeros: an array index in JavaScript's eyes. */
static bool is_index_name(struct bytes name, uint32_t *ret_index)
{
    if (name.len == 0 || name.len > 10 || (name.len > 1 && name.data[0] == '0'))
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < '0' || name.data[i] > '9')
            return false;
        value = value * 10 + (name.data[i] - '0');
    }
    *ret_index = (uint32_t)value;
    return value < UINT32_MAX;
}

/* Where a member stands in a document. */
struct member {
    uint32_t index; /* of an integer-like name */
    const struct json_doc *doc;
    uint32_t name;
};

static int compare_members(const void *a, const void *b)
{
    uint32_t x = ((const struct member *)a)->index, y = ((const struct member *)b)->index;
    return x < y ? -1 : x > y;
}

static void write_string(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    if (!(doc->nodes[node].flags & JSON_HAS_ESCAPES)) {
        buf_put_bytes(out, json_text(doc, node)); /* what needs escapes has them */
        return;
    }
    struct buf scratch = {0};
    json_put_string(out, json_string(doc, node, &scratch));
    if (scratch.status != STATUS_OK)
        out->status = scratch.status;
    buf_fini(&scratch);
}

static void write_member(const struct json_doc *doc, uint32_t name, bool *inout_is_first,
                         struct buf *out)
{
    if (!*inout_is_first)
        buf_put_char(out, ',');
    *inout_is_first = false;
    write_string(doc, name, out);
    buf_put_char(out, ':');
    json_write(doc, name + 1, out);
}

static bool name_is_index(const struct json_doc *doc, uint32_t name, uint32_t *ret_index)
{
    if (!(doc->nodes[name].flags & JSON_HAS_ESCAPES))
        return is_index_name(json_raw(doc, name), ret_index);
    struct buf scratch = {0};
    bool is_index = is_index_name(json_string(doc, name, &scratch), ret_index);
    buf_fini(&scratch);
    return is_index;
}

/* The integer-like members first, ascending. True: there were any. */
static bool write_index_members(const struct json_doc *doc, uint32_t object, bool *inout_is_first,
                                struct buf *out)
{
    size_t count = 0;
    uint32_t index;
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i))
        count += name_is_index(doc, i, &index);
    if (count == 0)
        return false;
    struct member *members = calloc(count, sizeof *members);
    if (!members) {
        out->status = STATUS_NO_MEMORY;
        return true;
    }
    size_t at = 0;
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        if (name_is_index(doc, i, &index))
            members[at++] = (struct member){index, doc, i};
    }
    qsort(members, count, sizeof *members, compare_members);
    for (size_t i = 0; i < count; i++)
        write_member(doc, members[i].name, inout_is_first, out);
    free(members);
    return true;
}

/* All members but the one called `skip` (NULL: none). `id` (NULL: none) is written first of the
 * ordinary ones. */
static void write_object(const struct json_doc *doc, uint32_t object, const char *id,
                         struct buf *out)
{
    bool is_first = true;
    buf_put_char(out, '{');
    bool has_index = write_index_members(doc, object, &is_first, out);
    if (id) {
        buf_put_str(out, is_first ? "\"id\":" : ",\"id\":");
        json_put_str(out, id);
        is_first = false;
    }
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        uint32_t index;
        if ((has_index && name_is_index(doc, i, &index)) ||
            (id && json_string_equals(doc, i, bytes_of_str("id"))))
            continue;
        write_member(doc, i, &is_first, out);
    }
    buf_put_char(out, '}');
}

static void write_array(const struct json_doc *doc, uint32_t array, struct buf *out)
{
    bool is_first = true;
    buf_put_char(out, '[');
    for (uint32_t i = json_first(doc, array); i != JSON_NONE; i = json_after(doc, array, i)) {
        if (!is_first)
            buf_put_char(out, ',');
        is_first = false;
        json_write(doc, i, out);
    }
    buf_put_char(out, ']');
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
        json_put_number(out, json_raw(doc, node));
        break;
    default:
        buf_put_bytes(out, json_raw(doc, node));
    }
}

void json_write_record(const struct json_doc *doc, uint32_t object, const char *id, struct buf *out)
{
    write_object(doc, object, id, out);
}

/*
 * Design: the tree is walked once. What comes out is nearly always what stands in the text, only
 * without its white space, so text is not copied token by token: a span of it grows as long as the
 * next token is what follows there, and is copied when something else has to be written. A document
 * that came from JavaScript's own JSON.stringify is one span.
 *
 * Only objects with integer-like names need sorting: these names are gathered and sorted first, and
 * an object without any (nearly all) pays one look at the first byte of each name.
 *
 * Recursion is bounded by JSON_DEPTH_MAX. Failures (memory, the buffer's limit) stick to the
 * buffer.
 */
#include "schemas/json_write.h"

#include "base/cleanup.h"
#include "schemas/json_private.h"

#define INDEX_DIGITS_MAX 10

/* --- Spans ----------------------------------------------------------------------------------- */

struct writer {
    const struct json_doc *doc;
    struct buf *out;
    const uint8_t *from, *to; /* of the text: to be copied next */
    const uint8_t *end;       /* of the text */
};

static void flush(struct writer *w)
{
    buf_put(w->out, w->from, (size_t)(w->to - w->from));
    w->from = w->to;
}

static inline void put_text(struct writer *w, struct bytes text)
{
    if (text.data != w->to) {
        flush(w);
        w->from = text.data;
    }
    w->to = text.data + text.len;
}

static inline void put_mark(struct writer *w, char mark)
{
    if (w->to != w->end && *w->to == (uint8_t)mark) {
        w->to++;
        return;
    }
    flush(w);
    buf_put_char(w->out, mark);
}

/* That much of the text was written otherwise; where it ends, a span may go on. */
static void skip_text(struct writer *w, struct bytes text)
{
    w->from = w->to = text.data + text.len;
}

/* --- Values ---------------------------------------------------------------------------------- */

static void write_value(struct writer *w, uint32_t node);

static void write_string(struct writer *w, uint32_t node)
{
    struct bytes text = json_text(w->doc, node);

    if (!(w->doc->nodes[node].flags & JSON_HAS_ESCAPES)) {
        put_text(w, text); /* what must be escaped has been */
        return;
    }
    flush(w);
    json_put_escaped(w->out, json_raw(w->doc, node));
    skip_text(w, text);
}

static void write_number(struct writer *w, uint32_t node)
{
    struct bytes raw = json_raw(w->doc, node);
    char text[NUMBER_TEXT_MAX];
    size_t len = json_format_number(raw, text);

    if (len == 0 || bytes_equal(bytes_of(text, len), raw)) {
        put_text(w, raw);
        return;
    }
    flush(w);
    buf_put(w->out, text, len);
    skip_text(w, raw);
}

/* A member whose name is an array index in JavaScript's eyes. */
struct indexed {
    uint32_t index;
    uint32_t name;
};

/* "0" … "4294967294", without leading zeros; escapes resolved on the way. */
static bool name_is_index(const struct json_doc *doc, uint32_t name, uint32_t *ret_index)
{
    struct bytes raw = json_raw(doc, name);
    const uint8_t *at = raw.data, *end = at + raw.len;
    uint64_t value = 0;
    int digits = 0;

    while (at < end) {
        uint8_t c[4] = {*at};
        size_t len;

        at += c[0] == '\\' ? json_resolve_escape(at, c, &len) : 1;
        if (c[0] < '0' || c[0] > '9' || digits == INDEX_DIGITS_MAX || (digits && value == 0))
            return false;
        value = value * 10 + (c[0] - '0');
        digits++;
    }
    *ret_index = (uint32_t)value;
    return digits && value < UINT32_MAX;
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

static void write_member(struct writer *w, uint32_t name, bool is_first)
{
    if (!is_first)
        put_mark(w, ',');
    write_string(w, name);
    put_mark(w, ':');
    write_value(w, name + 1);
}

/* `id`: NULL, or what becomes the first ordinary member instead of any "id" that there is. */
static void write_object(struct writer *w, uint32_t object, const char *id)
{
    const struct json_doc *doc = w->doc;
    size_t count, written = 0;
    CLEANUP(freep) struct indexed *indexed = sort_indexed(doc, object, &count, w->out);
    uint32_t index;

    put_mark(w, '{');
    for (size_t i = 0; i < count; i++)
        write_member(w, indexed[i].name, written++ == 0);
    if (id) {
        flush(w);
        buf_put_str(w->out, written++ ? ",\"id\":" : "\"id\":");
        json_put_str(w->out, id);
    }
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        if ((indexed && name_is_index(doc, i, &index)) ||
            (id && json_string_equals(doc, i, bytes_of_str("id"))))
            continue;
        write_member(w, i, written++ == 0);
    }
    put_mark(w, '}');
}

static void write_array(struct writer *w, uint32_t array)
{
    const struct json_doc *doc = w->doc;
    bool is_first = true;

    put_mark(w, '[');
    for (uint32_t i = json_first(doc, array); i != JSON_NONE; i = json_after(doc, array, i)) {
        if (!is_first)
            put_mark(w, ',');
        is_first = false;
        write_value(w, i);
    }
    put_mark(w, ']');
}

static void write_value(struct writer *w, uint32_t node)
{
    switch (json_kind_of(w->doc, node)) {
    case JSON_OBJECT:
        write_object(w, node, NULL);
        break;
    case JSON_ARRAY:
        write_array(w, node);
        break;
    case JSON_STRING:
        write_string(w, node);
        break;
    case JSON_NUMBER:
        write_number(w, node);
        break;
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        put_text(w, json_raw(w->doc, node));
        break;
    }
}

static struct writer writer_of(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    const uint8_t *text = (const uint8_t *)doc->text, *start = json_text(doc, node).data;

    return (struct writer){
        .doc = doc, .out = out, .from = start, .to = start, .end = text + doc->text_bytes};
}

void json_write(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    struct writer w = writer_of(doc, node, out);

    write_value(&w, node);
    flush(&w);
}

void json_write_record(const struct json_doc *doc, uint32_t object, const char *id, struct buf *out)
{
    struct writer w = writer_of(doc, object, out);

    write_object(&w, object, id);
    flush(&w);
}

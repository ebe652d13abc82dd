/*
 * The slow halves of strings: characters beyond ASCII and escapes. The scanner comes here only
 * where a string leaves plain ASCII; afterwards whoever wants the resolved text does.
 *
 * Resolving never lengthens: the shortest escape of a character is longer than its UTF-8. Comparing
 * resolves on the fly, so that it cannot fail for want of memory.
 */
#include "schemas/json_private.h"

static const uint8_t *broken(struct string_fault *fault, const uint8_t *at, const char *detail)
{
    *fault = (struct string_fault){at, detail};
    return NULL;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The UTF-16 unit of a \uXXXX that begins at `at`; -1: there is none. */
static int32_t unit_at(const uint8_t *at, const uint8_t *end)
{
    int32_t unit = 0;

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static const uint8_t *pass_unicode_escape(const uint8_t *at, const uint8_t *end,
                                          struct string_fault *fault)
{
    int32_t unit = unit_at(at, end);

    if (unit < 0)
        return broken(fault, at, "\\u must be followed by four hexadecimal digits");
    if (is_low_surrogate(unit))
        return broken(fault, at, "a low surrogate without a high surrogate before it");
    if (!is_high_surrogate(unit))
        return at + 6;
    if (!is_low_surrogate(unit_at(at + 6, end)))
        return broken(fault, at, "a high surrogate without a low surrogate after it");
    return at + 12;
}

const uint8_t *json_pass_escape(const uint8_t *at, const uint8_t *end, struct string_fault *fault)
{
    if (end - at < 2)
        return broken(fault, end, "unexpected end of the text inside a string");
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        return pass_unicode_escape(at, end, fault);
    default:
        return broken(fault, at, "a backslash must be followed by one of \" \\ / b f n r t u");
    }
}

/* Length of the character at `at` by table 3-7 of the Unicode standard; 0: not well-formed. */
static size_t utf8_length(const uint8_t *at, const uint8_t *end)
{
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    size_t len;

    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if ((size_t)(end - at) < len)
        return 0;
    if (lead == 0xe0)
        low = 0xa0; /* below: overlong */
    else if (lead == 0xed)
        high = 0x9f; /* above: surrogates */
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f; /* above: beyond U+10FFFF */
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

const uint8_t *json_pass_utf8(const uint8_t *at, const uint8_t *end, struct string_fault *fault)
{
    while (at < end && *at >= 0x80) {
        size_t len = utf8_length(at, end);

        if (len == 0)
            return broken(fault, at, "the text is not valid UTF-8 here");
        at += len;
    }
    return at;
}

static size_t encode_utf8(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

size_t json_resolve_escape(const uint8_t *at, uint8_t ret_utf8[4], size_t *ret_utf8_bytes)
{
    static const uint8_t PLAIN[128] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    int32_t unit;

    if (at[1] != 'u') {
        ret_utf8[0] = PLAIN[at[1] & 0x7f];
        *ret_utf8_bytes = 1;
        return 2;
    }
    unit = unit_at(at, at + 6);
    if (!is_high_surrogate(unit)) {
        *ret_utf8_bytes = encode_utf8((uint32_t)unit, ret_utf8);
        return 6;
    }
    unit = 0x10000 + ((unit - 0xd800) << 10) + (unit_at(at + 6, at + 12) - 0xdc00);
    *ret_utf8_bytes = encode_utf8((uint32_t)unit, ret_utf8);
    return 12;
}

/* The resolved string in pieces: ranges without escapes, and single resolved escapes. */
struct pieces {
    const uint8_t *at, *end;
    uint8_t resolved[4];
    struct bytes piece; /* what is left of the current one */
};

/* False: the string is at its end. */
static bool next_piece(struct pieces *p)
{
    const uint8_t *backslash;
    size_t len;

    if (p->piece.len)
        return true;
    if (p->at == p->end)
        return false;
    if (*p->at == '\\') {
        p->at += json_resolve_escape(p->at, p->resolved, &len);
        p->piece = bytes_of(p->resolved, len);
        return true;
    }
    backslash = memchr(p->at, '\\', (size_t)(p->end - p->at));
    len = (size_t)((backslash ? backslash : p->end) - p->at);
    p->piece = bytes_of(p->at, len);
    p->at += len;
    return true;
}

static struct pieces pieces_of(const struct json_doc *doc, uint32_t node)
{
    struct bytes raw = json_raw(doc, node);

    return (struct pieces){.at = raw.data, .end = raw.data + raw.len};
}

static void take(struct pieces *p, size_t len)
{
    p->piece.data += len;
    p->piece.len -= len;
}

static bool has_escapes(const struct json_doc *doc, uint32_t node)
{
    return doc->nodes[node].flags & JSON_HAS_ESCAPES;
}

bool json_equals_escaped(const struct json_doc *a, uint32_t node_a, const struct json_doc *b,
                         uint32_t node_b)
{
    struct pieces x = pieces_of(a, node_a), y = pieces_of(b, node_b);

    for (;;) {
        bool has_x = next_piece(&x), has_y = next_piece(&y);
        size_t common = x.piece.len < y.piece.len ? x.piece.len : y.piece.len;

        if (!has_x || !has_y)
            return has_x == has_y;
        if (memcmp(x.piece.data, y.piece.data, common) != 0)
            return false;
        take(&x, common);
        take(&y, common);
    }
}

bool json_escaped_equals(const struct json_doc *doc, uint32_t node, struct bytes text)
{
    struct pieces p = pieces_of(doc, node);

    if (doc->nodes[node].len <= text.len)
        return false; /* resolving shortens */
    for (; next_piece(&p); take(&p, p.piece.len)) {
        if (p.piece.len > text.len || memcmp(p.piece.data, text.data, p.piece.len) != 0)
            return false;
        text = bytes_of(text.data + p.piece.len, text.len - p.piece.len);
    }
    return text.len == 0;
}

void json_string_put(const struct json_doc *doc, uint32_t node, struct buf *out)
{
    struct pieces p = pieces_of(doc, node);

    if (!has_escapes(doc, node)) {
        buf_put_bytes(out, json_raw(doc, node));
        return;
    }
    if (buf_reserve(out, doc->nodes[node].len) != STATUS_OK)
        return;
    for (; next_piece(&p); take(&p, p.piece.len)) {
        memcpy(out->data + out->len, p.piece.data, p.piece.len);
        out->len += p.piece.len;
    }
}

struct bytes json_string(const struct json_doc *doc, uint32_t node, struct buf *scratch)
{
    if (!has_escapes(doc, node))
        return json_raw(doc, node);
    buf_clear(scratch);
    json_string_put(doc, node, scratch);
    return buf_bytes(scratch);
}

size_t json_cut_utf8(struct bytes text, size_t max)
{
    if (text.len <= max)
        return text.len;
    while (max > 0 && (text.data[max] & 0xc0) == 0x80)
        max--;
    return max;
}

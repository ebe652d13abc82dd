/*
 * One pass over the bytes, without recursion: a stack of open containers, and a node for each value
 * as it begins; a container's length, end and count are filled in when it closes, and that is also
 * when its member names are searched for duplicates: pairwise by hash in small objects, through a
 * hash table in large ones, so that no object costs more than its size. The hash is seeded, so
 * nobody can choose names that collide.
 *
 * Strings are passed eight bytes at a time while they are plain ASCII. After a fault the text is
 * looked at again to tell line and column; that costs only those who send broken JSON.
 */
#include "schemas/json.h"

#include "schemas/json_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SMALL_OBJECT 16       /* members compared pairwise */
#define NUMBER_DIGITS_MAX 400 /* digits given to strtod at the edge of the range */

static uint64_t hash_seed = 0x9e3779b97f4a7c15;

void json_seed(uint64_t seed)
{
    hash_seed = seed | 1;
}

static inline uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 29;
}

uint32_t json_name_hash(struct bytes name)
{
    uint64_t h = hash_seed ^ name.len * UINT64_C(0x9fb21c651e98df25);
    const uint8_t *at = name.data;
    size_t left = name.len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        h = mix(h ^ word * hash_seed);
    }
    uint64_t word = 0;
    if (left > 0)
        memcpy(&word, at, left);
    h = mix(h ^ (word + left) * hash_seed);
    return (uint32_t)(h ^ h >> 32);
}

struct scanner {
    struct json_doc *doc;
    struct json_fault *fault;
    const uint8_t *start, *at, *end;
    enum status status;
    unsigned depth;
    uint32_t open[JSON_DEPTH_MAX]; /* nodes of the containers that are open */
};

static void fail(struct scanner *s, const uint8_t *where, const char *detail)
{
    if (s->status != STATUS_OK)
        return;
    s->status = STATUS_INVALID;
    s->fault->offset = (size_t)(where - s->start);
    snprintf(s->fault->detail, sizeof s->fault->detail, "%s", detail);
}

/* "expected …, got 'x'", or that the text ended. */
static void fail_expected(struct scanner *s, const char *expected)
{
    char detail[128];
    if (s->at == s->end)
        snprintf(detail, sizeof detail, "expected %s, but the text ends here", expected);
    else if (*s->at > 0x20 && *s->at < 0x7f)
        snprintf(detail, sizeof detail, "expected %s, got '%c'", expected, *s->at);
    else
        snprintf(detail, sizeof detail, "expected %s, got byte 0x%02x", expected, *s->at);
    fail(s, s->at, detail);
}

static void locate(struct json_fault *fault, const uint8_t *text)
{
    fault->line = 1;
    fault->column = 1;
    for (size_t i = 0; i < fault->offset; i++) {
        if (text[i] == '\n') {
            fault->line++;
            fault->column = 1;
        } else if ((text[i] & 0xc0) != 0x80) {
            fault->column++;
        }
    }
}

static uint32_t add_node(struct scanner *s, enum json_kind kind, const uint8_t *start)
{
    struct json_doc *doc = s->doc;
    if (doc->node_count == doc->node_capacity) {
        uint32_t capacity = doc->node_capacity ? doc->node_capacity * 2 : 128;
        struct json_node *nodes = capacity > doc->node_capacity
                                      ? reallocarray(doc->nodes, capacity, sizeof *nodes)
                                      : NULL;
        if (!nodes) {
            if (s->status == STATUS_OK)
                s->status = STATUS_NO_MEMORY;
            return JSON_NONE;
        }
        doc->nodes = nodes;
        doc->node_capacity = capacity;
    }
    uint32_t index = doc->node_count++;
    doc->nodes[index] = (struct json_node){
        .kind = (uint8_t)kind, .start = (uint32_t)(start - s->start), .next = index + 1};
    return index;
}

static inline void skip_space(struct scanner *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* One well-formed UTF-8 sequence of two to four bytes (RFC 3629); 0: it is none. */
static size_t utf8_length(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    uint8_t lead = at[0];
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    size_t len = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (left < len)
        return 0;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at `at`, which need not be there; -1: they are not. */
static int32_t hex4(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 4)
        return -1;
    int32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

static bool scan_unicode_escape(struct scanner *s)
{
    int32_t unit = hex4(s->at + 2, s->end);
    if (unit < 0) {
        fail(s, s->at, "\\u must be followed by four hex digits");
        return false;
    }
    if (unit >= 0xdc00 && unit <= 0xdfff) {
        fail(s, s->at, "a low surrogate without a high one before it");
        return false;
    }
    if (unit < 0xd800 || unit > 0xdbff) {
        s->at += 6;
        return true;
    }
    bool is_pair = s->end - s->at >= 12 && s->at[6] == '\\' && s->at[7] == 'u';
    int32_t low = is_pair ? hex4(s->at + 8, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff) {
        fail(s, s->at, "a high surrogate without a low one after it");
        return false;
    }
    s->at += 12;
    return true;
}

static bool scan_escape(struct scanner *s)
{
    if (s->end - s->at < 2) {
        fail(s, s->end, "the text ends inside a string");
        return false;
    }
    switch (s->at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->at += 2;
        return true;
    case 'u':
        return scan_unicode_escape(s);
    default:
        fail(s, s->at, "no such escape in a string");
        return false;
    }
}

/* Has any of the eight bytes a quote, a backslash, a control character or the high bit? */
static inline bool is_special8(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    return ((word - ones * 0x20) | word | (quote - ones) | (backslash - ones)) & high;
}

/* `at` is behind the opening quote; afterwards behind the closing one. */
static uint32_t scan_string(struct scanner *s)
{
    const uint8_t *start = s->at;
    uint8_t flags = JSON_IS_ASCII;
    for (;;) {
        uint64_t word;
        while (s->end - s->at >= 8 && (memcpy(&word, s->at, 8), !is_special8(word)))
            s->at += 8;
        while (s->at < s->end && *s->at >= 0x20 && *s->at < 0x80 && *s->at != '"' && *s->at != '\\')
            s->at++;
        if (s->at == s->end) {
            fail(s, s->end, "the text ends inside a string");
            return JSON_NONE;
        }
        if (*s->at == '"')
            break;
        if (*s->at == '\\') {
            flags |= JSON_HAS_ESCAPES;
            if (!scan_escape(s))
                return JSON_NONE;
        } else if (*s->at < 0x20) {
            fail(s, s->at, "a control character in a string must be escaped");
            return JSON_NONE;
        } else {
            flags &= (uint8_t)~JSON_IS_ASCII;
            size_t len = utf8_length(s->at, s->end);
            if (len == 0) {
                fail(s, s->at, "not valid UTF-8");
                return JSON_NONE;
            }
            s->at += len;
        }
    }
    uint32_t node = add_node(s, JSON_STRING, start);
    if (node == JSON_NONE)
        return JSON_NONE;
    s->doc->nodes[node].len = (uint32_t)(s->at - start);
    s->doc->nodes[node].flags = flags;
    s->at++;
    return node;
}

/* At the edge of a double's range only its own arithmetic knows. */
static bool is_finite_at_edge(const uint8_t *start, const uint8_t *end)
{
    char digits[NUMBER_DIGITS_MAX + 1];
    size_t len = (size_t)(end - start);
    if (len > NUMBER_DIGITS_MAX)
        return false; /* more digits than any honest number of that size */
    memcpy(digits, start, len);
    digits[len] = '\0';
    return isfinite(strtod(digits, NULL));
}

struct number_shape {
    int64_t point; /* decimal exponent of the digit before the point, of a number d.ddd */
    bool is_zero;
    bool is_integer;
};

static bool scan_digits(struct scanner *s, const char *expected)
{
    if (s->at == s->end || *s->at < '0' || *s->at > '9') {
        fail_expected(s, expected);
        return false;
    }
    while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
        s->at++;
    return true;
}

static bool scan_fraction(struct scanner *s, struct number_shape *shape)
{
    const uint8_t *start = ++s->at;
    shape->is_integer = false;
    if (!scan_digits(s, "a digit after the decimal point"))
        return false;
    if (shape->is_zero) {
        const uint8_t *digit = start;
        while (digit < s->at && *digit == '0')
            digit++;
        shape->is_zero = digit == s->at;
        shape->point = -(digit - start) - 1;
    }
    return true;
}

static bool scan_exponent(struct scanner *s, struct number_shape *shape)
{
    s->at++;
    shape->is_integer = false;
    bool is_negative = s->at < s->end && *s->at == '-';
    if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
        s->at++;
    const uint8_t *start = s->at;
    if (!scan_digits(s, "a digit of the exponent"))
        return false;
    int64_t exponent = 0;
    for (const uint8_t *at = start; at < s->at && exponent < INT32_MAX; at++)
        exponent = exponent * 10 + (*at - '0');
    shape->point += is_negative ? -exponent : exponent;
    return true;
}

static uint32_t scan_number(struct scanner *s)
{
    const uint8_t *start = s->at;
    struct number_shape shape = {.is_integer = true};
    if (*s->at == '-')
        s->at++;
    const uint8_t *first = s->at;
    if (!scan_digits(s, "a digit"))
        return JSON_NONE;
    if (*first == '0' && s->at - first > 1) {
        fail(s, first, "a number must not begin with a zero");
        return JSON_NONE;
    }
    shape.is_zero = *first == '0';
    shape.point = s->at - first - 1;
    if (s->at < s->end && *s->at == '.' && !scan_fraction(s, &shape))
        return JSON_NONE;
    if (s->at < s->end && (*s->at == 'e' || *s->at == 'E') && !scan_exponent(s, &shape))
        return JSON_NONE;
    if (!shape.is_zero && shape.point >= 308 &&
        (shape.point > 308 || !is_finite_at_edge(start, s->at))) {
        fail(s, start, "the number is beyond the range of a double");
        return JSON_NONE;
    }
    uint32_t node = add_node(s, JSON_NUMBER, start);
    if (node == JSON_NONE)
        return JSON_NONE;
    s->doc->nodes[node].len = (uint32_t)(s->at - start);
    s->doc->nodes[node].flags = shape.is_integer ? JSON_IS_INTEGER : 0;
    return node;
}

static uint32_t scan_word(struct scanner *s, const char *word, enum json_kind kind)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0) {
        fail_expected(s, "a value");
        return JSON_NONE;
    }
    uint32_t node = add_node(s, kind, s->at);
    if (node == JSON_NONE)
        return JSON_NONE;
    s->doc->nodes[node].len = (uint32_t)len;
    s->at += len;
    return node;
}

static bool is_same_name(const struct json_doc *doc, uint32_t a, uint32_t b)
{
    if (doc->nodes[a].count != doc->nodes[b].count)
        return false;
    struct buf scratch = {0};
    bool is_same = json_string_equals(doc, b, json_string(doc, a, &scratch));
    buf_fini(&scratch);
    return is_same;
}

static void fail_duplicate(struct scanner *s, uint32_t name)
{
    struct bytes raw = json_raw(s->doc, name);
    char detail[160];
    snprintf(detail, sizeof detail, "duplicate member name \"%.*s\"%s", (int)json_cut_utf8(raw, 80),
             (const char *)raw.data, raw.len > 80 ? " …" : "");
    fail(s, raw.data - 1, detail);
}

static void check_small(struct scanner *s, uint32_t object)
{
    uint32_t names[SMALL_OBJECT];
    size_t count = 0;
    for (uint32_t i = json_first(s->doc, object); i != JSON_NONE;
         i = json_after(s->doc, object, i)) {
        for (size_t j = 0; j < count; j++) {
            if (is_same_name(s->doc, names[j], i)) {
                fail_duplicate(s, i);
                return;
            }
        }
        names[count++] = i;
    }
}

static bool reserve_names(struct scanner *s, uint32_t capacity)
{
    if (s->doc->names_capacity < capacity) {
        free(s->doc->names);
        s->doc->names = malloc(capacity * sizeof *s->doc->names);
        s->doc->names_capacity = s->doc->names ? capacity : 0;
    }
    if (!s->doc->names) {
        if (s->status == STATUS_OK)
            s->status = STATUS_NO_MEMORY;
        return false;
    }
    memset(s->doc->names, 0xff, capacity * sizeof *s->doc->names);
    return true;
}

static void check_large(struct scanner *s, uint32_t object)
{
    uint32_t capacity = 64;
    while (capacity < 2 * s->doc->nodes[object].count)
        capacity *= 2;
    if (!reserve_names(s, capacity))
        return;
    for (uint32_t i = json_first(s->doc, object); i != JSON_NONE;
         i = json_after(s->doc, object, i)) {
        uint32_t slot = s->doc->nodes[i].count & (capacity - 1);
        while (s->doc->names[slot] != JSON_NONE) {
            if (is_same_name(s->doc, s->doc->names[slot], i)) {
                fail_duplicate(s, i);
                return;
            }
            slot = (slot + 1) & (capacity - 1);
        }
        s->doc->names[slot] = i;
    }
}

static void open_container(struct scanner *s, enum json_kind kind)
{
    if (s->depth == JSON_DEPTH_MAX) {
        fail(s, s->at, "nested deeper than 64 levels");
        return;
    }
    uint32_t node = add_node(s, kind, s->at);
    if (node == JSON_NONE)
        return;
    s->open[s->depth++] = node;
    s->at++;
}

static void close_container(struct scanner *s)
{
    uint32_t index = s->open[--s->depth];
    struct json_node *node = &s->doc->nodes[index];
    s->at++;
    node->len = (uint32_t)(s->at - s->start) - node->start;
    node->next = s->doc->node_count;
    if (node->kind != JSON_OBJECT || node->count < 2)
        return;
    if (node->count <= SMALL_OBJECT)
        check_small(s, index);
    else
        check_large(s, index);
}

/* A member's name and the colon behind it. */
static void scan_name(struct scanner *s)
{
    if (s->at == s->end || *s->at != '"') {
        fail_expected(s, "a member name in double quotes");
        return;
    }
    s->at++;
    uint32_t name = scan_string(s);
    if (name == JSON_NONE)
        return;
    struct json_node *node = &s->doc->nodes[name];
    node->flags |= JSON_IS_NAME;
    if (node->flags & JSON_HAS_ESCAPES) {
        struct buf scratch = {0};
        node->count = json_name_hash(json_string(s->doc, name, &scratch));
        if (scratch.status != STATUS_OK && s->status == STATUS_OK)
            s->status = STATUS_NO_MEMORY;
        buf_fini(&scratch);
    } else {
        node->count = json_name_hash(json_raw(s->doc, name));
    }
    skip_space(s);
    if (s->at == s->end || *s->at != ':') {
        fail_expected(s, "':' after a member name");
        return;
    }
    s->at++;
    skip_space(s);
}

/* One value; true: it opened a container. */
static bool scan_value(struct scanner *s)
{
    if (s->at == s->end) {
        fail_expected(s, "a value");
        return false;
    }
    switch (*s->at) {
    case '{':
        open_container(s, JSON_OBJECT);
        return true;
    case '[':
        open_container(s, JSON_ARRAY);
        return true;
    case '"':
        s->at++;
        scan_string(s);
        return false;
    case 't':
        scan_word(s, "true", JSON_TRUE);
        return false;
    case 'f':
        scan_word(s, "false", JSON_FALSE);
        return false;
    case 'n':
        scan_word(s, "null", JSON_NULL);
        return false;
    default:
        if (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'))
            scan_number(s);
        else
            fail_expected(s, "a value");
        return false;
    }
}

/* Between the values of the innermost container. */
static void scan_inside(struct scanner *s, bool is_just_open)
{
    struct json_node *node = &s->doc->nodes[s->open[s->depth - 1]];
    bool is_object = node->kind == JSON_OBJECT;
    skip_space(s);
    if (s->at < s->end && *s->at == (is_object ? '}' : ']')) {
        close_container(s);
        return;
    }
    if (!is_just_open) {
        if (s->at == s->end || *s->at != ',') {
            fail_expected(s, is_object ? "',' or '}'" : "',' or ']'");
            return;
        }
        s->at++;
        skip_space(s);
    }
    node->count++;
    if (is_object)
        scan_name(s);
}

static void scan_document(struct scanner *s)
{
    skip_space(s);
    if (s->at == s->end) {
        fail(s, s->at, "the text is empty");
        return;
    }
    bool is_just_open = scan_value(s);
    while (s->status == STATUS_OK && s->depth > 0) {
        unsigned depth = s->depth;
        scan_inside(s, is_just_open);
        is_just_open = false;
        /* Still as deep: a value is to come. Otherwise the container was closed. */
        if (s->status == STATUS_OK && s->depth == depth)
            is_just_open = scan_value(s);
    }
    if (s->status != STATUS_OK)
        return;
    skip_space(s);
    if (s->at < s->end)
        fail(s, s->at, "there is something after the value");
}

enum status json_scan(struct json_doc *doc, struct bytes text, struct json_fault *ret_fault)
{
    doc->node_count = 0;
    doc->text = (const char *)text.data;
    doc->text_bytes = text.len;
    *ret_fault = (struct json_fault){0};
    if (text.len >= UINT32_MAX)
        return STATUS_LIMIT;
    static const uint8_t EMPTY[1];
    const uint8_t *start = text.data ? text.data : EMPTY;
    struct scanner scanner = {
        .doc = doc, .fault = ret_fault, .start = start, .at = start, .end = start + text.len};
    if (text.len >= 3 && memcmp(start, "\xef\xbb\xbf", 3) == 0)
        fail(&scanner, start, "the text begins with a byte order mark");
    else
        scan_document(&scanner);
    if (scanner.status == STATUS_INVALID)
        locate(ret_fault, start);
    if (scanner.status != STATUS_OK)
        doc->node_count = 0;
    return scanner.status;
}

/*
 * Design: one pass over the bytes, without recursion. Open containers are a stack of levels; each
 * value becomes a node as it begins, and a container's length, end and count are filled in when it
 * closes. Functions take the place in the text and return the place after what they passed, or NULL
 * after a fault, so that it stays in a register.
 *
 * What is common is short: plain ASCII in strings is passed a chunk at a time, and everything else
 * about strings is in json_string.c. A fault is described when it happens and located (line,
 * column) afterwards, which costs only those who send broken JSON.
 *
 * Duplicate names: each level keeps 64 bits, one for each of as many classes of hashes. A name of a
 * new class is new. Otherwise it is compared with those before it while there are few, and a large
 * object's names go through a hash table once, when it closes. So no object costs more than its
 * size.
 */
#include "schemas/decimal.h"
#include "schemas/json_private.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FINITE_DIGITS 308 /* a whole number of this many digits is within a double's range */
#define NODES_MIN 128

/* --- Hashing names -------------------------------------------------------------------------- */

/*
 * Names are multiplied with secret numbers, 16 bytes at a time, and both halves of the product
 * kept. Without the secrets, nobody can tell which names collide; with 32 bits, some do, and every
 * user of the hash compares the names as well.
 */
static struct {
    uint64_t a, b, c;
} secret = {UINT64_C(0x8ebc6af09c88c6e3), UINT64_C(0x589965cc75374cc3),
            UINT64_C(0x1d8e4e27c47d124f)};

static inline uint64_t fold(uint64_t x, uint64_t y)
{
    unsigned __int128 product = (unsigned __int128)x * y;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

void json_seed(uint64_t seed)
{
    secret.a = fold(seed ^ UINT64_C(0x2d358dccaa6c78a5), UINT64_C(0x8bb84b93962eacc9));
    secret.b = fold(seed ^ UINT64_C(0x4b33a62ed433d4a3), UINT64_C(0x4d5a2da51de1aa47));
    secret.c = fold(secret.a ^ seed, secret.b ^ UINT64_C(0xa0761d6478bd642f)) | 1;
}

static inline uint64_t load64(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t load32(const uint8_t *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t hash_of(const uint8_t *at, size_t len)
{
    uint64_t state = secret.c ^ len, x, y;

    if (len >= 8) {
        for (; len > 16; at += 16, len -= 16)
            state = fold(load64(at) ^ secret.a ^ state, load64(at + 8) ^ secret.b);
        /* The last 8 to 16 bytes; both words may overlap, and what went before. */
        x = load64(len < 8 ? at + len - 8 : at);
        y = load64(at + len - 8);
    } else if (len >= 4) {
        x = load32(at);
        y = load32(at + len - 4);
    } else {
        x = len ? (uint64_t)at[0] << 16 | (uint64_t)at[len / 2] << 8 | at[len - 1] : 0;
        y = 0;
    }
    state = fold(x ^ secret.a ^ state, y ^ secret.b);
    state = fold(state ^ secret.a, secret.c);
    return (uint32_t)(state ^ state >> 32);
}

uint32_t json_name_hash(struct bytes name)
{
    return hash_of(name.data, name.len);
}

/* --- State and faults ----------------------------------------------------------------------- */

/* An open container. */
struct level {
    uint64_t seen; /* classes of the hashes of its names so far */
    uint32_t node;
    uint32_t count;
    uint8_t close; /* the bracket that ends it */
};

struct scan {
    struct json_doc *doc;
    struct json_fault *fault;
    const uint8_t *begin, *end;
    enum status status;
    uint32_t depth;
    struct level levels[JSON_DEPTH_MAX];
};

__attribute__((cold, noinline, format(printf, 3, 4))) static const uint8_t *
fault(struct scan *s, const uint8_t *at, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(s->fault->detail, sizeof s->fault->detail, format, arguments);
    va_end(arguments);
    s->fault->offset = (size_t)(at - s->begin);
    s->status = STATUS_INVALID;
    return NULL;
}

/* Says what is there instead. */
__attribute__((cold, noinline)) static const uint8_t *expected(struct scan *s, const uint8_t *at,
                                                               const char *what)
{
    if (at == s->end)
        return fault(s, at, "unexpected end of the text: expected %s", what);
    if (*at > ' ' && *at < 0x7f)
        return fault(s, at, "expected %s, got '%c'", what, *at);
    return fault(s, at, "expected %s, got byte 0x%02x", what, *at);
}

__attribute__((cold)) static void locate(struct json_fault *at, const uint8_t *text)
{
    at->line = 1;
    at->column = 1;
    for (size_t i = 0; i < at->offset; i++) {
        if (text[i] == '\n') {
            at->line++;
            at->column = 1;
        } else if ((text[i] & 0xc0) != 0x80) {
            at->column++;
        }
    }
}

/* --- Nodes ----------------------------------------------------------------------------------- */

__attribute__((cold, noinline)) static bool grow(struct scan *s)
{
    struct json_doc *doc = s->doc;
    uint32_t capacity = doc->node_capacity ? doc->node_capacity * 2 : NODES_MIN;
    struct json_node *nodes = reallocarray(doc->nodes, capacity, sizeof *nodes);

    if (!nodes) {
        s->status = STATUS_NO_MEMORY;
        return false;
    }
    doc->nodes = nodes;
    doc->node_capacity = capacity;
    return true;
}

/* There is room: begin_child() sees to it before each member or element. */
static inline void add(struct scan *s, enum json_kind kind, unsigned flags, const uint8_t *start,
                       const uint8_t *end)
{
    uint32_t index = s->doc->node_count++;

    s->doc->nodes[index] = (struct json_node){
        .kind = (uint8_t)kind,
        .flags = (uint8_t)flags,
        .start = (uint32_t)(start - s->begin),
        .len = (uint32_t)(end - start),
        .next = index + 1,
    };
}

/* --- Tokens ---------------------------------------------------------------------------------- */

static inline const uint8_t *pass_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at <= ' ' && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
        while (end - at >= 8 && load64(at) == UINT64_C(0x2020202020202020))
            at += 8; /* indentation */
    }
    return at;
}

static const uint8_t *scan_literal(struct scan *s, const uint8_t *at, const char *word,
                                   enum json_kind kind)
{
    size_t len = strlen(word);

    if ((size_t)(s->end - at) < len || memcmp(at, word, len) != 0)
        return expected(s, at, "a value");
    add(s, kind, 0, at, at + len);
    return at + len;
}

static inline bool is_digit_at(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static inline const uint8_t *pass_digits(struct scan *s, const uint8_t *at, const char *what)
{
    if (!is_digit_at(at, s->end))
        return expected(s, at, what);
    do
        at++;
    while (is_digit_at(at, s->end));
    return at;
}

static const uint8_t *scan_number(struct scan *s, const uint8_t *start)
{
    const uint8_t *at = start + (*start == '-'), *digits = at;
    unsigned flags = JSON_IS_INTEGER;
    bool is_large;

    at = pass_digits(s, at, "a digit");
    if (!at)
        return NULL;
    if (*digits == '0' && at - digits > 1)
        return fault(s, digits, "a number must not begin with 0");
    is_large = at - digits > FINITE_DIGITS;
    if (at < s->end && *at == '.') {
        flags = 0;
        at = pass_digits(s, at + 1, "a digit after the decimal point");
        if (!at)
            return NULL;
    }
    if (at < s->end && (*at | 0x20) == 'e') {
        flags = 0;
        is_large = true;
        at++;
        at = pass_digits(s, at + (at < s->end && (*at == '+' || *at == '-')),
                         "a digit of the exponent");
        if (!at)
            return NULL;
    }
    if (is_large && !decimal_is_in_range(bytes_of(start, (size_t)(at - start))))
        return fault(s, start, "the number is beyond the range of a double");
    add(s, JSON_NUMBER, flags, start, at);
    return at;
}

/* How many bytes of the chunk at `at` are plain: up to the first that is a quote, a backslash, a
 * control character or not ASCII. */
#ifdef __SSE2__
#define CHUNK_BYTES 16u
static inline unsigned count_plain(const uint8_t *at)
{
    __m128i chunk = _mm_loadu_si128((const __m128i *)at);
    __m128i quotes = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('"'));
    __m128i backslashes = _mm_cmpeq_epi8(chunk, _mm_set1_epi8('\\'));
    __m128i others = _mm_cmplt_epi8(chunk, _mm_set1_epi8(' ')); /* signed: 0x80 is below, too */
    __m128i special = _mm_or_si128(_mm_or_si128(quotes, backslashes), others);

    return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8(special) | 1u << CHUNK_BYTES);
}
#else
#define CHUNK_BYTES 8u
static inline unsigned count_plain(const uint8_t *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    uint64_t word = le64toh(load64(at)), quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    uint64_t found = (word | (word - ones * 0x20) | (quote - ones) | (backslash - ones)) & tops;

    /* A borrow makes false hits only above a true one, and the lowest is the first. */
    return found ? (unsigned)__builtin_ctzll(found) / 8 : CHUNK_BYTES;
}
#endif

static inline const uint8_t *pass_plain(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= CHUNK_BYTES; at += CHUNK_BYTES) {
        unsigned plain = count_plain(at);

        if (plain < CHUNK_BYTES)
            return at + plain;
    }
    while (at < end && *at >= ' ' && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* A string that is not plain throughout, or has no end. `at` is where that shows. */
__attribute__((noinline)) static const uint8_t *
scan_special_string(struct scan *s, const uint8_t *start, const uint8_t *at, unsigned flags)
{
    flags |= JSON_IS_ASCII;
    while (at < s->end && *at != '"') {
        struct string_fault broken;

        if (*at < ' ')
            return fault(s, at, "a control character (0x%02x) in a string must be escaped", *at);
        if (*at == '\\') {
            flags |= JSON_HAS_ESCAPES;
            at = json_pass_escape(at, s->end, &broken);
        } else {
            flags &= ~(unsigned)JSON_IS_ASCII;
            at = json_pass_utf8(at, s->end, &broken);
        }
        if (!at)
            return fault(s, broken.at, "%s", broken.detail);
        at = pass_plain(at, s->end);
    }
    if (at == s->end)
        return fault(s, at, "unexpected end of the text inside a string");
    add(s, JSON_STRING, flags, start, at);
    return at + 1;
}

/* `start` is behind the opening quote. */
static inline const uint8_t *scan_string(struct scan *s, const uint8_t *start, unsigned flags)
{
    const uint8_t *at = pass_plain(start, s->end);

    if (at == s->end || *at != '"')
        return scan_special_string(s, start, at, flags);
    add(s, JSON_STRING, flags | JSON_IS_ASCII, start, at);
    return at + 1;
}

/* --- Structure ------------------------------------------------------------------------------- */

__attribute__((cold, noinline)) static const uint8_t *repeated(struct scan *s, uint32_t name)
{
    struct bytes raw = json_raw(s->doc, name);
    size_t len = json_cut_utf8(raw, 100);

    return fault(s, raw.data - 1, "duplicate member name \"%.*s%s\"", (int)len,
                 (const char *)raw.data, len < raw.len ? "…" : "");
}

static bool is_repeated(const struct json_doc *doc, uint32_t object, uint32_t name)
{
    uint32_t hash = doc->nodes[name].count;

    for (uint32_t i = object + 1; i < name; i = doc->nodes[i + 1].next) {
        if (doc->nodes[i].count == hash && json_strings_equal(doc, i, doc, name))
            return true;
    }
    return false;
}

static const uint8_t *close_container(struct scan *s, const uint8_t *at)
{
    const struct level *level = &s->levels[--s->depth];
    struct json_node *node = &s->doc->nodes[level->node];
    uint32_t name;

    at++;
    node->len = (uint32_t)(at - s->begin) - node->start;
    node->next = s->doc->node_count;
    node->count = level->count;
    if (level->count < INDEX_MEMBERS_MIN || level->close != '}')
        return at;
    s->status = json_find_repeated(s->doc, level->node, &name);
    if (s->status != STATUS_OK)
        return NULL;
    return name == JSON_NONE ? at : repeated(s, name);
}

static const uint8_t *open_container(struct scan *s, const uint8_t *at, enum json_kind kind,
                                     uint8_t close)
{
    if (s->depth == JSON_DEPTH_MAX)
        return fault(s, at, "nested deeper than %d levels", JSON_DEPTH_MAX);
    s->levels[s->depth++] = (struct level){.node = s->doc->node_count, .close = close};
    add(s, kind, 0, at, at + 1);
    return at + 1;
}

/* Those are rare: the memory is not worth keeping. */
__attribute__((cold, noinline)) static uint32_t hash_escaped(struct scan *s, uint32_t name)
{
    struct buf resolved = {0};
    struct bytes text = json_string(s->doc, name, &resolved);
    uint32_t hash = hash_of(text.data, text.len);

    if (resolved.status != STATUS_OK)
        s->status = resolved.status;
    buf_fini(&resolved);
    return hash;
}

/* A member's name and the colon behind it. */
static inline const uint8_t *scan_name(struct scan *s, struct level *level, const uint8_t *at)
{
    uint32_t name = s->doc->node_count;
    struct json_node *node;
    uint64_t class;

    if (at == s->end || *at != '"')
        return expected(s, at, "a member name in double quotes");
    at = scan_string(s, at + 1, JSON_IS_NAME);
    if (!at)
        return NULL;
    node = &s->doc->nodes[name];
    node->count = node->flags & JSON_HAS_ESCAPES ? hash_escaped(s, name)
                                                 : hash_of(s->begin + node->start, node->len);
    if (s->status != STATUS_OK)
        return NULL;
    class = UINT64_C(1) << (node->count >> 26);
    if (level->seen & class && level->count < INDEX_MEMBERS_MIN &&
        is_repeated(s->doc, level->node, name))
        return repeated(s, name);
    level->seen |= class;
    at = pass_space(at, s->end);
    if (at == s->end || *at != ':')
        return expected(s, at, "':' after a member name");
    return pass_space(at + 1, s->end);
}

static inline const uint8_t *scan_value(struct scan *s, const uint8_t *at)
{
    if (at == s->end)
        return expected(s, at, "a value");
    switch (*at) {
    case '"':
        return scan_string(s, at + 1, 0);
    case '{':
        return open_container(s, at, JSON_OBJECT, '}');
    case '[':
        return open_container(s, at, JSON_ARRAY, ']');
    case 't':
        return scan_literal(s, at, "true", JSON_TRUE);
    case 'f':
        return scan_literal(s, at, "false", JSON_FALSE);
    case 'n':
        return scan_literal(s, at, "null", JSON_NULL);
    default:
        if (*at != '-' && !is_digit_at(at, s->end))
            return expected(s, at, "a value");
        return scan_number(s, at);
    }
}

/* What stands before a container's next value: a comma, a name. */
static inline const uint8_t *begin_child(struct scan *s, struct level *level, const uint8_t *at)
{
    bool is_object = level->close == '}';

    if (level->count++) {
        if (at == s->end || *at != ',')
            return expected(s, at, is_object ? "',' or '}'" : "',' or ']'");
        at = pass_space(at + 1, s->end);
    }
    if (s->doc->node_capacity - s->doc->node_count < 2 && !grow(s))
        return NULL;
    return is_object ? scan_name(s, level, at) : at;
}

/* From behind a value to the next one, or behind the root: closes the containers that end here. */
static inline const uint8_t *pass_to_next(struct scan *s, const uint8_t *at)
{
    while (at && s->depth) {
        struct level *level = &s->levels[s->depth - 1];

        at = pass_space(at, s->end);
        if (at == s->end || *at != level->close)
            return begin_child(s, level, at);
        at = close_container(s, at);
    }
    return at;
}

/* The root and all within it. */
static const uint8_t *scan_values(struct scan *s, const uint8_t *at)
{
    do
        at = pass_to_next(s, scan_value(s, at));
    while (at && s->depth);
    return at;
}

static void scan_text(struct scan *s)
{
    const uint8_t *at = pass_space(s->begin, s->end);

    if (at == s->end) {
        fault(s, at, "the text is empty");
        return;
    }
    if (s->end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
        fault(s, at, "a byte order mark is not allowed");
        return;
    }
    if (s->doc->node_capacity == 0 && !grow(s))
        return;
    at = scan_values(s, at);
    if (!at)
        return;
    at = pass_space(at, s->end);
    if (at < s->end)
        expected(s, at, "nothing more after the value");
}

enum status json_scan(struct json_doc *doc, struct bytes text, struct json_fault *ret_fault)
{
    static const uint8_t nothing;
    struct scan s;

    doc->node_count = 0;
    doc->text = (const char *)text.data;
    doc->text_bytes = text.len;
    if (text.len >= UINT32_MAX)
        return STATUS_LIMIT;
    s.doc = doc;
    s.fault = ret_fault;
    s.begin = text.data ? text.data : &nothing; /* arithmetic on NULL is undefined */
    s.end = s.begin + text.len;
    s.status = STATUS_OK;
    s.depth = 0; /* levels are filled when opened: no need to clear a kilobyte for each text */
    scan_text(&s);
    if (s.status == STATUS_INVALID)
        locate(ret_fault, s.begin);
    if (s.status != STATUS_OK)
        doc->node_count = 0;
    return s.status;
}

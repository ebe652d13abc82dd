/*
 * Design: one pass over the pattern by the grammar of ECMA-262 section 22.2.1, writing PCRE2 syntax
 * as it goes. Every literal that is not a letter or digit is written as \x{…}, and the class
 * escapes are written out as ranges, so nothing in the output depends on PCRE2's options or locale.
 * Named groups become plain ones and \k<name> a number; a first pass over the pattern counts the
 * groups and notes their names, since references may come before.
 *
 * Groups nest at most DEPTH_MAX deep; that is the only recursion.
 */
#include "schemas/regex_translate.h"

#define DEPTH_MAX 100
#define GROUPS_MAX 200
#define REPEAT_MAX 65535
#define NO_CHARACTER 0xFFFFFFFFu /* a class item that stands for several */
#define LONE_SURROGATE 0xFFFFFFFEu

#define SPACE_RANGES                                                                               \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}"  \
    "\\x{3000}\\x{feff}"
#define NON_SPACE_RANGES                                                                           \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"               \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"                 \
    "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"
#define DIGIT_RANGES "0-9"
#define NON_DIGIT_RANGES "\\x{0}-\\x{2f}\\x{3a}-\\x{10ffff}"
#define WORD_RANGES "0-9A-Za-z_"
#define NON_WORD_RANGES "\\x{0}-\\x{2f}\\x{3a}-\\x{40}\\x{5b}-\\x{5e}\\x{60}\\x{7b}-\\x{10ffff}"

struct translator {
    struct bytes pattern;
    size_t at;
    struct buf *out;
    struct err *err;
    bool is_bad;
    unsigned depth;
    unsigned group_count;
    struct bytes names[GROUPS_MAX]; /* of group i + 1; empty: unnamed */
};

/* --- reading --------------------------------------------------------------------------------- */

static bool bad(struct translator *t, const char *why)
{
    if (!t->is_bad)
        err_set(t->err, "%s at character %zu", why, t->at + 1);
    t->is_bad = true;
    return false;
}

static bool is_end(const struct translator *t)
{
    return t->is_bad || t->at >= t->pattern.len;
}

static int peek(const struct translator *t, size_t ahead)
{
    size_t at = t->at + ahead;
    return at < t->pattern.len ? t->pattern.data[at] : -1;
}

static bool take(struct translator *t, const char *text)
{
    size_t len = strlen(text);
    if (t->is_bad || t->pattern.len - t->at < len ||
        memcmp(t->pattern.data + t->at, text, len) != 0)
        return false;
    t->at += len;
    return true;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_value(int c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The pattern is valid UTF-8: it comes from a scanned document. */
static uint32_t take_character(struct translator *t)
{
    const uint8_t *p = t->pattern.data + t->at;
    size_t left = t->pattern.len - t->at;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (len > left) {
        (void)bad(t, "broken UTF-8");
        return 0;
    }
    uint32_t c = len == 1 ? p[0] : p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3F);
    t->at += len;
    return c;
}

static uint32_t take_hex(struct translator *t, unsigned digits)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        int digit = hex_value(peek(t, 0));
        if (digit < 0) {
            (void)bad(t, "an escape lacks a hexadecimal digit");
            return 0;
        }
        value = value << 4 | (uint32_t)digit;
        t->at++;
    }
    return value;
}

/* --- writing --------------------------------------------------------------------------------- */

static void put_character(struct translator *t, uint32_t c)
{
    if (c < 0x80 && (is_digit((int)c) || is_letter((int)c)))
        buf_put_char(t->out, (char)c);
    else
        buf_printf(t->out, "\\x{%x}", c);
}

static void put_literal(struct translator *t, uint32_t c)
{
    if (c == LONE_SURROGATE)
        buf_put_str(t->out, "(?!)"); /* well-formed text has none */
    else
        put_character(t, c);
}

/* --- escapes --------------------------------------------------------------------------------- */

static uint32_t take_unicode_escape(struct translator *t)
{
    if (take(t, "{")) {
        uint32_t value = 0;
        size_t start = t->at;
        for (int digit; (digit = hex_value(peek(t, 0))) >= 0 && value <= 0x10FFFF; t->at++)
            value = value << 4 | (uint32_t)digit;
        if (t->at == start || value > 0x10FFFF || !take(t, "}"))
            (void)bad(t, "\\u{…} must hold a code point");
        return value >= 0xD800 && value <= 0xDFFF ? LONE_SURROGATE : value;
    }
    uint32_t first = take_hex(t, 4);
    if (first < 0xD800 || first > 0xDFFF)
        return first;
    size_t back = t->at;
    if (first <= 0xDBFF && take(t, "\\u") && hex_value(peek(t, 0)) >= 0) {
        uint32_t second = take_hex(t, 4);
        if (second >= 0xDC00 && second <= 0xDFFF)
            return 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    }
    t->at = back;
    return LONE_SURROGATE;
}

static const char *class_ranges(int c)
{
    switch (c) {
    case 'd':
        return DIGIT_RANGES;
    case 'D':
        return NON_DIGIT_RANGES;
    case 's':
        return SPACE_RANGES;
    case 'S':
        return NON_SPACE_RANGES;
    case 'w':
        return WORD_RANGES;
    case 'W':
        return NON_WORD_RANGES;
    default:
        return NULL;
    }
}

/* The general categories' names beside their two letters (UTS 18, PropertyValueAliases). */
static const struct {
    const char *name;
    const char *category;
} CATEGORIES[] = {
    {"Cased_Letter", "L&"},
    {"LC", "L&"},
    {"Close_Punctuation", "Pe"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
};

static bool is_category_code(struct bytes name)
{
    static const char CODES[] = " C Cc Cf Cn Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd "
                                "Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs ";
    for (const char *at = CODES + 1; *at; at = strchr(at, ' ') + 1) {
        size_t len = (size_t)(strchr(at, ' ') - at);
        if (name.len == len && memcmp(name.data, at, len) == 0)
            return true;
    }
    return false;
}

/* Write a general category; false: it is none. */
static bool put_category(struct translator *t, char letter, struct bytes name)
{
    for (size_t i = 0; i < sizeof(CATEGORIES) / sizeof(CATEGORIES[0]); i++) {
        if (bytes_equal_str(name, CATEGORIES[i].name)) {
            buf_printf(t->out, "\\%c{%s}", letter, CATEGORIES[i].category);
            return true;
        }
    }
    if (!is_category_code(name))
        return false;
    buf_printf(t->out, "\\%c{%.*s}", letter, BYTES_ARG(name));
    return true;
}

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_letter(name.data[i]) && !is_digit(name.data[i]) && name.data[i] != '_')
            return false;
    }
    return name.len > 0 && name.len < 64;
}

/* After \p or \P. Scripts and binary properties go to PCRE2 under their names, and it is PCRE2
 * that refuses those it does not know; ECMAScript's are case-sensitive and begin with a capital. */
static void translate_property(struct translator *t, char letter)
{
    size_t start = t->at + 1, equals = 0;
    if (peek(t, 0) != '{') {
        (void)bad(t, "\\p must be followed by {…}");
        return;
    }
    while (peek(t, 0) != '}') {
        if (peek(t, 0) < 0) {
            (void)bad(t, "\\p{ is not closed");
            return;
        }
        if (peek(t, 0) == '=' && !equals)
            equals = t->at;
        t->at++;
    }
    size_t end = t->at++;
    struct bytes name = bytes_of(t->pattern.data + start, (equals ? equals : end) - start);
    struct bytes value = {0};
    if (equals)
        value = bytes_of(t->pattern.data + equals + 1, end - equals - 1);
    bool is_category = bytes_equal_str(name, "General_Category") || bytes_equal_str(name, "gc");
    bool is_script = bytes_equal_str(name, "Script") || bytes_equal_str(name, "sc");
    bool is_extended = bytes_equal_str(name, "Script_Extensions") || bytes_equal_str(name, "scx");
    if (!equals && bytes_equal_str(name, "Assigned"))
        buf_printf(t->out, "\\%c{Cn}", letter == 'p' ? 'P' : 'p');
    else if (!equals && is_name(name) && (put_category(t, letter, name)))
        return;
    else if (!equals && is_name(name) && name.data[0] >= 'A' && name.data[0] <= 'Z')
        buf_printf(t->out, "\\%c{%.*s}", letter, BYTES_ARG(name));
    else if (equals && is_category && put_category(t, letter, value))
        return;
    else if (equals && (is_script || is_extended) && is_name(value) && value.data[0] <= 'Z')
        buf_printf(t->out, "\\%c{%s:%.*s}", letter, is_script ? "sc" : "scx", BYTES_ARG(value));
    else
        (void)bad(t, "\\p{…} names no Unicode property");
}

/* An escape that stands for one character, both in and outside of classes; t->at is behind the
 * backslash. */
static uint32_t take_character_escape(struct translator *t)
{
    int c = peek(t, 0);
    if (c < 0) {
        (void)bad(t, "the pattern ends with a backslash");
        return 0;
    }
    t->at++;
    switch (c) {
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    case 'x':
        return take_hex(t, 2);
    case 'u':
        return take_unicode_escape(t);
    case 'c':
        if (is_letter(peek(t, 0)))
            return t->pattern.data[t->at++] & 0x1F;
        (void)bad(t, "\\c must be followed by a letter");
        return 0;
    case '0':
        if (!is_digit(peek(t, 0)))
            return 0;
        break;
    default:
        if (c < 0x80 && c > 0x20 && !is_letter(c) && !is_digit(c))
            return (uint32_t)c;
    }
    t->at--;
    (void)bad(t, "a backslash before a character that needs none means nothing,");
    return 0;
}

/* --- classes --------------------------------------------------------------------------------- */

/* One item of a class. Ranges of several are written at once; a single character is returned. */
static uint32_t take_class_item(struct translator *t)
{
    if (!take(t, "\\"))
        return take_character(t);
    const char *ranges = class_ranges(peek(t, 0));
    if (ranges) {
        t->at++;
        buf_put_str(t->out, ranges);
        return NO_CHARACTER;
    }
    if (peek(t, 0) == 'p' || peek(t, 0) == 'P') {
        char letter = (char)t->pattern.data[t->at++];
        translate_property(t, letter);
        return NO_CHARACTER;
    }
    if (take(t, "b"))
        return '\b';
    return take_character_escape(t);
}

static void put_class_character(struct translator *t, uint32_t c)
{
    if (c != NO_CHARACTER && c != LONE_SURROGATE)
        put_character(t, c);
}

static void translate_class_range(struct translator *t)
{
    uint32_t first = take_class_item(t), last;
    if (peek(t, 0) != '-' || peek(t, 1) == ']' || peek(t, 1) < 0) {
        put_class_character(t, first);
        return;
    }
    t->at++;
    if (first == NO_CHARACTER) { /* [\w-.]: the hyphen stands for itself */
        put_character(t, '-');
        return;
    }
    last = take_class_item(t);
    if (last == NO_CHARACTER) { /* [a-\d]: here too; \d has been written already */
        put_class_character(t, first);
        put_character(t, '-');
        return;
    }
    if (first > last) {
        (void)bad(t, "a range is out of order");
        return;
    }
    if (first == LONE_SURROGATE || last == LONE_SURROGATE)
        return;
    put_character(t, first);
    buf_put_char(t->out, '-');
    put_character(t, last);
}

static void translate_class(struct translator *t)
{
    bool is_negated = take(t, "^");
    if (take(t, "]")) {
        buf_put_str(t->out, is_negated ? "[\\x{0}-\\x{10ffff}]" : "(?!)");
        return;
    }
    buf_put_str(t->out, is_negated ? "[^" : "[");
    size_t start = t->out->len;
    while (!is_end(t) && peek(t, 0) != ']')
        translate_class_range(t);
    if (t->out->len == start) /* nothing but lone surrogates: some that never occur */
        buf_put_str(t->out, "\\x{fdd0}");
    if (!take(t, "]"))
        (void)bad(t, "a class is not closed");
    buf_put_char(t->out, ']');
}

/* --- atoms ----------------------------------------------------------------------------------- */

/* <name>, at the '<'. */
static struct bytes take_group_name(struct translator *t)
{
    size_t start = t->at + 1, end = start;
    while (end < t->pattern.len && t->pattern.data[end] != '>')
        end++;
    struct bytes name = bytes_of(t->pattern.data + start, end - start);
    bool is_good = end < t->pattern.len && name.len && !is_digit(name.data[0]);
    for (size_t i = 0; is_good && i < name.len; i++) {
        uint8_t c = name.data[i];
        is_good = is_letter(c) || is_digit(c) || c == '_' || c == '$' || c >= 0x80;
    }
    if (!is_good)
        (void)bad(t, "a group's name is malformed");
    t->at = is_good ? end + 1 : t->at;
    return name;
}

/* Count the groups and note their names. */
static void scan_groups(struct translator *t)
{
    bool in_class = false;
    for (t->at = 0; !is_end(t); t->at++) {
        int c = peek(t, 0);
        if (c == '\\')
            t->at++;
        else if (in_class || c == '[')
            in_class = c != ']';
        else if (c == '(' && (peek(t, 1) != '?' ||
                              (peek(t, 2) == '<' && peek(t, 3) != '=' && peek(t, 3) != '!'))) {
            if (t->group_count == GROUPS_MAX) {
                (void)bad(t, "too many groups");
                return;
            }
            struct bytes name = {0};
            if (peek(t, 1) == '?') {
                t->at += 2;
                name = take_group_name(t);
                t->at--;
            }
            for (unsigned i = 0; name.len && i < t->group_count; i++) {
                if (bytes_equal(t->names[i], name))
                    (void)bad(t, "two groups have the same name");
            }
            t->names[t->group_count++] = name;
        }
    }
    t->at = 0;
}

static void translate_reference(struct translator *t)
{
    unsigned number = 0;
    if (take(t, "k")) {
        struct bytes name = {0};
        if (peek(t, 0) == '<')
            name = take_group_name(t);
        for (unsigned i = 0; name.len && i < t->group_count; i++) {
            if (bytes_equal(t->names[i], name))
                number = i + 1;
        }
    } else {
        while (is_digit(peek(t, 0)) && number <= GROUPS_MAX)
            number = number * 10 + (unsigned)(t->pattern.data[t->at++] - '0');
    }
    if (number == 0 || number > t->group_count)
        (void)bad(t, "refers to a group that is not there,");
    else
        buf_printf(t->out, "\\g{%u}", number);
}

/* True: an assertion, which cannot be repeated. */
static bool translate_escape(struct translator *t)
{
    int c = peek(t, 0);
    if (c == 'b' || c == 'B') {
        t->at++;
        buf_printf(t->out, "\\%c", c);
        return true;
    }
    if (class_ranges(c)) {
        t->at++;
        buf_printf(t->out, "[%s]", class_ranges(c));
    } else if (c == 'p' || c == 'P') {
        t->at++;
        translate_property(t, (char)c);
    } else if (c == 'k' || (is_digit(c) && c != '0')) {
        translate_reference(t);
    } else {
        put_literal(t, take_character_escape(t));
    }
    return false;
}

static void translate_alternatives(struct translator *t);

/* Behind the '('. True: an assertion. */
static bool translate_group(struct translator *t)
{
    static const char *const ASSERTIONS[] = {"?=", "?!", "?<=", "?<!"};
    bool is_assertion = false;
    buf_put_char(t->out, '(');
    for (size_t i = 0; i < 4 && !is_assertion; i++) {
        is_assertion = take(t, ASSERTIONS[i]);
        if (is_assertion)
            buf_put_str(t->out, ASSERTIONS[i]);
    }
    if (!is_assertion && take(t, "?:")) {
        buf_put_str(t->out, "?:");
    } else if (!is_assertion && peek(t, 0) == '?' && peek(t, 1) == '<') {
        t->at++;
        (void)take_group_name(t); /* noted before */
    } else if (!is_assertion && peek(t, 0) == '?') {
        return bad(t, "an unknown kind of group");
    }
    if (++t->depth > DEPTH_MAX)
        return bad(t, "groups are nested too deep");
    translate_alternatives(t);
    t->depth--;
    if (!take(t, ")"))
        return bad(t, "a group is not closed");
    buf_put_char(t->out, ')');
    return is_assertion;
}

/* One atom or assertion; true: an assertion. */
static bool translate_atom(struct translator *t)
{
    int c = peek(t, 0);
    switch (c) {
    case '\\':
        t->at++;
        return translate_escape(t);
    case '(':
        t->at++;
        return translate_group(t);
    case '[':
        t->at++;
        translate_class(t);
        return false;
    case '^':
        t->at++;
        buf_put_char(t->out, '^');
        return true;
    case '$':
        t->at++;
        buf_put_str(t->out, "\\z");
        return true;
    case '.':
        t->at++;
        buf_put_str(t->out, "[^\\x{a}\\x{d}\\x{2028}\\x{2029}]");
        return false;
    case '*':
    case '+':
    case '?':
        return bad(t, "there is nothing to repeat");
    case '{':
    case '}':
    case ']':
        return bad(t, "a bracket that is not part of anything needs a backslash");
    default:
        put_literal(t, take_character(t));
        return false;
    }
}

static unsigned take_number(struct translator *t)
{
    unsigned value = 0;
    while (is_digit(peek(t, 0))) {
        unsigned digit = (unsigned)(t->pattern.data[t->at++] - '0');
        value = value > REPEAT_MAX ? value : value * 10 + digit;
    }
    if (value > REPEAT_MAX)
        (void)bad(t, "more than 65535 repetitions are not supported");
    return value;
}

static void translate_braces(struct translator *t)
{
    if (!is_digit(peek(t, 0))) {
        (void)bad(t, "a bracket that is not part of anything needs a backslash");
        return;
    }
    unsigned min = take_number(t), max = min;
    buf_printf(t->out, "{%u", min);
    if (take(t, ",")) {
        buf_put_char(t->out, ',');
        if (is_digit(peek(t, 0))) {
            max = take_number(t);
            buf_printf(t->out, "%u", max);
        }
    }
    if (max < min)
        (void)bad(t, "a repetition is out of order");
    if (!take(t, "}"))
        (void)bad(t, "a repetition is not closed");
    buf_put_char(t->out, '}');
}

static void translate_quantifier(struct translator *t, bool is_assertion)
{
    int c = peek(t, 0);
    if (c != '*' && c != '+' && c != '?' && c != '{')
        return;
    if (is_assertion) {
        (void)bad(t, "there is nothing to repeat");
        return;
    }
    t->at++;
    if (c == '{')
        translate_braces(t);
    else
        buf_put_char(t->out, (char)c);
    if (take(t, "?"))
        buf_put_char(t->out, '?');
}

static void translate_alternatives(struct translator *t)
{
    while (!is_end(t) && peek(t, 0) != ')') {
        if (take(t, "|")) {
            buf_put_char(t->out, '|');
            continue;
        }
        bool is_assertion = translate_atom(t);
        if (!is_end(t))
            translate_quantifier(t, is_assertion);
    }
}

enum status regex_translate(struct bytes pattern, struct buf *out, struct err *err)
{
    struct translator t = {.pattern = pattern, .out = out, .err = err};
    scan_groups(&t);
    translate_alternatives(&t);
    if (!is_end(&t))
        (void)bad(&t, "a ')' has no '('");
    if (t.is_bad)
        return STATUS_INVALID;
    return out->status;
}

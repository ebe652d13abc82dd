/*
 * URIs by RFC 3986 appendix A, IRIs by RFC 3987 section 2.2 (the same with more characters), URI
 * templates by RFC 6570 section 2. The text is split as appendix B does it; then each part's
 * characters are checked. Schemes keep their own rules to themselves.
 */
#include "schemas/format_kinds.h"

#include "schemas/uri.h"

/* What may stand in a part, beside unreserved characters and percent-encodings. */
struct charset {
    const char *extra;
    bool is_iri;     /* ucschar too */
    bool is_private; /* iprivate too: queries of IRIs */
};

#define SUB_DELIMS "!$&'()*+,;="

static bool is_alpha(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint32_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint32_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_unreserved(uint32_t c)
{
    return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool is_escape(struct bytes text, size_t at)
{
    return text.data[at] == '%' && at + 2 < text.len && is_hex(text.data[at + 1]) &&
           is_hex(text.data[at + 2]);
}

/* The character at `*at`, which moves on. The text is valid UTF-8. */
static uint32_t next_character(struct bytes text, size_t *at)
{
    const uint8_t *p = text.data + *at;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (len > text.len - *at) {
        *at = text.len;
        return 0;
    }
    uint32_t c = len == 1 ? p[0] : p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3F);
    *at += len;
    return c;
}

static bool is_iprivate(uint32_t c)
{
    return (c >= 0xE000 && c <= 0xF8FF) || (c >= 0xF0000 && c <= 0xFFFFD) ||
           (c >= 0x100000 && c <= 0x10FFFD);
}

/* RFC 3987 section 2.2: beyond ASCII and the C1 controls, no surrogates, private use, specials or
 * noncharacters. */
static bool is_ucschar(uint32_t c)
{
    if (c < 0xA0 || (c >= 0xD800 && c <= 0xF8FF) || (c >= 0xFDD0 && c <= 0xFDEF) || c >= 0xF0000)
        return false;
    return (c < 0xFFF0 || c > 0xFFFF) && (c & 0xFFFE) != 0xFFFE && (c < 0xE0000 || c >= 0xE1000);
}

static bool has_only(struct bytes text, const struct charset *set)
{
    for (size_t at = 0; at < text.len;) {
        if (text.data[at] == '%') {
            if (!is_escape(text, at))
                return false;
            at += 3;
            continue;
        }
        uint32_t c = next_character(text, &at);
        bool is_good = c < 0x80
                           ? c && (is_unreserved(c) || strchr(set->extra, (int)c))
                           : set->is_iri && (is_ucschar(c) || (set->is_private && is_iprivate(c)));
        if (!is_good)
            return false;
    }
    return true;
}

static bool is_scheme(struct bytes scheme)
{
    if (!scheme.len || !is_alpha(scheme.data[0]))
        return false;
    for (size_t i = 1; i < scheme.len; i++) {
        uint8_t c = scheme.data[i];
        if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
            return false;
    }
    return true;
}

/* Between the brackets: IPv6address / IPvFuture. */
static bool is_ip_literal(struct bytes text)
{
    if (!text.len || (text.data[0] != 'v' && text.data[0] != 'V'))
        return is_ipv6(text);
    size_t at = 1;
    while (at < text.len && is_hex(text.data[at]))
        at++;
    if (at == 1 || at + 1 >= text.len || text.data[at] != '.')
        return false;
    for (at++; at < text.len; at++) {
        uint8_t c = text.data[at];
        if (!is_unreserved(c) && (!c || !strchr(SUB_DELIMS ":", c)))
            return false;
    }
    return true;
}

static bool is_port(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
    }
    return true;
}

static bool is_authority(struct bytes text, bool is_iri)
{
    const struct charset userinfo = {SUB_DELIMS ":", is_iri, false};
    const struct charset name = {SUB_DELIMS, is_iri, false};
    for (size_t i = text.len; i-- > 0;) {
        if (text.data[i] != '@')
            continue;
        if (!has_only(bytes_of(text.data, i), &userinfo))
            return false;
        text = bytes_of(text.data + i + 1, text.len - i - 1);
        break;
    }
    size_t host_len = 0;
    bool is_literal = text.len && text.data[0] == '[';
    while (host_len < text.len && text.data[host_len] != (is_literal ? ']' : ':'))
        host_len++;
    struct bytes host = bytes_of(text.data, host_len);
    struct bytes rest = bytes_of(text.data + host_len, text.len - host_len);
    if (is_literal) {
        if (!rest.len || !is_ip_literal(bytes_of(host.data + 1, host.len - 1)))
            return false;
        rest = bytes_of(rest.data + 1, rest.len - 1);
        return !rest.len || (rest.data[0] == ':' && is_port(bytes_of(rest.data + 1, rest.len - 1)));
    }
    return has_only(host, &name) && (!rest.len || is_port(bytes_of(rest.data + 1, rest.len - 1)));
}

static bool is_reference(struct bytes text, bool is_iri, bool needs_scheme)
{
    const struct charset path = {SUB_DELIMS ":@/", is_iri, false};
    const struct charset query = {SUB_DELIMS ":@/?", is_iri, true};
    const struct charset fragment = {SUB_DELIMS ":@/?", is_iri, false};
    struct uri_parts parts = uri_split(text);
    if (parts.has_scheme ? !is_scheme(parts.scheme) : needs_scheme)
        return false;
    if (parts.has_authority && !is_authority(parts.authority, is_iri))
        return false;
    return has_only(parts.path, &path) && has_only(parts.query, &query) &&
           has_only(parts.fragment, &fragment);
}

bool is_uri(struct bytes text)
{
    return is_reference(text, false, true);
}

bool is_uri_reference(struct bytes text)
{
    return is_reference(text, false, false);
}

bool is_iri(struct bytes text)
{
    return is_reference(text, true, true);
}

bool is_iri_reference(struct bytes text)
{
    return is_reference(text, true, false);
}

/* --- templates ------------------------------------------------------------------------------- */

/* varspec = varname [":" max-length / "*"] */
static bool is_varspec(struct bytes text)
{
    size_t at = 0, first = 0;
    while (at < text.len && text.data[at] != ':' && text.data[at] != '*') {
        bool is_dot = text.data[at] == '.';
        if (is_escape(text, at))
            at += 3;
        else if (is_alpha(text.data[at]) || is_digit(text.data[at]) || text.data[at] == '_' ||
                 (is_dot && at > first))
            at++;
        else
            return false;
        first = is_dot ? at : first; /* no two dots in a row, none at the start */
    }
    if (at == 0 || text.data[at - 1] == '.')
        return false;
    if (at == text.len || (text.data[at] == '*' && at + 1 == text.len))
        return true;
    size_t digits = text.len - at - 1;
    if (text.data[at] != ':' || digits < 1 || digits > 4 || text.data[at + 1] == '0')
        return false;
    for (size_t i = at + 1; i < text.len; i++) {
        if (!is_digit(text.data[i]))
            return false;
    }
    return true;
}

/* Between the braces: [operator] varspec *("," varspec); the reserved operators are refused. */
static bool is_expression(struct bytes text)
{
    size_t start = text.len && text.data[0] && strchr("+#./;?&", text.data[0]) ? 1 : 0;
    for (size_t at = start; at <= text.len; at++) {
        if (at < text.len && text.data[at] != ',')
            continue;
        if (!is_varspec(bytes_of(text.data + start, at - start)))
            return false;
        start = at + 1;
    }
    return true;
}

/* RFC 6570 section 2.1, with erratum 6937: the apostrophe is a literal. */
static bool is_template_literal(uint32_t c)
{
    if (c <= 0x20 || c == 0x7F || c == '"' || c == '%' || c == '<' || c == '>' || c == '\\' ||
        c == '^' || c == '`' || c == '{' || c == '|' || c == '}')
        return false;
    return c < 0x80 || is_ucschar(c) || is_iprivate(c);
}

bool is_uri_template(struct bytes text)
{
    for (size_t at = 0; at < text.len;) {
        if (text.data[at] == '{') {
            size_t end = at + 1;
            while (end < text.len && text.data[end] != '}')
                end++;
            if (end == text.len || !is_expression(bytes_of(text.data + at + 1, end - at - 1)))
                return false;
            at = end + 1;
        } else if (text.data[at] == '%') {
            if (!is_escape(text, at))
                return false;
            at += 3;
        } else if (!is_template_literal(next_character(text, &at))) {
            return false;
        }
    }
    return true;
}

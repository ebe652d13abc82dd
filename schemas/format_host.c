/*
 * Host names, addresses, mailboxes.
 *
 * A label that is internationalised, as an A-label (xn--…) or as a U-label, is checked by libidn2
 * as a registry would (RFC 5891 section 4), which includes the contextual rules. Everything else is
 * done here, without allocation.
 */
#include "schemas/format_kinds.h"

#include <idn2.h>
#include <strings.h>

#define HOST_BYTES_MAX 253
#define LABEL_BYTES_MAX 63
#define LOCAL_PART_BYTES_MAX 64

static bool is_alnum(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] >= 0x80)
            return false;
    }
    return true;
}

/* --- labels ---------------------------------------------------------------------------------- */

static bool is_a_label(struct bytes label)
{
    return label.len >= 4 && strncasecmp((const char *)label.data, "xn--", 4) == 0;
}

/* As libidn2 wants it: terminated; A-labels in lower case. */
static bool is_registrable(struct bytes label, bool is_alabel)
{
    uint8_t text[4 * LABEL_BYTES_MAX + 1], *inserted = NULL;
    if (label.len >= sizeof(text))
        return false;
    for (size_t i = 0; i < label.len; i++) {
        uint8_t c = label.data[i];
        text[i] = is_alabel && c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
        if (!c)
            return false;
    }
    text[label.len] = '\0';
    int result = is_alabel ? idn2_register_u8(NULL, text, &inserted, 0)
                           : idn2_register_u8(text, NULL, &inserted, 0);
    idn2_free(inserted);
    return result == IDN2_OK;
}

static bool is_ascii_label(struct bytes label)
{
    if (!label.len || label.len > LABEL_BYTES_MAX || label.data[0] == '-' ||
        label.data[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!is_alnum(label.data[i]) && label.data[i] != '-')
            return false;
    }
    return !is_a_label(label) || is_registrable(label, true);
}

static bool is_label(struct bytes label)
{
    return is_ascii(label) ? is_ascii_label(label) : is_registrable(label, false);
}

/* --- names ----------------------------------------------------------------------------------- */

bool is_hostname(struct bytes text)
{
    size_t start = 0;
    if (!text.len || text.len > HOST_BYTES_MAX)
        return false;
    for (size_t at = 0; at <= text.len; at++) {
        if (at < text.len && text.data[at] != '.')
            continue;
        if (!is_ascii_label(bytes_of(text.data + start, at - start)))
            return false;
        start = at + 1;
    }
    return true;
}

/* The bytes of a label separator: '.', or one of U+3002, U+FF0E, U+FF61 (RFC 3490 section 3.1). */
static size_t separator(struct bytes text, size_t at)
{
    static const char *const DOTS[] = {"\xE3\x80\x82", "\xEF\xBC\x8E", "\xEF\xBD\xA1"};
    if (text.data[at] == '.')
        return 1;
    for (size_t i = 0; i < 3; i++) {
        if (text.len - at >= 3 && memcmp(text.data + at, DOTS[i], 3) == 0)
            return 3;
    }
    return 0;
}

bool is_idn_hostname(struct bytes text)
{
    size_t start = 0;
    if (!text.len || text.len > 4 * HOST_BYTES_MAX)
        return false;
    for (size_t at = 0; at <= text.len;) {
        size_t dot = at < text.len ? separator(text, at) : 1;
        if (dot) {
            if (!is_label(bytes_of(text.data + start, at - start)))
                return false;
            start = at + dot;
        }
        at += dot ? dot : 1;
    }
    return true;
}

/* --- addresses ------------------------------------------------------------------------------- */

bool is_ipv4(struct bytes text)
{
    size_t at = 0;
    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t first = at;
        while (at < text.len && at - first < 4 && text.data[at] >= '0' && text.data[at] <= '9')
            value = value * 10 + (text.data[at++] - '0');
        if (at == first || value > 255 || (at - first > 1 && text.data[first] == '0'))
            return false;
        if (part < 3 && (at == text.len || text.data[at++] != '.'))
            return false;
    }
    return at == text.len;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_ipv6(struct bytes text)
{
    unsigned groups = 0; /* of 16 bits */
    bool has_gap = false;
    size_t at = 0;
    if (text.len >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        has_gap = true;
        at = 2;
    }
    while (at < text.len) {
        size_t first = at;
        while (at < text.len && is_hex(text.data[at]))
            at++;
        if (at < text.len && text.data[at] == '.') { /* the last 32 bits */
            groups += 2;
            return is_ipv4(bytes_of(text.data + first, text.len - first)) &&
                   (has_gap ? groups < 8 : groups == 8);
        }
        if (at == first || at - first > 4)
            return false;
        groups++;
        if (at == text.len)
            break;
        if (text.data[at++] != ':' || at == text.len)
            return false;
        if (text.data[at] == ':') {
            if (has_gap)
                return false;
            has_gap = true;
            at++;
        }
    }
    return has_gap ? groups < 8 : groups == 8;
}

/* --- mailboxes ------------------------------------------------------------------------------- */

/* RFC 5321 Dot-string: atoms between dots; beyond ASCII where `is_utf8`. */
static bool is_dot_string(struct bytes text, bool is_utf8)
{
    bool was_dot = true;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool is_atom = c >= 0x80 ? is_utf8 : is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
        if (c == '.' ? was_dot : !is_atom)
            return false;
        was_dot = c == '.';
    }
    return !was_dot;
}

/* Quoted-string: printable ASCII and spaces, with \ before " and \. */
static bool is_quoted_string(struct bytes text, bool is_utf8)
{
    if (text.len < 2 || text.data[0] != '"' || text.data[text.len - 1] != '"')
        return false;
    for (size_t i = 1; i + 1 < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\\') {
            i++;
            c = text.data[i];
            if (i + 1 == text.len || c < 0x20 || c > 0x7E)
                return false;
        } else if (c < 0x20 || c == 0x7F || c == '"' || (c >= 0x80 && !is_utf8)) {
            return false;
        }
    }
    return true;
}

static bool is_address_literal(struct bytes text)
{
    struct bytes inner = bytes_of(text.data + 1, text.len - 2);
    if (text.data[text.len - 1] != ']')
        return false;
    if (inner.len > 5 && strncasecmp((const char *)inner.data, "IPv6:", 5) == 0)
        return is_ipv6(bytes_of(inner.data + 5, inner.len - 5));
    return is_ipv4(inner);
}

static bool is_mailbox(struct bytes text, bool is_utf8)
{
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != '@')
        at--;
    if (at < 2 || at == text.len)
        return false;
    struct bytes local = bytes_of(text.data, at - 1);
    struct bytes domain = bytes_of(text.data + at, text.len - at);
    bool is_local =
        local.data[0] == '"' ? is_quoted_string(local, is_utf8) : is_dot_string(local, is_utf8);
    if (!is_local || local.len > LOCAL_PART_BYTES_MAX)
        return false;
    if (domain.data[0] == '[')
        return domain.len > 2 && is_address_literal(domain);
    return is_utf8 ? is_idn_hostname(domain) : is_hostname(domain);
}

bool is_email(struct bytes text)
{
    return is_mailbox(text, false);
}

bool is_idn_email(struct bytes text)
{
    return is_mailbox(text, true);
}

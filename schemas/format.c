/*
 * The table of formats, and the small ones. A format that is not here is an annotation and never
 * fails.
 */
#include "schemas/format.h"

#include "schemas/format_kinds.h"
#include "schemas/regex.h"

static const struct format FORMATS[] = {
    {"date-time", "an RFC 3339 date-time", is_date_time},
    {"date", "an RFC 3339 date", is_date},
    {"time", "an RFC 3339 time with offset", is_time},
    {"duration", "an ISO 8601 duration", is_duration},
    {"email", "an email address", is_email},
    {"idn-email", "an email address", is_idn_email},
    {"hostname", "a host name", is_hostname},
    {"idn-hostname", "a host name", is_idn_hostname},
    {"ipv4", "an IPv4 address", is_ipv4},
    {"ipv6", "an IPv6 address", is_ipv6},
    {"uri", "an absolute URI", is_uri},
    {"uri-reference", "a URI reference", is_uri_reference},
    {"iri", "an absolute IRI", is_iri},
    {"iri-reference", "an IRI reference", is_iri_reference},
    {"uri-template", "a URI template", is_uri_template},
    {"uuid", "a UUID", is_uuid},
    {"json-pointer", "a JSON pointer", is_json_pointer},
    {"relative-json-pointer", "a relative JSON pointer", is_relative_json_pointer},
    {"regex", "a regular expression", regex_is_valid},
};

const struct format *format_at(size_t index)
{
    return index < sizeof(FORMATS) / sizeof(FORMATS[0]) ? &FORMATS[index] : NULL;
}

const struct format *format_find(struct bytes name)
{
    for (size_t i = 0; format_at(i); i++) {
        if (bytes_equal_str(name, FORMATS[i].name))
            return &FORMATS[i];
    }
    return NULL;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool is_uuid(struct bytes text)
{
    if (text.len != 36)
        return false;
    for (size_t i = 0; i < 36; i++) {
        bool is_hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_hyphen ? text.data[i] != '-' : !is_hex(text.data[i]))
            return false;
    }
    return true;
}

bool is_json_pointer(struct bytes text)
{
    if (text.len && text.data[0] != '/')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == '~' &&
            (i + 1 == text.len || (text.data[i + 1] != '0' && text.data[i + 1] != '1')))
            return false;
    }
    return true;
}

bool is_relative_json_pointer(struct bytes text)
{
    size_t at = 0;
    while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9')
        at++;
    if (at == 0 || (at > 1 && text.data[0] == '0'))
        return false;
    if (at < text.len && (text.data[at] == '+' || text.data[at] == '-')) { /* an index shift */
        size_t first = ++at;
        while (at < text.len && text.data[at] >= '0' && text.data[at] <= '9')
            at++;
        if (at == first || (at - first > 1 && text.data[first] == '0'))
            return false;
    }
    if (at + 1 == text.len && text.data[at] == '#')
        return true;
    return is_json_pointer(bytes_of(text.data + at, text.len - at));
}

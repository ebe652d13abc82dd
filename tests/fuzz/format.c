/*
 * Fuzz target: formats and patterns. The input is UTF-8 text; a first line of its own is a pattern
 * for the rest. Every format looks at the whole.
 *
 * What must hold: no format reads past the end or accepts what a stricter one of its family
 * refuses by mistake: each URI is an IRI and a URI reference, each host name an IDN host name,
 * each mailbox an internationalised one.
 */
#include "schemas/format.h"

#include "base/must.h"
#include "schemas/json.h"
#include "schemas/regex.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_valid(const char *format, struct bytes text)
{
    return format_find(bytes_of_str(format))->is_valid(text);
}

/* Whatever is `narrow` is `wide` too. */
static void check_within(const char *narrow, const char *wide, struct bytes text)
{
    must(!is_valid(narrow, text) || is_valid(wide, text));
}

static void match(struct bytes pattern, struct bytes text)
{
    static struct regex_run *run;
    struct regex *regex = NULL;
    struct err err = {0};
    run = run ? run : regex_run_new();
    must(run != NULL);
    enum status status = regex_new(pattern, &regex, &err);
    must((status == STATUS_OK) == (regex != NULL) && (regex || err.text[0]));
    must(!regex || regex_is_valid(pattern));
    if (regex)
        must(regex_match(regex, run, text) != STATUS_NO_MEMORY);
    regex_free(regex);
}

/* The scanner's word for it: formats and patterns only ever see strings that it has passed. */
static bool is_utf8(struct bytes text)
{
    struct buf quoted = {0};
    struct json_doc doc = {0};
    struct json_fault fault;
    buf_put_char(&quoted, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        buf_put_char(&quoted, c < 0x20 || c == '"' || c == '\\' ? '_' : (char)c);
    }
    buf_put_char(&quoted, '"');
    bool is_good = json_scan(&doc, buf_bytes(&quoted), &fault) == STATUS_OK;
    json_doc_fini(&doc);
    buf_fini(&quoted);
    return is_good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct bytes text = bytes_of(data, len);
    if (!is_utf8(text))
        return 0;
    for (size_t i = 0; format_at(i); i++)
        (void)format_at(i)->is_valid(text); /* either */
    check_within("uri", "iri", text);
    check_within("uri", "uri-reference", text);
    check_within("iri", "iri-reference", text);
    check_within("uri-reference", "iri-reference", text);
    check_within("hostname", "idn-hostname", text);
    check_within("email", "idn-email", text);
    check_within("ipv4", "hostname", text);
    const uint8_t *line = len ? memchr(data, '\n', len) : NULL;
    size_t head = line ? (size_t)(line - data) : len;
    match(bytes_of(data, head), bytes_of(data + head, len - head));
    return 0;
}

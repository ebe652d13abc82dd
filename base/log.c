/*
 * log: a line is put together in a buffer on the stack and written with one write(2), so that
 * lines of two threads do not mix and logging allocates nothing.
 *
 * The line is bounded: a value loses what is over VALUE_BYTES_MAX, and a field that does not fit
 * the line any more is left out whole, so that a JSON line always parses. Control characters,
 * among them line feeds and terminal escapes, never get out raw: what a client sent must neither
 * forge a line nor drive a terminal. Bytes that are no UTF-8 come out as U+FFFD.
 */
#include "base/log.h"

#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define LINE_BYTES 4096
#define LINE_TAIL 3 /* "}\n" and the terminator */
#define VALUE_BYTES_MAX 512

static enum log_format line_format = LOG_TEXT;
static _Atomic enum log_level level_min = LOG_INFO;

static const char *const LEVEL_NAMES[] = {"debug", "info", "warn", "error"};

void log_init(enum log_format format, enum log_level level)
{
    line_format = format;
    log_set_level(level);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_min, level, memory_order_relaxed);
}

enum status log_level_parse(struct bytes text, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (bytes_equal_str(text, LEVEL_NAMES[i])) {
            *ret_level = (enum log_level)i;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

struct line {
    char text[LINE_BYTES];
    size_t len;
    bool is_full;
};

static void line_put(struct line *line, const char *text, size_t len)
{
    if (line->is_full || len > LINE_BYTES - LINE_TAIL - line->len) {
        line->is_full = true;
        return;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
}

static void line_put_str(struct line *line, const char *text)
{
    line_put(line, text, strlen(text));
}

/*
 * Length of the well-formed UTF-8 character at the front (RFC 3629), 0 if there is none; the code
 * point in `ret_code`.
 */
static size_t utf8_character(struct bytes text, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = text.data[0];
    size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t code = len == 1 ? first : first & (0x7fU >> len);

    if (len == 0 || len > text.len || first > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((text.data[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text.data[i] & 0x3f);
    }
    if (code < least[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    *ret_code = code;
    return len;
}

/* C0, DEL, C1, and the line and bidirectional controls that can disguise a line's content. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

static void line_put_escaped(struct line *line, struct bytes text)
{
    size_t cut = text.len > VALUE_BYTES_MAX ? VALUE_BYTES_MAX : text.len;

    for (size_t at = 0; at < cut;) {
        uint32_t code = 0;
        size_t len = utf8_character(bytes_of(text.data + at, text.len - at), &code);
        char escape[8];

        if (len == 0) {
            line_put_str(line, "\xef\xbf\xbd");
            at++;
            continue;
        }
        if (code == '"' || code == '\\') {
            line_put(line, "\\", 1);
            line_put(line, (const char *)text.data + at, 1);
        } else if (is_control(code)) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)code & 0xffff);
            line_put_str(line, escape);
        } else {
            line_put(line, (const char *)text.data + at, len);
        }
        at += len;
    }
    if (cut < text.len)
        line_put_str(line, "…");
}

static void line_put_quoted(struct line *line, struct bytes text)
{
    line_put(line, "\"", 1);
    line_put_escaped(line, text);
    line_put(line, "\"", 1);
}

/* In text lines, quotes only where the value would not read as one word. */
static bool is_word(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f || strchr("\"\\=", text.data[i]))
            return false;
    }
    return text.len > 0 && text.len <= VALUE_BYTES_MAX;
}

static void line_put_field(struct line *line, const struct log_field *field)
{
    struct bytes value = bytes_of(field->text, field->text == NULL           ? 0
                                               : field->text_len == SIZE_MAX ? strlen(field->text)
                                                                             : field->text_len);
    size_t start = line->len;
    bool is_json = line_format == LOG_JSON;

    line_put_str(line, is_json ? ",\"" : " ");
    line_put_str(line, field->name);
    line_put_str(line, is_json ? "\":" : "=");
    if (field->text == NULL) {
        char number[24];
        snprintf(number, sizeof number, "%lld", (long long)field->number);
        line_put_str(line, number);
    } else if (!is_json && is_word(value)) {
        line_put(line, field->text, value.len);
    } else {
        line_put_quoted(line, value);
    }
    if (line->is_full) {
        line->len = start;
        line->is_full = false;
    }
}

static void line_start(struct line *line, enum log_level level, const char *message)
{
    char now[TIME_TEXT_BYTES];

    time_format(clock_wall_ms(&SYSTEM_CLOCK), now);
    if (line_format == LOG_JSON) {
        line_put_str(line, "{\"time\":\"");
        line_put_str(line, now);
        line_put_str(line, "\",\"level\":\"");
        line_put_str(line, LEVEL_NAMES[level]);
        line_put_str(line, "\",\"message\":");
        line_put_quoted(line, bytes_of_str(message));
    } else {
        line_put_str(line, now);
        line_put_str(line, " ");
        line_put_str(line, LEVEL_NAMES[level]);
        line_put_str(line, strlen(LEVEL_NAMES[level]) < 5 ? "  " : " ");
        line_put_escaped(line, bytes_of_str(message));
    }
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
    struct line line;

    if (level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    line.len = 0;
    line.is_full = false;
    line_start(&line, level, message);
    for (; fields->name; fields++)
        line_put_field(&line, fields);
    if (line_format == LOG_JSON)
        line.text[line.len++] = '}';
    line.text[line.len++] = '\n';
    while (write(STDERR_FILENO, line.text, line.len) < 0 && errno == EINTR) {
        /* Another error is dropped: there is no better place to report it. */
    }
}

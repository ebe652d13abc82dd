/*
 * JSON goes straight into the buffer, with a comma where something stands before. The other formats
 * gather an item's members as fields and decide at the item's end: a row of the grid, a line of
 * csv, or lines of "name  value".
 *
 * A list within an item is an array in JSON; in a table it stands below the item's own members;
 * csv, which has no place for it, leaves it out.
 */
#include "tools/output.h"

#include "base/clock.h"
#include "schemas/json_write.h"
#include "tools/grid.h"
#include "tools/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEPTH_MAX 4
#define NOTHING "-"           /* in tables, where a member is null or empty */
#define TIME_SECONDS_CHARS 19 /* "2026-11-20T13:00:00" */

enum field_kind { FIELD_TEXT, FIELD_NUMBER, FIELD_TIME, FIELD_JSON };

struct field {
    const char *name;
    enum field_kind kind;
    size_t start, len; /* in `values` */
};

struct frame {
    bool is_list;
    uint64_t count; /* elements, or members */
};

struct output {
    int fd;
    enum output_format format;
    struct output_terminal terminal;
    struct buf ready;
    enum status status;
    struct frame frames[DEPTH_MAX];
    size_t depth;
    const struct column *columns; /* of the innermost list that is shown */
    const char *nothing;
    struct grid grid;
    struct buf fields; /* struct field each */
    struct buf values;
    bool is_left_out; /* csv: within a list within an item */
    uint64_t item_count;
};

static size_t terminal_width(int fd)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (columns && atoi(columns) > 0)
        return (size_t)atoi(columns);
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

struct output_terminal output_terminal_of(int fd)
{
    if (!isatty(fd))
        return (struct output_terminal){0};
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    bool is_dumb = !term || !strcmp(term, "dumb");
    return (struct output_terminal){.has_colour = !(no_colour && *no_colour) && !is_dumb,
                                    .width = terminal_width(fd)};
}

struct output *output_new(int fd, enum output_format format, struct output_terminal terminal)
{
    struct output *out = calloc(1, sizeof(*out));
    if (!out)
        return NULL;
    out->fd = fd;
    out->format = format;
    out->terminal = terminal;
    return out;
}

void output_free(struct output *out)
{
    if (!out)
        return;
    buf_fini(&out->ready);
    buf_fini(&out->fields);
    buf_fini(&out->values);
    grid_fini(&out->grid);
    free(out);
}

enum status output_format_parse(const char *text, enum output_format *ret_format)
{
    static const char *const NAMES[] = {"table", "json", "ndjson", "csv"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
        if (!strcmp(text, NAMES[i])) {
            *ret_format = (enum output_format)i;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

enum output_format output_format_of(const struct output *out)
{
    return out->format;
}

bool output_has_colour(const struct output *out)
{
    return out->terminal.has_colour && out->format == OUTPUT_TABLE;
}

uint64_t output_item_count(const struct output *out)
{
    return out->item_count;
}

size_t output_waiting(const struct output *out)
{
    return out->ready.len;
}

static bool is_json(const struct output *out)
{
    return out->format == OUTPUT_JSON || out->format == OUTPUT_NDJSON;
}

static struct frame *frame_of(struct output *out)
{
    return out->depth ? &out->frames[out->depth - 1] : NULL;
}

static void push(struct output *out, bool is_list)
{
    if (out->depth < DEPTH_MAX)
        out->frames[out->depth++] = (struct frame){.is_list = is_list};
}

static void pop(struct output *out)
{
    if (out->depth)
        out->depth--;
}

/* ---- csv ---- */

static bool is_formula(struct bytes text)
{
    return text.len && memchr("=+-@\t\r", text.data[0], 6);
}

static void put_csv_cell(struct buf *out, struct bytes text, enum field_kind kind)
{
    struct buf clean = {0};
    if (kind == FIELD_TEXT && is_formula(text))
        buf_put_char(&clean, '\'');
    text_put_utf8(&clean, text);
    bool is_quoted = false;
    for (size_t i = 0; i < clean.len && !is_quoted; i++)
        is_quoted = memchr(",\"\r\n", clean.data[i], 4);
    if (!is_quoted) {
        buf_put_bytes(out, buf_bytes(&clean));
        buf_fini(&clean);
        return;
    }
    buf_put_char(out, '"');
    for (size_t i = 0; i < clean.len; i++) {
        if (clean.data[i] == '"')
            buf_put_char(out, '"');
        buf_put_char(out, (char)clean.data[i]);
    }
    buf_put_char(out, '"');
    buf_fini(&clean);
}

static void put_csv_end(struct buf *out)
{
    buf_put_str(out, "\r\n");
}

/* ---- fields ---- */

static size_t field_count(const struct output *out)
{
    return out->fields.len / sizeof(struct field);
}

static const struct field *field_at(const struct output *out, size_t i)
{
    return (const struct field *)(const void *)out->fields.data + i;
}

static struct bytes field_value(const struct output *out, const struct field *field)
{
    return field->len ? bytes_of(out->values.data + field->start, field->len) : (struct bytes){0};
}

static void clear_fields(struct output *out)
{
    buf_clear(&out->fields);
    buf_clear(&out->values);
}

static void add_field(struct output *out, const char *name, enum field_kind kind,
                      struct bytes value)
{
    if (out->is_left_out)
        return;
    struct field field = {name, kind, out->values.len, value.len};
    buf_put_bytes(&out->values, value);
    buf_put(&out->fields, &field, sizeof(field));
}

static const struct field *field_named(const struct output *out, const char *name)
{
    for (size_t i = 0; i < field_count(out); i++) {
        if (!strcmp(field_at(out, i)->name, name))
            return field_at(out, i);
    }
    return NULL;
}

static void put_csv_row(struct output *out)
{
    for (const struct column *c = out->columns; c->name; c++) {
        const struct field *field = field_named(out, c->name);
        buf_put_str(&out->ready, c == out->columns ? "" : ",");
        if (field)
            put_csv_cell(&out->ready, field_value(out, field), field->kind);
    }
    put_csv_end(&out->ready);
}

static void put_csv_object(struct output *out)
{
    for (size_t i = 0; i < field_count(out); i++) {
        buf_put_str(&out->ready, i ? "," : "");
        put_csv_cell(&out->ready, bytes_of_str(field_at(out, i)->name), FIELD_JSON);
    }
    put_csv_end(&out->ready);
    for (size_t i = 0; i < field_count(out); i++) {
        buf_put_str(&out->ready, i ? "," : "");
        put_csv_cell(&out->ready, field_value(out, field_at(out, i)), field_at(out, i)->kind);
    }
    put_csv_end(&out->ready);
}

/* ---- tables ---- */

/* Whole seconds are enough in a row of a table. */
static void put_short_time(struct buf *out, struct bytes time)
{
    if (time.len <= TIME_SECONDS_CHARS) {
        buf_put_bytes(out, time);
        return;
    }
    buf_put(out, time.data, TIME_SECONDS_CHARS);
    buf_put_char(out, 'Z');
}

static void put_table_row(struct output *out)
{
    struct buf visible = {0};
    grid_row(&out->grid);
    for (size_t i = 0; i < field_count(out); i++) {
        const struct field *field = field_at(out, i);
        buf_clear(&visible);
        if (field->kind == FIELD_TIME)
            put_short_time(&visible, field_value(out, field));
        else
            text_put_visible(&visible, field_value(out, field));
        grid_cell(&out->grid, field->name, buf_bytes(&visible));
    }
    buf_fini(&visible);
}

/* "limitMinute" as "limit minute". */
static void put_words(struct buf *out, const char *name)
{
    for (; *name; name++) {
        bool is_upper = *name >= 'A' && *name <= 'Z';
        if (is_upper)
            buf_put_char(out, ' ');
        buf_put_char(out, is_upper ? (char)(*name - 'A' + 'a') : *name);
    }
}

/* An array or object that has something in it stands below its name. */
static bool is_compound(const struct output *out, const struct field *field)
{
    struct bytes value = field_value(out, field);
    return field->kind == FIELD_JSON && value.len > 2 &&
           (value.data[0] == '{' || value.data[0] == '[');
}

static void put_member_value(struct output *out, const struct field *field)
{
    struct bytes value = field_value(out, field);
    struct buf visible = {0};
    if (is_compound(out, field)) {
        struct buf indented = {0};
        buf_put_str(&visible, "\n  ");
        json_put_indented(&indented, value, 1);
        /* The only control characters in it are its own line breaks: JSON escapes the others,
         * but for C1 and the bidirectional ones. */
        for (size_t start = 0, i = 0; i <= indented.len; i++) {
            if (i < indented.len && indented.data[i] != '\n')
                continue;
            text_put_visible(&visible, bytes_of(indented.data + start, i - start));
            buf_put_str(&visible, i < indented.len ? "\n" : "");
            start = i + 1;
        }
        buf_fini(&indented);
    } else if (value.len) {
        text_put_visible(&visible, value);
    } else {
        buf_put_str(&visible, GRID_NOTHING);
    }
    const char *colour = out->terminal.has_colour ? state_colour(value) : "";
    buf_put_str(&out->ready, is_compound(out, field) ? "" : "  ");
    buf_put_str(&out->ready, colour);
    buf_put_bytes(&out->ready, buf_bytes(&visible));
    buf_put_str(&out->ready, *colour ? "\033[0m\n" : "\n");
    buf_fini(&visible);
}

static void put_members(struct output *out)
{
    struct buf words = {0};
    size_t widest = 0;
    for (size_t i = 0; i < field_count(out); i++) {
        buf_clear(&words);
        put_words(&words, field_at(out, i)->name);
        widest = words.len > widest ? words.len : widest;
    }
    for (size_t i = 0; i < field_count(out); i++) {
        buf_clear(&words);
        put_words(&words, field_at(out, i)->name);
        bool is_alone = is_compound(out, field_at(out, i));
        buf_printf(&out->ready, "%s%-*s%s", out->terminal.has_colour ? "\033[1m" : "",
                   is_alone ? 0 : (int)widest, buf_str(&words),
                   out->terminal.has_colour ? "\033[0m" : "");
        put_member_value(out, field_at(out, i));
    }
    buf_fini(&words);
    clear_fields(out);
}

/* ---- lists and items ---- */

static void put_separator(struct output *out)
{
    struct frame *frame = frame_of(out);
    if (frame && frame->count++ && is_json(out))
        buf_put_str(&out->ready,
                    out->format == OUTPUT_JSON && frame->is_list && out->depth == 1 ? ",\n" : ",");
}

static void put_name(struct output *out, const char *name)
{
    put_separator(out);
    json_put_str(&out->ready, name);
    buf_put_char(&out->ready, ':');
}

static void begin_json_list(struct output *out, const char *name)
{
    if (name)
        put_name(out, name);
    if (name || out->format == OUTPUT_JSON)
        buf_put_str(&out->ready, "[");
}

static void put_csv_head(struct output *out)
{
    for (const struct column *c = out->columns; c && c->name; c++) {
        buf_put_str(&out->ready, c == out->columns ? "" : ",");
        put_csv_cell(&out->ready, bytes_of_str(c->name), FIELD_JSON);
    }
    put_csv_end(&out->ready);
}

void output_list_begin(struct output *out, const char *name, const struct column *columns,
                       const char *nothing)
{
    if (is_json(out)) {
        begin_json_list(out, name);
    } else if (out->format == OUTPUT_CSV && name) {
        out->is_left_out = true;
    } else {
        if (name) {
            put_members(out);
            buf_put_str(&out->ready, columns ? "\n" : "");
        }
        out->columns = columns;
        out->nothing = nothing;
        if (columns)
            grid_begin(&out->grid, columns);
        if (out->format == OUTPUT_CSV)
            put_csv_head(out);
    }
    push(out, true);
}

static void end_table(struct output *out)
{
    if (out->grid.row_count)
        grid_put(&out->grid, out->terminal, &out->ready);
    else if (out->nothing)
        fprintf(stderr, "%s\n", out->nothing);
    if (out->grid.cells.status != STATUS_OK || out->grid.text.status != STATUS_OK)
        out->status = STATUS_NO_MEMORY;
    grid_fini(&out->grid);
}

void output_list_end(struct output *out)
{
    pop(out);
    if (out->format == OUTPUT_JSON || (out->format == OUTPUT_NDJSON && out->depth))
        buf_put_str(&out->ready, out->depth ? "]" : "]\n");
    else if (out->format == OUTPUT_TABLE)
        end_table(out);
    if (out->format == OUTPUT_TABLE || !out->is_left_out)
        out->columns = NULL;
    out->is_left_out = false;
}

void output_item_begin(struct output *out)
{
    if (out->depth <= 1)
        out->item_count++;
    put_separator(out);
    push(out, false);
    if (is_json(out))
        buf_put_char(&out->ready, '{');
    bool is_block = out->format == OUTPUT_TABLE && out->depth > 1 && !out->columns;
    if (is_block)
        buf_put_char(&out->ready, '\n');
}

static void end_plain_item(struct output *out)
{
    if (out->is_left_out)
        return;
    if (out->format == OUTPUT_CSV)
        out->columns ? put_csv_row(out) : put_csv_object(out);
    else
        out->columns ? put_table_row(out) : put_members(out);
    clear_fields(out);
}

void output_item_end(struct output *out)
{
    pop(out);
    if (!is_json(out)) {
        end_plain_item(out);
        return;
    }
    buf_put_char(&out->ready, '}');
    bool is_line = !out->depth || (out->format == OUTPUT_NDJSON && out->depth == 1);
    if (is_line)
        buf_put_char(&out->ready, '\n');
    if (out->format == OUTPUT_NDJSON && out->depth == 1)
        frame_of(out)->count = 0; /* no comma before the next line */
}

/* ---- members ---- */

void output_json(struct output *out, const char *name, struct bytes json)
{
    if (is_json(out)) {
        put_name(out, name);
        buf_put_bytes(&out->ready, json);
    } else {
        add_field(out, name, FIELD_JSON, json);
    }
}

void output_null(struct output *out, const char *name)
{
    if (is_json(out))
        output_json(out, name, bytes_of_str("null"));
    else
        add_field(out, name, FIELD_TEXT, (struct bytes){0});
}

static void put_field(struct output *out, const char *name, enum field_kind kind, struct bytes text)
{
    if (!is_json(out)) {
        add_field(out, name, kind, text);
        return;
    }
    put_name(out, name);
    if (kind == FIELD_NUMBER) {
        buf_put_bytes(&out->ready, text);
        return;
    }
    struct buf clean = {0};
    text_put_utf8(&clean, text);
    json_put_string(&out->ready, buf_bytes(&clean));
    buf_fini(&clean);
}

void output_text(struct output *out, const char *name, struct bytes text)
{
    put_field(out, name, FIELD_TEXT, text);
}

void output_str(struct output *out, const char *name, const char *text)
{
    if (text)
        output_text(out, name, bytes_of_str(text));
    else
        output_null(out, name);
}

void output_number(struct output *out, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)number);
    put_field(out, name, FIELD_NUMBER, bytes_of_str(text));
}

void output_bool(struct output *out, const char *name, bool is_true)
{
    if (is_json(out))
        output_json(out, name, bytes_of_str(is_true ? "true" : "false"));
    else
        add_field(out, name, FIELD_TEXT, bytes_of_str(is_true ? "yes" : "no"));
}

void output_time(struct output *out, const char *name, int64_t unix_ms)
{
    char text[TIME_TEXT_BYTES];
    if (unix_ms <= 0) {
        output_null(out, name);
        return;
    }
    time_format(unix_ms, text);
    put_field(out, name, FIELD_TIME, bytes_of_str(text));
}

void output_texts(struct output *out, const char *name, const char *texts, size_t stride,
                  size_t count)
{
    struct buf list = {0};
    if (is_json(out)) {
        buf_put_char(&list, '[');
        for (size_t i = 0; i < count; i++) {
            buf_put_str(&list, i ? "," : "");
            json_put_str(&list, texts + i * stride);
        }
        buf_put_char(&list, ']');
        output_json(out, name, buf_bytes(&list));
    } else {
        for (size_t i = 0; i < count; i++)
            buf_printf(&list, "%s%s", i ? ", " : "", texts + i * stride);
        add_field(out, name, FIELD_TEXT, buf_bytes(&list));
    }
    buf_fini(&list);
}

void output_note(struct output *out, const char *format, ...)
{
    if (out->format != OUTPUT_TABLE)
        return;
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buf_put_str(&out->ready, text);
}

void output_raw(struct output *out, struct bytes text)
{
    buf_put_bytes(&out->ready, text);
}

enum status output_flush(struct output *out)
{
    if (out->ready.status != STATUS_OK || out->fields.status != STATUS_OK ||
        out->values.status != STATUS_OK)
        out->status = STATUS_NO_MEMORY;
    for (size_t at = 0; out->status == STATUS_OK && at < out->ready.len;) {
        ssize_t written = write(out->fd, out->ready.data + at, out->ready.len - at);
        if (written >= 0)
            at += (size_t)written;
        else if (errno != EINTR)
            out->status = STATUS_IO;
    }
    buf_clear(&out->ready);
    return out->status;
}

static void put_line(struct buf *out, unsigned level)
{
    buf_put_char(out, '\n');
    for (unsigned i = 0; i < level; i++)
        buf_put_str(out, "  ");
}

void json_put_indented(struct buf *out, struct bytes json, unsigned level)
{
    bool is_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = (char)json.data[i];
        bool is_empty = i + 1 < json.len && (json.data[i + 1] == '}' || json.data[i + 1] == ']');
        if (is_string || c == '"') {
            is_string = c == '"' ? !is_string : is_string;
            buf_put_char(out, c);
            if (c == '\\' && i + 1 < json.len)
                buf_put_char(out, (char)json.data[++i]);
        } else if (c == '{' || c == '[') {
            buf_put_char(out, c);
            if (is_empty)
                buf_put_char(out, (char)json.data[++i]);
            else
                put_line(out, ++level);
        } else if (c == '}' || c == ']') {
            put_line(out, --level);
            buf_put_char(out, c);
        } else {
            buf_put_char(out, c);
            if (c == ',')
                put_line(out, level);
            else if (c == ':')
                buf_put_char(out, ' ');
        }
    }
}

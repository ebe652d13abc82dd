/*
 * output: what a command has to say, in the form that --output asks for.
 *
 *   table   for people: aligned columns, or "name  value" lines for one object; coloured and fitted
 * to the width only on a terminal, and nothing in it can drive the terminal json    one document:
 * an array for lists, an object for one thing; members are stable ndjson  one object a line csv RFC
 * 4180 with a header; cells that a spreadsheet would run as a formula are defused
 *
 *     output_list_begin(out, COLUMNS, "no keys yet");
 *     for (…) { output_item_begin(out); output_str(out, "id", id); …; output_item_end(out); }
 *     output_list_end(out);
 *
 * Everything is gathered in memory until output_flush, so that nobody writes to a slow pipe while a
 * transaction is open. Tables are gathered whole, for their widths.
 */
#pragma once

#include "base/bytes.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NDJSON, OUTPUT_CSV };

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_STATE };

struct column {
    const char *name;  /* of the member */
    const char *title; /* in a table; NULL: csv only */
    enum column_kind kind;
};

struct output_terminal {
    bool has_colour;
    size_t width; /* 0: not a terminal, no limit */
};
/* What standard output is: a terminal's width, NO_COLOR, TERM. */
struct output_terminal output_terminal_of(int fd);

struct output;
/* NULL: no memory. Writes to `fd`, which stays the caller's. */
struct output *output_new(int fd, enum output_format format, struct output_terminal terminal);
void output_free(struct output *out);
MUST_CHECK enum status output_format_parse(const char *text, enum output_format *ret_format);
enum output_format output_format_of(const struct output *out);
bool output_has_colour(const struct output *out);

/* `columns` ends with a NULL name and lives until the end. `nothing` is said on standard error when
 * a table has no rows. Within an item a list becomes its member `name`, else `name` is NULL; there
 * `columns` may be NULL: a table shows each element as lines, whole, after an empty one. */
void output_list_begin(struct output *out, const char *name, const struct column *columns,
                       const char *nothing);
void output_list_end(struct output *out);
/* One element of a list, or one object on its own. */
void output_item_begin(struct output *out);
void output_item_end(struct output *out);
uint64_t output_item_count(const struct output *out); /* of the outermost list */

/* Members of the current item, in the order wanted. NULL text is null. */
void output_str(struct output *out, const char *name, const char *text);
void output_text(struct output *out, const char *name, struct bytes text); /* any bytes */
void output_number(struct output *out, const char *name, int64_t number);
void output_bool(struct output *out, const char *name, bool is_true);
void output_time(struct output *out, const char *name, int64_t unix_ms); /* 0: null */
void output_null(struct output *out, const char *name);
/* One JSON value as it stands: canonical text. */
void output_json(struct output *out, const char *name, struct bytes json);
/* `count` terminated texts that lie `stride` bytes apart. */
void output_texts(struct output *out, const char *name, const char *texts, size_t stride,
                  size_t count);

/* Plain text for people: nothing in the other formats. */
void output_note(struct output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Text as it stands, in every format (schema files, help). */
void output_raw(struct output *out, struct bytes text);

/* Bytes gathered and not yet written. */
size_t output_waiting(const struct output *out);
/* Write what is complete. STATUS_IO: the other end went away or is full. No transaction is open. */
enum status output_flush(struct output *out);

/* Append a compact JSON text indented by two spaces a level. */
void json_put_indented(struct buf *out, struct bytes json, unsigned level);

/*
 * settings_table: the one list of what can be set, row by row, with how each value is read. For
 * settings.c, which knows where values come from, and settings_help.c, which prints the list;
 * everybody else reads struct settings. To add a setting, start at SETTINGS in settings_table.c.
 */
#pragma once

#include "ingest/settings.h"

struct setting {
    const char *name;     /* of the flag; the file's member is the same */
    const char *argument; /* what --help calls the value; NULL: a switch */
    const char *text;     /* for people, one clause */
    /* Read back by the same parser; NULL: none, or found out at start (then `default_note`). */
    const char *default_value;
    const char *default_note;
    /* Reads one value into `member`. STATUS_INVALID: the value will not do. */
    enum status (*read)(const struct setting *row, void *member, struct bytes value);
    /* Frees one value; NULL: nothing to free. */
    void (*release)(void *member);
    size_t member;       /* offset in struct settings */
    size_t count_member; /* lists: offset of the count; else 0 */
    size_t element_bytes;
    size_t elements_max; /* 0: no list */
    int64_t min, max;    /* numbers and durations, in the unit of the member */
    int64_t unit_ms;     /* durations: milliseconds in one unit of the member */
    bool is_repeatable;  /* the flag may be given more than once */
    bool is_command_line_only;
    bool is_reloadable; /* a changed value is taken over on SIGHUP */
};

extern const struct setting SETTINGS[];
extern const size_t SETTING_COUNT;

/* NULL: no setting of that name. */
const struct setting *setting_find(struct bytes name);
/* The setting, command or "config" that a mistyped name is nearest to; NULL: none is near. */
const char *setting_nearest(struct bytes name);
/* "--max-body" -> "POSTERN_MAX_BODY". */
#define SETTING_VARIABLE_BYTES 64
void setting_variable(const char *name, char out[SETTING_VARIABLE_BYTES]);
/* What a right value looks like: "a whole number from 1 to 256". */
void setting_put_expected(struct buf *out, const struct setting *row);

/* Empty the member (a list's count becomes 0), releasing what is there. */
void setting_clear(const struct setting *row, struct settings *settings);
/* Read `value`; lists are split at commas and appended. STATUS_LIMIT: more than elements_max. */
MUST_CHECK enum status setting_add(const struct setting *row, struct settings *settings,
                                   struct bytes value);

/* What is no setting but asks for something else than serving. */
struct settings_command_row {
    const char *name;
    const char *short_name; /* NULL: none */
    enum settings_command command;
    const char *text;
};
extern const struct settings_command_row SETTINGS_COMMANDS[];
extern const size_t SETTINGS_COMMAND_COUNT;

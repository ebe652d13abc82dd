/*
 * command: what the tool can do, as data. One table (commands.c) of nouns, verbs, options and
 * arguments, from which parsing (args.h), --help, the man page and shell completion (manual.h)
 * come.
 *
 * To add a command: write its function in the cmd_*.c of its noun, declare it in commands.h, add
 * its row in commands.c. Nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tool;
struct args;

/* What an option's value is; each is checked while parsing. */
enum value_kind {
    VALUE_FLAG,     /* none */
    VALUE_TEXT,     /* anything; empty only with `min` 0 */
    VALUE_NUMBER,   /* min … max */
    VALUE_PAST,     /* RFC 3339, or an age: "24h" */
    VALUE_FUTURE,   /* RFC 3339, a duration from now: "90d", or "never" (0) */
    VALUE_DURATION, /* "30s"; min … max in milliseconds */
    VALUE_CIDR,     /* "10.0.0.0/8" or an address */
    VALUE_CHOICE,   /* one of `choices` */
    VALUE_PATTERN,  /* "*", "workorder.*", "workorder.created" */
    VALUE_SCOPE,    /* "workorder:write" */
    VALUE_FILE,
    VALUE_FOLDER,
};

struct option {
    const char *name;
    enum value_kind kind;
    const char *value; /* how help shows the value: "CIDR"; NULL for flags */
    const char *help;
    bool is_required;
    bool is_repeatable;
    uint64_t min, max;
    const char *choices; /* "pending|delivered|failed" */
};

struct argument {
    const char *name;
    const char *help;
    bool is_many;          /* one or more; the last one only */
    bool is_optional;      /* the last one only */
    const char *completes; /* what the shell offers: "type", "file", "folder"; NULL: nothing */
};

#define COMMAND_ARGUMENTS_MAX 3

/* How a command ends. */
enum { DONE = 0, FAILED = 1, USAGE = 2 };

struct command {
    const char *noun;
    const char *verb;    /* NULL: the noun is the whole command */
    const char *summary; /* one line, lower case, no full stop */
    const char *notes;   /* further sentences for help and the man page; NULL: none */
    struct argument arguments[COMMAND_ARGUMENTS_MAX];
    const struct option *options; /* ends with a NULL name; NULL: none */
    int (*run)(struct tool *tool, const struct args *args);
};

struct noun {
    const char *name;
    const char *summary;
};

extern const struct noun NOUNS[];            /* ends with a NULL name */
extern const struct command COMMANDS[];      /* ends with a NULL noun; grouped by noun */
extern const struct option GLOBAL_OPTIONS[]; /* allowed before and after the command */
extern const struct option NO_OPTIONS[];

/*
 * args: one command line, read against a table of commands and checked, so that the commands
 * themselves only ask for values that are right already.
 *
 * Options and arguments come in any order, "--name VALUE" or "--name=VALUE"; "--" ends options.
 */
#pragma once

#include "base/address.h"
#include "base/err.h"
#include "tools/command.h"

struct value {
    const struct option *option;
    const char *text;
    int64_t number; /* NUMBER, PAST, FUTURE, DURATION */
    struct cidr cidr;
};

struct args {
    const struct command *command; /* NULL: none was named */
    const char *noun;              /* as typed, also where `command` is NULL; NULL: none */
    bool is_help, is_version;
    struct value *values; /* in the order given */
    size_t value_count;
    const char **arguments;
    size_t argument_count;
};

/* Fills a zeroed args, which borrows from argv. STATUS_INVALID: `err` says what is wrong and what
 * would be right; noun and command are set as far as they were understood, for a hint at help.
 * --help anywhere ends the checks. */
MUST_CHECK enum status args_read(struct args *args, int argc, char **argv, int64_t now_ms,
                                 struct err *err);
void args_fini(struct args *args);

/* The last value given of an option of the command or of the global ones; NULL: not given. */
const struct value *args_value(const struct args *args, const char *name);
const char *args_text(const struct args *args, const char *name); /* NULL: not given */
bool args_has(const struct args *args, const char *name);
int64_t args_number(const struct args *args, const char *name, int64_t otherwise);
/* Each value of a repeatable option: start with *at = 0; NULL: no more. */
const struct value *args_each(const struct args *args, const char *name, size_t *at);
size_t args_count(const struct args *args, const char *name);
/* Argument i; NULL: not that many. */
const char *args_argument(const struct args *args, size_t i);

/* Append "keys create --label L [--scope S]…", for help and messages. */
void command_put_usage(const struct command *command, struct buf *out);

/*
 * manual: everything that explains the commands, made from their table: --help, the man page, shell
 * completion.
 */
#pragma once

#include "base/bytes.h"
#include "tools/command.h"

/* The whole tool; a noun's commands; one command. */
void manual_put_help(struct buf *out);
void manual_put_noun_help(const char *noun, struct buf *out);
void manual_put_command_help(const struct command *command, struct buf *out);

/* postern(1). */
void manual_put_roff(const char *version, struct buf *out);
/* The table of commands of docs/tools.md. */
void manual_put_markdown(struct buf *out);
void manual_put_bash(struct buf *out);
void manual_put_zsh(struct buf *out);

/*
 * Help for people at a terminal, and the same as roff. Texts in the table are plain UTF-8; roff
 * needs backslashes, leading dots and hyphens of option names escaped.
 */
#include "tools/manual.h"

#include "tools/args.h"
#include "tools/text.h"

#include <stdio.h>

static size_t command_name_put(const struct command *command, struct buf *out)
{
    size_t before = out->len;
    buf_put_str(out, command->noun);
    if (command->verb)
        buf_printf(out, " %s", command->verb);
    return out->len - before;
}

static void pad(struct buf *out, size_t width, size_t wanted)
{
    for (; width < wanted; width++)
        buf_put_char(out, ' ');
    buf_put_str(out, "  ");
}

static void put_option(const struct option *option, struct buf *out)
{
    struct buf form = {0};
    buf_printf(&form, "  --%s%s%s%s", option->name, option->value ? " " : "",
               option->value ? option->value : "", option->is_repeatable ? "…" : "");
    buf_put_bytes(out, buf_bytes(&form));
    pad(out, text_width(buf_bytes(&form)), 26);
    buf_printf(out, "%s%s\n", option->help, option->is_required ? " (required)" : "");
    buf_fini(&form);
}

static void put_options(const char *title, const struct option *options, struct buf *out)
{
    if (!options || !options->name)
        return;
    buf_printf(out, "\n%s\n", title);
    for (const struct option *o = options; o->name; o++)
        put_option(o, out);
}

static void put_exit_statuses(struct buf *out)
{
    buf_put_str(out, "\nExit status: 0 done, 1 failed or not found, 2 usage.\n");
}

void manual_put_help(struct buf *out)
{
    buf_put_str(out, "usage: postern [--data DIR] [--output FORMAT] COMMAND …\n\n"
                     "Looks into and manages the store of a Postern server, whether or not it "
                     "runs.\n\nCommands\n");
    for (const struct noun *n = NOUNS; n->name; n++) {
        buf_printf(out, "  %s", n->name);
        pad(out, strlen(n->name), 12);
        buf_printf(out, "%s\n", n->summary);
    }
    put_options("Options for every command", GLOBAL_OPTIONS, out);
    put_exit_statuses(out);
    buf_put_str(out, "`postern help COMMAND` says more about one.\n");
}

void manual_put_noun_help(const char *noun, struct buf *out)
{
    const struct command *only = NULL;
    size_t count = 0;
    for (const struct command *c = COMMANDS; c->noun; c++) {
        if (!strcmp(c->noun, noun)) {
            only = c;
            count++;
        }
    }
    if (count == 1 && !only->verb) {
        manual_put_command_help(only, out);
        return;
    }
    buf_printf(out, "usage: postern %s VERB …\n", noun);
    for (const struct command *c = COMMANDS; c->noun; c++) {
        if (strcmp(c->noun, noun))
            continue;
        buf_put_str(out, "\npostern ");
        command_put_usage(c, out);
        buf_printf(out, "\n    %s\n", c->summary);
    }
    buf_printf(out, "\n`postern %s VERB --help` says more about one.\n", noun);
}

void manual_put_command_help(const struct command *command, struct buf *out)
{
    buf_put_str(out, "usage: postern ");
    command_put_usage(command, out);
    buf_printf(out, "\n\n%c%s.%s%s\n", command->summary[0] - 'a' + 'A', command->summary + 1,
               command->notes ? "\n" : "", command->notes ? command->notes : "");
    for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && command->arguments[i].name; i++) {
        const struct argument *argument = &command->arguments[i];
        buf_printf(out, "%s  %s", i ? "" : "\nArguments\n", argument->name);
        pad(out, strlen(argument->name) + 2, 26);
        buf_printf(out, "%s\n", argument->help);
    }
    put_options("Options", command->options, out);
    put_options("Options for every command", GLOBAL_OPTIONS, out);
}

/* ---- roff ---- */

static void roff_put(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            buf_put_str(out, "\\e");
        else if (*text == '-')
            buf_put_str(out, "\\-");
        else if (!strncmp(text, "…", strlen("…")))
            buf_put_str(out, "\\[u2026]"), text += strlen("…") - 1;
        else
            buf_put_char(out, *text);
    }
}

static void roff_put_options(const struct option *options, struct buf *out)
{
    for (const struct option *o = options; o && o->name; o++) {
        buf_put_str(out, ".TP\n\\fB\\-\\-");
        roff_put(out, o->name);
        buf_put_str(out, "\\fR");
        if (o->value) {
            buf_put_str(out, " \\fI");
            roff_put(out, o->value);
            buf_put_str(out, "\\fR");
        }
        buf_put_char(out, '\n');
        roff_put(out, o->help);
        buf_put_str(out, o->is_required ? " (required)\n" : "\n");
    }
}

static void roff_put_command(const struct command *command, struct buf *out)
{
    struct buf usage = {0};
    command_put_usage(command, &usage);
    buf_put_str(out, ".SS ");
    command_name_put(command, out);
    buf_put_str(out, "\n.nh\n.B postern ");
    roff_put(out, buf_str(&usage));
    buf_put_str(out, "\n.hy\n.PP\n");
    buf_printf(out, "%c", command->summary[0] - 'a' + 'A');
    roff_put(out, command->summary + 1);
    buf_put_str(out, ".\n");
    if (command->notes) {
        roff_put(out, command->notes);
        buf_put_char(out, '\n');
    }
    for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && command->arguments[i].name; i++) {
        buf_put_str(out, ".TP\n\\fI");
        roff_put(out, command->arguments[i].name);
        buf_put_str(out, "\\fR\n");
        roff_put(out, command->arguments[i].help);
        buf_put_char(out, '\n');
    }
    roff_put_options(command->options, out);
    buf_fini(&usage);
}

void manual_put_roff(const char *version, struct buf *out)
{
    buf_printf(out, ".TH POSTERN 1 \"\" \"Postern %s\" \"Postern\"\n", version);
    buf_put_str(out,
                ".ad l\n.SH NAME\npostern \\- query and manage the store of a Postern server\n"
                ".SH SYNOPSIS\n.B postern\n[\\fIOPTION\\fR]\\[u2026] \\fINOUN\\fR [\\fIVERB\\fR] "
                "[\\fIARGUMENT\\fR]\\[u2026]\n"
                ".SH DESCRIPTION\nPostern takes business records over HTTPS, keeps them, and "
                "delivers signed events for them.\n.B postern\nworks on the server's data "
                "directory, whether or not the server runs; the server sees a change within a "
                "second.\nTables are for people; \\fB\\-\\-output json\\fR is stable and for "
                "scripts. Errors go to standard error.\n.SH OPTIONS\n");
    roff_put_options(GLOBAL_OPTIONS, out);
    buf_put_str(out, ".SH COMMANDS\n");
    for (const struct command *c = COMMANDS; c->noun; c++)
        roff_put_command(c, out);
    buf_put_str(out, ".SH EXIT STATUS\n0 done, 1 failed or not found, 2 usage.\n"
                     ".SH ENVIRONMENT\n.TP\nPOSTERN_DATA, POSTERN_OUTPUT, POSTERN_SCHEMAS, "
                     "POSTERN_MASTER_KEY_FILE\nas the options of these names.\n.TP\n"
                     "POSTERN_DELIVER_HTTP, POSTERN_DELIVER_ALLOW\nas the server's settings, for "
                     "\\fBendpoints create\\fR where no server runs.\n.TP\nNO_COLOR\nno colours, "
                     "on a terminal too.\n.SH SEE ALSO\n.BR posternd (8)\n");
}

/* ---- Markdown ---- */

/* Within a table's cell. */
static void markdown_put(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '*' || *text == '<')
            buf_put_char(out, '\\');
        buf_put_char(out, *text);
    }
}

static void markdown_put_options(const struct command *command, struct buf *out)
{
    for (const struct option *o = command->options; o && o->name; o++) {
        buf_printf(out, "%s`--%s%s", o == command->options ? "" : "<br>", o->name,
                   o->value ? " " : "");
        for (const char *c = o->value ? o->value : ""; *c; c++)
            buf_printf(out, *c == '|' ? "\\|" : "%c", *c);
        buf_printf(out, "`%s ", o->is_repeatable ? "…" : "");
        markdown_put(out, o->help);
        buf_put_str(out, o->is_required ? " (required)" : "");
    }
}

void manual_put_markdown(struct buf *out)
{
    buf_put_str(out, "| command | | options |\n| --- | --- | --- |\n");
    for (const struct command *c = COMMANDS; c->noun; c++) {
        buf_put_str(out, "| `");
        command_name_put(c, out);
        for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && c->arguments[i].name; i++)
            buf_printf(out, " %s%s", c->arguments[i].name, c->arguments[i].is_many ? "…" : "");
        buf_put_str(out, "` | ");
        markdown_put(out, c->summary);
        buf_put_str(out, c->notes ? ". " : "");
        markdown_put(out, c->notes ? c->notes : "");
        buf_put_str(out, " | ");
        markdown_put_options(c, out);
        buf_put_str(out, " |\n");
    }
}

/*
 * settings_help: the table in three forms. Nothing is said here that the table does not know, so
 * that --help, the manual page and docs/operations.md cannot differ.
 */
#include "base/cleanup.h"
#include "ingest/settings_table.h"

#define TEXT_COLUMN 30

static void put_default(struct buf *out, const struct setting *row)
{
    if (row->argument == NULL)
        buf_put_str(out, "off");
    else if (row->default_value)
        buf_put_str(out, row->default_value);
    else if (row->default_note)
        buf_put_str(out, row->default_note);
    else
        buf_put_str(out, "none");
}

/* The flag, then the text from TEXT_COLUMN on, on a line of its own where the flag is long. */
static void put_aligned(struct buf *out, size_t flag_start, const char *text)
{
    size_t used = out->len - flag_start;

    if (used + 2 > TEXT_COLUMN) {
        buf_put_char(out, '\n');
        used = 0;
    }
    buf_printf(out, "%*s%s", (int)(TEXT_COLUMN - used), "", text);
}

void settings_put_help(struct buf *out)
{
    buf_put_str(out, "Usage: posternd [--SETTING VALUE]...\n"
                     "Receives business records over HTTPS, keeps them and delivers events.\n"
                     "\nSettings:\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &SETTINGS[i];
        size_t start = out->len;

        buf_printf(out, "  --%s%s%s", row->name, row->argument ? " " : "",
                   row->argument ? row->argument : "");
        put_aligned(out, start, row->text);
        buf_put_str(out, row->is_repeatable
                             ? "\n                              (repeatable; default: "
                             : "\n                              (default: ");
        put_default(out, row);
        buf_put_str(out, ")\n");
    }
    buf_put_str(out, "\nInstead of serving:\n");
    for (size_t i = 0; i < SETTINGS_COMMAND_COUNT; i++) {
        const struct settings_command_row *row = &SETTINGS_COMMANDS[i];
        size_t start = out->len;

        buf_printf(out, "  --%s%s%s", row->name, row->short_name ? ", " : "",
                   row->short_name ? row->short_name : "");
        put_aligned(out, start, row->text);
        buf_put_char(out, '\n');
    }
    buf_put_str(out,
                "\nEach setting is also an environment variable (--max-body: POSTERN_MAX_BODY) and "
                "a\nmember of the --config file (\"max-body\"). A flag beats the environment beats "
                "the\nfile. Lists are comma-separated in the environment, arrays in the file.\n"
                "\nExit status: 0 stopped as asked, 1 failed while running, 2 bad usage, settings "
                "or\nschemas.\n");
}

/* roff takes '-' for a hyphen and a line's first '.' or '\'' for a request. */
static void put_roff(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\')
            buf_put_str(out, "\\e");
        else if (*text == '-')
            buf_put_str(out, "\\-");
        else
            buf_put_char(out, *text);
    }
}

void settings_put_roff(struct buf *out)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &SETTINGS[i];

        buf_put_str(out, ".TP\n\\fB\\-\\-");
        put_roff(out, row->name);
        buf_put_str(out, "\\fR");
        if (row->argument) {
            buf_put_str(out, " \\fI");
            put_roff(out, row->argument);
            buf_put_str(out, "\\fR");
        }
        buf_put_str(out, "\n\\&");
        put_roff(out, row->text);
        buf_put_str(out, row->is_repeatable ? " (repeatable; default: " : " (default: ");
        CLEANUP(buf_fini) struct buf value = {0};
        put_default(&value, row);
        put_roff(out, buf_str(&value));
        buf_put_str(out, ")\n");
    }
    for (size_t i = 0; i < SETTINGS_COMMAND_COUNT; i++) {
        buf_put_str(out, ".TP\n\\fB\\-\\-");
        put_roff(out, SETTINGS_COMMANDS[i].name);
        buf_put_str(out, "\\fR\n\\&");
        put_roff(out, SETTINGS_COMMANDS[i].text);
        buf_put_char(out, '\n');
    }
}

/* A '|' would end the table's cell. */
static void put_markdown(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_put_char(out, '\\');
        buf_put_char(out, *text);
    }
}

void settings_put_markdown(struct buf *out)
{
    buf_put_str(out, "| setting | variable | default | takes | what it is |\n"
                     "| --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &SETTINGS[i];
        const char *code = row->default_value && row->argument ? "`" : "";
        char variable[SETTING_VARIABLE_BYTES];

        setting_variable(row->name, variable);
        buf_printf(out, "| `--%s", row->name);
        if (row->argument) {
            buf_put_char(out, ' ');
            put_markdown(out, row->argument);
        }
        buf_printf(out, "`%s | `%s` | %s", row->is_repeatable ? ", repeatable" : "", variable,
                   code);
        put_default(out, row);
        buf_printf(out, "%s | ", code);
        setting_put_expected(out, row);
        buf_put_str(out, " | ");
        put_markdown(out, row->text);
        buf_put_str(out, row->is_reloadable ? "; SIGHUP reloads it |\n" : " |\n");
    }
}

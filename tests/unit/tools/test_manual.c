/* manual: help, man page and completion name every command and option of the table. */
#include "base/cleanup.h"
#include "tools/manual.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_contains(struct buf *text, const char *wanted)
{
    if (!strstr(buf_str(text), wanted))
        fail_msg("\"%s\" is missing", wanted);
}

static void the_help_lists_every_noun_and_global_option(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf text = {0};
    manual_put_help(&text);
    for (const struct noun *n = NOUNS; n->name; n++)
        assert_contains(&text, n->name);
    for (const struct option *o = GLOBAL_OPTIONS; o->name; o++)
        assert_contains(&text, o->name);
}

static void a_nouns_help_lists_its_commands_with_their_options(void **state)
{
    (void)state;
    for (const struct command *c = COMMANDS; c->noun; c++) {
        CLEANUP(buf_fini) struct buf text = {0};
        manual_put_noun_help(c->noun, &text);
        if (c->verb)
            assert_contains(&text, c->verb);
        for (const struct option *o = c->options; o && o->name; o++)
            assert_contains(&text, o->name);
    }
}

static void a_commands_help_explains_arguments_and_options(void **state)
{
    (void)state;
    for (const struct command *c = COMMANDS; c->noun; c++) {
        CLEANUP(buf_fini) struct buf text = {0};
        manual_put_command_help(c, &text);
        assert_contains(&text, c->summary + 1);
        for (const struct option *o = c->options; o && o->name; o++)
            assert_contains(&text, o->help);
        for (size_t i = 0; i < COMMAND_ARGUMENTS_MAX && c->arguments[i].name; i++)
            assert_contains(&text, c->arguments[i].help);
    }
}

static void the_man_page_escapes_what_roff_would_read(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf text = {0};
    manual_put_roff("0.1.0", &text);
    assert_contains(&text, ".TH POSTERN 1");
    assert_contains(&text, "\\fB\\-\\-label\\fR \\fIL\\fR");
    assert_contains(&text, ".SS keys create\n");
    for (const char *line = buf_str(&text); line; line = strchr(line, '\n')) {
        line += *line == '\n';
        assert_true(line[0] != '\''); /* a control line of its own */
    }
}

static void the_markdown_table_has_a_row_for_each_command(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf text = {0};
    size_t commands = 0, lines = 0;
    manual_put_markdown(&text);
    for (const struct command *c = COMMANDS; c->noun; c++)
        commands++;
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    assert_int_equal(lines, commands + 2);
}

static void completions_name_every_command_and_option(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf bash = {0};
    CLEANUP(buf_fini) struct buf zsh = {0};
    manual_put_bash(&bash);
    manual_put_zsh(&zsh);
    for (const struct command *c = COMMANDS; c->noun; c++) {
        char name[64];
        snprintf(name, sizeof(name), "\"%s %s\")", c->noun, c->verb ? c->verb : "");
        assert_contains(&bash, name);
        snprintf(name, sizeof(name), "'%s%s%s')", c->noun, c->verb ? " " : "",
                 c->verb ? c->verb : "");
        assert_contains(&zsh, name);
        for (const struct option *o = c->options; o && o->name; o++) {
            assert_contains(&bash, o->name);
            assert_contains(&zsh, o->name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_help_lists_every_noun_and_global_option),
        cmocka_unit_test(a_nouns_help_lists_its_commands_with_their_options),
        cmocka_unit_test(a_commands_help_explains_arguments_and_options),
        cmocka_unit_test(the_man_page_escapes_what_roff_would_read),
        cmocka_unit_test(the_markdown_table_has_a_row_for_each_command),
        cmocka_unit_test(completions_name_every_command_and_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

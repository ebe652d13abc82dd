/* args: command lines are read as their table says, and what is wrong is said in words. */
#include "base/clock.h"
#include "tools/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1763643600000)
#define WORDS_MAX 24

struct reading {
    struct args args;
    struct err err;
    enum status status;
};

/* The words end with NULL. */
static struct reading read_line(const char *first, ...)
{
    struct reading reading = {0};
    char *argv[WORDS_MAX] = {0};
    int argc = 1;
    va_list words;
    argv[0] = (char *)(uintptr_t) "postern";
    va_start(words, first);
    for (const char *word = first; word; word = va_arg(words, const char *))
        argv[argc++] = (char *)(uintptr_t)word;
    va_end(words);
    reading.status = args_read(&reading.args, argc, argv, NOW_MS, &reading.err);
    return reading;
}

static void assert_refused(struct reading reading, const char *message)
{
    assert_int_equal(reading.status, STATUS_INVALID);
    assert_string_equal(reading.err.text, message);
    args_fini(&reading.args);
}

static void a_command_is_found_by_noun_and_verb(void **state)
{
    (void)state;
    struct reading reading = read_line("keys", "create", "--label", "ERP", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_string_equal(reading.args.command->noun, "keys");
    assert_string_equal(reading.args.command->verb, "create");
    assert_string_equal(args_text(&reading.args, "label"), "ERP");
    assert_null(args_text(&reading.args, "scope"));
    args_fini(&reading.args);
}

static void options_stand_before_between_and_after_the_command(void **state)
{
    (void)state;
    struct reading reading =
        read_line("--data", "/d", "records", "--output=json", "list", "--limit", "3", "workorder",
                  "--where", "status=draft", "--where=priority=high", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_string_equal(args_text(&reading.args, "data"), "/d");
    assert_string_equal(args_text(&reading.args, "output"), "json");
    assert_int_equal(args_number(&reading.args, "limit", 0), 3);
    assert_string_equal(args_argument(&reading.args, 0), "workorder");
    assert_int_equal(args_count(&reading.args, "where"), 2);
    size_t at = 0;
    assert_string_equal(args_each(&reading.args, "where", &at)->text, "status=draft");
    assert_string_equal(args_each(&reading.args, "where", &at)->text, "priority=high");
    assert_null(args_each(&reading.args, "where", &at));
    args_fini(&reading.args);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct reading reading = read_line("records", "get", "--", "--help", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_false(reading.args.is_help);
    assert_string_equal(args_argument(&reading.args, 0), "--help");
    args_fini(&reading.args);
}

static void a_dash_alone_is_an_argument(void **state)
{
    (void)state;
    struct reading reading = read_line("schemas", "validate", "workorder", "-", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_string_equal(args_argument(&reading.args, 1), "-");
    args_fini(&reading.args);
}

static void help_needs_nothing_else_to_be_right(void **state)
{
    (void)state;
    struct reading reading = read_line("keys", "create", "--help", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_true(reading.args.is_help);
    assert_non_null(reading.args.command);
    args_fini(&reading.args);
    reading = read_line("keys", "-h", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_true(reading.args.is_help);
    assert_string_equal(reading.args.noun, "keys");
    args_fini(&reading.args);
}

static void times_are_read_as_age_or_date(void **state)
{
    (void)state;
    struct reading reading = read_line("records", "list", "project", "--since", "15m", "--until",
                                       "2025-11-20T13:00:00Z", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_int_equal(args_number(&reading.args, "since", 0), NOW_MS - 15 * MINUTE_MS);
    assert_int_equal(args_number(&reading.args, "until", 0), NOW_MS);
    args_fini(&reading.args);
}

static void an_expiry_is_in_the_future_or_never(void **state)
{
    (void)state;
    struct reading reading = read_line("keys", "create", "--label", "x", "--expires", "90d", NULL);
    assert_int_equal(args_number(&reading.args, "expires", -1), NOW_MS + 90 * DAY_MS);
    args_fini(&reading.args);
    reading = read_line("keys", "update", "key_1", "--expires", "never", NULL);
    assert_int_equal(args_number(&reading.args, "expires", -1), 0);
    args_fini(&reading.args);
}

static void ranges_and_addresses_are_both_allowed(void **state)
{
    (void)state;
    struct reading reading = read_line("keys", "create", "--label", "x", "--allow", "10.0.0.0/8",
                                       "--allow", "192.0.2.7", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_int_equal(args_count(&reading.args, "allow"), 2);
    args_fini(&reading.args);
}

static void a_missing_option_is_named_with_its_purpose(void **state)
{
    (void)state;
    assert_refused(read_line("keys", "create", NULL),
                   "--label L is missing (whose key it is, for people)");
}

static void a_missing_argument_is_named(void **state)
{
    (void)state;
    assert_refused(read_line("keys", "show", NULL), "ID is missing (the key's id, key_…)");
    assert_refused(read_line("schemas", "validate", "workorder", NULL),
                   "FILE is missing (a JSON document; - is standard input)");
}

static void a_word_too_many_is_named(void **state)
{
    (void)state;
    assert_refused(read_line("keys", "list", "extra", NULL), "\"extra\" is one word too many");
}

static void several_arguments_are_taken_where_the_last_is_many(void **state)
{
    (void)state;
    struct reading reading = read_line("deliveries", "retry", "dlv_1", "dlv_2", "dlv_3", NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_int_equal(reading.args.argument_count, 3);
    args_fini(&reading.args);
}

static void near_misses_are_suggested(void **state)
{
    (void)state;
    assert_refused(read_line("key", "list", NULL), "no command \"key\"; did you mean keys?");
    assert_refused(read_line("keys", "creat", NULL),
                   "`keys` has no \"creat\", only create, list, show, update, enable, disable, "
                   "rotate, delete; did you mean create?");
    assert_refused(read_line("keys", "create", "--lable", "x", NULL),
                   "`keys create` has no option --lable; did you mean --label?");
}

static void a_noun_alone_lists_its_verbs(void **state)
{
    (void)state;
    assert_refused(read_line("schemas", NULL),
                   "`schemas` what? One of list, show, check, validate");
}

static void wrong_values_say_what_would_be_right(void **state)
{
    (void)state;
    assert_refused(read_line("records", "list", "vendor", "--limit", "0", NULL),
                   "--limit: \"0\" is not a whole number of at least 1");
    assert_refused(read_line("records", "list", "vendor", "--since", "yesterday", NULL),
                   "--since: \"yesterday\" is not a time such as 2026-11-20T13:00:00Z or an age "
                   "such as 15m, 24h, 7d");
    assert_refused(read_line("--output", "xml", "keys", "list", NULL),
                   "--output: \"xml\" is not one of table|json|ndjson|csv");
    assert_refused(read_line("deliveries", "list", "--status", "pend", NULL),
                   "--status: \"pend\" is not one of pending|delivered|failed");
    assert_refused(read_line("listen", "--port", "65536", NULL),
                   "--port: \"65536\" is not a whole number of 0 to 65535");
    assert_refused(read_line("keys", "create", "--label", "x", "--scope", "workorder", NULL),
                   "--scope: \"workorder\" is not a scope such as workorder:write, *:read or "
                   "events:read");
}

static void values_cannot_drive_the_terminal(void **state)
{
    (void)state;
    assert_refused(read_line("listen", "--port", "\033[2J", NULL),
                   "--port: \"\\u001b[2J\" is not a whole number of 0 to 65535");
}

static void an_option_without_its_value_is_refused(void **state)
{
    (void)state;
    assert_refused(read_line("keys", "create", "--label", NULL),
                   "--label needs a value: --label L");
    assert_refused(read_line("records", "list", "vendor", "--deleted=yes", NULL),
                   "--deleted takes no value");
}

static void an_option_given_twice_is_refused_unless_it_may_be(void **state)
{
    (void)state;
    assert_refused(read_line("keys", "create", "--label", "a", "--label", "b", NULL),
                   "--label is given twice");
}

static void no_words_at_all_name_no_command(void **state)
{
    (void)state;
    struct reading reading = read_line(NULL);
    assert_int_equal(reading.status, STATUS_OK);
    assert_null(reading.args.command);
    assert_null(reading.args.noun);
    args_fini(&reading.args);
}

static bool has_noun(const char *name)
{
    const struct noun *n = NOUNS;
    while (n->name && strcmp(n->name, name))
        n++;
    return n->name;
}

static void every_command_is_complete_and_every_noun_has_one(void **state)
{
    (void)state;
    for (const struct command *c = COMMANDS; c->noun; c++) {
        assert_non_null(c->run);
        assert_true(c->summary && c->summary[0] >= 'a' && c->summary[0] <= 'z');
        assert_true(has_noun(c->noun));
        for (const struct option *o = c->options; o && o->name; o++) {
            assert_non_null(o->help);
            assert_int_equal(o->kind == VALUE_FLAG, o->value == NULL);
            assert_int_equal(o->kind == VALUE_CHOICE, o->choices != NULL);
        }
    }
    for (const struct noun *n = NOUNS; n->name; n++) {
        const struct command *c = COMMANDS;
        while (c->noun && strcmp(c->noun, n->name))
            c++;
        assert_non_null(c->noun);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_found_by_noun_and_verb),
        cmocka_unit_test(options_stand_before_between_and_after_the_command),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(a_dash_alone_is_an_argument),
        cmocka_unit_test(help_needs_nothing_else_to_be_right),
        cmocka_unit_test(times_are_read_as_age_or_date),
        cmocka_unit_test(an_expiry_is_in_the_future_or_never),
        cmocka_unit_test(ranges_and_addresses_are_both_allowed),
        cmocka_unit_test(a_missing_option_is_named_with_its_purpose),
        cmocka_unit_test(a_missing_argument_is_named),
        cmocka_unit_test(a_word_too_many_is_named),
        cmocka_unit_test(several_arguments_are_taken_where_the_last_is_many),
        cmocka_unit_test(near_misses_are_suggested),
        cmocka_unit_test(a_noun_alone_lists_its_verbs),
        cmocka_unit_test(wrong_values_say_what_would_be_right),
        cmocka_unit_test(values_cannot_drive_the_terminal),
        cmocka_unit_test(an_option_without_its_value_is_refused),
        cmocka_unit_test(an_option_given_twice_is_refused_unless_it_may_be),
        cmocka_unit_test(no_words_at_all_name_no_command),
        cmocka_unit_test(every_command_is_complete_and_every_noun_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

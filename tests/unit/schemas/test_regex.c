/* regex: ECMA-262 semantics on PCRE2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/regex.h"

static struct regex_run *scratch;

static enum status match(const char *pattern, const char *text, size_t len)
{
    struct regex *regex = NULL;
    struct err err = {0};
    if (regex_new(bytes_of_str(pattern), &regex, &err) != STATUS_OK)
        fail_msg("%s: %s", pattern, err.text);
    enum status status = regex_match(regex, scratch, bytes_of(text, len));
    regex_free(regex);
    return status;
}

static void assert_match(const char *pattern, const char *text)
{
    if (match(pattern, text, strlen(text)) != STATUS_OK)
        fail_msg("/%s/ should match \"%s\"", pattern, text);
}

static void assert_no_match(const char *pattern, const char *text)
{
    if (match(pattern, text, strlen(text)) != STATUS_NOT_FOUND)
        fail_msg("/%s/ should not match \"%s\"", pattern, text);
}

static void assert_refused(const char *pattern, const char *reason)
{
    struct regex *regex = NULL;
    struct err err = {0};
    assert_int_equal(regex_new(bytes_of_str(pattern), &regex, &err), STATUS_INVALID);
    assert_null(regex);
    assert_string_equal(err.text, reason);
}

static void matching_is_a_search(void **state)
{
    (void)state;
    assert_match("b", "abc");
    assert_match("", "");
    assert_match("a+", "xxaa");
    assert_no_match("^b", "abc");
}

static void dollar_is_the_very_end(void **state)
{
    (void)state;
    assert_match("^abc$", "abc");
    assert_no_match("^abc$", "abc\n");
    assert_match("^$", "");
    assert_match("a$|b", "xb.");
}

static void a_dot_stops_at_line_terminators(void **state)
{
    (void)state;
    assert_match("^.$", "é");
    assert_match("^.$", "\xF0\x9F\x98\x80");
    assert_match("^.$", "\x0B");
    assert_no_match("^.$", "\n");
    assert_no_match("^.$", "\r");
    assert_no_match("^.$", "\xE2\x80\xA8");
    assert_no_match("^.$", "\xE2\x80\xA9");
}

static void digits_and_words_are_ascii(void **state)
{
    (void)state;
    assert_match("^\\d\\w$", "0a");
    assert_no_match("^\\d$", "\xDF\x80"); /* N'Ko digit zero */
    assert_match("^\\D$", "\xDF\x80");
    assert_no_match("^\\w$", "é");
    assert_match("^\\W$", "é");
    assert_match("^[^\\d\\s]$", "é");
    assert_match("^[\\D]$", "a");
    assert_no_match("^[\\D]$", "1");
    assert_match("^[\\W_]$", "_");
    assert_match("\\bfoo\\b", "a foo b");
    assert_match("\\B.", "éa");
}

static void white_space_is_ecmascripts(void **state)
{
    static const char *const SPACES[] = {" ",
                                         "\t",
                                         "\n",
                                         "\v",
                                         "\f",
                                         "\r",
                                         "\xC2\xA0",
                                         "\xEF\xBB\xBF",
                                         "\xE2\x80\x83",
                                         "\xE2\x80\xA8",
                                         "\xE2\x80\xA9",
                                         "\xE3\x80\x80",
                                         "\xE1\x9A\x80"};
    static const char *const OTHERS[] = {"\x01", "\xC2\x85", "\xE2\x80\x93", "\xE2\x80\x8B", "a"};
    (void)state;
    for (size_t i = 0; i < sizeof(SPACES) / sizeof(SPACES[0]); i++) {
        assert_match("^\\s$", SPACES[i]);
        assert_match("^[\\s]$", SPACES[i]);
        assert_no_match("^\\S$", SPACES[i]);
        assert_no_match("^[\\S]$", SPACES[i]);
    }
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        assert_no_match("^\\s$", OTHERS[i]);
        assert_match("^\\S$", OTHERS[i]);
        assert_match("^[\\S]$", OTHERS[i]);
    }
}

static void escapes_name_characters(void **state)
{
    (void)state;
    assert_match("^\\t\\n\\v\\f\\r$", "\t\n\v\f\r");
    assert_match("^\\cC\\cc$", "\x03\x03");
    assert_match("^\\x41\\u0042\\u{43}\\u{1F600}\\ud83d\\ude00$",
                 "ABC\xF0\x9F\x98\x80\xF0\x9F\x98\x80");
    assert_int_equal(match("^\\0$", "\0", 1), STATUS_OK);
    assert_match("^\\.\\*\\/\\-\\@\\{\\}$", ".*/-@{}");
    assert_match("^[\\b]$", "\b");
    assert_match("^[\\x41-\\u{5A}]+$", "QZ");
    assert_no_match("\\ud83d", "\xF0\x9F\x98\x80"); /* a lone surrogate never occurs */
    assert_no_match("[\\ud83d]", "\xF0\x9F\x98\x80");
    assert_match("^[^\\ud83d]$", "\xF0\x9F\x98\x80");
}

static void unicode_properties_work(void **state)
{
    (void)state;
    assert_match("^\\p{Letter}cole$", "école");
    assert_match("^\\p{L}\\p{Lu}$", "éÉ");
    assert_no_match("^\\p{Lu}$", "é");
    assert_match("^\\P{Lu}$", "é");
    assert_match("^\\p{digit}+$", "\xE0\xA7\xAA\xE0\xA7\xA8");
    assert_match("^\\p{Script=Greek}\\p{sc=Grek}$", "αβ");
    assert_match("^\\p{General_Category=Decimal_Number}$", "7");
    assert_match("^[\\p{L}\\p{Nd}_-]+$", "é7_-");
    assert_match("^\\p{Alphabetic}\\p{White_Space}\\p{ASCII}\\p{Any}$", "é a\xF0\x9F\x98\x80");
    assert_match("^\\p{Assigned}$", "a");
}

static void classes_may_be_empty_full_or_have_hyphens(void **state)
{
    (void)state;
    assert_no_match("[]", "a");
    assert_match("^[^]$", "\n");
    assert_match("^[\\w-.]+$", "a-b.c");
    assert_match("^[a-\\d]+$", "a-7");
    assert_match("^[a-]+$", "a-");
    assert_match("^[-a]+$", "a-");
    assert_match("^[[(.*+?{^$|]+$", "[(.*+?{^$|");
    assert_no_match("^[:alpha:]$", "b");
    assert_match("^[[:alpha:]\\]$", ":]"); /* a class and a bracket, not POSIX */
}

static void groups_and_references_work(void **state)
{
    (void)state;
    assert_match("^(a)(?:b)(?<year>\\d)\\1\\k<year>$", "ab1a1");
    assert_no_match("^(?<x>.)\\k<x>$", "ab");
    assert_match("^\\k<x>(?<x>a)$", "a"); /* not yet set: empty */
    assert_match("^(?:(a)|b)\\1$", "b");
    assert_match("(?<=\\$)\\d+", "$42");
    assert_match("^(?!foo)...$", "bar");
    assert_match("^(?=foo)...$", "foo");
    assert_match("(?<!a)b", "cb");
}

static void quantifiers_are_greedy_or_lazy(void **state)
{
    (void)state;
    assert_match("^a{2}b{1,}c{0,2}?d*?e+?f??$", "aabbe");
    assert_no_match("^a{2}$", "aaa");
}

static void what_only_pcre_has_is_refused(void **state)
{
    (void)state;
    assert_refused("(?i)a", "an unknown kind of group at character 2");
    assert_refused("(?P<n>a)", "an unknown kind of group at character 2");
    assert_refused("(?>a)", "an unknown kind of group at character 2");
    assert_refused("a++", "there is nothing to repeat at character 3");
    assert_refused("\\Aa",
                   "a backslash before a character that needs none means nothing, at character 2");
    assert_refused("\\a",
                   "a backslash before a character that needs none means nothing, at character 2");
    assert_refused("a\\Z",
                   "a backslash before a character that needs none means nothing, at character 3");
    assert_refused("(*UTF)a", "there is nothing to repeat at character 2");
    assert_refused("\\Qa\\E",
                   "a backslash before a character that needs none means nothing, at character 2");
}

static void what_is_malformed_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("^(abc]",
                   "a bracket that is not part of anything needs a backslash at character 6");
    assert_refused("(a", "a group is not closed at character 3");
    assert_refused("a)", "a ')' has no '(' at character 2");
    assert_refused("[a", "a class is not closed at character 3");
    assert_refused("*", "there is nothing to repeat at character 1");
    assert_refused("a|*", "there is nothing to repeat at character 3");
    assert_refused("^*", "there is nothing to repeat at character 2");
    assert_refused("[z-a]", "a range is out of order at character 5");
    assert_refused("a{2,1}", "a repetition is out of order at character 6");
    assert_refused("a{70000}", "more than 65535 repetitions are not supported at character 8");
    assert_refused("{a", "a bracket that is not part of anything needs a backslash at character 1");
    assert_refused("\\1", "refers to a group that is not there, at character 3");
    assert_refused("\\k<x>", "refers to a group that is not there, at character 6");
    assert_refused("(?<x>a)(?<x>b)", "two groups have the same name at character 12");
    assert_refused("(?<1>a)", "a group's name is malformed at character 3");
    assert_refused("\\", "the pattern ends with a backslash at character 2");
    assert_refused("\\x4", "an escape lacks a hexadecimal digit at character 4");
    assert_refused("\\u{110000}", "\\u{…} must hold a code point at character 10");
    assert_refused("\\c1", "\\c must be followed by a letter at character 3");
    assert_refused("\\00",
                   "a backslash before a character that needs none means nothing, at character 2");
    assert_refused("\\pL", "\\p must be followed by {…} at character 3");
    assert_refused("\\p{letter}", "\\p{…} names no Unicode property at character 11");
}

static void nesting_is_bounded(void **state)
{
    char pattern[1001];
    (void)state;
    memset(pattern, '(', 1000);
    pattern[1000] = '\0';
    assert_false(regex_is_valid(bytes_of_str(pattern)));
}

static void too_much_backtracking_is_an_answer_of_its_own(void **state)
{
    (void)state;
    assert_int_equal(match("^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", 45),
                     STATUS_LIMIT);
}

static int setup(void **state)
{
    (void)state;
    scratch = regex_run_new();
    return scratch ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    regex_run_free(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matching_is_a_search),
        cmocka_unit_test(dollar_is_the_very_end),
        cmocka_unit_test(a_dot_stops_at_line_terminators),
        cmocka_unit_test(digits_and_words_are_ascii),
        cmocka_unit_test(white_space_is_ecmascripts),
        cmocka_unit_test(escapes_name_characters),
        cmocka_unit_test(unicode_properties_work),
        cmocka_unit_test(classes_may_be_empty_full_or_have_hyphens),
        cmocka_unit_test(groups_and_references_work),
        cmocka_unit_test(quantifiers_are_greedy_or_lazy),
        cmocka_unit_test(what_only_pcre_has_is_refused),
        cmocka_unit_test(what_is_malformed_is_refused_with_its_place),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(too_much_backtracking_is_an_answer_of_its_own),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

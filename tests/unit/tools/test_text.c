/* text: what reaches a terminal cannot drive it, and takes the columns that text_width says. */
#include "base/cleanup.h"
#include "tools/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_visible(const char *in, const char *wanted)
{
    CLEANUP(buf_fini) struct buf out = {0};
    text_put_visible(&out, bytes_of_str(in));
    assert_string_equal(buf_str(&out), wanted);
}

static void escape_sequences_are_spelt_out(void **state)
{
    (void)state;
    assert_visible("a\033[31mb", "a\\u001b[31mb");
    assert_visible("line\nnext\ttab", "line\\nnext\\ttab");
    assert_visible("\x7f", "\\u007f");
}

static void c1_controls_and_bidirectional_overrides_are_spelt_out(void **state)
{
    (void)state;
    assert_visible("\xC2\x9B"
                   "31m",
                   "\\u009b31m");
    assert_visible("\xE2\x80\xAE"
                   "evil",
                   "\\u202eevil");
}

static void ordinary_text_stays_as_it_is(void **state)
{
    (void)state;
    assert_visible("Grüße, 東京 🙂", "Grüße, 東京 🙂");
    assert_visible("\xEF\xBF\xBD", "\xEF\xBF\xBD");
}

static void invalid_utf8_becomes_the_replacement_character(void **state)
{
    (void)state;
    assert_visible("a\xFFz", "a\xEF\xBF\xBDz");
    assert_visible("\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_visible("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_visible("\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_visible("\xF5\x80\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

static void wide_characters_take_two_columns_and_marks_none(void **state)
{
    (void)state;
    assert_int_equal(text_width(bytes_of_str("abc")), 3);
    assert_int_equal(text_width(bytes_of_str("Grüße")), 5);
    assert_int_equal(text_width(bytes_of_str("東京")), 4);
    assert_int_equal(text_width(bytes_of_str("e\xCC\x81")), 1);
    assert_int_equal(text_width(bytes_of_str("🙂")), 2);
}

static void fitting_never_cuts_a_character(void **state)
{
    (void)state;
    struct bytes text = bytes_of_str("a東京");
    assert_int_equal(text_fit(text, 0).len, 0);
    assert_int_equal(text_fit(text, 1).len, 1);
    assert_int_equal(text_fit(text, 2).len, 1);
    assert_int_equal(text_fit(text, 3).len, 4);
    assert_int_equal(text_fit(text, 99).len, text.len);
}

static void distance_counts_single_edits(void **state)
{
    (void)state;
    assert_int_equal(text_distance("keys", "keys"), 0);
    assert_int_equal(text_distance("kyes", "keys"), 2);
    assert_int_equal(text_distance("record", "records"), 1);
    assert_int_equal(text_distance("", "abc"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escape_sequences_are_spelt_out),
        cmocka_unit_test(c1_controls_and_bidirectional_overrides_are_spelt_out),
        cmocka_unit_test(ordinary_text_stays_as_it_is),
        cmocka_unit_test(invalid_utf8_becomes_the_replacement_character),
        cmocka_unit_test(wide_characters_take_two_columns_and_marks_none),
        cmocka_unit_test(fitting_never_cuts_a_character),
        cmocka_unit_test(distance_counts_single_edits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The chunked decoder, whatever pieces its input comes in. */
#include "ingest/h2o_guard_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TEXT_MAX 32768

/* Decodes `text` in two pieces cut at `cut`; the last result; the data in `out`. */
static ssize_t decode(const char *text, size_t len, size_t cut, char *out, size_t *ret_len)
{
    struct phr_chunked_decoder decoder = {.consume_trailer = 1};
    size_t first = cut, second = len - cut;
    char rest[TEXT_MAX];
    memcpy(out, text, cut);
    ssize_t result = phr_decode_chunked(&decoder, out, &first);
    *ret_len = first;
    if (result != -2)
        return result < 0 ? result : result + (ssize_t)second;
    memcpy(rest, text + cut, second);
    result = phr_decode_chunked(&decoder, rest, &second);
    memcpy(out + first, rest, second);
    *ret_len += second;
    return result;
}

static void expect(const char *text, ssize_t result, const char *data)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        char out[TEXT_MAX];
        size_t out_len;
        assert_int_equal(decode(text, len, cut, out, &out_len), result);
        if (data != NULL)
            assert_true(bytes_equal_str(bytes_of(out, out_len), data));
    }
}

static void chunks_are_put_together(void **state)
{
    (void)state;
    expect("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 0, "hello world");
    expect("0\r\n\r\n", 0, "");
    expect("a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", 0, "01234567890123456789");
    expect("00000001\r\nx\r\n0\r\n\r\n", 0, "x");
}

static void extensions_and_trailers_are_thrown_away(void **state)
{
    (void)state;
    expect("1;a=b;c=\"d e\"\r\nx\r\n0;last\r\nA: b\r\nC: d\r\n\r\n", 0, "x");
    expect("1 ;a\r\nx\r\n0\r\n\r\n", 0, "x");
    expect("1;\r\nx\r\n0\t;\xc3\xa4\r\n\r\n", 0, "x");
}

static void what_follows_the_body_is_left(void **state)
{
    (void)state;
    expect("1\r\nx\r\n0\r\n\r\nGET ", 4, "x");
    expect("1\r\nx\r\n0\r\nA: b\r\n\r\n\r\n", 2, "x");
}

static void what_is_not_complete_goes_on(void **state)
{
    (void)state;
    expect("", -2, "");
    expect("5\r\nhel", -2, "hel");
    expect("5\r\nhello\r\n0\r\n", -2, "hello");
    expect("5\r\nhello\r\n0\r\nA: b\r\n\r", -2, "hello");
}

static void what_two_parsers_could_read_differently_is_refused(void **state)
{
    static const char *const BAD[] = {
        "\r\n",         "0x5\r\n",       "+1\r\n",     "-1\r\n",         " 1\r\n",
        ";a\r\n",       "1\n",           "1\rx",       "1\r\r\n",        "g\r\n",
        "1\r\nxx\r\n",  "1\r\nx\n",      "1\r\nx\rx",  "123456789\r\n",  "000000000\r\n",
        "1;\x01\r\n",   "1;a\nb\r\n",    "1;\x7f\r\n", "0\r\n\n",        "0\r\nA: b\n",
        "0\r\nA\r\r\n", "0\r\n\x02\r\n", "0\r\n\rx",   "1\r\nx\r\n\r\n", "1_0\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        expect(BAD[i], -1, NULL);
}

static void overhead_has_a_bound_over_the_whole_body(void **state)
{
    (void)state;
    char text[TEXT_MAX], out[TEXT_MAX];
    size_t len = 0, out_len;
    for (int i = 0; i < 80; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "1;%0100d\r\nx\r\n", 0);
    assert_int_equal(decode(text, len, 10, out, &out_len), -2);
    for (int i = 0; i < 10; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "1;%0100d\r\nx\r\n", 0);
    assert_int_equal(decode(text, len, 10, out, &out_len), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_put_together),
        cmocka_unit_test(extensions_and_trailers_are_thrown_away),
        cmocka_unit_test(what_follows_the_body_is_left),
        cmocka_unit_test(what_is_not_complete_goes_on),
        cmocka_unit_test(what_two_parsers_could_read_differently_is_refused),
        cmocka_unit_test(overhead_has_a_bound_over_the_whole_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

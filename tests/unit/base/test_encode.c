/* encode: the vectors of the RFCs, and what strictness refuses. */
#include "base/cleanup.h"
#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void base64_matches_rfc_4648(void **state)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(pairs); i++) {
        CLEANUP(buf_fini) struct buf text = {0};
        CLEANUP(buf_fini) struct buf back = {0};
        base64_encode(&text, bytes_of_str(pairs[i][0]));
        assert_string_equal(buf_str(&text), pairs[i][1]);
        assert_int_equal(base64_decode(&back, buf_bytes(&text)), STATUS_OK);
        assert_string_equal(buf_str(&back), pairs[i][0]);
    }
}

static void base64_that_is_not_canonical_is_refused(void **state)
{
    static const char *const texts[] = {
        "Zg",   "Zg=",  "Zg==Zg==", "Zh==",   "Zm9=", "Z===", "====",  "Zm9v ",   " Zm9v",
        "Zm-v", "Zm_v", "Zm9v\n",   "Zg==\n", "=g==", "Zg=v", "Zm9vZ", "Zm9v=Zm9"};
    CLEANUP(buf_fini) struct buf out = {0};

    (void)state;
    buf_put_str(&out, "kept");
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(base64_decode(&out, bytes_of_str(texts[i])), STATUS_INVALID);
        assert_string_equal(buf_str(&out), "kept");
    }
    assert_int_equal(base64_decode(&out, bytes_of("Zm\0v", 4)), STATUS_INVALID);
}

static void hex_goes_both_ways(void **state)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(buf_fini) struct buf back = {0};

    (void)state;
    hex_encode(&text, bytes_of("\x00\x1f\xab\xff", 4));
    assert_string_equal(buf_str(&text), "001fabff");
    assert_int_equal(hex_decode(&back, bytes_of_str("001FaBff")), STATUS_OK);
    assert_int_equal(back.len, 4);
    assert_memory_equal(back.data, "\x00\x1f\xab\xff", 4);
    assert_int_equal(hex_decode(&back, bytes_of_str("0")), STATUS_INVALID);
    assert_int_equal(hex_decode(&back, bytes_of_str("00g0")), STATUS_INVALID);
    assert_int_equal(back.len, 4);
}

static void base62_is_padded_with_zeros(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};

    (void)state;
    base62_encode(&out, 61, 3);
    base62_encode(&out, 62, 2);
    base62_encode(&out, UINT64_MAX, 11);
    assert_string_equal(buf_str(&out), "00z10LygHa16AHYF");
}

static void crc32_has_the_published_check_value(void **state)
{
    (void)state;
    assert_int_equal(crc32_of(bytes_of_str("123456789")), 0xcbf43926);
    assert_int_equal(crc32_of((struct bytes){0}), 0);
    assert_int_equal(crc32_of(bytes_of_str("")), 0);
}

static void percent_escapes_are_decoded_once(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};

    (void)state;
    assert_int_equal(percent_decode(&out, bytes_of_str("a%20b+c%2Fd%252f%C3%a9")), STATUS_OK);
    assert_string_equal(buf_str(&out), "a b+c/d%2f\xc3\xa9");
}

static void broken_percent_escapes_are_refused(void **state)
{
    static const char *const texts[] = {"%", "a%2", "%zz", "%2", "%00", "ok%0", "%%20", "% 20"};
    CLEANUP(buf_fini) struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_int_equal(percent_decode(&out, bytes_of_str(texts[i])), STATUS_INVALID);
        assert_int_equal(out.len, 0);
    }
}

static void a_full_buffer_is_told(void **state)
{
    CLEANUP(buf_fini) struct buf out = {.limit = 2};

    (void)state;
    assert_int_equal(base64_decode(&out, bytes_of_str("Zm9v")), STATUS_LIMIT);
    buf_clear(&out);
    assert_int_equal(percent_decode(&out, bytes_of_str("abc")), STATUS_LIMIT);
    buf_clear(&out);
    assert_int_equal(hex_decode(&out, bytes_of_str("000000")), STATUS_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_matches_rfc_4648),
        cmocka_unit_test(base64_that_is_not_canonical_is_refused),
        cmocka_unit_test(hex_goes_both_ways),
        cmocka_unit_test(base62_is_padded_with_zeros),
        cmocka_unit_test(crc32_has_the_published_check_value),
        cmocka_unit_test(percent_escapes_are_decoded_once),
        cmocka_unit_test(broken_percent_escapes_are_refused),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

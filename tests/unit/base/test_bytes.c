/* bytes: views, the growing buffer, the cursor over foreign bytes. */
#include "base/bytes.h"
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void views_are_equal_by_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of("abc", 3), bytes_of_str("abc")));
    assert_false(bytes_equal(bytes_of("abc", 3), bytes_of_str("abd")));
    assert_false(bytes_equal(bytes_of("abc", 3), bytes_of_str("ab")));
    assert_true(bytes_equal((struct bytes){0}, bytes_of("x", 0)));
    assert_true(bytes_equal_str(bytes_of("a\0b", 1), "a"));
    assert_false(bytes_equal_str(bytes_of("a\0b", 3), "a"));
}

/* In memory of just that length, so that a sanitizer sees a word that reaches over the end. */
static void every_length_is_compared_and_copied_whole(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 40; len++) {
        CLEANUP(freep) uint8_t *a = malloc(len);
        CLEANUP(freep) uint8_t *b = malloc(len);

        assert_true(a && b);
        for (size_t i = 0; i < len; i++)
            a[i] = (uint8_t)(i + len);
        memset(b, 0, len);
        bytes_copy(b, bytes_of(a, len));
        assert_memory_equal(a, b, len);
        assert_true(bytes_equal(bytes_of(a, len), bytes_of(b, len)));
        for (size_t i = 0; i < len; i++) {
            b[i] ^= 0x80;
            assert_false(bytes_equal(bytes_of(a, len), bytes_of(b, len)));
            b[i] ^= 0x80;
        }
    }
}

static void a_prefix_sorts_before_what_it_begins(void **state)
{
    (void)state;
    assert_true(bytes_compare(bytes_of_str("ab"), bytes_of_str("abc")) < 0);
    assert_true(bytes_compare(bytes_of_str("abc"), bytes_of_str("ab")) > 0);
    assert_true(bytes_compare(bytes_of_str("\xff"), bytes_of_str("a")) > 0);
    assert_int_equal(bytes_compare((struct bytes){0}, bytes_of("x", 0)), 0);
}

static void a_copy_is_terminated(void **state)
{
    CLEANUP(freep) char *copy = bytes_dup_str(bytes_of("hello", 4));
    CLEANUP(freep) char *empty = bytes_dup_str((struct bytes){0});

    (void)state;
    assert_string_equal(copy, "hell");
    assert_string_equal(empty, "");
}

static void everything_written_is_read_back(void **state)
{
    CLEANUP(buf_fini) struct buf buf = {0};
    struct cursor c;

    (void)state;
    buf_put_u8(&buf, 0xfe);
    buf_put_u16(&buf, 0xfedc);
    buf_put_u32(&buf, 0xfedcba98);
    buf_put_u64(&buf, UINT64_C(0xfedcba9876543210));
    buf_put_sized(&buf, bytes_of_str("sized"));
    buf_put_sized(&buf, (struct bytes){0});
    assert_int_equal(buf.status, STATUS_OK);
    assert_int_equal(buf.data[1], 0xfe); /* big-endian */

    c = cursor_of(buf_bytes(&buf));
    assert_int_equal(cursor_u8(&c), 0xfe);
    assert_int_equal(cursor_u16(&c), 0xfedc);
    assert_int_equal(cursor_u32(&c), 0xfedcba98);
    assert_true(cursor_u64(&c) == UINT64_C(0xfedcba9876543210));
    assert_true(bytes_equal_str(cursor_sized(&c), "sized"));
    assert_int_equal(cursor_sized(&c).len, 0);
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_finish(&c), STATUS_OK);
}

static void text_is_put_together(void **state)
{
    CLEANUP(buf_fini) struct buf buf = {0};

    (void)state;
    buf_put_str(&buf, "n=");
    buf_put_decimal(&buf, 0);
    buf_put_char(&buf, ' ');
    buf_put_decimal(&buf, UINT64_MAX);
    buf_printf(&buf, " %s-%03d", "x", 7);
    assert_string_equal(buf_str(&buf), "n=0 18446744073709551615 x-007");
    assert_int_equal(buf.len, 30);
}

static void a_long_text_grows_the_buffer(void **state)
{
    CLEANUP(buf_fini) struct buf buf = {0};
    char block[1000];

    (void)state;
    memset(block, 'a', sizeof block);
    for (int i = 0; i < 100; i++)
        buf_put(&buf, block, sizeof block);
    buf_printf(&buf, "%.*s", (int)sizeof block, block);
    assert_int_equal(buf.len, 101000);
    assert_int_equal(buf.data[100999], 'a');
}

static void the_limit_is_exact_and_sticky(void **state)
{
    CLEANUP(buf_fini) struct buf buf = {.limit = 8};

    (void)state;
    buf_put_str(&buf, "12345678");
    assert_int_equal(buf.status, STATUS_OK);
    assert_string_equal(buf_str(&buf), "12345678");
    buf_put_char(&buf, '9');
    assert_int_equal(buf.status, STATUS_LIMIT);
    assert_int_equal(buf.len, 8);
    assert_string_equal(buf_str(&buf), "");
    buf_put_str(&buf, "");
    assert_int_equal(buf_reserve(&buf, 0), STATUS_LIMIT);

    buf_clear(&buf);
    buf_printf(&buf, "%s", "123456789");
    assert_int_equal(buf.status, STATUS_LIMIT);
    assert_int_equal(buf.len, 0);

    buf_clear(&buf);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), STATUS_LIMIT);
    buf_clear(&buf);
    buf_printf(&buf, "%s", "12345678");
    assert_int_equal(buf.status, STATUS_OK);
}

static void an_empty_buffer_is_valid(void **state)
{
    CLEANUP(buf_fini) struct buf buf = {0};

    (void)state;
    assert_int_equal(buf_bytes(&buf).len, 0);
    buf_put(&buf, NULL, 0);
    buf_put_bytes(&buf, (struct bytes){0});
    assert_null(buf.data);
    assert_string_equal(buf_str(&buf), "");
    buf_fini(NULL);
}

static void taken_memory_belongs_to_the_taker(void **state)
{
    CLEANUP(buf_fini) struct buf buf = {0};
    size_t len;

    (void)state;
    buf_put_str(&buf, "mine");
    CLEANUP(freep) uint8_t *data = buf_take(&buf, &len);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "mine", 4);
    assert_null(buf.data);
    buf_put_str(&buf, "again");
    assert_string_equal(buf_str(&buf), "again");
}

static void a_read_past_the_end_is_noticed_once_for_all(void **state)
{
    struct cursor c = cursor_of(bytes_of("\0\0\0\1", 4));

    (void)state;
    assert_int_equal(cursor_u64(&c), 0);
    assert_int_equal(cursor_u8(&c), 0); /* sticky, though a byte is left */
    assert_int_equal(cursor_finish(&c), STATUS_CORRUPT);
}

static void a_length_that_lies_gives_an_empty_view(void **state)
{
    struct cursor c = cursor_of(bytes_of("\xff\xff\xff\xff"
                                         "abc",
                                         7));

    (void)state;
    assert_int_equal(cursor_sized(&c).len, 0);
    assert_true(c.is_bad);
}

static void bytes_left_over_are_corruption(void **state)
{
    struct cursor c = cursor_of(bytes_of("ab", 2));

    (void)state;
    (void)cursor_u8(&c);
    assert_int_equal(cursor_finish(&c), STATUS_CORRUPT);
    (void)cursor_u8(&c);
    assert_int_equal(cursor_finish(&c), STATUS_OK);
}

static void a_cursor_over_nothing_is_at_its_end(void **state)
{
    struct cursor c = cursor_of((struct bytes){0});

    (void)state;
    assert_int_equal(cursor_left(&c), 0);
    assert_int_equal(cursor_finish(&c), STATUS_OK);
    assert_int_equal(cursor_u16(&c), 0);
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.is_bad);
}

static void big_endian_keys_sort_as_their_numbers(void **state)
{
    uint8_t small[8], large[8];

    (void)state;
    put_be64(small, 255);
    put_be64(large, 256);
    assert_true(memcmp(small, large, 8) < 0);
    assert_true(get_be64(large) == 256);
    put_be32(small, UINT32_MAX);
    assert_true(get_be32(small) == UINT32_MAX);
    put_be16(small, 0x8001);
    assert_int_equal(get_be16(small), 0x8001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_equal_by_content),
        cmocka_unit_test(every_length_is_compared_and_copied_whole),
        cmocka_unit_test(a_prefix_sorts_before_what_it_begins),
        cmocka_unit_test(a_copy_is_terminated),
        cmocka_unit_test(everything_written_is_read_back),
        cmocka_unit_test(text_is_put_together),
        cmocka_unit_test(a_long_text_grows_the_buffer),
        cmocka_unit_test(the_limit_is_exact_and_sticky),
        cmocka_unit_test(an_empty_buffer_is_valid),
        cmocka_unit_test(taken_memory_belongs_to_the_taker),
        cmocka_unit_test(a_read_past_the_end_is_noticed_once_for_all),
        cmocka_unit_test(a_length_that_lies_gives_an_empty_view),
        cmocka_unit_test(bytes_left_over_are_corruption),
        cmocka_unit_test(a_cursor_over_nothing_is_at_its_end),
        cmocka_unit_test(big_endian_keys_sort_as_their_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

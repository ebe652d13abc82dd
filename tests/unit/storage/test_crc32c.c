/* crc32c: RFC 3720's vectors, and both ways of computing agree at every length and place. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/crc32c.h"

static uint32_t both(struct bytes in)
{
    uint32_t sum = crc32c_more(0, in);

    assert_int_equal(crc32c_more_portable(0, in), sum);
    return sum;
}

static void rfc_3720_says_so(void **state)
{
    uint8_t bytes[32];

    (void)state;
    assert_int_equal(both(bytes_of_str("123456789")), 0xE3069283u);
    assert_int_equal(both(bytes_of(NULL, 0)), 0);
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(both(bytes_of(bytes, sizeof(bytes))), 0x8A9136AAu);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(both(bytes_of(bytes, sizeof(bytes))), 0x62A8AB43u);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(both(bytes_of(bytes, sizeof(bytes))), 0x46DD794Eu);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = 31 - i;
    assert_int_equal(both(bytes_of(bytes, sizeof(bytes))), 0x113FDB5Cu);
}

static void a_sum_in_parts_is_the_sum_of_the_whole(void **state)
{
    uint8_t bytes[100];

    (void)state;
    for (uint8_t i = 0; i < 100; i++)
        bytes[i] = (uint8_t)(i * 37);
    for (size_t from = 0; from < 16; from++)
        for (size_t len = 0; len + from <= sizeof(bytes); len++) {
            uint32_t whole = both(bytes_of(bytes + from, len));
            uint32_t first = crc32c_more(0, bytes_of(bytes + from, len / 3));

            assert_int_equal(crc32c_more(first, bytes_of(bytes + from + len / 3, len - len / 3)),
                             whole);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_3720_says_so),
        cmocka_unit_test(a_sum_in_parts_is_the_sum_of_the_whole),
    };

    return cmocka_run_group_tests_name("storage/crc32c", tests, NULL, NULL);
}

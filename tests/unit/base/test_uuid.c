/* uuid: RFC 9562's example, order under a clock that stands still or goes back, TypeID vectors. */
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct uuid uuid_of_hex(const char *hex)
{
    CLEANUP(buf_fini) struct buf bytes = {0};
    struct uuid uuid;

    assert_int_equal(hex_decode(&bytes, bytes_of_str(hex)), STATUS_OK);
    assert_int_equal(bytes.len, UUID_BYTES);
    memcpy(uuid.bytes, bytes.data, UUID_BYTES);
    return uuid;
}

static void assert_is_v7(const struct uuid *uuid)
{
    assert_int_equal(uuid->bytes[6] >> 4, 7);
    assert_int_equal(uuid->bytes[8] >> 6, 2);
}

static void the_time_is_where_rfc_9562_puts_it(void **state)
{
    struct uuid example = uuid_of_hex("017f22e279b07cc398c4dc0c0c07398f");

    (void)state;
    assert_int_equal(uuid_time_ms(&example), INT64_C(1645557742000));
    assert_is_v7(&example);
}

static void a_new_id_carries_its_time(void **state)
{
    struct uuid last = {0};
    struct prng prng;

    (void)state;
    prng_seed(&prng, 1);
    assert_true(uuid_is_zero(&last));
    struct uuid uuid = uuid_next(&last, INT64_C(1645557742000), &prng);
    assert_is_v7(&uuid);
    assert_int_equal(uuid_time_ms(&uuid), INT64_C(1645557742000));
    assert_int_equal(uuid_compare(&uuid, &last), 0);
    assert_false(uuid_is_zero(&uuid));
}

static void ids_grow_while_the_clock_stands_still_or_goes_back(void **state)
{
    struct uuid last = {0};
    struct prng prng;

    (void)state;
    prng_seed(&prng, 7);
    struct uuid before = uuid_next(&last, 1000000, &prng);
    for (int i = 0; i < 100000; i++) {
        struct uuid next = uuid_next(&last, i % 3 ? 1000000 : 999000, &prng);
        assert_true(uuid_compare(&before, &next) < 0);
        assert_is_v7(&next);
        assert_int_equal(uuid_time_ms(&next), 1000000);
        before = next;
    }
}

static void a_used_up_millisecond_borrows_the_next(void **state)
{
    struct uuid last = uuid_of_hex("017f22e279b07fffbfffffffffffffff");
    struct uuid before = last;
    struct prng prng;

    (void)state;
    prng_seed(&prng, 7);
    struct uuid next = uuid_next(&last, INT64_C(1645557742000), &prng);
    assert_true(uuid_compare(&before, &next) < 0);
    assert_int_equal(uuid_time_ms(&next), INT64_C(1645557742001));
    assert_is_v7(&next);
}

static void a_carry_goes_from_the_low_to_the_high_part(void **state)
{
    struct uuid last = uuid_of_hex("017f22e279b07000bfffffffffffffff");
    struct prng prng;

    (void)state;
    prng_seed(&prng, 7);
    struct uuid next = uuid_next(&last, 0, &prng);
    assert_is_v7(&next);
    assert_int_equal(get_be64(next.bytes), UINT64_C(0x017f22e279b07001));
}

static void times_outside_48_bits_are_clamped(void **state)
{
    struct uuid last = {0};
    struct prng prng;

    (void)state;
    prng_seed(&prng, 7);
    assert_int_equal(uuid_time_ms(&(struct uuid[]){uuid_next(&last, -5, &prng)}[0]), 0);
    uuid_next(&last, INT64_MAX, &prng);
    assert_int_equal(uuid_time_ms(&last), (INT64_C(1) << 48) - 1);
}

static void the_first_of_a_millisecond_sorts_before_all_of_it(void **state)
{
    struct uuid last = {0};
    struct uuid first = uuid_first_at(123456), next_first = uuid_first_at(123457);
    struct prng prng;

    (void)state;
    prng_seed(&prng, 9);
    uuid_next(&last, 123456, &prng);
    assert_true(uuid_compare(&first, &last) < 0);
    assert_true(uuid_compare(&last, &next_first) < 0);
    assert_is_v7(&first);
}

/* From the TypeID specification's valid.yml. */
static const struct {
    const char *text, *prefix, *hex;
} TYPEIDS[] = {
    {"00000000000000000000000000", "", "00000000000000000000000000000000"},
    {"00000000000000000000000001", "", "00000000000000000000000000000001"},
    {"0000000000000000000000000a", "", "0000000000000000000000000000000a"},
    {"0000000000000000000000000g", "", "00000000000000000000000000000010"},
    {"00000000000000000000000010", "", "00000000000000000000000000000020"},
    {"7zzzzzzzzzzzzzzzzzzzzzzzzz", "", "ffffffffffffffffffffffffffffffff"},
    {"prefix_0123456789abcdefghjkmnpqrs", "prefix", "0110c8531d0952d8d73e1194e95b5f19"},
    {"prefix_01h455vb4pex5vsknk084sn02q", "prefix", "01890a5dac96774bbcceb302099a8057"},
    {"pre_fix_00000000000000000000000000", "pre_fix", "00000000000000000000000000000000"},
};

static void typeids_match_their_specification(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(TYPEIDS); i++) {
        struct uuid uuid = uuid_of_hex(TYPEIDS[i].hex), back;
        char text[TYPEID_TEXT_BYTES];
        typeid_format(TYPEIDS[i].prefix, &uuid, text);
        assert_string_equal(text, TYPEIDS[i].text);
        assert_int_equal(typeid_parse(bytes_of_str(text), TYPEIDS[i].prefix, &back), STATUS_OK);
        assert_int_equal(uuid_compare(&uuid, &back), 0);
    }
}

static void what_is_no_canonical_typeid_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "prefix_",
        "prefix",
        "prefix_01h455vb4pex5vsknk084sn02",
        "prefix_01h455vb4pex5vsknk084sn02qq",
        "prefix-01h455vb4pex5vsknk084sn02q",
        "Prefix_01h455vb4pex5vsknk084sn02q",
        "prefix_01H455VB4PEX5VSKNK084SN02Q",
        "prefix_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        "prefix_01h455vb4pex5vsknk084sn0iq",
        "prefix_01h455vb4pex5vsknk084sn0lq",
        "prefix_01h455vb4pex5vsknk084sn0oq",
        "prefix_01h455vb4pex5vsknk084sn0uq",
        "prefix_01h455vb4pex5vsknk084sn0 q",
        "other_01h455vb4pex5vsknk084sn02q1",
        "01h455vb4pex5vsknk084sn02q",
    };
    struct uuid uuid;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(typeid_parse(bytes_of_str(texts[i]), "prefix", &uuid), STATUS_INVALID);
    assert_int_equal(typeid_parse(bytes_of("wo_01h455vb4pex5vsknk084sn0\0q", 29), "wo", &uuid),
                     STATUS_INVALID);
}

static void a_typeid_goes_into_a_buffer(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    struct uuid uuid = uuid_of_hex("01890a5dac96774bbcceb302099a8057");

    (void)state;
    typeid_put(&out, "evt", &uuid);
    assert_string_equal(buf_str(&out), "evt_01h455vb4pex5vsknk084sn02q");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_is_where_rfc_9562_puts_it),
        cmocka_unit_test(a_new_id_carries_its_time),
        cmocka_unit_test(ids_grow_while_the_clock_stands_still_or_goes_back),
        cmocka_unit_test(a_used_up_millisecond_borrows_the_next),
        cmocka_unit_test(a_carry_goes_from_the_low_to_the_high_part),
        cmocka_unit_test(times_outside_48_bits_are_clamped),
        cmocka_unit_test(the_first_of_a_millisecond_sorts_before_all_of_it),
        cmocka_unit_test(typeids_match_their_specification),
        cmocka_unit_test(what_is_no_canonical_typeid_is_refused),
        cmocka_unit_test(a_typeid_goes_into_a_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

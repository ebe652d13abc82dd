/* Numbers by their digits: comparing, multiples, and what a double can hold. */
#include "schemas/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int compare(const char *a, const char *b)
{
    int order = decimal_compare(bytes_of_str(a), bytes_of_str(b));
    struct decimal_limit limit = decimal_limit_of(bytes_of_str(b));

    assert_int_equal(decimal_compare_limit(bytes_of_str(a), &limit), order);
    assert_int_equal(decimal_compare(bytes_of_str(b), bytes_of_str(a)), -order);
    return order;
}

static void decimals_compare_by_their_digits(void **state)
{
    (void)state;
    assert_int_equal(compare("1", "1.0"), 0);
    assert_int_equal(compare("100", "1e2"), 0);
    assert_int_equal(compare("0.1", "1e-1"), 0);
    assert_int_equal(compare("0.00120", "12E-4"), 0);
    assert_int_equal(compare("-0", "0e5"), 0);
    assert_int_equal(compare("-1", "1"), -1);
    assert_int_equal(compare("-2", "-1"), -1);
    assert_int_equal(compare("0", "-0.1"), 1);
    assert_int_equal(compare("0", "1e-300"), -1);
    assert_int_equal(compare("1e308", "1e307"), 1);
    assert_int_equal(compare("12345678901234567890", "12345678901234567891"), -1);
    assert_int_equal(compare("0.1000000000000000000001", "0.1"), 1);
    assert_int_equal(compare("10.5", "10.05"), 1);
    assert_int_equal(compare("99.9", "100"), -1);
    assert_int_equal(compare("-0.0", "0"), 0);
    assert_int_equal(compare("-104.9903", "-180"), 1);
    assert_int_equal(compare("999999999", "999999999.000000000"), 0);
    assert_int_equal(compare("999999999.99999999", "1000000000"), -1);
    assert_int_equal(compare("0.000000001", "0.0000000001"), 1);
    assert_int_equal(compare("-0.000000001", "-0.00000000100000000000001"), 1);
}

static void integers_are_known_however_written(void **state)
{
    static const char *const INTEGERS[] = {"0", "-0.0", "1.0", "1e3", "12.50e1", "-7", "1e300"};
    static const char *const OTHERS[] = {"0.1", "1.5", "12.55e1", "1e-1", "-0.5e0"};

    (void)state;
    for (size_t i = 0; i < sizeof INTEGERS / sizeof INTEGERS[0]; i++)
        assert_true(decimal_is_integer(bytes_of_str(INTEGERS[i])));
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++)
        assert_false(decimal_is_integer(bytes_of_str(OTHERS[i])));
}

static bool is_multiple(const char *number, const char *divisor)
{
    return decimal_is_multiple(bytes_of_str(number), bytes_of_str(divisor));
}

static void multiples_are_exact(void **state)
{
    (void)state;
    assert_true(is_multiple("0.3", "0.1"));
    assert_true(is_multiple("4.35", "0.05"));
    assert_true(is_multiple("19.99", "0.01"));
    assert_true(is_multiple("0", "7"));
    assert_true(is_multiple("-21", "7"));
    assert_true(is_multiple("0.0075", "0.0001"));
    assert_true(is_multiple("98765432109876543210", "10"));
    assert_true(is_multiple("1e308", "0.5"));
    assert_true(is_multiple("1e308", "1e-300"));
    assert_true(is_multiple("1e100", "1.52587890625e-5")); /* 2^-16 */
    assert_false(is_multiple("0.35", "0.1"));
    assert_false(is_multiple("22", "7"));
    assert_false(is_multiple("0.00751", "0.0001"));
    assert_false(is_multiple("1e308", "0.123456789"));
    assert_false(is_multiple("5", "10"));
    assert_false(is_multiple("1", "0"));
}

static void divisors_may_have_many_digits(void **state)
{
    (void)state;
    /* 10^19 + 1 and 3 × 7 × it */
    assert_true(is_multiple("10000000000000000001", "10000000000000000001"));
    assert_true(is_multiple("210000000000000000021", "10000000000000000001"));
    assert_true(is_multiple("2.10000000000000000021e30", "10000000000000000001"));
    assert_true(is_multiple("1e40", "1.0842021724855044340074528008699417114257812500e-18"));
    assert_false(is_multiple("210000000000000000022", "10000000000000000001"));
    assert_false(is_multiple("1e300", "10000000000000000001"));
    assert_false(is_multiple("1", "10000000000000000001"));
}

/* What a schema says must not decide how long a document keeps a processor. */
static void a_tiny_divisor_takes_no_longer(void **state)
{
    (void)state;
    assert_false(is_multiple("1e300", "3e-2000000000"));
    assert_true(is_multiple("1e300", "2e-2000000000"));
}

static void what_a_double_holds_is_told_from_what_it_does_not(void **state)
{
    static const char *const HELD[] = {"0.1",
                                       "1e300",
                                       "9007199254740992",
                                       "5e-324",
                                       "-0",
                                       "1.50",
                                       "1.7976931348623157e308",
                                       "1.2e-7",
                                       "123e-5",
                                       "0.30000000000000004",
                                       "9007199254740994",
                                       "2.2250738585072014e-308",
                                       "5.684341886080802e-14"};
    static const char *const LOST[] = {"9007199254740993",
                                       "0.1000000000000000055",
                                       "1e-400",
                                       "12345678901234567890123",
                                       "4e-324",
                                       "4.9406564584124654e-324",
                                       "5.6843418860808015e-14",
                                       "0.1000000000000000055511151231257827",
                                       "1e400"};

    (void)state;
    for (size_t i = 0; i < sizeof HELD / sizeof HELD[0]; i++)
        assert_true(decimal_fits_double(bytes_of_str(HELD[i])));
    for (size_t i = 0; i < sizeof LOST / sizeof LOST[0]; i++)
        assert_false(decimal_fits_double(bytes_of_str(LOST[i])));
}

static void sizes_are_read_however_written(void **state)
{
    static const struct {
        const char *text;
        bool is_size;
        uint64_t value;
    } CASES[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"1.5e1", true, 15},
        {"10.0", true, 10},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551614", true, UINT64_MAX - 1},
        {"18446744073709551616", true, UINT64_MAX},
        {"99999999999999999999", true, UINT64_MAX},
        {"1e30", true, UINT64_MAX},
        {"-1", false, 0},
        {"1.5", false, 0},
        {"1e-1", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint64_t value;

        assert_int_equal(decimal_to_u64(bytes_of_str(CASES[i].text), &value), CASES[i].is_size);
        assert_int_equal(value, CASES[i].value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_compare_by_their_digits),
        cmocka_unit_test(integers_are_known_however_written),
        cmocka_unit_test(multiples_are_exact),
        cmocka_unit_test(divisors_may_have_many_digits),
        cmocka_unit_test(a_tiny_divisor_takes_no_longer),
        cmocka_unit_test(what_a_double_holds_is_told_from_what_it_does_not),
        cmocka_unit_test(sizes_are_read_however_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

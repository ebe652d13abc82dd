/* near_name: what counts as a misspelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/near_name.h"

static uint32_t distance(const char *a, const char *b)
{
    return near_name_distance(bytes_of_str(a), bytes_of_str(b));
}

static void case_and_separators_do_not_count(void **state)
{
    (void)state;
    assert_int_equal(distance("scheduled_start", "scheduledStart"), 0);
    assert_int_equal(distance("Scheduled-Start", "scheduledStart"), 0);
    assert_int_equal(distance("sku", "SKU"), 0);
}

static void one_slip_in_short_names_two_in_longer_ones(void **state)
{
    (void)state;
    assert_int_equal(distance("tite", "title"), 1);
    assert_int_equal(distance("prioriy", "priority"), 1);
    assert_int_equal(distance("proirity", "priority"), 1); /* a swap is one slip */
    assert_int_equal(distance("descripton", "description"), 1);
    assert_int_equal(distance("discripton", "description"), 2);
    assert_int_equal(distance("titel", "title"), 1);
    assert_int_equal(distance("tile", "title"), 1);
    assert_int_equal(distance("ab", "ac"), UINT32_MAX);
    assert_int_equal(distance("name", "same1"), UINT32_MAX);
    assert_int_equal(distance("dscriptn", "description"), UINT32_MAX);
}

static void nothing_is_near_the_empty_or_the_very_long(void **state)
{
    char name[NEAR_NAME_BYTES_MAX + 2];
    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(distance("", ""), UINT32_MAX);
    assert_int_equal(distance("_", "-"), UINT32_MAX);
    assert_int_equal(distance(name, name), UINT32_MAX);
    assert_int_equal(distance(name + 1, name + 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_and_separators_do_not_count),
        cmocka_unit_test(one_slip_in_short_names_two_in_longer_ones),
        cmocka_unit_test(nothing_is_near_the_empty_or_the_very_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* random: the kernel's bytes and the repeatable generator. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_kernel_gives_other_bytes_each_time(void **state)
{
    unsigned char a[32] = {0}, b[32] = {0};

    (void)state;
    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    random_bytes(a, 0);
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    struct prng a, b, other;

    (void)state;
    prng_seed(&a, 42);
    prng_seed(&b, 42);
    prng_seed(&other, 43);
    for (int i = 0; i < 100; i++) {
        uint64_t number = prng_next(&a);
        assert_true(number == prng_next(&b));
        assert_true(number != prng_next(&other));
    }
}

static void the_generator_is_xoshiro256_starstar(void **state)
{
    struct prng prng = {{1, 2, 3, 4}};

    (void)state;
    assert_true(prng_next(&prng) == 11520);
    assert_true(prng_next(&prng) == 0);
    assert_true(prng_next(&prng) == 1509978240);
    assert_true(prng_next(&prng) == UINT64_C(1215971899390074240));
}

static void a_seed_of_zero_works(void **state)
{
    struct prng prng;

    (void)state;
    prng_seed(&prng, 0);
    /* splitmix64(0)'s first output, from its author's reference. */
    assert_true(prng.state[0] == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(prng_next(&prng) != prng_next(&prng));
}

static void every_number_below_the_bound_turns_up(void **state)
{
    struct prng prng;
    int seen[7] = {0};

    (void)state;
    prng_seed(&prng, 1);
    for (int i = 0; i < 700; i++)
        seen[prng_below(&prng, 7)]++;
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 50, 150);
    assert_int_equal(prng_below(&prng, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_gives_other_bytes_each_time),
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(the_generator_is_xoshiro256_starstar),
        cmocka_unit_test(a_seed_of_zero_works),
        cmocka_unit_test(every_number_below_the_bound_turns_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

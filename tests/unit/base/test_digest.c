/* digest: FIPS 180-4 and RFC 4231 vectors. */
#include "base/cleanup.h"
#include "base/digest.h"
#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_hex(const uint8_t digest[SHA256_BYTES], const char *expected)
{
    CLEANUP(buf_fini) struct buf text = {0};

    hex_encode(&text, bytes_of(digest, SHA256_BYTES));
    assert_string_equal(buf_str(&text), expected);
}

static void sha256_matches_fips_180(void **state)
{
    uint8_t digest[SHA256_BYTES];

    (void)state;
    sha256((struct bytes){0}, digest);
    assert_hex(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(bytes_of_str("abc"), digest);
    assert_hex(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256(bytes_of_str("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), digest);
    assert_hex(digest, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void parts_are_hashed_with_their_lengths(void **state)
{
    const struct bytes ab_c[] = {bytes_of_str("ab"), bytes_of_str("c")};
    const struct bytes a_bc[] = {bytes_of_str("a"), bytes_of_str("bc")};
    uint8_t first[SHA256_BYTES], second[SHA256_BYTES], whole[SHA256_BYTES];

    (void)state;
    sha256_parts(ab_c, 2, first);
    sha256_parts(a_bc, 2, second);
    assert_memory_not_equal(first, second, SHA256_BYTES);
    sha256(bytes_of("\0\0\0\0\0\0\0\2ab\0\0\0\0\0\0\0\1c", 19), whole);
    assert_memory_equal(first, whole, SHA256_BYTES);
}

/* Each message goes in whole and cut in two. */
static void assert_hmac(struct bytes key, const char *message, const char *expected)
{
    const struct bytes whole[] = {bytes_of_str(message)};
    const struct bytes halves[] = {bytes_of(message, 5), bytes_of_str(message + 5)};
    uint8_t mac[SHA256_BYTES];

    hmac_sha256(key, whole, 1, mac);
    assert_hex(mac, expected);
    hmac_sha256(key, halves, 2, mac);
    assert_hex(mac, expected);
}

static void hmac_matches_rfc_4231(void **state)
{
    uint8_t key[131], data[51] = {0};

    (void)state;
    memset(key, 0x0b, 20);
    assert_hmac(bytes_of(key, 20), "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_hmac(bytes_of_str("Jefe"), "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, 50);
    assert_hmac(bytes_of(key, 20), (const char *)data,
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_hmac(bytes_of(key, 131), "Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_hmac(bytes_of(key, 131),
                "This is a test using a larger than block-size key and a larger than block-size "
                "data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void hmac_of_nothing_with_no_key_is_defined(void **state)
{
    uint8_t mac[SHA256_BYTES];

    (void)state;
    hmac_sha256((struct bytes){0}, NULL, 0, mac);
    assert_hex(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void secrets_are_equal_by_length_and_content(void **state)
{
    (void)state;
    assert_true(secret_equal(bytes_of_str("psn_a"), bytes_of_str("psn_a")));
    assert_false(secret_equal(bytes_of_str("psn_a"), bytes_of_str("psn_b")));
    assert_false(secret_equal(bytes_of_str("psn_a"), bytes_of_str("psn_")));
    assert_true(secret_equal((struct bytes){0}, bytes_of_str("")));
}

static void a_wiped_secret_is_gone(void **state)
{
    char secret[] = "whsec";

    (void)state;
    secret_wipe(secret, sizeof secret);
    assert_memory_equal(secret, "\0\0\0\0\0", sizeof secret);
    secret_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_matches_fips_180),
        cmocka_unit_test(parts_are_hashed_with_their_lengths),
        cmocka_unit_test(hmac_matches_rfc_4231),
        cmocka_unit_test(hmac_of_nothing_with_no_key_is_defined),
        cmocka_unit_test(secrets_are_equal_by_length_and_content),
        cmocka_unit_test(a_wiped_secret_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* vault: what is sealed comes back, under its own key and row only; the key file's rules. */
#include "base/cleanup.h"
#include "base/err.h"
#include "storage/vault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[64];
static char path[128];

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/postern-vault-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/master.key", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(path); /* some tests make none */
    return rmdir(folder);
}

static struct vault *open_vault(void)
{
    struct vault *vault = NULL;
    struct err err = {0};

    assert_int_equal(vault_open(path, true, &vault, &err), STATUS_OK);
    assert_string_equal(err.text, "");
    return vault;
}

static void write_key_file(const char *text, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
}

#define KEY_TEXT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static const struct bytes ROW = {(const uint8_t *)"row 1", 5};

static void a_sealed_secret_comes_back(void **state)
{
    struct vault *vault = open_vault();
    CLEANUP(buf_fini) struct buf sealed = {0};
    CLEANUP(buf_fini) struct buf secret = {0};

    (void)state;
    vault_seal(vault, ROW, bytes_of_str("whsec_abc"), &sealed);
    assert_int_equal(sealed.len, 1 + 4 + 12 + 9 + 16);
    assert_int_equal(vault_unseal(vault, ROW, buf_bytes(&sealed), &secret), STATUS_OK);
    assert_string_equal(buf_str(&secret), "whsec_abc");
    vault_free(vault);
}

static void an_empty_secret_and_an_empty_row_are_fine(void **state)
{
    struct vault *vault = open_vault();
    CLEANUP(buf_fini) struct buf sealed = {0};
    CLEANUP(buf_fini) struct buf secret = {0};

    (void)state;
    vault_seal(vault, (struct bytes){0}, (struct bytes){0}, &sealed);
    assert_int_equal(vault_unseal(vault, (struct bytes){0}, buf_bytes(&sealed), &secret),
                     STATUS_OK);
    assert_int_equal(secret.len, 0);
    vault_free(vault);
}

static void sealing_twice_gives_different_bytes(void **state)
{
    struct vault *vault = open_vault();
    CLEANUP(buf_fini) struct buf one = {0};
    CLEANUP(buf_fini) struct buf two = {0};

    (void)state;
    vault_seal(vault, ROW, bytes_of_str("same"), &one);
    vault_seal(vault, ROW, bytes_of_str("same"), &two);
    assert_false(bytes_equal(buf_bytes(&one), buf_bytes(&two)));
    vault_free(vault);
}

static void a_sealed_secret_does_not_open_in_another_row(void **state)
{
    struct vault *vault = open_vault();
    CLEANUP(buf_fini) struct buf sealed = {0};
    CLEANUP(buf_fini) struct buf secret = {0};

    (void)state;
    vault_seal(vault, ROW, bytes_of_str("secret"), &sealed);
    assert_int_equal(vault_unseal(vault, bytes_of_str("row 2"), buf_bytes(&sealed), &secret),
                     STATUS_CORRUPT);
    assert_int_equal(secret.len, 0);
    vault_free(vault);
}

static void every_flipped_bit_and_every_cut_is_noticed(void **state)
{
    struct vault *vault = open_vault();
    CLEANUP(buf_fini) struct buf sealed = {0};
    CLEANUP(buf_fini) struct buf secret = {0};

    (void)state;
    vault_seal(vault, ROW, bytes_of_str("secret"), &sealed);
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        bool is_key_id = bit / 8 >= 1 && bit / 8 < 5;
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(vault_unseal(vault, ROW, buf_bytes(&sealed), &secret),
                         is_key_id ? STATUS_MISMATCH : STATUS_CORRUPT);
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_int_equal(vault_unseal(vault, ROW, bytes_of(sealed.data, len), &secret),
                         STATUS_CORRUPT);
    assert_int_equal(secret.len, 0);
    vault_free(vault);
}

static void another_master_key_is_a_mismatch(void **state)
{
    struct vault *vault = open_vault();
    struct vault *other;
    CLEANUP(buf_fini) struct buf sealed = {0};
    CLEANUP(buf_fini) struct buf secret = {0};

    (void)state;
    vault_seal(vault, ROW, bytes_of_str("secret"), &sealed);
    assert_int_equal(unlink(path), 0);
    other = open_vault();
    assert_int_equal(vault_unseal(other, ROW, buf_bytes(&sealed), &secret), STATUS_MISMATCH);
    vault_free(other);
    vault_free(vault);
}

static void a_new_key_file_is_private_and_is_read_the_next_time(void **state)
{
    struct vault *vault = open_vault();
    struct vault *again = open_vault();
    CLEANUP(buf_fini) struct buf sealed = {0};
    CLEANUP(buf_fini) struct buf secret = {0};
    struct stat info;

    (void)state;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(info.st_size, 65);
    assert_int_equal(info.st_nlink, 1);
    vault_seal(vault, ROW, bytes_of_str("secret"), &sealed);
    assert_int_equal(vault_unseal(again, ROW, buf_bytes(&sealed), &secret), STATUS_OK);
    vault_free(vault);
    vault_free(again);
}

static void assert_open_fails(enum status expected, const char *part_of_message)
{
    struct vault *vault = NULL;
    struct err err = {0};

    assert_int_equal(vault_open(path, false, &vault, &err), expected);
    assert_null(vault);
    assert_non_null(strstr(err.text, part_of_message));
}

static void a_key_file_that_others_can_read_is_refused(void **state)
{
    (void)state;
    write_key_file(KEY_TEXT, 0640);
    assert_open_fails(STATUS_INVALID, "chmod 600");
    write_key_file(KEY_TEXT, 0604);
    assert_open_fails(STATUS_INVALID, "chmod 600");
}

static void what_is_no_key_file_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "\n",
                                        "0001\n",
                                        KEY_TEXT "\n",
                                        "zz0102030405060708090a0b0c0d0e0f"
                                        "101112131415161718191a1b1c1d1e1f\n",
                                        "000102030405060708090a0b0c0d0e0f"
                                        "101112131415161718191a1b1c1d1e1f0"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_key_file(texts[i], 0600);
        assert_open_fails(STATUS_INVALID, "is not a key file");
    }
}

static void a_missing_key_file_is_made_only_on_request(void **state)
{
    (void)state;
    assert_open_fails(STATUS_NOT_FOUND, "No such file");
    assert_int_equal(access(path, F_OK), -1);
}

#define EACH(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_sealed_secret_comes_back),
        EACH(an_empty_secret_and_an_empty_row_are_fine),
        EACH(sealing_twice_gives_different_bytes),
        EACH(a_sealed_secret_does_not_open_in_another_row),
        EACH(every_flipped_bit_and_every_cut_is_noticed),
        EACH(another_master_key_is_a_mismatch),
        EACH(a_new_key_file_is_private_and_is_read_the_next_time),
        EACH(a_key_file_that_others_can_read_is_refused),
        EACH(what_is_no_key_file_is_refused),
        EACH(a_missing_key_file_is_made_only_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

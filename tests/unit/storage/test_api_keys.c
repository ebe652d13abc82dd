/* api_keys and usage: the text's form, scopes, rows, generation, the windows' rows and their
 * pruning. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/api_keys.h"

/* CRC-32 as in zlib, bit by bit. */
static uint32_t checksum_of(const char *text, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < 8 * len; i++) {
        uint32_t bit = ((uint8_t)text[i / 8] >> i % 8) & 1;

        crc = crc >> 1 ^ ((crc ^ bit) & 1 ? UINT32_C(0xedb88320) : 0);
    }
    return ~crc;
}

/* psn_, 30 characters at random, and their checksum in six: scanners for leaked secrets look for
 * that. */
static void a_generated_key_ends_with_its_checksum(void **state)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char text[API_KEY_TEXT_CHARS + 1], other[API_KEY_TEXT_CHARS + 1];
    uint32_t checksum;

    (void)state;
    api_key_generate(text);
    api_key_generate(other);
    assert_string_not_equal(text, other);
    assert_int_equal(strlen(text), API_KEY_TEXT_CHARS);
    assert_memory_equal(text, "psn_", 4);
    assert_int_equal(strspn(text + 4, digits), API_KEY_TEXT_CHARS - 4);
    checksum = checksum_of(text + 4, 30);
    for (size_t i = API_KEY_TEXT_CHARS; i-- > API_KEY_TEXT_CHARS - 6; checksum /= 62)
        assert_int_equal(text[i], digits[checksum % 62]);
}

static void scopes_are_checked(void **state)
{
    static const char *const good[] = {"*",           "*:read",          "*:write",
                                       "events:read", "workorder:write", "time_off:read"};
    static const char *const bad[] = {"",
                                      ":",
                                      "workorder",
                                      "workorder:",
                                      ":read",
                                      "events:write",
                                      "Workorder:read",
                                      "workorder:delete",
                                      "a b:read",
                                      "*:*",
                                      "workorder:read ",
                                      "work*:read"};

    (void)state;
    for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_int_equal(api_key_scope_check(bytes_of_str(good[i])), STATUS_OK);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(api_key_scope_check(bytes_of_str(bad[i])), STATUS_INVALID);
}

static struct api_key key_with(const char *scope)
{
    struct api_key key = {.scope_count = 1};

    (void)snprintf(key.scopes[0], sizeof(key.scopes[0]), "%s", scope);
    return key;
}

static void a_scope_grants_what_it_says(void **state)
{
    struct api_key wo = key_with("workorder:write"), any = key_with("*:write"),
                   events = key_with("events:read"), read = key_with("*:read"), all = key_with("*"),
                   none = {0};

    (void)state;
    assert_true(api_key_grants(&wo, "workorder", "write"));
    assert_false(api_key_grants(&wo, "workorder", "read"));
    assert_false(api_key_grants(&wo, "work", "write"));
    assert_false(api_key_grants(&wo, "workorders", "write"));
    assert_true(api_key_grants(&any, "vendor", "write"));
    assert_false(api_key_grants(&any, "vendor", "read"));
    assert_true(api_key_grants(&events, "events", "read"));
    assert_false(api_key_grants(&read, "events", "read"));
    assert_true(api_key_grants(&read, "vendor", "read"));
    assert_true(api_key_grants(&all, "events", "read"));
    assert_true(api_key_grants(&all, "vendor", "write"));
    assert_false(api_key_grants(&none, "vendor", "write"));
}

static struct api_key full_key(void)
{
    struct api_key key = {.old_expires_ms = 11,
                          .created_ms = 12,
                          .expires_ms = 13,
                          .is_enabled = true,
                          .limit_minute = 14,
                          .limit_hour = 15,
                          .scope_count = 2,
                          .cidr_count = 1};

    memset(key.label, 'L', API_KEY_LABEL_MAX);
    memset(key.hash, 1, sizeof(key.hash));
    memset(key.old_hash, 2, sizeof(key.old_hash));
    (void)snprintf(key.scopes[0], sizeof(key.scopes[0]), "*:read");
    memset(key.scopes[1], 's', API_KEY_SCOPE_MAX);
    assert_int_equal(cidr_parse(bytes_of_str("10.0.0.0/8"), &key.cidrs[0]), STATUS_OK);
    return key;
}

static void a_key_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct api_key put = full_key(), got;
    uint64_t generation = txn_generation(txn);

    api_key_put(txn, &put);
    assert_int_equal(put.number, 1);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(txn_generation(txn), generation + 1);
    assert_int_equal(api_key_find(txn, &put.id, &got), STATUS_OK);
    assert_memory_equal(&got, &put, sizeof(got));
    assert_int_equal(api_key_at(txn, 1, &got), STATUS_OK);
    assert_memory_equal(&got, &put, sizeof(got));
    assert_int_equal(api_key_at(txn, 2, &got), STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void a_deleted_keys_number_is_not_used_again(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct api_key a = full_key(), b = full_key(), c = full_key(), got;
    uint32_t number = 0;

    api_key_put(txn, &a);
    api_key_put(txn, &b);
    assert_int_equal(api_key_delete(txn, &b.id), STATUS_OK);
    assert_int_equal(api_key_delete(txn, &b.id), STATUS_NOT_FOUND);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_write(f);
    api_key_put(txn, &c);
    assert_int_equal(c.number, 3);
    assert_int_equal(api_key_find(txn, &b.id, &got), STATUS_NOT_FOUND);
    assert_int_equal(api_key_next(txn, &number, &got), STATUS_OK);
    assert_int_equal(got.number, 1);
    assert_int_equal(api_key_next(txn, &number, &got), STATUS_OK);
    assert_int_equal(got.number, 3);
    assert_int_equal(api_key_next(txn, &number, &got), STATUS_END);
    fixture_commit(txn);
}

static void touching_a_key_makes_nobody_reload(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct api_key key = full_key(), got;
    uint64_t generation;

    api_key_put(txn, &key);
    fixture_commit(txn);
    txn = fixture_write(f);
    generation = txn_generation(txn);
    api_key_touch(txn, key.number, 500);
    api_key_touch(txn, key.number, 400); /* late news */
    api_key_touch(txn, 99, 500);         /* deleted meanwhile */
    fixture_commit(txn);
    txn = fixture_read(f);
    assert_int_equal(txn_generation(txn), generation);
    assert_int_equal(api_key_at(txn, key.number, &got), STATUS_OK);
    assert_int_equal(got.last_used_ms, 500);
    txn_abort(txn);
}

/* ---- usage ---- */

struct seen {
    unsigned rows;
    uint32_t count;
    int64_t last_ms;
};

static void see(void *context, int64_t at_ms, uint32_t count)
{
    struct seen *seen = context;

    assert_true(at_ms > seen->last_ms);
    seen->last_ms = at_ms;
    seen->rows++;
    seen->count += count;
}

static struct seen usage_since(struct fixture *f, uint32_t number, int64_t since_ms)
{
    struct txn *txn = fixture_read(f);
    struct seen seen = {.last_ms = since_ms};

    assert_int_equal(usage_each(txn, number, since_ms, see, &seen), STATUS_OK);
    txn_abort(txn);
    return seen;
}

static void requests_of_one_millisecond_share_a_row(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct seen seen;

    usage_add(txn, 1, 1000, 1);
    usage_add(txn, 1, 1000, 2);
    fixture_commit(txn);
    txn = fixture_write(f);
    usage_add(txn, 1, 1000, UINT32_MAX); /* does not wrap */
    usage_add(txn, 1, 1001, 1);
    usage_add(txn, 2, 1000, 5);
    fixture_commit(txn);
    fixture_reopen(f);
    seen = usage_since(f, 1, 1000);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(seen.count, 1);
    seen = usage_since(f, 2, 0);
    assert_int_equal(seen.rows, 1);
    assert_int_equal(seen.count, 5);
    assert_int_equal(usage_since(f, 3, 0).rows, 0);
}

static void pruning_drops_what_is_old_of_every_key(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    unsigned rounds = 0;

    for (uint32_t number = 1; number <= 20; number++)
        for (int64_t at = 1; at <= 50; at++)
            usage_add(txn, number == 20 ? UINT32_MAX : number, at, 1);
    fixture_commit(txn);
    for (bool has_more = true; has_more; rounds++) {
        txn = fixture_write(f);
        has_more = usage_prune(txn, 31, 100);
        fixture_commit(txn);
        assert_true(rounds < 100);
    }
    assert_true(rounds >= 6);
    for (uint32_t number = 1; number < 20; number++)
        assert_int_equal(usage_since(f, number, 0).rows, 20);
    assert_int_equal(usage_since(f, UINT32_MAX, 0).rows, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generated_key_ends_with_its_checksum),
        cmocka_unit_test(scopes_are_checked),
        cmocka_unit_test(a_scope_grants_what_it_says),
        STORE_TEST(a_key_comes_back_as_it_was_put),
        STORE_TEST(a_deleted_keys_number_is_not_used_again),
        STORE_TEST(touching_a_key_makes_nobody_reload),
        STORE_TEST(requests_of_one_millisecond_share_a_row),
        STORE_TEST(pruning_drops_what_is_old_of_every_key),
    };

    return cmocka_run_group_tests_name("storage/api_keys", tests, NULL, NULL);
}

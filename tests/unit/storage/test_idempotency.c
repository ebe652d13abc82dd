/* idempotency: found for 24 hours, over buckets and restarts; pruned by the bucket. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/idempotency.h"

#define DAY_START_MS (INT64_C(1763596800000))

static void name_of(unsigned n, uint8_t hash[SHA256_BYTES])
{
    char text[16];

    (void)snprintf(text, sizeof(text), "name %u", n);
    sha256(bytes_of_str(text), hash);
}

static void put(struct fixture *f, unsigned name, uint32_t key, int64_t at_ms, const char *body)
{
    struct txn *txn = fixture_write(f);
    uint8_t hash[SHA256_BYTES];
    struct idempotent_answer answer = {.http_status = 200,
                                       .at_ms = at_ms,
                                       .content_type = bytes_of_str("application/json"),
                                       .etag = bytes_of_str("\"1\""),
                                       .body = bytes_of_str(body)};

    name_of(name, hash);
    memset(answer.fingerprint, (int)name, sizeof(answer.fingerprint));
    idempotency_put(txn, key, hash, &answer);
    fixture_commit(txn);
}

/* At that time; the body is checked where one is found. */
static enum status find(struct fixture *f, unsigned name, uint32_t key, int64_t now_ms,
                        const char *body)
{
    struct idempotent_answer answer;
    uint8_t hash[SHA256_BYTES];
    struct txn *txn;
    enum status s;

    f->now_ms = now_ms;
    txn = fixture_write(f);
    name_of(name, hash);
    s = idempotency_find(txn, key, hash, &answer);
    if (s == STATUS_OK) {
        assert_int_equal(answer.http_status, 200);
        assert_bytes_equal(answer.content_type, "application/json");
        assert_bytes_equal(answer.etag, "\"1\"");
        assert_bytes_equal(answer.body, body);
        assert_int_equal(answer.fingerprint[31], (uint8_t)name);
    }
    txn_abort(txn);
    return s;
}

static void an_answer_is_kept_for_a_day_exactly(void **state)
{
    struct fixture *f = *state;
    int64_t at_ms = DAY_START_MS + 5 * HOUR_MS + 17;

    put(f, 1, 7, at_ms, "first");
    fixture_reopen(f);
    assert_int_equal(find(f, 1, 7, at_ms, "first"), STATUS_OK);
    assert_int_equal(find(f, 1, 7, at_ms + DAY_MS - 1, "first"), STATUS_OK);
    assert_int_equal(find(f, 1, 7, at_ms + DAY_MS, "first"), STATUS_NOT_FOUND);
    assert_int_equal(find(f, 1, 8, at_ms, "first"), STATUS_NOT_FOUND);
    assert_int_equal(find(f, 2, 7, at_ms, "first"), STATUS_NOT_FOUND);
    assert_int_equal(find(f, 1, 7, at_ms - 30 * HOUR_MS, "first"), STATUS_OK); /* clock set back */
}

static void a_name_is_found_among_many_in_many_buckets(void **state)
{
    struct fixture *f = *state;

    for (unsigned n = 0; n < 200; n++)
        put(f, n, n % 3, DAY_START_MS + n * 7 * MINUTE_MS, "x");
    for (unsigned n = 0; n < 200; n++) {
        assert_int_equal(find(f, n, n % 3, DAY_START_MS + DAY_MS - 1, "x"), STATUS_OK);
        assert_int_equal(find(f, n + 1000, n % 3, DAY_START_MS + DAY_MS - 1, "x"),
                         STATUS_NOT_FOUND);
    }
}

static void a_name_used_again_after_its_day_gets_the_new_answer(void **state)
{
    struct fixture *f = *state;

    put(f, 1, 7, DAY_START_MS + 1, "old"); /* expires within a bucket that is still alive */
    assert_int_equal(find(f, 1, 7, DAY_START_MS + DAY_MS + 2, "old"), STATUS_NOT_FOUND);
    put(f, 1, 7, DAY_START_MS + DAY_MS + 2, "new");
    assert_int_equal(find(f, 1, 7, DAY_START_MS + DAY_MS + 3, "new"), STATUS_OK);
}

static void a_reader_finds_it_too(void **state)
{
    struct fixture *f = *state;
    struct idempotent_answer answer;
    uint8_t hash[SHA256_BYTES];
    struct txn *txn;

    put(f, 1, 7, clock_wall_ms(&SYSTEM_CLOCK), "x");
    txn = fixture_read(f);
    name_of(1, hash);
    assert_int_equal(idempotency_find(txn, 7, hash, &answer), STATUS_OK);
    assert_bytes_equal(answer.body, "x");
    txn_abort(txn);
}

static void pruning_drops_dead_buckets_only(void **state)
{
    struct fixture *f = *state;
    struct txn *txn;
    bool has_more = true;

    for (unsigned n = 0; n < 100; n++)
        put(f, n, 1, DAY_START_MS + n * HOUR_MS, "x");
    f->now_ms = DAY_START_MS + 99 * HOUR_MS;
    for (int rounds = 0; has_more; rounds++) {
        assert_true(rounds < 20);
        txn = fixture_write(f);
        has_more = idempotency_prune(txn, 10);
        fixture_commit(txn);
    }
    txn = fixture_read(f);
    assert_in_range(table_rows(txn, TABLE_IDEMPOTENCY), 24, 26);
    txn_abort(txn);
    assert_int_equal(find(f, 76, 1, DAY_START_MS + 99 * HOUR_MS, "x"), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(an_answer_is_kept_for_a_day_exactly),
        STORE_TEST(a_name_is_found_among_many_in_many_buckets),
        STORE_TEST(a_name_used_again_after_its_day_gets_the_new_answer),
        STORE_TEST(a_reader_finds_it_too),
        STORE_TEST(pruning_drops_dead_buckets_only),
    };

    return cmocka_run_group_tests_name("storage/idempotency", tests, NULL, NULL);
}

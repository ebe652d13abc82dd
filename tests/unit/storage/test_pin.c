/* pin: room behind the server's last commits is held back, and given up when it is needed. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/txn.h"

#include <string.h>

#define COMMITS 60

static void commit_one(struct fixture *f, uint32_t number)
{
    struct txn *txn = fixture_write(f);
    uint8_t key[4];

    put_be32(key, number);
    table_put(txn, TABLE_REPORTS, bytes_of(key, sizeof(key)), bytes_of_str("\001row"));
    fixture_commit(txn);
}

static struct store_stat stat_of(struct fixture *f)
{
    struct txn *txn = fixture_read(f);
    struct store_stat stat;

    assert_int_equal(store_stat(txn, &stat), STATUS_OK);
    txn_abort(txn);
    stat.readers--; /* ours */
    return stat;
}

/* A page at least for each commit; used again at once it would be a handful. */
static void what_commits_leave_behind_is_not_used_again_at_once(void **state)
{
    struct fixture *f = *state;
    uint64_t free_before = stat_of(f).free_bytes;

    for (uint32_t i = 0; i < COMMITS; i++)
        commit_one(f, 1);
    assert_true(stat_of(f).free_bytes >= free_before + (uint64_t)COMMITS / 2 * 4096);
    assert_int_equal(stat_of(f).readers, 1);
}

static void after_a_rest_it_is_used_before_the_file_grows(void **state)
{
    struct fixture *f = *state;
    struct store_stat before;

    for (uint32_t i = 0; i < COMMITS; i++)
        commit_one(f, 1);
    store_rest(f->store);
    store_rest(f->store); /* nothing is left to let go of */
    before = stat_of(f);
    assert_int_equal(before.readers, 0);
    for (uint32_t i = 0; i < COMMITS; i++) {
        commit_one(f, 1);
        store_rest(f->store);
    }
    assert_int_equal(stat_of(f).used_bytes, before.used_bytes);
    assert_true(stat_of(f).free_bytes <= before.free_bytes);
}

static void a_tool_holds_nothing_back(void **state)
{
    struct fixture *f = *state, tool = *f;
    struct err err = {0};

    store_rest(f->store);
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(fixture_try_open(f, STORE_TOOL, &tool.store, &err), STATUS_OK);
    commit_one(&tool, 1);
    assert_int_equal(stat_of(&tool).readers, 0);
    store_close(tool.store);
    fixture_open(f);
}

static void a_failed_commit_gives_the_room_up(void **state)
{
    struct fixture *f = *state;
    struct txn *txn;
    enum status s = STATUS_OK;

    commit_one(f, 1);
    assert_int_equal(stat_of(f).readers, 1);
    txn = fixture_write(f);
    for (uint32_t i = 0; s == STATUS_OK && i < 1000; i++) {
        static uint8_t row[100000] = {1};
        uint8_t key[4];

        put_be32(key, i);
        table_put(txn, TABLE_REPORTS, bytes_of(key, sizeof(key)), bytes_of(row, sizeof(row)));
        s = txn_status(txn);
    }
    assert_int_equal(s, STATUS_MAP_FULL);
    assert_int_equal(txn_commit(txn), STATUS_MAP_FULL);
    assert_int_equal(store_grow(f->store), STATUS_OK);
    assert_int_equal(stat_of(f).readers, 0);
    commit_one(f, 2);
    assert_int_equal(stat_of(f).readers, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_commits_leave_behind_is_not_used_again_at_once,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(after_a_rest_it_is_used_before_the_file_grows,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_tool_holds_nothing_back, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failed_commit_gives_the_room_up, fixture_setup_small_map,
                                        fixture_teardown),
    };

    return cmocka_run_group_tests_name("storage/pin", tests, NULL, NULL);
}

/* retention: which records go, when, in which portions; and that the store stays whole. */
#include "storage/retention.h"
#include "tests/unit/storage/checked_store.h"

#define WO 1
#define PLENTY 1000

static void at_day(struct temporary_store *t, int64_t day)
{
    t->now_ms = T0 + day * DAY_MS;
}

static struct uuid put_record(struct temporary_store *t, const char *key)
{
    struct uuid record;
    struct txn *txn = begin_write(t);
    struct type_row type;

    assert_int_equal(type_register(txn, "workorder", "wo", &type), STATUS_OK);
    (void)add_record(txn, &record, key, "{\"a\":1}");
    commit(txn);
    return record;
}

static void put_revision(struct temporary_store *t, const struct uuid *record, uint32_t number,
                         const char *key)
{
    struct txn *txn = begin_write(t);

    (void)add_revision(txn, record, number, key, "{\"a\":2}");
    commit(txn);
}

static bool step(struct temporary_store *t, struct retention *walk, uint32_t work)
{
    struct txn *txn = begin_write(t);
    bool has_more = retention_step(txn, walk, work);

    commit(txn);
    return has_more;
}

static unsigned steps_until_done(struct temporary_store *t, struct retention *walk, uint32_t work)
{
    unsigned steps = 1;

    while (step(t, walk, work))
        assert_true(++steps < 1000);
    return steps;
}

static unsigned erased_revisions(struct temporary_store *t, const struct uuid *record)
{
    struct txn *txn = begin_read(t);
    struct revision revision;
    unsigned erased = 0;

    for (uint32_t n = 1; record_revision(txn, record, n, &revision) == STATUS_OK; n++)
        erased += revision.is_erased;
    txn_abort(txn);
    return erased;
}

static void assert_whole(struct temporary_store *t)
{
    struct findings findings = {0};

    (void)run(t, &findings);
    if (findings.count > 0)
        fail_msg("%s", findings.texts[0]);
}

static void a_record_goes_when_its_current_revision_is_too_old(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = WO, .keep_ms = 30 * DAY_MS};
    struct uuid old = put_record(t, "WO-1"), young, found;
    struct txn *txn;

    at_day(t, 10);
    young = put_record(t, "WO-2");
    at_day(t, 30); /* not older than, yet */
    assert_int_equal(steps_until_done(t, &walk, PLENTY), 1);
    assert_int_equal(erased_revisions(t, &old), 0);
    t->now_ms++;
    assert_int_equal(steps_until_done(t, &walk, PLENTY), 1);
    assert_int_equal(erased_revisions(t, &old), 1);
    assert_int_equal(erased_revisions(t, &young), 0);
    txn = begin_read(t);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_NOT_FOUND);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-2"), &found), STATUS_OK);
    txn_abort(txn);
    assert_whole(t);
}

static void a_changed_record_is_kept_until_its_change_is_too_old(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = WO, .keep_ms = 30 * DAY_MS};
    struct uuid changed = put_record(t, "WO-1"), never = put_record(t, "WO-2");

    at_day(t, 20);
    put_revision(t, &changed, 2, "WO-1");
    at_day(t, 31);
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &changed), 0);
    assert_int_equal(erased_revisions(t, &never), 1);
    at_day(t, 51);
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &changed), 2);
    assert_whole(t);
}

static void the_walk_goes_back_at_most_once_an_hour(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = WO, .keep_ms = 30 * DAY_MS};
    struct uuid a = put_record(t, "WO-1"), b = put_record(t, "WO-2");

    at_day(t, 20);
    put_revision(t, &a, 2, "WO-1");
    t->now_ms += 2 * MINUTE_MS;
    put_revision(t, &b, 2, "WO-2");
    at_day(t, 31);
    steps_until_done(t, &walk, PLENTY); /* passes both */
    at_day(t, 50);
    t->now_ms += 1;
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &a), 2);
    t->now_ms += 3 * MINUTE_MS;
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &b), 0);
    t->now_ms += HOUR_MS;
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &b), 2);
}

static void what_was_passed_is_not_looked_at_again(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = WO, .keep_ms = DAY_MS};
    struct uuid place;

    for (unsigned i = 0; i < 100; i++)
        (void)put_record(t, "");
    at_day(t, 2);
    assert_true(steps_until_done(t, &walk, RETENTION_ERASE_WEIGHT + 1) >= 100);
    place = walk.after;
    (void)put_record(t, "");
    at_day(t, 4);
    assert_int_equal(steps_until_done(t, &walk, RETENTION_ERASE_WEIGHT + 3), 1);
    assert_true(uuid_compare(&place, &walk.after) < 0);
}

static void a_long_history_goes_in_portions_and_the_record_at_once(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = WO, .keep_ms = DAY_MS}, restarted = walk;
    struct uuid record = put_record(t, "WO-1"), found;
    struct txn *txn;

    for (uint32_t number = 2; number <= 20; number++)
        put_revision(t, &record, number, "WO-1");
    at_day(t, 2);
    assert_true(step(t, &walk, 3 * RETENTION_ERASE_WEIGHT + 1));
    assert_int_equal(erased_revisions(t, &record), 3);
    txn = begin_read(t);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_NOT_FOUND);
    txn_abort(txn);
    assert_whole(t);
    assert_true(step(t, &walk, 3 * RETENTION_ERASE_WEIGHT + 1));
    assert_int_equal(erased_revisions(t, &record), 6);
    steps_until_done(t, &restarted, PLENTY); /* as after a crash */
    assert_int_equal(erased_revisions(t, &record), 20);
    assert_whole(t);
}

static void a_step_that_is_not_committed_is_done_again(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = WO, .keep_ms = DAY_MS}, copy = walk;
    struct uuid record = put_record(t, "WO-1");
    struct txn *txn;

    at_day(t, 2);
    txn = begin_write(t);
    assert_false(retention_step(txn, &copy, PLENTY));
    txn_abort(txn);
    assert_int_equal(erased_revisions(t, &record), 0);
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &record), 1);
}

static void pending_deliveries_fail_and_deleted_records_go_too(void **state)
{
    struct temporary_store *t = *state;
    struct world w = make_world(t);
    struct retention walk = {.type = WO, .keep_ms = DAY_MS};
    struct delivery delivery;
    struct attempt attempt;
    struct txn *txn;

    at_day(t, 2);
    steps_until_done(t, &walk, PLENTY);
    assert_int_equal(erased_revisions(t, &w.live), 3);
    assert_int_equal(erased_revisions(t, &w.deleted), 2);
    assert_int_equal(erased_revisions(t, &w.keyless), 1);
    txn = begin_read(t);
    assert_int_equal(delivery_find(txn, &w.second, &delivery), STATUS_OK);
    assert_int_equal(delivery.state, DELIVERY_FAILED);
    assert_string_equal(delivery.reason, "record erased");
    assert_int_equal(attempt_at(txn, &w.taken, 2, &attempt), STATUS_OK);
    assert_int_equal(attempt.response_body.len, 0);
    txn_abort(txn);
    assert_whole(t);
}

static void other_types_are_left_alone(void **state)
{
    struct temporary_store *t = *state;
    struct retention walk = {.type = 2, .keep_ms = DAY_MS};
    struct uuid record = put_record(t, "WO-1");

    at_day(t, 2);
    assert_int_equal(steps_until_done(t, &walk, PLENTY), 1);
    assert_int_equal(erased_revisions(t, &record), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(a_record_goes_when_its_current_revision_is_too_old),
        ON_STORE(a_changed_record_is_kept_until_its_change_is_too_old),
        ON_STORE(the_walk_goes_back_at_most_once_an_hour),
        ON_STORE(what_was_passed_is_not_looked_at_again),
        ON_STORE(a_long_history_goes_in_portions_and_the_record_at_once),
        ON_STORE(a_step_that_is_not_committed_is_done_again),
        ON_STORE(pending_deliveries_fail_and_deleted_records_go_too),
        ON_STORE(other_types_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* journal: rows come back, newest first, cut to their bounds; the oldest go. */
#include "storage/journal.h"
#include "temporary_store.h"

static struct rejection refused(uint16_t http_status)
{
    return (struct rejection){.at_ms = T0,
                              .api_key = 7,
                              .http_status = http_status,
                              .method = bytes_of_str("POST"),
                              .route = bytes_of_str("/api/webhook/workorder"),
                              .reason = bytes_of_str("/problems/too-large")};
}

static void a_rejection_comes_back_as_it_was_added(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct rejection sent = refused(413), got;
    struct uuid before = {{0}};

    sent.address.bytes[15] = 9;
    rejection_add(txn, &sent);
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(rejection_page_next(txn, 0, &before, &got), STATUS_OK);
    assert_memory_equal(&got.id, &sent.id, sizeof got.id);
    assert_int_equal(got.at_ms, T0);
    assert_int_equal(got.api_key, 7);
    assert_int_equal(got.http_status, 413);
    assert_memory_equal(&got.address, &sent.address, sizeof got.address);
    assert_true(bytes_equal(got.method, sent.method));
    assert_true(bytes_equal(got.route, sent.route));
    assert_true(bytes_equal(got.reason, sent.reason));
    assert_int_equal(rejection_page_next(txn, 0, &before, &got), STATUS_END);
    assert_int_equal(counter_get(txn, COUNTER_REJECTIONS), 1);
    txn_abort(txn);
}

static void rejections_come_newest_first_since_a_time(void **state)
{
    struct temporary_store *t = *state;
    struct uuid before = {{0}};
    struct rejection r;
    struct txn *txn;

    for (uint16_t i = 0; i < 3; i++) {
        t->now_ms = T0 + i * MINUTE_MS;
        txn = begin_write(t);
        r = refused((uint16_t)(400 + i));
        rejection_add(txn, &r);
        commit(txn);
    }
    txn = begin_write(t); /* the views hold in a writer as well */
    assert_int_equal(rejection_page_next(txn, T0 + MINUTE_MS, &before, &r), STATUS_OK);
    assert_int_equal(r.http_status, 402);
    assert_int_equal(rejection_page_next(txn, T0 + MINUTE_MS, &before, &r), STATUS_OK);
    assert_int_equal(r.http_status, 401);
    assert_true(bytes_equal_str(r.method, "POST"));
    assert_int_equal(rejection_page_next(txn, T0 + MINUTE_MS, &before, &r), STATUS_END);
    commit(txn);
}

static void strangers_texts_are_cut_between_characters(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    char route[300], bad[300];
    struct rejection r = refused(404);
    struct uuid before = {{0}};

    for (size_t i = 0; i < sizeof route; i += 3)
        memcpy(route + i, "\xe2\x82\xac", 3); /* 255 is a whole number of them, 256 is not */
    memset(bad, 0x80, sizeof bad);            /* no UTF-8 at all */
    r.route = bytes_of(route, sizeof route);
    r.method = bytes_of_str("PROPFINDANDMANYMORE");
    r.reason = bytes_of(bad, sizeof bad);
    rejection_add(txn, &r);
    assert_int_equal(rejection_page_next(txn, 0, &before, &r), STATUS_OK);
    assert_int_equal(r.route.len, 255);
    assert_int_equal(r.method.len, 16);
    assert_int_equal(r.reason.len, sizeof bad);
    commit(txn);
}

static void the_oldest_rejection_makes_room_for_the_newest(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid before = {{0}};
    struct rejection r;

    for (uint16_t i = 1; i <= 8; i++) {
        r = refused(i);
        rejection_add_within(txn, &r, 5);
    }
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 5);
    for (uint16_t i = 8; i >= 4; i--) {
        assert_int_equal(rejection_page_next(txn, 0, &before, &r), STATUS_OK);
        assert_int_equal(r.http_status, i);
    }
    r = refused(9);
    rejection_add_within(txn, &r, 3); /* a bound that was lowered is come to in steps of two */
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 4);
    rejection_add_within(txn, &r, 3);
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 3);
    rejection_add_within(txn, &r, 3);
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 3);
    commit(txn);
}

static void rejections_are_kept_for_seven_days(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct rejection r;

    for (unsigned i = 0; i < 5; i++) {
        r = refused(400);
        rejection_add(txn, &r);
    }
    commit(txn);
    t->now_ms = T0 + REJECTIONS_KEEP_MS;
    txn = begin_write(t);
    assert_false(rejections_prune(txn, 10));
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 5);
    r = refused(401);
    rejection_add(txn, &r);
    commit(txn);
    t->now_ms++;
    txn = begin_write(t);
    assert_true(rejections_prune(txn, 3));
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 3);
    assert_false(rejections_prune(txn, 3));
    assert_int_equal(table_rows(txn, TABLE_REJECTIONS), 1);
    assert_false(rejections_prune(txn, 3));
    commit(txn);
}

static void an_audit_entry_comes_back_as_it_was_added(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid before = {{0}};
    struct audit_entry got, sent = {.at_ms = T0,
                                    .who = bytes_of_str("root (uid 0)"),
                                    .origin = bytes_of_str("postern on host, pid 4711"),
                                    .act = bytes_of_str("keys create"),
                                    .object = bytes_of_str("key_01"),
                                    .detail = bytes_of_str("label=ERP")};

    audit_add(txn, &sent);
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(audit_page_next(txn, 0, &before, &got), STATUS_OK);
    assert_memory_equal(&got.id, &sent.id, sizeof got.id);
    assert_int_equal(got.at_ms, T0);
    assert_true(bytes_equal(got.who, sent.who));
    assert_true(bytes_equal(got.origin, sent.origin));
    assert_true(bytes_equal(got.act, sent.act));
    assert_true(bytes_equal(got.object, sent.object));
    assert_true(bytes_equal(got.detail, sent.detail));
    assert_int_equal(audit_page_next(txn, 0, &before, &got), STATUS_END);
    txn_abort(txn);
}

static void the_audit_is_bounded_too(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct audit_entry entry = {.at_ms = T0, .act = bytes_of_str("keys create")};

    for (unsigned i = 0; i < 8; i++)
        audit_add_within(txn, &entry, 5);
    assert_int_equal(table_rows(txn, TABLE_AUDIT), 5);
    commit(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(a_rejection_comes_back_as_it_was_added),
        ON_STORE(rejections_come_newest_first_since_a_time),
        ON_STORE(strangers_texts_are_cut_between_characters),
        ON_STORE(the_oldest_rejection_makes_room_for_the_newest),
        ON_STORE(rejections_are_kept_for_seven_days),
        ON_STORE(an_audit_entry_comes_back_as_it_was_added),
        ON_STORE(the_audit_is_bounded_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

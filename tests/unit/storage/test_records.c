/* records: put, find, revisions, keys, pages, erasure; each after reopening. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/records.h"

#define WO 1
#define VENDOR 2

static struct uuid put_first(struct txn *txn, uint16_t type, const char *key, const char *body)
{
    struct revision revision = {
        .record = txn_uuid(txn),
        .number = 1,
        .type = type,
        .action = ACTION_CREATED,
        .received_ms = txn_now_ms(txn),
        .api_key = 7,
        .first_event = 1042,
        .event_count = 3,
        .key = bytes_of_str(key),
        .body = bytes_of_str(body),
    };

    record_put(txn, &revision, bytes_of(NULL, 0));
    return revision.record;
}

static void put_next(struct txn *txn, const struct uuid *record, enum record_action action,
                     const char *key, const char *body)
{
    struct revision revision;
    struct bytes previous_key;

    assert_int_equal(record_current(txn, record, &revision), STATUS_OK);
    previous_key = bytes_equal_str(revision.key, key) && action != ACTION_DELETED
                       ? bytes_of(NULL, 0)
                       : revision.key;
    revision.number++;
    revision.action = action;
    revision.key = bytes_of_str(key);
    if (body != NULL)
        revision.body = bytes_of_str(body);
    record_put(txn, &revision, previous_key);
}

static void a_record_comes_back_as_it_was_put(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "WO-1", "{ \"a\" : 1 }"), found;
    struct revision revision;

    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_OK);
    assert_int_equal(uuid_compare(&found, &id), 0);
    assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
    assert_int_equal(uuid_compare(&revision.record, &id), 0);
    assert_int_equal(revision.number, 1);
    assert_int_equal(revision.type, WO);
    assert_int_equal(revision.action, ACTION_CREATED);
    assert_false(revision.is_erased);
    assert_int_equal(revision.received_ms, FIXTURE_NOW_MS);
    assert_int_equal(revision.api_key, 7);
    assert_int_equal(revision.first_event, 1042);
    assert_int_equal(revision.event_count, 3);
    assert_bytes_equal(revision.key, "WO-1");
    assert_bytes_equal(revision.body, "{ \"a\" : 1 }");
    assert_int_equal(record_count(txn, WO), 1);
    assert_int_equal(counter_get(txn, COUNTER_ACCEPTED), 1);
    txn_abort(txn);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "WO-1", "{}"), other = txn_uuid(txn), found;
    struct uuid before = uuid_first_at(1);
    struct revision revision;

    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-2"), &found), STATUS_NOT_FOUND);
    assert_int_equal(record_find_by_key(txn, VENDOR, bytes_of_str("WO-1"), &found),
                     STATUS_NOT_FOUND);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of(NULL, 0), &found), STATUS_NOT_FOUND);
    assert_int_equal(record_current(txn, &other, &revision), STATUS_NOT_FOUND);
    assert_int_equal(record_current(txn, &before, &revision), STATUS_NOT_FOUND);
    assert_int_equal(record_revision(txn, &id, 2, &revision), STATUS_NOT_FOUND);
    fixture_commit(txn);
}

static void each_revision_stays(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "WO-1", "{\"n\":1}");
    struct revision revision;

    (void)put_first(txn, WO, "WO-2", "{}"); /* a neighbour behind it */
    put_next(txn, &id, ACTION_UPDATED, "WO-1", "{\"n\":2}");
    put_next(txn, &id, ACTION_UPDATED, "WO-1", "{\"n\":3}");
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
    assert_int_equal(revision.number, 3);
    assert_bytes_equal(revision.body, "{\"n\":3}");
    assert_int_equal(record_revision(txn, &id, 1, &revision), STATUS_OK);
    assert_bytes_equal(revision.body, "{\"n\":1}");
    assert_int_equal(record_count(txn, WO), 2);
    txn_abort(txn);
}

/* The view put again lies in the page that the insertion moves. */
static void a_body_read_in_the_same_transaction_may_be_put_again(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid ids[50];
    char body[128];

    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(body, sizeof(body), "{\"record\":%u,\"text\":\"%0*u\"}", i, (int)i + 1, i);
        ids[i] = put_first(txn, WO, "", body);
    }
    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < 50; i++)
            put_next(txn, &ids[i], ACTION_UPDATED, "", NULL);
    for (unsigned i = 0; i < 50; i++) {
        struct revision revision;

        (void)snprintf(body, sizeof(body), "{\"record\":%u,\"text\":\"%0*u\"}", i, (int)i + 1, i);
        assert_int_equal(record_current(txn, &ids[i], &revision), STATUS_OK);
        assert_int_equal(revision.number, 6);
        assert_bytes_equal(revision.body, body);
    }
    fixture_commit(txn);
}

static void a_deleted_records_key_is_free_again(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "WO-1", "{}"), next, found;
    struct revision revision;

    put_next(txn, &id, ACTION_DELETED, "WO-1", NULL);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_NOT_FOUND);
    assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
    assert_int_equal(revision.action, ACTION_DELETED);
    next = put_first(txn, WO, "WO-1", "{}");
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_OK);
    assert_int_equal(uuid_compare(&found, &next), 0);
    txn_abort(txn);
}

static void a_changed_key_replaces_the_old_one(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "WO-1", "{}"), none = put_first(txn, WO, "", "{}"), found;

    put_next(txn, &id, ACTION_UPDATED, "WO-9", "{}");
    put_next(txn, &none, ACTION_UPDATED, "WO-5", "{}"); /* gains its first */
    fixture_commit(txn);
    txn = fixture_read(f);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_NOT_FOUND);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-9"), &found), STATUS_OK);
    assert_int_equal(uuid_compare(&found, &id), 0);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-5"), &found), STATUS_OK);
    assert_int_equal(uuid_compare(&found, &none), 0);
    txn_abort(txn);
}

static void keys_of_any_length_are_told_apart(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    static char keys[4][2001];
    const size_t lengths[] = {400, 401, 2000, 2000};
    struct uuid ids[4], found;

    for (unsigned i = 0; i < 4; i++)
        memset(keys[i], 'k', lengths[i]);
    keys[3][1999] = 'x';
    for (unsigned i = 0; i < 4; i++)
        ids[i] = put_first(txn, WO, keys[i], "{}");
    fixture_commit(txn);
    txn = fixture_write(f);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(record_find_by_key(txn, WO, bytes_of_str(keys[i]), &found), STATUS_OK);
        assert_int_equal(uuid_compare(&found, &ids[i]), 0);
    }
    put_next(txn, &ids[2], ACTION_DELETED, keys[2], NULL);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str(keys[2]), &found), STATUS_NOT_FOUND);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str(keys[3]), &found), STATUS_OK);
    fixture_commit(txn);
}

/* ---- pages ---- */

static unsigned page_length(struct txn *txn, struct record_page page)
{
    struct revision revision;
    unsigned count = 0;
    struct uuid last;
    enum status s;

    memset(last.bytes, 0xff, sizeof(last.bytes));
    while ((s = record_page_next(txn, &page, &revision)) == STATUS_OK) {
        struct revision current;

        assert_true(uuid_compare(&revision.record, &last) < 0);
        assert_int_equal(revision.type, page.type);
        assert_int_equal(record_current(txn, &revision.record, &current), STATUS_OK);
        assert_int_equal(revision.number, current.number);
        last = revision.record;
        count++;
    }
    assert_int_equal(s, STATUS_END);
    record_page_end(&page);
    return count;
}

/* Two types mixed in runs longer and shorter than a few steps, some with histories, some deleted.
 */
static void fill_for_pages(struct fixture *f)
{
    struct txn *txn = fixture_write(f);

    for (unsigned i = 0; i < 600; i++) {
        uint16_t type = i % 3 == 0 || (i > 200 && i < 260) ? VENDOR : WO;
        struct uuid id = put_first(txn, type, "", "{\"x\":1}");

        for (unsigned k = 0; k < (i % 50 == 0 ? 30u : i % 4); k++)
            put_next(txn, &id, ACTION_UPDATED, "", "{\"x\":2}");
        if (i % 10 == 0)
            put_next(txn, &id, ACTION_DELETED, "", NULL);
    }
    fixture_commit(txn);
}

static void a_page_has_each_live_record_once_newest_first(void **state)
{
    struct fixture *f = *state;
    struct txn *txn;
    unsigned all = 0;

    fill_for_pages(f);
    fixture_reopen(f);
    txn = fixture_read(f);
    for (uint16_t type = WO; type <= VENDOR; type++) {
        unsigned with = page_length(txn, (struct record_page){.type = type, .has_deleted = true});

        assert_int_equal(with, record_count(txn, type));
        all += with;
        assert_true(page_length(txn, (struct record_page){.type = type}) < with);
    }
    assert_int_equal(all, 600);
    assert_int_equal(page_length(txn, (struct record_page){.type = 3}), 0);
    assert_int_equal(page_length(txn, (struct record_page){.type = UINT16_MAX}), 0);
    txn_abort(txn);
}

static void a_page_goes_on_where_the_last_one_ended(void **state)
{
    struct fixture *f = *state;
    struct record_page page = {.type = WO, .has_deleted = true};
    struct revision revision;
    unsigned count = 0;
    enum status s = STATUS_OK;

    fill_for_pages(f);
    while (s == STATUS_OK) {
        struct txn *txn = fixture_read(f);

        for (int i = 0; i < 7 && s == STATUS_OK; i++) {
            s = record_page_next(txn, &page, &revision);
            count += s == STATUS_OK;
        }
        record_page_end(&page);
        txn_abort(txn);
    }
    {
        struct txn *txn = fixture_read(f);

        assert_int_equal(count, record_count(txn, WO));
        txn_abort(txn);
    }
}

static void a_page_that_passes_over_too_many_says_how_far_it_came(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid oldest = put_first(txn, WO, "WO-0", "{}"), id = oldest;
    struct record_page page = {.type = WO, .skip_max = 10};
    struct revision revision;
    unsigned calls = 1;

    for (unsigned i = 0; i < 35; i++) {
        id = put_first(txn, WO, "WO-1", "{}");
        put_next(txn, &id, ACTION_DELETED, "WO-1", NULL);
    }
    fixture_commit(txn);
    txn = fixture_read(f);
    for (; record_page_next(txn, &page, &revision) == STATUS_LIMIT; calls++) {
        record_page_end(&page);
        page = (struct record_page){.type = WO, .skip_max = 10, .before = page.before};
    }
    assert_int_equal(calls, 4);
    assert_int_equal(uuid_compare(&revision.record, &oldest), 0);
    assert_int_equal(record_page_next(txn, &page, &revision), STATUS_END);
    record_page_end(&page);
    txn_abort(txn);
}

static void a_page_keeps_to_its_times(void **state)
{
    struct fixture *f = *state;
    struct txn *txn;

    f->now_ms = 1000000;
    for (unsigned i = 0; i < 10; i++) { /* created at 1000000 … 1000009 */
        txn = fixture_write(f);
        (void)put_first(txn, WO, "", "{}");
        fixture_commit(txn);
    }
    txn = fixture_read(f);
    assert_int_equal(page_length(txn, (struct record_page){.type = WO, .since_ms = 1000004}), 6);
    assert_int_equal(page_length(txn, (struct record_page){.type = WO, .until_ms = 1000004}), 4);
    assert_int_equal(
        page_length(txn,
                    (struct record_page){.type = WO, .since_ms = 1000004, .until_ms = 1000005}),
        1);
    txn_abort(txn);
}

/* ---- erasure ---- */

static bool is_in_file(struct fixture *f, const char *text)
{
    CLEANUP(freep) char *all = NULL;
    char path[128];
    struct stat st;
    FILE *file;
    bool found;

    (void)snprintf(path, sizeof(path), "%s/store/data.mdb", f->dir);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    all = malloc((size_t)st.st_size);
    assert_non_null(all);
    assert_int_equal(fread(all, 1, (size_t)st.st_size, file), st.st_size);
    found = memmem(all, (size_t)st.st_size, text, strlen(text)) != NULL;
    fclose(file);
    return found;
}

static void erased_content_is_gone_and_the_record_is_not(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "SECRET-KEY", "{\"n\":\"SECRET-ONE\"}"), found;
    struct revision revision;
    uint32_t count;

    put_next(txn, &id, ACTION_UPDATED, "SECRET-KEY", "{\"n\":\"SECRET-TWO\"}");
    fixture_commit(txn);
    assert_true(is_in_file(f, "SECRET-ONE"));
    txn = fixture_write(f);
    assert_int_equal(record_erase(txn, &id, &count), STATUS_OK);
    assert_int_equal(count, 2);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
    assert_true(revision.is_erased);
    assert_int_equal(revision.number, 2);
    assert_int_equal(revision.body.len, 0);
    assert_int_equal(revision.key.len, 0);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("SECRET-KEY"), &found),
                     STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void erasing_nothing_is_not_found(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = txn_uuid(txn);
    uint32_t count;

    assert_int_equal(record_erase(txn, &id, &count), STATUS_NOT_FOUND);
    fixture_commit(txn);
}

/* ---- faults ---- */

static void a_fault_at_any_place_leaves_the_records_as_they_were(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid id = put_first(txn, WO, "WO-1", "{\"n\":1}"), found;
    struct revision revision;
    unsigned nth;

    fixture_commit(txn);
    for (nth = 1;; nth++) {
        enum status s;

        fault_arm(nth, STATUS_IO);
        s = txn_write(f->store, f->now_ms++, nth, &txn);
        if (s == STATUS_OK) {
            struct revision next = {.record = id,
                                    .number = 2,
                                    .type = WO,
                                    .action = ACTION_UPDATED,
                                    .key = bytes_of_str("WO-2"),
                                    .body = bytes_of_str("{\"n\":2}")};

            (void)put_first(txn, WO, "WO-3", "{}");
            record_put(txn, &next, bytes_of_str("WO-1"));
            s = txn_commit(txn);
        }
        if (!fault_disarm()) {
            assert_int_equal(s, STATUS_OK);
            break;
        }
        assert_int_equal(s, STATUS_IO);
        txn = fixture_read(f);
        assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
        assert_int_equal(revision.number, 1);
        assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-1"), &found), STATUS_OK);
        assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-3"), &found),
                         STATUS_NOT_FOUND);
        assert_int_equal(record_count(txn, WO), 1);
        txn_abort(txn);
    }
    assert_true(nth > 8);
    txn = fixture_read(f);
    assert_int_equal(record_find_by_key(txn, WO, bytes_of_str("WO-2"), &found), STATUS_OK);
    assert_int_equal(record_count(txn, WO), 2);
    txn_abort(txn);
}

/* A mistyped prefix may be mended until an id with it was given out. */
static void a_types_prefix_changes_only_while_it_has_no_records(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct type_row first, again;

    assert_int_equal(type_register(txn, "vendor", "vne", &first), STATUS_OK);
    assert_int_equal(type_register(txn, "vendor", "ven", &again), STATUS_OK);
    assert_int_equal(again.number, first.number);
    assert_string_equal(again.id_prefix, "ven");
    assert_int_equal(type_find(txn, bytes_of_str("vendor"), &again), STATUS_OK);
    assert_string_equal(again.id_prefix, "ven");
    record_put(txn,
               &(struct revision){.record = txn_uuid(txn),
                                  .number = 1,
                                  .type = first.number,
                                  .action = ACTION_CREATED,
                                  .received_ms = txn_now_ms(txn),
                                  .key = bytes_of_str("V-1"),
                                  .body = bytes_of_str("{}")},
               (struct bytes){0});
    assert_int_equal(type_register(txn, "vendor", "other", &again), STATUS_MISMATCH);
    assert_int_equal(type_register(txn, "vendor", "ven", &again), STATUS_OK);
    txn_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_record_comes_back_as_it_was_put),
        STORE_TEST(a_types_prefix_changes_only_while_it_has_no_records),
        STORE_TEST(what_is_not_there_is_not_found),
        STORE_TEST(each_revision_stays),
        STORE_TEST(a_body_read_in_the_same_transaction_may_be_put_again),
        STORE_TEST(a_deleted_records_key_is_free_again),
        STORE_TEST(a_changed_key_replaces_the_old_one),
        STORE_TEST(keys_of_any_length_are_told_apart),
        STORE_TEST(a_page_has_each_live_record_once_newest_first),
        STORE_TEST(a_page_goes_on_where_the_last_one_ended),
        STORE_TEST(a_page_that_passes_over_too_many_says_how_far_it_came),
        STORE_TEST(a_page_keeps_to_its_times),
        STORE_TEST(erased_content_is_gone_and_the_record_is_not),
        STORE_TEST(erasing_nothing_is_not_found),
        STORE_TEST(a_fault_at_any_place_leaves_the_records_as_they_were),
    };

    return cmocka_run_group_tests_name("storage/records", tests, NULL, NULL);
}

/* scrub: nothing of what was erased stays in the file, and everything else does. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/page_file.h"
#include "storage/records.h"
#include "storage/scrub.h"
#include "storage/txn.h"

#define RECORDS 400

static struct uuid ids[RECORDS];

/* Bodies from a few bytes to some pages; every tenth is to be erased. */
static struct buf body_of(unsigned i, unsigned revision)
{
    struct buf body = {0};

    buf_printf(&body, "{\"revision\":%u,\"text\":\"", revision);
    for (unsigned k = 0; k < (i % 7 == 0 ? 1500 : i % 40); k++)
        buf_printf(&body, "%s-%u;", i % 10 == 0 ? "SECRET" : "kept", i);
    buf_put_str(&body, i % 10 == 0 ? "SECRET\"}" : "kept\"}");
    assert_int_equal(body.status, STATUS_OK);
    return body;
}

static void put_revision(struct txn *txn, unsigned i, unsigned number)
{
    CLEANUP(buf_fini) struct buf body = body_of(i, number);
    struct revision revision = {.record = ids[i],
                                .number = number,
                                .type = 1,
                                .action = number == 1 ? ACTION_CREATED : ACTION_UPDATED,
                                .body = buf_bytes(&body)};

    record_put(txn, &revision, bytes_of(NULL, 0));
}

static void fill(struct fixture *f)
{
    for (unsigned number = 1; number <= 3; number++)
        for (unsigned i = 0; i < RECORDS;) {
            struct txn *txn = fixture_write(f);

            for (unsigned k = 0; k < 37 && i < RECORDS; k++, i++) {
                if (number == 1)
                    ids[i] = txn_uuid(txn);
                put_revision(txn, i, number);
            }
            fixture_commit(txn);
        }
}

static void erase(struct fixture *f)
{
    for (unsigned i = 0; i < RECORDS; i += 10) {
        struct txn *txn = fixture_write(f);
        uint32_t count;

        assert_int_equal(record_erase(txn, &ids[i], &count), STATUS_OK);
        assert_int_equal(count, 3);
        fixture_commit(txn);
    }
}

static void path_of(const struct fixture *f, char out[128])
{
    (void)snprintf(out, 128, "%s/store/data.mdb", f->dir);
}

static bool is_in_file(const struct fixture *f, const char *text)
{
    CLEANUP(freep) char *all = NULL;
    char path[128];
    struct stat st;
    FILE *file;

    path_of(f, path);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    all = malloc((size_t)st.st_size);
    assert_non_null(all);
    assert_int_equal(fread(all, 1, (size_t)st.st_size, file), st.st_size);
    fclose(file);
    return memmem(all, (size_t)st.st_size, text, strlen(text)) != NULL;
}

static void assert_rest_is_whole(struct fixture *f)
{
    struct txn *txn = fixture_read(f);
    char path[128];
    struct err err = {0};

    for (unsigned i = 0; i < RECORDS; i++)
        for (unsigned number = 1; number <= 3; number++) {
            CLEANUP(buf_fini) struct buf body = body_of(i, number);
            struct revision revision;

            assert_int_equal(record_revision(txn, &ids[i], number, &revision), STATUS_OK);
            assert_true(revision.is_erased == (i % 10 == 0));
            if (!revision.is_erased)
                assert_true(bytes_equal(revision.body, buf_bytes(&body)));
        }
    path_of(f, path);
    if (page_file_check_trees(path, mdb_txn_id(txn->lmdb), &err) != STATUS_OK)
        fail_msg("%s", err.text);
    txn_abort(txn);
}

static void nothing_of_what_was_erased_stays_in_the_file(void **state)
{
    struct fixture *f = *state;
    uint64_t held;

    fill(f);
    assert_true(is_in_file(f, "SECRET"));
    erase(f);
    fixture_reopen(f);
    assert_int_equal(store_scrub(f->store, &held), STATUS_OK);
    assert_int_equal(held, 0);
    assert_false(is_in_file(f, "SECRET"));
    assert_rest_is_whole(f);
    fixture_reopen(f);
    assert_rest_is_whole(f);
    fill(f); /* and the store goes on */
    assert_true(is_in_file(f, "SECRET"));
}

/* LMDB writes such a row into a page of its own, whose rest is what its memory had before. */
static void put_large_rows(struct fixture *f, struct revision revisions[], unsigned count)
{
    static uint8_t body[2500];

    memset(body, 'k', sizeof(body));
    for (unsigned i = 0; i < count; i++) {
        struct txn *txn = fixture_write(f);

        revisions[i] = (struct revision){.record = txn_uuid(txn),
                                         .number = 1,
                                         .type = 1,
                                         .action = ACTION_CREATED,
                                         .body = bytes_of(body, sizeof(body))};
        record_put(txn, &revisions[i], bytes_of(NULL, 0));
        fixture_commit(txn);
    }
}

static void what_lies_behind_a_large_row_is_cleared_too(void **state)
{
    struct fixture *f = *state;
    struct revision revisions[60], found;
    uint64_t held;

    fill(f);
    put_large_rows(f, revisions, 60);
    erase(f);
    assert_int_equal(store_scrub(f->store, &held), STATUS_OK);
    assert_int_equal(held, 0);
    assert_false(is_in_file(f, "SECRET"));
    assert_rest_is_whole(f);
    struct txn *txn = fixture_read(f);
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(record_current(txn, &revisions[i].record, &found), STATUS_OK);
        assert_true(bytes_equal(found.body, revisions[i].body));
    }
    txn_abort(txn);
}

static void what_a_reader_still_sees_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct revision revision;
    struct txn *reader;
    uint64_t held;

    fill(f);
    reader = fixture_read(f);
    erase(f);
    assert_int_equal(store_scrub(f->store, &held), STATUS_OK);
    assert_true(held > 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        CLEANUP(buf_fini) struct buf body = body_of(i, 3);

        assert_int_equal(record_current(reader, &ids[i], &revision), STATUS_OK);
        assert_true(bytes_equal(revision.body, buf_bytes(&body)));
    }
    txn_abort(reader);
    assert_int_equal(store_scrub(f->store, &held), STATUS_OK);
    assert_int_equal(held, 0);
    assert_false(is_in_file(f, "SECRET"));
    assert_rest_is_whole(f);
}

static void a_body_that_looks_like_a_page_is_left_as_it_is(void **state)
{
    struct fixture *f = *state;
    static uint8_t body[40 * 4096];
    struct revision revision = {.number = 1, .type = 1, .action = ACTION_CREATED};
    struct txn *txn = fixture_write(f);
    uint64_t held;

    /* Leaf pages of every number, at every place in the body where a page could begin. */
    for (size_t at = 0; at + 16 <= sizeof(body); at += 16) {
        uint64_t number = at / 4096 + 5;
        uint16_t header[4] = {0, 2, 16, 4096};

        memcpy(body + at, &number, 8);
        memcpy(body + at + 8, header, 8);
    }
    revision.record = txn_uuid(txn);
    revision.body = bytes_of(body, sizeof(body));
    record_put(txn, &revision, bytes_of(NULL, 0));
    fixture_commit(txn);
    assert_int_equal(store_scrub(f->store, &held), STATUS_OK);
    txn = fixture_read(f);
    assert_int_equal(record_current(txn, &revision.record, &revision), STATUS_OK);
    assert_memory_equal(revision.body.data, body, sizeof(body));
    txn_abort(txn);
}

static void a_fault_at_any_place_harms_nothing(void **state)
{
    struct fixture *f = *state;
    enum status s;
    uint64_t held;

    fill(f);
    erase(f);
    for (unsigned nth = 1;; nth++) {
        fault_arm(nth, STATUS_IO);
        s = store_scrub(f->store, &held);
        if (!fault_disarm())
            break;
        assert_int_equal(s, STATUS_IO);
        assert_rest_is_whole(f);
    }
    assert_int_equal(s, STATUS_OK);
    assert_rest_is_whole(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(nothing_of_what_was_erased_stays_in_the_file),
        STORE_TEST(what_lies_behind_a_large_row_is_cleared_too),
        STORE_TEST(what_a_reader_still_sees_is_left_alone),
        STORE_TEST(a_body_that_looks_like_a_page_is_left_as_it_is),
        STORE_TEST(a_fault_at_any_place_harms_nothing),
    };

    return cmocka_run_group_tests_name("storage/scrub", tests, NULL, NULL);
}

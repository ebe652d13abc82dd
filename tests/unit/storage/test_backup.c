/* backup: a copy that opens like the store, without a byte of what was erased; and the way back. */
#include "base/random.h"
#include "storage/check.h"
#include "storage/fault.h"
#include "temporary_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SECRET "Grace Hopper, badge 1906-12-09"

struct place {
    char dir[96]; /* of a copy, beside the test's own store */
};

static struct place place_of(const struct temporary_store *t, const char *name)
{
    struct place place;

    snprintf(place.dir, sizeof place.dir, "%s-%s", t->dir, name);
    return place;
}

static void remove_place(const struct place *place)
{
    char path[128];
    struct err err = {0};

    snprintf(path, sizeof path, "%s/store", place->dir);
    assert_int_equal(dir_remove(path, &err), STATUS_OK);
    assert_int_equal(dir_remove(place->dir, &err), STATUS_OK);
}

static bool file_has(const char *dir, const char *text)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof path, "%s/store/data.mdb", dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fstat(fileno(file), &st), 0);
    CLEANUP(freep) char *data = malloc((size_t)st.st_size);
    assert_int_equal(fread(data, 1, (size_t)st.st_size, file), st.st_size);
    fclose(file);
    return memmem(data, (size_t)st.st_size, text, strlen(text)) != NULL;
}

static void assert_backup(struct temporary_store *t, const struct place *place,
                          enum status expected, const char *message)
{
    struct err err = {0};

    assert_int_equal(store_backup(t->store, place->dir, NULL, NULL, &err), expected);
    if (strstr(err.text, message) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", message, err.text);
}

/* Every row of every table is the same, byte by byte. */
static void assert_same_rows(struct txn *a, struct txn *b)
{
    for (enum table table = 0; table < TABLE_COUNT; table++) {
        CLEANUP(table_cursor_close) struct table_cursor ca = {0};
        CLEANUP(table_cursor_close) struct table_cursor cb = {0};
        enum status sa = table_cursor_open(&ca, a, table, (struct bytes){0});
        enum status sb = table_cursor_open(&cb, b, table, (struct bytes){0});

        while (sa == STATUS_OK && sb == STATUS_OK) {
            assert_true(bytes_equal(ca.key, cb.key));
            assert_true(bytes_equal(ca.row, cb.row));
            sa = table_cursor_next(&ca);
            sb = table_cursor_next(&cb);
        }
        assert_int_equal(sa, STATUS_END);
        assert_int_equal(sb, STATUS_END);
    }
}

static void assert_copy_is_same(struct temporary_store *t, const struct place *place,
                                enum store_mode mode)
{
    struct store_options options = {.dir = place->dir, .mode = mode};
    struct store *copy = NULL;
    struct txn *a = begin_read(t), *b;
    struct err err = {0};

    if (store_open(&options, &copy, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    assert_int_equal(txn_read(copy, &b), STATUS_OK);
    assert_same_rows(a, b);
    txn_abort(a);
    txn_abort(b);
    store_close(copy);
}

static void fill(struct temporary_store *t, unsigned records)
{
    struct txn *txn = begin_write(t);
    struct uuid record;
    char key[16];

    for (unsigned i = 0; i < records; i++) {
        snprintf(key, sizeof key, "WO-%u", i);
        uint64_t sequence = add_record(txn, &record, key, "{\"title\":\"Pump\"}");
        struct uuid id = outbox_enqueue(txn, 1, sequence, &record, T0);
        if (i % 2 == 0)
            finish(txn, &id, ATTEMPT_DELIVERED, 0);
    }
    commit(txn);
}

static void a_backup_has_every_row_and_opens_like_a_store(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");

    fill(t, 1000);
    assert_backup(t, &place, STATUS_OK, "");
    assert_copy_is_same(t, &place, STORE_READ_ONLY);
    assert_copy_is_same(t, &place, STORE_SERVE);
    remove_place(&place);
}

static void an_empty_store_can_be_backed_up(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");

    assert_backup(t, &place, STATUS_OK, "");
    assert_copy_is_same(t, &place, STORE_READ_ONLY);
    remove_place(&place);
}

/* Root may write anywhere: give the copy to somebody else, and be him. */
#define NOBODY 65534

static void set_owner_and_modes(const struct place *place, uid_t owner, mode_t mode)
{
    char path[128], data[128];

    snprintf(path, sizeof path, "%s/store", place->dir);
    snprintf(data, sizeof data, "%s/store/data.mdb", place->dir);
    assert_int_equal(chown(place->dir, owner, (gid_t)-1), 0);
    assert_int_equal(chown(path, owner, (gid_t)-1), 0);
    assert_int_equal(chown(data, owner, (gid_t)-1), 0);
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(chmod(place->dir, mode), 0);
}

/* 0: its last event could be read. */
static int read_as(const struct place *place, uid_t user)
{
    struct store_options options = {.dir = place->dir, .mode = STORE_READ_ONLY};
    struct store *store = NULL;
    struct txn *txn = NULL;
    struct err err = {0};
    int code = 1;

    if (setuid(user) == 0 && store_open(&options, &store, &err) == STATUS_OK &&
        txn_read(store, &txn) == STATUS_OK)
        code = event_last_sequence(txn) == 10 ? 0 : 2;
    else
        fprintf(stderr, "%s\n", err.text);
    txn_abort(txn);
    store_close(store);
    return code;
}

static void a_backup_that_may_not_be_written_to_can_be_read(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    uid_t user = geteuid() == 0 ? NOBODY : geteuid();
    int code = -1;

    fill(t, 10);
    assert_backup(t, &place, STATUS_OK, "");
    set_owner_and_modes(&place, user, 0500);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(read_as(&place, user));
    assert_int_equal(waitpid(child, &code, 0), child);
    set_owner_and_modes(&place, geteuid(), 0700);
    assert_int_equal(code, 0);
    remove_place(&place);
}

/* More than one batch of the copy, with rows that fill many pages. */
static void large_rows_are_copied_over_many_batches(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    CLEANUP(freep) char *body = malloc((1 << 20) + 1);
    struct uuid record;
    struct txn *txn = begin_write(t);
    char key[16];

    memset(body, 'x', 1 << 20);
    body[1 << 20] = '\0';
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "WO-%u", i);
        (void)add_record(txn, &record, key, body);
    }
    commit(txn);
    assert_backup(t, &place, STATUS_OK, "");
    assert_copy_is_same(t, &place, STORE_READ_ONLY);
    remove_place(&place);
}

static void note_progress(void *context, uint64_t done, uint64_t all)
{
    uint64_t *last = context;

    assert_true(done > last[0] && done <= all);
    last[0] = done;
    last[1] = all;
}

static void progress_ends_at_all(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    uint64_t last[2] = {0};

    fill(t, 2000);
    assert_int_equal(store_backup(t->store, place.dir, note_progress, last, NULL), STATUS_OK);
    assert_true(last[0] > 2000);
    assert_int_equal(last[0], last[1]);
    remove_place(&place);
}

static void nothing_erased_is_in_a_backup(void **state)
{
    struct temporary_store *t = *state;
    struct place before = place_of(t, "before"), after = place_of(t, "after");
    struct uuid record, delivery;
    uint32_t count;
    struct txn *txn = begin_write(t);
    uint64_t sequence = add_record(txn, &record, "K-" SECRET, "{\"name\":\"" SECRET "\"}");
    struct attempt attempt;

    delivery = outbox_enqueue(txn, 1, sequence, &record, T0);
    attempt = attempt_of(&delivery, 200);
    attempt.response_body = bytes_of_str("stored " SECRET);
    assert_int_equal(outbox_finish(txn, &attempt, ATTEMPT_DELIVERED, 0), STATUS_OK);
    commit(txn);
    fill(t, 100);
    assert_backup(t, &before, STATUS_OK, "");
    assert_true(file_has(before.dir, SECRET)); /* or the test would look in the wrong place */

    txn = begin_write(t);
    assert_int_equal(outbox_erase_record(txn, &record), STATUS_OK);
    assert_int_equal(record_erase(txn, &record, &count), STATUS_OK);
    assert_int_equal(count, 1);
    commit(txn);
    assert_backup(t, &after, STATUS_OK, "");
    assert_false(file_has(after.dir, SECRET));
    remove_place(&before);
    remove_place(&after);
}

static void a_backup_goes_only_into_an_empty_directory(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup"), own = {{0}};

    strcpy(own.dir, t->dir);
    assert_backup(t, &own, STATUS_EXISTS, "is not empty");
    assert_backup(t, &place, STATUS_OK, "");
    assert_backup(t, &place, STATUS_EXISTS, "is not empty (store)");
    remove_place(&place);
}

static void what_a_cut_short_backup_left_is_replaced(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    char path[128];

    fill(t, 10);
    assert_int_equal(mkdir(place.dir, 0700), 0);
    snprintf(path, sizeof path, "%s/store.new", place.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/data.mdb");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("half a page", file);
    fclose(file);
    assert_backup(t, &place, STATUS_OK, "");
    assert_copy_is_same(t, &place, STORE_READ_ONLY);
    remove_place(&place);
}

static bool has_store(const struct place *place)
{
    char path[128];

    snprintf(path, sizeof path, "%s/store", place->dir);
    return access(path, F_OK) == 0;
}

static void note_problem(void *context, const char *text)
{
    snprintf(context, 512, "%s", text);
}

static void a_backup_that_fails_anywhere_is_none(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    bool has_fired = true;

    fill(t, 5);
    for (unsigned nth = 1; has_fired; nth++) {
        struct err err = {0};
        fault_arm(nth, STATUS_IO);
        enum status s = store_backup(t->store, place.dir, NULL, NULL, &err);
        has_fired = fault_disarm();
        assert_int_equal(s, has_fired ? STATUS_IO : STATUS_OK);
        assert_int_equal(has_store(&place), !has_fired);
        assert_int_equal(err.text[0] != '\0', has_fired);
    }
    assert_copy_is_same(t, &place, STORE_READ_ONLY);
    remove_place(&place);
}

/* LMDB would follow a damaged page anywhere. */
static void a_store_with_a_damaged_page_is_found_and_not_copied(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    struct check_report report;
    char path[128], found[512] = "";
    uint8_t nonsense[4096];

    fill(t, 2000);
    store_close(t->store);
    memset(nonsense, 0xa5, sizeof nonsense);
    snprintf(path, sizeof path, "%s/store/data.mdb", t->dir);
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    temporary_store_open(t); /* opening looks at the roots alone */
    for (off_t page = 40; page < 60; page++)
        assert_int_equal(pwrite(fd, nonsense, sizeof nonsense, page * 4096), sizeof nonsense);
    close(fd);
    assert_int_equal(store_check(t->store, note_problem, NULL, found, &report), STATUS_OK);
    assert_int_equal(report.problem_count, 1);
    assert_non_null(strstr(found, "page"));
    assert_backup(t, &place, STATUS_CORRUPT, "the store is damaged");
    assert_false(has_store(&place));
    snprintf(path, sizeof path, "%s/store.new", place.dir);
    assert_int_equal(dir_remove(path, NULL), STATUS_OK);
    assert_int_equal(dir_remove(place.dir, NULL), STATUS_OK);
}

static void a_backup_restores_to_the_same_rows(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup"), restored = place_of(t, "restored");
    struct err err = {0};

    fill(t, 100);
    assert_backup(t, &place, STATUS_OK, "");
    if (store_restore(place.dir, restored.dir, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    assert_copy_is_same(t, &restored, STORE_SERVE);
    remove_place(&place);
    remove_place(&restored);
}

static void restore_refuses_a_store_in_use_and_one_that_exists(void **state)
{
    struct temporary_store *t = *state;
    struct place place = place_of(t, "backup");
    struct err err = {0};

    assert_backup(t, &place, STATUS_OK, "");
    assert_int_equal(store_restore(place.dir, t->dir, &err), STATUS_BUSY);
    assert_non_null(strstr(err.text, "in use by another process"));
    store_close(t->store);
    assert_int_equal(store_restore(place.dir, t->dir, &err), STATUS_EXISTS);
    assert_non_null(strstr(err.text, "exists already"));
    temporary_store_open(t);
    remove_place(&place);
}

static void what_is_no_backup_is_not_restored(void **state)
{
    struct temporary_store *t = *state;
    struct place nothing = place_of(t, "nothing"), restored = place_of(t, "restored");
    struct err err = {0};

    assert_int_equal(store_restore(nothing.dir, restored.dir, &err), STATUS_NOT_FOUND);
    remove_place(&restored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(a_backup_has_every_row_and_opens_like_a_store),
        ON_STORE(an_empty_store_can_be_backed_up),
        ON_STORE(a_backup_that_may_not_be_written_to_can_be_read),
        ON_STORE(large_rows_are_copied_over_many_batches),
        ON_STORE(progress_ends_at_all),
        ON_STORE(nothing_erased_is_in_a_backup),
        ON_STORE(a_backup_goes_only_into_an_empty_directory),
        ON_STORE(what_a_cut_short_backup_left_is_replaced),
        ON_STORE(a_backup_that_fails_anywhere_is_none),
        ON_STORE(a_store_with_a_damaged_page_is_found_and_not_copied),
        ON_STORE(a_backup_restores_to_the_same_rows),
        ON_STORE(restore_refuses_a_store_in_use_and_one_that_exists),
        ON_STORE(what_is_no_backup_is_not_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

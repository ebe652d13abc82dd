/* map: mmap fails when the store's map is opened, grown or opened again, and what is left then. */
#include "tests/unit/storage/store_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

#define ROW_BYTES 4000

static unsigned calls, fails_at; /* 0: none fails */

/* LMDB finds these first: the program's own symbols come before libc's. This one is mmap64, which
 * mmap is a name of where offsets have 64 bits; LMDB calls the other. */
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    static __typeof__(mmap) *real;

    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "mmap64");
    if (++calls == fails_at) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return real(address, length, protection, flags, fd, offset);
}

void *mmap_of_lmdb(void *address, size_t length, int protection, int flags, int fd,
                   off_t offset) __asm__("mmap");

void *mmap_of_lmdb(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

static void fail_mmap(unsigned nth)
{
    calls = 0;
    fails_at = nth;
}

static bool has_failed(void)
{
    bool has = fails_at != 0 && calls >= fails_at;

    fails_at = 0;
    return has;
}

static enum status put_row(struct fixture *f, uint32_t number)
{
    static const uint8_t row[ROW_BYTES] = {1};
    struct txn *txn;
    uint8_t key[4];
    enum status s = txn_write(f->store, f->now_ms++, ++f->seed, &txn);

    if (s != STATUS_OK)
        return s;
    put_be32(key, number);
    table_put(txn, TABLE_REPORTS, bytes_of(key, sizeof(key)), bytes_of(row, sizeof(row)));
    return txn_commit(txn);
}

static uint32_t count_rows(struct fixture *f)
{
    struct txn *txn = fixture_read(f);
    uint32_t rows = (uint32_t)table_rows(txn, TABLE_REPORTS);

    txn_abort(txn);
    return rows;
}

/* The number of rows that are there then. */
static uint32_t fill(struct fixture *f, uint32_t rows)
{
    enum status s;

    while ((s = put_row(f, rows)) == STATUS_OK)
        rows++;
    assert_int_equal(s, STATUS_MAP_FULL);
    return rows;
}

static void whatever_mmap_fails_in_growing_nothing_is_lost(void **state)
{
    struct fixture *f = *state;
    uint32_t rows = fill(f, 0);

    for (unsigned nth = 1;; nth++) {
        fail_mmap(nth);
        enum status s = store_grow(f->store);
        bool was_failed = has_failed();

        assert_true(was_failed ? s == STATUS_NO_MEMORY : s == STATUS_OK);
        assert_int_equal(count_rows(f), rows); /* opened again, if it had to be closed */
        if (!was_failed) {
            assert_true(nth > 2); /* the trial's and LMDB's were among them */
            break;
        }
    }
    assert_int_equal(put_row(f, rows), STATUS_OK);
}

static void a_map_that_cannot_be_opened_again_is_opened_later(void **state)
{
    struct fixture *f = *state;
    uint32_t rows = fill(f, 0);
    struct txn *txn;

    fail_mmap(2); /* LMDB's: it is left without a map */
    assert_int_equal(store_grow(f->store), STATUS_NO_MEMORY);
    fail_mmap(1);
    assert_true(status_is_fault(txn_read(f->store, &txn)));
    assert_true(has_failed());
    fail_mmap(1);
    assert_true(status_is_fault(put_row(f, rows)));
    assert_true(has_failed());
    assert_int_equal(count_rows(f), rows);
    while (put_row(f, rows) == STATUS_MAP_FULL)
        assert_int_equal(store_grow(f->store), STATUS_OK);
    assert_int_equal(count_rows(f), rows + 1);
}

static void whatever_mmap_fails_in_opening_it_is_told_and_nothing_is_touched(void **state)
{
    struct fixture *f = *state;
    uint32_t rows = fill(f, 0);

    store_close(f->store);
    f->store = NULL;
    for (unsigned nth = 1;; nth++) {
        struct err err = {0};

        fail_mmap(nth);
        enum status s = fixture_try_open(f, STORE_SERVE, &f->store, &err);
        if (!has_failed()) {
            assert_int_equal(s, STATUS_OK);
            assert_true(nth > 1);
            break;
        }
        assert_int_equal(s, STATUS_NO_MEMORY);
        assert_non_null(strstr(err.text, "open store: "));
    }
    assert_int_equal(count_rows(f), rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_mmap_fails_in_growing_nothing_is_lost,
                                        fixture_setup_small_map, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_map_that_cannot_be_opened_again_is_opened_later,
                                        fixture_setup_small_map, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            whatever_mmap_fails_in_opening_it_is_told_and_nothing_is_touched,
            fixture_setup_small_map, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

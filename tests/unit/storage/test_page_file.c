/* page_file: data files cut short, filled with garbage or bent are refused before LMDB maps them.
 */
#include "tests/unit/storage/store_fixture.h"

#include "storage/page_file.h"

#include <fcntl.h>

static void path_of(const struct fixture *f, char out[128])
{
    (void)snprintf(out, 128, "%s/store/data.mdb", f->dir);
}

/* Enough rows for tables of two levels, overflow pages and a free list; then closed. */
static void fill_and_close(struct fixture *f)
{
    static uint8_t big[20000] = {1};

    for (unsigned round = 0; round < 6; round++) {
        struct txn *txn = fixture_write(f);

        for (unsigned i = 0; i < 200; i++) {
            uint8_t key[4];

            put_be32(key, i);
            table_put(txn, TABLE_EVENTS, bytes_of(key, 4), bytes_of(big, 300 + round));
            if (i < 20)
                table_put(txn, TABLE_REPORTS, bytes_of(key, 4), bytes_of(big, sizeof(big)));
        }
        fixture_commit(txn);
    }
    store_close(f->store);
    f->store = NULL;
}

static enum status check(const struct fixture *f, struct page_file_facts *facts, struct err *err)
{
    char path[128];

    path_of(f, path);
    return page_file_check(path, facts, err);
}

/* Refused at opening, with words, and nothing crashes. */
static void assert_refused(struct fixture *f, enum status expected)
{
    struct err err = {0};

    assert_int_equal(fixture_try_open(f, STORE_SERVE, &f->store, &err), expected);
    assert_null(f->store);
    assert_non_null(strstr(err.text, "open store: "));
    assert_non_null(strstr(err.text, "data.mdb"));
}

static void overwrite(const struct fixture *f, off_t at, const void *data, size_t len)
{
    char path[128];
    int fd;

    path_of(f, path);
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, at), len);
    close(fd);
}

static void a_sound_file_passes(void **state)
{
    struct fixture *f = *state;
    struct page_file_facts facts;
    struct err err = {0};

    fill_and_close(f);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
    assert_true(facts.last_page > 100);
    assert_int_equal(facts.page_bytes, sysconf(_SC_PAGESIZE));
    fixture_open(f);
}

static void a_file_that_is_not_there_is_not_found(void **state)
{
    struct page_file_facts facts;
    struct err err = {0};

    (void)state;
    assert_int_equal(page_file_check("/nonexistent/data.mdb", &facts, &err), STATUS_NOT_FOUND);
    assert_string_equal(err.text, "/nonexistent/data.mdb: No such file or directory");
}

static void a_file_cut_short_at_any_page_is_refused(void **state)
{
    struct fixture *f = *state;
    struct page_file_facts facts;
    struct err err = {0};
    struct stat st;
    char path[128];

    fill_and_close(f);
    path_of(f, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
    for (off_t pages = st.st_size / facts.page_bytes; pages-- > 0;) {
        enum status s;

        assert_int_equal(truncate(path, pages * facts.page_bytes), 0);
        s = check(f, &facts, &err);
        /* Free pages at the end may be missing; the store is whole without them. */
        assert_true(s == STATUS_CORRUPT || s == STATUS_OK);
        if (s == STATUS_OK) {
            fixture_open(f);
            store_close(f->store);
            f->store = NULL;
        } else {
            assert_refused(f, STATUS_CORRUPT);
        }
    }
    assert_int_equal(truncate(path, 1), 0);
    assert_refused(f, STATUS_CORRUPT);
}

static void garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t garbage[65536];
    struct prng prng;

    fill_and_close(f);
    prng_seed(&prng, 1);
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (uint8_t)prng_next(&prng);
    overwrite(f, 0, garbage, sizeof(garbage));
    assert_refused(f, STATUS_CORRUPT);
}

/* Whatever is in the first two pages, the answer is a status. */
static void bent_metas_crash_nothing(void **state)
{
    struct fixture *f = *state;
    struct page_file_facts facts;
    uint8_t metas[8192];
    struct err err = {0};
    char path[128];
    int fd;

    fill_and_close(f);
    path_of(f, path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0 && pread(fd, metas, sizeof(metas), 0) == (ssize_t)sizeof(metas));
    for (unsigned page = 0; page < 2; page++)
        for (unsigned bit = 0; bit < 152 * 8; bit++) {
            size_t at = page * 4096 + bit / 8;
            uint8_t bent = metas[at] ^ (uint8_t)(1 << bit % 8);
            enum status s;

            assert_int_equal(pwrite(fd, &bent, 1, (off_t)at), 1);
            s = check(f, &facts, &err);
            assert_true(s == STATUS_OK || s == STATUS_CORRUPT || s == STATUS_VERSION);
            assert_int_equal(pwrite(fd, &metas[at], 1, (off_t)at), 1);
        }
    close(fd);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
}

static void a_table_whose_root_is_overwritten_is_refused(void **state)
{
    struct fixture *f = *state;
    struct page_file_facts facts;
    static const uint8_t zeros[4096];
    struct err err = {0};
    unsigned refused = 0;
    uint8_t kept[4096];
    char path[128];
    int fd;

    fill_and_close(f);
    path_of(f, path);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (uint64_t page = 2; page <= facts.last_page; page++) {
        off_t at = (off_t)page * 4096;

        if (pread(fd, kept, sizeof(kept), at) != (ssize_t)sizeof(kept))
            break;
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), at), sizeof(zeros));
        refused += check(f, &facts, &err) == STATUS_CORRUPT;
        assert_int_equal(pwrite(fd, kept, sizeof(kept), at), sizeof(kept));
    }
    close(fd);
    assert_true(refused >= 3); /* the directory of tables, and the roots of those with rows */
}

/* ---- deeper ---- */

struct whole {
    size_t len;
    uint8_t *bytes;
    int fd;
};

static struct whole read_whole(const struct fixture *f)
{
    struct whole w = {0};
    struct stat st;
    char path[128];

    path_of(f, path);
    w.fd = open(path, O_RDWR);
    assert_true(w.fd >= 0);
    assert_int_equal(fstat(w.fd, &st), 0);
    w.len = (size_t)st.st_size;
    w.bytes = malloc(w.len);
    assert_non_null(w.bytes);
    assert_int_equal(pread(w.fd, w.bytes, w.len, 0), w.len);
    return w;
}

static void count_page(void *context, uint64_t page)
{
    assert_true(page >= 2);
    ++*(unsigned *)context;
}

static void each_page_of_a_sound_file_is_in_order(void **state)
{
    struct fixture *f = *state;
    struct page_file_facts facts;
    struct err err = {0};
    unsigned pages = 0;
    char path[128];

    fill_and_close(f);
    path_of(f, path);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
    if (page_file_check_trees(path, facts.transaction, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    assert_int_equal(page_file_each_tree_page(path, facts.transaction, count_page, &pages, &err),
                     STATUS_OK);
    assert_true(pages > 20 && pages < facts.last_page);
    assert_int_equal(page_file_check_trees(path, facts.transaction - 2, &err), STATUS_MISMATCH);
}

/* Bits, bytes and whole pages: every answer is a status, and most damage is seen. */
static void a_file_bent_anywhere_crashes_nothing(void **state)
{
    struct fixture *f = *state;
    struct page_file_facts facts;
    struct prng prng;
    struct err err = {0};
    struct whole w;
    unsigned pages = 0, seen = 0;
    char path[128];

    fill_and_close(f);
    path_of(f, path);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
    w = read_whole(f);
    prng_seed(&prng, 7);
    for (unsigned round = 0; round < 3000; round++) {
        size_t page = 2 + prng_below(&prng, w.len / 4096 - 2);
        size_t at = page * 4096 + prng_below(&prng, round % 2 ? 64 : 4096), len = 1;
        uint8_t bent[4096];
        enum status s;

        memcpy(bent, w.bytes + at, 1);
        bent[0] ^= (uint8_t)(1 << prng_below(&prng, 8));
        if (round % 50 == 0) {
            at = page * 4096;
            len = sizeof(bent);
            for (size_t i = 0; i < len; i++)
                bent[i] = (uint8_t)prng_next(&prng);
        }
        assert_int_equal(pwrite(w.fd, bent, len, (off_t)at), len);
        s = page_file_check_trees(path, facts.transaction, &err);
        assert_true(s == STATUS_OK || s == STATUS_CORRUPT);
        seen += s == STATUS_CORRUPT;
        s = page_file_each_tree_page(path, facts.transaction, count_page, &pages, &err);
        assert_true(s == STATUS_OK || s == STATUS_CORRUPT);
        assert_int_equal(pwrite(w.fd, w.bytes + at, len, (off_t)at), len);
    }
    assert_true(seen > 10); /* most of the file is content, which has checks of its own */
    assert_int_equal(page_file_check_trees(path, facts.transaction, &err), STATUS_OK);
    close(w.fd);
    free(w.bytes);
}

static void a_page_that_is_damaged_under_an_open_store_is_found(void **state)
{
    struct fixture *f = *state;
    static const uint8_t zeros[16];
    struct page_file_facts facts;
    struct err err = {0};
    unsigned found = 0;
    struct txn *txn;
    struct whole w;

    fill_and_close(f);
    assert_int_equal(check(f, &facts, &err), STATUS_OK);
    fixture_open(f);
    w = read_whole(f);
    txn = fixture_read(f);
    if (txn_check_pages(txn, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    for (size_t page = 2; page < w.len / facts.page_bytes; page++) {
        off_t at = (off_t)(page * facts.page_bytes);

        assert_int_equal(pwrite(w.fd, zeros, sizeof(zeros), at), sizeof(zeros));
        found += txn_check_pages(txn, &err) == STATUS_CORRUPT;
        assert_int_equal(pwrite(w.fd, w.bytes + at, sizeof(zeros), at), sizeof(zeros));
    }
    assert_true(found > 30); /* each in use, first ones of several; the others are free */
    txn_abort(txn);
    close(w.fd);
    free(w.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_sound_file_passes),
        cmocka_unit_test(a_file_that_is_not_there_is_not_found),
        STORE_TEST(a_file_cut_short_at_any_page_is_refused),
        STORE_TEST(garbage_is_refused),
        STORE_TEST(bent_metas_crash_nothing),
        STORE_TEST(a_table_whose_root_is_overwritten_is_refused),
        STORE_TEST(each_page_of_a_sound_file_is_in_order),
        STORE_TEST(a_file_bent_anywhere_crashes_nothing),
        STORE_TEST(a_page_that_is_damaged_under_an_open_store_is_found),
    };

    return cmocka_run_group_tests_name("storage/page_file", tests, NULL, NULL);
}

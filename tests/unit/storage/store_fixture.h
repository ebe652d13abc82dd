/*
 * store_fixture: a store in a directory of its own, for unit tests: made in setup, removed in
 * teardown, reopened in between. Include it after nothing else; it brings cmocka with it.
 */
#pragma once

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/must.h"
#include "storage/fault.h"
#include "storage/store.h"
#include "storage/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FIXTURE_NOW_MS INT64_C(1763643600000)

struct fixture {
    char dir[64];
    struct store *store;
    size_t map_bytes;
    int64_t now_ms; /* one more with each write transaction */
    uint64_t seed;
};

static inline int fixture_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void fixture_remove_dir(const char *dir)
{
    (void)nftw(dir, fixture_unlink, 16, FTW_DEPTH | FTW_PHYS); /* a leftover harms nobody */
}

static inline enum status fixture_try_open(struct fixture *f, enum store_mode mode,
                                           struct store **ret_store, struct err *err)
{
    struct store_options options = {.dir = f->dir, .mode = mode, .map_bytes = f->map_bytes};

    return store_open(&options, ret_store, err);
}

static inline void fixture_open(struct fixture *f)
{
    struct err err = {0};

    if (fixture_try_open(f, STORE_SERVE, &f->store, &err) != STATUS_OK)
        fail_msg("%s", err.text);
}

static inline void fixture_reopen(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
    fixture_open(f);
}

/* `map_bytes`: the initial map; 0: the usual one. */
static inline int fixture_setup_map(void **state, size_t map_bytes)
{
    struct fixture *f = calloc(1, sizeof(*f));

    must(f != NULL);
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/postern-unit-XXXXXX");
    must(mkdtemp(f->dir) != NULL);
    f->map_bytes = map_bytes;
    f->now_ms = FIXTURE_NOW_MS;
    *state = f;
    fixture_open(f);
    return 0;
}

static inline int fixture_setup(void **state)
{
    return fixture_setup_map(state, 0);
}

/* A map that some dozens of rows fill. */
#define SMALL_MAP_BYTES ((size_t)256 * 1024)
static inline int fixture_setup_small_map(void **state)
{
    return fixture_setup_map(state, SMALL_MAP_BYTES);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    fixture_remove_dir(f->dir);
    free(f);
    return 0;
}

static inline struct txn *fixture_write(struct fixture *f)
{
    struct txn *txn;

    assert_int_equal(txn_write(f->store, f->now_ms++, ++f->seed, &txn), STATUS_OK);
    return txn;
}

static inline struct txn *fixture_read(struct fixture *f)
{
    struct txn *txn;

    assert_int_equal(txn_read(f->store, &txn), STATUS_OK);
    return txn;
}

static inline void fixture_commit(struct txn *txn)
{
    assert_int_equal(txn_commit(txn), STATUS_OK);
}

#define assert_bytes_equal(view, text)                                                             \
    do {                                                                                           \
        struct bytes view_ = (view), text_ = bytes_of_str(text);                                   \
        assert_int_equal(view_.len, text_.len);                                                    \
        assert_memory_equal(view_.data, text_.data, text_.len);                                    \
    } while (0)

#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

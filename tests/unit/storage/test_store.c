/* store: opening and refusing, transactions, ids, types, counters, the map, two processes. */
#include "tests/unit/storage/store_fixture.h"

#include "storage/txn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct bytes K(const char *text) {
    return bytes_of_str(text);
}

/* ---- opening ---- */

static void
a_new_store_is_there_after_reopening(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct store_stat stat;

    table_put(txn, TABLE_REPORTS, K("a"), K("\001row"));
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 1);
    assert_int_equal(store_stat(txn, &stat), STATUS_OK);
    assert_int_equal(stat.format_version, FORMAT_VERSION);
    assert_int_equal(stat.table_count, TABLE_COUNT);
    assert_true(stat.used_bytes > 0 && stat.used_bytes < stat.map_bytes);
    assert_int_equal(stat.readers, 1);
    txn_abort(txn);
}

static void the_directory_is_closed_to_others(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/store", f->dir);
    assert_int_equal(chmod(path, 0755), 0);
    fixture_reopen(f);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    (void)snprintf(path, sizeof(path), "%s/store/data.mdb", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void missing_directories_are_made(void **state)
{
    struct fixture *f = *state, deep = {.now_ms = 1};

    (void)snprintf(deep.dir, sizeof(deep.dir), "%.40s/x/y", f->dir);
    fixture_open(&deep);
    store_close(deep.store);
}

static void a_second_server_is_told_who_holds_the_store(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store *second;
    char pid[32];

    (void)snprintf(pid, sizeof(pid), "(pid %ld)", (long)getpid());
    assert_int_equal(fixture_try_open(f, STORE_SERVE, &second, &err), STATUS_BUSY);
    assert_null(second);
    assert_non_null(strstr(err.text, pid));
}

static void a_tool_finds_no_store_where_none_is(void **state)
{
    struct fixture *f = *state, none = *f;
    struct err err = {0};
    struct store *store;

    (void)snprintf(none.dir, sizeof(none.dir), "%.40s/nothing", f->dir);
    assert_int_equal(fixture_try_open(&none, STORE_TOOL, &store, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, "nothing/store"));
}

static void a_store_of_another_user_is_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store *store;

    if (geteuid() != 0) {
        print_message("skipped: only root can become another user\n");
        skip();
    }
    assert_int_equal(chmod(f->dir, 0755), 0);
    assert_int_equal(seteuid(65534), 0);
    assert_int_equal(fixture_try_open(f, STORE_TOOL, &store, &err), STATUS_DENIED);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(err.text, "belongs to user 0, and this process runs as user 65534"));
}

static void a_lock_file_made_by_root_belongs_to_the_stores_user(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct err err = {0};
    struct stat st;
    char path[128];

    if (geteuid() != 0) {
        print_message("skipped: only root makes files that others cannot open\n");
        skip();
    }
    store_close(f->store);
    f->store = NULL;
    (void)snprintf(path, sizeof(path), "%s/store/data.mdb", f->dir);
    assert_int_equal(chown(path, 65534, 65534), 0);
    (void)snprintf(path, sizeof(path), "%s/store/lock.mdb", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fixture_try_open(f, STORE_TOOL, &store, &err), STATUS_OK);
    store_close(store);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 65534);
}

static void another_format_is_refused_and_left_alone(struct fixture *f, uint32_t version,
                                                     const char *word)
{
    struct txn *txn = fixture_write(f);
    struct err err = {0};
    struct stat before, after;
    char path[128];

    meta_format_put(txn, version);
    fixture_commit(txn);
    store_close(f->store);
    f->store = NULL;
    (void)snprintf(path, sizeof(path), "%s/store/data.mdb", f->dir);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(fixture_try_open(f, STORE_SERVE, &f->store, &err), STATUS_VERSION);
    assert_non_null(strstr(err.text, word));
    assert_int_equal(fixture_try_open(f, STORE_TOOL, &f->store, &err), STATUS_VERSION);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    assert_int_equal(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
    assert_int_equal(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
}

static void a_newer_format_is_refused(void **state)
{
    another_format_is_refused_and_left_alone(*state, FORMAT_VERSION + 1, "newer");
}

static void a_format_that_is_too_old_is_refused(void **state)
{
    another_format_is_refused_and_left_alone(*state, FORMAT_VERSION_MIN - 1, "older");
}

static void a_store_made_halfway_is_made_anew(void **state)
{
    struct fixture *f = *state, other = {.now_ms = 1};
    char path[128];
    int fd;

    (void)snprintf(other.dir, sizeof(other.dir), "%.40s/other", f->dir);
    assert_int_equal(mkdir(other.dir, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/store.new", other.dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/store.new/data.mdb", other.dir);
    fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0 && write(fd, "half", 4) == 4);
    close(fd);
    fixture_open(&other);
    store_close(other.store);
}

static void an_emptied_store_directory_is_never_taken_for_a_new_one(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char path[128];

    store_close(f->store);
    f->store = NULL;
    (void)snprintf(path, sizeof(path), "%s/store/data.mdb", f->dir);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(fixture_try_open(f, STORE_SERVE, &f->store, &err), STATUS_CORRUPT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fixture_try_open(f, STORE_SERVE, &f->store, &err), STATUS_CORRUPT);
    assert_non_null(strstr(err.text, "restore a backup"));
}

static void a_read_only_store_reads(void **state)
{
    struct fixture *f = *state;
    struct store *store;
    struct err err = {0};
    struct txn *txn = fixture_write(f);

    table_put(txn, TABLE_REPORTS, K("a"), K("\001row"));
    fixture_commit(txn);
    store_close(f->store);
    f->store = NULL;
    assert_int_equal(fixture_try_open(f, STORE_READ_ONLY, &store, &err), STATUS_OK);
    assert_int_equal(txn_read(store, &txn), STATUS_OK);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 1);
    txn_abort(txn);
    store_close(store);
}

/* ---- transactions ---- */

static void what_was_aborted_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct bytes row;

    table_put(txn, TABLE_REPORTS, K("a"), K("\001row"));
    txn_abort(txn);
    txn = fixture_read(f);
    assert_int_equal(table_get(txn, TABLE_REPORTS, K("a"), &row), STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void a_reader_sees_the_store_as_it_was_when_it_began(void **state)
{
    struct fixture *f = *state;
    struct txn *reader = fixture_read(f), *writer = fixture_write(f);

    table_put(writer, TABLE_REPORTS, K("a"), K("\001row"));
    fixture_commit(writer);
    assert_int_equal(table_rows(reader, TABLE_REPORTS), 0);
    txn_abort(reader);
    reader = fixture_read(f); /* the same one, renewed */
    assert_int_equal(table_rows(reader, TABLE_REPORTS), 1);
    txn_abort(reader);
}

static void an_aborted_child_undoes_its_part_only(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f), *child;
    struct bytes row;

    table_put(txn, TABLE_REPORTS, K("a"), K("\001parent"));
    counter_add(txn, COUNTER_ATTEMPTS, 1);
    assert_int_equal(txn_nest(txn, &child), STATUS_OK);
    table_put(child, TABLE_REPORTS, K("a"), K("\001child"));
    table_put(child, TABLE_REPORTS, K("b"), K("\001child"));
    counter_add(child, COUNTER_ATTEMPTS, 10);
    assert_int_equal(counter_get(child, COUNTER_ATTEMPTS), 11);
    txn_abort(child);
    assert_int_equal(table_get(txn, TABLE_REPORTS, K("a"), &row), STATUS_OK);
    assert_bytes_equal(row, "\001parent");
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 1);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 1);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 1);
    txn_abort(txn);
}

static void a_committed_child_is_part_of_its_parent(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f), *child;
    uint64_t generation = txn_generation(txn);

    assert_int_equal(txn_nest(txn, &child), STATUS_OK);
    table_put(child, TABLE_REPORTS, K("b"), K("\001child"));
    counter_add(child, COUNTER_ATTEMPTS, 10);
    txn_bump_generation(child);
    fixture_commit(child);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 10);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 1);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 10);
    assert_int_equal(txn_generation(txn), generation + 1);
    txn_abort(txn);
}

static void a_fault_of_a_child_sticks_to_its_parent(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f), *child;

    assert_int_equal(txn_nest(txn, &child), STATUS_OK);
    txn_fail(child, STATUS_IO);
    txn_abort(child);
    assert_int_equal(txn_status(txn), STATUS_IO);
    assert_int_equal(txn_commit(txn), STATUS_IO);
}

static void after_a_fault_nothing_is_done_and_nothing_is_stored(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct bytes row;

    table_put(txn, TABLE_REPORTS, K("a"), K("\001row"));
    fault_arm(1, STATUS_NO_SPACE);
    table_put(txn, TABLE_REPORTS, K("b"), K("\001row"));
    assert_true(fault_disarm());
    assert_int_equal(table_get(txn, TABLE_REPORTS, K("a"), &row), STATUS_NO_SPACE);
    assert_int_equal(txn_status(txn), STATUS_NO_SPACE);
    assert_int_equal(txn_commit(txn), STATUS_NO_SPACE);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 0);
    txn_abort(txn);
}

/* ---- ids, generation, types, counters ---- */

static void ids_grow_over_restarts_and_a_clock_that_goes_back(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct uuid last = txn_uuid(txn), next;

    fixture_commit(txn);
    for (int i = 0; i < 10; i++) {
        fixture_reopen(f);
        f->now_ms -= HOUR_MS;
        txn = fixture_write(f);
        for (int k = 0; k < 5; k++) {
            next = txn_uuid(txn);
            assert_true(uuid_compare(&last, &next) < 0);
            last = next;
        }
        fixture_commit(txn);
    }
}

static void the_same_transaction_hands_out_the_same_ids(void **state)
{
    struct fixture *f = *state;
    struct uuid ids[2];

    for (int i = 0; i < 2; i++) {
        struct txn *txn;

        assert_int_equal(txn_write(f->store, FIXTURE_NOW_MS, 42, &txn), STATUS_OK);
        ids[i] = txn_uuid(txn);
        txn_abort(txn);
    }
    assert_int_equal(uuid_compare(&ids[0], &ids[1]), 0);
}

static void ids_of_an_aborted_child_are_not_handed_out_again(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f), *child;
    struct uuid lost, next;

    assert_int_equal(txn_nest(txn, &child), STATUS_OK);
    lost = txn_uuid(child);
    txn_abort(child);
    next = txn_uuid(txn);
    assert_true(uuid_compare(&lost, &next) < 0);
    fixture_commit(txn);
}

static void a_type_keeps_its_number(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    struct type_row a, b, again;

    assert_int_equal(type_register(txn, "workorder", "wo", &a), STATUS_OK);
    assert_int_equal(type_register(txn, "vendor", "ven", &b), STATUS_OK);
    assert_int_not_equal(a.number, b.number);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_write(f);
    assert_int_equal(type_register(txn, "workorder", "wo", &again), STATUS_OK);
    assert_int_equal(again.number, a.number);
    assert_int_equal(type_find(txn, K("vendor"), &again), STATUS_OK);
    assert_int_equal(again.number, b.number);
    assert_int_equal(type_at(txn, a.number, &again), STATUS_OK);
    assert_string_equal(again.name, "workorder");
    assert_string_equal(again.id_prefix, "wo");
    assert_int_equal(type_find(txn, K("nothing"), &again), STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void more_counters_than_a_transaction_gathers_are_all_kept(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);

    for (uint32_t i = 0; i < 3 * DELTAS_MAX; i++)
        counter_group_add(txn, COUNTERS_ENDPOINT_PENDING, i, i + 1);
    counter_group_add(txn, COUNTERS_ENDPOINT_PENDING, 0, -100);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(counter_group_get(txn, COUNTERS_ENDPOINT_PENDING, 0), 0);
    for (uint32_t i = 1; i < 3 * DELTAS_MAX; i++)
        assert_int_equal(counter_group_get(txn, COUNTERS_ENDPOINT_PENDING, i), i + 1);
    txn_abort(txn);
}

static void numbers_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);

    assert_int_equal(txn_next_number(txn, "next_thing"), 1);
    assert_int_equal(txn_next_number(txn, "next_thing"), 2);
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_write(f);
    assert_int_equal(txn_next_number(txn, "next_thing"), 3);
    txn_abort(txn);
}

/* ---- the map ---- */

static enum status put_megabyte(struct fixture *f, unsigned number)
{
    static uint8_t row[1 << 20] = {1};
    struct txn *txn = fixture_write(f);
    uint8_t key[4];

    put_be32(key, number);
    table_put(txn, TABLE_REPORTS, bytes_of(key, sizeof(key)), bytes_of(row, sizeof(row)));
    return txn_commit(txn);
}

static void a_full_map_grows_and_stays_grown(void **state)
{
    struct fixture *f = *state;
    unsigned growths = 0;

    for (unsigned i = 0; i < 8; i++) {
        enum status s;

        while ((s = put_megabyte(f, i)) == STATUS_MAP_FULL && growths++ < 20)
            assert_int_equal(store_grow(f->store), STATUS_OK);
        assert_int_equal(s, STATUS_OK);
    }
    assert_true(growths > 2 && growths < 10);
    fixture_reopen(f); /* asks for the small map again: the larger store wins */
    assert_int_equal(put_megabyte(f, 0), STATUS_OK);
}

static void readers_go_on_after_the_map_has_moved(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_read(f);
    struct bytes row;

    txn_abort(txn);
    while (put_megabyte(f, 1) == STATUS_MAP_FULL)
        assert_int_equal(store_grow(f->store), STATUS_OK);
    txn = fixture_read(f);
    assert_int_equal(table_get(txn, TABLE_REPORTS, bytes_of("\0\0\0\1", 4), &row), STATUS_OK);
    assert_int_equal(row.len, 1 << 20);
    txn_abort(txn);
}

struct reading {
    pthread_t thread;
    struct store *store;
    atomic_bool is_over;
    unsigned rounds;
};

static void *read_until_over(void *context)
{
    struct reading *r = context;

    while (!atomic_load(&r->is_over) || r->rounds == 0) {
        struct bytes row;
        struct txn *txn;

        must(txn_read(r->store, &txn) == STATUS_OK);
        must(table_get(txn, TABLE_REPORTS, bytes_of("\0\0\0\1", 4), &row) == STATUS_OK);
        must(row.len == 1 << 20 && row.data[0] == 1);
        txn_abort(txn);
        r->rounds++;
    }
    return NULL;
}

static void the_map_grows_while_threads_read(void **state)
{
    struct fixture *f = *state;
    struct reading readers[4];

    while (put_megabyte(f, 1) == STATUS_MAP_FULL)
        assert_int_equal(store_grow(f->store), STATUS_OK);
    for (unsigned i = 0; i < 4; i++) {
        readers[i] = (struct reading){.store = f->store};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_until_over, &readers[i]), 0);
    }
    for (unsigned i = 2; i < 16; i++) {
        enum status s;

        while ((s = put_megabyte(f, i)) == STATUS_MAP_FULL)
            assert_int_equal(store_grow(f->store), STATUS_OK);
        assert_int_equal(s, STATUS_OK);
    }
    for (unsigned i = 0; i < 4; i++) {
        atomic_store(&readers[i].is_over, true);
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_true(readers[i].rounds > 0);
    }
}

/* ---- the disk ---- */

static void a_full_disk_is_said_and_passes(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, tight;
    struct stat st;
    struct txn *txn;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/store/data.mdb", f->dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)st.st_size;
    must(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(put_megabyte(f, 1), STATUS_NO_SPACE);
    assert_int_equal(put_megabyte(f, 1), STATUS_NO_SPACE);
    txn = fixture_read(f); /* reading goes on */
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 0);
    txn_abort(txn);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(put_megabyte(f, 1), STATUS_OK); /* as does writing, once there is room */
}

/* LMDB's descriptor for meta pages: the one that is opened for synchronous writing. */
static int meta_descriptor(void)
{
    for (int fd = 3; fd < 256; fd++) {
        char path[64], target[256];
        int flags = fcntl(fd, F_GETFL);
        ssize_t len;

        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        len = readlink(path, target, sizeof(target) - 1);
        if (flags < 0 || len < 0 || (flags & O_DSYNC) == 0)
            continue;
        target[len] = '\0';
        if (strstr(target, "/data.mdb") != NULL)
            return fd;
    }
    return -1;
}

/* After this LMDB refuses everything, readers too, until the environment is opened anew. */
static void a_commit_that_fails_at_the_meta_page_is_recovered_from(void **state)
{
    struct fixture *f = *state;
    int meta = meta_descriptor(), broken = open("/dev/null", O_RDONLY);
    struct txn *txn = fixture_write(f);

    assert_true(meta >= 0 && broken >= 0);
    table_put(txn, TABLE_REPORTS, K("a"), K("\001row"));
    assert_int_equal(dup2(broken, meta), meta);
    close(broken);
    assert_int_equal(txn_commit(txn), STATUS_IO);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 0);
    txn_abort(txn);
    txn = fixture_write(f);
    table_put(txn, TABLE_REPORTS, K("b"), K("\001row"));
    fixture_commit(txn);
    fixture_reopen(f);
    txn = fixture_read(f);
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 1);
    txn_abort(txn);
}

/* ---- two processes ---- */

/* In a child process, a tool on the same store; exits 0 where `work` answers fine. */
static pid_t as_tool(struct fixture *f, enum status (*work)(struct fixture *tool))
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture tool = {.map_bytes = f->map_bytes, .now_ms = f->now_ms};
        struct err err = {0};
        enum status s;

        memcpy(tool.dir, f->dir, sizeof(tool.dir));
        s = fixture_try_open(&tool, STORE_TOOL, &tool.store, &err);
        if (s == STATUS_OK)
            s = work(&tool);
        else
            (void)fprintf(stderr, "# %s\n", err.text);
        _exit(s == STATUS_OK ? 0 : 1);
    }
    return pid;
}

static void assert_tool_succeeds(pid_t pid)
{
    int how;

    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
}

static enum status grow_and_put(struct fixture *tool)
{
    enum status s;

    while ((s = put_megabyte(tool, 7)) == STATUS_MAP_FULL)
        if ((s = store_grow(tool->store)) != STATUS_OK)
            return s;
    return s;
}

/* The fork comes before the store is opened: LMDB's environments do not survive one. */
static void a_map_that_a_tool_has_grown_is_adopted(void **state)
{
    struct fixture *f = *state;
    struct bytes row;
    struct txn *txn;

    store_close(f->store);
    f->store = NULL;
    {
        int go[2];
        pid_t pid;

        assert_int_equal(pipe(go), 0);
        pid = fork();
        if (pid == 0) {
            char c;
            struct fixture tool = *f;
            struct err err = {0};

            close(go[1]);
            if (read(go[0], &c, 1) != 1 ||
                fixture_try_open(&tool, STORE_TOOL, &tool.store, &err) != STATUS_OK ||
                grow_and_put(&tool) != STATUS_OK)
                _exit(1);
            _exit(0);
        }
        fixture_open(f);
        txn = fixture_read(f); /* leaves an idle reader behind */
        txn_abort(txn);
        assert_int_equal(write(go[1], "x", 1), 1);
        assert_tool_succeeds(pid);
        close(go[0]);
        close(go[1]);
    }
    txn = fixture_read(f);
    assert_int_equal(table_get(txn, TABLE_REPORTS, bytes_of("\0\0\0\7", 4), &row), STATUS_OK);
    assert_int_equal(row.len, 1 << 20);
    txn_abort(txn);
    txn = fixture_write(f);
    table_put(txn, TABLE_REPORTS, K("a"), K("\001row"));
    fixture_commit(txn);
}

static enum status add_hundred(struct fixture *f)
{
    for (int i = 0; i < 100; i++) {
        struct txn *txn;
        enum status s = txn_write(f->store, f->now_ms, (uint64_t)i, &txn);

        if (s != STATUS_OK)
            return s;
        (void)txn_uuid(txn);
        (void)txn_next_number(txn, "next_thing");
        counter_add(txn, COUNTER_ATTEMPTS, 1);
        s = txn_commit(txn);
        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

static void a_server_and_a_tool_write_side_by_side(void **state)
{
    struct fixture *f = *state;
    struct txn *txn;
    pid_t pid;

    store_close(f->store);
    f->store = NULL;
    pid = as_tool(f, add_hundred);
    fixture_open(f);
    assert_int_equal(add_hundred(f), STATUS_OK);
    assert_tool_succeeds(pid);
    txn = fixture_write(f);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 200);
    assert_int_equal(txn_next_number(txn, "next_thing"), 201);
    txn_abort(txn);
}

static enum status die_with_a_transaction_open(struct fixture *tool)
{
    struct txn *reader = fixture_read(tool), *writer = fixture_write(tool);

    (void)reader;
    table_put(writer, TABLE_REPORTS, K("lost"), K("\001row"));
    _exit(0);
}

static void a_tool_that_dies_in_a_transaction_leaves_nothing_behind(void **state)
{
    struct fixture *f = *state;
    struct store_stat stat;
    struct txn *txn;
    pid_t pid;

    if (getenv("LD_PRELOAD") != NULL && strstr(getenv("LD_PRELOAD"), "vgpreload") != NULL)
        skip(); /* valgrind has no robust mutexes: the kernel is not told whose lock is left */
    store_close(f->store);
    f->store = NULL;
    pid = as_tool(f, die_with_a_transaction_open);
    assert_tool_succeeds(pid);
    fixture_open(f);
    txn = fixture_write(f); /* its lock is taken over */
    assert_int_equal(table_rows(txn, TABLE_REPORTS), 0);
    txn_abort(txn);
    txn = fixture_read(f);
    assert_int_equal(store_stat(txn, &stat), STATUS_OK);
    assert_int_equal(stat.readers, 1); /* ours: its slot was cleared */
    txn_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_new_store_is_there_after_reopening),
        STORE_TEST(the_directory_is_closed_to_others),
        STORE_TEST(missing_directories_are_made),
        STORE_TEST(a_second_server_is_told_who_holds_the_store),
        STORE_TEST(a_tool_finds_no_store_where_none_is),
        STORE_TEST(a_store_of_another_user_is_refused),
        STORE_TEST(a_lock_file_made_by_root_belongs_to_the_stores_user),
        STORE_TEST(a_newer_format_is_refused),
        STORE_TEST(a_format_that_is_too_old_is_refused),
        STORE_TEST(a_store_made_halfway_is_made_anew),
        STORE_TEST(an_emptied_store_directory_is_never_taken_for_a_new_one),
        STORE_TEST(a_read_only_store_reads),
        STORE_TEST(what_was_aborted_is_not_there),
        STORE_TEST(a_reader_sees_the_store_as_it_was_when_it_began),
        STORE_TEST(an_aborted_child_undoes_its_part_only),
        STORE_TEST(a_committed_child_is_part_of_its_parent),
        STORE_TEST(a_fault_of_a_child_sticks_to_its_parent),
        STORE_TEST(after_a_fault_nothing_is_done_and_nothing_is_stored),
        STORE_TEST(ids_grow_over_restarts_and_a_clock_that_goes_back),
        STORE_TEST(the_same_transaction_hands_out_the_same_ids),
        STORE_TEST(ids_of_an_aborted_child_are_not_handed_out_again),
        STORE_TEST(a_type_keeps_its_number),
        STORE_TEST(more_counters_than_a_transaction_gathers_are_all_kept),
        STORE_TEST(numbers_are_never_given_twice),
        cmocka_unit_test_setup_teardown(a_full_map_grows_and_stays_grown, fixture_setup_small_map,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(readers_go_on_after_the_map_has_moved,
                                        fixture_setup_small_map, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_map_grows_while_threads_read, fixture_setup_small_map,
                                        fixture_teardown),
        STORE_TEST(a_full_disk_is_said_and_passes),
        STORE_TEST(a_commit_that_fails_at_the_meta_page_is_recovered_from),
        cmocka_unit_test_setup_teardown(a_map_that_a_tool_has_grown_is_adopted,
                                        fixture_setup_small_map, fixture_teardown),
        STORE_TEST(a_server_and_a_tool_write_side_by_side),
        STORE_TEST(a_tool_that_dies_in_a_transaction_leaves_nothing_behind),
    };

    return cmocka_run_group_tests_name("storage/store", tests, NULL, NULL);
}

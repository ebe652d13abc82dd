/*
 * store: opening, creating and closing the environment, and its map.
 *
 * Opening, in this order, so that nothing is touched that is not understood: the lock (server
 * only); the directory's owner and mode; the data file as page_file sees it; LMDB; the format's
 * version; the tables. A new store is made whole in DIR/store.new and renamed, so that an empty or
 * half-made DIR/store is always damage and never mistaken for a new one.
 *
 * The map moves under the exclusive map_lock, when no transaction of this process is open: growth,
 * another process's growth, and reopening. LMDB unmaps before it maps, and is left without a map
 * when the second fails; the environment is then closed, and the next transaction tries to open it
 * again.
 *
 * To migrate an older format, start at format_check.
 */
#include "storage/txn.h"

#include "base/must.h"
#include "storage/data_dir.h"
#include "storage/fault.h"
#include "storage/page_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAP_BYTES_DEFAULT ((size_t)1 << 30)
#define READERS_DEFAULT 512
#define MAP_UNIT ((size_t)64 * 1024) /* a multiple of every page size */
#define FREE_LIST_DBI 0              /* LMDB's own */

static enum status fail_lmdb(struct err *err, const char *what, int rc)
{
    err_set(err, "%s: %s", what, mdb_strerror(rc));
    switch (rc) {
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_DENIED;
    case ENOENT:
        return STATUS_NOT_FOUND;
    default:
        return status_of_lmdb(rc);
    }
}

/* ---- the environment ---- */

static enum status open_table(struct store *store, MDB_txn *txn, enum table table, unsigned flags,
                              struct err *err)
{
    int rc = mdb_dbi_open(txn, TABLE_NAMES[table], flags, &store->dbis[table]);

    if (rc == 0)
        return STATUS_OK;
    err_set(err, "table %s: %s", TABLE_NAMES[table], mdb_strerror(rc));
    return rc == MDB_NOTFOUND ? STATUS_CORRUPT : status_of_lmdb(rc);
}

/* All tables, or the one that has the format's version. */
static enum status open_tables(struct store *store, enum table count, bool can_create,
                               struct err *err)
{
    enum status s = STATUS_OK;
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, can_create ? 0 : MDB_RDONLY, &txn);

    if (rc != 0)
        return fail_lmdb(err, "tables", rc);
    for (enum table t = 0; s == STATUS_OK && t < count; t++)
        s = open_table(store, txn, t, can_create ? MDB_CREATE : 0, err);
    if (s != STATUS_OK) {
        mdb_txn_abort(txn);
        return s;
    }
    rc = commit_lmdb(txn); /* also ends a reader, and keeps the handles */
    return rc == 0 ? STATUS_OK : fail_lmdb(err, "tables", rc);
}

static void env_close(struct store *store)
{
    store_drop_idle_readers(store);
    if (store->env != NULL)
        mdb_env_close(store->env);
    store->env = NULL;
}

static int env_configure(struct store *store)
{
    int rc = mdb_env_create(&store->env);

    if (rc == 0)
        rc = mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(store->env, store->readers_max);
    if (rc == 0)
        rc = mdb_env_set_mapsize(store->env, store->map_bytes);
    return rc;
}

/* LMDB maps its lock file, which it makes with a hole: touching a page of it on a full disk would
 * be a SIGBUS. So the file's blocks are taken beforehand. An existing one is opened only if it has
 * holes, since closing it would drop locks of an environment that this process has open; without
 * room it is left as it is, for the pages in use are there. */
static int reserve_lock_file(const struct store *store)
{
    char lock[PATH_MAX];
    struct stat st;
    off_t bytes =
        ((off_t)store->readers_max + 2) * 64; /* as LMDB will want it: a cache line each */
    bool is_new;

    (void)snprintf(lock, sizeof(lock), "%s/lock.mdb", store->path); /* cut: is not found */
    is_new = stat(lock, &st) != 0 || st.st_size == 0;
    if (store->mode == STORE_READ_ONLY || (!is_new && st.st_blocks * 512 >= st.st_size))
        return 0;
    CLEANUP(closep) int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return 0; /* LMDB says why */
    int rc = posix_fallocate(fd, 0, is_new ? bytes : st.st_size);
    if (rc != 0 && is_new)
        (void)unlink(lock); /* nobody uses it yet */
    return is_new && rc == ENOSPC ? rc : 0;
}

/* A backup in a directory that we may not write to: no lock file can be made, and since there is
 * none, nobody writes there. On a read-only file system LMDB does without by itself. Never where
 * there is a lock file: a writer beside us would use pages again that we still read. */
static unsigned read_only_flags(const struct store *store)
{
    char lock[PATH_MAX];
    struct stat st;

    (void)snprintf(lock, sizeof(lock), "%s/lock.mdb", store->path); /* cut: is not found */
    if (lstat(lock, &st) != 0 && errno == ENOENT &&
        faccessat(AT_FDCWD, store->path, W_OK, AT_EACCESS) != 0)
        return MDB_RDONLY | MDB_NOLOCK;
    return MDB_RDONLY;
}

/* MDB_NOTLS: a reader belongs to its struct txn, not to its thread, so that it can be reused. */
static enum status env_open(struct store *store, struct err *err)
{
    unsigned flags = MDB_NOTLS | (store->mode == STORE_READ_ONLY ? read_only_flags(store) : 0);
    int rc = env_configure(store), dead;

    if (rc == 0)
        rc = reserve_lock_file(store);
    if (rc == 0)
        rc = mdb_env_open(store->env, store->path, flags, 0600);
    if (rc == 0)
        rc = mdb_reader_check(store->env, &dead);
    if (rc == 0)
        return STATUS_OK;
    env_close(store);
    return fail_lmdb(err, store->path, rc);
}

/* A tool that runs as root beside a server that does not must leave it its lock file. */
static void give_lock_file_to_owner(const struct store *store)
{
    char data[PATH_MAX], lock[PATH_MAX];
    struct stat st;

    (void)snprintf(data, sizeof(data), "%s/data.mdb", store->path); /* cut: is not found */
    (void)snprintf(lock, sizeof(lock), "%s/lock.mdb", store->path);
    if (geteuid() == 0 && stat(data, &st) == 0 && st.st_uid != 0 &&
        chown(lock, st.st_uid, st.st_gid) != 0)
        errno = 0; /* the server says so when it cannot open it */
}

static enum status format_check(struct store *store, struct err *err)
{
    CLEANUP(txn_abortp) struct txn *txn = NULL;
    uint32_t version = 0;
    enum status s = txn_read(store, &txn);

    if (s == STATUS_OK)
        s = meta_format_get(txn, &version);
    if (s != STATUS_OK) {
        err_set(err, "%s: the format's version cannot be read: %s", store->path, status_text(s));
        return s == STATUS_NOT_FOUND ? STATUS_CORRUPT : s;
    }
    if (version > FORMAT_VERSION) {
        err_set(err, "%s: made by a newer Postern (format %u; this one knows up to %u)",
                store->path, version, FORMAT_VERSION);
        return STATUS_VERSION;
    }
    if (version < FORMAT_VERSION_MIN) {
        err_set(
            err,
            "%s: made by an older Postern (format %u; this one reads %u): export its records with "
            "the version that made it (`postern records export`) and send them to a new store",
            store->path, version, FORMAT_VERSION_MIN);
        return STATUS_VERSION;
    }
    return STATUS_OK;
}

static enum status open_existing(struct store *store, struct err *err)
{
    char data[PATH_MAX];
    struct page_file_facts facts;
    enum status s = store_dir_check(store->path, store->mode == STORE_SERVE, err);

    if (s != STATUS_OK)
        return s;
    (void)snprintf(data, sizeof(data), "%s/data.mdb", store->path); /* cut: is not found */
    s = page_file_check(data, &facts, err);
    if (s == STATUS_NOT_FOUND && store->mode == STORE_SERVE) {
        err_set(err,
                "%s: missing, though its directory exists; restore a backup, or remove the "
                "directory to begin a new store",
                data);
        return STATUS_CORRUPT;
    }
    if (s != STATUS_OK)
        return s;
    if (store->map_bytes < facts.map_bytes)
        store->map_bytes = facts.map_bytes;
    store->map_bytes = fault_map_bytes(
        store->map_bytes, ((facts.last_page + 1) * facts.page_bytes / MAP_UNIT + 2) * MAP_UNIT);
    s = env_open(store, err);
    if (s == STATUS_OK)
        s = open_tables(store, TABLE_META + 1, false, err);
    if (s == STATUS_OK)
        s = format_check(store, err);
    if (s == STATUS_OK)
        s = open_tables(store, TABLE_COUNT, store->mode == STORE_SERVE, err);
    if (s == STATUS_OK)
        give_lock_file_to_owner(store);
    return s;
}

/* ---- a new store ---- */

static enum status fill_new(struct store *store, struct err *err)
{
    struct txn *txn;
    enum status s = open_tables(store, TABLE_COUNT, true, err);

    if (s != STATUS_OK)
        return s;
    s = txn_write(store, 0, 0, &txn);
    if (s == STATUS_OK) {
        meta_format_put(txn, FORMAT_VERSION);
        s = txn_commit(txn);
    }
    if (s != STATUS_OK)
        err_set(err, "%s", status_text(s));
    return s;
}

static enum status create_at(struct store *store, const char *path_new, struct err *err)
{
    char *path = store->path;
    enum status s = dir_remove(path_new, err); /* what a crash left */

    if (s != STATUS_OK)
        return s;
    if (mkdir(path_new, 0700) != 0) {
        s = status_of_errno(errno);
        err_set(err, "%s: %s", path_new, strerror(errno));
        return s;
    }
    store->path = (char *)(uintptr_t)path_new;
    s = env_open(store, err);
    if (s == STATUS_OK)
        s = fill_new(store, err);
    env_close(store);
    store->path = path;
    if (s == STATUS_OK)
        s = dir_sync(path_new, err);
    if (s == STATUS_OK && rename(path_new, path) != 0) {
        s = status_of_errno(errno);
        err_set(err, "%s: %s", path, strerror(errno));
    }
    return s == STATUS_OK ? dir_sync(store->dir, err) : s;
}

static enum status create_if_missing(struct store *store, struct err *err)
{
    char path_new[PATH_MAX];
    struct stat st;
    enum status s;

    if (lstat(store->path, &st) == 0 || errno != ENOENT)
        return STATUS_OK; /* opening says what is wrong with it */
    (void)snprintf(path_new, sizeof(path_new), "%s.new", store->path); /* cut: cannot be made */
    s = create_at(store, path_new, err);
    if (s != STATUS_OK)
        err_wrap(err, "create the store");
    return s;
}

/* ---- open and close ---- */

static enum status store_new(const struct store_options *options, struct store **ret_store)
{
    struct store *store = calloc(1, sizeof(*store));
    pthread_rwlockattr_t attr;

    *ret_store = store;
    if (store == NULL)
        return STATUS_NO_MEMORY;
    store->lock_fd = -1;
    store->mode = options->mode;
    store->map_bytes = options->map_bytes != 0 ? options->map_bytes : MAP_BYTES_DEFAULT;
    store->map_bytes = (store->map_bytes + MAP_UNIT - 1) / MAP_UNIT * MAP_UNIT;
    store->readers_max = options->readers_max != 0 ? options->readers_max : READERS_DEFAULT;
    /* Or readers that come and go would keep the map from growing for ever. */
    must(pthread_rwlockattr_init(&attr) == 0);
    must(pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0);
    must(pthread_rwlock_init(&store->map_lock, &attr) == 0);
    must(pthread_rwlockattr_destroy(&attr) == 0);
    must(pthread_mutex_init(&store->pool_mutex, NULL) == 0);
    store->dir = strdup(options->dir);
    if (store->dir == NULL || asprintf(&store->path, "%s/store", options->dir) < 0) {
        store->path = NULL;
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

enum status store_open(const struct store_options *options, struct store **ret_store,
                       struct err *err)
{
    struct store *store;
    enum status s = store_new(options, &store);

    *ret_store = NULL;
    if (s == STATUS_OK && store->mode == STORE_SERVE)
        s = data_dir_make(store->dir, err);
    if (s == STATUS_OK && store->mode == STORE_SERVE)
        s = data_dir_lock(store->dir, &store->lock_fd, err);
    if (s == STATUS_OK && store->mode == STORE_SERVE)
        s = create_if_missing(store, err);
    if (s == STATUS_OK)
        s = open_existing(store, err);
    if (s != STATUS_OK) {
        if (s == STATUS_NO_MEMORY)
            err_set(err, "out of memory or address space");
        err_wrap(err, "open store");
        store_close(store);
        return s;
    }
    *ret_store = store;
    return STATUS_OK;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    env_close(store);
    closep(&store->lock_fd);
    pthread_rwlock_destroy(&store->map_lock);
    pthread_mutex_destroy(&store->pool_mutex);
    free(store->path);
    free(store->dir);
    free(store);
}

/* ---- the map ---- */

static bool address_space_has(size_t bytes)
{
    void *trial = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return trial != MAP_FAILED && munmap(trial, bytes) == 0;
}

/* Under the exclusive map_lock. 0: as large as the process that grew it says. */
static enum status set_map(struct store *store, size_t bytes)
{
    int rc;

    pin_drop(store); /* no reader may be open then */
    rc = mdb_env_set_mapsize(store->env, bytes);
    if (rc != 0)
        env_close(store); /* it may have no map now; the next transaction opens it again */
    return status_of_lmdb(rc);
}

enum status store_grow(struct store *store)
{
    enum status s = STATUS_OK;
    MDB_envinfo info;

    pthread_rwlock_wrlock(&store->map_lock);
    fault_point("map_growing");
    if (store->env != NULL) {
        must(mdb_env_info(store->env, &info) == 0);
        if (info.me_mapsize > SIZE_MAX / 4 || !address_space_has(info.me_mapsize * 2))
            s = STATUS_NO_MEMORY;
        else
            store->map_bytes = info.me_mapsize * 2;
        if (s == STATUS_OK)
            s = set_map(store, store->map_bytes);
    }
    fault_point("map_grown");
    pthread_rwlock_unlock(&store->map_lock);
    return s;
}

enum status store_adopt_map(struct store *store)
{
    enum status s = STATUS_OK;

    pthread_rwlock_wrlock(&store->map_lock);
    if (store->env != NULL)
        s = set_map(store, 0);
    pthread_rwlock_unlock(&store->map_lock);
    return s;
}

enum status store_reopen(struct store *store, uint64_t failed_epoch)
{
    enum status s = STATUS_OK;

    pthread_rwlock_wrlock(&store->map_lock);
    if (store->env == NULL || store->epoch == failed_epoch) { /* else another thread was first */
        env_close(store);
        s = env_open(store, NULL);
        if (s == STATUS_OK)
            s = open_tables(store, TABLE_COUNT, false, NULL);
        if (s != STATUS_OK)
            env_close(store);
        store->epoch++;
    }
    pthread_rwlock_unlock(&store->map_lock);
    return status_is_fault(s) || s == STATUS_OK ? s : STATUS_IO;
}

/* ---- looking at it ---- */

enum status txn_check_pages(struct txn *txn, struct err *err)
{
    char data[PATH_MAX];

    must(!txn->is_write);
    (void)snprintf(data, sizeof(data), "%s/data.mdb", txn->store->path); /* it was opened */
    return page_file_check_trees(data, mdb_txn_id(txn->lmdb), err);
}

static enum status stat_tables(struct txn *txn, struct store_stat *stat)
{
    _Static_assert(TABLE_COUNT <= sizeof(stat->tables) / sizeof(stat->tables[0]),
                   "too many tables");
    for (enum table t = 0; t < TABLE_COUNT; t++) {
        MDB_stat s;
        int rc = mdb_stat(txn->lmdb, txn->store->dbis[t], &s);

        if (rc != 0)
            return status_of_lmdb(rc);
        stat->tables[t] = (struct table_stat){
            .name = TABLE_NAMES[t],
            .rows = s.ms_entries,
            .bytes = (s.ms_branch_pages + s.ms_leaf_pages + s.ms_overflow_pages) * s.ms_psize,
        };
    }
    stat->table_count = TABLE_COUNT;
    return STATUS_OK;
}

/* The free list's rows are a count and that many page numbers. Only readers may look at it. */
static uint64_t count_free_pages(struct txn *txn)
{
    MDB_val key, row;
    MDB_cursor *cursor;
    uint64_t pages = 0;

    if (txn->is_write || mdb_cursor_open(txn->lmdb, FREE_LIST_DBI, &cursor) != 0)
        return 0;
    while (mdb_cursor_get(cursor, &key, &row, MDB_NEXT) == 0 && row.mv_size >= sizeof(size_t)) {
        size_t count;

        memcpy(&count, row.mv_data, sizeof(count));
        pages += count;
    }
    mdb_cursor_close(cursor);
    return pages;
}

/* Lines are "pid thread transaction", the last "-" where the slot is idle. */
static int count_reader(const char *line, void *context)
{
    size_t len = strlen(line);
    struct store_stat *stat = context;

    if (len > 2 && line[len - 2] >= '0' && line[len - 2] <= '9')
        stat->readers++;
    return 0;
}

enum status store_stat(struct txn *txn, struct store_stat *ret_stat)
{
    MDB_env *env = txn->store->env;
    enum status s = txn->status;
    MDB_envinfo info;
    MDB_stat stat;

    *ret_stat = (struct store_stat){0};
    if (s == STATUS_OK)
        s = meta_format_get(txn, &ret_stat->format_version);
    if (s == STATUS_OK)
        s = stat_tables(txn, ret_stat);
    if (s != STATUS_OK)
        return s == STATUS_NOT_FOUND ? STATUS_CORRUPT : s;
    must(mdb_env_info(env, &info) == 0 && mdb_env_stat(env, &stat) == 0);
    ret_stat->map_bytes = info.me_mapsize;
    ret_stat->used_bytes = (info.me_last_pgno + 1) * stat.ms_psize;
    ret_stat->free_bytes = count_free_pages(txn) * stat.ms_psize;
    (void)mdb_reader_list(env, count_reader, ret_stat); /* a number to look at */
    return STATUS_OK;
}

/*
 * backup: a copy of the store into a new environment, and the way back.
 *
 * Both are the same copy: every table's rows, in order, from one read transaction of the source,
 * appended to fresh pages. mdb_env_copy would be quicker, and would carry along what LMDB leaves in
 * half-used pages: content that was erased or replaced. A store with damaged pages is refused. Rows
 * are copied as they lie there, with their checks; a damaged one is copied too, and `store check`
 * of the copy says so.
 *
 * The copy grows in DIR/store.new and gets its name when it is whole and synced, so that a backup
 * or a restore that was cut short is never mistaken for one. What a failure leaves is removed by
 * the next try.
 */
#include "base/cleanup.h"
#include "storage/checker.h"
#include "storage/data_dir.h"
#include "storage/fault.h"
#include "storage/txn.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

/* What one transaction of the copy may gather before it is committed: dirty pages are memory. */
#define BATCH_BYTES ((size_t)32 << 20)
/* Room that the copy may need beyond its source: pages that its own transactions let go. */
#define MAP_SLACK_BYTES ((size_t)64 << 20)
#define PROGRESS_ROWS 4096

struct copy {
    struct txn *from;
    MDB_env *env;
    MDB_txn *to;
    MDB_dbi dbis[TABLE_COUNT];
    size_t batch_bytes;
    uint64_t done, all;
    void (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
};

static void env_closep(MDB_env **env)
{
    if (*env != NULL)
        mdb_env_close(*env);
}

static void source_cursor_closep(MDB_cursor **cursor)
{
    if (*cursor != NULL)
        mdb_cursor_close(*cursor);
}

static enum status fail_errno(struct err *err, const char *path)
{
    int code = errno;

    err_set(err, "%s: %s", path, strerror(code));
    return code == 0 ? STATUS_IO : status_of_errno(code);
}

/* ---- the copy ---- */

static int open_copy(struct copy *copy, const char *path, size_t map_bytes)
{
    int rc = mdb_env_create(&copy->env);

    if (rc == 0)
        rc = mdb_env_set_maxdbs(copy->env, TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_set_mapsize(copy->env, map_bytes);
    if (rc == 0)
        rc = mdb_env_open(copy->env, path, 0, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(copy->env, NULL, 0, &copy->to);
    for (enum table t = 0; rc == 0 && t < TABLE_COUNT; t++)
        rc = mdb_dbi_open(copy->to, TABLE_NAMES[t], MDB_CREATE, &copy->dbis[t]);
    return rc;
}

static int next_batch(struct copy *copy)
{
    int rc = commit_lmdb(copy->to);

    copy->to = NULL;
    copy->batch_bytes = 0;
    return rc == 0 ? mdb_txn_begin(copy->env, NULL, 0, &copy->to) : rc;
}

static int copy_row(struct copy *copy, enum table table, MDB_val *key, MDB_val *row)
{
    int rc = fault_here() == STATUS_OK ? mdb_put(copy->to, copy->dbis[table], key, row, MDB_APPEND)
                                       : EIO;

    fault_point("backup_row");
    copy->batch_bytes += key->mv_size + row->mv_size;
    copy->done++;
    if (copy->progress != NULL && copy->done % PROGRESS_ROWS == 0)
        copy->progress(copy->context, copy->done, copy->all);
    return rc == 0 && copy->batch_bytes > BATCH_BYTES ? next_batch(copy) : rc;
}

static int copy_table(struct copy *copy, enum table table)
{
    CLEANUP(source_cursor_closep) MDB_cursor *cursor = NULL;
    MDB_val key, row;
    int rc = mdb_cursor_open(copy->from->lmdb, copy->from->store->dbis[table], &cursor);

    while (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &row, MDB_NEXT);
        if (rc == MDB_NOTFOUND)
            return 0;
        if (rc == 0)
            rc = copy_row(copy, table, &key, &row);
    }
    return rc;
}

static int copy_tables(struct copy *copy, const char *path)
{
    MDB_envinfo info;
    int rc = mdb_env_info(copy->from->store->env, &info);

    if (rc == 0)
        rc = open_copy(copy, path, info.me_mapsize + MAP_SLACK_BYTES);
    for (enum table t = 0; rc == 0 && t < TABLE_COUNT; t++)
        rc = copy_table(copy, t);
    if (rc == 0) {
        rc = commit_lmdb(copy->to); /* synced, as each before */
        copy->to = NULL;
    }
    if (copy->to != NULL)
        mdb_txn_abort(copy->to);
    return rc;
}

/* All rows of the store into a new environment at `path`, which exists and is empty. */
static enum status copy_into(struct store *store, const char *path,
                             void (*progress)(void *context, uint64_t done, uint64_t all),
                             void *context, struct err *err)
{
    CLEANUP(txn_abortp) struct txn *txn = NULL;
    struct copy copy = {.progress = progress, .context = context};
    enum status s = checked_read(store, &txn, err);
    int rc;

    if (s == STATUS_CORRUPT)
        err_wrap(err, "the store is damaged");
    if (s != STATUS_OK)
        return s;
    for (enum table t = 0; s == STATUS_OK && t < TABLE_COUNT; t++) {
        copy.all += table_rows(txn, t);
        s = txn_status(txn);
    }
    if (s != STATUS_OK) {
        err_set(err, "read the store: %s", status_text(s));
        return s;
    }
    copy.from = txn;
    rc = copy_tables(&copy, path);
    env_closep(&copy.env);
    if (rc != 0) {
        err_set(err, "%s: %s", path, mdb_strerror(rc));
        return status_of_lmdb(rc);
    }
    if (progress != NULL)
        progress(context, copy.done, copy.all);
    return STATUS_OK;
}

/* ---- its place ---- */

struct place {
    char dir[PATH_MAX];
    char path[PATH_MAX];     /* DIR/store */
    char path_new[PATH_MAX]; /* DIR/store.new */
};

static enum status place_of(const char *dir, struct place *ret_place, struct err *err)
{
    int len = snprintf(ret_place->dir, sizeof ret_place->dir, "%s", dir);

    if (len <= 0 || (size_t)len + sizeof "/store.new" > PATH_MAX) {
        err_set(err, "%s: is no path", dir);
        return STATUS_INVALID;
    }
    memcpy(ret_place->path, dir, (size_t)len);
    strcpy(ret_place->path + len, "/store");
    memcpy(ret_place->path_new, dir, (size_t)len);
    strcpy(ret_place->path_new + len, "/store.new");
    return STATUS_OK;
}

/* Root restores for the user whose data directory it is. */
static enum status give_to_owner(const struct place *place, int lock_fd, struct err *err)
{
    char data[PATH_MAX + sizeof "/data.mdb"];
    struct stat owner;

    if (stat(place->dir, &owner) != 0)
        return fail_errno(err, place->dir);
    if (geteuid() != 0 || owner.st_uid == 0)
        return STATUS_OK;
    (void)snprintf(data, sizeof data, "%s/data.mdb", place->path_new); /* fits by its size */
    if (chown(data, owner.st_uid, owner.st_gid) != 0 ||
        chown(place->path_new, owner.st_uid, owner.st_gid) != 0 ||
        (lock_fd >= 0 && fchown(lock_fd, owner.st_uid, owner.st_gid) != 0))
        return fail_errno(err, place->path_new);
    return STATUS_OK;
}

/* Make, fill, sync, name. `lock_fd`: of the data directory; -1: it has none. */
static enum status put_copy(struct store *store, const struct place *place, int lock_fd,
                            void (*progress)(void *context, uint64_t done, uint64_t all),
                            void *context, struct err *err)
{
    char lock[PATH_MAX + sizeof "/lock.mdb"];
    enum status s = dir_remove(place->path_new, err); /* what was cut short */

    if (s != STATUS_OK)
        return s;
    if (mkdir(place->path_new, 0700) != 0)
        return fail_errno(err, place->path_new);
    s = copy_into(store, place->path_new, progress, context, err);
    if (s == STATUS_OK)
        s = give_to_owner(place, lock_fd, err);
    (void)snprintf(lock, sizeof lock, "%s/lock.mdb", place->path_new); /* fits by its size */
    if (s == STATUS_OK && unlink(lock) != 0)
        s = fail_errno(err, lock);
    if (s == STATUS_OK)
        s = dir_sync(place->path_new, err);
    fault_point("backup_copied");
    if (s == STATUS_OK && rename(place->path_new, place->path) != 0)
        s = fail_errno(err, place->path);
    fault_point("backup_named");
    return s == STATUS_OK ? dir_sync(place->dir, err) : s;
}

/* But for what a cut-short copy left. */
static enum status check_empty(const struct place *place, struct err *err)
{
    DIR *dir = opendir(place->dir);
    const struct dirent *entry;
    enum status s = STATUS_OK;

    if (dir == NULL)
        return fail_errno(err, place->dir);
    while (s == STATUS_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            strcmp(entry->d_name, "store.new") == 0)
            continue;
        err_set(err, "%s: is not empty (%s)", place->dir, entry->d_name);
        s = STATUS_EXISTS;
    }
    closedir(dir);
    return s;
}

enum status store_backup(struct store *store, const char *dir,
                         void (*progress)(void *context, uint64_t done, uint64_t all),
                         void *context, struct err *err)
{
    struct place place = {0};
    enum status s = place_of(dir, &place, err);

    if (s == STATUS_OK)
        s = data_dir_make(dir, err);
    if (s == STATUS_OK)
        s = check_empty(&place, err);
    if (s == STATUS_OK)
        s = put_copy(store, &place, -1, progress, context, err);
    if (s != STATUS_OK)
        err_wrap(err, "back up");
    return s;
}

/* ---- the way back ---- */

static enum status check_absent(const struct place *place, struct err *err)
{
    struct stat st;

    if (lstat(place->path, &st) != 0 && errno == ENOENT)
        return STATUS_OK;
    err_set(err, "%s: exists already; move it away to restore a backup in its place", place->path);
    return STATUS_EXISTS;
}

static enum status restore(const char *backup_dir, const struct place *place, struct err *err)
{
    CLEANUP(closep) int lock_fd = -1;
    struct store *backup = NULL;
    enum status s = data_dir_lock(place->dir, &lock_fd, err);

    if (s == STATUS_OK)
        s = check_absent(place, err);
    if (s == STATUS_OK)
        s = store_open(&(struct store_options){.dir = backup_dir, .mode = STORE_READ_ONLY}, &backup,
                       err);
    if (s == STATUS_OK)
        s = put_copy(backup, place, lock_fd, NULL, NULL, err);
    store_close(backup);
    return s;
}

enum status store_restore(const char *backup_dir, const char *data_dir, struct err *err)
{
    struct place place = {0};
    enum status s = place_of(data_dir, &place, err);

    if (s == STATUS_OK)
        s = data_dir_make(data_dir, err);
    if (s == STATUS_OK)
        s = restore(backup_dir, &place, err);
    if (s != STATUS_OK)
        err_wrap(err, "restore");
    return s;
}

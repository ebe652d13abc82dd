/*
 * scrub: portion by portion: take the writer's lock, learn from LMDB's free list which pages are
 * free and from the trees' branches which are in use, write zeros, let the writer in again.
 *
 * Why this is safe. While we hold the writer's lock nobody changes a page. A page that transaction
 * T freed is seen by nobody whose snapshot is T or later, so it is overwritten only where every
 * reader is that far, and only once a later commit has replaced the meta page of T - 1 too: the
 * content that either meta page leads to is never touched. So the pages that the last commit freed
 * are left; they are of the trees of the commit before, and only their unused middle is cleared.
 * The unused middle of a page, and what lies behind a large row in the pages that it has for
 * itself, are looked at by nobody; LMDB leaves in both what its memory had before. A crash in
 * between leaves some zeros less.
 *
 * Pages are told apart by the trees and the free list, never by what they contain: a body is the
 * sender's, and may look like a page.
 */
#include "storage/scrub.h"

#include "storage/fault.h"
#include "storage/page_file.h"
#include "storage/txn.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define FREE_LIST_DBI 0
#define PORTION_PAGES 16384
#define PAGE_MAX_BYTES 65536
#define HEADER_BYTES 16
#define FIRST_DATA_PAGE 2
#define READER_TURNS_MAX 100 /* two seconds in all */
#define READER_TURN_NS 20000000

enum page_use { PAGE_OTHER, PAGE_IN_TREE, PAGE_FREE, PAGE_HELD, PAGE_HELD_SINCE };

struct scrubber {
    struct store *store;
    MDB_txn *snapshot; /* of what is committed, while the writer's lock is held */
    size_t last;       /* the snapshot's transaction */
    size_t oldest;     /* the oldest reader's */
    size_t begun;      /* the last when the pass began */
    size_t page_bytes;
    uint64_t from, to;         /* the portion */
    uint8_t *uses;             /* of the portion's pages: enum page_use */
    uint64_t held, held_since; /* pages freed before the pass began, and since */
    int fd;                    /* the environment's */
    uint8_t page[PAGE_MAX_BYTES];
    uint8_t rest[PAGE_MAX_BYTES]; /* of a large row's pages */
};

/* ---- who looks at what ---- */

/* Lines are "pid thread transaction", the last "-" where the slot is idle. */
static int note_reader(const char *line, void *context)
{
    struct scrubber *scrubber = context;
    size_t transaction;

    if (sscanf(line, "%*d %*x %zu", &transaction) == 1 && transaction < scrubber->oldest)
        scrubber->oldest = transaction;
    return 0;
}

static void note_use(struct scrubber *scrubber, uint64_t page, enum page_use use)
{
    if (page >= scrubber->from && page < scrubber->to)
        scrubber->uses[page - scrubber->from] = (uint8_t)use;
}

static void note_tree_page(void *context, uint64_t page)
{
    note_use(context, page, PAGE_IN_TREE);
}

/* Of a page that this transaction freed. */
static enum page_use use_of_freed(const struct scrubber *scrubber, size_t transaction)
{
    if (transaction > scrubber->oldest)
        return transaction > scrubber->begun ? PAGE_HELD_SINCE : PAGE_HELD;
    return transaction == scrubber->last ? PAGE_OTHER : PAGE_FREE;
}

/* A row of the free list: the transaction that freed them; how many, and which. */
static enum status note_free_row(struct scrubber *scrubber, MDB_val key, MDB_val row)
{
    size_t transaction, count, page;
    const uint8_t *at = row.mv_data;
    enum page_use use;

    if (key.mv_size != sizeof(transaction) || row.mv_size < sizeof(count))
        return STATUS_CORRUPT;
    memcpy(&transaction, key.mv_data, sizeof(transaction));
    memcpy(&count, at, sizeof(count));
    if (count > row.mv_size / sizeof(page) - 1)
        return STATUS_CORRUPT;
    use = use_of_freed(scrubber, transaction);
    for (size_t i = 0; i < count; i++) {
        at += sizeof(page);
        memcpy(&page, at, sizeof(page));
        note_use(scrubber, page, use);
    }
    return STATUS_OK;
}

static enum status note_free_pages(struct scrubber *scrubber)
{
    MDB_cursor *cursor;
    MDB_val key, row;
    enum status s = STATUS_OK;
    int rc = mdb_cursor_open(scrubber->snapshot, FREE_LIST_DBI, &cursor);

    if (rc != 0)
        return status_of_lmdb(rc);
    while (s == STATUS_OK && (rc = mdb_cursor_get(cursor, &key, &row, MDB_NEXT)) == 0)
        s = note_free_row(scrubber, key, row);
    mdb_cursor_close(cursor);
    return s != STATUS_OK || rc == MDB_NOTFOUND ? s : status_of_lmdb(rc);
}

/* Nobody commits while we hold the lock, so both meta pages stay what they are. */
static enum status note_tree_pages(struct scrubber *scrubber, size_t transaction)
{
    char path[PATH_MAX];
    enum status s;

    (void)snprintf(path, sizeof(path), "%s/data.mdb", scrubber->store->path); /* it was opened */
    s = page_file_each_tree_page(path, transaction, note_tree_page, scrubber, NULL);
    return s == STATUS_MISMATCH ? STATUS_IO : s;
}

/* What the portion's pages are. Those behind the last page belong to nobody: a transaction that
 * failed may have written there. */
static enum status note_uses(struct scrubber *scrubber)
{
    MDB_envinfo info;
    MDB_stat stat;
    enum status s;

    (void)mdb_env_info(scrubber->store->env, &info); /* fail only without an environment */
    (void)mdb_env_stat(scrubber->store->env, &stat);
    scrubber->page_bytes = stat.ms_psize;
    scrubber->last = scrubber->oldest = mdb_txn_id(scrubber->snapshot);
    (void)mdb_reader_list(scrubber->store->env, note_reader, scrubber);
    for (uint64_t page = scrubber->from; page < scrubber->to; page++)
        note_use(scrubber, page, page > info.me_last_pgno ? PAGE_FREE : PAGE_OTHER);
    s = note_free_pages(scrubber);
    if (s == STATUS_OK)
        s = note_tree_pages(scrubber, scrubber->last - 1);
    return s == STATUS_OK ? note_tree_pages(scrubber, scrubber->last) : s;
}

/* ---- zeros ---- */

/* `content` is what lies there now. */
static enum status zero(const struct scrubber *scrubber, uint8_t *content, size_t len,
                        uint64_t offset)
{
    size_t i = 0;

    while (i < len && content[i] == 0)
        i++;
    if (i == len)
        return STATUS_OK;
    memset(content, 0, len);
    if (pwrite(scrubber->fd, content, len, (off_t)offset) != (ssize_t)len)
        return errno == ENOSPC ? STATUS_NO_SPACE : STATUS_IO;
    fault_point("scrub_zeroed");
    return STATUS_OK;
}

static enum status zero_range(struct scrubber *scrubber, uint64_t page, size_t from, size_t to)
{
    return zero(scrubber, scrubber->page + from, to - from, page * scrubber->page_bytes + from);
}

/* What a large row leaves of its pages. Once committed they never change. */
static enum status scrub_behind_row(void *context, uint64_t first, uint64_t bytes)
{
    struct scrubber *scrubber = context;
    size_t whole = scrubber->page_bytes;
    uint64_t at = first * whole + bytes, end;
    enum status s = STATUS_OK;

    if (pread(scrubber->fd, scrubber->rest, whole, (off_t)(first * whole)) != (ssize_t)whole)
        return STATUS_IO;
    end = (first + page_large_row_pages(scrubber->rest, first)) * whole;
    if (at > end)
        return STATUS_CORRUPT;
    while (s == STATUS_OK && at < end) {
        size_t len = whole - at % whole;

        if (pread(scrubber->fd, scrubber->rest, len, (off_t)at) != (ssize_t)len)
            return STATUS_IO;
        s = zero(scrubber, scrubber->rest, len, at);
        at += len;
    }
    return s;
}

/* A page of a tree. */
static enum status scrub_tree_page(struct scrubber *scrubber, uint64_t page)
{
    uint16_t lower, upper;
    enum status s;

    memcpy(&lower, scrubber->page + 12, sizeof(lower));
    memcpy(&upper, scrubber->page + 14, sizeof(upper));
    if (lower < HEADER_BYTES || lower > upper || upper > scrubber->page_bytes)
        return STATUS_CORRUPT;
    s = zero_range(scrubber, page, lower, upper);
    if (s != STATUS_OK || !page_is_leaf(scrubber->page))
        return s;
    return page_each_large_row(scrubber->page, (uint32_t)scrubber->page_bytes, scrub_behind_row,
                               scrubber);
}

static enum status scrub_page(struct scrubber *scrubber, uint64_t page)
{
    size_t whole = scrubber->page_bytes;
    ssize_t n = pread(scrubber->fd, scrubber->page, whole, (off_t)(page * whole));

    if (n < 0)
        return STATUS_IO;
    if ((size_t)n < whole)
        return STATUS_OK; /* never written */
    switch ((enum page_use)scrubber->uses[page - scrubber->from]) {
    case PAGE_FREE:
        return zero_range(scrubber, page, 0, whole);
    case PAGE_IN_TREE:
        return scrub_tree_page(scrubber, page);
    case PAGE_HELD:
        scrubber->held++;
        return STATUS_OK;
    case PAGE_HELD_SINCE:
        scrubber->held_since++;
        return STATUS_OK;
    case PAGE_OTHER: /* a large row's: its leaf page leads to what lies behind it */
        return STATUS_OK;
    }
    return STATUS_OK;
}

static enum status scrub_portion(struct scrubber *scrubber)
{
    enum status s = note_uses(scrubber);

    if (s != STATUS_OK)
        return s;
    (void)mdb_env_get_fd(scrubber->store->env, &scrubber->fd); /* fails only without one */
    for (uint64_t page = scrubber->from; s == STATUS_OK && page < scrubber->to; page++)
        s = scrub_page(scrubber, page);
    if (s == STATUS_OK && fdatasync(scrubber->fd) != 0)
        s = STATUS_IO;
    return s;
}

/* ---- portions ---- */

static enum status file_pages(struct store *store, uint64_t *ret_pages)
{
    mdb_filehandle_t fd;
    MDB_stat stat;
    struct stat st;

    (void)mdb_env_get_fd(store->env, &fd);
    (void)mdb_env_stat(store->env, &stat);
    if (fstat(fd, &st) != 0)
        return STATUS_IO;
    *ret_pages = (uint64_t)st.st_size / stat.ms_psize;
    return STATUS_OK;
}

/* The writer's lock is a write transaction that writes nothing. Its snapshot is a reader of ours,
 * begun by hand: the free list is shown to readers only. */
static enum status locked_portion(struct scrubber *scrubber, uint64_t *ret_pages)
{
    struct txn *lock;
    enum status s = txn_write(scrubber->store, 0, 0, &lock);
    int rc;

    if (s != STATUS_OK)
        return s;
    rc = mdb_txn_begin(scrubber->store->env, NULL, MDB_RDONLY, &scrubber->snapshot);
    s = status_of_lmdb(rc);
    if (s == STATUS_OK) {
        s = scrub_portion(scrubber);
        if (s == STATUS_OK)
            s = file_pages(scrubber->store, ret_pages);
        mdb_txn_abort(scrubber->snapshot);
    }
    txn_abort(lock);
    return s;
}

/* So that the meta page from before the last change is replaced. */
static enum status commit_once_more(struct store *store)
{
    struct txn *txn;
    enum status s = txn_write(store, 0, 0, &txn);

    if (s != STATUS_OK)
        return s;
    txn_bump_generation(txn);
    s = txn_commit(txn);
    if (s != STATUS_MAP_FULL)
        return s;
    s = store_grow(store);
    return s == STATUS_OK ? commit_once_more(store) : s;
}

/* ---- passes ---- */

/* Gives readers of before a moment to end, and the server's pin to move on (storage/pin.c). */
static void wait_for_readers(struct scrubber *scrubber)
{
    struct store *store = scrubber->store;
    int dead;

    for (int turn = 0; turn < READER_TURNS_MAX; turn++) {
        scrubber->oldest = SIZE_MAX;
        store_rest(store);
        pthread_rwlock_rdlock(&store->map_lock);
        if (store->env != NULL) {
            (void)mdb_reader_check(store->env, &dead);
            (void)mdb_reader_list(store->env, note_reader, scrubber);
        }
        pthread_rwlock_unlock(&store->map_lock);
        if (scrubber->oldest >= scrubber->begun)
            return;
        (void)nanosleep(&(struct timespec){.tv_nsec = READER_TURN_NS}, NULL); /* or less */
    }
}

static enum status last_transaction(struct store *store, size_t *ret_id)
{
    struct txn *txn;
    enum status s = txn_read(store, &txn);

    if (s != STATUS_OK)
        return s;
    *ret_id = mdb_txn_id(txn->lmdb);
    txn_abort(txn);
    return STATUS_OK;
}

static enum status scrub_pass(struct scrubber *scrubber)
{
    uint64_t pages = FIRST_DATA_PAGE + 1;
    enum status s = commit_once_more(scrubber->store);

    scrubber->held = scrubber->held_since = 0;
    if (s == STATUS_OK)
        s = last_transaction(scrubber->store, &scrubber->begun);
    if (s == STATUS_OK)
        wait_for_readers(scrubber);
    for (uint64_t from = FIRST_DATA_PAGE; s == STATUS_OK && from < pages; from += PORTION_PAGES) {
        scrubber->from = from;
        scrubber->to = from + PORTION_PAGES;
        s = locked_portion(scrubber, &pages);
    }
    return s;
}

/* A page that was in use when the first pass began, and that a commit gave back before the pass
 * came to it, may be held: the second pass finds it. What was written since has nothing of it. */
enum status store_scrub(struct store *store, uint64_t *ret_held)
{
    CLEANUP(freep) struct scrubber *scrubber = calloc(1, sizeof(*scrubber));
    CLEANUP(freep) uint8_t *uses = calloc(1, PORTION_PAGES);
    enum status s;

    *ret_held = 0;
    if (scrubber == NULL || uses == NULL)
        return STATUS_NO_MEMORY;
    scrubber->store = store;
    scrubber->uses = uses;
    s = scrub_pass(scrubber);
    if (s == STATUS_OK && scrubber->held_since > 0)
        s = scrub_pass(scrubber);
    *ret_held = scrubber->held;
    return s;
}

/*
 * txn: begin, commit, abort, nest.
 *
 * Readers are reused: ending one resets it (its slot in the reader table stays ours), beginning one
 * renews it, which costs no lock of LMDB's. Writers are made anew; there is one at a time.
 *
 * What can fail when beginning: another process has grown the map (adopt it, try again); an earlier
 * commit failed while it wrote the meta page, after which LMDB refuses everything (reopen, try
 * again); the reader table is full (clear dead processes' slots, try once more).
 *
 * What can fail when committing: anything that stuck before; the disk. LMDB then leaves the store
 * as it was.
 */
#include "storage/txn.h"
#include "storage/api_keys.h"

#include "base/must.h"
#include "storage/fault.h"

#include <errno.h>
#include <stdlib.h>

#define BEGIN_TRIES_MAX 8
#define ARENA_FIRST_BYTES (64 * 1024)

/* ---- idle readers ---- */

static struct txn *idle_reader_take(struct store *store)
{
    struct txn *txn;

    pthread_mutex_lock(&store->pool_mutex);
    txn = store->idle;
    if (txn != NULL) {
        store->idle = txn->next;
        store->idle_count--;
    }
    pthread_mutex_unlock(&store->pool_mutex);
    return txn;
}

static void txn_free(struct txn *txn)
{
    if (txn->lmdb != NULL)
        mdb_txn_abort(txn->lmdb);
    buf_fini(&txn->row);
    arena_free(txn->arena);
    free(txn);
}

/* `txn` is reset, or has no LMDB transaction. */
static void idle_reader_give(struct store *store, struct txn *txn)
{
    pthread_mutex_lock(&store->pool_mutex);
    if (txn->lmdb != NULL && store->idle_count < IDLE_READERS_MAX) {
        txn->next = store->idle;
        store->idle = txn;
        store->idle_count++;
        txn = NULL;
    }
    pthread_mutex_unlock(&store->pool_mutex);
    if (txn != NULL)
        txn_free(txn);
}

void store_drop_idle_readers(struct store *store)
{
    struct txn *txn;

    while ((txn = idle_reader_take(store)) != NULL)
        txn_free(txn);
    pin_drop(store);
}

/* ---- begin ---- */

static struct txn *txn_new(struct store *store)
{
    struct txn *txn = calloc(1, sizeof(*txn));

    if (txn != NULL)
        txn->store = store;
    return txn;
}

static int lmdb_begin(struct txn *txn)
{
    MDB_env *env = txn->store->env;

    if (txn->is_write)
        return mdb_txn_begin(env, NULL, 0, &txn->lmdb);
    if (txn->lmdb != NULL)
        return mdb_txn_renew(txn->lmdb);
    return mdb_txn_begin(env, NULL, MDB_RDONLY, &txn->lmdb);
}

/* One try, under the shared map_lock, which is kept where it succeeds. */
static int begin_once(struct store *store, bool is_write, struct txn **ret_txn, uint64_t *ret_epoch)
{
    struct txn *txn;
    int rc;

    pthread_rwlock_rdlock(&store->map_lock);
    *ret_epoch = store->epoch;
    txn = is_write || store->env == NULL ? NULL : idle_reader_take(store);
    if (txn == NULL)
        txn = txn_new(store);
    if (txn == NULL) {
        rc = ENOMEM;
    } else {
        txn->is_write = is_write;
        rc = store->env != NULL ? lmdb_begin(txn) : MDB_PANIC;
    }
    if (rc == 0) {
        *ret_txn = txn;
        return 0;
    }
    if (txn != NULL && is_write)
        txn_free(txn);
    else if (txn != NULL)
        idle_reader_give(store, txn);
    pthread_rwlock_unlock(&store->map_lock);
    return rc;
}

static enum status clear_dead_readers(struct store *store)
{
    int dead, rc;

    pthread_rwlock_rdlock(&store->map_lock);
    rc = store->env != NULL ? mdb_reader_check(store->env, &dead) : MDB_PANIC;
    pthread_rwlock_unlock(&store->map_lock);
    return status_of_lmdb(rc);
}

/* Mend what made a beginning fail. STATUS_OK: try again. */
static enum status begin_mend(struct store *store, int rc, uint64_t epoch, bool *has_cleared)
{
    switch (rc) {
    case MDB_MAP_RESIZED:
        return store_adopt_map(store);
    case MDB_PANIC:
        return store_reopen(store, epoch);
    case MDB_READERS_FULL:
        if (*has_cleared)
            return STATUS_BUSY;
        *has_cleared = true;
        return clear_dead_readers(store);
    default:
        return status_of_lmdb(rc);
    }
}

static enum status txn_begin(struct store *store, bool is_write, struct txn **ret_txn)
{
    enum status s = fault_here();
    bool has_cleared = false;
    uint64_t epoch;

    *ret_txn = NULL;
    for (int tries = 0; s == STATUS_OK && tries < BEGIN_TRIES_MAX; tries++) {
        int rc = begin_once(store, is_write, ret_txn, &epoch);

        if (rc == 0)
            return STATUS_OK;
        s = begin_mend(store, rc, epoch, &has_cleared);
    }
    return s != STATUS_OK ? s : STATUS_BUSY;
}

enum status txn_read(struct store *store, struct txn **ret_txn)
{
    return txn_begin(store, false, ret_txn);
}

enum status txn_write(struct store *store, int64_t now_ms, uint64_t seed, struct txn **ret_txn)
{
    enum status s;

    must(store->mode != STORE_READ_ONLY);
    s = txn_begin(store, true, ret_txn);
    if (s != STATUS_OK)
        return s;
    (*ret_txn)->now_ms = now_ms;
    prng_seed(&(*ret_txn)->prng, seed);
    return STATUS_OK;
}

enum status txn_nest(struct txn *parent, struct txn **ret_child)
{
    struct txn *child;
    int rc;

    *ret_child = NULL;
    must(parent->is_write);
    if (parent->status != STATUS_OK)
        return parent->status;
    if (fault_here() != STATUS_OK)
        return txn_fault(parent, STATUS_NO_MEMORY);
    child = txn_new(parent->store);
    if (child == NULL)
        return txn_fault(parent, STATUS_NO_MEMORY);
    rc = mdb_txn_begin(parent->store->env, parent->lmdb, 0, &child->lmdb);
    if (rc != 0) {
        txn_free(child);
        return txn_fault(parent, status_of_lmdb(rc));
    }
    child->parent = parent;
    child->is_write = true;
    child->now_ms = parent->now_ms;
    child->prng = parent->prng;
    child->last_uuid = parent->last_uuid;
    child->has_uuid = parent->has_uuid;
    child->is_uuid_new = parent->is_uuid_new;
    child->is_generation_new = parent->is_generation_new;
    child->has_sequence = parent->has_sequence;
    child->last_sequence = parent->last_sequence;
    *ret_child = child;
    return STATUS_OK;
}

/* ---- end ---- */

/* Ids are never handed out twice, so the parent takes over how far they got in any case. */
static void child_end(struct txn *child, bool is_committed)
{
    struct txn *parent = child->parent;

    parent->bytes += child->bytes;
    parent->prng = child->prng;
    parent->last_uuid = child->last_uuid;
    parent->has_uuid = child->has_uuid;
    parent->is_uuid_new = child->is_uuid_new;
    if (!is_committed)
        return;
    parent->is_generation_new = child->is_generation_new;
    parent->has_sequence = child->has_sequence;
    parent->last_sequence = child->last_sequence;
    for (unsigned i = 0; i < child->delta_count; i++)
        counter_group_add(parent, child->deltas[i].group, child->deltas[i].index,
                          child->deltas[i].delta);
    for (unsigned i = 0; i < child->usage_count; i++)
        usage_add(parent, child->usages[i].key_number, child->usages[i].at_ms,
                  child->usages[i].count);
    parent->has_enqueued |= child->has_enqueued;
}

/* After LMDB's part is over. */
static void txn_end(struct txn *txn)
{
    struct store *store = txn->store;

    if (txn->parent != NULL) {
        txn_free(txn);
        return;
    }
    if (txn->is_write)
        txn_free(txn);
    else
        idle_reader_give(store, txn);
    pthread_rwlock_unlock(&store->map_lock);
}

static void reader_reset(struct txn *txn)
{
    mdb_txn_reset(txn->lmdb);
    txn->status = STATUS_OK;
    txn->is_doubtful = false;
}

static enum status write_commit(struct txn *txn)
{
    enum status s = txn->status;
    MDB_txn *lmdb;

    if (s == STATUS_OK && txn->parent == NULL)
        txn_write_pending(txn);
    if (s == STATUS_OK)
        s = txn_fault(txn, txn->status != STATUS_OK ? txn->status : fault_here());
    lmdb = txn->lmdb;
    txn->lmdb = NULL;
    if (s != STATUS_OK) {
        mdb_txn_abort(lmdb);
    } else if (txn->parent != NULL) {
        s = status_of_lmdb(commit_lmdb(lmdb));
    } else {
        fault_point("txn_before_commit");
        pin_turn(txn->store);
        s = status_of_lmdb(commit_lmdb(lmdb));
        fault_point("txn_after_commit");
    }
    if (s != STATUS_OK)
        pin_drop(txn->store); /* it may have been for want of room */
    return s;
}

/* Readers that died hold pages; LMDB does not look for them by itself. */
static void check_readers_now_and_then(struct store *store)
{
    int dead;

    if (atomic_fetch_add_explicit(&store->commits, 1, memory_order_relaxed) %
            READER_CHECK_COMMITS ==
        READER_CHECK_COMMITS - 1)
        (void)mdb_reader_check(store->env, &dead); /* as good as before where it fails */
}

enum status txn_commit(struct txn *txn)
{
    enum status s;

    if (!txn->is_write) {
        s = txn_status(txn);
        reader_reset(txn);
    } else {
        s = write_commit(txn);
        if (txn->parent != NULL) {
            child_end(txn, s == STATUS_OK);
            if (status_is_fault(s))
                txn_fail(txn->parent, s);
        } else {
            check_readers_now_and_then(txn->store);
        }
    }
    txn_end(txn);
    return s;
}

void txn_abort(struct txn *txn)
{
    if (txn == NULL)
        return;
    if (!txn->is_write) {
        reader_reset(txn);
    } else {
        mdb_txn_abort(txn->lmdb);
        txn->lmdb = NULL;
        if (txn->parent != NULL) {
            child_end(txn, false);
            if (txn->status != STATUS_OK)
                txn_fail(txn->parent, txn->status);
        }
    }
    txn_end(txn);
}

void txn_abortp(struct txn **txn)
{
    txn_abort(*txn);
    *txn = NULL;
}

/* ---- state ---- */

enum status txn_status(const struct txn *txn)
{
    return txn->status == STATUS_OK && txn->is_doubtful ? STATUS_CORRUPT : txn->status;
}

void txn_fail(struct txn *txn, enum status fault)
{
    must(status_is_fault(fault));
    if (txn->status == STATUS_OK)
        txn->status = fault;
}

enum status txn_fault(struct txn *txn, enum status status)
{
    if (status_is_fault(status) && (txn->is_write || status != STATUS_CORRUPT))
        txn_fail(txn, status);
    return status;
}

void txn_doubt(struct txn *txn, enum status status)
{
    txn->is_doubtful |= txn_fault(txn, status) == STATUS_CORRUPT;
}

size_t txn_bytes(const struct txn *txn)
{
    return txn->bytes;
}

int64_t txn_now_ms(const struct txn *txn)
{
    return txn->now_ms;
}

bool txn_is_write(const struct txn *txn)
{
    return txn->is_write;
}

static struct bytes keep_copy(struct txn *txn, struct bytes view)
{
    if (txn->arena == NULL)
        txn->arena = arena_new(ARENA_FIRST_BYTES);
    txn->bytes += view.len;
    return txn->arena != NULL ? arena_copy(txn->arena, view) : bytes_of(NULL, 0);
}

struct bytes txn_keep(struct txn *txn, struct bytes view)
{
    if (!txn->is_write || view.len == 0)
        return view;
    view = keep_copy(txn, view);
    if (view.data == NULL)
        txn_fail(txn, STATUS_NO_MEMORY);
    return view;
}

/*
 * pin: where the server's commits go in the file.
 *
 * LMDB writes each changed page to a free place, and takes the places that the oldest commits left
 * first. With nothing else, one commit's pages would go where the commit before last had its own:
 * the same few places again and again, one far from the other, and a disk takes some 35 us for each
 * of them in a sync, but only 6 for a page that follows another (docs/performance.md).
 *
 * So the server keeps a reader of its own, the pin, and moves it on four times a second. What is
 * left behind it meanwhile becomes free all at once, in the order in which it was written: the next
 * commits go there in long runs, or behind the end of the file. The price is the room for what a
 * quarter of a second leaves behind.
 *
 * The pin's place is given up where somebody needs the room or the reader table, or when nothing
 * is written any more.
 */
#include "storage/txn.h"

#include "base/clock.h"

#define PIN_MS 250

/* Under the pool_mutex. */
static void drop(struct store *store)
{
    if (store->pin != NULL)
        mdb_txn_abort(store->pin);
    store->pin = NULL;
}

/* Under the pool_mutex. Where it cannot be had, pages are used again at once. */
static void move(struct store *store, int64_t now_ms)
{
    int rc;

    if (store->pin == NULL) {
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->pin);
    } else {
        mdb_txn_reset(store->pin);
        rc = mdb_txn_renew(store->pin);
    }
    if (rc != 0)
        drop(store);
    store->pinned_ms = now_ms;
}

void pin_turn(struct store *store)
{
    int64_t now_ms = clock_monotonic_ms(&SYSTEM_CLOCK);

    if (store->mode != STORE_SERVE)
        return;
    pthread_mutex_lock(&store->pool_mutex);
    if (store->pin == NULL || now_ms - store->pinned_ms >= PIN_MS)
        move(store, now_ms);
    pthread_mutex_unlock(&store->pool_mutex);
}

void pin_drop(struct store *store)
{
    pthread_mutex_lock(&store->pool_mutex);
    drop(store);
    pthread_mutex_unlock(&store->pool_mutex);
}

void store_rest(struct store *store)
{
    pthread_rwlock_rdlock(&store->map_lock); /* or the environment may be closed under it */
    pin_drop(store);
    pthread_rwlock_unlock(&store->map_lock);
}

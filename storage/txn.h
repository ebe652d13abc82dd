/*
 * txn: what a store and a transaction are made of; private to the few files that make them
 * (store.c, txn.c, pin.c, table.c, meta.c, and those modules for which a transaction keeps
 * something until its commit). Modules use storage/table.h.
 *
 * Locking: `map_lock` is held shared by every transaction and exclusively by whoever moves the map
 * (growth, adoption of another process's growth, reopening after a failed commit). `pool_mutex`
 * guards the idle readers and is held for a few instructions.
 */
#pragma once

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/random.h"
#include "storage/format.h"
#include "storage/store.h"
#include "storage/table.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define IDLE_READERS_MAX 64
#define DELTAS_MAX 64
#define READER_CHECK_COMMITS 1024 /* look for readers that died every so many commits */

struct store {
    MDB_env *env; /* NULL: reopening failed; the next transaction tries again */
    MDB_dbi dbis[TABLE_COUNT];
    enum store_mode mode;
    char *dir;  /* as given */
    char *path; /* DIR/store */
    size_t map_bytes;
    uint32_t readers_max;
    int lock_fd; /* DIR/posternd.lock, held while serving; -1 */

    pthread_rwlock_t map_lock;
    uint64_t epoch; /* grows when the environment is reopened; under map_lock */

    pthread_mutex_t pool_mutex;
    MDB_txn *pin; /* NULL: none; under pool_mutex */
    int64_t pinned_ms;
    struct txn *idle; /* readers, reset */
    unsigned idle_count;
    atomic_uint commits;
};

struct counter_delta {
    enum counter_group group;
    uint32_t index;
    int64_t delta;
};

/* See records_by_type.c. */
#define NOTED_BLOCKS_MAX 4
struct noted_block {
    uint64_t block; /* 0: none */
    uint16_t type;
};

/* Requests counted, gathered as the counters are. */
#define USAGE_DELTAS_MAX 16
struct usage_delta {
    uint32_t key_number, count; /* 0: free */
    int64_t at_ms;
};

struct txn {
    struct store *store;
    struct txn *next; /* among the idle ones */
    struct txn *parent;
    MDB_txn *lmdb;
    enum status status; /* sticky */
    bool is_doubtful;   /* see txn_doubt */
    bool is_write;
    int64_t now_ms;

    /* Writers only. The cursors end with the transaction by themselves. */
    MDB_cursor *cursors[TABLE_COUNT];
    struct buf row; /* the row being put */
    size_t bytes;   /* put and kept */
    struct arena *arena;
    struct prng prng;

    /* What the commit writes, or hands to the parent. */
    struct uuid last_uuid;
    bool has_uuid, is_uuid_new, is_generation_new, has_generation;
    uint64_t generation; /* as it was when the transaction began */
    bool has_sequence;
    uint64_t last_sequence; /* of the events table */
    unsigned noted_next;
    struct noted_block noted[NOTED_BLOCKS_MAX];
    unsigned delta_count;
    struct counter_delta deltas[DELTAS_MAX];
    unsigned usage_count;
    struct usage_delta usages[USAGE_DELTAS_MAX];
    bool has_enqueued; /* a delivery */
};

/* The one place where LMDB's and the system's codes become ours. Inside a transaction nothing but
 * "not found" and "exists" is an outcome. */
enum status status_of_lmdb(int code);
/* mdb_txn_commit, but ENOSPC where the disk took only a part of what was written: LMDB answers EIO
 * to that as well as to an error of the disk. */
int commit_lmdb(MDB_txn *txn);

/* Write uuid, generation and counters. Sticky. */
void txn_write_pending(struct txn *txn);
void txn_write_deltas(struct txn *txn);
void txn_write_usage(struct txn *txn); /* usage.c */

/* meta.c: the format's version. */
enum status meta_format_get(struct txn *txn, uint32_t *ret_version);
void meta_format_put(struct txn *txn, uint32_t version);

/* store.c: the map. None of the caller's transactions is open. */
enum status store_adopt_map(struct store *store);
enum status store_reopen(struct store *store, uint64_t failed_epoch);
/* txn.c: end every idle reader. Under the exclusive map_lock. */
void store_drop_idle_readers(struct store *store);

/* pin.c. Under the map_lock. To be called by a write transaction before it commits. */
void pin_turn(struct store *store);
void pin_drop(struct store *store);

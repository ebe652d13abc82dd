/*
 * store: the LMDB environment, its format version, and transactions.
 *
 * One process serves (store_open with STORE_SERVE takes DIR/posternd.lock); any number of tools
 * read and write beside it, through LMDB's own inter-process locks. A committed write transaction
 * is on disk (fdatasync, then the meta page): that is the whole durability story. Never NOSYNC,
 * NOMETASYNC or WRITEMAP.
 *
 * Transactions are sticky: after the first failure every operation does nothing and answers the
 * same fault, and the one check that counts is the commit's. Views into the store live until the
 * transaction ends (in a write transaction they are copies) and never leave the function that holds
 * it. A page's views live until its next step.
 *
 * The map grows by itself: when it is full the commit says STATUS_MAP_FULL, the owner calls
 * store_grow and runs the transaction again. A full disk is STATUS_NO_SPACE; nothing was stored.
 *
 * Threads: a store is shared. A read transaction belongs to the thread that began it (at most one a
 * thread). One write transaction at a time over all processes; begin blocks for it. Growing the map
 * waits for all transactions of the process: a thread that holds one never waits for another thread
 * that may grow it (the writer).
 *
 * Layout of the rows: docs/data-format.md. To change a persisted row, start in storage/format.h.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "base/uuid.h"

struct store;
struct txn;

enum store_mode {
    STORE_SERVE,    /* the server: creates what is missing, one process only */
    STORE_TOOL,     /* reads and writes an existing store beside the server */
    STORE_READ_ONLY /* reads only; works on a backup that lies on a read-only file system */
};

struct store_options {
    const char *dir; /* the data directory; the environment is DIR/store/ */
    enum store_mode mode;
    size_t map_bytes;     /* initial map; 0: 1 GiB. A larger existing store wins */
    uint32_t readers_max; /* 0: 512 */
};

/* STATUS_NOT_FOUND (tools: no store there), STATUS_BUSY (another server runs), STATUS_VERSION (made
 * by a newer Postern, or by one too old; nothing is touched), STATUS_CORRUPT, STATUS_DENIED,
 * STATUS_IO, STATUS_NO_SPACE; `err` says what and what to do. */
MUST_CHECK enum status store_open(const struct store_options *options, struct store **ret_store,
                                  struct err *err);
void store_close(struct store *store); /* NULL allowed; no transaction is open */

/* Double the map. No transaction of the calling thread is open; waits for the other threads'
 * readers. Faults: STATUS_NO_MEMORY (address space). */
MUST_CHECK enum status store_grow(struct store *store);

/* Nothing is going to be written for now: let go of the room that the store holds back for its next
 * commits (storage/pin.c). Cheap, and undone by the next commit. */
void store_rest(struct store *store);

MUST_CHECK enum status txn_read(struct store *store, struct txn **ret_txn);
/* `now_ms` and `seed` make everything that the transaction does repeatable: the ids it hands out
 * depend on (store, now_ms, seed) alone. */
MUST_CHECK enum status txn_write(struct store *store, int64_t now_ms, uint64_t seed,
                                 struct txn **ret_txn);
/* A write transaction within a write transaction, to undo a part: commit or abort it before its
 * parent is used again. A child's failure does not stick to the parent unless it is a fault. */
MUST_CHECK enum status txn_nest(struct txn *parent, struct txn **ret_child);
/* Frees in any case. STATUS_OK: on disk (a child's: part of its parent). Also ends readers. */
MUST_CHECK enum status txn_commit(struct txn *txn);
void txn_abort(struct txn *txn);   /* NULL allowed */
void txn_abortp(struct txn **txn); /* for CLEANUP */
/* The fault that stuck, or STATUS_OK. After functions that answer a number and no status (a
 * counter, the last sequence, the generation, the next due time) it says whether that can be
 * believed: STATUS_CORRUPT where its row is damaged. */
enum status txn_status(const struct txn *txn);
/* Let a fault of the caller's stick (a row's content that does not decode, no memory). */
void txn_fail(struct txn *txn, enum status fault);
int64_t txn_now_ms(const struct txn *txn);
/* About how much memory a write transaction has taken: what it put, and what it read to keep. */
size_t txn_bytes(const struct txn *txn);

/* The next UUIDv7 in the store's one order: later than every one before, over restarts and clock
 * steps too. Write transactions only. */
struct uuid txn_uuid(struct txn *txn);
/* A number that changes when an administrative row changed (API keys, endpoints, reports, types),
 * whoever changed it. Cheap to read. */
uint64_t txn_generation(struct txn *txn);
void txn_bump_generation(struct txn *txn);

/* Record types the store has rows of. A number is given once and never reused. */
#define TYPE_NAME_MAX 63
struct type_row {
    uint16_t number;
    char name[TYPE_NAME_MAX + 1];
    char id_prefix[TYPE_NAME_MAX + 1];
};
MUST_CHECK enum status type_find(struct txn *txn, struct bytes name, struct type_row *ret_type);
MUST_CHECK enum status type_at(struct txn *txn, uint16_t number, struct type_row *ret_type);
/* Find or add. STATUS_MISMATCH: there are records with another id prefix. */
MUST_CHECK enum status type_register(struct txn *txn, const char *name, const char *id_prefix,
                                     struct type_row *ret_type);

/* Counts that `status` shows without counting: kept in the transactions that change them. */
enum counter {
    COUNTER_ACCEPTED, /* revisions stored, ever */
    COUNTER_DELIVERIES_PENDING,
    COUNTER_DELIVERIES_DELIVERED,
    COUNTER_DELIVERIES_FAILED,
    COUNTER_ATTEMPTS,   /* ever */
    COUNTER_REJECTIONS, /* ever */
    COUNTER_COUNT
};
uint64_t counter_get(struct txn *txn, enum counter counter);
void counter_add(struct txn *txn, enum counter counter, int64_t delta);

struct table_stat {
    const char *name;
    uint64_t rows;
    uint64_t bytes; /* pages in use, times the page size */
};
struct store_stat {
    uint32_t format_version;
    uint64_t map_bytes, used_bytes, free_bytes; /* free: pages within the file to reuse */
    uint32_t readers;
    size_t table_count;
    struct table_stat tables[32];
};
MUST_CHECK enum status store_stat(struct txn *txn, struct store_stat *ret_stat);

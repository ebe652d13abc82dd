/*
 * tool: what every command works with: the data directory, its store, the output, and the ways to
 * read and write that are right beside a running server.
 *
 * Reads are short transactions, begun again and again in a long scan, so that no reader pins the
 * store's old pages. Writes are one transaction each, with their audit row; a full map grows.
 */
#pragma once

#include "base/err.h"
#include "base/random.h"
#include "schemas/record_type.h"
#include "storage/store.h"
#include "storage/vault.h"
#include "tools/args.h"
#include "tools/output.h"

struct tool {
    const char *data;    /* the data directory */
    const char *schemas; /* as given; NULL: the running server's, else the installed ones */
    int64_t now_ms;      /* when the command began */
    struct output *out;
    struct store *store;        /* opened by tool_store */
    struct vault *vault;        /* opened by tool_vault */
    struct record_types *types; /* loaded by tool_types */
    uint64_t scan_rows;         /* that a long scan goes through; 0: not known */
};

void tool_fini(struct tool *tool);

/* Say on standard error what went wrong and what to do next; returns FAILED. */
int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* As above for a usage that only the command could see; returns USAGE. */
int complain_usage(const struct args *args, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* As above for a fault of the store. */
int complain_status(enum status status, const char *doing);

enum store_need {
    NEED_READ,
    NEED_WRITE,
    NEED_CREATE, /* a store may be made where there is none, to prepare one before the first start
                  */
};
/* Open the store; complains and answers FAILED where that cannot be. */
MUST_CHECK int tool_store(struct tool *tool, enum store_need need);
/* Files that root made in a data directory that belongs to another user become that user's. */
void tool_hand_over(const char *data);
/* Open the vault under --master-key-file or DIR/master.key, made where it is missing. */
MUST_CHECK int tool_vault(struct tool *tool, const struct args *args);
/* Load the schema files. `err` is for the caller, who may be able to do without. */
MUST_CHECK enum status tool_types(struct tool *tool, struct err *err);

/* Run `step(context, txn)` in one write transaction and commit. An outcome other than STATUS_OK
 * aborts and is answered. It may run more than once: it starts from the beginning each time. */
MUST_CHECK enum status
tool_write(struct tool *tool, enum status (*step)(void *context, struct txn *txn), void *context);
/* Note an administrative act in the write transaction that does it. `detail` may be NULL. */
void tool_audit(struct txn *txn, const char *act, const char *object, const char *detail);

/* Run `step` in short read transactions until it says STATUS_END (answered as STATUS_OK) or fails;
 * it keeps its own place, and must leave nothing behind that borrows from `txn` when `pause` (NULL
 * allowed) was called. Output is flushed between transactions. */
MUST_CHECK enum status tool_scan(struct tool *tool,
                                 enum status (*step)(void *context, struct txn *txn),
                                 void (*pause)(void *context), void *context);
/* One read transaction. */
MUST_CHECK enum status
tool_read(struct tool *tool, enum status (*step)(void *context, struct txn *txn), void *context);

/* How many rows a list prints: --limit, else all; in a table TABLE_ROWS_DEFAULT. */
#define TABLE_ROWS_DEFAULT 100
int64_t tool_limit(const struct tool *tool, const struct args *args);
/* On standard error, where a table ended at its default length. */
void tool_note_more(const struct tool *tool, const struct args *args);

/* Ask for one word on the terminal before something that cannot be undone; --yes answers it. */
bool tool_confirm(const struct args *args, const char *question);

/*
 * check: goes over every stored invariant and says exactly what is wrong where; and copies of the
 * store. The list of invariants stands in docs/data-format.md.
 */
#pragma once

#include "storage/store.h"

struct check_report {
    uint64_t revisions, records, events, deliveries, attempts;
    uint64_t problem_count;
};

/* `problem` is called for each finding ("deliveries: dlv_01…: event 77 does not exist"); `progress`
 * now and then with rows done and rows in all (NULL allowed). One read transaction. */
MUST_CHECK enum status store_check(struct store *store,
                                   void (*problem)(void *context, const char *text),
                                   void (*progress)(void *context, uint64_t done, uint64_t all),
                                   void *context, struct check_report *ret_report);

/* A consistent copy of a live store into `dir` (created, must be empty): a data directory that
 * opens like any other. Row by row into fresh pages, so nothing that was erased or overwritten is
 * in it. The master key is not copied: `err` reminds of it in the tool. */
MUST_CHECK enum status store_backup(struct store *store, const char *dir,
                                    void (*progress)(void *context, uint64_t done, uint64_t all),
                                    void *context, struct err *err);
/* Put a backup in the place of a data directory's store. Refuses one that is in use or has a store
 * already. */
MUST_CHECK enum status store_restore(const char *backup_dir, const char *data_dir, struct err *err);

/*
 * data_dir: the directories and the lock file around the store: DIR/store/ with LMDB's files,
 * DIR/posternd.lock that the one serving process holds.
 */
#pragma once

#include "base/err.h"
#include "base/status.h"

#include <stdbool.h>

/* Make DIR and its missing parents (mode 0755, DIR itself 0700). STATUS_DENIED, STATUS_NO_SPACE,
 * STATUS_IO. */
MUST_CHECK enum status data_dir_make(const char *dir, struct err *err);
/* Take DIR/posternd.lock for as long as *ret_fd is open, and write our pid into it. STATUS_BUSY:
 * another process has it; `err` names its pid. */
MUST_CHECK enum status data_dir_lock(const char *dir, int *ret_fd, struct err *err);
/* The store's own directory: is it ours, and closed to others? With `can_mend` its mode is put
 * right (0700). STATUS_NOT_FOUND, STATUS_DENIED. */
MUST_CHECK enum status store_dir_check(const char *path, bool can_mend, struct err *err);
/* Does the directory hold nothing but what a data directory holds? An empty one does, too. */
MUST_CHECK bool data_dir_is_ours(const char *dir);
/* Make what was done in the directory durable. */
MUST_CHECK enum status dir_sync(const char *path, struct err *err);
/* Remove a directory of plain files; one that does not exist is fine. */
MUST_CHECK enum status dir_remove(const char *path, struct err *err);

/* The status for an errno of a file operation: STATUS_NOT_FOUND, STATUS_DENIED, STATUS_NO_SPACE,
 * STATUS_NO_MEMORY, STATUS_IO. */
enum status status_of_errno(int code);

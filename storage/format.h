/*
 * format: what the store's rows have in common: the tables' names, the format's version, and the
 * first byte of each row. The rows themselves are written and read by the module that owns their
 * table; docs/data-format.md has them all, byte by byte.
 *
 * A row is its version (u8), its fields (integers big-endian), and a check (u32) that the table
 * layer adds and takes off again: CRC-32C of key, version and fields, one after the other. A
 * flipped bit in a key or a row is STATUS_CORRUPT where it is read.
 *
 * To change a row:
 *   1. give it the next version byte; write only that one;
 *   2. keep the old decoder: rows are not rewritten until they change by themselves;
 *   3. add a row of the new form to the golden rows (tests/unit/storage/test_golden_*.c) beside the
 * old ones, and describe both forms in docs/data-format.md;
 *   4. if an older Postern would misread the store, not only miss something: raise FORMAT_VERSION
 *      and write the migration in storage/store.c (format_check), or raise FORMAT_VERSION_MIN too;
 *      older programs then refuse it.
 * To add a table: its line below, its section in docs/data-format.md, its invariants in check.c.
 */
#pragma once

#include "base/bytes.h"

#define FORMAT_VERSION 2
#define FORMAT_VERSION_MIN 2 /* a store of an older one is not opened */

enum table {
    TABLE_META,
    TABLE_TYPES,
    TABLE_COUNTERS,
    TABLE_REVISIONS,
    TABLE_RECORD_KEYS,
    TABLE_RECORDS_BY_TYPE,
    TABLE_EVENTS,
    TABLE_API_KEYS,
    TABLE_API_KEY_IDS,
    TABLE_USAGE,
    TABLE_IDEMPOTENCY,
    TABLE_ENDPOINTS,
    TABLE_ENDPOINT_NOTES,
    TABLE_DELIVERIES,
    TABLE_EVENT_DELIVERIES,
    TABLE_PENDING,
    TABLE_LANES,
    TABLE_DUE,
    TABLE_DELIVERED,
    TABLE_ATTEMPTS,
    TABLE_REJECTIONS,
    TABLE_AUDIT,
    TABLE_REPORTS,
    TABLE_COUNT
};

/* "revisions": the name of the LMDB database, in messages and in `store stat`. */
extern const char *const TABLE_NAMES[TABLE_COUNT];

#define ROW_CHECK_BYTES 4
#define TABLE_KEY_MAX 511 /* LMDB's */

/* The check of a row: over its key, and its version and fields. */
uint32_t row_check(struct bytes key, struct bytes row);

/* Begin to read a row: takes the version byte off. STATUS_CORRUPT: empty, version 0, or one above
 * `version_max`. */
MUST_CHECK enum status row_begin(struct bytes row, uint8_t version_max, uint8_t *ret_version,
                                 struct cursor *ret_cursor);

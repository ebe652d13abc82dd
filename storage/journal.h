/*
 * journal: two bounded logs for operators. Rejections: refused requests and why (7 days, bounded in
 * rows; never a body). Audit: every administrative act (who, from where, what, when; never a
 * secret; bounded in rows). Where a bound is reached, the oldest row goes.
 */
#pragma once

#include "base/address.h"
#include "storage/store.h"

#define REJECTIONS_KEEP_MS (7 * 24 * 60 * 60 * INT64_C(1000))
#define REJECTIONS_ROWS_MAX 1000000
#define AUDIT_ROWS_MAX 1000000

struct rejection {
    struct uuid id; /* given when it is added; also the order */
    int64_t at_ms;
    uint32_t api_key; /* number; 0: not authenticated */
    uint16_t http_status;
    struct address address;
    struct bytes method, route; /* at most 16 and 256 bytes are kept */
    struct bytes reason;        /* "/problems/invalid-record: /title: is required"; at most 512 */
};
void rejection_add(struct txn *txn, struct rejection *rejection);
/* With another bound on rows than REJECTIONS_ROWS_MAX. */
void rejection_add_within(struct txn *txn, struct rejection *rejection, uint64_t rows_max);
/* Newest first; `before` as in delivery_page_next. The views live until the transaction ends. */
MUST_CHECK enum status rejection_page_next(struct txn *txn, int64_t since_ms,
                                           struct uuid *inout_before,
                                           struct rejection *ret_rejection);
/* Drops those older than REJECTIONS_KEEP_MS, at most `rows_max`; true: there are more. */
bool rejections_prune(struct txn *txn, uint32_t rows_max);
/* Of a row as stored, for the checker. */
MUST_CHECK enum status rejection_decode(struct bytes key, struct bytes row,
                                        struct rejection *ret_rejection);

struct audit_entry {
    struct uuid id;
    int64_t at_ms;
    struct bytes who;    /* "root (uid 0)" or "posternd"; at most 256, as the next three */
    struct bytes origin; /* "postern on host, pid 4711" */
    struct bytes act;    /* "keys create" */
    struct bytes object; /* id of what it was done to */
    struct bytes detail; /* "label=ERP scopes=*:write"; never a secret; at most 4096 */
};
void audit_add(struct txn *txn, struct audit_entry *entry);
/* With another bound on rows than AUDIT_ROWS_MAX. */
void audit_add_within(struct txn *txn, struct audit_entry *entry, uint64_t rows_max);
MUST_CHECK enum status audit_page_next(struct txn *txn, int64_t since_ms, struct uuid *inout_before,
                                       struct audit_entry *ret_entry);
/* Of a row as stored, for the checker. */
MUST_CHECK enum status audit_decode(struct bytes key, struct bytes row,
                                    struct audit_entry *ret_entry);

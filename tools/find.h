/*
 * find: from what people type and see (TypeIDs, record keys, type names) to the store's rows, and
 * back. For use within a transaction.
 */
#pragma once

#include "base/err.h"
#include "schemas/json.h"
#include "storage/endpoints.h"
#include "storage/events.h"
#include "storage/records.h"

#define EVENT_ID_PREFIX "evt"

/* A record by id or, failing that, by record key; `type` (NULL: any) narrows it. A deleted record
 * is found by its id, and by its key among the newest of its type. STATUS_NOT_FOUND; STATUS_LIMIT:
 * the key is one of records of several types; `err` says which, and what to do. */
MUST_CHECK enum status find_record(struct txn *txn, const char *text, const char *type,
                                   struct revision *ret_current, struct type_row *ret_type,
                                   struct err *err);
/* "wo_01jd…"; the suffix alone where the type is not known; "" for the zero id. */
void find_record_id_text(struct txn *txn, uint16_t type, const struct uuid *record,
                         char out[TYPEID_TEXT_BYTES]);

/* STATUS_NOT_FOUND fills `err`, also for what is no endpoint id. */
MUST_CHECK enum status find_endpoint(struct txn *txn, const char *text,
                                     struct endpoint *ret_endpoint, struct err *err);
/* As above, deleted ones too: what was delivered to them is still there. */
MUST_CHECK enum status find_any_endpoint(struct txn *txn, const char *text,
                                         struct endpoint *ret_endpoint, struct err *err);
/* "ep_01jd…" by number; "" where there is none any more. */
void find_endpoint_id_text(struct txn *txn, uint32_t number, char out[TYPEID_TEXT_BYTES]);

/* By id or sequence number. STATUS_NOT_FOUND fills `err`. */
MUST_CHECK enum status find_event(struct txn *txn, const char *text, struct event *ret_event,
                                  struct err *err);

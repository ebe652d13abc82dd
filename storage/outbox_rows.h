/*
 * outbox_rows: keys and rows of the outbox's tables, for the files that share them: outbox.c,
 * deliveries.c, attempts.c, and the checker. Byte by byte in docs/data-format.md.
 */
#pragma once

#include "storage/endpoints.h"
#include "storage/outbox.h"
#include "storage/table.h"

#define DELIVERY_KEY_BYTES UUID_BYTES
#define PENDING_KEY_BYTES (4 + UUID_BYTES)
#define LANE_PREFIX_BYTES (4 + UUID_BYTES)
#define LANE_KEY_BYTES (LANE_PREFIX_BYTES + UUID_BYTES)
#define DUE_KEY_BYTES (4 + 8 + UUID_BYTES)
#define EVENT_DELIVERY_KEY_BYTES (8 + 4 + UUID_BYTES)
#define ATTEMPT_KEY_BYTES (UUID_BYTES + 2)
#define DELIVERED_KEY_BYTES (4 + 8)

/* Sequence numbers in one row of `delivered`, a bit each. */
#define DELIVERED_BLOCK_BITS 1024
#define DELIVERED_BLOCK_BYTES (DELIVERED_BLOCK_BITS / 8)

struct bytes delivery_key(const struct uuid *id); /* borrows */
void pending_key(const struct delivery *delivery, uint8_t key[PENDING_KEY_BYTES]);
/* Begins with the lane: endpoint and record; a delivery of no record's is a lane by itself. */
void lane_key(const struct delivery *delivery, uint8_t key[LANE_KEY_BYTES]);
void due_key(const struct delivery *delivery, uint8_t key[DUE_KEY_BYTES]);
void event_delivery_key(const struct delivery *delivery, uint8_t key[EVENT_DELIVERY_KEY_BYTES]);
void attempt_key(const struct uuid *delivery, uint16_t number, uint8_t key[ATTEMPT_KEY_BYTES]);
void delivered_key(uint32_t endpoint, uint64_t sequence, uint8_t key[DELIVERED_KEY_BYTES]);

/* Writes the row; with `is_new` it is the last of the table. */
void delivery_put(struct txn *txn, const struct delivery *delivery, bool is_new);
MUST_CHECK enum status delivery_decode(struct bytes key, struct bytes row,
                                       struct delivery *ret_delivery);
/* A row that names a delivery: of `pending` and `lanes`. */
void delivery_name_put(struct txn *txn, enum table table, struct bytes key, const struct uuid *id);
MUST_CHECK enum status delivery_name_decode(struct bytes row, struct uuid *ret_id);
/* A row whose key says all: of `due` and `event_deliveries`. */
void mark_put(struct txn *txn, enum table table, struct bytes key);
MUST_CHECK enum status mark_decode(struct bytes row);

/* Logs the attempt as the delivery's `number`th, cut to its bounds. */
void attempt_put(struct txn *txn, const struct attempt *attempt, uint16_t number);
MUST_CHECK enum status attempt_decode(struct bytes key, struct bytes row,
                                      struct attempt *ret_attempt);

/* Remember for good that the endpoint took the event. */
void delivered_mark(struct txn *txn, uint32_t endpoint, uint64_t sequence);
/* The bits of a block, DELIVERED_BLOCK_BYTES of them. */
MUST_CHECK enum status delivered_decode(struct bytes row, struct bytes *ret_bits);

/* Ends a pending delivery: out of its lane, the next of the lane due now. `reason` may be "". */
void delivery_conclude(struct txn *txn, struct delivery *delivery, enum delivery_state state,
                       const char *reason);
/* The counter of deliveries in that state. */
enum counter delivery_counter(enum delivery_state state);

/* endpoints.c: of the row, without and with its notes. */
MUST_CHECK enum status endpoint_decode(struct txn *txn, struct bytes key, struct bytes row,
                                       struct endpoint *ret_endpoint);
MUST_CHECK enum status endpoint_notes_decode(struct bytes row, int64_t *ret_last_success_ms,
                                             int64_t *ret_failing_since_ms);

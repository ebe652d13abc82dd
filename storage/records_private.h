/*
 * records_private: what records.c (revisions and record keys) and records_by_type.c (going through
 * the records of a type) share; and check_records.c.
 */
#pragma once

#include "storage/records.h"
#include "storage/table.h"

#define REVISION_KEY_BYTES (UUID_BYTES + 4)
#define BLOCK_KEY_BYTES (2 + 8)

struct bytes revision_key(const struct uuid *record, uint32_t number,
                          uint8_t out[REVISION_KEY_BYTES]);
MUST_CHECK enum status revision_decode(struct bytes key, struct bytes row, struct revision *ret);

/* The 64 milliseconds in which the record was created, by its id. */
uint64_t record_block(const struct uuid *record);
int64_t block_first_ms(uint64_t block);
MUST_CHECK enum status block_decode(struct bytes row);
struct bytes block_key(uint16_t type, uint64_t block, uint8_t out[BLOCK_KEY_BYTES]);
/* Note that the type has a record in its block. Sticky faults only. */
void record_note_block(struct txn *txn, uint16_t type, const struct uuid *record);

/*
 * format: one table of names, and the check: a standard sum that anybody can recompute, and that
 * the processor has an instruction for.
 */
#include "storage/format.h"

#include "storage/crc32c.h"

const char *const TABLE_NAMES[TABLE_COUNT] = {
    [TABLE_META] = "meta",
    [TABLE_TYPES] = "types",
    [TABLE_COUNTERS] = "counters",
    [TABLE_REVISIONS] = "revisions",
    [TABLE_RECORD_KEYS] = "record_keys",
    [TABLE_RECORDS_BY_TYPE] = "records_by_type",
    [TABLE_EVENTS] = "events",
    [TABLE_API_KEYS] = "api_keys",
    [TABLE_API_KEY_IDS] = "api_key_ids",
    [TABLE_USAGE] = "usage",
    [TABLE_IDEMPOTENCY] = "idempotency",
    [TABLE_ENDPOINTS] = "endpoints",
    [TABLE_ENDPOINT_NOTES] = "endpoint_notes",
    [TABLE_DELIVERIES] = "deliveries",
    [TABLE_EVENT_DELIVERIES] = "event_deliveries",
    [TABLE_PENDING] = "pending",
    [TABLE_LANES] = "lanes",
    [TABLE_DUE] = "due",
    [TABLE_DELIVERED] = "delivered",
    [TABLE_ATTEMPTS] = "attempts",
    [TABLE_REJECTIONS] = "rejections",
    [TABLE_AUDIT] = "audit",
    [TABLE_REPORTS] = "reports",
};

uint32_t row_check(struct bytes key, struct bytes row)
{
    return crc32c_more(crc32c_more(0, key), row);
}

enum status row_begin(struct bytes row, uint8_t version_max, uint8_t *ret_version,
                      struct cursor *ret_cursor)
{
    struct cursor cursor = cursor_of(row);
    uint8_t version = cursor_u8(&cursor);

    if (version == 0 || version > version_max)
        return STATUS_CORRUPT;
    *ret_version = version;
    *ret_cursor = cursor;
    return STATUS_OK;
}

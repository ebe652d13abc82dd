/*
 * check: first the pages, past LMDB, which would follow a damaged one anywhere: if there is one,
 * that is the finding, and nothing else is looked at. Then it goes over each table once, row by
 * row, in the same read transaction; the tables' functions look into the other tables as they need.
 * Then it compares what was counted on the way with the counters.
 *
 * Damage does not end it: a row that does not match its check is said and passed over. What ends it
 * is a store that cannot be read at all.
 */
#include "storage/checker.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "storage/api_keys.h"
#include "storage/idempotency.h"
#include "storage/journal.h"
#include "storage/reports.h"

#include <stdarg.h>
#include <stdio.h>

#define PROGRESS_ROWS 4096
#define SNAPSHOTS_MAX 100 /* each is lost only if two commits end within microseconds */
#define PROBLEM_TEXT_MAX 512
#define BUCKET_MS (2 * HOUR_MS) /* as idempotency.c */

/* ---- pages ---- */

enum status checked_read(struct store *store, struct txn **ret_txn, struct err *err)
{
    enum status s = STATUS_MISMATCH;

    *ret_txn = NULL;
    for (unsigned i = 0; s == STATUS_MISMATCH && i < SNAPSHOTS_MAX; i++) {
        txn_abort(*ret_txn);
        *ret_txn = NULL;
        s = txn_read(store, ret_txn);
        if (s == STATUS_OK)
            s = txn_check_pages(*ret_txn, err);
        else
            err_set(err, "read the store: %s", status_text(s));
    }
    if (s == STATUS_MISMATCH) {
        err_set(err, "the store changes too fast to be looked at");
        s = STATUS_BUSY;
    }
    if (s != STATUS_OK) {
        txn_abort(*ret_txn);
        *ret_txn = NULL;
    }
    return s;
}

/* ---- saying and looking ---- */

/* Damage, as of a counter, is a finding where its row is gone over, and ends nothing. */
static enum status fault_of(const struct txn *txn)
{
    enum status s = txn_status(txn);

    return s == STATUS_CORRUPT ? STATUS_OK : s;
}

void check_say(struct checker *checker, const char *format, ...)
{
    char text[PROBLEM_TEXT_MAX];
    int len = snprintf(text, sizeof text, "%s: ", TABLE_NAMES[checker->table]);
    va_list arguments;

    if (fault_of(checker->txn) != STATUS_OK) { /* nothing could be looked at: no finding */
        checker->fault = fault_of(checker->txn);
        return;
    }
    va_start(arguments, format);
    (void)vsnprintf(text + len, sizeof text - (size_t)len, format, arguments); /* may be cut */
    va_end(arguments);
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) /* a record key may hold anything */
            *c = '?';
    checker->report->problem_count++;
    checker->problem(checker->context, text);
}

bool check_read(struct checker *checker, enum status status)
{
    if (status_is_fault(status) && status != STATUS_CORRUPT)
        checker->fault = status;
    return status == STATUS_OK;
}

bool check_has(struct checker *checker, enum table table, struct bytes key)
{
    struct bytes row;
    enum status s = table_get(checker->txn, table, key, &row);

    return check_read(checker, s) || s == STATUS_CORRUPT;
}

void check_id(struct checker *checker, const uint8_t id[UUID_BYTES])
{
    if (memcmp(id, checker->last_id.bytes, UUID_BYTES) > 0)
        memcpy(checker->last_id.bytes, id, UUID_BYTES);
}

void check_group_end(struct checker *checker)
{
    uint64_t counter;

    if (!checker->at.has_group)
        return;
    counter = counter_group_get(checker->txn, COUNTERS_ENDPOINT_PENDING, checker->at.group);
    if (counter != checker->at.group_rows)
        check_say(checker, "endpoint %u: has %ju rows, its counter says %ju", checker->at.group,
                  (uintmax_t)checker->at.group_rows, (uintmax_t)counter);
}

void check_group(struct checker *checker, uint32_t group)
{
    if (!checker->at.has_group || checker->at.group != group) {
        check_group_end(checker);
        checker->at.has_group = true;
        checker->at.group = group;
        checker->at.group_rows = 0;
    }
    checker->at.group_rows++;
}

/* ---- the small tables ---- */

static void check_meta(struct checker *checker, struct bytes key, struct bytes row)
{
    struct cursor c;
    uint8_t version;

    if (row.len > 0 && row_begin(row, 1, &version, &c) != STATUS_OK)
        check_say(checker, "%.*s: does not decode", BYTES_ARG(key));
}

static void check_type(struct checker *checker, struct bytes key, struct bytes row)
{
    struct type_row type, found;
    uint16_t number = get_be16(key.data);

    if (row.len == 0)
        return;
    if (!check_read(checker, type_at(checker->txn, number, &type)))
        check_say(checker, "type %u: does not decode", number);
    else if (check_read(checker, type_find(checker->txn, bytes_of_str(type.name), &found)) &&
             found.number != number)
        check_say(checker, "type %u: has the name of type %u", number, found.number);
}

/* Has the counter's table a row of that group? */
static bool has_group(struct checker *checker, enum table table, struct bytes prefix)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s = table_cursor_open(&c, checker->txn, table, prefix);

    return (check_read(checker, s) || s == STATUS_CORRUPT) && key_has_prefix(c.key, prefix);
}

/* Those with rows are compared where the rows are; here the ones that have none. */
static void check_counter(struct checker *checker, struct bytes key, struct bytes row)
{
    uint32_t index = get_be32(key.data + 1);
    uint8_t prefix[4];
    struct cursor c;
    uint8_t version;

    if (row.len == 0)
        return;
    if (row_begin(row, 1, &version, &c) != STATUS_OK || cursor_left(&c) != 8) {
        check_say(checker, "group %u, number %u: does not decode", key.data[0], index);
    } else if (key.data[0] == COUNTERS_RECORDS && index > UINT16_MAX) {
        check_say(checker, "record type %u: there is no such number", index);
    } else if (key.data[0] == COUNTERS_RECORDS) { /* compared when the records are counted */
        checker->types[index].counter = cursor_u64(&c);
    } else if (key.data[0] == COUNTERS_ENDPOINT_PENDING && cursor_u64(&c) > 0) {
        put_be32(prefix, index);
        if (!has_group(checker, TABLE_PENDING, bytes_of(prefix, 4)))
            check_say(checker, "endpoint %u: counts pending deliveries that are not there", index);
    }
}

static void check_api_key(struct checker *checker, struct bytes key, struct bytes row)
{
    struct api_key api_key, found;
    uint32_t number = get_be32(key.data);

    if (row.len == 0)
        return;
    if (!check_read(checker, api_key_at(checker->txn, number, &api_key)))
        check_say(checker, "number %u: does not decode", number);
    else if (!check_read(checker, api_key_find(checker->txn, &api_key.id, &found)) ||
             found.number != number)
        check_say(checker, "number %u: is not found by its id", number);
}

static void check_api_key_id(struct checker *checker, struct bytes key, struct bytes row)
{
    char text[TYPEID_TEXT_BYTES];
    struct api_key found;
    struct uuid id;

    if (row.len == 0)
        return;
    memcpy(id.bytes, key.data, UUID_BYTES);
    typeid_format(API_KEY_ID_PREFIX, &id, text);
    if (!check_read(checker, api_key_find(checker->txn, &id, &found)))
        check_say(checker, "%s: leads to no API key", text);
    else if (uuid_compare(&found.id, &id) != 0)
        check_say(checker, "%s: leads to another API key", text);
}

static void check_usage(struct checker *checker, struct bytes key, struct bytes row)
{
    struct cursor c;
    uint8_t version;

    if (row.len > 0 && (row_begin(row, 1, &version, &c) != STATUS_OK || cursor_left(&c) != 4))
        check_say(checker, "API key %u: does not decode", get_be32(key.data));
}

static void check_idempotency(struct checker *checker, struct bytes key, struct bytes row)
{
    uint32_t api_key = get_be32(key.data + 4);
    uint64_t at_ms;
    struct cursor c;
    uint8_t version;

    if (row.len == 0)
        return;
    if (row_begin(row, 1, &version, &c) != STATUS_OK) {
        check_say(checker, "API key %u: an answer does not decode", api_key);
        return;
    }
    (void)cursor_take(&c, SHA256_BYTES + 2);
    at_ms = cursor_u64(&c);
    (void)cursor_sized(&c);
    (void)cursor_sized(&c);
    if (c.is_bad)
        check_say(checker, "API key %u: an answer does not decode", api_key);
    else if (at_ms / BUCKET_MS != get_be32(key.data))
        check_say(checker, "API key %u: an answer is in the bucket of another time", api_key);
}

static void check_rejection(struct checker *checker, struct bytes key, struct bytes row)
{
    struct rejection rejection;

    check_id(checker, key.data);
    if (row.len > 0 && rejection_decode(key, row, &rejection) != STATUS_OK)
        check_say(checker, "a row does not decode");
}

static void check_audit(struct checker *checker, struct bytes key, struct bytes row)
{
    struct audit_entry entry;

    check_id(checker, key.data);
    if (row.len > 0 && audit_decode(key, row, &entry) != STATUS_OK)
        check_say(checker, "a row does not decode");
}

static void check_report(struct checker *checker, struct bytes key, struct bytes row)
{
    char text[TYPEID_TEXT_BYTES];
    struct report report;
    struct uuid id;

    memcpy(id.bytes, key.data, UUID_BYTES);
    check_id(checker, key.data);
    typeid_format(REPORT_ID_PREFIX, &id, text);
    if (row.len > 0 && !check_read(checker, report_find(checker->txn, &id, &report)))
        check_say(checker, "%s: does not decode", text);
}

/* ---- over all tables ---- */

static const struct table_check {
    size_t key_bytes; /* 0: of any length */
    void (*row)(struct checker *checker, struct bytes key, struct bytes row);
    void (*end)(struct checker *checker);
} TABLE_CHECKS[TABLE_COUNT] = {
    [TABLE_META] = {0, check_meta, NULL},
    [TABLE_TYPES] = {2, check_type, NULL},
    [TABLE_COUNTERS] = {5, check_counter, NULL},
    [TABLE_REVISIONS] = {UUID_BYTES + 4, check_revision, check_revisions_end},
    [TABLE_RECORD_KEYS] = {0, check_record_key, NULL},
    [TABLE_RECORDS_BY_TYPE] = {BLOCK_KEY_BYTES, check_record_by_type, NULL},
    [TABLE_EVENTS] = {8, check_event, NULL},
    [TABLE_API_KEYS] = {4, check_api_key, NULL},
    [TABLE_API_KEY_IDS] = {UUID_BYTES, check_api_key_id, NULL},
    [TABLE_USAGE] = {12, check_usage, NULL},
    [TABLE_IDEMPOTENCY] = {4 + 4 + SHA256_BYTES, check_idempotency, NULL},
    [TABLE_ENDPOINTS] = {4, check_endpoint, NULL},
    [TABLE_ENDPOINT_NOTES] = {4, check_endpoint_note, NULL},
    [TABLE_DELIVERIES] = {DELIVERY_KEY_BYTES, check_delivery, NULL},
    [TABLE_EVENT_DELIVERIES] = {EVENT_DELIVERY_KEY_BYTES, check_event_delivery, NULL},
    [TABLE_PENDING] = {PENDING_KEY_BYTES, check_pending, check_pending_end},
    [TABLE_LANES] = {LANE_KEY_BYTES, check_lane, NULL},
    [TABLE_DUE] = {DUE_KEY_BYTES, check_due, NULL},
    [TABLE_DELIVERED] = {DELIVERED_KEY_BYTES, check_delivered, NULL},
    [TABLE_ATTEMPTS] = {ATTEMPT_KEY_BYTES, check_attempt, check_attempts_end},
    [TABLE_REJECTIONS] = {UUID_BYTES, check_rejection, NULL},
    [TABLE_AUDIT] = {UUID_BYTES, check_audit, NULL},
    [TABLE_REPORTS] = {UUID_BYTES, check_report, NULL},
};

/* Rows' keys that have no better name: at most 36 bytes of them, in hexadecimal. */
static void say_damaged(struct checker *checker, struct bytes key)
{
    char text[2 * 36 + 1];
    size_t len = key.len < 36 ? key.len : 36;

    for (size_t i = 0; i < len; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", key.data[i]); /* fits by its size */
    check_say(checker, "row %s%s: does not match its check", text, len < key.len ? "…" : "");
}

static void check_row(struct checker *checker, struct table_cursor *cursor, enum status s)
{
    const struct table_check *check = &TABLE_CHECKS[checker->table];

    if (s == STATUS_CORRUPT)
        say_damaged(checker, cursor->key);
    if (check->key_bytes != 0 && cursor->key.len != check->key_bytes)
        check_say(checker, "a key of %zu bytes, not %zu", cursor->key.len, check->key_bytes);
    else
        check->row(checker, cursor->key, cursor->row);
    checker->done++;
    if (checker->progress != NULL && checker->done % PROGRESS_ROWS == 0)
        checker->progress(checker->context, checker->done, checker->all);
}

static void check_table(struct checker *checker, enum table table)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s;

    checker->table = table;
    memset(&checker->at, 0, sizeof checker->at);
    for (s = table_cursor_open(&c, checker->txn, table, (struct bytes){0});
         s == STATUS_OK || (s == STATUS_CORRUPT && c.key.len > 0); s = table_cursor_next(&c)) {
        check_row(checker, &c, s);
        if (checker->fault != STATUS_OK)
            return;
    }
    if (s == STATUS_CORRUPT)
        check_say(checker, "its pages are damaged; what follows cannot be read");
    else if (s != STATUS_END)
        checker->fault = s;
    else if (TABLE_CHECKS[table].end != NULL)
        TABLE_CHECKS[table].end(checker);
}

/* ---- what was counted ---- */

static void check_counted(struct checker *checker, const char *what, enum counter counter,
                          uint64_t counted)
{
    uint64_t value = counter_get(checker->txn, counter);

    if (value != counted)
        check_say(checker, "%s: %ju are there, the counter says %ju", what, (uintmax_t)counted,
                  (uintmax_t)value);
}

/* Of rows that are dropped one day the counter has all that ever were. */
static void check_at_least(struct checker *checker, const char *what, enum counter counter,
                           uint64_t counted)
{
    uint64_t value = counter_get(checker->txn, counter);

    if (value < counted)
        check_say(checker, "%s: %ju are there, the counter says %ju ever were", what,
                  (uintmax_t)counted, (uintmax_t)value);
}

static void check_counters(struct checker *checker)
{
    checker->table = TABLE_COUNTERS;
    check_counted(checker, "revisions", COUNTER_ACCEPTED, checker->report->revisions);
    for (enum delivery_state state = DELIVERY_PENDING; state <= DELIVERY_FAILED; state++)
        check_counted(checker, delivery_state_text(state), delivery_counter(state),
                      checker->states[state]);
    check_at_least(checker, "attempts", COUNTER_ATTEMPTS, checker->report->attempts);
    check_at_least(checker, "rejections", COUNTER_REJECTIONS,
                   table_rows(checker->txn, TABLE_REJECTIONS));
}

/* The number given last, of `meta`, and the last row's; a number beyond it would be given again. */
static void check_next_number(struct checker *checker, const char *name, enum table table)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s = table_cursor_open_before(&c, checker->txn, table, (struct bytes){0});
    uint32_t last = 0, given = 0;
    struct bytes row;

    checker->table = TABLE_META;
    if ((check_read(checker, s) || s == STATUS_CORRUPT) && c.key.len == 4)
        last = get_be32(c.key.data);
    s = table_get(checker->txn, TABLE_META, bytes_of_str(name), &row);
    if (s == STATUS_CORRUPT)
        return; /* has been said */
    if (check_read(checker, s) && row.len == 5)
        given = get_be32(row.data + 1);
    if (given < last)
        check_say(checker, "%s: says %u, and %s has %u", name, given, TABLE_NAMES[table], last);
}

/* An id that is later than the last one given out would one day be given again. */
static void check_last_id(struct checker *checker)
{
    struct bytes row, id = {0};
    struct cursor c;
    uint8_t version;
    enum status s = table_get(checker->txn, TABLE_META, bytes_of_str("last_uuid"), &row);

    checker->table = TABLE_META;
    if (check_read(checker, s) && row_begin(row, 1, &version, &c) == STATUS_OK)
        id = cursor_take(&c, UUID_BYTES);
    if (s == STATUS_CORRUPT || uuid_is_zero(&checker->last_id))
        return;
    if (id.len == 0 || memcmp(id.data, checker->last_id.bytes, UUID_BYTES) < 0)
        check_say(checker, "last_uuid: is before an id that is in use");
}

enum status store_check(struct store *store, void (*problem)(void *context, const char *text),
                        void (*progress)(void *context, uint64_t done, uint64_t all), void *context,
                        struct check_report *ret_report)
{
    CLEANUP(txn_abortp) struct txn *txn = NULL;
    CLEANUP(freep) struct type_count *types = calloc(UINT16_MAX + 1, sizeof *types);
    struct checker checker = {.report = ret_report,
                              .problem = problem,
                              .progress = progress,
                              .context = context,
                              .types = types};
    struct err err = {0};
    enum status s = checked_read(store, &txn, &err);

    *ret_report = (struct check_report){0};
    if (types == NULL)
        return STATUS_NO_MEMORY;
    if (s == STATUS_CORRUPT) {
        ret_report->problem_count = 1;
        problem(context, err.text);
        return STATUS_OK;
    }
    if (s != STATUS_OK)
        return s;
    checker.txn = txn;
    for (enum table table = 0; table < TABLE_COUNT; table++)
        checker.all += table_rows(txn, table);
    for (enum table table = 0; table < TABLE_COUNT && checker.fault == STATUS_OK; table++)
        check_table(&checker, table);
    if (checker.fault == STATUS_OK) {
        check_counters(&checker);
        check_last_id(&checker);
        check_next_number(&checker, "next_api_key", TABLE_API_KEYS);
        check_next_number(&checker, "next_endpoint", TABLE_ENDPOINTS);
    }
    if (progress != NULL)
        progress(context, checker.done, checker.all);
    return checker.fault != STATUS_OK ? checker.fault : fault_of(txn);
}

/*
 * reports: a handful of rows, by id.
 *
 * Times are counted in whole periods from an anchor (the Unix epoch, for weeks its first Monday),
 * so that a schedule is arithmetic and a missed one does not pile up: after a week off there is one
 * report, not seven.
 */
#include "storage/reports.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "storage/table.h"

#define REPORT_VERSION 1
#define FIRST_MONDAY_MS (4 * DAY_MS) /* 1970-01-05 */

const char *report_every_text(enum report_every every)
{
    switch (every) {
    case REPORT_HOURLY:
        return "hour";
    case REPORT_DAILY:
        return "day";
    case REPORT_WEEKLY:
        return "week";
    }
    return "unknown";
}

enum status report_every_parse(struct bytes text, enum report_every *ret_every)
{
    for (enum report_every every = REPORT_HOURLY; every <= REPORT_WEEKLY; every++) {
        if (bytes_equal_str(text, report_every_text(every))) {
            *ret_every = every;
            return STATUS_OK;
        }
    }
    return STATUS_INVALID;
}

static int64_t period_ms(enum report_every every)
{
    switch (every) {
    case REPORT_HOURLY:
        return HOUR_MS;
    case REPORT_DAILY:
        return DAY_MS;
    case REPORT_WEEKLY:
        break;
    }
    return 7 * DAY_MS;
}

int64_t report_due_after(const struct report *report, int64_t after_ms)
{
    int64_t period = period_ms(report->every);
    int64_t anchor = report->at_minute * MINUTE_MS % period;

    if (report->every == REPORT_WEEKLY)
        anchor += FIRST_MONDAY_MS;
    if (after_ms < anchor)
        return anchor;
    return anchor + ((after_ms - anchor) / period + 1) * period;
}

static struct bytes report_key(const struct uuid *id)
{
    return bytes_of(id->bytes, UUID_BYTES);
}

static void put_row(struct txn *txn, const struct report *report)
{
    CLEANUP(buf_fini) struct buf row = {0};

    must(report->type_count <= REPORT_TYPES_MAX);
    buf_put_u8(&row, REPORT_VERSION);
    buf_put_u8(&row, (uint8_t)report->every);
    buf_put_u16(&row, report->at_minute);
    buf_put_u64(&row, (uint64_t)report->created_ms);
    buf_put_u64(&row, (uint64_t)report->next_due_ms);
    buf_put_u8(&row, report->type_count);
    for (unsigned i = 0; i < report->type_count; i++)
        buf_put_sized(&row, bytes_of(report->types[i], strnlen(report->types[i], TYPE_NAME_MAX)));
    table_put_buf(txn, TABLE_REPORTS, report_key(&report->id), &row);
}

static void take_types(struct cursor *c, struct report *report)
{
    report->type_count = cursor_u8(c);
    if (report->type_count > REPORT_TYPES_MAX) {
        c->is_bad = true;
        return;
    }
    for (unsigned i = 0; i < report->type_count; i++) {
        struct bytes name = cursor_sized(c);
        if (name.len > TYPE_NAME_MAX)
            c->is_bad = true;
        else if (name.len > 0)
            memcpy(report->types[i], name.data, name.len);
    }
}

static enum status decode(struct bytes key, struct bytes row, struct report *ret_report)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, REPORT_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != UUID_BYTES)
        return STATUS_CORRUPT;
    *ret_report = (struct report){0};
    memcpy(ret_report->id.bytes, key.data, UUID_BYTES);
    ret_report->every = cursor_u8(&c);
    ret_report->at_minute = cursor_u16(&c);
    ret_report->created_ms = (int64_t)cursor_u64(&c);
    ret_report->next_due_ms = (int64_t)cursor_u64(&c);
    take_types(&c, ret_report);
    if (ret_report->every < REPORT_HOURLY || ret_report->every > REPORT_WEEKLY)
        return STATUS_CORRUPT;
    return cursor_finish(&c);
}

void report_put(struct txn *txn, struct report *report)
{
    if (uuid_is_zero(&report->id)) {
        report->id = txn_uuid(txn);
        report->created_ms = txn_now_ms(txn);
        if (report->next_due_ms == 0)
            report->next_due_ms = report_due_after(report, txn_now_ms(txn));
    }
    put_row(txn, report);
    txn_bump_generation(txn);
}

enum status report_find(struct txn *txn, const struct uuid *id, struct report *ret_report)
{
    struct bytes row;
    enum status s = table_get(txn, TABLE_REPORTS, report_key(id), &row);

    return s == STATUS_OK ? txn_fault(txn, decode(report_key(id), row, ret_report)) : s;
}

enum status report_postpone(struct txn *txn, const struct uuid *id, int64_t next_due_ms)
{
    struct report report;
    enum status s = report_find(txn, id, &report);

    if (s != STATUS_OK)
        return s;
    report.next_due_ms = next_due_ms;
    put_row(txn, &report);
    return txn_status(txn);
}

enum status report_next(struct txn *txn, struct uuid *inout_after, struct report *ret_report)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct bytes from = uuid_is_zero(inout_after) ? bytes_of(NULL, 0) : report_key(inout_after);
    enum status s = table_cursor_open(&c, txn, TABLE_REPORTS, from);

    if (s == STATUS_OK && from.len > 0 && bytes_equal(c.key, from))
        s = table_cursor_next(&c);
    if (s != STATUS_OK && s != STATUS_CORRUPT)
        return s;
    if (c.key.len != UUID_BYTES)
        return txn_fault(txn, STATUS_CORRUPT);
    memcpy(inout_after->bytes, c.key.data, UUID_BYTES);
    return s == STATUS_OK ? txn_fault(txn, decode(c.key, c.row, ret_report)) : s;
}

enum status report_delete(struct txn *txn, const struct uuid *id)
{
    enum status s = table_delete(txn, TABLE_REPORTS, report_key(id));

    if (s == STATUS_OK)
        txn_bump_generation(txn);
    return s;
}

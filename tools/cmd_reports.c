/*
 * reports: what the server shall report regularly, as `report.generated` events.
 */
#include "base/cleanup.h"
#include "ingest/raise.h"
#include "storage/reports.h"
#include "tools/commands.h"

#include <stdio.h>
#include <stdlib.h>

static const struct column REPORT_COLUMNS[] = {
    {"id", "ID", COLUMN_TEXT},
    {"every", "EVERY", COLUMN_TEXT},
    {"at", "AT (UTC)", COLUMN_TEXT},
    {"types", "TYPES", COLUMN_TEXT},
    {"nextAt", "NEXT", COLUMN_TEXT},
    {"createdAt", NULL, COLUMN_TEXT},
    {0},
};

struct report_visit {
    struct tool *tool;
    struct report report;
    struct uuid after;
};

static void put_report(struct output *out, const struct report *report)
{
    char id[TYPEID_TEXT_BYTES], at[8];
    unsigned minute = report->at_minute;
    typeid_format(REPORT_ID_PREFIX, &report->id, id);
    if (report->every == REPORT_HOURLY)
        snprintf(at, sizeof(at), ":%02u", minute % 60);
    else
        snprintf(at, sizeof(at), "%02u:%02u", minute / 60 % 24, minute % 60);
    output_item_begin(out);
    output_str(out, "id", id);
    output_str(out, "every", report_every_text(report->every));
    output_str(out, "at", at);
    if (report->type_count)
        output_texts(out, "types", report->types[0], sizeof(report->types[0]), report->type_count);
    else
        output_texts(out, "types", "*", 2, 1);
    output_time(out, "nextAt", report->next_due_ms);
    output_time(out, "createdAt", report->created_ms);
    output_item_end(out);
}

/* "HH:MM" */
static bool read_minute(const char *text, uint16_t *ret_minute)
{
    unsigned hour, minute;
    char rest;
    if (strlen(text) != 5 || text[2] != ':' || text[0] < '0' || text[0] > '9' || text[3] < '0' ||
        text[3] > '9' || sscanf(text, "%2u:%2u%c", &hour, &minute, &rest) != 2 || hour > 23 ||
        minute > 59)
        return false;
    *ret_minute = (uint16_t)(hour * 60 + minute);
    return true;
}

static int read_types(struct tool *tool, const struct args *args, struct report *report)
{
    size_t at = 0;
    const struct value *value;
    struct err err = {0};
    if (!args_has(args, "type"))
        return DONE;
    if (tool_types(tool, &err) != STATUS_OK)
        return complain("%s", err.text);
    while ((value = args_each(args, "type", &at))) {
        if (!record_types_find(tool->types, bytes_of_str(value->text)))
            return complain("no record type \"%.63s\": see `postern schemas list`", value->text);
        if (report->type_count == REPORT_TYPES_MAX)
            return complain_usage(args, "--type: at most %d of them", REPORT_TYPES_MAX);
        snprintf(report->types[report->type_count++], sizeof(report->types[0]), "%s", value->text);
    }
    return DONE;
}

static void audit_report(struct txn *txn, const char *act, const struct report *report)
{
    char id[TYPEID_TEXT_BYTES], detail[64];
    typeid_format(REPORT_ID_PREFIX, &report->id, id);
    snprintf(detail, sizeof(detail), "every=%s", report_every_text(report->every));
    tool_audit(txn, act, id, detail);
}

/* Subscribers learn of the schedule as they will of its reports. */
static enum status raise_scheduled(struct txn *txn, const struct report *report)
{
    CLEANUP(buf_fini) struct buf data = {0};
    char id[TYPEID_TEXT_BYTES], next[TIME_TEXT_BYTES];
    struct subscriptions *subscriptions = subscriptions_new();
    if (!subscriptions)
        return STATUS_NO_MEMORY;
    typeid_format(REPORT_ID_PREFIX, &report->id, id);
    time_format(report->next_due_ms, next);
    buf_printf(&data, "{\"schedule\":\"%s\",\"every\":\"%s\",\"nextAt\":\"%s\"}", id,
               report_every_text(report->every), next);
    if (data.status == STATUS_OK)
        raise_event(txn, subscriptions, "report.scheduled", buf_bytes(&data));
    subscriptions_free(subscriptions);
    return data.status;
}

static enum status create_step(void *context, struct txn *txn)
{
    struct report_visit *visit = context;
    visit->report.id = (struct uuid){0};
    visit->report.created_ms = visit->report.next_due_ms = 0;
    report_put(txn, &visit->report);
    audit_report(txn, "reports create", &visit->report);
    return raise_scheduled(txn, &visit->report);
}

int reports_create(struct tool *tool, const struct args *args)
{
    struct report_visit visit = {.tool = tool};
    const char *at = args_text(args, "at");
    if (report_every_parse(bytes_of_str(args_text(args, "every")), &visit.report.every) !=
        STATUS_OK)
        return complain_usage(args, "--every: hour, day or week");
    if (at && !read_minute(at, &visit.report.at_minute))
        return complain_usage(args, "--at: \"%s\" is not a time of the day such as 06:30", at);
    int result = read_types(tool, args, &visit.report);
    if (result != DONE || tool_store(tool, NEED_CREATE) != DONE)
        return result != DONE ? result : FAILED;
    enum status s = tool_write(tool, create_step, &visit);
    if (s != STATUS_OK)
        return complain_status(s, "reports create");
    put_report(tool->out, &visit.report);
    return DONE;
}

static enum status list_step(void *context, struct txn *txn)
{
    struct report_visit *visit = context;
    enum status s = report_next(txn, &visit->after, &visit->report);
    if (s == STATUS_OK)
        put_report(visit->tool->out, &visit->report);
    return s;
}

int reports_list(struct tool *tool, const struct args *args)
{
    struct report_visit visit = {.tool = tool};
    (void)args;
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    output_list_begin(tool->out, NULL, REPORT_COLUMNS,
                      "no reports yet: `postern reports create --every day` makes one");
    enum status s = tool_scan(tool, list_step, NULL, &visit);
    output_list_end(tool->out);
    return s == STATUS_OK ? DONE : complain_status(s, "reports list");
}

static enum status delete_step(void *context, struct txn *txn)
{
    struct report_visit *visit = context;
    enum status s = report_find(txn, &visit->after, &visit->report);
    if (s != STATUS_OK)
        return s;
    audit_report(txn, "reports delete", &visit->report);
    return report_delete(txn, &visit->after);
}

int reports_delete(struct tool *tool, const struct args *args)
{
    struct report_visit visit = {.tool = tool};
    const char *id = args_argument(args, 0);
    if (tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    enum status s = typeid_parse(bytes_of_str(id), REPORT_ID_PREFIX, &visit.after);
    if (s == STATUS_OK)
        s = tool_write(tool, delete_step, &visit);
    if (s == STATUS_NOT_FOUND || s == STATUS_INVALID)
        return complain("no report %.100s: see `postern reports list`", id);
    if (s != STATUS_OK)
        return complain_status(s, "reports delete");
    output_item_begin(tool->out);
    output_str(tool->out, "id", id);
    output_str(tool->out, "state", "deleted");
    output_item_end(tool->out);
    return DONE;
}

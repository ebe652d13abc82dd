/*
 * records: reading what was received, and erasing it.
 *
 * A list goes through the store newest first in short transactions, each continuing before the last
 * record of the one before. Where the schemas folder cannot be read the records are still shown,
 * without the type's columns.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/fault.h"
#include "storage/outbox.h"
#include "storage/scrub.h"
#include "tools/commands.h"
#include "tools/find.h"
#include "tools/record_view.h"

#include <stdio.h>

#define LIST_SKIP_MAX 1000

struct record_list {
    struct tool *tool;
    const struct args *args;
    struct type_row type;
    struct record_page page;
    struct record_view view;
    int64_t left; /* rows to print */
};

static enum status list_step(void *context, struct txn *txn)
{
    struct record_list *list = context;
    struct revision revision;
    if (!list->left)
        return STATUS_END;
    enum status s = record_page_next(txn, &list->page, &revision);
    if (s == STATUS_LIMIT)
        return STATUS_OK; /* a step is short, so that a long scan says how far it is */
    if (s != STATUS_OK)
        return s;
    list->page.before = revision.record;
    if (record_view_matches(&list->view, &revision, list->args)) {
        record_view_put(&list->view, list->type.name, &revision, list->tool->out);
        list->left--;
    }
    return STATUS_OK;
}

static void list_pause(void *context)
{
    struct record_list *list = context;
    record_page_end(&list->page);
}

static enum status type_step(void *context, struct txn *txn)
{
    struct record_list *list = context;
    enum status s = type_find(txn, bytes_of_str(args_argument(list->args, 0)), &list->type);
    if (s == STATUS_OK && !args_has(list->args, "since") && !args_has(list->args, "until"))
        list->tool->scan_rows = record_count(txn, list->type.number);
    return s;
}

static int no_such_type(const char *name)
{
    return complain("no record type \"%.63s\": see `postern schemas list`", name);
}

/* The type as the store knows it and, for its columns, as the schemas say. STATUS_NOT_FOUND:
 * neither does; `type.number` 0: the store has no records of it yet. */
static int read_type(struct record_list *list)
{
    struct err err = {0};
    const char *name = args_argument(list->args, 0);
    enum status s = tool_read(list->tool, type_step, list);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND)
        return complain_status(s, "records");
    enum status loaded = tool_types(list->tool, &err);
    if (loaded == STATUS_OK)
        list->view.type = record_types_find(list->tool->types, bytes_of_str(name));
    if (s == STATUS_NOT_FOUND && loaded != STATUS_OK)
        return complain("no record of a type \"%.63s\" is stored, and the schemas cannot be read: "
                        "%s",
                        name, err.text);
    if (s == STATUS_NOT_FOUND && !list->view.type)
        return no_such_type(name);
    if (loaded != STATUS_OK)
        fprintf(stderr, "postern: note: without the type's columns: %s\n", err.text);
    list->view.id_prefix = list->type.id_prefix;
    return DONE;
}

static int check_conditions(const struct args *args)
{
    size_t at = 0;
    const struct value *value;
    while ((value = args_each(args, "where", &at))) {
        const char *equals = strchr(value->text, '=');
        if (!equals || equals == value->text)
            return complain_usage(args,
                                  "--where: \"%s\" is not MEMBER=VALUE, such as "
                                  "status=completed or /address/city=Berlin",
                                  value->text);
    }
    return DONE;
}

static int list_records(struct record_list *list, const char *nothing)
{
    struct tool *tool = list->tool;
    CLEANUP(freep) struct column *columns = record_view_columns(list->view.type);
    if (!columns)
        return complain("no memory");
    list->page = (struct record_page){
        .type = list->type.number,
        .since_ms = args_number(list->args, "since", 0),
        .until_ms = args_number(list->args, "until", 0),
        .has_deleted = args_has(list->args, "deleted"),
        .skip_max = LIST_SKIP_MAX,
    };
    output_list_begin(tool->out, NULL, columns, nothing);
    enum status s = STATUS_OK;
    if (list->type.number)
        s = tool_scan(tool, list_step, list_pause, list);
    output_list_end(tool->out);
    return s == STATUS_OK ? DONE : complain_status(s, "records");
}

static int run_list(struct tool *tool, const struct args *args, int64_t limit)
{
    struct record_list list = {.tool = tool, .args = args, .left = limit};
    if (check_conditions(args) != DONE)
        return USAGE;
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    int result = read_type(&list);
    if (result == DONE)
        result = list_records(&list, "no such records");
    record_view_fini(&list.view);
    return result;
}

int records_list(struct tool *tool, const struct args *args)
{
    int result = run_list(tool, args, tool_limit(tool, args));
    tool_note_more(tool, args);
    return result;
}

int records_export(struct tool *tool, const struct args *args)
{
    if (output_format_of(tool->out) == OUTPUT_TABLE && !args_has(args, "output")) {
        struct output *out = output_new(STDOUT_FILENO, OUTPUT_NDJSON, (struct output_terminal){0});
        if (!out)
            return complain("no memory");
        output_free(tool->out);
        tool->out = out;
    }
    return run_list(tool, args, args_number(args, "limit", INT64_MAX));
}

/* ---- one record ---- */

struct record_visit {
    struct tool *tool;
    const struct args *args;
    struct record_view view;
    struct type_row type;
    struct uuid record;
    uint32_t number;
    uint32_t erased;
    struct err err;
};

static int complain_visit(enum status s, const struct record_visit *visit)
{
    return visit->err.text[0] ? complain("%s", visit->err.text) : complain_status(s, "records");
}

static enum status find_step(struct record_visit *visit, struct txn *txn,
                             struct revision *ret_current)
{
    enum status s = find_record(txn, args_argument(visit->args, 0), args_text(visit->args, "type"),
                                ret_current, &visit->type, &visit->err);
    visit->view.id_prefix = visit->type.id_prefix;
    return s;
}

static enum status get_step(void *context, struct txn *txn)
{
    struct record_visit *visit = context;
    struct revision revision;
    enum status s = find_step(visit, txn, &revision);
    if (s == STATUS_OK && args_has(visit->args, "revision")) {
        uint32_t current = revision.number;
        struct uuid record = revision.record;
        s = record_revision(txn, &record, (uint32_t)args_number(visit->args, "revision", 0),
                            &revision);
        if (s == STATUS_NOT_FOUND)
            err_set(&visit->err, "it has no revision %lld, only 1 to %u",
                    (long long)args_number(visit->args, "revision", 0), current);
    }
    if (s == STATUS_OK)
        record_view_put(&visit->view, visit->type.name, &revision, visit->tool->out);
    return s;
}

static int run_visit(struct record_visit *visit, enum status (*step)(void *, struct txn *))
{
    if (tool_store(visit->tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(visit->tool, step, visit);
    return s == STATUS_OK ? DONE : complain_visit(s, visit);
}

int records_get(struct tool *tool, const struct args *args)
{
    struct record_visit visit = {.tool = tool, .args = args};
    int result = run_visit(&visit, get_step);
    record_view_fini(&visit.view);
    return result;
}

static enum status current_step(void *context, struct txn *txn)
{
    struct record_visit *visit = context;
    struct revision revision;
    enum status s = find_step(visit, txn, &revision);
    visit->record = revision.record;
    return s;
}

static enum status history_step(void *context, struct txn *txn)
{
    struct record_visit *visit = context;
    struct revision revision;
    enum status s = record_revision(txn, &visit->record, visit->number + 1, &revision);
    if (s == STATUS_NOT_FOUND)
        return STATUS_END;
    if (s != STATUS_OK)
        return s;
    visit->number++;
    record_view_put(&visit->view, visit->type.name, &revision, visit->tool->out);
    return STATUS_OK;
}

static void use_columns(struct record_visit *visit)
{
    bool has_types = tool_types(visit->tool, NULL) == STATUS_OK;
    if (has_types)
        visit->view.type = record_types_find(visit->tool->types, bytes_of_str(visit->type.name));
}

static struct column *history_columns(const struct record_type *type)
{
    struct column *columns = record_view_columns(type);
    for (struct column *c = columns; c && c->name; c++) {
        if (!strcmp(c->name, "action"))
            c->title = "ACTION";
    }
    return columns;
}

int records_history(struct tool *tool, const struct args *args)
{
    struct record_visit visit = {.tool = tool, .args = args};
    int result = run_visit(&visit, current_step);
    if (result == DONE) {
        use_columns(&visit);
        CLEANUP(freep) struct column *columns = history_columns(visit.view.type);
        if (!columns)
            return complain("no memory");
        output_list_begin(tool->out, NULL, columns, NULL);
        enum status s = tool_scan(tool, history_step, NULL, &visit);
        output_list_end(tool->out);
        result = s == STATUS_OK ? DONE : complain_status(s, "records history");
    }
    record_view_fini(&visit.view);
    return result;
}

/* ---- erase ---- */

static enum status erase_step(void *context, struct txn *txn)
{
    struct record_visit *visit = context;
    char id[TYPEID_TEXT_BYTES];
    struct revision revision;
    uint32_t before = 0, all = 0;
    for (uint32_t i = 1; record_revision(txn, &visit->record, i, &revision) == STATUS_OK; i++)
        before += revision.is_erased;
    enum status s = outbox_erase_record(txn, &visit->record);
    if (s == STATUS_OK)
        s = record_erase(txn, &visit->record, &all);
    visit->erased = all - before;
    if (s != STATUS_OK)
        return s;
    typeid_format(visit->type.id_prefix, &visit->record, id);
    tool_audit(txn, "records erase", id, NULL);
    return STATUS_OK;
}

int records_erase(struct tool *tool, const struct args *args)
{
    struct record_visit visit = {.tool = tool, .args = args};
    char id[TYPEID_TEXT_BYTES], question[TYPEID_TEXT_BYTES + 64];
    if (tool_store(tool, NEED_WRITE) != DONE || run_visit(&visit, current_step) != DONE)
        return FAILED;
    typeid_format(visit.type.id_prefix, &visit.record, id);
    snprintf(question, sizeof(question), "Erase the content of %s for good?", id);
    if (!tool_confirm(args, question))
        return complain("nothing was erased");
    enum status s = tool_write(tool, erase_step, &visit);
    if (s != STATUS_OK)
        return complain_visit(s, &visit);
    fault_point("erase_committed");
    uint64_t held = 0;
    s = store_scrub(tool->store, &held);
    output_item_begin(tool->out);
    output_str(tool->out, "id", id);
    output_str(tool->out, "type", visit.type.name);
    output_bool(tool->out, "erased", true);
    output_number(tool->out, "revisions", visit.erased);
    output_item_end(tool->out);
    output_note(tool->out, "\nBackups made before still hold it; a new one holds nothing of it.\n");
    if (s != STATUS_OK || held > 0)
        output_note(tool->out, "Old copies of pages in the store's file could not all be "
                               "overwritten now; their space is used again with time.\n");
    return DONE;
}

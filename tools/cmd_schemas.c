/*
 * schemas: the record types as the schemas folder has them, whether or not a server runs; and the
 * server's own check of a document, offline.
 */
#include "base/cleanup.h"
#include "tools/commands.h"
#include "tools/input.h"

#include <stdio.h>

static const struct column SCHEMA_COLUMNS[] = {
    {"type", "TYPE", COLUMN_TEXT},
    {"title", "TITLE", COLUMN_TEXT},
    {"idPrefix", "PREFIX", COLUMN_TEXT},
    {"key", "RECORD KEY", COLUMN_TEXT},
    {"events", "EVENTS", COLUMN_TEXT},
    {"file", NULL, COLUMN_TEXT},
    {0},
};

#define EVENT_NAMES_MAX 64

struct event_names {
    char names[EVENT_NAMES_MAX][128];
    size_t count;
};

static void add_name(void *context, const char *event)
{
    struct event_names *list = context;
    if (list->count < EVENT_NAMES_MAX)
        snprintf(list->names[list->count++], sizeof(list->names[0]), "%s", event);
}

static void put_type(struct output *out, const struct record_type *type)
{
    struct event_names events = {.count = 0};
    record_type_events(type, add_name, &events);
    output_item_begin(out);
    output_str(out, "type", type->name);
    output_str(out, "title", type->title);
    output_str(out, "idPrefix", type->id_prefix);
    output_str(out, "key", type->key);
    output_bool(out, "keyRequired", type->is_key_required);
    output_texts(out, "events", events.names[0], sizeof(events.names[0]), events.count);
    output_str(out, "file", type->path);
    output_item_end(out);
}

static int load(struct tool *tool)
{
    struct err err = {0};
    return tool_types(tool, &err) == STATUS_OK ? DONE : complain("%s", err.text);
}

int schemas_list(struct tool *tool, const struct args *args)
{
    (void)args;
    if (load(tool) != DONE)
        return FAILED;
    output_list_begin(tool->out, NULL, SCHEMA_COLUMNS, "no record types in the schemas folder");
    for (size_t i = 0; i < record_types_count(tool->types); i++)
        put_type(tool->out, record_types_at(tool->types, i));
    output_list_end(tool->out);
    return DONE;
}

static const struct record_type *find_type(struct tool *tool, const char *name)
{
    if (load(tool) != DONE)
        return NULL;
    const struct record_type *type = record_types_find(tool->types, bytes_of_str(name));
    if (!type)
        (void)complain("no record type \"%.63s\": see `postern schemas list`", name);
    return type;
}

/* The file as it stands is one JSON document, so it is right for every format. */
int schemas_show(struct tool *tool, const struct args *args)
{
    const struct record_type *type = find_type(tool, args_argument(args, 0));
    if (!type)
        return FAILED;
    output_raw(tool->out, bytes_of(type->text, type->text_bytes));
    if (!type->text_bytes || type->text[type->text_bytes - 1] != '\n')
        output_raw(tool->out, bytes_of_str("\n"));
    return DONE;
}

int schemas_check(struct tool *tool, const struct args *args)
{
    struct err err = {0};
    struct record_types *types = NULL;
    const char *path = args_argument(args, 0);
    enum status s = record_types_load_file(path, &types, &err);
    output_item_begin(tool->out);
    output_str(tool->out, "file", path);
    output_bool(tool->out, "valid", s == STATUS_OK);
    if (s == STATUS_OK && record_types_count(types))
        output_str(tool->out, "type", record_types_at(types, 0)->name);
    if (s != STATUS_OK)
        output_str(tool->out, "detail", err.text);
    output_item_end(tool->out);
    record_types_unref(types);
    return s == STATUS_OK ? DONE : complain("%s", err.text);
}

/* ---- validate ---- */

static const struct column ERROR_COLUMNS[] = {
    {"pointer", "POINTER", COLUMN_TEXT},
    {"keyword", "KEYWORD", COLUMN_TEXT},
    {"detail", "DETAIL", COLUMN_TEXT},
    {0},
};

static void put_violations(struct output *out, const struct schema_run *run)
{
    size_t count;
    const struct violation *violations = schema_violations(run, &count);
    output_list_begin(out, "errors", ERROR_COLUMNS, NULL);
    for (size_t i = 0; i < count; i++) {
        output_item_begin(out);
        output_text(out, "pointer", violations[i].pointer);
        output_str(out, "keyword", violations[i].keyword);
        output_text(out, "detail", violations[i].detail);
        output_item_end(out);
    }
    output_list_end(out);
}

static void put_warnings(struct output *out, const struct record_type *type, struct schema_run *run,
                         const struct json_doc *doc)
{
    size_t count;
    const struct unknown_member *members =
        schema_unknown_members(type->schema, run, doc, json_root(doc), &count);
    if (!count)
        return;
    output_list_begin(out, "warnings", ERROR_COLUMNS, NULL);
    for (size_t i = 0; i < count; i++) {
        output_item_begin(out);
        output_text(out, "pointer", members[i].pointer);
        output_text(out, "detail", members[i].detail);
        output_item_end(out);
    }
    output_list_end(out);
}

static int say_not_json(struct output *out, const char *path, const struct json_fault *fault)
{
    output_item_begin(out);
    output_bool(out, "valid", false);
    output_str(out, "detail", fault->detail);
    output_number(out, "line", (int64_t)fault->line);
    output_number(out, "column", (int64_t)fault->column);
    output_number(out, "offset", (int64_t)fault->offset);
    output_item_end(out);
    return complain("%s: not strict JSON", path);
}

static int validate(struct tool *tool, const struct record_type *type, const char *path,
                    const struct json_doc *doc)
{
    struct schema_run *run = schema_run_new();
    if (!run)
        return complain("no memory");
    enum status s = record_type_check(type, run, doc, &(struct schema_budget){0});
    if (s == STATUS_OK || s == STATUS_INVALID) {
        output_item_begin(tool->out);
        output_bool(tool->out, "valid", s == STATUS_OK);
        output_str(tool->out, "type", type->name);
        if (s == STATUS_INVALID)
            put_violations(tool->out, run);
        else
            put_warnings(tool->out, type, run, doc);
        output_item_end(tool->out);
    }
    schema_run_free(run);
    if (s == STATUS_INVALID)
        return complain("%s: not acceptable as a %s", path, type->name);
    if (s == STATUS_LIMIT)
        return complain("%s: too complex: the check took more steps than the server allows", path);
    return s == STATUS_OK ? DONE : complain_status(s, path);
}

int schemas_validate(struct tool *tool, const struct args *args)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct json_doc doc = {0};
    struct json_fault fault;
    const char *path = args_argument(args, 1);
    const struct record_type *type = find_type(tool, args_argument(args, 0));
    if (!type || input_read(path, &text) != DONE)
        return FAILED;
    int result = json_scan(&doc, buf_bytes(&text), &fault) == STATUS_OK
                     ? validate(tool, type, path, &doc)
                     : say_not_json(tool->out, path, &fault);
    json_doc_fini(&doc);
    return result;
}

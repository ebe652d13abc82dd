/*
 * The stored bytes are the sender's; what is shown is their canonical form with the id first, as
 * the HTTP interface answers it. A row that does not scan is shown without its content rather than
 * not at all: the tool is what one looks with when something is wrong.
 */
#include "tools/record_view.h"

#include "schemas/json_write.h"

#include <stdlib.h>

#define FIXED_COLUMNS 9

void record_view_fini(struct record_view *view)
{
    json_doc_fini(&view->doc);
    buf_fini(&view->text);
    buf_fini(&view->cell);
}

static bool is_fixed(const char *name)
{
    static const char *const NAMES[] = {"id",         "type",    "key",    "revision", "action",
                                        "receivedAt", "deleted", "erased", "data"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
        if (!strcmp(NAMES[i], name))
            return true;
    }
    return false;
}

static struct column column_of(const char *name, const char *title, enum column_kind kind)
{
    return (struct column){.name = name, .title = title, .kind = kind};
}

struct column *record_view_columns(const struct record_type *type)
{
    size_t own = type ? type->column_count : 0, count = 0;
    struct column *columns = calloc(own + FIXED_COLUMNS + 1, sizeof(*columns));
    if (!columns)
        return NULL;
    columns[count++] = column_of("id", "ID", COLUMN_TEXT);
    columns[count++] = column_of("type", NULL, COLUMN_TEXT);
    columns[count++] = column_of("key", own ? NULL : "KEY", COLUMN_TEXT);
    columns[count++] = column_of("revision", "REV", COLUMN_NUMBER);
    columns[count++] = column_of("action", own ? NULL : "ACTION", COLUMN_STATE);
    columns[count++] = column_of("receivedAt", "RECEIVED", COLUMN_TEXT);
    columns[count++] = column_of("deleted", NULL, COLUMN_TEXT);
    columns[count++] = column_of("erased", NULL, COLUMN_TEXT);
    for (size_t i = 0; i < own; i++) {
        if (!is_fixed(type->columns[i]))
            columns[count++] = column_of(type->columns[i], type->columns[i], COLUMN_TEXT);
    }
    return columns;
}

static bool read_content(struct record_view *view, const struct revision *revision)
{
    struct json_fault fault;
    return !revision->is_erased && json_scan(&view->doc, revision->body, &fault) == STATUS_OK;
}

/* The value as people write it: a string's text, anything else as canonical JSON. */
static struct bytes plain_value(struct record_view *view, uint32_t node)
{
    buf_clear(&view->cell);
    if (json_kind_of(&view->doc, node) == JSON_STRING)
        json_string_put(&view->doc, node, &view->cell);
    else
        json_write(&view->doc, node, &view->cell);
    return buf_bytes(&view->cell);
}

/* In tables and csv the schema's columns are cells of their own. */
static void put_columns(struct record_view *view, struct output *out)
{
    for (size_t i = 0; view->type && i < view->type->column_count; i++) {
        const char *name = view->type->columns[i];
        uint32_t node = json_member(&view->doc, json_root(&view->doc), name);
        if (node == JSON_NONE || is_fixed(name))
            continue;
        if (json_kind_of(&view->doc, node) == JSON_STRING)
            output_text(out, name, plain_value(view, node));
        else if (json_kind_of(&view->doc, node) != JSON_NULL)
            output_json(out, name, plain_value(view, node));
    }
}

static void put_data(struct record_view *view, const char *id, struct output *out)
{
    buf_clear(&view->text);
    json_write_record(&view->doc, json_root(&view->doc), id, &view->text);
    output_json(out, "data", buf_bytes(&view->text));
}

void record_view_put(struct record_view *view, const char *type_name,
                     const struct revision *revision, struct output *out)
{
    char id[TYPEID_TEXT_BYTES];
    bool is_json = output_format_of(out) == OUTPUT_JSON || output_format_of(out) == OUTPUT_NDJSON;
    bool has_content = read_content(view, revision);
    typeid_format(view->id_prefix, &revision->record, id);
    output_item_begin(out);
    output_str(out, "id", id);
    output_str(out, "type", type_name);
    if (revision->key.len)
        output_text(out, "key", revision->key);
    else
        output_null(out, "key");
    output_number(out, "revision", revision->number);
    output_str(out, "action", record_action_text(revision->action));
    output_time(out, "receivedAt", revision->received_ms);
    output_bool(out, "deleted", revision->action == ACTION_DELETED);
    if (revision->is_erased)
        output_bool(out, "erased", true);
    if (!is_json && view->type && has_content)
        put_columns(view, out);
    else if (has_content)
        put_data(view, id, out);
    else
        output_null(out, "data");
    output_item_end(out);
}

static uint32_t find_member(struct record_view *view, struct bytes name)
{
    uint32_t node = JSON_NONE;
    if (name.len && name.data[0] == '/')
        return json_pointer_find(&view->doc, name, &node) == STATUS_OK ? node : JSON_NONE;
    return json_member_bytes(&view->doc, json_root(&view->doc), name);
}

static bool has_value(struct record_view *view, const char *condition)
{
    const char *equals = strchr(condition, '=');
    uint32_t node = find_member(view, bytes_of(condition, (size_t)(equals - condition)));
    if (node == JSON_NONE)
        return false;
    return bytes_equal_str(plain_value(view, node), equals + 1);
}

bool record_view_matches(struct record_view *view, const struct revision *revision,
                         const struct args *args)
{
    size_t at = 0;
    const struct value *value;
    if (!args_has(args, "where"))
        return true;
    if (!read_content(view, revision))
        return false;
    while ((value = args_each(args, "where", &at))) {
        if (!has_value(view, value->text))
            return false;
    }
    return true;
}

/*
 * Reading record types: all files of the folder first, since they may refer to each other, then one
 * type after the other: x-postern against its own schema, its members copied, the schema compiled.
 *
 * A file is known as postern:/schemas/NAME and, if it has one, by its `$id`, so both
 * "$ref": "address.schema.json" and an absolute identifier find it. The first error ends it; the
 * caller keeps the set it had.
 */
#include "schemas/record_type.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "schemas/embedded.h"
#include "schemas/record_type_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#define FILE_SUFFIX ".json"
#define FILE_BYTES_MAX (4 * 1024 * 1024)
#define FILES_MAX 1000
#define BASE_URI "postern:/schemas/"
#define X_POSTERN_URI "postern:/x-postern.schema.json"
#define ANNOTATION "x-postern"

struct file {
    char *path;
    char *uri;
    struct buf text;
    struct json_doc doc;
};

struct loader {
    struct file *files;
    size_t count;
    struct record_types *types;
    struct schema *x_postern; /* what the annotation must look like */
    struct schema_run *run;
    struct err *err;
};

/* --- files ----------------------------------------------------------------------------------- */

static bool has_suffix(const char *name)
{
    size_t len = strlen(name), suffix = strlen(FILE_SUFFIX);
    return name[0] != '.' && len > suffix && strcmp(name + len - suffix, FILE_SUFFIX) == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_schema_file(const struct dirent *entry)
{
    return has_suffix(entry->d_name);
}

static char *joined(const char *a, const char *b, const char *c)
{
    char *text = NULL;
    return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

static enum status read_one(struct loader *l, const char *dir, const char *name)
{
    struct file *file = &l->files[l->count++];
    file->path = joined(dir, "/", name);
    file->uri = joined(BASE_URI, name, "");
    if (!file->path || !file->uri)
        return STATUS_NO_MEMORY;
    enum status status =
        json_read_file(file->path, FILE_BYTES_MAX, &file->text, &file->doc, l->err);
    return status == STATUS_NO_MEMORY || status == STATUS_OK ? status : STATUS_INVALID;
}

/* `only`: the others are read if they can be, for references to them; NULL: all must be good. */
static enum status read_files(struct loader *l, const char *dir, const char *only)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, is_schema_file, by_name);
    enum status status = STATUS_OK;
    if (count < 0 && !only) {
        err_set(l->err, "%s: %s", dir, strerror(errno));
        return STATUS_INVALID;
    }
    count = count < 0 ? 0 : count;
    l->files = calloc((size_t)count + 1, sizeof(*l->files));
    if (!l->files)
        status = STATUS_NO_MEMORY;
    if (status == STATUS_OK && count > FILES_MAX) {
        err_set(l->err, "%s: more than %d schema files", dir, FILES_MAX);
        status = STATUS_INVALID;
    }
    if (status == STATUS_OK && only)
        status = read_one(l, dir, only);
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        if (only && strcmp(entries[i]->d_name, only) == 0)
            continue;
        status = read_one(l, dir, entries[i]->d_name);
        if (only && status == STATUS_INVALID) {
            err_set(l->err, "%s", "");
            status = STATUS_OK; /* its document is empty: nothing finds it */
        }
    }
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
    return status;
}

static enum status resolve(void *context, struct bytes uri, struct bytes *ret_text)
{
    const struct loader *l = context;
    for (size_t i = 0; i < l->count; i++) {
        const struct file *file = &l->files[i];
        if (!file->doc.node_count)
            continue;
        uint32_t id = json_member(&file->doc, json_root(&file->doc), "$id");
        if (bytes_equal_str(uri, file->uri) ||
            (id != JSON_NONE && json_kind_of(&file->doc, id) == JSON_STRING &&
             json_string_equals(&file->doc, id, uri))) {
            *ret_text = buf_bytes(&file->text);
            return STATUS_OK;
        }
    }
    return STATUS_NOT_FOUND;
}

/* --- the annotation -------------------------------------------------------------------------- */

/* "FILE: /pointer: reason" */
static enum status complain(struct loader *l, const struct file *file, struct bytes pointer,
                            struct bytes reason)
{
    err_set(l->err, "%s: %.*s%s%.*s", file->path, BYTES_ARG(pointer), pointer.len ? ": " : "",
            BYTES_ARG(reason));
    return STATUS_INVALID;
}

static enum status compile_x_postern(struct loader *l)
{
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    struct json_fault json_fault;
    struct schema_fault fault;
    struct schema_options options = {.base_uri = X_POSTERN_URI};
    for (size_t i = 0; i < EMBEDDED_SCHEMA_COUNT; i++) {
        if (strcmp(EMBEDDED_SCHEMAS[i].uri, X_POSTERN_URI) != 0)
            continue;
        enum status status = json_scan(&doc, EMBEDDED_SCHEMAS[i].text, &json_fault);
        if (status == STATUS_OK)
            status = schema_compile(&doc, json_root(&doc), &options, &l->x_postern, &fault);
        must(status == STATUS_OK || status_is_fault(status));
        if (status == STATUS_OK)
            schema_fault_fini(&fault);
        return status;
    }
    must(!"x-postern.schema.json is compiled in");
    return STATUS_NOT_FOUND;
}

static enum status check_annotation(struct loader *l, const struct file *file, uint32_t annotation)
{
    size_t count;
    enum status status = schema_check(l->x_postern, l->run, &file->doc, annotation, NULL);
    if (status != STATUS_INVALID)
        return status;
    const struct violation *first = schema_violations(l->run, &count);
    must(count > 0);
    return complain(l, file, first->pointer, first->detail);
}

/* --- copying --------------------------------------------------------------------------------- */

struct reader {
    struct arena *arena;
    const struct json_doc *doc;
    bool is_out_of_memory;
};

static void *take(struct reader *r, size_t size)
{
    void *taken = arena_take(r->arena, size ? size : 1);
    r->is_out_of_memory |= !taken;
    return taken;
}

static char *copy(struct reader *r, struct bytes view)
{
    struct bytes kept = arena_copy(r->arena, view);
    r->is_out_of_memory |= !kept.data;
    return (char *)(uintptr_t)kept.data;
}

/* A string's text; NULL where there is none. */
static char *text_of(struct reader *r, uint32_t node)
{
    if (node == JSON_NONE || json_kind_of(r->doc, node) != JSON_STRING)
        return NULL;
    struct buf scratch = {0};
    char *text = copy(r, json_string(r->doc, node, &scratch));
    buf_fini(&scratch);
    return text;
}

static char *text_member(struct reader *r, uint32_t object, const char *name)
{
    return text_of(r, json_member(r->doc, object, name));
}

static struct json_name name_member(struct reader *r, uint32_t object, const char *name)
{
    return json_name_of(text_member(r, object, name));
}

/* A copy of the value as a document of its own, which the arena owns. */
static struct json_doc value_member(struct reader *r, uint32_t object, const char *name)
{
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    struct json_fault fault;
    struct bytes text = arena_copy(r->arena, json_text(r->doc, json_member(r->doc, object, name)));
    if (!text.data || json_scan(&doc, text, &fault) != STATUS_OK) { /* it was scanned before */
        r->is_out_of_memory = true;
        return (struct json_doc){0};
    }
    struct json_node *nodes = take(r, doc.node_count * sizeof(*nodes));
    if (nodes)
        memcpy(nodes, doc.nodes, doc.node_count * sizeof(*nodes));
    return (struct json_doc){.text = doc.text,
                             .text_bytes = doc.text_bytes,
                             .nodes = nodes,
                             .node_count = doc.node_count};
}

/* First element and number of an array member; 0 where it is absent. */
static size_t list_member(struct reader *r, uint32_t object, const char *name, uint32_t *ret_array)
{
    *ret_array = json_member(r->doc, object, name);
    return *ret_array == JSON_NONE ? 0 : r->doc->nodes[*ret_array].count;
}

static void read_columns(struct reader *r, uint32_t annotation, struct record_type *type)
{
    uint32_t array;
    size_t count = list_member(r, annotation, "columns", &array);
    type->columns = take(r, count * sizeof(*type->columns));
    if (!type->columns || !count)
        return;
    for (uint32_t i = json_first(r->doc, array); i != JSON_NONE; i = json_after(r->doc, array, i))
        type->columns[type->column_count++] = text_of(r, i);
}

static void read_when(struct reader *r, uint32_t events, struct record_type *type)
{
    uint32_t array;
    size_t count = list_member(r, events, "when", &array);
    type->when = take(r, count * sizeof(*type->when));
    if (!type->when || !count)
        return;
    for (uint32_t i = json_first(r->doc, array); i != JSON_NONE; i = json_after(r->doc, array, i))
        type->when[type->when_count++] = (struct event_when){
            name_member(r, i, "member"), value_member(r, i, "becomes"), text_member(r, i, "event")};
}

static void read_each(struct reader *r, uint32_t events, struct record_type *type)
{
    uint32_t array;
    size_t count = list_member(r, events, "each", &array);
    type->each = take(r, count * sizeof(*type->each));
    if (!type->each || !count)
        return;
    for (uint32_t i = json_first(r->doc, array); i != JSON_NONE; i = json_after(r->doc, array, i))
        type->each[type->each_count++] = (struct event_each){
            name_member(r, i, "added"), name_member(r, i, "by"), text_member(r, i, "event")};
}

static void read_order(struct reader *r, uint32_t annotation, struct record_type *type)
{
    uint32_t array;
    size_t count = list_member(r, annotation, "order", &array);
    type->order = take(r, count * sizeof(*type->order));
    if (!type->order || !count)
        return;
    for (uint32_t i = json_first(r->doc, array); i != JSON_NONE; i = json_after(r->doc, array, i))
        type->order[type->order_count++] =
            (struct order_rule){text_member(r, i, "member"), text_member(r, i, "notBefore")};
}

static bool is_required(const struct json_doc *doc, const char *name)
{
    uint32_t required = json_member(doc, json_root(doc), "required");
    if (required == JSON_NONE || json_kind_of(doc, required) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(doc, required); i != JSON_NONE; i = json_after(doc, required, i)) {
        if (json_kind_of(doc, i) == JSON_STRING && json_string_equals(doc, i, bytes_of_str(name)))
            return true;
    }
    return false;
}

static enum status read_type(struct loader *l, const struct file *file, uint32_t annotation,
                             struct record_type *type)
{
    struct reader r = {l->types->arena, &file->doc, false};
    uint32_t root = json_root(&file->doc);
    uint32_t events = json_member(&file->doc, annotation, "events");
    *type = (struct record_type){.name = text_member(&r, annotation, "type"),
                                 .id_prefix = text_member(&r, annotation, "idPrefix"),
                                 .key = text_member(&r, annotation, "key"),
                                 .title = text_member(&r, root, "title"),
                                 .event_created = text_member(&r, events, "created"),
                                 .event_updated = text_member(&r, events, "updated"),
                                 .event_deleted = text_member(&r, events, "deleted"),
                                 .text = copy(&r, buf_bytes(&file->text)),
                                 .text_bytes = file->text.len,
                                 .path = copy(&r, bytes_of_str(file->path))};
    read_columns(&r, annotation, type);
    read_when(&r, events, type);
    read_each(&r, events, type);
    read_order(&r, annotation, type);
    if (r.is_out_of_memory)
        return STATUS_NO_MEMORY;
    type->title = type->title ? type->title : type->name;
    type->is_key_required = is_required(&file->doc, type->key);
    uint32_t read_only = json_member(&file->doc, annotation, "readOnly");
    type->is_read_only = read_only != JSON_NONE && json_kind_of(&file->doc, read_only) == JSON_TRUE;
    return STATUS_OK;
}

/* --- do the names mean anything? ------------------------------------------------------------- */

/* The root's `properties`, if they are all there is to say which members a record has. */
static uint32_t root_properties(const struct json_doc *doc)
{
    static const char *const OTHERS[] = {"$ref", "$dynamicRef",      "allOf", "anyOf", "oneOf",
                                         "if",   "patternProperties"};
    uint32_t root = json_root(doc);
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        if (json_member(doc, root, OTHERS[i]) != JSON_NONE)
            return JSON_NONE;
    }
    return json_member(doc, root, "properties");
}

static enum status check_name(struct loader *l, const struct file *file, uint32_t node)
{
    CLEANUP(buf_fini) struct buf pointer = {0};
    CLEANUP(buf_fini) struct buf reason = {0};
    CLEANUP(buf_fini) struct buf scratch = {0};
    uint32_t properties = root_properties(&file->doc);
    struct bytes name = json_string(&file->doc, node, &scratch);
    if (properties == JSON_NONE || bytes_equal_str(name, "id") ||
        json_member_bytes(&file->doc, properties, name) != JSON_NONE)
        return STATUS_OK;
    json_pointer_of(&file->doc, node, &pointer);
    buf_printf(&reason, "names \"%.*s\", which is not among the schema's properties",
               (int)(name.len > 64 ? 64 : name.len), (const char *)name.data);
    return complain(l, file, buf_bytes(&pointer), buf_bytes(&reason));
}

/* Check the given members of each object of a list, or the list's elements where there are none. */
static enum status check_names(struct loader *l, const struct file *file, uint32_t list,
                               const char *const *members)
{
    const struct json_doc *doc = &file->doc;
    enum status status = STATUS_OK;
    if (list == JSON_NONE)
        return STATUS_OK;
    for (uint32_t i = json_first(doc, list); i != JSON_NONE && status == STATUS_OK;
         i = json_after(doc, list, i)) {
        if (!members)
            status = check_name(l, file, i);
        for (size_t m = 0; members && members[m] && status == STATUS_OK; m++)
            status = check_name(l, file, json_member(doc, i, members[m]));
    }
    return status;
}

static enum status check_all_names(struct loader *l, const struct file *file, uint32_t annotation)
{
    static const char *const WHEN[] = {"member", NULL}, *const EACH[] = {"added", NULL},
                             *const ORDER[] = {"member", "notBefore", NULL};
    const struct json_doc *doc = &file->doc;
    uint32_t events = json_member(doc, annotation, "events");
    enum status status = check_name(l, file, json_member(doc, annotation, "key"));
    if (status == STATUS_OK)
        status = check_names(l, file, json_member(doc, annotation, "columns"), NULL);
    if (status == STATUS_OK)
        status = check_names(l, file, json_member(doc, events, "when"), WHEN);
    if (status == STATUS_OK)
        status = check_names(l, file, json_member(doc, events, "each"), EACH);
    if (status == STATUS_OK)
        status = check_names(l, file, json_member(doc, annotation, "order"), ORDER);
    return status;
}

/* --- one file, all files --------------------------------------------------------------------- */

static enum status compile(struct loader *l, const struct file *file, struct schema **ret_schema)
{
    struct schema_fault fault;
    struct schema_options options = {.resolve = resolve,
                                     .context = l,
                                     .assert_format = true,
                                     .base_uri = file->uri,
                                     .root_member = "id"};
    enum status status =
        schema_compile(&file->doc, json_root(&file->doc), &options, ret_schema, &fault);
    if (status == STATUS_INVALID)
        (void)complain(l, file, buf_bytes(&fault.pointer), bytes_of_str(fault.detail));
    schema_fault_fini(&fault);
    return status;
}

/* Names that Postern itself uses: a type called "events" would share a scope with the pull API, and
 * an id or an event must say by its name whose it is. */
static enum status check_reserved(struct loader *l, const struct file *file,
                                  const struct record_type *type)
{
    static const char *const PREFIXES[] = {"evt", "dlv", "ep", "key", "req", "rpt"};
    static const char *const FAMILIES[] = {"delivery.", "endpoint.", "webhook."};
    const char *const events[] = {type->event_created, type->event_updated, type->event_deleted};
    if (strcmp(type->name, "events") == 0)
        return complain(l, file, bytes_of_str("/x-postern/type"),
                        bytes_of_str("\"events\" is the name of the pull API's scope"));
    for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++) {
        if (strcmp(type->id_prefix, PREFIXES[i]) == 0)
            return complain(l, file, bytes_of_str("/x-postern/idPrefix"),
                            bytes_of_str("is the prefix of Postern's own ids"));
    }
    for (size_t e = 0; e < sizeof(events) / sizeof(events[0]); e++) {
        for (size_t i = 0; events[e] && i < sizeof(FAMILIES) / sizeof(FAMILIES[0]); i++) {
            if (strncmp(events[e], FAMILIES[i], strlen(FAMILIES[i])) == 0)
                return complain(l, file, bytes_of_str("/x-postern/events"),
                                bytes_of_str("delivery.*, endpoint.* and webhook.* are events that "
                                             "Postern itself raises"));
        }
    }
    return STATUS_OK;
}

static enum status check_unique(struct loader *l, const struct file *file,
                                const struct record_type *type)
{
    for (size_t i = 0; i < l->types->count; i++) {
        const struct record_type *other = &l->types->types[i];
        bool is_name = strcmp(other->name, type->name) == 0;
        if (!is_name && strcmp(other->id_prefix, type->id_prefix) != 0)
            continue;
        err_set(l->err, "%s: /x-postern/%s: \"%s\" is taken by %s", file->path,
                is_name ? "type" : "idPrefix", is_name ? type->name : type->id_prefix, other->path);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status load_file(struct loader *l, const struct file *file)
{
    uint32_t annotation = json_member(&file->doc, json_root(&file->doc), ANNOTATION);
    struct record_type type;
    struct schema *schema = NULL;
    enum status status = compile(l, file, &schema);
    if (status != STATUS_OK || annotation == JSON_NONE) {
        schema_free(schema);
        return status;
    }
    status = check_annotation(l, file, annotation);
    if (status == STATUS_OK)
        status = check_all_names(l, file, annotation);
    if (status == STATUS_OK)
        status = read_type(l, file, annotation, &type);
    if (status == STATUS_OK)
        status = check_reserved(l, file, &type);
    if (status == STATUS_OK)
        status = check_unique(l, file, &type);
    if (status != STATUS_OK) {
        schema_free(schema);
        return status;
    }
    type.schema = schema;
    l->types->types[l->types->count++] = type;
    return STATUS_OK;
}

static int by_type_name(const void *a, const void *b)
{
    const struct record_type *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum status load_all(struct loader *l, const char *dir, const char *only)
{
    enum status status = read_files(l, dir, only);
    if (status == STATUS_OK)
        status = compile_x_postern(l);
    if (status != STATUS_OK)
        return status;
    l->types->types = calloc(l->count + 1, sizeof(*l->types->types));
    if (!l->types->types)
        return STATUS_NO_MEMORY;
    size_t count = only ? 1 : l->count;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = load_file(l, &l->files[i]);
    if (status == STATUS_OK && !l->types->count) {
        err_set(l->err, "%s%s%s: no record type (a schema file with \"%s\")", dir, only ? "/" : "",
                only ? only : "", ANNOTATION);
        return STATUS_INVALID;
    }
    if (status == STATUS_OK)
        qsort(l->types->types, l->types->count, sizeof(*l->types->types), by_type_name);
    return status;
}

static enum status load(const char *dir, const char *only, struct record_types **ret_types,
                        struct err *err)
{
    struct loader l = {.err = err};
    enum status status = STATUS_NO_MEMORY;
    *ret_types = NULL;
    l.types = calloc(1, sizeof(*l.types));
    l.run = schema_run_new();
    if (l.types) {
        atomic_init(&l.types->references, 1);
        l.types->arena = arena_new(64 * 1024);
    }
    if (l.types && l.types->arena && l.run)
        status = load_all(&l, dir, only);
    for (size_t i = 0; i < l.count; i++) {
        json_doc_fini(&l.files[i].doc);
        buf_fini(&l.files[i].text);
        free(l.files[i].path);
        free(l.files[i].uri);
    }
    free(l.files);
    schema_free(l.x_postern);
    schema_run_free(l.run);
    if (status == STATUS_OK)
        *ret_types = MOVE(l.types);
    else if (status == STATUS_NO_MEMORY)
        err_set(err, "%s: %s", dir, status_text(status));
    record_types_unref(l.types);
    return status;
}

enum status record_types_load(const char *dir, struct record_types **ret_types, struct err *err)
{
    return load(dir, NULL, ret_types, err);
}

enum status record_types_load_file(const char *path, struct record_types **ret_types,
                                   struct err *err)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(freep)
    char *dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!dir)
        return STATUS_NO_MEMORY;
    return load(dir, slash ? slash + 1 : path, ret_types, err);
}

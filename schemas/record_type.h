/*
 * record_type: what the schema files say about record types: the validation program and the
 * `x-postern` annotation (id prefix, record key, columns, events, order rules), as one immutable,
 * reference-counted set that is replaced whole on a reload.
 *
 * `x-postern` itself is described by schemas/types/x-postern.schema.json, which is compiled in and
 * checked against first, so an unknown member is an error with a pointer. Besides what the contract
 * names it has "order": [{"member": "endDate", "notBefore": "startDate"}], the home of rules that
 * JSON Schema cannot say: both members are date or date-time strings; when both are there and
 * valid, `member` must not be earlier. A breach is a violation with keyword "notBefore". And
 * "readOnly": true for types that Postern itself writes and nobody else.
 *
 * Threads: a set is immutable; take and release references from any thread.
 */
#pragma once

#include "base/err.h"
#include "schemas/schema.h"

#define RECORD_KEY_BYTES_MAX 255

struct event_when {
    struct json_name member;
    struct json_doc becomes; /* the value */
    char *event;
};
struct event_each {
    struct json_name added; /* the array member */
    struct json_name by;    /* the member that tells elements apart */
    char *event;
};
struct order_rule {
    char *member;
    char *not_before;
};

struct record_type {
    char *name;      /* "workorder": 1 to 63 of a-z 0-9 - _, starting with a letter */
    char *id_prefix; /* "wo": as TypeID wants it */
    char *key;       /* the member that is the record key */
    char *title;     /* the schema's title, or the name */
    bool is_key_required;
    bool is_read_only; /* written by Postern itself alone */
    char **columns;
    size_t column_count;
    char *event_created; /* this and the next two may be NULL: no such event */
    char *event_updated;
    char *event_deleted;
    struct event_when *when;
    size_t when_count;
    struct event_each *each;
    size_t each_count;
    struct order_rule *order;
    size_t order_count;
    struct schema *schema;
    char *text; /* the schema file as it stands, for `schemas show` */
    size_t text_bytes;
    char *path;
};

struct record_types; /* the set, sorted by name */

/* Read every *.json file of a directory. Any error (unreadable, not strict JSON, not a valid
 * schema, unknown member of x-postern, two files for one type or one id prefix) is STATUS_INVALID
 * with "FILE: /json/pointer: reason"; the caller keeps the set it had. Files whose `x-postern` is
 * absent only resolve references ("$ref": "address.schema.json"). */
MUST_CHECK enum status record_types_load(const char *dir, struct record_types **ret_types,
                                         struct err *err);
/* One file, as `schemas check FILE` does; references resolve beside it. */
MUST_CHECK enum status record_types_load_file(const char *path, struct record_types **ret_types,
                                              struct err *err);
struct record_types *record_types_ref(struct record_types *types);
void record_types_unref(struct record_types *types); /* NULL allowed */

size_t record_types_count(const struct record_types *types);
const struct record_type *record_types_at(const struct record_types *types, size_t index);
/* NULL: none. */
const struct record_type *record_types_find(const struct record_types *types, struct bytes name);

/* Everything that makes a document acceptable as a record of the type: an object, valid against
 * the schema, the order rules, and a record key that is a string or an integer of 1 to
 * RECORD_KEY_BYTES_MAX bytes without control characters (where present or required). Statuses and
 * violations as schema_check. */
MUST_CHECK enum status record_type_check(const struct record_type *type, struct schema_run *run,
                                         const struct json_doc *doc,
                                         const struct schema_budget *budget);
/* The record key's text, appended to `out`; nothing appended where the document has none. */
void record_type_key_put(const struct record_type *type, const struct json_doc *doc,
                         struct buf *out);
/* Every event type that the type can raise, each once: calls `each` in order of declaration. */
void record_type_events(const struct record_type *type,
                        void (*each)(void *context, const char *event), void *context);

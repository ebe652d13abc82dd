/*
 * record_view: how a revision of a record looks in the tool's output, and what --where asks of it.
 */
#pragma once

#include "schemas/record_type.h"
#include "storage/records.h"
#include "tools/args.h"
#include "tools/output.h"

struct record_view {
    const struct record_type *type; /* for its columns; NULL: without */
    const char *id_prefix;
    struct json_doc doc;
    struct buf text, cell; /* scratch */
};
void record_view_fini(struct record_view *view);

/* The columns of lists of this type: fixed ones and the schema's. The array is heap memory, the
 * names in it are the type's. NULL: no memory. */
struct column *record_view_columns(const struct record_type *type);
/* One item: {"id","type","key","revision","action","receivedAt","deleted","data"}. */
void record_view_put(struct record_view *view, const char *type_name,
                     const struct revision *revision, struct output *out);
/* Does the content have the value of every --where MEMBER=VALUE? Strings are compared as text,
 * other values as canonical JSON; MEMBER is a top-level name, or a JSON pointer if it starts with
 * '/'. */
bool record_view_matches(struct record_view *view, const struct revision *revision,
                         const struct args *args);

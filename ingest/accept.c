/*
 * A valid body costs one pass of the scanner, one of the schema program, and a copy of its key; the
 * texts of refusals and warnings are only made when there are any.
 *
 * What goes to the rejections log names pointers and keywords, never a value.
 */
#include "ingest/accept.h"

#include "base/cleanup.h"
#include "storage/records.h"

#include <stdio.h>

#define LOGGED_MAX 300

static enum status refuse(struct submission *submission, struct item *item, enum problem problem,
                          struct bytes detail, struct bytes more_members, struct bytes logged)
{
    struct arena *arena = submission->arena;
    item->is_refused_before = true;
    item->result = ITEM_REFUSED;
    item->refusal = (struct refusal){
        .problem = problem,
        .detail = (const char *)arena_copy(arena, detail).data,
        .logged = logged.len ? (const char *)arena_copy(arena, logged).data : NULL,
    };
    if (more_members.len > 0)
        item->refusal.more_members = arena_copy(arena, more_members);
    return item->refusal.detail ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status refuse_json(struct submission *submission, struct item *item,
                               const struct json_fault *fault)
{
    char members[128];
    int len = snprintf(members, sizeof members, ",\"line\":%zu,\"column\":%zu,\"offset\":%zu",
                       fault->line, fault->column, fault->offset);
    /* A line of a batch is counted by its place in the batch: its own "line" is always 1. */
    if (item->line > 0)
        len = snprintf(members, sizeof members, ",\"column\":%zu,\"offset\":%zu", fault->column,
                       fault->offset);
    return refuse(submission, item, PROBLEM_INVALID_JSON, bytes_of_str(fault->detail),
                  bytes_of(members, (size_t)len), (struct bytes){0});
}

static void put_error(struct buf *out, bool is_first, const struct violation *violation)
{
    buf_put_str(out, is_first ? "{\"pointer\":" : ",{\"pointer\":");
    json_put_string(out, violation->pointer);
    buf_put_str(out, ",\"keyword\":");
    json_put_str(out, violation->keyword);
    if (violation->schema_pointer.len > 0) {
        buf_put_str(out, ",\"schemaPointer\":");
        json_put_string(out, violation->schema_pointer);
    }
    buf_put_str(out, ",\"detail\":");
    json_put_string(out, violation->detail);
    buf_put_char(out, '}');
}

static enum status refuse_violations(struct submission *submission, struct item *item,
                                     const struct violation *violations, size_t count)
{
    CLEANUP(buf_fini) struct buf members = {0};
    CLEANUP(buf_fini) struct buf logged = {0};
    CLEANUP(buf_fini) struct buf detail = {0};
    buf_put_str(&members, ",\"errors\":[");
    for (size_t i = 0; i < count; i++) {
        put_error(&members, i == 0, &violations[i]);
        if (logged.len < LOGGED_MAX)
            buf_printf(&logged, "%s%.*s %s", i ? "; " : "", BYTES_ARG(violations[i].pointer),
                       violations[i].keyword);
    }
    buf_put_char(&members, ']');
    buf_printf(&detail, "the record breaks its schema in %zu place%s%s", count,
               count == 1 ? "" : "s", count == VIOLATIONS_MAX ? " or more" : "");
    if (members.status != STATUS_OK || logged.status != STATUS_OK || detail.status != STATUS_OK)
        return STATUS_NO_MEMORY;
    return refuse(submission, item, PROBLEM_INVALID_RECORD, buf_bytes(&detail), buf_bytes(&members),
                  buf_bytes(&logged));
}

static enum status refuse_id(struct submission *submission, struct item *item, const char *detail)
{
    struct violation violation = {
        .pointer = bytes_of_str("/id"), .keyword = "id", .detail = bytes_of_str(detail)};
    return refuse_violations(submission, item, &violation, 1);
}

/* The "id" member names the record; it is not part of the schema. */
static enum status take_id(struct app_loop *loop, struct submission *submission, struct item *item)
{
    uint32_t node = json_member(&loop->doc, json_root(&loop->doc), "id");
    if (node == JSON_NONE)
        return STATUS_OK;
    struct uuid id;
    buf_clear(&loop->scratch);
    if (json_kind_of(&loop->doc, node) != JSON_STRING ||
        typeid_parse(json_string(&loop->doc, node, &loop->scratch),
                     submission->type->type->id_prefix, &id) != STATUS_OK)
        return refuse_id(submission, item, "is not an id of this record type");
    if (submission->kind == SUBMIT_PATCH && uuid_compare(&id, &item->id) != 0)
        return refuse_id(submission, item, "is not this record's id, which cannot change");
    item->has_id = true;
    item->id = id;
    return STATUS_OK;
}

static enum status take_warnings(struct app_loop *loop, struct submission *submission,
                                 struct item *item)
{
    size_t count;
    const struct unknown_member *unknown = schema_unknown_members(
        submission->type->type->schema, loop->run, &loop->doc, json_root(&loop->doc), &count);
    if (count == 0)
        return STATUS_OK;
    struct buf *out = &loop->scratch;
    buf_clear(out);
    for (size_t i = 0; i < count; i++) {
        buf_put_str(out, i ? ",{\"pointer\":" : "[{\"pointer\":");
        json_put_string(out, unknown[i].pointer);
        buf_put_str(out, ",\"detail\":");
        json_put_string(out, unknown[i].detail);
        buf_put_char(out, '}');
    }
    buf_put_char(out, ']');
    item->warnings = arena_copy(submission->arena, buf_bytes(out));
    return out->status == STATUS_OK && item->warnings.data ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status take_key_and_events(struct app_loop *loop, struct submission *submission,
                                       struct item *item)
{
    const struct record_type *type = submission->type->type;
    buf_clear(&loop->scratch);
    record_type_key_put(type, &loop->doc, &loop->scratch);
    if (loop->scratch.len > 0) {
        item->key = arena_copy(submission->arena, buf_bytes(&loop->scratch));
        if (!item->key.data)
            return STATUS_NO_MEMORY;
    }
    if (submission->kind == SUBMIT_PATCH)
        return STATUS_OK; /* never a first revision */
    size_t capacity = CHANGES_CAPACITY;
    size_t count = change_events(type, ACTION_CREATED, NULL, &loop->doc, loop->changes, capacity);
    if (count > capacity)
        count = capacity;
    size_t bytes = count * sizeof *item->created_events;
    item->created_events = arena_take(submission->arena, bytes);
    if (!item->created_events)
        return STATUS_NO_MEMORY;
    memcpy(item->created_events, loop->changes, bytes);
    item->created_event_count = count;
    return STATUS_OK;
}

/* The document in loop->doc, which item->body holds as text. */
static enum status accept_document(struct app_loop *loop, struct submission *submission,
                                   struct item *item)
{
    const struct record_type *type = submission->type->type;
    struct schema_budget budget = {0};
    enum status s = record_type_check(type, loop->run, &loop->doc, &budget);
    if (s == STATUS_LIMIT)
        return refuse(submission, item, PROBLEM_TOO_COMPLEX,
                      bytes_of_str("checking the record against its schema took too long"),
                      (struct bytes){0}, (struct bytes){0});
    if (s == STATUS_INVALID) {
        size_t count;
        const struct violation *violations = schema_violations(loop->run, &count);
        return refuse_violations(submission, item, violations, count);
    }
    if (s == STATUS_OK)
        s = take_id(loop, submission, item);
    if (s == STATUS_OK && !item->is_refused_before)
        s = take_warnings(loop, submission, item);
    if (s == STATUS_OK && !item->is_refused_before)
        s = take_key_and_events(loop, submission, item);
    return s;
}

enum status accept_body(struct app_loop *loop, struct submission *submission, struct bytes body,
                        struct item *item)
{
    struct json_fault fault;
    enum status s = json_scan(&loop->doc, body, &fault);
    if (s == STATUS_INVALID)
        return refuse_json(submission, item, &fault);
    if (s != STATUS_OK)
        return s;
    item->body = body;
    return accept_document(loop, submission, item);
}

/* The current revision of the record that the item names. STATUS_NOT_FOUND also for a deleted one.
 * An id given by its record key is filled in. */
static enum status find_current(struct txn *txn, const struct submission *submission,
                                struct item *item, struct revision *ret_revision)
{
    if (!item->has_id) {
        enum status s = record_find_by_key(txn, submission->type->number, item->target, &item->id);
        if (s != STATUS_OK)
            return s;
    }
    enum status s = record_current(txn, &item->id, ret_revision);
    if (s == STATUS_OK &&
        (ret_revision->type != submission->type->number || !record_is_live(ret_revision)))
        s = STATUS_NOT_FOUND;
    return s;
}

static enum status merge(struct app_loop *loop, struct submission *submission, struct item *item,
                         struct bytes current_body)
{
    struct json_fault fault;
    enum status s = json_scan(&loop->other_doc, current_body, &fault);
    if (s != STATUS_OK)
        return s == STATUS_INVALID ? STATUS_CORRUPT : s;
    buf_clear(&loop->body);
    json_merge_patch(&loop->other_doc, json_root(&loop->other_doc), &loop->doc,
                     json_root(&loop->doc), &loop->body);
    if (loop->body.status != STATUS_OK)
        return loop->body.status == STATUS_LIMIT ? STATUS_LIMIT : STATUS_NO_MEMORY;
    item->body = arena_copy(submission->arena, buf_bytes(&loop->body));
    return item->body.data ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status accept_patch(struct app_loop *loop, struct submission *submission, struct bytes patch,
                         struct item *item)
{
    struct json_fault fault;
    enum status s = json_scan(&loop->doc, patch, &fault);
    if (s == STATUS_INVALID)
        return refuse_json(submission, item, &fault);
    if (s != STATUS_OK)
        return s;

    struct txn *txn = NULL;
    s = txn_read(loop->app->store, &txn);
    if (s != STATUS_OK)
        return s;
    struct revision current;
    s = find_current(txn, submission, item, &current);
    if (s == STATUS_OK) {
        item->base_revision = current.number;
        s = merge(loop, submission, item, current.body);
    }
    txn_abort(txn);
    if (s == STATUS_NOT_FOUND)
        return refuse(submission, item, PROBLEM_NOT_FOUND, bytes_of_str("there is no such record"),
                      (struct bytes){0}, (struct bytes){0});
    if (s != STATUS_OK)
        return s;
    if (item->body.len > loop->app->max_body)
        return refuse(submission, item, PROBLEM_TOO_LARGE,
                      bytes_of_str("the merged record is over the body limit"), (struct bytes){0},
                      (struct bytes){0});
    s = json_scan(&loop->doc, item->body, &fault);
    if (s == STATUS_INVALID)
        return refuse_json(submission, item, &fault);
    return s == STATUS_OK ? accept_document(loop, submission, item) : s;
}

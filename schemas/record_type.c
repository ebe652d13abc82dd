/*
 * What a record type demands beside its schema: a usable record key, and the order rules. And the
 * set of types: shared, immutable, counted. Reading the files is record_type_load.c.
 */
#include "schemas/record_type.h"

#include "base/clock.h"
#include "base/must.h"
#include "schemas/format_kinds.h"
#include "schemas/record_type_private.h"
#include "schemas/schema_run.h"

#include <stdlib.h>

#define DATE_BYTES 10 /* "2026-11-20" */

/* --- the set --------------------------------------------------------------------------------- */

struct record_types *record_types_ref(struct record_types *types)
{
    atomic_fetch_add_explicit(&types->references, 1, memory_order_relaxed);
    return types;
}

void record_types_unref(struct record_types *types)
{
    if (!types || atomic_fetch_sub_explicit(&types->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < types->count; i++)
        schema_free(types->types[i].schema);
    free(types->types);
    arena_free(types->arena);
    free(types);
}

size_t record_types_count(const struct record_types *types)
{
    return types->count;
}

const struct record_type *record_types_at(const struct record_types *types, size_t index)
{
    must(index < types->count);
    return &types->types[index];
}

const struct record_type *record_types_find(const struct record_types *types, struct bytes name)
{
    size_t from = 0, to = types->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = bytes_compare(name, bytes_of_str(types->types[middle].name));
        if (order == 0)
            return &types->types[middle];
        if (order < 0)
            to = middle;
        else
            from = middle + 1;
    }
    return NULL;
}

/* --- the record key -------------------------------------------------------------------------- */

static bool has_control_characters(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_c1 = text.data[i] == 0xC2 && i + 1 < text.len && text.data[i + 1] < 0xA0;
        if (text.data[i] < 0x20 || text.data[i] == 0x7F || is_c1)
            return true;
    }
    return false;
}

/* NULL: it can be a record key. Else what is wrong with it. */
static const char *key_complaint(const struct json_doc *doc, uint32_t node, struct buf *scratch)
{
    bool is_number = json_kind_of(doc, node) == JSON_NUMBER;
    if (json_kind_of(doc, node) != JSON_STRING &&
        !(is_number && doc->nodes[node].flags & JSON_IS_INTEGER))
        return "must be a string or a whole number, since it is the record key";
    buf_clear(scratch);
    struct bytes text = is_number ? json_raw(doc, node) : json_string(doc, node, scratch);
    if (!text.len)
        return "must not be empty, since it is the record key";
    if (text.len > RECORD_KEY_BYTES_MAX)
        return "must have at most 255 bytes, since it is the record key";
    if (has_control_characters(text))
        return "must not have control characters, since it is the record key";
    return NULL;
}

static bool has_violation_at(const struct schema_run *run, const struct json_doc *doc,
                             uint32_t node)
{
    struct buf pointer = {0};
    bool has_any = false;
    size_t count;
    const struct violation *violations = schema_violations(run, &count);
    json_pointer_of(doc, node, &pointer);
    for (size_t i = 0; i < count; i++)
        has_any |= bytes_equal(violations[i].pointer, buf_bytes(&pointer));
    buf_fini(&pointer);
    return has_any;
}

static bool check_key(const struct record_type *type, struct schema_run *run,
                      const struct json_doc *doc)
{
    uint32_t node = json_member(doc, json_root(doc), type->key);
    if (node == JSON_NONE)
        return true; /* `required` has said so where it matters */
    if (!type->is_key_required && json_kind_of(doc, node) == JSON_NULL)
        return true; /* as good as absent; the schema decides whether null is allowed */
    const char *complaint = key_complaint(doc, node, &run->scratch);
    if (!complaint)
        return true;
    if (!has_violation_at(run, doc, node))
        run_add_violation(run, doc, node, (struct bytes){0}, "key", complaint);
    return false;
}

void record_type_key_put(const struct record_type *type, const struct json_doc *doc,
                         struct buf *out)
{
    uint32_t node = json_member(doc, json_root(doc), type->key);
    if (node == JSON_NONE)
        return;
    if (json_kind_of(doc, node) == JSON_STRING)
        json_string_put(doc, node, out);
    else if (json_kind_of(doc, node) == JSON_NUMBER)
        buf_put_bytes(out, json_raw(doc, node));
}

/* --- the order rules ------------------------------------------------------------------------- */

static bool is_date_text(struct bytes text, bool *ret_has_time)
{
    *ret_has_time = is_date_time(text);
    return *ret_has_time || is_date(text);
}

/* Two date-times by the instant, else by the calendar day as it is written. */
static bool is_before(struct bytes a, struct bytes b)
{
    bool has_time_a, has_time_b;
    int64_t ms_a, ms_b;
    if (!is_date_text(a, &has_time_a) || !is_date_text(b, &has_time_b))
        return false; /* `format` has said so where it matters */
    if (has_time_a && has_time_b)
        return time_parse(a, &ms_a) == STATUS_OK && time_parse(b, &ms_b) == STATUS_OK &&
               ms_a < ms_b;
    return memcmp(a.data, b.data, DATE_BYTES) < 0;
}

static bool string_member(const struct json_doc *doc, const char *name, uint32_t *ret_node)
{
    *ret_node = json_member(doc, json_root(doc), name);
    return *ret_node != JSON_NONE && json_kind_of(doc, *ret_node) == JSON_STRING;
}

static bool check_order(struct schema_run *run, const struct json_doc *doc,
                        const struct order_rule *rule)
{
    uint32_t member, other;
    struct buf scratch_a = {0}, scratch_b = {0}, detail = {0};
    if (!string_member(doc, rule->member, &member) || !string_member(doc, rule->not_before, &other))
        return true;
    bool is_breach =
        is_before(json_string(doc, member, &scratch_a), json_string(doc, other, &scratch_b));
    if (is_breach) {
        buf_printf(&detail, "must not be before %s, ", rule->not_before);
        put_short_value(&detail, doc, other);
        buf_put_str(&detail, ", got ");
        put_short_value(&detail, doc, member);
        run_add_violation(run, doc, member, (struct bytes){0}, "notBefore", buf_str(&detail));
    }
    buf_fini(&scratch_a);
    buf_fini(&scratch_b);
    buf_fini(&detail);
    return !is_breach;
}

/* --- the whole ------------------------------------------------------------------------------- */

static bool check_object(struct schema_run *run, const struct json_doc *doc)
{
    if (json_kind_of(doc, json_root(doc)) == JSON_OBJECT)
        return true;
    if (!has_violation_at(run, doc, json_root(doc)))
        run_add_violation(run, doc, json_root(doc), (struct bytes){0}, "type",
                          "must be an object, since it is a record");
    return false;
}

enum status record_type_check(const struct record_type *type, struct schema_run *run,
                              const struct json_doc *doc, const struct schema_budget *budget)
{
    enum status status = schema_check(type->schema, run, doc, json_root(doc), budget);
    if (status != STATUS_OK && status != STATUS_INVALID)
        return status;
    bool is_valid = check_object(run, doc) && check_key(type, run, doc);
    for (size_t i = 0; i < type->order_count; i++)
        is_valid &= check_order(run, doc, &type->order[i]);
    return is_valid ? status : STATUS_INVALID;
}

void record_type_events(const struct record_type *type,
                        void (*each)(void *context, const char *event), void *context)
{
    const char *seen[3 + RECORD_TYPE_RULES_MAX];
    size_t count = 0;
    const char *own[] = {type->event_created, type->event_updated, type->event_deleted};
    size_t total = 3 + type->when_count + type->each_count;
    for (size_t i = 0; i < total; i++) {
        const char *event = i < 3                      ? own[i]
                            : i < 3 + type->when_count ? type->when[i - 3].event
                                                       : type->each[i - 3 - type->when_count].event;
        bool is_new = event != NULL;
        for (size_t s = 0; is_new && s < count; s++)
            is_new = strcmp(seen[s], event) != 0;
        if (!is_new)
            continue;
        seen[count++] = event;
        each(context, event);
    }
}

/*
 * Looking at a scanned document: members, elements, equality. Everything here reads the array of
 * nodes; strings are in json_string.c, pointers in json_pointer.c.
 *
 * Equality recurses once a level, and there are at most JSON_DEPTH_MAX of them. Objects are
 * compared in the order of one, and the other is asked for each name: it is nearly always the next
 * one there.
 */
#include "schemas/decimal.h"
#include "schemas/json_private.h"

#include "base/cleanup.h"

#include <stdlib.h>

void json_doc_fini(struct json_doc *doc)
{
    if (doc == NULL)
        return;
    free(doc->nodes);
    free(doc->names);
    *doc = (struct json_doc){0};
}

struct bytes json_text(const struct json_doc *doc, uint32_t node)
{
    struct bytes raw = json_raw(doc, node);

    if (json_kind_of(doc, node) == JSON_STRING)
        return bytes_of(raw.data - 1, raw.len + 2);
    return raw;
}

static uint32_t find_member(const struct json_doc *doc, uint32_t object, struct bytes name,
                            uint32_t hash)
{
    if (object == JSON_NONE || json_kind_of(doc, object) != JSON_OBJECT)
        return JSON_NONE;
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        if (doc->nodes[i].count == hash && json_string_equals(doc, i, name))
            return i + 1;
    }
    return JSON_NONE;
}

uint32_t json_member_bytes(const struct json_doc *doc, uint32_t object, struct bytes name)
{
    return find_member(doc, object, name, json_name_hash(name));
}

uint32_t json_member(const struct json_doc *doc, uint32_t object, const char *name)
{
    return json_member_bytes(doc, object, bytes_of_str(name));
}

struct json_name json_name_of(const char *text)
{
    struct bytes name = bytes_of_str(text);

    return (struct json_name){text, name.len, json_name_hash(name)};
}

uint32_t json_member_named(const struct json_doc *doc, uint32_t object,
                           const struct json_name *name)
{
    return find_member(doc, object, bytes_of(name->text, name->len), name->hash);
}

static bool arrays_equal(const struct json_doc *a, uint32_t array_a, const struct json_doc *b,
                         uint32_t array_b)
{
    uint32_t other = json_first(b, array_b);

    for (uint32_t i = json_first(a, array_a); i != JSON_NONE; i = json_after(a, array_a, i)) {
        if (!json_equal(a, i, b, other))
            return false;
        other = json_after(b, array_b, other);
    }
    return true;
}

/* `skipped`: a name that does not count; NULL: all do. */
static bool members_equal(const struct json_doc *a, uint32_t object_a, const struct json_doc *b,
                          uint32_t object_b, const char *skipped)
{
    CLEANUP(json_index_fini) struct json_index index = json_index_of(b, object_b);

    for (uint32_t i = json_first(a, object_a); i != JSON_NONE; i = json_after(a, object_a, i)) {
        uint32_t other;

        if (skipped && json_string_equals(a, i, bytes_of_str(skipped)))
            continue;
        other = json_index_find(&index, a, i);
        if (other == JSON_NONE || !json_equal(a, i + 1, b, other + 1))
            return false;
    }
    return true;
}

static uint32_t count_without(const struct json_doc *doc, uint32_t object, const char *name)
{
    return doc->nodes[object].count - (json_member(doc, object, name) != JSON_NONE);
}

bool json_equal_without(const struct json_doc *a, uint32_t object_a, const struct json_doc *b,
                        uint32_t object_b, const char *name)
{
    return count_without(a, object_a, name) == count_without(b, object_b, name) &&
           members_equal(a, object_a, b, object_b, name);
}

bool json_equal(const struct json_doc *a, uint32_t node_a, const struct json_doc *b,
                uint32_t node_b)
{
    const struct json_node *x = &a->nodes[node_a], *y = &b->nodes[node_b];

    if (x->kind != y->kind)
        return false;
    switch ((enum json_kind)x->kind) {
    case JSON_NUMBER:
        return bytes_equal(json_raw(a, node_a), json_raw(b, node_b)) ||
               decimal_compare(json_raw(a, node_a), json_raw(b, node_b)) == 0;
    case JSON_STRING:
        return json_strings_equal(a, node_a, b, node_b);
    case JSON_ARRAY:
        return x->count == y->count && arrays_equal(a, node_a, b, node_b);
    case JSON_OBJECT:
        return x->count == y->count && members_equal(a, node_a, b, node_b, NULL);
    case JSON_NULL:
    case JSON_FALSE:
    case JSON_TRUE:
        break;
    }
    return true;
}

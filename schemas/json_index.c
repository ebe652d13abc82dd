/*
 * Design: open addressing with linear probing at no more than half load, over the hashes that name
 * nodes carry anyway. These are seeded, so that nobody can choose names that collide; the table is
 * never larger than what four bytes for each two members and some make.
 */
#include "schemas/json_private.h"

#include <stdlib.h>

static uint32_t slots_for(uint32_t members)
{
    uint32_t slots = 64;

    while (slots / 2 < members)
        slots *= 2; /* a text below 4 GiB has less than 2^30 members */
    return slots;
}

static bool is_same_name(const struct json_doc *a, uint32_t name_a, const struct json_doc *b,
                         uint32_t name_b)
{
    return a->nodes[name_a].count == b->nodes[name_b].count &&
           json_strings_equal(a, name_a, b, name_b);
}

/* The slot of that name, or the free one where it belongs. */
static uint32_t *slot_of(uint32_t *slots, uint32_t mask, const struct json_doc *doc,
                         const struct json_doc *of, uint32_t name)
{
    uint32_t i = of->nodes[name].count & mask;

    while (slots[i] && !is_same_name(doc, slots[i] - 1, of, name))
        i = (i + 1) & mask;
    return &slots[i];
}

struct json_index json_index_of(const struct json_doc *doc, uint32_t object)
{
    bool has_members = object != JSON_NONE && json_kind_of(doc, object) == JSON_OBJECT;

    return (struct json_index){
        .doc = doc,
        .object = has_members ? object : JSON_NONE,
        .expected = has_members ? json_first(doc, object) : JSON_NONE,
    };
}

void json_index_fini(struct json_index *index)
{
    free(index->slots);
    *index = (struct json_index){.object = JSON_NONE};
}

static bool has_table(struct json_index *index)
{
    const struct json_doc *doc = index->doc;
    uint32_t members = doc->nodes[index->object].count, count;

    if (index->slots)
        return true;
    if (members < INDEX_MEMBERS_MIN)
        return false;
    count = slots_for(members);
    index->slots = calloc(count, sizeof *index->slots);
    if (!index->slots)
        return false;
    index->mask = count - 1;
    for (uint32_t i = json_first(doc, index->object); i != JSON_NONE;
         i = json_after(doc, index->object, i))
        *slot_of(index->slots, index->mask, doc, doc, i) = i + 1;
    return true;
}

static uint32_t walk(const struct json_index *index, const struct json_doc *of, uint32_t name)
{
    for (uint32_t i = json_first(index->doc, index->object); i != JSON_NONE;
         i = json_after(index->doc, index->object, i)) {
        if (is_same_name(index->doc, i, of, name))
            return i;
    }
    return JSON_NONE;
}

uint32_t json_index_find(struct json_index *index, const struct json_doc *of, uint32_t name)
{
    uint32_t found = index->expected;

    if (index->object == JSON_NONE)
        return JSON_NONE;
    if (found == JSON_NONE || !is_same_name(index->doc, found, of, name)) {
        if (has_table(index))
            found = *slot_of(index->slots, index->mask, index->doc, of, name) - 1;
        else
            found = walk(index, of, name);
    }
    if (found != JSON_NONE)
        index->expected = json_after(index->doc, index->object, found);
    return found;
}

static enum status reserve_scratch(struct json_doc *doc, uint32_t count)
{
    uint32_t *names;

    if (doc->names_capacity >= count)
        return STATUS_OK;
    names = realloc(doc->names, count * sizeof *names);
    if (!names)
        return STATUS_NO_MEMORY;
    doc->names = names;
    doc->names_capacity = count;
    return STATUS_OK;
}

enum status json_find_repeated(struct json_doc *doc, uint32_t object, uint32_t *ret_name)
{
    uint32_t count = slots_for(doc->nodes[object].count);
    enum status s = reserve_scratch(doc, count);

    *ret_name = JSON_NONE;
    if (s != STATUS_OK)
        return s;
    memset(doc->names, 0, count * sizeof *doc->names);
    for (uint32_t i = json_first(doc, object); i != JSON_NONE; i = json_after(doc, object, i)) {
        uint32_t *slot = slot_of(doc->names, count - 1, doc, doc, i);

        if (*slot) {
            *ret_name = i;
            return STATUS_OK;
        }
        *slot = i + 1;
    }
    return STATUS_OK;
}

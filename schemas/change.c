/*
 * Design: one rule after the other, in the order that the contract gives, so that events come out
 * in theirs.
 *
 * An `each` rule asks of every element whether its `by` value is in the array of the revision
 * before, or stood earlier in this one. Short arrays are walked; long ones go through a table of
 * values, so that a revision costs no more than its size. Without memory for the table they are
 * walked as well: slow, but an event is never lost.
 */
#include "schemas/change.h"

#include "base/cleanup.h"
#include "schemas/value_set.h"

#define WALKED_MAX 16 /* elements: for fewer, a table does not pay */

struct gathering {
    const struct json_doc *previous; /* NULL: first revision */
    const struct json_doc *current;
    struct change_event *events;
    size_t capacity;
    size_t count; /* may exceed the capacity */
    size_t each_count;
};

static void gather(struct gathering *g, struct change_event event)
{
    if (g->count < g->capacity)
        g->events[g->count] = event;
    g->count++;
}

static uint32_t top_member(const struct json_doc *doc, const struct json_name *name)
{
    return doc ? json_member_named(doc, json_root(doc), name) : JSON_NONE;
}

/* --- when ------------------------------------------------------------------------------------- */

static bool has_value(const struct json_doc *doc, const struct event_when *rule)
{
    uint32_t node = top_member(doc, &rule->member);

    return node != JSON_NONE && json_equal(doc, node, &rule->becomes, json_root(&rule->becomes));
}

static void gather_when(struct gathering *g, const struct event_when *rule)
{
    if (has_value(g->current, rule) && !has_value(g->previous, rule))
        gather(g, (struct change_event){.event = rule->event, .element = JSON_NONE});
}

/* --- each ------------------------------------------------------------------------------------- */

/* The `by` values of an array's elements. */
struct elements {
    const struct json_doc *doc;
    uint32_t array; /* JSON_NONE: there is none */
    const struct json_name *by;
    struct value_slot *slots; /* NULL: walked */
    struct value_set set;
    struct buf scratch;
};

static struct elements elements_of(const struct json_doc *doc, const struct event_each *rule)
{
    struct elements e = {.doc = doc, .array = top_member(doc, &rule->added), .by = &rule->by};

    if (e.array != JSON_NONE && json_kind_of(doc, e.array) != JSON_ARRAY)
        e.array = JSON_NONE;
    return e;
}

static void elements_fini(struct elements *e)
{
    free(e->slots);
    buf_fini(&e->scratch);
}

static uint32_t first_of(const struct elements *e)
{
    return e->array == JSON_NONE ? JSON_NONE : json_first(e->doc, e->array);
}

static uint32_t by_of(const struct elements *e, uint32_t element)
{
    return json_member_named(e->doc, element, e->by);
}

/* `string_bytes`: the longest string that the table will be asked for. Its memory is taken now, so
 * that no value hashes differently when there is none left. */
static void make_table(struct elements *e, size_t string_bytes)
{
    uint32_t slot_count;

    if (e->array == JSON_NONE || e->doc->nodes[e->array].count <= WALKED_MAX ||
        buf_reserve(&e->scratch, string_bytes) != STATUS_OK)
        return;
    slot_count = value_set_slots(e->doc->nodes[e->array].count);
    e->slots = calloc(slot_count, sizeof *e->slots);
    if (e->slots)
        value_set_init(&e->set, e->doc, e->slots, slot_count);
}

/* Is the value the `by` of an element before `end` (JSON_NONE: of any)? */
static bool walk(const struct elements *e, uint32_t end, const struct json_doc *doc, uint32_t value)
{
    for (uint32_t i = first_of(e); i != end && i != JSON_NONE;
         i = json_after(e->doc, e->array, i)) {
        uint32_t by = by_of(e, i);

        if (by != JSON_NONE && json_equal(e->doc, by, doc, value))
            return true;
    }
    return false;
}

static void fill_table(struct elements *e)
{
    for (uint32_t i = first_of(e); e->slots && i != JSON_NONE;
         i = json_after(e->doc, e->array, i)) {
        uint32_t by = by_of(e, i);

        if (by != JSON_NONE)
            (void)value_set_add(&e->set, by, &e->scratch); /* a repeated one is there already */
    }
}

static bool was_there(struct elements *before, const struct json_doc *doc, uint32_t value)
{
    if (before->slots)
        return value_set_has(&before->set, doc, value, &before->scratch);
    return walk(before, JSON_NONE, doc, value);
}

/* Asked of the elements in their order. */
static bool is_repeated(struct elements *now, uint32_t element, uint32_t value)
{
    if (now->slots)
        return value_set_add(&now->set, value, &now->scratch) != JSON_NONE;
    return walk(now, element, now->doc, value);
}

static void gather_each(struct gathering *g, const struct event_each *rule)
{
    CLEANUP(elements_fini) struct elements before = elements_of(g->previous, rule);
    CLEANUP(elements_fini) struct elements now = elements_of(g->current, rule);
    size_t string_bytes = g->current->text_bytes;
    uint32_t index = 0;

    if (g->previous && g->previous->text_bytes > string_bytes)
        string_bytes = g->previous->text_bytes;
    make_table(&before, string_bytes);
    fill_table(&before);
    make_table(&now, string_bytes);
    for (uint32_t i = first_of(&now); i != JSON_NONE; i = json_after(now.doc, now.array, i)) {
        uint32_t value = by_of(&now, i), element = index++;

        if (value == JSON_NONE || is_repeated(&now, i, value) || was_there(&before, now.doc, value))
            continue;
        if (g->each_count++ == CHANGE_EVENTS_MAX)
            return;
        gather(g, (struct change_event){
                      .event = rule->event, .each_member = rule->added.text, .element = element});
    }
}

static const char *own_event(const struct record_type *type, enum record_action action)
{
    switch (action) {
    case ACTION_CREATED:
        return type->event_created;
    case ACTION_UPDATED:
        return type->event_updated;
    case ACTION_DELETED:
        break;
    }
    return type->event_deleted;
}

size_t change_events(const struct record_type *type, enum record_action action,
                     const struct json_doc *previous, const struct json_doc *current,
                     struct change_event *ret_events, size_t capacity)
{
    struct gathering g = {
        .previous = previous, .current = current, .events = ret_events, .capacity = capacity};
    const char *own = own_event(type, action);

    if (own)
        gather(&g, (struct change_event){
                       .event = own, .element = JSON_NONE, .is_update = action == ACTION_UPDATED});
    if (action == ACTION_DELETED)
        return g.count;
    for (size_t i = 0; i < type->when_count; i++)
        gather_when(&g, &type->when[i]);
    for (size_t i = 0; i < type->each_count; i++)
        gather_each(&g, &type->each[i]);
    return g.count;
}

/*
 * What an `each` rule counts as new: an element whose `by` value no element of the revision before
 * has, and no earlier element of this revision. Arrays are compared pairwise by value; the schema
 * bounds them, and CHANGE_WORK_MAX bounds a schema that does not.
 */
#include "schemas/change.h"

#define CHANGE_WORK_MAX 2000000 /* comparisons of `by` values for one revision */

struct gathering {
    struct change_event *events;
    size_t capacity;
    size_t count;
};

static void add(struct gathering *gathering, struct change_event event)
{
    if (gathering->count < gathering->capacity)
        gathering->events[gathering->count] = event;
    gathering->count++;
}

static uint32_t top_member(const struct json_doc *doc, const char *name)
{
    return doc ? json_member(doc, json_root(doc), name) : JSON_NONE;
}

static bool has_value(const struct json_doc *doc, uint32_t node, const struct json_doc *value)
{
    return node != JSON_NONE && json_equal(doc, node, value, json_root(value));
}

static void add_when(struct gathering *gathering, const struct event_when *rule,
                     const struct json_doc *previous, const struct json_doc *current)
{
    struct json_doc value = {0};
    struct json_fault fault;
    if (json_scan(&value, bytes_of_str(rule->becomes_text), &fault) == STATUS_OK &&
        has_value(current, top_member(current, rule->member), &value) &&
        !has_value(previous, top_member(previous, rule->member), &value))
        add(gathering, (struct change_event){.event = rule->event, .element = JSON_NONE});
    json_doc_fini(&value);
}

/* Does an element of the array, up to but without `end`, have the `by` value of `wanted`? */
static bool has_element(const struct json_doc *doc, uint32_t array, uint32_t end, const char *by,
                        const struct json_doc *wanted_doc, uint32_t wanted, size_t *inout_work)
{
    if (array == JSON_NONE || json_kind_of(doc, array) != JSON_ARRAY)
        return false;
    for (uint32_t i = json_first(doc, array); i != JSON_NONE && i != end;
         i = json_after(doc, array, i)) {
        uint32_t value = json_member(doc, i, by);
        if (++*inout_work > CHANGE_WORK_MAX)
            return true;
        if (value != JSON_NONE && json_equal(doc, value, wanted_doc, wanted))
            return true;
    }
    return false;
}

static void add_each(struct gathering *gathering, const struct event_each *rule,
                     const struct json_doc *previous, const struct json_doc *current)
{
    uint32_t array = top_member(current, rule->added);
    if (array == JSON_NONE || json_kind_of(current, array) != JSON_ARRAY)
        return;
    uint32_t before = top_member(previous, rule->added);
    uint32_t index = 0;
    size_t found = 0, work = 0;
    for (uint32_t i = json_first(current, array); i != JSON_NONE;
         i = json_after(current, array, i), index++) {
        uint32_t by = json_member(current, i, rule->by);
        if (by == JSON_NONE ||
            has_element(previous, before, JSON_NONE, rule->by, current, by, &work) ||
            has_element(current, array, i, rule->by, current, by, &work))
            continue;
        if (++found > CHANGE_EVENTS_MAX)
            return;
        add(gathering, (struct change_event){
                           .event = rule->event, .each_member = rule->added, .element = index});
    }
}

size_t change_events(const struct record_type *type, enum record_action action,
                     const struct json_doc *previous, const struct json_doc *current,
                     struct change_event *ret_events, size_t capacity)
{
    struct gathering gathering = {ret_events, capacity, 0};
    const char *own = action == ACTION_CREATED   ? type->event_created
                      : action == ACTION_UPDATED ? type->event_updated
                                                 : type->event_deleted;
    if (own)
        add(&gathering, (struct change_event){.event = own,
                                              .element = JSON_NONE,
                                              .is_update = action == ACTION_UPDATED});
    if (action == ACTION_DELETED)
        return gathering.count;
    for (size_t i = 0; i < type->when_count; i++)
        add_when(&gathering, &type->when[i], previous, current);
    for (size_t i = 0; i < type->each_count; i++)
        add_each(&gathering, &type->each[i], previous, current);
    return gathering.count < capacity ? gathering.count : capacity;
}

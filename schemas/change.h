/*
 * change: which events does this revision raise, and what do their bodies look like? Pure.
 *
 * Order (contract section 2): created/updated/deleted, then `when`, then `each`. The first revision
 * has nothing before it, so a `when` whose value it already has and every element of an `each`
 * array count as new. Elements without the `by` member, and repeated ones, count once per new
 * value of it. A deletion raises its own event only.
 */
#pragma once

#include "base/action.h"
#include "schemas/json_write.h"
#include "schemas/record_type.h"

#define CHANGE_EVENTS_MAX 1024 /* more elements in one revision than this raise no `each` event */

struct change_event {
    const char *event;       /* borrowed from the type */
    const char *each_member; /* `each`: the array's name, borrowed likewise; else NULL */
    uint32_t element;        /* … and the index of the element in the new array, else JSON_NONE */
    bool is_update;          /* the type's `updated` event: its body has "previous" */
};

/* `previous` is NULL for a first revision. Fills at most `capacity` entries; returns how many the
 * change raises (no more than CHANGE_EVENTS_MAX + when_count + 1). `ret_events` is caller's. */
size_t change_events(const struct record_type *type, enum record_action action,
                     const struct json_doc *previous, const struct json_doc *current,
                     struct change_event *ret_events, size_t capacity);

/* What one event's body is made of. */
struct event_body {
    const char *id;    /* "evt_…" */
    const char *event; /* "workorder.updated" */
    int64_t time_ms;
    uint64_t sequence;
    const char *record_id;           /* "wo_…"; NULL for events that are not about a record */
    const struct json_doc *current;  /* the record's content; or the whole `data` value */
    const struct json_doc *previous; /* with is_update: the revision before; else NULL */
    const char *each_member;         /* `each`: the array's name, and the element's index */
    uint32_t element;
};

/* The compact JSON of contract section 4, in canonical form:
 * {"id","event","timestamp","sequence","data":{"id",…}} and, for an update, "previous": the former
 * values of the top-level members that changed (null for one that was absent), and for an `each`
 * event "element": the element that was added. */
void event_body_write(const struct event_body *body, struct buf *out);

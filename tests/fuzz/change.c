/*
 * Fuzz target: the events of a change, and their bodies. The input is two revisions of a record
 * with a byte 0xff between them; without one, a first revision.
 */
#include "schemas/change.h"

#include "base/must.h"

#include <stdlib.h>

#define EVENTS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The type owns its texts, so they are not const; nobody writes to them. */
#define TEXT(literal) ((char *)(literal))

static struct event_when when[2];
static struct event_each each[1];
static const struct record_type TYPE = {
    .event_created = TEXT("e.created"),
    .event_updated = TEXT("e.updated"),
    .event_deleted = TEXT("e.deleted"),
    .when = when,
    .when_count = 2,
    .each = each,
    .each_count = 1,
};

/* The names' hashes and the values' nodes are not constants. */
static void prepare_rules(void)
{
    static const char *const VALUES[] = {"\"x\"", "[1,{\"a\":2}]"};
    struct json_fault fault;

    for (size_t i = 0; i < TYPE.when_count; i++) {
        when[i].member = json_name_of("s");
        when[i].event = TEXT("e.when");
        must(json_scan(&when[i].becomes, bytes_of_str(VALUES[i]), &fault) == STATUS_OK);
    }
    each[0] = (struct event_each){json_name_of("a"), json_name_of("b"), TEXT("e.each")};
}

static void check_body(const struct change_event *event, const struct json_doc *previous,
                       const struct json_doc *current)
{
    struct event_body body = {
        .id = "evt_1",
        .event = event->event,
        .sequence = 7,
        .record_id = "wo_1",
        .current = current,
        .previous = event->is_update ? previous : NULL,
        .each_member = event->each_member,
        .element = event->element,
    };
    struct json_doc doc = {0};
    struct json_fault fault;
    struct buf out = {0}, again = {0};

    event_body_write(&body, &out);
    must(out.status == STATUS_OK && json_scan(&doc, buf_bytes(&out), &fault) == STATUS_OK);
    json_write(&doc, 0, &again);
    must(bytes_equal(buf_bytes(&out), buf_bytes(&again)));
    must((json_member(&doc, 0, "previous") != JSON_NONE) == event->is_update);
    must((json_member(&doc, 0, "element") != JSON_NONE) == (event->each_member != NULL));
    json_doc_fini(&doc);
    buf_fini(&out);
    buf_fini(&again);
}

static void check(const struct json_doc *previous, const struct json_doc *current)
{
    struct change_event events[EVENTS_MAX];
    size_t count = change_events(&TYPE, previous ? ACTION_UPDATED : ACTION_CREATED, previous,
                                 current, events, EVENTS_MAX);

    must(count >= 1 && count <= CHANGE_EVENTS_MAX + TYPE.when_count + 1);
    for (size_t i = 0; i < count && i < EVENTS_MAX; i++)
        check_body(&events[i], previous, current);
    /* Nothing changes from a revision to itself. */
    must(change_events(&TYPE, ACTION_UPDATED, current, current, events, EVENTS_MAX) == 1);
    must(change_events(&TYPE, ACTION_DELETED, current, current, events, EVENTS_MAX) == 1);
}

static bool scan_record(struct json_doc *doc, const uint8_t *data, size_t len)
{
    struct json_fault fault;

    return json_scan(doc, bytes_of(data, len), &fault) == STATUS_OK &&
           json_kind_of(doc, json_root(doc)) == JSON_OBJECT;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const uint8_t *middle = len ? memchr(data, 0xff, len) : NULL;
    size_t first_len = middle ? (size_t)(middle - data) : len;
    struct json_doc first = {0}, second = {0};

    if (each[0].event == NULL)
        prepare_rules();
    if (scan_record(&first, data, first_len)) {
        check(NULL, &first);
        if (middle && scan_record(&second, middle + 1, len - first_len - 1))
            check(&first, &second);
    }
    json_doc_fini(&first);
    json_doc_fini(&second);
    return 0;
}

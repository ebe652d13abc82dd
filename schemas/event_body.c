/*
 * The body of an event, in canonical form throughout: the names here are ordinary ones in the
 * contract's order, and every value is written canonically.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "schemas/change.h"
#include "schemas/json_private.h"

static void put_former(const struct json_doc *doc, uint32_t name, struct bytes value,
                       struct buf *out)
{
    if (json_string_equals(doc, name, bytes_of_str("id")))
        return; /* the record's own, whatever the sender called it */
    buf_put_char(out, out->len ? ',' : '{');
    buf_put_bytes(out, json_text(doc, name));
    buf_put_char(out, ':');
    buf_put_bytes(out, value);
}

/* What the top-level members that changed were before: those of the former revision in its order,
 * then, as null, those that only the new one has. */
static void put_previous(const struct json_doc *previous, const struct json_doc *current,
                         struct buf *out)
{
    uint32_t before = json_root(previous), now = json_root(current);
    CLEANUP(json_index_fini) struct json_index former = json_index_of(previous, before);
    CLEANUP(json_index_fini) struct json_index latter = json_index_of(current, now);
    CLEANUP(buf_fini) struct buf text = {0};

    for (uint32_t i = json_first(previous, before); i != JSON_NONE;
         i = json_after(previous, before, i)) {
        uint32_t same = json_index_find(&latter, previous, i);

        if (same == JSON_NONE || !json_equal(previous, i + 1, current, same + 1))
            put_former(previous, i, json_text(previous, i + 1), &text);
    }
    for (uint32_t i = json_first(current, now); i != JSON_NONE; i = json_after(current, now, i)) {
        if (json_index_find(&former, current, i) == JSON_NONE)
            put_former(current, i, bytes_of_str("null"), &text);
    }
    buf_put_str(&text, text.len ? "}" : "{}");
    json_write_text(&text, out);
}

static void put_element(const struct event_body *body, struct buf *out)
{
    const struct json_doc *doc = body->current;
    uint32_t array = json_member(doc, json_root(doc), body->each_member), left = body->element;
    uint32_t node;

    if (array == JSON_NONE || json_kind_of(doc, array) != JSON_ARRAY)
        return;
    node = json_first(doc, array);
    while (node != JSON_NONE && left-- > 0)
        node = json_after(doc, array, node);
    if (node == JSON_NONE)
        return;
    buf_put_str(out, ",\"element\":");
    json_write(doc, node, out);
}

void event_body_write(const struct event_body *body, struct buf *out)
{
    uint32_t root = json_root(body->current);
    char time[TIME_TEXT_BYTES];

    time_format(body->time_ms, time);
    buf_put_str(out, "{\"id\":");
    json_put_str(out, body->id);
    buf_put_str(out, ",\"event\":");
    json_put_str(out, body->event);
    buf_put_str(out, ",\"timestamp\":");
    json_put_str(out, time);
    buf_put_str(out, ",\"sequence\":");
    buf_put_decimal(out, body->sequence);
    buf_put_str(out, ",\"data\":");
    if (body->record_id)
        json_write_record(body->current, root, body->record_id, out);
    else
        json_write(body->current, root, out);
    if (body->previous) {
        buf_put_str(out, ",\"previous\":");
        put_previous(body->previous, body->current, out);
    }
    if (body->each_member)
        put_element(body, out);
    buf_put_char(out, '}');
}

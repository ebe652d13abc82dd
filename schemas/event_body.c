/*
 * The body of one event, in canonical form all through: the members' names here are ordinary ones
 * in the order of the contract, and every value is written canonically.
 */
#include "base/clock.h"
#include "schemas/change.h"

/* {"status":"draft","priority":null}: what the members that changed were before. Integer-like names
 * stand first and ascending in each of the two documents, so gathering them through a scanned text
 * keeps the canonical order without a second sorter. */
static void put_previous(const struct json_doc *previous, const struct json_doc *current,
                         struct buf *out)
{
    struct buf text = {0}, scratch = {0};
    uint32_t before = json_root(previous), now = json_root(current);
    const char *comma = "";
    buf_put_char(&text, '{');
    for (uint32_t i = json_first(previous, before); i != JSON_NONE;
         i = json_after(previous, before, i)) {
        struct bytes name = json_string(previous, i, &scratch);
        uint32_t same = json_member_bytes(current, now, name);
        if (bytes_equal_str(name, "id") ||
            (same != JSON_NONE && json_equal(previous, i + 1, current, same)))
            continue;
        buf_put_str(&text, comma);
        buf_put_bytes(&text, json_text(previous, i));
        buf_put_char(&text, ':');
        buf_put_bytes(&text, json_text(previous, i + 1));
        comma = ",";
    }
    for (uint32_t i = json_first(current, now); i != JSON_NONE; i = json_after(current, now, i)) {
        struct bytes name = json_string(current, i, &scratch);
        if (bytes_equal_str(name, "id") || json_member_bytes(previous, before, name) != JSON_NONE)
            continue;
        buf_put_str(&text, comma);
        buf_put_bytes(&text, json_text(current, i));
        buf_put_str(&text, ":null");
        comma = ",";
    }
    buf_put_char(&text, '}');
    struct json_doc doc = {0};
    struct json_fault fault;
    enum status s = text.status;
    if (s == STATUS_OK)
        s = json_scan(&doc, buf_bytes(&text), &fault);
    if (s == STATUS_OK)
        json_write(&doc, json_root(&doc), out);
    else
        out->status = s;
    json_doc_fini(&doc);
    buf_fini(&text);
    buf_fini(&scratch);
}

static void put_element(const struct event_body *body, struct buf *out)
{
    uint32_t array = json_member(body->current, json_root(body->current), body->each_member);
    if (array == JSON_NONE || json_kind_of(body->current, array) != JSON_ARRAY)
        return;
    uint32_t left = body->element, node = json_first(body->current, array);
    while (node != JSON_NONE && left-- > 0)
        node = json_after(body->current, array, node);
    if (node == JSON_NONE)
        return;
    buf_put_str(out, ",\"element\":");
    json_write(body->current, node, out);
}

void event_body_write(const struct event_body *body, struct buf *out)
{
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
        json_write_record(body->current, json_root(body->current), body->record_id, out);
    else
        json_write(body->current, json_root(body->current), out);
    if (body->previous) {
        buf_put_str(out, ",\"previous\":");
        put_previous(body->previous, body->current, out);
    }
    if (body->each_member)
        put_element(body, out);
    buf_put_char(out, '}');
}

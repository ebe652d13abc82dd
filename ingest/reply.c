/*
 * Members stand in the order in which the contract shows them. Written by hand: this is the answer
 * of every accepted request.
 */
#include "ingest/reply.h"

#include "base/clock.h"
#include "schemas/json_write.h"

static const char *action_of(const struct item *item)
{
    return item->result == ITEM_UNCHANGED ? "unchanged" : record_action_text(item->action);
}

static void put_events(const struct item *item, struct buf *out)
{
    buf_put_str(out, ",\"events\":[");
    for (size_t i = 0; i < item->event_count; i++) {
        buf_put_str(out, i ? ",{\"id\":\"" : "{\"id\":\"");
        typeid_put(out, "evt", &item->events[i].id);
        buf_put_str(out, "\",\"event\":");
        json_put_str(out, item->events[i].name);
        buf_put_char(out, '}');
    }
    buf_put_char(out, ']');
}

static void put_success(const struct submission *submission, const struct item *item,
                        struct buf *out)
{
    const struct record_type *type = submission->type->type;
    char time[TIME_TEXT_BYTES];
    time_format(item->received_ms, time);
    buf_put_str(out, "\"id\":\"");
    typeid_put(out, type->id_prefix, &item->record);
    buf_put_str(out, "\",\"type\":\"");
    buf_put_str(out, type->name);
    buf_put_str(out, "\",\"key\":");
    if (item->stored_key.len > 0)
        json_put_string(out, item->stored_key);
    else
        buf_put_str(out, "null");
    buf_put_str(out, ",\"action\":\"");
    buf_put_str(out, action_of(item));
    buf_put_str(out, "\",\"revision\":");
    buf_put_decimal(out, item->revision);
    buf_put_str(out, ",\"receivedAt\":\"");
    buf_put_str(out, time);
    buf_put_char(out, '"');
    put_events(item, out);
    if (item->warnings.len > 0) {
        buf_put_str(out, ",\"warnings\":");
        buf_put_bytes(out, item->warnings);
    }
    buf_put_char(out, '}');
}

static void put_problem(const struct submission *submission, const struct item *item,
                        struct buf *out)
{
    problem_open(out, item->refusal.problem, submission->request_id, item->refusal.detail);
    buf_put_bytes(out, item->refusal.more_members);
    if (item->line > 0) {
        buf_put_str(out, ",\"line\":");
        buf_put_decimal(out, item->line);
    }
    problem_close(out);
}

static bool is_accepted(const struct item *item)
{
    return item->result == ITEM_STORED || item->result == ITEM_UNCHANGED;
}

static void put_item(const struct submission *submission, const struct item *item, struct buf *out)
{
    if (!is_accepted(item)) {
        put_problem(submission, item, out);
        return;
    }
    buf_put_char(out, '{');
    if (item->line > 0) {
        buf_put_str(out, "\"line\":");
        buf_put_decimal(out, item->line);
        buf_put_char(out, ',');
    }
    put_success(submission, item, out);
}

void reply_put_etag(struct buf *out, uint32_t revision)
{
    buf_put_char(out, '"');
    buf_put_decimal(out, revision);
    buf_put_char(out, '"');
}

static void render_single(const struct submission *submission, struct buf *body,
                          struct rendered *ret)
{
    const struct item *item = &submission->items[0];
    put_item(submission, item, body);
    if (!is_accepted(item)) {
        ret->status = PROBLEMS[item->refusal.problem].status;
        ret->content_type = bytes_of_str("application/problem+json");
        return;
    }
    ret->status = 200;
    ret->content_type = bytes_of_str("application/json");
    if (item->action != ACTION_DELETED) {
        /* Behind the body in the same buffer, so that it lives as long. */
        size_t body_bytes = body->len;
        reply_put_etag(body, item->revision);
        ret->etag.len = body->len - body_bytes;
    }
}

static void render_batch(const struct submission *submission, struct buf *body,
                         struct rendered *ret)
{
    ret->status = 200;
    ret->content_type = bytes_of_str("application/x-ndjson");
    for (size_t i = 0; i < submission->item_count; i++) {
        if (!is_accepted(&submission->items[i]))
            ret->status = 207;
        put_item(submission, &submission->items[i], body);
        buf_put_char(body, '\n');
    }
}

void reply_render(const struct submission *submission, struct buf *body,
                  struct rendered *ret_rendered)
{
    buf_clear(body);
    *ret_rendered = (struct rendered){0};
    if (submission->is_batch)
        render_batch(submission, body, ret_rendered);
    else
        render_single(submission, body, ret_rendered);
    if (body->status != STATUS_OK) {
        ret_rendered->etag = ret_rendered->body = (struct bytes){0};
        return;
    }
    size_t body_bytes = body->len - ret_rendered->etag.len;
    ret_rendered->body = bytes_of(body->data, body_bytes);
    if (ret_rendered->etag.len > 0)
        ret_rendered->etag.data = body->data + body_bytes;
}

/*
 * Design: two reads at most (the revision, and for an update the one before it), each scanned again
 * here rather than kept parsed: a scan costs less than a copy would.
 */
#include "ingest/render.h"

#include "schemas/change.h"
#include "storage/records.h"

#include <string.h>

#define EVENT_ID_PREFIX "evt"
#define MEMBER_NAME_MAX 255

void renderer_fini(struct renderer *renderer)
{
    json_doc_fini(&renderer->current);
    json_doc_fini(&renderer->previous);
}

/* What was stored was accepted before: whatever does not scan is damage. */
static enum status scan(struct json_doc *doc, struct bytes text)
{
    struct json_fault fault;
    enum status status = json_scan(doc, text, &fault);
    return status == STATUS_OK || status_is_fault(status) ? status : STATUS_CORRUPT;
}

static enum status scan_revision(struct txn *txn, const struct uuid *record, uint32_t number,
                                 struct json_doc *doc)
{
    struct revision revision;
    enum status status = record_revision(txn, record, number, &revision);
    if (status == STATUS_NOT_FOUND)
        return STATUS_CORRUPT;
    if (status != STATUS_OK)
        return status;
    return revision.is_erased ? STATUS_NOT_FOUND : scan(doc, revision.body);
}

/* Fills the parts that come from the record. `record_id` and `member` are the body's to borrow. */
static enum status render_record(struct renderer *renderer, struct txn *txn,
                                 const struct event *event, struct event_body *body,
                                 char record_id[TYPEID_TEXT_BYTES],
                                 char member[MEMBER_NAME_MAX + 1])
{
    struct type_row type;
    enum status status = type_at(txn, event->type, &type);
    if (status != STATUS_OK)
        return status == STATUS_NOT_FOUND ? STATUS_CORRUPT : status;
    typeid_format(type.id_prefix, &event->record, record_id);
    body->record_id = record_id;

    status = scan_revision(txn, &event->record, event->revision, &renderer->current);
    if (status == STATUS_OK && event->is_update) {
        status = scan_revision(txn, &event->record, event->revision - 1, &renderer->previous);
        body->previous = &renderer->previous;
    }
    if (event->each_member.len) {
        if (event->each_member.len > MEMBER_NAME_MAX)
            return STATUS_CORRUPT;
        memcpy(member, event->each_member.data, event->each_member.len);
        member[event->each_member.len] = '\0';
        body->each_member = member;
        body->element = event->element;
    }
    return status;
}

enum status render_event(struct renderer *renderer, struct txn *txn, const struct event *event,
                         struct buf *out)
{
    char id[TYPEID_TEXT_BYTES], record_id[TYPEID_TEXT_BYTES], member[MEMBER_NAME_MAX + 1];
    char name[256];
    if (event->name.len >= sizeof name)
        return STATUS_CORRUPT;
    memcpy(name, event->name.data, event->name.len);
    name[event->name.len] = '\0';
    typeid_format(EVENT_ID_PREFIX, &event->id, id);
    struct event_body body = {.id = id,
                              .event = name,
                              .time_ms = event->time_ms,
                              .sequence = event->sequence,
                              .current = &renderer->current,
                              .element = JSON_NONE};
    enum status status = event->type ? render_record(renderer, txn, event, &body, record_id, member)
                                     : scan(&renderer->current, event->data);
    if (status != STATUS_OK)
        return status;
    size_t len_before = out->len;
    event_body_write(&body, out);
    if (out->status != STATUS_OK)
        out->len = len_before;
    return out->status;
}

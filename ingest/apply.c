/*
 * One item: find the record that it is about, check the precondition, compare with the current
 * revision, put the new one, raise its events. What can be decided without the store was decided by
 * the loop: the body is valid, its key known, its events as a first revision listed. Only for a
 * record that exists is the old content scanned here.
 *
 * Refusals are outcomes of an item and leave the store as it was; a strict batch runs in a nested
 * transaction that is given up at the first refusal.
 *
 * An answer with an Idempotency-Key is rendered and kept in the same transaction, so that it exists
 * exactly if what it says is stored; a duplicate that was waiting behind the first one finds it.
 *
 * What the answer needs is memory of the submission's. Where there is none, nothing is stored: an
 * answer that lacks events or a key would be taken for one that had none.
 */
#include "ingest/apply.h"

#include "base/must.h"
#include "ingest/precondition.h"
#include "ingest/raise.h"
#include "ingest/reply.h"
#include "storage/api_keys.h"
#include "storage/idempotency.h"
#include "storage/records.h"

#include <stdlib.h>

struct applier {
    struct subscriptions *subscriptions;
    struct json_doc previous, current;
    struct change_event *changes; /* CHANGE_EVENTS_MAX and room for `when` */
    size_t change_capacity;
    struct event *events; /* as many as changes */
    struct buf answer;
};

_Static_assert(CHANGES_CAPACITY <= EVENTS_AT_ONCE_MAX, "one revision's events are one row");

struct applier *applier_new(struct subscriptions *subscriptions)
{
    struct applier *applier = calloc(1, sizeof *applier);
    if (!applier)
        return NULL;
    applier->subscriptions = subscriptions;
    applier->change_capacity = CHANGES_CAPACITY;
    applier->changes = calloc(CHANGES_CAPACITY, sizeof *applier->changes);
    applier->events = calloc(CHANGES_CAPACITY, sizeof *applier->events);
    if (!applier->changes || !applier->events) {
        applier_free(applier);
        return NULL;
    }
    return applier;
}

void applier_free(struct applier *applier)
{
    if (!applier)
        return;
    json_doc_fini(&applier->previous);
    json_doc_fini(&applier->current);
    buf_fini(&applier->answer);
    free(applier->changes);
    free(applier->events);
    free(applier);
}

void applier_forget(struct applier *applier)
{
    subscriptions_forget(applier->subscriptions);
}

/* What one item works on. */
struct step {
    struct applier *applier;
    struct submission *submission;
    struct item *item;
    struct txn *txn;
    bool has_current;
    bool key_is_free;        /* the item's key was looked for, and nobody has it */
    struct revision current; /* views of the transaction: void after the first put */
};

/* A copy for the answer. */
static struct bytes keep(struct step *step, struct bytes view)
{
    struct bytes copy = arena_copy(step->submission->arena, view);
    if (!copy.data)
        txn_fail(step->txn, STATUS_NO_MEMORY);
    return copy;
}

static void refuse(struct item *item, enum problem problem, const char *detail)
{
    item->result = ITEM_REFUSED;
    item->refusal = (struct refusal){.problem = problem, .detail = detail};
}

static void refuse_member(struct step *step, const char *pointer_member, const char *keyword,
                          const char *detail)
{
    refuse(step->item, PROBLEM_INVALID_RECORD, "the record is not acceptable");
    struct buf members = {0};
    struct buf pointer = {0};
    json_pointer_put_name(&pointer, bytes_of_str(pointer_member));
    buf_put_str(&members, ",\"errors\":[{\"pointer\":");
    json_put_string(&members, buf_bytes(&pointer));
    buf_put_str(&members, ",\"keyword\":");
    json_put_str(&members, keyword);
    buf_put_str(&members, ",\"detail\":");
    json_put_str(&members, detail);
    buf_put_str(&members, "}]");
    if (members.status == STATUS_OK && pointer.status == STATUS_OK)
        step->item->refusal.more_members = keep(step, buf_bytes(&members));
    else
        txn_fail(step->txn, STATUS_NO_MEMORY);
    buf_fini(&members);
    buf_fini(&pointer);
}

/* Fill `current` with the live record that the item is about, if there is one. */
static enum status find_current(struct step *step)
{
    struct item *item = step->item;
    struct uuid record;
    if (item->has_id) {
        record = item->id;
    } else {
        struct bytes key = step->submission->kind == SUBMIT_POST ? item->key : item->target;
        if (key.len == 0)
            return STATUS_OK;
        enum status s = record_find_by_key(step->txn, step->submission->type->number, key, &record);
        step->key_is_free = s == STATUS_NOT_FOUND && step->submission->kind == SUBMIT_POST;
        if (s != STATUS_OK)
            return s == STATUS_NOT_FOUND ? STATUS_OK : s;
    }
    enum status s = record_current(step->txn, &record, &step->current);
    if (s == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (s != STATUS_OK)
        return s;
    step->has_current =
        step->current.type == step->submission->type->number && record_is_live(&step->current);
    return STATUS_OK;
}

/* Does the item's key belong to another record already? */
static bool key_is_taken(struct step *step)
{
    struct uuid holder;
    const struct item *item = step->item;
    if (item->key.len == 0 || step->key_is_free ||
        record_find_by_key(step->txn, step->submission->type->number, item->key, &holder) !=
            STATUS_OK)
        return false;
    return !step->has_current || uuid_compare(&holder, &step->current.record) != 0;
}

/* Equal as records: the "id" member counts for nothing, it is always the record's own. */
static bool is_same_content(const struct json_doc *a, const struct json_doc *b)
{
    return json_equal_without(a, json_root(a), b, json_root(b), "id");
}

static void keep_outcome(struct step *step, enum item_result result,
                         const struct revision *revision)
{
    struct item *item = step->item;
    item->result = result;
    item->action = revision->action;
    item->record = revision->record;
    item->revision = revision->number;
    item->received_ms = revision->received_ms;
    item->stored_key = revision->key.len > 0 ? keep(step, revision->key) : (struct bytes){0};
}

/* Raise the events of the revision; answers the first one's sequence, 0: there is none. */
static uint64_t raise_events(struct step *step, const struct revision *revision,
                             const struct change_event *changes, size_t count)
{
    struct item *item = step->item;
    struct event *events = step->applier->events;
    item->events = arena_take(step->submission->arena, count * sizeof *item->events);
    item->event_count = item->events ? count : 0;
    if (!item->events) {
        txn_fail(step->txn, STATUS_NO_MEMORY);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        events[i] = (struct event){
            .time_ms = revision->received_ms,
            .name = bytes_of_str(changes[i].event),
            .type = revision->type,
            .record = revision->record,
            .revision = revision->number,
            .is_update = changes[i].is_update,
        };
        if (changes[i].element != JSON_NONE) {
            events[i].element = changes[i].element;
            events[i].each_member = bytes_of_str(changes[i].each_member);
        }
    }
    raise_record_events(step->txn, step->applier->subscriptions, events, count);
    for (size_t i = 0; i < item->event_count; i++)
        item->events[i] = (struct item_event){events[i].id, changes[i].event};
    return count > 0 ? events->sequence : 0;
}

static void put_revision(struct step *step, struct revision *revision, struct bytes previous_key,
                         const struct change_event *changes, size_t change_count)
{
    revision->type = step->submission->type->number;
    revision->received_ms = txn_now_ms(step->txn);
    revision->api_key = step->submission->api_key;
    revision->event_count = (uint16_t)change_count;
    revision->first_event = raise_events(step, revision, changes, change_count);
    record_put(step->txn, revision, previous_key);
    keep_outcome(step, ITEM_STORED, revision);
}

static void create(struct step *step)
{
    struct item *item = step->item;
    struct revision revision = {
        .record = txn_uuid(step->txn),
        .number = 1,
        .action = ACTION_CREATED,
        .key = item->key,
        .body = item->body,
    };
    put_revision(step, &revision, (struct bytes){0}, item->created_events,
                 item->created_event_count);
}

static enum status scan_stored(struct json_doc *doc, struct bytes body)
{
    struct json_fault fault;
    enum status s = json_scan(doc, body, &fault);
    return s == STATUS_INVALID ? STATUS_CORRUPT : s;
}

/* Views of the current revision do not survive a put: what is needed later is copied. */
static enum status hold_current(struct step *step)
{
    struct arena *arena = step->submission->arena;
    step->current.key = arena_copy(arena, step->current.key);
    step->current.body = arena_copy(arena, step->current.body);
    return step->current.key.data && step->current.body.data ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status replace(struct step *step)
{
    struct applier *applier = step->applier;
    struct item *item = step->item;
    enum status s = scan_stored(&applier->previous, step->current.body);
    if (s == STATUS_OK)
        s = scan_stored(&applier->current, item->body);
    if (s != STATUS_OK)
        return s;
    if (is_same_content(&applier->previous, &applier->current)) {
        keep_outcome(step, ITEM_UNCHANGED, &step->current);
        return STATUS_OK;
    }
    size_t count = change_events(step->submission->type->type, ACTION_UPDATED, &applier->previous,
                                 &applier->current, applier->changes, applier->change_capacity);
    if (count > applier->change_capacity)
        count = applier->change_capacity;
    s = hold_current(step);
    if (s != STATUS_OK)
        return s;
    struct revision revision = {
        .record = step->current.record,
        .number = step->current.number + 1,
        .action = ACTION_UPDATED,
        .key = item->key,
        .body = item->body,
    };
    bool has_new_key = !bytes_equal(step->current.key, item->key);
    put_revision(step, &revision, has_new_key ? step->current.key : (struct bytes){0},
                 applier->changes, count);
    return STATUS_OK;
}

static enum status delete_record(struct step *step)
{
    struct applier *applier = step->applier;
    enum status s = hold_current(step);
    if (s == STATUS_OK)
        s = scan_stored(&applier->previous, step->current.body);
    if (s != STATUS_OK)
        return s;
    size_t count = change_events(step->submission->type->type, ACTION_DELETED, &applier->previous,
                                 &applier->previous, applier->changes, applier->change_capacity);
    struct revision revision = {
        .record = step->current.record,
        .number = step->current.number + 1,
        .action = ACTION_DELETED,
        .key = step->current.key,
        .body = step->current.body,
    };
    put_revision(step, &revision, step->current.key, applier->changes, count);
    return STATUS_OK;
}

static enum status decide(struct step *step)
{
    struct item *item = step->item;
    enum submission_kind kind = step->submission->kind;
    if (kind == SUBMIT_POST && item->has_id && !step->has_current) {
        refuse_member(step, "id", "id", "is not the id of an existing record of this type");
        return STATUS_OK;
    }
    if (kind != SUBMIT_POST && !step->has_current) {
        refuse(item, PROBLEM_NOT_FOUND, "there is no such record");
        return STATUS_OK;
    }
    if (!precondition_allows(&step->submission->precondition,
                             step->has_current ? step->current.number : 0)) {
        refuse(item, PROBLEM_PRECONDITION_FAILED,
               step->has_current ? "the record's current revision is not the one named"
                                 : "the record does not exist");
        return STATUS_OK;
    }
    if (kind == SUBMIT_DELETE)
        return delete_record(step);
    if (kind == SUBMIT_PATCH && step->current.number != item->base_revision) {
        item->result = ITEM_STALE;
        return STATUS_OK;
    }
    if (key_is_taken(step)) {
        refuse_member(step, step->submission->type->type->key, "key",
                      "is the record key of another record");
        return STATUS_OK;
    }
    if (!step->has_current) {
        create(step);
        return STATUS_OK;
    }
    return replace(step);
}

static void apply_item(struct applier *applier, struct submission *submission, struct item *item,
                       struct txn *txn)
{
    if (item->is_refused_before) {
        item->result = ITEM_REFUSED;
        return;
    }
    struct step step = {.applier = applier, .submission = submission, .item = item, .txn = txn};
    item->result = ITEM_PENDING;
    item->events = NULL;
    item->event_count = 0;
    enum status s = find_current(&step);
    if (s == STATUS_OK)
        s = decide(&step);
    if (s != STATUS_OK)
        txn_fail(txn, s);
}

static void apply_strict(struct applier *applier, struct submission *submission, struct txn *txn)
{
    struct txn *child = NULL;
    if (txn_nest(txn, &child) != STATUS_OK)
        return; /* the parent has the fault */
    size_t refused = 0;
    for (size_t i = 0; i < submission->item_count && txn_status(child) == STATUS_OK; i++) {
        apply_item(applier, submission, &submission->items[i], child);
        refused += submission->items[i].result == ITEM_REFUSED;
    }
    if (refused == 0 || txn_status(child) != STATUS_OK) {
        status_drop(txn_commit(child)); /* a fault sticks to the parent, whose commit tells */
        return;
    }
    txn_abort(child);
    for (size_t i = 0; i < submission->item_count; i++) {
        if (submission->items[i].result != ITEM_REFUSED)
            refuse(&submission->items[i], PROBLEM_BATCH_REFUSED,
                   "nothing was stored, because another line of this strict batch was refused");
    }
}

static bool copy_rendered(struct submission *submission, const struct rendered *from)
{
    struct arena *arena = submission->arena;
    submission->rendered = (struct rendered){
        .status = from->status,
        .content_type = arena_copy(arena, from->content_type),
        .etag = arena_copy(arena, from->etag),
        .body = arena_copy(arena, from->body),
    };
    return submission->rendered.body.data && submission->rendered.content_type.data;
}

bool replay_submission(struct submission *submission, struct txn *txn)
{
    struct idempotent_answer kept;
    enum status s = idempotency_find(txn, submission->api_key, submission->idempotency_name, &kept);
    if (s == STATUS_NOT_FOUND)
        return false;
    if (s != STATUS_OK) {
        txn_fail(txn, s);
        return true;
    }
    if (memcmp(kept.fingerprint, submission->fingerprint, SHA256_BYTES) != 0) {
        submission->answer = ANSWER_MISMATCH;
        return true;
    }
    submission->answer = ANSWER_REPLAYED;
    struct rendered answer = {kept.http_status, kept.content_type, kept.etag, kept.body};
    if (!copy_rendered(submission, &answer))
        txn_fail(txn, STATUS_NO_MEMORY);
    return true;
}

/* A refusal is not kept: mended, the request may come again with the same key. */
static bool is_worth_keeping(const struct submission *submission)
{
    for (size_t i = 0; i < submission->item_count; i++) {
        enum item_result result = submission->items[i].result;
        if (result == ITEM_STORED || result == ITEM_UNCHANGED)
            return true;
    }
    return false;
}

static void keep_answer(struct applier *applier, struct submission *submission, struct txn *txn)
{
    struct rendered rendered;
    reply_render(submission, &applier->answer, &rendered);
    if (applier->answer.status != STATUS_OK || !copy_rendered(submission, &rendered)) {
        txn_fail(txn, STATUS_NO_MEMORY);
        return;
    }
    submission->answer = ANSWER_RENDERED;
    struct idempotent_answer kept = {
        .http_status = (uint16_t)rendered.status,
        .at_ms = txn_now_ms(txn),
        .content_type = rendered.content_type,
        .etag = rendered.etag,
        .body = rendered.body,
    };
    memcpy(kept.fingerprint, submission->fingerprint, SHA256_BYTES);
    idempotency_put(txn, submission->api_key, submission->idempotency_name, &kept);
}

void apply_submission(struct applier *applier, struct submission *submission, struct txn *txn)
{
    submission->answer = ANSWER_FROM_ITEMS;
    if (submission->usage_ms > 0)
        usage_add(txn, submission->api_key, submission->usage_ms, 1);
    if (submission->has_idempotency_key && replay_submission(submission, txn))
        return;
    if (submission->is_batch && submission->is_strict) {
        apply_strict(applier, submission, txn);
    } else {
        for (size_t i = 0; i < submission->item_count && txn_status(txn) == STATUS_OK; i++)
            apply_item(applier, submission, &submission->items[i], txn);
    }
    if (submission->has_idempotency_key && is_worth_keeping(submission) &&
        txn_status(txn) == STATUS_OK)
        keep_answer(applier, submission, txn);
}

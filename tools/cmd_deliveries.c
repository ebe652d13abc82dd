/*
 * deliveries: what became of each, and doing it again.
 *
 * A retry moves deliveries that exist; a replay makes new ones from the kept events, in slices of
 * one transaction each, so that the server's writer is not held up for long.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/encode.h"
#include "storage/outbox.h"
#include "tools/commands.h"
#include "tools/find.h"
#include "tools/hint.h"

#include <stdio.h>

#define REPLAY_SLICE 500

static const struct column DELIVERY_COLUMNS[] = {
    {"id", "ID", COLUMN_TEXT},
    {"status", "STATUS", COLUMN_STATE},
    {"event", "EVENT", COLUMN_TEXT},
    {"eventId", NULL, COLUMN_TEXT},
    {"sequence", NULL, COLUMN_NUMBER},
    {"createdAt", "CREATED", COLUMN_TEXT},
    {"attempts", "ATTEMPTS", COLUMN_NUMBER},
    {"lastStatus", "LAST", COLUMN_NUMBER},
    {"lastError", "LAST ERROR", COLUMN_TEXT},
    {"endpoint", "ENDPOINT", COLUMN_TEXT},
    {"record", NULL, COLUMN_TEXT},
    {"nextAttemptAt", "NEXT ATTEMPT", COLUMN_TEXT},
    {"finishedAt", NULL, COLUMN_TEXT},
    {"reason", NULL, COLUMN_TEXT},
    {0},
};

struct delivery_walk {
    struct tool *tool;
    const struct args *args;
    int64_t left;
    struct uuid before;
    uint32_t endpoint; /* number; 0: any */
    struct err err;
};

static int complain_walk(enum status s, const struct delivery_walk *walk)
{
    return walk->err.text[0] ? complain("%s", walk->err.text) : complain_status(s, "deliveries");
}

static void put_status_number(struct output *out, const char *name, uint16_t status)
{
    if (status)
        output_number(out, name, status);
    else
        output_null(out, name);
}

/* Of the last attempt, or why there was none. */
static void put_last_error(struct txn *txn, const struct delivery *delivery, struct output *out)
{
    struct attempt attempt;
    struct bytes error = bytes_of_str(delivery->reason);
    bool has_failed =
        delivery->state != DELIVERY_DELIVERED && !error.len && delivery->attempt_count &&
        attempt_at(txn, &delivery->id, delivery->attempt_count, &attempt) == STATUS_OK;
    if (has_failed)
        error = attempt.error;
    if (error.len)
        output_text(out, "lastError", error);
    else
        output_null(out, "lastError");
}

/* `event` is NULL where its row is damaged. */
static void put_delivery(struct txn *txn, const struct delivery *delivery,
                         const struct event *event, bool is_whole, struct output *out)
{
    char id[TYPEID_TEXT_BYTES], event_id[TYPEID_TEXT_BYTES] = "", endpoint[TYPEID_TEXT_BYTES],
                                record[TYPEID_TEXT_BYTES] = "";
    typeid_format(DELIVERY_ID_PREFIX, &delivery->id, id);
    find_endpoint_id_text(txn, delivery->endpoint, endpoint);
    if (event) {
        typeid_format(EVENT_ID_PREFIX, &event->id, event_id);
        find_record_id_text(txn, event->type, &event->record, record);
    }
    output_str(out, "id", id);
    output_str(out, "status", delivery_state_text(delivery->state));
    output_text(out, "event", event ? event->name : (struct bytes){0});
    output_str(out, "eventId", event_id);
    output_number(out, "sequence", (int64_t)delivery->sequence);
    output_str(out, "endpoint", endpoint);
    output_str(out, "record", *record ? record : NULL);
    output_number(out, is_whole ? "attemptCount" : "attempts", delivery->attempt_count);
    put_status_number(out, "lastStatus", delivery->last_status);
    put_last_error(txn, delivery, out);
    output_time(out, "createdAt", delivery->created_ms);
    output_time(out, "nextAttemptAt", delivery->state == DELIVERY_PENDING ? delivery->due_ms : 0);
    output_time(out, "finishedAt", delivery->finished_ms);
    output_str(out, "reason", delivery->reason[0] ? delivery->reason : NULL);
}

/* ---- list ---- */

/* Asked before the event is looked up, which is most of the work of a row. */
static bool is_candidate(const struct delivery_walk *walk, const struct delivery *delivery)
{
    const char *state = args_text(walk->args, "status");
    if (state && strcmp(state, delivery_state_text(delivery->state)))
        return false;
    return !walk->endpoint || walk->endpoint == delivery->endpoint;
}

static bool is_of_event(const struct delivery_walk *walk, const struct event *event)
{
    const char *pattern = args_text(walk->args, "event");
    return !pattern || (event && event_pattern_matches(pattern, event->name));
}

static enum status list_step(void *context, struct txn *txn)
{
    struct delivery_walk *walk = context;
    struct delivery delivery;
    struct event found, *event = NULL;
    if (!walk->left)
        return STATUS_END;
    enum status s =
        delivery_page_next(txn, args_number(walk->args, "since", 0),
                           args_number(walk->args, "until", 0), &walk->before, &delivery);
    if (s != STATUS_OK || !is_candidate(walk, &delivery))
        return s;
    if (event_at(txn, delivery.sequence, &found) == STATUS_OK)
        event = &found;
    if (!is_of_event(walk, event))
        return STATUS_OK;
    output_item_begin(walk->tool->out);
    put_delivery(txn, &delivery, event, false, walk->tool->out);
    output_item_end(walk->tool->out);
    walk->left--;
    return STATUS_OK;
}

static enum status endpoint_step(void *context, struct txn *txn)
{
    struct delivery_walk *walk = context;
    CLEANUP(freep) struct endpoint *endpoint = malloc(sizeof(*endpoint));
    const char *id = args_text(walk->args, "endpoint");
    if (!endpoint)
        return STATUS_NO_MEMORY;
    enum status s = find_any_endpoint(txn, id, endpoint, &walk->err);
    if (s == STATUS_OK)
        walk->endpoint = endpoint->number;
    return s;
}

int deliveries_list(struct tool *tool, const struct args *args)
{
    struct delivery_walk walk = {.tool = tool, .args = args, .left = tool_limit(tool, args)};
    enum status s = STATUS_OK;
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    if (args_has(args, "endpoint"))
        s = tool_read(tool, endpoint_step, &walk);
    if (s != STATUS_OK)
        return complain_walk(s, &walk);
    output_list_begin(tool->out, NULL, DELIVERY_COLUMNS, "no such deliveries");
    s = tool_scan(tool, list_step, NULL, &walk);
    output_list_end(tool->out);
    tool_note_more(tool, args);
    return s == STATUS_OK ? DONE : complain_walk(s, &walk);
}

/* ---- show ---- */

static enum status no_such_delivery(struct err *err, const char *id)
{
    err_set(err,
            "no delivery %.100s: see `postern deliveries list` (finished ones are dropped after "
            "the server's --retain-deliveries)",
            id);
    return STATUS_NOT_FOUND;
}

static enum status find_delivery(struct txn *txn, const char *text, struct delivery *ret_delivery,
                                 struct err *err)
{
    struct uuid id;
    if (typeid_parse(bytes_of_str(text), DELIVERY_ID_PREFIX, &id) != STATUS_OK)
        return no_such_delivery(err, text);
    enum status s = delivery_find(txn, &id, ret_delivery);
    return s == STATUS_NOT_FOUND ? no_such_delivery(err, text) : s;
}

static void put_attempt(const struct attempt *attempt, struct output *out)
{
    CLEANUP(buf_fini) struct buf hash = {0};
    hex_encode(&hash, bytes_of(attempt->payload_hash, sizeof(attempt->payload_hash)));
    output_item_begin(out);
    output_number(out, "number", attempt->number);
    output_time(out, "at", attempt->at_ms);
    output_number(out, "durationMs", attempt->duration_ms);
    put_status_number(out, "status", attempt->http_status);
    if (attempt->error.len)
        output_text(out, "error", attempt->error);
    else
        output_null(out, "error");
    output_text(out, "url", attempt->url);
    output_text(out, "address", attempt->address);
    output_str(out, "payloadHash", buf_str(&hash));
    output_text(out, "requestHeaders", attempt->request_headers);
    output_text(out, "responseBody", attempt->response_body);
    output_item_end(out);
}

static enum status put_attempts(struct txn *txn, const struct delivery *delivery,
                                struct output *out)
{
    struct attempt attempt;
    output_list_begin(out, "attempts", NULL, NULL);
    for (uint16_t i = 1; i && i <= delivery->attempt_count; i++) {
        enum status s = attempt_at(txn, &delivery->id, i, &attempt);
        if (status_is_fault(s))
            return s;
        if (s == STATUS_OK)
            put_attempt(&attempt, out);
    }
    output_list_end(out);
    return STATUS_OK;
}

static enum status show_step(void *context, struct txn *txn)
{
    struct delivery_walk *walk = context;
    struct delivery delivery;
    struct event event;
    enum status s = find_delivery(txn, args_argument(walk->args, 0), &delivery, &walk->err);
    if (s != STATUS_OK)
        return s;
    bool has_event = event_at(txn, delivery.sequence, &event) == STATUS_OK;
    output_item_begin(walk->tool->out);
    put_delivery(txn, &delivery, has_event ? &event : NULL, true, walk->tool->out);
    s = put_attempts(txn, &delivery, walk->tool->out);
    output_item_end(walk->tool->out);
    return s;
}

int deliveries_show(struct tool *tool, const struct args *args)
{
    struct delivery_walk walk = {.tool = tool, .args = args};
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(tool, show_step, &walk);
    return s == STATUS_OK ? DONE : complain_walk(s, &walk);
}

/* ---- retry ---- */

/* All that are named, or none. */
static enum status retry_step(void *context, struct txn *txn)
{
    struct delivery_walk *walk = context;
    struct delivery delivery;
    for (size_t i = 0; i < walk->args->argument_count; i++) {
        const char *id = args_argument(walk->args, i);
        enum status s = find_delivery(txn, id, &delivery, &walk->err);
        if (s == STATUS_OK)
            s = outbox_retry(txn, &delivery.id);
        if (s == STATUS_DENIED)
            err_set(&walk->err, "%.100s: its endpoint was deleted", id);
        if (s != STATUS_OK)
            return s;
        tool_audit(txn, "deliveries retry", id, NULL);
    }
    return STATUS_OK;
}

static enum status list_retried_step(void *context, struct txn *txn)
{
    struct delivery_walk *walk = context;
    struct delivery delivery;
    struct event event;
    for (size_t i = 0; i < walk->args->argument_count; i++) {
        if (find_delivery(txn, args_argument(walk->args, i), &delivery, NULL) != STATUS_OK)
            continue;
        bool has_event = event_at(txn, delivery.sequence, &event) == STATUS_OK;
        output_item_begin(walk->tool->out);
        put_delivery(txn, &delivery, has_event ? &event : NULL, false, walk->tool->out);
        output_item_end(walk->tool->out);
    }
    return STATUS_OK;
}

int deliveries_retry(struct tool *tool, const struct args *args)
{
    struct delivery_walk walk = {.tool = tool, .args = args};
    if (tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    enum status s = tool_write(tool, retry_step, &walk);
    if (s != STATUS_OK)
        return complain_walk(s, &walk);
    output_list_begin(tool->out, NULL, DELIVERY_COLUMNS, NULL);
    s = tool_read(tool, list_retried_step, &walk);
    output_list_end(tool->out);
    return s == STATUS_OK ? DONE : complain_walk(s, &walk);
}

/* ---- replay ---- */

/* How far it is, and what became of the events looked at. */
struct replay_progress {
    uint64_t at; /* the next sequence */
    uint64_t made, pending, erased, delivered_before, other;
};

struct replay {
    struct tool *tool;
    const struct args *args;
    bool is_dry, is_missing_only;
    struct endpoint endpoint;
    uint64_t last, slice_end;     /* sequences */
    struct replay_progress begun; /* as of the last commit */
    struct replay_progress now;
    struct err err;
};

static enum status replay_begin_step(void *context, struct txn *txn)
{
    struct replay *replay = context;
    int64_t until_ms = args_number(replay->args, "until", 0);
    enum status s =
        find_endpoint(txn, args_text(replay->args, "endpoint"), &replay->endpoint, &replay->err);
    if (s != STATUS_OK)
        return s;
    replay->begun.at = event_sequence_since(txn, args_number(replay->args, "since", 0));
    replay->last = until_ms ? event_sequence_since(txn, until_ms) - 1 : event_last_sequence(txn);
    if (replay->endpoint.state == ENDPOINT_ENABLED || replay->is_dry)
        return STATUS_OK;
    err_set(&replay->err, "%s is disabled: `postern endpoints enable %s` first",
            args_text(replay->args, "endpoint"), args_text(replay->args, "endpoint"));
    return STATUS_DENIED;
}

static bool is_pending(struct txn *txn, uint64_t sequence, uint32_t endpoint)
{
    struct delivery delivery = {0};
    while (event_delivery_next(txn, sequence, &delivery) == STATUS_OK) {
        if (delivery.endpoint == endpoint && delivery.state == DELIVERY_PENDING)
            return true;
    }
    return false;
}

static bool is_erased(struct txn *txn, const struct event *event)
{
    struct revision revision;
    return event->type &&
           (record_revision(txn, &event->record, event->revision, &revision) != STATUS_OK ||
            revision.is_erased);
}

static bool is_replayed(struct replay *replay, struct txn *txn, const struct event *event)
{
    const char *pattern = args_text(replay->args, "event");
    bool is_asked = endpoint_wants(&replay->endpoint, event->name) &&
                    (!pattern || event_pattern_matches(pattern, event->name));
    uint64_t *reason = NULL;
    if (!is_asked)
        reason = &replay->now.other;
    else if (is_erased(txn, event))
        reason = &replay->now.erased;
    else if (is_pending(txn, event->sequence, replay->endpoint.number))
        reason = &replay->now.pending;
    else if (replay->is_missing_only &&
             outbox_has_delivered(txn, replay->endpoint.number, event->sequence))
        reason = &replay->now.delivered_before;
    if (reason)
        ++*reason;
    return !reason;
}

/* Begins where the last commit left off, however often it is run. */
static enum status replay_slice(void *context, struct txn *txn)
{
    struct replay *replay = context;
    enum status s = STATUS_OK;
    struct event event;
    replay->now = replay->begun;
    while (s == STATUS_OK && replay->now.at <= replay->slice_end) {
        s = event_at(txn, replay->now.at++, &event);
        if (s != STATUS_OK || !is_replayed(replay, txn, &event))
            continue;
        replay->now.made++;
        if (!replay->is_dry)
            (void)outbox_enqueue(txn, replay->endpoint.number, event.sequence, &event.record,
                                 txn_now_ms(txn)); /* its id is of no use here */
    }
    return s == STATUS_OK ? txn_status(txn) : s;
}

static enum status replay_write_slice(void *context, struct txn *txn)
{
    struct replay *replay = context;
    char detail[96];
    enum status s = replay_slice(replay, txn);
    uint64_t made = replay->now.made - replay->begun.made;
    if (s != STATUS_OK || !made)
        return s;
    snprintf(detail, sizeof(detail), "deliveries=%llu to sequence %llu", (unsigned long long)made,
             (unsigned long long)replay->slice_end);
    tool_audit(txn, "deliveries replay", args_text(replay->args, "endpoint"), detail);
    return STATUS_OK;
}

static enum status replay_all(struct replay *replay)
{
    enum status s = STATUS_OK;
    while (s == STATUS_OK && replay->begun.at <= replay->last) {
        uint64_t left = replay->last - replay->begun.at;
        replay->slice_end = replay->begun.at + (left < REPLAY_SLICE ? left : REPLAY_SLICE - 1);
        if (replay->is_dry)
            s = tool_read(replay->tool, replay_slice, replay);
        else
            s = tool_write(replay->tool, replay_write_slice, replay);
        if (s == STATUS_OK)
            replay->begun = replay->now;
    }
    return s;
}

static void put_replay(const struct replay *replay)
{
    struct output *out = replay->tool->out;
    output_item_begin(out);
    output_str(out, "endpoint", args_text(replay->args, "endpoint"));
    output_bool(out, "dryRun", replay->is_dry);
    output_number(out, "deliveries", (int64_t)replay->begun.made);
    output_number(out, "alreadyPending", (int64_t)replay->begun.pending);
    output_number(out, "deliveredBefore", (int64_t)replay->begun.delivered_before);
    output_number(out, "erased", (int64_t)replay->begun.erased);
    output_item_end(out);
    if (replay->is_dry)
        output_note(out, "\nNothing was done.\n");
}

int deliveries_replay(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct replay *replay = calloc(1, sizeof(*replay));
    if (!replay)
        return complain("no memory");
    *replay = (struct replay){.tool = tool, .args = args};
    replay->is_dry = args_has(args, "dry-run");
    replay->is_missing_only = args_has(args, "missing");
    if (tool_store(tool, replay->is_dry ? NEED_READ : NEED_WRITE) != DONE)
        return FAILED;
    enum status s = tool_read(tool, replay_begin_step, replay);
    if (s != STATUS_OK)
        return replay->err.text[0] ? complain("%s", replay->err.text)
                                   : complain_status(s, "deliveries replay");
    hint_events(tool, args, "event");
    s = replay_all(replay);
    put_replay(replay);
    if (s == STATUS_OK)
        return DONE;
    (void)complain("stopped at event %llu: `--since` its time goes on from there",
                   (unsigned long long)replay->begun.at);
    return complain_status(s, "deliveries replay");
}

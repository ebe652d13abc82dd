/*
 * events: the store's sequence, read backwards for lists and forwards for `tail`. A record's events
 * are found through its revisions, which name theirs, so that --record needs no search.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "ingest/render.h"
#include "tools/commands.h"
#include "tools/find.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#define TAIL_PAUSE_MS 200

static const struct column EVENT_COLUMNS[] = {
    {"sequence", "SEQUENCE", COLUMN_NUMBER},
    {"id", "ID", COLUMN_TEXT},
    {"event", "EVENT", COLUMN_TEXT},
    {"timestamp", "TIME", COLUMN_TEXT},
    {"type", NULL, COLUMN_TEXT},
    {"record", "RECORD", COLUMN_TEXT},
    {"key", "KEY", COLUMN_TEXT},
    {"revision", "REV", COLUMN_NUMBER},
    {0},
};

struct event_walk {
    struct tool *tool;
    const struct args *args;
    int64_t left;
    uint64_t at;        /* the next sequence to look at; lists go down, 0: the end */
    uint64_t first;     /* lists stop before this */
    struct uuid record; /* --record: zero: any */
    uint32_t revision;  /* --record: the revision whose events are being listed */
    struct err err;
};

/* Key of the revision that the event is about. */
static void put_key(struct txn *txn, const struct event *event, struct output *out)
{
    struct revision revision;
    if (record_revision(txn, &event->record, event->revision, &revision) == STATUS_OK &&
        revision.key.len)
        output_text(out, "key", revision.key);
    else
        output_null(out, "key");
}

static void put_members(struct txn *txn, const struct event *event, struct output *out)
{
    char id[TYPEID_TEXT_BYTES], record[TYPEID_TEXT_BYTES];
    struct type_row type;
    typeid_format(EVENT_ID_PREFIX, &event->id, id);
    output_str(out, "id", id);
    output_text(out, "event", event->name);
    output_number(out, "sequence", (int64_t)event->sequence);
    output_time(out, "timestamp", event->time_ms);
    if (!event->type)
        return;
    find_record_id_text(txn, event->type, &event->record, record);
    output_str(out, "type", type_at(txn, event->type, &type) == STATUS_OK ? type.name : NULL);
    output_str(out, "record", record);
    put_key(txn, event, out);
    output_number(out, "revision", event->revision);
}

static bool is_wanted(const struct args *args, const struct event *event)
{
    const char *pattern = args_text(args, "type");
    return !pattern || event_pattern_matches(pattern, event->name);
}

static void put_event(struct txn *txn, const struct event *event, struct output *out)
{
    output_item_begin(out);
    put_members(txn, event, out);
    output_item_end(out);
}

/* ---- list ---- */

static enum status begin_step(void *context, struct txn *txn)
{
    struct event_walk *walk = context;
    const char *record = args_text(walk->args, "record");
    int64_t since_ms = args_number(walk->args, "since", 0);
    int64_t until_ms = args_number(walk->args, "until", 0);
    struct revision current;
    struct type_row type;
    walk->first = since_ms ? event_sequence_since(txn, since_ms) : 1;
    walk->at = until_ms ? event_sequence_since(txn, until_ms) - 1 : event_last_sequence(txn);
    if (!record)
        return STATUS_OK;
    enum status s = find_record(txn, record, NULL, &current, &type, &walk->err);
    walk->record = current.record;
    walk->revision = current.number;
    return s;
}

static enum status list_step(void *context, struct txn *txn)
{
    struct event_walk *walk = context;
    struct event event;
    if (!walk->left || walk->at < walk->first || !walk->at)
        return STATUS_END;
    enum status s = event_at(txn, walk->at, &event);
    if (s != STATUS_OK)
        return s;
    walk->at--;
    if (is_wanted(walk->args, &event)) {
        put_event(txn, &event, walk->tool->out);
        walk->left--;
    }
    return STATUS_OK;
}

/* One revision's events at a step. */
static enum status record_step(void *context, struct txn *txn)
{
    struct event_walk *walk = context;
    struct revision revision;
    struct event event;
    if (!walk->left || !walk->revision)
        return STATUS_END;
    enum status s = record_revision(txn, &walk->record, walk->revision--, &revision);
    for (uint16_t i = revision.event_count; s == STATUS_OK && i > 0 && walk->left; i--) {
        s = event_at(txn, revision.first_event + i - 1, &event);
        bool is_in_time = event.sequence >= walk->first && event.sequence <= walk->at;
        if (s == STATUS_OK && is_in_time && is_wanted(walk->args, &event)) {
            put_event(txn, &event, walk->tool->out);
            walk->left--;
        }
    }
    return s;
}

static int complain_walk(enum status s, const struct event_walk *walk)
{
    return walk->err.text[0] ? complain("%s", walk->err.text) : complain_status(s, "events");
}

int events_list(struct tool *tool, const struct args *args)
{
    struct event_walk walk = {.tool = tool, .args = args, .left = tool_limit(tool, args)};
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(tool, begin_step, &walk);
    if (s != STATUS_OK)
        return complain_walk(s, &walk);
    output_list_begin(tool->out, NULL, EVENT_COLUMNS, "no such events");
    s = tool_scan(tool, args_has(args, "record") ? record_step : list_step, NULL, &walk);
    output_list_end(tool->out);
    tool_note_more(tool, args);
    return s == STATUS_OK ? DONE : complain_walk(s, &walk);
}

/* ---- show ---- */

static enum status show_step(void *context, struct txn *txn)
{
    struct event_walk *walk = context;
    CLEANUP(buf_fini) struct buf body = {0};
    CLEANUP(renderer_fini) struct renderer renderer = {0};
    struct output *out = walk->tool->out;
    struct event event;
    enum status s = find_event(txn, args_argument(walk->args, 0), &event, &walk->err);
    if (s != STATUS_OK)
        return s;
    s = render_event(&renderer, txn, &event, &body);
    if (s != STATUS_OK && s != STATUS_NOT_FOUND)
        return s;
    output_item_begin(out);
    put_members(txn, &event, out);
    if (s == STATUS_OK)
        output_json(out, "body", buf_bytes(&body));
    else
        output_null(out, "body");
    output_item_end(out);
    return STATUS_OK;
}

int events_show(struct tool *tool, const struct args *args)
{
    struct event_walk walk = {.tool = tool, .args = args};
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(tool, show_step, &walk);
    return s == STATUS_OK ? DONE : complain_walk(s, &walk);
}

/* ---- tail ---- */

static volatile sig_atomic_t is_interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    is_interrupted = 1;
}

static void put_line(struct txn *txn, const struct event *event, struct output *out)
{
    char time[TIME_TEXT_BYTES], id[TYPEID_TEXT_BYTES], record[TYPEID_TEXT_BYTES];
    time_format(event->time_ms, time);
    typeid_format(EVENT_ID_PREFIX, &event->id, id);
    find_record_id_text(txn, event->type, &event->record, record);
    output_note(out, "%s  %6llu  %s  %-24.*s  %s\n", time, (unsigned long long)event->sequence, id,
                BYTES_ARG(event->name), record);
}

static enum status tail_begin_step(void *context, struct txn *txn)
{
    struct event_walk *walk = context;
    int64_t since_ms = args_number(walk->args, "since", 0);
    walk->at = since_ms ? event_sequence_since(txn, since_ms) : event_last_sequence(txn) + 1;
    return STATUS_OK;
}

static enum status tail_step(void *context, struct txn *txn)
{
    struct event_walk *walk = context;
    struct event event;
    if (!walk->left || walk->at > event_last_sequence(txn))
        return STATUS_END;
    enum status s = event_at(txn, walk->at, &event);
    if (s != STATUS_OK)
        return s;
    walk->at++;
    if (!is_wanted(walk->args, &event))
        return STATUS_OK;
    walk->left--;
    if (output_format_of(walk->tool->out) == OUTPUT_TABLE)
        put_line(txn, &event, walk->tool->out);
    else
        put_event(txn, &event, walk->tool->out);
    return STATUS_OK;
}

/* Endless, so json is one object a line here too. */
int events_tail(struct tool *tool, const struct args *args)
{
    struct event_walk walk = {
        .tool = tool, .args = args, .left = args_number(args, "count", INT64_MAX)};
    bool has_list = output_format_of(tool->out) == OUTPUT_CSV;
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    enum status s = tool_read(tool, tail_begin_step, &walk);
    if (has_list)
        output_list_begin(tool->out, NULL, EVENT_COLUMNS, NULL);
    while (s == STATUS_OK && walk.left && !is_interrupted) {
        s = tool_scan(tool, tail_step, NULL, &walk);
        struct timespec pause = {.tv_nsec = TAIL_PAUSE_MS * 1000000L};
        if (walk.left && s == STATUS_OK)
            nanosleep(&pause, NULL);
    }
    if (has_list)
        output_list_end(tool->out);
    return s == STATUS_OK ? DONE : complain_walk(s, &walk);
}

/*
 * status: what an operator looks at first. Everything comes from counters the store keeps, from
 * short walks over keys and endpoints, and from bisecting the events by time; nothing here counts
 * records.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "ingest/run_file.h"
#include "storage/api_keys.h"
#include "storage/outbox.h"
#include "storage/records.h"
#include "tools/commands.h"
#include "tools/find.h"
#include "tools/server.h"

#include <stdio.h>
#include <sys/statvfs.h>

#define FAILING_MAX 100
#define FAILING_LOOKS 16 /* at an endpoint's deliveries, for its last error */

struct failing {
    char id[TYPEID_TEXT_BYTES];
    char state[16];
    char url[ENDPOINT_URL_MAX + 1];
    char reason[128];
    char last_error[256];
    int64_t since_ms;
    uint64_t pending;
};

struct status_facts {
    struct tool *tool;
    int64_t now_ms;
    uint64_t records, accepted, sequence, events_minute, events_hour, rejections;
    uint64_t pending, delivered, failed, attempts;
    uint64_t requests_minute, requests_hour;
    uint64_t keys, keys_enabled, endpoints, endpoints_enabled, failing_count;
    struct delivery oldest;
    bool has_oldest;
    struct store_stat stat;
    struct failing failing[FAILING_MAX];
    struct api_key key;
    struct endpoint endpoint;
};

static void read_counters(struct status_facts *facts, struct txn *txn)
{
    facts->accepted = counter_get(txn, COUNTER_ACCEPTED);
    facts->rejections = counter_get(txn, COUNTER_REJECTIONS);
    facts->pending = counter_get(txn, COUNTER_DELIVERIES_PENDING);
    facts->delivered = counter_get(txn, COUNTER_DELIVERIES_DELIVERED);
    facts->failed = counter_get(txn, COUNTER_DELIVERIES_FAILED);
    facts->attempts = counter_get(txn, COUNTER_ATTEMPTS);
    facts->sequence = event_last_sequence(txn);
    facts->events_minute =
        facts->sequence + 1 - event_sequence_since(txn, facts->now_ms - MINUTE_MS);
    facts->events_hour = facts->sequence + 1 - event_sequence_since(txn, facts->now_ms - HOUR_MS);
}

static void add_usage(void *context, int64_t at_ms, uint32_t count)
{
    struct status_facts *facts = context;
    facts->requests_hour += count;
    if (at_ms > facts->now_ms - MINUTE_MS)
        facts->requests_minute += count;
}

static enum status read_keys(struct status_facts *facts, struct txn *txn)
{
    uint32_t number = 0;
    enum status s;
    while ((s = api_key_next(txn, &number, &facts->key)) == STATUS_OK) {
        facts->keys++;
        facts->keys_enabled += facts->key.is_enabled;
        s = usage_each(txn, number, facts->now_ms - HOUR_MS, add_usage, facts);
        if (s != STATUS_OK)
            return s;
    }
    return s == STATUS_END ? STATUS_OK : s;
}

/* Of what waits longest for its turn and was tried. */
static void read_last_error(struct txn *txn, uint32_t endpoint, char *out, size_t out_bytes)
{
    struct delivery delivery, after = {0};
    struct attempt attempt;
    for (int i = 0; i < FAILING_LOOKS; i++) {
        if (outbox_due_next(txn, endpoint, INT64_MAX, &after, &delivery) != STATUS_OK)
            return;
        if (!delivery.attempt_count ||
            attempt_at(txn, &delivery.id, delivery.attempt_count, &attempt) != STATUS_OK)
            continue;
        if (attempt.error.len)
            snprintf(out, out_bytes, "%.*s", BYTES_ARG(attempt.error));
        else
            snprintf(out, out_bytes, "HTTP status %u", attempt.http_status);
        return;
    }
}

static void note_failing(struct status_facts *facts, struct txn *txn)
{
    const struct endpoint *endpoint = &facts->endpoint;
    if (facts->failing_count++ >= FAILING_MAX)
        return;
    struct failing *failing = &facts->failing[facts->failing_count - 1];
    typeid_format(ENDPOINT_ID_PREFIX, &endpoint->id, failing->id);
    snprintf(failing->state, sizeof(failing->state), "%s",
             endpoint->state == ENDPOINT_ENABLED ? "failing" : "disabled");
    snprintf(failing->url, sizeof(failing->url), "%s", endpoint->url);
    snprintf(failing->reason, sizeof(failing->reason), "%s", endpoint->disabled_reason);
    failing->since_ms = endpoint->failing_since_ms;
    failing->pending = outbox_pending_count(txn, endpoint->number);
    read_last_error(txn, endpoint->number, failing->last_error, sizeof(failing->last_error));
}

static enum status read_endpoints(struct status_facts *facts, struct txn *txn)
{
    uint32_t number = 0;
    enum status s;
    while ((s = endpoint_next(txn, &number, &facts->endpoint)) == STATUS_OK) {
        if (facts->endpoint.state == ENDPOINT_DELETED)
            continue;
        facts->endpoints++;
        facts->endpoints_enabled += facts->endpoint.state == ENDPOINT_ENABLED;
        if (facts->endpoint.state != ENDPOINT_ENABLED || facts->endpoint.failing_since_ms)
            note_failing(facts, txn);
    }
    return s == STATUS_END ? STATUS_OK : s;
}

static void read_records(struct status_facts *facts, struct txn *txn)
{
    struct type_row type;
    for (uint16_t number = 1; type_at(txn, number, &type) == STATUS_OK; number++)
        facts->records += record_count(txn, number);
}

static enum status facts_step(void *context, struct txn *txn)
{
    struct status_facts *facts = context;
    read_counters(facts, txn);
    read_records(facts, txn);
    enum status s = read_keys(facts, txn);
    if (s == STATUS_OK)
        s = read_endpoints(facts, txn);
    if (s != STATUS_OK)
        return s;
    s = outbox_oldest_pending(txn, &facts->oldest);
    facts->has_oldest = s == STATUS_OK;
    if (status_is_fault(s))
        return s;
    return store_stat(txn, &facts->stat);
}

/* ---- printing ---- */

static void put_urls(struct output *out, const char *name, const struct server_urls *urls)
{
    output_texts(out, name, urls->texts[0], sizeof(urls->texts[0]), urls->count);
}

static void put_server(struct tool *tool)
{
    struct server server;
    struct output *out = tool->out;
    server_read(tool->data, &server);
    /* The lock is held from start to end; in between, what counts is whether it answers. */
    struct settings settings = {.data = (char *)(uintptr_t)tool->data};
    bool is_answering =
        server.is_running && server.pid && run_file_health(&settings, NULL) == STATUS_OK;
    output_str(out, "server",
               is_answering        ? "running"
               : server.is_running ? "not ready"
               : server.pid        ? "stopped (not cleanly)"
                                   : "stopped");
    if (!server.pid)
        return;
    output_str(out, "version", server.version);
    output_number(out, "pid", server.pid);
    put_urls(out, "listen", &server.listen);
    if (server.cleartext.count)
        put_urls(out, "cleartext", &server.cleartext);
    output_str(out, "admin", server.admin);
}

static void put_bytes(struct output *out, const char *name, uint64_t bytes)
{
    static const char *const UNITS[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char text[32];
    double value = (double)bytes;
    size_t unit = 0;
    if (output_format_of(out) != OUTPUT_TABLE) {
        output_number(out, name, (int64_t)bytes);
        return;
    }
    for (; value >= 1024 && unit + 1 < sizeof(UNITS) / sizeof(*UNITS); unit++)
        value /= 1024;
    snprintf(text, sizeof(text), unit ? "%.1f %s" : "%.0f %s", value, UNITS[unit]);
    output_str(out, name, text);
}

static void put_disk(struct tool *tool, const struct status_facts *facts)
{
    struct statvfs disk;
    put_bytes(tool->out, "storeBytes", facts->stat.used_bytes + facts->stat.free_bytes);
    put_bytes(tool->out, "storeReusableBytes", facts->stat.free_bytes);
    if (statvfs(tool->data, &disk) == 0)
        put_bytes(tool->out, "diskFreeBytes", (uint64_t)disk.f_bavail * disk.f_frsize);
}

static void put_oldest(struct tool *tool, const struct status_facts *facts)
{
    char id[TYPEID_TEXT_BYTES];
    if (!facts->has_oldest) {
        output_null(tool->out, "oldestPending");
        output_null(tool->out, "oldestPendingSince");
        output_null(tool->out, "oldestPendingSeconds");
        return;
    }
    typeid_format(DELIVERY_ID_PREFIX, &facts->oldest.id, id);
    output_str(tool->out, "oldestPending", id);
    int64_t since_ms = uuid_time_ms(&facts->oldest.place);
    output_time(tool->out, "oldestPendingSince", since_ms);
    output_number(tool->out, "oldestPendingSeconds",
                  since_ms < facts->now_ms ? (facts->now_ms - since_ms) / SECOND_MS : 0);
}

static const struct column FAILING_COLUMNS[] = {
    {"id", "ENDPOINT", COLUMN_TEXT},          {"state", "STATE", COLUMN_STATE},
    {"pending", "PENDING", COLUMN_NUMBER},    {"failingSince", "FAILING SINCE", COLUMN_TEXT},
    {"lastError", "LAST ERROR", COLUMN_TEXT}, {"url", "URL", COLUMN_TEXT},
    {"reason", "REASON", COLUMN_TEXT},        {0},
};

static void put_failing(struct output *out, const struct status_facts *facts)
{
    output_list_begin(out, "failingEndpoints", FAILING_COLUMNS, NULL);
    for (size_t i = 0; i < facts->failing_count && i < FAILING_MAX; i++) {
        const struct failing *failing = &facts->failing[i];
        output_item_begin(out);
        output_str(out, "id", failing->id);
        output_str(out, "state", failing->state);
        output_number(out, "pending", (int64_t)failing->pending);
        output_time(out, "failingSince", failing->since_ms);
        output_str(out, "lastError", failing->last_error[0] ? failing->last_error : NULL);
        output_str(out, "url", failing->url);
        output_str(out, "reason", failing->reason[0] ? failing->reason : NULL);
        output_item_end(out);
    }
    output_list_end(out);
}

static void put_facts(struct tool *tool, const struct status_facts *facts)
{
    struct output *out = tool->out;
    output_item_begin(out);
    put_server(tool);
    output_number(out, "records", (int64_t)facts->records);
    output_number(out, "accepted", (int64_t)facts->accepted);
    output_number(out, "rejections", (int64_t)facts->rejections);
    output_number(out, "requestsLastMinute", (int64_t)facts->requests_minute);
    output_number(out, "requestsLastHour", (int64_t)facts->requests_hour);
    output_number(out, "events", (int64_t)facts->sequence);
    output_number(out, "eventsLastMinute", (int64_t)facts->events_minute);
    output_number(out, "eventsLastHour", (int64_t)facts->events_hour);
    output_number(out, "deliveriesPending", (int64_t)facts->pending);
    output_number(out, "deliveriesDelivered", (int64_t)facts->delivered);
    output_number(out, "deliveriesFailed", (int64_t)facts->failed);
    output_number(out, "attempts", (int64_t)facts->attempts);
    put_oldest(tool, facts);
    output_number(out, "keys", (int64_t)facts->keys);
    output_number(out, "keysEnabled", (int64_t)facts->keys_enabled);
    output_number(out, "endpoints", (int64_t)facts->endpoints);
    output_number(out, "endpointsEnabled", (int64_t)facts->endpoints_enabled);
    output_number(out, "endpointsFailing", (int64_t)facts->failing_count);
    put_disk(tool, facts);
    if (facts->failing_count || output_format_of(out) != OUTPUT_TABLE)
        put_failing(out, facts);
    output_item_end(out);
}

int status_command(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct status_facts *facts = calloc(1, sizeof(*facts));
    (void)args;
    if (!facts)
        return complain("no memory");
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    facts->tool = tool;
    facts->now_ms = tool->now_ms;
    enum status s = tool_read(tool, facts_step, facts);
    if (s != STATUS_OK)
        return complain_status(s, "status");
    put_facts(tool, facts);
    return DONE;
}

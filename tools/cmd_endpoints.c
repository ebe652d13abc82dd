/*
 * endpoints: as with keys, every change is one transaction: find, change, put, audit. Secrets are
 * sealed under the master key before they reach the store; a new one is printed once.
 *
 * Which URLs may be delivered to is the server's decision. The tool asks the same guard with what
 * the server last wrote to DIR/posternd.json, the environment and its own flags, so that a URL that
 * would never be delivered to is refused at once and with the reason.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/digest.h"
#include "ingest/deliver/address_guard.h"
#include "ingest/deliver/dialects.h"
#include "ingest/deliver/signature.h"
#include "ingest/raise.h"
#include "schemas/json_write.h"
#include "storage/outbox.h"
#include "tools/commands.h"
#include "tools/find.h"
#include "tools/hint.h"
#include "tools/server.h"

#include <stdio.h>

#define RETRY_MAX_MS (30 * DAY_MS)
#define RETRY_TEXT_BYTES 24
#define HASTEN_ROWS 1000 /* in one transaction */

static const struct column ENDPOINT_COLUMNS[] = {
    {"id", "ID", COLUMN_TEXT},
    {"state", "STATE", COLUMN_STATE},
    {"url", "URL", COLUMN_TEXT},
    {"events", "EVENTS", COLUMN_TEXT},
    {"enabled", NULL, COLUMN_TEXT},
    {"description", NULL, COLUMN_TEXT},
    {"createdAt", NULL, COLUMN_TEXT},
    {"lastSuccessAt", "LAST SUCCESS", COLUMN_TEXT},
    {"failingSince", "FAILING SINCE", COLUMN_TEXT},
    {"disabledReason", NULL, COLUMN_TEXT},
    {0},
};

static void output_schedule(struct output *out, const struct endpoint *endpoint)
{
    char texts[ENDPOINT_RETRIES_MAX][RETRY_TEXT_BYTES];
    if (!endpoint->retry_count) {
        output_null(out, "retrySchedule");
        return;
    }
    for (size_t i = 0; i < endpoint->retry_count; i++)
        duration_format(endpoint->retry_s[i] * SECOND_MS, texts[i]);
    output_texts(out, "retrySchedule", texts[0], sizeof(texts[0]), endpoint->retry_count);
}

static void output_optional_number(struct output *out, const char *name, int64_t number)
{
    if (number)
        output_number(out, name, number);
    else
        output_null(out, name);
}

/* Their values may be credentials, so only the names are shown. */
static void output_headers(struct output *out, const struct endpoint *endpoint)
{
    if (endpoint->header_count)
        output_texts(out, "headers", endpoint->headers[0].name, sizeof(endpoint->headers[0]),
                     endpoint->header_count);
}

static void output_patterns(struct output *out, const struct endpoint *endpoint)
{
    if (endpoint->pattern_count)
        output_texts(out, "events", endpoint->patterns[0], sizeof(endpoint->patterns[0]),
                     endpoint->pattern_count);
    else
        output_texts(out, "events", "*", 2, 1);
}

static const char *state_of(const struct endpoint *endpoint)
{
    if (endpoint->state != ENDPOINT_ENABLED)
        return endpoint_state_text(endpoint->state);
    return endpoint->failing_since_ms ? "failing" : "enabled";
}

/* `secret` is one that was just made, else NULL. */
static void output_endpoint(struct output *out, const struct endpoint *endpoint, const char *secret,
                            unsigned slot)
{
    char id[TYPEID_TEXT_BYTES];
    typeid_format(ENDPOINT_ID_PREFIX, &endpoint->id, id);
    output_item_begin(out);
    output_str(out, "id", id);
    if (secret) {
        output_str(out, "secret", secret);
        output_number(out, "slot", slot + 1);
    }
    output_str(out, "url", endpoint->url);
    output_str(out, "state", state_of(endpoint));
    if (output_format_of(out) != OUTPUT_TABLE)
        output_bool(out, "enabled", endpoint->state == ENDPOINT_ENABLED);
    output_patterns(out, endpoint);
    output_str(out, "description", endpoint->description);
    output_time(out, "createdAt", endpoint->created_ms);
    output_time(out, "lastSuccessAt", endpoint->last_success_ms);
    output_time(out, "failingSince", endpoint->failing_since_ms);
    output_str(out, "disabledReason",
               endpoint->disabled_reason[0] ? endpoint->disabled_reason : NULL);
    output_number(out, "secrets", endpoint->secret_count);
    output_schedule(out, endpoint);
    output_optional_number(out, "timeoutMs", endpoint->timeout_ms);
    output_optional_number(out, "window", endpoint->window_max);
    output_optional_number(out, "ratePerSecond", endpoint->rate_per_s);
    output_str(out, "signature", endpoint->signature[0] ? endpoint->signature : "standard");
    output_headers(out, endpoint);
    output_item_end(out);
}

/* ---- changes ---- */

struct endpoint_change {
    struct tool *tool;
    const struct args *args;
    const char *act;
    bool is_new;
    struct endpoint endpoint; /* in: what was read from the options; out: what was stored */
    char secret[WEBHOOK_SECRET_CHARS + 1];
    unsigned slot;
    struct err err;
    /* Change `endpoint` within the transaction. An outcome other than STATUS_OK fills `err`. */
    enum status (*change)(struct endpoint_change *change, struct txn *txn);
};

static enum status set_schedule(struct endpoint *endpoint, const char *text, struct err *err)
{
    endpoint->retry_count = 0;
    if (!strcmp(text, "default"))
        return STATUS_OK;
    for (;;) {
        size_t len = strcspn(text, ",");
        int64_t wait_ms;
        if (endpoint->retry_count == ENDPOINT_RETRIES_MAX) {
            err_set(err, "--retry-schedule: at most %d waits", ENDPOINT_RETRIES_MAX);
            return STATUS_INVALID;
        }
        if (duration_parse(bytes_of(text, len), &wait_ms) != STATUS_OK || wait_ms < SECOND_MS ||
            wait_ms > RETRY_MAX_MS || wait_ms % SECOND_MS) {
            err_set(err,
                    "--retry-schedule: \"%.*s\" is not a wait from 1s to 30d; a schedule "
                    "looks like 1m,5m,30m,2h",
                    (int)(len < 60 ? len : 60), text);
            return STATUS_INVALID;
        }
        endpoint->retry_s[endpoint->retry_count++] = (uint32_t)(wait_ms / SECOND_MS);
        if (!text[len])
            return STATUS_OK;
        text += len + 1;
    }
}

static enum status add_header(struct endpoint *endpoint, const char *text, struct err *err)
{
    const char *colon = strchr(text, ':');
    if (!colon || endpoint->header_count == ENDPOINT_HEADERS_MAX) {
        err_set(err,
                colon ? "--header: at most %d of them"
                      : "--header: NAME:VALUE is wanted, one of "
                        "at most %d",
                ENDPOINT_HEADERS_MAX);
        return STATUS_INVALID;
    }
    char *name = endpoint->headers[endpoint->header_count].name;
    char *value = endpoint->headers[endpoint->header_count].value;
    size_t name_len = (size_t)(colon - text);
    const char *content = colon + 1 + strspn(colon + 1, " \t");
    if (name_len >= sizeof(endpoint->headers[0].name) ||
        strlen(content) >= sizeof(endpoint->headers[0].value)) {
        err_set(err, "--header: a name of up to 63 and a value of up to 511 bytes are kept");
        return STATUS_INVALID;
    }
    snprintf(name, sizeof(endpoint->headers[0].name), "%.*s", (int)name_len, text);
    snprintf(value, sizeof(endpoint->headers[0].value), "%s", content);
    endpoint->header_count++;
    enum status s = delivery_header_check(name, value, err);
    if (s != STATUS_OK)
        err_wrap(err, "--header");
    return s;
}

static enum status set_headers(struct endpoint *endpoint, const struct args *args, struct err *err)
{
    size_t at = 0;
    const struct value *value;
    if (args_has(args, "header") || args_has(args, "no-headers"))
        endpoint->header_count = 0;
    while ((value = args_each(args, "header", &at))) {
        enum status s = add_header(endpoint, value->text, err);
        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

static enum status set_patterns(struct endpoint *endpoint, const struct args *args, struct err *err)
{
    size_t at = 0;
    const struct value *value;
    if (args_has(args, "event"))
        endpoint->pattern_count = 0;
    while ((value = args_each(args, "event", &at))) {
        if (endpoint->pattern_count == ENDPOINT_PATTERNS_MAX ||
            strlen(value->text) > ENDPOINT_PATTERN_MAX) {
            err_set(err, "--event: at most %d patterns of %d bytes", ENDPOINT_PATTERNS_MAX,
                    ENDPOINT_PATTERN_MAX);
            return STATUS_INVALID;
        }
        snprintf(endpoint->patterns[endpoint->pattern_count++], sizeof(endpoint->patterns[0]), "%s",
                 value->text);
    }
    return STATUS_OK;
}

static void refuse_dialect(const char *name, struct err *err)
{
    CLEANUP(buf_fini) struct buf names = {0};
    for (size_t i = 0; dialect_row(i); i++)
        buf_printf(&names, "%s%s", i ? ", " : "", dialect_row(i)->name);
    err_set(err, "--signature: \"%.60s\" is none of %s", name, buf_str(&names));
}

static enum status set_dialect(struct endpoint *endpoint, const char *name, struct err *err)
{
    struct dialect dialect;
    enum status s = dialect_resolve(name, "", "", "", &dialect, NULL);
    if (s == STATUS_OK)
        snprintf(endpoint->signature, sizeof(endpoint->signature), "%s",
                 strcmp(name, "standard") ? name : "");
    else
        refuse_dialect(name, err);
    return s;
}

/* Only what the options name changes. */
static enum status set_from_options(struct endpoint *endpoint, const struct args *args,
                                    struct err *err)
{
    enum status s = set_patterns(endpoint, args, err);
    if (s == STATUS_OK)
        s = set_headers(endpoint, args, err);
    if (s == STATUS_OK && args_has(args, "retry-schedule"))
        s = set_schedule(endpoint, args_text(args, "retry-schedule"), err);
    if (s == STATUS_OK && args_has(args, "signature"))
        s = set_dialect(endpoint, args_text(args, "signature"), err);
    if (args_has(args, "url"))
        snprintf(endpoint->url, sizeof(endpoint->url), "%s", args_text(args, "url"));
    if (args_has(args, "description"))
        snprintf(endpoint->description, sizeof(endpoint->description), "%s",
                 args_text(args, "description"));
    endpoint->timeout_ms = (uint32_t)args_number(args, "timeout", endpoint->timeout_ms);
    endpoint->window_max = (uint16_t)args_number(args, "window", endpoint->window_max);
    endpoint->rate_per_s = (uint32_t)args_number(args, "rate", endpoint->rate_per_s);
    return s;
}

static int check_options(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct endpoint *scratch = calloc(1, sizeof(*scratch));
    struct err err = {0};
    if (!scratch)
        return complain("no memory");
    if (set_from_options(scratch, args, &err) != STATUS_OK)
        return complain_usage(args, "%s", err.text);
    return args_has(args, "url") ? server_check_url(tool, args, args_text(args, "url")) : DONE;
}

static void put_endpoint_detail(const struct endpoint *endpoint, struct buf *out)
{
    buf_printf(out, "url=%s events=", endpoint->url);
    for (size_t i = 0; i < endpoint->pattern_count; i++)
        buf_printf(out, "%s%s", i ? "," : "", endpoint->patterns[i]);
    buf_put_str(out, endpoint->pattern_count ? "" : "*");
}

static void audit_endpoint(struct txn *txn, const char *act, const struct endpoint *endpoint)
{
    CLEANUP(buf_fini) struct buf detail = {0};
    char id[TYPEID_TEXT_BYTES];
    typeid_format(ENDPOINT_ID_PREFIX, &endpoint->id, id);
    put_endpoint_detail(endpoint, &detail);
    tool_audit(txn, act, id, buf_str(&detail));
}

static enum status change_step(void *context, struct txn *txn)
{
    struct endpoint_change *change = context;
    enum status s = STATUS_OK;
    memset(&change->endpoint, 0, sizeof(change->endpoint));
    if (change->is_new)
        change->endpoint.id = txn_uuid(txn);
    else
        s = find_endpoint(txn, args_argument(change->args, 0), &change->endpoint, &change->err);
    if (s == STATUS_OK)
        s = change->change(change, txn);
    if (s != STATUS_OK)
        return s;
    endpoint_put(txn, &change->endpoint);
    audit_endpoint(txn, change->act, &change->endpoint);
    return STATUS_OK;
}

static int complain_outcome(enum status s, const struct err *err, const char *doing)
{
    return err->text[0] ? complain("%s", err->text) : complain_status(s, doing);
}

/* Runs a change and prints the endpoint, and the secret where one was made. */
static int run_change(struct tool *tool, const struct args *args, const char *act,
                      enum status (*set)(struct endpoint_change *, struct txn *), bool has_secret)
{
    CLEANUP(freep) struct endpoint_change *change = calloc(1, sizeof(*change));
    if (!change)
        return complain("no memory");
    *change = (struct endpoint_change){.tool = tool, .args = args, .act = act, .change = set};
    change->is_new = !args_argument(args, 0);
    if (tool_store(tool, change->is_new ? NEED_CREATE : NEED_WRITE) != DONE)
        return FAILED;
    if (tool_vault(tool, args) != DONE)
        return FAILED;
    if (has_secret)
        webhook_secret_generate(change->secret);
    enum status s = tool_write(tool, change_step, change);
    if (s != STATUS_OK)
        return complain_outcome(s, &change->err, act);
    output_endpoint(tool->out, &change->endpoint, has_secret ? change->secret : NULL, change->slot);
    secret_wipe(change->secret, sizeof(change->secret));
    return DONE;
}

static enum status set_new(struct endpoint_change *change, struct txn *txn)
{
    struct endpoint *endpoint = &change->endpoint;
    (void)txn;
    endpoint->state = ENDPOINT_ENABLED;
    endpoint->secret_count = 1;
    enum status s = set_from_options(endpoint, change->args, &change->err);
    return s != STATUS_OK ? s
                          : endpoint_secret_seal(change->tool->vault, endpoint, 0,
                                                 bytes_of_str(change->secret));
}

int endpoints_create(struct tool *tool, const struct args *args)
{
    int result = check_options(tool, args);
    if (result == DONE)
        result = run_change(tool, args, "endpoints create", set_new, true);
    if (result == DONE)
        hint_events(tool, args, "event");
    if (result == DONE)
        output_note(tool->out,
                    "\nThe secret is shown this once; the receiver verifies signatures with it.\n");
    return result;
}

static enum status set_updated(struct endpoint_change *change, struct txn *txn)
{
    (void)txn;
    return set_from_options(&change->endpoint, change->args, &change->err);
}

int endpoints_update(struct tool *tool, const struct args *args)
{
    size_t global = 0;
    for (const struct option *o = GLOBAL_OPTIONS; o->name; o++)
        global += args_count(args, o->name);
    if (args->value_count == global)
        return complain_usage(args, "nothing to change: name at least one option");
    int result = check_options(tool, args);
    if (result == DONE)
        result = run_change(tool, args, "endpoints update", set_updated, false);
    if (result == DONE)
        hint_events(tool, args, "event");
    return result;
}

static enum status set_enabled(struct endpoint_change *change, struct txn *txn)
{
    (void)txn;
    change->endpoint.state = ENDPOINT_ENABLED;
    change->endpoint.disabled_reason[0] = 0;
    change->endpoint.failing_since_ms = 0; /* or it would be disabled again at its next failure */
    return STATUS_OK;
}

struct hastening {
    struct endpoint endpoint;
    bool has_more;
    struct err err;
    const struct args *args;
};

static enum status hasten_step(void *context, struct txn *txn)
{
    struct hastening *hastening = context;
    enum status s = find_endpoint(txn, args_argument(hastening->args, 0), &hastening->endpoint,
                                  &hastening->err);
    hastening->has_more =
        s == STATUS_OK && outbox_hasten_endpoint(txn, hastening->endpoint.number, HASTEN_ROWS);
    return s;
}

/* What waits for a later attempt goes out now. Once all of it is due, so that a server which sees
 * the endpoint enabled sees that as well; a Retry-After may have set it a day ahead. */
int endpoints_enable(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct hastening *hastening = calloc(1, sizeof(*hastening));
    if (!hastening)
        return complain("no memory");
    hastening->args = args;
    if (tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    enum status s;
    do
        s = tool_write(tool, hasten_step, hastening);
    while (s == STATUS_OK && hastening->has_more);
    if (s != STATUS_OK)
        return complain_outcome(s, &hastening->err, "endpoints enable");
    return run_change(tool, args, "endpoints enable", set_enabled, false);
}

static enum status set_disabled(struct endpoint_change *change, struct txn *txn)
{
    (void)txn;
    change->endpoint.state = ENDPOINT_DISABLED;
    snprintf(change->endpoint.disabled_reason, sizeof(change->endpoint.disabled_reason),
             "by the operator");
    return STATUS_OK;
}

int endpoints_disable(struct tool *tool, const struct args *args)
{
    return run_change(tool, args, "endpoints disable", set_disabled, false);
}

static unsigned slot_of(const struct args *args)
{
    const char *slot = args_text(args, "slot");
    return slot && !strcmp(slot, "2");
}

static enum status set_secret(struct endpoint_change *change, struct txn *txn)
{
    (void)txn;
    change->slot = slot_of(change->args);
    if (change->slot >= change->endpoint.secret_count)
        change->endpoint.secret_count = (uint8_t)(change->slot + 1);
    return endpoint_secret_seal(change->tool->vault, &change->endpoint, change->slot,
                                bytes_of_str(change->secret));
}

int endpoints_rotate_secret(struct tool *tool, const struct args *args)
{
    int result = run_change(tool, args, "endpoints rotate-secret", set_secret, true);
    if (result == DONE)
        output_note(tool->out, "\nThe secret is shown this once. %s\n",
                    slot_of(args) ? "Deliveries are signed with both from now on."
                                  : "X-Webhook-Signature is made with it from now on.");
    return result;
}

static enum status set_dropped(struct endpoint_change *change, struct txn *txn)
{
    CLEANUP(buf_fini) struct buf kept = {0};
    struct endpoint *endpoint = &change->endpoint;
    unsigned keep = !slot_of(change->args);
    (void)txn;
    if (endpoint->secret_count < 2) {
        err_set(&change->err, "the endpoint has one secret only; `postern endpoints rotate-secret` "
                              "replaces it");
        return STATUS_DENIED;
    }
    enum status s = endpoint_secret_unseal(change->tool->vault, endpoint, keep, &kept);
    if (s != STATUS_OK) {
        err_set(&change->err, "the other secret cannot be unsealed with this master key: %s",
                status_text(s));
        return s;
    }
    memset(endpoint->secrets, 0, sizeof(endpoint->secrets));
    endpoint->secret_count = 1;
    s = endpoint_secret_seal(change->tool->vault, endpoint, 0, buf_bytes(&kept));
    secret_wipe(kept.data, kept.len);
    return s;
}

int endpoints_drop_secret(struct tool *tool, const struct args *args)
{
    return run_change(tool, args, "endpoints drop-secret", set_dropped, false);
}

/* ---- delete, list, show ---- */

struct endpoint_visit {
    struct tool *tool;
    const struct args *args;
    uint32_t number;
    struct endpoint endpoint;
    struct event event;
    struct uuid delivery;
    struct err err;
};

static struct endpoint_visit *visit_new(struct tool *tool, const struct args *args)
{
    struct endpoint_visit *visit = calloc(1, sizeof(*visit));
    if (visit) {
        visit->tool = tool;
        visit->args = args;
    } else {
        (void)complain("no memory");
    }
    return visit;
}

static enum status delete_step(void *context, struct txn *txn)
{
    struct endpoint_visit *visit = context;
    enum status s =
        find_endpoint(txn, args_argument(visit->args, 0), &visit->endpoint, &visit->err);
    if (s != STATUS_OK)
        return s;
    audit_endpoint(txn, "endpoints delete", &visit->endpoint);
    return endpoint_delete(txn, &visit->endpoint.id);
}

int endpoints_delete(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct endpoint_visit *visit = visit_new(tool, args);
    if (!visit || tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    enum status s = tool_write(tool, delete_step, visit);
    if (s != STATUS_OK)
        return complain_outcome(s, &visit->err, "endpoints delete");
    output_item_begin(tool->out);
    output_str(tool->out, "id", args_argument(args, 0));
    output_str(tool->out, "url", visit->endpoint.url);
    output_str(tool->out, "state", "deleted");
    output_item_end(tool->out);
    return DONE;
}

static enum status list_step(void *context, struct txn *txn)
{
    struct endpoint_visit *visit = context;
    enum status s = endpoint_next(txn, &visit->number, &visit->endpoint);
    if (s == STATUS_OK && visit->endpoint.state != ENDPOINT_DELETED)
        output_endpoint(visit->tool->out, &visit->endpoint, NULL, 0);
    return s;
}

int endpoints_list(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct endpoint_visit *visit = visit_new(tool, args);
    if (!visit || tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    output_list_begin(tool->out, NULL, ENDPOINT_COLUMNS,
                      "no endpoints yet: `postern endpoints create --url U` makes one");
    enum status s = tool_scan(tool, list_step, NULL, visit);
    output_list_end(tool->out);
    return s == STATUS_OK ? DONE : complain_status(s, "endpoints list");
}

static enum status show_step(void *context, struct txn *txn)
{
    struct endpoint_visit *visit = context;
    return find_endpoint(txn, args_argument(visit->args, 0), &visit->endpoint, &visit->err);
}

int endpoints_show(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct endpoint_visit *visit = visit_new(tool, args);
    if (!visit || tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(tool, show_step, visit);
    if (s != STATUS_OK)
        return complain_outcome(s, &visit->err, "endpoints show");
    output_endpoint(tool->out, &visit->endpoint, NULL, 0);
    return DONE;
}

/* ---- test ---- */

static void put_test_data(struct buf *out, const char *endpoint_id)
{
    buf_put_str(out, "{\"endpoint\":");
    json_put_str(out, endpoint_id);
    buf_put_str(out, ",\"message\":\"a test sent by the operator\"}");
}

/* For this endpoint alone, whatever it subscribes to. */
static enum status test_step(void *context, struct txn *txn)
{
    CLEANUP(buf_fini) struct buf data = {0};
    struct endpoint_visit *visit = context;
    char id[TYPEID_TEXT_BYTES];
    enum status s =
        find_endpoint(txn, args_argument(visit->args, 0), &visit->endpoint, &visit->err);
    if (s != STATUS_OK)
        return s;
    typeid_format(ENDPOINT_ID_PREFIX, &visit->endpoint.id, id);
    if (visit->endpoint.state != ENDPOINT_ENABLED) {
        err_set(&visit->err, "%s is disabled (%s): `postern endpoints enable %s` first", id,
                visit->endpoint.disabled_reason, id);
        return STATUS_DENIED;
    }
    put_test_data(&data, id);
    visit->event = (struct event){.time_ms = txn_now_ms(txn),
                                  .name = bytes_of_str(EVENT_WEBHOOK_TEST),
                                  .data = buf_bytes(&data)};
    event_append(txn, &visit->event);
    visit->delivery = outbox_enqueue(txn, visit->endpoint.number, visit->event.sequence,
                                     &(struct uuid){0}, txn_now_ms(txn));
    tool_audit(txn, "endpoints test", id, visit->endpoint.url);
    visit->event.data = (struct bytes){0};
    return STATUS_OK;
}

struct delivery_watch {
    struct uuid id;
    struct delivery delivery;
};

static enum status watch_step(void *context, struct txn *txn)
{
    struct delivery_watch *watch = context;
    return delivery_find(txn, &watch->id, &watch->delivery);
}

/* Until the first attempt was made or the time is over. */
static enum status wait_for_attempt(struct tool *tool, struct delivery_watch *watch,
                                    int64_t wait_ms)
{
    int64_t until_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + wait_ms;
    for (;;) {
        enum status s = tool_read(tool, watch_step, watch);
        bool is_over = watch->delivery.attempt_count || watch->delivery.state != DELIVERY_PENDING ||
                       clock_monotonic_ms(&SYSTEM_CLOCK) >= until_ms;
        if (s != STATUS_OK || is_over)
            return s;
        usleep(50000);
    }
}

int endpoints_test(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct endpoint_visit *visit = visit_new(tool, args);
    char event_id[TYPEID_TEXT_BYTES], delivery_id[TYPEID_TEXT_BYTES];
    if (!visit || tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    enum status s = tool_write(tool, test_step, visit);
    if (s != STATUS_OK)
        return complain_outcome(s, &visit->err, "endpoints test");
    struct delivery_watch watch = {.id = visit->delivery, .delivery = {.state = DELIVERY_PENDING}};
    if (args_has(args, "wait"))
        s = wait_for_attempt(tool, &watch, args_number(args, "wait", 0));
    if (s != STATUS_OK)
        return complain_status(s, "endpoints test");
    typeid_format(EVENT_ID_PREFIX, &visit->event.id, event_id);
    typeid_format(DELIVERY_ID_PREFIX, &visit->delivery, delivery_id);
    output_item_begin(tool->out);
    output_str(tool->out, "id", args_argument(args, 0));
    output_str(tool->out, "eventId", event_id);
    output_str(tool->out, "delivery", delivery_id);
    output_str(tool->out, "status", delivery_state_text(watch.delivery.state));
    if (watch.delivery.last_status)
        output_number(tool->out, "lastStatus", watch.delivery.last_status);
    output_item_end(tool->out);
    output_note(tool->out, "\n`postern deliveries show %s` says how it went.\n", delivery_id);
    bool is_failed = args_has(args, "wait") && watch.delivery.state != DELIVERY_DELIVERED;
    return is_failed ? complain("%s: not delivered%s", delivery_id,
                                watch.delivery.attempt_count ? ""
                                                             : ": no attempt was made yet; "
                                                               "does the server run?")
                     : DONE;
}

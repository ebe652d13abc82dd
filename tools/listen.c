/*
 * listen: a receiver for development, on the server's own HTTP code. One loop thread handles and
 * prints; the main thread waits for a signal, which is also how the loop says that --count is
 * reached.
 *
 * It answers every POST, whatever its signatures: it is there to show what a receiver would see.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "ingest/deliver/signature.h"
#include "ingest/http.h"
#include "schemas/json_write.h"
#include "tools/commands.h"
#include "tools/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define PORT_DEFAULT 8445
#define SECRETS_MAX 8
#define BODY_BYTES_MAX (16 * 1024 * 1024)
#define DRAIN_MS 1000
#define EVENT_CHARS 19 /* "workorder.completed" */

struct listener {
    struct tool *tool;
    struct bytes secrets[SECRETS_MAX];
    size_t secret_count;
    int status;
    uint64_t fail_left, count_left;
    bool has_body;
    pthread_t main_thread;
    pthread_mutex_t printing; /* the URL comes before the first delivery */
};

struct headers {
    struct bytes event, id, retry, timestamp, signature, standard_id, standard_timestamp,
        standard_signature;
};

static struct headers headers_of(const struct http_request *request)
{
    return (struct headers){
        .event = http_header(request, "x-webhook-event"),
        .id = http_header(request, "x-webhook-id"),
        .retry = http_header(request, "x-webhook-retry"),
        .timestamp = http_header(request, "x-webhook-timestamp"),
        .signature = http_header(request, "x-webhook-signature"),
        .standard_id = http_header(request, "webhook-id"),
        .standard_timestamp = http_header(request, "webhook-timestamp"),
        .standard_signature = http_header(request, "webhook-signature"),
    };
}

static bool read_seconds(struct bytes text, int64_t *ret_s)
{
    *ret_s = 0;
    if (!text.len || text.len > 12)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *ret_s = *ret_s * 10 + (text.data[i] - '0');
    }
    return true;
}

static const char *word_of(enum signature_verdict verdict)
{
    switch (verdict) {
    case SIGNATURE_GOOD:
        return "good";
    case SIGNATURE_BAD:
        return "bad";
    case SIGNATURE_TOO_OLD:
        return "too old";
    case SIGNATURE_MALFORMED:
        break;
    }
    return "malformed";
}

#define TOLERANCE_S 300

/* Good under any of the secrets; else what the last one said. */
static const char *verdict_of(const struct listener *listener, const struct headers *headers,
                              bool is_standard, struct bytes body)
{
    struct bytes signature = is_standard ? headers->standard_signature : headers->signature;
    struct bytes timestamp = is_standard ? headers->standard_timestamp : headers->timestamp;
    int64_t timestamp_s, now_s = clock_wall_ms(&SYSTEM_CLOCK) / SECOND_MS;
    enum signature_verdict verdict = SIGNATURE_MALFORMED;
    if (!signature.len)
        return "absent";
    if (!listener->secret_count)
        return "unchecked";
    if (!read_seconds(timestamp, &timestamp_s))
        return "malformed";
    for (size_t i = 0; i < listener->secret_count && verdict != SIGNATURE_GOOD; i++)
        verdict = is_standard
                      ? signature_standard_verify(listener->secrets[i], headers->standard_id,
                                                  timestamp_s, now_s, TOLERANCE_S, body, signature)
                      : signature_verify(listener->secrets[i], timestamp_s, now_s, TOLERANCE_S,
                                         body, signature);
    return word_of(verdict);
}

static int decide(struct listener *listener)
{
    if (!listener->fail_left)
        return listener->status;
    listener->fail_left--;
    return 503;
}

static void put_visible(struct buf *line, struct bytes text)
{
    if (text.len)
        text_put_visible(line, text);
    else
        buf_put_str(line, "-");
}

static void put_verdict(struct listener *listener, struct buf *line, const char *verdict)
{
    bool has_colour = output_has_colour(listener->tool->out);
    const char *colour = !strcmp(verdict, "good")        ? "\033[32m"
                         : !strcmp(verdict, "unchecked") ? ""
                                                         : "\033[31m";
    buf_printf(line, "%s%s%s", has_colour ? colour : "", verdict,
               has_colour && *colour ? "\033[0m" : "");
}

static void print_line(struct listener *listener, const struct headers *headers, struct bytes body,
                       int status)
{
    CLEANUP(buf_fini) struct buf line = {0};
    char time[TIME_TEXT_BYTES];
    time_format(clock_wall_ms(&SYSTEM_CLOCK), time);
    buf_printf(&line, "%.12s  ", time + strlen("2026-11-20T"));
    put_visible(&line, headers->event);
    for (size_t i = headers->event.len; i < EVENT_CHARS; i++)
        buf_put_char(&line, ' ');
    buf_put_str(&line, "  ");
    put_visible(&line, headers->id);
    buf_put_str(&line, "  retry ");
    put_visible(&line, headers->retry);
    buf_put_str(&line, "  X-Webhook-Signature ");
    put_verdict(listener, &line, verdict_of(listener, headers, false, body));
    buf_put_str(&line, "  webhook-signature ");
    put_verdict(listener, &line, verdict_of(listener, headers, true, body));
    buf_printf(&line, "  answered %d\n", status);
    if (listener->has_body) {
        buf_put_str(&line, "    ");
        text_put_visible(&line, body);
        buf_put_char(&line, '\n');
    }
    output_raw(listener->tool->out, buf_bytes(&line));
}

/* The body as JSON where it is JSON. */
static void put_json_body(struct output *out, struct bytes body)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct json_doc doc = {0};
    struct json_fault fault;
    if (json_scan(&doc, body, &fault) == STATUS_OK) {
        json_write(&doc, json_root(&doc), &text);
        output_json(out, "body", buf_bytes(&text));
    } else {
        output_text(out, "body", body);
    }
    json_doc_fini(&doc);
}

static void put_number(struct output *out, const char *name, struct bytes text)
{
    int64_t number;
    if (read_seconds(text, &number))
        output_number(out, name, number);
    else
        output_null(out, name);
}

static void print_item(struct listener *listener, const struct headers *headers, struct bytes body,
                       int status)
{
    struct output *out = listener->tool->out;
    output_item_begin(out);
    output_time(out, "at", clock_wall_ms(&SYSTEM_CLOCK));
    output_text(out, "id", headers->id);
    output_text(out, "event", headers->event);
    put_number(out, "retry", headers->retry);
    put_number(out, "timestamp", headers->timestamp);
    output_str(out, "signature", verdict_of(listener, headers, false, body));
    output_str(out, "standardSignature", verdict_of(listener, headers, true, body));
    output_number(out, "status", status);
    put_json_body(out, body);
    output_item_end(out);
}

static void handle(void *context, struct http_exchange *exchange,
                   const struct http_request *request)
{
    struct listener *listener = context;
    if (!bytes_equal_str(request->method, "POST")) {
        struct http_field allow = {"allow", bytes_of_str("POST")};
        http_answer(exchange,
                    &(struct http_answer){.status = 405, .fields = &allow, .field_count = 1});
        return;
    }
    if (request->is_too_large || request->is_over_budget || !listener->count_left) {
        http_answer(exchange, &(struct http_answer){.status = request->is_too_large ? 413 : 503});
        return;
    }
    struct headers headers = headers_of(request);
    int status = decide(listener);
    pthread_mutex_lock(&listener->printing);
    if (output_format_of(listener->tool->out) == OUTPUT_TABLE)
        print_line(listener, &headers, request->body, status);
    else
        print_item(listener, &headers, request->body, status);
    http_answer(exchange, &(struct http_answer){.status = status});
    bool is_over = output_flush(listener->tool->out) != STATUS_OK || !--listener->count_left;
    pthread_mutex_unlock(&listener->printing);
    if (is_over)
        pthread_kill(listener->main_thread, SIGUSR1);
}

static void say_url(struct listener *listener, const char *url)
{
    struct output *out = listener->tool->out;
    if (output_format_of(out) == OUTPUT_TABLE) {
        output_note(out, "listening on %s%s\n", url,
                    listener->secret_count ? "" : "  (signatures are not checked: give --secret)");
    } else {
        output_item_begin(out);
        output_str(out, "url", url);
        output_item_end(out);
    }
}

static const struct column LISTEN_COLUMNS[] = {
    {"url", "URL", COLUMN_TEXT},
    {"at", "TIME", COLUMN_TEXT},
    {"id", "ID", COLUMN_TEXT},
    {"event", "EVENT", COLUMN_TEXT},
    {"retry", "RETRY", COLUMN_NUMBER},
    {"timestamp", "TIMESTAMP", COLUMN_NUMBER},
    {"signature", "X-WEBHOOK-SIGNATURE", COLUMN_STATE},
    {"standardSignature", "WEBHOOK-SIGNATURE", COLUMN_STATE},
    {"status", "ANSWERED", COLUMN_NUMBER},
    {0},
};

static int read_options(struct listener *listener, const struct args *args)
{
    size_t at = 0;
    const struct value *value;
    listener->status = (int)args_number(args, "status", 200);
    listener->fail_left = (uint64_t)args_number(args, "fail-first", 0);
    listener->count_left = (uint64_t)args_number(args, "count", INT64_MAX);
    listener->has_body = args_has(args, "body");
    while ((value = args_each(args, "secret", &at))) {
        if (webhook_secret_check(bytes_of_str(value->text)) != STATUS_OK)
            return complain_usage(args, "--secret: not whsec_ and base64, as `postern endpoints "
                                        "create` prints it");
        if (listener->secret_count == SECRETS_MAX)
            return complain_usage(args, "--secret: at most %d of them", SECRETS_MAX);
        listener->secrets[listener->secret_count++] = bytes_of_str(value->text);
    }
    return DONE;
}

/* The threads that start afterwards inherit it, so that only sigwait sees these. */
static sigset_t block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return set;
}

int listen_command(struct tool *tool, const struct args *args)
{
    struct listener listener = {
        .tool = tool, .main_thread = pthread_self(), .printing = PTHREAD_MUTEX_INITIALIZER};
    struct http_server *server = NULL;
    struct err err = {0};
    char address[32];
    if (read_options(&listener, args) != DONE)
        return USAGE;
    snprintf(address, sizeof(address), "127.0.0.1:%d",
             (int)args_number(args, "port", PORT_DEFAULT));
    struct http_listen listen = {.kind = HTTP_CLEARTEXT, .address = address};
    sigset_t set = block_signals();
    bool is_list = output_format_of(tool->out) == OUTPUT_CSV;
    if (is_list)
        output_list_begin(tool->out, NULL, LISTEN_COLUMNS, NULL);
    struct http_server_options options = {
        .listeners = &listen,
        .listener_count = 1,
        .threads = 1,
        .body_bytes_max = BODY_BYTES_MAX,
        .context = &listener,
        .handle = handle,
    };
    pthread_mutex_lock(&listener.printing);
    enum status s = http_server_start(&options, &server, &err);
    if (s == STATUS_OK)
        say_url(&listener, http_server_url(server, 0));
    enum status written = output_flush(tool->out);
    pthread_mutex_unlock(&listener.printing);
    if (s != STATUS_OK)
        return complain("%s", err.text);
    int signal_number;
    if (written == STATUS_OK)
        (void)sigwait(&set, &signal_number); /* which one does not matter */
    http_server_stop(server, DRAIN_MS);
    if (is_list)
        output_list_end(tool->out);
    return DONE;
}

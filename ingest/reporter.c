/*
 * One report at a time: idle -> counting (pool thread) -> storing (writer) -> idle. What is due is
 * read when the schedule's generation changed and after each report, so a tick costs a comparison.
 *
 * The record is stored through apply_submission like any sender's, as API key 0 (the operator), and
 * the schedule is moved on in the same transaction: a crash makes the report again, or not, but
 * never twice. A report that cannot be made raises `report.failed` and is not tried again before
 * its next time. Periods that passed while the server was down are made one after the other, the
 * last CATCH_UP_MAX of them.
 */
#include "ingest/reporter.h"

#include "base/log.h"
#include "ingest/raise.h"
#include "ingest/report_count.h"
#include "schemas/json_write.h"

#include <stdio.h>
#include <stdlib.h>

#define CATCH_UP_MAX 7
#define REPORT_TYPE "report"

static const int64_t PERIOD_MS[] = {
    [REPORT_HOURLY] = HOUR_MS, [REPORT_DAILY] = DAY_MS, [REPORT_WEEKLY] = 7 * DAY_MS};

struct reporter {
    struct work work; /* first */
    struct app *app;
    struct subscriptions *subscriptions;
    uv_loop_t *loop;
    uv_work_t counting;
    atomic_bool is_busy;
    uint64_t seen_generation;
    int64_t next_due_ms; /* of the first one due; 0: to be read */

    struct report report; /* the one that is made */
    int64_t next_after_ms;
    struct buf body;
    enum status status;
    struct submission *submission;
    char reason[128]; /* why it failed; empty: it did not */
};

static void do_nothing(uv_work_t *work)
{
    (void)work;
}

static void done_nothing(uv_work_t *work, int status)
{
    (void)work;
    (void)status;
}

/* libuv makes its threads with the first work, and aborts where there is no memory for them. So
 * they are made at start, not while the server runs. */
static bool make_threads(void)
{
    uv_loop_t loop;
    uv_work_t work;
    if (uv_loop_init(&loop) != 0)
        return false;
    int code = uv_queue_work(&loop, &work, do_nothing, done_nothing);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop) == 0 && code == 0;
}

struct reporter *reporter_new(struct app *app, struct subscriptions *subscriptions, uv_loop_t *loop)
{
    struct reporter *reporter = make_threads() ? calloc(1, sizeof(*reporter)) : NULL;
    if (reporter) {
        reporter->app = app;
        reporter->subscriptions = subscriptions;
        reporter->loop = loop;
    }
    return reporter;
}

bool reporter_is_idle(const struct reporter *reporter)
{
    return !atomic_load(&reporter->is_busy);
}

void reporter_free(struct reporter *reporter)
{
    if (reporter)
        buf_fini(&reporter->body);
    free(reporter);
}

/* The schedule whose time is first; next_due_ms is INT64_MAX where there is none. */
static enum status find_first(struct reporter *reporter)
{
    struct txn *txn = NULL;
    enum status s = txn_read(reporter->app->store, &txn);
    if (s != STATUS_OK)
        return s;
    struct uuid after = {0};
    struct report *at = malloc(sizeof(*at));
    int64_t first_ms = INT64_MAX;
    while (at && (s = report_next(txn, &after, at)) == STATUS_OK) {
        if (at->next_due_ms < first_ms) {
            first_ms = at->next_due_ms;
            reporter->report = *at;
        }
    }
    if (at && s == STATUS_END) {
        reporter->next_due_ms = first_ms;
        reporter->seen_generation = txn_generation(txn);
    }
    free(at);
    txn_abort(txn);
    return s == STATUS_END ? STATUS_OK : s;
}

static void count(uv_work_t *work)
{
    struct reporter *reporter = work->data;
    int64_t until_ms = reporter->report.next_due_ms;
    reporter->status =
        report_count(reporter->app->store, &reporter->report,
                     until_ms - PERIOD_MS[reporter->report.every], until_ms, &reporter->body);
}

/* The record as a submission of the operator's; NULL: see reporter->reason. */
static struct submission *make_submission(struct reporter *reporter)
{
    struct bytes body = buf_bytes(&reporter->body);
    struct arena *arena = arena_new(sizeof(struct submission) + sizeof(struct item) + body.len);
    struct submission *submission = arena ? arena_take(arena, sizeof(*submission)) : NULL;
    if (!submission) {
        arena_free(arena);
        snprintf(reporter->reason, sizeof(reporter->reason), "no memory");
        return NULL;
    }
    pthread_mutex_lock(&reporter->app->swap_lock);
    struct catalog *catalog = catalog_ref(reporter->app->catalog);
    pthread_mutex_unlock(&reporter->app->swap_lock);
    *submission = (struct submission){.arena = arena,
                                      .kind = SUBMIT_POST,
                                      .catalog = catalog,
                                      .type = catalog_find(catalog, bytes_of_str(REPORT_TYPE)),
                                      .items = arena_take(arena, sizeof(struct item)),
                                      .item_count = 1};
    struct item *item = submission->items;
    struct json_doc doc = {0};
    struct json_fault fault;
    bool is_fine = submission->type && item && json_scan(&doc, body, &fault) == STATUS_OK;
    if (is_fine) {
        struct buf key = {0};
        item->body = arena_copy(arena, body);
        record_type_key_put(submission->type->type, &doc, &key);
        item->key = arena_copy(arena, buf_bytes(&key));
        buf_fini(&key);
        item->created_events = arena_take(arena, CHANGES_CAPACITY * sizeof(struct change_event));
        if (item->created_events)
            item->created_event_count = change_events(submission->type->type, ACTION_CREATED, NULL,
                                                      &doc, item->created_events, CHANGES_CAPACITY);
        is_fine = item->body.data && item->key.data && item->created_events;
    }
    json_doc_fini(&doc);
    if (is_fine)
        return submission;
    snprintf(reporter->reason, sizeof(reporter->reason), "%s",
             submission->type ? "no memory" : "the schemas have no record type \"report\"");
    catalog_unref(catalog);
    arena_free(arena);
    return NULL;
}

static void raise_failed(struct reporter *reporter, struct txn *txn)
{
    struct buf data = {0};
    char id[TYPEID_TEXT_BYTES];
    typeid_format(REPORT_ID_PREFIX, &reporter->report.id, id);
    buf_printf(&data, "{\"schedule\":\"%s\",\"reason\":", id);
    json_put_str(&data, reporter->reason);
    buf_put_char(&data, '}');
    if (data.status == STATUS_OK)
        raise_event(txn, reporter->subscriptions, "report.failed", buf_bytes(&data));
    else
        txn_fail(txn, data.status);
    buf_fini(&data);
}

static void store_report(struct work *work, struct txn *txn)
{
    struct reporter *reporter = (struct reporter *)work;
    enum status s = report_postpone(txn, &reporter->report.id, reporter->next_after_ms);
    if (s == STATUS_NOT_FOUND)
        return; /* deleted while it was counted */
    if (s != STATUS_OK)
        txn_fail(txn, s);
    else if (reporter->submission)
        apply_submission(reporter->app->applier, reporter->submission, txn);
    else
        raise_failed(reporter, txn);
}

static void stored(struct work *work, enum status status)
{
    struct reporter *reporter = (struct reporter *)work;
    if (status != STATUS_OK)
        applier_forget(reporter->app->applier);
    if (reporter->submission) {
        catalog_unref(reporter->submission->catalog);
        arena_free(reporter->submission->arena);
        reporter->submission = NULL;
    }
    reporter->next_due_ms = 0;
    atomic_store(&reporter->is_busy, false);
}

/* The next time of the schedule; periods too long ago are passed over. */
static int64_t next_time(const struct report *report, int64_t now_ms)
{
    int64_t oldest_ms = now_ms - CATCH_UP_MAX * PERIOD_MS[report->every];
    int64_t from_ms = report->next_due_ms > oldest_ms ? report->next_due_ms : oldest_ms;
    return report_due_after(report, from_ms);
}

static void counted(uv_work_t *work, int status)
{
    struct reporter *reporter = work->data;
    (void)status; /* it is never cancelled */
    reporter->reason[0] = '\0';
    if (reporter->status != STATUS_OK)
        snprintf(reporter->reason, sizeof(reporter->reason), "counting: %s",
                 status_text(reporter->status));
    else
        reporter->submission = make_submission(reporter);
    if (reporter->reason[0])
        log_error("a report failed", LOG_STR("reason", reporter->reason));
    reporter->next_after_ms = next_time(&reporter->report, clock_wall_ms(reporter->app->clock));
    reporter->work.apply = store_report;
    reporter->work.done = stored;
    if (writer_submit(reporter->app->writer, &reporter->work) != STATUS_OK)
        stored(&reporter->work, STATUS_LIMIT); /* it is still due */
}

void reporter_tick(struct reporter *reporter)
{
    if (!reporter_is_idle(reporter))
        return;
    uint64_t generation = app_generation(reporter->app);
    if ((reporter->next_due_ms == 0 || generation != reporter->seen_generation) &&
        find_first(reporter) != STATUS_OK)
        return; /* the next tick tries again */
    if (clock_wall_ms(reporter->app->clock) < reporter->next_due_ms)
        return;
    buf_clear(&reporter->body);
    reporter->counting.data = reporter;
    atomic_store(&reporter->is_busy, true);
    if (uv_queue_work(reporter->loop, &reporter->counting, count, counted) != 0)
        atomic_store(&reporter->is_busy, false);
}

/*
 * Two kinds of rows: counters that each loop keeps, named in COUNTERS, and values asked for when
 * someone looks. Names follow Prometheus' conventions: a unit, _total for what only grows.
 */
#include "ingest/metrics.h"

#include "ingest/app.h"
#include "ingest/problem.h"

#include <stddef.h>

static const int64_t LATENCY_US[LATENCY_BUCKETS] = {250,    500,     1000,    2500,    5000,
                                                    10000,  25000,   50000,   100000,  250000,
                                                    500000, 1000000, 2500000, 10000000};
static const char *const LATENCY_TEXT[LATENCY_BUCKETS] = {
    "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
    "0.05",    "0.1",    "0.25",  "0.5",    "1",     "2.5",  "10"};

static const struct {
    const char *name, *help;
    size_t offset;
} COUNTERS[] = {
    {"postern_records_accepted_total", "Revisions stored.",
     offsetof(struct loop_metrics, accepted)},
    {"postern_records_unchanged_total", "Records equal to their current revision.",
     offsetof(struct loop_metrics, unchanged)},
    {"postern_records_refused_total", "Records refused after they reached the writer.",
     offsetof(struct loop_metrics, refused_items)},
    {"postern_batches_total", "Batches answered.", offsetof(struct loop_metrics, batches)},
    {"postern_idempotent_replays_total", "Answers given again for an Idempotency-Key.",
     offsetof(struct loop_metrics, replayed)},
    {"postern_received_body_bytes_total", "Bytes of request bodies.",
     offsetof(struct loop_metrics, body_bytes)},
};

void metric_latency(struct loop_metrics *metrics, int64_t duration_us)
{
    size_t bucket = 0;
    while (bucket < LATENCY_BUCKETS && duration_us > LATENCY_US[bucket])
        bucket++;
    metric_add(&metrics->latency[bucket], 1);
    metric_add(&metrics->latency_us_total, (unsigned long long)duration_us);
}

static uint64_t sum(struct app *app, size_t offset)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < app->loop_count; i++) {
        const uint8_t *metrics = (const uint8_t *)&app->loops[i].metrics;
        total +=
            atomic_load_explicit((const atomic_ullong *)(metrics + offset), memory_order_relaxed);
    }
    return total;
}

static void put_header(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_value(struct buf *out, const char *name, const char *type, const char *help,
                      uint64_t value)
{
    put_header(out, name, type, help);
    buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void put_requests(struct app *app, struct buf *out)
{
    put_header(out, "postern_requests_total", "counter", "Requests answered, by status class.");
    for (size_t class = 2; class <= 5; class ++)
        buf_printf(out, "postern_requests_total{status=\"%zuxx\"} %llu\n", class,
                   (unsigned long long)sum(app, offsetof(struct loop_metrics, requests) +
                                                    class * sizeof(atomic_ullong)));
    put_header(out, "postern_problems_total", "counter", "Refusals, by problem type.");
    for (size_t problem = 0; problem < PROBLEM_COUNT; problem++)
        buf_printf(out, "postern_problems_total{type=\"%s\"} %llu\n", PROBLEMS[problem].slug,
                   (unsigned long long)sum(app, offsetof(struct loop_metrics, problems) +
                                                    problem * sizeof(atomic_ullong)));
}

static void put_latency(struct app *app, struct buf *out)
{
    const char *name = "postern_request_duration_seconds";
    put_header(out, name, "histogram", "From a request's body being complete to its answer.");
    uint64_t count = 0;
    for (size_t i = 0; i <= LATENCY_BUCKETS; i++) {
        count += sum(app, offsetof(struct loop_metrics, latency) + i * sizeof(atomic_ullong));
        buf_printf(out, "%s_bucket{le=\"%s\"} %llu\n", name,
                   i < LATENCY_BUCKETS ? LATENCY_TEXT[i] : "+Inf", (unsigned long long)count);
    }
    double seconds = (double)sum(app, offsetof(struct loop_metrics, latency_us_total)) / 1e6;
    buf_printf(out, "%s_sum %.6f\n%s_count %llu\n", name, seconds, name, (unsigned long long)count);
}

static void put_server(struct app *app, struct buf *out)
{
    if (!app->server)
        return;
    struct http_server_stats stats;
    http_server_stats(app->server, &stats);
    put_value(out, "postern_connections", "gauge", "Open connections.", stats.connections_now);
    put_value(out, "postern_connections_total", "counter", "Connections accepted.",
              stats.connections_ever);
    put_value(out, "postern_connections_refused_total", "counter",
              "Connections refused at the cap.", stats.refused_connections);
    put_value(out, "postern_connections_guarded_total", "counter",
              "Connections closed for an attack's pattern.", stats.guard_closed);
    put_value(out, "postern_connections_slow_total", "counter",
              "Connections closed for making no progress.", stats.slow_closed);
    put_value(out, "postern_inflight_requests", "gauge", "Requests being answered.",
              stats.inflight_requests);
    put_value(out, "postern_inflight_bytes", "gauge", "Bytes of bodies held.",
              stats.inflight_bytes);
}

static void put_writer(struct app *app, struct buf *out)
{
    struct writer_stats stats;
    writer_stats(app->writer, &stats);
    put_value(out, "postern_commits_total", "counter", "Group commits.", stats.groups);
    put_value(out, "postern_commits_failed_total", "counter", "Group commits that failed.",
              stats.failed_groups);
    put_value(out, "postern_committed_works_total", "counter", "Works committed in groups.",
              stats.works);
    put_header(out, "postern_commit_seconds_total", "counter", "Time spent in commits.");
    buf_printf(out, "postern_commit_seconds_total %.6f\n", (double)stats.commit_us_total / 1e6);
    put_value(out, "postern_writer_queue", "gauge", "Works waiting for the writer.", stats.queued);
}

/* A counter whose row is damaged is left out: 0 would be a lie. */
static void put_states(struct txn *txn, struct buf *out)
{
    static const struct {
        const char *state;
        enum counter counter;
    } STATES[] = {{"pending", COUNTER_DELIVERIES_PENDING},
                  {"delivered", COUNTER_DELIVERIES_DELIVERED},
                  {"failed", COUNTER_DELIVERIES_FAILED}};
    put_header(out, "postern_deliveries", "gauge", "Deliveries kept, by state.");
    for (size_t i = 0; i < sizeof STATES / sizeof STATES[0]; i++) {
        uint64_t count = counter_get(txn, STATES[i].counter);
        if (txn_status(txn) == STATUS_OK)
            buf_printf(out, "postern_deliveries{state=\"%s\"} %llu\n", STATES[i].state,
                       (unsigned long long)count);
    }
}

static void put_deliveries(struct app *app, struct buf *out)
{
    if (app->deliver) {
        struct deliver_stats stats;
        deliver_stats(app->deliver, &stats);
        put_value(out, "postern_delivery_attempts_total", "counter", "Delivery attempts made.",
                  stats.attempts);
        put_value(out, "postern_delivery_attempts_failed_total", "counter",
                  "Delivery attempts that failed.", stats.failed_attempts);
        put_value(out, "postern_delivery_inflight", "gauge", "Attempts in flight.",
                  stats.in_flight);
        put_value(out, "postern_endpoints", "gauge", "Enabled endpoints.", stats.endpoints);
        put_value(out, "postern_endpoints_cooling", "gauge", "Endpoints cooling after failures.",
                  stats.cooling_endpoints);
    }
    struct txn *txn = NULL;
    if (txn_read(app->store, &txn) != STATUS_OK)
        return;
    put_states(txn, out);
    struct store_stat stat;
    if (store_stat(txn, &stat) == STATUS_OK) {
        put_value(out, "postern_store_bytes", "gauge", "Bytes of the store in use.",
                  stat.used_bytes);
        put_value(out, "postern_store_free_bytes", "gauge", "Bytes within the file to reuse.",
                  stat.free_bytes);
    }
    txn_abort(txn);
}

void metrics_put(struct app *app, struct buf *out)
{
    put_header(out, "postern_info", "gauge", "The version that runs.");
    buf_printf(out, "postern_info{version=\"%s\"} 1\n", app->version);
    put_header(out, "postern_start_time_seconds", "gauge", "When the server started, Unix time.");
    buf_printf(out, "postern_start_time_seconds %.3f\n", (double)app->started_wall_ms / 1000);
    put_requests(app, out);
    for (size_t i = 0; i < sizeof COUNTERS / sizeof COUNTERS[0]; i++)
        put_value(out, COUNTERS[i].name, "counter", COUNTERS[i].help, sum(app, COUNTERS[i].offset));
    put_latency(app, out);
    put_server(app, out);
    put_writer(app, out);
    put_deliveries(app, out);
    put_value(out, "postern_last_sequence", "gauge", "Sequence number of the newest event.",
              atomic_load(&app->last_sequence));
}

/*
 * metrics: counters of each loop, and all of it as Prometheus text.
 *
 * A loop adds to its own counters without locks; /metrics sums them. To add a counter: a row in the
 * table of metrics.c and a member here.
 */
#pragma once

#include "base/bytes.h"

#include <stdatomic.h>

struct app;

#define LATENCY_BUCKETS 14

struct loop_metrics {
    atomic_ullong requests[6];  /* by status class: [2] is 2xx */
    atomic_ullong problems[32]; /* by enum problem */
    atomic_ullong accepted, unchanged, refused_items, batches, replayed;
    atomic_ullong body_bytes;
    atomic_ullong latency[LATENCY_BUCKETS + 1]; /* requests by duration; the last one is beyond */
    atomic_ullong latency_us_total;
};

/* One writer a counter: no locked instruction needed. */
static inline void metric_add(atomic_ullong *counter, unsigned long long n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
void metric_latency(struct loop_metrics *metrics, int64_t duration_us);

/* The text exposition format, version 0.0.4. */
void metrics_put(struct app *app, struct buf *out);

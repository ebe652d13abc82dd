/*
 * housekeeping: what goes away by itself: finished deliveries past their retention, windows' rows
 * past an hour, idempotent answers past a day, refusals past a week, and records of the types that
 * the operator wants to keep for a time only.
 *
 * In steps of few rows, each a work of the writer's like any other, so that no step holds up a
 * commit for more than a few milliseconds. Thread: the main loop's timer calls; the writer works.
 */
#pragma once

#include "ingest/settings.h"
#include "ingest/writer.h"
#include "storage/retention.h"

#include <stdatomic.h>

struct housekeeping {
    struct work work; /* first */
    struct writer *writer;
    int64_t retain_deliveries_ms;
    /* Which records go, and how far that is. */
    struct retained {
        char type[TYPE_NAME_MAX + 1];
        struct retention walk;
    } retained[SETTINGS_RETAINED_MAX];
    unsigned retained_count;
    struct retention stepped; /* the walk of the step under way: counts once it is committed */
    unsigned next_task;
    atomic_bool is_queued;
    atomic_bool has_more;  /* the last step left rows behind: come again at once */
    int64_t next_round_ms; /* monotonic */
};

/* Nothing is borrowed from the settings. */
void housekeeping_init(struct housekeeping *housekeeping, struct writer *writer,
                       const struct settings *settings);
/* Queue a step if one is due and none is queued. Call it several times a second. */
void housekeeping_tick(struct housekeeping *housekeeping, int64_t monotonic_ms);

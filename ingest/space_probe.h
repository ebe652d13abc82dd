/*
 * space_probe: notices that a full disk has room again, though nobody sends anything.
 *
 * Where a balancer heeds /readyz, a server that is unready gets no request, and so would never
 * learn from a commit that it could take one. While the store is full the probe commits a small
 * transaction of its own once a second, where there seems to be room. It also logs both moments,
 * once each.
 *
 * Threads: init and tick on the main thread; the work in it is the writer's while is_queued.
 */
#pragma once

#include "ingest/app.h"
#include "ingest/writer.h"

struct space_probe {
    struct work work;
    struct app *app;
    int64_t next_ms;
    bool was_full;
    atomic_bool is_queued;
};

/* `app` outlives it; its writer is stopped before the probe's memory goes. */
void space_probe_init(struct space_probe *probe, struct app *app);
/* A few times a second. `data`: the data directory. */
void space_probe_tick(struct space_probe *probe, const char *data, int64_t monotonic_ms);

/*
 * reporter: makes the reports that the operator scheduled. When one is due, it counts what happened
 * in its period (on a thread of libuv's pool, in short read transactions), and stores a record of
 * type `report`, which raises `report.generated`. Where that fails, `report.failed` is raised.
 *
 * Thread: the main loop's; the store is written by the writer.
 */
#pragma once

#include "ingest/app.h"

#include <uv.h>

struct reporter;

/* NULL: no memory. Borrows all three. */
struct reporter *reporter_new(struct app *app, struct subscriptions *subscriptions,
                              uv_loop_t *loop);
/* Several times a second. */
void reporter_tick(struct reporter *reporter);
/* The counting under way, if any, has ended: run the loop until then. */
bool reporter_is_idle(const struct reporter *reporter);
void reporter_free(struct reporter *reporter); /* idle; NULL allowed */

/*
 * batch: outcomes of attempts on their way to the store, several in one work of the writer: the
 * attempt is logged, the delivery moved on, the endpoint's note taken, and what follows raised
 * (`delivery.failed`, `endpoint.disabled`), all in one transaction.
 *
 * Threads: made and freed on the loop's; `work` runs on the writer's, which then calls `settled`.
 */
#pragma once

#include "ingest/deliver/transfer.h"
#include "ingest/writer.h"

struct batch {
    struct work work;
    struct batch *next; /* in the list of settled ones */
    struct transfer *transfers;
    struct subscriptions *subscriptions;  /* the writer's thread's */
    int64_t trusted_from_ms;              /* see schedule_is_given_up */
    void (*settled)(struct batch *batch); /* on the writer's thread, once */
    enum status status;
};

void batch_init(struct batch *batch, struct subscriptions *subscriptions, int64_t trusted_from_ms,
                void (*settled)(struct batch *batch));

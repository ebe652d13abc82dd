/*
 * A step does one task of the table. A round of all tasks begins every ten seconds; while a task
 * has more to drop, it is repeated with the next tick.
 */
#include "ingest/housekeeping.h"

#include "storage/api_keys.h"
#include "storage/idempotency.h"
#include "storage/journal.h"
#include "storage/outbox.h"

#define STEP_ROWS 1000
#define ROUND_MS (10 * 1000)

static bool prune_deliveries(const struct housekeeping *housekeeping, struct txn *txn)
{
    return outbox_prune(txn, txn_now_ms(txn) - housekeeping->retain_deliveries_ms, STEP_ROWS);
}

static bool prune_usage(const struct housekeeping *housekeeping, struct txn *txn)
{
    (void)housekeeping;
    return usage_prune(txn, txn_now_ms(txn) - HOUR_MS - MINUTE_MS, STEP_ROWS);
}

static bool prune_answers(const struct housekeeping *housekeeping, struct txn *txn)
{
    (void)housekeeping;
    return idempotency_prune(txn, STEP_ROWS);
}

static bool prune_rejections(const struct housekeeping *housekeeping, struct txn *txn)
{
    (void)housekeeping;
    return rejections_prune(txn, STEP_ROWS);
}

static bool (*const TASKS[])(const struct housekeeping *, struct txn *) = {
    prune_deliveries, prune_usage, prune_answers, prune_rejections};
#define TASK_COUNT (sizeof TASKS / sizeof TASKS[0])

static void step_apply(struct work *work, struct txn *txn)
{
    struct housekeeping *housekeeping = (struct housekeeping *)work;
    atomic_store(&housekeeping->has_more,
                 TASKS[housekeeping->next_task % TASK_COUNT](housekeeping, txn));
}

static void step_done(struct work *work, enum status status)
{
    struct housekeeping *housekeeping = (struct housekeeping *)work;
    if (status != STATUS_OK || !atomic_load(&housekeeping->has_more))
        housekeeping->next_task++;
    atomic_store(&housekeeping->is_queued, false);
}

void housekeeping_init(struct housekeeping *housekeeping, struct writer *writer,
                       int64_t retain_deliveries_ms)
{
    *housekeeping = (struct housekeeping){
        .work = {.apply = step_apply, .done = step_done},
        .writer = writer,
        .retain_deliveries_ms = retain_deliveries_ms,
    };
}

void housekeeping_tick(struct housekeeping *housekeeping, int64_t monotonic_ms)
{
    if (atomic_load(&housekeeping->is_queued))
        return;
    bool is_mid_round = housekeeping->next_task % TASK_COUNT != 0;
    if (!is_mid_round && !atomic_load(&housekeeping->has_more)) {
        if (monotonic_ms < housekeeping->next_round_ms)
            return;
        housekeeping->next_round_ms = monotonic_ms + ROUND_MS;
    }
    atomic_store(&housekeeping->is_queued, true);
    if (writer_submit(housekeeping->writer, &housekeeping->work) != STATUS_OK)
        atomic_store(&housekeeping->is_queued, false); /* busy: the next tick tries again */
}

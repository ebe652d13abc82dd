/*
 * A step does one task: those of the table, then one for each type whose records go. A round of all
 * tasks begins every ten seconds; while a task has more to drop, it is repeated with the next tick.
 */
#include "ingest/housekeeping.h"

#include "base/log.h"
#include "storage/api_keys.h"
#include "storage/fault.h"
#include "storage/idempotency.h"
#include "storage/journal.h"
#include "storage/outbox.h"

#include <string.h>

_Static_assert(SETTINGS_TYPE_MAX == TYPE_NAME_MAX, "as long as a type's name may be");

#define STEP_ROWS 1000
#define STEP_RETENTION 2000 /* see retention_step */
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

/* A type's number is known once the store has met it. */
static bool erase_old(struct housekeeping *housekeeping, const struct retained *retained,
                      struct txn *txn)
{
    struct type_row type;
    housekeeping->stepped = retained->walk;
    if (type_find(txn, bytes_of_str(retained->type), &type) != STATUS_OK)
        return false; /* a fault stuck */
    housekeeping->stepped.type = type.number;
    return retention_step(txn, &housekeeping->stepped, STEP_RETENTION);
}

static void step_apply(struct work *work, struct txn *txn)
{
    struct housekeeping *housekeeping = (struct housekeeping *)work;
    unsigned task = housekeeping->next_task;
    bool has_more = task < TASK_COUNT
                        ? TASKS[task](housekeeping, txn)
                        : erase_old(housekeeping, &housekeeping->retained[task - TASK_COUNT], txn);
    atomic_store(&housekeeping->has_more, has_more);
    fault_point("housekeeping_applied");
}

static void erased_old(struct housekeeping *housekeeping, struct retained *retained)
{
    retained->walk = housekeeping->stepped;
    if (atomic_load(&housekeeping->has_more) || retained->walk.erased == 0)
        return;
    log_info("erased what was kept long enough", LOG_STR("type", retained->type),
             LOG_INT("records", (int64_t)retained->walk.erased));
    retained->walk.erased = 0;
}

static void step_done(struct work *work, enum status status)
{
    struct housekeeping *housekeeping = (struct housekeeping *)work;
    unsigned task = housekeeping->next_task;
    if (status == STATUS_OK && task >= TASK_COUNT)
        erased_old(housekeeping, &housekeeping->retained[task - TASK_COUNT]);
    if (status != STATUS_OK || !atomic_load(&housekeeping->has_more))
        housekeeping->next_task = (task + 1) % (TASK_COUNT + housekeeping->retained_count);
    atomic_store(&housekeeping->is_queued, false);
}

void housekeeping_init(struct housekeeping *housekeeping, struct writer *writer,
                       const struct settings *settings)
{
    *housekeeping = (struct housekeeping){
        .work = {.apply = step_apply, .done = step_done},
        .writer = writer,
        .retain_deliveries_ms = settings->retain_deliveries_ms,
        .retained_count = (unsigned)settings->retain_record_count,
    };
    for (unsigned i = 0; i < housekeeping->retained_count; i++) {
        const struct retain_records *rule = &settings->retain_records[i];
        struct retained *retained = &housekeeping->retained[i];
        memcpy(retained->type, rule->type, sizeof retained->type);
        retained->walk.keep_ms = rule->keep_ms;
    }
}

void housekeeping_tick(struct housekeeping *housekeeping, int64_t monotonic_ms)
{
    if (atomic_load(&housekeeping->is_queued))
        return;
    bool is_mid_round = housekeeping->next_task != 0;
    if (!is_mid_round && !atomic_load(&housekeeping->has_more)) {
        if (monotonic_ms < housekeeping->next_round_ms)
            return;
        housekeeping->next_round_ms = monotonic_ms + ROUND_MS;
    }
    atomic_store(&housekeeping->is_queued, true);
    if (writer_submit(housekeeping->writer, &housekeeping->work) != STATUS_OK)
        atomic_store(&housekeeping->is_queued, false); /* busy: the next tick tries again */
}

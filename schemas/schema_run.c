/*
 * The state of a check: its memory, which is kept from document to document, its budget, and the
 * two walks that make an answer. The walk itself is schema_check.c.
 */
#include "schemas/schema_run.h"

#include "base/clock.h"

#include <stdlib.h>

#define UNITS_DEFAULT 1000000
#define MS_DEFAULT 100

/* --- budget and memory ----------------------------------------------------------------------- */

bool run_stop(struct schema_run *run, enum status why)
{
    if (run->status == STATUS_OK)
        run->status = why;
    run->units_left = 0; /* nothing more can be spent */
    return false;
}

/* The first reading sets the deadline, so that a small document never reads the clock. */
bool run_is_in_time(struct schema_run *run)
{
    int64_t now = clock_monotonic_ms(&SYSTEM_CLOCK);
    if (!run->deadline_ms)
        run->deadline_ms = now + run->budget_ms;
    return now <= run->deadline_ms || run_stop(run, STATUS_LIMIT);
}

bool run_grow(struct schema_run *run, void *array_pointer, uint32_t count, uint32_t *capacity,
              size_t size)
{
    if (count < *capacity)
        return true;
    uint32_t wanted = *capacity ? *capacity : 64;
    while (wanted <= count)
        wanted *= 2;
    void *grown = realloc(*(void **)array_pointer, wanted * size);
    if (!grown)
        return run_stop(run, STATUS_NO_MEMORY);
    *(void **)array_pointer = grown;
    *capacity = wanted;
    return true;
}

/* --- the whole ------------------------------------------------------------------------------- */

struct schema_run *schema_run_new(void)
{
    struct schema_run *run = calloc(1, sizeof(*run));
    if (run)
        run->regex = regex_run_new();
    if (!run || !run->regex) {
        free(run);
        return NULL;
    }
    return run;
}

void schema_run_free(struct schema_run *run)
{
    if (!run)
        return;
    regex_run_free(run->regex);
    buf_fini(&run->scratch);
    buf_fini(&run->text);
    free(run->marks);
    free(run->stamps);
    free(run->slots);
    free(run->findings);
    free(run->known);
    free(run->described);
    free(run);
}

bool run_begin(struct schema_run *run, const struct schema *schema, const struct json_doc *doc)
{
    run->schema = schema;
    run->doc = doc;
    run->status = STATUS_OK;
    run->is_all_known = true;
    run->finding_count = run->finding_base = run->violation_count = run->described_count = 0;
    buf_clear(&run->text);
    buf_clear(&run->scratch);
    if (!schema->has_unevaluated || doc->node_count <= run->stamp_capacity)
        return true;
    uint32_t before = run->stamp_capacity;
    if (!run_grow(run, &run->stamps, doc->node_count, &run->stamp_capacity, sizeof(*run->stamps)))
        return false;
    memset(run->stamps + before, 0, (run->stamp_capacity - before) * sizeof(*run->stamps));
    return true;
}

bool run_apply(struct schema_run *run, uint32_t node, enum run_mode mode,
               const struct schema_budget *budget)
{
    run->mode = mode;
    run->units_left = budget && budget->nodes ? budget->nodes : UNITS_DEFAULT;
    run->budget_ms = budget && budget->ms ? budget->ms : MS_DEFAULT;
    run->deadline_ms = 0;
    run->matches_left = 0;
    run->mark_count = run->scope_count = 0;
    if (run->stamp > UINT32_MAX / 2) { /* long before it could come round */
        memset(run->stamps, 0, run->stamp_capacity * sizeof(*run->stamps));
        run->stamp = 0;
    }
    return run_root(run, node);
}

enum status schema_check(const struct schema *schema, struct schema_run *run,
                         const struct json_doc *doc, uint32_t node,
                         const struct schema_budget *budget)
{
    if (!run_begin(run, schema, doc))
        return run->status;
    bool is_valid = run_apply(run, node, RUN_FAST, budget);
    if (run->status != STATUS_OK)
        return run->status;
    if (is_valid)
        return STATUS_OK;
    (void)run_apply(run, node, RUN_REPORT, budget); /* it is invalid, that is settled */
    if (run->text.status != STATUS_OK)
        run->status = run->text.status;
    if (run->status == STATUS_NO_MEMORY || (run->status != STATUS_OK && !run->finding_count))
        return run->status;
    findings_finish(run);
    return STATUS_INVALID;
}

const struct violation *schema_violations(const struct schema_run *run, size_t *ret_count)
{
    *ret_count = run->violation_count;
    return run->violations;
}

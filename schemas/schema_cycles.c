/*
 * A schema that applies itself to the value it is being applied to never comes to an end:
 * {"$ref": "#"}, or a round of allOf and $ref. Found here once, by a depth-first search along the
 * checks that stay at the same value. `$dynamicRef` is left out, since where it leads is known only
 * when running; the checker's depth limit stops it.
 */
#include "schemas/schema_compiler.h"

#include "base/cleanup.h"

enum colour { NEW, OPEN, DONE };

struct step {
    uint32_t schema;
    uint32_t next_edge;
};

static uint32_t list_edge(const struct subschema_list *list, uint32_t *edge)
{
    if (*edge < list->count)
        return list->schemas[*edge];
    *edge -= list->count;
    return SUBSCHEMA_NONE;
}

/* The number `*edge` of the subschemas that a check applies in place; SUBSCHEMA_NONE: it has fewer,
 * and *edge is less by their number. */
static uint32_t check_edge(const struct check *check, uint32_t *edge)
{
    uint32_t branch[3];
    struct subschema_list list = {branch, 0};
    switch ((enum check_op)check->op) {
    case CHECK_REF:
    case CHECK_NOT:
        list = (struct subschema_list){&check->schema, 1};
        return list_edge(&list, edge);
    case CHECK_ALL_OF:
    case CHECK_ANY_OF:
    case CHECK_ONE_OF:
        return list_edge(&check->list, edge);
    case CHECK_IF:
        branch[list.count++] = check->branch->condition;
        if (check->branch->then != SUBSCHEMA_NONE)
            branch[list.count++] = check->branch->then;
        if (check->branch->otherwise != SUBSCHEMA_NONE)
            branch[list.count++] = check->branch->otherwise;
        return list_edge(&list, edge);
    case CHECK_MEMBERS:
        for (uint32_t i = 0; check->members->slots && i <= check->members->slot_mask; i++) {
            uint32_t dependent = check->members->slots[i].dependent_schema;
            if (!check->members->slots[i].is_used || dependent == SUBSCHEMA_NONE)
                continue;
            if (!*edge)
                return dependent;
            --*edge;
        }
        return SUBSCHEMA_NONE;
    default:
        return SUBSCHEMA_NONE;
    }
}

static uint32_t schema_edge(const struct schema *program, uint32_t index, uint32_t edge)
{
    const struct subschema *schema = &program->subschemas[index];
    for (uint32_t i = 0; i < schema->check_count; i++) {
        uint32_t to = check_edge(&program->checks[schema->first_check + i], &edge);
        if (to != SUBSCHEMA_NONE)
            return to;
    }
    return SUBSCHEMA_NONE;
}

static void search(struct compiler *c, uint32_t start, uint8_t *colours, struct step *path)
{
    uint32_t depth = 0;
    path[depth++] = (struct step){start, 0};
    colours[start] = OPEN;
    while (depth && c->status == STATUS_OK) {
        struct step *top = &path[depth - 1];
        uint32_t to = schema_edge(c->program, top->schema, top->next_edge++);
        if (to == SUBSCHEMA_NONE) {
            colours[top->schema] = DONE;
            depth--;
        } else if (colours[to] == OPEN) {
            const struct subschema *at = &c->program->subschemas[top->schema];
            compiler_fault(c, at->source, at->node,
                           "refers to itself without end: the same value is checked again and "
                           "again");
        } else if (colours[to] == NEW) {
            colours[to] = OPEN;
            path[depth++] = (struct step){to, 0};
        }
    }
}

void compiler_check_cycles(struct compiler *c)
{
    uint32_t count = c->program->subschema_count;
    CLEANUP(freep) uint8_t *colours = calloc(count, sizeof(*colours));
    CLEANUP(freep) struct step *path = calloc(count, sizeof(*path));
    if (!colours || !path) {
        compiler_no_memory(c);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (colours[i] == NEW)
            search(c, i, colours, path);
    }
}

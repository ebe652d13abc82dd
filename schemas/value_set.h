/*
 * value_set: a hash table of JSON values, equal as JSON Schema has it: `enum`, `const` and
 * `uniqueItems` ask it instead of comparing everything with everything.
 *
 * The table's memory is the caller's; nothing is allocated here. The hash is seeded (json_seed), so
 * that a sender cannot make values collide. Not synchronised; finding only reads.
 */
#pragma once

#include "schemas/json.h"

struct value_slot {
    uint32_t hash;
    uint32_t node; /* JSON_NONE: free */
};

struct value_set {
    const struct json_doc *doc; /* of the values kept */
    struct value_slot *slots;   /* value_set_slots(n) of them for n values */
    uint32_t mask;
};

/* A power of two, at least twice `count`. */
uint32_t value_set_slots(uint32_t count);
/* All slots free. */
void value_set_init(struct value_set *set, const struct json_doc *doc, struct value_slot *slots,
                    uint32_t slot_count);

/* Numbers by value, strings resolved, objects without order. `scratch` resolves escapes. */
uint32_t value_hash(const struct json_doc *doc, uint32_t node, struct buf *scratch);

/* The equal value that is there already, or JSON_NONE after adding `node` of the set's document. */
uint32_t value_set_add(struct value_set *set, uint32_t node, struct buf *scratch);
bool value_set_has(const struct value_set *set, const struct json_doc *doc, uint32_t node,
                   struct buf *scratch);

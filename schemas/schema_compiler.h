/*
 * schema_compiler: the state that compiling shares between its parts: schema_compile.c (the whole),
 * schema_refs.c (texts, identifiers, references, dialects), schema_steps.c (keywords to checks) and
 * schema_cycles.c. Internal.
 *
 * Sticky: after the first failure c->status is set, c->fault is filled, and every step does
 * nothing.
 */
#pragma once

#include "schemas/schema_program.h"

/* A schema resource (core section 4.3.5): the root of a text, or a subschema with `$id`. */
struct resource {
    struct bytes uri; /* absolute, without fragment */
    uint32_t source;
    uint32_t node;
    uint32_t vocabularies;
};

struct anchor {
    struct bytes name;
    uint32_t resource;
    uint32_t node;
    bool is_dynamic;
};

/* What a `$schema` stands for. */
struct dialect {
    struct bytes uri;
    struct schema *metaschema; /* NULL for the one being compiled without a check */
    uint32_t vocabularies;
};

#define DIALECTS_MAX 8
#define COMPILE_DEPTH_MAX 4 /* metaschemas of metaschemas */

struct compiler {
    struct schema *program;
    const struct schema_options *options;
    struct schema_fault *fault;
    enum status status;
    unsigned depth;  /* 0: the user's schema, 1: its metaschema, … */
    bool is_trusted; /* a compiled-in metaschema: not checked against itself */
    struct resource *resources;
    uint32_t resource_count;
    struct anchor *anchors;
    uint32_t anchor_count;
    struct dialect dialects[DIALECTS_MAX];
    uint32_t dialect_count;
    uint32_t subschema_capacity, check_capacity, resource_capacity, anchor_capacity;
    uint32_t source_capacity, dynamic_capacity, regex_capacity;
    struct buf scratch;
};

/* Set the fault, unless there is one. `source` SUBSCHEMA_NONE: no position. */
void compiler_fault(struct compiler *c, uint32_t source, uint32_t node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void compiler_no_memory(struct compiler *c);
/* Room for one more element of `size` bytes; false after a failure. */
bool compiler_grow(struct compiler *c, void *array_pointer, uint32_t count, uint32_t *capacity,
                   size_t size);
void *compiler_take(struct compiler *c, size_t size); /* from the program's arena */

/* Is it one of the texts that are compiled in? */
bool compiler_is_embedded(struct bytes uri);
/* Refuse a schema that applies itself to the same value for ever ("$ref": "#"). */
void compiler_check_cycles(struct compiler *c);

/* Scan a text, check it against its metaschema, find its resources and anchors.
 * Returns the source's index, SUBSCHEMA_NONE after a failure. */
uint32_t compiler_add_source(struct compiler *c, struct bytes uri, struct bytes text);
/* Where `reference` leads from a subschema: its resource's base applies. `ret_anchor` (may be NULL)
 * gets the name of a plain-name fragment. False after a failure, which is reported at `at`. */
bool compiler_resolve(struct compiler *c, uint32_t source, uint32_t node, uint32_t at,
                      uint32_t *ret_source, uint32_t *ret_node, struct bytes *ret_anchor);
/* The anchor of that name and resource, or NULL. */
const struct anchor *compiler_find_anchor(const struct compiler *c, uint32_t resource,
                                          struct bytes name);
/* The subschema for a node, made (and put in line for compiling) if there is none. */
uint32_t compiler_subschema(struct compiler *c, uint32_t source, uint32_t node);

/* Turn the keywords of the subschema of that number into checks (schema_steps.c). */
void compiler_compile(struct compiler *c, uint32_t index);

/* schema_compile() with a place in the recursion of metaschemas. */
enum status schema_compile_text(struct bytes uri, struct bytes text,
                                const struct schema_options *options, unsigned depth,
                                struct schema **ret_schema, struct schema_fault *ret_fault);

/*
 * Design: subschemas are numbered when something first refers to them and compiled in that order,
 * so the array is its own work list and nothing recurses, however the schema refers to itself.
 * Here are the compiler's memory and faults, and the course of the whole; what a text refers to is
 * schema_refs.c, what its keywords become schema_steps.c.
 */
#include "schemas/schema_compiler.h"

#include "base/cleanup.h"
#include "base/must.h"

#include <stdarg.h>
#include <stdio.h>

#define DEFAULT_URI "postern:/schema"

/* --- the compiler's state ------------------------------------------------------------------- */

void compiler_fault(struct compiler *c, uint32_t source, uint32_t node, const char *format, ...)
{
    char text[512]; /* the rest of detail is for the file's name */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (c->status != STATUS_OK)
        return;
    c->status = STATUS_INVALID;
    buf_clear(&c->fault->pointer);
    const struct schema_source *from =
        source == SUBSCHEMA_NONE ? NULL : c->program->sources[source];
    if (from)
        json_pointer_of(&from->doc, node, &c->fault->pointer);
    if (from && source > 0)
        snprintf(c->fault->detail, sizeof(c->fault->detail), "in %.*s: %s",
                 (int)(from->uri.len > 200 ? 200 : from->uri.len), (const char *)from->uri.data,
                 text);
    else
        memcpy(c->fault->detail, text, strlen(text) + 1);
}

void compiler_no_memory(struct compiler *c)
{
    if (c->status == STATUS_OK)
        c->status = STATUS_NO_MEMORY;
}

bool compiler_grow(struct compiler *c, void *array_pointer, uint32_t count, uint32_t *capacity,
                   size_t size)
{
    if (c->status != STATUS_OK)
        return false;
    if (count < *capacity)
        return true;
    uint32_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = realloc(*(void **)array_pointer, wanted * size);
    if (!grown) {
        compiler_no_memory(c);
        return false;
    }
    *(void **)array_pointer = grown;
    *capacity = wanted;
    return true;
}

void *compiler_take(struct compiler *c, size_t size)
{
    void *taken = c->status == STATUS_OK ? arena_take(c->program->arena, size ? size : 1) : NULL;
    if (!taken)
        compiler_no_memory(c);
    return taken;
}

uint32_t compiler_subschema(struct compiler *c, uint32_t source, uint32_t node)
{
    struct schema *program = c->program;
    uint32_t *known = &program->sources[source]->schema_of[node];
    if (*known != SUBSCHEMA_NONE)
        return *known;
    enum json_kind kind = json_kind_of(&program->sources[source]->doc, node);
    if (kind != JSON_OBJECT && kind != JSON_TRUE && kind != JSON_FALSE)
        compiler_fault(c, source, node, "is not a schema: must be an object or a boolean");
    if (!compiler_grow(c, &program->subschemas, program->subschema_count, &c->subschema_capacity,
                       sizeof(*program->subschemas)))
        return SUBSCHEMA_NONE;
    uint32_t resource = program->sources[source]->resource_of[node];
    must(resource != SUBSCHEMA_NONE);
    *known = program->subschema_count++;
    program->subschemas[*known] = (struct subschema){.source = source,
                                                     .node = node,
                                                     .resource = resource,
                                                     .kinds = kind == JSON_FALSE ? 0 : KINDS_ANY,
                                                     .is_always_valid = kind == JSON_TRUE,
                                                     .is_never_valid = kind == JSON_FALSE};
    return *known;
}

/* --- the whole ------------------------------------------------------------------------------- */

/* Every subschema that a dynamic reference could lead to, since any may be in scope. */
static void add_dynamic_targets(struct compiler *c)
{
    for (uint32_t i = 0; i < c->anchor_count && c->program->dynamic_anchor_count; i++) {
        const struct anchor *anchor = &c->anchors[i];
        for (uint32_t d = 0; anchor->is_dynamic && d < c->program->dynamic_anchor_count; d++) {
            if (bytes_equal(c->program->dynamic_anchors[d].name, anchor->name))
                (void)compiler_subschema(c, c->resources[anchor->resource].source, anchor->node);
        }
    }
}

static void fill_dynamic_anchor(struct compiler *c, struct dynamic_anchor *dynamic)
{
    struct dynamic_target *targets = compiler_take(c, sizeof(*targets) * (c->anchor_count + 1));
    if (!targets)
        return;
    for (uint32_t i = 0; i < c->anchor_count; i++) {
        const struct anchor *anchor = &c->anchors[i];
        if (anchor->is_dynamic && bytes_equal(anchor->name, dynamic->name))
            targets[dynamic->target_count++] = (struct dynamic_target){
                anchor->resource,
                compiler_subschema(c, c->resources[anchor->resource].source, anchor->node)};
    }
    dynamic->targets = targets;
}

static void compile_all(struct compiler *c)
{
    uint32_t next = 0;
    while (c->status == STATUS_OK && next < c->program->subschema_count) {
        compiler_compile(c, next++);
        if (next == c->program->subschema_count)
            add_dynamic_targets(c);
    }
    for (uint32_t i = 0; i < c->program->dynamic_anchor_count && c->status == STATUS_OK; i++)
        fill_dynamic_anchor(c, &c->program->dynamic_anchors[i]);
}

static void compiler_fini(struct compiler *c)
{
    for (uint32_t i = 0; i < c->program->source_count; i++) {
        struct schema_source *source = c->program->sources[i];
        free(source->resource_of);
        free(source->schema_of);
        source->resource_of = source->schema_of = NULL;
    }
    for (uint32_t i = 0; i < c->dialect_count; i++)
        schema_free(c->dialects[i].metaschema);
    free(c->resources);
    free(c->anchors);
    buf_fini(&c->scratch);
}

enum status schema_compile_text(struct bytes uri, struct bytes text,
                                const struct schema_options *options, unsigned depth,
                                struct schema **ret_schema, struct schema_fault *ret_fault)
{
    struct schema *program = calloc(1, sizeof(*program));
    if (program)
        program->arena = arena_new(16384 + text.len);
    if (!program || !program->arena) {
        free(program);
        return STATUS_NO_MEMORY;
    }
    struct compiler c = {
        .program = program, .options = options, .fault = ret_fault, .depth = depth};
    c.is_trusted = depth > 0 && compiler_is_embedded(uri);
    uint32_t source = compiler_add_source(&c, uri, text);
    if (c.status == STATUS_OK)
        (void)compiler_subschema(&c, source, 0); /* the root is number 0 */
    compile_all(&c);
    if (c.status == STATUS_OK)
        compiler_check_cycles(&c);
    enum status status = c.status;
    compiler_fini(&c);
    if (status != STATUS_OK) {
        schema_free(program);
        return status;
    }
    *ret_schema = program;
    return STATUS_OK;
}

enum status schema_compile(const struct json_doc *doc, uint32_t node,
                           const struct schema_options *options, struct schema **ret_schema,
                           struct schema_fault *ret_fault)
{
    const char *uri = options->base_uri ? options->base_uri : DEFAULT_URI;
    *ret_fault = (struct schema_fault){0};
    *ret_schema = NULL;
    return schema_compile_text(bytes_of_str(uri), json_text(doc, node), options, 0, ret_schema,
                               ret_fault);
}

void schema_fault_fini(struct schema_fault *fault)
{
    buf_fini(&fault->pointer);
}

void schema_free(struct schema *schema)
{
    if (!schema)
        return;
    for (uint32_t i = 0; i < schema->source_count; i++)
        json_doc_fini(&schema->sources[i]->doc);
    for (uint32_t i = 0; i < schema->regex_count; i++)
        regex_free(schema->regexes[i]);
    free(schema->sources);
    free(schema->subschemas);
    free(schema->checks);
    free(schema->dynamic_anchors);
    free(schema->regexes);
    arena_free(schema->arena);
    free(schema);
}

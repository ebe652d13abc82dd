/*
 * schema: JSON Schema 2020-12, compiled once to a compact program, run against scanned documents.
 *
 * Everything of the draft's core, applicator, validation, unevaluated, format, content and metadata
 * vocabularies; references are resolved from the schema itself and from files that the caller
 * offers, never from the network. `format` is asserted when asked for. A keyword of an unknown
 * vocabulary that the metaschema requires is refused at load.
 *
 * Threads: a compiled schema is immutable and shared freely. A `schema_run` is scratch memory that
 * one thread reuses for document after document; while a document is valid nothing is allocated.
 */
#pragma once

#include "schemas/json.h"

struct schema;

/* Where `$ref` to another document looks. Answers the JSON text of the schema with that absolute
 * URI (without fragment), or STATUS_NOT_FOUND. The text must outlive the compilation. */
typedef enum status schema_resolver(void *context, struct bytes uri, struct bytes *ret_text);

struct schema_options {
    schema_resolver *resolve; /* NULL: only the schema itself and the 2020-12 metaschemas */
    void *context;
    bool assert_format;
    const char *base_uri; /* of a schema without `$id`; NULL: "postern:/schema" */
    /* A member that the root object always knows, as if `properties` named it ("id" for records);
     * NULL: none. Static. */
    const char *root_member;
};

struct schema_fault {
    struct buf pointer; /* RFC 6901 into the schema document */
    char detail[768];   /* one sentence */
};

/* Compile the value at `node`. Copies what it needs: neither doc nor text is used afterwards.
 * STATUS_INVALID: not a valid 2020-12 schema, an unresolvable reference, a pattern that does not
 * compile; `ret_fault` says where and why (schema_fault_fini). */
MUST_CHECK enum status schema_compile(const struct json_doc *doc, uint32_t node,
                                      const struct schema_options *options,
                                      struct schema **ret_schema, struct schema_fault *ret_fault);
void schema_fault_fini(struct schema_fault *fault);
void schema_free(struct schema *schema);

/* One way in which a document breaks a schema. All views live until the run is used again. */
struct violation {
    struct bytes pointer;        /* RFC 6901 into the instance */
    struct bytes schema_pointer; /* into the schema, through references */
    const char *keyword;         /* static: "format", "required", … */
    struct bytes detail;         /* a sentence: must be an RFC 3339 date-time, got "tomorrow" */
};

#define VIOLATIONS_MAX 50

/* A member that no part of the schema knows (named by no `properties`, `patternProperties` or
 * schema-valued `additionalProperties` that applied). */
struct unknown_member {
    struct bytes pointer; /* to the member */
    struct bytes detail;  /* not a known member; did you mean "priority"? */
};

struct schema_budget {
    uint32_t nodes; /* keyword applications; 0: 1,000,000 */
    uint32_t ms;    /* 0: 100 */
};

struct schema_run; /* scratch memory and the result of the last schema_check */
struct schema_run *schema_run_new(void); /* NULL: no memory */
void schema_run_free(struct schema_run *run);

/* STATUS_OK: valid. STATUS_INVALID: see the violations. STATUS_LIMIT: the budget was used up before
 * an answer was found. STATUS_NO_MEMORY. */
MUST_CHECK enum status schema_check(const struct schema *schema, struct schema_run *run,
                                    const struct json_doc *doc, uint32_t node,
                                    const struct schema_budget *budget);
/* At most VIOLATIONS_MAX, in document order of first discovery. */
const struct violation *schema_violations(const struct schema_run *run, size_t *ret_count);
/* Also for valid documents; at most VIOLATIONS_MAX; collected only on request, right after the
 * check of the same document (which has seen, in passing, whether there are any). */
const struct unknown_member *schema_unknown_members(const struct schema *schema,
                                                    struct schema_run *run,
                                                    const struct json_doc *doc, uint32_t node,
                                                    size_t *ret_count);

/*
 * schema_program: what a schema is compiled to. Shared by the compiler (schema_compile*.c), the
 * checker (schema_check.c) and its messages (schema_detail.c); nobody else includes it.
 *
 * A program is a flat array of subschemas. Each has the types it allows as a bit mask and a range
 * of checks; a check is an operation, the kinds of values it applies to, and its operand. Keywords
 * that look at the same thing are fused: one pass over an object's members serves `properties`,
 * `patternProperties`, `additionalProperties`, `required`, `dependentRequired` and
 * `dependentSchemas` through one hash table of names.
 *
 * Names, numbers and values in it are views into the program's own copies of the schema texts.
 * To add a keyword, start at KEYWORDS in schema_keywords.c.
 */
#pragma once

#include "base/arena.h"
#include "schemas/decimal.h"
#include "schemas/format.h"
#include "schemas/regex.h"
#include "schemas/schema.h"
#include "schemas/value_set.h"

#define SUBSCHEMA_NONE UINT32_MAX

/* Every keyword that means something to us, in the order of KEYWORDS. */
enum keyword {
    KEYWORD_SCHEMA,
    KEYWORD_VOCABULARY,
    KEYWORD_ID,
    KEYWORD_ANCHOR,
    KEYWORD_DYNAMIC_ANCHOR,
    KEYWORD_REF,
    KEYWORD_DYNAMIC_REF,
    KEYWORD_DEFS,
    KEYWORD_DEFINITIONS,
    KEYWORD_TYPE,
    KEYWORD_ENUM,
    KEYWORD_CONST,
    KEYWORD_MULTIPLE_OF,
    KEYWORD_MAXIMUM,
    KEYWORD_EXCLUSIVE_MAXIMUM,
    KEYWORD_MINIMUM,
    KEYWORD_EXCLUSIVE_MINIMUM,
    KEYWORD_MAX_LENGTH,
    KEYWORD_MIN_LENGTH,
    KEYWORD_PATTERN,
    KEYWORD_FORMAT,
    KEYWORD_MAX_ITEMS,
    KEYWORD_MIN_ITEMS,
    KEYWORD_UNIQUE_ITEMS,
    KEYWORD_MAX_PROPERTIES,
    KEYWORD_MIN_PROPERTIES,
    KEYWORD_PREFIX_ITEMS,
    KEYWORD_ITEMS,
    KEYWORD_CONTAINS,
    KEYWORD_MAX_CONTAINS,
    KEYWORD_MIN_CONTAINS,
    KEYWORD_PROPERTIES,
    KEYWORD_PATTERN_PROPERTIES,
    KEYWORD_ADDITIONAL_PROPERTIES,
    KEYWORD_REQUIRED,
    KEYWORD_DEPENDENT_REQUIRED,
    KEYWORD_DEPENDENT_SCHEMAS,
    KEYWORD_DEPENDENCIES,
    KEYWORD_PROPERTY_NAMES,
    KEYWORD_ALL_OF,
    KEYWORD_ANY_OF,
    KEYWORD_ONE_OF,
    KEYWORD_NOT,
    KEYWORD_IF,
    KEYWORD_THEN,
    KEYWORD_ELSE,
    KEYWORD_UNEVALUATED_ITEMS,
    KEYWORD_UNEVALUATED_PROPERTIES,
    KEYWORD_CONTENT_SCHEMA,
    KEYWORD_COUNT, /* also: none of them */
};

enum vocabulary {
    VOCABULARY_CORE = 1,
    VOCABULARY_APPLICATOR = 2,
    VOCABULARY_UNEVALUATED = 4,
    VOCABULARY_VALIDATION = 8,
    VOCABULARY_META_DATA = 16,
    VOCABULARY_FORMAT_ANNOTATION = 32,
    VOCABULARY_FORMAT_ASSERTION = 64,
    VOCABULARY_CONTENT = 128,
};
#define VOCABULARIES_2020_12                                                                       \
    (VOCABULARY_CORE | VOCABULARY_APPLICATOR | VOCABULARY_UNEVALUATED | VOCABULARY_VALIDATION |    \
     VOCABULARY_META_DATA | VOCABULARY_FORMAT_ANNOTATION | VOCABULARY_CONTENT)

/* What a keyword's value holds: where subschemas stand within a schema. */
enum keyword_holds { HOLDS_NOTHING, HOLDS_SCHEMA, HOLDS_SCHEMA_LIST, HOLDS_SCHEMA_MAP };

struct keyword_info {
    const char *name;
    enum vocabulary vocabulary; /* ignored where the dialect leaves the vocabulary out */
    enum keyword_holds holds;
};
extern const struct keyword_info KEYWORDS[KEYWORD_COUNT];
/* KEYWORD_COUNT: unknown. `name` is a member's name node. */
enum keyword keyword_find(const struct json_doc *doc, uint32_t name);

/* Masks of value kinds: one bit per enum json_kind, and one for `"type": "integer"`. */
#define KIND_BIT(kind) ((uint8_t)(1u << (kind)))
#define KINDS_INTEGER 0x80u
#define KINDS_ANY 0x7Fu

static inline bool kinds_include(uint8_t kinds, enum json_kind kind)
{
    return kinds >> kind & 1;
}

enum check_op {
    CHECK_VALUES, /* enum, const */
    CHECK_MULTIPLE_OF,
    CHECK_MAXIMUM,
    CHECK_EXCLUSIVE_MAXIMUM,
    CHECK_MINIMUM,
    CHECK_EXCLUSIVE_MINIMUM,
    CHECK_MAX_LENGTH,
    CHECK_MIN_LENGTH,
    CHECK_PATTERN,
    CHECK_FORMAT,
    CHECK_MAX_ITEMS,
    CHECK_MIN_ITEMS,
    CHECK_UNIQUE_ITEMS,
    CHECK_MAX_PROPERTIES,
    CHECK_MIN_PROPERTIES,
    CHECK_ITEMS,
    CHECK_CONTAINS,
    CHECK_MEMBERS,
    CHECK_PROPERTY_NAMES,
    CHECK_REF,
    CHECK_DYNAMIC_REF,
    CHECK_ALL_OF,
    CHECK_ANY_OF,
    CHECK_ONE_OF,
    CHECK_NOT,
    CHECK_IF,
    CHECK_UNEVALUATED_ITEMS,
    CHECK_UNEVALUATED_PROPERTIES,
};

/* What the schema says of one member name. */
struct member_rule {
    struct bytes name;              /* resolved */
    uint32_t hash;                  /* json_name_hash of it */
    uint32_t schema;                /* of `properties`, or SUBSCHEMA_NONE */
    uint32_t dependent_schema;      /* or SUBSCHEMA_NONE */
    const struct bytes *companions; /* dependentRequired */
    uint32_t companion_count;
    bool is_known; /* named by `properties` */
    bool is_required;
    bool is_used; /* the slot of the table is taken */
};

struct pattern_rule {
    const struct regex *regex;
    uint32_t schema;
};

struct member_rules {
    struct member_rule *slots; /* open addressing, linear probing; NULL: no names */
    uint32_t slot_mask;
    const struct bytes *required; /* in the schema's order, for messages */
    uint32_t required_count;
    uint32_t pattern_count;
    const struct pattern_rule *patterns;
    uint32_t additional;     /* or SUBSCHEMA_NONE */
    bool is_described;       /* has `properties`: unknown members are worth a word */
    bool is_additional_open; /* `additionalProperties` is a boolean, or absent */
};

struct item_rules {
    const uint32_t *prefix;
    uint32_t prefix_count;
    uint32_t rest; /* of `items`, or SUBSCHEMA_NONE */
};

struct contains_rule {
    uint32_t schema;
    uint64_t min;
    uint64_t max; /* UINT64_MAX: none */
};

struct branch_rule {
    uint32_t condition;
    uint32_t then; /* or SUBSCHEMA_NONE, as the next */
    uint32_t otherwise;
};

struct subschema_list {
    const uint32_t *schemas;
    uint32_t count;
};

/* All `$dynamicAnchor`s of one name, by the resource they stand in. */
struct dynamic_target {
    uint32_t resource;
    uint32_t schema;
};
struct dynamic_anchor {
    struct bytes name;
    const struct dynamic_target *targets;
    uint32_t target_count;
};

struct check {
    uint8_t op;
    uint8_t kinds;   /* the check applies to these */
    uint8_t keyword; /* enum keyword that it is reported under */
    uint32_t node;   /* the keyword's value, in the subschema's source */
    union {
        uint32_t schema;
        uint64_t limit;
        const struct decimal_limit *number;
        const struct value_set *values;
        const struct regex *regex;
        const struct format *format;
        const struct member_rules *members;
        const struct item_rules *items;
        const struct contains_rule *contains;
        const struct branch_rule *branch;
        struct subschema_list list;
        struct {
            uint32_t anchor;   /* index into the program's dynamic anchors */
            uint32_t fallback; /* where the reference leads lexically */
        } dynamic;
    };
};

struct subschema {
    uint32_t source; /* where it stands: which text, and which node of it */
    uint32_t node;
    uint32_t resource;
    uint32_t first_check;
    uint32_t check_count;
    uint32_t value_check_count; /* so many come first: those that look at the value alone */
    uint8_t kinds;              /* what `type` allows; KINDS_ANY without it; none: `false` */
    bool is_always_valid;       /* `true`, `{}` and the like */
    bool is_never_valid;        /* `false` */
};

/* One schema text that the program was made from. */
struct schema_source {
    struct bytes uri;
    struct json_doc doc;
    uint32_t *resource_of; /* while compiling: by node; resource, SUBSCHEMA_NONE if not a schema */
    uint32_t *schema_of;   /* while compiling: by node; subschema, SUBSCHEMA_NONE if none yet */
};

struct schema {
    struct arena *arena; /* everything that is not an array below */
    struct schema_source **sources;
    uint32_t source_count;
    struct subschema *subschemas; /* [0] is the root */
    uint32_t subschema_count;
    struct check *checks;
    uint32_t check_count;
    struct dynamic_anchor *dynamic_anchors;
    uint32_t dynamic_anchor_count;
    struct regex **regexes;
    uint32_t regex_count;
    bool has_unevaluated;
    bool has_scopes; /* uses `$dynamicRef` */
};

static inline const struct json_doc *subschema_doc(const struct schema *schema,
                                                   const struct subschema *subschema)
{
    return &schema->sources[subschema->source]->doc;
}

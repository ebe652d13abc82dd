/*
 * The keywords, as data: which vocabulary each belongs to and where subschemas stand in it. A new
 * keyword gets a row here, a line in enum keyword, and a step in schema_compile.c.
 */
#include "schemas/schema_program.h"

const struct keyword_info KEYWORDS[KEYWORD_COUNT] = {
    [KEYWORD_SCHEMA] = {"$schema", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_VOCABULARY] = {"$vocabulary", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_ID] = {"$id", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_ANCHOR] = {"$anchor", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_DYNAMIC_ANCHOR] = {"$dynamicAnchor", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_REF] = {"$ref", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_DYNAMIC_REF] = {"$dynamicRef", VOCABULARY_CORE, HOLDS_NOTHING},
    [KEYWORD_DEFS] = {"$defs", VOCABULARY_CORE, HOLDS_SCHEMA_MAP},
    [KEYWORD_DEFINITIONS] = {"definitions", VOCABULARY_CORE, HOLDS_SCHEMA_MAP},
    [KEYWORD_TYPE] = {"type", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_ENUM] = {"enum", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_CONST] = {"const", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MULTIPLE_OF] = {"multipleOf", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MAXIMUM] = {"maximum", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_EXCLUSIVE_MAXIMUM] = {"exclusiveMaximum", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MINIMUM] = {"minimum", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_EXCLUSIVE_MINIMUM] = {"exclusiveMinimum", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MAX_LENGTH] = {"maxLength", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MIN_LENGTH] = {"minLength", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_PATTERN] = {"pattern", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_FORMAT] = {"format", VOCABULARY_CORE, HOLDS_NOTHING}, /* see compile_format() */
    [KEYWORD_MAX_ITEMS] = {"maxItems", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MIN_ITEMS] = {"minItems", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_UNIQUE_ITEMS] = {"uniqueItems", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MAX_PROPERTIES] = {"maxProperties", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MIN_PROPERTIES] = {"minProperties", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_PREFIX_ITEMS] = {"prefixItems", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_LIST},
    [KEYWORD_ITEMS] = {"items", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_CONTAINS] = {"contains", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_MAX_CONTAINS] = {"maxContains", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_MIN_CONTAINS] = {"minContains", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_PROPERTIES] = {"properties", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_MAP},
    [KEYWORD_PATTERN_PROPERTIES] = {"patternProperties", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_MAP},
    [KEYWORD_ADDITIONAL_PROPERTIES] = {"additionalProperties", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_REQUIRED] = {"required", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_DEPENDENT_REQUIRED] = {"dependentRequired", VOCABULARY_VALIDATION, HOLDS_NOTHING},
    [KEYWORD_DEPENDENT_SCHEMAS] = {"dependentSchemas", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_MAP},
    /* Of earlier drafts; 2020-12 lets an implementation keep it (validation, appendix C). */
    [KEYWORD_DEPENDENCIES] = {"dependencies", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_MAP},
    [KEYWORD_PROPERTY_NAMES] = {"propertyNames", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_ALL_OF] = {"allOf", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_LIST},
    [KEYWORD_ANY_OF] = {"anyOf", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_LIST},
    [KEYWORD_ONE_OF] = {"oneOf", VOCABULARY_APPLICATOR, HOLDS_SCHEMA_LIST},
    [KEYWORD_NOT] = {"not", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_IF] = {"if", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_THEN] = {"then", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_ELSE] = {"else", VOCABULARY_APPLICATOR, HOLDS_SCHEMA},
    [KEYWORD_UNEVALUATED_ITEMS] = {"unevaluatedItems", VOCABULARY_UNEVALUATED, HOLDS_SCHEMA},
    [KEYWORD_UNEVALUATED_PROPERTIES] = {"unevaluatedProperties", VOCABULARY_UNEVALUATED,
                                        HOLDS_SCHEMA},
    [KEYWORD_CONTENT_SCHEMA] = {"contentSchema", VOCABULARY_CONTENT, HOLDS_SCHEMA},
};

enum keyword keyword_find(const struct json_doc *doc, uint32_t name)
{
    for (int i = 0; i < KEYWORD_COUNT; i++) {
        if (json_string_equals(doc, name, bytes_of_str(KEYWORDS[i].name)))
            return (enum keyword)i;
    }
    return KEYWORD_COUNT;
}

const struct member_rule *member_rules_find(const struct member_rules *rules,
                                            const struct json_doc *doc, uint32_t name)
{
    uint32_t hash = doc->nodes[name].count;
    if (!rules->slots)
        return NULL;
    for (uint32_t i = hash & rules->slot_mask;; i = (i + 1) & rules->slot_mask) {
        const struct member_rule *rule = &rules->slots[i];
        if (!rule->is_used)
            return NULL;
        if (rule->hash == hash && json_string_equals(doc, name, rule->name))
            return rule;
    }
}

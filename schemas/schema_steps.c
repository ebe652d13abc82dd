/*
 * One subschema: its keywords become checks. Which keywords it has is looked up once; then the
 * steps are gone through: those that look at the value alone first (the checker relies on it), and
 * `unevaluated…` last (it needs what the others have seen).
 *
 * The metaschema has been checked before (schema_refs.c), but a custom one may allow anything, so
 * each step still looks at its operand's type. To add a keyword, start at
 * VALUE_STEPS and STRUCTURE_STEPS.
 */
#include "schemas/schema_compiler.h"

#include "base/must.h"

struct body {
    struct compiler *c;
    const struct json_doc *doc;
    uint32_t source;
    uint32_t node;
    uint32_t index;             /* of the subschema */
    uint32_t at[KEYWORD_COUNT]; /* the keyword's value, JSON_NONE where it is absent */
};

#define MASK_NUMBER KIND_BIT(JSON_NUMBER)
#define MASK_STRING KIND_BIT(JSON_STRING)
#define MASK_ARRAY KIND_BIT(JSON_ARRAY)
#define MASK_OBJECT KIND_BIT(JSON_OBJECT)

static void body_fault(struct body *b, uint32_t node, const char *what)
{
    compiler_fault(b->c, b->source, node, "%s", what);
}

/* Append a check; NULL after a failure. The pointer holds until the next one. */
static struct check *add_check(struct body *b, enum check_op op, uint8_t kinds,
                               enum keyword keyword)
{
    struct compiler *c = b->c;
    if (!compiler_grow(c, &c->program->checks, c->program->check_count, &c->check_capacity,
                       sizeof(*c->program->checks)))
        return NULL;
    struct check *check = &c->program->checks[c->program->check_count++];
    *check = (struct check){
        .op = (uint8_t)op, .kinds = kinds, .keyword = (uint8_t)keyword, .node = b->at[keyword]};
    return check;
}

static uint32_t child(struct body *b, enum keyword keyword)
{
    return b->at[keyword] == JSON_NONE ? SUBSCHEMA_NONE
                                       : compiler_subschema(b->c, b->source, b->at[keyword]);
}

static bool is_kind(struct body *b, uint32_t node, enum json_kind kind, const char *complaint)
{
    if (json_kind_of(b->doc, node) == kind)
        return true;
    body_fault(b, node, complaint);
    return false;
}

static struct bytes keep_text(struct body *b, uint32_t node)
{
    buf_clear(&b->c->scratch);
    struct bytes view = json_string(b->doc, node, &b->c->scratch);
    struct bytes kept = arena_copy(b->c->program->arena, view);
    if (!kept.data)
        compiler_no_memory(b->c);
    return kept;
}

/* --- type, enum, const, numbers, strings ----------------------------------------------------- */

static uint8_t type_mask(struct body *b, uint32_t node)
{
    static const struct {
        const char *name;
        uint8_t mask;
    } TYPES[] = {
        {"null", KIND_BIT(JSON_NULL)},     {"boolean", KIND_BIT(JSON_FALSE) | KIND_BIT(JSON_TRUE)},
        {"number", KIND_BIT(JSON_NUMBER)}, {"integer", KINDS_INTEGER},
        {"string", KIND_BIT(JSON_STRING)}, {"array", KIND_BIT(JSON_ARRAY)},
        {"object", KIND_BIT(JSON_OBJECT)}};
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++) {
        if (json_kind_of(b->doc, node) == JSON_STRING &&
            json_string_equals(b->doc, node, bytes_of_str(TYPES[i].name)))
            return TYPES[i].mask;
    }
    body_fault(b, node,
               "is not a type: must be one of \"null\", \"boolean\", \"number\", "
               "\"integer\", \"string\", \"array\", \"object\"");
    return 0;
}

static void compile_type(struct body *b)
{
    uint32_t node = b->at[KEYWORD_TYPE];
    uint8_t mask = 0;
    if (node == JSON_NONE)
        return;
    if (json_kind_of(b->doc, node) != JSON_ARRAY)
        mask = type_mask(b, node);
    else
        for (uint32_t i = json_first(b->doc, node); i != JSON_NONE; i = json_after(b->doc, node, i))
            mask |= type_mask(b, i);
    b->c->program->subschemas[b->index].kinds = mask;
}

static const struct value_set *make_values(struct body *b, uint32_t node, bool is_list)
{
    uint32_t slot_count = value_set_slots(is_list ? b->doc->nodes[node].count : 1);
    struct value_set *set = compiler_take(b->c, sizeof(*set));
    struct value_slot *slots = compiler_take(b->c, sizeof(*slots) * slot_count);
    if (!set || !slots)
        return NULL;
    value_set_init(set, b->doc, slots, slot_count);
    if (!is_list)
        (void)value_set_add(set, node, &b->c->scratch); /* the first cannot be a repetition */
    else
        for (uint32_t i = json_first(b->doc, node); i != JSON_NONE; i = json_after(b->doc, node, i))
            (void)value_set_add(set, i, &b->c->scratch); /* a repetition changes nothing */
    return set;
}

static void compile_values(struct body *b)
{
    struct check *check;
    uint32_t list = b->at[KEYWORD_ENUM], value = b->at[KEYWORD_CONST];
    if (list != JSON_NONE && is_kind(b, list, JSON_ARRAY, "must be an array")) {
        const struct value_set *set = make_values(b, list, true);
        if ((check = add_check(b, CHECK_VALUES, KINDS_ANY, KEYWORD_ENUM)))
            check->values = set;
    }
    if (value != JSON_NONE) {
        const struct value_set *set = make_values(b, value, false);
        if ((check = add_check(b, CHECK_VALUES, KINDS_ANY, KEYWORD_CONST)))
            check->values = set;
    }
}

static void compile_number(struct body *b, enum keyword keyword, enum check_op op)
{
    uint32_t node = b->at[keyword];
    if (node == JSON_NONE || !is_kind(b, node, JSON_NUMBER, "must be a number"))
        return;
    struct decimal_limit *number = compiler_take(b->c, sizeof(*number));
    if (!number)
        return;
    *number = decimal_limit_of(json_raw(b->doc, node));
    if (op == CHECK_MULTIPLE_OF && decimal_compare_limit(bytes_of_str("0"), number) >= 0)
        body_fault(b, node, "must be greater than 0");
    struct check *check = add_check(b, op, MASK_NUMBER, keyword);
    if (check)
        check->number = number;
}

static void compile_numbers(struct body *b)
{
    compile_number(b, KEYWORD_MINIMUM, CHECK_MINIMUM);
    compile_number(b, KEYWORD_EXCLUSIVE_MINIMUM, CHECK_EXCLUSIVE_MINIMUM);
    compile_number(b, KEYWORD_MAXIMUM, CHECK_MAXIMUM);
    compile_number(b, KEYWORD_EXCLUSIVE_MAXIMUM, CHECK_EXCLUSIVE_MAXIMUM);
    compile_number(b, KEYWORD_MULTIPLE_OF, CHECK_MULTIPLE_OF);
}

static uint64_t read_count(struct body *b, uint32_t node)
{
    uint64_t count = 0;
    if (json_kind_of(b->doc, node) != JSON_NUMBER ||
        !decimal_to_u64(json_raw(b->doc, node), &count))
        body_fault(b, node, "must be a whole number that is not negative");
    return count;
}

static void compile_limit(struct body *b, enum keyword keyword, enum check_op op, uint8_t kinds)
{
    if (b->at[keyword] == JSON_NONE)
        return;
    uint64_t limit = read_count(b, b->at[keyword]);
    struct check *check = add_check(b, op, kinds, keyword);
    if (check)
        check->limit = limit;
}

/* Compiled and owned by the program. NULL after a failure. */
static const struct regex *make_regex(struct body *b, uint32_t node)
{
    struct compiler *c = b->c;
    struct err err = {0};
    struct regex *regex = NULL;
    if (!compiler_grow(c, &c->program->regexes, c->program->regex_count, &c->regex_capacity,
                       sizeof(struct regex *)))
        return NULL;
    enum status status = regex_new(keep_text(b, node), &regex, &err);
    if (status == STATUS_INVALID)
        compiler_fault(c, b->source, node, "is not a regular expression: %s", err.text);
    else if (status != STATUS_OK)
        compiler_no_memory(c);
    else
        c->program->regexes[c->program->regex_count++] = regex;
    return regex;
}

static void compile_format(struct body *b)
{
    uint32_t node = b->at[KEYWORD_FORMAT], resource;
    resource = b->c->program->sources[b->source]->resource_of[b->node];
    bool is_asserted = b->c->resources[resource].vocabularies & VOCABULARY_FORMAT_ASSERTION;
    if (node == JSON_NONE || (!is_asserted && !b->c->options->assert_format) ||
        !is_kind(b, node, JSON_STRING, "must be a string"))
        return;
    const struct format *format = format_find(keep_text(b, node));
    if (!format && is_asserted)
        body_fault(b, node, "is not a format that can be asserted");
    if (!format)
        return; /* an annotation */
    struct check *check = add_check(b, CHECK_FORMAT, MASK_STRING, KEYWORD_FORMAT);
    if (check)
        check->format = format;
}

static void compile_strings(struct body *b)
{
    uint32_t pattern = b->at[KEYWORD_PATTERN];
    compile_limit(b, KEYWORD_MIN_LENGTH, CHECK_MIN_LENGTH, MASK_STRING);
    compile_limit(b, KEYWORD_MAX_LENGTH, CHECK_MAX_LENGTH, MASK_STRING);
    compile_format(b);
    if (pattern != JSON_NONE && is_kind(b, pattern, JSON_STRING, "must be a string")) {
        const struct regex *regex = make_regex(b, pattern);
        struct check *check = add_check(b, CHECK_PATTERN, MASK_STRING, KEYWORD_PATTERN);
        if (check)
            check->regex = regex;
    }
}

static void compile_counts(struct body *b)
{
    compile_limit(b, KEYWORD_MIN_ITEMS, CHECK_MIN_ITEMS, MASK_ARRAY);
    compile_limit(b, KEYWORD_MAX_ITEMS, CHECK_MAX_ITEMS, MASK_ARRAY);
    compile_limit(b, KEYWORD_MIN_PROPERTIES, CHECK_MIN_PROPERTIES, MASK_OBJECT);
    compile_limit(b, KEYWORD_MAX_PROPERTIES, CHECK_MAX_PROPERTIES, MASK_OBJECT);
}

/* --- arrays ---------------------------------------------------------------------------------- */

static struct subschema_list make_list(struct body *b, enum keyword keyword)
{
    uint32_t node = b->at[keyword];
    struct subschema_list list = {0};
    if (node == JSON_NONE || !is_kind(b, node, JSON_ARRAY, "must be an array of schemas"))
        return list;
    uint32_t *schemas = compiler_take(b->c, sizeof(*schemas) * b->doc->nodes[node].count);
    if (!schemas)
        return list;
    for (uint32_t i = json_first(b->doc, node); i != JSON_NONE; i = json_after(b->doc, node, i))
        schemas[list.count++] = compiler_subschema(b->c, b->source, i);
    list.schemas = schemas;
    return list;
}

static void compile_contains(struct body *b)
{
    if (b->at[KEYWORD_CONTAINS] == JSON_NONE)
        return;
    struct contains_rule *rule = compiler_take(b->c, sizeof(*rule));
    if (!rule)
        return;
    *rule = (struct contains_rule){child(b, KEYWORD_CONTAINS), 1, UINT64_MAX};
    if (b->at[KEYWORD_MIN_CONTAINS] != JSON_NONE)
        rule->min = read_count(b, b->at[KEYWORD_MIN_CONTAINS]);
    if (b->at[KEYWORD_MAX_CONTAINS] != JSON_NONE)
        rule->max = read_count(b, b->at[KEYWORD_MAX_CONTAINS]);
    struct check *check = add_check(b, CHECK_CONTAINS, MASK_ARRAY, KEYWORD_CONTAINS);
    if (check)
        check->contains = rule;
}

static void compile_arrays(struct body *b)
{
    uint32_t unique = b->at[KEYWORD_UNIQUE_ITEMS];
    if (unique != JSON_NONE && json_kind_of(b->doc, unique) == JSON_TRUE)
        (void)add_check(b, CHECK_UNIQUE_ITEMS, MASK_ARRAY, KEYWORD_UNIQUE_ITEMS); /* no operand */
    if (b->at[KEYWORD_PREFIX_ITEMS] != JSON_NONE || b->at[KEYWORD_ITEMS] != JSON_NONE) {
        struct item_rules *items = compiler_take(b->c, sizeof(*items));
        if (!items)
            return;
        struct subschema_list prefix = make_list(b, KEYWORD_PREFIX_ITEMS);
        *items = (struct item_rules){prefix.schemas, prefix.count, child(b, KEYWORD_ITEMS)};
        struct check *check = add_check(b, CHECK_ITEMS, MASK_ARRAY, KEYWORD_ITEMS);
        if (check)
            check->items = items;
    }
    compile_contains(b);
}

/* --- objects --------------------------------------------------------------------------------- */

/* The rule for a name, added if it is new. */
static struct member_rule *rule_for(struct member_rules *rules, struct bytes name)
{
    uint32_t hash = json_name_hash(name);
    for (uint32_t i = hash & rules->slot_mask;; i = (i + 1) & rules->slot_mask) {
        struct member_rule *rule = &rules->slots[i];
        if (!rule->is_used)
            *rule = (struct member_rule){.name = name,
                                         .hash = hash,
                                         .schema = SUBSCHEMA_NONE,
                                         .dependent_schema = SUBSCHEMA_NONE,
                                         .is_used = true};
        if (rule->hash == hash && bytes_equal(rule->name, name))
            return rule;
    }
}

static uint32_t count_of(struct body *b, enum keyword keyword, enum json_kind kind,
                         const char *complaint)
{
    uint32_t node = b->at[keyword];
    if (node == JSON_NONE || !is_kind(b, node, kind, complaint))
        return 0;
    return b->doc->nodes[node].count;
}

/* Names of a list of strings, kept. */
static struct bytes *keep_names(struct body *b, uint32_t list, uint32_t *ret_count)
{
    *ret_count = 0;
    if (!is_kind(b, list, JSON_ARRAY, "must be an array of strings"))
        return NULL;
    struct bytes *names = compiler_take(b->c, sizeof(*names) * b->doc->nodes[list].count);
    for (uint32_t i = json_first(b->doc, list); names && i != JSON_NONE;
         i = json_after(b->doc, list, i)) {
        if (!is_kind(b, i, JSON_STRING, "must be a string"))
            return NULL;
        names[(*ret_count)++] = keep_text(b, i);
    }
    return names;
}

static void fill_required(struct body *b, struct member_rules *rules)
{
    uint32_t count = 0;
    struct bytes *names = b->at[KEYWORD_REQUIRED] == JSON_NONE
                              ? NULL
                              : keep_names(b, b->at[KEYWORD_REQUIRED], &count);
    for (uint32_t i = 0; names && i < count; i++) {
        struct member_rule *rule = rule_for(rules, names[i]);
        if (!rule->is_required)
            names[rules->required_count++] = names[i];
        rule->is_required = true;
    }
    rules->required = names;
}

/* Names that must be there where `rule`'s is, beside those already demanded. */
static void add_companions(struct body *b, struct member_rule *rule, uint32_t list)
{
    uint32_t count = 0;
    struct bytes *names = keep_names(b, list, &count);
    struct bytes *all = compiler_take(b->c, sizeof(*all) * (rule->companion_count + count));
    if (!names || !all)
        return;
    if (rule->companion_count)
        memcpy(all, rule->companions, sizeof(*all) * rule->companion_count);
    memcpy(all + rule->companion_count, names, sizeof(*all) * count);
    rule->companions = all;
    rule->companion_count += count;
}

static void fill_rule(struct body *b, struct member_rule *rule, enum keyword keyword,
                      uint32_t value)
{
    bool is_list = json_kind_of(b->doc, value) == JSON_ARRAY;
    if (keyword == KEYWORD_PROPERTIES) {
        rule->is_known = true;
        rule->schema = compiler_subschema(b->c, b->source, value);
    } else if (keyword == KEYWORD_DEPENDENT_REQUIRED ||
               (keyword == KEYWORD_DEPENDENCIES && is_list)) {
        add_companions(b, rule, value);
    } else if (rule->dependent_schema == SUBSCHEMA_NONE) {
        rule->dependent_schema = compiler_subschema(b->c, b->source, value);
    } else {
        body_fault(b, value, "\"dependentSchemas\" says something about that member already");
    }
}

static void fill_named(struct body *b, struct member_rules *rules, enum keyword keyword)
{
    uint32_t object = b->at[keyword];
    if (object == JSON_NONE)
        return;
    for (uint32_t i = json_first(b->doc, object); i != JSON_NONE && b->c->status == STATUS_OK;
         i = json_after(b->doc, object, i))
        fill_rule(b, rule_for(rules, keep_text(b, i)), keyword, i + 1);
}

static void fill_patterns(struct body *b, struct member_rules *rules)
{
    uint32_t object = b->at[KEYWORD_PATTERN_PROPERTIES];
    uint32_t count = count_of(b, KEYWORD_PATTERN_PROPERTIES, JSON_OBJECT, "must be an object");
    if (!count)
        return;
    struct pattern_rule *patterns = compiler_take(b->c, sizeof(*patterns) * count);
    for (uint32_t i = json_first(b->doc, object); patterns && i != JSON_NONE;
         i = json_after(b->doc, object, i)) {
        const struct regex *regex = make_regex(b, i);
        patterns[rules->pattern_count++] =
            (struct pattern_rule){regex, compiler_subschema(b->c, b->source, i + 1)};
    }
    rules->patterns = patterns;
}

/* `id` is a member of every record, whether or not the type's schema names it. */
static void fill_root_member(struct body *b, struct member_rules *rules)
{
    const char *name = b->c->options->root_member; /* the option outlives the program */
    if (b->index != 0 || b->c->depth > 0 || !name)
        return;
    rule_for(rules, bytes_of_str(name))->is_known = true;
}

static bool is_boolean_schema(struct body *b, uint32_t node)
{
    return node == JSON_NONE || json_kind_of(b->doc, node) == JSON_TRUE ||
           json_kind_of(b->doc, node) == JSON_FALSE;
}

static void compile_members(struct body *b)
{
    static const enum keyword PARTS[] = {
        KEYWORD_PROPERTIES,  KEYWORD_PATTERN_PROPERTIES, KEYWORD_ADDITIONAL_PROPERTIES,
        KEYWORD_REQUIRED,    KEYWORD_DEPENDENT_REQUIRED, KEYWORD_DEPENDENT_SCHEMAS,
        KEYWORD_DEPENDENCIES};
    bool is_root = b->index == 0 && b->c->options->root_member && b->c->depth == 0;
    bool has_any = is_root;
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++)
        has_any |= b->at[PARTS[i]] != JSON_NONE;
    struct member_rules *rules = has_any ? compiler_take(b->c, sizeof(*rules)) : NULL;
    if (!rules)
        return;
    uint32_t names = count_of(b, KEYWORD_PROPERTIES, JSON_OBJECT, "must be an object") +
                     count_of(b, KEYWORD_REQUIRED, JSON_ARRAY, "must be an array of strings") +
                     count_of(b, KEYWORD_DEPENDENT_REQUIRED, JSON_OBJECT, "must be an object") +
                     count_of(b, KEYWORD_DEPENDENT_SCHEMAS, JSON_OBJECT, "must be an object") +
                     count_of(b, KEYWORD_DEPENDENCIES, JSON_OBJECT, "must be an object") + is_root;
    if (names) {
        uint32_t slot_count = value_set_slots(names);
        rules->slot_mask = slot_count - 1;
        rules->slots = compiler_take(b->c, sizeof(*rules->slots) * slot_count);
    }
    if (b->c->status == STATUS_OK && names) {
        fill_root_member(b, rules);
        fill_required(b, rules);
        fill_named(b, rules, KEYWORD_PROPERTIES);
        fill_named(b, rules, KEYWORD_DEPENDENT_REQUIRED);
        fill_named(b, rules, KEYWORD_DEPENDENT_SCHEMAS);
        fill_named(b, rules, KEYWORD_DEPENDENCIES);
    }
    fill_patterns(b, rules);
    rules->additional = child(b, KEYWORD_ADDITIONAL_PROPERTIES);
    rules->is_described = b->at[KEYWORD_PROPERTIES] != JSON_NONE;
    rules->is_additional_open = is_boolean_schema(b, b->at[KEYWORD_ADDITIONAL_PROPERTIES]);
    struct check *check = add_check(b, CHECK_MEMBERS, MASK_OBJECT, KEYWORD_PROPERTIES);
    if (check)
        check->members = rules;
}

static void compile_child(struct body *b, enum keyword keyword, enum check_op op, uint8_t kinds)
{
    uint32_t schema = child(b, keyword);
    struct check *check = schema == SUBSCHEMA_NONE ? NULL : add_check(b, op, kinds, keyword);
    if (check)
        check->schema = schema;
}

static void compile_objects(struct body *b)
{
    compile_members(b);
    compile_child(b, KEYWORD_PROPERTY_NAMES, CHECK_PROPERTY_NAMES, MASK_OBJECT);
}

/* --- references and combinations ------------------------------------------------------------- */

/* The program's number for a dynamic anchor's name. */
static uint32_t dynamic_anchor(struct compiler *c, struct bytes name)
{
    struct schema *program = c->program;
    for (uint32_t i = 0; i < program->dynamic_anchor_count; i++) {
        if (bytes_equal(program->dynamic_anchors[i].name, name))
            return i;
    }
    if (!compiler_grow(c, &program->dynamic_anchors, program->dynamic_anchor_count,
                       &c->dynamic_capacity, sizeof(*program->dynamic_anchors)))
        return 0;
    program->dynamic_anchors[program->dynamic_anchor_count] = (struct dynamic_anchor){.name = name};
    program->has_scopes = true;
    return program->dynamic_anchor_count++;
}

static void compile_reference(struct body *b, enum keyword keyword)
{
    uint32_t at = b->at[keyword], source, node;
    struct bytes name;
    struct compiler *c = b->c;
    if (at == JSON_NONE || !is_kind(b, at, JSON_STRING, "must be a string") ||
        !compiler_resolve(c, b->source, b->node, at, &source, &node, &name))
        return;
    uint32_t schema = compiler_subschema(c, source, node);
    /* Dynamic only if it leads to a `$dynamicAnchor` to begin with (core section 8.2.3.2). */
    uint32_t resource = c->program->sources[source]->resource_of[node];
    const struct anchor *anchor = name.len ? compiler_find_anchor(c, resource, name) : NULL;
    bool is_dynamic = keyword == KEYWORD_DYNAMIC_REF && anchor && anchor->is_dynamic;
    uint32_t number = is_dynamic ? dynamic_anchor(c, name) : 0;
    struct check *check =
        add_check(b, is_dynamic ? CHECK_DYNAMIC_REF : CHECK_REF, KINDS_ANY, keyword);
    if (!check)
        return;
    if (is_dynamic) {
        check->dynamic.anchor = number;
        check->dynamic.fallback = schema;
    } else {
        check->schema = schema;
    }
}

static void compile_list(struct body *b, enum keyword keyword, enum check_op op)
{
    if (b->at[keyword] == JSON_NONE)
        return;
    struct subschema_list list = make_list(b, keyword);
    if (!list.count)
        body_fault(b, b->at[keyword], "must not be empty");
    struct check *check = add_check(b, op, KINDS_ANY, keyword);
    if (check)
        check->list = list;
}

static void compile_branch(struct body *b)
{
    if (b->at[KEYWORD_IF] == JSON_NONE)
        return;
    struct branch_rule *branch = compiler_take(b->c, sizeof(*branch));
    if (!branch)
        return;
    *branch =
        (struct branch_rule){child(b, KEYWORD_IF), child(b, KEYWORD_THEN), child(b, KEYWORD_ELSE)};
    struct check *check = add_check(b, CHECK_IF, KINDS_ANY, KEYWORD_IF);
    if (check)
        check->branch = branch;
}

static void compile_combinations(struct body *b)
{
    compile_reference(b, KEYWORD_REF);
    compile_reference(b, KEYWORD_DYNAMIC_REF);
    compile_list(b, KEYWORD_ALL_OF, CHECK_ALL_OF);
    compile_list(b, KEYWORD_ANY_OF, CHECK_ANY_OF);
    compile_list(b, KEYWORD_ONE_OF, CHECK_ONE_OF);
    compile_child(b, KEYWORD_NOT, CHECK_NOT, KINDS_ANY);
    compile_branch(b);
    if (b->at[KEYWORD_UNEVALUATED_ITEMS] != JSON_NONE ||
        b->at[KEYWORD_UNEVALUATED_PROPERTIES] != JSON_NONE)
        b->c->program->has_unevaluated = true;
    compile_child(b, KEYWORD_UNEVALUATED_ITEMS, CHECK_UNEVALUATED_ITEMS, MASK_ARRAY);
    compile_child(b, KEYWORD_UNEVALUATED_PROPERTIES, CHECK_UNEVALUATED_PROPERTIES, MASK_OBJECT);
}

/* Of the value alone; then of what is below it, and of other subschemas. */
static void (*const VALUE_STEPS[])(struct body *) = {
    compile_type, compile_values, compile_numbers, compile_strings, compile_counts, NULL};
static void (*const STRUCTURE_STEPS[])(struct body *) = {compile_arrays, compile_objects,
                                                         compile_combinations, NULL};

/* How many checks they add. */
static uint32_t take_steps(struct body *b, void (*const *steps)(struct body *))
{
    uint32_t before = b->c->program->check_count;
    for (; *steps && b->c->status == STATUS_OK; steps++)
        (*steps)(b);
    return b->c->program->check_count - before;
}

void compiler_compile(struct compiler *c, uint32_t index)
{
    struct schema *program = c->program;
    struct subschema at = program->subschemas[index];
    if (at.is_never_valid || at.is_always_valid)
        return;
    struct body b = {.c = c, .source = at.source, .node = at.node, .index = index};
    b.doc = &program->sources[at.source]->doc;
    memset(b.at, 0xFF, sizeof(b.at));
    uint32_t vocabularies = c->resources[at.resource].vocabularies;
    for (uint32_t i = json_first(b.doc, at.node); i != JSON_NONE;
         i = json_after(b.doc, at.node, i)) {
        enum keyword keyword = keyword_find(b.doc, i);
        if (keyword != KEYWORD_COUNT && vocabularies & KEYWORDS[keyword].vocabulary)
            b.at[keyword] = i + 1;
    }
    uint32_t first = program->check_count;
    uint32_t value_checks = take_steps(&b, VALUE_STEPS);
    uint32_t structure_checks = take_steps(&b, STRUCTURE_STEPS);
    struct subschema *done = &program->subschemas[index];
    done->first_check = first;
    done->value_check_count = value_checks;
    done->check_count = value_checks + structure_checks;
    done->is_always_valid = !done->check_count && done->kinds == KINDS_ANY;
}

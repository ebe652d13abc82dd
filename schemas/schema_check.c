/*
 * Design: the checker walks subschema and value together, on the C stack, bounded by
 * FRAME_DEPTH_MAX. First it runs fast: no messages, no memory, out at the first breach; most
 * documents are valid and end there. Only an invalid one is walked again, to the end, with a
 * finding for each breach. A subschema that looks at the value alone (most do) gets by without a
 * frame while the walk is fast.
 *
 * Combinations that can absorb a breach (anyOf, oneOf, not, if, contains) try their branches fast;
 * where all fail, the branch that came closest is walked again for its findings.
 *
 * What `unevaluated…` needs is a stack of marks: the name nodes and elements that were evaluated.
 * A branch that fails takes its marks back, and what is below a value is dropped when its parent
 * goes on, so the marks from a frame's start to the top are those of its own value.
 */
#include "schemas/schema_run.h"

#define MATCHES_PER_CLOCK 8

static bool apply(struct schema_run *run, const struct frame *parent, uint32_t schema,
                  uint32_t node, enum keyword via);

/* --- applying subschemas --------------------------------------------------------------------- */

static inline void mark(struct schema_run *run, uint32_t node)
{
    if (run->schema->has_unevaluated &&
        run_grow(run, &run->marks, run->mark_count, &run->mark_capacity, sizeof(*run->marks)))
        run->marks[run->mark_count++] = node;
}

/* To a value below this one: its marks are of no use up here. */
static bool apply_below(struct schema_run *run, const struct frame *frame, uint32_t schema,
                        uint32_t node, enum keyword via)
{
    uint32_t marks = run->mark_count;
    bool is_valid = apply(run, frame, schema, node, via);
    run->mark_count = marks;
    return is_valid;
}

/* As a question: no findings, and no marks unless the answer is yes. */
static bool holds(struct schema_run *run, const struct frame *frame, uint32_t schema, uint32_t node,
                  enum keyword via)
{
    enum run_mode mode = run->mode;
    uint32_t marks = run->mark_count;
    run->mode = RUN_FAST;
    bool is_valid = apply(run, frame, schema, node, via);
    run->mode = mode;
    if (!is_valid)
        run->mark_count = marks;
    return is_valid;
}

/* --- strings --------------------------------------------------------------------------------- */

static struct bytes resolved(struct schema_run *run, uint32_t node)
{
    buf_clear(&run->scratch);
    struct bytes text = json_string(run->doc, node, &run->scratch);
    if (run->scratch.status != STATUS_OK)
        (void)run_stop(run, STATUS_NO_MEMORY); /* the caller looks at run->status */
    return text;
}

static uint64_t count_characters(struct bytes text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.len; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

/* In characters; 0 when the budget does not suffice to count them. */
static uint64_t length_of(struct schema_run *run, uint32_t node)
{
    const struct json_node *string = &run->doc->nodes[node];
    if ((string->flags & (JSON_IS_ASCII | JSON_HAS_ESCAPES)) == JSON_IS_ASCII)
        return string->len;
    return run_spend(run, string->len / 64) ? count_characters(resolved(run, node)) : 0;
}

/* So many characters. One takes one to four bytes, or up to twelve as escapes: mostly the bytes
 * decide. */
static bool has_at_most(struct schema_run *run, uint32_t node, uint64_t limit)
{
    return run->doc->nodes[node].len <= limit ||
           (length_of(run, node) <= limit && run->status == STATUS_OK);
}

static bool has_at_least(struct schema_run *run, uint32_t node, uint64_t limit)
{
    uint32_t bytes = run->doc->nodes[node].len;
    return bytes >= limit && (bytes / 12 >= limit || length_of(run, node) >= limit);
}

/* A pattern may backtrack for milliseconds over a few bytes, so the clock is read every so often.
 */
static bool matches(struct schema_run *run, const struct regex *regex, uint32_t node)
{
    struct bytes text = resolved(run, node);
    if (!run_spend(run, 16 + (uint32_t)(text.len / 16)))
        return false;
    if (run->matches_left-- == 0) {
        run->matches_left = MATCHES_PER_CLOCK;
        if (!run_is_in_time(run))
            return false;
    }
    enum status status = regex_match(regex, run->regex, text);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return run_stop(run, status);
    return status == STATUS_OK;
}

static bool has_format(struct schema_run *run, const struct format *format, uint32_t node)
{
    struct bytes text = resolved(run, node);
    return run_spend(run, (uint32_t)(text.len / 64)) && format->is_valid(text);
}

/* --- arrays ---------------------------------------------------------------------------------- */

/* Marks are of no use for elements that `items` takes, but cheap compared with checking them. */
static bool check_items(struct schema_run *run, const struct frame *frame,
                        const struct item_rules *rules)
{
    bool is_valid = true;
    uint32_t index = 0;
    for (uint32_t i = json_first(run->doc, frame->node); i != JSON_NONE;
         i = json_after(run->doc, frame->node, i), index++) {
        bool is_prefix = index < rules->prefix_count;
        uint32_t schema = is_prefix ? rules->prefix[index] : rules->rest;
        if (schema == SUBSCHEMA_NONE)
            break;
        is_valid &=
            apply_below(run, frame, schema, i, is_prefix ? KEYWORD_PREFIX_ITEMS : KEYWORD_ITEMS);
        if (!is_valid && run_is_done(run))
            return false;
        mark(run, i);
    }
    return is_valid;
}

static bool check_contains(struct schema_run *run, const struct frame *frame,
                           const struct contains_rule *rule)
{
    uint64_t found = 0;
    bool is_enough = !run->schema->has_unevaluated && rule->max == UINT64_MAX;
    for (uint32_t i = json_first(run->doc, frame->node); i != JSON_NONE;
         i = json_after(run->doc, frame->node, i)) {
        uint32_t marks = run->mark_count;
        bool is_match = holds(run, frame, rule->schema, i, KEYWORD_CONTAINS);
        run->mark_count = marks;
        if (run->status != STATUS_OK)
            return false;
        found += is_match;
        if (is_match)
            mark(run, i);
        if (is_enough && found >= rule->min)
            return true;
    }
    bool is_valid = found >= rule->min && found <= rule->max;
    if (!is_valid && run->mode == RUN_REPORT)
        report_contains(run, frame, rule, found);
    return is_valid;
}

static bool check_unique(struct schema_run *run, const struct frame *frame)
{
    const struct json_node *array = &run->doc->nodes[frame->node];
    if (array->count < 2)
        return true;
    uint32_t slot_count = value_set_slots(array->count);
    if (!run_spend(run, array->count + array->len / 64) ||
        !run_grow(run, &run->slots, slot_count, &run->slot_capacity, sizeof(*run->slots)))
        return false;
    struct value_set set;
    value_set_init(&set, run->doc, run->slots, slot_count);
    bool is_valid = true;
    for (uint32_t i = json_first(run->doc, frame->node); i != JSON_NONE;
         i = json_after(run->doc, frame->node, i)) {
        uint32_t same = value_set_add(&set, i, &run->scratch);
        if (same == JSON_NONE)
            continue;
        is_valid = false;
        if (run->mode != RUN_REPORT)
            return false;
        report_repeated(run, frame, same, i);
    }
    return is_valid;
}

/* --- objects --------------------------------------------------------------------------------- */

static void note_known(struct schema_run *run, uint32_t name)
{
    if (run->mode == RUN_KNOWN)
        run->known[name] = 1;
}

static void note_described(struct schema_run *run, const struct frame *frame,
                           const struct member_rules *rules)
{
    if (run->mode == RUN_KNOWN && rules->is_described &&
        run_grow(run, &run->described, run->described_count, &run->described_capacity,
                 sizeof(*run->described)))
        run->described[run->described_count++] = (struct described){frame->node, rules};
}

static bool check_companions(struct schema_run *run, const struct frame *frame,
                             const struct member_rule *rule)
{
    bool is_valid = true;
    if (!run_spend(run, rule->companion_count))
        return false;
    for (uint32_t i = 0; i < rule->companion_count; i++) {
        if (json_member_bytes(run->doc, frame->node, rule->companions[i]) != JSON_NONE)
            continue;
        is_valid = false;
        if (run->mode == RUN_FAST)
            return false;
        if (run->mode == RUN_REPORT)
            report_missing(run, frame, rule->companions[i], rule->name);
    }
    return is_valid;
}

/* What the name itself asks for: its own subschema, and what its presence demands. */
static bool check_named(struct schema_run *run, const struct frame *frame,
                        const struct member_rule *rule, uint32_t name)
{
    bool is_valid = true;
    if (rule->schema != SUBSCHEMA_NONE)
        is_valid = apply_below(run, frame, rule->schema, name + 1, KEYWORD_PROPERTIES);
    if (rule->companion_count && (is_valid || !run_is_done(run)))
        is_valid &= check_companions(run, frame, rule);
    if (rule->dependent_schema != SUBSCHEMA_NONE && (is_valid || !run_is_done(run)))
        is_valid &=
            apply(run, frame, rule->dependent_schema, frame->node, KEYWORD_DEPENDENT_SCHEMAS);
    return is_valid;
}

static bool check_member(struct schema_run *run, const struct frame *frame,
                         const struct member_rules *rules, const struct member_rule *rule,
                         uint32_t name)
{
    bool is_named = rule && rule->is_known, is_matched = false;
    bool is_valid = !rule || check_named(run, frame, rule, name);
    for (uint32_t i = 0; i < rules->pattern_count && (is_valid || !run_is_done(run)); i++) {
        if (!matches(run, rules->patterns[i].regex, name))
            continue;
        is_matched = true;
        is_valid &= apply_below(run, frame, rules->patterns[i].schema, name + 1,
                                KEYWORD_PATTERN_PROPERTIES);
    }
    if (is_named || is_matched || !rules->is_additional_open)
        note_known(run, name);
    else
        run->is_all_known = false;
    if (is_named || is_matched || rules->additional != SUBSCHEMA_NONE)
        mark(run, name);
    if (is_named || is_matched || rules->additional == SUBSCHEMA_NONE)
        return is_valid;
    if (!is_valid && run_is_done(run))
        return false;
    return apply_below(run, frame, rules->additional, name + 1, KEYWORD_ADDITIONAL_PROPERTIES) &&
           is_valid;
}

static void report_required(struct schema_run *run, const struct frame *frame,
                            const struct member_rules *rules)
{
    uint32_t cost = 1 + run->doc->nodes[frame->node].count / 16;
    for (uint32_t i = 0; i < rules->required_count && run_spend(run, cost); i++) {
        if (json_member_bytes(run->doc, frame->node, rules->required[i]) == JSON_NONE)
            report_missing(run, frame, rules->required[i], (struct bytes){0});
    }
}

/* What the schema says of a member's name; NULL: nothing. */
static const struct member_rule *find_rule(const struct member_rules *rules,
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

/* Names within an object differ, so required ones need only be counted. */
static bool check_members(struct schema_run *run, const struct frame *frame,
                          const struct member_rules *rules)
{
    uint32_t required_left = rules->required_count;
    bool is_valid = true;
    note_described(run, frame, rules);
    for (uint32_t i = json_first(run->doc, frame->node); i != JSON_NONE;
         i = json_after(run->doc, frame->node, i)) {
        const struct member_rule *rule = find_rule(rules, run->doc, i);
        required_left -= rule && rule->is_required;
        is_valid &= check_member(run, frame, rules, rule, i);
        if (!is_valid && run_is_done(run))
            return false;
    }
    if (required_left && run->mode == RUN_REPORT)
        report_required(run, frame, rules);
    return is_valid && !required_left;
}

static bool check_names(struct schema_run *run, const struct frame *frame, uint32_t schema)
{
    bool is_valid = true;
    for (uint32_t i = json_first(run->doc, frame->node); i != JSON_NONE;
         i = json_after(run->doc, frame->node, i)) {
        is_valid &= apply_below(run, frame, schema, i, KEYWORD_PROPERTY_NAMES);
        if (!is_valid && run_is_done(run))
            return false;
    }
    return is_valid;
}

/* --- unevaluated… ---------------------------------------------------------------------------- */

static bool check_unevaluated(struct schema_run *run, const struct frame *frame, uint32_t schema,
                              bool is_object)
{
    uint32_t stamp = ++run->stamp;
    bool is_valid = true;
    enum keyword via = is_object ? KEYWORD_UNEVALUATED_PROPERTIES : KEYWORD_UNEVALUATED_ITEMS;
    const struct subschema *sub = &run->schema->subschemas[schema];
    bool is_boolean = json_kind_of(subschema_doc(run->schema, sub), sub->node) != JSON_OBJECT;
    if (!run_spend(run, (run->mark_count - frame->marks_from) / 16))
        return false;
    for (uint32_t i = frame->marks_from; i < run->mark_count; i++)
        run->stamps[run->marks[i]] = stamp;
    for (uint32_t i = json_first(run->doc, frame->node); i != JSON_NONE;
         i = json_after(run->doc, frame->node, i)) {
        if (run->stamps[i] == stamp)
            continue;
        is_valid &= apply_below(run, frame, schema, is_object ? i + 1 : i, via);
        if (!is_valid && run_is_done(run))
            return false;
        mark(run, i);
        if (is_object && !is_boolean)
            note_known(run, i);
    }
    return is_valid;
}

/* --- combinations ---------------------------------------------------------------------------- */

static bool check_all_of(struct schema_run *run, const struct frame *frame,
                         const struct subschema_list *list)
{
    bool is_valid = true;
    for (uint32_t i = 0; i < list->count && (is_valid || !run_is_done(run)); i++)
        is_valid &= apply(run, frame, list->schemas[i], frame->node, KEYWORD_ALL_OF);
    return is_valid;
}

/* How far from valid a branch was, by its findings: the smaller the closer. A wrong type of the
 * value itself is furthest; then a wrong constant, which is mostly what tells branches apart. */
static uint32_t distance(const struct schema_run *run, uint32_t first, uint32_t node)
{
    uint32_t sum = 0;
    for (uint32_t i = first; i < run->finding_count; i++) {
        const struct finding *finding = &run->findings[i];
        bool is_constant = finding->keyword == KEYWORDS[KEYWORD_CONST].name ||
                           finding->keyword == KEYWORDS[KEYWORD_ENUM].name;
        sum += 1 + (finding->kinds && finding->node == node ? 1000000 : is_constant ? 1000 : 0);
    }
    return sum;
}

/* All branches failed: keep the findings of the closest. */
static void report_closest(struct schema_run *run, const struct frame *frame,
                           const struct subschema_list *list, enum keyword keyword)
{
    uint32_t outer_base = run->finding_base, start = run->finding_count, kept = 0;
    uint32_t best = UINT32_MAX;
    uint8_t kinds = 0;
    bool is_type = true;
    for (uint32_t i = 0; i < list->count && run->status == STATUS_OK; i++) {
        uint32_t first = run->finding_count, marks = run->mark_count;
        size_t text = run->text.len;
        run->finding_base = first;
        (void)apply(run, frame, list->schemas[i], frame->node, keyword); /* it fails again */
        uint32_t count = run->finding_count - first, far = distance(run, first, frame->node);
        is_type &= count > 0 && far >= 1000000;
        for (uint32_t f = first; f < run->finding_count; f++)
            kinds |= run->findings[f].node == frame->node ? run->findings[f].kinds : 0;
        if (count && far < best) {
            memmove(&run->findings[start], &run->findings[first], count * sizeof(*run->findings));
            best = far;
            kept = count;
        } else {
            run->text.len = text;
            run->mark_count = marks; /* only what the closest has seen counts as evaluated */
        }
        run->finding_count = start + kept;
    }
    run->finding_base = outer_base;
    if (run->finding_count > outer_base + VIOLATIONS_MAX)
        run->finding_count = outer_base + VIOLATIONS_MAX;
    if (is_type && list->count > 1 && start < outer_base + VIOLATIONS_MAX) {
        run->finding_count = start;
        report_alternative_types(run, frame, keyword, kinds);
    }
}

/* After the branches of a combination have been tried: walk those that hold once more, for what
 * they know. */
static void note_branches(struct schema_run *run, const struct frame *frame,
                          const struct subschema_list *list, bool is_any_valid,
                          enum keyword keyword)
{
    for (uint32_t i = 0; i < list->count; i++) {
        uint32_t marks = run->mark_count;
        if (!is_any_valid || holds(run, frame, list->schemas[i], frame->node, keyword))
            (void)apply(run, frame, list->schemas[i], frame->node, keyword); /* for its notes */
        run->mark_count = marks;
    }
}

static bool check_any_of(struct schema_run *run, const struct frame *frame,
                         const struct subschema_list *list)
{
    bool is_valid = false, is_enough = !run->schema->has_unevaluated;
    uint32_t looked_at = 0;
    for (; looked_at < list->count && !(is_valid && is_enough); looked_at++)
        is_valid |= holds(run, frame, list->schemas[looked_at], frame->node, KEYWORD_ANY_OF);
    if (looked_at < list->count)
        run->is_all_known = false; /* a branch not looked at may describe an object */
    if (run->mode == RUN_KNOWN)
        note_branches(run, frame, list, is_valid, KEYWORD_ANY_OF);
    else if (!is_valid && run->mode == RUN_REPORT)
        report_closest(run, frame, list, KEYWORD_ANY_OF);
    return is_valid;
}

static bool check_one_of(struct schema_run *run, const struct frame *frame,
                         const struct subschema_list *list)
{
    uint32_t valid_count = 0, first = 0, second = 0;
    for (uint32_t i = 0; i < list->count && valid_count < 2; i++) {
        if (!holds(run, frame, list->schemas[i], frame->node, KEYWORD_ONE_OF))
            continue;
        first = valid_count ? first : i;
        second = i;
        valid_count++;
    }
    if (run->mode == RUN_KNOWN)
        note_branches(run, frame, list, valid_count > 0, KEYWORD_ONE_OF);
    else if (valid_count == 0 && run->mode == RUN_REPORT)
        report_closest(run, frame, list, KEYWORD_ONE_OF);
    else if (valid_count > 1 && run->mode == RUN_REPORT)
        report_one_of(run, frame, first, second);
    return valid_count == 1;
}

static bool check_not(struct schema_run *run, const struct frame *frame, const struct check *check)
{
    uint32_t marks = run->mark_count;
    bool is_valid = !holds(run, frame, check->schema, frame->node, KEYWORD_NOT);
    run->mark_count = marks;
    if (!is_valid && run->mode == RUN_REPORT)
        report_check(run, frame, check);
    return is_valid;
}

static bool check_branch(struct schema_run *run, const struct frame *frame,
                         const struct branch_rule *branch)
{
    bool is_met = holds(run, frame, branch->condition, frame->node, KEYWORD_IF);
    uint32_t schema = is_met ? branch->then : branch->otherwise;
    if (is_met && run->mode == RUN_KNOWN)
        (void)apply(run, frame, branch->condition, frame->node, KEYWORD_IF); /* for its notes */
    return schema == SUBSCHEMA_NONE ||
           apply(run, frame, schema, frame->node, is_met ? KEYWORD_THEN : KEYWORD_ELSE);
}

/* Core section 8.2.3.2: the outermost resource in scope that has the anchor. */
static uint32_t dynamic_target(const struct schema_run *run, const struct check *check)
{
    const struct dynamic_anchor *anchor = &run->schema->dynamic_anchors[check->dynamic.anchor];
    for (uint32_t i = 0; i < run->scope_count; i++) {
        for (uint32_t t = 0; t < anchor->target_count; t++) {
            if (anchor->targets[t].resource == run->scopes[i])
                return anchor->targets[t].schema;
        }
    }
    return check->dynamic.fallback;
}

/* --- the value alone -------------------------------------------------------------------------- */

static inline bool has_type(const struct schema_run *run, const struct subschema *schema,
                            uint32_t node)
{
    const struct json_node *value = &run->doc->nodes[node];
    if (kinds_include(schema->kinds, value->kind))
        return true;
    if (value->kind != JSON_NUMBER || !(schema->kinds & KINDS_INTEGER))
        return false;
    return value->flags & JSON_IS_INTEGER || decimal_is_integer(json_raw(run->doc, node));
}

/* Keywords that ask more of a value than a look; apart, so that a look does not pay for it. */
__attribute__((noinline)) static bool check_content(struct schema_run *run, uint32_t node,
                                                    const struct check *check)
{
    switch ((enum check_op)check->op) {
    case CHECK_VALUES:
        return run_spend(run, run->doc->nodes[node].len / 64) &&
               value_set_has(check->values, run->doc, node, &run->scratch);
    case CHECK_MULTIPLE_OF:
        return decimal_is_multiple(json_raw(run->doc, node), check->number->text);
    case CHECK_PATTERN:
        return matches(run, check->regex, node);
    case CHECK_FORMAT:
        return has_format(run, check->format, node);
    default:
        return true;
    }
}

/* Keywords that compare a value or its size with a number; the others are check_content()'s. */
static bool check_value(struct schema_run *run, uint32_t node, const struct check *check)
{
    const struct json_node *value = &run->doc->nodes[node];
    switch ((enum check_op)check->op) {
    case CHECK_MAXIMUM:
        return decimal_compare_limit(json_raw(run->doc, node), check->number) <= 0;
    case CHECK_EXCLUSIVE_MAXIMUM:
        return decimal_compare_limit(json_raw(run->doc, node), check->number) < 0;
    case CHECK_MINIMUM:
        return decimal_compare_limit(json_raw(run->doc, node), check->number) >= 0;
    case CHECK_EXCLUSIVE_MINIMUM:
        return decimal_compare_limit(json_raw(run->doc, node), check->number) > 0;
    case CHECK_MAX_LENGTH:
        return has_at_most(run, node, check->limit);
    case CHECK_MIN_LENGTH:
        return has_at_least(run, node, check->limit);
    case CHECK_MAX_ITEMS:
    case CHECK_MAX_PROPERTIES:
        return value->count <= check->limit;
    case CHECK_MIN_ITEMS:
    case CHECK_MIN_PROPERTIES:
        return value->count >= check->limit;
    default:
        return check_content(run, node, check);
    }
}

/* Its type, and the keywords that look at nothing else. Out at the first breach. */
static bool is_valid_value(struct schema_run *run, const struct subschema *schema, uint32_t node)
{
    const struct check *check = &run->schema->checks[schema->first_check];
    const struct check *end = check + schema->value_check_count;
    enum json_kind kind = json_kind_of(run->doc, node);
    if (!has_type(run, schema, node))
        return false;
    for (; check < end; check++) {
        if (kinds_include(check->kinds, kind) && !check_value(run, node, check))
            return false;
    }
    return true;
}

/* After a wrong type, what else is wrong with the value itself is noise. */
static bool is_noise(const struct check *check)
{
    return check->op == CHECK_VALUES;
}

/* The same to the end, with a finding for each breach. */
static bool report_value(struct schema_run *run, const struct frame *frame)
{
    const struct check *check = &run->schema->checks[frame->schema->first_check];
    const struct check *end = check + frame->schema->value_check_count;
    enum json_kind kind = json_kind_of(run->doc, frame->node);
    bool has_right_type = has_type(run, frame->schema, frame->node), is_valid = has_right_type;
    if (!has_right_type && run->mode == RUN_REPORT)
        report_type(run, frame);
    for (; check < end; check++) {
        if (!kinds_include(check->kinds, kind) || (!has_right_type && is_noise(check)))
            continue;
        if (!check_value(run, frame->node, check)) {
            is_valid = false;
            if (run->mode == RUN_REPORT)
                report_check(run, frame, check);
        }
        if (!is_valid && run_is_done(run))
            return false;
    }
    return is_valid;
}

/* --- dispatch -------------------------------------------------------------------------------- */

static bool run_check(struct schema_run *run, const struct frame *frame, const struct check *check)
{
    switch ((enum check_op)check->op) {
    case CHECK_UNIQUE_ITEMS:
        return check_unique(run, frame);
    case CHECK_ITEMS:
        return check_items(run, frame, check->items);
    case CHECK_CONTAINS:
        return check_contains(run, frame, check->contains);
    case CHECK_MEMBERS:
        return check_members(run, frame, check->members);
    case CHECK_PROPERTY_NAMES:
        return check_names(run, frame, check->schema);
    case CHECK_REF:
        return apply(run, frame, check->schema, frame->node, KEYWORD_REF);
    case CHECK_DYNAMIC_REF:
        return apply(run, frame, dynamic_target(run, check), frame->node, KEYWORD_DYNAMIC_REF);
    case CHECK_ALL_OF:
        return check_all_of(run, frame, &check->list);
    case CHECK_ANY_OF:
        return check_any_of(run, frame, &check->list);
    case CHECK_ONE_OF:
        return check_one_of(run, frame, &check->list);
    case CHECK_NOT:
        return check_not(run, frame, check);
    case CHECK_IF:
        return check_branch(run, frame, check->branch);
    case CHECK_UNEVALUATED_ITEMS:
        return check_unevaluated(run, frame, check->schema, false);
    case CHECK_UNEVALUATED_PROPERTIES:
        return check_unevaluated(run, frame, check->schema, true);
    default:
        return true; /* looks at the value alone */
    }
}

static bool check_structure(struct schema_run *run, const struct frame *frame, bool is_valid)
{
    const struct subschema *schema = frame->schema;
    const struct check *check = &run->schema->checks[schema->first_check];
    const struct check *end = check + schema->check_count;
    enum json_kind kind = json_kind_of(run->doc, frame->node);
    for (check += schema->value_check_count; check < end; check++) {
        if (!kinds_include(check->kinds, kind))
            continue;
        is_valid &= run_check(run, frame, check);
        if (!is_valid && run_is_done(run))
            return false;
    }
    return is_valid;
}

/* Apart from apply(), whose short way needs no frame and shall not pay for one. */
__attribute__((noinline)) static bool apply_framed(struct schema_run *run,
                                                   const struct frame *parent,
                                                   const struct subschema *schema, uint32_t node,
                                                   uint16_t depth, enum keyword via)
{
    struct frame frame = {parent, schema, node, run->mark_count, depth, (uint8_t)via};
    if (schema->is_never_valid) {
        if (run->mode == RUN_REPORT)
            report_false(run, &frame);
        return false;
    }
    bool is_valid = run->mode == RUN_FAST || report_value(run, &frame);
    if (!is_valid && run_is_done(run))
        return false;
    uint32_t scopes = run->scope_count;
    if (run->schema->has_scopes && (!scopes || run->scopes[scopes - 1] != schema->resource))
        run->scopes[run->scope_count++] = schema->resource;
    is_valid = check_structure(run, &frame, is_valid);
    run->scope_count = scopes;
    return is_valid;
}

static bool apply(struct schema_run *run, const struct frame *parent, uint32_t number,
                  uint32_t node, enum keyword via)
{
    const struct subschema *schema = &run->schema->subschemas[number];
    uint16_t depth = parent ? parent->depth + 1 : 0;
    if (schema->is_always_valid)
        return true;
    if (!run_spend(run, 1))
        return false;
    if (depth >= FRAME_DEPTH_MAX)
        return run_stop(run, STATUS_LIMIT);
    if (run->mode == RUN_FAST) {
        if (!is_valid_value(run, schema, node))
            return false;
        if (schema->check_count == schema->value_check_count)
            return true;
    }
    return apply_framed(run, parent, schema, node, depth, via);
}

bool run_root(struct schema_run *run, uint32_t node)
{
    return apply(run, NULL, 0, node, KEYWORD_COUNT);
}

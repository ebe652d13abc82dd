/*
 * The sentences. Each is the end of one that begins with the member's name: "must be at least 0,
 * got -3", "is required". They name the value shortly and, where there is a choice, the choices.
 *
 * A finding is three pieces of run->text, one after the other: instance pointer, schema pointer,
 * sentence; begin_finding() writes the first two, the caller the third, end_finding() closes it.
 * To word a new keyword, start at put_check().
 */
#include "schemas/near_name.h"
#include "schemas/schema_run.h"

#define VALUE_BYTES_MAX 40 /* of a string or number shown in a message */
#define CHOICES_BYTES_MAX 400
#define PATTERN_BYTES_MAX 120
#define TEXT_BYTES_MAX (256 * 1024) /* of all findings: a long name in 50 pointers is enough */

/* --- pieces ---------------------------------------------------------------------------------- */

/* At most `max` bytes, cut between characters, with an ellipsis where something is missing. */
static void put_cut(struct buf *out, struct bytes text, size_t max)
{
    size_t len = text.len;
    if (len > max) {
        len = max;
        while (len && (text.data[len] & 0xC0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++) {
        uint8_t c = text.data[i];
        buf_put_char(out, c < 0x20 || c == 0x7F ? ' ' : (char)c);
    }
    if (len < text.len)
        buf_put_str(out, "…");
}

void put_short_value(struct buf *out, const struct json_doc *doc, uint32_t node)
{
    struct buf scratch = {0};
    switch (json_kind_of(doc, node)) {
    case JSON_STRING:
        buf_put_char(out, '"');
        put_cut(out, json_string(doc, node, &scratch), VALUE_BYTES_MAX);
        buf_put_char(out, '"');
        break;
    case JSON_ARRAY:
        buf_put_str(out, doc->nodes[node].count ? "an array" : "an empty array");
        break;
    case JSON_OBJECT:
        buf_put_str(out, doc->nodes[node].count ? "an object" : "an empty object");
        break;
    default:
        put_cut(out, json_raw(doc, node), VALUE_BYTES_MAX);
    }
    buf_fini(&scratch);
}

static void put_got(struct schema_run *run, uint32_t node)
{
    buf_put_str(&run->text, ", got ");
    put_short_value(&run->text, run->doc, node);
}

static void put_suggestion(struct buf *out, struct bytes name)
{
    if (!name.len)
        return;
    buf_put_str(out, "; did you mean \"");
    buf_put_bytes(out, name);
    buf_put_str(out, "\"?");
}

/* "a string", "a string or null", "a string, a number or null" */
static void put_kinds(struct buf *out, uint8_t kinds)
{
    static const struct {
        uint8_t mask;
        const char *phrase;
    } PHRASES[] = {{KIND_BIT(JSON_STRING), "a string"}, {KIND_BIT(JSON_NUMBER), "a number"},
                   {KINDS_INTEGER, "a whole number"},   {KIND_BIT(JSON_TRUE), "true or false"},
                   {KIND_BIT(JSON_ARRAY), "an array"},  {KIND_BIT(JSON_OBJECT), "an object"},
                   {KIND_BIT(JSON_NULL), "null"}};
    unsigned left = 0;
    if (kinds & KIND_BIT(JSON_NUMBER))
        kinds &= (uint8_t)~KINDS_INTEGER;
    for (size_t i = 0; i < sizeof(PHRASES) / sizeof(PHRASES[0]); i++)
        left += (kinds & PHRASES[i].mask) != 0;
    if (!left)
        buf_put_str(out, "nothing");
    for (size_t i = 0; i < sizeof(PHRASES) / sizeof(PHRASES[0]); i++) {
        if (!(kinds & PHRASES[i].mask))
            continue;
        buf_put_str(out, PHRASES[i].phrase);
        left--;
        if (left)
            buf_put_str(out, left == 1 ? " or " : ", ");
    }
}

/* --- findings -------------------------------------------------------------------------------- */

/* The way through the schema: below its parent lexically, or by a reference. */
static void put_schema_pointer(struct schema_run *run, const struct frame *frame)
{
    struct buf *out = &run->text;
    if (!frame->parent)
        return;
    put_schema_pointer(run, frame->parent);
    if (frame->via == KEYWORD_REF || frame->via == KEYWORD_DYNAMIC_REF) {
        buf_put_char(out, '/');
        buf_put_str(out, KEYWORDS[frame->via].name);
        return;
    }
    const struct json_doc *doc = subschema_doc(run->schema, frame->schema);
    struct buf outer = {0}, inner = {0};
    json_pointer_of(doc, frame->parent->schema->node, &outer);
    json_pointer_of(doc, frame->schema->node, &inner);
    if (inner.len >= outer.len && outer.status == STATUS_OK)
        buf_put(out, inner.data + outer.len, inner.len - outer.len);
    buf_fini(&outer);
    buf_fini(&inner);
}

static bool is_name(const struct json_doc *doc, uint32_t node)
{
    return doc->nodes[node].flags & JSON_IS_NAME;
}

/* NULL: enough have been found, or no memory. `member`: added to the instance pointer. */
static struct finding *begin_finding(struct schema_run *run, const struct frame *frame,
                                     uint32_t node, struct bytes member, const char *keyword)
{
    bool is_full = run->text.len >= TEXT_BYTES_MAX && run->finding_count;
    if (is_full || run_is_full(run) ||
        !run_grow(run, &run->findings, run->finding_count, &run->finding_capacity,
                  sizeof(*run->findings)))
        return NULL;
    struct finding *finding = &run->findings[run->finding_count];
    *finding = (struct finding){.node = node, .keyword = keyword, .pointer = run->text.len};
    json_pointer_of(run->doc, is_name(run->doc, node) ? node + 1 : node, &run->text);
    if (member.data)
        json_pointer_put_name(&run->text, member);
    finding->schema_pointer = run->text.len;
    if (frame)
        put_schema_pointer(run, frame);
    return finding;
}

static void begin_detail(struct schema_run *run, struct finding *finding)
{
    finding->detail = run->text.len;
    if (is_name(run->doc, finding->node))
        buf_put_str(&run->text, "has a name that ");
}

static void put_keyword(struct schema_run *run, enum keyword keyword)
{
    buf_put_char(&run->text, '/');
    buf_put_str(&run->text, KEYWORDS[keyword].name);
}

static void end_finding(struct schema_run *run, struct finding *finding)
{
    finding->end = run->text.len;
    run->finding_count++;
}

static struct finding *begin_keyword(struct schema_run *run, const struct frame *frame,
                                     struct bytes member, enum keyword keyword)
{
    struct finding *finding =
        begin_finding(run, frame, frame->node, member, KEYWORDS[keyword].name);
    if (finding) {
        put_keyword(run, keyword);
        begin_detail(run, finding);
    }
    return finding;
}

/* --- by keyword ------------------------------------------------------------------------------ */

void report_type(struct schema_run *run, const struct frame *frame)
{
    struct finding *finding = begin_keyword(run, frame, (struct bytes){0}, KEYWORD_TYPE);
    if (!finding)
        return;
    finding->kinds = frame->schema->kinds;
    buf_put_str(&run->text, "must be ");
    put_kinds(&run->text, frame->schema->kinds);
    put_got(run, frame->node);
    end_finding(run, finding);
}

void report_alternative_types(struct schema_run *run, const struct frame *frame,
                              enum keyword keyword, uint8_t kinds)
{
    struct finding *finding = begin_keyword(run, frame, (struct bytes){0}, keyword);
    if (!finding)
        return;
    finding->kinds = kinds;
    buf_put_str(&run->text, "must be ");
    put_kinds(&run->text, kinds);
    put_got(run, frame->node);
    end_finding(run, finding);
}

/* The nearest of the names that the schema around an unexpected member knows. */
static struct bytes near_member(struct schema_run *run, const struct frame *frame)
{
    const struct frame *object = frame->parent;
    struct bytes best = {0};
    uint32_t best_slips = UINT32_MAX, name = frame->node - 1;
    buf_clear(&run->scratch);
    struct bytes text = json_string(run->doc, name, &run->scratch);
    for (uint32_t i = 0; i < object->schema->check_count; i++) {
        const struct check *check = &run->schema->checks[object->schema->first_check + i];
        const struct member_rules *rules = check->members;
        for (uint32_t s = 0; check->op == CHECK_MEMBERS && rules->slots && s <= rules->slot_mask;
             s++) {
            const struct member_rule *rule = &rules->slots[s];
            uint32_t slips = rule->is_used && rule->is_known && run_spend(run, 1)
                                 ? near_name_distance(text, rule->name)
                                 : UINT32_MAX;
            if (slips < best_slips &&
                json_member_bytes(run->doc, object->node, rule->name) == JSON_NONE) {
                best = rule->name;
                best_slips = slips;
            }
        }
    }
    return best;
}

void report_false(struct schema_run *run, const struct frame *frame)
{
    enum keyword via = (enum keyword)frame->via;
    const char *keyword = via == KEYWORD_COUNT ? "false" : KEYWORDS[via].name;
    struct finding *finding = begin_finding(run, frame, frame->node, (struct bytes){0}, keyword);
    if (!finding)
        return;
    begin_detail(run, finding);
    buf_put_str(&run->text, "is not allowed");
    if (via == KEYWORD_ADDITIONAL_PROPERTIES || via == KEYWORD_UNEVALUATED_PROPERTIES)
        put_suggestion(&run->text, near_member(run, frame));
    end_finding(run, finding);
}

void report_missing(struct schema_run *run, const struct frame *frame, struct bytes name,
                    struct bytes other)
{
    enum keyword keyword = other.data ? KEYWORD_DEPENDENT_REQUIRED : KEYWORD_REQUIRED;
    struct finding *finding = begin_keyword(run, frame, name, keyword);
    if (!finding)
        return;
    buf_put_str(&run->text, "is required");
    if (other.data) {
        buf_put_str(&run->text, " where there is \"");
        put_cut(&run->text, other, VALUE_BYTES_MAX);
        buf_put_char(&run->text, '"');
    }
    end_finding(run, finding);
}

static uint32_t index_in(const struct json_doc *doc, uint32_t array, uint32_t element)
{
    uint32_t index = 0;
    for (uint32_t i = json_first(doc, array); i != JSON_NONE && i != element;
         i = json_after(doc, array, i))
        index++;
    return index;
}

void report_repeated(struct schema_run *run, const struct frame *frame, uint32_t first,
                     uint32_t second)
{
    struct finding *finding = begin_keyword(run, frame, (struct bytes){0}, KEYWORD_UNIQUE_ITEMS);
    if (!finding)
        return;
    buf_printf(&run->text, "must not repeat elements: number %u is the same as number %u (",
               index_in(run->doc, frame->node, second), index_in(run->doc, frame->node, first));
    put_short_value(&run->text, run->doc, second);
    buf_put_char(&run->text, ')');
    end_finding(run, finding);
}

void report_contains(struct schema_run *run, const struct frame *frame,
                     const struct contains_rule *rule, uint64_t found)
{
    bool is_few = found < rule->min;
    enum keyword keyword = !is_few          ? KEYWORD_MAX_CONTAINS
                           : rule->min == 1 ? KEYWORD_CONTAINS
                                            : KEYWORD_MIN_CONTAINS;
    struct finding *finding = begin_keyword(run, frame, (struct bytes){0}, keyword);
    if (!finding)
        return;
    buf_printf(&run->text,
               "must contain %s %llu element%s of the kind that \"contains\" describes, has %llu",
               is_few ? "at least" : "at most",
               (unsigned long long)(is_few ? rule->min : rule->max),
               (is_few ? rule->min : rule->max) == 1 ? "" : "s", (unsigned long long)found);
    end_finding(run, finding);
}

void report_one_of(struct schema_run *run, const struct frame *frame, uint32_t first,
                   uint32_t second)
{
    struct finding *finding = begin_keyword(run, frame, (struct bytes){0}, KEYWORD_ONE_OF);
    if (!finding)
        return;
    buf_printf(&run->text,
               "must fit exactly one of the alternatives, but fits number %u and number %u", first,
               second);
    end_finding(run, finding);
}

/* The allowed values, as many as are readable, and the nearest to a misspelt one. */
static void put_choices(struct schema_run *run, const struct json_doc *doc, uint32_t list,
                        uint32_t node)
{
    struct buf *out = &run->text;
    size_t start = out->len;
    uint32_t shown = 0, count = doc->nodes[list].count, best_slips = UINT32_MAX;
    struct bytes best = {0}, given = {0};
    bool is_string = json_kind_of(run->doc, node) == JSON_STRING;
    struct buf scratch = {0};
    if (is_string) {
        buf_clear(&run->scratch);
        given = json_string(run->doc, node, &run->scratch);
    }
    buf_put_str(out, count == 1 ? "must be " : "must be one of ");
    for (uint32_t i = json_first(doc, list); i != JSON_NONE; i = json_after(doc, list, i)) {
        if (out->len - start < CHOICES_BYTES_MAX) {
            buf_put_str(out, shown++ ? ", " : "");
            put_short_value(out, doc, i);
        }
        if (!is_string || json_kind_of(doc, i) != JSON_STRING || !run_spend(run, 1) ||
            doc->nodes[i].flags & JSON_HAS_ESCAPES)
            continue;
        uint32_t slips = near_name_distance(given, json_string(doc, i, &scratch));
        if (slips < best_slips) {
            best = json_string(doc, i, &scratch);
            best_slips = slips;
        }
    }
    if (shown < count)
        buf_printf(out, " … (%u in all)", count);
    put_got(run, node);
    put_suggestion(out, best);
    buf_fini(&scratch);
}

static uint64_t characters(struct schema_run *run, uint32_t node)
{
    uint64_t count = 0;
    buf_clear(&run->scratch);
    struct bytes text = json_string(run->doc, node, &run->scratch);
    for (size_t i = 0; i < text.len; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

static void put_length(struct schema_run *run, uint32_t node, uint64_t limit, bool is_max)
{
    uint64_t length = characters(run, node);
    if (!is_max && !length) {
        buf_put_str(&run->text, "must not be empty");
        return;
    }
    buf_printf(&run->text, "must have at %s %llu character%s, has %llu", is_max ? "most" : "least",
               (unsigned long long)limit, limit == 1 ? "" : "s", (unsigned long long)length);
    buf_put_str(&run->text, ": ");
    put_short_value(&run->text, run->doc, node);
}

static void put_count(struct schema_run *run, uint32_t node, uint64_t limit, const char *bound,
                      const char *what)
{
    uint32_t count = run->doc->nodes[node].count;
    if (!count) {
        buf_put_str(&run->text, "must not be empty");
        return;
    }
    buf_printf(&run->text, "must have at %s %llu %s%s, has %u", bound, (unsigned long long)limit,
               what, limit == 1 ? "" : "s", count);
}

static void put_number(struct schema_run *run, uint32_t node, const char *phrase,
                       struct bytes limit)
{
    buf_put_str(&run->text, phrase);
    put_cut(&run->text, limit, VALUE_BYTES_MAX);
    put_got(run, node);
}

static void put_pattern(struct schema_run *run, const struct json_doc *doc, uint32_t pattern,
                        uint32_t node)
{
    struct buf scratch = {0};
    buf_put_str(&run->text, "must match the pattern ");
    put_cut(&run->text, json_string(doc, pattern, &scratch), PATTERN_BYTES_MAX);
    put_got(run, node);
    buf_fini(&scratch);
}

static void put_check(struct schema_run *run, const struct frame *frame, const struct check *check)
{
    const struct json_doc *doc = subschema_doc(run->schema, frame->schema);
    uint32_t node = frame->node;
    switch ((enum check_op)check->op) {
    case CHECK_VALUES:
        if (check->keyword == KEYWORD_ENUM) {
            put_choices(run, doc, check->node, node);
        } else {
            buf_put_str(&run->text, "must be ");
            put_short_value(&run->text, doc, check->node);
            put_got(run, node);
        }
        break;
    case CHECK_MULTIPLE_OF:
        put_number(run, node, "must be a multiple of ", check->number->text);
        break;
    case CHECK_MAXIMUM:
        put_number(run, node, "must be at most ", check->number->text);
        break;
    case CHECK_EXCLUSIVE_MAXIMUM:
        put_number(run, node, "must be less than ", check->number->text);
        break;
    case CHECK_MINIMUM:
        put_number(run, node, "must be at least ", check->number->text);
        break;
    case CHECK_EXCLUSIVE_MINIMUM:
        put_number(run, node, "must be greater than ", check->number->text);
        break;
    case CHECK_MAX_LENGTH:
        put_length(run, node, check->limit, true);
        break;
    case CHECK_MIN_LENGTH:
        put_length(run, node, check->limit, false);
        break;
    case CHECK_PATTERN:
        put_pattern(run, doc, check->node, node);
        break;
    case CHECK_FORMAT:
        buf_put_str(&run->text, "must be ");
        buf_put_str(&run->text, check->format->phrase);
        put_got(run, node);
        break;
    case CHECK_MAX_ITEMS:
        put_count(run, node, check->limit, "most", "element");
        break;
    case CHECK_MIN_ITEMS:
        put_count(run, node, check->limit, "least", "element");
        break;
    case CHECK_MAX_PROPERTIES:
        put_count(run, node, check->limit, "most", "member");
        break;
    case CHECK_MIN_PROPERTIES:
        put_count(run, node, check->limit, "least", "member");
        break;
    default: /* CHECK_NOT; the other combinations report their parts */
        buf_put_str(&run->text, "must not be what \"not\" describes");
        put_got(run, node);
    }
}

void report_check(struct schema_run *run, const struct frame *frame, const struct check *check)
{
    if (run->status != STATUS_OK)
        return; /* it did not fail, it was stopped */
    struct finding *finding =
        begin_keyword(run, frame, (struct bytes){0}, (enum keyword)check->keyword);
    if (!finding)
        return;
    put_check(run, frame, check);
    end_finding(run, finding);
}

/* --- the result ------------------------------------------------------------------------------ */

static struct bytes piece(const struct schema_run *run, size_t from, size_t to)
{
    return bytes_of(run->text.data + from, to - from);
}

static bool is_same(const struct violation *a, const struct violation *b)
{
    return a->keyword == b->keyword && bytes_equal(a->pointer, b->pointer) &&
           bytes_equal(a->detail, b->detail);
}

/* Insertion sort by node: at most VIOLATIONS_MAX, mostly in order already, and stable. */
static void sort_findings(struct schema_run *run)
{
    for (uint32_t i = 1; i < run->finding_count; i++) {
        struct finding moved = run->findings[i];
        uint32_t at = i;
        for (; at > 0 && run->findings[at - 1].node > moved.node; at--)
            run->findings[at] = run->findings[at - 1];
        run->findings[at] = moved;
    }
}

void findings_finish(struct schema_run *run)
{
    sort_findings(run);
    for (uint32_t i = 0; i < run->finding_count && run->violation_count < VIOLATIONS_MAX; i++) {
        const struct finding *finding = &run->findings[i];
        struct violation violation = {piece(run, finding->pointer, finding->schema_pointer),
                                      piece(run, finding->schema_pointer, finding->detail),
                                      finding->keyword, piece(run, finding->detail, finding->end)};
        bool is_new = true;
        for (uint32_t v = 0; v < run->violation_count; v++)
            is_new &= !is_same(&run->violations[v], &violation);
        if (is_new)
            run->violations[run->violation_count++] = violation;
    }
}

void run_add_violation(struct schema_run *run, const struct json_doc *doc, uint32_t node,
                       struct bytes member, const char *keyword, const char *detail)
{
    run->doc = doc;
    struct finding *finding = begin_finding(run, NULL, node, member, keyword);
    if (!finding)
        return;
    begin_detail(run, finding);
    buf_put_str(&run->text, detail);
    end_finding(run, finding);
    run->violation_count = 0; /* the text may have moved: all views are made anew */
    if (run->text.status == STATUS_OK)
        findings_finish(run);
}

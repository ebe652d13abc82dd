/*
 * schema_run: the state of one check, shared by its course (schema_run.c), the walk
 * (schema_check.c), the messages (schema_detail.c) and the search for unknown members
 * (schema_unknown.c). Internal.
 */
#pragma once

#include "schemas/schema_program.h"

#define UNITS_PER_CLOCK 1024 /* how often the clock is read */
#define FRAME_DEPTH_MAX 1500 /* subschemas within subschemas, over all levels of the document */

enum run_mode {
    RUN_FAST,   /* is it valid? Stops at the first breach. */
    RUN_REPORT, /* what is wrong? Goes on, and notes each breach. */
    RUN_KNOWN,  /* which members does the schema know? Goes on, and notes nothing else. */
};

/* A subschema that is being applied to a value. On the C stack, innermost last. */
struct frame {
    const struct frame *parent;
    const struct subschema *schema;
    uint32_t node;
    uint32_t marks_from; /* the marks of this value that this subschema has made start here */
    uint16_t depth;
    uint8_t via; /* the keyword that led here from the parent; KEYWORD_COUNT at the root */
};

/* A violation while the text it is written into may still move. */
struct finding {
    uint32_t node;
    const char *keyword;
    uint8_t kinds; /* a breach of `type`: what would have been allowed */
    size_t pointer, schema_pointer, detail, end; /* offsets into run->text, one after the other */
};

/* An object that a `properties` was applied to. */
struct described {
    uint32_t node;
    const struct member_rules *rules;
};

struct schema_run {
    const struct schema *schema;
    const struct json_doc *doc;
    enum run_mode mode;
    enum status status;  /* why it stopped early */
    uint32_t units_left; /* 0 once it has stopped */
    uint32_t budget_ms;
    int64_t deadline_ms;   /* 0: the clock has not been read yet */
    uint32_t matches_left; /* patterns to match until it is read again */

    /* Which members (by name node) and elements have been evaluated: `unevaluated…` asks. */
    uint32_t *marks;
    uint32_t mark_count, mark_capacity;
    uint32_t *stamps; /* by node: the last round of `unevaluated…` that found it marked */
    uint32_t stamp_capacity, stamp;
    uint32_t scopes[FRAME_DEPTH_MAX]; /* resources entered, outermost first: the dynamic scope */
    uint32_t scope_count;

    struct regex_run *regex;
    struct buf scratch;       /* one resolved string */
    struct value_slot *slots; /* uniqueItems */
    uint32_t slot_capacity;

    struct finding *findings;
    uint32_t finding_count, finding_capacity;
    uint32_t
        finding_base; /* of the branch being looked at: it may have VIOLATIONS_MAX of its own */
    struct buf text;
    struct violation violations[VIOLATIONS_MAX];
    uint32_t violation_count;

    /* The fast pass found every member named by the subschema that describes its object, and
     * skipped no branch: there are no unknown members to look for. */
    bool is_all_known;
    uint8_t *known; /* by name node */
    uint32_t known_capacity;
    struct described *described;
    uint32_t described_count, described_capacity;
    struct unknown_member unknown[VIOLATIONS_MAX];
};

/* The branch being looked at has as many findings as anyone will see. */
static inline bool run_is_full(const struct schema_run *run)
{
    return run->finding_count - run->finding_base >= VIOLATIONS_MAX;
}

/* Once something is wrong: is there nothing more to learn? */
static inline bool run_is_done(const struct schema_run *run)
{
    return run->mode == RUN_FAST || run->status != STATUS_OK ||
           (run->mode == RUN_REPORT && run_is_full(run));
}

/* Note why the check cannot go on, unless that is known already. False, for the caller to return.
 */
bool run_stop(struct schema_run *run, enum status why);
/* Look at the clock: after work whose cost is not known beforehand. False: too late. */
bool run_is_in_time(struct schema_run *run);
/* Use up part of the budget; false: stop, run->status says why. */
static inline bool run_spend(struct schema_run *run, uint32_t units)
{
    if (run->units_left <= units)
        return run_stop(run, STATUS_LIMIT);
    uint32_t left = run->units_left - units;
    bool is_tick = left / UNITS_PER_CLOCK != run->units_left / UNITS_PER_CLOCK;
    run->units_left = left;
    return !is_tick || run_is_in_time(run);
}
/* Room for one more element; false: no memory, run->status says so. */
bool run_grow(struct schema_run *run, void *array_pointer, uint32_t count, uint32_t *capacity,
              size_t size);
/* Apply the root to `node` in that mode, with a fresh budget. */
bool run_apply(struct schema_run *run, uint32_t node, enum run_mode mode,
               const struct schema_budget *budget);
/* The root subschema applied to `node` (schema_check.c). */
bool run_root(struct schema_run *run, uint32_t node);
/* Get ready for that pair. False: no memory. */
bool run_begin(struct schema_run *run, const struct schema *schema, const struct json_doc *doc);

/* --- schema_detail.c ------------------------------------------------------------------------ */

/* A sentence about a breach of `check` (or of `type`, or of `false`) at the frame's value. */
void report_type(struct schema_run *run, const struct frame *frame);
void report_false(struct schema_run *run, const struct frame *frame);
void report_check(struct schema_run *run, const struct frame *frame, const struct check *check);
/* `other`: the member whose presence asks for it (dependentRequired); empty: `required`. */
void report_missing(struct schema_run *run, const struct frame *frame, struct bytes name,
                    struct bytes other);
void report_repeated(struct schema_run *run, const struct frame *frame, uint32_t first,
                     uint32_t second);
void report_contains(struct schema_run *run, const struct frame *frame,
                     const struct contains_rule *rule, uint64_t found);
void report_one_of(struct schema_run *run, const struct frame *frame, uint32_t first,
                   uint32_t second);
/* All alternatives failed by the type of the value itself. */
void report_alternative_types(struct schema_run *run, const struct frame *frame,
                              enum keyword keyword, uint8_t kinds);
/* Turn the findings into run->violations: in document order, none twice. */
void findings_finish(struct schema_run *run);
/* Add one that no keyword of the schema made (record_type.c). After findings_finish(). */
void run_add_violation(struct schema_run *run, const struct json_doc *doc, uint32_t node,
                       struct bytes member, const char *keyword, const char *detail);

/* The value in few words, for messages: "tomorrow", 42, an object. */
void put_short_value(struct buf *out, const struct json_doc *doc, uint32_t node);

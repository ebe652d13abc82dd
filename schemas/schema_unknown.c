/*
 * Members that no part of the schema knows: a walk that notes every member which something named,
 * then a pass over the document for the rest. Only objects that a `properties` was applied to are
 * looked at: elsewhere (custom fields, maps) any name is as good as another. Within an unknown
 * member nothing more is reported.
 */
#include "schemas/near_name.h"
#include "schemas/schema_run.h"

#define TEXT_BYTES_MAX (256 * 1024)

/* The known name, not yet used in the object, that is nearest to `name`. */
static struct bytes nearest(struct schema_run *run, uint32_t object, struct bytes name)
{
    struct bytes best = {0};
    uint32_t best_slips = UINT32_MAX;
    for (uint32_t d = 0; d < run->described_count; d++) {
        const struct member_rules *rules = run->described[d].rules;
        if (run->described[d].node != object || !rules->slots)
            continue;
        for (uint32_t i = 0; i <= rules->slot_mask && run_spend(run, 1); i++) {
            const struct member_rule *rule = &rules->slots[i];
            uint32_t slips =
                rule->is_used && rule->is_known ? near_name_distance(name, rule->name) : UINT32_MAX;
            if (slips < best_slips &&
                json_member_bytes(run->doc, object, rule->name) == JSON_NONE) {
                best = rule->name;
                best_slips = slips;
            }
        }
    }
    return best;
}

static void put_detail(struct schema_run *run, uint32_t object, uint32_t name)
{
    buf_clear(&run->scratch);
    struct bytes near = nearest(run, object, json_string(run->doc, name, &run->scratch));
    buf_put_str(&run->text, "is not a known member");
    if (near.len) {
        buf_put_str(&run->text, "; did you mean \"");
        buf_put_bytes(&run->text, near);
        buf_put_str(&run->text, "\"?");
    }
}

static bool is_described(const struct schema_run *run, uint32_t object)
{
    return run->known[object] & 2;
}

/* Offsets first; the text may move while it grows. */
struct place {
    size_t pointer, detail, end;
};

static uint32_t find_unknown(struct schema_run *run, uint32_t root, struct place *places)
{
    const struct json_doc *doc = run->doc;
    uint32_t count = 0, end = doc->nodes[root].next;
    /* Children follow their parent in the array, so a flat loop visits everything in order;
     * `name` nodes are found through the objects that hold them. */
    for (uint32_t node = root; node < end && count < VIOLATIONS_MAX; node++) {
        if (doc->nodes[node].flags & JSON_IS_NAME && run->known[node] & 4) {
            node = doc->nodes[node + 1].next - 1; /* skip what is within */
            continue;
        }
        if (json_kind_of(doc, node) != JSON_OBJECT || !is_described(run, node))
            continue;
        for (uint32_t name = json_first(doc, node); name != JSON_NONE && count < VIOLATIONS_MAX;
             name = json_after(doc, node, name)) {
            if (run->known[name] & 1)
                continue;
            if (run->text.len >= TEXT_BYTES_MAX)
                return count;
            run->known[name] |= 4;
            places[count].pointer = run->text.len;
            json_pointer_of(doc, name + 1, &run->text);
            places[count].detail = run->text.len;
            put_detail(run, node, name);
            places[count++].end = run->text.len;
        }
    }
    return count;
}

const struct unknown_member *schema_unknown_members(const struct schema *schema,
                                                    struct schema_run *run,
                                                    const struct json_doc *doc, uint32_t node,
                                                    size_t *ret_count)
{
    struct place places[VIOLATIONS_MAX];
    *ret_count = 0;
    if (run->is_all_known && run->mode == RUN_FAST && run->schema == schema && run->doc == doc)
        return run->unknown;
    if (!run_begin(run, schema, doc) ||
        !run_grow(run, &run->known, doc->node_count, &run->known_capacity, 1))
        return run->unknown;
    memset(run->known, 0, doc->node_count);
    (void)run_apply(run, node, RUN_KNOWN, NULL); /* whether it is valid is not the question */
    for (uint32_t i = 0; i < run->described_count; i++)
        run->known[run->described[i].node] |= 2;
    if (run->status != STATUS_OK)
        return run->unknown; /* too complex to say: no warnings */
    uint32_t count = find_unknown(run, node, places);
    if (run->text.status != STATUS_OK)
        return run->unknown;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *text = run->text.data;
        run->unknown[i] = (struct unknown_member){
            bytes_of(text + places[i].pointer, places[i].detail - places[i].pointer),
            bytes_of(text + places[i].detail, places[i].end - places[i].detail)};
    }
    *ret_count = count;
    return run->unknown;
}

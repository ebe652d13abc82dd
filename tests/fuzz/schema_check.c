/*
 * Fuzz target: the schema compiler and the checker. The input is {"schema": …, "data": …}; without
 * these members the whole input is both.
 *
 * What must hold: a verdict is the same a second time; a document is invalid exactly if there are
 * violations; each violation's pointer leads into the document, or to a member that is missing
 * there; a schema that is refused comes with a place in it and a sentence.
 */
#include "schemas/schema.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* The pointer, or the one without its last token, names a value. */
static bool leads_into(const struct json_doc *doc, uint32_t root, struct bytes pointer)
{
    struct buf whole = {0};
    uint32_t node;
    json_pointer_of(doc, root, &whole); /* pointers are from the document's root */
    must(pointer.len >= whole.len &&
         bytes_equal(bytes_of(pointer.data, whole.len), buf_bytes(&whole)));
    buf_fini(&whole);
    if (json_pointer_find(doc, pointer, &node) == STATUS_OK)
        return true;
    while (pointer.len && pointer.data[pointer.len - 1] != '/')
        pointer.len--;
    return pointer.len &&
           json_pointer_find(doc, bytes_of(pointer.data, pointer.len - 1), &node) == STATUS_OK;
}

static void check(const struct schema *schema, const struct json_doc *doc, uint32_t node)
{
    static struct schema_run *run;
    const struct schema_budget budget = {.nodes = 20000, .ms = 200};
    size_t count;
    run = run ? run : schema_run_new();
    must(run != NULL);
    enum status status = schema_check(schema, run, doc, node, &budget);
    if (status == STATUS_LIMIT)
        return;
    const struct violation *violations = schema_violations(run, &count);
    must(status == STATUS_OK || status == STATUS_INVALID);
    must((status == STATUS_OK) == (count == 0) && count <= VIOLATIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        must(violations[i].detail.len > 0 && violations[i].keyword[0]);
        must(leads_into(doc, node, violations[i].pointer));
    }
    const struct unknown_member *unknown = schema_unknown_members(schema, run, doc, node, &count);
    for (size_t i = 0; i < count; i++)
        must(unknown[i].detail.len > 0 && leads_into(doc, node, unknown[i].pointer));
    enum status again = schema_check(schema, run, doc, node, &budget);
    must(again == status || again == STATUS_LIMIT); /* the clock may decide otherwise */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct json_doc doc;
    struct json_fault fault;
    struct schema_fault schema_fault;
    struct schema_options options = {.assert_format = true, .root_member = "id"};
    struct schema *schema = NULL;
    if (json_scan(&doc, bytes_of(data, len), &fault) != STATUS_OK)
        return 0;
    uint32_t schema_node = json_member(&doc, json_root(&doc), "schema");
    uint32_t data_node = json_member(&doc, json_root(&doc), "data");
    schema_node = schema_node == JSON_NONE ? json_root(&doc) : schema_node;
    data_node = data_node == JSON_NONE ? json_root(&doc) : data_node;
    enum status status = schema_compile(&doc, schema_node, &options, &schema, &schema_fault);
    if (status == STATUS_OK)
        check(schema, &doc, data_node);
    else if (status == STATUS_INVALID)
        must(schema_fault.detail[0] && !schema);
    else
        must(status == STATUS_LIMIT);
    schema_fault_fini(&schema_fault);
    schema_free(schema);
    return 0;
}

/* schema: compiling, budgets, unknown members; the draft itself is the conformance suite's part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "schemas/schema.h"
#include "tests/unit/failing_memory.h"

#include <pthread.h>
#include <stdio.h>

struct subject {
    struct json_doc schema_doc;
    struct json_doc doc;
    struct schema *schema;
    struct schema_run *run;
    struct schema_fault fault;
};

static void subject_fini(struct subject *s)
{
    json_doc_fini(&s->schema_doc);
    json_doc_fini(&s->doc);
    schema_free(s->schema);
    schema_run_free(s->run);
    schema_fault_fini(&s->fault);
}

static void scan(struct json_doc *doc, const char *text)
{
    struct json_fault fault;
    if (json_scan(doc, bytes_of_str(text), &fault) != STATUS_OK)
        fail_msg("%s: %s", text, fault.detail);
}

static enum status compile_with(struct subject *s, const char *text,
                                const struct schema_options *options)
{
    *s = (struct subject){.run = schema_run_new()};
    assert_non_null(s->run);
    scan(&s->schema_doc, text);
    return schema_compile(&s->schema_doc, 0, options, &s->schema, &s->fault);
}

static struct subject compiled(const char *text)
{
    struct subject s;
    struct schema_options options = {0};
    if (compile_with(&s, text, &options) != STATUS_OK)
        fail_msg("%s: %s", buf_str(&s.fault.pointer), s.fault.detail);
    return s;
}

static enum status check(struct subject *s, const char *text, const struct schema_budget *budget)
{
    scan(&s->doc, text);
    return schema_check(s->schema, s->run, &s->doc, 0, budget);
}

/* Compiling fails, at that pointer, saying that. */
static void assert_refused(const char *text, const char *pointer, const char *detail)
{
    CLEANUP(subject_fini) struct subject s;
    struct schema_options options = {0};
    assert_int_equal(compile_with(&s, text, &options), STATUS_INVALID);
    assert_null(s.schema);
    assert_string_equal(buf_str(&s.fault.pointer), pointer);
    assert_string_equal(s.fault.detail, detail);
}

/* --- compiling ------------------------------------------------------------------------------- */

static void what_is_no_schema_is_refused_with_its_place(void **state)
{
    (void)state;
    assert_refused("3", "", "must be true or false or an object, got 3");
    assert_refused("{\"properties\":{\"a\":{\"minLength\":-1}}}", "/properties/a/minLength",
                   "must be at least 0, got -1");
    assert_refused("{\"required\":\"a\"}", "/required", "must be an array, got \"a\"");
    assert_refused("{\"items\":[{}]}", "/items",
                   "must be true or false or an object, got an array");
    assert_refused("{\"multipleOf\":0}", "/multipleOf", "must be greater than 0, got 0");
    assert_refused("{\"pattern\":\"a**\"}", "/pattern",
                   "is not a regular expression: there is nothing to repeat at character 3");
    assert_refused("{\"patternProperties\":{\"[\":{}}}", "/patternProperties/[",
                   "is not a regular expression: a class is not closed at character 2");
    assert_refused("{\"$anchor\":\"1\"}", "/$anchor",
                   "must match the pattern ^[A-Za-z_][-A-Za-z0-9._]*$, got \"1\"");
}

static void references_that_lead_nowhere_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"$ref\":\"#/$defs/a\"}", "/$ref",
                   "refers to postern:/schema#/$defs/a, and there is no such place");
    assert_refused("{\"$ref\":\"#a\"}", "/$ref",
                   "refers to postern:/schema#a, and there is no such place");
    assert_refused("{\"$ref\":\"http://example.com/x.json\"}", "/$ref",
                   "refers to http://example.com/x.json, and there is no such schema");
    assert_refused("{\"$defs\":{\"a\":[]},\"$ref\":\"#/$defs/a\"}", "/$defs/a",
                   "must be true or false or an object, got an empty array");
    assert_refused("{\"examples\":[7],\"$ref\":\"#/examples/0\"}", "/examples/0",
                   "is not a schema: must be an object or a boolean");
}

static void identifiers_used_twice_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"$defs\":{\"a\":{\"$id\":\"http://x.y/\"},\"b\":{\"$id\":\"http://x.y/\"}}}",
                   "/$defs/b", "\"$id\" http://x.y/ is used twice");
    assert_refused("{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$anchor\":\"x\"}}}",
                   "/$defs/b/$anchor", "the anchor is used twice");
}

static void a_schema_that_never_comes_to_an_end_is_refused(void **state)
{
    static const char DETAIL[] =
        "refers to itself without end: the same value is checked again and again";
    (void)state;
    assert_refused("{\"$ref\":\"#\"}", "", DETAIL);
    assert_refused("{\"allOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{\"not\":{\"$ref\":"
                   "\"#\"}}}}",
                   "/$defs/a/not", DETAIL);
    struct subject s = compiled("{\"properties\":{\"a\":{\"$ref\":\"#\"}}}");
    assert_int_equal(check(&s, "{\"a\":{\"a\":{}}}", NULL), STATUS_OK);
    subject_fini(&s);
}

static void other_dialects_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "/$schema",
                   "names the dialect http://json-schema.org/draft-07/schema, which is not "
                   "supported; the one that is: https://json-schema.org/draft/2020-12/schema");
}

static enum status resolve(void *context, struct bytes uri, struct bytes *ret_text)
{
    const char *const *texts = context; /* uri, text, uri, text, …, NULL */
    for (; *texts; texts += 2) {
        if (bytes_equal_str(uri, texts[0])) {
            *ret_text = bytes_of_str(texts[1]);
            return STATUS_OK;
        }
    }
    return STATUS_NOT_FOUND;
}

static void vocabularies_that_a_metaschema_requires_must_be_known(void **state)
{
    static const char *const TEXTS[] = {
        "http://a.b/known",
        "{\"$id\":\"http://a.b/known\",\"$vocabulary\":{\"https://json-schema.org/draft/2020-12/"
        "vocab/core\":true,\"http://a.b/odd\":false}}",
        "http://a.b/unknown",
        "{\"$id\":\"http://a.b/unknown\",\"$vocabulary\":{\"http://a.b/odd\":true}}",
        "http://a.b/self",
        "{\"$schema\":\"http://a.b/self\"}",
        NULL};
    struct schema_options options = {.resolve = resolve, .context = (void *)(uintptr_t)TEXTS};
    struct subject s;
    (void)state;
    assert_int_equal(
        compile_with(&s, "{\"$schema\":\"http://a.b/known\",\"type\":\"null\"}", &options),
        STATUS_OK);
    assert_int_equal(check(&s, "5", NULL), STATUS_OK); /* `type` is not in its vocabularies */
    subject_fini(&s);
    assert_int_equal(compile_with(&s, "{\"$schema\":\"http://a.b/unknown\"}", &options),
                     STATUS_INVALID);
    assert_string_equal(s.fault.detail, "its metaschema requires the vocabulary http://a.b/odd, "
                                        "which is not supported");
    assert_string_equal(buf_str(&s.fault.pointer), "/$schema");
    subject_fini(&s);
    assert_int_equal(compile_with(&s, "{\"$schema\":\"http://a.b/self\"}", &options),
                     STATUS_INVALID);
    subject_fini(&s);
}

static void faults_in_other_files_name_them(void **state)
{
    static const char *const TEXTS[] = {"http://a.b/x", "{\"type\":\"strin\"}", "http://a.b/y", "{",
                                        NULL};
    struct schema_options options = {.resolve = resolve, .context = (void *)(uintptr_t)TEXTS};
    struct subject s;
    (void)state;
    assert_int_equal(compile_with(&s, "{\"$ref\":\"http://a.b/x\"}", &options), STATUS_INVALID);
    assert_non_null(strstr(s.fault.detail, "in http://a.b/x: "));
    assert_string_equal(buf_str(&s.fault.pointer), "/type");
    subject_fini(&s);
    assert_int_equal(compile_with(&s, "{\"$ref\":\"http://a.b/y\"}", &options), STATUS_INVALID);
    assert_non_null(strstr(s.fault.detail, "http://a.b/y: line 1"));
    subject_fini(&s);
}

static void a_compiled_schema_needs_neither_text_nor_document(void **state)
{
    (void)state;
    char *text = strdup("{\"properties\":{\"a\":{\"enum\":[\"x\",[1]],\"pattern\":\"x\"}}}");
    struct subject s = compiled(text);
    json_doc_fini(&s.schema_doc);
    free(text);
    assert_int_equal(check(&s, "{\"a\":\"x\"}", NULL), STATUS_OK);
    assert_int_equal(check(&s, "{\"a\":\"y\"}", NULL), STATUS_INVALID);
    subject_fini(&s);
}

static void many_references_in_a_row_compile_without_recursion(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_put_str(&text, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 5000; i++)
        buf_printf(&text, "\"d%d\":{\"$ref\":\"#/$defs/d%d\"},", i, i + 1);
    buf_put_str(&text, "\"d5000\":{\"type\":\"null\"}}}");
    struct subject s = compiled(buf_str(&text));
    assert_int_equal(check(&s, "null", NULL), STATUS_LIMIT); /* deeper than a check may go */
    subject_fini(&s);
    buf_fini(&text);
}

/* --- values ---------------------------------------------------------------------------------- */

static void numbers_are_compared_by_value_and_exactly(void **state)
{
    (void)state;
    struct subject s =
        compiled("{\"enum\":[9007199254740993,1.50,{\"a\":[100,\"x\"],\"b\":null}]}");
    assert_int_equal(check(&s, "9007199254740993", NULL), STATUS_OK);
    assert_int_equal(check(&s, "9007199254740993.0", NULL), STATUS_OK);
    assert_int_equal(check(&s, "9007199254740992", NULL), STATUS_INVALID);
    assert_int_equal(check(&s, "15e-1", NULL), STATUS_OK);
    assert_int_equal(check(&s, "0.15E1", NULL), STATUS_OK);
    assert_int_equal(check(&s, "-1.5", NULL), STATUS_INVALID);
    assert_int_equal(check(&s, "{\"b\":null,\"a\":[1e2,\"\\u0078\"]}", NULL), STATUS_OK);
    assert_int_equal(check(&s, "{\"b\":null,\"a\":[\"x\",100]}", NULL), STATUS_INVALID);
    subject_fini(&s);
    s = compiled("{\"maximum\":18446744073709551615}");
    assert_int_equal(check(&s, "18446744073709551615", NULL), STATUS_OK);
    assert_int_equal(check(&s, "18446744073709551615.1", NULL), STATUS_INVALID);
    assert_int_equal(check(&s, "1e308", NULL), STATUS_INVALID);
    subject_fini(&s);
    s = compiled("{\"enum\":[0]}");
    assert_int_equal(check(&s, "-0.0e5", NULL), STATUS_OK);
    subject_fini(&s);
}

static void names_and_strings_are_compared_with_their_escapes_resolved(void **state)
{
    (void)state;
    struct subject s = compiled("{\"properties\":{\"a\\u002fb\":{\"const\":\"\\u00e9\"}},"
                                "\"required\":[\"a/b\"],\"additionalProperties\":false}");
    assert_int_equal(check(&s, "{\"\\u0061/b\":\"é\"}", NULL), STATUS_OK);
    assert_int_equal(check(&s, "{\"a/b\":\"e\"}", NULL), STATUS_INVALID);
    subject_fini(&s);
    s = compiled("{\"maxLength\":2,\"minLength\":2}");
    assert_int_equal(check(&s, "\"\\ud83d\\ude00\\n\"", NULL), STATUS_OK);
    assert_int_equal(check(&s, "\"\\u0000\\u0000\"", NULL), STATUS_OK);
    assert_int_equal(check(&s, "\"\\u0000\"", NULL), STATUS_INVALID);
    subject_fini(&s);
}

static void large_tables_find_every_name(void **state)
{
    (void)state;
    struct buf text = {0}, doc = {0};
    buf_put_str(&text, "{\"additionalProperties\":false,\"properties\":{");
    buf_put_char(&doc, '{');
    for (int i = 0; i < 3000; i++) {
        buf_printf(&text, "%s\"member%d\":{\"const\":%d}", i ? "," : "", i, i);
        buf_printf(&doc, "%s\"member%d\":%d", i ? "," : "", i, i);
    }
    buf_put_str(&text, "}}");
    buf_put_char(&doc, '}');
    struct subject s = compiled(buf_str(&text));
    assert_int_equal(check(&s, buf_str(&doc), NULL), STATUS_OK);
    assert_int_equal(check(&s, "{\"member2999\":2998}", NULL), STATUS_INVALID);
    subject_fini(&s);
    buf_fini(&text);
    buf_fini(&doc);
}

static void repetitions_are_found_among_many(void **state)
{
    (void)state;
    struct buf doc = {0};
    struct subject s = compiled("{\"uniqueItems\":true}");
    buf_put_char(&doc, '[');
    for (int i = 0; i < 20000; i++)
        buf_printf(&doc, "{\"n\":%d},", i);
    buf_put_str(&doc, "null]");
    assert_int_equal(check(&s, buf_str(&doc), NULL), STATUS_OK);
    doc.len -= 5;
    buf_put_str(&doc, "{\"n\":7.0}]");
    assert_int_equal(check(&s, buf_str(&doc), NULL), STATUS_INVALID);
    subject_fini(&s);
    buf_fini(&doc);
}

/* --- bounds ---------------------------------------------------------------------------------- */

static void the_budget_ends_a_check(void **state)
{
    (void)state;
    struct subject s = compiled("{\"items\":{\"type\":\"number\"}}");
    struct schema_budget budget = {.nodes = 5};
    assert_int_equal(check(&s, "[1,2,3]", &budget), STATUS_OK);
    assert_int_equal(check(&s, "[1,2,3,4,5,6]", &budget), STATUS_LIMIT);
    subject_fini(&s);
}

static void exponential_schemas_end_in_time(void **state)
{
    (void)state;
    struct buf text = {0};
    buf_put_str(&text, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
    for (int i = 0; i < 60; i++)
        buf_printf(&text,
                   "\"d%d\":{\"anyOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/d%d\"}]},",
                   i, i + 1, i + 1);
    buf_put_str(&text, "\"d60\":{\"type\":\"null\"}}}");
    struct subject s = compiled(buf_str(&text));
    assert_int_equal(check(&s, "5", NULL), STATUS_LIMIT);
    assert_int_equal(check(&s, "null", NULL), STATUS_OK);
    subject_fini(&s);
    buf_fini(&text);
}

static void a_pattern_that_backtracks_too_much_is_a_limit(void **state)
{
    (void)state;
    struct subject s = compiled("{\"pattern\":\"^(a+)+$\"}");
    assert_int_equal(check(&s, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"", NULL),
                     STATUS_LIMIT);
    subject_fini(&s);
    s = compiled("{\"not\":{\"pattern\":\"^(a+)+$\"}}"); /* neither yes nor no */
    assert_int_equal(check(&s, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"", NULL),
                     STATUS_LIMIT);
    subject_fini(&s);
}

/* As many patterns as elements, each near its limit: the clock ends it. */
static void many_slow_patterns_end_in_time(void **state)
{
    (void)state;
    struct buf doc = {0};
    struct subject s = compiled("{\"items\":{\"pattern\":\"^(a|a)*(a|a)*$\"}}");
    struct schema_budget budget = {.ms = 20};
    buf_put_char(&doc, '[');
    for (int i = 0; i < 5000; i++)
        buf_printf(&doc, "%s\"aaaaaaaaaaaaaaaa%db\"", i ? "," : "", i);
    buf_put_char(&doc, ']');
    enum status status = check(&s, buf_str(&doc), &budget);
    assert_true(status == STATUS_INVALID || status == STATUS_LIMIT);
    subject_fini(&s);
    buf_fini(&doc);
}

static void *check_often(void *argument)
{
    struct subject *shared = argument;
    struct schema_run *run = schema_run_new();
    struct json_doc doc = {0};
    bool is_right = run != NULL;
    scan(&doc, "{\"a\":[\"x1\",\"y\"]}");
    for (int i = 0; i < 2000 && is_right; i++) {
        size_t count;
        is_right = schema_check(shared->schema, run, &doc, 0, NULL) == STATUS_INVALID;
        const struct violation *violations = schema_violations(run, &count);
        is_right &= count == 1 && bytes_equal_str(violations[0].pointer, "/a/1");
    }
    json_doc_fini(&doc);
    schema_run_free(run);
    return is_right ? shared : NULL;
}

static void a_schema_is_shared_between_threads(void **state)
{
    pthread_t threads[4];
    (void)state;
    struct subject s = compiled("{\"properties\":{\"a\":{\"items\":{\"pattern\":\"\\\\d\"}}}}");
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_often, &s), 0);
    for (size_t i = 0; i < 4; i++) {
        void *answer;
        assert_int_equal(pthread_join(threads[i], &answer), 0);
        assert_ptr_equal(answer, &s);
    }
    subject_fini(&s);
}

static void violations_are_at_most_fifty(void **state)
{
    (void)state;
    struct buf doc = {0};
    size_t count;
    struct subject s = compiled("{\"items\":{\"anyOf\":[{\"type\":\"null\"},{\"minimum\":5}]}}");
    buf_put_char(&doc, '[');
    for (int i = 0; i < 1000; i++)
        buf_put_str(&doc, i ? ",1" : "1");
    buf_put_char(&doc, ']');
    assert_int_equal(check(&s, buf_str(&doc), NULL), STATUS_INVALID);
    const struct violation *violations = schema_violations(s.run, &count);
    assert_int_equal(count, VIOLATIONS_MAX);
    assert_true(bytes_equal_str(violations[49].pointer, "/49"));
    subject_fini(&s);
    buf_fini(&doc);
}

static void nothing_is_allocated_while_a_document_is_valid(void **state)
{
    (void)state;
    struct schema_options options = {.assert_format = true};
    struct subject s;
    struct json_fault fault;
    struct bytes text = bytes_of_str(
        "{\"a\":\"x\\ny\",\"b\":[1,2,{\"c\":\"2026-11-20T13:00:00Z\"}],\"d\":\"abc\",\"e\":{}}");
    assert_int_equal(
        compile_with(&s,
                     "{\"properties\":{\"a\":{\"enum\":[\"x\\ny\",1]},\"b\":{\"uniqueItems\":true,"
                     "\"contains\":{\"const\":2},\"items\":{\"anyOf\":[{\"type\":\"number\"},{"
                     "\"properties\":{\"c\":{\"format\":\"date-time\"}}}]}},\"d\":{\"pattern\":"
                     "\"^[a-c]+$\"},\"e\":{}},\"unevaluatedProperties\":false}",
                     &options),
        STATUS_OK);
    for (int i = 0; i < 2; i++) { /* the first time the scratch memory grows */
        allocations = 0;
        assert_int_equal(json_scan(&s.doc, text, &fault), STATUS_OK);
        assert_int_equal(schema_check(s.schema, s.run, &s.doc, 0, NULL), STATUS_OK);
    }
    assert_int_equal(allocations, 0);
    subject_fini(&s);
}

/* Compile, check, look for unknown members, with the allocation number `at` failing. True: that
 * one was reached. */
static bool run_short_of_memory(const struct json_doc *schema_doc, const struct json_doc *doc,
                                unsigned at, enum status expected)
{
    struct schema_options options = {.assert_format = true};
    struct schema_fault fault = {0};
    struct schema *schema = NULL;
    size_t count;
    fail_memory(at, at);
    struct schema_run *run = schema_run_new();
    enum status status =
        run ? schema_compile(schema_doc, 0, &options, &schema, &fault) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        status = schema_check(schema, run, doc, 0, NULL);
        (void)schema_unknown_members(schema, run, doc, 0, &count); /* none, or those there are */
        assert_true(status == expected || status == STATUS_NO_MEMORY);
    } else if (status != STATUS_NO_MEMORY) {
        fail_msg("allocation %u: %s", at, fault.detail);
    }
    bool is_reached = stop_failing() >= at;
    schema_fault_fini(&fault);
    schema_free(schema);
    schema_run_free(run);
    return is_reached;
}

static void every_shortage_of_memory_is_survived(void **state)
{
    static const char SCHEMA[] =
        "{\"$id\":\"http://a.b/c\",\"properties\":{\"a\":{\"enum\":[1,\"x\"]},\"b\":{\"pattern\":"
        "\"^x\",\"format\":\"date\"},\"c\":{\"$ref\":\"#d\"}},\"required\":[\"a\"],\"$defs\":{"
        "\"d\":{\"$anchor\":\"d\",\"uniqueItems\":true,\"items\":{\"$dynamicRef\":\"#e\"}},"
        "\"e\":{\"$dynamicAnchor\":\"e\"}},\"unevaluatedProperties\":false,\"anyOf\":[{\"type\":"
        "\"string\"},{\"minProperties\":1}]}";
    static const char *const DOCS[] = {
        "{\"a\":1,\"b\":\"x\",\"c\":[1,2,3]}",
        "{\"a\":1,\"c\":[1,2,3]}",
        "{\"a\":3,\"b\":\"\\u0061\",\"c\":[1,1.0],\"z\":1}",
    };
    struct schema_options options = {.assert_format = true};
    struct subject s;
    (void)state;
    assert_int_equal(compile_with(&s, SCHEMA, &options), STATUS_OK);
    for (size_t i = 0; i < 3; i++) {
        enum status expected = check(&s, DOCS[i], NULL);
        for (unsigned at = 1; run_short_of_memory(&s.schema_doc, &s.doc, at, expected);)
            at++;
    }
    subject_fini(&s);
}

/* --- unknown members ------------------------------------------------------------------------- */

/* Each as "pointer: detail", a line each. */
static void assert_unknown(const char *schema, const char *text, const char *expected)
{
    CLEANUP(subject_fini) struct subject s = compiled(schema);
    CLEANUP(buf_fini) struct buf lines = {0};
    size_t count;
    (void)check(&s, text, NULL);
    const struct unknown_member *unknown =
        schema_unknown_members(s.schema, s.run, &s.doc, 0, &count);
    for (size_t i = 0; i < count; i++)
        buf_printf(&lines, "%s%.*s: %.*s", i ? "\n" : "", BYTES_ARG(unknown[i].pointer),
                   BYTES_ARG(unknown[i].detail));
    assert_string_equal(buf_str(&lines), expected);
}

static void members_that_nothing_names_are_unknown(void **state)
{
    (void)state;
    assert_unknown("{\"properties\":{\"priority\":{},\"title\":{}}}",
                   "{\"prioriy\":1,\"title\":2,\"other\":{\"x\":1}}",
                   "/prioriy: is not a known member; did you mean \"priority\"?\n"
                   "/other: is not a known member");
    assert_unknown("{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b\":{}}}}}}",
                   "{\"a\":[{\"b\":1},{\"c\":1}]}", "/a/1/c: is not a known member");
    assert_unknown("{\"properties\":{\"priority\":{}}}", "{\"priority\":1,\"prioriy\":1}",
                   "/prioriy: is not a known member"); /* the near one is there already */
}

static void patterns_and_schema_valued_additions_make_members_known(void **state)
{
    (void)state;
    assert_unknown("{\"properties\":{\"a\":{}},\"patternProperties\":{\"^x-\":{}}}",
                   "{\"x-y\":1,\"y\":1}", "/y: is not a known member");
    assert_unknown("{\"properties\":{\"a\":{}},\"additionalProperties\":{}}", "{\"y\":1}", "");
    assert_unknown("{\"properties\":{\"a\":{}},\"additionalProperties\":true}", "{\"y\":1}",
                   "/y: is not a known member");
    assert_unknown("{\"properties\":{\"a\":{}},\"unevaluatedProperties\":{\"type\":\"number\"}}",
                   "{\"y\":1}", "");
}

static void objects_without_described_members_have_no_unknown_ones(void **state)
{
    (void)state;
    assert_unknown("{\"properties\":{\"customFields\":{\"type\":\"object\"}}}",
                   "{\"customFields\":{\"x\":{\"y\":1}}}", "");
    assert_unknown("true", "{\"a\":1}", "");
}

static void only_branches_that_hold_make_members_known(void **state)
{
    (void)state;
    static const char SCHEMA[] =
        "{\"properties\":{\"kind\":{}},\"anyOf\":[{\"properties\":{\"kind\":{\"const\":1},\"a\":{}}"
        "},{\"properties\":{\"kind\":{\"const\":2},\"b\":{}}}],\"if\":{\"required\":[\"c\"],"
        "\"properties\":{\"c\":{}}},\"then\":{\"properties\":{\"d\":{}}},\"else\":{\"properties\":{"
        "\"e\":{}}}}";
    assert_unknown(SCHEMA, "{\"kind\":1,\"a\":1,\"b\":1}", "/b: is not a known member");
    assert_unknown(SCHEMA, "{\"kind\":2,\"b\":1,\"c\":1,\"d\":1,\"e\":1}",
                   "/e: is not a known member");
    assert_unknown(SCHEMA, "{\"kind\":2,\"d\":1,\"e\":1}", "/d: is not a known member");
}

static void invalid_documents_have_unknown_members_too(void **state)
{
    (void)state;
    assert_unknown("{\"required\":[\"x\"],\"properties\":{\"a\":{\"type\":\"null\"},\"b\":{}}}",
                   "{\"a\":1,\"b\":1,\"c\":1}", "/c: is not a known member");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_schema_is_refused_with_its_place),
        cmocka_unit_test(references_that_lead_nowhere_are_refused),
        cmocka_unit_test(identifiers_used_twice_are_refused),
        cmocka_unit_test(a_schema_that_never_comes_to_an_end_is_refused),
        cmocka_unit_test(other_dialects_are_refused),
        cmocka_unit_test(vocabularies_that_a_metaschema_requires_must_be_known),
        cmocka_unit_test(faults_in_other_files_name_them),
        cmocka_unit_test(a_compiled_schema_needs_neither_text_nor_document),
        cmocka_unit_test(many_references_in_a_row_compile_without_recursion),
        cmocka_unit_test(numbers_are_compared_by_value_and_exactly),
        cmocka_unit_test(names_and_strings_are_compared_with_their_escapes_resolved),
        cmocka_unit_test(large_tables_find_every_name),
        cmocka_unit_test(repetitions_are_found_among_many),
        cmocka_unit_test(the_budget_ends_a_check),
        cmocka_unit_test(exponential_schemas_end_in_time),
        cmocka_unit_test(a_pattern_that_backtracks_too_much_is_a_limit),
        cmocka_unit_test(many_slow_patterns_end_in_time),
        cmocka_unit_test(a_schema_is_shared_between_threads),
        cmocka_unit_test(violations_are_at_most_fifty),
        cmocka_unit_test(nothing_is_allocated_while_a_document_is_valid),
        cmocka_unit_test(every_shortage_of_memory_is_survived),
        cmocka_unit_test(members_that_nothing_names_are_unknown),
        cmocka_unit_test(patterns_and_schema_valued_additions_make_members_known),
        cmocka_unit_test(objects_without_described_members_have_no_unknown_ones),
        cmocka_unit_test(only_branches_that_hold_make_members_known),
        cmocka_unit_test(invalid_documents_have_unknown_members_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

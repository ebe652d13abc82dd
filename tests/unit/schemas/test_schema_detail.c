/* schema_detail: what a violation says, for each keyword. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "schemas/schema.h"

/* All violations of `text`, a line each: "pointer keyword schema-pointer: detail". */
static void assert_says(const char *schema_text, const char *text, const char *expected)
{
    struct json_doc schema_doc = {0}, doc = {0};
    struct json_fault fault;
    struct schema_fault schema_fault;
    struct schema_options options = {.assert_format = true};
    struct schema *schema = NULL;
    struct schema_run *run = schema_run_new();
    struct buf lines = {0};
    size_t count;
    assert_int_equal(json_scan(&schema_doc, bytes_of_str(schema_text), &fault), STATUS_OK);
    if (json_scan(&doc, bytes_of_str(text), &fault) != STATUS_OK)
        fail_msg("%s: %s", text, fault.detail);
    if (schema_compile(&schema_doc, 0, &options, &schema, &schema_fault) != STATUS_OK)
        fail_msg("%s: %s: %s", schema_text, buf_str(&schema_fault.pointer), schema_fault.detail);
    enum status status = schema_check(schema, run, &doc, 0, NULL);
    const struct violation *violations = schema_violations(run, &count);
    assert_int_equal(status, count ? STATUS_INVALID : STATUS_OK);
    for (size_t i = 0; i < count; i++)
        buf_printf(&lines, "%s%.*s %s %.*s: %.*s", i ? "\n" : "", BYTES_ARG(violations[i].pointer),
                   violations[i].keyword, BYTES_ARG(violations[i].schema_pointer),
                   BYTES_ARG(violations[i].detail));
    assert_string_equal(buf_str(&lines), expected);
    buf_fini(&lines);
    schema_fault_fini(&schema_fault);
    schema_free(schema);
    schema_run_free(run);
    json_doc_fini(&schema_doc);
    json_doc_fini(&doc);
}

static void types_are_named_in_words(void **state)
{
    (void)state;
    assert_says("{\"type\":\"string\"}", "5", " type /type: must be a string, got 5");
    assert_says("{\"type\":[\"integer\",\"null\"]}", "\"x\"",
                " type /type: must be a whole number or null, got \"x\"");
    assert_says("{\"type\":[\"string\",\"number\",\"boolean\"]}", "[1]",
                " type /type: must be a string, a number or true or false, got an array");
    assert_says("{\"type\":\"integer\"}", "1.5", " type /type: must be a whole number, got 1.5");
    assert_says("{\"type\":\"array\"}", "{}", " type /type: must be an array, got an empty object");
}

static void choices_are_listed_and_the_nearest_is_suggested(void **state)
{
    (void)state;
    assert_says("{\"enum\":[\"draft\",\"done\",3]}", "\"drfat\"",
                " enum /enum: must be one of \"draft\", \"done\", 3, got \"drfat\"; did you mean "
                "\"draft\"?");
    assert_says("{\"enum\":[\"draft\",\"done\"]}", "7",
                " enum /enum: must be one of \"draft\", \"done\", got 7");
    assert_says("{\"const\":{\"a\":1}}", "true", " const /const: must be an object, got true");
    assert_says("{\"const\":\"a\"}", "\"b\"", " const /const: must be \"a\", got \"b\"");
}

static void bounds_are_named(void **state)
{
    (void)state;
    assert_says("{\"minimum\":-90}", "-100", " minimum /minimum: must be at least -90, got -100");
    assert_says("{\"exclusiveMinimum\":0}", "0",
                " exclusiveMinimum /exclusiveMinimum: must be greater than 0, got 0");
    assert_says("{\"maximum\":1.5}", "2", " maximum /maximum: must be at most 1.5, got 2");
    assert_says("{\"exclusiveMaximum\":1e2}", "100",
                " exclusiveMaximum /exclusiveMaximum: must be less than 1e2, got 100");
    assert_says("{\"multipleOf\":0.01}", "0.015",
                " multipleOf /multipleOf: must be a multiple of 0.01, got 0.015");
    assert_says("{\"minLength\":1}", "\"\"", " minLength /minLength: must not be empty");
    assert_says("{\"minLength\":3}", "\"é\\n\"",
                " minLength /minLength: must have at least 3 characters, has 2: \"é \"");
    assert_says("{\"maxLength\":1}", "\"\\ud83d\\ude00b\"",
                " maxLength /maxLength: must have at most 1 character, has 2: \"\xF0\x9F\x98\x80"
                "b\"");
    assert_says("{\"minItems\":1}", "[]", " minItems /minItems: must not be empty");
    assert_says("{\"maxItems\":1}", "[1,2]",
                " maxItems /maxItems: must have at most 1 element, has 2");
    assert_says("{\"minProperties\":2}", "{\"a\":1}",
                " minProperties /minProperties: must have at least 2 members, has 1");
    assert_says("{\"maxProperties\":0}", "{\"a\":1}",
                " maxProperties /maxProperties: must have at most 0 members, has 1");
}

static void patterns_and_formats_are_named(void **state)
{
    (void)state;
    assert_says("{\"pattern\":\"^[0-9]+$\"}", "\"x\"",
                " pattern /pattern: must match the pattern ^[0-9]+$, got \"x\"");
    assert_says("{\"format\":\"date-time\"}", "\"tomorrow\"",
                " format /format: must be an RFC 3339 date-time, got \"tomorrow\"");
    assert_says("{\"format\":\"email\"}", "\"0123456789012345678901234567890123456789x\"",
                " format /format: must be an email address, got "
                "\"0123456789012345678901234567890123456789…\"");
}

static void missing_and_extra_members_are_pointed_at(void **state)
{
    (void)state;
    assert_says("{\"required\":[\"a/b\",\"c\"]}", "{}",
                "/a~1b required /required: is required\n/c required /required: is required");
    assert_says("{\"properties\":{\"priority\":{}},\"additionalProperties\":false}",
                "{\"prioriy\":1}",
                "/prioriy additionalProperties /additionalProperties: is not allowed; did you mean "
                "\"priority\"?");
    assert_says("{\"allOf\":[{\"properties\":{\"a\":{}}}],\"unevaluatedProperties\":false}",
                "{\"a\":1,\"b\":2}",
                "/b unevaluatedProperties /unevaluatedProperties: is not allowed");
    assert_says("{\"properties\":{\"a\":false}}", "{\"a\":1}",
                "/a properties /properties/a: is not allowed");
    assert_says("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}",
                "/b dependentRequired /dependentRequired: is required where there is \"a\"");
    assert_says("{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":1}",
                "/ab maxLength /propertyNames/maxLength: has a name that must have at most 1 "
                "character, has 2: \"ab\"");
    assert_says("false", "1", " false : is not allowed");
}

static void elements_are_counted(void **state)
{
    (void)state;
    assert_says("{\"uniqueItems\":true}", "[1,\"a\",1.0]",
                " uniqueItems /uniqueItems: must not repeat elements: number 2 is the same as "
                "number 0 (1.0)");
    assert_says("{\"contains\":{\"type\":\"string\"}}", "[1]",
                " contains /contains: must contain at least 1 element of the kind that "
                "\"contains\" describes, has 0");
    assert_says("{\"contains\":{\"type\":\"string\"},\"maxContains\":1}", "[\"a\",\"b\"]",
                " maxContains /maxContains: must contain at most 1 element of the kind that "
                "\"contains\" describes, has 2");
    assert_says("{\"prefixItems\":[{},{\"type\":\"string\"}],\"items\":false}", "[1,2,3]",
                "/1 type /prefixItems/1/type: must be a string, got 2\n"
                "/2 items /items: is not allowed");
}

static void pointers_lead_through_references(void **state)
{
    (void)state;
    assert_says("{\"properties\":{\"at\":{\"$ref\":\"#/$defs/place\"}},\"$defs\":{\"place\":{"
                "\"properties\":{\"lat\":{\"type\":\"number\"}}}}}",
                "{\"at\":{\"lat\":\"x\"}}",
                "/at/lat type /properties/at/$ref/properties/lat/type: must be a number, got "
                "\"x\"");
}

static void the_closest_alternative_is_reported(void **state)
{
    static const char SHAPES[] =
        "{\"oneOf\":[{\"type\":\"string\"},"
        "{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"disc\"},\"radius\":{\"type\":"
        "\"number\"}},\"required\":[\"radius\"]},"
        "{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"box\"},\"width\":{\"type\":"
        "\"number\"}},\"required\":[\"width\"]}]}";
    (void)state;
    assert_says(SHAPES, "{\"kind\":\"box\"}", "/width required /oneOf/2/required: is required");
    assert_says(SHAPES, "{\"kind\":\"disc\",\"radius\":\"x\"}",
                "/radius type /oneOf/1/properties/radius/type: must be a number, got \"x\"");
    assert_says(SHAPES, "7", " oneOf /oneOf: must be a string or an object, got 7");
    assert_says("{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "[]",
                " anyOf /anyOf: must be a string or null, got an empty array");
    assert_says("{\"anyOf\":[{\"type\":\"string\",\"minLength\":2},{\"type\":\"null\"}]}", "\"x\"",
                " minLength /anyOf/0/minLength: must have at least 2 characters, has 1: \"x\"");
    assert_says("{\"oneOf\":[{},{\"type\":\"number\"}]}", "3",
                " oneOf /oneOf: must fit exactly one of the alternatives, but fits number 0 and "
                "number 1");
    assert_says("{\"not\":{\"type\":\"null\"}}", "null",
                " not /not: must not be what \"not\" describes, got null");
    assert_says("{\"if\":{\"type\":\"number\"},\"then\":{\"minimum\":1},\"else\":{\"type\":"
                "\"null\"}}",
                "0", " minimum /then/minimum: must be at least 1, got 0");
}

static void what_the_closest_alternative_has_seen_is_not_unevaluated(void **state)
{
    (void)state;
    assert_says("{\"anyOf\":[{\"properties\":{\"a\":{\"minimum\":5},\"b\":{}}},{\"type\":"
                "\"null\"}],\"unevaluatedProperties\":false}",
                "{\"a\":1,\"b\":2,\"z\":3}",
                "/a minimum /anyOf/0/properties/a/minimum: must be at least 5, got 1\n"
                "/z unevaluatedProperties /unevaluatedProperties: is not allowed");
}

static void violations_come_in_document_order_and_once(void **state)
{
    (void)state;
    assert_says(
        "{\"properties\":{\"b\":{\"type\":\"null\"},\"a\":{\"type\":\"null\"}},\"allOf\":[{"
        "\"properties\":{\"a\":{\"minimum\":5}}},{\"properties\":{\"a\":{\"type\":\"null\"}}}]}",
        "{\"a\":1,\"b\":2}",
        "/a type /properties/a/type: must be null, got 1\n"
        "/a minimum /allOf/0/properties/a/minimum: must be at least 5, got 1\n"
        "/b type /properties/b/type: must be null, got 2");
}

static void a_wrong_type_silences_what_follows_from_it(void **state)
{
    (void)state;
    assert_says("{\"type\":\"string\",\"enum\":[\"a\"],\"minLength\":1}", "5",
                " type /type: must be a string, got 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_named_in_words),
        cmocka_unit_test(choices_are_listed_and_the_nearest_is_suggested),
        cmocka_unit_test(bounds_are_named),
        cmocka_unit_test(patterns_and_formats_are_named),
        cmocka_unit_test(missing_and_extra_members_are_pointed_at),
        cmocka_unit_test(elements_are_counted),
        cmocka_unit_test(pointers_lead_through_references),
        cmocka_unit_test(the_closest_alternative_is_reported),
        cmocka_unit_test(what_the_closest_alternative_has_seen_is_not_unevaluated),
        cmocka_unit_test(violations_come_in_document_order_and_once),
        cmocka_unit_test(a_wrong_type_silences_what_follows_from_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

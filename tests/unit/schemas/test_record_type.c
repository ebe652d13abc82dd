/* record_type: the shipped types, what is refused at load, the record key, the order rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "schemas/record_type.h"

#include <stdio.h>
#include <unistd.h>

#define TYPE_HEAD                                                                                  \
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"type\":\"object\","           \
    "\"properties\":{\"number\":{},\"from\":{},\"to\":{},\"status\":{},\"parts\":{}},"
#define TYPE(annotation) TYPE_HEAD "\"x-postern\":" annotation "}"
#define MINIMAL "{\"type\":\"thing\",\"idPrefix\":\"th\",\"key\":\"number\"}"

struct folder {
    char path[64];
    struct err err;
    struct record_types *types;
};

static void folder_make(struct folder *folder)
{
    *folder = (struct folder){.path = "/tmp/postern-types-XXXXXX"};
    assert_non_null(mkdtemp(folder->path));
}

static void folder_fini(struct folder *folder)
{
    char command[128];
    record_types_unref(folder->types);
    snprintf(command, sizeof(command), "rm -r %s", folder->path);
    assert_int_equal(system(command), 0);
}

static void folder_put(const struct folder *folder, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static enum status folder_load(struct folder *folder)
{
    return record_types_load(folder->path, &folder->types, &folder->err);
}

/* Loading one file fails with this message behind the file's name. */
static void assert_refused(const char *text, const char *message)
{
    CLEANUP(folder_fini) struct folder folder;
    char expected[512];
    folder_make(&folder);
    folder_put(&folder, "a.schema.json", text);
    assert_int_equal(folder_load(&folder), STATUS_INVALID);
    snprintf(expected, sizeof(expected), "%s/a.schema.json: %s", folder.path, message);
    assert_string_equal(folder.err.text, expected);
    assert_null(folder.types);
}

struct checked {
    struct schema_run *run;
    struct json_doc doc;
    enum status status;
    char first[512]; /* "pointer keyword detail" of the first violation */
};

static void checked_fini(struct checked *checked)
{
    schema_run_free(checked->run);
    json_doc_fini(&checked->doc);
}

static struct checked check(const struct record_types *types, const char *type, const char *text)
{
    struct checked checked = {.run = schema_run_new()};
    struct json_fault fault;
    size_t count;
    const struct record_type *found = record_types_find(types, bytes_of_str(type));
    assert_non_null(found);
    assert_int_equal(json_scan(&checked.doc, bytes_of_str(text), &fault), STATUS_OK);
    checked.status = record_type_check(found, checked.run, &checked.doc, NULL);
    const struct violation *violations = schema_violations(checked.run, &count);
    assert_true(checked.status == STATUS_OK ? count == 0 : count > 0);
    if (count)
        snprintf(checked.first, sizeof(checked.first), "%.*s %s %.*s",
                 BYTES_ARG(violations[0].pointer), violations[0].keyword,
                 BYTES_ARG(violations[0].detail));
    return checked;
}

static void assert_valid(const struct record_types *types, const char *type, const char *text)
{
    CLEANUP(checked_fini) struct checked checked = check(types, type, text);
    assert_string_equal(checked.first, "");
    assert_int_equal(checked.status, STATUS_OK);
}

static void assert_invalid(const struct record_types *types, const char *type, const char *text,
                           const char *first)
{
    CLEANUP(checked_fini) struct checked checked = check(types, type, text);
    assert_int_equal(checked.status, STATUS_INVALID);
    assert_string_equal(checked.first, first);
}

static struct record_types *shipped(void)
{
    struct err err = {0};
    struct record_types *types = NULL;
    enum status status = record_types_load(SHIPPED_TYPES, &types, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(status, STATUS_OK);
    return types;
}

/* --- the shipped types ----------------------------------------------------------------------- */

#define FIVE 5
static const char *const NAMES[FIVE] = {"employee", "project", "timeoff", "vendor", "workorder"};

static const struct record_type *shipped_type(const struct record_types *types, size_t index)
{
    const struct record_type *type = record_types_find(types, bytes_of_str(NAMES[index]));
    assert_non_null(type);
    return type;
}

static void the_five_types_are_there(void **state)
{
    static const char *const PREFIXES[] = {"emp", "proj", "to", "ven", "wo"};
    static const char *const KEYS[] = {"employeeNumber", "projectNumber", "requestNumber",
                                       "vendorNumber", "workOrderNumber"};
    (void)state;
    struct record_types *types = shipped();
    for (size_t i = 0; i < FIVE; i++) {
        const struct record_type *type = shipped_type(types, i);
        assert_string_equal(type->name, NAMES[i]);
        assert_string_equal(type->id_prefix, PREFIXES[i]);
        assert_string_equal(type->key, KEYS[i]);
        assert_int_equal(type->is_key_required, i != 2);
        assert_true(type->column_count > 0);
    }
    for (size_t i = 1; i < record_types_count(types); i++)
        assert_true(strcmp(record_types_at(types, i - 1)->name, record_types_at(types, i)->name) <
                    0);
    record_types_unref(types);
}

static void put_event(void *context, const char *event)
{
    buf_put_str(context, event);
    buf_put_char(context, ' ');
}

static void the_shipped_types_raise_the_catalogue(void **state)
{
    (void)state;
    struct record_types *types = shipped();
    struct buf events = {0};
    for (size_t i = 0; i < FIVE; i++)
        record_type_events(shipped_type(types, i), put_event, &events);
    assert_string_equal(buf_str(&events),
                        "employee.created employee.updated employee.deleted "
                        "project.created project.updated project.completed "
                        "timeoff.requested timeoff.approved timeoff.denied timeoff.cancelled "
                        "vendor.created vendor.updated vendor.deleted "
                        "workorder.created workorder.updated workorder.deleted workorder.started "
                        "workorder.completed workorder.cancelled employee.assigned ");
    buf_fini(&events);
    record_types_unref(types);
}

/* Every example in the shipped files is valid against the schema that it stands in. */
static void check_examples(const struct json_doc *doc, uint32_t node, size_t *count)
{
    uint32_t examples = json_member(doc, node, "examples");
    for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i)) {
        uint32_t value = json_kind_of(doc, node) == JSON_OBJECT ? i + 1 : i;
        if (value != examples)
            check_examples(doc, value, count);
    }
    if (examples == JSON_NONE || json_kind_of(doc, examples) != JSON_ARRAY)
        return;
    struct schema_options options = {.assert_format = true};
    struct schema_fault fault;
    struct schema *schema;
    struct schema_run *run = schema_run_new();
    assert_int_equal(schema_compile(doc, node, &options, &schema, &fault), STATUS_OK);
    for (uint32_t i = json_first(doc, examples); i != JSON_NONE; i = json_after(doc, examples, i)) {
        assert_int_equal(schema_check(schema, run, doc, i, NULL), STATUS_OK);
        ++*count;
    }
    schema_fault_fini(&fault);
    schema_run_free(run);
    schema_free(schema);
}

static void every_member_has_title_description_and_valid_examples(void **state)
{
    (void)state;
    struct record_types *types = shipped();
    for (size_t i = 0; i < FIVE; i++) {
        const struct record_type *type = shipped_type(types, i);
        CLEANUP(json_doc_fini) struct json_doc doc = {0};
        struct json_fault fault;
        size_t examples = 0, members = 0;
        assert_int_equal(json_scan(&doc, bytes_of(type->text, type->text_bytes), &fault),
                         STATUS_OK);
        uint32_t properties = json_member(&doc, 0, "properties");
        for (uint32_t p = json_first(&doc, properties); p != JSON_NONE;
             p = json_after(&doc, properties, p), members++) {
            assert_int_not_equal(json_member(&doc, p + 1, "title"), JSON_NONE);
            assert_int_not_equal(json_member(&doc, p + 1, "description"), JSON_NONE);
            assert_int_not_equal(json_member(&doc, p + 1, "examples"), JSON_NONE);
        }
        check_examples(&doc, properties, &examples);
        assert_in_range(members, 15, 35);
        assert_true(examples >= members);
    }
    record_types_unref(types);
}

static void required_members_and_statuses_are_the_contracts(void **state)
{
    (void)state;
    struct record_types *types = shipped();
    assert_valid(types, "workorder", "{\"workOrderNumber\":\"WO-1\",\"title\":\"x\"}");
    assert_invalid(types, "workorder", "{\"workOrderNumber\":\"WO-1\"}",
                   "/title required is required");
    assert_invalid(types, "workorder",
                   "{\"workOrderNumber\":\"WO-1\",\"title\":\"x\",\"status\":\"sheduled\"}",
                   "/status enum must be one of \"draft\", \"scheduled\", \"in_progress\", "
                   "\"on_hold\", \"completed\", \"cancelled\", got \"sheduled\"; did you mean "
                   "\"scheduled\"?");
    assert_invalid(types, "workorder",
                   "{\"workOrderNumber\":\"1\",\"title\":\"x\",\"scheduledStart\":\"tomorrow\"}",
                   "/scheduledStart format must be an RFC 3339 date-time, got \"tomorrow\"");
    assert_valid(types, "project", "{\"projectNumber\":1,\"name\":\"x\",\"status\":\"planned\"}");
    assert_invalid(types, "employee", "{\"employeeNumber\":\"1\",\"firstName\":\"x\"}",
                   "/lastName required is required");
    assert_invalid(types, "vendor", "[]", " type must be an object, got an empty array");
    record_types_unref(types);
}

static void a_time_off_ends_no_earlier_than_it_starts(void **state)
{
    (void)state;
    struct record_types *types = shipped();
    assert_valid(types, "timeoff",
                 "{\"employeeNumber\":\"1\",\"type\":\"sick\",\"startDate\":\"2026-01-05\","
                 "\"endDate\":\"2026-01-05\"}");
    assert_invalid(types, "timeoff",
                   "{\"employeeNumber\":\"1\",\"type\":\"sick\",\"startDate\":\"2026-01-05\","
                   "\"endDate\":\"2026-01-04\"}",
                   "/endDate notBefore must not be before startDate, \"2026-01-05\", got "
                   "\"2026-01-04\"");
    record_types_unref(types);
}

/* --- the record key -------------------------------------------------------------------------- */

static void a_record_key_is_a_short_string_or_integer(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    folder_make(&folder);
    folder_put(&folder, "a.schema.json", TYPE(MINIMAL));
    assert_int_equal(folder_load(&folder), STATUS_OK);
    const struct record_types *types = folder.types;
    assert_valid(types, "thing", "{\"number\":\"A-1\"}");
    assert_valid(types, "thing", "{\"number\":12}");
    assert_valid(types, "thing", "{\"number\":null}");
    assert_valid(types, "thing", "{}");
    assert_invalid(types, "thing", "{\"number\":1.5}",
                   "/number key must be a string or a whole number, since it is the record key");
    assert_invalid(types, "thing", "{\"number\":\"\"}",
                   "/number key must not be empty, since it is the record key");
    assert_invalid(types, "thing", "{\"number\":\"a\\nb\"}",
                   "/number key must not have control characters, since it is the record key");
    assert_invalid(types, "thing", "{\"number\":\"a\\u0085b\"}",
                   "/number key must not have control characters, since it is the record key");
    char text[300];
    snprintf(text, sizeof(text), "{\"number\":\"%0256d\"}", 1);
    assert_invalid(types, "thing", text,
                   "/number key must have at most 255 bytes, since it is the record key");
    assert_invalid(types, "thing", "3", " type must be an object, got 3");
}

static void the_record_keys_text_is_resolved(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    CLEANUP(buf_fini) struct buf key = {0};
    struct json_fault fault;
    folder_make(&folder);
    folder_put(&folder, "a.schema.json", TYPE(MINIMAL));
    assert_int_equal(folder_load(&folder), STATUS_OK);
    const struct record_type *type = record_types_at(folder.types, 0);
    assert_int_equal(json_scan(&doc, bytes_of_str("{\"number\":\"\\u0041-\\/\"}"), &fault), 0);
    record_type_key_put(type, &doc, &key);
    assert_string_equal(buf_str(&key), "A-/");
    buf_clear(&key);
    assert_int_equal(json_scan(&doc, bytes_of_str("{\"number\":7}"), &fault), 0);
    record_type_key_put(type, &doc, &key);
    assert_string_equal(buf_str(&key), "7");
    buf_clear(&key);
    assert_int_equal(json_scan(&doc, bytes_of_str("{}"), &fault), 0);
    record_type_key_put(type, &doc, &key);
    assert_int_equal(key.len, 0);
}

/* --- what is refused ------------------------------------------------------------------------- */

static void an_annotation_that_is_not_right_is_refused(void **state)
{
    (void)state;
    assert_refused(TYPE("{\"type\":\"thing\",\"idPrefix\":\"th\",\"key\":\"number\",\"evnts\":{}}"),
                   "/x-postern/evnts: is not allowed; did you mean \"events\"?");
    assert_refused(TYPE("{\"type\":\"thing\",\"idPrefix\":\"th\"}"), "/x-postern/key: is required");
    assert_refused(
        TYPE("{\"type\":\"Thing\",\"idPrefix\":\"th\",\"key\":\"number\"}"),
        "/x-postern/type: must match the pattern ^[a-z][a-z0-9_-]{0,62}$, got \"Thing\"");
    assert_refused(TYPE("{\"type\":\"thing\",\"idPrefix\":\"th\",\"key\":\"nummer\"}"),
                   "/x-postern/key: names \"nummer\", which is not among the schema's properties");
    assert_refused(TYPE("{\"type\":\"thing\",\"idPrefix\":\"th\",\"key\":\"number\","
                        "\"order\":[{\"member\":\"to\",\"notBefore\":\"form\"}]}"),
                   "/x-postern/order/0/notBefore: names \"form\", which is not among the schema's "
                   "properties");
}

static void names_that_postern_itself_uses_are_refused(void **state)
{
    (void)state;
    assert_refused(TYPE("{\"type\":\"events\",\"idPrefix\":\"th\",\"key\":\"number\"}"),
                   "/x-postern/type: \"events\" is the name of the pull API's scope");
    assert_refused(TYPE("{\"type\":\"thing\",\"idPrefix\":\"evt\",\"key\":\"number\"}"),
                   "/x-postern/idPrefix: is the prefix of Postern's own ids");
    assert_refused(TYPE("{\"type\":\"thing\",\"idPrefix\":\"th\",\"key\":\"number\","
                        "\"events\":{\"created\":\"delivery.failed\"}}"),
                   "/x-postern/events: delivery.*, endpoint.* and webhook.* are events that "
                   "Postern itself raises");
}

static void a_file_that_is_no_schema_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"x-postern\":" MINIMAL ",\"type\":\"objekt\"}",
                   "/type: must be one of \"array\", \"boolean\", \"integer\", \"null\", "
                   "\"number\", \"object\", \"string\", got \"objekt\"; did you mean \"object\"?");
    assert_refused("{\"x-postern\":" MINIMAL ",\"$ref\":\"nowhere.schema.json\"}",
                   "/$ref: refers to postern:/schemas/nowhere.schema.json, and there is no such "
                   "schema");
    assert_refused("{\"x-postern\":" MINIMAL ",\"pattern\":\"(\"}",
                   "/pattern: is not a regular expression: a group is not closed at character 2");
}

static void a_file_that_is_no_json_is_refused(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    folder_make(&folder);
    folder_put(&folder, "a.schema.json", "{\"type\":");
    assert_int_equal(folder_load(&folder), STATUS_INVALID);
    assert_non_null(strstr(folder.err.text, "a.schema.json:1:9"));
}

static void two_files_for_one_type_or_prefix_are_refused(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    folder_make(&folder);
    folder_put(&folder, "a.schema.json", TYPE(MINIMAL));
    folder_put(&folder, "b.schema.json", TYPE(MINIMAL));
    assert_int_equal(folder_load(&folder), STATUS_INVALID);
    assert_non_null(strstr(folder.err.text, "b.schema.json: /x-postern/type: \"thing\" is taken"));
    folder_put(&folder, "b.schema.json",
               TYPE("{\"type\":\"other\",\"idPrefix\":\"th\",\"key\":\"number\"}"));
    assert_int_equal(folder_load(&folder), STATUS_INVALID);
    assert_non_null(strstr(folder.err.text, "b.schema.json: /x-postern/idPrefix: \"th\" is taken"));
}

static void a_folder_without_types_is_refused(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    folder_make(&folder);
    assert_int_equal(folder_load(&folder), STATUS_INVALID);
    assert_non_null(strstr(folder.err.text, "no record type"));
    assert_int_equal(record_types_load("/nonexistent/folder", &folder.types, &folder.err),
                     STATUS_INVALID);
    assert_string_equal(folder.err.text, "/nonexistent/folder: No such file or directory");
}

static void files_refer_to_files_beside_them(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    char path[128];
    folder_make(&folder);
    folder_put(&folder, "a.schema.json",
               "{\"type\":\"object\",\"properties\":{\"number\":{},\"place\":{\"$ref\":"
               "\"place.schema.json\"},\"size\":{\"$ref\":\"https://example.com/size\"}},"
               "\"x-postern\":" MINIMAL "}");
    folder_put(&folder, "place.schema.json", "{\"required\":[\"city\"]}");
    folder_put(&folder, "size.schema.json", "{\"$id\":\"https://example.com/size\",\"minimum\":1}");
    assert_int_equal(folder_load(&folder), STATUS_OK);
    assert_int_equal(record_types_count(folder.types), 1);
    assert_invalid(folder.types, "thing", "{\"place\":{}}", "/place/city required is required");
    assert_invalid(folder.types, "thing", "{\"size\":0}",
                   "/size minimum must be at least 1, got 0");
    snprintf(path, sizeof(path), "%s/a.schema.json", folder.path);
    struct record_types *one = NULL;
    assert_int_equal(record_types_load_file(path, &one, &folder.err), STATUS_OK);
    assert_int_equal(record_types_count(one), 1);
    record_types_unref(one);
}

static void a_member_id_is_known_to_every_type(void **state)
{
    (void)state;
    CLEANUP(folder_fini) struct folder folder;
    size_t count;
    folder_make(&folder);
    folder_put(&folder, "a.schema.json",
               "{\"properties\":{\"number\":{}},\"additionalProperties\":false,"
               "\"x-postern\":" MINIMAL "}");
    assert_int_equal(folder_load(&folder), STATUS_OK);
    assert_valid(folder.types, "thing", "{\"id\":\"th_1\",\"number\":\"1\"}");
    CLEANUP(checked_fini)
    struct checked checked = check(folder.types, "thing", "{\"id\":\"th_1\",\"numbr\":\"1\"}");
    assert_string_equal(checked.first, "/numbr additionalProperties is not allowed; did you mean "
                                       "\"number\"?");
    const struct unknown_member *unknown =
        schema_unknown_members(record_types_at(folder.types, 0)->schema, checked.run, &checked.doc,
                               json_root(&checked.doc), &count);
    assert_int_equal(count, 1);
    assert_true(bytes_equal_str(unknown[0].pointer, "/numbr"));
    assert_true(
        bytes_equal_str(unknown[0].detail, "is not a known member; did you mean \"number\"?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_five_types_are_there),
        cmocka_unit_test(the_shipped_types_raise_the_catalogue),
        cmocka_unit_test(every_member_has_title_description_and_valid_examples),
        cmocka_unit_test(required_members_and_statuses_are_the_contracts),
        cmocka_unit_test(a_time_off_ends_no_earlier_than_it_starts),
        cmocka_unit_test(a_record_key_is_a_short_string_or_integer),
        cmocka_unit_test(the_record_keys_text_is_resolved),
        cmocka_unit_test(an_annotation_that_is_not_right_is_refused),
        cmocka_unit_test(names_that_postern_itself_uses_are_refused),
        cmocka_unit_test(a_file_that_is_no_schema_is_refused),
        cmocka_unit_test(a_file_that_is_no_json_is_refused),
        cmocka_unit_test(two_files_for_one_type_or_prefix_are_refused),
        cmocka_unit_test(a_folder_without_types_is_refused),
        cmocka_unit_test(files_refer_to_files_beside_them),
        cmocka_unit_test(a_member_id_is_known_to_every_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Looking at scanned documents: members, strings, equality, pointers, files. */
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void scan(struct json_doc *doc, struct bytes text)
{
    struct json_fault fault;

    assert_int_equal(json_scan(doc, text, &fault), STATUS_OK);
}

static void members_are_found_through_their_escapes(void **state)
{
    struct json_doc doc = {0};
    uint32_t status;

    (void)state;
    scan(&doc, bytes_of_str("{\"a\":[1,{\"b\":2}],\"st\\u0061tus\":\"x\",\"\":0}"));
    status = json_member(&doc, json_root(&doc), "status");
    assert_int_not_equal(status, JSON_NONE);
    assert_true(bytes_equal_str(json_raw(&doc, status), "x"));
    assert_true(bytes_equal_str(json_text(&doc, status), "\"x\""));
    assert_int_not_equal(json_member(&doc, json_root(&doc), ""), JSON_NONE);
    assert_int_equal(json_member(&doc, json_root(&doc), "b"), JSON_NONE);
    assert_int_equal(json_member(&doc, JSON_NONE, "a"), JSON_NONE);
    assert_int_equal(json_member(&doc, status, "a"), JSON_NONE);
    json_doc_fini(&doc);
}

static void children_come_in_order(void **state)
{
    struct json_doc doc = {0};
    struct buf seen = {0};

    (void)state;
    scan(&doc, bytes_of_str("{\"a\":[[],{},7,[8]],\"b\":{\"c\":1},\"d\":[]}"));
    for (uint32_t i = json_first(&doc, 0); i != JSON_NONE; i = json_after(&doc, 0, i)) {
        buf_put_bytes(&seen, json_text(&doc, i));
        for (uint32_t j = json_first(&doc, i + 1); j != JSON_NONE; j = json_after(&doc, i + 1, j))
            buf_put_bytes(&seen, json_text(&doc, j));
    }
    assert_string_equal(buf_str(&seen), "\"a\"[]{}7[8]\"b\"\"c\"\"d\"");
    buf_fini(&seen);
    json_doc_fini(&doc);
}

static void a_scalar_has_no_children(void **state)
{
    struct json_doc doc = {0};

    (void)state;
    scan(&doc, bytes_of_str("[1]"));
    assert_int_equal(json_first(&doc, 1), JSON_NONE);
    json_doc_fini(&doc);
}

static void escapes_resolve_to_utf8(void **state)
{
    static const struct {
        const char *text, *resolved;
    } CASES[] = {
        {"\"plain\"", "plain"},
        {"\"\"", ""},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"a\\u00e4b\\u20ACc\\uD83D\\uDE00d\"", "aäb€c😀d"},
        {"\"\\uFFFF\\uDBFF\\uDFFF\"", "\xef\xbf\xbf\xf4\x8f\xbf\xbf"},
    };
    struct json_doc doc = {0};
    struct buf scratch = {0};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        scan(&doc, bytes_of_str(CASES[i].text));
        assert_true(bytes_equal_str(json_string(&doc, 0, &scratch), CASES[i].resolved));
        assert_true(json_string_equals(&doc, 0, bytes_of_str(CASES[i].resolved)));
        assert_false(json_string_equals(&doc, 0, bytes_of_str("something else")));
        assert_false(json_string_equals(&doc, 0, bytes_of_str("x")));
    }
    buf_fini(&scratch);
    json_doc_fini(&doc);
}

static bool are_equal(const char *a, const char *b)
{
    struct json_doc x = {0}, y = {0};
    bool is_equal;

    scan(&x, bytes_of_str(a));
    scan(&y, bytes_of_str(b));
    is_equal = json_equal(&x, 0, &y, 0);
    assert_int_equal(json_equal(&y, 0, &x, 0), is_equal);
    json_doc_fini(&x);
    json_doc_fini(&y);
    return is_equal;
}

static void equality_is_by_value(void **state)
{
    (void)state;
    assert_true(
        are_equal("{\"a\":1,\"b\":[1.0,\"x\"]}", "{\"b\":[1e0,\"\\u0078\"],\"\\u0061\":1}"));
    assert_true(are_equal("0", "-0.0"));
    assert_true(are_equal("\"\\u0061b\\u0063\"", "\"a\\u0062c\""));
    assert_true(are_equal("[]", "[ ]"));
    assert_false(are_equal("\"\\u0061b\"", "\"\\u0061bc\""));
    assert_false(are_equal("\"\\u0061\\u0062\"", "\"\\u0061\""));
    assert_false(are_equal("9007199254740993", "9007199254740992"));
    assert_false(are_equal("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    assert_false(are_equal("{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}"));
    assert_false(are_equal("[1,2]", "[2,1]"));
    assert_false(are_equal("[1,2]", "[1]"));
    assert_false(are_equal("1", "\"1\""));
    assert_false(are_equal("true", "false"));
    assert_false(are_equal("[]", "{}"));
}

/* Member k is named by k * step modulo count: the same members, in another order. */
static void put_shuffled(struct buf *text, uint64_t count, uint64_t step)
{
    buf_put_char(text, '{');
    for (uint64_t i = 0; i < count; i++)
        buf_printf(text, "%s\"m%llu\":1", i ? "," : "", (unsigned long long)(i * step % count));
    buf_put_char(text, '}');
}

static void large_objects_in_another_order_are_compared_in_time(void **state)
{
    struct json_doc x = {0}, y = {0};
    struct buf text_x = {0}, text_y = {0};

    (void)state;
    put_shuffled(&text_x, 50000, 1);
    put_shuffled(&text_y, 50000, 27551);
    scan(&x, buf_bytes(&text_x));
    scan(&y, buf_bytes(&text_y));
    assert_true(json_equal(&x, 0, &y, 0));
    text_y.data[text_y.len - 2] = '2';
    assert_false(json_equal(&x, 0, &y, 0));
    json_doc_fini(&x);
    json_doc_fini(&y);
    buf_fini(&text_x);
    buf_fini(&text_y);
}

static bool are_equal_without_id(const char *a, const char *b)
{
    struct json_doc x = {0}, y = {0};
    bool is_equal;

    scan(&x, bytes_of_str(a));
    scan(&y, bytes_of_str(b));
    is_equal = json_equal_without(&x, 0, &y, 0, "id");
    assert_int_equal(json_equal_without(&y, 0, &x, 0, "id"), is_equal);
    json_doc_fini(&x);
    json_doc_fini(&y);
    return is_equal;
}

static void one_member_may_count_for_nothing(void **state)
{
    (void)state;
    assert_true(are_equal_without_id("{\"id\":1,\"a\":2}", "{\"a\":2.0}"));
    assert_true(are_equal_without_id("{\"\\u0069d\":1,\"a\":2}", "{\"a\":2,\"id\":3}"));
    assert_true(are_equal_without_id("{}", "{\"id\":null}"));
    assert_false(are_equal_without_id("{\"a\":1}", "{\"id\":1}"));
    assert_false(are_equal_without_id("{\"id\":1,\"a\":2}", "{\"id\":1,\"a\":3}"));
    assert_false(are_equal_without_id("{\"a\":{\"id\":1}}", "{\"a\":{\"id\":2}}"));
}

static void pointers_lead_there_and_back(void **state)
{
    static const char *const POINTERS[] = {"", "/a", "/a/1/b/0", "/m~0n/x~1y", "/"};
    struct json_doc doc = {0};
    struct buf back = {0};
    uint32_t node;

    (void)state;
    scan(&doc, bytes_of_str("{\"a\":[1,{\"b\":[true]}],\"m~n\":{\"x\\/y\":null},\"\":0}"));
    for (size_t i = 0; i < sizeof POINTERS / sizeof POINTERS[0]; i++) {
        buf_clear(&back);
        assert_int_equal(json_pointer_find(&doc, bytes_of_str(POINTERS[i]), &node), STATUS_OK);
        json_pointer_of(&doc, node, &back);
        assert_string_equal(buf_str(&back), POINTERS[i]);
    }
    assert_int_equal(json_pointer_find(&doc, (struct bytes){0}, &node), STATUS_OK);
    assert_int_equal(node, 0);
    buf_fini(&back);
    json_doc_fini(&doc);
}

static void the_pointer_of_a_name_is_that_of_its_member(void **state)
{
    struct json_doc doc = {0};
    struct buf pointer = {0};

    (void)state;
    scan(&doc, bytes_of_str("{\"x\":1,\"a\":{\"b\":2}}"));
    json_pointer_of(&doc, json_first(&doc, json_member(&doc, 0, "a")), &pointer);
    assert_string_equal(buf_str(&pointer), "/a/b");
    buf_fini(&pointer);
    json_doc_fini(&doc);
}

static void pointers_that_lead_nowhere_are_told_from_broken_ones(void **state)
{
    static const struct {
        const char *pointer;
        enum status status;
    } CASES[] = {
        {"/a/2", STATUS_NOT_FOUND}, {"/a/01", STATUS_NOT_FOUND},
        {"/a/-", STATUS_NOT_FOUND}, {"/a/", STATUS_NOT_FOUND},
        {"/b", STATUS_NOT_FOUND},   {"/a/0/x", STATUS_NOT_FOUND},
        {"a", STATUS_INVALID},      {"/a~2", STATUS_INVALID},
        {"/b/~", STATUS_INVALID},   {"/a/4294967296", STATUS_NOT_FOUND},
    };
    struct json_doc doc = {0};
    uint32_t node;

    (void)state;
    scan(&doc, bytes_of_str("{\"a\":[1,2]}"));
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(json_pointer_find(&doc, bytes_of_str(CASES[i].pointer), &node),
                         CASES[i].status);
    json_doc_fini(&doc);
    assert_int_equal(json_pointer_find(&doc, bytes_of_str(""), &node), STATUS_NOT_FOUND);
}

/* A file with that content; the caller unlinks it. */
static void make_file(char path[static 40], const char *content)
{
    int fd;

    snprintf(path, 40, "/tmp/test_json.XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void a_file_is_read_and_scanned(void **state)
{
    struct json_doc doc = {0};
    struct buf text = {0};
    struct err err = {0};
    char path[40];

    (void)state;
    make_file(path, "{\"a\":1}\n");
    assert_int_equal(json_read_file(path, 8, &text, &doc, &err), STATUS_OK);
    assert_int_equal(json_member(&doc, 0, "a"), 2);
    assert_int_equal(json_read_file(path, 7, &text, &doc, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, ": larger than 7 bytes"));
    unlink(path);
    assert_int_equal(json_read_file(path, 8, &text, &doc, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.text, ": No such file or directory"));
    buf_fini(&text);
    json_doc_fini(&doc);
}

static void a_fault_in_a_file_is_told_as_compilers_do(void **state)
{
    struct json_doc doc = {0};
    struct buf text = {0};
    struct err err = {0};
    char path[40], expected[100];

    (void)state;
    make_file(path, "{\n  \"a\": 1\n  \"b\": 2\n}\n");
    assert_int_equal(json_read_file(path, 1000, &text, &doc, &err), STATUS_INVALID);
    snprintf(expected, sizeof expected, "%s:3:3: expected ',' or '}', got '\"'", path);
    assert_string_equal(err.text, expected);
    unlink(path);
    buf_fini(&text);
    json_doc_fini(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_through_their_escapes),
        cmocka_unit_test(children_come_in_order),
        cmocka_unit_test(a_scalar_has_no_children),
        cmocka_unit_test(escapes_resolve_to_utf8),
        cmocka_unit_test(equality_is_by_value),
        cmocka_unit_test(large_objects_in_another_order_are_compared_in_time),
        cmocka_unit_test(one_member_may_count_for_nothing),
        cmocka_unit_test(pointers_lead_there_and_back),
        cmocka_unit_test(the_pointer_of_a_name_is_that_of_its_member),
        cmocka_unit_test(pointers_that_lead_nowhere_are_told_from_broken_ones),
        cmocka_unit_test(a_file_is_read_and_scanned),
        cmocka_unit_test(a_fault_in_a_file_is_told_as_compilers_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

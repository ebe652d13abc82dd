/* What the scanner accepts, what it refuses, and where it says the fault is. */
#include "schemas/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LARGE_OBJECT 24 /* from so many members on, names are looked up in a table */

static struct json_fault fault_of(struct bytes text)
{
    struct json_doc doc = {0};
    struct json_fault fault;

    assert_int_equal(json_scan(&doc, text, &fault), STATUS_INVALID);
    assert_int_equal(doc.node_count, 0);
    assert_int_equal(json_root(&doc), JSON_NONE);
    json_doc_fini(&doc);
    return fault;
}

/* On the heap and exactly as long, so that the sanitizer sees a byte too far. */
static enum status scan_exact(struct bytes text)
{
    uint8_t *copy = malloc(text.len ? text.len : 1);
    struct json_doc doc = {0};
    struct json_fault fault;
    enum status s;

    assert_non_null(copy);
    if (text.len)
        memcpy(copy, text.data, text.len);
    s = json_scan(&doc, bytes_of(copy, text.len), &fault);
    if (s == STATUS_INVALID)
        assert_in_range(fault.offset, 0, text.len);
    json_doc_fini(&doc);
    free(copy);
    return s;
}

static void a_fault_says_what_and_where(void **state)
{
    static const struct {
        const char *text, *detail;
        size_t offset, line, column;
    } CASES[] = {
        {"", "the text is empty", 0, 1, 1},
        {" \n ", "the text is empty", 3, 2, 2},
        {"{\"a\":1,}", "expected a member name in double quotes, got '}'", 7, 1, 8},
        {"{\"a\" 1}", "expected ':' after a member name, got '1'", 5, 1, 6},
        {"[1 2]", "expected ',' or ']', got '2'", 3, 1, 4},
        {"[1,]", "expected a value, got ']'", 3, 1, 4},
        {"[1}", "expected ',' or ']', got '}'", 2, 1, 3},
        {"[}", "expected a value, got '}'", 1, 1, 2},
        {"[1\xc2\xa0]", "expected ',' or ']', got byte 0xc2", 2, 1, 3},
        {"{\"a\":\n  tru}", "expected a value, got 't'", 8, 2, 3},
        {"{\"a\":1", "unexpected end of the text: expected ',' or '}'", 6, 1, 7},
        {"\"abc", "unexpected end of the text inside a string", 4, 1, 5},
        {"\"abc\\", "unexpected end of the text inside a string", 5, 1, 6},
        {"[01]", "a number must not begin with 0", 1, 1, 2},
        {"[-]", "expected a digit, got ']'", 2, 1, 3},
        {"[+1]", "expected a value, got '+'", 1, 1, 2},
        {"[.5]", "expected a value, got '.'", 1, 1, 2},
        {"[1.]", "expected a digit after the decimal point, got ']'", 3, 1, 4},
        {"[1e+]", "expected a digit of the exponent, got ']'", 4, 1, 5},
        {"1e", "unexpected end of the text: expected a digit of the exponent", 2, 1, 3},
        {"[1e400]", "the number is beyond the range of a double", 1, 1, 2},
        {"1 2", "expected nothing more after the value, got '2'", 2, 1, 3},
        {"\xef\xbb\xbf{}", "a byte order mark is not allowed", 0, 1, 1},
        {"\"\\ud800\"", "a high surrogate without a low surrogate after it", 1, 1, 2},
        {"\"\\ud800\\u0041\"", "a high surrogate without a low surrogate after it", 1, 1, 2},
        {"\"\\udc00\"", "a low surrogate without a high surrogate before it", 1, 1, 2},
        {"\"\\u12g4\"", "\\u must be followed by four hexadecimal digits", 1, 1, 2},
        {"\"\\x\"", "a backslash must be followed by one of \" \\ / b f n r t u", 1, 1, 2},
        {"\"\xc3\xa4\xff\"", "the text is not valid UTF-8 here", 3, 1, 3},
        {"\"\xf0\x9f\x98\x80\t\"", "a control character (0x09) in a string must be escaped", 5, 1,
         3},
        {"{\"a\":1,\n\"\\u0061\":2}", "duplicate member name \"\\u0061\"", 8, 2, 1},
        {"{\"status\":1, \"status\":2}", "duplicate member name \"status\"", 13, 1, 14},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct json_fault fault = fault_of(bytes_of_str(CASES[i].text));

        assert_string_equal(fault.detail, CASES[i].detail);
        assert_int_equal(fault.offset, CASES[i].offset);
        assert_int_equal(fault.line, CASES[i].line);
        assert_int_equal(fault.column, CASES[i].column);
    }
}

static void a_long_duplicate_name_is_cut_between_characters(void **state)
{
    struct buf text = {0}, name = {0};
    struct json_fault fault;

    (void)state;
    buf_put_char(&name, 'x');
    for (int i = 0; i < 80; i++)
        buf_put_str(&name, "ä");
    buf_printf(&text, "{\"%s\":1,", buf_str(&name));
    buf_printf(&text, "\"%s\":2}", buf_str(&name));
    fault = fault_of(buf_bytes(&text));
    assert_int_equal(strncmp(fault.detail, "duplicate member name \"xä", 25), 0);
    assert_string_equal(fault.detail + strlen(fault.detail) - strlen("ä…\""), "ä…\"");
    buf_fini(&name);
    buf_fini(&text);
}

static void a_nul_byte_is_no_end(void **state)
{
    struct json_doc doc = {0};
    struct json_fault fault;
    struct buf scratch = {0};

    (void)state;
    assert_int_equal(fault_of(bytes_of("{}\0", 3)).offset, 2);
    assert_int_equal(fault_of(bytes_of("[\"a\0b\"]", 7)).offset, 3);
    assert_int_equal(json_scan(&doc, bytes_of_str("\"a\\u0000b\""), &fault), STATUS_OK);
    assert_true(bytes_equal(json_string(&doc, 0, &scratch), bytes_of("a\0b", 3)));
    buf_fini(&scratch);
    json_doc_fini(&doc);
}

static void no_text_at_all_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fault_of((struct bytes){0}).offset, 0);
}

static void sixty_four_levels_are_accepted_and_not_one_more(void **state)
{
    char text[2 * (JSON_DEPTH_MAX + 1)];

    (void)state;
    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(scan_exact(bytes_of(text, 2 * depth)),
                         depth == JSON_DEPTH_MAX ? STATUS_OK : STATUS_INVALID);
    }
}

static void every_beginning_of_a_text_is_refused(void **state)
{
    static const char TEXT[] = " {\"a\\u00e4\\ud83d\\ude00ä€😀\":[1.5e+10,-0,true,false,null,{},[]],"
                               "\"a long name, longer than a word\":{\"x\":\"y\\n\"}} ";
    struct bytes text = bytes_of_str(TEXT);

    (void)state;
    assert_int_equal(scan_exact(text), STATUS_OK);
    assert_int_equal(scan_exact(bytes_of(text.data, text.len - 1)), STATUS_OK);
    for (size_t len = 0; len < text.len - 1; len++)
        assert_int_equal(scan_exact(bytes_of(text.data, len)), STATUS_INVALID);
}

/* Whatever stands where in a string: the word-wise search must not miss it, nor run too far. */
static void each_byte_is_judged_at_each_place_of_a_string(void **state)
{
    char text[64];

    (void)state;
    for (size_t len = 1; len <= 20; len++) {
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                bool is_plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';

                memset(text, 'a', sizeof text);
                text[0] = '"';
                text[1 + at] = (char)c;
                text[1 + len] = '"';
                assert_int_equal(scan_exact(bytes_of(text, len + 2)),
                                 is_plain ? STATUS_OK : STATUS_INVALID);
            }
        }
    }
}

static void utf8_is_checked_as_the_unicode_standard_has_it(void **state)
{
    static const struct {
        const char *bytes;
        bool is_valid;
    } CASES[] = {
        {"\x7f", true},
        {"\xc2\x80", true},
        {"\xdf\xbf", true},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xef\xbf\xbf", true},
        {"\xf0\x90\x80\x80", true},
        {"\xf4\x8f\xbf\xbf", true},
        {"\x80", false},
        {"\xbf", false},
        {"\xc0\xaf", false},
        {"\xc1\xbf", false},
        {"\xc2", false},
        {"\xc2\x41", false},
        {"\xe0\x9f\xbf", false},
        {"\xe0\x80\x80", false},
        {"\xed\xa0\x80", false},
        {"\xed\xbf\xbf", false},
        {"\xe2\x82", false},
        {"\xe2\x28\xa1", false},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xf0\x9f\x98", false},
        {"\xfe", false},
        {"\xff", false},
    };
    char text[16];

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int len = snprintf(text, sizeof text, "\"%s\"", CASES[i].bytes);

        assert_int_equal(scan_exact(bytes_of(text, (size_t)len)),
                         CASES[i].is_valid ? STATUS_OK : STATUS_INVALID);
    }
}

static void put_members(struct buf *text, int count)
{
    buf_clear(text);
    buf_put_char(text, '{');
    for (int i = 0; i < count; i++)
        buf_printf(text, "%s\"m%d\":{\"m%d\":[0]}", i ? "," : "", i, i);
}

static void a_duplicate_is_found_wherever_it_stands(void **state)
{
    struct buf text = {0};

    (void)state;
    for (int count = 1; count <= 2 * LARGE_OBJECT + 2; count++) {
        put_members(&text, count);
        buf_put_char(&text, '}');
        assert_int_equal(scan_exact(buf_bytes(&text)), STATUS_OK);
        for (int twice = 0; twice < count; twice++) {
            size_t offset;

            put_members(&text, count);
            offset = text.len + 1;
            buf_printf(&text, ",\"\\u006d%d\":2}", twice);
            assert_int_equal(fault_of(buf_bytes(&text)).offset, offset);
        }
    }
    buf_fini(&text);
}

/* As many as a body of a megabyte holds; a quadratic search would not come back. */
static void a_duplicate_among_many_names_is_found(void **state)
{
    struct buf text = {0};

    (void)state;
    put_members(&text, 60000);
    buf_put_str(&text, "}");
    assert_int_equal(scan_exact(buf_bytes(&text)), STATUS_OK);
    text.len--;
    buf_put_str(&text, ",\"m777\":2}");
    assert_string_equal(fault_of(buf_bytes(&text)).detail, "duplicate member name \"m777\"");
    buf_fini(&text);
}

static void the_edge_of_a_doubles_range_is_exact(void **state)
{
    static const struct {
        const char *text;
        enum status status;
    } CASES[] = {
        {"1.7976931348623157e308", STATUS_OK},
        {"1.7976931348623158e308", STATUS_OK}, /* rounds down to the largest double */
        {"1.7976931348623159e308", STATUS_INVALID},
        {"1.797693134862315807e308", STATUS_OK},
        {"1.797693134862315808e308", STATUS_INVALID},
        {"-1.8e308", STATUS_INVALID},
        {"179e306", STATUS_OK},
        {"1e309", STATUS_INVALID},
        {"1e-400", STATUS_OK},
        {"0e999999999999", STATUS_OK},
        {"1e99999999999999999999", STATUS_INVALID},
        {"1e-99999999999999999999", STATUS_OK},
        {"0.00001e312", STATUS_OK},
        {"0.0001e313", STATUS_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++)
        assert_int_equal(scan_exact(bytes_of_str(CASES[i].text)), CASES[i].status);
}

static void long_numbers_are_judged_by_all_their_digits(void **state)
{
    struct buf text = {0};

    (void)state;
    buf_put_char(&text, '1');
    for (int i = 0; i < 308; i++)
        buf_put_char(&text, '0');
    assert_int_equal(scan_exact(buf_bytes(&text)), STATUS_OK); /* 1e308 */
    buf_put_char(&text, '.');
    for (int i = 0; i < 5000; i++)
        buf_put_char(&text, '9');
    assert_int_equal(scan_exact(buf_bytes(&text)), STATUS_OK);
    text.data[0] = '2';
    assert_int_equal(scan_exact(buf_bytes(&text)), STATUS_INVALID);
    buf_fini(&text);
}

static void nodes_say_what_the_values_are(void **state)
{
    static const char TEXT[] = "{\"a\":[1,2.0,\"x\"],\"b\\n\":\"ä\"}";
    static const struct json_node NODES[] = {
        {.kind = JSON_OBJECT, .start = 0, .len = 28, .next = 8, .count = 2},
        {.kind = JSON_STRING,
         .flags = JSON_IS_NAME | JSON_IS_ASCII,
         .start = 2,
         .len = 1,
         .next = 2},
        {.kind = JSON_ARRAY, .start = 5, .len = 11, .next = 6, .count = 3},
        {.kind = JSON_NUMBER, .flags = JSON_IS_INTEGER, .start = 6, .len = 1, .next = 4},
        {.kind = JSON_NUMBER, .start = 8, .len = 3, .next = 5},
        {.kind = JSON_STRING, .flags = JSON_IS_ASCII, .start = 13, .len = 1, .next = 6},
        {.kind = JSON_STRING,
         .flags = JSON_IS_NAME | JSON_IS_ASCII | JSON_HAS_ESCAPES,
         .start = 18,
         .len = 3,
         .next = 7},
        {.kind = JSON_STRING, .start = 24, .len = 2, .next = 8},
    };
    struct json_doc doc = {0};
    struct json_fault fault;

    (void)state;
    assert_int_equal(json_scan(&doc, bytes_of_str(TEXT), &fault), STATUS_OK);
    assert_int_equal(doc.node_count, sizeof NODES / sizeof NODES[0]);
    for (uint32_t i = 0; i < doc.node_count; i++) {
        assert_int_equal(doc.nodes[i].kind, NODES[i].kind);
        assert_int_equal(doc.nodes[i].flags, NODES[i].flags);
        assert_int_equal(doc.nodes[i].start, NODES[i].start);
        assert_int_equal(doc.nodes[i].len, NODES[i].len);
        assert_int_equal(doc.nodes[i].next, NODES[i].next);
        if (!(NODES[i].flags & JSON_IS_NAME))
            assert_int_equal(doc.nodes[i].count, NODES[i].count);
    }
    assert_int_equal(doc.nodes[1].count, json_name_hash(bytes_of_str("a")));
    assert_int_equal(doc.nodes[6].count, json_name_hash(bytes_of_str("b\n")));
    json_doc_fini(&doc);
}

static void a_name_hashes_the_same_wherever_it_lies(void **state)
{
    char name[60], copy[64];

    (void)state;
    for (size_t len = 0; len <= sizeof name; len++) {
        for (size_t i = 0; i < len; i++)
            name[i] = (char)('a' + i % 26);
        memcpy(copy + 3, name, len);
        assert_int_equal(json_name_hash(bytes_of(copy + 3, len)),
                         json_name_hash(bytes_of(name, len)));
        for (size_t i = 0; i < len; i++) { /* each byte counts */
            copy[3 + i] ^= 1;
            assert_int_not_equal(json_name_hash(bytes_of(copy + 3, len)),
                                 json_name_hash(bytes_of(name, len)));
            copy[3 + i] ^= 1;
        }
    }
}

static void the_seed_changes_the_hashes_and_nothing_else(void **state)
{
    struct json_doc doc = {0};
    struct json_fault fault;
    uint32_t before = json_name_hash(bytes_of_str("status"));

    (void)state;
    json_seed(UINT64_C(0x123456789abcdef));
    assert_int_not_equal(json_name_hash(bytes_of_str("status")), before);
    assert_int_equal(json_scan(&doc, bytes_of_str("{\"a\":1,\"status\":2}"), &fault), STATUS_OK);
    assert_int_equal(json_member(&doc, 0, "status"), 4);
    json_doc_fini(&doc);
}

static void a_document_used_again_does_not_allocate(void **state)
{
    struct json_doc doc = {0};
    struct json_fault fault;
    struct buf text = {0};
    void *nodes, *names;

    (void)state;
    put_members(&text, 1000);
    buf_put_char(&text, '}');
    assert_int_equal(json_scan(&doc, buf_bytes(&text), &fault), STATUS_OK);
    nodes = doc.nodes;
    names = doc.names;
    assert_int_equal(json_scan(&doc, bytes_of_str("["), &fault), STATUS_INVALID);
    assert_int_equal(json_scan(&doc, buf_bytes(&text), &fault), STATUS_OK);
    assert_ptr_equal(doc.nodes, nodes);
    assert_ptr_equal(doc.names, names);
    buf_fini(&text);
    json_doc_fini(&doc);
    assert_int_equal(json_root(&doc), JSON_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_says_what_and_where),
        cmocka_unit_test(a_long_duplicate_name_is_cut_between_characters),
        cmocka_unit_test(a_nul_byte_is_no_end),
        cmocka_unit_test(no_text_at_all_is_refused),
        cmocka_unit_test(sixty_four_levels_are_accepted_and_not_one_more),
        cmocka_unit_test(every_beginning_of_a_text_is_refused),
        cmocka_unit_test(each_byte_is_judged_at_each_place_of_a_string),
        cmocka_unit_test(utf8_is_checked_as_the_unicode_standard_has_it),
        cmocka_unit_test(a_duplicate_is_found_wherever_it_stands),
        cmocka_unit_test(a_duplicate_among_many_names_is_found),
        cmocka_unit_test(the_edge_of_a_doubles_range_is_exact),
        cmocka_unit_test(long_numbers_are_judged_by_all_their_digits),
        cmocka_unit_test(nodes_say_what_the_values_are),
        cmocka_unit_test(a_name_hashes_the_same_wherever_it_lies),
        cmocka_unit_test(a_document_used_again_does_not_allocate),
        cmocka_unit_test(the_seed_changes_the_hashes_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

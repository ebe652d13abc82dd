/* The canonical form, and merge patches. */
#include "schemas/json_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void scan(struct json_doc *doc, const char *text)
{
    struct json_fault fault;

    assert_int_equal(json_scan(doc, bytes_of_str(text), &fault), STATUS_OK);
}

static void the_form_is_what_javascript_gives_back(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        {" { \"b\" : 1 , \"10\" : 2 , \"a\" : [ ] , \"9\" : { } } ",
         "{\"9\":{},\"10\":2,\"b\":1,\"a\":[]}"},
        {"{\"4294967295\":1,\"4294967294\":2,\"01\":3,\"\\u0031\":4,\"-1\":5,\"\":6}",
         "{\"1\":4,\"4294967294\":2,\"4294967295\":1,\"01\":3,\"-1\":5,\"\":6}"},
        {"\"\\/\\u0041\\u00e4\\u2028\\ud83d\\ude00\\u0007\\u007f\"",
         "\"/A\xc3\xa4\xe2\x80\xa8\xf0\x9f\x98\x80\\u0007\x7f\""},
        {"\"\\u0022\\u005c\\u0008\\u000c\\u000a\\u000D\\u0009\\u001F\\u0000\"",
         "\"\\\"\\\\\\b\\f\\n\\r\\t\\u001f\\u0000\""},
        {"[true , false , null , \"\" , [ [ ] ] ]", "[true,false,null,\"\",[[]]]"},
        {"[9007199254740993,1.00000000000000000001]", "[9007199254740993,1.00000000000000000001]"},
        {"[4.35,0.30000000000000004,1e-400]", "[4.35,0.30000000000000004,1e-400]"},
        {"{\"__proto__\":1,\"toString\":2}", "{\"__proto__\":1,\"toString\":2}"},
    };
    struct json_doc doc = {0};
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        buf_clear(&out);
        scan(&doc, CASES[i].in);
        json_write(&doc, 0, &out);
        assert_string_equal(buf_str(&out), CASES[i].out);
    }
    json_doc_fini(&doc);
    buf_fini(&out);
}

static void numbers_are_laid_out_as_javascript_does(void **state)
{
    static const struct {
        const char *in, *out;
    } CASES[] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.0e5", "0"},
        {"1.0", "1"},
        {"1E2", "100"},
        {"-12.50", "-12.5"},
        {"0.10", "0.1"},
        {"0.5e3", "500"},
        {"-0.5", "-0.5"},
        {"0.05", "0.05"},
        {"7.0e0", "7"},
        {"1e20", "100000000000000000000"},
        {"1e21", "1e+21"},
        {"-1.5e300", "-1.5e+300"},
        {"123456789012345680000", "123456789012345680000"},
        {"123456789012345e6", "123456789012345000000"},
        {"123456789012345e7", "1.23456789012345e+21"},
        {"123e-7", "0.0000123"},
        {"0.000001", "0.000001"},
        {"0.0000001", "1e-7"},
        {"-0.00000012", "-1.2e-7"},
        {"5e-324", "5e-324"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"333333333.33333329", "333333333.33333329"},
        {"999999999999999", "999999999999999"},
        {"9999999999999999", "9999999999999999"}, /* a double makes it 10000000000000000 */
        {"1234567890123456", "1234567890123456"},
    };
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        buf_clear(&out);
        json_put_number(&out, bytes_of_str(CASES[i].in));
        assert_string_equal(buf_str(&out), CASES[i].out);
    }
    buf_fini(&out);
}

static void a_double_gets_its_shortest_digits(void **state)
{
    static const struct {
        double value;
        const char *text;
    } CASES[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {1.0, "1"},
        {-1.5, "-1.5"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e23, "1e+23"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {9007199254740993.0, "9007199254740992"},
        {0x1p-44, "5.684341886080802e-14"}, /* the nearest 16 digits are another double's */
        {0x1p-1074, "5e-324"},
        {100.0 / 3, "33.333333333333336"},
    };
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        buf_clear(&out);
        json_put_double(&out, CASES[i].value);
        assert_string_equal(buf_str(&out), CASES[i].text);
    }
    buf_fini(&out);
}

static void a_string_gets_the_mandatory_escapes_only(void **state)
{
    struct buf out = {0};

    (void)state;
    json_put_string(&out, bytes_of("a\0\"\\/\x1f\x7f\xe2\x80\xa8", 10));
    json_put_string(&out, (struct bytes){0});
    json_put_str(&out, "x\n");
    assert_string_equal(buf_str(&out), "\"a\\u0000\\\"\\\\/\\u001f\x7f\xe2\x80\xa8\"\"\"\"x\\n\"");
    buf_fini(&out);
}

static void a_record_shows_its_own_id_first(void **state)
{
    struct json_doc doc = {0};
    struct buf out = {0};

    (void)state;
    scan(&doc, "{\"title\":\"x\",\"\\u0069d\":\"old\",\"7\":{\"id\":1}}");
    json_write_record(&doc, 0, "wo_1", &out);
    assert_string_equal(buf_str(&out), "{\"7\":{\"id\":1},\"id\":\"wo_1\",\"title\":\"x\"}");
    buf_clear(&out);
    scan(&doc, "{}");
    json_write_record(&doc, 0, "wo_1", &out);
    assert_string_equal(buf_str(&out), "{\"id\":\"wo_1\"}");
    json_doc_fini(&doc);
    buf_fini(&out);
}

static void the_limit_of_a_buffer_sticks(void **state)
{
    struct json_doc doc = {0}, patch = {0};
    struct buf out = {.limit = 10};

    (void)state;
    scan(&doc, "[1,2,3,4,5,6,7,8]");
    json_write(&doc, 0, &out);
    assert_int_equal(out.status, STATUS_LIMIT);
    buf_clear(&out);
    scan(&patch, "{\"some\":\"more\"}");
    json_merge_patch(&doc, 0, &patch, 0, &out);
    assert_int_equal(out.status, STATUS_LIMIT);
    json_doc_fini(&doc);
    json_doc_fini(&patch);
    buf_fini(&out);
}

static void merge(const char *target_text, const char *patch_text, struct buf *out)
{
    struct json_doc target = {0}, patch = {0};

    if (target_text)
        scan(&target, target_text);
    scan(&patch, patch_text);
    buf_clear(out);
    json_merge_patch(&target, json_root(&target), &patch, 0, out);
    json_doc_fini(&target);
    json_doc_fini(&patch);
}

/* RFC 7396, appendix A, and after it what that leaves open. */
static void merging_follows_the_rfc(void **state)
{
    static const struct {
        const char *target, *patch, *result;
    } CASES[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        {NULL, "{\"a\":{\"b\":null,\"c\":1}}", "{\"a\":{\"c\":1}}"},
        {"{\"n\":9007199254740993}", "{\"m\":1.50}", "{\"n\":9007199254740993,\"m\":1.5}"},
        {"{\"a\":1}", "{\"\\u0061\":2}", "{\"a\":2}"},
        {"{\"b\":1,\"7\":2,\"c\":3}", "{\"c\":4,\"3\":5,\"d\":6}",
         "{\"3\":5,\"7\":2,\"b\":1,\"c\":4,\"d\":6}"},
        {"{\"a\":[null,{\"b\":null}]}", "{\"c\":[null]}",
         "{\"a\":[null,{\"b\":null}],\"c\":[null]}"},
    };
    struct buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        merge(CASES[i].target, CASES[i].patch, &out);
        assert_string_equal(buf_str(&out), CASES[i].result);
    }
    buf_fini(&out);
}

/* A quadratic merge of two bodies of a megabyte would not come back. */
static void large_objects_are_merged_in_time(void **state)
{
    struct buf target = {0}, patch = {0}, out = {0};

    (void)state;
    for (int i = 0; i < 50000; i++) {
        buf_printf(&target, "%s\"m%d\":1", i ? "," : "{", i);
        buf_printf(&patch, "%s\"m%d\":%s", i ? "," : "{", 74999 - i, i % 2 ? "2" : "null");
    }
    buf_put_char(&target, '}');
    buf_put_char(&patch, '}');
    merge(buf_str(&target), buf_str(&patch), &out);
    assert_int_equal(strncmp(buf_str(&out), "{\"m0\":1,\"m1\":1,", 15), 0);
    assert_non_null(strstr(buf_str(&out), ",\"m24999\":1,\"m25000\":2,\"m25002\":2,"));
    buf_fini(&target);
    buf_fini(&patch);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_is_what_javascript_gives_back),
        cmocka_unit_test(numbers_are_laid_out_as_javascript_does),
        cmocka_unit_test(a_double_gets_its_shortest_digits),
        cmocka_unit_test(a_string_gets_the_mandatory_escapes_only),
        cmocka_unit_test(a_record_shows_its_own_id_first),
        cmocka_unit_test(the_limit_of_a_buffer_sticks),
        cmocka_unit_test(merging_follows_the_rfc),
        cmocka_unit_test(large_objects_are_merged_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

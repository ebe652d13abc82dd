/* output: the same items in each format, byte for byte. */
#include "base/cleanup.h"
#include "tools/output.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include <cmocka.h>

static const struct column COLUMNS[] = {
    {"id", "ID", COLUMN_TEXT},         {"name", "NAME", COLUMN_TEXT},
    {"count", "COUNT", COLUMN_NUMBER}, {"state", "STATE", COLUMN_STATE},
    {"hidden", NULL, COLUMN_TEXT},     {0},
};

static int fd;
static struct output *out;

static void begin_on(enum output_format format, struct output_terminal terminal)
{
    fd = memfd_create("output", 0);
    assert_true(fd >= 0);
    out = output_new(fd, format, terminal);
    assert_non_null(out);
}

static void begin(enum output_format format)
{
    begin_on(format, (struct output_terminal){0});
}

static void assert_written(const char *wanted)
{
    char text[8192];
    assert_int_equal(output_flush(out), STATUS_OK);
    ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
    assert_true(len >= 0);
    text[len] = 0;
    assert_string_equal(text, wanted);
    output_free(out);
    close(fd);
}

static void put_item(const char *id, const char *name, int64_t count, const char *state)
{
    output_item_begin(out);
    output_str(out, "id", id);
    output_str(out, "name", name);
    output_number(out, "count", count);
    output_str(out, "state", state);
    output_bool(out, "hidden", true);
    output_item_end(out);
}

static void put_two(void)
{
    output_list_begin(out, NULL, COLUMNS, NULL);
    put_item("a1", "Grüße", 7, "enabled");
    put_item("b22", "x", 1234, "failed");
    output_list_end(out);
}

static void a_json_list_is_one_array(void **state)
{
    (void)state;
    begin(OUTPUT_JSON);
    put_two();
    assert_written(
        "[{\"id\":\"a1\",\"name\":\"Grüße\",\"count\":7,\"state\":\"enabled\",\"hidden\":"
        "true},\n{\"id\":\"b22\",\"name\":\"x\",\"count\":1234,\"state\":\"failed\","
        "\"hidden\":true}]\n");
}

static void an_empty_json_list_is_an_empty_array(void **state)
{
    (void)state;
    begin(OUTPUT_JSON);
    output_list_begin(out, NULL, COLUMNS, "nothing");
    output_list_end(out);
    assert_written("[]\n");
}

static void ndjson_is_one_object_a_line(void **state)
{
    (void)state;
    begin(OUTPUT_NDJSON);
    put_two();
    assert_written("{\"id\":\"a1\",\"name\":\"Grüße\",\"count\":7,\"state\":\"enabled\",\"hidden\":"
                   "true}\n{\"id\":\"b22\",\"name\":\"x\",\"count\":1234,\"state\":\"failed\","
                   "\"hidden\":true}\n");
}

static void csv_has_a_header_and_every_column(void **state)
{
    (void)state;
    begin(OUTPUT_CSV);
    put_two();
    assert_written("id,name,count,state,hidden\r\na1,Grüße,7,enabled,yes\r\n"
                   "b22,x,1234,failed,yes\r\n");
}

static void a_table_is_aligned_by_columns_on_screen(void **state)
{
    (void)state;
    begin(OUTPUT_TABLE);
    put_two();
    assert_written("ID   NAME   COUNT  STATE\n"
                   "a1   Grüße      7  enabled\n"
                   "b22  x       1234  failed\n");
}

static void a_terminal_gets_colours_and_its_width(void **state)
{
    (void)state;
    begin_on(OUTPUT_TABLE, (struct output_terminal){.has_colour = true, .width = 24});
    output_list_begin(out, NULL, COLUMNS, NULL);
    put_item("a", "a rather long name", 1, "failed");
    output_list_end(out);
    assert_written("\033[1mID\033[0m  \033[1mNAME\033[0m    \033[1mCOUNT\033[0m  "
                   "\033[1mSTATE\033[0m\n"
                   "a   a rat…      1  \033[31mfailed\033[0m\n");
}

static void put_wide(size_t width)
{
    static const struct column WIDE[] = {
        {"id", "ID", COLUMN_TEXT},
        {"at", "TIME", COLUMN_TEXT},
        {"state", "STATE", COLUMN_STATE},
        {"name", "NAME", COLUMN_TEXT},
        {"other", "OTHER", COLUMN_TEXT},
        {"n", "N", COLUMN_NUMBER},
        {0},
    };
    begin_on(OUTPUT_TABLE, (struct output_terminal){.width = width});
    output_list_begin(out, NULL, WIDE, NULL);
    output_item_begin(out);
    output_str(out, "id", "dlv_01jd0000000000000000000000");
    output_time(out, "at", INT64_C(1763643600000));
    output_str(out, "state", "failed");
    output_str(out, "name", "a text of no more than thirty!");
    output_str(out, "other", "ep_01jd0000000000000000000000");
    output_number(out, "n", 7);
    output_item_end(out);
    output_list_end(out);
}

static void ids_are_whole_and_times_short_on_a_narrow_terminal(void **state)
{
    (void)state;
    put_wide(130);
    assert_written("ID                              TIME                  STATE   NAME             "
                   "               OTHER                          N\n"
                   "dlv_01jd0000000000000000000000  2025-11-20T13:00:00Z  failed  a text of no more"
                   " than thirty!  ep_01jd0000000000000000000000  7\n");
    put_wide(115);
    assert_written("ID                              TIME            STATE   NAME                   "
                   "    OTHER                          N\n"
                   "dlv_01jd0000000000000000000000  11-20 13:00:00  failed  a text of no more than "
                   "t…  ep_01jd0000000000000000000000  7\n");
}

static void later_columns_are_left_out_and_named_before_ids_are_cut(void **state)
{
    (void)state;
    put_wide(80);
    assert_written("ID                              TIME            STATE   NAME\n"
                   "dlv_01jd0000000000000000000000  11-20 13:00:00  failed  a text of no more than "
                   "…\n"
                   "(no room for: OTHER, N)\n");
}

static void csv_cells_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    begin(OUTPUT_CSV);
    output_list_begin(out, NULL, COLUMNS, NULL);
    put_item("a,b", "say \"hi\"", 1, "two\nlines");
    output_list_end(out);
    assert_written("id,name,count,state,hidden\r\n"
                   "\"a,b\",\"say \"\"hi\"\"\",1,\"two\nlines\",yes\r\n");
}

static void csv_formulas_are_defused_and_numbers_are_not(void **state)
{
    (void)state;
    begin(OUTPUT_CSV);
    output_list_begin(out, NULL, COLUMNS, NULL);
    put_item("=1+1", "@SUM(A1)", -5, "+x");
    put_item("-2+3", "\tx", 0, "ok");
    output_list_end(out);
    assert_written("id,name,count,state,hidden\r\n"
                   "'=1+1,'@SUM(A1),-5,'+x,yes\r\n"
                   "'-2+3,'\tx,0,ok,yes\r\n");
}

static void a_cell_cannot_drive_the_terminal(void **state)
{
    (void)state;
    begin(OUTPUT_TABLE);
    output_list_begin(out, NULL, COLUMNS, NULL);
    put_item("a\033[2J", "x\ny", 1, "ok");
    output_list_end(out);
    assert_written("ID          NAME  COUNT  STATE\n"
                   "a\\u001b[2J  x\\ny      1  ok\n");
}

static void put_one_with_a_list(void)
{
    static const struct column INNER[] = {{"n", "N", COLUMN_NUMBER}, {0}};
    output_item_begin(out);
    output_str(out, "id", "dlv_1");
    output_null(out, "lastStatus");
    output_time(out, "createdAt", INT64_C(1763643600000));
    output_time(out, "finishedAt", 0);
    output_json(out, "data", bytes_of_str("{\"a\":[1,2],\"b\":{}}"));
    output_texts(out, "scopes", "x\0y", 2, 2);
    output_list_begin(out, "attempts", INNER, NULL);
    for (int i = 1; i <= 2; i++) {
        output_item_begin(out);
        output_number(out, "n", i);
        output_item_end(out);
    }
    output_list_end(out);
    output_item_end(out);
}

static void one_object_with_a_list_is_nested_in_json(void **state)
{
    (void)state;
    begin(OUTPUT_JSON);
    put_one_with_a_list();
    assert_written(
        "{\"id\":\"dlv_1\",\"lastStatus\":null,\"createdAt\":\"2025-11-20T13:00:00.000Z\""
        ",\"finishedAt\":null,\"data\":{\"a\":[1,2],\"b\":{}},\"scopes\":[\"x\",\"y\"],"
        "\"attempts\":[{\"n\":1},{\"n\":2}]}\n");
}

static void one_object_is_one_line_in_ndjson(void **state)
{
    (void)state;
    begin(OUTPUT_NDJSON);
    put_one_with_a_list();
    assert_written(
        "{\"id\":\"dlv_1\",\"lastStatus\":null,\"createdAt\":\"2025-11-20T13:00:00.000Z\""
        ",\"finishedAt\":null,\"data\":{\"a\":[1,2],\"b\":{}},\"scopes\":[\"x\",\"y\"],"
        "\"attempts\":[{\"n\":1},{\"n\":2}]}\n");
}

static void one_object_is_lines_with_its_list_below(void **state)
{
    (void)state;
    begin(OUTPUT_TABLE);
    put_one_with_a_list();
    assert_written("id           dlv_1\n"
                   "last status  -\n"
                   "created at   2025-11-20T13:00:00.000Z\n"
                   "finished at  -\n"
                   "data\n"
                   "  {\n"
                   "    \"a\": [\n"
                   "      1,\n"
                   "      2\n"
                   "    ],\n"
                   "    \"b\": {}\n"
                   "  }\n"
                   "scopes       x, y\n"
                   "\n"
                   "N\n"
                   "1\n"
                   "2\n");
}

static void one_object_is_a_header_and_a_line_in_csv(void **state)
{
    (void)state;
    begin(OUTPUT_CSV);
    put_one_with_a_list();
    assert_written("id,lastStatus,createdAt,finishedAt,data,scopes\r\n"
                   "dlv_1,,2025-11-20T13:00:00.000Z,,\"{\"\"a\"\":[1,2],\"\"b\"\":{}}\",\"x, "
                   "y\"\r\n");
}

static void text_that_is_not_utf8_is_still_valid_json(void **state)
{
    (void)state;
    begin(OUTPUT_JSON);
    output_item_begin(out);
    output_text(out, "body", bytes_of("\xFF\0\"", 3));
    output_item_end(out);
    assert_written("{\"body\":\"\xEF\xBF\xBD\\u0000\\\"\"}\n");
}

static void notes_are_for_people_only(void **state)
{
    (void)state;
    begin(OUTPUT_JSON);
    output_note(out, "hello %d\n", 1);
    assert_written("");
    begin(OUTPUT_TABLE);
    output_note(out, "hello %d\n", 1);
    assert_written("hello 1\n");
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY);
    if (full < 0)
        skip();
    struct output *to_full = output_new(full, OUTPUT_TABLE, (struct output_terminal){0});
    output_note(to_full, "x");
    assert_int_equal(output_flush(to_full), STATUS_IO);
    assert_int_equal(output_flush(to_full), STATUS_IO);
    output_free(to_full);
    close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_list_is_one_array),
        cmocka_unit_test(an_empty_json_list_is_an_empty_array),
        cmocka_unit_test(ndjson_is_one_object_a_line),
        cmocka_unit_test(csv_has_a_header_and_every_column),
        cmocka_unit_test(a_table_is_aligned_by_columns_on_screen),
        cmocka_unit_test(a_terminal_gets_colours_and_its_width),
        cmocka_unit_test(ids_are_whole_and_times_short_on_a_narrow_terminal),
        cmocka_unit_test(later_columns_are_left_out_and_named_before_ids_are_cut),
        cmocka_unit_test(csv_cells_are_quoted_where_they_must_be),
        cmocka_unit_test(csv_formulas_are_defused_and_numbers_are_not),
        cmocka_unit_test(a_cell_cannot_drive_the_terminal),
        cmocka_unit_test(one_object_with_a_list_is_nested_in_json),
        cmocka_unit_test(one_object_is_one_line_in_ndjson),
        cmocka_unit_test(one_object_is_lines_with_its_list_below),
        cmocka_unit_test(one_object_is_a_header_and_a_line_in_csv),
        cmocka_unit_test(text_that_is_not_utf8_is_still_valid_json),
        cmocka_unit_test(notes_are_for_people_only),
        cmocka_unit_test(a_full_disk_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

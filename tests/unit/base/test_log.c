/* log: what a line looks like, read back through a pipe put in standard error's place. */
#include "base/log.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static int saved_stderr;
static int pipe_ends[2];

static void capture_start(enum log_format format, enum log_level level)
{
    assert_int_equal(pipe(pipe_ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(pipe_ends[1], STDERR_FILENO);
    log_init(format, level);
}

/* What was logged since capture_start, at most a pipe's worth. */
static void capture_stop(char *ret_text, size_t size)
{
    size_t len = 0;
    ssize_t got;

    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipe_ends[1]);
    while ((got = read(pipe_ends[0], ret_text + len, size - 1 - len)) > 0)
        len += (size_t)got;
    ret_text[len] = '\0';
    close(pipe_ends[0]);
}

/* The line without its time, which is checked for its form. */
static const char *after_time(const char *line)
{
    assert_true(strlen(line) > 25);
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    return line + 25;
}

static void a_text_line_is_for_a_person(void **state)
{
    char out[8192];

    (void)state;
    capture_start(LOG_TEXT, LOG_INFO);
    log_info("listening", LOG_STR("address", "127.0.0.1:1"), LOG_INT("connections", -5));
    capture_stop(out, sizeof out);
    assert_string_equal(after_time(out), "info  listening address=127.0.0.1:1 connections=-5\n");
}

static void values_that_are_no_word_are_quoted(void **state)
{
    char out[8192];

    (void)state;
    capture_start(LOG_TEXT, LOG_INFO);
    log_error("failed", LOG_STR("a", "two words"), LOG_STR("b", ""), LOG_STR("c", "x=\"y\""),
              LOG_BYTES("d", bytes_of("cut here", 3)), LOG_STR("e", NULL));
    capture_stop(out, sizeof out);
    assert_string_equal(after_time(out),
                        "error failed a=\"two words\" b=\"\" c=\"x=\\\"y\\\"\" d=cut e=0\n");
}

static void a_json_line_is_one_object(void **state)
{
    char out[8192];

    (void)state;
    capture_start(LOG_JSON, LOG_INFO);
    log_warn("slow \"disk\"", LOG_STR("path", "/data"), LOG_INT("ms", INT64_MIN));
    capture_stop(out, sizeof out);
    cJSON *line = cJSON_Parse(out);
    assert_non_null(line);
    assert_int_equal(strlen(cJSON_GetObjectItem(line, "time")->valuestring), 24);
    assert_string_equal(cJSON_GetObjectItem(line, "level")->valuestring, "warn");
    assert_string_equal(cJSON_GetObjectItem(line, "message")->valuestring, "slow \"disk\"");
    assert_string_equal(cJSON_GetObjectItem(line, "path")->valuestring, "/data");
    assert_non_null(strstr(out, "\"ms\":-9223372036854775808}\n"));
    cJSON_Delete(line);
}

static void control_characters_never_get_out_raw(void **state)
{
    static const char hostile[] = "a\nb\x1b[31m\x7f\xc2\x9b\xe2\x80\xae"
                                  "c\0d";
    char out[8192];

    (void)state;
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        capture_start((enum log_format)format, LOG_INFO);
        log_info("x", LOG_BYTES("v", bytes_of(hostile, sizeof hostile - 1)));
        capture_stop(out, sizeof out);
        assert_non_null(strstr(out, "a\\u000ab\\u001b[31m\\u007f\\u009b\\u202ec\\u0000d"));
        assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
    }
}

static void bytes_that_are_no_utf8_become_replacement_characters(void **state)
{
    char out[8192];

    (void)state;
    capture_start(LOG_JSON, LOG_INFO);
    log_info("x", LOG_STR("v", "\xff|\xc0\xaf|\xed\xa0\x80|\xe2\x82|\xf5\x80\x80\x80|\xc3\xa9|"
                               "\xf0\x9f\x98\x80"));
    capture_stop(out, sizeof out);
#define R "\xef\xbf\xbd"
    assert_non_null(
        strstr(out, "\"" R "|" R R "|" R R R "|" R R "|" R R R R "|\xc3\xa9|\xf0\x9f\x98\x80\""));
}

static void a_long_value_is_cut_and_a_full_line_still_parses(void **state)
{
    static char value[5000];
    char out[8192];

    (void)state;
    memset(value, '\n', sizeof value - 1);
    capture_start(LOG_JSON, LOG_INFO);
    log_info("x", LOG_STR("first", value), LOG_STR("second", value), LOG_STR("third", "short"));
    capture_stop(out, sizeof out);
    assert_true(strlen(out) <= 4096);
    cJSON *line = cJSON_Parse(out);
    assert_non_null(line);
    assert_int_equal(strlen(cJSON_GetObjectItem(line, "first")->valuestring), 512 + 3);
    assert_null(cJSON_GetObjectItem(line, "second"));
    assert_string_equal(cJSON_GetObjectItem(line, "third")->valuestring, "short");
    cJSON_Delete(line);
}

static void lines_below_the_level_are_not_written(void **state)
{
    char out[8192];

    (void)state;
    capture_start(LOG_TEXT, LOG_WARN);
    log_info("no");
    log_debug("no");
    log_set_level(LOG_DEBUG);
    log_debug("yes");
    capture_stop(out, sizeof out);
    assert_string_equal(after_time(out), "debug yes\n");
}

static void levels_are_read_by_name(void **state)
{
    enum log_level level;

    (void)state;
    assert_int_equal(log_level_parse(bytes_of_str("debug"), &level), STATUS_OK);
    assert_int_equal(level, LOG_DEBUG);
    assert_int_equal(log_level_parse(bytes_of_str("error"), &level), STATUS_OK);
    assert_int_equal(level, LOG_ERROR);
    assert_int_equal(log_level_parse(bytes_of_str("Error"), &level), STATUS_INVALID);
    assert_int_equal(log_level_parse(bytes_of_str(""), &level), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_is_for_a_person),
        cmocka_unit_test(values_that_are_no_word_are_quoted),
        cmocka_unit_test(a_json_line_is_one_object),
        cmocka_unit_test(control_characters_never_get_out_raw),
        cmocka_unit_test(bytes_that_are_no_utf8_become_replacement_characters),
        cmocka_unit_test(a_long_value_is_cut_and_a_full_line_still_parses),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(levels_are_read_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* settings: who beats whom, and what a person is told when something is wrong. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "ingest/settings.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The sources of one reading; each list ends with NULL. */
struct input {
    const char *flags[24];
    const char *environment[16];
    const char *file; /* content; NULL: no file */
};

static char config_path[] = "/tmp/postern-settings-XXXXXX";

static int config_file_make(void **state)
{
    int fd = mkstemp(config_path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int config_file_remove(void **state)
{
    (void)state;
    return unlink(config_path);
}

static void config_file_write(const char *content)
{
    CLEANUP(closep) int fd = open(config_path, O_WRONLY | O_TRUNC);

    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
}

static enum status read_input(const struct input *input, struct settings *settings, struct err *err)
{
    char *argv[32] = {(char *)"posternd"};
    char **environment = (char **)input->environment;
    int argc = 1;

    for (int i = 0; input->flags[i]; i++)
        argv[argc++] = (char *)input->flags[i];
    if (input->file) {
        config_file_write(input->file);
        argv[argc++] = (char *)"--config";
        argv[argc++] = config_path;
    }
    return settings_read(settings, argc, argv, environment, err);
}

/* The settings that the input gives; fails the test with the message where it gives none. */
static void assert_read(const struct input *input, struct settings *ret_settings)
{
    struct err err = {0};

    if (read_input(input, ret_settings, &err) != STATUS_OK)
        fail_msg("%s", err.text);
}

static void assert_refused(const struct input *input, const char *message)
{
    CLEANUP(settings_fini) struct settings settings = {0};
    CLEANUP(buf_fini) struct buf expected = {0};
    struct err err = {0};

    assert_int_equal(read_input(input, &settings, &err), STATUS_INVALID);
    /* "@" stands for the file's path, which differs from run to run. */
    for (; *message; message++) {
        if (*message == '@')
            buf_put_str(&expected, config_path);
        else
            buf_put_char(&expected, *message);
    }
    assert_string_equal(err.text, buf_str(&expected));
}

static void nothing_set_gives_the_defaults(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};

    (void)state;
    assert_read(&(struct input){0}, &s);
    assert_int_equal(s.command, SETTINGS_SERVE);
    assert_string_equal(s.data, "/var/lib/postern");
    assert_non_null(s.schemas);
    assert_int_equal(s.listen_count, 1);
    assert_string_equal(s.listen[0], "0.0.0.0:8443");
    assert_int_equal(s.listen_cleartext_count, 0);
    assert_string_equal(s.admin_listen, "127.0.0.1:8444");
    assert_null(s.tls_cert);
    assert_null(s.tls_key);
    assert_null(s.master_key_file);
    assert_true(s.threads >= 1);
    assert_int_equal(s.max_body, 1048576);
    assert_int_equal(s.limit_minute, 50);
    assert_int_equal(s.limit_hour, 1000);
    assert_int_equal(s.retry_count, 4);
    assert_int_equal(s.retry_s[0], 60);
    assert_int_equal(s.retry_s[3], 7200);
    assert_int_equal(s.deliver_allow_count, 0);
    assert_false(s.deliver_http);
    assert_int_equal(s.deliver_timeout_ms, 30000);
    assert_int_equal(s.retain_deliveries_ms, 30 * DAY_MS);
    assert_int_equal(s.log_level, LOG_INFO);
}

static void a_flag_beats_the_environment_beats_the_file(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};
    const struct input input = {
        .flags = {"--data", "/flag"},
        .environment = {"POSTERN_DATA=/environment", "POSTERN_MAX_BODY=2000", "HOME=/root"},
        .file = "{\"data\":\"/file\",\"max-body\":1000,\"limit-hour\":3000}",
    };

    (void)state;
    assert_read(&input, &s);
    assert_string_equal(s.data, "/flag");
    assert_int_equal(s.max_body, 2000);
    assert_int_equal(s.limit_hour, 3000);
    assert_int_equal(s.limit_minute, 50);
}

static void a_list_replaces_the_lower_one_whole(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};
    const struct input input = {
        .flags = {"--listen", "127.0.0.1:1", "--listen", "[::1]:2"},
        .environment = {"POSTERN_LISTEN=1.1.1.1:3,1.1.1.1:4,1.1.1.1:5",
                        "POSTERN_DELIVER_ALLOW=10.0.0.0/8,fd00::/8"},
        .file = "{\"listen\":[\"2.2.2.2:6\"],\"deliver-allow\":[\"192.168.0.0/16\"],"
                "\"listen-cleartext\":[\"127.0.0.1:7\",\"127.0.0.1:8\"],"
                "\"retry-schedule\":[\"1s\",\"2s\"]}",
    };

    (void)state;
    assert_read(&input, &s);
    assert_int_equal(s.listen_count, 2);
    assert_string_equal(s.listen[0], "127.0.0.1:1");
    assert_string_equal(s.listen[1], "[::1]:2");
    assert_int_equal(s.deliver_allow_count, 2);
    assert_int_equal(s.deliver_allow[0].prefix_bits, 104);
    assert_int_equal(s.listen_cleartext_count, 2);
    assert_string_equal(s.listen_cleartext[1], "127.0.0.1:8");
    assert_int_equal(s.retry_count, 2);
    assert_int_equal(s.retry_s[1], 2);
}

static void every_setting_can_be_a_flag(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};
    const struct input input = {
        .flags = {"--schemas=/s", "--admin-listen=/run/postern.sock", "--tls-cert=/c",
                  "--tls-key=/k", "--threads=3", "--deliver-http", "--deliver-ca=/ca",
                  "--deliver-timeout=1500ms", "--retain-deliveries=7d", "--log-format=json",
                  "--log-level=debug", "--master-key-file=/m", "--retry-schedule=5s,1m",
                  "--retain-records=timeoff=400d", "--retain-records", "vendor=12h"},
    };

    (void)state;
    assert_read(&input, &s);
    assert_string_equal(s.schemas, "/s");
    assert_string_equal(s.admin_listen, "/run/postern.sock");
    assert_string_equal(s.tls_cert, "/c");
    assert_string_equal(s.tls_key, "/k");
    assert_int_equal(s.threads, 3);
    assert_true(s.deliver_http);
    assert_string_equal(s.deliver_ca, "/ca");
    assert_int_equal(s.deliver_timeout_ms, 1500);
    assert_int_equal(s.retain_deliveries_ms, 7 * DAY_MS);
    assert_int_equal(s.retain_record_count, 2);
    assert_string_equal(s.retain_records[0].type, "timeoff");
    assert_int_equal(s.retain_records[0].keep_ms, 400 * DAY_MS);
    assert_string_equal(s.retain_records[1].type, "vendor");
    assert_int_equal(s.retain_records[1].keep_ms, 12 * HOUR_MS);
    assert_int_equal(s.log_format, LOG_JSON);
    assert_int_equal(s.log_level, LOG_DEBUG);
    assert_string_equal(s.master_key_file, "/m");
    assert_int_equal(s.retry_s[0], 5);
}

static void a_switch_is_on_by_its_name_or_by_a_value(void **state)
{
    static const struct {
        struct input input;
        bool is_on;
    } rows[] = {
        {{.flags = {"--deliver-http"}}, true},
        {{.flags = {"--deliver-http=false"}, .file = "{\"deliver-http\":true}"}, false},
        {{.environment = {"POSTERN_DELIVER_HTTP=1"}}, true},
        {{.environment = {"POSTERN_DELIVER_HTTP=false"}, .file = "{\"deliver-http\":true}"}, false},
        {{.file = "{\"deliver-http\":true}"}, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(settings_fini) struct settings s = {0};
        assert_read(&rows[i].input, &s);
        assert_int_equal(s.deliver_http, rows[i].is_on);
    }
}

static void the_environment_may_name_the_file(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};
    char variable[128];
    struct input input = {.environment = {variable}};

    (void)state;
    snprintf(variable, sizeof variable, "POSTERN_CONFIG=%s", config_path);
    config_file_write("{\"threads\": 5}");
    assert_read(&input, &s);
    assert_int_equal(s.threads, 5);
}

static void an_empty_variable_is_not_set(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};

    (void)state;
    assert_read(&(struct input){.environment = {"POSTERN_DATA=", "POSTERN_TLS_CERT="}}, &s);
    assert_string_equal(s.data, "/var/lib/postern");
    assert_null(s.tls_cert);
}

static void variables_of_the_surroundings_are_left_alone(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};
    const struct input input = {
        .environment = {"POSTERN_SERVICE_HOST=10.0.0.1", "POSTERN_SERVICE_PORT=443",
                        "POSTERN_PORT=tcp://10.0.0.1:443", "POSTERN_PORT_443_TCP_PROTO=tcp",
                        "POSTERN_VERSION=1.2", "POSTERNX=1", "postern_data=/x", "nonsense"}};

    (void)state;
    assert_read(&input, &s);
    assert_string_equal(s.data, "/var/lib/postern");
}

static void commands_are_told_apart(void **state)
{
    static const struct {
        struct input input;
        enum settings_command command;
    } rows[] = {
        {{.flags = {"--check"}}, SETTINGS_CHECK},
        {{.flags = {"--data", "/x", "--health"}}, SETTINGS_HEALTH},
        {{.flags = {"--help"}}, SETTINGS_HELP},
        {{.flags = {"-h"}}, SETTINGS_HELP},
        {{.flags = {"--version", "--check"}}, SETTINGS_VERSION},
        {{.flags = {"-V"}}, SETTINGS_VERSION},
        /* Help is there for people whose settings are wrong. */
        {{.flags = {"--help", "--threads", "x"}, .environment = {"POSTERN_NONSENSE=1"}},
         SETTINGS_HELP},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEANUP(settings_fini) struct settings s = {0};
        assert_read(&rows[i].input, &s);
        assert_int_equal(s.command, rows[i].command);
    }
}

static void a_wrong_value_is_told_with_its_source(void **state)
{
    (void)state;
    assert_refused(&(struct input){.flags = {"--threads", "0"}},
                   "setting threads, from flag --threads: \"0\" will not do: it takes a whole "
                   "number from 1 to 64");
    assert_refused(&(struct input){.environment = {"POSTERN_MAX_BODY=1M"}},
                   "setting max-body, from the environment, POSTERN_MAX_BODY: \"1M\" will not do: "
                   "it takes a whole number from 1 to 67108864");
    assert_refused(&(struct input){.file = "{\"log-level\": \"loud\"}"},
                   "setting log-level, from file @, member \"log-level\": \"loud\" will not do: "
                   "it takes debug, info, warn or error");
    assert_refused(&(struct input){.flags = {"--deliver-timeout", "30"}},
                   "setting deliver-timeout, from flag --deliver-timeout: \"30\" will not do: it "
                   "takes a duration such as 90s, 5m or 2h, from 10ms to 10m");
    assert_refused(&(struct input){.flags = {"--retry-schedule", "1m,1500ms"}},
                   "setting retry-schedule, from flag --retry-schedule: \"1m,1500ms\" will not do: "
                   "it takes a duration such as 90s, 5m or 2h, from 1s to 30d in whole seconds, or "
                   "several with commas between");
    assert_refused(&(struct input){.flags = {"--deliver-allow", "10.0.0.1/8"}},
                   "setting deliver-allow, from flag --deliver-allow: \"10.0.0.1/8\" will not do: "
                   "it takes an address range such as 10.0.0.0/8 or fd00::/8, without host bits, "
                   "or several with commas between");
    static const char *const wrong[] = {"vendor", "=1d", "vendor=", "vendor=1s", "vendor=soon"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "setting retain-records, from flag --retain-records: \"%s\" will not do: it takes "
                 "a record type, = and a duration such as 90s, 5m or 2h, from 1m to 36500d, or "
                 "several with commas between",
                 wrong[i]);
        assert_refused(&(struct input){.flags = {"--retain-records", wrong[i]}}, text);
    }
    assert_refused(&(struct input){.flags = {"--log-format", "xml"}},
                   "setting log-format, from flag --log-format: \"xml\" will not do: it takes text "
                   "or json");
    assert_refused(&(struct input){.environment = {"POSTERN_DELIVER_HTTP=yes"}},
                   "setting deliver-http, from the environment, POSTERN_DELIVER_HTTP: \"yes\" will "
                   "not do: it takes true or false");
    assert_refused(&(struct input){.flags = {"--data="}},
                   "setting data, from flag --data: \"\" will not do: it takes a path");
}

static void listeners_are_checked(void **state)
{
    static const char *const wrong[] = {
        "localhost:1", "127.0.0.1", "127.0.0.1:65536", "", "1,", "127.0.0.1:1,,127.0.0.1:2"};
    CLEANUP(settings_fini) struct settings s = {0};
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(wrong); i++) {
        assert_int_equal(read_input(&(struct input){.flags = {"--listen", wrong[i]}}, &s, &err),
                         STATUS_INVALID);
        assert_non_null(strstr(err.text, "it takes an address and port such as"));
        settings_fini(&s);
    }
    assert_int_equal(read_input(&(struct input){.flags = {"--admin-listen", "relative"}}, &s, &err),
                     STATUS_INVALID);
    assert_non_null(strstr(err.text, "a path of at most 107 characters with a slash in it"));
}

static void a_value_of_a_wrong_kind_in_the_file_is_told(void **state)
{
    static const char *const files[] = {
        "{\"data\": 5}",
        "{\"data\": null}",
        "{\"data\": [\"/x\"]}",
        "{\"threads\": true}",
        "{\"threads\": 1.5}",
        "{\"threads\": -1}",
        "{\"threads\": 1e1}",
        "{\"threads\": {}}",
        "{\"deliver-http\": \"true\"}",
        "{\"deliver-http\": 1}",
        "{\"listen\": [8443]}",
        "{\"listen\": [[]]}",
        "{\"retain-deliveries\": 30}",
        "{\"data\": \"/a\\u0000b\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        CLEANUP(settings_fini) struct settings s = {0};
        struct err err = {0};
        assert_int_equal(read_input(&(struct input){.file = files[i]}, &s, &err), STATUS_INVALID);
        assert_non_null(strstr(err.text, config_path));
        assert_non_null(strstr(err.text, "will not do: it takes"));
    }
}

static void the_file_must_be_an_object_of_settings(void **state)
{
    (void)state;
    assert_refused(&(struct input){.file = "[]"}, "file @: it must hold one JSON object");
    assert_refused(&(struct input){.file = "{\"max_body\": 1}"},
                   "file @: \"max_body\" is no setting that a file can hold; did you mean "
                   "max-body?");
    assert_refused(&(struct input){.file = "{\"config\": \"/x\"}"},
                   "file @: \"config\" is no setting that a file can hold");
}

static void a_broken_file_is_told_with_its_place(void **state)
{
    CLEANUP(settings_fini) struct settings s = {0};
    struct err err = {0};

    (void)state;
    assert_int_not_equal(read_input(&(struct input){.file = "{\n \"data\": }"}, &s, &err),
                         STATUS_OK);
    assert_non_null(strstr(err.text, config_path));
    settings_fini(&s);
    assert_int_not_equal(
        read_input(&(struct input){.flags = {"--config", "/nowhere/at/all"}}, &s, &err), STATUS_OK);
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

static void an_unknown_flag_suggests_the_nearest(void **state)
{
    (void)state;
    assert_refused(&(struct input){.flags = {"--max-bdy", "5"}},
                   "unknown flag --max-bdy; did you mean --max-body?");
    assert_refused(&(struct input){.flags = {"--limit-minutes=5"}},
                   "unknown flag --limit-minutes; did you mean --limit-minute?");
    assert_refused(&(struct input){.flags = {"--chek"}},
                   "unknown flag --chek; did you mean --check?");
    assert_refused(&(struct input){.flags = {"--zzzzzzzz"}}, "unknown flag --zzzzzzzz");
    assert_refused(&(struct input){.flags = {"serve"}},
                   "unexpected argument \"serve\"; settings are flags such as --data DIR");
    assert_refused(&(struct input){.flags = {"-d"}},
                   "unexpected argument \"-d\"; settings are flags such as --data DIR");
    assert_refused(&(struct input){.flags = {"--"}},
                   "unexpected argument \"--\"; settings are flags such as --data DIR");
}

static void an_unknown_variable_suggests_the_nearest(void **state)
{
    (void)state;
    assert_refused(&(struct input){.environment = {"POSTERN_LIMIT_MINUTES=5"}},
                   "environment: POSTERN_LIMIT_MINUTES is no setting; did you mean "
                   "POSTERN_LIMIT_MINUTE?");
    assert_refused(&(struct input){.environment = {"POSTERN_QWERTYUIOP=5"}},
                   "environment: POSTERN_QWERTYUIOP is no setting");
    /* Commands are flags only. */
    assert_refused(&(struct input){.environment = {"POSTERN_CHECK=1"}},
                   "environment: POSTERN_CHECK is no setting");
}

static void flags_need_exactly_their_values(void **state)
{
    (void)state;
    assert_refused(&(struct input){.flags = {"--data"}}, "flag --data needs a value: --data DIR");
    assert_refused(&(struct input){.flags = {"--data", "--deliver-http"}},
                   "flag --data needs a value: --data DIR");
    assert_refused(&(struct input){.flags = {"--data", "/a", "--data", "/b"}},
                   "flag --data is given twice");
    assert_refused(&(struct input){.flags = {"--check=yes"}}, "flag --check takes no value");
}

static void a_certificate_needs_its_key(void **state)
{
    (void)state;
    assert_refused(&(struct input){.flags = {"--tls-cert", "/c"}},
                   "setting tls-cert is given without tls-key: set both, or neither for a "
                   "self-signed pair");
    assert_refused(&(struct input){.environment = {"POSTERN_TLS_KEY=/k"}},
                   "setting tls-key is given without tls-cert: set both, or neither for a "
                   "self-signed pair");
}

static void a_list_has_a_bound(void **state)
{
    CLEANUP(buf_fini) struct buf value = {0};

    (void)state;
    for (int i = 0; i < SETTINGS_RETRIES_MAX + 1; i++)
        buf_put_str(&value, i ? ",1s" : "1s");
    assert_refused(&(struct input){.flags = {"--retry-schedule", buf_str(&value)}},
                   "setting retry-schedule, from flag --retry-schedule: it has more than 32 "
                   "values");
}

static void a_wrong_value_that_a_flag_would_hide_is_told(void **state)
{
    (void)state;
    assert_refused(
        &(struct input){.flags = {"--threads", "2"}, .environment = {"POSTERN_THREADS=two"}},
        "setting threads, from the environment, POSTERN_THREADS: \"two\" will not do: "
        "it takes a whole number from 1 to 64");
}

static void help_the_manual_and_markdown_list_every_setting(void **state)
{
    static void (*const forms[])(struct buf *) = {settings_put_help, settings_put_roff,
                                                  settings_put_markdown};
    static const char *const names[][2] = {
        {"--data", "\\-\\-data"},
        {"--listen", "\\-\\-listen"},
        {"--max-body", "\\-\\-max\\-body"},
        {"--retry-schedule", "\\-\\-retry\\-schedule"},
        {"--log-level", "\\-\\-log\\-level"},
        {"--config", "\\-\\-config"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        CLEANUP(buf_fini) struct buf out = {0};
        forms[i](&out);
        assert_int_equal(out.status, STATUS_OK);
        for (size_t j = 0; j < COUNT(names); j++)
            assert_non_null(strstr(buf_str(&out), names[j][forms[i] == settings_put_roff]));
        assert_non_null(strstr(buf_str(&out), "/var/lib/postern"));
    }
}

static void help_fits_a_terminal(void **state)
{
    CLEANUP(buf_fini) struct buf out = {0};
    const char *line;

    (void)state;
    settings_put_help(&out);
    line = buf_str(&out);
    while (*line) {
        size_t len = strcspn(line, "\n");
        assert_in_range(len, 0, 120);
        line += len + 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_set_gives_the_defaults),
        cmocka_unit_test(a_flag_beats_the_environment_beats_the_file),
        cmocka_unit_test(a_list_replaces_the_lower_one_whole),
        cmocka_unit_test(every_setting_can_be_a_flag),
        cmocka_unit_test(a_switch_is_on_by_its_name_or_by_a_value),
        cmocka_unit_test(the_environment_may_name_the_file),
        cmocka_unit_test(an_empty_variable_is_not_set),
        cmocka_unit_test(variables_of_the_surroundings_are_left_alone),
        cmocka_unit_test(commands_are_told_apart),
        cmocka_unit_test(a_wrong_value_is_told_with_its_source),
        cmocka_unit_test(listeners_are_checked),
        cmocka_unit_test(a_value_of_a_wrong_kind_in_the_file_is_told),
        cmocka_unit_test(the_file_must_be_an_object_of_settings),
        cmocka_unit_test(a_broken_file_is_told_with_its_place),
        cmocka_unit_test(an_unknown_flag_suggests_the_nearest),
        cmocka_unit_test(an_unknown_variable_suggests_the_nearest),
        cmocka_unit_test(flags_need_exactly_their_values),
        cmocka_unit_test(a_certificate_needs_its_key),
        cmocka_unit_test(a_list_has_a_bound),
        cmocka_unit_test(a_wrong_value_that_a_flag_would_hide_is_told),
        cmocka_unit_test(help_the_manual_and_markdown_list_every_setting),
        cmocka_unit_test(help_fits_a_terminal),
    };
    return cmocka_run_group_tests(tests, config_file_make, config_file_remove);
}

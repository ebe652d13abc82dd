/*
 * Fuzz target: what an operator may set. The input is lines: one that begins with POSTERN_ is a
 * variable of the environment, any other an argument of the command line; behind the first empty
 * line comes the settings file. (Files that the input names itself are left alone.)
 *
 * What must hold: settings are read, or it is said why not; what is read is within its bounds, and
 * the same the next time; and a value is the same, or the same mistake, in each source.
 */
#include "base/cleanup.h"
#include "base/must.h"
#include "ingest/settings_table.h"
#include "schemas/json.h"
#include "schemas/json_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define WORDS_MAX 64

struct input {
    char *arguments[WORDS_MAX + 1], *environment[WORDS_MAX + 1]; /* end with NULL */
    int argument_count, variable_count;
    int file; /* -1: none */
    char file_name[32];
};

static void file_put(struct input *input, struct bytes content)
{
    input->file = memfd_create("settings", MFD_CLOEXEC);
    must(input->file >= 0);
    must(write(input->file, content.data, content.len) == (ssize_t)content.len);
    (void)snprintf(input->file_name, sizeof input->file_name, "/proc/self/fd/%d", input->file);
}

static void word_put(struct input *input, struct bytes line)
{
    char *word = bytes_dup_str(line);

    must(word != NULL);
    if (strncmp(word, "--config", 8) == 0 || strncmp(word, "POSTERN_CONFIG", 14) == 0)
        free(word);
    else if (strncmp(word, "POSTERN_", 8) == 0)
        input->environment[input->variable_count++] = word;
    else
        input->arguments[input->argument_count++] = word;
}

static struct input input_of(const uint8_t *data, size_t len)
{
    struct input input = {.file = -1};
    const uint8_t *at = data, *end = data + len;

    word_put(&input, bytes_of_str("posternd"));
    for (size_t lines = 1; at < end && *at != '\n' && lines < WORDS_MAX - 2; lines++) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        size_t line_len = (size_t)((newline ? newline : end) - at);

        word_put(&input, bytes_of(at, line_len));
        at += line_len + (newline != NULL);
    }
    if (at < end && *at == '\n') {
        file_put(&input, bytes_of(at + 1, (size_t)(end - at - 1)));
        input.arguments[input.argument_count++] = strdup("--config");
        input.arguments[input.argument_count++] = strdup(input.file_name);
    }
    return input;
}

static void input_fini(struct input *input)
{
    for (int i = 0; i < WORDS_MAX; i++) {
        free(input->arguments[i]);
        free(input->environment[i]);
    }
    if (input->file >= 0)
        close(input->file);
}

static enum status read_input(const struct input *input, struct settings *settings)
{
    struct err err = {0};
    enum status s = settings_read(settings, input->argument_count, (char **)input->arguments,
                                  (char **)input->environment, &err);

    must(s == STATUS_OK || s == STATUS_INVALID);
    must(s == STATUS_OK || err.text[0] != '\0');
    return s;
}

/* All that was read, in bytes that can be compared: texts stand behind the struct. */
static void put_all(struct settings *settings, struct buf *out)
{
    struct settings plain;

    setting_clear(setting_find(bytes_of_str("config")), settings); /* another file each time */
    memcpy(&plain, settings, sizeof plain);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &SETTINGS[i];
        size_t count = 1;

        if (row->elements_max)
            memcpy(&count, (char *)settings + row->count_member, sizeof count);
        must(count <= (row->elements_max ? row->elements_max : 1));
        for (size_t j = 0; row->release && j < count; j++) {
            char *member = (char *)&plain + row->member + j * row->element_bytes;
            char *text, *none = NULL;

            memcpy(&text, member, sizeof text);
            memcpy(member, &none, sizeof none);
            buf_printf(out, "%s=%s\n", row->name, text ? text : "(none)");
        }
    }
    buf_put(out, &plain, sizeof plain);
}

static void check_bounds(const struct settings *s)
{
    must(s->threads >= 1 && s->max_body >= 1 && s->max_body <= 64 << 20);
    must(s->limit_minute >= 1 && s->limit_minute <= 1000000);
    must(s->limit_hour >= 1 && s->limit_hour <= 1000000);
    must(s->listen_count >= 1 && s->retry_count >= 1 && s->data && s->schemas && s->admin_listen);
    for (size_t i = 0; i < s->retry_count; i++)
        must(s->retry_s[i] >= 1 && s->retry_s[i] <= 30 * 86400);
    for (size_t i = 0; i < s->deliver_allow_count; i++)
        must(s->deliver_allow[i].prefix_bits <= 128);
    for (size_t i = 0; i < s->retain_record_count; i++) {
        must(s->retain_records[i].type[0] != '\0' && s->retain_records[i].keep_ms >= 60000);
        must(memchr(s->retain_records[i].type, '\0', SETTINGS_TYPE_MAX + 1) != NULL);
    }
    must((s->tls_cert == NULL) == (s->tls_key == NULL));
}

static void check_all(const struct input *input)
{
    CLEANUP(settings_fini) struct settings first = {0};
    CLEANUP(settings_fini) struct settings again = {0};
    CLEANUP(buf_fini) struct buf first_text = {0}, again_text = {0};
    enum status s = read_input(input, &first);

    must(s == read_input(input, &again));
    if (s != STATUS_OK)
        return;
    if (first.command != SETTINGS_HELP && first.command != SETTINGS_VERSION)
        check_bounds(&first);
    put_all(&first, &first_text);
    put_all(&again, &again_text);
    must(bytes_equal(buf_bytes(&first_text), buf_bytes(&again_text)));
}

/* ---- one value, from each source ---- */

static enum status read_one(struct input *input, struct buf *out)
{
    CLEANUP(settings_fini) struct settings settings = {0};
    enum status s = read_input(input, &settings);

    if (s == STATUS_OK)
        put_all(&settings, out);
    input_fini(input);
    return s;
}

static void check_same(struct input input, enum status expected, const struct buf *expected_text)
{
    CLEANUP(buf_fini) struct buf text = {0};

    must(read_one(&input, &text) == expected);
    must(bytes_equal(buf_bytes(&text), buf_bytes(expected_text)));
}

static struct input input_of_word(struct buf *word)
{
    return input_of(word->data, word->len);
}

/* False: the value is no text that JSON can hold. */
static bool put_file(struct buf *out, const struct setting *row, struct bytes value)
{
    struct json_doc doc = {0};
    struct json_fault fault;

    buf_printf(out, "\n{\"%s\":", row->name);
    if (row->argument)
        json_put_string(out, value);
    else
        buf_put_bytes(out, value);
    buf_put_char(out, '}');
    bool is_json = json_scan(&doc, buf_bytes(out), &fault) == STATUS_OK;
    json_doc_fini(&doc);
    return is_json;
}

static void check_sources(const struct setting *row, struct bytes value)
{
    CLEANUP(buf_fini) struct buf word = {0}, text = {0};
    char variable[SETTING_VARIABLE_BYTES];
    bool is_file_value = row->argument || bytes_equal_str(value, "true") ||
                         bytes_equal_str(value, "false"); /* a switch's 1 is no JSON switch */

    buf_printf(&word, "--%s=%.*s", row->name, BYTES_ARG(value));
    struct input flag = input_of_word(&word);
    enum status s = read_one(&flag, &text);

    setting_variable(row->name, variable);
    buf_clear(&word);
    buf_printf(&word, "%s=%.*s", variable, BYTES_ARG(value));
    check_same(input_of_word(&word), s, &text);
    buf_clear(&word);
    if (is_file_value && put_file(&word, row, value))
        check_same(input_of_word(&word), s, &text);
}

static void check_argument(const char *argument)
{
    const char *equals = strchr(argument, '=');
    const struct setting *row;

    if (strncmp(argument, "--", 2) != 0 || equals == NULL || equals[1] == '\0')
        return;
    row = setting_find(bytes_of(argument + 2, (size_t)(equals - argument - 2)));
    if (row && !row->is_command_line_only)
        check_sources(row, bytes_of_str(equals + 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(input_fini) struct input input = input_of(data, len);

    check_all(&input);
    for (int i = 1; i < input.argument_count; i++)
        check_argument(input.arguments[i]);
    return 0;
}

/*
 * settings: four sources, lowest first: defaults, the file, the environment, the flags. Each source
 * that names a setting replaces what a lower one said; lists are replaced whole, never merged. All
 * sources are read to the end, so that a wrong value is told even where a higher source would have
 * hidden it: it would surface on the day that flag goes away.
 *
 * A name that nobody knows is an error in every source: a mistyped POSTERN_LIMIT_MINUTES must not
 * leave the limit off in silence. Variables that others set under our prefix without meaning us are
 * in FOREIGN_VARIABLES.
 */
#include "ingest/settings.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "ingest/settings_table.h"
#include "schemas/json.h"

#include <sched.h>
#include <stdio.h>

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define VARIABLE_PREFIX "POSTERN_"

/*
 * Not settings. A trailing '_' makes it a prefix. A Kubernetes service called "postern" gives every
 * pod in its namespace POSTERN_SERVICE_… and POSTERN_PORT….
 */
static const char *const FOREIGN_VARIABLES[] = {
    "POSTERN_SERVICE_", "POSTERN_PORT",  "POSTERN_PORT_", "POSTERN_VERSION",
    "POSTERN_OUTPUT",   "POSTERN_BUILD", "POSTERN_TEST_", "POSTERN_FAULT_",
};

/* Where a value comes from, as a message tells it. */
struct source {
    char text[512]; /* "flag --max-body" */
};

static enum status refuse(struct err *err, const struct setting *row, const struct source *source,
                          struct bytes value, enum status status)
{
    CLEANUP(buf_fini) struct buf expected = {0};
    bool is_cut = value.len > 100;

    if (status_is_fault(status)) {
        err_set(err, "setting %s, from %s: %s", row->name, source->text, status_text(status));
        return status;
    }
    if (status == STATUS_LIMIT) {
        err_set(err, "setting %s, from %s: it has more than %zu values", row->name, source->text,
                row->elements_max);
        return STATUS_INVALID;
    }
    setting_put_expected(&expected, row);
    err_set(err, "setting %s, from %s: \"%.*s%s\" will not do: it takes %s", row->name,
            source->text, is_cut ? 100 : (int)value.len, (const char *)value.data,
            is_cut ? "…" : "", buf_str(&expected));
    return STATUS_INVALID;
}

static enum status add(struct settings *settings, const struct setting *row,
                       const struct source *source, struct bytes value, struct err *err)
{
    enum status status = setting_add(row, settings, value);

    return status == STATUS_OK ? STATUS_OK : refuse(err, row, source, value, status);
}

/* Append what the wrong name may have been meant to be, where something is near. */
static void suggest(struct err *err, const char *before, const char *name)
{
    if (err && name)
        err_set(err, "%s; did you mean %s%s?", err->text, before, name);
}

static uint32_t cores(void)
{
    cpu_set_t set;

    /* What this process may use, not what the machine has: containers are often given less. */
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return (uint32_t)CPU_COUNT(&set);
}

static bool is_file_there(const char *directory, const char *name)
{
    CLEANUP(buf_fini) struct buf path = {0};

    buf_printf(&path, "%s/%s", directory, name);
    return access(buf_str(&path), R_OK) == 0;
}

char *settings_schemas_installed(void)
{
    char program[4096];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    char *slash;

    program[len > 0 ? len : 0] = '\0';
    slash = strrchr(program, '/');
    if (slash) {
        *slash = '\0';
        /* Straight from a build directory: the schemas that it was built with. */
        if (is_file_there(program, "../build.ninja"))
            return strdup(SCHEMAS_SOURCE_DIR);
    }
    return strdup(SCHEMAS_INSTALLED_DIR);
}

static enum status read_defaults(struct settings *settings, struct err *err)
{
    static const struct source source = {"the defaults"};

    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *row = &SETTINGS[i];
        enum status status;

        if (row->default_value == NULL)
            continue;
        status = add(settings, row, &source, bytes_of_str(row->default_value), err);
        if (status != STATUS_OK)
            return status;
    }
    settings->threads = cores();
    settings->log_format = isatty(STDERR_FILENO) ? LOG_TEXT : LOG_JSON;
    settings->schemas = settings_schemas_installed();
    if (settings->schemas == NULL) {
        err_set(err, "setting schemas: %s", status_text(STATUS_NO_MEMORY));
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

/* A scalar of the file as the text a flag would have. False: a kind that the setting cannot take.
 */
static bool file_scalar(const struct setting *row, const struct json_doc *doc, uint32_t node,
                        struct buf *scratch, struct bytes *ret_value)
{
    enum json_kind kind = json_kind_of(doc, node);
    bool is_number = row->max != 0 && row->unit_ms == 0;

    if (kind == JSON_STRING && row->argument) {
        *ret_value = json_string(doc, node, scratch);
        return true;
    }
    if ((kind == JSON_NUMBER && is_number) ||
        ((kind == JSON_TRUE || kind == JSON_FALSE) && row->argument == NULL)) {
        *ret_value = json_raw(doc, node);
        return true;
    }
    return false;
}

static enum status add_file_scalar(struct settings *settings, const struct setting *row,
                                   const struct source *source, const struct json_doc *doc,
                                   uint32_t node, struct err *err)
{
    CLEANUP(buf_fini) struct buf scratch = {0};
    struct bytes value = json_text(doc, node);

    if (!file_scalar(row, doc, node, &scratch, &value))
        return refuse(err, row, source, value, STATUS_INVALID);
    return add(settings, row, source, value, err);
}

static enum status add_file_member(struct settings *settings, const struct setting *row,
                                   const struct source *source, const struct json_doc *doc,
                                   uint32_t node, struct err *err)
{
    enum status status;

    setting_clear(row, settings);
    if (row->elements_max == 0 || json_kind_of(doc, node) != JSON_ARRAY)
        return add_file_scalar(settings, row, source, doc, node, err);
    for (uint32_t i = json_first(doc, node); i != JSON_NONE; i = json_after(doc, node, i)) {
        status = add_file_scalar(settings, row, source, doc, i, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status read_file_document(struct settings *settings, const struct json_doc *doc,
                                      struct err *err)
{
    CLEANUP(buf_fini) struct buf scratch = {0};
    uint32_t root = json_root(doc);
    enum status status;

    if (json_kind_of(doc, root) != JSON_OBJECT) {
        err_set(err, "file %s: it must hold one JSON object", settings->config);
        return STATUS_INVALID;
    }
    for (uint32_t i = json_first(doc, root); i != JSON_NONE; i = json_after(doc, root, i)) {
        struct bytes name = json_string(doc, i, &scratch);
        const struct setting *row = setting_find(name);
        struct source source;

        if (row == NULL || row->is_command_line_only) {
            err_set(err, "file %s: \"%.*s\" is no setting that a file can hold", settings->config,
                    BYTES_ARG(name));
            suggest(err, "", row ? NULL : setting_nearest(name));
            return STATUS_INVALID;
        }
        snprintf(source.text, sizeof source.text, "file %s, member \"%s\"", settings->config,
                 row->name);
        status = add_file_member(settings, row, &source, doc, i + 1, err);
        if (status != STATUS_OK)
            return status;
        buf_clear(&scratch);
    }
    return STATUS_OK;
}

static enum status read_file(struct settings *settings, struct err *err)
{
    CLEANUP(buf_fini) struct buf text = {0};
    CLEANUP(json_doc_fini) struct json_doc doc = {0};
    enum status status;

    if (settings->config == NULL)
        return STATUS_OK;
    status = json_read_file(settings->config, CONFIG_BYTES_MAX, &text, &doc, err);
    if (status != STATUS_OK) {
        err_wrap(err, "setting config");
        return status;
    }
    return read_file_document(settings, &doc, err);
}

static bool is_foreign(struct bytes variable)
{
    for (size_t i = 0; i < sizeof FOREIGN_VARIABLES / sizeof FOREIGN_VARIABLES[0]; i++) {
        struct bytes known = bytes_of_str(FOREIGN_VARIABLES[i]);
        bool is_prefix = known.data[known.len - 1] == '_';
        struct bytes compared = bytes_of(
            variable.data, is_prefix && variable.len > known.len ? known.len : variable.len);
        if (bytes_equal(compared, known))
            return true;
    }
    return false;
}

static const struct setting *setting_of_variable(struct bytes variable)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        char expected[SETTING_VARIABLE_BYTES];
        setting_variable(SETTINGS[i].name, expected);
        if (bytes_equal_str(variable, expected))
            return &SETTINGS[i];
    }
    return NULL;
}

static enum status refuse_variable(struct bytes variable, struct err *err)
{
    size_t prefix_len = strlen(VARIABLE_PREFIX);
    char name[64] = "", nearest_variable[SETTING_VARIABLE_BYTES];
    const char *nearest;

    for (size_t i = 0; i + prefix_len < variable.len && i < sizeof name - 1; i++) {
        char c = (char)variable.data[prefix_len + i];
        name[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    err_set(err, "environment: %.*s is no setting", BYTES_ARG(variable));
    nearest = setting_nearest(bytes_of_str(name));
    if (nearest && setting_find(bytes_of_str(nearest))) {
        setting_variable(nearest, nearest_variable);
        suggest(err, "", nearest_variable);
    }
    return STATUS_INVALID;
}

/* One "NAME=value". Only `config` is looked for where `is_config_only`. */
static enum status read_variable(struct settings *settings, const char *entry, bool is_config_only,
                                 struct err *err)
{
    const char *equals = strchr(entry, '=');
    struct bytes variable, value;
    const struct setting *row;
    struct source source;

    if (equals == NULL || strncmp(entry, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0)
        return STATUS_OK;
    variable = bytes_of(entry, (size_t)(equals - entry));
    value = bytes_of_str(equals + 1);
    row = setting_of_variable(variable);
    if (row == NULL)
        return is_config_only || is_foreign(variable) ? STATUS_OK : refuse_variable(variable, err);
    /* Empty is not set: what compose files and unit files make of a variable they lack. */
    if (value.len == 0 || is_config_only != row->is_command_line_only)
        return STATUS_OK;
    snprintf(source.text, sizeof source.text, "the environment, %.*s", BYTES_ARG(variable));
    setting_clear(row, settings);
    return add(settings, row, &source, value, err);
}

static enum status read_environment(struct settings *settings, char **environment,
                                    bool is_config_only, struct err *err)
{
    for (; environment && *environment; environment++) {
        enum status status = read_variable(settings, *environment, is_config_only, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* One flag, taken apart. */
struct flag {
    const struct setting *row;                  /* NULL: a command */
    const struct settings_command_row *command; /* NULL: a setting */
    struct bytes value;
    bool has_value;
};

static const struct settings_command_row *command_find(struct bytes name, const char *argument)
{
    for (size_t i = 0; i < SETTINGS_COMMAND_COUNT; i++) {
        const struct settings_command_row *row = &SETTINGS_COMMANDS[i];
        if (bytes_equal_str(name, row->name) ||
            (row->short_name && strcmp(argument, row->short_name) == 0))
            return row;
    }
    return NULL;
}

static enum status refuse_flag(const char *argument, struct bytes name, struct err *err)
{
    if (name.len == 0) {
        err_set(err, "unexpected argument \"%.100s\"; settings are flags such as --data DIR",
                argument);
        return STATUS_INVALID;
    }
    err_set(err, "unknown flag --%.*s", name.len > 100 ? 100 : (int)name.len,
            (const char *)name.data);
    suggest(err, "--", setting_nearest(name));
    return STATUS_INVALID;
}

/* Takes the flag at argv[*at] apart and moves *at past it and its value. */
static enum status flag_next(int argc, char **argv, int *at, struct flag *ret_flag, struct err *err)
{
    const char *argument = argv[(*at)++];
    bool is_long = argument[0] == '-' && argument[1] == '-';
    struct bytes name = bytes_of_str(is_long ? argument + 2 : NULL);
    const uint8_t *equals = name.len ? memchr(name.data, '=', name.len) : NULL;
    struct flag flag = {0};

    if (equals) {
        flag.value = bytes_of_str((const char *)equals + 1);
        flag.has_value = true;
        name.len = (size_t)(equals - name.data);
    }
    flag.row = setting_find(name);
    flag.command = flag.row ? NULL : command_find(name, argument);
    if (flag.row == NULL && flag.command == NULL)
        return refuse_flag(argument, name, err);
    if (flag.command && flag.has_value) {
        err_set(err, "flag --%s takes no value", flag.command->name);
        return STATUS_INVALID;
    }
    if (flag.row && flag.row->argument && !flag.has_value) {
        if (*at == argc || strncmp(argv[*at], "--", 2) == 0) {
            err_set(err, "flag --%s needs a value: --%s %s", flag.row->name, flag.row->name,
                    flag.row->argument);
            return STATUS_INVALID;
        }
        flag.value = bytes_of_str(argv[(*at)++]);
    }
    if (flag.row && flag.row->argument == NULL && !flag.has_value)
        flag.value = bytes_of_str("true");
    *ret_flag = flag;
    return STATUS_OK;
}

static enum status read_flag(struct settings *settings, const struct flag *flag, bool *is_given,
                             struct err *err)
{
    struct source source;

    snprintf(source.text, sizeof source.text, "flag --%s", flag->row->name);
    if (*is_given && !flag->row->is_repeatable) {
        err_set(err, "%s is given twice", source.text);
        return STATUS_INVALID;
    }
    if (!*is_given)
        setting_clear(flag->row, settings);
    *is_given = true;
    return add(settings, flag->row, &source, flag->value, err);
}

static enum status read_flags(struct settings *settings, int argc, char **argv, bool is_config_only,
                              struct err *err)
{
    bool is_given[64] = {false};

    must(SETTING_COUNT <= sizeof is_given / sizeof is_given[0]);
    for (int at = 1; at < argc;) {
        struct flag flag;
        enum status status = flag_next(argc, argv, &at, &flag, err);

        if (status != STATUS_OK)
            return status;
        if (flag.command) {
            /* --help and --version win over everything, whatever else is there. */
            if (settings->command != SETTINGS_HELP && settings->command != SETTINGS_VERSION)
                settings->command = flag.command->command;
            continue;
        }
        if (flag.row->is_command_line_only != is_config_only)
            continue;
        status = read_flag(settings, &flag, &is_given[flag.row - SETTINGS], err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* What no single setting can tell. */
static enum status check_together(const struct settings *settings, struct err *err)
{
    if ((settings->tls_cert == NULL) != (settings->tls_key == NULL)) {
        const char *given = settings->tls_cert ? "tls-cert" : "tls-key";
        const char *missing = settings->tls_cert ? "tls-key" : "tls-cert";
        err_set(err, "setting %s is given without %s: set both, or neither for a self-signed pair",
                given, missing);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status settings_read(struct settings *settings, int argc, char **argv, char **environment,
                          struct err *err)
{
    enum status status;

    /* Where the file is must be known before the file can be beaten. */
    status = read_environment(settings, environment, true, err);
    if (status == STATUS_OK)
        status = read_flags(settings, argc, argv, true, err);
    if (status != STATUS_OK || settings->command == SETTINGS_HELP ||
        settings->command == SETTINGS_VERSION)
        return status;

    status = read_defaults(settings, err);
    if (status == STATUS_OK)
        status = read_file(settings, err);
    if (status == STATUS_OK)
        status = read_environment(settings, environment, false, err);
    if (status == STATUS_OK)
        status = read_flags(settings, argc, argv, false, err);
    if (status == STATUS_OK)
        status = check_together(settings, err);
    return status;
}

void settings_fini(struct settings *settings)
{
    for (size_t i = 0; i < SETTING_COUNT; i++)
        setting_clear(&SETTINGS[i], settings);
    *settings = (struct settings){0};
}

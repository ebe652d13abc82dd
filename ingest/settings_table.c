/*
 * settings_table: to add a setting, add its member to struct settings and its row to SETTINGS; the
 * flag, the variable, the file's member, --help, the manual page and the documentation follow.
 * A new kind of value needs a reader beside the others and its words in setting_put_expected().
 *
 * Readers are strict and complete: a value that is taken is usable, so that the server never fails
 * later over what --check let pass. What only the system can tell (a port in use, a file that is
 * missing) is told at start.
 */
#include "ingest/settings_table.h"

#include "base/clock.h"
#include "base/must.h"

#include <stdlib.h>
#include <sys/un.h>

static bool is_printable(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < 0x20 || value.data[i] == 0x7f)
            return false;
    }
    return true;
}

static void release_text(void *member)
{
    free(*(char **)member);
    *(char **)member = NULL;
}

static enum status set_text(void *member, struct bytes value)
{
    char *copy = bytes_dup_str(value);

    if (copy == NULL)
        return STATUS_NO_MEMORY;
    *(char **)member = copy;
    return STATUS_OK;
}

static enum status read_path(const struct setting *row, void *member, struct bytes value)
{
    (void)row;
    if (value.len == 0 || !is_printable(value))
        return STATUS_INVALID;
    return set_text(member, value);
}

static enum status read_listener(const struct setting *row, void *member, struct bytes value)
{
    struct sockaddr_storage address;
    socklen_t len;

    (void)row;
    if (host_port_parse(value, &address, &len) != STATUS_OK)
        return STATUS_INVALID;
    return set_text(member, value);
}

static enum status read_listener_or_socket(const struct setting *row, void *member,
                                           struct bytes value)
{
    size_t path_max = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;

    if (value.len == 0 || memchr(value.data, '/', value.len) == NULL)
        return read_listener(row, member, value);
    if (value.len > path_max || !is_printable(value))
        return STATUS_INVALID;
    return set_text(member, value);
}

static enum status number_parse(struct bytes value, int64_t min, int64_t max, int64_t *ret_number)
{
    int64_t number = 0;

    if (value.len == 0 || value.len > 18)
        return STATUS_INVALID;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return STATUS_INVALID;
        number = number * 10 + (value.data[i] - '0');
    }
    if (number < min || number > max)
        return STATUS_INVALID;
    *ret_number = number;
    return STATUS_OK;
}

static enum status read_number32(const struct setting *row, void *member, struct bytes value)
{
    int64_t number;

    if (number_parse(value, row->min, row->max, &number) != STATUS_OK)
        return STATUS_INVALID;
    *(uint32_t *)member = (uint32_t)number;
    return STATUS_OK;
}

static enum status read_number64(const struct setting *row, void *member, struct bytes value)
{
    int64_t number;

    if (number_parse(value, row->min, row->max, &number) != STATUS_OK)
        return STATUS_INVALID;
    *(uint64_t *)member = (uint64_t)number;
    return STATUS_OK;
}

static enum status read_duration(const struct setting *row, struct bytes value, int64_t *ret_units)
{
    int64_t ms;

    if (duration_parse(value, &ms) != STATUS_OK || ms % row->unit_ms != 0)
        return STATUS_INVALID;
    *ret_units = ms / row->unit_ms;
    return *ret_units < row->min || *ret_units > row->max ? STATUS_INVALID : STATUS_OK;
}

static enum status read_duration32(const struct setting *row, void *member, struct bytes value)
{
    int64_t units;

    if (read_duration(row, value, &units) != STATUS_OK)
        return STATUS_INVALID;
    *(uint32_t *)member = (uint32_t)units;
    return STATUS_OK;
}

static enum status read_duration64(const struct setting *row, void *member, struct bytes value)
{
    int64_t units;

    if (read_duration(row, value, &units) != STATUS_OK)
        return STATUS_INVALID;
    *(int64_t *)member = units;
    return STATUS_OK;
}

/* Whether there is such a type is known once the schemas are read. */
static enum status read_type_duration(const struct setting *row, void *member, struct bytes value)
{
    struct retain_records *rule = member;
    const uint8_t *equals = value.len ? memchr(value.data, '=', value.len) : NULL;
    size_t len = equals ? (size_t)(equals - value.data) : 0;

    if (len == 0 || len > SETTINGS_TYPE_MAX || !is_printable(value))
        return STATUS_INVALID;
    memcpy(rule->type, value.data, len);
    rule->type[len] = '\0';
    return read_duration(row, bytes_of(equals + 1, value.len - len - 1), &rule->keep_ms);
}

static enum status read_cidr(const struct setting *row, void *member, struct bytes value)
{
    (void)row;
    return cidr_parse(value, member);
}

static enum status read_switch(const struct setting *row, void *member, struct bytes value)
{
    bool is_on = bytes_equal_str(value, "true") || bytes_equal_str(value, "1");

    (void)row;
    if (!is_on && !bytes_equal_str(value, "false") && !bytes_equal_str(value, "0"))
        return STATUS_INVALID;
    *(bool *)member = is_on;
    return STATUS_OK;
}

static enum status read_log_format(const struct setting *row, void *member, struct bytes value)
{
    bool is_json = bytes_equal_str(value, "json");

    (void)row;
    if (!is_json && !bytes_equal_str(value, "text"))
        return STATUS_INVALID;
    *(enum log_format *)member = is_json ? LOG_JSON : LOG_TEXT;
    return STATUS_OK;
}

static enum status read_log_level(const struct setting *row, void *member, struct bytes value)
{
    (void)row;
    return log_level_parse(value, member);
}

#define MEMBER(name_) .member = offsetof(struct settings, name_)
#define TEXT(name_) MEMBER(name_), .release = release_text
#define LIST(name_, count_)                                                                        \
    MEMBER(name_), .count_member = offsetof(struct settings, count_),                              \
                   .element_bytes = sizeof((struct settings *)NULL)->name_[0],                     \
                   .elements_max = sizeof((struct settings *)NULL)->name_ /                        \
                                   sizeof((struct settings *)NULL)->name_[0]

const struct setting SETTINGS[] = {
    {.name = "config",
     .argument = "FILE",
     .text = "JSON file with settings: an object whose members are named like the flags",
     .is_command_line_only = true,
     .read = read_path,
     TEXT(config)},
    {.name = "data",
     .argument = "DIR",
     .text = "where everything is kept",
     .default_value = "/var/lib/postern",
     .read = read_path,
     TEXT(data)},
    {.name = "schemas",
     .argument = "DIR",
     .text = "folder with the record types' schema files",
     .default_note = "the installed ones",
     .is_reloadable = true,
     .read = read_path,
     TEXT(schemas)},
    {.name = "listen",
     .argument = "ADDR:PORT",
     .text = "serve HTTPS there; port 0 picks a free one",
     .default_value = "0.0.0.0:8443",
     .is_repeatable = true,
     .read = read_listener,
     .release = release_text,
     LIST(listen, listen_count)},
    {.name = "listen-cleartext",
     .argument = "ADDR:PORT",
     .text = "serve plain HTTP there, for a proxy that terminates TLS",
     .default_note = "none",
     .is_repeatable = true,
     .read = read_listener,
     .release = release_text,
     LIST(listen_cleartext, listen_cleartext_count)},
    {.name = "admin-listen",
     .argument = "ADDR:PORT",
     .text = "serve /healthz, /readyz and /metrics there; a path with a slash is a Unix socket",
     .default_value = "127.0.0.1:8444",
     .read = read_listener_or_socket,
     TEXT(admin_listen)},
    {.name = "tls-cert",
     .argument = "FILE",
     .text = "certificate chain, PEM",
     .default_note = "a self-signed one, made at first start in DIR/tls/",
     .is_reloadable = true,
     .read = read_path,
     TEXT(tls_cert)},
    {.name = "tls-key",
     .argument = "FILE",
     .text = "private key of the certificate, PEM",
     .default_note = "the self-signed one's",
     .is_reloadable = true,
     .read = read_path,
     TEXT(tls_key)},
    {.name = "master-key-file",
     .argument = "FILE",
     .text =
         "key that encrypts the secrets in the store; only the default one is made at first start",
     .default_note = "DIR/master.key",
     .read = read_path,
     TEXT(master_key_file)},
    {.name = "threads",
     .argument = "N",
     .text = "event loops that receive",
     .default_note = "one per core",
     .read = read_number32,
     .min = 1,
     .max = 64,
     MEMBER(threads)},
    {.name = "max-body",
     .argument = "BYTES",
     .text = "largest request body",
     .default_value = "1048576",
     .read = read_number64,
     .min = 1,
     .max = 64 << 20,
     MEMBER(max_body)},
    {.name = "limit-minute",
     .argument = "N",
     .text = "requests in any 60 seconds, for API keys that set none",
     .default_value = "50",
     .is_reloadable = true,
     .read = read_number32,
     .min = 1,
     .max = 1000000,
     MEMBER(limit_minute)},
    {.name = "limit-hour",
     .argument = "N",
     .text = "requests in any 3,600 seconds, for API keys that set none",
     .default_value = "1000",
     .is_reloadable = true,
     .read = read_number32,
     .min = 1,
     .max = 1000000,
     MEMBER(limit_hour)},
    {.name = "retry-schedule",
     .argument = "LIST",
     .text = "waits before the second, third, … attempt of a delivery, for endpoints that set none",
     .default_value = "1m,5m,30m,2h",
     .is_reloadable = true,
     .read = read_duration32,
     .min = 1,
     .max = 30 * DAY_MS / SECOND_MS,
     .unit_ms = SECOND_MS,
     LIST(retry_s, retry_count)},
    {.name = "deliver-allow",
     .argument = "CIDR",
     .text = "deliver to these addresses too, though they are not public",
     .default_note = "none",
     .is_repeatable = true,
     .is_reloadable = true,
     .read = read_cidr,
     LIST(deliver_allow, deliver_allow_count)},
    {.name = "deliver-http",
     .text = "allow endpoints with http URLs",
     .default_value = "false",
     .is_reloadable = true,
     .read = read_switch,
     MEMBER(deliver_http)},
    {.name = "deliver-ca",
     .argument = "FILE",
     .text = "authorities that endpoints' certificates are verified against, PEM",
     .default_note = "the system's",
     .read = read_path,
     TEXT(deliver_ca)},
    {.name = "deliver-timeout",
     .argument = "DURATION",
     .text = "an attempt that takes longer has failed, for endpoints that set none",
     .default_value = "30s",
     .is_reloadable = true,
     .read = read_duration32,
     .min = 10,
     .max = 10 * MINUTE_MS,
     .unit_ms = 1,
     MEMBER(deliver_timeout_ms)},
    {.name = "retain-deliveries",
     .argument = "DURATION",
     .text = "how long finished deliveries and their attempts are kept",
     .default_value = "30d",
     .read = read_duration64,
     .min = MINUTE_MS,
     .max = 36500 * DAY_MS,
     .unit_ms = 1,
     MEMBER(retain_deliveries_ms)},
    {.name = "retain-records",
     .argument = "TYPE=DURATION",
     .text = "erase records of this type so long after their last change",
     .default_note = "kept until the operator erases them",
     .is_repeatable = true,
     .read = read_type_duration,
     .min = MINUTE_MS,
     .max = 36500 * DAY_MS,
     .unit_ms = 1,
     LIST(retain_records, retain_record_count)},
    {.name = "log-format",
     .argument = "text|json",
     .text = "form of the lines on standard error",
     .default_note = "text on a terminal, else json",
     .read = read_log_format,
     MEMBER(log_format)},
    {.name = "log-level",
     .argument = "LEVEL",
     .text = "least level that is logged: debug, info, warn or error",
     .default_value = "info",
     .is_reloadable = true,
     .read = read_log_level,
     MEMBER(log_level)},
};
const size_t SETTING_COUNT = sizeof SETTINGS / sizeof SETTINGS[0];

const struct settings_command_row SETTINGS_COMMANDS[] = {
    {"check", NULL, SETTINGS_CHECK, "read settings and schemas, say what is wrong, and exit"},
    {"health", NULL, SETTINGS_HEALTH, "ask the running server; exit 0 if it is well, else 1"},
    {"help", "-h", SETTINGS_HELP, "print this and exit"},
    {"version", "-V", SETTINGS_VERSION, "print the version and exit"},
};
const size_t SETTINGS_COMMAND_COUNT = sizeof SETTINGS_COMMANDS / sizeof SETTINGS_COMMANDS[0];

const struct setting *setting_find(struct bytes name)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (bytes_equal_str(name, SETTINGS[i].name))
            return &SETTINGS[i];
    }
    return NULL;
}

#define NAME_CHARS_MAX 40 /* nothing longer is near to any of our names */

/* Levenshtein's distance, one row of the matrix at a time. */
static size_t edit_distance(struct bytes a, struct bytes b)
{
    size_t row[NAME_CHARS_MAX + 1];

    must(b.len <= NAME_CHARS_MAX);
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t replaced = diagonal + (a.data[i - 1] != b.data[j - 1]);
            size_t shorter = row[j] < row[j - 1] ? row[j] : row[j - 1];
            diagonal = row[j];
            row[j] = replaced < shorter + 1 ? replaced : shorter + 1;
        }
    }
    return row[b.len];
}

const char *setting_nearest(struct bytes name)
{
    /* Up to a third of the name may be wrong; more is a guess that misleads. */
    size_t distance_best = name.len / 3 + 1;
    const char *nearest = NULL;

    if (name.len > NAME_CHARS_MAX)
        return NULL;
    for (size_t i = 0; i < SETTING_COUNT + SETTINGS_COMMAND_COUNT; i++) {
        const char *candidate =
            i < SETTING_COUNT ? SETTINGS[i].name : SETTINGS_COMMANDS[i - SETTING_COUNT].name;
        size_t distance = edit_distance(name, bytes_of_str(candidate));
        if (distance < distance_best || (distance == distance_best && nearest == NULL)) {
            distance_best = distance;
            nearest = candidate;
        }
    }
    return nearest;
}

void setting_variable(const char *name, char out[SETTING_VARIABLE_BYTES])
{
    static const char prefix[] = "POSTERN_";
    size_t at = sizeof prefix - 1;

    must(at + strlen(name) < SETTING_VARIABLE_BYTES);
    memcpy(out, prefix, at);
    for (; *name; name++)
        out[at++] = *name == '-' ? '_' : (char)(*name - ('a' - 'A'));
    out[at] = '\0';
}

static void put_duration(struct buf *out, const struct setting *row, int64_t units)
{
    char text[24];

    duration_format(units * row->unit_ms, text);
    buf_put_str(out, text);
}

void setting_put_expected(struct buf *out, const struct setting *row)
{
    const char *list = row->elements_max ? ", or several with commas between" : "";

    if (row->read == read_path)
        buf_put_str(out, "a path");
    else if (row->read == read_listener)
        buf_put_str(out, "an address and port such as 127.0.0.1:8443, [::1]:8443 or :8443");
    else if (row->read == read_listener_or_socket)
        buf_put_str(out, "an address and port such as 127.0.0.1:8444, or a path of at most 107 "
                         "characters with a slash in it");
    else if (row->read == read_number32 || row->read == read_number64)
        buf_printf(out, "a whole number from %lld to %lld", (long long)row->min,
                   (long long)row->max);
    else if (row->read == read_cidr)
        buf_put_str(out, "an address range such as 10.0.0.0/8 or fd00::/8, without host bits");
    else if (row->read == read_switch)
        buf_put_str(out, "true or false");
    else if (row->read == read_log_format)
        buf_put_str(out, "text or json");
    else if (row->read == read_log_level)
        buf_put_str(out, "debug, info, warn or error");
    if (row->read == read_type_duration)
        buf_put_str(out, "a record type, = and ");
    if (row->unit_ms) {
        buf_put_str(out, "a duration such as 90s, 5m or 2h, from ");
        put_duration(out, row, row->min);
        buf_put_str(out, " to ");
        put_duration(out, row, row->max);
        if (row->unit_ms == SECOND_MS)
            buf_put_str(out, " in whole seconds");
    }
    buf_put_str(out, list);
}

static void *member_of(const struct setting *row, struct settings *settings, size_t index)
{
    return (char *)settings + row->member + index * row->element_bytes;
}

static size_t *count_of(const struct setting *row, struct settings *settings)
{
    return (size_t *)(void *)((char *)settings + row->count_member);
}

void setting_clear(const struct setting *row, struct settings *settings)
{
    size_t count = row->elements_max ? *count_of(row, settings) : 1;

    for (size_t i = 0; i < count && row->release; i++)
        row->release(member_of(row, settings, i));
    if (row->elements_max)
        *count_of(row, settings) = 0;
}

static enum status list_add(const struct setting *row, struct settings *settings,
                            struct bytes value)
{
    size_t *count = count_of(row, settings);
    enum status status;

    if (*count == row->elements_max)
        return STATUS_LIMIT;
    status = row->read(row, member_of(row, settings, *count), value);
    if (status == STATUS_OK)
        (*count)++;
    return status;
}

enum status setting_add(const struct setting *row, struct settings *settings, struct bytes value)
{
    if (row->elements_max == 0) {
        setting_clear(row, settings);
        return row->read(row, member_of(row, settings, 0), value);
    }
    for (;;) {
        const uint8_t *comma = value.len ? memchr(value.data, ',', value.len) : NULL;
        size_t len = comma ? (size_t)(comma - value.data) : value.len;
        enum status status = list_add(row, settings, bytes_of(value.data, len));

        if (status != STATUS_OK || comma == NULL)
            return status;
        value = bytes_of(comma + 1, value.len - len - 1);
    }
}

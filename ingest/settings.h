/*
 * settings: everything an operator can set, from one table: flag --name, environment POSTERN_NAME
 * (dashes become underscores), member "name" of the JSON file that --config names. A flag beats the
 * environment beats the file. --help, the man page and docs/operations.md come from the same
 * table. To add a setting, add its row in settings.c and its member here.
 */
#pragma once

#include "base/address.h"
#include "base/err.h"
#include "base/log.h"

#define SETTINGS_LISTENERS_MAX 16
#define SETTINGS_CIDRS_MAX 64
#define SETTINGS_RETRIES_MAX 32
#define SETTINGS_RETAINED_MAX 64
#define SETTINGS_TYPE_MAX 63

enum settings_command {
    SETTINGS_SERVE,
    SETTINGS_CHECK,
    SETTINGS_HEALTH,
    SETTINGS_HELP,
    SETTINGS_VERSION
};

/* Records of that type are kept for so long. */
struct retain_records {
    char type[SETTINGS_TYPE_MAX + 1];
    int64_t keep_ms;
};

struct settings {
    enum settings_command command;
    char *config;
    char *data;
    char *schemas;
    char *listen[SETTINGS_LISTENERS_MAX];
    size_t listen_count;
    char *listen_cleartext[SETTINGS_LISTENERS_MAX];
    size_t listen_cleartext_count;
    char *admin_listen;
    char *tls_cert, *tls_key; /* NULL: self-signed in DIR/tls/ */
    char *master_key_file;    /* NULL: DIR/master.key */
    uint32_t threads;
    uint64_t max_body;
    uint32_t limit_minute, limit_hour;
    uint32_t retry_s[SETTINGS_RETRIES_MAX];
    size_t retry_count;
    struct cidr deliver_allow[SETTINGS_CIDRS_MAX];
    size_t deliver_allow_count;
    bool deliver_http;
    char *deliver_ca;
    uint32_t deliver_timeout_ms;
    int64_t retain_deliveries_ms;
    struct retain_records retain_records[SETTINGS_RETAINED_MAX];
    size_t retain_record_count;
    enum log_format log_format;
    enum log_level log_level;
};

/* Fills a zeroed struct. STATUS_INVALID: `err` names the setting, where it came from and what would
 * be right. */
MUST_CHECK enum status settings_read(struct settings *settings, int argc, char **argv,
                                     char **environment, struct err *err);
void settings_fini(struct settings *settings);
/* The folder of the installed schema files; run from a build directory, of the source tree's. A
 * heap copy; the caller frees. NULL: no memory. */
char *settings_schemas_installed(void);
/* The table as --help shows it; as a man page's section; as Markdown. */
void settings_put_help(struct buf *out);
void settings_put_roff(struct buf *out);
void settings_put_markdown(struct buf *out);

/*
 * The table of commands. To add one: see command.h.
 */
#include "tools/commands.h"

#include "storage/api_keys.h"
#include "storage/endpoints.h"

#define SINCE                                                                                      \
    {                                                                                              \
        .name = "since", .kind = VALUE_PAST, .value = "T",                                         \
        .help = "only from this time on: RFC 3339, or an age such as 15m, 24h, 7d"                 \
    }
#define UNTIL                                                                                      \
    {                                                                                              \
        .name = "until", .kind = VALUE_PAST, .value = "T", .help = "only before this time"         \
    }
#define LIMIT                                                                                      \
    {                                                                                              \
        .name = "limit", .kind = VALUE_NUMBER, .value = "N", .min = 1,                             \
        .help = "at most so many (a table shows 100 unless told, other formats all)"               \
    }
#define EVENT_FILTER(name_)                                                                        \
    {                                                                                              \
        .name = (name_), .kind = VALUE_PATTERN, .value = "P",                                      \
        .help = "only events of this type: workorder.created, workorder.*"                         \
    }
#define DELIVER_OPTIONS                                                                            \
    {.name = "deliver-http",                                                                       \
     .kind = VALUE_FLAG,                                                                           \
     .help = "allow http URLs (default: as the running server was told)"},                         \
    {                                                                                              \
        .name = "deliver-allow", .kind = VALUE_CIDR, .value = "CIDR", .is_repeatable = true,       \
        .help = "allow private addresses of this range (default: as the running server was told)"  \
    }
#define END                                                                                        \
    {                                                                                              \
        0                                                                                          \
    }

const struct noun NOUNS[] = {
    {"keys", "API keys of senders"},
    {"records", "what was received"},
    {"endpoints", "subscribers and their secrets"},
    {"events", "what happened to records, in sequence"},
    {"deliveries", "events on their way to endpoints"},
    {"rejections", "refused requests and why"},
    {"schemas", "record types and their JSON Schemas"},
    {"store", "the data directory's store: sizes, check, backup"},
    {"status", "what to look at first"},
    {"reports", "scheduled report events"},
    {"audit", "who changed what with this tool"},
    {"listen", "a receiver for development"},
    {"verify", "check a delivery's signature"},
    {"help", "help for a command"},
    {"completion", "completion for a shell"},
    {0},
};

const struct option NO_OPTIONS[] = {END};

const struct option GLOBAL_OPTIONS[] = {
    {.name = "data",
     .kind = VALUE_FOLDER,
     .value = "DIR",
     .help = "the data directory (environment POSTERN_DATA; default /var/lib/postern)"},
    {.name = "output",
     .kind = VALUE_CHOICE,
     .value = "FORMAT",
     .choices = "table|json|ndjson|csv",
     .help = "table, json, ndjson or csv (environment POSTERN_OUTPUT; default table)"},
    {.name = "schemas",
     .kind = VALUE_FOLDER,
     .value = "DIR",
     .help = "the schemas folder (environment POSTERN_SCHEMAS; default the "
             "running server's, else the installed one)"},
    {.name = "master-key-file",
     .kind = VALUE_FILE,
     .value = "FILE",
     .help = "the key that seals secrets (environment POSTERN_MASTER_KEY_FILE; default "
             "DIR/master.key)"},
    {.name = "help", .kind = VALUE_FLAG, .help = "say how to use the command"},
    {.name = "version", .kind = VALUE_FLAG, .help = "say which version this is"},
    END,
};

/* ---- keys ---- */

#define SCOPE                                                                                      \
    {                                                                                              \
        .name = "scope", .kind = VALUE_SCOPE, .value = "S", .is_repeatable = true,                 \
        .help = "what it may do: workorder:write, *:read, events:read (default *:write)"           \
    }
#define KEY_LIMITS                                                                                 \
    {.name = "limit-minute",                                                                       \
     .kind = VALUE_NUMBER,                                                                         \
     .value = "N",                                                                                 \
     .max = 1000000000,                                                                            \
     .help = "requests in any 60 seconds (0: the server's default)"},                              \
        {.name = "limit-hour",                                                                     \
         .kind = VALUE_NUMBER,                                                                     \
         .value = "N",                                                                             \
         .max = 1000000000,                                                                        \
         .help = "requests in any 3600 seconds (0: the server's default)"},                        \
    {                                                                                              \
        .name = "expires", .kind = VALUE_FUTURE, .value = "T",                                     \
        .help = "when it stops working: RFC 3339, a duration from now such as 90d, or never"       \
    }
#define ALLOW                                                                                      \
    {                                                                                              \
        .name = "allow", .kind = VALUE_CIDR, .value = "CIDR", .is_repeatable = true,               \
        .help = "only from addresses of this range"                                                \
    }
#define KEY_ID                                                                                     \
    {                                                                                              \
        {                                                                                          \
            .name = "ID", .help = "the key's id, key_…", .completes = "key"                        \
        }                                                                                          \
    }

static const struct option KEYS_CREATE[] = {
    {.name = "label",
     .kind = VALUE_TEXT,
     .value = "L",
     .is_required = true,
     .min = 1,
     .max = API_KEY_LABEL_MAX,
     .help = "whose key it is, for people"},
    SCOPE,
    KEY_LIMITS,
    ALLOW,
    END,
};
static const struct option KEYS_UPDATE[] = {
    {.name = "label",
     .kind = VALUE_TEXT,
     .value = "L",
     .min = 1,
     .max = API_KEY_LABEL_MAX,
     .help = "whose key it is, for people"},
    SCOPE,
    KEY_LIMITS,
    ALLOW,
    {.name = "allow-any", .kind = VALUE_FLAG, .help = "from any address again"},
    END,
};
static const struct option KEYS_ROTATE[] = {
    {.name = "grace",
     .kind = VALUE_DURATION,
     .value = "D",
     .min = 1,
     .help = "how long the old key works beside the new one (default: not at all)"},
    END,
};

/* ---- records ---- */

#define RECORD_FILTERS                                                                             \
    SINCE, UNTIL,                                                                                  \
        {.name = "where",                                                                          \
         .kind = VALUE_TEXT,                                                                       \
         .value = "MEMBER=VALUE",                                                                  \
         .is_repeatable = true,                                                                    \
         .min = 2,                                                                                 \
         .help = "only with this value of a member (a name or a JSON pointer); all must hold"},    \
        LIMIT,                                                                                     \
    {                                                                                              \
        .name = "deleted", .kind = VALUE_FLAG, .help = "deleted ones too"                          \
    }
#define OF_TYPE                                                                                    \
    {                                                                                              \
        .name = "type", .kind = VALUE_TEXT, .value = "TYPE", .min = 1,                             \
        .help = "the record's type, where a record key alone is ambiguous"                         \
    }
#define RECORD_ID                                                                                  \
    {                                                                                              \
        {                                                                                          \
            .name = "ID-or-KEY", .help = "the record's id (wo_…) or record key"                  \
        }                                                                                          \
    }
#define TYPE_ARGUMENT                                                                              \
    {                                                                                              \
        .name = "TYPE", .help = "a record type, such as workorder", .completes = "type"            \
    }

static const struct option RECORDS_LIST[] = {RECORD_FILTERS, END};
static const struct option RECORDS_GET[] = {
    {.name = "revision",
     .kind = VALUE_NUMBER,
     .value = "N",
     .min = 1,
     .max = UINT32_MAX,
     .help = "this revision instead of the current one"},
    OF_TYPE,
    END,
};
static const struct option RECORDS_HISTORY[] = {OF_TYPE, END};
static const struct option RECORDS_ERASE[] = {
    OF_TYPE,
    {.name = "yes", .kind = VALUE_FLAG, .help = "do not ask on the terminal"},
    END,
};

/* ---- endpoints ---- */

#define ENDPOINT_OPTIONS                                                                           \
    {.name = "event",                                                                              \
     .kind = VALUE_PATTERN,                                                                        \
     .value = "PATTERN",                                                                           \
     .is_repeatable = true,                                                                        \
     .help = "events it wants: workorder.created, workorder.*, * (default *)"},                    \
        {.name = "description",                                                                    \
         .kind = VALUE_TEXT,                                                                       \
         .value = "D",                                                                             \
         .max = ENDPOINT_DESCRIPTION_MAX,                                                          \
         .help = "for people"},                                                                    \
        {.name = "retry-schedule",                                                                 \
         .kind = VALUE_TEXT,                                                                       \
         .value = "L",                                                                             \
         .min = 1,                                                                                 \
         .help = "waits between attempts: 1m,5m,30m,2h; or default"},                              \
        {.name = "timeout",                                                                        \
         .kind = VALUE_DURATION,                                                                   \
         .value = "D",                                                                             \
         .min = 1,                                                                                 \
         .max = 300000,                                                                            \
         .help = "how long an attempt may take (default: the server's)"},                          \
        {.name = "window",                                                                         \
         .kind = VALUE_NUMBER,                                                                     \
         .value = "N",                                                                             \
         .min = 1,                                                                                 \
         .max = 256,                                                                               \
         .help = "attempts under way at once (default 16)"},                                       \
        {.name = "rate",                                                                           \
         .kind = VALUE_NUMBER,                                                                     \
         .value = "N",                                                                             \
         .max = 100000,                                                                            \
         .help = "attempts a second at most (default 0: any)"},                                    \
        {.name = "header",                                                                         \
         .kind = VALUE_TEXT,                                                                       \
         .value = "NAME:VALUE",                                                                    \
         .is_repeatable = true,                                                                    \
         .min = 2,                                                                                 \
         .help = "a header of your own for each attempt"},                                         \
        {.name = "signature",                                                                      \
         .kind = VALUE_TEXT,                                                                       \
         .value = "DIALECT",                                                                       \
         .min = 1,                                                                                 \
         .help = "sign in another system's manner as well: github, stripe, …"},                    \
        DELIVER_OPTIONS
#define ENDPOINT_ID                                                                                \
    {                                                                                              \
        {                                                                                          \
            .name = "ID", .help = "the endpoint's id, ep_…", .completes = "endpoint"               \
        }                                                                                          \
    }
#define SLOT                                                                                       \
    {                                                                                              \
        .name = "slot", .kind = VALUE_CHOICE, .value = "1|2", .choices = "1|2",                    \
        .help = "which of the two live secrets (default 1)"                                        \
    }

static const struct option ENDPOINTS_CREATE[] = {
    {.name = "url",
     .kind = VALUE_TEXT,
     .value = "U",
     .is_required = true,
     .min = 1,
     .max = ENDPOINT_URL_MAX,
     .help = "where deliveries are POSTed: https://…"},
    ENDPOINT_OPTIONS,
    END,
};
static const struct option ENDPOINTS_UPDATE[] = {
    {.name = "url",
     .kind = VALUE_TEXT,
     .value = "U",
     .min = 1,
     .max = ENDPOINT_URL_MAX,
     .help = "where deliveries are POSTed: https://…"},
    ENDPOINT_OPTIONS,
    {.name = "no-headers", .kind = VALUE_FLAG, .help = "no headers of your own any more"},
    END,
};
static const struct option ENDPOINTS_ROTATE[] = {SLOT, END};
static const struct option ENDPOINTS_DROP[] = {
    {.name = "slot",
     .kind = VALUE_CHOICE,
     .value = "1|2",
     .choices = "1|2",
     .is_required = true,
     .help = "which of the two live secrets"},
    END,
};
static const struct option ENDPOINTS_TEST[] = {
    {.name = "wait",
     .kind = VALUE_DURATION,
     .value = "D",
     .min = 1,
     .max = 600000,
     .help = "wait so long for the outcome of the first attempt"},
    END,
};

/* ---- events, deliveries, rejections ---- */

static const struct option EVENTS_LIST[] = {
    EVENT_FILTER("type"),
    {.name = "record",
     .kind = VALUE_TEXT,
     .value = "ID",
     .min = 1,
     .help = "only those of this record (id or record key)"},
    SINCE,
    UNTIL,
    LIMIT,
    END,
};
static const struct option EVENTS_TAIL[] = {
    EVENT_FILTER("type"),
    SINCE,
    {.name = "count", .kind = VALUE_NUMBER, .value = "N", .min = 1, .help = "end after so many"},
    END,
};
static const struct option DELIVERIES_LIST[] = {
    {.name = "status",
     .kind = VALUE_CHOICE,
     .value = "STATUS",
     .choices = "pending|delivered|failed",
     .help = "only pending, delivered or failed ones"},
    {.name = "endpoint",
     .kind = VALUE_TEXT,
     .value = "ID",
     .min = 1,
     .help = "only those to this endpoint"},
    EVENT_FILTER("event"),
    SINCE,
    UNTIL,
    LIMIT,
    END,
};
static const struct option DELIVERIES_REPLAY[] = {
    {.name = "endpoint",
     .kind = VALUE_TEXT,
     .value = "ID",
     .is_required = true,
     .min = 1,
     .help = "deliver to this endpoint"},
    {.name = "since",
     .kind = VALUE_PAST,
     .value = "T",
     .is_required = true,
     .help = "events from this time on: RFC 3339, or an age such as 24h"},
    UNTIL,
    EVENT_FILTER("event"),
    {.name = "missing",
     .kind = VALUE_FLAG,
     .help = "only what the endpoint never took, also from before it existed"},
    {.name = "dry-run", .kind = VALUE_FLAG, .help = "say what would be delivered, and do nothing"},
    END,
};
static const struct option REJECTIONS_LIST[] = {
    {.name = "key",
     .kind = VALUE_TEXT,
     .value = "ID",
     .min = 1,
     .help = "only requests with this API key"},
    {.name = "status",
     .kind = VALUE_NUMBER,
     .value = "N",
     .min = 400,
     .max = 599,
     .help = "only those answered with this HTTP status"},
    SINCE,
    UNTIL,
    LIMIT,
    END,
};
static const struct option AUDIT_LIST[] = {SINCE, LIMIT, END};

static const struct option REPORTS_CREATE[] = {
    {.name = "every",
     .kind = VALUE_CHOICE,
     .value = "hour|day|week",
     .choices = "hour|day|week",
     .is_required = true,
     .help = "how often; a week's is made on Monday"},
    {.name = "at",
     .kind = VALUE_TEXT,
     .value = "HH:MM",
     .min = 1,
     .help = "when, in UTC (default 00:00; of an hour the minutes count)"},
    {.name = "type",
     .kind = VALUE_TEXT,
     .value = "T",
     .min = 1,
     .is_repeatable = true,
     .help = "only these record types (default all)"},
    END,
};

/* ---- listen, verify ---- */

static const struct option LISTEN[] = {
    {.name = "port",
     .kind = VALUE_NUMBER,
     .value = "N",
     .max = 65535,
     .help = "port on 127.0.0.1 (default 8445; 0 picks a free one)"},
    {.name = "secret",
     .kind = VALUE_TEXT,
     .value = "S",
     .min = 1,
     .is_repeatable = true,
     .help = "the endpoint's secret, whsec_…; without it signatures are not checked"},
    {.name = "status",
     .kind = VALUE_NUMBER,
     .value = "N",
     .min = 200,
     .max = 599,
     .help = "answer with this HTTP status (default 200)"},
    {.name = "fail-first",
     .kind = VALUE_NUMBER,
     .value = "N",
     .help = "answer the first N deliveries with 503"},
    {.name = "count",
     .kind = VALUE_NUMBER,
     .value = "N",
     .min = 1,
     .help = "end after so many deliveries"},
    {.name = "body", .kind = VALUE_FLAG, .help = "print each body too"},
    END,
};
static const struct option VERIFY[] = {
    {.name = "secret",
     .kind = VALUE_TEXT,
     .value = "S",
     .is_required = true,
     .min = 1,
     .help = "the endpoint's secret, whsec_…"},
    {.name = "timestamp",
     .kind = VALUE_NUMBER,
     .value = "T",
     .is_required = true,
     .help = "X-Webhook-Timestamp: Unix seconds"},
    {.name = "signature",
     .kind = VALUE_TEXT,
     .value = "X",
     .is_required = true,
     .min = 1,
     .help = "X-Webhook-Signature (hex), or webhook-signature (v1,…) with --id"},
    {.name = "id",
     .kind = VALUE_TEXT,
     .value = "ID",
     .min = 1,
     .help = "webhook-id, which webhook-signature covers too"},
    {.name = "tolerance",
     .kind = VALUE_DURATION,
     .value = "D",
     .min = 1,
     .help = "refuse a timestamp further from now than this (default: not checked)"},
    END,
};

const struct command COMMANDS[] = {
    {"keys",
     "create",
     "make an API key and print it, this once",
     NULL,
     {{0}},
     KEYS_CREATE,
     keys_create},
    {"keys", "list", "all keys", NULL, {{0}}, NO_OPTIONS, keys_list},
    {"keys", "show", "one key", NULL, KEY_ID, NO_OPTIONS, keys_show},
    {"keys", "update", "change a key; what is not named stays",
     "Scopes and addresses that are given replace those there were.", KEY_ID, KEYS_UPDATE,
     keys_update},
    {"keys", "enable", "let a key work again", NULL, KEY_ID, NO_OPTIONS, keys_enable},
    {"keys", "disable", "refuse a key until it is enabled", NULL, KEY_ID, NO_OPTIONS, keys_disable},
    {"keys", "rotate", "make a new secret for a key and print it, this once",
     "Id, label, scopes and limits stay.", KEY_ID, KEYS_ROTATE, keys_rotate},
    {"keys", "delete", "remove a key for good", NULL, KEY_ID, NO_OPTIONS, keys_delete},

    {"records",
     "list",
     "records of a type, newest first",
     NULL,
     {TYPE_ARGUMENT},
     RECORDS_LIST,
     records_list},
    {"records", "get", "one record", NULL, RECORD_ID, RECORDS_GET, records_get},
    {"records", "history", "every revision of a record, oldest first", NULL, RECORD_ID,
     RECORDS_HISTORY, records_history},
    {"records",
     "export",
     "all records of a type, as ndjson unless told otherwise",
     NULL,
     {TYPE_ARGUMENT},
     RECORDS_LIST,
     records_export},
    {"records", "erase", "remove a record's content for good",
     "Its payloads leave records, events, deliveries and logs; that a record was there stays "
     "known. "
     "Backups made before still hold them, and old copies of pages in the store's file do until "
     "their space is used again; a new backup holds nothing of them.",
     RECORD_ID, RECORDS_ERASE, records_erase},

    {"endpoints",
     "create",
     "subscribe a URL; prints its signing secret, this once",
     "Only https URLs with public addresses are taken, unless the server was told otherwise.",
     {{0}},
     ENDPOINTS_CREATE,
     endpoints_create},
    {"endpoints", "list", "all endpoints", NULL, {{0}}, NO_OPTIONS, endpoints_list},
    {"endpoints", "show", "one endpoint", NULL, ENDPOINT_ID, NO_OPTIONS, endpoints_show},
    {"endpoints", "update", "change an endpoint; what is not named stays",
     "Event patterns and headers that are given replace those there were.", ENDPOINT_ID,
     ENDPOINTS_UPDATE, endpoints_update},
    {"endpoints", "enable", "deliver to it again",
     "What happened meanwhile was not queued: see `postern deliveries replay --missing`.",
     ENDPOINT_ID, NO_OPTIONS, endpoints_enable},
    {"endpoints", "disable", "stop delivering to it", NULL, ENDPOINT_ID, NO_OPTIONS,
     endpoints_disable},
    {"endpoints", "rotate-secret", "make a new signing secret in a slot and print it, this once",
     "X-Webhook-Signature uses the secret in slot 1; webhook-signature lists both. To rotate "
     "without interruption: fill slot 2, give the receiver that secret beside the old one, then "
     "rotate slot 1.",
     ENDPOINT_ID, ENDPOINTS_ROTATE, endpoints_rotate_secret},
    {"endpoints", "drop-secret", "forget one of two signing secrets",
     "The other one moves to slot 1.", ENDPOINT_ID, ENDPOINTS_DROP, endpoints_drop_secret},
    {"endpoints", "test", "deliver a webhook.test event to it", NULL, ENDPOINT_ID, ENDPOINTS_TEST,
     endpoints_test},
    {"endpoints", "delete", "remove an endpoint for good; what is pending for it fails", NULL,
     ENDPOINT_ID, NO_OPTIONS, endpoints_delete},

    {"events", "list", "events, newest first", NULL, {{0}}, EVENTS_LIST, events_list},
    {"events",
     "show",
     "one event and its body as it is delivered",
     NULL,
     {{.name = "ID", .help = "the event's id, evt_…, or its sequence number"}},
     NO_OPTIONS,
     events_show},
    {"events",
     "tail",
     "print events as they happen, until interrupted",
     NULL,
     {{0}},
     EVENTS_TAIL,
     events_tail},

    {"deliveries",
     "list",
     "deliveries, newest first",
     NULL,
     {{0}},
     DELIVERIES_LIST,
     deliveries_list},
    {"deliveries",
     "show",
     "one delivery with its attempts",
     NULL,
     {{.name = "ID", .help = "the delivery's id, dlv_…"}},
     NO_OPTIONS,
     deliveries_show},
    {"deliveries",
     "retry",
     "try deliveries again now, with a fresh schedule",
     NULL,
     {{.name = "ID", .help = "deliveries' ids, dlv_…", .is_many = true}},
     NO_OPTIONS,
     deliveries_retry},
    {"deliveries",
     "replay",
     "deliver past events to an endpoint (again)",
     "Only events that the endpoint's patterns match; what is pending there already is left "
     "alone.",
     {{0}},
     DELIVERIES_REPLAY,
     deliveries_replay},

    {"rejections",
     "list",
     "refused requests, newest first",
     NULL,
     {{0}},
     REJECTIONS_LIST,
     rejections_list},

    {"schemas", "list", "the record types there are", NULL, {{0}}, NO_OPTIONS, schemas_list},
    {"schemas", "show", "a type's schema file", NULL, {TYPE_ARGUMENT}, NO_OPTIONS, schemas_show},
    {"schemas",
     "check",
     "is a file fit for the schemas folder?",
     NULL,
     {{.name = "FILE", .help = "a schema file", .completes = "file"}},
     NO_OPTIONS,
     schemas_check},
    {"schemas",
     "validate",
     "would a document be accepted as a record?",
     NULL,
     {TYPE_ARGUMENT,
      {.name = "FILE", .help = "a JSON document; - is standard input", .completes = "file"}},
     NO_OPTIONS,
     schemas_validate},

    {"store", "stat", "sizes and rows", NULL, {{0}}, NO_OPTIONS, store_stat_command},
    {"store",
     "check",
     "go over every stored invariant",
     NULL,
     {{0}},
     NO_OPTIONS,
     store_check_command},
    {"store",
     "backup",
     "copy the store, also while the server runs",
     "The copy is a data directory. The key that seals secrets is not in it: keep DIR/master.key "
     "elsewhere.",
     {{.name = "DIR", .help = "a folder that does not exist or is empty", .completes = "folder"}},
     NO_OPTIONS,
     store_backup_command},
    {"store",
     "restore",
     "put a backup into a data directory that has no store",
     NULL,
     {{.name = "DIR", .help = "the backup", .completes = "folder"}},
     NO_OPTIONS,
     store_restore_command},

    {"status", NULL, "what an operator looks at first", NULL, {{0}}, NO_OPTIONS, status_command},
    {"reports",
     "create",
     "raise report.generated regularly, with the counts of the time between",
     NULL,
     {{0}},
     REPORTS_CREATE,
     reports_create},
    {"reports", "list", "all reports", NULL, {{0}}, NO_OPTIONS, reports_list},
    {"reports",
     "delete",
     "end a report",
     NULL,
     {{.name = "ID", .help = "the report's id, rpt_…"}},
     NO_OPTIONS,
     reports_delete},
    {"audit", "list", "administrative acts, newest first", NULL, {{0}}, AUDIT_LIST, audit_list},
    {"listen",
     NULL,
     "receive deliveries here and print them, with their signatures' verdict",
     "Register the URL it prints as an endpoint, of a server that runs with --deliver-http and "
     "--deliver-allow 127.0.0.1.",
     {{0}},
     LISTEN,
     listen_command},
    {"verify",
     NULL,
     "check a delivery's signature, for people who write receivers",
     NULL,
     {{.name = "FILE", .help = "the body as received; - is standard input", .completes = "file"}},
     VERIFY,
     verify_command},
    {"help",
     NULL,
     "say how to use a command",
     NULL,
     {{.name = "NOUN", .help = "a command's first word", .is_many = true, .is_optional = true}},
     NO_OPTIONS,
     help_command},
    {"completion",
     NULL,
     "print completion for a shell, to be sourced",
     NULL,
     {{.name = "SHELL", .help = "bash or zsh"}},
     NO_OPTIONS,
     completion_command},
    {0},
};

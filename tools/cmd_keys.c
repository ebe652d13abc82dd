/*
 * keys: every change is one transaction: find the key, change it, put it, audit it. The text of a
 * key exists in this process's memory until it is printed, and nowhere afterwards.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/api_keys.h"
#include "tools/commands.h"
#include "tools/hint.h"

#include <stdio.h>

static const struct column KEY_COLUMNS[] = {
    {"id", "ID", COLUMN_TEXT},
    {"label", "LABEL", COLUMN_TEXT},
    {"state", "STATE", COLUMN_STATE},
    {"enabled", NULL, COLUMN_TEXT},
    {"scopes", "SCOPES", COLUMN_TEXT},
    {"limitMinute", "PER MINUTE", COLUMN_NUMBER},
    {"limitHour", "PER HOUR", COLUMN_NUMBER},
    {"createdAt", NULL, COLUMN_TEXT},
    {"expiresAt", "EXPIRES", COLUMN_TEXT},
    {"lastUsedAt", "LAST USED", COLUMN_TEXT},
    {"accepted", "ACCEPTED", COLUMN_NUMBER},
    {"refused", "REFUSED", COLUMN_NUMBER},
    {"allow", NULL, COLUMN_TEXT},
    {0},
};

static void output_limit(struct output *out, const char *name, uint32_t limit)
{
    if (limit)
        output_number(out, name, limit);
    else if (output_format_of(out) == OUTPUT_TABLE)
        output_str(out, name, "default");
    else
        output_null(out, name);
}

static void output_cidrs(struct output *out, const struct api_key *key)
{
    char texts[API_KEY_CIDRS_MAX][ADDRESS_TEXT_BYTES + 4];
    for (size_t i = 0; i < key->cidr_count; i++)
        cidr_format(&key->cidrs[i], texts[i]);
    output_texts(out, "allow", texts[0], sizeof(texts[0]), key->cidr_count);
}

static const char *state_of(const struct api_key *key, int64_t now_ms)
{
    if (!key->is_enabled)
        return "disabled";
    return key->expires_ms && key->expires_ms <= now_ms ? "expired" : "enabled";
}

/* `secret` is the key's text where it was just made, else NULL. */
static void output_key(struct tool *tool, const struct api_key *key,
                       const struct api_key_counts *counts, const char *secret)
{
    struct output *out = tool->out;
    char id[TYPEID_TEXT_BYTES];
    typeid_format(API_KEY_ID_PREFIX, &key->id, id);
    output_item_begin(out);
    output_str(out, "id", id);
    if (secret)
        output_str(out, "key", secret);
    output_str(out, "label", key->label);
    output_str(out, "state", state_of(key, tool->now_ms));
    if (output_format_of(out) != OUTPUT_TABLE)
        output_bool(out, "enabled", key->is_enabled);
    output_texts(out, "scopes", key->scopes[0], sizeof(key->scopes[0]), key->scope_count);
    output_limit(out, "limitMinute", key->limit_minute);
    output_limit(out, "limitHour", key->limit_hour);
    output_time(out, "createdAt", key->created_ms);
    output_time(out, "expiresAt", key->expires_ms);
    output_time(out, "lastUsedAt", key->last_used_ms);
    output_number(out, "accepted", counts->accepted);
    output_number(out, "refused", counts->refused);
    if (key->old_expires_ms > tool->now_ms)
        output_time(out, "oldKeyUntil", key->old_expires_ms);
    output_cidrs(out, key);
    output_item_end(out);
}

/* ---- changes ---- */

struct key_change {
    struct tool *tool;
    const struct args *args;
    const char *act;
    struct uuid id; /* zero: a new key */
    struct api_key key;
    struct api_key_counts counts;
    char secret[API_KEY_TEXT_CHARS + 1];
    /* Change `key`; the transaction puts it afterwards. */
    void (*change)(struct key_change *change);
};

static void key_hash(const char *secret, uint8_t ret_hash[SHA256_BYTES])
{
    sha256(bytes_of_str(secret), ret_hash);
}

static void set_scopes(struct api_key *key, const struct args *args)
{
    size_t at = 0;
    const struct value *value;
    if (!args_has(args, "scope"))
        return;
    key->scope_count = 0;
    while ((value = args_each(args, "scope", &at)) && key->scope_count < API_KEY_SCOPES_MAX)
        snprintf(key->scopes[key->scope_count++], sizeof(key->scopes[0]), "%s", value->text);
}

static void set_cidrs(struct api_key *key, const struct args *args)
{
    size_t at = 0;
    const struct value *value;
    if (args_has(args, "allow") || args_has(args, "allow-any"))
        key->cidr_count = 0;
    while ((value = args_each(args, "allow", &at)) && key->cidr_count < API_KEY_CIDRS_MAX)
        key->cidrs[key->cidr_count++] = value->cidr;
}

static void set_from_options(struct key_change *change)
{
    struct api_key *key = &change->key;
    const struct args *args = change->args;
    if (args_text(args, "label"))
        snprintf(key->label, sizeof(key->label), "%s", args_text(args, "label"));
    set_scopes(key, args);
    set_cidrs(key, args);
    key->limit_minute = (uint32_t)args_number(args, "limit-minute", key->limit_minute);
    key->limit_hour = (uint32_t)args_number(args, "limit-hour", key->limit_hour);
    key->expires_ms = args_number(args, "expires", key->expires_ms);
}

static void set_new(struct key_change *change)
{
    struct api_key *key = &change->key;
    snprintf(key->scopes[0], sizeof(key->scopes[0]), "*:write");
    key->scope_count = 1;
    key->is_enabled = true;
    key_hash(change->secret, key->hash);
    set_from_options(change);
}

static void set_rotated(struct key_change *change)
{
    struct api_key *key = &change->key;
    int64_t grace_ms = args_number(change->args, "grace", 0);
    memset(key->old_hash, 0, sizeof(key->old_hash));
    key->old_expires_ms = 0;
    if (grace_ms) {
        memcpy(key->old_hash, key->hash, sizeof(key->hash));
        key->old_expires_ms = change->tool->now_ms + grace_ms;
    }
    key_hash(change->secret, key->hash);
}

static void set_enabled(struct key_change *change)
{
    change->key.is_enabled = true;
}

static void set_disabled(struct key_change *change)
{
    change->key.is_enabled = false;
}

static void put_key_detail(const struct api_key *key, struct buf *out)
{
    buf_printf(out, "label=%s scopes=", key->label);
    for (size_t i = 0; i < key->scope_count; i++)
        buf_printf(out, "%s%s", i ? "," : "", key->scopes[i]);
    if (key->limit_minute || key->limit_hour)
        buf_printf(out, " limit-minute=%u limit-hour=%u", key->limit_minute, key->limit_hour);
}

/* `number` is told of a deleted key, by which its rejections still find its label. */
static void audit_key(struct txn *txn, const char *act, const struct api_key *key, uint32_t number)
{
    CLEANUP(buf_fini) struct buf detail = {0};
    char id[TYPEID_TEXT_BYTES];
    typeid_format(API_KEY_ID_PREFIX, &key->id, id);
    if (number)
        buf_printf(&detail, DELETED_KEY_DETAIL, number);
    put_key_detail(key, &detail);
    tool_audit(txn, act, id, buf_str(&detail));
}

static enum status change_step(void *context, struct txn *txn)
{
    struct key_change *change = context;
    change->key = (struct api_key){0};
    if (uuid_is_zero(&change->id)) {
        change->key.created_ms = txn_now_ms(txn);
    } else {
        enum status s = api_key_find(txn, &change->id, &change->key);
        if (s != STATUS_OK)
            return s;
    }
    change->change(change);
    change->counts = api_key_counts(txn, change->key.number);
    api_key_put(txn, &change->key);
    audit_key(txn, change->act, &change->key, 0);
    return STATUS_OK;
}

static int no_such_key(const char *id)
{
    return complain("no key %s: see `postern keys list`", id);
}

static int read_key_id(const struct args *args, struct uuid *ret_id)
{
    const char *id = args_argument(args, 0);
    if (typeid_parse(bytes_of_str(id), API_KEY_ID_PREFIX, ret_id) == STATUS_OK)
        return DONE;
    if (!strncmp(id, "psn_", 4)) /* never repeat what may be a secret */
        return complain("that is a key itself, not its id (key_…): see `postern keys list`");
    return no_such_key(id);
}

static int run_change(struct key_change *change)
{
    bool is_new = !change->args->arguments[0];
    if (!is_new && read_key_id(change->args, &change->id) != DONE)
        return FAILED;
    if (tool_store(change->tool, is_new ? NEED_CREATE : NEED_WRITE) != DONE)
        return FAILED;
    enum status s = tool_write(change->tool, change_step, change);
    if (s == STATUS_NOT_FOUND)
        return no_such_key(args_argument(change->args, 0));
    return s == STATUS_OK ? DONE : complain_status(s, change->act);
}

static int check_counts(const struct args *args)
{
    if (args_count(args, "scope") > API_KEY_SCOPES_MAX)
        return complain_usage(args, "--scope: at most %d of them", API_KEY_SCOPES_MAX);
    if (args_count(args, "allow") > API_KEY_CIDRS_MAX)
        return complain_usage(args, "--allow: at most %d of them", API_KEY_CIDRS_MAX);
    return DONE;
}

static void warn_expired(const struct tool *tool, const struct api_key *key)
{
    if (key->expires_ms && key->expires_ms <= tool->now_ms)
        fprintf(stderr, "postern: note: this key has expired already\n");
}

static void print_secret(struct key_change *change)
{
    output_key(change->tool, &change->key, &change->counts, change->secret);
    output_note(change->tool->out,
                "\nThe key is shown this once; senders put it into the header X-API-Key.\n");
}

int keys_create(struct tool *tool, const struct args *args)
{
    struct key_change change = {
        .tool = tool, .args = args, .act = "keys create", .change = set_new};
    if (check_counts(args) != DONE)
        return USAGE;
    api_key_generate(change.secret);
    int result = run_change(&change);
    if (result == DONE) {
        warn_expired(tool, &change.key);
        hint_scopes(tool, args);
        print_secret(&change);
    }
    secret_wipe(change.secret, sizeof(change.secret));
    return result;
}

int keys_rotate(struct tool *tool, const struct args *args)
{
    struct key_change change = {
        .tool = tool, .args = args, .act = "keys rotate", .change = set_rotated};
    api_key_generate(change.secret);
    int result = run_change(&change);
    if (result == DONE) {
        print_secret(&change);
        if (!change.key.old_expires_ms)
            output_note(tool->out, "The old one has stopped working (--grace D keeps it for a "
                                   "while).\n");
    }
    secret_wipe(change.secret, sizeof(change.secret));
    return result;
}

static int change_and_show(struct tool *tool, const struct args *args, const char *act,
                           void (*set)(struct key_change *))
{
    struct key_change change = {.tool = tool, .args = args, .act = act, .change = set};
    int result = run_change(&change);
    if (result == DONE)
        output_key(tool, &change.key, &change.counts, NULL);
    return result;
}

int keys_update(struct tool *tool, const struct args *args)
{
    if (check_counts(args) != DONE)
        return USAGE;
    bool is_change = args_has(args, "label") || args_has(args, "scope") ||
                     args_has(args, "limit-minute") || args_has(args, "limit-hour") ||
                     args_has(args, "expires") || args_has(args, "allow") ||
                     args_has(args, "allow-any");
    if (!is_change)
        return complain_usage(args, "nothing to change: name at least one option");
    int result = change_and_show(tool, args, "keys update", set_from_options);
    if (result == DONE)
        hint_scopes(tool, args);
    return result;
}

int keys_enable(struct tool *tool, const struct args *args)
{
    return change_and_show(tool, args, "keys enable", set_enabled);
}

int keys_disable(struct tool *tool, const struct args *args)
{
    return change_and_show(tool, args, "keys disable", set_disabled);
}

static enum status delete_step(void *context, struct txn *txn)
{
    struct key_change *change = context;
    enum status s = api_key_find(txn, &change->id, &change->key);
    if (s != STATUS_OK)
        return s;
    s = api_key_delete(txn, &change->id);
    audit_key(txn, change->act, &change->key, change->key.number);
    return s;
}

int keys_delete(struct tool *tool, const struct args *args)
{
    struct key_change change = {.tool = tool, .args = args, .act = "keys delete"};
    if (read_key_id(args, &change.id) != DONE || tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    enum status s = tool_write(tool, delete_step, &change);
    if (s == STATUS_NOT_FOUND)
        return no_such_key(args_argument(args, 0));
    if (s != STATUS_OK)
        return complain_status(s, "keys delete");
    output_item_begin(tool->out);
    output_str(tool->out, "id", args_argument(args, 0));
    output_str(tool->out, "label", change.key.label);
    output_str(tool->out, "state", "deleted");
    output_item_end(tool->out);
    return DONE;
}

/* ---- reading ---- */

struct key_list {
    struct tool *tool;
    uint32_t number;
};

static enum status list_step(void *context, struct txn *txn)
{
    struct key_list *list = context;
    struct api_key key;
    enum status s = api_key_next(txn, &list->number, &key);
    if (s == STATUS_OK) {
        struct api_key_counts counts = api_key_counts(txn, key.number);
        output_key(list->tool, &key, &counts, NULL);
    }
    return s;
}

int keys_list(struct tool *tool, const struct args *args)
{
    (void)args;
    struct key_list list = {.tool = tool};
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    output_list_begin(tool->out, NULL, KEY_COLUMNS,
                      "no API keys yet: `postern keys create --label L` makes one");
    enum status s = tool_scan(tool, list_step, NULL, &list);
    output_list_end(tool->out);
    return s == STATUS_OK ? DONE : complain_status(s, "keys list");
}

struct key_show {
    struct uuid id;
    struct api_key key;
    struct api_key_counts counts;
};

static enum status show_step(void *context, struct txn *txn)
{
    struct key_show *show = context;
    enum status s = api_key_find(txn, &show->id, &show->key);
    if (s == STATUS_OK)
        show->counts = api_key_counts(txn, show->key.number);
    return s;
}

int keys_show(struct tool *tool, const struct args *args)
{
    struct key_show show = {0};
    if (read_key_id(args, &show.id) != DONE || tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(tool, show_step, &show);
    if (s == STATUS_NOT_FOUND)
        return no_such_key(args_argument(args, 0));
    if (s != STATUS_OK)
        return complain_status(s, "keys show");
    output_key(tool, &show.key, &show.counts, NULL);
    return DONE;
}

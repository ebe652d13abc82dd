/*
 * rejections: "why did my ERP's record not arrive?"
 *
 * Rows name keys by number. Of a deleted key nothing is stored but that it was deleted: the audit
 * tells its id and label, for as long as it reaches back.
 */
#include "base/cleanup.h"
#include "storage/api_keys.h"
#include "storage/journal.h"
#include "tools/commands.h"

#include <stdio.h>
#include <stdlib.h>

static const struct column REJECTION_COLUMNS[] = {
    {"at", "TIME", COLUMN_TEXT},
    {"status", "STATUS", COLUMN_NUMBER},
    {"reason", "REASON", COLUMN_TEXT},
    {"label", "LABEL", COLUMN_TEXT},
    {"address", "ADDRESS", COLUMN_TEXT},
    {"key", "KEY", COLUMN_TEXT},
    {"method", "METHOD", COLUMN_TEXT},
    {"route", "ROUTE", COLUMN_TEXT},
    {0},
};

struct deleted_key {
    uint32_t number;
    char id[TYPEID_TEXT_BYTES];
    char label[API_KEY_LABEL_MAX + sizeof(" (deleted)")];
};

struct rejection_walk {
    struct tool *tool;
    const struct args *args;
    int64_t left;
    struct uuid before;
    uint32_t key_number;
    struct api_key key;
    struct deleted_key *deleted; /* newest first */
    size_t deleted_count;
};

/* Look for deleted keys no further back than so many acts. */
#define ACTS_MAX 100000
#define DELETED_MAX 4096

static void note_deleted(struct rejection_walk *walk, const struct audit_entry *entry)
{
    CLEANUP(freep) char *detail = bytes_dup_str(entry->detail);
    struct deleted_key *key = &walk->deleted[walk->deleted_count];
    int label = 0;
    *key = (struct deleted_key){0};
    if (!detail || sscanf(detail, DELETED_KEY_DETAIL "label=%n", &key->number, &label) != 1 ||
        !label)
        return;
    const char *end = strstr(detail + label, " scopes=");
    snprintf(key->id, sizeof(key->id), "%.*s", BYTES_ARG(entry->object));
    snprintf(key->label, sizeof(key->label), "%.*s (deleted)",
             end ? (int)(end - detail - label) : 0, detail + label);
    walk->deleted_count++;
}

static enum status deleted_step(void *context, struct txn *txn)
{
    struct rejection_walk *walk = context;
    struct uuid before = {0};
    struct audit_entry entry;
    enum status s = STATUS_OK;
    for (int i = 0; i < ACTS_MAX && walk->deleted_count < DELETED_MAX && s == STATUS_OK; i++) {
        s = audit_page_next(txn, 0, &before, &entry);
        if (s == STATUS_OK && bytes_equal_str(entry.act, "keys delete"))
            note_deleted(walk, &entry);
    }
    return s == STATUS_END ? STATUS_OK : s;
}

static const struct deleted_key *find_deleted(const struct rejection_walk *walk, uint32_t number,
                                              const char *id)
{
    for (size_t i = 0; i < walk->deleted_count; i++) {
        const struct deleted_key *key = &walk->deleted[i];
        if (id ? !strcmp(key->id, id) : key->number == number)
            return key;
    }
    return NULL;
}

static enum status key_step(void *context, struct txn *txn)
{
    struct rejection_walk *walk = context;
    struct uuid id;
    enum status s =
        typeid_parse(bytes_of_str(args_text(walk->args, "key")), API_KEY_ID_PREFIX, &id);
    if (s == STATUS_OK)
        s = api_key_find(txn, &id, &walk->key);
    walk->key_number = walk->key.number;
    if (s != STATUS_NOT_FOUND)
        return s;
    const struct deleted_key *deleted = find_deleted(walk, 0, args_text(walk->args, "key"));
    walk->key_number = deleted ? deleted->number : 0;
    return deleted ? STATUS_OK : s;
}

static void put_key(struct rejection_walk *walk, struct txn *txn, uint32_t number)
{
    struct output *out = walk->tool->out;
    char id[TYPEID_TEXT_BYTES] = "", unknown[40];
    const struct deleted_key *deleted;
    if (!number) {
        output_null(out, "key");
        output_null(out, "label");
    } else if (api_key_at(txn, number, &walk->key) == STATUS_OK) {
        typeid_format(API_KEY_ID_PREFIX, &walk->key.id, id);
        output_str(out, "key", id);
        output_str(out, "label", walk->key.label);
    } else if ((deleted = find_deleted(walk, number, NULL))) {
        output_str(out, "key", deleted->id);
        output_str(out, "label", deleted->label);
    } else {
        snprintf(unknown, sizeof(unknown), "(deleted, number %u)", number);
        output_null(out, "key");
        output_str(out, "label", unknown);
    }
}

static enum status list_step(void *context, struct txn *txn)
{
    struct rejection_walk *walk = context;
    struct output *out = walk->tool->out;
    struct rejection rejection;
    char id[TYPEID_TEXT_BYTES], address[ADDRESS_TEXT_BYTES];
    if (!walk->left)
        return STATUS_END;
    enum status s =
        rejection_page_next(txn, args_number(walk->args, "since", 0), &walk->before, &rejection);
    if (s != STATUS_OK)
        return s;
    int64_t until_ms = args_number(walk->args, "until", INT64_MAX);
    int64_t status = args_number(walk->args, "status", rejection.http_status);
    bool is_wanted = rejection.at_ms < until_ms && status == rejection.http_status &&
                     (!walk->key_number || walk->key_number == rejection.api_key);
    if (!is_wanted)
        return STATUS_OK;
    typeid_format("rej", &rejection.id, id);
    address_format(&rejection.address, address);
    output_item_begin(out);
    output_str(out, "id", id);
    output_time(out, "at", rejection.at_ms);
    output_number(out, "status", rejection.http_status);
    put_key(walk, txn, rejection.api_key);
    output_str(out, "address", address);
    output_text(out, "method", rejection.method);
    output_text(out, "route", rejection.route);
    output_text(out, "reason", rejection.reason);
    output_item_end(out);
    walk->left--;
    return STATUS_OK;
}

static int list(struct rejection_walk *walk)
{
    struct tool *tool = walk->tool;
    enum status s = tool_read(tool, deleted_step, walk);
    if (s == STATUS_OK && args_has(walk->args, "key"))
        s = tool_read(tool, key_step, walk);
    if (s == STATUS_NOT_FOUND || s == STATUS_INVALID)
        return complain("no key %.100s: see `postern keys list`", args_text(walk->args, "key"));
    if (s != STATUS_OK)
        return complain_status(s, "rejections list");
    output_list_begin(tool->out, NULL, REJECTION_COLUMNS,
                      "no such refusals (they are kept 7 days)");
    s = tool_scan(tool, list_step, NULL, walk);
    output_list_end(tool->out);
    tool_note_more(tool, walk->args);
    return s == STATUS_OK ? DONE : complain_status(s, "rejections list");
}

int rejections_list(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct rejection_walk *walk = calloc(1, sizeof(*walk));
    CLEANUP(freep) struct deleted_key *deleted = calloc(DELETED_MAX, sizeof(*deleted));
    if (!walk || !deleted)
        return complain("no memory");
    walk->tool = tool;
    walk->args = args;
    walk->deleted = deleted;
    walk->left = tool_limit(tool, args);
    return tool_store(tool, NEED_READ) == DONE ? list(walk) : FAILED;
}

/*
 * rejections: "why did my ERP's record not arrive?"
 */
#include "base/cleanup.h"
#include "storage/api_keys.h"
#include "storage/journal.h"
#include "tools/commands.h"

#include <stdlib.h>

static const struct column REJECTION_COLUMNS[] = {
    {"at", "TIME", COLUMN_TEXT},
    {"status", "STATUS", COLUMN_NUMBER},
    {"key", "KEY", COLUMN_TEXT},
    {"label", "LABEL", COLUMN_TEXT},
    {"address", "ADDRESS", COLUMN_TEXT},
    {"method", "METHOD", COLUMN_TEXT},
    {"route", "ROUTE", COLUMN_TEXT},
    {"reason", "REASON", COLUMN_TEXT},
    {0},
};

struct rejection_walk {
    struct tool *tool;
    const struct args *args;
    int64_t left;
    struct uuid before;
    uint32_t key_number;
    struct api_key key;
};

static enum status key_step(void *context, struct txn *txn)
{
    struct rejection_walk *walk = context;
    struct uuid id;
    enum status s =
        typeid_parse(bytes_of_str(args_text(walk->args, "key")), API_KEY_ID_PREFIX, &id);
    if (s == STATUS_OK)
        s = api_key_find(txn, &id, &walk->key);
    walk->key_number = walk->key.number;
    return s;
}

static void put_key(struct rejection_walk *walk, struct txn *txn, uint32_t number)
{
    char id[TYPEID_TEXT_BYTES] = "";
    bool is_known = number && api_key_at(txn, number, &walk->key) == STATUS_OK;
    if (is_known)
        typeid_format(API_KEY_ID_PREFIX, &walk->key.id, id);
    output_str(walk->tool->out, "key", is_known ? id : NULL);
    output_str(walk->tool->out, "label", is_known ? walk->key.label : NULL);
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

int rejections_list(struct tool *tool, const struct args *args)
{
    CLEANUP(freep) struct rejection_walk *walk = calloc(1, sizeof(*walk));
    if (!walk)
        return complain("no memory");
    walk->tool = tool;
    walk->args = args;
    walk->left = tool_limit(tool, args);
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = args_has(args, "key") ? tool_read(tool, key_step, walk) : STATUS_OK;
    if (s == STATUS_NOT_FOUND || s == STATUS_INVALID)
        return complain("no key %.100s: see `postern keys list`", args_text(args, "key"));
    if (s != STATUS_OK)
        return complain_status(s, "rejections list");
    output_list_begin(tool->out, NULL, REJECTION_COLUMNS,
                      "no such refusals (they are kept 7 days)");
    s = tool_scan(tool, list_step, NULL, walk);
    output_list_end(tool->out);
    tool_note_more(tool, args);
    return s == STATUS_OK ? DONE : complain_status(s, "rejections list");
}

/*
 * audit: who did what with the store, when and from where.
 */
#include "storage/journal.h"
#include "tools/commands.h"

static const struct column AUDIT_COLUMNS[] = {
    {"at", "TIME", COLUMN_TEXT},
    {"who", "WHO", COLUMN_TEXT},
    {"act", "ACT", COLUMN_TEXT},
    {"object", "OBJECT", COLUMN_TEXT},
    {"detail", "DETAIL", COLUMN_TEXT},
    {"origin", "FROM", COLUMN_TEXT},
    {0},
};

struct audit_walk {
    struct tool *tool;
    const struct args *args;
    int64_t left;
    struct uuid before;
};

static enum status list_step(void *context, struct txn *txn)
{
    struct audit_walk *walk = context;
    struct output *out = walk->tool->out;
    struct audit_entry entry;
    char id[TYPEID_TEXT_BYTES];
    if (!walk->left)
        return STATUS_END;
    enum status s =
        audit_page_next(txn, args_number(walk->args, "since", 0), &walk->before, &entry);
    if (s != STATUS_OK)
        return s;
    walk->left--;
    typeid_format("aud", &entry.id, id);
    output_item_begin(out);
    output_str(out, "id", id);
    output_time(out, "at", entry.at_ms);
    output_text(out, "who", entry.who);
    output_text(out, "act", entry.act);
    output_text(out, "object", entry.object);
    output_text(out, "detail", entry.detail);
    output_text(out, "origin", entry.origin);
    output_item_end(out);
    return STATUS_OK;
}

int audit_list(struct tool *tool, const struct args *args)
{
    struct audit_walk walk = {.tool = tool, .args = args, .left = tool_limit(tool, args)};
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    output_list_begin(tool->out, NULL, AUDIT_COLUMNS, "nothing was changed");
    enum status s = tool_scan(tool, list_step, NULL, &walk);
    output_list_end(tool->out);
    tool_note_more(tool, args);
    return s == STATUS_OK ? DONE : complain_status(s, "audit list");
}

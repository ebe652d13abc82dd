/*
 * store: sizes, the checker, copies. The names end in _command because storage/ has the functions
 * of these names, which do the work.
 */
#include "base/cleanup.h"
#include "storage/check.h"
#include "tools/commands.h"
#include "tools/progress.h"
#include "tools/text.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const struct column TABLE_COLUMNS[] = {
    {"name", "TABLE", COLUMN_TEXT},
    {"rows", "ROWS", COLUMN_NUMBER},
    {"bytes", "BYTES", COLUMN_NUMBER},
    {0},
};

static enum status stat_step(void *context, struct txn *txn)
{
    return store_stat(txn, context);
}

static void put_stat(struct output *out, const struct store_stat *stat)
{
    output_item_begin(out);
    output_number(out, "formatVersion", stat->format_version);
    output_number(out, "mapBytes", (int64_t)stat->map_bytes);
    output_number(out, "usedBytes", (int64_t)stat->used_bytes);
    output_number(out, "freeBytes", (int64_t)stat->free_bytes);
    output_number(out, "readers", stat->readers);
    output_list_begin(out, "tables", TABLE_COLUMNS, NULL);
    for (size_t i = 0; i < stat->table_count; i++) {
        output_item_begin(out);
        output_str(out, "name", stat->tables[i].name);
        output_number(out, "rows", (int64_t)stat->tables[i].rows);
        output_number(out, "bytes", (int64_t)stat->tables[i].bytes);
        output_item_end(out);
    }
    output_list_end(out);
    output_item_end(out);
}

int store_stat_command(struct tool *tool, const struct args *args)
{
    struct store_stat stat = {0};
    (void)args;
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    enum status s = tool_read(tool, stat_step, &stat);
    if (s != STATUS_OK)
        return complain_status(s, "store stat");
    put_stat(tool->out, &stat);
    return DONE;
}

/* ---- check ---- */

#define PROBLEMS_SHOWN 1000

struct check {
    struct tool *tool;
    struct progress progress;
    struct buf problems; /* terminated texts, one after the other */
    size_t problem_count;
};

static void note_problem(void *context, const char *text)
{
    struct check *check = context;
    if (check->problem_count++ < PROBLEMS_SHOWN)
        buf_put(&check->problems, text, strlen(text) + 1);
}

static void check_progress(void *context, uint64_t done, uint64_t all)
{
    struct check *check = context;
    progress_show(&check->progress, done, all);
}

static const struct column PROBLEM_COLUMNS[] = {{"problem", "PROBLEM", COLUMN_TEXT}, {0}};

static void put_report(const struct check *check, const struct check_report *report)
{
    struct output *out = check->tool->out;
    output_item_begin(out);
    output_bool(out, "ok", !report->problem_count);
    output_number(out, "records", (int64_t)report->records);
    output_number(out, "revisions", (int64_t)report->revisions);
    output_number(out, "events", (int64_t)report->events);
    output_number(out, "deliveries", (int64_t)report->deliveries);
    output_number(out, "attempts", (int64_t)report->attempts);
    output_number(out, "problemCount", (int64_t)report->problem_count);
    if (report->problem_count || output_format_of(out) != OUTPUT_TABLE) {
        output_list_begin(out, "problems", PROBLEM_COLUMNS, NULL);
        for (size_t at = 0; at < check->problems.len;) {
            const char *text = (const char *)check->problems.data + at;
            output_item_begin(out);
            output_str(out, "problem", text);
            output_item_end(out);
            at += strlen(text) + 1;
        }
        output_list_end(out);
    }
    output_item_end(out);
}

int store_check_command(struct tool *tool, const struct args *args)
{
    struct check check = {.tool = tool};
    struct check_report report = {0};
    (void)args;
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    progress_start(&check.progress, "checking");
    enum status s = store_check(tool->store, note_problem, check_progress, &check, &report);
    progress_clear(&check.progress);
    if (s == STATUS_OK)
        put_report(&check, &report);
    buf_fini(&check.problems);
    if (s != STATUS_OK)
        return complain_status(s, "store check");
    if (!report.problem_count)
        return DONE;
    return complain(
        "the store is damaged: keep a copy of the data directory as it is, then restore "
        "a backup (`postern store restore`)");
}

/* ---- copies ---- */

static void backup_progress(void *context, uint64_t done, uint64_t all)
{
    progress_show(context, done, all);
}

static void put_copy(struct output *out, const char *from, const char *to)
{
    output_item_begin(out);
    output_str(out, "from", from);
    output_str(out, "to", to);
    output_item_end(out);
}

int store_backup_command(struct tool *tool, const struct args *args)
{
    struct progress progress;
    struct err err = {0};
    const char *dir = args_argument(args, 0);
    if (tool_store(tool, NEED_READ) != DONE)
        return FAILED;
    progress_start(&progress, "copying");
    enum status s = store_backup(tool->store, dir, backup_progress, &progress, &err);
    progress_clear(&progress);
    if (s != STATUS_OK)
        return err.text[0] ? complain("%s", err.text) : complain_status(s, "store backup");
    put_copy(tool->out, tool->data, dir);
    fprintf(stderr, "postern: note: the key that seals endpoints' secrets is not in the backup: "
                    "keep a copy of master.key elsewhere\n");
    return DONE;
}

static enum status restored_step(void *context, struct txn *txn)
{
    tool_audit(txn, "store restore", context, NULL);
    return STATUS_OK;
}

/* Asked before anything is made where the backup shall go. */
static bool is_backup(const char *dir)
{
    struct buf path = {0};
    buf_printf(&path, "%s/store/data.mdb", dir);
    bool is_there = access(buf_str(&path), F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
    buf_fini(&path);
    return is_there;
}

int store_restore_command(struct tool *tool, const struct args *args)
{
    struct err err = {0};
    const char *dir = args_argument(args, 0);
    if (!is_backup(dir))
        return complain("%s is no backup: it has no store/data.mdb, as a folder made by `postern "
                        "store backup` has",
                        dir);
    enum status s = store_restore(dir, tool->data, &err);
    if (s != STATUS_OK)
        return err.text[0] ? complain("%s", err.text) : complain_status(s, "store restore");
    tool_hand_over(tool->data);
    if (tool_store(tool, NEED_WRITE) != DONE)
        return FAILED;
    s = tool_write(tool, restored_step, (char *)(uintptr_t)dir);
    if (s != STATUS_OK)
        return complain_status(s, "store restore");
    put_copy(tool->out, dir, tool->data);
    fprintf(stderr, "postern: note: put the master.key of that time there too, or endpoints' "
                    "secrets cannot be read\n");
    return DONE;
}

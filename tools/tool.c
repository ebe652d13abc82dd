/*
 * The store is opened when a command first needs it, so that `verify` and `help` work anywhere.
 *
 * Who acts is the user of the process, by name and number; where from, the host and the process:
 * what an operator can look up later. What can fail: the store's own faults, said once by
 * complain_status.
 */
#include "tools/tool.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "ingest/settings.h"
#include "storage/data_dir.h"
#include "storage/journal.h"
#include "tools/progress.h"
#include "tools/server.h"
#include "tools/text.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SCAN_ROWS 256
#define SCAN_BYTES (1024 * 1024)
#define WRITE_TRIES 16

void tool_fini(struct tool *tool)
{
    output_free(tool->out);
    record_types_unref(tool->types);
    vault_free(tool->vault);
    store_close(tool->store);
    *tool = (struct tool){0};
}

static void say(const char *format, va_list arguments)
{
    char text[2048];
    struct buf visible = {0};
    vsnprintf(text, sizeof(text), format, arguments);
    text_put_visible(&visible, bytes_of_str(text));
    fprintf(stderr, "postern: %s\n", buf_str(&visible));
    buf_fini(&visible);
}

int complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    return FAILED;
}

int complain_usage(const struct args *args, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
    if (args->command) {
        struct buf usage = {0};
        command_put_usage(args->command, &usage);
        fprintf(stderr, "usage: postern %s\n", buf_str(&usage));
        buf_fini(&usage);
    } else if (args->noun) {
        fprintf(stderr, "see `postern --help`\n");
    }
    return USAGE;
}

int complain_status(enum status status, const char *doing)
{
    switch (status) {
    case STATUS_NO_SPACE:
        return complain("%s: the disk is full; nothing was changed. Free some space and try again",
                        doing);
    case STATUS_CORRUPT:
        return complain("%s: a stored row does not decode; see `postern store check`", doing);
    default:
        return complain("%s: %s", doing, status_text(status));
    }
}

/* Files made by root belong to whom the data directory belongs to, or the server could not open
 * them. */
static void hand_over(const char *data, const char *path)
{
    struct stat dir, file;
    if (geteuid() != 0 || stat(data, &dir) != 0 || lstat(path, &file) != 0 || dir.st_uid == 0 ||
        file.st_uid != 0)
        return;
    if (lchown(path, dir.st_uid, dir.st_gid) != 0)
        (void)complain("%s: cannot be given to the owner of %s: %s", path, data, strerror(errno));
}

void tool_hand_over(const char *data)
{
    static const char *const NAMES[] = {"store", "store/data.mdb", "store/lock.mdb",
                                        "posternd.lock", "master.key"};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(*NAMES); i++) {
        struct buf path = {0};
        buf_printf(&path, "%s/%s", data, NAMES[i]);
        hand_over(data, buf_str(&path));
        buf_fini(&path);
    }
}

/* A store before the server's first start: opened as the server would, and closed again. A mistyped
 * --data must not make a second one. */
static int make_store(struct tool *tool)
{
    struct err err = {0};
    struct store *store = NULL;
    if (access(tool->data, F_OK) != 0 && errno == ENOENT)
        return complain("no such directory: %s: start posternd once, or mkdir it", tool->data);
    if (!data_dir_is_ours(tool->data))
        return complain("no store in %s, and it has other files: a new store is made in an empty "
                        "directory only",
                        tool->data);
    enum status s =
        store_open(&(struct store_options){.dir = tool->data, .mode = STORE_SERVE}, &store, &err);
    store_close(store);
    if (s != STATUS_OK)
        return complain("%s", err.text);
    fprintf(stderr, "postern: made a new store in %s\n", tool->data);
    return DONE;
}

static bool is_read_only(const char *data)
{
    struct statvfs mount;
    return statvfs(data, &mount) == 0 && (mount.f_flag & ST_RDONLY);
}

int tool_store(struct tool *tool, enum store_need need)
{
    if (tool->store)
        return DONE;
    struct err err = {0};
    struct store_options options = {.dir = tool->data, .mode = STORE_TOOL};
    enum status s = store_open(&options, &tool->store, &err);
    if (s == STATUS_NOT_FOUND && need == NEED_CREATE) {
        if (make_store(tool) != DONE)
            return FAILED;
        s = store_open(&options, &tool->store, &err);
        tool_hand_over(tool->data);
    }
    if (need == NEED_READ && (s == STATUS_DENIED || s == STATUS_IO)) {
        options.mode = STORE_READ_ONLY;
        s = store_open(&options, &tool->store, &err);
    }
    if (s == STATUS_NOT_FOUND)
        return complain("no store in %s: name the server's data directory with --data DIR or in "
                        "POSTERN_DATA",
                        tool->data);
    if (s == STATUS_DENIED && is_read_only(tool->data))
        return complain("%s; the file system is mounted read-only, so nothing can be changed here",
                        err.text);
    if (s == STATUS_DENIED)
        return complain("%s; run it as the server's user", err.text);
    return s == STATUS_OK ? DONE : complain("%s", err.text);
}

int tool_vault(struct tool *tool, const struct args *args)
{
    if (tool->vault)
        return DONE;
    struct err err = {0};
    CLEANUP(buf_fini) struct buf path = {0};
    const char *file = args_text(args, "master-key-file");
    file = file ? file : getenv("POSTERN_MASTER_KEY_FILE");
    if (file)
        buf_put_str(&path, file);
    else
        buf_printf(&path, "%s/master.key", tool->data);
    if (vault_open(buf_str(&path), !file, &tool->vault, &err) != STATUS_OK)
        return complain("%s", err.text);
    tool_hand_over(tool->data);
    return DONE;
}

enum status tool_types(struct tool *tool, struct err *err)
{
    if (tool->types)
        return STATUS_OK;
    if (tool->schemas)
        return record_types_load(tool->schemas, &tool->types, err);
    struct server server;
    server_read(tool->data, &server);
    if (server.schemas[0] && access(server.schemas, R_OK | X_OK) == 0)
        return record_types_load(server.schemas, &tool->types, err);
    CLEANUP(freep) char *installed = settings_schemas_installed();
    return installed ? record_types_load(installed, &tool->types, err) : STATUS_NO_MEMORY;
}

static enum status write_once(struct tool *tool, enum status (*step)(void *, struct txn *),
                              void *context)
{
    uint64_t seed;
    struct txn *txn = NULL;
    random_bytes(&seed, sizeof(seed));
    enum status s = txn_write(tool->store, clock_wall_ms(&SYSTEM_CLOCK), seed, &txn);
    if (s != STATUS_OK)
        return s;
    s = step(context, txn);
    if (s != STATUS_OK && !status_is_fault(s)) {
        txn_abort(txn);
        return s;
    }
    enum status committed = txn_commit(txn);
    return committed != STATUS_OK ? committed : s;
}

enum status tool_write(struct tool *tool, enum status (*step)(void *, struct txn *), void *context)
{
    enum status s = STATUS_MAP_FULL;
    for (int i = 0; i < WRITE_TRIES && s == STATUS_MAP_FULL; i++) {
        s = write_once(tool, step, context);
        if (s == STATUS_MAP_FULL && store_grow(tool->store) != STATUS_OK)
            return STATUS_NO_MEMORY;
    }
    return s;
}

void tool_audit(struct txn *txn, const char *act, const char *object, const char *detail)
{
    char who[128], origin[192], host[65] = "";
    const struct passwd *user = getpwuid(geteuid());
    const char *sudo = getenv("SUDO_USER");
    gethostname(host, sizeof(host) - 1);
    snprintf(who, sizeof(who), "%.40s (uid %u)%s%.40s", user ? user->pw_name : "?",
             (unsigned)geteuid(), sudo ? " for " : "", sudo ? sudo : "");
    snprintf(origin, sizeof(origin), "postern on %s, pid %d", host, (int)getpid());
    struct audit_entry entry = {
        .at_ms = txn_now_ms(txn),
        .who = bytes_of_str(who),
        .origin = bytes_of_str(origin),
        .act = bytes_of_str(act),
        .object = bytes_of_str(object),
        .detail = bytes_of_str(detail),
    };
    audit_add(txn, &entry);
}

enum status tool_read(struct tool *tool, enum status (*step)(void *, struct txn *), void *context)
{
    CLEANUP(txn_abortp) struct txn *txn = NULL;
    enum status s = txn_read(tool->store, &txn);
    if (s == STATUS_OK)
        s = step(context, txn);
    return s == STATUS_OK ? txn_status(txn) : s; /* can its numbers be believed? */
}

static enum status scan_some(struct tool *tool, enum status (*step)(void *, struct txn *),
                             void *context, void (*pause)(void *), uint64_t *inout_rows)
{
    CLEANUP(txn_abortp) struct txn *txn = NULL;
    enum status s = txn_read(tool->store, &txn);
    for (int i = 0; s == STATUS_OK && i < SCAN_ROWS; i++) {
        s = step(context, txn);
        ++*inout_rows;
        if (output_waiting(tool->out) > SCAN_BYTES)
            break;
    }
    if (s == STATUS_OK || s == STATUS_END)
        s = txn_status(txn) == STATUS_OK ? s : txn_status(txn); /* can its numbers be believed? */
    if (pause)
        pause(context);
    return s;
}

enum status tool_scan(struct tool *tool, enum status (*step)(void *, struct txn *),
                      void (*pause)(void *), void *context)
{
    enum status s = STATUS_OK;
    struct progress progress;
    uint64_t rows = 0;
    progress_start(&progress, "reading");
    while (s == STATUS_OK) {
        s = scan_some(tool, step, context, pause, &rows);
        if (output_waiting(tool->out) > 0 && isatty(STDOUT_FILENO))
            progress_clear(&progress); /* both are the same terminal */
        enum status written = output_flush(tool->out);
        if (written != STATUS_OK)
            return written;
        if (s == STATUS_OK)
            progress_show(&progress, rows, tool->scan_rows);
    }
    progress_clear(&progress);
    return s == STATUS_END ? STATUS_OK : s;
}

int64_t tool_limit(const struct tool *tool, const struct args *args)
{
    bool is_table = output_format_of(tool->out) == OUTPUT_TABLE;
    return args_number(args, "limit", is_table ? TABLE_ROWS_DEFAULT : INT64_MAX);
}

void tool_note_more(const struct tool *tool, const struct args *args)
{
    bool is_cut = output_format_of(tool->out) == OUTPUT_TABLE && !args_has(args, "limit") &&
                  output_item_count(tool->out) >= TABLE_ROWS_DEFAULT;
    if (is_cut)
        fprintf(stderr, "the newest %d only: --limit N shows more\n", TABLE_ROWS_DEFAULT);
}

bool tool_confirm(const struct args *args, const char *question)
{
    char line[16] = "";
    if (args_has(args, "yes") || !isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "%s [y/N] ", question);
    return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

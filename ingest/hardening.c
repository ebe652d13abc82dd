/*
 * The order matters: without no_new_privs an unprivileged process may set neither fence nor
 * filter, and the fence is set up with calls that the filter need not allow.
 */
#include "ingest/hardening.h"

#include "base/log.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* A core file would hold keys and records, and who can attach to us can read them. */
static void forbid_looking_inside(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* lowering never fails */
#ifndef HARDENING_FOR_SANITIZERS
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* Not mended: a directory that exists may be anything, also one that others need. */
static void warn_of_open_directory(const char *data)
{
    struct stat st;
    if (stat(data, &st) == 0 && (st.st_mode & 077) != 0)
        log_warn("others may enter the data directory: chmod 700 it", LOG_STR("data", data));
}

void hardening_apply(const struct settings *settings)
{
    struct err fence_err = {0}, filter_err = {0};
    int fence_version = 0;
    warn_of_open_directory(settings->data);
    forbid_looking_inside();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_warn("hardening: no_new_privs is not in force");
    enum status fence = file_fence_apply(settings, &fence_version, &fence_err);
    if (fence != STATUS_OK)
        log_warn("hardening: any file can be reached", LOG_STR("error", fence_err.text));
    enum status filter = syscall_filter_apply(&filter_err);
    if (filter != STATUS_OK)
        log_warn("hardening: any system call can be made", LOG_STR("error", filter_err.text));
    log_info("hardened", LOG_INT("landlock", fence_version),
             LOG_STR("seccomp", filter == STATUS_OK ? "on" : "off"), LOG_STR("core_dumps", "off"));
}

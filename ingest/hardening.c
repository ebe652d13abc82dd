/*
 * The order matters: without no_new_privs an unprivileged process may set neither fence nor
 * filter; capabilities are given up while the filter does not stand in the way; and the fence is
 * set up with calls that the filter need not allow.
 */
#include "ingest/hardening.h"

#include "base/log.h"
#include "storage/data_dir.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATA_MODE 0700
/* Ports below 1024 are bound after this; and who serves another user's directory as root, or with
 * this capability, needs it at each reload. */
#define KEPT (1u << CAP_NET_BIND_SERVICE | 1u << CAP_DAC_OVERRIDE)

/* A core file would hold keys and records, and who can attach to us can read them. */
static void forbid_looking_inside(void)
{
    struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none); /* lowering never fails */
#ifndef HARDENING_FOR_SANITIZERS
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

/* What is secret in it has modes of its own; this keeps names and sizes from others too. Not where
 * there is anything else, such as in /tmp: others may need a directory that we only share. */
static void close_data_directory(const char *data)
{
    struct stat st;
    if (stat(data, &st) != 0 || (st.st_mode & 077) == 0)
        return;
    if (data_dir_is_ours(data) && chmod(data, DATA_MODE) == 0)
        log_info("closed the data directory to others", LOG_STR("data", data));
    else
        log_warn("others may enter the data directory: chmod 700 it", LOG_STR("data", data));
}

/* No library: libcap's two calls would be these three. */
static enum status give_up_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3], keep[_LINUX_CAPABILITY_U32S_3];
    /* Refused to who has none to give up; and without programs to run, the set bounds nothing. */
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        if (cap >= 32 || !(KEPT & 1u << cap))
            (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    if (syscall(SYS_capget, &header, have) != 0)
        return STATUS_IO;
    memset(keep, 0, sizeof keep);
    keep[0].effective = have[0].effective & KEPT;
    keep[0].permitted = have[0].permitted & KEPT;
    if (memcmp(have, keep, sizeof keep) == 0) /* as for most: there are none */
        return STATUS_OK;
    return syscall(SYS_capset, &header, keep) == 0 ? STATUS_OK : STATUS_IO;
}

static void give_up_privileges(void)
{
    if (geteuid() == 0)
        log_warn("runs as root: give it a user of its own");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_warn("hardening: no_new_privs is not in force");
    if (give_up_capabilities() != STATUS_OK)
        log_warn("hardening: capabilities are as they were");
}

void hardening_apply(const struct settings *settings)
{
    struct err fence_err = {0}, filter_err = {0};
    int fence_version = 0;
    close_data_directory(settings->data);
    forbid_looking_inside();
    give_up_privileges();
    enum status fence = file_fence_apply(settings, &fence_version, &fence_err);
    if (fence != STATUS_OK)
        log_warn("hardening: any file can be reached", LOG_STR("error", fence_err.text));
    enum status filter = syscall_filter_apply(&filter_err);
    if (filter != STATUS_OK)
        log_warn("hardening: any system call can be made", LOG_STR("error", filter_err.text));
    log_info("hardened", LOG_INT("landlock", fence_version),
             LOG_STR("seccomp", filter == STATUS_OK ? "on" : "off"), LOG_STR("core_dumps", "off"));
}

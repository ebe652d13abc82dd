/*
 * syscall_filter: what a server never needs fails with EPERM, by seccomp.
 *
 * A list of what is denied, not of what is allowed. An allow-list would have to follow glibc,
 * OpenSSL, libcurl, libuv, LMDB and the sanitizers through their versions (clone3, rseq, statx,
 * futex_waitv, …), and its first gap is an outage after an upgrade; and what an intruder works
 * with, open, read, write and connect, would have to be on it anyway. Files are bounded by
 * file_fence.c, and packaging/posternd.service adds systemd's allow-list, which is kept up to date
 * with the system that it runs on.
 *
 * Memory both writable and executable stays possible: PCRE2's JIT maps it on a reload of schemas.
 *
 * Calls of another architecture (32 bits, x32), around which a list could be passed, end the
 * process: no library makes them. To deny one more, add it to DENIED.
 */
#include "ingest/hardening.h"

#ifdef HAVE_SECCOMP

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* Names and not numbers: one that the library or this architecture does not know is skipped. */
static const char *const DENIED[] = {
    /* other programs, other processes' memory */
    "execve",
    "execveat",
    "fork",
    "vfork",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
#ifndef HARDENING_FOR_SANITIZERS
    "ptrace",
#endif
    /* who we are; the store's lock file is given to its owner before this */
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setfsuid",
    "setfsgid",
    "setgroups",
    "capset",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "personality",
    /* where we are */
    "chroot",
    "pivot_root",
    "mount",
    "umount",
    "umount2",
    "mount_setattr",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "unshare",
    "setns",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "mknod",
    "mknodat",
    "open_by_handle_at",
    "name_to_handle_at",
    "fanotify_init",
    /* the kernel itself, and its larger attack surfaces */
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "create_module",
    "reboot",
    "iopl",
    "ioperm",
    "modify_ldt",
    "acct",
    "syslog",
    "lookup_dcookie",
    "nfsservctl",
    "uselib",
    "_sysctl",
    "vhangup",
    "vm86",
    "vm86old",
    /* the machine's clock and name */
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    "sethostname",
    "setdomainname",
};

/* Denied in a way that makes callers fall back to what they did before these existed. */
static const char *const ABSENT[] = {
    "clone3", /* its flags lie in memory, where no filter can read them; clone's do not */
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
};

static int deny_all(scmp_filter_ctx filter, const char *const *names, size_t count, uint32_t action)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number != __NR_SCMP_ERROR)
            rc = seccomp_rule_add(filter, action, number, 0);
        if (rc == -EDOM || rc == -EINVAL) /* not of this architecture */
            rc = 0;
    }
    return rc;
}

/* A new thread, yes; a new process or a new namespace, no. */
static int deny_processes(scmp_filter_ctx filter)
{
#ifdef HARDENING_FOR_SANITIZERS
    (void)filter;
    return 0;
#else
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                            SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
#endif
}

/* TIOCSTI types into the terminal that started us; the rest of ioctl is in everyday use. */
static int deny_typing(scmp_filter_ctx filter)
{
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffffu, TIOCSTI));
}

/* Left are Unix sockets, IPv4, IPv6, and netlink, by which the resolver sorts addresses. */
static int deny_families(scmp_filter_ctx filter)
{
    static const int KEPT[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    uint32_t action = SCMP_ACT_ERRNO(EAFNOSUPPORT);
    int rc =
        seccomp_rule_add(filter, action, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_GT, AF_NETLINK));
    for (int family = 0; rc == 0 && family < AF_NETLINK; family++) {
        bool is_kept = false;
        for (size_t i = 0; i < sizeof KEPT / sizeof *KEPT; i++)
            is_kept |= family == KEPT[i];
        if (!is_kept)
            rc = seccomp_rule_add(filter, action, SCMP_SYS(socket), 1,
                                  SCMP_A0(SCMP_CMP_EQ, (unsigned)family));
    }
    return rc;
}

static void releasep(scmp_filter_ctx *filter)
{
    if (*filter)
        seccomp_release(*filter);
}

enum status syscall_filter_apply(struct err *err)
{
    __attribute__((cleanup(releasep))) scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc =
        filter ? seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) : -ENOMEM;
    if (rc == 0)
        rc = deny_all(filter, DENIED, sizeof DENIED / sizeof *DENIED, SCMP_ACT_ERRNO(EPERM));
    if (rc == 0)
        rc = deny_all(filter, ABSENT, sizeof ABSENT / sizeof *ABSENT, SCMP_ACT_ERRNO(ENOSYS));
    if (rc == 0)
        rc = deny_processes(filter);
    if (rc == 0)
        rc = deny_typing(filter);
    if (rc == 0)
        rc = deny_families(filter);
    if (rc == 0)
        rc = seccomp_load(filter);
    if (rc == 0)
        return STATUS_OK;
    err_set(err, "seccomp: %s", strerror(-rc));
    return STATUS_IO;
}

#else

enum status syscall_filter_apply(struct err *err)
{
    err_set(err, "built without libseccomp");
    return STATUS_NOT_FOUND;
}

#endif

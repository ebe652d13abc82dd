/*
 * file_fence: of the file system the server keeps what it needs, by Landlock.
 *
 * Written: the data directory, and the directory of the admin socket. Read: the folders of
 * schemas, certificate, key, settings and authorities, and what the C library, OpenSSL and the
 * resolver read at any time. Nothing can be executed. Folders and not files, because operators
 * replace files by renaming, and a rule is bound to the inode it was made for; both the path as
 * given and where it leads, because certbot and Kubernetes point at certificates by links.
 *
 * /etc as a whole: resolv.conf, hosts and the authorities are replaced at run time, by rename, and
 * a server that cannot resolve names until someone restarts it would be a poor trade. What is
 * secret in /etc is closed to the server's user by its mode.
 *
 * Other processes are behind the fence too: no signals to them, and none of the Unix sockets that
 * have no file. (Those that have one stay: the resolver asks some.)
 *
 * A path that does not exist is skipped. The system calls have no wrappers in Debian's libc; flags
 * newer than its header are defined here, and only those are used that the kernel's version knows.
 */
#include "base/cleanup.h"
#include "ingest/hardening.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/* The header's may end sooner; the kernel takes as much as its version knows. */
struct ruleset {
    uint64_t handled_files;
    uint64_t handled_network; /* no: endpoints may have any port, and listeners are bound later */
    uint64_t scoped;
};
#define SCOPED_VERSION 6
#define SCOPE_ABSTRACT_UNIX_SOCKET (1ULL << 0)
#define SCOPE_SIGNAL (1ULL << 1)

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                      \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE |                          \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                              \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK)
/* What may be done to a file, as opposed to a directory. */
#define OF_FILES                                                                                   \
    (READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE |                      \
     LANDLOCK_ACCESS_FS_TRUNCATE | LANDLOCK_ACCESS_FS_IOCTL_DEV)

struct fence {
    int fd;
    uint64_t handled;
    bool is_complete; /* false: a rule for a path that exists could not be added */
};

/* Rights that Landlock of this version can take away. */
static uint64_t handled_by(int version)
{
    static const uint64_t FIRST = LANDLOCK_ACCESS_FS_REFER - 1; /* all of version 1 */
    uint64_t handled = FIRST;
    if (version >= 2)
        handled |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        handled |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (version >= 5)
        handled |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return handled;
}

static void allow(struct fence *fence, const char *path, uint64_t rights)
{
    struct stat st;
    CLEANUP(closep) int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0)
        return;
    struct landlock_path_beneath_attr rule = {
        .parent_fd = fd,
        .allowed_access = rights & fence->handled & (S_ISDIR(st.st_mode) ? UINT64_MAX : OF_FILES),
    };
    if (syscall(SYS_landlock_add_rule, fence->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        fence->is_complete = false;
}

/* The folder that holds `path`; of one directly in /, the path itself. */
static void allow_folder(struct fence *fence, const char *path, uint64_t rights)
{
    CLEANUP(freep) char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (!folder)
        fence->is_complete = false;
    else if (!slash)
        allow(fence, ".", rights);
    else if (slash == folder)
        allow(fence, path, rights);
    else {
        *slash = '\0';
        allow(fence, folder, rights);
    }
}

/* The folder of a file, or of a folder, that an operator named, and of what it leads to. */
static void allow_named(struct fence *fence, const char *path)
{
    if (!path)
        return;
    CLEANUP(freep) char *real = realpath(path, NULL);
    allow_folder(fence, path, READ);
    allow(fence, path, READ);
    if (real)
        allow_folder(fence, real, READ);
}

static void allow_system(struct fence *fence)
{
    static const char *const READABLE[] = {
        "/etc",         "/usr",
        "/lib",         "/lib64", /* libraries of name services, locales, time zones */
        "/proc/self",   "/proc/sys/kernel",
        "/proc/sys/vm", "/sys/devices/system/cpu",
        "/dev/urandom", "/dev/random",
    };
    for (size_t i = 0; i < sizeof READABLE / sizeof *READABLE; i++)
        allow(fence, READABLE[i], READ);
    allow(fence, "/dev/null", WRITE);
    /* Often a link into /run, where the resolver's files come and go. */
    allow_named(fence, "/etc/resolv.conf");
#ifdef HARDENING_FOR_SANITIZERS
    allow(fence, "/", READ);
#endif
}

static void allow_own(struct fence *fence, const struct settings *settings)
{
    allow(fence, settings->data, WRITE);
    if (strchr(settings->admin_listen, '/'))
        allow_folder(fence, settings->admin_listen, WRITE);
    allow_named(fence, settings->schemas);
    allow_named(fence, settings->tls_cert);
    allow_named(fence, settings->tls_key);
    allow_named(fence, settings->config);
    allow_named(fence, settings->deliver_ca);
}

enum status file_fence_apply(const struct settings *settings, int *ret_version, struct err *err)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1) {
        err_set(err, "Landlock is not to be had: %m");
        return STATUS_NOT_FOUND;
    }
    struct fence fence = {.handled = handled_by((int)version), .is_complete = true};
    struct ruleset ruleset = {.handled_files = fence.handled};
    size_t size = sizeof ruleset.handled_files;
    if (version >= SCOPED_VERSION) {
        ruleset.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
        size = sizeof ruleset;
    }
    fence.fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
    CLEANUP(closep) int fd = fence.fd;
    if (fd < 0) {
        err_set(err, "Landlock: %m");
        return STATUS_IO;
    }
    allow_system(&fence);
    allow_own(&fence, settings);
    /* A fence that lacks a rule would lock us out of our own files. */
    if (!fence.is_complete || syscall(SYS_landlock_restrict_self, fd, 0) != 0) {
        err_set(err, "Landlock: %s", fence.is_complete ? strerror(errno) : "a rule was refused");
        return STATUS_IO;
    }
    *ret_version = (int)version;
    return STATUS_OK;
}

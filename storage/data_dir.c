/*
 * data_dir: mkdir, flock, permissions.
 *
 * The lock is flock(2) on a file that is never removed: it goes with the process, however that
 * ends, so a stale lock cannot exist. The pid inside is for people only.
 */
#include "storage/data_dir.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define DIR_MODE 0700
#define PARENT_MODE 0755
#define STORE_MODE 0700

enum status status_of_errno(int code)
{
    switch (code) {
    case 0:
        return STATUS_OK;
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STATUS_NO_SPACE;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_IO;
    }
}

static enum status fail(struct err *err, const char *path)
{
    int code = errno;

    err_set(err, "%s: %s", path, strerror(code));
    return status_of_errno(code);
}

/* The entry in the directory above is made durable with it. */
static enum status make_one(char *path, mode_t mode, struct err *err)
{
    char *slash = strrchr(path, '/');
    enum status s;
    struct stat st;

    if (mkdir(path, mode) == 0) {
        if (slash == NULL || slash == path)
            return dir_sync(slash == path ? "/" : ".", err);
        *slash = '\0';
        s = dir_sync(path, err);
        *slash = '/';
        return s;
    }
    if (errno == EEXIST)
        return STATUS_OK;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return STATUS_OK; /* "/" on a read-only system answers EROFS and exists */
    return fail(err, path);
}

enum status data_dir_make(const char *dir, struct err *err)
{
    char path[PATH_MAX];
    enum status s = STATUS_OK;
    int len = snprintf(path, sizeof(path), "%s", dir);

    if (len <= 0 || (size_t)len >= sizeof(path)) {
        err_set(err, "%s: not a path", dir);
        return STATUS_DENIED;
    }
    for (char *at = path + 1; s == STATUS_OK && *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        s = make_one(path, PARENT_MODE, err);
        *at = '/';
    }
    return s == STATUS_OK ? make_one(path, DIR_MODE, err) : s;
}

static enum status say_who_holds(int fd, const char *dir, struct err *err)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    text[n > 0 ? strspn(text, "0123456789") : 0] = '\0';
    err_set(err, "%s: in use by another process (pid %s)", dir, text[0] != '\0' ? text : "unknown");
    return STATUS_BUSY;
}

static enum status lock_file(int fd, const char *dir, const char *path, struct err *err)
{
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? say_who_holds(fd, dir, err) : fail(err, path);
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%ld\n", (long)getpid()) < 0)
        return fail(err, path);
    return STATUS_OK;
}

enum status data_dir_lock(const char *dir, int *ret_fd, struct err *err)
{
    char path[PATH_MAX];
    enum status s;
    int fd;

    *ret_fd = -1;
    (void)snprintf(path, sizeof(path), "%s/posternd.lock", dir); /* cut: does not open */
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fail(err, path);
    s = lock_file(fd, dir, path, err);
    if (s == STATUS_OK)
        *ret_fd = fd;
    else
        close(fd);
    return s;
}

enum status store_dir_check(const char *path, bool can_mend, struct err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return fail(err, path);
    if (!S_ISDIR(st.st_mode)) {
        err_set(err, "%s: not a directory", path);
        return STATUS_DENIED;
    }
    if (geteuid() != 0 && st.st_uid != geteuid()) {
        err_set(err, "%s: belongs to user %ld, and this process runs as user %ld", path,
                (long)st.st_uid, (long)geteuid());
        return STATUS_DENIED;
    }
    if (can_mend && (st.st_mode & 0777) != STORE_MODE && chmod(path, STORE_MODE) != 0)
        return fail(err, path);
    return STATUS_OK;
}

enum status dir_sync(const char *path, struct err *err)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) != 0)
        return fail(err, path);
    return STATUS_OK;
}

static void closedirp(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

bool data_dir_is_ours(const char *dir)
{
    static const char *const OURS[] = {
        ".",          "..",  "store",         "store.new",         "posternd.lock",
        "master.key", "tls", "posternd.json", "posternd.json.new", "lost+found",
    };
    CLEANUP(closedirp) DIR *entries = opendir(dir);
    const struct dirent *entry;
    bool is_ours = entries != NULL;

    while (is_ours && (entry = readdir(entries)) != NULL) {
        is_ours = false;
        for (size_t i = 0; i < sizeof(OURS) / sizeof(*OURS); i++)
            is_ours |= strcmp(entry->d_name, OURS[i]) == 0;
    }
    return is_ours;
}

enum status dir_remove(const char *path, struct err *err)
{
    CLEANUP(closedirp) DIR *dir = opendir(path);
    struct dirent *entry;

    if (dir == NULL)
        return errno == ENOENT ? STATUS_OK : fail(err, path);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0)
            return fail(err, path);
    }
    return rmdir(path) == 0 ? STATUS_OK : fail(err, path);
}

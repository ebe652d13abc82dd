/*
 * powerloss: a library for LD_PRELOAD that records what a process writes to one file and when it
 * makes it durable, so that tests/e2e/powerloss.py can build the file as a power cut would have
 * left it at any moment.
 *
 *     LD_PRELOAD=libpowerloss.so POWERLOSS_FILE=…/data.mdb POWERLOSS_LOG=… posternd …
 *
 * A write is recorded before it is made, because from then on any part of it may be on the disk; a
 * sync is recorded after it returned, because only then does the disk hold what was written before
 * it began. A write to a descriptor with O_DSYNC (LMDB's meta page) is a write and then a sync of
 * itself. The file is known by device and inode, and must exist when the process starts. What the
 * recorder cannot follow, a shared writable mapping or a cut by ftruncate, is recorded as UNKNOWN,
 * and the test fails.
 *
 * The log is a sequence of records: struct entry, then, for a write, its bytes.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PARTS_MAX 64 /* LMDB's own MDB_COMMIT_PAGES */

enum kind { WRITE = 1, SYNC_ALL, SYNC_ONE, EXTEND, UNKNOWN };

struct entry {
    uint32_t kind;
    uint32_t reserved;
    uint64_t place; /* SYNC_ALL: entries before this place in the log are durable;
                     * SYNC_ONE: the one at this place is */
    uint64_t offset, length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static dev_t device;
static ino_t inode;

__attribute__((constructor)) static void begin(void)
{
    const char *file = getenv("POWERLOSS_FILE"), *log = getenv("POWERLOSS_LOG");
    struct stat status;
    if (!file || !log || stat(file, &status) != 0)
        return;
    device = status.st_dev;
    inode = status.st_ino;
    log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        abort();
}

/* The next definition: libc's, or a sanitizer's. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

static bool is_watched(int fd)
{
    struct stat status;
    return log_fd >= 0 && fstat(fd, &status) == 0 && status.st_dev == device &&
           status.st_ino == inode;
}

/* Several processes may record into one log (the tools beside the server), so places are offsets
 * in it and not a count of ours. */
static uint64_t log_bytes(void)
{
    struct stat status;
    return fstat(log_fd, &status) == 0 ? (uint64_t)status.st_size : 0;
}

/* One writev for entry and bytes: a reader of the log finds whole entries. Returns its place. */
static uint64_t record(enum kind kind, uint64_t place, uint64_t offset, const struct iovec *parts,
                       int count)
{
    struct entry entry = {.kind = kind, .place = place, .offset = offset};
    struct iovec all[PARTS_MAX + 1] = {{&entry, sizeof entry}};
    REAL(writev);
    if (count > PARTS_MAX)
        abort();
    for (int i = 0; i < count; i++) {
        all[i + 1] = parts[i];
        entry.length += parts[i].iov_len;
    }
    pthread_mutex_lock(&lock);
    ssize_t written = real(log_fd, all, count + 1);
    off_t end = lseek(log_fd, 0, SEEK_CUR);
    pthread_mutex_unlock(&lock);
    if (written != (ssize_t)(sizeof entry + entry.length))
        abort(); /* a recording with holes would prove nothing */
    return (uint64_t)end - (uint64_t)written;
}

static uint64_t record_write(uint64_t offset, const void *bytes, size_t count)
{
    return record(WRITE, 0, offset, &(struct iovec){(void *)bytes, count}, 1);
}

static void made(int fd, uint64_t place)
{
    if (fcntl(fd, F_GETFL) & O_DSYNC) /* O_SYNC includes it */
        record(SYNC_ONE, place, 0, NULL, 0);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    REAL(pwrite);
    if (!is_watched(fd))
        return real(fd, bytes, count, offset);
    uint64_t place = record_write((uint64_t)offset, bytes, count);
    ssize_t written = real(fd, bytes, count, offset);
    if (written == (ssize_t)count)
        made(fd, place);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    return pwrite(fd, bytes, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(pwritev);
    if (!is_watched(fd))
        return real(fd, parts, count, offset);
    uint64_t place = record(WRITE, 0, (uint64_t)offset, parts, count);
    ssize_t written = real(fd, parts, count, offset);
    made(fd, place);
    return written;
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write);
    if (!is_watched(fd))
        return real(fd, bytes, count);
    uint64_t place = record_write((uint64_t)lseek(fd, 0, SEEK_CUR), bytes, count);
    ssize_t written = real(fd, bytes, count);
    if (written == (ssize_t)count)
        made(fd, place);
    return written;
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    if (!is_watched(fd))
        return real(fd, parts, count);
    uint64_t place = record(WRITE, 0, (uint64_t)lseek(fd, 0, SEEK_CUR), parts, count);
    ssize_t written = real(fd, parts, count);
    made(fd, place);
    return written;
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    bool watched = is_watched(fd);
    uint64_t before = watched ? log_bytes() : 0;
    int result = real(fd);
    if (watched && result == 0)
        record(SYNC_ALL, before, 0, NULL, 0);
    return result;
}

int fsync(int fd)
{
    REAL(fsync);
    bool watched = is_watched(fd);
    uint64_t before = watched ? log_bytes() : 0;
    int result = real(fd);
    if (watched && result == 0)
        record(SYNC_ALL, before, 0, NULL, 0);
    return result;
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    struct stat status;
    if (is_watched(fd) && fstat(fd, &status) == 0)
        record(length < status.st_size ? UNKNOWN : EXTEND, 0, (uint64_t)length, NULL, 0);
    return real(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}

/* Only a mapping that can be written matters, and only shared ones are ever synced. */
void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & MAP_SHARED) && is_watched(fd))
        record(UNKNOWN, 0, (uint64_t)offset, NULL, 0);
    return real(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

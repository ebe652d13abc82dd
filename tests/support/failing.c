/*
 * failing: a library for LD_PRELOAD under which calls fail, or take long, at a test's word.
 *
 *     LD_PRELOAD=libfailing.so FAILING_RULES=FILE posternd …
 *
 * FILE holds one struct rule for each kind of call and is mapped: what tests/e2e/failing.py writes
 * there is in force with the next call, and how many calls came and failed can be read from it.
 * The rules are looked at by file descriptor's kind and by thread, never by what is written:
 *
 *   write    write, pwrite, writev, pwritev to regular files but the standard streams
 *   sync     fdatasync, fsync
 *   map      mmap of a file
 *   memory   malloc and its relatives
 *   accept   accept, accept4
 *   send     write, writev, send, sendmsg to a socket
 *   receive  read, recv, recvmsg from a socket
 *   connect  socket, connect
 *
 * Allocations go to glibc's own names, because dlsym allocates; so this is not for sanitizer builds
 * when memory is to fail.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { WRITE, SYNC, MAP, MEMORY, ACCEPT, SEND, RECEIVE, CONNECT, KINDS };

/* Written by the test, but for the counts. 64 bytes. */
struct rule {
    _Atomic uint32_t error; /* an errno; 0: none fails */
    _Atomic uint32_t every; /* each so many-th fails; 1: all */
    _Atomic uint32_t delay_us;
    _Atomic uint32_t once; /* not 0: the rule ends with its first failure */
    char thread[16]; /* only on threads whose name begins so; "!http": on all others; "": on all */
    _Atomic uint64_t calls, failed;
    uint64_t reserved[2];
};

static struct rule *rules;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAILING_RULES");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *map = mmap(NULL, sizeof(struct rule) * KINDS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        abort(); /* a test that fails nothing would prove nothing */
    rules = map;
    close(fd);
}

static bool is_of_thread(const struct rule *rule)
{
    char name[16] = "";
    bool is_not = rule->thread[0] == '!';
    const char *begins = rule->thread + is_not;
    if (*begins == '\0')
        return true;
    prctl(PR_GET_NAME, name);
    return (strncmp(name, begins, strlen(begins)) == 0) != is_not;
}

/* True: the call shall fail, and errno says why. */
static bool fails(enum kind kind)
{
    struct rule *rule = rules ? &rules[kind] : NULL;
    if (!rule || (rule->error == 0 && rule->delay_us == 0) || !is_of_thread(rule))
        return false;
    if (rule->delay_us != 0) {
        struct timespec delay = {rule->delay_us / 1000000, rule->delay_us % 1000000 * 1000};
        nanosleep(&delay, NULL);
    }
    uint64_t call = atomic_fetch_add(&rule->calls, 1) + 1;
    uint32_t error = rule->error;
    if (error == 0 || call % (rule->every ? rule->every : 1) != 0)
        return false;
    if (rule->once && atomic_exchange(&rule->error, 0) == 0)
        return false;
    atomic_fetch_add(&rule->failed, 1);
    errno = (int)error;
    return true;
}

/* What a descriptor is, or KINDS where it is none of ours. */
static enum kind kind_of(int fd, enum kind on_socket)
{
    struct stat status;
    if (!rules || fstat(fd, &status) != 0)
        return KINDS;
    if (S_ISSOCK(status.st_mode))
        return on_socket;
    return S_ISREG(status.st_mode) && fd > STDERR_FILENO && on_socket == SEND ? WRITE : KINDS;
}

static bool fails_on(int fd, enum kind on_socket)
{
    enum kind kind = kind_of(fd, on_socket);
    return kind != KINDS && fails(kind);
}

/* The next definition: libc's, or a sanitizer's. */
#define REAL(name)                                                                                 \
    static __typeof__(name) *real;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

/* ---- disk ---- */

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    REAL(pwrite);
    return fails_on(fd, SEND) ? -1 : real(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset)
{
    return pwrite(fd, bytes, count, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    REAL(pwritev);
    return fails_on(fd, SEND) ? -1 : real(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset)
{
    return pwritev(fd, parts, count, offset);
}

ssize_t write(int fd, const void *bytes, size_t count)
{
    REAL(write);
    return fails_on(fd, SEND) ? -1 : real(fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(writev);
    return fails_on(fd, SEND) ? -1 : real(fd, parts, count);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return fails(SYNC) ? -1 : real(fd);
}

int fsync(int fd)
{
    REAL(fsync);
    return fails(SYNC) ? -1 : real(fd);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    REAL(mmap);
    return fd >= 0 && fails(MAP) ? MAP_FAILED
                                 : real(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off64_t offset)
{
    return mmap(address, length, protection, flags, fd, offset);
}

/* ---- sockets ---- */

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    REAL(accept4);
    return fails(ACCEPT) ? -1 : real(fd, address, length, flags);
}

int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    REAL(accept);
    return fails(ACCEPT) ? -1 : real(fd, address, length);
}

ssize_t send(int fd, const void *bytes, size_t count, int flags)
{
    REAL(send);
    return fails_on(fd, SEND) ? -1 : real(fd, bytes, count, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(sendmsg);
    return fails_on(fd, SEND) ? -1 : real(fd, message, flags);
}

ssize_t read(int fd, void *bytes, size_t count)
{
    REAL(read);
    return fails_on(fd, RECEIVE) ? -1 : real(fd, bytes, count);
}

ssize_t recv(int fd, void *bytes, size_t count, int flags)
{
    REAL(recv);
    return fails_on(fd, RECEIVE) ? -1 : real(fd, bytes, count, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(recvmsg);
    return fails_on(fd, RECEIVE) ? -1 : real(fd, message, flags);
}

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    return fails(CONNECT) ? -1 : real(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *address, socklen_t length)
{
    REAL(connect);
    return fails(CONNECT) ? -1 : real(fd, address, length);
}

/* ---- memory ---- */

#ifdef FAILING_MEMORY
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    return fails(MEMORY) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(MEMORY) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    return fails(MEMORY) ? NULL : __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(memory, bytes);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
    if (fails(MEMORY))
        return ENOMEM;
    *ret_memory = __libc_memalign(alignment, size);
    return *ret_memory ? 0 : ENOMEM;
}
#endif

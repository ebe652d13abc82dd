/*
 * intruder: a library for LD_PRELOAD that does in a running server what somebody would try who has
 * taken it over, and writes down how each attempt ended.
 *
 *     LD_PRELOAD=libintruder.so INTRUDER_REPORT=FILE INTRUDER_ALIEN=PATH posternd …
 *
 * A line an attempt, "name errno", 0 where it succeeded; the last line is "end". The attempts are
 * made in the first uv_run: once the server has given up what it gives up. INTRUDER_ALIEN is a file
 * outside the data directory that the server has no business with. Attempts that would do harm
 * where they succeed are such that they do none: a signal 0, the same owner, the same time.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int report = -1;

/* Opened now: later the server can reach its own files only. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("INTRUDER_REPORT");
    if (path && (report = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
        abort(); /* a test without a report would prove nothing */
}

static void tell(const char *name, long result)
{
    dprintf(report, "%s %d\n", name, result < 0 ? errno : 0);
}

static long opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    return fd < 0 ? fd : close(fd);
}

static long opened_socket(int family, int type)
{
    int fd = socket(family, type, 0);
    return fd < 0 ? fd : close(fd);
}

static long made_process(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? child : waitpid(child, NULL, 0);
}

/* Its own error: nobody listens, unless it is forbidden to ask. */
static long connected_to_abstract_socket(void)
{
    const char *name = getenv("INTRUDER_ABSTRACT");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path + 1, name ? name : "nobody", sizeof address.sun_path - 2);
    return connect(
        fd, (struct sockaddr *)&address,
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1)));
}

static void try_files(void)
{
    const char *alien = getenv("INTRUDER_ALIEN");
    char other[4096], parent[64];
    struct stat st;
    snprintf(other, sizeof other, "%s.new", alien);
    snprintf(parent, sizeof parent, "/proc/%d/status", (int)getppid());
    tell("read an alien file", opened(alien, O_RDONLY));
    tell("write an alien file", opened(alien, O_WRONLY));
    tell("make a file elsewhere", opened(other, O_WRONLY | O_CREAT));
    tell("make a file in /etc", opened("/etc/postern-intruder", O_WRONLY | O_CREAT));
    tell("remove an alien file", unlink(alien));
    tell("look at another process", opened(parent, O_RDONLY));
    tell("give a file away", fstat(report, &st) == 0 ? fchown(report, st.st_uid, st.st_gid) : -1);
    tell("read what the resolver reads", opened("/etc/passwd", O_RDONLY));
}

static void try_processes(void)
{
    char name[] = "true", *words[] = {name, NULL};
    tell("make a process", made_process());
    tell("trace another process", ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
    tell("signal another process", kill(getppid(), 0));
    tell("connect to an abstract socket", connected_to_abstract_socket());
    tell("become another user", setuid(getuid()));
    tell("make a namespace", unshare(CLONE_NEWUSER));
    tell("mount", mount("none", "/mnt", "tmpfs", 0, NULL));
    tell("run a program", execv("/bin/true", words)); /* last: what comes back has failed */
}

static void try_kernel(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    tell("set the clock", clock_settime(CLOCK_REALTIME, &now));
    tell("load a program into the kernel", syscall(SYS_bpf, 0, NULL, 0));
    tell("make an io_uring", syscall(SYS_io_uring_setup, 1, NULL));
    tell("open a packet socket", opened_socket(AF_PACKET, SOCK_RAW));
    tell("open an internet socket", opened_socket(AF_INET, SOCK_STREAM));
}

int uv_run(void *loop, int mode);
int uv_run(void *loop, int mode) /* libuv's, its types aside */
{
    static atomic_flag has_tried = ATOMIC_FLAG_INIT;
    int (*real)(void *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "uv_run");
    if (report >= 0 && !atomic_flag_test_and_set(&has_tried)) {
        try_files();
        try_kernel();
        try_processes();
        dprintf(report, "end 0\n");
    }
    return real(loop, mode);
}

/* What the server gives up is gone, and what it needs is still there. Each test applies the fence
 * or the filter in a child process, for they cannot be taken off again. */
#include "base/cleanup.h"
#include "ingest/hardening.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { FINE, WRONG, ABSENT = 77 };

static char folder[] = "/tmp/test-hardening-XXXXXX";

static char *inside(const char *name)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int attempt(int (*body)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body());
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void must_be_fine(int (*body)(void))
{
    int code = attempt(body);
    if (code == ABSENT)
        skip(); /* this kernel or this build has none, which the server logs */
    assert_int_equal(code, FINE);
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s: %m\n", __FILE__, __LINE__, #condition);                    \
            return WRONG;                                                                          \
        }                                                                                          \
    } while (0)

/* ---- the filter ---- */

#define FILTER()                                                                                   \
    do {                                                                                           \
        struct err err = {0};                                                                      \
        CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);                                        \
        enum status s = syscall_filter_apply(&err);                                                \
        if (s == STATUS_NOT_FOUND)                                                                 \
            return ABSENT;                                                                         \
        CHECK(s == STATUS_OK);                                                                     \
    } while (0)

static int run_a_program(void)
{
    char name[] = "true", *words[] = {name, NULL};
    FILTER();
    CHECK(execv("/bin/true", words) == -1 && errno == EPERM);
    return FINE;
}

static void no_program_can_be_run(void **state)
{
    (void)state;
    must_be_fine(run_a_program);
}

#ifndef HARDENING_FOR_SANITIZERS
static int make_a_process(void)
{
    FILTER();
    CHECK(fork() == -1 && errno == EPERM);
    CHECK(vfork() == -1 && errno == EPERM);
    CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 && errno == EPERM);
    return FINE;
}

static void no_process_can_be_made_or_traced(void **state)
{
    (void)state;
    must_be_fine(make_a_process);
}
#endif

static void *answer(void *argument)
{
    *(int *)argument = 42;
    return NULL;
}

static int make_a_thread(void)
{
    pthread_t thread;
    int value = 0;
    FILTER();
    CHECK(pthread_create(&thread, NULL, answer, &value) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && value == 42);
    return FINE;
}

static void threads_can_be_made(void **state)
{
    (void)state;
    must_be_fine(make_a_thread);
}

static int become_another(void)
{
    FILTER();
    CHECK(setuid(getuid()) == -1 && errno == EPERM);
    CHECK(mount("none", "/", "tmpfs", 0, NULL) == -1 && errno == EPERM);
    CHECK(syscall(SYS_bpf, 0, NULL, 0) == -1 && errno == EPERM);
    CHECK(syscall(SYS_keyctl, 0, 0, 0, 0, 0) == -1 && errno == EPERM);
    CHECK(syscall(SYS_io_uring_setup, 1, NULL) == -1 && errno == ENOSYS);
    return FINE;
}

static void nobody_else_can_be_become(void **state)
{
    (void)state;
    must_be_fine(become_another);
}

static int open_sockets(void)
{
    FILTER();
    CHECK(socket(AF_INET, SOCK_STREAM, 0) >= 0);
    CHECK(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
    CHECK(socket(AF_NETLINK, SOCK_RAW, 0) >= 0);
    CHECK(socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == EAFNOSUPPORT);
    CHECK(socket(AF_ALG, SOCK_SEQPACKET, 0) == -1 && errno == EAFNOSUPPORT);
    CHECK(socket(AF_VSOCK, SOCK_STREAM, 0) == -1 && errno == EAFNOSUPPORT);
    return FINE;
}

static void only_sockets_of_the_internet_and_unix_can_be_opened(void **state)
{
    (void)state;
    must_be_fine(open_sockets);
}

/* ---- the fence ---- */

static int put_file(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    return fd >= 0 && write(fd, "x", 1) == 1 ? 0 : -1;
}

static int get_file(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY);
    return fd >= 0 ? 0 : -1;
}

/* As certbot lays it out: live/cert.pem is a link into archive/. */
static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    const char *const names[] = {"data",          "schemas", "certs", "certs/live",
                                 "certs/archive", "run",     "other"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (mkdir(inside(names[i]), 0700) != 0)
            return -1;
    return put_file(inside("certs/archive/1.pem")) | put_file(inside("other/secret")) |
           put_file(inside("schemas/a.json")) |
           symlink("../archive/1.pem", inside("certs/live/cert.pem"));
}

static int remove_files(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static int fence(void)
{
    struct settings settings = {.data = inside("data"),
                                .schemas = inside("schemas/types"),
                                .tls_cert = inside("certs/live/cert.pem"),
                                .tls_key = inside("certs/live/cert.pem"),
                                .admin_listen = inside("run/admin.sock")};
    struct err err = {0};
    int version = 0;
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    enum status s = file_fence_apply(&settings, &version, &err);
    if (s == STATUS_NOT_FOUND)
        return ABSENT;
    CHECK(s == STATUS_OK && version > 0);
    return FINE;
}

#define FENCE()                                                                                    \
    do {                                                                                           \
        int code = fence();                                                                        \
        if (code != FINE)                                                                          \
            return code;                                                                           \
    } while (0)

static int use_the_data_directory(void)
{
    FENCE();
    CHECK(put_file(inside("data/new")) == 0);
    CHECK(truncate(inside("data/new"), 0) == 0);
    CHECK(rename(inside("data/new"), inside("data/renamed")) == 0);
    CHECK(mkdir(inside("data/tls"), 0700) == 0);
    CHECK(unlink(inside("data/renamed")) == 0);
    CHECK(rmdir(inside("data/tls")) == 0);
    return FINE;
}

static void the_data_directory_can_be_written(void **state)
{
    (void)state;
    must_be_fine(use_the_data_directory);
}

static int reload(void)
{
    FENCE();
    CHECK(get_file(inside("schemas/a.json")) == 0);
    CHECK(get_file(inside("certs/live/cert.pem")) == 0);
    CHECK(get_file("/etc/passwd") == 0);
    CHECK(get_file("/proc/self/status") == 0);
    CHECK(put_file("/dev/null") == 0);
    return FINE;
}

static void what_a_reload_and_the_resolver_read_can_be_read(void **state)
{
    (void)state;
    must_be_fine(reload);
}

static int renew(void)
{
    /* Made by someone else, after the fence was put up. */
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        if (read(ready[0], &byte, 1) != 1)
            _exit(WRONG);
        _exit(put_file(inside("certs/archive/2.pem")) |
              symlink("../archive/2.pem", inside("certs/live/next")) |
              rename(inside("certs/live/next"), inside("certs/live/cert.pem")));
    }
    FENCE();
    int status = 0;
    CHECK(write(ready[1], "", 1) == 1);
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(get_file(inside("certs/live/cert.pem")) == 0);
    return FINE;
}

static void a_certificate_that_was_renewed_can_be_read(void **state)
{
    (void)state;
    must_be_fine(renew);
}

static int make_the_admin_socket(void)
{
    FENCE();
    CHECK(mknod(inside("run/admin.sock"), S_IFSOCK | 0600, 0) == 0);
    CHECK(unlink(inside("run/admin.sock")) == 0);
    return FINE;
}

static void the_admin_socket_can_be_made_and_removed(void **state)
{
    (void)state;
    must_be_fine(make_the_admin_socket);
}

static int reach_other_files(void)
{
    FENCE();
#ifndef HARDENING_FOR_SANITIZERS
    CHECK(get_file(inside("other/secret")) == -1 && errno == EACCES);
#endif
    CHECK(put_file(inside("other/new")) == -1 && errno == EACCES);
    CHECK(put_file(inside("schemas/a.json")) == -1 && errno == EACCES);
    CHECK(unlink(inside("other/secret")) == -1 && errno == EACCES);
    CHECK(put_file("/etc/new") == -1 && errno == EACCES);
    return FINE;
}

static void other_files_cannot_be_reached(void **state)
{
    (void)state;
    must_be_fine(reach_other_files);
}

static int execute_a_file(void)
{
    char name[] = "true", *words[] = {name, NULL};
    FENCE();
    CHECK(execv("/bin/true", words) == -1 && errno == EACCES);
    return FINE;
}

static void nothing_can_be_executed(void **state)
{
    (void)state;
    must_be_fine(execute_a_file);
}

/* ---- both ---- */

static int apply_all(void)
{
    struct settings settings = {.data = inside("data"),
                                .schemas = inside("schemas"),
                                .admin_listen = inside("run/admin.sock")};
    struct rlimit core;
    hardening_apply(&settings);
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);
#ifndef HARDENING_FOR_SANITIZERS
    CHECK(prctl(PR_GET_DUMPABLE) == 0);
#endif
    return FINE;
}

static void no_core_is_dumped_and_no_privilege_gained(void **state)
{
    (void)state;
    assert_int_equal(attempt(apply_all), FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_program_can_be_run),
#ifndef HARDENING_FOR_SANITIZERS
        cmocka_unit_test(no_process_can_be_made_or_traced),
#endif
        cmocka_unit_test(threads_can_be_made),
        cmocka_unit_test(nobody_else_can_be_become),
        cmocka_unit_test(only_sockets_of_the_internet_and_unix_can_be_opened),
        cmocka_unit_test(the_data_directory_can_be_written),
        cmocka_unit_test(what_a_reload_and_the_resolver_read_can_be_read),
        cmocka_unit_test(a_certificate_that_was_renewed_can_be_read),
        cmocka_unit_test(the_admin_socket_can_be_made_and_removed),
        cmocka_unit_test(other_files_cannot_be_reached),
        cmocka_unit_test(nothing_can_be_executed),
        cmocka_unit_test(no_core_is_dumped_and_no_privilege_gained),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}

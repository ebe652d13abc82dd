/*
 * Listeners: bound once by http_server_start, one socket a loop (SO_REUSEPORT spreads connections
 * over them), accepted from on the loop (http_accept.c).
 */
#include "ingest/http_private.h"

#include "base/cleanup.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

/* --- binding --- */

static enum status bind_status(struct err *err, const char *what, const char *where)
{
    int error = errno;
    err_set(err, "%s %s: %s", what, where, strerror(error));
    if (error == EADDRINUSE)
        return STATUS_BUSY;
    if (error == EACCES || error == EPERM)
        return STATUS_DENIED;
    return STATUS_IO;
}

static bool tcp_configure(int fd, const struct sockaddr_storage *address, bool is_shared)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           (!is_shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == 0) &&
           (address->ss_family != AF_INET6 ||
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0);
}

static int tcp_open(const struct sockaddr_storage *address, socklen_t len, const char *text,
                    enum status *ret_status, struct err *err)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && tcp_configure(fd, address, true) &&
        bind(fd, (const struct sockaddr *)address, len) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    *ret_status = bind_status(err, "listen on", text);
    closep(&fd);
    return -1;
}

/* SO_REUSEPORT would let a second server share the port in silence; find out first. */
static enum status check_port_is_free(const struct sockaddr_storage *address, socklen_t len,
                                      const char *text, struct err *err)
{
    CLEANUP(closep) int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || !tcp_configure(fd, address, false) ||
        bind(fd, (const struct sockaddr *)address, len) != 0)
        return bind_status(err, "listen on", text);
    return STATUS_OK;
}

static enum status tcp_listener_open(struct http_listener *listener, const char *text,
                                     unsigned threads, struct err *err)
{
    struct sockaddr_storage address;
    socklen_t len;
    enum status status = host_port_parse(bytes_of_str(text), &address, &len);
    if (status != STATUS_OK) {
        err_set(err, "listen on %s: not an address and port", text);
        return STATUS_INVALID;
    }
    status = check_port_is_free(&address, len, text, err);
    for (unsigned i = 0; status == STATUS_OK && i < threads; i++) {
        listener->fds[i] = tcp_open(&address, len, text, &status, err);
        if (listener->fds[i] >= 0 &&
            getsockname(listener->fds[i], (struct sockaddr *)&address, &len))
            status = bind_status(err, "listen on", text); /* port 0 is known from here on */
    }
    if (status == STATUS_OK) {
        char where[64];
        host_port_format((struct sockaddr *)&address, where);
        snprintf(listener->url, sizeof listener->url, "%s://%s",
                 listener->kind == HTTP_TLS ? "https" : "http", where);
    }
    return status;
}

/* A socket file that nobody listens on is left over from a crash. */
static enum status remove_stale(const struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    if (lstat(address->sun_path, &st) != 0)
        return STATUS_OK;
    if (!S_ISSOCK(st.st_mode)) {
        err_set(err, "listen on %s: it exists and is not a socket", address->sun_path);
        return STATUS_INVALID;
    }
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
        err_set(err, "listen on %s: another process listens there", address->sun_path);
        return STATUS_BUSY;
    }
    if (unlink(address->sun_path) != 0)
        return bind_status(err, "remove stale socket", address->sun_path);
    return STATUS_OK;
}

static enum status unix_listener_open(struct http_listener *listener, const char *path,
                                      struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        err_set(err, "listen on %s: a Unix socket's path has at most %zu characters", path,
                sizeof address.sun_path - 1);
        return STATUS_INVALID;
    }
    strcpy(address.sun_path, path);
    enum status status = remove_stale(&address, err);
    if (status != STATUS_OK)
        return status;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    listener->fds[0] = fd;
    /* fchmod before bind sets the mode that bind creates the file with: never open for others */
    if (fd < 0 || fchmod(fd, 0660) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || chmod(path, 0660) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0)
        return bind_status(err, "listen on", path);
    listener->unix_path = strdup(path);
    snprintf(listener->url, sizeof listener->url, "unix:%s", path);
    return STATUS_OK;
}

enum status listener_open(struct http_listener *listener, const struct http_listen *listen,
                          unsigned threads, struct err *err)
{
    listener->kind = listen->kind;
    listener->is_unix = listen->kind == HTTP_ADMIN && strchr(listen->address, '/') != NULL;
    listener->fds = malloc(threads * sizeof *listener->fds);
    if (listener->fds == NULL)
        return STATUS_NO_MEMORY;
    for (unsigned i = 0; i < threads; i++)
        listener->fds[i] = -1;
    if (listener->is_unix)
        return unix_listener_open(listener, listen->address, err);
    return tcp_listener_open(listener, listen->address, listen->kind == HTTP_ADMIN ? 1 : threads,
                             err);
}

void listener_fini(struct http_listener *listener, unsigned threads)
{
    for (unsigned i = 0; listener->fds != NULL && i < threads; i++)
        closep(&listener->fds[i]);
    free(listener->fds);
    listener->fds = NULL;
    if (listener->unix_path != NULL)
        (void)unlink(listener->unix_path); /* gone already: as good */
    free(listener->unix_path);
    listener->unix_path = NULL;
}

/*
 * receiver: an HTTP/1.1 server on a loopback port for tests of the real client, a thread for each
 * connection. How it behaves stands in the path of the URL it is called by:
 *
 *   /ok  /status/503  /redirect  /hang  /close  /garbage  /endless  /headers  /drip  /broken
 *   /hold: answers 200 once receiver_release was called
 *
 * Every request that was read whole is kept.
 */
#pragma once

#include "base/bytes.h"
#include "base/must.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUESTS_MAX 4096
#define CONNECTIONS_MAX 256

struct request {
    char path[64];
    char head[4096];
    char *body;
    size_t body_bytes;
};

struct receiver_server {
    int listener;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    struct request requests[REQUESTS_MAX];
    size_t request_count;
    int connections[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    size_t connection_count;
    atomic_bool is_released;
};

struct connection {
    struct receiver_server *server;
    int fd;
};

static inline bool put(int fd, const char *text)
{
    size_t len = strlen(text);
    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Until the peer goes away. */
static inline void wait_for_end(int fd)
{
    char byte[512];
    while (recv(fd, byte, sizeof byte, 0) > 0)
        continue;
}

static inline void put_for_ever(int fd, const char *head, const char *piece, unsigned pause_ms)
{
    bool is_open = put(fd, head);
    while (is_open && put(fd, piece)) {
        char byte;
        if (pause_ms)
            usleep(pause_ms * 1000);
        is_open = recv(fd, &byte, 1, MSG_DONTWAIT) != 0;
    }
}

static inline void put_status(int fd, unsigned status)
{
    char text[128];
    snprintf(text, sizeof text, "HTTP/1.1 %u Status\r\nContent-Length: 6\r\n\r\nthanks", status);
    put(fd, text);
}

/* True: the connection can be used again. */
static inline bool behave(struct receiver_server *server, int fd, const char *path)
{
    unsigned status;
    if (sscanf(path, "/status/%u", &status) == 1)
        return put_status(fd, status), true;
    if (strcmp(path, "/ok") == 0)
        return put_status(fd, 200), true;
    if (strcmp(path, "/hold") == 0) {
        while (!atomic_load(&server->is_released))
            usleep(1000);
        return put_status(fd, 200), true;
    }
    if (strcmp(path, "/redirect") == 0)
        return put(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    if (strcmp(path, "/hang") == 0)
        wait_for_end(fd);
    else if (strcmp(path, "/garbage") == 0)
        put(fd, "220 smtp.example ESMTP\r\n");
    else if (strcmp(path, "/endless") == 0)
        put_for_ever(fd, "HTTP/1.1 200 OK\r\n\r\n", "0123456789abcdef0123456789abcdef", 0);
    else if (strcmp(path, "/headers") == 0)
        put_for_ever(fd, "HTTP/1.1 200 OK\r\n", "X-More: 0123456789abcdef\r\n", 0);
    else if (strcmp(path, "/drip") == 0)
        put_for_ever(fd, "HTTP/1.1 200 OK\r\nX-Drip: ", "z", 10);
    else if (strcmp(path, "/broken") == 0)
        put(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly so much");
    return false; /* also /close */
}

/* One request with Content-Length. False: the connection ended. */
static inline bool request_read(int fd, struct request *request)
{
    size_t len = 0;
    char *end = NULL;
    request->head[0] = '\0';
    while (!end) {
        ssize_t got = recv(fd, request->head + len, 1, 0);
        if (got <= 0 || len + 2 > sizeof request->head)
            return false;
        len += (size_t)got;
        request->head[len] = '\0';
        end = strstr(request->head, "\r\n\r\n");
    }
    must(sscanf(request->head, "POST %63s HTTP/1.1", request->path) == 1);
    const char *length = strstr(request->head, "Content-Length: ");
    must(length != NULL);
    request->body_bytes = strtoul(length + 16, NULL, 10);
    request->body = malloc(request->body_bytes + 1);
    size_t have = 0;
    while (have < request->body_bytes) {
        ssize_t got = recv(fd, request->body + have, request->body_bytes - have, 0);
        if (got <= 0)
            return free(request->body), false;
        have += (size_t)got;
    }
    request->body[have] = '\0';
    return true;
}

static inline void *connection_run(void *context)
{
    struct connection connection = *(struct connection *)context;
    free(context);
    struct receiver_server *server = connection.server;
    struct request request;
    bool is_open = true;
    while (is_open && request_read(connection.fd, &request)) {
        pthread_mutex_lock(&server->lock);
        must(server->request_count < REQUESTS_MAX);
        server->requests[server->request_count++] = request;
        pthread_mutex_unlock(&server->lock);
        is_open = behave(server, connection.fd, request.path);
    }
    shutdown(connection.fd, SHUT_RDWR);
    return NULL;
}

static inline void *receiver_run(void *context)
{
    struct receiver_server *server = context;
    int fd;
    while ((fd = accept(server->listener, NULL, NULL)) >= 0) {
        struct connection *connection = malloc(sizeof *connection);
        must(connection != NULL && server->connection_count < CONNECTIONS_MAX);
        *connection = (struct connection){server, fd};
        server->connections[server->connection_count] = fd;
        must(pthread_create(&server->threads[server->connection_count++], NULL, connection_run,
                            connection) == 0);
    }
    return NULL;
}

static inline struct receiver_server *receiver_start(void)
{
    struct receiver_server *server = calloc(1, sizeof *server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    must(server != NULL);
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    must(bind(server->listener, (struct sockaddr *)&address, len) == 0);
    must(listen(server->listener, 64) == 0);
    must(getsockname(server->listener, (struct sockaddr *)&address, &len) == 0);
    server->port = ntohs(address.sin_port);
    pthread_mutex_init(&server->lock, NULL);
    must(pthread_create(&server->thread, NULL, receiver_run, server) == 0);
    return server;
}

static inline void receiver_release(struct receiver_server *server)
{
    atomic_store(&server->is_released, true);
}

static inline void receiver_stop(struct receiver_server *server)
{
    receiver_release(server);
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    for (size_t i = 0; i < server->connection_count; i++) {
        shutdown(server->connections[i], SHUT_RDWR);
        pthread_join(server->threads[i], NULL);
        close(server->connections[i]);
    }
    close(server->listener);
    for (size_t i = 0; i < server->request_count; i++)
        free(server->requests[i].body);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

static inline size_t receiver_count(struct receiver_server *server)
{
    pthread_mutex_lock(&server->lock);
    size_t count = server->request_count;
    pthread_mutex_unlock(&server->lock);
    return count;
}

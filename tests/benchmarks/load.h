/*
 * load: what the generator's two protocols share. When requests are sent, the numbered bodies, the
 * sockets and the samples are in load.c; load_h1.c and load_h2.c make requests and read answers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

struct options {
    const char *host;
    int port;
    bool is_tls, is_h1, is_post;
    int connections, streams, lines;
    double seconds;
    const char *key, *path, *content_type;
    uint64_t count, start;
    double rate;    /* requests a second, over all streams; 0: as many as are answered */
    bool is_random; /* numbers in no order, instead of rising */
};

/* One request at a time, the next when it is answered. */
struct stream {
    struct connection *connection;
    struct stream *next_idle;
    int64_t sent_us;
    char *body;
    size_t body_len, body_at;
    int status;
};

struct connection {
    int fd;
    SSL *ssl;
    void *session; /* the protocol's */
    struct stream *streams;
    uint8_t *out; /* what the socket did not take yet */
    size_t out_len, out_at, out_capacity;
    bool is_closed;
    bool is_touched; /* has requests that were submitted just now */
    struct connection *next_touched;
};

struct protocol {
    void (*start)(struct connection *connection);
    void (*submit)(struct stream *stream);
    void (*gather)(struct connection *connection); /* what is to be sent, into out; may be NULL */
    bool (*receive)(struct connection *connection, const uint8_t *data, size_t len);
};

extern const struct protocol PROTOCOL_H1, PROTOCOL_H2;
extern struct options options;

void out_append(struct connection *connection, const void *data, size_t len);

/* An answer that is not 200 has this to say; the first is printed at the end. */
void complain(int status, const char *text, size_t len);

/* The answer is complete, or there will be none; sends the stream's next request. */
void finished(struct stream *stream, bool is_ok);

_Noreturn void die(const char *what);

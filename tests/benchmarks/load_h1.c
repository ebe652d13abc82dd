/*
 * HTTP/1.1 with keep-alive: one request at a time on a connection. Reads only what a server under
 * test answers with: a status line, Content-Length, and that many bytes.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_BYTES_MAX 16384

struct session {
    size_t head_len, body_left;
    bool is_in_body;
    char head[HEAD_BYTES_MAX];
};

static void submit(struct stream *stream)
{
    char head[1024];
    int len = snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: localhost\r\n",
                       options.is_post ? "POST" : "GET", options.path);
    if (options.key)
        len += snprintf(head + len, sizeof head - (size_t)len, "X-API-Key: %s\r\n", options.key);
    if (options.is_post)
        len += snprintf(head + len, sizeof head - (size_t)len,
                        "Content-Type: %s\r\nContent-Length: %zu\r\n", options.content_type,
                        stream->body_len);
    len += snprintf(head + len, sizeof head - (size_t)len, "\r\n");
    out_append(stream->connection, head, (size_t)len);
    out_append(stream->connection, stream->body, stream->body_len);
}

static void start(struct connection *connection)
{
    connection->session = calloc(1, sizeof(struct session));
}

/* Takes bytes until the head is whole; returns how many. */
static size_t take_head(struct session *session, struct stream *stream, const uint8_t *data,
                        size_t len)
{
    size_t at = 0;
    while (at < len && session->head_len < HEAD_BYTES_MAX - 1) {
        session->head[session->head_len++] = (char)data[at++];
        if (session->head_len < 4 ||
            memcmp(session->head + session->head_len - 4, "\r\n\r\n", 4) != 0)
            continue;
        session->head[session->head_len] = '\0';
        const char *length = strcasestr(session->head, "\r\ncontent-length:");
        if (sscanf(session->head, "HTTP/1.1 %d", &stream->status) != 1 || !length)
            die("an answer without status or Content-Length");
        session->body_left = strtoull(length + sizeof "\r\ncontent-length:" - 1, NULL, 10);
        session->is_in_body = true;
        session->head_len = 0;
        return at;
    }
    if (session->head_len == HEAD_BYTES_MAX - 1)
        die("an answer's head is too long");
    return at;
}

static bool receive(struct connection *connection, const uint8_t *data, size_t len)
{
    struct session *session = connection->session;
    struct stream *stream = &connection->streams[0];
    while (len > 0) {
        size_t took;
        if (!session->is_in_body) {
            took = take_head(session, stream, data, len);
        } else {
            took = len < session->body_left ? len : session->body_left;
            complain(stream->status, (const char *)data, took);
            session->body_left -= took;
        }
        data += took;
        len -= took;
        if (session->is_in_body && session->body_left == 0) {
            session->is_in_body = false;
            finished(stream, stream->status == 200);
        }
    }
    return true;
}

const struct protocol PROTOCOL_H1 = {.start = start, .submit = submit, .receive = receive};

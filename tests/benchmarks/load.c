/*
 * load: an HTTP/2 load generator that numbers its records, so that every request stores something
 * new (a generator that repeats one body would measure "unchanged").
 *
 *     load --to 127.0.0.1:8443 --tls --connections 4 --streams 64 --seconds 5 --key psn_… BODY_FILE
 *
 * BODY_FILE's first run of digits behind "workOrderNumber":" is replaced by a running number of the
 * same or greater width. One thread, epoll, closed loop: each stream sends its next request when it
 * has its answer. Prints one line of JSON: requests, errors, seconds, rate, p50/p99/p999 in ms.
 *
 * Without --key it sends GET requests to --path; that measures the generator and the HTTP stack.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define OUT_CHUNK 65536
#define SAMPLES_MAX 20000000

struct options {
    const char *host;
    int port;
    bool is_tls;
    int connections, streams;
    double seconds;
    const char *key, *path, *type;
    uint64_t start;
    bool is_random; /* numbers in no order, instead of rising */
};

struct stream {
    struct connection *connection;
    int64_t sent_us;
    char *body;
    size_t body_len, body_at;
    int status;
};

struct connection {
    int fd;
    SSL *ssl;
    nghttp2_session *session;
    struct stream *streams;
    uint8_t *out; /* what the socket did not take yet */
    size_t out_len, out_at, out_capacity;
    bool wants_write, is_closed;
};

static struct options options = {.host = "127.0.0.1",
                                 .port = 8443,
                                 .connections = 1,
                                 .streams = 1,
                                 .seconds = 5,
                                 .type = "workorder"};
static char *template_head, *template_tail;
static size_t head_len, tail_len;
static uint64_t next_number, done_requests, failed_requests;
static uint32_t *samples;
static size_t sample_count;
static int64_t started_us, stop_at_us;
static int active_streams;
static char last_error[256];

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

/* A bijection of 40 bits, so that random keys are distinct too. */
static uint64_t scramble(uint64_t n)
{
    const uint64_t mask = (UINT64_C(1) << 40) - 1;
    n = n * UINT64_C(0x5851f42d4c957f2d) & mask;
    n ^= n >> 21;
    n = n * UINT64_C(0x9fb21c651e98df25) & mask;
    return n ^ n >> 19;
}

static void fill_body(struct stream *stream)
{
    uint64_t number = options.start + next_number++;
    if (options.is_random)
        number = scramble(number);
    memcpy(stream->body, template_head, head_len);
    int digits = snprintf(stream->body + head_len, 24, "%013llu", (unsigned long long)number);
    memcpy(stream->body + head_len + (size_t)digits, template_tail, tail_len);
    stream->body_len = head_len + (size_t)digits + tail_len;
    stream->body_at = 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *out, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    (void)session;
    (void)id;
    (void)context;
    struct stream *stream = source->ptr;
    size_t left = stream->body_len - stream->body_at;
    size_t len = left < length ? left : length;
    memcpy(out, stream->body + stream->body_at, len);
    stream->body_at += len;
    if (stream->body_at == stream->body_len)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)len;
}

#define HEADER(name_, value_, len_)                                                                \
    {                                                                                              \
        (uint8_t *)(name_), (uint8_t *)(value_), sizeof(name_) - 1, (len_),                        \
            NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                           \
    }

static void submit(struct stream *stream)
{
    static char path[256];
    if (!path[0])
        snprintf(path, sizeof path, "%s%s", options.path ? options.path : "/api/webhook/",
                 options.path ? "" : options.type);
    bool is_post = options.key != NULL;
    nghttp2_nv headers[] = {
        HEADER(":method", is_post ? "POST" : "GET", is_post ? 4u : 3u),
        HEADER(":scheme", options.is_tls ? "https" : "http", options.is_tls ? 5u : 4u),
        HEADER(":authority", "localhost", 9),
        HEADER(":path", path, strlen(path)),
        HEADER("content-type", "application/json", 16),
        HEADER("x-api-key", options.key ? options.key : "", is_post ? strlen(options.key) : 0),
    };
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_body};
    if (is_post)
        fill_body(stream);
    stream->sent_us = now_us();
    stream->status = 0;
    int32_t id = nghttp2_submit_request(stream->connection->session, NULL, headers, is_post ? 6 : 4,
                                        is_post ? &provider : NULL, stream);
    if (id < 0)
        die("nghttp2_submit_request");
    active_streams++;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    (void)flags;
    (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream && name_len == 7 && memcmp(name, ":status", 7) == 0 && value_len == 3)
        stream->status = atoi((const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *context)
{
    (void)flags;
    (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream && stream->status != 200 && !last_error[0])
        snprintf(last_error, sizeof last_error, "%d %.*s", stream->status,
                 (int)(len < 200 ? len : 200), (const char *)data);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *context)
{
    (void)context;
    struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (!stream)
        return 0;
    int64_t now = now_us();
    active_streams--;
    if (error == 0 && stream->status == 200) {
        done_requests++;
        if (sample_count < SAMPLES_MAX)
            samples[sample_count++] = (uint32_t)(now - stream->sent_us);
    } else {
        failed_requests++;
    }
    if (now < stop_at_us && !stream->connection->is_closed)
        submit(stream);
    return 0;
}

static void connect_one(struct connection *connection, SSL_CTX *tls)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    inet_pton(AF_INET, options.host, &address.sin_addr);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die("connect");
    int one = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (tls) {
        connection->ssl = SSL_new(tls);
        SSL_set_fd(connection->ssl, connection->fd);
        if (SSL_connect(connection->ssl) != 1)
            die("TLS handshake");
    }
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
}

static void start_session(struct connection *connection)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_client_new(&connection->session, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20},
                                         {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    connection->streams = calloc((size_t)options.streams, sizeof *connection->streams);
    for (int i = 0; i < options.streams; i++) {
        connection->streams[i].connection = connection;
        connection->streams[i].body = malloc(head_len + tail_len + 32);
        submit(&connection->streams[i]);
    }
}

static ssize_t socket_write(struct connection *connection, const uint8_t *data, size_t len)
{
    if (!connection->ssl)
        return send(connection->fd, data, len, MSG_NOSIGNAL);
    int wrote = SSL_write(connection->ssl, data, (int)len);
    if (wrote > 0)
        return wrote;
    errno = SSL_get_error(connection->ssl, wrote) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
    return -1;
}

static ssize_t socket_read(struct connection *connection, uint8_t *data, size_t len)
{
    if (!connection->ssl)
        return recv(connection->fd, data, len, 0);
    int got = SSL_read(connection->ssl, data, (int)len);
    if (got > 0)
        return got;
    int error = SSL_get_error(connection->ssl, got);
    errno = EAGAIN;
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

/* Gather what the session wants to send, and send it. */
static void flush(struct connection *connection)
{
    for (;;) {
        while (connection->out_len < OUT_CHUNK) {
            const uint8_t *data;
            ssize_t len = nghttp2_session_mem_send(connection->session, &data);
            if (len <= 0)
                break;
            if (connection->out_len + (size_t)len > connection->out_capacity) {
                connection->out_capacity = 2 * (connection->out_len + (size_t)len) + OUT_CHUNK;
                connection->out = realloc(connection->out, connection->out_capacity);
            }
            memcpy(connection->out + connection->out_len, data, (size_t)len);
            connection->out_len += (size_t)len;
        }
        if (connection->out_len == connection->out_at)
            break;
        ssize_t wrote = socket_write(connection, connection->out + connection->out_at,
                                     connection->out_len - connection->out_at);
        if (wrote < 0) {
            connection->wants_write = errno == EAGAIN;
            connection->is_closed |= errno != EAGAIN;
            return;
        }
        connection->out_at += (size_t)wrote;
        if (connection->out_at == connection->out_len)
            connection->out_at = connection->out_len = 0;
    }
    connection->wants_write = false;
}

static void receive(struct connection *connection)
{
    static uint8_t data[262144];
    for (;;) {
        ssize_t got = socket_read(connection, data, sizeof data);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || nghttp2_session_mem_recv(connection->session, data, (size_t)got) < 0) {
            connection->is_closed = true;
            return;
        }
    }
}

static void run(struct connection *connections)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < options.connections; i++) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                    .data.ptr = &connections[i]};
        epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event);
        flush(&connections[i]);
    }
    int64_t give_up_us = stop_at_us + 5000000;
    while (active_streams > 0 && now_us() < give_up_us) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 100);
        int closed = 0;
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->is_closed)
                continue;
            receive(connection);
            flush(connection);
        }
        for (int i = 0; i < options.connections; i++)
            closed += connections[i].is_closed;
        if (closed == options.connections)
            break;
    }
    close(epoll);
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double fraction)
{
    if (sample_count == 0)
        return 0;
    size_t at = (size_t)(fraction * (double)sample_count);
    return samples[at < sample_count ? at : sample_count - 1] / 1000.0;
}

static void read_template(const char *path)
{
    FILE *file = fopen(path, "r");
    static char text[1 << 20];
    size_t len = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (len == 0)
        die(path);
    fclose(file);
    while (len > 0 && text[len - 1] == '\n')
        text[--len] = '\0';
    static const char MEMBER[] = "\"workOrderNumber\":\"";
    char *at = strstr(text, MEMBER);
    if (!at) {
        fprintf(stderr, "load: %s has no workOrderNumber\n", path);
        exit(1);
    }
    at += sizeof MEMBER - 1;
    at += strcspn(at, "0123456789");
    head_len = (size_t)(at - text);
    at += strspn(at, "0123456789");
    template_head = text;
    template_tail = at;
    tail_len = len - (size_t)(at - text);
}

static void read_options(int argc, char **argv)
{
    enum { TO = 256, TLS, CONNECTIONS, STREAMS, SECONDS, KEY, PATH, TYPE, START, RANDOM };
    static const struct option LONG[] = {{"to", 1, NULL, TO},
                                         {"tls", 0, NULL, TLS},
                                         {"connections", 1, NULL, CONNECTIONS},
                                         {"streams", 1, NULL, STREAMS},
                                         {"seconds", 1, NULL, SECONDS},
                                         {"key", 1, NULL, KEY},
                                         {"path", 1, NULL, PATH},
                                         {"type", 1, NULL, TYPE},
                                         {"start", 1, NULL, START},
                                         {"random", 0, NULL, RANDOM},
                                         {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        switch (option) {
        case TO: {
            char *colon = strrchr(optarg, ':');
            if (!colon)
                exit(2);
            *colon = '\0';
            options.host = optarg;
            options.port = atoi(colon + 1);
            break;
        }
        case TLS:
            options.is_tls = true;
            break;
        case CONNECTIONS:
            options.connections = atoi(optarg);
            break;
        case STREAMS:
            options.streams = atoi(optarg);
            break;
        case SECONDS:
            options.seconds = atof(optarg);
            break;
        case KEY:
            options.key = optarg;
            break;
        case PATH:
            options.path = optarg;
            break;
        case TYPE:
            options.type = optarg;
            break;
        case START:
            options.start = strtoull(optarg, NULL, 10);
            break;
        case RANDOM:
            options.is_random = true;
            break;
        default:
            exit(2);
        }
    }
    if (optind < argc)
        read_template(argv[optind]);
    else if (options.key)
        exit(2);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    read_options(argc, argv);
    SSL_CTX *tls = NULL;
    if (options.is_tls) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_alpn_protos(tls, (const uint8_t *)"\2h2", 3);
    }
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    struct connection *connections = calloc((size_t)options.connections, sizeof *connections);
    for (int i = 0; i < options.connections; i++)
        connect_one(&connections[i], tls);
    started_us = now_us();
    stop_at_us = started_us + (int64_t)(options.seconds * 1e6);
    for (int i = 0; i < options.connections; i++)
        start_session(&connections[i]);
    run(connections);
    double seconds = (double)(now_us() - started_us) / 1e6;
    qsort(samples, sample_count, sizeof *samples, compare_samples);
    printf("{\"requests\":%llu,\"errors\":%llu,\"seconds\":%.3f,\"rate\":%.0f,\"p50\":%.3f,"
           "\"p99\":%.3f,\"p999\":%.3f}\n",
           (unsigned long long)done_requests,
           (unsigned long long)(failed_requests + (uint64_t)active_streams), seconds,
           (double)done_requests / seconds, percentile(0.5), percentile(0.99), percentile(0.999));
    if (last_error[0])
        fprintf(stderr, "load: first error: %s\n", last_error);
    return failed_requests > 0;
}

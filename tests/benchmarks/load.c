/*
 * load: an HTTP load generator that numbers its records, so that every request stores something new
 * (a generator that repeats one body would measure "unchanged").
 *
 *     load --to 127.0.0.1:8443 --tls --connections 4 --streams 64 --seconds 5 --key psn_… BODY_FILE
 *
 * BODY_FILE's first run of digits behind "workOrderNumber":" is replaced by a running number of 13
 * digits. One thread, epoll, closed loop: each stream sends its next request when it has its
 * answer. HTTP/2, or with --h1 HTTP/1.1 (one stream a connection). --lines N sends batches of N
 * records, --count N ends after so many requests. With --rate N so many requests are due each
 * second: a stream waits for its next, and latency counts from when the request was due. Without
 * BODY_FILE it sends GET requests to --path. Prints one line of JSON: requests, errors, seconds,
 * rate, and p50/p99/p999 in ms.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MAX 20000000
#define GRACE_US 5000000
#define NUMBER_DIGITS 13

struct options options = {.host = "127.0.0.1",
                          .port = 8443,
                          .connections = 1,
                          .streams = 1,
                          .lines = 1,
                          .seconds = 5,
                          .path = "/api/webhook/workorder",
                          .content_type = "application/json",
                          .count = UINT64_MAX,
                          .start = 1};
static const struct protocol *protocol = &PROTOCOL_H2;
static char *template_head, *template_tail;
static size_t head_len, tail_len, line_len;
static uint64_t next_number, sent_requests, done_requests, failed_requests;
static uint32_t *samples;
static size_t sample_count;
static int64_t started_us, stop_at_us;
static int active_streams;
static struct stream *idle; /* with --rate: those that wait for their next request */
static uint64_t due_requests;
static char last_error[256];

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

void complain(int status, const char *text, size_t len)
{
    if (status != 200 && !last_error[0])
        snprintf(last_error, sizeof last_error, "%d %.*s", status, (int)(len < 200 ? len : 200),
                 text);
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

static void make_body(struct stream *stream)
{
    stream->body_len = (size_t)options.lines * line_len;
    stream->body = malloc(stream->body_len);
    if (!stream->body)
        die("memory");
    for (int line = 0; line < options.lines; line++) {
        char *at = stream->body + (size_t)line * line_len;
        at = mempcpy(at, template_head, head_len) + NUMBER_DIGITS;
        at = mempcpy(at, template_tail, tail_len);
        if (options.lines > 1)
            *at = '\n';
    }
}

/* Only the numbers differ from one body to the next. */
static void number_body(struct stream *stream)
{
    for (int line = 0; line < options.lines; line++) {
        uint64_t number = options.start + next_number++;
        if (options.is_random)
            number = scramble(number);
        char *digits = stream->body + (size_t)line * line_len + head_len;
        for (int i = NUMBER_DIGITS - 1; i >= 0; i--, number /= 10)
            digits[i] = (char)('0' + number % 10);
    }
}

static void submit(struct stream *stream, int64_t since_us)
{
    if (options.is_post)
        number_body(stream);
    stream->sent_us = since_us;
    stream->status = 0;
    active_streams++;
    sent_requests++;
    protocol->submit(stream);
}

static void next(struct stream *stream)
{
    if (options.rate > 0) {
        stream->next_idle = idle;
        idle = stream;
    } else {
        submit(stream, now_us());
    }
}

static int64_t due_us(void)
{
    return started_us + (int64_t)((double)due_requests * 1e6 / options.rate);
}

void finished(struct stream *stream, bool is_ok)
{
    int64_t now = now_us();
    active_streams--;
    if (is_ok) {
        done_requests++;
        if (sample_count < SAMPLES_MAX)
            samples[sample_count++] = (uint32_t)(now - stream->sent_us);
    } else {
        failed_requests++;
    }
    if (now < stop_at_us && sent_requests < options.count && !stream->connection->is_closed)
        next(stream);
}

void out_append(struct connection *connection, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (connection->out_len + len > connection->out_capacity) {
        connection->out_capacity = 2 * (connection->out_len + len) + 65536;
        connection->out = realloc(connection->out, connection->out_capacity);
        if (!connection->out)
            die("memory");
    }
    memcpy(connection->out + connection->out_len, data, len);
    connection->out_len += len;
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

static void start_streams(struct connection *connection)
{
    protocol->start(connection);
    connection->streams = calloc((size_t)options.streams, sizeof *connection->streams);
    for (int i = 0; i < options.streams && sent_requests < options.count; i++) {
        connection->streams[i].connection = connection;
        if (options.is_post)
            make_body(&connection->streams[i]);
        next(&connection->streams[i]);
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

/* Gather what the protocol wants to send, and send it. */
static void flush(struct connection *connection)
{
    for (;;) {
        if (protocol->gather)
            protocol->gather(connection);
        if (connection->out_len == connection->out_at)
            return;
        ssize_t wrote = socket_write(connection, connection->out + connection->out_at,
                                     connection->out_len - connection->out_at);
        if (wrote < 0) {
            connection->is_closed |= errno != EAGAIN;
            return;
        }
        connection->out_at += (size_t)wrote;
        if (connection->out_at == connection->out_len)
            connection->out_at = connection->out_len = 0;
    }
}

static void receive(struct connection *connection)
{
    static uint8_t data[262144];
    for (;;) {
        ssize_t got = socket_read(connection, data, sizeof data);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || !protocol->receive(connection, data, (size_t)got)) {
            connection->is_closed = true;
            return;
        }
    }
}

/* Sends what is due, for as long as there is a stream for it: what goes over one connection, at
 * once. */
static void send_due(void)
{
    int64_t now = now_us();
    struct connection *touched = NULL;
    while (idle && due_us() <= now && now < stop_at_us && sent_requests < options.count) {
        struct stream *stream = idle;
        struct connection *connection = stream->connection;
        idle = stream->next_idle;
        if (connection->is_closed)
            continue;
        submit(stream, due_us());
        due_requests++;
        if (!connection->is_touched) {
            connection->is_touched = true;
            connection->next_touched = touched;
            touched = connection;
        }
    }
    for (; touched; touched = touched->next_touched) {
        touched->is_touched = false;
        flush(touched);
    }
}

/* Until something comes, or is due. */
static int wait_for_events(int epoll, struct epoll_event *events, int count)
{
    struct timespec most = {.tv_nsec = 100000000};
    if (options.rate > 0 && idle) {
        int64_t left_us = due_us() - now_us();
        most.tv_nsec = left_us < 0 ? 0 : left_us < 100000 ? left_us * 1000 : most.tv_nsec;
    }
    return epoll_pwait2(epoll, events, count, &most, NULL);
}

static bool is_over(void)
{
    int64_t now = now_us();
    bool has_more = options.rate > 0 && now < stop_at_us && sent_requests < options.count;
    return (active_streams == 0 && !has_more) || now >= stop_at_us + GRACE_US;
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
    int closed = 0;
    while (!is_over()) {
        struct epoll_event events[64];
        int count = wait_for_events(epoll, events, 64);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->is_closed)
                continue;
            receive(connection);
            flush(connection);
            closed += connection->is_closed;
        }
        if (closed == options.connections)
            break;
        if (options.rate > 0)
            send_due();
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
    line_len = head_len + NUMBER_DIGITS + tail_len + (options.lines > 1);
}

static void read_address(char *text)
{
    char *colon = strrchr(text, ':');
    if (!colon)
        exit(2);
    *colon = '\0';
    options.host = text;
    options.port = atoi(colon + 1);
}

static void read_options(int argc, char **argv)
{
    static const struct option LONG[] = {{"to", 1, NULL, 'a'},      {"tls", 0, NULL, 't'},
                                         {"h1", 0, NULL, '1'},      {"connections", 1, NULL, 'c'},
                                         {"streams", 1, NULL, 'm'}, {"lines", 1, NULL, 'l'},
                                         {"seconds", 1, NULL, 's'}, {"key", 1, NULL, 'k'},
                                         {"path", 1, NULL, 'p'},    {"count", 1, NULL, 'q'},
                                         {"start", 1, NULL, 'n'},   {"random", 0, NULL, 'r'},
                                         {"rate", 1, NULL, 'f'},    {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", LONG, NULL)) != -1) {
        switch (option) {
        case 'a':
            read_address(optarg);
            break;
        case 't':
            options.is_tls = true;
            break;
        case '1':
            options.is_h1 = true;
            protocol = &PROTOCOL_H1;
            break;
        case 'c':
            options.connections = atoi(optarg);
            break;
        case 'm':
            options.streams = atoi(optarg);
            break;
        case 'l':
            options.lines = atoi(optarg);
            options.content_type = "application/x-ndjson";
            break;
        case 's':
            options.seconds = atof(optarg);
            break;
        case 'k':
            options.key = optarg;
            break;
        case 'p':
            options.path = optarg;
            break;
        case 'n':
            options.start = strtoull(optarg, NULL, 10);
            break;
        case 'q':
            options.count = strtoull(optarg, NULL, 10);
            break;
        case 'r':
            options.is_random = true;
            break;
        case 'f':
            options.rate = atof(optarg);
            break;
        default:
            exit(2);
        }
    }
    options.is_post = optind < argc;
    if (options.is_post)
        read_template(argv[optind]);
    if (options.connections < 1 || options.streams < 1 || options.lines < 1 ||
        (options.is_h1 && options.streams > 1)) {
        fprintf(stderr, "load: no such numbers of connections, streams or lines\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    read_options(argc, argv);
    SSL_CTX *tls = NULL;
    if (options.is_tls) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_alpn_protos(tls, (const uint8_t *)(options.is_h1 ? "\10http/1.1" : "\2h2"),
                                options.is_h1 ? 9 : 3);
    }
    samples = malloc(SAMPLES_MAX * sizeof *samples);
    struct connection *connections = calloc((size_t)options.connections, sizeof *connections);
    for (int i = 0; i < options.connections; i++)
        connect_one(&connections[i], tls);
    started_us = now_us();
    stop_at_us = started_us + (int64_t)(options.seconds * 1e6);
    for (int i = 0; i < options.connections; i++)
        start_streams(&connections[i]);
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

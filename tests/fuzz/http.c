/*
 * Fuzz target: what a client may send to the HTTP layer. The first byte of the input chooses: even,
 * the rest is sent as it stands (HTTP/1); odd, the preface of HTTP/2 and a frame for every piece of
 * the rest: type, flags, stream, length, payload. Type 11 is a well-formed request on that stream,
 * and type 12 lets the server do what it has to do before the next piece.
 *
 * What must hold: no fault, no hang; the server answers the next client; nothing stays held.
 */
#include "ingest/http.h"

#include "base/clock.h"
#include "base/must.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define SENT_MAX 65536
#define HUNG_MS 20000

static struct http_server *server;
static struct http_message later;
static struct http_exchange *waiting;
static struct sockaddr_storage address;
static socklen_t address_len;

static void answer(struct http_exchange *exchange, struct bytes body)
{
    http_answer(exchange, &(struct http_answer){.status = 200, .body = body});
}

static void run_later(struct http_message *message)
{
    (void)message;
    struct http_exchange *exchange = waiting;
    waiting = NULL;
    answer(exchange, bytes_of_str("later"));
}

/* A body is echoed; a request without one is answered in a message, if that is free. */
static void handle(void *context, struct http_exchange *exchange,
                   const struct http_request *request)
{
    static char page[40000];
    (void)context;
    (void)http_header(request, "content-type");
    if (request->query.len != 0) {
        answer(exchange, bytes_of(page, sizeof page));
    } else if (request->body.len != 0 || waiting != NULL) {
        answer(exchange, request->body);
    } else {
        waiting = exchange;
        later.run = run_later;
        http_loop_post(http_exchange_loop(exchange), &later);
    }
}

static void start(void)
{
    const struct http_listen listen = {HTTP_CLEARTEXT, "127.0.0.1:0"};
    const struct http_server_options options = {.listeners = &listen,
                                                .listener_count = 1,
                                                .threads = 1,
                                                .body_bytes_max = 300,
                                                .inflight_bytes_max = 2000,
                                                .header_timeout_ms = 1000,
                                                .progress_timeout_ms = 1000,
                                                .handle = handle};
    struct err err = {0};
    must(http_server_start(&options, &server, &err) == STATUS_OK);
    must(host_port_parse(bytes_of_str(http_server_url(server, 0) + 7), &address, &address_len) ==
         STATUS_OK);
}

/* --- the client --- */

/* Each from another address, or ports run out: the server's end of a connection that it closed
 * keeps the client's for a minute. Where the port is one of those, the next address is tried. */
static int client(void)
{
    static uint32_t number;
    const struct linger at_once = {.l_onoff = 1}; /* ours keeps nothing */
    for (int tries = 0; tries < 10; tries++) {
        const struct sockaddr_in own = {
            .sin_family = AF_INET,
            .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (++number % 4096 << 8)),
        };
        int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
        must(bind(fd, (const struct sockaddr *)&own, sizeof own) == 0);
        if (connect(fd, (struct sockaddr *)&address, address_len) == 0)
            return fd;
        must(errno == EADDRNOTAVAIL || errno == EADDRINUSE);
        close(fd);
    }
    must(!"a port for the client");
    return -1;
}

/* Reads what there is; true at the end. */
static bool drain(int fd, int wait_ms)
{
    static char waste[65536];
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    while (poll(&poll_fd, 1, wait_ms) > 0) {
        if (recv(fd, waste, sizeof waste, MSG_DONTWAIT) <= 0)
            return true;
        wait_ms = 0;
    }
    return false;
}

static void send_all(int fd, const uint8_t *data, size_t len)
{
    while (len != 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN && !drain(fd, 10))
            continue;
        if (n <= 0)
            return; /* the server closed, as it may */
        data += n;
        len -= (size_t)n;
    }
}

static void put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream,
                      struct bytes payload)
{
    buf_put_u8(out, 0);
    buf_put_u16(out, (uint16_t)payload.len);
    buf_put_u8(out, type);
    buf_put_u8(out, flags);
    buf_put_u32(out, stream);
    buf_put_bytes(out, payload);
}

static void converse_http2(int fd, struct cursor *in)
{
    static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    static const char REQUEST[] = "\x83\x86\x41\1x\x04\2/?";
    struct buf out = {.limit = SENT_MAX};
    buf_put(&out, PREFACE, sizeof PREFACE - 1);
    while (cursor_left(in) >= 3 && out.status == STATUS_OK) {
        uint8_t type = cursor_u8(in) % 13, flags = cursor_u8(in), stream = cursor_u8(in);
        if (type == 12) {
            send_all(fd, out.data, out.len);
            buf_clear(&out);
            (void)drain(fd, flags & 1);
        } else if (type == 11) {
            put_frame(&out, 1, flags & 5, stream,
                      bytes_of(REQUEST, sizeof REQUEST - 1 - (flags >> 7)));
        } else {
            size_t len = cursor_left(in) ? cursor_u8(in) : 0;
            len = len < cursor_left(in) ? len : cursor_left(in);
            put_frame(&out, type, flags, stream == 255 ? UINT32_MAX : stream, cursor_take(in, len));
        }
    }
    send_all(fd, out.data, out.len);
    buf_fini(&out);
}

static void check_is_alive(void)
{
    static const char GET[] = "GET /?x HTTP/1.0\r\n\r\n";
    int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + HUNG_MS;
    int fd = client();
    send_all(fd, (const uint8_t *)GET, sizeof GET - 1);
    while (!drain(fd, HUNG_MS)) /* the page comes in as many pieces as the kernel likes */
        must(clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms);
    close(fd);
}

static void check_is_calm(void)
{
    struct http_server_stats stats;
    int64_t end_ms = clock_monotonic_ms(&SYSTEM_CLOCK) + HUNG_MS;
    do {
        http_server_stats(server, &stats);
        must(clock_monotonic_ms(&SYSTEM_CLOCK) < end_ms);
        usleep(100);
    } while (stats.inflight_requests != 0 || stats.inflight_bytes != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static unsigned runs;
    struct cursor in = cursor_of(bytes_of(data, len));
    if (server == NULL)
        start();
    if (len == 0)
        return 0;
    int fd = client();
    if (cursor_u8(&in) & 1)
        converse_http2(fd, &in);
    else
        send_all(fd, in.at, cursor_left(&in));
    (void)shutdown(fd, SHUT_WR);
    (void)drain(fd, 1);
    close(fd);
    if (++runs % 64 == 0)
        check_is_alive();
    check_is_calm();
    return 0;
}

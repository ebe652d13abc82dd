/* The HTTP layer in its own process: messages, exchanges, answers, starting and stopping. Protocols
 * and hostile clients: tests/e2e/test_http.py, test_attacks.py, test_drain.py. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "ingest/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#define DEADLINE_MS 20000
#define LOOPS 2

struct fixture {
    struct http_server *server;
    struct http_loop *loops[LOOPS];
    _Atomic int started, ticks, gone;
    _Atomic(struct http_exchange *) held;
    struct http_message message;
};

static struct fixture fixture;

/* --- the application under the server --- */

static void answer_text(struct http_exchange *exchange, int status, const char *text)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", text);
    const struct http_field fields[] = {
        {"content-type", bytes_of_str("text/plain")},
        {"x-split", bytes_of_str("a\r\nset-cookie: b")},
        {"x-empty", bytes_of_str("")},
        {"x-copied", bytes_of(copy, strlen(copy))},
    };
    http_answer(exchange, &(struct http_answer){.status = status,
                                                .fields = fields,
                                                .field_count = 4,
                                                .body = bytes_of(copy, strlen(copy))});
    memset(copy, 'z', sizeof copy); /* it must have been copied */
}

static void on_gone(void *context)
{
    struct http_exchange *exchange = context;
    assert_true(http_exchange_is_gone(exchange));
    atomic_fetch_add(&fixture.gone, 1);
}

static void handle(void *context, struct http_exchange *exchange,
                   const struct http_request *request)
{
    assert_ptr_equal(context, &fixture);
    if (bytes_equal_str(request->path, "/hold")) {
        http_exchange_on_gone(exchange, on_gone, exchange);
        fixture.held = exchange;
    } else if (bytes_equal_str(request->path, "/loop")) {
        char index[16];
        snprintf(index, sizeof index, "loop %u", http_loop_index(http_exchange_loop(exchange)));
        answer_text(exchange, 200, index);
    } else {
        answer_text(exchange, bytes_equal_str(request->path, "/none") ? 204 : 200, "text");
    }
}

static void loop_start(void *context, struct http_loop *loop)
{
    (void)context;
    fixture.loops[http_loop_index(loop)] = loop;
    atomic_fetch_add(&fixture.started, 1);
}

static void loop_tick(void *context, struct http_loop *loop)
{
    (void)context;
    (void)loop;
    atomic_fetch_add(&fixture.ticks, 1);
}

static enum status start_on(const char *address, struct err *err)
{
    const struct http_listen listen = {HTTP_CLEARTEXT, address};
    const struct http_server_options options = {.listeners = &listen,
                                                .listener_count = 1,
                                                .threads = LOOPS,
                                                .body_bytes_max = 1000,
                                                .context = &fixture,
                                                .handle = handle,
                                                .loop_start = loop_start,
                                                .loop_tick = loop_tick};
    return http_server_start(&options, &fixture.server, err);
}

static int set_up(void **state)
{
    struct err err = {0};
    (void)state;
    fixture = (struct fixture){0};
    return start_on("127.0.0.1:0", &err) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    http_server_stop(fixture.server, 100);
    return 0;
}

#define wait_until(condition)                                                                      \
    for (int64_t end_ = clock_monotonic_ms(&SYSTEM_CLOCK) + DEADLINE_MS; !(condition);             \
         usleep(500))                                                                              \
    assert_true(clock_monotonic_ms(&SYSTEM_CLOCK) < end_)

/* --- a client --- */

static int client_connect(void)
{
    struct sockaddr_storage address;
    socklen_t len;
    const char *url = http_server_url(fixture.server, 0);
    assert_int_equal(strncmp(url, "http://", 7), 0);
    assert_int_equal(host_port_parse(bytes_of_str(url + 7), &address, &len), STATUS_OK);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, len), 0);
    return fd;
}

static void client_send(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void client_read_to_end(int fd, char *out, size_t size)
{
    size_t len = 0;
    for (ssize_t n; (n = read(fd, out + len, size - 1 - len)) > 0;)
        len += (size_t)n;
    out[len] = '\0';
}

static void ask(const char *path, char *out, size_t size)
{
    char text[256];
    CLEANUP(closep) int fd = client_connect();
    snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    client_send(fd, text);
    client_read_to_end(fd, out, size);
}

/* --- tests --- */

static void an_answer_is_sent_as_given_and_copied(void **state)
{
    char got[4096];
    (void)state;
    ask("/", got, sizeof got);
    assert_non_null(strstr(got, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(got, "\r\nContent-Length: 4\r\n"));
    assert_non_null(strstr(got, "\r\nServer: Postern\r\n"));
    assert_non_null(strstr(got, "\r\ncontent-type: text/plain\r\n"));
    assert_non_null(strstr(got, "\r\nx-empty: \r\n"));
    assert_non_null(strstr(got, "\r\nx-copied: text\r\n"));
    assert_non_null(strstr(got, "\r\n\r\ntext"));
}

static void a_field_that_would_split_the_answer_is_left_out(void **state)
{
    char got[4096];
    (void)state;
    ask("/", got, sizeof got);
    assert_null(strstr(got, "x-split"));
    assert_null(strstr(got, "set-cookie"));
}

static void an_answer_without_content_has_no_length(void **state)
{
    char got[4096];
    (void)state;
    ask("/none", got, sizeof got);
    assert_non_null(strstr(got, "HTTP/1.1 204 No Content\r\n"));
    assert_null(strstr(got, "Content-Length"));
    assert_null(strstr(got, "chunked"));
}

static void run_answer(struct http_message *message)
{
    (void)message;
    struct http_exchange *exchange = fixture.held;
    fixture.held = NULL;
    answer_text(exchange, 200, "later");
}

static void answer_held(void)
{
    fixture.message.run = run_answer;
    http_loop_post(http_exchange_loop(fixture.held), &fixture.message);
    wait_until(fixture.held == NULL);
}

static void an_answer_may_come_later_from_a_message(void **state)
{
    char got[4096];
    (void)state;
    CLEANUP(closep) int fd = client_connect();
    client_send(fd, "GET /hold HTTP/1.0\r\n\r\n");
    wait_until(fixture.held != NULL);
    answer_held();
    client_read_to_end(fd, got, sizeof got);
    assert_non_null(strstr(got, "\r\n\r\nlater"));
    assert_int_equal(fixture.gone, 0);
}

static void an_answer_for_nobody_is_freed_in_silence(void **state)
{
    static const char PREFACE_AND_GET[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                          "\0\0\0\4\0\0\0\0\0"
                                          "\0\0\x0c\1\5\0\0\0\1\x82\x86\x41\1x\x04\5/hold";
    struct http_server_stats stats;
    (void)state;
    int fd = client_connect();
    assert_int_equal(write(fd, PREFACE_AND_GET, sizeof PREFACE_AND_GET - 1),
                     sizeof PREFACE_AND_GET - 1);
    wait_until(fixture.held != NULL);
    close(fd);
    wait_until(fixture.gone == 1);
    http_server_stats(fixture.server, &stats);
    assert_int_equal(stats.inflight_requests, 1);
    answer_held();
    wait_until((http_server_stats(fixture.server, &stats), stats.inflight_requests == 0));
    assert_int_equal(fixture.gone, 1);
}

struct numbered {
    struct http_message message;
    int sender, number;
};
#define SENDERS 4
#define MESSAGES 20000
static int last_number[SENDERS];
static _Atomic int run_count;
static pthread_t ran_on;

static void run_numbered(struct http_message *message)
{
    struct numbered *numbered = (struct numbered *)message;
    assert_int_equal(numbered->number, last_number[numbered->sender] + 1);
    last_number[numbered->sender] = numbered->number;
    if (run_count == 0)
        ran_on = pthread_self();
    assert_true(pthread_equal(ran_on, pthread_self()));
    free(numbered);
    atomic_fetch_add(&run_count, 1);
}

static void *post_many(void *context)
{
    int sender = (int)(intptr_t)context;
    for (int i = 1; i <= MESSAGES; i++) {
        struct numbered *numbered = malloc(sizeof *numbered);
        *numbered = (struct numbered){{.run = run_numbered}, sender, i};
        http_loop_post(fixture.loops[1], &numbered->message);
    }
    return NULL;
}

static void messages_run_on_their_loop_in_the_order_of_posting(void **state)
{
    pthread_t senders[SENDERS];
    (void)state;
    wait_until(fixture.started == LOOPS); /* a start does not wait for each loop's first step */
    for (intptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&senders[i], NULL, post_many, (void *)i), 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    wait_until(run_count == SENDERS * MESSAGES);
}

static void each_loop_starts_once_and_ticks(void **state)
{
    (void)state;
    wait_until(fixture.started == LOOPS);
    assert_int_equal(http_loop_index(fixture.loops[0]), 0);
    assert_int_equal(http_loop_index(fixture.loops[1]), 1);
    int before = fixture.ticks;
    wait_until(fixture.ticks >= before + 2 * LOOPS);
}

static unsigned loop_of(int client)
{
    char got[4096];
    ssize_t len;
    client_send(client, "GET /loop HTTP/1.1\r\nHost: x\r\n\r\n");
    len = read(client, got, sizeof got - 1); /* a short answer comes in one piece */
    assert_true(len > 0);
    got[len] = '\0';
    const char *text = strstr(got, "\r\n\r\nloop ");
    assert_non_null(text);
    return (unsigned)atoi(text + 9);
}

/* And again when one loop's clients have left. */
static void connections_are_spread_over_the_loops_evenly(void **state)
{
    int clients[20];
    unsigned counts[LOOPS] = {0}, loops[20];
    (void)state;
    for (int i = 0; i < 20; i++) {
        clients[i] = client_connect();
        loops[i] = loop_of(clients[i]);
        counts[loops[i]]++;
    }
    assert_int_equal(counts[0], 10);
    assert_int_equal(counts[1], 10);
    for (int i = 0; i < 20; i++)
        if (loops[i] == 0)
            closep(&clients[i]);
    struct http_server_stats stats;
    wait_until((http_server_stats(fixture.server, &stats), stats.connections_now == 10));
    for (int i = 0; i < 20; i++) {
        if (loops[i] == 0) {
            clients[i] = client_connect();
            assert_int_equal(loop_of(clients[i]), 0);
        }
    }
    for (int i = 0; i < 20; i++)
        closep(&clients[i]);
}

static void what_happens_is_counted(void **state)
{
    char got[4096];
    struct http_server_stats stats;
    (void)state;
    for (int i = 0; i < 5; i++)
        ask("/", got, sizeof got);
    wait_until((http_server_stats(fixture.server, &stats), stats.connections_now == 0));
    assert_int_equal(stats.connections_ever, 5);
    assert_int_equal(stats.requests_ever, 5);
    assert_int_equal(stats.inflight_bytes, 0);
}

static void an_address_that_is_none_is_invalid(void **state)
{
    struct err err = {0};
    (void)state;
    assert_int_equal(start_on("localhost:http", &err), STATUS_INVALID);
    assert_string_equal(err.text, "listen on localhost:http: not an address and port");
}

static void a_port_in_use_is_busy(void **state)
{
    struct err err = {0};
    (void)state;
    assert_int_equal(start_on("127.0.0.1:0", &err), STATUS_OK);
    struct http_server *first = fixture.server;
    assert_int_equal(start_on(http_server_url(first, 0) + 7, &err), STATUS_BUSY);
    http_server_stop(first, 100);
    assert_int_equal(start_on(http_server_url(first, 0) + 7, &err), STATUS_OK);
    http_server_stop(fixture.server, 100);
}

static void tls_without_a_certificate_is_invalid(void **state)
{
    struct err err = {0};
    const struct http_listen listen = {HTTP_TLS, "127.0.0.1:0"};
    struct http_server_options options = {
        .listeners = &listen, .listener_count = 1, .threads = 1, .handle = handle};
    (void)state;
    assert_int_equal(http_server_start(&options, &fixture.server, &err), STATUS_INVALID);
    options.tls_cert = options.tls_key = "/nowhere/cert.pem";
    assert_int_equal(http_server_start(&options, &fixture.server, &err), STATUS_INVALID);
    assert_non_null(strstr(err.text, "certificate /nowhere/cert.pem: "));
}

static void a_message_after_the_end_is_kept_quiet(void **state)
{
    static struct http_message message; /* the stopped loop holds on to it */
    struct err err = {0};
    (void)state;
    fixture = (struct fixture){0};
    assert_int_equal(start_on("127.0.0.1:0", &err), STATUS_OK);
    wait_until(fixture.started == LOOPS);
    http_server_stop(fixture.server, 100);
    http_loop_post(fixture.loops[0], &message);
}

static void a_self_signed_pair_is_made_with_its_folder(void **state)
{
    char folder[] = "/tmp/test_http_XXXXXX", cert[64], key[64];
    struct err err = {0};
    struct stat st;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cert, sizeof cert, "%s/tls/cert.pem", folder);
    snprintf(key, sizeof key, "%s/tls/key.pem", folder);
    for (int i = 0; i < 2; i++) /* over an older pair, too */
        assert_int_equal(tls_make_self_signed(cert, key, &err), STATUS_OK);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);

    const struct http_listen listen = {HTTP_TLS, "127.0.0.1:0"};
    const struct http_server_options options = {.listeners = &listen,
                                                .listener_count = 1,
                                                .threads = 1,
                                                .tls_cert = cert,
                                                .tls_key = key,
                                                .handle = handle};
    assert_int_equal(http_server_start(&options, &fixture.server, &err), STATUS_OK);
    assert_int_equal(strncmp(http_server_url(fixture.server, 0), "https://127.0.0.1:", 18), 0);
    assert_int_equal(http_server_reload_tls(fixture.server, cert, key, &err), STATUS_OK);
    assert_int_equal(http_server_reload_tls(fixture.server, cert, cert, &err), STATUS_INVALID);
    http_server_stop(fixture.server, 100);
    unlink(cert);
    unlink(key);
    snprintf(cert, sizeof cert, "%s/tls", folder);
    rmdir(cert);
    rmdir(folder);
}

static void a_pair_that_cannot_be_written_is_an_error(void **state)
{
    struct err err = {0};
    (void)state;
    assert_int_equal(tls_make_self_signed("/proc/cert.pem", "/proc/key.pem", &err), STATUS_IO);
    assert_non_null(strstr(err.text, "/proc/key.pem"));
}

#define served(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        served(an_answer_is_sent_as_given_and_copied),
        served(a_field_that_would_split_the_answer_is_left_out),
        served(an_answer_without_content_has_no_length),
        served(an_answer_may_come_later_from_a_message),
        served(an_answer_for_nobody_is_freed_in_silence),
        served(messages_run_on_their_loop_in_the_order_of_posting),
        served(each_loop_starts_once_and_ticks),
        served(connections_are_spread_over_the_loops_evenly),
        served(what_happens_is_counted),
        cmocka_unit_test(an_address_that_is_none_is_invalid),
        cmocka_unit_test(a_port_in_use_is_busy),
        cmocka_unit_test(tls_without_a_certificate_is_invalid),
        cmocka_unit_test(a_message_after_the_end_is_kept_quiet),
        cmocka_unit_test(a_self_signed_pair_is_made_with_its_folder),
        cmocka_unit_test(a_pair_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

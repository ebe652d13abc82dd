/*
 * floor: the bare floor that Postern is measured against: the same HTTP server, the same writer and
 * group commit, but each body is only appended as one row before it is answered. No key, limit,
 * validation, index or event.
 *
 *     floor DIR THREADS CERT KEY
 *
 * DIR "-" keeps nothing and answers at once: the receiver of deliveries. Prints its TLS and
 * cleartext addresses on one line, and ends with SIGTERM.
 */
#include "ingest/http.h"
#include "ingest/writer.h"
#include "storage/table.h"

#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct request {
    struct work work; /* first */
    struct http_message message;
    struct http_exchange *exchange;
    enum status status;
    size_t len;
    uint8_t body[];
};

static struct writer *writer; /* NULL: nothing is kept */
static uint64_t rows;         /* the writer's */

static void apply(struct work *work, struct txn *txn)
{
    struct request *request = (struct request *)work;
    uint8_t key[16] = {0};
    put_be64(key, ++rows);
    struct bytes parts[] = {bytes_of("\1", 1), bytes_of(request->body, request->len)};
    table_append_parts(txn, TABLE_AUDIT, bytes_of(key, sizeof key), parts, 2);
}

static void answer_with(struct http_exchange *exchange, unsigned status)
{
    struct http_answer reply = {.status = status, .body = bytes_of_str("{\"ok\":true}")};
    http_answer(exchange, &reply);
}

static void answer(struct http_message *message)
{
    struct request *request =
        (struct request *)((uint8_t *)message - offsetof(struct request, message));
    answer_with(request->exchange, request->status == STATUS_OK ? 200 : 503);
    free(request);
}

static void done(struct work *work, enum status status)
{
    struct request *request = (struct request *)work;
    request->status = status;
    http_loop_post(http_exchange_loop(request->exchange), &request->message);
}

static void handle(void *context, struct http_exchange *exchange, const struct http_request *http)
{
    (void)context;
    if (!writer) {
        answer_with(exchange, 200);
        return;
    }
    struct request *request = malloc(sizeof *request + http->body.len);
    *request = (struct request){.work = {.apply = apply, .done = done},
                                .message = {.run = answer},
                                .exchange = exchange,
                                .status = STATUS_LIMIT,
                                .len = http->body.len};
    memcpy(request->body, http->body.data, http->body.len);
    if (writer_submit(writer, &request->work) != STATUS_OK)
        answer(&request->message);
}

static enum status start_store(const char *dir, struct store **ret_store, struct err *err)
{
    if (strcmp(dir, "-") == 0)
        return STATUS_OK;
    mkdir(dir, 0700);
    enum status s =
        store_open(&(struct store_options){.dir = dir, .mode = STORE_SERVE}, ret_store, err);
    if (s != STATUS_OK)
        return s;
    return writer_start(&(struct writer_options){.store = *ret_store, .clock = &SYSTEM_CLOCK},
                        &writer);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct store *store = NULL;
    struct http_server *server = NULL;
    if (argc != 5)
        return 2;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    struct http_listen listeners[] = {{HTTP_TLS, "127.0.0.1:0"}, {HTTP_CLEARTEXT, "127.0.0.1:0"}};
    struct http_server_options options = {.listeners = listeners,
                                          .listener_count = 2,
                                          .threads = (unsigned)atoi(argv[2]),
                                          .tls_cert = argv[3],
                                          .tls_key = argv[4],
                                          .body_bytes_max = 1 << 20,
                                          .handle = handle};
    if (start_store(argv[1], &store, &err) != STATUS_OK ||
        http_server_start(&options, &server, &err) != STATUS_OK) {
        fprintf(stderr, "floor: %s\n", err.text);
        return 1;
    }
    printf("%s %s\n", http_server_url(server, 0), http_server_url(server, 1));
    fflush(stdout);
    int number;
    sigwait(&signals, &number);
    http_server_stop(server, 1000);
    if (writer)
        writer_stop(writer);
    if (store)
        store_close(store);
    return 0;
}

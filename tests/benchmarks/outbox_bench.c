/*
 * outbox_bench: how many deliveries a second the outbox takes in and finishes, attempts logged, and
 * what looking for due ones costs beside a million that are not.
 *
 *     outbox_bench [DIR] [DELIVERIES]      DIR: where to put the store (default /tmp)
 */
#include "base/clock.h"
#include "base/must.h"
#include "storage/data_dir.h"
#include "storage/outbox.h"
#include "storage/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP 500 /* deliveries a transaction */
#define ENDPOINTS 10
#define BACKLOG 1000000
#define LOOKS 10000

static double now_s(void)
{
    struct timespec t;

    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct txn *begin(struct store *store)
{
    static uint64_t seed;
    struct txn *txn;

    must(txn_write(store, clock_wall_ms(&SYSTEM_CLOCK), ++seed, &txn) == STATUS_OK);
    return txn;
}

static void end(struct txn *txn)
{
    must(txn_commit(txn) == STATUS_OK);
}

static double enqueue(struct store *store, unsigned count, int64_t due_ms)
{
    double start = now_s();

    for (unsigned done = 0; done < count; done += GROUP) {
        struct txn *txn = begin(store);

        for (unsigned i = 0; i < GROUP; i++) {
            struct uuid record = txn_uuid(txn);
            (void)outbox_enqueue(txn, 1 + (done + i) % ENDPOINTS, done + i + 1, &record, due_ms);
        }
        end(txn);
    }
    return now_s() - start;
}

static unsigned finish_some(struct txn *txn, uint32_t endpoint)
{
    struct delivery after = {0}, delivery;
    unsigned count = 0;

    while (count < GROUP / ENDPOINTS &&
           outbox_due_next(txn, endpoint, txn_now_ms(txn), &after, &delivery) == STATUS_OK) {
        struct attempt attempt = {
            .delivery = delivery.id,
            .at_ms = txn_now_ms(txn),
            .duration_ms = 20,
            .http_status = 200,
            .url = bytes_of_str("https://hooks.example.com/postern/workorders"),
            .address = bytes_of_str("192.0.2.17:443"),
            .request_headers = bytes_of_str("content-type: application/json\r\n"
                                            "user-agent: Postern/0.1.0\r\n"
                                            "x-webhook-event: workorder.created\r\n"
                                            "x-webhook-timestamp: 1763643600\r\n"
                                            "x-webhook-retry: 0\r\n"),
            .response_body = bytes_of_str("{\"ok\":true}")};

        must(outbox_finish(txn, &attempt, ATTEMPT_DELIVERED, 0) == STATUS_OK);
        count++;
    }
    return count;
}

static double finish(struct store *store, unsigned count)
{
    double start = now_s();

    for (unsigned done = 0; done < count;) {
        struct txn *txn = begin(store);

        for (uint32_t endpoint = 1; endpoint <= ENDPOINTS; endpoint++)
            done += finish_some(txn, endpoint);
        end(txn);
    }
    return now_s() - start;
}

static double look(struct store *store)
{
    double start = now_s();

    for (unsigned i = 0; i < LOOKS; i++) {
        struct delivery after = {0}, delivery;
        struct txn *txn;

        must(txn_read(store, &txn) == STATUS_OK);
        must(outbox_due_next(txn, 1 + i % ENDPOINTS, clock_wall_ms(&SYSTEM_CLOCK), &after,
                             &delivery) == STATUS_END);
        txn_abort(txn);
    }
    return now_s() - start;
}

int main(int argc, char **argv)
{
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) / GROUP * GROUP : 100000;
    char dir[4096], path[4200];
    struct store *store;
    struct err err = {0};
    double seconds;

    must(snprintf(dir, sizeof(dir), "%s/postern-outbox-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp") <
         (int)sizeof(dir));
    must(mkdtemp(dir) != NULL);
    if (store_open(&(struct store_options){.dir = dir, .map_bytes = (size_t)8 << 30}, &store,
                   &err) != STATUS_OK) {
        fprintf(stderr, "outbox_bench: %s\n", err.text);
        return 1;
    }
    seconds = enqueue(store, count, 0);
    printf("enqueued  %8.0f deliveries/s\n", count / seconds);
    seconds = finish(store, count);
    printf("finished  %8.0f deliveries/s\n", count / seconds);
    seconds = enqueue(store, BACKLOG, clock_wall_ms(&SYSTEM_CLOCK) + DAY_MS);
    printf("enqueued  %8.0f deliveries/s, due tomorrow\n", BACKLOG / seconds);
    printf("looked    %8.2f us for what is due, beside %d that are not\n",
           look(store) / LOOKS * 1e6, BACKLOG);
    store_close(store);
    must(snprintf(path, sizeof(path), "%s/store", dir) < (int)sizeof(path));
    if (dir_remove(path, &err) != STATUS_OK || dir_remove(dir, &err) != STATUS_OK)
        fprintf(stderr, "outbox_bench: %s\n", err.text);
    return 0;
}

/*
 * temporary_store: a store in a directory of its own for the length of a test, under a clock that
 * the test sets. Also the records and events that outbox tests need.
 */
#pragma once

#include "base/cleanup.h"
#include "base/clock.h"
#include "storage/data_dir.h"
#include "storage/endpoints.h"
#include "storage/events.h"
#include "storage/outbox.h"
#include "storage/records.h"
#include "storage/store.h"
#include "storage/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define T0 INT64_C(1763643600000) /* 2025-11-20T13:00:00Z */
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct temporary_store {
    char dir[64];
    struct store *store;
    int64_t now_ms;
    uint64_t seed;
};

static inline void temporary_store_open(struct temporary_store *t)
{
    struct err err = {0};
    struct store_options options = {.dir = t->dir, .mode = STORE_SERVE, .map_bytes = 64 << 20};

    if (store_open(&options, &t->store, &err) != STATUS_OK)
        fail_msg("%s", err.text);
}

static inline int temporary_store_setup(void **state)
{
    struct temporary_store *t = calloc(1, sizeof *t);

    if (t == NULL)
        return -1;
    strcpy(t->dir, "/tmp/postern-test-XXXXXX");
    if (mkdtemp(t->dir) == NULL)
        return -1;
    t->now_ms = T0;
    temporary_store_open(t);
    *state = t;
    return 0;
}

static inline int temporary_store_teardown(void **state)
{
    struct temporary_store *t = *state;
    char path[128];
    struct err err = {0};

    store_close(t->store);
    snprintf(path, sizeof path, "%s/store", t->dir);
    if (dir_remove(path, &err) != STATUS_OK || dir_remove(t->dir, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    free(t);
    return 0;
}

#define ON_STORE(name)                                                                             \
    cmocka_unit_test_setup_teardown(name, temporary_store_setup, temporary_store_teardown)

static inline struct txn *begin_write(struct temporary_store *t)
{
    struct txn *txn;

    assert_int_equal(txn_write(t->store, t->now_ms, ++t->seed, &txn), STATUS_OK);
    return txn;
}

static inline struct txn *begin_read(struct temporary_store *t)
{
    struct txn *txn;

    assert_int_equal(txn_read(t->store, &txn), STATUS_OK);
    return txn;
}

static inline void commit(struct txn *txn)
{
    assert_int_equal(txn_commit(txn), STATUS_OK);
}

/* A new enabled endpoint; its number. */
static inline uint32_t add_endpoint(struct txn *txn, const char *pattern)
{
    struct endpoint endpoint = {.url = "https://example.com/hook", .state = ENDPOINT_ENABLED};

    if (pattern != NULL) {
        endpoint.pattern_count = 1;
        strcpy(endpoint.patterns[0], pattern);
    }
    endpoint_put(txn, &endpoint);
    return endpoint.number;
}

/* A record's first revision with one event; the event's sequence. */
static inline uint64_t add_record(struct txn *txn, struct uuid *ret_record, const char *key,
                                  const char *body)
{
    struct uuid record = txn_uuid(txn);
    struct event event = {.time_ms = txn_now_ms(txn),
                          .name = bytes_of_str("workorder.created"),
                          .type = 1,
                          .record = record,
                          .revision = 1};
    event_append(txn, &event);
    record_put(txn,
               &(struct revision){.record = record,
                                  .number = 1,
                                  .type = 1,
                                  .action = ACTION_CREATED,
                                  .received_ms = txn_now_ms(txn),
                                  .first_event = event.sequence,
                                  .event_count = 1,
                                  .key = bytes_of_str(key),
                                  .body = bytes_of_str(body)},
               (struct bytes){0});
    *ret_record = record;
    return event.sequence;
}

/* The record's next revision, with one event. */
static inline uint64_t add_revision(struct txn *txn, const struct uuid *record, uint32_t number,
                                    const char *key, const char *body)
{
    struct event event = {.time_ms = txn_now_ms(txn),
                          .name = bytes_of_str("workorder.updated"),
                          .type = 1,
                          .record = *record,
                          .revision = number,
                          .is_update = true};
    event_append(txn, &event);
    record_put(txn,
               &(struct revision){.record = *record,
                                  .number = number,
                                  .type = 1,
                                  .action = ACTION_UPDATED,
                                  .received_ms = txn_now_ms(txn),
                                  .first_event = event.sequence,
                                  .event_count = 1,
                                  .key = bytes_of_str(key),
                                  .body = bytes_of_str(body)},
               (struct bytes){0});
    return event.sequence;
}

static inline struct attempt attempt_of(const struct uuid *delivery, uint16_t http_status)
{
    return (struct attempt){.delivery = *delivery,
                            .at_ms = T0,
                            .duration_ms = 12,
                            .http_status = http_status,
                            .url = bytes_of_str("https://example.com/hook"),
                            .address = bytes_of_str("192.0.2.1:443"),
                            .request_headers = bytes_of_str("content-type: application/json\r\n"),
                            .response_body = bytes_of_str("thanks")};
}

static inline void finish(struct txn *txn, const struct uuid *delivery,
                          enum attempt_outcome outcome, int64_t retry_at_ms)
{
    struct attempt attempt = attempt_of(delivery, outcome == ATTEMPT_DELIVERED ? 200 : 500);

    assert_int_equal(outbox_finish(txn, &attempt, outcome, retry_at_ms), STATUS_OK);
}

static inline struct delivery delivery_of(struct txn *txn, const struct uuid *id)
{
    struct delivery delivery;

    assert_int_equal(delivery_find(txn, id, &delivery), STATUS_OK);
    return delivery;
}

static const struct uuid NO_RECORD;

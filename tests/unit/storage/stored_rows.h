/*
 * stored_rows: every row of a small whole world, as it lies in the store; ways to put it back
 * damaged; and everything that reads or changes a store, to see what it makes of that. Knows the
 * tables by their number alone.
 *
 *     struct stored_rows rows;
 *     stored_rows_make(&rows, t);
 *     stored_row_put(txn, &rows.all[0], key, value);   … commit …
 *     stored_rows_read(&rows);       // how many readers said that something is damaged
 *     stored_rows_put_back(&rows);
 */
#pragma once

#include "checked_store.h"

#include "base/must.h"
#include "storage/retention.h"
#include "storage/txn.h"

#define STORED_ROWS_MAX 128
#define STORED_BYTES_MAX 1024
#define STEPS_MAX 10000 /* no walk over so few rows is longer: it would have no end */

struct stored_row {
    enum table table;
    size_t key_len, len;
    uint8_t key[TABLE_KEY_MAX];
    uint8_t value[STORED_BYTES_MAX]; /* with its check */
};

struct stored_rows {
    struct temporary_store *t;
    struct world world;
    struct uuid plain; /* a delivery of an event that is not about a record */
    struct uuid event;
    size_t count;
    struct stored_row all[STORED_ROWS_MAX];
};

/* ---- rows, past the table layer ---- */

static inline MDB_val stored_val(struct bytes view)
{
    return (MDB_val){view.len, (void *)(uintptr_t)view.data};
}

static inline struct bytes stored_key(const struct stored_row *row)
{
    return bytes_of(row->key, row->key_len);
}

static inline struct bytes stored_value(const struct stored_row *row)
{
    return bytes_of(row->value, row->len);
}

/* The row under another key, or with another value, or both. False: the key is another row's. */
static inline bool stored_row_put(struct txn *txn, const struct stored_row *row, struct bytes key,
                                  struct bytes value)
{
    MDB_dbi dbi = txn->store->dbis[row->table];
    MDB_val k = stored_val(key), was = stored_val(stored_key(row)), v = stored_val(value);
    bool is_same_key = bytes_equal(key, stored_key(row));
    int rc = mdb_put(txn->lmdb, dbi, &k, &v, is_same_key ? 0 : MDB_NOOVERWRITE);

    if (rc == MDB_KEYEXIST)
        return false;
    must(rc == 0);
    if (!is_same_key)
        rc = mdb_del(txn->lmdb, dbi, &was, NULL);
    must(rc == 0 || rc == MDB_NOTFOUND); /* it may have been moved away before */
    return true;
}

/* A value whose check fits it, whatever its fields are. */
static inline struct bytes stored_check_put(struct bytes key, uint8_t *fields, size_t len)
{
    put_be32(fields + len, row_check(key, bytes_of(fields, len)));
    return bytes_of(fields, len + ROW_CHECK_BYTES);
}

static inline struct txn *stored_begin(struct temporary_store *t)
{
    struct txn *txn;

    store_rest(t->store); /* or thousands of commits in a moment fill the map */
    must(txn_write(t->store, t->now_ms, ++t->seed, &txn) == STATUS_OK);
    return txn;
}

static inline void stored_commit(struct txn *txn)
{
    must(txn_commit(txn) == STATUS_OK);
}

/* Everything is as it was. */
static inline void stored_rows_put_back(struct stored_rows *rows)
{
    struct txn *txn = stored_begin(rows->t);

    for (enum table table = 0; table < TABLE_COUNT; table++)
        must(mdb_drop(txn->lmdb, txn->store->dbis[table], 0) == 0);
    for (size_t i = 0; i < rows->count; i++) {
        MDB_val k = stored_val(stored_key(&rows->all[i]));
        MDB_val v = stored_val(stored_value(&rows->all[i]));

        must(mdb_put(txn->lmdb, txn->store->dbis[rows->all[i].table], &k, &v, 0) == 0);
    }
    stored_commit(txn);
}

/* ---- the world ---- */

/* What the world lacks: what is not about a record, long keys, lists with something in them. */
static inline void stored_world_add(struct stored_rows *rows)
{
    struct temporary_store *t = rows->t;
    struct txn *txn = begin_write(t);
    struct endpoint endpoint = {.url = "https://example.com/other",
                                .description = "d",
                                .state = ENDPOINT_DISABLED,
                                .disabled_reason = "410 Gone",
                                .pattern_count = 1,
                                .patterns = {"webhook.*"},
                                .secret_count = 2,
                                .secrets = {{3, {1, 2, 3}}, {1, {4}}},
                                .retry_count = 2,
                                .retry_s = {60, 300},
                                .signature = "github",
                                .header_count = 1,
                                .headers = {{"X-A", "b"}}};
    struct api_key key = {.label = "MES",
                          .is_enabled = true,
                          .scope_count = 2,
                          .scopes = {"*:write", "events:read"},
                          .cidr_count = 1};
    struct report report = {.every = REPORT_WEEKLY, .type_count = 1, .types = {"vendor"}};
    struct event event = {
        .time_ms = T0, .name = bytes_of_str("webhook.test"), .data = bytes_of_str("{\"a\":1}")};
    char long_key[451];
    struct type_row type;
    struct uuid record;

    memset(long_key, 'k', sizeof long_key - 1);
    long_key[sizeof long_key - 1] = '\0';
    assert_int_equal(type_register(txn, "vendor", "ven", &type), STATUS_OK);
    (void)add_record(txn, &record, long_key, "{}");
    endpoint_put(txn, &endpoint);
    event_append(txn, &event);
    rows->event = event.id;
    rows->plain = outbox_enqueue(txn, endpoint.number, event.sequence, &NO_RECORD, T0);
    api_key_put(txn, &key);
    api_key_count(txn, key.number, &(struct api_key_counts){.accepted = 2, .refused = 1});
    idempotency_put(txn, key.number, key.hash,
                    &(struct idempotent_answer){.at_ms = T0,
                                                .content_type = bytes_of_str("application/json"),
                                                .etag = bytes_of_str("\"1\""),
                                                .body = bytes_of_str("{}")});
    report_put(txn, &report);
    rejection_add(txn, &(struct rejection){.at_ms = T0,
                                           .method = bytes_of_str("POST"),
                                           .route = bytes_of_str("/"),
                                           .reason = bytes_of_str("late")});
    commit(txn);
}

static inline void stored_table_read(struct stored_rows *rows, struct txn *txn, enum table table)
{
    MDB_cursor *cursor;
    MDB_val k, v;

    must(mdb_cursor_open(txn->lmdb, txn->store->dbis[table], &cursor) == 0);
    while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
        struct stored_row *row = &rows->all[rows->count++];

        must(rows->count <= STORED_ROWS_MAX);
        must(k.mv_size <= sizeof row->key && v.mv_size <= sizeof row->value);
        *row = (struct stored_row){.table = table, .key_len = k.mv_size, .len = v.mv_size};
        memcpy(row->key, k.mv_data, k.mv_size);
        memcpy(row->value, v.mv_data, v.mv_size);
    }
    mdb_cursor_close(cursor);
}

static inline void stored_rows_make(struct stored_rows *rows, struct temporary_store *t)
{
    struct txn *txn;

    *rows = (struct stored_rows){.t = t};
    must(mdb_env_set_flags(t->store->env, MDB_NOSYNC, 1) == 0); /* thousands of commits */
    rows->world = make_world(t);
    stored_world_add(rows);
    txn = begin_read(t);
    for (enum table table = 0; table < TABLE_COUNT; table++)
        stored_table_read(rows, txn, table);
    txn_abort(txn);
}

/* ---- whoever reads ---- */

/* What one way of reading came to. */
struct reading {
    struct txn *txn;
    unsigned steps, corrupt;
};

/* An answer, an outcome, or "damaged"; anything else is wrong. True: go on. */
static inline bool reading_is_ok(struct reading *r, enum status s)
{
    must(s >= 0 || s == STATUS_CORRUPT);
    must(++r->steps < STEPS_MAX);
    r->corrupt += s == STATUS_CORRUPT;
    return s == STATUS_OK;
}

/* Each byte of a view: a sanitizer sees what does not belong to it. */
static inline void reading_look(struct bytes view)
{
    volatile uint8_t sum = 0;

    for (size_t i = 0; i < view.len; i++)
        sum = (uint8_t)(sum + view.data[i]);
}

static inline void read_records(struct stored_rows *rows, struct reading *r)
{
    for (uint16_t type = 0; type <= 3; type++) {
        struct record_page page = {.type = type, .has_deleted = true};
        struct type_row row;
        struct revision revision;
        struct uuid record = {{0}};

        (void)reading_is_ok(r, type_at(r->txn, type, &row));
        (void)record_count(r->txn, type);
        while (reading_is_ok(r, record_page_next(r->txn, &page, &revision))) {
            reading_look(revision.key);
            reading_look(revision.body);
        }
        record_page_end(&page);
        while (reading_is_ok(r, record_next(r->txn, type, &record, &record)))
            for (uint32_t number = 1;
                 reading_is_ok(r, record_revision(r->txn, &record, number, &revision)); number++)
                reading_look(revision.body);
    }
    struct uuid record;
    struct type_row type;
    (void)reading_is_ok(r, type_find(r->txn, bytes_of_str("vendor"), &type));
    (void)reading_is_ok(r, record_find_by_key(r->txn, 1, bytes_of_str("WO-1"), &record));
    for (size_t i = 0; i < rows->count; i++) {
        struct bytes key = stored_key(&rows->all[i]);
        if (key.len > 400 &&
            reading_is_ok(r, record_find_by_key(r->txn, 1, bytes_of(key.data, 400), &record)))
            reading_look(bytes_of(record.bytes, UUID_BYTES));
    }
}

static inline void read_events(struct stored_rows *rows, struct reading *r)
{
    struct event event;
    struct uuid id;

    (void)event_last_sequence(r->txn);
    (void)event_sequence_since(r->txn, T0);
    for (uint64_t sequence = 1; reading_is_ok(r, event_at(r->txn, sequence, &event)); sequence++) {
        struct delivery after = {.id = {{0}}};

        id = event.id;
        reading_look(event.name);
        reading_look(event.each_member);
        reading_look(event.data);
        while (reading_is_ok(r, event_delivery_next(r->txn, sequence, &after)))
            continue;
        (void)reading_is_ok(r, event_find(r->txn, &id, &event));
    }
    (void)reading_is_ok(r, event_find(r->txn, &rows->event, &event));
}

static inline void read_delivery(struct reading *r, const struct delivery *delivery)
{
    struct delivery found;
    struct attempt attempt;

    (void)reading_is_ok(r, delivery_find(r->txn, &delivery->id, &found));
    for (uint16_t number = 1; reading_is_ok(r, attempt_at(r->txn, &delivery->id, number, &attempt));
         number++) {
        reading_look(attempt.url);
        reading_look(attempt.address);
        reading_look(attempt.error);
        reading_look(attempt.request_headers);
        reading_look(attempt.response_body);
    }
}

static inline void read_deliveries(struct stored_rows *rows, struct reading *r)
{
    struct uuid before = {{0}};
    struct delivery delivery;

    (void)rows;
    while (reading_is_ok(r, delivery_page_next(r->txn, 0, 0, &before, &delivery)))
        read_delivery(r, &delivery);
    (void)reading_is_ok(r, outbox_oldest_pending(r->txn, &delivery));
    for (uint32_t endpoint = 0; endpoint <= 4; endpoint++) {
        struct delivery after = {.id = {{0}}};

        while (reading_is_ok(r, outbox_due_next(r->txn, endpoint, INT64_MAX, &after, &delivery)))
            read_delivery(r, &delivery);
        (void)outbox_next_due_ms(r->txn, endpoint, 0);
        (void)outbox_pending_count(r->txn, endpoint);
        for (uint64_t sequence = 0; sequence < 8; sequence++)
            (void)outbox_has_delivered(r->txn, endpoint, sequence);
    }
}

static inline void ignore_usage(void *context, int64_t at_ms, uint32_t count)
{
    (void)context;
    (void)at_ms;
    (void)count;
}

static inline void read_senders(struct stored_rows *rows, struct reading *r)
{
    struct txn *txn = r->txn;
    struct api_key key;
    uint32_t number = 0;

    (void)reading_is_ok(r, api_key_find(txn, &rows->world.api_key, &key));
    while (reading_is_ok(r, api_key_next(txn, &number, &key)))
        (void)reading_is_ok(r, api_key_find(txn, &key.id, &key));
    for (number = 0; number <= 3; number++) {
        (void)reading_is_ok(r, api_key_at(txn, number, &key));
        (void)reading_is_ok(r, usage_each(txn, number, 0, ignore_usage, NULL));
        (void)api_key_counts(txn, number);
    }
}

static inline void read_endpoints(struct stored_rows *rows, struct reading *r)
{
    static struct endpoint endpoint; /* large */
    struct subscriptions *subscriptions = subscriptions_new();
    uint32_t number = 0;
    size_t count;

    (void)rows;
    while (reading_is_ok(r, endpoint_next(r->txn, &number, &endpoint)))
        (void)reading_is_ok(r, endpoint_find(r->txn, &endpoint.id, &endpoint));
    for (number = 0; number <= 4; number++)
        if (reading_is_ok(r, endpoint_at(r->txn, number, &endpoint)))
            (void)endpoint_wants(&endpoint, bytes_of_str("workorder.created"));
    subscriptions_refresh(subscriptions, r->txn);
    (void)subscriptions_match(subscriptions, bytes_of_str("workorder.created"), &count);
    subscriptions_free(subscriptions);
}

static inline void read_journals(struct stored_rows *rows, struct reading *r)
{
    struct uuid before = {{0}};
    struct rejection rejection;
    struct audit_entry entry;
    static struct report report; /* large */

    while (reading_is_ok(r, rejection_page_next(r->txn, 0, &before, &rejection))) {
        reading_look(rejection.method);
        reading_look(rejection.reason);
    }
    before = (struct uuid){{0}};
    while (reading_is_ok(r, audit_page_next(r->txn, 0, &before, &entry)))
        reading_look(entry.detail);
    before = (struct uuid){{0}};
    while (reading_is_ok(r, report_next(r->txn, &before, &report)))
        (void)report_due_after(&report, T0);
    (void)reading_is_ok(r, report_find(r->txn, &rows->world.report, &report));
}

static inline void read_counts(struct stored_rows *rows, struct reading *r)
{
    struct store_stat stat;

    (void)rows;
    for (enum counter counter = 0; counter < COUNTER_COUNT; counter++)
        (void)counter_get(r->txn, counter);
    (void)txn_generation(r->txn);
    (void)reading_is_ok(r, store_stat(r->txn, &stat));
}

/* How many answers were "damaged". */
static inline unsigned stored_rows_read(struct stored_rows *rows)
{
    static void (*const readers[])(struct stored_rows *, struct reading *) = {
        read_records,   read_events,   read_deliveries, read_senders,
        read_endpoints, read_journals, read_counts,
    };
    unsigned corrupt = 0;

    for (size_t i = 0; i < COUNT(readers); i++) {
        struct reading r = {0};

        must(txn_read(rows->t->store, &r.txn) == STATUS_OK);
        readers[i](rows, &r);
        (void)reading_is_ok(&r, txn_status(r.txn)); /* of numbers that were made up */
        txn_abort(r.txn);
        corrupt += r.corrupt;
    }
    return corrupt;
}

/* ---- whoever changes ---- */

static inline void change_record(struct stored_rows *rows, struct txn *txn)
{
    const struct uuid *record = &rows->world.live;
    uint64_t sequence = add_revision(txn, record, 4, "WO-9", "{\"a\":3}");

    (void)outbox_enqueue(txn, rows->world.endpoint, sequence, record, T0);
}

static inline void add_a_record(struct stored_rows *rows, struct txn *txn)
{
    struct uuid record;
    uint64_t sequence = add_record(txn, &record, "WO-8", "{}");

    (void)outbox_enqueue(txn, rows->world.endpoint, sequence, &record, T0);
    usage_add(txn, 1, T0, 1);
}

static inline void finish_first(struct stored_rows *rows, struct txn *txn)
{
    struct attempt attempt = attempt_of(&rows->world.first, 200);

    status_drop(outbox_finish(txn, &attempt, ATTEMPT_DELIVERED, 0)); /* the commit tells */
    endpoint_note(txn, rows->world.endpoint, true, T0);
}

static inline void finish_plain(struct stored_rows *rows, struct txn *txn)
{
    struct attempt attempt = attempt_of(&rows->plain, 500);

    status_drop(outbox_finish(txn, &attempt, ATTEMPT_FAILED, 0)); /* the commit tells */
}

/* A second request with a key that was used: a writer goes by the store's clock, as it was then. */
static inline void find_answers(struct stored_rows *rows, struct txn *txn)
{
    static const uint8_t no_hash[SHA256_BYTES];
    struct idempotent_answer answer;

    (void)rows;
    for (uint32_t number = 1; number <= 2; number++)
        if (idempotency_find(txn, number, no_hash, &answer) == STATUS_OK) {
            reading_look(answer.content_type);
            reading_look(answer.etag);
            reading_look(answer.body);
        }
}

static inline void retry_failed(struct stored_rows *rows, struct txn *txn)
{
    status_drop(outbox_retry(txn, &rows->world.failed)); /* the commit tells */
    (void)outbox_hasten_endpoint(txn, rows->world.endpoint, 100);
}

static inline void fail_pending(struct stored_rows *rows, struct txn *txn)
{
    (void)outbox_fail_endpoint(txn, rows->world.endpoint, "endpoint disabled", 100);
}

static inline void prune(struct stored_rows *rows, struct txn *txn)
{
    (void)rows;
    (void)outbox_prune(txn, T0 + DAY_MS, 1000);
    (void)idempotency_prune(txn, 1000);
    (void)rejections_prune(txn, 1000);
    (void)usage_prune(txn, T0 + DAY_MS, 1000);
    (void)endpoints_sweep(txn, 1000);
}

static inline void erase_record(struct stored_rows *rows, struct txn *txn)
{
    uint32_t count;

    status_drop(outbox_erase_record(txn, &rows->world.live)); /* the commit tells */
    status_drop(record_erase(txn, &rows->world.live, &count));
    status_drop(event_erase_data(txn, 1));
}

static inline void retain(struct stored_rows *rows, struct txn *txn)
{
    struct retention walk = {.type = 1, .keep_ms = -DAY_MS};

    (void)rows;
    (void)retention_step(txn, &walk, 1000);
}

static inline void administer(struct stored_rows *rows, struct txn *txn)
{
    static struct endpoint endpoint; /* large */
    struct api_key key = {.label = "new"};
    struct report report = {.every = REPORT_DAILY};

    endpoint = (struct endpoint){.url = "https://x", .state = ENDPOINT_ENABLED};
    api_key_touch(txn, 1, T0);
    api_key_put(txn, &key);
    endpoint_put(txn, &endpoint);
    report_put(txn, &report);
    status_drop(api_key_delete(txn, &rows->world.api_key)); /* the commit tells */
    status_drop(endpoint_delete(txn, &endpoint.id));
    status_drop(report_postpone(txn, &rows->world.report, T0));
    status_drop(report_delete(txn, &rows->world.report));
    rejection_add(txn, &(struct rejection){.at_ms = T0});
    audit_add(txn, &(struct audit_entry){.at_ms = T0});
}

/* Each change in a transaction of its own, committed where `is_kept`; how many met damage. */
static inline unsigned stored_rows_change(struct stored_rows *rows, bool is_kept)
{
    static void (*const changes[])(struct stored_rows *, struct txn *) = {
        change_record, add_a_record, finish_first, finish_plain, find_answers, retry_failed,
        fail_pending,  administer,   erase_record, retain,       prune,
    };
    unsigned corrupt = 0;

    for (size_t i = 0; i < COUNT(changes); i++) {
        struct txn *txn = stored_begin(rows->t);

        changes[i](rows, txn);
        txn_write_pending(txn);
        enum status s = txn_status(txn);
        must(s == STATUS_OK || s == STATUS_CORRUPT || s == STATUS_NO_SPACE); /* numbers end */
        corrupt += s == STATUS_CORRUPT;
        if (is_kept)
            status_drop(txn_commit(txn)); /* told already */
        else
            txn_abort(txn);
    }
    return corrupt;
}

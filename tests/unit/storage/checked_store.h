/* checked_store: a small whole world in a store, and what a check finds once a test broke it. */
#pragma once

#include "storage/api_keys.h"
#include "storage/check.h"
#include "storage/idempotency.h"
#include "storage/journal.h"
#include "storage/outbox_rows.h"
#include "storage/reports.h"
#include "temporary_store.h"

/* One of each kind of thing, in a store that is whole. */
struct world {
    uint32_t endpoint, deleted_endpoint;
    struct uuid live, deleted, keyless;       /* records */
    struct uuid taken, first, second, failed; /* deliveries; first and second of one lane */
    struct uuid api_key, report;
};

static inline struct world make_world(struct temporary_store *t)
{
    struct world w = {0};
    struct type_row type;
    struct txn *txn = begin_write(t);
    struct endpoint endpoint;
    struct api_key key = {.label = "ERP", .is_enabled = true};
    struct report report = {.every = REPORT_DAILY};
    uint64_t sequence;

    assert_int_equal(type_register(txn, "workorder", "wo", &type), STATUS_OK);
    assert_int_equal(type.number, 1);
    w.endpoint = add_endpoint(txn, "workorder.*");
    w.deleted_endpoint = add_endpoint(txn, NULL);
    sequence = add_record(txn, &w.live, "WO-1", "{}");
    w.taken = outbox_enqueue(txn, w.endpoint, sequence, &w.live, T0);
    (void)outbox_enqueue(txn, w.deleted_endpoint, sequence, &w.live, T0);
    finish(txn, &w.taken, ATTEMPT_RETRY, T0);
    finish(txn, &w.taken, ATTEMPT_DELIVERED, 0);
    sequence = add_revision(txn, &w.live, 2, "WO-1", "{\"a\":1}");
    w.first = outbox_enqueue(txn, w.endpoint, sequence, &w.live, T0);
    sequence = add_revision(txn, &w.live, 3, "WO-1", "{\"a\":2}");
    w.second = outbox_enqueue(txn, w.endpoint, sequence, &w.live, T0);
    sequence = add_record(txn, &w.deleted, "WO-2", "{}");
    w.failed = outbox_enqueue(txn, w.endpoint, sequence, &w.deleted, T0);
    finish(txn, &w.failed, ATTEMPT_FAILED, 0);
    record_put(txn,
               &(struct revision){.record = w.deleted,
                                  .number = 2,
                                  .type = 1,
                                  .action = ACTION_DELETED,
                                  .key = bytes_of_str("WO-2"),
                                  .body = bytes_of_str("{}")},
               bytes_of_str("WO-2"));
    (void)add_record(txn, &w.keyless, "", "{}");
    assert_int_equal(endpoint_at(txn, w.deleted_endpoint, &endpoint), STATUS_OK);
    assert_int_equal(endpoint_delete(txn, &endpoint.id), STATUS_OK);
    api_key_put(txn, &key);
    w.api_key = key.id;
    usage_add(txn, key.number, T0, 1);
    idempotency_put(txn, key.number, key.hash, &(struct idempotent_answer){.at_ms = T0});
    report_put(txn, &report);
    w.report = report.id;
    rejection_add(txn, &(struct rejection){.at_ms = T0, .http_status = 401});
    audit_add(txn, &(struct audit_entry){.at_ms = T0, .act = bytes_of_str("keys create")});
    commit(txn);
    return w;
}

struct findings {
    unsigned count;
    char texts[16][512];
};

static inline void note(void *context, const char *text)
{
    struct findings *findings = context;

    if (findings->count < COUNT(findings->texts))
        snprintf(findings->texts[findings->count], sizeof findings->texts[0], "%s", text);
    findings->count++;
}

static inline struct check_report run(struct temporary_store *t, struct findings *findings)
{
    struct check_report report;

    assert_int_equal(store_check(t->store, note, NULL, findings, &report), STATUS_OK);
    assert_int_equal(report.problem_count, findings->count);
    return report;
}

/* Some finding is exactly that, or begins with it where it ends in "…". */
static inline void assert_found(struct temporary_store *t, const char *expected)
{
    struct findings findings = {0};
    size_t len = strlen(expected);
    bool is_prefix = len > 3 && strcmp(expected + len - 3, "…") == 0;

    (void)run(t, &findings);
    for (unsigned i = 0; i < findings.count && i < COUNT(findings.texts); i++)
        if (is_prefix ? strncmp(findings.texts[i], expected, len - 3) == 0
                      : strcmp(findings.texts[i], expected) == 0)
            return;
    for (unsigned i = 0; i < findings.count && i < COUNT(findings.texts); i++)
        print_message("found: %s\n", findings.texts[i]);
    fail_msg("not found: %s", expected);
}

static inline const char *id_text(const char *prefix, const struct uuid *id)
{
    static char text[TYPEID_TEXT_BYTES];

    typeid_format(prefix, id, text);
    return text;
}

/* "deliveries: %s: is …" with an id in it. */
static inline void assert_found_of(struct temporary_store *t, const char *format,
                                   const char *prefix, const struct uuid *id)
{
    char expected[512];
    const char *at = strstr(format, "%s");

    snprintf(expected, sizeof expected, "%.*s%s%s", (int)(at - format), format, id_text(prefix, id),
             at + 2);
    assert_found(t, expected);
}

/* Something of the world's is changed in a transaction, then comes what follows. */
#define BREAKING(txn, w)                                                                           \
    struct temporary_store *t = *state;                                                            \
    struct world w = make_world(t);                                                                \
    struct txn *txn = begin_write(t)

static inline void drop(struct txn *txn, enum table table, const void *key, size_t len)
{
    assert_int_equal(table_delete(txn, table, bytes_of(key, len)), STATUS_OK);
}

/* Replace a row's fields without its module. */
static inline void put_raw(struct txn *txn, enum table table, const void *key, size_t key_len,
                           const void *row, size_t row_len)
{
    table_put(txn, table, bytes_of(key, key_len), bytes_of(row, row_len));
}

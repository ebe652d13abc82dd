/*
 * golden rows: what lies in the tables of records, events, API keys and their company, byte by byte
 * (docs/data-format.md). A row here is never changed: a store that some operator has is full of
 * them. A new version of a row gets rows of its own beside these, and old ones go on being read.
 */
#include "tests/unit/storage/store_fixture.h"

#include "base/encode.h"
#include "storage/api_keys.h"
#include "storage/events.h"
#include "storage/idempotency.h"
#include "storage/records.h"
#include "storage/txn.h"

#define RECORD "0190a5b1c2d37000800000000000aaaa"
#define BLOCK "000000064296c70b" /* the 64 ms of its time */
#define H32 "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define O32 "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
#define NOW_MS INT64_C(0x0000019a1b2c3d4e)
#define NOW "0000019a1b2c3d4e"

/* clang-format off */
static const char TYPE_V1[] =
    "01" "00000009" "776f726b6f72646572" "00000002" "776f"; /* "workorder", "wo" */
static const char COUNTER_V1[] = "01" "0000000000000001";
static const char REVISION_V1[] =
    "01" "00" "02" "0001" NOW          /* version, flags, updated, type 1, received */
    "00000007" "0000000000000412" "0003" /* API key 7, first event 1042, three events */
    "00000004" "574f2d31"              /* "WO-1" */
    "7b7d";                            /* {} */
static const char ERASED_V1[] =
    "01" "01" "02" "0001" NOW "00000007" "0000000000000412" "0003" "00000000";
static const char RECORD_KEY_V1[] = "01" RECORD;
static const char BLOCK_V2[] = "02";
static const char EVENTS_V2_HEAD[] =                /* up to the first event's id */
    "02" NOW "0001" RECORD "00000002" "0002" "0003" /* type, record, revision, 2 names, 3 events */
    "00000003" "612e62" "00000000"                  /* "a.b" */
    "00000003" "632e64" "00000001" "6d";            /* "c.d" of the array "m" */
static const char EVENT_V2_FIRST[] = "01" "0000" "00000000"; /* behind an id: an update, name 0 */
static const char EVENT_V2_ELEMENT[] = "00" "0001" "00000004"; /* name 1, element 4 */
static const char EVENT_V2_LAST[] = "01" "0000" "00000000";
static const char OWN_EVENT_V2_HEAD[] =
    "02" NOW "0000" "00000000000000000000000000000000" "00000000" "0001" "0001"
    "0000000c" "776562686f6f6b2e74657374" "00000000"; /* "webhook.test" */
static const char OWN_EVENT_V2_TAIL[] = "00" "0000" "00000000" "7b7d"; /* … {} */
static const char API_KEY_V1_TAIL[] =        /* behind version and id */
    H32 O32
    "000000000000000b" "000000000000000c" "000000000000000d" "000000000000000e"
    "01" "0000000f" "00000010"          /* enabled, limits */
    "00000003" "455250"                 /* "ERP" */
    "01" "00000007" "2a3a7772697465"    /* one scope: "*:write" */
    "01" "00000000000000000000ffff0a000000" "68"; /* one range: 10.0.0.0/8 */
static const char API_KEY_ID_V1[] = "01" "00000001";
static const char USAGE_V1[] = "01" "00000002";
static const char ANSWER_V1[] =
    "01" H32 "00c8" NOW                 /* version, fingerprint, 200, time */
    "00000001" "74" "00000003" "223122" /* "t", "\"1\"" */
    "7b7d";                             /* {} */
/* clang-format on */

static struct buf unhex(const char *hex)
{
    struct buf bytes = {0};

    assert_int_equal(hex_decode(&bytes, bytes_of_str(hex)), STATUS_OK);
    return bytes;
}

/* The row that is stored under the key, both in hex. */
static void assert_row(struct txn *txn, enum table table, const char *key, const char *row)
{
    CLEANUP(buf_fini) struct buf key_bytes = unhex(key), expected = unhex(row), got = {0};
    struct bytes stored;

    assert_int_equal(table_get(txn, table, buf_bytes(&key_bytes), &stored), STATUS_OK);
    hex_encode(&got, stored);
    assert_string_equal(buf_str(&got), row);
}

static void put_row(struct txn *txn, enum table table, const char *key, const char *row)
{
    CLEANUP(buf_fini) struct buf key_bytes = unhex(key), row_bytes = unhex(row);

    table_put(txn, table, buf_bytes(&key_bytes), buf_bytes(&row_bytes));
}

static struct uuid the_record(void)
{
    CLEANUP(buf_fini) struct buf bytes = unhex(RECORD);
    struct uuid id;

    memcpy(id.bytes, bytes.data, UUID_BYTES);
    return id;
}

static struct txn *golden_write(struct fixture *f)
{
    f->now_ms = NOW_MS;
    return fixture_write(f);
}

static void the_check_is_crc_32c_of_key_and_row(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = fixture_write(f);
    char key_bytes[] = "12345";
    MDB_val key = {5, key_bytes}, row;

    table_put(txn, TABLE_REPORTS, bytes_of("12345", 5), bytes_of("6789", 4));
    assert_int_equal(mdb_get(txn->lmdb, txn->store->dbis[TABLE_REPORTS], &key, &row), 0);
    assert_int_equal(row.mv_size, 8);
    assert_memory_equal(row.mv_data, "6789\xe3\x06\x92\x83", 8); /* of "123456789" */
    txn_abort(txn);
}

static void small_change_is_as_documented(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    struct type_row type;

    assert_int_equal(type_register(txn, "workorder", "wo", &type), STATUS_OK);
    assert_int_equal(txn_next_number(txn, "next_thing"), 1);
    counter_add(txn, COUNTER_ATTEMPTS, 1);
    fixture_commit(txn);
    txn = fixture_read(f);
    assert_row(txn, TABLE_TYPES, "0001", TYPE_V1);
    assert_row(txn, TABLE_COUNTERS, "0000000004", COUNTER_V1);
    assert_row(txn, TABLE_META, "666f726d6174",
               "01"
               "00000002"); /* "format" */
    assert_row(txn, TABLE_META, "6e6578745f7468696e67",
               "01"
               "00000001"); /* "next_thing" */
    assert_row(txn, TABLE_META, "67656e65726174696f6e",
               "01"
               "0000000000000001"); /* "generation" */
    txn_abort(txn);
}

static void a_revision_is_as_documented(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    struct revision revision = {.record = the_record(),
                                .number = 1,
                                .type = 1,
                                .action = ACTION_UPDATED,
                                .received_ms = NOW_MS,
                                .api_key = 7,
                                .first_event = 1042,
                                .event_count = 3,
                                .key = bytes_of_str("WO-1"),
                                .body = bytes_of_str("{}")};
    uint32_t count;

    record_put(txn, &revision, bytes_of(NULL, 0));
    assert_row(txn, TABLE_REVISIONS, RECORD "00000001", REVISION_V1);
    assert_row(txn, TABLE_RECORD_KEYS,
               "0001"
               "574f2d31",
               RECORD_KEY_V1);
    assert_row(txn, TABLE_RECORDS_BY_TYPE, "0001" BLOCK, BLOCK_V2);
    assert_int_equal(record_erase(txn, &revision.record, &count), STATUS_OK);
    assert_row(txn, TABLE_REVISIONS, RECORD "00000001", ERASED_V1);
    txn_abort(txn);
}

static void a_golden_revision_is_read(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    struct revision revision;
    struct uuid id = the_record();

    put_row(txn, TABLE_REVISIONS, RECORD "00000002", REVISION_V1);
    assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
    assert_int_equal(revision.number, 2);
    assert_int_equal(revision.type, 1);
    assert_int_equal(revision.action, ACTION_UPDATED);
    assert_int_equal(revision.received_ms, NOW_MS);
    assert_int_equal(revision.api_key, 7);
    assert_int_equal(revision.first_event, 1042);
    assert_int_equal(revision.event_count, 3);
    assert_bytes_equal(revision.key, "WO-1");
    assert_bytes_equal(revision.body, "{}");
    put_row(txn, TABLE_REVISIONS, RECORD "00000003", ERASED_V1);
    assert_int_equal(record_current(txn, &id, &revision), STATUS_OK);
    assert_true(revision.is_erased);
    txn_abort(txn);
}

static void put_event_hex(struct buf *row, const struct event *event, const char *rest)
{
    hex_encode(row, bytes_of(event->id.bytes, UUID_BYTES));
    buf_put_str(row, rest);
}

static void the_events_of_a_change_are_as_documented(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    CLEANUP(buf_fini) struct buf row = {0};
    struct event events[3] = {{.time_ms = NOW_MS,
                               .name = bytes_of_str("a.b"),
                               .type = 1,
                               .record = the_record(),
                               .revision = 2,
                               .is_update = true},
                              {.name = bytes_of_str("c.d"),
                               .each_member = bytes_of_str("m"),
                               .element = 4},
                              {.name = bytes_of_str("a.b"), .is_update = true}},
                 got;

    events_append(txn, events, 3);
    buf_put_str(&row, EVENTS_V2_HEAD);
    put_event_hex(&row, &events[0], EVENT_V2_FIRST);
    put_event_hex(&row, &events[1], EVENT_V2_ELEMENT);
    put_event_hex(&row, &events[2], EVENT_V2_LAST);
    assert_row(txn, TABLE_EVENTS, "0000000000000001", buf_str(&row));
    put_row(txn, TABLE_EVENTS, "0000000000000004", buf_str(&row));
    assert_int_equal(event_at(txn, 5, &got), STATUS_OK);
    assert_int_equal(got.sequence, 5);
    assert_int_equal(got.time_ms, NOW_MS);
    assert_int_equal(got.type, 1);
    assert_int_equal(got.revision, 2);
    assert_int_equal(got.element, 4);
    assert_false(got.is_update);
    assert_bytes_equal(got.name, "c.d");
    assert_bytes_equal(got.each_member, "m");
    assert_int_equal(event_at(txn, 6, &got), STATUS_OK);
    assert_true(got.is_update);
    assert_bytes_equal(got.name, "a.b");
    assert_bytes_equal(got.each_member, "");
    txn_abort(txn);
}

static void an_event_of_its_own_is_as_documented(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    CLEANUP(buf_fini) struct buf row = {0};
    struct event event = {.time_ms = NOW_MS,
                          .name = bytes_of_str("webhook.test"),
                          .data = bytes_of_str("{}")},
                 got;

    event_append(txn, &event);
    buf_put_str(&row, OWN_EVENT_V2_HEAD);
    put_event_hex(&row, &event, OWN_EVENT_V2_TAIL);
    assert_row(txn, TABLE_EVENTS, "0000000000000001", buf_str(&row));
    put_row(txn, TABLE_EVENTS, "0000000000000002", buf_str(&row));
    assert_int_equal(event_at(txn, 2, &got), STATUS_OK);
    assert_bytes_equal(got.data, "{}");
    txn_abort(txn);
}

static void an_api_key_is_as_documented(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    CLEANUP(buf_fini) struct buf row = {0}, hash = unhex(H32), old = unhex(O32), id = {0};
    struct api_key key = {.label = "ERP",
                          .old_expires_ms = 11,
                          .created_ms = 12,
                          .expires_ms = 13,
                          .last_used_ms = 14,
                          .is_enabled = true,
                          .limit_minute = 15,
                          .limit_hour = 16,
                          .scope_count = 1,
                          .scopes = {"*:write"},
                          .cidr_count = 1},
                   got;

    memcpy(key.hash, hash.data, SHA256_BYTES);
    memcpy(key.old_hash, old.data, SHA256_BYTES);
    assert_int_equal(cidr_parse(bytes_of_str("10.0.0.0/8"), &key.cidrs[0]), STATUS_OK);
    api_key_put(txn, &key);
    hex_encode(&id, bytes_of(key.id.bytes, UUID_BYTES));
    buf_put_str(&row, "01");
    buf_put_bytes(&row, buf_bytes(&id));
    buf_put_str(&row, API_KEY_V1_TAIL);
    assert_row(txn, TABLE_API_KEYS, "00000001", buf_str(&row));
    assert_row(txn, TABLE_API_KEY_IDS, buf_str(&id), API_KEY_ID_V1);
    put_row(txn, TABLE_API_KEYS, "00000001", buf_str(&row));
    assert_int_equal(api_key_at(txn, 1, &got), STATUS_OK);
    assert_memory_equal(&got, &key, sizeof(got));
    txn_abort(txn);
}

static void usage_and_answers_are_as_documented(void **state)
{
    struct fixture *f = *state;
    struct txn *txn = golden_write(f);
    CLEANUP(buf_fini) struct buf hash = unhex(H32);
    struct idempotent_answer answer = {.http_status = 200,
                                       .at_ms = NOW_MS,
                                       .content_type = bytes_of_str("t"),
                                       .etag = bytes_of_str("\"1\""),
                                       .body = bytes_of_str("{}")};

    memcpy(answer.fingerprint, hash.data, SHA256_BYTES);
    usage_add(txn, 7, NOW_MS, 2);
    fixture_commit(txn);
    txn = golden_write(f);
    assert_row(txn, TABLE_USAGE, "00000007" NOW, USAGE_V1);
    idempotency_put(txn, 7, hash.data, &answer);
    /* 0x19a1b2c3d4e / 7200000 = 244637 */
    assert_row(txn, TABLE_IDEMPOTENCY,
               "0003bb9d"
               "00000007" H32,
               ANSWER_V1);
    txn_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(the_check_is_crc_32c_of_key_and_row),
        STORE_TEST(small_change_is_as_documented),
        STORE_TEST(a_revision_is_as_documented),
        STORE_TEST(a_golden_revision_is_read),
        STORE_TEST(the_events_of_a_change_are_as_documented),
        STORE_TEST(an_event_of_its_own_is_as_documented),
        STORE_TEST(an_api_key_is_as_documented),
        STORE_TEST(usage_and_answers_are_as_documented),
    };

    return cmocka_run_group_tests_name("storage/golden_records", tests, NULL, NULL);
}

/*
 * golden rows: what lies in the tables of endpoints, deliveries, journals and reports, byte by byte
 * (docs/data-format.md). A row here is never changed: a store that some operator has is full of
 * them. A new version of a row gets rows of its own beside these, and old ones go on being read.
 */
#include "base/encode.h"
#include "base/random.h"
#include "storage/journal.h"
#include "storage/outbox_rows.h"
#include "storage/reports.h"
#include "temporary_store.h"

#include <fcntl.h>

#define ID "0190a5b1c2d37e4f8a9b0c1d2e3f4a5b"
#define RECORD "0190a5b1c2d37000800000000000aaaa"
#define PLACE "0190a5b1c2d37000800000000000bbbb"

/* clang-format off */
static const char ENDPOINT_V1[] =
    "01" ID "02"                    /* version, id, disabled */
    "0000019a1b2c3d4e"              /* created */
    "00000009" "68747470733a2f2f78" /* "https://x" */
    "00000001" "64"                 /* "d" */
    "00000008" "34313020476f6e65"   /* "410 Gone" */
    "01" "0000000b" "776f726b6f726465722e2a" /* one pattern: "workorder.*" */
    "02" "00000002" "0102" "00000001" "03"   /* two secrets */
    "02" "0000003c" "0000012c"      /* retries after 60 and 300 s */
    "00007530" "0010" "00000064"    /* timeout, window, rate */
    "00000006" "676974687562" "00000000" "00000003" "686578" "00000000" /* "github", "", "hex", "" */
    "01" "00000003" "582d41" "00000001" "62"; /* one header: "X-A: b" */
static const char NOTES_V1[] = "01" "0000019a1b2c3d4f" "0000019a1b2c3d50";
static const char DELIVERY_V1[] =
    "01" "0000000000000412" "00000007" /* version, sequence 1042, endpoint 7 */
    RECORD PLACE "03"                  /* failed */
    "0005" "0004" "01f4"               /* attempts, retries, status 500 */
    "0000019a1b2c3d4e" "0000019a1b2c3d4f" /* due, finished */
    "0d" "7265636f726420657261736564"; /* "record erased" */
static const char NAME_V1[] = "01" ID;
static const char MARK_V1[] = "01";
static const char ATTEMPT_V1[] =
    "01" "0000019a1b2c3d4e" "0000000c" "01f4" /* version, time, 12 ms, status 500 */
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "00000009" "68747470733a2f2f78" /* "https://x" */
    "00000003" "3a3a31"             /* "::1" */
    "00000005" "7265736574"         /* "reset" */
    "00000006" "613a20620d0a"       /* "a: b" */
    "00000002" "ff00";              /* two bytes of a body */
static const char REJECTION_V1[] =
    "01" "0000019a1b2c3d4e" "00000003" "01ad" /* version, time, API key 3, status 429 */
    "00000000000000000000ffffc0000201"        /* 192.0.2.1 */
    "00000004" "504f5354" "00000001" "2f" "00000004" "6c617465"; /* "POST", "/", "late" */
static const char AUDIT_V1[] =
    "01" "0000019a1b2c3d4e"
    "00000001" "61" "00000001" "62" "00000001" "63" "00000001" "64" "00000001" "65";
static const char REPORT_V1[] =
    "01" "03" "01a4"                      /* version, weekly, minute 420 */
    "0000019a1b2c3d4e" "0000019a1b2c3d4f" /* created, next due */
    "01" "00000006" "76656e646f72";       /* one type: "vendor" */
/* clang-format on */

#define TIME_1 INT64_C(0x19a1b2c3d4e)

static struct buf of_hex(const char *hex)
{
    struct buf bytes = {0};

    assert_int_equal(hex_decode(&bytes, bytes_of_str(hex)), STATUS_OK);
    return bytes;
}

static struct uuid id_of_hex(const char *hex)
{
    CLEANUP(buf_fini) struct buf bytes = of_hex(hex);
    struct uuid id;

    memcpy(id.bytes, bytes.data, UUID_BYTES);
    return id;
}

static void put_golden(struct txn *txn, enum table table, struct bytes key, const char *hex)
{
    CLEANUP(buf_fini) struct buf row = of_hex(hex);

    table_put_buf(txn, table, key, &row);
}

static void assert_golden(struct txn *txn, enum table table, struct bytes key, const char *hex)
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct bytes row;

    assert_int_equal(table_get(txn, table, key, &row), STATUS_OK);
    hex_encode(&text, row);
    assert_string_equal(buf_str(&text), hex);
}

static void endpoints_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct bytes key = bytes_of("\0\0\0\7", 4);
    struct endpoint e;

    put_golden(txn, TABLE_ENDPOINTS, key, ENDPOINT_V1);
    put_golden(txn, TABLE_ENDPOINT_NOTES, key, NOTES_V1);
    assert_int_equal(endpoint_at(txn, 7, &e), STATUS_OK);
    assert_int_equal(e.number, 7);
    assert_int_equal(e.state, ENDPOINT_DISABLED);
    assert_int_equal(e.created_ms, TIME_1);
    assert_string_equal(e.url, "https://x");
    assert_string_equal(e.description, "d");
    assert_string_equal(e.disabled_reason, "410 Gone");
    assert_int_equal(e.pattern_count, 1);
    assert_string_equal(e.patterns[0], "workorder.*");
    assert_int_equal(e.secret_count, 2);
    assert_int_equal(e.secrets[0].len, 2);
    assert_int_equal(e.secrets[1].data[0], 3);
    assert_int_equal(e.retry_count, 2);
    assert_int_equal(e.retry_s[1], 300);
    assert_int_equal(e.timeout_ms, 30000);
    assert_int_equal(e.window_max, 16);
    assert_int_equal(e.rate_per_s, 100);
    assert_string_equal(e.signature, "github");
    assert_string_equal(e.signature_encoding, "hex");
    assert_int_equal(e.header_count, 1);
    assert_string_equal(e.headers[0].name, "X-A");
    assert_string_equal(e.headers[0].value, "b");
    assert_int_equal(e.last_success_ms, TIME_1 + 1);
    assert_int_equal(e.failing_since_ms, TIME_1 + 2);
    assert_int_equal(table_delete(txn, TABLE_ENDPOINTS, key), STATUS_OK);
    assert_int_equal(table_delete(txn, TABLE_ENDPOINT_NOTES, key), STATUS_OK);
    endpoint_put(txn, &e);
    assert_golden(txn, TABLE_ENDPOINTS, key, ENDPOINT_V1);
    assert_golden(txn, TABLE_ENDPOINT_NOTES, key, NOTES_V1);
    txn_abort(txn);
}

static void deliveries_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = id_of_hex(ID), record = id_of_hex(RECORD), place = id_of_hex(PLACE);
    struct delivery d;

    put_golden(txn, TABLE_DELIVERIES, delivery_key(&id), DELIVERY_V1);
    d = delivery_of(txn, &id);
    assert_int_equal(d.sequence, 1042);
    assert_int_equal(d.endpoint, 7);
    assert_memory_equal(&d.record, &record, sizeof record);
    assert_memory_equal(&d.place, &place, sizeof place);
    assert_int_equal(d.state, DELIVERY_FAILED);
    assert_int_equal(d.attempt_count, 5);
    assert_int_equal(d.retry_count, 4);
    assert_int_equal(d.last_status, 500);
    assert_int_equal(d.due_ms, TIME_1);
    assert_int_equal(d.finished_ms, TIME_1 + 1);
    assert_string_equal(d.reason, "record erased");
    assert_int_equal(table_delete(txn, TABLE_DELIVERIES, delivery_key(&id)), STATUS_OK);
    delivery_put(txn, &d, true);
    assert_golden(txn, TABLE_DELIVERIES, delivery_key(&id), DELIVERY_V1);
    txn_abort(txn);
}

static void assert_key(struct bytes key, const char *hex)
{
    CLEANUP(buf_fini) struct buf text = {0};

    hex_encode(&text, key);
    assert_string_equal(buf_str(&text), hex);
}

static void what_orders_deliveries_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct delivery d = {.id = id_of_hex(ID),
                         .sequence = 1042,
                         .endpoint = 7,
                         .record = id_of_hex(RECORD),
                         .place = id_of_hex(PLACE),
                         .due_ms = TIME_1};
    uint8_t pending[PENDING_KEY_BYTES], lane[LANE_KEY_BYTES], due[DUE_KEY_BYTES];
    uint8_t event[EVENT_DELIVERY_KEY_BYTES], delivered[DELIVERED_KEY_BYTES];

    pending_key(&d, pending);
    assert_key(bytes_of(pending, sizeof pending), "00000007" PLACE);
    lane_key(&d, lane);
    assert_key(bytes_of(lane, sizeof lane), "00000007" RECORD PLACE);
    due_key(&d, due);
    assert_key(bytes_of(due, sizeof due), "00000007"
                                          "0000019a1b2c3d4e" ID);
    event_delivery_key(&d, event);
    assert_key(bytes_of(event, sizeof event), "0000000000000412"
                                              "00000007" ID);
    delivered_key(7, 1042, delivered);
    assert_key(bytes_of(delivered, sizeof delivered), "00000007"
                                                      "0000000000000001");
    delivery_name_put(txn, TABLE_LANES, bytes_of(lane, sizeof lane), &d.id);
    assert_golden(txn, TABLE_LANES, bytes_of(lane, sizeof lane), NAME_V1);
    mark_put(txn, TABLE_DUE, bytes_of(due, sizeof due));
    assert_golden(txn, TABLE_DUE, bytes_of(due, sizeof due), MARK_V1);
    d.record = NO_RECORD;
    lane_key(&d, lane);
    assert_key(bytes_of(lane, sizeof lane), "00000007" ID PLACE);
    txn_abort(txn);
}

static void what_was_taken_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    char golden[2 + 2 * DELIVERED_BLOCK_BYTES + 1];
    uint8_t key[DELIVERED_KEY_BYTES];

    /* 1024 is the first bit of its block, 1042 the third of its third byte, 2047 the last. */
    memset(golden, '0', sizeof golden - 1);
    golden[sizeof golden - 1] = '\0';
    golden[1] = '1';
    memcpy(golden + 2, "800020", 6);
    golden[sizeof golden - 2] = '1';
    delivered_key(7, 1042, key);
    put_golden(txn, TABLE_DELIVERED, bytes_of(key, sizeof key), golden);
    assert_true(outbox_has_delivered(txn, 7, 1024));
    assert_true(outbox_has_delivered(txn, 7, 1042));
    assert_true(outbox_has_delivered(txn, 7, 2047));
    assert_false(outbox_has_delivered(txn, 7, 1041));
    assert_int_equal(table_delete(txn, TABLE_DELIVERED, bytes_of(key, sizeof key)), STATUS_OK);
    delivered_mark(txn, 7, 2047);
    delivered_mark(txn, 7, 1042);
    delivered_mark(txn, 7, 1024);
    assert_golden(txn, TABLE_DELIVERED, bytes_of(key, sizeof key), golden);
    txn_abort(txn);
}

static void attempts_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = id_of_hex(ID);
    uint8_t key[ATTEMPT_KEY_BYTES];
    struct attempt a;

    attempt_key(&id, 5, key);
    assert_key(bytes_of(key, sizeof key), ID "0005");
    put_golden(txn, TABLE_ATTEMPTS, bytes_of(key, sizeof key), ATTEMPT_V1);
    assert_int_equal(attempt_at(txn, &id, 5, &a), STATUS_OK);
    assert_int_equal(a.at_ms, TIME_1);
    assert_int_equal(a.duration_ms, 12);
    assert_int_equal(a.http_status, 500);
    assert_int_equal(a.payload_hash[31], 0x1f);
    assert_true(bytes_equal_str(a.url, "https://x"));
    assert_true(bytes_equal_str(a.address, "::1"));
    assert_true(bytes_equal_str(a.error, "reset"));
    assert_true(bytes_equal_str(a.request_headers, "a: b\r\n"));
    assert_true(bytes_equal(a.response_body, bytes_of("\xff\0", 2)));
    attempt_put(txn, &a, 6);
    attempt_key(&id, 6, key);
    assert_golden(txn, TABLE_ATTEMPTS, bytes_of(key, sizeof key), ATTEMPT_V1);
    txn_abort(txn);
}

static void rejections_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = id_of_hex(ID), before = {{0}};
    struct rejection r;

    put_golden(txn, TABLE_REJECTIONS, delivery_key(&id), REJECTION_V1);
    assert_int_equal(rejection_page_next(txn, 0, &before, &r), STATUS_OK);
    assert_int_equal(r.at_ms, TIME_1);
    assert_int_equal(r.api_key, 3);
    assert_int_equal(r.http_status, 429);
    assert_true(address_is_v4(&r.address));
    assert_true(bytes_equal_str(r.method, "POST"));
    assert_true(bytes_equal_str(r.route, "/"));
    assert_true(bytes_equal_str(r.reason, "late"));
    rejection_add(txn, &r);
    assert_golden(txn, TABLE_REJECTIONS, delivery_key(&r.id), REJECTION_V1);
    txn_abort(txn);
}

static void audit_entries_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = id_of_hex(ID), before = {{0}};
    struct audit_entry e;

    put_golden(txn, TABLE_AUDIT, delivery_key(&id), AUDIT_V1);
    assert_int_equal(audit_page_next(txn, 0, &before, &e), STATUS_OK);
    assert_int_equal(e.at_ms, TIME_1);
    assert_true(bytes_equal_str(e.who, "a"));
    assert_true(bytes_equal_str(e.origin, "b"));
    assert_true(bytes_equal_str(e.act, "c"));
    assert_true(bytes_equal_str(e.object, "d"));
    assert_true(bytes_equal_str(e.detail, "e"));
    audit_add(txn, &e);
    assert_golden(txn, TABLE_AUDIT, delivery_key(&e.id), AUDIT_V1);
    txn_abort(txn);
}

static void reports_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct uuid id = id_of_hex(ID);
    struct report r;

    put_golden(txn, TABLE_REPORTS, delivery_key(&id), REPORT_V1);
    assert_int_equal(report_find(txn, &id, &r), STATUS_OK);
    assert_int_equal(r.every, REPORT_WEEKLY);
    assert_int_equal(r.at_minute, 420);
    assert_int_equal(r.created_ms, TIME_1);
    assert_int_equal(r.next_due_ms, TIME_1 + 1);
    assert_int_equal(r.type_count, 1);
    assert_string_equal(r.types[0], "vendor");
    assert_int_equal(report_delete(txn, &id), STATUS_OK);
    report_put(txn, &r);
    assert_golden(txn, TABLE_REPORTS, delivery_key(&id), REPORT_V1);
    txn_abort(txn);
}

/* Sealed by an independent implementation (Python's cryptography) under the key 00 01 … 1f, for the
 * row "row", with the nonce 00 … 0b. */
#define SEALED_V1                                                                                  \
    "01630dcd29000102030405060708090a0b306aa57ea6baa379ee064c713570ca20cd736cc440961f69d8"

static void sealed_secrets_of_version_1(void **state)
{
    struct temporary_store *t = *state;
    CLEANUP(buf_fini) struct buf sealed = of_hex(SEALED_V1);
    CLEANUP(buf_fini) struct buf secret = {0};
    struct vault *vault = NULL;
    char path[128];

    snprintf(path, sizeof path, "%s/master.key", t->dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    dprintf(fd, "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
    close(fd);
    assert_int_equal(vault_open(path, false, &vault, NULL), STATUS_OK);
    assert_int_equal(vault_unseal(vault, bytes_of_str("row"), buf_bytes(&sealed), &secret),
                     STATUS_OK);
    assert_string_equal(buf_str(&secret), "whsec_abc");
    vault_free(vault);
}

/* ---- bent rows: the check keeps them from the decoders, but for a bug of our own ---- */

static void decode_any(struct txn *txn, struct bytes key, struct bytes row)
{
    struct delivery delivery;
    struct attempt attempt;
    struct rejection rejection;
    struct audit_entry entry;
    struct endpoint endpoint;
    struct uuid id;
    struct bytes bits;
    int64_t success_ms, failing_ms;

    (void)!delivery_decode(key, row, &delivery);
    (void)!attempt_decode(bytes_of(key.data, ATTEMPT_KEY_BYTES), row, &attempt);
    (void)!rejection_decode(key, row, &rejection);
    (void)!audit_decode(key, row, &entry);
    (void)!endpoint_decode(txn, bytes_of(key.data, 4), row, &endpoint);
    (void)!endpoint_notes_decode(row, &success_ms, &failing_ms);
    (void)!delivery_name_decode(row, &id);
    (void)!mark_decode(row);
    (void)!delivered_decode(row, &bits);
}

static void find_report(struct temporary_store *t, struct bytes key, struct bytes row)
{
    struct txn *txn = begin_write(t);
    struct uuid id;
    struct report report;

    memcpy(id.bytes, key.data, UUID_BYTES);
    table_put(txn, TABLE_REPORTS, key, row);
    (void)!report_find(txn, &id, &report);
    txn_abort(txn);
}

static void bent_rows_crash_nothing(void **state)
{
    static const char *const rows[] = {ENDPOINT_V1,  DELIVERY_V1, NAME_V1,  ATTEMPT_V1,
                                       REJECTION_V1, AUDIT_V1,    REPORT_V1};
    struct temporary_store *t = *state;
    struct txn *txn = begin_read(t);
    uint8_t key[ATTEMPT_KEY_BYTES] = {1};
    struct prng prng;

    prng_seed(&prng, 9);
    for (unsigned round = 0; round < 3000; round++) {
        CLEANUP(buf_fini) struct buf row = of_hex(rows[round % COUNT(rows)]);
        for (uint64_t flips = prng_below(&prng, 5); flips > 0; flips--)
            row.data[prng_below(&prng, row.len)] ^= (uint8_t)(1 << prng_below(&prng, 8));
        /* A copy of just that length, so that a sanitizer sees each byte read beyond it. */
        size_t len = prng_below(&prng, 2) ? row.len : 1 + prng_below(&prng, row.len);
        CLEANUP(freep) uint8_t *copy = malloc(len);
        memcpy(copy, row.data, len);
        decode_any(txn, bytes_of(key, UUID_BYTES), bytes_of(copy, len));
        if (round % 10 == 0)
            find_report(t, bytes_of(key, UUID_BYTES), bytes_of(copy, len));
    }
    txn_abort(txn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(endpoints_of_version_1),
        ON_STORE(deliveries_of_version_1),
        ON_STORE(what_orders_deliveries_of_version_1),
        ON_STORE(what_was_taken_of_version_1),
        ON_STORE(attempts_of_version_1),
        ON_STORE(rejections_of_version_1),
        ON_STORE(audit_entries_of_version_1),
        ON_STORE(reports_of_version_1),
        ON_STORE(sealed_secrets_of_version_1),
        ON_STORE(bent_rows_crash_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* check: a whole store has no problems; each invariant of records, events, keys, endpoints and
 * counters, broken on purpose, is named with its place. */
#include "checked_store.h"
#include "storage/fault.h"
#include "storage/records_private.h"

static void a_whole_store_has_no_problems(void **state)
{
    struct temporary_store *t = *state;
    struct findings findings = {0};
    struct check_report report;

    (void)make_world(t);
    report = run(t, &findings);
    for (unsigned i = 0; i < findings.count; i++)
        print_message("found: %s\n", findings.texts[i]);
    assert_int_equal(findings.count, 0);
    assert_int_equal(report.revisions, 6);
    assert_int_equal(report.records, 3);
    assert_int_equal(report.events, 5);
    assert_int_equal(report.deliveries, 5);
    assert_int_equal(report.attempts, 3);
}

static void an_empty_store_has_no_problems(void **state)
{
    struct findings findings = {0};

    (void)run(*state, &findings);
    assert_int_equal(findings.count, 0);
}

static void an_erased_record_is_whole(void **state)
{
    struct temporary_store *t = *state;
    struct findings findings = {0};
    struct world w = make_world(t);
    struct txn *txn = begin_write(t);
    uint32_t count;

    assert_int_equal(outbox_erase_record(txn, &w.live), STATUS_OK);
    assert_int_equal(record_erase(txn, &w.live, &count), STATUS_OK);
    commit(txn);
    (void)run(t, &findings);
    assert_int_equal(findings.count, 0);
}

/* ---- damage to rows ---- */

/* Each table's rows, made into something that only their check still fits. */
static void rows_that_do_not_decode_are_found_in_every_table(void **state)
{
    struct temporary_store *t = *state;

    (void)make_world(t);
    for (enum table table = 0; table < TABLE_COUNT; table++) {
        uint8_t key[TABLE_KEY_MAX], row[8192];
        size_t key_len, row_len;
        char expected[64];
        struct txn *txn = begin_write(t);
        struct table_cursor c = {0};

        assert_int_equal(table_cursor_open(&c, txn, table, (struct bytes){0}), STATUS_OK);
        key_len = c.key.len;
        row_len = c.row.len;
        memcpy(key, c.key.data, key_len);
        memcpy(row, c.row.data, row_len);
        table_cursor_close(&c);
        put_raw(txn, table, key, key_len, "\xff", 1); /* a version that is not known */
        commit(txn);
        snprintf(expected, sizeof expected, "%s: …", TABLE_NAMES[table]);
        assert_found(t, expected);

        txn = begin_write(t);
        put_raw(txn, table, key, key_len, row, row_len);
        commit(txn);
    }
    struct findings findings = {0};
    (void)run(t, &findings);
    assert_int_equal(findings.count, 0); /* all is as it was */
}

static void a_key_of_the_wrong_length_is_found(void **state)
{
    BREAKING(txn, w);

    (void)w;
    put_raw(txn, TABLE_DUE, "due", 3, "\x01", 1);
    commit(txn);
    assert_found(t, "due: a key of 3 bytes, not 28");
}

/* ---- records ---- */

static void put_revision(struct txn *txn, const struct uuid *record, uint32_t number,
                         enum record_action action, uint16_t type, uint64_t first_event)
{
    record_put(txn,
               &(struct revision){.record = *record,
                                  .number = number,
                                  .type = type,
                                  .action = action,
                                  .first_event = first_event,
                                  .event_count = first_event != 0,
                                  .key = bytes_of_str("WO-1"),
                                  .body = bytes_of_str("{}")},
               (struct bytes){0});
}

static void a_missing_revision_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[UUID_BYTES + 4];

    memcpy(key, w.live.bytes, UUID_BYTES);
    put_be32(key + UUID_BYTES, 2);
    drop(txn, TABLE_REVISIONS, key, sizeof key);
    commit(txn);
    assert_found_of(t, "revisions: record %s: revision 2 is missing", "", &w.live);
    assert_found_of(t, "events: event 2: revision 2 of %s does not exist", "wo", &w.live);
}

static void a_revision_whose_type_is_not_known_is_found(void **state)
{
    BREAKING(txn, w);

    put_revision(txn, &w.live, 4, ACTION_UPDATED, 9, 0);
    commit(txn);
    assert_found_of(t, "revisions: %s: revision 4: record type 9 does not exist", "", &w.live);
    assert_found_of(t, "revisions: %s: revision 4: its record type changed", "", &w.live);
}

static void a_second_creation_is_found(void **state)
{
    BREAKING(txn, w);

    put_revision(txn, &w.live, 4, ACTION_CREATED, 1, 0);
    commit(txn);
    assert_found_of(t, "revisions: %s: revision 4: is \"created\"", "wo", &w.live);
}

static void a_revision_after_a_deletion_is_found(void **state)
{
    BREAKING(txn, w);

    put_revision(txn, &w.deleted, 3, ACTION_UPDATED, 1, 0);
    commit(txn);
    assert_found_of(t, "revisions: %s: revision 3: follows a deletion", "wo", &w.deleted);
}

static void a_revision_that_lists_an_event_that_is_not_there_is_found(void **state)
{
    BREAKING(txn, w);

    put_revision(txn, &w.live, 4, ACTION_UPDATED, 1, 99);
    commit(txn);
    assert_found_of(t, "revisions: %s: revision 4: event 99 does not exist", "wo", &w.live);
}

static void a_revision_that_lists_anothers_event_is_found(void **state)
{
    BREAKING(txn, w);

    put_revision(txn, &w.live, 4, ACTION_UPDATED, 1, 4);
    commit(txn);
    assert_found_of(t, "revisions: %s: revision 4: event 4 is of another revision", "wo", &w.live);
}

static void an_event_that_its_revision_does_not_list_is_found(void **state)
{
    BREAKING(txn, w);
    struct event event = {
        .name = bytes_of_str("workorder.updated"), .type = 1, .record = w.live, .revision = 3};

    event_append(txn, &event);
    commit(txn);
    assert_found_of(t, "events: event 6: revision 3 of %s does not list it", "wo", &w.live);
}

static void erased_content_that_is_there_is_found(void **state)
{
    BREAKING(txn, w);

    record_put(txn,
               &(struct revision){.record = w.keyless,
                                  .number = 2,
                                  .type = 1,
                                  .action = ACTION_UPDATED,
                                  .is_erased = true,
                                  .body = bytes_of_str("{}")},
               (struct bytes){0});
    commit(txn);
    assert_found_of(t, "revisions: %s: revision 2: was erased and has content", "wo", &w.keyless);
}

static struct bytes block_of(uint16_t type, const struct uuid *record, uint8_t key[BLOCK_KEY_BYTES])
{
    return block_key(type, record_block(record), key);
}

static void a_record_that_is_not_in_its_types_index_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[BLOCK_KEY_BYTES];

    drop(txn, TABLE_RECORDS_BY_TYPE, block_of(1, &w.live, key).data, sizeof key);
    commit(txn);
    assert_found_of(t, "revisions: %s: has no row in records_by_type", "wo", &w.live);
}

static void assert_no_such_record_is_found(struct temporary_store *t, uint16_t type,
                                           const struct uuid *record)
{
    char text[128];

    (void)snprintf(text, sizeof text,
                   "records_by_type: type %u, block %ju: there is no such record", type,
                   (uintmax_t)record_block(record));
    assert_found(t, text);
}

static void an_index_row_without_records_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[BLOCK_KEY_BYTES];
    struct uuid later = uuid_first_at(uuid_time_ms(&w.live) + 1000);

    put_raw(txn, TABLE_RECORDS_BY_TYPE, block_of(1, &later, key).data, sizeof key, "\x02", 1);
    commit(txn);
    assert_no_such_record_is_found(t, 1, &later);
}

static void an_index_row_of_another_type_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[BLOCK_KEY_BYTES];

    put_raw(txn, TABLE_RECORDS_BY_TYPE, block_of(2, &w.live, key).data, sizeof key, "\x02", 1);
    commit(txn);
    assert_no_such_record_is_found(t, 2, &w.live);
}

static void an_index_row_of_another_form_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[BLOCK_KEY_BYTES];
    char text[128];

    put_raw(txn, TABLE_RECORDS_BY_TYPE, block_of(1, &w.live, key).data, sizeof key, "\x01", 1);
    commit(txn);
    (void)snprintf(text, sizeof text, "records_by_type: type 1, block %ju: does not decode",
                   (uintmax_t)record_block(&w.live));
    assert_found(t, text);
}

static void a_record_that_is_not_found_by_its_key_is_found(void **state)
{
    BREAKING(txn, w);

    drop(txn, TABLE_RECORD_KEYS, "\0\x01WO-1", 6);
    commit(txn);
    assert_found_of(t, "revisions: %s: has no row in record_keys", "wo", &w.live);
}

static void put_record_key(struct txn *txn, const char *key, const struct uuid *record)
{
    uint8_t stored[64], row[1 + UUID_BYTES] = {1};

    put_be16(stored, 1);
    memcpy(stored + 2, key, strlen(key));
    memcpy(row + 1, record->bytes, UUID_BYTES);
    put_raw(txn, TABLE_RECORD_KEYS, stored, 2 + strlen(key), row, sizeof row);
}

static void a_record_key_that_leads_elsewhere_is_found(void **state)
{
    BREAKING(txn, w);

    put_record_key(txn, "WO-1", &w.keyless);
    commit(txn);
    assert_found_of(t, "revisions: %s: its record key leads to another record", "wo", &w.live);
    assert_found_of(t, "record_keys: WO-1: leads to %s, which has another record key", "wo",
                    &w.keyless);
}

static void a_record_key_of_a_deleted_record_is_found(void **state)
{
    BREAKING(txn, w);

    put_record_key(txn, "WO-2", &w.deleted);
    commit(txn);
    assert_found_of(t, "record_keys: WO-2: leads to %s, which is deleted", "wo", &w.deleted);
}

static void a_record_key_of_no_record_is_found_and_shown_without_control_characters(void **state)
{
    BREAKING(txn, w);
    struct uuid none = txn_uuid(txn);

    (void)w;
    put_record_key(txn, "WO\x1b[2J", &none);
    commit(txn);
    assert_found_of(t, "record_keys: WO?[2J: leads to %s, which does not exist", "wo", &none);
}

/* ---- events ---- */

static void a_gap_in_the_sequence_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t key[8];

    put_be64(key, 3);
    drop(txn, TABLE_EVENTS, key, sizeof key);
    commit(txn);
    assert_found(t, "events: event 3: is missing");
    assert_found_of(t, "revisions: %s: revision 3: event 3 does not exist", "wo", &w.live);
    assert_found_of(t, "deliveries: %s: event 3 does not exist", "dlv", &w.second);
}

/* Then nobody knows where it ends: what comes behind it is no gap. */
static void a_damaged_row_of_events_is_found(void **state)
{
    BREAKING(txn, w);
    struct findings findings = {0};
    uint8_t key[8];

    (void)w;
    put_be64(key, 3);
    put_raw(txn, TABLE_EVENTS, key, sizeof key, "\x02", 1);
    commit(txn);
    (void)run(t, &findings);
    assert_found(t, "events: event 3: does not decode");
    for (unsigned i = 0; i < findings.count; i++)
        assert_null(strstr(findings.texts[i], "is missing"));
}

static void ids_out_of_order_are_found(void **state)
{
    BREAKING(txn, w);
    uint8_t one[8], two[8], row[512];
    struct bytes stored;

    (void)w;
    put_be64(one, 1);
    put_be64(two, 2);
    assert_int_equal(table_get(txn, TABLE_EVENTS, bytes_of(one, 8), &stored), STATUS_OK);
    memcpy(row, stored.data, stored.len);
    put_raw(txn, TABLE_EVENTS, two, 8, row, stored.len);
    commit(txn);
    assert_found(t, "events: event 2: its id is not after the one before");
}

static void an_id_beyond_the_last_one_given_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t row[1 + UUID_BYTES] = {1};

    (void)w;
    commit(txn);
    txn = begin_write(t);
    put_raw(txn, TABLE_META, "last_uuid", 9, row, sizeof row);
    commit(txn);
    assert_found(t, "meta: last_uuid: is before an id that is in use");
}

static void an_event_of_a_record_without_a_type_is_found(void **state)
{
    BREAKING(txn, w);
    struct event event = {.name = bytes_of_str("webhook.test"), .record = w.live};

    event_append(txn, &event);
    commit(txn);
    assert_found(t, "events: event 6: names a record and no record type");
}

/* ---- types, keys and endpoints ---- */

static void two_types_of_one_name_are_found(void **state)
{
    BREAKING(txn, w);
    struct bytes row;

    (void)w;
    assert_int_equal(table_get(txn, TABLE_TYPES, bytes_of("\0\1", 2), &row), STATUS_OK);
    table_put(txn, TABLE_TYPES, bytes_of("\0\2", 2), row);
    commit(txn);
    assert_found(t, "types: type 2: has the name of type 1");
}

static void a_number_beyond_the_last_one_given_is_found(void **state)
{
    BREAKING(txn, w);

    (void)w;
    put_raw(txn, TABLE_META, "next_endpoint", 13, "\1\0\0\0\1", 5);
    drop(txn, TABLE_META, "next_api_key", 12);
    commit(txn);
    assert_found(t, "meta: next_endpoint: says 1, and endpoints has 2");
    assert_found(t, "meta: next_api_key: says 0, and api_keys has 1");
}

static void an_answer_in_another_times_bucket_is_found(void **state)
{
    BREAKING(txn, w);
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t key[40];

    (void)w;
    assert_int_equal(table_cursor_open(&c, txn, TABLE_IDEMPOTENCY, (struct bytes){0}), STATUS_OK);
    assert_int_equal(c.key.len, sizeof key);
    memcpy(key, c.key.data, sizeof key);
    key[3]++;
    table_put(txn, TABLE_IDEMPOTENCY, bytes_of(key, sizeof key), txn_keep(txn, c.row));
    table_cursor_close(&c);
    commit(txn);
    assert_found(t, "idempotency: API key 1: an answer is in the bucket of another time");
}

static void an_api_key_that_is_not_found_by_its_id_is_found(void **state)
{
    BREAKING(txn, w);

    drop(txn, TABLE_API_KEY_IDS, w.api_key.bytes, UUID_BYTES);
    commit(txn);
    assert_found(t, "api_keys: number 1: is not found by its id");
}

static void an_id_of_no_api_key_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t number[4];

    put_be32(number, 1);
    drop(txn, TABLE_API_KEYS, number, sizeof number);
    commit(txn);
    assert_found_of(t, "api_key_ids: %s: leads to no API key", "key", &w.api_key);
}

static void notes_of_no_endpoint_are_found(void **state)
{
    BREAKING(txn, w);
    uint8_t number[4], row[17] = {1};

    put_be32(number, w.deleted_endpoint);
    put_raw(txn, TABLE_ENDPOINT_NOTES, number, sizeof number, row, sizeof row);
    commit(txn);
    assert_found(t, "endpoint_notes: number 2: there is no such endpoint");
}

static void an_endpoint_without_notes_is_found(void **state)
{
    BREAKING(txn, w);
    uint8_t number[4];

    put_be32(number, w.endpoint);
    drop(txn, TABLE_ENDPOINT_NOTES, number, sizeof number);
    commit(txn);
    assert_found(t, "endpoints: number 1: does not decode, or has no row in endpoint_notes");
}

static void a_pattern_that_is_none_is_found(void **state)
{
    BREAKING(txn, w);

    (void)w;
    (void)add_endpoint(txn, "a..b");
    commit(txn);
    assert_found(t, "endpoints: number 3: \"a..b\" is no pattern of events");
}

static void counters_that_do_not_count_are_found(void **state)
{
    BREAKING(txn, w);

    counter_add(txn, COUNTER_ACCEPTED, 1);
    counter_add(txn, COUNTER_DELIVERIES_DELIVERED, 1);
    counter_add(txn, COUNTER_DELIVERIES_FAILED, -1);
    counter_add(txn, COUNTER_ATTEMPTS, -1);
    counter_add(txn, COUNTER_REJECTIONS, -1);
    counter_group_add(txn, COUNTERS_RECORDS, 5, 1);
    counter_group_add(txn, COUNTERS_ENDPOINT_PENDING, w.deleted_endpoint, 1);
    commit(txn);
    assert_found(t, "counters: revisions: 6 are there, the counter says 7");
    assert_found(t, "counters: delivered: 1 are there, the counter says 2");
    assert_found(t, "counters: failed: 2 are there, the counter says 1");
    assert_found(t, "counters: attempts: 3 are there, the counter says 2 ever were");
    assert_found(t, "counters: rejections: 1 are there, the counter says 0 ever were");
    assert_found(t, "revisions: record type 5: has 0 records, its counter says 1");
    assert_found(t, "counters: endpoint 2: counts pending deliveries that are not there");
}

/* ---- the check itself ---- */

static void a_store_that_cannot_be_read_is_a_fault_and_no_finding(void **state)
{
    struct temporary_store *t = *state;
    bool has_fired = true;

    (void)make_world(t);
    for (unsigned nth = 1; has_fired; nth++) {
        struct findings findings = {0};
        struct check_report report;
        enum status s;

        fault_arm(nth, STATUS_IO);
        s = store_check(t->store, note, NULL, &findings, &report);
        has_fired = fault_disarm();
        assert_int_equal(s, has_fired ? STATUS_IO : STATUS_OK);
        assert_int_equal(findings.count, 0);
    }
}

static void note_progress(void *context, uint64_t done, uint64_t all)
{
    uint64_t *last = context;

    last[0] = done;
    last[1] = all;
}

static void say_nothing(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void progress_ends_at_all(void **state)
{
    struct temporary_store *t = *state;
    struct check_report report;
    uint64_t last[2] = {0};

    (void)make_world(t);
    assert_int_equal(store_check(t->store, say_nothing, note_progress, last, &report), STATUS_OK);
    assert_true(last[0] > 0);
    assert_int_equal(last[0], last[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(a_whole_store_has_no_problems),
        ON_STORE(an_empty_store_has_no_problems),
        ON_STORE(an_erased_record_is_whole),
        ON_STORE(rows_that_do_not_decode_are_found_in_every_table),
        ON_STORE(a_key_of_the_wrong_length_is_found),
        ON_STORE(a_missing_revision_is_found),
        ON_STORE(a_revision_whose_type_is_not_known_is_found),
        ON_STORE(a_second_creation_is_found),
        ON_STORE(a_revision_after_a_deletion_is_found),
        ON_STORE(a_revision_that_lists_an_event_that_is_not_there_is_found),
        ON_STORE(a_revision_that_lists_anothers_event_is_found),
        ON_STORE(an_event_that_its_revision_does_not_list_is_found),
        ON_STORE(erased_content_that_is_there_is_found),
        ON_STORE(a_record_that_is_not_in_its_types_index_is_found),
        ON_STORE(an_index_row_without_records_is_found),
        ON_STORE(an_index_row_of_another_type_is_found),
        ON_STORE(an_index_row_of_another_form_is_found),
        ON_STORE(a_record_that_is_not_found_by_its_key_is_found),
        ON_STORE(a_record_key_that_leads_elsewhere_is_found),
        ON_STORE(a_record_key_of_a_deleted_record_is_found),
        ON_STORE(a_record_key_of_no_record_is_found_and_shown_without_control_characters),
        ON_STORE(a_gap_in_the_sequence_is_found),
        ON_STORE(a_damaged_row_of_events_is_found),
        ON_STORE(ids_out_of_order_are_found),
        ON_STORE(an_id_beyond_the_last_one_given_is_found),
        ON_STORE(an_event_of_a_record_without_a_type_is_found),
        ON_STORE(two_types_of_one_name_are_found),
        ON_STORE(a_number_beyond_the_last_one_given_is_found),
        ON_STORE(an_answer_in_another_times_bucket_is_found),
        ON_STORE(an_api_key_that_is_not_found_by_its_id_is_found),
        ON_STORE(an_id_of_no_api_key_is_found),
        ON_STORE(notes_of_no_endpoint_are_found),
        ON_STORE(an_endpoint_without_notes_is_found),
        ON_STORE(a_pattern_that_is_none_is_found),
        ON_STORE(counters_that_do_not_count_are_found),
        ON_STORE(a_store_that_cannot_be_read_is_a_fault_and_no_finding),
        ON_STORE(progress_ends_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

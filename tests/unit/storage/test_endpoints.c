/* endpoints: rows come back whole, secrets open in their place only, deletion, and who wants what.
 */
#include "base/random.h"
#include "storage/fault.h"
#include "storage/outbox_rows.h"
#include "temporary_store.h"

static void fill_text(char *out, size_t room, char c)
{
    memset(out, c, room - 1);
    out[room - 1] = '\0';
}

/* Everything as long and as many as can be. */
static struct endpoint largest(void)
{
    struct endpoint e = {.state = ENDPOINT_DISABLED,
                         .created_ms = 1,
                         .last_success_ms = 2,
                         .failing_since_ms = 3,
                         .pattern_count = ENDPOINT_PATTERNS_MAX,
                         .secret_count = 2,
                         .retry_count = ENDPOINT_RETRIES_MAX,
                         .timeout_ms = 4,
                         .window_max = 5,
                         .rate_per_s = 6,
                         .header_count = ENDPOINT_HEADERS_MAX};

    fill_text(e.url, sizeof e.url, 'u');
    fill_text(e.description, sizeof e.description, 'd');
    fill_text(e.disabled_reason, sizeof e.disabled_reason, 'r');
    fill_text(e.signature, sizeof e.signature, 's');
    fill_text(e.signature_header, sizeof e.signature_header, 'h');
    fill_text(e.signature_encoding, sizeof e.signature_encoding, 'e');
    fill_text(e.signature_content, sizeof e.signature_content, 'c');
    for (unsigned i = 0; i < ENDPOINT_PATTERNS_MAX; i++)
        fill_text(e.patterns[i], sizeof e.patterns[i], (char)('A' + i % 26));
    for (unsigned i = 0; i < ENDPOINT_RETRIES_MAX; i++)
        e.retry_s[i] = i + 1;
    for (unsigned i = 0; i < ENDPOINT_HEADERS_MAX; i++) {
        fill_text(e.headers[i].name, sizeof e.headers[i].name, 'n');
        fill_text(e.headers[i].value, sizeof e.headers[i].value, 'v');
    }
    for (unsigned i = 0; i < 2; i++) {
        e.secrets[i].len = ENDPOINT_SEALED_MAX;
        memset(e.secrets[i].data, (int)i + 1, ENDPOINT_SEALED_MAX);
    }
    return e;
}

static void an_endpoint_comes_back_as_it_was_put(void **state)
{
    struct temporary_store *t = *state;
    struct endpoint sent = largest(), least = {.state = ENDPOINT_ENABLED}, got;
    struct txn *txn = begin_write(t);

    endpoint_put(txn, &sent);
    endpoint_put(txn, &least);
    commit(txn);
    assert_int_equal(sent.number, 1);
    assert_int_equal(sent.created_ms, T0);
    assert_false(uuid_is_zero(&sent.id));
    txn = begin_read(t);
    assert_int_equal(endpoint_at(txn, 1, &got), STATUS_OK);
    assert_memory_equal(&got, &sent, sizeof got);
    assert_int_equal(endpoint_find(txn, &least.id, &got), STATUS_OK);
    assert_memory_equal(&got, &least, sizeof got);
    assert_int_equal(endpoint_at(txn, 3, &got), STATUS_NOT_FOUND);
    txn_abort(txn);
}

static void endpoints_come_in_order_of_their_numbers(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint got;
    uint32_t number = 0;

    for (unsigned i = 0; i < 3; i++)
        (void)add_endpoint(txn, NULL);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(endpoint_next(txn, &number, &got), STATUS_OK);
        assert_int_equal(number, i);
        assert_int_equal(got.number, i);
    }
    assert_int_equal(endpoint_next(txn, &number, &got), STATUS_END);
    commit(txn);
}

static void a_change_moves_the_generation_and_a_note_does_not(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint e;
    uint32_t number = add_endpoint(txn, NULL);
    uint64_t generation;

    commit(txn);
    txn = begin_write(t);
    generation = txn_generation(txn);
    endpoint_note(txn, number, false, T0);
    endpoint_note(txn, 99, false, T0); /* of none: nothing happens */
    assert_int_equal(txn_generation(txn), generation);
    assert_int_equal(endpoint_at(txn, number, &e), STATUS_OK);
    strcpy(e.description, "changed");
    endpoint_put(txn, &e);
    assert_int_not_equal(txn_generation(txn), generation);
    assert_int_equal(e.failing_since_ms, T0); /* the note outlives the change */
    commit(txn);
}

static void notes_tell_the_last_success_and_the_first_failure_since(void **state)
{
    static const struct {
        bool is_success;
        int64_t at_ms, last_success_ms, failing_since_ms;
    } steps[] = {
        {false, 10, 0, 10},  {false, 20, 0, 10},  {true, 30, 30, 0}, {true, 25, 30, 0},
        {false, 40, 30, 40}, {false, 50, 30, 40}, {true, 60, 60, 0},
    };
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    uint32_t number = add_endpoint(txn, NULL);
    struct endpoint e;

    for (size_t i = 0; i < COUNT(steps); i++) {
        endpoint_note(txn, number, steps[i].is_success, steps[i].at_ms);
        assert_int_equal(endpoint_at(txn, number, &e), STATUS_OK);
        assert_int_equal(e.last_success_ms, steps[i].last_success_ms);
        assert_int_equal(e.failing_since_ms, steps[i].failing_since_ms);
    }
    commit(txn);
}

static void a_deleted_endpoint_is_known_by_its_number_alone_and_keeps_no_secret(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint e = largest(), got;
    uint32_t number = 0;
    struct uuid delivery;

    endpoint_put(txn, &e);
    delivery = outbox_enqueue(txn, e.number, 1, &NO_RECORD, T0);
    assert_int_equal(endpoint_delete(txn, &e.id), STATUS_OK);
    assert_int_equal(endpoint_find(txn, &e.id, &got), STATUS_NOT_FOUND);
    assert_int_equal(endpoint_next(txn, &number, &got), STATUS_END);
    assert_int_equal(endpoint_delete(txn, &e.id), STATUS_NOT_FOUND);
    assert_int_equal(endpoint_at(txn, e.number, &got), STATUS_OK);
    assert_int_equal(got.state, ENDPOINT_DELETED);
    assert_memory_equal(&got.id, &e.id, sizeof e.id);
    assert_string_equal(got.url, "");
    assert_int_equal(got.secret_count + got.header_count + got.pattern_count, 0);
    assert_int_equal(delivery_of(txn, &delivery).state, DELIVERY_FAILED);
    assert_string_equal(delivery_of(txn, &delivery).reason, "endpoint deleted");
    assert_int_equal(outbox_retry(txn, &delivery), STATUS_DENIED);
    assert_int_equal(add_endpoint(txn, NULL), 2); /* the number is not given again */
    commit(txn);
}

static void what_a_deletion_leaves_is_swept_in_steps(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint e;
    uint32_t number = add_endpoint(txn, NULL);

    for (unsigned i = 1; i <= 10005; i++) {
        struct uuid id = outbox_enqueue(txn, number, i * UINT64_C(400), &NO_RECORD, T0);
        if (i <= 3)
            finish(txn, &id, ATTEMPT_DELIVERED, 0);
    }
    assert_int_equal(table_rows(txn, TABLE_DELIVERED), 2); /* 400 and 800; 1200 */
    assert_int_equal(endpoint_at(txn, number, &e), STATUS_OK);
    assert_int_equal(endpoint_delete(txn, &e.id), STATUS_OK);
    assert_int_equal(outbox_pending_count(txn, number), 2);
    assert_true(endpoints_sweep(txn, 1));
    assert_int_equal(outbox_pending_count(txn, number), 1);
    assert_true(outbox_prune(txn, 1, 1)); /* it sweeps first, here the last pending and a row */
    assert_int_equal(outbox_pending_count(txn, number), 0);
    assert_false(endpoints_sweep(txn, 10));
    assert_int_equal(table_rows(txn, TABLE_DELIVERED), 0);
    commit(txn);
}

static void a_damaged_endpoint_is_met_once(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint e;
    uint32_t number = 0;

    (void)add_endpoint(txn, NULL);
    (void)add_endpoint(txn, NULL);
    table_put(txn, TABLE_ENDPOINTS, bytes_of("\0\0\0\1", 4), bytes_of("\x01", 1));
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(endpoint_next(txn, &number, &e), STATUS_CORRUPT);
    assert_int_equal(endpoint_next(txn, &number, &e), STATUS_OK);
    assert_int_equal(number, 2);
    assert_int_equal(endpoint_next(txn, &number, &e), STATUS_END);
    txn_abort(txn);
}

/* A row's bytes reach the decoder only through its check, but a bug could write what it likes. */
static void no_bytes_crash_the_decoder(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint sent = largest(), got;
    uint8_t row[32768];
    struct bytes stored;
    size_t len;
    struct prng prng;

    prng_seed(&prng, 4);
    endpoint_put(txn, &sent);
    assert_int_equal(table_get(txn, TABLE_ENDPOINTS, bytes_of("\0\0\0\1", 4), &stored), STATUS_OK);
    len = stored.len;
    assert_true(len < sizeof row);
    commit(txn);
    txn = begin_read(t);
    assert_int_equal(table_get(txn, TABLE_ENDPOINTS, bytes_of("\0\0\0\1", 4), &stored), STATUS_OK);
    for (unsigned round = 0; round < 20000; round++) {
        size_t cut = prng_below(&prng, 4) == 0 ? prng_below(&prng, len + 1) : len;
        memcpy(row, stored.data, len);
        for (uint64_t flips = prng_below(&prng, 4); flips > 0; flips--)
            row[prng_below(&prng, len)] ^= (uint8_t)(1 << prng_below(&prng, 8));
        (void)!endpoint_decode(txn, bytes_of("\0\0\0\1", 4), bytes_of(row, cut), &got);
    }
    txn_abort(txn);
}

/* ---- secrets ---- */

static void a_secret_opens_in_its_own_endpoint_and_slot(void **state)
{
    struct temporary_store *t = *state;
    struct txn *txn = begin_write(t);
    struct endpoint a = {.id = txn_uuid(txn)}, b = {.id = txn_uuid(txn)};
    struct vault *vault = NULL;
    char path[128];
    CLEANUP(buf_fini) struct buf secret = {0};
    static const uint8_t large[300];

    snprintf(path, sizeof path, "%s/master.key", t->dir);
    assert_int_equal(vault_open(path, true, &vault, NULL), STATUS_OK);
    assert_int_equal(endpoint_secret_seal(vault, &a, 1, bytes_of_str("whsec_abc")), STATUS_OK);
    assert_int_equal(endpoint_secret_unseal(vault, &a, 1, &secret), STATUS_OK);
    assert_string_equal(buf_str(&secret), "whsec_abc");
    b.secrets[1] = a.secrets[1];
    a.secrets[0] = a.secrets[1];
    assert_int_equal(endpoint_secret_unseal(vault, &b, 1, &secret), STATUS_CORRUPT);
    assert_int_equal(endpoint_secret_unseal(vault, &a, 0, &secret), STATUS_CORRUPT);
    assert_int_equal(endpoint_secret_seal(vault, &a, 0, bytes_of(large, sizeof large)),
                     STATUS_LIMIT);
    assert_int_equal(endpoint_secret_seal(vault, &a, 0, bytes_of(large, 250)), STATUS_LIMIT);
    vault_free(vault);
    txn_abort(txn);
}

/* ---- who wants what ---- */

static void patterns_are_names_or_end_in_a_star(void **state)
{
    static const char *const good[] = {"*",       "workorder.*",     "workorder.created", "a",
                                       "a.b.c.*", "delivery.failed", "time_off.x-1"};
    static const char *const bad[] = {"",   ".",    "a.",    ".a",  "a..b", "a*",         "*.a",
                                      "**", "a.*b", "a.*.b", "a b", "a.\n", "a.b\xc3\xa4"};
    char longest[ENDPOINT_PATTERN_MAX + 2];

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_int_equal(event_pattern_check(bytes_of_str(good[i])), STATUS_OK);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_int_equal(event_pattern_check(bytes_of_str(bad[i])), STATUS_INVALID);
    fill_text(longest, sizeof longest, 'a');
    assert_int_equal(event_pattern_check(bytes_of(longest, ENDPOINT_PATTERN_MAX)), STATUS_OK);
    assert_int_equal(event_pattern_check(bytes_of(longest, ENDPOINT_PATTERN_MAX + 1)),
                     STATUS_INVALID);
}

static void a_pattern_matches_its_events_only(void **state)
{
    static const struct {
        const char *pattern, *event;
        bool is_match;
    } cases[] = {
        {"*", "workorder.created", true},
        {"workorder.*", "workorder.created", true},
        {"workorder.*", "workorder.", false},
        {"workorder.*", "workorders.created", false},
        {"workorder.*", "workorder", false},
        {"workorder.created", "workorder.created", true},
        {"workorder.created", "workorder.created2", false},
        {"workorder.created", "workorder.create", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(event_pattern_matches(cases[i].pattern, bytes_of_str(cases[i].event)),
                         cases[i].is_match);
}

static void assert_match(struct subscriptions *subs, const char *event, const uint32_t *expected,
                         size_t expected_count)
{
    for (unsigned again = 0; again < 2; again++) { /* asked anew, and remembered */
        size_t count;
        const uint32_t *numbers = subscriptions_match(subs, bytes_of_str(event), &count);
        assert_int_equal(count, expected_count);
        if (count > 0)
            assert_memory_equal(numbers, expected, count * sizeof *expected);
    }
}

static void enabled_endpoints_are_matched_by_their_patterns(void **state)
{
    struct temporary_store *t = *state;
    struct subscriptions *subs = subscriptions_new();
    struct txn *txn = begin_write(t);
    struct endpoint e;
    uint32_t all = add_endpoint(txn, NULL), some = add_endpoint(txn, "workorder.*");
    uint32_t off = add_endpoint(txn, NULL), one = add_endpoint(txn, "vendor.created");

    assert_int_equal(endpoint_at(txn, off, &e), STATUS_OK);
    e.state = ENDPOINT_DISABLED;
    endpoint_put(txn, &e);
    subscriptions_refresh(subs, txn);
    assert_match(subs, "workorder.created", (uint32_t[]){all, some}, 2);
    assert_match(subs, "vendor.created", (uint32_t[]){all, one}, 2);
    assert_match(subs, "report.failed", (uint32_t[]){all}, 1);
    commit(txn);
    subscriptions_free(subs);
}

static void nobody_wants_what_nobody_subscribed_to(void **state)
{
    struct temporary_store *t = *state;
    struct subscriptions *subs = subscriptions_new();
    struct txn *txn = begin_write(t);

    subscriptions_refresh(subs, txn);
    assert_match(subs, "workorder.created", NULL, 0);
    txn_abort(txn);
    subscriptions_free(subs);
}

static void a_change_is_seen_in_the_transaction_that_follows_it(void **state)
{
    struct temporary_store *t = *state;
    struct subscriptions *subs = subscriptions_new();
    struct txn *txn = begin_write(t);
    struct endpoint e;
    uint32_t number = add_endpoint(txn, "a.*");

    commit(txn);
    txn = begin_write(t);
    subscriptions_refresh(subs, txn);
    assert_match(subs, "a.b", &number, 1);
    assert_match(subs, "c.d", NULL, 0);
    assert_int_equal(endpoint_at(txn, number, &e), STATUS_OK);
    strcpy(e.patterns[0], "c.d");
    endpoint_put(txn, &e);
    subscriptions_refresh(subs, txn); /* within the same transaction too */
    assert_match(subs, "a.b", NULL, 0);
    assert_match(subs, "c.d", &number, 1);
    commit(txn);
    txn = begin_write(t);
    assert_int_equal(endpoint_delete(txn, &e.id), STATUS_OK);
    commit(txn);
    txn = begin_write(t);
    subscriptions_refresh(subs, txn);
    assert_match(subs, "c.d", NULL, 0);
    commit(txn);
    subscriptions_free(subs);
}

static void what_an_aborted_transaction_showed_is_forgotten_on_request(void **state)
{
    struct temporary_store *t = *state;
    struct subscriptions *subs = subscriptions_new();
    struct txn *txn = begin_write(t);
    uint32_t number = add_endpoint(txn, "a");

    subscriptions_refresh(subs, txn);
    assert_match(subs, "a", &number, 1);
    txn_abort(txn);
    subscriptions_forget(subs);
    txn = begin_write(t);
    (void)add_endpoint(txn, "b"); /* the same generation, another content */
    subscriptions_refresh(subs, txn);
    assert_match(subs, "a", NULL, 0);
    commit(txn);
    subscriptions_free(subs);
}

static void many_names_are_answered_right_though_not_all_are_remembered(void **state)
{
    struct temporary_store *t = *state;
    struct subscriptions *subs = subscriptions_new();
    struct txn *txn = begin_write(t);
    uint32_t all = add_endpoint(txn, NULL), one = add_endpoint(txn, "type777.created");

    subscriptions_refresh(subs, txn);
    for (unsigned i = 0; i < 2000; i++) {
        char event[32];
        snprintf(event, sizeof event, "type%u.created", i);
        assert_match(subs, event, (uint32_t[]){all, one}, i == 777 ? 2 : 1);
    }
    commit(txn);
    subscriptions_free(subs);
}

static void a_fault_while_reading_subscriptions_sticks_and_is_not_believed(void **state)
{
    struct temporary_store *t = *state;
    struct subscriptions *subs = subscriptions_new();
    struct txn *txn = begin_write(t);
    uint32_t number = add_endpoint(txn, "a");
    bool has_fired = true;

    commit(txn);
    for (unsigned nth = 1; has_fired; nth++) {
        txn = begin_write(t);
        fault_arm(nth, STATUS_IO);
        subscriptions_refresh(subs, txn);
        has_fired = fault_disarm();
        assert_int_equal(txn_status(txn), has_fired ? STATUS_IO : STATUS_OK);
        txn_abort(txn);
    }
    assert_match(subs, "a", &number, 1);
    subscriptions_free(subs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(an_endpoint_comes_back_as_it_was_put),
        ON_STORE(endpoints_come_in_order_of_their_numbers),
        ON_STORE(a_change_moves_the_generation_and_a_note_does_not),
        ON_STORE(notes_tell_the_last_success_and_the_first_failure_since),
        ON_STORE(a_deleted_endpoint_is_known_by_its_number_alone_and_keeps_no_secret),
        ON_STORE(what_a_deletion_leaves_is_swept_in_steps),
        ON_STORE(a_damaged_endpoint_is_met_once),
        ON_STORE(no_bytes_crash_the_decoder),
        ON_STORE(a_secret_opens_in_its_own_endpoint_and_slot),
        cmocka_unit_test(patterns_are_names_or_end_in_a_star),
        cmocka_unit_test(a_pattern_matches_its_events_only),
        ON_STORE(enabled_endpoints_are_matched_by_their_patterns),
        ON_STORE(nobody_wants_what_nobody_subscribed_to),
        ON_STORE(a_change_is_seen_in_the_transaction_that_follows_it),
        ON_STORE(what_an_aborted_transaction_showed_is_forgotten_on_request),
        ON_STORE(many_names_are_answered_right_though_not_all_are_remembered),
        ON_STORE(a_fault_while_reading_subscriptions_sticks_and_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

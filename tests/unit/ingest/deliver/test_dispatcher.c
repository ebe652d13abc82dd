/* dispatcher: transcripts of what is sent when, and what the store says afterwards. */
#include "storage/fault.h"
#include "tests/unit/ingest/deliver/world.h"

#define STATUSES(...) ((const uint16_t[]){__VA_ARGS__, 0})

static const struct uuid RECORD_A = {{1}}, RECORD_B = {{2}};

static void a_due_delivery_is_sent_once_and_stored_as_delivered(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, DAY_MS);
    assert_sent(w, "a order.created 0");
    struct delivery delivery = delivery_now(w, &id);
    assert_int_equal(delivery.state, DELIVERY_DELIVERED);
    assert_int_equal(delivery.attempt_count, 1);
    assert_int_equal(delivery.last_status, 200);
}

static void sent_header(struct world *w, const char *name, char *out)
{
    const char *at = strstr(w->last_headers, name);
    assert_non_null(at);
    snprintf(out, 256, "%.*s", (int)strcspn(at + strlen(name), "\r"), at + strlen(name));
}

static void an_attempt_carries_every_header_and_both_signatures(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, 0);
    char delivery[TYPEID_TEXT_BYTES], hex[256], standard[256], expected[1024];
    typeid_format(DELIVERY_ID_PREFIX, &id, delivery);
    sent_header(w, "X-Webhook-Signature: ", hex);
    sent_header(w, "webhook-signature: ", standard);
    snprintf(expected, sizeof expected,
             "Content-Type: application/json\r\nUser-Agent: Postern/test\r\n"
             "X-Webhook-ID: %s\r\nX-Webhook-Event: order.created\r\n"
             "X-Webhook-Timestamp: 1763643600\r\nX-Webhook-Retry: 0\r\n"
             "webhook-id: %s\r\nwebhook-timestamp: 1763643600\r\n"
             "X-Webhook-Signature: %s\r\nwebhook-signature: %s\r\n",
             delivery, delivery, hex, standard);
    assert_string_equal(w->last_headers, expected);
    struct bytes secret = bytes_of_str(SECRET_ONE), body = buf_bytes(&w->last_body);
    assert_int_equal(signature_verify(secret, 1763643600, 1763643600, 0, body, bytes_of_str(hex)),
                     SIGNATURE_GOOD);
    assert_int_equal(signature_standard_verify(secret, bytes_of_str(delivery), 1763643600,
                                               1763643600, 0, body, bytes_of_str(standard)),
                     SIGNATURE_GOOD);
}

static void add_second_secret(struct world *w, struct endpoint *endpoint)
{
    endpoint->secret_count = 2;
    assert_int_equal(endpoint_secret_seal(w->vault, endpoint, 1, bytes_of_str(SECRET_TWO)),
                     STATUS_OK);
}

static void with_two_secrets_the_first_signs_and_both_are_listed(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, add_second_secret);
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, 0);
    char delivery[TYPEID_TEXT_BYTES], hex[256], standard[256];
    typeid_format(DELIVERY_ID_PREFIX, &id, delivery);
    sent_header(w, "X-Webhook-Signature: ", hex);
    sent_header(w, "webhook-signature: ", standard);
    struct bytes body = buf_bytes(&w->last_body);
    assert_int_equal(signature_verify(bytes_of_str(SECRET_ONE), 1763643600, 1763643600, 0, body,
                                      bytes_of_str(hex)),
                     SIGNATURE_GOOD);
    const char *const SECRETS[] = {SECRET_ONE, SECRET_TWO};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(signature_standard_verify(bytes_of_str(SECRETS[i]), bytes_of_str(delivery),
                                                   1763643600, 1763643600, 0, body,
                                                   bytes_of_str(standard)),
                         SIGNATURE_GOOD);
}

static void add_token(struct world *w, struct endpoint *endpoint)
{
    (void)w;
    endpoint->header_count = 1;
    strcpy(endpoint->headers[0].name, "Authorization");
    strcpy(endpoint->headers[0].value, "Bearer hidden");
}

static void an_endpoints_own_headers_are_sent_and_masked_in_the_log(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, add_token);
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, 0);
    assert_non_null(strstr(w->last_headers, "Authorization: Bearer hidden\r\n"));
    run_for(w, 0);
    struct txn *txn = world_read(w);
    struct attempt attempt;
    assert_int_equal(attempt_at(txn, &id, 1, &attempt), STATUS_OK);
    CLEANUP(freep) char *logged = bytes_dup_str(attempt.request_headers);
    txn_abort(txn);
    assert_non_null(strstr(logged, "X-Webhook-Retry: 0\r\n"));
    assert_non_null(strstr(logged, "Authorization: ***\r\n"));
    assert_null(strstr(logged, "hidden"));
}

static void assert_about(int64_t actual_ms, int64_t expected_ms)
{
    assert_in_range(actual_ms, expected_ms - expected_ms / 10, expected_ms + expected_ms / 10 + 1);
}

static void failures_follow_the_schedule_and_the_fifth_is_final(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(500, 404, 302, 429, 503);
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, DAY_MS);
    static const int64_t WAITS[] = {MINUTE_MS, 5 * MINUTE_MS, 30 * MINUTE_MS, 2 * HOUR_MS};
    for (size_t i = 0; i < 4; i++)
        assert_about(w->sends[i + 1].at_ms - w->sends[i].at_ms, WAITS[i]);
    assert_sent(w, "a order.created 0", "a order.created 1", "a order.created 2",
                "a order.created 3", "a order.created 4");
    assert_int_equal(delivery_now(w, &id).state, DELIVERY_FAILED);
    assert_int_equal(event_count(w, "delivery.failed"), 1);
}

static void set_short_schedule(struct world *w, struct endpoint *endpoint)
{
    (void)w;
    endpoint->retry_count = 2;
    endpoint->retry_s[0] = endpoint->retry_s[1] = 10;
}

static void an_endpoint_can_have_its_own_schedule(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, set_short_schedule);
    a->statuses = STATUSES(500);
    enqueue(w, a, "order.created", NULL);
    run_for(w, 30 * SECOND_MS);
    assert_sent(w, "a order.created 0", "a order.created 1", "a order.created 2");
}

static void a_retry_that_succeeds_ends_the_matter(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(500, 500, 200);
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, DAY_MS);
    assert_sent(w, "a order.created 0", "a order.created 1", "a order.created 2");
    assert_int_equal(delivery_now(w, &id).state, DELIVERY_DELIVERED);
    assert_int_equal(event_count(w, "delivery.failed"), 0);
}

static void retry_after_is_waited_for(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(503, 200);
    a->retry_after_ms = 3 * HOUR_MS;
    enqueue(w, a, "order.created", NULL);
    run_for(w, DAY_MS);
    assert_in_range(w->sends[1].at_ms, 3 * HOUR_MS, 3 * HOUR_MS + MINUTE_MS);
    assert_sent(w, "a order.created 0", "a order.created 1");
}

static void one_records_deliveries_go_out_in_order_and_others_do_not_wait(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(500, 200);
    enqueue(w, a, "a.one", &RECORD_A);
    enqueue(w, a, "a.two", &RECORD_A);
    enqueue(w, a, "a.three", &RECORD_A);
    enqueue(w, a, "b.one", &RECORD_B);
    run_for(w, 10 * SECOND_MS);
    assert_sent(w, "a a.one 0", "a b.one 0");
    run_for(w, HOUR_MS);
    assert_sent(w, "a a.one 1", "a a.two 0", "a a.three 0");
}

static void a_delivery_that_fails_for_good_lets_the_next_one_go(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(500, 500, 500, 500, 500, 200);
    enqueue(w, a, "a.one", &RECORD_A);
    enqueue(w, a, "a.two", &RECORD_A);
    run_for(w, DAY_MS);
    assert_sent(w, "a a.one 0", "a a.one 1", "a a.one 2", "a a.one 3", "a a.one 4", "a a.two 0");
}

static void a_410_disables_the_endpoint_and_keeps_what_is_pending(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct receiver *watcher = add_receiver(w, "watcher", "endpoint.disabled", NULL);
    (void)watcher;
    a->statuses = STATUSES(410);
    struct uuid first = enqueue(w, a, "a.one", &RECORD_A);
    struct uuid second = enqueue(w, a, "a.two", &RECORD_A);
    run_for(w, DAY_MS);
    assert_sent(w, "a a.one 0", "watcher endpoint.disabled 0");
    assert_int_equal(delivery_now(w, &first).state, DELIVERY_FAILED);
    assert_int_equal(delivery_now(w, &second).state, DELIVERY_PENDING);
    static struct endpoint endpoint;
    endpoint_now(w, a, &endpoint);
    assert_int_equal(endpoint.state, ENDPOINT_DISABLED);
    assert_string_equal(endpoint.disabled_reason, "410 Gone");
}

static void set_state(struct world *w, const struct receiver *receiver, enum endpoint_state to)
{
    static struct endpoint endpoint;
    endpoint_now(w, receiver, &endpoint);
    endpoint.state = to;
    struct txn *txn = world_write(w);
    endpoint_put(txn, &endpoint);
    world_commit(txn);
}

static void an_endpoint_enabled_again_gets_what_was_pending(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    set_state(w, a, ENDPOINT_DISABLED);
    enqueue(w, a, "a.one", NULL);
    run_for(w, HOUR_MS);
    assert_int_equal(w->send_count, 0);
    set_state(w, a, ENDPOINT_ENABLED);
    run_for(w, SECOND_MS);
    assert_sent(w, "a a.one 0");
}

static void an_endpoint_without_success_for_five_days_is_disabled(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    static struct endpoint endpoint;
    a->statuses = STATUSES(500);
    for (int hour = 0; hour < 5 * 24; hour++) {
        enqueue(w, a, "order.created", NULL);
        run_for(w, HOUR_MS);
        endpoint_now(w, a, &endpoint);
        assert_int_equal(endpoint.state, ENDPOINT_ENABLED);
    }
    run_for(w, HOUR_MS);
    endpoint_now(w, a, &endpoint);
    assert_int_equal(endpoint.state, ENDPOINT_DISABLED);
    assert_string_equal(endpoint.disabled_reason, "no success for 5 days");
    assert_int_equal(event_count(w, "endpoint.disabled"), 1);
}

static void one_success_starts_the_five_days_anew(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    static struct endpoint endpoint;
    for (int day = 0; day < 9; day++) {
        a->statuses = day == 4 ? STATUSES(200, 500) : STATUSES(500);
        enqueue(w, a, "order.created", NULL);
        run_for(w, DAY_MS);
    }
    endpoint_now(w, a, &endpoint);
    assert_int_equal(endpoint.state, ENDPOINT_ENABLED);
}

static void a_clock_set_back_does_not_hold_deliveries_up(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(500, 200);
    enqueue(w, a, "a.one", NULL);
    run_for(w, SECOND_MS);
    w->manual.wall_ms -= DAY_MS;
    enqueue(w, a, "a.two", NULL);
    run_for(w, SECOND_MS);
    assert_sent(w, "a a.one 0", "a a.two 0");
    /* The retry was noted in the old time; next_due_in_store_ms knows only the new one. */
    for (int second = 0; second < 70; second++)
        run_for(w, SECOND_MS);
    assert_sent(w, "a a.one 1");
}

static void a_clock_set_ahead_does_not_disable_endpoints(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    static struct endpoint endpoint;
    a->statuses = STATUSES(500);
    w->manual.wall_ms = 5000; /* 1970: not set yet */
    enqueue(w, a, "a.one", NULL);
    run_for(w, SECOND_MS);
    w->manual.wall_ms = START_MS;
    run_for(w, HOUR_MS);
    endpoint_now(w, a, &endpoint);
    assert_int_equal(endpoint.state, ENDPOINT_ENABLED);
    assert_true(w->send_count >= 2);
}

static void an_endpoint_that_hangs_holds_nobody_up(void **state)
{
    struct world *w = *state;
    struct receiver *hanging = add_receiver(w, "hanging", NULL, NULL);
    struct receiver *good = add_receiver(w, "good", NULL, NULL);
    hanging->latency_ms = ENDLESS;
    good->latency_ms = 10;
    struct txn *txn = world_write(w);
    for (int i = 0; i < 100; i++) {
        enqueue_in(w, txn, hanging, "order.created", NULL);
        enqueue_in(w, txn, good, "order.created", NULL);
    }
    world_commit(txn);
    run_for(w, SECOND_MS);
    assert_int_equal(good->sends, 100);
    assert_int_equal(hanging->sends, 4);
}

static void sixty_hanging_endpoints_leave_room_for_a_good_one(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 60; i++)
        add_receiver(w, "hanging", NULL, NULL)->latency_ms = ENDLESS;
    struct receiver *good = add_receiver(w, "good", NULL, NULL);
    struct txn *txn = world_write(w);
    for (int i = 0; i < 60 * 20; i++)
        enqueue_in(w, txn, &w->receivers[i % 60], "order.created", NULL);
    for (int i = 0; i < 20; i++)
        enqueue_in(w, txn, good, "order.created", NULL);
    world_commit(txn);
    run_for(w, SECOND_MS);
    assert_int_equal(good->sends, 20);
    run_for(w, 2 * MINUTE_MS);
    assert_true(w->waiting_most <= 512);
}

static void a_good_endpoint_gets_sixteen_at_a_time_and_no_more(void **state)
{
    struct world *w = *state;
    struct receiver *good = add_receiver(w, "good", NULL, NULL);
    good->latency_ms = 100;
    struct txn *txn = world_write(w);
    for (int i = 0; i < 200; i++)
        enqueue_in(w, txn, good, "order.created", NULL);
    world_commit(txn);
    run_for(w, 10 * SECOND_MS);
    assert_int_equal(good->sends, 200);
    assert_int_equal(w->waiting_most, 16);
    assert_true(w->sends[199].at_ms < 2000);
}

static void enqueue_many(struct world *w, const struct receiver *receiver, const char *name,
                         int count)
{
    struct txn *txn = world_write(w);
    for (int i = 0; i < count; i++)
        enqueue_in(w, txn, receiver, name, NULL);
    world_commit(txn);
}

/* The longest that a good delivery, one a second, waits for being sent. */
static int64_t longest_wait_ms(struct world *w, const struct receiver *receiver, int count)
{
    int64_t longest_ms = 0;
    for (int i = 0; i < count; i++) {
        int64_t since_ms = w->manual.monotonic_ms;
        struct uuid id = enqueue(w, receiver, "good", NULL);
        do
            run_for(w, 100);
        while (delivery_now(w, &id).state == DELIVERY_PENDING);
        int64_t wait_ms = w->manual.monotonic_ms - since_ms;
        longest_ms = wait_ms > longest_ms ? wait_ms : longest_ms;
        run_for(w, SECOND_MS);
    }
    return longest_ms;
}

static void set_eager_schedule(struct world *w, struct endpoint *endpoint)
{
    (void)w;
    endpoint->retry_count = 30;
    for (size_t i = 0; i < endpoint->retry_count; i++)
        endpoint->retry_s[i] = 1;
}

static void records_that_a_receiver_hangs_on_do_not_hold_up_others(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, set_eager_schedule);
    a->hangs_on = "bad";
    a->latency_ms = 10;
    enqueue_many(w, a, "good", 30);
    run_for(w, SECOND_MS);
    enqueue_many(w, a, "bad", 16); /* as many as the window takes */
    run_for(w, 31 * SECOND_MS);
    assert_true(longest_wait_ms(w, a, 120) <= 200);
    enqueue_many(w, a, "bad", 4);
    assert_true(longest_wait_ms(w, a, 120) <= 200);
}

static void a_cooling_endpoint_is_probed_with_what_was_not_tried_yet(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, set_eager_schedule);
    a->hangs_on = "bad";
    enqueue_many(w, a, "bad", 20);
    run_for(w, 6 * MINUTE_MS);
    assert_int_equal(atomic_load(&dispatcher_counts(w->dispatcher)->cooling_endpoints), 1);
    assert_true(longest_wait_ms(w, a, 1) <= 2000);
}

static void fresh_deliveries_are_found_behind_thousands_of_retries(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(400);
    enqueue_many(w, a, "bad", 3000);
    run_for(w, 10 * SECOND_MS);
    a->statuses = NULL;
    a->hangs_on = "bad";
    manual_clock_advance(&w->manual, 2 * MINUTE_MS); /* all are due again */
    run_for(w, SECOND_MS);
    w->send_count = 0;
    assert_true(longest_wait_ms(w, a, 5) <= 200);
}

static void a_dead_endpoint_is_probed_and_then_caught_up_with(void **state)
{
    struct world *w = *state;
    struct receiver *dead = add_receiver(w, "dead", NULL, NULL);
    dead->statuses = STATUSES(503);
    struct txn *txn = world_write(w);
    for (int i = 0; i < 1000; i++)
        enqueue_in(w, txn, dead, "order.created", NULL);
    world_commit(txn);
    run_for(w, 30 * SECOND_MS);
    assert_in_range(dead->sends, 60, 120); /* then one a second */
    dead->statuses = NULL;
    run_for(w, 15 * MINUTE_MS);
    struct txn *reading = world_read(w);
    assert_int_equal(outbox_pending_count(reading, dead->endpoint), 0);
    assert_int_equal(counter_get(reading, COUNTER_DELIVERIES_FAILED), 0);
    txn_abort(reading);
}

static void a_full_disk_repeats_nothing_and_loses_nothing(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct uuid first = enqueue(w, a, "a.one", &RECORD_A);
    enqueue(w, a, "a.two", &RECORD_A);
    w->is_store_full = true;
    run_for(w, HOUR_MS);
    assert_sent(w, "a a.one 0");
    assert_int_equal(delivery_now(w, &first).state, DELIVERY_PENDING);
    w->is_store_full = false;
    run_for(w, 6 * SECOND_MS);
    assert_sent(w, "a a.two 0");
    assert_int_equal(delivery_now(w, &first).state, DELIVERY_DELIVERED);
    assert_int_equal(delivery_now(w, &first).attempt_count, 1);
}

static void a_full_disk_bounds_what_is_sent(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct txn *txn = world_write(w);
    for (int i = 0; i < 3000; i++)
        enqueue_in(w, txn, a, "order.created", NULL);
    world_commit(txn);
    w->is_store_full = true;
    run_for(w, MINUTE_MS);
    assert_int_equal(a->sends, 2048);
    w->is_store_full = false;
    run_for(w, 6 * SECOND_MS);
    assert_int_equal(a->sends, 3000);
}

static void a_writer_that_is_busy_is_asked_again(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct uuid id = enqueue(w, a, "a.one", NULL);
    w->is_writer_busy = true;
    run_for(w, SECOND_MS);
    assert_int_equal(delivery_now(w, &id).state, DELIVERY_PENDING);
    w->is_writer_busy = false;
    run_for(w, SECOND_MS);
    assert_sent(w, "a a.one 0");
    assert_int_equal(delivery_now(w, &id).state, DELIVERY_DELIVERED);
}

static void what_was_in_flight_is_sent_again_after_a_crash(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->latency_ms = 1000;
    struct uuid id = enqueue(w, a, "a.one", &RECORD_A);
    enqueue(w, a, "a.two", &RECORD_A);
    run_for(w, 500);
    world_end_dispatching(w);
    world_begin_dispatching(w);
    run_for(w, 10 * SECOND_MS);
    assert_sent(w, "a a.one 0", "a a.one 0", "a a.two 0");
    assert_int_equal(delivery_now(w, &id).attempt_count, 1);
}

static void failures_of_posterns_own_events_raise_no_more_of_them(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", "*", NULL);
    a->statuses = STATUSES(500);
    enqueue(w, a, "order.created", NULL);
    enqueue(w, a, "webhook.test", NULL);
    run_for(w, 2 * DAY_MS);
    assert_int_equal(event_count(w, "delivery.failed"), 1);
    assert_int_equal(a->sends, 15); /* five each: the two, and the one raised */
}

static void a_failed_delivery_is_described_in_its_event(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, set_short_schedule);
    add_receiver(w, "watcher", "delivery.failed", NULL);
    a->latency_ms = ENDLESS;
    struct uuid id = enqueue(w, a, "order.created", NULL);
    run_for(w, 10 * MINUTE_MS);
    struct txn *txn = world_read(w);
    struct event failed, cause;
    assert_int_equal(event_at(txn, 1, &cause), STATUS_OK);
    assert_int_equal(event_at(txn, 2, &failed), STATUS_OK);
    char delivery[TYPEID_TEXT_BYTES], event[TYPEID_TEXT_BYTES], endpoint[TYPEID_TEXT_BYTES];
    char expected[1024];
    typeid_format("dlv", &id, delivery);
    typeid_format("evt", &cause.id, event);
    typeid_format("ep", &a->id, endpoint);
    snprintf(expected, sizeof expected,
             "{\"delivery\":\"%s\",\"event\":\"order.created\",\"eventId\":\"%s\","
             "\"endpoint\":\"%s\",\"url\":\"https://receiver-0.example/\",\"attempts\":3,"
             "\"lastStatus\":null,\"lastError\":\"no answer in time\"}",
             delivery, event, endpoint);
    bool is_equal = bytes_equal_str(failed.data, expected);
    txn_abort(txn);
    assert_true(is_equal);
    assert_string_equal(w->sends[w->send_count - 1].label, "watcher delivery.failed 0");
}

static void an_endpoint_deleted_in_flight_is_forgotten(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->latency_ms = 1000;
    struct uuid id = enqueue(w, a, "a.one", NULL);
    run_for(w, 500);
    struct txn *txn = world_write(w);
    assert_int_equal(endpoint_delete(txn, &a->id), STATUS_OK);
    world_commit(txn);
    run_for(w, MINUTE_MS);
    assert_sent(w, "a a.one 0");
    assert_int_equal(delivery_now(w, &id).state, DELIVERY_FAILED);
    assert_int_equal(delivery_now(w, &id).attempt_count, 0);
}

static void secrets_of_another_master_key_hold_deliveries_back(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    static struct endpoint endpoint;
    endpoint_now(w, a, &endpoint);
    endpoint.secrets[0].data[endpoint.secrets[0].len - 1] ^= 1;
    struct txn *txn = world_write(w);
    endpoint_put(txn, &endpoint);
    world_commit(txn);
    struct uuid id = enqueue(w, a, "a.one", NULL);
    run_for(w, HOUR_MS);
    assert_int_equal(w->send_count, 0);
    assert_int_equal(delivery_now(w, &id).state, DELIVERY_PENDING);
}

static void what_a_tool_enqueued_is_found_within_a_second(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    run_for(w, MINUTE_MS);
    enqueue(w, a, "a.one", NULL);
    int64_t start_ms = w->manual.monotonic_ms;
    while (w->send_count == 0 && w->manual.monotonic_ms < start_ms + 1000) {
        int64_t next_ms = dispatcher_pass(w->dispatcher, false); /* nobody woke it */
        manual_clock_advance(&w->manual, next_ms - w->manual.monotonic_ms);
    }
    assert_sent(w, "a a.one 0");
}

static void set_rate(struct world *w, struct endpoint *endpoint)
{
    (void)w;
    endpoint->rate_per_s = 5;
}

static void an_endpoints_rate_is_kept(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, set_rate);
    struct txn *txn = world_write(w);
    for (int i = 0; i < 100; i++)
        enqueue_in(w, txn, a, "order.created", NULL);
    world_commit(txn);
    run_for(w, 10 * SECOND_MS);
    assert_in_range(a->sends, 50, 51);
    for (size_t i = 5; i < w->send_count; i++)
        assert_true(w->sends[i].at_ms - w->sends[i - 5].at_ms >= 1000);
}

static void bodies_in_flight_to_one_endpoint_are_bounded(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->latency_ms = 100;
    CLEANUP(buf_fini) struct buf data = {0};
    buf_put_str(&data, "{\"blob\":\"");
    for (int i = 0; i < 1000 * 1000; i++)
        buf_put_char(&data, 'x');
    buf_put_str(&data, "\"}");
    struct txn *txn = world_write(w);
    static const struct uuid NO_LANE;
    for (int i = 0; i < 40; i++) {
        struct event event = {.time_ms = txn_now_ms(txn),
                              .name = bytes_of_str("order.created"),
                              .data = buf_bytes(&data)};
        event_append(txn, &event);
        outbox_enqueue(txn, a->endpoint, event.sequence, &NO_LANE, txn_now_ms(txn));
    }
    world_commit(txn);
    run_for(w, 10 * SECOND_MS);
    assert_int_equal(a->sends, 40);
    assert_in_range(w->waiting_most, 3, 5);
}

static void a_shortage_of_descriptors_costs_no_delivery_a_try(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct uuid id = enqueue(w, a, "a.one", NULL);
    w->shortages = 20;
    for (int second = 0; second < 30; second++)
        run_for(w, SECOND_MS);
    struct delivery delivery = delivery_now(w, &id);
    assert_int_equal(delivery.state, DELIVERY_DELIVERED);
    assert_int_equal(delivery.attempt_count, 1);
    assert_int_equal(a->sends, 21);
    assert_int_equal(w->sends[20].at_ms, 20 * SECOND_MS);
}

static void waiting_for_anothers_connection_costs_no_delivery_a_try(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    struct uuid id = enqueue(w, a, "a.one", NULL);
    w->crowded = 1;
    run_for(w, SECOND_MS);
    assert_sent(w, "a a.one 0", "a a.one 0");
    assert_true(w->is_last_new);
    struct delivery delivery = delivery_now(w, &id);
    assert_int_equal(delivery.state, DELIVERY_DELIVERED);
    assert_int_equal(delivery.attempt_count, 1);
    enqueue(w, a, "a.two", NULL);
    run_for(w, SECOND_MS);
    assert_false(w->is_last_new);
}

static void a_retry_by_hand_starts_the_schedule_anew_and_counts_on(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, set_short_schedule);
    a->statuses = STATUSES(500);
    struct uuid id = enqueue(w, a, "a.one", NULL);
    run_for(w, HOUR_MS);
    assert_sent(w, "a a.one 0", "a a.one 1", "a a.one 2");
    struct txn *txn = world_write(w);
    assert_int_equal(outbox_retry(txn, &id), STATUS_OK);
    world_commit(txn);
    run_for(w, HOUR_MS);
    assert_sent(w, "a a.one 3", "a a.one 4", "a a.one 5");
}

/* Seconds of time with a pass in each, and no other look at the store. */
static void pass_seconds(struct world *w, int seconds)
{
    for (int second = 0; second < seconds; second++) {
        answer_due(w);
        settle(w, true);
        manual_clock_advance(&w->manual, SECOND_MS);
    }
}

static void any_operation_of_the_store_may_fail_once(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", "*", NULL);
    static const enum status FAULTS[] = {STATUS_IO, STATUS_NO_SPACE, STATUS_NO_MEMORY};
    unsigned nth = 0;
    bool has_fired = true;
    while (has_fired) {
        enum status fault = FAULTS[++nth % 3];
        a->statuses = STATUSES(500, 200);
        struct uuid first = enqueue(w, a, "a.one", &RECORD_A);
        struct uuid second = enqueue(w, a, "a.two", &RECORD_A);
        unsigned sends = a->sends;
        fault_arm(nth, fault);
        pass_seconds(w, 90);
        has_fired = fault_disarm();
        pass_seconds(w, 10);
        assert_int_equal(delivery_now(w, &first).state, DELIVERY_DELIVERED);
        assert_int_equal(delivery_now(w, &first).attempt_count, 2);
        assert_int_equal(delivery_now(w, &second).state, DELIVERY_DELIVERED);
        assert_int_equal(a->sends - sends, 3); /* outcomes waited, nothing was sent twice */
    }
    assert_true(nth > 10);
}

static void counts_tell_what_happened(void **state)
{
    struct world *w = *state;
    struct receiver *a = add_receiver(w, "a", NULL, NULL);
    a->statuses = STATUSES(500, 200);
    enqueue(w, a, "a.one", NULL);
    run_for(w, HOUR_MS);
    const struct dispatcher_counts *counts = dispatcher_counts(w->dispatcher);
    assert_int_equal(atomic_load(&counts->attempts), 2);
    assert_int_equal(atomic_load(&counts->delivered), 1);
    assert_int_equal(atomic_load(&counts->failed_attempts), 1);
    assert_int_equal(atomic_load(&counts->in_flight), 0);
    assert_int_equal(atomic_load(&counts->endpoints), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_due_delivery_is_sent_once_and_stored_as_delivered),
        IN_WORLD(an_attempt_carries_every_header_and_both_signatures),
        IN_WORLD(with_two_secrets_the_first_signs_and_both_are_listed),
        IN_WORLD(an_endpoints_own_headers_are_sent_and_masked_in_the_log),
        IN_WORLD(failures_follow_the_schedule_and_the_fifth_is_final),
        IN_WORLD(an_endpoint_can_have_its_own_schedule),
        IN_WORLD(a_retry_that_succeeds_ends_the_matter),
        IN_WORLD(retry_after_is_waited_for),
        IN_WORLD(one_records_deliveries_go_out_in_order_and_others_do_not_wait),
        IN_WORLD(a_delivery_that_fails_for_good_lets_the_next_one_go),
        IN_WORLD(a_410_disables_the_endpoint_and_keeps_what_is_pending),
        IN_WORLD(an_endpoint_enabled_again_gets_what_was_pending),
        IN_WORLD(an_endpoint_without_success_for_five_days_is_disabled),
        IN_WORLD(one_success_starts_the_five_days_anew),
        IN_WORLD(a_clock_set_back_does_not_hold_deliveries_up),
        IN_WORLD(a_clock_set_ahead_does_not_disable_endpoints),
        IN_WORLD(an_endpoint_that_hangs_holds_nobody_up),
        IN_WORLD(sixty_hanging_endpoints_leave_room_for_a_good_one),
        IN_WORLD(a_good_endpoint_gets_sixteen_at_a_time_and_no_more),
        IN_WORLD(records_that_a_receiver_hangs_on_do_not_hold_up_others),
        IN_WORLD(a_cooling_endpoint_is_probed_with_what_was_not_tried_yet),
        IN_WORLD(fresh_deliveries_are_found_behind_thousands_of_retries),
        IN_WORLD(a_dead_endpoint_is_probed_and_then_caught_up_with),
        IN_WORLD(a_full_disk_repeats_nothing_and_loses_nothing),
        IN_WORLD(a_full_disk_bounds_what_is_sent),
        IN_WORLD(a_writer_that_is_busy_is_asked_again),
        IN_WORLD(what_was_in_flight_is_sent_again_after_a_crash),
        IN_WORLD(failures_of_posterns_own_events_raise_no_more_of_them),
        IN_WORLD(a_failed_delivery_is_described_in_its_event),
        IN_WORLD(an_endpoint_deleted_in_flight_is_forgotten),
        IN_WORLD(secrets_of_another_master_key_hold_deliveries_back),
        IN_WORLD(what_a_tool_enqueued_is_found_within_a_second),
        IN_WORLD(an_endpoints_rate_is_kept),
        IN_WORLD(bodies_in_flight_to_one_endpoint_are_bounded),
        IN_WORLD(a_shortage_of_descriptors_costs_no_delivery_a_try),
        IN_WORLD(waiting_for_anothers_connection_costs_no_delivery_a_try),
        IN_WORLD(a_retry_by_hand_starts_the_schedule_anew_and_counts_on),
        IN_WORLD(any_operation_of_the_store_may_fail_once),
        IN_WORLD(counts_tell_what_happened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* deliver: the real loop, writer and HTTP client against receivers on loopback ports. */
#include "ingest/deliver/deliver.h"

#include "base/cleanup.h"
#include "base/must.h"
#include "ingest/deliver/signature.h"
#include "storage/data_dir.h"
#include "storage/events.h"
#include "storage/outbox.h"
#include "tests/unit/ingest/deliver/receiver.h"

#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define SECRET "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define DEADLINE_MS 20000
#define QUICK_TIMEOUT_MS 300

static void pause_briefly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Takes libcurl's calls: names below "hangs.example" are looked up until the test lets go of them.
 */
static atomic_bool is_lookup_released;
static atomic_int lookups_hanging;
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret_addresses)
{
    const char *suffix = host ? strstr(host, "hangs.example") : NULL;
    if (suffix) {
        atomic_fetch_add(&lookups_hanging, 1);
        while (!atomic_load(&is_lookup_released))
            pause_briefly();
        atomic_fetch_sub(&lookups_hanging, 1);
        return EAI_AGAIN;
    }
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (__typeof__(real))dlsym(RTLD_NEXT, "getaddrinfo");
    return real(host, service, hints, ret_addresses);
}

struct rig {
    char dir[64];
    struct store *store;
    struct vault *vault;
    struct subscriptions *subscriptions;
    struct writer *writer;
    struct deliver *deliver;
    struct receiver_server *receiver;
    struct cidr loopback;
    uint32_t retry_s[4];
    struct deliver_options options;
};

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct err err = {0};
    char path[96];
    must(rig != NULL);
    strcpy(rig->dir, "/tmp/postern-test-XXXXXX");
    must(mkdtemp(rig->dir) != NULL);
    snprintf(path, sizeof path, "%s/master.key", rig->dir);
    struct store_options options = {.dir = rig->dir, .mode = STORE_SERVE, .map_bytes = 64 << 20};
    if (store_open(&options, &rig->store, &err) != STATUS_OK ||
        vault_open(path, true, &rig->vault, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    rig->subscriptions = subscriptions_new();
    struct writer_options writing = {.store = rig->store, .clock = &SYSTEM_CLOCK};
    must(writer_start(&writing, &rig->writer) == STATUS_OK);
    must(cidr_parse(bytes_of_str("127.0.0.0/8"), &rig->loopback) == STATUS_OK);
    rig->receiver = receiver_start();
    for (size_t i = 0; i < 4; i++)
        rig->retry_s[i] = 3600;
    rig->options = (struct deliver_options){.store = rig->store,
                                            .writer = rig->writer,
                                            .subscriptions = rig->subscriptions,
                                            .vault = rig->vault,
                                            .clock = &SYSTEM_CLOCK,
                                            .user_agent = "Postern/test",
                                            .allow = &rig->loopback,
                                            .allow_count = 1,
                                            .is_http_allowed = true,
                                            .timeout_ms = DEADLINE_MS,
                                            .retry_s = rig->retry_s,
                                            .retry_count = 4};
    *state = rig;
    return 0;
}

static void rig_start(struct rig *rig)
{
    struct err err = {0};
    if (deliver_start(&rig->options, &rig->deliver, &err) != STATUS_OK)
        fail_msg("%s", err.text);
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;
    struct err err = {0};
    char path[96];
    deliver_stop(rig->deliver, 0);
    writer_stop(rig->writer);
    deliver_free(rig->deliver);
    receiver_stop(rig->receiver);
    subscriptions_free(rig->subscriptions);
    store_close(rig->store);
    vault_free(rig->vault);
    snprintf(path, sizeof path, "%s/store", rig->dir);
    must(dir_remove(path, &err) == STATUS_OK && dir_remove(rig->dir, &err) == STATUS_OK);
    free(rig);
    return 0;
}

static struct txn *rig_write(struct rig *rig)
{
    struct txn *txn;
    uint64_t seed;
    random_bytes(&seed, sizeof seed);
    assert_int_equal(txn_write(rig->store, clock_wall_ms(&SYSTEM_CLOCK), seed, &txn), STATUS_OK);
    return txn;
}

static uint32_t add_endpoint(struct rig *rig, const char *url)
{
    static struct endpoint endpoint;
    endpoint = (struct endpoint){.state = ENDPOINT_ENABLED, .secret_count = 1, .pattern_count = 1};
    struct txn *txn = rig_write(rig);
    endpoint.id = txn_uuid(txn);
    snprintf(endpoint.url, sizeof endpoint.url, "%s", url);
    strcpy(endpoint.patterns[0], "none.of.them");
    assert_int_equal(endpoint_secret_seal(rig->vault, &endpoint, 0, bytes_of_str(SECRET)),
                     STATUS_OK);
    endpoint_put(txn, &endpoint);
    assert_int_equal(txn_commit(txn), STATUS_OK);
    return endpoint.number;
}

/* An endpoint at the receiver, by the path that says how it behaves. */
static uint32_t endpoint_for(struct rig *rig, const char *path)
{
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", rig->receiver->port, path);
    return add_endpoint(rig, url);
}

static struct uuid enqueue(struct rig *rig, uint32_t endpoint)
{
    static const struct uuid NO_LANE;
    struct txn *txn = rig_write(rig);
    struct event event = {.time_ms = txn_now_ms(txn),
                          .name = bytes_of_str("order.created"),
                          .data = bytes_of_str("{\"number\":1}")};
    event_append(txn, &event);
    struct uuid id = outbox_enqueue(txn, endpoint, event.sequence, &NO_LANE, txn_now_ms(txn));
    assert_int_equal(txn_commit(txn), STATUS_OK);
    if (rig->deliver)
        deliver_wake(rig->deliver);
    return id;
}

static bool is_over(int64_t since_ms)
{
    return clock_monotonic_ms(&SYSTEM_CLOCK) - since_ms > DEADLINE_MS;
}

/* The first attempt, once it is stored; its views are copied to static memory. */
static struct attempt wait_for_attempt(struct rig *rig, const struct uuid *id)
{
    static char error[512], address[64];
    static uint8_t body[ATTEMPT_BODY_MAX];
    int64_t since_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    for (;;) {
        struct txn *txn;
        struct attempt attempt;
        assert_int_equal(txn_read(rig->store, &txn), STATUS_OK);
        enum status status = attempt_at(txn, id, 1, &attempt);
        if (status == STATUS_OK) {
            snprintf(error, sizeof error, "%.*s", BYTES_ARG(attempt.error));
            snprintf(address, sizeof address, "%.*s", BYTES_ARG(attempt.address));
            memcpy(body, attempt.response_body.data, attempt.response_body.len);
            attempt.error = bytes_of_str(error);
            attempt.address = bytes_of_str(address);
            attempt.response_body.data = body;
        }
        txn_abort(txn);
        if (status == STATUS_OK)
            return attempt;
        if (is_over(since_ms))
            fail_msg("no attempt was stored in time");
        pause_briefly();
    }
}

static enum delivery_state state_of(struct rig *rig, const struct uuid *id)
{
    struct txn *txn;
    struct delivery delivery;
    assert_int_equal(txn_read(rig->store, &txn), STATUS_OK);
    assert_int_equal(delivery_find(txn, id, &delivery), STATUS_OK);
    txn_abort(txn);
    return delivery.state;
}

static struct attempt attempt_to(struct rig *rig, const char *path)
{
    rig_start(rig);
    struct uuid id = enqueue(rig, endpoint_for(rig, path));
    return wait_for_attempt(rig, &id);
}

#define assert_text(view, text) assert_true(bytes_equal_str((view), (text)))

static void a_delivery_arrives_with_signatures_of_the_very_bytes(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct uuid id = enqueue(rig, endpoint_for(rig, "/ok"));
    struct attempt attempt = wait_for_attempt(rig, &id);
    assert_int_equal(attempt.http_status, 200);
    assert_text(attempt.error, "");
    assert_text(attempt.address, "127.0.0.1");
    assert_text(attempt.response_body, "thanks");
    assert_int_equal(state_of(rig, &id), DELIVERY_DELIVERED);

    assert_int_equal(receiver_count(rig->receiver), 1);
    const struct request *request = &rig->receiver->requests[0];
    const char *hex = strstr(request->head, "X-Webhook-Signature: ");
    const char *timestamp = strstr(request->head, "X-Webhook-Timestamp: ");
    assert_non_null(hex);
    assert_non_null(timestamp);
    int64_t timestamp_s = strtoll(timestamp + 21, NULL, 10);
    assert_int_equal(signature_verify(bytes_of_str(SECRET), timestamp_s, timestamp_s, 0,
                                      bytes_of(request->body, request->body_bytes),
                                      bytes_of(hex + 21, 64)),
                     SIGNATURE_GOOD);
    assert_null(strstr(request->head, "Expect:"));
}

static void a_redirect_is_not_followed(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(attempt_to(rig, "/redirect").http_status, 302);
    assert_int_equal(receiver_count(rig->receiver), 1);
}

static void an_endless_response_is_cut_and_counts(void **state)
{
    struct attempt attempt = attempt_to(*state, "/endless");
    assert_int_equal(attempt.http_status, 200);
    assert_int_equal(attempt.response_body.len, ATTEMPT_BODY_MAX);
    assert_memory_equal(attempt.response_body.data, "0123456789abcdef", 16);
    assert_text(attempt.error, "");
}

static void a_response_that_breaks_off_counts_by_its_status(void **state)
{
    struct attempt attempt = attempt_to(*state, "/broken");
    assert_int_equal(attempt.http_status, 200);
    assert_text(attempt.response_body, "only so much");
    assert_memory_equal(attempt.error.data, "the response body broke off", 27);
}

static void endless_headers_are_no_answer(void **state)
{
    struct attempt attempt = attempt_to(*state, "/headers");
    assert_int_equal(attempt.http_status, 0);
    assert_text(attempt.error, "the response's headers are too long");
}

static void a_receiver_that_says_nothing_is_given_up(void **state)
{
    struct rig *rig = *state;
    rig->options.timeout_ms = QUICK_TIMEOUT_MS;
    struct attempt attempt = attempt_to(rig, "/hang");
    assert_int_equal(attempt.http_status, 0);
    assert_text(attempt.error, "no answer in time");
}

static void a_receiver_that_drips_is_given_up(void **state)
{
    struct rig *rig = *state;
    rig->options.timeout_ms = QUICK_TIMEOUT_MS;
    struct attempt attempt = attempt_to(rig, "/drip");
    assert_int_equal(attempt.http_status, 0);
    assert_text(attempt.error, "no answer in time");
}

static void a_receiver_that_closes_or_speaks_something_else_is_an_error(void **state)
{
    struct rig *rig = *state;
    struct attempt attempt = attempt_to(rig, "/close");
    assert_int_equal(attempt.http_status, 0);
    assert_true(attempt.error.len > 0);
    struct uuid id = enqueue(rig, endpoint_for(rig, "/garbage"));
    attempt = wait_for_attempt(rig, &id);
    assert_int_equal(attempt.http_status, 0);
    assert_text(attempt.error, "not an HTTP answer");
}

static void an_answer_that_does_not_come_holds_up_nobody_else_there(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    uint32_t hanging = endpoint_for(rig, "/hang"), good = endpoint_for(rig, "/ok");
    struct uuid first = enqueue(rig, hanging);
    int64_t since_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    while (receiver_count(rig->receiver) == 0 && !is_over(since_ms))
        pause_briefly();
    struct uuid beside = enqueue(rig, good);
    assert_int_equal(wait_for_attempt(rig, &beside).http_status, 200);
    assert_int_equal(state_of(rig, &first), DELIVERY_PENDING);
}

static void a_refused_connection_is_an_error(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct uuid id = enqueue(rig, add_endpoint(rig, "http://127.0.0.1:1/"));
    struct attempt attempt = wait_for_attempt(rig, &id);
    assert_int_equal(attempt.http_status, 0);
    assert_text(attempt.address, "127.0.0.1");
    assert_true(attempt.error.len > 0);
    assert_int_equal(state_of(rig, &id), DELIVERY_PENDING);
}

static void addresses_that_are_not_public_are_not_connected_to(void **state)
{
    struct rig *rig = *state;
    rig->options.allow_count = 0;
    struct attempt attempt = attempt_to(rig, "/ok");
    assert_int_equal(attempt.http_status, 0);
    assert_text(attempt.error, "the address 127.0.0.1 is not allowed (loopback)");

    char url[64];
    snprintf(url, sizeof url, "http://localhost:%u/ok", rig->receiver->port);
    struct uuid id = enqueue(rig, add_endpoint(rig, url));
    attempt = wait_for_attempt(rig, &id);
    assert_int_equal(attempt.http_status, 0);
    assert_non_null(strstr((const char *)attempt.error.data, "is not allowed (loopback)"));
    assert_int_equal(rig->receiver->connection_count, 0);
}

static void http_is_refused_unless_it_is_allowed(void **state)
{
    struct rig *rig = *state;
    rig->options.is_http_allowed = false;
    struct attempt attempt = attempt_to(rig, "/ok");
    assert_text(attempt.error, "http is not allowed, only https");
    assert_int_equal(rig->receiver->connection_count, 0);
}

static void proxies_of_the_environment_are_not_used(void **state)
{
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    assert_int_equal(attempt_to(*state, "/ok").http_status, 200);
    unsetenv("http_proxy");
    unsetenv("ALL_PROXY");
}

static void new_settings_hold_for_connections_that_are_open(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    uint32_t endpoint = endpoint_for(rig, "/ok");
    struct uuid before = enqueue(rig, endpoint);
    assert_int_equal(wait_for_attempt(rig, &before).http_status, 200);

    struct deliver_options options = rig->options;
    options.allow_count = 0;
    deliver_reload(rig->deliver, &options);
    struct uuid after = enqueue(rig, endpoint);
    struct attempt attempt = wait_for_attempt(rig, &after);
    assert_text(attempt.error, "the address 127.0.0.1 is not allowed (loopback)");
    assert_int_equal(receiver_count(rig->receiver), 1);
}

static void stopping_waits_for_answers_and_stores_them(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct uuid id = enqueue(rig, endpoint_for(rig, "/hold"));
    int64_t since_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    while (receiver_count(rig->receiver) == 0 && !is_over(since_ms))
        pause_briefly();
    receiver_release(rig->receiver);
    deliver_stop(rig->deliver, DEADLINE_MS);
    assert_int_equal(state_of(rig, &id), DELIVERY_DELIVERED);
    deliver_wake(rig->deliver); /* the writer may still do so */
    deliver_free(rig->deliver);
    rig->deliver = NULL;
}

static void stopping_does_not_wait_for_ever(void **state)
{
    struct rig *rig = *state;
    rig_start(rig);
    struct uuid id = enqueue(rig, endpoint_for(rig, "/hang"));
    int64_t since_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    while (receiver_count(rig->receiver) == 0 && !is_over(since_ms))
        pause_briefly();
    deliver_stop(rig->deliver, 10);
    deliver_free(rig->deliver);
    rig->deliver = NULL;
    assert_int_equal(state_of(rig, &id), DELIVERY_PENDING);
}

static void a_name_that_is_looked_up_for_ever_holds_nobody_up(void **state)
{
    struct rig *rig = *state;
    rig->options.timeout_ms = QUICK_TIMEOUT_MS;
    atomic_store(&is_lookup_released, false);
    rig_start(rig);
    struct uuid hanging[5];
    for (size_t i = 0; i < 5; i++) {
        char url[64];
        snprintf(url, sizeof url, "http://%zu.hangs.example/", i);
        hanging[i] = enqueue(rig, add_endpoint(rig, url));
    }
    uint32_t good = endpoint_for(rig, "/ok");
    struct uuid beside = enqueue(rig, good);
    assert_int_equal(wait_for_attempt(rig, &beside).http_status, 200);
    for (size_t i = 0; i < 5; i++)
        assert_text(wait_for_attempt(rig, &hanging[i]).error, "no address in time");
    assert_int_equal(atomic_load(&lookups_hanging), 5); /* given up, although still going on */
    struct uuid after = enqueue(rig, good);
    assert_int_equal(wait_for_attempt(rig, &after).http_status, 200);
    atomic_store(&is_lookup_released, true);
    while (atomic_load(&lookups_hanging))
        pause_briefly();
}

static void a_thousand_deliveries_arrive_each_once(void **state)
{
    struct rig *rig = *state;
    uint32_t endpoint = endpoint_for(rig, "/ok");
    for (int i = 0; i < 1000; i++)
        enqueue(rig, endpoint);
    rig_start(rig);
    int64_t since_ms = clock_monotonic_ms(&SYSTEM_CLOCK);
    struct deliver_stats stats = {0};
    while (stats.delivered < 1000 && !is_over(since_ms)) {
        deliver_stats(rig->deliver, &stats);
        pause_briefly();
    }
    deliver_stop(rig->deliver, DEADLINE_MS);
    deliver_free(rig->deliver);
    rig->deliver = NULL;
    assert_int_equal(receiver_count(rig->receiver), 1000);
    struct txn *txn;
    assert_int_equal(txn_read(rig->store, &txn), STATUS_OK);
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_DELIVERED), 1000);
    assert_int_equal(counter_get(txn, COUNTER_ATTEMPTS), 1000);
    txn_abort(txn);
    assert_true(rig->receiver->connection_count <= 16);
}

#define ON_RIG(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_RIG(a_delivery_arrives_with_signatures_of_the_very_bytes),
        ON_RIG(a_redirect_is_not_followed),
        ON_RIG(an_endless_response_is_cut_and_counts),
        ON_RIG(a_response_that_breaks_off_counts_by_its_status),
        ON_RIG(endless_headers_are_no_answer),
        ON_RIG(a_receiver_that_says_nothing_is_given_up),
        ON_RIG(a_receiver_that_drips_is_given_up),
        ON_RIG(a_receiver_that_closes_or_speaks_something_else_is_an_error),
        ON_RIG(an_answer_that_does_not_come_holds_up_nobody_else_there),
        ON_RIG(a_refused_connection_is_an_error),
        ON_RIG(addresses_that_are_not_public_are_not_connected_to),
        ON_RIG(http_is_refused_unless_it_is_allowed),
        ON_RIG(proxies_of_the_environment_are_not_used),
        ON_RIG(new_settings_hold_for_connections_that_are_open),
        ON_RIG(stopping_waits_for_answers_and_stores_them),
        ON_RIG(stopping_does_not_wait_for_ever),
        ON_RIG(a_name_that_is_looked_up_for_ever_holds_nobody_up),
        ON_RIG(a_thousand_deliveries_arrive_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Memory that is not there while something is written: each allocation of the writer's fails once,
 * alone and with all that follow. All of a request is stored or nothing, its answer is whole or a
 * fault, and the same request goes through when there is memory again.
 */
#include "base/cleanup.h"
#include "base/must.h"
#include "ingest/accept.h"
#include "ingest/reply.h"
#include "storage/check.h"
#include "storage/data_dir.h"
#include "storage/endpoints.h"
#include "storage/format.h"
#include "storage/idempotency.h"
#include "storage/records.h"
#include "storage/table.h"
#include "tests/unit/failing_memory.h"

#include <limits.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1763643600000)
#define ITEMS_MAX 3

struct world {
    char dir[64];
    struct app app;
    struct subscriptions *subscriptions;
    struct manual_clock manual;
    struct clock clock;
    unsigned number; /* of the request: its record's key, its idempotency key */
    uint64_t seed;
};

static struct txn *begin(struct world *world)
{
    struct txn *txn = NULL;
    assert_int_equal(txn_write(world->app.store, NOW_MS, ++world->seed, &txn), STATUS_OK);
    return txn;
}

static void add_endpoint(struct world *world, const char *pattern)
{
    struct txn *txn = begin(world);
    struct endpoint *endpoint = calloc(1, sizeof *endpoint);
    endpoint->state = ENDPOINT_ENABLED;
    snprintf(endpoint->url, sizeof endpoint->url, "https://example.com/");
    endpoint->pattern_count = pattern != NULL;
    snprintf(endpoint->patterns[0], sizeof endpoint->patterns[0], "%s", pattern ? pattern : "");
    endpoint_put(txn, endpoint);
    free(endpoint);
    assert_int_equal(txn_commit(txn), STATUS_OK);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct app *app = &world->app;
    struct app_loop *loop = &app->loops[0];
    struct err err = {0};

    snprintf(world->dir, sizeof world->dir, "/tmp/postern-memory-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    world->manual = (struct manual_clock){NOW_MS, 1000};
    world->clock = manual_clock_view(&world->manual);
    app->clock = &world->clock;
    app->max_body = 1 << 20;
    assert_int_equal(store_open(&(struct store_options){.dir = world->dir, .mode = STORE_SERVE},
                                &app->store, &err),
                     STATUS_OK);
    world->subscriptions = subscriptions_new();
    assert_int_equal(catalog_load(SCHEMAS_SOURCE_DIR, "1", app->store, NOW_MS, &app->catalog, &err),
                     STATUS_OK);
    assert_int_equal(app_init(app, world->subscriptions, &err), STATUS_OK);
    app->loop_count = 1;
    loop->app = app;
    loop->run = schema_run_new();
    loop->changes = calloc(CHANGES_CAPACITY, sizeof *loop->changes);
    add_endpoint(world, NULL);
    add_endpoint(world, "workorder.*");
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    struct err err = {0};
    char path[128];

    app_fini(&world->app);
    subscriptions_free(world->subscriptions);
    store_close(world->app.store);
    snprintf(path, sizeof path, "%s/store", world->dir);
    if (dir_remove(path, &err) != STATUS_OK || dir_remove(world->dir, &err) != STATUS_OK)
        fail_msg("%s", err.text);
    free(world);
    return 0;
}

/* ---- requests ---- */

/* One more than a work of the writer's; as the server has it for a request that is under way. */
struct request {
    struct work work; /* first */
    struct submission submission;
    struct applier *applier;
    struct item items[ITEMS_MAX];
    enum status status; /* what the writer said */
};

static void request_init(struct request *request, struct world *world, enum submission_kind kind)
{
    *request = (struct request){.applier = world->app.applier};
    request->submission = (struct submission){
        .arena = arena_new(64), /* small, so that it has to grow */
        .kind = kind,
        .type = catalog_find(world->app.catalog, bytes_of_str("workorder")),
        .api_key = 1,
        .usage_ms = NOW_MS + world->number,
        .items = request->items,
    };
    assert_non_null(request->submission.arena);
    snprintf(request->submission.request_id, sizeof request->submission.request_id, "req_1");
}

static void request_fini(struct request *request)
{
    arena_free(request->submission.arena);
}

/* With the request's number for '#', as many digits each time. */
static struct bytes put_text(struct request *request, const char *text, unsigned number)
{
    CLEANUP(buf_fini) struct buf out = {0};

    for (; *text; text++) {
        if (*text == '#')
            buf_printf(&out, "%06u", number);
        else
            buf_put_char(&out, *text);
    }
    return arena_copy(request->submission.arena, buf_bytes(&out));
}

/* One more line of the request. */
static void add_item(struct request *request, struct world *world, const char *text)
{
    struct item *item = &request->items[request->submission.item_count++];
    struct bytes body = put_text(request, text, world->number);
    struct app_loop *loop = &world->app.loops[0];

    if (request->submission.kind == SUBMIT_POST) {
        assert_int_equal(accept_body(loop, &request->submission, body, item), STATUS_OK);
        return;
    }
    item->target = put_text(request, "WO-#", world->number);
    if (request->submission.kind == SUBMIT_PATCH)
        assert_int_equal(accept_patch(loop, &request->submission, body, item), STATUS_OK);
}

#define NEW "{\"workOrderNumber\":\"WO-#\",\"title\":\"a\"}"
#define NEW_WITH_EVENTS                                                                            \
    "{\"workOrderNumber\":\"WO-#\",\"title\":\"a\",\"status\":\"in_progress\",\"assignments\":"    \
    "[{\"employeeId\":\"e1\"},{\"employeeId\":\"e2\"}]}"
#define SECOND "{\"workOrderNumber\":\"second-#\",\"title\":\"a\",\"unknownMember\":1}"
#define NOT_THERE                                                                                  \
    "{\"id\":\"wo_01jd0000000000000000000000\",\"workOrderNumber\":\"no-#\",\"title\":\"a\"}"

static void create(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_POST);
    add_item(request, world, NEW_WITH_EVENTS);
}

static void create_with_key(struct request *request, struct world *world)
{
    create(request, world);
    request->submission.has_idempotency_key = true;
    memcpy(request->submission.idempotency_name, &world->number, sizeof world->number);
}

static void update(struct request *request, struct world *world)
{
    create(request, world);
}

static void send_again(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_POST);
    add_item(request, world, NEW);
}

static void patch(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_PATCH);
    add_item(request, world, "{\"status\":\"completed\"}");
}

static void delete_it(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_DELETE);
    add_item(request, world, "");
}

static void refused(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_POST);
    add_item(request, world, NOT_THERE);
}

static void batch(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_POST);
    request->submission.is_batch = true;
    add_item(request, world, NEW_WITH_EVENTS);
    add_item(request, world, NOT_THERE);
    add_item(request, world, SECOND);
}

static void strict_batch(struct request *request, struct world *world)
{
    request_init(request, world, SUBMIT_POST);
    request->submission.is_batch = request->submission.is_strict = true;
    add_item(request, world, NEW_WITH_EVENTS);
    add_item(request, world, SECOND);
}

static void strict_batch_refused(struct request *request, struct world *world)
{
    batch(request, world);
    request->submission.is_strict = true;
}

/* ---- the store, counted ---- */

struct rows {
    uint64_t of[TABLE_COUNT];
};

static struct rows count_rows(struct world *world)
{
    struct rows rows;
    struct txn *txn = NULL;
    assert_int_equal(txn_read(world->app.store, &txn), STATUS_OK);
    for (enum table table = 0; table < TABLE_COUNT; table++)
        rows.of[table] = table_rows(txn, table);
    txn_abort(txn);
    return rows;
}

static struct rows rows_since(struct world *world, const struct rows *before)
{
    struct rows rows = count_rows(world);
    for (enum table table = 0; table < TABLE_COUNT; table++)
        rows.of[table] -= before->of[table];
    return rows;
}

static void say_problem(void *context, const char *text)
{
    (void)context;
    print_message("%s\n", text);
}

static void assert_store_is_whole(struct world *world)
{
    struct check_report report;
    assert_int_equal(store_check(world->app.store, say_problem, NULL, NULL, &report), STATUS_OK);
    assert_int_equal(report.problem_count, 0);
}

/* ---- one request in a transaction ---- */

typedef void make_request(struct request *request, struct world *world);

/* What must be there before the request comes; NULL: nothing. */
static void make_first(struct world *world, make_request *first)
{
    struct request request;
    struct txn *txn;

    world->number++;
    if (first == NULL)
        return;
    txn = begin(world);
    first(&request, world);
    apply_submission(world->app.applier, &request.submission, txn);
    assert_int_equal(txn_commit(txn), STATUS_OK);
    request_fini(&request);
}

/* As the writer does it, and as the server does afterwards. */
static enum status write_request(struct world *world, struct request *request)
{
    struct txn *txn = NULL;
    enum status s = txn_write(world->app.store, NOW_MS, ++world->seed, &txn);

    if (s == STATUS_OK) {
        apply_submission(world->app.applier, &request->submission, txn);
        s = txn_commit(txn);
    }
    if (s != STATUS_OK)
        applier_forget(world->app.applier);
    return s;
}

/* Ids and numbers have one length, so an answer that lacks nothing has the length of another. */
static size_t answer_bytes(const struct request *request)
{
    CLEANUP(buf_fini) struct buf body = {0};
    struct rendered rendered = request->submission.rendered;

    if (request->submission.answer == ANSWER_FROM_ITEMS)
        reply_render(&request->submission, &body, &rendered);
    return rendered.body.len;
}

struct outcome {
    struct rows rows;
    size_t answer_bytes;
};

static struct outcome write_safely(struct world *world, struct request *request)
{
    struct rows before = count_rows(world);

    assert_int_equal(write_request(world, request), STATUS_OK);
    return (struct outcome){rows_since(world, &before), answer_bytes(request)};
}

static void assert_same(const struct outcome *outcome, const struct outcome *expected,
                        const char *name, unsigned nth)
{
    for (enum table table = 0; table < TABLE_COUNT; table++)
        if (outcome->rows.of[table] != expected->rows.of[table])
            fail_msg("%s, allocation %u: %s has %ju rows more, not %ju", name, nth,
                     TABLE_NAMES[table], (uintmax_t)outcome->rows.of[table],
                     (uintmax_t)expected->rows.of[table]);
    if (outcome->answer_bytes != expected->answer_bytes)
        fail_msg("%s, allocation %u: an answer of %zu bytes, not %zu", name, nth,
                 outcome->answer_bytes, expected->answer_bytes);
}

/* The request with allocations from..to failing. False: it came to its end before the first. */
static bool write_short_of_memory(struct world *world, struct request *request,
                                  const struct outcome *expected, const char *name, unsigned from,
                                  unsigned to)
{
    static const struct rows nothing;
    struct rows before = count_rows(world), more;
    enum status s;
    unsigned count;

    fail_memory(from, to);
    s = write_request(world, request);
    count = stop_failing();
    if (s == STATUS_OK) { /* it could do without */
        struct outcome outcome = {rows_since(world, &before), answer_bytes(request)};
        assert_same(&outcome, expected, name, from);
        return count >= from;
    }
    assert_int_equal(s, STATUS_NO_MEMORY);
    more = rows_since(world, &before);
    assert_memory_equal(&more, &nothing, sizeof more);
    struct outcome outcome = write_safely(world, request);
    assert_same(&outcome, expected, name, from);
    return true;
}

static const struct scenario {
    const char *name;
    make_request *first, *request;
} SCENARIOS[] = {
    {"create", NULL, create},
    {"create with an idempotency key", NULL, create_with_key},
    {"the same again", create_with_key, create_with_key},
    {"update", send_again, update},
    {"unchanged", send_again, send_again},
    {"patch", send_again, patch},
    {"delete", create, delete_it},
    {"refused", NULL, refused},
    {"batch", send_again, batch},
    {"strict batch", send_again, strict_batch},
    {"strict batch, refused", send_again, strict_batch_refused},
};
#define SCENARIO_COUNT (sizeof SCENARIOS / sizeof SCENARIOS[0])

static struct outcome expected_of(struct world *world, const struct scenario *scenario)
{
    struct outcome expected = {0};

    for (int i = 0; i < 2; i++) { /* the second: counters and memory have their rows and size */
        struct request request;

        make_first(world, scenario->first);
        scenario->request(&request, world);
        expected = write_safely(world, &request);
        request_fini(&request);
    }
    return expected;
}

/* `is_all`: what follows the nth fails too. A fresh applier is used for each, which has to grow. */
static void run_scenario(struct world *world, const struct scenario *scenario, bool is_all)
{
    struct outcome expected = expected_of(world, scenario);
    bool is_reached = true;

    for (unsigned nth = 1; is_reached; nth++) {
        struct request request;

        make_first(world, scenario->first);
        scenario->request(&request, world);
        applier_forget(world->app.applier);
        is_reached = write_short_of_memory(world, &request, &expected, scenario->name, nth,
                                           is_all ? UINT_MAX : nth);
        request_fini(&request);
        assert_true(is_reached || nth > 5); /* something was taken away */
    }
}

static void a_request_is_stored_whole_or_not_at_all(void **state)
{
    for (size_t i = 0; i < SCENARIO_COUNT; i++)
        run_scenario(*state, &SCENARIOS[i], true);
    assert_store_is_whole(*state);
}

static void one_failing_allocation_is_no_half_answer(void **state)
{
    for (size_t i = 0; i < SCENARIO_COUNT; i++)
        run_scenario(*state, &SCENARIOS[i], false);
    assert_store_is_whole(*state);
}

/* ---- its answer ---- */

static void an_answer_is_whole_or_there_is_none(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        size_t expected = expected_of(world, &SCENARIOS[i]).answer_bytes;
        struct request request;
        enum status s = STATUS_NO_MEMORY;

        make_first(world, SCENARIOS[i].first);
        SCENARIOS[i].request(&request, world);
        (void)write_safely(world, &request);
        for (unsigned nth = 1; s != STATUS_OK; nth++) {
            CLEANUP(buf_fini) struct buf body = {0};
            struct rendered rendered;

            fail_memory(nth, UINT_MAX);
            reply_render(&request.submission, &body, &rendered);
            (void)stop_failing();
            s = body.status;
            if (request.submission.answer == ANSWER_FROM_ITEMS)
                assert_int_equal(rendered.body.len, s == STATUS_OK ? expected : 0);
            assert_true(s == STATUS_OK || rendered.etag.len == 0);
        }
        request_fini(&request);
    }
}

/* ---- a group of requests, by the writer ---- */

#define GROUP 4

struct gate {
    struct work work; /* first */
    sem_t is_waiting, may_go;
};

static void gate_apply(struct work *work, struct txn *txn)
{
    struct gate *gate = (struct gate *)work;

    (void)txn;
    sem_post(&gate->is_waiting);
    while (sem_wait(&gate->may_go) != 0)
        continue;
}

static void gate_done(struct work *work, enum status status)
{
    struct gate *gate = (struct gate *)work;

    must(status == STATUS_OK);
    sem_post(&gate->is_waiting);
    while (sem_wait(&gate->may_go) != 0)
        continue;
}

static void request_apply(struct work *work, struct txn *txn)
{
    struct request *request = (struct request *)work;

    apply_submission(request->applier, &request->submission, txn);
}

static void request_done(struct work *work, enum status status)
{
    struct request *request = (struct request *)work;

    request->status = status;
    if (status != STATUS_OK)
        applier_forget(request->applier);
}

/* All requests in one group. Between the first work, which stands in its way, and the end nobody
 * else has anything to do, so that each allocation is the writer's. How many there were. */
static unsigned write_group(struct world *world, struct request *requests, unsigned from,
                            unsigned to)
{
    struct writer_options options = {.store = world->app.store, .clock = &world->clock};
    struct gate gate = {.work = {.apply = gate_apply, .done = gate_done}};
    struct writer *writer;

    assert_int_equal(sem_init(&gate.is_waiting, 0, 0) | sem_init(&gate.may_go, 0, 0), 0);
    assert_int_equal(writer_start(&options, &writer), STATUS_OK);
    assert_int_equal(writer_submit(writer, &gate.work), STATUS_OK);
    while (sem_wait(&gate.is_waiting) != 0)
        continue;
    for (int i = 0; i < GROUP; i++) {
        requests[i].work = (struct work){.apply = request_apply, .done = request_done};
        assert_int_equal(writer_submit(writer, &requests[i].work), STATUS_OK);
    }
    sem_post(&gate.may_go);
    while (sem_wait(&gate.is_waiting) != 0)
        continue;
    fail_memory(from, to); /* the gate's own transaction has ended */
    sem_post(&gate.may_go);
    writer_stop(writer);
    sem_destroy(&gate.is_waiting);
    sem_destroy(&gate.may_go);
    return stop_failing();
}

static void make_group(struct world *world, struct request *requests)
{
    for (int i = 0; i < GROUP; i++) {
        world->number++;
        (i == 2 ? strict_batch : create_with_key)(&requests[i], world);
        requests[i].status = STATUS_END; /* told by nobody so far */
    }
    applier_forget(world->app.applier);
}

/* Those that were told that they are stored are, and the others are not. Then these too. */
static void assert_told(struct world *world, struct request *requests,
                        const struct outcome expected[GROUP], const struct rows *before,
                        unsigned nth)
{
    struct outcome all = {rows_since(world, before), 0}, told = {0};

    for (int i = 0; i < GROUP; i++) {
        assert_true(requests[i].status == STATUS_OK || requests[i].status == STATUS_NO_MEMORY);
        if (requests[i].status != STATUS_OK)
            continue;
        assert_int_equal(answer_bytes(&requests[i]), expected[i].answer_bytes);
        for (enum table table = 0; table < TABLE_COUNT; table++)
            told.rows.of[table] += expected[i].rows.of[table];
    }
    assert_same(&all, &told, "group", nth);
    for (int i = 0; i < GROUP; i++)
        if (requests[i].status != STATUS_OK) {
            struct outcome outcome = write_safely(world, &requests[i]);
            assert_same(&outcome, &expected[i], "group, again", nth);
        }
}

static unsigned count_told(const struct request *requests, enum status status)
{
    unsigned count = 0;

    for (int i = 0; i < GROUP; i++)
        count += requests[i].status == status;
    return count;
}

static void run_groups(struct world *world, bool is_all)
{
    struct request requests[GROUP];
    struct outcome expected[GROUP];
    unsigned refused_all = 0, count = UINT_MAX;

    make_group(world, requests);
    for (int i = 0; i < GROUP; i++) { /* counters have their rows afterwards */
        write_safely(world, &requests[i]);
        request_fini(&requests[i]);
    }
    make_group(world, requests);
    for (int i = 0; i < GROUP; i++) {
        expected[i] = write_safely(world, &requests[i]);
        request_fini(&requests[i]);
    }
    for (unsigned nth = 1; nth <= count; nth++) {
        struct rows before;

        make_group(world, requests);
        before = count_rows(world);
        count = write_group(world, requests, nth, is_all ? UINT_MAX : nth);
        /* One that fails once is made up for when the group is run again in halves. */
        assert_true(is_all || count_told(requests, STATUS_OK) == GROUP);
        refused_all += count_told(requests, STATUS_NO_MEMORY) == GROUP;
        assert_told(world, requests, expected, &before, nth);
        for (int i = 0; i < GROUP; i++)
            request_fini(&requests[i]);
    }
    assert_true(!is_all || refused_all > 10);
}

static void a_group_short_of_memory_is_told_what_is_stored(void **state)
{
    run_groups(*state, true);
    assert_store_is_whole(*state);
}

static void one_failing_allocation_costs_no_group(void **state)
{
    run_groups(*state, false);
    assert_store_is_whole(*state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_is_stored_whole_or_not_at_all, setup, teardown),
        cmocka_unit_test_setup_teardown(one_failing_allocation_is_no_half_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_is_whole_or_there_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_group_short_of_memory_is_told_what_is_stored, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_failing_allocation_costs_no_group, setup, teardown),
    };
    return cmocka_run_group_tests_name("ingest/write_memory", tests, NULL, NULL);
}

/* Reports with the clock in hand: when they are made, what they count, and what is raised. */
#include "base/cleanup.h"
#include "ingest/raise.h"
#include "ingest/reporter.h"
#include "storage/records.h"
#include "storage/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define START INT64_C(1763640000000) /* 2025-11-20T12:00:00Z */

struct world {
    char dir[64];
    struct store *store;
    struct app *app;
    struct subscriptions *subscriptions;
    struct manual_clock manual;
    struct clock clock;
    uv_loop_t loop;
    struct reporter *reporter;
};

static void copy_schemas(const char *dir, const char *pattern)
{
    char command[512];
    snprintf(command, sizeof(command), "mkdir -p %s/schemas && cp %s/%s %s/schemas/", dir,
             SCHEMAS_SOURCE_DIR, pattern, dir);
    assert_int_equal(system(command), 0);
}

static struct world *world_new(const char *schemas)
{
    struct world *world = calloc(1, sizeof(*world));
    struct err err = {0};
    snprintf(world->dir, sizeof(world->dir), "/tmp/postern-reporter-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    copy_schemas(world->dir, schemas);
    world->manual = (struct manual_clock){START, 1000};
    world->clock = manual_clock_view(&world->manual);
    assert_int_equal(store_open(&(struct store_options){.dir = world->dir, .mode = STORE_SERVE},
                                &world->store, &err),
                     STATUS_OK);
    world->app = calloc(1, sizeof(*world->app));
    world->subscriptions = subscriptions_new();
    world->app->store = world->store;
    world->app->clock = &world->clock;
    char path[128];
    snprintf(path, sizeof(path), "%s/schemas", world->dir);
    assert_int_equal(catalog_load(path, "1", world->store, START, &world->app->catalog, &err),
                     STATUS_OK);
    assert_int_equal(app_init(world->app, world->subscriptions, &err), STATUS_OK);
    assert_int_equal(
        writer_start(&(struct writer_options){.store = world->store, .clock = &world->clock},
                     &world->app->writer),
        STATUS_OK);
    uv_loop_init(&world->loop);
    world->reporter = reporter_new(world->app, world->subscriptions, &world->loop);
    return world;
}

static void world_free(struct world *world)
{
    char command[128];
    writer_stop(world->app->writer);
    reporter_free(world->reporter);
    uv_loop_close(&world->loop);
    app_fini(world->app);
    free(world->app);
    subscriptions_free(world->subscriptions);
    store_close(world->store);
    snprintf(command, sizeof(command), "rm -rf %s", world->dir);
    assert_int_equal(system(command), 0);
    free(world);
}

/* A few ticks, each with what it began carried through. */
static void tick(struct world *world, unsigned times)
{
    while (times-- > 0) {
        assert_int_equal(app_refresh(world->app), STATUS_OK);
        reporter_tick(world->reporter);
        while (!reporter_is_idle(world->reporter))
            uv_run(&world->loop, UV_RUN_NOWAIT);
    }
}

static void schedule(struct world *world, enum report_every every)
{
    struct txn *txn = NULL;
    struct report *report = calloc(1, sizeof(*report));
    report->every = every;
    assert_int_equal(txn_write(world->store, world->manual.wall_ms, 1, &txn), STATUS_OK);
    report_put(txn, report);
    assert_int_equal(txn_commit(txn), STATUS_OK);
    free(report);
}

/* One accepted vendor, as the server would store it. */
static void accept_vendor(struct world *world, unsigned number)
{
    struct txn *txn = NULL;
    char text[64];
    snprintf(text, sizeof(text), "{\"vendorNumber\":\"V-%u\",\"name\":\"n\"}", number);
    struct arena *arena = arena_new(4096);
    struct change_event created = {.event = "vendor.created", .element = JSON_NONE};
    struct item item = {.body = bytes_of_str(text),
                        .key = bytes_of_str("V"),
                        .created_events = &created,
                        .created_event_count = 1};
    item.key = bytes_of((const uint8_t *)text + 17, 3);
    struct submission submission = {.arena = arena,
                                    .kind = SUBMIT_POST,
                                    .type =
                                        catalog_find(world->app->catalog, bytes_of_str("vendor")),
                                    .items = &item,
                                    .item_count = 1};
    assert_int_equal(txn_write(world->store, world->manual.wall_ms, number, &txn), STATUS_OK);
    apply_submission(world->app->applier, &submission, txn);
    assert_int_equal(txn_commit(txn), STATUS_OK);
    assert_int_equal(item.result, ITEM_STORED);
    arena_free(arena);
}

/* The names of all events, and the body of the newest report. */
static void read_events(struct world *world, struct buf *names, struct buf *body)
{
    struct txn *txn = NULL;
    struct event event;
    assert_int_equal(txn_read(world->store, &txn), STATUS_OK);
    for (uint64_t sequence = 1; event_at(txn, sequence, &event) == STATUS_OK; sequence++) {
        buf_printf(names, "%s%.*s", sequence > 1 ? " " : "", BYTES_ARG(event.name));
        if (bytes_equal_str(event.name, "report.generated")) {
            struct revision revision;
            assert_int_equal(record_current(txn, &event.record, &revision), STATUS_OK);
            buf_clear(body);
            buf_put_bytes(body, revision.body);
        }
    }
    txn_abort(txn);
}

static void a_report_is_made_when_its_time_comes_and_not_before(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf names = {0};
    CLEANUP(buf_fini) struct buf body = {0};
    struct world *world = world_new("*.schema.json");
    accept_vendor(world, 1); /* at 12:00, within the hour that ends at 13:00 */
    schedule(world, REPORT_HOURLY);
    manual_clock_advance(&world->manual, HOUR_MS - 1000);
    accept_vendor(world, 2);
    tick(world, 3);
    read_events(world, &names, &body);
    assert_string_equal(buf_str(&names), "vendor.created vendor.created");
    manual_clock_advance(&world->manual, 2000);
    accept_vendor(world, 3); /* after the period */
    tick(world, 3);
    buf_clear(&names);
    read_events(world, &names, &body);
    assert_string_equal(buf_str(&names),
                        "vendor.created vendor.created vendor.created report.generated");
    assert_non_null(strstr(buf_str(&body), "\"from\":\"2025-11-20T12:00:00.000Z\""));
    assert_non_null(strstr(buf_str(&body), "\"until\":\"2025-11-20T13:00:00.000Z\""));
    assert_non_null(strstr(buf_str(&body), "\"accepted\":2,"));
    assert_non_null(
        strstr(buf_str(&body), "\"vendor\":{\"created\":2,\"updated\":0,\"deleted\":0}"));
    assert_non_null(strstr(buf_str(&body), "\"operator\":{\"created\":2"));
    world_free(world);
}

static void periods_that_passed_while_it_was_down_are_caught_up(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf names = {0};
    CLEANUP(buf_fini) struct buf body = {0};
    struct world *world = world_new("*.schema.json");
    schedule(world, REPORT_HOURLY);
    manual_clock_advance(&world->manual, 3 * HOUR_MS);
    tick(world, 10);
    read_events(world, &names, &body);
    assert_string_equal(buf_str(&names), "report.generated report.generated report.generated");
    manual_clock_advance(&world->manual, 100 * HOUR_MS);
    tick(world, 30);
    buf_clear(&names);
    read_events(world, &names, &body);
    size_t count = 1;
    for (const char *at = buf_str(&names); *at; at++)
        count += *at == ' ';
    assert_in_range(count, 3 + 7, 3 + 9);
    world_free(world);
}

static void a_report_that_cannot_be_made_says_so_once(void **state)
{
    (void)state;
    CLEANUP(buf_fini) struct buf names = {0};
    CLEANUP(buf_fini) struct buf body = {0};
    struct world *world = world_new("vendor.schema.json"); /* no type "report" */
    schedule(world, REPORT_DAILY);
    manual_clock_advance(&world->manual, DAY_MS);
    tick(world, 5);
    read_events(world, &names, &body);
    assert_string_equal(buf_str(&names), "report.failed");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_is_made_when_its_time_comes_and_not_before),
        cmocka_unit_test(periods_that_passed_while_it_was_down_are_caught_up),
        cmocka_unit_test(a_report_that_cannot_be_made_says_so_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

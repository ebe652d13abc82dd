/* Housekeeping with the clock in hand: which records go, and that every task has its turn. */
#include "ingest/housekeeping.h"
#include "storage/records.h"
#include "tests/unit/storage/temporary_store.h"

#include <sched.h>

#define RECORDS 1500 /* more than one step erases */

static void fill(struct temporary_store *t)
{
    struct txn *txn = begin_write(t);
    struct type_row type;
    struct uuid record;

    assert_int_equal(type_register(txn, "workorder", "wo", &type), STATUS_OK);
    assert_int_equal(type.number, 1);
    for (unsigned i = 0; i < RECORDS; i++)
        (void)add_record(txn, &record, "", "{}");
    commit(txn);
}

static unsigned live_records(struct temporary_store *t)
{
    struct txn *txn = begin_read(t);
    struct record_page page = {.type = 1};
    struct revision revision;
    unsigned live = 0;

    while (record_page_next(txn, &page, &revision) == STATUS_OK)
        live++;
    record_page_end(&page);
    txn_abort(txn);
    return live;
}

struct housekept {
    struct manual_clock manual;
    struct clock clock;
    struct writer *writer;
    struct settings settings;
    struct housekeeping housekeeping;
};

static struct housekept *begin(struct temporary_store *t, const char *const *types)
{
    struct housekept *h = calloc(1, sizeof *h);

    assert_non_null(h);
    h->manual = (struct manual_clock){T0, 1000};
    h->clock = manual_clock_view(&h->manual);
    h->settings.retain_deliveries_ms = 30 * DAY_MS;
    for (; *types; types++) {
        struct retain_records *rule =
            &h->settings.retain_records[h->settings.retain_record_count++];

        snprintf(rule->type, sizeof rule->type, "%s", *types);
        rule->keep_ms = DAY_MS;
    }
    assert_int_equal(
        writer_start(&(struct writer_options){.store = t->store, .clock = &h->clock}, &h->writer),
        STATUS_OK);
    housekeeping_init(&h->housekeeping, h->writer, &h->settings);
    return h;
}

static void end(struct housekept *h)
{
    writer_stop(h->writer);
    free(h);
}

/* Until a round of all tasks is over. */
static unsigned round_of_steps(struct housekept *h)
{
    unsigned steps = 0;

    h->manual.monotonic_ms += MINUTE_MS;
    do {
        assert_true(++steps < 1000);
        housekeeping_tick(&h->housekeeping, h->manual.monotonic_ms);
        while (atomic_load(&h->housekeeping.is_queued))
            sched_yield();
    } while (h->housekeeping.next_task != 0 || atomic_load(&h->housekeeping.has_more));
    return steps;
}

static void records_of_a_type_go_in_steps_when_they_are_old(void **state)
{
    struct temporary_store *t = *state;
    const char *const types[] = {"unmet", "workorder", NULL};
    struct housekept *h;

    fill(t);
    h = begin(t, types);
    (void)round_of_steps(h);
    assert_int_equal(live_records(t), RECORDS);
    h->manual.wall_ms += 2 * DAY_MS;
    assert_true(round_of_steps(h) > 6 + 1);
    assert_int_equal(live_records(t), 0);
    assert_int_equal(round_of_steps(h), 6);
    end(h);
}

static void without_the_setting_records_stay(void **state)
{
    struct temporary_store *t = *state;
    const char *const types[] = {NULL};
    struct housekept *h;

    fill(t);
    h = begin(t, types);
    h->manual.wall_ms += 36500 * DAY_MS;
    assert_int_equal(round_of_steps(h), 4);
    assert_int_equal(live_records(t), RECORDS);
    end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(records_of_a_type_go_in_steps_when_they_are_old),
        ON_STORE(without_the_setting_records_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

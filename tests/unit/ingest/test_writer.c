/* writer: groups, answers, growth, faults: nobody is left without an answer. */
#include "tests/unit/storage/store_fixture.h"

#include "ingest/writer.h"
#include "storage/events.h"
#include "storage/outbox.h"

#include <pthread.h>
#include <time.h>

#define WORKS 500

/* What the works of a test share. */
struct board {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned done;
    uint64_t last_sequence;
    bool has_deliveries; /* of the last commit */
    bool is_closed;      /* the gate: `apply` of a gate work waits until it opens */
    bool is_waiting;
};

struct test_work {
    struct work work; /* first */
    struct board *board;
    unsigned number;
    unsigned applied;
    enum status status;
    bool is_done;
    enum status fault; /* sticks in apply */
    size_t row_bytes;
    bool has_delivery;
};

static void board_init(struct board *board)
{
    *board = (struct board){0};
    must(pthread_mutex_init(&board->mutex, NULL) == 0);
    must(pthread_cond_init(&board->changed, NULL) == 0);
}

static void wait_until(struct board *board, bool (*is_true)(const struct board *, unsigned),
                       unsigned argument)
{
    struct timespec deadline;

    must(clock_gettime(CLOCK_REALTIME, &deadline) == 0);
    deadline.tv_sec += 60;
    pthread_mutex_lock(&board->mutex);
    while (!is_true(board, argument))
        must(pthread_cond_timedwait(&board->changed, &board->mutex, &deadline) == 0);
    pthread_mutex_unlock(&board->mutex);
}

static bool has_done(const struct board *board, unsigned count)
{
    return board->done >= count;
}

static bool is_at_gate(const struct board *board, unsigned unused)
{
    (void)unused;
    return board->is_waiting;
}

static bool has_committed(const struct board *board, unsigned sequence)
{
    return board->last_sequence >= sequence;
}

static void apply_put(struct work *work, struct txn *txn)
{
    struct test_work *w = (struct test_work *)work;
    struct event event = {.name = bytes_of_str("x"), .revision = w->number};
    CLEANUP(freep) uint8_t *data = calloc(1, w->row_bytes + 1);

    must(data != NULL);
    w->applied++;
    if (w->fault != STATUS_OK)
        txn_fail(txn, w->fault);
    event.data = bytes_of(data, w->row_bytes);
    event_append(txn, &event);
    if (w->has_delivery)
        (void)outbox_enqueue(txn, 1, event.sequence, &(struct uuid){0}, 0);
}

static void apply_gate(struct work *work, struct txn *txn)
{
    struct board *board = ((struct test_work *)work)->board;

    (void)txn;
    pthread_mutex_lock(&board->mutex);
    board->is_waiting = true;
    pthread_cond_broadcast(&board->changed);
    while (board->is_closed)
        pthread_cond_wait(&board->changed, &board->mutex);
    pthread_mutex_unlock(&board->mutex);
}

static void done(struct work *work, enum status status)
{
    struct test_work *w = (struct test_work *)work;

    must(!w->is_done);
    w->is_done = true;
    w->status = status;
    pthread_mutex_lock(&w->board->mutex);
    w->board->done++;
    pthread_cond_broadcast(&w->board->changed);
    pthread_mutex_unlock(&w->board->mutex);
}

static void committed(void *context, uint64_t last_sequence, bool has_deliveries)
{
    struct board *board = context;

    pthread_mutex_lock(&board->mutex);
    board->last_sequence = last_sequence;
    board->has_deliveries = has_deliveries;
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->mutex);
}

static struct writer *start(struct fixture *f, struct board *board, uint32_t queue_max)
{
    struct writer_options options = {.store = f->store,
                                     .clock = &SYSTEM_CLOCK,
                                     .queue_max = queue_max,
                                     .committed = committed,
                                     .context = board};
    struct writer *writer;

    board_init(board);
    assert_int_equal(writer_start(&options, &writer), STATUS_OK);
    return writer;
}

/* With a wait that any group exceeds: as on a disk that is slow for the usual one. */
static struct writer *start_slow(struct fixture *f, struct board *board)
{
    struct writer_options options = {.store = f->store,
                                     .clock = &SYSTEM_CLOCK,
                                     .queue_max = 64,
                                     .group_max = 8,
                                     .wait_us_max = 1};
    struct writer *writer;

    board_init(board);
    assert_int_equal(writer_start(&options, &writer), STATUS_OK);
    return writer;
}

static struct test_work work_of(struct board *board, unsigned number)
{
    return (struct test_work){
        .work = {.apply = apply_put, .done = done}, .board = board, .number = number};
}

/* Holds the writer in a transaction, so that what follows gathers into one group. */
static void close_gate(struct writer *writer, struct board *board, struct test_work *gate)
{
    *gate = work_of(board, 0);
    gate->work.apply = apply_gate;
    board->is_closed = true;
    assert_int_equal(writer_submit(writer, &gate->work), STATUS_OK);
    wait_until(board, is_at_gate, 0);
}

static void open_gate(struct board *board)
{
    pthread_mutex_lock(&board->mutex);
    board->is_closed = false;
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->mutex);
}

static uint64_t events_stored(struct fixture *f)
{
    struct txn *txn = fixture_read(f);
    uint64_t count = event_last_sequence(txn);

    assert_int_equal(count, table_rows(txn, TABLE_EVENTS));
    txn_abort(txn);
    return count;
}

static void a_lone_work_is_committed_at_once(void **state)
{
    struct fixture *f = *state;
    struct board board;
    struct writer *writer = start(f, &board, 0);
    struct test_work w = work_of(&board, 1);

    assert_int_equal(writer_submit(writer, &w.work), STATUS_OK);
    wait_until(&board, has_done, 1);
    assert_int_equal(w.status, STATUS_OK);
    wait_until(&board, has_committed, 1);
    writer_stop(writer);
    fixture_reopen(f);
    assert_int_equal(events_stored(f), 1);
}

static void deliveries_of_a_commit_are_told(void **state)
{
    struct fixture *f = *state;
    struct board board;
    struct writer *writer = start(f, &board, 0);
    struct test_work without = work_of(&board, 1), with = work_of(&board, 2);

    with.has_delivery = true;
    assert_int_equal(writer_submit(writer, &without.work), STATUS_OK);
    wait_until(&board, has_committed, 1);
    assert_false(board.has_deliveries);
    assert_int_equal(writer_submit(writer, &with.work), STATUS_OK);
    wait_until(&board, has_committed, 2);
    assert_true(board.has_deliveries);
    writer_stop(writer);
}

static void what_gathers_during_a_commit_is_one_group_in_order(void **state)
{
    struct fixture *f = *state;
    static struct test_work works[WORKS];
    struct writer_stats stats;
    struct test_work gate;
    struct board board;
    struct writer *writer = start(f, &board, 0);
    struct txn *txn;

    close_gate(writer, &board, &gate);
    for (unsigned i = 0; i < WORKS; i++) {
        works[i] = work_of(&board, i + 1);
        assert_int_equal(writer_submit(writer, &works[i].work), STATUS_OK);
    }
    writer_stats(writer, &stats);
    assert_int_equal(stats.queued, WORKS);
    open_gate(&board);
    wait_until(&board, has_done, WORKS + 1);
    writer_stats(writer, &stats);
    assert_int_equal(stats.groups, 2);
    assert_int_equal(stats.works, WORKS + 1);
    assert_int_equal(stats.failed_groups, 0);
    assert_int_equal(stats.queued, 0);
    writer_stop(writer);
    fixture_reopen(f);
    txn = fixture_read(f);
    for (unsigned i = 1; i <= WORKS; i++) {
        struct event event;

        assert_int_equal(event_at(txn, i, &event), STATUS_OK);
        assert_int_equal(event.revision, i);
    }
    txn_abort(txn);
}

static void a_full_queue_leaves_the_work_with_its_owner(void **state)
{
    struct fixture *f = *state;
    struct test_work gate, works[3];
    struct board board;
    struct writer *writer = start(f, &board, 2);

    close_gate(writer, &board, &gate);
    for (unsigned i = 0; i < 3; i++) {
        works[i] = work_of(&board, i + 1);
        assert_int_equal(writer_submit(writer, &works[i].work), i < 2 ? STATUS_OK : STATUS_LIMIT);
    }
    open_gate(&board);
    wait_until(&board, has_done, 3);
    assert_false(works[2].is_done);
    writer_stop(writer);
    assert_int_equal(events_stored(f), 2);
}

/* How many of `count` works are let in while the writer is held up; all are stored then. */
static unsigned let_in(struct writer *writer, struct board *board, struct test_work *works,
                       unsigned count)
{
    struct test_work gate;
    unsigned in = 0, before = board->done;

    board->is_waiting = false;
    close_gate(writer, board, &gate);
    for (unsigned i = 0; i < count; i++) {
        works[i] = work_of(board, i + 1);
        if (writer_submit(writer, &works[i].work) == STATUS_OK)
            in++;
    }
    open_gate(board);
    wait_until(board, has_done, before + 1 + in);
    return in;
}

static void as_many_wait_as_are_stored_in_time_but_a_group_always(void **state)
{
    struct fixture *f = *state;
    static struct test_work works[64];
    struct board board;
    struct writer *writer = start_slow(f, &board);

    assert_int_equal(let_in(writer, &board, works, 64), 64); /* nothing is known yet */
    assert_int_equal(let_in(writer, &board, works, 64), 8);
    assert_int_equal(let_in(writer, &board, works, 64), 8);
    writer_stop(writer);
    assert_int_equal(events_stored(f), 80);
}

static void stopping_commits_what_is_queued(void **state)
{
    struct fixture *f = *state;
    static struct test_work works[WORKS];
    struct test_work gate;
    struct board board;
    struct writer *writer = start(f, &board, 0);

    close_gate(writer, &board, &gate);
    for (unsigned i = 0; i < WORKS; i++) {
        works[i] = work_of(&board, i + 1);
        assert_int_equal(writer_submit(writer, &works[i].work), STATUS_OK);
    }
    open_gate(&board);
    writer_stop(writer);
    assert_int_equal(board.done, WORKS + 1);
    for (unsigned i = 0; i < WORKS; i++)
        assert_int_equal(works[i].status, STATUS_OK);
    assert_int_equal(events_stored(f), WORKS);
}

static void a_full_map_is_grown_and_nobody_notices(void **state)
{
    struct fixture *f = *state;
    static struct test_work works[20];
    struct test_work gate;
    struct board board;
    struct writer *writer = start(f, &board, 0);

    close_gate(writer, &board, &gate);
    for (unsigned i = 0; i < 20; i++) {
        works[i] = work_of(&board, i + 1);
        works[i].row_bytes = 1 << 20;
        assert_int_equal(writer_submit(writer, &works[i].work), STATUS_OK);
    }
    open_gate(&board);
    writer_stop(writer);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(works[i].status, STATUS_OK);
    assert_true(works[0].applied > 1);
    assert_int_equal(events_stored(f), 20);
}

static void a_group_that_grows_large_ends_early(void **state)
{
    struct fixture *f = *state;
    static struct test_work works[10];
    struct writer_stats stats;
    struct test_work gate;
    struct board board;
    struct writer *writer = start(f, &board, 0);

    close_gate(writer, &board, &gate);
    for (unsigned i = 0; i < 10; i++) {
        works[i] = work_of(&board, i + 1);
        works[i].row_bytes = (size_t)24 << 20;
        assert_int_equal(writer_submit(writer, &works[i].work), STATUS_OK);
    }
    open_gate(&board);
    wait_until(&board, has_done, 11);
    writer_stats(writer, &stats);
    assert_int_equal(stats.groups, 1 + 4); /* three a transaction */
    assert_int_equal(stats.works, 11);
    writer_stop(writer);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(works[i].status, STATUS_OK);
    assert_int_equal(events_stored(f), 10);
}

/* A group of ten of which one meets a fault. */
static void run_with_fault(struct fixture *f, enum status fault, struct test_work works[10])
{
    struct test_work gate;
    struct board board;
    struct writer *writer = start(f, &board, 0);

    close_gate(writer, &board, &gate);
    for (unsigned i = 0; i < 10; i++) {
        works[i] = work_of(&board, i + 1);
        works[i].fault = i == 6 ? fault : STATUS_OK;
        assert_int_equal(writer_submit(writer, &works[i].work), STATUS_OK);
    }
    open_gate(&board);
    writer_stop(writer);
    assert_int_equal(board.done, 11);
}

static void a_fault_of_the_store_is_everybodys_answer(void **state)
{
    static const enum status faults[] = {STATUS_IO, STATUS_NO_SPACE};
    struct fixture *f = *state;
    struct test_work works[10];

    for (unsigned n = 0; n < 2; n++) {
        run_with_fault(f, faults[n], works);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(works[i].status, faults[n]);
        assert_int_equal(events_stored(f), 0);
    }
}

static void a_work_that_meets_damaged_data_fails_alone(void **state)
{
    static const enum status faults[] = {STATUS_CORRUPT, STATUS_NO_MEMORY};
    struct fixture *f = *state;
    struct test_work works[10];

    for (unsigned n = 0; n < 2; n++) {
        run_with_fault(f, faults[n], works);
        for (unsigned i = 0; i < 10; i++)
            assert_int_equal(works[i].status, i == 6 ? faults[n] : STATUS_OK);
        assert_int_equal(events_stored(f), 9 * (n + 1));
    }
}

static void a_fault_at_any_place_is_answered_and_stores_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t stored = 0;
    bool has_fired = true;

    for (unsigned nth = 1; has_fired; nth++) {
        struct board board;
        struct writer *writer = start(f, &board, 0);
        struct test_work w = work_of(&board, nth);

        fault_arm(nth, STATUS_IO);
        assert_int_equal(writer_submit(writer, &w.work), STATUS_OK);
        wait_until(&board, has_done, 1);
        has_fired = fault_disarm();
        writer_stop(writer);
        assert_int_equal(w.status, has_fired ? STATUS_IO : STATUS_OK);
        stored += !has_fired;
        assert_int_equal(events_stored(f), stored);
    }
    assert_int_equal(stored, 1);
}

/* ---- many submitters ---- */

struct submitter {
    pthread_t thread;
    struct writer *writer;
    struct board *board;
    unsigned accepted;
    struct test_work works[WORKS];
};

static void *submit_all(void *context)
{
    struct submitter *s = context;

    for (unsigned i = 0; i < WORKS; i++) {
        s->works[i] = work_of(s->board, i + 1);
        while (writer_submit(s->writer, &s->works[i].work) == STATUS_LIMIT)
            sched_yield();
    }
    return NULL;
}

static void every_work_of_every_thread_is_stored_once(void **state)
{
    struct fixture *f = *state;
    static struct submitter submitters[4];
    struct board board;
    struct writer *writer = start(f, &board, 64);

    for (unsigned i = 0; i < 4; i++) {
        submitters[i].writer = writer;
        submitters[i].board = &board;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_all, &submitters[i]),
                         0);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
    wait_until(&board, has_done, 4 * WORKS);
    writer_stop(writer);
    assert_int_equal(events_stored(f), 4 * WORKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_TEST(a_lone_work_is_committed_at_once),
        STORE_TEST(deliveries_of_a_commit_are_told),
        STORE_TEST(what_gathers_during_a_commit_is_one_group_in_order),
        STORE_TEST(a_full_queue_leaves_the_work_with_its_owner),
        STORE_TEST(as_many_wait_as_are_stored_in_time_but_a_group_always),
        STORE_TEST(stopping_commits_what_is_queued),
        cmocka_unit_test_setup_teardown(a_full_map_is_grown_and_nobody_notices,
                                        fixture_setup_small_map, fixture_teardown),
        STORE_TEST(a_group_that_grows_large_ends_early),
        STORE_TEST(a_fault_of_the_store_is_everybodys_answer),
        STORE_TEST(a_work_that_meets_damaged_data_fails_alone),
        STORE_TEST(a_fault_at_any_place_is_answered_and_stores_nothing),
        STORE_TEST(every_work_of_every_thread_is_stored_once),
    };

    return cmocka_run_group_tests_name("ingest/writer", tests, NULL, NULL);
}

/*
 * outbox, at random: whatever is done in whatever order, committed or not, every stored invariant
 * holds, no delivery of a lane overtakes another, and in the end each delivery is finished.
 */
#include "base/random.h"
#include "storage/check.h"
#include "temporary_store.h"

#define RECORDS 6
#define ENDPOINTS 3
#define DELIVERIES_MAX 400
#define STEPS 600

struct known {
    struct uuid id;
    struct uuid record;
    uint32_t endpoint;
};

struct world {
    struct temporary_store *t;
    struct prng prng;
    struct uuid records[RECORDS];
    uint32_t revisions[RECORDS];
    uint32_t endpoints[ENDPOINTS];
    struct known known[DELIVERIES_MAX];
    size_t known_count;
};

static void fail_on_problem(void *context, const char *text)
{
    (void)context;
    fail_msg("%s", text);
}

static void assert_whole(struct world *w)
{
    struct check_report report;

    assert_int_equal(store_check(w->t->store, fail_on_problem, NULL, NULL, &report), STATUS_OK);
}

static uint32_t pick(struct world *w, uint32_t bound)
{
    return (uint32_t)prng_below(&w->prng, bound);
}

static void begin_world(struct world *w, struct temporary_store *t, uint64_t seed)
{
    struct type_row type;
    struct txn *txn = begin_write(t);

    *w = (struct world){.t = t};
    prng_seed(&w->prng, seed);
    assert_int_equal(type_register(txn, "workorder", "wo", &type), STATUS_OK);
    for (unsigned i = 0; i < ENDPOINTS; i++)
        w->endpoints[i] = add_endpoint(txn, NULL);
    for (unsigned i = 0; i < RECORDS; i++) {
        (void)add_record(txn, &w->records[i], "", "{}");
        w->revisions[i] = 1;
    }
    commit(txn);
}

/* A new revision, delivered to each endpoint that is not deleted. */
static void do_revise(struct world *w, struct txn *txn)
{
    unsigned i = pick(w, RECORDS);
    uint64_t sequence = add_revision(txn, &w->records[i], ++w->revisions[i], "", "{}");
    struct endpoint endpoint;

    for (unsigned e = 0; e < ENDPOINTS && w->known_count < DELIVERIES_MAX; e++) {
        assert_int_equal(endpoint_at(txn, w->endpoints[e], &endpoint), STATUS_OK);
        if (endpoint.state == ENDPOINT_DELETED)
            continue;
        struct known *known = &w->known[w->known_count++];
        *known = (struct known){.record = w->records[i], .endpoint = w->endpoints[e]};
        known->id = outbox_enqueue(txn, known->endpoint, sequence, &known->record,
                                   txn_now_ms(txn) + pick(w, 100));
    }
}

/* The outcome of something that is due; of anything, now and then: it was cancelled meanwhile. */
static void do_finish(struct world *w, struct txn *txn)
{
    struct delivery after = {0}, d;
    uint32_t endpoint = w->endpoints[pick(w, ENDPOINTS)];
    enum attempt_outcome outcome = pick(w, 3);

    if (pick(w, 10) == 0 && w->known_count > 0) {
        struct attempt stray = attempt_of(&w->known[pick(w, (uint32_t)w->known_count)].id, 500);
        enum status s = outbox_finish(txn, &stray, outcome, txn_now_ms(txn) + 10);
        assert_true(s == STATUS_OK || s == STATUS_NOT_FOUND);
    } else if (outbox_due_next(txn, endpoint, txn_now_ms(txn), &after, &d) == STATUS_OK) {
        finish(txn, &d.id, outcome, txn_now_ms(txn) + pick(w, 200));
    }
}

static void do_retry(struct world *w, struct txn *txn)
{
    enum status s;

    if (w->known_count == 0)
        return;
    s = outbox_retry(txn, &w->known[pick(w, (uint32_t)w->known_count)].id);
    assert_true(s == STATUS_OK || s == STATUS_NOT_FOUND || s == STATUS_DENIED);
}

static void do_rare(struct world *w, struct txn *txn)
{
    struct endpoint endpoint;

    switch (pick(w, 12)) {
    case 0:
        (void)outbox_fail_endpoint(txn, w->endpoints[pick(w, ENDPOINTS)], "test", pick(w, 5));
        break;
    case 1:
        assert_int_equal(outbox_erase_record(txn, &w->records[pick(w, RECORDS)]), STATUS_OK);
        break;
    case 2:
        if (pick(w, 4) == 0 && endpoint_at(txn, w->endpoints[0], &endpoint) == STATUS_OK &&
            endpoint.state != ENDPOINT_DELETED)
            assert_int_equal(endpoint_delete(txn, &endpoint.id), STATUS_OK);
        break;
    default:
        (void)outbox_prune(txn, txn_now_ms(txn) - 500, 1 + pick(w, 20));
        break;
    }
}

static void do_something(struct world *w, struct txn *txn)
{
    uint32_t what = pick(w, 20);

    if (what < 5)
        do_revise(w, txn);
    else if (what < 16)
        do_finish(w, txn);
    else if (what < 18)
        do_retry(w, txn);
    else
        do_rare(w, txn);
}

/* Of each lane exactly one is due, and it is the one whose place is first. */
static void assert_lanes(struct world *w)
{
    struct txn *txn = begin_read(w->t);

    for (unsigned e = 0; e < ENDPOINTS; e++) {
        struct delivery after = {0}, due, other;
        while (outbox_due_next(txn, w->endpoints[e], INT64_MAX, &after, &due) == STATUS_OK)
            for (size_t i = 0; i < w->known_count; i++)
                if (w->known[i].endpoint == due.endpoint &&
                    uuid_compare(&w->known[i].record, &due.record) == 0 &&
                    delivery_find(txn, &w->known[i].id, &other) == STATUS_OK &&
                    other.state == DELIVERY_PENDING)
                    assert_true(uuid_compare(&due.place, &other.place) <= 0);
    }
    txn_abort(txn);
}

static void deliver_all(struct world *w)
{
    struct txn *txn = begin_write(w->t);

    for (unsigned e = 0; e < ENDPOINTS; e++) {
        struct delivery after = {0}, d;
        while (outbox_due_next(txn, w->endpoints[e], INT64_MAX, &after, &d) == STATUS_OK) {
            finish(txn, &d.id, ATTEMPT_DELIVERED, 0);
            after = (struct delivery){0};
        }
        assert_int_equal(outbox_pending_count(txn, w->endpoints[e]), 0);
    }
    assert_int_equal(counter_get(txn, COUNTER_DELIVERIES_PENDING), 0);
    commit(txn);
}

static void run_seed(struct temporary_store *t, uint64_t seed)
{
    struct world w, before;

    begin_world(&w, t, seed);
    for (unsigned step = 0; step < STEPS; step++) {
        bool is_kept = pick(&w, 8) != 0;
        struct txn *txn;

        t->now_ms += pick(&w, 40);
        before = w;
        txn = begin_write(t);
        for (uint32_t i = 0; i <= pick(&w, 6); i++)
            do_something(&w, txn);
        if (is_kept) {
            commit(txn);
        } else {
            struct prng prng = w.prng;
            txn_abort(txn);
            w = before;
            w.prng = prng;
        }
        if (step % 60 == 0) {
            assert_whole(&w);
            assert_lanes(&w);
        }
    }
    assert_whole(&w);
    deliver_all(&w);
    assert_whole(&w);
}

static void every_invariant_holds_after_anything_seed_1(void **state)
{
    run_seed(*state, 1);
}

static void every_invariant_holds_after_anything_seed_2(void **state)
{
    run_seed(*state, 2);
}

static void every_invariant_holds_after_anything_seed_3(void **state)
{
    run_seed(*state, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_STORE(every_invariant_holds_after_anything_seed_1),
        ON_STORE(every_invariant_holds_after_anything_seed_2),
        ON_STORE(every_invariant_holds_after_anything_seed_3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * writer: queue -> group -> one transaction -> one commit -> answers.
 *
 * The thread sleeps until there is work, takes all of it (up to group_max), and while it commits
 * the next group gathers in the queue: that is all there is to group commit.
 *
 * A group ends early when its transaction has grown large: a small request may rewrite a large
 * record. The rest is the next group.
 *
 * On a disk that is slow a queue of a fixed length would be seconds long. So only as many may wait
 * as the groups before let expect to be stored in time, and one group's worth in any case: a lone
 * long sync refuses nobody who can go with the next group. The rest is told at once, and when a
 * surplus ends, there is no backlog of it to wait for.
 *
 * What can fail, and what happens then:
 *   the map is full          it is grown and the group run again;
 *   no space, input/output   everyone in the group is told; nothing of it is stored;
 *   damaged data, no memory  one work may be the cause: the group is run again in halves, so that
 *                            the others do not suffer for it (a single one is told).
 */
#include "ingest/writer.h"

#include "base/must.h"
#include "base/random.h"
#include "base/thread.h"
#include "storage/events.h"
#include "storage/fault.h"
#include "storage/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define QUEUE_MAX_DEFAULT 8192
#define GROUP_MAX_DEFAULT 1024
#define GROUP_BYTES_MAX ((size_t)64 * 1024 * 1024) /* of memory that a transaction takes */
#define REST_MS 250 /* a pause after which the store need not be ready for the next commit */
#define WAIT_US_MAX_DEFAULT 500000
#define GROWTHS_MAX 40 /* doublings for one group: more than an address space has */

struct writer {
    struct writer_options options;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards everything below */
    pthread_cond_t wake;
    struct work *first, **last;
    uint32_t queued;
    uint32_t room; /* how many may be queued */
    bool is_stopping;
    bool has_rested; /* since the last group */
    struct writer_stats stats;
};

/* A group: a list, in order of submission. */
struct group {
    struct work *first;
    uint32_t count;
};

/* ---- one transaction ---- */

struct outcome {
    uint32_t applied; /* how many works the transaction has room for; the commit is theirs */
    uint64_t last_sequence;
    bool has_deliveries;
};

static uint64_t fresh_seed(void)
{
    uint64_t seed;

    random_bytes(&seed, sizeof(seed));
    return seed;
}

static enum status group_try(struct writer *writer, struct group group, struct outcome *ret)
{
    struct txn *txn;
    enum status s =
        txn_write(writer->options.store, clock_wall_ms(writer->options.clock), fresh_seed(), &txn);
    struct work *work = group.first;
    uint32_t i = 0;

    *ret = (struct outcome){.applied = group.count};
    if (s != STATUS_OK)
        return s;
    while (i < group.count && txn_status(txn) == STATUS_OK && txn_bytes(txn) < GROUP_BYTES_MAX) {
        work->apply(work, txn);
        work = work->next;
        i++;
    }
    if (txn_status(txn) == STATUS_OK)
        ret->applied = i;
    fault_point("writer_applied");
    ret->last_sequence = event_last_sequence(txn);
    ret->has_deliveries = outbox_has_enqueued(txn);
    return txn_commit(txn);
}

static enum status group_commit(struct writer *writer, struct group group, struct outcome *ret)
{
    enum status s = group_try(writer, group, ret);

    for (int growths = 0; s == STATUS_MAP_FULL && growths < GROWTHS_MAX; growths++) {
        s = store_grow(writer->options.store);
        if (s == STATUS_OK)
            s = group_try(writer, group, ret);
    }
    return s == STATUS_MAP_FULL ? STATUS_NO_MEMORY : s;
}

/* ---- groups ---- */

/* As many full groups as are stored in time, if each takes so long; at least one. */
static uint32_t room_after(const struct writer *writer, uint64_t us)
{
    uint64_t groups = writer->options.wait_us_max / (us ? us : 1);
    uint64_t room = writer->options.group_max * (groups ? groups : 1);

    return room < writer->options.queue_max ? (uint32_t)room : writer->options.queue_max;
}

static void note(struct writer *writer, struct group group, enum status s, int64_t started_us)
{
    uint64_t us = (uint64_t)(stopwatch_us() - started_us);

    pthread_mutex_lock(&writer->mutex);
    writer->stats.groups++;
    writer->stats.works += group.count;
    writer->stats.failed_groups += s != STATUS_OK;
    writer->stats.commit_us_total += us;
    if (s == STATUS_OK)
        writer->room = room_after(writer, us);
    pthread_mutex_unlock(&writer->mutex);
}

static void group_done(struct group group, enum status s)
{
    struct work *work = group.first, *next;

    for (uint32_t i = 0; i < group.count; i++, work = next) {
        next = work->next; /* the work is no longer ours once it is told */
        work->next = NULL;
        work->done(work, s);
    }
}

static void group_run_all(struct writer *writer, struct group group);

/* The first `count` stay; answers the rest. */
static struct group group_split(struct group *group, uint32_t count)
{
    struct group rest = {.first = group->first, .count = group->count - count};

    if (rest.count == 0)
        return rest;
    for (uint32_t i = 0; i < count; i++)
        rest.first = rest.first->next;
    group->count = count;
    return rest;
}

/* As much of the group as goes in one transaction; answers the rest. Recursion ends at single
 * works: at most log2(group_max) deep. */
static struct group group_run(struct writer *writer, struct group group)
{
    int64_t started_us = stopwatch_us();
    struct group rest = {0};
    struct outcome outcome;
    enum status s = group_commit(writer, group, &outcome);

    if ((s == STATUS_CORRUPT || s == STATUS_NO_MEMORY) && group.count > 1) {
        rest = group_split(&group, group.count / 2);
        group_run_all(writer, group);
        return rest;
    }
    if (s == STATUS_OK) {
        fault_point("writer_committed");
        rest = group_split(&group, outcome.applied);
    }
    note(writer, group, s, started_us);
    group_done(group, s);
    if (s == STATUS_OK && writer->options.committed != NULL)
        writer->options.committed(writer->options.context, outcome.last_sequence,
                                  outcome.has_deliveries);
    return rest;
}

static void group_run_all(struct writer *writer, struct group group)
{
    while (group.count > 0)
        group = group_run(writer, group);
}

/* ---- the thread ---- */

/* Under the mutex, which is let go meanwhile. May come back without work. */
static void wait_for_work(struct writer *writer)
{
    struct timespec until;

    if (writer->has_rested) {
        pthread_cond_wait(&writer->wake, &writer->mutex);
        return;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* the condition's clock; always there */
    until.tv_nsec += REST_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (pthread_cond_timedwait(&writer->wake, &writer->mutex, &until) != ETIMEDOUT)
        return;
    writer->has_rested = true;
    pthread_mutex_unlock(&writer->mutex);
    store_rest(writer->options.store);
    pthread_mutex_lock(&writer->mutex);
}

/* Waits for work; an empty group: stopped, and nothing is left. */
static struct group group_take(struct writer *writer)
{
    struct group group = {0};
    struct work *last = NULL;

    pthread_mutex_lock(&writer->mutex);
    while (writer->first == NULL && !writer->is_stopping)
        wait_for_work(writer);
    group.first = writer->first;
    while (writer->first != NULL && group.count < writer->options.group_max) {
        last = writer->first;
        writer->first = last->next;
        group.count++;
    }
    if (last != NULL)
        last->next = NULL;
    if (writer->first == NULL)
        writer->last = &writer->first;
    writer->queued -= group.count;
    writer->has_rested = false;
    pthread_mutex_unlock(&writer->mutex);
    return group;
}

static void *run(void *context)
{
    struct writer *writer = context;
    struct group group;

    (void)pthread_setname_np(pthread_self(), "writer"); /* for people who look */
    for (group = group_take(writer); group.count > 0; group = group_take(writer))
        group_run_all(writer, group);
    return NULL;
}

static void writer_free(struct writer *writer)
{
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}

enum status writer_start(const struct writer_options *options, struct writer **ret_writer)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    pthread_condattr_t attr;

    *ret_writer = NULL;
    if (writer == NULL)
        return STATUS_NO_MEMORY;
    writer->options = *options;
    if (writer->options.queue_max == 0)
        writer->options.queue_max = QUEUE_MAX_DEFAULT;
    if (writer->options.group_max == 0)
        writer->options.group_max = GROUP_MAX_DEFAULT;
    if (writer->options.wait_us_max == 0)
        writer->options.wait_us_max = WAIT_US_MAX_DEFAULT;
    writer->room = writer->options.queue_max;
    writer->last = &writer->first;
    must(pthread_mutex_init(&writer->mutex, NULL) == 0);
    must(pthread_condattr_init(&attr) == 0);
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    must(pthread_cond_init(&writer->wake, &attr) == 0);
    must(pthread_condattr_destroy(&attr) == 0);
    if (thread_start(&writer->thread, run, writer) != 0) {
        writer_free(writer);
        return STATUS_NO_MEMORY;
    }
    *ret_writer = writer;
    return STATUS_OK;
}

enum status writer_submit(struct writer *writer, struct work *work)
{
    enum status s = STATUS_LIMIT;

    pthread_mutex_lock(&writer->mutex);
    if (!writer->is_stopping && writer->queued < writer->room) {
        work->next = NULL;
        *writer->last = work;
        writer->last = &work->next;
        writer->queued++;
        pthread_cond_signal(&writer->wake);
        s = STATUS_OK;
    }
    pthread_mutex_unlock(&writer->mutex);
    return s;
}

void writer_stop(struct writer *writer)
{
    if (writer == NULL)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->is_stopping = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
    must(pthread_join(writer->thread, NULL) == 0);
    writer_free(writer);
}

void writer_stats(const struct writer *writer, struct writer_stats *ret_stats)
{
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&writer->mutex;

    pthread_mutex_lock(mutex);
    *ret_stats = writer->stats;
    ret_stats->queued = writer->queued;
    pthread_mutex_unlock(mutex);
}

/*
 * retention: record ids grow with time, and a current revision is never older than its record. So
 * the walk goes through a type's records in the order of their ids, and ends at the first that is
 * too young itself: every later one is too.
 *
 * Behind it lie the erased ones, which are never looked at again, and those that were changed
 * since, whose time comes later: of these the walk knows the first and the earliest time. When that
 * has come it goes back to the first, though not more often than a sixteenth of the time that
 * records are kept, at most an hour, so that records that change all the time do not make it walk
 * all the time.
 *
 * A long history is erased over several steps, newest revision first: the record is gone at once,
 * and what a crash leaves is found by its revision 1, which is not erased.
 */
#include "storage/retention.h"

#include "base/clock.h"
#include "base/must.h"
#include "storage/fault.h"
#include "storage/outbox.h"
#include "storage/records.h"
#include "storage/table.h"

#define TURN_MS_MAX HOUR_MS
#define TURN_PART 16

static int64_t turn_ms(const struct retention *walk)
{
    int64_t part = walk->keep_ms / TURN_PART;

    return part < TURN_MS_MAX ? part : TURN_MS_MAX;
}

static enum status erase_events(struct txn *txn, const struct revision *revision,
                                uint32_t *inout_work)
{
    for (unsigned i = 0; i < revision->event_count; i++) {
        uint32_t rows = outbox_erase_event(txn, revision->first_event + i);

        *inout_work -= rows < *inout_work ? rows : *inout_work;
    }
    return txn_status(txn);
}

/* The record's revisions from `walk->number` down. STATUS_OK: all are erased; STATUS_LIMIT: no more
 * work for now. */
static enum status erase(struct txn *txn, struct retention *walk, const struct uuid *record,
                         uint32_t *inout_work)
{
    while (walk->number > 0) {
        struct revision revision;
        enum status s;

        if (*inout_work < RETENTION_ERASE_WEIGHT)
            return STATUS_LIMIT;
        *inout_work -= RETENTION_ERASE_WEIGHT;
        s = record_revision(txn, record, walk->number, &revision);
        if (s == STATUS_OK)
            s = erase_events(txn, &revision, inout_work);
        if (s == STATUS_OK)
            s = record_erase_revision(txn, record, walk->number);
        fault_point("retention_erased");
        if (s != STATUS_OK)
            return txn_fault(txn, s == STATUS_NOT_FOUND ? STATUS_CORRUPT : s); /* a gap */
        if (--walk->number == 0)
            walk->erased++;
    }
    return STATUS_OK;
}

/* What is there of it was erased in part, when a crash came. */
static enum status number_left(struct txn *txn, const struct revision *current,
                               uint32_t *ret_number)
{
    struct revision first;
    enum status s;

    *ret_number = 0;
    if (current->number == 1)
        return STATUS_OK;
    s = record_revision(txn, &current->record, 1, &first);
    if (s == STATUS_OK && !first.is_erased)
        *ret_number = current->number;
    return s == STATUS_NOT_FOUND ? txn_fault(txn, STATUS_CORRUPT) : s;
}

static void leave(struct retention *walk, const struct revision *current)
{
    if (!walk->has_left) {
        walk->has_left = true;
        walk->before_left = walk->after;
        walk->left_since_ms = current->received_ms;
    }
    if (current->received_ms < walk->left_since_ms)
        walk->left_since_ms = current->received_ms;
}

static enum status visit(struct txn *txn, struct retention *walk, const struct uuid *record,
                         int64_t before_ms, uint32_t *inout_work)
{
    struct revision current;
    enum status s;

    if (walk->number > 0) /* begun in an earlier step */
        return erase(txn, walk, record, inout_work);
    s = record_current(txn, record, &current);
    if (s == STATUS_NOT_FOUND)
        s = txn_fault(txn, STATUS_CORRUPT); /* the index names a record that is not there */
    if (s != STATUS_OK)
        return s;
    if (current.is_erased) {
        s = number_left(txn, &current, &walk->number);
    } else if (current.received_ms < before_ms) {
        walk->number = current.number;
    } else {
        leave(walk, &current);
    }
    return s == STATUS_OK ? erase(txn, walk, record, inout_work) : s;
}

/* The next record, if it is old enough; else STATUS_END. */
static enum status find_next(struct txn *txn, const struct retention *walk, int64_t before_ms,
                             struct uuid *ret_record)
{
    enum status s = record_next(txn, walk->type, &walk->after, ret_record);

    return s == STATUS_OK && uuid_time_ms(ret_record) >= before_ms ? STATUS_END : s;
}

/* Every record that is old enough was passed. True: the walk goes back. */
static bool turn(struct retention *walk, int64_t now_ms)
{
    int64_t since_ms = now_ms - walk->turned_at_ms;

    if (!walk->has_left || walk->left_since_ms >= now_ms - walk->keep_ms)
        return false;
    if (since_ms >= 0 && since_ms < turn_ms(walk))
        return false;
    walk->after = walk->before_left;
    walk->has_left = false;
    walk->turned_at_ms = now_ms;
    return true;
}

bool retention_step(struct txn *txn, struct retention *walk, uint32_t work_max)
{
    int64_t before_ms = txn_now_ms(txn) - walk->keep_ms;
    enum status s = STATUS_OK;

    must(work_max > RETENTION_ERASE_WEIGHT);
    while (s == STATUS_OK && work_max > 0) {
        struct uuid record;

        work_max--;
        s = find_next(txn, walk, before_ms, &record);
        if (s == STATUS_END)
            return turn(walk, txn_now_ms(txn));
        if (s == STATUS_OK)
            s = visit(txn, walk, &record, before_ms, &work_max);
        if (s == STATUS_OK)
            walk->after = record;
    }
    return (s == STATUS_OK || s == STATUS_LIMIT) && txn_status(txn) == STATUS_OK;
}

/*
 * Accepted revisions are counted through the events they raised: the first event of a revision
 * stands for it. A revision of a type that raises no event at all is not seen; no type that ships
 * is such. Refusals come from the rejections log, deliveries from their rows.
 *
 * Tallies are small sorted-by-arrival lists: as many entries as there are types, keys and problem
 * kinds, bounded by TALLY_MAX; what is beyond is counted under "other".
 */
#include "ingest/report_count.h"

#include "base/cleanup.h"
#include "schemas/json_write.h"
#include "storage/api_keys.h"
#include "storage/events.h"
#include "storage/journal.h"
#include "storage/outbox.h"
#include "storage/records.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT_STEP 2000
#define TALLY_MAX 1000
#define NAME_MAX_BYTES 96

struct tally_entry {
    char name[NAME_MAX_BYTES];
    uint64_t created, updated, deleted; /* or all in `created` where it is one number */
};

struct tally {
    struct tally_entry *entries;
    size_t count;
};

struct counting {
    struct store *store;
    const struct report *report;
    int64_t from_ms, until_ms;
    struct tally types, keys, reasons;
    uint64_t accepted, refused;
    uint64_t delivered, failed, pending; /* of the deliveries created in the period */
    uint64_t backlog;                    /* pending now */
};

static struct tally_entry *tally_find(struct tally *tally, const char *name)
{
    for (size_t i = 0; i < tally->count; i++) {
        if (strcmp(tally->entries[i].name, name) == 0)
            return &tally->entries[i];
    }
    if (tally->count == TALLY_MAX)
        return tally_find(tally, "other"); /* the last entry, see below */
    if (tally->count == TALLY_MAX - 1)
        name = "other";
    snprintf(tally->entries[tally->count].name, NAME_MAX_BYTES, "%s", name);
    return &tally->entries[tally->count++];
}

static void count_action(struct tally *tally, const char *name, enum record_action action)
{
    struct tally_entry *entry = tally_find(tally, name);
    entry->created += action == ACTION_CREATED;
    entry->updated += action == ACTION_UPDATED;
    entry->deleted += action == ACTION_DELETED;
}

static bool is_wanted(const struct report *report, const char *type)
{
    for (size_t i = 0; i < report->type_count; i++) {
        if (strcmp(report->types[i], type) == 0)
            return true;
    }
    return report->type_count == 0;
}

static void key_name(struct txn *txn, uint32_t number, char out[NAME_MAX_BYTES])
{
    struct api_key *key = malloc(sizeof(*key));
    if (number == 0)
        snprintf(out, NAME_MAX_BYTES, "operator");
    else if (key && api_key_at(txn, number, key) == STATUS_OK)
        typeid_format(API_KEY_ID_PREFIX, &key->id, out);
    else
        snprintf(out, NAME_MAX_BYTES, "deleted");
    free(key);
}

static enum status count_event(struct counting *counting, struct txn *txn,
                               const struct event *event)
{
    struct type_row type;
    struct revision revision;
    if (event->type == 0)
        return STATUS_OK;
    enum status s = record_revision(txn, &event->record, event->revision, &revision);
    if (s == STATUS_OK && revision.first_event == event->sequence)
        s = type_at(txn, event->type, &type);
    else
        return s;
    if (s != STATUS_OK || !is_wanted(counting->report, type.name))
        return s;
    char key[NAME_MAX_BYTES];
    key_name(txn, revision.api_key, key);
    counting->accepted++;
    count_action(&counting->types, type.name, revision.action);
    count_action(&counting->keys, key, revision.action);
    return STATUS_OK;
}

/* Up to COUNT_STEP events from *inout_sequence on; STATUS_END: the period is through. */
static enum status count_events(struct counting *counting, struct txn *txn,
                                uint64_t *inout_sequence)
{
    for (size_t i = 0; i < COUNT_STEP; i++) {
        struct event event;
        enum status s = event_at(txn, *inout_sequence, &event);
        if (s == STATUS_NOT_FOUND || (s == STATUS_OK && event.time_ms >= counting->until_ms))
            return STATUS_END;
        if (s == STATUS_OK)
            s = count_event(counting, txn, &event);
        if (s != STATUS_OK && s != STATUS_NOT_FOUND)
            return s;
        ++*inout_sequence;
    }
    return STATUS_OK;
}

static enum status count_rejections(struct counting *counting, struct txn *txn,
                                    struct uuid *inout_before)
{
    for (size_t i = 0; i < COUNT_STEP; i++) {
        struct rejection rejection;
        enum status s = rejection_page_next(txn, counting->from_ms, inout_before, &rejection);
        if (s != STATUS_OK)
            return s;
        if (rejection.at_ms >= counting->until_ms)
            continue;
        char reason[NAME_MAX_BYTES];
        const uint8_t *colon =
            rejection.reason.len ? memchr(rejection.reason.data, ':', rejection.reason.len) : NULL;
        size_t len = colon ? (size_t)(colon - rejection.reason.data) : rejection.reason.len;
        snprintf(reason, sizeof(reason), "%.*s", (int)(len < 90 ? len : 90),
                 len ? (const char *)rejection.reason.data : "");
        counting->refused++;
        tally_find(&counting->reasons, reason)->created++;
    }
    return STATUS_OK;
}

static enum status count_deliveries(struct counting *counting, struct txn *txn,
                                    struct uuid *inout_before)
{
    for (size_t i = 0; i < COUNT_STEP; i++) {
        struct delivery delivery;
        enum status s =
            delivery_page_next(txn, counting->from_ms, counting->until_ms, inout_before, &delivery);
        if (s != STATUS_OK)
            return s;
        counting->delivered += delivery.state == DELIVERY_DELIVERED;
        counting->failed += delivery.state == DELIVERY_FAILED;
        counting->pending += delivery.state == DELIVERY_PENDING;
    }
    return STATUS_OK;
}

/* One pass, in as many short transactions as it takes. */
static enum status count_all(struct counting *counting)
{
    uint64_t sequence = 0;
    struct uuid rejection = {0}, delivery = {0};
    unsigned part = 0;
    while (part < 3) {
        struct txn *txn = NULL;
        enum status s = txn_read(counting->store, &txn);
        if (s != STATUS_OK)
            return s;
        if (sequence == 0)
            sequence = event_sequence_since(txn, counting->from_ms);
        counting->backlog = counter_get(txn, COUNTER_DELIVERIES_PENDING);
        s = part == 0   ? count_events(counting, txn, &sequence)
            : part == 1 ? count_rejections(counting, txn, &rejection)
                        : count_deliveries(counting, txn, &delivery);
        if (txn_status(txn) != STATUS_OK)
            s = txn_status(txn); /* of its numbers */
        txn_abort(txn);
        if (s == STATUS_END)
            part++;
        else if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

static void put_actions(struct buf *out, const char *member, const struct tally *tally)
{
    buf_printf(out, ",\"%s\":{", member);
    for (size_t i = 0; i < tally->count; i++) {
        const struct tally_entry *entry = &tally->entries[i];
        buf_put_str(out, i ? "," : "");
        json_put_str(out, entry->name);
        buf_printf(out, ":{\"created\":%llu,\"updated\":%llu,\"deleted\":%llu}",
                   (unsigned long long)entry->created, (unsigned long long)entry->updated,
                   (unsigned long long)entry->deleted);
    }
    buf_put_char(out, '}');
}

static void put_reasons(struct buf *out, const struct tally *tally)
{
    buf_put_str(out, ",\"byReason\":{");
    for (size_t i = 0; i < tally->count; i++) {
        buf_put_str(out, i ? "," : "");
        json_put_str(out, tally->entries[i].name);
        buf_printf(out, ":%llu", (unsigned long long)tally->entries[i].created);
    }
    buf_put_char(out, '}');
}

static void put_report(const struct counting *counting, struct buf *out)
{
    char id[TYPEID_TEXT_BYTES], from[TIME_TEXT_BYTES], until[TIME_TEXT_BYTES];
    typeid_format(REPORT_ID_PREFIX, &counting->report->id, id);
    time_format(counting->from_ms, from);
    time_format(counting->until_ms, until);
    buf_printf(out,
               "{\"reportNumber\":\"%s-%s\",\"schedule\":\"%s\",\"every\":\"%s\","
               "\"from\":\"%s\",\"until\":\"%s\",\"accepted\":%llu,\"refused\":%llu",
               id, until, id, report_every_text(counting->report->every), from, until,
               (unsigned long long)counting->accepted, (unsigned long long)counting->refused);
    buf_printf(out, ",\"delivered\":%llu,\"failed\":%llu,\"pending\":%llu,\"backlog\":%llu",
               (unsigned long long)counting->delivered, (unsigned long long)counting->failed,
               (unsigned long long)counting->pending, (unsigned long long)counting->backlog);
    put_actions(out, "byType", &counting->types);
    put_actions(out, "byKey", &counting->keys);
    put_reasons(out, &counting->reasons);
    buf_put_char(out, '}');
}

enum status report_count(struct store *store, const struct report *report, int64_t from_ms,
                         int64_t until_ms, struct buf *out)
{
    struct tally_entry *entries = calloc((size_t)3 * TALLY_MAX, sizeof(*entries));
    if (!entries)
        return STATUS_NO_MEMORY;
    struct counting counting = {.store = store,
                                .report = report,
                                .from_ms = from_ms,
                                .until_ms = until_ms,
                                .types = {.entries = entries},
                                .keys = {.entries = entries + TALLY_MAX},
                                .reasons = {.entries = entries + 2 * TALLY_MAX}};
    enum status s = count_all(&counting);
    if (s == STATUS_OK) {
        put_report(&counting, out);
        s = out->status;
    }
    free(entries);
    return s;
}

/*
 * check_records: revisions and their two indexes, and events. What holds between a revision and its
 * events is looked at from both sides.
 */
#include "base/digest.h"
#include "storage/checker.h"
#include "storage/events.h"

#include <stdio.h>

#define PLAIN_KEY_MAX 400 /* as records.c: a longer record key ends in its hash */

/* "wo_01jd…", or the bare id where the type is not known. */
static const char *record_text(struct checker *checker, uint16_t type, const struct uuid *record,
                               char out[TYPEID_TEXT_BYTES])
{
    struct type_row row = {0};

    if (!check_read(checker, type_at(checker->txn, type, &row)))
        row.id_prefix[0] = '\0';
    typeid_format(row.id_prefix, record, out);
    return out;
}

static struct uuid uuid_at(const uint8_t *bytes)
{
    struct uuid uuid;

    memcpy(uuid.bytes, bytes, UUID_BYTES);
    return uuid;
}

/* ---- revisions ---- */

static void check_indexes(struct checker *checker, const struct revision *current)
{
    char text[TYPEID_TEXT_BYTES];
    uint8_t key[BLOCK_KEY_BYTES];
    struct uuid holder;
    enum status s;

    record_text(checker, current->type, &current->record, text);
    if (!check_has(checker, TABLE_RECORDS_BY_TYPE,
                   block_key(current->type, record_block(&current->record), key)))
        check_say(checker, "%s: has no row in records_by_type", text);
    if (current->action == ACTION_DELETED || current->key.len == 0)
        return;
    s = record_find_by_key(checker->txn, current->type, current->key, &holder);
    if (s == STATUS_NOT_FOUND)
        check_say(checker, "%s: has no row in record_keys", text);
    else if (check_read(checker, s) && uuid_compare(&holder, &current->record) != 0)
        check_say(checker, "%s: its record key leads to another record", text);
}

/* The record whose revisions end with the row before. */
static void check_current(struct checker *checker)
{
    struct revision current;

    if (uuid_is_zero(&checker->at.id))
        return;
    checker->report->records++;
    if (!check_read(checker, record_current(checker->txn, &checker->at.id, &current))) {
        checker->unreadable_records++;
        return;
    }
    checker->types[current.type].records++;
    check_indexes(checker, &current);
}

void check_revisions_end(struct checker *checker)
{
    check_current(checker);
    for (unsigned type = 0; type <= UINT16_MAX; type++) {
        const struct type_count *count = &checker->types[type];

        if (count->counter < count->records ||
            count->counter > count->records + checker->unreadable_records)
            check_say(checker, "record type %u: has %ju records, its counter says %ju", type,
                      (uintmax_t)count->records, (uintmax_t)count->counter);
    }
}

static void check_its_events(struct checker *checker, const struct revision *revision,
                             const char *text)
{
    for (unsigned i = 0; i < revision->event_count && checker->fault == STATUS_OK; i++) {
        uint64_t sequence = revision->first_event + i;
        struct event event;
        enum status s = event_at(checker->txn, sequence, &event);

        if (s == STATUS_NOT_FOUND)
            check_say(checker, "%s: revision %u: event %ju does not exist", text, revision->number,
                      (uintmax_t)sequence);
        else if (check_read(checker, s) && (uuid_compare(&event.record, &revision->record) != 0 ||
                                            event.revision != revision->number))
            check_say(checker, "%s: revision %u: event %ju is of another revision", text,
                      revision->number, (uintmax_t)sequence);
    }
}

static void check_content(struct checker *checker, const struct revision *revision)
{
    char text[TYPEID_TEXT_BYTES];
    bool is_first = revision->number == 1;
    struct type_row type;

    record_text(checker, revision->type, &revision->record, text);
    if (type_at(checker->txn, revision->type, &type) == STATUS_NOT_FOUND)
        check_say(checker, "%s: revision %u: record type %u does not exist", text, revision->number,
                  revision->type);
    if (!is_first && checker->at.type != 0 && revision->type != checker->at.type)
        check_say(checker, "%s: revision %u: its record type changed", text, revision->number);
    if (is_first != (revision->action == ACTION_CREATED))
        check_say(checker, "%s: revision %u: is \"%s\"", text, revision->number,
                  record_action_text(revision->action));
    if (!is_first && checker->at.is_deleted)
        check_say(checker, "%s: revision %u: follows a deletion", text, revision->number);
    if (revision->is_erased && (revision->body.len > 0 || revision->key.len > 0))
        check_say(checker, "%s: revision %u: was erased and has content", text, revision->number);
    check_its_events(checker, revision, text);
}

void check_revision(struct checker *checker, struct bytes key, struct bytes row)
{
    struct uuid record = uuid_at(key.data);
    uint32_t number = get_be32(key.data + UUID_BYTES);
    bool is_same = uuid_compare(&record, &checker->at.id) == 0;
    uint32_t expected = is_same ? checker->at.number + 1 : 1;
    char text[TYPEID_TEXT_BYTES];
    struct revision revision;

    checker->report->revisions++;
    check_id(checker, key.data);
    if (!is_same)
        check_current(checker);
    typeid_format("", &record, text);
    if (number != expected)
        check_say(checker, "record %s: revision %u is missing", text, expected);
    checker->at.id = record;
    checker->at.number = number;
    if (!is_same) {
        checker->at.type = 0;
        checker->at.is_deleted = false;
    }
    if (row.len == 0)
        return;
    if (!check_read(checker, record_revision(checker->txn, &record, number, &revision))) {
        check_say(checker, "record %s: revision %u: does not decode", text, number);
        return;
    }
    check_content(checker, &revision);
    checker->at.type = revision.type;
    checker->at.is_deleted = revision.action == ACTION_DELETED;
}

/* ---- indexes ---- */

static bool is_key_of(struct bytes stored, const struct revision *revision)
{
    uint8_t hash[SHA256_BYTES];
    struct bytes key = revision->key;

    if (get_be16(stored.data) != revision->type)
        return false;
    stored = bytes_of(stored.data + 2, stored.len - 2);
    if (key.len <= PLAIN_KEY_MAX)
        return bytes_equal(stored, key);
    sha256(key, hash);
    return stored.len == PLAIN_KEY_MAX + sizeof hash &&
           memcmp(stored.data, key.data, PLAIN_KEY_MAX) == 0 &&
           memcmp(stored.data + PLAIN_KEY_MAX, hash, sizeof hash) == 0;
}

void check_record_key(struct checker *checker, struct bytes key, struct bytes row)
{
    char text[TYPEID_TEXT_BYTES];
    struct revision revision;
    struct uuid record;
    enum status s;

    if (row.len == 0)
        return;
    if (key.len < 3 || row.len != 1 + UUID_BYTES || row.data[0] != 1) {
        check_say(checker, "a row does not decode");
        return;
    }
    record = uuid_at(row.data + 1);
    record_text(checker, get_be16(key.data), &record, text);
    s = record_current(checker->txn, &record, &revision);
    if (s == STATUS_NOT_FOUND)
        check_say(checker, "%.*s: leads to %s, which does not exist", (int)key.len - 2,
                  (const char *)key.data + 2, text);
    else if (!check_read(checker, s))
        return;
    else if (revision.action == ACTION_DELETED)
        check_say(checker, "%.*s: leads to %s, which is deleted", (int)key.len - 2,
                  (const char *)key.data + 2, text);
    else if (!is_key_of(key, &revision))
        check_say(checker, "%.*s: leads to %s, which has another record key", (int)key.len - 2,
                  (const char *)key.data + 2, text);
}

void check_record_by_type(struct checker *checker, struct bytes key, struct bytes row)
{
    uint16_t type = get_be16(key.data);
    uint64_t block = get_be64(key.data + 2);
    struct uuid record = uuid_first_at(block_first_ms(block));
    enum status s;

    if (row.len == 0)
        return;
    if (block_decode(row) != STATUS_OK)
        check_say(checker, "type %u, block %ju: does not decode", type, (uintmax_t)block);
    s = record_next(checker->txn, type, &record, &record);
    if (s == STATUS_END || (check_read(checker, s) && record_block(&record) != block))
        check_say(checker, "type %u, block %ju: there is no such record", type, (uintmax_t)block);
}

/* ---- events ---- */

static void check_its_revision(struct checker *checker, const struct event *event)
{
    char text[TYPEID_TEXT_BYTES];
    struct revision revision;
    enum status s = record_revision(checker->txn, &event->record, event->revision, &revision);

    record_text(checker, event->type, &event->record, text);
    if (s == STATUS_NOT_FOUND)
        check_say(checker, "event %ju: revision %u of %s does not exist",
                  (uintmax_t)event->sequence, event->revision, text);
    else if (check_read(checker, s) &&
             (event->sequence < revision.first_event ||
              event->sequence - revision.first_event >= revision.event_count))
        check_say(checker, "event %ju: revision %u of %s does not list it",
                  (uintmax_t)event->sequence, event->revision, text);
}

static void check_one_event(struct checker *checker, const struct event *event)
{
    uintmax_t sequence = event->sequence;

    checker->report->events++;
    check_id(checker, event->id.bytes);
    if (uuid_compare(&event->id, &checker->at.id) <= 0)
        check_say(checker, "event %ju: its id is not after the one before", sequence);
    checker->at.id = event->id;
    if (event->type != 0)
        check_its_revision(checker, event);
    else if (!uuid_is_zero(&event->record) || event->revision != 0)
        check_say(checker, "event %ju: names a record and no record type", sequence);
}

/* How many events a damaged row has is not known: the one after it tells nothing of a gap. */
void check_event(struct checker *checker, struct bytes key, struct bytes row)
{
    uint64_t sequence = get_be64(key.data), last;
    struct event event;

    if (!checker->at.is_damaged && sequence != checker->at.sequence + 1)
        check_say(checker, "event %ju: is missing", (uintmax_t)checker->at.sequence + 1);
    checker->at.sequence = sequence;
    checker->at.is_damaged = true;
    if (row.len == 0)
        return;
    if (!check_read(checker, event_last_at(checker->txn, sequence, &last))) {
        check_say(checker, "event %ju: does not decode", (uintmax_t)sequence);
        return;
    }
    for (; sequence <= last; sequence++) {
        if (!check_read(checker, event_at(checker->txn, sequence, &event))) {
            check_say(checker, "event %ju: does not decode", (uintmax_t)sequence);
            return;
        }
        check_one_event(checker, &event);
    }
    checker->at.sequence = last;
    checker->at.is_damaged = false;
}

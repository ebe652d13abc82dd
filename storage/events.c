/*
 * events: rows under their sequence number, appended. The last row gives the last number; a
 * transaction reads it once.
 *
 * Ids and their times grow with the sequence, so that looking for an id or a time is a bisection of
 * some twenty to thirty look-ups: rare enough to spare every append an index row.
 */
#include "storage/events.h"

#include "base/must.h"
#include "storage/txn.h"

#define EVENTS_VERSION 1
#define EVENT_HEAD_BYTES 56 /* up to the length of the name */
#define EVENT_IS_UPDATE 0x01
#define EVENT_FLAGS EVENT_IS_UPDATE
#define ERASED_DATA "{}" /* JSON, since it is rendered as the body's `data` */

static struct bytes sequence_key(uint64_t sequence, uint8_t out[8])
{
    put_be64(out, sequence);
    return bytes_of(out, 8);
}

static enum status event_decode(struct bytes key, struct bytes row, struct event *ret)
{
    struct cursor c;
    uint8_t version, flags;
    struct bytes id, record;
    enum status s = row_begin(row, EVENTS_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != 8)
        return STATUS_CORRUPT;
    *ret = (struct event){.sequence = get_be64(key.data)};
    flags = cursor_u8(&c);
    id = cursor_take(&c, UUID_BYTES);
    ret->time_ms = (int64_t)cursor_u64(&c);
    ret->type = cursor_u16(&c);
    record = cursor_take(&c, UUID_BYTES);
    ret->revision = cursor_u32(&c);
    ret->element = cursor_u32(&c);
    ret->name = cursor_sized(&c);
    ret->each_member = cursor_sized(&c);
    ret->data = cursor_take(&c, cursor_left(&c));
    ret->is_update = (flags & EVENT_IS_UPDATE) != 0;
    if (cursor_finish(&c) != STATUS_OK || (flags & ~EVENT_FLAGS) != 0 || ret->sequence == 0)
        return STATUS_CORRUPT;
    memcpy(ret->id.bytes, id.data, UUID_BYTES);
    memcpy(ret->record.bytes, record.data, UUID_BYTES);
    return STATUS_OK;
}

static void event_write(struct txn *txn, const struct event *event)
{
    uint8_t head[EVENT_HEAD_BYTES], member_len[4], key[8];

    head[0] = EVENTS_VERSION;
    head[1] = event->is_update ? EVENT_IS_UPDATE : 0;
    memcpy(head + 2, event->id.bytes, UUID_BYTES);
    put_be64(head + 18, (uint64_t)event->time_ms);
    put_be16(head + 26, event->type);
    memcpy(head + 28, event->record.bytes, UUID_BYTES);
    put_be32(head + 44, event->revision);
    put_be32(head + 48, event->element);
    put_be32(head + 52, (uint32_t)event->name.len);
    put_be32(member_len, (uint32_t)event->each_member.len);
    table_append_parts(txn, TABLE_EVENTS, sequence_key(event->sequence, key),
                       (struct bytes[]){bytes_of(head, sizeof(head)), event->name,
                                        bytes_of(member_len, 4), event->each_member, event->data},
                       5);
}

/* ---- the sequence ---- */

static enum status last_sequence(struct txn *txn, uint64_t *ret_sequence)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s;

    *ret_sequence = txn->last_sequence;
    if (txn->has_sequence)
        return STATUS_OK;
    s = table_cursor_open_before(&c, txn, TABLE_EVENTS, bytes_of(NULL, 0));
    if (s == STATUS_OK && c.key.len != 8)
        s = txn_fault(txn, STATUS_CORRUPT);
    if (s != STATUS_OK && s != STATUS_END)
        return s;
    *ret_sequence = s == STATUS_OK ? get_be64(c.key.data) : 0;
    if (txn->is_write) {
        txn->last_sequence = *ret_sequence;
        txn->has_sequence = true;
    }
    return STATUS_OK;
}

uint64_t event_last_sequence(struct txn *txn)
{
    uint64_t sequence;
    enum status s = last_sequence(txn, &sequence);

    if (s == STATUS_OK)
        return sequence;
    txn_doubt(txn, s);
    return 0;
}

void event_append(struct txn *txn, struct event *event)
{
    uint64_t last;

    must(txn->is_write);
    if (last_sequence(txn, &last) != STATUS_OK)
        return;
    event->sequence = txn->last_sequence = last + 1;
    event->id = txn_uuid(txn);
    event_write(txn, event);
}

/* ---- finding ---- */

enum status event_at(struct txn *txn, uint64_t sequence, struct event *ret_event)
{
    uint8_t key[8];
    struct bytes row;
    enum status s = table_get(txn, TABLE_EVENTS, sequence_key(sequence, key), &row);

    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, event_decode(bytes_of(key, sizeof(key)), row, ret_event));
}

/* The first sequence number whose event has an id at or after `id`; last + 1: none. */
static enum status bisect(struct txn *txn, const struct uuid *id, uint64_t *ret_sequence)
{
    uint64_t low = 1, high;
    enum status s = last_sequence(txn, &high);

    for (high++; s == STATUS_OK && low < high;) {
        uint64_t middle = low + (high - low) / 2;
        struct event event;

        s = event_at(txn, middle, &event);
        if (s != STATUS_OK)
            break;
        if (uuid_compare(&event.id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_sequence = low;
    return s == STATUS_NOT_FOUND ? txn_fault(txn, STATUS_CORRUPT) : s; /* the sequence has a gap */
}

enum status event_find(struct txn *txn, const struct uuid *id, struct event *ret_event)
{
    uint64_t sequence;
    enum status s = bisect(txn, id, &sequence);

    if (s == STATUS_OK)
        s = event_at(txn, sequence, ret_event);
    if (s == STATUS_OK && uuid_compare(&ret_event->id, id) != 0)
        return STATUS_NOT_FOUND;
    return s;
}

uint64_t event_sequence_since(struct txn *txn, int64_t since_ms)
{
    struct uuid id = uuid_first_at(since_ms);
    uint64_t sequence;
    enum status s = bisect(txn, &id, &sequence);

    if (s == STATUS_OK)
        return sequence;
    txn_doubt(txn, s);
    return event_last_sequence(txn) + 1;
}

/* ---- erasure ---- */

/* Zeros of the same length first, for the reason that records.c gives. */
enum status event_erase_data(struct txn *txn, uint64_t sequence)
{
    CLEANUP(freep) uint8_t *zeros = NULL;
    struct event event;
    enum status s = event_at(txn, sequence, &event);

    if (s != STATUS_OK || event.data.len == 0)
        return s;
    zeros = calloc(1, event.data.len);
    if (zeros == NULL)
        return txn_fault(txn, STATUS_NO_MEMORY);
    event.data.data = zeros;
    event_write(txn, &event);
    event.data = bytes_of_str(ERASED_DATA);
    event_write(txn, &event);
    return txn_status(txn);
}

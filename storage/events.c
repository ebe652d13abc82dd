/*
 * events: what one change raised is one row, under the sequence number of its first event; rows are
 * appended. The last row gives the last number; a transaction reads it once.
 *
 * In a row each event has the same length and refers to its name by a number, so that the one
 * wanted is found in a long row without going over all others.
 *
 * Ids and their times grow with the sequence, so that looking for an id or a time is a bisection of
 * some twenty to thirty look-ups: rare enough to spare every append an index row.
 */
#include "storage/events.h"

#include "base/must.h"
#include "storage/txn.h"

#define EVENTS_VERSION 2
#define EVENT_BYTES (UUID_BYTES + 1 + 2 + 4)
#define EVENT_IS_UPDATE 0x01
#define EVENT_FLAGS EVENT_IS_UPDATE
#define ERASED_DATA "{}" /* JSON, since it is rendered as the body's `data` */

static struct bytes sequence_key(uint64_t sequence, uint8_t out[8])
{
    put_be64(out, sequence);
    return bytes_of(out, 8);
}

/* ---- rows ---- */

/* A row, taken apart. */
struct event_row {
    uint64_t first;
    int64_t time_ms;
    uint16_t type;
    struct uuid record;
    uint32_t revision;
    uint16_t name_count, event_count;
    struct bytes names;  /* text name, text member; as many times */
    struct bytes events; /* of EVENT_BYTES each */
    struct bytes data;
};

static void skip_names(struct cursor *c, uint16_t count)
{
    for (uint16_t i = 0; i < count && !c->is_bad; i++) {
        (void)cursor_sized(c);
        (void)cursor_sized(c);
    }
}

static enum status row_decode(struct bytes key, struct bytes row, struct event_row *ret)
{
    struct cursor c;
    uint8_t version;
    struct bytes record;
    size_t left;
    enum status s = row_begin(row, EVENTS_VERSION, &version, &c);

    if (s != STATUS_OK || version != EVENTS_VERSION || key.len != 8)
        return STATUS_CORRUPT;
    *ret = (struct event_row){.first = get_be64(key.data)};
    ret->time_ms = (int64_t)cursor_u64(&c);
    ret->type = cursor_u16(&c);
    record = cursor_take(&c, UUID_BYTES);
    ret->revision = cursor_u32(&c);
    ret->name_count = cursor_u16(&c);
    ret->event_count = cursor_u16(&c);
    left = cursor_left(&c);
    ret->names.data = row.data + (row.len - left);
    skip_names(&c, ret->name_count);
    ret->names.len = left - cursor_left(&c);
    ret->events = cursor_take(&c, (size_t)ret->event_count * EVENT_BYTES);
    ret->data = cursor_take(&c, cursor_left(&c));
    if (cursor_finish(&c) != STATUS_OK || ret->first == 0 || ret->event_count == 0 ||
        ret->first > UINT64_MAX - ret->event_count || (ret->data.len > 0 && ret->event_count > 1))
        return STATUS_CORRUPT;
    memcpy(ret->record.bytes, record.data, UUID_BYTES);
    return STATUS_OK;
}

static uint64_t row_last(const struct event_row *row)
{
    return row->first + row->event_count - 1;
}

/* The row's event number `index`, from 0. */
static enum status event_decode(const struct event_row *row, uint16_t index, struct event *ret)
{
    struct cursor c =
        cursor_of(bytes_of(row->events.data + (size_t)index * EVENT_BYTES, EVENT_BYTES));
    struct bytes id = cursor_take(&c, UUID_BYTES);
    uint8_t flags = cursor_u8(&c);
    uint16_t name = cursor_u16(&c);

    *ret = (struct event){
        .sequence = row->first + index,
        .time_ms = row->time_ms,
        .type = row->type,
        .record = row->record,
        .revision = row->revision,
        .is_update = (flags & EVENT_IS_UPDATE) != 0,
        .element = cursor_u32(&c),
        .data = row->data,
    };
    if ((flags & ~EVENT_FLAGS) != 0 || name >= row->name_count)
        return STATUS_CORRUPT;
    memcpy(ret->id.bytes, id.data, UUID_BYTES);
    c = cursor_of(row->names);
    skip_names(&c, name);
    ret->name = cursor_sized(&c);
    ret->each_member = cursor_sized(&c);
    return STATUS_OK;
}

static bool has_same_name(const struct event *a, const struct event *b)
{
    return bytes_equal(a->name, b->name) && bytes_equal(a->each_member, b->each_member);
}

/* Puts the names that differ; `ret_numbers` gets each event's. Answers how many. Neighbours often
 * have the same. */
static uint16_t put_names(struct buf *row, const struct event *events, size_t count,
                          uint16_t *ret_numbers)
{
    uint16_t names = 0;

    for (size_t i = 0; i < count; i++) {
        size_t same = i;

        while (same > 0 && !has_same_name(&events[same - 1], &events[i]))
            same--;
        if (same > 0) {
            ret_numbers[i] = ret_numbers[same - 1];
            continue;
        }
        ret_numbers[i] = names++;
        buf_put_sized(row, events[i].name);
        buf_put_sized(row, events[i].each_member);
    }
    return names;
}

static void row_write(struct txn *txn, const struct event *events, size_t count)
{
    CLEANUP(buf_fini) struct buf row = {0};
    uint16_t numbers[EVENTS_AT_ONCE_MAX], names;
    uint8_t key[8];
    size_t names_at;

    buf_put_u8(&row, EVENTS_VERSION);
    buf_put_u64(&row, (uint64_t)events->time_ms);
    buf_put_u16(&row, events->type);
    buf_put(&row, events->record.bytes, UUID_BYTES);
    buf_put_u32(&row, events->revision);
    names_at = row.len;
    buf_put_u16(&row, 0);
    buf_put_u16(&row, (uint16_t)count);
    names = put_names(&row, events, count, numbers);
    for (size_t i = 0; i < count; i++) {
        buf_put(&row, events[i].id.bytes, UUID_BYTES);
        buf_put_u8(&row, events[i].is_update ? EVENT_IS_UPDATE : 0);
        buf_put_u16(&row, numbers[i]);
        buf_put_u32(&row, events[i].element);
    }
    buf_put_bytes(&row, events->data);
    if (row.status == STATUS_OK)
        put_be16(row.data + names_at, names);
    if (row.status != STATUS_OK) {
        txn_fail(txn, STATUS_NO_MEMORY);
        return;
    }
    table_append_parts(txn, TABLE_EVENTS, sequence_key(events->sequence, key),
                       (struct bytes[]){buf_bytes(&row)}, 1);
}

/* ---- the sequence ---- */

static enum status last_sequence(struct txn *txn, uint64_t *ret_sequence)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct event_row row;
    enum status s;

    *ret_sequence = txn->last_sequence;
    if (txn->has_sequence)
        return STATUS_OK;
    s = table_cursor_open_before(&c, txn, TABLE_EVENTS, bytes_of(NULL, 0));
    if (s == STATUS_OK)
        s = txn_fault(txn, row_decode(c.key, c.row, &row));
    if (s != STATUS_OK && s != STATUS_END)
        return s;
    *ret_sequence = s == STATUS_OK ? row_last(&row) : 0;
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

void events_append(struct txn *txn, struct event *events, size_t count)
{
    uint64_t last;

    must(txn->is_write && count > 0 && count <= EVENTS_AT_ONCE_MAX);
    if (last_sequence(txn, &last) != STATUS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        events[i].sequence = last + 1 + i;
        events[i].id = txn_uuid(txn);
    }
    txn->last_sequence = last + count;
    row_write(txn, events, count);
}

void event_append(struct txn *txn, struct event *event)
{
    events_append(txn, event, 1);
}

/* ---- finding ---- */

/* The row that has it; in a write transaction a copy. STATUS_NOT_FOUND. */
static enum status row_of(struct txn *txn, uint64_t sequence, struct event_row *ret)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t key_bytes[8];
    enum status s;

    if (sequence == UINT64_MAX)
        return STATUS_NOT_FOUND;
    s = table_cursor_open_before(&c, txn, TABLE_EVENTS, sequence_key(sequence + 1, key_bytes));
    if (s != STATUS_OK)
        return s == STATUS_END ? STATUS_NOT_FOUND : s;
    memcpy(key_bytes, c.key.data, c.key.len < 8 ? c.key.len : 8);
    s = txn_fault(txn, row_decode(bytes_of(key_bytes, c.key.len), txn_keep(txn, c.row), ret));
    if (s == STATUS_OK && sequence > row_last(ret))
        return STATUS_NOT_FOUND;
    return s;
}

enum status event_last_at(struct txn *txn, uint64_t sequence, uint64_t *ret_last)
{
    struct event_row row;
    enum status s = row_of(txn, sequence, &row);

    if (s == STATUS_OK)
        *ret_last = row_last(&row);
    return s;
}

enum status event_at(struct txn *txn, uint64_t sequence, struct event *ret_event)
{
    struct event_row row;
    enum status s = row_of(txn, sequence, &row);

    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, event_decode(&row, (uint16_t)(sequence - row.first), ret_event));
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

/* Zeros of the same length first, for the reason that records.c gives. Only an event that is alone
 * in its row has data. */
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
    row_write(txn, &event, 1);
    event.data = bytes_of_str(ERASED_DATA);
    row_write(txn, &event, 1);
    return txn_status(txn);
}

/*
 * meta: the store's small change: last id, generation, next numbers (table `meta`), record types
 * (`types`), counters (`counters`).
 *
 * The last id is read by the first txn_uuid of a transaction and written once, at its commit; so
 * are the counters' changes and a new generation. A transaction that does none of it writes none of
 * it.
 *
 * What can fail: a damaged row is a corrupt store, which sticks; nothing is made up in its place.
 */
#include "storage/records.h"
#include "storage/txn.h"

#include "base/must.h"

#include <stdio.h>

#define META_VERSION 1
#define TYPES_VERSION 1
#define COUNTERS_VERSION 1
#define COUNTER_KEY_BYTES 5

/* ---- meta rows ---- */

/* Reads a row of `len` bytes behind its version. STATUS_NOT_FOUND. */
static enum status meta_get(struct txn *txn, const char *name, uint8_t *out, size_t len)
{
    struct bytes row, value;
    struct cursor c;
    uint8_t version;
    enum status s = table_get(txn, TABLE_META, bytes_of_str(name), &row);

    if (s == STATUS_OK)
        s = row_begin(row, META_VERSION, &version, &c);
    if (s != STATUS_OK)
        return txn_fault(txn, s);
    value = cursor_take(&c, len);
    s = cursor_finish(&c);
    if (s == STATUS_OK)
        memcpy(out, value.data, len);
    return txn_fault(txn, s);
}

static void meta_put(struct txn *txn, const char *name, const uint8_t *value, size_t len)
{
    static const uint8_t version = META_VERSION;

    table_put_parts(txn, TABLE_META, bytes_of_str(name),
                    (struct bytes[]){bytes_of(&version, 1), bytes_of(value, len)}, 2);
}

static uint64_t meta_get_u64(struct txn *txn, const char *name)
{
    uint8_t value[8];
    enum status s = meta_get(txn, name, value, sizeof(value));

    if (s == STATUS_OK)
        return get_be64(value);
    txn_doubt(txn, s);
    return 0;
}

static void meta_put_u64(struct txn *txn, const char *name, uint64_t number)
{
    uint8_t value[8];

    put_be64(value, number);
    meta_put(txn, name, value, sizeof(value));
}

enum status meta_format_get(struct txn *txn, uint32_t *ret_version)
{
    uint8_t value[4];
    enum status s = meta_get(txn, "format", value, sizeof(value));

    if (s == STATUS_OK)
        *ret_version = get_be32(value);
    return s;
}

void meta_format_put(struct txn *txn, uint32_t version)
{
    uint8_t value[4];

    put_be32(value, version);
    meta_put(txn, "format", value, sizeof(value));
}

uint32_t txn_next_number(struct txn *txn, const char *meta_name)
{
    uint8_t value[4] = {0};
    uint32_t next = 1;
    enum status s = meta_get(txn, meta_name, value, sizeof(value));

    if (s == STATUS_OK)
        next = get_be32(value) + 1;
    else if (s != STATUS_NOT_FOUND)
        return 0;
    if (next == 0) { /* four thousand million were given out */
        txn_fail(txn, STATUS_NO_SPACE);
        return 0;
    }
    put_be32(value, next);
    meta_put(txn, meta_name, value, sizeof(value));
    return txn->status == STATUS_OK ? next : 0;
}

struct uuid txn_uuid(struct txn *txn)
{
    must(txn->is_write);
    if (!txn->has_uuid) {
        (void)meta_get(txn, "last_uuid", txn->last_uuid.bytes, UUID_BYTES); /* none yet: zero */
        txn->has_uuid = true;
    }
    txn->is_uuid_new = true;
    return uuid_next(&txn->last_uuid, txn->now_ms, &txn->prng);
}

/* A writer asks for each event that it raises, and its commit alone can change the row: read once.
 */
uint64_t txn_generation(struct txn *txn)
{
    if (!txn->is_write)
        return meta_get_u64(txn, "generation");
    if (!txn->has_generation) {
        txn->generation = meta_get_u64(txn, "generation");
        txn->has_generation = txn->status == STATUS_OK;
    }
    return txn->generation + (txn->is_generation_new ? 1 : 0);
}

void txn_bump_generation(struct txn *txn)
{
    txn->is_generation_new = true;
}

void txn_write_pending(struct txn *txn)
{
    if (txn->is_uuid_new)
        meta_put(txn, "last_uuid", txn->last_uuid.bytes, UUID_BYTES);
    if (txn->is_generation_new)
        meta_put_u64(txn, "generation", meta_get_u64(txn, "generation") + 1);
    txn_write_deltas(txn);
    txn_write_usage(txn);
}

/* ---- types ---- */

static enum status type_decode(struct bytes key, struct bytes row, struct type_row *ret_type)
{
    struct bytes name, prefix;
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, TYPES_VERSION, &version, &c);

    if (s != STATUS_OK)
        return s;
    name = cursor_sized(&c);
    prefix = cursor_sized(&c);
    s = cursor_finish(&c);
    if (s != STATUS_OK || key.len != 2 || name.len > TYPE_NAME_MAX || prefix.len > TYPE_NAME_MAX)
        return STATUS_CORRUPT;
    *ret_type = (struct type_row){.number = get_be16(key.data)};
    memcpy(ret_type->name, name.data, name.len);
    memcpy(ret_type->id_prefix, prefix.data, prefix.len);
    return STATUS_OK;
}

/* A handful of types, asked for at start-up: no index of names. */
enum status type_find(struct txn *txn, struct bytes name, struct type_row *ret_type)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    enum status s;

    for (s = table_cursor_open(&c, txn, TABLE_TYPES, bytes_of(NULL, 0)); s == STATUS_OK;
         s = table_cursor_next(&c)) {
        s = txn_fault(txn, type_decode(c.key, c.row, ret_type));
        if (s != STATUS_OK || bytes_equal_str(name, ret_type->name))
            return s;
    }
    return s == STATUS_END ? STATUS_NOT_FOUND : s;
}

enum status type_at(struct txn *txn, uint16_t number, struct type_row *ret_type)
{
    uint8_t key[2];
    struct bytes row;
    enum status s;

    put_be16(key, number);
    s = table_get(txn, TABLE_TYPES, bytes_of(key, sizeof(key)), &row);
    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, type_decode(bytes_of(key, sizeof(key)), row, ret_type));
}

static enum status type_last_number(struct txn *txn, uint16_t *ret_number)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    struct type_row last;
    enum status s = table_cursor_open_before(&c, txn, TABLE_TYPES, bytes_of(NULL, 0));

    *ret_number = 0;
    if (s == STATUS_END)
        return STATUS_OK;
    if (s == STATUS_OK)
        s = txn_fault(txn, type_decode(c.key, c.row, &last));
    if (s == STATUS_OK)
        *ret_number = last.number;
    return s;
}

static void type_put(struct txn *txn, const struct type_row *type)
{
    CLEANUP(buf_fini) struct buf row = {0};
    uint8_t key[2];

    buf_put_u8(&row, TYPES_VERSION);
    buf_put_sized(&row, bytes_of_str(type->name));
    buf_put_sized(&row, bytes_of_str(type->id_prefix));
    put_be16(key, type->number);
    table_put_buf(txn, TABLE_TYPES, bytes_of(key, sizeof(key)), &row);
    txn_bump_generation(txn);
}

static enum status type_add(struct txn *txn, const char *name, const char *id_prefix,
                            struct type_row *ret_type)
{
    uint16_t number;
    enum status s = type_last_number(txn, &number);

    if (s != STATUS_OK)
        return s;
    if (number == UINT16_MAX || strlen(name) > TYPE_NAME_MAX || strlen(id_prefix) > TYPE_NAME_MAX)
        return STATUS_LIMIT;
    *ret_type = (struct type_row){.number = (uint16_t)(number + 1)};
    (void)snprintf(ret_type->name, sizeof(ret_type->name), "%s", name); /* lengths are checked */
    (void)snprintf(ret_type->id_prefix, sizeof(ret_type->id_prefix), "%s", id_prefix);
    type_put(txn, ret_type);
    return txn->status;
}

/* No id with the former prefix was ever given out: the new one may take its place. */
static enum status type_change_prefix(struct txn *txn, const char *id_prefix, struct type_row *type)
{
    if (record_count(txn, type->number) > 0)
        return STATUS_MISMATCH;
    if (strlen(id_prefix) > TYPE_NAME_MAX)
        return STATUS_LIMIT;
    (void)snprintf(type->id_prefix, sizeof(type->id_prefix), "%s", id_prefix);
    type_put(txn, type);
    return txn->status;
}

enum status type_register(struct txn *txn, const char *name, const char *id_prefix,
                          struct type_row *ret_type)
{
    enum status s = type_find(txn, bytes_of_str(name), ret_type);

    if (s == STATUS_NOT_FOUND)
        return type_add(txn, name, id_prefix, ret_type);
    if (s == STATUS_OK && strcmp(ret_type->id_prefix, id_prefix) != 0)
        return type_change_prefix(txn, id_prefix, ret_type);
    return s;
}

/* ---- counters ---- */

static void counter_key(enum counter_group group, uint32_t index, uint8_t key[COUNTER_KEY_BYTES])
{
    key[0] = (uint8_t)group;
    put_be32(key + 1, index);
}

static uint64_t counter_stored(struct txn *txn, enum counter_group group, uint32_t index)
{
    uint8_t key[COUNTER_KEY_BYTES];
    uint64_t value;
    uint8_t version;
    struct bytes row;
    struct cursor c;
    enum status s;

    counter_key(group, index, key);
    s = table_get(txn, TABLE_COUNTERS, bytes_of(key, sizeof(key)), &row);
    if (s == STATUS_OK)
        s = row_begin(row, COUNTERS_VERSION, &version, &c);
    if (s == STATUS_OK) {
        value = cursor_u64(&c);
        s = cursor_finish(&c);
    }
    if (s == STATUS_OK)
        return value;
    txn_doubt(txn, s);
    return 0;
}

/* A counter never goes below zero: it is for people to look at, and `store check` counts anew. */
static uint64_t counter_sum(uint64_t value, int64_t delta)
{
    if (delta < 0 && value < (uint64_t)-delta)
        return 0;
    return value + (uint64_t)delta;
}

void txn_write_deltas(struct txn *txn)
{
    for (unsigned i = 0; i < txn->delta_count; i++) {
        const struct counter_delta *d = &txn->deltas[i];
        uint8_t key[COUNTER_KEY_BYTES], row[9] = {COUNTERS_VERSION};

        if (d->delta == 0)
            continue;
        counter_key(d->group, d->index, key);
        put_be64(row + 1, counter_sum(counter_stored(txn, d->group, d->index), d->delta));
        table_put(txn, TABLE_COUNTERS, bytes_of(key, sizeof(key)), bytes_of(row, sizeof(row)));
    }
    txn->delta_count = 0;
}

static struct counter_delta *delta_find(struct txn *txn, enum counter_group group, uint32_t index)
{
    for (unsigned i = 0; i < txn->delta_count; i++)
        if (txn->deltas[i].group == group && txn->deltas[i].index == index)
            return &txn->deltas[i];
    return NULL;
}

uint64_t counter_group_get(struct txn *txn, enum counter_group group, uint32_t index)
{
    uint64_t value = counter_stored(txn, group, index);

    for (struct txn *t = txn; t != NULL; t = t->parent) {
        const struct counter_delta *d = delta_find(t, group, index);

        if (d != NULL)
            value = counter_sum(value, d->delta);
    }
    return value;
}

void counter_group_add(struct txn *txn, enum counter_group group, uint32_t index, int64_t delta)
{
    struct counter_delta *d = delta_find(txn, group, index);

    must(txn->is_write);
    if (d == NULL) {
        if (txn->delta_count == DELTAS_MAX)
            txn_write_deltas(txn);
        d = &txn->deltas[txn->delta_count++];
        *d = (struct counter_delta){.group = group, .index = index};
    }
    d->delta += delta;
}

uint64_t counter_get(struct txn *txn, enum counter counter)
{
    return counter_group_get(txn, COUNTERS_STORE, (uint32_t)counter);
}

void counter_add(struct txn *txn, enum counter counter, int64_t delta)
{
    counter_group_add(txn, COUNTERS_STORE, (uint32_t)counter, delta);
}

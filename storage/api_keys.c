/*
 * api_keys: `api_keys` (number -> row), `api_key_ids` (id -> number). Who sends a key is found in
 * memory by its hash (the server reads all keys when the generation changes); the store has no
 * index by hash.
 */
#include "storage/api_keys.h"

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/must.h"
#include "storage/table.h"

#include <stdio.h>

#define API_KEYS_VERSION 1
#define IDS_VERSION 1
#define KEY_TEXT_PREFIX "psn_"
#define KEY_TEXT_PREFIX_CHARS 4
#define KEY_TEXT_RANDOM 30
#define KEY_TEXT_CHECK 6
#define NEXT_NUMBER "next_api_key"

/* ---- the text ---- */

static void put_random_base62(struct buf *out, unsigned count)
{
    while (count > 0) {
        uint8_t byte;

        random_bytes(&byte, 1);
        if (byte >= 248) /* 4 * 62: or the first characters would be likelier */
            continue;
        buf_put_char(out, BASE62[byte % 62]);
        count--;
    }
}

void api_key_generate(char ret_text[API_KEY_TEXT_CHARS + 1])
{
    CLEANUP(buf_fini) struct buf text = {0};
    struct bytes random;

    buf_put_str(&text, KEY_TEXT_PREFIX);
    put_random_base62(&text, KEY_TEXT_RANDOM);
    random = bytes_of(text.data + KEY_TEXT_PREFIX_CHARS, KEY_TEXT_RANDOM);
    base62_encode(&text, crc32_of(random), KEY_TEXT_CHECK);
    must(text.status == STATUS_OK && text.len == API_KEY_TEXT_CHARS);
    memcpy(ret_text, text.data, text.len);
    ret_text[API_KEY_TEXT_CHARS] = '\0';
    secret_wipe(text.data, text.len);
}

/* ---- scopes ---- */

static bool is_noun(struct bytes noun)
{
    if (bytes_equal_str(noun, "*"))
        return true;
    if (noun.len == 0 || noun.data[0] < 'a' || noun.data[0] > 'z')
        return false;
    for (size_t i = 0; i < noun.len; i++) {
        uint8_t c = noun.data[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_' && c != '-')
            return false;
    }
    return true;
}

static bool is_verb(struct bytes noun, struct bytes verb)
{
    if (bytes_equal_str(verb, "read"))
        return true;
    return bytes_equal_str(verb, "write") && !bytes_equal_str(noun, "events");
}

enum status api_key_scope_check(struct bytes scope)
{
    const uint8_t *colon = scope.len > 0 ? memchr(scope.data, ':', scope.len) : NULL;
    struct bytes noun, verb;

    if (bytes_equal_str(scope, "*"))
        return STATUS_OK;
    if (colon == NULL || scope.len > API_KEY_SCOPE_MAX)
        return STATUS_INVALID;
    noun = bytes_of(scope.data, (size_t)(colon - scope.data));
    verb = bytes_of(colon + 1, scope.len - noun.len - 1);
    return is_noun(noun) && is_verb(noun, verb) ? STATUS_OK : STATUS_INVALID;
}

static bool scope_grants(const char *scope, const char *noun, const char *verb)
{
    size_t noun_len = strcspn(scope, ":");

    if (strcmp(scope, "*") == 0)
        return true;
    if (scope[noun_len] != ':' || strcmp(scope + noun_len + 1, verb) != 0)
        return false;
    if (noun_len == 1 && scope[0] == '*')
        return strcmp(noun, "events") != 0;
    return strlen(noun) == noun_len && memcmp(scope, noun, noun_len) == 0;
}

bool api_key_grants(const struct api_key *key, const char *noun, const char *verb)
{
    for (unsigned i = 0; i < key->scope_count; i++)
        if (scope_grants(key->scopes[i], noun, verb))
            return true;
    return false;
}

/* ---- rows ---- */

static void api_key_encode(const struct api_key *key, struct buf *out)
{
    buf_put_u8(out, API_KEYS_VERSION);
    buf_put(out, key->id.bytes, UUID_BYTES);
    buf_put(out, key->hash, SHA256_BYTES);
    buf_put(out, key->old_hash, SHA256_BYTES);
    buf_put_u64(out, (uint64_t)key->old_expires_ms);
    buf_put_u64(out, (uint64_t)key->created_ms);
    buf_put_u64(out, (uint64_t)key->expires_ms);
    buf_put_u64(out, (uint64_t)key->last_used_ms);
    buf_put_u8(out, key->is_enabled);
    buf_put_u32(out, key->limit_minute);
    buf_put_u32(out, key->limit_hour);
    buf_put_sized(out, bytes_of_str(key->label));
    buf_put_u8(out, key->scope_count);
    for (unsigned i = 0; i < key->scope_count; i++)
        buf_put_sized(out, bytes_of_str(key->scopes[i]));
    buf_put_u8(out, key->cidr_count);
    for (unsigned i = 0; i < key->cidr_count; i++) {
        buf_put(out, key->cidrs[i].base.bytes, sizeof(key->cidrs[i].base.bytes));
        buf_put_u8(out, key->cidrs[i].prefix_bits);
    }
}

static void take_fixed(struct cursor *c, void *out, size_t len)
{
    struct bytes view = cursor_take(c, len);

    if (view.len == len)
        memcpy(out, view.data, len);
}

/* Into a field of `size`, terminated; too long a text is bad. */
static void take_text(struct cursor *c, char *out, size_t size)
{
    struct bytes view = cursor_sized(c);

    if (view.len >= size) {
        c->is_bad = true;
        return;
    }
    if (view.len > 0)
        memcpy(out, view.data, view.len);
    out[view.len] = '\0';
}

static void take_scopes(struct cursor *c, struct api_key *key)
{
    key->scope_count = cursor_u8(c);
    if (key->scope_count > API_KEY_SCOPES_MAX)
        c->is_bad = true;
    for (unsigned i = 0; !c->is_bad && i < key->scope_count; i++)
        take_text(c, key->scopes[i], sizeof(key->scopes[i]));
}

static void take_cidrs(struct cursor *c, struct api_key *key)
{
    key->cidr_count = cursor_u8(c);
    if (key->cidr_count > API_KEY_CIDRS_MAX)
        c->is_bad = true;
    for (unsigned i = 0; !c->is_bad && i < key->cidr_count; i++) {
        take_fixed(c, key->cidrs[i].base.bytes, sizeof(key->cidrs[i].base.bytes));
        key->cidrs[i].prefix_bits = cursor_u8(c);
        if (key->cidrs[i].prefix_bits > 128)
            c->is_bad = true;
    }
}

static enum status api_key_decode(struct bytes key, struct bytes row, struct api_key *ret)
{
    struct cursor c;
    uint8_t version;
    enum status s = row_begin(row, API_KEYS_VERSION, &version, &c);

    if (s != STATUS_OK || key.len != 4)
        return STATUS_CORRUPT;
    memset(ret, 0, sizeof(*ret));
    ret->number = get_be32(key.data);
    take_fixed(&c, ret->id.bytes, UUID_BYTES);
    take_fixed(&c, ret->hash, SHA256_BYTES);
    take_fixed(&c, ret->old_hash, SHA256_BYTES);
    ret->old_expires_ms = (int64_t)cursor_u64(&c);
    ret->created_ms = (int64_t)cursor_u64(&c);
    ret->expires_ms = (int64_t)cursor_u64(&c);
    ret->last_used_ms = (int64_t)cursor_u64(&c);
    ret->is_enabled = cursor_u8(&c) != 0;
    ret->limit_minute = cursor_u32(&c);
    ret->limit_hour = cursor_u32(&c);
    take_text(&c, ret->label, sizeof(ret->label));
    take_scopes(&c, ret);
    take_cidrs(&c, ret);
    return cursor_finish(&c);
}

static void api_key_write(struct txn *txn, const struct api_key *key)
{
    CLEANUP(buf_fini) struct buf row = {0};
    uint8_t number[4];

    put_be32(number, key->number);
    api_key_encode(key, &row);
    table_put_buf(txn, TABLE_API_KEYS, bytes_of(number, sizeof(number)), &row);
}

static void id_write(struct txn *txn, const struct api_key *key)
{
    uint8_t row[5] = {IDS_VERSION};

    put_be32(row + 1, key->number);
    table_put(txn, TABLE_API_KEY_IDS, bytes_of(key->id.bytes, UUID_BYTES),
              bytes_of(row, sizeof(row)));
}

void api_key_put(struct txn *txn, struct api_key *key)
{
    must(key->scope_count <= API_KEY_SCOPES_MAX && key->cidr_count <= API_KEY_CIDRS_MAX);
    if (key->number == 0) {
        key->number = txn_next_number(txn, NEXT_NUMBER);
        key->id = txn_uuid(txn);
        if (txn_status(txn) != STATUS_OK)
            return;
        id_write(txn, key);
    }
    api_key_write(txn, key);
    txn_bump_generation(txn);
}

static enum status number_of_id(struct txn *txn, const struct uuid *id, uint32_t *ret_number)
{
    struct bytes row;
    struct cursor c;
    uint8_t version;
    enum status s = table_get(txn, TABLE_API_KEY_IDS, bytes_of(id->bytes, UUID_BYTES), &row);

    if (s == STATUS_OK)
        s = row_begin(row, IDS_VERSION, &version, &c);
    if (s != STATUS_OK)
        return txn_fault(txn, s);
    *ret_number = cursor_u32(&c);
    return txn_fault(txn, cursor_finish(&c));
}

enum status api_key_at(struct txn *txn, uint32_t number, struct api_key *ret_key)
{
    uint8_t key[4];
    struct bytes row;
    enum status s;

    put_be32(key, number);
    s = table_get(txn, TABLE_API_KEYS, bytes_of(key, sizeof(key)), &row);
    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, api_key_decode(bytes_of(key, sizeof(key)), row, ret_key));
}

enum status api_key_find(struct txn *txn, const struct uuid *id, struct api_key *ret_key)
{
    uint32_t number;
    enum status s = number_of_id(txn, id, &number);

    if (s != STATUS_OK)
        return s;
    s = api_key_at(txn, number, ret_key);
    return s == STATUS_NOT_FOUND ? txn_fault(txn, STATUS_CORRUPT) : s;
}

enum status api_key_next(struct txn *txn, uint32_t *number, struct api_key *ret_key)
{
    CLEANUP(table_cursor_close) struct table_cursor c = {0};
    uint8_t from[4];
    enum status s;

    if (*number == UINT32_MAX)
        return STATUS_END;
    put_be32(from, *number + 1);
    s = table_cursor_open(&c, txn, TABLE_API_KEYS, bytes_of(from, sizeof(from)));
    if ((s == STATUS_OK || s == STATUS_CORRUPT) && c.key.len == 4)
        *number = get_be32(c.key.data); /* also where its row is damaged: the caller may go on */
    if (s != STATUS_OK)
        return s;
    return txn_fault(txn, api_key_decode(c.key, c.row, ret_key));
}

enum status api_key_delete(struct txn *txn, const struct uuid *id)
{
    uint32_t number;
    uint8_t key[4];
    enum status s = number_of_id(txn, id, &number);

    if (s != STATUS_OK)
        return s;
    put_be32(key, number);
    (void)table_delete(txn, TABLE_API_KEYS, bytes_of(key, sizeof(key))); /* faults stick */
    (void)table_delete(txn, TABLE_API_KEY_IDS, bytes_of(id->bytes, UUID_BYTES));
    txn_bump_generation(txn);
    return txn_status(txn);
}

void api_key_touch(struct txn *txn, uint32_t number, int64_t last_used_ms)
{
    struct api_key key;

    if (api_key_at(txn, number, &key) != STATUS_OK) /* deleted meanwhile, or a fault that stuck */
        return;
    if (key.last_used_ms >= last_used_ms)
        return;
    key.last_used_ms = last_used_ms;
    api_key_write(txn, &key);
}

void api_key_count(struct txn *txn, uint32_t number, const struct api_key_counts *more)
{
    counter_group_add(txn, COUNTERS_KEY_ACCEPTED, number, (int64_t)more->accepted);
    counter_group_add(txn, COUNTERS_KEY_REFUSED, number, (int64_t)more->refused);
}

struct api_key_counts api_key_counts(struct txn *txn, uint32_t number)
{
    return (struct api_key_counts){
        .accepted = counter_group_get(txn, COUNTERS_KEY_ACCEPTED, number),
        .refused = counter_group_get(txn, COUNTERS_KEY_REFUSED, number),
    };
}

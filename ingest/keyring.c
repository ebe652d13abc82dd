/*
 * Senders are sorted by the hash of their secret and found by bisection over hashes: whoever does
 * not know a key cannot choose where the search goes. A rotated key stands twice, under its new and
 * under its old secret. The full rows are kept, cut to the scopes and ranges that they have.
 */
#include "ingest/keyring.h"

#include <stdatomic.h>
#include <stdlib.h>

struct entry {
    uint8_t hash[SHA256_BYTES];
    struct sender sender;
};

struct keyring {
    atomic_uint refs;
    uint64_t generation;
    struct api_key **keys;
    size_t key_count, key_capacity;
    struct entry *entries;
    size_t entry_count;
};

static enum status add_key(struct keyring *keyring, const struct api_key *row)
{
    if (keyring->key_count == keyring->key_capacity) {
        size_t capacity = keyring->key_capacity ? keyring->key_capacity * 2 : 16;
        struct api_key **keys = reallocarray(keyring->keys, capacity, sizeof(*keys));
        if (!keys)
            return STATUS_NO_MEMORY;
        keyring->keys = keys;
        keyring->key_capacity = capacity;
    }
    struct api_key *copy = malloc(sizeof *copy);
    if (!copy)
        return STATUS_NO_MEMORY;
    *copy = *row;
    keyring->keys[keyring->key_count++] = copy;
    return STATUS_OK;
}

static void add_entry(struct keyring *keyring, const struct api_key *key, const uint8_t *hash,
                      bool is_old)
{
    struct entry *entry = &keyring->entries[keyring->entry_count++];
    memcpy(entry->hash, hash, SHA256_BYTES);
    entry->sender = (struct sender){
        .number = key->number,
        .id = key->id,
        .expires_ms = key->expires_ms,
        .limit_minute = key->limit_minute,
        .limit_hour = key->limit_hour,
        .is_enabled = key->is_enabled,
        .is_old_secret = is_old,
        .old_expires_ms = key->old_expires_ms,
        .key = key,
    };
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->hash, ((const struct entry *)b)->hash, SHA256_BYTES);
}

static enum status read_keys(struct keyring *keyring, struct txn *txn)
{
    keyring->generation = txn_generation(txn);
    struct api_key *row = malloc(sizeof *row);
    if (!row)
        return STATUS_NO_MEMORY;
    uint32_t number = 0;
    enum status s;
    while ((s = api_key_next(txn, &number, row)) == STATUS_OK) {
        s = add_key(keyring, row);
        if (s != STATUS_OK)
            break;
    }
    free(row);
    return s == STATUS_END ? STATUS_OK : s;
}

enum status keyring_load(struct txn *txn, struct keyring **ret_keyring)
{
    struct keyring *keyring = calloc(1, sizeof *keyring);
    if (!keyring)
        return STATUS_NO_MEMORY;
    keyring->refs = 1;
    enum status s = read_keys(keyring, txn);
    if (s == STATUS_OK && keyring->key_count > 0) {
        keyring->entries = calloc(2 * keyring->key_count, sizeof *keyring->entries);
        if (!keyring->entries)
            s = STATUS_NO_MEMORY;
    }
    if (s != STATUS_OK) {
        keyring_unref(keyring);
        return s;
    }
    for (size_t i = 0; i < keyring->key_count; i++) {
        const struct api_key *key = keyring->keys[i];
        add_entry(keyring, key, key->hash, false);
        if (key->old_expires_ms > 0)
            add_entry(keyring, key, key->old_hash, true);
    }
    if (keyring->entry_count > 0)
        qsort(keyring->entries, keyring->entry_count, sizeof *keyring->entries, compare_entries);
    *ret_keyring = keyring;
    return STATUS_OK;
}

struct keyring *keyring_ref(struct keyring *keyring)
{
    atomic_fetch_add(&keyring->refs, 1);
    return keyring;
}

void keyring_unref(struct keyring *keyring)
{
    if (!keyring || atomic_fetch_sub(&keyring->refs, 1) != 1)
        return;
    for (size_t i = 0; i < keyring->key_count; i++)
        free(keyring->keys[i]);
    free(keyring->keys);
    free(keyring->entries);
    free(keyring);
}

size_t keyring_count(const struct keyring *keyring)
{
    return keyring->key_count;
}

uint64_t keyring_generation(const struct keyring *keyring)
{
    return keyring->generation;
}

const struct sender *keyring_find(const struct keyring *keyring, struct bytes key_text)
{
    if (keyring->entry_count == 0)
        return NULL;
    struct entry wanted;
    sha256(key_text, wanted.hash);
    const struct entry *found = bsearch(&wanted, keyring->entries, keyring->entry_count,
                                        sizeof *keyring->entries, compare_entries);
    return found ? &found->sender : NULL;
}

/*
 * keyring: the API keys as the loops use them: an immutable snapshot, found by the key's hash.
 *
 * Made from the store whenever its generation changes, shared by reference count; a loop holds one
 * reference and swaps it between requests. Entries live as long as their snapshot.
 */
#pragma once

#include "storage/api_keys.h"

struct keyring;

/* What a request needs to know of a key. */
struct sender {
    uint32_t number;
    struct uuid id;
    int64_t expires_ms;                /* 0: never */
    uint32_t limit_minute, limit_hour; /* 0: default */
    bool is_enabled;
    bool is_old_secret;        /* this entry is the secret before a rotation */
    int64_t old_expires_ms;    /* … valid until then */
    const struct api_key *key; /* scopes and ranges */
};

MUST_CHECK enum status keyring_load(struct txn *txn, struct keyring **ret_keyring);
struct keyring *keyring_ref(struct keyring *keyring);
void keyring_unref(struct keyring *keyring);         /* NULL allowed */
size_t keyring_count(const struct keyring *keyring); /* API keys */
uint64_t keyring_generation(const struct keyring *keyring);
/* The sender with that key; NULL: none. The search goes by SHA-256, so its time says nothing about
 * the key. Enabled and expiry are the caller's to judge. */
const struct sender *keyring_find(const struct keyring *keyring, struct bytes key_text);

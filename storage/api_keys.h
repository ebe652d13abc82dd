/*
 * api_keys: credentials of senders. Only a SHA-256 of the key is kept.
 *
 * A key is "psn_", 30 random base62 characters, and 6 of base62 CRC-32 over those 30, so that
 * secret scanners can spot one and a typo is recognised before any look-up.
 */
#pragma once

#include "base/address.h"
#include "base/digest.h"
#include "storage/store.h"

#define API_KEY_ID_PREFIX "key"
#define API_KEY_TEXT_CHARS 40 /* "psn_" + 30 + 6 */
#define API_KEY_SCOPES_MAX 64
#define API_KEY_CIDRS_MAX 64
#define API_KEY_LABEL_MAX 200
#define API_KEY_SCOPE_MAX 80

struct api_key {
    uint32_t number; /* internal, from 1, never reused */
    struct uuid id;
    char label[API_KEY_LABEL_MAX + 1];
    uint8_t hash[SHA256_BYTES];
    uint8_t old_hash[SHA256_BYTES]; /* after a rotation: valid until old_expires_ms */
    int64_t old_expires_ms;         /* 0: none */
    int64_t created_ms;
    int64_t expires_ms;   /* 0: never */
    int64_t last_used_ms; /* 0: never; up to a minute late */
    bool is_enabled;
    uint32_t limit_minute; /* 0: the server's default */
    uint32_t limit_hour;   /* 0: the server's default */
    uint8_t scope_count;
    char scopes[API_KEY_SCOPES_MAX][API_KEY_SCOPE_MAX + 1]; /* "workorder:write", "*:read" */
    uint8_t cidr_count;
    struct cidr cidrs[API_KEY_CIDRS_MAX]; /* none: any address */
};

/* Make a key's text from random bytes. */
void api_key_generate(char ret_text[API_KEY_TEXT_CHARS + 1]);
/* "workorder:write", "*:write", "events:read", "*:read", "*" … STATUS_INVALID otherwise. */
MUST_CHECK enum status api_key_scope_check(struct bytes scope);
/* Does the key's scope list grant `noun`:`verb`? "*" as noun stands for every record type (not for
 * "events"). */
bool api_key_grants(const struct api_key *key, const char *noun, const char *verb);

/* Adds or replaces; sets number and id of a new one (number 0). Bumps the generation. */
void api_key_put(struct txn *txn, struct api_key *key);
MUST_CHECK enum status api_key_find(struct txn *txn, const struct uuid *id,
                                    struct api_key *ret_key);
MUST_CHECK enum status api_key_at(struct txn *txn, uint32_t number, struct api_key *ret_key);
/* Next key with a number above `*number`, which it updates. STATUS_END. */
MUST_CHECK enum status api_key_next(struct txn *txn, uint32_t *number, struct api_key *ret_key);
MUST_CHECK enum status api_key_delete(struct txn *txn, const struct uuid *id);
/* Without bumping the generation: nobody needs to reload for it. */
void api_key_touch(struct txn *txn, uint32_t number, int64_t last_used_ms);

/* What became of a key's records and requests, ever; for people to look at: those of the last
 * second before a crash may be missing. Outlives the key, whose number nobody gets again. */
struct api_key_counts {
    uint64_t accepted; /* records, unchanged ones too */
    uint64_t refused;  /* requests, and lines of batches */
};
void api_key_count(struct txn *txn, uint32_t number, const struct api_key_counts *more);
struct api_key_counts api_key_counts(struct txn *txn, uint32_t number);

/*
 * Counted requests, for the sliding windows: when each API key's requests of the last hour came.
 * Rows: (key number, time) -> count; kept for an hour. A transaction does not see what it adds.
 */
void usage_add(struct txn *txn, uint32_t key_number, int64_t at_ms, uint32_t count);
/* Oldest first, those after since_ms. Calls `each` for every row. */
MUST_CHECK enum status usage_each(struct txn *txn, uint32_t key_number, int64_t since_ms,
                                  void (*each)(void *context, int64_t at_ms, uint32_t count),
                                  void *context);
/* Drop rows before `before_ms`, at most `rows_max` in this transaction; true: there may be more. */
bool usage_prune(struct txn *txn, int64_t before_ms, uint32_t rows_max);

/*
 * endpoints: subscribers' URLs, what they want, how they are signed to; and the question the writer
 * asks for every event: who wants it?
 */
#pragma once

#include "storage/store.h"
#include "storage/vault.h"

#define ENDPOINT_ID_PREFIX "ep"
#define ENDPOINT_URL_MAX 2048
#define ENDPOINT_PATTERNS_MAX 64
#define ENDPOINT_PATTERN_MAX 128
#define ENDPOINT_DESCRIPTION_MAX 500
#define ENDPOINT_RETRIES_MAX 32
#define ENDPOINT_HEADERS_MAX 16
#define ENDPOINT_SEALED_MAX 256

/* A deleted one keeps its row, without URL, secrets and headers, as what its old deliveries name.
 */
enum endpoint_state { ENDPOINT_ENABLED = 1, ENDPOINT_DISABLED = 2, ENDPOINT_DELETED = 3 };
const char *endpoint_state_text(enum endpoint_state state);

/* Plain data; strings are terminated. About 12 KiB: keep it off small stacks. */
struct endpoint {
    uint32_t number; /* internal, from 1, never reused */
    struct uuid id;
    char url[ENDPOINT_URL_MAX + 1];
    char description[ENDPOINT_DESCRIPTION_MAX + 1];
    uint8_t pattern_count; /* none: every event */
    char patterns[ENDPOINT_PATTERNS_MAX][ENDPOINT_PATTERN_MAX + 1];
    enum endpoint_state state;
    char disabled_reason[128]; /* "410 Gone", "no success for 5 days", "by the operator" */
    int64_t created_ms;
    int64_t last_success_ms;  /* 0: never */
    int64_t failing_since_ms; /* first failure after the last success; 0: not failing */
    uint8_t secret_count;     /* 1 or 2 live */
    struct {
        uint16_t len;
        uint8_t data[ENDPOINT_SEALED_MAX]; /* endpoint_secret_seal */
    } secrets[2];
    uint8_t retry_count; /* 0: the server's schedule */
    uint32_t retry_s[ENDPOINT_RETRIES_MAX];
    uint32_t timeout_ms; /* 0: the server's */
    uint16_t window_max; /* 0: 16 */
    uint32_t rate_per_s; /* 0: none */
    char signature[64];  /* dialect's name; "" is "standard" */
    char signature_header[64], signature_encoding[16], signature_content[32]; /* "" as dialect */
    uint8_t header_count;
    struct {
        char name[64];
        char value[512];
    } headers[ENDPOINT_HEADERS_MAX]; /* static, sent with each attempt */
};

/* "*", "workorder.*", "workorder.created"; STATUS_INVALID otherwise. */
MUST_CHECK enum status event_pattern_check(struct bytes pattern);
bool event_pattern_matches(const char *pattern, struct bytes event);
bool endpoint_wants(const struct endpoint *endpoint, struct bytes event);

/* Put a secret ("whsec_…") into slot 0 or 1; the endpoint has its id. A sealed secret opens in its
 * own endpoint and slot only. STATUS_LIMIT: too long. */
MUST_CHECK enum status endpoint_secret_seal(const struct vault *vault, struct endpoint *endpoint,
                                            unsigned slot, struct bytes secret);
/* As vault_unseal. */
MUST_CHECK enum status endpoint_secret_unseal(const struct vault *vault,
                                              const struct endpoint *endpoint, unsigned slot,
                                              struct buf *ret_secret);

/* Adds or replaces; sets number and created_ms of a new one (number 0), and its id where the caller
 * gave none (txn_uuid, to seal secrets for it). Bumps the generation. */
void endpoint_put(struct txn *txn, struct endpoint *endpoint);
/* As endpoint_put for delivery's own notes (last success, failing since): no new generation. */
void endpoint_note(struct txn *txn, uint32_t number, bool is_success, int64_t at_ms);
/* Deleted ones are not found, except by number: history names them. */
MUST_CHECK enum status endpoint_find(struct txn *txn, const struct uuid *id,
                                     struct endpoint *ret_endpoint);
MUST_CHECK enum status endpoint_at(struct txn *txn, uint32_t number, struct endpoint *ret_endpoint);
/* Next one with a number above `*number`, which it updates. STATUS_END. */
MUST_CHECK enum status endpoint_next(struct txn *txn, uint32_t *number,
                                     struct endpoint *ret_endpoint);
/* Pending deliveries to it become failed ("endpoint deleted"): many thousands here, what is left in
 * endpoints_sweep. STATUS_NOT_FOUND. */
MUST_CHECK enum status endpoint_delete(struct txn *txn, const struct uuid *id);
/* Finish what deletions left (outbox_prune calls it), at most `rows_max` rows; true: there is more.
 */
bool endpoints_sweep(struct txn *txn, uint32_t rows_max);

/* Who wants which event: the enabled endpoints in memory, reread when the generation changed. One
 * owner (the writer). */
struct subscriptions;
struct subscriptions *subscriptions_new(void);
void subscriptions_free(struct subscriptions *subs);
/* Exact within the transaction: every endpoint committed before it began is seen. */
void subscriptions_refresh(struct subscriptions *subs, struct txn *txn);
/* After a transaction that was not committed: what it read may never have come to be. */
void subscriptions_forget(struct subscriptions *subs);
/* Numbers of the endpoints that want the event; the array lives until the next call. Answers are
 * remembered per event name. */
const uint32_t *subscriptions_match(struct subscriptions *subs, struct bytes event,
                                    size_t *ret_count);

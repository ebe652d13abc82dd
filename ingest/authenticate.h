/*
 * authenticate: who sent this? Reads the three header forms (X-API-Key; Authorization: Bearer; HTTP
 * Basic with the key's id as user name and the key as password), finds the sender, and says whether
 * the key counts now. And the throttle of failures by address, which never locks out a valid key.
 */
#pragma once

#include "base/address.h"
#include "ingest/keyring.h"

struct credentials {
    struct bytes x_api_key; /* header values; {NULL,0}: absent */
    struct bytes authorization;
};

/* NULL: missing, malformed, unknown, disabled or expired, all alike. Borrowed from the keyring. */
const struct sender *authenticate(const struct keyring *keyring,
                                  const struct credentials *credentials, int64_t now_ms);
/* An address list, if the key has one, must hold the peer. */
bool sender_allows_address(const struct sender *sender, const struct address *peer);

/* Failures by address (IPv6: by /64): a fixed table, so that no number of addresses costs memory.
 */
struct auth_throttle;
#define AUTH_FAILURES_PER_MINUTE 100
struct auth_throttle *auth_throttle_new(void); /* NULL: no memory */
void auth_throttle_free(struct auth_throttle *throttle);
/* Count a failure. 0: answer 401. Otherwise the milliseconds until failures of that address are
 * answered in earnest again. Any thread. */
int64_t auth_throttle_fail(struct auth_throttle *throttle, const struct address *peer,
                           int64_t now_ms);

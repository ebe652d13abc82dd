/*
 * vault: secrets at rest, sealed with AES-256-GCM under a master key that is kept outside the
 * store.
 *
 * Sealed form: version u8 (1), key id u32 (first bytes of the master key's SHA-256), nonce 12
 * bytes, ciphertext, tag 16 bytes. The caller names the row as associated data, so that a sealed
 * secret cannot be moved to another row.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

struct vault;

/* Read the key file (32 bytes as 64 hex digits and a newline). With `can_create` and no file: make
 * one, mode 0600. STATUS_NOT_FOUND, STATUS_INVALID (not a key file, or readable by others),
 * STATUS_IO. */
MUST_CHECK enum status vault_open(const char *path, bool can_create, struct vault **ret_vault,
                                  struct err *err);
void vault_free(struct vault *vault); /* wipes */
void vault_seal(const struct vault *vault, struct bytes row, struct bytes secret, struct buf *out);
/* STATUS_MISMATCH: sealed under another master key. STATUS_CORRUPT: altered. */
MUST_CHECK enum status vault_unseal(const struct vault *vault, struct bytes row,
                                    struct bytes sealed, struct buf *ret_secret);

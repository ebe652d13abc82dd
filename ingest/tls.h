/*
 * tls: the server's TLS context: certificate and key as a pair, TLS 1.2 and up, ALPN h2 and
 * http/1.1. Making a self-signed pair is in http.h, where the server's owner finds it.
 */
#pragma once

#include "base/err.h"
#include "base/status.h"

#include <openssl/ssl.h>

/* Both files in PEM; the certificate's may go on with its chain. STATUS_INVALID: unreadable, not
 * what it should be, or not a pair. The caller frees (SSL_CTX_free). */
MUST_CHECK enum status tls_context_new(const char *cert_path, const char *key_path,
                                       SSL_CTX **ret_context, struct err *err);
/* Is that a file of authorities' certificates in PEM? STATUS_INVALID: `err` says why not. */
MUST_CHECK enum status tls_check_authorities(const char *path, struct err *err);

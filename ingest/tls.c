/*
 * One SSL_CTX serves every loop, so session ticket keys are shared by all of them; a reload makes
 * new ones, which costs each client one full handshake.
 */
#include "ingest/tls.h"

#include "base/cleanup.h"
#include "base/random.h"
#include "ingest/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

#define VALID_DAYS 3650

static const char *openssl_reason(void)
{
    unsigned long code = ERR_peek_error(); /* the first is the cause, later ones its wrapping */
    if (code && ERR_GET_LIB(code) == ERR_LIB_SYS)
        return strerror(ERR_GET_REASON(code));
    if (code && ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
        return "there is none of it in PEM form in the file";
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    return reason ? reason : "unknown error";
}

static enum status openssl_failed(struct err *err, const char *what, const char *path)
{
    err_set(err, "%s %s: %s", what, path, openssl_reason());
    ERR_clear_error();
    return STATUS_INVALID;
}

/* --- the context --- */

static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *in, unsigned in_len, void *context)
{
    static const unsigned char OURS[] = "\x02h2\x08http/1.1";
    (void)ssl;
    (void)context;
    int result =
        SSL_select_next_proto((unsigned char **)out, out_len, OURS, sizeof OURS - 1, in, in_len);
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* A key behind a pass phrase would make OpenSSL ask on the terminal. */
static int no_pass_phrase(char *buf, int size, int is_write, void *context)
{
    (void)buf;
    (void)size;
    (void)is_write;
    (void)context;
    return 0;
}

static void context_configure(SSL_CTX *context)
{
    static const unsigned char SESSION_ID_CONTEXT[] = "postern";
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); /* idle connections are the many */
    /* TLS 1.2 with forward secrecy and authenticated encryption only (RFC 9113 section 9.2.2). */
    SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20");
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets do it */
    SSL_CTX_set_session_id_context(context, SESSION_ID_CONTEXT, sizeof SESSION_ID_CONTEXT - 1);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_alpn_select_cb(context, select_protocol, NULL);
    SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
}

enum status tls_context_new(const char *cert_path, const char *key_path, SSL_CTX **ret_context,
                            struct err *err)
{
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (context == NULL)
        return STATUS_NO_MEMORY;
    context_configure(context);
    enum status status = STATUS_OK;
    if (SSL_CTX_use_certificate_chain_file(context, cert_path) != 1)
        status = openssl_failed(err, "certificate", cert_path);
    else if (SSL_CTX_use_PrivateKey_file(context, key_path, SSL_FILETYPE_PEM) != 1)
        status = openssl_failed(err, "private key", key_path);
    else if (SSL_CTX_check_private_key(context) != 1)
        status = openssl_failed(err, "private key does not belong to the certificate", key_path);
    if (status == STATUS_OK)
        *ret_context = context;
    else
        SSL_CTX_free(context);
    return status;
}

/* --- a self-signed pair --- */

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool is_added = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_added;
}

/* Only a name that cannot be mistaken for syntax of the extension's text form. */
static bool host_name_is_plain(const char *name)
{
    if (*name == '\0')
        return false;
    for (; *name != '\0'; name++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.", *name) ==
            NULL)
            return false;
    return true;
}

static void alternative_names(char out[256])
{
    char host[65] = "";
    snprintf(out, 256, "DNS:localhost,IP:127.0.0.1,IP:::1");
    if (gethostname(host, sizeof host - 1) != 0 || !host_name_is_plain(host))
        return;
    size_t len = strlen(out);
    snprintf(out + len, 256 - len, ",DNS:%s", host);
}

static bool set_serial(X509 *cert)
{
    uint8_t random[16];
    random_bytes(random, sizeof random);
    random[0] &= 0x7f;
    random[0] |= 0x40; /* positive and of constant length */
    BIGNUM *number = BN_bin2bn(random, sizeof random, NULL);
    bool is_set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return is_set;
}

static bool fill_certificate(X509 *cert, EVP_PKEY *key)
{
    char names[256];
    alternative_names(names);
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_set_version(cert, 2) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
           X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, NULL) != NULL &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                      (const unsigned char *)"Postern self-signed", -1, -1,
                                      0) == 1 &&
           X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_key_usage, "critical,digitalSignature") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, NID_subject_alt_name, names) &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

/* Written beside its place, synced, renamed: a reader sees the old or the new file, whole. */
static enum status write_pem(const char *path, mode_t mode, X509 *cert, EVP_PKEY *key,
                             struct err *err)
{
    char temporary[4096];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", path) >= sizeof temporary) {
        err_set(err, "%s: the path is too long", path);
        return STATUS_INVALID;
    }
    (void)unlink(temporary); /* of an earlier attempt; O_EXCL below decides */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file == NULL) {
        err_set(err, "%s: %s", temporary, strerror(errno));
        closep(&fd);
        return STATUS_IO;
    }
    bool is_written = cert != NULL
                          ? PEM_write_X509(file, cert) == 1
                          : PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    is_written = is_written && fflush(file) == 0 && fsync(fd) == 0;
    is_written = fclose(file) == 0 && is_written;
    if (is_written && rename(temporary, path) == 0)
        return STATUS_OK;
    err_set(err, "%s: %s", path, strerror(errno));
    (void)unlink(temporary);
    return STATUS_IO;
}

static void make_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return;
    char *folder = strndup(path, (size_t)(slash - path));
    if (folder != NULL)
        (void)mkdir(folder, 0700); /* if it is needed and missing, writing the file says so */
    free(folder);
}

enum status tls_make_self_signed(const char *cert_path, const char *key_path, struct err *err)
{
    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    enum status status;
    if (key == NULL || cert == NULL || !fill_certificate(cert, key)) {
        status = openssl_failed(err, "make a certificate", cert_path);
    } else {
        make_folder_of(cert_path);
        make_folder_of(key_path);
        status = write_pem(key_path, 0600, NULL, key, err);
        if (status == STATUS_OK)
            status = write_pem(cert_path, 0644, cert, NULL, err);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    return status;
}

enum status tls_check_authorities(const char *path, struct err *err)
{
    X509_STORE *store = X509_STORE_new();
    enum status s = store ? STATUS_OK : STATUS_NO_MEMORY;
    ERR_clear_error();
    if (store && X509_STORE_load_file(store, path) != 1)
        s = openssl_failed(err, "authorities", path);
    X509_STORE_free(store);
    return s;
}

/*
 * vault: AES-256-GCM through OpenSSL's EVP, a fresh random nonce for each sealed value.
 *
 * Random nonces are safe here by a wide margin: a store seals some thousands of secrets in its
 * life, and 96 random bits stay below a collision chance of 2^-32 for 2^32 of them.
 *
 * The key file is made by link(2) from a synced temporary name, so that it is whole or absent, and
 * so that of two programs that start at once one makes it and both use it.
 */
#include "storage/vault.h"

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/encode.h"
#include "base/must.h"
#include "base/random.h"
#include "storage/data_dir.h"

#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define SEALED_VERSION 1
#define KEY_BYTES 32
#define KEY_FILE_BYTES (2 * KEY_BYTES + 1)
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HEAD_BYTES (1 + 4 + NONCE_BYTES)
#define SECRET_MAX 65536 /* far above any; keeps lengths within EVP's int */

struct vault {
    uint32_t key_id;
    uint8_t key[KEY_BYTES];
};

static void cipher_freep(EVP_CIPHER_CTX **cipher)
{
    EVP_CIPHER_CTX_free(*cipher);
}

static enum status fail(struct err *err, const char *path, const char *what)
{
    int code = errno ? errno : EIO;

    err_set(err, "master key: %s: %s: %s", path, what, strerror(code));
    return status_of_errno(code);
}

static enum status write_all(int fd, const uint8_t *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return STATUS_IO;
        data += written;
        len -= (size_t)written;
    }
    return STATUS_OK;
}

/* The folder's entry is on disk too: a lost key file would lose every secret. `path` fits, or the
 * file could not have been opened. */
static enum status sync_folder_of(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash == NULL || slash == path ? 1 : (int)(slash - path);

    (void)snprintf(folder, sizeof folder, "%.*s", len, slash == NULL ? "." : path);
    CLEANUP(closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? STATUS_OK : STATUS_IO;
}

static enum status write_new_key(int fd)
{
    CLEANUP(buf_fini) struct buf text = {0};
    uint8_t key[KEY_BYTES];
    enum status status;

    random_bytes(key, sizeof key);
    hex_encode(&text, bytes_of(key, sizeof key));
    buf_put_char(&text, '\n');
    status = text.status;
    if (status == STATUS_OK)
        status = write_all(fd, text.data, text.len);
    secret_wipe(key, sizeof key);
    secret_wipe(text.data, text.len);
    if (status == STATUS_OK && fsync(fd) != 0)
        status = STATUS_IO;
    return status;
}

/* STATUS_OK as well when another program was quicker. */
static enum status create(const char *path, struct err *err)
{
    char temporary[PATH_MAX];
    enum status status = STATUS_OK;

    if (snprintf(temporary, sizeof temporary, "%s.new-%ld", path, (long)getpid()) >=
        (int)sizeof temporary) {
        err_set(err, "master key: %s: path is too long", path);
        return STATUS_INVALID;
    }
    (void)unlink(
        temporary); /* of a process of this number that died; open says what else is wrong */
    CLEANUP(closep) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(err, temporary, "create");
    errno = 0;
    if (write_new_key(fd) != STATUS_OK)
        status = fail(err, temporary, "write");
    else if (link(temporary, path) != 0 && errno != EEXIST)
        status = fail(err, path, "create");
    else if (sync_folder_of(path) != STATUS_OK)
        status = fail(err, path, "sync folder");
    (void)unlink(temporary); /* the key has its name, or the failure was told */
    return status;
}

static enum status parse(struct vault *vault, struct bytes text)
{
    CLEANUP(buf_fini) struct buf key = {0};
    uint8_t digest[SHA256_BYTES];
    enum status status;

    if (text.len != KEY_FILE_BYTES || text.data[text.len - 1] != '\n')
        return STATUS_INVALID;
    status = hex_decode(&key, bytes_of(text.data, text.len - 1));
    if (status == STATUS_OK) {
        memcpy(vault->key, key.data, KEY_BYTES);
        sha256(bytes_of(vault->key, KEY_BYTES), digest);
        vault->key_id = get_be32(digest);
    }
    secret_wipe(key.data, key.len);
    return status;
}

static enum status check_mode(int fd, const char *path, struct err *err)
{
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return fail(err, path, "stat");
    if (!S_ISREG(stat.st_mode)) {
        err_set(err, "master key: %s: is no regular file", path);
        return STATUS_INVALID;
    }
    if (stat.st_mode & (S_IRWXG | S_IRWXO)) {
        err_set(err, "master key: %s: is open to others (mode %04o); chmod 600 it", path,
                (unsigned)stat.st_mode & 07777u);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status load(struct vault *vault, const char *path, struct err *err)
{
    uint8_t text[KEY_FILE_BYTES + 1]; /* one more, to see that the file ends */
    size_t len = 0;
    enum status status;

    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail(err, path, "open");
    status = check_mode(fd, path, err);
    if (status != STATUS_OK)
        return status;
    while (len < sizeof text) {
        ssize_t count = read(fd, text + len, sizeof text - len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail(err, path, "read");
        if (count == 0)
            break;
        len += (size_t)count;
    }
    status = parse(vault, bytes_of(text, len));
    secret_wipe(text, sizeof text);
    if (status == STATUS_INVALID)
        err_set(err, "master key: %s: is not a key file (64 hexadecimal digits and a newline)",
                path);
    return status;
}

enum status vault_open(const char *path, bool can_create, struct vault **ret_vault, struct err *err)
{
    struct vault *vault = calloc(1, sizeof *vault);
    enum status status;

    if (vault == NULL)
        return STATUS_NO_MEMORY;
    status = load(vault, path, err);
    if (status == STATUS_NOT_FOUND && can_create) {
        err_set(err, "%s", ""); /* no longer what is wrong */
        status = create(path, err);
        if (status == STATUS_OK)
            status = load(vault, path, err);
    }
    if (status != STATUS_OK) {
        vault_free(vault);
        return status;
    }
    *ret_vault = vault;
    return STATUS_OK;
}

void vault_free(struct vault *vault)
{
    if (vault == NULL)
        return;
    secret_wipe(vault, sizeof *vault);
    free(vault);
}

void vault_seal(const struct vault *vault, struct bytes row, struct bytes secret, struct buf *out)
{
    uint8_t nonce[NONCE_BYTES];
    uint8_t tag[TAG_BYTES];
    int len;

    must(secret.len <= SECRET_MAX && row.len <= SECRET_MAX);
    if (buf_reserve(out, HEAD_BYTES + secret.len + TAG_BYTES) != STATUS_OK)
        return;
    random_bytes(nonce, sizeof nonce);
    buf_put_u8(out, SEALED_VERSION);
    buf_put_u32(out, vault->key_id);
    buf_put(out, nonce, sizeof nonce);

    CLEANUP(cipher_freep) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    must(cipher != NULL);
    must(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, vault->key, nonce) == 1);
    must(EVP_EncryptUpdate(cipher, NULL, &len, row.data, (int)row.len) == 1);
    must(EVP_EncryptUpdate(cipher, out->data + out->len, &len, secret.data, (int)secret.len) == 1);
    out->len += (size_t)len;
    must(EVP_EncryptFinal_ex(cipher, out->data + out->len, &len) == 1 && len == 0);
    must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, tag) == 1);
    buf_put(out, tag, sizeof tag);
}

/* Decrypts to where `out` has room; its length is moved only when the tag is right. */
static enum status decrypt(const struct vault *vault, struct bytes row, struct bytes nonce,
                           struct bytes sealed, struct bytes tag, struct buf *out)
{
    uint8_t expected[TAG_BYTES];
    int len;
    int final_len;

    CLEANUP(cipher_freep) EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    if (cipher == NULL)
        return STATUS_NO_MEMORY;
    memcpy(expected, tag.data, sizeof expected);
    must(EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, vault->key, nonce.data) == 1);
    must(EVP_DecryptUpdate(cipher, NULL, &len, row.data, (int)row.len) == 1);
    must(EVP_DecryptUpdate(cipher, out->data + out->len, &len, sealed.data, (int)sealed.len) == 1);
    must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, expected) == 1);
    if (EVP_DecryptFinal_ex(cipher, out->data + out->len + len, &final_len) != 1) {
        secret_wipe(out->data + out->len, (size_t)len);
        return STATUS_CORRUPT;
    }
    out->len += (size_t)len;
    return STATUS_OK;
}

enum status vault_unseal(const struct vault *vault, struct bytes row, struct bytes sealed,
                         struct buf *ret_secret)
{
    struct cursor in = cursor_of(sealed);
    uint8_t version = cursor_u8(&in);
    uint32_t key_id = cursor_u32(&in);
    struct bytes nonce = cursor_take(&in, NONCE_BYTES);
    struct bytes text, tag;

    must(row.len <= SECRET_MAX);
    if (in.is_bad || version != SEALED_VERSION || cursor_left(&in) < TAG_BYTES ||
        cursor_left(&in) > SECRET_MAX + TAG_BYTES)
        return STATUS_CORRUPT;
    if (key_id != vault->key_id)
        return STATUS_MISMATCH;
    text = cursor_take(&in, cursor_left(&in) - TAG_BYTES);
    tag = cursor_take(&in, TAG_BYTES);
    if (cursor_finish(&in) != STATUS_OK)
        return STATUS_CORRUPT;
    /* One byte more, so that the room is never NULL: EVP takes a NULL output for associated data.
     */
    if (buf_reserve(ret_secret, text.len + 1) != STATUS_OK)
        return ret_secret->status;
    return decrypt(vault, row, nonce, text, tag, ret_secret);
}

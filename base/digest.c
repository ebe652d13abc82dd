/*
 * digest: the low-level SHA256_… calls on purpose, though OpenSSL 3 prefers EVP: they work in the
 * caller's memory, so they cannot fail and nobody has to say what a request does when its hash
 * could not be had; and they spare EVP's fetch, which costs more than hashing a small message.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include "base/must.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#define SHA256_BLOCK_BYTES 64

static void sha256_update(SHA256_CTX *hash, struct bytes in)
{
    if (in.len)
        must(SHA256_Update(hash, in.data, in.len));
}

void sha256(struct bytes in, uint8_t ret_digest[SHA256_BYTES])
{
    SHA256_CTX hash;

    must(SHA256_Init(&hash));
    sha256_update(&hash, in);
    must(SHA256_Final(ret_digest, &hash));
    OPENSSL_cleanse(&hash, sizeof hash); /* what is hashed is often a key */
}

void sha256_parts(const struct bytes *parts, size_t count, uint8_t ret_digest[SHA256_BYTES])
{
    SHA256_CTX hash;

    must(SHA256_Init(&hash));
    for (size_t i = 0; i < count; i++) {
        uint8_t len[8];

        put_be64(len, parts[i].len);
        sha256_update(&hash, bytes_of(len, sizeof len));
        sha256_update(&hash, parts[i]);
    }
    must(SHA256_Final(ret_digest, &hash));
    OPENSSL_cleanse(&hash, sizeof hash);
}

/* RFC 2104: a key over a block is hashed first, a shorter one is padded with zeros. */
void hmac_sha256(struct bytes key, const struct bytes *parts, size_t count,
                 uint8_t ret_mac[SHA256_BYTES])
{
    uint8_t block[SHA256_BLOCK_BYTES] = {0};
    uint8_t inner[SHA256_BYTES];
    SHA256_CTX hash;

    if (key.len > sizeof block)
        sha256(key, block);
    else if (key.len)
        memcpy(block, key.data, key.len);

    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36;
    must(SHA256_Init(&hash));
    sha256_update(&hash, bytes_of(block, sizeof block));
    for (size_t i = 0; i < count; i++)
        sha256_update(&hash, parts[i]);
    must(SHA256_Final(inner, &hash));

    for (size_t i = 0; i < sizeof block; i++)
        block[i] ^= 0x36 ^ 0x5c;
    must(SHA256_Init(&hash));
    sha256_update(&hash, bytes_of(block, sizeof block));
    sha256_update(&hash, bytes_of(inner, sizeof inner));
    must(SHA256_Final(ret_mac, &hash));

    OPENSSL_cleanse(&hash, sizeof hash);
    OPENSSL_cleanse(block, sizeof block);
}

bool secret_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

void secret_wipe(void *data, size_t len)
{
    if (len)
        OPENSSL_cleanse(data, len);
}

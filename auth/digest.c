#include "auth/digest.h"

#include <assert.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <sodium.h>

bool auth_init(void)
{
    /* jansson seeds its hash tables once and for all threads; doing it here, before there are any,
     * keeps the first two decoders from racing. */
    json_object_seed(0);
    return sodium_init() >= 0;
}

void auth_random(void *out, size_t n)
{
    randombytes_buf(out, n);
}

void digest_wipe(void *p, size_t n)
{
    sodium_memzero(p, n);
}

bool digest_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}

void digest_blake2b(uint8_t *out, size_t out_n, struct slice key, const struct slice *parts,
                    size_t parts_n)
{
    assert(out_n >= crypto_generichash_BYTES_MIN && out_n <= crypto_generichash_BYTES_MAX);
    assert(key.n <= crypto_generichash_KEYBYTES_MAX);
    crypto_generichash_state state;
    crypto_generichash_init(&state, key.n ? key.p : NULL, key.n, out_n);
    for (size_t i = 0; i < parts_n; i++) {
        crypto_generichash_update(&state, parts[i].p, parts[i].n);
    }
    crypto_generichash_final(&state, out, out_n);
    sodium_memzero(&state, sizeof state); /* it began with the key */
}

void digest_sha256(uint8_t out[SHA256_BYTES], const struct slice *parts, size_t parts_n)
{
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < parts_n; i++) {
        crypto_hash_sha256_update(&state, parts[i].p, parts[i].n);
    }
    crypto_hash_sha256_final(&state, out);
}

void digest_hmac_sha256(uint8_t out[SHA256_BYTES], struct slice key, const struct slice *parts,
                        size_t parts_n)
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key.p, key.n);
    for (size_t i = 0; i < parts_n; i++) {
        crypto_auth_hmacsha256_update(&state, parts[i].p, parts[i].n);
    }
    crypto_auth_hmacsha256_final(&state, out);
    sodium_memzero(&state, sizeof state);
}

void digest_hmac_sha256_hex(char out[SHA256_HEX + 1], struct slice key, const struct slice *parts,
                            size_t parts_n)
{
    uint8_t mac[SHA256_BYTES];
    digest_hmac_sha256(mac, key, parts, parts_n);
    hex_put(out, slice_of(mac, sizeof mac));
}

bool digest_md5_hex(char out[MD5_HEX + 1], struct slice message)
{
    uint8_t md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(message.p, message.n, md, &n, EVP_md5(), NULL) != 1 || n * 2 != MD5_HEX) {
        return false;
    }
    hex_put(out, slice_of(md, n));
    return true;
}

void digest_text(uint8_t out[TEXT_HASH_BYTES], struct slice text)
{
    digest_blake2b(out, TEXT_HASH_BYTES, slice_of(NULL, 0), &text, 1);
}

void hex_put(char *out, struct slice bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.n; i++) {
        *out++ = digits[bytes.p[i] >> 4];
        *out++ = digits[bytes.p[i] & 15];
    }
    *out = '\0';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_get(struct slice text, uint8_t *out, size_t out_n)
{
    if (text.n != 2 * out_n) {
        return false;
    }
    for (size_t i = 0; i < out_n; i++) {
        int high = hex_digit(text.p[2 * i]), low = hex_digit(text.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Sets version and variant (RFC 9562 section 4) and writes the 8-4-4-4-12 form. */
static void uuid_put(uint8_t id[16], unsigned version, char out[UUID_CHARS + 1])
{
    id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    char digits[33];
    hex_put(digits, slice_of(id, 16));
    static const size_t ends[5] = {8, 12, 16, 20, 32};
    size_t from = 0;
    for (size_t i = 0; i < 5; i++) {
        if (i > 0) {
            *out++ = '-';
        }
        memcpy(out, digits + from, ends[i] - from);
        out += ends[i] - from;
        from = ends[i];
    }
    *out = '\0';
}

void uuid_v4(const uint8_t random[16], char out[UUID_CHARS + 1])
{
    uint8_t id[16];
    memcpy(id, random, sizeof id);
    uuid_put(id, 4, out);
}

void uuid_v7(int64_t now_ms, const uint8_t random[10], char out[UUID_CHARS + 1])
{
    uint8_t id[16], time[8];
    be64_put(time, (uint64_t)now_ms);
    memcpy(id, time + 2, 6); /* 48 bits of milliseconds, RFC 9562 section 5.7 */
    memcpy(id + 6, random, 10);
    uuid_put(id, 7, out);
}

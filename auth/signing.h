/* auth/signing.h: the hub's Ed25519 keys, current and retired, and the public keys of others that
 * it trusts (design.md section 6).
 *
 * The keys stand in <data>/keys/signing.keys. A key's id is its RFC 7638 thumbprint. Rotation makes
 * a new current key; the one before still verifies until its overlap is over. A ring of keys never
 * changes: rotation and trust give a new one, which the caller hands to the threads.
 *
 * Owns     the secret keys, in memory that is locked, guarded and wiped.
 * Threads  immutable; ref/unref, find and sign from any thread. signing_open and signing_rotate
 *          wait for the disk.
 * Units    milliseconds since 1970.
 * Limits   64 own keys, 256 trusted ones, ids up to 128 bytes.
 * Errors   enum signing_rc; out_text gets a sentence, never key material.
 */
#ifndef WAGGLE_AUTH_SIGNING_H
#define WAGGLE_AUTH_SIGNING_H

#include "store/mem.h"

struct signing;

enum signing_rc {
    SIGNING_OK = 0,
    SIGNING_IO,
    SIGNING_BAD_FILE, /* not a file of keys; or not a JWK set */
    SIGNING_TOO_MANY, /* rotated so often that 64 keys are still in their overlap */
};

enum {
    SIGNING_SEED_BYTES = 32,
    SIGNING_PUBLIC_BYTES = 32,
    SIGNATURE_BYTES = 64,
    SIGNING_KID_CHARS = 43,
    SIGNING_OWN_MAX = 64,
    SIGNING_TRUSTED_MAX = 256,
    SIGNING_TRUSTED_KID_MAX = 128,
};

/* Reads the keys; makes one from seed when there is no file. */
enum signing_rc signing_open(const char *data_dir, const uint8_t seed[SIGNING_SEED_BYTES],
                             int64_t now_ms, struct signing **out, char *out_text, size_t text_n);
struct signing *signing_of(const uint8_t seed[SIGNING_SEED_BYTES], int64_t now_ms); /* no file */
struct signing *signing_ref(struct signing *keys);
void signing_unref(struct signing *keys); /* NULL is fine */

/* A new ring with a new current key, on disk before this returns. The one before verifies for
 * overlap_ms more; those whose overlap is over are forgotten. */
enum signing_rc signing_rotate(const struct signing *keys, const uint8_t seed[SIGNING_SEED_BYTES],
                               int64_t now_ms, int64_t overlap_ms, struct signing **out,
                               char *out_text, size_t text_n);

/* A new ring that trusts the Ed25519 keys of a JWK set (RFC 7517, RFC 8037) instead of those it
 * trusted before. Skipped are other kinds, other uses, bad points, keys without an id, and ids
 * that are taken. */
enum signing_rc signing_trust(const struct signing *keys, struct slice jwks, struct signing **out,
                              unsigned *out_taken, unsigned *out_skipped);

/* The id of the key that signs now: 43 characters and a NUL. */
const char *signing_kid(const struct signing *keys);
const uint8_t *signing_public(const struct signing *keys);
/* The public key of that id, own or trusted; NULL when there is none, or its overlap is over. */
const uint8_t *signing_find(const struct signing *keys, struct slice kid, int64_t now_ms);
/* The JWK set with the own keys that verify now, appended. */
void signing_jwks(const struct signing *keys, int64_t now_ms, struct buf *out);

/* Signs with the current key. A token's signature covers the message alone; everything else the hub
 * signs (certificates, heads of the audit log) names its purpose, a word, which is put before the
 * message with a line feed, so that nothing signed for one end can pass for another: a token has no
 * line feed. */
void signing_sign_token(const struct signing *keys, struct slice message,
                        uint8_t out[SIGNATURE_BYTES]);
void signing_sign(const struct signing *keys, const char *purpose, struct slice message,
                  uint8_t out[SIGNATURE_BYTES]);

/* ---- without a ring: verifying, and keys that agents register ---- */

/* A point of the right order, in the one right form. */
bool signature_key_valid(const uint8_t public_key[SIGNING_PUBLIC_BYTES]);
bool signature_check_token(const uint8_t public_key[SIGNING_PUBLIC_BYTES], struct slice message,
                           const uint8_t signature[SIGNATURE_BYTES]);
bool signature_check(const uint8_t public_key[SIGNING_PUBLIC_BYTES], const char *purpose,
                     struct slice message, const uint8_t signature[SIGNATURE_BYTES]);
/* RFC 7638 thumbprint, base64url. */
void signature_kid(const uint8_t public_key[SIGNING_PUBLIC_BYTES], char out[SIGNING_KID_CHARS + 1]);

#endif

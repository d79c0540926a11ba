/* auth/digest.h: hashes, comparing secrets, random bytes and ids, whatever library does them.
 *
 * Owns     nothing.
 * Threads  auth_init() once before there are threads; everything else any thread.
 * Units    bytes; hex is lower case.
 * Limits   BLAKE2b digests 16..64 bytes, keys up to 64.
 */
#ifndef WAGGLE_AUTH_DIGEST_H
#define WAGGLE_AUTH_DIGEST_H

#include "store/bytes.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 64, MD5_HEX = 32, UUID_CHARS = 36 };

/* Makes the cryptography of this process ready. False: it cannot be, and the program must end. */
bool auth_init(void);

/* The one source of randomness of the program. Only the edge draws from it (hub/net, hub/main, the
 * command line); what lies below is given its bytes, so that a simulation can repeat them. */
void auth_random(void *out, size_t n);

/* Overwrites a secret that goes out of use; the compiler does not remove it. */
void digest_wipe(void *p, size_t n);
/* Equal bytes? The time taken tells the lengths and nothing else. */
bool digest_equal(struct slice a, struct slice b);

/* Each hashes its parts one after another as if they were one message. */
void digest_blake2b(uint8_t *out, size_t out_n, struct slice key, const struct slice *parts,
                    size_t parts_n);
void digest_sha256(uint8_t out[SHA256_BYTES], const struct slice *parts, size_t parts_n);
void digest_hmac_sha256(uint8_t out[SHA256_BYTES], struct slice key, const struct slice *parts,
                        size_t parts_n);
void digest_hmac_sha256_hex(char out[SHA256_HEX + 1], struct slice key, const struct slice *parts,
                            size_t parts_n);
/* MD5 is for the Pusher HTTP API's body_md5 alone. False: this system forbids MD5. */
bool digest_md5_hex(char out[MD5_HEX + 1], struct slice message);

/* The 16 bytes by which rows and sets know a text: unkeyed BLAKE2b. */
enum { TEXT_HASH_BYTES = 16 };
void digest_text(uint8_t out[TEXT_HASH_BYTES], struct slice text);

void hex_put(char *out, struct slice bytes);                 /* 2 n characters and a NUL */
bool hex_get(struct slice text, uint8_t *out, size_t out_n); /* exactly 2 out_n lower-case digits */

/* RFC 9562, from bytes that the caller drew. */
void uuid_v4(const uint8_t random[16], char out[UUID_CHARS + 1]);
void uuid_v7(int64_t now_ms, const uint8_t random[10], char out[UUID_CHARS + 1]);

#endif

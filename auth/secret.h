/* auth/secret.h: the server secret, 32 random bytes in <data>/keys/server.secret, and the keys that
 * are derived from it, one for each use, so that no key serves two ends.
 *
 * Owns     the keys, in memory that is locked, guarded and wiped.
 * Threads  immutable; any thread.
 * Errors   enum keyfile_rc.
 */
#ifndef WAGGLE_AUTH_SECRET_H
#define WAGGLE_AUTH_SECRET_H

#include "auth/keyfile.h"

struct secret;

/* The numbers are part of what is on disk: never reuse one. */
enum secret_use {
    SECRET_API_KEYS = 1,  /* hashes of API keys */
    SECRET_SEAL = 2,      /* secrets of apps at rest */
    SECRET_ENCRYPTED = 3, /* master of encrypted Pusher channels (pusher-protocol.md section 7) */
    SECRET_CURSORS = 4,   /* paging cursors and other text that callers carry and must not alter */
    SECRET_USES = 5
};
enum { SECRET_BYTES = 32, SEAL_NONCE_BYTES = 24, SEAL_EXTRA_BYTES = 24 + 16 };

/* Reads the secret; makes it from fresh when there is none and `make` is set. */
enum keyfile_rc secret_open(const char *data_dir, bool make, const uint8_t fresh[SECRET_BYTES],
                            struct secret **out, char *out_text, size_t text_n);
struct secret *secret_of(const uint8_t bytes[SECRET_BYTES]);                 /* without a file */
void secret_free(struct secret *secret);                                     /* NULL is fine */
const uint8_t *secret_key(const struct secret *secret, enum secret_use use); /* 32 bytes */

/* Appends nonce and sealed bytes: SEAL_EXTRA_BYTES more than what goes in. A nonce is used once. */
void secret_seal(const struct secret *secret, struct slice clear,
                 const uint8_t nonce[SEAL_NONCE_BYTES], struct buf *out);
/* Opens what was sealed into out (sealed.n - SEAL_EXTRA_BYTES bytes). False: altered, or sealed
 * under another secret. */
bool secret_unseal(const struct secret *secret, struct slice sealed, uint8_t *out);

#endif

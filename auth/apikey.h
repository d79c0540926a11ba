/* auth/apikey.h: API keys: long-lived credentials, shown once and stored as keyed hashes.
 *
 * Text     wg_<app id>_<48 hex digits>: 20 random bytes and 4 that check the rest, so that a
 *          scanner for leaked secrets knows one when it sees it:
 *          wg_[A-Za-z0-9_-]{1,64}_[0-9a-f]{48}. A key that the operator gave (--admin-key) may be
 *          any text.
 * Rows     TABLE_API_KEY: hash (32 bytes) -> version 1, app, role, given, created, expires,
 *          revoked, last characters, name, capabilities. The id is the hash's first 8 bytes in hex,
 *          so a key is found by its id without an index.
 * Threads  functions with a txn: the writer, which never sees a key's text, only its hash.
 * Units    milliseconds since 1970; 0 for expires and revoked: never.
 * Limits   text 1..256 bytes, name 0..128 bytes.
 * Errors   enum store_rc: STORE_INVALID a field out of bounds, STORE_EXISTS the key is there.
 */
#ifndef WAGGLE_AUTH_APIKEY_H
#define WAGGLE_AUTH_APIKEY_H

#include "auth/principal.h"
#include "auth/secret.h"
#include "store/store.h"

enum {
    API_KEY_RANDOM_BYTES = 20,
    API_KEY_HASH_BYTES = 32,
    API_KEY_ID_CHARS = 16,
    API_KEY_TEXT_MAX = 256,
    API_KEY_NAME_MAX = 128,
    API_KEY_LAST_CHARS = 4,
};

struct api_key {
    uint8_t hash[API_KEY_HASH_BYTES];
    uint32_t app;
    enum role role;
    bool given; /* by --admin-key: lives as long as the hub is started with it */
    int64_t created_ms, expires_ms, revoked_ms;
    char last[API_KEY_LAST_CHARS + 1]; /* of the text, to tell keys apart; empty for short ones */
    struct slice name;
    struct slice caps; /* compiled; empty: the role's defaults */
};

/* A new key's text, appended. */
void api_key_text(struct slice app_id, const uint8_t random[API_KEY_RANDOM_BYTES], struct buf *out);
/* Has the form of a text that api_key_text() made, check digits included. */
bool api_key_looks_made(struct slice text);
/* Fills in hash and last. False: the text is empty or too long. */
bool api_key_hash(const struct secret *secret, struct slice text, struct api_key *out);
void api_key_id(const uint8_t hash[API_KEY_HASH_BYTES], char out[API_KEY_ID_CHARS + 1]);

enum store_rc api_key_add(struct store_txn *txn, const struct api_key *key);
/* Name and capabilities are borrowed from the view. Whether it is expired or revoked is for the
 * caller to see. */
enum store_rc api_key_find(struct store_view *view, const uint8_t hash[API_KEY_HASH_BYTES],
                           struct api_key *out);
enum store_rc api_key_by_id(struct store_view *view, struct slice id, struct api_key *out);
/* STORE_NOT_FOUND: no such key in this app. Revoking twice keeps the first time. A revocation of
 * kind REVOKE_KEY must be added in the same transaction (auth/revocation.h): it reaches the
 * threads. */
enum store_rc api_key_revoke(struct store_txn *txn, uint32_t app, struct slice id, int64_t now_ms);
enum store_rc api_key_remove(struct store_txn *txn, const uint8_t hash[API_KEY_HASH_BYTES]);

/* Visits the keys of an app (0: of all) in the order of their ids, beginning after `after` (an
 * id's bytes; empty: from the first), until visit returns false. */
typedef bool api_key_visit(void *ctx, const struct api_key *key);
enum store_rc api_keys_each(struct store_view *view, uint32_t app, struct slice after,
                            api_key_visit *visit, void *ctx);

/* Usable now? */
bool api_key_live(const struct api_key *key, int64_t now_ms);
/* The principal of that key; app_id is its app's. */
struct principal *api_key_principal(const struct api_key *key, struct slice app_id);

#endif

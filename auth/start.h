/* auth/start.h: what must be there before anyone can be let in: the server secret, a signing key,
 * the app `main`, an admin key.
 *
 * Called at every start, before there are threads. What is missing is made: at the first start that
 * is everything; later an admin key, when none is left that works.
 *
 * Owns     struct auth_state: everything in it.
 * Errors   enum auth_start_rc; out_text gets a sentence that names the file or option at fault, and
 * no secret.
 */
#ifndef WAGGLE_AUTH_START_H
#define WAGGLE_AUTH_START_H

#include "auth/apikey.h"
#include "auth/app.h"
#include "auth/signing.h"

enum { AUTH_START_APPS_MAX = 64 };

struct auth_start_random { /* drawn by the caller, all of it */
    uint8_t secret[SECRET_BYTES];
    uint8_t signing_seed[SIGNING_SEED_BYTES];
    uint8_t admin_key[API_KEY_RANDOM_BYTES];
    uint8_t pusher_key[10], pusher_secret[20];
    uint8_t nonces[1 + AUTH_START_APPS_MAX][SEAL_NONCE_BYTES];
};

struct auth_start_options {
    const char *data_dir;
    const char *admin_key;   /* --admin-key; NULL: none given */
    const char *const *apps; /* --app ID:KEY:SECRET */
    size_t apps_n;
    const char *trust_jwks; /* --trust-jwks FILE; NULL: none */
    int64_t now_ms;
    const struct auth_start_random *random;
};

enum auth_start_rc {
    AUTH_START_OK = 0,
    AUTH_START_USAGE, /* an option is not of its form: exit 2 */
    AUTH_START_FILE,  /* a file of keys cannot be used: exit 1 */
    AUTH_START_STORE, /* the store refused: exit 1 */
};

struct auth_state {
    struct secret *secret;
    struct signing *signing;
    char *new_admin_key;  /* in clear, to be shown once; NULL: none was made */
    char *new_pusher_key; /* of app main, when it was made */
    char *new_pusher_secret;
    unsigned trusted, skipped; /* keys of --trust-jwks */
};

enum auth_start_rc auth_start(struct store *store, const struct auth_start_options *options,
                              struct auth_state *out, char *out_text, size_t text_n);
void auth_state_done(struct auth_state *state); /* wipes what is secret; fine when all zero */

#endif

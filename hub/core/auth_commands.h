/* hub/core/auth_commands.h: changes of who may come in, decided by the writer: API keys,
 * revocations, apps, the signing key.
 *
 * Secrets never meet the writer in clear: a command carries hashes and what is sealed
 * (auth/secret.h), and its reply gives the sealed text back, so that the thread that answers can
 * show it once; an answer that is kept for an idempotency key is sealed in the store too.
 *
 * Rotating the signing key is the one command that acts outside its transaction: the file of keys
 * is written when it is applied, and it stays rotated when the batch is aborted. That does no harm,
 * as the key before it verifies on; a batch that runs again does not rotate twice.
 *
 * Owns     the module: the rings of keys it made, until the writer is freed, as threads may look at
 * old ones. Threads  apply functions: the writer. …_put and …_get: any. Units    milliseconds since
 * 1970. Errors   enum hub_rc; a refusal's sentence is its reply.
 */
#ifndef WAGGLE_HUB_CORE_AUTH_COMMANDS_H
#define WAGGLE_HUB_CORE_AUTH_COMMANDS_H

#include "hub/core/hub.h"
#include "hub/core/why.h"

enum { MODULE_AUTH = 1 }; /* its place among the writer's modules */

extern const struct module auth_module;

struct auth_options {
    _Atomic(struct signing *) *signing; /* the ring in force, replaced by a rotation */
    _Atomic uint64_t *signing_changes;  /* counted up when it was */
    _Atomic(const struct hub_settings *) *settings;
    void (*draw)(void *out, size_t n); /* randomness for new signing keys */
    const struct clock *clock;         /* whose wall ends credentials; NULL: the writer's time */
};

/* Every body begins with a why: an event on the channel `auth` of the caller's app tells of the
 * change. It names keys, tokens and apps by their ids and holds nothing that is secret. */

/* ---- tokens ---- */

/* The number of its app, then what a token says that was signed; that comes back as the reply. It
 * is kept nowhere, but who let whom in is told, in the token's app too. When why.by is empty it is
 * not: who may only renew what is its own could push everything else out of the channel. */
void auth_token_put(struct buf *b, const struct principal_spec *token);
bool auth_token_get(struct slice bytes, struct principal_spec *out);
extern const struct command_kind command_token_mint;

/* ---- API keys ---- */

/* As a body and as the reply; sealed: the key's text. The reply has the time of its making. */
struct auth_key_made {
    struct api_key key;
    struct slice sealed;
};
void auth_key_put(struct buf *b, const struct auth_key_made *made);
bool auth_key_get(struct slice bytes, struct auth_key_made *out);
extern const struct command_kind command_key_create;

/* Body: the key's id. Reply: auth_key_revoked. */
struct auth_key_revoked {
    int64_t at_ms;
    struct slice id;
};
bool auth_key_revoked_get(struct slice reply, struct auth_key_revoked *out);
extern const struct command_kind command_key_revoke;

/* ---- revocations ---- */

/* As a body and as the reply; app and made_ms are the writer's to say. */
void auth_revocation_put(struct buf *b, const struct revocation *revocation);
bool auth_revocation_get(struct slice bytes, struct revocation *out);
extern const struct command_kind command_revoke;

/* ---- apps ---- */

/* Made with an admin key of its own: nobody of another app could make one. The new app's channel
 * `auth` begins with that key. */
struct auth_app_made {
    struct app app; /* without its secret; the number is the writer's to say */
    struct slice sealed_secret;
    struct auth_key_made admin;
};
void auth_app_made_put(struct buf *b, const struct auth_app_made *made);
bool auth_app_made_get(struct slice bytes, struct auth_app_made *out);
extern const struct command_kind command_app_create;

struct auth_app_change {
    struct slice id;
    bool has_enabled, has_name, has_limits;
    bool enabled;
    struct slice name;
    struct app_limits limits;
};
void auth_app_change_put(struct buf *b, const struct auth_app_change *change);
/* The reply: the app as it is now, without its secret. */
bool auth_app_get(struct slice reply, struct app *out);
extern const struct command_kind command_app_update;

/* ---- the signing key ---- */

struct auth_rotated {
    int64_t at_ms;
    int64_t overlap_ms; /* the key before verifies for so long */
    struct slice kid, kid_before;
};
bool auth_rotated_get(struct slice reply, struct auth_rotated *out);
extern const struct command_kind command_signing_rotate;

#endif

/* hub/api/credentials.h: credentials that an answer shows once: a token is signed on the I/O thread
 * that is asked for it, any other secret travels sealed to the writer and back, so neither the
 * writer nor the store sees it in clear (hub/core/auth_commands.h).
 *
 * Threads  the caller's I/O thread.       Units  milliseconds since 1970, of the wall.
 */
#ifndef WAGGLE_HUB_API_CREDENTIALS_H
#define WAGGLE_HUB_API_CREDENTIALS_H

#include "auth/token.h"
#include "hub/api/operation.h"

/* Times in credentials are read by others too. */
int64_t call_wall_ms(const struct call *call);

/* Signs a token for that principal and draws its id, which spec->id points to then. */
enum token_rc call_sign(struct call *call, struct principal_spec *spec, char out_id[UUID_CHARS + 1],
                        struct buf *out_token);

/* The same token again, for a principal with that id: a signature of Ed25519 follows from key and
 * text, so while the hub signs with that key the token is the same to the letter. */
enum token_rc call_sign_again(const struct call *call, const struct principal_spec *spec,
                              struct buf *out_token);

void call_seal(struct call *call, struct slice clear, struct buf *out);
/* Shows what was sealed, as the value of that name; false: it was not sealed by this hub. */
bool put_sealed(struct json_out *o, const struct call *call, const char *name, struct slice sealed);

#endif

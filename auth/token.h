/* auth/token.h: tokens: JWT (RFC 7519) signed with EdDSA (RFC 8037) and nothing else.
 *
 * Claims   sub, aud ("waggle", or a list with it) and exp are demanded. app is "main" when absent,
 *          role "guest". iss, iat, nbf, jti and cap may be absent. Others are ignored.
 * Checks   in the order of dependencies.md: what costs nothing first, nothing of the content is
 *          believed before the signature holds.
 * Owns     nothing.
 * Threads  any.
 * Units    milliseconds since 1970 (whole seconds in the token).
 * Limits   8 KiB; JSON depth 8; times up to the year 9999.
 * Errors   enum token_rc is for counters and logs. Whoever sent the token hears one and the same
 *          answer for all of them.
 */
#ifndef WAGGLE_AUTH_TOKEN_H
#define WAGGLE_AUTH_TOKEN_H

#include "auth/app.h"
#include "auth/principal.h"
#include "auth/signing.h"

enum { TOKEN_BYTES_MAX = 8192, TOKEN_JSON_DEPTH_MAX = 8 };
#define TOKEN_AUDIENCE "waggle"

enum token_rc {
    TOKEN_OK = 0,
    TOKEN_TOO_LONG,
    TOKEN_BAD_SHAPE,     /* not three parts of strict base64url */
    TOKEN_BAD_HEADER,    /* not JSON as it should be, a wrong typ, or crit */
    TOKEN_BAD_ALGORITHM, /* anything but EdDSA */
    TOKEN_UNKNOWN_KEY,   /* no kid, or not one of ours */
    TOKEN_BAD_SIGNATURE,
    TOKEN_BAD_CLAIMS, /* missing, twice, of the wrong type or out of bounds */
    TOKEN_BAD_AUDIENCE,
    TOKEN_EXPIRED,
    TOKEN_NOT_YET, /* nbf or iat lies ahead */
    TOKEN_BAD_APP, /* unknown or disabled */
    TOKEN_RC_COUNT
};
const char *token_rc_name(enum token_rc rc); /* "bad_signature" */

struct token_claims {
    struct slice issuer, subject, app_id, id; /* issuer and id may be empty */
    enum role role;
    int64_t issued_ms, not_before_ms, expires_ms; /* issued and not_before: 0 for none */
    struct slice caps;                            /* compiled; empty: no cap claim */
};

/* Appends the token. TOKEN_BAD_CLAIMS: out of bounds or not UTF-8; TOKEN_TOO_LONG. */
enum token_rc token_mint(const struct signing *keys, const struct token_claims *claims,
                         struct buf *out);

/* Looks like a token rather than an API key: two dots. */
bool token_looks_like(struct slice text);
/* *out is a new principal, whose reference is the caller's. Revocation is not looked at here. */
enum token_rc token_verify(const struct signing *keys, const struct apps *apps, struct slice token,
                           int64_t now_ms, struct principal **out);

#endif

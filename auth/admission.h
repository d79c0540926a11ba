/* auth/admission.h: from the text a caller presents to the principal it stands for.
 *
 * A token costs a signature check and an API key a look-up once; from then on both cost one hash
 * and a look in a small cache, and everyone with the same credential shares one principal.
 *
 * Owns     the cache, which holds a reference on each principal in it. The rules are borrowed.
 * Threads  one admission per I/O thread.
 * Units    milliseconds since 1970.
 * Limits   the cache has a fixed number of places; the one unused longest among four goes.
 * Errors   enum admit_rc is for counters and logs; the caller outside hears 401 for all of them.
 */
#ifndef WAGGLE_AUTH_ADMISSION_H
#define WAGGLE_AUTH_ADMISSION_H

#include "auth/apikey.h"
#include "auth/revocation.h"
#include "auth/token.h"

struct admission;

enum { ADMISSION_PLACES_DEFAULT = 4096, ADMISSION_SEED_BYTES = 32 };

/* What admission goes by. Each is replaced whole when it changes; the caller keeps the references
 * until it has called admission_rules() with the next. */
struct admission_rules {
    const struct secret *secret;
    const struct signing *signing;
    const struct apps *apps;
    const struct revocations *revocations;
};

enum admit_rc {
    ADMIT_OK = 0,
    ADMIT_BAD_TOKEN, /* out_why says which way */
    ADMIT_UNKNOWN_KEY,
    ADMIT_KEY_ENDED, /* an API key revoked or expired */
    ADMIT_EXPIRED,
    ADMIT_REVOKED,
    ADMIT_BAD_APP, /* gone or disabled */
    ADMIT_STORE,   /* the row could not be read: 503 rather than 401 */
    ADMIT_RC_COUNT
};
const char *admit_rc_name(enum admit_rc rc); /* "key_ended" */

struct admission *admission_new(const uint8_t seed[ADMISSION_SEED_BYTES], size_t places);
void admission_free(struct admission *admission); /* NULL is fine */
/* Must come before the first admit. Forgets what was learnt under other keys or apps. */
void admission_rules(struct admission *admission, const struct admission_rules *rules);

/* The credential as it came: a token or an API key. *out is a reference of the caller's. view is a
 * snapshot in which API keys are looked up; out_why (may be NULL) gets the token's own reason. */
enum admit_rc admission_admit(struct admission *admission, struct store_view *view,
                              struct slice credential, int64_t now_ms, struct principal **out,
                              enum token_rc *out_why);
/* Is who was admitted once still welcome? For connections that live long: ask when the rules change
 * and once a second past expires_ms. */
enum admit_rc admission_recheck(const struct admission *admission, const struct principal *p,
                                int64_t now_ms);

struct admission_stats {
    uint64_t hits, misses, refused[ADMIT_RC_COUNT], tokens_refused[TOKEN_RC_COUNT];
};
void admission_stats(const struct admission *admission, struct admission_stats *out);

#endif

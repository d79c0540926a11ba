/* auth/principal.h: who a caller is and what that caller may do.
 *
 * One principal is made per credential and shared by all its connections; it never changes.
 *
 * Rights on channels. Capabilities, when the credential carries any, decide alone: they may reach
 * further than the role's row below or less far. Without them the role's row decides:
 *
 *     role       public      presence    private     system (written by the hub alone)
 *     guest      S           -           -           -
 *     viewer     S H         S H         -           S H
 *     agent      S P M H     S P M H     -           S H of what concerns it, see below
 *     operator   S P M H     S P M H     S P M H     S H
 *     admin      S P M H     S P M H     S P M H     S H
 *
 *     S subscribe (and see who is present)   P publish   M be a present member   H history
 *
 * Nobody publishes to a system channel or becomes its member, capabilities or not. An agent's
 * system channels are agent.<its id> and pulse.<its id>; the roster `agents`; `tasks`, task.*, and
 * where agents work together: swarm.*, network.*, consensus.*, workflow.*. Not others' agent.* and
 * pulse.*, not `messages`, not `hub`. A signature of the Pusher wire gives its one channel to one
 * socket beyond any row; that is for channels to remember.
 *
 * A pattern that begins with a wildcard reaches channels of every kind and so needs the right on
 * every kind.
 *
 * Operations ask for a role; capabilities can only narrow that, never lift a role.
 *
 * Owns     copies of its texts and capabilities.
 * Threads  immutable; principal_ref/unref from any thread.
 * Units    milliseconds since 1970.
 */
#ifndef WAGGLE_AUTH_PRINCIPAL_H
#define WAGGLE_AUTH_PRINCIPAL_H

#include <stdatomic.h>

#include "auth/caps.h"
#include "auth/digest.h"

/* In order: each may do what those before it may do. */
enum role {
    ROLE_NONE,  /* as what an operation demands: a forgotten column, which nobody fulfils */
    ROLE_GUEST, /* knows no more than an app's public key */
    ROLE_VIEWER,
    ROLE_AGENT,
    ROLE_OPERATOR,
    ROLE_ADMIN,
    ROLE_COUNT
};
const char *role_name(enum role role);
bool role_from_text(struct slice text, enum role *out); /* "none" included */

enum principal_kind {
    PRINCIPAL_ANONYMOUS, /* no credential: the role of the config key anonymous_role */
    PRINCIPAL_API_KEY,
    PRINCIPAL_TOKEN,
    PRINCIPAL_APP_KEY,    /* a page that knows an app's public Pusher key: a guest */
    PRINCIPAL_APP_SECRET, /* a server that signed its request with the app's secret: an operator */
};

enum access { ACCESS_PUBLIC, ACCESS_PRESENCE, ACCESS_PRIVATE, ACCESS_SYSTEM, ACCESS_COUNT };

/* RFC 7519 section 4.1.4 allows "some small leeway": clocks of others may be off by so much. */
enum { TOKEN_LEEWAY_MS = 30000 };

enum { SUBJECT_BYTES_MAX = 128, CREDENTIAL_ID_BYTES_MAX = 128 };

struct principal {
    _Atomic uint32_t refs; /* principal_ref(), principal_unref() */
    uint32_t app;          /* the app's number */
    enum role role;
    enum principal_kind kind;
    int64_t issued_ms;  /* 0: not known, older than everything */
    int64_t expires_ms; /* 0: never */
    struct slice app_id;
    struct slice subject;                  /* token: sub; API key: its name */
    struct slice id;                       /* token: jti; API key: its id */
    struct slice caps;                     /* empty: the role's row decides */
    uint8_t subject_hash[TEXT_HASH_BYTES]; /* digest_text() of subject and id */
    uint8_t id_hash[TEXT_HASH_BYTES];
    uint8_t bytes[]; /* what the slices point to */
};

struct principal_spec {
    uint32_t app;
    enum role role;
    enum principal_kind kind;
    int64_t issued_ms, expires_ms;
    struct slice app_id, subject, id, caps; /* copied */
};

/* With one reference, the caller's. */
struct principal *principal_new(const struct principal_spec *spec);
struct principal *principal_ref(struct principal *p);
void principal_unref(struct principal *p); /* NULL is fine */

/* Past its time, a token's leeway included. */
bool principal_expired(const struct principal *p, int64_t now_ms);

/* May the caller do this on the channel, or on every channel that the pattern could match? */
bool principal_may_channel(const struct principal *p, enum right right,
                           struct slice channel_or_pattern, enum access access);
bool principal_may_call(const struct principal *p, struct slice operation, struct slice group,
                        enum role needed);
/* May the caller hand out a credential like this (a token or a key)? Nobody gives more than they
 * have: it is of the same app, its role no higher, its capabilities within the caller's. Below
 * operator it also bears the caller's own name, ends no later, and with capabilities only by who
 * has some. */
bool principal_may_grant(const struct principal *p, const struct principal_spec *wanted);

#endif

#include "auth/principal.h"

#include <assert.h>
#include <stdlib.h>

#include "auth/pattern.h"

static const char *const role_names[ROLE_COUNT] = {"none",  "guest",    "viewer",
                                                   "agent", "operator", "admin"};

const char *role_name(enum role role)
{
    return role_names[role];
}

bool role_from_text(struct slice text, enum role *out)
{
    for (int i = 0; i < ROLE_COUNT; i++) {
        if (slice_is(text, role_names[i])) {
            *out = (enum role)i;
            return true;
        }
    }
    return false;
}

enum {
    S = RIGHT_SUBSCRIBE,
    P = RIGHT_PUBLISH,
    M = RIGHT_PRESENCE,
    H = RIGHT_HISTORY,
};

/* The table of principal.h. */
/* clang-format off */
static const uint8_t role_rights[ROLE_COUNT][ACCESS_COUNT] = {
    /*                public   presence private  system */
    [ROLE_NONE]     = {0,       0,       0,       0},
    [ROLE_GUEST]    = {S,       0,       0,       0},
    [ROLE_VIEWER]   = {S|H,     S|H,     0,       S|H},
    [ROLE_AGENT]    = {S|P|M|H, S|P|M|H, 0,       0 /* see agent_reads() */},
    [ROLE_OPERATOR] = {S|P|M|H, S|P|M|H, S|P|M|H, S|H},
    [ROLE_ADMIN]    = {S|P|M|H, S|P|M|H, S|P|M|H, S|H},
};
/* clang-format on */

/* System channels that every agent of the app reads (native-protocol.md section 4). */
static const char *const agents_read[] = {
    "agents", "tasks", "task.>", "swarm.>", "network.>", "consensus", "consensus.>", "workflow.>",
};
/* … and those that it reads under its own id. */
static const char *const own_prefixes[] = {"agent.", "pulse."};

static bool agent_reads(const struct principal *p, struct slice name)
{
    for (size_t i = 0; i < sizeof agents_read / sizeof agents_read[0]; i++) {
        if (pattern_covers(slice_str(agents_read[i]), name)) {
            return true;
        }
    }
    if (pattern_is_wild(name)) {
        return false; /* an agent that is called "*" is still only one */
    }
    for (size_t i = 0; i < sizeof own_prefixes / sizeof own_prefixes[0]; i++) {
        size_t n = strlen(own_prefixes[i]);
        if (slice_starts(name, own_prefixes[i]) &&
            slice_equal(slice_of(name.p + n, name.n - n), p->subject)) {
            return p->subject.n > 0;
        }
    }
    return false;
}

static struct slice keep(struct principal *p, size_t *at, struct slice s)
{
    uint8_t *to = p->bytes + *at;
    if (s.n) {
        memcpy(to, s.p, s.n);
    }
    *at += s.n;
    return slice_of(to, s.n);
}

struct principal *principal_new(const struct principal_spec *spec)
{
    assert(spec->subject.n <= SUBJECT_BYTES_MAX && spec->id.n <= CREDENTIAL_ID_BYTES_MAX);
    assert(spec->caps.n == 0 || caps_valid(spec->caps));
    size_t at = 0, n = spec->app_id.n + spec->subject.n + spec->id.n + spec->caps.n;
    struct principal *p = xmalloc(sizeof *p + n);
    atomic_init(&p->refs, 1);
    p->app = spec->app;
    p->role = spec->role;
    p->kind = spec->kind;
    p->issued_ms = spec->issued_ms;
    p->expires_ms = spec->expires_ms;
    p->app_id = keep(p, &at, spec->app_id);
    p->subject = keep(p, &at, spec->subject);
    p->id = keep(p, &at, spec->id);
    p->caps = keep(p, &at, spec->caps);
    digest_text(p->subject_hash, p->subject);
    digest_text(p->id_hash, p->id);
    return p;
}

struct principal *principal_ref(struct principal *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void principal_unref(struct principal *p)
{
    if (p && atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) == 1) {
        free(p);
    }
}

bool principal_expired(const struct principal *p, int64_t now_ms)
{
    int64_t leeway_ms = p->kind == PRINCIPAL_TOKEN ? TOKEN_LEEWAY_MS : 0;
    return p->expires_ms != 0 && now_ms >= p->expires_ms + leeway_ms;
}

static bool role_allows(enum role role, enum right right, enum access access)
{
    return (role_rights[role][access] & right) != 0;
}

/* Who was let in and who shut out, and what is done to channels whoever may read these, concerns
 * those who may do so; whoever only looks may not see it. */
static bool is_shut_to(enum role role, struct slice channel, enum access access)
{
    return access == ACCESS_SYSTEM && role < ROLE_OPERATOR &&
           (slice_is(channel, "auth") || slice_is(channel, "channels"));
}

static bool role_allows_everywhere(enum role role, enum right right)
{
    for (int access = 0; access < ACCESS_COUNT; access++) {
        if (!role_allows(role, right, (enum access)access)) {
            return false;
        }
    }
    return true;
}

bool principal_may_channel(const struct principal *p, enum right right,
                           struct slice channel_or_pattern, enum access access)
{
    if (p->role == ROLE_NONE ||
        (access == ACCESS_SYSTEM && right != RIGHT_SUBSCRIBE && right != RIGHT_HISTORY)) {
        return false;
    }
    if (p->caps.n) {
        return caps_allow(p->caps, right, channel_or_pattern);
    }
    if (pattern_starts_wild(channel_or_pattern)) {
        return role_allows_everywhere(p->role, right);
    }
    return (role_allows(p->role, right, access) &&
            !is_shut_to(p->role, channel_or_pattern, access)) ||
           (access == ACCESS_SYSTEM && p->role == ROLE_AGENT && agent_reads(p, channel_or_pattern));
}

bool principal_may_call(const struct principal *p, struct slice operation, struct slice group,
                        enum role needed)
{
    if (needed == ROLE_NONE || p->role < needed) {
        return false;
    }
    return p->caps.n == 0 || caps_allow_call(p->caps, operation, group);
}

/* What those below operator must also keep to: or a token of five minutes would mint itself a year,
 * and one agent the name of another. */
static bool within_own(const struct principal *p, const struct principal_spec *wanted)
{
    bool ends =
        p->expires_ms == 0 || (wanted->expires_ms != 0 && wanted->expires_ms <= p->expires_ms);
    /* The role's row speaks of kinds of channels, capabilities of names: they cannot be compared.
     */
    bool comparable = wanted->caps.n == 0 || p->caps.n > 0;
    return ends && comparable && slice_equal(p->subject, wanted->subject);
}

bool principal_may_grant(const struct principal *p, const struct principal_spec *wanted)
{
    if (wanted->app != p->app || wanted->role > p->role || wanted->role == ROLE_NONE) {
        return false;
    }
    if (p->caps.n && !(wanted->caps.n && caps_cover(p->caps, wanted->caps))) {
        return false;
    }
    return p->role >= ROLE_OPERATOR || within_own(p, wanted);
}

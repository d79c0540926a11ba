/* Who asks over HTTP, and how much he may ask. */
#include "hub/net/http_parts.h"

#include "hub/net/http1_text.h"
#include "hub/net/native_parts.h"

/* ---- who asks ---- */

static struct slice bearer(const struct http1_request *req)
{
    const struct http1_header *h = http1_header(req, "x-api-key");
    if (h && h->value.n) {
        return h->value;
    }
    h = http1_header(req, "authorization");
    static const char scheme[] = "bearer ";
    if (!h || h->value.n < sizeof scheme ||
        !http1_same(slice_of(h->value.p, sizeof scheme - 1), scheme)) {
        return slice_of(h ? h->value.p : NULL, 0); /* another scheme: present, and nobody's */
    }
    return slice_of(h->value.p + sizeof scheme - 1, h->value.n - (sizeof scheme - 1));
}

/* One for all who do not say who they are. */
static struct principal *anonymous(struct net_thread *t)
{
    struct principal_spec spec = {.app = 1,
                                  .role = t->io.settings->anonymous_role,
                                  .kind = PRINCIPAL_ANONYMOUS,
                                  .app_id = slice_str("main"),
                                  .subject = slice_str("anonymous")};
    if (!t->anonymous || t->anonymous->role != spec.role) {
        principal_unref(t->anonymous);
        t->anonymous = principal_new(&spec);
    }
    return principal_ref(t->anonymous);
}

struct principal *http_who(struct conn *c, const struct http1_request *req, bool token_in_query,
                           bool *out_bad, bool *out_in_query)
{
    struct net_thread *t = c->thread;
    struct slice credential = bearer(req);
    struct store_view *view;
    struct principal *who = NULL;
    enum token_rc why;
    *out_bad = *out_in_query = false;
    if (!credential.p && token_in_query) {
        buf_clear(&t->scratch);
        *out_in_query =
            http1_query_get(req->query, "token", &t->scratch, &credential) == HTTP1_QUERY_PAIR;
        credential = *out_in_query ? credential : slice_of(NULL, 0);
    }
    if (!credential.p) {
        return anonymous(t);
    }
    enum admit_rc rc = ADMIT_STORE;
    if (store_snapshot(t->io.reader, &view) == STORE_OK) {
        rc = admission_admit(t->io.admission, view, credential, io_wall_ms(&t->io), &who, &why);
        store_release(t->io.reader);
    }
    if (rc != ADMIT_OK) {
        io_count(&t->io.counters.auth_failures[rc], 1);
        *out_bad = true;
    }
    return who;
}

/* ---- how much one may ask ---- */

static bool take(struct conn *c, const struct rate_rule *rule, uint64_t key, uint32_t cost,
                 struct rate_verdict *out)
{
    struct net_thread *t = c->thread;
    *out = rate_take(t->hub->rate, key, rule, cost, t->io.now_us);
    if (!out->ok) {
        io_count(&t->io.counters.rate_limited, 1);
    }
    return out->ok;
}

static uint64_t address_key(const struct conn *c)
{
    return rate_key_address(c->thread->hub->rate, RATE_CLASS_ADDRESS,
                            slice_of(c->address, c->address_n));
}

bool http_stranger_may(struct conn *c, struct rate_verdict *out)
{
    return take(c, &c->thread->io.settings->rate_address, address_key(c), 1, out);
}

bool http_within_rate(struct conn *c, struct http_exchange *x, bool known, uint32_t cost)
{
    const struct hub_settings *s = c->thread->io.settings;
    uint64_t key =
        known ? rate_key(c->thread->hub->rate, RATE_CLASS_REQUEST, x->who->app, x->who->subject)
              : address_key(c);
    x->rule = known ? s->rate_requests : s->rate_address;
    x->rated = true;
    return take(c, &x->rule, key, cost, &x->rate);
}

/* As draft-ietf-httpapi-ratelimit-headers-06 names them. Who was not asked for a name is a
 * stranger: what counts for him is his address. */
void http_add_rate(struct conn *c, struct buf *b, struct http_exchange *x)
{
    char policy[64];
    if (!x->rated) {
        (void)http_within_rate(c, x, false, 0);
    }
    if (x->rule.count) {
        http1_answer_add_u64(b, "RateLimit-Limit", x->rate.limit);
        http1_answer_add_u64(b, "RateLimit-Remaining", x->rate.remaining);
        http1_answer_add_u64(b, "RateLimit-Reset", x->rate.reset_s);
        (void)snprintf(policy, sizeof policy, "%u;w=%u;burst=%u", x->rule.count, x->rule.period_s,
                       x->rate.limit);
        http1_answer_add_str(b, "RateLimit-Policy", policy);
    }
}

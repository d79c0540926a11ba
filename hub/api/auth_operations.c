/* Who may come in: tokens, API keys, revocations, the signing key, apps (design.md section 6).
 *
 * A secret is shown once, in the answer to what made it (hub/api/credentials.h). Nothing is stored
 * of a token but what it says, and that only under an Idempotency-Key. */
#include "hub/api/components.h"
#include "hub/api/credentials.h"
#include "hub/api/moment.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/core/auth_commands.h"

enum { TTL_DEFAULT_S = 3600, LIST_DEFAULT = 1000, PUSHER_KEY_BYTES = 10, PUSHER_SECRET_BYTES = 20 };

/* ---- what answers have in common ---- */

static void put_caps(struct json_out *o, struct slice caps)
{
    json_key(o, "cap");
    if (caps.n == 0) {
        json_put_null(o);
        return;
    }
    struct buf text = {0};
    caps_put_json(caps, &text);
    json_raw(o, buf_slice(&text));
    buf_done(&text);
}

/* ---- parameters ---- */

/* Absent: *out_ms is not changed. */
static enum hub_rc moment_of(struct call *call, const char *field, int64_t *out_ms)
{
    struct slice text = call_text(call, field);
    if (text.n == 0 || moment_read(text, out_ms)) {
        return HUB_OK;
    }
    return call_fail_field(call, field, "value_error", "a time like 2026-11-20T17:00:00Z");
}

static enum hub_rc caps_of(struct call *call, struct buf *out)
{
    json_t *cap = call_json(call, "cap");
    if (!cap || json_is_null(cap)) {
        return HUB_OK;
    }
    enum caps_rc rc = caps_from_json(cap, out);
    return rc == CAPS_OK ? HUB_OK
                         : call_fail_field(call, "cap", "value_error", "%s", caps_rc_text(rc));
}

/* Nobody gives more than they have: what is not said is an agent's role, or the caller's where that
 * is less. */
static enum hub_rc role_of(struct call *call, enum role *out)
{
    struct slice text = call_text(call, "role");
    *out = call->who->role < ROLE_AGENT ? call->who->role : ROLE_AGENT;
    if (text.n && (!role_from_text(text, out) || *out == ROLE_NONE)) {
        return call_fail_field(call, "role", "value_error",
                               "one of guest, viewer, agent, operator, admin");
    }
    return HUB_OK;
}

static enum hub_rc grant(struct call *call, const struct principal_spec *wanted)
{
    if (wanted->app != call->who->app || principal_may_grant(call->who, wanted)) {
        /* Of another app: other_app() has judged. */
        return HUB_OK;
    }
    return call_fail(call, HUB_FORBIDDEN,
                     "this reaches beyond your own rights: role, capabilities, name or time");
}

static enum hub_rc text_fits(struct call *call, const char *field, size_t bytes_max)
{
    struct slice text = call_text(call, field);
    if (text.n > bytes_max) {
        return call_fail_field(call, field, "too_long", "at most %zu bytes", bytes_max);
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x20 || text.p[i] == 0x7f) {
            return call_fail_field(call, field, "value_error", "no control characters");
        }
    }
    return HUB_OK;
}

/* ---- auth.mint ---- */

static enum hub_rc token_end(struct call *call, int64_t *out_ms)
{
    int64_t most_ms = call->io->settings->token_ttl_max_ms;
    const struct principal *who = call->who;
    if (json_is_integer(call_json(call, "ttl_s"))) {
        int64_t ttl_s = call_int(call, "ttl_s", 0);
        if (ttl_s > most_ms / 1000) {
            return call_fail_field(call, "ttl_s", "less_than_equal", "at most %lld seconds",
                                   (long long)(most_ms / 1000));
        }
        *out_ms = call_wall_ms(call) + ttl_s * 1000;
        return HUB_OK;
    }
    int64_t ttl_ms = (int64_t)TTL_DEFAULT_S * 1000;
    *out_ms = call_wall_ms(call) + (ttl_ms < most_ms ? ttl_ms : most_ms);
    if (who->role < ROLE_OPERATOR && who->expires_ms && who->expires_ms < *out_ms) {
        *out_ms = who->expires_ms; /* as far as the caller's own reaches */
    }
    return HUB_OK;
}

/* … who make apps, let their first people in too. */
static enum hub_rc other_app(struct call *call, struct slice id, struct principal_spec *out)
{
    const struct app *app = apps_by_id(call->io->apps, id);
    if (!principal_rules_hub(call->who)) {
        return call_fail(call, HUB_FORBIDDEN, "tokens of another app are for its own admins");
    }
    if (!app) {
        return call_fail(call, HUB_NOT_FOUND, "App %.*s not found", (int)id.n, (const char *)id.p);
    }
    out->app = app->number;
    out->app_id = app->id;
    return HUB_OK;
}

static enum hub_rc mint_read(struct call *call, struct buf *caps, struct principal_spec *out)
{
    struct slice app = call_text(call, "app");
    *out = (struct principal_spec){.app = call->who->app,
                                   .app_id = call->who->app_id,
                                   .kind = PRINCIPAL_TOKEN,
                                   .issued_ms = call_wall_ms(call),
                                   .subject = call_text(call, "sub")};
    if (app.n && !slice_equal(app, call->who->app_id)) {
        enum hub_rc other = other_app(call, app, out);
        if (other != HUB_OK) {
            return other;
        }
    }
    enum hub_rc rc = text_fits(call, "sub", SUBJECT_BYTES_MAX);
    if (rc == HUB_OK) {
        rc = role_of(call, &out->role);
    }
    if (rc == HUB_OK) {
        rc = token_end(call, &out->expires_ms);
    }
    if (rc == HUB_OK) {
        rc = caps_of(call, caps);
    }
    if (rc == HUB_OK) {
        out->caps = caps->n ? buf_slice(caps) : call->who->caps;
        rc = grant(call, out);
    }
    return rc;
}

static void put_minted(struct call *call, const struct principal_spec *spec, struct slice token)
{
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "token", token);
    put_time(&o, "expires_at", spec->expires_ms / 1000 * 1000);
    put_count(&o, "expires_in", (uint64_t)(spec->expires_ms - spec->issued_ms) / 1000);
    put_text(&o, "jti", spec->id);
    put_text(&o, "sub", spec->subject);
    put_text(&o, "role", slice_str(role_name(spec->role)));
    put_text(&o, "app", spec->app_id);
    put_caps(&o, spec->caps);
    json_end(&o, '}');
}

/* Only who lets others in is told to all: below operator one renews what is one's own. The token is
 * a secret: what goes to the writer, and is kept for an idempotency key, is what it says, of which
 * it is signed again. */
static enum hub_rc mint_prepare(struct call *call, struct buf *body)
{
    struct buf caps = {0}, token = {0};
    struct principal_spec spec;
    struct why why = {.by = {0}};
    char jti[UUID_CHARS + 1];
    enum hub_rc rc = mint_read(call, &caps, &spec);
    if (rc == HUB_OK && call->who->role >= ROLE_OPERATOR) {
        rc = call_why(call, &why);
    }
    if (rc == HUB_OK) {
        enum token_rc signed_rc = call_sign(call, &spec, jti, &token);
        if (signed_rc == TOKEN_OK) {
            why_put(body, &why);
            pack_u32(body, spec.app);
            auth_token_put(body, &spec);
        } else if (signed_rc == TOKEN_TOO_LONG) {
            rc = call_fail_field(call, "cap", "too_long", "too many capabilities");
        } else {
            rc = call_fail_field(call, "sub", "value_error", "not a subject");
        }
    }
    buf_done(&token);
    buf_done(&caps);
    return rc;
}

static enum hub_rc mint_answer(struct call *call, const struct command *command, struct slice reply)
{
    struct principal_spec spec;
    struct buf token = {0};
    (void)command;
    bool good = auth_token_get(reply, &spec) && call_sign_again(call, &spec, &token) == TOKEN_OK;
    if (good) {
        put_minted(call, &spec, buf_slice(&token));
    }
    buf_done(&token);
    return good ? HUB_OK : HUB_INTERNAL;
}

/* ---- who changes it, and why ---- */

static enum hub_rc put_why(struct call *call, struct buf *body)
{
    struct why why;
    enum hub_rc rc = call_why(call, &why);
    if (rc == HUB_OK) {
        why_put(body, &why);
    }
    return rc;
}

/* ---- auth.revoke, auth.revocations ---- */

static enum hub_rc revocation_end(struct call *call, int64_t *out_ms)
{
    *out_ms = 0;
    if (json_is_integer(call_json(call, "ttl_s"))) {
        *out_ms = call_wall_ms(call) + call_int(call, "ttl_s", 0) * 1000;
    }
    return moment_of(call, "until", out_ms);
}

static enum hub_rc revoke_prepare(struct call *call, struct buf *body)
{
    struct slice jti = call_text(call, "jti"), sub = call_text(call, "sub");
    struct revocation r = {.kind = jti.n   ? REVOKE_TOKEN
                                   : sub.n ? REVOKE_SUBJECT
                                           : REVOKE_ISSUED_BEFORE,
                           .text = jti.n ? jti : sub,
                           .before_ms = jti.n ? 0 : call_wall_ms(call)};
    bool bounded = call_text(call, "issued_before").n != 0;
    if ((jti.n && (sub.n || bounded)) || (!jti.n && !sub.n && !bounded)) {
        return call_fail_field(call, NULL, "value_error",
                               "say which: jti; or sub, issued_before, or both");
    }
    if (r.kind == REVOKE_ISSUED_BEFORE && call->who->role < ROLE_ADMIN) {
        return call_fail(call, HUB_FORBIDDEN, "every token of the app is for admins to revoke");
    }
    enum hub_rc rc = text_fits(call, jti.n ? "jti" : "sub", SUBJECT_BYTES_MAX);
    if (rc == HUB_OK) {
        rc = moment_of(call, "issued_before", &r.before_ms);
    }
    if (rc == HUB_OK) {
        rc = revocation_end(call, &r.until_ms);
    }
    if (rc == HUB_OK) {
        rc = put_why(call, body);
    }
    if (rc == HUB_OK) {
        auth_revocation_put(body, &r);
    }
    return rc;
}

static void put_revocation(struct json_out *o, const struct revocation *r)
{
    static const char *const kinds[] = {[REVOKE_TOKEN] = "token",
                                        [REVOKE_SUBJECT] = "subject",
                                        [REVOKE_ISSUED_BEFORE] = "issued_before",
                                        [REVOKE_KEY] = "key"};
    static const char *const names[] = {
        [REVOKE_TOKEN] = "jti", [REVOKE_SUBJECT] = "sub", [REVOKE_KEY] = "key"};
    put_text(o, "kind", slice_str(kinds[r->kind]));
    if (r->kind != REVOKE_ISSUED_BEFORE) {
        put_text(o, names[r->kind], r->text);
    }
    if (r->kind == REVOKE_SUBJECT || r->kind == REVOKE_ISSUED_BEFORE) {
        put_time(o, "issued_before", r->before_ms);
    }
    put_time_or_null(o, "until", r->until_ms);
    put_time(o, "revoked_at", r->made_ms);
}

static enum hub_rc revoke_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct revocation r;
    (void)command;
    if (!auth_revocation_get(reply, &r)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_bool(&o, "revoked", true);
    put_revocation(&o, &r);
    json_end(&o, '}');
    return HUB_OK;
}

static bool visit_revocation(void *ctx, const struct revocation *r, struct slice place)
{
    struct page *page = ctx;
    if (!page_takes_key(page, place)) {
        return false;
    }
    json_begin(&page->o, '{');
    put_revocation(&page->o, r);
    json_end(&page->o, '}');
    return true;
}

static enum hub_rc list_revocations(struct call *call)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_after(&page);
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        page_list(&page, "revocations");
        enum store_rc src =
            revocations_each(page.view, call->who->app, page_last(&page), visit_revocation, &page);
        page_list_end(&page);
        json_end(&page.o, '}');
        rc = src == STORE_INVALID ? page_bad_cursor(call) : hub_rc_of_store(src);
    }
    page_close(&page);
    return rc;
}

/* ---- auth.whoami, auth.jwks ---- */

static enum hub_rc whoami(struct call *call)
{
    static const char *const kinds[] = {[PRINCIPAL_ANONYMOUS] = "anonymous",
                                        [PRINCIPAL_API_KEY] = "api_key",
                                        [PRINCIPAL_TOKEN] = "token",
                                        [PRINCIPAL_APP_KEY] = "app_key",
                                        [PRINCIPAL_APP_SECRET] = "app_secret"};
    const struct principal *who = call->who;
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "sub", who->subject);
    put_text(&o, "role", slice_str(role_name(who->role)));
    put_text(&o, "app", who->app_id);
    put_text(&o, "kind", slice_str(kinds[who->kind]));
    json_key(&o, "id");
    if (who->id.n) {
        json_text(&o, who->id);
    } else {
        json_put_null(&o);
    }
    put_time_or_null(&o, "issued_at", who->issued_ms);
    put_time_or_null(&o, "expires_at", who->expires_ms);
    put_caps(&o, who->caps);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc jwks(struct call *call)
{
    signing_jwks(atomic_load(&call->io->hub->signing), call_wall_ms(call), call->out);
    return HUB_OK;
}

/* ---- API keys ---- */

/* A new key of the app: its hash, and its text sealed. */
static void key_make(struct call *call, struct slice app_id, struct auth_key_made *made,
                     struct buf *sealed)
{
    uint8_t random[API_KEY_RANDOM_BYTES];
    struct buf text = {0};
    call->io->draw(random, sizeof random);
    api_key_text(app_id, random, &text);
    (void)api_key_hash(call->io->hub->secret, buf_slice(&text), &made->key);
    call_seal(call, buf_slice(&text), sealed);
    made->sealed = buf_slice(sealed);
    digest_wipe(text.p, text.n);
    digest_wipe(random, sizeof random);
    buf_done(&text);
}

static enum hub_rc key_end(struct call *call, int64_t *out_ms)
{
    *out_ms = 0;
    if (json_is_integer(call_json(call, "ttl_s"))) {
        *out_ms = call_wall_ms(call) + call_int(call, "ttl_s", 0) * 1000;
    }
    enum hub_rc rc = moment_of(call, "expires_at", out_ms);
    if (rc == HUB_OK && *out_ms && *out_ms <= call_wall_ms(call)) {
        return call_fail_field(call, "expires_at", "value_error", "is past");
    }
    return rc;
}

static enum hub_rc key_read(struct call *call, struct buf *caps, struct api_key *key)
{
    enum hub_rc rc = text_fits(call, "name", API_KEY_NAME_MAX);
    key->name = call_text(call, "name");
    if (rc == HUB_OK) {
        rc = role_of(call, &key->role);
    }
    if (rc == HUB_OK) {
        rc = key_end(call, &key->expires_ms);
    }
    if (rc == HUB_OK) {
        rc = caps_of(call, caps);
    }
    if (rc == HUB_OK) {
        key->caps = caps->n ? buf_slice(caps) : call->who->caps;
        rc = grant(call, &(struct principal_spec){.app = call->who->app,
                                                  .app_id = call->who->app_id,
                                                  .role = key->role,
                                                  .kind = PRINCIPAL_API_KEY,
                                                  .expires_ms = key->expires_ms,
                                                  .subject = key->name,
                                                  .caps = key->caps});
    }
    return rc;
}

static enum hub_rc key_create_prepare(struct call *call, struct buf *body)
{
    struct buf caps = {0}, sealed = {0};
    struct auth_key_made made = {0};
    enum hub_rc rc = key_read(call, &caps, &made.key);
    if (rc == HUB_OK) {
        rc = put_why(call, body);
    }
    if (rc == HUB_OK) {
        key_make(call, call->who->app_id, &made, &sealed);
        auth_key_put(body, &made);
    }
    buf_done(&caps);
    buf_done(&sealed);
    return rc;
}

static void put_key(struct json_out *o, const struct api_key *key, int64_t now_ms)
{
    char id[API_KEY_ID_CHARS + 1];
    api_key_id(key->hash, id);
    put_text(o, "id", slice_str(id));
    put_text(o, "name", key->name);
    put_text(o, "role", slice_str(role_name(key->role)));
    put_text(o, "last", slice_str(key->last));
    put_text(o, "status",
             slice_str(key->revoked_ms             ? "revoked"
                       : api_key_live(key, now_ms) ? "live"
                                                   : "expired"));
    put_caps(o, key->caps);
    put_time(o, "created_at", key->created_ms);
    put_time_or_null(o, "expires_at", key->expires_ms);
    put_time_or_null(o, "revoked_at", key->revoked_ms);
    put_bool(o, "given", key->given);
}

static enum hub_rc key_create_answer(struct call *call, const struct command *command,
                                     struct slice reply)
{
    struct auth_key_made made;
    struct json_out o = json_out_to(call->out);
    (void)command;
    json_begin(&o, '{');
    if (!auth_key_get(reply, &made) || !put_sealed(&o, call, "key", made.sealed)) {
        return HUB_INTERNAL;
    }
    put_key(&o, &made.key, call_wall_ms(call));
    json_end(&o, '}');
    return HUB_OK;
}

/* An id is the beginning of the hash that keys lie in the order of. */
static bool visit_key(void *ctx, const struct api_key *key)
{
    struct page *page = ctx;
    if (!page_takes_key(page, slice_of(key->hash, API_KEY_ID_CHARS / 2))) {
        return false;
    }
    json_begin(&page->o, '{');
    put_key(&page->o, key, call_wall_ms(page->call));
    json_end(&page->o, '}');
    return true;
}

static enum hub_rc list_keys(struct call *call)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_after(&page);
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        page_list(&page, "keys");
        enum store_rc src =
            api_keys_each(page.view, call->who->app, page_last(&page), visit_key, &page);
        page_list_end(&page);
        json_end(&page.o, '}');
        rc = src == STORE_INVALID ? page_bad_cursor(call) : hub_rc_of_store(src);
    }
    page_close(&page);
    return rc;
}

static enum hub_rc key_revoke_prepare(struct call *call, struct buf *body)
{
    enum hub_rc rc = put_why(call, body);
    if (rc == HUB_OK) {
        buf_add_slice(body, call_text(call, "id"));
    }
    return rc;
}

static enum hub_rc key_revoke_answer(struct call *call, const struct command *command,
                                     struct slice reply)
{
    struct auth_key_revoked r;
    (void)command;
    if (!auth_key_revoked_get(reply, &r)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "id", r.id);
    put_bool(&o, "revoked", true);
    put_time(&o, "revoked_at", r.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- auth.rotate ---- */

static enum hub_rc rotate_prepare(struct call *call, struct buf *body)
{
    enum hub_rc rc = call_demand_hub_admin(call);
    return rc == HUB_OK ? put_why(call, body) : rc;
}

static enum hub_rc rotate_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct auth_rotated r;
    (void)command;
    if (!auth_rotated_get(reply, &r)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "kid", r.kid);
    put_text(&o, "previous_kid", r.kid_before);
    put_time(&o, "rotated_at", r.at_ms);
    put_time(&o, "previous_verifies_until", r.at_ms + r.overlap_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- apps ---- */

static void put_app(struct json_out *o, const struct app *app)
{
    put_text(o, "id", app->id);
    put_count(o, "number", app->number);
    put_text(o, "name", app->name);
    put_text(o, "key", app->key);
    put_bool(o, "enabled", app->enabled);
    json_key(o, "limits");
    json_begin(o, '{');
    put_count(o, "connections_max", app->limits.connections_max);
    put_count(o, "channels_max", app->limits.channels_max);
    put_count(o, "publishes_per_s", app->limits.publishes_per_s);
    put_count(o, "message_bytes_max", app->limits.message_bytes_max);
    json_end(o, '}');
    put_time(o, "created_at", app->created_ms);
}

static struct app_limits limits_of(const struct call *call)
{
    const json_t *limits = call_json(call, "limits");
    struct app_limits out = {
        .connections_max = (uint32_t)json_integer_value(json_object_get(limits, "connections_max")),
        .channels_max = (uint32_t)json_integer_value(json_object_get(limits, "channels_max")),
        .publishes_per_s = (uint32_t)json_integer_value(json_object_get(limits, "publishes_per_s")),
        .message_bytes_max =
            (uint32_t)json_integer_value(json_object_get(limits, "message_bytes_max"))};
    return out;
}

/* What the caller gave, or as many random bytes in hex. */
static struct slice given_or_drawn(struct call *call, const char *field, size_t random_n,
                                   char out[2 * PUSHER_SECRET_BYTES + 1])
{
    struct slice text = call_text(call, field);
    if (text.n) {
        return text;
    }
    uint8_t random[PUSHER_SECRET_BYTES];
    call->io->draw(random, random_n);
    hex_put(out, slice_of(random, random_n));
    digest_wipe(random, sizeof random);
    return slice_str(out);
}

static enum hub_rc app_read(struct call *call)
{
    enum hub_rc rc = call_demand_hub_admin(call);
    struct slice id = call_text(call, "id"), key = call_text(call, "key");
    if (rc == HUB_OK && (!app_id_valid(id) || (key.n && !app_id_valid(key)))) {
        rc = call_fail_field(call, app_id_valid(id) ? "key" : "id", "value_error",
                             "1 to %d of A-Z a-z 0-9 _ -", APP_ID_BYTES_MAX);
    }
    if (rc == HUB_OK) {
        rc = text_fits(call, "name", APP_NAME_BYTES_MAX);
    }
    return rc == HUB_OK ? text_fits(call, "secret", APP_SECRET_BYTES_MAX) : rc;
}

static enum hub_rc app_create_prepare(struct call *call, struct buf *body)
{
    char key[2 * PUSHER_SECRET_BYTES + 1], secret[2 * PUSHER_SECRET_BYTES + 1];
    struct buf sealed_secret = {0}, sealed_admin = {0};
    struct auth_app_made made = {.app = {.enabled = true, .limits = limits_of(call)},
                                 .admin = {.key = {.role = ROLE_ADMIN}}};
    enum hub_rc rc = app_read(call);
    if (rc == HUB_OK) {
        rc = put_why(call, body);
    }
    if (rc != HUB_OK) {
        return rc;
    }
    made.app.id = call_text(call, "id");
    made.app.name = call_text(call, "name");
    made.app.key = given_or_drawn(call, "key", PUSHER_KEY_BYTES, key);
    call_seal(call, given_or_drawn(call, "secret", PUSHER_SECRET_BYTES, secret), &sealed_secret);
    digest_wipe(secret, sizeof secret);
    made.sealed_secret = buf_slice(&sealed_secret);
    made.admin.key.name = slice_str("admin");
    key_make(call, made.app.id, &made.admin, &sealed_admin);
    auth_app_made_put(body, &made);
    buf_done(&sealed_secret);
    buf_done(&sealed_admin);
    return HUB_OK;
}

static enum hub_rc app_create_answer(struct call *call, const struct command *command,
                                     struct slice reply)
{
    struct auth_app_made made;
    char id[API_KEY_ID_CHARS + 1];
    struct json_out o = json_out_to(call->out);
    (void)command;
    if (!auth_app_made_get(reply, &made)) {
        return HUB_INTERNAL;
    }
    api_key_id(made.admin.key.hash, id);
    json_begin(&o, '{');
    put_app(&o, &made.app);
    bool shown = put_sealed(&o, call, "secret", made.sealed_secret) &&
                 put_sealed(&o, call, "admin_key", made.admin.sealed);
    put_text(&o, "admin_key_id", slice_str(id));
    json_end(&o, '}');
    return shown ? HUB_OK : HUB_INTERNAL;
}

static enum hub_rc app_update_prepare(struct call *call, struct buf *body)
{
    struct auth_app_change change = {.id = call_text(call, "id"),
                                     .has_enabled = json_is_boolean(call_json(call, "enabled")),
                                     .has_name = json_is_string(call_json(call, "name")),
                                     .has_limits = json_is_object(call_json(call, "limits")),
                                     .enabled = call_bool(call, "enabled", true),
                                     .name = call_text(call, "name"),
                                     .limits = limits_of(call)};
    enum hub_rc rc = call_demand_hub_admin(call);
    if (rc == HUB_OK) {
        rc = text_fits(call, "name", APP_NAME_BYTES_MAX);
    }
    if (rc == HUB_OK) {
        rc = put_why(call, body);
    }
    if (rc == HUB_OK) {
        auth_app_change_put(body, &change);
    }
    return rc;
}

static enum hub_rc app_update_answer(struct call *call, const struct command *command,
                                     struct slice reply)
{
    struct app app;
    (void)command;
    if (!auth_app_get(reply, &app)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_app(&o, &app);
    json_end(&o, '}');
    return HUB_OK;
}

static bool app_visible(const struct principal *who, const struct app *app)
{
    return app->number == who->app || principal_rules_hub(who);
}

/* In the order of their numbers; those are dense and for good. */
static void put_apps(struct page *page)
{
    const struct apps *apps = page->call->io->apps;
    uint32_t after = page->last_n ? be32_get(page->last) : 0;
    for (size_t i = 0; i < apps_count(apps); i++) {
        const struct app *app = apps_at(apps, i);
        uint8_t number[4];
        if (app->number <= after || !app_visible(page->call->who, app)) {
            continue;
        }
        be32_put(number, app->number);
        if (!page_takes_key(page, slice_of(number, sizeof number))) {
            return;
        }
        json_begin(&page->o, '{');
        put_app(&page->o, app);
        json_end(&page->o, '}');
    }
}

static enum hub_rc list_apps(struct call *call)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_after(&page);
    if (rc == HUB_OK && page.last_n != 0 && page.last_n != 4) {
        rc = page_bad_cursor(call);
    }
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        page_list(&page, "apps");
        put_apps(&page);
        page_list_end(&page);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

static enum hub_rc get_app(struct call *call)
{
    const struct app *app = apps_by_id(call->io->apps, call_text(call, "id"));
    if (!app || !app_visible(call->who, app)) {
        return call_fail(call, HUB_NOT_FOUND, "app not found");
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_app(&o, app);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- the table ---- */

/* clang-format off */
#define ROLE {"enum":["guest","viewer","agent","operator","admin",null],"description":"At most the caller's own; agent when left out."}
#define CAP {"type":["object","null"],"description":"Rights by channel pattern, operation or group; the role's own when left out.","examples":[{"orders.>":["subscribe","publish"],"agents":["call"]}]}
#define TTL {"type":["integer","null"],"minimum":1,"maximum":3155760000}
#define LIMITS {"type":["object","null"],"description":"0: the hub's own limit alone.","properties":{ \
    "connections_max":U32,"channels_max":U32,"publishes_per_s":U32,"message_bytes_max":U32}}
#define U32 {"type":"integer","minimum":0,"maximum":4294967295}
#define KEY_ID {"type":"string","pattern":"^[0-9a-f]{16}$"}
#define APP_ID {"type":"string","minLength":1,"maxLength":64}

#define MINT_PARAMS SCHEMA({"type":"object","required":["sub"],"properties":{ \
    "sub":{"type":"string","minLength":1,"maxLength":128,"description":"Who it is for.","examples":["worker-1"]}, \
    "role":ROLE, \
    "ttl_s":{"type":["integer","null"],"minimum":1,"maximum":3155760000,"default":3600,"description":"Seconds it is valid."}, \
    "cap":CAP, \
    "aud":{"enum":["waggle",null],"description":"Whom it is meant for: this hub."}, \
    "app":{"type":["string","null"],"minLength":1,"maxLength":64,"description":"The caller's own app."}}})
#define MINT_ANSWER SCHEMA({"type":"object","required":["token","expires_at","jti","role","sub"],"properties":{ \
    "token":{"type":"string","description":"A JWT, signed with EdDSA."},"expires_at":SHAPE_TIME,"expires_in":SHAPE_COUNT, \
    "jti":{"type":"string"},"sub":{"type":"string"},"role":{"type":"string"},"app":{"type":"string"}, \
    "cap":{"anyOf":[REF_CAPABILITIES,{"type":"null"}]}}})
#define REVOKE_PARAMS SCHEMA({"type":"object","properties":{ \
    "jti":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"One token."}, \
    "sub":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"All tokens of a subject, issued until now or issued_before."}, \
    "issued_before":{"type":["string","null"],"format":"date-time","description":"Alone: all tokens of the app that were issued until then."}, \
    "until":{"type":["string","null"],"format":"date-time","description":"When nothing it hits can be valid any more, so that it may be forgotten; never when left out."}, \
    "ttl_s":TTL,"reason":SHAPE_REASON}})
#define REVOKE_ANSWER SCHEMA({"allOf":[{"type":"object","properties":{"revoked":{"type":"boolean"}}},REF_REVOCATION]})
#define WHOAMI_ANSWER SCHEMA({"type":"object","required":["sub","role","app","kind"],"properties":{ \
    "sub":{"type":"string"},"role":{"type":"string"},"app":{"type":"string"}, \
    "kind":{"enum":["anonymous","api_key","token","app_key","app_secret"]}, \
    "id":{"type":["string","null"],"description":"jti of a token, id of an API key."}, \
    "issued_at":SHAPE_TIME_OR_NULL,"expires_at":SHAPE_TIME_OR_NULL, \
    "cap":{"anyOf":[REF_CAPABILITIES,{"type":"null"}]}}})
#define KEY_CREATE_PARAMS SCHEMA({"type":"object","required":["name"],"properties":{ \
    "name":{"type":"string","minLength":1,"maxLength":128,"description":"The subject of whoever uses it."}, \
    "role":ROLE,"cap":CAP, \
    "expires_at":{"type":["string","null"],"format":"date-time","description":"Never when neither this nor ttl_s is said."}, \
    "ttl_s":TTL}})
#define KEY_CREATE_ANSWER SCHEMA({"allOf":[{"type":"object","required":["key"],"properties":{"key":{"type":"string","description":"Shown this once."}}},REF_API_KEY]})
#define APP_CREATE_PARAMS SCHEMA({"type":"object","required":["id"],"properties":{ \
    "id":APP_ID,"name":{"type":["string","null"],"maxLength":128}, \
    "key":{"type":["string","null"],"minLength":1,"maxLength":64,"description":"The public key of the Pusher protocol; made when left out."}, \
    "secret":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"The secret of the Pusher protocol; made when left out."}, \
    "limits":LIMITS}})
#define APP_CREATE_ANSWER SCHEMA({"allOf":[{"type":"object","required":["secret","admin_key"],"properties":{ \
    "secret":{"type":"string","description":"Shown this once."}, \
    "admin_key":{"type":"string","description":"An API key of its first admin, shown this once."}, \
    "admin_key_id":{"type":"string"}}},REF_APP]})
#define APP_UPDATE_PARAMS SCHEMA({"type":"object","required":["id"],"properties":{ \
    "id":APP_ID,"enabled":{"type":["boolean","null"]},"name":{"type":["string","null"],"maxLength":128},"limits":LIMITS,"reason":SHAPE_REASON}})

static const struct operation rows[] = {
    { .name = "auth.mint", .summary = "Mint a token",
      .needs = ROLE_VIEWER, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/auth/tokens", 201, STYLE_PROBLEM, false}},
      .params = MINT_PARAMS, .answer_schema = MINT_ANSWER,
      .kind = &command_token_mint, .prepare = mint_prepare, .answer = mint_answer },
    { .name = "auth.revoke", .summary = "Revoke a token, a subject's tokens, or all issued before a time",
      .needs = ROLE_OPERATOR, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/auth/tokens/revoke", 200, STYLE_PROBLEM, false}},
      .params = REVOKE_PARAMS, .answer_schema = REVOKE_ANSWER,
      .kind = &command_revoke, .prepare = revoke_prepare, .answer = revoke_answer },
    { .name = "auth.revocations", .summary = "What is revoked",
      .needs = ROLE_OPERATOR,
      .routes = {{METHOD_GET, "/api/v1/auth/revocations", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"revocations":{"type":"array","items":REF_REVOCATION},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list_revocations },
    { .name = "auth.whoami", .summary = "Who the hub takes the caller for",
      .needs = ROLE_GUEST,
      .routes = {{METHOD_GET, "/api/v1/auth/whoami", 200, STYLE_PROBLEM, false}},
      .answer_schema = WHOAMI_ANSWER, .query = whoami },
    { .name = "auth.keys.create", .summary = "Make an API key",
      .needs = ROLE_ADMIN, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/auth/keys", 201, STYLE_PROBLEM, false}},
      .params = KEY_CREATE_PARAMS, .answer_schema = KEY_CREATE_ANSWER,
      .kind = &command_key_create, .prepare = key_create_prepare, .answer = key_create_answer },
    { .name = "auth.keys.list", .summary = "The app's API keys",
      .needs = ROLE_ADMIN,
      .routes = {{METHOD_GET, "/api/v1/auth/keys", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"keys":{"type":"array","items":REF_API_KEY},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list_keys },
    { .name = "auth.keys.revoke", .summary = "Revoke an API key; its connections close within a second",
      .needs = ROLE_ADMIN,
      .routes = {{METHOD_DELETE, "/api/v1/auth/keys/{id}", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["id"],"properties":{"id":{"type":"string"},"reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"id":KEY_ID,"revoked":{"type":"boolean"},"revoked_at":SHAPE_TIME}}),
      .kind = &command_key_revoke, .prepare = key_revoke_prepare, .answer = key_revoke_answer },
    { .name = "auth.jwks", .summary = "The public keys that tokens are verified with (RFC 7517)",
      .needs = ROLE_NONE, .flags = OPERATION_OPEN,
      .routes = {{METHOD_GET, "/.well-known/jwks.json", 200, STYLE_PROBLEM, false},
                 {METHOD_GET, "/api/v1/auth/jwks", 200, STYLE_PROBLEM, true}},
      .answer_schema = SCHEMA({"type":"object","required":["keys"],"properties":{"keys":{"type":"array","items":{"type":"object","properties":{
          "kty":{"const":"OKP"},"crv":{"const":"Ed25519"},"alg":{"const":"EdDSA"},"use":{"const":"sig"},"kid":{"type":"string"},"x":{"type":"string"}}}}}}),
      .query = jwks },
    { .name = "auth.rotate", .summary = "Sign with a new key; the one before verifies on for its overlap",
      .needs = ROLE_ADMIN,
      .routes = {{METHOD_POST, "/api/v1/auth/signing-keys/rotate", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"kid":{"type":"string"},"previous_kid":{"type":"string"},"rotated_at":SHAPE_TIME,"previous_verifies_until":SHAPE_TIME}}),
      .kind = &command_signing_rotate, .prepare = rotate_prepare, .answer = rotate_answer },
    { .name = "apps.create", .summary = "Make an app, a tenant of its own, with its first admin's key",
      .needs = ROLE_ADMIN, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/apps", 201, STYLE_PROBLEM, false}},
      .params = APP_CREATE_PARAMS, .answer_schema = APP_CREATE_ANSWER,
      .kind = &command_app_create, .prepare = app_create_prepare, .answer = app_create_answer },
    { .name = "apps.list", .summary = "The apps that the caller rules",
      .needs = ROLE_ADMIN,
      .routes = {{METHOD_GET, "/api/v1/apps", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"apps":{"type":"array","items":REF_APP},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list_apps },
    { .name = "apps.get", .summary = "One app",
      .needs = ROLE_ADMIN,
      .routes = {{METHOD_GET, "/api/v1/apps/{id}", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["id"],"properties":{"id":APP_ID}}),
      .answer_schema = SCHEMA(REF_APP), .query = get_app },
    { .name = "apps.update", .summary = "Enable, disable, name or limit an app",
      .needs = ROLE_ADMIN, .flags = OPERATION_BODY,
      .routes = {{METHOD_PATCH, "/api/v1/apps/{id}", 200, STYLE_PROBLEM, false}},
      .params = APP_UPDATE_PARAMS, .answer_schema = SCHEMA(REF_APP),
      .kind = &command_app_update, .prepare = app_update_prepare, .answer = app_update_answer },
};
/* clang-format on */

const struct operation_table auth_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};

/* Rows that ended are swept hourly, a thousand at a time, by a deadline in memory: a sweep that a
 * restart forgets costs nothing. */
#include "hub/core/auth_commands.h"

#include <stdlib.h>

#include "channels/json_out.h"
#include "store/pack.h"

enum { SWEEP_EVERY_MS = 3600 * 1000, SWEEP_ROWS = 1000 };

struct auth {
    struct auth_options options;
    struct signing **rings; /* all that were made here; the last is in force */
    size_t rings_n;
    struct signing *before;         /* the ring that the last one replaced */
    uint8_t rotated_by[SEED_BYTES]; /* seed of the command that made the last */
    int64_t sweep_ms;               /* when it is due; INT64_MAX: a sweep is under way */
    struct revocation_cursor swept;
    bool loaded;
};

/* ---- the module ---- */

static void *auth_open(const void *options)
{
    struct auth *auth = xcalloc(1, sizeof *auth);
    auth->options = *(const struct auth_options *)options;
    return auth;
}

static void auth_close(void *state)
{
    struct auth *auth = state;
    for (size_t i = 0; i < auth->rings_n; i++) {
        signing_unref(auth->rings[i]);
    }
    free(auth->rings);
    free(auth);
}

static enum hub_rc auth_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct auth *auth = state;
    (void)view;
    auth->sweep_ms = auth->loaded ? now_ms + SWEEP_EVERY_MS : now_ms;
    auth->swept = (struct revocation_cursor){0};
    auth->loaded = true;
    return HUB_OK;
}

static int64_t auth_next_due(void *state)
{
    return ((const struct auth *)state)->sweep_ms;
}

static enum hub_rc sweep_apply(struct apply *a, struct command *command, struct slice body)
{
    struct auth *auth = a->state;
    struct unpack u = unpack_of(body);
    int64_t wall_ms = unpack_i64(&u);
    (void)command;
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    bool more = revocation_sweep(a->txn, wall_ms, SWEEP_ROWS, &auth->swept);
    auth->sweep_ms = more ? a->now_ms : a->now_ms + SWEEP_EVERY_MS;
    return HUB_OK;
}

static const struct command_kind command_sweep = {
    .name = "auth.sweep", .apply = sweep_apply, .flags = KIND_RELEASES, .module = MODULE_AUTH};

static bool auth_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct auth *auth = state;
    if (auth->sweep_ms > now_ms) {
        return false;
    }
    struct command *command = tray_command(tray);
    command->kind = &command_sweep;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    const struct clock *clock = auth->options.clock;
    pack_i64(&tray->in, clock ? clock_wall(clock, now_ms) : now_ms);
    command->body_n = (uint32_t)tray->in.n - command->body_at;
    auth->sweep_ms = INT64_MAX; /* until the command has decided */
    return true;
}

const struct module auth_module = {
    .name = "auth",
    .open = auth_open,
    .close = auth_close,
    .load = auth_load,
    .next_due = auth_next_due,
    .expire = auth_expire,
};

/* ---- replies ---- */

static enum hub_rc refuse(struct apply *a, struct command *command, enum hub_rc rc,
                          const char *sentence)
{
    apply_reply(a, command, slice_str(sentence));
    return rc;
}

static void reply_with(struct apply *a, struct command *command, struct buf *b)
{
    apply_reply(a, command, buf_slice(b));
    buf_done(b);
}

/* ---- what the channel is told ---- */

/* An event's object is begun and ended here; what stands between, the caller puts. */
struct telling {
    struct buf data;
    struct json_out o;
};

static void tell_begin(struct telling *t)
{
    t->data = (struct buf){0};
    t->o = json_out_to(&t->data);
    json_begin(&t->o, '{');
}

static void tell_text(struct telling *t, const char *key, struct slice text)
{
    json_key(&t->o, key);
    json_text(&t->o, text);
}

static enum hub_rc tell_end(struct telling *t, struct apply *a, uint32_t app, const char *event,
                            const struct why *why)
{
    why_json(&t->o, why, a->now_ms);
    json_end(&t->o, '}');
    enum hub_rc rc = apply_tell(a, app, slice_str("auth"), event, buf_slice(&t->data));
    buf_done(&t->data);
    return rc;
}

static enum hub_rc tell(struct apply *a, const struct why *why, const char *event, const char *key,
                        struct slice text)
{
    struct telling t;
    tell_begin(&t);
    tell_text(&t, key, text);
    return tell_end(&t, a, a->app, event, why);
}

static enum hub_rc tell_key_created(struct apply *a, const struct why *why,
                                    const struct api_key *key)
{
    struct telling t;
    char id[API_KEY_ID_CHARS + 1];
    api_key_id(key->hash, id);
    tell_begin(&t);
    tell_text(&t, "id", slice_str(id));
    tell_text(&t, "name", key->name);
    tell_text(&t, "role", slice_str(role_name(key->role)));
    if (key->expires_ms) {
        json_key(&t.o, "expires_at");
        json_time(&t.o, key->expires_ms);
    }
    return tell_end(&t, a, key->app, "key_created", why);
}

/* ---- tokens ---- */

void auth_token_put(struct buf *b, const struct principal_spec *token)
{
    pack_slice(b, token->app_id);
    pack_slice(b, token->subject);
    pack_slice(b, token->id);
    pack_slice(b, token->caps);
    pack_u8(b, (uint8_t)token->role);
    pack_i64(b, token->issued_ms);
    pack_i64(b, token->expires_ms);
}

bool auth_token_get(struct slice bytes, struct principal_spec *out)
{
    struct unpack u = unpack_of(bytes);
    *out = (struct principal_spec){.kind = PRINCIPAL_TOKEN};
    out->app_id = unpack_slice(&u);
    out->subject = unpack_slice(&u);
    out->id = unpack_slice(&u);
    out->caps = unpack_slice(&u);
    out->role = (enum role)unpack_u8(&u);
    out->issued_ms = unpack_i64(&u);
    out->expires_ms = unpack_i64(&u);
    return unpack_done(&u);
}

static enum hub_rc tell_token_minted(struct apply *a, uint32_t app, const struct why *why,
                                     const struct principal_spec *token)
{
    struct telling t;
    tell_begin(&t);
    tell_text(&t, "jti", token->id);
    tell_text(&t, "sub", token->subject);
    tell_text(&t, "role", slice_str(role_name(token->role)));
    tell_text(&t, "app", token->app_id);
    if (token->caps.n) {
        struct buf caps = {0};
        caps_put_json(token->caps, &caps);
        json_key(&t.o, "cap");
        json_raw(&t.o, buf_slice(&caps));
        buf_done(&caps);
    }
    json_key(&t.o, "expires_at");
    json_time(&t.o, token->expires_ms);
    return tell_end(&t, a, app, "token_minted", why);
}

static enum hub_rc token_mint_apply(struct apply *a, struct command *command, struct slice body)
{
    struct principal_spec token;
    struct unpack u = unpack_of(body);
    struct why why = why_get(&u);
    uint32_t app = unpack_u32(&u);
    struct slice said = slice_of(u.p, u.bad ? 0 : (size_t)(u.end - u.p));
    if (!auth_token_get(said, &token)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = HUB_OK;
    apply_reply(a, command, said);
    if (why.by.n) {
        rc = tell_token_minted(a, a->app, &why, &token);
    }
    if (rc == HUB_OK && why.by.n && app != a->app) {
        rc = tell_token_minted(a, app, &why, &token);
    }
    return rc;
}

/* A full store lets in who will make room. */
const struct command_kind command_token_mint = {
    .name = "auth.mint", .apply = token_mint_apply, .module = MODULE_AUTH, .flags = KIND_RELEASES};

/* ---- API keys ---- */

static void pack_key(struct buf *b, const struct auth_key_made *made)
{
    const struct api_key *key = &made->key;
    buf_add(b, key->hash, sizeof key->hash);
    pack_u8(b, (uint8_t)key->role);
    pack_i64(b, key->created_ms);
    pack_i64(b, key->expires_ms);
    buf_add(b, key->last, API_KEY_LAST_CHARS);
    pack_slice(b, key->name);
    pack_slice(b, key->caps);
    pack_slice(b, made->sealed);
}

static struct auth_key_made unpack_key(struct unpack *u)
{
    struct auth_key_made made = {0};
    struct api_key *key = &made.key;
    const uint8_t *hash = unpack_bytes(u, sizeof key->hash);
    if (hash) {
        memcpy(key->hash, hash, sizeof key->hash);
    }
    key->role = (enum role)unpack_u8(u);
    key->created_ms = unpack_i64(u);
    key->expires_ms = unpack_i64(u);
    const uint8_t *last = unpack_bytes(u, API_KEY_LAST_CHARS);
    if (last) {
        memcpy(key->last, last, API_KEY_LAST_CHARS);
    }
    key->name = unpack_slice(u);
    key->caps = unpack_slice(u);
    made.sealed = unpack_slice(u);
    return made;
}

void auth_key_put(struct buf *b, const struct auth_key_made *made)
{
    pack_key(b, made);
}

bool auth_key_get(struct slice bytes, struct auth_key_made *out)
{
    struct unpack u = unpack_of(bytes);
    *out = unpack_key(&u);
    return unpack_done(&u);
}

static enum hub_rc key_create_apply(struct apply *a, struct command *command, struct slice body)
{
    struct auth_key_made made;
    struct why why;
    if (!why_take(&body, &why) || !auth_key_get(body, &made)) {
        return HUB_BAD_REQUEST;
    }
    made.key.app = a->app;
    made.key.created_ms = a->now_ms;
    enum store_rc rc = api_key_add(a->txn, &made.key);
    if (rc == STORE_EXISTS) {
        return refuse(a, command, HUB_EXISTS, "this key exists");
    }
    if (rc == STORE_OK) {
        struct buf reply = {0};
        pack_key(&reply, &made);
        reply_with(a, command, &reply);
    }
    return rc == STORE_OK ? tell_key_created(a, &why, &made.key) : hub_rc_of_store(rc);
}

const struct command_kind command_key_create = {
    .name = "auth.keys.create", .apply = key_create_apply, .module = MODULE_AUTH};

/* ---- revocations ---- */

static bool revocations_fit(struct apply *a)
{
    return store_count(a->view, TABLE_REVOCATION) < REVOCATIONS_MAX;
}

static enum hub_rc refuse_many(struct apply *a, struct command *command)
{
    return refuse(a, command, HUB_LIMIT,
                  "too many revocations: revoke by subject or issued_before, or say until when");
}

bool auth_key_revoked_get(struct slice reply, struct auth_key_revoked *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->id = unpack_slice(&u);
    return unpack_done(&u);
}

/* Revoked again, a key stays as it was, and there is nothing to tell. */
static enum hub_rc key_revoke_apply(struct apply *a, struct command *command, struct slice body)
{
    struct api_key key;
    struct why why;
    if (!why_take(&body, &why)) {
        return HUB_BAD_REQUEST;
    }
    enum store_rc rc = api_key_by_id(a->view, body, &key);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && key.app != a->app)) {
        return refuse(a, command, HUB_NOT_FOUND, "API key not found");
    }
    if (rc == STORE_OK && !revocations_fit(a)) {
        return refuse_many(a, command);
    }
    struct revocation revocation = {.app = a->app,
                                    .kind = REVOKE_KEY,
                                    .text = body,
                                    .until_ms = key.expires_ms,
                                    .made_ms = a->now_ms};
    if (rc == STORE_OK) {
        rc = api_key_revoke(a->txn, a->app, body, a->now_ms);
    }
    if (rc == STORE_OK) {
        rc = revocation_add(a->txn, &revocation);
    }
    if (rc == STORE_OK) {
        struct buf reply = {0};
        pack_i64(&reply, a->now_ms);
        pack_slice(&reply, body);
        reply_with(a, command, &reply);
        writer_changed(a->writer, CHANGE_AUTH);
    }
    return rc == STORE_OK && !key.revoked_ms ? tell(a, &why, "key_revoked", "id", body)
                                             : hub_rc_of_store(rc);
}

const struct command_kind command_key_revoke = {.name = "auth.keys.revoke",
                                                .apply = key_revoke_apply,
                                                .flags = KIND_RELEASES,
                                                .module = MODULE_AUTH};

void auth_revocation_put(struct buf *b, const struct revocation *r)
{
    pack_u8(b, (uint8_t)r->kind);
    pack_slice(b, r->text);
    pack_i64(b, r->before_ms);
    pack_i64(b, r->until_ms);
    pack_i64(b, r->made_ms);
}

bool auth_revocation_get(struct slice bytes, struct revocation *out)
{
    struct unpack u = unpack_of(bytes);
    *out = (struct revocation){.kind = (enum revocation_kind)unpack_u8(&u)};
    out->text = unpack_slice(&u);
    out->before_ms = unpack_i64(&u);
    out->until_ms = unpack_i64(&u);
    out->made_ms = unpack_i64(&u);
    return unpack_done(&u);
}

static enum hub_rc tell_revoked(struct apply *a, const struct why *why, const struct revocation *r)
{
    uint8_t before[JSON_TIME_BYTES];
    if (r->kind == REVOKE_ISSUED_BEFORE) {
        json_time_put(before, r->before_ms);
        return tell(a, why, "tokens_revoked", "issued_before", slice_of(before, sizeof before));
    }
    return tell(a, why, "tokens_revoked", r->kind == REVOKE_TOKEN ? "jti" : "sub", r->text);
}

static enum hub_rc revoke_apply(struct apply *a, struct command *command, struct slice body)
{
    struct revocation revocation;
    struct why why;
    if (!why_take(&body, &why) || !auth_revocation_get(body, &revocation)) {
        return HUB_BAD_REQUEST;
    }
    if (!revocations_fit(a)) {
        return refuse_many(a, command);
    }
    revocation.app = a->app;
    revocation.made_ms = a->now_ms;
    enum store_rc rc = revocation_add(a->txn, &revocation);
    if (rc == STORE_OK) {
        struct buf reply = {0};
        auth_revocation_put(&reply, &revocation);
        reply_with(a, command, &reply);
        writer_changed(a->writer, CHANGE_AUTH);
    }
    return rc == STORE_OK ? tell_revoked(a, &why, &revocation) : hub_rc_of_store(rc);
}

const struct command_kind command_revoke = {
    .name = "auth.revoke", .apply = revoke_apply, .flags = KIND_RELEASES, .module = MODULE_AUTH};

/* ---- apps ---- */

static void pack_app(struct buf *b, const struct app *app)
{
    pack_u32(b, app->number);
    pack_slice(b, app->id);
    pack_slice(b, app->name);
    pack_slice(b, app->key);
    pack_u8(b, app->enabled);
    pack_u32(b, app->limits.connections_max);
    pack_u32(b, app->limits.channels_max);
    pack_u32(b, app->limits.publishes_per_s);
    pack_u32(b, app->limits.message_bytes_max);
    pack_i64(b, app->created_ms);
}

static struct app_limits unpack_limits(struct unpack *u)
{
    struct app_limits limits;
    limits.connections_max = unpack_u32(u);
    limits.channels_max = unpack_u32(u);
    limits.publishes_per_s = unpack_u32(u);
    limits.message_bytes_max = unpack_u32(u);
    return limits;
}

static struct app unpack_app(struct unpack *u)
{
    struct app app = {.number = unpack_u32(u)};
    app.id = unpack_slice(u);
    app.name = unpack_slice(u);
    app.key = unpack_slice(u);
    app.enabled = unpack_u8(u) != 0;
    app.limits = unpack_limits(u);
    app.created_ms = unpack_i64(u);
    return app;
}

void auth_app_made_put(struct buf *b, const struct auth_app_made *made)
{
    pack_app(b, &made->app);
    pack_slice(b, made->sealed_secret);
    pack_key(b, &made->admin);
}

bool auth_app_made_get(struct slice bytes, struct auth_app_made *out)
{
    struct unpack u = unpack_of(bytes);
    out->app = unpack_app(&u);
    out->sealed_secret = unpack_slice(&u);
    out->admin = unpack_key(&u);
    return unpack_done(&u);
}

bool auth_app_get(struct slice reply, struct app *out)
{
    struct unpack u = unpack_of(reply);
    *out = unpack_app(&u);
    return unpack_done(&u);
}

static struct app_row row_of(const struct app *app, struct slice sealed_secret)
{
    return (struct app_row){.number = app->number,
                            .id = app->id,
                            .name = app->name,
                            .key = app->key,
                            .sealed_secret = sealed_secret,
                            .enabled = app->enabled,
                            .limits = app->limits,
                            .created_ms = app->created_ms};
}

/* Its maker's app is told of the app, and the app itself of whose key opens it. */
static enum hub_rc tell_app_created(struct apply *a, const struct why *why,
                                    const struct auth_app_made *made)
{
    enum hub_rc rc = tell(a, why, "app_created", "app", made->app.id);
    return rc == HUB_OK ? tell_key_created(a, why, &made->admin.key) : rc;
}

static enum hub_rc app_create_apply(struct apply *a, struct command *command, struct slice body)
{
    struct auth_app_made made;
    struct why why;
    if (!why_take(&body, &why) || !auth_app_made_get(body, &made)) {
        return HUB_BAD_REQUEST;
    }
    made.app.created_ms = made.admin.key.created_ms = a->now_ms;
    struct app_row row = row_of(&made.app, made.sealed_secret);
    enum store_rc rc = app_add(a->txn, &row, &made.app.number);
    if (rc == STORE_EXISTS) {
        return refuse(a, command, HUB_EXISTS, "an app with this id or key exists");
    }
    if (rc == STORE_OK) {
        made.admin.key.app = made.app.number;
        rc = api_key_add(a->txn, &made.admin.key);
    }
    if (rc == STORE_OK) {
        struct buf reply = {0};
        auth_app_made_put(&reply, &made);
        reply_with(a, command, &reply);
        writer_changed(a->writer, CHANGE_APPS);
    }
    return rc == STORE_OK ? tell_app_created(a, &why, &made) : hub_rc_of_store(rc);
}

const struct command_kind command_app_create = {
    .name = "apps.create", .apply = app_create_apply, .module = MODULE_AUTH};

void auth_app_change_put(struct buf *b, const struct auth_app_change *c)
{
    pack_slice(b, c->id);
    pack_u8(b, c->has_enabled);
    pack_u8(b, c->has_name);
    pack_u8(b, c->has_limits);
    pack_u8(b, c->enabled);
    pack_slice(b, c->name);
    pack_u32(b, c->limits.connections_max);
    pack_u32(b, c->limits.channels_max);
    pack_u32(b, c->limits.publishes_per_s);
    pack_u32(b, c->limits.message_bytes_max);
}

static bool change_get(struct slice body, struct auth_app_change *out)
{
    struct unpack u = unpack_of(body);
    out->id = unpack_slice(&u);
    out->has_enabled = unpack_u8(&u) != 0;
    out->has_name = unpack_u8(&u) != 0;
    out->has_limits = unpack_u8(&u) != 0;
    out->enabled = unpack_u8(&u) != 0;
    out->name = unpack_slice(&u);
    out->limits = unpack_limits(&u);
    return unpack_done(&u);
}

static void change_row(struct app_row *row, const struct auth_app_change *change)
{
    if (change->has_enabled) {
        row->enabled = change->enabled;
    }
    if (change->has_name) {
        row->name = change->name;
    }
    if (change->has_limits) {
        row->limits = change->limits;
    }
}

static enum hub_rc app_update_apply(struct apply *a, struct command *command, struct slice body)
{
    struct auth_app_change change;
    struct why why;
    struct app_row row;
    if (!why_take(&body, &why) || !change_get(body, &change)) {
        return HUB_BAD_REQUEST;
    }
    enum store_rc rc = app_find(a->view, change.id, &row);
    if (rc == STORE_NOT_FOUND) {
        return refuse(a, command, HUB_NOT_FOUND, "app not found");
    }
    if (rc == STORE_OK && change.has_enabled && !change.enabled && slice_is(row.id, APP_MAIN)) {
        return refuse(a, command, HUB_CONFLICT, "the app main is the hub's own: it stays enabled");
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    change_row(&row, &change);
    struct app now = {.number = row.number,
                      .id = row.id,
                      .name = row.name,
                      .key = row.key,
                      .enabled = row.enabled,
                      .limits = row.limits,
                      .created_ms = row.created_ms};
    struct buf reply = {0};
    pack_app(&reply, &now); /* before the write, which moves what the view lent */
    rc = app_put(a->txn, &row);
    if (rc == STORE_OK) {
        apply_reply(a, command, buf_slice(&reply));
        writer_changed(a->writer, CHANGE_APPS);
    }
    buf_done(&reply);
    const char *event = !change.has_enabled ? "app_changed"
                        : change.enabled    ? "app_enabled"
                                            : "app_disabled";
    return rc == STORE_OK ? tell(a, &why, event, "app", change.id) : hub_rc_of_store(rc);
}

const struct command_kind command_app_update = {
    .name = "apps.update", .apply = app_update_apply, .module = MODULE_AUTH};

/* ---- the signing key ---- */

bool auth_rotated_get(struct slice reply, struct auth_rotated *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->overlap_ms = unpack_i64(&u);
    out->kid = unpack_slice(&u);
    out->kid_before = unpack_slice(&u);
    return unpack_done(&u);
}

static void ring_publish(struct auth *auth, struct signing *ring, const uint8_t seed[SEED_BYTES])
{
    auth->rings = xrealloc(auth->rings, (auth->rings_n + 1) * sizeof(struct signing *));
    auth->rings[auth->rings_n++] = ring;
    memcpy(auth->rotated_by, seed, SEED_BYTES);
    auth->before = atomic_load(auth->options.signing);
    atomic_store(auth->options.signing, ring);
    atomic_fetch_add(auth->options.signing_changes, 1);
}

static enum hub_rc rotate(struct auth *auth, struct apply *a, struct command *command,
                          int64_t overlap_ms)
{
    uint8_t seed[SIGNING_SEED_BYTES];
    char text[256] = "";
    struct signing *next;
    auth->options.draw(seed, sizeof seed);
    enum signing_rc rc = signing_rotate(atomic_load(auth->options.signing), seed, a->now_ms,
                                        overlap_ms, &next, text, sizeof text);
    digest_wipe(seed, sizeof seed);
    switch (rc) {
    case SIGNING_OK:
        ring_publish(auth, next, a->seed);
        return HUB_OK;
    case SIGNING_TOO_MANY:
        return refuse(a, command, HUB_LIMIT, text);
    case SIGNING_IO:
    case SIGNING_BAD_FILE:
        break;
    }
    /* The old key goes on; the store is not at fault, so its batch is not spoiled. */
    return refuse(a, command, HUB_UNAVAILABLE, text);
}

static enum hub_rc rotate_apply(struct apply *a, struct command *command, struct slice body)
{
    struct auth *auth = a->state;
    int64_t overlap_ms = atomic_load(auth->options.settings)->key_overlap_ms;
    struct why why;
    if (!why_take(&body, &why)) {
        return HUB_BAD_REQUEST;
    }
    bool again = auth->rings_n && memcmp(auth->rotated_by, a->seed, SEED_BYTES) == 0;
    enum hub_rc rc = again ? HUB_OK : rotate(auth, a, command, overlap_ms);
    if (rc == HUB_OK) {
        rc = tell(a, &why, "signing_key_rotated", "kid",
                  slice_str(signing_kid(atomic_load(auth->options.signing))));
    }
    if (rc == HUB_OK) {
        struct buf reply = {0};
        pack_i64(&reply, a->now_ms);
        pack_i64(&reply, overlap_ms);
        pack_slice(&reply, slice_str(signing_kid(atomic_load(auth->options.signing))));
        pack_slice(&reply, slice_str(signing_kid(auth->before)));
        reply_with(a, command, &reply);
    }
    return rc;
}

const struct command_kind command_signing_rotate = {
    .name = "auth.rotate", .apply = rotate_apply, .flags = KIND_RELEASES, .module = MODULE_AUTH};

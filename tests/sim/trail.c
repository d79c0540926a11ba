/* What is made and done away with by seeds: links between agents, named cursors, API keys, apps and
 * whether they are enabled, while the disk fails and the power is cut.
 *
 * The rows say what the channels told, change by change, and nothing else; what was answered is so,
 * whatever happens. A link of a hierarchy stands both ways and closes no circle. An app's own trail
 * begins with the key that it was made with. */
#include "tests/sim/sim.h"
#include "channels/json_scan.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    NAMES = 4,
    CURSORS = 4,
    KEYS_MADE = 6,
    APPS_MADE = 3,
    APP_KEYS_AT = 100, /* first byte of the hashes of apps' own keys */
    LINKS = NAMES * NAMES,
    MAIN_KEY = 99,
    AT_PEER = 0,
    AT_SUB = AT_PEER + LINKS,
    AT_CURSOR = AT_SUB + LINKS,
    AT_KEY = AT_CURSOR + CURSORS, /* made, for good */
    AT_REVOKED = AT_KEY + KEYS_MADE,
    AT_APP = AT_REVOKED + KEYS_MADE,
    AT_ENABLED = AT_APP + APPS_MADE,
    THINGS = AT_ENABLED + APPS_MADE,
    TOLD_CHANNELS = 3,
    AUTH = 2 /* the last of them */
};
static const char *const told_channels[TOLD_CHANNELS] = {"messages", "channels", "auth"};

struct thing {
    bool told;             /* as the channels have it */
    bool answered, known;  /* known: nothing was asked since the answer */
    unsigned pending;      /* asked and not answered */
    uint64_t attached[40]; /* a cursor's connections, as asked */
    unsigned attached_n;
};

struct trail {
    struct world *w;
    struct scene scene;
    struct thing things[THINGS];
    uint64_t told_next[TOLD_CHANNELS]; /* offset of the next event to be read */
};

/* ---- names ---- */

static struct slice named(const char *prefix, unsigned n, char out[16])
{
    return slice_of(out, (size_t)snprintf(out, 16, "%s-%u", prefix, n));
}

static unsigned number_in(struct slice text)
{
    return text.n ? (unsigned)(text.p[text.n - 1] - '0') : THINGS;
}

static struct api_key key_of(unsigned first_byte, struct slice name, enum role role)
{
    struct api_key key = {.role = role, .name = name};
    memset(key.hash, (int)first_byte, sizeof key.hash);
    return key;
}

static struct slice key_id(unsigned first_byte, char out[API_KEY_ID_CHARS + 1])
{
    struct api_key key = key_of(first_byte, slice_of(NULL, 0), ROLE_VIEWER);
    api_key_id(key.hash, out);
    return slice_str(out);
}

/* ---- asking ---- */

static void ask(struct trail *t, const struct command_kind *kind, unsigned thing, bool makes,
                struct buf *body)
{
    (void)scene_ask(&t->scene, kind, (uint64_t)thing << 1 | makes, body);
    t->things[thing].pending++;
    t->things[thing].known = false;
}

static struct why some_why(void)
{
    return (struct why){.by = slice_str("boss"), .reason = slice_str("so")};
}

static void put_why(struct buf *body)
{
    struct why why = some_why();
    why_put(body, &why);
}

static void do_link(struct trail *t, unsigned thing, bool add)
{
    char from[16], to[16];
    unsigned n = (thing - AT_PEER) % LINKS;
    struct buf body = {0};
    struct link_change change = {.asker = {.subject = slice_str("boss"), .all = true},
                                 .why = some_why(),
                                 .add = add,
                                 .may_any = true,
                                 .kind = thing < AT_SUB ? LINK_PEER : LINK_SUB,
                                 .from = named("bee", n / NAMES, from),
                                 .to = named("bee", n % NAMES, to)};
    link_change_put(&body, &change);
    ask(t, &command_link, thing, add, &body);
}

static struct cursor_attach cursor_named(unsigned n, char name[16])
{
    return (struct cursor_attach){.channel = slice_str(n % 2 ? "orders" : "jobs"),
                                  .name = named("crew", n, name),
                                  .why = some_why()};
}

static void do_attach(struct trail *t, unsigned thing)
{
    char name[16];
    struct thing *it = &t->things[thing];
    struct buf body = {0};
    struct cursor_attach attach = cursor_named(thing - AT_CURSOR, name);
    if (it->attached_n == sizeof it->attached / sizeof *it->attached) {
        return;
    }
    attach.connection = it->attached[it->attached_n++] = io_connection_id(t->scene.io);
    cursor_attach_put(&body, &attach);
    ask(t, &command_cursor_attach, thing, true, &body);
}

static void do_detach(struct trail *t, unsigned thing)
{
    char name[16];
    struct thing *it = &t->things[thing];
    struct cursor_attach of = cursor_named(thing - AT_CURSOR, name);
    while (it->attached_n) {
        struct buf body = {0};
        cursor_detach_put(&body, of.channel, of.name, it->attached[--it->attached_n],
                          slice_of(NULL, 0));
        (void)scene_ask(&t->scene, &command_cursor_detach, (uint64_t)THINGS << 1, &body);
    }
}

static void do_cursor_delete(struct trail *t, unsigned thing)
{
    char name[16];
    struct buf body = {0};
    struct cursor_attach which = cursor_named(thing - AT_CURSOR, name);
    cursor_attach_put(&body, &which);
    ask(t, &command_cursor_delete, thing, false, &body);
}

static void do_key(struct trail *t, unsigned thing)
{
    struct buf body = {0};
    struct auth_key_made made = {.key = key_of(thing - AT_KEY + 1, slice_str("key"), ROLE_VIEWER),
                                 .sealed = slice_str("s")};
    put_why(&body);
    auth_key_put(&body, &made);
    ask(t, &command_key_create, thing, true, &body);
}

static void do_key_revoke(struct trail *t, unsigned thing)
{
    char id[API_KEY_ID_CHARS + 1];
    struct buf body = {0};
    put_why(&body);
    buf_add_slice(&body, key_id(thing - AT_REVOKED + 1, id));
    ask(t, &command_key_revoke, thing, true, &body);
}

static void app_put_made(struct trail *t, struct slice name, unsigned key, struct buf *body)
{
    static const uint8_t nonce[SEAL_NONCE_BYTES] = {1};
    struct buf sealed = {0};
    secret_seal(t->w->secret, slice_str("a secret"), nonce, &sealed);
    struct auth_app_made made = {
        .app = {.id = name, .key = name, .enabled = true},
        .sealed_secret = buf_slice(&sealed),
        .admin = {.key = key_of(key, slice_str("admin"), ROLE_ADMIN), .sealed = slice_str("s")}};
    put_why(body);
    auth_app_made_put(body, &made);
    buf_done(&sealed);
}

static void do_app(struct trail *t, unsigned thing)
{
    char id[16];
    unsigned n = thing - AT_APP;
    struct buf body = {0};
    app_put_made(t, named("app", n, id), APP_KEYS_AT + n, &body);
    ask(t, &command_app_create, thing, true, &body);
}

static void do_app_change(struct trail *t, unsigned thing, bool enable)
{
    char id[16];
    struct buf body = {0};
    struct auth_app_change change = {
        .id = named("app", thing - AT_ENABLED, id), .has_enabled = true, .enabled = enable};
    put_why(&body);
    auth_app_change_put(&body, &change);
    ask(t, &command_app_update, thing, enable, &body);
}

static void do_something(struct trail *t)
{
    struct rng *g = &t->w->rng;
    unsigned thing = rng_below(g, THINGS);
    if (thing < AT_CURSOR) {
        do_link(t, thing, rng_percent(g, 60));
    } else if (thing < AT_KEY) {
        unsigned what = rng_below(g, 3);
        (what == 0 ? do_attach : what == 1 ? do_detach : do_cursor_delete)(t, thing);
    } else if (thing < AT_REVOKED) {
        do_key(t, thing);
    } else if (thing < AT_APP) {
        do_key_revoke(t, thing);
    } else if (thing < AT_ENABLED) {
        do_app(t, thing);
    } else {
        do_app_change(t, thing, rng_percent(g, 50));
    }
}

/* Answers come in the order of what was asked. What was refused changed nothing. */
static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct trail *t = ctx;
    unsigned thing = (unsigned)(command->ticket >> 1);
    (void)tray;
    sim_note(t->w, command->rc);
    if (thing == THINGS) {
        return;
    }
    struct thing *it = &t->things[thing];
    it->pending--;
    if (command->rc == HUB_OK) {
        it->answered = command->ticket & 1;
        it->known = it->pending == 0;
        if (thing >= AT_APP && thing < AT_ENABLED) { /* it is made enabled */
            struct thing *enabled = &t->things[thing - AT_APP + AT_ENABLED];
            enabled->answered = true;
            enabled->known = enabled->pending == 0;
        }
    }
}

/* ---- what is told ---- */

struct listening {
    struct trail *t;
    unsigned channel;
};

static void told_is(struct trail *t, unsigned thing, bool is, const struct event *event)
{
    SIM_CHECK(t->w, thing < THINGS && t->things[thing].told != is, "%.*s was told twice: %.*s",
              (int)event->name.n, (const char *)event->name.p, (int)event->data.n,
              (const char *)event->data.p);
    t->things[thing].told = is;
}

/* The members that say of what it is; absent ones stay empty. */
enum { OF_AGENT, OF_PEER, OF_MASTER, OF_SUB, OF_CURSOR, OF_ID, OF_APP, OF_MEMBERS };

static void key_told(struct trail *t, struct slice id, unsigned at, const struct event *event)
{
    for (unsigned n = 0; n < KEYS_MADE; n++) {
        char text[API_KEY_ID_CHARS + 1];
        if (slice_equal(id, key_id(n + 1, text))) {
            told_is(t, at + n, true, event);
            return;
        }
    }
    sim_fail(t->w, "key %.*s is none of the run's", (int)id.n, (const char *)id.p);
}

static bool told(void *ctx, const struct log_record *record)
{
    static const char *const names[OF_MEMBERS] = {"agent_id", "peer_id", "master_id", "sub_id",
                                                  "cursor",   "id",      "app"};
    struct listening *l = ctx;
    struct trail *t = l->t;
    struct slice raw[OF_MEMBERS], of[OF_MEMBERS] = {{0}};
    struct event event;
    size_t at;
    t->told_next[l->channel] = record->offset + 1;
    SIM_CHECK(t->w,
              event_unpack(record->payload, &event) &&
                  json_fields(event.data, names, OF_MEMBERS, raw, &at) == JSON_OK,
              "an event cannot be read");
    for (unsigned i = 0; i < OF_MEMBERS; i++) {
        (void)json_is_plain(raw[i], &of[i]);
    }
    unsigned peer = number_in(of[OF_AGENT]) * NAMES + number_in(of[OF_PEER]);
    unsigned sub = number_in(of[OF_MASTER]) * NAMES + number_in(of[OF_SUB]);
    unsigned app = number_in(of[OF_APP]);
    bool is_app = slice_starts(event.name, "app_");
    if (slice_starts(event.name, "peer_")) {
        told_is(t, AT_PEER + peer, slice_is(event.name, "peer_added"), &event);
    } else if (slice_starts(event.name, "sub_")) {
        told_is(t, AT_SUB + sub, slice_is(event.name, "sub_added"), &event);
    } else if (slice_starts(event.name, "cursor_")) {
        told_is(t, AT_CURSOR + number_in(of[OF_CURSOR]), slice_is(event.name, "cursor_created"),
                &event);
    } else if (slice_starts(event.name, "key_")) {
        key_told(t, of[OF_ID], slice_is(event.name, "key_created") ? AT_KEY : AT_REVOKED, &event);
    } else if (is_app && slice_is(event.name, "app_created")) {
        told_is(t, AT_APP + app, true, &event);
        t->things[AT_ENABLED + app].told = true;
    } else if (is_app) { /* said again it is told again */
        SIM_CHECK(t->w, app < APPS_MADE, "an app is told as %.*s", (int)event.data.n,
                  (const char *)event.data.p);
        t->things[AT_ENABLED + app].told = slice_is(event.name, "app_enabled");
    } else {
        sim_fail(t->w, "%.*s is no event of the run", (int)event.name.n,
                 (const char *)event.name.p);
    }
    return true;
}

static void span_of(struct trail *t, uint32_t app, const char *channel, struct replay_span *out)
{
    static const struct namespace_options all;
    SIM_CHECK(t->w,
              replay_span(t->w->hub.log, t->w->reader, app, slice_str(channel), &all, t->w->now_ms,
                          out) == STORE_OK,
              "no span");
}

static void read_channel(struct trail *t, unsigned channel)
{
    struct listening l = {.t = t, .channel = channel};
    struct replay_span span;
    uint64_t next, from = t->told_next[channel] ? t->told_next[channel] : 1;
    span_of(t, APP, told_channels[channel], &span);
    if (span.channel && from <= span.head.last) {
        SIM_CHECK(t->w,
                  from >= span.head.first &&
                      log_read(span.view, &span.head, from, SIZE_MAX, told, &l, &next) == STORE_OK,
                  "`%s` cannot be read from %llu", told_channels[channel],
                  (unsigned long long)from);
    }
    store_release(t->w->reader);
}

/* ---- what the rows say ---- */

struct rows {
    struct trail *t;
    struct store_view *view;
    bool is[THINGS];
    uint32_t apps[APPS_MADE]; /* numbers; 0: there is none */
};

static void look_at_links(struct rows *r)
{
    for (unsigned n = 0; n < LINKS; n++) {
        char one[16], two[16];
        struct slice from = named("bee", n / NAMES, one), to = named("bee", n % NAMES, two);
        r->is[AT_PEER + n] = link_has(r->view, LINK_PEER, APP, from, to);
        r->is[AT_SUB + n] = link_has(r->view, LINK_SUB, APP, from, to);
        SIM_CHECK(r->t->w, r->is[AT_SUB + n] == link_has(r->view, LINK_MASTER, APP, to, from),
                  "a link of bee-%u and bee-%u stands one way", n / NAMES, n % NAMES);
    }
}

/* Whoever has no master is taken away; a circle is what is left. */
static void check_circles(const struct rows *r)
{
    bool gone[NAMES] = {0};
    for (unsigned round = 0; round < NAMES; round++) {
        for (unsigned sub = 0; sub < NAMES; sub++) {
            bool has_master = false;
            for (unsigned master = 0; master < NAMES; master++) {
                has_master = has_master || (!gone[master] && r->is[AT_SUB + master * NAMES + sub]);
            }
            gone[sub] = gone[sub] || !has_master;
        }
    }
    for (unsigned n = 0; n < NAMES; n++) {
        SIM_CHECK(r->t->w, gone[n], "bee-%u is in a circle", n);
    }
}

static void look_at_cursors(struct rows *r)
{
    struct slice key, value;
    struct store_cursor *cursor;
    SIM_CHECK(r->t->w, store_cursor_open(r->view, TABLE_CURSOR, &cursor) == STORE_OK, "no cursors");
    enum store_rc rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        struct cursor_row row;
        SIM_CHECK(r->t->w, cursor_row_get(value, &row), "a cursor's row cannot be read");
        bool *is = &r->is[AT_CURSOR + number_in(row.name)];
        SIM_CHECK(r->t->w, !*is, "%.*s has two rows", (int)row.name.n, (const char *)row.name.p);
        *is = true;
    }
    store_cursor_close(cursor);
}

static void look_at_keys(struct rows *r)
{
    for (unsigned n = 0; n < KEYS_MADE; n++) {
        struct api_key found, key = key_of(n + 1, slice_of(NULL, 0), ROLE_VIEWER);
        if (api_key_find(r->view, key.hash, &found) == STORE_OK) {
            r->is[AT_KEY + n] = true;
            r->is[AT_REVOKED + n] = found.revoked_ms != 0;
        }
    }
}

static void look_at_apps(struct rows *r)
{
    for (unsigned n = 0; n < APPS_MADE; n++) {
        char id[16];
        struct app_row row;
        struct api_key found, key = key_of(APP_KEYS_AT + n, slice_of(NULL, 0), ROLE_VIEWER);
        bool is = app_find(r->view, named("app", n, id), &row) == STORE_OK;
        r->is[AT_APP + n] = is;
        r->is[AT_ENABLED + n] = is && row.enabled;
        SIM_CHECK(r->t->w, is == (api_key_find(r->view, key.hash, &found) == STORE_OK),
                  "app-%u is %sthere, its key not so", n, is ? "" : "not ");
        r->apps[n] = is ? row.number : 0;
    }
}

static void check_own_trails(const struct rows *r)
{
    for (unsigned n = 0; n < APPS_MADE; n++) {
        struct replay_span span;
        if (r->apps[n]) {
            span_of(r->t, r->apps[n], "auth", &span);
            SIM_CHECK(r->t->w, span.channel && span.head.last == 1,
                      "app-%u has another trail than the making of its key", n);
            store_release(r->t->w->reader);
        }
    }
}

static void check_all(void *ctx)
{
    struct trail *t = ctx;
    struct rows r = {.t = t};
    for (unsigned channel = 0; channel < TOLD_CHANNELS; channel++) {
        read_channel(t, channel);
    }
    SIM_CHECK(t->w, store_snapshot(t->w->reader, &r.view) == STORE_OK, "no snapshot");
    look_at_links(&r);
    check_circles(&r);
    look_at_cursors(&r);
    look_at_keys(&r);
    look_at_apps(&r);
    store_release(t->w->reader);
    check_own_trails(&r);
    for (unsigned i = 0; i < THINGS; i++) {
        const struct thing *it = &t->things[i];
        SIM_CHECK(t->w, r.is[i] == it->told, "thing %u is %sthere, it was told to be %sthere", i,
                  r.is[i] ? "" : "not ", it->told ? "" : "not ");
        SIM_CHECK(t->w, !it->known || r.is[i] == it->answered,
                  "thing %u is %sthere, otherwise it was answered", i, r.is[i] ? "" : "not ");
    }
}

/* Nobody is told what became of what was asked. */
static void restarted(void *ctx)
{
    struct trail *t = ctx;
    for (unsigned i = 0; i < THINGS; i++) {
        struct thing *it = &t->things[i];
        it->known = it->known && it->pending == 0;
        it->pending = 0;
        it->attached_n = 0;
    }
}

/* ---- the run ---- */

/* The app that everything is asked in, number one, before anything is judged. */
static void make_main(struct trail *t)
{
    struct buf body = {0};
    t->w->quiet = true;
    app_put_made(t, slice_str("main"), MAIN_KEY, &body);
    (void)scene_ask(&t->scene, &command_app_create, (uint64_t)THINGS << 1, &body);
    t->told_next[AUTH] = 3; /* itself and its key */
    scene_step(&t->scene);
    t->w->quiet = false;
}

void trail_run(struct world *w)
{
    static const uint8_t bytes[SECRET_BYTES] = {7};
    struct trail *t = xcalloc(1, sizeof *t);
    struct rng *g = &w->rng;
    w->secret = secret_of(bytes);
    t->w = w;
    t->scene = (struct scene){
        .w = w, .ctx = t, .answered = answered, .restarted = restarted, .check = check_all};
    scene_start(&t->scene);
    make_main(t);
    for (unsigned i = 0; i < w->plan.actions / 4; i++) {
        for (unsigned n = rng_below(g, 5); n > 0; n--) {
            do_something(t);
        }
        scene_time(&t->scene, 5000);
        scene_step(&t->scene);
        if (rng_percent(g, w->plan.crash_percent)) {
            scene_cut(&t->scene);
        }
    }
    scene_calm(&t->scene);
    scene_step(&t->scene);
    scene_cut(&t->scene);
    secret_free(w->secret);
    w->secret = w->hub.secret = NULL;
    free(t);
}

/* tests/unit/api_fixture.h: a whole hub in one thread, without sockets: store, keys, writer, one
 * I/O thread, the operations. A request goes in as a method, a path and a body; a command is
 * applied and answered at once. */
#ifndef WAGGLE_TESTS_API_FIXTURE_H
#define WAGGLE_TESTS_API_FIXTURE_H

#include "tests/unit/scratch.h"

#include "auth/start.h"
#include "hub/api/api.h"
#include "hub/api/memo.h"
#include "hub/modules.h"

enum { FIXTURE_CONNECTION = 77 };

struct fixture {
    struct hub hub;
    struct hub_settings settings;
    struct auth_state auth;
    struct io io;
    struct io *ios[1];
    struct api *api;
    int64_t now_ms;
    /* of the last request */
    struct buf out, message, detail;
    struct call call;
    enum hub_rc rc;
    json_t *answer; /* parsed; NULL after a failure */
    bool replayed;
    /* what was bound to the connection */
    const struct command_kind *at_close, *at_input;
    struct buf at_close_body, at_input_body;
    struct beat_memo memo;
    const struct principal *memo_who;
};

static inline void fixture_panic(void *ctx, const char *what)
{
    (void)ctx;
    fail_msg("panic: %s", what);
}

static inline void fixture_note(void *ctx, char level, const char *what)
{
    (void)ctx, (void)level, (void)what;
}

static inline void fixture_wake(void *ctx)
{
    (void)ctx;
}

static inline void fixture_deliver(void *ctx, struct subscriber *who, struct delivery *delivery,
                                   bool via_pattern)
{
    (void)ctx, (void)who, (void)delivery, (void)via_pattern;
}

static inline void fixture_behind(void *ctx, struct subscriber *who)
{
    (void)ctx, (void)who;
}

static inline void fixture_writer(struct fixture *f)
{
    struct modules modules;
    struct writer_options options = {.store = f->hub.store,
                                     .interest = f->hub.interest,
                                     .namespaces = namespaces_new(),
                                     .ports_n = 1,
                                     .inbox_trays = IO_POOL_TRAYS,
                                     .now_ms = f->now_ms,
                                     .panic = fixture_panic,
                                     .note = fixture_note};
    char text[512] = "";
    modules_put(&modules, &f->hub, auth_random, &options);
    if (writer_new(&options, &f->hub.writer, text, sizeof text) != HUB_OK) {
        fail_msg("%s", text);
    }
    f->hub.log = writer_log(f->hub.writer);
}

/* When a hub opens, unless a test opens it again later. */
static int64_t fixture_start_ms = 1795196061000;

static inline struct fixture *fixture_open(const char *dir)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct store_options store = {
        .path = dir, .map_bytes = (size_t)1 << 28, .readers_max = 16, .fresh_epoch = {1}};
    char text[512] = "";
    assert_true(auth_init());
    f->now_ms = fixture_start_ms;
    f->settings = (struct hub_settings){.heartbeat_interval_ms = 10000,
                                        .heartbeat_timeout_ms = 300000,
                                        .suspect_intervals = 3,
                                        .beats_per_s_max = 100000,
                                        .agent_grace_ms = 60000,
                                        .agent_reconnect_ms = 15000,
                                        .task_lease_ms = 30000,
                                        .task_accept_ms = 5000,
                                        .task_aging_ms = 60000,
                                        .task_cancel_grace_ms = 10000,
                                        .task_retry_ms = 1000,
                                        .task_retry_max_ms = 300000,
                                        .task_attempts_max = 3,
                                        .task_redeliveries_max = 3,
                                        .swarm_absence_ms = 86400000,
                                        .token_ttl_max_ms = 86400000,
                                        .key_overlap_ms = 3600000,
                                        .audit_seal_ms = 10000,
                                        .audit_keep_ms = 86400000};
    atomic_store(&f->hub.settings, &f->settings);
    assert_int_equal(store_open(&store, &f->hub.store, text, sizeof text), STORE_OK);
    struct auth_start_random random;
    auth_random(&random, sizeof random);
    struct auth_start_options auth = {.data_dir = dir, .now_ms = f->now_ms, .random = &random};
    assert_int_equal(auth_start(f->hub.store, &auth, &f->auth, text, sizeof text), AUTH_START_OK);
    f->hub.secret = f->auth.secret;
    atomic_store(&f->hub.signing, f->auth.signing);
    f->hub.version = "0";
    f->hub.interest = interest_new();
    f->hub.pulses = pulses_new();
    f->hub.threads_n = 1;
    f->hub.ios = f->ios;
    f->ios[0] = &f->io;
    fixture_writer(f);
    f->api = api_new(&f->hub, text, sizeof text);
    if (!f->api) {
        fail_msg("%s", text);
    }
    assert_int_equal(
        io_init(&f->io, &f->hub, 0, auth_random, fixture_deliver, fixture_behind, NULL), HUB_OK);
    struct writer_port port = {.inbox = f->io.inbox, .home = f->io.pool.home, .wake = fixture_wake};
    writer_port_set(f->hub.writer, 0, &port);
    return f;
}

/* Another start on the same store, so long after a clean end or a sudden one. */
static inline void fixture_restart(struct fixture *f, bool clean, int64_t away_ms)
{
    struct writer_port port = {.inbox = f->io.inbox, .home = f->io.pool.home, .wake = fixture_wake};
    int64_t next;
    if (clean) {
        writer_part(f->hub.writer);
        (void)writer_step(f->hub.writer, f->now_ms, &next);
    }
    writer_free(f->hub.writer);
    f->now_ms += away_ms;
    fixture_writer(f);
    writer_port_set(f->hub.writer, 0, &port);
}

static inline void fixture_close(struct fixture *f)
{
    json_decref(f->answer);
    buf_done(&f->out);
    buf_done(&f->message);
    buf_done(&f->detail);
    buf_done(&f->at_close_body);
    buf_done(&f->at_input_body);
    beat_memo_done(&f->memo);
    api_free(f->api);
    io_done(&f->io);
    writer_free(f->hub.writer);
    auth_state_done(&f->auth);
    interest_free(f->hub.interest);
    pulses_free(f->hub.pulses);
    store_close(f->hub.store);
    free(f);
}

static inline void fixture_at_close(struct call *call, const struct command_kind *kind,
                                    struct slice body)
{
    struct fixture *f = call->socket;
    f->at_close = kind;
    buf_clear(&f->at_close_body);
    buf_add_slice(&f->at_close_body, body);
}

static inline void fixture_at_input(struct call *call, const struct command_kind *kind,
                                    struct slice body)
{
    struct fixture *f = call->socket;
    f->at_input = kind;
    buf_clear(&f->at_input_body);
    buf_add_slice(&f->at_input_body, body);
}

static inline void fixture_local(void *ctx, const struct tray *tray)
{
    io_let_go(&((struct fixture *)ctx)->io, (struct tray *)(uintptr_t)tray);
}

/* Hands over what was filled, lets the writer step, and answers what comes back. */
static inline void fixture_turn(struct fixture *f)
{
    int64_t next;
    struct tray *tray;
    io_hand_over(&f->io, fixture_local, f);
    (void)writer_step(f->hub.writer, f->now_ms, &next);
    while ((tray = io_arrived(&f->io))) {
        for (uint32_t i = 0; tray->answered && tray->origin == 0 && i < tray->commands_n; i++) {
            const struct command *command = &tray->commands[i];
            if (!(command->flags & COMMAND_SILENT)) {
                f->rc = api_answer(f->api, &f->call, tray, command);
                f->replayed = command->flags & COMMAND_REPLAYED;
            }
        }
        io_let_go(&f->io, tray);
    }
    (void)io_turn(&f->io, f->now_ms, (uint64_t)f->now_ms * 1000);
}

static inline void fixture_begin(struct fixture *f, const struct principal *who)
{
    json_decref(f->answer);
    f->answer = NULL;
    f->replayed = false;
    buf_clear(&f->out);
    buf_clear(&f->message);
    buf_clear(&f->detail);
    (void)io_turn(&f->io, f->now_ms, (uint64_t)f->now_ms * 1000);
    f->call = (struct call){.io = &f->io,
                            .who = who,
                            .now_ms = f->now_ms,
                            .out = &f->out,
                            .message = &f->message,
                            .detail = &f->detail};
}

static inline enum hub_rc fixture_end(struct fixture *f, enum api_result result)
{
    assert_int_not_equal(result, API_BUSY);
    fixture_turn(f);
    if (f->rc == HUB_OK) {
        f->answer = json_loadb((const char *)f->out.p, f->out.n, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(f->answer);
    }
    return f->rc;
}

static inline enum hub_rc request_keyed(struct fixture *f, const struct principal *who,
                                        enum method method, const char *path, const char *body,
                                        const char *key)
{
    struct api_match match;
    fixture_begin(f, who);
    api_route(f->api, method, slice_str(path), slice_str(path), &match);
    assert_non_null(match.operation);
    struct api_request request = {.match = &match,
                                  .body = slice_str(body ? body : ""),
                                  .json_body = true,
                                  .idempotency_key = slice_str(key)};
    return fixture_end(f,
                       api_request(f->api, &f->call, &request, (struct return_address){0}, &f->rc));
}

static inline enum hub_rc request(struct fixture *f, const struct principal *who,
                                  enum method method, const char *path, const char *body)
{
    return request_keyed(f, who, method, path, body, "");
}

/* The same over a socket. */
static inline enum hub_rc call_method(struct fixture *f, const struct principal *who,
                                      const char *method, const char *params)
{
    fixture_begin(f, who);
    f->call.connection = FIXTURE_CONNECTION;
    f->call.socket = f;
    if (f->memo_who != who) {
        beat_memo_done(&f->memo);
        f->memo_who = who;
    }
    f->call.memo = &f->memo;
    f->call.at_close = fixture_at_close;
    f->call.at_input = fixture_at_input;
    return fixture_end(f, api_call(f->api, &f->call, slice_str(method), slice_str(params),
                                   slice_str("1"), slice_of(NULL, 0), (struct return_address){0},
                                   &f->rc));
}

/* Gives a command as a connection does that nobody waits for. */
static inline void give(struct fixture *f, const struct command_kind *kind, const struct buf *body)
{
    struct command *command = io_command(&f->io, kind, 1, (struct return_address){0}, 0);
    struct buf *arena = io_arena(&f->io);
    command->flags |= COMMAND_SILENT;
    command->body_at = (uint32_t)arena->n;
    command->body_n = (uint32_t)body->n;
    buf_add_slice(arena, buf_slice(body));
    fixture_turn(f);
}

static inline struct principal *person(enum role role, const char *subject)
{
    return principal_new(&(struct principal_spec){.app = 1,
                                                  .app_id = slice_str(APP_MAIN),
                                                  .role = role,
                                                  .kind = PRINCIPAL_API_KEY,
                                                  .subject = slice_str(subject)});
}

/* A member of the last answer: "agent/health_score", "agents/0/agent_id". */
static inline json_t *member(const struct fixture *f, const char *path)
{
    json_t *at = f->answer;
    while (at && *path) {
        char name[64];
        size_t n = strcspn(path, "/");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, path);
        at = json_is_array(at) ? json_array_get(at, strtoul(name, NULL, 10))
                               : json_object_get(at, name);
        path += n + (path[n] == '/');
    }
    return at;
}

static inline const char *text(const struct fixture *f, const char *path)
{
    const char *s = json_string_value(member(f, path));
    return s ? s : "(none)";
}

static inline const char *message(struct fixture *f)
{
    buf_add(&f->message, "", 1);
    f->message.n--;
    return (const char *)f->message.p;
}

#endif

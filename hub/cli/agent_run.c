/* A real agent: one process, one WebSocket. It registers, beats, hears what its own channel says,
 * hands that to a command if there is one, and takes its leave. The hub hears it again after every
 * lost connection: registering twice with the same id is how an agent says that it is back. */
#define _GNU_SOURCE
#include "hub/cli/agent_run.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth/base64url.h"
#include "channels/json_out.h"
#include "channels/name.h"
#include "hub/cli/agent_key.h"
#include "hub/cli/agent_tasks.h"
#include "hub/cli/agent_votes.h"
#include "hub/cli/http.h"
#include "hub/cli/machine.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"
#include "hub/cli/work.h"

enum {
    AGENT_ID_BYTES_MAX = 128,
    INTERVAL_MS = 10000,
    INTERVAL_LEAST_MS = 100,
    GRACE_MS = 10000,
    FAREWELL_MS = 3000,
    LEASE_MS = 30000
};

/* The ids of what the agent sends: one of each kind is on its way at a time. */
enum call { CALL_REGISTER = 1, CALL_SUBSCRIBE, CALL_BEAT, CALL_FAREWELL };

enum stage {
    WORKING,
    FINISHING,
    LEAVING,
    GONE
}; /* FINISHING: no new work; LEAVING: the hub is told */

struct agent {
    struct cli *cli;
    struct socket *socket;
    const char *id;
    char *channel;
    struct machine machine;
    struct work *work; /* for what is no task; NULL: nothing */
    struct agent_tasks *tasks;
    struct signing *keys;      /* NULL: its ballots are not signed */
    struct agent_votes *votes; /* NULL: it does not vote */
    unsigned slots;
    int signals; /* descriptor */
    enum stage stage;
    bool registered, beaten;
    uint64_t session; /* of the last registration; 0: none yet */
    int64_t interval_ms, lease_ms, next_beat_ms, stage_until_ms;
    bool known; /* position in its own channel */
    struct buf epoch;
    uint64_t offset;
    enum cli_exit verdict;
};

static void say(const struct agent *agent, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(const struct agent *agent, const char *format, ...)
{
    uint8_t now[JSON_TIME_BYTES];
    char text[1024];
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    json_time_put(now, clock_wall_ms());
    cli_note(agent->cli, "%.*s agent %s: %s", JSON_TIME_BYTES, (const char *)now, agent->id, text);
}

/* --- frames ------------------------------------------------------------------------------------
 */

static void end_call(struct agent *agent, struct json_out *o, struct buf *text)
{
    our_call_end(o);
    socket_send(agent->socket, buf_slice(text));
    buf_done(text);
}

static void add_text(struct json_out *o, const char *key, const char *text)
{
    if (text) {
        json_key(o, key);
        json_str(o, text);
    }
}

static void add_texts(struct json_out *o, const struct args *a, const char *key, const char *option)
{
    json_key(o, key);
    json_begin(o, '[');
    for (size_t i = 0; i < args_count(a, option); i++) {
        json_str(o, args_nth(a, option, i));
    }
    json_end(o, ']');
}

static void add_pairs(struct json_out *o, const struct args *a, const char *option)
{
    for (size_t i = 0; i < args_count(a, option); i++) {
        const char *pair = args_nth(a, option, i), *equals = strchr(pair, '=');
        json_key_slice(o, slice_of(pair, (size_t)(equals - pair)));
        json_str(o, equals + 1);
    }
}

static void add_metadata(struct json_out *o, const struct args *a)
{
    char host[256];
    json_key(o, "metadata");
    json_begin(o, '{');
    json_key(o, "pid");
    json_i64(o, getpid());
    if (gethostname(host, sizeof host) == 0) {
        host[sizeof host - 1] = '\0';
        add_text(o, "host", host);
    }
    add_text(o, "client", "waggle/" WAGGLE_VERSION);
    add_pairs(o, a, "metadata");
    json_end(o, '}');
}

static void add_public_key(struct json_out *o, const struct signing *keys)
{
    struct buf text = {0};
    base64url_put(&text, slice_of(signing_public(keys), SIGNING_PUBLIC_BYTES));
    json_key(o, "public_key");
    json_text(o, buf_slice(&text));
    buf_done(&text);
}

static void send_register(struct agent *agent)
{
    const struct args *a = &agent->cli->args;
    struct buf text = {0};
    struct json_out o = our_call_begin(&text, CALL_REGISTER, "agents.register");
    add_text(&o, "agent_id", agent->id);
    add_text(&o, "agent_type", args_text(a, "type") ? args_text(a, "type") : "worker");
    add_texts(&o, a, "capabilities", "capability");
    add_texts(&o, a, "services", "service");
    add_texts(&o, a, "tags", "tag");
    add_text(&o, "region", args_text(a, "region"));
    json_key(&o, "slots");
    json_u64(&o, agent->slots);
    if (args_has(a, "endpoint")) {
        json_key(&o, "endpoints");
        json_begin(&o, '{');
        add_pairs(&o, a, "endpoint");
        json_end(&o, '}');
    }
    if (agent->keys) {
        add_public_key(&o, agent->keys);
    }
    add_metadata(&o, a);
    end_call(agent, &o, &text);
}

static void add_figure(struct json_out *o, const char *key, double v)
{
    if (v >= 0) {
        json_key(o, key);
        json_double(o, (double)(int64_t)(v * 1000 + 0.5) / 1000);
    }
}

static unsigned busy_with(const struct agent *agent)
{
    return (agent->work ? work_busy(agent->work) : 0) + agent_tasks_busy(agent->tasks);
}

static void send_beat(struct agent *agent)
{
    struct buf text = {0};
    struct machine_load load = machine_read(&agent->machine);
    unsigned busy = busy_with(agent);
    struct json_out o = our_call_begin(&text, CALL_BEAT, "agents.heartbeat");
    add_text(&o, "agent_id", agent->id);
    json_key(&o, "load_metrics");
    json_begin(&o, '{');
    add_figure(&o, "cpu", load.cpu);
    add_figure(&o, "memory", load.memory);
    add_figure(&o, "load", load.load);
    add_figure(&o, "active_tasks", busy);
    add_figure(&o, "free_slots", busy < agent->slots ? agent->slots - busy : 0);
    json_end(&o, '}');
    end_call(agent, &o, &text);
    agent->next_beat_ms = clock_steady_ms() + agent->interval_ms;
}

static bool leaves_for_good(const struct agent *agent)
{
    return args_has(&agent->cli->args, "leave");
}

/* Its own session alone: another process may have taken over the name meanwhile. Who does not leave
 * for good is away: others get what it could not end, at once, and its seats wait for it. */
static void send_farewell(struct agent *agent)
{
    bool leaves = leaves_for_good(agent);
    struct buf text = {0};
    struct json_out o =
        our_call_begin(&text, CALL_FAREWELL, leaves ? "agents.deregister" : "agents.status");
    add_text(&o, "agent_id", agent->id);
    if (!leaves) {
        add_text(&o, "status", "inactive");
        add_text(&o, "reason", "stopped");
    }
    json_key(&o, "session");
    json_u64(&o, agent->session);
    end_call(agent, &o, &text);
}

static void send_subscribe(struct agent *agent)
{
    struct buf text = {0};
    struct json_out o = our_frame_begin(&text, "subscribe", CALL_SUBSCRIBE);
    json_key(&o, "channels");
    json_begin(&o, '[');
    json_begin(&o, '{');
    add_text(&o, "channel", agent->channel);
    if (agent->known) {
        json_key(&o, "since");
        json_begin(&o, '{');
        json_key(&o, "epoch");
        json_text(&o, buf_slice(&agent->epoch));
        json_key(&o, "offset");
        json_u64(&o, agent->offset);
        json_end(&o, '}');
    }
    json_end(&o, '}');
    json_end(&o, ']');
    json_end(&o, '}');
    socket_send(agent->socket, buf_slice(&text));
    buf_done(&text);
}

/* --- what comes --------------------------------------------------------------------------------
 */

/* Whoever is finishing reports over any connection. To register again would end the session of a
 * process that has taken over since. */
static void on_open(void *ctx)
{
    struct agent *agent = ctx;
    agent->registered = agent->stage == FINISHING && agent->session;
    if (agent->stage <= FINISHING) {
        send_subscribe(agent); /* first: whoever registers may be offered something at once */
    }
    if (agent->registered) {
        agent_tasks_registered(agent->tasks, agent->lease_ms);
    } else if (agent->stage == WORKING) {
        send_register(agent);
    }
}

static void on_registered(struct agent *agent, struct slice result)
{
    double seconds = 0;
    (void)json_to_u64(json_at(result, "session"), &agent->session);
    int64_t asked_ms = args_ms(&agent->cli->args, "interval", 0);
    (void)json_to_double(json_at(result, "heartbeat_interval"), &seconds);
    agent->interval_ms = asked_ms                         ? asked_ms
                         : seconds > 0 && seconds < 86400 ? (int64_t)(seconds * 1000)
                                                          : INTERVAL_MS;
    if (agent->interval_ms < INTERVAL_LEAST_MS) {
        agent->interval_ms = INTERVAL_LEAST_MS;
    }
    agent->registered = true;
    double lease = 0;
    (void)json_to_double(json_at(result, "lease_seconds"), &lease);
    say(agent, "registered, a beat every %.1f s", (double)agent->interval_ms / 1000);
    send_beat(agent);
    agent->lease_ms = lease > 0 && lease < 86400 ? (int64_t)(lease * 1000) : LEASE_MS;
    agent_tasks_registered(agent->tasks, agent->lease_ms);
    if (agent->votes) {
        agent_votes_registered(agent->votes);
    }
}

static void on_beat(struct agent *agent, struct slice result)
{
    if (!agent->beaten) {
        agent->beaten = true;
        say(agent, "beating");
    }
    if (agent->stage == WORKING && slice_is(json_at(result, "must_register"), "true")) {
        say(agent, "silent for too long: registering again");
        agent->registered = false;
        send_register(agent);
    }
}

static void on_result(struct agent *agent, const struct hub_frame *frame)
{
    if (agent_tasks_answer(agent->tasks, frame)) {
        return;
    }
    switch ((enum call)hub_frame_number(frame, HUB_ID)) {
    case CALL_REGISTER:
        on_registered(agent, frame->field[HUB_RESULT_VALUE]);
        return;
    case CALL_BEAT:
        on_beat(agent, frame->field[HUB_RESULT_VALUE]);
        return;
    case CALL_FAREWELL:
        say(agent, leaves_for_good(agent) ? "deregistered" : "stopped, still registered");
        agent->stage = GONE;
        return;
    case CALL_SUBSCRIBE:
        return;
    }
}

static void on_subscribed(struct agent *agent, const struct hub_frame *frame)
{
    struct slice key, item;
    struct slice list = frame->field[HUB_CHANNELS];
    uint64_t offset;
    if (json_kind_of(list) != JSON_KIND_ARRAY) {
        return;
    }
    struct json_walk w = json_walk_of(list);
    if (json_walk_next(&w, &key, &item) && json_to_u64(json_at(item, "offset"), &offset)) {
        struct buf epoch = {0};
        (void)json_to_text(json_at(item, "epoch"), &epoch);
        if (!agent->known || !slice_equal(buf_slice(&epoch), buf_slice(&agent->epoch))) {
            agent->offset = agent->known ? 0 : offset; /* another log: its events are all new */
        }
        buf_done(&agent->epoch);
        agent->epoch = epoch;
        agent->known = true;
    }
}

static void on_event(struct agent *agent, const struct hub_frame *frame)
{
    struct buf line = {0};
    uint64_t offset = hub_frame_number(frame, HUB_OFFSET);
    if (offset && agent->known && offset <= agent->offset) {
        return;
    }
    agent->offset = offset ? offset : agent->offset;
    json_add_human(&line, frame->field[HUB_EVENT_NAME]);
    buf_add_str(&line, " ");
    json_add_human(&line, frame->field[HUB_DATA]);
    say(agent, "%.*s", (int)(line.n < 800 ? line.n : 800), (const char *)line.p);
    buf_done(&line);
    if (agent_tasks_event(agent->tasks, frame, agent->stage == WORKING)) {
        return;
    }
    if (agent->work && agent->stage == WORKING && !work_offer(agent->work, frame)) {
        say(agent, "too much waits already: this event is left out");
    }
}

static void on_error(struct agent *agent, const struct hub_frame *frame)
{
    if (agent_tasks_answer(agent->tasks, frame)) {
        return;
    }
    enum call call = (enum call)hub_frame_number(frame, HUB_ID);
    uint64_t status = hub_frame_number(frame, HUB_STATUS);
    if (call == CALL_FAREWELL && status == 409) {
        say(agent, "another process has taken over");
        agent->stage = GONE;
        return;
    }
    enum cli_exit exit = socket_complain(agent->cli, frame);
    if (call == CALL_BEAT && status == 404 && agent->stage == WORKING) {
        say(agent, "the hub does not know it any more: registering again");
        agent->registered = false;
        send_register(agent);
    } else if (call == CALL_REGISTER && (status == 429 || status >= 500 || status == 0)) {
        socket_drop(agent->socket, "the hub did not take the registration");
    } else if (call == CALL_REGISTER) {
        agent->verdict = exit;
    } else if (call == CALL_FAREWELL) {
        agent->stage = GONE;
    }
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct agent *agent = ctx;
    if (agent->votes && agent_votes_frame(agent->votes, frame)) {
        return;
    }
    switch (frame->type) {
    case HUB_RESULT:
        on_result(agent, frame);
        return;
    case HUB_ERROR:
        on_error(agent, frame);
        return;
    case HUB_SUBSCRIBED:
        on_subscribed(agent, frame);
        return;
    case HUB_EVENT:
        on_event(agent, frame);
        return;
    case HUB_UNKNOWN:
    case HUB_WELCOME:
    case HUB_PUBLISHED:
    case HUB_JOINED:
    case HUB_LEFT:
    case HUB_UPDATED:
    case HUB_GAP:
    case HUB_GOODBYE:
    case HUB_TOKEN_EXPIRING:
    case HUB_TYPES:
        return;
    }
}

static void on_lost(void *ctx, const char *why, int64_t retry_ms)
{
    struct agent *agent = ctx;
    agent->registered = false;
    agent->beaten = false;
    if (socket_loss_is_news(agent->socket)) {
        say(agent, "%s; again in %.1f s", why, (double)retry_ms / 1000);
    }
}

/* --- signals and stages ------------------------------------------------------------------------
 */

static bool on_stopping(void *ctx)
{
    sigset_t pending;
    (void)ctx;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static void begin_stop(struct agent *agent)
{
    if (agent->stage >= FINISHING) { /* asked twice: now */
        agent->stage_until_ms = clock_steady_ms();
        return;
    }
    agent->stage = FINISHING;
    agent->stage_until_ms = clock_steady_ms() + args_ms(&agent->cli->args, "grace", GRACE_MS);
    if (agent->work) {
        work_forget(agent->work);
    }
    if (agent->votes) {
        agent_votes_stop(agent->votes);
    }
    say(agent, "stopping, %u at work", busy_with(agent));
}

static void reap(struct agent *agent)
{
    int status;
    agent_tasks_reap(agent->tasks);
    if (agent->votes) {
        agent_votes_reap(agent->votes);
    }
    while (agent->work && work_reap(agent->work, &status)) {
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            say(agent, "the command ended with %s %d", WIFEXITED(status) ? "code" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        }
    }
    if (agent->work) {
        work_start(agent->work);
    }
}

static void take_signals(struct agent *agent)
{
    struct signalfd_siginfo info;
    while (read(agent->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD) {
            reap(agent);
        } else {
            begin_stop(agent);
        }
    }
}

/* FINISHING → LEAVING when the work is done or its time is over; LEAVING → GONE by the hub's
 * answer. */
static void move_stage(struct agent *agent)
{
    int64_t now = clock_steady_ms();
    bool busy = busy_with(agent) || (agent->votes && agent_votes_busy(agent->votes));
    if (agent->stage == FINISHING && busy && now >= agent->stage_until_ms) {
        if (agent->work) {
            work_signal(agent->work, SIGTERM);
        }
        agent_tasks_signal(agent->tasks, SIGTERM);
        if (agent->votes) {
            agent_votes_signal(agent->votes, SIGTERM);
        }
        busy = false;
    }
    if (agent->stage == FINISHING && !busy) {
        agent->stage = LEAVING;
        agent->stage_until_ms = now + FAREWELL_MS;
        if (!agent->registered) {
            agent->stage = GONE;
            return;
        }
        send_farewell(agent);
    }
    if (agent->stage == LEAVING && (now >= agent->stage_until_ms || !agent->registered)) {
        agent->stage = GONE;
    }
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_ms(const struct agent *agent)
{
    int64_t then = INT64_MAX;
    if (agent->registered && agent->stage <= FINISHING) {
        then = sooner(agent->next_beat_ms, agent_tasks_next_ms(agent->tasks));
        then = agent->votes ? sooner(then, agent_votes_next_ms(agent->votes)) : then;
    }
    return agent->stage > WORKING ? sooner(then, agent->stage_until_ms) : then;
}

static enum cli_exit live(struct agent *agent)
{
    enum cli_exit rc = CLI_OK;
    while (rc == CLI_OK && agent->verdict == CLI_OK && agent->stage != GONE) {
        struct pollfd signals = {.fd = agent->signals, .events = POLLIN};
        rc = socket_wait(agent->socket, next_ms(agent), &signals, 1);
        take_signals(agent);
        if (agent->registered && agent->stage <= FINISHING &&
            clock_steady_ms() >= agent->next_beat_ms) {
            send_beat(agent);
        }
        if (agent->registered) {
            agent_tasks_turn(agent->tasks);
        }
        if (agent->registered && agent->votes) {
            agent_votes_turn(agent->votes);
        }
        move_stage(agent);
    }
    return rc != CLI_OK ? rc : agent->verdict;
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGCHLD);
    return sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)
                                                   : -1;
}

static void send_frame(void *ctx, struct slice frame)
{
    struct agent *agent = ctx;
    socket_send(agent->socket, frame);
}

static void say_of_task(void *ctx, const char *what, const char *task_id)
{
    say(ctx, "task %s %s", task_id, what);
}

static void say_of_round(void *ctx, const char *round_id, const char *what)
{
    say(ctx, "round %s: %s", round_id, what);
}

static enum cli_exit take_seats(struct agent *agent)
{
    const struct args *a = &agent->cli->args;
    char why[512];
    const char *key = args_text(a, "signing-key");
    if (key && !agent_key_open(key, &agent->keys, why, sizeof why)) {
        return cli_fail(CLI_USAGE, "%s", why);
    }
    if (args_has(a, "vote")) {
        struct agent_votes_options votes = {
            .voter = {.id = agent->id, .how = args_text(a, "vote"), .keys = agent->keys},
            .send = send_frame,
            .say = say_of_round,
            .ctx = agent};
        agent->votes = agent_votes_new(&votes);
    }
    return CLI_OK;
}

static bool read_arguments(struct agent *agent)
{
    struct args *a = &agent->cli->args;
    struct buf channel = {0};
    uint64_t slots = args_number(a, "slots", 1);
    agent->id = args_text(a, "id");
    if (strlen(agent->id) > AGENT_ID_BYTES_MAX) {
        return args_refuse(a, "\"%s\" is no id: %d bytes at most", agent->id, AGENT_ID_BYTES_MAX);
    }
    channel_of_id(&channel, "agent.", slice_str(agent->id));
    agent->channel = xstrndup(channel.p, channel.n);
    buf_done(&channel);
    if (slots < 1 || slots > WORK_SLOTS_MAX) {
        return args_refuse(a, "--slots wants 1 to %d", WORK_SLOTS_MAX);
    }
    agent->slots = (unsigned)slots;
    if (args_has(a, "on-event")) {
        agent->work = work_new(args_text(a, "on-event"), agent->id, agent->slots);
    }
    struct agent_tasks_options tasks = {.agent_id = agent->id,
                                        .command = args_text(a, "exec"),
                                        .slots = agent->slots,
                                        .send = send_frame,
                                        .say = say_of_task,
                                        .ctx = agent};
    agent->tasks = agent_tasks_new(&tasks);
    return true;
}

enum cli_exit agent_run_run(struct cli *cli)
{
    struct agent agent = {.cli = cli, .signals = -1};
    struct socket_events events = {.ctx = &agent,
                                   .open = on_open,
                                   .frame = on_frame,
                                   .lost = on_lost,
                                   .stopping = on_stopping};
    enum cli_exit rc;
    if (!read_arguments(&agent)) {
        rc = cli_usage(cli);
    } else if (!cli_target(cli)) {
        rc = CLI_USAGE;
    } else if ((rc = take_seats(&agent)) != CLI_OK) {
        /* it has said why */
    } else if ((agent.signals = open_signals()) < 0) {
        rc = cli_fail(CLI_FAILED, "cannot listen to signals");
    } else {
        (void)machine_read(&agent.machine); /* the CPU's share is a difference to this */
        agent.socket = socket_new(cli, &events, true);
        rc = live(&agent);
        socket_close(agent.socket, 1000);
        socket_free(agent.socket);
        close(agent.signals);
    }
    agent_votes_free(agent.votes);
    agent_tasks_free(agent.tasks);
    work_free(agent.work);
    signing_unref(agent.keys);
    buf_done(&agent.epoch);
    free(agent.channel);
    return rc;
}

/* `waggle bench`: a small real load on the running hub, and how long it takes to answer.
 *
 * Each load is a row: what a connection does before it is ready, what it asks again and again with
 * so many answers outstanding, what it does with events. Times are from the sending to whatever the
 * row calls the end of it. What a load makes it also takes away: agents deregister, tasks are
 * completed. */
#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "channels/json_out.h"
#include "hub/cli/bench_stats.h"
#include "hub/cli/socket.h"

enum {
    CONNECTIONS_MAX = 1000,
    OUTSTANDING_MAX = 1024,
    RING = 4096, /* of sending times, by the last bits of a request's number */
    READY_MS = 10000,
    LINGER_MS = 3000, /* for the last answers */
    VOTERS = 10,
};

/* Requests are numbered; answers to what is not a request of the load have numbers beyond. */
#define SETUP_ID UINT64_C(0x1000000000)
#define ACCEPT_ID UINT64_C(0x2000000000)
#define COMPLETE_ID UINT64_C(0x4000000000)
#define ROUND_ID UINT64_C(0x8000000000)
#define END_ID UINT64_C(0x10000000000)

struct bench;

struct bench_connection {
    struct bench *bench;
    struct socket *socket;
    unsigned index, in_flight, setting_up;
    bool ending; /* what it made is being taken away */
    uint64_t next;
    int64_t sent_ns[RING];
};

struct load {
    const char *name;
    bool source;     /* only the first connection asks; the others hear */
    bool answers;    /* the answer is the end of a request, and its time counts */
    unsigned setups; /* answers before a connection is ready */
    void (*begin)(struct bench_connection *c);
    void (*ask)(struct bench_connection *c, struct buf *frame, uint64_t id);
    void (*event)(struct bench_connection *c, const struct hub_frame *frame);
    void (*result)(struct bench_connection *c, uint64_t id, const struct hub_frame *frame);
    void (*end)(struct bench_connection *c);
};

struct bench {
    struct cli *cli;
    const struct load *load;
    struct bench_connection *connections;
    unsigned n, outstanding;
    unsigned bytes;
    struct bench_stats stats;
    uint64_t refused;
    bool running, lost;
    char run[24]; /* what this run calls its things */
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void send_text(struct bench_connection *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void send_text(struct bench_connection *c, const char *format, ...)
{
    char text[1024];
    va_list rest;
    va_start(rest, format);
    int n = vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    socket_send(c->socket, slice_of(text, (size_t)n));
}

static void measured(struct bench_connection *asker, uint64_t id)
{
    bench_stats_add(&asker->bench->stats, now_ns() - asker->sent_ns[id % RING]);
}

static void finished(struct bench_connection *asker)
{
    asker->in_flight -= asker->in_flight > 0;
}

/* --- publish and fanout ------------------------------------------------------------------------
 */

static void publish_ask(struct bench_connection *c, struct buf *frame, uint64_t id)
{
    buf_printf(
        frame,
        "{\"type\":\"publish\",\"id\":%llu,\"channel\":\"%s.%u\",\"event\":\"bench\",\"data\":\"",
        (unsigned long long)id, c->bench->run, c->bench->load->source ? 0 : c->index);
    for (unsigned i = 0; i < c->bench->bytes; i++) {
        buf_add_str(frame, "x");
    }
    buf_printf(frame, "\",\"headers\":{\"n\":\"%llu\"}}", (unsigned long long)id);
}

static void fanout_begin(struct bench_connection *c)
{
    send_text(c, "{\"type\":\"subscribe\",\"id\":%llu,\"channels\":[\"%s.0\"]}",
              (unsigned long long)SETUP_ID, c->bench->run);
}

static void fanout_event(struct bench_connection *c, const struct hub_frame *frame)
{
    uint64_t id;
    struct slice headers = json_at(frame->text, "headers");
    if (json_to_u64(json_at(headers, "n"), &id)) {
        measured(&c->bench->connections[0], id);
    }
}

/* --- agents ------------------------------------------------------------------------------------
 */

static void agents_begin(struct bench_connection *c)
{
    send_text(
        c,
        "{\"type\":\"call\",\"id\":%llu,\"method\":\"agents.register\",\"params\":{\"agent_id\":"
        "\"%s-%u\",\"agent_type\":\"worker\",\"capabilities\":[\"%s\"],\"slots\":%u}}",
        (unsigned long long)SETUP_ID, c->bench->run, c->index, c->bench->run,
        c->bench->outstanding);
}

static void agents_ask(struct bench_connection *c, struct buf *frame, uint64_t id)
{
    buf_printf(
        frame,
        "{\"type\":\"call\",\"id\":%llu,\"method\":\"agents.heartbeat\",\"params\":{\"agent_id\":"
        "\"%s-%u\",\"load_metrics\":{\"cpu\":0.5}}}",
        (unsigned long long)id, c->bench->run, c->index);
}

static void agents_end(struct bench_connection *c)
{
    c->ending = true;
    send_text(
        c,
        "{\"type\":\"call\",\"id\":%llu,\"method\":\"agents.deregister\",\"params\":{\"agent_id\":"
        "\"%s-%u\"}}",
        (unsigned long long)END_ID, c->bench->run, c->index);
}

/* --- tasks: the first connection submits, the others are agents that do them --------------------
 */

static void tasks_begin(struct bench_connection *c)
{
    if (c->index == 0) {
        c->setting_up = 0;
        return;
    }
    c->setting_up = 2;
    agents_begin(c);
    send_text(c, "{\"type\":\"subscribe\",\"id\":%llu,\"channels\":[\"agent.%s-%u\"]}",
              (unsigned long long)SETUP_ID, c->bench->run, c->index);
}

static void tasks_ask(struct bench_connection *c, struct buf *frame, uint64_t id)
{
    buf_printf(
        frame,
        "{\"type\":\"call\",\"id\":%llu,\"method\":\"tasks.submit\",\"params\":{\"task_data\":{"
        "\"task_id\":\"%s.%llu\"},\"requirements\":{\"capabilities\":[\"%s\"]}}}",
        (unsigned long long)id, c->bench->run, (unsigned long long)id, c->bench->run);
}

/* The number of a task of this run, from the end of its id. */
static bool task_number(struct slice data, uint64_t *out)
{
    struct buf id = {0};
    json_add_human(&id, json_at(data, "task_id"));
    buf_add(&id, "", 1);
    const char *dot = strrchr((const char *)id.p, '.');
    bool ok = dot && option_number(dot + 1, out);
    buf_done(&id);
    return ok;
}

static void tasks_event(struct bench_connection *c, const struct hub_frame *frame)
{
    uint64_t id;
    struct slice name, data = frame->field[HUB_DATA];
    if (!json_is_plain(frame->field[HUB_EVENT_NAME], &name) || !slice_is(name, "task_offered") ||
        !task_number(data, &id)) {
        return;
    }
    struct slice task = json_at(data, "task_id"), lease = json_at(data, "lease_id");
    if (strcmp(c->bench->load->name, "dispatch") == 0) {
        measured(&c->bench->connections[0], id);
    }
    static const char *const steps[] = {"accept", "complete"};
    for (size_t i = 0; i < 2; i++) { /* in this order on one connection: no need to wait between */
        send_text(
            c,
            "{\"type\":\"call\",\"id\":%llu,\"method\":\"tasks.%s\",\"params\":{\"task_id\":%.*s,"
            "\"lease_id\":%.*s}}",
            (unsigned long long)(id | (i ? COMPLETE_ID : ACCEPT_ID)), steps[i], (int)task.n,
            (const char *)task.p, (int)lease.n, (const char *)lease.p);
    }
}

static void tasks_result(struct bench_connection *c, uint64_t id, const struct hub_frame *frame)
{
    (void)frame;
    struct bench_connection *asker = &c->bench->connections[0];
    if (id & COMPLETE_ID) {
        if (strcmp(c->bench->load->name, "task") == 0) {
            measured(asker, id & ~COMPLETE_ID);
        }
        finished(asker);
    }
}

static void tasks_end(struct bench_connection *c)
{
    if (c->index) {
        agents_end(c);
    }
}

/* --- messages ----------------------------------------------------------------------------------
 */

static void messages_ask(struct bench_connection *c, struct buf *frame, uint64_t id)
{
    buf_printf(
        frame,
        "{\"type\":\"call\",\"id\":%llu,\"method\":\"messages.send\",\"params\":{\"receiver_id\":"
        "\"%s-%u\",\"message_type\":\"direct\",\"payload\":{\"n\":1},\"ack\":\"none\"}}",
        (unsigned long long)id, c->bench->run, (c->index + 1) % c->bench->n);
}

/* --- consensus: from the last ballot to its answer, which knows that the round is closed ---------
 */

static void rounds_ask(struct bench_connection *c, struct buf *frame, uint64_t id)
{
    (void)c;
    buf_printf(frame,
               "{\"type\":\"call\",\"id\":%llu,\"method\":\"consensus.open\",\"params\":{"
               "\"question\":\"bench\",\"electorate\":[",
               (unsigned long long)(id | ROUND_ID));
    for (int i = 0; i < VOTERS; i++) {
        buf_printf(frame, "%s\"v%d\"", i ? "," : "", i);
    }
    buf_add_str(frame, "]}}");
}

static void rounds_result(struct bench_connection *c, uint64_t id, const struct hub_frame *frame)
{
    if (id & ROUND_ID) {
        struct slice round = json_at(frame->field[HUB_RESULT_VALUE], "round_id");
        for (int i = 0; i < VOTERS; i++) {
            bool last = i + 1 == VOTERS;
            uint64_t number = id & ~ROUND_ID;
            c->sent_ns[number % RING] = now_ns();
            send_text(c,
                      "{\"type\":\"call\",\"id\":%llu,\"method\":\"consensus.vote\",\"params\":{"
                      "\"round_id\":%.*s,\"voter\":\"v%d\",\"choice\":\"yes\"}}",
                      (unsigned long long)(last ? number | COMPLETE_ID : ACCEPT_ID), (int)round.n,
                      (const char *)round.p, i);
        }
    } else if (id & COMPLETE_ID) {
        measured(c, id & ~COMPLETE_ID);
        finished(c);
    }
}

// clang-format off
static const struct load loads[] = {
    { .name = "publish",   .answers = true, .ask = publish_ask },
    { .name = "fanout",    .source = true, .setups = 1, .begin = fanout_begin, .ask = publish_ask, .event = fanout_event },
    { .name = "agents",    .answers = true, .setups = 1, .begin = agents_begin, .ask = agents_ask, .end = agents_end },
    { .name = "task",      .source = true, .begin = tasks_begin, .ask = tasks_ask, .event = tasks_event, .result = tasks_result, .end = tasks_end },
    { .name = "dispatch",  .source = true, .begin = tasks_begin, .ask = tasks_ask, .event = tasks_event, .result = tasks_result, .end = tasks_end },
    { .name = "msg",       .answers = true, .setups = 1, .begin = agents_begin, .ask = messages_ask, .end = agents_end },
    { .name = "consensus", .ask = rounds_ask, .result = rounds_result },
};
// clang-format on

/* --- connections -------------------------------------------------------------------------------
 */

static void on_open(void *ctx)
{
    struct bench_connection *c = ctx;
    const struct load *load = c->bench->load;
    c->setting_up = load->setups;
    if (load->begin) {
        load->begin(c);
    }
}

static void on_lost(void *ctx, const char *why, int64_t retry_ms)
{
    struct bench_connection *c = ctx;
    (void)retry_ms;
    cli_fail(CLI_UNREACHABLE, "a connection was lost: %s", why);
    c->bench->lost = true;
}

static void on_answer(struct bench_connection *c, uint64_t id, const struct hub_frame *frame)
{
    const struct load *load = c->bench->load;
    if (id == SETUP_ID) {
        c->setting_up -= c->setting_up > 0;
    } else if (load->result) {
        load->result(c, id, frame);
    } else if (id < SETUP_ID) {
        if (load->answers) {
            measured(c, id);
        }
        finished(c);
    }
}

static void on_refused(struct bench_connection *c, uint64_t id, const struct hub_frame *frame)
{
    if (c->bench->refused++ == 0) {
        (void)socket_complain(c->bench->cli, frame);
    }
    if (id == SETUP_ID) {
        c->bench->lost = true;
    } else if (id != END_ID) {
        finished(c->bench->load->source ? &c->bench->connections[0] : c);
    }
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct bench_connection *c = ctx;
    uint64_t id = hub_frame_number(frame, HUB_ID);
    c->ending = c->ending && id != END_ID;
    if (frame->type == HUB_EVENT && c->bench->load->event) {
        c->bench->load->event(c, frame);
    } else if (frame->type == HUB_ERROR) {
        on_refused(c, id, frame);
    } else if (frame->type == HUB_RESULT || frame->type == HUB_PUBLISHED ||
               frame->type == HUB_SUBSCRIBED) {
        on_answer(c, id, frame);
    }
}

static void ask_more(struct bench_connection *c)
{
    struct bench *b = c->bench;
    struct buf frame = {0};
    while (b->running && socket_is_open(c->socket) && c->in_flight < b->outstanding &&
           (c->index == 0 || !b->load->source)) {
        uint64_t id = ++c->next;
        buf_clear(&frame);
        b->load->ask(c, &frame, id);
        c->sent_ns[id % RING] = now_ns();
        c->in_flight++;
        socket_send(c->socket, buf_slice(&frame));
    }
    buf_done(&frame);
}

/* One turn over all connections; waits only in the first, and not when there was anything to do. */
static enum cli_exit turn(struct bench *b)
{
    enum cli_exit rc = CLI_OK;
    struct pollfd *fds = xcalloc(b->n, sizeof *fds);
    for (unsigned i = 0; i < b->n; i++) {
        ask_more(&b->connections[i]);
        fds[i] = (struct pollfd){.fd = socket_fd(b->connections[i].socket), .events = POLLIN};
        fds[i].events |= socket_queued(b->connections[i].socket) ? POLLOUT : 0;
    }
    (void)poll(fds, b->n, 5);
    for (unsigned i = 0; rc == CLI_OK && i < b->n; i++) {
        if (fds[i].fd < 0 || fds[i].revents) {
            rc = socket_wait(b->connections[i].socket, 0, NULL, 0);
        }
    }
    free(fds);
    return rc;
}

static bool is_ready(const struct bench *b)
{
    for (unsigned i = 0; i < b->n; i++) {
        if (!socket_is_open(b->connections[i].socket) || b->connections[i].setting_up) {
            return false;
        }
    }
    return true;
}

static unsigned in_flight(const struct bench *b)
{
    unsigned all = 0;
    for (unsigned i = 0; i < b->n; i++) {
        all += b->connections[i].in_flight;
    }
    return all;
}

/* Takes away what the load made, and waits until the hub has said so: a connection that closes
 * first may be gone before its last request is read. */
static void end_load(struct bench *b)
{
    int64_t until = clock_steady_ms() + LINGER_MS;
    bool ending = false;
    for (unsigned i = 0; i < b->n; i++) {
        if (b->load->end && socket_is_open(b->connections[i].socket)) {
            b->load->end(&b->connections[i]);
        }
    }
    do {
        ending = false;
        for (unsigned i = 0; i < b->n; i++) {
            ending =
                ending || (b->connections[i].ending && socket_is_open(b->connections[i].socket));
        }
    } while (ending && clock_steady_ms() < until && turn(b) == CLI_OK);
}

static enum cli_exit run_load(struct bench *b, int64_t for_ms, double *out_seconds)
{
    enum cli_exit rc = CLI_OK;
    int64_t until = clock_steady_ms() + READY_MS;
    while (rc == CLI_OK && !b->lost && !is_ready(b)) {
        rc = clock_steady_ms() < until ? turn(b)
                                       : cli_fail(CLI_TIMEOUT, "the hub is not ready in time");
    }
    int64_t begun = now_ns();
    until = clock_steady_ms() + for_ms;
    b->running = true;
    while (rc == CLI_OK && !b->lost && clock_steady_ms() < until) {
        rc = turn(b);
    }
    b->running = false;
    *out_seconds = (double)(now_ns() - begun) / 1e9;
    uint64_t counted = b->stats.count; /* the rate is of the time while it ran */
    until = clock_steady_ms() + LINGER_MS;
    while (rc == CLI_OK && !b->lost && in_flight(b) && clock_steady_ms() < until) {
        rc = turn(b);
    }
    *out_seconds *= counted ? (double)b->stats.count / (double)counted : 1;
    return rc == CLI_OK && b->lost ? CLI_UNREACHABLE : rc;
}

/* --- the command -------------------------------------------------------------------------------
 */

static void put_ms(struct json_out *o, const char *key, int64_t ns)
{
    json_key(o, key);
    int64_t us = ns / 1000; /* finer is noise */
    json_double(o, (double)us / 1000);
}

static void report(struct bench *b, double seconds)
{
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    json_begin(&o, '{');
    json_key(&o, "load");
    json_str(&o, b->load->name);
    json_key(&o, "connections");
    json_u64(&o, b->n);
    json_key(&o, "outstanding");
    json_u64(&o, b->outstanding);
    json_key(&o, "count");
    json_u64(&o, b->stats.count);
    json_key(&o, "refused");
    json_u64(&o, b->refused);
    json_key(&o, "per_second");
    json_u64(&o, (uint64_t)((double)b->stats.count / seconds + 0.5));
    json_key(&o, "latency_ms");
    json_begin(&o, '{');
    put_ms(&o, "p50", bench_stats_at(&b->stats, 0.5));
    put_ms(&o, "p90", bench_stats_at(&b->stats, 0.9));
    put_ms(&o, "p99", bench_stats_at(&b->stats, 0.99));
    put_ms(&o, "max", b->stats.max);
    json_end(&o, '}');
    json_end(&o, '}');
    output_object(&b->cli->out, buf_slice(&text), NULL, "per_second");
    buf_done(&text);
}

static bool read_arguments(struct bench *b)
{
    struct args *a = &b->cli->args;
    const char *name = strchr(b->cli->command->name, ' ') + 1;
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++) {
        if (strcmp(loads[i].name, name) == 0) {
            b->load = &loads[i];
        }
    }
    uint64_t connections = args_number(a, "connections", 4),
             outstanding = args_number(a, "outstanding", 8);
    uint64_t bytes = args_number(a, "bytes", 128);
    if (connections < 1 + (uint64_t)(b->load->source) || connections > CONNECTIONS_MAX) {
        return args_refuse(a, "--connections is from %d to %d", 1 + b->load->source,
                           CONNECTIONS_MAX);
    }
    if (outstanding < 1 || outstanding > OUTSTANDING_MAX || bytes > 65536) {
        return args_refuse(a, "--outstanding is from 1 to %d, --bytes at most 65536",
                           OUTSTANDING_MAX);
    }
    b->n = (unsigned)connections;
    b->outstanding = (unsigned)outstanding;
    b->bytes = (unsigned)bytes;
    snprintf(b->run, sizeof b->run, "bench-%llx",
             (unsigned long long)(now_ns() / 1000 % 0xffffffff));
    return true;
}

static enum cli_exit bench_run(struct cli *cli)
{
    struct bench b = {.cli = cli};
    double seconds = 1;
    if (!read_arguments(&b)) {
        return cli_usage(cli);
    }
    b.connections = xcalloc(b.n, sizeof *b.connections);
    for (unsigned i = 0; i < b.n; i++) {
        struct bench_connection *c = &b.connections[i];
        struct socket_events events = {
            .ctx = c, .open = on_open, .frame = on_frame, .lost = on_lost};
        *c = (struct bench_connection){.bench = &b, .index = i, .setting_up = 1};
        c->socket = socket_new(cli, &events, false);
    }
    enum cli_exit rc = run_load(&b, args_ms(&cli->args, "for", 5000), &seconds);
    end_load(&b);
    for (unsigned i = 0; i < b.n; i++) {
        socket_close(b.connections[i].socket, 1000);
        socket_free(b.connections[i].socket);
    }
    if (rc == CLI_OK) {
        report(&b, seconds);
        rc = b.refused ? CLI_FAILED : CLI_OK;
    }
    free(b.connections);
    bench_stats_done(&b.stats);
    return rc;
}

// clang-format off
static const struct option options[] = {
    { 'c', "connections", OPTION_NUMBER, 0, "N", "so many connections (4)", NULL },
    { 0, "outstanding", OPTION_NUMBER, 0, "N", "so many requests on their way, on each that asks (8)", NULL },
    { 0, "for", OPTION_SECONDS, 0, "TIME", "how long (5s)", NULL },
    { 0, "bytes", OPTION_NUMBER, 0, "N", "of data in what is published (128)", NULL },
    { 0 },
};

const struct command bench_commands[] = {
    { "bench publish", "publish to durable channels: until each is on disk", NULL, NULL, options, bench_run, "waggle bench publish --connections 16 --for 10s" },
    { "bench fanout", "one publishes, all hear: until each has heard", NULL, NULL, options, bench_run, NULL },
    { "bench agents", "heartbeats: until each is answered", NULL, NULL, options, bench_run, NULL },
    { "bench task", "tasks: from the submit until each is completed", NULL, NULL, options, bench_run, NULL },
    { "bench dispatch", "tasks: from the submit until each is offered", NULL, NULL, options, bench_run, NULL },
    { "bench msg", "messages: until each is accepted", NULL, NULL, options, bench_run, NULL },
    { "bench consensus", "rounds of ten: from the last ballot until it is answered", NULL, NULL, options, bench_run, NULL },
    { 0 },
};
// clang-format on

#define _GNU_SOURCE
#include "tests/load/cases.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/mem.h"
#include "tests/load/swarm.h"

enum { OPENING = 64, TURN_MS = 1 };

static const uint64_t turn = TURN_MS * 1000000;

/* Calls step(ctx) so many times a second while the actor moves. */
static void pace(struct actor *self, double per_s, void (*step)(void *ctx),
                 void (*between)(void *ctx), void *ctx)
{
    uint64_t start = meter_now(), done = 0;
    while (actor_phase(self) == ACTOR_MOVES) {
        uint64_t due = (uint64_t)((double)(meter_now() - start) * per_s / 1e9) + 1;
        for (unsigned i = 0; done < due && i < 64; i++, done++)
            step(ctx);
        between(ctx);
    }
}

static void stand(struct actor *self, void (*between)(void *ctx), void *ctx)
{
    actor_ready(self);
    while (actor_phase(self) != ACTOR_ENDS)
        between(ctx);
}

/* ---- stalled: readers that do not read cost a cursor, not a queue ---- */

enum { STALLED = 1000, SLEEPERS = 20, HEALTHY = 10, BUSY_PER_S = 800, BUSY_BYTES = 2000 };
enum { FILL = 2500 }; /* events until sockets and queues of those who do not read are full */

struct stalled {
    struct swarm stuck, sleepers, healthy;
    struct publisher publisher;
};

static void stalled_step(void *ctx)
{
    struct stalled *s = ctx;
    publisher_send(&s->publisher);
}

static void stalled_turn(void *ctx)
{
    struct stalled *s = ctx;
    crowd_turn(s->publisher.crowd, 0);
    swarm_turn(&s->healthy, turn);
}

static void stalled(struct actor *self)
{
    static struct stalled s;
    swarm_init(&s.stuck, &self->target, "busy", STALLED - SLEEPERS);
    swarm_init(&s.sleepers, &self->target, "busy", SLEEPERS);
    swarm_init(&s.healthy, &self->target, "busy", HEALTHY);
    swarm_come(&s.stuck, OPENING);
    swarm_come(&s.sleepers, OPENING);
    swarm_come(&s.healthy, OPENING);
    publisher_open(&s.publisher, &self->target, "busy", BUSY_BYTES);
    while (s.publisher.answered < FILL) {
        while (s.publisher.sent < FILL && s.publisher.sent - s.publisher.answered < 64)
            publisher_send(&s.publisher);
        stalled_turn(&s);
    }
    swarm_reach(&s.healthy, 0, HEALTHY - 1, s.publisher.offset, 20 * NS_PER_S);
    actor_ready(self);
    pace(self, BUSY_PER_S, stalled_step, stalled_turn, &s);
    publisher_drain(&s.publisher);
    swarm_reach(&s.healthy, 0, HEALTHY - 1, s.publisher.offset, 20 * NS_PER_S);
    stand(self, stalled_turn, &s);
    uint64_t woke = meter_now();
    if (!self->longer) /* for so long a silent peer is taken for gone, and rightly */
        swarm_reach(&s.sleepers, 0, SLEEPERS - 1, s.publisher.offset, 60 * NS_PER_S);
    printf("  %d readers stalled, %d healthy ones had all %" PRIu64
           " events of %d bytes; %d stalled"
           " ones then read on and had all of them %.1f s later\n",
           STALLED, HEALTHY, s.publisher.offset, BUSY_BYTES, self->longer ? 0 : SLEEPERS,
           (double)(meter_now() - woke) / 1e9);
    publisher_close(&s.publisher);
    swarm_done(&s.stuck);
    swarm_done(&s.sleepers);
    swarm_done(&s.healthy);
}

/* ---- return: all are cut at once and come back at once ---- */

enum { RETURNING = 5000, FEED_PER_S = 10, FEED_BYTES = 100, STAY_MS = 1000 };

struct returning {
    struct swarm swarm;
    struct publisher publisher;
    uint64_t moved; /* since they came back */
    unsigned rounds;
    double slowest_s;
};

static void returning_step(void *ctx)
{
    struct returning *r = ctx;
    publisher_send(&r->publisher);
}

static void returning_turn(void *ctx)
{
    struct returning *r = ctx;
    crowd_turn(r->publisher.crowd, 0);
    swarm_turn(&r->swarm, turn);
    if (meter_now() - r->moved < STAY_MS * NS_PER_MS)
        return;
    uint64_t cut = meter_now();
    swarm_cut(&r->swarm);
    for (unsigned i = 0; i < 10; i++) /* what they miss */
        publisher_send(&r->publisher);
    publisher_drain(&r->publisher);
    swarm_come(&r->swarm, RETURNING);
    swarm_reach(&r->swarm, 0, RETURNING - 1, r->publisher.offset, 30 * NS_PER_S);
    double took = (double)(meter_now() - cut) / 1e9;
    r->slowest_s = took > r->slowest_s ? took : r->slowest_s;
    r->rounds++;
    r->moved = meter_now();
}

static void returning_rest(void *ctx)
{
    struct returning *r = ctx;
    swarm_turn(&r->swarm, 50 * NS_PER_MS);
}

static void returning(struct actor *self)
{
    static struct returning r;
    swarm_init(&r.swarm, &self->target, "feed", RETURNING);
    swarm_come(&r.swarm, OPENING);
    publisher_open(&r.publisher, &self->target, "feed", FEED_BYTES);
    r.moved = meter_now();
    actor_ready(self);
    pace(self, FEED_PER_S, returning_step, returning_turn, &r);
    publisher_drain(&r.publisher);
    swarm_reach(&r.swarm, 0, RETURNING - 1, r.publisher.offset, 30 * NS_PER_S);
    stand(self, returning_rest, &r);
    if (r.rounds == 0)
        meter_fail("nobody was cut: the case is too short");
    printf("  %d clients cut at once and back at once, %u times; the slowest time until all had "
           "resumed with nothing missed or doubled: %.2f s; %" PRIu64 " events received\n",
           RETURNING, r.rounds, r.slowest_s, r.swarm.events);
    publisher_close(&r.publisher);
    swarm_done(&r.swarm);
}

/* ---- raw sockets: peers that hold a connection and speak no protocol ---- */

static int raw_connect(const struct target *t, uint32_t index)
{
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000201U + index % 50); /* 127.0.2.1 and up */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 10};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        connect(fd, (const struct sockaddr *)&t->addr, sizeof t->addr) != 0)
        meter_fail("raw connection %u: %s", index, strerror(errno));
    return fd;
}

/* Whether the hub has ended this connection; what it says before is read. */
static bool raw_ended(int fd)
{
    char text[512];
    ssize_t n;
    while ((n = recv(fd, text, sizeof text, MSG_DONTWAIT)) > 0)
        ;
    return n == 0 || (errno != EAGAIN && errno != EINTR);
}

static void raw_close(int *fd)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (*fd >= 0) {
        (void)setsockopt(*fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void)close(*fd);
    }
    *fd = -1;
}

/* ---- silent: connections that say nothing, or a byte at a time ---- */

enum { SILENT = 5000, HEAD_S = 4, DRIP_MS = 100 };

struct silent {
    int fds[SILENT];
    uint64_t began, dripped;
    uint32_t open;
    double first_s, last_s;
};

/* All of them at one moment. */
static void silent_drip(struct silent *s)
{
    if (meter_now() - s->dripped < DRIP_MS * NS_PER_MS)
        return;
    s->dripped = meter_now();
    for (unsigned i = 0; i < SILENT; i += 2)
        if (s->fds[i] >= 0)
            (void)!send(s->fds[i], "a", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void silent_turn(void *ctx)
{
    struct silent *s = ctx;
    silent_drip(s);
    for (uint32_t i = 0; i < SILENT; i++) {
        if (s->fds[i] < 0 || !raw_ended(s->fds[i]))
            continue;
        double at = (double)(meter_now() - s->began) / 1e9;
        s->first_s = s->open == SILENT ? at : s->first_s;
        s->last_s = at;
        s->open--;
        raw_close(&s->fds[i]);
    }
    (void)usleep(5000);
}

static void silent(struct actor *self)
{
    static struct silent s;
    s.began = meter_now();
    for (uint32_t i = 0; i < SILENT; i++) {
        s.fds[i] = raw_connect(&self->target, i);
        if (i % 2 == 0)
            (void)!send(s.fds[i], "GET /agents HTTP/1.1\r\nX-Drip: ", 30, MSG_NOSIGNAL);
    }
    s.open = SILENT;
    double connected = (double)(meter_now() - s.began) / 1e9;
    actor_ready(self);
    while (actor_phase(self) == ACTOR_MOVES)
        silent_turn(&s);
    while (s.open > 0 && meter_now() - s.began < 30 * NS_PER_S)
        silent_turn(&s);
    stand(self, silent_turn, &s);
    if (s.open > 0 || s.first_s < HEAD_S - 0.5 || s.last_s > connected + HEAD_S + 6)
        meter_fail("%u of %d connections still open; the first was ended after %.1f s, the last "
                   "after %.1f s, where %d s are given for a head",
                   s.open, SILENT, s.first_s, s.last_s, HEAD_S);
    printf("  %d connections, half silent, half with a byte each %d ms: ended after %.1f to %.1f "
           "s, where %d s are given for a head\n",
           SILENT, DRIP_MS, s.first_s, s.last_s, HEAD_S);
}

/* ---- descriptors: there are none left ---- */

enum { DESCRIPTORS = 256, KNOCKING = 600 };

struct knocking {
    struct target target;
    int fds[KNOCKING];
    uint64_t refused, healthy;
    double slowest_ms;
};

static void knock(void *ctx)
{
    struct knocking *k = ctx;
    char text[64];
    uint64_t from = meter_now();
    int fd = raw_connect(&k->target, 0);
    (void)!send(fd, "GET /agents HTTP/1.1\r\nHost: a\r\n\r\n", 33, MSG_NOSIGNAL);
    ssize_t n = recv(fd, text, sizeof text, 0);
    double ms = (double)(meter_now() - from) / 1e6;
    if (n < 12 || memcmp(text, "HTTP/1.1 503", 12) != 0)
        meter_fail("who comes when all descriptors are taken is told 503, not '%.*s'",
                   n > 0 ? (int)n : 0, text);
    k->refused++;
    k->slowest_ms = ms > k->slowest_ms ? ms : k->slowest_ms;
    raw_close(&fd);
    static char page[65536];
    target_get(&k->target, "/health", page, sizeof page);
    k->healthy += strstr(page, "\"status\"") != NULL;
}

static void knock_rest(void *ctx)
{
    (void)ctx;
    (void)usleep(10000);
}

static void descriptors(struct actor *self)
{
    static struct knocking k;
    k.target = self->target;
    for (uint32_t i = 0; i < KNOCKING; i++)
        k.fds[i] = raw_connect(&self->target, i);
    (void)usleep(1500000); /* those past the bound have a second to say what they want */
    actor_ready(self);
    pace(self, 20, knock, knock_rest, &k);
    stand(self, knock_rest, &k);
    uint32_t held = 0;
    for (uint32_t i = 0; i < KNOCKING; i++) {
        held += !raw_ended(k.fds[i]);
        raw_close(&k.fds[i]);
    }
    if (held == 0 || held > DESCRIPTORS || k.healthy != k.refused)
        meter_fail(
            "%u of %d connections held by a hub with %d descriptors; /health answered %" PRIu64
            " times of %" PRIu64,
            held, KNOCKING, DESCRIPTORS, k.healthy, k.refused);
    (void)usleep(500000);
    struct publisher p;
    publisher_open(&p, &self->target, "after", 10);
    publisher_send(&p);
    publisher_drain(&p);
    publisher_close(&p);
    printf(
        "  %d connections to a hub with %d descriptors: %u held; then %" PRIu64 " others were "
        "told 503 within %.1f ms at most and /health answered each time; afterwards who comes is "
        "served\n",
        KNOCKING, DESCRIPTORS, held, k.refused, k.slowest_ms);
}

/* ---- firehose: a publisher at full speed into a thousand ---- */

enum { LISTENING = 1000, FIRE_BYTES = 100, FIRE_OUTSTANDING = 64 };

struct firehose {
    struct swarm swarm;
    struct publisher publisher;
};

static void firehose_turn(void *ctx)
{
    struct firehose *f = ctx;
    crowd_turn(f->publisher.crowd, 0);
    swarm_turn(&f->swarm, turn);
}

static void firehose(struct actor *self)
{
    static struct firehose f;
    swarm_init(&f.swarm, &self->target, "fire", LISTENING);
    swarm_come(&f.swarm, OPENING);
    publisher_open(&f.publisher, &self->target, "fire", FIRE_BYTES);
    actor_ready(self);
    uint64_t from = meter_now();
    while (actor_phase(self) == ACTOR_MOVES) {
        while (f.publisher.sent - f.publisher.answered < FIRE_OUTSTANDING)
            publisher_send(&f.publisher);
        firehose_turn(&f);
    }
    publisher_drain(&f.publisher);
    double took = (double)(meter_now() - from) / 1e9;
    swarm_reach(&f.swarm, 0, LISTENING - 1, f.publisher.offset, 60 * NS_PER_S);
    double lag = (double)(meter_now() - from) / 1e9 - took;
    stand(self, firehose_turn, &f);
    printf("  %" PRIu64 " events in %.1f s to %d subscribers: %.0f published and %.0f delivered a "
           "second; the last had all %.2f s after the last was acknowledged\n",
           f.publisher.offset, took, LISTENING, (double)f.publisher.offset / took,
           (double)f.swarm.events / (took + lag), lag);
    publisher_close(&f.publisher);
    swarm_done(&f.swarm);
}

/* ---- agents: ten thousand that beat ---- */

enum { AGENTS = 10000, BEATS_PER_S = 1000 };

struct agents {
    struct crowd *crowd;
    uint64_t registered, answered, sent;
};

static void agents_opened(void *ctx, uint32_t index)
{
    struct agents *a = ctx;
    char frame[200];
    (void)snprintf(frame, sizeof frame,
                   "{\"type\":\"call\",\"id\":1,\"method\":\"agents.register\",\"params\":"
                   "{\"agent_id\":\"load-%u\",\"agent_type\":\"worker\"}}",
                   index);
    crowd_text(a->crowd, index, frame);
}

static void agents_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct agents *a = ctx;
    static const char result[] = "{\"type\":\"result\"", welcome[] = "{\"type\":\"welcome\"";
    if (len > sizeof result && memcmp(text, result, sizeof result - 1) == 0)
        a->answered++;
    else if (len < sizeof welcome || memcmp(text, welcome, sizeof welcome - 1) != 0)
        meter_fail("agent %u was told: %.*s", index, len < 300 ? (int)len : 300, text);
}

static void agents_beat(void *ctx)
{
    struct agents *a = ctx;
    uint32_t index = (uint32_t)(a->sent++ % AGENTS);
    char frame[200];
    (void)snprintf(frame, sizeof frame,
                   "{\"type\":\"call\",\"id\":2,\"method\":\"agents.heartbeat\",\"params\":"
                   "{\"agent_id\":\"load-%u\",\"load_metrics\":{\"cpu\":0.4}}}",
                   index);
    crowd_text(a->crowd, index, frame);
}

static void agents_turn(void *ctx)
{
    struct agents *a = ctx;
    crowd_turn(a->crowd, turn);
}

static void agents(struct actor *self)
{
    static struct agents a;
    struct crowd_events events = {.ctx = &a, .opened = agents_opened, .text = agents_text};
    uint64_t from = meter_now();
    a.crowd = crowd_new(&self->target, "/ws/v1/events", AGENTS, events);
    crowd_connect(a.crowd, 120 * NS_PER_S);
    if (!crowd_until(a.crowd, &a.answered, AGENTS, 60 * NS_PER_S))
        meter_fail("%" PRIu64 " of %d agents registered", a.answered, AGENTS);
    double took = (double)(meter_now() - from) / 1e9;
    actor_ready(self);
    pace(self, BEATS_PER_S, agents_beat, agents_turn, &a);
    if (!crowd_until(a.crowd, &a.answered, AGENTS + a.sent, 20 * NS_PER_S))
        meter_fail("%" PRIu64 " beats unanswered", AGENTS + a.sent - a.answered);
    stand(self, agents_turn, &a);
    printf("  %d agents registered over sockets of their own in %.1f s; %" PRIu64
           " beats, each answered\n",
           AGENTS, took, a.sent);
    crowd_free(a.crowd);
}

/* ---- the table ---- */

/* clang-format off */
const struct load_case load_cases[LOAD_CASES] = {
    { "stalled", "1,000 stalled readers on a busy durable channel",
      stalled, 6, 60, 256, 40, 0, { NULL } },
    { "return", "5,000 clients cut and back at once",
      returning, 8, 60, 256, 40, 0, { NULL } },
    { "descriptors", "no descriptor left",
      descriptors, 3, 20, 32, 40, DESCRIPTORS, { "--limits-head", "60s", NULL } },
    { "silent", "5,000 connections that say nothing or drip",
      silent, 6, 12, 64, 40, 0, { "--limits-head", "4s", NULL } },
    { "firehose", "a publisher at full speed into 1,000",
      firehose, 8, 60, 320, 40, 0, { NULL } },
    { "agents", "10,000 agents",
      agents, 6, 60, 256, 32, 0, { "--agents-reconnect-grace", "1s", NULL } },
};
/* clang-format on */

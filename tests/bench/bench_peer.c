/* Durable publish on servers that others wrote, in their own protocols by hand: the same count of
 * connections, channels and unanswered publishes, the same 128 bytes, the same clock.
 *
 *   redis   XADD to a stream for each channel; with `appendonly yes` and `appendfsync always` an
 *           answer leaves after the fsync of its turn. No idempotency keys.
 *   nats    HPUB with Nats-Msg-Id to a subject for each channel of one JetStream stream in files.
 *           Whether an answer waits for the disk is up to the server's `sync_interval`.
 *
 * Both answer in lines, so one reader serves: a line that begins so is an answer, a line that
 * begins otherwise an error.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"

enum { OUTSTANDING_MAX = 64, READ_SIZE = 64 * 1024, EVENTS_PER_TURN = 512 };

static const char data[] = "{\"p\":\"01234567890123456789012345678901234567890123456789012345678901"
                           "2345678901234567890123456789012345678901234567890123456789\"}";

struct wire {
    const char *name, *answer, *error;
    void (*hello)(struct buf *out, uint32_t conn);
    void (*ask)(struct buf *out, uint32_t channel, uint32_t conn, uint64_t id);
};

/* ---- the wires ---- */

static void redis_hello(struct buf *out, uint32_t conn)
{
    (void)out;
    (void)conn;
}

static void redis_word(struct buf *out, const char *word)
{
    buf_printf(out, "$%zu\r\n%s\r\n", strlen(word), word);
}

static void redis_ask(struct buf *out, uint32_t channel, uint32_t conn, uint64_t id)
{
    char stream[32];
    (void)conn;
    (void)id;
    (void)snprintf(stream, sizeof stream, "bench.%" PRIu32, channel);
    buf_add_str(out, "*5\r\n");
    redis_word(out, "XADD");
    redis_word(out, stream);
    redis_word(out, "*");
    redis_word(out, "d");
    redis_word(out, data);
}

/* The first connection makes the stream; to make it again is no error. */
static void nats_hello(struct buf *out, uint32_t conn)
{
    static const char stream[] = "{\"name\":\"BENCH\",\"subjects\":[\"bench.*\"],"
                                 "\"storage\":\"file\",\"max_msgs_per_subject\":10000}";
    buf_printf(out,
               "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true}\r\n"
               "SUB _INBOX.%" PRIu32 ".* 1\r\n",
               conn);
    if (conn == 0)
        buf_printf(out, "PUB $JS.API.STREAM.CREATE.BENCH _MADE.0 %zu\r\n%s\r\n", sizeof stream - 1,
                   stream);
}

static void nats_ask(struct buf *out, uint32_t channel, uint32_t conn, uint64_t id)
{
    char head[96];
    int n = snprintf(head, sizeof head, "NATS/1.0\r\nNats-Msg-Id: %" PRIu32 "-%" PRIu64 "\r\n\r\n",
                     conn, id);
    buf_printf(out, "HPUB bench.%" PRIu32 " _INBOX.%" PRIu32 ".1 %d %zu\r\n%s%s\r\n", channel, conn,
               n, (size_t)n + sizeof data - 1, head, data);
}

// clang-format off
static const struct wire wires[] = {
    { "redis", "$",    "-",           redis_hello, redis_ask },
    { "nats",  "MSG ", "{\"error\":", nats_hello,  nats_ask },
};
// clang-format on

/* ---- the clients ---- */

struct conn {
    int fd;
    uint32_t first, waiting; /* a ring: the oldest moment, how many */
    uint64_t asked, moments[OUTSTANDING_MAX];
    struct buf in;
};

struct load {
    const struct wire *wire;
    struct target target;
    uint32_t count, channels, outstanding;
    int epoll;
    bool asking;
    struct conn *conns;
    uint64_t answered;
    struct spread *waited;
    struct buf out;
};

static void conn_send(struct conn *c, const struct buf *b)
{
    if (b->n > 0 && send(c->fd, b->p, b->n, MSG_NOSIGNAL) != (ssize_t)b->n)
        meter_fail("send: %s", strerror(errno));
}

static void conn_ask(struct load *l, uint32_t index, uint32_t count)
{
    struct conn *c = &l->conns[index];
    buf_clear(&l->out);
    for (uint32_t i = 0; i < count; i++) {
        l->wire->ask(&l->out, index % l->channels, index, ++c->asked);
        c->moments[(c->first + c->waiting++) % OUTSTANDING_MAX] = meter_now();
    }
    conn_send(c, &l->out);
}

static void conn_open(struct load *l, uint32_t index)
{
    struct conn *c = &l->conns[index];
    int on = 1;
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = index};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&l->target.addr, sizeof l->target.addr) != 0)
        meter_fail("connect: %s", strerror(errno));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0)
        meter_fail("epoll_ctl: %s", strerror(errno));
    buf_clear(&l->out);
    l->wire->hello(&l->out, index);
    conn_send(c, &l->out);
}

static void take_line(struct load *l, struct conn *c, const char *line, size_t n)
{
    size_t answer = strlen(l->wire->answer), error = strlen(l->wire->error);
    if (n >= error && memcmp(line, l->wire->error, error) == 0)
        meter_fail("%s: %.*s", l->target.name, (int)n, line);
    if (n < answer || memcmp(line, l->wire->answer, answer) != 0 || c->waiting == 0)
        return;
    if (l->waited != NULL)
        spread_add(l->waited, meter_now() - c->moments[c->first]);
    c->first = (c->first + 1) % OUTSTANDING_MAX;
    c->waiting--;
    l->answered++;
}

static void conn_read(struct load *l, uint32_t index)
{
    struct conn *c = &l->conns[index];
    ssize_t got = recv(c->fd, buf_reserve(&c->in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        meter_fail("%s closed a connection", l->target.name);
    c->in.n += (size_t)got;
    size_t at = 0;
    const uint8_t *end;
    while ((end = memchr(c->in.p + at, '\n', c->in.n - at)) != NULL) {
        size_t next = (size_t)(end - c->in.p) + 1;
        take_line(l, c, (const char *)c->in.p + at, next - at);
        at = next;
    }
    buf_drop_front(&c->in, at);
    if (l->asking)
        conn_ask(l, index, l->outstanding - c->waiting);
}

static void turn_until(struct load *l, uint64_t end)
{
    struct epoll_event events[EVENTS_PER_TURN];
    while (meter_now() < end) {
        int n = epoll_wait(l->epoll, events, EVENTS_PER_TURN, 10);
        for (int i = 0; i < n; i++)
            conn_read(l, events[i].data.u32);
    }
}

static void measure(struct load *l, uint32_t seconds)
{
    static struct spread waited;
    for (uint32_t i = 0; i < l->count; i++)
        conn_open(l, i);
    turn_until(l, meter_now() + NS_PER_S / 2);
    l->asking = true;
    for (uint32_t i = 0; i < l->count; i++)
        conn_ask(l, i, l->outstanding);
    turn_until(l, meter_now() + NS_PER_S);
    uint64_t from = meter_now(), cpu = meter_cpu(l->target.pid), answered = l->answered;
    l->waited = &waited;
    turn_until(l, from + seconds * NS_PER_S);
    double answers = (double)(l->answered - answered), took = (double)(meter_now() - from);
    if (answers <= 0)
        meter_fail("%s: no answers", l->target.name);
    printf("publish target=%s mode=closed connections=%" PRIu32 " channels=%" PRIu32
           " outstanding=%" PRIu32 " per_s=%.0f cpu_us=%.3f p50_us=%.0f p99_us=%.0f\n",
           l->target.name, l->count, l->channels, l->outstanding, answers * 1e9 / took,
           (double)(meter_cpu(l->target.pid) - cpu) / answers / 1e3,
           (double)spread_at(&waited, 0.50) / 1e3, (double)spread_at(&waited, 0.99) / 1e3);
}

static const struct wire *find_wire(const char *name)
{
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++)
        if (strcmp(wires[i].name, name) == 0)
            return &wires[i];
    meter_fail("no wire '%s'", name);
}

int main(int argc, char **argv)
{
    struct targets targets = {0};
    struct load l = {.count = 1000, .channels = 1000, .outstanding = 8};
    const char *wire = "redis";
    uint32_t seconds = 4;
    // clang-format off
    const struct option_row table[] = {
        { "--wire",        &wire, NULL, 0, 0, "redis or nats" },
        { "--connections", NULL, &l.count, 1, 15000, "publishers" },
        { "--channels",    NULL, &l.channels, 1, 1000000, "channels they share" },
        { "--outstanding", NULL, &l.outstanding, 1, OUTSTANDING_MAX, "unanswered on each connection" },
        { "--seconds",     NULL, &seconds, 1, 600, "of the measurement" },
    };
    // clang-format on
    options_read(argc, argv, "Durable publishes of a server that is not ours.", table,
                 sizeof table / sizeof *table, &targets);
    meter_descriptors_max();
    l.wire = find_wire(wire);
    l.target = targets.list[0];
    l.conns = xcalloc(l.count, sizeof *l.conns);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    measure(&l, seconds);
    for (uint32_t i = 0; i < l.count; i++) {
        (void)close(l.conns[i].fd);
        buf_done(&l.conns[i].in);
    }
    free(l.conns);
    buf_done(&l.out);
    return 0;
}

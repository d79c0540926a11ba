/* The floor: what a server of this work costs when it does nothing but the work.
 *
 * One thread, bare epoll, no library on the way of a byte. It trusts its peers, knows no JSON and
 * answers with bytes that were ready before the first connection came. What it does do is all that
 * the kernel makes unavoidable, in the best order known to us, and that is the idea here: one
 * receive per ready socket; one append and one fdatasync for all publishes of a turn; then one
 * send per connection, however many frames wait for it. A hub can come close to this program and
 * not pass it.
 *
 * A frame is told by the first letter of its type, at a fixed place since clients write `type`
 * first: `s`ubscribe, `p`ublish, `c`all. Everybody who subscribed gets every publish.
 * With --log a publish is durable: written and synced before any answer or event leaves.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/ssl.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/wsframe.h"

enum {
    READ_SIZE = 256 * 1024,
    EVENTS_PER_TURN = 1024,
    FRAMES_PER_SEND = 64,
    TYPE_AT = 9, /* {"type":"p */
    LOG_BYTES_MAX = 256 * 1024 * 1024
};

enum frame_kind { FRAME_PUBLISHED, FRAME_RESULT, FRAME_SUBSCRIBED, FRAME_EVENT, FRAME_KINDS };

/* What the hub would say, of the same length. */
static const char *const frame_text[FRAME_KINDS] = {
    [FRAME_PUBLISHED] = "{\"type\":\"published\",\"id\":0,\"channel\":\"bench.123\","
                        "\"offset\":12345,\"epoch\":\"0192d5e8a1b2c3d4\"}",
    [FRAME_RESULT] = "{\"type\":\"result\",\"id\":0,\"result\":{\"status\":\"success\","
                     "\"message\":\"Heartbeat received for agent a-1234\",\"agent_id\":\"a-1234\","
                     "\"heartbeat_at\":\"2025-01-01T00:00:00.000Z\"}}",
    [FRAME_SUBSCRIBED] = "{\"type\":\"subscribed\",\"id\":0,\"channels\":[{\"channel\":\"bench\","
                         "\"epoch\":\"0192d5e8a1b2c3d4\",\"offset\":0,\"recovered\":true}]}",
    [FRAME_EVENT] = "{\"type\":\"event\",\"channel\":\"bench.fan\",\"event\":\"e\",\"data\":"
                    "{\"p\":\"0123456789012345678901234567890123456789012345678901234567890123"
                    "45678901234567890123456789012345678901234567890123456789\"},\"offset\":12345,"
                    "\"time\":\"2025-01-01T00:00:00.000Z\"}",
};

struct peer {
    int fd;
    bool open, touched;
    SSL *ssl;
    uint32_t subscriber; /* place in the list of subscribers plus one */
    uint32_t owed[FRAME_EVENT];
    struct buf in; /* the beginning of a frame */
};

struct floor {
    int epoll, listener, log;
    SSL_CTX *tls;
    struct peer **subscribers; /* all who get every publish */
    uint32_t subscriber_count, subscriber_cap;
    struct peer **touched; /* who is owed an answer this turn */
    uint32_t touched_count, touched_cap;
    uint64_t publishes; /* of this turn */
    uint64_t log_bytes, syncs;
    struct buf batch;
    struct buf ready[FRAME_KINDS]; /* each frame FRAMES_PER_SEND times in a row */
    size_t frame_size[FRAME_KINDS];
    uint8_t *scratch;
};

static void prepare(struct floor *fl)
{
    for (int kind = 0; kind < FRAME_KINDS; kind++) {
        struct buf *b = &fl->ready[kind];
        for (int i = 0; i < FRAMES_PER_SEND; i++)
            wsframe_add_server(b, WSFRAME_TEXT, frame_text[kind], strlen(frame_text[kind]));
        fl->frame_size[kind] = b->n / FRAMES_PER_SEND;
    }
}

/* ---- peers ---- */

static void list_add(struct peer ***list, uint32_t *count, uint32_t *cap, struct peer *p)
{
    if (*count == *cap) {
        *cap = *cap == 0 ? 256 : *cap * 2;
        *list = xrealloc(*list, *cap * sizeof **list);
    }
    (*list)[(*count)++] = p;
}

static void peer_touch(struct floor *fl, struct peer *p)
{
    if (!p->touched)
        list_add(&fl->touched, &fl->touched_count, &fl->touched_cap, p);
    p->touched = true;
}

static void peer_close(struct floor *fl, struct peer *p)
{
    if (p->subscriber > 0) {
        struct peer *last = fl->subscribers[--fl->subscriber_count];
        fl->subscribers[p->subscriber - 1] = last;
        last->subscriber = p->subscriber;
    }
    SSL_free(p->ssl);
    (void)close(p->fd);
    buf_done(&p->in);
    free(p);
}

static void peer_send(struct peer *p, const void *bytes, size_t n)
{
    ssize_t sent =
        p->ssl != NULL ? SSL_write(p->ssl, bytes, (int)n) : send(p->fd, bytes, n, MSG_NOSIGNAL);
    /* A peer that is gone shows when it is read. One that does not read has no place here: there
     * are no queues. */
    if (sent >= 0 ? (size_t)sent != n : errno == EAGAIN)
        meter_fail("floor: a client does not keep up");
}

static void peer_send_frames(struct floor *fl, struct peer *p, enum frame_kind kind, uint64_t count)
{
    while (count > 0) {
        uint64_t n = count < FRAMES_PER_SEND ? count : FRAMES_PER_SEND;
        peer_send(p, fl->ready[kind].p, (size_t)n * fl->frame_size[kind]);
        count -= n;
    }
}

static void accept_all(struct floor *fl)
{
    int on = 1, fd;
    while ((fd = accept4(fl->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = xcalloc(1, sizeof *p);
        p->fd = fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (fl->tls != NULL) {
            p->ssl = SSL_new(fl->tls);
            if (p->ssl == NULL || SSL_set_fd(p->ssl, fd) != 1)
                meter_fail("floor: TLS connection");
            SSL_set_accept_state(p->ssl);
        }
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
        if (epoll_ctl(fl->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
            meter_fail("floor: epoll_ctl: %s", strerror(errno));
    }
}

/* ---- what peers say ---- */

static void on_publish(struct floor *fl, struct peer *p, const struct wsframe *f)
{
    fl->publishes++;
    if (fl->log < 0)
        return;
    wsframe_unmask(f, buf_reserve(&fl->batch, f->len));
    fl->batch.n += f->len;
    p->owed[FRAME_PUBLISHED]++;
    peer_touch(fl, p);
}

static void on_subscribe(struct floor *fl, struct peer *p)
{
    if (p->subscriber == 0) {
        list_add(&fl->subscribers, &fl->subscriber_count, &fl->subscriber_cap, p);
        p->subscriber = fl->subscriber_count;
    }
    p->owed[FRAME_SUBSCRIBED]++;
    peer_touch(fl, p);
}

static void on_frame(struct floor *fl, struct peer *p, const struct wsframe *f)
{
    if (f->opcode != WSFRAME_TEXT || f->len <= TYPE_AT)
        return;
    uint8_t type = wsframe_byte(f, TYPE_AT);
    if (type == 'p') {
        on_publish(fl, p, f);
    } else if (type == 's') {
        on_subscribe(fl, p);
    } else if (type == 'c') {
        p->owed[FRAME_RESULT]++;
        peer_touch(fl, p);
    }
}

/* GET /metrics answers with the count of syncs, anything else is a WebSocket. */
static void on_request(struct floor *fl, struct peer *p, const char *head, size_t n)
{
    char answer[256], accept[WSFRAME_ACCEPT_SIZE];
    const char *key = memmem(head, n, "Sec-WebSocket-Key: ", 19);
    if (key != NULL) {
        size_t left = n - (size_t)(key + 19 - head);
        const char *end = memchr(key + 19, '\r', left);
        wsframe_accept(key + 19, end != NULL ? (size_t)(end - key - 19) : 0, accept);
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
        p->open = true;
    } else {
        (void)snprintf(answer, sizeof answer,
                       "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfloor_syncs_total %llu\n",
                       (unsigned long long)fl->syncs);
    }
    peer_send(p, answer, strlen(answer));
    if (!p->open)
        (void)shutdown(p->fd, SHUT_WR);
}

static size_t take_bytes(struct floor *fl, struct peer *p, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    if (!p->open) {
        const uint8_t *end = memmem(bytes, n, "\r\n\r\n", 4);
        if (end == NULL)
            return 0;
        at = (size_t)(end - bytes) + 4;
        on_request(fl, p, (const char *)bytes, at);
    }
    struct wsframe f;
    for (size_t len; at < n && (len = wsframe_parse(bytes + at, n - at, &f)) > 0; at += len)
        on_frame(fl, p, &f);
    return at;
}

static ssize_t peer_recv(struct peer *p, void *out, size_t size)
{
    if (p->ssl == NULL)
        return recv(p->fd, out, size, 0);
    int n = SSL_read(p->ssl, out, (int)size);
    if (n > 0)
        return n;
    errno = EAGAIN;
    return SSL_get_error(p->ssl, n) == SSL_ERROR_WANT_READ ? -1 : 0;
}

static void peer_read(struct floor *fl, struct peer *p)
{
    size_t kept = p->in.n;
    if (kept > 0)
        memcpy(fl->scratch, p->in.p, kept);
    ssize_t got = peer_recv(p, fl->scratch + kept, READ_SIZE - kept);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        peer_close(fl, p);
        return;
    }
    buf_done(&p->in);
    size_t n = kept + (size_t)got, used = take_bytes(fl, p, fl->scratch, n);
    if (n - used == READ_SIZE)
        meter_fail("floor: a frame of more than %d bytes", READ_SIZE);
    if (used < n)
        buf_add(&p->in, fl->scratch + used, n - used);
}

/* ---- the end of a turn ---- */

/* The log starts over when it is long: a benchmark needs its cost, not its content. */
static void sync_batch(struct floor *fl)
{
    if (fl->batch.n == 0)
        return;
    if (fl->log_bytes > LOG_BYTES_MAX) {
        fl->log_bytes = 0;
        if (ftruncate(fl->log, 0) != 0 || lseek(fl->log, 0, SEEK_SET) != 0)
            meter_fail("floor: log: %s", strerror(errno));
    }
    if (write(fl->log, fl->batch.p, fl->batch.n) != (ssize_t)fl->batch.n || fdatasync(fl->log) != 0)
        meter_fail("floor: log: %s", strerror(errno));
    fl->log_bytes += fl->batch.n;
    fl->syncs++;
    buf_clear(&fl->batch);
}

static void send_all(struct floor *fl)
{
    if (fl->publishes > 0)
        for (uint32_t i = 0; i < fl->subscriber_count; i++)
            peer_send_frames(fl, fl->subscribers[i], FRAME_EVENT, fl->publishes);
    fl->publishes = 0;
    for (uint32_t i = 0; i < fl->touched_count; i++) {
        struct peer *p = fl->touched[i];
        for (int kind = 0; kind < FRAME_EVENT; kind++)
            peer_send_frames(fl, p, (enum frame_kind)kind, p->owed[kind]);
        memset(p->owed, 0, sizeof p->owed);
        p->touched = false;
    }
    fl->touched_count = 0;
}

static void serve(struct floor *fl, const volatile sig_atomic_t *stop)
{
    struct epoll_event events[EVENTS_PER_TURN];
    while (!*stop) {
        int n = epoll_wait(fl->epoll, events, EVENTS_PER_TURN, 1000);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(fl);
            else
                peer_read(fl, events[i].data.ptr);
        }
        sync_batch(fl);
        send_all(fl);
    }
}

/* ---- start ---- */

static void open_listener(struct floor *fl)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t size = sizeof addr;
    struct epoll_event ev = {.events = EPOLLIN};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fl->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    fl->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bind(fl->listener, (struct sockaddr *)&addr, sizeof addr) != 0 ||
        listen(fl->listener, SOMAXCONN) != 0 ||
        epoll_ctl(fl->epoll, EPOLL_CTL_ADD, fl->listener, &ev) != 0 ||
        getsockname(fl->listener, (struct sockaddr *)&addr, &size) != 0)
        meter_fail("floor: listen: %s", strerror(errno));
    printf("ready http://127.0.0.1:%u\n", ntohs(addr.sin_port));
    (void)fflush(stdout);
}

static void open_tls(struct floor *fl, const char *certificate, const char *key)
{
    fl->tls = SSL_CTX_new(TLS_server_method());
    if (fl->tls == NULL || SSL_CTX_use_certificate_chain_file(fl->tls, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(fl->tls, key, SSL_FILETYPE_PEM) != 1)
        meter_fail("floor: cannot use %s and %s", certificate, key);
    SSL_CTX_set_mode(fl->tls, SSL_MODE_RELEASE_BUFFERS);
    (void)SSL_CTX_set_session_cache_mode(fl->tls, SSL_SESS_CACHE_OFF);
}

static void floor_done(struct floor *fl)
{
    for (int kind = 0; kind < FRAME_KINDS; kind++)
        buf_done(&fl->ready[kind]);
    buf_done(&fl->batch);
    SSL_CTX_free(fl->tls);
    free(fl->subscribers);
    free(fl->touched);
    free(fl->scratch);
}

static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal_number)
{
    (void)signal_number;
    stop_asked = 1;
}

static void usage(void)
{
    printf("usage: bench_floor [--log FILE] [--tls CERTIFICATE KEY]\n"
           "Serves WebSocket on a free port of 127.0.0.1 with prepared bytes and prints\n"
           "`ready http://ADDR:PORT`. --log makes publishes durable. Ends with SIGTERM.\n");
}

int main(int argc, char **argv)
{
    struct floor fl = {.log = -1};
    meter_descriptors_max();
    prepare(&fl);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--log") == 0 && i + 1 < argc) {
            fl.log = open(argv[++i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
            if (fl.log < 0)
                meter_fail("floor: %s: %s", argv[i], strerror(errno));
        } else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc) {
            open_tls(&fl, argv[i + 1], argv[i + 2]);
            i += 2;
        } else {
            usage();
            return strcmp(argv[i], "--help") == 0 ? 0 : 2;
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, ask_stop);
    (void)signal(SIGINT, ask_stop);
    fl.scratch = xmalloc(READ_SIZE);
    open_listener(&fl);
    serve(&fl, &stop_asked);
    floor_done(&fl);
    return 0;
}

/* One array of connections, one epoll, one buffer to read into. A connection keeps bytes of its own
 * only while a frame is in pieces or a write was short, so that ten thousand clients stay small and
 * a read of sixty-four frames is one system call.
 */
#define _GNU_SOURCE
#include "tests/bench/crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ssl.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/wsframe.h"

/* Clients come from many loopback addresses: neither ports nor the server's bound on connections
 * per address run out. */
enum { SOURCE_ADDRESSES = 100, EVENTS_PER_TURN = 512 };

enum conn_state { CONN_NEW, CONN_CONNECTING, CONN_TLS, CONN_UPGRADING, CONN_OPEN };

struct conn {
    int fd;
    enum conn_state state;
    bool wants_out;
    SSL *ssl;
    struct buf in, out; /* a frame's beginning; what the socket would not take */
};

struct crowd {
    struct target target;
    struct crowd_events events;
    char path[128];
    int epoll;
    SSL_CTX *tls;
    struct conn *conns;
    uint32_t count, started, opened, opening_max;
    uint64_t bytes_in;
    uint8_t *scratch;
    struct buf frame;
};

/* ---- target ---- */

struct target target_parse(const char *text)
{
    struct target t = {.addr = {.sin_family = AF_INET}};
    char host[32];
    unsigned port;
    int pid;
    const char *equals = strchr(text, '=');
    if (equals == NULL || (size_t)(equals - text) >= sizeof t.name)
        meter_fail("target '%s': want NAME=[tls:]ADDR:PORT/PID", text);
    memcpy(t.name, text, (size_t)(equals - text));
    t.tls = strncmp(equals + 1, "tls:", 4) == 0;
    const char *rest = equals + (t.tls ? 5 : 1);
    if (sscanf(rest, "%31[0-9.]:%u/%d", host, &port, &pid) != 3 || port > UINT16_MAX || pid <= 0 ||
        inet_pton(AF_INET, host, &t.addr.sin_addr) != 1)
        meter_fail("target '%s': want NAME=[tls:]ADDR:PORT/PID", text);
    if (ntohl(t.addr.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
        meter_fail("target '%s': the benchmark stays on loopback", text);
    t.addr.sin_port = htons((uint16_t)port);
    t.pid = pid;
    return t;
}

/* Reads to the end of the connection; returns the bytes read, cut at size. */
static size_t read_all(int fd, char *out, size_t size)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = recv(fd, out + n, size - n, 0);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

void target_get(const struct target *t, const char *path, char *out, size_t size)
{
    char request[256];
    out[0] = '\0';
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 5};
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", path);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
        connect(fd, (const struct sockaddr *)&t->addr, sizeof t->addr) == 0 &&
        send(fd, request, (size_t)n, MSG_NOSIGNAL) == n) {
        out[read_all(fd, out, size - 1)] = '\0';
        char *body = strstr(out, "\r\n\r\n");
        memmove(out, body != NULL ? body + 4 : "", body != NULL ? strlen(body + 4) + 1 : 1);
    }
    if (fd >= 0)
        (void)close(fd);
}

/* ---- one connection ---- */

static void conn_watch(struct crowd *c, struct conn *conn, int operation)
{
    struct epoll_event ev = {.events = EPOLLIN | (conn->wants_out ? EPOLLOUT : 0U),
                             .data.ptr = conn};
    if (epoll_ctl(c->epoll, operation, conn->fd, &ev) != 0)
        meter_fail("epoll_ctl: %s", strerror(errno));
}

static void conn_start(struct crowd *c, struct conn *conn, uint32_t index)
{
    int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000101U + index % SOURCE_ADDRESSES); /* 127.0.1.1 and up */
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        meter_fail("socket %u: %s (RLIMIT_NOFILE?)", index, strerror(errno));
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(conn->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(conn->fd, (struct sockaddr *)&from, sizeof from) != 0)
        meter_fail("bind: %s", strerror(errno));
    if (connect(conn->fd, (struct sockaddr *)&c->target.addr, sizeof c->target.addr) != 0 &&
        errno != EINPROGRESS)
        meter_fail("connect %u: %s", index, strerror(errno));
    conn->state = CONN_CONNECTING;
    conn->wants_out = true;
    conn_watch(c, conn, EPOLL_CTL_ADD);
}

static ssize_t conn_recv(struct conn *conn, void *out, size_t size)
{
    if (conn->ssl == NULL)
        return recv(conn->fd, out, size, 0);
    int n = SSL_read(conn->ssl, out, (int)size);
    if (n > 0)
        return n;
    errno = SSL_get_error(conn->ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
    return -1;
}

static ssize_t conn_send(struct conn *conn, const void *p, size_t n)
{
    if (conn->ssl == NULL)
        return send(conn->fd, p, n, MSG_NOSIGNAL);
    int sent = SSL_write(conn->ssl, p, (int)n);
    return sent > 0 ? sent : -1;
}

static void conn_write(struct crowd *c, struct conn *conn, const void *p, size_t n)
{
    ssize_t sent = 0;
    if (conn->out.n == 0) {
        sent = conn_send(conn, p, n);
        if (sent < 0 && errno != EAGAIN)
            meter_fail("send: %s", strerror(errno));
        if (sent < 0)
            sent = 0;
    }
    if ((size_t)sent == n)
        return;
    buf_add(&conn->out, (const uint8_t *)p + sent, n - (size_t)sent);
    if (!conn->wants_out) {
        conn->wants_out = true;
        conn_watch(c, conn, EPOLL_CTL_MOD);
    }
}

static void conn_flush(struct crowd *c, struct conn *conn)
{
    if (conn->out.n > 0) {
        ssize_t sent = conn_send(conn, conn->out.p, conn->out.n);
        if (sent < 0 && errno != EAGAIN)
            meter_fail("send: %s", strerror(errno));
        if (sent > 0)
            buf_drop_front(&conn->out, (size_t)sent);
    }
    if (conn->out.n == 0) {
        buf_done(&conn->out);
        conn->wants_out = false;
        conn_watch(c, conn, EPOLL_CTL_MOD);
    }
}

/* ---- the handshake ---- */

static void conn_upgrade(struct crowd *c, struct conn *conn)
{
    char request[512];
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\n\r\n",
                     c->path, ntohs(c->target.addr.sin_port));
    conn->state = CONN_UPGRADING;
    conn_write(c, conn, request, (size_t)n);
}

static void conn_tls(struct crowd *c, struct conn *conn)
{
    int rc = SSL_connect(conn->ssl);
    if (rc == 1)
        conn_upgrade(c, conn);
    else if (SSL_get_error(conn->ssl, rc) != SSL_ERROR_WANT_READ)
        meter_fail("TLS handshake refused");
}

static void conn_connected(struct crowd *c, struct conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
        meter_fail("connect: %s", strerror(error));
    conn->wants_out = false;
    conn_watch(c, conn, EPOLL_CTL_MOD);
    if (c->tls == NULL) {
        conn_upgrade(c, conn);
        return;
    }
    conn->ssl = SSL_new(c->tls);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1)
        meter_fail("TLS connection");
    conn->state = CONN_TLS;
    conn_tls(c, conn);
}

/* Bytes of the answer's head, 0 while it is not all there. */
static size_t conn_upgraded(struct crowd *c, struct conn *conn, const uint8_t *p, size_t n)
{
    const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    if (n < 12 || memcmp(p, "HTTP/1.1 101", 12) != 0)
        meter_fail("no WebSocket at %s: %.*s", c->path, n < 60 ? (int)n : 60, (const char *)p);
    conn->state = CONN_OPEN;
    c->opened++;
    if (c->events.opened != NULL)
        c->events.opened(c->events.ctx, (uint32_t)(conn - c->conns));
    return (size_t)(end - p) + 4;
}

/* ---- frames ---- */

static void conn_frame(struct crowd *c, struct conn *conn, const struct wsframe *f)
{
    if (f->opcode == WSFRAME_TEXT && c->events.text != NULL) {
        c->events.text(c->events.ctx, (uint32_t)(conn - c->conns), (const char *)f->payload,
                       f->len);
    } else if (f->opcode == WSFRAME_PING) {
        buf_clear(&c->frame);
        wsframe_add_client(&c->frame, WSFRAME_PONG, f->payload, f->len);
        conn_write(c, conn, c->frame.p, c->frame.n);
    } else if (f->opcode == WSFRAME_CLOSE) {
        unsigned code = f->len >= 2 ? (unsigned)f->payload[0] << 8 | f->payload[1] : 0;
        meter_fail("%s closed a connection: %u %.*s", c->target.name, code,
                   (int)(f->len > 2 ? f->len - 2 : 0), (const char *)f->payload + 2);
    }
}

static size_t conn_frames(struct crowd *c, struct conn *conn, const uint8_t *p, size_t n)
{
    size_t at = 0;
    if (conn->state == CONN_UPGRADING)
        at = conn_upgraded(c, conn, p, n);
    if (conn->state != CONN_OPEN)
        return at;
    struct wsframe f;
    for (size_t len; at < n && (len = wsframe_parse(p + at, n - at, &f)) > 0; at += len)
        conn_frame(c, conn, &f);
    if (c->events.drained != NULL)
        c->events.drained(c->events.ctx, (uint32_t)(conn - c->conns));
    return at;
}

static bool conn_read(struct crowd *c, struct conn *conn)
{
    size_t kept = conn->in.n;
    if (kept > 0)
        memcpy(c->scratch, conn->in.p, kept);
    ssize_t got = conn_recv(conn, c->scratch + kept, CROWD_READ_SIZE - kept);
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0)
        meter_fail("%s closed connection %u: %s", c->target.name, (uint32_t)(conn - c->conns),
                   got == 0 ? "end of stream" : strerror(errno));
    c->bytes_in += (uint64_t)got;
    buf_done(&conn->in);
    size_t n = kept + (size_t)got, used = conn_frames(c, conn, c->scratch, n);
    if (n - used == CROWD_READ_SIZE)
        meter_fail("a frame of more than %d bytes", CROWD_READ_SIZE);
    if (used < n)
        buf_add(&conn->in, c->scratch + used, n - used);
    return true;
}

static void conn_ready(struct crowd *c, struct conn *conn, uint32_t events)
{
    if (conn->state == CONN_CONNECTING) {
        conn_connected(c, conn);
        return;
    }
    if (conn->state == CONN_TLS) {
        conn_tls(c, conn);
        return;
    }
    if (events & EPOLLOUT)
        conn_flush(c, conn);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        /* epoll does not see what OpenSSL has already taken from the socket. */
        while (conn_read(c, conn) && conn->ssl != NULL && SSL_pending(conn->ssl) > 0)
            ;
    }
}

/* ---- the crowd ---- */

struct crowd *crowd_new(const struct target *t, const char *path, uint32_t conns,
                        struct crowd_events events)
{
    struct crowd *c = xcalloc(1, sizeof *c);
    (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */
    c->target = *t;
    c->events = events;
    (void)snprintf(c->path, sizeof c->path, "%s", path);
    c->count = conns;
    c->opening_max = CROWD_OPENING_MAX;
    c->conns = xcalloc(conns, sizeof *c->conns);
    c->scratch = xmalloc(CROWD_READ_SIZE);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll < 0)
        meter_fail("epoll: %s", strerror(errno));
    if (t->tls) {
        c->tls = SSL_CTX_new(TLS_client_method()); /* does not verify: the certificate is ours */
        if (c->tls == NULL)
            meter_fail("TLS context");
        SSL_CTX_set_mode(c->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                     SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    return c;
}

static void conn_free(struct conn *conn)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    SSL_free(conn->ssl);
    if (conn->state != CONN_NEW) {
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        (void)close(conn->fd);
    }
    buf_done(&conn->in);
    buf_done(&conn->out);
}

void crowd_free(struct crowd *c)
{
    if (c == NULL)
        return;
    for (uint32_t i = 0; i < c->count; i++)
        conn_free(&c->conns[i]);
    (void)close(c->epoll);
    SSL_CTX_free(c->tls);
    buf_done(&c->frame);
    free(c->scratch);
    free(c->conns);
    free(c);
}

void crowd_opening_max(struct crowd *c, uint32_t n)
{
    c->opening_max = n;
}

void crowd_connect(struct crowd *c, uint64_t within_ns)
{
    uint64_t deadline = meter_now() + within_ns;
    while (c->opened < c->count) {
        while (c->started < c->count && c->started - c->opened < c->opening_max) {
            conn_start(c, &c->conns[c->started], c->started);
            c->started++;
        }
        crowd_turn(c, 100 * NS_PER_MS);
        if (meter_now() > deadline)
            meter_fail("%s: %u of %u connections opened in time", c->target.name, c->opened,
                       c->count);
    }
}

void crowd_write(struct crowd *c, uint32_t index, const void *frames, size_t len)
{
    conn_write(c, &c->conns[index], frames, len);
}

void crowd_text(struct crowd *c, uint32_t index, const char *text)
{
    buf_clear(&c->frame);
    wsframe_add_client(&c->frame, WSFRAME_TEXT, text, strlen(text));
    conn_write(c, &c->conns[index], c->frame.p, c->frame.n);
}

void crowd_turn(struct crowd *c, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS_PER_TURN];
    struct timespec wait = {.tv_sec = (time_t)(wait_ns / NS_PER_S),
                            .tv_nsec = (long)(wait_ns % NS_PER_S)};
    int n = epoll_pwait2(c->epoll, events, EVENTS_PER_TURN, &wait, NULL);
    if (n < 0 && errno != EINTR)
        meter_fail("epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++)
        conn_ready(c, events[i].data.ptr, events[i].events);
}

bool crowd_until(struct crowd *c, const uint64_t *counter, uint64_t goal, uint64_t within_ns)
{
    uint64_t deadline = meter_now() + within_ns;
    while (*counter < goal) {
        crowd_turn(c, 50 * NS_PER_MS);
        if (*counter < goal && meter_now() > deadline)
            return false;
    }
    return true;
}

uint64_t crowd_bytes_in(const struct crowd *c)
{
    return c->bytes_in;
}

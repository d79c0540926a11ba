/* The loop of an I/O thread, and the only file that knows libwebsockets and libuv.
 *
 * libwebsockets carries bytes in its raw role: TLS, partial writes, close (design.md section 5).
 * Listening sockets are our own. On a plain socket with nothing buffered the bytes go by send()
 * straight away. */
#define _GNU_SOURCE
#include "hub/net/arrivals.h"
#include "hub/net/conn.h"
#include "hub/net/http.h"
#include "hub/net/native.h"
#include "hub/net/service.h"
#include "hub/net/slots.h"
#include "hub/net/talkers.h"
#include "auth/digest.h"
#include "hub/api/metrics.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum {
    DRAIN_STEP_MS = 50,
    EXPIRY_EVERY_MS = 1000,
    LOOK_AT_A_TIME = 256,    /* slots, before whoever is in conversation is served */
    TALKS_AFTER_MS = 1000,   /* of having come; a crowd that comes is none yet */
    TALKS_WITHIN_MS = 10000, /* of having been heard; a pong each heartbeat is no conversation */
    DESCRIPTORS_KEPT = 48,   /* of all, for what is no connection */
    CROWDED_MAX = 16,        /* connections past the bound */
    CROWDED_MS = 1000,       /* for them to say what they want */
    UNHEARD_TURNS_MAX = 1000,
};

struct loop {
    struct net_thread *t;
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_async_t wake;
    uv_timer_t clock;
    uv_idle_t busy;
    bool is_busy;
    struct lws_context *context;
    struct lws_vhost *plain, *tls;
    uv_poll_t talking;
    uv_poll_t listeners[SERVER_LISTEN_MAX];
    int fds[SERVER_LISTEN_MAX];
    bool listener_tls[SERVER_LISTEN_MAX];
    size_t listeners_n;
    int spare_fd; /* given up to accept and refuse when descriptors are out */
    struct conn *adopting;
    pthread_t thread;
    uint64_t turn_ns, idle_ns; /* when the last turn was over, and what had been waited by then */
    bool has_handles, started;
    bool kills; /* since the library last looked at its timeouts */
    _Atomic bool drain;
};

/* ---- time ---- */

/* A turn is all that was done since the one before, but for what the loop waited. */
static void turn_over(struct loop *loop)
{
    struct io_counters *counters = &loop->t->io.counters;
    uint64_t now_ns = uv_hrtime(), idle_ns = uv_metrics_idle_time(&loop->uv);
    uint64_t waited_ns = idle_ns - loop->idle_ns;
    uint64_t took_us = (now_ns - loop->turn_ns - waited_ns) / 1000;
    unsigned bucket = 0;
    for (uint64_t bound_us = 64; took_us > bound_us && bucket < IO_TURN_BUCKETS - 1;
         bound_us *= 2) {
        bucket++;
    }
    io_count(&counters->ticks, 1);
    io_count(&counters->turn_us, took_us);
    io_count(&counters->turn_us_bucket[bucket], 1);
    (void)net_work(loop->t, WORK_LOOP);
    uint64_t counted_us = atomic_load_explicit(&counters->work_us[WORK_LOOP], memory_order_relaxed);
    uint64_t waited_us = waited_ns / 1000 < counted_us ? waited_ns / 1000 : counted_us;
    io_gauge(&counters->work_us[WORK_LOOP], -(int64_t)waited_us);
    loop->turn_ns = now_ns;
    loop->idle_ns = idle_ns;
}

/* ---- what conn.c needs of the socket ---- */

enum sent net_send(struct conn *c, const uint8_t *p, size_t n, size_t *out_sent)
{
    *out_sent = 0;
    if (c->tls) {
        /* libwebsockets takes all of it and keeps what the socket did not. It does not write to the
         * bytes. */
        int took = lws_write(c->wsi, (uint8_t *)(uintptr_t)p, n, LWS_WRITE_RAW);
        if (took < (int)n) {
            return SENT_FAILED;
        }
        *out_sent = n;
        return lws_partial_buffered(c->wsi) ? SENT_PART : SENT_ALL;
    }
    ssize_t took = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (took < 0) {
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? SENT_PART : SENT_FAILED;
    }
    *out_sent = (size_t)took;
    return (size_t)took < n ? SENT_PART : SENT_ALL;
}

bool net_buffered(struct conn *c)
{
    return c->tls && lws_partial_buffered(c->wsi);
}

void net_want_writable(struct conn *c)
{
    lws_callback_on_writable(c->wsi);
}

void net_read_flow(struct conn *c, bool on)
{
    if (c->talks) {
        talkers_flow(c->thread->talkers, c->fd, c, on);
    } else {
        lws_rx_flow_control(c->wsi, on);
    }
}

void net_shut(struct conn *c)
{
    /* The peer must be heard to its end, or our last bytes are lost with a reset. */
    if (c->rx_off) {
        c->rx_off = false;
        net_read_flow(c, true);
    }
    if (c->tls) {
        net_kill(c); /* everything is with the kernel; close_notify goes with the close */
    } else {
        shutdown(c->fd, SHUT_WR);
    }
}

/* Safe anywhere, also within a callback of the connection's own: it goes when the library next
 * looks at its timeouts. */
void net_kill(struct conn *c)
{
    lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    c->thread->loop->kills = true;
}

void net_log(struct net_thread *t, char level, const char *event, const char *format, ...)
{
    char fields[512];
    va_list args;
    va_start(args, format);
    vsnprintf(fields, sizeof fields, format, args);
    va_end(args);
    t->options->log(t->options->log_ctx, level, event, fields);
}

/* ---- accepting ---- */

static uint8_t address_of(const struct sockaddr_storage *sa, uint8_t out[16])
{
    if (sa->ss_family == AF_INET) {
        memcpy(out, &((const struct sockaddr_in *)sa)->sin_addr, 4);
        return 4;
    }
    if (sa->ss_family == AF_INET6) {
        memcpy(out, &((const struct sockaddr_in6 *)sa)->sin6_addr, 16);
        return 16;
    }
    memset(out, 0, 4);
    return 4;
}

/* Some descriptors are kept back: for the store, for libraries, and for a few connections past the
 * bound, which may ask how the hub is and are told that it is full (design.md section 5). */
static uint32_t capacity(const struct net_thread *t)
{
    uint32_t kept = DESCRIPTORS_KEPT + CROWDED_MAX, most = t->hub->descriptors_max;
    uint32_t room = most > 2 * kept ? most - kept : most / 2;
    return room < t->io.settings->connections_max ? room : t->io.settings->connections_max;
}

static void adopt(struct loop *loop, int fd, bool tls, const struct sockaddr_storage *sa,
                  bool crowded)
{
    struct net_thread *t = loop->t;
    uint8_t address[16];
    uint8_t n = address_of(sa, address);
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *c = conn_new(t, fd, tls, address, n);
    atomic_fetch_add(&t->hub->connections, 1);
    slots_take(t, c);
    if (crowded) {
        c->crowded = true;
        conn_deadline(c, DEADLINE_HEAD, CROWDED_MS);
        io_count(&t->io.counters.refused, 1);
    }
    loop->adopting = c;
    lws_sock_file_fd_type socket = {.sockfd = fd};
    c->wsi = lws_adopt_descriptor_vhost(
        tls ? loop->tls : loop->plain,
        (lws_adoption_type)(LWS_ADOPT_SOCKET | (tls ? LWS_ADOPT_ALLOW_SSL : 0)), socket, "waggle",
        NULL);
    loop->adopting = NULL;
    if (!c->wsi) {
        conn_gone(c); /* the library has closed the descriptor */
        return;
    }
    lws_set_opaque_user_data(c->wsi, c);
    io_count(&t->io.counters.accepted, 1);
}

/* Out of descriptors: the spare one lets us take the connection and close it, so that its peer
 * knows and the listener does not spin. */
static bool shed(struct loop *loop, int listener)
{
    if (loop->spare_fd < 0) {
        return false;
    }
    close(loop->spare_fd);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0) {
        close(fd);
        io_count(&loop->t->io.counters.refused, 1);
    }
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return fd >= 0;
}

static void refuse_connection(struct net_thread *t, int fd, bool tls)
{
    static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n";
    if (!tls) {
        (void)send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    close(fd);
    io_count(&t->io.counters.refused, 1);
}

/* False: nobody waits, or nobody can be taken. */
static bool accept_one(struct loop *loop, size_t i)
{
    struct net_thread *t = loop->t;
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof sa;
    int fd = accept4(loop->fds[i], (struct sockaddr *)&sa, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return errno == EINTR || errno == ECONNABORTED ||
               ((errno == EMFILE || errno == ENFILE) && shed(loop, loop->fds[i]));
    }
    uint32_t open = atomic_load(&t->hub->connections), room = capacity(t);
    if (open >= room + CROWDED_MAX) {
        refuse_connection(t, fd, loop->listener_tls[i]);
    } else {
        adopt(loop, fd, loop->listener_tls[i], &sa, open >= room);
    }
    return true;
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
    struct loop *loop = poll->data;
    uint32_t most = loop->t->io.settings->handshakes_per_tick;
    uint64_t began_us = clock_mono_us();
    enum io_work before = net_work(loop->t, WORK_ACCEPT);
    (void)status;
    (void)events;
    for (uint32_t n = 0; n < most && !net_is_spent(began_us); n++) {
        if (!accept_one(loop, (size_t)(poll - loop->listeners))) {
            break;
        }
        net_serve(loop->t);
    }
    (void)net_work(loop->t, before);
}

/* ---- libwebsockets' callback ---- */

/* The library no longer reads it. Over TLS it must: what comes is for its ears first. */
static void start_talking(struct conn *c)
{
    if (!c->rx_off && talkers_add(c->thread->talkers, c->fd, c)) {
        lws_rx_flow_control(c->wsi, 0);
        c->talks = true;
    }
}

/* Also for those whose end has come: the library finds that out, and closes. */
void net_stop_talking(struct conn *c)
{
    talkers_drop(c->thread->talkers, c->fd);
    c->talks = false;
    if (!c->rx_off) {
        lws_rx_flow_control(c->wsi, 1);
    }
}

static bool in_conversation(const struct conn *c, int64_t heard_ms)
{
    int64_t now_ms = c->thread->io.now_ms;
    return c->wire == CONN_NATIVE && !c->tls && !c->closing && !c->dead &&
           now_ms - c->came_ms >= TALKS_AFTER_MS && now_ms - heard_ms < TALKS_WITHIN_MS;
}

static void take_input(struct conn *c, void *in, size_t n)
{
    int64_t heard_ms = c->last_in_ms;
    conn_input(c, in, n);
    if (!c->talks && in_conversation(c, heard_ms)) {
        start_talking(c);
    }
}

static void on_talking(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    net_read_talkers(((struct loop *)poll->data)->t);
}

static void closed(struct lws *wsi, struct conn *c)
{
    struct loop *loop = c->thread->loop;
    enum io_work before = net_work(loop->t, WORK_CLOSE);
    lws_set_opaque_user_data(wsi, NULL);
    if (c->talks) {
        talkers_drop(loop->t->talkers, c->fd);
        c->talks = false;
    }
    conn_gone(c); /* first: nothing may be done to a socket that is closing */
    (void)net_work(loop->t, before);
    net_breathe(loop->t);
}

static int on_raw(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t n)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    (void)user;
    switch ((int)reason) {
    case LWS_CALLBACK_RAW_RX:
        if (c && n) {
            struct loop *loop = c->thread->loop;
            net_breathe(loop->t);
            (void)net_work(loop->t, WORK_READ);
            take_input(c, in, n);
            (void)net_work(loop->t, WORK_LOOP);
        }
        return 0;
    case LWS_CALLBACK_RAW_WRITEABLE:
        if (c) {
            struct loop *loop = c->thread->loop;
            net_breathe(loop->t);
            (void)net_work(loop->t, WORK_SEND);
            conn_writable(c);
            (void)net_work(loop->t, WORK_LOOP);
        }
        return 0;
    case LWS_CALLBACK_RAW_CLOSE:
        if (c) {
            closed(wsi, c);
        }
        return 0;
    case LWS_CALLBACK_WSI_DESTROY: /* later than the close, of all that closed in one go */
        net_breathe(((struct loop *)lws_context_user(lws_get_context(wsi)))->t);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "waggle", .callback = on_raw},
    {.name = NULL},
};

/* ---- a turn ---- */

static void farewells(struct net_thread *t)
{
    while (t->farewells && !io_starved(&t->io)) {
        struct bond *f = t->farewells;
        t->farewells = f->next;
        net_farewell(t, f->kind, f->app, slice_of(f->body, f->body_n));
        free(f);
    }
}

void net_farewell(struct net_thread *t, const struct command_kind *kind, uint32_t app,
                  struct slice body)
{
    struct command *command =
        io_command(&t->io, kind, app, (struct return_address){.slot = UINT32_MAX}, 0);
    if (command) {
        command->flags = COMMAND_SILENT;
        command->body_at = (uint32_t)io_arena(&t->io)->n;
        command->body_n = (uint32_t)body.n;
        buf_add_slice(io_arena(&t->io), body);
        return;
    }
    struct bond *f = xmalloc(sizeof *f + body.n);
    *f = (struct bond){.kind = kind, .app = app, .body_n = (uint32_t)body.n};
    memcpy(f->body, body.p, body.n);
    f->next = t->farewells;
    t->farewells = f;
}

static void bury(struct net_thread *t)
{
    while (t->dead) {
        struct conn *c = t->dead;
        if (c->behind || c->resuming || c->dirty || c->in_lane) {
            /* Still in a list: those are emptied each turn, so the next one buries it. */
            break;
        }
        t->dead = c->next_dead;
        slots_give(t, c);
        atomic_fetch_sub(&t->hub->connections, 1);
        conn_free(c);
        net_serve(t);
    }
}

/* Conns leave a slot as they expire, and may enter a later one, never this. False: some are left
 * for the next turn. */
static bool turn_wheel(struct net_thread *t)
{
    uint64_t began_us = clock_mono_us();
    while (t->wheel_ms + WHEEL_MS <= t->io.now_ms) {
        struct conn **slot = &t->wheel[(t->wheel_ms / WHEEL_MS + 1) % WHEEL_SLOTS];
        while (*slot) {
            if (net_is_spent(began_us)) {
                return false;
            }
            conn_expired(*slot);
            net_serve(t);
        }
        t->wheel_ms += WHEEL_MS;
    }
    return true;
}

static void look_over(struct net_thread *t, bool auth_changed)
{
    if (!auth_changed && t->io.now_ms < t->expiry_ms) {
        return;
    }
    if (t->index == 0 && t->io.now_ms >= t->expiry_ms) {
        hub_figures_tell(&t->io);
    }
    t->expiry_ms = t->io.now_ms + EXPIRY_EVERY_MS;
    for (uint32_t i = 0; i < t->slots_cap; i++) {
        struct conn *c = t->slots[i];
        if (i % LOOK_AT_A_TIME == 0) {
            net_serve(t);
        }
        if (!c || c->dead || c->wire != CONN_NATIVE) {
            continue;
        }
        if (auth_changed) {
            native_recheck(c);
        }
        native_expiry(c);
    }
}

/* ---- the paced end (design.md section 5) ---- */

static void drain_begin(struct loop *loop)
{
    struct net_thread *t = loop->t;
    t->draining = true;
    t->drain_started_ms = t->drain_next_ms = t->io.now_ms;
    for (size_t i = 0; i < loop->listeners_n; i++) {
        uv_poll_stop(&loop->listeners[i]);
    }
    uint32_t spread = t->io.settings->drain_ms;
    for (uint32_t i = 0; i < t->slots_cap; i++) {
        struct conn *c = t->slots[i];
        if (c && !c->dead && c->wire == CONN_NATIVE && !c->closing) {
            uint32_t random;
            t->io.draw(&random, sizeof random);
            native_goodbye(c, 500 + random % (spread * 4 + 1000));
        }
    }
}

static void drain_some(struct loop *loop)
{
    struct net_thread *t = loop->t;
    if (t->io.now_ms < t->drain_next_ms) {
        return;
    }
    int64_t left = t->drain_started_ms + t->io.settings->drain_ms - t->io.now_ms;
    uint32_t steps = left > DRAIN_STEP_MS ? (uint32_t)(left / DRAIN_STEP_MS) : 1;
    uint32_t batch = (t->slots_cap - t->drain_at) / steps + 1;
    t->drain_next_ms = t->io.now_ms + DRAIN_STEP_MS;
    for (; batch && t->drain_at < t->slots_cap; t->drain_at++, batch--) {
        struct conn *c = t->slots[t->drain_at];
        if (!c || c->dead || c->closing) {
            continue;
        }
        if (c->wire == CONN_NATIVE) {
            conn_close(c, CLOSE_GOING_AWAY, "the hub is shutting down");
        } else if (http_idle(c)) {
            conn_end(c);
        } else {
            http_poked(
                c); /* a long poll is answered now, and its connection closes with the answer */
        }
    }
    bool late = t->io.now_ms > t->drain_started_ms + t->io.settings->drain_ms + 3000;
    if (t->drain_at < t->slots_cap) {
        return;
    }
    t->drain_at = late ? t->slots_cap : 0;
    for (uint32_t i = 0; late && i < t->slots_cap; i++) {
        if (t->slots[i]) {
            conn_kill(t->slots[i]);
        }
    }
    if (t->slots_n == 0 && !t->farewells && !t->io.filling) {
        t->finished = true;
        uv_stop(&loop->uv);
    }
}

static void set_busy(struct loop *loop, bool busy);

/* What time brings: deadlines, ends of tokens, what could not be said before. */
static bool look_at_clock(struct loop *loop, bool auth_changed)
{
    struct net_thread *t = loop->t;
    bool on_time = turn_wheel(t);
    look_over(t, auth_changed);
    farewells(t);
    return on_time;
}

/* Nobody is found silent whom this thread has not heard (writer.h). Who floods the hub so that it
 * never comes to an end keeps no deadline up for good: in so many turns it has come to everybody.
 */
static void tell_heard(struct net_thread *t)
{
    bool all = !t->talkers_left && !t->resume && !t->io.filling;
    if (all || ++t->unheard_turns == UNHEARD_TURNS_MAX) {
        t->unheard_turns = 0;
        atomic_store_explicit(&t->io.heard_ms, t->looked_ms, memory_order_release);
    }
    t->looked_ms = t->io.now_ms;
}

static void on_turn(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    struct net_thread *t = loop->t;
    uint64_t now_us = clock_mono_us();
    (void)net_work(loop->t, WORK_TIMERS);
    if (t->index == 0) {
        clock_follow(&t->hub->clock, clock_machine_ms(), now_us);
    }
    bool auth_changed = io_turn(&t->io, clock_now(&t->hub->clock, now_us), now_us);
    if (atomic_load(&loop->drain) && !t->draining) {
        drain_begin(loop);
    }
    bool on_time = look_at_clock(loop, auth_changed);
    net_send_off(t);
    net_resume_paused(t);
    net_send_off(t);
    net_catch_up(t);
    net_send_off(t);
    net_wait_for_tray(t);
    tell_heard(t);
    if (loop->kills) {
        loop->kills = false;
        lws_cancel_service(loop->context); /* it would not look before some socket has news */
    }
    bury(t);
    if (t->draining) {
        drain_some(loop);
    }
    set_busy(loop, !on_time || net_has_more(t));
    turn_over(loop);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* that it runs keeps the loop from waiting */
}

static void set_busy(struct loop *loop, bool busy)
{
    if (busy != loop->is_busy) {
        loop->is_busy = busy;
        if (busy) {
            uv_idle_start(&loop->busy, on_idle);
        } else {
            uv_idle_stop(&loop->busy);
        }
    }
}

static void on_wake(uv_async_t *wake)
{
    (void)wake; /* the turn that follows does the work */
}

static void on_clock(uv_timer_t *timer)
{
    (void)timer;
}

/* ---- life ---- */

static void wake_loop(void *ctx)
{
    struct loop *loop = ctx;
    uv_async_send(&loop->wake);
}

static bool vhosts_make(struct loop *loop, char *out_text, size_t text_n)
{
    const struct server_options *o = loop->t->options;
    static const lws_retry_bo_t no_validity = {0};
    void *foreign[1] = {&loop->uv};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .user = loop,
        .gid = -1,
        .uid = -1,
        .foreign_loops = foreign,
        .pcontext = &loop->context,
        .count_threads = 1,
        .pt_serv_buf_size = 16384,
        /* For a TLS handshake the library gives five seconds, which many that come at once do not
         * all get; the connection's own deadline (DEADLINE_HEAD) judges instead. */
        .timeout_secs = 3600,
        .retry_and_idle_policy = &no_validity,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   (o->tls_cert ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0)};
    loop->context = lws_create_context(&info);
    if (!loop->context) {
        snprintf(out_text, text_n,
                 "libwebsockets: no context (is libwebsockets-evlib-uv installed?)");
        return false;
    }
    info.vhost_name = "plain";
    loop->plain = lws_create_vhost(loop->context, &info);
    if (loop->plain && o->tls_cert) {
        info.vhost_name = "tls";
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = o->tls_cert;
        info.ssl_private_key_filepath = o->tls_key;
        info.alpn = "http/1.1";
        loop->tls = lws_create_vhost(loop->context, &info);
    }
    if (!loop->plain || (o->tls_cert && !loop->tls)) {
        snprintf(out_text, text_n, "TLS: certificate %s or key %s cannot be used",
                 o->tls_cert ? o->tls_cert : "", o->tls_key ? o->tls_key : "");
        return false;
    }
    return true;
}

static void handles_make(struct loop *loop)
{
    loop->has_handles = true;
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_async_init(&loop->uv, &loop->wake, on_wake);
    uv_timer_init(&loop->uv, &loop->clock);
    uv_idle_init(&loop->uv, &loop->busy);
    loop->prepare.data = loop->wake.data = loop->clock.data = loop->busy.data = loop;
    uv_prepare_start(&loop->prepare, on_turn);
    uv_timer_start(&loop->clock, on_clock, WHEEL_MS, WHEEL_MS);
    if (loop->t->talkers >= 0) {
        uv_poll_init(&loop->uv, &loop->talking, loop->t->talkers);
        loop->talking.data = loop;
        uv_poll_start(&loop->talking, UV_READABLE, on_talking);
    }
    for (size_t i = 0; i < loop->listeners_n; i++) {
        uv_poll_init(&loop->uv, &loop->listeners[i], loop->fds[i]);
        loop->listeners[i].data = loop;
        uv_poll_start(&loop->listeners[i], UV_READABLE, on_listener);
    }
}

bool net_thread_new(const struct server_options *options, const struct files *files, unsigned index,
                    const int *listeners, const bool *tls, size_t listeners_n,
                    struct net_thread **out, char *out_text, size_t text_n)
{
    struct net_thread *t = xcalloc(1, sizeof *t);
    struct loop *loop = xcalloc(1, sizeof *loop);
    t->loop = loop;
    loop->t = t;
    loop->t->talkers = -1;
    t->hub = options->hub;
    t->api = options->api;
    t->options = options;
    t->files = files;
    t->index = index;
    t->slot_idle = UINT32_MAX;
    *out = t;
    uv_loop_init(&loop->uv);
    (void)uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME);
    loop->turn_ns = uv_hrtime();
    t->work_since_us = clock_mono_us();
    enum hub_rc rc =
        io_init(&t->io, t->hub, index, auth_random, arrivals_on_deliver, arrivals_on_behind, t);
    if (rc != HUB_OK) {
        snprintf(out_text, text_n, "I/O thread %u: %s", index, hub_error(rc)->title);
        return false;
    }
    t->io.now_us = clock_mono_us();
    t->io.now_ms = t->wheel_ms = t->looked_ms = clock_now(&t->hub->clock, t->io.now_us);
    atomic_store(&t->io.heard_ms, t->io.now_ms);
    t->http_limits = (struct http1_limits){.head_bytes_max = t->io.settings->head_bytes_max,
                                           .target_bytes_max = t->io.settings->head_bytes_max / 2,
                                           .headers_max = 100,
                                           .body_bytes_max = t->io.settings->body_bytes_max};
    for (size_t i = 0; i < listeners_n; i++) {
        loop->fds[i] = listeners[i];
        loop->listener_tls[i] = tls[i];
    }
    loop->listeners_n = listeners_n;
    loop->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    loop->t->talkers = talkers_new();
    struct writer_port port = {.inbox = t->io.inbox,
                               .home = t->io.pool.home,
                               .wake = wake_loop,
                               .wake_ctx = loop,
                               .heard_ms = &t->io.heard_ms};
    if (!vhosts_make(loop, out_text, text_n)) {
        return false;
    }
    handles_make(loop);
    writer_port_set(t->hub->writer, index, &port);
    return true;
}

static void on_close(uv_handle_t *handle)
{
    (void)handle;
}

static void handles_close(struct loop *loop)
{
    if (!loop->has_handles) { /* of a start that failed before */
        return;
    }
    uv_close((uv_handle_t *)&loop->prepare, on_close);
    uv_close((uv_handle_t *)&loop->wake, on_close);
    uv_close((uv_handle_t *)&loop->clock, on_close);
    uv_close((uv_handle_t *)&loop->busy, on_close);
    if (loop->t->talkers >= 0) {
        uv_close((uv_handle_t *)&loop->talking, on_close);
    }
    for (size_t i = 0; i < loop->listeners_n; i++) {
        uv_close((uv_handle_t *)&loop->listeners[i], on_close);
    }
}

static void *run(void *arg)
{
    struct loop *loop = arg;
    char name[16];
    snprintf(name, sizeof name, "waggle-io-%u", loop->t->index);
    pthread_setname_np(pthread_self(), name);
    while (!loop->t->finished) {
        uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    return NULL;
}

bool net_thread_start(struct net_thread *t)
{
    t->loop->started = pthread_create(&t->loop->thread, NULL, run, t->loop) == 0;
    return t->loop->started;
}

void net_thread_join(struct net_thread *t)
{
    if (t->loop->started) {
        pthread_join(t->loop->thread, NULL);
        t->loop->started = false;
    }
}

void net_thread_drain(struct net_thread *t)
{
    if (t->loop->started) {
        atomic_store(&t->loop->drain, true);
        wake_loop(t->loop);
    }
}

struct io *net_thread_io(struct net_thread *t)
{
    return &t->io;
}

void net_thread_free(struct net_thread *t)
{
    if (!t) {
        return;
    }
    struct loop *loop = t->loop;
    /* Trays on their way here still go home, so that every pool is whole. */
    for (struct tray *tray; t->io.inbox && (tray = io_arrived(&t->io));) {
        io_let_go(&t->io, tray);
    }
    handles_close(loop);
    if (loop->context) {
        lws_context_destroy(loop->context);
    }
    for (int i = 0; i < 100 && uv_loop_alive(&loop->uv); i++) {
        uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
    if (loop->context) { /* on a loop that is not its own the library ends in two steps */
        lws_context_destroy(loop->context);
    }
    (void)uv_loop_close(&loop->uv);
    if (loop->t->talkers >= 0) {
        close(loop->t->talkers);
    }
    if (loop->spare_fd >= 0) {
        close(loop->spare_fd);
    }
    turn_done(&t->turn);
    principal_unref(t->anonymous);
    buf_done(&t->scratch);
    buf_done(&t->body);
    buf_done(&t->text);
    buf_done(&t->detail);
    buf_done(&t->frames);
    free(t->slots);
    free(t->slot_next);
    free(t->generations);
    io_done(&t->io);
    free(loop);
    free(t);
}

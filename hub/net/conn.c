#include "hub/net/conn.h"
#include "hub/net/http.h"
#include "hub/net/native.h"

#include <assert.h>
#include <stdlib.h>

enum { CLOSE_WAIT_MS = 2000, ANSWERS_BYTES_MAX = 256 << 10 };

/* ---- deadlines: a wheel of lists; what lies further than a turn of it is looked at again ---- */

static void wheel_out(struct conn *c)
{
    if (c->wheel_at) {
        *c->wheel_at = c->wheel_next;
        if (c->wheel_next) {
            c->wheel_next->wheel_at = c->wheel_at;
        }
        c->wheel_at = NULL;
        c->wheel_next = NULL;
    }
}

static void wheel_in(struct conn *c)
{
    struct net_thread *t = c->thread;
    int64_t at = c->due_ms > t->wheel_ms ? c->due_ms : t->wheel_ms + WHEEL_MS;
    if (at - t->wheel_ms > (int64_t)(WHEEL_SLOTS - 2) * WHEEL_MS) {
        at = t->wheel_ms + (int64_t)(WHEEL_SLOTS - 2) * WHEEL_MS;
    }
    struct conn **slot = &t->wheel[(at / WHEEL_MS + 1) % WHEEL_SLOTS];
    c->wheel_next = *slot;
    if (*slot) {
        (*slot)->wheel_at = &c->wheel_next;
    }
    c->wheel_at = slot;
    *slot = c;
}

void conn_deadline(struct conn *c, enum deadline what, int64_t in_ms)
{
    wheel_out(c);
    c->deadline = (uint8_t)what;
    if (what != DEADLINE_NONE) {
        c->due_ms = c->thread->io.now_ms + in_ms;
        wheel_in(c);
    }
}

void conn_expired(struct conn *c)
{
    wheel_out(c);
    if (c->due_ms > c->thread->io.now_ms) {
        wheel_in(c);
        return;
    }
    enum deadline what = (enum deadline)c->deadline;
    c->deadline = DEADLINE_NONE;
    if (what == DEADLINE_CLOSE || what == DEADLINE_WRITE || c->closing || c->crowded) {
        conn_kill(c);
    } else if (c->wire == CONN_HTTP) {
        http_expired(c, what);
    } else {
        native_expired(c, what);
    }
}

/* ---- life ---- */

struct conn *conn_new(struct net_thread *t, int fd, bool tls, const uint8_t *address,
                      uint8_t address_n)
{
    struct conn *c = xcalloc(1, sizeof *c);
    c->thread = t;
    c->fd = fd;
    c->tls = tls;
    memcpy(c->address, address, address_n);
    c->address_n = address_n;
    c->came_ms = c->last_in_ms = t->io.now_ms;
    c->id = io_connection_id(&t->io);
    c->wire = CONN_HTTP;
    c->in.http = xmalloc(sizeof *c->in.http);
    http1_init(c->in.http, &t->http_limits);
    io_gauge(&t->io.counters.connections[WIRE_REST], 1);
    conn_deadline(c, DEADLINE_HEAD, t->io.settings->head_ms);
    return c;
}

void conn_gone(struct conn *c)
{
    struct net_thread *t = c->thread;
    if (c->dead) {
        return;
    }
    c->dead = true;
    wheel_out(c);
    outbox_clear(&c->out, &t->turn);
    if (c->wire == CONN_HTTP) {
        io_gauge(&t->io.counters.connections[WIRE_REST], -1);
        http_gone(c);
        http1_done(c->in.http);
        free(c->in.http);
    } else {
        io_gauge(&t->io.counters.connections[WIRE_NATIVE], -1);
        native_gone(c);
        ws_done(&c->in.ws);
    }
    buf_done(&c->stash);
    if (c->extras) {
        beat_memo_done(&c->extras->memo);
        free(c->extras);
        c->extras = NULL;
    }
    principal_unref(c->who);
    c->who = NULL;
    c->next_dead = t->dead;
    t->dead = c;
}

void conn_free(struct conn *c)
{
    assert(c->dead);
    free(c);
}

struct conn_extras *conn_extras(struct conn *c)
{
    if (!c->extras) {
        c->extras = xcalloc(1, sizeof *c->extras);
    }
    return c->extras;
}

/* ---- input ---- */

static void stash(struct conn *c, const uint8_t *bytes, size_t n)
{
    buf_add(&c->stash, bytes, n);
}

void conn_pause(struct conn *c)
{
    if (!c->paused) {
        c->paused = true;
        c->rx_off = true;
        net_read_flow(c, false);
    }
}

void conn_resume(struct conn *c)
{
    if (c->paused && !c->resuming && !c->dead) {
        c->resuming = true;
        c->next_resume = c->thread->resume;
        c->thread->resume = c;
    }
}

static void take(struct conn *c, uint8_t *bytes, size_t n)
{
    io_take_changes(&c->thread->io);
    while (n && !c->paused && !c->dead) {
        size_t used = c->wire == CONN_HTTP ? http_input(c, bytes, n) : native_input(c, bytes, n);
        bytes += used;
        n -= used;
    }
    if (n && !c->dead) {
        stash(c, bytes, n);
    }
}

void conn_resume_now(struct conn *c)
{
    c->resuming = false;
    if (c->dead || !c->paused) {
        return;
    }
    if (c->wire == CONN_HTTP && http_poll_due(c)) {
        return;
    }
    c->paused = false;
    struct buf held = c->stash;
    c->stash = (struct buf){0};
    take(c, held.p, held.n);
    buf_done(&held);
    if (!c->paused && !c->blocked && c->rx_off && !c->dead) {
        c->rx_off = false;
        net_read_flow(c, true);
    }
}

void conn_input(struct conn *c, uint8_t *bytes, size_t n)
{
    struct net_thread *t = c->thread;
    c->last_in_ms = t->io.now_ms;
    io_count(&t->io.counters.bytes_in[c->wire == CONN_HTTP ? WIRE_REST : WIRE_NATIVE], n);
    if (c->dead || (c->closing && c->wire == CONN_HTTP)) {
        return; /* read and thrown away until the peer closes or the deadline comes */
    }
    if (c->paused) {
        stash(c, bytes, n); /* what the library had read before it stopped */
        return;
    }
    take(c, bytes, n);
}

/* ---- output ---- */

static void lane_join(struct conn *c)
{
    struct conn_queue *lane = &c->thread->lane;
    if (!c->in_lane) {
        c->in_lane = true;
        c->next_in_lane = NULL;
        *(lane->first ? &lane->last->next_in_lane : &lane->first) = c;
        lane->last = c;
    }
}

void conn_mark_dirty(struct conn *c, bool answers)
{
    if (c->dead) {
        return;
    }
    if (answers && c->talks) {
        lane_join(c);
    } else if (!c->dirty) {
        struct conn_queue *queue = answers ? &c->thread->answers : &c->thread->dirty;
        c->dirty = true;
        c->next_dirty = NULL;
        *(queue->first ? &queue->last->next_dirty : &queue->first) = c;
        queue->last = c;
    }
}

void conn_send(struct conn *c, struct slice bytes)
{
    if (!c->dead && !c->shut) {
        outbox_own(&c->out, &c->thread->turn, bytes);
        c->turn_bytes += (uint32_t)(bytes.n < ANSWERS_BYTES_MAX ? bytes.n : ANSWERS_BYTES_MAX);
        conn_mark_dirty(c, true);
    }
}

/* Many small requests in one segment may ask for large answers: they are taken one by one. */
bool conn_must_drain(struct conn *c)
{
    if (c->turn_bytes >= ANSWERS_BYTES_MAX && !c->blocked) {
        conn_flush(c);
    }
    if (!c->blocked || c->dead) {
        return false;
    }
    conn_pause(c);
    return true;
}

static void count_queue(struct conn *c, uint32_t before)
{
    io_gauge(&c->thread->io.counters.queue_bytes, (int64_t)c->out.waiting_bytes - (int64_t)before);
}

static void keep(struct conn *c)
{
    struct net_thread *t = c->thread;
    struct outbox_losses losses = {0};
    uint32_t before = c->out.waiting_bytes;
    enum outbox_slow slow =
        outbox_keep(&c->out, &t->turn, t->io.topics, &c->sub, t->io.settings->queue_bytes, &losses);
    count_queue(c, before);
    io_count(&t->io.counters.drops[DROP_SLOW_LIVE], losses.dropped);
    io_count(&t->io.counters.drops[DROP_CONFLATED], losses.conflated);
    io_count(&t->io.counters.drops[DROP_FELL_BEHIND], losses.fell_behind);
    if (slow == OUTBOX_DISCONNECT) {
        io_count(&t->io.counters.drops[DROP_SLOW_CLOSED], 1);
        io_count(&t->io.counters.closes_slow, 1);
        conn_close(c, CLOSE_TOO_SLOW, "too slow for a channel that disconnects slow readers");
    }
}

static void block(struct conn *c)
{
    c->blocked = true;
    net_want_writable(c);
    if (!c->rx_off) {
        c->rx_off = true;
        net_read_flow(c, false); /* a peer that does not read us is not read either */
    }
    if (c->wire == CONN_HTTP) {
        conn_deadline(c, DEADLINE_WRITE, c->thread->io.settings->body_ms);
    }
    keep(c);
}

static void finish_closing(struct conn *c)
{
    if (c->closing && !c->shut) {
        c->shut = true;
        net_shut(c);
        conn_deadline(c, DEADLINE_CLOSE, CLOSE_WAIT_MS);
    }
}

/* One send for all that waits; the bytes are gathered unless they are one run anyway. */
static enum sent send_some(struct conn *c)
{
    struct net_thread *t = c->thread;
    bool last;
    struct slice run = outbox_peek(&c->out, &t->turn, &last);
    if (!last && run.n < GATHER_BYTES) {
        run = slice_of(t->gather, outbox_gather(&c->out, &t->turn, t->gather, GATHER_BYTES));
    }
    size_t n = run.n < GATHER_BYTES ? run.n : GATHER_BYTES, sent = 0;
    enum sent how = net_send(c, run.p, n, &sent);
    io_count(&t->io.counters.bytes_out[c->wire == CONN_HTTP ? WIRE_REST : WIRE_NATIVE], sent);
    uint32_t before = c->out.waiting_bytes;
    outbox_sent(&c->out, &t->turn, sent);
    count_queue(c, before);
    return how;
}

void conn_flush(struct conn *c)
{
    c->turn_bytes = 0;
    if (c->dead) {
        return;
    }
    if (c->blocked) {
        keep(c);
        return;
    }
    while (!outbox_empty(&c->out)) {
        enum sent how = send_some(c);
        if (how == SENT_FAILED) {
            conn_kill(c);
            return;
        }
        if (how == SENT_PART) {
            block(c);
            return;
        }
    }
    if (c->wire == CONN_HTTP && !c->closing) {
        http_flushed(c);
    }
    finish_closing(c);
}

void conn_send_now(struct conn *c, struct slice bytes)
{
    outbox_own(&c->out, &c->thread->turn, bytes);
    conn_flush(c);
}

void conn_writable(struct conn *c)
{
    if (c->dead || net_buffered(c)) {
        if (!c->dead) {
            net_want_writable(c);
        }
        return;
    }
    c->blocked = false;
    if (c->wire == CONN_HTTP && c->deadline == DEADLINE_WRITE) {
        conn_deadline(c, DEADLINE_NONE, 0);
    }
    conn_flush(c);
    if (c->blocked || c->dead) {
        return;
    }
    if (c->wire == CONN_NATIVE) {
        native_writable(c);
    }
    if (c->paused) {
        conn_resume(c); /* pauses again when it waits for something else */
    } else if (c->rx_off && !c->shut) {
        c->rx_off = false;
        net_read_flow(c, true);
    }
}

/* ---- ends ---- */

void conn_end(struct conn *c)
{
    c->closing = true;
    conn_mark_dirty(c, true);
}

void conn_close(struct conn *c, uint16_t code, const char *reason)
{
    if (c->closing || c->dead) {
        return;
    }
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    size_t n = ws_close_put(frame, code, reason, NULL);
    conn_send(c, slice_of(frame, n));
    conn_deadline(c, DEADLINE_CLOSE, CLOSE_WAIT_MS);
    conn_end(c);
}

void conn_kill(struct conn *c)
{
    if (!c->dead) {
        net_kill(c);
    }
}

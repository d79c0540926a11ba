/* hub/net/conn.h: one connection: bytes in, bytes out, deadlines; what they mean is http.h's and
 * native.h's.
 *
 * A connection begins as HTTP and may become the native WebSocket. Input that cannot be taken yet
 * (a request is being answered, the pool of trays is out) is stashed and the socket is not read
 * meanwhile. Output of a turn of the loop leaves in one call at its end.
 *
 * Owns     everything in it; trays and turn entries only until the turn's end.
 * Threads  its I/O thread alone. Named across threads by slot and generation.
 * Units    milliseconds, bytes.
 * Limits   hub_settings; each has a counter.
 */
#ifndef WAGGLE_HUB_NET_CONN_H
#define WAGGLE_HUB_NET_CONN_H

#include "channels/outbox.h"
#include "hub/api/memo.h"
#include "hub/net/http1.h"
#include "hub/net/ws.h"
#include "hub/net/thread.h"

struct lws;
struct http_exchange;
struct subscribe_request;
struct cursor_sub;

/* A command to be given when the connection is gone. */
struct bond {
    struct bond *next;
    const struct command_kind *kind;
    uint32_t app, body_n;
    uint8_t body[];
};

enum conn_wire { CONN_HTTP, CONN_NATIVE };
enum deadline {
    DEADLINE_NONE,
    DEADLINE_HEAD, /* a request's head, or the TLS handshake */
    DEADLINE_BODY,
    DEADLINE_IDLE, /* keep-alive without a request */
    DEADLINE_AUTH, /* a native connection that has not said who it is */
    DEADLINE_PING, /* time to ask whether the peer is there */
    DEADLINE_PONG,
    DEADLINE_CLOSE, /* our close frame or FIN was sent; the peer's did not come */
    DEADLINE_POLL,  /* a long poll has waited long enough */
    DEADLINE_WRITE, /* an HTTP answer that the peer does not read */
};

/* What few connections have: it is made when it is needed. */
struct conn_extras {
    struct subscribe_request *requests; /* presence joins under way */
    struct cursor_sub *cursors;         /* named cursors it is attached to */
    uint32_t cursors_n;
    struct call_waiting *waits; /* calls whose answer waits (waits.h) */
    struct bond *bonds;
    struct bond *alive; /* to be given while the peer says anything */
    int64_t alive_ms;   /* when it was last */
    struct beat_memo memo;
};

/* Most connections are idle, and there are many: no room is given away here. */
struct conn {
    struct net_thread *thread;
    struct lws *wsi;
    int fd;
    uint32_t slot, generation;
    uint32_t turn_bytes; /* answers given since the last flush */
    uint64_t id;
    int64_t came_ms, last_in_ms;
    struct principal *who; /* NULL: not known yet */
    int64_t who_ends_ms;   /* its credential, by the hub's own time; 0: never */

    uint8_t wire; /* enum conn_wire */
    bool tls;
    bool blocked;       /* the socket took not all: nothing is sent until it is writable */
    bool dirty;         /* in the thread's list of those with something to send */
    bool in_lane;       /* in the thread's list of those in conversation who are answered */
    bool paused;        /* input waits: `stash` */
    bool resuming;      /* in the thread's list of those to be resumed */
    bool rx_off;        /* not read */
    bool talks;         /* in conversation: read ahead of the others (talkers.h) */
    bool behind;        /* in the thread's list of those that read on from the log */
    bool closing;       /* nothing more is taken; ends when everything is sent */
    bool shut;          /* our end is closed */
    bool dead;          /* the socket is gone; freed at the end of the turn */
    bool catching_up;   /* counted as such */
    bool expiring_told; /* native: token_expiring was sent */
    bool crowded;       /* past the bound of connections: only asked how the hub is */
    uint8_t deadline;   /* enum deadline */
    uint8_t address_n;
    uint8_t address[16];
    uint16_t pending; /* commands under way */
    uint32_t requests_made;

    union {
        struct http1 *http; /* as long as it is HTTP; it is larger */
        struct ws ws;
    } in;
    struct buf stash;
    struct http_exchange *exchange;
    struct outbox out;
    struct subscriber sub;
    struct conn_extras *extras; /* NULL: none; conn_extras() */

    int64_t due_ms; /* of the deadline */
    struct conn *wheel_next, **wheel_at;
    struct conn *next_dirty, *next_in_lane, *next_behind, *next_resume, *next_dead;
};

struct conn *conn_new(struct net_thread *t, int fd, bool tls, const uint8_t *address,
                      uint8_t address_n);
/* The socket is gone: lets go of everything but its memory. */
void conn_gone(struct conn *c);
void conn_free(struct conn *c);
struct conn_extras *conn_extras(struct conn *c); /* made if need be */

void conn_input(struct conn *c, uint8_t *bytes, size_t n);
void conn_pause(struct conn *c);  /* what is left of the input is stashed */
void conn_resume(struct conn *c); /* at the next turn */
void conn_resume_now(struct conn *c);
void conn_writable(struct conn *c);

/* Bytes of this connection's own, after what is queued. */
void conn_send(struct conn *c, struct slice bytes);
/* Bytes past the turn's table: a page of the log, a file. What the socket does not take is kept. */
void conn_send_now(struct conn *c, struct slice bytes);
/* Something is to be sent at the end of the turn. Answers go before what only events wait for, and
 * those to whoever is in conversation before all: one who asked waits neither for thousands who are
 * told nor for thousands who come. */
void conn_mark_dirty(struct conn *c, bool answers);
void conn_flush(struct conn *c);
/* True when the peer must first take what it was answered: the connection paused. */
bool conn_must_drain(struct conn *c);

/* Takes no more input; ends when all is sent (HTTP). */
void conn_end(struct conn *c);
/* A native connection: close frame, then end. */
void conn_close(struct conn *c, uint16_t code, const char *reason);
/* At once, from anywhere but its own callback's caller. */
void conn_kill(struct conn *c);

void conn_deadline(struct conn *c, enum deadline what, int64_t in_ms);
void conn_expired(struct conn *c); /* the deadline came */

static inline struct return_address conn_address(const struct conn *c)
{
    return (struct return_address){.slot = c->slot, .generation = c->generation};
}

#endif

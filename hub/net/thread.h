/* hub/net/thread.h: one I/O thread: a loop, a libwebsockets context on it, and its connections.
 *
 * A turn of the loop: sockets are read; then, before the loop waits again, commands are handed
 * over, the inbox is drained, every connection with something to send is flushed once, and trays go
 * home (design.md section 4).
 *
 * Threads  its own; net_thread_wake and net_thread_drain: any.
 */
#ifndef WAGGLE_HUB_NET_THREAD_H
#define WAGGLE_HUB_NET_THREAD_H

#include "channels/outbox.h"
#include "hub/core/io.h"
#include "hub/net/http1.h"
#include "hub/net/rounds.h"
#include "hub/net/server.h"

struct conn;
struct net_thread;
struct files;

enum { GATHER_BYTES = 65536, INPUT_BYTES = 16384, WHEEL_SLOTS = 1024, WHEEL_MS = 100 };

/* The first come is the first served. */
struct conn_queue {
    struct conn *first, *last;
};

/* What the rest of hub/net uses of a thread; the loop itself is thread.c's. */
struct net_thread {
    struct io io;
    struct hub *hub;
    const struct api *api;
    const struct server_options *options;
    const struct files *files;
    unsigned index;

    struct conn **slots;
    uint32_t slots_n, slots_cap, slot_idle; /* list of free slots through generations */
    uint32_t *slot_next, *generations;

    struct turn turn;
    /* To be flushed: answers to those in conversation, other bytes of a connection's own, events
     * only. Who is in the lane may be in another as well. */
    struct conn_queue lane, answers, dirty;
    struct conn *behind, *behind_last, *resume, *dead;
    struct principal *anonymous;  /* NULL: nobody came without a credential yet */
    struct bond *farewells;       /* said at the next turn: no tray was to be had */
    struct http1_request request; /* scratch for the request being read */
    struct http1_limits http_limits;
    struct buf scratch, body, text, detail, frames; /* scratch of whoever runs now */
    uint8_t gather[GATHER_BYTES];
    uint8_t input[INPUT_BYTES]; /* of one connection in conversation, at a time */

    /* service.c's */
    int talkers;       /* talkers.h */
    bool talkers_left; /* there may be more to read than the last look reached */
    struct rounds rounds;
    uint64_t served_us, breath_us; /* when those in conversation, and the others, last were */
    enum io_work work;             /* what the thread does now, */
    uint64_t work_since_us;        /* since then */

    struct conn *wheel[WHEEL_SLOTS];
    int64_t wheel_ms;  /* the wheel has turned up to here */
    int64_t expiry_ms; /* next look at tokens' ends */
    int64_t looked_ms; /* when the turn before began: all sockets were looked at since */
    unsigned unheard_turns;

    bool draining, finished;
    uint32_t drain_at; /* slot */
    int64_t drain_started_ms, drain_next_ms;
    struct loop *loop; /* thread.c's */
};

bool net_thread_new(const struct server_options *options, const struct files *files, unsigned index,
                    const int *listeners, const bool *tls, size_t listeners_n,
                    struct net_thread **out, char *out_text, size_t text_n);
bool net_thread_start(struct net_thread *t);
void net_thread_join(struct net_thread *t);
void net_thread_free(struct net_thread *t);
void net_thread_drain(struct net_thread *t);
struct io *net_thread_io(struct net_thread *t);

/* For conn.c: libwebsockets and the loop stay in thread.c. */
enum sent { SENT_ALL, SENT_PART, SENT_FAILED };
enum sent net_send(struct conn *c, const uint8_t *p, size_t n, size_t *out_sent);
void net_want_writable(struct conn *c);
void net_read_flow(struct conn *c, bool on);
void net_shut(struct conn *c); /* FIN */
void net_kill(struct conn *c);
void net_stop_talking(struct conn *c); /* the library reads it again */
bool net_buffered(struct conn *c);     /* the library holds bytes that the socket did not take */
void net_behind(struct conn *c);       /* into the list of those that read on from the log */
struct conn *net_conn(struct net_thread *t, struct return_address from); /* NULL: gone */
/* A command that nobody waits for and that must not be lost while the hub runs. */
void net_farewell(struct net_thread *t, const struct command_kind *kind, uint32_t app,
                  struct slice body);

void net_log(struct net_thread *t, char level, const char *event, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif

/* tests/bench/crowd.h: many WebSocket clients of one server, on one epoll, by hand.
 *
 * Owns     its sockets and what waits to be sent on them; events borrow the bytes they show.
 * Threads  one at a time; an event may write to any connection and may not free the crowd.
 * Units    nanoseconds, bytes.
 * Limits   CROWD_OPENING_MAX handshakes at a time; a frame of at most CROWD_READ_SIZE bytes; the
 *          addresses are of 127.0.0.0/8, anything else is refused.
 * Errors   meter_fail(): a connection that the server closes, a handshake that it refuses, a
 *          deadline that passes. A benchmark with one lost connection measures something else.
 */
#ifndef WAGGLE_BENCH_CROWD_H
#define WAGGLE_BENCH_CROWD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CROWD_OPENING_MAX = 64, CROWD_READ_SIZE = 256 * 1024 };

/* A server to load: what it is called in the output, where it listens, whose CPU counts. */
struct target {
    char name[24];
    struct sockaddr_in addr;
    pid_t pid;
    bool tls;
};

/* NAME=ADDR:PORT/PID, or NAME=tls:ADDR:PORT/PID. Fails when it is anything else. */
struct target target_parse(const char *text);

/* The body that GET path answers with, NUL-terminated and cut at size; empty when there is none. */
void target_get(const struct target *t, const char *path, char *out, size_t size);

struct crowd;

/* What happens to a connection, named by its index from 0. Any may be NULL. */
struct crowd_events {
    void *ctx;
    void (*opened)(void *ctx, uint32_t index);                             /* may send now */
    void (*text)(void *ctx, uint32_t index, const char *text, size_t len); /* a frame came */
    void (*drained)(void *ctx, uint32_t index); /* all frames of one read have been shown */
};

struct crowd *crowd_new(const struct target *t, const char *path, uint32_t conns,
                        struct crowd_events events);
void crowd_opening_max(struct crowd *c, uint32_t n); /* instead of CROWD_OPENING_MAX */
void crowd_free(struct crowd *c); /* resets its connections: none is left in TIME_WAIT */

void crowd_connect(struct crowd *c, uint64_t within_ns); /* returns once all are open */
void crowd_write(struct crowd *c, uint32_t index, const void *frames, size_t len);
void crowd_text(struct crowd *c, uint32_t index, const char *text); /* frames and writes one */

void crowd_turn(struct crowd *c, uint64_t wait_ns); /* sleeps at most that long, then reads */
/* Turns until *counter has reached goal; false when that took longer than within_ns. */
bool crowd_until(struct crowd *c, const uint64_t *counter, uint64_t goal, uint64_t within_ns);

uint64_t crowd_bytes_in(const struct crowd *c);

#endif

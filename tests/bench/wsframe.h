/* tests/bench/wsframe.h: RFC 6455 as far as a benchmark needs it: whole frames in, whole frames
 * out, and the handshake's accept value.
 *
 * It is deliberately not hub/net/ws: the floor must not run on what it is the measure of, and it
 * trusts its peers, which the hub must not.
 * Owns     nothing.          Threads  any.         Units  bytes.
 * Limits   a text frame is never fragmented; nothing here checks masks, UTF-8 or close codes.
 */
#ifndef WAGGLE_BENCH_WSFRAME_H
#define WAGGLE_BENCH_WSFRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/mem.h"

enum wsframe_opcode { WSFRAME_TEXT = 1, WSFRAME_CLOSE = 8, WSFRAME_PING = 9, WSFRAME_PONG = 10 };

struct wsframe {
    unsigned opcode;
    bool masked;
    uint8_t mask[4];
    const uint8_t *payload; /* as it came: still masked */
    size_t len;
};

/* The size of the frame that p begins with, 0 when it is not all there yet. */
size_t wsframe_parse(const uint8_t *p, size_t n, struct wsframe *out);

/* The payload without its mask; out has room for f->len. */
void wsframe_unmask(const struct wsframe *f, uint8_t *out);

/* Byte i of the payload without its mask. */
static inline uint8_t wsframe_byte(const struct wsframe *f, size_t i)
{
    return f->masked ? (uint8_t)(f->payload[i] ^ f->mask[i % 4]) : f->payload[i];
}

void wsframe_add_client(struct buf *out, unsigned opcode, const void *payload, size_t len);
void wsframe_add_server(struct buf *out, unsigned opcode, const void *payload, size_t len);

enum { WSFRAME_ACCEPT_SIZE = 29 };
void wsframe_accept(const char *key, size_t key_len, char out[WSFRAME_ACCEPT_SIZE]);

#endif

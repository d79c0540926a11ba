/* hub/net/http1_inside.h: what the files of http1 share; nobody else includes it.
 *
 * http1.c collects a head and runs the machine, http1_head.c judges the lines of a head, and
 * http1_chunk.c undoes chunks.
 * Owns     nothing.       Threads  any; no state but the caller's.
 */
#ifndef WAGGLE_HUB_NET_HTTP1_INSIDE_H
#define WAGGLE_HUB_NET_HTTP1_INSIDE_H

#include "hub/net/http1.h"

/* status 0: no fault. */
struct http1_fault {
    uint16_t status;
    const char *reason;
};

/* Kinds of bytes, as bits. */
enum {
    BYTE_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    BYTE_TARGET = 2, /* what we take in a path or query, see http1_head.c */
    BYTE_HOST = 4,   /* of a name or an IPv4 address */
    BYTE_HEX = 8,
};
extern const uint8_t http1_byte_kind[256];

static inline bool http1_is(uint8_t byte, unsigned kind)
{
    return (http1_byte_kind[byte] & kind) != 0;
}

unsigned http1_hex_value(uint8_t digit); /* of a BYTE_HEX */
/* No control character but the tab: what a field value may hold (RFC 9110 section 5.5). */
bool http1_is_field_text(const uint8_t *p, size_t n);

/* Lines come without their CR LF. The first fills what a request line says of req; the second adds
 * a header, for which there must be room; the third looks at all headers together. */
struct http1_fault http1_request_line(struct http1_request *req, struct slice line,
                                      size_t target_bytes_max);
struct http1_fault http1_header_line(struct http1_request *req, struct slice line);
struct http1_fault http1_head_judge(struct http1_request *req);

/* One step of a chunked body: takes *out_used bytes; BODY sets p->body, ERROR only *out_fault. */
enum http1_event http1_chunk_feed(struct http1 *p, const uint8_t *bytes, size_t n, size_t *out_used,
                                  struct http1_fault *out_fault);

#endif

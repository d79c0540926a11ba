/* Chunks undone byte by byte (RFC 9112 section 7.1), except for their data, which is passed on in
 * pieces as large as the input has them. Extensions and trailers are checked, bounded and dropped.
 */
#include "hub/net/http1_inside.h"

enum chunk_state {
    SIZE_FIRST, /* a size has at least one digit */
    SIZE_MORE,
    SIZE_SPACE, /* white space, which only an extension may follow */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    COMPLETE,
};

enum { CHUNK_DIGITS_MAX = 16 }; /* 64 bits, so that nothing overflows */

static const struct http1_fault no_fault;

static struct http1_fault bad(const char *reason)
{
    return (struct http1_fault){400, reason};
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct http1_fault size_digit(struct http1 *p, uint8_t byte)
{
    p->chunk_digits = p->chunk_state == SIZE_FIRST ? 1 : (uint8_t)(p->chunk_digits + 1);
    if (p->chunk_digits > CHUNK_DIGITS_MAX) {
        return bad("a chunk's size has too many digits");
    }
    p->left = p->left << 4 | http1_hex_value(byte);
    p->chunk_state = SIZE_MORE;
    return no_fault;
}

static struct http1_fault after_size(struct http1 *p, uint8_t byte)
{
    if (byte == '\r') {
        p->chunk_state = SIZE_LF;
    } else if (byte == ';') {
        p->extra++;
        p->chunk_state = EXTENSION;
    } else if (is_space(byte)) {
        p->extra++;
        p->chunk_state = SIZE_SPACE;
    } else {
        return bad("a chunk's size is not hexadecimal");
    }
    return no_fault;
}

static struct http1_fault after_space(struct http1 *p, uint8_t byte)
{
    p->extra++;
    if (byte == ';') {
        p->chunk_state = EXTENSION;
    } else if (!is_space(byte)) {
        return bad("white space after a chunk's size");
    }
    return no_fault;
}

static struct http1_fault in_extension(struct http1 *p, uint8_t byte)
{
    p->extra++;
    if (byte == '\r') {
        p->chunk_state = SIZE_LF;
    } else if (!http1_is_field_text(&byte, 1)) {
        return bad("a control character in a chunk extension");
    }
    return no_fault;
}

static struct http1_fault after_size_line(struct http1 *p, uint8_t byte)
{
    if (byte != '\n') {
        return bad("CR without LF");
    }
    if (p->left > p->body_bytes_max - p->body_seen) {
        return (struct http1_fault){413, "the body is too long"};
    }
    p->body_seen += p->left;
    p->chunk_state = p->left ? DATA : TRAILER_FIRST;
    return no_fault;
}

static struct http1_fault expect(struct http1 *p, uint8_t byte, uint8_t wanted,
                                 enum chunk_state next, const char *reason)
{
    p->chunk_state = (uint8_t)next;
    return byte == wanted ? no_fault : bad(reason);
}

static struct http1_fault trailer_first(struct http1 *p, uint8_t byte)
{
    p->extra++;
    p->chunk_state = byte == '\r' ? LAST_LF : TRAILER_NAME;
    return byte == '\r' || http1_is(byte, BYTE_TOKEN) ? no_fault : bad("not a trailer's name");
}

static struct http1_fault trailer_name(struct http1 *p, uint8_t byte)
{
    p->extra++;
    if (byte == ':') {
        p->chunk_state = TRAILER_VALUE;
    } else if (!http1_is(byte, BYTE_TOKEN)) {
        return bad("not a trailer's name");
    }
    return no_fault;
}

static struct http1_fault trailer_value(struct http1 *p, uint8_t byte)
{
    p->extra++;
    if (byte == '\r') {
        p->chunk_state = TRAILER_LF;
    } else if (!http1_is_field_text(&byte, 1)) {
        return bad("a control character in a trailer");
    }
    return no_fault;
}

static struct http1_fault take_byte(struct http1 *p, uint8_t byte)
{
    switch ((enum chunk_state)p->chunk_state) {
    case SIZE_FIRST:
        return http1_is(byte, BYTE_HEX) ? size_digit(p, byte)
                                        : bad("a chunk's size is not hexadecimal");
    case SIZE_MORE:
        return http1_is(byte, BYTE_HEX) ? size_digit(p, byte) : after_size(p, byte);
    case SIZE_SPACE:
        return after_space(p, byte);
    case EXTENSION:
        return in_extension(p, byte);
    case SIZE_LF:
        return after_size_line(p, byte);
    case DATA_CR:
        return expect(p, byte, '\r', DATA_LF, "a chunk is longer than its size");
    case DATA_LF:
        return expect(p, byte, '\n', SIZE_FIRST, "CR without LF");
    case TRAILER_FIRST:
        return trailer_first(p, byte);
    case TRAILER_NAME:
        return trailer_name(p, byte);
    case TRAILER_VALUE:
        return trailer_value(p, byte);
    case TRAILER_LF:
        return expect(p, byte, '\n', TRAILER_FIRST, "CR without LF");
    case LAST_LF:
        return expect(p, byte, '\n', COMPLETE, "CR without LF");
    case DATA:
    case COMPLETE:
        break;
    }
    return no_fault;
}

static struct http1_fault extra_too_long(const struct http1 *p)
{
    bool trailer = p->chunk_state >= TRAILER_FIRST;
    return trailer ? (struct http1_fault){431, "the trailers are too long"}
                   : bad("the chunk extensions are too long");
}

static enum http1_event take_data(struct http1 *p, const uint8_t *bytes, size_t n, size_t *io_used)
{
    size_t take = n < p->left ? n : (size_t)p->left;
    p->body = slice_of(bytes, take);
    p->left -= take;
    *io_used += take;
    if (p->left == 0) {
        p->chunk_state = DATA_CR;
    }
    return HTTP1_BODY;
}

enum http1_event http1_chunk_feed(struct http1 *p, const uint8_t *bytes, size_t n, size_t *out_used,
                                  struct http1_fault *out_fault)
{
    size_t i = 0;
    *out_used = 0;
    while (i < n) {
        if (p->chunk_state == DATA) {
            *out_used = i;
            return take_data(p, bytes + i, n - i, out_used);
        }
        *out_fault = take_byte(p, bytes[i++]);
        if (out_fault->status == 0 && p->extra > HTTP1_EXTRA_BYTES_MAX) {
            *out_fault = extra_too_long(p);
        }
        if (out_fault->status) {
            return HTTP1_ERROR;
        }
        if (p->chunk_state == COMPLETE) {
            *out_used = i;
            return HTTP1_DONE;
        }
    }
    *out_used = n;
    return HTTP1_MORE;
}

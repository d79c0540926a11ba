/* hub/net/utf8.h: is it UTF-8 (RFC 3629), in pieces and as early as can be known.
 *
 * Overlong forms, surrogates and what lies past U+10FFFF are refused at the first byte that makes
 * them, so a text in pieces fails with the piece that spoils it.
 *
 * Owns     nothing.       Threads  any; no state but the caller's.       Units  bytes.
 */
#ifndef WAGGLE_HUB_NET_UTF8_H
#define WAGGLE_HUB_NET_UTF8_H

#include "store/bytes.h"

/* 0: between characters, where a text may end. UTF8_BAD: never again UTF-8. Else: inside one. */
enum { UTF8_WHOLE = 0, UTF8_BAD = 255 };

uint8_t utf8_feed(uint8_t state, const uint8_t *p, size_t n); /* the state after n more bytes */

static inline bool utf8_valid(struct slice s)
{
    return utf8_feed(UTF8_WHOLE, s.p, s.n) == UTF8_WHOLE;
}

#endif

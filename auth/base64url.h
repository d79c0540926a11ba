/* auth/base64url.h: strict base64, in the alphabet of URLs without padding (RFC 4648 section 5, as
 * JOSE wants it) and in the standard one with padding (section 4).
 *
 * Every run of bytes has exactly one text and decoding accepts only that one: no white space, no
 * padding where none belongs, no set bits after the last byte.
 * Threads  any.       Units  bytes, characters.
 */
#ifndef WAGGLE_AUTH_BASE64URL_H
#define WAGGLE_AUTH_BASE64URL_H

#include "store/mem.h"

void base64url_put(struct buf *b, struct slice bytes); /* appends */
/* Decodes into out, at most cap bytes. False: not the one text of any bytes, or too long for out.
 */
bool base64url_get(struct slice text, uint8_t *out, size_t cap, size_t *out_n);

void base64_put(struct buf *b, struct slice bytes);
bool base64_get(struct slice text, uint8_t *out, size_t cap, size_t *out_n);

#endif

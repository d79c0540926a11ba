/* channels/json_out.h: writes JSON text, one value after another, commas minded.
 *
 *     struct json_out o = json_out_to(&buf);
 *     json_begin(&o, '{');
 *     json_key(&o, "agent_id"); json_text(&o, id);
 *     json_end(&o, '}');
 *
 * Escapes are those of json_to_escaped: quote, backslash and controls, in one canonical form.
 *
 * Owns     nothing: appends to the buf given.
 * Threads  one at a time. Doubles are written with snprintf: whoever calls setlocale leaves
 *          LC_NUMERIC at "C".
 */
#ifndef WAGGLE_CHANNELS_JSON_OUT_H
#define WAGGLE_CHANNELS_JSON_OUT_H

#include "store/mem.h"

struct json_out {
    struct buf *b;
    bool comma; /* the next value or key wants a comma before it */
};

struct json_out json_out_to(struct buf *b);
void json_begin(struct json_out *o, char bracket);         /* '{' or '[' */
void json_end(struct json_out *o, char bracket);           /* '}' or ']' */
void json_key_slice(struct json_out *o, struct slice key); /* escaped as needed */
/* UTF-8; escaped; each byte that is no part of a character becomes U+FFFD. */
void json_text(struct json_out *o, struct slice text);
/* Here, as the length of most of them is known when they are compiled. */
static inline void json_key(struct json_out *o, const char *key)
{
    json_key_slice(o, slice_str(key));
}
static inline void json_str(struct json_out *o, const char *text)
{
    json_text(o, slice_str(text));
}
/* A key, a value, of our own: words in which nothing is to be escaped, and nobody looks. Here too:
 * an event of a task has a dozen. */
static inline void json_quote(struct json_out *o, const char *word)
{
    size_t n = strlen(word), comma = o->comma;
    uint8_t *at = buf_reserve(o->b, n + 4); /* a colon may follow */
    *at = ',';
    at[comma] = '"';
    memcpy(at + comma + 1, word, n);
    at[comma + n + 1] = '"';
    o->b->n += comma + n + 2;
}
static inline void json_field(struct json_out *o, const char *key)
{
    json_quote(o, key);
    o->b->p[o->b->n++] = ':';
    o->comma = false;
}
static inline void json_plain(struct json_out *o, const char *word)
{
    json_quote(o, word);
    o->comma = true;
}
void json_escaped(struct json_out *o, struct slice escaped); /* already escaped: quotes are added */
void json_raw(struct json_out *o, struct slice json);        /* a checked JSON value as it is */
void json_u64(struct json_out *o, uint64_t v);
void json_i64(struct json_out *o, int64_t v);
/* 15 to 17 digits, the fewest that read back as v; whole numbers up to 2^53 without an exponent;
 * not finite: null. */
void json_double(struct json_out *o, double v);
void json_bool(struct json_out *o, bool v);
void json_put_null(struct json_out *o); /* jansson exports a json_null */
/* Milliseconds since 1970 as "2026-11-20T17:34:21.123Z"; years 0000 to 9999, times outside become
 * the first or last moment within. */
void json_time(struct json_out *o, int64_t ms);
enum { JSON_TIME_BYTES = 24 };
void json_time_put(uint8_t out[JSON_TIME_BYTES], int64_t ms); /* the same without quotes */

/* json_text without comma and quotes: what stands between them. */
void json_escape(struct buf *b, struct slice text);

#endif

/* channels/json_out.h: writes JSON text, one value after another, commas minded.
 *
 *     struct json_out o = json_out_to(&buf);
 *     json_begin(&o, '{');
 *     json_key(&o, "agent_id"); json_text(&o, id);
 *     json_end(&o, '}');
 *
 * Owns     nothing: appends to the buf given.
 * Threads  one at a time.
 */
#ifndef WAGGLE_CHANNELS_JSON_OUT_H
#define WAGGLE_CHANNELS_JSON_OUT_H

#include "store/mem.h"

struct json_out {
    struct buf *b;
    bool comma; /* the next value or key wants a comma before it */
};

struct json_out json_out_to(struct buf *b);
void json_begin(struct json_out *o, char bracket); /* '{' or '[' */
void json_end(struct json_out *o, char bracket);   /* '}' or ']' */
void json_key(struct json_out *o, const char *key); /* plain text, escaped as needed */
void json_key_slice(struct json_out *o, struct slice key);
void json_text(struct json_out *o, struct slice text); /* UTF-8; escaped; bad UTF-8 becomes U+FFFD */
void json_str(struct json_out *o, const char *text);
void json_escaped(struct json_out *o, struct slice escaped); /* already escaped: quotes are added */
void json_raw(struct json_out *o, struct slice json);        /* a checked JSON value as it is */
void json_u64(struct json_out *o, uint64_t v);
void json_i64(struct json_out *o, int64_t v);
void json_double(struct json_out *o, double v); /* shortest that reads back; not finite: null */
void json_bool(struct json_out *o, bool v);
void json_null(struct json_out *o);
/* Milliseconds since 1970 as "2026-11-20T17:34:21.123Z"; years 0000..9999. */
void json_time(struct json_out *o, int64_t ms);
enum { JSON_TIME_BYTES = 24 };
void json_time_put(uint8_t out[JSON_TIME_BYTES], int64_t ms); /* the same without quotes */

#endif

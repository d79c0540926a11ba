/* channels/json_members.h: one member of the object that is being written: a key and its value.
 *
 * Owns     nothing: appends to what json_out_to() was given.
 * Threads  one at a time.
 */
#ifndef WAGGLE_CHANNELS_JSON_MEMBERS_H
#define WAGGLE_CHANNELS_JSON_MEMBERS_H

#include "channels/json_out.h"

void put_text(struct json_out *o, const char *key, struct slice text);
void put_text_or_null(struct json_out *o, const char *key, struct slice text); /* empty: null */
void put_str(struct json_out *o, const char *key, const char *text);
void put_time(struct json_out *o, const char *key, int64_t ms);
void put_time_or_null(struct json_out *o, const char *key, int64_t ms); /* 0: null */
void put_count(struct json_out *o, const char *key, uint64_t n);
void put_bool(struct json_out *o, const char *key, bool v);
void put_null(struct json_out *o, const char *key);

#endif

#include "channels/json_members.h"

void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_key(o, key);
    json_text(o, text);
}

void put_text_or_null(struct json_out *o, const char *key, struct slice text)
{
    if (text.n) {
        put_text(o, key, text);
    } else {
        put_null(o, key);
    }
}

void put_str(struct json_out *o, const char *key, const char *text)
{
    json_key(o, key);
    json_str(o, text);
}

void put_time(struct json_out *o, const char *key, int64_t ms)
{
    json_key(o, key);
    json_time(o, ms);
}

void put_time_or_null(struct json_out *o, const char *key, int64_t ms)
{
    if (ms) {
        put_time(o, key, ms);
    } else {
        put_null(o, key);
    }
}

void put_count(struct json_out *o, const char *key, uint64_t n)
{
    json_key(o, key);
    json_u64(o, n);
}

void put_bool(struct json_out *o, const char *key, bool v)
{
    json_key(o, key);
    json_bool(o, v);
}

void put_null(struct json_out *o, const char *key)
{
    json_key(o, key);
    json_put_null(o);
}

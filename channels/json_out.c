#include "channels/json_out.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels/json_text.h"

struct json_out json_out_to(struct buf *b)
{
    return (struct json_out){.b = b, .comma = false};
}

static void put(struct json_out *o, char c)
{
    *buf_reserve(o->b, 1) = (uint8_t)c;
    o->b->n++;
}

/* Before every value and key. */
static void separate(struct json_out *o)
{
    if (o->comma) {
        put(o, ',');
    }
    o->comma = true;
}

void json_begin(struct json_out *o, char bracket)
{
    separate(o);
    put(o, bracket);
    o->comma = false;
}

void json_end(struct json_out *o, char bracket)
{
    put(o, bracket);
    o->comma = true;
}

void json_escape(struct buf *b, struct slice text)
{
    const uint8_t *p = text.p, *end = text.n ? text.p + text.n : text.p;
    while (p < end) {
        const uint8_t *run = p;
        p = json_plain_run(p, end);
        buf_add(b, run, (size_t)(p - run));
        if (p == end) {
            return;
        }
        size_t n = *p >= 0x80 ? utf8_length(p, end) : 0;
        if (n) {
            buf_add(b, p, n);
        } else if (*p >= 0x80) {
            buf_add(b, "\xef\xbf\xbd", 3); /* U+FFFD */
        } else {
            b->n += json_escape_put(buf_reserve(b, JSON_ESCAPE_BYTES_MAX), *p);
        }
        p += n ? n : 1;
    }
}

/* Nearly every text and key is plain: room is made once for all of it. */
static bool put_plain(struct json_out *o, struct slice text)
{
    const uint8_t *end = text.n ? text.p + text.n : text.p;
    if (json_plain_run(text.p, end) != end) {
        return false;
    }
    uint8_t *to = buf_reserve(o->b, text.n + 3), *at = to;
    *at = ',';
    at += o->comma;
    *at++ = '"';
    if (text.n) {
        memcpy(at, text.p, text.n);
    }
    at += text.n;
    *at++ = '"';
    o->b->n += (size_t)(at - to);
    o->comma = true;
    return true;
}

void json_text(struct json_out *o, struct slice text)
{
    if (put_plain(o, text)) {
        return;
    }
    separate(o);
    put(o, '"');
    json_escape(o->b, text);
    put(o, '"');
}

void json_key_slice(struct json_out *o, struct slice key)
{
    json_text(o, key);
    put(o, ':');
    o->comma = false;
}

void json_escaped(struct json_out *o, struct slice escaped)
{
    separate(o);
    put(o, '"');
    buf_add_slice(o->b, escaped);
    put(o, '"');
}

void json_raw(struct json_out *o, struct slice json)
{
    separate(o);
    buf_add_slice(o->b, json);
}

void json_u64(struct json_out *o, uint64_t v)
{
    separate(o);
    buf_add_u64(o->b, v);
}

void json_i64(struct json_out *o, int64_t v)
{
    separate(o);
    if (v < 0) {
        put(o, '-');
    }
    buf_add_u64(o->b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void json_double(struct json_out *o, double v)
{
    const double whole_max = 9007199254740992.0; /* 2^53: beyond it not every whole number is one */
    if (!isfinite(v)) {
        json_put_null(o);
        return;
    }
    if (fabs(v) <= whole_max && v == (double)(int64_t)v && !(v == 0 && signbit(v))) {
        json_i64(o, (int64_t)v);
        return;
    }
    /* 15 digits survive the way to a double and back, 17 the way to text and back; a number below
     * DBL_MIN has fewer of its own. */
    char text[48];
    int digits = fabs(v) < DBL_MIN ? 1 : 15;
    do {
        snprintf(text, sizeof text, "%.*g", digits, v);
    } while (strtod(text, NULL) != v && ++digits <= 17);
    json_raw(o, slice_str(text));
}

void json_bool(struct json_out *o, bool v)
{
    json_raw(o, slice_str(v ? "true" : "false"));
}

void json_put_null(struct json_out *o)
{
    json_raw(o, slice_str("null"));
}

/* ---- times ---- */

/* Two digits at a time: a stored event is written with its time each time it is sent. */
static void put_pair(uint8_t *out, uint32_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    memcpy(out, pairs + (size_t)2 * v, 2);
}

/* A date of the Gregorian calendar, prolonged into the past (ISO 8601). Years are counted from
 * 1 March, so that the leap day is a year's last, and in eras of 400 years, which all have as many
 * days. */
static void put_date(uint8_t out[10], uint32_t days)
{
    uint32_t era = days / 146097, day = days % 146097;
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint32_t month = (5 * day + 2) / 153; /* from March; five months of 31, 30, 31, 30, 31 days */
    uint32_t day_of_month = day - (153 * month + 2) / 5 + 1;
    bool next_year = month >= 10;
    year += era * 400 + next_year - 400;
    put_pair(out, year / 100);
    put_pair(out + 2, year % 100);
    out[4] = '-';
    put_pair(out + 5, next_year ? month - 9 : month + 3);
    out[7] = '-';
    put_pair(out + 8, day_of_month);
}

void json_time_put(uint8_t out[JSON_TIME_BYTES], int64_t ms)
{
    const int64_t first = INT64_C(-62167219200000), last = INT64_C(253402300799999);
    const int64_t era_ms = INT64_C(146097) * 86400000;
    ms = ms < first ? first : ms > last ? last : ms;
    /* Counted from 1 March of the year -400, so that every date is after it. */
    uint64_t since = (uint64_t)(ms + INT64_C(719468) * 86400000 + era_ms);
    uint32_t left = (uint32_t)(since % 86400000);
    put_date(out, (uint32_t)(since / 86400000));
    out[10] = 'T';
    put_pair(out + 11, left / 3600000);
    out[13] = ':';
    put_pair(out + 14, left / 60000 % 60);
    out[16] = ':';
    put_pair(out + 17, left / 1000 % 60);
    out[19] = '.';
    out[20] = (uint8_t)('0' + left % 1000 / 100);
    put_pair(out + 21, left % 100);
    out[23] = 'Z';
}

void json_time(struct json_out *o, int64_t ms)
{
    uint8_t text[JSON_TIME_BYTES];
    json_time_put(text, ms);
    json_escaped(o, slice_of(text, sizeof text));
}

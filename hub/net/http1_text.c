#include "hub/net/http1_text.h"

#include <assert.h>

#include "hub/net/http1_inside.h"
#include "hub/net/utf8.h"

static uint8_t lower_of(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

bool http1_same(struct slice text, const char *lower)
{
    size_t i = 0;
    while (i < text.n && lower[i] && lower_of(text.p[i]) == (uint8_t)lower[i]) {
        i++;
    }
    return i == text.n && lower[i] == '\0';
}

static struct slice trimmed(struct slice s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s = slice_of(s.p + 1, s.n - 1);
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) {
        s.n--;
    }
    return s;
}

/* Cuts what stands before the first `mark` off the front of rest. The end of rest has p = NULL. */
static bool next_part(struct slice *rest, uint8_t mark, struct slice *out)
{
    if (!rest->p) {
        return false;
    }
    const uint8_t *at = rest->n ? memchr(rest->p, mark, rest->n) : NULL;
    if (at) {
        *out = slice_of(rest->p, (size_t)(at - rest->p));
        *rest = slice_of(at + 1, rest->n - out->n - 1);
    } else {
        *out = *rest;
        *rest = (struct slice){0};
    }
    return true;
}

bool http1_list_next(struct slice *rest, struct slice *out_item)
{
    struct slice item;
    if (!next_part(rest, ',', &item)) {
        return false;
    }
    *out_item = trimmed(item);
    return true;
}

/* The byte that the escape at s.p[i] stands for; -1: it is none. */
static int escaped_byte(struct slice s, size_t i)
{
    if (s.n - i < 3 || !http1_is(s.p[i + 1], BYTE_HEX) || !http1_is(s.p[i + 2], BYTE_HEX)) {
        return -1;
    }
    return (int)(http1_hex_value(s.p[i + 1]) << 4 | http1_hex_value(s.p[i + 2]));
}

static enum http1_path_rc decode_path(struct slice path, struct buf *scratch)
{
    uint8_t *out = buf_reserve(scratch, path.n);
    size_t n = 0;
    for (size_t i = 0; i < path.n; i++) {
        int byte = path.p[i];
        if (byte == '%') {
            byte = escaped_byte(path, i);
            if (byte < 0) {
                return HTTP1_PATH_ESCAPE;
            }
            i += 2;
        }
        out[n++] = (uint8_t)byte;
    }
    scratch->n += n;
    return HTTP1_PATH_OK;
}

/* Only a slash that came as one divides, and only the last segment may be empty. */
static bool has_empty_segment(struct slice path)
{
    for (size_t i = 1; i < path.n; i++) {
        if (path.p[i] == '/' && path.p[i - 1] == '/') {
            return true;
        }
    }
    return false;
}

/* Of a decoded path: each byte, then what stands between slashes, whether they divide or not: what
 * decodes once more on the way must not find a way up either. */
static enum http1_path_rc judge_path(struct slice path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] < 0x20 || path.p[i] == 0x7f) {
            return HTTP1_PATH_CONTROL;
        }
        if (path.p[i] == '\\') {
            return HTTP1_PATH_BACKSLASH;
        }
    }
    struct slice rest = slice_of(path.p + 1, path.n - 1), segment;
    while (next_part(&rest, '/', &segment)) {
        if (slice_is(segment, ".") || slice_is(segment, "..")) {
            return HTTP1_PATH_DOTS;
        }
    }
    return utf8_valid(path) ? HTTP1_PATH_OK : HTTP1_PATH_UTF8;
}

enum http1_path_rc http1_path_normal(struct slice path, struct buf *scratch, struct slice *out)
{
    struct slice decoded = path;
    if (path.n == 0 || path.p[0] != '/') {
        return HTTP1_PATH_FORM;
    }
    if (has_empty_segment(path)) {
        return HTTP1_PATH_EMPTY;
    }
    if (memchr(path.p, '%', path.n)) {
        buf_clear(scratch);
        enum http1_path_rc rc = decode_path(path, scratch);
        if (rc != HTTP1_PATH_OK) {
            return rc;
        }
        decoded = buf_slice(scratch);
    }
    enum http1_path_rc rc = judge_path(decoded);
    if (rc == HTTP1_PATH_OK) {
        *out = decoded;
    }
    return rc;
}

bool http1_path_slash_inside(struct slice path)
{
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '%' && escaped_byte(path, i) == '/') {
            return true;
        }
    }
    return false;
}

const char *http1_path_rc_text(enum http1_path_rc rc)
{
    switch (rc) {
    case HTTP1_PATH_OK:
        break;
    case HTTP1_PATH_FORM:
        return "the path does not begin with a slash";
    case HTTP1_PATH_ESCAPE:
        return "a % in the path is not followed by two hexadecimal digits";
    case HTTP1_PATH_CONTROL:
        return "a control character in the path";
    case HTTP1_PATH_BACKSLASH:
        return "a backslash in the path";
    case HTTP1_PATH_DOTS:
        return "a segment of dots in the path";
    case HTTP1_PATH_EMPTY:
        return "an empty segment in the path";
    case HTTP1_PATH_UTF8:
        return "the path is not UTF-8";
    }
    return "";
}

/* Appends to scratch, which has the room; false: not to be decoded. */
static bool decode_pair_part(struct slice raw, struct buf *scratch, struct slice *out)
{
    uint8_t *start = scratch->p + scratch->n;
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        int byte = raw.p[i] == '+' ? ' ' : raw.p[i];
        if (byte == '%') {
            byte = escaped_byte(raw, i);
            i += 2;
        }
        if (byte <= 0) { /* no escape, or NUL */
            return false;
        }
        start[n++] = (uint8_t)byte;
    }
    scratch->n += n;
    *out = slice_of(start, n);
    return utf8_valid(*out);
}

enum http1_query_rc http1_query_next(struct slice *rest, struct buf *scratch,
                                     struct slice *out_name, struct slice *out_value)
{
    struct slice pair = {0}, raw, name, value = {0};
    while (pair.n == 0) {
        if (!next_part(rest, '&', &pair)) {
            return HTTP1_QUERY_END;
        }
    }
    raw = pair;
    (void)next_part(&raw, '=', &name);
    if (raw.p) {
        value = raw;
    }
    buf_clear(scratch);
    (void)buf_reserve(scratch, pair.n); /* both, so that the first does not move */
    if (!decode_pair_part(name, scratch, &name) || !decode_pair_part(value, scratch, &value)) {
        return HTTP1_QUERY_BAD;
    }
    *out_name = name;
    *out_value = value;
    return HTTP1_QUERY_PAIR;
}

enum http1_query_rc http1_query_get(struct slice query, const char *name, struct buf *scratch,
                                    struct slice *out_value)
{
    enum http1_query_rc rc;
    struct slice found, value;
    while ((rc = http1_query_next(&query, scratch, &found, &value)) == HTTP1_QUERY_PAIR) {
        if (slice_is(found, name)) {
            *out_value = value;
            break;
        }
    }
    return rc;
}

const char *http1_status_text(unsigned status)
{
    // clang-format off
    static const struct { uint16_t status; const char *text; } texts[] = {
        {100, "Continue"}, {101, "Switching Protocols"},
        {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
        {206, "Partial Content"}, {207, "Multi-Status"},
        {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"}, {304, "Not Modified"},
        {307, "Temporary Redirect"}, {308, "Permanent Redirect"},
        {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"},
        {409, "Conflict"}, {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"},
        {413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"}, {417, "Expectation Failed"}, {421, "Misdirected Request"},
        {422, "Unprocessable Content"}, {425, "Too Early"}, {426, "Upgrade Required"},
        {428, "Precondition Required"}, {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"}, {502, "Bad Gateway"},
        {503, "Service Unavailable"}, {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
    };
    // clang-format on
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i].status == status) {
            return texts[i].text;
        }
    }
    return "";
}

void http1_answer_begin(struct buf *out, unsigned status)
{
    assert(status >= 100 && status <= 599);
    buf_add_str(out, "HTTP/1.1 ");
    buf_add_u64(out, status);
    buf_add_str(out, " "); /* stands even before an empty text (RFC 9112 section 4) */
    buf_add_str(out, http1_status_text(status));
    buf_add_str(out, "\r\n");
}

bool http1_answer_add(struct buf *out, const char *name, struct slice value)
{
    if (!http1_is_field_text(value.p, value.n)) {
        return false;
    }
    buf_add_str(out, name);
    buf_add_str(out, ": ");
    buf_add_slice(out, value);
    buf_add_str(out, "\r\n");
    return true;
}

void http1_answer_add_str(struct buf *out, const char *name, const char *value)
{
    bool added = http1_answer_add(out, name, slice_str(value));
    assert(added);
}

void http1_answer_add_u64(struct buf *out, const char *name, uint64_t value)
{
    uint8_t digits[20];
    (void)http1_answer_add(out, name, slice_of(digits, u64_digits(digits, value)));
}

void http1_answer_end(struct buf *out)
{
    buf_add_str(out, "\r\n");
}

size_t http1_chunk_head_put(uint8_t out[HTTP1_CHUNK_HEAD_BYTES_MAX], uint64_t n)
{
    size_t digits = 1;
    while (digits < 16 && n >> (4 * digits)) {
        digits++;
    }
    for (size_t i = 0; i < digits; i++) {
        out[i] = (uint8_t) "0123456789abcdef"[n >> (4 * (digits - 1 - i)) & 15];
    }
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}

static void put_two(uint8_t *out, int64_t v)
{
    out[0] = (uint8_t)('0' + v / 10);
    out[1] = (uint8_t)('0' + v % 10);
}

/* Years are counted from March, so that the day that comes and goes is the last of its year. */
static void date_of(int64_t days, int64_t *out_year, int64_t *out_month, int64_t *out_day)
{
    enum {
        DAYS_TO_1970 = 719468,
        DAYS_IN_400_YEARS = 146097
    }; /* from the first of March, year 0 */
    days += DAYS_TO_1970;
    int64_t era = (days >= 0 ? days : days - (DAYS_IN_400_YEARS - 1)) / DAYS_IN_400_YEARS;
    int64_t day = days - era * DAYS_IN_400_YEARS;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    int64_t month = (5 * day + 2) / 153; /* from March: 31 30 31 30 31, again and again */
    *out_day = day - (153 * month + 2) / 5 + 1;
    *out_month = month < 10 ? month + 3 : month - 9;
    *out_year = era * 400 + year + (month >= 10);
}

void http1_date_put(uint8_t out[HTTP1_DATE_BYTES], int64_t unix_s)
{
    enum { DAY_S = 86400 };
    const int64_t year_0 = -62167219200, year_10000 = 253402300800;
    assert(unix_s >= year_0 && unix_s < year_10000);
    int64_t second = (unix_s % DAY_S + DAY_S) % DAY_S, days = (unix_s - second) / DAY_S;
    int64_t year, month, day;
    date_of(days, &year, &month, &day);
    memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP1_DATE_BYTES);
    memcpy(out, &"ThuFriSatSunMonTueWed"[3 * ((days % 7 + 7) % 7)], 3);
    put_two(out + 5, day);
    memcpy(out + 8, &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * (month - 1)], 3);
    put_two(out + 12, year / 100);
    put_two(out + 14, year % 100);
    put_two(out + 17, second / 3600);
    put_two(out + 20, second / 60 % 60);
    put_two(out + 23, second % 60);
}

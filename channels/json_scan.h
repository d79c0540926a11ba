/* channels/json_scan.h: a strict one-pass reader of JSON text that builds no tree.
 *
 * What passes is checked as a whole: UTF-8 (RFC 3629: no overlong forms, no surrogates), the
 * grammar of RFC 8259, nesting, no NUL written as \u0000 and no lone surrogate escape, nothing
 * after the value but whitespace. A byte order mark is refused. Values are handed out as the bytes
 * they came as, without whitespace around them, so a number keeps its digits.
 *
 * Owns     nothing: every slice borrows from the text given.
 * Threads  any. Numbers are read with strtod: whoever calls setlocale leaves LC_NUMERIC at "C".
 * Units    bytes, levels (an array or object is one; a scalar is none).
 * Errors   enum json_rc and the byte offset where reading stopped. *out_at is written on an error
 *          only and is at most the length of the text.
 */
#ifndef WAGGLE_CHANNELS_JSON_SCAN_H
#define WAGGLE_CHANNELS_JSON_SCAN_H

#include "store/mem.h"

enum {
    JSON_DEPTH_MAX = 32,       /* what the wires allow */
    JSON_DEPTH_CEILING = 64,   /* what the scanner can count */
    JSON_FIELDS_MAX = 64,      /* names asked for at once */
    JSON_FIELD_BYTES_MAX = 64, /* a longer name is never found under an escaped key */
};

enum json_rc {
    JSON_OK = 0,
    JSON_SYNTAX,
    JSON_UTF8,
    JSON_DEPTH,
    JSON_DUPLICATE, /* a key of the object that was asked for stands twice */
    JSON_ESCAPE,    /* \u0000 or half a surrogate pair */
    JSON_TYPE,      /* well-formed, but not the kind of value asked for */
};
const char *json_rc_text(enum json_rc rc); /* "not well-formed JSON", … for error messages */

/* (jansson has JSON_STRING and its like, and files in hub/ include both.) */
enum json_kind {
    JSON_KIND_NONE,
    JSON_KIND_NULL,
    JSON_KIND_FALSE,
    JSON_KIND_TRUE,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT
};

/* Of a checked value (its first byte decides); JSON_KIND_NONE for an empty slice. */
enum json_kind json_kind_of(struct slice value);

/* Checks one whole value. depth_max is at most JSON_DEPTH_CEILING. */
enum json_rc json_check(struct slice text, unsigned depth_max, size_t *out_at);
/* The value that json_check passed, without the whitespace it may have around it. */
struct slice json_trim(struct slice text);

/* Checks text, which must be one object, and gives for each of the n names the raw bytes of that
 * member (an empty slice when absent). Unknown members are checked and skipped. Names compare with
 * keys after undoing escapes. A name that stands twice is JSON_DUPLICATE, at the second key.
 * On an error out has the members that were read before the fault. */
enum json_rc json_fields(struct slice text, const char *const *names, size_t n, struct slice *out,
                         size_t *out_at);

/* The same for a table that is asked often and knows a faster way to look up a key: find gives the
 * key's place in out (0 … n-1), or -1 for a key that nobody asked for. */
typedef int json_find(const void *ctx, struct slice key);
enum json_rc json_fields_by(struct slice text, json_find *find, const void *ctx, size_t n,
                            struct slice *out, size_t *out_at);

/* Walks an array or object that json_check or json_fields has passed; any other value is walked in
 * no steps.
 *     struct json_walk w = json_walk_of(value);
 *     while (json_walk_next(&w, &key, &item)) …
 * The key is given with its quotes, as a string value is; in an array it stays empty. */
struct json_walk {
    const uint8_t *p, *end;
    bool object;
};
struct json_walk json_walk_of(struct slice value);
bool json_walk_next(struct json_walk *walk, struct slice *out_key_raw, struct slice *out_value);

/* Checked values to C. False: not of that kind or out of range; nothing is written. */
/* Whole numbers, 0 to 2^64-1, written in digits; also in a string ("123"). */
bool json_to_u64(struct slice value, uint64_t *out);
bool json_to_double(struct slice value, double *out); /* finite */
bool json_to_bool(struct slice value, bool *out);
/* Text of a string with escapes undone, appended to b. */
bool json_to_text(struct slice value, struct buf *b);
/* The bytes between the quotes of a string, in one canonical escaping (", \ and controls only),
 * appended to b: may be put between quotes again on any wire. Never longer than they came. */
bool json_to_escaped(struct slice value, struct buf *b);
/* True when the string has no backslash: the bytes between its quotes are its text, canonically. */
bool json_is_plain(struct slice value, struct slice *out_text);

#endif

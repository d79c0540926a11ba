/* channels/json_scan.h: a strict one-pass reader of JSON text that builds no tree.
 *
 * What passes is checked as a whole: UTF-8 (RFC 3629: no overlong forms, no surrogates), the grammar
 * of RFC 8259, nesting, no NUL written as \u0000 and no lone surrogate escape, nothing after the value.
 * Values are handed out as the bytes they came as, so a number keeps its digits.
 *
 * Owns     nothing: every slice borrows from the text given.
 * Threads  any.       Units  bytes, levels.
 * Errors   enum json_rc and the byte offset where reading stopped.
 */
#ifndef WAGGLE_CHANNELS_JSON_SCAN_H
#define WAGGLE_CHANNELS_JSON_SCAN_H

#include "store/mem.h"

enum { JSON_DEPTH_MAX = 32 };

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

enum json_kind { JSON_NONE, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Of a checked value (its first byte decides); JSON_NONE for an empty slice. */
enum json_kind json_kind_of(struct slice value);

/* Checks one whole value. */
enum json_rc json_check(struct slice text, unsigned depth_max, size_t *out_at);

/* Checks text, which must be one object, and gives for each of the n names the raw bytes of that
 * member (an empty slice when absent). Unknown members are checked and skipped. Names compare with
 * keys after undoing escapes. A name that stands twice is JSON_DUPLICATE. n is at most 64. */
enum json_rc json_fields(struct slice text, const char *const *names, size_t n, struct slice *out,
                         size_t *out_at);

/* Walks an array or object that json_check or json_fields has passed. Zero-initialised but for `at`.
 *     struct json_walk w = json_walk_of(value);
 *     while (json_walk_next(&w, &key, &item)) …          key stays empty in an array */
struct json_walk {
    const uint8_t *p, *end;
    bool object;
};
struct json_walk json_walk_of(struct slice value);
bool json_walk_next(struct json_walk *walk, struct slice *out_key_raw, struct slice *out_value);

/* Checked values to C. False: not of that kind or out of range; nothing is written. */
bool json_to_u64(struct slice value, uint64_t *out);   /* 0 .. 2^64-1, digits only; also "123" as string */
bool json_to_double(struct slice value, double *out);  /* finite */
bool json_to_bool(struct slice value, bool *out);
/* Text of a string with escapes undone, appended to b. */
bool json_to_text(struct slice value, struct buf *b);
/* The bytes between the quotes of a string, in one canonical escaping (", \ and controls only), appended
 * to b: may be put between quotes again on any wire. */
bool json_to_escaped(struct slice value, struct buf *b);
/* True when the string has no backslash: the bytes between its quotes are its text. */
bool json_is_plain(struct slice value, struct slice *out_text);

#endif

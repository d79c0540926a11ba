/* auth/caps.h: capabilities: which rights on which names (design.md section 6, claim `cap`).
 *
 *     {"orders.>": ["subscribe", "publish"], "agents.*": ["call"], "tasks": ["call"]}
 *
 * The compiled form is one run of bytes that can be copied, stored and put in a row as it is; no
 * bytes at all mean "no capabilities given", which is not the same as an empty object. The key "*"
 * alone means every name. Operations are known by name ("tasks.submit") or group ("tasks").
 *
 * Owns     nothing: compiled capabilities are a slice in somebody's memory.
 * Threads  any.
 * Limits   64 patterns of 164 bytes.
 * Errors   enum caps_rc.
 */
#ifndef WAGGLE_AUTH_CAPS_H
#define WAGGLE_AUTH_CAPS_H

#include "store/mem.h"

enum right {
    RIGHT_SUBSCRIBE = 1, /* events as they come, and who is present */
    RIGHT_PUBLISH = 2,
    RIGHT_PRESENCE = 4, /* to be a member oneself */
    RIGHT_HISTORY = 8,  /* what the log has kept */
    RIGHT_CALL = 16,    /* operations */
};

enum { CAPS_PATTERNS_MAX = 64, CAPS_BYTES_MAX = 1 + CAPS_PATTERNS_MAX * (2 + 164) };

enum caps_rc {
    CAPS_OK = 0,
    CAPS_NOT_AN_OBJECT, /* not {pattern: [right, …]} */
    CAPS_BAD_PATTERN,
    CAPS_BAD_RIGHT, /* a word that is no right */
    CAPS_TOO_MANY,
};
const char *caps_rc_text(enum caps_rc rc); /* a phrase for error messages */

struct json_t; /* a JSON value as the edges hold it */

/* Appends the compiled form to out, nothing on an error. */
enum caps_rc caps_from_json(struct json_t *object, struct buf *out);
enum caps_rc caps_from_text(struct slice json, struct buf *out);
/* The JSON object, appended. */
void caps_put_json(struct slice caps, struct buf *out);

/* Bytes that come from a row are what caps_from_json() makes. */
bool caps_valid(struct slice caps);

/* caps is valid and not empty in each of these. */
bool caps_allow(struct slice caps, enum right right, struct slice name_or_pattern);
bool caps_allow_call(struct slice caps, struct slice operation, struct slice group);
/* Whatever inner allows is allowed by outer. May say no for what only several of outer's patterns
 * together would cover. */
bool caps_cover(struct slice outer, struct slice inner);

#endif

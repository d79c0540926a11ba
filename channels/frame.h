/* channels/frame.h: a client's frame on the native wire, taken apart without a tree
 * (native-protocol.md section 2). One table lists the types and one the keys.
 *
 * Owns     nothing: fields are the raw JSON values within the text given, checked.
 * Threads  any.
 * Errors   enum json_rc and the byte offset of the fault, as in channels/json_scan.h.
 */
#ifndef WAGGLE_CHANNELS_FRAME_H
#define WAGGLE_CHANNELS_FRAME_H

#include "channels/json_scan.h"

enum frame_type {
    FRAME_UNKNOWN, /* a "type" that is none of these; the connection stays */
    FRAME_AUTH,
    FRAME_SUBSCRIBE,
    FRAME_UNSUBSCRIBE,
    FRAME_PUBLISH,
    FRAME_ACK,
    FRAME_NACK,
    FRAME_PROGRESS,
    FRAME_TERM,
    FRAME_PRESENCE,
    FRAME_HISTORY,
    FRAME_CALL,
    FRAME_PING,
    FRAME_TYPES
};
extern const char *const frame_type_names[FRAME_TYPES];

/* clang-format off */
enum frame_key {
    KEY_TYPE, KEY_ID, KEY_CHANNEL, KEY_CHANNELS, KEY_EVENT, KEY_DATA, KEY_KEY, KEY_TTL, KEY_EXPECT,
    KEY_CONFLATE, KEY_ECHO, KEY_HEADERS, KEY_SINCE, KEY_REWIND, KEY_CURSOR, KEY_OFFSET, KEY_DELAY,
    KEY_PRESENCE, KEY_INFO, KEY_LATEST, KEY_BEFORE, KEY_LIMIT, KEY_REVERSE, KEY_METHOD, KEY_PARAMS,
    KEY_TOKEN, KEY_COUNT
};
/* clang-format on */
extern const char *const frame_key_names[KEY_COUNT];

struct client_frame {
    enum frame_type type;
    struct slice field[KEY_COUNT]; /* raw values; empty when absent */
};

/* JSON_TYPE: the text is no object, has no "type" that is a string, or an "id" that is neither
 * string nor number (nor absent). Whatever the error, out->field[KEY_ID] is an id that an answer
 * may carry, or empty. */
enum json_rc frame_read(struct slice text, struct client_frame *out, size_t *out_at);

#endif

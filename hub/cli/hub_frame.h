/* hub/cli/hub_frame.h: a frame from the hub (native-protocol.md section 3), taken apart without a
 * tree.
 *
 * Owns     nothing: fields are the raw JSON values within the text given, checked.
 * Threads  any.
 */
#ifndef WAGGLE_CLI_HUB_FRAME_H
#define WAGGLE_CLI_HUB_FRAME_H

#include "channels/json_scan.h"

// clang-format off
enum hub_type {
    HUB_UNKNOWN, HUB_WELCOME, HUB_SUBSCRIBED, HUB_PUBLISHED, HUB_RESULT, HUB_ERROR, HUB_EVENT,
    HUB_JOINED, HUB_LEFT, HUB_UPDATED, HUB_GAP, HUB_GOODBYE, HUB_TOKEN_EXPIRING, HUB_TYPES
};

enum hub_key {
    HUB_TYPE, HUB_ID, HUB_CHANNEL, HUB_CHANNELS, HUB_EVENT_NAME, HUB_DATA, HUB_OFFSET, HUB_EPOCH,
    HUB_TIME, HUB_FROM, HUB_TO, HUB_REASON, HUB_COUNT, HUB_MEMBER, HUB_CODE, HUB_STATUS, HUB_MESSAGE,
    HUB_RESULT_VALUE, HUB_HEARTBEAT_S, HUB_RECONNECT_AFTER_MS, HUB_KEYS
};
// clang-format on

struct hub_frame {
    enum hub_type type;
    struct slice text;
    struct slice field[HUB_KEYS]; /* empty when absent */
};

enum json_rc hub_frame_read(struct slice text, struct hub_frame *out);
/* 0 when absent or no number. */
uint64_t hub_frame_number(const struct hub_frame *frame, enum hub_key key);

#endif

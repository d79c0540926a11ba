#include "hub/cli/hub_frame.h"

// clang-format off
static const char *const type_names[HUB_TYPES] = {
    [HUB_WELCOME] = "welcome", [HUB_SUBSCRIBED] = "subscribed", [HUB_PUBLISHED] = "published",
    [HUB_RESULT] = "result", [HUB_ERROR] = "error", [HUB_EVENT] = "event", [HUB_JOINED] = "joined",
    [HUB_LEFT] = "left", [HUB_UPDATED] = "updated", [HUB_GAP] = "gap", [HUB_GOODBYE] = "goodbye",
    [HUB_TOKEN_EXPIRING] = "token_expiring",
};

static const char *const key_names[HUB_KEYS] = {
    [HUB_TYPE] = "type", [HUB_ID] = "id", [HUB_CHANNEL] = "channel", [HUB_CHANNELS] = "channels",
    [HUB_EVENT_NAME] = "event", [HUB_DATA] = "data", [HUB_OFFSET] = "offset", [HUB_EPOCH] = "epoch",
    [HUB_TIME] = "time", [HUB_FROM] = "from", [HUB_TO] = "to", [HUB_REASON] = "reason",
    [HUB_COUNT] = "count", [HUB_MEMBER] = "member", [HUB_CODE] = "code", [HUB_STATUS] = "status",
    [HUB_MESSAGE] = "message", [HUB_RESULT_VALUE] = "result", [HUB_HEARTBEAT_S] = "heartbeat_s",
    [HUB_RECONNECT_AFTER_MS] = "reconnect_after_ms",
};
// clang-format on

enum json_rc hub_frame_read(struct slice text, struct hub_frame *out)
{
    struct slice name;
    size_t at;
    *out = (struct hub_frame){.text = text};
    enum json_rc rc = json_fields(text, key_names, HUB_KEYS, out->field, &at);
    if (rc != JSON_OK) {
        return rc;
    }
    for (int i = 1; i < HUB_TYPES && json_is_plain(out->field[HUB_TYPE], &name); i++) {
        if (slice_is(name, type_names[i])) {
            out->type = (enum hub_type)i;
        }
    }
    return JSON_OK;
}

uint64_t hub_frame_number(const struct hub_frame *frame, enum hub_key key)
{
    uint64_t v = 0;
    (void)json_to_u64(frame->field[key], &v); /* leaves v alone when it is none */
    return v;
}

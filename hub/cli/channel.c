/* Channels, as they are and as their logs have kept them. Publishing is hub/cli/publish.c,
 * listening hub/cli/tail.c. */
#include "hub/cli/nouns.h"

// clang-format off
static const struct column channel_columns[] = {
    { "CHANNEL",  "channel",       COLUMN_TEXT,   false },
    { "DELIVERY", "delivery",      COLUMN_TEXT,   false },
    { "OFFSET",   "offset",        COLUMN_NUMBER, false },
    { "MEMBERS",  "members_count", COLUMN_NUMBER, false },
    { "AGE",      "created_at",    COLUMN_AGE,    false },
    { "EPOCH",    "epoch",         COLUMN_TEXT,   true },
    { 0 },
};

static const struct column member_columns[] = {
    { "ID", "id", COLUMN_TEXT, false }, { "INFO", "info", COLUMN_TEXT, false }, { 0 },
};

static const struct column event_columns[] = {
    { "OFFSET", "offset", COLUMN_NUMBER, false },
    { "TIME",   "time",   COLUMN_TEXT,   false },
    { "EVENT",  "event",  COLUMN_TEXT,   false },
    { "FROM",   "from",   COLUMN_TEXT,   true },
    { "DATA",   "data",   COLUMN_TEXT,   false },
    { 0 },
};
static const struct operand one_channel[] = {
    { "CHANNEL", OPTION_REQUIRED, "its name" }, { 0 } };

static const struct option ls_options[] = {
    { 0, "prefix", OPTION_TEXT, 0, "TEXT", "only channels whose name begins so", NULL },
    REQUEST_OPTION_WATCH,
    PAGE_OPTIONS,
    { 0 },
};
static const struct field ls_fields[] = {
    { "prefix", "prefix", FIELD_TEXT }, { "limit", "limit", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { 0 } };

static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option members_options[] = { REQUEST_OPTION_WATCH, PAGE_OPTIONS, { 0 } };

static const struct option history_options[] = {
    { 0, "since", OPTION_NUMBER, 0, "OFFSET", "events after this one", NULL },
    { 0, "before", OPTION_NUMBER, 0, "OFFSET", "events before this one", NULL },
    { 'r', "reverse", OPTION_FLAG, 0, NULL, "newest first", NULL },
    REQUEST_OPTION_WATCH,
    PAGE_OPTIONS,
    { 0 },
};
static const struct field history_fields[] = {
    { "since", "since", FIELD_NUMBER }, { "before", "before", FIELD_NUMBER }, { "reverse", "reverse", FIELD_FLAG },
    { "limit", "limit", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { 0 } };

static const struct column cursor_columns[] = {
    { "CURSOR",      "cursor",      COLUMN_TEXT,   false },
    { "SETTLED",     "settled",     COLUMN_NUMBER, false },
    { "DELIVERED",   "delivered",   COLUMN_NUMBER, false },
    { "IN FLIGHT",   "in_flight",   COLUMN_NUMBER, false },
    { "CONNECTIONS", "connections", COLUMN_NUMBER, false },
    { "CREATED",     "created_at",  COLUMN_AGE,    false },
    { 0 },
};
static const struct operand channel_and_cursor[] = {
    { "CHANNEL", OPTION_REQUIRED, "its name" }, { "CURSOR", OPTION_REQUIRED, "the cursor's" }, { 0 } };
static const struct option destroy_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };

#define MEMBERS(name, summary) \
    { { name, summary, NULL, one_channel, members_options, request_run, NULL }, \
      { .method = "GET", .path = "/api/v1/channels/{CHANNEL}/members", .fields = page_fields, .member = "members", .columns = member_columns, .how = REQUEST_PAGES, .channels = "{" } }

const struct verb channel_verbs[] = {
    { { "channel ls", "the channels you may see", NULL, NULL, ls_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/channels", .fields = ls_fields, .member = "channels", .columns = channel_columns, .how = REQUEST_PAGES, .channels = "" } },
    { { "channel show", "one channel: options, position, members", NULL, one_channel, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/channels/{CHANNEL}", .id = "channel", .channels = "{" } },
    MEMBERS("channel members", "who is present"),
    MEMBERS("channel presence", "the same as members"),
    { { "channel history", "what its log has kept", NULL, one_channel, history_options, request_run, "waggle channel history orders --reverse --limit 10" },
      { .method = "GET", .path = "/api/v1/channels/{CHANNEL}/history", .fields = history_fields, .member = "events", .columns = event_columns, .how = REQUEST_PAGES, .channels = "{" } },
    { { "channel cursors", "the named cursors of a channel, and how far they are", NULL, one_channel, members_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/channels/{CHANNEL}/cursors", .fields = page_fields, .member = "cursors", .columns = cursor_columns, .how = REQUEST_PAGES, .channels = "{" } },
    { { "channel forget", "remove a cursor that nobody is attached to", NULL, channel_and_cursor, destroy_options, request_run, NULL },
      { .method = "DELETE", .path = "/api/v1/channels/{CHANNEL}/cursors/{CURSOR}", .fields = reason_fields, .id = "deleted_at", .how = REQUEST_DESTROYS } },
    { { 0 }, { 0 } },
};
// clang-format on

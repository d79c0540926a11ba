#include "hub/cli/nouns.h"

#include "channels/json_scan.h"
#include "hub/cli/http.h"
#include "hub/cli/pages.h"

// clang-format off
static const struct column channel_columns[] = {
    { "CHANNEL",     "channel",     COLUMN_TEXT,   false },
    { "DELIVERY",    "delivery",    COLUMN_TEXT,   false },
    { "OFFSET",      "offset",      COLUMN_NUMBER, false },
    { "SUBSCRIBERS", "subscribers", COLUMN_NUMBER, false },
    { "MEMBERS",     "members",     COLUMN_NUMBER, false },
    { "EPOCH",       "epoch",       COLUMN_TEXT,   true },
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
// clang-format on

static void add_channel(struct cli *cli, struct buf *path, const char *rest)
{
    buf_add_str(path, "/api/v1/channels/");
    url_add(path, args_operand(&cli->args, 0));
    buf_add_str(path, rest);
}

static enum cli_exit channel_ls_run(struct cli *cli)
{
    struct buf path = {0};
    buf_add_str(&path, "/api/v1/channels");
    url_add_query(&path, "prefix", args_text(&cli->args, "prefix"));
    return pages_show(cli, &path, "channels", channel_columns);
}

static enum cli_exit channel_show_run(struct cli *cli)
{
    struct buf path = {0};
    struct reply reply;
    add_channel(cli, &path, "");
    enum cli_exit rc = http_ask(cli, "GET", buf_text(&path), (struct slice){0}, &reply);
    if (rc == CLI_OK) {
        output_object(&cli->out, buf_slice(&reply.body), NULL, "channel");
    }
    reply_done(&reply);
    buf_done(&path);
    return rc;
}

static enum cli_exit channel_members_run(struct cli *cli)
{
    struct buf path = {0};
    add_channel(cli, &path, "/members");
    return pages_show(cli, &path, "members", member_columns);
}

static enum cli_exit channel_history_run(struct cli *cli)
{
    struct buf path = {0};
    add_channel(cli, &path, "/history");
    url_add_query(&path, "since", args_text(&cli->args, "since"));
    url_add_query(&path, "before", args_text(&cli->args, "before"));
    url_add_query(&path, "reverse", args_has(&cli->args, "reverse") ? "true" : NULL);
    return pages_show(cli, &path, "events", event_columns);
}

// clang-format off
static const struct operand one_channel[] = {
    { "CHANNEL", OPTION_REQUIRED, "its name" }, { 0 } };

static const struct option ls_options[] = {
    { 0, "prefix", OPTION_TEXT, 0, "TEXT", "only channels whose name begins so", NULL },
    PAGE_OPTIONS,
    { 0 },
};

static const struct option members_options[] = { PAGE_OPTIONS, { 0 } };

static const struct option history_options[] = {
    { 0, "since", OPTION_NUMBER, 0, "OFFSET", "events after this one", NULL },
    { 0, "before", OPTION_NUMBER, 0, "OFFSET", "events before this one", NULL },
    { 'r', "reverse", OPTION_FLAG, 0, NULL, "newest first", NULL },
    PAGE_OPTIONS,
    { 0 },
};

const struct command channel_commands[] = {
    { "channel ls", "the channels you may see", NULL, NULL, ls_options, channel_ls_run, NULL },
    { "channel show", "one channel: options, position, subscribers", NULL, one_channel, NULL, channel_show_run, NULL },
    { "channel members", "who is present", NULL, one_channel, members_options, channel_members_run, NULL },
    { "channel presence", "the same as members", NULL, one_channel, members_options, channel_members_run, NULL },
    { "channel history", "what its log has kept", NULL, one_channel, history_options, channel_history_run,
      "waggle channel history orders --reverse --limit 10" },
    { 0 },
};

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

const struct verb channel_verbs[] = {
    { { "channel cursors", "the named cursors of a channel, and how far they are", NULL, one_channel, members_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/channels/{CHANNEL}/cursors", .fields = page_fields, .member = "cursors", .columns = cursor_columns, .how = REQUEST_PAGES } },
    { { "channel forget", "remove a cursor that nobody is attached to", NULL, channel_and_cursor, destroy_options, request_run, NULL },
      { .method = "DELETE", .path = "/api/v1/channels/{CHANNEL}/cursors/{CURSOR}", .fields = reason_fields, .id = "deleted_at", .how = REQUEST_DESTROYS } },
    { { 0 }, { 0 } },
};
// clang-format on

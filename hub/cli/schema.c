/* JSON Schemas: judging a value by one. */
#include "hub/cli/nouns.h"

#include "channels/json_scan.h"

// clang-format off
static const struct column columns[] = {
    { "AT",      "instance", COLUMN_TEXT, false },
    { "KEYWORD", "keyword",  COLUMN_TEXT, false },
    { "MESSAGE", "message",  COLUMN_TEXT, false },
    { "SCHEMA",  "schema",   COLUMN_TEXT, true },
    { 0 },
};
// clang-format on

/* One word when it is valid; else the errors, and the exit code of what is wrong. */
static enum cli_exit validate_run(struct cli *cli)
{
    struct reply reply;
    const struct request *request = &((const struct verb *)cli->command)->request;
    bool valid = true;
    enum cli_exit rc = request_send(cli, request, &reply);
    struct slice answer = buf_slice(&reply.body);
    if (rc == CLI_OK && !args_has(&cli->args, "dry-run")) {
        (void)json_to_bool(json_at(answer, "valid"), &valid);
        bool table = cli->out.format == OUT_TABLE || cli->out.format == OUT_WIDE;
        if (valid && table && !cli->out.query) {
            fputs("valid\n", cli->out.to);
        } else {
            request_show(cli, request, answer);
        }
    }
    reply_done(&reply);
    return rc == CLI_OK && !valid ? CLI_FAILED : rc;
}

// clang-format off
static const char *const drafts[] = { "2020-12", "draft-07", NULL };
static const struct operand schema_and_value[] = {
    { "SCHEMA", OPTION_REQUIRED, "JSON; a file's name, @FILE, or - for stdin" },
    { "VALUE", OPTION_REQUIRED, "what is judged: JSON; a file's name, @FILE, or - for stdin" }, { 0 } };
static const struct option options[] = {
    { 0, "formats", OPTION_FLAG, 0, NULL, "judge by format, too", NULL },
    { 0, "draft", OPTION_CHOICE, 0, "DRAFT", "of a schema that does not say (2020-12)", drafts },
    { 0, "resources", OPTION_TEXT, 0, "JSON", "schemas by URI, which $ref may name; a file's name, @FILE, or -", NULL },
    REQUEST_OPTIONS_SEND,
    { 0 },
};
static const struct field fields[] = {
    { "SCHEMA", "schema", FIELD_JSON }, { "VALUE", "instance", FIELD_JSON }, { "formats", "assert_formats", FIELD_FLAG },
    { "draft", "draft", FIELD_TEXT }, { "resources", "resources", FIELD_JSON }, { 0 } };

const struct verb schema_verbs[] = {
    { { "schema validate", "judge a value by a JSON Schema", "Ends with 0 when it is valid, with 1 when it is not.", schema_and_value, options, validate_run,
        "waggle schema validate order.schema.json order.json" },
      { .method = "POST", .path = "/api/v1/schemas/validate", .fields = fields, .member = "errors", .columns = columns } },
    { { 0 }, { 0 } },
};
// clang-format on

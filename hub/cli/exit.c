#include "hub/cli/exit.h"

#include <stddef.h>

// clang-format off
const struct exit_class exit_classes[CLI_EXITS] = {
    [CLI_OK]          = { "ok",          "it worked" },
    [CLI_FAILED]      = { "failed",      "it failed in a way that has no class of its own" },
    [CLI_USAGE]       = { "usage",       "what was typed, or a value in it, is wrong" },
    [CLI_NOT_FOUND]   = { "not found",   "no such thing, or not yours to see" },
    [CLI_CONFLICT]    = { "conflict",    "the thing is not in the state that was assumed" },
    [CLI_DENIED]      = { "denied",      "no credentials, bad ones, or too small a right" },
    [CLI_TIMEOUT]     = { "timeout",     "no answer in time" },
    [CLI_UNREACHABLE] = { "unreachable", "nobody answers there, or the hub takes no work now" },
};

static const struct { long status; enum cli_exit exit; } by_status[] = {
    { 400, CLI_USAGE },  { 401, CLI_DENIED },   { 403, CLI_DENIED },  { 404, CLI_NOT_FOUND },
    { 408, CLI_TIMEOUT }, { 409, CLI_CONFLICT }, { 410, CLI_CONFLICT }, { 412, CLI_CONFLICT },
    { 413, CLI_USAGE },  { 414, CLI_USAGE },    { 422, CLI_USAGE },   { 502, CLI_UNREACHABLE },
    { 503, CLI_UNREACHABLE }, { 504, CLI_TIMEOUT },
};

static const struct { unsigned code; enum cli_exit exit; } by_close[] = {
    { 1000, CLI_OK }, { 1001, CLI_UNREACHABLE }, { 1007, CLI_USAGE }, { 1009, CLI_USAGE },
    { 4009, CLI_DENIED }, { 4010, CLI_CONFLICT }, { 4100, CLI_UNREACHABLE }, { 4201, CLI_TIMEOUT },
};
// clang-format on

enum cli_exit exit_of_status(long http_status)
{
    if (http_status >= 200 && http_status < 300) {
        return CLI_OK;
    }
    for (size_t i = 0; i < sizeof by_status / sizeof by_status[0]; i++) {
        if (by_status[i].status == http_status) {
            return by_status[i].exit;
        }
    }
    return CLI_FAILED;
}

enum cli_exit exit_of_close(unsigned close_code)
{
    for (size_t i = 0; i < sizeof by_close / sizeof by_close[0]; i++) {
        if (by_close[i].code == close_code) {
            return by_close[i].exit;
        }
    }
    return CLI_FAILED;
}

#include "hub/core/errors.h"

/* clang-format off */
static const struct hub_error errors[HUB_RC_COUNT] = {
    [HUB_OK]                 = { "ok",                 200, "OK", "" },
    [HUB_ANSWERED]           = { "ok",                 200, "OK", "" },
    [HUB_BAD_REQUEST]        = { "bad_request",        400, "Bad request", "Correct the request as the message says." },
    [HUB_UNKNOWN_TYPE]       = { "unknown_type",       400, "Unknown message type", "Send one of the frame types of the native protocol." },
    [HUB_INVALID_NAME]       = { "invalid_name",       400, "Invalid name", "Channel names have 1 to 164 of A-Z a-z 0-9 _ - = @ , . ;" },
    [HUB_UNAUTHORISED]       = { "unauthorised",       401, "Unauthorised", "Send a valid API key or token." },
    [HUB_FORBIDDEN]          = { "forbidden",          403, "Forbidden", "Ask for a key or token that carries this right." },
    [HUB_NOT_PEERS]          = { "not_peers",          403, "Not linked", "Have an operator link the two agents, or send a direct message." },
    [HUB_NOT_FOUND]          = { "not_found",          404, "Not found", "Check the name; what belongs to others is not found either." },
    [HUB_METHOD_NOT_ALLOWED] = { "method_not_allowed", 405, "Method not allowed", "Use one of the methods of the Allow header." },
    [HUB_NOT_ACCEPTABLE]     = { "not_acceptable",     406, "Not acceptable", "Accept application/json." },
    [HUB_TIMEOUT]            = { "timeout",            408, "Request timeout", "Send the whole request sooner." },
    [HUB_CONFLICT]           = { "conflict",           409, "Conflict", "Read the present state and decide again." },
    [HUB_EXISTS]             = { "exists",             409, "Already exists", "Choose another name, or change the one there is." },
    [HUB_KEY_CONFLICT]       = { "idempotency_conflict", 409, "Idempotency key reused", "Use a new key for another request." },
    [HUB_GONE]               = { "gone",               410, "Gone", "It came too late." },
    [HUB_LEASE_LOST]         = { "lease_lost",         409, "Lease lost", "Stop working on the task: it is another's now, or over." },
    [HUB_LENGTH_REQUIRED]    = { "length_required",    411, "Length required", "Send Content-Length or chunked coding." },
    [HUB_TOO_LARGE]          = { "too_large",          413, "Too large", "Send less at a time." },
    [HUB_URI_TOO_LONG]       = { "uri_too_long",       414, "URI too long", "Shorten the path or the query." },
    [HUB_RANGE]              = { "range",              416, "Range not satisfiable", "Ask for a range within the file." },
    [HUB_EXPECTATION]        = { "expectation_failed", 417, "Expectation failed", "Expect nothing but 100-continue." },
    [HUB_INVALID]            = { "invalid",            422, "Unprocessable content", "Correct the fields that the detail names." },
    [HUB_UPGRADE_REQUIRED]   = { "upgrade_required",   426, "Upgrade required", "Speak WebSocket version 13 here." },
    [HUB_RATE_LIMITED]       = { "rate_limited",       429, "Too many requests", "Wait as long as Retry-After says." },
    [HUB_LIMIT]              = { "limit",              429, "Limit reached", "Release something, or ask the operator to raise the limit." },
    [HUB_HEAD_TOO_LARGE]     = { "header_too_large",   431, "Request header fields too large", "Send fewer or shorter headers." },
    [HUB_INTERNAL]           = { "internal",           500, "Internal error", "Report it with the request id." },
    [HUB_NOT_IMPLEMENTED]    = { "not_implemented",    501, "Not implemented", "Use a method and coding that HTTP/1.1 servers share." },
    [HUB_UNAVAILABLE]        = { "unavailable",        503, "Unavailable", "Come back as Retry-After says." },
    [HUB_HTTP_VERSION]       = { "http_version",       505, "HTTP version not supported", "Speak HTTP/1.1." },
    [HUB_STORE_FULL]         = { "store_full",         507, "Store full", "Nothing was changed; reads go on. Make room or raise the quota." },
    [HUB_STORE_DAMAGED]      = { "store_damaged",      500, "Stored data damaged", "Restore from a backup; the log names the range." },
    [HUB_NOT_ELIGIBLE]       = { "not_eligible",       403, "Not eligible", "Only members named when the round opened vote in it." },
    [HUB_ALREADY_VOTED]      = { "already_voted",      409, "Already voted", "The ballot stands; a round with revote takes another." },
    [HUB_ROUND_CLOSED]       = { "round_closed",       410, "Round closed", "It came too late: read the outcome, or open another round." },
};
/* clang-format on */

const struct hub_error *hub_error(enum hub_rc rc)
{
    return (unsigned)rc < HUB_RC_COUNT ? &errors[rc] : &errors[HUB_INTERNAL];
}

enum hub_rc hub_rc_of_store(enum store_rc rc)
{
    switch (rc) {
    case STORE_OK:
        return HUB_OK;
    case STORE_NOT_FOUND:
        return HUB_NOT_FOUND;
    case STORE_EXISTS:
        return HUB_EXISTS;
    case STORE_FULL:
        return HUB_STORE_FULL;
    case STORE_DAMAGED:
        return HUB_STORE_DAMAGED;
    case STORE_NO_READER:
        return HUB_UNAVAILABLE;
    case STORE_IO:
    case STORE_LOCKED:
    case STORE_VERSION:
    case STORE_INVALID:
        return HUB_INTERNAL;
    }
    return HUB_INTERNAL;
}

enum hub_rc hub_rc_of_status(unsigned status)
{
    for (unsigned rc = 0; rc < HUB_RC_COUNT; rc++) {
        if (errors[rc].status == status) {
            return (enum hub_rc)rc;
        }
    }
    return HUB_INTERNAL;
}

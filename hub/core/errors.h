/* hub/core/errors.h: every way in which the hub says no: one table of stable words, HTTP status and
 * sentence (native-protocol.md section 3, rest-contract.md section 1). `waggle errors` prints it.
 *
 * Threads  any; the table is constant.
 */
#ifndef WAGGLE_HUB_CORE_ERRORS_H
#define WAGGLE_HUB_CORE_ERRORS_H

#include <stddef.h>
#include <stdint.h>
#include "store/store.h"

enum hub_rc {
    HUB_OK = 0,
    HUB_ANSWERED, /* of a command's prepare: the answer is there, no command is needed; never on a
                     wire */
    HUB_BAD_REQUEST,
    HUB_UNKNOWN_TYPE,
    HUB_INVALID_NAME,
    HUB_UNAUTHORISED,
    HUB_FORBIDDEN,
    HUB_NOT_PEERS,
    HUB_NOT_FOUND,
    HUB_METHOD_NOT_ALLOWED,
    HUB_NOT_ACCEPTABLE,
    HUB_TIMEOUT,
    HUB_CONFLICT,
    HUB_EXISTS,
    HUB_KEY_CONFLICT,
    HUB_GONE,
    HUB_LEASE_LOST,
    HUB_LENGTH_REQUIRED,
    HUB_TOO_LARGE,
    HUB_URI_TOO_LONG,
    HUB_RANGE,
    HUB_EXPECTATION,
    HUB_INVALID,
    HUB_UPGRADE_REQUIRED,
    HUB_RATE_LIMITED,
    HUB_LIMIT,
    HUB_HEAD_TOO_LARGE,
    HUB_INTERNAL,
    HUB_NOT_IMPLEMENTED,
    HUB_UNAVAILABLE,
    HUB_HTTP_VERSION,
    HUB_STORE_FULL,
    HUB_STORE_DAMAGED,
    HUB_NOT_ELIGIBLE,
    HUB_ALREADY_VOTED,
    HUB_ROUND_CLOSED,
    HUB_RC_COUNT
};

struct hub_error {
    const char *code;   /* the stable word on every wire */
    uint16_t status;    /* HTTP */
    const char *title;  /* what it means, without the particulars */
    const char *advice; /* what the caller can do */
};

/* Never NULL; an rc out of range is HUB_INTERNAL. */
const struct hub_error *hub_error(enum hub_rc rc);
enum hub_rc hub_rc_of_store(enum store_rc rc);
enum hub_rc
hub_rc_of_status(unsigned status); /* the row with that HTTP status, else HUB_INTERNAL */

/* Close codes of the native wire beyond RFC 6455 (native-protocol.md section 3). */
enum hub_close {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL = 1002,
    CLOSE_UNSUPPORTED = 1003,
    CLOSE_BAD_TEXT = 1007,
    CLOSE_TOO_BIG = 1009,
    CLOSE_INTERNAL = 1011,
    CLOSE_TLS_REQUIRED = 4000,
    CLOSE_UNAUTHORISED = 4009,
    CLOSE_SUPERSEDED = 4010,
    CLOSE_OVER_CAPACITY = 4100,
    CLOSE_TOO_SLOW = 4101,
    CLOSE_NO_PONG = 4201,
    CLOSE_RATE = 4301,
};

#endif

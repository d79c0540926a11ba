/* auth/pusher.h: the signatures of the Pusher protocol (pusher-protocol.md sections 3, 7, 8, 9).
 *
 * Owns     nothing.
 * Threads  any.
 * Units    seconds since 1970 in requests.
 * Limits   query 8 KiB and 128 parameters.
 * Errors   enum pusher_rc; secrets are compared in constant time.
 */
#ifndef WAGGLE_AUTH_PUSHER_H
#define WAGGLE_AUTH_PUSHER_H

#include "auth/digest.h"
#include "store/mem.h"

enum {
    PUSHER_QUERY_BYTES_MAX = 8192,
    PUSHER_PARAMS_MAX = 128,
    PUSHER_CLOCK_S_MAX = 600,
    PUSHER_SHARED_SECRET_CHARS = 44,
};

enum pusher_rc {
    PUSHER_OK = 0,
    PUSHER_MALFORMED, /* not a query string, or too long */
    PUSHER_MISSING,   /* one of the auth_ parameters is missing or stands twice */
    PUSHER_BAD_KEY,
    PUSHER_BAD_VERSION,
    PUSHER_BAD_TIME, /* not a number, or too far off */
    PUSHER_BAD_MD5,  /* missing, or not that of the body */
    PUSHER_BAD_SIGNATURE,
};
const char *pusher_rc_text(enum pusher_rc rc); /* a sentence for the 401 body */

struct pusher_keys {
    struct slice key, secret;
};

/* "digits.digits" */
bool pusher_socket_id_valid(struct slice socket_id);

/* `auth` of a private channel; with channel_data (its exact bytes; p not NULL) of a presence
 * channel. Appends KEY:HEX. */
void pusher_channel_auth(struct pusher_keys keys, struct slice socket_id, struct slice channel,
                         struct slice channel_data, struct buf *out);
bool pusher_channel_check(struct pusher_keys keys, struct slice auth, struct slice socket_id,
                          struct slice channel, struct slice channel_data);
/* `auth` of a user's sign-in. */
void pusher_user_auth(struct pusher_keys keys, struct slice socket_id, struct slice user_data,
                      struct buf *out);
bool pusher_user_check(struct pusher_keys keys, struct slice auth, struct slice socket_id,
                       struct slice user_data);

/* A request of the HTTP API, as received. */
struct pusher_request {
    struct slice method;
    struct slice path;  /* without the query, not decoded */
    struct slice query; /* without the question mark, not decoded */
    struct slice body;
};
enum pusher_rc pusher_request_check(struct pusher_keys keys, const struct pusher_request *request,
                                    int64_t now_s);
/* Appends the query with auth_key, auth_timestamp, auth_version, body_md5 and auth_signature added
 * to request->query: for tests and for the command line. */
enum pusher_rc pusher_request_sign(struct pusher_keys keys, const struct pusher_request *request,
                                   int64_t now_s, struct buf *out);

/* X-Pusher-Signature of a webhook's body. */
void pusher_webhook_signature(struct slice secret, struct slice body, char out[SHA256_HEX + 1]);

/* shared_secret of an encrypted channel: base64 of SHA-256(channel, master key). */
void pusher_shared_secret(const uint8_t master[32], struct slice channel,
                          char out[PUSHER_SHARED_SECRET_CHARS + 1]);

#endif

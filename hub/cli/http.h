/* hub/cli/http.h: one request to the hub's REST interface.
 *
 * Owns     struct reply owns its bytes; nothing is kept between requests but the connection.
 * Threads  one.       Units  milliseconds, bytes.
 * Limits   an answer of at most REPLY_BYTES_MAX; --timeout for the whole of it.
 * Errors   an exit code; the sentence for it is already on stderr.
 */
#ifndef WAGGLE_CLI_HTTP_H
#define WAGGLE_CLI_HTTP_H

#include "hub/cli/cli.h"

enum { REPLY_BYTES_MAX = 64 << 20 };

struct reply {
    long status;
    struct buf body;
};

void reply_done(struct reply *reply);

/* Sends and waits for the answer, whatever its status; fails only when there is none. body may be
 * empty (GET, DELETE) and is JSON. */
enum cli_exit http_send(struct cli *cli, const char *method, const char *path, struct slice body,
                        struct reply *out);
/* The same, but a status that is no 2xx is an error, printed; and the body of a good answer is
 * checked to be JSON. out->body is there in both cases. */
enum cli_exit http_ask(struct cli *cli, const char *method, const char *path, struct slice body,
                       struct reply *out);
/* For whoever is refused and has named no key and no token. */
#define NO_CREDENTIALS_ADVICE                                                                      \
    "\nNo credentials were sent: see --key-file, --token-file, `waggle context add`."

/* Prints what the hub said against a request, and below it what it advises; returns its exit code.
 */
enum cli_exit http_complain(const struct cli *cli, const struct reply *reply);

/* Text as one segment of a path, or as a value in a query. */
void url_add(struct buf *path, const char *text);
/* "?name=value", or "&…" when there is a "?" already; nothing for a NULL value. */
void url_add_query(struct buf *path, const char *name, const char *value);
const char *buf_text(struct buf *b); /* NUL-terminated; the NUL is not counted */

/* Options that every handle of libcurl to this hub wants. Declared without curl's types: handle is
 * a CURL. */
void curl_aim(void *handle, const struct cli *cli);
/* Why a transfer failed with a CURLcode: what the system says where libcurl only says that it did
 * not connect, else what it `said` in its error buffer. */
const char *curl_why(void *handle, int code, const char *said);
/* What to do about it, as a line of its own; or "". */
const char *curl_advice(const struct cli *cli, int code);
/* The exit code for a CURLcode. */
enum cli_exit curl_exit(int code);

#endif

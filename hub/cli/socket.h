/* hub/cli/socket.h: a native WebSocket connection that comes back (native-protocol.md).
 *
 * It connects, shakes hands, reads the welcome, answers pings, renews a token whose file has
 * changed, and when the connection is lost it makes another after a pause that grows and is
 * jittered, or that the hub asked for (goodbye). What to subscribe to and what to send again is for
 * `open` to do, each time. Frames go to the callbacks from within socket_wait() and are borrowed
 * until they return.
 *
 * Owns     the connection and what waits to be sent.       Threads  one.
 * Units    milliseconds of the steady clock; bytes.
 * Limits   frames of at most SOCKET_MESSAGE_BYTES_MAX from the hub.
 * Errors   an exit code once there is no point in trying again; its sentence is on stderr.
 */
#ifndef WAGGLE_CLI_SOCKET_H
#define WAGGLE_CLI_SOCKET_H

#include <poll.h>

#include "hub/cli/cli.h"
#include "hub/cli/hub_frame.h"

enum { SOCKET_MESSAGE_BYTES_MAX = 16 << 20 };

struct socket;

struct socket_events {
    void *ctx;
    void (*open)(void *ctx);
    void (*frame)(void *ctx, const struct hub_frame *frame);    /* all but welcome and goodbye */
    void (*lost)(void *ctx, const char *why, int64_t retry_ms); /* NULL: a remark on stderr */
    bool (*stopping)(void *ctx); /* asked while connecting, which blocks; NULL: never */
};

/* patient: keeps trying even when the first connection fails. */
struct socket *socket_new(struct cli *cli, const struct socket_events *events, bool patient);
void socket_free(struct socket *s);

/* One turn: connects if it is time, waits until there is something to do on the connection or on an
 * extra descriptor (revents are set), or until until_ms, and does it. */
enum cli_exit socket_wait(struct socket *s, int64_t until_ms, struct pollfd *extra, nfds_t extra_n);

bool socket_is_open(const struct socket *s);
/* For whoever polls many: readable means socket_wait() has something to do; -1 while there is none.
 */
int socket_fd(const struct socket *s);
/* Queues one text frame; dropped while not open: `open` says again what must be said. */
void socket_send(struct socket *s, struct slice json);
size_t socket_queued(const struct socket *s); /* bytes not yet taken by the kernel */
/* Gives this connection up and comes back later, as if it had been lost. */
void socket_drop(struct socket *s, const char *why);
/* Asked in `lost`: false when the same loss was told less than a minute ago, and a person need not
 * hear it again. */
bool socket_loss_is_news(const struct socket *s);
/* Sends what waits and a close frame, for at most limit_ms; the end of this connection. */
void socket_close(struct socket *s, int64_t limit_ms);

/* Prints an error frame; returns its exit code. */
enum cli_exit socket_complain(const struct cli *cli, const struct hub_frame *frame);

/* The pause before attempt n (0, 1, …): half of it certain, half by chance (0 .. 65535). */
int64_t socket_pause_ms(unsigned attempt, unsigned chance);

#endif

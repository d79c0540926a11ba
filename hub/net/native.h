/* hub/net/native.h: the native protocol on a WebSocket (native-protocol.md).
 *
 * Threads  the connection's.
 */
#ifndef WAGGLE_HUB_NET_NATIVE_H
#define WAGGLE_HUB_NET_NATIVE_H

#include "hub/net/conn.h"

/* The handshake is answered: from here the bytes are frames. who: a reference, or NULL: still to
 * say. */
void native_begin(struct conn *c, struct principal *who);
size_t native_input(struct conn *c, uint8_t *bytes, size_t n);
void native_answer(struct conn *c, const struct tray *tray, const struct command *command);
void native_writable(struct conn *c); /* everything was sent: read on from the log */
void native_catch_up(struct conn *c); /* a page of what it missed */
void native_expired(struct conn *c, enum deadline what);
void native_handout(struct conn *c, const struct tray_handout *handout);
void native_gone(struct conn *c);
void native_recheck(struct conn *c); /* keys, revocations, apps changed */
void native_expiry(struct conn *c);  /* about once a second: is the token near its end? */
void native_goodbye(struct conn *c, uint32_t reconnect_ms);

#endif

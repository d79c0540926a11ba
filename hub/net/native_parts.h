/* hub/net/native_parts.h: what the files of the native protocol share: native.c (frames, answers,
 * catching up), native_call.c (operations), native_subscribe.c (attaching) and native_cursor.c
 * (named cursors). Included by these only. */
#ifndef WAGGLE_HUB_NET_NATIVE_PARTS_H
#define WAGGLE_HUB_NET_NATIVE_PARTS_H

#include "auth/digest.h"
#include "channels/frame.h"
#include "hub/core/cursor_commands.h"
#include "hub/net/native.h"

#include <stdio.h>

/* In api_ticket.kind: how the answer to a command goes on. */
enum native_ticket {
    TICKET_OPERATION,
    TICKET_PUBLISH,
    TICKET_JOIN,
    TICKET_PRESENCE,
    TICKET_LEAVE,
    TICKET_CURSOR,
    TICKET_ANSWER
};
/* Classes of the rate limiter; 2 is hub/api/channel_access.c's. */
enum { RATE_CLASS_REQUEST = 1, RATE_CLASS_ADDRESS = 3, RATE_CLASS_CALL = 4 };

struct json_out native_answer_begin(struct conn *c, const char *type, struct slice id);
void native_answer_end(struct conn *c, struct json_out *o);
void native_refuse(struct conn *c, struct slice id, enum hub_rc rc, const char *message,
                   struct slice channel);

struct call native_call_begin(struct conn *c);
void native_call_end(struct conn *c, const struct call *call, struct slice id, enum hub_rc rc);
void native_do_call(struct conn *c, const struct client_frame *f);
void native_call_answer(struct conn *c, const struct tray *tray, const struct command *command);
/* Any frame counts as a beat (semantics.md section 1), but no more than a few of them in an
 * interval. */
void native_say_alive(struct conn *c);

void native_do_subscribe(struct conn *c, const struct client_frame *f);
void native_do_unsubscribe(struct conn *c, const struct client_frame *f);
/* A presence join came back: extra is the number of its subscribe request. */
void native_joined(struct conn *c, uint32_t request, enum hub_rc rc);
/* False: no tray. */
bool native_presence(struct conn *c, enum presence_change change, struct slice channel,
                     struct slice info, struct slice id, enum native_ticket kind);
/* After another credential: ends the subscriptions that it does not allow, and says which. */
void native_drop_forbidden(struct conn *c);
/* Leaves every presence, says what was bound to the connection, drops what waits. */
void native_farewells(struct conn *c);
/* A cursor was attached, or not; extra is the number of its subscribe request. */
void native_attached(struct conn *c, uint32_t request, const struct tray *tray,
                     const struct command *command);

/* native_cursor.c. HUB_OK: the answer comes with a TICKET_CURSOR. */
enum hub_rc native_cursor_attach(struct conn *c, const struct cursor_attach *attach);
void native_cursor_attached(struct conn *c, struct slice channel, struct slice name, enum hub_rc rc,
                            const struct cursor_attached *attached);
/* The peer was told: what is handed out may be sent. */
void native_cursor_settled(struct conn *c, struct slice channel, struct slice name);
/* All cursors on that channel, or on every one (empty). False: there was none. */
bool native_cursors_detach(struct conn *c, struct slice channel);
void native_cursors_forbid(struct conn *c);
bool native_cursors_wait(struct conn *c); /* something handed out is still to be sent */
void native_cursor_page(struct conn *c);
void native_do_answer(struct conn *c, const struct client_frame *f); /* ack, nack, progress, term */
void native_answered(struct conn *c, const struct tray *tray, const struct command *command);

/* Puts the connection among those that read on from the log. */
void native_behind(struct conn *c);

#endif

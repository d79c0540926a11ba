/* hub/cli/our_frame.h: how a frame to the hub begins and ends (native-protocol.md section 2). What
 * comes between is for whoever sends it.
 *
 * Owns     nothing: what is written is appended to the caller's buffer.
 * Threads  any.
 */
#ifndef WAGGLE_CLI_OUR_FRAME_H
#define WAGGLE_CLI_OUR_FRAME_H

#include "channels/json_out.h"

/* The frame's object is open; the caller ends it. */
struct json_out our_frame_begin(struct buf *out, const char *type, uint64_t id);

/* A call whose parameters are open too; our_call_end() ends both. */
struct json_out our_call_begin(struct buf *out, uint64_t id, const char *method);
void our_call_end(struct json_out *o);

#endif

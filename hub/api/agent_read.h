/* hub/api/agent_read.h: an agent as a caller describes it, read from the parameters of a call.
 *
 * Owns     a scratch holds what the agent borrows from beside the call's parameters.
 * Threads  the caller's I/O thread.
 * Errors   enum hub_rc; the field that is wrong is named.
 */
#ifndef WAGGLE_HUB_API_AGENT_READ_H
#define WAGGLE_HUB_API_AGENT_READ_H

#include "auth/signing.h"
#include "hub/agents/agent.h"
#include "hub/api/operation.h"

struct agent_scratch {
    struct buf capabilities, services, tags, endpoints, metadata;
    uint8_t public_key[SIGNING_PUBLIC_BYTES];
};
/* Id, type, words, documents, region, version, slots, public key, load. */
enum hub_rc agent_read(struct call *call, struct agent_scratch *s, struct agent *agent);
void agent_scratch_done(struct agent_scratch *s);

enum hub_rc agent_read_metrics(struct call *call, struct metrics *out);
/* 'lazy' is not a valid AgentStatus */
enum hub_rc agent_bad_type(struct call *call, struct slice word);
enum hub_rc agent_bad_status(struct call *call, struct slice word);

#endif

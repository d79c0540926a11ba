/* hub/api/answer.h: what the answers of operations have in common: members of an object, a snapshot
 * to read from. Lists have hub/api/pages.h.
 *
 * Threads  the caller's I/O thread.
 */
#ifndef WAGGLE_HUB_API_ANSWER_H
#define WAGGLE_HUB_API_ANSWER_H

#include "channels/json_members.h"
#include "hub/agents/agent.h"
#include "hub/api/operation.h"
#include "hub/core/asker.h"
#include "hub/core/why.h"

/* Admins see all objects of their app; all others their own, whatever they may do with them. A
 * viewer looks at what is its subject's. */
struct asker asker_of(const struct principal *who);
/* The hub's own admins are those of its first app; an admin of another rules that one alone. */
bool principal_rules_hub(const struct principal *who);
enum hub_rc call_demand_hub_admin(struct call *call); /* HUB_FORBIDDEN otherwise */

/* Begins {"status":"success" of rest-contract.md section 3. */
struct json_out answer_begin(struct call *call);

/* Two more members: "message": before, id, after; and a list. */
void put_message(struct json_out *o, const char *before, struct slice id, const char *after);
void put_words(struct json_out *o, const char *key, const struct words *words);

/* A view of the store as it is now; store_release(call->io->reader) ends it. */
enum hub_rc call_snapshot(struct call *call, struct store_view **out);

/* Words of a list, without those that came before, as rows hold them. Borrows from packed, which is
 * the list's alone. */
enum hub_rc call_words(struct call *call, const char *field, const json_t *list, struct buf *packed,
                       struct words *out);

/* The same of a list that may have been read without a tree. */
enum hub_rc call_words_of(struct call *call, const char *field, struct call_texts *list,
                          struct buf *packed, struct words *out);

/* Why somebody asks for it, as the event of the change will say; empty: not said. */
enum { REASON_BYTES_MAX = 256 };
enum hub_rc call_reason(struct call *call, struct slice *out);
/* The caller's subject and its reason. */
enum hub_rc call_why(struct call *call, struct why *out);

#endif

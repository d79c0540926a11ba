/* hub/swarms/module_parts.h: members, shared by the files of this room that change them; included
 * by these only.
 *
 * Threads  the writer.
 */
#ifndef WAGGLE_HUB_SWARMS_MODULE_PARTS_H
#define WAGGLE_HUB_SWARMS_MODULE_PARTS_H

#include "hub/core/why.h"
#include "hub/swarms/module.h"

enum { SWARMS_LOOKED_MAX = 2000 }; /* when one is looked for */

/* members.c. What the event makes of the member is written and told, and which agent it is bound to
 * from now on (NULL: the same). out_id gets the ids of those that changed, packed; may be NULL. */
enum hub_rc member_change(struct apply *a, uint32_t number, enum member_event event,
                          const struct agent *agent, const struct why *why, struct buf *out_id);

/* absence.c. Whose agent is away keeps its seat so long, and no longer. since_ms: when that agent
 * changed last; 0: it has yet to come. */
enum { TIMER_MEMBER_AWAITED = 66 };
enum hub_rc member_awaited(struct apply *a, uint32_t number, int64_t since_ms);
extern const struct command_kind command_member_awaited; /* of the timer */
enum member_event member_event_of(enum agent_status status);

#endif

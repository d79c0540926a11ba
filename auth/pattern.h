/* auth/pattern.h: patterns over names, shared by capabilities and subscriptions.
 *
 * A name is a list of segments between dots; a segment may be empty. In a pattern the segment "*"
 * stands for any one segment and ">" as the last one for one or more; every other stands for
 * itself. agent.*   matches agent.7       not agent, not agent.7.log agent.>   matches agent.7 and
 * agent.7.log, not agent Threads  any.       Limits  none of its own: time is linear in the
 * lengths.
 */
#ifndef WAGGLE_AUTH_PATTERN_H
#define WAGGLE_AUTH_PATTERN_H

#include "store/bytes.h"

enum { PATTERN_BYTES_MAX = 164 }; /* as long as a channel's name */

/* 1..164 of A-Z a-z 0-9 _ - = @ , . ; with "*" and ">" only as segments, ">" only as the last. */
bool pattern_valid(struct slice pattern);
/* Has a segment "*" or ">": stands for more than one name. */
bool pattern_is_wild(struct slice pattern);
/* Its first segment is "*" or ">": says nothing about the kind of channels it matches. */
bool pattern_starts_wild(struct slice pattern);

/* The empty name and the empty pattern match nothing. */
bool pattern_match(struct slice pattern, struct slice name);
/* Every name that inner matches is matched by outer. A plain name is a pattern too. */
bool pattern_covers(struct slice outer, struct slice inner);

#endif

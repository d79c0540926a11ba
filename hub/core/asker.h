/* hub/core/asker.h: who asks for an object, as the writer sees it: owners have their own, admins
 * see all of their app (rest-contract.md section 1 "Whose").
 *
 * Threads  any; plain values. subject is borrowed.
 */
#ifndef WAGGLE_HUB_CORE_ASKER_H
#define WAGGLE_HUB_CORE_ASKER_H

#include "store/pack.h"

struct asker {
    struct slice subject;
    bool all;
};

void asker_put(struct buf *b, const struct asker *asker);
struct asker asker_get(struct unpack *u);
/* Whether an object of that owner is there for the asker; its app is looked at elsewhere. */
bool asker_sees(const struct asker *asker, struct slice owner);

#endif

#include "hub/core/asker.h"

void asker_put(struct buf *b, const struct asker *asker)
{
    pack_slice(b, asker->subject);
    pack_u8(b, asker->all);
}

struct asker asker_get(struct unpack *u)
{
    struct slice subject = unpack_slice(u);
    return (struct asker){.subject = subject, .all = unpack_u8(u) != 0};
}

bool asker_sees(const struct asker *asker, struct slice owner)
{
    return asker->all || slice_equal(asker->subject, owner);
}

#include "hub/cli/agent_sealed.h"

#include <assert.h>
#include <stdlib.h>

static unsigned place_of(const struct agent_sealed *sealed, struct slice round_id)
{
    unsigned i = 0;
    while (i < sealed->n && !slice_is(round_id, sealed->list[i].round_id)) {
        i++;
    }
    return i;
}

static void forget(struct sealed_ballot *ballot)
{
    free(ballot->round_id);
    buf_done(&ballot->frame);
}

void agent_sealed_done(struct agent_sealed *sealed)
{
    while (sealed->n) {
        forget(&sealed->list[--sealed->n]);
    }
    free(sealed->list);
    sealed->list = NULL;
}

bool agent_sealed_full(const struct agent_sealed *sealed)
{
    return sealed->n == SEALED_MAX;
}

const struct sealed_ballot *agent_sealed_find(const struct agent_sealed *sealed,
                                              struct slice round_id)
{
    unsigned i = place_of(sealed, round_id);
    return i < sealed->n ? &sealed->list[i] : NULL;
}

void agent_sealed_add(struct agent_sealed *sealed, const char *round_id, struct buf *frame)
{
    assert(!agent_sealed_full(sealed) && !agent_sealed_find(sealed, slice_str(round_id)));
    if (!sealed->list) {
        sealed->list = xcalloc(SEALED_MAX, sizeof *sealed->list);
    }
    sealed->list[sealed->n++] = (struct sealed_ballot){xstrdup(round_id), *frame};
    *frame = (struct buf){0};
}

void agent_sealed_drop(struct agent_sealed *sealed, struct slice round_id)
{
    unsigned i = place_of(sealed, round_id);
    if (i < sealed->n) {
        forget(&sealed->list[i]);
        sealed->list[i] = sealed->list[--sealed->n];
    }
}

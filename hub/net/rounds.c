#include "hub/net/rounds.h"

#include <assert.h>
#include <string.h>

bool rounds_has_room(const struct rounds *r)
{
    return r->held_n < ROUNDS_HELD_MAX - IO_POOL_TRAYS;
}

void rounds_hold(struct rounds *r, struct tray *tray)
{
    assert(r->held_n < ROUNDS_HELD_MAX);
    r->held[r->held_n++] = tray;
}

bool rounds_is_gathering(const struct rounds *r)
{
    bool open = r->hurried || (!r->sending && r->delivered_n < ROUND_MAX);
    return open && r->delivered_n < r->held_n;
}

struct tray *rounds_next(struct rounds *r)
{
    return rounds_is_gathering(r) ? r->held[r->delivered_n++] : NULL;
}

void rounds_send(struct rounds *r)
{
    r->sending = true;
}

bool rounds_is_crowded(const struct rounds *r)
{
    return r->held_n > ROUNDS_CROWDED;
}

void rounds_hurry(struct rounds *r)
{
    r->hurried = true;
}

void rounds_settle(struct rounds *r, void (*let_go)(void *ctx, struct tray *tray), void *ctx)
{
    for (unsigned i = 0; i < r->delivered_n; i++) {
        let_go(ctx, r->held[i]);
    }
    r->held_n -= r->delivered_n;
    memmove(r->held, r->held + r->delivered_n, r->held_n * sizeof *r->held);
    r->delivered_n = 0;
    r->sending = r->hurried = false;
}

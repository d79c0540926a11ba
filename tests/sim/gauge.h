/* tests/sim/gauge.h: how much of the writer's own time something takes, when nothing fails: on a
 * disk in memory whose syncs cost nothing, counted on the writer's processor clock, so that what
 * else the machine does is left out.
 *
 * Owns     nothing; the world is its caller's.     Threads  none.     Units  seconds.
 */
#ifndef WAGGLE_SIM_GAUGE_H
#define WAGGLE_SIM_GAUGE_H

#include "tests/sim/sim.h"

struct gauge {
    struct world *w;
    struct io *io;
    double writer;
    void *ctx;
    void (*answered)(void *ctx, const struct tray *tray, const struct command *command);
};

/* A command is begun, its body packed into what gauge_begin returns, and ended. */
struct buf *gauge_begin(struct gauge *g, const struct command_kind *kind, struct command **out);
void gauge_end(struct command *command, const struct buf *arena);
/* The writer takes all that was given; a command that fails ends the run. */
void gauge_turn(struct gauge *g);

#endif

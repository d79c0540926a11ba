/* tests/load/actor.h: who puts the load on: a process of its own, so that what it does takes no
 * time from those who measure, told by pipes what to do.
 *
 * An actor sets up, says that it is ready, moves until it is told to stand still, stands still
 * (its connections stay) until it is told to end, checks what it was promised and prints a line.
 *
 * Owns     the process, which ends with its parent.
 * Threads  one.
 * Errors   a promise that was not kept: meter_fail() in the actor; actor_end() is false.
 */
#ifndef WAGGLE_LOAD_ACTOR_H
#define WAGGLE_LOAD_ACTOR_H

#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"

enum actor_phase { ACTOR_MOVES, ACTOR_STANDS, ACTOR_ENDS };

struct actor {
    struct target target;
    bool longer; /* the long form */
    pid_t pid;
    int in, out;
    enum actor_phase phase;
};

typedef void actor_part(struct actor *self);

/* For the one who measures. */
void actor_start(struct actor *a, actor_part *part); /* returns when it is ready */
void actor_stand(struct actor *a);
bool actor_end(struct actor *a); /* false: it found a promise broken, and has said which */

/* For the part. */
void actor_ready(struct actor *self);
enum actor_phase actor_phase(struct actor *self); /* looks at once whether it was told something */

#endif

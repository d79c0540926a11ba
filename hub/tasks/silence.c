/* Agents that let offers lapse. One that registered and beats, but never says yes or no, would be
 * offered the same work every few seconds for good: after each offer that lapsed it is offered
 * nothing for a while, twice as long each time. Others get the work meanwhile.
 *
 * In memory alone, beside what else the choice goes by (dispatch.c): a start of the hub begins
 * anew with the shortest pause, and costs such an agent's tasks one more offer. An aborted batch
 * changes nothing: what lapsed in it lapses again within the pause, and counts once. */
#include "hub/tasks/inside.h"

enum { DOUBLINGS_MAX = 6 };

static void pause_set(struct tasks *t, struct place *place, uint32_t number, int64_t until_ms)
{
    place->paused_ms = until_ms;
    pulse_paused_put(t->options.pulses, number, until_ms);
    if (until_ms && until_ms < t->unpause_ms) {
        t->unpause_ms = until_ms;
    }
    if (place->worker) {
        place->worker->paused = until_ms != 0;
        worker_judge(t, place->worker);
    }
}

void worker_silent(struct tasks *t, uint32_t number, int64_t now_ms)
{
    struct place *place = place_of(t, number);
    if (!place || place->paused_ms > now_ms) {
        return; /* it was offered together with one that counted */
    }
    unsigned doublings = place->lapses < DOUBLINGS_MAX ? place->lapses : DOUBLINGS_MAX;
    place->lapses++;
    pause_set(t, place, number, now_ms + (task_settings(t)->task_accept_ms << doublings));
}

void worker_answered(struct tasks *t, uint32_t number)
{
    struct place *place = place_of(t, number);
    if (place && place->lapses) {
        place->lapses = 0;
        pause_set(t, place, number, 0);
    }
}

void worker_paused(struct tasks *t, struct place *place, bool anew)
{
    if (anew) {
        place->lapses = 0;
        place->paused_ms = 0;
    }
    pause_set(t, place, place->worker->number, place->paused_ms);
}

void workers_unpause(struct tasks *t, int64_t now_ms)
{
    if (t->unpause_ms > now_ms) {
        return;
    }
    t->unpause_ms = INT64_MAX;
    for (uint32_t i = 0; i < t->places_n; i++) {
        struct place *place = &t->places[i];
        if (place->worker && place->worker->paused) {
            pause_set(t, place, i, place->paused_ms > now_ms ? place->paused_ms : 0);
        }
    }
}

/* hub/api/agent_view.h: agents as callers see them: who may see which, the JSON of one, and finding
 * many.
 *
 * What stands in the store is the last change of state; last beat, load and health are those of the
 * moment, from the pulses (rest-contract.md section 3, semantics.md section 1).
 *
 * Owns     struct agents_found: its list.
 * Threads  the caller's I/O thread, within one snapshot of its reader.
 */
#ifndef WAGGLE_HUB_API_AGENT_VIEW_H
#define WAGGLE_HUB_API_AGENT_VIEW_H

#include "hub/agents/module.h"
#include "hub/api/operation.h"

bool agent_visible(const struct call *call, const struct agent *agent);
/* An agent that the caller may see; HUB_NOT_FOUND with its sentence. */
enum hub_rc agent_see(struct call *call, struct store_view *view, struct slice id,
                      struct agent *out);
/* The sentence of every 404 about an agent. */
enum hub_rc agent_missing(struct call *call, struct slice id);

/* Its status as it is shown: busy when all its slots are taken. */
enum agent_status agent_status_now(const struct call *call, const struct agent *agent);
double agent_health(const struct call *call, const struct agent *agent); /* of this moment */
/* Until when it is offered nothing, as it let offers lapse; 0: it is. */
int64_t agent_paused_until(const struct call *call, const struct agent *agent);
/* The agent object. */
void agent_json(struct json_out *o, const struct call *call, const struct agent *agent);
void metrics_json(struct json_out *o, const struct metrics *metrics);

/* What to look for; what is empty is not asked. */
struct agent_filter {
    bool by_type, by_status;
    enum agent_type type;
    enum agent_status status;
    struct slice region;
    const json_t *capabilities, *services, *tags; /* arrays of strings, all of which are wanted */
    struct slice capability, service;             /* one more of each */
    double health_least;
};

struct agent_found {
    uint32_t number;
    double health;
};
struct agents_found {
    struct agent_found *list; /* best health first */
    size_t n, cap;
};
/* at_ms: the moment whose health is meant, now or a little before. */
enum store_rc agents_find(const struct call *call, struct store_view *view,
                          const struct agent_filter *filter, int64_t at_ms,
                          struct agents_found *out);
/* The place in the list of the first that comes behind that one, which may be gone. */
size_t agents_behind(const struct agents_found *found, const struct agent_found *last);
void agents_found_done(struct agents_found *found);

#endif

/* Work for a swarm: which swarm, which of its members, and the end of it from outside. */
#include "hub/swarms/module_parts.h"

#include <stdlib.h>

/* ---- coordinate ---- */

static void words_pack(struct buf *b, const struct words *words)
{
    pack_u32(b, words->n);
    pack_slice(b, words->packed);
}

static struct words words_unpack(struct unpack *u)
{
    uint32_t n = unpack_u32(u);
    return (struct words){.n = n, .packed = unpack_slice(u)};
}

void swarm_coordinate_put(struct buf *b, const struct swarm_coordinate *c)
{
    asker_put(b, &c->asker);
    pack_slice(b, c->swarm_id);
    pack_slice(b, c->capability);
    words_pack(b, &c->members);
    pack_u32(b, c->members_max);
    work_spec_pack(b, &c->spec);
}

static bool swarm_coordinate_get(struct slice body, struct swarm_coordinate *c)
{
    struct unpack u = unpack_of(body);
    c->asker = asker_get(&u);
    c->swarm_id = unpack_slice(&u);
    c->capability = unpack_slice(&u);
    c->members = words_unpack(&u);
    c->members_max = unpack_u32(&u);
    return work_spec_unpack(&u, &c->spec) && unpack_done(&u);
}

/* Members that could take part, with what they are chosen by. */
struct candidate {
    uint32_t member;
    double load; /* share of its agent's slots that are taken */
    enum task_priority priority;
};
struct candidates {
    struct apply *a;
    const struct swarm_coordinate *ask;
    struct candidate *list;
    uint32_t n, cap;
};

static bool can(const struct swarm_coordinate *ask, const struct member *m,
                const struct agent *agent)
{
    return ask->capability.n == 0 || slice_equal(m->capability, ask->capability) ||
           (agent && words_have(&agent->capabilities, ask->capability));
}

static bool consider(void *ctx, const struct member *m)
{
    struct candidates *c = ctx;
    const struct words *wanted = &c->ask->members;
    struct agent agent;
    bool has = m->agent_number && agent_get(c->a->view, m->agent_number, &agent) == STORE_OK;
    if (m->state != MEMBER_ACTIVE || !can(c->ask, m, has ? &agent : NULL) ||
        (wanted->n && !words_have(wanted, m->id) && !words_have(wanted, m->agent))) {
        return true;
    }
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 32;
        c->list = xrealloc(c->list, c->cap * sizeof *c->list);
    }
    uint32_t held =
        has ? tasks_held_by(writer_module(c->a->writer, MODULE_TASKS), m->agent_number) : 0;
    c->list[c->n++] = (struct candidate){.member = m->number,
                                         .load = has && agent.slots ? (double)held / agent.slots
                                                 : has              ? 1
                                                                    : 0,
                                         .priority = m->priority};
    return true;
}

static int by_fitness(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->load != y->load) {
        return x->load < y->load ? -1 : 1;
    }
    if (x->priority != y->priority) {
        return x->priority < y->priority ? -1 : 1;
    }
    return (x->member > y->member) - (x->member < y->member);
}

struct best_swarm {
    struct candidates candidates;
    uint32_t number, members_n, looked;
};

/* The swarm with the most members for it; of equal ones the newest. */
static bool compare_swarm(void *ctx, const struct swarm *swarm)
{
    struct best_swarm *best = ctx;
    if (swarm->members_n > best->members_n &&
        swarm_visible(best->candidates.a->view, swarm, &best->candidates.ask->asker)) {
        best->candidates.n = 0;
        (void)members_each(best->candidates.a->view, swarm->number, consider, &best->candidates);
        if (best->candidates.n > best->members_n) {
            best->members_n = best->candidates.n;
            best->number = swarm->number;
        }
    }
    return ++best->looked < SWARMS_LOOKED_MAX;
}

static enum hub_rc choose_swarm(struct apply *a, struct command *command,
                                const struct swarm_coordinate *ask, uint32_t *out)
{
    struct swarm swarm;
    if (ask->swarm_id.n) {
        enum store_rc rc = swarm_find(a->view, a->app, ask->swarm_id, &swarm);
        if (rc == STORE_NOT_FOUND ||
            (rc == STORE_OK && !swarm_visible(a->view, &swarm, &ask->asker))) {
            return apply_refuse(a, command, HUB_NOT_FOUND, "Swarm ", ask->swarm_id, " not found");
        }
        *out = swarm.number;
        return hub_rc_of_store(rc);
    }
    struct best_swarm best = {.candidates = {.a = a, .ask = ask}};
    enum store_rc rc = swarms_each(a->view, a->app, slice_of(NULL, 0), compare_swarm, &best);
    free(best.candidates.list);
    *out = best.number;
    return rc == STORE_OK && !best.number
               ? apply_refuse(a, command, HUB_NOT_FOUND, "No active swarm members found",
                              slice_of(NULL, 0), "")
               : hub_rc_of_store(rc);
}

static enum hub_rc choose_members(struct apply *a, struct command *command,
                                  const struct swarm_coordinate *ask, uint32_t swarm,
                                  struct buf *out, uint32_t *out_n)
{
    struct candidates c = {.a = a, .ask = ask};
    enum hub_rc rc = hub_rc_of_store(members_each(a->view, swarm, consider, &c));
    uint32_t max = ask->members_max && ask->members_max < WORK_MEMBERS_MAX ? ask->members_max
                                                                           : WORK_MEMBERS_MAX;
    if (rc == HUB_OK && c.n == 0) {
        rc = apply_refuse(a, command, HUB_NOT_FOUND, "No active swarm members found",
                          slice_of(NULL, 0), "");
    }
    if (c.n) {
        qsort(c.list, c.n, sizeof *c.list, by_fitness);
    }
    for (*out_n = 0; rc == HUB_OK && *out_n < c.n && *out_n < max; ++*out_n) {
        struct member m;
        rc = hub_rc_of_store(member_get(a->view, c.list[*out_n].member, &m));
        if (rc == HUB_OK) {
            work_member_pack(
                out, &(struct work_member){.id = m.id,
                                           .agent = m.agent_number ? m.agent : slice_of(NULL, 0),
                                           .capability = m.capability,
                                           .agent_number = m.agent_number});
        }
    }
    free(c.list);
    return rc;
}

static enum hub_rc reply_work(struct apply *a, struct command *command, uint64_t number)
{
    struct buf b = {0};
    pack_u64(&b, number);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
    return HUB_OK;
}

bool swarm_coordinated_get(struct slice reply, uint64_t *out_work)
{
    struct unpack u = unpack_of(reply);
    *out_work = unpack_u64(&u);
    return unpack_done(&u);
}

static enum hub_rc coordinate_begin(struct apply *a, struct command *command,
                                    struct swarm_coordinate *ask, uint32_t number)
{
    struct buf bytes = {0}, members = {0}, channel = {0}, row = {0};
    struct swarm swarm;
    struct work work;
    enum hub_rc rc = choose_members(a, command, ask, number, &members, &ask->spec.members_n);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(swarm_hold(a->view, number, &bytes, &swarm));
    }
    if (rc == HUB_OK) {
        agent_channel(&channel, "swarm.", swarm.id);
        ask->spec.team_kind = TEAM_SWARM;
        ask->spec.team = number;
        ask->spec.channel = buf_slice(&channel);
        ask->spec.members = buf_slice(&members);
        rc = work_begin(a, &ask->spec, &row, &work);
    }
    if (rc == HUB_OK) {
        rc = reply_work(a, command, work.number);
    }
    buf_done(&bytes);
    buf_done(&members);
    buf_done(&channel);
    buf_done(&row);
    return rc;
}

static enum hub_rc coordinate_apply(struct apply *a, struct command *command, struct slice body)
{
    struct swarm_coordinate ask;
    struct work other;
    uint32_t swarm = 0;
    if (!swarm_coordinate_get(body, &ask)) {
        return HUB_BAD_REQUEST;
    }
    enum store_rc known = work_find(a->view, a->app, ask.spec.id, &other);
    if (known == STORE_OK) {
        return apply_refuse(a, command, HUB_CONFLICT, "Task ", ask.spec.id,
                            " is coordinated already");
    }
    if (known != STORE_NOT_FOUND) {
        return hub_rc_of_store(known);
    }
    enum hub_rc rc = choose_swarm(a, command, &ask, &swarm);
    return rc == HUB_OK ? coordinate_begin(a, command, &ask, swarm) : rc;
}

const struct command_kind command_swarm_coordinate = {
    .name = "swarm.coordinate", .apply = coordinate_apply, .module = MODULE_SWARMS};

/* ---- cancel ---- */

void work_cancel_put(struct buf *b, const struct work_cancel *c)
{
    asker_put(b, &c->asker);
    pack_slice(b, c->id);
    pack_slice(b, c->reason);
}

bool work_visible(struct store_view *view, const struct work *work, const struct asker *asker)
{
    struct swarm swarm;
    return asker_sees(asker, work->owner) ||
           (work->team_kind == TEAM_SWARM && swarm_get(view, work->team, &swarm) == STORE_OK &&
            swarm_visible(view, &swarm, asker));
}

static enum hub_rc cancel_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct work_cancel cancel = {.asker = asker_get(&u)};
    cancel.id = unpack_slice(&u);
    cancel.reason = unpack_slice(&u);
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    struct work work;
    enum store_rc found = work_find(a->view, a->app, cancel.id, &work);
    if (found == STORE_NOT_FOUND || (found == STORE_OK && !asker_sees(&cancel.asker, work.owner))) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Task ", cancel.id, " not found");
    }
    if (found != STORE_OK) {
        return hub_rc_of_store(found);
    }
    if (work_is_over(work.state)) {
        return work.state == WORK_CANCELLED
                   ? reply_work(a, command, work.number)
                   : apply_refuse(a, command, HUB_CONFLICT, "Task ", cancel.id, " is over");
    }
    uint64_t number = work.number;
    enum hub_rc rc = work_cancel(a, number, WORK_STOP_CANCELLED,
                                 &(struct why){cancel.asker.subject, cancel.reason});
    return rc == HUB_OK ? reply_work(a, command, number) : rc;
}

const struct command_kind command_work_cancel = {
    .name = "swarm.cancel", .apply = cancel_apply, .module = MODULE_SWARMS, .flags = KIND_RELEASES};

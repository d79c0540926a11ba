/* A part becomes a task: what its agent is given, and who may do it. */
#include "hub/swarms/run_parts.h"

#include <stdlib.h>

enum { NEEDS_AGENTS_MAX = TASK_WORDS_MAX, CANDIDATES_MAX = 200 };

/* Whom one may vote for in an election: the agents, or the members that have none. Each of a
 * thousand members is given it, so a list of all of them would be too much. */
static json_t *candidates(struct run *r)
{
    struct slice rest = slice_of(NULL, 0);
    struct work_member m;
    json_t *list = json_array();
    (void)work_document(r->a->view, r->work.number, WORK_MEMBERS, &rest);
    while (json_array_size(list) < CANDIDATES_MAX && work_member_next(&rest, &m)) {
        struct slice name = m.agent.n ? m.agent : m.id;
        json_array_append_new(list, json_stringn((const char *)name.p, name.n));
    }
    return list;
}

json_t *part_data(struct run *r, const json_t *input, uint32_t part, json_t *context)
{
    const struct work *w = &r->work;
    struct share share = division_share(&w->division, part);
    const char *name = NULL;
    const json_t *items = work_items(input, &name);
    json_t *data = json_copy((json_t *)(uintptr_t)input);
    if (w->division.has_items && items) {
        json_t *mine = json_array();
        for (uint32_t i = 0; i < share.items_n; i++) {
            json_array_append(mine, json_array_get(items, share.item + i));
        }
        json_object_del(data, name);
        if (share.items_n == 1) {
            json_object_set(data, "item", json_array_get(mine, 0));
        }
        json_object_set_new(data, "items", mine);
    }
    if (context) {
        json_object_set(data, "context", context);
    }
    if (r->work.strategy == STRATEGY_ELECTION) {
        json_object_set_new(data, "candidates", candidates(r));
    }
    json_t *about = json_pack("{s:s%, s:s%, s:i, s:i}",
                              w->team_kind == TEAM_NETWORK ? "execution_id" : "task_id", w->id.p,
                              w->id.n, "strategy", run_rule(w)->name, strlen(run_rule(w)->name),
                              "part", (int)part, "parts", (int)w->division.parts_n);
    json_object_set_new(data, "coordination", about);
    return data;
}

void part_word(struct buf *packed, struct words *words, struct slice word)
{
    pack_slice(packed, word);
    words->n++;
}

static bool is_there(const struct run *r, const struct work_member *m)
{
    return !r->begun || r->work.team_kind != TEAM_SWARM ||
           !swarm_member_has_left(r->a->view, r->work.app, m->id);
}

bool part_needs_of(struct run *r, uint32_t member, struct part_needs *buf, struct task_spec *spec)
{
    const struct strategy_rule *rule = run_rule(&r->work);
    struct slice members = slice_of(NULL, 0), rest;
    struct work_member m = {0}, other;
    (void)work_document(r->a->view, r->work.number, WORK_MEMBERS, &members);
    (void)work_member_at(members, member, &m);
    if (m.agent.n == 0) {
        if (m.capability.n) {
            part_word(&buf->capabilities, &spec->needs.capabilities, m.capability);
        }
    } else {
        bool there = is_there(r, &m);
        if (there) {
            part_word(&buf->agents, &spec->needs.agents, m.agent);
        }
        rest = members;
        while (!rule->bound && spec->needs.agents.n < NEEDS_AGENTS_MAX &&
               work_member_next(&rest, &other)) {
            if (other.agent.n && !slice_equal(other.agent, m.agent) && is_there(r, &other)) {
                part_word(&buf->agents, &spec->needs.agents, other.agent);
            }
        }
        if (there && !rule->bound && r->work.strategy != STRATEGY_DISTRIBUTED) {
            part_word(&buf->prefer, &spec->prefer, m.agent);
        }
    }
    spec->needs.agents.packed = buf_slice(&buf->agents);
    spec->prefer.packed = buf_slice(&buf->prefer);
    spec->needs.capabilities.packed = buf_slice(&buf->capabilities);
    return m.agent.n == 0 || spec->needs.agents.n > 0;
}

void part_needs_done(struct part_needs *buf)
{
    buf_done(&buf->agents);
    buf_done(&buf->prefer);
    buf_done(&buf->capabilities);
    buf_done(&buf->avoid);
}

enum hub_rc part_submit(struct run *r, struct task_spec *spec, json_t *data, uint32_t item,
                        uint64_t *out_task)
{
    struct buf text = {0};
    json_put_value(&text, data);
    spec->owner = r->work.owner;
    spec->priority = r->work.priority;
    spec->data = buf_slice(&text);
    spec->group =
        (struct task_group){.module = MODULE_SWARMS + 1, .id = r->work.number, .item = item};
    enum hub_rc rc =
        task_submit_inside(r->a, spec, (uint32_t)(r->work.number * 4093) + item, out_task);
    buf_done(&text);
    return rc;
}

static struct work_member member_of(struct run *r, uint32_t at)
{
    struct slice members = slice_of(NULL, 0);
    struct work_member m = {0};
    (void)work_document(r->a->view, r->work.number, WORK_MEMBERS, &members);
    (void)work_member_at(members, at, &m);
    return m;
}

enum hub_rc part_bind(struct run *r, uint32_t part, uint32_t member, bool there)
{
    uint32_t agent = run_rule(&r->work)->bound ? member_of(r, member).agent_number : 0;
    return agent ? hub_rc_of_store(
                       work_bound_put(r->a->txn, r->work.app, agent, r->work.number, part, there))
                 : HUB_OK;
}

enum hub_rc part_open(struct run *r, const json_t *input, uint32_t part, json_t *context)
{
    struct share share = division_share(&r->work.division, part);
    struct work_part row = {.state = PART_OPEN, .member = share.member, .opened_ms = r->a->now_ms};
    struct part_needs buf = {0};
    struct task_spec spec = {0};
    json_t *data = part_data(r, input, part, context);
    enum hub_rc rc = part_needs_of(r, share.member, &buf, &spec)
                         ? part_submit(r, &spec, data, part << 1, &row.task)
                         : HUB_GONE;
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(work_part_put(r->a->txn, r->work.number, part, &row));
    }
    if (rc == HUB_OK) {
        rc = part_bind(r, part, share.member, true);
    }
    r->work.opened_n += rc == HUB_OK;
    json_decref(data);
    part_needs_done(&buf);
    return rc;
}

/* Swarms: rest-contract.md section 2. */
#include "channels/replay.h"
#include "hub/api/components.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/api/words.h"
#include "hub/api/work_view.h"
#include "hub/swarms/verdict.h"

enum {
    LIST_DEFAULT = 20,
    ROWS_LOOKED_MAX = 20000,
    COLLABORATORS_DEFAULT = 5,
    ROUND_S_DEFAULT = 300
};

/* ---- swarm.join ---- */

static enum hub_rc join_prepare(struct call *call, struct buf *body)
{
    struct slice role = call_text(call, "role"), agent = call_text(call, "agent_id");
    struct swarm_join join = {.asker = asker_of(call->who),
                              .swarm_id = call_text(call, "swarm_id"),
                              .agent = agent.n ? agent : call->who->subject,
                              .agent_named = agent.n > 0,
                              .capability = call_text(call, "capability"),
                              .region = call_text(call, "region")};
    if (!swarm_role_of(role, &join.role)) {
        return call_fail(call, HUB_BAD_REQUEST,
                         "Invalid role. Must be one of: load-balancer, resource-optimizer, "
                         "task-coordinator, monitor, worker");
    }
    enum hub_rc rc = work_priority_of(call, call_text(call, "priority"), &join.priority);
    if (rc == HUB_OK) {
        swarm_join_put(body, &join);
    }
    return rc;
}

static enum hub_rc join_answer(struct call *call, const struct command *command, struct slice reply)
{
    struct swarm_joined joined;
    struct store_view *view;
    struct member m;
    struct swarm swarm;
    (void)command;
    if (!swarm_joined_get(reply, &joined)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(member_get(view, joined.member, &m));
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(swarm_get(view, m.swarm, &swarm));
    }
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        call->status = joined.again ? 200 : 0;
        json_begin(&o, '{');
        put_text(&o, "swarm_id", swarm.id);
        put_text(&o, "member_id", m.id);
        put_str(&o, "role", swarm_role_name(m.role));
        put_str(&o, "status", member_state_name(m.state));
        put_time(&o, "joined_at", m.joined_ms);
        put_text(&o, "capability", m.capability);
        put_text_or_null(&o, "region", m.region);
        put_str(&o, "priority", task_priority_name(m.priority));
        put_text(&o, "agent_id", m.agent);
        json_end(&o, '}');
    }
    store_release(call->io->reader);
    return rc;
}

/* ---- swarm.leave ---- */

static enum hub_rc leave_prepare(struct call *call, struct buf *body)
{
    struct swarm_leave leave = {.asker = asker_of(call->who),
                                .swarm_id = call_text(call, "swarm_id"),
                                .member_id = call_text(call, "member_id")};
    leave.hands_back = slice_is(call_text(call, "leases"), "return");
    enum hub_rc rc = call_reason(call, &leave.reason);
    if (rc == HUB_OK) {
        swarm_leave_put(body, &leave);
    }
    return rc;
}

static enum hub_rc leave_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct swarm_left left;
    (void)command;
    if (!swarm_left_get(reply, &left) || left.n == 0) {
        return HUB_INTERNAL;
    }
    struct unpack u = unpack_of(left.ids);
    struct slice first = unpack_slice(&u);
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "swarm_id", left.swarm_id);
    put_text(&o, "member_id", first);
    put_time(&o, "left_at", left.at_ms);
    put_str(&o, "status", "left");
    json_key(&o, "members");
    json_begin(&o, '[');
    u = unpack_of(left.ids);
    for (uint32_t i = 0; i < left.n; i++) {
        json_text(&o, unpack_slice(&u));
    }
    json_end(&o, ']');
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- swarm.list, swarm.status ---- */

struct standing {
    struct store_view *view;
    uint32_t members, active, works;
    uint64_t open; /* parts in hand */
};

static bool count_member(void *ctx, const struct member *m)
{
    struct standing *s = ctx;
    s->members++;
    s->active += m->state == MEMBER_ACTIVE;
    return true;
}

static bool count_work(void *ctx, const struct work *w)
{
    struct standing *s = ctx;
    s->works++;
    s->open += w->opened_n - w->done_n - w->failed_n - w->late_n;
    return true;
}

static struct standing standing_of(struct store_view *view, const struct swarm *swarm)
{
    struct standing s = {.view = view};
    (void)members_each(view, swarm->number, count_member, &s);
    (void)works_each(view, swarm->app, TEAM_SWARM, swarm->number, true, 0, count_work, &s);
    return s;
}

static const char *coordination_status(const struct standing *s)
{
    return s->members == 0 ? "empty"
           : s->works      ? "coordinating"
           : s->active     ? "active"
                           : "suspended";
}

/* A swarm at work is active too. */
static bool has_status(const struct standing *s, struct slice wanted)
{
    return wanted.n == 0 || slice_is(wanted, "all") || slice_is(wanted, coordination_status(s)) ||
           (slice_is(wanted, "active") && s->active > 0);
}

static bool put_member(void *ctx, const struct member *m)
{
    struct json_out *o = ctx;
    json_begin(o, '{');
    put_text(o, "member_id", m->id);
    put_str(o, "role", swarm_role_name(m->role));
    put_text(o, "capability", m->capability);
    put_text_or_null(o, "region", m->region);
    put_str(o, "priority", task_priority_name(m->priority));
    put_str(o, "status", member_state_name(m->state));
    put_time(o, "joined_at", m->joined_ms);
    put_text(o, "agent_id", m->agent);
    json_end(o, '}');
    return true;
}

struct listing {
    struct page page;
    struct slice id, status;
    bool figures; /* swarm.status */
    uint64_t total, looked;
};

static void put_leader(struct listing *l, const struct team_figures *f)
{
    struct member leader;
    put_text_or_null(&l->page.o, "leader",
                     f->leader && member_get(l->page.view, f->leader, &leader) == STORE_OK &&
                             member_is_there(leader.state)
                         ? leader.id
                         : slice_of(NULL, 0));
}

static void put_figures(struct listing *l, const struct swarm *swarm, const struct standing *s)
{
    struct team_figures f;
    (void)team_figures_get(l->page.view, TEAM_SWARM, swarm->number, &f);
    uint64_t parts = f.parts_done + f.parts_failed;
    json_begin(&l->page.o, '{');
    put_text(&l->page.o, "swarm_id", swarm->id);
    put_count(&l->page.o, "member_count", s->members);
    put_count(&l->page.o, "active_members", s->active);
    put_count(&l->page.o, "active_tasks", s->open);
    put_str(&l->page.o, "coordination_status", coordination_status(s));
    put_leader(l, &f);
    json_key(&l->page.o, "performance_metrics");
    json_begin(&l->page.o, '{');
    json_key(&l->page.o, "avg_task_time");
    json_double(&l->page.o, mean_of((double)f.part_ms / 1000, (double)f.parts_done));
    json_key(&l->page.o, "success_rate");
    json_double(&l->page.o, mean_of((double)f.parts_done, (double)parts));
    json_key(&l->page.o, "coordination_efficiency");
    json_double(&l->page.o, mean_of((double)f.part_ms, (double)f.capacity_ms));
    put_count(&l->page.o, "coordinations",
              f.in_state[WORK_MAPPING] + f.in_state[WORK_COMPLETED] + f.in_state[WORK_PARTIAL] +
                  f.in_state[WORK_FAILED] + f.in_state[WORK_CANCELLED]);
    put_count(&l->page.o, "late_parts", f.parts_late);
    put_count(&l->page.o, "straggler_copies", f.copies);
    json_end(&l->page.o, '}');
    json_end(&l->page.o, '}');
}

static void put_swarm(struct listing *l, const struct swarm *swarm, const struct standing *s)
{
    json_begin(&l->page.o, '{');
    put_text(&l->page.o, "swarm_id", swarm->id);
    json_key(&l->page.o, "members");
    json_begin(&l->page.o, '[');
    (void)members_each(l->page.view, swarm->number, put_member, &l->page.o);
    json_end(&l->page.o, ']');
    put_time(&l->page.o, "created_at", swarm->created_ms);
    put_str(&l->page.o, "coordination_status", coordination_status(s));
    put_count(&l->page.o, "member_count", s->members);
    json_end(&l->page.o, '}');
}

static bool list_one(void *ctx, const struct swarm *swarm)
{
    struct listing *l = ctx;
    if (++l->looked > ROWS_LOOKED_MAX) {
        return false;
    }
    if (!swarm_visible(l->page.view, swarm, &l->page.asker)) {
        return true;
    }
    struct standing s = standing_of(l->page.view, swarm);
    if (!has_status(&s, l->status)) {
        return true;
    }
    l->total++;
    /* One of a page before, or past this one, is counted and no more. */
    if (swarm->number <= l->page.from && page_takes(&l->page, swarm->number)) {
        if (l->figures) {
            put_figures(l, swarm, &s);
        } else {
            put_swarm(l, swarm, &s);
        }
    }
    return true;
}

/* Those that nobody is left in are shown only to who asks for one by its id. */
static enum hub_rc list_found(struct listing *l)
{
    struct store_view *view = l->page.view;
    uint32_t app = l->page.call->who->app;
    struct swarm swarm;
    if (l->id.n == 0) {
        return hub_rc_of_store(swarms_each(view, app, slice_of(NULL, 0), list_one, l));
    }
    enum store_rc rc = swarm_find(view, app, l->id, &swarm);
    if (rc == STORE_OK) {
        (void)list_one(l, &swarm);
    }
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static enum hub_rc list_all(struct listing *l)
{
    struct page *page = &l->page;
    uint32_t newest = 0;
    enum hub_rc rc = hub_rc_of_store(swarm_newest(page->view, &newest));
    if (rc == HUB_OK) {
        rc = page_from(page, newest);
    }
    if (rc != HUB_OK) {
        return rc;
    }
    if (l->figures) {
        json_begin(&page->o, '[');
    } else {
        json_begin(&page->o, '{');
        page_list(page, "swarms");
    }
    rc = list_found(l);
    if (l->figures) {
        json_end(&page->o, ']');
        page_tell_next(page);
    } else {
        page_list_end(page);
        put_count(&page->o, "total_count", l->total);
        json_end(&page->o, '}');
    }
    return rc;
}

static enum hub_rc listed(struct call *call, bool figures)
{
    struct listing l = {
        .id = call_text(call, "swarm_id"), .status = call_text(call, "status"), .figures = figures};
    enum hub_rc rc = page_open(&l.page, call, figures ? 1000 : LIST_DEFAULT);
    if (rc == HUB_OK) {
        rc = list_all(&l);
        page_close(&l.page);
    }
    return rc;
}

static enum hub_rc list(struct call *call)
{
    return listed(call, false);
}

static enum hub_rc status(struct call *call)
{
    return listed(call, true);
}

/* ---- swarm.coordinate ---- */

static enum hub_rc strategy_in(struct call *call, const char *otherwise, struct work_spec *spec)
{
    spec->strategy_name = call_text(call, "strategy");
    if (!spec->strategy_name.p) {
        spec->strategy_name = slice_str(otherwise);
    }
    if (!strategy_of(spec->strategy_name, &spec->strategy)) {
        return call_fail_word(call, "strategy", "strategy", spec->strategy_name,
                              &words_work_strategy);
    }
    return HUB_OK;
}

static enum hub_rc members_in(struct call *call, const json_t *parameters, struct buf *packed,
                              struct words *out)
{
    const json_t *list = work_word(parameters, "members");
    bool good = !list || (json_is_array(list) && json_array_size(list) <= WORK_MEMBERS_MAX);
    for (size_t i = 0; good && i < json_array_size(list); i++) {
        good = json_is_string(json_array_get(list, i));
    }
    if (!good) {
        return call_fail_field(call, "parameters", "value_error",
                               "members: a list of ids, at most %d", WORK_MEMBERS_MAX);
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        pack_slice(packed, slice_of(json_string_value(item), json_string_length(item)));
        out->n++;
    }
    out->packed = buf_slice(packed);
    return HUB_OK;
}

/* Who may take part: what cannot be read is refused, as it would be everybody. */
static enum hub_rc choice_in(struct call *call, const json_t *parameters, struct buf *members,
                             struct swarm_coordinate *ask)
{
    const json_t *capability = work_word(parameters, "capability");
    const json_t *most = work_word(parameters, "max_members");
    json_int_t n = json_integer_value(most);
    if (capability && json_string_length(capability) == 0) {
        return call_fail_field(call, "parameters", "value_error", "capability: a text");
    }
    if (most && (n < 1 || n > WORK_MEMBERS_MAX)) {
        return call_fail_field(call, "parameters", "value_error", "max_members: from 1 to %d",
                               WORK_MEMBERS_MAX);
    }
    ask->capability = slice_of(json_string_value(capability), json_string_length(capability));
    ask->members_max = (uint32_t)n;
    return members_in(call, parameters, members, &ask->members);
}

/* {task_id, strategy, parameters}: the parameters steer, and are what the members get. */
static enum hub_rc seed_form(struct call *call, struct swarm_coordinate *ask, struct buf *members,
                             struct buf *input)
{
    static const char *const steering[] = {"members", "capability", "max_members", NULL};
    json_t *parameters = call_json(call, "parameters");
    ask->spec.id = call_text(call, "task_id");
    if (ask->spec.id.n == 0) {
        return call_fail_field(call, "task_id", "missing", "task_id, or task, is required");
    }
    enum hub_rc rc = strategy_in(call, "map-reduce", &ask->spec);
    if (rc == HUB_OK) {
        rc = work_spec_of(call, "parameters", parameters, &ask->spec);
    }
    if (rc == HUB_OK) {
        rc = choice_in(call, parameters, members, ask);
    }
    if (json_is_object(parameters)) {
        work_input_put(input, parameters, steering);
    } else {
        buf_add_str(input, "{}");
    }
    return rc;
}

/* {task, collaborators, strategy, timeout_seconds}: the text is what the members get. */
static enum hub_rc caller_form(struct call *call, struct swarm_coordinate *ask, struct buf *input)
{
    json_t *data = json_pack("{s:O}", "task", call_json(call, "task"));
    ask->spec.called = true;
    ask->members_max = (uint32_t)call_int(call, "collaborators", COLLABORATORS_DEFAULT);
    ask->spec.timeout_ms =
        (int64_t)(call_number(call, "timeout_seconds", WORK_TIMEOUT_DEFAULT_S) * 1000);
    json_put_value(input, data);
    json_decref(data);
    return strategy_in(call, "consensus", &ask->spec);
}

static enum hub_rc coordinate_prepare(struct call *call, struct buf *body)
{
    struct buf members = {0}, input = {0};
    struct swarm_coordinate ask = {.asker = asker_of(call->who),
                                   .swarm_id = call_text(call, "swarm_id"),
                                   .spec = {.owner = call->who->subject}};
    enum hub_rc rc = work_priority_of(call, call_text(call, "priority"), &ask.spec.priority);
    if (rc == HUB_OK) {
        rc = call_text(call, "task").n ? caller_form(call, &ask, &input)
                                       : seed_form(call, &ask, &members, &input);
    }
    if (rc == HUB_OK) {
        ask.spec.input = buf_slice(&input);
        swarm_coordinate_put(body, &ask);
    }
    buf_done(&members);
    buf_done(&input);
    return rc;
}

static void put_swarm_id(struct json_out *o, struct store_view *view, const struct work *w)
{
    struct swarm swarm;
    put_text_or_null(o, "swarm_id",
                     w->team_kind == TEAM_SWARM && swarm_get(view, w->team, &swarm) == STORE_OK
                         ? swarm.id
                         : slice_of(NULL, 0));
}

/* The caller's own words, where it came in that form. */
static void put_called(struct json_out *o, struct store_view *view, const struct work *w)
{
    struct slice text;
    json_t *input = NULL;
    if (!w->called) {
        return;
    }
    if (work_document(view, w->number, WORK_INPUT, &text) == STORE_OK) {
        input = json_loadb((const char *)text.p, text.n, 0, NULL);
    }
    const json_t *task = json_object_get(input, "task");
    put_text(o, "task", slice_of(json_string_value(task), json_string_length(task)));
    put_count(o, "collaborators", w->division.members_n);
    put_text(o, "strategy", w->strategy_name);
    json_decref(input);
}

static void work_json(struct json_out *o, struct store_view *view, const struct work *w, bool whole)
{
    json_begin(o, '{');
    put_text(o, "task_id", w->id);
    put_swarm_id(o, view, w);
    put_text(o, "coordination_strategy", w->strategy_name);
    put_str(o, "status",
            whole                    ? work_status_name(w->state)
            : work_is_over(w->state) ? work_status_name(w->state)
                                     : "coordinating");
    json_key(o, "assigned_members");
    work_members_json(o, view, w);
    put_called(o, view, w);
    work_common_json(o, w);
    if (whole) {
        put_count(o, "active_collaborators", work_active(view, w));
        put_count(o, "total_collaborators", w->division.members_n);
        work_merge_json(o, view, w);
        work_document_json(o, "result", view, w, WORK_OUTCOME);
        json_key(o, "shards");
        work_parts_json(o, view, w);
    }
    json_end(o, '}');
}

static enum hub_rc coordinate_answer(struct call *call, const struct command *command,
                                     struct slice reply)
{
    struct store_view *view;
    struct work work;
    uint64_t number;
    (void)command;
    if (!swarm_coordinated_get(reply, &number)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(work_get(view, number, &work));
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        call->status = work.called && call->operation->kind == &command_swarm_coordinate ? 202 : 0;
        work_json(&o, view, &work, false);
    }
    store_release(call->io->reader);
    return rc;
}

/* ---- swarm.task, swarm.cancel ---- */

static enum hub_rc task_status(struct call *call)
{
    struct slice id = call_text(call, "task_id");
    struct asker asker = asker_of(call->who);
    struct store_view *view;
    struct work work;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    enum store_rc found = work_find(view, call->who->app, id, &work);
    if (found == STORE_NOT_FOUND || (found == STORE_OK && (work.team_kind != TEAM_SWARM ||
                                                           !work_visible(view, &work, &asker)))) {
        rc = call_fail(call, HUB_NOT_FOUND, "Task %.*s not found", (int)(id.n < 200 ? id.n : 200),
                       (const char *)id.p);
    } else if (found == STORE_OK) {
        struct json_out o = json_out_to(call->out);
        work_json(&o, view, &work, true);
    }
    store_release(call->io->reader);
    return found == STORE_OK || found == STORE_NOT_FOUND ? rc : hub_rc_of_store(found);
}

static enum hub_rc cancel_prepare(struct call *call, struct buf *body)
{
    struct work_cancel cancel = {.asker = asker_of(call->who), .id = call_text(call, "task_id")};
    enum hub_rc rc = call_reason(call, &cancel.reason);
    if (rc == HUB_OK) {
        work_cancel_put(body, &cancel);
    }
    return rc;
}

/* ---- swarm.consensus ---- */

static enum hub_rc options_in(struct call *call, struct buf *packed, struct words *out)
{
    const json_t *list = call_json(call, "options");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        pack_slice(packed, slice_of(json_string_value(item), json_string_length(item)));
        out->n++;
    }
    out->packed = buf_slice(packed);
    return HUB_OK;
}

/* A threshold is that of a supermajority, whatever algorithm was named beside it. */
static enum hub_rc rule_in(struct call *call, struct swarm_consensus *out)
{
    struct slice name = call_text(call, "consensus_algorithm");
    const json_t *threshold = call_json(call, "consensus_threshold");
    out->rule = RULE_MAJORITY;
    out->rule_said = name.p && !json_is_number(threshold);
    out->threshold_said = json_is_number(threshold);
    out->threshold = (struct tally_fraction){2, 3};
    if (name.p && !tally_rule_of(name, &out->rule)) {
        return call_fail_word(call, "consensus_algorithm", "rule", name, &words_tally_rule);
    }
    if (json_is_number(threshold)) {
        out->rule = RULE_SUPERMAJORITY;
        out->threshold = tally_fraction_near(json_number_value(threshold));
    }
    return HUB_OK;
}

static enum hub_rc consensus_prepare(struct call *call, struct buf *body)
{
    struct buf options = {0};
    struct swarm_consensus ask = {
        .asker = asker_of(call->who),
        .task_id = call_text(call, "task_id"),
        .timeout_ms = (int64_t)(call_number(call, "timeout_seconds", ROUND_S_DEFAULT) * 1000)};
    ask.wait_ms = call_bool(call, "wait", false) ? ask.timeout_ms : 0;
    enum hub_rc rc = rule_in(call, &ask);
    if (rc == HUB_OK) {
        rc = options_in(call, &options, &ask.options);
    }
    if (rc == HUB_OK) {
        swarm_consensus_put(body, &ask);
    }
    buf_done(&options);
    return rc;
}

static struct slice winner_of(const struct round *r)
{
    struct slice rest = r->options, option = {0};
    for (int i = 0; i <= r->winner && round_option_next(&rest, &option); i++) {
    }
    return r->winner >= 0 ? option : slice_of(NULL, 0);
}

/* Votes are shown when they have been counted. */
static void put_votes(struct json_out *o, const struct round *r, const struct paper *p)
{
    struct slice rest = r->options, option;
    json_begin(o, '{');
    for (uint32_t at = 0;
         r->closed_ms && r->status != ROUND_CANCELLED && round_option_next(&rest, &option); at++) {
        uint64_t votes = 0;
        for (uint32_t i = 0; i < p->ballots_n; i++) {
            const struct round_ballot *b = &p->ballots[i];
            votes += b->fate == BALLOT_COUNTS && b->vote.choices_n && b->vote.choices[0] == at;
        }
        json_key_slice(o, option);
        json_u64(o, votes);
    }
    json_end(o, '}');
}

/* The member that the voter's seat is for. */
static struct slice member_of(struct store_view *view, const struct work *w, struct slice voter)
{
    struct slice rest = slice_of(NULL, 0);
    struct work_member m;
    struct member row;
    (void)work_document(view, w->number, WORK_MEMBERS, &rest);
    while (work_member_next(&rest, &m)) {
        if (slice_equal(m.agent, voter) ||
            (!m.agent.n && member_find(view, w->app, m.id, &row) == STORE_OK &&
             slice_equal(row.agent, voter))) {
            return m.id;
        }
    }
    return voter;
}

static void put_participants(struct json_out *o, struct store_view *view, const struct work *w,
                             const struct paper *p)
{
    json_key(o, "participating_members");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        if (p->ballots[i].fate == BALLOT_COUNTS) {
            json_text(o, member_of(view, w, p->seats[p->ballots[i].vote.seat].id));
        }
    }
    json_end(o, ']');
}

static void verdict_json(struct json_out *o, struct store_view *view, const struct round *r,
                         const struct paper *p, const struct work *w)
{
    bool majority = r->terms.rule == RULE_MAJORITY;
    json_begin(o, '{');
    put_text(o, "task_id", w->id);
    put_swarm_id(o, view, w);
    put_str(o, "consensus_algorithm", majority ? "majority-vote" : tally_rule_name(r->terms.rule));
    if (r->terms.rule == RULE_SUPERMAJORITY) {
        json_key(o, "consensus_threshold");
        json_double(o, (double)r->terms.threshold.over / r->terms.threshold.under);
    }
    json_key(o, "result");
    json_begin(o, '{');
    put_text_or_null(o, "final_answer", winner_of(r));
    json_key(o, "votes");
    put_votes(o, r, p);
    json_end(o, '}');
    json_key(o, "confidence_score");
    json_double(o, (double)r->confidence / TALLY_ONE);
    put_participants(o, view, w, p);
    put_time_or_null(o, "consensus_reached_at", r->status == ROUND_DECIDED ? r->closed_ms : 0);
    put_text(o, "round_id", r->id);
    put_bool(o, "consensus_reached", r->status == ROUND_DECIDED);
    put_str(o, "status", round_status_name(r->status));
    put_count(o, "eligible", r->seats_n);
    put_count(o, "voted", r->voted_n);
    put_time(o, "deadline", r->deadline_ms);
    json_end(o, '}');
}

static enum hub_rc put_verdict(struct call *call, struct store_view *view, const struct round *r)
{
    struct work work;
    struct paper paper;
    enum store_rc rc = work_find(view, r->app, r->reference, &work);
    if (rc == STORE_OK) {
        rc = round_paper(view, r, &paper);
    }
    if (rc == STORE_OK) {
        struct json_out o = json_out_to(call->out);
        verdict_json(&o, view, r, &paper, &work);
        paper_done(&paper);
    }
    return hub_rc_of_store(rc);
}

/* The round and where its channel stands, in one snapshot: what comes after it wakes who waits. */
static enum hub_rc show_verdict(struct call *call, struct slice id, int64_t wait_ms)
{
    struct buf channel = {0};
    struct replay_span span;
    struct round round;
    round_channel(&channel, id);
    struct slice name = buf_slice(&channel);
    enum store_rc rc = replay_span(call->io->hub->log, call->io->reader, call->who->app, name,
                                   io_options(call->io, call->who->app, name), call->now_ms, &span);
    if (rc == STORE_OK) {
        rc = round_find(span.view, call->who->app, id, &round);
    }
    enum hub_rc out = rc == STORE_OK ? put_verdict(call, span.view, &round) : hub_rc_of_store(rc);
    if (rc == STORE_OK && out == HUB_OK && round.status == ROUND_OPEN && wait_ms > 0) {
        call_wait(call, name, span.head.last, wait_ms);
        memcpy(call->wait.about, id.p, id.n);
    }
    store_release(call->io->reader);
    buf_done(&channel);
    return out;
}

static enum hub_rc show_verdict_again(struct call *call, struct slice about)
{
    return show_verdict(call, about, 1); /* how long is for whoever waits to know */
}

static enum hub_rc consensus_answer(struct call *call, const struct command *command,
                                    struct slice reply)
{
    struct store_view *view;
    struct round round;
    char id[ROUND_ID_CHARS];
    uint32_t number;
    int64_t wait_ms;
    (void)command;
    if (!swarm_verdict_get(reply, &number, &wait_ms)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(round_get(view, number, &round));
        memcpy(id, rc == HUB_OK ? round.id.p : (const uint8_t *)"", rc == HUB_OK ? sizeof id : 0);
        store_release(call->io->reader);
    }
    if (rc != HUB_OK) {
        return rc;
    }
    call->wait.again = show_verdict_again;
    return show_verdict(call, slice_of(id, sizeof id), wait_ms);
}

/* clang-format off */
#define SWARM_PATH(method, rest, code) {method, "/swarm" rest, code, STYLE_PROBLEM, false}
#define SWARM_ID {"type":["string","null"],"maxLength":64}
/* In a body an empty one is a fault: who leaves as nobody would leave as everybody. */
#define SOME_ID {"type":["string","null"],"minLength":1,"maxLength":64}
#define WORK_ID {"type":["string","null"],"minLength":1,"maxLength":128}
#define MEMBER {"type":"object","properties":{"member_id":{"type":"string"},"role":{"type":"string"},"capability":{"type":"string"}, \
    "region":{"type":["string","null"]},"priority":{"type":"string"},"status":{"enum":["joining","active","suspended"]},"joined_at":SHAPE_TIME,"agent_id":{"type":"string"}}}
#define LEFT SCHEMA({"type":"object","required":["swarm_id","member_id","left_at","status"],"properties":{"swarm_id":{"type":"string"},"member_id":{"type":"string"},"left_at":SHAPE_TIME, \
    "status":{"const":"left"},"members":{"type":"array","items":{"type":"string"},"description":"All that left."}}})
#define WORK_PROPERTIES "task_id":{"type":"string"},"swarm_id":{"type":["string","null"]},"coordination_strategy":{"type":"string"},"status":{"type":"string"}, \
    "state":{"enum":["mapping","reducing","completed","partial","failed","cancelled"]}, \
    "assigned_members":{"type":"array","items":{"type":"string"}},"progress":{"type":"number"},"started_at":SHAPE_TIME,"completed_at":SHAPE_TIME_OR_NULL
#define WORK SCHEMA({"type":"object","required":["task_id","swarm_id","coordination_strategy","status","assigned_members","started_at"],"properties":{WORK_PROPERTIES}})
#define VERDICT_PARAMS(...) SCHEMA({"type":"object","required":[__VA_ARGS__],"properties":{"task_id":{"type":"string","minLength":1,"maxLength":128}, \
    "consensus_algorithm":{"type":["string","null"],"maxLength":64,"default":"majority-vote","description":"A rule of rounds: docs/consensus.md."}, \
    "consensus_threshold":{"type":["number","null"],"exclusiveMinimum":0.5,"maximum":1,"description":"The share of the votes that decides."}, \
    "timeout_seconds":{"type":["number","null"],"exclusiveMinimum":0,"maximum":604800,"default":300}, \
    "options":{"type":["array","null"],"minItems":1,"maxItems":64,"items":{"type":"string","minLength":1,"maxLength":256},"description":"What may be voted for; the members' answers when absent."}, \
    "wait":{"type":["boolean","null"],"description":"Answer when the round is closed."}}})
#define VERDICT SCHEMA({"type":"object","required":["task_id","swarm_id","consensus_algorithm","result","confidence_score","participating_members","consensus_reached_at","round_id","consensus_reached","status"],"properties":{ \
    "task_id":{"type":"string"},"swarm_id":{"type":["string","null"]},"consensus_algorithm":{"type":"string"},"consensus_threshold":{"type":"number"}, \
    "result":{"type":"object","properties":{"final_answer":{"type":["string","null"]},"votes":{"type":"object","additionalProperties":SHAPE_COUNT,"description":"Once they are counted."}}}, \
    "confidence_score":{"type":"number"},"participating_members":{"type":"array","items":{"type":"string"}},"consensus_reached_at":SHAPE_TIME_OR_NULL, \
    "round_id":{"type":"string"},"consensus_reached":{"type":"boolean"},"status":{"enum":["open","decided","tied","no_quorum","no_decision","cancelled"]}}})

static const struct operation rows[] = {
    { .name = "swarm.join", .summary = "Join a swarm: the one named, the one for the capability, or a new one",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {SWARM_PATH(METHOD_POST, "/join", 201)},
      .params = SCHEMA({"type":"object","required":["role","capability"],"properties":{
          "role":{"type":"string","description":"load-balancer, resource-optimizer, task-coordinator, monitor or worker.","examples":["load-balancer"]},
          "capability":{"type":"string","minLength":1,"maxLength":128},
          "region":{"type":["string","null"],"maxLength":128},
          "priority":{"type":["string","null"],"default":"normal"},
          "swarm_id":SOME_ID,
          "agent_id":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"Who does the member's work; the caller when absent."}}}),
      .answer_schema = SCHEMA({"type":"object","required":["swarm_id","member_id","role","status","joined_at","capability","region","priority"],"properties":{
          "swarm_id":{"type":"string"},"member_id":{"type":"string"},"role":{"type":"string"},"status":{"type":"string"},"joined_at":SHAPE_TIME,
          "capability":{"type":"string"},"region":{"type":["string","null"]},"priority":{"type":"string"},"agent_id":{"type":"string"}}}),
      .kind = &command_swarm_join, .prepare = join_prepare, .answer = join_answer },
    { .name = "swarm.leave", .summary = "Leave a swarm: one member, or all of the caller's",
      .needs = ROLE_AGENT,
      .routes = {SWARM_PATH(METHOD_POST, "/leave", 200), SWARM_PATH(METHOD_POST, "/{swarm_id}/leave", 200)},
      .params = SCHEMA({"type":"object","required":["swarm_id"],"properties":{"swarm_id":{"type":"string","minLength":1,"maxLength":64},"member_id":SOME_ID,"reason":SHAPE_REASON,"leases":{"enum":["finish","return",null],"default":"finish","description":"What becomes of the work that its agent holds for the swarm."}}}),
      .answer_schema = LEFT,
      .kind = &command_swarm_leave, .prepare = leave_prepare, .answer = leave_answer },
    { .name = "swarm.list", .summary = "Swarms and their members, newest first",
      .needs = ROLE_VIEWER,
      .routes = {SWARM_PATH(METHOD_GET, "/list", 200)},
      .params = SCHEMA({"type":"object","properties":{"swarm_id":SWARM_ID,
          "status":{"type":["string","null"],"description":"active, coordinating, suspended, empty or all."},
          "limit":{"type":"integer","minimum":1,"maximum":1000,"default":20},"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","required":["swarms","total_count"],"properties":{"swarms":{"type":"array","items":{"type":"object","properties":{
          "swarm_id":{"type":"string"},"members":{"type":"array","items":MEMBER},"created_at":SHAPE_TIME,"coordination_status":{"type":"string"},"member_count":SHAPE_COUNT}}},
          "count":SHAPE_COUNT,"total_count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list },
    { .name = "swarm.status", .summary = "Swarms in figures, computed from what their members did; next_cursor is the header Next-Cursor, or stands beside the result of a call",
      .needs = ROLE_VIEWER,
      .routes = {SWARM_PATH(METHOD_GET, "/status", 200)},
      .params = SCHEMA({"type":"object","properties":{"swarm_id":SWARM_ID,"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"array","items":{"type":"object","required":["swarm_id","member_count","active_tasks","coordination_status","performance_metrics"],"properties":{
          "swarm_id":{"type":"string"},"member_count":SHAPE_COUNT,"active_members":SHAPE_COUNT,"active_tasks":SHAPE_COUNT,"coordination_status":{"type":"string"},
          "leader":{"type":["string","null"],"description":"The member that was elected last, as long as it is there."},
          "performance_metrics":{"type":"object","additionalProperties":{"type":"number"},"description":"Seconds a task; share that was done; share of the members' time that was work."}}}}),
      .query = status },
    { .name = "swarm.coordinate", .summary = "Have work done by members of a swarm",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {SWARM_PATH(METHOD_POST, "/coordinate", 200)},
      .params = SCHEMA({"type":"object","properties":{
          "task_id":WORK_ID,
          "task":{"type":["string","null"],"minLength":1,"maxLength":65536,"description":"The other form: what is to be done, in words."},
          "strategy":{"type":["string","null"],"maxLength":64,"description":"map-reduce, broadcast, race, pipeline, scatter-vote, consensus, leader-election, distributed, round-robin or hierarchical."},
          "parameters":{"type":["object","null"],"description":"What the members get. items are shared out; shards, reducer, field, by, k, require, timeout_seconds, capability, members and max_members steer.","examples":[{"items":[1,2,3],"reducer":"sum"}]},
          "collaborators":{"type":["integer","null"],"minimum":1,"maximum":1000,"default":5},
          "timeout_seconds":{"type":["number","null"],"exclusiveMinimum":0,"maximum":604800,"default":3600},
          "priority":{"type":["string","null"],"default":"normal"},
          "swarm_id":SOME_ID}}),
      .answer_schema = WORK,
      .kind = &command_swarm_coordinate, .prepare = coordinate_prepare, .answer = coordinate_answer },
    { .name = "swarm.task", .summary = "Work of a swarm: progress, parts and result",
      .needs = ROLE_VIEWER,
      .routes = {SWARM_PATH(METHOD_GET, "/tasks/{task_id}/status", 200)},
      .params = SCHEMA({"type":"object","properties":{"task_id":WORK_ID}}),
      .answer_schema = SCHEMA({"type":"object","required":["task_id","status","progress","active_collaborators","total_collaborators"],"properties":{WORK_PROPERTIES,
          "active_collaborators":SHAPE_COUNT,"total_collaborators":SHAPE_COUNT,"merge_task_id":MERGE_TASK_ID,"result":{},
          "shards":{"type":"array","items":{"type":"object"},"description":"Each part: member, agent, task, attempt, result."}}}),
      .query = task_status },
    { .name = "swarm.cancel", .summary = "Cancel work of a swarm",
      .needs = ROLE_AGENT,
      .routes = {SWARM_PATH(METHOD_POST, "/tasks/{task_id}/cancel", 200)},
      .params = SCHEMA({"type":"object","properties":{"task_id":WORK_ID,"reason":SHAPE_REASON}}),
      .answer_schema = WORK,
      .kind = &command_work_cancel, .prepare = cancel_prepare, .answer = coordinate_answer },
    { .name = "swarm.consensus", .summary = "Agree on the result of a swarm's work: its members' answers are their ballots",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {SWARM_PATH(METHOD_POST, "/consensus", 200)},
      .params = VERDICT_PARAMS("task_id"), .answer_schema = VERDICT,
      .kind = &command_swarm_consensus, .prepare = consensus_prepare, .answer = consensus_answer },
    { .name = "swarm.task_consensus", .summary = "Agree on the result of a swarm's work, with a threshold",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {SWARM_PATH(METHOD_POST, "/tasks/{task_id}/consensus", 200)},
      .params = VERDICT_PARAMS("task_id","consensus_threshold"), .answer_schema = VERDICT,
      .kind = &command_swarm_consensus, .prepare = consensus_prepare, .answer = consensus_answer },
};
/* clang-format on */

const struct operation_table swarm_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};

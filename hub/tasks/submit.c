/* What those who want work done ask for: submit, cancel, give input, replay, clear a queue. */
#include "hub/tasks/inside.h"

#include <stdlib.h>

enum { MANY_MAX = 10000, LOOKED_MAX = 1000000 };

/* ---- bodies and replies ---- */

static void put_words(struct buf *b, const struct words *words)
{
    pack_u32(b, words->n);
    pack_slice(b, words->packed);
}

static struct words get_words(struct unpack *u)
{
    uint32_t n = unpack_u32(u);
    return (struct words){.n = n, .packed = unpack_slice(u)};
}

static void put_spec(struct buf *b, const struct task_spec *s)
{
    pack_slice(b, s->id);
    pack_u8(b, s->uuid);
    pack_u8(b, (uint8_t)s->priority);
    pack_slice(b, s->data);
    task_needs_pack(b, &s->needs);
    put_words(b, &s->prefer);
    pack_slice(b, s->region);
    pack_slice(b, s->fairness);
    pack_slice(b, s->sticky);
    const int64_t spans[] = {s->delay_ms,        s->start_within_ms, s->close_within_ms,
                             s->total_within_ms, s->input_within_ms, s->lease_ms};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        pack_i64(b, spans[i]);
    }
    pack_u16(b, s->attempts_max);
}

static bool get_spec(struct unpack *u, struct task_spec *s)
{
    *s = (struct task_spec){.id = unpack_slice(u)};
    s->uuid = unpack_u8(u) != 0;
    uint8_t priority = unpack_u8(u);
    s->priority = (enum task_priority)priority;
    s->data = unpack_slice(u);
    if (!task_needs_unpack(u, &s->needs) || priority >= TASK_PRIORITIES) {
        return false;
    }
    s->prefer = get_words(u);
    s->region = unpack_slice(u);
    s->fairness = unpack_slice(u);
    s->sticky = unpack_slice(u);
    int64_t *const spans[] = {&s->delay_ms,        &s->start_within_ms, &s->close_within_ms,
                              &s->total_within_ms, &s->input_within_ms, &s->lease_ms};
    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        *spans[i] = unpack_i64(u);
    }
    s->attempts_max = unpack_u16(u);
    return unpack_done(u);
}

void task_submit_put(struct buf *b, const struct task_submit *submit)
{
    asker_put(b, &submit->asker);
    pack_slice(b, submit->said);
    put_spec(b, &submit->spec);
}

static void reply_submitted(struct apply *a, struct command *command, const struct task *task,
                            struct slice said, bool again)
{
    struct buf b = {0};
    pack_u64(&b, task->number);
    pack_i64(&b, again ? task->submitted_ms : a->now_ms);
    pack_u8(&b, (uint8_t)task->priority);
    pack_u8(&b, (uint8_t)task->state);
    pack_u8(&b, again);
    pack_slice(&b, task->id);
    pack_slice(&b, said);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

bool task_submitted_get(struct slice reply, struct task_submitted *out)
{
    struct unpack u = unpack_of(reply);
    out->number = unpack_u64(&u);
    out->at_ms = unpack_i64(&u);
    out->priority = (enum task_priority)unpack_u8(&u);
    out->state = (enum task_state)unpack_u8(&u);
    out->again = unpack_u8(&u) != 0;
    out->id = unpack_slice(&u);
    out->said = unpack_slice(&u);
    return unpack_done(&u) && out->priority < TASK_PRIORITIES && out->state < TASK_STATES;
}

/* ---- submit ---- */

/* The caller gave the id of a task that is there. The same body again asks for the same task, be it
 * over or not: the answer may have been lost on its way. HUB_NOT_FOUND: the id is free again. */
static enum hub_rc submit_again(struct apply *a, struct command *command,
                                const struct task_submit *s, const struct task *known,
                                uint64_t request_hash)
{
    enum { WINDOW_MS = 24 * 3600 * 1000 };
    bool over = task_is_over(known->state), late = a->now_ms - known->submitted_ms > WINDOW_MS;
    if (!asker_sees(&s->asker, known->owner)) {
        return apply_refuse(a, command, HUB_CONFLICT, "the task id ", s->spec.id, " is taken");
    }
    if (known->request_hash == request_hash && !(over && late)) {
        reply_submitted(a, command, known, s->said, true);
        return HUB_OK;
    }
    return over ? HUB_NOT_FOUND
                : apply_refuse(a, command, HUB_CONFLICT, "Task ", s->spec.id,
                               " is there already, with another body");
}

static enum hub_rc submit_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct task_submit s = {.asker = asker_get(&u)};
    s.said = unpack_slice(&u);
    uint64_t request_hash = hash64(0, slice_of(u.p, (size_t)(u.end - u.p)));
    struct task task;
    struct buf id = {0};
    if (!get_spec(&u, &s.spec)) {
        return HUB_BAD_REQUEST;
    }
    s.spec.owner = s.asker.subject;
    enum hub_rc rc = HUB_NOT_FOUND;
    if (s.spec.id.n) {
        rc = hub_rc_of_store(task_find(a->view, a->app, s.spec.id, &task));
        rc = rc == HUB_OK ? submit_again(a, command, &s, &task, request_hash) : rc;
    }
    if (rc != HUB_NOT_FOUND) {
        return rc;
    }
    rc = task_create(a, &s.spec, request_hash, a->seed, &task, &id);
    if (rc == HUB_OK) {
        reply_submitted(a, command, &task, s.said, false);
    }
    buf_done(&id);
    return rc;
}

const struct command_kind command_task_submit = {
    .name = "tasks.submit", .apply = submit_apply, .module = MODULE_TASKS};

/* ---- replay ---- */

static bool may_replay(const struct task *task)
{
    return (task->state == TASK_DEAD || task->state == TASK_EXPIRED) && !task->replayed_as;
}

static const char *why_no_replay(const struct task *task)
{
    return task->replayed_as == 0             ? " is no dead letter"
           : task->replayed_as == TASK_PURGED ? " was purged"
                                              : " was replayed already";
}

static struct task_spec spec_again(const struct task *k, struct slice data)
{
    return (struct task_spec){
        .owner = k->owner,
        .priority = k->priority,
        .data = data,
        .needs = k->needs,
        .prefer = k->prefer,
        .region = k->region,
        .fairness = k->fairness,
        .sticky = k->sticky,
        .start_within_ms = k->start_within_ms,
        .close_within_ms = k->close_within_ms,
        .total_within_ms = k->total_within_ms,
        .input_within_ms = k->input_within_ms,
        .lease_ms = k->lease_ms,
        .attempts_max = k->attempts_max,
        .replay_of = k->number,
    };
}

/* A new task of the same make; the old one stays as it ended and names it. */
static enum hub_rc replay(struct apply *a, const struct task *old, struct slice by, uint32_t nth,
                          struct task *out)
{
    struct slice stored;
    struct buf data = {0};
    struct task after = *old;
    uint64_t number;
    enum hub_rc rc = hub_rc_of_store(task_document(a->view, old->number, TASK_DATA, &stored));
    if (rc == HUB_OK) {
        buf_add_slice(&data, stored);
        struct task_spec spec = spec_again(old, buf_slice(&data));
        spec.by = by;
        rc = task_submit_inside(a, &spec, nth, &number);
    }
    if (rc == HUB_OK) {
        after.replayed_as = number;
        rc = hub_rc_of_store(task_put(a->txn, &after, old));
    }
    if (rc == HUB_OK) {
        rc = task_take(a, number, out);
    }
    buf_done(&data);
    return rc;
}

/* Whoever owns the agent that has a task, or had it, sees it and reports of it; what becomes of it
 * besides is for its owner to say. */
static enum hub_rc task_own(struct apply *a, struct command *command, const struct task_act *act,
                            struct task *out)
{
    enum hub_rc rc = task_see(a, command, act, out);
    return rc == HUB_OK && !asker_sees(&act->asker, out->owner)
               ? apply_refuse(a, command, HUB_FORBIDDEN, "Task ", act->id, " is somebody else's")
               : rc;
}

static enum hub_rc replay_apply(struct apply *a, struct command *command, struct slice body)
{
    struct task_act act;
    struct task old, made;
    if (!task_act_get(body, &act)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = task_own(a, command, &act, &old);
    if (rc == HUB_OK && !may_replay(&old)) {
        rc = apply_refuse(a, command, HUB_CONFLICT, "Task ", act.id, why_no_replay(&old));
    }
    if (rc == HUB_OK) {
        rc = replay(a, &old, act.asker.subject, 0, &made);
    }
    if (rc == HUB_OK) {
        reply_submitted(a, command, &made, slice_str(task_priority_name(made.priority)), false);
    }
    return rc;
}

const struct command_kind command_task_replay = {
    .name = "tasks.replay", .apply = replay_apply, .module = MODULE_TASKS};

/* ---- many: found first, as a change moves what a list stands on ---- */

void task_many_put(struct buf *b, const struct task_many *many)
{
    asker_put(b, &many->asker);
    pack_slice(b, many->said);
    pack_u8(b, (uint8_t)many->priority);
    pack_u8(b, (uint8_t)many->stop);
    pack_u32(b, many->n_max);
    pack_slice(b, many->reason);
}

static bool task_many_get(struct slice body, struct task_many *out)
{
    struct unpack u = unpack_of(body);
    out->asker = asker_get(&u);
    out->said = unpack_slice(&u);
    out->priority = (enum task_priority)unpack_u8(&u);
    out->stop = (enum task_stop)unpack_u8(&u);
    out->n_max = unpack_u32(&u);
    out->reason = unpack_slice(&u);
    out->n_max = out->n_max && out->n_max < MANY_MAX ? out->n_max : MANY_MAX;
    return unpack_done(&u);
}

bool task_did_many_get(struct slice reply, struct task_did_many *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->n = unpack_u32(&u);
    out->more = unpack_u8(&u) != 0;
    out->said = unpack_slice(&u);
    return unpack_done(&u);
}

struct finding {
    const struct task_many *many;
    bool (*wanted)(const struct task *task);
    uint64_t *numbers;
    uint32_t n;
};

static bool find_one(void *ctx, const struct task *task)
{
    struct finding *f = ctx;
    const struct task_many *m = f->many;
    if (f->n == m->n_max) {
        return false;
    }
    if (f->wanted(task) && asker_sees(&m->asker, task->owner) &&
        (m->priority == TASK_PRIORITIES || task->priority == m->priority) &&
        (m->stop == STOP_NONE || task->stop == m->stop)) {
        f->numbers[f->n++] = task->number;
    }
    return true;
}

static bool is_queued(const struct task *task)
{
    return task->state == TASK_QUEUED;
}

static enum hub_rc do_many(struct apply *a, struct command *command, struct slice body,
                           enum task_status status, bool (*wanted)(const struct task *),
                           enum hub_rc (*one)(struct apply *, const struct task *,
                                              const struct task_many *, uint32_t nth))
{
    struct task_many many;
    if (!task_many_get(body, &many)) {
        return HUB_BAD_REQUEST;
    }
    struct task_list list = {.index = TASKS_IN_STATUS, .app = a->app, .status = status};
    struct finding f = {
        .many = &many, .wanted = wanted, .numbers = xcalloc(many.n_max, sizeof(uint64_t))};
    uint64_t next;
    enum hub_rc rc =
        hub_rc_of_store(tasks_each(a->view, &list, 0, LOOKED_MAX, find_one, &f, &next));
    for (uint32_t i = 0; rc == HUB_OK && i < f.n; i++) {
        struct task task;
        rc = task_take(a, f.numbers[i], &task);
        rc = rc == HUB_OK ? one(a, &task, &many, i) : rc;
    }
    if (rc == HUB_OK) {
        struct buf b = {0};
        pack_i64(&b, a->now_ms);
        pack_u32(&b, f.n);
        pack_u8(&b, next != 0);
        pack_slice(&b, many.said);
        apply_reply(a, command, buf_slice(&b));
        buf_done(&b);
    }
    free(f.numbers);
    return rc;
}

static struct why why_many(const struct task_many *many)
{
    return (struct why){.by = many->asker.subject, .reason = many->reason};
}

static enum hub_rc clear_one(struct apply *a, const struct task *task, const struct task_many *many,
                             uint32_t nth)
{
    struct why why = why_many(many);
    (void)nth;
    return task_cancel_with(a, task, STOP_CLEARED, &why);
}

static enum hub_rc clear_apply(struct apply *a, struct command *command, struct slice body)
{
    return do_many(a, command, body, TASK_IS_PENDING, is_queued, clear_one);
}

const struct command_kind command_tasks_clear = {
    .name = "tasks.clear", .apply = clear_apply, .module = MODULE_TASKS};

static enum hub_rc replay_one(struct apply *a, const struct task *task,
                              const struct task_many *many, uint32_t nth)
{
    struct task made;
    return replay(a, task, many->asker.subject, nth, &made);
}

static enum hub_rc replay_many_apply(struct apply *a, struct command *command, struct slice body)
{
    return do_many(a, command, body, TASK_IS_FAILED, may_replay, replay_one);
}

const struct command_kind command_tasks_replay = {
    .name = "tasks.replay_many", .apply = replay_many_apply, .module = MODULE_TASKS};

/* The task stays, as a task that failed; only the list of dead letters is rid of it. */
static enum hub_rc purge_one(struct apply *a, const struct task *task, const struct task_many *many,
                             uint32_t nth)
{
    struct task after = *task;
    struct why why = why_many(many);
    (void)nth;
    after.replayed_as = TASK_PURGED;
    return task_note(a, task, &after, "purged", &why);
}

static enum hub_rc purge_apply(struct apply *a, struct command *command, struct slice body)
{
    return do_many(a, command, body, TASK_IS_FAILED, may_replay, purge_one);
}

const struct command_kind command_tasks_purge = {
    .name = "tasks.purge", .apply = purge_apply, .module = MODULE_TASKS};

/* ---- cancel, input ---- */

/* The agent that was asked to stop has stopped. Whose lease is an old one was not asked. */
static enum hub_rc stopped(struct apply *a, struct command *command, const struct task_act *act,
                           const struct task *task)
{
    struct task after = *task;
    bool same = task_same_lease(tasks_of(a), &act->lease, task);
    if (same && task->state == TASK_CANCELLED) {
        return HUB_OK;
    }
    if (!same || !task_move(&after, TASK_CONFIRM)) {
        return apply_refuse(a, command, HUB_LEASE_LOST, "the lease of task ", act->id,
                            " is not held any more");
    }
    return task_change(a, task, &after, "cancelled", slice_of(NULL, 0));
}

static enum hub_rc cancel_one(struct apply *a, struct command *command, const struct task_act *act,
                              const struct task *task)
{
    if (task->state == TASK_CANCELLED || task->state == TASK_CANCELLING) {
        return HUB_OK;
    }
    struct why why = {.by = act->asker.subject, .reason = act->text};
    return task_is_over(task->state)
               ? apply_refuse(a, command, HUB_CONFLICT, "Task ", act->id, " is over already")
               : task_cancel_with(a, task, STOP_CANCELLED, &why);
}

static enum hub_rc cancel_apply(struct apply *a, struct command *command, struct slice body)
{
    struct task_act act;
    struct task task;
    if (!task_act_get(body, &act)) {
        return HUB_BAD_REQUEST;
    }
    bool by_agent = act.lease.number != 0;
    enum hub_rc rc =
        by_agent ? task_see(a, command, &act, &task) : task_own(a, command, &act, &task);
    if (rc == HUB_OK) {
        rc = by_agent ? stopped(a, command, &act, &task) : cancel_one(a, command, &act, &task);
    }
    return rc == HUB_OK ? task_reply(a, command, task.number) : rc;
}

const struct command_kind command_task_cancel = {
    .name = "tasks.cancel", .apply = cancel_apply, .module = MODULE_TASKS};

static enum hub_rc input_apply(struct apply *a, struct command *command, struct slice body)
{
    struct task_act act;
    struct task task, after;
    if (!task_act_get(body, &act)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = task_own(a, command, &act, &task);
    if (rc != HUB_OK) {
        return rc;
    }
    after = task;
    if (!task_move(&after, TASK_INPUT)) {
        return apply_refuse(a, command, HUB_CONFLICT, "Task ", act.id, " asks for no input");
    }
    rc = hub_rc_of_store(task_document_put(a->txn, after.number, TASK_GIVEN, act.document));
    if (rc == HUB_OK) {
        after.last_agent = 0; /* who asked may well go on, */
        after.started_ms = 0; /* as a new attempt, under a new lease */
        struct task_told told = {.why = {.by = act.asker.subject}};
        rc = task_change_told(a, &task, &after, "input", &told);
    }
    return rc == HUB_OK ? task_reply(a, command, after.number) : rc;
}

const struct command_kind command_task_input = {
    .name = "tasks.input", .apply = input_apply, .module = MODULE_TASKS};

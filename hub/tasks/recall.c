/* What the writer remembers of tasks, so that a simulation can compare it with what the store gives
 * back. What nobody was promised is no part of it: whose turn it is among the keys of a level, what
 * the strategies learned, to whom a task is not offered at once again. */
#include "hub/tasks/inside.h"

/* In the queue, or on the way back to it: who said no is left in peace for a while. */
static bool waits(const struct live *live)
{
    return live->item.waits || (live->state == TASK_QUEUED && live->due_ms <= live->shun_ms &&
                                live->shun_ms != INT64_MAX);
}

/* All of its row, as far as it is kept: what a command would go by. */
static uint64_t row_hash(const struct live *live)
{
    const struct task *task = kept_task(live);
    struct buf row = {0};
    if (task) {
        task_pack(&row, task);
    }
    uint64_t hash = hash64(0, buf_slice(&row));
    buf_done(&row);
    return hash;
}

static void recall_live(const struct live *live, bool lasting, struct buf *out)
{
    buf_printf(out, "task %llu of %u: %s, lease %u, agent %u, last %u%s\n",
               (unsigned long long)live->item.number, live->app, task_state_name(live->state),
               live->lease, live->agent, live->last_agent, waits(live) ? ", waits" : "");
    buf_printf(out, "- priority %u, fairness %llx, needs %llx, key %.*s\n", live->item.priority,
               (unsigned long long)live->item.fairness, (unsigned long long)live->kind->hash,
               (int)live->sticky_n, live->sticky_n ? live->sticky : "");
    buf_printf(out, "- queued %lld, deadline %lld, lease %lld until %lld\n",
               (long long)live->item.queued_ms, (long long)live->fixed_ms,
               (long long)live->lease_ms, (long long)(lasting ? 0 : live->lease_due_ms));
    buf_printf(out, "- row %llx\n", (unsigned long long)row_hash(live));
}

static void recall_app(const struct tasks_app *app, struct buf *out)
{
    const struct task_totals *totals = &app->totals;
    buf_printf(out, "app %u: paused %x\n", app->app, app->paused);
    for (unsigned i = 0; i < TASK_STATES; i++) {
        buf_printf(out, "- %s: %llu\n", task_state_name((enum task_state)i),
                   (unsigned long long)totals->in_state[i]);
    }
    buf_printf(out, "- offered %llu in %llu ms, redelivered %llu, rejected %llu\n",
               (unsigned long long)totals->distributed, (unsigned long long)totals->distribution_ms,
               (unsigned long long)totals->redelivered, (unsigned long long)totals->rejected);
}

/* Memory has a place for an app from when it is first asked for, the store from when it has
 * something. */
static bool has_something(const struct tasks_app *app)
{
    uint64_t n = app->paused;
    for (unsigned i = 0; i < TASK_STATES; i++) {
        n += app->totals.in_state[i];
    }
    return n > 0;
}

static void recall_worker(const struct worker *w, bool lasting, struct buf *out)
{
    buf_printf(out, "agent %u: %s, %u of %u%s%s", w->number, agent_status_name(w->status),
               w->held_n, w->slots, w->busy ? ", busy" : "",
               w->connection ? ", by a connection" : "");
    if (!lasting) {
        buf_printf(out, "%s%s", worker_is_there(w) ? ", there" : "",
                   w->ready_at != NOT_READY ? ", ready" : "");
    }
    buf_add_str(out, "\n");
}

void tasks_recall(const void *state, bool lasting, struct buf *out)
{
    const struct tasks *t = state;
    buf_printf(out, "newest %llu, %llu busy\n", (unsigned long long)t->newest,
               (unsigned long long)tasks_busy_agents(t));
    for (uint64_t n = 1; n <= t->newest; n++) {
        const struct live *live = live_find(t, n);
        if (live) {
            recall_live(live, lasting, out);
        }
    }
    for (uint32_t i = 1; i < APPS_FIGURED_MAX; i++) {
        if (i < t->apps_n && t->apps[i] && has_something(t->apps[i])) {
            recall_app(t->apps[i], out);
        }
        if (balance_strategy(t->balance, i) != BALANCE_LEAST_CONNECTIONS) {
            buf_printf(out, "app %u: %s\n", i,
                       balance_strategy_name(balance_strategy(t->balance, i)));
        }
    }
    for (uint32_t i = 0; i < t->places_n; i++) {
        if (t->places[i].worker) {
            recall_worker(t->places[i].worker, lasting, out);
        }
    }
}

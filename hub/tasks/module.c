#include "hub/tasks/module.h"
#include "hub/tasks/inside.h"

#include <stdlib.h>

/* The tasks of an agent that is gone for good go to others. */
static enum hub_rc revoke(struct apply *a, struct tasks *t, struct worker *w)
{
    enum hub_rc rc = HUB_OK;
    while (rc == HUB_OK && w && w->held) {
        uint64_t number = w->held->item.number;
        struct task task;
        rc = task_take(a, number, &task);
        rc = rc == HUB_OK ? task_lost(a, &task, "lease_lost") : rc;
        w = worker_of(t, w->number);
    }
    return rc;
}

enum hub_rc tasks_agent_changed(struct apply *a, const struct agent *agent,
                                enum agent_status before)
{
    struct tasks *t = tasks_of(a);
    enum hub_rc rc = HUB_OK;
    (void)before;
    worker_set(t, agent);
    if (agent_has_departed(agent->status)) {
        rc = revoke(a, t, worker_of(t, agent->number));
        worker_leave(t, agent->number);
    }
    return rc;
}

/* A batch changes an app's totals thousands of times: their row is written once, and the figures
 * are shown once. No other module's finish changes tasks. */
static enum hub_rc finish(struct apply *a, struct tray *const *trays, unsigned trays_n)
{
    struct tasks *t = a->state;
    enum hub_rc rc = HUB_OK;
    (void)trays, (void)trays_n;
    kept_settle(t);
    for (uint32_t i = 0; rc == HUB_OK && i < t->apps_n; i++) {
        struct tasks_app *app = t->apps[i];
        if (app && app->totals_moved) {
            app->totals_moved = false;
            figures_set(t, app);
            rc = hub_rc_of_store(task_totals_put(a->txn, app->app, &app->totals));
        }
    }
    return rc == HUB_OK ? balance_keep(a, t->balance, &t->keeping) : rc;
}

const struct module tasks_module = {
    .name = "tasks",
    .open = tasks_open,
    .close = tasks_close,
    .load = tasks_load,
    .recall = tasks_recall,
    .next_due = tasks_next_due,
    .expire = tasks_expire,
    .part = tasks_part,
    .finish = finish,
};

#include "hub/swarms/module_parts.h"

#include <stdlib.h>

enum hub_rc swarms_task_changed(struct apply *a, const struct task *task, enum task_state before)
{
    return works_task_changed(a, task, before);
}

static enum hub_rc restart_apply(struct apply *a, struct command *command, struct slice body)
{
    (void)command;
    (void)body;
    return hub_rc_of_store(swarms_peopled_again(a->txn, a->view));
}

static const struct command_kind command_swarms_restart = {
    .name = "swarms.restart", .apply = restart_apply, .module = MODULE_SWARMS};

static void *swarms_open(const void *options)
{
    struct swarms_options *kept = xcalloc(1, sizeof *kept);
    *kept = *(const struct swarms_options *)options;
    return kept;
}

static const struct timer_kind timers[] = {
    {TIMER_WORK_DEADLINE, &command_work_deadline},
    {TIMER_WORK_STRAGGLER, &command_work_straggler},
    {TIMER_MEMBER_AWAITED, &command_member_awaited},
    {0, NULL},
};

const struct module swarms_module = {
    .name = "swarms",
    .restart = &command_swarms_restart,
    .open = swarms_open,
    .close = free,
    .timers = timers,
};

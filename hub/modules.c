#include "hub/modules.h"
#include "hub/audit/auditor.h"
#include "hub/messages/module.h"
#include "hub/networks/module.h"

/* clang-format off */
static const struct module *const modules[] = {
    [MODULE_AGENTS]    = &agents_module,
    [MODULE_AUTH]      = &auth_module,
    [MODULE_TASKS]     = &tasks_module,
    [MODULE_CONSENSUS] = &consensus_module,
    [MODULE_SWARMS]    = &swarms_module,
    [MODULE_NETWORKS]  = &networks_module,
    [MODULE_AUDIT]     = &audit_module,
    [MODULE_CURSORS]   = &cursors_module,
    [MODULE_MESSAGES]  = &messages_module,
};
/* clang-format on */

static const struct agent_watcher agent_watchers[] = {
    {.module = MODULE_TASKS, .changed = tasks_agent_changed},
    {.module = MODULE_SWARMS, .changed = swarms_agent_changed},
    {.module = MODULE_MESSAGES, .changed = messages_agent_changed},
};
static const struct task_watcher task_watchers[] = {
    {.module = MODULE_SWARMS, .changed = swarms_task_changed},
};

void modules_put(struct modules *out, struct hub *hub, void (*draw)(void *p, size_t n),
                 struct writer_options *writer)
{
    *out = (struct modules){
        .agents = {.pulses = hub->pulses,
                   .settings = &hub->settings,
                   .watchers = agent_watchers,
                   .watchers_n = sizeof agent_watchers / sizeof *agent_watchers},
        .auth = {.signing = &hub->signing,
                 .signing_changes = &hub->signing_changes,
                 .settings = &hub->settings,
                 .draw = draw,
                 .clock = &hub->clock},
        .tasks = {.pulses = hub->pulses,
                  .settings = &hub->settings,
                  .watchers = task_watchers,
                  .watchers_n = sizeof task_watchers / sizeof *task_watchers,
                  .life = task_life(hub->store)},
        .cursors = {.hash_seed = hub->hash_seed},
        .swarms = {.settings = &hub->settings},
    };
    /* What is not here keeps nothing in memory. */
    out->options[MODULE_AGENTS] = &out->agents;
    out->options[MODULE_AUTH] = &out->auth;
    out->options[MODULE_TASKS] = &out->tasks;
    out->options[MODULE_CONSENSUS] = &out->consensus;
    out->options[MODULE_CURSORS] = &out->cursors;
    out->options[MODULE_SWARMS] = &out->swarms;
    writer->modules = modules;
    writer->module_options = out->options;
    writer->modules_n = sizeof modules / sizeof *modules;
}

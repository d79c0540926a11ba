#include "hub/cli/top_model.h"

// clang-format off
static const struct column agents[] = {
    { "AGENT",        "agent_id",                  COLUMN_TEXT,   false },
    { "STATUS",       "status",                    COLUMN_STATUS, false },
    { "TYPE",         "agent_type",                COLUMN_TEXT,   false },
    { "HEALTH",       "health_score",              COLUMN_NUMBER, false },
    { "CPU",          "load_metrics.cpu",          COLUMN_NUMBER, false },
    { "TASKS",        "load_metrics.active_tasks", COLUMN_NUMBER, false },
    { "SLOTS",        "slots",                     COLUMN_NUMBER, false },
    { "BEAT",         "last_heartbeat",            COLUMN_AGE,    false },
    { "CAPABILITIES", "capabilities",              COLUMN_TEXT,   false },
    { 0 },
};
static const struct column queues[] = {
    { "QUEUE", "name", COLUMN_TEXT, false }, { "WAITING", "value", COLUMN_NUMBER, false }, { 0 },
};
static const struct column tasks[] = {
    { "TASK",     "task_id",            COLUMN_TEXT,   false },
    { "STATUS",   "status",             COLUMN_STATUS, false },
    { "STATE",    "state",              COLUMN_TEXT,   false },
    { "PRIORITY", "priority",           COLUMN_TEXT,   false },
    { "AGENT",    "agent_id",           COLUMN_TEXT,   false },
    { "TRIES",    "attempts",           COLUMN_NUMBER, false },
    { "AGE",      "submitted_at",       COLUMN_AGE,    false },
    { "WAITING",  "why_waiting.reason", COLUMN_TEXT,   false },
    { 0 },
};
static const struct column networks[] = {
    { "NETWORK",  "id",                    COLUMN_TEXT,   false },
    { "NAME",     "name",                  COLUMN_TEXT,   false },
    { "STATUS",   "status",                COLUMN_STATUS, false },
    { "STRATEGY", "coordination_strategy", COLUMN_TEXT,   false },
    { "AGENTS",   "agents",                COLUMN_TEXT,   false },
    { 0 },
};
static const struct column swarms[] = {
    { "SWARM",   "swarm_id",            COLUMN_TEXT,   false },
    { "STATUS",  "coordination_status", COLUMN_STATUS, false },
    { "CREATED", "created_at",          COLUMN_AGE,    false },
    { "MEMBERS", "members.*.member_id", COLUMN_TEXT,   false },
    { 0 },
};
static const struct column rounds[] = {
    { "ROUND",    "round_id",  COLUMN_TEXT,   false },
    { "STATUS",   "status",    COLUMN_STATUS, false },
    { "RULE",     "rule",      COLUMN_TEXT,   false },
    { "VOTED",    "voted",     COLUMN_NUMBER, false },
    { "SEATS",    "seats",     COLUMN_NUMBER, false },
    { "WINNER",   "winner",    COLUMN_TEXT,   false },
    { "OPENED",   "opened_at", COLUMN_AGE,    false },
    { "QUESTION", "question",  COLUMN_TEXT,   false },
    { 0 },
};
static const struct column messages[] = {
    { "MESSAGE", "message_id",   COLUMN_TEXT,   false },
    { "STATE",   "state",        COLUMN_STATUS, false },
    { "SENT",    "timestamp",    COLUMN_AGE,    false },
    { "FROM",    "sender_id",    COLUMN_TEXT,   false },
    { "TO",      "receiver_id",  COLUMN_TEXT,   false },
    { "TYPE",    "message_type", COLUMN_TEXT,   false },
    { "PAYLOAD", "payload",      COLUMN_TEXT,   false },
    { 0 },
};
static const struct column events[] = {
    { "CHANNEL", "channel", COLUMN_TEXT,   false },
    { "OFFSET",  "offset",  COLUMN_NUMBER, false },
    { "AGO",     "time",    COLUMN_AGE,    false },
    { "EVENT",   "event",   COLUMN_TEXT,   false },
    { "DATA",    "data",    COLUMN_TEXT,   false },
    { 0 },
};

static const struct top_action agent_actions[] = {
    { 'D', "drain",  "agents.status",     "agent_id", "\"status\":\"draining\"" },
    { 'R', "resume", "agents.status",     "agent_id", "\"status\":\"active\"" },
    { 'X', "remove", "agents.deregister", "agent_id", NULL },
    { 0 },
};
static const struct top_action queue_actions[] = { { 'C', "clear", "tasks.clear", "priority", NULL }, { 0 } };
static const struct top_action task_actions[] = {
    { 'c', "cancel", "tasks.cancel", "task_id", NULL },
    { 'r', "retry",  "tasks.replay", "task_id", NULL },
    { 0 },
};
static const struct top_action round_actions[] = { { 'c', "cancel", "consensus.cancel", "round_id", NULL }, { 0 } };
static const struct top_action no_actions[] = { { 0 } };

const struct top_view top_views[TOP_VIEWS] = {
    { "agents",    "Agents",    "agents.list",      "{\"limit\":1000}", "agents",      agents,   "status", "agents",      agent_actions },
    { "queues",    "Queues",    "tasks.queues",     "{}",               "queue_sizes", queues,   NULL,     "tasks",       queue_actions },
    { "tasks",     "Tasks",     "tasks.list",       "{\"limit\":1000}", "tasks",       tasks,    "status", "tasks",       task_actions },
    { "networks",  "Networks",  "networks.list",    "{\"limit\":1000}", "networks",    networks, "status", "network.>",   no_actions },
    { "swarms",    "Swarms",    "swarm.list",       "{\"limit\":1000}", "swarms",      swarms,   "coordination_status", "swarm.>", no_actions },
    { "consensus", "Consensus", "consensus.list",   "{\"limit\":1000}", "rounds",      rounds,   "status", "consensus.>", round_actions },
    { "messages",  "Messages",  "messages.history", "{\"limit\":1000}", "messages",    messages, "state",  "messages",    no_actions },
    { "log",       "Log",       NULL,               NULL,               NULL,          events,   NULL,     "task.> agent.>", no_actions },
};
// clang-format on

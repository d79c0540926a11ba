#include "hub/cli/queues.h"
#include "hub/cli/top_model.h"

// clang-format off
static const struct column pulses[] = {
    { "PULSE",          "pulse", COLUMN_TEXT,   false },
    { "NOW",            "now",   COLUMN_NUMBER, false },
    { "MOST",           "most",  COLUMN_NUMBER, false },
    { "THE LAST WHILE", "past",  COLUMN_TEXT,   false },
    { 0 },
};
static const struct column agents[] = {
    { "AGENT",        "agent_id",                  COLUMN_TEXT,   false },
    { "STATUS",       "status",                    COLUMN_STATUS, false },
    { "TYPE",         "agent_type",                COLUMN_TEXT,   false },
    { "HEALTH",       "health_score",              COLUMN_NUMBER, false },
    { "CPU",          "load_metrics.cpu",          COLUMN_NUMBER, false },
    { "TASKS",        "load_metrics.active_tasks", COLUMN_NUMBER, false },
    { "SLOTS",        "slots",                     COLUMN_NUMBER, false },
    { "BEAT",         "last_heartbeat",            COLUMN_AGE,    false },
    { "MEMORY",       "load_metrics.memory",       COLUMN_NUMBER, true },
    { "REGION",       "region",                    COLUMN_TEXT,   true },
    { "REGISTERED",   "registration_time",         COLUMN_AGE,    true },
    { "TAGS",         "tags",                      COLUMN_TEXT,   true },
    { "CAPABILITIES", "capabilities",              COLUMN_TEXT,   false },
    { 0 },
};
static const struct column tasks[] = {
    { "TASK",     "task_id",            COLUMN_TEXT,   false },
    { "STATUS",   "status",             COLUMN_STATUS, false },
    { "PRIORITY", "priority",           COLUMN_TEXT,   false },
    { "AGENT",    "agent_id",           COLUMN_TEXT,   false },
    { "TRIES",    "attempts",           COLUMN_NUMBER, false },
    { "AGE",      "submitted_at",       COLUMN_AGE,    false },
    { "STATE",    "state",              COLUMN_TEXT,   true },
    { "WAITING",  "why_waiting.reason", COLUMN_TEXT,   false },
    { "LOST",     "redeliveries",       COLUMN_NUMBER, true },
    { "ENDED",    "stop_reason",        COLUMN_TEXT,   true },
    { "OWNER",    "owner",              COLUMN_TEXT,   true },
    { "ERROR",    "error",              COLUMN_TEXT,   true },
    { 0 },
};
static const struct column dead[] = {
    { "TASK",     "task_id",      COLUMN_TEXT,   false },
    { "ENDED",    "stop_reason",  COLUMN_TEXT,   false },
    { "PRIORITY", "priority",     COLUMN_TEXT,   false },
    { "AGENT",    "agent_id",     COLUMN_TEXT,   false },
    { "TRIES",    "attempts",     COLUMN_NUMBER, false },
    { "LOST",     "redeliveries", COLUMN_NUMBER, false },
    { "AGO",      "finished_at",  COLUMN_AGE,    false },
    { "SUBMITTED", "submitted_at", COLUMN_AGE,   true },
    { "OWNER",    "owner",        COLUMN_TEXT,   true },
    { "ERROR",    "error",        COLUMN_TEXT,   false },
    { 0 },
};
static const struct column networks[] = {
    { "NETWORK",  "id",                    COLUMN_TEXT,   false },
    { "NAME",     "name",                  COLUMN_TEXT,   false },
    { "STATUS",   "status",                COLUMN_STATUS, false },
    { "STRATEGY", "coordination_strategy", COLUMN_TEXT,   false },
    { "AGENTS",   "agents",                COLUMN_TEXT,   false },
    { "CREATED",  "created_at",            COLUMN_AGE,    true },
    { "OWNER",    "owner_id",              COLUMN_TEXT,   true },
    { 0 },
};
static const struct column swarms[] = {
    { "SWARM",   "swarm_id",            COLUMN_TEXT,   false },
    { "STATUS",  "coordination_status", COLUMN_STATUS, false },
    { "CREATED", "created_at",          COLUMN_AGE,    false },
    { "SIZE",    "member_count",        COLUMN_NUMBER, false },
    { "AGENTS",  "members.*.agent_id",  COLUMN_TEXT,   false },
    { "MEMBERS", "members.*.member_id", COLUMN_TEXT,   true },
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
    { "DEADLINE", "deadline",  COLUMN_TEXT,   true },
    { "SURE",     "confidence_score", COLUMN_NUMBER, true },
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
    { "PRIORITY", "priority",    COLUMN_TEXT,   true },
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
    { 'D', "drain",  "agents.status",     "agent_id", "\"status\":\"draining\"", true },
    { 'R', "resume", "agents.status",     "agent_id", "\"status\":\"active\"",   true },
    { 'X', "remove", "agents.deregister", "agent_id", NULL,                      true },
    { 0 },
};
static const struct top_action queue_actions[] = {
    { 'p', "pause",  "tasks.queue_pause",  "priority", NULL, true },
    { 'P', "resume", "tasks.queue_resume", "priority", NULL, true },
    { 'C', "clear",  "tasks.clear",        "priority", NULL, true },
    { 0 },
};
static const struct top_action task_actions[] = {
    { 'c', "cancel", "tasks.cancel", "task_id", NULL, true },
    { 'r', "retry",  "tasks.replay", "task_id", NULL, false },
    { 0 },
};
static const struct top_action dead_actions[] = { { 'r', "retry", "tasks.replay", "task_id", NULL, false }, { 0 } };
static const struct top_action network_actions[] = { { 'X', "remove", "networks.delete", "network_id", NULL, true }, { 0 } };
static const struct top_action round_actions[] = { { 'c', "cancel", "consensus.cancel", "round_id", NULL, true }, { 0 } };
static const struct top_action no_actions[] = { { 0 } };

#define MANY "{\"limit\":1000}"
const struct top_view top_views[TOP_VIEWS] = {
    [TOP_PULSES]    = { "pulses",    "Pulses",    NULL,                 NULL, NULL,       NULL,        pulses,   NULL,     "hub",         no_actions },
    [TOP_AGENTS]    = { "agents",    "Agents",    "agents.list",        MANY, "agents",   NULL,        agents,   "status", "agents",      agent_actions },
    [TOP_QUEUES]    = { "queues",    "Queues",    "tasks.queues",       "{}", "",         queues_list, queue_columns, "status", "tasks",  queue_actions },
    [TOP_TASKS]     = { "tasks",     "Tasks",     "tasks.list",         MANY, "tasks",    NULL,        tasks,    "status", "tasks",       task_actions },
    [TOP_DLQ]       = { "dlq",       "Dead",      "tasks.dead_letters", MANY, "tasks",    NULL,        dead,     NULL,     "tasks",       dead_actions },
    [TOP_NETWORKS]  = { "networks",  "Networks",  "networks.list",      MANY, "networks", NULL,        networks, "status", "network.>",   network_actions },
    [TOP_SWARMS]    = { "swarms",    "Swarms",    "swarm.list",         MANY, "swarms",   NULL,        swarms,   "coordination_status", "swarm.>", no_actions },
    [TOP_CONSENSUS] = { "consensus", "Consensus", "consensus.list",     MANY, "rounds",   NULL,        rounds,   "status", "consensus.>", round_actions },
    [TOP_MESSAGES]  = { "messages",  "Messages",  "messages.history",   MANY, "messages", NULL,        messages, "state",  "messages",    no_actions },
    [TOP_LOG]       = { "log",       "Log",       NULL,                 NULL, NULL,       NULL,        events,   NULL,     "task.> agent.> auth channels", no_actions },
};
// clang-format on

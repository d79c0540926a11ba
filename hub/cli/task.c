/* Tasks, their queues and who gets them. */
#include "hub/cli/nouns.h"
#include "hub/cli/queues.h"

// clang-format off
static const char *const priorities[] = { "urgent", "critical", "high", "normal", "low", NULL };
static const char *const failures[] = { "non_retryable", "max_attempts", "poison", "schedule_to_start_timeout", "start_to_close_timeout", "total_timeout", "input_timeout", NULL };
static const char *const statuses[] = { "pending", "running", "completed", "failed", "cancelled", NULL };

static const struct column task_columns[] = {
    { "TASK",     "task_id",        COLUMN_TEXT,   false },
    { "STATUS",   "status",         COLUMN_STATUS, false },
    { "STATE",    "state",          COLUMN_TEXT,   false },
    { "PRIORITY", "priority",       COLUMN_TEXT,   false },
    { "AGENT",    "agent_id",       COLUMN_TEXT,   false },
    { "TRIES",    "attempts",       COLUMN_NUMBER, false },
    { "LOST",     "redeliveries",   COLUMN_NUMBER, true },
    { "AGE",      "submitted_at",   COLUMN_AGE,    false },
    { "WAITING",  "why_waiting.reason", COLUMN_TEXT,   false },
    { "ENDED",    "stop_reason",    COLUMN_TEXT,   true },
    { "OWNER",    "owner",          COLUMN_TEXT,   true },
    { 0 },
};

static const struct operand one_task[] = { { "TASK", OPTION_REQUIRED, "its id" }, { 0 } };
static const struct operand submit_operands[] = { { "DATA", OPTION_REQUIRED, "what is to be done, a JSON object; @FILE, or - for stdin" }, { 0 } };
static const struct operand one_queue[] = { { "PRIORITY", OPTION_REQUIRED, "urgent, critical, high, normal or low" }, { 0 } };
static const struct operand one_strategy[] = { { "STRATEGY", OPTION_REQUIRED, "least_connections, round_robin, weighted_round_robin, resource_based, geographic, random, least_response_time, capability_based, predictive or consistent_hash" }, { 0 } };

static const struct option submit_options[] = {
    { 'p', "priority", OPTION_CHOICE, 0, "PRIORITY", "how soon (normal)", priorities },
    { 0, "agent-type", OPTION_TEXT, 0, "TYPE", "only agents of this kind", NULL },
    { 0, "capability", OPTION_TEXT, OPTION_MANY, "C", "only agents that can do this", NULL },
    { 0, "service", OPTION_TEXT, OPTION_MANY, "S", "only agents that offer this", NULL },
    { 0, "min-health", OPTION_FRACTION, 0, "0..1", "only agents at least so well", NULL },
    { 0, "prefer", OPTION_TEXT, OPTION_MANY, "A,B", "these agents first, if one of them is free", NULL },
    { 0, "region", OPTION_TEXT, 0, "R", "where it would best be done", NULL },
    { 0, "fairness-key", OPTION_TEXT, 0, "KEY", "keys take turns within a priority", NULL },
    { 0, "sticky-key", OPTION_TEXT, 0, "KEY", "consistent_hash: the same key meets the same agent", NULL },
    { 0, "delay", OPTION_SECONDS, 0, "TIME", "not before that", NULL },
    { 0, "start-within", OPTION_SECONDS, 0, "TIME", "expires when it waits longer for an agent", NULL },
    { 0, "attempt-within", OPTION_SECONDS, 0, "TIME", "an attempt that takes longer has failed", NULL },
    { 0, "lease", OPTION_SECONDS, 0, "TIME", "another agent gets it when its own is silent for so long", NULL },
    { 0, "end-within", OPTION_SECONDS, 0, "TIME", "from the submit to the end, all attempts together", NULL },
    { 0, "max-attempts", OPTION_NUMBER, 0, "N", "so many failures are the end (3)", NULL },
    FOLLOW_OPTIONS,
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field submit_fields[] = {
    { "DATA", "task_data", FIELD_JSON },
    { "priority", "priority", FIELD_TEXT },
    { "agent-type", "requirements.agent_type", FIELD_TEXT },
    { "capability", "requirements.capabilities", FIELD_LIST },
    { "service", "requirements.services", FIELD_LIST },
    { "min-health", "requirements.min_health_score", FIELD_NUMBER },
    { "prefer", "prefer_agents", FIELD_LIST },
    { "region", "region", FIELD_TEXT },
    { "fairness-key", "fairness_key", FIELD_TEXT },
    { "sticky-key", "sticky_key", FIELD_TEXT },
    { "delay", "delay_seconds", FIELD_SECONDS },
    { "start-within", "schedule_to_start_seconds", FIELD_SECONDS },
    { "attempt-within", "start_to_close_seconds", FIELD_SECONDS },
    { "lease", "lease_seconds", FIELD_SECONDS },
    { "end-within", "total_seconds", FIELD_SECONDS },
    { "max-attempts", "max_attempts", FIELD_NUMBER },
    { 0 },
};
static const struct option list_options[] = {
    { 0, "status", OPTION_CHOICE, 0, "STATUS", "only those in this state", statuses },
    { 'p', "priority", OPTION_CHOICE, 0, "PRIORITY", "only those", priorities },
    { 0, "agent", OPTION_TEXT, 0, "ID", "only those that this agent has or had", NULL },
    REQUEST_OPTION_WATCH,
    PAGE_OPTIONS,
    { 0 },
};
static const struct field list_fields[] = {
    { "status", "status", FIELD_TEXT }, { "priority", "priority", FIELD_TEXT }, { "agent", "agent_id", FIELD_TEXT },
    { "limit", "limit", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { 0 } };
static const struct field dead_fields[] = {
    { "priority", "priority", FIELD_TEXT }, { "agent", "agent_id", FIELD_TEXT },
    { "limit", "limit", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { 0 } };
static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option watch_options[] = { FOLLOW_OPTION_WITHIN, { 0 } };
static const struct option cancel_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };
static const struct option replay_options[] = { FOLLOW_OPTIONS, REQUEST_OPTIONS_CREATE, { 0 } };
static const struct option extend_options[] = {
    { 0, "lease", OPTION_TEXT, OPTION_REQUIRED, "ID", "the lease, as the agent was told it", NULL }, REQUEST_OPTIONS_SEND, { 0 } };
static const struct field extend_fields[] = { { "lease", "lease_id", FIELD_TEXT }, { 0 } };
static const struct operand task_and_input[] = {
    { "TASK", OPTION_REQUIRED, "its id" }, { "INPUT", OPTION_REQUIRED, "what it asked for, JSON or else text" }, { 0 } };
static const struct field input_fields[] = { { "INPUT", "input", FIELD_ANY }, { 0 } };
static const struct option send_options[] = { REQUEST_OPTIONS_SEND, { 0 } };
static const struct option dead_options[] = {
    { 'p', "priority", OPTION_CHOICE, 0, "PRIORITY", "only those", priorities },
    { 0, "agent", OPTION_TEXT, 0, "ID", "only those that this agent had last", NULL },
    REQUEST_OPTION_WATCH,
    PAGE_OPTIONS,
    { 0 },
};
static const struct option replay_many_options[] = {
    { 'p', "priority", OPTION_CHOICE, 0, "PRIORITY", "only those", priorities },
    { 0, "stop-reason", OPTION_CHOICE, 0, "WORD", "only those that ended so", failures },
    { 0, "limit", OPTION_NUMBER, 0, "N", "at most so many (1000)", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field replay_many_fields[] = {
    { "priority", "priority", FIELD_TEXT }, { "stop-reason", "stop_reason", FIELD_TEXT }, { "limit", "limit", FIELD_NUMBER }, { 0 } };
static const struct option purge_options[] = {
    { 'p', "priority", OPTION_CHOICE, 0, "PRIORITY", "only those", priorities },
    { 0, "stop-reason", OPTION_CHOICE, 0, "WORD", "only those that ended so", failures },
    { 0, "limit", OPTION_NUMBER, 0, "N", "at most so many (1000)", NULL },
    REQUEST_OPTION_REASON,
    REQUEST_OPTIONS_DESTROY,
    { 0 },
};
static const struct field purge_fields[] = {
    { "priority", "priority", FIELD_TEXT }, { "stop-reason", "stop_reason", FIELD_TEXT }, { "limit", "limit", FIELD_NUMBER }, { "reason", "reason", FIELD_TEXT }, { 0 } };

static const struct operand pause_queue[] = { { "PRIORITY", OPTION_REQUIRED, "urgent, critical, high, normal, low or all" }, { 0 } };
static const struct option pause_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_SEND, { 0 } };
static const struct option clear_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };
static const struct option strategy_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_SEND, { 0 } };
static const struct field strategy_fields[] = { { "STRATEGY", "strategy", FIELD_TEXT }, { "reason", "reason", FIELD_TEXT }, { 0 } };

static const struct follow follow_task = {
    .id = "task_id", .channel = "task.", .method = "tasks.get", .param = "task_id", .member = "task", .show_id = "task_id" };

const struct verb task_verbs[] = {
    { { "task submit", "give the hub something to do", "Prints the task's id. With --follow it prints what becomes of it, and ends when it has ended: 0 when it is completed.",
        submit_operands, submit_options, request_run, "waggle task submit '{\"resize\":\"a.png\"}' --capability resize --priority high --follow" },
      { .method = "POST", .path = "/api/v1/tasks/submit", .fields = submit_fields, .id = "task_id", .follow = &follow_task } },
    { { "task ls", "the tasks, newest first", NULL, NULL, list_options, request_run, "waggle task ls --status failed -o id" },
      { .method = "GET", .path = "/api/v1/tasks", .fields = list_fields, .member = "tasks", .columns = task_columns, .how = REQUEST_PAGES, .channels = "tasks" } },
    { { "task show", "one task", NULL, one_task, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/tasks/{TASK}", .member = "task", .id = "task_id", .channels = "tasks" } },
    { { "task watch", "follow a task to its end", NULL, one_task, watch_options, request_run, "waggle task watch task_0123456789abcdef --within 1h" },
      { .follow = &follow_task } },
    { { "task cancel", "cancel a task", NULL, one_task, cancel_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/tasks/{TASK}/cancel", .fields = reason_fields, .id = "task_id", .how = REQUEST_DESTROYS } },
    { { "task retry", "submit a task that failed again, as a new one", NULL, one_task, replay_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/tasks/{TASK}/replay", .id = "task_id", .follow = &follow_task } },
    { { "task extend", "renew a lease", NULL, one_task, extend_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/tasks/{TASK}/renew", .fields = extend_fields, .id = "lease_until" } },
    { { "task input", "give a task the input it asked for", NULL, task_and_input, send_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/tasks/{TASK}/input", .fields = input_fields, .id = "task_id" } },
    { { "task dlq ls", "tasks that failed for good and were not replayed", NULL, NULL, dead_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/tasks/dead-letters", .fields = dead_fields, .member = "tasks", .columns = task_columns, .how = REQUEST_PAGES, .channels = "tasks" } },
    { { "task dlq replay", "submit those again, as new tasks", NULL, NULL, replay_many_options, request_run,
        "waggle task dlq replay --stop-reason start_to_close_timeout --limit 10" },
      { .method = "POST", .path = "/api/v1/tasks/dead-letters/replay", .fields = replay_many_fields, .id = "replayed_count" } },
    { { "task dlq purge", "take those out of that list: they stay as tasks that failed", NULL, NULL, purge_options, request_run,
        "waggle task dlq purge --stop-reason non_retryable --reason 'of the old format'" },
      { .method = "POST", .path = "/api/v1/tasks/dead-letters/purge", .fields = purge_fields, .id = "purged_count", .how = REQUEST_DESTROYS } },
    { { "task stats", "the tasks in figures", NULL, NULL, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/tasks/status", .member = "stats", .channels = "tasks" } },
    { { "queue ls", "the queues: how many wait, and which are paused", NULL, NULL, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/tasks/queues", .columns = queue_columns, .list = queues_list, .channels = "tasks" } },
    { { "queue stats", "the queues and what left them", NULL, NULL, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/tasks/queues/stats", .channels = "tasks" } },
    { { "queue pause", "offer what waits at a priority to nobody; what is being done goes on", "It outlives a restart of the hub.", pause_queue, pause_options, request_run, "waggle queue pause low --reason 'disk full'" },
      { .method = "POST", .path = "/api/v1/tasks/queues/{PRIORITY}/pause", .fields = reason_fields, .id = "priority" } },
    { { "queue resume", "offer it again", NULL, pause_queue, pause_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/tasks/queues/{PRIORITY}/resume", .fields = reason_fields, .id = "priority" } },
    { { "queue clear", "cancel all that waits at a priority", NULL, one_queue, clear_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/tasks/queues/{PRIORITY}/clear", .fields = reason_fields, .id = "cleared_count", .how = REQUEST_DESTROYS } },
    { { "lb stats", "how tasks are spread over agents", NULL, NULL, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/load-balancer/stats", .member = "stats", .channels = "tasks" } },
    { { "lb bottlenecks", "what the agents are short of, and what would help", NULL, NULL, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/load-balancer/bottlenecks", .channels = "tasks" } },
    { { "lb strategy", "spread tasks in another way, from now on", NULL, one_strategy, strategy_options, request_run, "waggle lb strategy resource_based" },
      { .method = "PUT", .path = "/api/v1/load-balancer/strategy", .fields = strategy_fields, .id = "strategy", .how = REQUEST_QUERY } },
    { { 0 }, { 0 } },
};
// clang-format on

/* Agent networks and swarms. The verbs are those of the programs that came before: `agent network`
 * as well as `network`, options where others have operands. */
#include "hub/cli/nouns.h"

// clang-format off
static const char *const roles[] = { "load-balancer", "resource-optimizer", "task-coordinator", "monitor", "worker", NULL };
static const char *const objectives[] = { "efficiency", "speed", "cost", "quality", NULL };

static const struct column network_columns[] = {
    { "NETWORK",  "id",                    COLUMN_TEXT,   false },
    { "NAME",     "name",                  COLUMN_TEXT,   false },
    { "STATUS",   "status",                COLUMN_STATUS, false },
    { "STRATEGY", "coordination_strategy", COLUMN_TEXT,   false },
    { "AGENTS",   "agents",                COLUMN_TEXT,   false },
    { "CREATED",  "created_at",            COLUMN_AGE,    false },
    { "OWNER",    "owner_id",              COLUMN_TEXT,   true },
    { 0 },
};
static const struct column execution_columns[] = {
    { "EXECUTION", "execution_id", COLUMN_TEXT,   false },
    { "STATUS",    "status",       COLUMN_STATUS, false },
    { "STARTED",   "started_at",   COLUMN_AGE,    false },
    { "TASK",      "task",         COLUMN_TEXT,   false },
    { 0 },
};
static const struct column swarm_columns[] = {
    { "SWARM",   "swarm_id",            COLUMN_TEXT,   false },
    { "STATUS",  "coordination_status", COLUMN_STATUS, false },
    { "CREATED", "created_at",          COLUMN_AGE,    false },
    { "MEMBERS", "members.*.member_id", COLUMN_TEXT,   false },
    { 0 },
};
static const struct column swarm_status_columns[] = {
    { "SWARM",      "swarm_id",                                    COLUMN_TEXT,   false },
    { "STATUS",     "coordination_status",                         COLUMN_STATUS, false },
    { "MEMBERS",    "member_count",                                COLUMN_NUMBER, false },
    { "TASKS",      "active_tasks",                                COLUMN_NUMBER, false },
    { "SECONDS",    "performance_metrics.avg_task_time",           COLUMN_NUMBER, false },
    { "SUCCESS",    "performance_metrics.success_rate",            COLUMN_NUMBER, false },
    { "EFFICIENCY", "performance_metrics.coordination_efficiency", COLUMN_NUMBER, false },
    { 0 },
};

#define NETWORK "/api/v1/agents/networks/{NETWORK}"
static const struct operand one_network[] = { { "NETWORK", OPTION_REQUIRED, "its id" }, { 0 } };
static const struct operand a_network[] = { { "NETWORK", 0, "its id; your newest when left out" }, { 0 } };
static const struct operand network_and_execution[] = {
    { "NETWORK", OPTION_REQUIRED, "its id" }, { "EXECUTION", OPTION_REQUIRED, "the execution's id" }, { 0 } };
static const struct newest newest_network = { "/api/v1/agents/networks?limit=1", "networks.0.id", "network" };

static const struct option page_options[] = { REQUEST_OPTION_WATCH, PAGE_OPTIONS, { 0 } };
static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option rm_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };
static const struct option create_options[] = {
    { 0, "name", OPTION_TEXT, OPTION_REQUIRED, "NAME", "what people call it", NULL },
    { 0, "agents", OPTION_TEXT, OPTION_MANY | OPTION_REQUIRED, "A,B", "its members", NULL },
    { 0, "description", OPTION_TEXT, 0, "TEXT", "what it is for", NULL },
    { 0, "strategy", OPTION_TEXT, 0, "STRATEGY", "how work is divided over them (round-robin)", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field create_fields[] = {
    { "name", "name", FIELD_TEXT }, { "description", "description", FIELD_TEXT }, { "agents", "agents", FIELD_LIST },
    { "strategy", "coordination_strategy", FIELD_TEXT }, { 0 } };
static const struct option execute_options[] = {
    { 0, "task", OPTION_TEXT, OPTION_REQUIRED, "JSON", "what is to be done; a file's name, @FILE, or - for stdin", NULL },
    { 'p', "priority", OPTION_TEXT, 0, "PRIORITY", "how soon (normal)", NULL },
    FOLLOW_OPTIONS,
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field execute_fields[] = { { "task", "task", FIELD_JSON }, { "priority", "priority", FIELD_TEXT }, { 0 } };
static const struct option optimize_options[] = {
    { 0, "objective", OPTION_CHOICE, 0, "WHAT", "efficiency, speed, cost or quality (efficiency)", objectives }, { 0 } };
static const struct field optimize_fields[] = { { "objective", "objective", FIELD_TEXT }, { 0 } };
static const struct option status_options[] = {
    { 0, "metrics", OPTION_TEXT, OPTION_MANY, "A,B", "only these figures", NULL }, REQUEST_OPTION_WATCH, { 0 } };
static const struct field status_fields[] = { { "metrics", "metrics", FIELD_LIST }, { 0 } };

static const struct follow follow_work = {
    .id = "task_id", .channel = "swarm.", .method = "swarm.task", .param = "task_id", .show_id = "task_id", .owner = "swarm_id" };
static const struct follow follow_execution = {
    .id = "execution_id", .channel = "network.", .method = "networks.execution", .param = "execution_id", .show_id = "execution_id", .owner = "network_id" };

#define NETWORK_VERBS(noun) \
    { { noun " create", "make a network of agents", NULL, NULL, create_options, request_run, \
        "waggle " noun " create --name resizers --agents bee-1,bee-2" }, \
      { .method = "POST", .path = "/api/v1/agents/networks", .fields = create_fields, .id = "id" } }, \
    { { noun " ls", "the networks", NULL, NULL, page_options, request_run, NULL }, \
      { .method = "GET", .path = "/api/v1/agents/networks", .fields = page_fields, .member = "networks", .columns = network_columns, .how = REQUEST_PAGES, .channels = "network.>" } }, \
    { { noun " show", "one network", NULL, one_network, show_options, request_run, NULL }, \
      { .method = "GET", .path = NETWORK, .id = "id", .channels = "network.>" } }, \
    { { noun " execute", "have a network do something", NULL, a_network, execute_options, request_run, \
        "waggle " noun " execute --task task.json" }, \
      { .method = "POST", .path = NETWORK "/execute", .fields = execute_fields, .id = "execution_id", .newest = &newest_network, .follow = &follow_execution } }, \
    { { noun " executions", "what a network was given to do", NULL, a_network, page_options, request_run, NULL }, \
      { .method = "GET", .path = NETWORK "/executions", .fields = page_fields, .member = "executions", .columns = execution_columns, .how = REQUEST_PAGES, .channels = "network.>", .newest = &newest_network } }, \
    { { noun " execution", "one of these: progress and results", NULL, network_and_execution, show_options, request_run, NULL }, \
      { .method = "GET", .path = NETWORK "/executions/{EXECUTION}", .id = "execution_id", .channels = "network.>" } }, \
    { { noun " optimize", "what would make a network better, with the figures it rests on", NULL, a_network, optimize_options, request_run, NULL }, \
      { .method = "POST", .path = NETWORK "/optimize", .fields = optimize_fields, .id = "network_id", .newest = &newest_network } }, \
    { { noun " status", "how a network does", NULL, a_network, status_options, request_run, NULL }, \
      { .method = "GET", .path = NETWORK "/status", .fields = status_fields, .id = "network_id", .channels = "network.>", .newest = &newest_network } }, \
    { { noun " rm", "dissolve a network", NULL, one_network, rm_options, request_run, NULL }, \
      { .method = "DELETE", .path = NETWORK, .fields = reason_fields, .id = "id", .how = REQUEST_DESTROYS | REQUEST_QUIET } }

static const struct option join_options[] = {
    { 'r', "role", OPTION_CHOICE, OPTION_REQUIRED, "ROLE", "what the member is for", roles },
    { 0, "capability", OPTION_TEXT, OPTION_REQUIRED, "C", "what it can do", NULL },
    { 0, "region", OPTION_TEXT, 0, "R", "where it is", NULL },
    { 'p', "priority", OPTION_TEXT, 0, "PRIORITY", "its own (normal)", NULL },
    { 0, "swarm-id", OPTION_TEXT, 0, "ID", "this swarm; else one that fits, else a new one", NULL },
    { 0, "agent-id", OPTION_TEXT, 0, "ID", "the agent that joins", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field join_fields[] = {
    { "role", "role", FIELD_TEXT }, { "capability", "capability", FIELD_TEXT }, { "region", "region", FIELD_TEXT },
    { "priority", "priority", FIELD_TEXT }, { "swarm-id", "swarm_id", FIELD_TEXT }, { "agent-id", "agent_id", FIELD_TEXT }, { 0 } };
static const char *const leases[] = { "finish", "return", NULL };
static const struct option leave_options[] = {
    { 0, "swarm-id", OPTION_TEXT, OPTION_REQUIRED, "ID", "the swarm", NULL },
    { 0, "member-id", OPTION_TEXT, 0, "ID", "one member; all of yours when left out", NULL },
    { 0, "leases", OPTION_CHOICE, 0, "HOW", "finish what it holds, or return it to the others (finish)", leases },
    REQUEST_OPTION_REASON,
    REQUEST_OPTIONS_DESTROY,
    { 0 },
};
static const struct field leave_fields[] = { { "swarm-id", "swarm_id", FIELD_TEXT }, { "member-id", "member_id", FIELD_TEXT }, { "leases", "leases", FIELD_TEXT }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct option swarm_list_options[] = {
    { 0, "swarm-id", OPTION_TEXT, 0, "ID", "only this one", NULL },
    { 0, "status", OPTION_TEXT, 0, "STATUS", "only those in this state", NULL },
    { 0, "limit", OPTION_NUMBER, 0, "N", "at most so many (20)", NULL },
    { 0, "cursor", OPTION_TEXT, 0, "CURSOR", "go on where the last page ended", NULL },
    REQUEST_OPTION_WATCH,
    { 0 },
};
static const struct field swarm_list_fields[] = {
    { "swarm-id", "swarm_id", FIELD_TEXT }, { "status", "status", FIELD_TEXT }, { "limit", "limit", FIELD_NUMBER },
    { "cursor", "cursor", FIELD_TEXT }, { 0 } };
static const struct option swarm_status_options[] = {
    { 0, "swarm-id", OPTION_TEXT, 0, "ID", "only this one", NULL }, REQUEST_OPTION_WATCH, { 0 } };
static const struct field swarm_status_fields[] = { { "swarm-id", "swarm_id", FIELD_TEXT }, { 0 } };
static const struct option coordinate_options[] = {
    { 0, "task-id", OPTION_TEXT, 0, "ID", "what the work is called", NULL },
    { 0, "task", OPTION_TEXT, 0, "TEXT", "what is to be done, in words, for as many collaborators as asked for", NULL },
    { 0, "strategy", OPTION_TEXT, 0, "STRATEGY", "map-reduce, broadcast, race, pipeline, scatter-vote, consensus, leader-election or distributed", NULL },
    { 0, "parameters", OPTION_TEXT, 0, "JSON", "of the strategy; a file's name, @FILE, or - for stdin", NULL },
    { 0, "collaborators", OPTION_NUMBER, 0, "N", "with --task: how many members (5)", NULL },
    { 0, "timeout-seconds", OPTION_NUMBER, 0, "N", "with --task: how long (3600)", NULL },
    FOLLOW_OPTIONS,
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field coordinate_fields[] = {
    { "task-id", "task_id", FIELD_TEXT }, { "task", "task", FIELD_TEXT }, { "strategy", "strategy", FIELD_TEXT },
    { "parameters", "parameters", FIELD_JSON }, { "collaborators", "collaborators", FIELD_NUMBER },
    { "timeout-seconds", "timeout_seconds", FIELD_NUMBER }, { 0 } };
static const struct option swarm_consensus_options[] = {
    { 0, "task-id", OPTION_TEXT, OPTION_REQUIRED, "ID", "the work that was coordinated", NULL },
    { 0, "algorithm", OPTION_TEXT, 0, "RULE", "how votes are counted (majority-vote)", NULL },
    { 0, "options", OPTION_TEXT, OPTION_MANY, "A,B", "what there is to choose from", NULL },
    { 0, "timeout-seconds", OPTION_NUMBER, 0, "N", "how long votes are taken (300)", NULL },
    { 0, "wait", OPTION_FLAG, 0, NULL, "answer when the round has closed", NULL },
    FOLLOW_OPTIONS,
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field swarm_consensus_fields[] = {
    { "task-id", "task_id", FIELD_TEXT }, { "algorithm", "consensus_algorithm", FIELD_TEXT }, { "options", "options", FIELD_LIST },
    { "timeout-seconds", "timeout_seconds", FIELD_NUMBER }, { "wait", "wait", FIELD_FLAG }, { 0 } };
static const struct operand one_work[] = { { "TASK", OPTION_REQUIRED, "the id that coordinate was given or gave" }, { 0 } };
static const struct operand one_swarm[] = { { "SWARM", OPTION_REQUIRED, "its id" }, { 0 } };
static const struct field show_fields[] = { { "SWARM", "swarm_id", FIELD_TEXT }, { 0 } };

const struct verb swarm_verbs[] = {
    NETWORK_VERBS("network"),
    NETWORK_VERBS("agent network"),
    { { "swarm join", "become a member of a swarm", NULL, NULL, join_options, request_run,
        "waggle swarm join --role load-balancer --capability gpu-processing" },
      { .method = "POST", .path = "/api/v1/swarm/join", .fields = join_fields, .id = "member_id" } },
    { { "swarm leave", "leave a swarm", NULL, NULL, leave_options, request_run, "waggle swarm leave --swarm-id swarm_0123456789abcdef" },
      { .method = "POST", .path = "/api/v1/swarm/leave", .fields = leave_fields, .id = "member_id", .how = REQUEST_DESTROYS } },
    { { "swarm list", "the swarms", NULL, NULL, swarm_list_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/swarm/list", .fields = swarm_list_fields, .member = "swarms", .columns = swarm_columns, .how = REQUEST_PAGES, .channels = "swarm.>" } },
    { { "swarm ls", "the same as list", NULL, NULL, swarm_list_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/swarm/list", .fields = swarm_list_fields, .member = "swarms", .columns = swarm_columns, .how = REQUEST_PAGES, .channels = "swarm.>" } },
    { { "swarm show", "one swarm and its members", NULL, one_swarm, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/swarm/list", .fields = show_fields, .member = "swarms", .id = "swarm_id", .channels = "swarm.>" } },
    { { "swarm status", "how the swarms do", NULL, NULL, swarm_status_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/swarm/status", .fields = swarm_status_fields, .columns = swarm_status_columns, .channels = "swarm.>" } },
    { { "swarm coordinate", "have a swarm do something together", NULL, NULL, coordinate_options, request_run,
        "waggle swarm coordinate --task-id task123 --strategy map-reduce" },
      { .method = "POST", .path = "/api/v1/swarm/coordinate", .fields = coordinate_fields, .id = "task_id", .follow = &follow_work } },
    { { "swarm task", "how far such work is", NULL, one_work, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/swarm/tasks/{TASK}/status", .id = "task_id", .channels = "swarm.> task.>" } },
    { { "swarm cancel", "cancel such work", NULL, one_work, rm_options, request_run, NULL },
      { .method = "POST", .path = "/api/v1/swarm/tasks/{TASK}/cancel", .fields = reason_fields, .id = "task_id", .how = REQUEST_DESTROYS } },
    { { "swarm consensus", "have a swarm agree on the result of its work", NULL, NULL, swarm_consensus_options, request_run,
        "waggle swarm consensus --task-id task123 --wait" },
      { .method = "POST", .path = "/api/v1/swarm/consensus", .fields = swarm_consensus_fields, .id = "round_id", .follow = &round_follow } },
    { { 0 }, { 0 } },
};
// clang-format on

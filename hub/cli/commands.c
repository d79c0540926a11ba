#include "hub/cli/cli.h"

#include "hub/cli/nouns.h"

// clang-format off
const struct option global_options[] = {
    { 'o', "output", OPTION_CHOICE, 0, "FORMAT", "table, wide, json (what the hub said), ndjson, yaml or id", output_format_names },
    { 0, "query", OPTION_TEXT, 0, "PATH", "only this part of the answer: agents.*.agent_id, or a JSON pointer", NULL },
    { 0, "url", OPTION_TEXT, 0, "URL", "the hub: http://…, https://… or unix:///PATH (else WAGGLE_URL, the context, " TARGET_URL_DEFAULT ")", NULL },
    { 0, "context", OPTION_TEXT, 0, "NAME", "a context other than the current one (else WAGGLE_CONTEXT)", NULL },
    { 0, "key-file", OPTION_FILE, 0, "FILE", "an API key (else WAGGLE_API_KEY, WAGGLE_API_KEY_FILE)", NULL },
    { 0, "token-file", OPTION_FILE, 0, "FILE", "a token (else WAGGLE_TOKEN, WAGGLE_TOKEN_FILE)", NULL },
    { 0, "ca-file", OPTION_FILE, 0, "FILE", "certificates to trust instead of the system's", NULL },
    { 0, "timeout", OPTION_SECONDS, 0, "TIME", "how long to wait for one answer (30s)", NULL },
    { 'q', "quiet", OPTION_FLAG, 0, NULL, "no remarks on stderr, only errors", NULL },
    { 'h', "help", OPTION_FLAG, 0, NULL, "this page", NULL },
    { 0, "version", OPTION_FLAG, 0, NULL, "the version", NULL },
    { 0 },
};

static const struct command *const tables[] = {
    publish_commands, tail_commands, agent_commands, token_commands, context_commands,
    hub_commands, top_commands, trace_commands, bench_commands, doctor_commands, verify_commands, backup_commands,
    call_commands, reference_commands, self_commands,
};

static const struct verb *const verb_tables[] = {
    agent_verbs, task_verbs, swarm_verbs, consensus_verbs, message_verbs, channel_verbs, hub_verbs, schema_verbs, token_verbs, auth_verbs,
};

const struct command_group command_groups[] = {
    { "agent",     "agents: be one, see who is there" },
    { "task",      "tasks: submit, follow, cancel" },
    { "queue",     "the queues of tasks that wait" },
    { "lb",        "load balancing: which agent gets a task" },
    { "network",   "networks of agents, for work that is divided" },
    { "swarm",     "swarms: join, coordinate, agree" },
    { "consensus", "rounds of voting, and their certificates" },
    { "msg",       "messages between agents" },
    { "peer",      "who may write to whom" },
    { "channel",   "channels: list, members, history" },
    { "namespace", "namespaces: the options of channels" },
    { "schema",    "JSON Schemas: judge a value" },
    { "token",     "tokens: mint, read, verify, revoke" },
    { "key",       "API keys, and the key that signs tokens" },
    { "app",       "apps, the tenants of the hub" },
    { "backup",    "copies of the whole hub: made while it runs, checked, put back" },
    { "bench",     "a small load on the running hub, and its times" },
    { "context",   "the hubs you use, by name" },
    { 0 },
};
// clang-format on

void commands_each(bool (*visit)(void *ctx, const struct command *command), void *ctx)
{
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const struct command *c = tables[t]; c->name; c++) {
            if (!visit(ctx, c)) {
                return;
            }
        }
    }
    for (size_t t = 0; t < sizeof verb_tables / sizeof verb_tables[0]; t++) {
        for (const struct verb *v = verb_tables[t]; v->command.name; v++) {
            if (!visit(ctx, &v->command)) {
                return;
            }
        }
    }
}

struct by_name {
    const char *name;
    const struct command *found;
};

static bool is_named(void *ctx, const struct command *command)
{
    struct by_name *by = ctx;
    by->found = strcmp(command->name, by->name) == 0 ? command : NULL;
    return !by->found;
}

const struct command *command_find(const char *name)
{
    struct by_name by = {.name = name};
    commands_each(is_named, &by);
    return by.found;
}

/* What of the command's name follows the words, or NULL. */
static const char *rest_of(const char *name, const char *words)
{
    size_t n = strlen(words);
    if (n == 0) {
        return name;
    }
    return strncmp(name, words, n) == 0 && name[n] == ' ' ? name + n + 1 : NULL;
}

struct next_words {
    const char *words;
    const char **out;
    size_t n, max;
};

/* Words stay in the tables, so a command of several words gives a pointer into its name: what
 * counts is the part up to the next space. */
static bool add_next_word(void *ctx, const struct command *command)
{
    struct next_words *next = ctx;
    const char *rest = rest_of(command->name, next->words);
    if (!rest) {
        return true;
    }
    size_t n = strcspn(rest, " ");
    for (size_t i = 0; i < next->n; i++) {
        if (strcspn(next->out[i], " ") == n && memcmp(next->out[i], rest, n) == 0) {
            return true;
        }
    }
    next->out[next->n++] = rest;
    return next->n < next->max;
}

size_t command_next_words(const char *words, const char **out, size_t max)
{
    struct next_words next = {.words = words, .out = out, .max = max};
    commands_each(add_next_word, &next);
    return next.n;
}

bool command_is_group(const char *words)
{
    const char *one[1];
    return *words && command_next_words(words, one, 1) > 0;
}

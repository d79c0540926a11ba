/* Completion: the shells' scripts are a few lines of glue that ask `waggle __complete WORD…` what
 * may follow, so all knowledge stays in the tables and all shells offer the same. A line of the
 * answer is WORD, tab, what it is; the single line ":files" asks the shell for file names. */
#define _GNU_SOURCE
#include "hub/cli/cli.h"

#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/contexts.h"
#include "hub/cli/http.h"

// clang-format off
static const char bash_script[] =
    "_waggle() {\n"
    "    local line IFS=$'\\n'\n"
    "    COMPREPLY=()\n"
    "    for line in $(\"${COMP_WORDS[0]}\" __complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null); do\n"
    "        if [ \"$line\" = :files ]; then\n"
    "            COMPREPLY=($(compgen -f -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
    "        else\n"
    "            COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
    "        fi\n"
    "    done\n"
    "}\n"
    "complete -o filenames -F _waggle waggle\n";

static const char zsh_script[] =
    "#compdef waggle\n"
    "_waggle() {\n"
    "    local line; local -a found\n"
    "    for line in ${(f)\"$(\"$words[1]\" __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"}; do\n"
    "        if [[ $line == :files ]]; then _files; return; fi\n"
    "        found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
    "    done\n"
    "    _describe 'waggle' found\n"
    "}\n"
    "compdef _waggle waggle\n";

static const char fish_script[] =
    "function __waggle_complete\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    for line in (command $words[1] __complete -- $words[2..-1] 2>/dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            __fish_complete_path (commandline -ct)\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c waggle -f -a '(__waggle_complete)'\n";

static const struct { const char *shell, *script; } scripts[] = {
    { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script },
};
// clang-format on

enum cli_exit completion_run(struct cli *cli)
{
    const char *shell = args_operand(&cli->args, 0);
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        if (strcmp(scripts[i].shell, shell) == 0) {
            fputs(scripts[i].script, cli->out.to);
            return CLI_OK;
        }
    }
    return cli_fail(CLI_USAGE, "no completion for \"%s\": bash, zsh and fish have one", shell);
}

struct completing {
    FILE *to;
    const char *begun; /* the word under the cursor, perhaps "" */
};

static void offer(const struct completing *c, const char *prefix, const char *word, size_t n,
                  const char *help)
{
    struct buf whole = {0};
    buf_add_str(&whole, prefix);
    buf_add(&whole, word, n);
    if (slice_starts(buf_slice(&whole), c->begun)) {
        fprintf(c->to, "%s\t%s\n", buf_text(&whole), help);
    }
    buf_done(&whole);
}

static const char *help_of(const char *name)
{
    const struct command *command = command_find(name);
    for (const struct command_group *g = command_groups; !command && g->name; g++) {
        if (strcmp(g->name, name) == 0) {
            return g->summary;
        }
    }
    return command ? command->summary : "";
}

static void offer_commands(const struct completing *c, const char *words)
{
    const char *next[64];
    size_t n = command_next_words(words, next, 64);
    for (size_t i = 0; i < n; i++) {
        size_t length = strcspn(next[i], " ");
        struct buf name = {0};
        buf_printf(&name, "%s%s", words, *words ? " " : "");
        buf_add(&name, next[i], length);
        if (next[i][0] != '_') { /* what is for scripts only */
            offer(c, "", next[i], length, help_of(buf_text(&name)));
        }
        buf_done(&name);
    }
}

static void offer_options(const struct completing *c, const struct option *options)
{
    for (const struct option *o = options; o && o->name; o++) {
        offer(c, "--", o->name, strlen(o->name), o->help);
    }
}

static void offer_contexts(const struct completing *c)
{
    struct contexts all;
    struct buf error = {0};
    char *path = contexts_path();
    if (path && contexts_load(&all, path, &error)) {
        for (size_t i = 0; i < all.n; i++) {
            const char *url = all.list[i].value[CONTEXT_URL];
            offer(c, "", all.list[i].name, strlen(all.list[i].name), url ? url : "");
        }
        contexts_done(&all);
    }
    free(path);
    buf_done(&error);
}

/* What the first operand of commands names, asked of the hub: many things with ids that nobody
 * types by heart. A hub that does not answer at once is not waited for. */
enum { OFFER_WAIT_MS = 700 };

// clang-format off
static const struct source { const char *command, *path, *member, *id, *help; } sources[] = {
    { "agent network ", "/api/v1/agents/networks?limit=200", "networks", "id",   "name" },
    { "agent ",    "/api/v1/agents?limit=200",        "agents",     "agent_id",  "status" },
    { "task ",     "/api/v1/tasks?limit=200",         "tasks",      "task_id",   "status" },
    { "network ",  "/api/v1/agents/networks?limit=200", "networks", "id",        "name" },
    { "consensus ", "/api/v1/consensus?limit=200",    "rounds",     "round_id",  "status" },
    { "channel ",  "/api/v1/channels?limit=200",      "channels",   "channel",   "delivery" },
    { "tail",      "/api/v1/channels?limit=200",      "channels",   "channel",   "delivery" },
    { "publish",   "/api/v1/channels?limit=200",      "channels",   "channel",   "delivery" },
    { "namespace ", "/api/v1/namespaces",             "namespaces", "namespace", "options.delivery" },
    { "key ",      "/api/v1/auth/keys?limit=200",     "keys",       "id",        "name" },
    { "app ",      "/api/v1/apps",                    "apps",       "id",        "name" },
    { "swarm show", "/api/v1/swarm/list?limit=200",   "swarms",     "swarm_id",  "coordination_status" },
    { "msg send",  "/api/v1/agents?limit=200",        "agents",     "agent_id",  "status" },
    { "msg ",      "/api/v1/messages/history?limit=200", "messages", "message_id", "receiver_id" },
    { "peer ",     "/api/v1/agents?limit=200",        "agents",     "agent_id",  "status" },
    { "trace",     "/api/v1/tasks?limit=200",         "tasks",      "task_id",   "status" },
    { "errors",    "/api/v1/errors",                  "errors",     "code",      "title" },
    /* Without a path the words themselves, or files. */
    { "queue ",    NULL, "urgent critical high normal low all", NULL, NULL },
    { "lb strategy", NULL, "least_connections round_robin weighted_round_robin resource_based geographic random least_response_time capability_based predictive consistent_hash", NULL, NULL },
    { "top",       NULL, "pulses agents queues tasks dlq networks swarms consensus messages log", NULL, NULL },
    { "tui",       NULL, "pulses agents queues tasks dlq networks swarms consensus messages log", NULL, NULL },
    { "completion", NULL, "bash zsh fish", NULL, NULL },
    { "verify",    NULL, ":files", NULL, NULL },
    { "backup ",   NULL, ":files", NULL, NULL },
    { "schema ",   NULL, ":files", NULL, NULL },
};
// clang-format on

static void offer_ids(const struct completing *c, struct cli *cli, const struct source *source)
{
    struct reply reply;
    struct slice key, item;
    size_t at;
    cli->timeout_ms = OFFER_WAIT_MS;
    if (http_send(cli, "GET", source->path, (struct slice){0}, &reply) == CLI_OK &&
        reply.status == 200 && json_check(buf_slice(&reply.body), JSON_DEPTH_MAX, &at) == JSON_OK) {
        struct slice list = json_at(buf_slice(&reply.body), source->member);
        for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
            struct buf id = {0}, help = {0};
            json_add_human(&id, json_at(item, source->id));
            json_add_human(&help, json_at(item, source->help));
            offer(c, "", buf_text(&id), id.n, buf_text(&help));
            buf_done(&id);
            buf_done(&help);
        }
    }
    reply_done(&reply);
}

static void offer_words(const struct completing *c, const char *words)
{
    if (words[0] == ':') {
        fprintf(c->to, "%s\n", words);
        return;
    }
    for (size_t n; *words; words += n + (words[n] == ' ')) {
        n = strcspn(words, " ");
        offer(c, "", words, n, "");
    }
}

static const struct source *source_of(const struct command *command)
{
    for (size_t i = 0; command->operands && i < sizeof sources / sizeof sources[0]; i++) {
        if (strncmp(command->name, sources[i].command, strlen(sources[i].command)) == 0) {
            return &sources[i];
        }
    }
    return NULL;
}

static const struct option *find_option(const struct command *command, const char *word)
{
    const struct option *tables[] = {command ? command->options : NULL, global_options};
    for (size_t t = 0; t < 2; t++) {
        for (const struct option *o = tables[t]; o && o->name; o++) {
            if ((strncmp(word, "--", 2) == 0 && strcmp(word + 2, o->name) == 0) ||
                (o->letter && word[0] == '-' && word[1] == o->letter && word[2] == '\0')) {
                return o;
            }
        }
    }
    return NULL;
}

static void offer_value(const struct completing *c, const struct option *o)
{
    if (o->kind == OPTION_FILE) {
        fputs(":files\n", c->to);
    } else if (strcmp(o->name, "context") == 0) {
        offer_contexts(c);
    }
    for (size_t i = 0; o->choices && o->choices[i]; i++) {
        offer(c, "", o->choices[i], strlen(o->choices[i]), o->value);
    }
}

/* The words that name a command, skipping options and their values; *out_value is the option whose
 * value the cursor stands on, or NULL. Returns how many operands stand before the cursor. */
static size_t read_words(const struct args *a, size_t n, struct buf *words,
                         const struct option **out_value)
{
    size_t operands = 0;
    *out_value = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *word = args_operand(a, i);
        const struct command *command = command_find(buf_text(words));
        const struct option *o = find_option(command, word);
        if (o && o->kind != OPTION_FLAG) {
            *out_value = i + 1 == n ? o : NULL;
            i++; /* its value */
        } else if (word[0] != '-' && !command) {
            buf_add_str(words, words->n ? " " : "");
            buf_add_str(words, word);
        } else {
            operands += word[0] != '-';
        }
    }
    return operands;
}

/* A source is of what the first operand names; of peers both are agents. */
static bool is_named_by(const struct command *command, size_t operands)
{
    return operands == 0 || (command->operands[0].how & OPTION_MANY) ||
           (strncmp(command->name, "peer ", 5) == 0 && operands == 1 && command->operands[1].name);
}

enum cli_exit complete_run(struct cli *cli)
{
    size_t n = cli->args.operand_count ? cli->args.operand_count - 1 : 0;
    const char *begun = args_operand(&cli->args, n);
    struct completing c = {cli->out.to, begun ? begun : ""};
    struct buf words = {0};
    const struct option *value;
    size_t operands = read_words(&cli->args, n, &words, &value);
    const struct command *command = command_find(buf_text(&words));
    if (value) {
        offer_value(&c, value);
    } else if (c.begun[0] == '-') {
        offer_options(&c, command ? command->options : NULL);
        offer_options(&c, global_options);
    } else if (!command) {
        offer_commands(&c, buf_text(&words));
    } else if (strncmp(command->name, "context ", 8) == 0) {
        offer_contexts(&c);
    } else if (source_of(command) && is_named_by(command, operands)) {
        const struct source *source = source_of(command);
        source->path ? offer_ids(&c, cli, source) : offer_words(&c, source->member);
    }
    buf_done(&words);
    return CLI_OK;
}

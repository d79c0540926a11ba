/* Completion: the shells' scripts are a few lines of glue that ask `waggle __complete WORD…` what
 * may follow, so all knowledge stays in the tables and all shells offer the same. A line of the
 * answer is WORD, tab, what it is; the single line ":files" asks the shell for file names. */
#define _GNU_SOURCE
#include "hub/cli/cli.h"

#include <stdlib.h>

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
 * value the cursor stands on, or NULL. */
static void read_words(const struct args *a, size_t n, struct buf *words,
                       const struct option **out_value)
{
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
        }
    }
}

enum cli_exit complete_run(struct cli *cli)
{
    size_t n = cli->args.operand_count ? cli->args.operand_count - 1 : 0;
    const char *begun = args_operand(&cli->args, n);
    struct completing c = {cli->out.to, begun ? begun : ""};
    struct buf words = {0};
    const struct option *value;
    read_words(&cli->args, n, &words, &value);
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
    }
    buf_done(&words);
    return CLI_OK;
}

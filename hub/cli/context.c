#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <stdlib.h>

#include "channels/json_out.h"
#include "hub/cli/contexts.h"
#include "hub/cli/http.h"

/* A change to the file: read, changed by `change`, written when that says CLI_OK. */
static enum cli_exit edit(struct cli *cli, enum cli_exit (*change)(struct cli *, struct contexts *),
                          bool dry)
{
    struct contexts all;
    struct buf error = {0};
    char *path = contexts_path();
    enum cli_exit rc;
    if (!path) {
        return cli_fail(CLI_FAILED, "neither HOME nor XDG_CONFIG_HOME is set");
    }
    if (!contexts_load(&all, path, &error)) {
        rc = cli_fail(CLI_FAILED, "%s", buf_text(&error));
    } else {
        rc = change(cli, &all);
        if (rc == CLI_OK && !dry && !contexts_save(&all, path, &error)) {
            rc = cli_fail(CLI_FAILED, "%s", buf_text(&error));
        }
        contexts_done(&all);
    }
    buf_done(&error);
    free(path);
    return rc;
}

/* The file is read from wherever the next command stands. */
static void set_path(struct context *context, enum context_key key, const char *path)
{
    char *whole = path ? realpath(path, NULL) : NULL;
    context_set(context, key, whole ? whole : path);
    free(whole);
}

static enum cli_exit change_add(struct cli *cli, struct contexts *all)
{
    const char *name = args_operand(&cli->args, 0), *url = args_text(&cli->args, "url");
    struct target probe = {0};
    struct buf error = {0};
    if (!context_name_valid(name)) {
        return cli_fail(CLI_USAGE, "\"%s\" is no name: 1 to 64 of A-Z a-z 0-9 _ - .", name);
    }
    bool url_fits = target_set_url(&probe, url ? url : TARGET_URL_DEFAULT, &error);
    target_done(&probe);
    if (!url_fits) {
        enum cli_exit rc = cli_fail(CLI_USAGE, "%s", buf_text(&error));
        buf_done(&error);
        return rc;
    }
    struct context *context = contexts_find(all, name);
    if (context && !args_has(&cli->args, "replace")) {
        return cli_fail(CLI_CONFLICT, "there is a context \"%s\" already (--replace)", name);
    }
    if (all->n >= CONTEXTS_MAX) {
        return cli_fail(CLI_CONFLICT, "there are %d contexts already", CONTEXTS_MAX);
    }
    context = context ? context : contexts_add(all, name);
    context_set(context, CONTEXT_URL, url ? url : TARGET_URL_DEFAULT);
    context_set(context, CONTEXT_APP, args_text(&cli->args, "app"));
    set_path(context, CONTEXT_KEY_FILE, args_text(&cli->args, "key-file"));
    set_path(context, CONTEXT_TOKEN_FILE, args_text(&cli->args, "token-file"));
    set_path(context, CONTEXT_CA_FILE, args_text(&cli->args, "ca-file"));
    if (!all->current) {
        contexts_use(all, name);
    }
    return CLI_OK;
}

static enum cli_exit fail_no_context(const struct contexts *all, const char *name)
{
    const char *names[CONTEXTS_MAX];
    for (size_t i = 0; i < all->n; i++) {
        names[i] = all->list[i].name;
    }
    const char *near = nearest_word(name, names, all->n);
    return cli_fail(CLI_NOT_FOUND, "there is no context \"%s\"%s%s%s", name,
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static enum cli_exit change_use(struct cli *cli, struct contexts *all)
{
    const char *name = args_operand(&cli->args, 0);
    if (!contexts_find(all, name)) {
        return fail_no_context(all, name);
    }
    contexts_use(all, name);
    cli_note(cli, "The current context is %s.", all->current);
    return CLI_OK;
}

static enum cli_exit change_previous(struct cli *cli, struct contexts *all)
{
    if (!all->previous || !contexts_find(all, all->previous)) {
        return cli_fail(CLI_NOT_FOUND, "there is no previous context");
    }
    contexts_use(all, all->previous);
    cli_note(cli, "The current context is %s.", all->current);
    return CLI_OK;
}

static enum cli_exit change_rm(struct cli *cli, struct contexts *all)
{
    const char *name = args_operand(&cli->args, 0);
    if (!contexts_find(all, name)) {
        return fail_no_context(all, name);
    }
    if (args_has(&cli->args, "dry-run")) {
        fprintf(cli->out.to, "%s\n", name);
    }
    contexts_remove(all, name);
    return CLI_OK;
}

static enum cli_exit add_run(struct cli *cli)
{
    return edit(cli, change_add, false);
}

static enum cli_exit use_run(struct cli *cli)
{
    return edit(cli, change_use, false);
}

static enum cli_exit previous_run(struct cli *cli)
{
    return edit(cli, change_previous, false);
}

static enum cli_exit rm_run(struct cli *cli)
{
    bool dry = args_has(&cli->args, "dry-run");
    return dry || request_confirm(cli) ? edit(cli, change_rm, dry)
                                       : cli_fail(CLI_FAILED, "not done");
}

// clang-format off
static const struct column columns[] = {
    { "NAME",       "name",       COLUMN_TEXT, false },
    { "CURRENT",    "mark",       COLUMN_TEXT, false },
    { "URL",        "url",        COLUMN_TEXT, false },
    { "APP",        "app",        COLUMN_TEXT, false },
    { "KEY FILE",   "key_file",   COLUMN_TEXT, false },
    { "TOKEN FILE", "token_file", COLUMN_TEXT, false },
    { "CA FILE",    "ca_file",    COLUMN_TEXT, true },
    { 0 },
};
// clang-format on

static void add_text(struct json_out *o, const char *text)
{
    if (text) {
        json_str(o, text);
    } else {
        json_put_null(o);
    }
}

static void add_contexts_json(const struct contexts *all, struct json_out *o)
{
    json_begin(o, '[');
    for (size_t i = 0; i < all->n; i++) {
        const char *name = all->list[i].name;
        const char *mark = all->current && strcmp(all->current, name) == 0     ? "current"
                           : all->previous && strcmp(all->previous, name) == 0 ? "previous"
                                                                               : NULL;
        json_begin(o, '{');
        json_key(o, "name");
        json_str(o, name);
        json_key(o, "mark");
        add_text(o, mark);
        for (size_t k = 0; k < CONTEXT_KEYS; k++) {
            json_key(o, context_key_names[k]);
            add_text(o, all->list[i].value[k]);
        }
        json_end(o, '}');
    }
    json_end(o, ']');
}

static enum cli_exit ls_run(struct cli *cli)
{
    struct contexts all = {0};
    struct buf error = {0}, text = {0};
    char *path = contexts_path();
    enum cli_exit rc = CLI_OK;
    if (path && !contexts_load(&all, path, &error)) {
        rc = cli_fail(CLI_FAILED, "%s", buf_text(&error));
    } else {
        struct json_out o = json_out_to(&text);
        add_contexts_json(&all, &o);
        output_list(&cli->out, buf_slice(&text), "", columns);
        contexts_done(&all);
    }
    buf_done(&error);
    buf_done(&text);
    free(path);
    return rc;
}

// clang-format off
static const struct operand one_name[] = { { "NAME", OPTION_REQUIRED, "the context" }, { 0 } };

static const struct option add_options[] = {
    { 0, "app", OPTION_TEXT, 0, "APP", "the app that tokens are minted for", NULL },
    { 0, "replace", OPTION_FLAG, 0, NULL, "instead of the context of that name, if there is one", NULL },
    { 0 },
};

static const struct option rm_options[] = {
    { 'y', "yes", OPTION_FLAG, 0, NULL, "do not ask first", NULL },
    { 0, "dry-run", OPTION_FLAG, 0, NULL, "say which it would be, and forget nothing", NULL },
    { 0 },
};

const struct command context_commands[] = {
    { "context add", "name a hub, and the file with its credentials",
      "Writes down what --url, --key-file, --token-file, --ca-file and --app say. Secrets stay in their files. "
      "The first context becomes the current one.",
      one_name, add_options, add_run, "waggle context add home --url http://127.0.0.1:8000 --key-file data/admin.key" },
    { "context ls", "the contexts", NULL, NULL, NULL, ls_run, NULL },
    { "context use", "make a context the current one", NULL, one_name, NULL, use_run, NULL },
    { "context previous", "go back to the context before", NULL, NULL, NULL, previous_run, NULL },
    { "context rm", "forget a context", "It is yours alone: the hub does not hear of it. The file with the secret stays.", one_name, rm_options, rm_run, NULL },
    { 0 },
};
// clang-format on

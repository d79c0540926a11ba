#define _GNU_SOURCE
#include "hub/cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

/* --- what commands use -------------------------------------------------------------------------
 */

static void print_line(const char *prefix, const char *format, va_list rest)
    __attribute__((format(printf, 2, 0)));

static void print_line(const char *prefix, const char *format, va_list rest)
{
    fflush(stdout);
    fputs(prefix, stderr);
    vfprintf(stderr, format, rest);
    fputc('\n', stderr);
}

enum cli_exit cli_fail(enum cli_exit exit, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    print_line("waggle: ", format, rest);
    va_end(rest);
    return exit;
}

void cli_note(const struct cli *cli, const char *format, ...)
{
    va_list rest;
    if (cli->quiet) {
        return;
    }
    va_start(rest, format);
    print_line("", format, rest);
    va_end(rest);
}

enum cli_exit cli_usage(const struct cli *cli)
{
    const char *name = cli->command ? cli->command->name : "";
    return cli_fail(CLI_USAGE, "%s\nTry: waggle %s%s--help", args_error(&cli->args), name,
                    *name ? " " : "");
}

void cli_flush(const struct cli *cli)
{
    if (fflush(cli->out.to) == 0 && !ferror(cli->out.to)) {
        return;
    }
    if (errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    cli_fail(CLI_FAILED, "cannot write the output: %s", strerror(errno));
    _Exit(CLI_FAILED);
}

bool cli_target(struct cli *cli)
{
    struct buf error = {0};
    if (cli->target.url) {
        return true;
    }
    struct target_flags flags = {
        .url = args_text(&cli->args, "url"),
        .key_file = args_text(&cli->args, "key-file"),
        .token_file = args_text(&cli->args, "token-file"),
        .ca_file = args_text(&cli->args, "ca-file"),
        .context = args_text(&cli->args, "context"),
    };
    bool ok = target_find(&cli->target, &flags, &error);
    if (!ok) {
        cli_fail(CLI_USAGE, "%.*s", (int)error.n, (const char *)error.p);
    }
    buf_done(&error);
    return ok;
}

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    int rc = clock_gettime(clock, &now);
    assert(rc == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t clock_steady_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* --- from argv to a command --------------------------------------------------------------------
 */

static enum cli_exit fail_unknown(const char *words, const char *typed)
{
    const char *next[64];
    char copies[64][32];
    size_t n = command_next_words(words, next, 64);
    for (size_t i = 0; i < n; i++) {
        snprintf(copies[i], sizeof copies[i], "%.*s", (int)strcspn(next[i], " "), next[i]);
        next[i] = copies[i];
    }
    const char *near = nearest_word(typed, next, n);
    return cli_fail(CLI_USAGE, "unknown command \"%s%s%s\"%s%s%s\nTry: waggle %s%s--help", words,
                    *words ? " " : "", typed, near ? "; did you mean " : "", near ? near : "",
                    near ? "?" : "", words, *words ? " " : "");
}

/* Finds cli->command from the words at *at on, options of every command standing between them.
 * CLI_OK without a command: help was asked for and given. */
static enum cli_exit find_command(struct cli *cli, int argc, char *const *argv, int *at)
{
    char words[128] = "";
    while (!cli->command) {
        if (!args_read(&cli->args, argc, argv, at, true)) {
            return cli_usage(cli);
        }
        if (args_has(&cli->args, "version")) {
            cli->command = command_find("version");
            return CLI_OK;
        }
        if (*at == argc) {
            bool asked = args_has(&cli->args, "help");
            *words ? help_group(asked ? stdout : stderr, words)
                   : help_overview(asked ? stdout : stderr);
            return asked ? CLI_OK : CLI_USAGE;
        }
        const char *typed = argv[(*at)++];
        char longer[128];
        int n = snprintf(longer, sizeof longer, "%s%s%s", words, *words ? " " : "", typed);
        bool whole = n > 0 && (size_t)n < sizeof longer;
        cli->command = whole ? command_find(longer) : NULL;
        if (!cli->command && !(whole && command_is_group(longer))) {
            return fail_unknown(words, typed);
        }
        memcpy(words, longer, sizeof words);
    }
    return CLI_OK;
}

static enum cli_exit run_command(struct cli *cli, int argc, char *const *argv, int at)
{
    if (cli->command->options) {
        args_add_table(&cli->args, cli->command->options);
    }
    bool read = args_read(&cli->args, argc, argv, &at, false);
    if (args_has(&cli->args, "help")) { /* whatever else was typed */
        help_command(stdout, cli->command);
        return CLI_OK;
    }
    if (!read || !args_check(&cli->args, cli->command->operands)) {
        return cli_usage(cli);
    }
    if (args_has(&cli->args, "key-file") && args_has(&cli->args, "token-file")) {
        args_refuse(&cli->args, "--key-file and --token-file exclude each other");
        return cli_usage(cli);
    }
    const char *format = args_text(&cli->args, "output");
    int f = OUT_TABLE;
    while (format && strcmp(output_format_names[f], format) != 0) {
        f++;
    }
    cli->out = output_for(stdout, (enum output_format)f, clock_wall_ms());
    cli->out.query = args_text(&cli->args, "query");
    cli->timeout_ms = args_ms(&cli->args, "timeout", 30000);
    cli->quiet = args_has(&cli->args, "quiet");
    enum cli_exit rc = cli->command->run(cli);
    cli_flush(cli);
    return rc;
}

enum cli_exit cli_main(int argc, char *const *argv)
{
    struct cli cli = {0};
    int at = 1;
    args_add_table(&cli.args, global_options);
    enum cli_exit rc = find_command(&cli, argc, argv, &at);
    if (cli.command) {
        rc = run_command(&cli, argc, argv, at);
    }
    target_done(&cli.target);
    args_done(&cli.args);
    return rc;
}

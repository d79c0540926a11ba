/* hub/cli/cli.h: what every command of `waggle` is, and what its function is given.
 *
 * Each noun has a file with a table of commands; hub/cli/commands.c gathers them. Help, usage
 * errors, completion and the man page are made from the tables, so a command is one row and one
 * function.
 *
 * Threads  one.
 * Errors   a command returns its exit code, having said on stderr why it is not CLI_OK.
 */
#ifndef WAGGLE_CLI_CLI_H
#define WAGGLE_CLI_CLI_H

#include "hub/cli/exit.h"
#include "hub/cli/options.h"
#include "hub/cli/output.h"
#include "hub/cli/target.h"

struct cli {
    const struct command *command;
    struct args args;
    struct output out;
    int64_t timeout_ms; /* of one request */
    bool quiet;
    struct target target;        /* by cli_target() */
    const char *idempotency_key; /* of the request being sent; NULL: none */
};

struct command {         /* a table ends with a row without name */
    const char *name;    /* "agent run": one to three words */
    const char *summary; /* one line, no full stop */
    const char *about;   /* paragraphs for its own help page; NULL: none */
    const struct operand *operands;
    const struct option *options;
    enum cli_exit (*run)(struct cli *cli);
    const char *example; /* NULL: none */
};

struct command_group {
    const char *name, *summary;
};

/* hub/cli/commands.c */
extern const struct option global_options[];
extern const struct command_group command_groups[]; /* ends with a row without name */
/* Calls visit for every command, in the order of the help page, until it returns false. */
void commands_each(bool (*visit)(void *ctx, const struct command *command), void *ctx);
const struct command *command_find(const char *name);
/* True when some command's name begins with these words and goes on. */
bool command_is_group(const char *words);
/* The words that may follow `words` ("" at the start); returns their count, each once. */
size_t command_next_words(const char *words, const char **out, size_t max);

/* hub/cli/help.c */
void help_overview(FILE *to);
void help_group(FILE *to, const char *words);
void help_command(FILE *to, const struct command *command);
enum cli_exit help_run(struct cli *cli);

/* hub/cli/completion.c */
enum cli_exit completion_run(struct cli *cli);
enum cli_exit complete_run(struct cli *cli);

/* hub/cli/main.c's part that tests can call: runs one command line. */
enum cli_exit cli_main(int argc, char *const *argv);

/* Finds the hub and the credentials once; false after an error has been printed (CLI_USAGE). */
bool cli_target(struct cli *cli);
/* "waggle: …" on stderr; returns exit. */
enum cli_exit cli_fail(enum cli_exit exit, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same for what the command line itself says wrong, with a pointer to the help. */
enum cli_exit cli_usage(const struct cli *cli);
/* A line on stderr for a person; nothing with --quiet. */
void cli_note(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* After a write: a reader of our output that went away ends us as a pipe does. */
void cli_flush(const struct cli *cli);

int64_t clock_wall_ms(void);
int64_t clock_steady_ms(void);

#endif

/* Help pages, made from the tables of commands and options. */
#include "hub/cli/cli.h"

#include "hub/cli/text.h"

enum { HELP_LEFT = 26, HELP_LEAST = 50, HELP_WIDTH = 80, HELP_MOST = 96 };

/* Of the terminal; a pipe leads to a pager on one of the usual width. */
static size_t help_width(FILE *to)
{
    size_t columns = output_columns(to);
    return columns == 0           ? HELP_WIDTH
           : columns < HELP_LEAST ? HELP_LEAST
           : columns > HELP_MOST  ? HELP_MOST
                                  : columns;
}

/* The text from `column` on, broken at spaces, further lines indented to `indent`. */
static void print_wrapped(FILE *to, const char *text, size_t column, size_t indent)
{
    size_t width = help_width(to);
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (column > indent && column + n + 1 > width) {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fwrite(text, 1, n, to);
        column += n;
        text += n;
        if (*text == '\n') {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    fputc('\n', to);
}

static void print_row(FILE *to, const char *left, const char *right)
{
    size_t n = text_columns(slice_str(left));
    fprintf(to, "  %s", left);
    if (n + 4 > HELP_LEFT) {
        fprintf(to, "\n%*s", HELP_LEFT, "");
    } else {
        fprintf(to, "%*s", (int)(HELP_LEFT - n - 2), "");
    }
    print_wrapped(to, right, HELP_LEFT, HELP_LEFT);
}

static void print_option(FILE *to, const struct option *o)
{
    char left[80];
    struct buf right = {0};
    int n = o->letter ? snprintf(left, sizeof left, "-%c, ", o->letter)
                      : snprintf(left, sizeof left, "    ");
    snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", o->name, o->value ? " " : "",
             o->value ? o->value : "");
    buf_add_str(&right, o->help);
    buf_add_str(&right, o->how & OPTION_REQUIRED ? " (needed)" : "");
    buf_add_str(&right, o->how & OPTION_MANY ? " (may be repeated)" : "");
    buf_add(&right, "", 1);
    print_row(to, left, (const char *)right.p);
    buf_done(&right);
}

static void print_options(FILE *to, const char *title, const struct option *options)
{
    if (options && options->name) {
        fprintf(to, "\n%s\n", title);
    }
    for (const struct option *o = options; o && o->name; o++) {
        print_option(to, o);
    }
}

static void print_usage(FILE *to, const struct command *command)
{
    fprintf(to, "Usage: waggle %s", command->name);
    for (const struct option *o = command->options; o && o->name; o++) {
        if (o->how & OPTION_REQUIRED) {
            fprintf(to, " --%s %s", o->name, o->value);
        }
    }
    for (const struct operand *o = command->operands; o && o->name; o++) {
        bool needed = o->how & OPTION_REQUIRED;
        fprintf(to, " %s%s%s%s", needed ? "" : "[", o->name, o->how & OPTION_MANY ? "…" : "",
                needed ? "" : "]");
    }
    fputs(command->options && command->options->name ? " [OPTIONS]\n" : "\n", to);
}

void help_command(FILE *to, const struct command *command)
{
    fprintf(to, "waggle %s: %s.\n\n", command->name, command->summary);
    print_usage(to, command);
    for (const struct operand *o = command->operands; o && o->name; o++) {
        if (o == command->operands) {
            fputc('\n', to);
        }
        print_row(to, o->name, o->help);
    }
    if (command->about) {
        fputc('\n', to);
        print_wrapped(to, command->about, 0, 0);
    }
    print_options(to, "Options", command->options);
    print_options(to, "Options of every command", global_options);
    if (command->example) {
        fprintf(to, "\nExample\n  %s\n", command->example);
    }
}

struct group_page {
    FILE *to;
    const char *words;
};

static bool print_if_within(void *ctx, const struct command *command)
{
    struct group_page *page = ctx;
    size_t n = strlen(page->words);
    if (strncmp(command->name, page->words, n) == 0 && command->name[n] == ' ') {
        print_row(page->to, command->name, command->summary);
    }
    return true;
}

void help_group(FILE *to, const char *words)
{
    fprintf(to, "Usage: waggle %s VERB …\n\n", words);
    commands_each(print_if_within, &(struct group_page){to, words});
    fprintf(to, "\n`waggle %s VERB --help` says more.\n", words);
}

static bool print_if_alone(void *ctx, const struct command *command)
{
    if (!strchr(command->name, ' ') && command->summary[0]) {
        print_row(ctx, command->name, command->summary);
    }
    return true;
}

void help_overview(FILE *to)
{
    fputs("waggle: the command line of the Waggle hub.\n\nUsage: waggle COMMAND …\n\n", to);
    for (const struct command_group *g = command_groups; g->name; g++) {
        char left[64];
        snprintf(left, sizeof left, "%s …", g->name);
        print_row(to, left, g->summary);
    }
    commands_each(print_if_alone, to);
    print_options(to, "Options of every command", global_options);
    fputs("\nExit codes\n", to);
    for (int i = 0; i < CLI_EXITS; i++) {
        char left[32];
        snprintf(left, sizeof left, "%d  %s", i, exit_classes[i].name);
        print_row(to, left, exit_classes[i].meaning);
    }
    fputs("\n`waggle COMMAND --help` says more.\n", to);
}

enum cli_exit help_run(struct cli *cli)
{
    struct buf words = {0};
    for (size_t i = 0; i < cli->args.operand_count; i++) {
        buf_printf(&words, "%s%s", i ? " " : "", args_operand(&cli->args, i));
    }
    buf_add(&words, "", 1);
    const char *name = (const char *)words.p;
    const struct command *command = command_find(name);
    enum cli_exit rc = CLI_OK;
    if (*name == '\0') {
        help_overview(cli->out.to);
    } else if (command) {
        help_command(cli->out.to, command);
    } else if (command_is_group(name)) {
        help_group(cli->out.to, name);
    } else {
        rc = cli_fail(CLI_USAGE, "there is no command \"%s\"", name);
    }
    buf_done(&words);
    return rc;
}

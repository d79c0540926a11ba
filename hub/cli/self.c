/* Commands about the program itself. */
#include "hub/cli/nouns.h"

#include "channels/json_out.h"

static enum cli_exit version_run(struct cli *cli)
{
    if (cli->out.format == OUT_TABLE || cli->out.format == OUT_WIDE) {
        fputs("waggle " WAGGLE_VERSION "\n", cli->out.to);
        return CLI_OK;
    }
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    json_begin(&o, '{');
    json_key(&o, "version");
    json_str(&o, WAGGLE_VERSION);
    json_end(&o, '}');
    output_object(&cli->out, buf_slice(&text), NULL, "version");
    buf_done(&text);
    return CLI_OK;
}

// clang-format off
static const struct operand help_operands[] = {
    { "COMMAND", OPTION_MANY, "the words of a command or of a group of them" }, { 0 } };
static const struct operand shell_operands[] = {
    { "SHELL", OPTION_REQUIRED, "bash, zsh or fish" }, { 0 } };
static const struct operand word_operands[] = { { "WORD", OPTION_MANY, "" }, { 0 } };

const struct command self_commands[] = {
    { "completion", "a script that teaches your shell the commands",
      "For bash: source <(waggle completion bash). For zsh: put the output into a file _waggle on your fpath. "
      "For fish: waggle completion fish | source.",
      shell_operands, NULL, completion_run, "source <(waggle completion bash)" },
    { "version", "the version of this program", NULL, NULL, NULL, version_run, NULL },
    { "help", "this page, or the page of a command", NULL, help_operands, NULL, help_run, "waggle help agent run" },
    { "__complete", "", NULL, word_operands, NULL, complete_run, NULL },
    { 0 },
};
// clang-format on

/* What the program knows by heart: error codes, a sheet of examples, its manual page. */
#include "hub/cli/nouns.h"

#include <ctype.h>

#include "channels/json_out.h"
#include "hub/core/errors.h"

/* --- errors ------------------------------------------------------------------------------------
 */

// clang-format off
/* Close codes of a WebSocket are told beside the words of error frames. */
static const struct { unsigned code; const char *word, *title, *advice; } closes[] = {
    { CLOSE_NORMAL,        "normal",        "The connection has done its work", "" },
    { CLOSE_GOING_AWAY,    "going_away",    "The hub drains", "Connect again after the time that goodbye named." },
    { CLOSE_PROTOCOL,      "protocol",      "A frame broke the rules of WebSocket", "Mend the client; the reason names the rule." },
    { CLOSE_UNSUPPORTED,   "unsupported",   "A binary message", "Send text frames." },
    { CLOSE_BAD_TEXT,      "bad_text",      "Text that is no UTF-8", "Send UTF-8." },
    { CLOSE_TOO_BIG,       "too_big",       "A message past the limit of the welcome", "Send less at a time." },
    { CLOSE_INTERNAL,      "internal",      "The hub met a fault", "Connect again; report it." },
    { CLOSE_TLS_REQUIRED,  "tls_required",  "This door wants TLS", "Use wss://." },
    { CLOSE_UNAUTHORISED,  "unauthorised",  "No credential in time, or one that has ended", "Connect with a valid one." },
    { CLOSE_SUPERSEDED,    "superseded",    "The same agent connected elsewhere", "Give every process an id of its own." },
    { CLOSE_OVER_CAPACITY, "over_capacity", "The hub takes no more connections now", "Come back later." },
    { CLOSE_TOO_SLOW,      "too_slow",      "The reader did not keep up", "Read faster, or subscribe to less." },
    { CLOSE_NO_PONG,       "no_pong",       "Two heartbeats without a sign of life", "Answer pings." },
    { CLOSE_RATE,          "rate",          "Too many messages", "Send less often." },
};

static const struct column error_columns[] = {
    { "CODE",    "code",   COLUMN_TEXT,   false },
    { "STATUS",  "status", COLUMN_NUMBER, false },
    { "EXIT",    "exit",   COLUMN_NUMBER, false },
    { "MEANING", "title",  COLUMN_TEXT,   false },
    { "ADVICE",  "advice", COLUMN_TEXT,   false },
    { 0 },
};
// clang-format on

static void put_error(struct json_out *o, const char *code, unsigned status, enum cli_exit exit,
                      const char *title, const char *advice)
{
    json_begin(o, '{');
    json_key(o, "code");
    json_str(o, code);
    json_key(o, "status");
    json_u64(o, status);
    json_key(o, "exit");
    json_u64(o, (uint64_t)exit);
    json_key(o, "title");
    json_str(o, title);
    json_key(o, "advice");
    json_str(o, advice);
    json_end(o, '}');
}

static bool is_asked(const char *asked, const char *code, unsigned status)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%u", status);
    return !asked || strcmp(asked, code) == 0 || strcmp(asked, digits) == 0;
}

static size_t put_errors(struct json_out *o, const char *asked)
{
    size_t n = 0;
    for (unsigned rc = HUB_ANSWERED + 1; rc < HUB_RC_COUNT; rc++) {
        const struct hub_error *e = hub_error((enum hub_rc)rc);
        if (is_asked(asked, e->code, e->status)) {
            put_error(o, e->code, e->status, exit_of_status(e->status), e->title, e->advice);
            n++;
        }
    }
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        if (is_asked(asked, closes[i].word, closes[i].code)) {
            put_error(o, closes[i].word, closes[i].code, exit_of_close(closes[i].code),
                      closes[i].title, closes[i].advice);
            n++;
        }
    }
    return n;
}

static enum cli_exit errors_run(struct cli *cli)
{
    const char *asked = args_operand(&cli->args, 0);
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    json_begin(&o, '[');
    size_t n = put_errors(&o, asked);
    json_end(&o, ']');
    if (n) {
        output_list(&cli->out, buf_slice(&text), "", error_columns);
    }
    buf_done(&text);
    return n ? CLI_OK : cli_fail(CLI_NOT_FOUND, "there is no error \"%s\"", asked);
}

/* --- cheat -------------------------------------------------------------------------------------
 */

static bool print_example(void *ctx, const struct command *command)
{
    if (command->example) {
        fprintf(ctx, "# %s\n%s\n\n", command->summary, command->example);
    }
    return true;
}

static enum cli_exit cheat_run(struct cli *cli)
{
    commands_each(print_example, cli->out.to);
    return CLI_OK;
}

/* --- the manual page ---------------------------------------------------------------------------
 */

/* roff reads a backslash as an escape and a point or quote at the start of a line as a request;
 * a hyphen that is to be typed is one by itself. */
static void man_text(FILE *to, const char *text)
{
    fputs(text[0] == '.' || text[0] == '\'' ? "\\&" : "", to);
    for (; *text; text++) {
        switch (*text) {
        case '\\':
            fputs("\\e", to);
            break;
        case '-':
            fputs("\\-", to);
            break;
        default:
            fputc(*text, to);
            break;
        }
    }
}

static void man_line(FILE *to, const char *text)
{
    man_text(to, text);
    fputc('\n', to);
}

static void man_options(FILE *to, const struct option *options)
{
    for (const struct option *o = options; o && o->name; o++) {
        fputs(".TP\n\\fB", to);
        if (o->letter) {
            fprintf(to, "\\-%c\\fR, \\fB", o->letter);
        }
        fputs("\\-\\-", to);
        man_text(to, o->name);
        fputs("\\fR", to);
        if (o->value) {
            fputs(" \\fI", to);
            man_text(to, o->value);
            fputs("\\fR", to);
        }
        fputc('\n', to);
        man_text(to, o->help);
        fputs(o->how & OPTION_REQUIRED ? " (needed)" : "", to);
        fputs(o->how & OPTION_MANY ? " (may be repeated)\n" : "\n", to);
    }
}

static bool man_command(void *ctx, const struct command *command)
{
    FILE *to = ctx;
    if (command->name[0] == '_') { /* what is for scripts only */
        return true;
    }
    fputs(".SS \"waggle ", to);
    man_text(to, command->name);
    for (const struct operand *o = command->operands; o && o->name; o++) {
        fputs(o->how & OPTION_REQUIRED ? " " : " [", to);
        man_text(to, o->name);
        fputs(o->how & OPTION_MANY ? "…" : "", to);
        fputs(o->how & OPTION_REQUIRED ? "" : "]", to);
    }
    fprintf(to, "\"\n%c", toupper((unsigned char)command->summary[0]));
    man_text(to, command->summary + 1);
    fputs(".\n", to);
    if (command->about) {
        man_line(to, command->about);
    }
    man_options(to, command->options);
    if (command->example) {
        fputs(".PP\n.EX\n", to);
        man_line(to, command->example);
        fputs(".EE\n", to);
    }
    return true;
}

static enum cli_exit man_run(struct cli *cli)
{
    FILE *to = cli->out.to;
    fputs(".TH WAGGLE 1 \"\" \"waggle " WAGGLE_VERSION "\" \"Waggle\"\n"
          ".SH NAME\nwaggle \\- the command line of the Waggle hub\n"
          ".SH SYNOPSIS\n\\fBwaggle\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n"
          ".SH OPTIONS OF EVERY COMMAND\n",
          to);
    man_options(to, global_options);
    fputs(".SH COMMANDS\n", to);
    commands_each(man_command, to);
    fputs(".SH EXIT STATUS\n", to);
    for (int i = 0; i < CLI_EXITS; i++) {
        fprintf(to, ".TP\n%d\n%s: ", i, exit_classes[i].name);
        man_line(to, exit_classes[i].meaning);
    }
    fputs(".SH ENVIRONMENT\n"
          "WAGGLE_URL, WAGGLE_CONTEXT, WAGGLE_TOKEN, WAGGLE_TOKEN_FILE, WAGGLE_API_KEY, "
          "WAGGLE_API_KEY_FILE, WAGGLE_CA_FILE, NO_COLOR, XDG_CONFIG_HOME.\n"
          ".SH FILES\n~/.config/waggle/config: the contexts. It names files with secrets, and "
          "holds none.\n",
          to);
    return CLI_OK;
}

// clang-format off
static const struct operand error_operands[] = { { "CODE", 0, "a word such as conflict, an HTTP status or a close code" }, { 0 } };

const struct command reference_commands[] = {
    { "errors", "every error code with its meaning", "Words of errors with their HTTP status, close codes of a WebSocket, and with what this program ends on each.",
      error_operands, NULL, errors_run, "waggle errors conflict" },
    { "cheat", "a sheet of examples", NULL, NULL, NULL, cheat_run, NULL },
    { "__man", "", NULL, NULL, NULL, man_run, NULL },
    { 0 },
};
// clang-format on

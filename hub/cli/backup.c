/* Backups, where they lie: checked and put back with no hub at hand. Making and listing them is the
 * hub's: hub/cli/hub.c. */
#include "hub/cli/nouns.h"

#include "auth/digest.h"
#include "channels/json_out.h"
#include "hub/core/backups.h"

struct report {
    struct buf lines; /* an array of what was said */
    struct json_out out;
};

static void note_line(void *ctx, const char *line)
{
    struct report *report = ctx;
    json_str(&report->out, line);
}

static void show_report(const struct cli *cli, const char *folder, bool good,
                        const struct report *report)
{
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    json_begin(&o, '{');
    json_key(&o, "folder");
    json_str(&o, folder);
    json_key(&o, "whole");
    json_bool(&o, good);
    json_key(&o, "said");
    json_raw(&o, buf_slice(&report->lines));
    json_end(&o, '}');
    output_object(&cli->out, buf_slice(&text), NULL, "folder");
    buf_done(&text);
}

static bool verify_folder(const struct cli *cli, const char *folder)
{
    struct report report = {0};
    report.out = json_out_to(&report.lines);
    json_begin(&report.out, '[');
    bool good = backups_verify(folder, note_line, &report);
    json_end(&report.out, ']');
    show_report(cli, folder, good, &report);
    buf_done(&report.lines);
    return good;
}

static enum cli_exit verify_run(struct cli *cli)
{
    const char *folder = args_operand(&cli->args, 0);
    return verify_folder(cli, folder)
               ? CLI_OK
               : cli_fail(CLI_FAILED, "%s is not whole, or cannot be read", folder);
}

/* The plan is what the backup holds: read whole before anything is written. */
static enum cli_exit restore_run(struct cli *cli)
{
    const char *from = args_operand(&cli->args, 0), *to = args_operand(&cli->args, 1);
    char text[BACKUP_TEXT_MAX] = "";
    uint8_t fresh[16];
    if (!verify_folder(cli, from)) {
        return cli_fail(CLI_FAILED, "%s is not whole: nothing was restored", from);
    }
    if (args_has(&cli->args, "dry-run")) {
        return CLI_OK;
    }
    cli_flush(cli);
    if (!request_confirm(cli)) {
        return cli_fail(CLI_FAILED, "not done");
    }
    auth_random(fresh, sizeof fresh);
    if (!backups_restore(from, to, fresh, clock_wall_ms(), text, sizeof text)) {
        return cli_fail(CLI_FAILED, "%s", text);
    }
    cli_note(cli, "restored %s", text);
    return CLI_OK;
}

// clang-format off
static const struct operand one_folder[] = { { "FOLDER", OPTION_REQUIRED, "a backup, or the data folder of a hub" }, { 0 } };
static const struct operand from_and_to[] = {
    { "BACKUP", OPTION_REQUIRED, "its folder" }, { "FOLDER", OPTION_REQUIRED, "to be the data folder of a hub; nothing may be in it yet" }, { 0 } };
static const struct option restore_options[] = {
    { 'y', "yes", OPTION_FLAG, 0, NULL, "do not ask first", NULL },
    { 0, "dry-run", OPTION_FLAG, 0, NULL, "read the backup, say what is in it, and write nothing", NULL },
    { 0 },
};

const struct command backup_commands[] = {
    { "backup verify", "read all of a backup or data folder, and say what is damaged",
      "Where it lies, with no hub at hand; no hub may run on the folder.", one_folder, NULL, verify_run, "waggle backup verify data/backups/before-upgrade" },
    { "backup restore", "make a data folder from a backup",
      "The backup is read whole first. No position in a channel of before is taken for one of the new folder.",
      from_and_to, restore_options, restore_run, "waggle backup restore data/backups/before-upgrade new-data" },
    { 0 },
};
// clang-format on

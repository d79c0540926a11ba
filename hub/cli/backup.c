/* Backups: waiting for one that the hub makes (hub/cli/hub.c has the verbs that ask it), and where
 * they lie: checked and put back with no hub at hand. */
#include "hub/cli/nouns.h"

#include "auth/digest.h"
#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/core/backups.h"

#include <time.h>
#include <unistd.h>

/* ---- waiting for one that is being made ---- */

enum { LOOK_MS = 300 };

struct waiting {
    struct cli *cli;
    char name[BACKUP_NAME_MAX + 1];
    int64_t give_up_ms;
    bool told; /* a line of progress stands on the terminal */
};

static void tell_progress(struct waiting *w, struct slice progress)
{
    double done = 0, total = 0;
    struct buf phase = {0};
    json_add_human(&phase, json_at(progress, "phase"));
    (void)json_to_double(json_at(progress, "bytes"), &done);
    (void)json_to_double(json_at(progress, "bytes_total"), &total);
    if (isatty(STDERR_FILENO) && phase.n && total > 0) {
        fprintf(stderr, "\r%s: %s %.1f of %.1f MiB (%.0f %%)\033[K", w->name, buf_text(&phase),
                done / (1 << 20), total / (1 << 20), 100 * done / total);
        w->told = true;
    }
    buf_done(&phase);
}

static void clear_progress(const struct waiting *w)
{
    if (w->told) {
        fprintf(stderr, "\r\033[K");
    }
}

/* Under way is the one of that name, or one that has no name yet. */
static bool is_made_now(const struct waiting *w, struct slice answer)
{
    struct slice name;
    bool running = false;
    (void)json_to_bool(json_at(answer, "running"), &running);
    return running && (!json_is_plain(json_at(json_at(answer, "progress"), "name"), &name) ||
                       slice_is(name, w->name));
}

/* The newest of that name; p is NULL: it is not done, though an older one of the name may be. */
static struct slice find_made(const struct waiting *w, struct slice answer)
{
    struct slice key, item;
    if (is_made_now(w, answer)) {
        return slice_of(NULL, 0);
    }
    struct json_walk walk = json_walk_of(json_at(answer, "backups"));
    while (json_walk_next(&walk, &key, &item)) {
        struct slice name;
        if (json_is_plain(json_at(item, "name"), &name) && slice_is(name, w->name)) {
            return item;
        }
    }
    return slice_of(NULL, 0);
}

static enum cli_exit show_made(const struct waiting *w, struct slice made)
{
    struct slice status, error = {0};
    output_object(&w->cli->out, made, NULL, "name");
    if (json_is_plain(json_at(made, "status"), &status) && slice_is(status, "completed")) {
        return CLI_OK;
    }
    (void)json_is_plain(json_at(made, "error"), &error);
    return cli_fail(CLI_FAILED, "%s failed: %.*s", w->name, (int)error.n, (const char *)error.p);
}

/* A hub that ends meanwhile makes no more of it: that is told, and not waited for. */
static enum cli_exit wait_for(struct waiting *w)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    for (;;) {
        struct reply reply;
        enum cli_exit rc =
            http_ask(w->cli, "GET", "/api/v1/admin/backups", slice_of(NULL, 0), &reply);
        struct slice answer = buf_slice(&reply.body);
        struct slice made = rc == CLI_OK ? find_made(w, answer) : slice_of(NULL, 0);
        bool running = false;
        (void)json_to_bool(json_at(answer, "running"), &running);
        if (rc == CLI_OK && !made.p && running) {
            tell_progress(w, json_at(answer, "progress"));
        } else {
            clear_progress(w);
            rc = rc != CLI_OK ? rc
                 : made.p     ? show_made(w, made)
                          : cli_fail(CLI_FAILED, "%s: the hub was started anew meanwhile", w->name);
        }
        reply_done(&reply);
        if (rc != CLI_OK || made.p) {
            return rc;
        }
        if (clock_steady_ms() >= w->give_up_ms) {
            clear_progress(w);
            return cli_fail(CLI_TIMEOUT, "%s is not done yet", w->name);
        }
        (void)nanosleep(&pause, NULL);
    }
}

enum cli_exit backup_create_run(struct cli *cli)
{
    struct waiting w = {.cli = cli};
    struct reply reply;
    int64_t within = args_ms(&cli->args, "within", 0);
    if (!args_has(&cli->args, "follow") || args_has(&cli->args, "dry-run")) {
        return request_run(cli);
    }
    w.give_up_ms = within ? clock_steady_ms() + within : INT64_MAX;
    enum cli_exit rc = request_send(cli, &((const struct verb *)cli->command)->request, &reply);
    if (rc == CLI_OK) {
        struct slice name = {0};
        (void)json_is_plain(json_at(buf_slice(&reply.body), "name"), &name);
        (void)snprintf(w.name, sizeof w.name, "%.*s", (int)name.n, (const char *)name.p);
        rc = wait_for(&w);
    }
    reply_done(&reply);
    return rc;
}

/* ---- where they lie ---- */

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

#include "hub/cli/consensus_commit.h"

#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/agent_ballot.h"
#include "hub/cli/secret_file.h"
#include "hub/consensus/certificate.h"

/* ---- the ballot as it was typed ---- */

static void add_lines(const struct args *args, const char *option, struct buf *words)
{
    for (size_t i = 0; i < args_count(args, option); i++) {
        const char *text = args_nth(args, option, i);
        for (size_t n; *text; text += n + (text[n] == ',')) {
            n = strcspn(text, ",");
            buf_add(words, text, n);
            buf_add_str(words, n ? "\n" : "");
        }
    }
}

/* As an agent's command would print it (hub/cli/agent_ballot.h): an option, several lines of them,
 * a score, or nothing. */
static bool read_words(struct args *args, struct buf *words)
{
    const char *choice = args_operand(args, 1), *score = args_text(args, "score");
    int given = (choice != NULL) + (score != NULL) + args_has(args, "approve") +
                args_has(args, "ranking") + args_has(args, "abstain");
    if (given != 1) {
        return args_refuse(args, given ? "a ballot says one thing"
                                       : "a ballot is missing: an option, or --abstain");
    }
    buf_add_str(words, choice ? choice : score ? score : "");
    add_lines(args, "approve", words);
    add_lines(args, "ranking", words);
    return true;
}

static bool read_nonce(struct args *args, struct buf *nonce)
{
    struct buf fresh = {0};
    char why[256];
    agent_ballot_nonce(&fresh);
    const char *path = args_text(args, "nonce-file");
    bool ok = secret_file_line(path, buf_slice(&fresh), nonce, why, sizeof why) ||
              args_refuse(args, "%s", why);
    buf_done(&fresh);
    if (ok && (nonce->n < NONCE_BYTES_MIN || nonce->n > NONCE_BYTES_MAX)) {
        ok = args_refuse(args, "%s is no nonce: one line is wanted, %d to %d bytes", path,
                         NONCE_BYTES_MIN, NONCE_BYTES_MAX);
    }
    return ok;
}

/* ---- the commitment ---- */

/* The name is hashed too: whom the hub takes the caller for, unless it says whose ballot it is. */
static enum cli_exit find_voter(struct cli *cli, struct buf *out)
{
    struct reply reply = {0};
    enum cli_exit rc = CLI_OK;
    if (args_has(&cli->args, "voter")) {
        buf_add_str(out, args_text(&cli->args, "voter"));
        return CLI_OK;
    }
    rc = http_ask(cli, "GET", "/api/v1/auth/whoami", (struct slice){0}, &reply);
    if (rc == CLI_OK && !json_to_text(json_at(buf_slice(&reply.body), "sub"), out)) {
        rc = cli_fail(CLI_FAILED, "the hub does not say who you are: --voter");
    }
    reply_done(&reply);
    return rc;
}

static enum cli_exit make_body(struct cli *cli, struct slice words, struct slice nonce,
                               struct buf *out)
{
    static const struct request one_round = {.method = "GET", .path = "/api/v1/consensus/{ROUND}"};
    struct buf voter_id = {0}, path = {0};
    struct reply round = {0};
    struct json_out o = json_out_to(out);
    char why[256];
    const char *typed = args_text(&cli->args, "confidence");
    double confidence = typed ? strtod(typed, NULL) : 0;
    enum cli_exit rc = request_path(cli, &one_round, &path);
    if (rc == CLI_OK) {
        rc = http_ask(cli, "GET", buf_text(&path), (struct slice){0}, &round);
    }
    if (rc == CLI_OK) {
        rc = find_voter(cli, &voter_id);
    }
    if (rc == CLI_OK) {
        struct agent_voter voter = {
            .id = buf_text(&voter_id), .how = "", .confidence = typed ? &confidence : NULL};
        json_begin(&o, '{');
        if (!agent_ballot_put_commitment(&o, &voter, buf_slice(&round.body), words, nonce, why,
                                         sizeof why)) {
            rc = cli_fail(CLI_USAGE, "%s", why);
        }
        json_end(&o, '}');
    }
    reply_done(&round);
    buf_done(&path);
    buf_done(&voter_id);
    return rc;
}

static enum cli_exit send_body(struct cli *cli, struct slice body)
{
    const struct request *request = &((const struct verb *)cli->command)->request;
    struct buf path = {0};
    struct reply reply = {0};
    enum cli_exit rc = request_path(cli, request, &path);
    if (rc == CLI_OK && args_has(&cli->args, "dry-run")) {
        request_print(cli, request->method, buf_text(&path), body);
    } else if (rc == CLI_OK) {
        rc = http_ask(cli, request->method, buf_text(&path), body, &reply);
        if (rc == CLI_OK) {
            request_show(cli, request, buf_slice(&reply.body));
        }
    }
    reply_done(&reply);
    buf_done(&path);
    return rc;
}

static enum cli_exit commit_ballot(struct cli *cli)
{
    struct buf words = {0}, nonce = {0}, body = {0};
    enum cli_exit rc = CLI_OK;
    if (!read_words(&cli->args, &words) || !read_nonce(&cli->args, &nonce)) {
        rc = cli_usage(cli);
    } else {
        rc = make_body(cli, buf_slice(&words), buf_slice(&nonce), &body);
    }
    if (rc == CLI_OK) {
        rc = send_body(cli, buf_slice(&body));
    }
    buf_done(&words);
    buf_done(&nonce);
    buf_done(&body);
    return rc;
}

/* ---- the commands ---- */

enum cli_exit consensus_commit_run(struct cli *cli)
{
    static const char *const of_a_ballot[] = {"approve", "ranking", "score", "confidence",
                                              "abstain"};
    if (args_has(&cli->args, "nonce-file")) {
        return commit_ballot(cli);
    }
    bool ok = args_operand(&cli->args, 1) ||
              args_refuse(&cli->args, "a commitment, or a ballot and --nonce-file, is missing");
    for (size_t i = 0; ok && i < sizeof of_a_ballot / sizeof of_a_ballot[0]; i++) {
        if (args_has(&cli->args, of_a_ballot[i])) {
            ok = args_refuse(&cli->args, "--%s goes with --nonce-file", of_a_ballot[i]);
        }
    }
    return ok ? request_run(cli) : cli_usage(cli);
}

enum cli_exit consensus_vote_run(struct cli *cli)
{
    if (args_has(&cli->args, "nonce") && args_has(&cli->args, "nonce-file")) {
        args_refuse(&cli->args, "a ballot has one nonce: --nonce or --nonce-file");
        return cli_usage(cli);
    }
    return request_run(cli);
}

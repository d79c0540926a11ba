/* Checking with no hub at hand what a hub has signed: certificates of rounds, and the audit trail
 * in a data directory or a backup. All that is taken on trust is the hub's public key: from a file
 * of its JWK set, as a thumbprint somebody pinned, or else from the hub itself. */
#include "hub/cli/nouns.h"

#include "auth/digest.h"
#include "auth/signing.h"
#include "channels/json_members.h"
#include "hub/audit/chain.h"
#include "hub/cli/http.h"
#include "hub/consensus/certificate.h"

#include <errno.h>
#include <stdlib.h>

/* ---- whom to trust ---- */

struct trusted {
    struct cli *cli;
    struct signing *ring; /* NULL: pinned thumbprints alone */
};

static bool is_trusted(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES])
{
    const struct trusted *t = ctx;
    char kid[SIGNING_KID_CHARS + 1];
    signature_kid(public_key, kid);
    for (size_t i = 0; i < args_count(&t->cli->args, "kid"); i++) {
        if (strcmp(args_nth(&t->cli->args, "kid", i), kid) == 0) {
            return true;
        }
    }
    const uint8_t *key = t->ring ? signing_find(t->ring, slice_str(kid), 0) : NULL;
    return key && memcmp(key, public_key, SIGNING_PUBLIC_BYTES) == 0;
}

static bool read_file(const char *path, size_t bytes_max, struct buf *out)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    size_t n = 1;
    while (file && n && out->n <= bytes_max) {
        n = fread(buf_reserve(out, 65536), 1, 65536, file);
        out->n += n;
    }
    bool ok = file && !ferror(file) && out->n <= bytes_max;
    if (file && file != stdin) {
        (void)fclose(file);
    }
    return ok;
}

static enum cli_exit trust_jwks(struct trusted *t, struct slice jwks, const char *from)
{
    uint8_t seed[SIGNING_SEED_BYTES]; /* a ring has a key of its own: one that has signed nothing */
    unsigned taken = 0, skipped;
    auth_random(seed, sizeof seed);
    struct signing *own = signing_of(seed, 0);
    enum signing_rc rc = signing_trust(own, jwks, &t->ring, &taken, &skipped);
    signing_unref(own);
    return rc == SIGNING_OK && taken
               ? CLI_OK
               : cli_fail(CLI_USAGE, "%s: no JWK set with Ed25519 keys", from);
}

static enum cli_exit find_trust(struct trusted *t)
{
    enum { JWKS_BYTES_MAX = 1 << 20 };
    const char *path = args_text(&t->cli->args, "jwks");
    struct buf jwks = {0};
    struct reply reply = {0};
    enum cli_exit rc = CLI_OK;
    if (path) {
        rc = read_file(path, JWKS_BYTES_MAX, &jwks)
                 ? trust_jwks(t, buf_slice(&jwks), path)
                 : cli_fail(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    } else if (!args_has(&t->cli->args, "kid")) {
        rc = http_ask(t->cli, "GET", "/.well-known/jwks.json", (struct slice){0}, &reply);
        if (rc == CLI_UNREACHABLE) {
            cli_note(t->cli, "The hub was asked for its keys: with --jwks or --kid nobody is.");
        }
        rc = rc == CLI_OK ? trust_jwks(t, buf_slice(&reply.body), "/.well-known/jwks.json") : rc;
    }
    reply_done(&reply);
    buf_done(&jwks);
    return rc;
}

/* ---- a certificate ---- */

/* After a verdict "valid" the paper says nothing but what was signed and counted again. */
static void show_paper(struct json_out *o, const struct paper *paper)
{
    struct tally_result result;
    uint32_t signed_n = 0;
    paper_count(paper, &result);
    for (uint32_t i = 0; i < paper->ballots_n; i++) {
        signed_n += paper->ballots[i].signature.n > 0;
    }
    put_text(o, "round_id", paper->id);
    put_text(o, "question", paper->question);
    put_text(o, "rule", slice_str(tally_rule_name(paper->terms.rule)));
    put_count(o, "seats", paper->seats_n);
    put_count(o, "ballots", paper->ballots_n);
    put_count(o, "signed_ballots", signed_n);
    json_key(o, "closed_at");
    json_time(o, paper->closed_ms);
    json_key(o, "outcome");
    paper_outcome_json(o, paper, &result);
    tally_result_done(&result);
}

static enum cli_exit verify_certificate(struct cli *cli, struct trusted *t, const char *path)
{
    struct buf text = {0}, shown = {0};
    struct json_out o = json_out_to(&shown);
    struct paper paper;
    char why[256];
    if (!read_file(path, CERTIFICATE_BYTES_MAX, &text)) {
        buf_done(&text);
        return cli_fail(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    }
    bool good = certificate_verify(buf_slice(&text), is_trusted, t, &paper, why, sizeof why);
    json_begin(&o, '{');
    put_text(&o, "verdict", slice_str(good ? "valid" : why));
    if (good) {
        show_paper(&o, &paper);
    }
    json_end(&o, '}');
    output_object(&cli->out, buf_slice(&shown), NULL, "round_id");
    paper_done(&paper);
    buf_done(&text);
    buf_done(&shown);
    return good ? CLI_OK : cli_fail(CLI_DENIED, "not valid: %s", why);
}

/* ---- the audit trail ---- */

struct log_check {
    struct trusted *trusted;
    struct buf first; /* the first fault, as JSON */
    struct buf said;  /* … and as a sentence */
};

static bool trusts_seal(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES])
{
    return is_trusted(((struct log_check *)ctx)->trusted, public_key);
}

static void note_fault(void *ctx, const struct chain_fault *fault)
{
    struct log_check *check = ctx;
    struct json_out o = json_out_to(&check->first);
    if (check->first.n) {
        return;
    }
    json_begin(&o, '{');
    put_text(&o, "what", slice_str(fault->what));
    if (fault->channel) {
        put_text(&o, "channel", fault->name);
        put_count(&o, "offset", fault->offset);
        put_count(&o, "sequence", fault->seq);
    }
    put_count(&o, "sealed_from", fault->from);
    put_count(&o, "sealed_to", fault->to);
    if (fault->at_ms) {
        json_key(&o, "at");
        json_time(&o, fault->at_ms);
    }
    json_end(&o, '}');
    if (fault->channel) {
        buf_printf(&check->said, "%.*s offset %llu: ", (int)fault->name.n,
                   (const char *)fault->name.p, (unsigned long long)fault->offset);
    } else {
        buf_printf(&check->said, "sequences %llu to %llu: ", (unsigned long long)fault->from,
                   (unsigned long long)fault->to);
    }
    buf_add_str(&check->said, fault->what);
    buf_add(&check->said, "", 1);
}

static void show_audit(struct cli *cli, const struct log_check *check,
                       const struct chain_audit *audit)
{
    struct buf shown = {0};
    struct json_out o = json_out_to(&shown);
    char head[2 * CHAIN_HEAD_BYTES + 1];
    hex_put(head, slice_of(audit->head, CHAIN_HEAD_BYTES));
    json_begin(&o, '{');
    put_text(&o, "verdict", slice_str(audit->faults ? "altered" : "unaltered"));
    put_count(&o, "seals", audit->seals);
    put_count(&o, "events", audit->events);
    put_count(&o, "events_no_longer_kept", audit->aged);
    put_count(&o, "records_never_sealed", audit->missed);
    put_count(&o, "records_before_first_seal", audit->before);
    put_count(&o, "records_not_sealed_yet",
              audit->newest > audit->sealed_to ? audit->newest - audit->sealed_to : 0);
    put_count(&o, "faults", audit->faults);
    put_text(&o, "head", slice_str(audit->seals ? head : ""));
    json_key(&o, "sealed_at");
    json_time(&o, audit->head_ms);
    json_key(&o, "first_fault");
    if (check->first.n) {
        json_raw(&o, buf_slice(&check->first));
    } else {
        json_put_null(&o);
    }
    json_end(&o, '}');
    output_object(&cli->out, buf_slice(&shown), NULL, "head");
    buf_done(&shown);
}

static enum store_rc check_log(struct store *store, struct log_check *check,
                               struct chain_audit *out)
{
    struct store_reader *reader;
    struct store_view *view;
    enum store_rc rc = store_reader_new(store, &reader);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_snapshot(reader, &view);
    if (rc == STORE_OK) {
        rc = chain_verify(view, trusts_seal, note_fault, check, out);
        store_release(reader);
    }
    store_reader_free(reader);
    return rc;
}

static enum cli_exit verify_log(struct cli *cli, struct trusted *t, const char *path)
{
    static const char file[] = "/data.mdb";
    size_t n = strlen(path), tail = sizeof file - 1;
    char *folder = xstrndup(path, n > tail && strcmp(path + n - tail, file) == 0 ? n - tail : n);
    struct store_options options = {.path = folder, .read_only = true};
    struct log_check check = {.trusted = t};
    struct chain_audit audit = {0};
    struct store *store;
    char text[512] = "";
    enum cli_exit rc = CLI_OK;
    if (store_open(&options, &store, text, sizeof text) != STORE_OK) {
        rc = cli_fail(CLI_USAGE, "%s", *text ? text : "cannot open the store");
    } else {
        enum store_rc found = check_log(store, &check, &audit);
        if (found != STORE_OK && found != STORE_DAMAGED) {
            rc = cli_fail(CLI_FAILED, "cannot read %s: %s", folder, store_error_text(store));
        } else {
            show_audit(cli, &check, &audit);
        }
        if (rc == CLI_OK && audit.faults) {
            rc = cli_fail(CLI_DENIED, "altered: %s", buf_text(&check.said));
        } else if (rc == CLI_OK && found == STORE_DAMAGED) {
            rc = cli_fail(CLI_FAILED, "%s is damaged", folder);
        }
        store_close(store);
    }
    buf_done(&check.first);
    buf_done(&check.said);
    free(folder);
    return rc;
}

static enum cli_exit verify_run(struct cli *cli)
{
    const char *file = args_operand(&cli->args, 0), *log = args_text(&cli->args, "log");
    struct trusted t = {.cli = cli};
    if (!file == !log) {
        args_refuse(&cli->args, "what? One of a certificate's FILE and --log");
        return cli_usage(cli);
    }
    enum cli_exit rc = find_trust(&t);
    if (rc == CLI_OK) {
        rc = log ? verify_log(cli, &t, log) : verify_certificate(cli, &t, file);
    }
    signing_unref(t.ring);
    return rc;
}

// clang-format off
static const struct operand one_file[] = {
    { "FILE", 0, "a certificate, as the hub gave it; - for stdin" }, { 0 } };

static const struct option verify_options[] = {
    { 0, "log", OPTION_FILE, 0, "DIR", "check the audit trail in a data directory or backup instead", NULL },
    { 0, "jwks", OPTION_FILE, 0, "FILE", "the hub's public keys: a copy of its /.well-known/jwks.json", NULL },
    { 0, "kid", OPTION_TEXT, OPTION_MANY, "KID", "a key's thumbprint that is known to be the hub's", NULL },
    { 0 },
};

const struct command verify_commands[] = {
    { "verify", "check a certificate, or the audit trail, with no hub at hand",
      "With --jwks or --kid nothing is asked of anybody; without them the hub's keys are fetched from it. "
      "A certificate is valid when the hub signed exactly these bytes, each voter's signature fits, and counting again "
      "gives the same outcome. Of an altered audit trail the first altered event is named. Exit 5 when it is not as it was signed.",
      one_file, verify_options, verify_run, "waggle verify certificate.json --jwks hub-keys.json" },
    { 0 },
};
// clang-format on

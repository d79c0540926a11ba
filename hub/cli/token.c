/* Tokens. `show` reads what a token says and believes nothing; `verify` checks it as the hub would,
 * with the hub's public keys. */
#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/base64url.h"
#include "auth/digest.h"
#include "auth/signing.h"
#include "auth/token.h"
#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/cli/http.h"

/* --- mint --------------------------------------------------------------------------------------
 */

/* 'orders.>=subscribe,publish': a channel's name may hold '=', so the last one counts. */
static bool add_capability(struct args *a, struct json_out *o, const char *text)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text || equals[1] == '\0') {
        return args_refuse(a, "--cap wants PATTERN=RIGHT,RIGHT, not \"%s\"", text);
    }
    json_key_slice(o, slice_of(text, (size_t)(equals - text)));
    json_begin(o, '[');
    for (const char *word = equals + 1; *word;) {
        size_t n = strcspn(word, ",");
        json_text(o, slice_of(word, n));
        word += n + (word[n] == ',');
    }
    json_end(o, ']');
    return true;
}

static bool make_request(struct cli *cli, struct buf *body)
{
    struct args *a = &cli->args;
    struct json_out o = json_out_to(body);
    const char *app = args_text(a, "app") ? args_text(a, "app") : cli->target.app;
    json_begin(&o, '{');
    json_key(&o, "sub");
    json_str(&o, args_text(a, "sub"));
    json_key(&o, "role");
    json_str(&o, args_text(a, "role"));
    json_key(&o, "ttl_s");
    json_i64(&o, (args_ms(a, "ttl", 3600000) + 999) / 1000);
    if (app) {
        json_key(&o, "app");
        json_str(&o, app);
    }
    if (args_has(a, "cap")) {
        json_key(&o, "cap");
        json_begin(&o, '{');
        for (size_t i = 0; i < args_count(a, "cap"); i++) {
            if (!add_capability(a, &o, args_nth(a, "cap", i))) {
                return false;
            }
        }
        json_end(&o, '}');
    }
    json_end(&o, '}');
    return true;
}

static enum cli_exit save_token(const char *path, struct slice token)
{
    struct buf line = {0};
    buf_add_slice(&line, token);
    buf_add_str(&line, "\n");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, line.p, line.n) == (ssize_t)line.n;
    ok = (fd < 0 || close(fd) == 0) && ok;
    digest_wipe(line.p, line.n);
    buf_done(&line);
    return ok ? CLI_OK : cli_fail(CLI_FAILED, "cannot write %s: %s", path, strerror(errno));
}

static enum cli_exit show_minted(struct cli *cli, struct slice answer)
{
    struct buf token = {0}, until = {0};
    const char *path = args_text(&cli->args, "out");
    enum cli_exit rc = CLI_OK;
    json_add_human(&token, json_at(answer, "token"));
    json_add_human(&until, json_at(answer, "expires_at"));
    if (path) {
        rc = save_token(path, buf_slice(&token));
    } else if (cli->out.format == OUT_TABLE || cli->out.format == OUT_WIDE) {
        fprintf(cli->out.to, "%s\n", buf_text(&token));
    } else {
        output_object(&cli->out, answer, NULL, "jti");
    }
    if (rc == CLI_OK && until.n) {
        cli_note(cli, "valid until %s", buf_text(&until));
    }
    digest_wipe(token.p, token.n);
    buf_done(&token);
    buf_done(&until);
    return rc;
}

static enum cli_exit mint_run(struct cli *cli)
{
    struct buf body = {0};
    struct reply reply = {0};
    enum cli_exit rc = CLI_USAGE;
    bool dry = args_has(&cli->args, "dry-run");
    if (cli_target(cli)) {
        rc = !make_request(cli, &body) ? cli_usage(cli)
             : dry                     ? CLI_OK
                   : http_ask(cli, "POST", "/api/v1/auth/tokens", buf_slice(&body), &reply);
    }
    if (rc == CLI_OK && dry) {
        request_print(cli, "POST", "/api/v1/auth/tokens", buf_slice(&body));
    } else if (rc == CLI_OK) {
        rc = show_minted(cli, buf_slice(&reply.body));
    }
    reply_done(&reply);
    buf_done(&body);
    return rc;
}

/* --- reading a token ---------------------------------------------------------------------------
 */

struct parsed {
    struct slice text, signed_part; /* borrow from the text given */
    uint8_t header_bytes[TOKEN_BYTES_MAX], payload_bytes[TOKEN_BYTES_MAX];
    struct slice header, payload; /* JSON */
    uint8_t signature[SIGNATURE_BYTES];
    size_t signature_n;
};

static bool decode_json(struct slice part, uint8_t *bytes, struct slice *out)
{
    size_t n, at;
    if (!base64url_get(part, bytes, TOKEN_BYTES_MAX, &n)) {
        return false;
    }
    *out = slice_of(bytes, n);
    return json_kind_of(*out) == JSON_KIND_OBJECT &&
           json_check(*out, TOKEN_JSON_DEPTH_MAX, &at) == JSON_OK;
}

static bool parse_token(struct slice text, struct parsed *p)
{
    if (text.n == 0 || text.n > TOKEN_BYTES_MAX) {
        return false;
    }
    const uint8_t *first = memchr(text.p, '.', text.n);
    const uint8_t *last = memrchr(text.p, '.', text.n);
    if (!first || first == last) {
        return false;
    }
    const uint8_t *end = text.p + text.n;
    p->text = text;
    p->signed_part = slice_of(text.p, (size_t)(last - text.p));
    return decode_json(slice_of(text.p, (size_t)(first - text.p)), p->header_bytes, &p->header) &&
           decode_json(slice_of(first + 1, (size_t)(last - first - 1)), p->payload_bytes,
                       &p->payload) &&
           base64url_get(slice_of(last + 1, (size_t)(end - last - 1)), p->signature,
                         sizeof p->signature, &p->signature_n);
}

static bool read_from(FILE *file, struct buf *text)
{
    size_t n = fread(buf_reserve(text, TOKEN_BYTES_MAX + 2), 1, TOKEN_BYTES_MAX + 2, file);
    text->n = n;
    while (text->n && strchr(" \t\r\n", text->p[text->n - 1])) {
        text->n--;
    }
    return !ferror(file);
}

/* What is typed stands in the list of processes and in the shell's history: a token is not taken
 * from there. */
static enum cli_exit read_file(const char *path, struct buf *text)
{
    struct parsed *typed = xcalloc(1, sizeof *typed);
    bool is_token = parse_token(slice_str(path), typed);
    free(typed);
    if (is_token) {
        return cli_fail(CLI_USAGE, "others can see what is typed: give a file with the token, or - "
                                   "for stdin");
    }
    FILE *file = fopen(path, "rb");
    bool read = file && read_from(file, text);
    enum cli_exit rc =
        read ? CLI_OK : cli_fail(CLI_USAGE, "cannot read %s: %s", path, strerror(errno));
    if (file) {
        (void)fclose(file);
    }
    return rc;
}

/* The token in the file that the operand names, "-" for stdin, or none for the one we would send.
 */
static enum cli_exit find_token(struct cli *cli, struct buf *text)
{
    const char *operand = args_operand(&cli->args, 0);
    if (operand && strcmp(operand, "-") == 0) {
        return read_from(stdin, text) ? CLI_OK : cli_fail(CLI_FAILED, "cannot read the input");
    }
    if (operand) {
        return read_file(operand, text);
    }
    if (!cli_target(cli)) {
        return CLI_USAGE;
    }
    if (cli->target.kind != CREDENTIAL_TOKEN) {
        return cli_fail(CLI_USAGE, "which token? Give a file, - for stdin, or --token-file");
    }
    buf_add_str(text, cli->target.secret);
    return CLI_OK;
}

/* NULL: *out_rc says why. The caller frees it, and text after it. */
static struct parsed *read_token(struct cli *cli, struct buf *text, enum cli_exit *out_rc)
{
    *out_rc = find_token(cli, text);
    if (*out_rc != CLI_OK) {
        return NULL;
    }
    struct parsed *p = xcalloc(1, sizeof *p);
    if (!parse_token(buf_slice(text), p)) {
        free(p);
        *out_rc = cli_fail(CLI_USAGE, "this is no token: three parts of base64url are wanted");
        return NULL;
    }
    return p;
}

static void add_time(struct json_out *o, struct slice claims, const char *name, const char *as)
{
    uint64_t seconds;
    if (json_to_u64(json_at(claims, name), &seconds) && seconds < (uint64_t)1 << 37) {
        json_key(o, as);
        json_time(o, (int64_t)seconds * 1000);
    }
}

static void show_claims(struct cli *cli, const struct parsed *p, const char *verdict)
{
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    json_begin(&o, '{');
    if (verdict) {
        json_key(&o, "verdict");
        json_str(&o, verdict);
    }
    json_key(&o, "header");
    json_raw(&o, p->header);
    json_key(&o, "claims");
    json_raw(&o, p->payload);
    add_time(&o, p->payload, "iat", "issued_at");
    add_time(&o, p->payload, "exp", "expires_at");
    json_end(&o, '}');
    output_object(&cli->out, buf_slice(&text), NULL, "claims.jti");
    buf_done(&text);
}

static enum cli_exit show_run(struct cli *cli)
{
    struct buf text = {0};
    enum cli_exit rc;
    struct parsed *p = read_token(cli, &text, &rc);
    if (p) {
        show_claims(cli, p, NULL);
        cli_note(cli, "Read, not verified: `waggle token verify` checks it with the hub's keys.");
    }
    free(p);
    buf_done(&text);
    return rc;
}

/* --- verify ------------------------------------------------------------------------------------
 */

enum { LEEWAY_S = 30 }; /* design.md section 6 */

static bool names_us(struct slice audience)
{
    struct slice key, item, text;
    if (json_kind_of(audience) != JSON_KIND_ARRAY) {
        return json_is_plain(audience, &text) && slice_is(text, TOKEN_AUDIENCE);
    }
    for (struct json_walk w = json_walk_of(audience); json_walk_next(&w, &key, &item);) {
        if (json_is_plain(item, &text) && slice_is(text, TOKEN_AUDIENCE)) {
            return true;
        }
    }
    return false;
}

/* NULL: good; else what is wrong. */
static const char *judge(const struct parsed *p, const struct signing *keys, int64_t now_ms)
{
    struct slice alg, kid = {0};
    uint64_t exp, nbf = 0;
    (void)json_is_plain(json_at(p->header, "kid"), &kid);
    if (!json_is_plain(json_at(p->header, "alg"), &alg) || !slice_is(alg, "EdDSA")) {
        return "the algorithm is not EdDSA";
    }
    const uint8_t *key = kid.n ? signing_find(keys, kid, now_ms) : NULL;
    if (!key) {
        return "none of the hub's keys has signed it";
    }
    if (p->signature_n != SIGNATURE_BYTES ||
        !signature_check_token(key, p->signed_part, p->signature)) {
        return "the signature is wrong";
    }
    if (!names_us(json_at(p->payload, "aud"))) {
        return "it is not meant for a Waggle hub";
    }
    uint64_t now_s = (uint64_t)now_ms / 1000;
    if (!json_to_u64(json_at(p->payload, "exp"), &exp)) {
        return "it says not when it expires";
    }
    (void)json_to_u64(json_at(p->payload, "nbf"), &nbf);
    return now_s > exp + LEEWAY_S   ? "it has expired"
           : nbf > now_s + LEEWAY_S ? "it is not valid yet"
                                    : NULL;
}

static enum cli_exit check_with(struct cli *cli, const struct parsed *p, struct slice jwks)
{
    uint8_t seed[SIGNING_SEED_BYTES]; /* a ring has a key of its own: one that has signed nothing */
    unsigned taken, skipped;
    struct signing *trusting = NULL;
    auth_random(seed, sizeof seed);
    struct signing *own = signing_of(seed, clock_wall_ms());
    enum cli_exit rc;
    if (signing_trust(own, jwks, &trusting, &taken, &skipped) != SIGNING_OK) {
        rc = cli_fail(CLI_FAILED, "%s: the keys at /.well-known/jwks.json cannot be read",
                      cli->target.url);
    } else {
        const char *wrong = judge(p, trusting, clock_wall_ms());
        show_claims(cli, p, wrong ? wrong : "valid");
        rc = wrong ? cli_fail(CLI_DENIED, "not valid: %s", wrong) : CLI_OK;
    }
    signing_unref(trusting);
    signing_unref(own);
    return rc;
}

static enum cli_exit verify_run(struct cli *cli)
{
    struct buf text = {0};
    struct reply reply = {0};
    enum cli_exit rc;
    struct parsed *p = read_token(cli, &text, &rc);
    if (p) {
        rc = http_ask(cli, "GET", "/.well-known/jwks.json", (struct slice){0}, &reply);
    }
    if (p && rc == CLI_OK) {
        rc = check_with(cli, p, buf_slice(&reply.body));
    }
    free(p);
    reply_done(&reply);
    buf_done(&text);
    return rc;
}

/* --- revoke ------------------------------------------------------------------------------------
 */

static enum cli_exit revoke_run(struct cli *cli)
{
    const struct args *a = &cli->args;
    if (!args_has(a, "jti") && !args_has(a, "sub") && !args_has(a, "issued-before")) {
        args_refuse(&cli->args, "which? --jti, --sub or --issued-before");
        return cli_usage(cli);
    }
    return request_run(cli);
}

// clang-format off
static const char *const roles[] = { "admin", "operator", "agent", "viewer", NULL };

static const struct option mint_options[] = {
    { 's', "sub", OPTION_TEXT, OPTION_REQUIRED, "NAME", "who it is for", NULL },
    { 'r', "role", OPTION_CHOICE, OPTION_REQUIRED, "ROLE", "admin, operator, agent or viewer", roles },
    { 0, "ttl", OPTION_SECONDS, 0, "TIME", "how long it is valid (1h)", NULL },
    { 0, "app", OPTION_TEXT, 0, "APP", "the app (else the context's, else the caller's)", NULL },
    { 0, "cap", OPTION_TEXT, OPTION_MANY, "PATTERN=RIGHTS", "what it may: subscribe, publish, presence, history on channels, call on operations", NULL },
    { 0, "out", OPTION_FILE, 0, "FILE", "write it there (mode 0600) instead of printing it", NULL },
    REQUEST_OPTIONS_SEND,
    { 0 },
};

static const struct option revoke_options[] = {
    { 0, "jti", OPTION_TEXT, 0, "ID", "one token", NULL },
    { 0, "sub", OPTION_TEXT, 0, "NAME", "all tokens of one subject", NULL },
    { 0, "issued-before", OPTION_TEXT, 0, "TIME", "all that were issued before this time (2026-11-20T17:00:00Z)", NULL },
    REQUEST_OPTION_REASON,
    REQUEST_OPTIONS_DESTROY,
    { 0 },
};
static const struct field revoke_fields[] = {
    { "jti", "jti", FIELD_TEXT }, { "sub", "sub", FIELD_TEXT }, { "issued-before", "issued_before", FIELD_TEXT }, { "reason", "reason", FIELD_TEXT }, { 0 } };

static const struct operand one_token[] = {
    { "FILE", 0, "with the token; - for stdin; none: the one of --token-file" }, { 0 } };

const struct command token_commands[] = {
    { "token mint", "make a token", "Prints the token alone on stdout, and on stderr until when it is valid.",
      NULL, mint_options, mint_run, "waggle token mint --sub bee-7 --role agent --ttl 12h --cap 'orders.>=subscribe,publish'" },
    { "token show", "what a token says, unverified", NULL, one_token, NULL, show_run, NULL },
    { "token verify", "check a token with the hub's public keys",
      "Fetches /.well-known/jwks.json and checks signature, audience and times. Exit 5 when the token is not valid. Revocation is known to the hub alone.",
      one_token, NULL, verify_run, NULL },
    { 0 },
};

const struct verb token_verbs[] = {
    { { "token revoke", "make tokens invalid at once", NULL, NULL, revoke_options, revoke_run, "waggle token revoke --sub bee-7 --reason 'laptop lost'" },
      { .method = "POST", .path = "/api/v1/auth/tokens/revoke", .fields = revoke_fields, .id = "jti", .how = REQUEST_DESTROYS } },
    { { 0 }, { 0 } },
};
// clang-format on

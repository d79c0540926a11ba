/* A request is put together from its row alone: the path's braces, then the fields in order, then
 * what the options by name add. Keys with a dot open an object that stays open while the fields
 * after it belong to it too. */
#define _GNU_SOURCE
#include "hub/cli/request.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/cli/query.h"
#include "hub/cli/secret_file.h"
#include "hub/cli/watch.h"

enum { TYPED_BYTES_MAX = 16 << 20 };

// clang-format off
const struct field reason_fields[] = { { "reason", "reason", FIELD_TEXT }, { 0 } };
const struct field page_fields[] = { { "limit", "limit", FIELD_NUMBER }, { "cursor", "cursor", FIELD_TEXT }, { 0 } };
// clang-format on

/* What request_run is given is the first member of a verb. */
static const struct request *request_of(const struct cli *cli)
{
    return &((const struct verb *)cli->command)->request;
}

static const struct option *find_option(const struct command *command, const char *name)
{
    for (const struct option *o = command->options; o && o->name; o++) {
        if (strcmp(o->name, name) == 0) {
            return o;
        }
    }
    return NULL;
}

static bool given(const struct cli *cli, const char *option)
{
    return find_option(cli->command, option) && args_has(&cli->args, option);
}

/* The i-th value of an option, or of an operand when the name is in capitals. */
static const char *argument(const struct cli *cli, const char *name, size_t i)
{
    size_t at = 0;
    if (!isupper((unsigned char)name[0])) {
        return i < args_count(&cli->args, name) ? args_nth(&cli->args, name, i) : NULL;
    }
    for (const struct operand *o = cli->command->operands; strcmp(o->name, name) != 0; o++) {
        assert(o->name); /* a row names an operand of its command */
        at++;
    }
    bool many = cli->command->operands[at].how & OPTION_MANY;
    return i == 0 || many ? args_operand(&cli->args, at + i) : NULL;
}

/* --- values ------------------------------------------------------------------------------------
 */

/* What is no JSON but the name of a file is meant as that. */
static bool is_file(const char *text)
{
    size_t at;
    return json_check(slice_str(text), JSON_DEPTH_MAX, &at) != JSON_OK && access(text, R_OK) == 0;
}

static bool read_typed(struct args *args, const char *name, const char *text, struct buf *out)
{
    char part[65536];
    bool marked = text[0] == '@', file = marked || is_file(text);
    if (!file && strcmp(text, "-") != 0) {
        buf_add_str(out, text);
        return true;
    }
    FILE *f = file ? fopen(text + marked, "re") : stdin;
    size_t n;
    while (f && out->n <= TYPED_BYTES_MAX && (n = fread(part, 1, sizeof part, f)) > 0) {
        buf_add(out, part, n);
    }
    bool bad = !f || ferror(f);
    int error = errno;
    if (f && f != stdin) {
        fclose(f);
    }
    if (bad) {
        return args_refuse(args, "cannot read %s: %s", file ? text + marked : "stdin",
                           strerror(error));
    }
    return out->n <= TYPED_BYTES_MAX ? true : args_refuse(args, "%s is too long", name);
}

bool request_json(struct args *args, const char *name, const char *text, struct buf *out)
{
    struct buf typed = {0};
    size_t at;
    bool ok = read_typed(args, name, text, &typed);
    enum json_rc rc = ok ? json_check(buf_slice(&typed), JSON_DEPTH_MAX, &at) : JSON_OK;
    if (rc != JSON_OK) {
        ok = args_refuse(args, "%s is %s at byte %zu", name, json_rc_text(rc), at);
    } else if (ok) {
        buf_add_slice(out, json_trim(buf_slice(&typed)));
    }
    buf_done(&typed);
    return ok;
}

static void add_list(struct json_out *o, const struct cli *cli, const char *name)
{
    const char *text;
    json_begin(o, '[');
    for (size_t i = 0; (text = argument(cli, name, i)) != NULL; i++) {
        for (size_t n; *text; text += n + (text[n] == ',')) {
            n = strcspn(text, ",");
            if (n) {
                json_text(o, slice_of(text, n));
            }
        }
    }
    json_end(o, ']');
}

static void add_pairs(struct json_out *o, const struct cli *cli, const char *name)
{
    const char *text;
    json_begin(o, '{');
    for (size_t i = 0; (text = argument(cli, name, i)) != NULL; i++) {
        size_t n = strcspn(text, "=");
        json_key_slice(o, slice_of(text, n));
        json_str(o, text + n + 1);
    }
    json_end(o, '}');
}

static void add_any(struct json_out *o, const char *text)
{
    size_t at;
    struct slice value = slice_str(text);
    if (json_check(value, JSON_DEPTH_MAX, &at) == JSON_OK) {
        json_raw(o, json_trim(value));
    } else {
        json_str(o, text);
    }
}

static void add_members(struct json_out *o, const struct cli *cli, const char *name)
{
    const char *text;
    for (size_t i = 0; (text = argument(cli, name, i)) != NULL; i++) {
        size_t n = strcspn(text, "=");
        json_key_slice(o, slice_of(text, n));
        add_any(o, text + n + (text[n] == '='));
    }
}

static bool add_json(struct json_out *o, struct cli *cli, const char *name, const char *text)
{
    struct buf value = {0};
    bool ok = request_json(&cli->args, name, text, &value);
    if (ok) {
        json_raw(o, buf_slice(&value));
    }
    buf_done(&value);
    return ok;
}

static bool add_secret(struct json_out *o, struct cli *cli, const char *path)
{
    struct buf line = {0};
    char why[256];
    bool ok = secret_file_line(path, slice_of(NULL, 0), &line, why, sizeof why);
    if (ok) {
        json_text(o, buf_slice(&line));
    }
    buf_done(&line);
    return ok || args_refuse(&cli->args, "%s", why);
}

static bool add_value(struct json_out *o, struct cli *cli, const struct field *field,
                      const char *text)
{
    int64_t ms = 0;
    switch (field->form) {
    case FIELD_TEXT:
        json_str(o, text);
        return true;
    case FIELD_NUMBER:
        json_raw(o, slice_str(text));
        return true;
    case FIELD_SECONDS:
    case FIELD_MS:
        (void)option_ms(text, &ms); /* judged when it was read */
        field->form == FIELD_MS ? json_i64(o, ms) : json_double(o, (double)ms / 1000);
        return true;
    case FIELD_FLAG:
        json_bool(o, true);
        return true;
    case FIELD_LIST:
        add_list(o, cli, field->argument);
        return true;
    case FIELD_PAIRS:
        add_pairs(o, cli, field->argument);
        return true;
    case FIELD_JSON:
        return add_json(o, cli, field->argument, text);
    case FIELD_ANY:
        add_any(o, text);
        return true;
    case FIELD_SECRET:
        return add_secret(o, cli, text);
    case FIELD_MEMBERS:
        add_members(o, cli, field->argument);
        return true;
    case FIELD_DEFAULT:
    case FIELD_FIXED:
        json_raw(o, slice_str(field->argument));
        return true;
    }
    return true;
}

static bool field_given(const struct cli *cli, const struct field *field, const char **out_text)
{
    *out_text = NULL;
    if (field->form == FIELD_DEFAULT) {
        return !field_given(cli, field + 1, out_text);
    }
    if (field->form == FIELD_FIXED) {
        return true;
    }
    if (field->form == FIELD_FLAG) {
        return args_has(&cli->args, field->argument);
    }
    *out_text = argument(cli, field->argument, 0);
    return *out_text != NULL;
}

bool request_body(struct cli *cli, const struct request *request, struct buf *out)
{
    struct json_out o = json_out_to(out);
    struct slice within = {0}; /* the key of the object that is open */
    bool ok = true;
    json_begin(&o, '{');
    for (const struct field *f = request->fields; ok && f && f->key; f++) {
        const char *text, *dot = strchr(f->key, '.');
        struct slice outer = dot ? slice_of(f->key, (size_t)(dot - f->key)) : (struct slice){0};
        if (!field_given(cli, f, &text)) {
            continue;
        }
        if (!slice_equal(outer, within)) {
            if (within.n) {
                json_end(&o, '}');
            }
            if (outer.n) {
                json_key_slice(&o, outer);
                json_begin(&o, '{');
            }
            within = outer;
        }
        if (f->form != FIELD_MEMBERS) {
            json_key(&o, dot ? dot + 1 : f->key);
        }
        ok = add_value(&o, cli, f, text);
    }
    if (within.n) {
        json_end(&o, '}');
    }
    json_end(&o, '}');
    return ok;
}

/* --- the path ----------------------------------------------------------------------------------
 */

static bool in_query(const struct request *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "DELETE") == 0 ||
           (request->how & REQUEST_QUERY);
}

/* A field as the value of a query: a list joined by commas, anything else as it was typed. */
static bool add_query_field(struct cli *cli, const struct field *field, struct buf *path)
{
    const char *text;
    struct buf value = {0};
    if (!field_given(cli, field, &text)) {
        return true;
    }
    struct buf json = {0};
    struct json_out o = json_out_to(&json);
    bool ok = add_value(&o, cli, field, text);
    if (ok) {
        struct slice key, item, list = buf_slice(&json);
        size_t n = 0;
        if (json_kind_of(list) == JSON_KIND_ARRAY) {
            for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
                buf_add_str(&value, n++ ? "," : "");
                (void)json_to_text(item, &value);
            }
        } else if (!json_to_text(list, &value)) {
            buf_add_slice(&value, list);
        }
        url_add_query(path, field->key, buf_text(&value));
    }
    buf_done(&json);
    buf_done(&value);
    return ok;
}

/* The first value found, as text. */
static void take_first(void *ctx, struct slice found)
{
    struct buf *b = ctx;
    if (b->n == 0) {
        json_add_human(b, found);
    }
}

/* The id of the caller's newest, for an operand that was left out. */
static enum cli_exit find_newest(struct cli *cli, const struct newest *newest, struct buf *out)
{
    struct reply reply;
    enum cli_exit rc = http_ask(cli, "GET", newest->path, (struct slice){0}, &reply);
    if (rc == CLI_OK && query_each(buf_slice(&reply.body), newest->query, take_first, out) == 0) {
        rc = cli_fail(CLI_NOT_FOUND, "you have no %s yet", newest->what);
    }
    reply_done(&reply);
    return rc;
}

/* One {NAME} of a path. */
static enum cli_exit add_segment(struct cli *cli, const struct request *request, const char *name,
                                 bool optional, struct buf *out)
{
    const char *value = argument(cli, name, 0);
    struct buf newest = {0};
    enum cli_exit rc = CLI_OK;
    if (!value && optional) {
        out->n -= out->n && out->p[out->n - 1] == '/';
        return CLI_OK;
    }
    if (!value && request->newest) {
        rc = find_newest(cli, request->newest, &newest);
        value = rc == CLI_OK ? buf_text(&newest) : NULL;
    }
    if (value) {
        url_add(out, value);
    }
    buf_done(&newest);
    return rc;
}

enum cli_exit request_path(struct cli *cli, const struct request *request, struct buf *out)
{
    enum cli_exit rc = CLI_OK;
    for (const char *p = request->path; rc == CLI_OK && *p;) {
        size_t n = strcspn(p, "{");
        buf_add(out, p, n);
        p += n;
        if (*p == '{') {
            char name[32];
            n = strcspn(p, "}");
            bool optional = p[n - 1] == '?';
            snprintf(name, sizeof name, "%.*s", (int)n - 1 - optional, p + 1);
            rc = add_segment(cli, request, name, optional, out);
            p += n + 1;
        }
    }
    const struct field *f = in_query(request) ? request->fields : NULL;
    for (; rc == CLI_OK && f && f->key; f++) {
        if (!add_query_field(cli, f, out)) {
            rc = cli_usage(cli);
        }
    }
    return rc;
}

/* --- sending -----------------------------------------------------------------------------------
 */

void request_print(const struct cli *cli, const char *method, const char *path, struct slice body)
{
    if (cli->out.format == OUT_TABLE || cli->out.format == OUT_WIDE) {
        fprintf(cli->out.to, "%s %s%s\n", method, cli->target.url, path);
        if (body.n) {
            output_json_line(&cli->out, body);
        }
        return;
    }
    struct buf text = {0};
    struct json_out o = json_out_to(&text);
    json_begin(&o, '{');
    json_key(&o, "method");
    json_str(&o, method);
    json_key(&o, "url");
    struct buf url = {0};
    buf_printf(&url, "%s%s", cli->target.url, path);
    json_text(&o, buf_slice(&url));
    json_key(&o, "body");
    body.n ? json_raw(&o, body) : json_put_null(&o);
    json_end(&o, '}');
    output_object(&cli->out, buf_slice(&text), NULL, "url");
    buf_done(&url);
    buf_done(&text);
}

bool request_confirm(struct cli *cli)
{
    char answer[16] = "";
    if (given(cli, "yes") || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        return true;
    }
    fprintf(stderr, "%s", cli->command->name);
    for (size_t i = 0; i < cli->args.operand_count; i++) {
        fprintf(stderr, " %s", args_operand(&cli->args, i));
    }
    fprintf(stderr, ": %s? [y/N] ", cli->command->summary);
    fflush(stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static bool is_dry(const struct cli *cli)
{
    return given(cli, "dry-run");
}

/* It goes into a header: nothing may stand in it that could end the line. */
static bool is_printable(const char *text)
{
    while (*text > 0x20 && *text < 0x7f) {
        text++;
    }
    return *text == '\0';
}

enum cli_exit request_send(struct cli *cli, const struct request *request, struct reply *out)
{
    struct buf path = {0}, body = {0};
    *out = (struct reply){0};
    enum cli_exit rc = request_path(cli, request, &path);
    bool has_body = !in_query(request) && request->fields;
    if (rc != CLI_OK) {
        goto out;
    }
    if (has_body && !request_body(cli, request, &body)) {
        rc = cli_usage(cli);
    } else if (!cli_target(cli)) {
        rc = CLI_USAGE;
    } else if (given(cli, "key") && !is_printable(args_text(&cli->args, "key"))) {
        args_refuse(&cli->args, "--key wants printable ASCII");
        rc = cli_usage(cli);
    } else if (is_dry(cli)) {
        request_print(cli, request->method, buf_text(&path), buf_slice(&body));
    } else {
        cli->idempotency_key = given(cli, "key") ? args_text(&cli->args, "key") : NULL;
        rc = http_ask(cli, request->method, buf_text(&path), buf_slice(&body), out);
        cli->idempotency_key = NULL;
    }
out:
    buf_done(&path);
    buf_done(&body);
    return rc;
}

/* In the forms that show what the hub said, the answer stays as it is. */
static void show_made_list(const struct cli *cli, const struct request *request,
                           struct slice answer)
{
    struct buf list = {0};
    bool as_said = cli->out.query || cli->out.format == OUT_JSON || cli->out.format == OUT_YAML;
    if (!as_said) {
        request->list(answer, &list);
    }
    output_list(&cli->out, as_said ? answer : buf_slice(&list), "", request->columns);
    buf_done(&list);
}

void request_show(const struct cli *cli, const struct request *request, struct slice answer)
{
    if (request->list) {
        show_made_list(cli, request, answer);
    } else if (request->columns && (request->how & REQUEST_PAGES)) {
        pages_print(cli, answer, request->member, request->columns);
    } else if (request->columns) {
        output_list(&cli->out, answer, request->member, request->columns);
    } else if (cli->out.query || !(request->how & REQUEST_QUIET) ||
               (cli->out.format != OUT_TABLE && cli->out.format != OUT_WIDE)) {
        output_object(&cli->out, answer, request->member, request->id);
    }
}

/* One thing that was asked for as a list of it: none is not found. */
static bool is_nothing(const struct request *request, struct slice answer)
{
    struct slice list = request->member ? json_at(answer, request->member) : slice_of(NULL, 0);
    struct slice key, item;
    struct json_walk w = json_walk_of(list);
    return !request->columns && !request->list && json_kind_of(list) == JSON_KIND_ARRAY &&
           !json_walk_next(&w, &key, &item);
}

static enum cli_exit show_once(void *ctx)
{
    struct cli *cli = ctx;
    struct reply reply;
    enum cli_exit rc = request_send(cli, request_of(cli), &reply);
    if (rc == CLI_OK && !is_dry(cli) && is_nothing(request_of(cli), buf_slice(&reply.body))) {
        rc = cli_fail(CLI_NOT_FOUND, "%s not found", args_operand(&cli->args, 0));
    } else if (rc == CLI_OK && !is_dry(cli)) {
        request_show(cli, request_of(cli), buf_slice(&reply.body));
    }
    reply_done(&reply);
    return rc;
}

static enum cli_exit send_and_follow(struct cli *cli, const struct request *request)
{
    struct reply reply;
    struct buf id = {0}, owner = {0};
    const struct follow *follow = request->follow;
    enum cli_exit rc = request_send(cli, request, &reply);
    if (rc == CLI_OK && !is_dry(cli)) {
        struct slice answer = buf_slice(&reply.body);
        json_add_human(&id, json_at(answer, follow->id));
        json_add_human(&owner, follow->owner ? json_at(answer, follow->owner) : (struct slice){0});
        cli_note(cli, "%s", buf_text(&id));
        rc = follow_run(cli, follow, buf_text(&id), follow->owner ? buf_text(&owner) : NULL);
    }
    buf_done(&owner);
    buf_done(&id);
    reply_done(&reply);
    return rc;
}

enum cli_exit request_watch(struct cli *cli)
{
    const char *channels = request_of(cli)->channels;
    return watch_run(cli, *channels == '{' ? args_operand(&cli->args, 0) : channels, show_once,
                     cli);
}

enum cli_exit request_run(struct cli *cli)
{
    const struct request *request = request_of(cli);
    if ((request->how & REQUEST_DESTROYS) && !is_dry(cli) && !request_confirm(cli)) {
        return cli_fail(CLI_FAILED, "not done");
    }
    if (request->channels && given(cli, "watch")) {
        return request_watch(cli);
    }
    if (request->follow && (!request->method || given(cli, "follow"))) {
        return request->method
                   ? send_and_follow(cli, request)
                   : follow_run(cli, request->follow, args_operand(&cli->args, 0), NULL);
    }
    return show_once(cli);
}

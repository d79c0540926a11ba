#define _GNU_SOURCE
#include "hub/cli/http.h"

#include <ctype.h>

#include <curl/curl.h>

#include "channels/json_scan.h"
#include "hub/cli/text.h"

enum { CONNECT_MS = 5000 };

void reply_done(struct reply *reply)
{
    buf_done(&reply->body);
    *reply = (struct reply){0};
}

const char *buf_text(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return (const char *)b->p;
}

/* RFC 3986 section 2.3: what may stand as it is. */
void url_add(struct buf *path, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x80 && (isalnum(c) || strchr("-._~", c))) {
            buf_add(path, text, 1);
        } else {
            buf_printf(path, "%%%02X", c);
        }
    }
}

void url_add_query(struct buf *path, const char *name, const char *value)
{
    if (!value) {
        return;
    }
    buf_add_str(path, memchr(path->p, '?', path->n) ? "&" : "?");
    buf_add_str(path, name);
    buf_add_str(path, "=");
    url_add(path, value);
}

/* --- libcurl -----------------------------------------------------------------------------------
 */

void curl_aim(void *handle, const struct cli *cli)
{
    const struct target *t = &cli->target;
    CURL *curl = handle;
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "waggle/" WAGGLE_VERSION);
    if (t->unix_path) {
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, t->unix_path);
    }
    if (t->loopback) { /* no proxy can reach what only this machine can */
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
    }
    if (t->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, t->ca_file);
    }
}

const char *curl_why(void *handle, int code, const char *said)
{
    long number = 0;
    if (code == CURLE_COULDNT_CONNECT) {
        (void)curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &number); /* 0: it does not know */
    }
    return number > 0 ? strerror((int)number) : *said ? said : curl_easy_strerror((CURLcode)code);
}

const char *curl_advice(const struct cli *cli, int code)
{
    bool looks_itself = cli->command && strcmp(cli->command->name, "doctor") == 0;
    return code == CURLE_COULDNT_CONNECT && !looks_itself
               ? "\nIs a hub running there? `waggle doctor` looks further."
               : "";
}

enum cli_exit curl_exit(int code)
{
    switch (code) {
    case CURLE_OK:
        return CLI_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return CLI_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CACERT_BADFILE:
        return CLI_USAGE;
    case CURLE_WRITE_ERROR:
        return CLI_FAILED;
    default: /* of a library's many codes only these say something else */
        return CLI_UNREACHABLE;
    }
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *ctx)
{
    struct buf *body = ctx;
    n *= size;
    if (body->n + n > REPLY_BYTES_MAX) {
        return 0;
    }
    buf_add(body, bytes, n);
    return n;
}

static struct curl_slist *make_headers(const struct cli *cli, bool body)
{
    struct buf credentials = {0};
    struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
    if (body) {
        list = curl_slist_append(list, "Content-Type: application/json");
    }
    if (target_header(&cli->target, &credentials)) {
        list = curl_slist_append(list, buf_text(&credentials));
        explicit_bzero(credentials.p, credentials.n);
    }
    if (cli->idempotency_key) {
        struct buf key = {0};
        buf_printf(&key, "Idempotency-Key: %s", cli->idempotency_key);
        list = curl_slist_append(list, buf_text(&key));
        buf_done(&key);
    }
    buf_done(&credentials);
    return list;
}

static enum cli_exit perform(struct cli *cli, CURL *curl, struct reply *out)
{
    char why[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &out->status);
    if (rc == CURLE_OK) {
        return CLI_OK;
    }
    if (rc == CURLE_WRITE_ERROR) {
        return cli_fail(CLI_FAILED, "%s answered with more than %d MiB", cli->target.url,
                        REPLY_BYTES_MAX >> 20);
    }
    return cli_fail(curl_exit((int)rc), "no answer from %s: %s%s", cli->target.url,
                    curl_why(curl, (int)rc, why), curl_advice(cli, (int)rc));
}

enum cli_exit http_send(struct cli *cli, const char *method, const char *path, struct slice body,
                        struct reply *out)
{
    *out = (struct reply){0};
    if (!cli_target(cli)) {
        return CLI_USAGE;
    }
    CURL *curl = curl_easy_init();
    if (!curl) {
        return cli_fail(CLI_FAILED, "libcurl cannot start");
    }
    struct buf url = {0};
    buf_printf(&url, "%s%s", cli->target.url, path);
    struct curl_slist *headers = make_headers(cli, body.n > 0);
    curl_aim(curl, cli);
    curl_easy_setopt(curl, CURLOPT_URL, buf_text(&url));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)cli->timeout_ms);
    if (body.n || strcmp(method, "POST") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.n ? (const char *)body.p : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &out->body);
    enum cli_exit rc = perform(cli, curl, out);
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    buf_done(&url);
    return rc;
}

/* --- errors ------------------------------------------------------------------------------------
 */

/* 422: a list of {"loc": ["body", "field"], "msg": …} becomes "body.field: …" lines. */
static void add_details(struct buf *text, struct slice list)
{
    struct slice key, item, part;
    for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
        size_t start = text->n;
        struct slice loc = json_at(item, "loc");
        buf_add_str(text, "\n  ");
        if (json_kind_of(loc) == JSON_KIND_ARRAY) {
            for (struct json_walk l = json_walk_of(loc); json_walk_next(&l, &key, &part);) {
                buf_add_str(text, text->n > start + 3 ? "." : "");
                json_add_human(text, part);
            }
            buf_add_str(text, ": ");
        }
        json_add_human(text, json_at(item, "msg"));
    }
}

/* rest-contract.md section 1: detail is a sentence or a list; older callers read message. */
static void add_reason(struct buf *text, struct slice body)
{
    struct slice detail = json_at(body, "detail");
    if (json_kind_of(detail) == JSON_KIND_STRING) {
        json_add_human(text, detail);
        return;
    }
    json_add_human(text, json_at(body, "message"));
    if (json_kind_of(detail) == JSON_KIND_ARRAY) {
        add_details(text, detail);
    }
}

/* What to do about it: in the hub's words, but for a credential, of which more is known here. */
static void add_advice(struct buf *text, const struct cli *cli, const struct reply *reply,
                       struct slice said)
{
    if (reply->status == 401) {
        buf_add_str(text, cli->target.kind == CREDENTIAL_NONE
                              ? NO_CREDENTIALS_ADVICE
                              : "\nThe hub does not accept these credentials.");
    } else if (json_kind_of(said) == JSON_KIND_STRING) {
        buf_add_str(text, "\n");
        json_add_human(text, said);
    }
}

enum cli_exit http_complain(const struct cli *cli, const struct reply *reply)
{
    struct slice body = buf_slice(&reply->body);
    struct buf text = {0};
    size_t at;
    enum cli_exit rc = exit_of_status(reply->status);
    bool json = json_check(body, JSON_DEPTH_MAX, &at) == JSON_OK;
    if (json && (cli->out.format == OUT_JSON || cli->out.format == OUT_NDJSON)) {
        struct output to_stderr = {.to = stderr, .format = OUT_NDJSON};
        output_json_line(&to_stderr, body);
        return rc;
    }
    if (json) {
        add_reason(&text, body);
    }
    if (text.n == 0) {
        buf_add_str(&text, exit_classes[rc].meaning);
    }
    buf_printf(&text, " (%ld)", reply->status);
    add_advice(&text, cli, reply, json ? json_at(body, "advice") : slice_of(NULL, 0));
    cli_fail(rc, "%s", buf_text(&text));
    buf_done(&text);
    return rc;
}

enum cli_exit http_ask(struct cli *cli, const char *method, const char *path, struct slice body,
                       struct reply *out)
{
    size_t at;
    enum cli_exit rc = http_send(cli, method, path, body, out);
    if (rc != CLI_OK) {
        return rc;
    }
    if (out->status < 200 || out->status > 299) {
        return http_complain(cli, out);
    }
    enum json_rc checked = json_check(buf_slice(&out->body), JSON_DEPTH_MAX, &at);
    if (checked != JSON_OK) {
        return cli_fail(CLI_FAILED, "%s%s: the answer is %s; is this a Waggle hub?",
                        cli->target.url, path, json_rc_text(checked));
    }
    return CLI_OK;
}

/* libcurl makes the TCP or TLS connection (CURLOPT_CONNECT_ONLY) and moves bytes; the handshake is
 * a few lines of HTTP here, the frames are hub/net/ws.h in its client role. A connection goes IDLE
 * (waiting for retry_at) → SHAKING (request sent) → GREETING (upgraded) → OPEN (welcomed). */
#define _GNU_SOURCE
#include "hub/cli/socket.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include <curl/curl.h>

#include "auth/base64url.h"
#include "auth/digest.h"
#include "channels/json_out.h"
#include "hub/cli/http.h"
#include "hub/cli/text.h"
#include "hub/net/ws.h"
#include "hub/net/ws_handshake.h"

enum {
    GREETING_MS = 10000, /* from the request to the welcome */
    SILENCE_SPARE_MS = 5000,
    STEADY_MS = 5000, /* a connection that held so long was a good one: pauses begin small again */
    PAUSE_FIRST_MS = 250,
    PAUSE_MAX_MS = 15000,
    TOLD_AGAIN_MS = 60000,
    READ_BYTES = 65536,
    HEAD_BYTES_MAX = 16384,
    READS_A_TURN = 64, /* then timers and other descriptors get their turn */
    EXTRA_MAX = 4,
};

enum phase { IDLE, SHAKING, GREETING, OPEN, GIVEN_UP };

struct socket {
    struct cli *cli;
    struct socket_events events;
    bool patient, was_open;
    enum phase phase;
    enum cli_exit verdict; /* at GIVEN_UP */

    CURL *curl;
    curl_socket_t fd;
    struct ws ws;
    struct buf head; /* of the answer to the handshake */
    struct buf out;
    size_t out_at; /* bytes of out already sent */
    char accept[WS_ACCEPT_BYTES + 1];

    int64_t retry_at_ms, goodbye_until_ms, opened_ms, heard_ms, deadline_ms;
    int64_t heartbeat_ms;
    bool pinged; /* our own ping is out since it fell silent */
    bool more;   /* TLS may hold bytes that poll() does not see: read without waiting */
    unsigned attempt;
    char told[256]; /* the last loss that was news */
    int64_t told_ms;
    bool news;
};

struct socket *socket_new(struct cli *cli, const struct socket_events *events, bool patient)
{
    struct socket *s = xcalloc(1, sizeof *s);
    s->cli = cli;
    s->events = *events;
    s->patient = patient;
    return s;
}

static void disconnect(struct socket *s)
{
    if (s->curl) {
        curl_easy_cleanup(s->curl);
        s->curl = NULL;
        ws_done(&s->ws);
    }
    buf_clear(&s->head);
    buf_clear(&s->out);
    s->out_at = 0;
    s->pinged = false;
    s->more = false;
}

void socket_free(struct socket *s)
{
    if (s) {
        disconnect(s);
        buf_done(&s->head);
        buf_done(&s->out);
        free(s);
    }
}

bool socket_is_open(const struct socket *s)
{
    return s->phase == OPEN;
}

int socket_fd(const struct socket *s)
{
    return s->curl ? (int)s->fd : -1;
}

size_t socket_queued(const struct socket *s)
{
    return s->out.n - s->out_at;
}

/* --- losing and giving up ----------------------------------------------------------------------
 */

int64_t socket_pause_ms(unsigned attempt, unsigned chance)
{
    int64_t whole = attempt < 6 ? (int64_t)PAUSE_FIRST_MS << attempt : PAUSE_MAX_MS;
    whole = whole < PAUSE_MAX_MS ? whole : PAUSE_MAX_MS;
    return whole / 2 + whole / 2 * (int64_t)(chance & 0xffff) / 0xffff;
}

static void give_up(struct socket *s, enum cli_exit verdict)
{
    disconnect(s);
    s->phase = GIVEN_UP;
    s->verdict = verdict;
}

bool socket_loss_is_news(const struct socket *s)
{
    return s->news;
}

/* A hub that is away for an hour is a line a minute, not one for each attempt. */
static void judge_news(struct socket *s, const char *why)
{
    int64_t now = clock_steady_ms();
    s->news = s->attempt == 0 || strcmp(s->told, why) != 0 || now - s->told_ms >= TOLD_AGAIN_MS;
    if (s->news) {
        snprintf(s->told, sizeof s->told, "%s", why);
        s->told_ms = now;
    }
}

static void retry_in(struct socket *s, const char *why, int64_t pause_ms)
{
    judge_news(s, why);
    disconnect(s);
    s->phase = IDLE;
    s->retry_at_ms = clock_steady_ms() + pause_ms;
    s->attempt++;
    if (s->events.lost) {
        s->events.lost(s->events.ctx, why, pause_ms);
    } else if (s->news) {
        cli_note(s->cli, "waggle: %s; again in %.1f s", why, (double)pause_ms / 1000);
    }
}

/* at_least_ms: what the hub asked for, or 0. advice: for whoever ends because of it. */
static void lose_with(struct socket *s, enum cli_exit exit, const char *why, const char *advice,
                      int64_t at_least_ms)
{
    uint16_t chance;
    int64_t now = clock_steady_ms();
    if (!s->was_open && !s->patient) {
        give_up(s, cli_fail(exit, "%s: %s%s", s->cli->target.url, why, advice));
        return;
    }
    if (s->phase == OPEN && now - s->opened_ms >= STEADY_MS) {
        s->attempt = 0;
    }
    auth_random(&chance, sizeof chance);
    int64_t pause_ms = socket_pause_ms(s->attempt, chance);
    if (s->goodbye_until_ms) { /* the hub spreads its clients itself */
        pause_ms = s->goodbye_until_ms > now ? s->goodbye_until_ms - now : 0;
        s->goodbye_until_ms = 0;
    }
    retry_in(s, why, pause_ms > at_least_ms ? pause_ms : at_least_ms);
}

static void lose(struct socket *s, enum cli_exit exit, const char *why, int64_t at_least_ms)
{
    lose_with(s, exit, why, "", at_least_ms);
}

void socket_drop(struct socket *s, const char *why)
{
    if (s->phase != GIVEN_UP) {
        lose(s, CLI_UNREACHABLE, why, 0);
    }
}

/* Refused for who we are. A file that holds another secret by now deserves another try. */
static void refused(struct socket *s, const char *why)
{
    if (target_renew(&s->cli->target)) {
        retry_in(s, "the credentials have been renewed", 0);
        return;
    }
    give_up(s, cli_fail(CLI_DENIED, "%s: %s%s", s->cli->target.url, why,
                        s->cli->target.kind == CREDENTIAL_NONE ? NO_CREDENTIALS_ADVICE : ""));
}

/* --- sending -----------------------------------------------------------------------------------
 */

static void flush_out(struct socket *s)
{
    while (s->curl && s->out_at < s->out.n) {
        size_t sent = 0;
        CURLcode rc = curl_easy_send(s->curl, s->out.p + s->out_at, s->out.n - s->out_at, &sent);
        if (rc == CURLE_AGAIN) {
            return;
        }
        if (rc != CURLE_OK) {
            lose(s, CLI_UNREACHABLE, "the connection broke", 0);
            return;
        }
        s->out_at += sent;
    }
    buf_clear(&s->out);
    s->out_at = 0;
}

/* RFC 6455 section 5.3: every frame of a client has a mask of its own that nobody can foresee. */
static void add_frame(struct socket *s, enum ws_opcode opcode, struct slice payload)
{
    uint8_t mask[4], head[WS_HEAD_BYTES_MAX];
    auth_random(mask, sizeof mask);
    buf_add(&s->out, head, ws_head_put(head, opcode, true, payload.n, mask));
    size_t at = s->out.n;
    buf_add_slice(&s->out, payload);
    if (payload.n) {
        ws_mask(s->out.p + at, payload.n, mask, 0);
    }
}

void socket_send(struct socket *s, struct slice json)
{
    if (s->phase == OPEN) {
        add_frame(s, WS_TEXT, json);
    }
}

static void add_close(struct socket *s, uint16_t code, const char *reason)
{
    uint8_t mask[4], frame[WS_CLOSE_FRAME_BYTES_MAX];
    auth_random(mask, sizeof mask);
    buf_add(&s->out, frame, ws_close_put(frame, code, reason, mask));
}

/* --- connecting --------------------------------------------------------------------------------
 */

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct socket *s = ctx;
    (void)a, (void)b, (void)c, (void)d; /* how far it got is no matter */
    return s->events.stopping && s->events.stopping(s->events.ctx);
}

static void add_request(struct socket *s)
{
    uint8_t nonce[16];
    struct buf key = {0};
    auth_random(nonce, sizeof nonce);
    base64_put(&key, slice_of(nonce, sizeof nonce));
    bool good = ws_accept_key(buf_slice(&key), s->accept);
    assert(good); /* as sixteen bytes in base64 always are */
    buf_printf(&s->out,
               "GET /ws/v1/events HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.*s\r\n"
               "User-Agent: waggle/%s\r\n",
               s->cli->target.host, (int)key.n, (const char *)key.p, WAGGLE_VERSION);
    /* The wire knows one header; a key may stand in it like a token (rest-contract.md section 1).
     */
    if (s->cli->target.secret) {
        buf_printf(&s->out, "Authorization: Bearer %s\r\n", s->cli->target.secret);
    }
    buf_add_str(&s->out, "\r\n");
    buf_done(&key);
}

static void connect_now(struct socket *s)
{
    char why[CURL_ERROR_SIZE] = "";
    s->curl = curl_easy_init();
    if (!s->curl) {
        give_up(s, cli_fail(CLI_FAILED, "libcurl cannot start"));
        return;
    }
    ws_init(&s->ws, WS_CLIENT, SOCKET_MESSAGE_BYTES_MAX);
    curl_aim(s->curl, s->cli);
    curl_easy_setopt(s->curl, CURLOPT_URL, s->cli->target.url);
    curl_easy_setopt(s->curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(s->curl, CURLOPT_HTTPPROXYTUNNEL, 1L);
    curl_easy_setopt(s->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1); /* in ALPN too */
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(s->curl, CURLOPT_XFERINFODATA, s);
    CURLcode rc = curl_easy_perform(s->curl);
    if (rc == CURLE_OK) {
        rc = curl_easy_getinfo(s->curl, CURLINFO_ACTIVESOCKET, &s->fd);
    }
    curl_easy_setopt(s->curl, CURLOPT_ERRORBUFFER, NULL);
    if (rc != CURLE_OK) {
        lose_with(s, curl_exit((int)rc), curl_why(s->curl, (int)rc, why),
                  curl_advice(s->cli, (int)rc), 0);
        return;
    }
    s->phase = SHAKING;
    s->heard_ms = clock_steady_ms();
    s->deadline_ms = s->heard_ms + GREETING_MS;
    add_request(s);
    flush_out(s);
}

/* --- the answer to the handshake ---------------------------------------------------------------
 */

/* The value of a header in the head of an answer, without the space around it. */
static struct slice header_of(struct slice head, const char *name)
{
    size_t n = strlen(name);
    const char *p = (const char *)head.p, *end = p + head.n;
    while ((p = memmem(p, (size_t)(end - p), "\r\n", 2))) {
        p += 2;
        if ((size_t)(end - p) > n && strncasecmp(p, name, n) == 0 && p[n] == ':') {
            const char *value = p + n + 1;
            const char *stop = memmem(value, (size_t)(end - value), "\r\n", 2);
            stop = stop ? stop : end;
            while (value < stop && isspace((unsigned char)*value)) {
                value++;
            }
            while (stop > value && isspace((unsigned char)stop[-1])) {
                stop--;
            }
            return slice_of(value, (size_t)(stop - value));
        }
    }
    return (struct slice){0};
}

/* "HTTP/1.1 101 …" → 101; 0: no answer of HTTP. */
static long status_of(struct slice head)
{
    if (head.n < 12 || memcmp(head.p, "HTTP/1.", 7) != 0 || head.p[8] != ' ') {
        return 0;
    }
    long status = 0;
    for (int i = 9; i < 12; i++) {
        if (!isdigit(head.p[i])) {
            return 0;
        }
        status = status * 10 + (head.p[i] - '0');
    }
    return status;
}

static void on_refusal(struct socket *s, long status, struct slice head)
{
    char why[96];
    uint64_t after_s = 0;
    snprintf(why, sizeof why, "the WebSocket was refused: %s (%ld)",
             exit_classes[exit_of_status(status)].meaning, status);
    if (status == 401 || status == 403) {
        refused(s, why);
    } else if (status == 429 || status >= 500) {
        (void)json_to_u64(header_of(head, "Retry-After"), &after_s); /* a date counts as none */
        after_s = after_s < 3600 ? after_s : 3600;
        lose(s, exit_of_status(status), why, (int64_t)after_s * 1000);
    } else {
        give_up(s, cli_fail(exit_of_status(status), "%s: %s; is this a Waggle hub?",
                            s->cli->target.url, why));
    }
}

/* True once upgraded; what came behind the head stays in s->head from *out_rest on. */
static bool take_head(struct socket *s, const uint8_t *bytes, size_t n, size_t *out_rest)
{
    buf_add(&s->head, bytes, n);
    const uint8_t *end = memmem(s->head.p, s->head.n, "\r\n\r\n", 4);
    if (!end && s->head.n > HEAD_BYTES_MAX) {
        give_up(s, cli_fail(CLI_FAILED, "%s: no answer of WebSocket", s->cli->target.url));
    }
    if (!end) {
        return false;
    }
    *out_rest = (size_t)(end - s->head.p) + 4;
    struct slice head = slice_of(s->head.p, *out_rest - 2);
    long status = status_of(head);
    if (status != 101) {
        on_refusal(s, status, head);
        return false;
    }
    /* RFC 6455 section 4.1: whoever does not know the key's digest has not read our request. */
    if (!slice_is(header_of(head, "Sec-WebSocket-Accept"), s->accept)) {
        give_up(s, cli_fail(CLI_FAILED, "%s: a wrong answer to the WebSocket handshake",
                            s->cli->target.url));
        return false;
    }
    s->phase = GREETING;
    return true;
}

/* --- frames ------------------------------------------------------------------------------------
 */

enum cli_exit socket_complain(const struct cli *cli, const struct hub_frame *frame)
{
    struct buf text = {0};
    uint64_t status = hub_frame_number(frame, HUB_STATUS);
    enum cli_exit rc = status ? exit_of_status((long)status) : CLI_FAILED;
    if (cli->out.format == OUT_JSON || cli->out.format == OUT_NDJSON) {
        struct output to_stderr = {.to = stderr, .format = OUT_NDJSON};
        output_json_line(&to_stderr, frame->text);
        return rc;
    }
    if (cli->target.kind == CREDENTIAL_NONE &&
        slice_is(frame->field[HUB_CODE], "\"unauthorised\"")) { /* the hub's advice is for frames */
        return cli_fail(rc, "the hub asks who you are (401)%s", NO_CREDENTIALS_ADVICE);
    }
    json_add_human(&text, frame->field[HUB_CHANNEL]);
    buf_add_str(&text, text.n ? ": " : "");
    json_add_human(&text, frame->field[HUB_MESSAGE]);
    buf_add_str(&text, " (");
    json_add_human(&text, frame->field[HUB_CODE]);
    cli_fail(rc, "%s)", buf_text(&text));
    buf_done(&text);
    return rc;
}

static void renew_token(struct socket *s)
{
    struct buf text = {0};
    if (s->cli->target.kind != CREDENTIAL_TOKEN || !target_renew(&s->cli->target)) {
        cli_note(s->cli, "waggle: the token expires soon, and its file holds no other");
        return;
    }
    struct json_out o = json_out_to(&text);
    json_begin(&o, '{');
    json_key(&o, "type");
    json_str(&o, "auth");
    json_key(&o, "token");
    json_str(&o, s->cli->target.secret);
    json_end(&o, '}');
    socket_send(s, buf_slice(&text));
    explicit_bzero(text.p, text.n);
    buf_done(&text);
}

static void on_welcome(struct socket *s, const struct hub_frame *frame)
{
    uint64_t heartbeat_s = hub_frame_number(frame, HUB_HEARTBEAT_S);
    s->phase = OPEN;
    s->was_open = true;
    s->opened_ms = clock_steady_ms();
    s->heartbeat_ms = heartbeat_s && heartbeat_s < 3600 ? (int64_t)heartbeat_s * 1000 : 25000;
    s->events.open(s->events.ctx);
}

static void on_message(struct socket *s, struct slice text)
{
    struct hub_frame frame;
    if (hub_frame_read(text, &frame) != JSON_OK) {
        lose(s, CLI_FAILED, "the hub sent something that is no frame", 0);
        return;
    }
    if (s->phase == GREETING) {
        if (frame.type == HUB_WELCOME) {
            on_welcome(s, &frame);
        } else if (frame.type == HUB_ERROR) {
            socket_complain(s->cli, &frame); /* the close that follows decides what to do */
        }
        return;
    }
    if (frame.type == HUB_GOODBYE) {
        uint64_t after_ms = hub_frame_number(&frame, HUB_RECONNECT_AFTER_MS);
        s->goodbye_until_ms = clock_steady_ms() + (int64_t)(after_ms < 600000 ? after_ms : 600000);
    } else if (frame.type == HUB_TOKEN_EXPIRING) {
        renew_token(s);
    } else {
        s->events.frame(s->events.ctx, &frame);
    }
}

/* native-protocol.md section 3: some codes say that coming back would only be refused again. */
static void on_close(struct socket *s)
{
    char why[256];
    struct buf reason = {0};
    unsigned code = s->ws.code;
    text_add_clean(&reason, s->ws.message);
    snprintf(why, sizeof why, "the hub closed the connection%s%s (%u)", reason.n ? ": " : "",
             buf_text(&reason), code);
    buf_done(&reason);
    if (code == 4009) {
        refused(s, why);
    } else if (code == 4000 || code == 4010 ||
               (code >= 1002 && code <= 1009 && code != 1005 && code != 1006)) {
        give_up(s, cli_fail(exit_of_close(code), "%s: %s", s->cli->target.url, why));
    } else {
        lose(s, CLI_UNREACHABLE, why, 0);
    }
}

static void take_frames(struct socket *s, uint8_t *bytes, size_t n)
{
    size_t used;
    while (s->curl) {
        switch (ws_feed(&s->ws, bytes, n, &used)) {
        case WS_MORE:
            return;
        case WS_MESSAGE:
            on_message(s, s->ws.message);
            break;
        case WS_PING:
            add_frame(s, WS_OP_PONG, s->ws.message);
            break;
        case WS_PONG:
            break;
        case WS_CLOSE:
            on_close(s);
            return;
        case WS_ERROR:
            lose(s, CLI_FAILED, ws_reason(&s->ws), 0);
            return;
        }
        bytes += used;
        n -= used;
    }
}

/* --- one turn ----------------------------------------------------------------------------------
 */

static void take_bytes(struct socket *s, uint8_t *bytes, size_t n)
{
    size_t rest;
    s->heard_ms = clock_steady_ms();
    s->pinged = false;
    if (s->phase != SHAKING) {
        take_frames(s, bytes, n);
    } else if (take_head(s, bytes, n, &rest)) {
        struct buf head = s->head; /* frames may clear s->head by losing the connection */
        s->head = (struct buf){0};
        take_frames(s, head.p + rest, head.n - rest);
        buf_done(&head);
    }
}

static void read_some(struct socket *s)
{
    uint8_t bytes[READ_BYTES];
    s->more = true;
    for (int i = 0; i < READS_A_TURN && s->curl; i++) {
        size_t n = 0;
        CURLcode rc = curl_easy_recv(s->curl, bytes, sizeof bytes, &n);
        if (rc == CURLE_AGAIN) {
            s->more = false;
            return;
        }
        if (rc != CURLE_OK || n == 0) {
            lose(s, CLI_UNREACHABLE, "the connection broke", 0);
            return;
        }
        take_bytes(s, bytes, n);
    }
}

/* What is due by the clock; returns when to look again. */
static int64_t check_clock(struct socket *s)
{
    int64_t now = clock_steady_ms();
    if (s->phase != OPEN) {
        if (now >= s->deadline_ms) {
            lose(s, CLI_TIMEOUT, "the hub does not answer", 0);
        }
        return s->deadline_ms;
    }
    int64_t ping_at = s->heard_ms + s->heartbeat_ms + SILENCE_SPARE_MS;
    if (!s->pinged && now >= ping_at) {
        add_frame(s, WS_OP_PING, (struct slice){0});
        s->pinged = true;
    }
    int64_t dead_at = s->heard_ms + 2 * s->heartbeat_ms + SILENCE_SPARE_MS;
    if (now >= dead_at) {
        lose(s, CLI_TIMEOUT, "the hub is silent", 0);
    }
    return s->pinged ? dead_at : ping_at;
}

static int until(int64_t then_ms)
{
    int64_t left = then_ms - clock_steady_ms();
    return left <= 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

/* Connects if it is time; returns when the connection wants to be looked at again. */
static int64_t before_wait(struct socket *s)
{
    if (s->phase == IDLE && !cli_target(s->cli)) {
        give_up(s, CLI_USAGE);
    }
    if (s->phase == IDLE && clock_steady_ms() >= s->retry_at_ms) {
        connect_now(s);
    }
    int64_t look_at_ms = s->curl ? check_clock(s) : 0;
    flush_out(s);
    /* Either may have lost the connection: what counts then is when to make the next. */
    return !s->curl ? s->retry_at_ms : s->more ? 0 : look_at_ms;
}

enum cli_exit socket_wait(struct socket *s, int64_t until_ms, struct pollfd *extra, nfds_t extra_n)
{
    struct pollfd fds[1 + EXTRA_MAX] = {{.fd = -1}};
    int64_t own_ms = before_wait(s);
    if (s->phase == GIVEN_UP) {
        return s->verdict;
    }
    assert(extra_n <= EXTRA_MAX);
    if (s->curl) {
        fds[0].fd = s->fd;
        fds[0].events = POLLIN;
        if (socket_queued(s)) {
            fds[0].events = POLLIN | POLLOUT;
        }
    }
    for (nfds_t i = 0; i < extra_n; i++) {
        fds[i + 1] = extra[i];
    }
    int ready = poll(fds, extra_n + 1, until(own_ms < until_ms ? own_ms : until_ms));
    for (nfds_t i = 0; i < extra_n; i++) {
        extra[i].revents = (short)(ready > 0 ? fds[i + 1].revents : 0);
    }
    if (s->curl && (s->more || (ready > 0 && fds[0].revents))) {
        read_some(s);
        flush_out(s);
    }
    return s->phase == GIVEN_UP ? s->verdict : CLI_OK;
}

void socket_close(struct socket *s, int64_t limit_ms)
{
    int64_t end_ms = clock_steady_ms() + limit_ms;
    if (s->phase != OPEN) {
        return;
    }
    add_close(s, 1000, "");
    s->patient = true; /* whatever happens now is no error */
    s->events.lost = NULL;
    while (s->curl && socket_queued(s) && clock_steady_ms() < end_ms) {
        struct pollfd fd = {.fd = s->fd, .events = POLLOUT};
        flush_out(s);
        if (s->curl && socket_queued(s)) {
            (void)poll(&fd, 1, until(end_ms)); /* looked at by the condition above */
        }
    }
    disconnect(s);
    s->phase = GIVEN_UP;
    s->verdict = CLI_OK;
}

#include "hub/cli/watch.h"

#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"

enum { REDRAW_LEAST_MS = 500, REDRAW_MS = 5000 };

struct watch {
    struct cli *cli;
    const char *channels;
    enum cli_exit (*show)(void *ctx);
    void *ctx;
    struct socket *socket;
    int64_t drawn_ms, due_ms;
    enum cli_exit verdict;
};

void watch_subscribe(struct buf *out, const char *channels)
{
    struct json_out o = our_frame_begin(out, "subscribe", 1);
    json_key(&o, "channels");
    json_begin(&o, '[');
    for (size_t n; *channels; channels += n + (channels[n] == ' ')) {
        n = strcspn(channels, " ");
        json_text(&o, slice_of(channels, n));
    }
    json_end(&o, ']');
    json_end(&o, '}');
}

static void on_open(void *ctx)
{
    struct watch *w = ctx;
    struct buf text = {0};
    if (*w->channels) {
        watch_subscribe(&text, w->channels);
        socket_send(w->socket, buf_slice(&text));
    }
    buf_done(&text);
    w->due_ms = 0;
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct watch *w = ctx;
    int64_t soon = w->drawn_ms + REDRAW_LEAST_MS;
    if (frame->type == HUB_ERROR) {
        w->verdict = socket_complain(w->cli, frame);
    } else if (frame->type == HUB_EVENT && soon < w->due_ms) {
        w->due_ms = soon;
    }
}

static enum cli_exit redraw(struct watch *w)
{
    struct cli *cli = w->cli;
    if (cli->out.columns_max && cli->out.format <= OUT_WIDE) {
        fputs("\033[H\033[2J", cli->out.to); /* home, and clear what is below */
    }
    cli->out.now_ms = clock_wall_ms();
    enum cli_exit rc = w->show(w->ctx);
    cli_flush(cli);
    w->drawn_ms = clock_steady_ms();
    w->due_ms = w->drawn_ms + REDRAW_MS;
    return rc == CLI_UNREACHABLE || rc == CLI_TIMEOUT ? CLI_OK : rc;
}

enum cli_exit watch_run(struct cli *cli, const char *channels, enum cli_exit (*show)(void *ctx),
                        void *ctx)
{
    struct watch w = {
        .cli = cli, .channels = channels, .show = show, .ctx = ctx, .due_ms = INT64_MAX};
    struct socket_events events = {.ctx = &w, .open = on_open, .frame = on_frame};
    enum cli_exit rc = CLI_OK;
    w.socket = socket_new(cli, &events, false);
    while (rc == CLI_OK && w.verdict == CLI_OK) {
        rc = socket_wait(w.socket, w.due_ms, NULL, 0);
        if (rc == CLI_OK && socket_is_open(w.socket) && clock_steady_ms() >= w.due_ms) {
            rc = redraw(&w);
        }
    }
    socket_free(w.socket);
    return rc != CLI_OK ? rc : w.verdict;
}

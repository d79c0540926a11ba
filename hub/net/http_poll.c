/* Long polls: a subscription that is answered with the next page, or by asking again. */
#include "channels/replay.h"
#include "hub/api/channel_access.h"
#include "hub/net/http_parts.h"

static enum hub_rc poll_history(struct conn *c, struct call *call)
{
    struct http_exchange *x = c->exchange;
    struct history_query q = {
        .channel = buf_slice(&x->poll_path), .since = x->poll_since, .limit = 100};
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    enum hub_rc rc = channel_history(&c->thread->io, x->who->app, &q, &o);
    json_end(&o, '}');
    return rc;
}

/* Interest first, then one more look: what came in between is seen by one of the two. */
static void poll_listen(struct conn *c)
{
    struct net_thread *t = c->thread;
    struct http_exchange *x = c->exchange;
    struct slice name = buf_slice(&x->poll_path);
    bool fresh;
    subscriber_init(&c->sub, x->who->app, c->id);
    struct subscription *sub =
        topics_subscribe(t->io.topics, &c->sub, io_channel_hash(&t->io, x->who->app, name), name,
                         io_options(&t->io, x->who->app, name), &fresh);
    sub->next = x->poll_since + 1;
    sub->state = SUB_LIVE;
    struct replay_span span;
    enum store_rc rc = replay_span(t->hub->log, t->io.reader, x->who->app, name,
                                   io_options(&t->io, x->who->app, name), t->io.now_ms, &span);
    store_release(t->io.reader);
    if (rc != STORE_OK || span.head.last > x->poll_since) {
        http_poked(c);
    }
}

void http_poll_end(struct conn *c, bool over)
{
    struct http_exchange *x = c->exchange;
    struct call call = http_call(c);
    subscriber_done(c->thread->io.topics, &c->sub);
    x->poked = false;
    enum hub_rc rc = x->poll_wait.again ? x->poll_wait.again(&call, slice_str(x->poll_wait.about))
                                        : poll_history(c, &call);
    if (rc == HUB_OK && call.wait.ms > 0 && !over && !c->thread->draining) {
        x->poll_since = call.wait.since;
        poll_listen(c); /* not yet; the deadline stands */
        return;
    }
    x->polling = x->waiting = false;
    http_reply_call(c, &call, rc, x->poll_status, false);
    conn_resume(c);
}

void http_poll(struct conn *c, const struct call *call, unsigned status)
{
    struct http_exchange *x = c->exchange;
    buf_add_str(&x->poll_path, call->wait.channel);
    x->poll_wait = call->wait;
    x->poll_since = call->wait.since;
    x->poll_status = status;
    x->polling = x->waiting = true;
    conn_pause(c);
    conn_deadline(c, DEADLINE_POLL, call->wait.ms);
    poll_listen(c);
}

void http_poked(struct conn *c)
{
    if (c->exchange && c->exchange->polling) {
        c->exchange->poked = true;
        conn_resume(c);
    }
}

bool http_poll_due(struct conn *c)
{
    const struct http_exchange *x = c->exchange;
    if (x && x->polling && (x->poked || c->thread->draining)) {
        http_poll_end(c, false);
    }
    return c->exchange && c->exchange->polling;
}

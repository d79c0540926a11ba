/* Long polls: a subscription that is answered with the next page, or by asking again. */
#include "hub/net/http_parts.h"
#include "hub/net/waits.h"

static void poll_listen(struct conn *c)
{
    struct http_exchange *x = c->exchange;
    if (wait_listen(c->thread, &c->sub, x->who->app, c->id, slice_str(x->poll_wait.channel),
                    x->poll_wait.since)) {
        http_poked(c);
    }
}

void http_poll_end(struct conn *c, bool over)
{
    struct http_exchange *x = c->exchange;
    struct call call = http_call(c);
    subscriber_done(c->thread->io.topics, &c->sub);
    x->poked = false;
    enum hub_rc rc = wait_look(&x->poll_wait, &call);
    if (rc == HUB_OK && call.wait.ms > 0 && !over && !c->thread->draining) {
        x->poll_wait.since = call.wait.since;
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
    x->poll_wait = call->wait;
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

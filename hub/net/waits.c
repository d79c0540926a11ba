#include "hub/net/waits.h"

#include "channels/replay.h"
#include "hub/api/channel_access.h"
#include "hub/net/native_parts.h"

#include <stdlib.h>

struct call_waiting {
    struct subscriber sub; /* the first member: it is found by it */
    struct call_waiting *next;
    struct conn *c;
    int64_t due_ms;
    struct call_wait wait;
    bool moved;
    size_t id_n;
    uint8_t id[];
};

/* Interest first, then one more look: what came in between is seen by one of the two. */
bool wait_listen(struct net_thread *t, struct subscriber *who, uint32_t app, uint64_t connection,
                 struct slice channel, uint64_t since)
{
    const struct namespace_options *options = io_options(&t->io, app, channel);
    struct replay_span span;
    bool fresh;
    subscriber_init(who, app, connection);
    struct subscription *sub = topics_subscribe(
        t->io.topics, who, io_channel_hash(&t->io, app, channel), channel, options, &fresh);
    sub->next = since + 1;
    sub->state = SUB_LIVE;
    enum store_rc rc =
        replay_span(t->hub->log, t->io.reader, app, channel, options, t->io.now_ms, &span);
    store_release(t->io.reader);
    return rc != STORE_OK || span.head.last > since;
}

static enum hub_rc look_at_history(const struct call_wait *wait, struct call *call)
{
    struct history_query q = {
        .channel = slice_str(wait->channel), .since = wait->since, .limit = wait->limit};
    enum hub_rc rc = channel_may(call->io, call->who, RIGHT_HISTORY, q.channel);
    return rc == HUB_OK ? channel_history_page(call, &q, wait->list) : rc;
}

enum hub_rc wait_look(const struct call_wait *wait, struct call *call)
{
    return wait->again ? wait->again(call, slice_str(wait->about)) : look_at_history(wait, call);
}

static void listen(struct call_waiting *w)
{
    struct conn *c = w->c;
    w->moved =
        wait_listen(c->thread, &w->sub, c->who->app, 0, slice_str(w->wait.channel), w->wait.since);
    if (w->moved) {
        native_behind(c);
    }
}

bool waits_add(struct conn *c, const struct call *call, struct slice id)
{
    struct call_waiting **last = &conn_extras(c)->waits;
    unsigned n = 0;
    for (; *last; last = &(*last)->next) {
        n++;
    }
    if (n == WAITS_MAX) {
        return false;
    }
    struct call_waiting *w = xcalloc(1, sizeof *w + id.n);
    w->c = c;
    w->due_ms = c->thread->io.now_ms + call->wait.ms;
    w->wait = call->wait;
    w->id_n = id.n;
    if (id.n) {
        memcpy(w->id, id.p, id.n);
    }
    *last = w;
    listen(w);
    return true;
}

void waits_heard(struct subscriber *who)
{
    struct call_waiting *w = (struct call_waiting *)who;
    w->moved = true;
    native_behind(w->c);
}

bool waits_due(const struct conn *c)
{
    const struct call_waiting *w = c->extras ? c->extras->waits : NULL;
    while (w && !w->moved) {
        w = w->next;
    }
    return w != NULL;
}

/* False: it waits on. over: the time is up, and what there is must do. */
static bool answer(struct call_waiting *w, bool over)
{
    struct call call = native_call_begin(w->c);
    subscriber_done(w->c->thread->io.topics, &w->sub);
    w->moved = false;
    enum hub_rc rc = wait_look(&w->wait, &call);
    if (rc == HUB_OK && call.wait.ms > 0 && !over) {
        w->wait.since = call.wait.since;
        listen(w);
        return false;
    }
    native_call_end(w->c, &call, slice_of(w->id, w->id_n), rc);
    return true;
}

static void answer_all(struct conn *c, bool moved, int64_t now_ms)
{
    for (struct call_waiting **at = &c->extras->waits; *at && !c->dead;) {
        struct call_waiting *w = *at;
        bool over = w->due_ms <= now_ms;
        if (((moved && w->moved) || over) && answer(w, over)) {
            *at = w->next;
            free(w);
        } else {
            at = &w->next;
        }
    }
}

void waits_answer(struct conn *c)
{
    answer_all(c, true, INT64_MIN);
}

void waits_expire(struct conn *c, int64_t now_ms)
{
    if (c->extras && c->extras->waits && !c->closing) {
        answer_all(c, false, now_ms);
    }
}

void waits_drop(struct conn *c)
{
    while (c->extras && c->extras->waits) {
        struct call_waiting *w = c->extras->waits;
        c->extras->waits = w->next;
        subscriber_done(c->thread->io.topics, &w->sub);
        free(w);
    }
}

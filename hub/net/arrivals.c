#include "hub/net/arrivals.h"
#include "hub/net/conn.h"
#include "hub/net/http.h"
#include "hub/net/native.h"
#include "hub/net/service.h"
#include "hub/net/waits.h"

static void events(struct net_thread *t, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->events_n; i++) {
        struct delivery d;
        io_delivery(&d, tray, &tray->events[i]);
        topics_deliver(t->io.topics, &d);
        net_serve(t);
    }
}

void arrivals_on_deliver(void *ctx, struct subscriber *who, struct delivery *d, bool via_pattern)
{
    struct net_thread *t = ctx;
    if (waits_hear(who)) {
        waits_heard(who);
        return;
    }
    struct conn *c = (struct conn *)((char *)who - offsetof(struct conn, sub));
    if (c->closing || c->dead) {
        return;
    }
    if (c->wire == CONN_HTTP) {
        http_poked(c);
        return;
    }
    outbox_share(&c->out, &t->turn, d, via_pattern);
    conn_mark_dirty(c, false);
    io_count(&t->io.counters.messages_out[WIRE_NATIVE][d->offset ? CLASS_DURABLE : CLASS_LIVE], 1);
}

void arrivals_on_behind(void *ctx, struct subscriber *who)
{
    (void)ctx;
    if (waits_hear(who)) {
        waits_heard(who);
        return;
    }
    struct conn *c = (struct conn *)((char *)who - offsetof(struct conn, sub));
    if (c->wire == CONN_HTTP) {
        http_poked(c);
    } else {
        native_writable(c);
    }
}

static void answer(struct net_thread *t, const struct tray *tray, struct command *command)
{
    struct conn *c = command->flags & COMMAND_SILENT ? NULL : net_conn(t, command->from);
    command->flags |= COMMAND_ANSWERED;
    if (!c) {
        return;
    }
    if (c->wire == CONN_HTTP) {
        http_answer(c, tray, command);
    } else {
        native_answer(c, tray, command);
    }
}

static bool has_listeners(const struct net_thread *t, const struct command *command)
{
    return command->kind == &command_publish &&
           interest_of(t->hub->interest, command->channel_hash) & UINT64_C(1) << t->index;
}

static void answers(struct net_thread *t, const struct tray *tray, bool all)
{
    bool ours = tray->answered && tray->origin == t->index;
    for (uint32_t i = 0; ours && i < tray->commands_n; i++) {
        struct command *command = &tray->commands[i];
        if (!(command->flags & COMMAND_ANSWERED) && (all || !has_listeners(t, command))) {
            answer(t, tray, command);
        }
    }
}

static void kicks(struct net_thread *t, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->kicks_n; i++) {
        for (uint32_t s = 0; s < t->slots_cap; s++) {
            struct conn *c = t->slots[s];
            if (c && c->id == tray->kicks[i].connection && c->wire == CONN_NATIVE) {
                conn_close(c, tray->kicks[i].code, tray->kicks[i].reason);
            }
        }
    }
}

static void handouts(struct net_thread *t, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->handouts_n; i++) {
        const struct tray_handout *handout = &tray->handouts[i];
        if (connection_thread(handout->connection) != t->index) {
            continue;
        }
        struct conn *c = net_conn(t, handout->to);
        if (c && c->id == handout->connection && c->wire == CONN_NATIVE) {
            native_handout(c, handout);
        }
    }
}

bool arrivals_answer(struct net_thread *t, const struct tray *tray)
{
    bool wanted = tray->wanted & UINT64_C(1) << t->index;
    answers(t, tray, !wanted);
    return !wanted;
}

void arrivals_deliver(struct net_thread *t, const struct tray *tray)
{
    answers(t, tray, true);
    events(t, tray);
    handouts(t, tray);
    kicks(t, tray);
}

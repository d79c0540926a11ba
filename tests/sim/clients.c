/* Connections without sockets. What hub/net does between a socket and an I/O thread's parts is done
 * here in the same order: a turn drains the inbox, sends what waits in one go, keeps what the peer
 * does not take, reads on from the log for those behind. What a peer took is judged in reading.c.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>

enum { HELD_MAX = 256, GATHER_BYTES = 65536, PAGES_A_TURN = 3 };

enum ticket_kind { TICKET_PUBLISH, TICKET_JOIN, TICKET_OTHER, TICKET_REGISTER };

/* What a subscribe asked for, carried in the ticket of its join. */
struct wish {
    unsigned channel;
    bool resume;
    unsigned rewind;
};

static uint64_t ticket_of(enum ticket_kind kind, struct wish wish)
{
    return (uint64_t)kind | (uint64_t)wish.channel << 8 | (uint64_t)wish.resume << 16 |
           (uint64_t)wish.rewind << 24;
}

static struct wish wish_of(uint64_t ticket)
{
    return (struct wish){.channel = (unsigned)(ticket >> 8 & 0xff),
                         .resume = ticket >> 16 & 1,
                         .rewind = (unsigned)(ticket >> 24)};
}

static struct sim_thread *thread_of(struct world *w, const struct client *c)
{
    return &w->threads[c->thread];
}

static struct client *client_of(struct subscriber *who)
{
    return (struct client *)((char *)who - offsetof(struct client, sub));
}

static void on_deliver(void *ctx, struct subscriber *who, struct delivery *d, bool via_pattern)
{
    struct world *w = ctx;
    struct client *c = client_of(who);
    outbox_share(&c->out, &thread_of(w, c)->turn, d, via_pattern);
    c->dirty = true;
}

static void on_behind(void *ctx, struct subscriber *who)
{
    (void)ctx;
    client_of(who)->behind = true;
}

void thread_callbacks(topics_deliver_fn **out_deliver, topics_behind_fn **out_behind)
{
    *out_deliver = on_deliver;
    *out_behind = on_behind;
}

static struct client *client_at(struct world *w, unsigned thread, struct return_address from)
{
    if (from.slot >= w->plan.clients) {
        return NULL;
    }
    struct client *c = &w->clients[from.slot];
    return c->up && c->thread == thread && c->generation == from.generation ? c : NULL;
}

static struct return_address address_of(const struct client *c)
{
    return (struct return_address){.slot = c->n, .generation = c->generation};
}

/* ---- commands ---- */

static void push_filling(struct world *w, struct io *io)
{
    if (io->filling) {
        model_pushed(w, io->filling);
    }
}

/* As io_command, but the model hears of a tray that it hands over. */
static struct command *command_new(struct world *w, struct sim_thread *t,
                                   const struct command_kind *kind, struct return_address from,
                                   uint64_t ticket)
{
    if (t->io.filling && tray_is_full(t->io.filling)) {
        push_filling(w, &t->io);
    }
    return io_command(&t->io, kind, APP, from, ticket);
}

static void body_set(struct sim_thread *t, struct command *command, struct slice body)
{
    command->body_at = (uint32_t)io_arena(&t->io)->n;
    command->body_n = (uint32_t)body.n;
    buf_add_slice(io_arena(&t->io), body);
}

static bool ask(struct world *w, struct client *c, const struct command_kind *kind, uint64_t ticket,
                struct buf *body)
{
    struct sim_thread *t = thread_of(w, c);
    struct command *command = command_new(w, t, kind, address_of(c), ticket);
    if (command) {
        t->io.draw(command->seed, sizeof command->seed);
        body_set(t, command, buf_slice(body));
        c->pending++;
        w->counts.commands++;
    }
    buf_done(body);
    return command != NULL;
}

static void farewell(struct world *w, struct sim_thread *t, const struct command_kind *kind,
                     struct buf *body)
{
    struct command *command =
        command_new(w, t, kind, (struct return_address){.slot = UINT32_MAX}, 0);
    if (command) {
        command->flags = COMMAND_SILENT;
        body_set(t, command, buf_slice(body));
        buf_done(body);
        w->counts.commands++;
        return;
    }
    struct bond_of_one *bond = xmalloc(sizeof *bond);
    *bond = (struct bond_of_one){.next = t->farewells, .kind = kind, .body = *body};
    t->farewells = bond;
}

static void hand_over(struct world *w, struct sim_thread *t);

static struct buf presence_body(const struct client *c, enum presence_change change,
                                unsigned channel, uint32_t info)
{
    char id[16], text[32];
    struct buf body = {0};
    snprintf(id, sizeof id, "m%u", (unsigned)c->member);
    snprintf(text, sizeof text, "{\"i\":%u}", (unsigned)info);
    struct presence_member member = {.app = APP,
                                     .channel = channel_name(channel),
                                     .id = slice_str(id),
                                     .info = slice_str(text),
                                     .connection = c->connection};
    presence_body_put(&body, change, &member);
    return body;
}

/* ---- subscribing: interest, then the position, then what was missed ---- */

static void attach_place(struct world *w, struct client *c, struct wish wish)
{
    struct sim_thread *t = thread_of(w, c);
    struct slice name = channel_name(wish.channel);
    struct channel_view *view = &c->views[wish.channel];
    const struct namespace_options *options = io_options(&t->io, APP, name);
    struct subscription *sub =
        topics_find(t->io.topics, &c->sub, io_channel_hash(&t->io, APP, name), name);
    struct replay_span span;
    if (!sub) {
        return;
    }
    enum store_rc rc =
        replay_span(t->io.hub->log, t->io.reader, APP, name, options, t->io.now_ms, &span);
    store_release(t->io.reader);
    SIM_CHECK(w, rc == STORE_OK, "replay_span(%s): %s", channel_names[wish.channel],
              store_rc_name(rc));
    uint64_t end = span.head.last + 1;
    bool durable = options->delivery == NS_DURABLE,
         resumed = durable && wish.resume && view->placed;
    sub->next = durable ? end : 0;
    if (!durable) {
        view->placed = false;
    } else if (resumed) {
        SIM_CHECK(w, view->next <= end, "%s ends at %llu, client %u had %llu",
                  channel_names[wish.channel], (unsigned long long)span.head.last, c->n,
                  (unsigned long long)(view->next - 1));
        sub->next = view->next;
    } else if (wish.rewind) {
        sub->next = end > wish.rewind && end - wish.rewind > span.head.first ? end - wish.rewind
                                                                             : span.head.first;
    }
    sub->state = durable && sub->next < end ? SUB_CATCHING_UP : SUB_LIVE;
    struct buf marker = {0};
    marker_put(&marker, wish.channel, view->number, sub->next, resumed);
    outbox_own(&c->out, &t->turn, buf_slice(&marker));
    buf_done(&marker);
    c->dirty = true;
    c->behind = c->behind || sub->state == SUB_CATCHING_UP;
}

/* What is on its way is not asked for any more; the place is lost. */
static void view_drop(struct channel_view *view)
{
    *view = (struct channel_view){.was_exact = true, .number = view->number + 1};
}

static void do_subscribe(struct world *w, struct client *c, unsigned channel, bool present)
{
    struct sim_thread *t = thread_of(w, c);
    struct slice name = channel_name(channel);
    struct channel_view *view = &c->views[channel];
    /* A client with bytes unread does not know how far it is: like any other it resumes from what
     * it has read. */
    struct wish wish = {.channel = channel,
                        .resume = view->placed && !view->subscribed,
                        .rewind = rng_percent(&w->rng, 20) ? 1 + rng_below(&w->rng, 30) : 0};
    bool fresh;
    struct subscription *sub =
        topics_subscribe(t->io.topics, &c->sub, io_channel_hash(&t->io, APP, name), name,
                         io_options(&t->io, APP, name), &fresh);
    if (!fresh) {
        return;
    }
    if (present) {
        struct buf body = presence_body(c, PRESENCE_JOIN, channel, rng_below(&w->rng, 3));
        if (!ask(w, c, &command_presence, ticket_of(TICKET_JOIN, wish), &body)) {
            topics_unsubscribe(t->io.topics, sub);
            return;
        }
        sub->member = view->member = true;
    }
    view->subscribed = true;
    view->settled = false;
    view->number++;
    view->was_exact = true;
    if (!present) {
        attach_place(w, c, wish);
    }
}

static void leave(struct world *w, struct client *c, struct subscription *sub)
{
    if (sub->member) {
        int channel = channel_of(slice_of(sub->topic->name, sub->topic->name_n));
        struct buf body = presence_body(c, PRESENCE_LEAVE, (unsigned)channel, 0);
        farewell(w, thread_of(w, c), &command_presence, &body);
    }
}

static void do_unsubscribe(struct world *w, struct client *c, unsigned channel)
{
    struct sim_thread *t = thread_of(w, c);
    struct slice name = channel_name(channel);
    struct subscription *sub =
        topics_find(t->io.topics, &c->sub, io_channel_hash(&t->io, APP, name), name);
    if (sub && sub->state != SUB_WAITING) {
        leave(w, c, sub);
        topics_unsubscribe(t->io.topics, sub);
        view_drop(&c->views[channel]);
    }
}

static void do_pattern(struct world *w, struct client *c)
{
    struct sim_thread *t = thread_of(w, c);
    unsigned i = rng_below(&w->rng, PATTERNS);
    struct slice text = slice_str(pattern_texts[i]);
    if (c->pattern_from[i] != UINT64_MAX) {
        topics_unwatch(t->io.topics, &c->sub, text);
        c->pattern_from[i] = UINT64_MAX;
        return;
    }
    SIM_CHECK(w, topics_watch(t->io.topics, &c->sub, text), "the pattern was not watched");
    uint64_t newest = log_newest_seq(t->io.hub->log);
    if (c->sub.patterns_n == 1) {
        c->sub.next_seq = newest + 1;
        c->sub.patterns_state = SUB_LIVE;
        c->watched_seq = newest > c->watched_seq ? newest : c->watched_seq;
        c->late_seq = newest; /* what an earlier pattern brought may still be on its way */
    }
    c->pattern_from[i] = newest;
    c->pattern_ever[i] = true;
}

/* ---- publishing ---- */

static struct slice key_text(struct world *w, char *out, size_t n, const char *prefix, unsigned of)
{
    snprintf(out, n, "%s%u", prefix, (unsigned)rng_below(&w->rng, of));
    return slice_str(out);
}

static void do_publish(struct world *w, struct client *c, unsigned channel)
{
    struct sim_thread *t = thread_of(w, c);
    struct rng *r = &w->rng;
    char key[16], from[32], conflate[16];
    struct buf data = {0};
    size_t pad = rng_percent(r, 4)    ? 3000
                 : rng_percent(r, 30) ? rng_below(r, 600)
                                      : rng_below(r, 20);
    buf_printf(&data, "{\"n\":%llu,\"p\":\"", (unsigned long long)++w->tokens);
    memset(buf_reserve(&data, pad), 'x', pad);
    data.n += pad;
    buf_add_str(&data, "\"}");
    snprintf(from, sizeof from, "%u-%u", c->n, (unsigned)c->generation);
    struct io_publish publish = {.app = APP,
                                 .options = io_options(&t->io, APP, channel_name(channel)),
                                 .from = address_of(c),
                                 .ticket =
                                     ticket_of(TICKET_PUBLISH, (struct wish){.channel = channel}),
                                 .event = {.kind = EVENT_MESSAGE,
                                           .channel = channel_name(channel),
                                           .name = slice_str("e"),
                                           .data = buf_slice(&data),
                                           .from = slice_str(from),
                                           .time_ms = t->io.now_ms,
                                           .exclude = rng_percent(r, 10) ? c->connection : 0,
                                           .ttl_s = rng_percent(r, 10) ? 1 + rng_below(r, 20) : 0}};
    if (rng_percent(r, 15)) {
        publish.key = key_text(w, key, sizeof key, "k", KEYS);
    }
    if (rng_percent(r, 8)) {
        publish.expects = true;
        publish.expect = w->model.state.last[channel] + (rng_percent(r, 30) ? 1 : 0);
    }
    if (publish.options->conflate && rng_percent(r, 40)) {
        publish.event.conflate = key_text(w, conflate, sizeof conflate, "c", 3);
    }
    if (t->io.filling && tray_is_full(t->io.filling)) {
        push_filling(w, &t->io);
    }
    bool live;
    enum hub_rc rc = io_publish(&t->io, &publish, &live);
    SIM_CHECK(w, rc == HUB_OK || rc == HUB_UNAVAILABLE, "io_publish: %d", (int)rc);
    c->pending += rc == HUB_OK && !live;
    w->counts.commands++;
    buf_done(&data);
}

/* ---- agents ---- */

static void do_register(struct world *w, struct client *c)
{
    char name[16];
    int agent = (int)rng_below(&w->rng, AGENTS);
    struct slice none = slice_str("{}");
    struct agent_register r = {.asker = {.subject = slice_str("owner"), .all = true},
                               .agent = {.id = agent_name((unsigned)agent, name),
                                         .type = AGENT_WORKER,
                                         .endpoints = none,
                                         .metadata = none,
                                         .slots = 1},
                               .connection = rng_percent(&w->rng, 80) ? c->connection : 0};
    if (c->agent >= 0) {
        return;
    }
    struct buf body = {0};
    agent_register_put(&body, &r);
    struct wish wish = {.channel = (unsigned)agent, .resume = r.connection != 0};
    (void)ask(w, c, &command_agent_register, ticket_of(TICKET_REGISTER, wish), &body);
}

static void do_beat(struct world *w, struct client *c)
{
    struct metrics metrics = {.n = 1, .list = {{.name = "load", .value = 0.5}}};
    const struct model_agent *a = &w->model.agents[rng_below(&w->rng, AGENTS)];
    uint32_t number = c->agent >= 0 ? c->agent_number : a->number;
    if (number) {
        struct buf body = {0};
        agent_beat_put(&body, number, &metrics);
        (void)ask(w, c, &command_agent_beat, ticket_of(TICKET_OTHER, (struct wish){0}), &body);
    }
}

static void do_change(struct world *w, struct client *c)
{
    static const enum agent_status statuses[] = {AGENT_ACTIVE, AGENT_BUSY, AGENT_DRAINING,
                                                 AGENT_MAINTENANCE, AGENT_ACTIVE};
    char name[16];
    struct rng *r = &w->rng;
    bool ends = rng_percent(r, 10);
    struct agent_change change = {.asker = {.subject = slice_str("owner"), .all = true},
                                  .id = agent_name(rng_below(r, AGENTS), name),
                                  .has_status = rng_percent(r, 60),
                                  .status = statuses[rng_below(r, 5)]};
    struct buf body = {0};
    agent_change_put(&body, &change);
    (void)ask(w, c, ends ? &command_agent_deregister : &command_agent_change,
              ticket_of(TICKET_OTHER, (struct wish){0}), &body);
}

static void registered(struct world *w, struct client *c, const struct tray *tray,
                       const struct command *command)
{
    struct agent_registered reply;
    struct wish wish = wish_of(command->ticket);
    if (command->rc != HUB_OK) {
        return;
    }
    SIM_CHECK(w,
              agent_registered_get(tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n),
                                   &reply),
              "the answer to a registration cannot be read");
    if (wish.resume && c->agent < 0) {
        c->agent = (int)wish.channel;
        c->agent_number = reply.number;
        c->agent_epoch = reply.epoch;
    }
}

/* ---- options of namespaces ---- */

static void do_namespace(struct world *w, struct client *c)
{
    struct rng *r = &w->rng;
    unsigned i = rng_below(r, SPACES);
    struct slice ns = slice_str(space_names[i]);
    struct namespace_options options = *namespace_of(thread_of(w, c)->io.namespaces, APP, ns);
    if (i == 0) {
        options.delivery = rng_percent(r, 50) ? NS_LIVE : NS_DURABLE;
    } else if (i == 2) {
        options.presence_grace_ms = rng_below(r, 5) * 1000;
    }
    options.history.events_max = 5 + rng_below(r, 60);
    struct buf body = {0};
    bool drop = rng_percent(r, 20);
    namespace_body_put(&body, &(struct why){.by = slice_str("boss")}, ns, drop ? NULL : &options);
    (void)ask(w, c, &command_namespace, ticket_of(TICKET_OTHER, (struct wish){0}), &body);
}

/* ---- coming and going ---- */

void client_up(struct world *w, struct client *c)
{
    c->up = true;
    c->generation++;
    c->connection = io_connection_id(&thread_of(w, c)->io);
    c->life = w->lives;
    c->pace = rng_percent(&w->rng, w->plan.slow_percent) ? 1 + rng_below(&w->rng, 900) : 0;
    subscriber_init(&c->sub, APP, c->connection);
    for (unsigned i = 0; i < PATTERNS; i++) {
        c->pattern_from[i] = UINT64_MAX;
        c->pattern_ever[i] = false;
    }
    c->late_seq = 0;
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct channel_view *view = &c->views[i];
        bool again = view->subscribed;
        view->subscribed = view->settled = view->member = view->was_exact = false;
        memset(view->live, 0, sizeof view->live);
        if (again && !view->placed) {
            *view = (struct channel_view){.number = view->number};
        } else if (again) {
            do_subscribe(w, c, i, i >= AT_PRESENCE && i < AT_LIVE);
        }
    }
}

static void client_end(struct world *w, struct client *c)
{
    struct sim_thread *t = thread_of(w, c);
    client_read(w, c); /* what it had read of its socket before */
    buf_clear(&c->stream);
    outbox_clear(&c->out, &t->turn);
    subscriber_done(t->io.topics, &c->sub);
    c->up = c->blocked = c->dirty = c->behind = false;
    c->pending = 0;
    c->agent = -1;
}

void client_lost(struct world *w, struct client *c, bool hub_knows)
{
    if (!c->up) {
        return;
    }
    for (struct subscription *sub = c->sub.subs; hub_knows && sub; sub = sub->next_of_subscriber) {
        leave(w, c, sub);
    }
    if (hub_knows && c->agent >= 0) {
        struct buf body = {0};
        agent_gone_put(&body, c->agent_number, c->agent_epoch, c->connection);
        farewell(w, thread_of(w, c), &command_agent_gone, &body);
    }
    client_end(w, c);
}

void client_settle(struct world *w, struct client *c)
{
    (void)w;
    c->pace = 0;
}

/* ---- what a client does next ---- */

void client_act(struct world *w, struct client *c)
{
    struct rng *r = &w->rng;
    struct sim_thread *t = thread_of(w, c);
    unsigned what = rng_below(r, 100);
    unsigned channel = rng_below(r, AT_TOLD);
    if (io_starved(&t->io) || c->pending >= w->settings.pending_max || !c->up) {
        return;
    }
    if (what < 42) {
        for (unsigned n = rng_percent(r, 10) ? 20 : 1; n > 0 && !io_starved(&t->io); n--) {
            do_publish(w, c, channel);
        }
    } else if (what < 62) {
        channel = rng_below(r, CHANNELS);
        do_subscribe(w, c, channel, channel >= AT_PRESENCE && channel < AT_LIVE);
    } else if (what < 66) {
        do_unsubscribe(w, c, channel);
    } else if (what < 71) {
        channel = AT_PRESENCE + rng_below(r, AT_LIVE - AT_PRESENCE);
        struct buf body = presence_body(c, PRESENCE_UPDATE, channel, rng_below(r, 9));
        (void)ask(w, c, &command_presence, ticket_of(TICKET_OTHER, (struct wish){0}), &body);
    } else if (what < 75) {
        if (c->mixed || !c->sub.subs) {
            do_pattern(w, c);
        }
    } else if (what < 80) {
        do_register(w, c);
    } else if (what < 88) {
        do_beat(w, c);
    } else if (what < 92) {
        do_change(w, c);
    } else if (what < 94) {
        do_namespace(w, c);
    } else if (what < 97) {
        c->pace = rng_percent(r, w->plan.slow_percent) ? 1 + rng_below(r, 900) : 0;
    } else {
        client_lost(w, c, true);
    }
}

/* ---- a turn ---- */

static void deliver_tray(struct sim_thread *t, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->events_n; i++) {
        struct delivery d;
        io_delivery(&d, tray, &tray->events[i]);
        topics_deliver(t->io.topics, &d);
    }
}

static void join_answered(struct world *w, struct client *c, const struct command *command)
{
    struct wish wish = wish_of(command->ticket);
    struct sim_thread *t = thread_of(w, c);
    struct slice name = channel_name(wish.channel);
    struct subscription *sub =
        topics_find(t->io.topics, &c->sub, io_channel_hash(&t->io, APP, name), name);
    if (!sub || sub->state != SUB_WAITING) {
        return;
    }
    if (command->rc == HUB_OK) {
        attach_place(w, c, wish);
    } else {
        topics_unsubscribe(t->io.topics, sub);
        view_drop(&c->views[wish.channel]);
    }
}

static void answers(struct world *w, struct sim_thread *t, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->commands_n; i++) {
        const struct command *command = &tray->commands[i];
        sim_note(w, command->rc);
        sim_note(w, command->offset);
        struct client *c =
            command->flags & COMMAND_SILENT ? NULL : client_at(w, t->io.index, command->from);
        if (!c) {
            continue;
        }
        c->pending--;
        switch ((enum ticket_kind)(command->ticket & 0xff)) {
        case TICKET_JOIN:
            join_answered(w, c, command);
            break;
        case TICKET_REGISTER:
            registered(w, c, tray, command);
            break;
        case TICKET_PUBLISH:
        case TICKET_OTHER:
            break;
        }
    }
}

static void kicks(struct world *w, struct sim_thread *t, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->kicks_n; i++) {
        for (unsigned n = 0; n < w->plan.clients; n++) {
            struct client *c = &w->clients[n];
            if (c->up && c->connection == tray->kicks[i].connection && c->thread == t->io.index) {
                client_lost(w, c, true);
            }
        }
    }
}

struct live_ctx {
    struct world *w;
    struct sim_thread *t;
};

static void local_live(void *ctx, const struct tray *tray)
{
    struct live_ctx *l = ctx;
    deliver_tray(l->t, tray);
    l->t->held[l->t->held_n++] = (struct tray *)(uintptr_t)tray;
}

static void hand_over(struct world *w, struct sim_thread *t)
{
    struct live_ctx ctx = {.w = w, .t = t};
    push_filling(w, &t->io);
    io_hand_over(&t->io, local_live, &ctx);
}

static void drain_inbox(struct world *w, struct sim_thread *t)
{
    unsigned most = w->quiet ? HELD_MAX : 1 + rng_below(&w->rng, 12);
    while (most-- > 0 && t->held_n < HELD_MAX - 4) {
        struct tray *tray = io_arrived(&t->io);
        if (!tray) {
            return;
        }
        if (tray->answered && tray->origin == t->io.index) {
            answers(w, t, tray);
        }
        deliver_tray(t, tray);
        kicks(w, t, tray);
        t->held[t->held_n++] = tray;
    }
}

static void keep(struct world *w, struct client *c)
{
    struct sim_thread *t = thread_of(w, c);
    struct outbox_losses losses = {0};
    if (outbox_keep(&c->out, &t->turn, t->io.topics, &c->sub, w->settings.queue_bytes, &losses) ==
        OUTBOX_DISCONNECT) {
        client_lost(w, c, true);
    }
}

/* The socket takes `*allowance` bytes this turn. */
static void flush(struct world *w, struct client *c, size_t *allowance)
{
    struct sim_thread *t = thread_of(w, c);
    c->dirty = false;
    if (c->blocked) {
        keep(w, c);
        return;
    }
    while (!outbox_empty(&c->out)) {
        bool last;
        struct slice run = outbox_peek(&c->out, &t->turn, &last);
        if (!last && run.n < GATHER_BYTES) {
            buf_clear(&t->gather);
            run.p = buf_reserve(&t->gather, GATHER_BYTES);
            run.n = outbox_gather(&c->out, &t->turn, t->gather.p, GATHER_BYTES);
        }
        size_t n = run.n < *allowance ? run.n : *allowance;
        buf_add(&c->stream, run.p, n);
        *allowance -= n;
        outbox_sent(&c->out, &t->turn, n);
        if (n < run.n) {
            c->blocked = true;
            keep(w, c);
            return;
        }
    }
}

static struct subscription *first_behind(struct client *c)
{
    struct subscription *sub = c->sub.subs;
    while (sub && sub->state != SUB_CATCHING_UP) {
        sub = sub->next_of_subscriber;
    }
    return sub;
}

static void page(struct world *w, struct client *c, struct subscription *sub, size_t *allowance)
{
    struct sim_thread *t = thread_of(w, c);
    bool done;
    enum store_rc rc;
    buf_clear(&t->frames);
    struct replay r = {.log = t->io.hub->log,
                       .reader = t->io.reader,
                       .now_ms = t->io.now_ms,
                       .bytes_max = w->plan.page_bytes,
                       .events_max = w->plan.page_events,
                       .connection = c->connection,
                       .out = &t->frames};
    if (sub) {
        struct slice name = slice_of(sub->topic->name, sub->topic->name_n);
        uint64_t before = sub->next;
        rc = replay_page(&r, sub, io_options(&t->io, APP, name), &done);
        SIM_CHECK(w, done || sub->next > before, "a page of %.*s brings nothing", (int)name.n,
                  (const char *)name.p);
        if (r.gaps) {
            check_first(w, (unsigned)channel_of(name));
        }
        sub->state = done ? SUB_LIVE : sub->state;
    } else {
        uint64_t before = c->sub.next_seq;
        rc = replay_patterns(&r, t->io.topics, &c->sub, t->io.hub->hash_seed, &done);
        SIM_CHECK(w, done || c->sub.next_seq > before, "a page of patterns brings nothing");
        c->sub.patterns_state = done ? SUB_LIVE : c->sub.patterns_state;
    }
    SIM_CHECK(w, rc == STORE_OK, "replay: %s", store_rc_name(rc));
    w->counts.replayed += r.events;
    w->counts.gaps += r.gaps;
    if (t->frames.n) {
        outbox_own(&c->out, &t->turn, buf_slice(&t->frames));
        flush(w, c, allowance);
    }
}

static void catch_up(struct world *w, struct client *c, size_t *allowance)
{
    for (unsigned i = 0; i < PAGES_A_TURN && c->up && c->behind && !c->blocked; i++) {
        struct subscription *sub = first_behind(c);
        if (!sub && c->sub.patterns_state != SUB_CATCHING_UP) {
            c->behind = false;
            return;
        }
        page(w, c, sub, allowance);
    }
}

static void end_turn(struct sim_thread *t)
{
    for (unsigned i = 0; i < t->held_n; i++) {
        io_let_go(&t->io, t->held[i]);
    }
    t->held_n = 0;
    turn_end(&t->turn);
}

static void flush_all(struct world *w, unsigned thread, size_t *allowance)
{
    for (unsigned n = 0; n < w->plan.clients; n++) {
        struct client *c = &w->clients[n];
        if (c->up && c->thread == thread && (c->dirty || !outbox_empty(&c->out))) {
            flush(w, c, &allowance[n]);
        }
    }
}

static void farewells(struct world *w, struct sim_thread *t)
{
    while (t->farewells && !io_starved(&t->io)) {
        struct bond_of_one *bond = t->farewells;
        t->farewells = bond->next;
        farewell(w, t, bond->kind, &bond->body);
        free(bond);
    }
}

static void writable(struct world *w, unsigned thread, size_t *allowance)
{
    for (unsigned n = 0; n < w->plan.clients; n++) {
        struct client *c = &w->clients[n];
        allowance[n] = c->pace ? c->pace : SIZE_MAX;
        if (c->up && c->thread == thread && c->blocked) {
            c->blocked = false;
            flush(w, c, &allowance[n]);
        }
        c->behind = c->behind || first_behind(c) || c->sub.patterns_state == SUB_CATCHING_UP;
    }
}

void thread_turn(struct world *w, unsigned thread)
{
    struct sim_thread *t = &w->threads[thread];
    size_t allowance[CLIENTS_MAX];
    writable(w, thread, allowance);
    (void)io_turn(&t->io, w->now_ms, (uint64_t)w->now_ms * 1000);
    farewells(w, t);
    hand_over(w, t);
    drain_inbox(w, t);
    hand_over(w, t);
    flush_all(w, thread, allowance);
    end_turn(t);
    for (unsigned n = 0; n < w->plan.clients; n++) {
        if (w->clients[n].up && w->clients[n].thread == thread) {
            catch_up(w, &w->clients[n], &allowance[n]);
        }
    }
    flush_all(w, thread, allowance);
    hand_over(w, t);
    flush_all(w, thread, allowance);
    end_turn(t);
    for (unsigned n = 0; n < w->plan.clients; n++) {
        if (w->clients[n].up && w->clients[n].thread == thread) {
            client_read(w, &w->clients[n]);
        }
    }
}

bool thread_idle(const struct world *w, unsigned thread)
{
    const struct sim_thread *t = &w->threads[thread];
    for (unsigned n = 0; n < w->plan.clients; n++) {
        const struct client *c = &w->clients[n];
        if (c->up && c->thread == thread && (c->behind || !outbox_empty(&c->out) || c->pending)) {
            return false;
        }
    }
    return ring_empty(t->io.inbox) && !t->io.filling && !t->io.live && !t->farewells;
}

void thread_down(struct world *w, unsigned thread)
{
    struct sim_thread *t = &w->threads[thread];
    if (!t->io.topics) {
        return;
    }
    for (unsigned n = 0; n < w->plan.clients; n++) {
        struct client *c = &w->clients[n];
        if (c->up && c->thread == thread) {
            /* The process is gone: what the kernel had taken still reaches the client. */
            outbox_clear(&c->out, &t->turn);
            subscriber_done(t->io.topics, &c->sub);
            c->up = c->blocked = c->dirty = c->behind = false;
            c->pending = 0;
            c->agent = -1;
            buf_clear(&c->stream);
        }
    }
    turn_done(&t->turn);
    t->turn = (struct turn){0};
    buf_done(&t->frames);
    buf_done(&t->gather);
    while (t->farewells) {
        struct bond_of_one *bond = t->farewells;
        t->farewells = bond->next;
        buf_done(&bond->body);
        free(bond);
    }
    io_done(&t->io);
    memset(&t->io, 0, sizeof t->io);
}

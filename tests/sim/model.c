/* What every batch must do, said before it is done, by code that knows neither logs nor
 * transactions: a list of events a channel, a list of keys, a set of connections a member, which
 * namespaces have options of their own. Agents
 * tell of themselves (agents.c). */
#include "tests/sim/sim.h"
#include "store/hash.h"
#include "store/pack.h"

#include <stdlib.h>

/* ---- events ---- */

uint64_t event_hash(const struct event *event, uint64_t offset)
{
    struct buf json = {0};
    event_json_write(&json, event, offset);
    uint64_t hash = hash64(0, buf_slice(&json));
    buf_done(&json);
    return hash;
}

const struct model_event *model_event_at(const struct world *w, unsigned channel, uint64_t offset)
{
    return offset >= 1 && offset <= w->model.state.last[channel]
               ? &w->model.channels[channel].events[offset - 1]
               : NULL;
}

void model_event_add(struct world *w, unsigned channel, const struct event *event)
{
    struct model *m = &w->model;
    struct model_channel *ch = &m->channels[channel];
    uint64_t offset = ++m->state.last[channel];
    if (offset > ch->cap) {
        ch->cap = ch->cap ? ch->cap * 2 : 64;
        ch->events = xrealloc(ch->events, ch->cap * sizeof *ch->events);
    }
    ch->events[offset - 1] = (struct model_event){.hash = event_hash(event, offset),
                                                  .exclude = event->exclude,
                                                  .life = w->lives,
                                                  .time_ms = event->time_ms,
                                                  .ttl_s = event->ttl_s};
}

/* Ids of connections could be given out again after a start, but then mean another one. */
bool model_excludes(const struct model_event *event, const struct client *c)
{
    return event->exclude && event->exclude == c->connection && event->life == c->life;
}

void model_place_seq(struct world *w, uint64_t seq, unsigned channel, uint64_t offset)
{
    struct model *m = &w->model;
    SIM_CHECK(w, seq == m->state.seq + 1, "sequence %llu follows %llu", (unsigned long long)seq,
              (unsigned long long)m->state.seq);
    m->state.seq = seq;
    if (seq > m->order_cap) {
        m->order_cap = m->order_cap ? m->order_cap * 2 : 256;
        m->order = xrealloc(m->order, m->order_cap * sizeof *m->order);
    }
    m->order[seq - 1] = (struct model_place){.channel = channel, .offset = offset};
    m->channels[channel].events[offset - 1].seq = seq;
    w->counts.events++;
}

void model_free(struct model *m)
{
    for (unsigned i = 0; i < CHANNELS; i++) {
        free(m->channels[i].events);
    }
    free(m->order);
    free(m->keys);
    free(m->batch);
    free(m->expected);
    free(m->later);
}

/* ---- publish ---- */

static const struct model_key *key_seen(const struct world *w, const uint8_t hash[16])
{
    const struct model *m = &w->model;
    int64_t window = w->plan.wide ? 120000 : 30000;
    for (size_t i = m->state.keys_n; i-- > 0 && m->keys[i].time_ms > m->state.now_ms - window;) {
        if (memcmp(m->keys[i].hash, hash, 16) == 0) {
            return &m->keys[i];
        }
    }
    return NULL;
}

static void key_add(struct model *m, const uint8_t hash[16], uint64_t offset)
{
    if (m->state.keys_n == m->keys_cap) {
        m->keys_cap = m->keys_cap ? m->keys_cap * 2 : 64;
        m->keys = xrealloc(m->keys, m->keys_cap * sizeof *m->keys);
    }
    struct model_key *key = &m->keys[m->state.keys_n++];
    *key = (struct model_key){.offset = offset, .time_ms = m->state.now_ms};
    memcpy(key->hash, hash, 16);
}

static void expect_publish(struct world *w, const struct tray *tray, const struct command *command,
                           uint64_t expected_last, struct expected *out)
{
    struct model *m = &w->model;
    struct event event;
    event_frame_event(tray->in.p, &command->frame, &event);
    event.time_ms = m->state.now_ms;
    unsigned channel = (unsigned)channel_of(event.channel);
    const struct model_key *key =
        command->flags & COMMAND_KEYED ? key_seen(w, command->key_hash) : NULL;
    out->judged = true;
    if (key) {
        out->repeated = true;
        out->offset = key->offset;
        return;
    }
    if ((command->flags & COMMAND_EXPECT) && expected_last != m->state.last[channel]) {
        out->rc = HUB_CONFLICT;
        out->offset = m->state.last[channel];
        return;
    }
    model_event_add(w, channel, &event);
    out->offset = m->state.last[channel];
    if (command->flags & COMMAND_KEYED) {
        key_add(m, command->key_hash, out->offset);
    }
}

/* ---- presence ---- */

static void presence_event(struct world *w, enum event_kind kind, unsigned channel, unsigned member,
                           uint32_t info)
{
    struct buf id = {0}, data = {0};
    buf_printf(&id, "m%u", member);
    buf_printf(&data, "{\"i\":%u}", (unsigned)info);
    struct event event = {.kind = kind,
                          .channel = channel_name(channel),
                          .name = buf_slice(&id),
                          .data = buf_slice(&data),
                          .time_ms = w->model.state.now_ms};
    model_event_add(w, channel, &event);
    buf_done(&id);
    buf_done(&data);
}

static bool has_connection(const struct model_member *member, uint64_t connection, uint32_t *out_at)
{
    for (*out_at = 0; *out_at < member->connections_n; ++*out_at) {
        if (member->connections[*out_at] == connection) {
            return true;
        }
    }
    return false;
}

struct presence_ask {
    enum presence_change change;
    unsigned channel, member;
    uint32_t info;
    uint64_t connection;
};

static struct presence_ask presence_read(const struct tray *tray, const struct command *command)
{
    struct unpack u = unpack_of(tray_slice(tray, TRAY_IN, command->body_at, command->body_n));
    struct presence_ask ask = {.change = (enum presence_change)unpack_u8(&u)};
    (void)unpack_u32(&u);
    ask.channel = (unsigned)channel_of(unpack_slice(&u));
    ask.member = (unsigned)(unpack_slice(&u).p[1] - '0');
    ask.info = (uint32_t)(unpack_slice(&u).p[5] - '0');
    ask.connection = unpack_u64(&u);
    return ask;
}

static void expect_leave(struct world *w, const struct presence_ask *ask,
                         struct model_member *member, uint32_t at)
{
    struct model_state *s = &w->model.state;
    member->connections[at] = member->connections[--member->connections_n];
    if (member->connections_n) {
        return;
    }
    uint32_t grace = w->model.grace_ms[ask->channel - AT_PRESENCE];
    if (grace) {
        member->grace_due_ms = s->now_ms + grace;
        member->grace_order = ++s->grace_orders;
    } else {
        member->in = false;
        presence_event(w, EVENT_LEFT, ask->channel, ask->member, member->info);
    }
}

static void expect_presence(struct world *w, const struct tray *tray, const struct command *command,
                            struct expected *out)
{
    struct presence_ask ask = presence_read(tray, command);
    struct model_member *member = &w->model.state.members[ask.channel - AT_PRESENCE][ask.member];
    uint32_t at;
    out->judged = true;
    if (ask.change == PRESENCE_JOIN) {
        bool was_in = member->in, changed = member->info != ask.info;
        if (!was_in) {
            *member = (struct model_member){.in = true};
        }
        if (!has_connection(member, ask.connection, &at)) {
            member->connections[member->connections_n++] = ask.connection;
        }
        member->info = ask.info;
        member->grace_due_ms = 0;
        if (!was_in || changed) {
            presence_event(w, was_in ? EVENT_UPDATED : EVENT_JOINED, ask.channel, ask.member,
                           ask.info);
        }
        return;
    }
    if (!member->in || !has_connection(member, ask.connection, &at)) {
        out->rc = HUB_NOT_FOUND;
    } else if (ask.change == PRESENCE_UPDATE) {
        member->info = ask.info;
        presence_event(w, EVENT_UPDATED, ask.channel, ask.member, ask.info);
    } else {
        expect_leave(w, &ask, member, at);
    }
}

/* Graces run out in order of their time, then of their making. */
static bool grace_next(struct world *w, unsigned *out_channel, unsigned *out_member)
{
    struct model_state *s = &w->model.state;
    const struct model_member *first = NULL;
    for (unsigned c = 0; c < AT_LIVE - AT_PRESENCE; c++) {
        for (unsigned i = 0; i < MEMBERS; i++) {
            const struct model_member *m = &s->members[c][i];
            if (m->in && m->grace_due_ms && m->grace_due_ms <= s->now_ms &&
                (!first || m->grace_due_ms < first->grace_due_ms ||
                 (m->grace_due_ms == first->grace_due_ms && m->grace_order < first->grace_order))) {
                first = m;
                *out_channel = AT_PRESENCE + c;
                *out_member = i;
            }
        }
    }
    return first != NULL;
}

static void expect_timers(struct world *w)
{
    unsigned channel, member;
    while (grace_next(w, &channel, &member)) {
        struct model_member *m = &w->model.state.members[channel - AT_PRESENCE][member];
        m->in = false;
        m->grace_due_ms = 0;
        presence_event(w, EVENT_LEFT, channel, member, m->info);
    }
}

/* ---- options of namespaces ---- */

static unsigned space_of(struct slice ns)
{
    unsigned i = 0;
    while (!slice_is(ns, space_names[i])) {
        i++;
    }
    return i;
}

static void namespace_event(struct world *w, struct slice ns,
                            const struct namespace_options *options)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "namespace");
    json_text(&o, ns);
    if (options) {
        json_key(&o, "options");
        namespace_options_json(options, &o);
    }
    json_key(&o, "by");
    json_str(&o, "boss");
    json_key(&o, "at");
    json_time(&o, w->model.state.now_ms);
    json_end(&o, '}');
    struct event event = {.kind = EVENT_MESSAGE,
                          .channel = channel_name(AT_TOLD),
                          .name = slice_str(options ? "namespace_set" : "namespace_reset"),
                          .data = buf_slice(&data),
                          .time_ms = w->model.state.now_ms};
    model_event_add(w, AT_TOLD, &event);
    buf_done(&data);
}

static void expect_namespace(struct world *w, const struct tray *tray,
                             const struct command *command, struct expected *out)
{
    struct unpack u = unpack_of(tray_slice(tray, TRAY_IN, command->body_at, command->body_n));
    (void)why_get(&u);
    struct slice ns = unpack_slice(&u), row = slice_of(u.p, (size_t)(u.end - u.p));
    bool *set = &w->model.state.space_set[space_of(ns)];
    struct namespace_options options;
    out->judged = true;
    if (!row.n && !*set) {
        out->rc = HUB_NOT_FOUND;
        return;
    }
    SIM_CHECK(w, !row.n || namespace_unpack(row, &options), "options cannot be read");
    *set = row.n > 0;
    namespace_event(w, ns, row.n ? &options : NULL);
}

/* ---- a batch ---- */

void model_pushed(struct world *w, struct tray *tray)
{
    struct model *m = &w->model;
    (void)w;
    if (m->batch_n == m->batch_cap) {
        m->batch_cap = m->batch_cap ? m->batch_cap * 2 : 64;
        m->batch = xrealloc(m->batch, m->batch_cap * sizeof(struct tray *));
    }
    m->batch[m->batch_n++] = tray;
}

static struct expected *expected_new(struct model *m)
{
    if (m->expected_n == m->expected_cap) {
        m->expected_cap = m->expected_cap ? m->expected_cap * 2 : 256;
        m->expected = xrealloc(m->expected, m->expected_cap * sizeof *m->expected);
    }
    m->expected[m->expected_n] = (struct expected){.rc = HUB_OK};
    return &m->expected[m->expected_n++];
}

static void graces_read(struct world *w)
{
    for (unsigned i = AT_PRESENCE; i < AT_LIVE; i++) {
        w->model.grace_ms[i - AT_PRESENCE] =
            book_options(writer_book(w->hub.writer), APP, channel_name(i))->presence_grace_ms;
    }
}

void model_undo(struct world *w)
{
    w->model.state = w->model.before;
    w->model.expected_n = 0;
}

static void leave_later(struct model *m, const struct tray *tray, const struct command *command)
{
    struct presence_ask ask = presence_read(tray, command);
    if (ask.change != PRESENCE_LEAVE) {
        return;
    }
    if (m->later_n == m->later_cap) {
        m->later_cap = m->later_cap ? m->later_cap * 2 : 16;
        m->later = xrealloc(m->later, m->later_cap * sizeof *m->later);
    }
    m->later[m->later_n++] = (struct model_leave){
        .channel = ask.channel, .member = ask.member, .connection = ask.connection};
}

static void expect_later(struct world *w)
{
    struct model *m = &w->model;
    for (size_t i = 0; i < m->later_n; i++) {
        struct presence_ask ask = {.channel = m->later[i].channel,
                                   .member = m->later[i].member,
                                   .connection = m->later[i].connection};
        struct model_member *member = &m->state.members[ask.channel - AT_PRESENCE][ask.member];
        uint32_t at;
        if (member->in && has_connection(member, ask.connection, &at)) {
            expect_leave(w, &ask, member, at);
        }
    }
}

void model_done(struct world *w)
{
    struct model *m = &w->model;
    m->before = m->state;
    m->batch_n = 0;
    m->expected_n = 0;
    if (!m->full) {
        m->later_n = 0;
    }
}

/* A publish's `expect` is overwritten by its answer, so it is kept from the first time on. */
void model_expect(struct world *w, bool full)
{
    struct model *m = &w->model;
    size_t nth = 0;
    struct expected *before = NULL;
    m->full = full;
    if (full) {
        size_t n = m->expected_n;
        before = xmalloc((n + 1) * sizeof *before);
        memcpy(before, m->expected, n * sizeof *before);
        model_undo(w);
    } else {
        m->before = m->state;
        m->expected_n = 0;
        graces_read(w);
    }
    m->state.now_ms = w->now_ms > m->state.now_ms ? w->now_ms : m->state.now_ms;
    if (!full) {
        expect_later(w);
    }
    for (size_t t = 0; t < m->batch_n; t++) {
        const struct tray *tray = m->batch[t];
        m->state.now_ms = tray->now_ms > m->state.now_ms ? tray->now_ms : m->state.now_ms;
        for (uint32_t i = 0; i < tray->commands_n; i++, nth++) {
            const struct command *command = &tray->commands[i];
            struct expected *e = expected_new(m);
            e->asked = full ? before[nth].asked : command->offset;
            if (full && command->rc == HUB_STORE_FULL) {
                if (command->kind == &command_presence) {
                    leave_later(m, tray, command);
                }
            } else if (command->kind == &command_publish) {
                expect_publish(w, tray, command, e->asked, e);
            } else if (command->kind == &command_presence) {
                expect_presence(w, tray, command, e);
            } else if (command->kind == &command_namespace) {
                expect_namespace(w, tray, command, e);
            }
        }
    }
    free(before);
    if (!full) {
        expect_timers(w);
    }
}

/* ---- after a restart ---- */

struct member_walk {
    struct world *w;
    unsigned channel;
};

static bool member_found(void *ctx, const struct presence_view *view)
{
    struct member_walk *walk = ctx;
    struct world *w = walk->w;
    struct model_state *s = &w->model.state;
    unsigned i = (unsigned)(view->id.p[1] - '0');
    struct model_member *m = &s->members[walk->channel - AT_PRESENCE][i];
    SIM_CHECK(w, m->in, "m%u is in %s after the restart, but had left", i,
              channel_names[walk->channel]);
    SIM_CHECK(w, view->connections == 0, "m%u has %u connections after a restart", i,
              (unsigned)view->connections);
    SIM_CHECK(w, m->info == (uint32_t)(view->info.p[5] - '0'), "m%u says %.*s after the restart", i,
              (int)view->info.n, (const char *)view->info.p);
    uint32_t own = w->model.grace_ms[walk->channel - AT_PRESENCE];
    int64_t due = w->hub.started_ms + (own > 5000 ? own : 5000);
    m->connections_n = 0;
    m->grace_due_ms = m->grace_due_ms > due ? m->grace_due_ms : due;
    m->grace_order = ++s->grace_orders;
    m->found = true;
    return true;
}

/* Every member is in grace now; their order within a millisecond is that of their rows. */
static void members_restarted(struct world *w)
{
    uint64_t numbers[CHANNELS] = {0};
    struct store_view *view;
    SIM_CHECK(w, store_snapshot(w->reader, &view) == STORE_OK, "no snapshot");
    graces_read(w);
    for (uint64_t after = 0;;) {
        struct log_channel channel;
        if (log_channel_next(view, after, false, &channel) != STORE_OK) {
            break;
        }
        after = channel.channel;
        int c = channel_of(channel.name);
        if (c >= AT_PRESENCE && c < AT_LIVE) {
            struct member_walk walk = {.w = w, .channel = (unsigned)c};
            numbers[c] = after;
            SIM_CHECK(
                w, presence_list(view, after, slice_of(NULL, 0), member_found, &walk) == STORE_OK,
                "members");
        }
    }
    for (unsigned c = AT_PRESENCE; c < AT_LIVE; c++) {
        unsigned n = 0;
        for (unsigned i = 0; i < MEMBERS; i++) {
            struct model_member *m = &w->model.state.members[c - AT_PRESENCE][i];
            SIM_CHECK(w, m->in == m->found, "m%u was in %s, but is not after the restart", i,
                      channel_names[c]);
            n += m->in;
            m->found = false;
        }
        SIM_CHECK(w, !numbers[c] || presence_count(view, numbers[c]) == n,
                  "%s counts %llu members, not %u", channel_names[c],
                  (unsigned long long)presence_count(view, numbers[c]), n);
    }
    store_release(w->reader);
}

void model_restarted(struct world *w)
{
    struct model *m = &w->model;
    w->adopting = true;
    if (!check_survived(w)) {
        model_undo(w);
    }
    w->adopting = false;
    m->full = false;
    model_done(w);
    m->state.now_ms = w->hub.started_ms;
    m->full_until_ms = 0;
    agents_restarted(w);
    members_restarted(w);
}

/* What must hold after each batch, after each crash, and when everything has come to rest. */
#include "tests/sim/sim.h"
#include "store/hash.h"

#include <stdlib.h>

/* ---- the journal's new records against what was expected ---- */

struct journal_walk {
    struct world *w;
    struct store_view *view;
    uint64_t reached[CHANNELS]; /* offsets confirmed */
    uint64_t confirmed;         /* events of ours */
};

static unsigned channel_of_record(struct journal_walk *walk, const struct log_record *record)
{
    struct log_channel channel;
    struct world *w = walk->w;
    SIM_CHECK(w, log_channel_get(walk->view, record->channel, &channel) == STORE_OK,
              "channel %llu has no row", (unsigned long long)record->channel);
    int c = channel_of(channel.name);
    SIM_CHECK(w, c >= 0, "the log has a channel %.*s", (int)channel.name.n,
              (const char *)channel.name.p);
    return (unsigned)c;
}

static void event_of_record(struct world *w, unsigned channel, const struct log_record *record,
                            struct event *out)
{
    SIM_CHECK(w, event_unpack(record->payload, out), "%s %llu cannot be read",
              channel_names[channel], (unsigned long long)record->offset);
    out->channel = channel_name(channel);
    out->time_ms = record->time_ms;
}

static bool new_record(void *ctx, const struct log_record *record)
{
    struct journal_walk *walk = ctx;
    struct world *w = walk->w;
    struct event event;
    unsigned c = channel_of_record(walk, record);
    event_of_record(w, c, record, &event);
    if (c >= AT_AGENTS) {
        model_event_add(w, c, &event);
        agents_committed(w, &event, c);
    } else {
        walk->confirmed++;
    }
    SIM_CHECK(w, record->offset == walk->reached[c] + 1, "%s %llu follows %llu in the journal",
              channel_names[c], (unsigned long long)record->offset,
              (unsigned long long)walk->reached[c]);
    const struct model_event *e = model_event_at(w, c, record->offset);
    SIM_CHECK(w, e, "%s %llu was not expected: kind %d, %.*s", channel_names[c],
              (unsigned long long)record->offset, (int)event.kind, (int)event.name.n,
              (const char *)event.name.p);
    SIM_CHECK(w, e->hash == event_hash(&event, record->offset),
              "%s %llu is another event than expected", channel_names[c],
              (unsigned long long)record->offset);
    walk->reached[c] = record->offset;
    model_place_seq(w, record->seq, c, record->offset);
    return true;
}

static uint64_t read_new(struct world *w)
{
    struct journal_walk walk = {.w = w};
    uint64_t first, next, from = w->model.state.seq + 1;
    memcpy(walk.reached, w->model.before.last, sizeof walk.reached);
    SIM_CHECK(w, store_snapshot(w->reader, &walk.view) == STORE_OK, "no snapshot");
    enum store_rc rc =
        log_read_journal(walk.view, from, SIZE_MAX, new_record, &walk, &first, &next);
    SIM_CHECK(w, rc == STORE_OK && first == from, "the journal from %llu: %s, begins at %llu",
              (unsigned long long)from, store_rc_name(rc), (unsigned long long)first);
    store_release(w->reader);
    return walk.confirmed;
}

static uint64_t expected_events(const struct world *w)
{
    uint64_t n = 0;
    for (unsigned c = 0; c < AT_AGENTS; c++) {
        n += w->model.state.last[c] - w->model.before.last[c];
    }
    return n;
}

bool check_survived(struct world *w)
{
    uint64_t expected = expected_events(w), seq = w->model.state.seq;
    uint64_t found = read_new(w);
    SIM_CHECK(w, found == expected || w->model.state.seq == seq,
              "half a batch survived: %llu events of %llu", (unsigned long long)found,
              (unsigned long long)expected);
    return found == expected && (found || w->model.state.seq != seq);
}

/* ---- a batch ---- */

static void check_command(struct world *w, const struct command *command, const struct expected *e)
{
    bool publish = command->kind == &command_publish;
    if (!e->judged || command->rc == HUB_STORE_FULL) {
        SIM_CHECK(w, command->rc != HUB_STORE_FULL || w->model.full_until_ms > w->now_ms,
                  "%s was refused for a full store", command->kind->name);
        SIM_CHECK(w,
                  command->rc != HUB_INTERNAL && command->rc != HUB_STORE_DAMAGED &&
                      command->rc != HUB_BAD_REQUEST,
                  "%s: %s", command->kind->name, hub_error((enum hub_rc)command->rc)->code);
        return;
    }
    SIM_CHECK(w, command->rc == e->rc, "%s: %s, expected %s", command->kind->name,
              hub_error((enum hub_rc)command->rc)->code, hub_error(e->rc)->code);
    if (publish) {
        SIM_CHECK(w, command->offset == e->offset, "a publish was answered %llu, expected %llu",
                  (unsigned long long)command->offset, (unsigned long long)e->offset);
        SIM_CHECK(w, !!(command->flags & COMMAND_REPLAYED) == e->repeated,
                  "a repeated key was %sseen", e->repeated ? "not " : "");
    }
}

void check_step(struct world *w)
{
    struct model *m = &w->model;
    struct writer_stats stats;
    size_t nth = 0;
    writer_stats(w->hub.writer, &stats);
    if (stats.full) {
        SIM_CHECK(w, m->full_until_ms > w->now_ms, "the store is full, it says");
        model_expect(w, true);
    }
    for (size_t t = 0; t < m->batch_n; t++) {
        for (uint32_t i = 0; i < m->batch[t]->commands_n; i++) {
            check_command(w, &m->batch[t]->commands[i], &m->expected[nth++]);
        }
    }
    agents_batch_seen(w);
    uint64_t expected = expected_events(w), found = read_new(w);
    SIM_CHECK(w, found == expected, "%llu events were committed, not %llu",
              (unsigned long long)found, (unsigned long long)expected);
    agents_check(w);
    model_done(w);
    SIM_CHECK(w, stats.later >= m->later_n, "%llu commands are kept for later, not %zu",
              (unsigned long long)stats.later, m->later_n);
}

/* ---- the log ---- */

static enum store_rc span_of(struct world *w, unsigned channel, struct replay_span *out)
{
    struct slice name = channel_name(channel);
    return replay_span(w->hub.log, w->reader, APP, name,
                       book_options(writer_book(w->hub.writer), APP, name), w->now_ms, out);
}

void check_first(struct world *w, unsigned channel)
{
    struct replay_span span;
    SIM_CHECK(w, span_of(w, channel, &span) == STORE_OK, "%s: no span", channel_names[channel]);
    store_release(w->reader);
    uint64_t first = span.channel ? span.head.first : 0;
    /* I/O threads may judge by options that the writer has replaced meanwhile. */
    for (unsigned i = 0; i < w->plan.threads; i++) {
        struct slice name = channel_name(channel);
        SIM_CHECK(w,
                  replay_span(w->hub.log, w->reader, APP, name,
                              io_options(&w->threads[i].io, APP, name), w->now_ms,
                              &span) == STORE_OK,
                  "%s: no span", channel_names[channel]);
        store_release(w->reader);
        first = span.channel && span.head.first > first ? span.head.first : first;
    }
    if (first > w->model.ever_first[channel]) {
        w->model.ever_first[channel] = first;
    }
}

struct channel_walk {
    struct world *w;
    unsigned channel;
    uint64_t next;
};

static bool kept_record(void *ctx, const struct log_record *record)
{
    struct channel_walk *walk = ctx;
    struct world *w = walk->w;
    struct event event;
    event_of_record(w, walk->channel, record, &event);
    const struct model_event *e = model_event_at(w, walk->channel, record->offset);
    SIM_CHECK(w, record->offset == walk->next, "%s: %llu stands where %llu should",
              channel_names[walk->channel], (unsigned long long)record->offset,
              (unsigned long long)walk->next);
    SIM_CHECK(w, e && e->hash == event_hash(&event, record->offset), "%s %llu has changed",
              channel_names[walk->channel], (unsigned long long)record->offset);
    walk->next++;
    return true;
}

static void on_fault(void *ctx, uint64_t channel, uint64_t first, uint64_t last, const char *what)
{
    struct world *w = ctx;
    sim_fail(w, "log_verify: channel %llu, %llu to %llu: %s", (unsigned long long)channel,
             (unsigned long long)first, (unsigned long long)last, what);
}

void check_log(struct world *w)
{
    for (unsigned c = 0; c < CHANNELS; c++) {
        struct replay_span span;
        const struct namespace_options all = {0};
        SIM_CHECK(w,
                  replay_span(w->hub.log, w->reader, APP, channel_name(c), &all, w->now_ms,
                              &span) == STORE_OK,
                  "%s: no span", channel_names[c]);
        uint64_t last = w->model.state.last[c], next;
        SIM_CHECK(w, span.head.last == last, "%s ends at %llu, not at %llu", channel_names[c],
                  (unsigned long long)span.head.last, (unsigned long long)last);
        struct channel_walk walk = {.w = w, .channel = c, .next = span.head.first};
        if (span.head.first <= last) {
            enum store_rc rc = log_read(span.view, &span.head, span.head.first, SIZE_MAX,
                                        kept_record, &walk, &next);
            SIM_CHECK(w, rc == STORE_OK && next == last + 1, "%s: %s at %llu", channel_names[c],
                      store_rc_name(rc), (unsigned long long)next);
        }
        store_release(w->reader);
        const struct namespace_options *o =
            book_options(writer_book(w->hub.writer), APP, channel_name(c));
        bool may_trim = o->history.bytes_max || o->history.age_ms_max || o->history.events_max;
        SIM_CHECK(w, span.head.first <= 1 || may_trim, "%s was trimmed to %llu without a limit",
                  channel_names[c], (unsigned long long)span.head.first);
    }
    struct log_audit audit;
    SIM_CHECK(w, log_verify(w->hub.store, on_fault, w, &audit) == STORE_OK,
              "log_verify found a fault");
}

/* ---- presence ---- */

struct presence_walk {
    struct world *w;
    unsigned channel, n;
};

static bool member_stands(void *ctx, const struct presence_view *view)
{
    struct presence_walk *walk = ctx;
    struct world *w = walk->w;
    unsigned i = (unsigned)(view->id.p[1] - '0');
    unsigned connected = 0;
    for (unsigned n = 0; n < w->plan.clients; n++) {
        const struct client *c = &w->clients[n];
        connected += c->up && c->member == i && c->views[walk->channel].member &&
                     c->views[walk->channel].subscribed;
    }
    SIM_CHECK(w, connected && view->connections == connected,
              "m%u has %u connections in %s; %u are open", i, (unsigned)view->connections,
              channel_names[walk->channel], connected);
    walk->n++;
    return true;
}

/* After all graces: who is connected is there, and nobody else. */
void check_presence(struct world *w)
{
    for (unsigned c = AT_PRESENCE; c < AT_LIVE; c++) {
        struct presence_walk walk = {.w = w, .channel = c};
        struct replay_span span;
        SIM_CHECK(w, span_of(w, c, &span) == STORE_OK, "no span");
        if (span.channel) {
            (void)presence_list(span.view, span.channel, slice_of(NULL, 0), member_stands, &walk);
        }
        store_release(w->reader);
        unsigned members = 0;
        for (unsigned i = 0; i < MEMBERS; i++) {
            bool there = false;
            for (unsigned n = 0; n < w->plan.clients; n++) {
                const struct client *cl = &w->clients[n];
                there = there || (cl->up && cl->member == i && cl->views[c].member &&
                                  cl->views[c].subscribed);
            }
            members += there;
        }
        SIM_CHECK(w, members == walk.n, "%s has %u members, %u are connected", channel_names[c],
                  walk.n, members);
    }
}

/* ---- rest ---- */

static bool is_gone(const struct world *w, const struct client *c, unsigned channel,
                    uint64_t offset)
{
    const struct model_event *e = model_event_at(w, channel, offset);
    return model_excludes(e, c) || (e->ttl_s && e->time_ms + (int64_t)e->ttl_s * 1000 <= w->now_ms);
}

static void check_client(struct world *w, const struct client *c)
{
    SIM_CHECK(w, c->stream.n == 0, "client %u: half a frame at the end", c->n);
    for (unsigned ch = 0; ch < CHANNELS; ch++) {
        const struct channel_view *view = &c->views[ch];
        if (!view->settled || !view->placed) {
            continue;
        }
        for (uint64_t o = view->next; o <= w->model.state.last[ch]; o++) {
            SIM_CHECK(w, is_gone(w, c, ch, o), "client %u never got %s %llu", c->n,
                      channel_names[ch], (unsigned long long)o);
        }
    }
}

static void check_pools(struct world *w)
{
    for (unsigned i = 0; i < w->plan.threads; i++) {
        struct tray_pool *pool = &w->threads[i].io.pool;
        tray_pool_collect(pool);
        SIM_CHECK(w, pool->idle_n == pool->count, "thread %u: %u trays of %u are home", i,
                  pool->idle_n, pool->count);
    }
    struct writer_stats stats;
    world_step(w);
    world_step(w);
    writer_stats(w->hub.writer, &stats);
}

void check_end(struct world *w)
{
    for (unsigned n = 0; n < w->plan.clients; n++) {
        if (w->clients[n].up) {
            check_client(w, &w->clients[n]);
        }
    }
    check_pools(w);
    check_log(w);
}

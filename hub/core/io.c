#include "hub/core/io.h"

#include <assert.h>
#include <stdlib.h>

static struct signing *signing_now(struct hub *hub)
{
    return atomic_load(&hub->signing);
}

static void rules_load(struct io *io)
{
    struct store_view *view;
    if (store_snapshot(io->reader, &view) != STORE_OK) {
        return; /* the next turn tries again: the counts were not moved on */
    }
    struct apps *apps = NULL;
    struct revocations *revocations = NULL;
    if (apps_load(view, io->hub->secret, &apps) == STORE_OK &&
        revocations_load(view, &revocations) == STORE_OK) {
        struct admission_rules rules = {.secret = io->hub->secret,
                                        .signing = signing_now(io->hub),
                                        .apps = apps,
                                        .revocations = revocations};
        admission_rules(io->admission, &rules);
        apps_unref(io->apps);
        revocations_unref(io->revocations);
        io->apps = apps;
        io->revocations = revocations;
        io->signing = signing_now(io->hub);
    } else {
        apps_unref(apps);
    }
    store_release(io->reader);
}

static void namespaces_take(struct io *io)
{
    uint64_t generation;
    const struct namespaces *set = writer_namespaces(io->hub->writer, &generation);
    if (set != io->namespaces || generation != io->namespaces_generation) {
        io->namespaces = set;
        io->namespaces_generation = generation;
        writer_namespaces_seen(io->hub->writer, io->index, generation);
    }
}

enum hub_rc io_init(struct io *io, struct hub *hub, unsigned index, void (*draw)(void *, size_t),
                    topics_deliver_fn *deliver, topics_behind_fn *behind, void *ctx)
{
    *io = (struct io){.index = index, .hub = hub, .draw = draw};
    io->settings = atomic_load(&hub->settings);
    enum store_rc rc = store_reader_new(hub->store, &io->reader);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    uint8_t seed[ADMISSION_SEED_BYTES];
    draw(seed, sizeof seed);
    io->admission = admission_new(seed, ADMISSION_PLACES_DEFAULT);
    io->topics = topics_new(hub->interest, index, deliver, behind, ctx);
    tray_pool_init(&io->pool, IO_POOL_TRAYS, index);
    io->inbox = ring_new((size_t)(hub->threads_n + 1) * IO_POOL_TRAYS);
    io->auth_changes = writer_change_count(hub->writer, CHANGE_AUTH);
    io->app_changes = writer_change_count(hub->writer, CHANGE_APPS);
    io->signing_changes = atomic_load(&hub->signing_changes);
    namespaces_take(io);
    rules_load(io);
    return io->apps ? HUB_OK : HUB_INTERNAL;
}

void io_done(struct io *io)
{
    topics_free(io->topics);
    admission_free(io->admission);
    apps_unref(io->apps);
    revocations_unref(io->revocations);
    store_reader_free(io->reader);
    tray_pool_done(&io->pool);
    ring_free(io->inbox);
    buf_done(&io->body);
}

/* 48 bits: a start's milliseconds times 128, and on from there. A run would have to accept 128
 * connections for each millisecond of its life to reach the numbers of the next. */
uint64_t io_connection_id(struct io *io)
{
    uint64_t number = ((uint64_t)io->hub->started_ms << 7) + ++io->connections_made;
    return (uint64_t)(io->index + 1) << 48 | (number & ((UINT64_C(1) << 48) - 1));
}

static void rules_take(struct io *io)
{
    uint64_t auth = writer_change_count(io->hub->writer, CHANGE_AUTH);
    uint64_t apps = writer_change_count(io->hub->writer, CHANGE_APPS);
    uint64_t signing = atomic_load(&io->hub->signing_changes);
    if (auth == io->auth_changes && apps == io->app_changes && signing == io->signing_changes) {
        return;
    }
    io->auth_changes = auth;
    io->app_changes = apps;
    io->signing_changes = signing;
    rules_load(io);
    io->rules_moved = true;
}

void io_take_changes(struct io *io)
{
    namespaces_take(io);
    rules_take(io);
}

bool io_turn(struct io *io, int64_t now_ms, uint64_t now_us)
{
    io->now_ms = now_ms > io->now_ms ? now_ms : io->now_ms; /* the clock is led by one thread */
    io->now_us = now_us;
    io->settings = atomic_load_explicit(&io->hub->settings, memory_order_acquire);
    tray_pool_collect(&io->pool);
    tray_pool_slim(&io->pool, io->now_ms);
    io_take_changes(io);
    bool moved = io->rules_moved;
    io->rules_moved = false;
    return moved;
}

/* ---- trays ---- */

static struct tray *begun(struct io *io, struct tray **tray)
{
    if (!*tray) {
        *tray = tray_take(&io->pool);
        if (!*tray) {
            io_count(&io->counters.starved, 1);
            return NULL;
        }
        (*tray)->now_ms = io->now_ms;
    }
    return *tray;
}

/* One tray is kept back for live events and one for what must not fail (a member leaves). */
bool io_starved(const struct io *io)
{
    return io->pool.idle_n <= 2;
}

static void push_filled(struct io *io)
{
    struct tray *tray = io->filling;
    io->filling = NULL;
    io->at_writer++;
    writer_push(io->hub->writer, tray);
}

struct command *io_command(struct io *io, const struct command_kind *kind, uint32_t app,
                           struct return_address from, uint64_t ticket)
{
    if (io->filling && tray_is_full(io->filling)) {
        push_filled(io);
    }
    if (!begun(io, &io->filling)) {
        return NULL;
    }
    struct command *command = tray_command(io->filling);
    command->kind = kind;
    command->app = app;
    command->from = from;
    command->ticket = ticket;
    return command;
}

void io_seed(struct io *io, uint8_t out[SEED_BYTES])
{
    if (io->seeds_n == 0) {
        io->draw(io->seeds, sizeof io->seeds);
        io->seeds_n = IO_SEEDS_DRAWN;
    }
    memcpy(out, io->seeds[--io->seeds_n], SEED_BYTES);
}

struct buf *io_body(struct io *io)
{
    if (io->body.cap > TRAY_BYTES_KEPT) {
        buf_done(&io->body);
    }
    buf_clear(&io->body);
    return &io->body;
}

struct buf *io_arena(struct io *io)
{
    assert(io->filling);
    return &io->filling->in;
}

static void live_hand_over(struct io *io, void (*local)(void *ctx, const struct tray *tray),
                           void *ctx)
{
    struct tray *tray = io->live;
    io->live = NULL;
    uint64_t own = UINT64_C(1) << io->index;
    uint64_t others = tray->wanted & ~own;
    atomic_store_explicit(&tray->refs, (uint32_t)__builtin_popcountll(others) + 1,
                          memory_order_relaxed);
    for (uint64_t rest = others; rest; rest &= rest - 1) {
        unsigned thread = (unsigned)__builtin_ctzll(rest);
        bool pushed = ring_push(io->hub->ios[thread]->inbox, tray);
        assert(pushed); /* inboxes are as long as all pools together */
        (void)pushed;
    }
    local(ctx, tray);
}

bool io_may_hand_over(const struct io *io)
{
    return io->filling && io->at_writer < IO_AT_WRITER_MAX;
}

struct tray *io_arrived(struct io *io)
{
    struct tray *tray = ring_pop(io->inbox);
    if (tray && tray->answered && tray->origin == io->index) {
        io->at_writer--;
    }
    return tray;
}

void io_hand_over(struct io *io, void (*local)(void *ctx, const struct tray *tray), void *ctx)
{
    if (io_may_hand_over(io)) {
        push_filled(io);
    }
    if (io->live) {
        live_hand_over(io, local, ctx);
    }
}

void io_delivery(struct delivery *d, const struct tray *tray, const struct tray_event *event)
{
    const uint8_t *base = tray_base(tray, event->arena);
    const struct event_frame *f = &event->frame;
    *d = (struct delivery){.frame = slice_of(base + f->at, f->n),
                           .channel = slice_of(base + f->channel.at, f->channel.n),
                           .channel_hash = event->channel_hash,
                           .app = event->app,
                           .offset = event->offset,
                           .seq = event->seq,
                           .exclude = f->exclude,
                           .index = DELIVERY_NOT_SHARED};
    if (f->conflate.n) {
        d->conflate =
            hash64(event->channel_hash, slice_of(base + f->conflate.at, f->conflate.n)) | 1;
    }
}

void io_let_go(struct io *io, struct tray *tray)
{
    (void)tray_release(tray, writer_home(io->hub->writer, tray->origin));
}

/* ---- publishing ---- */

const struct namespace_options *io_options(const struct io *io, uint32_t app, struct slice channel)
{
    return namespace_of(io->namespaces, app, channel_name_parse(channel).ns);
}

static enum hub_rc publish_live(struct io *io, const struct io_publish *p, uint64_t hash)
{
    uint64_t wanted = interest_of(io->hub->interest, hash);
    if (!wanted) {
        return HUB_OK;
    }
    if (!begun(io, &io->live)) {
        return HUB_UNAVAILABLE;
    }
    struct tray *tray = io->live;
    struct tray_event *event = tray_event(tray);
    event->app = p->app;
    event->arena = TRAY_IN;
    event->channel_hash = hash;
    event_frame_begin(&tray->in, &p->event, &event->frame);
    event_frame_finish(tray->in.p, &event->frame, 0);
    tray->wanted |= wanted;
    return HUB_OK;
}

void publish_key_hash(const struct io *io, uint32_t app, struct slice channel, struct slice key,
                      uint8_t out[16])
{
    uint64_t seed = io->hub->key_seed ^ hash64_named(io->hub->key_seed, app, channel);
    struct hash128 h = hash128(seed, key);
    be64_put(out, h.hi);
    be64_put(out + 8, h.lo);
}

static enum hub_rc publish_durable(struct io *io, const struct io_publish *p, uint64_t hash)
{
    struct command *command = io_command(io, &command_publish, p->app, p->from, p->ticket);
    if (!command) {
        return HUB_UNAVAILABLE;
    }
    struct buf *arena = io_arena(io);
    command->channel_hash = hash;
    command->flags = (uint16_t)((p->silent ? COMMAND_SILENT : 0) |
                                (p->expects ? COMMAND_EXPECT : 0) | (p->key.n ? COMMAND_KEYED : 0));
    command->offset = p->expect;
    if (p->key.n) {
        publish_key_hash(io, p->app, p->event.channel, p->key, command->key_hash);
    }
    command->id_at = (uint32_t)arena->n;
    command->id_n = (uint32_t)p->id.n;
    buf_add_slice(arena, p->id);
    event_frame_begin(arena, &p->event, &command->frame);
    return HUB_OK;
}

enum hub_rc io_publish(struct io *io, const struct io_publish *p, bool *out_live)
{
    uint64_t hash = io_channel_hash(io, p->app, p->event.channel);
    *out_live = p->options->delivery == NS_LIVE;
    return *out_live ? publish_live(io, p, hash) : publish_durable(io, p, hash);
}

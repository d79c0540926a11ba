/* References are 32-bit numbers in chunks of a cache line or two, handed round by the turn; copies
 * are a list, so that the oldest live event can be taken out of its midst. A partly sent copy is
 * never taken out. */
#define _GNU_SOURCE /* memmem */
#include "channels/outbox.h"

#include <assert.h>
#include <stdlib.h>

enum { CHUNK_ENTRIES = 13 };
/* Set in a reference that came through the pattern cursor. */
static const uint32_t VIA_PATTERN = UINT32_C(1) << 31;

struct outbox_chunk {
    struct outbox_chunk *next;
    uint8_t first, n; /* entries [first, n) are still to be sent */
    uint32_t sent;    /* bytes of the first that are gone */
    uint32_t entry[CHUNK_ENTRIES];
};

struct waiting {
    struct waiting *next, *prev;
    uint32_t n;
    bool live;
    uint64_t channel_hash, conflate;
    uint64_t offset; /* of a durable event that a subscription to its channel gets; 0: of none */
    uint64_t gap;    /* this is a gap frame for so many events */
    uint8_t bytes[];
};

/* ---- the turn ---- */

void turn_done(struct turn *turn)
{
    while (turn->idle) {
        struct outbox_chunk *chunk = turn->idle;
        turn->idle = chunk->next;
        free(chunk);
    }
    free(turn->entries);
    buf_done(&turn->arena);
}

void turn_end(struct turn *turn)
{
    turn->n = 0;
    buf_clear(&turn->arena);
}

static struct turn_entry *turn_add(struct turn *turn)
{
    if (turn->n == turn->cap) {
        turn->cap = turn->cap ? turn->cap * 2 : 256;
        turn->entries = xrealloc(turn->entries, turn->cap * sizeof *turn->entries);
    }
    return &turn->entries[turn->n++];
}

static const uint8_t *entry_bytes(const struct turn *turn, const struct turn_entry *entry)
{
    return entry->p ? entry->p : turn->arena.p + entry->at;
}

static struct outbox_chunk *chunk_new(struct turn *turn)
{
    struct outbox_chunk *chunk = turn->idle;
    if (chunk) {
        turn->idle = chunk->next;
    } else {
        chunk = xmalloc(sizeof *chunk);
    }
    chunk->next = NULL;
    chunk->first = chunk->n = 0;
    chunk->sent = 0;
    return chunk;
}

static void chunk_drop(struct outbox *box, struct turn *turn)
{
    struct outbox_chunk *chunk = box->first;
    box->first = chunk->next;
    if (!box->first) {
        box->last = NULL;
    }
    chunk->next = turn->idle;
    turn->idle = chunk;
}

static void add(struct outbox *box, struct turn *turn, uint32_t reference)
{
    if (!box->last || box->last->n == CHUNK_ENTRIES) {
        struct outbox_chunk *chunk = chunk_new(turn);
        if (box->last) {
            box->last->next = chunk;
        } else {
            box->first = chunk;
        }
        box->last = chunk;
    }
    box->last->entry[box->last->n++] = reference;
}

void outbox_share(struct outbox *box, struct turn *turn, struct delivery *delivery,
                  bool via_pattern)
{
    if (delivery->index == DELIVERY_NOT_SHARED) {
        delivery->index = turn->n;
        struct turn_entry *entry = turn_add(turn);
        *entry = (struct turn_entry){.p = delivery->frame.p,
                                     .n = (uint32_t)delivery->frame.n,
                                     .event = true,
                                     .event_of = *delivery};
    }
    add(box, turn, delivery->index | (via_pattern ? VIA_PATTERN : 0));
}

void outbox_own(struct outbox *box, struct turn *turn, struct slice bytes)
{
    if (bytes.n == 0) {
        return;
    }
    uint32_t index = turn->n;
    struct turn_entry *entry = turn_add(turn);
    *entry = (struct turn_entry){.at = (uint32_t)turn->arena.n, .n = (uint32_t)bytes.n};
    buf_add_slice(&turn->arena, bytes);
    add(box, turn, index);
}

/* ---- sending ---- */

static const struct turn_entry *entry_of(const struct turn *turn, uint32_t reference)
{
    return &turn->entries[reference & ~VIA_PATTERN];
}

size_t outbox_gather(const struct outbox *box, const struct turn *turn, uint8_t *out, size_t cap)
{
    size_t n = 0, skip = box->head_sent;
    for (const struct waiting *w = box->head; w && n < cap; w = w->next, skip = 0) {
        size_t part = w->n - skip < cap - n ? w->n - skip : cap - n;
        memcpy(out + n, w->bytes + skip, part);
        n += part;
    }
    for (const struct outbox_chunk *c = box->first; c && n < cap; c = c->next) {
        skip = c->sent;
        for (unsigned i = c->first; i < c->n && n < cap; i++, skip = 0) {
            const struct turn_entry *entry = entry_of(turn, c->entry[i]);
            size_t part = entry->n - skip < cap - n ? entry->n - skip : cap - n;
            memcpy(out + n, entry_bytes(turn, entry) + skip, part);
            n += part;
        }
    }
    return n;
}

struct slice outbox_peek(const struct outbox *box, const struct turn *turn, bool *out_last)
{
    if (box->head) {
        *out_last = !box->head->next && !box->first;
        return slice_of(box->head->bytes + box->head_sent, box->head->n - box->head_sent);
    }
    const struct outbox_chunk *c = box->first;
    if (!c) {
        *out_last = true;
        return slice_of(NULL, 0);
    }
    const struct turn_entry *entry = entry_of(turn, c->entry[c->first]);
    *out_last = c->first + 1 == c->n && !c->next;
    return slice_of(entry_bytes(turn, entry) + c->sent, entry->n - c->sent);
}

static void unlink_waiting(struct outbox *box, struct waiting *w)
{
    assert(!w->prev == (w == box->head));
    assert(!w->next == (w == box->tail));
    *(w->prev ? &w->prev->next : &box->head) = w->next;
    *(w->next ? &w->next->prev : &box->tail) = w->prev;
    box->waiting_bytes -= w->n;
    free(w);
}

void outbox_sent(struct outbox *box, struct turn *turn, size_t n)
{
    while (n && box->head) {
        size_t left = box->head->n - box->head_sent;
        if (n < left) {
            box->head_sent += (uint32_t)n;
            return;
        }
        n -= left;
        box->head_sent = 0;
        unlink_waiting(box, box->head);
    }
    while (n) {
        struct outbox_chunk *c = box->first;
        assert(c);
        size_t left = entry_of(turn, c->entry[c->first])->n - c->sent;
        if (n < left) {
            c->sent += (uint32_t)n;
            return;
        }
        n -= left;
        c->sent = 0;
        if (++c->first == c->n) {
            chunk_drop(box, turn);
        }
    }
}

/* ---- keeping ---- */

static struct waiting *waiting_new(struct slice bytes)
{
    assert(bytes.p); /* a frame has a head at least */
    struct waiting *w = xmalloc(sizeof *w + bytes.n);
    *w = (struct waiting){.n = (uint32_t)bytes.n};
    memcpy(w->bytes, bytes.p, bytes.n);
    return w;
}

static void append(struct outbox *box, struct waiting *w)
{
    w->prev = box->tail;
    w->next = NULL;
    *(box->tail ? &box->tail->next : &box->head) = w;
    box->tail = w;
    box->waiting_bytes += w->n;
}

static void replace(struct outbox *box, struct waiting *old, struct waiting *w)
{
    w->prev = old->prev;
    w->next = old->next;
    *(w->prev ? &w->prev->next : &box->head) = w;
    *(w->next ? &w->next->prev : &box->tail) = w;
    box->waiting_bytes += w->n;
    box->waiting_bytes -= old->n;
    free(old);
}

static bool untouched(const struct outbox *box, const struct waiting *w)
{
    return w != box->head || box->head_sent == 0;
}

/* Newer event with the same key: it takes the older one's place at the end of the queue. */
static bool conflate(struct outbox *box, const struct delivery *d)
{
    if (!d->conflate) {
        return false;
    }
    for (struct waiting *w = box->tail; w; w = w->prev) {
        if (w->conflate == d->conflate && untouched(box, w)) {
            unlink_waiting(box, w);
            return true;
        }
    }
    return false;
}

/* {"type":"gap",…,"reason":"dropped","count":n} (native-protocol.md section 3). */
static struct waiting *gap_new(struct slice channel, uint64_t channel_hash, uint64_t count)
{
    struct buf text = {0}, frame = {0};
    buf_add_str(&text, "{\"type\":\"gap\",\"channel\":\"");
    buf_add_slice(&text, channel);
    buf_printf(&text, "\",\"reason\":\"dropped\",\"count\":%llu}", (unsigned long long)count);
    frame.n = event_ws_head_put(buf_reserve(&frame, 10), text.n);
    buf_add_slice(&frame, buf_slice(&text));
    struct waiting *w = waiting_new(buf_slice(&frame));
    w->gap = count;
    w->channel_hash = channel_hash;
    buf_done(&text);
    buf_done(&frame);
    return w;
}

/* Our own frames name their channel between the first "channel":" and the next quote. */
static struct slice channel_in(const struct waiting *w)
{
    static const char before[] = "\"channel\":\"";
    const uint8_t *p = memmem(w->bytes, w->n, before, sizeof before - 1);
    if (!p) {
        return slice_of(NULL, 0);
    }
    p += sizeof before - 1;
    const uint8_t *end = memchr(p, '"', (size_t)(w->bytes + w->n - p));
    return end ? slice_of(p, (size_t)(end - p)) : slice_of(NULL, 0);
}

static struct waiting *gap_find(struct outbox *box, uint64_t channel_hash)
{
    for (struct waiting *w = box->head; w; w = w->next) {
        if (w->gap && w->channel_hash == channel_hash && untouched(box, w)) {
            return w;
        }
    }
    return NULL;
}

static void gap_count(struct outbox *box, struct waiting *at, struct slice channel,
                      uint64_t channel_hash)
{
    struct waiting *gap = gap_find(box, channel_hash);
    if (gap) {
        struct waiting *more = gap_new(channel_in(gap), channel_hash, gap->gap + 1);
        replace(box, gap, more);
    } else if (at) {
        replace(box, at, gap_new(channel, channel_hash, 1));
    } else {
        append(box, gap_new(channel, channel_hash, 1));
    }
}

/* Makes room for n bytes by dropping the oldest live events. False: there is nothing to drop. */
static bool drop_oldest(struct outbox *box, size_t n, size_t bytes_max,
                        struct outbox_losses *losses)
{
    while (box->waiting_bytes + n > bytes_max) {
        struct waiting *w = box->head;
        while (w && (!w->live || !untouched(box, w))) {
            w = w->next;
        }
        if (!w) {
            return false;
        }
        losses->dropped++;
        uint64_t hash = w->channel_hash;
        if (gap_find(box, hash)) {
            gap_count(box, NULL, slice_of(NULL, 0), hash);
            unlink_waiting(box, w);
        } else {
            gap_count(box, w, channel_in(w), hash);
        }
    }
    return true;
}

struct keeping {
    struct outbox *box;
    struct turn *turn;
    struct topics *topics;
    struct subscriber *who;
    size_t bytes_max;
    struct outbox_losses *losses;
};

static enum outbox_slow keep_live(const struct keeping *k, const struct delivery *d,
                                  struct slice bytes)
{
    if (conflate(k->box, d)) {
        k->losses->conflated++;
    }
    if (k->box->waiting_bytes + bytes.n > k->bytes_max) {
        if (d->topic && d->topic->slow == NS_SLOW_DISCONNECT) {
            return OUTBOX_DISCONNECT;
        }
        if (!drop_oldest(k->box, bytes.n, k->bytes_max, k->losses)) {
            k->losses->dropped++;
            gap_count(k->box, NULL, d->channel, d->channel_hash);
            return OUTBOX_KEPT;
        }
    }
    struct waiting *w = waiting_new(bytes);
    w->live = true;
    w->channel_hash = d->channel_hash;
    w->conflate = d->conflate;
    append(k->box, w);
    return OUTBOX_KEPT;
}

/* Takes back what waits of the same subscription: the log has it too, and a peer that does not read
 * holds no memory (native-protocol.md section 5). Only the run that ends before this event: what
 * stands before a hole came for an earlier subscription, and was promised with it. Returns the
 * first offset that is not kept. */
static uint64_t take_back(struct outbox *box, const struct delivery *d)
{
    uint64_t first = d->offset;
    for (struct waiting *w = box->tail, *prev; w; w = prev) {
        prev = w->prev;
        if (!w->offset || w->channel_hash != d->channel_hash) {
            continue;
        }
        if (w->offset + 1 != first || !untouched(box, w)) {
            break;
        }
        first = w->offset;
        unlink_waiting(box, w);
    }
    return first;
}

/* Falls behind, or finds that it did so with an event before this one. */
static void fall_behind(const struct keeping *k, const struct delivery *d, bool via_pattern)
{
    k->losses->fell_behind++;
    if (via_pattern) {
        patterns_fall_behind(k->topics, k->who, d->seq);
        return;
    }
    struct subscription *sub = topics_find(k->topics, k->who, d->channel_hash, d->channel);
    if (sub) {
        subscription_fall_behind(k->topics, sub, take_back(k->box, d));
    }
}

static bool is_behind(const struct keeping *k, const struct delivery *d, bool via_pattern)
{
    if (via_pattern) {
        return k->who->patterns_state != SUB_LIVE;
    }
    struct subscription *sub = topics_find(k->topics, k->who, d->channel_hash, d->channel);
    return !sub || sub->state != SUB_LIVE;
}

static enum outbox_slow keep_one(const struct keeping *k, uint32_t reference, uint32_t sent)
{
    const struct turn_entry *entry = entry_of(k->turn, reference);
    struct slice bytes = slice_of(entry_bytes(k->turn, entry) + sent, entry->n - sent);
    bool via_pattern = reference & VIA_PATTERN;
    const struct delivery *d = &entry->event_of;
    if (entry->event && sent == 0) {
        if (!d->offset) {
            return keep_live(k, d, bytes);
        }
        bool behind = is_behind(k, d, via_pattern);
        if (behind || k->box->waiting_bytes + bytes.n > k->bytes_max) {
            if (!behind) {
                fall_behind(k, d, via_pattern);
            }
            return OUTBOX_KEPT;
        }
    }
    struct waiting *w = waiting_new(bytes);
    if (entry->event && sent == 0 && !via_pattern) {
        w->offset = d->offset;
        w->channel_hash = d->channel_hash;
    }
    append(k->box, w);
    return OUTBOX_KEPT;
}

enum outbox_slow outbox_keep(struct outbox *box, struct turn *turn, struct topics *topics,
                             struct subscriber *who, size_t bytes_max, struct outbox_losses *losses)
{
    struct keeping k = {.box = box,
                        .turn = turn,
                        .topics = topics,
                        .who = who,
                        .bytes_max = bytes_max,
                        .losses = losses};
    enum outbox_slow verdict = OUTBOX_KEPT;
    while (box->first) {
        struct outbox_chunk *c = box->first;
        for (unsigned i = c->first; i < c->n && verdict == OUTBOX_KEPT; i++) {
            verdict = keep_one(&k, c->entry[i], i == c->first ? c->sent : 0);
        }
        chunk_drop(box, turn);
    }
    return verdict;
}

void outbox_clear(struct outbox *box, struct turn *turn)
{
    while (box->first) {
        chunk_drop(box, turn);
    }
    while (box->head) {
        box->head_sent = 0;
        unlink_waiting(box, box->head);
    }
}

/* A lane holds the tasks of one kind under one key of one level: a pairing heap by first-queued
 * time, as retries and those lifted from below come in the midst and may leave from anywhere. The
 * keys of a level with something to do stand in a ring. When a task is to be lifted stands in a
 * binary heap. */
#include "hub/tasks/queue.h"
#include "store/mem.h"

#include <assert.h>
#include <stdlib.h>

struct lane {
    struct lane *next;
    uint32_t kind;
    struct queue_item *root;
};

struct turn {
    uint64_t key;
    struct lane *lanes;
    struct turn *next, *before; /* ring */
    struct turn *chain;         /* of its bucket */
};

enum { BUCKETS = 1024 };

struct level {
    struct turn *first; /* whose turn it is */
    struct turn *buckets[BUCKETS];
    size_t n;
};

struct queue {
    int64_t aging_ms;
    struct level levels[QUEUE_LEVELS];
    size_t by_priority[QUEUE_LEVELS], n;
    struct queue_item **lifts; /* binary heap by lift_ms */
    size_t lifts_n, lifts_cap;
};

struct queue *queue_new(int64_t aging_ms)
{
    struct queue *q = xcalloc(1, sizeof *q);
    q->aging_ms = aging_ms;
    return q;
}

static void turn_free(struct turn *turn)
{
    for (struct lane *lane = turn->lanes, *next; lane; lane = next) {
        next = lane->next;
        free(lane);
    }
    free(turn);
}

void queue_free(struct queue *q)
{
    if (!q) {
        return;
    }
    for (unsigned i = 0; i < QUEUE_LEVELS; i++) {
        for (unsigned b = 0; b < BUCKETS; b++) {
            for (struct turn *turn = q->levels[i].buckets[b], *next; turn; turn = next) {
                next = turn->chain;
                turn_free(turn);
            }
        }
    }
    free(q->lifts);
    free(q);
}

/* ---- a lane: pairing heap ---- */

static bool goes_first(const struct queue_item *a, const struct queue_item *b)
{
    return a->queued_ms != b->queued_ms ? a->queued_ms < b->queued_ms : a->number < b->number;
}

static struct queue_item *meld(struct queue_item *a, struct queue_item *b)
{
    if (!a || !b) {
        return a ? a : b;
    }
    if (goes_first(b, a)) {
        struct queue_item *swap = a;
        a = b;
        b = swap;
    }
    b->before = a;
    b->next = a->child;
    if (a->child) {
        a->child->before = b;
    }
    a->child = b;
    return a;
}

/* The children of one that leaves, pair by pair, and the pairs from the last to the first. */
static struct queue_item *gather(struct queue_item *list)
{
    struct queue_item *pairs = NULL, *root = NULL;
    while (list) {
        struct queue_item *a = list, *b = a->next;
        list = b ? b->next : NULL;
        a->next = a->before = NULL;
        if (b) {
            b->next = b->before = NULL;
        }
        a = meld(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct queue_item *next = pairs->next;
        pairs->next = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

static struct queue_item *without(struct queue_item *root, struct queue_item *item)
{
    struct queue_item *rest = gather(item->child);
    if (item != root) {
        if (item->before->child == item) {
            item->before->child = item->next;
        } else {
            item->before->next = item->next;
        }
        if (item->next) {
            item->next->before = item->before;
        }
        rest = meld(root, rest);
    }
    item->child = item->next = item->before = NULL;
    return rest;
}

/* ---- levels and turns ---- */

static struct turn **turn_slot(struct level *level, uint64_t key)
{
    struct turn **slot = &level->buckets[(key ^ key >> 32) % BUCKETS];
    while (*slot && (*slot)->key != key) {
        slot = &(*slot)->chain;
    }
    return slot;
}

static struct turn *turn_of(struct level *level, uint64_t key)
{
    struct turn **slot = turn_slot(level, key);
    if (*slot) {
        return *slot;
    }
    struct turn *turn = xcalloc(1, sizeof *turn);
    turn->key = key;
    *slot = turn;
    if (level->first) { /* the newest key comes last */
        turn->next = level->first;
        turn->before = level->first->before;
        turn->before->next = turn->next->before = turn;
    } else {
        level->first = turn->next = turn->before = turn;
    }
    return turn;
}

static void turn_drop(struct level *level, struct turn *turn)
{
    struct turn **slot = turn_slot(level, turn->key);
    assert(*slot == turn);
    *slot = turn->chain;
    if (turn->next == turn) {
        level->first = NULL;
    } else {
        turn->next->before = turn->before;
        turn->before->next = turn->next;
        level->first = level->first == turn ? turn->next : level->first;
    }
    turn_free(turn);
}

static struct lane **lane_slot(struct turn *turn, uint32_t kind)
{
    struct lane **slot = &turn->lanes;
    while (*slot && (*slot)->kind != kind) {
        slot = &(*slot)->next;
    }
    return slot;
}

static void attach(struct queue *q, struct queue_item *item)
{
    struct level *level = &q->levels[item->level];
    struct lane **slot = lane_slot(turn_of(level, item->fairness), item->kind);
    if (!*slot) {
        *slot = xcalloc(1, sizeof **slot);
        (*slot)->kind = item->kind;
    }
    item->child = item->next = item->before = NULL;
    (*slot)->root = meld((*slot)->root, item);
    level->n++;
}

static void detach(struct queue *q, struct queue_item *item)
{
    struct level *level = &q->levels[item->level];
    struct turn *turn = *turn_slot(level, item->fairness);
    assert(turn);
    struct lane **slot = lane_slot(turn, item->kind), *lane = *slot;
    assert(lane);
    lane->root = without(lane->root, item);
    level->n--;
    if (!lane->root) {
        *slot = lane->next;
        free(lane);
    }
    if (!turn->lanes) {
        turn_drop(level, turn);
    }
}

/* ---- lifting ---- */

static void lift_place(struct queue *q, size_t at, struct queue_item *item)
{
    q->lifts[at] = item;
    item->lift_at = (uint32_t)at;
}

static void lift_sift(struct queue *q, size_t at)
{
    struct queue_item *item = q->lifts[at];
    for (; at > 0 && q->lifts[(at - 1) / 2]->lift_ms > item->lift_ms; at = (at - 1) / 2) {
        lift_place(q, at, q->lifts[(at - 1) / 2]);
    }
    for (size_t child; (child = 2 * at + 1) < q->lifts_n; at = child) {
        if (child + 1 < q->lifts_n && q->lifts[child + 1]->lift_ms < q->lifts[child]->lift_ms) {
            child++;
        }
        if (q->lifts[child]->lift_ms >= item->lift_ms) {
            break;
        }
        lift_place(q, at, q->lifts[child]);
    }
    lift_place(q, at, item);
}

static void lift_add(struct queue *q, struct queue_item *item)
{
    if (q->lifts_n == q->lifts_cap) {
        q->lifts_cap = q->lifts_cap ? q->lifts_cap * 2 : 256;
        q->lifts = xrealloc(q->lifts, q->lifts_cap * sizeof(struct queue_item *));
    }
    q->lifts[q->lifts_n++] = item;
    lift_sift(q, q->lifts_n - 1);
}

static void lift_drop(struct queue *q, struct queue_item *item)
{
    size_t at = item->lift_at;
    struct queue_item *last = q->lifts[--q->lifts_n];
    if (last != item) {
        lift_place(q, at, last);
        lift_sift(q, at);
    }
}

/* Level 0 is as high as it goes. */
static void lift_plan(struct queue *q, struct queue_item *item)
{
    if (item->level > 0) {
        item->lift_ms = item->queued_ms + (item->priority - item->level + 1) * q->aging_ms;
        lift_add(q, item);
    }
}

static void lift_due(struct queue *q, int64_t now_ms)
{
    while (q->lifts_n && q->lifts[0]->lift_ms <= now_ms) {
        struct queue_item *item = q->lifts[0];
        lift_drop(q, item);
        detach(q, item);
        item->level--;
        attach(q, item);
        lift_plan(q, item);
    }
}

/* ---- outside ---- */

void queue_add(struct queue *q, struct queue_item *item, int64_t now_ms)
{
    int64_t waited = now_ms > item->queued_ms ? (now_ms - item->queued_ms) / q->aging_ms : 0;
    item->level = waited >= item->priority ? 0 : (uint8_t)(item->priority - waited);
    item->waits = true;
    attach(q, item);
    lift_plan(q, item);
    q->by_priority[item->priority]++;
    q->n++;
}

void queue_remove(struct queue *q, struct queue_item *item)
{
    if (item->level > 0) {
        lift_drop(q, item);
    }
    detach(q, item);
    item->waits = false;
    q->by_priority[item->priority]--;
    q->n--;
}

static struct queue_item *first_fit(const struct turn *turn, queue_fits *fits, void *ctx)
{
    struct queue_item *best = NULL;
    for (const struct lane *lane = turn->lanes; lane; lane = lane->next) {
        if ((!best || goes_first(lane->root, best)) && fits(ctx, lane->kind)) {
            best = lane->root;
        }
    }
    return best;
}

struct queue_item *queue_pick(struct queue *q, int64_t now_ms, queue_fits *fits, void *ctx)
{
    lift_due(q, now_ms);
    for (unsigned i = 0; i < QUEUE_LEVELS; i++) {
        const struct turn *first = q->levels[i].first, *turn = first;
        while (turn) {
            struct queue_item *item = first_fit(turn, fits, ctx);
            if (item) {
                return item;
            }
            turn = turn->next != first ? turn->next : NULL;
        }
    }
    return NULL;
}

void queue_take(struct queue *q, struct queue_item *item)
{
    struct level *level = &q->levels[item->level];
    struct turn *turn = *turn_slot(level, item->fairness);
    assert(turn);
    level->first = turn->next;
    queue_remove(q, item);
}

size_t queue_waiting(const struct queue *q, unsigned priority)
{
    return q->by_priority[priority];
}

size_t queue_count(const struct queue *q)
{
    return q->n;
}

#include "channels/cursor.h"

#include <assert.h>
#include <stdlib.h>

static const int64_t backoff_ms[] = {1000, 5000, 30000};
enum { BACKOFFS = sizeof backoff_ms / sizeof *backoff_ms };

void cursor_init(struct cursor *c)
{
    *c = (struct cursor){.look_ms = INT64_MAX};
}

void cursor_done(struct cursor *c)
{
    for (unsigned i = 0; i < CURSOR_LEVELS; i++) {
        free(c->levels[i].items);
    }
    cursor_init(c);
}

/* ---- one level ---- */

static struct cursor_item *item_at(const struct cursor_level *l, size_t i)
{
    return &l->items[l->first + i];
}

/* The place of the first number that is not below. */
static size_t place_of(const struct cursor_level *l, uint64_t number)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (item_at(l, middle)->number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void make_room(struct cursor_level *l)
{
    if (l->first + l->n < l->cap) {
        return;
    }
    if (l->first > l->cap / 2) {
        memmove(l->items, l->items + l->first, l->n * sizeof *l->items);
        l->first = 0;
        return;
    }
    l->cap = l->cap ? l->cap * 2 : 8;
    l->items = xrealloc(l->items, l->cap * sizeof *l->items);
}

/* The shorter side moves. */
static void take_out(struct cursor_level *l, size_t at)
{
    struct cursor_item *items = l->items + l->first;
    if (at < l->n / 2) {
        memmove(items + 1, items, at * sizeof *items);
        l->first++;
    } else {
        memmove(items + at, items + at + 1, (l->n - at - 1) * sizeof *items);
    }
    if (--l->n == 0) {
        l->first = 0;
    }
}

static struct cursor_item *locate(const struct cursor *c, uint64_t number, unsigned *out_level)
{
    for (unsigned i = 0; i < CURSOR_LEVELS; i++) {
        const struct cursor_level *l = &c->levels[i];
        size_t at = place_of(l, number);
        if (at < l->n && item_at(l, at)->number == number) {
            *out_level = i;
            return item_at(l, at);
        }
    }
    return NULL;
}

/* ---- items ---- */

static void look_by(struct cursor *c, int64_t ms)
{
    c->look_ms = ms < c->look_ms ? ms : c->look_ms;
}

struct cursor_item *cursor_add(struct cursor *c, unsigned level, const struct cursor_item *item)
{
    struct cursor_level *l = &c->levels[level];
    assert(l->n == 0 || item_at(l, l->n - 1)->number < item->number);
    make_room(l);
    struct cursor_item *added = item_at(l, l->n++);
    *added = *item;
    c->n++;
    c->out += item->holder != 0;
    c->top = item->number > c->top ? item->number : c->top;
    look_by(c, item->due_ms);
    return added;
}

struct cursor_item *cursor_find(const struct cursor *c, uint64_t number)
{
    unsigned level;
    return locate(c, number, &level);
}

void cursor_remove(struct cursor *c, uint64_t number)
{
    unsigned level;
    struct cursor_item *item = locate(c, number, &level);
    if (item) {
        struct cursor_level *l = &c->levels[level];
        c->out -= item->holder != 0;
        c->n--;
        take_out(l, (size_t)(item - item_at(l, 0)));
    }
}

/* ---- what goes next ---- */

/* Those before it are out or were handed out before: no more than are in flight. */
static struct cursor_item *first_ready(const struct cursor_level *l, int64_t now_ms)
{
    for (size_t i = 0; i < l->n; i++) {
        struct cursor_item *item = item_at(l, i);
        if (!item->holder && item->due_ms <= now_ms) {
            return item;
        }
    }
    return NULL;
}

static int64_t rank_of(unsigned level, const struct cursor_item *item,
                       const struct cursor_rules *rules, int64_t now_ms)
{
    int64_t waited = now_ms - item->since_ms;
    int64_t lifted = rules->ageing_ms && waited > 0 ? waited / rules->ageing_ms : 0;
    return lifted < (int64_t)level ? (int64_t)level - lifted : 0;
}

struct cursor_item *cursor_next(const struct cursor *c, const struct cursor_rules *rules,
                                int64_t now_ms)
{
    struct cursor_item *best = NULL;
    int64_t best_rank = CURSOR_LEVELS;
    if (c->out >= rules->in_flight_max) {
        return NULL;
    }
    /* The oldest of a level is the most lifted one of it. */
    for (unsigned i = 0; i < CURSOR_LEVELS; i++) {
        struct cursor_item *item = first_ready(&c->levels[i], now_ms);
        int64_t rank = item ? rank_of(i, item, rules, now_ms) : CURSOR_LEVELS;
        if (item && (rank < best_rank || (rank == best_rank && item->number < best->number))) {
            best = item;
            best_rank = rank;
        }
    }
    return best;
}

void cursor_hand(struct cursor *c, struct cursor_item *item, uint64_t holder,
                 const struct cursor_rules *rules, int64_t now_ms)
{
    assert(!item->holder && holder);
    item->holder = holder;
    item->deliveries++;
    c->out++;
    cursor_touch(c, item, rules, now_ms);
}

void cursor_touch(struct cursor *c, struct cursor_item *item, const struct cursor_rules *rules,
                  int64_t now_ms)
{
    item->due_ms = now_ms + rules->ack_wait_ms;
    look_by(c, item->due_ms);
}

bool cursor_return(struct cursor *c, struct cursor_item *item, const struct cursor_rules *rules,
                   int64_t now_ms, int64_t delay_ms)
{
    uint32_t n = item->deliveries;
    c->out -= item->holder != 0;
    item->holder = 0;
    if (n >= rules->deliver_max) {
        return false;
    }
    if (delay_ms < 0) {
        delay_ms = backoff_ms[n == 0 ? 0 : n <= BACKOFFS ? n - 1 : BACKOFFS - 1];
    }
    item->due_ms = now_ms + delay_ms;
    look_by(c, item->due_ms);
    return true;
}

void cursor_unhand(struct cursor *c, struct cursor_item *item)
{
    assert(item->holder && item->deliveries);
    c->out--;
    item->holder = 0;
    item->deliveries--;
    item->due_ms = 0;
    look_by(c, 0);
}

/* ---- time and holders ---- */

struct cursor_item *cursor_each(const struct cursor *c, const struct cursor_item *after)
{
    unsigned level = 0;
    if (after) {
        for (; level < CURSOR_LEVELS; level++) {
            const struct cursor_level *l = &c->levels[level];
            if (l->n && after >= item_at(l, 0) && after < item_at(l, l->n - 1)) {
                return item_at(l, (size_t)(after - item_at(l, 0)) + 1);
            }
            if (l->n && after == item_at(l, l->n - 1)) {
                level++;
                break;
            }
        }
    }
    for (; level < CURSOR_LEVELS; level++) {
        if (c->levels[level].n) {
            return item_at(&c->levels[level], 0);
        }
    }
    return NULL;
}

/* One that was handed out is looked at when it is overdue, one that waits when it may go. */
struct cursor_item *cursor_overdue(struct cursor *c, int64_t now_ms)
{
    int64_t look = INT64_MAX;
    for (unsigned level = 0; level < CURSOR_LEVELS; level++) {
        const struct cursor_level *l = &c->levels[level];
        for (size_t i = 0; i < l->n; i++) {
            struct cursor_item *item = item_at(l, i);
            if (item->holder && item->due_ms <= now_ms) {
                return item;
            }
            if (item->due_ms > now_ms && item->due_ms < look) {
                look = item->due_ms;
            }
        }
    }
    c->look_ms = look;
    return NULL;
}

struct cursor_item *cursor_held(const struct cursor *c, uint64_t holder)
{
    for (unsigned level = 0; level < CURSOR_LEVELS; level++) {
        const struct cursor_level *l = &c->levels[level];
        for (size_t i = 0; i < l->n; i++) {
            if (item_at(l, i)->holder == holder) {
                return item_at(l, i);
            }
        }
    }
    return NULL;
}

uint64_t cursor_floor(const struct cursor *c)
{
    uint64_t floor = c->top + 1;
    for (unsigned level = 0; level < CURSOR_LEVELS; level++) {
        const struct cursor_level *l = &c->levels[level];
        if (l->n && item_at(l, 0)->number < floor) {
            floor = item_at(l, 0)->number;
        }
    }
    return floor;
}

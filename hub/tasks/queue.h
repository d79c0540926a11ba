/* hub/tasks/queue.h: tasks that wait for an agent, in the order in which they get one.
 *
 * Five levels. Who has waited aging_ms goes up one, so nobody waits behind endless urgent work for
 * longer than four of these and whatever was queued before. Within a level the fairness keys take
 * turns (deficit round robin; as each task costs one, the deficit is always a turn), within a key
 * who was queued first goes first. Tasks of one `kind` ask for the same agents: a pick passes over
 * the kinds that nobody is free for, at one look a kind and not a task.
 *
 * Owns     its levels and turns. Items are the caller's and stay where they are while they wait.
 * Threads  one at a time; pure.       Units  milliseconds.
 * Rules    semantics.md section 2 "Order".
 */
#ifndef WAGGLE_HUB_TASKS_QUEUE_H
#define WAGGLE_HUB_TASKS_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUEUE_LEVELS = 5 }; /* 0 goes first */

struct queue_item {
    /* Set before queue_add(), constant while it waits. */
    uint64_t number;
    int64_t queued_ms; /* first: a retry keeps its place */
    uint64_t fairness;
    uint32_t kind;
    uint8_t priority; /* 0 … QUEUE_LEVELS-1 */
    /* The queue's own. */
    bool waits;
    uint8_t level;
    uint32_t lift_at;
    int64_t lift_ms;
    struct queue_item *child, *next, *before; /* a pairing heap; before: elder sibling or parent */
};

struct queue;
struct queue *queue_new(int64_t aging_ms);
void queue_free(struct queue *queue); /* NULL is fine; items are left alone */

void queue_add(struct queue *queue, struct queue_item *item, int64_t now_ms);
void queue_remove(struct queue *queue, struct queue_item *item); /* it waits */
typedef bool queue_fits(void *ctx, uint32_t kind);
/* The one whose turn it is among the kinds that fit; NULL: none. It waits on. */
struct queue_item *queue_pick(struct queue *queue, int64_t now_ms, queue_fits *fits, void *ctx);
/* queue_remove, and the turn goes to the next key. */
void queue_take(struct queue *queue, struct queue_item *item);
size_t queue_waiting(const struct queue *queue, unsigned priority); /* by their own priority */
size_t queue_count(const struct queue *queue);

#endif

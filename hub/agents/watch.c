/* When each agent is to be looked at next. The deadlines are a binary heap by due time; a beat
 * moves nothing in it: when a deadline comes and the pulse turns out to be fresh, the agent is
 * looked at again later. So a beat costs no more than its slot, and only changes of state are
 * written. */
#include "hub/agents/inside.h"

/* ---- the heap of deadlines ---- */

static void heap_place(struct agents *a, uint32_t at, uint32_t number)
{
    a->heap[at] = number;
    a->watches[number].heap_at = at;
}

static void heap_up(struct agents *a, uint32_t at)
{
    uint32_t number = a->heap[at];
    for (; at > 0; at = (at - 1) / 2) {
        uint32_t parent = a->heap[(at - 1) / 2];
        if (a->watches[parent].due_ms <= a->watches[number].due_ms) {
            break;
        }
        heap_place(a, at, parent);
    }
    heap_place(a, at, number);
}

static void heap_down(struct agents *a, uint32_t at)
{
    uint32_t number = a->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= a->heap_n) {
            break;
        }
        if (child + 1 < a->heap_n &&
            a->watches[a->heap[child + 1]].due_ms < a->watches[a->heap[child]].due_ms) {
            child++;
        }
        if (a->watches[number].due_ms <= a->watches[a->heap[child]].due_ms) {
            break;
        }
        heap_place(a, at, a->heap[child]);
        at = child;
    }
    heap_place(a, at, number);
}

void watch_due_set(struct agents *a, uint32_t number, int64_t due_ms)
{
    struct watch *w = &a->watches[number];
    bool earlier = due_ms < w->due_ms;
    w->due_ms = due_ms;
    if (earlier) {
        heap_up(a, w->heap_at);
    } else {
        heap_down(a, w->heap_at);
    }
}

int64_t agents_next_due(void *state)
{
    const struct agents *a = state;
    return a->heap_n ? a->watches[a->heap[0]].due_ms : INT64_MAX;
}

/* ---- who is watched ---- */

struct watch *watch_add(struct agents *a, uint32_t number)
{
    while (number >= a->cap) {
        uint32_t cap = a->cap ? a->cap * 2 : 256;
        a->watches = xrealloc(a->watches, cap * sizeof *a->watches);
        a->heap = xrealloc(a->heap, cap * sizeof *a->heap);
        a->cap = cap;
    }
    while (a->n < number) {
        struct watch *w = &a->watches[++a->n];
        *w = (struct watch){.due_ms = INT64_MAX, .status = AGENT_STATUSES, .heap_at = a->heap_n};
        a->heap[a->heap_n++] = a->n;
    }
    return &a->watches[number];
}

static void count_status(struct agents *a, uint8_t from, uint8_t to)
{
    if (from != to) {
        if (from < AGENT_STATUSES) {
            atomic_fetch_sub_explicit(&a->by_status[from], 1, memory_order_relaxed);
        }
        if (to < AGENT_STATUSES) {
            atomic_fetch_add_explicit(&a->by_status[to], 1, memory_order_relaxed);
        }
    }
}

void watch_status(struct agents *a, uint32_t number, enum agent_status status)
{
    struct watch *w = &a->watches[number];
    bool was = w->status < AGENT_DEREGISTERED, is = status < AGENT_DEREGISTERED;
    a->live += (uint32_t)is - (uint32_t)was;
    count_status(a, w->status, (uint8_t)status);
    w->status = (uint8_t)status;
}

/* From when its silence counts. */
int64_t watch_silent_ms(const struct agents *a, uint32_t number, int64_t otherwise,
                        struct pulse *out)
{
    if (pulse_get_own(a->options.pulses, number, out)) {
        return out->silent_ms;
    }
    *out = (struct pulse){0};
    return otherwise;
}

/* semantics.md section 1: inactive once all it had is done. */
bool watch_has_drained(const struct agents *a, uint32_t number, enum agent_status status)
{
    return status == AGENT_DRAINING && pulse_held(a->options.pulses, number) == 0;
}

/* When the agent must be looked at next, given its last beat. */
int64_t watch_next_look(const struct agents *a, uint32_t number, int64_t seen,
                        const struct pulse *pulse)
{
    const struct watch *w = &a->watches[number];
    struct liveness_rules rules = liveness_rules_of(agents_settings(a));
    if (!is_watched(w->status)) {
        return INT64_MAX;
    }
    if (watch_has_drained(a, number, (enum agent_status)w->status)) {
        return seen;
    }
    int64_t stale = seen + liveness_stale_after(&rules, w->interval_ms, pulse);
    int64_t inactive = seen + rules.timeout_ms;
    if (w->graced && stale < a->grace_until_ms) {
        stale = a->grace_until_ms;
        inactive = inactive > stale ? inactive : stale;
    }
    if (w->closed_ms) {
        int64_t gone = w->closed_ms + rules.reconnect_ms;
        inactive = gone < inactive ? gone : inactive;
    }
    return w->status == AGENT_STALE ? inactive : stale < inactive ? stale : inactive;
}

void watch_again(struct agents *a, uint32_t number, int64_t now_ms)
{
    struct pulse pulse;
    int64_t seen = watch_silent_ms(a, number, now_ms, &pulse);
    watch_due_set(a, number, watch_next_look(a, number, seen, &pulse));
}

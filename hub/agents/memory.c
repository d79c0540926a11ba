/* What is kept of agents in memory, read from the store at a start and after a batch that failed;
 * and what others learn of it once it is on disk. */
#include "hub/agents/inside.h"

#include <stdlib.h>

void agent_note_changed(struct agents *a, uint32_t number)
{
    if (a->changed_n == a->changed_cap) {
        a->changed_cap = a->changed_cap ? a->changed_cap * 2 : 64;
        a->changed = xrealloc(a->changed, a->changed_cap * sizeof *a->changed);
    }
    a->changed[a->changed_n++] = number;
}

/* A batch that fails takes everything back, so nobody learns of a change before, and the pulse of
 * one who departed stays until then; its row has what that said. */
void agents_settled(void *state)
{
    struct agents *a = state;
    for (uint32_t i = 0; i < a->changed_n; i++) {
        uint32_t number = a->changed[i];
        const struct watch *w = number <= a->n ? &a->watches[number] : NULL;
        bool there = w && w->status < AGENT_STATUSES;
        standing_put(a->options.pulses, number,
                     there ? (struct agent_standing){w->epoch, (enum agent_status)w->status}
                           : (struct agent_standing){.epoch = 0});
        if (!there || !is_watched(w->status)) {
            pulse_drop(a->options.pulses, number);
        }
    }
    free(a->changed);
    a->changed = NULL;
    a->changed_n = a->changed_cap = 0;
}

bool agents_hold_back(const void *state)
{
    return ((const struct agents *)state)->changed_n > 0;
}

void *agents_open(const void *options)
{
    struct agents *a = xcalloc(1, sizeof *a);
    a->options = *(const struct agents_options *)options;
    a->grace_until_ms = INT64_MIN;
    return a;
}

void agents_close(void *state)
{
    struct agents *a = state;
    free(a->watches);
    free(a->heap);
    free(a->changed);
    free(a);
}

/* After a start everybody's silence begins anew, whenever the last beat was, and has the full
 * grace: nobody is found dead because the hub was. After an aborted batch the pulses are still
 * there and nobody's clock starts anew. */
enum hub_rc agents_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct agents *a = state;
    bool start = a->grace_until_ms == INT64_MIN;
    if (start) {
        a->grace_until_ms = now_ms + agents_settings(a)->agent_grace_ms;
    }
    /* A stream that closed stays closed, unless the batch that said so is the one that failed. */
    uint32_t before_n = a->n;
    struct watch *before = xcalloc((size_t)before_n + 1, sizeof *before);
    if (before_n) {
        memcpy(before, a->watches, ((size_t)before_n + 1) * sizeof *before);
    }
    a->n = a->heap_n = a->live = 0;
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        atomic_store_explicit(&a->by_status[i], 0, memory_order_relaxed);
    }
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_AGENT, &cursor);
    if (rc != STORE_OK) {
        free(before);
        return hub_rc_of_store(rc);
    }
    for (rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value); rc == STORE_OK;
         rc = store_cursor_next(cursor, &key, &value)) {
        struct agent agent;
        if (!agent_unpack(value, &agent)) {
            rc = STORE_DAMAGED;
            break;
        }
        struct watch *w = watch_add(a, agent.number);
        w->app = agent.app;
        w->interval_ms = agent.interval_ms;
        w->epoch = agent.epoch;
        bool open = !start && agent.connection != AGENT_STREAM_CLOSED;
        w->connection = open ? agent.connection : 0;
        bool known = !start && agent.number <= before_n;
        w->graced = start || (known && before[agent.number].graced);
        w->closed_ms = known && agent.status == AGENT_STALE ? before[agent.number].closed_ms : 0;
        watch_status(a, agent.number, agent.status);
        if (start && is_watched((uint8_t)agent.status)) {
            struct pulse pulse = {
                .seen_ms = agent.seen_ms, .silent_ms = now_ms, .metrics = agent.metrics};
            pulse_put(a->options.pulses, agent.number, &pulse);
        }
        watch_again(a, agent.number, now_ms);
        struct pulse pulse;
        if (!start && agent.status == AGENT_STALE &&
            watch_silent_ms(a, agent.number, INT64_MIN, &pulse) >= agent.changed_ms &&
            !w->closed_ms) {
            watch_due_set(
                a, agent.number,
                now_ms); /* it was heard since, and its way back was in the batch that failed */
        }
        if (agent.status == AGENT_DRAINING) {
            watch_due_set(a, agent.number, now_ms); /* what it holds is not counted yet */
        }
    }
    store_cursor_close(cursor);
    free(before);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

void agents_recall(const void *state, bool lasting, struct buf *out)
{
    const struct agents *a = state;
    buf_printf(out, "%u agents, %u there\n", a->n, a->live);
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        buf_printf(
            out, "%s: %llu\n", agent_status_name((enum agent_status)i),
            (unsigned long long)atomic_load_explicit(&a->by_status[i], memory_order_relaxed));
    }
    for (uint32_t i = 1; i <= a->n; i++) {
        const struct watch *w = &a->watches[i];
        buf_printf(out, "agent %u: app %u, status %u, interval %u", i, w->app, w->status,
                   w->interval_ms);
        if (!lasting) {
            int64_t closed_ms = w->status == AGENT_STALE ? w->closed_ms : 0;
            buf_printf(out, ", connection %llx, graced %d, closed %lld",
                       (unsigned long long)w->connection, w->graced, (long long)closed_ms);
        }
        buf_add_str(out, "\n");
    }
}

void agents_counts(void *state, struct agents_counts *out)
{
    const struct agents *a = state;
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        out->by_status[i] = atomic_load_explicit(&a->by_status[i], memory_order_relaxed);
    }
}

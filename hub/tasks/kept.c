/* Tasks at work as their rows say, so that a step of one reads neither the store nor a row: what is
 * written goes to both, and what is dropped is read from the row when it is asked for. A ring of
 * places bounds them; whoever comes takes the place of who came longest ago. A task is offered,
 * taken and done by those who ask again within a few thousand others.
 *
 * A command holds a task while it writes it, and what it holds are texts of the block that the
 * write replaces: so blocks that are let go of stay until the batch is over. */
#include "hub/tasks/inside.h"

#include <stdlib.h>

enum {
    KEPT_MAX = 1 << 14,
    KEPT_BYTES_MAX = 2048, /* of texts: of a task with more its row is read each time */
    BYTES_COMMON = 160,    /* of texts and data; blocks of that size are used again, */
    SPARE_MAX = 4096,      /* so many of them */
    TEXTS = 12
};

struct kept {
    struct live *live;
    struct kept *next;    /* of those let go of, of those to be used again */
    uint32_t at;          /* place in the ring */
    uint32_t room;        /* of texts */
    struct slice channel; /* the name of task.<id> */
    struct slice data;    /* its TASK_DATA; empty: not at hand */
    struct task task;
    uint8_t texts[]; /* what task, channel and data borrow from */
};

static void texts_of(struct task *k, struct slice *out[TEXTS])
{
    struct slice *const texts[TEXTS] = {
        &k->id,
        &k->owner,
        &k->needs.capabilities.packed,
        &k->needs.services.packed,
        &k->needs.agents.packed,
        &k->needs.avoid.packed,
        &k->prefer.packed,
        &k->region,
        &k->fairness,
        &k->sticky,
        &k->note,
        &k->error,
    };
    memcpy(out, texts, sizeof texts);
}

static size_t texts_bytes(const struct task *k)
{
    const struct task_needs *needs = &k->needs;
    return k->id.n + k->owner.n + needs->capabilities.packed.n + needs->services.packed.n +
           needs->agents.packed.n + needs->avoid.packed.n + k->prefer.packed.n + k->region.n +
           k->fairness.n + k->sticky.n + k->note.n + k->error.n;
}

static struct kept *block_new(struct tasks *t, size_t bytes)
{
    struct kept *kept = t->spare;
    if (bytes <= BYTES_COMMON && kept) {
        t->spare = kept->next;
        t->spare_n--;
        return kept;
    }
    uint32_t room = bytes <= BYTES_COMMON ? BYTES_COMMON : (uint32_t)bytes;
    kept = xmalloc(sizeof *kept + room);
    kept->room = room;
    return kept;
}

static void block_give(struct tasks *t, struct kept *kept)
{
    if (kept->room == BYTES_COMMON && t->spare_n < SPARE_MAX) {
        kept->next = t->spare;
        t->spare = kept;
        t->spare_n++;
    } else {
        free(kept);
    }
}

static struct slice copy(uint8_t **at, struct slice text)
{
    struct slice own = slice_of(*at, text.n);
    if (text.n) {
        memcpy(*at, text.p, text.n);
    }
    *at += text.n;
    return own;
}

static struct kept *kept_new(struct tasks *t, const struct task *k, struct slice data)
{
    buf_clear(&t->channel);
    agent_channel(&t->channel, "task.", k->id);
    struct kept *kept = block_new(t, texts_bytes(k) + t->channel.n + data.n);
    struct slice *texts[TEXTS];
    uint8_t *at = kept->texts;
    kept->task = *k;
    texts_of(&kept->task, texts);
    for (unsigned i = 0; i < TEXTS; i++) {
        *texts[i] = copy(&at, *texts[i]);
    }
    kept->channel = copy(&at, buf_slice(&t->channel));
    kept->data = copy(&at, data);
    return kept;
}

static void let_go(struct tasks *t, struct kept *kept)
{
    kept->next = t->let_go;
    t->let_go = kept;
}

void kept_drop(struct tasks *t, struct live *live)
{
    struct kept *kept = live->kept;
    if (kept) {
        t->kept[kept->at] = NULL;
        live->kept = NULL;
        let_go(t, kept);
    }
}

static bool same_text(struct slice a, struct slice b)
{
    return a.n == b.n && (a.p == b.p || a.n == 0);
}

/* Most changes are of numbers alone. */
static bool same_texts(const struct task *a, const struct task *b)
{
    return same_text(a->id, b->id) && same_text(a->owner, b->owner) &&
           same_text(a->needs.capabilities.packed, b->needs.capabilities.packed) &&
           same_text(a->needs.services.packed, b->needs.services.packed) &&
           same_text(a->needs.agents.packed, b->needs.agents.packed) &&
           same_text(a->needs.avoid.packed, b->needs.avoid.packed) &&
           same_text(a->prefer.packed, b->prefer.packed) && same_text(a->region, b->region) &&
           same_text(a->fairness, b->fairness) && same_text(a->sticky, b->sticky) &&
           same_text(a->note, b->note) && same_text(a->error, b->error);
}

static void keep(struct tasks *t, struct live *live, struct kept *kept)
{
    t->kept = t->kept ? t->kept : xcalloc(KEPT_MAX, sizeof(struct kept *));
    kept->at = t->kept_at++ % KEPT_MAX;
    if (t->kept[kept->at]) {
        kept_drop(t, t->kept[kept->at]->live);
    }
    t->kept[kept->at] = kept;
    kept->live = live;
    live->kept = kept;
}

void kept_set(struct tasks *t, struct live *live, const struct task *k, struct slice data)
{
    struct kept *kept = live->kept;
    size_t bytes = texts_bytes(k);
    if (kept && same_texts(&kept->task, k)) {
        kept->task = *k;
        return;
    }
    data = kept ? kept->data : data; /* nothing changes it */
    kept_drop(t, live);
    if (bytes <= KEPT_BYTES_MAX) {
        bool fits = bytes + data.n <= KEPT_BYTES_MAX;
        keep(t, live, kept_new(t, k, fits ? data : slice_of(NULL, 0)));
    }
}

void ahead_set(struct tasks *t, struct live *live, const struct task *k, int64_t due_ms)
{
    struct kept *ahead = kept_new(t, k, slice_of(NULL, 0)); /* k may borrow from the one before */
    ahead_drop(t, live);
    live->ahead = ahead;
    live->ahead_due_ms = due_ms;
    live_due(t, live);
}

void ahead_drop(struct tasks *t, struct live *live)
{
    if (live->ahead) {
        let_go(t, live->ahead);
        live->ahead = NULL;
    }
    live->ahead_due_ms = INT64_MAX;
}

const struct task *ahead_task(const struct live *live)
{
    return live->ahead ? &live->ahead->task : NULL;
}

bool kept_has_room(const struct tasks *t)
{
    return t->kept_at < KEPT_MAX;
}

const struct task *kept_task(const struct live *live)
{
    return live->kept ? &live->kept->task : NULL;
}

struct slice kept_channel(struct tasks *t, const struct task *k)
{
    const struct live *live = live_find(t, k->number);
    if (live && live->kept) {
        return live->kept->channel;
    }
    buf_clear(&t->channel);
    agent_channel(&t->channel, "task.", k->id);
    return buf_slice(&t->channel);
}

void kept_settle(struct tasks *t)
{
    for (struct kept *kept = t->let_go, *next; kept; kept = next) {
        next = kept->next;
        block_give(t, kept);
    }
    t->let_go = NULL;
}

void kept_forget(struct tasks *t)
{
    for (uint32_t i = 0; t->kept && i < KEPT_MAX; i++) {
        if (t->kept[i]) {
            kept_drop(t, t->kept[i]->live);
        }
    }
    t->kept_at = 0;
    kept_settle(t);
}

void kept_free(struct tasks *t)
{
    kept_forget(t);
    for (struct kept *kept = t->spare, *next; kept; kept = next) {
        next = kept->next;
        free(kept);
    }
    free(t->kept);
}

/* ---- taking ---- */

/* From its row, which the next write may move: it is kept, or lent until the batch is over. */
static void take_found(struct tasks *t, const struct task *found, struct task *out)
{
    struct live *live = live_find(t, found->number);
    struct kept *kept = kept_new(t, found, slice_of(NULL, 0));
    *out = kept->task;
    if (live && texts_bytes(found) <= KEPT_BYTES_MAX) {
        kept_drop(t, live);
        keep(t, live, kept);
    } else {
        let_go(t, kept);
    }
}

enum hub_rc task_take(struct apply *a, uint64_t number, struct task *out)
{
    struct tasks *t = tasks_of(a);
    const struct live *live = live_find(t, number);
    struct task found;
    if (live && live->kept) {
        *out = live->kept->task;
        return HUB_OK;
    }
    enum hub_rc rc = hub_rc_of_store(task_get(a->view, number, &found));
    if (rc == HUB_OK) {
        take_found(t, &found, out);
    }
    return rc;
}

enum hub_rc task_take_data(struct apply *a, uint64_t number, struct slice *out)
{
    const struct live *live = live_find(tasks_of(a), number);
    if (live && live->kept && live->kept->data.n) {
        *out = live->kept->data;
        return HUB_OK;
    }
    return hub_rc_of_store(task_document(a->view, number, TASK_DATA, out));
}

enum hub_rc task_take_named(struct apply *a, struct slice id, uint64_t guess, struct task *out)
{
    struct tasks *t = tasks_of(a);
    const struct live *live = live_find(t, guess);
    const struct task *known = live ? kept_task(live) : NULL;
    struct task found;
    if (known && known->app == a->app && slice_equal(known->id, id)) {
        *out = *known;
        return HUB_OK;
    }
    enum hub_rc rc = hub_rc_of_store(task_find(a->view, a->app, id, &found));
    return rc == HUB_OK ? task_take(a, found.number, out) : rc;
}

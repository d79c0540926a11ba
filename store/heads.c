/* Heads lie in chunks by channel number, loaded from their rows on demand and never let go: the
 * writer finds one in two steps. Before a batch changes a head it keeps a copy; a batch that fails
 * puts the copies back, and a head whose channel was made in it is unloaded again. Of two batches
 * the later is taken back first.
 *
 * Beside them stands what other threads may know: the newest committed sequence of each channel.
 * A chunk of it is published before anyone can learn of a channel in it, and never freed. */
#include "store/log_parts.h"

#include <assert.h>
#include <stdlib.h>

void heads_init(struct heads *heads)
{
    heads->chunks = xcalloc(CHANNELS_MAX / HEADS_CHUNK, sizeof *heads->chunks);
    heads->newest = xcalloc(CHANNELS_MAX / NEWEST_CHUNK, sizeof *heads->newest);
}

void heads_done(struct heads *heads)
{
    for (size_t i = 0; heads->chunks && i <= heads->top / HEADS_CHUNK; i++)
        free(heads->chunks[i]);
    for (size_t i = 0; heads->newest && i <= heads->top / NEWEST_CHUNK; i++)
        free(atomic_load(&heads->newest[i].chunk));
    free(heads->chunks);
    free(heads->newest);
}

static void reach(struct heads *heads, uint64_t channel)
{
    heads->top = channel > heads->top ? channel : heads->top;
}

struct head *head_place(struct log *log, uint64_t channel)
{
    assert(channel > 0 && channel < CHANNELS_MAX);
    struct head **chunk = &log->heads.chunks[channel / HEADS_CHUNK];
    if (!*chunk) {
        *chunk = xcalloc(HEADS_CHUNK, sizeof **chunk);
        reach(&log->heads, channel);
    }
    return &(*chunk)[channel % HEADS_CHUNK];
}

void head_from_row(struct head *head, const struct channel_row *row)
{
    *head = (struct head){.last_seq = row->block_seq,
                          .first = row->first,
                          .last = row->block_last,
                          .block_last = row->block_last,
                          .block_seq = row->block_seq,
                          .block_bytes = row->block_bytes,
                          .reset_seq = row->reset_seq,
                          .app = row->app,
                          .generation = row->generation,
                          .loaded = true};
}

/* Every channel with a record in the journal was loaded at start, so all of this one is in blocks.
 */
static enum store_rc load(struct log *log, uint64_t channel, struct head *head)
{
    struct channel_row row;
    enum store_rc rc = channel_row_get(store_txn_view(log->txn), channel, &row);
    if (rc == STORE_OK)
        head_from_row(head, &row);
    return rc;
}

enum store_rc head_get(struct log *log, uint64_t channel, struct head **out)
{
    if (channel == 0 || channel >= log->totals.next_channel)
        return STORE_NOT_FOUND;
    struct head *head = head_place(log, channel);
    enum store_rc rc = head->loaded ? STORE_OK : load(log, channel, head);
    if (rc == STORE_OK)
        *out = head;
    return rc;
}

static void keep_for_undo(struct heads_changed *changed, uint64_t channel, const struct head *head)
{
    if (changed->n == changed->cap) {
        changed->cap = changed->cap ? changed->cap * 2 : 256;
        changed->heads = xrealloc(changed->heads, changed->cap * sizeof *changed->heads);
    }
    changed->heads[changed->n++] = (struct head_undo){.channel = channel, .before = *head};
}

enum store_rc head_change(struct log *log, uint64_t channel, struct head **out)
{
    static const struct head unloaded;
    if (channel == 0 || channel >= log->totals.next_channel)
        return STORE_NOT_FOUND;
    struct head *head = head_place(log, channel);
    const struct head *before = head->loaded ? head : &unloaded;
    enum store_rc rc = head->loaded ? STORE_OK : load(log, channel, head);
    if (rc != STORE_OK)
        return rc;
    if (head->batch != log->batch) {
        keep_for_undo(&log->now.heads, channel, before);
        head->batch = log->batch;
    }
    *out = head;
    return STORE_OK;
}

void heads_undo(struct log *log, struct heads_changed *changed)
{
    while (changed->n > 0) {
        const struct head_undo *last = &changed->heads[--changed->n];
        *head_place(log, last->channel) = last->before;
    }
}

/* ---- for other threads ---- */

void head_publish(struct log *log, uint64_t channel, uint64_t seq)
{
    struct newest_place *place = &log->heads.newest[channel / NEWEST_CHUNK];
    struct newest *chunk = atomic_load_explicit(&place->chunk, memory_order_relaxed);
    if (!chunk) {
        chunk = xcalloc(1, sizeof *chunk);
        atomic_store_explicit(&place->chunk, chunk, memory_order_release);
        reach(&log->heads, channel);
    }
    atomic_store(&chunk->seq[channel % NEWEST_CHUNK], seq);
}

/* By the time that the batch is committed the next one may have appended to them too. */
void heads_over(struct log *log, struct heads_changed *changed)
{
    for (size_t i = 0; i < changed->n; i++)
        changed->heads[i].newest = head_place(log, changed->heads[i].channel)->last_seq;
}

void heads_publish(struct log *log, struct heads_changed *changed)
{
    for (size_t i = 0; i < changed->n; i++)
        head_publish(log, changed->heads[i].channel, changed->heads[i].newest);
    changed->n = 0;
}

uint64_t head_newest(const struct log *log, uint64_t channel)
{
    if (channel >= CHANNELS_MAX)
        return 0;
    struct newest_place *place = &log->heads.newest[channel / NEWEST_CHUNK];
    struct newest *chunk = atomic_load_explicit(&place->chunk, memory_order_acquire);
    return chunk ? atomic_load(&chunk->seq[channel % NEWEST_CHUNK]) : 0;
}

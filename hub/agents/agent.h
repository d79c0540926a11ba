/* hub/agents/agent.h: an agent as it is stored: row, enumerations, look-ups.
 *
 * Rows     TABLE_AGENT: number (4) -> row.
 *          TABLE_AGENT_INDEX: kind (1), app (4), hash (16 or 8), number (4; not for the id) ->
 *          number or nothing. Numbers are dense and for good.
 * Owns     nothing: a struct agent borrows from its row.
 * Threads  agent_put, agent_remove: the writer. Reads: any view.
 * Units    milliseconds since 1970; health 0..1.
 * Rules    rest-contract.md section 3, semantics.md section 1.
 */
#ifndef WAGGLE_HUB_AGENTS_AGENT_H
#define WAGGLE_HUB_AGENTS_AGENT_H

#include "store/pack.h"
#include "store/store.h"

enum {
    AGENT_ID_BYTES_MAX = 128,
    AGENT_WORDS_MAX = 64, /* capabilities, services, tags: each */
    AGENT_WORD_BYTES_MAX = 128,
    AGENT_DOCUMENT_BYTES_MAX = 16384, /* endpoints, metadata: each, as JSON */
    AGENT_METRICS_MAX = 16,
    AGENT_METRIC_NAME_BYTES_MAX = 31,
};

enum agent_type {
    AGENT_WORKER,
    AGENT_PROVIDER,
    AGENT_CONSUMER,
    AGENT_GENERAL,
    AGENT_COORDINATOR,
    AGENT_SPECIALIST,
    AGENT_MONITOR,
    AGENT_GATEWAY,
    AGENT_ORCHESTRATOR,
    AGENT_INFERENCE,
    AGENT_TRAINING,
    AGENT_PROCESSING,
    AGENT_TYPES
};
enum agent_status {
    AGENT_ACTIVE,
    AGENT_INACTIVE,
    AGENT_BUSY,
    AGENT_STALE,
    AGENT_MAINTENANCE,
    AGENT_ERROR,
    AGENT_DRAINING,
    AGENT_DEREGISTERED, /* terminal, kept for history; not shown */
    AGENT_STATUSES
};
const char *agent_type_name(enum agent_type type);
const char *agent_status_name(enum agent_status status);
/* semantics.md section 1: an active agent without a free slot is busy. Derived, never stored. */
enum agent_status agent_status_with(enum agent_status stored, uint32_t held, uint32_t slots);
/* Nothing is expected of it any more, and nothing kept for it but its row, until it registers. */
static inline bool agent_has_departed(enum agent_status status)
{
    return status == AGENT_INACTIVE || status == AGENT_DEREGISTERED;
}
bool agent_type_of(struct slice name, enum agent_type *out);
bool agent_status_of(struct slice name, enum agent_status *out); /* without deregistered */

struct metric {
    char name[AGENT_METRIC_NAME_BYTES_MAX + 1];
    double value;
};
struct metrics {
    uint32_t n;
    struct metric list[AGENT_METRICS_MAX];
};
/* Names of `from` replace those of `into`. False: more names than there is room for; into is as
 * before. */
bool metrics_merge(struct metrics *into, const struct metrics *from);
void metrics_pack(struct buf *b, const struct metrics *metrics);
bool metrics_unpack(struct unpack *u, struct metrics *out);

/* A list of words as it stands in a row: count, then counted texts. */
struct words {
    uint32_t n;
    struct slice packed;
};
bool words_next(struct slice *rest, struct slice *out_word);
bool words_have(const struct words *words, struct slice word);

struct agent {
    uint32_t number, app, epoch; /* epoch counts registrations: it fences sessions */
    struct slice id, owner, region, version;
    enum agent_type type;
    enum agent_status status;   /* what holds now */
    enum agent_status declared; /* what it was said to be; a beat leads back to it from stale */
    struct words capabilities, services, tags;
    struct slice endpoints, metadata; /* JSON objects */
    struct slice public_key;          /* 32 bytes, or empty */
    uint32_t slots, interval_ms;
    int64_t registered_ms, first_registered_ms, changed_ms,
        seen_ms;            /* seen: at the last change of state, or a clean end of the hub */
    uint64_t connection;    /* that holds its session, or AGENT_STREAM_CLOSED; 0: it came by none */
    double success;         /* moving average of its tasks, 1 without any */
    struct metrics metrics; /* as seen_ms */
};

/* It registered over a connection that is closed: until it comes again nobody hears what it is
 * told. No connection has this number. */
enum { AGENT_STREAM_CLOSED = 1 };

/* Inactive because somebody said so, or drained: its session is not over. Who was lost is not away.
 */
static inline bool agent_is_away(const struct agent *agent)
{
    return agent->status == AGENT_INACTIVE &&
           (agent->declared == AGENT_INACTIVE || agent->declared == AGENT_DRAINING);
}

void agent_pack(struct buf *b, const struct agent *agent);
bool agent_unpack(struct slice row, struct agent *out);

enum store_rc agent_get(struct store_view *view, uint32_t number, struct agent *out);
enum store_rc agent_find(struct store_view *view, uint32_t app, struct slice id, struct agent *out);
/* Writes the row and its indexes; before: the row it replaces, NULL when new. */
enum store_rc agent_put(struct store_txn *txn, const struct agent *agent,
                        const struct agent *before);

/* Candidates in order of their numbers. One of the filters narrows by index, the caller judges the
 * rest. */
enum agent_index {
    AGENTS_ALL = 'a',
    AGENTS_TYPE = 't',
    AGENTS_CAPABILITY = 'c',
    AGENTS_SERVICE = 's'
};
typedef bool agent_visit(void *ctx, const struct agent *agent);
enum store_rc agents_each(struct store_view *view, uint32_t app, enum agent_index index,
                          struct slice word, agent_visit *visit, void *ctx);

/* "agent.<id>" or "pulse.<id>": what a channel's name may not hold is written as =XX; one that
 * would be too long ends in a hash of the id. */
void agent_channel(struct buf *out, const char *prefix, struct slice id);

#endif

/* hub/swarms/run_parts.h: a work in hand, shared by the files that drive it: begin.c (from the spec
 * to the first tasks), parts.c (a part becomes a task), run.c (a part ends), stragglers.c (a part
 * is slow), outcome.c (the results become one, and the work ends). Included by these only. */
#ifndef WAGGLE_HUB_SWARMS_RUN_PARTS_H
#define WAGGLE_HUB_SWARMS_RUN_PARTS_H

#include "hub/core/document.h"
#include "hub/swarms/module.h"
#include "hub/swarms/verdict.h"

/* Which of a work's tasks: the part's number doubled, and one for a copy. */
enum { ITEM_COPY = 1 };
#define ITEM_MERGE UINT32_MAX

/* A work in hand: its row is a copy, the documents are borrowed and read again after writes. */
struct run {
    struct apply *a;
    struct buf bytes;
    struct work work;
    struct why why; /* of a cancel, for its event */
    bool begun;     /* earlier than by this command: members may have left since */
};

/* run.c */
enum hub_rc run_hold(struct run *r, uint64_t number);
/* A timer's command belongs to no app until its row is read. */
enum hub_rc run_hold_timer(struct run *r, struct slice body);
enum hub_rc run_keep(struct run *r, enum work_state before);
json_t *run_document(struct run *r, enum work_document kind);
json_t *run_result(struct run *r, uint64_t task); /* never NULL: JSON's null when there is none */
enum hub_rc run_tell_state(struct run *r);
static inline const struct strategy_rule *run_rule(const struct work *w)
{
    return strategy_rule(w->strategy);
}

/* parts.c */
/* What its agent is given: the input, without the list that is shared out, with its share. */
json_t *part_data(struct run *r, const json_t *input, uint32_t part, json_t *context);
/* Whoever may do it: the member alone where the strategy binds it, else any of them, the meant one
 * preferred. A member without an agent of its own stands for its capability. False: all who might
 * have left. */
struct part_needs {
    struct buf agents, prefer, capabilities, avoid;
};
bool part_needs_of(struct run *r, uint32_t member, struct part_needs *buf, struct task_spec *spec);
void part_needs_done(struct part_needs *buf);
void part_word(struct buf *packed, struct words *words, struct slice word);
enum hub_rc part_submit(struct run *r, struct task_spec *spec, json_t *data, uint32_t item,
                        uint64_t *out_task);
/* Only that member may do it, where the strategy says so: it ends when its agent is gone. */
enum hub_rc part_bind(struct run *r, uint32_t part, uint32_t member, bool there);
/* HUB_GONE: nobody is left to do it, and nothing was written. */
enum hub_rc part_open(struct run *r, const json_t *input, uint32_t part, json_t *context);

/* stragglers.c: looks at those that are out when it is worth it. */
enum hub_rc run_watch_stragglers(struct run *r);

/* outcome.c */
enum hub_rc run_finish(struct run *r, enum work_state state, enum work_stop stop, const char *why);
enum hub_rc run_merge(struct run *r, enum work_stop stop);
enum hub_rc run_merge_ended(struct run *r, const struct task *task);

#endif

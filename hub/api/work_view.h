/* hub/api/work_view.h: pieces of work as callers see them, the same for swarms and networks; and
 * how they are asked for.
 *
 * Threads  the caller's I/O thread, within one snapshot of its reader.
 */
#ifndef WAGGLE_HUB_API_WORK_VIEW_H
#define WAGGLE_HUB_API_WORK_VIEW_H

#include "hub/api/operation.h"
#include "hub/swarms/module.h"

/* clang-format off */
#define MERGE_TASK_ID {"type":["string","null"],"description":"Of the agent that merges the results, when one does."}
/* clang-format on */

enum { WORK_TIMEOUT_DEFAULT_S = 3600, WORK_TIMEOUT_MAX_S = 7 * 24 * 3600 };

/* Percent of the parts that have ended; all of them when it is over and well. */
double work_progress(const struct work *work);
/* Members with a part in hand. */
uint32_t work_active(struct store_view *view, const struct work *work);
/* A list of the ids of who was chosen. */
void work_members_json(struct json_out *o, struct store_view *view, const struct work *work);
/* A list of its parts: member, agent, task, attempt, result. */
void work_parts_json(struct json_out *o, struct store_view *view, const struct work *work);
/* "merge_task_id": of the agent that makes the results one; the task says why it waits or failed.
 */
void work_merge_json(struct json_out *o, struct store_view *view, const struct work *work);
/* A stored document as it is; null when there is none. */
void work_document_json(struct json_out *o, const char *key, struct store_view *view,
                        const struct work *work, enum work_document kind);
/* "state", "stop_reason", "error", "partial", "progress", times and counts of parts. */
void work_common_json(struct json_out *o, const struct work *work);

/* What steers a work, out of `parameters`: shards, reducer, field, by, k, require, timeout_seconds.
 * spec borrows from parameters, which the caller sent as `at`. */
enum hub_rc work_spec_of(struct call *call, const char *at, json_t *parameters,
                         struct work_spec *spec);
/* One of the words that steer, or NULL; one that was sent as null is one that was left out. */
const json_t *work_word(const json_t *parameters, const char *name);
/* The rest is what the agents get: without these and without those that `but` names (NULL: no
 * more). */
void work_input_put(struct buf *b, const json_t *parameters, const char *const *but);

/* A task's priority, in any case; normal when none is said. */
enum hub_rc work_priority_of(struct call *call, struct slice name, enum task_priority *out);

/* A mean, and a share, of what may have been nothing. */
double mean_of(double sum, double n);

#endif

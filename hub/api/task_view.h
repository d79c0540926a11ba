/* hub/api/task_view.h: tasks as callers see them: who may see which, the JSON of one, and why it
 * waits.
 *
 * Threads  the caller's I/O thread, within one snapshot of its reader.
 * Rules    rest-contract.md section 3, semantics.md section 2.
 */
#ifndef WAGGLE_HUB_API_TASK_VIEW_H
#define WAGGLE_HUB_API_TASK_VIEW_H

#include "hub/api/operation.h"
#include "hub/tasks/module.h"

/* A task that the caller may see: its own, or one that an agent of its has or had last;
 * HUB_NOT_FOUND with its sentence. */
enum hub_rc task_see_call(struct call *call, struct store_view *view, struct slice id,
                          struct task *out);
/* The sentence of every priority that is none. */
enum hub_rc task_bad_priority(struct call *call, struct slice word);
bool task_visible(const struct call *call, struct store_view *view, const struct task *task);

/* The task object with why it waits; whole: with what was submitted and what came out, too. looks:
 * how many agents may be looked at for the reason, less those that were (null when they run out);
 * NULL: all. */
enum hub_rc task_json(struct json_out *o, const struct call *call, struct store_view *view,
                      const struct task *task, bool whole, uint32_t *looks);
/* "result": null while there is none. */
enum hub_rc put_task_result(struct json_out *o, struct store_view *view, const struct task *task);

#endif

/* hub/api/task_fields.h: what agents and those who submit ask thousands of times a second, as
 * `call` reads it without a tree (fields.h).
 */
#ifndef WAGGLE_HUB_API_TASK_FIELDS_H
#define WAGGLE_HUB_API_TASK_FIELDS_H

#include "hub/api/fields.h"

extern const struct field task_submit_fields[], task_act_fields[], task_progress_fields[],
    task_complete_fields[], task_fail_fields[], task_ask_fields[], task_renew_fields[];

/* The id in a task's data that was read so; empty when there is none. */
struct slice task_data_id(struct slice data);

#endif

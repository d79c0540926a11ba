#include "hub/cli/queues.h"

#include "channels/json_out.h"
#include "channels/json_scan.h"

// clang-format off
const struct column queue_columns[] = {
    { "QUEUE",   "priority", COLUMN_TEXT,   false },
    { "STATUS",  "status",   COLUMN_STATUS, false },
    { "WAITING", "waiting",  COLUMN_NUMBER, false },
    { 0 },
};
// clang-format on

/* Both with their quotes, as they stand in the answer. */
static bool is_paused(struct slice answer, struct slice priority)
{
    struct slice key, item;
    for (struct json_walk w = json_walk_of(json_at(answer, "paused"));
         json_walk_next(&w, &key, &item);) {
        if (slice_equal(item, priority)) {
            return true;
        }
    }
    return false;
}

void queues_list(struct slice answer, struct buf *out)
{
    struct slice sizes = json_at(answer, "queue_sizes"), name, size;
    struct json_out o = json_out_to(out);
    json_begin(&o, '[');
    for (struct json_walk w = json_walk_of(sizes); json_walk_next(&w, &name, &size);) {
        json_begin(&o, '{');
        json_key(&o, "priority");
        json_raw(&o, name);
        json_key(&o, "status");
        json_str(&o, is_paused(answer, name) ? "paused" : "open");
        json_key(&o, "waiting");
        json_raw(&o, size);
        json_end(&o, '}');
    }
    json_end(&o, ']');
}

#include "hub/api/task_fields.h"

#include "channels/json_scan.h"
#include "hub/tasks/task.h"

#include <math.h>

enum { LEASE_BYTES_MAX = 64, LEASES_MAX = 10000, WORDS_MAX = 64, SECONDS_MAX = 31536000 };

static bool find_id(struct slice data, struct slice *out)
{
    struct json_walk walk = json_walk_of(data);
    struct slice key, value, name;
    while (json_walk_next(&walk, &key, &value)) {
        if (json_is_plain(key, &name) && slice_is(name, "task_id")) {
            *out = value;
            return true;
        }
    }
    return false;
}

struct slice task_data_id(struct slice data)
{
    struct slice value, id = {0};
    if (find_id(data, &value)) {
        (void)json_is_plain(value, &id);
    }
    return id;
}

static bool is_task_data(struct slice data)
{
    struct slice value, id;
    return json_kind_of(data) == JSON_KIND_OBJECT &&
           (!find_id(data, &value) || json_kind_of(value) == JSON_KIND_NULL ||
            (json_is_plain(value, &id) && id.n >= 1 && id.n <= TASK_ID_BYTES_MAX));
}

/* clang-format off */
#define TASK_ID  {"task_id",  FIELD_TEXT, true, 1, TASK_ID_BYTES_MAX, 0, NULL, NULL}
#define LEASE_ID {"lease_id", FIELD_TEXT, true, 1, LEASE_BYTES_MAX,   0, NULL, NULL}
#define KEY(name)     {name, FIELD_TEXT, false, 0, TASK_WORD_BYTES_MAX, 0, NULL, NULL}
#define SECONDS(name) {name, FIELD_NUMBER, false, 0, SECONDS_MAX, 0, NULL, NULL}
#define WORDS(name, in) {name, FIELD_TEXTS, false, 1, TASK_WORD_BYTES_MAX, WORDS_MAX, NULL, in}
#define END {NULL, FIELD_NONE, false, 0, 0, 0, NULL, NULL}

const struct field task_submit_fields[] = {
    {"task_data", FIELD_DOCUMENT, true, 0, 0, 0, is_task_data, NULL},
    {"priority",  FIELD_TEXT, false, 0, INFINITY, 0, NULL, NULL},
    KEY("fairness_key"), KEY("sticky_key"), KEY("region"),
    SECONDS("delay_seconds"), SECONDS("schedule_to_start_seconds"), SECONDS("start_to_close_seconds"),
    SECONDS("total_seconds"), SECONDS("input_seconds"),
    {"lease_seconds", FIELD_NUMBER, false, 0.05, 86400, 0, NULL, NULL},
    {"max_attempts",  FIELD_WHOLE,  false, 1,    1000,  0, NULL, NULL},
    WORDS("prefer_agents", NULL),
    {"requirements", FIELD_GROUP, false, 0, 0, 0, NULL, NULL},
    {"agent_type", FIELD_TEXT, false, 0, INFINITY, 0, NULL, "requirements"},
    WORDS("capabilities", "requirements"), WORDS("services", "requirements"),
    WORDS("agents", "requirements"), WORDS("avoid", "requirements"),
    {"min_health_score", FIELD_NUMBER, false, 0, 1, 0, NULL, "requirements"},
    END,
};

const struct field task_act_fields[] = {TASK_ID, LEASE_ID, END};

const struct field task_progress_fields[] = {
    TASK_ID, LEASE_ID,
    {"percent", FIELD_NUMBER, false, 0, 100,                 0, NULL, NULL},
    {"seq",     FIELD_WHOLE,  false, 0, 9e18,                0, NULL, NULL},
    {"note",    FIELD_TEXT,   false, 0, TASK_NOTE_BYTES_MAX, 0, NULL, NULL},
    END,
};

const struct field task_complete_fields[] = {
    TASK_ID, LEASE_ID, {"result", FIELD_DOCUMENT, false, 0, 0, 0, NULL, NULL}, END,
};

const struct field task_fail_fields[] = {
    TASK_ID, LEASE_ID,
    {"error",         FIELD_TEXT, false, 0, INFINITY, 0, NULL, NULL},
    SECONDS("retry_after"),
    {"non_retryable", FIELD_FLAG, false, 0, 0,        0, NULL, NULL},
    END,
};

const struct field task_ask_fields[] = {
    TASK_ID, LEASE_ID, {"question", FIELD_TEXT, false, 0, TASK_NOTE_BYTES_MAX, 0, NULL, NULL}, END,
};

const struct field task_renew_fields[] = {
    {"task_id",  FIELD_TEXT,  false, 1, TASK_ID_BYTES_MAX, 0,          NULL, NULL},
    {"lease_id", FIELD_TEXT,  false, 1, LEASE_BYTES_MAX,   0,          NULL, NULL},
    {"leases",   FIELD_TEXTS, false, 1, LEASE_BYTES_MAX,   LEASES_MAX, NULL, NULL},
    END,
};
/* clang-format on */

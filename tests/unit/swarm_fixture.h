/* tests/unit/swarm_fixture.h: agents that join a swarm, and that do what they are given. */
#ifndef WAGGLE_TESTS_SWARM_FIXTURE_H
#define WAGGLE_TESTS_SWARM_FIXTURE_H

#include "tests/unit/people_fixture.h"

/* A call with its params written like printf's. */
__attribute__((format(printf, 3, 4))) static inline enum hub_rc
call(struct principal *who, const char *method, const char *format, ...)
{
    char params[8192];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(params, sizeof params, format, args);
    va_end(args);
    return call_method(t.f, who, method, params);
}

static inline void ok(enum hub_rc rc)
{
    if (rc != HUB_OK) {
        fail_msg("%s: %s", hub_error(rc)->code, message(t.f));
    }
}

static inline void agent_comes(struct principal *who, const char *id, unsigned slots)
{
    ok(call(who, "agents.register",
            "{\"agent_id\":\"%s\",\"agent_type\":\"worker\",\"slots\":%u,\"capabilities\":[\"c\"]}",
            id, slots));
}

static inline void joins(struct principal *who, const char *agent, char *out_swarm,
                         char *out_member)
{
    ok(call(who, "swarm.join", "{\"role\":\"worker\",\"capability\":\"c\",\"agent_id\":\"%s\"}",
            agent));
    (void)snprintf(out_swarm, 64, "%s", text(t.f, "swarm_id"));
    (void)snprintf(out_member, 64, "%s", text(t.f, "member_id"));
}

/* n agents, each a member of one swarm. */
static inline void swarm_with(unsigned n, unsigned slots)
{
    char swarm[64], first[64] = "", member_id[64], id[16];
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(id, sizeof id, "a%u", i);
        agent_comes(t.boss, id, slots);
        joins(t.boss, id, swarm, member_id);
        if (i == 0) {
            memcpy(first, swarm, sizeof first);
        }
        assert_string_equal(swarm, first);
    }
}

static inline void swarm_of(unsigned n)
{
    swarm_with(n, 10);
}

static inline void turns(void)
{
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(t.f);
    }
}

/* Work of somebody else's for that agent alone. */
static inline void other_work_for(const char *agent)
{
    ok(call(t.boss, "tasks.submit", "{\"task_data\":{},\"requirements\":{\"agents\":[\"%s\"]}}",
            agent));
    turns();
}

static inline const char *last_of(const char *agent, const char *field)
{
    char path[64];
    ok(call(t.boss, "tasks.list", "{\"agent_id\":\"%s\",\"limit\":1}", agent));
    (void)snprintf(path, sizeof path, "tasks/0/%s", field);
    return text(t.f, path);
}

/* What an agent makes of its task: a result, or NULL when it fails. */
typedef json_t *make(const char *agent, json_t *data);

/* All tasks that are offered are taken and done; true when there were any. */
static inline bool work_off(make *make_result, const char *but)
{
    bool any = false;
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(t.f);
    }
    ok(call(t.boss, "tasks.list", "{\"status\":\"running\",\"limit\":1000}"));
    json_t *tasks = json_deep_copy(member(t.f, "tasks")), *task;
    size_t i;
    json_array_foreach(tasks, i, task)
    {
        const char *id = json_string_value(json_object_get(task, "task_id"));
        const char *lease = json_string_value(json_object_get(task, "lease_id"));
        const char *by = json_string_value(json_object_get(task, "agent_id"));
        if (but && strcmp(by, but) == 0) {
            continue;
        }
        assert_non_null(lease);
        enum hub_rc rc =
            call(t.boss, "tasks.accept", "{\"task_id\":\"%s\",\"lease_id\":\"%s\"}", id, lease);
        if (rc != HUB_OK) {
            continue; /* cancelled by the end of another */
        }
        t.f->now_ms += 100;
        json_t *result = make_result(by, member(t.f, "task_data"));
        char *text = result ? json_dumps(result, JSON_ENCODE_ANY) : NULL;
        if (text) {
            ok(call(t.boss, "tasks.complete",
                    "{\"task_id\":\"%s\",\"lease_id\":\"%s\",\"result\":%s}", id, lease, text));
        } else {
            ok(call(t.boss, "tasks.fail",
                    "{\"task_id\":\"%s\",\"lease_id\":\"%s\",\"non_retryable\":true}", id, lease));
        }
        free(text);
        json_decref(result);
        any = true;
    }
    json_decref(tasks);
    return any;
}

static inline json_t *doubles(const char *agent, json_t *data)
{
    json_t *items = json_object_get(data, "items"), *item, *out = json_array();
    size_t i;
    (void)agent;
    json_array_foreach(items, i, item)
    {
        json_array_append_new(out, json_integer(2 * json_integer_value(item)));
    }
    return out;
}

static inline json_t *says_own_name(const char *agent, json_t *data)
{
    (void)data;
    return json_string(agent);
}

static inline json_t *a0_fails(const char *agent, json_t *data)
{
    (void)data;
    return strcmp(agent, "a0") == 0 ? NULL : json_string(agent);
}

static inline void status_of(const char *task)
{
    ok(call(t.boss, "swarm.task", "{\"task_id\":\"%s\"}", task));
}

static inline void result_is(const char *wanted)
{
    char *got = json_dumps(member(t.f, "result"), JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
    if (strcmp(got, wanted) != 0) {
        fail_msg("result %s, wanted %s (state %s, %s)", got, wanted, text(t.f, "state"),
                 text(t.f, "error"));
    }
    free(got);
}

#endif

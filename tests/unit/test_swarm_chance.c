/* Work of swarms under chance: agents take tasks, do them, fail, fall silent, go and come back;
 * works are cancelled, time runs out, the hub is stopped and started. Whatever happens: every work
 * has one outcome, no part counts twice, and what was merged is what was done, in the order of the
 * input. */
#include "tests/unit/api_fixture.h"

enum { AGENTS = 4, WORKS = 8, STEPS = 160, RUNS = 10 };

struct run {
    struct fixture *f;
    struct principal *boss;
    char *dir;
    uint64_t seed;
    unsigned works;
    char swarm[64];
};
static struct run run;

__attribute__((format(printf, 2, 3))) static enum hub_rc call(const char *method,
                                                              const char *format, ...)
{
    char params[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(params, sizeof params, format, args);
    va_end(args);
    return call_method(run.f, run.boss, method, params);
}

static void ok(enum hub_rc rc)
{
    if (rc != HUB_OK) {
        fail_msg("%s: %s", hub_error(rc)->code, message(run.f));
    }
}

static unsigned chance(unsigned n)
{
    return (unsigned)(scratch_random(&run.seed) % n);
}

static void turns(void)
{
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(run.f);
    }
}

static void agent_comes(unsigned n)
{
    ok(call("agents.register",
            "{\"agent_id\":\"a%u\",\"agent_type\":\"worker\",\"slots\":3,\"capabilities\":[\"c\","
            "\"reduce\"]}",
            n));
    ok(call("swarm.join",
            *run.swarm ? "{\"role\":\"worker\",\"capability\":\"c\",\"agent_id\":\"a%u\","
                         "\"swarm_id\":\"%s\"}"
                       : "{\"role\":\"worker\",\"capability\":\"c\",\"agent_id\":\"a%u\"}",
            n, run.swarm));
    if (!*run.swarm) {
        (void)snprintf(run.swarm, sizeof run.swarm, "%s", text(run.f, "swarm_id"));
    }
}

static void begin_work(void)
{
    static const char *const strategies[] = {"map-reduce",  "map-reduce",  "broadcast",
                                             "race",        "pipeline",    "scatter-vote",
                                             "distributed", "round-robin", "hierarchical"};
    static const char *const more[] = {"", ",\"require\":2", ",\"require\":0.5",
                                       ",\"reducer\":\"agent\"", ",\"shards\":5"};
    if (run.works == WORKS) {
        return;
    }
    enum hub_rc rc =
        call("swarm.coordinate",
             "{\"task_id\":\"w%u\",\"strategy\":\"%s\",\"swarm_id\":\"%s\",\"parameters\":{"
             "\"items\":[0,1,2,3,4,5,6],\"timeout_seconds\":40%s}}",
             run.works, strategies[chance(sizeof strategies / sizeof *strategies)], run.swarm,
             more[chance(sizeof more / sizeof *more)]);
    run.works += rc == HUB_OK;
    if (rc != HUB_OK && rc != HUB_NOT_FOUND) {
        ok(rc);
    }
}

/* One task, taken or already taken: done with its own items, failed, refused or left lying. */
static void touch_task(bool only_do)
{
    ok(call("tasks.list", "{\"status\":\"running\",\"limit\":100}"));
    size_t n = json_array_size(member(run.f, "tasks"));
    if (n == 0) {
        return;
    }
    json_t *task = json_incref(json_array_get(member(run.f, "tasks"), chance((unsigned)n)));
    const char *id = json_string_value(json_object_get(task, "task_id"));
    const char *lease = json_string_value(json_object_get(task, "lease_id"));
    char both[256];
    (void)snprintf(both, sizeof both, "\"task_id\":\"%s\",\"lease_id\":\"%s\"", id,
                   lease ? lease : "");
    if (call("tasks.accept", "{%s}", both) == HUB_OK) {
        const json_t *data = member(run.f, "task_data");
        char *items = json_dumps(json_object_get(data, "items"), JSON_COMPACT | JSON_ENCODE_ANY);
        unsigned what = only_do ? 0 : chance(10);
        if (what < 6) {
            (void)call("tasks.complete", "{%s,\"result\":%s}", both, items ? items : "\"x\"");
        } else if (what < 8) {
            (void)call("tasks.fail", "{%s,\"non_retryable\":%s}", both,
                       what == 6 ? "true" : "false");
        }
        free(items);
    } else {
        (void)call("tasks.cancel", "{%s}", both); /* it was told to stop */
    }
    json_decref(task);
}

static void restart(void)
{
    fixture_start_ms = run.f->now_ms + 1;
    fixture_close(run.f);
    run.f = fixture_open(run.dir);
}

static void step(void)
{
    static const char *const statuses[] = {"stale", "active", "maintenance", "inactive"};
    unsigned what = chance(40);
    if (what < 5) {
        begin_work();
    } else if (what < 28) {
        touch_task(false);
    } else if (what < 33) {
        run.f->now_ms += chance(4000);
    } else if (what < 35) {
        (void)call("agents.status", "{\"agent_id\":\"a%u\",\"status\":\"%s\"}", chance(AGENTS),
                   statuses[chance(4)]);
    } else if (what < 38) {
        agent_comes(chance(AGENTS));
    } else if (what < 39 && run.works) {
        (void)call("swarm.cancel", "{\"task_id\":\"w%u\"}", chance(run.works));
    } else if (chance(3) == 0) {
        restart();
    }
    turns();
}

/* How often its channel told that the work is over. */
static unsigned ends_told(const char *id)
{
    unsigned ends = 0;
    ok(call("channels.history", "{\"channel\":\"swarm.%s\",\"limit\":1000}", run.swarm));
    json_t *events = member(run.f, "events"), *event;
    size_t i;
    json_array_foreach(events, i, event)
    {
        const json_t *data = json_object_get(event, "data");
        const char *task = json_string_value(json_object_get(data, "task_id"));
        const char *name = json_string_value(json_object_get(event, "event"));
        ends += task && strcmp(task, id) == 0 &&
                (strcmp(name, "completed") == 0 || strcmp(name, "partial") == 0 ||
                 strcmp(name, "failed") == 0 || strcmp(name, "cancelled") == 0);
    }
    return ends;
}

/* The results of the parts that counted: in order, as they are or taken apart. */
static json_t *parts_that_counted(bool apart, json_int_t *out_done)
{
    json_t *shards = member(run.f, "shards"), *shard, *out = json_array();
    size_t i;
    *out_done = 0;
    json_array_foreach(shards, i, shard)
    {
        bool done = strcmp(json_string_value(json_object_get(shard, "status")), "done") == 0;
        json_t *result = json_object_get(shard, "result");
        if (!done || json_is_true(json_object_get(shard, "late"))) {
            continue;
        }
        ++*out_done;
        if (apart && json_is_array(result)) {
            json_array_extend(out, result);
        } else {
            json_array_append(out, result);
        }
    }
    return out;
}

static void check_work(unsigned n)
{
    char id[16];
    json_int_t done;
    (void)snprintf(id, sizeof id, "w%u", n);
    if (ends_told(id) != 1) {
        char *told = json_dumps(run.f->answer, JSON_COMPACT);
        fail_msg("%s ended %u times: %s", id, ends_told(id), told);
    }
    ok(call("swarm.task", "{\"task_id\":\"%s\"}", id));
    const char *state = text(run.f, "state"), *strategy = text(run.f, "coordination_strategy");
    bool merged = strcmp(state, "completed") == 0 || strcmp(state, "partial") == 0;
    bool maps = strcmp(strategy, "map-reduce") == 0;
    bool lists = strcmp(strategy, "broadcast") == 0 || strcmp(strategy, "distributed") == 0 ||
                 strcmp(strategy, "round-robin") == 0;
    assert_true(merged || strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0);
    json_t *counted = parts_that_counted(maps, &done);
    assert_int_equal(done, json_integer_value(member(run.f, "parts/done")));
    assert_true(done + json_integer_value(member(run.f, "parts/failed")) <=
                json_integer_value(member(run.f, "parts/total")));
    if (merged && (maps || lists) && json_is_array(member(run.f, "result")) &&
        !json_equal(member(run.f, "result"), counted)) {
        char *got = json_dumps(run.f->answer, JSON_COMPACT);
        fail_msg("%s", got);
    }
    if (merged) {
        assert_true(done > 0);
    }
    json_decref(counted);
}

static void everything_ends(void)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        agent_comes(i);
    }
    for (unsigned i = 0; i < 60; i++) {
        touch_task(true);
        turns();
    }
    for (unsigned i = 0; i < 30; i++) {
        run.f->now_ms += 3000; /* past every deadline */
        turns();
    }
}

static void one_run(uint64_t seed, const char *dir)
{
    run = (struct run){.seed = seed, .dir = xstrdup(dir)};
    fixture_start_ms = 1795196061000;
    run.f = fixture_open(dir);
    run.boss = person(ROLE_ADMIN, "boss");
    for (unsigned i = 0; i < AGENTS; i++) {
        agent_comes(i);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        step();
    }
    everything_ends();
    for (unsigned n = 0; n < run.works; n++) {
        check_work(n);
    }
    ok(call("swarm.status", "{\"swarm_id\":\"%s\"}", run.swarm));
    assert_int_equal(json_integer_value(member(run.f, "0/performance_metrics/coordinations")),
                     run.works);
    assert_int_equal(json_integer_value(member(run.f, "0/active_tasks")), 0);
    fixture_close(run.f);
    principal_unref(run.boss);
    free(run.dir);
}

static void whatever_happens_a_work_has_one_outcome(void **state)
{
    uint64_t seed = scratch_seed();
    for (unsigned i = 0; i < RUNS; i++) {
        char dir[4200];
        (void)snprintf(dir, sizeof dir, "%s/%u", (const char *)*state, i);
        print_message("run %u: seed %llu\n", i, (unsigned long long)(seed + i));
        one_run(seed + i, dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {scratch_test(whatever_happens_a_work_has_one_outcome)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

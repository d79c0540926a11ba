/* tests/unit/task_fixture.h: a hub with those who ask for tasks and those who do them, and what
 * either says. The task and the lease that were named last are kept. */
#ifndef WAGGLE_TESTS_TASK_FIXTURE_H
#define WAGGLE_TESTS_TASK_FIXTURE_H

#include "tests/unit/people_fixture.h"

static inline void settle(void)
{
    for (int i = 0; i < 6; i++) {
        fixture_turn(t.f);
    }
}

static inline void wait_ms(int64_t ms)
{
    t.f->now_ms += ms;
    settle();
}

static inline enum hub_rc post(const struct principal *who, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "path body" */
static inline enum hub_rc post(const struct principal *who, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *body = strchr(text, ' ');
    if (body) {
        *body++ = '\0';
    }
    enum hub_rc rc = request(t.f, who, METHOD_POST, text, body);
    settle();
    return rc;
}

static inline void agent_comes(const struct principal *who, const char *id, const char *rest)
{
    assert_int_equal(
        post(who, "/agents/register {\"agent_id\":\"%s\",\"agent_type\":\"worker\"%s}", id, rest),
        HUB_OK);
}

static inline void submit(const char *rest)
{
    assert_int_equal(post(t.boss, "/tasks/submit {\"task_data\":{\"n\":1}%s}", rest), HUB_OK);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "task_id"));
}

/* The task as its agent sees it; its lease is kept. */
static inline const char *state_of(const struct principal *who, const char *id)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/tasks/%s", id);
    assert_int_equal(request(t.f, who, METHOD_GET, path, NULL), HUB_OK);
    const char *lease = text(t.f, "task/lease_id");
    if (strcmp(lease, "(none)") != 0) {
        (void)snprintf(t.lease, sizeof t.lease, "%s", lease);
    }
    return text(t.f, "task/state");
}

static inline enum hub_rc report(const struct principal *who, const char *what, const char *rest)
{
    return post(who, "/tasks/%s/%s {\"lease_id\":\"%s\"%s}", t.task, what, t.lease, rest);
}

static inline void accepted(void)
{
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
}

static inline void departs(const char *id)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/agents/%s/status", id);
    assert_int_equal(request(t.f, t.bee, METHOD_PUT, path, "{\"status\":\"inactive\"}"), HUB_OK);
    settle();
}

#endif

/* What is kept in memory of tasks at work (hub/tasks/kept.c) and of kinds of tasks (workers.c), and
 * what is not: nobody sees the difference. */
#include "tests/unit/task_fixture.h"

/* Through every kind of change; what it was asked for is there at the end as at the beginning. */
static void goes_all_the_way(const char *avoided)
{
    assert_string_equal(state_of(t.boss, t.task), "leased");
    assert_string_equal(text(t.f, "task/requirements/avoid/0"), avoided);
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    wait_ms(5000);
    accepted();
    assert_int_equal(report(t.bee, "progress", ",\"percent\":40,\"note\":\"half\""), HUB_OK);
    assert_int_equal(report(t.bee, "ask", ",\"question\":\"which?\""), HUB_OK);
    assert_int_equal(post(t.boss, "/tasks/%s/input {\"input\":{\"this\":1}}", t.task), HUB_OK);
    accepted();
    assert_int_equal(json_integer_value(member(t.f, "input/this")), 1);
    assert_int_equal(report(t.bee, "fail", ",\"error\":\"broke\",\"retry_after\":0"), HUB_OK);
    wait_ms(10);
    accepted();
    assert_string_equal(state_of(t.boss, t.task), "running");
    assert_string_equal(text(t.f, "task/error"), "broke");
    assert_int_equal(json_integer_value(member(t.f, "task/attempts")), 1);
    assert_int_equal(report(t.bee, "complete", ",\"result\":3"), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "completed");
    assert_string_equal(text(t.f, "task/requirements/avoid/0"), avoided);
}

static void a_task_with_more_text_than_is_kept_goes_all_the_way(void **state)
{
    enum { WORDS = 26, WORD = 100 };
    char word[WORD + 1], body[WORDS * (WORD + 3) + 100];
    (void)state;
    memset(word, 'x', WORD);
    word[WORD] = '\0';
    int n = snprintf(body, sizeof body, "{\"task_data\":{},\"requirements\":{\"avoid\":[");
    for (int i = 0; i < WORDS; i++) {
        word[WORD - 1] = (char)('A' + i);
        n += snprintf(body + n, sizeof body - (size_t)n, "%s\"%s\"", i ? "," : "", word);
    }
    (void)snprintf(body + n, sizeof body - (size_t)n, "]}}");
    agent_comes(t.bee, "b1", "");
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/tasks/submit", body), HUB_OK);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "task_id"));
    settle();
    word[WORD - 1] = 'A';
    goes_all_the_way(word);
}

/* Tasks that nobody can do, many in a turn. */
static void others_wait(int n)
{
    struct buf word = {0};
    pack_slice(&word, slice_str("flying"));
    struct task_submit submit = {
        .asker = {.subject = slice_str("boss")},
        .spec = {.needs.capabilities = {.n = 1, .packed = buf_slice(&word)}}};
    for (int i = 0; i < n; i++) {
        struct command *command =
            io_command(&t.f->io, &command_task_submit, 1, (struct return_address){0}, 0);
        struct buf *arena = io_arena(&t.f->io);
        command->flags |= COMMAND_SILENT;
        command->body_at = (uint32_t)arena->n;
        task_submit_put(arena, &submit);
        command->body_n = (uint32_t)arena->n - command->body_at;
        if (i % 256 == 255) {
            fixture_turn(t.f);
        }
    }
    buf_done(&word);
    settle();
}

static void a_task_whose_place_another_took_goes_all_the_way(void **state)
{
    enum { BETWEEN = 1 << 14 };
    (void)state;
    submit(",\"requirements\":{\"avoid\":[\"b2\"]}");
    others_wait(BETWEEN);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/status", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/states/queued")), BETWEEN + 1);
    agent_comes(t.bee, "b1", "");
    goes_all_the_way("b2");
}

static void cancelled(const char *rest)
{
    submit(rest);
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    settle();
}

/* Who fits a kind of task is known once and kept for a while when no such task is left. */
static void a_kind_that_rested_knows_who_came_and_went_meanwhile(void **state)
{
    static const char needs[] = ",\"requirements\":{\"capabilities\":[\"dance\"]}";
    (void)state;
    agent_comes(t.other, "b0", "");
    cancelled(needs);
    submit(needs);
    assert_string_equal(state_of(t.boss, t.task), "queued"); /* nobody can */
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    agent_comes(t.bee, "b1", ",\"capabilities\":[\"dance\"]");
    submit(needs);
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_OK);
    submit(needs);
    assert_string_equal(state_of(t.boss, t.task), "queued");
    char waits[64];
    (void)snprintf(waits, sizeof waits, "%s", t.task);
    for (unsigned i = 0; i < 200; i++) { /* more kinds than are kept, this one in use or not */
        char other[100];
        (void)snprintf(other, sizeof other,
                       ",\"requirements\":{\"capabilities\":[\"c%u\",\"dance\"]}", i % 90);
        cancelled(other);
    }
    agent_comes(t.bee, "b2", ",\"capabilities\":[\"dance\"]");
    (void)snprintf(t.task, sizeof t.task, "%s", waits);
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    submit(needs);
    accepted();
}

/* More kinds than are remembered without a task, in turn; an agent that comes meanwhile is known to
 * those of them that it fits. */
static void kinds_of_tasks_come_back_whatever_came_between(void **state)
{
    enum { KINDS = 70, TURNS = 3 };
    char wish[64];
    (void)state;
    agent_comes(t.bee, "b1", "");
    for (int i = 0; i < KINDS * TURNS; i++) {
        if (i == KINDS * 2) {
            agent_comes(t.bee, "b2", "");
            departs("b1");
        }
        (void)snprintf(wish, sizeof wish, ",\"requirements\":{\"avoid\":[\"b%d\"]}",
                       10 + i % KINDS);
        submit(wish);
        accepted();
        assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    }
    submit(",\"requirements\":{\"avoid\":[\"b2\"]}");
    assert_string_equal(state_of(t.boss, t.task), "queued");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_kind_that_rested_knows_who_came_and_went_meanwhile),
        CLAIM(kinds_of_tasks_come_back_whatever_came_between),
        CLAIM(a_task_with_more_text_than_is_kept_goes_all_the_way),
        CLAIM(a_task_whose_place_another_took_goes_all_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

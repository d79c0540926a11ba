/* How an agent hears of rounds and gets its ballots to the hub, the hub's side being played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/digest.h"
#include "hub/cli/agent_sealed.h"
#include "hub/cli/agent_votes.h"
#include "hub/cli/http.h"

struct stage {
    struct agent_votes *votes;
    struct buf sent; /* the newest frame */
    unsigned sent_n;
    char said[300];
    unsigned said_n;
};

static void on_send(void *ctx, struct slice frame)
{
    struct stage *s = ctx;
    buf_clear(&s->sent);
    buf_add_slice(&s->sent, frame);
    s->sent_n++;
}

static void on_say(void *ctx, const char *round_id, const char *what)
{
    struct stage *s = ctx;
    snprintf(s->said, sizeof s->said, "%s: %s", round_id, what);
    s->said_n++;
}

static int set_up(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    struct agent_votes_options options = {
        .voter = {.id = "bee", .how = "random"}, .send = on_send, .say = on_say, .ctx = s};
    s->votes = agent_votes_new(&options);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *s = *state;
    agent_votes_free(s->votes);
    buf_done(&s->sent);
    free(s);
    return 0;
}

static bool hear(struct stage *s, const char *text)
{
    struct hub_frame frame;
    assert_int_equal(hub_frame_read(slice_str(text), &frame), JSON_OK);
    return agent_votes_frame(s->votes, &frame);
}

static bool sent_has(struct stage *s, const char *what)
{
    return strstr(buf_text(&s->sent), what) != NULL;
}

static void opened(struct stage *s, const char *id)
{
    char text[200];
    snprintf(text, sizeof text,
             "{\"type\":\"event\",\"channel\":\"consensus\",\"event\":\"opened\",\"data\":{"
             "\"round_id\":\"%s\"}}",
             id);
    assert_true(hear(s, text));
}

static void shown(struct stage *s, const char *id, const char *voted)
{
    char text[700];
    snprintf(
        text, sizeof text,
        "{\"type\":\"result\",\"id\":102,\"result\":{\"round_id\":\"%s\",\"rule\":\"majority\","
        "\"status\":\"open\",\"options\":[\"yes\",\"no\"],\"digest\":\"%064d\","
        "\"electorate\":[{\"id\":\"bee\",\"voted\":%s}]}}",
        id, 7, voted);
    assert_true(hear(s, text));
}

#define COMMITTED "{\"type\":\"result\",\"id\":104,\"result\":{\"commitment\":\"taken\"}}"

static void shown_in(struct stage *s, const char *id, const char *phase, const char *committed)
{
    char text[700];
    snprintf(
        text, sizeof text,
        "{\"type\":\"result\",\"id\":102,\"result\":{\"round_id\":\"%s\",\"rule\":\"majority\","
        "\"status\":\"open\",\"phase\":\"%s\",\"options\":[\"yes\",\"no\"],\"digest\":\"%064d\","
        "\"electorate\":[{\"id\":\"bee\",\"committed\":%s,\"voted\":false}]}}",
        id, phase, 7, committed);
    assert_true(hear(s, text));
}

static void tell(struct stage *s, const char *event, const char *id)
{
    char text[200];
    snprintf(text, sizeof text,
             "{\"type\":\"event\",\"channel\":\"consensus\",\"event\":\"%s\",\"data\":{"
             "\"round_id\":\"%s\"}}",
             event, id);
    assert_true(hear(s, text));
}

static void commit_to(struct stage *s, const char *id)
{
    opened(s, id);
    shown_in(s, id, "commit", "false");
    assert_true(sent_has(s, "consensus.commit") && sent_has(s, id) && !sent_has(s, "nonce"));
    assert_true(hear(s, COMMITTED));
}

#define TAKEN "{\"type\":\"result\",\"id\":103,\"result\":{\"ballot\":\"taken\"}}"

static void one_round_is_looked_at_after_another(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    opened(s, "r-2");
    opened(s, "r-2");
    assert_int_equal(s->sent_n, 1);
    assert_true(sent_has(s, "consensus.get") && sent_has(s, "r-1"));
    shown(s, "r-1", "false");
    assert_true(sent_has(s, "consensus.vote") && sent_has(s, "r-1"));
    assert_true(agent_votes_busy(s->votes));
    assert_true(hear(s, TAKEN));
    assert_string_equal(s->said, "r-1: ballot taken");
    assert_true(sent_has(s, "consensus.get") && sent_has(s, "r-2"));
    shown(s, "r-2", "true");
    assert_int_equal(s->sent_n, 3); /* it has voted there */
    assert_false(agent_votes_busy(s->votes));
}

static void a_ballot_whose_answer_was_lost_is_sent_again_as_it_was(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    shown(s, "r-1", "false");
    char *ballot = strdup(buf_text(&s->sent));
    agent_votes_registered(s->votes);
    assert_string_equal(buf_text(&s->sent), ballot);
    free(ballot);
    assert_true(hear(s, TAKEN));
    unsigned n = s->sent_n;
    assert_true(hear(s, TAKEN)); /* the first answer after all */
    assert_int_equal(s->sent_n, n);
}

static void after_a_registration_open_rounds_are_asked_for_page_by_page(void **state)
{
    struct stage *s = *state;
    agent_votes_registered(s->votes);
    assert_true(sent_has(s, "consensus.list") && sent_has(s, "\"status\":\"open\""));
    assert_true(hear(s, "{\"type\":\"result\",\"id\":101,\"result\":{\"rounds\":[{\"round_id\":"
                        "\"r-1\"}],\"next_cursor\":null}}"));
    assert_true(sent_has(s, "consensus.get") && sent_has(s, "r-1"));
    assert_true(hear(s, "{\"type\":\"result\",\"id\":101,\"result\":{\"rounds\":[],"
                        "\"next_cursor\":\"c-2\"}}"));
    assert_true(sent_has(s, "\"cursor\":\"c-2\""));
}

static void what_the_hub_has_no_time_for_is_said_again_after_a_pause(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    assert_int_equal(agent_votes_next_ms(s->votes), INT64_MAX);
    assert_true(
        hear(s, "{\"type\":\"error\",\"id\":102,\"code\":\"rate_limited\",\"status\":429}"));
    assert_int_not_equal(agent_votes_next_ms(s->votes), INT64_MAX);
    agent_votes_turn(s->votes);
    assert_int_equal(s->sent_n, 1); /* not yet */
    assert_true(hear(s, "{\"type\":\"error\",\"id\":102,\"code\":\"not_found\",\"status\":404,"
                        "\"message\":\"gone\"}"));
    assert_string_equal(s->said, "r-1: no ballot: gone");
    assert_int_equal(agent_votes_next_ms(s->votes), INT64_MAX);
}

static void rounds_past_the_bound_are_asked_for_when_there_is_room(void **state)
{
    struct stage *s = *state;
    char id[32];
    for (unsigned i = 0; i < VOTES_WAITING_MAX + 2; i++) {
        snprintf(id, sizeof id, "r-%u", i);
        opened(s, id);
    }
    for (unsigned i = 0; i <= VOTES_WAITING_MAX; i++) {
        assert_true(sent_has(s, "consensus.get"));
        shown(s, "any", "true");
    }
    assert_true(sent_has(s, "consensus.list"));
}

static void a_gap_in_what_was_heard_is_closed_by_asking(void **state)
{
    struct stage *s = *state;
    assert_true(hear(s, "{\"type\":\"gap\",\"channel\":\"consensus\",\"from\":1,\"to\":3}"));
    assert_true(sent_has(s, "consensus.list"));
    assert_false(hear(s, "{\"type\":\"gap\",\"channel\":\"agent.bee\",\"from\":1,\"to\":3}"));
}

static void who_is_about_to_leave_begins_no_round(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    opened(s, "r-2");
    agent_votes_stop(s->votes);
    shown(s, "r-1", "false");
    opened(s, "r-3");
    assert_int_equal(s->sent_n, 1);
    assert_false(agent_votes_busy(s->votes));
}

static void
ballots_committed_to_wait_while_others_are_cast_and_are_shown_when_theirs_reveal(void **state)
{
    struct stage *s = *state;
    commit_to(s, "r-1");
    commit_to(s, "r-2");
    opened(s, "r-3");
    shown(s, "r-3", "false");
    assert_true(sent_has(s, "consensus.vote") && sent_has(s, "r-3") && !sent_has(s, "nonce"));
    assert_true(hear(s, TAKEN));
    tell(s, "revealing", "another");
    tell(s, "revealing", "r-2");
    assert_true(sent_has(s, "consensus.get") && sent_has(s, "r-2"));
    shown_in(s, "r-2", "reveal", "true");
    assert_true(sent_has(s, "consensus.vote") && sent_has(s, "r-2") && sent_has(s, "nonce"));
    assert_true(hear(s, TAKEN));
    assert_string_equal(s->said, "r-2: ballot taken");
    assert_true(agent_votes_busy(s->votes)); /* r-1 */
    tell(s, "closed", "r-1");
    shown(s, "r-1", "true");
    assert_false(agent_votes_busy(s->votes));
}

static void a_reveal_that_comes_before_the_answer_to_the_commitment_is_not_missed(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    shown_in(s, "r-1", "commit", "false");
    tell(s, "revealing", "r-1");
    assert_true(sent_has(s, "consensus.commit"));
    assert_true(hear(s, COMMITTED));
    assert_true(sent_has(s, "consensus.get"));
    shown_in(s, "r-1", "reveal", "true");
    assert_true(sent_has(s, "consensus.vote") && sent_has(s, "nonce"));
}

static void a_reveal_that_went_unheard_is_found_after_a_registration_and_after_a_gap(void **state)
{
    struct stage *s = *state;
    commit_to(s, "r-1");
    for (unsigned i = 0; i < 2; i++) {
        if (i) {
            assert_true(
                hear(s, "{\"type\":\"gap\",\"channel\":\"consensus\",\"from\":1,\"to\":3}"));
        } else {
            agent_votes_registered(s->votes);
        }
        assert_true(hear(s, "{\"type\":\"result\",\"id\":101,\"result\":{\"rounds\":[]}}"));
        assert_true(sent_has(s, "consensus.get") && sent_has(s, "r-1"));
        shown_in(s, "r-1", i ? "reveal" : "commit", "true");
    }
    assert_true(sent_has(s, "consensus.vote") && sent_has(s, "nonce"));
}

static void a_commitment_whose_answer_was_lost_is_sent_again_as_it_was(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    shown_in(s, "r-1", "commit", "false");
    char *commitment = strdup(buf_text(&s->sent));
    agent_votes_registered(s->votes);
    assert_string_equal(buf_text(&s->sent), commitment);
    free(commitment);
}

static void who_did_not_make_the_commitment_says_that_it_cannot_show_the_ballot(void **state)
{
    struct stage *s = *state;
    opened(s, "r-1");
    shown_in(s, "r-1", "commit", "true");
    assert_non_null(strstr(s->said, "r-1: its ballot cannot be shown"));
    opened(s, "r-2");
    shown_in(s, "r-2", "reveal", "true");
    assert_non_null(strstr(s->said, "r-2: its ballot cannot be shown"));
    assert_int_equal(s->sent_n, 2);
}

static void who_is_about_to_leave_still_shows_what_it_committed_to(void **state)
{
    struct stage *s = *state;
    commit_to(s, "r-1");
    agent_votes_stop(s->votes);
    shown_in(s, "r-1", "commit", "true");
    assert_true(agent_votes_busy(s->votes));
    tell(s, "revealing", "r-1");
    shown_in(s, "r-1", "reveal", "true");
    assert_true(sent_has(s, "consensus.vote") && sent_has(s, "nonce"));
    assert_true(hear(s, TAKEN));
    assert_false(agent_votes_busy(s->votes));
}

static void past_the_bound_of_ballots_that_wait_nothing_is_committed_to(void **state)
{
    struct stage *s = *state;
    char id[32];
    for (unsigned i = 0; i < SEALED_MAX; i++) {
        snprintf(id, sizeof id, "r-%u", i);
        commit_to(s, id);
    }
    opened(s, "more");
    shown_in(s, "more", "commit", "false");
    assert_string_equal(s->said, "more: no ballot: too many wait to be shown");
    assert_true(sent_has(s, "consensus.get"));
    unsigned n = s->said_n;
    agent_votes_free(s->votes);
    assert_int_equal(s->said_n, n + SEALED_MAX);
    s->votes = NULL;
}

int main(void)
{
#define STAGED(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STAGED(one_round_is_looked_at_after_another),
        STAGED(a_ballot_whose_answer_was_lost_is_sent_again_as_it_was),
        STAGED(after_a_registration_open_rounds_are_asked_for_page_by_page),
        STAGED(what_the_hub_has_no_time_for_is_said_again_after_a_pause),
        STAGED(rounds_past_the_bound_are_asked_for_when_there_is_room),
        STAGED(a_gap_in_what_was_heard_is_closed_by_asking),
        STAGED(who_is_about_to_leave_begins_no_round),
        STAGED(ballots_committed_to_wait_while_others_are_cast_and_are_shown_when_theirs_reveal),
        STAGED(a_reveal_that_comes_before_the_answer_to_the_commitment_is_not_missed),
        STAGED(a_reveal_that_went_unheard_is_found_after_a_registration_and_after_a_gap),
        STAGED(a_commitment_whose_answer_was_lost_is_sent_again_as_it_was),
        STAGED(who_did_not_make_the_commitment_says_that_it_cannot_show_the_ballot),
        STAGED(who_is_about_to_leave_still_shows_what_it_committed_to),
        STAGED(past_the_bound_of_ballots_that_wait_nothing_is_committed_to),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

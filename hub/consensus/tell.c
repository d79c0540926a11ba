/* Events of rounds: opened, revealing and closed go to `consensus` too, commitments and ballots to
 * the round's own channel alone. */
#include "channels/json_members.h"
#include "hub/consensus/module_parts.h"

struct telling {
    struct buf data;
    struct json_out o;
};

static void telling_begin(struct telling *t, const struct round *r)
{
    *t = (struct telling){0};
    t->o = json_out_to(&t->data);
    json_begin(&t->o, '{');
    put_text(&t->o, "round_id", r->id);
    if (r->reference.n) {
        put_text(&t->o, "reference", r->reference);
    }
    json_key(&t->o, "status");
    json_str(&t->o, round_status_name(r->status));
    put_count(&t->o, "seats", r->seats_n);
    put_count(&t->o, "voted", r->voted_n);
}

/* summary: the channel of all rounds hears it too. */
static enum hub_rc telling_end(struct apply *a, struct telling *t, const struct round *r,
                               const char *event, bool summary)
{
    struct buf channel = {0};
    json_key(&t->o, "at");
    json_time(&t->o, a->now_ms);
    json_end(&t->o, '}');
    round_channel(&channel, r->id);
    enum hub_rc rc = apply_tell(a, r->app, buf_slice(&channel), event, buf_slice(&t->data));
    if (rc == HUB_OK && summary) {
        rc = apply_tell(a, r->app, slice_str("consensus"), event, buf_slice(&t->data));
    }
    buf_done(&channel);
    buf_done(&t->data);
    return rc;
}

enum hub_rc round_tell_opened(struct apply *a, const struct round *r)
{
    struct telling t;
    struct slice rest = r->options, option;
    telling_begin(&t, r);
    put_text(&t.o, "question", r->question);
    json_key(&t.o, "rule");
    json_str(&t.o, tally_rule_name(r->terms.rule));
    json_key(&t.o, "options");
    json_begin(&t.o, '[');
    while (round_option_next(&rest, &option)) {
        json_text(&t.o, option);
    }
    json_end(&t.o, ']');
    json_key(&t.o, "deadline");
    json_time(&t.o, r->deadline_ms);
    if (r->reveal_ms) {
        json_key(&t.o, "reveal_at");
        json_time(&t.o, r->reveal_ms);
    }
    if (r->runoff_of.n) {
        put_text(&t.o, "runoff_of", r->runoff_of);
    }
    return telling_end(a, &t, r, "opened", true);
}

enum hub_rc round_tell_closed(struct apply *a, const struct paper *paper, const struct round *r,
                              const struct tally_result *result, const struct why *why)
{
    struct telling t;
    telling_begin(&t, r);
    json_key(&t.o, "stop_reason");
    json_str(&t.o, round_stop_name(r->stop));
    if (result) {
        json_key(&t.o, "outcome");
        paper_outcome_json(&t.o, paper, result);
    }
    if (r->runoff.n) {
        put_text(&t.o, "runoff", r->runoff);
    }
    why_said(&t.o, why);
    return telling_end(a, &t, r, "closed", true);
}

enum hub_rc round_tell_ballot(struct apply *a, const struct round *r, struct slice voter,
                              const struct round_ballot *ballot, const char *event)
{
    struct telling t;
    struct paper paper;
    telling_begin(&t, r);
    put_text(&t.o, "voter", voter);
    put_count(&t.o, "version", ballot->version);
    if (r->open_ballots) {
        round_paper_frozen(r, &paper);
        ballot_vote_json(&t.o, tally_form_of(r->terms.rule), paper.options, ballot);
        paper_done(&paper);
    }
    return telling_end(a, &t, r, event, false);
}

enum hub_rc round_tell_committed(struct apply *a, const struct round *r, struct slice voter)
{
    struct telling t;
    telling_begin(&t, r);
    put_count(&t.o, "committed", r->committed_n);
    put_text(&t.o, "voter", voter);
    return telling_end(a, &t, r, "committed", false);
}

enum hub_rc round_tell_revealing(struct apply *a, const struct round *r)
{
    struct telling t;
    telling_begin(&t, r);
    put_count(&t.o, "committed", r->committed_n);
    return telling_end(a, &t, r, "revealing", true);
}

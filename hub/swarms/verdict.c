#include "hub/swarms/verdict.h"

#include <stdlib.h>

void swarm_consensus_put(struct buf *b, const struct swarm_consensus *c)
{
    asker_put(b, &c->asker);
    pack_slice(b, c->task_id);
    pack_u8(b, (uint8_t)c->rule);
    pack_u32(b, c->threshold.over);
    pack_u32(b, c->threshold.under);
    pack_u8(b, c->rule_said);
    pack_u8(b, c->threshold_said);
    pack_i64(b, c->timeout_ms);
    pack_i64(b, c->wait_ms);
    pack_u32(b, c->options.n);
    pack_slice(b, c->options.packed);
}

static bool consensus_get(struct slice body, struct swarm_consensus *c)
{
    struct unpack u = unpack_of(body);
    c->asker = asker_get(&u);
    c->task_id = unpack_slice(&u);
    uint8_t rule = unpack_u8(&u);
    c->rule = (enum tally_rule)rule;
    c->threshold.over = unpack_u32(&u);
    c->threshold.under = unpack_u32(&u);
    c->rule_said = unpack_u8(&u) != 0;
    c->threshold_said = unpack_u8(&u) != 0;
    c->timeout_ms = unpack_i64(&u);
    c->wait_ms = unpack_i64(&u);
    c->options.n = unpack_u32(&u);
    c->options.packed = unpack_slice(&u);
    return unpack_done(&u) && rule < TALLY_RULES;
}

/* ---- answers ---- */

/* What the part's result says, as an option; empty when it says nothing that could be one. */
static struct slice answer_of(struct apply *a, const struct work *w, const struct work_part *part,
                              struct buf *out)
{
    struct slice text;
    json_t *result = NULL;
    buf_clear(out);
    if (part->state == PART_DONE && part->won &&
        task_document(a->view, part->won, TASK_RESULT, &text) == STORE_OK) {
        result = json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY, NULL);
    }
    char *field = w->field.n ? xstrndup(w->field.p, w->field.n) : NULL;
    const json_t *value = field && json_is_object(result) ? json_object_get(result, field) : result;
    char *key = value && !json_is_null(value) ? vote_key(value) : NULL;
    if (key && strlen(key) <= ROUND_OPTION_BYTES_MAX) {
        buf_add_str(out, key);
    }
    free(key);
    free(field);
    json_decref(result);
    return buf_slice(out);
}

static enum hub_rc cast(struct apply *a, const struct round *round, struct slice voter,
                        struct slice answer)
{
    struct consensus_vote vote = {
        .asker = {.subject = voter, .all = true}, .round_id = round->id, .voter = voter};
    struct slice rest = round->options, option;
    uint32_t at = 0;
    while (round_option_next(&rest, &option) && !slice_equal(option, answer)) {
        at++;
    }
    if (at >= round->options_n || tally_form_of(round->terms.rule) == FORM_SCORE) {
        return HUB_OK; /* no option that this round knows */
    }
    vote.ballot.vote.confidence = TALLY_ONE;
    vote.ballot.vote.choices_n = 1;
    vote.ballot.vote.choices[0] = (uint8_t)at;
    enum hub_rc rc = consensus_vote_inside(a, &vote);
    /* Who did several parts has one vote, the first; who voted itself meanwhile has that one; a
     * helper from outside has none, and unsigned answers do not count where ballots are signed. */
    return rc == HUB_ALREADY_VOTED || rc == HUB_NOT_ELIGIBLE || rc == HUB_FORBIDDEN ||
                   rc == HUB_ROUND_CLOSED || rc == HUB_BAD_REQUEST
               ? HUB_OK
               : rc;
}

static enum hub_rc cast_part(struct apply *a, const struct round *round, const struct work *w,
                             const struct work_part *part)
{
    struct buf answer = {0}, voter = {0};
    struct agent agent;
    enum hub_rc rc = HUB_OK;
    struct slice said = answer_of(a, w, part, &answer);
    if (said.n && part->agent && agent_get(a->view, part->agent, &agent) == STORE_OK) {
        buf_add_slice(&voter, agent.id);
        rc = cast(a, round, buf_slice(&voter), said);
    }
    buf_done(&answer);
    buf_done(&voter);
    return rc;
}

enum hub_rc verdict_answered(struct apply *a, const struct work *w, const struct work_part *part)
{
    struct round found, round;
    struct buf bytes = {0};
    if (!w->round || round_get(a->view, (uint32_t)w->round, &found) != STORE_OK ||
        found.status != ROUND_OPEN) {
        return HUB_OK;
    }
    round_copy(&found, &bytes, &round);
    enum hub_rc rc = cast_part(a, &round, w, part);
    buf_done(&bytes);
    return rc;
}

/* ---- opening ---- */

struct opening {
    struct apply *a;
    const struct swarm_consensus *ask;
    const struct work *work;
    struct buf text; /* of options and members */
    struct words options;
    struct words members;
    struct buf option_bytes, member_bytes;
};

static void add_word(struct words *words, struct buf *bytes, struct slice word, uint32_t max)
{
    words->packed = buf_slice(bytes);
    if (word.n && words->n < max && !words_have(words, word)) {
        pack_slice(bytes, word);
        words->n++;
    }
    words->packed = buf_slice(bytes);
}

static void gather_options(struct opening *o)
{
    struct slice rest = o->ask->options.packed, word;
    while (words_next(&rest, &word)) {
        add_word(&o->options, &o->option_bytes, word, TALLY_OPTIONS_MAX);
    }
    for (uint32_t i = 0; !o->ask->options.n && i < o->work->division.parts_n; i++) {
        struct work_part part;
        if (work_part_get(o->a->view, o->work->number, i, &part) == STORE_OK) {
            add_word(&o->options, &o->option_bytes, answer_of(o->a, o->work, &part, &o->text),
                     TALLY_OPTIONS_MAX);
        }
    }
    if (o->options.n == 0) {
        add_word(&o->options, &o->option_bytes, slice_str("approve"), TALLY_OPTIONS_MAX);
        add_word(&o->options, &o->option_bytes, slice_str("reject"), TALLY_OPTIONS_MAX);
    }
}

/* The agent votes for its member; a member without one by the name that it joined under. */
static void gather_members(struct opening *o)
{
    struct slice rest = slice_of(NULL, 0);
    struct work_member m;
    struct member row;
    (void)work_document(o->a->view, o->work->number, WORK_MEMBERS, &rest);
    while (work_member_next(&rest, &m)) {
        struct slice voter = m.agent;
        if (!voter.n && member_find(o->a->view, o->work->app, m.id, &row) == STORE_OK) {
            voter = row.agent;
        }
        add_word(&o->members, &o->member_bytes, voter, TALLY_SEATS_MAX);
    }
}

static enum hub_rc open_round(struct opening *o, struct consensus_opened *out,
                              struct consensus_refusal *refusal)
{
    struct slice rest = o->options.packed, options[TALLY_OPTIONS_MAX] = {{0}};
    struct consensus_member *members = xcalloc((size_t)o->members.n + 1, sizeof *members);
    for (uint32_t i = 0; i < o->options.n; i++) {
        (void)words_next(&rest, &options[i]);
    }
    rest = o->members.packed;
    for (uint32_t i = 0; i < o->members.n; i++) {
        (void)words_next(&rest, &members[i].id);
        members[i].weight = 1;
    }
    buf_clear(&o->text);
    buf_add_str(&o->text, "What is the result of ");
    buf_add_slice(&o->text, o->work->id);
    buf_add_str(&o->text, "?");
    struct consensus_spec spec = {.owner = o->ask->asker.subject,
                                  .reference = o->work->id,
                                  .question = buf_slice(&o->text),
                                  .terms = {.rule = o->ask->rule,
                                            .threshold = o->ask->threshold,
                                            .quorum = {1, 2},
                                            .quorum_exceeds = true,
                                            .tie = TIE_NONE},
                                  .timeout_ms = o->ask->timeout_ms,
                                  .options = options,
                                  .options_n = o->options.n,
                                  .members = members,
                                  .members_n = o->members.n};
    void *own = o->a->state;
    o->a->state = writer_module(o->a->writer, MODULE_CONSENSUS);
    enum hub_rc rc = consensus_open_inside(o->a, &spec, out, refusal);
    o->a->state = own;
    free(members);
    return rc;
}

static enum hub_rc count_answers(struct apply *a, const struct work *w)
{
    enum hub_rc rc = HUB_OK;
    for (uint32_t i = 0; rc == HUB_OK && i < w->division.parts_n; i++) {
        struct work_part part;
        if (work_part_get(a->view, w->number, i, &part) == STORE_OK && part.state == PART_DONE) {
            rc = verdict_answered(a, w, &part);
        }
    }
    return rc;
}

static enum hub_rc reply_round(struct apply *a, struct command *command,
                               const struct swarm_consensus *ask, uint32_t round)
{
    struct buf b = {0};
    pack_u32(&b, round);
    pack_i64(&b, ask->wait_ms);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
    return HUB_OK;
}

bool swarm_verdict_get(struct slice reply, uint32_t *out_round, int64_t *out_wait_ms)
{
    struct unpack u = unpack_of(reply);
    *out_round = unpack_u32(&u);
    *out_wait_ms = unpack_i64(&u);
    return unpack_done(&u);
}

static bool same_options(const struct round *round, const struct words *asked)
{
    struct slice left = round->options, right = asked->packed, option, word;
    for (uint32_t i = 0; i < asked->n; i++) {
        if (!round_option_next(&left, &option) || !words_next(&right, &word) ||
            !slice_equal(option, word)) {
            return false;
        }
    }
    return asked->n == round->options_n;
}

/* The field in which a request differs from the round that there is; NULL: it asks the same. */
static const char *difference(const struct round *round, const struct swarm_consensus *ask)
{
    const struct tally_terms *terms = &round->terms;
    if (ask->threshold_said &&
        (terms->rule != RULE_SUPERMAJORITY || terms->threshold.over != ask->threshold.over ||
         terms->threshold.under != ask->threshold.under)) {
        return "consensus_threshold";
    }
    if (ask->rule_said && terms->rule != ask->rule) {
        return "consensus_algorithm";
    }
    return ask->options.n && !same_options(round, &ask->options) ? "options" : NULL;
}

/* The same question again is the same round, while it is open and afterwards. */
static enum hub_rc ask_again(struct apply *a, struct command *command,
                             const struct swarm_consensus *ask, const struct work *w,
                             bool *out_done)
{
    struct round round;
    enum store_rc rc = w->round ? round_get(a->view, (uint32_t)w->round, &round) : STORE_NOT_FOUND;
    *out_done = false;
    if (rc != STORE_OK || round.status == ROUND_CANCELLED) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    const char *field = difference(&round, ask);
    if (field && round.status == ROUND_OPEN) {
        return apply_refuse(a, command, HUB_CONFLICT, field, slice_of(NULL, 0),
                            ": the round that is open about the task has another");
    }
    *out_done = !field;
    return field ? HUB_OK : reply_round(a, command, ask, (uint32_t)w->round);
}

static enum hub_rc ask_members(struct apply *a, struct command *command,
                               const struct swarm_consensus *ask, struct work *w)
{
    struct opening o = {.a = a, .ask = ask, .work = w};
    struct consensus_opened opened;
    struct consensus_refusal refusal = {0};
    gather_options(&o);
    gather_members(&o);
    enum hub_rc rc = open_round(&o, &opened, &refusal);
    if (rc == HUB_INVALID) {
        rc = apply_refuse(a, command, rc, refusal.text, slice_of(NULL, 0), "");
    }
    if (rc == HUB_OK) {
        w->round = opened.number;
        rc = hub_rc_of_store(work_put(a->txn, w, w->state));
    }
    if (rc == HUB_OK) {
        rc = count_answers(a, w);
    }
    buf_done(&o.text);
    buf_done(&o.option_bytes);
    buf_done(&o.member_bytes);
    return rc == HUB_OK ? reply_round(a, command, ask, opened.number) : rc;
}

static enum hub_rc consensus_apply(struct apply *a, struct command *command, struct slice body)
{
    struct swarm_consensus ask;
    struct work found, w = {0};
    struct buf bytes = {0};
    if (!consensus_get(body, &ask)) {
        return HUB_BAD_REQUEST;
    }
    enum store_rc is = work_find(a->view, a->app, ask.task_id, &found);
    if (is == STORE_NOT_FOUND || (is == STORE_OK && (found.team_kind != TEAM_SWARM ||
                                                     !work_visible(a->view, &found, &ask.asker)))) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Task ", ask.task_id, " not found");
    }
    enum hub_rc rc =
        hub_rc_of_store(is == STORE_OK ? work_hold(a->view, found.number, &bytes, &w) : is);
    bool done = false;
    if (rc == HUB_OK) {
        rc = ask_again(a, command, &ask, &w, &done);
    }
    if (rc == HUB_OK && !done) {
        rc = ask_members(a, command, &ask, &w);
    }
    buf_done(&bytes);
    return rc;
}

const struct command_kind command_swarm_consensus = {
    .name = "swarm.consensus", .apply = consensus_apply, .module = MODULE_SWARMS};

/* A round's life is three rows: what is frozen, where it stands, and a ballot a seat. A ballot
 * writes its own row and the small one of where the round stands; the count is made once, when the
 * round closes (and, with early_close, looked at with each ballot). */
#include "hub/consensus/module_parts.h"

#include <stdlib.h>

static void *consensus_open(const void *options)
{
    struct consensus_options *own = xcalloc(1, sizeof *own);
    if (options) {
        *own = *(const struct consensus_options *)options;
    }
    return own;
}

static const struct consensus_options *options_of(const struct apply *a)
{
    return writer_module(a->writer, MODULE_CONSENSUS);
}

bool round_visible(const struct round *round, const struct asker *asker)
{
    struct slice rest = round->seats;
    struct round_seat seat = {0};
    if (asker_sees(asker, round->owner)) {
        return true;
    }
    while (round_seat_next(&rest, &seat)) {
        if (slice_equal(seat.id, asker->subject) ||
            (seat.owner.n && slice_equal(seat.owner, asker->subject))) {
            return true;
        }
    }
    return false;
}

/* ---- closing ---- */

/* The tied options once more, for the same seats under the same terms: a runoff has none. */
static enum hub_rc open_runoff(struct apply *a, const struct paper *paper,
                               const struct tally_result *result, struct round *parent,
                               char id[ROUND_ID_CHARS + 1])
{
    struct buf options = {0};
    struct round r = *parent;
    r.number = round_newest(a->view) + 1;
    r.status = ROUND_OPEN;
    r.stop = ROUND_STOP_NONE;
    r.closed_ms = 0;
    r.runoff_of = parent->id;
    r.opened_ms = a->now_ms;
    r.deadline_ms = a->now_ms + (parent->deadline_ms - parent->opened_ms);
    r.reveal_ms = parent->reveal_ms ? a->now_ms + (parent->reveal_ms - parent->opened_ms) : 0;
    r.committed_n = 0;
    r.revealing = false;
    r.voted_n = r.voided_n = r.options_n = 0;
    r.voted_weight = 0;
    r.winner = -1;
    for (uint32_t i = 0; i < paper->options_n; i++) {
        if (result->tied >> i & 1) {
            pack_slice(&options, paper->options[i]);
            r.options_n++;
        }
    }
    r.options = buf_slice(&options);
    round_draw(&r, parent->seed, "runoff", id);
    enum hub_rc rc = round_store_opened(a, &r);
    parent->runoff = slice_of(id, ROUND_ID_CHARS);
    buf_done(&options);
    return rc;
}

static enum hub_rc tell_watchers(struct apply *a, const struct round *round)
{
    const struct consensus_options *options = options_of(a);
    void *own = a->state;
    enum hub_rc rc = HUB_OK;
    for (unsigned i = 0; rc == HUB_OK && i < options->watchers_n; i++) {
        a->state = writer_module(a->writer, options->watchers[i].module);
        rc = options->watchers[i].closed(a, round);
    }
    a->state = own;
    return rc;
}

static enum round_status status_of(enum tally_verdict verdict)
{
    switch (verdict) {
    case TALLY_DECIDED:
        return ROUND_DECIDED;
    case TALLY_TIED:
        return ROUND_TIED;
    case TALLY_NO_QUORUM:
        return ROUND_NO_QUORUM;
    case TALLY_NO_DECISION:
    case TALLY_VERDICTS:
        return ROUND_NO_DECISION;
    }
    return ROUND_NO_DECISION;
}

/* Writes the end down and tells of it. result: NULL when the round was cancelled; why: by whom, and
 * in whose words. */
static enum hub_rc finish(struct apply *a, struct round *r, struct paper *paper,
                          const struct tally_result *result, const struct why *why)
{
    struct timer_ref timer = {.due_ms = r->deadline_ms, .id = r->timer_id};
    enum store_rc rc = timer_cancel(a->txn, timer); /* gone already when it is what closes us */
    if (rc == STORE_OK || rc == STORE_NOT_FOUND) {
        rc = round_put_state(a->txn, r);
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    paper->status = slice_str(round_status_name(r->status));
    paper->stop = slice_str(round_stop_name(r->stop));
    enum hub_rc told = round_tell_closed(a, paper, r, result, why);
    return told == HUB_OK ? tell_watchers(a, r) : told;
}

enum hub_rc round_close(struct apply *a, struct round *r, enum round_stop stop)
{
    struct paper paper;
    struct tally_result result;
    char runoff[ROUND_ID_CHARS + 1];
    enum store_rc rc = round_paper(a->view, r, &paper);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    paper_count(&paper, &result);
    r->stop = stop;
    r->status = status_of(result.verdict);
    r->closed_ms = a->now_ms;
    r->winner = result.winner;
    r->value = result.value;
    r->confidence = result.confidence;
    enum hub_rc out = HUB_OK;
    if (r->status == ROUND_TIED && r->terms.tie == TIE_RUNOFF && !r->runoff_of.n) {
        out = open_runoff(a, &paper, &result, r, runoff);
    }
    if (out == HUB_OK) {
        out = finish(a, r, &paper, &result, &why_nobody);
    }
    r->runoff = slice_of(NULL, 0); /* the id was ours */
    tally_result_done(&result);
    paper_done(&paper);
    return out;
}

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u);
    struct round row, round;
    struct buf bytes = {0};
    (void)command;
    enum store_rc rc = unpack_done(&u) ? round_get(a->view, number, &row) : STORE_DAMAGED;
    if (rc != STORE_OK || row.status != ROUND_OPEN) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    round_copy(&row, &bytes, &round);
    enum hub_rc out = round_close(a, &round, ROUND_STOP_DEADLINE);
    buf_done(&bytes);
    return out;
}

static const struct command_kind command_consensus_deadline = {
    .name = "consensus.deadline", .apply = deadline_apply, .module = MODULE_CONSENSUS};

/* ---- cancelling ---- */

static enum hub_rc cancel_round(struct apply *a, struct round *r, const struct why *why)
{
    struct paper paper;
    r->status = ROUND_CANCELLED;
    r->stop = ROUND_STOP_CANCELLED;
    r->closed_ms = a->now_ms;
    round_paper_frozen(r, &paper);
    enum hub_rc rc = finish(a, r, &paper, NULL, why);
    paper_done(&paper);
    return rc;
}

enum hub_rc consensus_cancel_inside(struct apply *a, uint32_t number)
{
    struct round row, round;
    struct buf bytes = {0};
    enum store_rc rc = round_get(a->view, number, &row);
    if (rc != STORE_OK || row.status != ROUND_OPEN) {
        return hub_rc_of_store(rc);
    }
    round_copy(&row, &bytes, &round);
    enum hub_rc out = cancel_round(a, &round, &why_nobody);
    buf_done(&bytes);
    return out;
}

void consensus_cancel_put(struct buf *b, const struct consensus_cancel *cancel)
{
    asker_put(b, &cancel->asker);
    pack_slice(b, cancel->round_id);
    pack_slice(b, cancel->reason);
}

/* A copy of the round that the asker may see; HUB_NOT_FOUND with its sentence. */
static enum hub_rc find_visible(struct apply *a, struct command *command, struct slice id,
                                const struct asker *asker, struct buf *bytes, struct round *out)
{
    struct round row;
    enum store_rc rc = round_find(a->view, a->app, id, &row);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !round_visible(&row, asker))) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Round ", id, " not found");
    }
    if (rc == STORE_OK) {
        round_copy(&row, bytes, out);
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc cancel_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct asker asker = asker_get(&u);
    struct slice id = unpack_slice(&u), reason = unpack_slice(&u);
    struct round round = {0};
    struct buf bytes = {0};
    uint8_t number[4];
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = find_visible(a, command, id, &asker, &bytes, &round);
    if (rc == HUB_OK && !asker_sees(&asker, round.owner)) {
        rc =
            apply_refuse(a, command, HUB_FORBIDDEN, "round ", id, " is cancelled by who opened it");
    } else if (rc == HUB_OK && round.status != ROUND_OPEN) {
        rc = apply_refuse(a, command, HUB_CONFLICT,
                          "the round is closed: ", slice_str(round_status_name(round.status)), "");
    }
    if (rc == HUB_OK) {
        rc = cancel_round(a, &round, &(struct why){asker.subject, reason});
    }
    if (rc == HUB_OK) {
        be32_put(number, round.number);
        apply_reply(a, command, slice_of(number, sizeof number));
    }
    buf_done(&bytes);
    return rc;
}

const struct command_kind command_consensus_cancel = {
    .name = "consensus.cancel", .apply = cancel_apply, .module = MODULE_CONSENSUS};

static const struct timer_kind timers[] = {{TIMER_CONSENSUS_DEADLINE, &command_consensus_deadline},
                                           {TIMER_CONSENSUS_REVEAL, &command_consensus_reveal},
                                           {0, NULL}};

const struct module consensus_module = {
    .name = "consensus", .open = consensus_open, .close = free, .timers = timers};

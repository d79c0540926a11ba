/* A round that is in hand is in one of five states, and what the state waits for is what is said
 * again when the connection is back: the question for the round, or the commitment or the ballot as
 * it was made. A round whose commitment was taken is in hand no more: its ballot is laid aside, and
 * it is heard of again, as a new one is, when it reveals or when that may have gone unheard. */
#define _GNU_SOURCE
#include "hub/cli/agent_votes.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hub/cli/agent_sealed.h"
#include "hub/cli/http.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/output.h"
#include "hub/cli/work.h"

/* Ids between the agent's own and those of its tasks. */
enum call { CALL_HEAR = 100, CALL_LIST, CALL_LOOK, CALL_CAST, CALL_COMMIT };
enum { LIST_LIMIT = 100, WORDS_BYTES_MAX = 1 << 16, PAUSE_MS = 1000 };
enum voting { VOTING_NONE, VOTING_LOOKS, VOTING_THINKS, VOTING_COMMITS, VOTING_CASTS };

struct agent_votes {
    struct agent_votes_options options;
    char *waiting[VOTES_WAITING_MAX]; /* ids, in the order in which they were heard */
    unsigned waiting_n;
    bool missed, stopped;
    enum voting state;
    char *round_id;
    bool commits;
    struct buf round, ballot;   /* as the hub showed it; the frame */
    struct buf hidden;          /* the ballot that ballot is the commitment to */
    struct agent_sealed sealed; /* of rounds that are not in hand */
    pid_t pid;                  /* 0: none */
    int out;                    /* its stdout, in memory */
    int64_t again_ms;           /* the hub had no time for what the state waits for */
};

struct agent_votes *agent_votes_new(const struct agent_votes_options *options)
{
    struct agent_votes *v = xcalloc(1, sizeof *v);
    v->options = *options;
    v->again_ms = INT64_MAX;
    return v;
}

static void forget_round(struct agent_votes *v)
{
    if (v->pid) {
        close(v->out);
        v->pid = 0;
    }
    free(v->round_id);
    v->round_id = NULL;
    buf_done(&v->round);
    buf_done(&v->ballot);
    buf_done(&v->hidden);
    v->commits = false;
    v->state = VOTING_NONE;
    v->again_ms = INT64_MAX;
}

static void forget_waiting(struct agent_votes *v)
{
    while (v->waiting_n) {
        free(v->waiting[--v->waiting_n]);
    }
}

void agent_votes_free(struct agent_votes *v)
{
    if (v) {
        agent_votes_signal(v, SIGKILL);
        forget_round(v);
        forget_waiting(v);
        for (unsigned i = 0; i < v->sealed.n; i++) {
            v->options.say(v->options.ctx, v->sealed.list[i].round_id,
                           "its ballot will not be shown: it was committed to by this process");
        }
        agent_sealed_done(&v->sealed);
        free(v);
    }
}

static void say(const struct agent_votes *v, const char *what)
{
    v->options.say(v->options.ctx, v->round_id, what);
}

/* ---- frames ---- */

static void send_text(struct agent_votes *v, struct buf *text)
{
    v->options.send(v->options.ctx, buf_slice(text));
    buf_done(text);
}

static void ask_to_hear(struct agent_votes *v)
{
    struct buf text = {0};
    struct json_out o = our_frame_begin(&text, "subscribe", CALL_HEAR);
    json_key(&o, "channels");
    json_begin(&o, '[');
    json_str(&o, "consensus");
    json_end(&o, ']');
    json_end(&o, '}');
    send_text(v, &text);
}

static void ask_for_open(struct agent_votes *v, struct slice cursor)
{
    struct buf text = {0};
    struct json_out o = our_call_begin(&text, CALL_LIST, "consensus.list");
    json_key(&o, "status");
    json_str(&o, "open");
    json_key(&o, "limit");
    json_u64(&o, LIST_LIMIT);
    if (cursor.n) {
        json_key(&o, "cursor");
        json_raw(&o, cursor);
    }
    our_call_end(&o);
    send_text(v, &text);
}

static void look(struct agent_votes *v)
{
    struct buf text = {0};
    struct json_out o = our_call_begin(&text, CALL_LOOK, "consensus.get");
    json_key(&o, "round_id");
    json_str(&o, v->round_id);
    our_call_end(&o);
    v->state = VOTING_LOOKS;
    send_text(v, &text);
}

static void say_again(struct agent_votes *v)
{
    v->again_ms = INT64_MAX;
    if (v->state == VOTING_LOOKS) {
        look(v);
    } else if (v->state == VOTING_COMMITS || v->state == VOTING_CASTS) {
        v->options.send(v->options.ctx, buf_slice(&v->ballot));
    }
}

/* ---- one round after another ---- */

static void next_round(struct agent_votes *v)
{
    if (v->state != VOTING_NONE) {
        return;
    }
    if (v->waiting_n) {
        v->round_id = v->waiting[0];
        memmove(v->waiting, v->waiting + 1, --v->waiting_n * sizeof v->waiting[0]);
        look(v);
    } else if (v->missed && !v->stopped) {
        v->missed = false;
        ask_for_open(v, slice_of(NULL, 0));
    }
}

static void end_round(struct agent_votes *v)
{
    forget_round(v);
    next_round(v);
}

static void wait_for(struct agent_votes *v, struct slice id)
{
    for (unsigned i = 0; i < v->waiting_n; i++) {
        if (slice_is(id, v->waiting[i])) {
            return;
        }
    }
    if (v->waiting_n == VOTES_WAITING_MAX) {
        v->missed = true;
    } else {
        v->waiting[v->waiting_n++] = xstrndup(id.p, id.n);
    }
}

static bool is_in_hand(const struct agent_votes *v, struct slice id)
{
    return v->round_id && slice_is(id, v->round_id);
}

static void heard_of(struct agent_votes *v, struct slice id_value)
{
    struct slice id;
    if (json_is_plain(id_value, &id) && !is_in_hand(v, id) && !v->stopped) {
        wait_for(v, id);
    }
}

/* A round reveals or has closed. One in hand is looked at again: what is on its way may have been
 * said before. */
static void moved_on(struct agent_votes *v, struct slice id_value)
{
    struct slice id;
    if (json_is_plain(id_value, &id) && (is_in_hand(v, id) || agent_sealed_find(&v->sealed, id))) {
        wait_for(v, id);
    }
}

/* Whatever they may have come to unheard. */
static void look_at_sealed(struct agent_votes *v)
{
    for (unsigned i = 0; i < v->sealed.n; i++) {
        wait_for(v, slice_str(v->sealed.list[i].round_id));
    }
}

/* The frame of the ballot; of a commitment to it, and the ballot hidden. */
static bool make_ballot(struct agent_votes *v, struct slice words, char *why, size_t why_n)
{
    const struct agent_voter *voter = &v->options.voter;
    struct slice round = buf_slice(&v->round);
    struct buf nonce = {0};
    if (v->commits) {
        agent_ballot_nonce(&nonce);
    }
    struct buf *ballot = v->commits ? &v->hidden : &v->ballot;
    struct json_out o = our_call_begin(ballot, CALL_CAST, "consensus.vote");
    bool good = agent_ballot_put(&o, voter, round, words, buf_slice(&nonce), why, why_n);
    our_call_end(&o);
    if (good && v->commits) {
        o = our_call_begin(&v->ballot, CALL_COMMIT, "consensus.commit");
        good = agent_ballot_put_commitment(&o, voter, round, words, buf_slice(&nonce), why, why_n);
        our_call_end(&o);
    }
    buf_done(&nonce);
    return good;
}

static void cast(struct agent_votes *v, struct slice words)
{
    char why[256];
    if (!make_ballot(v, words, why, sizeof why)) {
        say(v, why);
        end_round(v);
        return;
    }
    v->state = v->commits ? VOTING_COMMITS : VOTING_CASTS;
    say_again(v);
}

static bool start_command(struct agent_votes *v)
{
    const char *const environment[][2] = {{"WAGGLE_AGENT_ID", v->options.voter.id},
                                          {"WAGGLE_EVENT", "round"},
                                          {"WAGGLE_ROUND_ID", v->round_id}};
    int in = work_memory_file(buf_slice(&v->round));
    v->out = work_memory_file(slice_of(NULL, 0));
    bool started = in >= 0 && v->out >= 0 &&
                   work_spawn(v->options.voter.how, environment, 3, in, v->out, &v->pid);
    if (in >= 0) {
        close(in);
    }
    if (!started) {
        v->pid = 0;
        if (v->out >= 0) {
            close(v->out);
        }
    }
    return started;
}

static void vote(struct agent_votes *v, struct slice round)
{
    buf_add_slice(&v->round, round);
    if (!agent_voter_asks_command(&v->options.voter)) {
        cast(v, slice_of(NULL, 0));
    } else if (start_command(v)) {
        v->state = VOTING_THINKS;
    } else {
        say(v, "no ballot: the agent cannot start a process");
        end_round(v);
    }
}

static void show_sealed(struct agent_votes *v, const struct sealed_ballot *sealed)
{
    buf_add_slice(&v->ballot, buf_slice(&sealed->frame));
    v->state = VOTING_CASTS;
    say_again(v);
}

static void looked(struct agent_votes *v, struct slice round)
{
    struct slice id = slice_str(v->round_id);
    const struct sealed_ballot *sealed = agent_sealed_find(&v->sealed, id);
    enum agent_ballot_due due = agent_ballot_due(&v->options.voter, round);
    bool committed = due == BALLOT_DUE_LATER || due == BALLOT_DUE_REVEAL;
    if (committed && !sealed) {
        say(v, "its ballot cannot be shown: it was committed to by a process that is gone");
    } else if (due == BALLOT_DUE_REVEAL) {
        show_sealed(v, sealed);
        return;
    }
    if (!committed) {
        agent_sealed_drop(&v->sealed, id);
    }
    if (due == BALLOT_DUE_COMMITMENT && agent_sealed_full(&v->sealed)) {
        say(v, "no ballot: too many wait to be shown");
    } else if (!v->stopped && (due == BALLOT_DUE_VOTE || due == BALLOT_DUE_COMMITMENT)) {
        v->commits = due == BALLOT_DUE_COMMITMENT;
        vote(v, round);
        return;
    }
    end_round(v);
}

static void command_ended(struct agent_votes *v, int status)
{
    struct buf words = {0};
    ssize_t got = pread(v->out, buf_reserve(&words, WORDS_BYTES_MAX), WORDS_BYTES_MAX, 0);
    words.n = got > 0 ? (size_t)got : 0;
    close(v->out);
    v->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        cast(v, buf_slice(&words));
    } else {
        say(v, "no ballot: the command failed");
        end_round(v);
    }
    buf_done(&words);
}

/* ---- what the hub says ---- */

static void listed(struct agent_votes *v, struct slice result)
{
    struct slice key, round, cursor = json_at(result, "next_cursor");
    struct json_walk w = json_walk_of(json_at(result, "rounds"));
    while (json_walk_next(&w, &key, &round)) {
        heard_of(v, json_at(round, "round_id"));
    }
    if (json_kind_of(cursor) == JSON_KIND_STRING) {
        ask_for_open(v, cursor);
    }
    next_round(v);
}

static void counted(struct agent_votes *v, struct slice result)
{
    struct buf text = {0};
    buf_add_str(&text, "ballot ");
    json_add_human(&text, json_at(result, "ballot"));
    say(v, buf_text(&text));
    buf_done(&text);
    agent_sealed_drop(&v->sealed, slice_str(v->round_id));
    end_round(v);
}

static void committed(struct agent_votes *v)
{
    say(v, "ballot committed to");
    agent_sealed_add(&v->sealed, v->round_id, &v->hidden);
    end_round(v);
}

static void refused(struct agent_votes *v, const struct hub_frame *frame)
{
    struct buf text = {0};
    uint64_t status = hub_frame_number(frame, HUB_STATUS);
    if (status >= 429) {
        v->again_ms = clock_steady_ms() + PAUSE_MS;
        return;
    }
    buf_add_str(&text, "no ballot: ");
    json_add_human(&text, frame->field[HUB_MESSAGE]);
    say(v, buf_text(&text));
    buf_done(&text);
    agent_sealed_drop(&v->sealed, slice_str(v->round_id));
    end_round(v);
}

static bool answered(struct agent_votes *v, const struct hub_frame *frame)
{
    struct slice result = frame->field[HUB_RESULT_VALUE];
    bool good = frame->type == HUB_RESULT;
    switch ((enum call)hub_frame_number(frame, HUB_ID)) {
    case CALL_HEAR:
        return true;
    case CALL_LIST:
        if (good) {
            listed(v, result);
        } else {
            v->missed = true;
            v->again_ms = clock_steady_ms() + PAUSE_MS;
        }
        return true;
    case CALL_LOOK:
        if (v->state == VOTING_LOOKS) {
            good ? looked(v, result) : refused(v, frame);
        }
        return true;
    case CALL_CAST:
        if (v->state == VOTING_CASTS) {
            good ? counted(v, result) : refused(v, frame);
        }
        return true;
    case CALL_COMMIT:
        if (v->state == VOTING_COMMITS) {
            good ? committed(v) : refused(v, frame);
        }
        return true;
    }
    return false;
}

static void told(struct agent_votes *v, struct slice event, struct slice data)
{
    struct slice round_id = json_at(data, "round_id");
    if (slice_is(event, "opened")) {
        heard_of(v, round_id);
    } else if (slice_is(event, "revealing") || slice_is(event, "closed")) {
        moved_on(v, round_id);
    }
    next_round(v);
}

bool agent_votes_frame(struct agent_votes *v, const struct hub_frame *frame)
{
    struct slice channel, event;
    bool ours =
        json_is_plain(frame->field[HUB_CHANNEL], &channel) && slice_is(channel, "consensus");
    if (frame->type == HUB_EVENT && ours) {
        if (json_is_plain(frame->field[HUB_EVENT_NAME], &event)) {
            told(v, event, frame->field[HUB_DATA]);
        }
        return true;
    }
    if (frame->type == HUB_GAP && ours) {
        look_at_sealed(v);
        ask_for_open(v, slice_of(NULL, 0));
        return true;
    }
    return (frame->type == HUB_RESULT || frame->type == HUB_ERROR ||
            frame->type == HUB_SUBSCRIBED) &&
           answered(v, frame);
}

/* ---- life ---- */

void agent_votes_registered(struct agent_votes *v)
{
    ask_to_hear(v); /* first, so that nothing opens unheard between this and the list */
    look_at_sealed(v);
    ask_for_open(v, slice_of(NULL, 0));
    say_again(v);
}

void agent_votes_turn(struct agent_votes *v)
{
    if (clock_steady_ms() >= v->again_ms) {
        say_again(v);
        next_round(v);
    }
}

int64_t agent_votes_next_ms(const struct agent_votes *v)
{
    return v->again_ms;
}

void agent_votes_reap(struct agent_votes *v)
{
    int status;
    if (v->pid && waitpid(v->pid, &status, WNOHANG) == v->pid) {
        command_ended(v, status);
    }
}

void agent_votes_stop(struct agent_votes *v)
{
    v->stopped = true;
    forget_waiting(v);
    look_at_sealed(v);
    next_round(v);
}

bool agent_votes_busy(const struct agent_votes *v)
{
    return v->state == VOTING_THINKS || v->state == VOTING_COMMITS || v->state == VOTING_CASTS ||
           v->sealed.n > 0;
}

void agent_votes_signal(struct agent_votes *v, int signal)
{
    if (v->pid) {
        (void)kill(-v->pid, signal);
    }
}

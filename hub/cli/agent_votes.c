/* A round that is in hand is in one of four states, and what the state waits for is what is said
 * again when the connection is back: the question for the round, or the ballot as it was made. */
#define _GNU_SOURCE
#include "hub/cli/agent_votes.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hub/cli/http.h"
#include "hub/cli/output.h"
#include "hub/cli/work.h"

/* Ids between the agent's own and those of its tasks. */
enum call { CALL_HEAR = 100, CALL_LIST, CALL_LOOK, CALL_CAST };
enum { LIST_LIMIT = 100, WORDS_BYTES_MAX = 1 << 16, PAUSE_MS = 1000 };
enum voting { VOTING_NONE, VOTING_LOOKS, VOTING_THINKS, VOTING_CASTS };

struct agent_votes {
    struct agent_votes_options options;
    char *waiting[VOTES_WAITING_MAX]; /* ids, in the order in which they were heard */
    unsigned waiting_n;
    bool missed, stopped;
    enum voting state;
    char *round_id;
    struct buf round, ballot; /* as the hub showed it; the frame */
    pid_t pid;                /* 0: none */
    int out;                  /* its stdout, in memory */
    int64_t again_ms;         /* the hub had no time for what the state waits for */
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
    v->round = v->ballot = (struct buf){0};
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
        free(v);
    }
}

static void say(const struct agent_votes *v, const char *what)
{
    v->options.say(v->options.ctx, v->round_id, what);
}

/* ---- frames ---- */

static struct json_out begin(struct buf *text, const char *type, enum call id)
{
    struct json_out o = json_out_to(text);
    json_begin(&o, '{');
    json_key(&o, "type");
    json_str(&o, type);
    json_key(&o, "id");
    json_u64(&o, (uint64_t)id);
    return o;
}

static struct json_out begin_call(struct buf *text, enum call id, const char *method)
{
    struct json_out o = begin(text, "call", id);
    json_key(&o, "method");
    json_str(&o, method);
    json_key(&o, "params");
    json_begin(&o, '{');
    return o;
}

static void end_call(struct json_out *o)
{
    json_end(o, '}');
    json_end(o, '}');
}

static void send_text(struct agent_votes *v, struct buf *text)
{
    v->options.send(v->options.ctx, buf_slice(text));
    buf_done(text);
}

static void ask_to_hear(struct agent_votes *v)
{
    struct buf text = {0};
    struct json_out o = begin(&text, "subscribe", CALL_HEAR);
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
    struct json_out o = begin_call(&text, CALL_LIST, "consensus.list");
    json_key(&o, "status");
    json_str(&o, "open");
    json_key(&o, "limit");
    json_u64(&o, LIST_LIMIT);
    if (cursor.n) {
        json_key(&o, "cursor");
        json_raw(&o, cursor);
    }
    end_call(&o);
    send_text(v, &text);
}

static void look(struct agent_votes *v)
{
    struct buf text = {0};
    struct json_out o = begin_call(&text, CALL_LOOK, "consensus.get");
    json_key(&o, "round_id");
    json_str(&o, v->round_id);
    end_call(&o);
    v->state = VOTING_LOOKS;
    send_text(v, &text);
}

static void say_again(struct agent_votes *v)
{
    v->again_ms = INT64_MAX;
    if (v->state == VOTING_LOOKS) {
        look(v);
    } else if (v->state == VOTING_CASTS) {
        v->options.send(v->options.ctx, buf_slice(&v->ballot));
    }
}

/* ---- one round after another ---- */

static void next_round(struct agent_votes *v)
{
    if (v->state != VOTING_NONE || v->stopped) {
        return;
    }
    if (v->waiting_n) {
        v->round_id = v->waiting[0];
        memmove(v->waiting, v->waiting + 1, --v->waiting_n * sizeof v->waiting[0]);
        look(v);
    } else if (v->missed) {
        v->missed = false;
        ask_for_open(v, slice_of(NULL, 0));
    }
}

static void end_round(struct agent_votes *v)
{
    forget_round(v);
    next_round(v);
}

static void heard_of(struct agent_votes *v, struct slice id_value)
{
    struct slice id;
    if (!json_is_plain(id_value, &id) || (v->round_id && slice_is(id, v->round_id))) {
        return;
    }
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

static void cast(struct agent_votes *v, struct slice words)
{
    char why[256];
    struct json_out o = begin_call(&v->ballot, CALL_CAST, "consensus.vote");
    if (!agent_ballot_put(&o, &v->options.voter, buf_slice(&v->round), words, slice_of(NULL, 0),
                          why, sizeof why)) {
        say(v, why);
        end_round(v);
        return;
    }
    end_call(&o);
    v->state = VOTING_CASTS;
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

static void looked(struct agent_votes *v, struct slice round)
{
    if (v->stopped || !agent_ballot_wanted(&v->options.voter, round)) {
        end_round(v);
        return;
    }
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
    }
    return false;
}

bool agent_votes_frame(struct agent_votes *v, const struct hub_frame *frame)
{
    struct slice channel, event;
    bool ours =
        json_is_plain(frame->field[HUB_CHANNEL], &channel) && slice_is(channel, "consensus");
    if (frame->type == HUB_EVENT && ours) {
        if (json_is_plain(frame->field[HUB_EVENT_NAME], &event) && slice_is(event, "opened")) {
            heard_of(v, json_at(frame->field[HUB_DATA], "round_id"));
            next_round(v);
        }
        return true;
    }
    if (frame->type == HUB_GAP && ours) {
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
}

bool agent_votes_busy(const struct agent_votes *v)
{
    return v->state == VOTING_THINKS || v->state == VOTING_CASTS;
}

void agent_votes_signal(struct agent_votes *v, int signal)
{
    if (v->pid) {
        (void)kill(-v->pid, signal);
    }
}

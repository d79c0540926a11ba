/* A slot is a task from its offer to the hub's answer to the report. The id of a call names the
 * slot and what was asked, so an answer finds its task; a report that was not answered when the
 * connection went is kept and sent again. */
#define _GNU_SOURCE
#include "hub/cli/agent_tasks.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/cli/http.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/text.h"
#include "hub/cli/work.h"

enum {
    CALLS_FIRST = 1000, /* ids below are the agent's own */
    RESULT_BYTES_MAX = 1 << 20,
    ERROR_BYTES_MAX = 500,
    SLEEP_MS_MAX = 3600000,
    LEASE_MS_MIN = 50 /* as the hub has it */
};
enum ask { ASK_ACCEPT, ASK_REPORT, ASK_RENEW, ASKS };
enum slot_state { SLOT_FREE, SLOT_ASKED, SLOT_WORKING, SLOT_REPORTING };

struct slot {
    enum slot_state state;
    char *task_id, *lease_id;
    struct buf data;  /* task_data */
    pid_t pid;        /* 0: none */
    int out;          /* its stdout, in memory */
    int64_t until_ms; /* without a process: done then */
    int64_t lease_ms; /* the task's own may be shorter than the hub's */
    bool cancelled;
    struct buf report;   /* frame */
    const char *outcome; /* to be said when the hub has taken the report */
};

struct agent_tasks {
    struct agent_tasks_options options;
    struct slot *slots;
    int64_t lease_ms, renew_ms;
};

struct agent_tasks *agent_tasks_new(const struct agent_tasks_options *options)
{
    struct agent_tasks *t = xcalloc(1, sizeof *t);
    t->options = *options;
    t->slots = xcalloc(options->slots, sizeof *t->slots);
    t->renew_ms = INT64_MAX;
    return t;
}

static void slot_clear(struct slot *s)
{
    if (s->pid) {
        close(s->out);
    }
    free(s->task_id);
    free(s->lease_id);
    buf_done(&s->data);
    buf_done(&s->report);
    *s = (struct slot){.state = SLOT_FREE};
}

void agent_tasks_free(struct agent_tasks *t)
{
    if (t) {
        agent_tasks_signal(t, SIGKILL);
        for (unsigned i = 0; i < t->options.slots; i++) {
            slot_clear(&t->slots[i]);
        }
        free(t->slots);
        free(t);
    }
}

/* ---- frames ---- */

static uint64_t call_id(const struct agent_tasks *t, const struct slot *s, enum ask ask)
{
    return CALLS_FIRST + (uint64_t)(s - t->slots) * ASKS + ask;
}

static void put_names(struct json_out *o, const struct slot *s)
{
    json_key(o, "task_id");
    json_str(o, s->task_id);
    json_key(o, "lease_id");
    json_str(o, s->lease_id);
}

static void ask(struct agent_tasks *t, const struct slot *s, enum ask what, const char *method)
{
    struct buf text = {0};
    struct json_out o = our_call_begin(&text, call_id(t, s, what), method);
    put_names(&o, s);
    our_call_end(&o);
    t->options.send(t->options.ctx, buf_slice(&text));
    buf_done(&text);
}

/* ---- reports ---- */

static void report(struct agent_tasks *t, struct slot *s)
{
    s->state = SLOT_REPORTING;
    t->options.send(t->options.ctx, buf_slice(&s->report));
}

static void report_result(struct agent_tasks *t, struct slot *s, struct slice json)
{
    struct json_out o = our_call_begin(&s->report, call_id(t, s, ASK_REPORT), "tasks.complete");
    put_names(&o, s);
    json_key(&o, "result");
    json_raw(&o, json);
    our_call_end(&o);
    s->outcome = "completed";
    report(t, s);
}

static void report_failure(struct agent_tasks *t, struct slot *s, struct slice why)
{
    struct json_out o = our_call_begin(&s->report, call_id(t, s, ASK_REPORT), "tasks.fail");
    put_names(&o, s);
    json_key(&o, "error");
    json_text(&o, why);
    our_call_end(&o);
    report(t, s);
    struct buf text = {0};
    buf_add_str(&text, "failed: ");
    text_add_clean(&text, why);
    t->options.say(t->options.ctx, buf_text(&text), s->task_id);
    buf_done(&text);
}

static void report_stopped(struct agent_tasks *t, struct slot *s)
{
    struct json_out o = our_call_begin(&s->report, call_id(t, s, ASK_REPORT), "tasks.cancel");
    put_names(&o, s);
    our_call_end(&o);
    s->outcome = "stopped";
    report(t, s);
}

/* ---- work ---- */

static struct slice read_output(int fd, struct buf *out)
{
    uint8_t *p = buf_reserve(out, RESULT_BYTES_MAX);
    ssize_t got = pread(fd, p, RESULT_BYTES_MAX, 0);
    out->n = got > 0 ? (size_t)got : 0;
    return json_trim(buf_slice(out));
}

static void process_ended(struct agent_tasks *t, struct slot *s, int status)
{
    struct buf output = {0}, text = {0};
    size_t at;
    struct slice result = read_output(s->out, &output);
    close(s->out);
    s->pid = 0;
    if (s->cancelled) {
        report_stopped(t, s);
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        buf_printf(&text, "the command ended with %s %d", WIFEXITED(status) ? "code" : "signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
        if (result.n) {
            buf_add_str(&text, ": ");
            buf_add(&text, result.p, result.n < ERROR_BYTES_MAX ? result.n : ERROR_BYTES_MAX);
        }
        report_failure(t, s, buf_slice(&text));
    } else if (result.n && json_check(result, JSON_DEPTH_MAX - 4, &at) == JSON_OK) {
        report_result(t, s, result);
    } else {
        struct json_out o = json_out_to(&text);
        json_text(&o, result);
        report_result(t, s, buf_slice(&text));
    }
    buf_done(&output);
    buf_done(&text);
}

static bool start_process(struct agent_tasks *t, struct slot *s)
{
    const char *const environment[][2] = {{"WAGGLE_AGENT_ID", t->options.agent_id},
                                          {"WAGGLE_EVENT", "task"},
                                          {"WAGGLE_TASK_ID", s->task_id}};
    int in = work_memory_file(buf_slice(&s->data));
    s->out = work_memory_file(slice_of(NULL, 0));
    bool started = in >= 0 && s->out >= 0 &&
                   work_spawn(t->options.command, environment, 3, in, s->out, &s->pid);
    if (in >= 0) {
        close(in);
    }
    if (!started) {
        s->pid = 0;
        if (s->out >= 0) {
            close(s->out);
        }
    }
    return started;
}

/* What an agent does that was given no command. */
static void work_by_itself(struct agent_tasks *t, struct slot *s)
{
    struct slice data = buf_slice(&s->data), why = json_at(data, "fail");
    struct buf text = {0};
    if (json_kind_of(why) == JSON_KIND_STRING && json_to_text(why, &text)) {
        report_failure(t, s, buf_slice(&text));
    } else {
        struct json_out o = json_out_to(&text);
        json_begin(&o, '{');
        json_key(&o, "agent_id");
        json_str(&o, t->options.agent_id);
        json_key(&o, "echo");
        json_raw(&o, data);
        json_end(&o, '}');
        report_result(t, s, buf_slice(&text));
    }
    buf_done(&text);
}

static int64_t lease_of(const struct agent_tasks *t, struct slice accepted)
{
    double seconds = 0;
    bool said = json_to_double(json_at(accepted, "lease_seconds"), &seconds);
    bool shorter = said && seconds * 1000 < (double)t->lease_ms;
    int64_t ms = shorter ? (int64_t)(seconds * 1000) : t->lease_ms;
    return ms < LEASE_MS_MIN ? LEASE_MS_MIN : ms;
}

/* One frame renews all, so the shortest lease says when. */
static int64_t renewal_span(const struct agent_tasks *t)
{
    int64_t span = t->lease_ms / 3;
    for (unsigned i = 0; i < t->options.slots; i++) {
        const struct slot *s = &t->slots[i];
        if (s->state == SLOT_WORKING && s->lease_ms / 3 < span) {
            span = s->lease_ms / 3;
        }
    }
    return span;
}

static void start(struct agent_tasks *t, struct slot *s, struct slice accepted)
{
    double seconds = 0;
    struct slice data = json_at(accepted, "task_data");
    s->state = SLOT_WORKING;
    s->lease_ms = lease_of(t, accepted);
    int64_t renew_ms = clock_steady_ms() + s->lease_ms / 3;
    t->renew_ms = renew_ms < t->renew_ms ? renew_ms : t->renew_ms;
    buf_add_slice(&s->data, data);
    t->options.say(t->options.ctx, "taken", s->task_id);
    if (t->options.command) {
        s->until_ms = INT64_MAX;
        if (!start_process(t, s)) {
            report_failure(t, s, slice_str("the agent cannot start a process"));
        }
        return;
    }
    (void)json_to_double(json_at(data, "sleep"), &seconds);
    double ms = seconds * 1000;
    s->until_ms = clock_steady_ms() + (ms > 0 && ms < SLEEP_MS_MAX ? (int64_t)ms : 0);
}

/* ---- what the hub says ---- */

static struct slot *slot_of_lease(struct agent_tasks *t, struct slice lease_id)
{
    for (unsigned i = 0; i < t->options.slots; i++) {
        struct slot *s = &t->slots[i];
        if (s->state != SLOT_FREE && slice_is(lease_id, s->lease_id)) {
            return s;
        }
    }
    return NULL;
}

static struct slot *slot_free(struct agent_tasks *t)
{
    for (unsigned i = 0; i < t->options.slots; i++) {
        if (t->slots[i].state == SLOT_FREE) {
            return &t->slots[i];
        }
    }
    return NULL;
}

static void offered(struct agent_tasks *t, struct slice task_id, struct slice lease_id,
                    bool takes_more)
{
    struct slot *s = slot_free(t);
    if (s && takes_more) {
        *s = (struct slot){.state = SLOT_ASKED,
                           .task_id = xstrndup(task_id.p, task_id.n),
                           .lease_id = xstrndup(lease_id.p, lease_id.n)};
        ask(t, s, ASK_ACCEPT, "tasks.accept");
        return;
    }
    struct buf text = {0};
    struct json_out o = our_call_begin(&text, CALLS_FIRST - 1, "tasks.reject");
    json_key(&o, "task_id");
    json_text(&o, task_id);
    json_key(&o, "lease_id");
    json_text(&o, lease_id);
    our_call_end(&o);
    t->options.send(t->options.ctx, buf_slice(&text));
    buf_done(&text);
}

static void stop(struct agent_tasks *t, struct slot *s)
{
    if (s->state != SLOT_WORKING) {
        return;
    }
    s->cancelled = true;
    if (s->pid) {
        (void)kill(-s->pid, SIGTERM);
    } else {
        report_stopped(t, s);
    }
}

bool agent_tasks_event(struct agent_tasks *t, const struct hub_frame *event, bool takes_more)
{
    struct slice name;
    struct buf task_id = {0}, lease_id = {0};
    bool plain = json_is_plain(event->field[HUB_EVENT_NAME], &name);
    bool offer = plain && slice_is(name, "task_offered");
    if (!offer && !(plain && slice_is(name, "task_cancel"))) {
        return false;
    }
    (void)json_to_text(json_at(event->field[HUB_DATA], "task_id"), &task_id);
    (void)json_to_text(json_at(event->field[HUB_DATA], "lease_id"), &lease_id);
    struct slot *s = slot_of_lease(t, buf_slice(&lease_id));
    if (offer && !s) {
        offered(t, buf_slice(&task_id), buf_slice(&lease_id), takes_more);
    } else if (!offer && s) {
        stop(t, s);
    }
    buf_done(&task_id);
    buf_done(&lease_id);
    return true;
}

/* Others have these tasks now: nothing of them is to be reported. */
static void lost(struct agent_tasks *t, struct slice list)
{
    struct json_walk w = json_walk_of(list);
    struct slice key, item, id;
    while (json_walk_next(&w, &key, &item)) {
        struct slot *s = json_is_plain(item, &id) ? slot_of_lease(t, id) : NULL;
        if (!s || s->state != SLOT_WORKING) {
            continue;
        }
        t->options.say(t->options.ctx, "lost", s->task_id);
        if (s->pid) {
            s->cancelled = true; /* the hub answers the farewell with lease_lost */
            (void)kill(-s->pid, SIGTERM);
        } else {
            slot_clear(s);
        }
    }
}

bool agent_tasks_answer(struct agent_tasks *t, const struct hub_frame *frame)
{
    uint64_t id = hub_frame_number(frame, HUB_ID);
    if (id < CALLS_FIRST - 1) {
        return false;
    }
    unsigned n = (unsigned)((id - CALLS_FIRST) / ASKS);
    enum ask what = (enum ask)((id - CALLS_FIRST) % ASKS);
    if (id == CALLS_FIRST - 1 || n >= t->options.slots) {
        return true;
    }
    struct slot *s = &t->slots[n];
    bool refused = frame->type == HUB_ERROR;
    bool later = refused && hub_frame_number(frame, HUB_STATUS) >= 429;
    struct slice result = frame->field[HUB_RESULT_VALUE];
    if (what == ASK_RENEW && !refused) {
        lost(t, json_at(result, "lost"));
    } else if (what == ASK_ACCEPT && s->state == SLOT_ASKED && !refused) {
        start(t, s, result);
    } else if (what == ASK_ACCEPT && s->state == SLOT_ASKED) {
        slot_clear(s);
    } else if (what == ASK_REPORT && s->state == SLOT_REPORTING && !later) {
        if (refused && !s->cancelled) {
            t->options.say(t->options.ctx, "came too late: it is not this agent's any more",
                           s->task_id);
        } else if (!refused && s->outcome) {
            t->options.say(t->options.ctx, s->outcome, s->task_id);
        }
        slot_clear(s);
    }
    return true;
}

/* ---- time ---- */

static void renew(struct agent_tasks *t)
{
    struct buf text = {0};
    unsigned n = 0;
    struct json_out o = our_call_begin(&text, CALLS_FIRST + ASK_RENEW, "tasks.renew");
    json_key(&o, "leases");
    json_begin(&o, '[');
    for (unsigned i = 0; i < t->options.slots; i++) {
        if (t->slots[i].state == SLOT_WORKING) {
            json_str(&o, t->slots[i].lease_id);
            n++;
        }
    }
    json_end(&o, ']');
    our_call_end(&o);
    if (n) {
        t->options.send(t->options.ctx, buf_slice(&text));
    }
    buf_done(&text);
}

static void say_again(struct agent_tasks *t)
{
    for (unsigned i = 0; i < t->options.slots; i++) {
        if (t->slots[i].state == SLOT_REPORTING) {
            report(t, &t->slots[i]);
        }
    }
}

void agent_tasks_registered(struct agent_tasks *t, int64_t lease_ms)
{
    t->lease_ms = lease_ms;
    for (unsigned i = 0; i < t->options.slots; i++) {
        if (t->slots[i].state == SLOT_ASKED) {
            ask(t, &t->slots[i], ASK_ACCEPT, "tasks.accept");
        }
    }
    say_again(t);
    renew(t);
    t->renew_ms = clock_steady_ms() + renewal_span(t);
}

void agent_tasks_turn(struct agent_tasks *t)
{
    int64_t now = clock_steady_ms();
    for (unsigned i = 0; i < t->options.slots; i++) {
        struct slot *s = &t->slots[i];
        if (s->state == SLOT_WORKING && !s->pid && s->until_ms <= now) {
            work_by_itself(t, s);
        }
    }
    if (now >= t->renew_ms) {
        renew(t);
        say_again(t);
        t->renew_ms = now + renewal_span(t);
    }
}

int64_t agent_tasks_next_ms(const struct agent_tasks *t)
{
    int64_t next = agent_tasks_busy(t) ? t->renew_ms : INT64_MAX;
    for (unsigned i = 0; i < t->options.slots; i++) {
        const struct slot *s = &t->slots[i];
        if (s->state == SLOT_WORKING && !s->pid && s->until_ms < next) {
            next = s->until_ms;
        }
    }
    return next;
}

void agent_tasks_reap(struct agent_tasks *t)
{
    for (unsigned i = 0; i < t->options.slots; i++) {
        struct slot *s = &t->slots[i];
        int status;
        if (s->pid && waitpid(s->pid, &status, WNOHANG) == s->pid) {
            process_ended(t, s, status);
        }
    }
}

unsigned agent_tasks_busy(const struct agent_tasks *t)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < t->options.slots; i++) {
        busy += t->slots[i].state != SLOT_FREE;
    }
    return busy;
}

void agent_tasks_signal(struct agent_tasks *t, int signal)
{
    for (unsigned i = 0; i < t->options.slots; i++) {
        if (t->slots[i].pid) {
            (void)kill(-t->slots[i].pid, signal);
        }
    }
}

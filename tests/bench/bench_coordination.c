/* What a person or a program waits for who asks one thing at a time: a page of many tasks, networks
 * and swarms of many members, a round of votes.
 *
 * One connection, one question, its answer; nothing else happens meanwhile, so these are the
 * un-batched figures. Tasks for the page are submitted pipelined before, for a capability that
 * nobody has, so that they all wait.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"

enum { PIPELINED = 200, ID_BYTES = 80, CURSOR_BYTES = 256 };

static const uint64_t patience = (uint64_t)60 * 1000000000;

struct options {
    uint32_t tasks, members, voters, times;
};

struct talk {
    struct target target;
    struct crowd *crowd;
    uint64_t asked, answered;
    struct buf text, answer;
};

/* ---- asking ---- */

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct talk *t = ctx;
    (void)index;
    if (len > 15 && memcmp(text, "{\"type\":\"error\"", 15) == 0)
        meter_fail("%s: %.*s", t->target.name, len < 300 ? (int)len : 300, text);
    if (len < 16 || memcmp(text, "{\"type\":\"result\"", 16) != 0)
        return;
    buf_clear(&t->answer);
    buf_add(&t->answer, text, len);
    buf_add(&t->answer, "", 1);
    t->answered++;
}

static void begin(struct talk *t, const char *method)
{
    buf_clear(&t->text);
    buf_printf(&t->text, "{\"type\":\"call\",\"id\":%" PRIu64 ",\"method\":\"%s\",\"params\":{",
               ++t->asked, method);
}

static void send_it(struct talk *t)
{
    buf_add(&t->text, "}}", 3);
    crowd_text(t->crowd, 0, (const char *)t->text.p);
}

static void wait_for(struct talk *t, uint64_t answers)
{
    if (!crowd_until(t->crowd, &t->answered, answers, patience))
        meter_fail("%s: no answer", t->target.name);
}

/* Sends what was begun, and waits for its answer. */
static void ask(struct talk *t, struct spread *waited)
{
    uint64_t from = meter_now();
    send_it(t);
    wait_for(t, t->asked);
    if (waited != NULL)
        spread_add(waited, meter_now() - from);
}

/* A string of the last answer; empty when it is not there. */
static void word(const struct talk *t, const char *key, char *out, size_t size)
{
    const char *at = strstr((const char *)t->answer.p, key);
    size_t n = 0;
    at = at != NULL ? at + strlen(key) : "\"";
    while (at[n] != '"' && at[n] != '\0' && n + 1 < size) {
        out[n] = at[n];
        n++;
    }
    out[n] = '\0';
}

static void report(const struct talk *t, const char *what, uint32_t of, const struct spread *s)
{
    printf("%s target=%s of=%" PRIu32 " times=%" PRIu64 " p50_ms=%.2f p99_ms=%.2f max_ms=%.2f\n",
           what, t->target.name, of, s->count, (double)spread_at(s, 0.50) / 1e6,
           (double)spread_at(s, 0.99) / 1e6, (double)s->max / 1e6);
}

/* ---- what is asked ---- */

static void agents_come(struct talk *t, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        begin(t, "agents.register");
        buf_printf(&t->text, "\"agent_type\":\"worker\",\"agent_id\":\"m-%" PRIu32 "\"", i);
        send_it(t);
        wait_for(t, t->asked > PIPELINED ? t->asked - PIPELINED : 0);
    }
    wait_for(t, t->asked);
}

static void networks(struct talk *t, const struct options *o)
{
    static struct spread create, status;
    char id[ID_BYTES];
    for (uint32_t i = 0; i < o->times; i++) {
        begin(t, "networks.create");
        buf_add_str(&t->text, "\"name\":\"bench\",\"agents\":[");
        for (uint32_t m = 0; m < o->members; m++)
            buf_printf(&t->text, "%s\"m-%" PRIu32 "\"", m > 0 ? "," : "", m);
        buf_add_str(&t->text, "]");
        ask(t, &create);
        word(t, "\"id\":\"", id, sizeof id);
        begin(t, "networks.status");
        buf_printf(&t->text, "\"network_id\":\"%s\"", id);
        ask(t, &status);
    }
    report(t, "network_create", o->members, &create);
    report(t, "network_status", o->members, &status);
}

static void swarm_join(struct talk *t, const char *swarm, uint32_t member, struct spread *waited)
{
    begin(t, "swarm.join");
    buf_printf(&t->text,
               "\"role\":\"worker\",\"capability\":\"bench\",\"agent_id\":\"m-%" PRIu32 "\"",
               member);
    if (*swarm != '\0')
        buf_printf(&t->text, ",\"swarm_id\":\"%s\"", swarm);
    ask(t, waited);
}

/* One member short of all, then one comes and goes. */
static void swarms(struct talk *t, const struct options *o)
{
    static struct spread join, leave, status;
    char swarm[ID_BYTES] = "", member[ID_BYTES];
    for (uint32_t i = 0; i + 1 < o->members; i++) {
        swarm_join(t, swarm, i, NULL);
        word(t, "\"swarm_id\":\"", swarm, sizeof swarm);
    }
    for (uint32_t i = 0; i < o->times; i++) {
        swarm_join(t, swarm, o->members - 1, &join);
        word(t, "\"member_id\":\"", member, sizeof member);
        begin(t, "swarm.status");
        buf_printf(&t->text, "\"swarm_id\":\"%s\"", swarm);
        ask(t, &status);
        begin(t, "swarm.leave");
        buf_printf(&t->text, "\"swarm_id\":\"%s\",\"member_id\":\"%s\"", swarm, member);
        ask(t, &leave);
    }
    report(t, "swarm_join", o->members, &join);
    report(t, "swarm_status", o->members, &status);
    report(t, "swarm_leave", o->members, &leave);
}

/* The last ballot's answer says that the round has closed. */
static void rounds(struct talk *t, const struct options *o)
{
    static struct spread decided;
    char id[ID_BYTES], status[ID_BYTES];
    for (uint32_t i = 0; i < o->times; i++) {
        begin(t, "consensus.open");
        buf_add_str(&t->text, "\"question\":\"bench\",\"electorate\":[");
        for (uint32_t v = 0; v < o->voters; v++)
            buf_printf(&t->text, "%s\"m-%" PRIu32 "\"", v > 0 ? "," : "", v);
        buf_add_str(&t->text, "]");
        ask(t, NULL);
        word(t, "\"round_id\":\"", id, sizeof id);
        for (uint32_t v = 0; v < o->voters; v++) {
            begin(t, "consensus.vote");
            buf_printf(&t->text,
                       "\"round_id\":\"%s\",\"voter\":\"m-%" PRIu32 "\",\"choice\":\"yes\"", id, v);
            ask(t, v + 1 == o->voters ? &decided : NULL);
        }
        word(t, "\"round_status\":\"", status, sizeof status);
        if (strcmp(status, "open") == 0 || *status == '\0')
            meter_fail("%s: the round is open after its last ballot: %s", t->target.name,
                       (const char *)t->answer.p);
    }
    report(t, "consensus", o->voters, &decided);
}

static void page(struct talk *t, const struct options *o)
{
    static struct spread waited;
    char cursor[CURSOR_BYTES] = "";
    for (uint32_t i = 0; i < o->tasks; i++) {
        begin(t, "tasks.submit");
        buf_printf(&t->text,
                   "\"task_data\":{\"n\":%" PRIu32
                   "},\"requirements\":{\"capabilities\":[\"nobody has it\"]}",
                   i);
        send_it(t);
        wait_for(t, t->asked > PIPELINED ? t->asked - PIPELINED : 0);
    }
    wait_for(t, t->asked);
    for (uint32_t i = 0; i < o->times; i++) {
        begin(t, "tasks.list");
        buf_add_str(&t->text, "\"limit\":100");
        if (*cursor != '\0')
            buf_printf(&t->text, ",\"cursor\":\"%s\"", cursor);
        ask(t, &waited);
        if (o->tasks >= 100 * o->times &&
            strstr((const char *)t->answer.p, "\"count\":100") == NULL)
            meter_fail("%s: no whole page: %.300s", t->target.name, (const char *)t->answer.p);
        word(t, "\"next_cursor\":\"", cursor, sizeof cursor);
    }
    report(t, "task_page", o->tasks, &waited);
}

int main(int argc, char **argv)
{
    struct targets targets = {0};
    struct options o = {.tasks = 1000000, .members = 1000, .voters = 100, .times = 200};
    // clang-format off
    const struct option_row table[] = {
        { "--tasks",   NULL, &o.tasks, 1, 10000000, "that a page is taken of" },
        { "--members", NULL, &o.members, 2, 1000, "of a network and of a swarm" },
        { "--voters",  NULL, &o.voters, 1, 1000, "of a round" },
        { "--times",   NULL, &o.times, 1, 10000, "each thing is asked" },
    };
    // clang-format on
    options_read(argc, argv, "How long one question about coordination waits.", table,
                 sizeof table / sizeof *table, &targets);
    for (uint32_t i = 0; i < targets.count; i++) {
        struct talk t = {.target = targets.list[i]};
        struct crowd_events events = {.ctx = &t, .text = on_text};
        t.crowd = crowd_new(&t.target, "/ws/v1/events", 1, events);
        crowd_connect(t.crowd, patience);
        agents_come(&t, o.members);
        networks(&t, &o);
        swarms(&t, &o);
        rounds(&t, &o);
        page(&t, &o);
        crowd_free(t.crowd);
        buf_done(&t.text);
        buf_done(&t.answer);
    }
    return 0;
}

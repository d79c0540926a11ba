/* Named cursors and messages by seeds: consumers and agents that take, answer, forget and go, while
 * the disk fails and the power is cut.
 *
 * Judged is what the outside can know. What an ack was answered for must not come again; what was
 * accepted must be settled by somebody in the end; counts of deliveries grow and end; one event has
 * one holder at a time. After each start memory says what the store says. */
#include "tests/sim/sim.h"
#include "channels/json_scan.h"
#include "hub/messages/lists.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BEES = 3,
    CONSUMERS = 4,
    EVENTS_MAX = 1000,
    MESSAGES_MAX = 1000,
    IN_FLIGHT = 5,  /* as configured in world.c */
    DELIVERIES = 3, /* likewise */
    CREDIT = 4,     /* likewise */
    PATIENT_S = 30 * 86400,
};
static const char *const jobs = "jobs";
static const char *const dead_jobs = "jobs.dead";

enum asked {
    ASKED_OTHER,
    ASKED_PUBLISH,
    ASKED_ATTACH,
    ASKED_EVENT,
    ASKED_SEND,
    ASKED_MESSAGE,
    ASKED_REGISTER
};

struct offered { /* an event of the channel */
    bool published, acked, surely, dead;
    bool answered; /* an ack or term was sent, whatever came of it */
    uint32_t deliveries;
    uint64_t holder;
    int64_t deadline_ms, ack_by_ms;
};

struct letter {
    char id[40];
    unsigned to, priority;
    uint32_t deliveries;
    bool accepted, acked, answered, patient;
};

struct deliveries {
    struct world *w;
    struct scene scene;
    struct offered events[EVENTS_MAX + 1]; /* by offset */
    uint64_t last;
    struct letter letters[MESSAGES_MAX];
    unsigned letters_n;
    uint64_t consumers[CONSUMERS]; /* connections; 0: not attached */
    uint64_t bees[BEES];
    uint32_t bee_numbers[BEES], bee_epochs[BEES];
    unsigned newest[BEES][MESSAGE_PRIORITIES]; /* first delivered so far: number of the letter */
    uint32_t cursor;
    unsigned pending;
};

static struct slice bee_name(unsigned bee, char out[16])
{
    return slice_of(out, (size_t)snprintf(out, 16, "bee-%u", bee));
}

/* ---- asking ---- */

static void ask(struct deliveries *d, const struct command_kind *kind, enum asked asked,
                uint64_t what, struct buf *body)
{
    (void)scene_ask(&d->scene, kind, (uint64_t)asked << 32 | what, body);
    d->pending++;
}

static void do_publish(struct deliveries *d)
{
    struct io_publish p = {.app = APP,
                           .options = io_options(d->scene.io, APP, slice_str(jobs)),
                           .ticket = (uint64_t)ASKED_PUBLISH << 32,
                           .event = {.kind = EVENT_MESSAGE,
                                     .channel = slice_str(jobs),
                                     .name = slice_str("job"),
                                     .data = slice_str("{}"),
                                     .time_ms = d->scene.io->now_ms}};
    bool live;
    if (d->last + 100 < EVENTS_MAX) {
        SIM_CHECK(d->w, io_publish(d->scene.io, &p, &live) == HUB_OK && !live,
                  "a publish was refused");
        d->w->counts.commands++;
        d->pending++;
    }
}

static void do_attach(struct deliveries *d, unsigned n)
{
    struct buf body = {0};
    struct cursor_attach attach = {
        .channel = slice_str(jobs), .name = slice_str("crew"), .has_since = true};
    if (!d->consumers[n]) {
        attach.connection = d->consumers[n] = io_connection_id(d->scene.io);
        cursor_attach_put(&body, &attach);
        ask(d, &command_cursor_attach, ASKED_ATTACH, n, &body);
    }
}

static void let_go(struct deliveries *d, uint64_t connection)
{
    for (uint64_t o = 1; o <= EVENTS_MAX; o++) {
        d->events[o].holder = d->events[o].holder == connection ? 0 : d->events[o].holder;
    }
}

static void do_detach(struct deliveries *d, unsigned n)
{
    struct buf body = {0};
    if (d->consumers[n]) {
        cursor_detach_put(&body, slice_str(jobs), slice_str("crew"), d->consumers[n],
                          slice_of(NULL, 0));
        ask(d, &command_cursor_detach, ASKED_OTHER, 0, &body);
        let_go(d, d->consumers[n]);
        d->consumers[n] = 0;
    }
}

static void do_event_answer(struct deliveries *d, uint64_t offset, enum cursor_verdict verdict)
{
    struct buf body = {0};
    struct offered *e = &d->events[offset];
    struct cursor_answer answer = {
        .number = d->cursor,
        .verdict = verdict,
        .offset = offset,
        .connection = e->holder,
        .delay_ms = verdict == CURSOR_NACK ? (int64_t)rng_below(&d->w->rng, 3000) - 500 : -1};
    e->answered = e->answered || verdict == CURSOR_ACK || verdict == CURSOR_TERM;
    cursor_answer_put(&body, &answer);
    ask(d, &command_cursor_answer, ASKED_EVENT, offset << 2 | verdict, &body);
    e->ack_by_ms = verdict == CURSOR_ACK ? e->deadline_ms : 0;
    if (verdict == CURSOR_PROGRESS) {
        e->deadline_ms = 0; /* moves when it is applied */
    } else {
        e->holder = 0;
    }
}

static void do_send(struct deliveries *d)
{
    struct world *w = d->w;
    char name[16], id[40];
    if (d->letters_n == MESSAGES_MAX) {
        return;
    }
    unsigned n = d->letters_n++;
    struct letter *l = &d->letters[n];
    *l = (struct letter){.to = rng_below(&w->rng, BEES),
                         .priority = rng_below(&w->rng, MESSAGE_PRIORITIES),
                         .patient = rng_percent(&w->rng, 70)};
    snprintf(id, sizeof id, "letter-%u", n);
    snprintf(l->id, sizeof l->id, "%s", id);
    struct message_send send = {.asker = {.subject = slice_str("boss"), .all = true},
                                .may_any = true,
                                .message = {.id = slice_str(id),
                                            .sender = slice_str("boss"),
                                            .receiver = bee_name(l->to, name),
                                            .payload = slice_str("{}"),
                                            .correlation_id = slice_str(l->patient ? "calm" : ""),
                                            .priority = (enum message_priority)l->priority,
                                            .ttl_ms = l->patient ? PATIENT_S * INT64_C(1000)
                                                                 : 1 + rng_below(&w->rng, 20000)}};
    struct buf body = {0};
    message_send_put(&body, &send);
    ask(d, &command_message_send, ASKED_SEND, n, &body);
}

static void do_message_answer(struct deliveries *d, unsigned n, enum message_event verdict)
{
    char name[16];
    struct letter *l = &d->letters[n];
    struct message_answer answer = {.asker = {.subject = slice_str("boss"), .all = true},
                                    .id = slice_str(l->id),
                                    .agent = bee_name(l->to, name),
                                    .verdict = verdict,
                                    .delay_ms = (int64_t)rng_below(&d->w->rng, 3000) - 500};
    struct buf body = {0};
    l->answered = l->answered || verdict == MESSAGE_ACK || verdict == MESSAGE_TERM;
    message_answer_put(&body, &answer);
    ask(d, &command_message_answer, ASKED_MESSAGE, n << 4 | verdict, &body);
}

static void do_register(struct deliveries *d, unsigned bee)
{
    char name[16];
    struct agent_register r = {.asker = {.subject = slice_str("boss"), .all = true},
                               .agent = {.id = bee_name(bee, name),
                                         .type = AGENT_WORKER,
                                         .endpoints = slice_str("{}"),
                                         .metadata = slice_str("{}"),
                                         .slots = 1},
                               .connection = io_connection_id(d->scene.io)};
    struct buf body = {0};
    d->bees[bee] = r.connection;
    agent_register_put(&body, &r);
    ask(d, &command_agent_register, ASKED_REGISTER, bee, &body);
}

static void do_gone(struct deliveries *d, unsigned bee)
{
    struct buf body = {0};
    if (d->bees[bee] && d->bee_numbers[bee]) {
        agent_gone_put(&body, d->bee_numbers[bee], d->bee_epochs[bee], d->bees[bee]);
        ask(d, &command_agent_gone, ASKED_OTHER, 0, &body);
        d->bees[bee] = 0;
    }
}

static void do_beat(struct deliveries *d, unsigned bee)
{
    struct buf body = {0};
    if (d->bees[bee] && d->bee_numbers[bee]) {
        agent_beat_put(&body, d->bee_numbers[bee], &(struct metrics){.n = 0});
        ask(d, &command_agent_beat, ASKED_OTHER, 0, &body);
    }
}

/* ---- hearing ---- */

static void message_heard(struct deliveries *d, struct slice data)
{
    static const char *const names[] = {"message_id", "deliveries"};
    struct slice field[2], id;
    uint64_t deliveries;
    size_t at;
    unsigned n;
    char text[40];
    SIM_CHECK(d->w,
              json_fields(data, names, 2, field, &at) == JSON_OK && json_is_plain(field[0], &id) &&
                  json_to_u64(field[1], &deliveries) && id.n < sizeof text,
              "a message is told as %.*s", (int)data.n, (const char *)data.p);
    memcpy(text, id.p, id.n);
    text[id.n] = '\0';
    SIM_CHECK(d->w, sscanf(text, "letter-%u", &n) == 1 && n < d->letters_n, "message %s", text);
    struct letter *l = &d->letters[n];
    SIM_CHECK(d->w, !l->acked, "%s came after its ack", text);
    SIM_CHECK(d->w, deliveries > l->deliveries && deliveries <= DELIVERIES,
              "%s: delivery %llu after %u", text, (unsigned long long)deliveries, l->deliveries);
    if (deliveries == 1) { /* first come, first served, within a level */
        unsigned *newest = &d->newest[l->to][l->priority];
        SIM_CHECK(d->w, n >= *newest, "%s came after letter-%u", text, *newest);
        *newest = n;
    }
    l->deliveries = (uint32_t)deliveries;
    d->w->counts.messages++;
    sim_note(d->w, n << 8 | deliveries);
}

static void events_heard(struct deliveries *d, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->events_n; i++) {
        const uint8_t *base = tray_base(tray, tray->events[i].arena);
        struct event event;
        event_frame_event(base, &tray->events[i].frame, &event);
        if (slice_starts(event.channel, "agent.bee-") && slice_is(event.name, "message")) {
            message_heard(d, event.data);
        }
    }
}

static void handouts_heard(struct deliveries *d, const struct tray *tray)
{
    struct world *w = d->w;
    for (uint32_t i = 0; i < tray->handouts_n; i++) {
        const struct tray_handout *h = &tray->handouts[i];
        SIM_CHECK(w, h->deliveries && h->from == h->last && h->from <= EVENTS_MAX,
                  "%llu to %llu are gone", (unsigned long long)h->from,
                  (unsigned long long)h->last);
        struct offered *e = &d->events[h->from];
        SIM_CHECK(w, !e->acked, "event %llu came after its ack", (unsigned long long)h->from);
        SIM_CHECK(w, h->deliveries > e->deliveries && h->deliveries <= DELIVERIES,
                  "event %llu: delivery %u after %u", (unsigned long long)h->from, h->deliveries,
                  e->deliveries);
        SIM_CHECK(w, !e->holder || !e->deadline_ms || w->now_ms >= e->deadline_ms,
                  "event %llu has two holders", (unsigned long long)h->from);
        bool attached = false;
        for (unsigned n = 0; n < CONSUMERS; n++) {
            attached = attached || d->consumers[n] == h->connection;
        }
        e->deliveries = h->deliveries;
        e->holder = attached ? h->connection : 0; /* else it went meanwhile */
        e->deadline_ms = w->now_ms + 3000;
        w->counts.handed++;
        sim_note(w, h->from << 8 | h->deliveries);
    }
}

static void attached(struct deliveries *d, const struct command *command, struct slice reply,
                     unsigned n)
{
    struct cursor_attached at;
    if (command->rc == HUB_OK) {
        SIM_CHECK(d->w, cursor_attached_get(reply, &at), "no answer to an attach");
        d->cursor = at.number;
    } else {
        d->consumers[n] = 0;
    }
}

static void registered(struct deliveries *d, const struct command *command, struct slice reply,
                       unsigned bee)
{
    struct agent_registered r;
    if (command->rc == HUB_OK) {
        SIM_CHECK(d->w, agent_registered_get(reply, &r), "no answer to a registration");
        d->bee_numbers[bee] = r.number;
        d->bee_epochs[bee] = r.epoch;
    } else {
        d->bees[bee] = 0;
    }
}

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct deliveries *d = ctx;
    struct slice reply = tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n);
    uint32_t what = (uint32_t)command->ticket;
    bool ok = command->rc == HUB_OK;
    d->pending--;
    switch ((enum asked)(command->ticket >> 32)) {
    case ASKED_PUBLISH:
        if (ok) {
            d->events[command->offset].published = true;
            d->last = command->offset > d->last ? command->offset : d->last;
        }
        break;
    case ASKED_ATTACH:
        attached(d, command, reply, what);
        break;
    case ASKED_EVENT:
        d->events[what >> 2].acked |= ok && (what & 3) == CURSOR_ACK;
        /* Its holder said so in time; else it may be dead, which an ack does not change. */
        d->events[what >> 2].surely |= ok && d->w->now_ms < d->events[what >> 2].ack_by_ms;
        d->w->counts.acks += ok && (what & 3) == CURSOR_ACK;
        break;
    case ASKED_SEND:
        d->letters[what].accepted = ok;
        break;
    case ASKED_MESSAGE:
        d->letters[what >> 4].acked |= ok && (what & 15) == MESSAGE_ACK;
        d->w->counts.acks += ok && (what & 15) == MESSAGE_ACK;
        break;
    case ASKED_REGISTER:
        registered(d, command, reply, what);
        break;
    case ASKED_OTHER:
        break;
    }
}

/* ---- a step ---- */

static void heard(void *ctx, const struct tray *tray)
{
    events_heard(ctx, tray);
    handouts_heard(ctx, tray);
}

static enum store_rc count_delivery(void *ctx, uint64_t delivery)
{
    (void)delivery;
    ++*(uint64_t *)ctx;
    return STORE_OK;
}

struct listing {
    struct deliveries *d;
    struct store_view *view;
    uint64_t n, last;
};

static bool see_listed(void *ctx, uint64_t number)
{
    struct listing *l = ctx;
    struct message m;
    SIM_CHECK(l->d->w, number > l->last && message_get(l->view, number, &m) == STORE_OK,
              "message %llu is listed behind %llu", (unsigned long long)number,
              (unsigned long long)l->last);
    l->last = number;
    l->n++;
    return true;
}

/* A list has messages that are there, in order, and as many as it says. */
static void check_list(struct deliveries *d, struct store_view *view, enum message_list list,
                       struct slice word)
{
    struct listing listed = {.d = d, .view = view};
    uint64_t counted = 0;
    SIM_CHECK(d->w,
              messages_each(view, list, APP, word, 0, false, see_listed, &listed) == STORE_OK &&
                  message_list_count(view, list, APP, word, &counted) == STORE_OK,
              "a list cannot be read");
    SIM_CHECK(d->w, counted == listed.n, "%c %.*s lists %llu messages and counts %llu", list,
              (int)word.n, (const char *)word.p, (unsigned long long)listed.n,
              (unsigned long long)counted);
}

static void check_lists(struct deliveries *d, struct store_view *view)
{
    check_list(d, view, MESSAGES_ALL, slice_of(NULL, 0));
    check_list(d, view, MESSAGES_OWNER, slice_str("boss"));
    check_list(d, view, MESSAGES_SENDER, slice_str("boss"));
    check_list(d, view, MESSAGES_CORRELATED, slice_str("calm"));
    for (unsigned bee = 0; bee < BEES; bee++) {
        char name[16];
        check_list(d, view, MESSAGES_RECIPIENT, bee_name(bee, name));
    }
}

/* Memory says what the store says. */
static void check_open(void *ctx)
{
    struct deliveries *d = ctx;
    struct store_view *view;
    struct messages_counts counts;
    uint64_t open = 0;
    if (d->scene.stepped) {
        return; /* after each start and in the end is enough */
    }
    SIM_CHECK(d->w, store_snapshot(d->w->reader, &view) == STORE_OK, "no snapshot");
    SIM_CHECK(d->w, deliveries_open_each(view, count_delivery, &open) == STORE_OK,
              "the index cannot be read");
    check_lists(d, view);
    store_release(d->w->reader);
    messages_counts(writer_module(d->w->hub.writer, MODULE_MESSAGES), &counts);
    SIM_CHECK(d->w, counts.waiting + counts.in_flight == open,
              "%llu messages are open in memory, %llu in the store",
              (unsigned long long)(counts.waiting + counts.in_flight), (unsigned long long)open);
    SIM_CHECK(d->w, counts.in_flight <= (uint64_t)CREDIT * BEES, "%llu messages are out",
              (unsigned long long)counts.in_flight);
}

/* Everything is wanted: the run reads what trays carry itself. */
static void listen(struct deliveries *d)
{
    struct client *c = &d->w->clients[0];
    client_up(d->w, c);
    (void)topics_watch(d->scene.io->topics, &c->sub, slice_str(">"));
}

static void restarted(void *ctx)
{
    struct deliveries *d = ctx;
    listen(d);
    memset(d->consumers, 0, sizeof d->consumers);
    memset(d->bees, 0, sizeof d->bees);
    for (uint64_t o = 1; o <= EVENTS_MAX; o++) {
        d->events[o].holder = 0;
    }
    d->pending = 0;
}

/* ---- the run ---- */

static void answer_some_event(struct deliveries *d)
{
    uint64_t offset = 1 + rng_below(&d->w->rng, (uint32_t)(d->last + 1));
    static const enum cursor_verdict verdicts[] = {CURSOR_ACK,  CURSOR_ACK,      CURSOR_ACK,
                                                   CURSOR_NACK, CURSOR_PROGRESS, CURSOR_TERM};
    for (uint64_t o = offset; o <= EVENTS_MAX && o < offset + 50; o++) {
        if (d->events[o].holder) {
            do_event_answer(d, o, verdicts[rng_below(&d->w->rng, 6)]);
            return;
        }
    }
}

static void answer_some_message(struct deliveries *d)
{
    static const enum message_event verdicts[] = {MESSAGE_ACK,  MESSAGE_ACK,      MESSAGE_ACK,
                                                  MESSAGE_NACK, MESSAGE_PROGRESS, MESSAGE_TERM};
    if (d->letters_n) {
        unsigned from = rng_below(&d->w->rng, d->letters_n);
        for (unsigned n = from; n < d->letters_n && n < from + 50; n++) {
            if (d->letters[n].deliveries && !d->letters[n].answered) {
                do_message_answer(d, n, verdicts[rng_below(&d->w->rng, 6)]);
                return;
            }
        }
    }
}

static void act(struct deliveries *d)
{
    struct rng *r = &d->w->rng;
    unsigned what = rng_below(r, 100);
    if (what < 22) {
        do_publish(d);
    } else if (what < 34) {
        do_send(d);
    } else if (what < 56) {
        answer_some_event(d);
    } else if (what < 78) {
        answer_some_message(d);
    } else if (what < 84) {
        do_attach(d, rng_below(r, CONSUMERS));
    } else if (what < 87) {
        do_detach(d, rng_below(r, CONSUMERS));
    } else if (what < 92) {
        do_register(d, rng_below(r, BEES));
    } else if (what < 94) {
        do_gone(d, rng_below(r, BEES));
    } else {
        do_beat(d, rng_below(r, BEES));
    }
}

/* Everybody is there, takes what comes and acknowledges it. */
static void come_to_rest(struct deliveries *d)
{
    struct world *w = d->w;
    scene_calm(&d->scene);
    for (unsigned i = 0; i < 5; i++) { /* a store that was full is looked at again */
        w->now_ms += 1000;
        scene_step(&d->scene);
    }
    do_attach(d, 0);
    for (unsigned bee = 0; bee < BEES; bee++) {
        do_register(d, bee); /* who was silent too long is not led back by a beat */
    }
    for (unsigned i = 0; i < 600; i++) {
        w->now_ms += 500;
        scene_step(&d->scene);
        for (uint64_t o = 1; o <= EVENTS_MAX; o++) {
            if (d->events[o].holder && !d->events[o].acked) {
                do_event_answer(d, o, CURSOR_ACK);
            }
        }
        for (unsigned n = 0; n < d->letters_n; n++) {
            if (d->letters[n].deliveries && !d->letters[n].acked && i % 4 == n % 4) {
                do_message_answer(d, n, MESSAGE_ACK);
            }
        }
        for (unsigned bee = 0; bee < BEES && i % 6 == 0; bee++) {
            do_beat(d, bee);
        }
        for (unsigned n = 1; n < CONSUMERS; n++) {
            do_detach(d, n); /* they sleep over what they have */
        }
    }
    scene_step(&d->scene);
}

/* ---- what must be true in the end ---- */

static bool dead_record(void *ctx, const struct log_record *record)
{
    static const char *const names[] = {"dead_offset"};
    struct deliveries *d = ctx;
    struct event event;
    struct slice field[1];
    uint64_t offset;
    size_t at;
    SIM_CHECK(d->w,
              event_unpack(record->payload, &event) &&
                  json_fields(event.headers, names, 1, field, &at) == JSON_OK &&
                  json_to_u64(field[0], &offset) && offset <= EVENTS_MAX,
              "a dead event says %.*s", (int)event.headers.n, (const char *)event.headers.p);
    SIM_CHECK(d->w, !d->events[offset].dead, "event %llu died twice", (unsigned long long)offset);
    SIM_CHECK(d->w, !d->events[offset].surely, "event %llu died after its ack",
              (unsigned long long)offset);
    d->events[offset].dead = true;
    d->w->counts.dead++;
    return true;
}

static void check_events(struct deliveries *d)
{
    struct replay_span span;
    const struct namespace_options all = {0};
    uint64_t next;
    SIM_CHECK(d->w,
              replay_span(d->w->hub.log, d->w->reader, APP, slice_str(dead_jobs), &all,
                          d->w->now_ms, &span) == STORE_OK,
              "no span");
    if (span.channel) {
        (void)log_read(span.view, &span.head, 1, SIZE_MAX, dead_record, d, &next);
    }
    store_release(d->w->reader);
    for (uint64_t o = 1; o <= d->last; o++) {
        const struct offered *e = &d->events[o];
        SIM_CHECK(d->w, !e->published || e->dead || e->answered,
                  "event %llu was lost: %u deliveries", (unsigned long long)o, e->deliveries);
    }
}

static void check_cursor(struct deliveries *d)
{
    uint8_t key[4];
    struct slice value;
    struct cursor_row row;
    struct store_view *view;
    be32_put(key, d->cursor);
    SIM_CHECK(d->w, store_snapshot(d->w->reader, &view) == STORE_OK, "no snapshot");
    SIM_CHECK(d->w,
              store_get(view, TABLE_CURSOR, slice_of(key, 4), &value) == STORE_OK &&
                  cursor_row_get(value, &row),
              "the cursor has no row");
    SIM_CHECK(d->w, row.top >= d->last && row.items_n == 0,
              "the cursor stands at %llu of %llu, %u are open", (unsigned long long)row.top,
              (unsigned long long)d->last, (unsigned)row.items_n);
    store_release(d->w->reader);
}

static void check_letter(struct deliveries *d, struct store_view *view, const struct letter *l)
{
    struct message m;
    struct message_tally t;
    struct message_delivery row;
    struct world *w = d->w;
    SIM_CHECK(w, message_find(view, APP, slice_str(l->id), &m) == STORE_OK, "%s was lost", l->id);
    SIM_CHECK(w,
              message_tally_get(view, m.number, &t) == STORE_OK &&
                  delivery_get(view, delivery_number(m.number, 1), &row) == STORE_OK,
              "%s has no recipient", l->id);
    SIM_CHECK(w, t.recipients == 1 && message_tally_is_settled(&t), "%s is %s in the end", l->id,
              message_state_name(row.state));
    SIM_CHECK(w, !l->acked || row.state == MESSAGE_ACKED, "%s was acknowledged and is %s", l->id,
              message_state_name(row.state));
    SIM_CHECK(w, row.state != MESSAGE_ACKED || l->answered, "nobody acknowledged %s", l->id);
    SIM_CHECK(w, row.state != MESSAGE_EXPIRED || (!l->patient && w->now_ms >= row.expires_ms),
              "%s expired too early", l->id);
    SIM_CHECK(w, row.state != MESSAGE_DEAD || l->answered || row.deliveries == DELIVERIES,
              "%s died after %u deliveries", l->id, row.deliveries);
}

static void check_letters(struct deliveries *d)
{
    struct store_view *view;
    SIM_CHECK(d->w, store_snapshot(d->w->reader, &view) == STORE_OK, "no snapshot");
    for (unsigned n = 0; n < d->letters_n; n++) {
        if (d->letters[n].accepted) {
            check_letter(d, view, &d->letters[n]);
        }
    }
    store_release(d->w->reader);
}

static void time_passes(struct world *w)
{
    static const uint32_t spans[] = {50, 1500, 6000, 40000};
    w->now_ms += rng_below(&w->rng, spans[rng_below(&w->rng, 4)]);
}

void deliveries_run(struct world *w)
{
    static struct deliveries d;
    struct rng *r = &w->rng;
    d = (struct deliveries){.w = w};
    w->plan.threads = 1;
    w->plan.clients = 1;
    w->plan.wide = false;
    d.scene = (struct scene){.w = w,
                             .ctx = &d,
                             .answered = answered,
                             .heard = heard,
                             .restarted = restarted,
                             .check = check_open};
    scene_start(&d.scene);
    listen(&d);
    for (unsigned i = 0; i < w->plan.actions; i++) {
        unsigned what = rng_below(r, 100);
        w->now_ms += rng_below(r, 4);
        if (what < 70) {
            act(&d);
        } else if (what < 95) {
            scene_step(&d.scene);
        } else if (what < 99) {
            time_passes(w);
        } else if (rng_percent(r, w->plan.crash_percent * 5)) {
            scene_cut(&d.scene);
        }
        if (d.pending > 60) {
            scene_step(&d.scene);
        }
    }
    come_to_rest(&d);
    check_open(&d);
    check_events(&d);
    check_cursor(&d);
    check_letters(&d);
    scene_cut(&d.scene);
    check_letters(&d);
}

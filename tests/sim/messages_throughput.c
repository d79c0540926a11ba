/* How fast the domain takes messages from sending over delivery to the ack, each to one agent. */
#include "tests/sim/gauge.h"
#include "channels/json_scan.h"

#include <stdio.h>
#include <stdlib.h>

enum { A_BATCH = 1000, BATCHES = 200, AGENTS_A_TURN = 500, AGENTS_MAX = 10000 };

/* Messages that came to an agent and are to be acknowledged in the next turn. */
struct letter {
    char id[40];
    unsigned to;
};

struct bench {
    struct gauge gauge;
    unsigned agents;
    uint64_t sent, acked;
    struct letter came[A_BATCH];
    unsigned came_n;
};

static void give_agent(struct bench *b, unsigned i)
{
    char name[16];
    struct command *command;
    struct buf *arena = gauge_begin(&b->gauge, &command_agent_register, &command);
    struct agent_register reg = {.asker = {.subject = slice_str("boss"), .all = true},
                                 .agent = {.id = agent_name(i, name), .slots = 1},
                                 .connection = io_connection_id(b->gauge.io)};
    agent_register_put(arena, &reg);
    gauge_end(command, arena);
}

static void give_message(struct bench *b)
{
    char name[16];
    struct command *command;
    struct buf *arena = gauge_begin(&b->gauge, &command_message_send, &command);
    struct message_send send = {
        .asker = {.subject = slice_str("boss"), .all = true},
        .may_any = true,
        .message = {.sender = slice_str("boss"),
                    .receiver = agent_name((unsigned)(b->sent++ % b->agents), name),
                    .payload = slice_str("{\"n\":1,\"text\":\"some words\"}"),
                    .priority = MESSAGE_NORMAL,
                    .ttl_ms = MESSAGE_TTL_S * INT64_C(1000)}};
    message_send_put(arena, &send);
    gauge_end(command, arena);
}

static void give_ack(struct bench *b, const struct letter *l)
{
    char name[16];
    struct command *command;
    struct buf *arena = gauge_begin(&b->gauge, &command_message_answer, &command);
    struct message_answer answer = {.asker = {.subject = slice_str("boss"), .all = true},
                                    .id = slice_str(l->id),
                                    .agent = agent_name(l->to, name),
                                    .verdict = MESSAGE_ACK};
    message_answer_put(arena, &answer);
    gauge_end(command, arena);
}

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct bench *b = ctx;
    struct message_sent sent;
    b->acked += command->kind == &command_message_answer;
    if (command->kind != &command_message_send) {
        return;
    }
    SIM_CHECK(
        b->gauge.w,
        message_sent_get(tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n), &sent) &&
            sent.state == MESSAGE_DELIVERED && b->came_n < A_BATCH,
        "a message was not delivered");
    struct letter *l = &b->came[b->came_n++];
    snprintf(l->id, sizeof l->id, "%.*s", (int)sent.id.n, (const char *)sent.id.p);
    SIM_CHECK(b->gauge.w, sscanf((const char *)sent.receiver.p, "agent-%u", &l->to) == 1,
              "a message went to nobody");
}

int messages_throughput(const char *dir, unsigned agents)
{
    if (agents < 1 || agents > AGENTS_MAX) {
        puts("throughput of messages: 1 to 10,000 agents");
        return 2;
    }
    struct world *w = xcalloc(1, sizeof *w);
    struct bench *b = xcalloc(1, sizeof *b);
    *b = (struct bench){.gauge = {.w = w, .io = &w->threads[0].io, .ctx = b, .answered = answered},
                        .agents = agents};
    if (setjmp(w->failed) != 0) {
        printf("throughput of messages: %s\n", w->why);
        return 1;
    }
    world_open_bare(w, dir);
    for (unsigned i = 0; i < agents; i++) {
        give_agent(b, i);
        if (i % AGENTS_A_TURN == AGENTS_A_TURN - 1) {
            gauge_turn(&b->gauge);
        }
    }
    gauge_turn(&b->gauge);
    b->gauge.writer = 0;
    for (unsigned n = 0; n < BATCHES + 1; n++) {
        for (unsigned i = 0; i < b->came_n; i++) {
            give_ack(b, &b->came[i]);
        }
        b->came_n = 0;
        for (unsigned i = 0; n < BATCHES && i < A_BATCH; i++) {
            give_message(b);
        }
        gauge_turn(&b->gauge);
    }
    printf("%llu messages sent, delivered and acknowledged, each step durable: %.0f a second of "
           "the writer's CPU, %.1f microseconds each\n",
           (unsigned long long)b->acked, (double)b->acked / b->gauge.writer,
           b->gauge.writer * 1e6 / (double)b->acked);
    world_close(w);
    free(b);
    free(w);
    return 0;
}

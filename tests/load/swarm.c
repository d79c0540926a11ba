#include "tests/load/swarm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/wsframe.h"

static const char path[] = "/ws/v1/events";

/* The number after "offset": in a frame of the hub; 0: there is none. */
static uint64_t offset_in(const char *text, size_t len)
{
    static const char key[] = "\"offset\":";
    uint64_t v = 0;
    for (size_t i = 0; i + sizeof key <= len; i++) {
        if (text[i] != '"' || memcmp(text + i, key, sizeof key - 1) != 0)
            continue;
        for (i += sizeof key - 1; i < len && text[i] >= '0' && text[i] <= '9'; i++)
            v = v * 10 + (uint64_t)(text[i] - '0');
        break;
    }
    return v;
}

static bool is_type(const char *text, size_t len, const char *type)
{
    size_t n = strlen(type);
    return len > n + 9 && memcmp(text + 9, type, n) == 0 && text[9 + n] == '"';
}

/* ---- listeners ---- */

static void on_opened(void *ctx, uint32_t index)
{
    struct swarm *s = ctx;
    char frame[256];
    (void)snprintf(frame, sizeof frame,
                   "{\"type\":\"subscribe\",\"id\":1,\"channels\":[{\"channel\":\"%s\","
                   "\"since\":{\"offset\":%" PRIu64 "}}]}",
                   s->channel, s->next[index] - 1);
    crowd_text(s->crowd, index, frame);
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct swarm *s = ctx;
    if (is_type(text, len, "event")) {
        uint64_t offset = offset_in(text, len);
        if (offset != s->next[index])
            meter_fail("listener %u of %s wanted event %" PRIu64 " and got %" PRIu64, index,
                       s->channel, s->next[index], offset);
        s->next[index]++;
        s->events++;
    } else if (is_type(text, len, "subscribed")) {
        s->subscribed++;
    } else if (!is_type(text, len, "welcome")) {
        meter_fail("listener %u of %s was told: %.*s", index, s->channel,
                   len < 300 ? (int)len : 300, text);
    }
}

void swarm_init(struct swarm *s, const struct target *t, const char *channel, uint32_t count)
{
    *s = (struct swarm){.target = *t, .channel = channel, .count = count};
    s->next = xcalloc(count, sizeof *s->next);
    for (uint32_t i = 0; i < count; i++)
        s->next[i] = 1;
}

void swarm_done(struct swarm *s)
{
    swarm_cut(s);
    free(s->next);
}

void swarm_come(struct swarm *s, uint32_t opening)
{
    struct crowd_events events = {.ctx = s, .opened = on_opened, .text = on_text};
    s->subscribed = 0;
    s->crowd = crowd_new(&s->target, path, s->count, events);
    crowd_opening_max(s->crowd, opening);
    crowd_connect(s->crowd, 60 * NS_PER_S);
    if (!crowd_until(s->crowd, &s->subscribed, s->count, 60 * NS_PER_S))
        meter_fail("%" PRIu64 " of %u subscribed to %s", s->subscribed, s->count, s->channel);
}

void swarm_cut(struct swarm *s)
{
    crowd_free(s->crowd);
    s->crowd = NULL;
}

void swarm_turn(struct swarm *s, uint64_t ns)
{
    crowd_turn(s->crowd, ns);
}

void swarm_reach(struct swarm *s, uint32_t first, uint32_t last, uint64_t offset, uint64_t within)
{
    uint64_t deadline = meter_now() + within;
    for (uint32_t i = first; i <= last; i++) {
        while (s->next[i] <= offset) {
            crowd_turn(s->crowd, 50 * NS_PER_MS);
            if (meter_now() > deadline)
                meter_fail("listener %u of %s stands at %" PRIu64 " of %" PRIu64, i, s->channel,
                           s->next[i] - 1, offset);
        }
    }
}

/* ---- publisher ---- */

static void on_answer(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct publisher *p = ctx;
    (void)index;
    if (is_type(text, len, "published")) {
        p->answered++;
        p->offset = offset_in(text, len);
    } else if (!is_type(text, len, "welcome")) {
        meter_fail("the publisher of %s was told: %.*s", p->channel, len < 300 ? (int)len : 300,
                   text);
    }
}

void publisher_open(struct publisher *p, const struct target *t, const char *channel,
                    uint32_t bytes)
{
    *p = (struct publisher){.channel = channel, .bytes = bytes};
    p->crowd = crowd_new(t, path, 1, (struct crowd_events){.ctx = p, .text = on_answer});
    crowd_connect(p->crowd, 10 * NS_PER_S);
}

void publisher_send(struct publisher *p)
{
    struct buf text = {0}, frame = {0};
    buf_add_str(&text, "{\"type\":\"publish\",\"id\":");
    buf_add_u64(&text, ++p->sent);
    buf_add_str(&text, ",\"channel\":\"");
    buf_add_str(&text, p->channel);
    buf_add_str(&text, "\",\"event\":\"x\",\"data\":\"");
    for (uint32_t i = 0; i < p->bytes; i++)
        buf_add(&text, "x", 1);
    buf_add_str(&text, "\"}");
    wsframe_add_client(&frame, WSFRAME_TEXT, text.p, text.n);
    crowd_write(p->crowd, 0, frame.p, frame.n);
    buf_done(&text);
    buf_done(&frame);
}

void publisher_drain(struct publisher *p)
{
    if (!crowd_until(p->crowd, &p->answered, p->sent, 20 * NS_PER_S))
        meter_fail("%" PRIu64 " publishes to %s unanswered", p->sent - p->answered, p->channel);
}

void publisher_close(struct publisher *p)
{
    crowd_free(p->crowd);
}

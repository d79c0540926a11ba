#include "hub/cli/top_pulse.h"

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/cli/output.h"

enum { GAP_MS_MAX = 10000 };

enum reading { LEVEL, RATE, MEAN };

// clang-format off
static const struct {
    const char *title, *figure, *over; /* over: of a mean, what is counted */
    enum reading reading;
    double unit;
} rows[PULSES] = {
    [PULSE_SUBMITTED]   = { "tasks in /s",          "tasks_submitted_total", NULL,           RATE,  1 },
    [PULSE_COMPLETED]   = { "tasks done /s",        "tasks_completed_total", NULL,           RATE,  1 },
    [PULSE_FAILED]      = { "tasks failed /s",      "tasks_failed_total",    NULL,           RATE,  1 },
    [PULSE_QUEUED]      = { "tasks waiting",        "tasks_queued",          NULL,           LEVEL, 1 },
    [PULSE_RUNNING]     = { "tasks with agents",    "tasks_running",         NULL,           LEVEL, 1 },
    [PULSE_DISPATCH]    = { "wait for an offer ms", "offer_wait_ms_total",   "offers_total", MEAN,  1 },
    [PULSE_IN]          = { "messages in /s",       "messages_in",           NULL,           RATE,  1 },
    [PULSE_OUT]         = { "messages out /s",      "messages_out",          NULL,           RATE,  1 },
    [PULSE_COMMIT]      = { "commit ms",            "commit_us",             "commits",      MEAN,  1000 },
    [PULSE_AGENTS]      = { "agents active",        "agents_active",         NULL,           LEVEL, 1 },
    [PULSE_STALE]       = { "agents stale",         "agents_stale",          NULL,           LEVEL, 1 },
    [PULSE_CONNECTIONS] = { "connections",          "connections",           NULL,           LEVEL, 1 },
    [PULSE_UNSENT]      = { "bytes not taken yet",  "queue_bytes",           NULL,           LEVEL, 1 },
};
// clang-format on

static double figure_of(struct slice figures, const char *name)
{
    double value = 0;
    (void)json_to_double(json_at(figures, name), &value);
    return value;
}

static double read_row(const struct top_pulse *p, size_t i, double sum, double count,
                       double seconds)
{
    double grown = sum - p->sums[i], counted = count - p->counts[i];
    switch (rows[i].reading) {
    case LEVEL:
        return sum;
    case RATE:
        return grown > 0 ? grown / seconds : 0;
    case MEAN:
        return grown > 0 && counted > 0 ? grown / counted / rows[i].unit : 0;
    }
    return 0;
}

void top_pulse_take(struct top_pulse *p, struct slice figures, int64_t at_ms)
{
    bool follows = p->at_ms && at_ms > p->at_ms && at_ms - p->at_ms < GAP_MS_MAX;
    for (size_t i = 0; i < PULSES; i++) {
        double sum = figure_of(figures, rows[i].figure);
        double count = rows[i].over ? figure_of(figures, rows[i].over) : 0;
        if (follows) {
            double seconds = (double)(at_ms - p->at_ms) / 1000;
            p->now[i] = read_row(p, i, sum, count, seconds);
            series_add(&p->series[i], p->now[i]);
        }
        p->sums[i] = sum;
        p->counts[i] = count;
    }
    p->at_ms = at_ms;
}

/* Three figures are enough for the eye. */
static void put_rounded(struct json_out *o, const char *key, double value)
{
    double step = value >= 100 ? 1 : value >= 10 ? 10 : 100;
    json_key(o, key);
    json_double(o, (double)(int64_t)(value * step + 0.5) / step);
}

void top_pulse_list(const struct top_pulse *p, size_t columns, bool ascii, struct buf *out)
{
    struct json_out o = json_out_to(out);
    json_begin(&o, '[');
    for (size_t i = 0; i < PULSES; i++) {
        struct buf past = {0};
        series_draw(&p->series[i], &past, columns, ascii);
        json_begin(&o, '{');
        json_key(&o, "pulse");
        json_str(&o, rows[i].title);
        put_rounded(&o, "now", p->now[i]);
        put_rounded(&o, "most", series_most(&p->series[i]));
        json_key(&o, "past");
        json_text(&o, buf_slice(&past));
        json_end(&o, '}');
        buf_done(&past);
    }
    json_end(&o, ']');
}

#include "tests/bench/flow.h"
#include "tests/bench/wsframe.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const uint64_t patience = FLOW_PATIENCE_S * UINT64_C(1000000000);
enum { WARM_UP_S = 2 };

void flow_open(struct flow *f, const struct target *t, const char *path, struct crowd_events events,
               uint64_t ready_each)
{
    uint32_t conns = f->senders + f->receivers;
    f->target = t;
    f->out = xcalloc(conns, sizeof *f->out);
    f->count_from = UINT64_MAX;
    f->crowd = crowd_new(t, path, conns, events);
    crowd_connect(f->crowd, 4 * patience);
    if (!crowd_until(f->crowd, &f->ready, f->receivers * ready_each, patience))
        meter_fail("%s: %" PRIu64 " of the receivers' first steps were answered", t->name,
                   f->ready);
}

void flow_close(struct flow *f)
{
    crowd_free(f->crowd);
    for (uint32_t i = 0; i < f->senders + f->receivers; i++)
        buf_done(&f->out[i]);
    free(f->out);
    buf_done(&f->text);
}

void flow_frame(struct flow *f, uint32_t index)
{
    wsframe_add_client(&f->out[index], WSFRAME_TEXT, f->text.p, f->text.n);
}

void flow_flush(struct flow *f, uint32_t index)
{
    if (f->out[index].n > 0)
        crowd_write(f->crowd, index, f->out[index].p, f->out[index].n);
    buf_clear(&f->out[index]);
}

void flow_flush_senders(struct flow *f)
{
    for (uint32_t i = 0; i < f->senders; i++)
        flow_flush(f, i);
}

void flow_shown(struct flow *f, uint64_t moment, uint64_t now)
{
    if (moment >= f->count_from)
        spread_add(&f->shown, now - moment);
}

void flow_completed(struct flow *f, uint64_t moment)
{
    if (moment >= f->count_from)
        spread_add(&f->whole, meter_now() - moment);
    f->completed++;
}

static double ms_at(const struct spread *s, double share)
{
    return (double)spread_at(s, share) / 1e6;
}

void flow_measure(struct flow *f, flow_sends *sends, void *ctx, uint32_t seconds, uint32_t round,
                  struct flow_figures *out)
{
    uint64_t start = meter_now();
    sends(ctx, start, start + WARM_UP_S * NS_PER_S);
    uint64_t from = meter_now(), cpu = meter_cpu(f->target->pid), own = meter_cpu(getpid());
    uint64_t before = f->completed;
    f->count_from = from;
    sends(ctx, start, from + seconds * NS_PER_S);
    double took = (double)(meter_now() - from), n = (double)(f->completed - before);
    out->rate[round] = n * 1e9 / took;
    out->cpu_us[round] = n > 0 ? (double)(meter_cpu(f->target->pid) - cpu) / n / 1e3 : 0;
    out->client[round] = (double)(meter_cpu(getpid()) - own) / took;
    if (!crowd_until(f->crowd, &f->completed, f->sent, patience))
        meter_fail("%s: %" PRIu64 " were not done", f->target->name, f->sent - f->completed);
    out->shown_p50[round] = ms_at(&f->shown, 0.50);
    out->shown_p99[round] = ms_at(&f->shown, 0.99);
    out->whole_p50[round] = ms_at(&f->whole, 0.50);
    out->whole_p99[round] = ms_at(&f->whole, 0.99);
}

void flow_report(struct flow_figures *figures, uint32_t rounds, const char *shown)
{
    printf(" per_s=%.0f cpu_us=%.2f client_core=%.2f", meter_median(figures->rate, rounds),
           meter_median(figures->cpu_us, rounds), meter_median(figures->client, rounds));
    printf(" %s_p50_ms=%.2f %s_p99_ms=%.2f", shown, meter_median(figures->shown_p50, rounds), shown,
           meter_median(figures->shown_p99, rounds));
    printf(" p50_ms=%.2f p99_ms=%.2f\n", meter_median(figures->whole_p50, rounds),
           meter_median(figures->whole_p99, rounds));
}

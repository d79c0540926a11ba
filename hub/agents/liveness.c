#include "hub/agents/liveness.h"

#include <math.h>

enum { GAPS_KNOWN = 10, GAPS_WINDOW = 1000, DEVIATION_MS_MIN = 100 };

static double deviation(const struct pulse *pulse, uint32_t interval_ms)
{
    double floor_ms = interval_ms / 10.0 > DEVIATION_MS_MIN ? interval_ms / 10.0 : DEVIATION_MS_MIN;
    return pulse->phi_deviation_ms > floor_ms ? pulse->phi_deviation_ms : floor_ms;
}

int64_t liveness_stale_after(const struct liveness_rules *rules, uint32_t interval_ms,
                             const struct pulse *pulse)
{
    int64_t by_count = (int64_t)rules->suspect_intervals * interval_ms;
    if (pulse->samples < GAPS_KNOWN) {
        return by_count;
    }
    /* φ = 8 means 1 - F = 1e-8, which the normal distribution reaches 5.612 deviations above its
     * mean. */
    double by_phi = pulse->phi_mean_ms + interval_ms + 5.612 * deviation(pulse, interval_ms);
    return by_phi < (double)by_count ? (int64_t)ceil(by_phi) : by_count;
}

double liveness_phi(const struct pulse *pulse, uint32_t interval_ms, int64_t silence_ms)
{
    if (pulse->samples < GAPS_KNOWN) {
        return 0;
    }
    double z =
        ((double)silence_ms - pulse->phi_mean_ms - interval_ms) / deviation(pulse, interval_ms);
    double tail = 0.5 * erfc(z / sqrt(2.0));
    double phi = tail > 1e-300 ? -log10(tail) : 300;
    return phi > 0 ? phi : 0;
}

void liveness_gap(struct pulse *pulse, int64_t gap_ms)
{
    if (gap_ms < 0) {
        return;
    }
    uint32_t n = pulse->samples < GAPS_WINDOW ? ++pulse->samples : GAPS_WINDOW;
    double weight = 1.0 / n, off = (double)gap_ms - pulse->phi_mean_ms;
    double variance = pulse->phi_deviation_ms * pulse->phi_deviation_ms;
    pulse->phi_mean_ms += weight * off;
    variance = (1 - weight) * (variance + weight * off * off);
    pulse->phi_deviation_ms = sqrt(variance);
}

static double clamp(double v)
{
    return isnan(v) || v < 0 ? 0 : v > 1 ? 1 : v;
}

static bool metric(const struct metrics *metrics, const char *name, double *out)
{
    for (uint32_t i = 0; i < metrics->n; i++) {
        if (strcmp(metrics->list[i].name, name) == 0) {
            double v = metrics->list[i].value;
            *out = clamp(v > 1 ? v / 100 : v);
            return true;
        }
    }
    return false;
}

static double part(const struct metrics *metrics, const char *name, const char *other)
{
    double v;
    return metric(metrics, name, &v) || metric(metrics, other, &v) ? v : -1;
}

struct load_parts liveness_parts(const struct metrics *metrics)
{
    return (struct load_parts){.cpu = part(metrics, "cpu", "cpu_usage"),
                               .memory = part(metrics, "memory", "memory_usage"),
                               .queue = part(metrics, "queue", "queue_size")};
}

double liveness_load(const struct metrics *metrics)
{
    struct load_parts parts = liveness_parts(metrics);
    const double weighted[][2] = {{0.4, parts.cpu}, {0.3, parts.memory}, {0.3, parts.queue}};
    double v, sum = 0, weights = 0;
    if (metric(metrics, "load", &v)) {
        return v;
    }
    for (size_t i = 0; i < sizeof weighted / sizeof *weighted; i++) {
        if (weighted[i][1] >= 0) {
            sum += weighted[i][0] * weighted[i][1];
            weights += weighted[i][0];
        }
    }
    return weights > 0 ? sum / weights : 0;
}

struct health liveness_health(const struct liveness_rules *rules, const struct agent *agent,
                              const struct metrics *metrics, int64_t silence_ms)
{
    struct health h = {.success = clamp(agent->success), .load = liveness_load(metrics)};
    double span = (double)(rules->timeout_ms - (int64_t)agent->interval_ms);
    double late = (double)(silence_ms - (int64_t)agent->interval_ms);
    h.freshness = late <= 0 ? 1 : span <= 0 ? 0 : clamp(1 - late / span);
    h.total = 0.4 * h.freshness + 0.4 * h.success + 0.2 * (1 - h.load);
    bool suspected = agent->status == AGENT_STALE || agent->status == AGENT_INACTIVE ||
                     agent->status == AGENT_ERROR;
    if (suspected && h.total > 0.49) {
        h.total = 0.49;
    }
    return h;
}

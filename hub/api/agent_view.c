#include "hub/api/agent_view.h"
#include "hub/api/answer.h"

#include <math.h>
#include <stdlib.h>

/* ---- who may see what ---- */

bool agent_visible(const struct call *call, const struct agent *agent)
{
    struct asker asker = asker_of(call->who);
    return agent->app == call->who->app && agent->status != AGENT_DEREGISTERED &&
           (asker.all || slice_equal(asker.subject, agent->owner));
}

enum hub_rc agent_missing(struct call *call, struct slice id)
{
    return call_fail(call, HUB_NOT_FOUND, "Agent %.*s not found", (int)id.n, (const char *)id.p);
}

enum hub_rc agent_see(struct call *call, struct store_view *view, struct slice id,
                      struct agent *out)
{
    if (id.n == 0 || id.n > AGENT_ID_BYTES_MAX) {
        return agent_missing(call, slice_of(id.p, id.n < 200 ? id.n : 200));
    }
    enum store_rc rc = agent_find(view, call->who->app, id, out);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !agent_visible(call, out))) {
        return agent_missing(call, id);
    }
    return hub_rc_of_store(rc);
}

/* ---- what holds now ---- */

struct now {
    struct pulse pulse; /* the row's when there was no beat since the start */
    int64_t silence_ms;
    struct health health;
};

static void then_of(const struct call *call, const struct agent *agent, int64_t at_ms,
                    struct now *out)
{
    struct liveness_rules rules = liveness_rules_of(call->io->settings);
    if (!pulse_get(call->io->hub->pulses, agent->number, &out->pulse)) {
        out->pulse = (struct pulse){
            .seen_ms = agent->seen_ms, .silent_ms = agent->seen_ms, .metrics = agent->metrics};
    }
    out->silence_ms = at_ms > out->pulse.silent_ms ? at_ms - out->pulse.silent_ms : 0;
    out->health = liveness_health(&rules, agent, &out->pulse.metrics, out->silence_ms);
}

static void now_of(const struct call *call, const struct agent *agent, struct now *out)
{
    then_of(call, agent, call->now_ms, out);
}

enum agent_status agent_status_now(const struct call *call, const struct agent *agent)
{
    uint32_t held = pulse_held(call->io->hub->pulses, agent->number);
    return agent_status_with(agent->status, held, agent->slots);
}

int64_t agent_paused_until(const struct call *call, const struct agent *agent)
{
    int64_t until_ms = pulse_paused(call->io->hub->pulses, agent->number);
    return until_ms > call->now_ms ? until_ms : 0;
}

double agent_health(const struct call *call, const struct agent *agent)
{
    struct now now;
    now_of(call, agent, &now);
    return now.health.total;
}

/* ---- JSON ---- */

void metrics_json(struct json_out *o, const struct metrics *metrics)
{
    json_begin(o, '{');
    for (uint32_t i = 0; i < metrics->n; i++) {
        json_key(o, metrics->list[i].name);
        json_double(o, metrics->list[i].value);
    }
    json_end(o, '}');
}

static void put_object(struct json_out *o, const char *key, struct slice json)
{
    json_key(o, key);
    json_raw(o, json.n ? json : slice_str("{}"));
}

/* Four places: more would be noise of the arithmetic. */
static void put_number(struct json_out *o, const char *key, double v)
{
    json_key(o, key);
    json_double(o, round(v * 1e4) / 1e4);
}

static void put_health(struct json_out *o, const struct now *now)
{
    put_number(o, "health_score", now->health.total);
    json_key(o, "health");
    json_begin(o, '{');
    put_number(o, "freshness", now->health.freshness);
    put_number(o, "success", now->health.success);
    put_number(o, "load", now->health.load);
    json_end(o, '}');
}

static void put_registered(struct json_out *o, const struct call *call, const struct agent *agent)
{
    json_key(o, "agent_id");
    json_text(o, agent->id);
    json_key(o, "agent_type");
    json_str(o, agent_type_name(agent->type));
    json_key(o, "status");
    json_str(o, agent_status_name(agent_status_now(call, agent)));
    put_words(o, "capabilities", &agent->capabilities);
    put_words(o, "services", &agent->services);
    put_words(o, "tags", &agent->tags);
    put_object(o, "endpoints", agent->endpoints);
    put_object(o, "metadata", agent->metadata);
    put_text_or_null(o, "version", agent->version);
    put_text_or_null(o, "region", agent->region);
    json_key(o, "slots");
    json_u64(o, agent->slots);
    json_key(o, "held");
    json_u64(o, pulse_held(call->io->hub->pulses, agent->number));
    put_text_or_null(o, "owner", agent->owner);
    json_key(o, "session");
    json_u64(o, agent->epoch);
    put_number(o, "heartbeat_interval", agent->interval_ms / 1000.0);
    put_time(o, "registration_time", agent->registered_ms);
}

void agent_json(struct json_out *o, const struct call *call, const struct agent *agent)
{
    struct now now;
    now_of(call, agent, &now);
    json_begin(o, '{');
    put_registered(o, call, agent);
    put_time(o, "last_heartbeat", now.pulse.seen_ms);
    json_key(o, "load_metrics");
    metrics_json(o, &now.pulse.metrics);
    put_health(o, &now);
    put_number(o, "phi", liveness_phi(&now.pulse, agent->interval_ms, now.silence_ms));
    int64_t paused_ms = agent_paused_until(call, agent);
    if (paused_ms) {
        put_time(o, "no_offers_until", paused_ms);
    }
    json_end(o, '}');
}

/* ---- finding ---- */

static bool have_all(const struct words *words, const json_t *wanted)
{
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *word = json_array_get(wanted, i);
        struct slice text = slice_of(json_string_value(word), json_string_length(word));
        if (!words_have(words, text)) {
            return false;
        }
    }
    return true;
}

static bool fits(const struct call *call, const struct agent_filter *f, const struct agent *a)
{
    return (!f->by_type || a->type == f->type) &&
           (!f->by_status || agent_status_now(call, a) == f->status) &&
           (f->region.n == 0 || slice_equal(a->region, f->region)) &&
           (f->capability.n == 0 || words_have(&a->capabilities, f->capability)) &&
           (f->service.n == 0 || words_have(&a->services, f->service)) &&
           have_all(&a->capabilities, f->capabilities) && have_all(&a->services, f->services) &&
           have_all(&a->tags, f->tags);
}

struct search {
    const struct call *call;
    const struct agent_filter *filter;
    int64_t at_ms;
    struct agents_found *found;
};

static bool visit(void *ctx, const struct agent *agent)
{
    struct search *s = ctx;
    struct now now;
    if (!agent_visible(s->call, agent) || !fits(s->call, s->filter, agent)) {
        return true;
    }
    then_of(s->call, agent, s->at_ms, &now);
    if (now.health.total < s->filter->health_least) {
        return true;
    }
    struct agents_found *f = s->found;
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->list = xrealloc(f->list, f->cap * sizeof *f->list);
    }
    f->list[f->n++] = (struct agent_found){.number = agent->number, .health = now.health.total};
    return true;
}

static int by_health(const void *a, const void *b)
{
    const struct agent_found *x = a, *y = b;
    if (x->health > y->health || x->health < y->health) {
        return x->health > y->health ? -1 : 1;
    }
    return x->number < y->number ? -1 : x->number > y->number;
}

static struct slice first_word(const json_t *words)
{
    const json_t *word = json_array_get(words, 0);
    return slice_of(json_string_value(word), json_string_length(word));
}

/* The narrowest index that the filter allows: a word is held by fewer than a type. */
static enum agent_index index_of(const struct agent_filter *f, struct slice *out_word)
{
    if (f->capability.n || json_array_size(f->capabilities)) {
        *out_word = f->capability.n ? f->capability : first_word(f->capabilities);
        return AGENTS_CAPABILITY;
    }
    if (f->service.n || json_array_size(f->services)) {
        *out_word = f->service.n ? f->service : first_word(f->services);
        return AGENTS_SERVICE;
    }
    *out_word = f->by_type ? slice_str(agent_type_name(f->type)) : slice_of(NULL, 0);
    return f->by_type ? AGENTS_TYPE : AGENTS_ALL;
}

enum store_rc agents_find(const struct call *call, struct store_view *view,
                          const struct agent_filter *filter, int64_t at_ms,
                          struct agents_found *out)
{
    struct search search = {.call = call, .filter = filter, .at_ms = at_ms, .found = out};
    struct slice word;
    enum agent_index index = index_of(filter, &word);
    *out = (struct agents_found){0};
    enum store_rc rc = agents_each(view, call->who->app, index, word, visit, &search);
    if (out->n) {
        qsort(out->list, out->n, sizeof *out->list, by_health);
    }
    return rc;
}

size_t agents_behind(const struct agents_found *found, const struct agent_found *last)
{
    size_t low = 0, high = found->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (by_health(&found->list[middle], last) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void agents_found_done(struct agents_found *found)
{
    free(found->list);
    *found = (struct agents_found){0};
}

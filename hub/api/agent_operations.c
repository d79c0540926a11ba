/* Agents: rest-contract.md section 3. Lists are answered from a snapshot and the pulses; register,
 * status and deregister are commands. So is a heartbeat, which moves a pulse and needs no disk;
 * from the thousands who beat over sockets it is answered at once, before it counts. */
#include "channels/json_scan.h"
#include "hub/api/agent_read.h"
#include "hub/api/agent_view.h"
#include "hub/api/components.h"
#include "hub/api/credentials.h"
#include "hub/api/memo.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"

#include <math.h>
#include <stdlib.h>

enum { LIST_DEFAULT = 1000, ROWS_LOOKED_MAX = 20000 };

/* The agent that is meant when a call names none is the caller itself. */
static struct slice agent_meant(const struct call *call)
{
    struct slice id = call_text(call, "agent_id");
    return id.n ? id : call->who->subject;
}

/* ---- agents.register ---- */

static enum hub_rc register_prepare(struct call *call, struct buf *body)
{
    struct agent_register r = {.asker = asker_of(call->who), .connection = call->connection};
    struct agent_scratch s = {0};
    enum hub_rc rc = agent_read(call, &s, &r.agent);
    if (rc == HUB_OK) {
        agent_register_put(body, &r);
    }
    agent_scratch_done(&s);
    return rc;
}

/* An agent that registered over a socket is gone when the socket is. An answer to a key that was
 * seen before registered nothing, this connection neither. */
static void bind_connection(struct call *call, const struct command *command,
                            const struct agent_registered *r)
{
    bool socket = call->at_close && call->at_input && call->connection;
    if (!socket || (command->flags & COMMAND_REPLAYED)) {
        return;
    }
    struct buf body = {0};
    agent_gone_put(&body, r->number, r->epoch, call->connection);
    call->at_close(call, &command_agent_gone, buf_slice(&body));
    buf_clear(&body);
    agent_beat_put(&body, r->number, &(struct metrics){.n = 0});
    call->at_input(call, &command_agent_beat, buf_slice(&body));
    buf_done(&body);
}

static enum hub_rc register_answer(struct call *call, const struct command *command,
                                   struct slice reply)
{
    struct agent_registered r;
    if (!agent_registered_get(reply, &r)) {
        return HUB_INTERNAL;
    }
    bind_connection(call, command, &r);
    struct json_out o = answer_begin(call);
    put_message(&o, "Agent ", r.id, " registered successfully");
    put_text(&o, "agent_id", r.id);
    put_time(&o, "registered_at", r.at_ms);
    json_key(&o, "heartbeat_interval");
    json_double(&o, r.interval_ms / 1000.0);
    json_key(&o, "lease_seconds");
    json_double(&o, (double)r.lease_ms / 1000.0);
    put_count(&o, "session", r.epoch);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- agents.create: by an admin, before the agent comes, with the token that it comes with ----
 */

static enum hub_rc create_token(struct call *call, struct slice agent_id, struct buf *out)
{
    char jti[UUID_CHARS + 1];
    int64_t most_ms = call->io->settings->token_ttl_max_ms, now_ms = call_wall_ms(call);
    int64_t ttl_ms = call_int(call, "ttl_s", most_ms / 1000) * 1000;
    struct principal_spec spec = {.app = call->who->app,
                                  .app_id = call->who->app_id,
                                  .kind = PRINCIPAL_TOKEN,
                                  .role = ROLE_AGENT,
                                  .caps = call->who->caps,
                                  .issued_ms = now_ms,
                                  .expires_ms = now_ms + ttl_ms,
                                  .subject = agent_id};
    if (ttl_ms > most_ms) {
        return call_fail_field(call, "ttl_s", "less_than_equal", "at most %lld seconds",
                               (long long)(most_ms / 1000));
    }
    if (!principal_may_grant(call->who, &spec)) {
        return call_fail(call, HUB_FORBIDDEN, "the agent's token reaches beyond your own rights");
    }
    return call_sign(call, &spec, jti, out) == TOKEN_OK
               ? HUB_OK
               : call_fail_field(call, "agent_id", "value_error", "not a subject of a token");
}

static enum hub_rc create_prepare(struct call *call, struct buf *body)
{
    struct agent_register r = {.asker = asker_of(call->who), .created = true};
    struct agent_scratch s = {0};
    struct buf token = {0}, sealed = {0};
    uint8_t random[16];
    char drawn[UUID_CHARS + 1];
    enum hub_rc rc = agent_read(call, &s, &r.agent);
    if (rc == HUB_OK && r.agent.id.n == 0) {
        call->io->draw(random, sizeof random);
        uuid_v4(random, drawn);
        r.agent.id = slice_str(drawn);
    }
    if (rc == HUB_OK) {
        rc = create_token(call, r.agent.id, &token);
    }
    if (rc == HUB_OK) {
        call_seal(call, buf_slice(&token), &sealed);
        r.sealed = buf_slice(&sealed);
        agent_register_put(body, &r);
    }
    agent_scratch_done(&s);
    digest_wipe(token.p, token.n);
    buf_done(&token);
    buf_done(&sealed);
    return rc;
}

static enum hub_rc create_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct agent_registered r;
    (void)command;
    if (!agent_registered_get(reply, &r)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "agent_id", r.id);
    put_time(&o, "created_at", r.at_ms);
    bool shown = put_sealed(&o, call, "token", r.sealed);
    json_end(&o, '}');
    return shown ? HUB_OK : HUB_INTERNAL;
}

/* ---- agents.status, agents.deregister ---- */

static enum hub_rc deregister_prepare(struct call *call, struct buf *body)
{
    struct agent_change change = {.asker = asker_of(call->who),
                                  .id = agent_meant(call),
                                  .session = (uint32_t)call_int(call, "session", 0)};
    enum hub_rc rc = call_reason(call, &change.reason);
    if (rc == HUB_OK) {
        agent_change_put(body, &change);
    }
    return rc;
}

static enum hub_rc status_prepare(struct call *call, struct buf *body)
{
    struct agent_change change = {.asker = asker_of(call->who),
                                  .id = agent_meant(call),
                                  .session = (uint32_t)call_int(call, "session", 0),
                                  .has_status = true};
    struct slice status = call_text(call, "status");
    if (!agent_status_of(status, &change.status)) {
        return agent_bad_status(call, status);
    }
    enum hub_rc rc = agent_read_metrics(call, &change.metrics);
    if (rc == HUB_OK) {
        rc = call_reason(call, &change.reason);
    }
    if (rc == HUB_OK) {
        agent_change_put(body, &change);
    }
    return rc;
}

static enum hub_rc status_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct agent_changed c;
    (void)command;
    if (!agent_changed_get(reply, &c)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_message(&o, "Agent ", c.id, " status updated");
    put_text(&o, "agent_id", c.id);
    json_key(&o, "new_status");
    json_str(&o, agent_status_name(c.status));
    put_time(&o, "updated_at", c.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc deregister_answer(struct call *call, const struct command *command,
                                     struct slice reply)
{
    struct agent_changed c;
    (void)command;
    if (!agent_changed_get(reply, &c)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_message(&o, "Agent ", c.id, " deregistered successfully");
    put_text(&o, "agent_id", c.id);
    put_time(&o, "deregistered_at", c.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- agents.heartbeat ---- */

/* Whom a beat is of. */
struct beat_target {
    uint32_t number;
    enum agent_status status;
    bool drained;        /* inactive until it is resumed: to register would undo that */
    uint64_t pulse_hash; /* of the channel pulse.<id> */
};

static void beat_answer(struct call *call, struct slice id, const struct beat_target *target,
                        int64_t at_ms)
{
    struct json_out o = answer_begin(call);
    put_message(&o, "Heartbeat received for agent ", id, "");
    put_text(&o, "agent_id", id);
    put_time(&o, "heartbeat_at", at_ms);
    json_key(&o, "agent_status");
    json_str(&o, agent_status_name(target->status));
    if (target->status == AGENT_INACTIVE && !target->drained) {
        json_key(&o, "must_register");
        json_bool(&o, true);
    }
    json_end(&o, '}');
}

/* The beat as an event on pulse.<id>, live: nothing is made when nobody listens. */
static void beat_event(struct call *call, struct slice id, struct slice channel,
                       const struct metrics *metrics)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    put_text(&o, "agent_id", id);
    json_key(&o, "load_metrics");
    metrics_json(&o, metrics);
    put_time(&o, "at", call->now_ms);
    json_end(&o, '}');
    struct io_publish publish = {.app = call->who->app,
                                 .event = {.kind = EVENT_MESSAGE,
                                           .channel = channel,
                                           .name = slice_str("heartbeat"),
                                           .data = buf_slice(&data),
                                           .time_ms = call->now_ms},
                                 .options = io_options(call->io, call->who->app, channel),
                                 .silent = true};
    bool live;
    (void)io_publish(call->io, &publish,
                     &live); /* a pool that is out costs a live event, no more */
    buf_done(&data);
}

static bool beat_command(struct call *call, uint32_t number, const struct metrics *metrics)
{
    struct command *command =
        io_command(call->io, &command_agent_beat, call->who->app, (struct return_address){0}, 0);
    if (!command) {
        return false;
    }
    struct buf *arena = io_arena(call->io);
    command->flags |= COMMAND_SILENT;
    command->body_at = (uint32_t)arena->n;
    agent_beat_put(arena, number, metrics);
    command->body_n = (uint32_t)(arena->n - command->body_at);
    return true;
}

static bool listened_to(const struct call *call, const struct beat_target *target)
{
    return interest_of(call->io->hub->interest, target->pulse_hash) != 0;
}

/* What it reported before is needed for the event, and to see whether there is room for more. */
static enum hub_rc beat_fits(struct call *call, uint32_t number, bool heard,
                             const struct metrics *metrics, struct pulse *out)
{
    out->metrics.n = 0;
    if (heard || metrics->n) {
        (void)pulse_get(call->io->hub->pulses, number, out);
    }
    return metrics_merge(&out->metrics, metrics)
               ? HUB_OK
               : call_fail_field(call, "load_metrics", "too_long",
                                 "at most %d names with those reported before", AGENT_METRICS_MAX);
}

static void tell_beat(struct call *call, struct slice id, const struct metrics *all)
{
    struct buf channel = {0};
    agent_channel(&channel, "pulse.", id);
    beat_event(call, id, buf_slice(&channel), all);
    buf_done(&channel);
}

static enum hub_rc beat_send(struct call *call, const struct beat_target *target, struct slice id,
                             const struct metrics *metrics)
{
    struct pulse pulse;
    bool heard = listened_to(call, target);
    enum hub_rc rc = beat_fits(call, target->number, heard, metrics, &pulse);
    if (rc == HUB_OK && !beat_command(call, target->number, metrics)) {
        rc = HUB_UNAVAILABLE;
    }
    if (rc == HUB_OK && heard) {
        tell_beat(call, id, &pulse.metrics);
    }
    return rc;
}

static void remember(struct beat_memo *memo, const struct agent *agent, uint64_t pulse_hash)
{
    memo->number = agent->number;
    memo->epoch = agent->epoch;
    memo->pulse_hash = pulse_hash;
    buf_clear(&memo->id);
    buf_add_slice(&memo->id, agent->id);
}

static bool is_remembered(const struct call *call, struct slice id, struct beat_target *out)
{
    const struct beat_memo *memo = call->memo;
    if (!memo || !memo->number || !slice_equal(buf_slice(&memo->id), id)) {
        return false;
    }
    struct agent_standing now = standing_get(call->io->hub->pulses, memo->number);
    *out = (struct beat_target){
        .number = memo->number, .status = now.status, .pulse_hash = memo->pulse_hash};
    return now.epoch == memo->epoch && !agent_has_departed(now.status);
}

static enum hub_rc beat_of(struct call *call, struct slice id, struct beat_target *out)
{
    struct store_view *view;
    struct agent agent;
    if (is_remembered(call, id, out)) {
        return HUB_OK;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = agent_see(call, view, id, &agent);
    if (rc == HUB_OK) {
        struct buf channel = {0};
        agent_channel(&channel, "pulse.", id);
        uint64_t hash = io_channel_hash(call->io, call->who->app, buf_slice(&channel));
        *out = (struct beat_target){.number = agent.number,
                                    .status = agent.status,
                                    .drained = agent.declared == AGENT_DRAINING,
                                    .pulse_hash = hash};
        buf_done(&channel);
    }
    if (rc == HUB_OK && call->memo) {
        remember(call->memo, &agent, out->pulse_hash);
    }
    store_release(call->io->reader);
    return rc;
}

/* A session that has ended is not revived by a beat: only by registering again. */
static enum hub_rc heartbeat_prepare(struct call *call, struct buf *body)
{
    struct slice id = agent_meant(call);
    struct metrics metrics;
    struct pulse pulse;
    struct beat_target target;
    enum hub_rc rc = agent_read_metrics(call, &metrics);
    if (rc == HUB_OK) {
        rc = beat_of(call, id, &target);
    }
    if (rc == HUB_OK && target.status == AGENT_INACTIVE) {
        beat_answer(call, id, &target, call->now_ms);
        return HUB_ANSWERED;
    }
    if (rc == HUB_OK) {
        rc = beat_fits(call, target.number, false, &metrics, &pulse);
    }
    if (rc == HUB_OK) {
        agent_beat_asked_put(body, target.number, &metrics, id);
    }
    return rc;
}

static enum hub_rc heartbeat_answer(struct call *call, const struct command *command,
                                    struct slice reply)
{
    struct agent_changed c;
    struct beat_target target = {.status = AGENT_STATUSES};
    struct pulse pulse;
    (void)command;
    if (!agent_changed_get(reply, &c)) {
        return HUB_INTERNAL;
    }
    bool known = beat_of(call, c.id, &target) == HUB_OK;
    if (known && !agent_has_departed(c.status) && listened_to(call, &target)) {
        (void)beat_fits(call, target.number, true, &(struct metrics){.n = 0}, &pulse);
        tell_beat(call, c.id, &pulse.metrics);
    }
    target.status = c.status;
    beat_answer(call, c.id, &target, c.at_ms);
    return HUB_OK;
}

static bool metrics_raw(struct slice object, struct metrics *out)
{
    struct json_walk walk = json_walk_of(object);
    struct slice key, value, name;
    out->n = 0;
    while (json_walk_next(&walk, &key, &value)) {
        struct metric *m = &out->list[out->n];
        if (out->n == AGENT_METRICS_MAX || !json_is_plain(key, &name) || name.n == 0 ||
            name.n > AGENT_METRIC_NAME_BYTES_MAX || json_kind_of(value) != JSON_KIND_NUMBER ||
            !json_to_double(value, &m->value)) {
            return false;
        }
        memcpy(m->name, name.p, name.n);
        m->name[name.n] = '\0';
        out->n++;
    }
    return true;
}

/* Ten thousand agents beat through here: no tree is built. Whatever is not quite as usual goes the
 * ordinary way, where the schema says what is wrong with it. */
static bool heartbeat_raw(struct call *call, struct slice params, enum hub_rc *out_rc)
{
    static const char *const names[] = {"agent_id", "load_metrics"};
    struct slice field[2] = {{0}}, id = call->who->subject;
    struct metrics metrics = {.n = 0};
    size_t at;
    if (params.n && json_fields(params, names, 2, field, &at) != JSON_OK) {
        return false;
    }
    enum json_kind load = json_kind_of(field[1]);
    if ((field[0].n && (!json_is_plain(field[0], &id) || id.n == 0)) ||
        (load != JSON_KIND_NONE && load != JSON_KIND_OBJECT) || !metrics_raw(field[1], &metrics)) {
        return false;
    }
    struct beat_target target;
    *out_rc = beat_of(call, id, &target);
    if (*out_rc == HUB_OK && target.status != AGENT_INACTIVE) {
        *out_rc = beat_send(call, &target, id, &metrics);
    }
    if (*out_rc == HUB_OK) {
        beat_answer(call, id, &target, call->now_ms);
    }
    return true;
}

/* ---- one agent ---- */

static enum hub_rc get(struct call *call)
{
    struct store_view *view;
    struct agent agent;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = agent_see(call, view, agent_meant(call), &agent);
    if (rc == HUB_OK) {
        struct json_out o = answer_begin(call);
        json_key(&o, "agent");
        agent_json(&o, call, &agent);
        put_time(&o, "timestamp", call->now_ms);
        json_end(&o, '}');
    }
    store_release(call->io->reader);
    return rc;
}

/* ---- many, newest first ---- */

static enum hub_rc list_one(struct page *page, uint32_t number)
{
    struct agent agent;
    enum store_rc rc = agent_get(page->view, number, &agent);
    if (rc == STORE_OK && agent_visible(page->call, &agent)) {
        agent_json(&page->o, page->call, &agent);
        page->n++;
    }
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static enum hub_rc list(struct call *call)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_from(&page, store_count(page.view, TABLE_AGENT));
    if (rc == HUB_OK) {
        page.o = answer_begin(call);
        page_list(&page, "agents");
        rc = page_walk(&page, ROWS_LOOKED_MAX, list_one);
        page_list_end(&page);
        put_time(&page.o, "timestamp", call->now_ms);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

/* ---- many, best health first ---- */

/* A cursor of these: whose turn it was, and how healthy it was at which moment. Health falls with
 * silence, so all pages of a walk judge it by the moment of the first: else those who are silent
 * would fall behind the cursor, and be shown again. (One that beats or goes stale meanwhile has
 * another place than it had.) */
static struct slice place_put(struct buf *b, int64_t at_ms, const struct agent_found *found)
{
    buf_clear(b);
    pack_i64(b, at_ms);
    pack_f64(b, found->health);
    pack_u32(b, found->number);
    return buf_slice(b);
}

static enum hub_rc place_get(struct page *page, int64_t *out_at_ms, struct agent_found *out)
{
    enum hub_rc rc = page_after(page);
    struct unpack u = unpack_of(page_last(page));
    *out_at_ms = page->call->now_ms;
    if (rc != HUB_OK || page->last_n == 0) {
        return rc;
    }
    *out_at_ms = unpack_i64(&u);
    out->health = unpack_f64(&u);
    out->number = unpack_u32(&u);
    bool good = unpack_done(&u) && isfinite(out->health) && *out_at_ms >= 0 &&
                *out_at_ms <= page->call->now_ms;
    return good ? HUB_OK : page_bad_cursor(page->call);
}

static enum hub_rc put_found(struct page *page, const struct agents_found *found, size_t at,
                             int64_t at_ms)
{
    struct buf place = {0};
    enum hub_rc rc = HUB_OK;
    page_list(page, "agents");
    for (; rc == HUB_OK && at < found->n; at++) {
        struct agent agent;
        if (!page_takes_key(page, place_put(&place, at_ms, &found->list[at]))) {
            break;
        }
        rc = hub_rc_of_store(agent_get(page->view, found->list[at].number, &agent));
        if (rc == HUB_OK) {
            agent_json(&page->o, page->call, &agent);
        }
    }
    page_list_end(page);
    put_count(&page->o, "total", found->n);
    put_time(&page->o, "timestamp", page->call->now_ms);
    json_end(&page->o, '}');
    buf_done(&place);
    return rc;
}

typedef void find_head(struct json_out *o, const struct call *call);

static enum hub_rc find_page(struct page *page, const struct agent_filter *filter, bool nothing,
                             find_head *head)
{
    struct agents_found found = {0};
    struct agent_found last;
    int64_t at_ms;
    enum hub_rc rc = place_get(page, &at_ms, &last);
    if (rc == HUB_OK && !nothing) {
        rc = hub_rc_of_store(agents_find(page->call, page->view, filter, at_ms, &found));
    }
    if (rc == HUB_OK) {
        page->o = answer_begin(page->call);
        head(&page->o, page->call);
        rc = put_found(page, &found, page->last_n ? agents_behind(&found, &last) : 0, at_ms);
    }
    agents_found_done(&found);
    return rc;
}

/* `head` names what was asked for: its first key after status. */
static enum hub_rc find(struct call *call, const struct agent_filter *filter, bool nothing,
                        find_head *head)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc == HUB_OK) {
        rc = find_page(&page, filter, nothing, head);
        page_close(&page);
    }
    return rc;
}

static void head_query(struct json_out *o, const struct call *call)
{
    struct buf text = {0};
    json_put_value(&text, call->params);
    json_key(o, "query");
    json_raw(o, buf_slice(&text));
    buf_done(&text);
}

static enum hub_rc discover(struct call *call)
{
    struct slice type = call_text(call, "agent_type"), status = call_text(call, "status");
    struct agent_filter f = {.by_type = json_is_string(call_json(call, "agent_type")),
                             .by_status = json_is_string(call_json(call, "status")),
                             .region = call_text(call, "region"),
                             .capabilities = call_json(call, "capabilities"),
                             .services = call_json(call, "services"),
                             .tags = call_json(call, "tags"),
                             .health_least = call_number(call, "min_health_score", 0)};
    /* A word that is no type or status is one that no agent has. */
    bool nothing = (f.by_type && !agent_type_of(type, &f.type)) ||
                   (f.by_status && !agent_status_of(status, &f.status));
    return find(call, &f, nothing, head_query);
}

static void head_service(struct json_out *o, const struct call *call)
{
    put_text(o, "service", call_text(call, "service"));
}

static enum hub_rc by_service(struct call *call)
{
    struct agent_filter f = {.service = call_text(call, "service")};
    return find(call, &f, false, head_service);
}

static void head_capability(struct json_out *o, const struct call *call)
{
    put_text(o, "capability", call_text(call, "capability"));
}

static enum hub_rc by_capability(struct call *call)
{
    struct agent_filter f = {.capability = call_text(call, "capability")};
    return find(call, &f, false, head_capability);
}

/* ---- agents.registry_stats ---- */

struct tally {
    const struct call *call;
    uint64_t total, by_status[AGENT_STATUSES], by_type[AGENT_TYPES];
    struct buf capabilities, services; /* hashes, 8 bytes each */
    int64_t cleaned_ms;                /* the newest time an agent was found inactive */
};

static void tally_words(const struct tally *t, struct buf *hashes, const struct words *words)
{
    struct slice rest = words->packed, word;
    while (words_next(&rest, &word)) {
        uint64_t hash = hash64(t->call->io->hub->hash_seed, word);
        buf_add(hashes, &hash, sizeof hash);
    }
}

static bool tally_one(void *ctx, const struct agent *agent)
{
    struct tally *t = ctx;
    if (agent_visible(t->call, agent)) {
        t->total++;
        t->by_status[agent_status_now(t->call, agent)]++;
        t->by_type[agent->type]++;
        tally_words(t, &t->capabilities, &agent->capabilities);
        tally_words(t, &t->services, &agent->services);
        if (agent->status == AGENT_INACTIVE && agent->changed_ms > t->cleaned_ms) {
            t->cleaned_ms = agent->changed_ms;
        }
    }
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(uint64_t));
}

static uint64_t distinct(struct buf *hashes)
{
    size_t n = hashes->n / sizeof(uint64_t), count = n > 0;
    if (n) {
        qsort(hashes->p, n, sizeof(uint64_t), by_bytes);
    }
    for (size_t i = 1; i < n; i++) {
        const uint8_t *p = hashes->p + i * sizeof(uint64_t);
        count += memcmp(p, p - sizeof(uint64_t), sizeof(uint64_t)) != 0;
    }
    return count;
}

static void put_stats(struct json_out *o, struct tally *t)
{
    json_begin(o, '{');
    put_count(o, "total_agents", t->total);
    json_key(o, "status_counts");
    json_begin(o, '{');
    for (unsigned i = 0; i < AGENT_DEREGISTERED; i++) {
        put_count(o, agent_status_name((enum agent_status)i), t->by_status[i]);
    }
    json_end(o, '}');
    json_key(o, "type_counts");
    json_begin(o, '{');
    for (unsigned i = 0; i < AGENT_TYPES; i++) {
        put_count(o, agent_type_name((enum agent_type)i), t->by_type[i]);
    }
    json_end(o, '}');
    put_count(o, "service_count", distinct(&t->services));
    put_count(o, "capability_count", distinct(&t->capabilities));
    json_key(o, "last_cleanup");
    if (t->cleaned_ms) {
        json_time(o, t->cleaned_ms);
    } else {
        json_put_null(o);
    }
    json_end(o, '}');
}

static enum hub_rc registry_stats(struct call *call)
{
    struct store_view *view;
    struct tally tally = {.call = call};
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(
        agents_each(view, call->who->app, AGENTS_ALL, slice_of(NULL, 0), tally_one, &tally));
    store_release(call->io->reader);
    if (rc == HUB_OK) {
        struct json_out o = answer_begin(call);
        json_key(&o, "stats");
        put_stats(&o, &tally);
        put_time(&o, "timestamp", call->now_ms);
        json_end(&o, '}');
    }
    buf_done(&tally.capabilities);
    buf_done(&tally.services);
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define AGENT_ID {"type":"string","minLength":1,"maxLength":128,"description":"The agent's own name, unique in its app.","examples":["worker-1"]}
#define AGENT_ID_OR_OWN {"type":"string","minLength":1,"maxLength":128,"description":"Which agent; over a connection the caller itself when left out."}
#define AGENT_TYPE "One of worker, provider, consumer, general, coordinator, specialist, monitor, gateway, orchestrator, inference, training, processing."
#define AGENT_STATUS "One of active, inactive, busy, stale, maintenance, error, draining."
#define SESSION {"type":["integer","null"],"minimum":1,"maximum":4294967295,"description":"Only while this is its session: 409 once it has registered anew."}
#define WORD {"type":"string","minLength":1,"maxLength":128}
#define WORDS(text) {"type":["array","null"],"items":WORD,"description":text}
#define WORDS_BOUNDED(text) {"type":["array","null"],"maxItems":64,"items":WORD,"description":text}
#define LOAD_METRICS {"type":["object","null"],"maxProperties":16,"propertyNames":{"minLength":1,"maxLength":31},"additionalProperties":{"type":"number"},"description":"What the agent measures of itself; names it leaves out keep their value. load, or cpu, memory and queue, count towards its health (0 to 1, or percent).","examples":[{"cpu":0.4,"memory":0.25}]}

#define AGENT_FIELDS \
    "capabilities":WORDS_BOUNDED("What it can do."), \
    "services":WORDS_BOUNDED("What it offers to others."), \
    "tags":WORDS_BOUNDED("Free words to find it by."), \
    "endpoints":{"type":["object","null"],"additionalProperties":{"type":"string"},"description":"Where it is reached, by name; 16 KiB at most."}, \
    "metadata":{"type":["object","null"],"description":"Anything, 16 KiB at most."}, \
    "region":{"type":["string","null"],"maxLength":128}, \
    "version":{"type":["string","null"],"maxLength":64,"default":"1.0.0"}, \
    "slots":{"type":["integer","null"],"minimum":0,"maximum":1000000,"default":1,"description":"Tasks it takes at a time."}, \
    "public_key":{"type":["string","null"],"maxLength":64,"description":"Ed25519, base64url: its votes and results can then be signed."}, \
    "load_metrics":LOAD_METRICS
#define REGISTER_PARAMS SCHEMA({"type":"object","required":["agent_id","agent_type"],"properties":{ \
    "agent_id":AGENT_ID, \
    "agent_type":{"type":"string","description":AGENT_TYPE,"examples":["worker"]}, \
    AGENT_FIELDS}})
#define CREATE_PARAMS SCHEMA({"type":"object","properties":{ \
    "agent_id":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"A UUID when left out."}, \
    "agent_type":{"type":["string","null"],"default":"general","description":AGENT_TYPE}, \
    "ttl_s":{"type":["integer","null"],"minimum":1,"maximum":3155760000,"description":"Seconds its token is valid; as long as the hub allows when left out."}, \
    AGENT_FIELDS}})
#define REGISTER_ANSWER SCHEMA({"type":"object","required":["status","message","agent_id","registered_at","heartbeat_interval","lease_seconds","session"],"properties":{ \
    "status":SHAPE_SUCCESS,"message":{"type":"string"},"agent_id":{"type":"string"},"registered_at":SHAPE_TIME, \
    "heartbeat_interval":{"type":"number","description":"Seconds between two beats."}, \
    "lease_seconds":{"type":"number","description":"How long a task is the agent's without a renewal."}, \
    "session":{"type":"integer","description":"Counts registrations: a later one ends this one."}}})
#define DISCOVER_PARAMS SCHEMA({"type":"object","properties":{ \
    "agent_type":{"type":["string","null"],"description":AGENT_TYPE}, \
    "status":{"type":["string","null"],"description":AGENT_STATUS}, \
    "capabilities":WORDS("All of them."),"services":WORDS("All of them."),"tags":WORDS("All of them."), \
    "region":{"type":["string","null"]}, \
    "min_health_score":{"type":["number","null"],"description":"From 0 to 1."}, \
    "limit":{"type":["integer","null"],"minimum":1,"maximum":1000,"default":1000}, \
    "cursor":{"type":["string","null"],"minLength":1,"maxLength":256,"description":"The next_cursor of the page before."}}})
#define FOUND "agents":REF_AGENTS,"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"total":{"type":"integer","description":"How many fit, beyond the limit too."},"timestamp":SHAPE_TIME
#define STATUS_PARAMS SCHEMA({"type":"object","required":["status"],"properties":{ \
    "agent_id":AGENT_ID_OR_OWN, \
    "status":{"type":"string","description":AGENT_STATUS,"examples":["draining"]},"reason":SHAPE_REASON,"session":SESSION, \
    "load_metrics":LOAD_METRICS}})
#define STATS_ANSWER SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"stats":{"type":"object","properties":{ \
    "total_agents":SHAPE_COUNT, \
    "status_counts":{"type":"object","additionalProperties":SHAPE_COUNT}, \
    "type_counts":{"type":"object","additionalProperties":SHAPE_COUNT}, \
    "service_count":SHAPE_COUNT,"capability_count":SHAPE_COUNT, \
    "last_cleanup":{"type":["string","null"],"format":"date-time","description":"When an agent was last found inactive."}}}, \
    "timestamp":SHAPE_TIME}})
#define ONE_AGENT SCHEMA({"type":"object","properties":{"agent_id":AGENT_ID_OR_OWN}})

static const struct operation rows[] = {
    { .name = "agents.register", .summary = "Register an agent, or register it again",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/agents/register", 200, STYLE_COORDINATOR, false}},
      .params = REGISTER_PARAMS, .answer_schema = REGISTER_ANSWER,
      .kind = &command_agent_register, .prepare = register_prepare, .answer = register_answer },
    { .name = "agents.create", .summary = "Make an agent before it comes, with the token that it comes with",
      .needs = ROLE_ADMIN, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/v1/agents", 201, STYLE_PROBLEM, false}},
      .params = CREATE_PARAMS,
      .answer_schema = SCHEMA({"type":"object","required":["agent_id","token"],"properties":{"agent_id":{"type":"string"},"created_at":SHAPE_TIME,"token":{"type":"string","description":"Its subject is the agent, its role agent. Shown this once."}}}),
      .kind = &command_agent_register, .prepare = create_prepare, .answer = create_answer },
    { .name = "agents.discover", .summary = "Find agents by what they are and can do, the healthiest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_POST, "/agents/discover", 200, STYLE_COORDINATOR, false}},
      .params = DISCOVER_PARAMS,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"query":{"type":"object","description":"What was asked."},FOUND}}),
      .query = discover },
    { .name = "agents.list", .summary = "All agents, newest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/agents", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"agents":REF_AGENTS,"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"timestamp":SHAPE_TIME}}),
      .query = list },
    { .name = "agents.get", .summary = "One agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/agents/{agent_id}", 200, STYLE_COORDINATOR, false}},
      .params = ONE_AGENT,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"agent":REF_AGENT,"timestamp":SHAPE_TIME}}),
      .query = get },
    { .name = "agents.deregister", .summary = "Take an agent out of the registry",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_DELETE, "/agents/{agent_id}", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"agent_id":AGENT_ID_OR_OWN,"reason":SHAPE_REASON,"session":SESSION}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"agent_id":{"type":"string"},"deregistered_at":SHAPE_TIME}}),
      .kind = &command_agent_deregister, .prepare = deregister_prepare, .answer = deregister_answer },
    { .name = "agents.status", .summary = "Set an agent's status and load; counts as a heartbeat",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_PUT, "/agents/{agent_id}/status", 200, STYLE_COORDINATOR, false}},
      .params = STATUS_PARAMS,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"agent_id":{"type":"string"},"new_status":{"type":"string"},"updated_at":SHAPE_TIME}}),
      .kind = &command_agent_change, .prepare = status_prepare, .answer = status_answer },
    { .name = "agents.heartbeat", .summary = "Say that an agent lives, and how loaded it is",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/agents/{agent_id}/heartbeat", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"agent_id":AGENT_ID_OR_OWN,"load_metrics":LOAD_METRICS}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"agent_id":{"type":"string"},"heartbeat_at":SHAPE_TIME,"agent_status":{"type":"string"},"must_register":{"type":"boolean","description":"The session has ended: register again."}}}),
      .kind = &command_agent_beat, .prepare = heartbeat_prepare, .answer = heartbeat_answer, .raw = heartbeat_raw },
    { .name = "agents.by_service", .summary = "Agents that offer a service, the healthiest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/agents/service/{service}", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["service"],"properties":{"service":WORD,"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"service":{"type":"string"},FOUND}}),
      .query = by_service },
    { .name = "agents.by_capability", .summary = "Agents that have a capability, the healthiest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/agents/capability/{capability}", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["capability"],"properties":{"capability":WORD,"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"capability":{"type":"string"},FOUND}}),
      .query = by_capability },
    { .name = "agents.registry_stats", .summary = "The registry in figures",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/registry/stats", 200, STYLE_COORDINATOR, false}},
      .answer_schema = STATS_ANSWER,
      .query = registry_stats },
};
/* clang-format on */

const struct operation_table agent_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};

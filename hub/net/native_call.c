/* Operations by name over a socket, and what they leave with it: what is to be done when it ends,
 * and who lives while it speaks. */
#include "hub/net/native_parts.h"

#include "hub/api/pages.h"
#include "hub/net/waits.h"

#include <stdlib.h>

/* ---- what goes with the connection ---- */

static struct bond *bond_new(const struct call *call, const struct command_kind *kind,
                             struct slice body)
{
    struct bond *bond = xmalloc(sizeof *bond + body.n);
    *bond = (struct bond){.kind = kind, .app = call->who->app, .body_n = (uint32_t)body.n};
    memcpy(bond->body, body.p, body.n);
    return bond;
}

static bool is_bond(const struct bond *bond, const struct command_kind *kind, struct slice body)
{
    return bond->kind == kind && slice_equal(slice_of(bond->body, bond->body_n), body);
}

static void at_close(struct call *call, const struct command_kind *kind, struct slice body)
{
    struct conn_extras *extras = conn_extras(call->socket);
    for (const struct bond *bond = extras->bonds; bond; bond = bond->next) {
        if (is_bond(bond, kind, body)) {
            return;
        }
    }
    struct bond *bond = bond_new(call, kind, body);
    bond->next = extras->bonds;
    extras->bonds = bond;
}

static void at_input(struct call *call, const struct command_kind *kind, struct slice body)
{
    struct conn_extras *extras = conn_extras(call->socket);
    free(extras->alive); /* one socket speaks for the agent that registered over it last */
    extras->alive = bond_new(call, kind, body);
    extras->alive_ms = call->now_ms;
}

void native_say_alive(struct conn *c)
{
    int64_t now_ms = c->thread->io.now_ms;
    struct conn_extras *extras = c->extras;
    if (extras && extras->alive &&
        now_ms - extras->alive_ms >= c->thread->io.settings->heartbeat_interval_ms / 4) {
        const struct bond *alive = extras->alive;
        extras->alive_ms = now_ms;
        net_farewell(c->thread, alive->kind, alive->app, slice_of(alive->body, alive->body_n));
    }
}

/* ---- one call ---- */

struct call native_call_begin(struct conn *c)
{
    struct net_thread *t = c->thread;
    buf_clear(&t->body);
    buf_clear(&t->scratch);
    buf_clear(&t->detail);
    return (struct call){.io = &t->io,
                         .who = c->who,
                         .now_ms = t->io.now_ms,
                         .connection = c->id,
                         .socket = c,
                         .at_close = at_close,
                         .at_input = at_input,
                         .memo = c->extras ? &c->extras->memo : NULL,
                         .out = &t->body,
                         .message = &t->scratch,
                         .detail = &t->detail};
}

void native_call_end(struct conn *c, const struct call *call, struct slice id, enum hub_rc rc)
{
    if (rc == HUB_OK) {
        struct json_out o = native_answer_begin(c, "result", id);
        json_key(&o, "result");
        json_raw(&o, call->out->n ? buf_slice(call->out) : slice_str("null"));
        if (call->bare_list) {
            put_text_or_null(&o, "next_cursor", slice_str(call->next_cursor));
        }
        native_answer_end(c, &o);
        return;
    }
    const struct hub_error *error = hub_error(rc);
    struct json_out o = native_answer_begin(c, "error", id);
    json_key(&o, "code");
    json_str(&o, error->code);
    json_key(&o, "status");
    json_u64(&o, error->status);
    json_key(&o, "message");
    if (call->message->n) {
        json_text(&o, buf_slice(call->message));
    } else {
        json_str(&o, error->title);
    }
    if (call->detail->n) {
        json_key(&o, "detail");
        json_raw(&o, buf_slice(call->detail));
    }
    if (call->retry_after_s) {
        json_key(&o, "retry_after_s");
        json_u64(&o, call->retry_after_s);
    }
    native_answer_end(c, &o);
}

static bool rate_ok(struct conn *c, struct call *call)
{
    struct net_thread *t = c->thread;
    const struct rate_rule *rule = &t->io.settings->rate_calls;
    if (!rule->count) {
        return true;
    }
    uint64_t key = rate_key(t->hub->rate, RATE_CLASS_CALL, c->who->app, c->who->subject);
    struct rate_verdict verdict = rate_take(t->hub->rate, key, rule, 1, t->io.now_us);
    call->retry_after_s = verdict.retry_after_s;
    if (!verdict.ok) {
        io_count(&t->io.counters.rate_limited, 1);
    }
    return verdict.ok;
}

static void answer_or_wait(struct conn *c, struct call *call, struct slice id, enum hub_rc rc)
{
    if (rc == HUB_OK && call->wait.ms > 0 && !c->thread->draining) {
        if (waits_add(c, call, id)) {
            return;
        }
        rc = call_fail(call, HUB_LIMIT, "%d calls of this connection wait already", WAITS_MAX);
    }
    native_call_end(c, call, id, rc);
}

void native_do_call(struct conn *c, const struct client_frame *f)
{
    struct net_thread *t = c->thread;
    struct slice method, key = {0};
    struct call call = native_call_begin(c);
    enum hub_rc rc = HUB_INVALID;
    enum api_result result = API_ANSWERED;
    io_count(&t->io.counters.messages_in[WIRE_NATIVE][CLASS_CONTROL], 1);
    if (!json_is_plain(f->field[KEY_METHOD], &method)) {
        rc = call_fail(&call, HUB_INVALID, "method: a name is required");
    } else if (f->field[KEY_KEY].n && !json_is_plain(f->field[KEY_KEY], &key)) {
        rc = call_fail(&call, HUB_INVALID, "key: a string without escapes");
    } else if (!rate_ok(c, &call)) {
        rc = HUB_RATE_LIMITED;
    } else {
        result = api_call(t->api, &call, method, f->field[KEY_PARAMS], f->field[KEY_ID], key,
                          conn_address(c), &rc);
    }
    if (result == API_PENDING) {
        c->pending++;
        return;
    }
    answer_or_wait(c, &call, f->field[KEY_ID], result == API_BUSY ? HUB_UNAVAILABLE : rc);
}

void native_call_answer(struct conn *c, const struct tray *tray, const struct command *command)
{
    struct call call = native_call_begin(c);
    enum hub_rc rc = api_answer(c->thread->api, &call, tray, command);
    answer_or_wait(c, &call, tray_slice(tray, TRAY_IN, command->id_at, command->id_n), rc);
}

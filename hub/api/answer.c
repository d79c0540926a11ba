#include "hub/api/answer.h"

#include "auth/app.h"

struct asker asker_of(const struct principal *who)
{
    return (struct asker){.subject = who->subject, .all = who->role == ROLE_ADMIN};
}

bool principal_rules_hub(const struct principal *who)
{
    return who->role == ROLE_ADMIN && slice_is(who->app_id, APP_MAIN);
}

enum hub_rc call_demand_hub_admin(struct call *call)
{
    return principal_rules_hub(call->who)
               ? HUB_OK
               : call_fail(call, HUB_FORBIDDEN, "this is for admins of the app %s", APP_MAIN);
}

struct json_out answer_begin(struct call *call)
{
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_str(&o, "status", "success");
    return o;
}

/* ---- members ---- */

void put_message(struct json_out *o, const char *before, struct slice id, const char *after)
{
    struct buf text = {0};
    buf_add_str(&text, before);
    buf_add_slice(&text, id);
    buf_add_str(&text, after);
    put_text(o, "message", buf_slice(&text));
    buf_done(&text);
}

void put_words(struct json_out *o, const char *key, const struct words *words)
{
    struct slice rest = words->packed, word;
    json_key(o, key);
    json_begin(o, '[');
    while (words_next(&rest, &word)) {
        json_text(o, word);
    }
    json_end(o, ']');
}

/* ---- reading ---- */

enum hub_rc call_snapshot(struct call *call, struct store_view **out)
{
    return hub_rc_of_store(store_snapshot(call->io->reader, out));
}

enum hub_rc call_words_of(struct call *call, const char *field, struct call_texts *list,
                          struct buf *packed, struct words *out)
{
    struct slice word;
    *out = (struct words){0};
    while (call_texts_next(list, &word)) {
        out->packed = buf_slice(packed);
        if (word.n == 0 || word.n > AGENT_WORD_BYTES_MAX) {
            return call_fail_field(call, field, "value_error", "each has 1 to %d bytes",
                                   AGENT_WORD_BYTES_MAX);
        }
        if (words_have(out, word)) {
            continue;
        }
        if (out->n == AGENT_WORDS_MAX) {
            return call_fail_field(call, field, "too_long", "at most %d", AGENT_WORDS_MAX);
        }
        pack_slice(packed, word);
        out->n++;
    }
    out->packed = buf_slice(packed);
    return HUB_OK;
}

enum hub_rc call_words(struct call *call, const char *field, const json_t *list, struct buf *packed,
                       struct words *out)
{
    struct call_texts texts = call_texts_in(list);
    return call_words_of(call, field, &texts, packed, out);
}

enum hub_rc call_reason(struct call *call, struct slice *out)
{
    *out = call_text(call, "reason");
    return out->n <= REASON_BYTES_MAX
               ? HUB_OK
               : call_fail_field(call, "reason", "too_long", "at most %d bytes", REASON_BYTES_MAX);
}

enum hub_rc call_why(struct call *call, struct why *out)
{
    out->by = call->who->subject;
    return call_reason(call, &out->reason);
}

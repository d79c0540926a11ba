#include "hub/api/agent_read.h"
#include "auth/base64url.h"
#include "hub/agents/module.h"
#include "hub/api/answer.h"
#include "hub/api/words.h"

enum { REGION_BYTES_MAX = 128, VERSION_BYTES_MAX = 64 };

enum hub_rc agent_read_metrics(struct call *call, struct metrics *out)
{
    json_t *object = call_json(call, "load_metrics"), *value;
    const char *name;
    out->n = 0;
    if (!json_is_object(object)) {
        return HUB_OK;
    }
    if (json_object_size(object) > AGENT_METRICS_MAX) {
        return call_fail_field(call, "load_metrics", "too_long", "at most %d names",
                               AGENT_METRICS_MAX);
    }
    json_object_foreach(object, name, value)
    {
        struct metric *m = &out->list[out->n++];
        size_t n = strlen(name);
        if (n == 0 || n > AGENT_METRIC_NAME_BYTES_MAX) {
            return call_fail_field(call, "load_metrics", "value_error",
                                   "a name of a metric has 1 to %d bytes",
                                   AGENT_METRIC_NAME_BYTES_MAX);
        }
        *m = (struct metric){.value = json_number_value(value)};
        memcpy(m->name, name, n);
    }
    return HUB_OK;
}

static enum hub_rc words_of(struct call *call, const char *field, struct buf *packed,
                            struct words *out)
{
    return call_words(call, field, call_json(call, field), packed, out);
}

static enum hub_rc document_of(struct call *call, const char *field, struct buf *text,
                               struct slice *out)
{
    const json_t *object = call_json(call, field);
    if (json_is_object(object)) {
        json_put_value(text, object);
    } else {
        buf_add_str(text, "{}");
    }
    *out = buf_slice(text);
    return text->n <= AGENT_DOCUMENT_BYTES_MAX
               ? HUB_OK
               : call_fail_field(call, field, "too_long", "at most %d bytes",
                                 AGENT_DOCUMENT_BYTES_MAX);
}

static enum hub_rc text_of(struct call *call, const char *field, size_t bytes_max,
                           struct slice *out)
{
    *out = call_text(call, field);
    return out->n <= bytes_max
               ? HUB_OK
               : call_fail_field(call, field, "too_long", "at most %zu bytes", bytes_max);
}

static enum hub_rc public_key_of(struct call *call, uint8_t bytes[SIGNING_PUBLIC_BYTES],
                                 struct slice *out)
{
    struct slice text = call_text(call, "public_key");
    size_t n;
    *out = slice_of(NULL, 0);
    if (text.n == 0) {
        return HUB_OK;
    }
    if (!base64url_get(text, bytes, SIGNING_PUBLIC_BYTES, &n) || n != SIGNING_PUBLIC_BYTES ||
        !signature_key_valid(bytes)) {
        return call_fail_field(call, "public_key", "value_error",
                               "not an Ed25519 public key in base64url");
    }
    *out = slice_of(bytes, n);
    return HUB_OK;
}

static enum hub_rc bad_word(struct call *call, struct slice word, const char *kind,
                            const struct call_words *words)
{
    call->words = words;
    return call_fail(call, HUB_INVALID, "'%.*s' is not a valid %s",
                     (int)(word.n < 200 ? word.n : 200), (const char *)word.p, kind);
}

enum hub_rc agent_bad_type(struct call *call, struct slice word)
{
    return bad_word(call, word, "AgentType", &words_agent_type);
}

enum hub_rc agent_bad_status(struct call *call, struct slice word)
{
    return bad_word(call, word, "AgentStatus", &words_agent_status);
}

enum hub_rc agent_read(struct call *call, struct agent_scratch *s, struct agent *agent)
{
    enum hub_rc rc = text_of(call, "agent_id", AGENT_ID_BYTES_MAX, &agent->id);
    struct slice type = call_text(call, "agent_type");
    agent->slots = (uint32_t)call_int(call, "slots", 1);
    agent->type = AGENT_GENERAL;
    if (rc == HUB_OK && call_str(call, "agent_type") && !agent_type_of(type, &agent->type)) {
        rc = agent_bad_type(call, type);
    }
    if (rc == HUB_OK) {
        rc = words_of(call, "capabilities", &s->capabilities, &agent->capabilities);
    }
    if (rc == HUB_OK) {
        rc = words_of(call, "services", &s->services, &agent->services);
    }
    if (rc == HUB_OK) {
        rc = words_of(call, "tags", &s->tags, &agent->tags);
    }
    if (rc == HUB_OK) {
        rc = document_of(call, "endpoints", &s->endpoints, &agent->endpoints);
    }
    if (rc == HUB_OK) {
        rc = document_of(call, "metadata", &s->metadata, &agent->metadata);
    }
    if (rc == HUB_OK) {
        rc = text_of(call, "region", REGION_BYTES_MAX, &agent->region);
    }
    if (rc == HUB_OK) {
        rc = text_of(call, "version", VERSION_BYTES_MAX, &agent->version);
    }
    if (rc == HUB_OK) {
        rc = public_key_of(call, s->public_key, &agent->public_key);
    }
    if (rc == HUB_OK && agent->version.n == 0) {
        agent->version = slice_str("1.0.0");
    }
    return rc == HUB_OK ? agent_read_metrics(call, &agent->metrics) : rc;
}

void agent_scratch_done(struct agent_scratch *s)
{
    buf_done(&s->capabilities);
    buf_done(&s->services);
    buf_done(&s->tags);
    buf_done(&s->endpoints);
    buf_done(&s->metadata);
}

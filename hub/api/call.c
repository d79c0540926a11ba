#include "hub/api/operation.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void vsay(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void vsay(struct buf *b, const char *format, va_list args)
{
    char text[512];
    int n = vsnprintf(text, sizeof text, format, args);
    if (n > 0) {
        buf_add(b, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
    }
}

enum hub_rc call_fail(struct call *call, enum hub_rc rc, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_clear(call->message);
    vsay(call->message, format, args);
    va_end(args);
    return rc;
}

void call_wait(struct call *call, struct slice channel, uint64_t since, int64_t ms)
{
    memcpy(call->wait.channel, channel.p, channel.n); /* a valid name, zeroed behind it */
    call->wait.since = since;
    call->wait.ms = ms;
}

/* Where a field of that name stands in the request. */
static const char *place_of(const struct call *call, const char *field)
{
    char segment[64];
    if (!call->route) {
        return call->socket ? "params" : "body";
    }
    (void)snprintf(segment, sizeof segment, "{%s}", field ? field : "");
    return field && strstr(call->route->path, segment) ? "path" : call->has_body ? "body" : "query";
}

enum hub_rc call_fail_field(struct call *call, const char *field, const char *type,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_clear(call->message);
    vsay(call->message, format, args);
    va_end(args);
    struct json_out o = json_out_to(call->detail);
    buf_clear(call->detail);
    json_begin(&o, '[');
    json_begin(&o, '{');
    json_key(&o, "loc");
    json_begin(&o, '[');
    json_str(&o, place_of(call, field));
    if (field) {
        json_str(&o, field);
    }
    json_end(&o, ']');
    json_key(&o, "msg");
    json_text(&o, buf_slice(call->message));
    json_key(&o, "type");
    json_str(&o, type);
    json_end(&o, '}');
    json_end(&o, ']');
    return HUB_INVALID;
}

/* ---- parameters: of the tree, or as they came ---- */

static struct slice value_of(const struct call *call, const char *name)
{
    int i = field_named(call->operation->fields, slice_str(name));
    return i < 0 ? slice_of(NULL, 0) : call->values[i];
}

json_t *call_json(const struct call *call, const char *name)
{
    return call->params ? json_object_get(call->params, name) : NULL;
}

bool call_has(const struct call *call, const char *name)
{
    return call->values ? value_of(call, name).n > 0 : call_json(call, name) != NULL;
}

bool call_has_number(const struct call *call, const char *name)
{
    return call->values ? json_kind_of(value_of(call, name)) == JSON_KIND_NUMBER
                        : json_is_number(call_json(call, name));
}

struct slice call_text(const struct call *call, const char *name)
{
    struct slice text = slice_of(NULL, 0);
    if (call->values) {
        (void)json_is_plain(value_of(call, name), &text);
        return text;
    }
    const json_t *value = call_json(call, name);
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : text;
}

const char *call_str(const struct call *call, const char *name)
{
    return json_string_value(call_json(call, name));
}

int64_t call_int(const struct call *call, const char *name, int64_t otherwise)
{
    if (call->values) {
        uint64_t whole;
        return json_to_u64(value_of(call, name), &whole) ? (int64_t)whole : otherwise;
    }
    const json_t *value = call_json(call, name);
    return json_is_integer(value) ? json_integer_value(value)
           : json_is_real(value)  ? (int64_t)json_real_value(value)
                                  : otherwise;
}

double call_number(const struct call *call, const char *name, double otherwise)
{
    if (call->values) {
        (void)json_to_double(value_of(call, name), &otherwise);
        return otherwise;
    }
    const json_t *value = call_json(call, name);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

bool call_bool(const struct call *call, const char *name, bool otherwise)
{
    if (call->values) {
        (void)json_to_bool(value_of(call, name), &otherwise);
        return otherwise;
    }
    const json_t *value = call_json(call, name);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

struct slice call_document(const struct call *call, const char *name, struct buf *written)
{
    if (call->values) {
        return value_of(call, name);
    }
    const json_t *value = call_json(call, name);
    if (value) {
        json_put_value(written, value);
    }
    return buf_slice(written);
}

static size_t items_of(struct slice list)
{
    struct json_walk walk = json_walk_of(list);
    struct slice key, item;
    size_t n = 0;
    while (json_walk_next(&walk, &key, &item)) {
        n++;
    }
    return n;
}

struct call_texts call_texts_of(const struct call *call, const char *name)
{
    if (call->values) {
        struct slice list = value_of(call, name);
        return (struct call_texts){.n = items_of(list), .walk = json_walk_of(list)};
    }
    return call_texts_in(call_json(call, name));
}

struct call_texts call_texts_in(const json_t *list)
{
    return (struct call_texts){.n = json_array_size(list), .list = list};
}

bool call_texts_next(struct call_texts *texts, struct slice *out)
{
    struct slice key, item;
    if (!texts->list) {
        return json_walk_next(&texts->walk, &key, &item) && json_is_plain(item, out);
    }
    if (texts->at == texts->n) {
        return false;
    }
    const json_t *value = json_array_get(texts->list, texts->at++);
    *out = slice_of(json_string_value(value), json_string_length(value));
    return true;
}

#include "hub/core/why.h"

const struct why why_nobody = {.by = {0}};

void why_put(struct buf *b, const struct why *why)
{
    pack_slice(b, why->by);
    pack_slice(b, why->reason);
}

struct why why_get(struct unpack *u)
{
    struct slice by = unpack_slice(u);
    return (struct why){.by = by, .reason = unpack_slice(u)};
}

bool why_take(struct slice *body, struct why *out)
{
    struct unpack u = unpack_of(*body);
    *out = why_get(&u);
    *body = u.bad ? slice_of(NULL, 0) : slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}

void why_said(struct json_out *o, const struct why *why)
{
    if (why->by.n) {
        json_key(o, "by");
        json_text(o, why->by);
    }
    if (why->reason.n) {
        json_key(o, "reason");
        json_text(o, why->reason);
    }
}

void why_json(struct json_out *o, const struct why *why, int64_t at_ms)
{
    json_key(o, "by");
    json_text(o, why->by);
    if (why->reason.n) {
        json_key(o, "reason");
        json_text(o, why->reason);
    }
    json_key(o, "at");
    json_time(o, at_ms);
}

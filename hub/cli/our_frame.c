#include "hub/cli/our_frame.h"

struct json_out our_frame_begin(struct buf *out, const char *type, uint64_t id)
{
    struct json_out o = json_out_to(out);
    json_begin(&o, '{');
    json_key(&o, "type");
    json_str(&o, type);
    json_key(&o, "id");
    json_u64(&o, id);
    return o;
}

struct json_out our_call_begin(struct buf *out, uint64_t id, const char *method)
{
    struct json_out o = our_frame_begin(out, "call", id);
    json_key(&o, "method");
    json_str(&o, method);
    json_key(&o, "params");
    json_begin(&o, '{');
    return o;
}

void our_call_end(struct json_out *o)
{
    json_end(o, '}');
    json_end(o, '}');
}

/* The scanner over arbitrary bytes: it stays within the text, its answers agree with one another,
 * and what it hands out can be read and written again. */
#include <stdlib.h>

#include "channels/json_out.h"
#include "channels/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Text put out again by json_out must be read as the same text. */
static void try_string(struct slice value)
{
    struct buf text = {0}, escaped = {0}, written = {0}, again = {0};
    must(json_to_text(value, &text) && json_to_escaped(value, &escaped));
    must(escaped.n + 2 <= value.n && text.n + 2 <= value.n);
    struct json_out o = json_out_to(&written);
    json_text(&o, buf_slice(&text));
    must(written.n == escaped.n + 2);
    must(escaped.n == 0 || memcmp(written.p + 1, escaped.p, escaped.n) == 0);
    must(json_to_text(buf_slice(&written), &again));
    must(slice_equal(buf_slice(&again), buf_slice(&text)));
    struct slice plain;
    must(!json_is_plain(value, &plain) || slice_equal(plain, buf_slice(&text)));
    buf_done(&text);
    buf_done(&escaped);
    buf_done(&written);
    buf_done(&again);
}

static void try_value(struct slice value, unsigned depth)
{
    size_t at;
    uint64_t u;
    double d;
    bool b;
    must(json_check(value, JSON_DEPTH_MAX - depth, &at) == JSON_OK);
    (void)json_to_u64(value, &u);
    (void)json_to_double(value, &d);
    (void)json_to_bool(value, &b);
    if (json_kind_of(value) == JSON_KIND_STRING) {
        try_string(value);
    }
    struct json_walk w = json_walk_of(value);
    struct slice key, item;
    while (json_walk_next(&w, &key, &item)) {
        if (key.n) {
            try_string(key);
        }
        try_value(item, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"type", "id", "data", ""};
    struct slice text = slice_of(data, size), out[4];
    size_t at = SIZE_MAX, fields_at = SIZE_MAX;
    enum json_rc rc = json_check(text, JSON_DEPTH_MAX, &at);
    must(rc == JSON_OK ? at == SIZE_MAX : at <= size);
    enum json_rc fields_rc = json_fields(text, names, 4, out, &fields_at);
    must(fields_rc == JSON_OK ? fields_at == SIZE_MAX : fields_at <= size);
    if (rc != JSON_OK) {
        /* A key that stands twice may be met before the fault. */
        must(fields_rc == rc ? fields_at == at : fields_rc == JSON_DUPLICATE);
        return 0;
    }
    struct slice value = json_trim(text);
    bool object = json_kind_of(value) == JSON_KIND_OBJECT;
    must(object ? fields_rc == JSON_OK || fields_rc == JSON_DUPLICATE : fields_rc == JSON_TYPE);
    for (size_t i = 0; fields_rc == JSON_OK && i < 4; i++) {
        must(out[i].n == 0 || json_check(out[i], JSON_DEPTH_MAX - 1, &at) == JSON_OK);
    }
    try_value(value, 0);
    return 0;
}

/* tests/fuzz/fuzz_pattern.c: two patterns and a name, one a line; and all of it as capabilities, as
 * a row of them, and as a signed query of the Pusher HTTP API. */
#include <assert.h>
#include <stdlib.h>

#include "auth/caps.h"
#include "auth/pattern.h"
#include "auth/pusher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice line(struct slice *text)
{
    const uint8_t *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    struct slice part = slice_of(text->p, end ? (size_t)(end - text->p) : text->n);
    size_t eaten = end ? part.n + 1 : part.n;
    *text = slice_of(text->p + eaten, text->n - eaten);
    return part;
}

static void check_patterns(struct slice text)
{
    struct slice outer = line(&text), inner = line(&text), name = line(&text);
    bool valid = pattern_valid(outer) && pattern_valid(inner);
    if (valid && pattern_covers(outer, inner) && pattern_match(inner, name)) {
        assert(pattern_match(outer, name));
    }
    if (valid) {
        assert(pattern_covers(outer, outer));
        assert(pattern_covers(slice_str(">"), outer));
    }
    if (pattern_starts_wild(outer)) {
        assert(pattern_is_wild(outer));
    }
    if (pattern_valid(outer) && !pattern_is_wild(outer)) {
        assert(pattern_match(outer, name) == slice_equal(outer, name));
    }
}

/* What is compiled can be written and compiled again to the same bytes. */
static void check_caps(struct slice text)
{
    struct buf caps = {0}, json = {0}, again = {0};
    if (caps_from_text(text, &caps) == CAPS_OK) {
        assert(caps_valid(buf_slice(&caps)) && caps.n <= CAPS_BYTES_MAX);
        assert(caps_cover(buf_slice(&caps), buf_slice(&caps)));
        caps_put_json(buf_slice(&caps), &json);
        enum caps_rc rc = caps_from_text(buf_slice(&json), &again);
        assert(rc == CAPS_OK && again.n == caps.n);
        assert(caps_cover(buf_slice(&again), buf_slice(&caps)));
    } else {
        assert(caps.n == 0);
    }
    if (caps_valid(text)) {
        (void)caps_allow(text, RIGHT_PUBLISH, slice_str("a.b"));
        caps_put_json(text, &json);
    }
    buf_done(&caps);
    buf_done(&json);
    buf_done(&again);
}

/* Nobody knows the secret: nothing passes but what was signed here. */
static void check_query(struct slice text)
{
    struct pusher_keys keys = {.key = slice_str("k"), .secret = slice_str("s3cret")};
    struct pusher_request request = {
        .method = slice_str("POST"), .path = slice_str("/apps/1/events"), .query = text};
    struct buf query = {0};
    assert(pusher_request_check(keys, &request, 1000) != PUSHER_OK);
    if (pusher_request_sign(keys, &request, 1000, &query) == PUSHER_OK) {
        request.query = buf_slice(&query);
        enum pusher_rc rc = pusher_request_check(keys, &request, 1000);
        assert(rc == PUSHER_OK || rc == PUSHER_MISSING || rc == PUSHER_MALFORMED ||
               rc == PUSHER_BAD_MD5);
    }
    buf_done(&query);
    (void)pusher_socket_id_valid(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    check_patterns(text);
    check_caps(text);
    check_query(text);
    return 0;
}

/* The input is what a client sends. However it is cut, the same must be said of it; what is said of
 * paths and queries must be safe. */
#include "hub/net/http1_text.h"
#include "hub/net/utf8.h"
#include "tests/fuzz/http1_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool holds(struct slice s, const char *text)
{
    size_t n = strlen(text);
    for (size_t i = 0; i + n <= s.n; i++) {
        if (memcmp(s.p + i, text, n) == 0) {
            return true;
        }
    }
    return false;
}

static void check_path(const uint8_t *data, size_t size)
{
    struct buf scratch = {0};
    struct slice path;
    struct slice raw = slice_of(data, size);
    if (http1_path_normal(raw, &scratch, &path) == HTTP1_PATH_OK) {
        assert(path.n && path.p[0] == '/' && path.n <= size && utf8_valid(path));
        assert(!holds(path, "/../") && !holds(path, "\\"));
        assert(!holds(path, "//") || (http1_path_slash_inside(raw) && !holds(raw, "//")));
        assert(!memchr(path.p, '\0', path.n));
    }
    buf_done(&scratch);
}

static void check_query(const uint8_t *data, size_t size)
{
    struct buf scratch = {0};
    struct slice rest = slice_of(data, size), name, value;
    size_t decoded = 0;
    enum http1_query_rc rc;
    while ((rc = http1_query_next(&rest, &scratch, &name, &value)) == HTTP1_QUERY_PAIR) {
        assert(utf8_valid(name) && utf8_valid(value));
        decoded += name.n + value.n;
    }
    assert(decoded <= size);
    buf_done(&scratch);
}

static void compare(const struct http1_limits *limits, const uint8_t *data, size_t size)
{
    uint64_t seed = cutter_seed(data, size);
    struct cutter cutters[] = {cut_everywhere(), cut_at(size ? seed % size : 0, size),
                               cut_randomly(seed, 7), cut_randomly(seed, 100)};
    struct buf whole = {0}, cut = {0};
    http1_trace(&whole, limits, cut_nowhere(size), data, size);
    for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) {
        buf_clear(&cut);
        http1_trace(&cut, limits, cutters[i], data, size);
        assert(slice_equal(buf_slice(&whole), buf_slice(&cut)));
    }
    buf_done(&whole);
    buf_done(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    compare(&trace_limits, data, size);
    compare(&trace_tight_limits, data, size);
    check_path(data, size);
    check_query(data, size);
    return 0;
}

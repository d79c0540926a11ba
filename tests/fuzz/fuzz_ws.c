/* The input is what a peer sends. However it is cut, the same must be said of it, and the same as
 * by the plain decoder. */
#include "tests/fuzz/ws_trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(enum ws_role role, size_t bytes_max, const uint8_t *data, size_t size)
{
    uint64_t seed = cutter_seed(data, size);
    struct cutter cutters[] = {cut_nowhere(size), cut_everywhere(),
                               cut_at(size ? seed % size : 0, size), cut_randomly(seed, 9),
                               cut_randomly(seed, 200)};
    struct buf plain = {0}, cut = {0};
    plain_ws(&plain, role, bytes_max, data, size);
    for (size_t i = 0; i < sizeof cutters / sizeof *cutters; i++) {
        buf_clear(&cut);
        ws_trace(&cut, role, bytes_max, cutters[i], data, size);
        assert(slice_equal(buf_slice(&plain), buf_slice(&cut)));
    }
    buf_done(&plain);
    buf_done(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    compare(WS_SERVER, 1 << 16, data, size);
    compare(WS_SERVER, 40, data, size);
    compare(WS_CLIENT, 1 << 16, data, size);
    return 0;
}

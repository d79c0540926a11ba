/* Frames of a client over arbitrary bytes: what passes as a frame is well-formed JSON with a type.
 */
#include <stdlib.h>

#include "channels/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_frame frame;
    struct slice text = slice_of(data, size);
    size_t at = SIZE_MAX, ignored;
    enum json_rc rc = frame_read(text, &frame, &at);
    enum json_kind id = json_kind_of(frame.field[KEY_ID]);
    must(id == JSON_KIND_NONE || id == JSON_KIND_STRING || id == JSON_KIND_NUMBER);
    must(frame.type < FRAME_TYPES);
    if (rc != JSON_OK) {
        must(at <= size && frame.type == FRAME_UNKNOWN);
        return 0;
    }
    must(json_check(text, JSON_DEPTH_MAX, &ignored) == JSON_OK);
    must(json_kind_of(frame.field[KEY_TYPE]) == JSON_KIND_STRING);
    for (int key = 0; key < KEY_COUNT; key++) {
        struct slice value = frame.field[key];
        if (value.n) {
            must(value.p >= data && value.p + value.n <= data + size);
            must(json_check(value, JSON_DEPTH_MAX - 1, &ignored) == JSON_OK);
        }
    }
    return 0;
}

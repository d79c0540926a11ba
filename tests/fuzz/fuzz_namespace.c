/* Options of namespaces: stored rows and texts of any bytes. The first byte chooses: 0 is a row of
 * TABLE_NAMESPACE, anything else the option whose value follows. */
#include <stdlib.h>

#include "channels/json_scan.h"
#include "channels/namespace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

/* Whatever options there are can be written as JSON. */
static void try_json(const struct namespace_options *options)
{
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    size_t at;
    namespace_options_json(options, &o);
    must(json_check(buf_slice(&b), 1, &at) == JSON_OK);
    buf_done(&b);
}

static void try_row(struct slice row)
{
    struct namespace_options options, again;
    if (!namespace_unpack(row, &options)) {
        return;
    }
    struct buf b = {0}, repacked = {0};
    namespace_pack(&options, &b);
    must(namespace_unpack(buf_slice(&b), &again));
    namespace_pack(&again, &repacked);
    must(slice_equal(buf_slice(&b), buf_slice(&repacked)));
    try_json(&options);
    buf_done(&b);
    buf_done(&repacked);
}

static void try_value(const char *option, const char *value)
{
    static const char *const names[] = {"orders", "tasks"};
    for (size_t i = 0; i < 2; i++) {
        struct namespaces *set = namespaces_new();
        char text[128] = "";
        bool ok = namespace_set(set, 1, slice_str(names[i]), option, value, text, sizeof text);
        const struct namespace_options *options = namespace_of(set, 1, slice_str(names[i]));
        must(ok == (text[0] == '\0'));
        must(options->system == (i == 1));
        must(!options->system ||
             (options->access == CHANNEL_PRIVATE && options->publish == NS_PUBLISH_HUB));
        try_json(options);
        namespaces_free(set);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] == 0) {
        try_row(rest);
        return 0;
    }
    const char *allowed;
    const char *option = namespace_option(data[0] - 1u, &allowed);
    char *value = xstrndup(rest.p, rest.n);
    try_value(option ? option : value, value);
    free(value);
    return 0;
}

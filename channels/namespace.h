/* channels/namespace.h: the options that channels of one namespace share (native-protocol.md section 4).
 *
 * Options come from the configuration and, over it, from rows set at run time (TABLE_NAMESPACE). A
 * struct namespaces is immutable once built: a change builds a new one.
 *
 * Owns     copies of names and options.     Threads  any, as it is immutable.
 * Units    milliseconds, bytes, events a second.
 */
#ifndef WAGGLE_CHANNELS_NAMESPACE_H
#define WAGGLE_CHANNELS_NAMESPACE_H

#include "channels/json_out.h"
#include "channels/name.h"
#include "store/log.h"

enum ns_delivery { NS_LIVE, NS_DURABLE };
enum ns_slow { NS_SLOW_DROP, NS_SLOW_DISCONNECT, NS_SLOW_CURSOR };
enum ns_publish { NS_PUBLISH_CAPABLE, NS_PUBLISH_ANY, NS_PUBLISH_HUB }; /* by token or role; any subscriber; the hub alone */

struct namespace_options {
    enum channel_access access;
    enum ns_delivery delivery;
    enum ns_slow slow;
    enum ns_publish publish;
    bool latest;              /* deliver the newest event at subscribe */
    bool conflate;            /* of events that wait for one connection only the newest per key is sent */
    bool system;              /* written by the hub alone, private */
    struct log_limits history;
    uint32_t presence_grace_ms;
    uint32_t message_bytes;   /* largest data */
    uint32_t rate;            /* publishes a second and principal; 0: no own bound */
};

struct namespaces;

/* The default set: `live` is live; the system namespaces of native-protocol.md section 4; every other
 * durable, public to authenticated subscribers, 10,000 events or 24 h. */
struct namespaces *namespaces_new(void);
struct namespaces *namespaces_copy(const struct namespaces *from);
void namespaces_free(struct namespaces *set); /* NULL is fine */

/* Sets one option from text, as a config file or a JSON value has it ("durable", "10000", "24h",
 * "64KiB", "true"). app 0: every app (the configuration). out_text says what is wrong. */
bool namespace_set(struct namespaces *set, uint32_t app, struct slice ns, const char *option,
                   const char *value, char *out_text, size_t text_n);
bool namespace_drop(struct namespaces *set, uint32_t app, struct slice ns); /* false: was not there, or system */

/* The options of a namespace: the app's own, else every app's, else the default. Never NULL. */
const struct namespace_options *namespace_of(const struct namespaces *set, uint32_t app,
                                             struct slice ns);
/* All options as one JSON object; and the row of TABLE_NAMESPACE and back. */
void namespace_options_json(const struct namespace_options *options, struct json_out *o);
void namespace_pack(const struct namespace_options *options, struct buf *b);
bool namespace_unpack(struct slice row, struct namespace_options *out);
void namespace_put(struct namespaces *set, uint32_t app, struct slice ns,
                   const struct namespace_options *options);

typedef bool namespace_visit(void *ctx, uint32_t app, struct slice ns,
                             const struct namespace_options *options);
void namespaces_each(const struct namespaces *set, namespace_visit *visit, void *ctx);

#endif

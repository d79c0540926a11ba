/* channels/namespace.h: the options that channels of one namespace share (native-protocol.md
 * section 4).
 *
 * Options come from the configuration and, over it, from rows set at run time (TABLE_NAMESPACE). A
 * struct namespaces is immutable once others can see it: a change is made in a copy.
 * The empty namespace is the default: what has no row of its own follows it, and names without a
 * namespace (".x") belong to it. A new row begins as a copy of what held for its namespace
 * before, so a configuration sets the default first.
 *
 * One table lists the options; text, JSON and stored rows follow it:
 *
 *   access             public | private | presence: who may subscribe; public is any
 *                      authenticated principal
 *   delivery           live | durable
 *   history_events     events kept a channel; 0: no bound
 *   history_age        "24h", "7d" …, a bare number is seconds, as in JSON; 0: no bound
 *   history_bytes      "64KiB", "1MiB" …, a bare number is bytes, as in JSON; 0: no bound
 *   latest, conflate   true | false
 *   slow               drop | disconnect | cursor (needs a log to read on from: with live
 *                      delivery it acts as drop)
 *   publish            capable | any | hub: by token or role; any subscriber; the hub alone
 *   presence_grace_ms  "2s" …, a bare number is milliseconds, as in JSON
 *   message_bytes      like history_bytes, from 1 to 16 MiB
 *   rate               publishes a second and principal; 0: no own bound
 *   ack_wait           "30s" …, a bare number is seconds, as in JSON: a named cursor delivers again
 *                      what was not acknowledged for so long
 *   max_in_flight      unacknowledged at a time: events of one cursor, messages of one recipient
 *   max_deliver        after so many deliveries without an ack an event or message is dead
 *
 * Durations have the units ms, s, m, h, d; sizes B, KiB, MiB, GiB; both up to three decimals.
 *
 * Owns     copies of names and options. What namespace_of gives is borrowed until the set is
 *          changed or freed.
 * Threads  any, as long as nobody changes the set.
 * Units    milliseconds, bytes, events a second.
 * Limits   NAMESPACES_MAX rows, kept by namespace_set.
 */
#ifndef WAGGLE_CHANNELS_NAMESPACE_H
#define WAGGLE_CHANNELS_NAMESPACE_H

#include "channels/json_out.h"
#include "channels/name.h"
#include "store/log.h"

enum { NAMESPACES_MAX = 10000 };

enum ns_delivery { NS_LIVE, NS_DURABLE };
enum ns_slow { NS_SLOW_DROP, NS_SLOW_DISCONNECT, NS_SLOW_CURSOR };
/* By token or role; any subscriber; the hub alone. */
enum ns_publish { NS_PUBLISH_CAPABLE, NS_PUBLISH_ANY, NS_PUBLISH_HUB };

struct namespace_options {
    enum channel_access access;
    enum ns_delivery delivery;
    enum ns_slow slow;
    enum ns_publish publish;
    bool latest;   /* deliver the newest event at subscribe */
    bool conflate; /* of events that wait for one connection only the newest per key is sent */
    bool system;   /* written by the hub alone, private; not an option that can be set */
    struct log_limits history;
    uint32_t presence_grace_ms;
    uint32_t message_bytes; /* largest data */
    uint32_t rate;          /* publishes a second and principal; 0: no own bound */
    uint32_t ack_wait_ms;   /* of named cursors, as are those that follow */
    uint32_t max_in_flight;
    uint32_t max_deliver;
};

struct namespaces;

/* The default set: `live` is live; the system namespaces of native-protocol.md section 4; every
 * other durable, public to authenticated subscribers, 10,000 events or 24 h, 64 KiB a message, 2 s
 * of grace. The durable system namespaces keep 100,000 events or 7 days. */
struct namespaces *namespaces_new(void);
struct namespaces *namespaces_copy(const struct namespaces *from);
void namespaces_free(struct namespaces *set); /* NULL is fine */

/* Sets one option from text, as a config file or a JSON value has it ("durable", "10000", "24h",
 * "64KiB", "true"). app 0: every app (the configuration). The namespace may be empty: the default.
 * On false out_text names the option, the value and what is allowed, and nothing has changed.
 * A system namespace keeps its access, delivery, publish, message_bytes and rate. */
bool namespace_set(struct namespaces *set, uint32_t app, struct slice ns, const char *option,
                   const char *value, char *out_text, size_t text_n);
/* False: was not there, or is a system namespace or the default of every app (app 0). */
bool namespace_drop(struct namespaces *set, uint32_t app, struct slice ns);

/* The options of a namespace: the app's own, else every app's, else the app's default, else the
 * default. Never NULL; allocates nothing. */
const struct namespace_options *namespace_of(const struct namespaces *set, uint32_t app,
                                             struct slice ns);
/* All options as one JSON object, "system" last; and the row of TABLE_NAMESPACE and back. */
void namespace_options_json(const struct namespace_options *options, struct json_out *o);
void namespace_pack(const struct namespace_options *options, struct buf *b);
/* A row of an older program leaves what it does not know at the default; false: damaged. */
bool namespace_unpack(struct slice row, struct namespace_options *out);
/* Sets all options at once. What a system namespace keeps is kept, and no other becomes one. */
void namespace_put(struct namespaces *set, uint32_t app, struct slice ns,
                   const struct namespace_options *options);

/* The table for whoever lists it (help, OpenAPI): the i-th option's name and what it may be; NULL
 * past the last. */
const char *namespace_option(size_t i, const char **out_allowed);

/* Calls visit for each row, in the order they were made, until it returns false. */
typedef bool namespace_visit(void *ctx, uint32_t app, struct slice ns,
                             const struct namespace_options *options);
void namespaces_each(const struct namespaces *set, namespace_visit *visit, void *ctx);

#endif

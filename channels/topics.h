/* channels/topics.h: the subscriptions of one I/O thread, and whom an event reaches.
 *
 * A durable subscription knows the offset it expects next. An event below it was replayed already;
 * one above it means that something was missed, and the subscription reads on from the log. So
 * attaching, resuming and falling behind are one machine (native-protocol.md section 5):
 * catching_up until the log has been read to its end in a snapshot taken by this thread, then live.
 *
 * A connection's patterns are one cursor over the journal's order, so it gets each event once
 * however many of its patterns match; an exact subscription goes before patterns.
 *
 * Owns     topics and subscriptions; a subscriber is the caller's, embedded in its connection.
 * Threads  one.      Units  offsets and sequences from 1.
 * Limits   the caller's: subscriptions and patterns a connection.
 */
#ifndef WAGGLE_CHANNELS_TOPICS_H
#define WAGGLE_CHANNELS_TOPICS_H

#include "channels/interest.h"
#include "channels/namespace.h"

enum subscription_state {
    SUB_WAITING,     /* its presence join is under way: nothing is sent yet */
    SUB_CATCHING_UP, /* reads the log from `next` */
    SUB_LIVE,
};

struct topics;
struct subscriber;

struct topic {
    uint64_t hash; /* of app and name, as in trays */
    uint32_t app;
    uint32_t n, cap;  /* subscriptions */
    uint64_t channel; /* its number; 0: nobody has made it yet */
    struct subscription **subs;
    struct topic *next; /* in its bucket */
    bool durable, conflate;
    enum ns_slow slow;
    uint8_t name_n;
    char name[];
};

struct subscription {
    struct topic *topic;
    struct subscriber *who;
    struct subscription *next_of_subscriber;
    uint64_t next;    /* durable: the offset expected next; 0: none was stored yet since it began */
    uint64_t dropped; /* live: events not sent since the last gap frame */
    uint32_t at;      /* index in topic->subs */
    uint8_t state;    /* enum subscription_state */
    bool member;      /* joined the channel's presence */
};

struct pattern {
    struct pattern *next;
    uint8_t n;
    char text[];
};

struct subscriber {
    struct subscription *subs;
    struct pattern *patterns;
    uint32_t subs_n, patterns_n;
    uint32_t app;
    uint8_t patterns_state;
    bool any_catching_up;
    uint64_t connection;                            /* id, for echo:false */
    uint64_t stamp;                                 /* of the last event looked at */
    uint64_t next_seq;                              /* patterns: the sequence expected next */
    struct subscriber *next_watcher, *prev_watcher; /* list of those with patterns */
};

/* An event on its way to subscribers: bytes shared by all of them. */
struct delivery {
    struct slice frame;
    struct topic *topic; /* NULL: nobody subscribed exactly */
    struct slice channel;
    uint64_t channel_hash;
    uint32_t app;
    uint64_t offset, seq; /* 0: live */
    uint64_t exclude;
    uint64_t conflate; /* hash of channel and key; 0: never replaced */
    uint32_t index;    /* in the turn's table, once it is there (channels/outbox.h) */
};
#define DELIVERY_NOT_SHARED UINT32_MAX

/* The subscriber gets it; via_pattern: through the pattern cursor. */
typedef void topics_deliver_fn(void *ctx, struct subscriber *who, struct delivery *delivery,
                               bool via_pattern);
/* The subscriber has something to read from the log. */
typedef void topics_behind_fn(void *ctx, struct subscriber *who);

struct topics *topics_new(struct interest *interest, unsigned thread, topics_deliver_fn *deliver,
                          topics_behind_fn *behind, void *ctx);
void topics_free(struct topics *topics);

void subscriber_init(struct subscriber *who, uint32_t app, uint64_t connection);
/* Drops everything it has. */
void subscriber_done(struct topics *topics, struct subscriber *who);

/* Adds a subscription, interest set; state SUB_WAITING until the caller says otherwise. The one
 * there is when it is subscribed already (*out_new false). */
struct subscription *topics_subscribe(struct topics *topics, struct subscriber *who, uint64_t hash,
                                      struct slice name, const struct namespace_options *options,
                                      bool *out_new);
struct subscription *topics_find(struct topics *topics, struct subscriber *who, uint64_t hash,
                                 struct slice name);
void topics_unsubscribe(struct topics *topics, struct subscription *sub);

/* Patterns: matched with auth/pattern.h. False: it is there already (add), or is not (drop). */
bool topics_watch(struct topics *topics, struct subscriber *who, struct slice pattern);
bool topics_unwatch(struct topics *topics, struct subscriber *who, struct slice pattern);
bool subscriber_watches(const struct subscriber *who, struct slice channel);

/* Calls deliver for everybody the event reaches. */
void topics_deliver(struct topics *topics, struct delivery *delivery);

uint64_t topics_count(const struct topics *topics); /* topics with a subscriber here */
uint64_t topics_subscriptions(const struct topics *topics);

/* A subscription fell behind at that offset: it reads on from the log. */
void subscription_fall_behind(struct topics *topics, struct subscription *sub, uint64_t offset);
void patterns_fall_behind(struct topics *topics, struct subscriber *who, uint64_t seq);

#endif

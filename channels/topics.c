/* Topics hang in a hash table by the same 64-bit hash that trays carry; a topic's subscribers are
 * an array, walked front to back at each event; removal swaps the last one in. */
#include "channels/topics.h"
#include "auth/pattern.h"

#include <assert.h>
#include <stdlib.h>

struct topics {
    struct interest_view *interest;
    topics_deliver_fn *deliver;
    topics_behind_fn *behind;
    void *ctx;
    struct topic **buckets;
    size_t cap, n;
    uint64_t subscriptions, stamp;
    struct subscriber *watchers;
};

enum { BUCKETS_FIRST = 256 };

struct topics *topics_new(struct interest *interest, unsigned thread, topics_deliver_fn *deliver,
                          topics_behind_fn *behind, void *ctx)
{
    struct topics *t = xcalloc(1, sizeof *t);
    t->interest = interest_view_new(interest, thread);
    t->deliver = deliver;
    t->behind = behind;
    t->ctx = ctx;
    t->cap = BUCKETS_FIRST;
    t->buckets = xcalloc(t->cap, sizeof(struct topic *));
    return t;
}

void topics_free(struct topics *t)
{
    if (t) {
        assert(t->n == 0 && !t->watchers); /* every subscriber was done first */
        interest_view_free(t->interest);
        free(t->buckets);
        free(t);
    }
}

static bool is_topic(const struct topic *topic, uint64_t hash, uint32_t app, struct slice name)
{
    return topic->hash == hash && topic->app == app && topic->name_n == name.n &&
           memcmp(topic->name, name.p, name.n) == 0;
}

static struct topic **slot_of(struct topics *t, uint64_t hash, uint32_t app, struct slice name)
{
    struct topic **slot = &t->buckets[hash & (t->cap - 1)];
    while (*slot && !is_topic(*slot, hash, app, name)) {
        slot = &(*slot)->next;
    }
    return slot;
}

static void grow(struct topics *t)
{
    size_t cap = t->cap * 2;
    struct topic **buckets = xcalloc(cap, sizeof(struct topic *));
    for (size_t i = 0; i < t->cap; i++) {
        for (struct topic *topic = t->buckets[i], *next; topic; topic = next) {
            next = topic->next;
            topic->next = buckets[topic->hash & (cap - 1)];
            buckets[topic->hash & (cap - 1)] = topic;
        }
    }
    free(t->buckets);
    t->buckets = buckets;
    t->cap = cap;
}

static struct topic *topic_get(struct topics *t, uint64_t hash, uint32_t app, struct slice name)
{
    struct topic **slot = slot_of(t, hash, app, name);
    if (!*slot) {
        if (t->n == t->cap) {
            grow(t);
            slot = slot_of(t, hash, app, name);
        }
        struct topic *topic = xcalloc(1, sizeof *topic + name.n);
        topic->hash = hash;
        topic->app = app;
        topic->name_n = (uint8_t)name.n;
        memcpy(topic->name, name.p, name.n);
        *slot = topic;
        t->n++;
    }
    return *slot;
}

static void topic_drop(struct topics *t, struct topic *topic)
{
    struct topic **slot = slot_of(t, topic->hash, topic->app, slice_of(topic->name, topic->name_n));
    assert(*slot == topic);
    *slot = topic->next;
    free(topic->subs);
    free(topic);
    t->n--;
}

void subscriber_init(struct subscriber *who, uint32_t app, uint64_t connection)
{
    *who = (struct subscriber){.app = app, .connection = connection, .patterns_state = SUB_LIVE};
}

struct subscription *topics_find(struct topics *t, struct subscriber *who, uint64_t hash,
                                 struct slice name)
{
    for (struct subscription *sub = who->subs; sub; sub = sub->next_of_subscriber) {
        if (is_topic(sub->topic, hash, who->app, name)) {
            return sub;
        }
    }
    (void)t;
    return NULL;
}

static void topic_add(struct topic *topic, struct subscription *sub)
{
    if (topic->n == topic->cap) {
        topic->cap = topic->cap ? topic->cap * 2 : 1;
        topic->subs = xrealloc(topic->subs, topic->cap * sizeof(struct subscription *));
    }
    sub->at = topic->n;
    topic->subs[topic->n++] = sub;
}

struct subscription *topics_subscribe(struct topics *t, struct subscriber *who, uint64_t hash,
                                      struct slice name, const struct namespace_options *options,
                                      bool *out_new)
{
    struct subscription *sub = topics_find(t, who, hash, name);
    *out_new = !sub;
    if (sub) {
        return sub;
    }
    struct topic *topic = topic_get(t, hash, who->app, name);
    topic->durable = options->delivery == NS_DURABLE;
    topic->slow = options->slow;
    topic->conflate = options->conflate;
    sub = xcalloc(1, sizeof *sub);
    sub->topic = topic;
    sub->who = who;
    sub->state = SUB_WAITING;
    sub->next_of_subscriber = who->subs;
    who->subs = sub;
    who->subs_n++;
    topic_add(topic, sub);
    t->subscriptions++;
    interest_add(t->interest, hash);
    return sub;
}

static void unsubscribe(struct topics *t, struct subscriber *who, struct subscription *sub)
{
    struct topic *topic = sub->topic;
    struct subscription **link = &who->subs;
    while (*link != sub) {
        link = &(*link)->next_of_subscriber;
    }
    *link = sub->next_of_subscriber;
    who->subs_n--;
    topic->subs[sub->at] = topic->subs[--topic->n];
    topic->subs[sub->at]->at = sub->at;
    interest_drop(t->interest, topic->hash);
    t->subscriptions--;
    free(sub);
    if (topic->n == 0) {
        topic_drop(t, topic);
    }
}

void topics_unsubscribe(struct topics *t, struct subscription *sub)
{
    unsubscribe(t, sub->who, sub);
}

/* ---- patterns ---- */

static struct pattern **pattern_link(struct subscriber *who, struct slice text)
{
    struct pattern **link = &who->patterns;
    while (*link && !slice_equal(slice_of((*link)->text, (*link)->n), text)) {
        link = &(*link)->next;
    }
    return link;
}

static void watcher_add(struct topics *t, struct subscriber *who)
{
    who->prev_watcher = NULL;
    who->next_watcher = t->watchers;
    if (t->watchers) {
        t->watchers->prev_watcher = who;
    }
    t->watchers = who;
}

static void watcher_drop(struct topics *t, struct subscriber *who)
{
    if (who->prev_watcher) {
        who->prev_watcher->next_watcher = who->next_watcher;
    } else {
        t->watchers = who->next_watcher;
    }
    if (who->next_watcher) {
        who->next_watcher->prev_watcher = who->prev_watcher;
    }
    who->next_watcher = who->prev_watcher = NULL;
}

bool topics_watch(struct topics *t, struct subscriber *who, struct slice text)
{
    struct pattern **link = pattern_link(who, text);
    if (*link) {
        return false;
    }
    struct pattern *pattern = xcalloc(1, sizeof *pattern + text.n);
    pattern->n = (uint8_t)text.n;
    memcpy(pattern->text, text.p, text.n);
    *link = pattern;
    if (who->patterns_n++ == 0) {
        watcher_add(t, who);
    }
    t->subscriptions++;
    interest_add_all(t->interest);
    return true;
}

bool topics_unwatch(struct topics *t, struct subscriber *who, struct slice text)
{
    struct pattern **link = pattern_link(who, text);
    struct pattern *pattern = *link;
    if (!pattern) {
        return false;
    }
    *link = pattern->next;
    free(pattern);
    if (--who->patterns_n == 0) {
        watcher_drop(t, who);
    }
    t->subscriptions--;
    interest_drop_all(t->interest);
    return true;
}

bool subscriber_watches(const struct subscriber *who, struct slice channel)
{
    for (const struct pattern *p = who->patterns; p; p = p->next) {
        if (pattern_match(slice_of(p->text, p->n), channel)) {
            return true;
        }
    }
    return false;
}

void subscriber_done(struct topics *t, struct subscriber *who)
{
    while (who->subs) {
        unsubscribe(t, who, who->subs);
    }
    while (who->patterns) {
        topics_unwatch(t, who, slice_of(who->patterns->text, who->patterns->n));
    }
}

/* ---- delivery ---- */

void subscription_fall_behind(struct topics *t, struct subscription *sub, uint64_t offset)
{
    if (sub->state == SUB_LIVE) {
        sub->state = SUB_CATCHING_UP;
        sub->next = offset;
        t->behind(t->ctx, sub->who);
    }
}

void patterns_fall_behind(struct topics *t, struct subscriber *who, uint64_t seq)
{
    if (who->patterns_state == SUB_LIVE) {
        who->patterns_state = SUB_CATCHING_UP;
        who->next_seq = seq;
        t->behind(t->ctx, who);
    }
}

/* True when the subscription takes the event now. */
static bool takes(struct topics *t, struct subscription *sub, const struct delivery *d)
{
    if (sub->state != SUB_LIVE) {
        return false;
    }
    if (d->offset) {
        if (sub->next == 0) {
            sub->next =
                d->offset; /* subscribed while the channel was live: from its first stored event */
        }
        if (d->offset < sub->next) {
            return false; /* the replay had it */
        }
        if (d->offset > sub->next) {
            subscription_fall_behind(t, sub, sub->next);
            return false;
        }
        sub->next++;
    }
    return !d->exclude || d->exclude != sub->who->connection;
}

static void deliver_exact(struct topics *t, struct delivery *d)
{
    struct topic *topic = d->topic;
    for (uint32_t i = 0; i < topic->n; i++) {
        struct subscription *sub = topic->subs[i];
        sub->who->stamp = t->stamp;
        if (takes(t, sub, d)) {
            t->deliver(t->ctx, sub->who, d, false);
        }
    }
}

static bool takes_by_pattern(const struct topics *t, struct subscriber *who,
                             const struct delivery *d)
{
    if (who->stamp == t->stamp || who->app != d->app || who->patterns_state != SUB_LIVE ||
        (d->seq && d->seq < who->next_seq) || (d->exclude && d->exclude == who->connection)) {
        return false;
    }
    return subscriber_watches(who, d->channel);
}

static void deliver_by_pattern(struct topics *t, struct delivery *d)
{
    for (struct subscriber *who = t->watchers; who; who = who->next_watcher) {
        if (takes_by_pattern(t, who, d)) {
            if (d->seq) {
                who->next_seq = d->seq + 1;
            }
            t->deliver(t->ctx, who, d, true);
        }
    }
}

void topics_deliver(struct topics *t, struct delivery *d)
{
    t->stamp++;
    d->topic = *slot_of(t, d->channel_hash, d->app, d->channel);
    if (d->topic) {
        deliver_exact(t, d);
    }
    if (t->watchers) {
        deliver_by_pattern(t, d);
    }
}

uint64_t topics_count(const struct topics *t)
{
    return t->n;
}

uint64_t topics_subscriptions(const struct topics *t)
{
    return t->subscriptions;
}

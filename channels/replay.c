#include "channels/replay.h"
#include "store/hash.h"

/* ---- where a channel stands ---- */

struct first_young {
    int64_t not_before_ms;
    uint64_t offset;
};

static bool find_young(void *ctx, const struct log_record *record)
{
    struct first_young *f = ctx;
    f->offset = record->offset;
    return record->time_ms < f->not_before_ms;
}

/* Times in a channel do not run backwards, so the first event young enough is found by halving. */
static uint64_t first_within_age(struct store_view *view, const struct log_head *head,
                                 int64_t not_before_ms)
{
    uint64_t low = head->first, high = head->last + 1;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, next;
        struct first_young f = {.not_before_ms = INT64_MIN};
        struct log_record record;
        if (log_get(view, head, middle, &record) != STORE_OK) {
            /* Damaged: the nearest readable one after it decides. */
            (void)log_read(view, head, middle, 1, find_young, &f, &next);
            return low;
        }
        if (record.time_ms < not_before_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

enum store_rc replay_span(struct log *log, struct store_reader *reader, uint32_t app,
                          struct slice name, const struct namespace_options *options,
                          int64_t now_ms, struct replay_span *out)
{
    *out = (struct replay_span){.head = {.first = 1}};
    struct log_channel found;
    enum store_rc rc = store_snapshot(reader, &out->view);
    if (rc == STORE_OK) {
        rc = log_find(out->view, app, name, &found);
    }
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    out->channel = found.channel;
    rc = log_snapshot(log, reader, found.channel, &out->view, &out->head);
    if (rc != STORE_OK) {
        return rc;
    }
    struct log_head *head = &out->head;
    const struct log_limits *keep = &options->history;
    if (keep->events_max && head->last + 1 - head->first > keep->events_max) {
        head->first = head->last + 1 - keep->events_max;
    }
    if (keep->age_ms_max && head->first <= head->last) {
        struct log_record oldest;
        int64_t not_before = now_ms - keep->age_ms_max;
        if (log_get(out->view, head, head->first, &oldest) == STORE_OK &&
            oldest.time_ms < not_before) {
            head->first = first_within_age(out->view, head, not_before);
        }
    }
    return STORE_OK;
}

/* ---- pages ---- */

void replay_gap_frame(struct buf *out, struct slice channel, uint64_t from, uint64_t to,
                      const char *reason)
{
    struct buf text = {0};
    buf_add_str(&text, "{\"type\":\"gap\",\"channel\":\"");
    buf_add_slice(&text, channel);
    buf_printf(&text, "\",\"from\":%llu,\"to\":%llu,\"reason\":\"%s\",\"count\":%llu}",
               (unsigned long long)from, (unsigned long long)to, reason,
               (unsigned long long)to - from + 1);
    size_t head = event_ws_head_put(buf_reserve(out, 10), text.n);
    out->n += head;
    buf_add_slice(out, buf_slice(&text));
    buf_done(&text);
}

struct page {
    struct replay *r;
    struct slice channel;
    uint64_t next;     /* offset expected next */
    size_t bytes_from; /* of r->out at the begin */
    bool stopped;
};

static bool is_over(int64_t now_ms, const struct event *event)
{
    return event->ttl_s && event->time_ms + (int64_t)event->ttl_s * 1000 <= now_ms;
}

static void skip_to(struct page *page, uint64_t offset, const char *reason)
{
    if (offset > page->next) {
        replay_gap_frame(page->r->out, page->channel, page->next, offset - 1, reason);
        page->r->gaps++;
        page->next = offset;
    }
}

static bool put_record(void *ctx, const struct log_record *record)
{
    struct page *page = ctx;
    struct replay *r = page->r;
    if (r->out->n - page->bytes_from >= r->bytes_max) {
        page->stopped = true;
        return false;
    }
    struct event event;
    if (!event_unpack(record->payload, &event)) {
        return true; /* of a later program: the next record's gap says that it is missing */
    }
    event.channel = page->channel;
    event.time_ms = record->time_ms;
    if (is_over(r->now_ms, &event)) {
        return true; /* past its ttl: gone, as if trimmed */
    }
    skip_to(page, record->offset, "trimmed");
    page->next = record->offset + 1;
    if (!event.exclude || event.exclude != r->connection) {
        event_frame_write(r->out, &event, record->offset);
        r->events++;
    }
    return true;
}

enum store_rc replay_page(struct replay *r, struct subscription *sub,
                          const struct namespace_options *options, bool *out_done)
{
    struct slice name = slice_of(sub->topic->name, sub->topic->name_n);
    struct replay_span span;
    *out_done = false;
    enum store_rc rc =
        replay_span(r->log, r->reader, sub->topic->app, name, options, r->now_ms, &span);
    if (rc != STORE_OK) {
        store_release(r->reader);
        return rc;
    }
    struct page page = {.r = r, .channel = name, .next = sub->next, .bytes_from = r->out->n};
    uint64_t next = sub->next, last = span.head.last;
    if (next < span.head.first && next <= last) {
        next = span.head.first;
        skip_to(&page, next, "trimmed");
    }
    if (next <= last) {
        rc = log_read(span.view, &span.head, next, r->events_max, put_record, &page, &next);
        if (rc == STORE_DAMAGED) {
            skip_to(&page, next, "dropped");
            rc = STORE_OK;
        }
    }
    if (!page.stopped) {
        skip_to(&page, next, "trimmed"); /* the page's last events were past their ttl */
    }
    store_release(r->reader);
    sub->next = page.next;
    *out_done = sub->next > last;
    return rc;
}

/* ---- patterns ---- */

struct pattern_page {
    struct replay *r;
    struct topics *topics;
    struct subscriber *who;
    struct store_view *view;
    uint64_t hash_seed;
    uint64_t next;
    size_t bytes_from;
    bool stopped;
};

static bool put_matching(void *ctx, const struct log_record *record)
{
    struct pattern_page *page = ctx;
    struct replay *r = page->r;
    if (r->out->n - page->bytes_from >= r->bytes_max) {
        page->stopped = true;
        return false;
    }
    page->next = record->seq + 1;
    struct log_channel channel;
    struct event event;
    if (log_channel_get(page->view, record->channel, &channel) != STORE_OK ||
        channel.app != page->who->app || !subscriber_watches(page->who, channel.name) ||
        !event_unpack(record->payload, &event)) {
        return true;
    }
    /* An exact subscription of the same connection goes before its patterns. */
    uint64_t hash = hash64_named(page->hash_seed, channel.app, channel.name);
    event.channel = channel.name;
    event.time_ms = record->time_ms;
    if (topics_find(page->topics, page->who, hash, channel.name) || is_over(r->now_ms, &event) ||
        (event.exclude && event.exclude == r->connection)) {
        return true;
    }
    event_frame_write(r->out, &event, record->offset);
    r->events++;
    return true;
}

/* How many of the records that are gone matched, nobody can say any more. */
static void pattern_skip_to(struct pattern_page *page, uint64_t seq, const char *reason)
{
    if (seq > page->next) {
        replay_gap_frame(page->r->out, slice_str(">"), page->next, seq - 1, reason);
        page->r->gaps++;
        page->next = seq;
    }
}

enum store_rc replay_patterns(struct replay *r, struct topics *topics, struct subscriber *who,
                              uint64_t hash_seed, bool *out_done)
{
    *out_done = false;
    uint64_t newest = log_newest_seq(r->log);
    struct pattern_page page = {.r = r,
                                .topics = topics,
                                .who = who,
                                .hash_seed = hash_seed,
                                .next = who->next_seq,
                                .bytes_from = r->out->n};
    enum store_rc rc = store_snapshot(r->reader, &page.view);
    if (rc != STORE_OK) {
        return rc;
    }
    uint64_t first = who->next_seq, next = who->next_seq;
    rc = log_read_journal(page.view, who->next_seq, 0, put_matching, &page, &first, &next);
    if (first > who->next_seq && who->next_seq <= newest) {
        pattern_skip_to(&page, first, "trimmed");
        next = first;
    }
    if (rc == STORE_OK) {
        rc = log_read_journal(page.view, next, r->events_max, put_matching, &page, &first, &next);
    }
    store_release(r->reader);
    if (rc == STORE_DAMAGED) {
        if (!page.stopped) {
            pattern_skip_to(&page, next, "dropped");
        }
        rc = STORE_OK;
    }
    who->next_seq = page.stopped ? page.next : next;
    *out_done = who->next_seq > newest;
    return rc;
}

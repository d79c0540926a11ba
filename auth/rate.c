/* GCRA: a bucket is the moment at which it will be full, its theoretical arrival time. Taking moves
 * that moment one interval further away; when it is more than a burst away, the answer is no. A
 * bucket whose moment has passed is full, and so as good as one that was never used: its place is
 * free, with nothing to clean up.
 *
 * The table is lines of eight places, one cache line each. A key's hash gives its line and a tag of
 * 12 bits. A place is one 64-bit word: the tag and the moment, in sixteenths of a microsecond since
 * the limiter was made (52 bits: nine years). A take is one compare-and-swap. Two threads that
 * bring a new key at the same time and see different places free may give it two buckets for the
 * length of one burst; that is the price of having no lock. */
#include "auth/rate.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "store/mem.h"

enum { PLACES = 8, TAG_BITS = 12, MOMENT_BITS = 64 - TAG_BITS, TICKS_PER_US = 16 };

static const uint64_t moment_mask = ((uint64_t)1 << MOMENT_BITS) - 1;

struct line {
    _Alignas(64) _Atomic uint64_t places[PLACES];
};

struct rate_limiter {
    uint8_t seed[RATE_SEED_BYTES];
    uint64_t base_us;
    size_t lines_mask;
    struct line *lines;
};

_Static_assert(RATE_SEED_BYTES == crypto_shorthash_KEYBYTES, "SipHash takes 16 bytes of key");

struct rate_limiter *rate_new(const uint8_t seed[RATE_SEED_BYTES], size_t slots, uint64_t now_us)
{
    struct rate_limiter *limiter = xmalloc(sizeof *limiter);
    memcpy(limiter->seed, seed, sizeof limiter->seed);
    size_t lines = 1;
    while (lines * PLACES < (slots ? slots : (size_t)RATE_SLOTS_DEFAULT)) {
        lines *= 2;
    }
    limiter->base_us = now_us;
    limiter->lines_mask = lines - 1;
    limiter->lines = aligned_alloc(sizeof(struct line), lines * sizeof(struct line));
    if (!limiter->lines) {
        abort(); /* as xmalloc does */
    }
    for (size_t i = 0; i < lines; i++) {
        for (size_t k = 0; k < PLACES; k++) {
            atomic_init(&limiter->lines[i].places[k], 0);
        }
    }
    return limiter;
}

void rate_free(struct rate_limiter *limiter)
{
    if (limiter) {
        free(limiter->lines);
        free(limiter);
    }
}

static uint64_t hash(const struct rate_limiter *limiter, uint32_t class, uint32_t app, uint8_t form,
                     struct slice who)
{
    /* Who is of any length: a digest of it stands for it. */
    uint8_t text[4 + 4 + 1 + 32], out[crypto_shorthash_BYTES];
    be32_put(text, class);
    be32_put(text + 4, app);
    text[8] = form;
    size_t n = who.n;
    if (n > 0 && n <= 32) {
        memcpy(text + 9, who.p, n);
    } else if (n > 32) {
        crypto_generichash(text + 9, 32, who.p, who.n, NULL, 0);
        text[8] = (uint8_t)(form | 0x80);
        n = 32;
    }
    crypto_shorthash(out, text, 9 + n, limiter->seed);
    return be64_get(out);
}

uint64_t rate_key(const struct rate_limiter *limiter, uint32_t class, uint32_t app,
                  struct slice who)
{
    return hash(limiter, class, app, 0, who);
}

uint64_t rate_key_address(const struct rate_limiter *limiter, uint32_t class, struct slice address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291 section 2.5.5.2 */
    if (address.n == 16 && memcmp(address.p, mapped, sizeof mapped) == 0) {
        address = slice_of(address.p + 12, 4);
    } else if (address.n == 16) {
        address.n = 8;
    }
    return hash(limiter, class, 0, address.n == 4 ? 4 : 6, address);
}

/* The place of this tag; else the first free one; else, in an overcrowded line, the one that is
 * shared: whichever is full again soonest. */
static _Atomic uint64_t *find_place(struct line *line, uint64_t tag, uint64_t now, uint64_t *out)
{
    size_t free_at = PLACES, soonest_at = 0;
    uint64_t soonest = UINT64_MAX, seen[PLACES];
    for (size_t i = 0; i < PLACES; i++) {
        seen[i] = atomic_load_explicit(&line->places[i], memory_order_relaxed);
        uint64_t moment = seen[i] & moment_mask;
        if (moment > now && seen[i] >> MOMENT_BITS == tag) {
            *out = seen[i];
            return &line->places[i];
        }
        if (moment <= now && free_at == PLACES) {
            free_at = i;
        }
        if (moment < soonest) {
            soonest = moment;
            soonest_at = i;
        }
    }
    size_t at = free_at < PLACES ? free_at : soonest_at;
    *out = seen[at];
    return &line->places[at];
}

static uint32_t seconds_up(uint64_t ticks)
{
    uint64_t second = (uint64_t)TICKS_PER_US * 1000000, s = (ticks + second - 1) / second;
    return s > UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* A rule in ticks. */
struct bucket {
    uint64_t interval; /* between two, on the long run */
    uint64_t depth;    /* burst intervals */
};

static struct bucket bucket_of(const struct rate_rule *rule)
{
    uint64_t period = (uint64_t)(rule->period_s ? rule->period_s : 1) * 1000000 * TICKS_PER_US;
    uint64_t interval = period / rule->count;
    if (interval == 0) {
        interval = 1;
    }
    uint32_t burst = rule->burst ? rule->burst : rule->count;
    uint64_t depth = moment_mask / 4; /* keeps sums within the 52 bits whatever the rule */
    if (burst <= depth / interval) {
        depth = burst * interval;
    }
    return (struct bucket){.interval = interval, .depth = depth};
}

/* What waits in the bucket of a place, or would after a stricter rule came into force or another
 * key shared the place. */
static uint64_t filled_of(uint64_t seen, uint64_t now, const struct bucket *b)
{
    uint64_t moment = seen & moment_mask, filled = moment > now ? moment - now : 0;
    return filled < b->depth ? filled : b->depth;
}

/* Puts `wanted` into the key's bucket if it still fits; *out_filled is how full that leaves it. */
static bool take(struct rate_limiter *limiter, uint64_t key, const struct bucket *b,
                 uint64_t wanted, uint64_t now, uint64_t *out_filled)
{
    struct line *line = &limiter->lines[key & limiter->lines_mask];
    uint64_t tag = key >> MOMENT_BITS, seen;
    for (;;) {
        _Atomic uint64_t *place = find_place(line, tag, now, &seen);
        uint64_t filled = filled_of(seen, now, b);
        *out_filled = filled;
        if (filled + wanted > b->depth || wanted == 0) {
            return filled + wanted <= b->depth;
        }
        uint64_t next = tag << MOMENT_BITS | ((now + filled + wanted) & moment_mask);
        if (atomic_compare_exchange_weak_explicit(place, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            *out_filled = filled + wanted;
            return true;
        }
    }
}

struct rate_verdict rate_take(struct rate_limiter *limiter, uint64_t key,
                              const struct rate_rule *rule, uint32_t cost, uint64_t now_us)
{
    if (rule->count == 0) {
        return (struct rate_verdict){.ok = true, .limit = UINT32_MAX, .remaining = UINT32_MAX};
    }
    struct bucket b = bucket_of(rule);
    uint64_t now = now_us > limiter->base_us ? (now_us - limiter->base_us) * TICKS_PER_US : 0;
    uint64_t wanted = cost <= b.depth / b.interval ? cost * b.interval : b.depth, filled;
    bool ok = take(limiter, key, &b, wanted, now & moment_mask, &filled);
    return (struct rate_verdict){
        .ok = ok,
        .limit = (uint32_t)(b.depth / b.interval),
        .remaining = (uint32_t)((b.depth - filled) / b.interval),
        .reset_s = seconds_up(filled),
        .retry_after_s = ok ? 0 : seconds_up(filled + wanted - b.depth),
    };
}

/* Agents with a free slot by their region: whoever asks for the nearest looks at few of ten
 * thousand. A region is there as long as somebody in it is ready. */
#include "hub/tasks/inside.h"

#include <stdlib.h>

static const uint64_t REGION_SEED = UINT64_C(0x726567696f6e);

static uint64_t hash_of(struct slice name)
{
    return hash64(REGION_SEED, name);
}

struct region *region_find(const struct tasks_app *app, struct slice name)
{
    uint64_t hash = hash_of(name);
    struct region *region = app->regions[hash % REGION_BUCKETS];
    while (region && !(region->hash == hash && slice_equal(region->name, name))) {
        region = region->next;
    }
    return region;
}

static struct region *region_add(struct tasks_app *app, struct slice name)
{
    struct region *region = xcalloc(1, sizeof *region);
    uint8_t *copy = xmalloc(name.n + 1);
    if (name.n) {
        memcpy(copy, name.p, name.n);
    }
    region->name = slice_of(copy, name.n);
    region->hash = hash_of(name);
    struct region **bucket = &app->regions[region->hash % REGION_BUCKETS];
    region->next = *bucket;
    *bucket = region;
    return region;
}

static void region_free(struct region *region)
{
    free((void *)(uintptr_t)region->name.p);
    free(region->list);
    free(region);
}

void region_ready(struct tasks_app *app, struct worker *w)
{
    struct region *region = region_find(app, w->region);
    region = region ? region : region_add(app, w->region);
    if (region->n == region->cap) {
        region->cap = region->cap ? region->cap * 2 : 4;
        region->list = xrealloc(region->list, region->cap * sizeof(struct worker *));
    }
    w->region_of = region;
    w->region_at = region->n;
    region->list[region->n++] = w;
}

void region_unready(struct tasks_app *app, struct worker *w)
{
    struct region *region = w->region_of;
    struct worker *last = region->list[--region->n];
    region->list[w->region_at] = last;
    last->region_at = w->region_at;
    w->region_of = NULL;
    if (region->n == 0) {
        struct region **link = &app->regions[region->hash % REGION_BUCKETS];
        while (*link != region) {
            link = &(*link)->next;
        }
        *link = region->next;
        region_free(region);
    }
}

void regions_free(struct tasks_app *app)
{
    for (unsigned i = 0; i < REGION_BUCKETS; i++) {
        for (struct region *region; (region = app->regions[i]);) {
            app->regions[i] = region->next;
            region_free(region);
        }
    }
}

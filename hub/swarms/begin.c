/* Beginning: what was asked for on its way to the writer, the work divided, its first tasks. */
#include "auth/digest.h"
#include "hub/swarms/run_parts.h"
#include "store/hash.h"
#include "store/timers.h"

#include <stdio.h>

enum { ID_BYTES = 48 };
static const uint64_t ID_SEED = UINT64_C(0x776f726b);

/* ---- the spec on its way ---- */

void work_spec_pack(struct buf *b, const struct work_spec *s)
{
    pack_slice(b, s->id);
    pack_u8(b, s->uuid);
    pack_slice(b, s->owner);
    pack_slice(b, s->strategy_name);
    pack_u8(b, (uint8_t)s->strategy);
    pack_u8(b, (uint8_t)s->priority);
    pack_u8(b, s->has_require);
    pack_u8(b, (uint8_t)s->require.kind);
    pack_u32(b, s->require.first);
    pack_f64(b, s->require.fraction);
    pack_u8(b, s->has_reducer);
    pack_u8(b, (uint8_t)s->reducer);
    pack_slice(b, s->field);
    pack_slice(b, s->by);
    pack_u32(b, s->top);
    pack_u8(b, s->called);
    pack_u32(b, s->shards);
    pack_i64(b, s->timeout_ms);
    pack_slice(b, s->input);
}

bool work_spec_unpack(struct unpack *u, struct work_spec *s)
{
    s->id = unpack_slice(u);
    s->uuid = unpack_u8(u) != 0;
    s->owner = unpack_slice(u);
    s->strategy_name = unpack_slice(u);
    uint8_t strategy = unpack_u8(u), priority = unpack_u8(u);
    s->strategy = (enum work_strategy)strategy;
    s->priority = (enum task_priority)priority;
    s->has_require = unpack_u8(u) != 0;
    s->require.kind = (enum require_kind)unpack_u8(u);
    s->require.first = unpack_u32(u);
    s->require.fraction = unpack_f64(u);
    s->has_reducer = unpack_u8(u) != 0;
    uint8_t reducer = unpack_u8(u);
    s->reducer = (enum reducer)reducer;
    s->field = unpack_slice(u);
    s->by = unpack_slice(u);
    s->top = unpack_u32(u);
    s->called = unpack_u8(u) != 0;
    s->shards = unpack_u32(u);
    s->timeout_ms = unpack_i64(u);
    s->input = unpack_slice(u);
    return !u->bad && strategy < WORK_STRATEGIES && priority < TASK_PRIORITIES &&
           reducer < REDUCERS;
}

json_t *work_items(const json_t *input, const char **out_name)
{
    static const char *const names[] = {"items", "subtasks", "stages", "parts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *list = json_object_get(input, names[i]);
        if (json_array_size(list)) {
            *out_name = names[i];
            return list;
        }
    }
    return NULL;
}

/* ---- the work ---- */

/* Ids begin with the number; what follows keeps those of others from being guessed. */
static struct slice mint(struct apply *a, const struct work_spec *spec, uint64_t number,
                         char out[ID_BYTES])
{
    uint8_t own[40], random[10];
    memcpy(own, a->seed, 32);
    be64_put(own + 32, number);
    struct hash128 h = hash128(ID_SEED, slice_of(own, sizeof own));
    if (spec->uuid) {
        be64_put(random, h.lo);
        be16_put(random + 8, (uint16_t)h.hi);
        uuid_v7(a->now_ms, random, out);
        return slice_str(out);
    }
    int n = snprintf(out, ID_BYTES, "task_%08x%08x", (unsigned)number, (unsigned)h.lo);
    return slice_of(out, (size_t)n);
}

static void work_fill(struct run *r, const struct work_spec *spec, uint64_t number,
                      const json_t *input, const struct team_figures *figures)
{
    const struct strategy_rule *rule = strategy_rule(spec->strategy);
    const char *name;
    const json_t *items = work_items(input, &name);
    uint64_t works = 0;
    for (unsigned i = 0; i < WORK_STATES; i++) {
        works += figures->in_state[i];
    }
    r->work = (struct work){.number = number,
                            .app = r->a->app,
                            .team_kind = spec->team_kind,
                            .team = spec->team,
                            .owner = spec->owner,
                            .channel = spec->channel,
                            .strategy_name = spec->strategy_name,
                            .strategy = spec->strategy,
                            .priority = spec->priority,
                            .state = WORK_SPLITTING,
                            .require = spec->require,
                            .reducer = spec->has_reducer ? spec->reducer : rule->reducer,
                            .field = spec->field,
                            .by = spec->by,
                            .top = spec->top,
                            .called = spec->called,
                            .started_ms = r->a->now_ms,
                            .timeout_ms = spec->timeout_ms};
    if (!spec->has_require) {
        r->work.require = rule->first
                              ? (struct require){.kind = REQUIRE_FIRST, .first = rule->first}
                              : (struct require){.kind = REQUIRE_ALL};
    }
    bool turns = spec->strategy == STRATEGY_ROUND_ROBIN;
    r->work.division =
        divide(spec->strategy, spec->members_n, items != NULL, (uint32_t)json_array_size(items),
               spec->shards, turns ? (uint32_t)(works % spec->members_n) : 0);
}

static enum hub_rc write_beginning(struct run *r, const struct work_spec *spec,
                                   struct team_figures *figures)
{
    struct work *w = &r->work;
    uint8_t body[8];
    struct timer_ref ref;
    be64_put(body, w->number);
    enum store_rc rc = work_document_put(r->a->txn, w->number, WORK_MEMBERS, spec->members);
    if (rc == STORE_OK) {
        rc = work_document_put(r->a->txn, w->number, WORK_INPUT, spec->input);
    }
    if (rc == STORE_OK) {
        rc = timer_add(r->a->txn, r->a->now_ms + w->timeout_ms, TIMER_WORK_DEADLINE,
                       slice_of(body, sizeof body), &ref);
    }
    if (rc == STORE_OK) {
        w->deadline_due_ms = ref.due_ms;
        w->deadline_id = ref.id;
        figures->in_state[WORK_MAPPING]++;
        figures->last_ms = r->a->now_ms;
        rc = team_figures_put(r->a->txn, w->team_kind, w->team, figures);
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc open_first(struct run *r, const json_t *input)
{
    enum hub_rc rc = HUB_OK;
    for (uint32_t i = 0; rc == HUB_OK && i < r->work.division.parts_n; i++) {
        if (!division_share(&r->work.division, i).waits) {
            rc = part_open(r, input, i, NULL);
        }
    }
    return rc;
}

/* Every part is given the input but for the list: many parts of a large one would be too much. */
static bool fits(const struct work *w, const json_t *input)
{
    const char *name;
    json_t *rest = json_copy((json_t *)(uintptr_t)input);
    if (w->division.has_items && work_items(rest, &name)) {
        json_object_del(rest, name);
    }
    size_t each = json_dumpb(rest, NULL, 0, JSON_COMPACT);
    json_decref(rest);
    return each * w->division.parts_n <= WORK_INPUT_BYTES_MAX;
}

enum hub_rc work_begin(struct apply *a, const struct work_spec *spec, struct buf *row,
                       struct work *out)
{
    struct run r = {.a = a};
    struct team_figures figures;
    uint64_t number = 0;
    char id[ID_BYTES];
    json_t *input = json_loadb((const char *)spec->input.p, spec->input.n, 0, NULL);
    enum hub_rc rc = hub_rc_of_store(work_newest(a->view, &number));
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(team_figures_get(a->view, spec->team_kind, spec->team, &figures));
    }
    if (rc == HUB_OK && !json_is_object(input)) {
        rc = HUB_BAD_REQUEST;
    }
    if (rc == HUB_OK) {
        work_fill(&r, spec, number + 1, input, &figures);
        r.work.id = spec->id.n ? spec->id : mint(a, spec, number + 1, id);
        rc = fits(&r.work, input) ? HUB_OK : HUB_TOO_LARGE;
    }
    if (rc == HUB_OK) {
        rc = write_beginning(&r, spec, &figures);
    }
    if (rc == HUB_OK) {
        rc = run_tell_state(&r);
    }
    if (rc == HUB_OK) {
        r.work.state = WORK_MAPPING;
        rc = run_keep(&r, WORK_NONE); /* before its tasks: they may end within this command */
    }
    if (rc == HUB_OK) {
        rc = run_tell_state(&r);
    }
    if (rc == HUB_OK) {
        rc = open_first(&r, input);
    }
    if (rc == HUB_OK) {
        rc = run_keep(&r, WORK_MAPPING);
    }
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(work_hold(a->view, r.work.number, row, out));
    }
    json_decref(input);
    buf_done(&r.bytes);
    return rc;
}

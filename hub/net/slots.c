#include "hub/net/slots.h"
#include "hub/net/conn.h"

void slots_take(struct net_thread *t, struct conn *c)
{
    if (t->slot_idle == UINT32_MAX) {
        uint32_t cap = t->slots_cap ? t->slots_cap * 2 : 256;
        t->slots = xrealloc(t->slots, cap * sizeof *t->slots);
        t->slot_next = xrealloc(t->slot_next, cap * sizeof *t->slot_next);
        t->generations = xrealloc(t->generations, cap * sizeof *t->generations);
        for (uint32_t i = t->slots_cap; i < cap; i++) {
            t->slots[i] = NULL;
            t->generations[i] = 0;
            t->slot_next[i] = i + 1 < cap ? i + 1 : UINT32_MAX;
        }
        t->slot_idle = t->slots_cap;
        t->slots_cap = cap;
    }
    c->slot = t->slot_idle;
    t->slot_idle = t->slot_next[c->slot];
    c->generation = ++t->generations[c->slot];
    t->slots[c->slot] = c;
    t->slots_n++;
}

void slots_give(struct net_thread *t, struct conn *c)
{
    t->slots[c->slot] = NULL;
    t->slot_next[c->slot] = t->slot_idle;
    t->slot_idle = c->slot;
    t->slots_n--;
}

struct conn *net_conn(struct net_thread *t, struct return_address from)
{
    struct conn *c = from.slot < t->slots_cap ? t->slots[from.slot] : NULL;
    return c && c->generation == from.generation && !c->dead ? c : NULL;
}

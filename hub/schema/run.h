/* hub/schema/run.h: one validation on its way.
 *
 * Frames are the recursion made visible: each applies one node at one place of the instance, and
 * lives on the C stack. They give the instance pointer of an error, the dynamic scope of
 * $dynamicRef (which resources have been entered), and show a reference that leads back to itself.
 *
 * Marks are the annotations that matter: which members or items of the instance at hand have been
 * evaluated. They exist only below a node that has unevaluatedProperties or unevaluatedItems. A
 * branch that may fail without failing the whole (anyOf, if, …) gets marks of its own, merged when
 * it holds.
 */
#ifndef WAGGLE_HUB_SCHEMA_RUN_H
#define WAGGLE_HUB_SCHEMA_RUN_H

#include "hub/schema/node.h"

enum { MARKS_INLINE = 2 };

struct marks {
    size_t n; /* members or items of the instance */
    uint64_t *words;
    uint64_t few[MARKS_INLINE];
};

enum step_kind { STEP_STAY, STEP_MEMBER, STEP_ITEM, STEP_NAME };

/* How a frame's instance was reached from that of the frame above. */
struct step {
    enum step_kind kind;
    const char *key;
    size_t n;     /* bytes of key */
    size_t index; /* of the item */
};

struct frame {
    const struct frame *up;
    const struct node *node;
    const json_t *instance;
    struct marks *marks; /* NULL: nobody asks */
    struct step step;
};

struct run {
    const struct schema *schema;
    struct meter meter;
    size_t depth;
    bool loud; /* errors found now are the caller's; quiet inside anyOf and its like */
    bool full; /* errors_max have been reported */
    size_t errors_left;
    schema_visit visit;
    void *ctx;
    struct regex_scratch *scratch;
    struct text pointer, place, message;
};

/* Applies node to an instance one step below `at`, or to the same (STEP_STAY) with marks for what
 * it evaluates. */
bool run_node(struct run *run, const struct node *node, const struct frame *at,
              const json_t *instance, struct step step, struct marks *marks);
bool run_here(struct run *run, const struct node *node,
              const struct frame *at); /* at's marks too */
/* The same without a word about errors; marks (when asked for) are merged only if it holds. */
bool run_branch(struct run *run, const struct node *node, const struct frame *at);

/* Whether there is any point in going on after something failed. */
static inline bool run_goes_on(const struct run *run)
{
    return run->loud && !run->full && !run->meter.spent;
}

/* Reports what is wrong (when errors are wanted); always false, so a check can return it. */
bool run_fail(struct run *run, const struct frame *at, const char *keyword, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* In two parts, for messages made of several pieces: begin says whether a message is wanted. */
bool run_message(struct run *run);
bool run_report(struct run *run, const struct frame *at, const char *keyword, const char *property);

void marks_init(struct marks *marks, size_t n, struct meter *meter);
void marks_done(struct marks *marks);
void marks_add_all(struct marks *marks);
void marks_merge(struct marks *to, const struct marks *from);

static inline void marks_add(struct marks *marks, size_t i)
{
    marks->words[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline bool marks_have(const struct marks *marks, size_t i)
{
    return marks->words[i / 64] >> (i % 64) & 1;
}

#endif

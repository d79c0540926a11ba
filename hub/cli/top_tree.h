/* hub/cli/top_tree.h: what hangs together, as a tree: a network or a swarm, what it was given to
 * do, the tasks of that, and the agents that have them; a task and its agent; an agent and its
 * tasks.
 *
 * Owns     its lines.       Threads  one.
 * Limits   TREE_NODES_MAX lines; of a swarm the last TREE_WORKS_MAX works.
 * Rules    the tree asks, its owner sends: each answer is given back, in the order of the
 * questions.
 */
#ifndef WAGGLE_CLI_TOP_TREE_H
#define WAGGLE_CLI_TOP_TREE_H

#include "store/mem.h"

enum { TREE_NODES_MAX = 1000, TREE_WORKS_MAX = 20 };

enum tree_root { TREE_NONE, TREE_AGENT, TREE_TASK, TREE_NETWORK, TREE_SWARM };

struct top_tree { /* all zero at first */
    struct tree_node {
        unsigned depth;
        struct buf text;
    } * nodes;
    size_t n;
    unsigned waiting; /* answers that have yet to come */
};

/* A call of the hub. */
struct tree_asker {
    void (*ask)(void *ctx, const char *method, struct slice params);
    void *ctx;
};

void top_tree_done(struct top_tree *t);
/* Anew, of this root; item: its row. */
void top_tree_begin(struct top_tree *t, enum tree_root root, struct slice id, struct slice item,
                    const struct tree_asker *asker);
void top_tree_answer(struct top_tree *t, struct slice result, const struct tree_asker *asker);
void top_tree_refused(struct top_tree *t, struct slice message);
/* The first line as it was in an earlier one. */
void top_tree_keep_root(struct top_tree *t, struct top_tree *from);
void top_tree_write(const struct top_tree *t, bool ascii, struct buf *out);

#endif

/* Nodes stand in the order of their lines, each with its depth; whose last child a node is shows
 * only when the lines are written. What an answer is about is seen from what is in it, so nothing
 * need be remembered between question and answer. */
#include "hub/cli/top_tree.h"

#include <stdlib.h>

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/cli/output.h"

void top_tree_done(struct top_tree *t)
{
    for (size_t i = 0; i < t->n; i++) {
        buf_done(&t->nodes[i].text);
    }
    free(t->nodes);
    *t = (struct top_tree){0};
}

/* What of the item the paths name, two spaces between; the same word is not said twice. */
static void add_words(struct buf *text, const char *kind, struct slice item,
                      const char *const *paths)
{
    struct slice said = slice_of(NULL, 0);
    buf_add_str(text, kind);
    for (; *paths; paths++) {
        struct slice value = json_at(item, *paths);
        size_t before = text->n;
        buf_add_str(text, "  ");
        json_add_human(text, value);
        if (text->n == before + 2 || slice_equal(value, said)) {
            text->n = before;
        }
        said = value;
    }
}

static void add_node(struct top_tree *t, unsigned depth, const char *kind, struct slice item,
                     const char *const *paths)
{
    if (t->n == TREE_NODES_MAX) {
        return;
    }
    t->nodes = xrealloc(t->nodes, (t->n + 1) * sizeof *t->nodes);
    struct tree_node *node = &t->nodes[t->n++];
    *node = (struct tree_node){.depth = depth};
    add_words(&node->text, kind, item, paths);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void ask(struct top_tree *t, const struct tree_asker *asker, const char *method,
                const char *name, struct slice prefix, struct slice id, const char *more)
{
    struct buf params = {0}, value = {0};
    struct json_out o = json_out_to(&params);
    buf_add_slice(&value, prefix);
    buf_add_slice(&value, id);
    json_begin(&o, '{');
    json_key(&o, name);
    json_text(&o, buf_slice(&value));
    json_end(&o, '}');
    if (more) { /* further members, before the closing brace */
        params.n--;
        buf_printf(&params, ",%s}", more);
    }
    t->waiting++;
    asker->ask(asker->ctx, method, buf_slice(&params));
    buf_done(&params);
    buf_done(&value);
}

// clang-format off
static const struct {
    const char *kind, *paths[4];
    const char *method, *param, *prefix, *more;
} roots[] = {
    [TREE_AGENT]   = { "agent",   { "agent_id", "status", NULL },           "tasks.list",          "agent_id",   "",       "\"limit\":100" },
    [TREE_TASK]    = { "task",    { "task_id", "status", "state", NULL },   "tasks.get",           "task_id",    "",       NULL },
    [TREE_NETWORK] = { "network", { "id", "name", NULL },                   "networks.executions", "network_id", "",       "\"limit\":20" },
    [TREE_SWARM]   = { "swarm",   { "swarm_id", "coordination_status", NULL }, "channels.history", "channel",    "swarm.", "\"limit\":1000,\"reverse\":true" },
};
// clang-format on

void top_tree_begin(struct top_tree *t, enum tree_root root, struct slice id, struct slice item,
                    const struct tree_asker *asker)
{
    top_tree_done(t);
    add_node(t, 0, roots[root].kind, item, roots[root].paths);
    ask(t, asker, roots[root].method, roots[root].param, slice_str(roots[root].prefix), id,
        roots[root].more);
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void add_parts(struct top_tree *t, unsigned depth, struct slice parts)
{
    static const char *const of_part[] = {"task_id", "status", NULL};
    static const char *const of_agent[] = {"agent_id", "member_id", NULL};
    struct slice key, part;
    for (struct json_walk w = json_walk_of(parts); json_walk_next(&w, &key, &part);) {
        add_node(t, depth, "task", part, of_part);
        add_node(t, depth + 1, "agent", part, of_agent);
    }
}

static void add_executions(struct top_tree *t, struct slice list)
{
    static const char *const of_execution[] = {"execution_id", "status", "state", NULL};
    struct slice key, one;
    for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &one);) {
        add_node(t, 1, "execution", one, of_execution);
        add_parts(t, 2, json_at(one, "results.parts")); /* when it is over; until then: */
        add_parts(t, 2, json_at(one, "shards"));
    }
}

static void add_tasks(struct top_tree *t, struct slice list)
{
    static const char *const of_task[] = {"task_id", "status", "state", NULL};
    struct slice key, one;
    for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &one);) {
        add_node(t, 1, "task", one, of_task);
    }
}

/* The root's own answer: newer than the row that its line was made of. */
static void add_task(struct top_tree *t, struct slice task)
{
    static const char *const of_holder[] = {"agent_id", NULL};
    struct tree_node *root = &t->nodes[0];
    buf_clear(&root->text);
    add_words(&root->text, roots[TREE_TASK].kind, task, roots[TREE_TASK].paths);
    if (json_kind_of(json_at(task, "agent_id")) == JSON_KIND_STRING) {
        add_node(t, 1, "agent", task, of_holder);
    }
}

static bool is_known(const struct buf *ids, size_t n, struct slice id)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_equal(buf_slice(&ids[i]), id)) {
            return true;
        }
    }
    return false;
}

/* The works that the newest events of a swarm speak of, each asked for once. */
static void ask_for_works(struct top_tree *t, struct slice events, const struct tree_asker *asker)
{
    struct buf ids[TREE_WORKS_MAX] = {0};
    struct slice key, event;
    size_t n = 0;
    for (struct json_walk w = json_walk_of(events);
         n < TREE_WORKS_MAX && json_walk_next(&w, &key, &event);) {
        struct buf id = {0};
        json_add_human(&id, json_at(event, "data.task_id"));
        if (id.n && !is_known(ids, n, buf_slice(&id))) {
            ask(t, asker, "swarm.task", "task_id", slice_str(""), buf_slice(&id), NULL);
            ids[n++] = id;
        } else {
            buf_done(&id);
        }
    }
    for (size_t i = 0; i < n; i++) {
        buf_done(&ids[i]);
    }
}

void top_tree_answer(struct top_tree *t, struct slice result, const struct tree_asker *asker)
{
    static const char *const of_work[] = {"task_id", "coordination_strategy", "status", NULL};
    struct slice executions = json_at(result, "executions"), events = json_at(result, "events");
    struct slice tasks = json_at(result, "tasks"), task = json_at(result, "task");
    t->waiting -= t->waiting > 0;
    if (events.n) {
        ask_for_works(t, events, asker);
    } else if (executions.n) {
        add_executions(t, executions);
    } else if (tasks.n) {
        add_tasks(t, tasks);
    } else if (task.n) {
        add_task(t, task);
    } else if (json_at(result, "coordination_strategy").n) {
        add_node(t, 1, "work", result, of_work);
        add_parts(t, 2, json_at(result, "shards"));
    }
}

void top_tree_refused(struct top_tree *t, struct slice message)
{
    static const char *const itself[] = {"", NULL};
    t->waiting -= t->waiting > 0;
    add_node(t, 1, "refused:", message, itself);
}

void top_tree_keep_root(struct top_tree *t, struct top_tree *from)
{
    struct buf kept = from->nodes[0].text;
    from->nodes[0].text = t->nodes[0].text;
    t->nodes[0].text = kept;
}

/* --- lines -------------------------------------------------------------------------------------
 */

/* Whether nothing of the same depth follows before the branch ends. */
static bool is_last(const struct top_tree *t, size_t i, unsigned depth)
{
    for (size_t k = i + 1; k < t->n && t->nodes[k].depth >= depth; k++) {
        if (t->nodes[k].depth == depth) {
            return false;
        }
    }
    return true;
}

void top_tree_write(const struct top_tree *t, bool ascii, struct buf *out)
{
    const char *down = ascii ? "|  " : "│  ", *fork = ascii ? "|- " : "├─ ";
    const char *end = ascii ? "`- " : "└─ ";
    for (size_t i = 0; i < t->n; i++) {
        const struct tree_node *node = &t->nodes[i];
        for (unsigned d = 1; d < node->depth; d++) {
            buf_add_str(out, is_last(t, i, d) ? "   " : down);
        }
        buf_add_str(out, node->depth == 0 ? "" : is_last(t, i, node->depth) ? end : fork);
        buf_add_slice(out, buf_slice(&node->text));
        buf_add_str(out, "\n");
    }
    if (t->waiting) {
        buf_add_str(out, "…\n");
    } else if (t->n == 1) {
        buf_add_str(out, "(nothing hangs on it)\n");
    }
}

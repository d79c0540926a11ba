#include "hub/api/words.h"
#include "hub/consensus/tally.h"
#include "hub/messages/module.h"
#include "hub/swarms/module.h"
#include "hub/tasks/balance.h"

/* clang-format off */
#define WORDS(list, function, type, count) \
    static const char *nth_##list(unsigned i) { return function((type)i); } \
    const struct call_words words_##list = {.nth = nth_##list, .n = (count)}
/* clang-format on */

static const char *work_strategy_name(enum work_strategy strategy)
{
    return strategy_rule(strategy)->name;
}

WORDS(agent_type, agent_type_name, enum agent_type, AGENT_TYPES);
WORDS(agent_status, agent_status_name, enum agent_status,
      AGENT_DEREGISTERED); /* the last: not said */
WORDS(task_priority, task_priority_name, enum task_priority, TASK_PRIORITIES);
WORDS(message_type, message_type_name, enum message_type, MESSAGE_TYPES);
WORDS(message_priority, message_priority_name, enum message_priority, MESSAGE_PRIORITIES);
WORDS(balance_strategy, balance_strategy_name, enum balance_strategy, BALANCE_STRATEGIES);
WORDS(work_strategy, work_strategy_name, enum work_strategy, WORK_STRATEGIES);
WORDS(tally_rule, tally_rule_name, enum tally_rule, TALLY_RULES);
WORDS(tally_tie, tally_tie_name, enum tally_tie, TALLY_TIES);

static const char *task_failure_name(unsigned i)
{
    return task_stop_name((enum task_stop)(STOP_NON_RETRYABLE + i));
}

WORDS(task_failure, task_failure_name, unsigned, STOP_CANCELLED - STOP_NON_RETRYABLE);

static void put(struct buf *b, const struct call_words *words)
{
    for (unsigned i = 0; i < words->n; i++) {
        buf_add_str(b, i == 0 ? "" : i + 1 == words->n ? " or " : ", ");
        buf_add_str(b, words->nth(i));
    }
}

void words_advise(struct json_out *o, const struct call_words *words)
{
    struct buf text = {0};
    buf_add_str(&text, "Use ");
    put(&text, words);
    buf_add_str(&text, ".");
    json_text(o, buf_slice(&text));
    buf_done(&text);
}

enum hub_rc call_fail_word(struct call *call, const char *field, const char *what,
                           struct slice word, const struct call_words *words)
{
    struct buf list = {0};
    put(&list, words);
    enum hub_rc rc = call_fail_field(call, field, "enum", "'%.*s' is not a valid %s: use %.*s",
                                     (int)(word.n < 200 ? word.n : 200), (const char *)word.p, what,
                                     (int)list.n, (const char *)list.p);
    buf_done(&list);
    return rc;
}
